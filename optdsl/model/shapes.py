"""Whole arrays in index notation.

An `Arr` is a body with one free index per position of its axes: `A @ x` is the body `Sum_k A[t1, k] * x[k]` over the
axis of `t1`. An expression without axes is a number. Temporary indices (`t1`, `t2`, ...) are replaced by canonical
ones when a statement is finished (`optdsl.model.canonical`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sympy

from optdsl.data.members import SetValue, same_members
from optdsl.errors import Span
from optdsl.model.model import DomainCondition
from optdsl.terms import nodes
from optdsl.terms.nodes import Index


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of an array: the set it runs over.

    `term` with the outer `prefix` slots (of a family member) says which set; `value` is its members where they do not
    depend on an outer index. A `positional` axis has no labels of its own (array literals, files): it meets any axis
    of its length.
    """

    term: nodes.Node
    arity: int
    value: SetValue | None
    prefix: tuple[sympy.Expr, ...] = ()
    positional: bool = False

    def each(self, indices: Sequence[Index]) -> nodes.Each:
        return nodes.Each(self.term, *self.prefix, *indices)

    @property
    def text(self) -> str:
        if self.positional and self.value is not None:
            return f"{len(self.value)} entries"
        if self.value is not None:
            return " * ".join(self.value.parts) or self.value.name
        return self.term.name.partition("#")[0] if isinstance(self.term, nodes.NamedSet) else "a range"

    def same_as(self, other: Axis) -> bool:
        """Whether an index along one axis runs over the same members along the other."""
        if self.term == other.term and self.prefix == other.prefix:
            return True
        if self.value is None or other.value is None:
            return False
        if self.positional or other.positional:
            return len(self.value) == len(other.value)
        return same_members(self.value, other.value)

    @property
    def is_single(self) -> bool:
        """A positional axis of length 1, which broadcasts."""
        return self.positional and self.value is not None and len(self.value) == 1


@dataclass(frozen=True, eq=False)
class Arr:
    """An array: axes, the free indices along each (axis by axis, in order), the body, and its domain conditions."""

    body: sympy.Expr
    axes: tuple[Axis, ...] = ()
    indices: tuple[Index, ...] = ()
    conditions: tuple[DomainCondition, ...] = ()

    def indices_of(self, axis: int) -> tuple[Index, ...]:
        """The free indices along one axis."""
        start = sum(a.arity for a in self.axes[:axis])
        return self.indices[start : start + self.axes[axis].arity]

    @property
    def eaches(self) -> tuple[nodes.Each, ...]:
        return tuple(axis.each(self.indices_of(k)) for k, axis in enumerate(self.axes))


@dataclass
class Marker:
    """Collects where expressions come from while a statement is elaborated."""

    spans: dict[sympy.Basic, Span] = field(default_factory=dict)
    names: dict[Index, str] = field(default_factory=dict)
    fresh_count: int = 0
    kept: int = 0

    def begin(self) -> None:
        """Forget the places of the statement before: the same expression may stand in this one too."""
        while len(self.spans) > self.kept:
            self.spans.popitem()

    def keep(self) -> None:
        """Keep the places collected so far: later statements use the expression."""
        self.kept = len(self.spans)

    def fresh(self, name: str | None = None) -> Index:
        """A temporary index, remembered under the user's name for it."""
        self.fresh_count += 1
        index = Index(f"t{self.fresh_count}")
        if name is not None:
            self.names[index] = name
        return index

    def mark(self, expression: sympy.Basic, span: Span) -> None:
        self.spans.setdefault(expression, span)

    def replace(self, expression: sympy.Basic, mapping: Mapping[sympy.Basic, sympy.Basic]) -> sympy.Basic:
        """`expression` with indices replaced; spans follow."""
        if not mapping:
            return expression
        return replace_marked(expression, mapping, self.spans)


def replace_marked(
    expression: sympy.Basic,
    mapping: Mapping[sympy.Basic, sympy.Basic],
    spans: dict[sympy.Basic, Span],
    done: dict[sympy.Basic, sympy.Basic] | None = None,
) -> sympy.Basic:
    """`expression` with leaves replaced by `mapping`, rebuilt bottom-up; each rebuilt node takes over its span."""
    done = {} if done is None else done
    if expression in mapping:
        return mapping[expression]
    if expression in done:
        return done[expression]
    if not expression.args:
        return expression
    args = [replace_marked(a, mapping, spans, done) for a in expression.args]
    result = expression
    if any(new is not old for new, old in zip(args, expression.args, strict=True)):
        result = expression.func(*args)
        span = spans.get(expression)
        if span is not None:
            spans.setdefault(result, span)
    done[expression] = result
    return result


def replace_in(
    marker: Marker, array: Arr, mapping: Mapping[sympy.Basic, sympy.Basic]
) -> tuple[sympy.Expr, tuple[DomainCondition, ...]]:
    """Body and conditions of an array with indices replaced."""
    if not mapping:
        return array.body, array.conditions
    conditions = tuple(
        DomainCondition(
            c.kind, marker.replace(c.expression, mapping), tuple(marker.replace(o, mapping) for o in c.overs)
        )
        for c in array.conditions
    )
    return marker.replace(array.body, mapping), conditions


def anew(marker: Marker, array: Arr) -> Arr:
    """The same array with indices of its own: two uses of a name may stand one inside a reduction of the other."""
    if not array.axes:
        return array
    mapping = {index: marker.fresh(marker.names.get(index)) for index in array.indices}
    body, conditions = replace_in(marker, array, mapping)
    axes = tuple(replace(a, prefix=tuple(p.xreplace(mapping) for p in a.prefix)) if a.prefix else a for a in array.axes)
    return Arr(body, axes, tuple(mapping.values()), conditions)


def at(marker: Marker, array: Arr, slots: Sequence[sympy.Expr]) -> tuple[sympy.Expr, tuple[DomainCondition, ...]]:
    """The entry of an array at index expressions."""
    mapping = {i: s for i, s in zip(array.indices, slots, strict=True) if i != s}
    return replace_in(marker, array, mapping)


def convert(slots: Sequence[sympy.Expr], source: Axis, target: Axis) -> tuple[sympy.Expr, ...]:
    """Index expressions along `source`, as index expressions along `target`, an axis with the same members."""
    if source.term == target.term and source.prefix == target.prefix:
        return tuple(slots)
    if not (source.positional or target.positional):
        return tuple(slots)
    position = nodes.Position(source.term, *source.prefix, *slots)
    return nth(target, position)


def nth(axis: Axis, position: sympy.Expr) -> tuple[sympy.Expr, ...]:
    """Index expressions of the member at a 0-based position along an axis."""
    return tuple(nodes.Nth(axis.term, position, sympy.Integer(part), *axis.prefix) for part in range(axis.arity))


def letters(count: int) -> str:
    """`i, j, k` for an example with `count` indices."""
    return ", ".join("ijklmnpqrst"[k] if k < 11 else f"i{k + 1}" for k in range(count))


def merge_conditions(parts: Iterable[tuple[DomainCondition, ...]]) -> tuple[DomainCondition, ...]:
    """All conditions, each once."""
    seen: dict[tuple[object, ...], DomainCondition] = {}
    for part in parts:
        for condition in part:
            seen.setdefault((condition.kind, condition.expression, condition.overs), condition)
    return tuple(seen.values())
