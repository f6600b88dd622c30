"""The same problem without the variables that equalities define, and the way back to all of them.

`y = f(x)` put in place of everywhere leaves a problem in x with the same values: every feasible x has one y, and the
bounds of y are bounds on f. The constraints keep their numbers; the equality that was used holds by itself. The
columns of y stay, fixed at 0 and used by nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import sympy

from optdsl.classify.eliminate.substitution import Definition, Substitution, new_indices
from optdsl.classify.facts import Facts
from optdsl.data.arrays import DenseArray
from optdsl.model.model import Constraint, Marks, Model, Objective, Relation, Variable
from optdsl.terms import nodes
from optdsl.terms.nodes import ParameterEntry, index_at

if TYPE_CHECKING:
    from optdsl.classify.analysis import Analysis


@dataclass(frozen=True, eq=False)
class Reduction:
    """A model and the same problem without the variables of `definitions`.

    definitions: in the order in which they were put in place, so that each holds none of those before it. bounds: for
    each constraint of `model` after those of `original`, the definition whose variable's bounds it states.
    """

    original: Model
    model: Model
    definitions: tuple[Definition, ...] = ()
    bounds: tuple[Definition, ...] = ()

    def without(self, definition: Definition) -> Reduction:
        """The problem with one more definition put in place."""
        fixed = self.original.variables[definition.variable]
        data = {} if definition.constraint is not None else {fixed.name: _values_of(fixed)}
        model = replace(
            self.model,
            objective=_objective(self.model.objective, definition),
            constraints=tuple(_constraint(c, definition, n) for n, c in enumerate(self.model.constraints)),
            variables=_unused(self.model.variables, definition.variable),
        )
        return replace(self, model=_with_data(model, data), definitions=(*self.definitions, definition))

    def bounded(self) -> Reduction:
        """The problem with the bounds of what was eliminated as constraints, where the definitions leave them open."""
        model, facts = self.model, Facts.of(self.model)
        bounds: list[Definition] = []
        constraints, parameters = list(model.constraints), dict[str, DenseArray]()
        for definition in self.definitions:
            if definition.constraint is None:
                continue
            variable = self.original.variables[definition.variable]
            body, marks = self.whole(definition)
            stated = _bounds(model, variable, definition, body, facts)
            if not stated:
                continue
            relations = []
            for side, values in stated.items():
                end: sympy.Expr = ParameterEntry(f"{variable.name}.{side}", *definition.entry.slots)
                if np.ptp(values) == 0:
                    end = _number(float(values.flat[0]))
                else:
                    parameters[f"{variable.name}.{side}"] = DenseArray(variable.axes, values)
                relations.append(Relation(body, *((end, None) if side == "lower" else (None, end))))
            from_ = self.original.constraints[definition.constraint]
            name = f"bounds of {variable.name}"
            constraints.append(replace(from_, name=name, relations=tuple(relations), marks=marks))
            bounds.append(definition)
        reduced = _with_data(replace(model, constraints=tuple(constraints)), parameters)
        return replace(self, model=reduced, bounds=tuple(bounds))

    def whole(self, definition: Definition) -> tuple[sympy.Expr, Marks]:
        """What defines a variable, in those that are left, with its marks."""
        body, marks = definition.body, definition.marks
        for later in self.definitions[self.definitions.index(definition) + 1 :]:
            substitution = Substitution(later, marks)
            body = substitution.body(body, len(definition.places))
            marks = substitution.merged()
        return body, marks

    def complete(self, x: np.ndarray) -> np.ndarray:
        """A point (n,) of the reduced problem with the eliminated variables at their values."""
        point = x.copy()
        for definition in reversed(self.definitions):
            variable = self.original.variables[definition.variable]
            if definition.constraint is None:
                point[variable.offset : variable.offset + variable.width] = variable.lower
                continue
            frame = self.original.lanes_of(definition.over)
            lanes = self.original.lanes.with_values(point, 1e-9)
            with np.errstate(all="ignore"):
                values = lanes.full(definition.body, frame)
            if variable.size:
                columns = np.broadcast_to(self.original.lanes.columns(definition.entry, frame), frame.shape)
                point[columns] = values
        return point


@dataclass(frozen=True, eq=False)
class Eliminated:
    """How a model is convex: without the variables that equalities define, with the analysis of what is left."""

    reduction: Reduction
    analysis: Analysis


def _objective(objective: Objective | None, definition: Definition) -> Objective | None:
    if objective is None:
        return None
    substitution = Substitution(definition, objective.marks)
    body = substitution.body(objective.body, 0)
    conditions = tuple(substitution.condition(c, 0) for c in objective.conditions)
    return replace(objective, body=body, conditions=conditions, marks=substitution.merged())


def _constraint(constraint: Constraint, definition: Definition, number: int) -> Constraint:
    depth = new_indices(constraint.over, 0)
    substitution = Substitution(definition, constraint.marks)
    relations = tuple(_relation(r, substitution, depth) for r in constraint.relations)
    if number == definition.constraint:
        zero = sympy.Integer(0)
        relations = tuple(replace(r, body=zero, lower=zero, upper=zero) for r in relations)
    if all(new is old for new, old in zip(relations, constraint.relations, strict=True)):
        return constraint
    return replace(constraint, relations=relations, marks=substitution.merged())


def _relation(relation: Relation, substitution: Substitution, depth: int) -> Relation:
    body = substitution.body(relation.body, depth)
    conditions = tuple(substitution.condition(c, depth) for c in relation.conditions)
    if body is relation.body and all(a is b for a, b in zip(conditions, relation.conditions, strict=True)):
        return relation
    return replace(relation, body=body, conditions=conditions)


def _unused(variables: Mapping[str, Variable], name: str) -> dict[str, Variable]:
    """The variables; the columns of one of them fixed at 0."""
    old = variables[name]
    zero = np.zeros(old.width)
    free = old.attributes - {"fixed"}
    fixed = replace(old, lower=zero, upper=zero, start=np.full(old.width, np.nan), attributes=free)
    return {**variables, name: fixed}


def _bounds(
    model: Model, variable: Variable, definition: Definition, body: sympy.Expr, facts: Facts
) -> dict[str, np.ndarray]:
    """The sides of a variable that its definition may leave, an array over its axes each, infinite where it cannot."""
    if not variable.size or not (np.isfinite(variable.lower).any() or np.isfinite(variable.upper).any()):
        return {}
    frame = model.lanes_of(definition.over)
    fact = facts.find(body, frame)
    columns = np.broadcast_to(model.lanes.columns(definition.entry, frame), frame.shape) - variable.offset
    ends = {"lower": variable.lower.copy(), "upper": variable.upper.copy()}
    lo, hi = (np.broadcast_to(end, frame.shape) for end in (fact.lo, fact.hi))
    ends["lower"][columns[lo >= variable.lower[columns]]] = -np.inf
    ends["upper"][columns[hi <= variable.upper[columns]]] = np.inf
    return {side: end.reshape(variable.shape) for side, end in ends.items() if np.isfinite(end).any()}


def fixing(variable: Variable) -> Definition:
    """A variable whose bounds leave one value is data of this value."""
    arity = sum(axis.arity for axis in variable.axes)
    body = ParameterEntry(variable.name, *(index_at(k) for k in range(arity)))
    return Definition(variable.name, body, tuple(range(arity)), None, sympy.Integer(1), nodes.over(()), Marks())


def _values_of(variable: Variable) -> DenseArray:
    return DenseArray(variable.axes, variable.lower.reshape(variable.shape))


def _with_data(model: Model, parameters: Mapping[str, DenseArray]) -> Model:
    """The model with further data."""
    if not parameters:
        return model
    return replace(model, parameters={**model.parameters, **parameters}, lanes=model.lanes.with_parameters(parameters))


def _number(value: float) -> sympy.Expr:
    return sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value)


__all__ = ["Eliminated", "Reduction", "fixing"]
