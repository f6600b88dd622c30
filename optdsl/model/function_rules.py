"""What every rule for a function call stands on: the elaborator, counted arguments, reductions over iterators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sympy

from optdsl.atoms import ARRAYWISE, ELEMENTWISE, METRICS, REDUCTIONS
from optdsl.language import tree
from optdsl.model.model import DomainCondition
from optdsl.model.scope import FunctionSymbol
from optdsl.model.shapes import Arr
from optdsl.terms import nodes

if TYPE_CHECKING:
    from optdsl.model.elaborate import Elaborator

ARRAYS = {**ARRAYWISE, **METRICS}
SAME_AS = {"relu": "pos"}
SET_FUNCTIONS = ("size", "first", "last", "prev", "next", "ord")


class FunctionRules:
    """Shared by the rules for calls."""

    def __init__(self, elaborator: Elaborator) -> None:
        self.elaborator = elaborator
        self.workspace = elaborator.workspace
        self.marker = elaborator.marker
        self.fault = elaborator.fault

    def _count(self, node: tree.Call, given: int, least: int, most: int | None) -> None:
        if given < least or (most is not None and given > most):
            wanted = str(least) if most == least else f"{least} or more" if most is None else f"{least} to {most}"
            self.fault(
                "wrong-argument-count",
                node.span,
                f"`{node.name}` takes {wanted} argument{'' if wanted == '1' else 's'}, but {given} "
                f"{'was' if given == 1 else 'were'} given",
                f"write `{self._usage(node.name)}`",
            )

    def _usage(self, name: str) -> str:
        """A call of a function as it is meant: `huber(x, m)`."""
        symbol = self.workspace.symbols.get(name)
        if isinstance(symbol, FunctionSymbol):
            return f"{name}({', '.join(symbol.declaration.parameters or ())})"
        if name in SET_FUNCTIONS:
            return f"{name}(S)" if name in ("size", "first", "last") else f"{name}(i, S)"
        row = ELEMENTWISE.get(SAME_AS.get(name, name)) or REDUCTIONS.get(name) or ARRAYS.get(name)
        return f"{name}({', '.join(row.parameters) if row is not None else 'x'})"

    def _data_arguments(self, node: tree.Call, arguments: Sequence[Arr], row: Any) -> None:
        for k, argument in enumerate(arguments):
            name = row.parameters[min(k, len(row.parameters) - 1)]
            if name in row.data_arguments and nodes.has_variables(argument.body):
                self.fault(
                    "argument-must-be-data",
                    node.args[k].span,
                    f"`{name}` of `{node.name}` must be data, not an expression of variables",
                    f"`{self._usage(node.name)}` takes variables in its other arguments only"
                    if len(row.data_arguments) < len(row.parameters)
                    else f"`{node.name}` is a function of data; model it with integer variables and constraints",
                )

    def _metric_arguments(self, node: tree.Call, arguments: list[Arr], row: Any) -> list[Arr]:
        """Two arguments of a metric along the same axes; labels become positions in the axis of the classes."""
        if len(arguments) != 2 or not arguments[0].axes:
            return arguments
        first, second = arguments
        labels = "label" in row.parameters
        axes = first.axes[:-1] if labels else first.axes
        if len(axes) != len(second.axes) or (labels and first.axes[-1].arity != 1):
            return arguments  # the shapes are reported
        target = Arr(first.body, axes, first.indices[: sum(axis.arity for axis in axes)])
        along = self.elaborator.along(second, target, node.span)
        if not labels:
            return [first, along]
        classes = first.axes[-1]
        position = nodes.Position(classes.term, *classes.prefix, along.body)
        self.marker.mark(position, node.args[1].span)
        return [first, replace(along, body=position)]

    def _reduced(self, name: str, array: Arr, over: nodes.Over, extra: Sequence[sympy.Expr]) -> Arr:
        body = reduce_node(name, array.body, over, extra)
        conditions = tuple(DomainCondition(c.kind, c.expression, (over, *c.overs)) for c in array.conditions)
        if name in ("geo_mean", "harmonic_mean") and nodes.has_variables(array.body):
            conditions = (*conditions, DomainCondition("nonnegative", array.body, (over,)))
        return Arr(body, array.axes, array.indices, conditions)

    def _not_an_array(self, node: tree.Call, array: Arr) -> None:
        self.fault(
            "number-not-array",
            node.span,
            f"`{node.name}` reduces an array, but this is a single value",
            f"iterate over a set: `{node.name}(... for i in I)`"
            if node.name in REDUCTIONS and len(REDUCTIONS[node.name].parameters) == 1
            else "give it an array: `[... for i in I]`",
        )

    def _fold_axis(self, name: str, array: Arr, axis: int, extra: Sequence[sympy.Expr]) -> Arr:
        own = array.indices_of(axis)
        over = nodes.over([array.axes[axis].each(own)])
        axes = array.axes[:axis] + array.axes[axis + 1 :]
        indices = tuple(i for i in array.indices if i not in own)
        reduced = self._reduced(name, Arr(array.body, (), (), array.conditions), over, extra)
        return Arr(reduced.body, axes, indices, reduced.conditions)


def reduce_node(name: str, body: sympy.Expr, over: nodes.Over, extra: Sequence[sympy.Expr]) -> sympy.Expr:
    """A reduction in its canonical form: nested sums are one sum, `sumsq` is a sum of squares."""
    if name == "sumsq":
        name, body = "sum", sympy.Pow(body, 2)
    if name == "sum" and isinstance(body, nodes.Reduce) and body.name == "sum":
        inner = body.over
        if not over.conditions:
            return nodes.Reduce("sum", body.body, nodes.over((*over.iterators, *inner.iterators), inner.conditions))
    return nodes.Reduce(name, body, over, *extra)


def metric_in(array: Arr) -> str | None:
    """The first metric of variables in an expression."""
    return min((call.name for call in array.body.atoms(nodes.ArrayCall) if call.name in METRICS), default=None)
