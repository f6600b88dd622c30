"""The part of a model's constraints that is projected onto after each step, instead of being weighed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optdsl.engine.lower import Lowering, NotLowered
from optdsl.engine.problem import ArrayProblem
from optdsl.engine.space import Space
from optdsl.methods.linear_sets import linear_sets
from optdsl.methods.projections import simple_set
from optdsl.methods.stochastic.feasible import Simple
from optdsl.training.problem import TensorProblem


def feasible_set(problem: TensorProblem) -> tuple[Simple | None, np.ndarray]:
    """The bounds and those rows that are projected onto, and which rows these are (m,).

    None where there are no such rows: bounds alone are the loop's own. Rows that sum over the members are estimated
    from batches, so they are none of these. Either all the others have projections in closed form, balls among them,
    or simplices and chains are taken from the affine ones.
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
    return _affine_part(part, rows) if found is None else (Simple(found), rows)


def _affine_part(part: ArrayProblem, rows: np.ndarray) -> tuple[Simple | None, np.ndarray]:
    """The set of those affine rows that form simplices and chains; `rows` (m,) are all rows of the part."""
    projected = np.zeros(len(rows), dtype=bool)
    affine = np.flatnonzero(part.linear)
    if not len(affine):
        return None, projected
    point = np.clip(np.zeros(part.width), part.lower, part.upper)
    matrix = part.jacobian_pattern.matrix(part.jacobian(point))[affine]
    constants = part.constraints(point)[affine] - matrix @ point
    lower, upper = part.row_lower[affine] - constants, part.row_upper[affine] - constants
    found, taken = linear_sets(matrix, lower, upper, part.lower, part.upper)
    if not taken.any():
        return None, projected
    projected[np.flatnonzero(rows)[affine[taken]]] = True
    number = np.append(np.cumsum(taken) - 1, -1)
    simplices = replace(found.simplices, rows=number[found.simplices.rows])
    chains = replace(found.chains, rows=number[found.chains.rows])
    return Simple(replace(found, simplices=simplices, chains=chains)), projected
