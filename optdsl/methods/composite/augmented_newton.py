"""An augmented Lagrangian for losses with kinks, its subproblems by semismooth Newton steps (Li, Sun and Toh 2018).

Notation: t = A x + b the rows of a loss phi with kinks, z copies of them, y multipliers of t = z, sigma the penalty.

    L_sigma(x; y) = F(x) + min_z phi(z) + sigma / 2 |t - z + y / sigma|^2 - |y|^2 / (2 sigma)            (eq. 9)

has the gradient F'(x) + A'u with u = sigma (w - prox(w)), w = t + y / sigma, and u, a subgradient of phi, is the next
y: so each multiplier is feasible for the dual, and the gap is a certificate. The generalized Hessian is
F'' + sigma A'(I - prox')A: rows that are off their kinks drop out of it, which is what makes the steps cheap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from optdsl.methods.composite.driver import Iterate, iterate_at
from optdsl.methods.composite.kinked_model import solved
from optdsl.methods.composite.losses import Absolute
from optdsl.methods.composite.operators import identity
from optdsl.methods.composite.problem import Composite, Part

NEWTON = 120
"""Newton's steps on one subproblem at most."""
HALVINGS = 40
GROWTH = 6.0
"""How the penalty grows while the gap falls by less than tenfold."""
PRECISION = 1e-10
"""The largest entry of a subproblem's gradient at its end, relative to the sizes of slopes."""
DAMPING = 1e-2
"""The damping of Newton's steps far from a subproblem's minimizer."""
STALLS = 15
"""Subproblems in a row that may leave the gap as it is."""
WIDE = 1500
"""Beyond so many variables Hessians of sparse rows stay sparse."""


@dataclass(frozen=True, eq=False)
class Kinked:
    """A part with kinks, its rows w shifted by the multipliers, the copies z, and the next multipliers u."""

    part: Part
    w: np.ndarray
    z: np.ndarray
    u: np.ndarray
    share: float
    """phi(z) + sigma / 2 |w - z|^2 - |y|^2 / (2 sigma)."""


@dataclass(frozen=True, eq=False)
class AugmentedState:
    """The iterate, the multipliers of every part with kinks, the penalty, and the gap before."""

    iterate: Iterate
    parts: tuple[Part, ...]
    y: tuple[np.ndarray, ...]
    sigma: float
    gap: float
    stalls: int = 0


@dataclass(frozen=True, slots=True)
class AugmentedNewton:
    """Semismooth Newton steps on augmented Lagrangians, to a relative gap of `tolerance`."""

    tolerance: float = 1e-9

    name = "augmented_newton"

    def start(self, problem: Composite) -> AugmentedState:
        parts = tuple(part for part in problem.parts if not part.loss.smooth)
        charged = np.flatnonzero(problem.absolute > 0)
        if len(charged):
            rows = identity(charged, problem.width)
            parts = (*parts, Part(rows, np.zeros(len(charged)), Absolute(), problem.absolute[charged]))
        y = tuple(part.row_weights * 0.0 for part in parts)
        return AugmentedState(iterate_at(problem, problem.start), parts, y, _first_penalty(problem, parts), np.inf)

    def step(self, problem: Composite, state: AugmentedState) -> AugmentedState:
        x, kinked, count, solved_well = _minimized(problem, state)
        y = tuple(k.u for k in kinked)
        charged = np.flatnonzero(problem.absolute > 0)
        if len(charged):  # the copies of single variables are 0 exactly
            x = x.copy()
            x[charged[kinked[-1].z == 0]] = 0.0
        rows = problem.rows(x)
        of_kinks = iter(y)
        u = tuple(
            part.slope(t) if part.loss.smooth else next(of_kinks) for part, t in zip(problem.parts, rows, strict=True)
        )
        after = iterate_at(problem, x, rows, u, moving=count)
        gap = after.value - after.bound
        slow = not gap <= 0.1 * state.gap
        stalls = state.stalls + 1 if not gap < 0.9 * state.gap else 0
        if (
            gap > 2.0 * state.gap and not solved_well
        ):  # the subproblem was too hard for its steps: back to an easier one
            again = replace(after, done=stalls > STALLS)
            return AugmentedState(again, state.parts, state.y, state.sigma / (2.0 * GROWTH), state.gap, stalls)
        sigma = state.sigma * (GROWTH if slow and solved_well else 1.0)
        return AugmentedState(replace(after, done=stalls > STALLS), state.parts, y, sigma, gap, stalls)


def _first_penalty(problem: Composite, parts: tuple[Part, ...]) -> float:
    """The curvature of the smooth part over the squares of the kinked rows' entries: both then weigh alike."""
    rows = problem.rows(problem.start)
    curvature = float(problem.ridge.sum())
    for part, t in zip(problem.parts, rows, strict=True):
        if part.loss.smooth:
            curvature += float(part.operator.square_sizes(part.curvature(t)).sum())
    squares = sum(float(part.operator.square_sizes().sum()) for part in parts)
    return float(np.clip(curvature / squares, 1e-6, 1e6)) if squares > 0 and curvature > 0 else 1.0


def _shifted(part: Part, t: np.ndarray, y: np.ndarray, sigma: float) -> Kinked:
    """A part at rows t."""
    w = t + y / sigma
    inner = w if part.linear is None else w - part.linear / sigma
    z = part.loss.prox(inner, part.row_weights / sigma)
    linear = 0.0 if part.linear is None else part.linear
    u = part.row_weights * part.loss.inside((sigma * (w - z) - linear) / part.row_weights) + linear
    share = part.value(z) + 0.5 * float((u @ u) - (y @ y)) / sigma
    return Kinked(part, w, z, u, share)


def _minimized(problem: Composite, state: AugmentedState) -> tuple[np.ndarray, list[Kinked], int, bool]:
    """A minimizer of L_sigma, the parts with kinks there, how many of their rows are at kinks, and whether it is one.

    Where rounding ends the descent the point counts as one.
    """
    x, sigma = state.iterate.x, state.sigma
    smooth = [part for part in problem.parts if part.loss.smooth]
    t_smooth = [part.rows(x) for part in smooth]
    t_kinked = [part.rows(x) for part in state.parts]

    def at(x: np.ndarray, smooth_rows: list[np.ndarray], kinked_rows: list[np.ndarray]) -> tuple[float, list[Kinked]]:
        kinked = [_shifted(p, t, y, sigma) for p, t, y in zip(state.parts, kinked_rows, state.y, strict=True)]
        value = float(problem.cost @ x + 0.5 * (problem.ridge @ (x * x)))
        value += sum(part.value(t) for part, t in zip(smooth, smooth_rows, strict=True))
        return value + sum(k.share for k in kinked), kinked

    value, kinked = at(x, t_smooth, t_kinked)
    count, solved_well = 0, False
    full = sigma * sum((part.operator.square_sizes() for part in state.parts), np.zeros(problem.width))
    for _ in range(NEWTON):
        g = problem.cost + problem.ridge * x
        size = float(np.abs(g).max(initial=0.0))
        for part, slope in [
            *((p, p.slope(t)) for p, t in zip(smooth, t_smooth, strict=True)),
            *((k.part, k.u) for k in kinked),
        ]:
            pulled = part.operator.transposed(slope)
            size = max(size, float(np.abs(pulled).max(initial=0.0)))
            g = g + pulled
        if float(np.abs(g).max(initial=0.0)) <= PRECISION * max(1.0, size):
            solved_well = True
            break
        # Where few rows are at kinks a variable may have no curvature: a share of what all rows would give stands in.
        damping = DAMPING * min(1.0, float(np.abs(g).max(initial=0.0)) / max(1.0, size)) * full
        damped = replace(problem, ridge=problem.ridge + damping)
        d, count = _direction(damped, smooth, t_smooth, kinked, sigma, g)
        promised = float(g @ d)
        changes = [part.operator.product(d) for part in smooth], [part.operator.product(d) for part in state.parts]
        noise = 1e-13 * abs(value) if abs(promised) <= 1e-9 * abs(value) else 0.0
        a = 1.0
        for _ in range(HALVINGS):
            moved = x + a * d
            rows = [
                [t + a * c for t, c in zip(*two, strict=True)]
                for two in zip((t_smooth, t_kinked), changes, strict=True)
            ]
            after, there = at(moved, *rows)
            if after <= value + 1e-4 * a * promised + noise:
                break
            a *= 0.5
        else:
            solved_well = True
            break
        x, value, kinked, (t_smooth, t_kinked) = moved, after, there, rows
    return x, kinked, count, solved_well


def _direction(
    problem: Composite,
    smooth: list[Part],
    t_smooth: list[np.ndarray],
    kinked: list[Kinked],
    sigma: float,
    g: np.ndarray,
) -> tuple[np.ndarray, int]:
    """Newton's step, and how many rows with kinks it takes part in."""
    terms: list[tuple[Part, np.ndarray, np.ndarray | None]] = [
        (part, part.curvature(t), None) for part, t in zip(smooth, t_smooth, strict=True)
    ]
    count = 0
    for k in kinked:
        inner = k.w if k.part.linear is None else k.w - k.part.linear / sigma
        diagonal, along = k.part.loss.bend(inner, k.part.row_weights / sigma)
        count += int((diagonal > 0).sum())
        terms.append((k.part, sigma * diagonal, None if along is None else np.sqrt(sigma) * along))
    sparse = problem.width > WIDE and not any(part.operator.dense for part, *_ in terms)
    return (_sparse if sparse else _dense)(problem, terms, g), count


def _dense(problem: Composite, terms: list[tuple[Part, np.ndarray, np.ndarray | None]], g: np.ndarray) -> np.ndarray:
    H = np.diag(problem.ridge)
    columns = np.arange(problem.width)
    for part, diagonal, along in terms:
        used = np.flatnonzero(diagonal > 0)
        if not len(used):
            continue
        if not part.operator.dense:
            H = H + _sparse_term(part, diagonal, along).toarray()
            continue
        a = part.operator.taken(columns, used) * np.sqrt(diagonal[used])[:, None]
        H = H + a.T @ a
        if along is not None:
            of_groups = (part.operator.taken(columns) * along[:, None]).reshape(-1, part.loss.group, len(columns))
            sums = of_groups.sum(axis=1)
            H = H - sums.T @ sums
    return -solved(H, g)


def _sparse_term(part: Part, diagonal: np.ndarray, along: np.ndarray | None) -> sp.csr_array:
    A = part.operator.sparse
    found = sp.csr_array(A.T @ (sp.diags_array(diagonal) @ A))
    if along is not None:
        groups = np.arange(len(along)) // part.loss.group
        S = sp.csr_array((along, (groups, np.arange(len(along)))), shape=(int(groups[-1]) + 1, len(along)))
        sums = S @ A
        found = sp.csr_array(found - sums.T @ sums)
    return found


def _sparse(problem: Composite, terms: list[tuple[Part, np.ndarray, np.ndarray | None]], g: np.ndarray) -> np.ndarray:
    H = sp.csr_array(sp.diags_array(problem.ridge))
    for part, diagonal, along in terms:
        H = H + _sparse_term(part, diagonal, along)
    shift = 1e-12 * max(float(H.diagonal().max(initial=0.0)), 1e-300)
    shifted = sp.csc_array(H + shift * sp.eye_array(problem.width))
    try:
        return np.asarray(-splu(shifted).solve(g))
    except RuntimeError as error:  # SuperLU's word for a singular matrix
        raise np.linalg.LinAlgError(str(error)) from None
