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

    theta: sum of |c|. dual (N,): the gradient of f + y'c - z'g. sizes: what the optimality error is made of.
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
    sizes: Sizes


@dataclass(frozen=True, slots=True)
class Sizes:
    """The parts of the optimality error (5) that do not depend on mu: scaled largest entries of dual and c, and the
    largest and smallest product of a gap with its multiplier, with the scale s_c of products."""

    dual: float
    primal: float
    largest: float
    smallest: float
    s_c: float


def _sizes(y: np.ndarray, z: np.ndarray, c: np.ndarray, gaps: np.ndarray, dual: np.ndarray) -> Sizes:
    sum_z = float(z.sum())
    count = len(y) + len(z)
    s_d = max(S_MAX, (float(np.abs(y).sum()) + sum_z) / count) / S_MAX if count else 1.0
    largest = smallest = 0.0
    s_c = 1.0
    if len(z):
        s_c = max(S_MAX, sum_z / len(z)) / S_MAX
        products = gaps * z
        largest, smallest = float(products.max()), float(products.min())
    primal = float(np.abs(c).max()) if len(c) else 0.0
    return Sizes(float(np.abs(dual).max(initial=0.0)) / s_d, primal, largest, smallest, s_c)


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
    gaps = bounds.gaps(w)
    theta = float(np.abs(c).sum())
    return Point(w, y, z, f, c, theta, gaps, gradient, jacobian, dual, _sizes(y, z, c, gaps, dual))


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
    sizes = at.sizes
    gap = max(sizes.largest - mu, mu - sizes.smallest) / sizes.s_c if len(at.z) else 0.0
    return Errors(sizes.dual, sizes.primal, gap)


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
