"""Sets and iterators of the syntax tree: set terms, axes, the members of set expressions, conditions that join."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import sympy

from optdsl.data.arrays import LabelArray
from optdsl.data.late_set import LateSet
from optdsl.data.members import SetValue, TextLabels
from optdsl.errors import Span
from optdsl.language import tree
from optdsl.model.open_domain import OpenDomain, Part, tuples_text
from optdsl.model.scope import Context, EntrySymbol, SetSymbol, kind_of
from optdsl.model.set_members import SetMembers, labels_over
from optdsl.model.shapes import Axis, letters
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import Family, LaneFault
from optdsl.terms.nodes import Each, Index

LEAVES = (Index, nodes.Label, nodes.ParameterEntry)


class Domains(SetMembers):
    """Elaborates sets and iterators for an `Elaborator`."""

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
            used = self.indices_used(node, context)
            if used:
                family = self.family_over(node, context, used)
                return Axis(nodes.NamedSet(family.name), family.tuples.arity - len(used), None, used)
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
                f"`{axis.text}` holds {tuples_text(axis.arity)}, but {len(slots)} part{'s' if len(slots) > 1 else ''} "
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
            last = iterator is domain.iterators[-1]
            context = self._iterator(iterator, context, eaches, parts, conditions, last)
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
        last: bool,
    ) -> Context:
        factors = self._factors(iterator.set, context)
        slots = iterator.slots
        # its conditions come after all iterators, and a later iterator may rely on them
        if last and isinstance(iterator.set, tree.SetBuilder) and iterator.set.element is None:
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
                f"`{axes[0].text if len(axes) == 1 else 'the product'}` holds {tuples_text(arity)}, "
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
            self.binders.update(dict.fromkeys(fresh, eaches[-1]))

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
            names[slot.name] = value
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
                eaches[k] = self.marker.replace(eaches[k], mapping)
            kept = [self.marker.replace(c, mapping) for c in kept]
            replaced = {i: self.marker.replace(v, mapping) for i, v in replaced.items()} | mapping
            for k, part in enumerate(parts):
                slots = tuple(self.marker.replace(slot, mapping) for slot in part.slots)
                parts[k] = Part(part.axis, part.fresh, slots)
            part = parts[place]
            parts[place] = Part(None, tuple(i for i in part.fresh if i is not index), part.slots)
        if replaced:
            moved = {n: self.marker.replace(v, replaced) for n, v in context.indices.items()}
            context = context.bind(moved)
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

    def surely_inside(self, axis: Axis, slots: Sequence[sympy.Basic]) -> bool:
        """Whether index expressions are the indices of an iteration over this very axis."""
        if axis.arity == 1:
            home = self.homes.get(slots[0])
            return home is not None and home.same_as(axis)
        each = self.binders.get(slots[0])
        return each is not None and each.set == axis.term and tuple(each.slots) == (*axis.prefix, *slots)

    def _always_has_value(self, value: sympy.Basic) -> bool:
        """Whether an index expression has a value wherever its indices are: no look-up in it can fail."""
        if isinstance(value, nodes.ParameterEntry):
            symbol = self.workspace.symbols.get(value.name)
            homes = [self.homes.get(slot) for slot in value.slots]
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
        """The combinations of a domain's new indices that exist, as a set of tuples.

        Where finding them cannot fail, they are found when they are first needed.
        """
        lanes, over, slots = self.workspace.lanes, domain.over, domain.slots
        parts: list[str] = []
        for part, each in zip(domain.parts, domain.eaches, strict=True):
            term = each.set
            text = term.name if isinstance(term, nodes.NamedSet) else "range"
            parts.extend([text] * len(part.slots))
        name = name or " * ".join(parts)
        if all(part.axis is not None for part in domain.parts) and all(map(self._never_fails, domain.conditions)):
            return LateSet(name, len(slots), tuple(parts), lambda: labels_over(lanes, over, slots))
        frame = lanes.extend(Frame(), over).child
        return SetValue(name, tuple(self.labels(slot, frame, None) for slot in slots), tuple(parts))

    def _never_fails(self, condition: sympy.Basic) -> bool:
        """Whether a condition holds or not at every lane: it compares numbers, and no look-up in it can fail."""
        if isinstance(condition, nodes.Logic):
            return all(map(self._never_fails, condition.slots))
        if not isinstance(condition, nodes.Compare) or not all(map(self._always_has_value, condition.slots)):
            return False
        if condition.name in ("=", "!=") and all(isinstance(side, LEAVES) for side in condition.slots):
            return True  # texts too can be equal
        return all(self._is_number(leaf) for side in condition.slots for leaf in side.atoms(*LEAVES))

    def _is_number(self, leaf: sympy.Basic) -> bool:
        """Whether an index or an entry of a parameter stands for numbers, not texts."""
        if isinstance(leaf, nodes.ParameterEntry):
            return not isinstance(self.workspace.lanes.parameters[leaf.name], LabelArray)
        home = self.homes.get(leaf)
        return home is not None and home.value is not None and not isinstance(home.value.labels, TextLabels)

    def reindex(
        self, domain: OpenDomain, axes: tuple[Axis, ...]
    ) -> tuple[dict[sympy.Basic, sympy.Basic], tuple[Index, ...]]:
        """Indices along `axes`, and how the domain's own indices are replaced by them."""
        if not domain.conditions and all(part.axis is not None for part in domain.parts):
            return {}, domain.fresh
        own = set(domain.fresh)
        fresh = tuple(self.marker.fresh(self.marker.names.get(slot)) for slot in domain.slots)
        return {slot: new for slot, new in zip(domain.slots, fresh, strict=True) if slot in own}, fresh

    # ---------------------------------------------------------------------------------------------- members of sets


def _slot_text(slot: sympy.Basic) -> str:
    return f'"{slot.name}"' if isinstance(slot, nodes.Label) else str(slot)
