"""Which equalities define a variable: `y[i] = f(x)` for every entry once, y nowhere in f."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import sympy

from optdsl.classify.eliminate.substitution import Definition, new_indices
from optdsl.model.model import Constraint, Model, Variable
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import LaneFault
from optdsl.terms.nodes import Index, VariableEntry, has_variables

ATTRIBUTES = frozenset({"fixed"})
"""What an eliminated variable may be besides real."""


def definitions_in(model: Model, number: int, taken: Collection[str]) -> Iterator[Definition]:
    """What a constraint may be read as a definition of, in the order of its terms; none of the variables `taken`."""
    constraint = model.constraints[number]
    if constraint.kind != "scalar" or len(constraint.relations) != 1:
        return
    (relation,) = constraint.relations
    if relation.lower is None or relation.lower != relation.upper:
        return
    terms = sympy.Add.make_args(relation.body)
    names = [{e.name for e in term.atoms(VariableEntry)} for term in terms]
    for at, term in enumerate(terms):
        entry, coefficient = _single(term)
        if entry is None or entry.name in taken or any(entry.name in n for k, n in enumerate(names) if k != at):
            continue
        if not _is_plain(model.variables[entry.name]) or not _covers(model, constraint, entry, coefficient):
            continue
        rest = sympy.Add(*(t for k, t in enumerate(terms) if k != at))
        places = tuple(entry.slots.index(slot) for slot in sorted(entry.slots, key=_level))
        body = _divided(relation.lower - rest, coefficient)
        yield Definition(entry.name, body, places, number, coefficient, constraint.over, constraint.marks)


def is_linear(expression: sympy.Basic) -> bool:
    """Whether an expression is affine by its nodes."""
    if not has_variables(expression) or isinstance(expression, VariableEntry):
        return True
    if isinstance(expression, sympy.Add):
        return all(is_linear(a) for a in expression.args)
    if isinstance(expression, sympy.Mul):
        return sum(has_variables(a) for a in expression.args) == 1 and all(is_linear(a) for a in expression.args)
    return isinstance(expression, nodes.Reduce) and expression.name in ("sum", "mean") and is_linear(expression.body)


def _single(term: sympy.Expr) -> tuple[VariableEntry | None, sympy.Expr]:
    """The entry and its factor of a term that is data times one entry."""
    if isinstance(term, VariableEntry):
        return term, sympy.Integer(1)
    if not isinstance(term, sympy.Mul):
        return None, sympy.Integer(1)
    moving = [f for f in term.args if has_variables(f)]
    if len(moving) != 1 or not isinstance(moving[0], VariableEntry):
        return None, sympy.Integer(1)
    return moving[0], sympy.Mul(*(f for f in term.args if f is not moving[0]))


def _is_plain(variable: Variable) -> bool:
    return not variable.integer and variable.columns is None and variable.attributes <= ATTRIBUTES


def _covers(model: Model, constraint: Constraint, entry: VariableEntry, coefficient: sympy.Expr) -> bool:
    """Whether a family has one instance for each entry of the variable, with a factor that is not 0."""
    slots, variable = entry.slots, model.variables[entry.name]
    if any(not isinstance(s, Index) for s in slots) or len(set(slots)) != len(slots):
        return False
    if new_indices(constraint.over, 0) != len(slots) or constraint.size != variable.size:
        return False
    try:
        frame = model.lanes_of(constraint.over)
        if frame.size != variable.size:
            return False
        once = np.zeros(variable.size, dtype=bool)
        if variable.size:
            once[model.lanes.columns(entry, frame) - variable.offset] = True
        return bool(once.all()) and _divides(model, coefficient, frame)
    except LaneFault:
        return False


def _divides(model: Model, coefficient: sympy.Expr, frame: Frame) -> bool:
    with np.errstate(all="ignore"):
        numbers = np.asarray(model.lanes.numbers(coefficient, frame), dtype=float)
    return bool((np.isfinite(numbers) & (np.abs(numbers) > 0)).all())


def _divided(difference: sympy.Expr, coefficient: sympy.Expr) -> sympy.Expr:
    if coefficient == 1:
        return difference
    if coefficient == -1:
        return sympy.Add(*(-t for t in sympy.Add.make_args(difference)))
    return sympy.Add(*(t / coefficient for t in sympy.Add.make_args(difference)))


def _level(index: Index) -> int:
    return index.level


__all__ = ["definitions_in", "is_linear"]
