"""Tells infeasible from unbounded, and fixes integers: both solve a second program on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optdsl.convex.duality import value_of
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
    far = falls_without_end(program, solve) if ray is None else None
    if far is not None:
        return replace(answer, status=RawStatus.UNBOUNDED, x=far, bound=None, farkas=None, message=CURVED)
    if ray is None:
        message = "a feasible point was found, but no direction of endless improvement"
        return replace(answer, status=RawStatus.NUMERICAL_ERROR, x=feasibility.x, message=message)
    return replace(answer, status=RawStatus.UNBOUNDED, x=feasibility.x, ray=ray, bound=None, farkas=None)


REACHES = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
"""How far from the origin variables may go while it is watched whether the objective keeps falling."""

CURVED = "the objective improves without end as the variables grow, but along no straight line that is known"


def falls_without_end(program: Program, solve: Solve) -> np.ndarray | None:
    """The farthest point (n,) where a conic objective falls in equal or growing steps as variables may go farther.

    None where it does not.

    Along cones a minimum may be missing though no straight direction shows it: -log(x), -sqrt(x). Evidence, not proof:
    that the steps do not shrink over at least four orders of magnitude, as far as the solver keeps its accuracy; steps
    to a limit that is not attained, as of 1/x, do.
    """
    if not program.cones or program.mixed_integer:
        return None
    values: list[float] = []
    far = None
    for reach in REACHES:
        boxed = replace(
            program,
            lower=np.maximum(program.lower, np.minimum(-reach, program.upper)),
            upper=np.minimum(program.upper, np.maximum(reach, program.lower)),
        )
        answer = solve(boxed, None)
        if answer.status is not RawStatus.OPTIMAL or answer.x is None:
            if values:
                break
            continue
        far = answer.x
        values.append(value_of(program, far))
        steps = -np.diff(values)
        if (steps <= 1e-3 * max(1.0, abs(values[0]))).any() or (steps[1:] < 0.9 * steps[:-1]).any():
            return None
    return far if len(values) > 4 else None


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
