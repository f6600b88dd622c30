"""The members of set expressions: literals, builders, set algebra, families."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from optdsl.data.members import (
    Labels,
    SetValue,
    concatenate,
    distinct_positions,
    first_duplicate,
    integer_labels,
    label_text,
    labels_of,
)
from optdsl.errors import Span
from optdsl.language import expression_text, tree
from optdsl.model.names import names_in
from optdsl.model.open_domain import OpenDomain, tuples_text
from optdsl.model.scope import Context
from optdsl.model.shapes import Axis
from optdsl.terms import nodes
from optdsl.terms.evaluate import Lanes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import Family, Members
from optdsl.terms.nodes import Each, Index

if TYPE_CHECKING:
    from optdsl.model.elaborate import Elaborator


class SetMembers:
    """Evaluates set expressions; `open` is the domains'."""

    def __init__(self, elaborator: Elaborator) -> None:
        self.elaborator = elaborator
        self.workspace = elaborator.workspace
        self.marker = elaborator.marker
        self.fault = elaborator.fault
        self.binders: dict[Index, Each] = {}  # the iterator that brings an index, in the order in which they are met
        self.homes: dict[sympy.Basic, Axis] = {}  # the axis that an index runs along, where it is a whole one

    def open(self, domain: tree.Domain, context: Context) -> OpenDomain:
        """The iterators and conditions of a domain."""
        raise NotImplementedError

    def labels(self, expression: sympy.Basic, frame: Frame, span: Span | None) -> Labels:
        """The labels that an index expression takes over all lanes, in C order."""
        value = self.workspace.lanes.evaluate(expression, frame)
        if isinstance(value, Members):
            return _in_order(value, frame)
        flat = np.broadcast_to(value, frame.shape).reshape(-1)
        if flat.dtype.kind not in "iu":
            whole = np.rint(flat)
            if not (np.isfinite(flat).all() and (whole == flat).all()):
                bad = float(flat[~(np.isfinite(flat) & (whole == flat))][0])
                self.fault(
                    "member-not-integer",
                    span,
                    f"members of a set are text or integers, but this gives {bad:g}",
                    f'round it: `floor(...)`, `div(a, b)`; or make it text: `"{bad:g}"`',
                )
            flat = whole.astype(np.int64)
        return integer_labels(flat.astype(np.int64))

    def value(self, node: tree.Expr, context: Context, name: str | None) -> SetValue:
        """The members of a set expression that depends on no index."""
        rows = self.rows(node, context, nodes.over(()), ())
        if name is None:
            name = expression_text(node)
        return SetValue(name, rows.columns, rows.parts)

    @staticmethod
    def indices_used(node: tree.Expr, context: Context) -> tuple[Index, ...]:
        """The indices around a set expression that its members depend on."""
        bound, found = context.bound, dict[Index, None]()
        for name in names_in(node):
            value = context.indices.get(name.name)
            if value is None and name.name in context.arguments:
                value = context.arguments[name.name].body
            if value is not None:
                found.update(dict.fromkeys(sorted(value.atoms(Index) & bound, key=str)))
        return tuple(found)

    def family_over(self, node: tree.Expr, context: Context, used: tuple[Index, ...]) -> Family:
        """A set expression such as `V - {i}` inside an iteration, as a family over the indices it uses."""
        needed, iterators = set(used), list[Each]()
        for index, each in reversed(self.binders.items()):
            if index in needed:
                needed.update(i for i in each.atoms(Index) if i in self.binders)
                iterators.insert(0, each)
        over = nodes.over(dict.fromkeys(iterators))
        rows = self.rows(node, context, over, used)
        if rows.arity == len(used):  # `{}`, which has no members that tell how many parts they have
            rows = SetValue("", (*rows.columns, rows.columns[0]))
        name = self.workspace.fresh_name(expression_text(node))
        axes = tuple(SetValue(name, _distinct(self._columns(over, [index], [None]))) for index in used)
        family = Family(name, axes, SetValue(name, rows.columns))
        self.workspace.lanes.sets[name] = family  # type: ignore[index]
        return family

    def rows(
        self, node: tree.Expr, context: Context, outer: nodes.Over, index: tuple[sympy.Expr, ...]
    ) -> SetValue:
        """The members of a set expression at every lane of `outer`: distinct tuples (index..., member...), in order."""
        if isinstance(node, tree.Binary) and node.op in ("|", "&", "-"):
            left, right = (self.rows(side, context, outer, index) for side in (node.left, node.right))
            return self._combine(node, left, right)
        if isinstance(node, tree.SetLiteral) and not index:
            return self._literal(node, context)
        if isinstance(node, tree.SetLiteral):
            return self._literal_rows(node, context, outer, index)
        domain, members, spans, distinct = self._generator(node, context)
        over = nodes.over((*outer.iterators, *domain.eaches), (*outer.conditions, *domain.conditions))
        columns = self._columns(over, [*index, *members], [*[None] * len(index), *spans])
        return SetValue("", _distinct(columns) if distinct or index else columns)

    def _columns(
        self, over: nodes.Over, expressions: Sequence[sympy.Expr], spans: Sequence[Span | None]
    ) -> tuple[Labels, ...]:
        """The labels of index expressions over all lanes of `over`, the first iterator slowest."""
        frame = self.workspace.lanes.extend(Frame(), over).child
        columns = tuple(self.labels(e, frame, s) for e, s in zip(expressions, spans, strict=True))
        order = self._iteration_order(over, frame)
        return columns if order is None else tuple(column.take(order) for column in columns)

    def _iteration_order(self, over: nodes.Over, frame: Frame) -> np.ndarray | None:
        """The lanes in the order of the iterators, None where they are in it: joins group lanes by dimensions."""
        if len(over.iterators) < 2:
            return None
        lanes = self.workspace.lanes
        places = [lanes.numbers(nodes.Position(each.set, *each.slots), frame) for each in over.iterators]
        keys = [np.broadcast_to(place, frame.shape).reshape(-1) for place in places]
        order = np.lexsort(keys[::-1])
        return None if (order[1:] > order[:-1]).all() else order

    def _generator(
        self, node: tree.Expr, context: Context
    ) -> tuple[OpenDomain, Sequence[sympy.Expr], Sequence[Span | None], bool]:
        """A set expression as iterators and the members that they give."""
        if isinstance(node, tree.SetBuilder):
            domain = self.open(node.domain, context)
            if node.element is None:
                members: list[sympy.Expr] = [
                    slot
                    for iterator in node.domain.iterators
                    for name in (iterator.slots or ())
                    for slot in self._bound(name, domain.context)
                ]
                if not members:
                    members = list(domain.slots)
                return domain, members, [None] * len(members), True
            items = node.element.items if isinstance(node.element, tree.TupleExpr) else (node.element,)
            elements: list[Any] = []
            for item in items:
                if isinstance(item, tree.Name) and isinstance(domain.context.indices.get(item.name), sympy.Tuple):
                    elements.extend((part, item.span) for part in domain.context.indices[item.name].args)
                else:
                    elements.append((self.elaborator.scalar(item, domain.context, "a member"), item.span))
            return domain, [e for e, _ in elements], [s for _, s in elements], True
        iterator = tree.Iterator(None, node, span=node.span)
        domain = self.open(tree.Domain((iterator,), span=node.span), context)
        return domain, domain.slots, [None] * len(domain.slots), False

    def _bound(self, slot: tree.Expr, context: Context) -> tuple[sympy.Expr, ...]:
        value = self.elaborator.scalar(slot, context, "a member") if not isinstance(slot, tree.Name) else None
        if value is not None:
            return (value,)
        assert isinstance(slot, tree.Name)
        found = context.indices[slot.name]
        return tuple(found.args) if isinstance(found, sympy.Tuple) else (found,)

    def _literal_rows(
        self, node: tree.SetLiteral, context: Context, outer: nodes.Over, index: tuple[sympy.Expr, ...]
    ) -> SetValue:
        """A literal at every lane of `outer`: the first member everywhere, then the second, and so on."""
        parts = []
        for item in node.items:
            items = item.items if isinstance(item, tree.TupleExpr) else (item,)
            members = [self.elaborator.scalar(part, context, "a member") for part in items]
            parts.append(self._columns(outer, [*index, *members], [None] * len(index) + [item.span] * len(members)))
        if not parts:
            nothing = np.empty(0, dtype=np.int64)
            return SetValue("", tuple(c.take(nothing) for c in self._columns(outer, index, [None] * len(index))))
        self._require_one_length(node, [len(part) - len(index) for part in parts])
        return SetValue("", _distinct(tuple(concatenate(columns) for columns in zip(*parts, strict=True))))

    def _literal(self, node: tree.SetLiteral, context: Context) -> SetValue:
        rows: list[tuple[Any, ...]] = []
        for item in node.items:
            parts = item.items if isinstance(item, tree.TupleExpr) else (item,)
            rows.append(tuple(self._constant_member(part, context) for part in parts))
        if not rows:
            return SetValue("", (integer_labels(np.empty(0, dtype=np.int64)),))
        self._require_one_length(node, [len(row) for row in rows])
        columns = tuple(labels_of(column) for column in zip(*rows, strict=True))
        repeated = first_duplicate(columns)
        if repeated is not None:
            self.fault(
                "duplicate-member",
                node.items[repeated].span,
                f"{label_text(rows[repeated])} is in this set already",
                "a set holds each member once; remove the second one",
            )
        return SetValue("", columns)

    def _require_one_length(self, node: tree.SetLiteral, lengths: Sequence[int]) -> None:
        """Report the first item of a literal that has another number of parts than the first one."""
        odd = next((k for k, length in enumerate(lengths) if length != lengths[0]), None)
        if odd is not None:
            self.fault(
                "mixed-tuples",
                node.items[odd].span,
                f"the members of a set all have the same number of parts: this one has {lengths[odd]}, "
                f"the first {lengths[0]}",
                "make all of them single members, or all tuples of one length",
            )

    def _constant_member(self, node: tree.Expr, context: Context) -> int | str:
        if isinstance(node, tree.String):
            return node.value
        if isinstance(node, tree.Number) and isinstance(node.value, int):
            return node.value
        expression = self.elaborator.scalar(node, context, "a member")
        if isinstance(expression, nodes.Label):
            return expression.name
        return self.labels(expression, Frame(), node.span).at(0)

    def _combine(self, node: tree.Binary, left: SetValue, right: SetValue) -> SetValue:
        if not len(right) and right.arity != left.arity:
            right = SetValue("", tuple(c.take(np.empty(0, dtype=np.int64)) for c in left.columns))
        if not len(left) and right.arity != left.arity:
            left = SetValue("", tuple(c.take(np.empty(0, dtype=np.int64)) for c in right.columns))
        if left.arity != right.arity:
            self.fault(
                "mixed-tuples",
                node.span,
                f"`{node.op}` needs sets of the same kind: {tuples_text(left.arity)} on the left, "
                f"{tuples_text(right.arity)} on the right",
                "take the parts that are meant: `{i for (i, j) in ARC}`",
            )
        if node.op == "|":
            columns = tuple(concatenate(pair) for pair in zip(left.columns, right.columns, strict=True))
            keep = distinct_positions(columns)
            return SetValue("", tuple(c.take(keep) for c in columns))
        inside = right.positions(left.columns) >= 0
        return left.take(np.flatnonzero(inside if node.op == "&" else ~inside))


def _distinct(columns: tuple[Labels, ...]) -> tuple[Labels, ...]:
    """The rows of the columns, each once."""
    keep = distinct_positions(columns)
    return columns if len(keep) == len(columns[0]) else tuple(c.take(keep) for c in columns)


def labels_over(lanes: Lanes, over: nodes.Over, indices: Sequence[sympy.Basic]) -> tuple[Labels, ...]:
    """The labels of the indices of an `Over` at each of its lanes, in C order."""
    frame = lanes.extend(Frame(), over).child
    values = [lanes.evaluate(index, frame) for index in indices]
    return tuple(_in_order(value, frame) for value in values if isinstance(value, Members))


def _in_order(members: Members, frame: Frame) -> Labels:
    return members.labels.take(np.broadcast_to(members.codes, frame.shape).reshape(-1))
