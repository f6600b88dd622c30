"""Convex functions over lanes as cones: the builder that the graphs of `optdsl.atoms.graphs` write to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from optdsl.atoms.kinds import ConeKind


@dataclass(frozen=True, eq=False, slots=True)
class Affine:
    """`size` affine expressions, flat: entries (row, column, value) and one constant a row."""

    size: int
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    constant: np.ndarray

    @staticmethod
    def of_columns(columns: np.ndarray) -> Affine:
        """One variable a row."""
        size = len(columns)
        return Affine(size, np.arange(size), columns, np.ones(size), np.zeros(size))

    @staticmethod
    def of_constant(values: np.ndarray) -> Affine:
        nothing = np.empty(0, dtype=np.int64)
        return Affine(len(values), nothing, nothing, np.empty(0), np.asarray(values, dtype=float))

    def __add__(self, other: Any) -> Affine:
        if not isinstance(other, Affine):
            return Affine(
                self.size, self.rows, self.columns, self.values, self.constant + np.asarray(other, dtype=float)
            )
        return Affine(
            self.size,
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.columns, other.columns]),
            np.concatenate([self.values, other.values]),
            self.constant + other.constant,
        )

    __radd__ = __add__

    def __mul__(self, factor: Any) -> Affine:
        """Times a number, or one number a row."""
        scale = np.broadcast_to(np.asarray(factor, dtype=float).reshape(-1), (self.size,)) if self.size else np.zeros(0)
        return Affine(self.size, self.rows, self.columns, self.values * scale[self.rows], self.constant * scale)

    __rmul__ = __mul__

    def __sub__(self, other: Any) -> Affine:
        return self + (other * -1.0 if isinstance(other, Affine) else -np.asarray(other, dtype=float))

    def take(self, chosen: np.ndarray) -> Affine:
        """The expressions at the rows `chosen`, which may repeat."""
        order = np.argsort(self.rows, kind="stable")
        counts = np.bincount(self.rows, minlength=self.size)
        first = np.cumsum(counts) - counts
        picked = counts[chosen]
        rows = np.repeat(np.arange(len(chosen)), picked)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(picked) - picked, picked)
        entries = order[np.repeat(first[chosen], picked) + within]
        return Affine(len(chosen), rows, self.columns[entries], self.values[entries], self.constant[chosen])

    def fold(self, group: np.ndarray, size: int) -> Affine:
        """The sums of the expressions of each group."""
        constant = np.bincount(group, weights=self.constant, minlength=size)
        return Affine(size, group[self.rows], self.columns, self.values, constant)

    def place(self, at: np.ndarray, size: int) -> Affine:
        """The expressions at the rows `at` (distinct) among `size` rows, 0 elsewhere."""
        constant = np.zeros(size)
        constant[at] = self.constant
        return Affine(size, at[self.rows], self.columns, self.values, constant)

    def matrix(self, columns: int) -> sp.csr_array:
        """The entries as a sparse matrix (size, columns)."""
        matrix = sp.coo_array((self.values, (self.rows, self.columns)), shape=(self.size, columns)).tocsr()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return matrix


@dataclass(frozen=True, eq=False, slots=True)
class HeldRows:
    """Rows that hold auxiliary variables: expression <= 0 where `sense` is convex, >= 0 where it is concave."""

    expression: Affine
    sense: str

    @property
    def constant(self) -> np.ndarray:
        return self.expression.constant

    def matrix(self, columns: int) -> sp.csr_array:
        return self.expression.matrix(columns)


@dataclass(frozen=True, eq=False, slots=True)
class CollectedCone:
    """Cones of one kind, a lane a row of each part; `exponent` for powers. A NORM's second part and a
    SEMIDEFINITE's only part have `size`, or `size` squared, rows a lane, lane by lane."""

    kind: ConeKind
    parts: tuple[Affine, ...]
    exponent: np.ndarray | None = None
    size: int = 0
    quadratic: bool = False
    """Whether it stands for a quadratic of the text."""


@dataclass(eq=False)
class Graph:
    """The builder `g` of one function's graph over `size` lanes (see `optdsl.atoms.graphs`).

    For a reduction `group` gives the lane of each member. `columns(count, lower)` makes new variables.
    """

    size: int
    columns: Any
    group: np.ndarray | None = None
    cones: list[CollectedCone] = field(default_factory=list)
    rows: list[HeldRows] = field(default_factory=list)

    def new(self, lower: float = -np.inf) -> Affine:
        """A variable in every lane."""
        return Affine.of_columns(self.columns(self.size, lower))

    def new_member(self, lower: float = -np.inf) -> Affine:
        """A variable for every member."""
        assert self.group is not None
        return Affine.of_columns(self.columns(len(self.group), lower))

    def constant(self, value: float) -> Affine:
        """A number in every lane."""
        return Affine.of_constant(np.full(self.size, value))

    def at_least(self, expression: Affine) -> None:
        """expression >= 0."""
        self.rows.append(HeldRows(expression, "concave"))

    def square(self, u: Any, v: Any, w: Any) -> None:
        self._add(ConeKind.SQUARE, (u, v, w))

    def norm(self, t: Affine, *us: Any) -> None:
        """sqrt(u1² + u2² + ...) <= t: the members of a lane stand one after the other."""
        if not self.size:
            return
        width = len(us)
        full = [_whole(u, self.size) for u in us]
        members = full[0].place(np.arange(self.size) * width, self.size * width)
        for k, u in enumerate(full[1:], 1):
            members = members + u.place(np.arange(self.size) * width + k, self.size * width)
        self.cones.append(CollectedCone(ConeKind.NORM, (t, members), size=width))

    def exponential(self, x: Any, y: Any, z: Any) -> None:
        self._add(ConeKind.EXPONENTIAL, (x, y, z))

    def power(self, x: Any, y: Any, z: Any, a: float) -> None:
        self._add(ConeKind.POWER, (x, y, z), float(a))

    def _add(self, kind: ConeKind, parts: Sequence[Any], exponent: float | None = None) -> None:
        sizes = {p.size for p in parts if isinstance(p, Affine)}
        size = sizes.pop()
        assert not sizes, "the parts of a cone have one lane each"
        if size:
            full = tuple(_whole(p, size) for p in parts)
            self.cones.append(CollectedCone(kind, full, None if exponent is None else np.full(size, exponent)))

    # ----------------------------------------------------------------------------------------------- reductions

    @property
    def count(self) -> np.ndarray:
        """Members of each group."""
        assert self.group is not None
        return np.bincount(self.group, minlength=self.size).astype(float)

    def spread(self, expression: Affine) -> Affine:
        """A group's expression at each of its members."""
        assert self.group is not None
        return expression.take(self.group)

    def total(self, expression: Affine) -> Affine:
        """The sum over each group's members."""
        assert self.group is not None
        return expression.fold(self.group, self.size)

    def ball(self, t: Affine, u: Affine) -> None:
        """sqrt(sum of u² over the members) <= t: one cone a group, `CollectedCone.size` members in each."""
        assert self.group is not None
        counts = self.count.astype(np.int64)
        sizes = np.unique(counts)
        if len(sizes) > LARGEST_VARIETY:
            self._ball_by_squares(t, u)
            return
        order = np.argsort(self.group, kind="stable")
        first = np.cumsum(counts) - counts
        for size in sizes.tolist():
            lanes = np.flatnonzero(counts == size)
            if size:
                members = order[(first[lanes][:, None] + np.arange(size)).reshape(-1)]
                self.cones.append(CollectedCone(ConeKind.NORM, (t.take(lanes), u.take(members)), size=size))
            else:
                self.at_least(t.take(lanes))

    def _ball_by_squares(self, t: Affine, u: Affine) -> None:
        """u_i² <= s_i t with the s_i adding up to at most t: any sizes in one go."""
        part = self.new_member(lower=0.0)
        self.square(u, part, self.spread(t))
        self.at_least(t - self.total(part))


def _whole(part: Any, size: int) -> Affine:
    """A part as affine expressions: a number, or an array of data, is constant."""
    if isinstance(part, Affine):
        return part
    return Affine.of_constant(np.broadcast_to(np.asarray(part, dtype=float), (size,)))


# groups of more than so many different sizes are split into cones of three
LARGEST_VARIETY = 20
