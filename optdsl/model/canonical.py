"""Statements in canonical form: the k-th enclosing iteration has the index `i<k>`, whatever the user called it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sympy

from optdsl.errors import Span
from optdsl.model.model import DomainCondition, Marks
from optdsl.model.shapes import Marker
from optdsl.terms import nodes
from optdsl.terms.nodes import Each, Index, index_at


@dataclass
class Canonical:
    """Renames the temporary indices of one statement; spans and the user's index names follow."""

    marker: Marker
    spans: dict[sympy.Basic, Span] = field(default_factory=dict)
    names: dict[Index, str] = field(default_factory=dict)

    def marks(self) -> Marks:
        return Marks(self.spans, self.names)

    def over(self, over: nodes.Over) -> tuple[nodes.Over, dict[Index, Index]]:
        """The iterators of a family in canonical form, and the renaming inside them."""
        return self._over(over, {})

    def body(self, expression: sympy.Basic, renaming: Mapping[Index, Index]) -> sympy.Expr:
        """An expression inside a family."""
        return self._walk(expression, dict(renaming), {})

    def condition(self, condition: DomainCondition, renaming: Mapping[Index, Index]) -> DomainCondition:
        """A domain condition inside a family."""
        inner = dict(renaming)
        overs = []
        for over in condition.overs:
            new, inner = self._over(over, inner)
            overs.append(new)
        return DomainCondition(condition.kind, self.body(condition.expression, inner), tuple(overs))

    def _over(self, over: nodes.Over, renaming: dict[Index, Index]) -> tuple[nodes.Over, dict[Index, Index]]:
        inner = dict(renaming)
        eaches = [self._each(each, inner) for each in over.iterators]
        memo: dict[sympy.Basic, sympy.Basic] = {}
        conditions = [self._walk(c, inner, memo) for c in over.conditions]
        return nodes.over(eaches, conditions), inner

    def _each(self, each: Each, inner: dict[Index, Index]) -> Each:
        term = self._walk(each.set, inner, {})
        before = dict(inner)
        slots: list[sympy.Basic] = []
        for slot in each.slots:
            if isinstance(slot, Index) and slot not in before:
                new = index_at(len(inner))
                inner[slot] = new
                self._name(slot, new)
                slots.append(new)
            else:
                slots.append(self._walk(slot, before, {}))
        result = nodes.Each(term, *slots)
        span = self.marker.spans.get(each)
        if span is not None:
            self.spans.setdefault(result, span)
        return result

    def _name(self, old: Index, new: Index) -> None:
        name = self.marker.names.get(old)
        if name is not None:
            self.names.setdefault(new, name)

    def _walk(
        self, expression: sympy.Basic, renaming: dict[Index, Index], memo: dict[sympy.Basic, sympy.Basic]
    ) -> sympy.Basic:
        if isinstance(expression, Index):
            return renaming[expression]
        if not expression.args:
            return expression
        if expression in memo:
            return memo[expression]
        if isinstance(expression, nodes.Reduce):
            over, inner = self._over(expression.over, renaming)
            body = self._walk(expression.body, inner, {})
            extra = [self._walk(e, renaming, memo) for e in expression.extra]
            result: sympy.Basic = nodes.Reduce(expression.name, body, over, *extra)
        elif isinstance(expression, nodes.Block):
            inner = dict(renaming)
            eaches = [self._each(each, inner) for each in expression.axes]
            result = nodes.Block(self._walk(expression.body, inner, {}), *eaches)
        else:
            result = expression.func(*[self._walk(a, renaming, memo) for a in expression.args])
        span = self.marker.spans.get(expression)
        if span is not None:
            self.spans.setdefault(result, span)
        memo[expression] = result
        return result
