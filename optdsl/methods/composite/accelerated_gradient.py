"""Accelerated proximal gradient steps: FISTA (Beck and Teboulle 2009), restarted (O'Donoghue and Candes 2015).

Notation: F the losses with the linear cost, g the penalties and bounds, D a diagonal of the columns' sizes, L the
curvature that is tried. From y the step is

    p_L(y) = argmin_x F(y) + F'(y)'(x - y) + L / 2 (x - y)'D(x - y) + g(x)                               (eq. 2.6)

which has a closed form in each variable, as g is a sum over variables. D amounts to the method of the paper in the
variables D^(1/2) x: columns of different sizes count alike. L grows until the model lies above the objective (section
4, with backtracking), and eases off a little at each step, with the t_k that this asks for (Scheinberg, Goldfarb and
Bai 2014), as the steepest place of a run need not be its last. The rows of y are a combination of two earlier ones.

The slopes at y are multipliers for the dual, like any others: they prove a bound at no cost. Once the gap by them is
small the slopes at x itself are taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from optdsl.methods.composite.driver import Iterate, gap_of, iterate_at
from optdsl.methods.composite.problem import Composite

GROWTH = 2.0
DOUBLINGS = 200
EASE = 0.97
"""What each step tries of the L before."""
NEAR = 100.0
"""Gaps up to so many tolerances are looked at with the slopes at x."""
ROUNDING = 1e-10
"""Differences of objectives below this share are rounding: there slopes say whether the model lies above."""
STALLS = 1000
"""Steps in a row without a lower objective or a better bound, after which no more is to be had."""


@dataclass(frozen=True, eq=False)
class AcceleratedState:
    """The iterate x_k-1, x_k-2 with its rows, t_k-1 and L_k-1, and the best so far."""

    iterate: Iterate
    older: np.ndarray
    older_rows: tuple[np.ndarray, ...]
    momentum: float
    curvature: float
    sizes: np.ndarray
    """D (n,)."""
    lowest: float
    best_bound: float
    stalls: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """The point y of a step, the slopes u of the losses there with A'u, and x = p_L(y) with its rows; t_k and L_k."""

    y: np.ndarray
    u: tuple[np.ndarray, ...]
    pulled: np.ndarray
    x: np.ndarray
    rows: tuple[np.ndarray, ...]
    momentum: float
    curvature: float


@dataclass(frozen=True, slots=True)
class AcceleratedProximalGradient:
    """FISTA with backtracking and restarts, to a relative gap of `tolerance`."""

    tolerance: float = 1e-9
    restart: bool = True

    name = "accelerated_proximal_gradient"

    def start(self, problem: Composite) -> AcceleratedState:
        first = iterate_at(problem, np.clip(problem.start, problem.lower, problem.upper))
        if not np.isfinite(first.value):
            first = iterate_at(problem, np.clip(np.zeros(problem.width), problem.lower, problem.upper))
        sizes = _column_sizes(problem)
        curvature = _first_curvature(problem, first, sizes)
        return AcceleratedState(first, first.x, first.rows, 1.0, curvature, sizes, first.value, first.bound)

    def step(self, problem: Composite, state: AcceleratedState) -> AcceleratedState:
        before = state.iterate
        found = _stepped(problem, state)
        if found is None:  # no curvature is enough: rounding, or the edge of what numbers can hold
            if state.momentum > 1.0:
                return replace(state, older=before.x, older_rows=before.rows, momentum=1.0)
            return replace(state, iterate=replace(iterate_at(problem, before.x, before.rows), done=True))
        value = problem.value(found.x, found.rows)
        bound = problem.bound(found.u, found.y, found.pulled)
        used = int(np.count_nonzero(found.x))
        after = Iterate(found.x, found.rows, found.u, found.pulled, value, bound, moving=used)
        lowest = min(value, state.lowest)
        if gap_of(lowest, max(bound, state.best_bound)) <= NEAR * self.tolerance:
            after = iterate_at(problem, found.x, found.rows, moving=used)
        better = value < state.lowest or after.bound > state.best_bound
        stalls = 0 if better else state.stalls + 1
        still = not (found.x != found.y).any()  # p_L(y) = y: the first-order conditions hold exactly
        after = replace(after, done=still or stalls > STALLS)
        uphill = float((state.sizes * (found.y - found.x)) @ (found.x - before.x)) > 0
        if self.restart and uphill:  # the gradient scheme (O'Donoghue and Candes, eq. 13)
            older, older_rows, momentum = found.x, found.rows, 1.0
        else:
            older, older_rows, momentum = before.x, before.rows, found.momentum
        best_bound = max(after.bound, state.best_bound)
        return AcceleratedState(
            after, older, older_rows, momentum, found.curvature, state.sizes, lowest, best_bound, stalls
        )


def _stepped(problem: Composite, state: AcceleratedState) -> Step | None:
    """The step with the first L = EASE L_k-1, twice that, ... whose model lies above F there; None where none does.

    t_k and so y depend on L (Scheinberg, Goldfarb and Bai 2014, algorithm 3).
    """
    now = state.iterate
    curvature = EASE * state.curvature
    for _ in range(DOUBLINGS):
        momentum = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * curvature / state.curvature * state.momentum**2))
        share = (state.momentum - 1.0) / momentum
        y = now.x + share * (now.x - state.older)
        y_rows = tuple(t + share * (t - old) for t, old in zip(now.rows, state.older_rows, strict=True))
        u = problem.slopes(y_rows)
        pulled = problem.pulled(u)
        slope = problem.cost + pulled
        x = proximal_point(problem, y, slope, curvature * state.sizes)
        rows = problem.rows(x)
        if _lies_above(problem, curvature * state.sizes, slope, (y, y_rows), (x, rows)):
            return Step(y, u, pulled, x, rows, momentum, curvature)
        curvature *= GROWTH
        if not np.isfinite(curvature):
            break
    return None


def _lies_above(
    problem: Composite,
    steepness: np.ndarray,
    slope: np.ndarray,
    at: tuple[np.ndarray, tuple[np.ndarray, ...]],
    there: tuple[np.ndarray, tuple[np.ndarray, ...]],
) -> bool:
    """Whether the model around y with these curvatures (n,) is above F at x; both points with their rows."""
    (y, y_rows), (x, rows) = at, there
    d = x - y
    length = 0.5 * float(steepness @ (d * d))
    at_y, value = _smooth_value(problem, y, y_rows), _smooth_value(problem, x, rows)
    if value <= at_y + float(slope @ d) + length:
        return True
    if not abs(value - at_y) <= ROUNDING * abs(at_y):
        return False
    bent = sum(  # (F'(x) - F'(y))'(x - y) <= L |x - y|^2 in place of the values
        float((part.slope(t) - part.slope(old)) @ (t - old))
        for part, t, old in zip(problem.parts, rows, y_rows, strict=True)
    )
    return bent <= 2.0 * length


def _column_sizes(problem: Composite) -> np.ndarray:
    """sum_i w_i A_ij^2, relative to the largest; 1 for columns of zeros."""
    sizes = np.zeros(problem.width)
    for part in problem.parts:
        sizes += part.operator.square_sizes(part.row_weights)
    largest = float(sizes.max(initial=0.0))
    if not largest > 0:
        return np.ones(problem.width)
    return np.where(sizes > 0, np.maximum(sizes / largest, 1e-30), 1.0)


def _first_curvature(problem: Composite, now: Iterate, sizes: np.ndarray) -> float:
    """F'' along the steepest direction D^-1 F' at a point; 1 where there is none. Backtracking does the rest."""
    d = -(problem.cost + now.pulled) / sizes
    bent = sum(
        float(part.curvature(t) @ part.operator.product(d) ** 2)
        for part, t in zip(problem.parts, now.rows, strict=True)
    )
    length = float(sizes @ (d * d))
    found = bent / length if length > 0 else 0.0
    return found if np.isfinite(found) and found > 0 else 1.0


def proximal_point(problem: Composite, y: np.ndarray, slope: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """argmin_x slope'(x - y) + sum_j steepness_j (x - y)_j^2 / 2 + g(x), for steepness (n,) > 0."""
    pull = steepness * y - slope
    size = np.maximum(np.abs(pull) - problem.absolute, 0.0)
    return np.asarray(np.clip(np.sign(pull) * size / (steepness + problem.ridge), problem.lower, problem.upper))


def _smooth_value(problem: Composite, x: np.ndarray, rows: tuple[np.ndarray, ...]) -> float:
    return float(problem.cost @ x) + sum(part.value(t) for part, t in zip(problem.parts, rows, strict=True))
