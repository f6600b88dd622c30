"""A problem whose rows have become a term of the objective: a problem with bounds only.

    F(x) = f(x) + sum_i phi_i(s_i c_i(x)),   F' = f' + A'S phi',   F'' = L''(x, S phi') + A'S diag(phi'') S A

s_i scales row i. What phi is, is a part of its own:

    multipliers    phi = rho/2 dist(c + y/rho, [l, u])^2: the augmented Lagrangian in the form of Powell, Hestenes and
                   Rockafellar (Rockafellar 1973), for any sides; with y = 0 the quadratic penalty
    absolute       phi = rho times the distance of c from [l, u], rounded off near 0 by epsilon (Pinar and Zenios 1994)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from optdsl.methods.curvature import SMALL, dense_matrix, dense_symmetric
from optdsl.nlp import Nlp, Pattern, Residuals


class Shape(Protocol):
    """phi for all rows at once: values, first and second derivatives at row values c (m,)."""

    def at(self, c: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """phi, phi', phi'' (m,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Multipliers:
    """The augmented Lagrangian's: y (m,) and rho."""

    y: np.ndarray
    rho: float

    def at(self, c: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """phi, phi', phi'' (m,)."""
        t = c + self.y / self.rho
        out = t - np.minimum(np.maximum(t, lower), upper)
        active = (out != 0) | (lower == upper)
        value = 0.5 * self.rho * out**2 - 0.5 * self.y**2 / self.rho
        return value, self.rho * out, np.where(active, self.rho, 0.0)


@dataclass(frozen=True, slots=True)
class Absolute:
    """rho times the violation, rounded off: (sqrt(v^2 + epsilon^2) - epsilon) for equalities, half of v more else."""

    rho: float
    epsilon: float

    def at(self, c: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """phi, phi', phi'' (m,)."""
        equal = lower == upper
        value, slope, bend = self._rounded(np.where(equal, c - lower, 0.0))
        value, slope, bend = (np.where(equal, a, 0.0) for a in (value, slope, bend))
        for side, sign in ((upper, 1.0), (lower, -1.0)):
            has = ~equal & np.isfinite(side)
            v = np.where(has, sign * (c - np.where(has, side, 0.0)), 0.0)
            one, two, three = self._rounded(v)
            value = value + np.where(has, 0.5 * (self.rho * v + one), 0.0)
            slope = slope + np.where(has, 0.5 * sign * (self.rho + two), 0.0)
            bend = bend + np.where(has, 0.5 * three, 0.0)
        return value, slope, bend

    def _rounded(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        root = np.sqrt(v * v + self.epsilon**2)
        return self.rho * (root - self.epsilon), self.rho * v / root, self.rho * self.epsilon**2 / root**3


@dataclass(eq=False)
class Penalized:
    """The wrapper: an `Nlp` with bounds and no rows. `scales` (m,) are the s_i, `weight` scales f."""

    inner: Nlp
    shape: Shape
    scales: np.ndarray
    weight: float
    start: np.ndarray
    residuals: Residuals | None = None
    convex: bool = False

    def __post_init__(self) -> None:
        self.lower, self.upper = self.inner.lower, self.inner.upper
        self.row_lower, self.row_upper, self.linear = np.zeros(0), np.zeros(0), np.zeros(0, dtype=bool)
        nothing = np.zeros(0, dtype=np.int64)
        self.jacobian_pattern = Pattern(nothing, nothing, (0, len(self.start)))
        self.sides = (self.scales * self.inner.row_lower, self.scales * self.inner.row_upper)

    @cached_property
    def hessian_pattern(self) -> Pattern | None:
        """The whole lower triangle of a small problem; else there are products only."""
        n = len(self.start)
        if n > SMALL:
            return None
        rows, columns = np.tril_indices(n)
        return Pattern(rows, columns, (n, n))

    def terms(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """phi, phi', phi'' of the rows at x (m,)."""
        return self.shape.at(self.scales * self.inner.constraints(x), *self.sides)

    def objective(self, x: np.ndarray) -> float:
        """F(x)."""
        return self.weight * self.inner.objective(x) + float(self.terms(x)[0].sum())

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """F'(x) (n,)."""
        pattern = self.inner.jacobian_pattern
        y = self.scales * self.terms(x)[1]
        through = np.bincount(pattern.columns, self.inner.jacobian(x) * y[pattern.rows], minlength=len(x))
        return self.weight * self.inner.gradient(x) + through

    def constraints(self, x: np.ndarray) -> np.ndarray:
        """No rows."""
        return np.zeros(0)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """No rows."""
        return np.zeros(0)

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        """weight * F''(x), the lower triangle of a dense matrix."""
        _, slope, bend = self.terms(x)
        y, n = self.scales * slope, len(x)
        pattern = self.inner.hessian_pattern
        if pattern is not None:
            W = dense_symmetric(pattern, self.inner.hessian(x, y, self.weight))
        else:
            W = np.array([self.inner.hessian_product(x, y, unit, self.weight) for unit in np.eye(n)]).reshape(n, n)
        A = dense_matrix(self.inner.jacobian_pattern, self.inner.jacobian(x))
        W = W + A.T @ ((self.scales**2 * bend)[:, None] * A)
        return weight * W[np.tril_indices(n)]

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        """weight * F''(x) direction (n,)."""
        _, slope, bend = self.terms(x)
        pattern, values = self.inner.jacobian_pattern, self.inner.jacobian(x)
        along = np.bincount(pattern.rows, values * direction[pattern.columns], minlength=len(slope))
        along *= self.scales**2 * bend
        through = np.bincount(pattern.columns, values * along[pattern.rows], minlength=len(x))
        return weight * (self.inner.hessian_product(x, self.scales * slope, direction, self.weight) + through)
