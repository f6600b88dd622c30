"""How smooth an expression of variables is, from its functions' rows and the bounds of plain arguments."""

from __future__ import annotations

import numpy as np
import sympy

from optdsl.atoms import ENTRIES, REDUCTIONS, Smoothness, interior, interval
from optdsl.model.model import Model
from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables

_KINKED = ("max", "min", "norm1", "norminf", "sum_largest", "norm", "norm2")


def smoothness_of(model: Model, expression: sympy.Basic) -> str:
    """`smooth`, `C1`, `nonsmooth` or `discontinuous`: that of its roughest function."""
    return _of(model, expression).word


def _of(model: Model, expression: sympy.Basic) -> Smoothness:
    if not has_variables(expression):
        return Smoothness.SMOOTH
    parts = [_of(model, argument) for argument in expression.args]
    own = Smoothness.SMOOTH
    if isinstance(expression, sympy.Pow) and expression.exp == 2 and isinstance(expression.base, nodes.Apply):
        if expression.base.name in ("pos", "abs"):
            inner = min((_of(model, a) for a in expression.base.slots), default=Smoothness.SMOOTH)
            return min(inner, Smoothness.C1 if expression.base.name == "pos" else Smoothness.SMOOTH)
    if isinstance(expression, nodes.Apply):
        row = ENTRIES[expression.name]
        boxes = [_box(model, a) for a in expression.slots]
        own = Smoothness(int(np.min(row.smoothness(*boxes))))
    elif isinstance(expression, nodes.Reduce) and expression.name in _KINKED and expression.name in REDUCTIONS:
        own = Smoothness.NONSMOOTH
    elif isinstance(expression, nodes.ArrayCall) and expression.name.startswith(("eig_", "norm_", "tv")):
        own = Smoothness.NONSMOOTH
    return min([own, *parts])


def _box(model: Model, argument: sympy.Basic):  # type: ignore[no-untyped-def]
    if argument.is_number:
        return interval(float(argument), float(argument))
    if isinstance(argument, nodes.VariableEntry):
        variable = model.variables[argument.name]
        if variable.width:
            return interior(interval(float(variable.lower.min()), float(variable.upper.max())))
    if not has_variables(argument):
        return interval(1.0, 1.0)
    return interior(interval(-np.inf, np.inf))
