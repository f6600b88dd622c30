"""The last step of a run with rows: from nearly feasible parameters to feasible ones nearby, on the full data.

Violated rows are linearized and met by the shortest change, x -= J'(J J')^-1 (c - P(c)), then the set is projected onto
and so on: Gauss and Newton's method on the violation (Nocedal and Wright 2006, section 10.3), each step halved until
the violation falls. A row of J costs a pass over the data, so only so many passes are made.
"""

from __future__ import annotations

import numpy as np

from optdsl.methods.stochastic.estimators import full_gradient, full_rows
from optdsl.methods.stochastic.rows import violation
from optdsl.methods.stochastic.run import FeasibleSet
from optdsl.nlp import FiniteSum

MOST_STEPS = 10
LEAST_PASSES = 40
PRECISE = 1e-9
MARGIN = 1e-12


def restored(problem: FiniteSum, x: np.ndarray, feasible: FeasibleSet, size: int, passes: int) -> np.ndarray:
    """A point near x (n,), of x's type, whose rows are violated less, or x itself; at most about so many passes."""
    lower, upper = problem.row_lower, problem.row_upper
    rows = full_rows(problem, x, size)
    now = violation(rows, lower, upper)
    for _ in range(MOST_STEPS):
        off = rows - np.clip(rows, lower, upper)
        active = np.flatnonzero(np.abs(off) > PRECISE * (1 + np.abs(rows)))
        passes -= len(active) + 2
        if not len(active) or passes < 0 or not np.isfinite(now):
            return x
        jacobian = _jacobian(problem, x, active, size)
        change = np.linalg.lstsq(jacobian, off[active] * (1 + MARGIN), rcond=None)[0]
        for halvings in range(8):
            trial = (x - 0.5**halvings * change).astype(x.dtype)
            feasible.project(trial)
            rows_there = full_rows(problem, trial, size)
            there = violation(rows_there, lower, upper)
            if there < now:
                break
        else:
            return x
        x, rows, now = trial, rows_there, there
    return x


def _jacobian(problem: FiniteSum, x: np.ndarray, active: np.ndarray, size: int) -> np.ndarray:
    plain = full_gradient(problem, x, size)
    found = np.zeros((len(active), len(x)))
    for place, row in enumerate(active):
        weights = np.zeros(len(problem.row_lower))
        weights[row] = 1.0
        found[place] = full_gradient(problem, x, size, weights) - plain
    return found
