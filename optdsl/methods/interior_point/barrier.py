"""The barrier problem: its function, its errors, and how its parameter falls.

phi(w) = f(w) - mu sum log g + kappa_d mu sum over single bounds of g         Waechter and Biegler (2006), (4), 3.7
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optdsl.methods.interior_point.form import Form, transposed_product

KAPPA_D = 1e-5
"""Weight that keeps variables with a single bound from running away (section 3.7)."""
S_MAX = 100.0
KAPPA_EPSILON, KAPPA_MU, THETA_MU, TAU_MIN = 10.0, 0.2, 1.5, 0.99
KAPPA_SIGMA = 1e10


@dataclass(frozen=True, eq=False, slots=True)
class Point:
    """w (N,), y (m,), z (b,) with everything evaluated there; letters as in `form`.

    theta: sum of |c|. dual (N,): the gradient of f + y'c - z'g.
    """

    w: np.ndarray
    y: np.ndarray
    z: np.ndarray
    f: float
    c: np.ndarray
    theta: float
    gaps: np.ndarray
    gradient: np.ndarray
    jacobian: np.ndarray
    dual: np.ndarray


def point(
    form: Form,
    w: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    values: tuple[float, np.ndarray] | None = None,
    derivatives: tuple[np.ndarray, np.ndarray] | None = None,
) -> Point:
    """The point with its functions evaluated, `values` (f, c) and `derivatives` where they are known already."""
    f, c = values if values is not None else (form.objective(w), form.residual(w))
    gradient, jacobian = derivatives if derivatives is not None else (form.gradient(w), form.jacobian(w))
    bounds = form.bounds
    dual = gradient + transposed_product(form, jacobian, y) - bounds.spread(bounds.sign * z)
    return Point(w, y, z, f, c, float(np.abs(c).sum()), bounds.gaps(w), gradient, jacobian, dual)


def barrier(form: Form, f: float, gaps: np.ndarray, mu: float) -> float:
    """phi for an objective and gaps; inf where a gap is not positive."""
    if not len(gaps):
        return f
    damped = form.bounds.damped
    return f - mu * float(np.log(gaps).sum()) + KAPPA_D * mu * float(gaps[damped].sum())


def barrier_slope(form: Form, at: Point, dw: np.ndarray, dg: np.ndarray, mu: float) -> float:
    """The derivative of phi along a direction."""
    slope = float(at.gradient.dot(dw))
    if len(dg):
        slope += mu * float((KAPPA_D * form.bounds.damped - 1.0 / at.gaps).dot(dg))
    return slope


def barrier_gradient_from_dual(form: Form, at: Point, mu: float) -> np.ndarray:
    """The gradient of phi + y'c (N,): the right-hand side of (13) but for its sign."""
    bounds = form.bounds
    return at.dual + bounds.spread(bounds.sign * (at.z - mu / at.gaps + (KAPPA_D * mu) * bounds.damped))


@dataclass(frozen=True, slots=True)
class Errors:
    """The optimality error of (5) in its parts: scaled gradient of the Lagrangian, rows, complementarity."""

    dual: float
    primal: float
    complementarity: float

    @property
    def largest(self) -> float:
        return max(self.dual, self.primal, self.complementarity)


def errors(at: Point, mu: float) -> Errors:
    """E_mu of (5)."""
    sum_z = float(at.z.sum())
    count = len(at.y) + len(at.z)
    s_d = max(S_MAX, (float(np.abs(at.y).sum()) + sum_z) / count) / S_MAX if count else 1.0
    s_c = max(S_MAX, sum_z / len(at.z)) / S_MAX if len(at.z) else 1.0
    products = at.gaps * at.z
    gap = max(float(products.max()) - mu, mu - float(products.min())) if len(products) else 0.0
    return Errors(
        float(np.abs(at.dual).max(initial=0.0)) / s_d, float(np.abs(at.c).max(initial=0.0)), gap / s_c
    )


def lowered(mu: float, smallest: float) -> float:
    """The next barrier parameter of the monotone rule (7)."""
    return max(smallest, min(KAPPA_MU * mu, mu**THETA_MU))


def tau_of(mu: float) -> float:
    """The share of the way to the bounds that a step may go (8)."""
    return max(TAU_MIN, 1.0 - mu)


def to_boundary(values: np.ndarray, change: np.ndarray, tau: float) -> float:
    """The longest step in (0, 1] that keeps values + step * change >= (1 - tau) * values (15)."""
    if not len(values):
        return 1.0
    fastest = float((change / values).min())
    return 1.0 if fastest >= -tau else tau / -fastest


def kept_near_center(z: np.ndarray, gaps: np.ndarray, mu: float) -> np.ndarray:
    """Multipliers no further from mu / g than a factor kappa_Sigma (16)."""
    center = mu / gaps
    return np.maximum(np.minimum(z, KAPPA_SIGMA * center), center / KAPPA_SIGMA)
