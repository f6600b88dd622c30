"""Quadratic expressions as numbers: a symmetric matrix of z = (x, 1) for every lane, and factors of it.

An expression that is a quadratic of the model's columns is z'Mz in every lane, constant and linear terms included.
Where M is positive semidefinite the expression is |Fz|^2 with F'F = M, and its root is a norm of affine expressions;
where only the block of x is, the expression is convex (Boyd and Vandenberghe, 2004, sections 3.1.4 and A.5.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import sympy

from optdsl.classify.cones import Affine, Graph
from optdsl.classify.curved import add_columns, require_side
from optdsl.classify.definite import is_semidefinite
from optdsl.classify.sink import CONVEX, Auxiliary, Collecting, NotCollected, Sink, Square
from optdsl.terms import nodes
from optdsl.terms.frame import Frame

NEGLIGIBLE = 1e-13


@dataclass(frozen=True, eq=False, slots=True)
class Forms:
    """z'Mz in every lane: M is the block of `matrix` (k, k) whose `codes` (k,) are lane * (columns + 1) + column.

    Only what occurs is numbered; the column after the last one stands for the constant 1.
    """

    matrix: sp.csc_array
    codes: np.ndarray
    columns: int
    lanes: int

    @property
    def curved(self) -> bool:
        """Whether any lane has a term of degree two."""
        return bool(self.bent.nnz)

    def is_sum_of_squares(self, sign: float = 1.0) -> bool:
        """Whether `sign` times every lane's expression is a sum of squares of affine expressions."""
        return is_semidefinite(sp.csc_array(sign * self.matrix))[0]

    def is_convex(self, sign: float = 1.0) -> bool:
        """Whether `sign` times every lane's expression is convex."""
        return is_semidefinite(sp.csc_array(sign * self.bent))[0]

    @property
    def bent(self) -> sp.csc_array:
        """The block of the variables."""
        moving = np.flatnonzero(self.codes % (self.columns + 1) != self.columns)
        block = sp.csc_array(self.matrix[moving][:, moving])
        block.eliminate_zeros()
        return block

    def factors(self) -> tuple[Affine, np.ndarray]:
        """Affine members u with u'u the expression of their lane, and the lane of each member."""
        owner = self.codes // (self.columns + 1)
        counts = np.bincount(owner, minlength=self.lanes)
        starts = np.cumsum(counts) - counts
        entries = self.matrix.tocoo()
        lane = owner[entries.row]
        row, column = entries.row - starts[lane], entries.col - starts[lane]
        parts, groups = [Affine.of_constant(np.zeros(0))], [np.zeros(0, dtype=np.int64)]
        for size in np.unique(counts[counts > 0]).tolist():
            chosen = np.flatnonzero(counts == size)
            number = np.full(self.lanes, -1)
            number[chosen] = np.arange(len(chosen))
            mine = number[lane] >= 0
            dense = np.zeros((len(chosen), size, size))
            dense[number[lane[mine]], row[mine], column[mine]] = entries.data[mine]
            places = self.codes[starts[chosen][:, None] + np.arange(size)] % (self.columns + 1)
            member, at = self._members(dense, places)
            parts.append(member)
            groups.append(chosen[at])
        return stacked(*parts), np.concatenate(groups)

    def _members(self, dense: np.ndarray, places: np.ndarray) -> tuple[Affine, np.ndarray]:
        """Members of blocks (b, m, m) over columns `places` (b, m), from their eigenvectors."""
        scale = np.sqrt(np.maximum(np.diagonal(dense, axis1=1, axis2=2), 0.0))
        scale = np.where(scale > 0, scale, 1.0)
        values, vectors = np.linalg.eigh(dense / (scale[:, :, None] * scale[:, None, :]))
        keep = values > NEGLIGIBLE * np.maximum(values.max(axis=1, keepdims=True), 0.0)
        factor = np.sqrt(np.where(keep, values, 0.0))[:, :, None] * vectors.transpose(0, 2, 1) * scale[:, None, :]
        block, row = np.nonzero(keep)
        factor, places = factor[block, row], places[block]
        fixed = places == self.columns
        constant = np.where(fixed, factor, 0.0).sum(axis=1)
        member, k = np.nonzero(~fixed)
        return Affine(len(block), member, places[member, k], factor[member, k], constant), block


def forms_of(collector: Collecting, expression: sympy.Basic, frame: Frame) -> Forms | None:
    """An expression over the lanes of a frame as forms; None where it is more than a quadratic.

    `collector` has an `auxiliary` of its own: nothing of it is kept.
    """
    root = frame.as_root()
    sink = collector.sink(root, CONVEX, quadratic=True)
    try:
        collector.collect(expression, root, np.ones((1,) * len(root.shape)), sink)
    except NotCollected:
        return None
    if collector.auxiliary.count:
        return None
    return forms_of_sink(sink, collector.auxiliary)


def collect_form(
    collector: Collecting, node: nodes.Apply, frame: Frame, multiplier: np.ndarray, sink: Sink
) -> None:
    """A call around a quadratic that was shown to be semidefinite: its norm as a cone, itself as squares."""
    (quadratic,) = node.slots
    if node.name == "convex_quadratic":
        if not sink.quadratic:
            raise NotCollected(node, "a quadratic is not affine, and an equality needs an affine expression")
        collector.collect(quadratic, frame, multiplier, sink)
        return
    require_side(collector, node, np.ones((1,) * len(frame.shape)), frame, multiplier, sink)
    root = frame.as_root()
    held = collector.sink(root, CONVEX, quadratic=True)
    collector.collect(quadratic, root, np.ones((1,) * len(root.shape)), held)
    members, group = forms_of_sink(held, collector.auxiliary).factors()
    t = Affine.of_columns(collector.auxiliary.add(frame.size))
    graph = Graph(frame.size, collector.auxiliary.add, group)
    graph.ball(t, members)
    collector.auxiliary.cones.extend(graph.cones)
    collector.auxiliary.rows.extend(graph.rows)
    add_columns(sink, t.columns, frame, multiplier)


def forms_of_sink(sink: Sink, auxiliary: Auxiliary) -> Forms:
    """All that a sink has collected, over the columns that there are by now."""
    n = auxiliary.first + auxiliary.count
    lanes = sink.root.size
    parts = [_homogeneous(_base(s), s.rows, n) for s in sink.squares]
    pairs = [
        (_homogeneous(_of(p.left, p.left_constant), p.rows, n), _homogeneous(_of(p.right, p.right_constant), p.rows, n))
        for p in sink.products
    ]
    flat = _homogeneous(sink.affine(), np.arange(lanes), n)
    ends = np.arange(lanes) * (n + 1) + n
    codes = _distinct(np.concatenate([ends, flat[1], *(p[1] for p in parts), *(s[1] for pair in pairs for s in pair)]))

    def rows(part: tuple[np.ndarray, np.ndarray, np.ndarray], count: int) -> sp.csr_array:
        row, code, value = part
        return sp.coo_array((value, (row, np.searchsorted(codes, code))), shape=(count, len(codes))).tocsr()

    matrix = sp.csr_array((len(codes), len(codes)))
    for square, part in zip(sink.squares, parts, strict=True):
        spread = rows(part, len(square.rows))
        matrix = matrix + spread.T @ spread.multiply(square.weight[:, None])
    last = rows((np.arange(lanes), ends, np.ones(lanes)), lanes)
    crosses = [
        (rows(a, len(p.rows)), rows(b, len(p.rows)), p.weight) for p, (a, b) in zip(sink.products, pairs, strict=True)
    ]
    for left, right, weight in [*crosses, (rows(flat, lanes), last, np.ones(lanes))]:
        cross = left.T @ right.multiply(weight[:, None])
        matrix = matrix + 0.5 * (cross + cross.T)
    result = sp.csc_array(matrix)
    result.eliminate_zeros()
    return Forms(result, codes, n, lanes)


def _distinct(codes: np.ndarray) -> np.ndarray:
    """`np.unique` by sorting, several times faster for many numbers than its hash table."""
    codes = np.sort(codes)
    return codes[np.concatenate([np.ones(min(1, len(codes)), dtype=bool), codes[1:] != codes[:-1]])]


def _base(square: Square) -> Affine:
    if square.columns is not None:
        return Affine.of_columns(square.columns) + square.constant
    assert square.matrix is not None
    return _of(square.matrix, square.constant)


def _of(matrix: sp.csr_array, constant: np.ndarray) -> Affine:
    entries = matrix.tocoo()
    return Affine(matrix.shape[0], entries.row.astype(np.int64), entries.col.astype(np.int64), entries.data, constant)


def _homogeneous(expression: Affine, owner: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entries (row, code, value) of affine expressions of z, each in the lane `owner` of its row."""
    rows = np.concatenate([expression.rows, np.arange(expression.size)])
    columns = np.concatenate([expression.columns, np.full(expression.size, n)])
    values = np.concatenate([expression.values, expression.constant])
    kept = values != 0
    return rows[kept], owner[rows[kept]] * (n + 1) + columns[kept], values[kept]


def stacked(*parts: Affine) -> Affine:
    """The rows of several parts, one after the other."""
    starts = np.cumsum([0, *(p.size for p in parts)])
    return Affine(
        int(starts[-1]),
        np.concatenate([p.rows + s for p, s in zip(parts, starts[:-1], strict=True)]),
        np.concatenate([p.columns for p in parts]),
        np.concatenate([p.values for p in parts]),
        np.concatenate([p.constant for p in parts]),
    )
