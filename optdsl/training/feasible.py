"""The part of a model's constraints that is projected onto after each step, instead of being weighed."""

from __future__ import annotations

import numpy as np

from optdsl.engine.lower import Lowering, NotLowered
from optdsl.engine.problem import ArrayProblem
from optdsl.engine.space import Space
from optdsl.methods.projections import simple_set
from optdsl.methods.stochastic.feasible import Simple
from optdsl.training.problem import TensorProblem


def feasible_set(problem: TensorProblem) -> tuple[Simple | None, np.ndarray]:
    """The bounds and those rows that are projected onto, and which rows these are (m,).

    None where there are no such rows: bounds alone are the loop's own. Rows that sum over the members are estimated
    from batches, so they are none of these; where another one has no projection in closed form, none of them is used.
    """
    rows = np.zeros(len(problem.row_lower), dtype=bool)
    spaces: list[Space] = []
    lowering = Lowering(problem.model)
    at = 0
    try:
        for (number, place), shape, batched in zip(
            problem.places, problem.row_shapes, problem.row_batched, strict=True
        ):
            size = int(np.prod(shape, dtype=np.int64))
            if not batched:
                constraint = problem.model.constraints[number]
                spaces.append(lowering.space(constraint.relations[place].body, problem.model.lanes_of(constraint.over)))
                rows[at : at + size] = True
            at += size
    except NotLowered:
        return None, np.zeros(len(rows), dtype=bool)
    if not rows.any():
        return None, rows
    sides = (problem.row_lower[rows], problem.row_upper[rows])
    part = ArrayProblem(None, spaces, sides, (problem.lower, problem.upper), problem.start)
    found = simple_set(part)
    return (None, np.zeros(len(rows), dtype=bool)) if found is None else (Simple(found), rows)
