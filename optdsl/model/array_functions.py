"""Array functions: those that are sums in disguise become index notation, the others stay an opaque `ArrayCall`.

Of data alone they are computed at once by their kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy

from optdsl.atoms import METRICS
from optdsl.data.arrays import DenseArray
from optdsl.errors import Span
from optdsl.language import tree
from optdsl.model import shapes
from optdsl.model.function_rules import ARRAYS, FunctionRules
from optdsl.model.model import DomainCondition
from optdsl.model.scope import Context, EntrySymbol
from optdsl.model.shapes import Arr, Axis
from optdsl.model.symmetry import same_when_transposed
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import Index


def _where(conditions: Sequence[DomainCondition], *guards: nodes.Node) -> tuple[DomainCondition, ...]:
    """Conditions that are needed only where all guards hold."""
    return tuple(DomainCondition(c.kind, c.expression, (nodes.over((), guards), *c.overs)) for c in conditions)


class ArrayFunctions(FunctionRules):
    """Rules for functions of whole arrays."""

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
        if bottom.body.is_zero:
            self.fault("division-by-zero", node.args[1].span, "division by zero", "the divisor must be positive")
        if top.axes:
            over = nodes.over(top.eaches)
            total = self._reduced("sumsq", Arr(top.body, (), (), top.conditions), over, ())
        else:
            total = Arr(sympy.Pow(top.body, 2), (), (), top.conditions)
        result = self.elaborator.elementwise([total, bottom], lambda t, b: t * sympy.Pow(b, -1), node.span)
        return self.elaborator.with_condition(result, "positive", bottom)

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
        named = isinstance(node, tree.Name)
        shown = f"`{node.name}`" if isinstance(node, tree.Name) else "this matrix"
        declare = "declare it `symmetric` (or `psd`), or symmetrize" if named else "symmetrize it"
        self.fault(
            "not-symmetric",
            node.span,
            f"`{name}` needs a symmetric matrix, and {shown} is not known to be one",
            f"{declare}: `(M + M.T) / 2`",
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
        return same_when_transposed(array, context, self.workspace.lanes)

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
        if name in METRICS:
            arguments = self._metric_arguments(node, arguments, row)
        if name in METRICS and context.mode == "model" and any(nodes.has_variables(a.body) for a in arguments):
            self.metric_in_model(f"`{name}` is a metric:", node.span)
        shape = self._result_shape(node, row, arguments)
        values = [self.evaluate_data(a, context) for a in arguments]
        nothing = name in METRICS and any(v is not None and not v.size for v in values)  # told where it is evaluated
        if all(v is not None for v in values) and not nothing:
            return self._computed(node, row, arguments, values)
        axes = tuple(self._result_axis(row, arguments, k, size) for k, size in enumerate(shape))
        indices = tuple(self.marker.fresh() for _ in axes)
        positions = sympy.Tuple(*[nodes.Position(a.term, i) for a, i in zip(axes, indices, strict=True)])
        blocks = [nodes.Block(a.body, *a.eaches) if a.axes else a.body for a in arguments]
        conditions = shapes.merge_conditions(
            tuple(DomainCondition(c.kind, c.expression, (nodes.over(a.eaches), *c.overs)) for c in a.conditions)
            for a in arguments
        )
        return Arr(nodes.ArrayCall(name, positions, *blocks), axes, indices, conditions)

    def metric_in_model(self, what: str, span: Span) -> None:
        """Report a metric of variables in the objective or a constraint."""
        self.fault(
            "metric-in-model",
            span,
            f"{what} it is for `show` and `monitor`, and is not optimized",
            "minimize a loss instead, such as `cross_entropy` or `squared_error`",
        )

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
        axes = tuple(self._result_axis(row, arguments, k, size) for k, size in enumerate(result.shape))
        indices = tuple(self.marker.fresh() for _ in axes)
        slots = [
            s
            for axis, own, index in zip(axes, constant.axes, indices, strict=True)
            for s in shapes.convert([index], axis, own)
        ]
        return Arr(shapes.at(self.marker, constant, slots)[0], axes, indices)

    def _result_axis(self, row: Any, arguments: Sequence[Arr], k: int, size: int) -> Axis:
        """The axis of an argument where the result has it too, else a positional one."""
        if "label" in row.parameters:
            return arguments[0].axes[-1]  # by class
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
            axes, indices = self.elaborator._common_axes(items, span)  # type: ignore[assignment]
        first = self.elaborator.positional_axis(len(items))
        index = self.marker.fresh()
        position = nodes.Position(first.term, index)
        bodies, conditions = [], []
        for k, item in enumerate(items):
            mapping = self.elaborator._alignment(item, axes, indices)
            body, own = shapes.replace_in(self.marker, item, mapping)
            bodies.append(body)
            conditions.append(_where(own, nodes.Compare("=", position, sympy.Integer(k))))
        picked = nodes.Pick(position, *bodies)
        return Arr(picked, (first, *axes), (index, *indices), shapes.merge_conditions(conditions))

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
        conditions = []
        for k in range(len(a) - 1, -1, -1):
            slots = shapes.nth(a[k].axes[0], position - int(starts[k]))
            mapping = self.elaborator._alignment(rests[k], axes, indices)
            mapping.update(zip(a[k].indices_of(0), slots, strict=True))
            piece, own = shapes.replace_in(self.marker, a[k], mapping)
            before = nodes.Compare("<", position, sympy.Integer(int(starts[k + 1])))
            after = nodes.Compare(">=", position, sympy.Integer(int(starts[k])))
            conditions.append(_where(own, after, before))
            body = piece if body is None else nodes.Choose(before, piece, body)
        assert body is not None
        return Arr(body, (result, *axes), (index, *indices), shapes.merge_conditions(conditions))

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
