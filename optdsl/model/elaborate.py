"""Expressions of the syntax tree become index notation.

One method per kind of tree node. Array syntax and indexed syntax end in the same nodes; SymPy adds and multiplies,
everything else stays opaque. Long sums are gathered and added once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import sympy

from optdsl.atoms import ALIASES, REFUSED
from optdsl.data.arrays import DenseArray
from optdsl.data.members import RangeLabels, SetValue
from optdsl.errors import Span, closest
from optdsl.language import expression_text, tree
from optdsl.model import shapes
from optdsl.model.broadcasting import _shape_text
from optdsl.model.indexing import Indexing
from optdsl.model.literals import chain_of, hint_for, kind_text, literal_values, number
from optdsl.model.mistakes import each_of
from optdsl.model.model import DomainCondition
from optdsl.model.powers import power_conditions
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

VALUES_COME_LATER = "its value is not known before the solve; write a `let` for an expression of variables"


class Elaborator(Indexing):
    """Elaborates expressions within a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        from optdsl.model.domains import Domains
        from optdsl.model.functions import Functions

        super().__init__(workspace)
        self.domains = Domains(self)
        self.functions = Functions(self)

    # ------------------------------------------------------------------------------------------------ entry points

    def array(self, node: tree.Expr, context: Context) -> Arr:
        """The array that an expression means."""
        rule = getattr(self, "_" + type(node).__name__.lower(), None)
        if rule is None:
            self.fault("not-a-value", node.span, f"{kind_text(node)} cannot stand here", hint_for(node))
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
            return shapes.anew(self.marker, context.arguments[node.name])
        if node.name == "pi" and "pi" not in self.workspace.symbols:
            return Arr(sympy.pi)
        symbol = self.workspace.lookup(node.name, node.span, context)
        if isinstance(symbol, EntrySymbol):
            return self.entry_array(symbol, node.span, context)
        if isinstance(symbol, LetSymbol):
            self._require_fit(symbol, node.span, context)
            return shapes.anew(self.marker, symbol.array)
        self._no_value(symbol, node.span)
        raise AssertionError

    def _require_fit(self, symbol: LetSymbol, span: Span, context: Context) -> None:
        """Report a named expression where its variables or its metric cannot stand."""
        if context.mode == "model" and symbol.metric is not None:
            self.functions.metric_in_model(f"`{symbol.name}` holds the metric `{symbol.metric}`:", span)
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
            parts = self.arrays(chain_of(node, node.op), context)
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
        parts = chain_of(node, "*")
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
            if kind != "nonzero" or argument.body.is_number:
                return array
            kind = "divisor"  # of data: told where it cancels before it is divided by
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
        if not nodes.has_variables(base.body):
            return result
        own = [self.align(part, result.axes, result.indices) for part in (base, exponent)]
        return Arr(result.body, result.axes, result.indices, (*result.conditions, *power_conditions(*own)))

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
        array = DenseArray(tuple(a.value for a in axes), np.ascontiguousarray(values, dtype=float))  # type: ignore[misc]
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
        self._require_fit(symbol, node.base.span, context)
        result = self.index(symbol.array, node, context)
        for entry in result.body.atoms(nodes.VariableEntry, nodes.ParameterEntry) - symbol.array.body.atoms(
            nodes.VariableEntry, nodes.ParameterEntry
        ):
            self.marker.spans[entry] = node.span
        return shapes.anew(self.marker, result)

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


__all__ = ["Elaborator", "Family", "literal_values", "number"]
