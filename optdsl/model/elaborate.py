"""Expressions of the syntax tree become index notation.

One method per kind of tree node. Array syntax and indexed syntax end in the same nodes; SymPy adds and multiplies,
everything else stays opaque. Long sums are gathered and added once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import sympy

from optdsl.atoms import ALIASES, REFUSED
from optdsl.data.arrays import DenseArray
from optdsl.data.members import RangeLabels, SetValue
from optdsl.errors import Span, closest
from optdsl.language import expression_text, tree
from optdsl.model import shapes
from optdsl.model.mistakes import each_of
from optdsl.model.model import DomainCondition
from optdsl.model.scope import (
    Context,
    EntrySymbol,
    FunctionSymbol,
    LetSymbol,
    OtherSymbol,
    SetSymbol,
    Workspace,
)
from optdsl.model.shapes import Arr, Axis, letters
from optdsl.terms import nodes
from optdsl.terms.lanes import Family
from optdsl.terms.nodes import Index

Combine = Callable[..., sympy.Expr]
VALUES_COME_LATER = "its value is not known before the solve; write a `let` for an expression of variables"


class Elaborator:
    """Elaborates expressions within a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        from optdsl.model.domains import Domains
        from optdsl.model.functions import Functions

        self.workspace = workspace
        self.marker = workspace.marker
        self.fault = workspace.fault
        self.domains = Domains(self)
        self.functions = Functions(self)

    # ------------------------------------------------------------------------------------------------ entry points

    def array(self, node: tree.Expr, context: Context) -> Arr:
        """The array that an expression means."""
        rule = getattr(self, "_" + type(node).__name__.lower(), None)
        if rule is None:
            self.fault("not-a-value", node.span, f"{_kind(node)} cannot stand here", _hint_for(node))
        result = rule(node, context)
        self.marker.mark(result.body, node.span)
        return result

    def arrays(self, expressions: Sequence[tree.Expr], context: Context) -> list[Arr]:
        """The arrays that independent expressions mean; the mistakes in all of them are raised together."""
        return each_of(expressions, lambda node: self.array(node, context))

    def scalar(self, node: tree.Expr, context: Context, what: str) -> sympy.Expr:
        """The single value that an expression means; an array is an error."""
        return self.scalar_array(node, context, what).body

    def scalar_array(self, node: tree.Expr, context: Context, what: str) -> Arr:
        array = self.array(node, context)
        if array.axes:
            axes = ", ".join(axis.text for axis in array.axes)
            self.fault(
                "array-not-number",
                node.span,
                f"{what} must be a single value, but this is an array over {axes}",
                "add an index, or reduce it with `sum(...)`",
            )
        return array

    def condition(self, node: tree.Expr, context: Context) -> list[sympy.Basic]:
        """The conditions that must all hold; a condition on a variable is an error (except after the solve)."""
        if isinstance(node, tree.Binary) and node.op == "and":
            return [*self.condition(node.left, context), *self.condition(node.right, context)]
        expression = self.scalar(node, context, "a condition")
        self._require_known(expression, node.span, context)
        return [expression]

    def _require_known(self, condition: sympy.Basic, span: Span, context: Context) -> None:
        if context.mode != "show" and nodes.has_variables(condition):
            self.fault(
                "condition-on-variable",
                span,
                "a condition cannot depend on a variable: its value is not known before the solve",
                "use `max(...)`, `min(...)`, `abs(...)`, or a binary variable",
            )

    def require_one_way(self, array: Arr, indices: Collection[Index], span: Span) -> None:
        """Report an array that also depends on the indices of its declaration: it is either whole or an entry."""
        if array.axes and not array.body.atoms(Index).isdisjoint(indices):
            axes = ", ".join(axis.text for axis in array.axes)
            self.fault(
                "array-not-number",
                span,
                f"an index of the declaration is used, so this is one entry; but it is an array over {axes}",
                "add an index to every array in it, or leave the index out everywhere",
            )

    def require_free(self, array: Arr, indices: Collection[Index], span: Span) -> None:
        """Report an array whose axes depend on the indices of the iteration that it stands in."""
        used = {i for axis in array.axes for part in (axis.term, *axis.prefix) for i in part.atoms(Index)}
        if not used.isdisjoint(indices):
            self.fault(
                "array-depends-on-index",
                span,
                "the axes of this array depend on an index of the iteration around it",
                "iterate over the set instead: `sum(x[i, j] for i in I, j in J[i])`",
            )

    # ------------------------------------------------------------------------------------------------------ leaves

    def _number(self, node: tree.Number, context: Context) -> Arr:
        return Arr(number(node.value))

    def _string(self, node: tree.String, context: Context) -> Arr:
        return Arr(nodes.Label(node.value))

    def _name(self, node: tree.Name, context: Context) -> Arr:
        if node.name in context.indices:
            value = context.indices[node.name]
            if isinstance(value, sympy.Tuple):
                self.fault(
                    "tuple-as-value",
                    node.span,
                    f"`{node.name}` stands for a tuple and has no value of its own",
                    f"name its parts: `({letters(len(value))}) in ...`",
                )
            return Arr(value)
        if node.name in context.arguments:
            return context.arguments[node.name]
        if node.name == "pi" and "pi" not in self.workspace.symbols:
            return Arr(sympy.pi)
        symbol = self.workspace.lookup(node.name, node.span, context)
        if isinstance(symbol, EntrySymbol):
            return self.entry_array(symbol, node.span, context)
        if isinstance(symbol, LetSymbol):
            self._require_data(symbol, node.span, context)
            return symbol.array
        self._no_value(symbol, node.span)
        raise AssertionError

    def _require_data(self, symbol: LetSymbol, span: Span, context: Context) -> None:
        if context.mode == "data" and nodes.has_variables(symbol.array.body):
            self.fault(
                "variable-in-data",
                span,
                f"`{symbol.name}` is an expression of variables; data cannot depend on it",
                VALUES_COME_LATER,
            )

    def _no_value(self, symbol: Any, span: Span) -> None:
        if isinstance(symbol, SetSymbol):
            self.fault(
                "set-as-value",
                span,
                f"`{symbol.name}` is a set, not a number",
                f"use `size({symbol.name})` for its size, or iterate: `for i in {symbol.name}`",
            )
        if isinstance(symbol, FunctionSymbol):
            self.fault(
                "function-as-value",
                span,
                f"`{symbol.name}` is a function; it needs its arguments",
                f"write `{symbol.name}({', '.join(symbol.declaration.parameters or ())})`",
            )
        if isinstance(symbol, OtherSymbol):
            hint = None
            if symbol.kind == "constraint":
                name = symbol.name
                hint = f"after the solve, `show {name}.dual` prints its dual, `show {name}.slack` its slack"
            if symbol.kind == "table":
                hint = f"read a column with `param NAME[...] from {symbol.name}(...)`"
            self.fault("no-value", span, f"`{symbol.name}` is a {symbol.kind} and has no value in an expression", hint)

    def entry_array(self, symbol: EntrySymbol, span: Span, context: Context) -> Arr:
        """A whole parameter or variable."""
        if symbol.role == "variable" and context.mode == "data":
            self.fault(
                "variable-in-data",
                span,
                f"`{symbol.name}` is a variable; data cannot depend on it",
                VALUES_COME_LATER,
            )
        indices = tuple(self.marker.fresh() for axis in symbol.axes for _ in range(axis.arity))
        node = nodes.VariableEntry if symbol.role == "variable" else nodes.ParameterEntry
        return Arr(node(symbol.name, *indices), symbol.axes, indices)

    # -------------------------------------------------------------------------------------------------- arithmetic

    def _unary(self, node: tree.Unary, context: Context) -> Arr:
        operand = self.array(node.operand, context)
        if node.op == "not":
            return self.elementwise([operand], lambda a: nodes.Logic("not", a), node.span)
        if node.op == "-":
            return self.elementwise([operand], lambda a: -a, node.span)
        return operand

    def _binary(self, node: tree.Binary, context: Context) -> Arr:
        if node.op in ("+", "-"):
            return self._sum(node, context)
        if node.op == "*":
            return self._product(node, context)
        if node.op in ("and", "or"):
            parts = self.arrays(_chain(node, node.op), context)
            return self.elementwise(parts, lambda *a: nodes.Logic(node.op, *a), node.span)
        if node.op in ("|", "&"):
            self.fault(
                "set-operator",
                node.span,
                f"`{node.op}` joins sets; it has no meaning between numbers",
                "use `or`" if node.op == "|" else "use `and`",
            )
        left, right = self.arrays((node.left, node.right), context)
        if node.op == "@":
            return self.functions.matrix_product(left, right, node)
        if node.op == "/":
            return self.divide(left, right, node.right.span, node.span)
        return self.power(left, right, node)

    def _sum(self, node: tree.Binary, context: Context) -> Arr:
        signed: list[tuple[int, tree.Expr]] = []
        sign, current = 1, node
        rest: tree.Expr = node
        # walk down the left spine: a sum of a thousand terms is one node with a thousand arguments
        while isinstance(rest, tree.Binary) and rest.op in ("+", "-"):
            current = rest
            signed.append((1 if current.op == "+" else -1, current.right))
            rest = current.left
        signed.append((sign, rest))
        signed.reverse()
        arrays = self.arrays([part for _, part in signed], context)
        signs = [s for s, _ in signed]

        def combine(*bodies: sympy.Expr) -> sympy.Expr:
            return sympy.Add(*[b if s > 0 else -b for s, b in zip(signs, bodies, strict=True)])

        return self.elementwise(arrays, combine, node.span, [part.span for _, part in signed])

    def _product(self, node: tree.Binary, context: Context) -> Arr:
        parts = _chain(node, "*")
        arrays = self.arrays(parts, context)
        return self.elementwise(arrays, lambda *b: sympy.Mul(*b), node.span, [p.span for p in parts])

    def divide(self, left: Arr, right: Arr, span: Span, whole: Span) -> Arr:
        """left / right, entry by entry; the divisor's condition is recorded before anything can cancel."""
        if right.body.is_zero:
            self.fault("division-by-zero", span, "division by zero", "the divisor is 0 whatever the data")
        divided = self.elementwise([left, right], lambda a, b: a * sympy.Pow(b, -1), whole)
        return self.with_condition(divided, "nonzero", right)

    def with_condition(self, array: Arr, kind: str, argument: Arr) -> Arr:
        """The array with the condition that `argument`, whose axes meet the array's last ones, brings to it."""
        if not nodes.has_variables(argument.body):
            return array
        aligned = self.align(argument, array.axes, array.indices)
        condition = DomainCondition(kind, aligned)
        return Arr(array.body, array.axes, array.indices, (*array.conditions, condition))

    def power(self, base: Arr, exponent: Arr, node: tree.Binary) -> Arr:
        """base ^ exponent: an integer number is the ordinary power, anything else needs a base that is not negative."""
        power = exponent.body
        if not exponent.axes and power.is_Integer:
            if base.body.is_zero and power.is_negative:
                self.fault("division-by-zero", node.span, "division by zero", "the base is 0 whatever the data")
            result = self.elementwise([base], lambda b: sympy.Pow(b, power), node.span)
            return self.with_condition(result, "nonzero", base) if power.is_negative else result
        if nodes.has_variables(power):
            if nodes.has_variables(base.body):
                pass  # x^y = exp(y log x) for x > 0
            result = self.elementwise([base, exponent], lambda b, p: nodes.Apply("pow", b, p), node.span)
            return self.with_condition(result, "positive", base)
        result = self.elementwise([base, exponent], lambda b, p: nodes.Apply("pow", b, p), node.span)
        if power.is_Number:
            return self.with_condition(result, "positive" if power.is_negative else "nonnegative", base)
        return result

    def _compare(self, node: tree.Compare, context: Context) -> Arr:
        parts: list[Arr] = []
        for k, op in enumerate(node.ops):
            left, right = node.operands[k], node.operands[k + 1]
            if op == "in":
                parts.append(Arr(self.domains.contains(left, right, context)))
                continue
            if op in (">>", "<<"):
                self.fault(
                    "matrix-order",
                    node.op_spans[k],
                    f"`{op}` is an order of matrices; it belongs to constraints",
                    f"compare numbers with `{'>' if op == '>>' else '<'}`",
                )
            pair = self.arrays((left, right), context)
            compared = self.elementwise(pair, lambda a, b, op=op: nodes.Compare(op, a, b), node.span)
            self._require_known(compared.body, left.span.to(right.span), context)
            parts.append(compared)
        if len(parts) == 1:
            return parts[0]
        return self.elementwise(parts, lambda *a: nodes.Logic("and", *a), node.span)

    def _ifelse(self, node: tree.IfElse, context: Context) -> Arr:
        conditions = self.condition(node.condition, context)
        condition = conditions[0] if len(conditions) == 1 else nodes.Logic("and", *conditions)
        branches = self.arrays((node.then, node.otherwise), context)
        chosen = self.elementwise(branches, lambda a, b: nodes.Choose(condition, a, b), node.span)
        if not chosen.conditions:
            return chosen
        # a branch that is not taken brings no condition
        guarded = [
            DomainCondition(c.kind, c.expression, (nodes.over((), (side,)), *c.overs))
            for branch, side in zip(branches, (condition, nodes.Logic("not", condition)), strict=True)
            for c in self._aligned_conditions(branch, chosen)
        ]
        return Arr(chosen.body, chosen.axes, chosen.indices, tuple(guarded))

    def _aligned_conditions(self, branch: Arr, target: Arr) -> tuple[DomainCondition, ...]:
        mapping = self._alignment(branch, target.axes, target.indices)
        return shapes.replace_in(self.marker, branch, mapping)[1]

    # ------------------------------------------------------------------------------------------------ broadcasting

    def elementwise(
        self, arrays: Sequence[Arr], combine: Combine, span: Span, spans: Sequence[Span] | None = None
    ) -> Arr:
        """`combine` applied entry by entry, with NumPy's broadcasting over trailing axes."""
        if all(not a.axes for a in arrays):
            conditions = shapes.merge_conditions(a.conditions for a in arrays)
            return Arr(combine(*[a.body for a in arrays]), (), (), conditions)
        axes, indices = self._common_axes(arrays, span)
        bodies, conditions_ = [], []
        for array in arrays:
            mapping = self._alignment(array, axes, indices)
            body, conditions = shapes.replace_in(self.marker, array, mapping)
            bodies.append(body)
            conditions_.append(conditions)
        return Arr(combine(*bodies), axes, indices, shapes.merge_conditions(conditions_))

    def _common_axes(self, arrays: Sequence[Arr], span: Span) -> tuple[tuple[Axis, ...], tuple[Any, ...]]:
        depth = max(len(a.axes) for a in arrays)
        axes: list[Axis] = []
        indices: list[Any] = []
        for k in range(depth, 0, -1):
            candidates = [(a, len(a.axes) - k) for a in arrays if len(a.axes) >= k]
            chosen, place = candidates[0]
            for array, p in candidates[1:]:
                mine, theirs = chosen.axes[place], array.axes[p]
                if mine.is_single or (mine.positional and not theirs.positional and mine.same_as(theirs)):
                    if not theirs.is_single:
                        chosen, place = array, p
                elif not theirs.is_single and not mine.same_as(theirs):
                    self._axes_differ(chosen, array, mine, theirs, span)
            axes.append(chosen.axes[place])
            indices.extend(chosen.indices_of(place))
        return tuple(axes), tuple(indices)

    def _axes_differ(self, left: Arr, right: Arr, mine: Axis, theirs: Axis, span: Span) -> None:
        def shape(array: Arr) -> str:
            return "[" + ", ".join(axis.text for axis in array.axes) + "]"

        notes = tuple(
            f"{axis.text} has {_members_text(axis)}"
            for axis in (mine, theirs)
            if axis.value is not None and not axis.positional
        )
        self.fault(
            "axes-differ",
            span,
            f"the axes do not meet: {shape(left)} with {shape(right)}; {mine.text} and {theirs.text} differ",
            "axes are matched from the last one backwards, as in NumPy; `.T` transposes a matrix",
            notes,
        )

    def _alignment(self, array: Arr, axes: Sequence[Axis], indices: Sequence[Any]) -> dict[sympy.Basic, sympy.Basic]:
        """How the array's indices are replaced to run along the last of `axes`."""
        mapping: dict[sympy.Basic, sympy.Basic] = {}
        shift = len(axes) - len(array.axes)
        starts = np.cumsum([0, *(axis.arity for axis in axes)])
        for k, own in enumerate(array.axes):
            target = axes[k + shift]
            slots = indices[starts[k + shift] : starts[k + shift + 1]]
            if own.is_single and not target.is_single:
                slots = shapes.nth(own, sympy.Integer(0))
            else:
                slots = shapes.convert(slots, target, own)
            mapping.update({i: s for i, s in zip(array.indices_of(k), slots, strict=True) if i != s})
        return mapping

    def align(self, array: Arr, axes: Sequence[Axis], indices: Sequence[Any]) -> sympy.Expr:
        """The body of an array along the last of `axes`."""
        return shapes.replace_in(self.marker, array, self._alignment(array, axes, indices))[0]

    # ------------------------------------------------------------------------------------------------- array syntax

    def _arrayliteral(self, node: tree.ArrayLiteral, context: Context) -> Arr:
        values = literal_values(node)
        if values is not None:
            return self.constant(values)
        if not node.items:
            return self.constant(np.zeros(0))
        items = self.arrays(node.items, context)
        self._require_regular(items, node)
        return self.functions.stacked(items, node.span)

    def _require_regular(self, items: Sequence[Arr], node: tree.ArrayLiteral) -> None:
        """Rows of an array literal that are written out must be of one length."""
        first = items[0].axes
        for item, part in zip(items, node.items, strict=True):
            if len(item.axes) != len(first) or any(
                one.positional and two.positional and not one.same_as(two)
                for one, two in zip(first, item.axes, strict=True)
            ):
                self.fault(
                    "ragged-array",
                    part.span,
                    f"the items of an array must have the same shape: this one is {_shape_text(item)}, "
                    f"the first {_shape_text(items[0])}",
                    "make the rows equally long" if item.axes and first else "`concat` joins vectors end to end",
                )

    def constant(self, values: np.ndarray) -> Arr:
        """An anonymous array of numbers with positional axes."""
        if values.ndim == 0:
            return Arr(number(float(values)))
        axes = tuple(self.positional_axis(size) for size in values.shape)
        name = self.workspace.fresh_name("array")
        array = DenseArray(tuple(a.value for a in axes), np.ascontiguousarray(values, dtype=float))  # type: ignore[arg-type]
        self.workspace.lanes.parameters[name] = array  # type: ignore[index]
        indices = tuple(self.marker.fresh() for _ in axes)
        return Arr(nodes.ParameterEntry(name, *indices), axes, indices)

    def positional_axis(self, size: int) -> Axis:
        """An axis without labels of its own; its members are 1..size."""
        value = SetValue(f"1..{size}", (RangeLabels(1, 1, size),))
        term = self.workspace.add_set(value, f"1..{size}")
        known = self.workspace.lanes.sets[term.name]
        assert isinstance(known, SetValue)
        return Axis(term, 1, known, positional=True)

    def _comprehension(self, node: tree.Comprehension, context: Context) -> Arr:
        domain = self.domains.open(node.domain, context)
        axes = self.domains.axes(domain, "this array", node.span)
        body = self.array(node.body, domain.context)
        self.require_free(body, domain.fresh, node.body.span)
        mapping, indices = self.domains.reindex(domain, axes)
        moved, conditions = shapes.replace_in(self.marker, body, mapping)
        return Arr(moved, (*axes, *body.axes), (*indices, *body.indices), conditions)

    def _attribute(self, node: tree.Attribute, context: Context) -> Arr:
        if node.name == "T":
            base = self.array(node.base, context)
            if len(base.axes) < 2:
                return base
            if len(base.axes) > 2:
                self.fault(
                    "transpose",
                    node.span,
                    f"`.T` transposes a matrix; this has {len(base.axes)} axes",
                    "build the array in the order wanted: `[x[i, j, k] for k in K, j in J, i in I]`",
                )
            return Arr(base.body, base.axes[::-1], (*base.indices_of(1), *base.indices_of(0)), base.conditions)
        if node.name in ("dual", "slack", "reduced_cost"):
            self.fault(
                "dual-in-model",
                node.span,
                f"`.{node.name}` is known after the solve only",
                f"print it: `show {expression_text(node)}`",
            )
        guess = closest(node.name, ["T", "dual", "slack", "reduced_cost"])
        self.fault(
            "unknown-attribute",
            node.span,
            f"there is no `.{node.name}`",
            f"did you mean `.{guess}`?" if guess else "known: `.T`, and in `show`: `.dual`, `.slack`, `.reduced_cost`",
        )
        raise AssertionError

    def _subscript(self, node: tree.Subscript, context: Context) -> Arr:
        base = node.base
        if isinstance(base, tree.Name) and base.name not in context.indices and base.name not in context.arguments:
            symbol = self.workspace.lookup(base.name, base.span, context)
            if isinstance(symbol, SetSymbol | FunctionSymbol | OtherSymbol):
                if isinstance(symbol, FunctionSymbol):
                    self.fault(
                        "function-brackets",
                        node.span,
                        f"`{base.name}` is a function: its arguments stand in round brackets",
                        f"write `{base.name}(...)`",
                    )
                self._no_value(symbol, node.span)
            if isinstance(symbol, EntrySymbol):
                # the place of an entry is `x[i]`, not `x`
                return self.index(self.entry_array(symbol, base.span, context), node, context)
            if isinstance(symbol, LetSymbol):
                return self._indexed_let(symbol, node, context)
        return self.index(self.array(base, context), node, context)

    def _indexed_let(self, symbol: LetSymbol, node: tree.Subscript, context: Context) -> Arr:
        """An entry of a named expression: a wrong index is shown where it is used, all else where it is defined."""
        self._require_data(symbol, node.base.span, context)
        result = self.index(symbol.array, node, context)
        for entry in result.body.atoms(nodes.VariableEntry, nodes.ParameterEntry) - symbol.array.body.atoms(
            nodes.VariableEntry, nodes.ParameterEntry
        ):
            self.marker.spans[entry] = node.span
        return result

    def index(self, array: Arr, node: tree.Subscript, context: Context) -> Arr:
        """`x[i, :, SUB]`: fixes, keeps or restricts the axes of an array."""
        items = self._index_items(node, context)
        axes: list[Axis] = []
        indices: list[Any] = []
        mapping: dict[sympy.Basic, sympy.Basic] = {}
        conditions: list[tuple[DomainCondition, ...]] = []
        at = 0
        for k, axis in enumerate(array.axes):
            own = array.indices_of(k)
            if at >= len(items):
                self._wrong_count(array, node, len(items))
            item = items[at]
            if isinstance(item, tree.Slice):
                axes.append(axis)
                indices.extend(own)
                at += 1
                continue
            if isinstance(item, Axis):
                if item.arity != axis.arity:
                    self._wrong_count(array, node, len(items))
                fresh = [self.marker.fresh() for _ in range(item.arity)]
                axes.append(item)
                indices.extend(fresh)
                slots: Sequence[sympy.Expr] = shapes.convert(fresh, item, axis)
                at += 1
            else:
                if at + axis.arity > len(items):
                    self._wrong_count(array, node, len(items))
                slots = []
                for position in range(axis.arity):
                    part = items[at + position]
                    if not isinstance(part, Arr):
                        self._wrong_count(array, node, len(items))
                    slots.append(part.body)
                    axes.extend(part.axes)
                    indices.extend(part.indices)
                    conditions.append(part.conditions)
                at += axis.arity
            mapping.update({i: s for i, s in zip(own, slots, strict=True) if i != s})
        if at != len(items):
            self._wrong_count(array, node, len(items))
        body, own_conditions = shapes.replace_in(self.marker, array, mapping)
        self.marker.mark(body, node.span)
        return Arr(body, tuple(axes), tuple(indices), shapes.merge_conditions([own_conditions, *conditions]))

    def _wrong_count(self, array: Arr, node: tree.Subscript, given: int) -> None:
        name = node.base.name if isinstance(node.base, tree.Name) else "this"
        needed = sum(axis.arity for axis in array.axes)
        if needed == 0:
            self.fault(
                "not-indexed", node.span, f"`{name}` is a single value and takes no index", f"write `{name}` alone"
            )
        axes = ", ".join(axis.text for axis in array.axes)
        hint = f"write `{name}[{letters(needed)}]`"
        if needed > len(array.axes):
            hint += "; a set of tuples takes one position per part"
        elif given < needed:
            hint += "; `:` keeps a whole axis"
        self.fault(
            "wrong-index-count",
            node.span,
            f"`{name}` has {needed} index position{'s' if needed > 1 else ''} (over {axes}), but {given} "
            f"{'was' if given == 1 else 'were'} given",
            hint,
        )

    def _index_items(self, node: tree.Subscript, context: Context) -> list[Any]:
        items: list[Any] = []
        for item in node.indices:
            if isinstance(item, tree.Slice):
                items.append(item)
            elif isinstance(item, tree.TupleExpr):
                items.extend(self._index_value(part, context) for part in item.items)
            elif isinstance(item, tree.Name) and isinstance(context.indices.get(item.name), sympy.Tuple):
                items.extend(Arr(part) for part in context.indices[item.name].args)
            elif self.domains.is_set(item, context):
                items.append(self.domains.axis(item, context))
            else:
                items.append(self._index_value(item, context))
        return items

    def _index_value(self, node: tree.Expr, context: Context) -> Arr:
        array = self.array(node, context)
        if nodes.has_variables(array.body):
            self.fault(
                "index-is-variable",
                node.span,
                "an index cannot be a variable: which entry it names would be known only after the solve",
                "choose among entries with binary variables: `sum(z[i] * a[i] for i in I)` with `sum(z) = 1`",
            )
        return array

    def _call(self, node: tree.Call, context: Context) -> Arr:
        if node.name in REFUSED and node.name not in self.workspace.symbols:
            message = f"`{node.name}` is not a function of the language"
            self.fault("refused-function", node.name_span, message, REFUSED[node.name])
        symbol = self.workspace.symbols.get(node.name)
        if isinstance(symbol, FunctionSymbol):
            return self.functions.own(symbol, node, context)
        return self.functions.call(node, context)

    def unknown_function(self, node: tree.Call, known: Sequence[str]) -> None:
        """Report a function that does not exist, with the one that was most likely meant."""
        symbol = self.workspace.symbols.get(node.name)
        if symbol is not None:
            self.fault(
                "not-a-function",
                node.name_span,
                f"`{node.name}` is not a function",
                f"an index stands in square brackets: `{node.name}[...]`",
            )
        guess = ALIASES.get(node.name) or closest(node.name, list(known))
        self.fault(
            "unknown-function",
            node.name_span,
            f"there is no function `{node.name}`",
            f"did you mean `{guess}`?" if guess else "`docs/functions.md` lists all functions",
        )


def number(value: float) -> sympy.Expr:
    """A number as SymPy's; a whole one as an Integer, so that `1.0 * x` and `x` are one expression."""
    if isinstance(value, int):
        return sympy.Integer(value)
    if np.isinf(value):
        return sympy.S.Infinity if value > 0 else sympy.S.NegativeInfinity
    if value == int(value) and abs(value) < 2**53:
        return sympy.Integer(int(value))
    return sympy.Float(value)


def literal_values(node: tree.Expr) -> np.ndarray | None:
    """The numbers of a (nested) array literal, or None where it is not one of plain numbers of a regular shape."""

    def plain(item: tree.Expr) -> Any:
        if isinstance(item, tree.Number):
            return item.value
        if isinstance(item, tree.Unary) and item.op == "-" and isinstance(item.operand, tree.Number):
            return -item.operand.value
        if isinstance(item, tree.ArrayLiteral):
            return [plain(part) for part in item.items]
        raise ValueError

    try:
        return np.array(plain(node), dtype=float)
    except (ValueError, OverflowError):
        return None


def _chain(node: tree.Binary, op: str) -> list[tree.Expr]:
    """The operands of a left-deep chain of one operator."""
    parts: list[tree.Expr] = []
    rest: tree.Expr = node
    while isinstance(rest, tree.Binary) and rest.op == op:
        parts.append(rest.right)
        rest = rest.left
    parts.append(rest)
    return parts[::-1]


def _members_text(axis: Axis) -> str:
    assert axis.value is not None
    return f"the members {axis.value.preview()}" if len(axis.value) else "no members"


def _shape_text(array: Arr) -> str:
    if not array.axes:
        return "a single value"
    if all(axis.positional and axis.value is not None for axis in array.axes):
        return " x ".join(str(len(axis.value)) for axis in array.axes if axis.value is not None) + " values"
    return "an array over " + ", ".join(axis.text for axis in array.axes)


def _kind(node: tree.Expr) -> str:
    kinds = {
        tree.TupleExpr: "a tuple",
        tree.SetLiteral: "a set",
        tree.SetBuilder: "a set",
        tree.DictLiteral: "a dictionary",
        tree.RangeExpr: "a range",
    }
    return kinds.get(type(node), "this")


def _hint_for(node: tree.Expr) -> str | None:
    if isinstance(node, tree.DictLiteral):
        return "a dictionary gives the values of a parameter: `param NAME[SET] = {...}`"
    if isinstance(node, tree.SetLiteral | tree.SetBuilder | tree.RangeExpr):
        return "iterate over it: `for i in ...`, or declare it: `set NAME = ...`"
    if isinstance(node, tree.TupleExpr):
        return "a tuple is an index or a member of a set: `x[i, j]`, `(i, j) in ARC`; an array is written `[a, b]`"
    return None


__all__ = ["Elaborator", "Family", "literal_values", "number"]
