"""What collecting an expression fills: linear terms, squares, products, auxiliary variables with rows and cones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import sympy

from optdsl.classify.cones import Affine, CollectedCone, HeldRows
from optdsl.classify.facts import Facts
from optdsl.terms.evaluate import Lanes
from optdsl.terms.frame import Frame

CONVEX, CONCAVE, AFFINE = "convex", "concave", "affine"


class NotCollected(Exception):
    """An expression is outside what a linear or quadratic program can say: the part, and why, in words."""

    def __init__(self, node: sympy.Basic, reason: str, hint: str | None = None, lane: Any = None) -> None:
        super().__init__(reason)
        self.node, self.reason, self.hint, self.lane = node, reason, hint, lane


@dataclass(frozen=True, eq=False, slots=True)
class Terms:
    """Linear terms: one (row, column, coefficient) per lane of a frame; the arrays broadcast over the frame."""

    frame: Frame
    columns: np.ndarray
    coefficients: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class Product:
    """Σ weight * (left @ x + left_constant) * (right @ x + right_constant) over lanes (all (L,) or (L, n)).

    `rows` (L,) is the row of the sink's root that each lane adds to.
    """

    rows: np.ndarray
    left: sp.csr_array
    left_constant: np.ndarray
    right: sp.csr_array
    right_constant: np.ndarray
    weight: np.ndarray
    node: sympy.Basic


@dataclass(frozen=True, eq=False, slots=True)
class Square:
    """Σ weight * (matrix @ x + constant)² over lanes; `columns` instead of a matrix where each lane is one variable.

    `rows` (L,) is the row of the sink's root that each lane adds to.
    """

    rows: np.ndarray
    matrix: sp.csr_array | None
    columns: np.ndarray | None
    constant: np.ndarray
    weight: np.ndarray
    node: sympy.Basic


@dataclass(eq=False)
class Sink:
    """What is collected for one expression over the lanes of `root`.

    `sense` says how functions may be replaced: `convex` from above, `concave` from below, `affine` not at all.
    `quadratic` tells whether squares and products are taken. `bent` records that some function was replaced.
    """

    root: Frame
    sense: str
    quadratic: bool
    terms: list[Terms] = field(default_factory=list)
    constant: np.ndarray = field(default_factory=lambda: np.zeros(0))
    products: list[Product] = field(default_factory=list)
    squares: list[Square] = field(default_factory=list)
    bent: bool = False
    flat: list[Affine] = field(default_factory=list)
    """Further linear terms, one row a row of the root (their constants are in `constant` already)."""

    def __post_init__(self) -> None:
        self.constant = np.zeros(self.root.size)

    def add_constant(self, frame: Frame, value: np.ndarray) -> None:
        if frame.size == 0:
            return
        full = np.broadcast_to(value, frame.shape)
        if frame is self.root or (frame.shape == self.root.shape and _is_identity(frame)):
            self.constant += full.reshape(-1)
            return
        rows = np.broadcast_to(frame.root_rows(), frame.shape).reshape(-1)
        self.constant += np.bincount(rows, weights=full.reshape(-1), minlength=len(self.constant))

    def matrix(self, columns: int) -> sp.csr_array:
        """All linear terms as a sparse matrix (rows of the root, columns); equal entries are summed."""
        matrix = assemble(self.terms, self.root.size, columns)
        for part in self.flat:
            matrix = sp.csr_array(matrix + part.matrix(columns))
        return matrix

    def affine(self) -> Affine:
        """The linear terms and the constant as flat affine expressions, one a row of the root."""
        parts = [_flat(term) for term in self.terms] + [(p.rows, p.columns, p.values) for p in self.flat]
        rows, columns, values = (np.concatenate(p) for p in zip(*parts, strict=True)) if parts else _NOTHING
        return Affine(self.root.size, rows, columns, values, self.constant)


def _flat(term: Terms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = term.frame.shape
    rows = np.broadcast_to(term.frame.root_rows(), shape).reshape(-1)
    return rows, np.broadcast_to(term.columns, shape).reshape(-1), np.broadcast_to(term.coefficients, shape).reshape(-1)


_NOTHING = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))


def _is_identity(frame: Frame) -> bool:
    return all(len(o) == 1 and o[0].codes is None and o[0].dim == d for d, o in enumerate(frame.root))


RESIDUE = 1e-14


def without_residue(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Sums (n,) with 0 for those that are only rounding error; `sizes` (n,) are the sums of the parts' absolute values.

    Where parts cancel (x on both sides, written differently) a coefficient of some 1e-17 may be left: its exact value
    cannot be told from 0, and an equation `1e-17 x = 0` would fix x.
    """
    return np.where(np.isfinite(sizes) & (np.abs(sums) <= RESIDUE * sizes), 0.0, sums)


def assemble(terms: list[Terms], rows: int, columns: int) -> sp.csr_array:
    """Terms as one CSR matrix, entries summed, zeros left out."""
    row_parts, column_parts, value_parts = [], [], []
    for term in terms:
        shape = term.frame.shape
        value = np.broadcast_to(term.coefficients, shape).reshape(-1)
        if not value.size:
            continue
        row_parts.append(np.broadcast_to(term.frame.root_rows().astype(np.int32), shape).reshape(-1))
        column_parts.append(np.broadcast_to(term.columns.astype(np.int32), shape).reshape(-1))
        value_parts.append(value)
    if not value_parts:
        return sp.csr_array((rows, columns))
    if len(value_parts) == 1:
        row, column, value = row_parts[0], column_parts[0], value_parts[0]
    else:
        row, column, value = (np.concatenate(p) for p in (row_parts, column_parts, value_parts))
    matrix = sp.coo_array((value, (row, column)), shape=(rows, columns)).tocsr()
    matrix.sum_duplicates()
    smallest = np.abs(matrix.data).min(initial=np.inf)
    if len(value) > matrix.nnz and smallest <= RESIDUE * len(value) * np.abs(value).max():
        parts = sp.coo_array((np.abs(value), (row, column)), shape=(rows, columns)).tocsr()
        parts.sum_duplicates()
        matrix.data = without_residue(matrix.data, parts.data)
    if (matrix.data == 0).any():
        matrix.eliminate_zeros()
    return matrix


@dataclass(eq=False)
class Auxiliary:
    """Variables and rows that replace piecewise-linear functions. Columns are numbered after the model's own."""

    first: int
    count: int = 0
    lower: list[np.ndarray] = field(default_factory=list)
    rows: list[Sink | HeldRows] = field(default_factory=list)  # each holds: row <= 0 (convex) or >= 0 (concave)
    cones: list[CollectedCone] = field(default_factory=list)

    def add(self, count: int, lower: float = -np.inf, upper: float = np.inf) -> np.ndarray:
        """New columns with these bounds."""
        columns = self.first + self.count + np.arange(count)
        self.count += count
        self.lower.append(np.column_stack([np.full(count, lower), np.full(count, upper)]))
        return columns

    def mark(self) -> tuple[int, int, int, int]:
        """What there is now, for `rollback`."""
        return self.count, len(self.lower), len(self.rows), len(self.cones)

    def rollback(self, mark: tuple[int, int, int, int]) -> None:
        """Drop what was added since the mark: an attempt failed."""
        self.count = mark[0]
        del self.lower[mark[1] :], self.rows[mark[2] :], self.cones[mark[3] :]

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds of all auxiliary columns."""
        if not self.lower:
            return np.zeros(0), np.zeros(0)
        both = np.concatenate(self.lower)
        return both[:, 0], both[:, 1]


class Collecting(Protocol):
    """What functions that collect parts of an expression need of the collector."""

    lanes: Lanes
    auxiliary: Auxiliary
    facts: Facts | None

    def sink(self, root: Frame, sense: str, quadratic: bool = False) -> Sink: ...

    def collect(self, expression: sympy.Basic, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None: ...
