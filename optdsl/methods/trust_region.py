"""Newton's method in a trust region, with or without bounds on the variables.

    q_k(s) = g_k's + s'B_k s / 2,   B_k the Hessian at x_k
    rho_k = (f(x_k) - f(x_k + s_k)) / -q_k(s_k);   x_{k+1} = x_k + s_k where rho_k > eta, and Delta_k follows rho_k

Without bounds s_k minimizes q_k over |s| <= Delta_k: exactly for small problems (More and Sorensen 1983), by
conjugate gradients for large ones (Steihaug 1983). With bounds the step is that of Lin and More 1999 (TRON): a
projected Cauchy step (their 2.3-2.4), then minor iterations that minimize q_k over the variables off their bounds
(4.2) followed by a projected search (4.4), until the free part of the model's gradient is small (4.5).

Deviations: the ball is scaled by the roots of the diagonal of B_k, within a ratio of ten; small problems end only where
B_k on the free variables has no negative eigenvalue, else they go on along it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from optdsl.methods.curvature import SMALL, Curvature, curvature_at
from optdsl.methods.driver import Ending, Record
from optdsl.methods.iterates import (
    FirstOrder,
    Iterate,
    bound_multipliers,
    inside,
    is_free,
    norm,
    projected_gradient,
)
from optdsl.methods.searches import noise
from optdsl.methods.subproblems import BallStep, exact_step, steihaug_step
from optdsl.nlp import Nlp

ETA = 1e-4
"""A step is taken where the objective falls by this share of the promise."""
MU = 1e-2
"""Sufficient decrease of the model in the projected searches (mu_0 of Lin and More)."""
GROWTH = 1.5
"""How much longer than a good step to the boundary the radius becomes; twice as long jumps into other valleys."""
INDEFINITE = 1e-8
"""An eigenvalue below minus this, relative to the largest one, is negative."""


@dataclass(frozen=True, slots=True, eq=False)
class TrustRegionState(Iterate):
    """Gradient, curvature and radius at x; `unit` measures gradients, `refused` counts steps in a row not taken."""

    gradient: np.ndarray
    curvature: Curvature
    radius: float
    unit: float
    refused: int


@dataclass(frozen=True, slots=True)
class TrustRegion:
    """Settings: tolerance, first radius (0: from the start), and up to how many variables the step is exact."""

    name: ClassVar[str] = "trust_region"
    tol: float = 1e-8
    radius: float = 0.0
    exact_up_to: int = SMALL

    def start(self, problem: Nlp) -> TrustRegionState:
        """The state at the problem's start, moved into the bounds."""
        return self.start_at(problem, problem.start)

    def start_at(self, problem: Nlp, start: np.ndarray) -> TrustRegionState:
        """The state at another start."""
        x = inside(np.array(start, dtype=float), problem.lower, problem.upper)
        f, g = problem.objective(x), problem.gradient(x)
        stopping = FirstOrder(self.tol)
        state = TrustRegionState(
            x=x,
            row_multipliers=np.zeros(0),
            bound_multipliers=np.zeros(len(x)),
            record=Record(objective=f, primal=0.0, dual=norm(g)),
            ending=Ending.UNDEFINED,
            gradient=g,
            curvature=Curvature(None, lambda v: v),
            radius=self.radius or max(1.0, 0.5 * float(np.linalg.norm(x))),
            unit=stopping.unit(projected_gradient(x, g, problem.lower, problem.upper)),
            refused=0,
        )
        if not (math.isfinite(f) and np.isfinite(g).all()):
            return state
        return self._arrived(problem, state, x, f, g, 0.0)

    def step(self, problem: Nlp, state: TrustRegionState) -> TrustRegionState:
        """The state one trial step later."""
        scale = _scale(state.curvature, len(state.x))
        step = self._trial_step(problem, state, scale)
        x = inside(state.x + step.p, problem.lower, problem.upper)
        s = x - state.x
        length = float(np.linalg.norm(scale * s))
        f_old = state.record.objective
        if length == 0 or not step.fall > 0:
            return self._ended(state, exact=step.fall == 0)
        f = problem.objective(x)
        slack = noise(f_old)
        rho = (f_old - f + slack) / (step.fall + slack) if math.isfinite(f) else -math.inf
        if f < -1e20:
            rho = 1.0
        if rho > ETA:
            g = problem.gradient(x)
            if np.isfinite(g).all() and self._worth_it(problem, state, step.fall, x, f, g):
                radius = _new_radius(state.radius, length, rho, step.boundary)
                return self._arrived(problem, replace(state, radius=radius, refused=0), x, f, g, length)
            rho = -math.inf
        if step.fall <= slack:
            return self._ended(state, exact=not step.boundary)
        return self._refused(state, s, length, f)

    def _worth_it(
        self, problem: Nlp, state: TrustRegionState, fall: float, x: np.ndarray, f: float, g: np.ndarray
    ) -> bool:
        """Where differences of the objective are rounding, a step must at least make the gradient smaller."""
        slack = noise(state.record.objective)
        if fall > slack or f < state.record.objective - slack:
            return True
        return norm(projected_gradient(x, g, problem.lower, problem.upper)) < state.record.dual

    def _ended(self, state: TrustRegionState, exact: bool) -> TrustRegionState:
        """No step is left: the model's minimum, inside the ball, is not below f by more than rounding, or stuck."""
        settled = exact or state.record.dual <= self.tol * state.unit
        return replace(state, ending=Ending.CONVERGED if settled else Ending.NO_PROGRESS)

    def _refused(self, state: TrustRegionState, s: np.ndarray, length: float, f: float) -> TrustRegionState:
        """The same point with a smaller ball: where a parabola along the step has its minimum (Lin and More, (2.8))."""
        share = 0.1
        if math.isfinite(f):
            slope = float(state.gradient @ s)
            bend = f - state.record.objective - slope
            share = min(max(-0.5 * slope / bend, 0.1), 0.5) if bend > 0 else 0.25
        radius = share * min(state.radius, length)
        spent = radius <= 1e-16 * max(1.0, float(np.linalg.norm(state.x)))
        record = replace(state.record, step=0.0, penalty=radius)
        ending = Ending.NO_PROGRESS if spent else None
        return replace(state, record=record, radius=radius, refused=state.refused + 1, ending=ending)

    def _arrived(
        self, problem: Nlp, state: TrustRegionState, x: np.ndarray, f: float, g: np.ndarray, length: float
    ) -> TrustRegionState:
        """The state at a new point: its curvature, and whether the run ends there."""
        residual = norm(projected_gradient(x, g, problem.lower, problem.upper))
        curvature = curvature_at(problem, x, small=self.exact_up_to)
        ending = FirstOrder(self.tol).ending(f, residual, state.unit)
        if curvature.dense is not None and not np.isfinite(curvature.dense).all():
            ending = ending or Ending.NO_PROGRESS
        elif ending is Ending.CONVERGED and curvature.dense is not None:
            free = _off_bounds(problem, x, g)
            values = np.linalg.eigvalsh(curvature.dense[np.ix_(free, free)])
            if values.size and values[0] < -INDEFINITE * max(state.unit * 1e-2, float(np.abs(values).max())):
                ending = None
        return replace(
            state,
            x=x,
            bound_multipliers=bound_multipliers(x, g, problem.lower, problem.upper),
            record=Record(objective=f, primal=0.0, dual=residual, step=length, penalty=state.radius),
            ending=ending,
            gradient=g,
            curvature=curvature,
        )

    def _trial_step(self, problem: Nlp, state: TrustRegionState, scale: np.ndarray) -> BallStep:
        if is_free(problem):
            return _in_ball(state.curvature, state.gradient, state.radius, _accuracy(state.gradient), scale)
        return _projected_step(problem, state, scale, settled=state.record.dual <= self.tol * state.unit)


def _off_bounds(problem: Nlp, x: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.flatnonzero((x > problem.lower) & (x < problem.upper))


def _new_radius(radius: float, length: float, rho: float, boundary: bool) -> float:
    if rho < 0.25:
        return 0.5 * min(radius, length)
    if rho > 0.75 and boundary:
        return max(radius, GROWTH * length)
    return radius


def _accuracy(gradient: np.ndarray) -> float:
    """The forcing term of a superlinear method (NW eq. 7.3): min(0.1, sqrt |g|) |g|."""
    size = float(np.linalg.norm(gradient))
    return min(0.1, math.sqrt(size)) * size


def _in_ball(curvature: Curvature, g: np.ndarray, radius: float, accuracy: float, scale: np.ndarray) -> BallStep:
    # In the variables w = D s the ball is |w| <= Delta.
    if curvature.dense is not None:
        step = exact_step(curvature.dense / np.outer(scale, scale), g / scale, radius)
        return BallStep(step.p / scale, step.fall, step.boundary)
    accuracy /= float(scale.max())
    step = steihaug_step(lambda w: curvature.product(w / scale) / scale, g / scale, radius, accuracy, 2 * len(g) + 10)
    return BallStep(step.p / scale, step.fall, step.boundary)


def _scale(curvature: Curvature, n: int) -> np.ndarray:
    """D, with mean 1 (the geometric one)."""
    diagonal = curvature.diagonal
    if diagonal is None:
        return np.ones(n)
    size = np.sqrt(np.abs(diagonal))
    largest = float(size.max())
    if not math.isfinite(largest) or largest == 0:
        return np.ones(n)
    size = np.maximum(size, 0.1 * largest)
    return size / float(np.exp(np.log(size).mean()))


def _projected_step(problem: Nlp, state: TrustRegionState, scale: np.ndarray, settled: bool) -> BallStep:
    """Cauchy step and minor iterations of Lin and More 1999; at a settled gradient, along negative curvature."""
    x, g, B = state.x, state.gradient, state.curvature
    lower, upper = problem.lower - x, problem.upper - x
    s = _cauchy(B, g, lower, upper, state.radius, scale)
    Bs = B.product(s)
    start_free = (s > lower) & (s < upper)
    goal = 1e-2 * min(1.0, math.sqrt(norm(g))) * float(np.linalg.norm(g[start_free])) if start_free.any() else 0.0
    boundary = False
    for _ in range(30):
        slope = g + Bs
        free = np.flatnonzero((s > lower) & (s < upper))
        small = free.size == 0 or float(np.linalg.norm(slope[free])) <= max(goal, 1e-300)
        if free.size == 0 or (small and not settled):
            break
        step = _in_ball(_restricted(B, free, len(x)), slope[free], state.radius, 0.5 * goal, scale[free])
        boundary = boundary or step.boundary
        w = np.zeros(len(x))
        w[free] = step.p
        moved, B_moved = _projected_search(B, slope, s, w, lower, upper)
        if moved is None or B_moved is None:
            break
        before = free.size
        s, Bs = moved, Bs + B_moved
        if step.boundary or int(((s > lower) & (s < upper)).sum()) == before:
            break
    fall = float(-(g @ s) - 0.5 * (s @ Bs))
    left = inside(-(g + Bs), lower - s, upper - s)
    unfinished = float(np.linalg.norm(left)) > max(goal, 1e-10 * float(np.linalg.norm(g)))
    return BallStep(s, fall, boundary or unfinished or float(np.linalg.norm(scale * s)) >= 0.99 * state.radius)


def _cauchy(
    B: Curvature, g: np.ndarray, lower: np.ndarray, upper: np.ndarray, radius: float, scale: np.ndarray
) -> np.ndarray:
    """s = P(x - a g) - x with q(s) <= mu_0 g's and |D s| <= Delta, a grown or cut by tens (Lin and More 2.3-2.4)."""

    def at(a: float) -> tuple[np.ndarray, bool]:
        s = inside(-a * g, lower, upper)
        fits = float(np.linalg.norm(scale * s)) <= radius and float(g @ s + 0.5 * (s @ B.product(s))) <= MU * float(
            g @ s
        )
        return s, fits

    size = float(np.linalg.norm(g))
    curved = float(g @ B.product(g))
    farthest = radius / float(np.linalg.norm(scale * g)) if size > 0 else 1.0
    a = min(farthest, size * size / curved if curved > 0 else math.inf)
    s, fits = at(a)
    if fits:
        for _ in range(20):
            longer, still = at(10 * a)
            if not still or np.array_equal(longer, s):
                break
            a, s = 10 * a, longer
        return s
    for _ in range(60):
        a *= 0.2
        s, fits = at(a)
        if fits:
            break
    return s


def _restricted(B: Curvature, free: np.ndarray, n: int) -> Curvature:
    if B.matrix is not None:
        part = B.matrix[np.ix_(free, free)] if isinstance(B.matrix, np.ndarray) else B.matrix[free][:, free]
        return Curvature(part, part.__matmul__)

    def product(v: np.ndarray) -> np.ndarray:
        whole = np.zeros(n)
        whole[free] = v
        return B.product(whole)[free]

    return Curvature(None, product)


def _projected_search(
    B: Curvature, slope: np.ndarray, s: np.ndarray, w: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """s+ = P(s + b w) with enough decrease of the model (Lin and More 4.4), and B (s+ - s)."""
    b = 1.0
    for _ in range(40):
        moved = inside(s + b * w, lower, upper)
        d = moved - s
        Bd = B.product(d)
        if float(slope @ d + 0.5 * (d @ Bd)) <= MU * min(float(slope @ d), 0.0):
            return moved, Bd
        b *= 0.5
    return None, None
