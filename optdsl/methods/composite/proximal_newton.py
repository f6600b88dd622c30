"""Proximal Newton steps on a working set of variables, screened by the gap (Lee, Sun and Saunders 2014).

Notation: W the working set, H = A_W' diag(psi'') A_W + diag(mu_W), u the slopes of the losses at x. A step chooses W
by the first-order conditions that hold worst (Johnson and Guestrin 2015), minimizes the objective over the variables
of W by Newton's steps on the model with kinks, and looks at all variables again. With least squares the model is
exact: then a step is a block of coordinate descent. Variables that the gap proves to be 0 are left out for good
(Ndiaye, Fercoq, Gramfort and Salmon 2017, theorem 6 with the modulus of each row).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from optdsl.methods.composite.driver import Iterate, iterate_at
from optdsl.methods.composite.kinked_model import minimized
from optdsl.methods.composite.losses import Square
from optdsl.methods.composite.problem import Composite

FEW = 20
"""Variables that enter the first working set at least."""
INNER = 12
"""Newton's steps on one working set at most."""
HALVINGS = 30


@dataclass(frozen=True, eq=False)
class NewtonState:
    """The iterate, which variables are proved to be 0 (n,), and the sizes by which they are judged (None: unknown)."""

    iterate: Iterate
    zero: np.ndarray
    sizes: np.ndarray | None
    stalls: int = 0


@dataclass(frozen=True, slots=True)
class ProximalNewton:
    """Proximal Newton on working sets, to a relative gap of `tolerance`."""

    tolerance: float = 1e-9
    screening: bool = True
    working: int = field(default=FEW)

    name = "proximal_newton"

    def start(self, problem: Composite) -> NewtonState:
        x = problem.start.copy()
        sizes = _screening_sizes(problem) if self.screening else None
        first = iterate_at(problem, x)
        if not np.isfinite(first.value):
            first = iterate_at(problem, np.clip(np.zeros(problem.width), problem.lower, problem.upper))
        return NewtonState(first, np.zeros(problem.width, dtype=bool), sizes)

    def step(self, problem: Composite, state: NewtonState) -> NewtonState:
        now = state.iterate
        zero = state.zero if state.sizes is None else state.zero | _proved_zero(problem, now, state.sizes)
        x = np.where(zero, 0.0, now.x)
        if (x != now.x).any():
            now = iterate_at(problem, x)
        unmet = np.where(zero, 0.0, problem.unmet(now.x, problem.cost + now.pulled))
        working = self._chosen(problem, now.x, unmet)
        goal = 0.02 * float(np.abs(unmet).max(initial=0.0)) if len(working) < problem.width else 0.0
        x, rows = _minimized_over(problem, now, working, unmet, goal)
        note = f"{int(zero.sum())} of {problem.width} variables were proved to be 0 on the way" if zero.any() else ""
        after = iterate_at(problem, x, rows, moving=len(working), note=note)
        stalled = not after.value < now.value - 1e-14 * abs(now.value) and not after.bound > now.bound
        stalls = state.stalls + 1 if stalled else 0
        return NewtonState(replace(after, done=stalls > 1), zero, state.sizes, stalls)

    def _chosen(self, problem: Composite, x: np.ndarray, unmet: np.ndarray) -> np.ndarray:
        """The working set: all variables off their kinks, and those that press most."""
        inside = (x > problem.lower) & (x < problem.upper) & ((x != 0) | (problem.absolute == 0))
        room = max(self.working, 2 * int((inside & (problem.absolute > 0)).sum()))
        pressing = np.flatnonzero(~inside & (unmet != 0))
        if len(pressing) > room:
            pressing = pressing[np.argpartition(-np.abs(unmet[pressing]), room)[:room]]
        chosen = inside.copy()
        chosen[pressing] = True
        return np.flatnonzero(chosen)


def _screening_sizes(problem: Composite) -> np.ndarray | None:
    """sum_i w_i L A_ij^2, the square of how far a slope can be from that at the optimum, by 2 gap; None: not known.

    A slope that must vanish exactly (of a variable that no penalty holds) is not proved to, so nothing is screened.
    """
    free = (problem.absolute == 0) & ~problem.held
    if not (problem.absolute > 0).any() or free.any() or not all(np.isfinite(p.loss.steepest) for p in problem.parts):
        return None
    total = np.zeros(problem.width)
    for part in problem.parts:
        total += part.operator.square_sizes(part.row_weights) * part.loss.steepest
    return total


def _proved_zero(problem: Composite, now: Iterate, sizes: np.ndarray) -> np.ndarray:
    """The variables whose slope at the optimum is proved to be below lambda."""
    if not np.isfinite(now.bound) or problem.cost.any():
        return np.zeros(problem.width, dtype=bool)
    slope = problem._shrinking(now.pulled) * now.pulled
    reach = np.abs(slope) + np.sqrt(2.0 * max(now.value - now.bound, 0.0) * sizes)
    between = (problem.lower <= 0) & (problem.upper >= 0)
    return np.asarray(between & (reach < problem.absolute * (1.0 - 1e-12)))


def _minimized_over(
    problem: Composite, now: Iterate, working: np.ndarray, unmet: np.ndarray, goal: float
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The point that is best over the variables of the working set up to `goal`, and its rows."""
    x, rows, u = now.x.copy(), now.rows, now.u
    taken = [part.operator.taken(working) for part in problem.parts]
    lam, mu = problem.absolute[working], problem.ridge[working]
    lower, upper = problem.lower[working], problem.upper[working]
    quadratic = all(isinstance(part.loss, Square) for part in problem.parts)
    slope = (problem.cost + now.pulled)[working]
    first = float(np.abs(unmet[working]).max(initial=0.0))
    value, careful = now.value, False
    for _ in range(1 if quadratic else INNER):
        z = x[working]
        H = hessian_over(problem, taken, rows, careful) + np.diag(mu)
        best = minimized(H, slope + mu * z, z, lam, lower, upper, max(1e-3 * goal, 1e-15 * first))
        found = _searched(problem, x, rows, taken, working, best - z, slope + mu * z, value)
        if found is None or found.share < 0.25:
            if not careful:  # where curvature misleads, parabolas above the losses do not
                careful = True
                continue
            if found is None:
                break
        else:
            careful = False
        x, rows, after = found.x, found.rows, found.value
        u = problem.slopes(rows)
        slope = problem.cost[working] + sum((v @ a for v, a in zip(u, taken, strict=True)), np.zeros(len(working)))
        left = _left(problem, x, working, slope)
        if left <= max(goal, 1e-13 * first) or value - after <= 1e-15 * abs(value):
            break
        value = after
    return x, rows


def _left(problem: Composite, x: np.ndarray, working: np.ndarray, slope: np.ndarray) -> float:
    whole = np.zeros(problem.width)
    whole[working] = slope
    return float(np.abs(problem.unmet(x, whole)[working]).max(initial=0.0))


def hessian_over(
    problem: Composite, taken: list[np.ndarray], rows: tuple[np.ndarray, ...], careful: bool = False
) -> np.ndarray:
    """sum_k A_W' psi'' A_W (k, k); `careful`: with the curvatures of parabolas above the losses."""
    total = np.zeros((taken[0].shape[1], taken[0].shape[1])) if taken else np.zeros((0, 0))
    for part, a, t in zip(problem.parts, taken, rows, strict=True):
        curvature = part.chord(t) if careful else part.curvature(t)
        if (curvature == curvature[:1]).all():
            total += (curvature[0] if len(curvature) else 0.0) * (a.T @ a)
        else:
            root = a * np.sqrt(curvature)[:, None]
            total += root.T @ root
        if part.loss.group > 1 and not careful:
            total -= _between(a, part.loss.slope(t), part.weights, part.loss.group)
    return total


def _between(a: np.ndarray, p: np.ndarray, weights: np.ndarray, group: int) -> np.ndarray:
    """sum over groups of weight (A'p)(A'p)': what diag(p) - p p' has besides the diagonal's p (1 - p).

    The diagonal of p p' stands in the curvature already.
    """
    moved = (a * p[:, None]).reshape(len(weights), group, -1)
    means = moved.sum(axis=1)
    own = moved.reshape(len(p), -1) * np.sqrt(np.repeat(weights, group))[:, None]
    scaled = means * np.sqrt(weights)[:, None]
    return np.asarray(scaled.T @ scaled - own.T @ own)


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """A point along a direction, its rows and value, and the share of the direction that was taken."""

    x: np.ndarray
    rows: tuple[np.ndarray, ...]
    value: float
    share: float


def _searched(
    problem: Composite,
    x: np.ndarray,
    rows: tuple[np.ndarray, ...],
    taken: list[np.ndarray],
    working: np.ndarray,
    d: np.ndarray,
    slope: np.ndarray,
    value: float,
) -> Found | None:
    """x + a d with enough descent (Lee, Sun and Saunders 2014, eq. 2.21); None where no a has it."""
    if not d.any():
        return None
    changes = [a @ d for a in taken]
    lam = problem.absolute[working]
    z = x[working]
    promised = float(slope @ d + lam @ (np.abs(z + d) - np.abs(z)))
    a = 1.0
    for _ in range(HALVINGS):
        moved = x.copy()
        moved[working] = np.clip(z + a * d, problem.lower[working], problem.upper[working])
        after_rows = tuple(t + a * c for t, c in zip(rows, changes, strict=True))
        after = problem.value(moved, after_rows)
        if after <= value + 1e-4 * a * min(promised, 0.0) + 1e-15 * abs(value):
            return Found(moved, after_rows, after, a)
        a *= 0.5
    return None
