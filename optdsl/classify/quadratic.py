"""The quadratic part of an objective as arrays, and whether it is convex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from optdsl.classify.definite import is_semidefinite
from optdsl.classify.sink import CONVEX, Sink, Square

# A square of a row with more entries than this stays a square: forming F'WF would fill the matrix.
SHORT_ROW = 8


@dataclass(frozen=True, eq=False)
class Quadratic:
    """½ x'Px + Σ weights (matrix @ x + offset)², and what it adds to cost (n,) and constant; in the user's sense.

    hessian P (n, n) CSC symmetric, or None; matrix (s, n) CSR, offset and weights (s,), or None.
    """

    hessian: sp.csc_array | None
    matrix: sp.csr_array | None
    offset: np.ndarray
    weights: np.ndarray
    cost: np.ndarray
    constant: float


def quadratic_objective(sink: Sink, columns: int, sense: str) -> tuple[Quadratic, np.ndarray | None]:
    """The quadratic of an objective and None, or a direction along which it curves the wrong way.

    Squares whose weights have the right sign are convex as they stand. Everything else is added up into one
    matrix, whose definiteness a factorization decides; where that fails, the squares are added in and it is
    decided once more, since they may outweigh it.
    """
    sign = 1.0 if sense == CONVEX else -1.0
    direct, cost, constant = _products(sink, columns)
    kept: list[tuple[sp.csr_array, np.ndarray, np.ndarray]] = []
    for square in sink.squares:
        weights = sign * square.weight
        if _stays(square) and (weights >= 0).all():
            kept.append((_widened(_matrix(square, columns), columns), square.constant, square.weight))
            continue
        matrix, linear, fixed = _formed(square, columns)
        direct, cost, constant = direct + matrix, cost + linear, constant + fixed
    hessian = sp.csc_array(direct)
    hessian.eliminate_zeros()
    good, direction = is_semidefinite(sp.csc_array(sign * hessian)) if hessian.nnz else (True, None)
    if not good and kept:
        for matrix, offset, weights in kept:
            scaled = sp.csr_array(matrix.multiply(weights[:, None]))
            hessian = sp.csc_array(hessian + 2.0 * (matrix.T @ scaled))
            cost = cost + 2.0 * (matrix.T @ (weights * offset))
            constant += float(weights @ offset**2)
        kept = []
        good, direction = is_semidefinite(sp.csc_array(sign * hessian))
    quadratic = Quadratic(
        hessian if hessian.nnz else None,
        sp.csr_array(sp.vstack([k[0] for k in kept], format="csr")) if kept else None,
        np.concatenate([k[1] for k in kept]) if kept else np.zeros(0),
        np.concatenate([k[2] for k in kept]) if kept else np.zeros(0),
        cost,
        constant,
    )
    return quadratic, None if good else direction


def _products(sink: Sink, columns: int) -> tuple[sp.csr_array, np.ndarray, float]:
    """Σ w (l'x + a)(r'x + b) as ½ x'Px + c'x + constant."""
    total, cost, constant = sp.csr_array((columns, columns)), np.zeros(columns), 0.0
    for product in sink.products:
        left, right = _widened(product.left, columns), _widened(product.right, columns)
        weighted = sp.csr_array(right.multiply(product.weight[:, None]))
        cross = left.T @ weighted
        total = sp.csr_array(total + cross + cross.T)
        cost += left.T @ (product.weight * product.right_constant) + right.T @ (product.weight * product.left_constant)
        constant += float(product.weight @ (product.left_constant * product.right_constant))
    return total, cost, constant


def _stays(square: Square) -> bool:
    return square.matrix is not None and bool(np.diff(square.matrix.indptr).max(initial=0) > SHORT_ROW)


def _matrix(square: Square, columns: int) -> sp.csr_array:
    if square.matrix is not None:
        return square.matrix
    assert square.columns is not None
    count = len(square.columns)
    return sp.csr_array((np.ones(count), square.columns, np.arange(count + 1)), shape=(count, columns))


def _widened(matrix: sp.csr_array, columns: int) -> sp.csr_array:
    """The same rows over more columns: auxiliary variables may have been added since."""
    if matrix.shape[1] == columns:
        return matrix
    return sp.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], columns))


def _formed(square: Square, columns: int) -> tuple[sp.csr_array, np.ndarray, float]:
    """Σ w (f'x + g)² as ½ x'Px + c'x + constant."""
    if square.columns is not None:
        diagonal = 2.0 * np.bincount(square.columns, weights=square.weight, minlength=columns)
        return sp.csr_array(sp.diags_array(diagonal)), np.zeros(columns), 0.0
    matrix = _widened(_matrix(square, columns), columns)
    weighted = sp.csr_array(matrix.multiply(square.weight[:, None]))
    linear = 2.0 * (matrix.T @ (square.weight * square.constant))
    return sp.csr_array(2.0 * (matrix.T @ weighted)), linear, float(square.weight @ square.constant**2)
