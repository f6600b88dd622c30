"""Lower points beside a stationary one along directions that are flat to second order: what x^3 at 0 has.

The second-order condition is necessary only: where the Lagrangian is flat along a direction that the active
constraints leave free, terms of higher order decide. They are looked at by values: the
Lagrangian, multipliers kept, is compared at steps of growing length both ways. A fall that rounding cannot be, on a way
that does not rise before it, shows that the point is no minimum (Nocedal and Wright 2006, section 12.5: the condition
is necessary, not sufficient).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg

from optdsl.nlp import Nlp

FLAT = 1e-2
"""A curvature below this, each variable measured by max(1, |x|), may hide a term of third order."""
STEPS = (1e-3, 1e-2, 1e-1)
"""Lengths at which values are compared, relative to max(1, |x|)."""
FARTHEST = 1.0
"""Up to this length a fall is followed."""
BEFORE = (0.25, 0.5)
"""Shares of a step at which the way must not have risen."""
FALL, ROUNDING = 1e-10, 1e-14
"""A fall of more than the first, relative to max(1, |L|), is one; a rise below the second is none."""
DENSE, MOST = 40, 12
"""Up to so many variables all flat directions are found; of more only variables that are flat alone. How many are
looked at."""
ACTIVE = 1e-6
"""Closer to a side than this, relative to its size: the direction stays on it."""


def below_flat(
    problem: Nlp, x: np.ndarray, row_multipliers: np.ndarray, bound_multipliers: np.ndarray
) -> np.ndarray | None:
    """A point (n,) beside a stationary one where the Lagrangian is lower; None where no flat direction shows one."""
    if problem.hessian_pattern is None or not len(x):
        return None
    with np.errstate(all="ignore"):
        directions = _flat_directions(problem, x, row_multipliers)

        def lagrangian(point: np.ndarray) -> float:
            value = float(problem.objective(point)) + float(bound_multipliers @ (point - x))
            return value + float(row_multipliers @ problem.constraints(point)) if len(row_multipliers) else value

        here = lagrangian(x)
        ways = [way for direction in directions if (way := _way_down(lagrangian, x, here, direction)) is not None]
        # Variables that do not meet go down together.
        for way in ([np.sum(ways, axis=0)] if len(ways) > 1 else []) + ways:
            there = np.clip(x + way, problem.lower, problem.upper)
            if lagrangian(there) < here and np.isfinite(problem.constraints(there)).all():
                return there
    return None


def _way_down(
    lagrangian: Callable[[np.ndarray], float], x: np.ndarray, here: float, direction: np.ndarray
) -> np.ndarray | None:
    """How far to go along the direction or against it (n,), as long as values fall; None where they do not."""
    size = max(1.0, abs(here))
    level = here + ROUNDING * size
    for step in STEPS:
        for way in (step * direction, -step * direction):
            # The nearest point first: most ways rise at once, and no further value is asked for then.
            if any(not lagrangian(x + share * way) <= level for share in BEFORE):
                continue
            lowest = lagrangian(x + way)
            if not lowest < here - FALL * size:
                continue
            while (length := 2.0 * step) <= FARTHEST and (value := lagrangian(x + 2.0 * way)) < lowest:
                step, way, lowest = length, 2.0 * way, value
            return way
    return None


def _flat_directions(problem: Nlp, x: np.ndarray, row_multipliers: np.ndarray) -> np.ndarray:
    """Directions (k, n), largest relative entry 1, free of active sides, along which the Lagrangian is flat."""
    pattern = problem.hessian_pattern
    assert pattern is not None
    size = np.maximum(1.0, np.abs(x))
    values = problem.hessian(x, row_multipliers)
    free = _free(x, problem.lower, problem.upper)
    rows = np.flatnonzero(~_free(problem.constraints(x), problem.row_lower, problem.row_upper))
    if not np.isfinite(values).all() or not free.any():
        return np.zeros((0, len(x)))
    scaled = values * size[pattern.rows] * size[pattern.columns]
    if len(x) > DENSE:
        return _alone(problem, x, free, rows, scaled, size)
    hessian = np.zeros((len(x), len(x)))
    hessian[pattern.rows, pattern.columns] = scaled
    hessian[pattern.columns, pattern.rows] = scaled
    kept = np.flatnonzero(free)
    basis = np.eye(len(kept))
    if len(rows):
        jacobian = np.zeros(problem.jacobian_pattern.shape)
        jacobian[problem.jacobian_pattern.rows, problem.jacobian_pattern.columns] = problem.jacobian(x)
        basis = scipy.linalg.null_space(jacobian[rows][:, kept] * size[kept], rcond=1e-9)
    if not basis.shape[1]:
        return np.zeros((0, len(x)))
    eigenvalues, vectors = scipy.linalg.eigh(basis.T @ hessian[np.ix_(kept, kept)] @ basis)
    found = np.zeros((min(MOST, int(np.count_nonzero(eigenvalues < FLAT))), len(x)))
    found[:, kept] = (basis @ vectors[:, : len(found)]).T
    return found / np.abs(found).max(axis=1, initial=1e-300, keepdims=True) * size


def _alone(
    problem: Nlp, x: np.ndarray, free: np.ndarray, rows: np.ndarray, scaled: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Variables that are flat alone, and in no active row."""
    pattern, jacobian = problem.hessian_pattern, problem.jacobian_pattern
    assert pattern is not None
    largest = np.zeros(len(x))
    np.maximum.at(largest, pattern.rows, np.abs(scaled))
    np.maximum.at(largest, pattern.columns, np.abs(scaled))
    known = np.zeros(len(x), dtype=bool)  # a variable without second derivatives anywhere is linear
    known[pattern.rows] = True
    known[pattern.columns] = True
    active = np.zeros(len(problem.row_lower), dtype=bool)
    active[rows] = True
    bound = np.zeros(len(x), dtype=bool)
    bound[jacobian.columns[active[jacobian.rows]]] = True
    flat = np.flatnonzero(free & known & ~bound & (largest < FLAT))[:MOST]
    found = np.zeros((len(flat), len(x)))
    found[np.arange(len(flat)), flat] = size[flat]
    return found


def _free(values: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Which values are on no side."""
    side = np.where(values - lower <= upper - values, lower, upper)
    room = ACTIVE * np.maximum(1.0, np.abs(np.where(np.isfinite(side), side, 1.0)))
    return (values - lower > room) & (upper - values > room)
