"""SciPy's SLSQP on hand-written functions, gradients by its own differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

from benchmarks.nonlinear import Small


def small(problem: Small) -> Callable[[], float]:
    """A whole solve of a small problem."""
    start = np.array(problem.start, dtype=float)
    rows: list[dict[str, Any]] = []
    if problem.equal(start):
        rows.append({"type": "eq", "fun": lambda x: np.array(problem.equal(x))})
    if problem.above(start):
        rows.append({"type": "ineq", "fun": lambda x: np.array(problem.above(x))})
    bounds = list(zip(*problem.bounds, strict=True))

    def solve() -> float:
        answer = minimize(
            lambda x: problem.objective(x, math.log),
            start,
            method="SLSQP",
            bounds=bounds,
            constraints=rows,
            options={"ftol": 1e-10, "maxiter": 500},
        )
        return float(answer.fun)

    return solve
