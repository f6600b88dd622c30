"""A convex objective in parts, and what multipliers prove about its minimum.

    minimize  P(x) = constant + cost'x + sum_k sum_i w_i psi_k((A_k x + b_k)_i) + l_i (A_k x + b_k)_i
                     + sum_j lambda_j |x_j| + mu_j x_j^2 / 2      subject to lower <= x <= upper

with weights w > 0. For any multipliers u_k of the rows, Fenchel's inequality gives the bound (Rockafellar 1970,
theorem 31.1)

    P(x) >= D(u) = constant + sum_k b_k'u_k - w psi*((u_k - l) / w) + sum_j min_x (cost + sum_k A_k'u_k)_j x + g_j(x)

where g_j is the j-th line of penalties and bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optdsl.methods.composite.losses import Loss
from optdsl.methods.composite.operators import Rows

NOISE = 1e-6
"""A slope that no penalty holds is rounding up to this, relative to the terms it is the sum of."""


@dataclass(frozen=True, eq=False)
class Part:
    """w psi(t) + l t summed over rows t = A x + offset (r,); `weights` (r / group,), `linear` (r,) or None for 0."""

    operator: Rows
    offset: np.ndarray
    loss: Loss
    weights: np.ndarray
    linear: np.ndarray | None = None

    @cached_property
    def row_weights(self) -> np.ndarray:
        """The weights by row (r,)."""
        return self.weights if self.loss.group == 1 else np.repeat(self.weights, self.loss.group)

    def rows(self, x: np.ndarray) -> np.ndarray:
        """t = A x + offset."""
        return self.operator.product(x) + self.offset

    def value(self, t: np.ndarray) -> float:
        """The sum over rows t."""
        total = float(self.weights @ self.loss.value(t))
        return total if self.linear is None else total + float(self.linear @ t)

    def slope(self, t: np.ndarray) -> np.ndarray:
        """The derivatives by t (r,)."""
        slope = self.row_weights * self.loss.slope(t)
        return slope if self.linear is None else slope + self.linear

    def curvature(self, t: np.ndarray) -> np.ndarray:
        """The second derivatives by t (r,); of a loss of groups, their diagonal."""
        return self.row_weights * self.loss.curvature(t)

    def chord(self, t: np.ndarray) -> np.ndarray:
        """The curvatures of parabolas above the losses (r,)."""
        return self.row_weights * self.loss.chord(t)

    def conjugate(self, u: np.ndarray) -> float:
        """sum of w psi*((u - l) / w)."""
        v = (u if self.linear is None else u - self.linear) / self.row_weights
        return float(self.weights @ self.loss.conjugate(v))


@dataclass(frozen=True, eq=False)
class Composite:
    """The parts of an objective in n variables: `absolute` is lambda (n,), `ridge` mu (n,), both >= 0."""

    parts: tuple[Part, ...]
    cost: np.ndarray
    constant: float
    absolute: np.ndarray
    ridge: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    start: np.ndarray

    @property
    def width(self) -> int:
        return len(self.cost)

    @cached_property
    def smooth(self) -> bool:
        """Whether all losses are smooth."""
        return all(part.loss.smooth for part in self.parts)

    @cached_property
    def boxed(self) -> bool:
        return bool((np.isfinite(self.lower) | np.isfinite(self.upper)).any())

    @cached_property
    def separable(self) -> bool:
        """Whether no loss is of groups of rows."""
        return all(part.loss.group == 1 for part in self.parts)

    @cached_property
    def size(self) -> int:
        """Stored entries of all operators."""
        return sum(part.operator.size for part in self.parts)

    @cached_property
    def held(self) -> np.ndarray:
        """Where the j-th line of penalties grows faster than any slope (n,)."""
        return np.asarray((self.ridge > 0) | (np.isfinite(self.lower) & np.isfinite(self.upper)))

    def rows(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """The rows of every part at x."""
        return tuple(part.rows(x) for part in self.parts)

    def penalty(self, x: np.ndarray) -> float:
        """The penalties on single variables."""
        return float(self.absolute @ np.abs(x) + 0.5 * (self.ridge @ (x * x)))

    def value(self, x: np.ndarray, rows: Sequence[np.ndarray]) -> float:
        """P(x), from the rows at x."""
        losses = sum(part.value(t) for part, t in zip(self.parts, rows, strict=True))
        return self.constant + float(self.cost @ x) + losses + self.penalty(x)

    def slopes(self, rows: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The multipliers of all rows that belong to a point's rows."""
        return tuple(part.slope(t) for part, t in zip(self.parts, rows, strict=True))

    def pulled(self, u: Sequence[np.ndarray]) -> np.ndarray:
        """sum_k A_k'u_k (n,)."""
        total = np.zeros(self.width)
        for part, v in zip(self.parts, u, strict=True):
            total += part.operator.transposed(v)
        return total

    def bound(self, u: Sequence[np.ndarray], x: np.ndarray, pulled: np.ndarray | None = None) -> float:
        """D(u), a lower bound of the minimum; -inf where the multipliers prove nothing.

        Multipliers whose slope is held by nothing are first scaled down until it is, where that is possible. What is
        rounding then (`NOISE`) is taken off at twice the size of x (n,). `pulled` is A'u where it is known.
        """
        pulled = self.pulled(u) if pulled is None else pulled
        slope = self.cost + pulled
        terms = np.maximum(np.abs(self.cost) + np.abs(pulled), self.absolute)
        if not self.cost.any():
            shrink = self._shrinking(slope)
            if shrink < 1.0:
                u, slope = tuple(shrink * v for v in u), shrink * slope
        total = self.constant
        for part, v in zip(self.parts, u, strict=True):
            total += float(part.offset @ v) - part.conjugate(v)
        scale = np.maximum(terms, max(1.0, float(terms.max(initial=0.0)) * 1e-3))
        least = self._least(slope, scale, x)
        total += float(least.sum())
        return total if np.isfinite(total) else -np.inf

    def _shrinking(self, slope: np.ndarray) -> float:
        """The largest s <= 1 for which |s slope| <= lambda where nothing else holds and there is a lambda."""
        size = np.where(slope < 0, np.where(np.isfinite(self.upper), 0.0, -slope), slope)
        size = np.where((slope > 0) & np.isfinite(self.lower), 0.0, size)
        where = (self.ridge == 0) & (size > self.absolute) & (self.absolute > 0)
        return float((self.absolute[where] / size[where]).min(initial=1.0))

    def _least(self, slope: np.ndarray, scale: np.ndarray, x: np.ndarray) -> np.ndarray:
        """min over x_j in its bounds of slope_j x_j + lambda_j |x_j| + mu_j x_j^2 / 2 (n,)."""
        lam, mu = self.absolute, self.ridge
        curved = mu > 0
        over = np.maximum(np.abs(slope) - lam, 0.0)
        best = -np.sign(slope) * np.divide(over, mu, out=np.zeros(len(mu)), where=curved)
        pushed = np.where(slope > 0, self.lower, self.upper)  # where it goes without end
        loose = ~curved & (over > 0) & ~np.isfinite(pushed)
        best = np.where(~curved & (over > 0), np.where(np.isfinite(pushed), pushed, 0.0), best)
        best = np.clip(best, self.lower, self.upper)
        least = slope * best + lam * np.abs(best) + 0.5 * mu * best * best
        excess = over[loose]
        if (excess > NOISE * scale[loose]).any():
            return np.full(1, -np.inf)
        least[loose] -= 2.0 * excess * np.maximum(1.0, np.abs(x[loose]))
        return np.asarray(least)

    def unmet(self, x: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """How far the first-order conditions are from holding in each variable (n,): the least subgradient there.

        slope (n,) is cost + A'u.
        """
        slope = slope + self.ridge * x
        lam = self.absolute
        right = np.where(x >= 0, slope + lam, slope - lam)  # the derivative to the right, and to the left
        left = np.where(x > 0, slope + lam, slope - lam)
        right = np.where(x >= self.upper, np.inf, right)
        left = np.where(x <= self.lower, -np.inf, left)
        return np.asarray(np.where(right < 0, right, np.where(left > 0, left, 0.0)))

    def residual(self, x: np.ndarray, u: Sequence[np.ndarray], pulled: np.ndarray) -> float:
        """The largest entry of the least subgradient, relative to the sizes of the terms of each (at least 1)."""
        unmet = np.abs(self.unmet(x, self.cost + pulled))
        if float(unmet.max(initial=0.0)) <= 1e-9:
            return float(unmet.max(initial=0.0))
        sizes = np.maximum(1.0, np.abs(self.cost) + self.absolute + np.abs(self.ridge * x))
        for part, v in zip(self.parts, u, strict=True):
            sizes += part.operator.sizes(v)
        return float((unmet / sizes).max(initial=0.0))
