"""CVXPY as in `cvxpy_expert`, asked for as many digits as optdsl asks the solver for."""

from __future__ import annotations

from typing import Any

from benchmarks.tools.cvxpy_expert import FORMULATIONS, SOLVER, compiled
from optdsl.convex.clarabel_run import SHARP

__all__ = ["compiled", "solved"]


def solved(problem: str, data: Any) -> float:
    """The optimum."""
    digits = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), SHARP)
    return float(FORMULATIONS[problem](**data).solve(solver=SOLVER, **digits))
