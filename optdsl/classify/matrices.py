"""Functions of whole matrices as semidefinite cones (Boyd and Vandenberghe, 2004, section 4.6; Alizadeh, 1995).

Arguments must be affine. Every lane of the frame holds matrices of one size; entry (i, j) of lane k stands at row
k d² + i d + j.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optdsl.atoms.kinds import ConeKind
from optdsl.classify.cones import Affine, CollectedCone, HeldRows
from optdsl.classify.curved import add_columns, require_side
from optdsl.classify.sink import AFFINE, CONCAVE, CONVEX, Collecting, NotCollected, Sink
from optdsl.terms import nodes
from optdsl.terms.frame import Frame


def collect_matrix_function(
    collector: Collecting, node: nodes.ArrayCall, frame: Frame, multiplier: np.ndarray, sink: Sink
) -> None:
    """Add multiplier * function(matrix) to the sink. Raises NotCollected where it curves the wrong way."""
    found = _FUNCTIONS.get(node.name)
    if found is None or node.positions:
        raise NotCollected(node, f"`{node.name}` of variables has no form in cones")
    curvature, graph = found
    require_side(collector, node, np.full((1,) * len(frame.shape), curvature), frame, multiplier, sink)
    blocks = [_block(collector, a, frame) for a in node.arguments]
    t = Affine.of_columns(collector.auxiliary.add(frame.size))
    graph(_Matrices(collector, frame.size), t, *blocks)
    add_columns(sink, t.columns, frame, multiplier)


class _Block:
    """A matrix (or vector) per lane: its entries, lane by lane, and its shape."""

    def __init__(self, entries: Affine, shape: tuple[int, ...]) -> None:
        self.entries, self.shape = entries, shape


def _block(collector: Collecting, argument, frame: Frame) -> _Block:
    root = frame.as_root()
    if isinstance(argument, nodes.Block):
        child = collector.lanes.extend(root, nodes.over(argument.axes)).child.as_root()
        shape = child.shape[len(root.shape) :]
        body = argument.body
    else:
        child, shape, body = root, (), argument
    held = collector.sink(child, AFFINE)
    collector.collect(body, child, np.ones((1,) * len(child.shape)), held)
    return _Block(held.affine(), shape)


class _Matrices:
    """Builds block matrices, one per lane, and asks them to be positive semidefinite."""

    def __init__(self, collector: Collecting, lanes: int) -> None:
        self.collector, self.lanes = collector, lanes

    def new(self, count: int) -> Affine:
        """`count` variables in every lane, lane by lane."""
        return Affine.of_columns(self.collector.auxiliary.add(self.lanes * count))

    def put(self, entries: Affine, rows: np.ndarray, columns: np.ndarray, size: int) -> Affine:
        """Entries (the same number in each lane, lane by lane) at places of a size x size matrix, 0 elsewhere."""
        place = (np.arange(self.lanes)[:, None] * size * size + (rows * size + columns)[None, :]).reshape(-1)
        return entries.place(place, self.lanes * size * size)

    def matrix(self, block: Affine, top: int, left: int, shape: tuple[int, int], size: int) -> Affine:
        """A block with its upper left corner at (top, left)."""
        i, j = (a.reshape(-1) for a in np.indices(shape))
        return self.put(block, i + top, j + left, size)

    def transposed(self, block: Affine, top: int, left: int, shape: tuple[int, int], size: int) -> Affine:
        i, j = (a.reshape(-1) for a in np.indices(shape))
        return self.put(block, j + top, i + left, size)

    def identity(self, t: Affine, size: int, start: int, count: int) -> Affine:
        """t on `count` places of the diagonal, from `start` on."""
        repeated = t.take(np.repeat(np.arange(self.lanes), count))
        place = np.arange(start, start + count)
        return self.put(repeated, place, place, size)

    def semidefinite(self, entries: Affine, size: int) -> None:
        self.collector.auxiliary.cones.append(CollectedCone(ConeKind.SEMIDEFINITE, (entries,), size=size))

    def at_least(self, expression: Affine) -> None:
        self.collector.auxiliary.rows.append(HeldRows(expression, CONCAVE))

    def symmetric(self, size: int) -> Affine:
        """A new symmetric matrix in every lane."""
        width = size * (size + 1) // 2
        columns = self.collector.auxiliary.add(self.lanes * width).reshape(self.lanes, width)
        i, j = np.indices((size, size))
        low, high = np.minimum(i, j), np.maximum(i, j)
        return Affine.of_columns(columns[:, (high * (high + 1) // 2 + low).reshape(-1)].reshape(-1))

    def trace(self, block: Affine, size: int) -> Affine:
        diagonal = (np.arange(self.lanes)[:, None] * size * size + np.arange(size) * (size + 1)).reshape(-1)
        return block.take(diagonal).fold(np.repeat(np.arange(self.lanes), size), self.lanes)


def _eig_max(m: _Matrices, t: Affine, x: _Block) -> None:
    size = x.shape[0]
    m.semidefinite(m.identity(t, size, 0, size) - x.entries, size)


def _eig_min(m: _Matrices, t: Affine, x: _Block) -> None:
    size = x.shape[0]
    m.semidefinite(x.entries - m.identity(t, size, 0, size), size)


def _norm_spec(m: _Matrices, t: Affine, x: _Block) -> None:
    """[[t I, X], [X', t I]] >> 0."""
    rows, columns = x.shape
    size = rows + columns
    shape = (rows, columns)
    corner = m.matrix(x.entries, 0, rows, shape, size) + m.transposed(x.entries, rows, 0, shape, size)
    m.semidefinite(corner + m.identity(t, size, 0, size), size)


def _norm_nuc(m: _Matrices, t: Affine, x: _Block) -> None:
    """[[U, X], [X', V]] >> 0 with (tr U + tr V) / 2 <= t."""
    rows, columns = x.shape
    size = rows + columns
    shape = (rows, columns)
    u, v = m.symmetric(rows), m.symmetric(columns)
    corner = m.matrix(x.entries, 0, rows, shape, size) + m.transposed(x.entries, rows, 0, shape, size)
    whole = corner + m.matrix(u, 0, 0, (rows, rows), size) + m.matrix(v, rows, rows, (columns, columns), size)
    m.semidefinite(whole, size)
    m.at_least(t - (m.trace(u, rows) + m.trace(v, columns)) * 0.5)


def _log_det(m: _Matrices, t: Affine, x: _Block) -> None:
    """[[X, Z], [Z', diag Z]] >> 0 with Z lower triangular and the sum of log Z_ii at least t."""
    size = x.shape[0]
    i, j = np.tril_indices(size)
    z = m.new(len(i))
    lower = m.put(z, i, j + size, 2 * size)
    upper = m.put(z, j + size, i, 2 * size)
    on_diagonal = np.flatnonzero(i == j)
    picked = (np.arange(m.lanes)[:, None] * len(i) + on_diagonal).reshape(-1)
    diagonal = z.take(picked)
    place = np.arange(size) + size
    whole = m.matrix(x.entries, 0, 0, (size, size), 2 * size) + lower + upper + m.put(diagonal, place, place, 2 * size)
    m.semidefinite(whole, 2 * size)
    logs = m.new(size)
    one = Affine.of_constant(np.ones(m.lanes * size))
    m.collector.auxiliary.cones.append(CollectedCone(ConeKind.EXPONENTIAL, (logs, one, diagonal)))
    m.at_least(logs.fold(np.repeat(np.arange(m.lanes), size), m.lanes) - t)


def _matrix_frac(m: _Matrices, t: Affine, x: _Block, p: _Block) -> None:
    """[[P, x], [x', t]] >> 0 (Schur complement)."""
    n = p.shape[0]
    size = n + 1
    place, last = np.arange(n), np.full(n, n)
    border = m.put(x.entries, place, last, size) + m.put(x.entries, last, place, size)
    corner = m.put(t, np.array([n]), np.array([n]), size)
    m.semidefinite(m.matrix(p.entries, 0, 0, (n, n), size) + border + corner, size)


def _total_variation(m: _Matrices, t: Affine, x: _Block) -> None:
    """The sum over interior pixels of the norms of the two differences."""
    rows, columns = x.shape
    i, j = (a.reshape(-1) for a in np.indices((rows - 1, columns - 1)))
    base = np.arange(m.lanes)[:, None] * rows * columns

    def pixels(di: int, dj: int) -> Affine:
        return x.entries.take((base + (i + di) * columns + j + dj).reshape(-1))

    count = len(i)
    norms = m.new(count)
    down, right = pixels(1, 0) - pixels(0, 0), pixels(0, 1) - pixels(0, 0)
    total = m.lanes * count
    pair = down.place(np.arange(total) * 2, 2 * total) + right.place(np.arange(total) * 2 + 1, 2 * total)
    m.collector.auxiliary.cones.append(CollectedCone(ConeKind.NORM, (norms, pair), size=2))
    m.at_least(t - norms.fold(np.repeat(np.arange(m.lanes), count), m.lanes))


_FUNCTIONS: dict[str, tuple[float, Callable[..., None]]] = {
    "eig_max": (1.0, _eig_max),
    "eig_min": (-1.0, _eig_min),
    "norm_spec": (1.0, _norm_spec),
    "norm_nuc": (1.0, _norm_nuc),
    "log_det": (-1.0, _log_det),
    "matrix_frac": (1.0, _matrix_frac),
    "tv": (1.0, _total_variation),
}
__all__ = ["CONVEX", "collect_matrix_function"]
