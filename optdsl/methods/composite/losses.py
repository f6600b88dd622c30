"""Convex functions of one number, and of a few numbers at once, with what certificates and methods ask of them.

A loss psi has its conjugate psi*(v) = sup_t v t - psi(t) (Rockafellar 1970, section 12), infinite outside its domain.
Smooth ones have slope and curvature; the others have prox(t, tau) = argmin_z psi(z) + (z - t)^2 / (2 tau) instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

EDGE = 1e-12
"""How far outside a conjugate's domain rounding may leave a multiplier: it counts as the edge."""


class Loss(Protocol):
    """psi on rows t (r,). `group`: so many rows in a run make one value; those losses sum over their groups.

    `steepest`: the largest curvature; infinite where there is none. `attained`: psi has a least value, or falls along
    no line.
    """

    @property
    def smooth(self) -> bool: ...

    @property
    def group(self) -> int: ...

    @property
    def steepest(self) -> float: ...

    @property
    def attained(self) -> bool: ...

    def value(self, t: np.ndarray) -> np.ndarray:
        """psi(t), one number a row, or a group."""

    def slope(self, t: np.ndarray) -> np.ndarray:
        """psi'(t) (r,); of one that is not smooth, some subgradient."""

    def curvature(self, t: np.ndarray) -> np.ndarray:
        """psi''(t) (r,)."""

    def chord(self, t: np.ndarray) -> np.ndarray:
        """The curvature of a parabola that touches psi at t and lies above it (r,); psi''(t) where none is known."""

    def conjugate(self, v: np.ndarray) -> np.ndarray:
        """psi*(v), one number a row, or a group."""

    def bend(self, t: np.ndarray, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """I - prox'(t) as a diagonal (r,), and for each group a vector a (r,) whose a a' is to be taken off."""

    def inside(self, v: np.ndarray) -> np.ndarray:
        """v moved into the domain of psi*, where rounding left it just outside."""

    def taken(self, rows: np.ndarray) -> Loss:
        """The loss on some of the rows (whole groups)."""

    def prox(self, t: np.ndarray, tau: np.ndarray) -> np.ndarray:
        """argmin_z psi(z) + (z - t)^2 / (2 tau), for tau (r,)."""


class _Uniform:
    def bend(self, t: np.ndarray, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        raise NotImplementedError("losses with kinks bend where their prox stands still")

    def inside(self, v: np.ndarray) -> np.ndarray:
        return v

    def taken(self, rows: np.ndarray) -> Any:
        return self


class _Smooth(_Uniform):
    smooth = True
    group = 1
    steepest = np.inf
    attained = True

    def curvature(self, t: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def chord(self, t: np.ndarray) -> np.ndarray:
        return self.curvature(t)

    def prox(self, t: np.ndarray, tau: np.ndarray) -> np.ndarray:
        raise NotImplementedError("smooth losses are differentiated")


class _Kinked(_Uniform):
    smooth = False
    group = 1
    steepest = np.inf
    attained = True

    def curvature(self, t: np.ndarray) -> np.ndarray:
        return np.zeros(len(t))

    def chord(self, t: np.ndarray) -> np.ndarray:
        return np.zeros(len(t))


@dataclass(frozen=True)
class Square(_Smooth):
    """t^2 / 2."""

    steepest = 1.0

    def value(self, t: np.ndarray) -> np.ndarray:
        return 0.5 * t * t

    def slope(self, t: np.ndarray) -> np.ndarray:
        return t

    def curvature(self, t: np.ndarray) -> np.ndarray:
        return np.ones(len(t))

    def conjugate(self, v: np.ndarray) -> np.ndarray:
        return 0.5 * v * v


@dataclass(frozen=True)
class Softplus(_Smooth):
    """log(1 + e^t)."""

    steepest = 0.25
    attained = False

    def value(self, t: np.ndarray) -> np.ndarray:
        return np.maximum(t, 0.0) + np.log1p(np.exp(-np.abs(t)))

    def slope(self, t: np.ndarray) -> np.ndarray:
        small = np.exp(-np.abs(t))
        return np.where(t >= 0, 1.0, small) / (1.0 + small)

    def curvature(self, t: np.ndarray) -> np.ndarray:
        small = np.exp(-np.abs(t))
        return small / (1.0 + small) ** 2

    def chord(self, t: np.ndarray) -> np.ndarray:
        """tanh(t / 2) / (2 t) (Jaakkola and Jordan 2000, eq. 9)."""
        size = np.maximum(np.abs(t), 1e-6)
        return np.asarray(np.tanh(0.5 * size) / (2.0 * size))

    def conjugate(self, v: np.ndarray) -> np.ndarray:
        inside = np.clip(v, 0.0, 1.0)
        value = _entropy(inside) + _entropy(1.0 - inside)
        return np.where((v < -EDGE) | (v > 1.0 + EDGE), np.inf, value)


@dataclass(frozen=True)
class Exponential(_Smooth):
    """e^t."""

    attained = False

    def value(self, t: np.ndarray) -> np.ndarray:
        return np.exp(t)

    def slope(self, t: np.ndarray) -> np.ndarray:
        return np.exp(t)

    def curvature(self, t: np.ndarray) -> np.ndarray:
        return np.exp(t)

    def conjugate(self, v: np.ndarray) -> np.ndarray:
        inside = np.maximum(v, 0.0)
        return np.where(v < -EDGE, np.inf, _entropy(inside) - inside)


@dataclass(frozen=True, eq=False)
class Huber(_Smooth):
    """t^2 / 2 up to |t| = delta, delta |t| - delta^2 / 2 beyond (Huber 1964); delta > 0 (r,) or one number."""

    delta: np.ndarray | float
    steepest = 1.0

    def taken(self, rows: np.ndarray) -> Huber:
        return self if np.ndim(self.delta) == 0 else Huber(np.asarray(self.delta)[rows])

    def value(self, t: np.ndarray) -> np.ndarray:
        inner = np.minimum(np.abs(t), self.delta)
        return inner * (np.abs(t) - 0.5 * inner)

    def slope(self, t: np.ndarray) -> np.ndarray:
        return np.clip(t, -np.asarray(self.delta), self.delta)

    def curvature(self, t: np.ndarray) -> np.ndarray:
        return (np.abs(t) <= self.delta).astype(np.float64)

    def chord(self, t: np.ndarray) -> np.ndarray:
        """The weights of iterated least squares (Holland and Welsch 1977)."""
        return np.asarray(self.delta / np.maximum(np.abs(t), self.delta))

    def conjugate(self, v: np.ndarray) -> np.ndarray:
        return np.where(np.abs(v) > np.asarray(self.delta) * (1.0 + EDGE), np.inf, 0.5 * v * v)


@dataclass(frozen=True)
class SquaredPositive(_Smooth):
    """max(t, 0)^2 / 2."""

    steepest = 1.0

    def value(self, t: np.ndarray) -> np.ndarray:
        return 0.5 * np.maximum(t, 0.0) ** 2

    def slope(self, t: np.ndarray) -> np.ndarray:
        return np.maximum(t, 0.0)

    def curvature(self, t: np.ndarray) -> np.ndarray:
        return (t > 0).astype(np.float64)

    def chord(self, t: np.ndarray) -> np.ndarray:
        return np.ones(len(t))

    def conjugate(self, v: np.ndarray) -> np.ndarray:
        return np.where(v < -EDGE, np.inf, 0.5 * np.maximum(v, 0.0) ** 2)


@dataclass(frozen=True)
class Positive(_Kinked):
    """max(t, 0)."""

    def value(self, t: np.ndarray) -> np.ndarray:
        return np.maximum(t, 0.0)

    def slope(self, t: np.ndarray) -> np.ndarray:
        return (t > 0).astype(np.float64)

    def conjugate(self, v: np.ndarray) -> np.ndarray:
        return np.where((v < -EDGE) | (v > 1.0 + EDGE), np.inf, 0.0)

    def prox(self, t: np.ndarray, tau: np.ndarray) -> np.ndarray:
        return np.where(t > tau, t - tau, np.minimum(t, 0.0))

    def bend(self, t: np.ndarray, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return ((t >= 0) & (t <= tau)).astype(np.float64), None

    def inside(self, v: np.ndarray) -> np.ndarray:
        return np.clip(v, 0.0, 1.0)


@dataclass(frozen=True)
class Absolute(_Kinked):
    """|t|."""

    def value(self, t: np.ndarray) -> np.ndarray:
        return np.abs(t)

    def slope(self, t: np.ndarray) -> np.ndarray:
        return np.sign(t)

    def conjugate(self, v: np.ndarray) -> np.ndarray:
        return np.where(np.abs(v) > 1.0 + EDGE, np.inf, 0.0)

    def prox(self, t: np.ndarray, tau: np.ndarray) -> np.ndarray:
        return np.asarray(np.sign(t) * np.maximum(np.abs(t) - tau, 0.0))

    def bend(self, t: np.ndarray, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return (np.abs(t) <= tau).astype(np.float64), None

    def inside(self, v: np.ndarray) -> np.ndarray:
        return np.clip(v, -1.0, 1.0)


@dataclass(frozen=True)
class Length(_Kinked):
    """The Euclidean length of each run of `group` rows; tau is the same within a run."""

    group: int = 1

    def _sizes(self, t: np.ndarray) -> np.ndarray:
        return np.linalg.norm(t.reshape(-1, self.group), axis=1)

    def value(self, t: np.ndarray) -> np.ndarray:
        return self._sizes(t)

    def slope(self, t: np.ndarray) -> np.ndarray:
        sizes = np.repeat(self._sizes(t), self.group)
        return np.divide(t, sizes, out=np.zeros(len(t)), where=sizes > 0)

    def conjugate(self, v: np.ndarray) -> np.ndarray:
        return np.where(self._sizes(v) > 1.0 + EDGE, np.inf, 0.0)

    def prox(self, t: np.ndarray, tau: np.ndarray) -> np.ndarray:
        sizes = np.repeat(self._sizes(t), self.group)
        share = np.divide(tau, sizes, out=np.ones(len(t)), where=sizes > 0)
        return np.asarray(t * np.maximum(1.0 - share, 0.0))

    def bend(self, t: np.ndarray, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """I inside the ball of radius tau, (tau / |t|) (I - t t' / |t|^2) outside."""
        sizes = np.repeat(self._sizes(t), self.group)
        share = np.divide(tau, sizes, out=np.ones(len(t)), where=sizes > tau)
        unit = np.divide(t, sizes, out=np.zeros(len(t)), where=sizes > tau)
        return share, np.sqrt(share) * unit

    def inside(self, v: np.ndarray) -> np.ndarray:
        return v / np.maximum(1.0, np.repeat(self._sizes(v), self.group))


@dataclass(frozen=True)
class LogSumExp(_Smooth):
    """log of the sum of e^t over each run of `group` rows: of softmax regression, the part that is not linear."""

    group: int = 1
    steepest = 0.5
    attained = False

    def _shares(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = t.reshape(-1, self.group)
        top = rows.max(axis=1, keepdims=True)
        powers = np.exp(rows - top)
        return top[:, 0], powers, powers.sum(axis=1, keepdims=True)

    def value(self, t: np.ndarray) -> np.ndarray:
        top, _, total = self._shares(t)
        return np.asarray(top + np.log(total[:, 0]))

    def slope(self, t: np.ndarray) -> np.ndarray:
        _, powers, total = self._shares(t)
        return np.asarray((powers / total).reshape(-1))

    def curvature(self, t: np.ndarray) -> np.ndarray:
        """The diagonal; the whole of a run is diag(p) - p p', which `slope` gives."""
        p = self.slope(t)
        return p * (1.0 - p)

    def conjugate(self, v: np.ndarray) -> np.ndarray:
        rows = v.reshape(-1, self.group)
        inside = np.maximum(rows, 0.0)
        wrong = (rows < -EDGE).any(axis=1) | (np.abs(rows.sum(axis=1) - 1.0) > 1e-9)
        return np.where(wrong, np.inf, _entropy(inside).sum(axis=1))


def _entropy(v: np.ndarray) -> np.ndarray:
    """v log v, 0 at 0."""
    return np.asarray(v * np.log(np.where(v > 0, v, 1.0)))
