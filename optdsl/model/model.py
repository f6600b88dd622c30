"""The model: what a `.opt` text and its data mean, as templates over sets. Everything here is frozen.

Data is never inlined and nothing is expanded over members: a constraint family is one template, whatever its size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import sympy

from optdsl.data.arrays import ParameterValue
from optdsl.data.members import SetValue
from optdsl.errors import Source, Span
from optdsl.language import tree
from optdsl.terms.evaluate import Lanes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import Family
from optdsl.terms.nodes import Index, Over


@dataclass(frozen=True, eq=False)
class DomainCondition:
    """What a partial function asks for: `expression` is `positive`, `nonnegative` or `nonzero` over `overs`."""

    kind: str
    expression: sympy.Expr
    overs: tuple[Over, ...] = ()


@dataclass(frozen=True, eq=False)
class Marks:
    """Where expressions come from: the span of each, and how the user called the indices in it."""

    spans: Mapping[sympy.Basic, Span] = field(default_factory=dict)
    names: Mapping[Index, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Variable:
    """A declared variable. Its entries (C order over `axes`) are the model's columns `offset`, `offset + 1`, ...

    lower, upper, start (width,): bounds and first guess per column (NaN: none given). `columns` (size,) gives the
    column of each entry where entries share columns (symmetric matrices); elsewhere `width` is `size`.
    `attributes`: subset of integer, binary, symmetric, psd, nsd, fixed.
    """

    name: str
    axes: tuple[SetValue, ...]
    offset: int
    size: int
    width: int
    lower: np.ndarray
    upper: np.ndarray
    start: np.ndarray
    integer: bool
    attributes: frozenset[str]
    columns: np.ndarray | None
    span: Span

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis) for axis in self.axes)

    def entries(self, values: np.ndarray) -> np.ndarray:
        """This variable's entries (size,) out of all columns' values (n,)."""
        if self.columns is None:
            return values[self.offset : self.offset + self.size]
        return values[self.columns]


@dataclass(frozen=True, eq=False)
class Relation:
    """`lower <= body <= upper` over the lanes of its constraint; an equality has lower == upper.

    lower and upper are expressions of data, None where there is no such side. `turned`: the data stood on the left in
    the text (`1 <= x`).
    """

    body: sympy.Expr
    lower: sympy.Expr | None
    upper: sympy.Expr | None
    conditions: tuple[DomainCondition, ...] = ()
    turned: bool = False

    @property
    def written(self) -> sympy.Expr:
        """Left minus right, as the text has it; of a double inequality the middle."""
        if self.lower is not None and self.upper is not None and self.lower != self.upper:
            return self.body
        side = self.upper if self.lower is None else self.lower
        difference = self.body if side is None or side.is_zero else self.body - side
        return -difference if self.turned else difference


@dataclass(frozen=True, eq=False)
class Constraint:
    """A family of constraints. `axes` are what its dual is indexed by, `over` the iterators of its lanes.

    `kind` is `scalar`, or `matrix` for `>>` and `<<` (then `over` holds only the outer family and the relation's body
    is an entry over `matrix_axes`, whose iterators are the last two).
    """

    name: str
    axes: tuple[SetValue, ...]
    over: Over
    relations: tuple[Relation, ...]
    kind: str
    span: Span
    marks: Marks
    named: bool = True

    @property
    def size(self) -> int:
        """The number of instances (of a matrix inequality: of entries)."""
        return int(np.prod([len(axis) for axis in self.axes], dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Objective:
    """What is minimized or maximized; `name` is `objective` where the text gives none."""

    name: str
    sense: str
    body: sympy.Expr
    span: Span
    marks: Marks
    conditions: tuple[DomainCondition, ...] = ()


@dataclass(frozen=True, eq=False)
class Shown:
    """One item of `show`: its text and, for a value, its template (`axes`, `over`, `body`).

    For `NAME.dual`, `NAME.slack`, `NAME.reduced_cost`: `target` is the name, `aspect` the word after the dot, `member`
    the labels where one entry was named. Else all three are None.
    """

    text: str
    span: Span
    axes: tuple[SetValue, ...] = ()
    over: Over | None = None
    body: sympy.Expr | None = None
    target: str | None = None
    aspect: str | None = None
    member: tuple[int | str, ...] | None = None
    marks: Marks = field(default_factory=Marks)


@dataclass(frozen=True, eq=False)
class MethodChoice:
    """`solve using NAME(option = value)`, options as Python values."""

    method: str
    options: Mapping[str, object]
    span: Span | None = None
    option_spans: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Let:
    """A named expression: its axes, iterators and body."""

    name: str
    axes: tuple[SetValue, ...]
    over: Over
    body: sympy.Expr
    span: Span
    marks: Marks


@dataclass(frozen=True, eq=False)
class Model:
    """A whole model with its data bound."""

    name: str
    source: Source
    tree: tree.File
    sets: Mapping[str, SetValue | Family]
    parameters: Mapping[str, ParameterValue]
    variables: Mapping[str, Variable]
    lets: Mapping[str, Let]
    constraints: tuple[Constraint, ...]
    objective: Objective | None
    shown: tuple[Shown, ...] | None
    method: MethodChoice | None
    lanes: Lanes
    columns: int
    warnings: tuple[str, ...] = ()

    def lanes_of(self, over: Over) -> Frame:
        """The lanes of a statement's iterators, as the root of further extensions."""
        return self.lanes.extend(Frame(), over).child.as_root()

    @property
    def integers(self) -> int:
        """The number of integer columns."""
        return sum(v.width for v in self.variables.values() if v.integer)
