"""The Hessian of a problem without rows as a value: dense where it is small, sparse, or products only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from optdsl.nlp import Nlp, Pattern

SMALL = 60
"""Up to so many variables a Hessian is kept dense and its subproblems are solved exactly."""


@dataclass(frozen=True, slots=True, eq=False)
class Curvature:
    """B as a matrix where there is one, and its products."""

    matrix: np.ndarray | sp.csr_array | None
    product: Callable[[np.ndarray], np.ndarray]

    @property
    def dense(self) -> np.ndarray | None:
        """The matrix where it is dense."""
        return self.matrix if isinstance(self.matrix, np.ndarray) else None

    @property
    def diagonal(self) -> np.ndarray | None:
        """Its diagonal where there is a matrix."""
        return None if self.matrix is None else np.asarray(self.matrix.diagonal())


def dense_symmetric(pattern: Pattern, values: np.ndarray) -> np.ndarray:
    """The whole symmetric matrix, dense, from the values of its lower triangle."""
    whole = np.zeros(pattern.shape)
    whole[pattern.rows, pattern.columns] = values
    whole[pattern.columns, pattern.rows] = values
    return whole


def dense_matrix(pattern: Pattern, values: np.ndarray) -> np.ndarray:
    """The matrix, dense."""
    whole = np.zeros(pattern.shape)
    whole[pattern.rows, pattern.columns] = values
    return whole


def curvature_at(problem: Nlp, x: np.ndarray, multipliers: np.ndarray | None = None, small: int = SMALL) -> Curvature:
    """The Hessian of the Lagrangian at x; without multipliers, of the objective."""
    y = np.zeros(len(problem.row_lower)) if multipliers is None else multipliers
    n = len(x)
    pattern = problem.hessian_pattern
    if pattern is not None:
        values = problem.hessian(x, y)
        if n <= small:
            whole = dense_symmetric(pattern, values)
            return Curvature(whole, whole.__matmul__)
        sparse = pattern.symmetric(values)
        return Curvature(sparse, sparse.__matmul__)
    if n <= min(small, 50):
        columns = [problem.hessian_product(x, y, unit) for unit in np.eye(n)]
        whole = np.array(columns).reshape(n, n)
        whole = 0.5 * (whole + whole.T)
        return Curvature(whole, whole.__matmul__)
    return Curvature(None, lambda v: problem.hessian_product(x, y, v))
