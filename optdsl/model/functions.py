"""Calls of functions: reductions, elementwise functions, array functions, losses, functions of the user's own.

Array functions that are sums in disguise (`dot`, `@`, `cumsum`, `diff`, `conv`, `trace` ...) become index notation;
of data alone they are computed at once by their kernel; the others stay an opaque `ArrayCall`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from optdsl.atoms import ARRAYWISE, ELEMENTWISE, METRICS, REDUCTIONS
from optdsl.data.arrays import DenseArray
from optdsl.errors import Span
from optdsl.language import tree
from optdsl.model import shapes
from optdsl.model.model import DomainCondition
from optdsl.model.scope import Context, EntrySymbol, FunctionSymbol, SetSymbol, kind_of
from optdsl.model.shapes import Arr, Axis
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import Family
from optdsl.terms.nodes import Index

if TYPE_CHECKING:
    from optdsl.model.elaborate import Elaborator

# conditions that partial functions bring, by argument position
DOMAINS: dict[str, tuple[tuple[int, str], ...]] = {
    "log": ((0, "positive"),),
    "log10": ((0, "positive"),),
    "log2": ((0, "positive"),),
    "sqrt": ((0, "nonnegative"),),
    "entr": ((0, "nonnegative"),),
    "xlogx": ((0, "nonnegative"),),
    "kl_div": ((0, "nonnegative"), (1, "nonnegative")),
    "rel_entr": ((0, "nonnegative"), (1, "nonnegative")),
}
SAME_AS = {"relu": "pos"}
LAST_AXIS = ("softmax", "logsumexp")
SET_FUNCTIONS = ("size", "first", "last", "prev", "next", "ord")
ARRAYS = {**ARRAYWISE, **METRICS}


class Functions:
    """Elaborates calls for an `Elaborator`."""

    def __init__(self, elaborator: Elaborator) -> None:
        self.elaborator = elaborator
        self.workspace = elaborator.workspace
        self.marker = elaborator.marker
        self.fault = elaborator.fault
        self.written: dict[str, Callable[[tree.Call, list[Arr], Context], Arr]] = {
            name[6:]: getattr(self, name) for name in dir(self) if name.startswith("_call_")
        }

    @property
    def known(self) -> list[str]:
        names = {*ELEMENTWISE, *REDUCTIONS, *ARRAYS, *self.written, *SET_FUNCTIONS, *SAME_AS}
        return sorted(names)

    def call(self, node: tree.Call, context: Context) -> Arr:
        """A call of a function of the language."""
        name = node.name
        if node.domain is not None:
            return self.iterated(node, context)
        if name in SET_FUNCTIONS:
            return self._of_set(node, context)
        if name not in self.known:
            self.elaborator.unknown_function(node, self.known)
        self._keywords(node)
        arguments = self.elaborator.arrays(node.args, context)
        if name in REDUCTIONS and not (name in ("max", "min") and len(arguments) > 1):
            return self.reduction(node, arguments, context)
        if name in self.written:
            self._count(node, len(arguments), *_arity(self.written[name]))
            return self.written[name](node, arguments, context)
        if name in ARRAYS:
            return self.array_function(node, arguments, context)
        return self.entrywise(node, arguments)

    def _keywords(self, node: tree.Call) -> None:
        allowed = ("over",) if node.name in REDUCTIONS or node.name == "softmax" else ()
        for keyword in node.keywords:
            if keyword.name not in allowed:
                self.fault(
                    "unknown-keyword",
                    keyword.span,
                    f"`{node.name}` takes no option `{keyword.name}`",
                    "did you mean `over = SET`?" if allowed else f"write `{self._usage(node.name)}`",
                )

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

    # ---------------------------------------------------------------------------------------------- elementwise

    def entrywise(self, node: tree.Call, arguments: list[Arr]) -> Arr:
        """An elementwise function, with the condition that its domain brings."""
        name = SAME_AS.get(node.name, node.name)
        row = ELEMENTWISE[name]
        self._count(node, len(arguments), *row.arity)
        self._data_arguments(node, arguments, row)
        if len(arguments) == 1 and name in ("max", "min"):
            return arguments[0]
        result = self.elaborator.elementwise(
            arguments, lambda *b: nodes.Apply(name, *b), node.span, [a.span for a in node.args]
        )
        for position, kind in DOMAINS.get(name, ()):
            result = self.elaborator.with_condition(result, kind, arguments[position])
        return result

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

    def _call_square(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        return self.elaborator.elementwise(a, lambda b: sympy.Pow(b, 2), node.span)

    def _call_inv(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        return self.elaborator.divide(Arr(sympy.Integer(1)), a[0], node.args[0].span, node.span)

    def _call_pow(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        self._count(node, len(a), 2, 2)
        binary = tree.Binary("^", node.args[0], node.args[1], span=node.span)
        return self.elaborator.power(a[0], a[1], binary)

    # ----------------------------------------------------------------------------------------------- reductions

    def iterated(self, node: tree.Call, context: Context) -> Arr:
        """`sum(e for i in I if c)` and its like."""
        if node.name not in REDUCTIONS:
            if node.name not in self.known:
                self.elaborator.unknown_function(node, self.known)
            self.fault(
                "not-iterated",
                node.name_span,
                f"`{node.name}` does not take an iteration",
                f"give it an array: `{node.name}([e for i in I])`",
            )
        assert node.domain is not None
        if not node.args:
            self.fault(
                "wrong-argument-count",
                node.span,
                f"`{node.name}` needs an expression before `for`",
                f"write `{node.name}(x[i] for i in I)`",
            )
        domain = self.elaborator.domains.open(node.domain, context)
        inner = domain.context
        if node.name in ("any", "all"):
            conditions = self.elaborator.condition(node.args[0], inner)
            body = conditions[0] if len(conditions) == 1 else nodes.Logic("and", *conditions)
            return Arr(nodes.Reduce(node.name, body, domain.over))
        array = self.elaborator.array(node.args[0], inner)
        self.elaborator.require_free(array, domain.fresh, node.args[0].span)
        extra = self._extra(node, [self.elaborator.array(a, context) for a in node.args[1:]], context)
        return self._reduced(node.name, array, domain.over, extra)

    def _reduced(self, name: str, array: Arr, over: nodes.Over, extra: Sequence[sympy.Expr]) -> Arr:
        body = reduce_node(name, array.body, over, extra)
        conditions = tuple(DomainCondition(c.kind, c.expression, (over, *c.overs)) for c in array.conditions)
        return Arr(body, array.axes, array.indices, conditions)

    def _extra(self, node: tree.Call, arguments: Sequence[Arr], context: Context) -> list[sympy.Expr]:
        row = REDUCTIONS[node.name]
        needed = len(row.parameters) - 1
        if len(arguments) != needed:
            wanted = ", ".join(row.parameters)
            given = len(arguments) + 1
            self.fault(
                "wrong-argument-count",
                node.span,
                f"`{node.name}` takes {needed + 1} argument{'s' if needed else ''}, but {given} "
                f"{'was' if given == 1 else 'were'} given",
                f"write `{node.name}({wanted})`" + ("" if needed else f" or `{node.name}(x[i] for i in I)`"),
            )
        extra = []
        for k, argument in enumerate(arguments):
            outer = not context.bound.isdisjoint(argument.body.atoms(Index))
            if nodes.has_variables(argument.body) or argument.axes or outer:
                self.fault(
                    "argument-must-be-data",
                    node.args[k + 1].span,
                    f"`{row.parameters[k + 1]}` of `{node.name}` must be a single number",
                    "write a number or a parameter without index here",
                )
            extra.append(argument.body)
        return extra

    def reduction(self, node: tree.Call, arguments: list[Arr], context: Context) -> Arr:
        """`sum(X)`, `sum(X, over = J)`."""
        if not arguments:
            self.fault(
                "wrong-argument-count",
                node.span,
                f"`{node.name}` needs an array or an iteration",
                f"write `{node.name}(x)` or `{node.name}(x[i] for i in I)`",
            )
        if isinstance(node.args[0], tree.Compare) and node.name in ("any", "all"):
            pass
        array, extra = arguments[0], self._extra(node, arguments[1:], context)
        over = {k.name: k.value for k in node.keywords}.get("over")
        if over is not None:
            chosen = self._axis_over(array, over, context)
        elif node.name in LAST_AXIS and len(array.axes) > 1:
            chosen = len(array.axes) - 1
        else:
            if not array.axes:
                self._not_an_array(node, array)
            whole = Arr(array.body, (), (), array.conditions)
            return self._reduced(node.name, whole, nodes.over(array.eaches), extra)
        return self._fold_axis(node.name, array, chosen, extra)

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

    def _axis_over(self, array: Arr, over: tree.Expr, context: Context) -> int:
        wanted = self.elaborator.domains.axis(over, context)
        exact = [k for k, axis in enumerate(array.axes) if axis.term == wanted.term and axis.prefix == wanted.prefix]
        matching = exact or [k for k, axis in enumerate(array.axes) if axis.same_as(wanted)]
        if len(matching) == 1:
            return matching[0]
        has = "[" + ", ".join(axis.text for axis in array.axes) + "]"
        if matching:
            self.fault(
                "ambiguous-axis",
                over.span,
                f"{len(matching)} axes of this array run over `{wanted.text}`: {has}",
                "iterate: `sum(X[i, j] for j in J)`",
            )
        options = " or ".join(f"`over = {axis.text}`" for axis in array.axes if not axis.positional)
        self.fault(
            "no-such-axis",
            over.span,
            f"no axis of this array runs over `{wanted.text}`: it has {has}",
            f"write {options}" if options else "leave `over` out: this array has no axis over a set",
        )
        raise AssertionError

    def _call_softmax(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        array = a[0]
        if not array.axes:
            self._not_an_array(node, array)
        over = {k.name: k.value for k in node.keywords}.get("over")
        axis = len(array.axes) - 1 if over is None else self._axis_over(array, over, context)
        own = array.indices_of(axis)
        inner = tuple(self.marker.fresh() for _ in own)
        body, _ = shapes.replace_in(self.marker, array, dict(zip(own, inner, strict=True)))
        total = nodes.Reduce("logsumexp", body, nodes.over([array.axes[axis].each(inner)]))
        return Arr(nodes.Apply("exp", array.body - total), array.axes, array.indices, array.conditions)

    # ------------------------------------------------------------------------------------------- matrix products

    def matrix_product(self, left: Arr, right: Arr, node: tree.Binary) -> Arr:
        """`A @ B`: contracts the last axis of A with the first of B (NumPy's rule for one and two axes)."""
        for side, span in ((left, node.left.span), (right, node.right.span)):
            if not side.axes or len(side.axes) > 2:
                what = "a single value" if not side.axes else f"an array with {len(side.axes)} axes"
                self.fault(
                    "matrix-product",
                    span,
                    f"`@` multiplies vectors and matrices, but this is {what}",
                    "use `*` to scale" if not side.axes else "write the sum out: `sum(... for k in K)`",
                )
        return self.contract(left, len(left.axes) - 1, right, 0, node.span)

    def contract(self, left: Arr, mine: int, right: Arr, theirs: int, span: Span) -> Arr:
        """The sum over one axis of each."""
        own, other = left.axes[mine], right.axes[theirs]
        if not own.same_as(other):
            self.elaborator._axes_differ(left, right, own, other, span)
        base, axis = (left.indices_of(mine), own) if not own.positional else (right.indices_of(theirs), other)
        inner = tuple(self.marker.fresh(self.marker.names.get(i)) for i in base)
        mapping_left = dict(zip(left.indices_of(mine), shapes.convert(inner, axis, own), strict=True))
        mapping_right = dict(zip(right.indices_of(theirs), shapes.convert(inner, axis, other), strict=True))
        # two arrays may be the same one: their remaining indices must differ
        kept_right = [i for i in right.indices if i not in mapping_right]
        renamed = {i: self.marker.fresh(self.marker.names.get(i)) for i in kept_right}
        left_body, left_conditions = shapes.replace_in(self.marker, left, mapping_left)
        right_body, right_conditions = shapes.replace_in(self.marker, right, {**mapping_right, **renamed})
        over = nodes.over([axis.each(inner)])
        conditions = shapes.merge_conditions([left_conditions, right_conditions])
        axes = (*left.axes[:mine], *left.axes[mine + 1 :], *right.axes[:theirs], *right.axes[theirs + 1 :])
        indices = (*[i for i in left.indices if i not in mapping_left], *renamed.values())
        product = Arr(left_body * right_body, (), (), conditions)
        reduced = self._reduced("sum", product, over, ())
        return Arr(reduced.body, axes, indices, reduced.conditions)

    def _call_dot(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        for k, argument in enumerate(a):
            if len(argument.axes) != 1:
                self._needs_vector(argument, node, k)
        return self.contract(a[0], 0, a[1], 0, node.span)

    def _call_outer(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        for k, argument in enumerate(a):
            if len(argument.axes) != 1:
                self._needs_vector(argument, node, k)
        left, right = a
        renamed = {i: self.marker.fresh(self.marker.names.get(i)) for i in right.indices}
        body, conditions = shapes.replace_in(self.marker, right, renamed)
        return Arr(
            left.body * body,
            (*left.axes, *right.axes),
            (*left.indices, *renamed.values()),
            shapes.merge_conditions([left.conditions, conditions]),
        )

    def _call_quad_form(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        vector, matrix = a
        if len(vector.axes) != 1:
            self._needs_vector(vector, node, 0)
        self.require_symmetric(matrix, node.args[1], "quad_form", context)
        product = self.contract(matrix, 1, vector, 0, node.span)
        return self.contract(vector, 0, product, 0, node.span)

    def _call_quad_over_lin(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        top, bottom = a
        if bottom.axes:
            self.fault(
                "array-not-number",
                node.args[1].span,
                "the divisor of `quad_over_lin` must be a single value",
                "name one entry, or sum over a set: `sum(quad_over_lin(x[i], y[i]) for i in I)`",
            )
        if top.axes:
            over = nodes.over(top.eaches)
            total = self._reduced("sumsq", Arr(top.body, (), (), top.conditions), over, ())
        else:
            total = Arr(sympy.Pow(top.body, 2), (), (), top.conditions)
        result = self.elaborator.elementwise([total, bottom], lambda t, b: t * sympy.Pow(b, -1), node.span)
        return self.elaborator.with_condition(result, "positive", bottom)

    # -------------------------------------------------------------------------------------------- array functions

    def _vector(self, array: Arr, node: tree.Call, position: int = 0) -> Axis:
        if len(array.axes) != 1 or array.axes[0].arity != 1:
            self._needs_vector(array, node, position)
        return array.axes[0]

    def _needs_vector(self, array: Arr, node: tree.Call, position: int) -> None:
        has = f"is an array over {', '.join(a.text for a in array.axes)}" if array.axes else "is a single value"
        self.fault(
            "needs-vector",
            node.args[position].span,
            f"`{node.name}` takes a vector here, but this {has}",
            "a vector has one axis: `x[I]`, `[... for i in I]`, or a row of a matrix, `A[i, :]`",
        )

    def _matrix(self, array: Arr, node: tree.Call, position: int = 0) -> None:
        if len(array.axes) != 2:
            self.fault(
                "needs-matrix",
                node.args[position].span,
                f"`{node.name}` takes a matrix, but this has {len(array.axes) or 'no'} "
                f"ax{'is' if len(array.axes) == 1 else 'es'}",
                "a matrix has two axes: `A[I, J]`, `[... for i in I, j in J]`",
            )

    def _square(self, array: Arr, node: tree.Expr, name: str) -> None:
        if len(array.axes) != 2 or not array.axes[0].same_as(array.axes[1]):
            has = "[" + ", ".join(axis.text for axis in array.axes) + "]"
            self.fault(
                "needs-square",
                node.span,
                f"`{name}` needs a square matrix, but this has the axes {has}",
                "a square matrix has the same set on both axes: `[I, I]`",
            )

    def require_symmetric(self, array: Arr, node: tree.Expr, name: str, context: Context) -> None:
        """Report a matrix that is neither declared, checked, nor by its expression symmetric."""
        self._square(array, node, name)
        if self.is_symmetric(array, context):
            return
        shown = f"`{node.name}`" if isinstance(node, tree.Name) else "this matrix"
        self.fault(
            "not-symmetric",
            node.span,
            f"`{name}` needs a symmetric matrix, and {shown} is not known to be one",
            "declare it `symmetric` (or `psd`), or symmetrize: `(M + M.T) / 2`",
        )

    def is_symmetric(self, array: Arr, context: Context) -> bool:
        """Whether the two axes may be swapped: by declaration, by data, or by the expression."""
        one, two = array.indices
        swapped = array.body.xreplace({one: two, two: one})
        if swapped == array.body:
            return True
        normal = self._sorted_symmetric(array.body)
        if normal == self._sorted_symmetric(swapped):
            return True
        if not nodes.has_variables(array.body):
            value = self.evaluate_data(array, context)
            return value is not None and bool(
                np.allclose(value, value.T, rtol=1e-9, atol=1e-9 * max(1.0, float(np.abs(value).max(initial=0))))
            )
        return False

    def _entries_symmetric(self, entry: nodes.VariableEntry | nodes.ParameterEntry) -> bool:
        """Whether a matrix is symmetric by declaration, or as data by its numbers."""
        symbol = self.workspace.symbols.get(entry.name)
        if isinstance(symbol, EntrySymbol) and symbol.attributes & {"symmetric", "psd", "nsd"}:
            return True
        array = self.workspace.lanes.parameters.get(entry.name)
        if isinstance(entry, nodes.VariableEntry) or not isinstance(array, DenseArray) or array.values.ndim != 2:
            return False
        values = array.values
        return values.shape[0] == values.shape[1] and bool(np.array_equal(values, values.T))

    def _sorted_symmetric(self, body: sympy.Expr) -> sympy.Expr:
        """The body with the indices of entries of declared symmetric matrices in one order."""
        mapping = {}
        for entry in body.atoms(nodes.VariableEntry, nodes.ParameterEntry):
            if len(entry.slots) == 2 and self._entries_symmetric(entry):
                slots = sorted(entry.slots, key=str)
                mapping[entry] = type(entry)(entry.name, *slots)
        return body.xreplace(mapping)

    def evaluate_data(self, array: Arr, context: Context) -> np.ndarray | None:
        """The values of an array of data alone, dense over its axes; None where an outer index occurs."""
        free = not context.bound.isdisjoint(array.body.atoms(Index))
        if nodes.has_variables(array.body) or free or any(axis.value is None for axis in array.axes):
            return None
        lanes = self.workspace.lanes
        frame = lanes.extend(Frame(), nodes.over(array.eaches)).child
        return lanes.full(array.body, frame)

    def array_function(self, node: tree.Call, arguments: list[Arr], context: Context) -> Arr:
        """A function of whole arrays: computed at once for data, else an opaque node."""
        name = node.name
        row = ARRAYS[name]
        self._count(node, len(arguments), *row.arity)
        for k, parameter in enumerate(row.parameters[: len(arguments)]):
            if parameter in row.needs_symmetric:
                self.require_symmetric(arguments[k], node.args[k], name, context)
        self._data_arguments(node, arguments, row)
        if name in METRICS and context.mode == "model":
            self.fault(
                "metric-in-model",
                node.span,
                f"`{name}` is a metric: it is for `show`, after the solve",
                "minimize a loss instead, such as `cross_entropy` or `squared_error`",
            )
        shape = self._result_shape(node, row, arguments)
        values = [self.evaluate_data(a, context) for a in arguments]
        if all(v is not None for v in values):
            return self._computed(node, row, arguments, values)
        axes = tuple(self._result_axis(node, arguments, k, size) for k, size in enumerate(shape))
        indices = tuple(self.marker.fresh() for _ in axes)
        positions = sympy.Tuple(*[nodes.Position(a.term, i) for a, i in zip(axes, indices, strict=True)])
        blocks = [nodes.Block(a.body, *a.eaches) if a.axes else a.body for a in arguments]
        conditions = shapes.merge_conditions(
            tuple(DomainCondition(c.kind, c.expression, (nodes.over(a.eaches), *c.overs)) for c in a.conditions)
            for a in arguments
        )
        return Arr(nodes.ArrayCall(name, positions, *blocks), axes, indices, conditions)

    def _result_shape(self, node: tree.Call, row: Any, arguments: Sequence[Arr]) -> tuple[int, ...]:
        sizes = []
        for argument, part in zip(arguments, node.args, strict=True):
            if any(axis.value is None for axis in argument.axes):
                self.fault(
                    "array-depends-on-index",
                    part.span,
                    f"the axes of this argument of `{node.name}` depend on an outer index",
                    "take an array whose sets do not depend on the index",
                )
            sizes.append(tuple(len(axis.value) for axis in argument.axes if axis.value is not None))
        try:
            return tuple(row.shapes.result(*sizes))
        except ValueError as error:
            self.fault("wrong-shape", node.span, f"`{node.name}`: {error}", f"write `{self._usage(node.name)}`")
            raise AssertionError from error

    def _computed(self, node: tree.Call, row: Any, arguments: Sequence[Arr], values: Sequence[Any]) -> Arr:
        result = np.asarray(row.kernel(*values), dtype=float)
        if result.ndim == 0:
            value = float(result)
            if np.isnan(value):
                self.fault(
                    "no-value-in-domain",
                    node.span,
                    f"`{node.name}` has no value for this data",
                    "its argument is outside the function's domain",
                )
            constant = self.elaborator.constant(result.reshape(1))
            return Arr(constant.body.xreplace({constant.indices[0]: sympy.Integer(1)}))
        constant = self.elaborator.constant(result)
        axes = tuple(self._result_axis(node, arguments, k, size) for k, size in enumerate(result.shape))
        indices = tuple(self.marker.fresh() for _ in axes)
        slots = [
            s
            for axis, own, index in zip(axes, constant.axes, indices, strict=True)
            for s in shapes.convert([index], axis, own)
        ]
        return Arr(shapes.at(self.marker, constant, slots)[0], axes, indices)

    def _result_axis(self, node: tree.Call, arguments: Sequence[Arr], k: int, size: int) -> Axis:
        """The axis of an argument where the result has it too, else a positional one."""
        for argument in arguments:
            if len(argument.axes) > k:
                axis = argument.axes[k]
                if axis.arity == 1 and axis.value is not None and len(axis.value) == size:
                    return axis
        return self.elaborator.positional_axis(size)

    def _call_norm_fro(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        self._matrix(a[0], node)
        return self._reduced("norm2", Arr(a[0].body, (), (), a[0].conditions), nodes.over(a[0].eaches), ())

    def _call_trace(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        self._square(a[0], node.args[0], "trace")
        diagonal = self._diagonal(a[0])
        return self._reduced("sum", Arr(diagonal.body, (), (), diagonal.conditions), nodes.over(diagonal.eaches), ())

    def _diagonal(self, array: Arr) -> Arr:
        first, second = array.axes
        own = array.indices_of(0)
        mapping = dict(zip(array.indices_of(1), shapes.convert(own, first, second), strict=True))
        body, conditions = shapes.replace_in(self.marker, array, mapping)
        return Arr(body, (first,), own, conditions)

    def _call_diag(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        array = a[0]
        if len(array.axes) == 2:
            self._square(array, node.args[0], "diag")
            return self._diagonal(array)
        axis = self._vector(array, node)
        (one,), two = array.indices, self.marker.fresh()
        body = nodes.Choose(nodes.Compare("=", one, two), array.body, sympy.Integer(0))
        return Arr(body, (axis, axis), (one, two), array.conditions)

    def _call_cumsum(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        array = a[0]
        axis = self._vector(array, node)
        if self.evaluate_data(array, context) is not None:
            return self.array_function(node, a, context)
        (index,), inner = array.indices, self.marker.fresh()
        body, conditions = shapes.replace_in(self.marker, array, {index: inner})
        upto = nodes.Compare(
            "<=", nodes.Position(axis.term, *axis.prefix, inner), nodes.Position(axis.term, *axis.prefix, index)
        )
        over = nodes.over([axis.each([inner])], [upto])
        reduced = self._reduced("sum", Arr(body, (), (), conditions), over, ())
        return Arr(reduced.body, (axis,), (index,), reduced.conditions)

    def _differences(self, array: Arr, axis: int) -> Arr:
        """array[k + 1] - array[k] along one axis."""
        own = array.axes[axis]
        assert own.value is not None
        shorter = self.elaborator.positional_axis(max(0, len(own.value) - 1))
        index = self.marker.fresh()
        position = nodes.Position(shorter.term, index)
        (old,) = array.indices_of(axis)
        upper, conditions = shapes.replace_in(self.marker, array, {old: shapes.nth(own, position + 1)[0]})
        lower, others = shapes.replace_in(self.marker, array, {old: shapes.nth(own, position)[0]})
        axes = (*array.axes[:axis], shorter, *array.axes[axis + 1 :])
        indices = tuple(index if i == old else i for i in array.indices)
        return Arr(upper - lower, axes, indices, shapes.merge_conditions([conditions, others]))

    def _call_diff(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        self._known_axis(self._vector(a[0], node), node)
        return self._differences(a[0], 0)

    def _known_axis(self, axis: Axis, node: tree.Call) -> int:
        if axis.value is None:
            self.fault(
                "array-depends-on-index",
                node.args[0].span,
                f"`{node.name}` needs an axis that depends on no index",
                "take an array whose set does not depend on the index",
            )
            raise AssertionError
        return len(axis.value)

    def _call_tv(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        array = a[0]
        if len(array.axes) == 1:
            self._known_axis(self._vector(array, node), node)
            steps = self._differences(array, 0)
            return self._reduced("norm1", Arr(steps.body, (), (), steps.conditions), nodes.over(steps.eaches), ())
        self._matrix(array, node)
        return self.array_function(node, a, context)

    def _call_conv(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        kernel, signal = a
        n, m = (self._known_axis(self._vector(x, node, k), node) for k, x in enumerate(a))
        if nodes.has_variables(kernel.body):
            self.fault(
                "argument-must-be-data",
                node.args[0].span,
                "the first argument of `conv` must be data",
                "write the kernel first: `conv(kernel, x)`",
            )
        result = self.elaborator.positional_axis(n + m - 1)
        index, (inner,) = self.marker.fresh(), (self.marker.fresh(),)
        at = nodes.Position(result.term, index) - nodes.Position(kernel.axes[0].term, inner)
        first, one = shapes.at(self.marker, kernel, [inner])
        second, two = shapes.at(self.marker, signal, shapes.nth(signal.axes[0], at))
        inside = [nodes.Compare(">=", at, sympy.Integer(0)), nodes.Compare("<", at, sympy.Integer(m))]
        over = nodes.over([kernel.axes[0].each([inner])], inside)
        reduced = self._reduced("sum", Arr(first * second, (), (), shapes.merge_conditions([one, two])), over, ())
        return Arr(reduced.body, (result,), (index,), reduced.conditions)

    def stacked(self, items: Sequence[Arr], span: Span) -> Arr:
        """`[a, b, c]`: items side by side along a new first axis."""
        axes, indices = (), ()
        if any(item.axes for item in items):
            if len({len(item.axes) for item in items}) > 1:
                self.fault(
                    "ragged-array",
                    span,
                    "the items of an array must all have the same axes",
                    "stack numbers with numbers and vectors with vectors",
                )
            axes, indices = self.elaborator._common_axes(items, span)
        bodies = [self.elaborator.align(item, axes, indices) for item in items]
        first = self.elaborator.positional_axis(len(items))
        index = self.marker.fresh()
        body = nodes.Pick(nodes.Position(first.term, index), *bodies)
        return Arr(body, (first, *axes), (index, *indices), shapes.merge_conditions(i.conditions for i in items))

    def _call_stack(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        return self.stacked(a, node.span)

    def _call_concat(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        sizes = []
        for k, array in enumerate(a):
            if not array.axes:
                self.fault(
                    "number-not-array",
                    node.args[k].span,
                    "`concat` joins arrays, but this is a single value",
                    "put it in brackets: `[...]` is an array of one entry",
                )
            sizes.append(self._known_axis(array.axes[0], replace(node, args=node.args[k : k + 1])))
        rests = [Arr(x.body, x.axes[1:], x.indices[x.axes[0].arity :]) for x in a]
        axes, indices = self.elaborator._common_axes(rests, node.span) if any(r.axes for r in rests) else ((), ())
        result = self.elaborator.positional_axis(sum(sizes))
        index = self.marker.fresh()
        position = nodes.Position(result.term, index)
        starts = np.cumsum([0, *sizes])
        body: sympy.Expr | None = None
        for k in range(len(a) - 1, -1, -1):
            slots = shapes.nth(a[k].axes[0], position - int(starts[k]))
            mapping = dict(zip(a[k].indices_of(0), slots, strict=True))
            piece = self.marker.replace(self.elaborator.align(rests[k], axes, indices), mapping)
            if body is None:
                body = piece  # type: ignore[assignment]
            else:
                body = nodes.Choose(nodes.Compare("<", position, sympy.Integer(int(starts[k + 1]))), piece, body)
        assert body is not None
        return Arr(body, (result, *axes), (index, *indices), shapes.merge_conditions(x.conditions for x in a))

    def _call_reshape(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        array, sizes = a[0], []
        for part in node.args[1:]:
            value = self.evaluate_data(self.elaborator.array(part, context), context)
            if value is None or value.ndim or value != int(value):
                self.fault(
                    "wrong-shape",
                    part.span,
                    "the sizes of `reshape` must be integers",
                    "write the sizes as numbers: `reshape(x, 2, 3)`",
                )
                raise AssertionError
            sizes.append(int(value))
        own = [self._known_axis(axis, node) for axis in array.axes]
        if int(np.prod(own)) != int(np.prod(sizes)):
            self.fault(
                "wrong-shape",
                node.span,
                f"{int(np.prod(own))} entries cannot be reshaped to {' x '.join(map(str, sizes))}",
                "the product of the sizes is the number of entries",
            )
        axes = tuple(self.elaborator.positional_axis(size) for size in sizes)
        indices = tuple(self.marker.fresh() for _ in axes)
        flat: sympy.Expr = sympy.Integer(0)
        for axis, index, size in zip(axes, indices, sizes, strict=True):
            flat = flat * size + nodes.Position(axis.term, index)
        slots: list[sympy.Expr] = []
        for k, axis in enumerate(array.axes):
            inner = int(np.prod(own[k + 1 :]))
            at = nodes.Apply("mod", nodes.Apply("div", flat, sympy.Integer(inner)), sympy.Integer(own[k]))
            slots.extend(shapes.nth(axis, at))
        body, conditions = shapes.at(self.marker, array, slots)
        return Arr(body, axes, indices, conditions)

    # ----------------------------------------------------------------------------------------------------- losses

    def _call_squared_error(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        return self.elaborator.elementwise(a, lambda x, y: sympy.Pow(x - y, 2), node.span)

    def _call_hinge(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        return self.elaborator.elementwise(a, lambda t: nodes.Apply("pos", 1 - t), node.span)

    def _call_binary_cross_entropy(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        return self.elaborator.elementwise(a, lambda z, t: nodes.Apply("softplus", z) - t * z, node.span)

    def _call_poisson_nll(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        return self.elaborator.elementwise(a, lambda r, c: nodes.Apply("exp", r) - c * r, node.span)

    def _call_cross_entropy(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        logits, label = a
        if not logits.axes or len(label.axes) != len(logits.axes) - 1:
            self.fault(
                "wrong-shape",
                node.span,
                "`cross_entropy(logits, label)` takes a row of logits and one label per row",
                "logits over [ROW, CLASS] go with labels over [ROW]",
            )
        axis = len(logits.axes) - 1
        total = self._fold_axis("logsumexp", logits, axis, ())
        bodies = self.elaborator.align(label, total.axes, total.indices)
        (last,) = logits.indices_of(axis)
        picked, conditions = shapes.replace_in(self.marker, logits, {last: bodies})
        merged = shapes.merge_conditions([total.conditions, conditions])
        return Arr(total.body - picked, total.axes, total.indices, merged)

    # ----------------------------------------------------------------------------------------- functions of sets

    def _of_set(self, node: tree.Call, context: Context) -> Arr:
        name = node.name
        needs_member = name in ("prev", "next", "ord")
        self._count(node, len(node.args), 2 if needs_member else 1, 2 if needs_member else 1)
        if not self.elaborator.domains.is_set(node.args[-1], context):
            self.fault(
                "not-a-set",
                node.args[-1].span,
                f"`{name}` takes a set{' as its last argument' if needs_member else ''}, but this is "
                f"{self._kind(node.args[-1], context)}",
                f"write `{name}(i, S)`" if needs_member else f"write `{name}(S)`",
            )
        axis = self.elaborator.domains.axis(node.args[-1], context)
        size = nodes.Size(axis.term, *axis.prefix)
        if name == "size":
            return Arr(size)
        if not needs_member:
            position: sympy.Expr = sympy.Integer(0) if name == "first" else size - 1
            return self._single(shapes.nth(axis, position), node)
        member = node.args[0]
        items = member.items if isinstance(member, tree.TupleExpr) else (member,)
        slots = [self.elaborator.scalar(item, context, "a member") for item in items]
        if len(slots) != axis.arity:
            wanted = f"({shapes.letters(axis.arity)})" if axis.arity > 1 else "i"
            self.fault(
                "wrong-tuple-length",
                member.span,
                f"a member of `{axis.text}` has {axis.arity} part{'s' if axis.arity > 1 else ''}, "
                f"but {len(slots)} {'was' if len(slots) == 1 else 'were'} given",
                f"write `{name}({wanted}, {axis.text})`",
            )
        position = nodes.Position(axis.term, *axis.prefix, *slots)
        self.marker.mark(position, node.span)
        if name == "ord":
            return Arr(position + 1)
        return self._single(shapes.nth(axis, position + (1 if name == "next" else -1)), node)

    def _kind(self, node: tree.Expr, context: Context) -> str:
        if isinstance(node, tree.Name) and node.name not in context.indices and node.name not in context.arguments:
            return kind_of(self.workspace.lookup(node.name, node.span, context))
        return "an expression"

    def _single(self, slots: tuple[sympy.Expr, ...], node: tree.Call) -> Arr:
        if len(slots) > 1:
            self.fault(
                "tuple-as-value",
                node.span,
                f"`{node.name}` of a set of tuples is a tuple, not a value",
                "number the tuples: `ord((i, j), S)` is the position of one",
            )
        return Arr(slots[0])

    # --------------------------------------------------------------------------------- functions of the user's own

    def own(self, symbol: FunctionSymbol, node: tree.Call, context: Context) -> Arr:
        """A call of `let phi(t) = ...`: its body with the arguments in place."""
        declaration = symbol.declaration
        parameters = declaration.parameters or ()
        if node.domain is not None:
            self.fault(
                "not-iterated",
                node.name_span,
                f"`{node.name}` is a function of your own; it takes no `for`",
                f"add up its values: `sum({self._usage(node.name)} for i in I)`",
            )
        self._count(node, len(node.args), len(parameters), len(parameters))
        if symbol.name in context.calls:
            chain = " -> ".join([*context.calls[context.calls.index(symbol.name) :], symbol.name])
            self.fault(
                "recursive-function",
                node.span,
                f"`{symbol.name}` calls itself: {chain}",
                "write it as a parameter over an ordered set, which may refer to its earlier entries",
            )
        arguments = dict(zip(parameters, self.elaborator.arrays(node.args, context), strict=True))
        inner = Context({}, arguments, context.mode, (*context.calls, symbol.name))
        return self.elaborator.array(declaration.value, inner)


def reduce_node(name: str, body: sympy.Expr, over: nodes.Over, extra: Sequence[sympy.Expr]) -> sympy.Expr:
    """A reduction in its canonical form: nested sums are one sum, `sumsq` is a sum of squares."""
    if name == "sumsq":
        name, body = "sum", sympy.Pow(body, 2)
    if name == "sum" and isinstance(body, nodes.Reduce) and body.name == "sum":
        inner = body.over
        if not over.conditions:
            return nodes.Reduce("sum", body.body, nodes.over((*over.iterators, *inner.iterators), inner.conditions))
    return nodes.Reduce(name, body, over, *extra)


def _arity(method: Callable[..., Arr]) -> tuple[int, int | None]:
    """How many arguments a function written here takes."""
    name = method.__name__[6:]
    if name in ("stack", "concat"):
        return 1, None
    if name == "reshape":
        return 2, None
    return ARITIES.get(name, (1, 1))


ARITIES: dict[str, tuple[int, int | None]] = {
    "pow": (2, 2),
    "dot": (2, 2),
    "outer": (2, 2),
    "quad_form": (2, 2),
    "quad_over_lin": (2, 2),
    "conv": (2, 2),
    "squared_error": (2, 2),
    "binary_cross_entropy": (2, 2),
    "poisson_nll": (2, 2),
    "cross_entropy": (2, 2),
}
__all__ = ["Family", "Functions", "SetSymbol", "reduce_node"]
