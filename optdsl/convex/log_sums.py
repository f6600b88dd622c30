"""Convex rows on the log scale with their derivatives, and Newton's method on the conditions of an optimum.

An interior-point answer to a geometric program has logarithms that are right to the root of its gap in flat directions.
A few Newton steps on the active rows make them, and the multipliers, as sharp as the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from optdsl.classify.geometric.log_rows import LogRows

LARGEST = 20_000
"""With more columns and rows than this nothing is sharpened: the linear systems would take longer than the solve."""


@dataclass(frozen=True, eq=False)
class ConvexRows:
    """R rows g(z) <= 0 (= 0 where `equal`), the program's rows from `first` on.

    g = log Σ exp(terms) by row, or exp(terms) - held where `held` is given. terms: K rows, `row` (K,) says where each
    belongs. Linear where every row has one term.
    """

    terms: LogRows
    row: np.ndarray
    count: int
    first: int
    equal: bool = False
    held: LogRows | None = None

    @property
    def linear(self) -> bool:
        """Whether the rows are affine."""
        return self.held is None and self.terms.size == self.count

    def shares(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """g (R,), and what each term weighs in its row's gradient (K,)."""
        values = self.terms.values(z)
        if self.held is not None:
            power = np.exp(values)
            return power - self.held.values(z), power
        largest = np.full(self.count, -np.inf)
        np.maximum.at(largest, self.row, values)
        power = np.exp(values - largest[self.row])
        total = np.bincount(self.row, power, self.count)
        return largest + np.log(total), power / total[self.row]

    def jacobian(self, share: np.ndarray, columns: int) -> sp.csr_array:
        """The gradients of g (R, columns)."""
        weighted = sp.csr_array((share, (self.row, np.arange(self.terms.size))), shape=(self.count, self.terms.size))
        jacobian = sp.csr_array(weighted @ self.terms.matrix(columns))
        return jacobian if self.held is None else sp.csr_array(jacobian - self.held.matrix(columns))

    def hessian(self, share: np.ndarray, multiplier: np.ndarray, columns: int) -> sp.csr_array:
        """Σ multiplier * Hessian of g (columns, columns)."""
        if self.linear:
            return sp.csr_array((columns, columns))
        matrix = self.terms.matrix(columns)
        curved = matrix.T @ sp.diags_array(share * multiplier[self.row]) @ matrix
        if self.held is not None:
            return sp.csr_array(curved)
        mean = self.jacobian(share, columns)
        return sp.csr_array(curved - mean.T @ sp.diags_array(multiplier) @ mean)


@dataclass(frozen=True, eq=False)
class LogProblem:
    """Minimize cost @ z subject to convex rows and bounds; z (n,) are logarithms."""

    cost: np.ndarray
    rows: tuple[ConvexRows, ...]
    lower: np.ndarray
    upper: np.ndarray

    @property
    def size(self) -> int:
        """Columns and rows together."""
        return len(self.cost) + sum(r.count for r in self.rows)


@dataclass(frozen=True, eq=False, slots=True)
class LogPoint:
    """A point z (n,), multipliers of all rows in order (R,) (>= 0 unless equal), and of the bounds (n,) (+ lower)."""

    z: np.ndarray
    multiplier: np.ndarray
    bound: np.ndarray


def error_at(problem: LogProblem, point: LogPoint) -> float:
    """How far the point is from an optimum: gradient, violation, wrong signs, complementarity, the largest of all."""
    level, jacobian, _ = _derivatives(problem, point)
    equal = _equal(problem)
    gradient = problem.cost + jacobian.T @ point.multiplier - point.bound
    violation = np.where(equal, np.abs(level), np.maximum(level, 0.0))
    sign = np.where(equal, 0.0, np.maximum(-point.multiplier, 0.0))
    slack = np.where(point.bound > 0, point.z - problem.lower, problem.upper - point.z)
    products = np.abs(point.bound * np.where(point.bound == 0, 0.0, slack))
    parts = [gradient, violation, sign, point.multiplier * level, products]
    parts += [np.maximum(problem.lower - point.z, 0.0), np.maximum(point.z - problem.upper, 0.0)]
    scale = max(1.0, float(np.abs(point.multiplier).max(initial=0.0)))
    worst = max(float(np.abs(p).max(initial=0.0)) for p in parts)
    return worst / scale if np.isfinite(worst) else np.inf


def sharpened(problem: LogProblem, point: LogPoint, steps: int = 8) -> LogPoint:
    """The point after Newton steps on the conditions of an optimum; the same one where they do not help."""
    if problem.size > LARGEST:
        return point
    best, error = point, error_at(problem, point)
    active, pinned = _active(problem, point)
    current = LogPoint(point.z, np.where(active, point.multiplier, 0.0), np.where(pinned != 0, point.bound, 0.0))
    for _ in range(steps):
        if error <= 1e-13:
            break
        following = _step(problem, current, active, pinned)
        if following is None:
            break
        found = error_at(problem, following)
        if not found < max(error, 1e-3):
            break
        current = following
        if found < error:
            best, error = following, found
    return best


def _derivatives(problem: LogProblem, point: LogPoint) -> tuple[np.ndarray, sp.csr_array, sp.csr_array]:
    columns = len(problem.cost)
    levels, jacobians = [np.zeros(0)], [sp.csr_array((0, columns))]
    hessian = sp.csr_array((columns, columns))
    at = 0
    for rows in problem.rows:
        level, share = rows.shares(point.z)
        levels.append(level)
        jacobians.append(rows.jacobian(share, columns))
        hessian = hessian + rows.hessian(share, point.multiplier[at : at + rows.count], columns)
        at += rows.count
    return np.concatenate(levels), sp.csr_array(sp.vstack(jacobians)), hessian


def _equal(problem: LogProblem) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype=bool), *(np.full(r.count, r.equal) for r in problem.rows)])


def _active(problem: LogProblem, point: LogPoint) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are tight (their multiplier outweighs their slack), and columns at a bound (-1 lower, 1 upper, 0)."""
    level, _, _ = _derivatives(problem, point)
    active = _equal(problem) | (point.multiplier > np.maximum(-level, 0.0))
    pinned = np.where(point.bound > np.maximum(point.z - problem.lower, 0.0), -1, 0)
    pinned = np.where(-point.bound > np.maximum(problem.upper - point.z, 0.0), 1, pinned)
    return active, np.where(problem.lower == problem.upper, -1, pinned)


def _step(problem: LogProblem, point: LogPoint, active: np.ndarray, pinned: np.ndarray) -> LogPoint | None:
    """One Newton step for the tight rows as equations, columns at bounds held there."""
    with np.errstate(all="ignore"):
        level, jacobian, hessian = _derivatives(problem, point)
    side = np.where(pinned < 0, problem.lower, problem.upper)
    free = np.flatnonzero(pinned == 0)
    move = np.where(pinned != 0, np.where(pinned != 0, side, 0.0) - point.z, 0.0)
    rows = np.flatnonzero(active)
    tight = jacobian[rows]
    right = np.concatenate([-(problem.cost + hessian @ move)[free], -(level[rows] + tight @ move)])
    corner = sp.block_array([[hessian[free][:, free], tight[:, free].T], [tight[:, free], None]], format="csc")
    if not np.isfinite(corner.data).all() or not np.isfinite(right).all():
        return None
    nudge = np.concatenate([np.full(len(free), 1e-9), np.full(len(rows), -1e-9)])
    solution = _solved(sp.csc_array(corner), sp.csc_array(corner + sp.diags_array(nudge)), right)
    if solution is None:
        return None
    move[free] = solution[: len(free)]
    multiplier = np.zeros(len(level))
    multiplier[rows] = solution[len(free) :]
    z = point.z + move
    moved = LogPoint(z, multiplier, np.zeros(len(z)))
    with np.errstate(all="ignore"):
        _, jacobian, _ = _derivatives(problem, moved)
    bound = np.where(pinned != 0, problem.cost + jacobian.T @ multiplier, 0.0)
    return LogPoint(z, multiplier, bound)


def _solved(matrix: sp.csc_array, regular: sp.csc_array, right: np.ndarray) -> np.ndarray | None:
    """matrix @ solution = right by a nearby regular matrix and refinement."""
    from scipy.sparse.linalg import splu  # loads much, and few models come here

    if not matrix.shape[0]:
        return np.zeros(0)
    try:
        factors = splu(regular)
    except RuntimeError:
        return None
    solution = factors.solve(right)
    for _ in range(5):
        solution = solution + factors.solve(right - matrix @ solution)
    return solution if np.isfinite(solution).all() else None
