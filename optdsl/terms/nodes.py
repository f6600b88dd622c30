"""The nodes of a template: index notation in SymPy.

Sums, products and integer powers are SymPy's own `Add`, `Mul` and `Pow`; every other node is a class of this
module, which SymPy never rewrites. Bound indices are canonical: the index of the k-th enclosing iteration
(family domains included) is `Index("i<k>")`, so that equal expressions are equal nodes.

A set is a *set term*: `NamedSet`, or `RangeSet` where the ends are expressions. An index position takes any
index expression: an `Index`, a number, a `Label` (text), arithmetic on these, a parameter whose values are
members, or `Nth` (the member at a position).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sympy
from sympy.core.basic import Basic
from sympy.core.symbol import Str


class Index(sympy.Symbol):
    """A bound index; `level` counts the iterations around it."""

    __slots__ = ()

    @property
    def level(self) -> int:
        return int(self.name[1:])


def index_at(level: int) -> Index:
    """The canonical index bound at this level."""
    return Index(f"i{level}")


class Node(sympy.Expr):
    """An inner node or leaf that SymPy treats as an opaque commutative quantity."""

    __slots__ = ()
    is_commutative = True
    is_number = False
    is_Atom = False

    def __new__(cls, *args: Any) -> Node:
        return Basic.__new__(cls, *(Str(a) if isinstance(a, str) else a for a in args))

    def _sympystr(self, printer: Any) -> str:
        from optdsl.terms.show import show

        return show(self)


class Named(Node):
    """A node whose first argument is a name."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return self.args[0].name

    @property
    def slots(self) -> tuple[sympy.Expr, ...]:
        return self.args[1:]


class VariableEntry(Named):
    """`x[i, j]`: name, index expressions."""

    __slots__ = ()


class ParameterEntry(Named):
    """`a[i, j]`: name, index expressions."""

    __slots__ = ()


class Label(Named):
    """A text label: `"bread"`."""

    __slots__ = ()


class NamedSet(Named):
    """A set by name (declared, or an inline one under a generated name)."""

    __slots__ = ()


class RangeSet(Node):
    """`low..high by step`, whose ends may depend on indices."""

    __slots__ = ()


class Each(Node):
    """One iterator: set term, slots. An `Index` bound nowhere outside is new, everything else fixes its part."""

    __slots__ = ()

    @property
    def set(self) -> Node:
        return self.args[0]

    @property
    def slots(self) -> tuple[sympy.Expr, ...]:
        return self.args[1:]


class Over(Node):
    """Iterators in order and conditions that all must hold: `Over(Tuple(each, ...), Tuple(condition, ...))`."""

    __slots__ = ()

    @property
    def iterators(self) -> tuple[Each, ...]:
        return self.args[0].args

    @property
    def conditions(self) -> tuple[Node, ...]:
        return self.args[1].args


def over(iterators: Iterable[Each], conditions: Iterable[Node] = ()) -> Over:
    return Over(sympy.Tuple(*iterators), sympy.Tuple(*conditions))


class Apply(Named):
    """An elementwise function of the table of atoms: name, arguments."""

    __slots__ = ()


class Reduce(Named):
    """`sum`, `max`, `norm2` ... of a body over an `Over`: name, body, over, further arguments."""

    __slots__ = ()

    @property
    def body(self) -> sympy.Expr:
        return self.args[1]

    @property
    def over(self) -> Over:
        return self.args[2]

    @property
    def extra(self) -> tuple[sympy.Expr, ...]:
        return self.args[3:]


class Block(Node):
    """A whole array as an argument: body, and one `Each` per axis, all independent of each other."""

    __slots__ = ()

    @property
    def body(self) -> sympy.Expr:
        return self.args[0]

    @property
    def axes(self) -> tuple[Each, ...]:
        return self.args[1:]


class ArrayCall(Named):
    """An entry of an array function: name, `Tuple` of 0-based positions in the result (empty: a number), arguments."""

    __slots__ = ()

    @property
    def positions(self) -> tuple[sympy.Expr, ...]:
        return self.args[1].args

    @property
    def arguments(self) -> tuple[Node, ...]:
        return self.args[2:]


class Choose(Node):
    """`then if condition else otherwise`, lazy entry by entry."""

    __slots__ = ()


class Compare(Named):
    """A condition: one of `< <= > >= = !=`, left, right."""

    __slots__ = ()


class Logic(Named):
    """`and`, `or`, `not` of conditions."""

    __slots__ = ()


class Contains(Node):
    """Whether slots form a member of a set: set term, slots."""

    __slots__ = ()

    @property
    def set(self) -> Node:
        return self.args[0]

    @property
    def slots(self) -> tuple[sympy.Expr, ...]:
        return self.args[1:]


class Position(Node):
    """The 0-based position of a member in a set: set term, slots."""

    __slots__ = ()

    @property
    def set(self) -> Node:
        return self.args[0]

    @property
    def slots(self) -> tuple[sympy.Expr, ...]:
        return self.args[1:]


class Nth(Node):
    """The member at a 0-based position: set term, position, and which part of a tuple (0-based), family slots."""

    __slots__ = ()


class Size(Node):
    """The number of members: set term, family slots."""

    __slots__ = ()


class Pick(Node):
    """One of several expressions, by 0-based position: position, expressions."""

    __slots__ = ()


def has_variables(expression: Basic) -> bool:
    """Whether a decision variable occurs."""
    return expression.has(VariableEntry)
