"""The record of one function of the language: everything that is known about it, in one row.

Conventions that every row keeps
--------------------------------
*Intervals.* A rule about a box receives one `Interval` (arrays `lo`, `hi`, entry by entry) for each argument, in
the order of `parameters`. Data arguments arrive as points (`lo == hi`). Infinite ends are allowed; rules are
sound (they may be wide) and never warn.

*Signs.* `slope` and `curvature` answer with numbers, entry by entry:
slope +1 nondecreasing, -1 nonincreasing, 0 constant, nan unknown; one array for each argument (nan for data
arguments), the others held fixed. Curvature +1 convex, -1 concave, 0 affine, nan neither or unknown; jointly in
all arguments that are not data. Both speak of the box cut down to the function's domain.

*Smoothness* is a number of the ordered `Smoothness`, so that the smoothness of a composition is the smallest one
met. The ends of the box count as reached; where they do not (an affine argument in its interior), the caller
passes `interior(...)` of the box.

*How a row is called* follows from `acts_on`:

============ =================================== ============================================================
 acts_on      kernel                              other rules
============ =================================== ============================================================
 entries      kernel(*arguments)                  rule(*intervals); derivative(F, *arguments)
 groups       kernel(values, groups, *extra)      rule(interval, groups, *extra);
                                                  derivative(F, values, groups, result, *extra)
 arrays       kernel(*arrays, batch=0)            rule(*intervals, batch=0);
                                                  derivative(F, seed, result, *arrays, batch=0)
============ =================================== ============================================================

`groups` is an object of `optdsl.atoms.groups`; `batch` is how many leading axes of every array (data arguments
that are single numbers excepted) only repeat the function. Slopes of a reduction have the members' shape, its
range, curvature and smoothness the result's shape; those of an array function broadcast to the result's shape,
its slopes to the arguments' shapes.

*Derivatives* are written against a namespace `F` (see `optdsl.atoms.functions`) so that one rule serves NumPy
arrays and expression graphs. Entries: the partial derivative for each argument (None for data arguments; a plain
number is a constant one). Groups: the partial derivative of each group's result by each member. Arrays: the
pullback, the cotangent of each argument from `seed`, that of the result. At a kink it is one of the
subgradients; beyond the domain and at infinite slopes it is nan or infinite.

*Kernels* take anything NumPy reads as numbers, answer with float arrays, nan outside the domain, and never warn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Kind = Literal["elementwise", "reduction", "array", "loss", "metric"]
ActsOn = Literal["entries", "groups", "arrays"]
ReductionForm = Literal["sum", "mean", "max", "min", "sum_abs", "max_abs", "sum_largest", "sum_squares"]
QuadraticForm = Literal["square", "huber", "sum_squares", "quad_form", "squared_difference"]


class Smoothness(IntEnum):
    """How smooth a function is on a box; the smaller one wins in a composition."""

    DISCONTINUOUS = 0
    NONSMOOTH = 1
    C1 = 2
    SMOOTH = 3

    @property
    def word(self) -> str:
        """The word of the result format: `smooth`, `C1`, `nonsmooth`, `discontinuous`."""
        return "C1" if self is Smoothness.C1 else self.name.lower()


class Interval(NamedTuple):
    """All numbers from `lo` to `hi`, entry by entry; either end may be infinite."""

    lo: Array
    hi: Array

    @property
    def is_point(self) -> NDArray[np.bool_]:
        """Where the interval holds one number."""
        return self.lo == self.hi


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands where a row has no rule, and says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Shapes:
    """Which shapes fit: a readable rule, and `result(*argument shapes)`, which raises ValueError when they do not.

    Data arguments that are plain numbers (the sizes of `reshape`) are passed as they are, not as shapes.
    """

    text: str
    result: Callable[..., tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a function is defined.

    `holds` takes the kernel's arguments and tells entry by entry (group by group, batch by batch) whether they are
    inside; None: everywhere. `restrict` takes the argument intervals and returns them cut to the closed box that
    the domain lies in; None: it cuts nothing.
    """

    text: str
    holds: Callable[..., Any] | None
    restrict: Callable[..., tuple[Interval, ...]] | None


Piece = tuple[tuple[Any, ...], Any]


@dataclass(frozen=True, slots=True)
class Pieces:
    """A maximum (or minimum) of affine functions of the arguments that are not data.

    Each piece is (one coefficient for each such argument, constant); both may be arrays, one entry a lane, where
    they come from a data argument.
    """

    pieces: tuple[Piece, ...]

    @property
    def extreme(self) -> Literal["max", "min"]:
        """Which one it is."""
        return "max" if isinstance(self, MaxOf) else "min"


class MaxOf(Pieces):
    """The largest of affine functions: convex, minimized by an LP."""

    __slots__ = ()

    def __init__(self, *pieces: Piece) -> None:
        super().__init__(pieces)


class MinOf(Pieces):
    """The smallest of affine functions: concave, maximized by an LP."""

    __slots__ = ()

    def __init__(self, *pieces: Piece) -> None:
        super().__init__(pieces)


@dataclass(frozen=True, kw_only=True, slots=True)
class Atom:
    """One function of the language. The module's docstring says how each rule is called and what it answers."""

    name: str
    kind: Kind
    acts_on: ActsOn
    formula: str
    """The definition, in plain text."""
    parameters: tuple[str, ...]
    """Argument names; when `arity` has no upper end the last name repeats."""
    arity: tuple[int, int | None]
    """Fewest and most arguments; None: any number."""
    data_arguments: tuple[str, ...]
    """Arguments that must be data."""
    needs_symmetric: tuple[str, ...]
    """Matrix arguments that must be symmetric."""
    shapes: Shapes
    domain: Domain
    range: Callable[..., Interval]
    slope: Callable[..., tuple[Array, ...]]
    curvature: Callable[..., Array]
    smoothness: Callable[..., NDArray[np.int64]]
    summary: tuple[str, str, str, str]
    """For people: range, slope, curvature, smoothness in a few words each."""
    derivative: Callable[..., tuple[Any, ...]] | Absent
    kernel: Callable[..., Array]
    lowering: Callable[..., Any] | Absent
    """`lowering(cvxpy, *arguments)`; a reduction gets a matrix, one group a row, and answers with a vector. Valid
    where CVXPY's own domain of the expression holds; single-number data arguments come as numbers."""
    pieces: Callable[..., MaxOf | MinOf | None] | None
    """`pieces(number of arguments that are not data, *data values)`; None where not piecewise linear."""
    reduction_form: ReductionForm | None
    quadratic_form: QuadraticForm | None
    empty: float | None
    """A reduction's value over no members; None: an error."""
    latex: str
    """TeX with `#1`, `#2` for the arguments and `#*` for all of them, separated by commas."""
    source: str
    examples: tuple[tuple[tuple[Any, ...], Any], ...]
    """Known values: (arguments, result)."""
    graph: Callable[..., None] | None
    """How it is written with cones (see `optdsl.atoms.graphs`); None where none is known, or `pieces` say it."""
    shown: float | None
    """The curvature of the whole call in the variables, where whoever writes the call has shown it of that argument
    (a quadratic with a semidefinite matrix); None: the curvature comes from composition."""

    def is_data(self, position: int) -> bool:
        """Whether the argument at this position (from 0) must be data."""
        return self.parameter(position) in self.data_arguments

    def parameter(self, position: int) -> str:
        """The name of the argument at this position; the last name repeats."""
        return self.parameters[min(position, len(self.parameters) - 1)]

    def accepts(self, count: int) -> bool:
        """Whether a call with this many arguments has the right number."""
        fewest, most = self.arity
        return count >= fewest and (most is None or count <= most)

    def inside(self, *arguments: Any, **keywords: Any) -> NDArray[np.bool_]:
        """Whether the kernel's arguments lie in the domain (True everywhere for a total function)."""
        if self.domain.holds is None:
            return np.asarray(True)
        with np.errstate(all="ignore"):
            return np.asarray(self.domain.holds(*arguments, **keywords))

    def render_latex(self, *arguments: str) -> str:
        """The call in TeX, from the arguments' own TeX."""
        text = self.latex.replace("#*", ", ".join(arguments))
        for position in range(len(arguments), 0, -1):
            text = text.replace(f"#{position}", arguments[position - 1])
        return text
