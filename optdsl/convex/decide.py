"""Tells infeasible from unbounded, and fixes integers: both solve a second program on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optdsl.convex.program import Program, RawAnswer, RawStatus
from optdsl.convex.rays import ray_from, ray_program

Solve = Callable[[Program, float | None], RawAnswer]
"""How another program is solved on the way: the program and its time limit in seconds."""


def decide(program: Program, answer: RawAnswer, solve: Solve) -> RawAnswer:
    """Infeasible or unbounded, without the objective: a feasible point and a ray together prove unboundedness.

    With integers this is sound for rational data: where an integer point exists, the relaxation's rays are those of
    the hull of the integer points (Meyer 1974). An answer that neither proof fits becomes NUMERICAL_ERROR.
    """
    feasibility = solve(without_objective(program), None)
    if feasibility.status is RawStatus.INFEASIBLE:
        return replace(
            answer,
            status=RawStatus.INFEASIBLE,
            x=None,
            bound=None,
            ray=None,
            farkas=feasibility.farkas,
            farkas_cones=feasibility.farkas_cones,
        )
    if feasibility.status is not RawStatus.OPTIMAL:
        return answer
    ray = answer.ray
    if ray is None and program.cost.any():
        ray = ray_from(program, solve(ray_program(program), None))
    if ray is None:
        message = "a feasible point was found, but no direction of endless improvement"
        return replace(answer, status=RawStatus.NUMERICAL_ERROR, x=feasibility.x, message=message)
    return replace(answer, status=RawStatus.UNBOUNDED, x=feasibility.x, ray=ray, bound=None, farkas=None)


def fix_integers(program: Program, answer: RawAnswer, solve: Solve, time_limit: float | None) -> RawAnswer:
    """The answer with integers rounded, the other variables re-optimized, and the duals of that problem.

    The answer as it was when the rounded point has no optimum: `duals_with_integers_fixed` tells.
    """
    assert answer.x is not None
    whole = np.where(program.integer, np.round(answer.x), answer.x)
    continuous = replace(
        program,
        lower=np.where(program.integer, whole, program.lower),
        upper=np.where(program.integer, whole, program.upper),
        integer=np.zeros_like(program.integer),
        start=None,
    )
    solved = solve(continuous, time_limit)
    if solved.status is not RawStatus.OPTIMAL or solved.x is None:
        return answer
    return replace(
        answer,
        x=np.where(program.integer, whole, solved.x),
        row_dual=solved.row_dual,
        reduced_cost=solved.reduced_cost,
        cone_duals=solved.cone_duals,
        duals_with_integers_fixed=True,
    )


def without_objective(program: Program) -> Program:
    """The program with objective 0: feasibility alone."""
    return replace(program, cost=np.zeros_like(program.cost), hessian=None, squares=None)
