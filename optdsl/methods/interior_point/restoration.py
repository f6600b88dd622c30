"""Feasibility restoration: the least violation near the point where the filter search got stuck.

    minimize rho sum (p + q) + zeta / 2 |D (w - w_R)|^2   subject to   c(w) - p + q = 0,   p, q >= 0, w in its bounds

Waechter and Biegler (2006), section 3.3, problem (30); q is the paper's n. p and q are row variables, so the core of
the KKT system keeps its size and pattern. The same iteration solves it, and stops when the filter takes the point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from optdsl.methods.interior_point.barrier import Point, barrier, kept_near_center, point, to_boundary
from optdsl.methods.interior_point.filter import Filter
from optdsl.methods.interior_point.form import Bounds, Slacked
from optdsl.methods.interior_point.newton import Regularization, least_squares_multipliers
from optdsl.methods.interior_point.search import Phase
from optdsl.nlp import Pattern

RHO = 1000.0
KAPPA_RESTO = 0.9
LARGEST_MULTIPLIER = 1e3
"""Multipliers beyond this after a restoration are started anew (section 3.3)."""


@dataclass(frozen=True, eq=False, slots=True)
class Elastic:
    """Problem (30) about a reference point; `base` is the problem whose rows are made elastic."""

    base: Slacked
    reference: np.ndarray
    weights: np.ndarray
    zeta: float
    n: int
    m: int
    row_of: np.ndarray
    sign: np.ndarray
    jacobian_pattern: Pattern
    hessian_pattern: Pattern
    bounds: Bounds

    def _parts(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size, m = len(self.reference), self.m
        return w[:size], w[size : size + m], w[size + m :]

    def objective(self, w: np.ndarray) -> float:
        inner, p, q = self._parts(w)
        away = self.weights * (inner - self.reference)
        return RHO * float(p.sum() + q.sum()) + 0.5 * self.zeta * float(away.dot(away))

    def gradient(self, w: np.ndarray) -> np.ndarray:
        inner, _, _ = self._parts(w)
        return np.concatenate(
            [
                self.zeta * self.weights**2 * (inner - self.reference),
                np.full(2 * self.m, RHO),
            ]
        )

    def residual(self, w: np.ndarray) -> np.ndarray:
        inner, p, q = self._parts(w)
        return self.base.residual(inner) - p + q

    def jacobian(self, w: np.ndarray) -> np.ndarray:
        return self.base.jacobian(self._parts(w)[0])

    def hessian(self, w: np.ndarray, y: np.ndarray) -> np.ndarray:
        return self.base.hessian(self._parts(w)[0], y, 0.0)

    def curvature(self) -> np.ndarray:
        return np.concatenate([self.zeta * self.weights**2, np.zeros(2 * self.m)])

    def at_barrier(self, mu: float) -> Elastic:
        return replace(self, zeta=float(np.sqrt(mu)))

    def inner(self, w: np.ndarray) -> np.ndarray:
        """The base problem's variables."""
        return w[: len(self.reference)]


def _elastic_parts(c: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """p and q (m,) that minimize the barrier objective for fixed w (33)."""
    half = (mu - RHO * c) / (2 * RHO)
    q = half + np.sqrt(half**2 + mu * c / (2 * RHO))
    # For c > 0 the difference cancels; the other root's product gives the same number stably.
    stable = np.where(half < 0, (mu * c / (2 * RHO)) / (np.sqrt(half**2 + mu * c / (2 * RHO)) - half), q)
    q = np.maximum(stable, 1e-300)
    return np.maximum(c + q, 1e-300), q


def restoration(main: Phase) -> Phase:
    """The restoration problem's phase from the point of the main phase."""
    base, at = main.form, main.at
    assert isinstance(base, Slacked)
    mu = max(main.mu, float(np.abs(at.c).max()))
    m, size = base.m, len(at.w)
    p, q = _elastic_parts(at.c, mu)
    everywhere = np.arange(m)
    bounds = base.bounds
    grown = Bounds(
        index=np.concatenate([bounds.index, size + np.arange(2 * m)]),
        sign=np.concatenate([bounds.sign, np.ones(2 * m)]),
        bound=np.concatenate([bounds.bound, np.zeros(2 * m)]),
        size=size + 2 * m,
        damped=np.concatenate([bounds.damped, np.zeros(2 * m, dtype=bool)]),
    )
    form = Elastic(
        base=base,
        reference=at.w,
        weights=np.minimum(1.0, 1.0 / np.maximum(np.abs(at.w), 1e-300)),
        zeta=float(np.sqrt(mu)),
        n=base.n,
        m=m,
        row_of=np.concatenate([base.row_of, everywhere, everywhere]),
        sign=np.concatenate([base.sign, -np.ones(m), np.ones(m)]),
        jacobian_pattern=base.jacobian_pattern,
        hessian_pattern=base.hessian_pattern,
        bounds=grown,
    )
    w = np.concatenate([at.w, p, q])
    z = np.concatenate([np.minimum(RHO, at.z), mu / p, mu / q])
    start = point(form, w, np.zeros(m), z)
    return Phase(form, main.kkt, start, mu, Filter.at(start.theta), main.tolerance, Regularization())


def resettled(phase: Phase) -> Phase:
    """A restoration phase whose own search got stuck, with p and q best for its w, and an empty filter."""
    form = phase.form
    assert isinstance(form, Elastic)
    inner = form.inner(phase.at.w)
    p, q = _elastic_parts(form.base.residual(inner), phase.mu)
    z = np.concatenate([phase.at.z[: -2 * form.m], phase.mu / p, phase.mu / q])
    start = point(form, np.concatenate([inner, p, q]), np.zeros(form.m), z)
    return Phase(form, phase.kkt, start, phase.mu, Filter.at(start.theta), phase.tolerance, Regularization())


def returned(main: Phase, phase: Phase, any_point: bool = False) -> Phase | None:
    """The main phase at the restored point when the filter takes it and the violation fell enough; else None.

    any_point: take it whatever the filter says, and empty the filter.
    """
    form, base, at = phase.form, main.form, main.at
    assert isinstance(form, Elastic)
    w = form.inner(phase.at.w)
    c = base.residual(w)
    theta = float(np.abs(c).sum())
    if not any_point and theta > KAPPA_RESTO * at.theta:
        return None
    f = base.objective(w)
    gaps = base.bounds.gaps(w)
    phi = barrier(base, f, gaps, main.mu)
    if not np.isfinite(phi) or not (any_point or main.filter.accepts(theta, phi)):
        return None
    gradient = base.gradient(w)
    if not np.isfinite(gradient).all():
        return None
    # Multipliers of the bounds by the direction that restoration took as a whole (9).
    dz = main.mu / at.gaps - at.z - at.z / at.gaps * base.bounds.change(w - at.w)
    z = at.z + to_boundary(at.z, dz, max(0.99, 1.0 - main.mu)) * dz
    z = np.ones(len(z)) if z.max(initial=0.0) > LARGEST_MULTIPLIER else kept_near_center(z, gaps, main.mu)
    pulled = gradient - base.bounds.spread(base.bounds.sign * z)
    y = least_squares_multipliers(base, main.kkt, pulled, phase.at.jacobian, LARGEST_MULTIPLIER)
    new: Point = point(base, w, y, z, (f, c), (gradient, phase.at.jacobian))
    kept = main.filter.emptied() if any_point else main.filter
    return replace(main, at=new, filter=kept, tiny=0)
