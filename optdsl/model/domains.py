"""Sets and iterators of the syntax tree: set terms, axes, the members of set expressions, conditions that join."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
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
from optdsl.language import tree
from optdsl.model.scope import Context, EntrySymbol, SetSymbol, kind_of
from optdsl.model.shapes import Axis, letters
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import Family, LaneFault, Members
from optdsl.terms.nodes import Each, Index

if TYPE_CHECKING:
    from optdsl.model.elaborate import Elaborator


@dataclass(frozen=True, eq=False)
class Part:
    """One iterator: its axis (None where it was split or joined), and the indices that are new in it.

    `slots` are what its new indices stand for: themselves, or what a condition fixed them to.
    """

    axis: Axis | None
    fresh: tuple[Index, ...]
    slots: tuple[sympy.Basic, ...]


@dataclass(frozen=True, eq=False)
class OpenDomain:
    """Iterators and conditions, and the context inside them."""

    eaches: tuple[Each, ...]
    conditions: tuple[sympy.Basic, ...]
    context: Context
    parts: tuple[Part, ...]

    @property
    def over(self) -> nodes.Over:
        return nodes.over(self.eaches, self.conditions)

    @property
    def fresh(self) -> tuple[Index, ...]:
        return tuple(index for part in self.parts for index in part.fresh)

    @property
    def slots(self) -> tuple[sympy.Basic, ...]:
        """What the indices of all iterators stand for, in order; those that were fixed included."""
        return tuple(slot for part in self.parts for slot in part.slots)


class Domains:
    """Elaborates sets and iterators for an `Elaborator`."""

    def __init__(self, elaborator: Elaborator) -> None:
        self.elaborator = elaborator
        self.workspace = elaborator.workspace
        self.marker = elaborator.marker
        self.fault = elaborator.fault
        self.homes: dict[sympy.Basic, Axis] = {}  # the axis that an index runs along, where it is a whole one

    # ---------------------------------------------------------------------------------------------------- set terms

    def is_set(self, node: tree.Expr | tree.Slice, context: Context) -> bool:
        """Whether an expression means a set."""
        if isinstance(node, tree.RangeExpr | tree.SetLiteral | tree.SetBuilder):
            return True
        if isinstance(node, tree.Name):
            if node.name in context.indices or node.name in context.arguments:
                return False
            return isinstance(self.workspace.symbols.get(node.name), SetSymbol)
        if isinstance(node, tree.Subscript):
            return self.is_set(node.base, context)
        if isinstance(node, tree.Binary) and node.op in ("|", "&", "-", "*"):
            return self.is_set(node.left, context)
        return False

    def axis(self, node: tree.Expr, context: Context) -> Axis:
        """The axis over a set expression."""
        if isinstance(node, tree.Name):
            symbol = self._set_symbol(node, context)
            if isinstance(symbol.value, Family):
                self.fault(
                    "family-without-index",
                    node.span,
                    f"`{node.name}` is a family of sets; it needs an index",
                    f"write `{node.name}[i]`",
                )
            return Axis(nodes.NamedSet(node.name), symbol.value.arity, symbol.value)
        if isinstance(node, tree.Subscript) and isinstance(node.base, tree.Name):
            return self._family_axis(node, context)
        if isinstance(node, tree.RangeExpr):
            ends = [self._range_end(e, context) for e in (node.low, node.high)]
            step = self._range_end(node.step, context) if node.step is not None else sympy.Integer(1)
            term = nodes.RangeSet(*ends, step)
            self.marker.mark(term, node.span)
            value = self.workspace.lanes.set_value(term, context.bound)
            assert not isinstance(value, Family)
            return Axis(term, 1, value)
        if isinstance(node, tree.SetLiteral | tree.SetBuilder | tree.Binary):
            value = self.value(node, context, None)
            term = self.workspace.add_set(value, value.name)
            known = self.workspace.lanes.sets[term.name]
            assert isinstance(known, SetValue)
            return Axis(term, known.arity, known)
        self.fault("not-a-set", node.span, "a set must stand here", "write a declared set, a range `1..n`, or `{...}`")
        raise AssertionError

    def _range_end(self, node: tree.Expr, context: Context) -> sympy.Expr:
        end = self.elaborator.scalar(node, context, "the end of a range")
        if nodes.has_variables(end):
            self.fault(
                "set-on-variable",
                node.span,
                "the end of a range cannot depend on a variable",
                "take the largest range, and choose from it with binary variables",
            )
        return end

    def _set_symbol(self, node: tree.Name, context: Context) -> SetSymbol:
        if node.name in context.indices:
            self.fault(
                "index-as-set",
                node.span,
                f"`{node.name}` is an index here, not a set",
                "the index hides a set of this name; call it something else",
            )
        symbol = self.workspace.lookup(node.name, node.span, context)
        if not isinstance(symbol, SetSymbol):
            hint = "write a declared set, a range `1..n`, or `{...}`"
            if isinstance(symbol, EntrySymbol) and symbol.role == "parameter" and not symbol.axes:
                hint = f"write a set, or a range: `1..{node.name}`"
            self.fault(
                "not-a-set",
                node.span,
                f"`{node.name}` is {kind_of(symbol)}, not a set",
                hint,
            )
        return symbol

    def _family_axis(self, node: tree.Subscript, context: Context) -> Axis:
        assert isinstance(node.base, tree.Name)
        symbol = self._set_symbol(node.base, context)
        family = symbol.value
        if not isinstance(family, Family):
            self.fault(
                "set-with-index",
                node.span,
                f"`{symbol.name}` is one set, not a family; it takes no index",
                f"write `{symbol.name}`, or declare a family: `set {symbol.name}[i in I] = ...`",
            )
        slots = tuple(
            self.elaborator.scalar(i, context, "an index") for i in node.indices if not isinstance(i, tree.Slice)
        )
        if len(slots) != family.index_width:
            self.fault(
                "wrong-index-count",
                node.span,
                f"`{symbol.name}` has {family.index_width} index position{'s' if family.index_width > 1 else ''}, "
                f"but {len(slots)} {'was' if len(slots) == 1 else 'were'} given",
                f"write `{symbol.name}[{letters(family.index_width)}]`",
            )
        value = None
        if not any(i in context.bound for s in slots for i in s.atoms(Index)):
            member = nodes.Each(nodes.NamedSet(symbol.name), *slots)
            self.marker.mark(member, node.span)
            # an index outside is reported where the set is run over, so that a condition may leave that case out
            with suppress(LaneFault):
                value = self._family_member(member, family, slots)
        return Axis(nodes.NamedSet(symbol.name), family.tuples.arity - family.index_width, value, slots)

    def _family_member(self, term: nodes.Each, family: Family, slots: tuple[sympy.Expr, ...]) -> SetValue:
        start, count = self.workspace.lanes.group(term, family, slots, Frame())
        order = family.tuples.join(tuple(range(family.index_width))).order
        chosen = order[int(start) : int(start) + int(count)]
        columns = family.tuples.columns[family.index_width :]
        text = f"{family.name}[{', '.join(_slot_text(s) for s in slots)}]"
        return SetValue(text, tuple(c.take(chosen) for c in columns))

    def contains(self, left: tree.Expr, right: tree.Expr, context: Context) -> nodes.Contains:
        """The condition `left in right`."""
        axis = self.axis(right, context)
        items = left.items if isinstance(left, tree.TupleExpr) else (left,)
        slots = [self.elaborator.scalar(item, context, "a member") for item in items]
        if len(slots) != axis.arity:
            self.fault(
                "wrong-tuple-length",
                left.span,
                f"`{axis.text}` holds {_tuples(axis.arity)}, but {len(slots)} part{'s' if len(slots) > 1 else ''} "
                f"{'are' if len(slots) > 1 else 'is'} given",
                f"write `({letters(axis.arity)}) in {axis.text}`" if axis.arity > 1 else f"write `i in {axis.text}`",
            )
        return nodes.Contains(axis.term, *axis.prefix, *slots)

    # ---------------------------------------------------------------------------------------------------- iterators

    def open(self, domain: tree.Domain, context: Context) -> OpenDomain:
        """The iterators and conditions of a domain, with conditions `i = k` turned into joins."""
        eaches: list[Each] = []
        parts: list[Part] = []
        conditions: list[sympy.Basic] = []
        for iterator in domain.iterators:
            context = self._iterator(iterator, context, eaches, parts, conditions)
        if domain.condition is not None:
            conditions.extend(self.elaborator.condition(domain.condition, context))
        return self._join(eaches, conditions, context, parts)

    def _iterator(
        self,
        iterator: tree.Iterator,
        context: Context,
        eaches: list[Each],
        parts: list[Part],
        conditions: list[sympy.Basic],
    ) -> Context:
        factors = self._factors(iterator.set, context)
        slots = iterator.slots
        if isinstance(iterator.set, tree.SetBuilder) and iterator.set.element is None:
            inlined = self._inline_builder(iterator, context, eaches, parts, conditions)
            if inlined is not None:
                return inlined
        axes = [self.axis(factor, context) for factor in factors]
        arity = sum(axis.arity for axis in axes)
        if slots is not None and len(slots) == 1 and arity > 1 and isinstance(slots[0], tree.Name):
            # one name for a whole tuple
            name = slots[0].name
            fresh = [self.marker.fresh(f"{name}.{k + 1}") for k in range(arity)]
            self._add(axes, factors, fresh, eaches, parts, set(fresh))
            return context.bind({name: sympy.Tuple(*fresh)})
        if slots is not None and len(slots) != arity:
            self.fault(
                "wrong-tuple-length",
                iterator.span,
                f"`{axes[0].text if len(axes) == 1 else 'the product'}` holds {_tuples(arity)}, "
                f"but {len(slots)} index name{'s' if len(slots) > 1 else ''} {'are' if len(slots) > 1 else 'is'} given",
                f"write `({letters(arity)}) in ...`" if arity > 1 else "write `i in ...`",
            )
        if slots is None:
            fresh = [self.marker.fresh() for _ in range(arity)]
            self._add(axes, factors, fresh, eaches, parts, set(fresh))
            return context
        bound, new, names = self._slots(slots, iterator, context, conditions)
        self._add(axes, factors, bound, eaches, parts, new)
        return context.bind(names)

    def _slots(
        self, slots: Sequence[tree.Expr], iterator: tree.Iterator, context: Context, conditions: list[sympy.Basic]
    ) -> tuple[list[sympy.Expr], set[Index], dict[str, sympy.Expr]]:
        bound: list[sympy.Expr] = []
        new: set[Index] = set()
        names: dict[str, sympy.Expr] = {}
        for slot in slots:
            if not isinstance(slot, tree.Name) or slot.name in context.arguments:
                bound.append(self.elaborator.scalar(slot, context, "a part of a tuple"))
                continue
            name = slot.name
            if name in context.indices and not iterator.tupled:
                other = next(letter for letter in "kmnp" if letter not in context.indices)
                self.fault(
                    "index-reused",
                    slot.span,
                    f"`{name}` is the name of an index already",
                    f"choose another name; to take the same member, write `for {other} in ... if {other} = {name}`",
                )
            if name in context.indices:
                bound.append(context.indices[name])
                continue
            fresh = self.marker.fresh(name)
            bound.append(fresh)
            new.add(fresh)
            if name in names:
                conditions.append(nodes.Compare("=", names[name], fresh))
            else:
                names[name] = fresh
            self.marker.mark(fresh, slot.span)
        return bound, new, names

    def _add(
        self,
        axes: Sequence[Axis],
        sets: Sequence[tree.Expr],
        slots: Sequence[sympy.Expr],
        eaches: list[Each],
        parts: list[Part],
        new: set[Index],
    ) -> None:
        at = 0
        for axis, written in zip(axes, sets, strict=True):
            own = slots[at : at + axis.arity]
            at += axis.arity
            fresh = tuple(s for s in own if s in new)
            each = nodes.Each(axis.term, *axis.prefix, *own)
            self.marker.mark(each, written.span)
            eaches.append(each)
            whole = len(fresh) == axis.arity and not axis.prefix and axis.value is not None
            parts.append(Part(axis if whole else None, fresh, fresh))
            self.homes.update(dict.fromkeys(fresh, axis) if whole and axis.arity == 1 else {})

    def _factors(self, node: tree.Expr, context: Context) -> list[tree.Expr]:
        """`I * J` is iterated as two sets."""
        if isinstance(node, tree.Binary) and node.op == "*" and self.is_set(node, context):
            return [*self._factors(node.left, context), *self._factors(node.right, context)]
        return [node]

    def _inline_builder(
        self,
        iterator: tree.Iterator,
        context: Context,
        eaches: list[Each],
        parts: list[Part],
        conditions: list[sympy.Basic],
    ) -> Context | None:
        """`j in {k in J if cond(k, i)}` runs over J with the condition."""
        builder = iterator.set
        assert isinstance(builder, tree.SetBuilder)
        if iterator.slots is None or not all(isinstance(s, tree.Name) for s in iterator.slots):
            return None
        inner = self.open(builder.domain, context)
        if len(inner.slots) != len(iterator.slots):
            return None
        names: dict[str, sympy.Expr] = {}
        joined: list[sympy.Basic] = []
        for slot, value in zip(iterator.slots, inner.slots, strict=True):
            assert isinstance(slot, tree.Name)
            if slot.name in context.indices and not iterator.tupled:
                return None
            known = names.get(slot.name, context.indices.get(slot.name))
            if known is not None:
                joined.append(nodes.Compare("=", known, value))
                continue
            names[slot.name] = value  # type: ignore[assignment]
            if isinstance(value, Index) and value in inner.fresh:
                self.marker.names[value] = slot.name
        eaches.extend(inner.eaches)
        conditions.extend([*joined, *inner.conditions])
        parts.extend(inner.parts)
        return context.bind(names)

    def _join(
        self, eaches: list[Each], conditions: list[sympy.Basic], context: Context, parts: list[Part]
    ) -> OpenDomain:
        """Turn each condition `i = e`, with e known before i is iterated, into a fixed part of i's iterator."""
        kept: list[sympy.Basic] = []
        replaced: dict[sympy.Basic, sympy.Basic] = {}
        for condition in conditions:
            if replaced:
                condition = self.marker.replace(condition, replaced)
            fixed = self._fixing(condition, parts, guarded=bool(kept))
            if fixed is None:
                kept.append(condition)
                continue
            index, value, place = fixed
            mapping = {index: value}
            for k in range(place, len(eaches)):
                eaches[k] = self.marker.replace(eaches[k], mapping)  # type: ignore[call-overload]
            kept = [self.marker.replace(c, mapping) for c in kept]
            replaced = {i: self.marker.replace(v, mapping) for i, v in replaced.items()} | mapping
            for k, part in enumerate(parts):
                slots = tuple(self.marker.replace(slot, mapping) for slot in part.slots)
                parts[k] = Part(part.axis, part.fresh, slots)
            part = parts[place]
            parts[place] = Part(None, tuple(i for i in part.fresh if i is not index), part.slots)
        if replaced:
            moved = {n: self.marker.replace(v, replaced) for n, v in context.indices.items()}
            context = context.bind(moved)  # type: ignore[arg-type]
        return OpenDomain(tuple(eaches), tuple(kept), context, tuple(parts))

    def _fixing(
        self, condition: sympy.Basic, parts: list[Part], guarded: bool
    ) -> tuple[Index, sympy.Basic, int] | None:
        """The index that a condition `i = e` fixes, e, and the iterator's number.

        A `guarded` condition stands behind others, which may leave out the cases where e has no value.
        """
        if not (isinstance(condition, nodes.Compare) and condition.name == "="):
            return None
        left, right = condition.slots
        place_of = {index: k for k, part in enumerate(parts) for index in part.fresh}
        for index, value in ((left, right), (right, left)):
            place = place_of.get(index)
            if place is None or any(place_of.get(i, -1) >= place for i in value.atoms(Index)):
                continue
            if not guarded or self._always_has_value(value):
                return index, value, place
        return None

    def _always_has_value(self, value: sympy.Basic) -> bool:
        """Whether an index expression has a value wherever its indices are: no look-up in it can fail."""
        if isinstance(value, nodes.ParameterEntry):
            symbol = self.workspace.symbols.get(value.name)
            homes = [self.homes.get(slot) for slot in value.slots]  # type: ignore[call-overload]
            axes = symbol.axes if isinstance(symbol, EntrySymbol) else ()
            return len(homes) == len(axes) and all(
                home is not None and home.same_as(axis) for home, axis in zip(homes, axes, strict=True)
            )
        if isinstance(value, sympy.Add | sympy.Mul):
            return all(self._always_has_value(part) for part in value.args)
        return isinstance(value, nodes.Label | Index) or bool(value.is_Number)

    # -------------------------------------------------------------------------------------------------------- axes

    def axes(self, domain: OpenDomain, what: str, span: Span | None, name: str | None = None) -> tuple[Axis, ...]:
        """The axes of something declared over a domain: one per iterator, or one of the tuples that exist."""
        if not domain.conditions and all(part.axis is not None for part in domain.parts):
            return tuple(part.axis for part in domain.parts if part.axis is not None)
        around = domain.context.bound - set(domain.fresh)
        if any(i in around for e in (*domain.eaches, *domain.conditions) for i in e.atoms(Index)):
            self.fault(
                "array-depends-on-index",
                span,
                f"the axes of {what} would depend on an outer index",
                "iterate instead: `sum(e for i in I if c)` builds no array",
            )
        value = self.tuples(domain, name)
        term = self.workspace.add_set(value, self.workspace.fresh_name(value.name))
        return (Axis(term, value.arity, value),)

    def tuples(self, domain: OpenDomain, name: str | None) -> SetValue:
        """The combinations of a domain's new indices that exist, as a set of tuples."""
        lanes = self.workspace.lanes
        frame = lanes.extend(Frame(), domain.over).child
        columns = [self.labels(slot, frame, None) for slot in domain.slots]
        parts: list[str] = []
        for part, each in zip(domain.parts, domain.eaches, strict=True):
            term = each.set
            text = term.name if isinstance(term, nodes.NamedSet) else "range"
            parts.extend([text] * len(part.slots))
        return SetValue(name or " * ".join(parts), tuple(columns), tuple(parts))

    def reindex(
        self, domain: OpenDomain, axes: tuple[Axis, ...]
    ) -> tuple[dict[sympy.Basic, sympy.Basic], tuple[Index, ...]]:
        """Indices along `axes`, and how the domain's own indices are replaced by them."""
        if not domain.conditions and all(part.axis is not None for part in domain.parts):
            return {}, domain.fresh
        own = set(domain.fresh)
        fresh = tuple(self.marker.fresh(self.marker.names.get(slot)) for slot in domain.slots)  # type: ignore[call-overload]
        return {slot: new for slot, new in zip(domain.slots, fresh, strict=True) if slot in own}, fresh

    # ---------------------------------------------------------------------------------------------- members of sets

    def labels(self, expression: sympy.Basic, frame: Frame, span: Span | None) -> Labels:
        """The labels that an index expression takes over all lanes, in C order."""
        value = self.workspace.lanes.evaluate(expression, frame)
        if isinstance(value, Members):
            return value.labels.take(np.broadcast_to(value.codes, frame.shape).reshape(-1))
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
            from optdsl.language import expression_text

            name = expression_text(node)
        return SetValue(name, rows.columns, rows.parts)

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
                    members = list(domain.slots)  # type: ignore[arg-type]
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
        return domain, domain.slots, [None] * len(domain.slots), False  # type: ignore[return-value]

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
                f"`{node.op}` needs sets of the same kind: {_tuples(left.arity)} on the left, "
                f"{_tuples(right.arity)} on the right",
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


def _tuples(arity: int) -> str:
    return {1: "single members", 2: "pairs", 3: "triples"}.get(arity, f"tuples of {arity} parts")


def _slot_text(slot: sympy.Basic) -> str:
    return f'"{slot.name}"' if isinstance(slot, nodes.Label) else str(slot)
