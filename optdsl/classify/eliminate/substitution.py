"""A variable's entries replaced by what defines them, in templates whose indices are canonical.

The index of the k-th iteration around a place is `i<k>`. A definition is written inside its own iterations, `i0` to
`i<m-1>`; put in place below d iterations, these become the index expressions of the entry and its own inner `i<m+j>`
become `i<d+j>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sympy

from optdsl.errors import Span
from optdsl.model.model import DomainCondition, Marks
from optdsl.terms import nodes
from optdsl.terms.nodes import Index, Over, VariableEntry, index_at


@dataclass(frozen=True, eq=False)
class Definition:
    """`variable[slots] = body`: what every entry of a variable is, in other variables.

    places: for each iteration around the body (`i0`, `i1`, ...) the slot of the entry that holds its index. constraint:
    the number of the equality that says so; None where the bounds fix the variable. coefficient: the factor of the
    entry in the equality's left side. over: the iterations around. marks: of the equality.
    """

    variable: str
    body: sympy.Expr
    places: tuple[int, ...]
    constraint: int | None
    coefficient: sympy.Expr
    over: Over
    marks: Marks

    @property
    def entry(self) -> VariableEntry:
        """The entry that is defined, inside the definition's iterations."""
        slots: list[sympy.Expr] = [index_at(0)] * len(self.places)
        for level, place in enumerate(self.places):
            slots[place] = index_at(level)
        return VariableEntry(self.variable, *slots)


@dataclass(eq=False)
class Substitution:
    """Puts a definition in place in the parts of one statement; spans and names of indices follow."""

    definition: Definition
    marks: Marks
    spans: dict[sympy.Basic, Span] = field(init=False)
    names: dict[Index, str] = field(init=False)
    _has: dict[sympy.Basic, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spans, self.names = dict(self.marks.spans), dict(self.marks.names)

    def merged(self) -> Marks:
        """The marks of the statement after the replacements so far."""
        return Marks(self.spans, self.names)

    def body(self, expression: sympy.Expr, depth: int) -> sympy.Expr:
        """An expression inside `depth` iterations."""
        return self._walk(expression, depth, {})

    def condition(self, condition: DomainCondition, depth: int) -> DomainCondition:
        """A domain condition inside `depth` iterations."""
        for over in condition.overs:
            depth += new_indices(over, depth)
        expression = self.body(condition.expression, depth)
        if expression == condition.expression:
            return condition
        return DomainCondition(condition.kind, expression, condition.overs)

    def _walk(self, e: sympy.Basic, depth: int, memo: dict[sympy.Basic, sympy.Basic]) -> sympy.Basic:
        if not self._holds(e):
            return e
        if e in memo:
            return memo[e]
        result: sympy.Basic
        if isinstance(e, VariableEntry):
            result = self._in_place(e, depth)
        elif isinstance(e, nodes.Reduce):
            inner = self._walk(e.body, depth + new_indices(e.over, depth), {})
            result = nodes.Reduce(e.name, inner, e.over, *(self._walk(x, depth, memo) for x in e.extra))
        elif isinstance(e, nodes.Block):
            result = nodes.Block(self._walk(e.body, depth + _new(e.axes, depth), {}), *e.axes)
        else:
            result = e.func(*(self._walk(a, depth, memo) for a in e.args))
        span = self.marks.spans.get(e)
        if span is not None:
            self.spans.setdefault(result, span)
        memo[e] = result
        return result

    def _holds(self, e: sympy.Basic) -> bool:
        """Whether an entry of the variable occurs in an expression."""
        if e not in self._has:
            own = isinstance(e, VariableEntry) and e.name == self.definition.variable
            self._has[e] = own or any(self._holds(a) for a in e.args)
        return self._has[e]

    def _in_place(self, entry: VariableEntry, depth: int) -> sympy.Expr:
        definition = self.definition
        given = {index_at(level): entry.slots[place] for level, place in enumerate(definition.places)}
        levels = len(definition.places)
        for index, name in definition.marks.names.items():
            if index.level >= levels:
                self.names.setdefault(index_at(index.level - levels + depth), name)
        return self._moved(definition.body, given, depth - levels, {})

    def _moved(
        self, e: sympy.Basic, given: Mapping[sympy.Basic, sympy.Basic], by: int, memo: dict[sympy.Basic, sympy.Basic]
    ) -> sympy.Basic:
        """A part of the definition in its new place."""
        if isinstance(e, Index):
            return given[e] if e in given else index_at(e.level + by)
        if not e.args:
            return e
        if e not in memo:
            memo[e] = e.func(*(self._moved(a, given, by, memo) for a in e.args))
            span = self.definition.marks.spans.get(e)
            if span is not None:
                self.spans.setdefault(memo[e], span)
        return memo[e]


def new_indices(over: Over, depth: int) -> int:
    """How many indices an iteration binds inside `depth` others."""
    return _new(over.iterators, depth)


def _new(eaches: Iterable[nodes.Each], depth: int) -> int:
    return len({s for each in eaches for s in each.slots if isinstance(s, Index) and s.level >= depth})
