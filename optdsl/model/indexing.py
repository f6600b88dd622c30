"""Subscripts: `x[i, :, SUB]` fixes, keeps or restricts the axes of an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from optdsl.language import tree
from optdsl.model import shapes
from optdsl.model.broadcasting import Broadcasting
from optdsl.model.model import DomainCondition
from optdsl.model.scope import Context, LetSymbol
from optdsl.model.shapes import Arr, Axis, letters
from optdsl.terms import nodes


class Indexing(Broadcasting):
    """Elaborates subscripts; `array` and `domains` are the elaborator's."""

    domains: Any

    def array(self, node: tree.Expr, context: Context) -> Arr:
        """The array that an expression means."""
        raise NotImplementedError

    def index(self, array: Arr, node: tree.Subscript, context: Context) -> Arr:
        """`x[i, :, SUB]`: fixes, keeps or restricts the axes of an array."""
        items = self._index_items(node, context)
        axes: list[Axis] = []
        indices: list[Any] = []
        mapping: dict[sympy.Basic, sympy.Basic] = {}
        conditions: list[tuple[DomainCondition, ...]] = []
        symbol = self.workspace.symbols.get(node.base.name) if isinstance(node.base, tree.Name) else None
        named, sure = isinstance(symbol, LetSymbol), True
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
            sure = sure and self.domains.surely_inside(axis, slots)
            if named and not self.domains.surely_inside(axis, slots):
                # nothing in the body need look anything up at these indices
                member = nodes.Contains(axis.term, *axis.prefix, *slots)
                self.marker.mark(member, node.span)
                conditions.append((DomainCondition("inside", member),))
        if at != len(items):
            self._wrong_count(array, node, len(items))
        body, own_conditions = shapes.replace_in(self.marker, array, mapping)
        self.marker.mark(body, node.span)
        if not sure and isinstance(body, nodes.VariableEntry | nodes.ParameterEntry):
            conditions.append((DomainCondition("entry", body),))  # it may cancel before it is looked up
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
