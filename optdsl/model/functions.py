"""Calls of functions: reductions, elementwise functions, array functions, losses, functions of the user's own.

Array functions that are sums in disguise (`dot`, `@`, `cumsum`, `diff`, `conv`, `trace` ...) become index notation;
of data alone they are computed at once by their kernel; the others stay an opaque `ArrayCall`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import sympy

from optdsl.atoms import ELEMENTWISE, REDUCTIONS
from optdsl.language import tree
from optdsl.model import shapes
from optdsl.model.array_functions import ArrayFunctions
from optdsl.model.function_rules import ARRAYS, SAME_AS, SET_FUNCTIONS, reduce_node
from optdsl.model.scope import Context, FunctionSymbol, SetSymbol, kind_of
from optdsl.model.shapes import Arr
from optdsl.terms import nodes
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
SHIFTED_DOMAINS: dict[str, tuple[tuple[str, Callable[[sympy.Expr], sympy.Expr]], ...]] = {
    "log1p": (("positive", lambda a: 1 + a),),
    "asin": (("nonnegative", lambda a: 1 + a), ("nonnegative", lambda a: 1 - a)),
    "acos": (("nonnegative", lambda a: 1 + a), ("nonnegative", lambda a: 1 - a)),
}
"""Conditions on an argument that is first moved."""
LAST_AXIS = ("softmax", "logsumexp")


class Functions(ArrayFunctions):
    """Elaborates calls for an `Elaborator`."""

    def __init__(self, elaborator: Elaborator) -> None:
        super().__init__(elaborator)
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
        for kind, of_argument in SHIFTED_DOMAINS.get(name, ()):
            moved = replace(arguments[0], body=of_argument(arguments[0].body))
            result = self.elaborator.with_condition(result, kind, moved)
        return result

    def _call_square(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        return self.elaborator.elementwise(a, lambda b: sympy.Pow(b, 2), node.span)

    def _call_inv(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        return self.elaborator.divide(Arr(sympy.Integer(1)), a[0], node.args[0].span, node.span)

    def _call_pow(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        self._count(node, len(a), 2, 2)
        binary = tree.Binary("^", node.args[0], node.args[1], span=node.span)
        return self.elaborator.power(a[0], a[1], binary)

    def _call_argmax(self, node: tree.Call, a: list[Arr], context: Context) -> Arr:
        """The member at the first largest entry; its position from 0 along an axis whose entries have no labels."""
        places = self.array_function(node, a, context)
        axis = a[0].axes[-1]
        if axis.positional or axis.arity != 1:
            return places
        (member,) = shapes.nth(axis, places.body)
        self.marker.mark(member, node.span)
        return replace(places, body=member)

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

    # -------------------------------------------------------------------------------------------- array functions

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
        along = self.elaborator.along(label, total, node.span)
        (last,) = logits.indices_of(axis)
        picked, conditions = shapes.replace_in(self.marker, logits, {last: along.body})
        merged = shapes.merge_conditions([total.conditions, conditions, along.conditions])
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
