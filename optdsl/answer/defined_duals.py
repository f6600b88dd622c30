"""Multipliers of the equalities that define eliminated variables, by stationarity in these variables.

With y = f(x) put in place, every other multiplier is that of the model as written (the chain rule on the Lagrangian).
Moving the right-hand side of a definition moves y alone, so that its multiplier is what the Lagrangian of everything
else loses with y: for all eliminated variables at once a square sparse system that is triangular in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import sympy
from scipy.sparse.linalg import splu

from optdsl.answer.checks import largest_entry
from optdsl.classify.eliminate import Reduction
from optdsl.engine.lower import NotLowered
from optdsl.engine.problem import ModelProblem
from optdsl.engine.roughness import kinked
from optdsl.model.model import Model
from optdsl.terms.nodes import VariableEntry

STATIONARY = 1e-4
"""Up to which the Lagrangian's gradient, relative to its parts, counts as 0."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """Derivatives of a model at a point, in the user's sense.

    gradient (n,); jacobian (m, n), rows are the relations' instances; first: for each relation (constraint's number,
    relation's number) its first row and how many it has.
    """

    gradient: np.ndarray
    jacobian: sp.csr_array
    rows: dict[tuple[int, int], tuple[int, int]]

    @staticmethod
    def at(model: Model, x: np.ndarray) -> Slopes | None:
        """The derivatives at x (n,); None where the engine has none."""
        try:
            problem = ModelProblem(model)
        except NotLowered:
            return None
        rows, first = {}, 0
        for place in problem.places:
            lanes = model.constraints[place[0]].size
            rows[place] = (first, lanes)
            first += lanes
        with np.errstate(all="ignore"):
            gradient = problem.sign * problem.gradient(x)
            jacobian = problem.jacobian_pattern.matrix(problem.jacobian(x))
        return Slopes(gradient, sp.csr_array(jacobian), rows)

    def scales(self, model: Model, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """max(1, |right-hand side|, largest |derivative x value|) of each constraint's instances."""
        sizes = np.maximum(1.0, np.nan_to_num(largest_entry(self.jacobian, np.abs(x))))
        found = []
        for number, constraint in enumerate(model.constraints):
            frame, scale = model.lanes_of(constraint.over), np.ones(constraint.size)
            for place, relation in enumerate(constraint.relations):
                first, lanes = self.rows[number, place]
                scale = np.maximum(scale, sizes[first : first + lanes])
                for side in (relation.lower, relation.upper):
                    values = 0.0 if side is None else np.abs(model.lanes.full(side, frame).reshape(-1))
                    scale = np.maximum(scale, np.where(np.isfinite(values), values, 0.0))
            found.append(scale)
        return tuple(found)


def definition_duals(
    reduction: Reduction,
    slopes: Slopes,
    duals: Sequence[np.ndarray],
    reduced_cost: np.ndarray,
    x: np.ndarray,
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The duals of all constraints of the model as written, and the reduced costs (n,) of all its columns.

    duals: those of the reduced model's constraints. x (n,): the point. Not a number where a derivative is none.
    """
    model, count = reduction.original, len(reduction.original.constraints)
    found = [np.array(d, dtype=float) for d in duals[:count]]
    cost = reduced_cost.copy()
    rows, columns = eliminated_rows(reduction, slopes)
    for definition, dual in zip(reduction.bounds, duals[count:], strict=True):
        assert definition.constraint is not None
        first, lanes = slopes.rows[definition.constraint, 0]
        at = np.searchsorted(rows, np.arange(first, first + lanes))
        cost[columns[at]] = dual
    multipliers = np.zeros(slopes.jacobian.shape[0])
    for (number, relation), (first, lanes) in slopes.rows.items():
        several = len(model.constraints[number].relations) > 1
        mask = _tightest(model, number, x) == relation if several else np.ones(lanes, dtype=bool)
        multipliers[first : first + lanes] = np.where(mask, found[number].reshape(-1), 0.0)
    multipliers[rows] = 0.0
    left = (slopes.gradient - slopes.jacobian.T @ multipliers)[columns] - cost[columns]
    multipliers[rows] = _solved(sp.csc_array(slopes.jacobian[rows][:, columns].T), left)
    for definition in reduction.definitions:
        if definition.constraint is not None:
            first, lanes = slopes.rows[definition.constraint, 0]
            found[definition.constraint] = multipliers[first : first + lanes].copy()
            continue
        variable = model.variables[definition.variable]
        part = slice(variable.offset, variable.offset + variable.width)
        cost[part] = (slopes.gradient - slopes.jacobian.T @ multipliers)[part]
    return tuple(found), cost


def bent_in(reduction: Reduction, slopes: Slopes, duals: Sequence[np.ndarray], reduced_cost: np.ndarray) -> bool:
    """Whether the point may be a kink in an eliminated variable, so that one derivative there gives no multiplier.

    It is not one where the Lagrangian is stationary, or where no function with kinks has such a variable in it.
    """
    multipliers = np.zeros(slopes.jacobian.shape[0])
    for (number, relation), (first, lanes) in slopes.rows.items():
        if relation == 0:
            multipliers[first : first + lanes] = duals[number].reshape(-1)
    pushed = slopes.jacobian.T @ multipliers
    size = np.maximum(1.0, np.maximum(np.abs(slopes.gradient), np.abs(pushed)))
    left = np.abs(slopes.gradient - pushed - reduced_cost) / size
    if left.size and left.max() <= STATIONARY:
        return False
    names = {d.variable for d in reduction.definitions}
    model = reduction.original
    bodies = [r.body for c in model.constraints for r in c.relations]
    bodies += [] if model.objective is None else [model.objective.body]
    terms = [t for body in bodies for t in sympy.Add.make_args(body)]
    return kinked([t for t in terms if names & {e.name for e in t.atoms(VariableEntry)}])


def eliminated_rows(reduction: Reduction, slopes: Slopes) -> tuple[np.ndarray, np.ndarray]:
    """The rows of all definitions, increasing, and the column that each defines."""
    model, rows, columns = reduction.original, [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for definition in reduction.definitions:
        if definition.constraint is not None:
            first, lanes = slopes.rows[definition.constraint, 0]
            frame = model.lanes_of(definition.over)
            rows.append(first + np.arange(lanes))
            columns.append(np.broadcast_to(model.lanes.columns(definition.entry, frame), frame.shape).reshape(-1))
    order = np.argsort(np.concatenate(rows))
    return np.concatenate(rows)[order], np.concatenate(columns)[order]


def _tightest(model: Model, number: int, x: np.ndarray) -> np.ndarray:
    """Of a constraint with several relations the one with the least slack, at each instance."""
    constraint = model.constraints[number]
    frame, lanes = model.lanes_of(constraint.over), model.lanes.with_values(x, 1e-9)
    slacks = []
    for relation in constraint.relations:
        value = lanes.full(relation.body, frame)
        sides = [value - lanes.full(relation.lower, frame)] if relation.lower is not None else []
        sides += [lanes.full(relation.upper, frame) - value] if relation.upper is not None else []
        slacks.append(np.min(sides, axis=0).reshape(-1))
    return np.argmin(slacks, axis=0)


def _solved(matrix: sp.csc_array, right: np.ndarray) -> np.ndarray:
    """The solution of a square system; not a number where it has none."""
    missing = np.full(len(right), np.nan)
    if not len(right) or not np.isfinite(right).all() or not np.isfinite(matrix.data).all():
        return missing
    try:
        return np.asarray(splu(matrix).solve(right))
    except RuntimeError:
        return missing
