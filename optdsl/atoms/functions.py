"""The namespace `F` that derivative rules are written against, for NumPy arrays.

An expression graph offers the same names and answers with nodes. The names: every elementwise function of the
table; `select(t, a, b)`, which is `a` where t > 0 and `b` elsewhere, each branch only where it is chosen; and, for
the pullbacks of array functions, the names of `ArrayFunctions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from optdsl.atoms.atom import Atom


class ArrayFunctions:
    """Whole-array operations on NumPy arrays; leading axes repeat them."""

    select = staticmethod(lambda t, a, b: np.where(np.greater(t, 0), a, b))

    @staticmethod
    def lift(seed: Any, axes: int) -> Any:
        """The seed with this many axes of length 1 at its end."""
        return np.asarray(seed)[(..., *(None,) * axes)]

    @staticmethod
    def total(values: Any, axes: int) -> Any:
        """The sum over the last `axes` axes."""
        values = np.asarray(values)
        return values.sum(axis=tuple(range(values.ndim - axes, values.ndim)))

    @staticmethod
    def turn(matrix: Any) -> Any:
        """The transpose of the last two axes."""
        return np.swapaxes(matrix, -1, -2)

    @staticmethod
    def apply(matrix: Any, vector: Any) -> Any:
        """The product of a matrix and a vector."""
        return (np.asarray(matrix) @ np.asarray(vector)[..., None])[..., 0]

    @staticmethod
    def outer(x: Any, y: Any) -> Any:
        """The matrix of products."""
        return np.asarray(x)[..., :, None] * np.asarray(y)[..., None, :]

    @staticmethod
    def inverse(matrix: Any) -> Any:
        """The inverse; nan for a singular matrix."""
        from optdsl.atoms.linear_algebra import inverse

        return inverse(np.asarray(matrix, dtype=np.float64))

    @staticmethod
    def cofactors(matrix: Any) -> Any:
        """The derivative of the determinant by each entry, also at singular matrices."""
        from optdsl.atoms.linear_algebra import cofactors

        return cofactors(np.asarray(matrix, dtype=np.float64))

    @staticmethod
    def eigenvector(matrix: Any, place: int) -> Any:
        """A unit eigenvector of a symmetric matrix for the eigenvalue at this place of the ascending order."""
        return np.linalg.eigh(matrix)[1][..., :, place]

    @staticmethod
    def singular_vectors(matrix: Any) -> Any:
        """The thin singular value decomposition: left vectors (m, k), values (k,), right vectors (k, n)."""
        return np.linalg.svd(matrix, full_matrices=False)

    @staticmethod
    def place(values: Any, where: Any, shape: Any) -> Any:
        """Zeros of the shape with the values at an index."""
        result = np.zeros(shape)
        result[where] = values
        return result


class NumpyFunctions(ArrayFunctions):
    """`F` on NumPy arrays: the kernels of the elementwise rows by name, and the operations above."""

    def __init__(self, rows: Mapping[str, Atom]) -> None:
        self._rows = rows

    def __getattr__(self, name: str) -> Any:
        rows: Mapping[str, Atom] = object.__getattribute__(self, "_rows")
        if name not in rows:
            raise AttributeError(f"the namespace of derivatives has no {name!r}")
        return rows[name].kernel
