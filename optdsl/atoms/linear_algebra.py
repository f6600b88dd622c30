"""Dense linear algebra for the kernels: batched over leading axes, nan instead of exceptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optdsl.atoms.atom import Array

SYMMETRY_TOLERANCE = 1e-9
"""Largest asymmetry of data that counts as rounding, relative to the largest entry."""


def is_symmetric(matrix: Any) -> NDArray[np.bool_]:
    """Whether the matrix equals its transpose up to rounding."""
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.shape[-1] == 0:
        return np.ones(matrix.shape[:-2], dtype=bool)
    apart = np.abs(matrix - np.swapaxes(matrix, -1, -2)).max(axis=(-2, -1))
    return np.asarray(apart <= SYMMETRY_TOLERANCE * np.abs(matrix).max(axis=(-2, -1)))


def on_finite(function: Callable[..., Any], matrix: Array, axes: int) -> Array:
    """`function` of each matrix whose entries are finite; nan, with `axes` more axes, for the others.

    LAPACK may raise or loop on nan; such matrices are replaced by the identity first.
    """
    fine = np.asarray(np.isfinite(matrix).all(axis=(-2, -1)))
    if not fine.all():
        matrix = np.where(fine[..., None, None], matrix, np.eye(*matrix.shape[-2:]))
    value = np.asarray(function(matrix), dtype=np.float64)
    return np.where(fine[(..., *(None,) * axes)], value, np.nan)


def eigenvalues(matrix: Array) -> Array:
    """Ascending eigenvalues of symmetric matrices."""
    return on_finite(np.linalg.eigvalsh, matrix, 1)


def singular_values(matrix: Array) -> Array:
    """Descending singular values."""
    return on_finite(lambda m: np.linalg.svd(m, compute_uv=False), matrix, 1)


def is_positive_definite(matrix: Any) -> NDArray[np.bool_]:
    """Whether symmetric matrices have positive eigenvalues only (no matrix of size 0 is refused)."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return is_symmetric(matrix) & (eigenvalues(matrix) > 0).all(axis=-1)


def determinant(matrix: Array) -> Array:
    """Determinants."""
    return on_finite(np.linalg.det, matrix, 0)


def inverse(matrix: Array) -> Array:
    """Inverses; nan for singular matrices (condition number beyond 1/eps)."""

    def regular(matrices: Array) -> Array:
        values = np.linalg.svd(matrices, compute_uv=False)
        ok = (values > values.max(axis=-1, keepdims=True, initial=0.0) * np.finfo(np.float64).eps).all(axis=-1)
        ok = ok[..., None, None]
        return np.where(ok, np.linalg.inv(np.where(ok, matrices, np.eye(matrices.shape[-1]))), np.nan)

    return on_finite(regular, matrix, 2)


def cofactors(matrix: Array) -> Array:
    """The matrix of cofactors, from the singular values: stable, and right at singular matrices."""
    left, values, right = np.linalg.svd(matrix)
    size = values.shape[-1]
    others = np.where(np.eye(size, dtype=bool), 1.0, values[..., None, :]).prod(axis=-1)
    sign = np.linalg.det(left) * np.linalg.det(right)
    return sign[..., None, None] * ((left * others[..., None, :]) @ right)


def quadratic(x: Array, matrix: Array) -> Array:
    """x' P x."""
    return np.einsum("...i,...ij,...j->...", x, matrix, x)


def interval_matmul(lo_a: Array, hi_a: Array, lo_b: Array, hi_b: Array) -> tuple[Array, Array]:
    """The tightest ends of sums of entrywise products along the last axis (before rounding)."""
    with np.errstate(all="ignore"):
        corners = [np.where(np.isnan(p), 0.0, p) for p in (lo_a * lo_b, lo_a * hi_b, hi_a * lo_b, hi_a * hi_b)]
        low = np.minimum.reduce(corners).sum(axis=-1)
        high = np.maximum.reduce(corners).sum(axis=-1)
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
