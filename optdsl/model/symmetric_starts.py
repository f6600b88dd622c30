"""Starts at which the hidden units of a network are all alike: they get the same slopes, and stay alike.

Rumelhart, Hinton and Williams (1986), "Learning internal representations by error propagation", on breaking symmetry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import sympy

from optdsl.model.model import Constraint, Objective, Variable
from optdsl.terms import nodes
from optdsl.terms.nodes import Index


def symmetric_starts(
    variables: Mapping[str, Variable], objective: Objective | None, constraints: Sequence[Constraint]
) -> list[str]:
    """A remark for each set whose members an objective treats alike and whose variables start alike for all of them.

    Such a set is summed over in a product of variables, one of them a matrix, and nothing else depends on its members.
    """
    if objective is None or not objective.body.has(nodes.Reduce):
        return []
    held = {
        entry.name
        for constraint in constraints
        for relation in constraint.relations
        for entry in relation.body.atoms(nodes.VariableEntry)
    }
    remarks: dict[str, None] = {}
    for name, group in _hidden(objective.body):
        named = [variables[variable] for variable, _ in sorted(group)]
        matrices = any(len(variable.axes) > 1 for variable in named)
        pinned = any(variable.name in held for variable in named) or not _only_indexed(objective.body, group)
        if matrices and not pinned and all(_alike(variables[variable], axis) for variable, axis in group):
            remarks[_remark(name, named)] = None
    return list(remarks)


def _hidden(body: sympy.Expr) -> Iterator[tuple[str, frozenset[tuple[str, int]]]]:
    """Sets summed over in products of variables and nothing else: each with the axes of variables over it."""
    for node in body.atoms(nodes.Reduce):
        if node.name != "sum" or node.over.conditions:
            continue
        for each in node.over.iterators:
            if len(each.slots) != 1 or not isinstance(each.set, nodes.NamedSet | nodes.RangeSet):
                continue
            index = each.slots[0]
            for term in sympy.Add.make_args(node.body):
                with_units = [_axes(factor, index) for factor in sympy.Mul.make_args(term)]
                found = [axes for axes in with_units if axes]
                if len(found) > 1 and _by_variables_only(term, index):
                    yield str(each.set), frozenset().union(*found)


def _axes(factor: sympy.Expr, index: Index) -> frozenset[tuple[str, int]]:
    """The axes of variables that an index runs along in an expression."""
    return frozenset(
        (entry.name, place)
        for entry in factor.atoms(nodes.VariableEntry)
        for place, slot in enumerate(entry.slots)
        if slot == index
    )


def _by_variables_only(term: sympy.Expr, index: Index) -> bool:
    """Whether an index stands nowhere but as an index of variables."""
    entries = {e: sympy.Integer(0) for e in term.atoms(nodes.VariableEntry) if index in e.slots}
    return not any(index in part.atoms(Index) for part in _outside(term, entries))


def _outside(term: sympy.Basic, entries: Mapping[sympy.Basic, sympy.Basic]) -> Iterator[sympy.Basic]:
    """The leaves of an expression but those inside the entries."""
    stack = [term]
    while stack:
        current = stack.pop()
        if current in entries:
            continue
        if current.args:
            stack.extend(current.args)
        else:
            yield current


def _only_indexed(body: sympy.Expr, group: frozenset[tuple[str, int]]) -> bool:
    """Whether the variables' axes are always run along by an index: no single member is named."""
    names = dict(group)
    return all(
        isinstance(entry.slots[names[entry.name]], Index)
        for entry in body.atoms(nodes.VariableEntry)
        if entry.name in names
    )


def _alike(variable: Variable, axis: int) -> bool:
    """Whether a variable starts at the same values for every member along an axis, which has two members or more."""
    if variable.columns is not None or any(part.arity != 1 for part in variable.axes) or variable.shape[axis] < 2:
        return False
    return all(
        _constant(values.reshape(variable.shape), axis) for values in (variable.start, variable.lower, variable.upper)
    )


def _constant(values: np.ndarray, axis: int) -> bool:
    first = np.take(values, [0], axis=axis)
    return bool(((values == first) | (np.isnan(values) & np.isnan(first))).all())


def _remark(name: str, named: Sequence[Variable]) -> str:
    names = [f"`{variable.name}`" for variable in named]
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    starts = np.concatenate([variable.start for variable in named])
    at = " at 0," if not starts.any() else ", without `init`," if np.isnan(starts).all() else ""
    one = "starts" if len(named) == 1 else "start"
    matrix = next(variable for variable in named if len(variable.axes) > 1)
    return (
        f"{listed} {one}{at} alike for every member of `{name}`: the members get the same slopes, and slopes "
        f"alone never tell them apart; draw one variable, such as `var {matrix.name}[...] init xavier`"
    )
