"""Quadratics in constraints: squares and products of a sink become one second-order cone per row.

A row's quadratic part q(x) is replaced by a variable w >= q(x): where q is a sum of squares of affine expressions u
with weights of one sign, as it stands; otherwise its matrix is factorized. |(2u, 1 - w)| <= 1 + w says u'u <= w.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from optdsl.classify.cones import Affine, CollectedCone, Graph
from optdsl.classify.definite import is_semidefinite
from optdsl.classify.sink import AFFINE, CONVEX, Collecting, NotCollected, Sink, Terms

DENSE_UP_TO = 1500


def quadratics_to_cones(collector: Collecting, sink: Sink) -> None:
    """Replace what the sink has collected of squares and products. Raises NotCollected where they curve wrong."""
    if not (sink.squares or sink.products):
        return
    node = (sink.products or sink.squares)[0].node
    if sink.sense == AFFINE:
        raise NotCollected(node, "a quadratic in an equality is not convex", "an inequality may be enough")
    sign = 1.0 if sink.sense == CONVEX else -1.0
    plain = not sink.products and all((sign * s.weight >= 0).all() for s in sink.squares)
    members, group, rest = _as_squares(collector, sink, sign) if plain else _factorized(collector, sink, sign)
    size = sink.root.size
    if not members.size:  # everything cancels: nothing is quadratic
        assert rest is not None
        sink.flat.append(rest)
        sink.constant = sink.constant + rest.constant
        sink.squares.clear()
        sink.products.clear()
        return
    w = Affine.of_columns(collector.auxiliary.add(size, lower=0.0))
    graph = Graph(size, collector.auxiliary.add, np.concatenate([group, np.arange(size)]))
    both = _stacked(members * 2.0, w * -1.0 + 1.0)
    graph.ball(w + 1.0, both)
    collector.auxiliary.cones.extend(CollectedCone(c.kind, c.parts, c.exponent, c.size, True) for c in graph.cones)
    collector.auxiliary.rows.extend(graph.rows)
    root = sink.root
    sink.terms.append(Terms(root, w.columns.reshape(root.shape), np.full((1,) * len(root.shape), sign)))
    if rest is not None:
        sink.flat.append(rest)
        sink.constant = sink.constant + rest.constant
    sink.bent = True
    sink.squares.clear()
    sink.products.clear()


def _as_squares(collector: Collecting, sink: Sink, sign: float) -> tuple[Affine, np.ndarray, None]:
    parts, groups = [], []
    for square in sink.squares:
        root_weight = np.sqrt(sign * square.weight)
        parts.append(_expression(square) * root_weight)
        groups.append(square.rows)
    return _stacked(*parts), np.concatenate(groups), None


def _expression(square) -> Affine:
    if square.columns is not None:
        return Affine.of_columns(square.columns) + square.constant
    return _from_matrix(square.matrix, square.constant)


def _from_matrix(matrix: sp.csr_array, constant: np.ndarray) -> Affine:
    entries = matrix.tocoo()
    return Affine(matrix.shape[0], entries.row.astype(np.int64), entries.col.astype(np.int64), entries.data, constant)


def _stacked(*parts: Affine) -> Affine:
    """The rows of several parts, one after the other."""
    starts = np.cumsum([0, *(p.size for p in parts)])
    return Affine(
        int(starts[-1]),
        np.concatenate([p.rows + s for p, s in zip(parts, starts[:-1], strict=True)]),
        np.concatenate([p.columns for p in parts]),
        np.concatenate([p.values for p in parts]),
        np.concatenate([p.constant for p in parts]),
    )


def _factorized(collector: Collecting, sink: Sink, sign: float) -> tuple[Affine, np.ndarray, Affine]:
    """Members u with u'u the rows' quadratic parts, and the linear rest that products and squares bring."""
    n = collector.auxiliary.first + collector.auxiliary.count
    matrix, rest, codes = joint_matrix(sink, n, sign)
    good, direction = is_semidefinite(matrix)
    if not good:
        assert direction is not None
        node = (sink.products or sink.squares)[0].node
        row = int(codes[np.argmax(np.abs(direction))]) // n
        lane = np.unravel_index(row, sink.root.shape) if sink.root.shape else ()
        shape = "convex" if sign > 0 else "concave"
        raise NotCollected(node, f"this quadratic is not {shape}", None, collector.lanes.lane(sink.root, lane))  # type: ignore[arg-type]
    members, group = _factors(matrix, codes, n)
    total = rest[0]
    for part in rest[1:]:
        total = total + part
    return members, group, total


def joint_matrix(sink: Sink, n: int, sign: float) -> tuple[sp.csc_array, list[Affine], np.ndarray]:
    """`sign` times the matrices M of the rows' quadratic parts x'Mx, a block a row, and what is linear.

    Column k stands for the model's column `codes[k] % n` in the row `codes[k] // n`: only what occurs is numbered.
    """
    size = sink.root.size
    squares = [_expression(square) for square in sink.squares]
    sides = [(_from_matrix(p.left, p.left_constant), _from_matrix(p.right, p.right_constant)) for p in sink.products]
    parts = [(e, s.rows) for e, s in zip(squares, sink.squares, strict=True)]
    parts += [(e, p.rows) for pair, p in zip(sides, sink.products, strict=True) for e in pair]
    codes = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(_codes(e, rows, n) for e, rows in parts)]))
    matrix = sp.csr_array((len(codes), len(codes)))
    rest: list[Affine] = []
    for square, expression in zip(sink.squares, squares, strict=True):
        spread = _apart(expression, square.rows, codes, n)
        matrix = matrix + spread.T @ (spread.multiply(square.weight[:, None]))
        linear = expression * (2.0 * square.weight * square.constant)
        shift = Affine.of_constant(square.weight * square.constant**2)
        rest.append(_linear(linear, shift).fold(square.rows, size))
    for product, (left, right) in zip(sink.products, sides, strict=True):
        one, two = (_apart(e, product.rows, codes, n) for e in (left, right))
        cross = one.T @ (two.multiply(product.weight[:, None]))
        matrix = matrix + 0.5 * (cross + cross.T)
        linear = left * (product.weight * product.right_constant) + right * (product.weight * product.left_constant)
        shift = Affine.of_constant(product.weight * product.left_constant * product.right_constant)
        rest.append(_linear(linear, shift).fold(product.rows, size))
    result = sp.csc_array(sign * matrix)
    result.eliminate_zeros()
    return result, rest, codes


def _linear(expression: Affine, shift: Affine) -> Affine:
    """The linear part of an expression, and a constant of its own."""
    return Affine(expression.size, expression.rows, expression.columns, expression.values, shift.constant)


def _codes(expression: Affine, rows: np.ndarray, n: int) -> np.ndarray:
    return rows[expression.rows].astype(np.int64) * n + expression.columns


def _apart(expression: Affine, rows: np.ndarray, codes: np.ndarray, n: int) -> sp.csr_array:
    """The entries with a block of columns for each row of the root, so that no two rows share one."""
    columns = np.searchsorted(codes, _codes(expression, rows, n))
    return sp.coo_array((expression.values, (expression.rows, columns)), shape=(expression.size, len(codes))).tocsr()


def _factors(matrix: sp.csc_array, codes: np.ndarray, n: int) -> tuple[Affine, np.ndarray]:
    """F with F'F the block-diagonal matrix: rows as affine expressions of the model's columns, and their blocks."""
    used = np.flatnonzero(np.diff(matrix.indptr))
    block_of = codes[used] // n
    counts = np.bincount(block_of)
    blocks = np.flatnonzero(counts)
    sizes = counts[blocks]
    starts = np.cumsum(sizes) - sizes
    compact = matrix[used][:, used].tocoo()
    place = np.empty(len(counts), dtype=np.int64)
    place[blocks] = np.arange(len(blocks))
    parts, groups = [], []
    for size in np.unique(sizes).tolist():
        chosen = np.flatnonzero(sizes == size)
        dense = np.zeros((len(chosen), size, size))
        number = np.full(len(blocks), -1)
        number[chosen] = np.arange(len(chosen))
        owner = place[block_of[compact.row]]
        mine = number[owner] >= 0
        dense[number[owner[mine]], compact.row[mine] - starts[owner[mine]], compact.col[mine] - starts[owner[mine]]] = (
            compact.data[mine]
        )
        values, vectors = np.linalg.eigh(dense)
        keep = values > 1e-13 * np.maximum(values.max(axis=1, keepdims=True), 0.0)
        factor = np.sqrt(np.where(keep, values, 0.0))[:, :, None] * vectors.transpose(0, 2, 1)
        lane, row = np.nonzero(keep)
        columns = (codes[used[starts[chosen][:, None] + np.arange(size)]] % n)[lane]
        count = len(lane)
        parts.append(
            Affine(
                count,
                np.repeat(np.arange(count), size),
                columns.reshape(-1),
                factor[lane, row].reshape(-1),
                np.zeros(count),
            )
        )
        groups.append(blocks[chosen[lane]])
    if not parts:
        return Affine.of_constant(np.zeros(0)), np.zeros(0, dtype=np.int64)
    return _stacked(*parts), np.concatenate(groups)
