"""Kinks and jumps in the text of a model: which functions have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from optdsl.atoms import ENTRIES, REDUCTIONS
from optdsl.atoms.atom import Absent, Interval, Smoothness
from optdsl.atoms.table import F
from optdsl.engine.graph import ROUNDED
from optdsl.errors import Span
from optdsl.model.model import Marks, Model
from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables

ANYTHING = Interval(np.array([-np.inf]), np.array([np.inf]))
FOLDED = frozenset({"max", "min", "norm1", "norminf", "sum_largest"})
"""Reductions with kinks where their members meet; that of a norm at 0 is met by few."""


@dataclass(frozen=True, eq=False)
class StatementBodies:
    """The objective or a constraint: its name, place and expressions."""

    name: str
    span: Span
    marks: Marks
    bodies: tuple[sympy.Expr, ...]


def statements_of(model: Model) -> Iterator[StatementBodies]:
    """All statements of a model."""
    objective = model.objective
    if objective is not None:
        yield StatementBodies(objective.name, objective.span, objective.marks, (objective.body,))
    for constraint in model.constraints:
        bodies = tuple(relation.body for relation in constraint.relations)
        yield StatementBodies(constraint.name, constraint.span, constraint.marks, bodies)


def kinked(bodies: Sequence[sympy.Expr]) -> bool:
    """Whether a function whose kinks the engine rounds off is applied to variables."""
    return not ROUNDED.isdisjoint(_applied(bodies)) or bool(_folded(bodies))


def jumping(bodies: Sequence[sympy.Expr]) -> str | None:
    """The first function that jumps and is applied to variables; a pole is no jump."""
    return next((name for name in _applied(bodies) if _jumps(name)), None)


def first_jump(statement: StatementBodies) -> nodes.Apply | None:
    """The function applied to variables that jumps and stands first in a statement's text, if there is one."""
    found = {
        node
        for body in statement.bodies
        for node in body.atoms(nodes.Apply)
        if has_variables(node) and _jumps(node.name)
    }
    return min(found, key=lambda node: (_begin(node, statement), str(node)), default=None)


def _begin(node: sympy.Basic, statement: StatementBodies) -> int:
    span = statement.marks.spans.get(node, statement.span)
    return span.start


def _applied(bodies: Sequence[sympy.Expr]) -> list[str]:
    found = {node.name for body in bodies for node in body.atoms(nodes.Apply) if has_variables(node)}
    return sorted(found)


def _folded(bodies: Sequence[sympy.Expr]) -> set[str]:
    return {
        node.name
        for body in bodies
        for node in body.atoms(nodes.Reduce)
        if node.name in FOLDED & set(REDUCTIONS) and has_variables(node)
    }


def _jumps(name: str) -> bool:
    """Whether a function is constant between jumps: discontinuous, and its slope is 0 wherever it has one."""
    row = ENTRIES[name]
    count = max(1, row.arity[0])
    with np.errstate(all="ignore"):
        level = np.min(row.smoothness(*(ANYTHING for _ in range(count))))
        if level > Smoothness.DISCONTINUOUS or isinstance(row.derivative, Absent):
            return False
        slopes = row.derivative(F, *(np.array([0.37, 2.6]) for _ in range(count)))
    return all(slope is None or not np.any(slope) for slope in slopes)
