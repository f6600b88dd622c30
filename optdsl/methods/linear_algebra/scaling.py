"""Symmetric scaling of KKT systems, so that "small" means something for a pivot.

Variables are scaled by the rows of the upper block, rows of the Jacobian by what is left of them then:

    e_j = 1 / sqrt(largest of row j of H + diag(s)),    e_i = 1 / max(largest |J_ij| e_j, sqrt(d_i))

A barrier makes entries of s huge (1e16). Scaling rows and columns alike by their largest entry would leave a row of J
that meets such a column tiny, and its pivot would look like zero. Congruence keeps the inertia.
"""

from __future__ import annotations

import numpy as np

from optdsl.nlp import Pattern

SMALLEST = 1e-4
"""Rows of the upper block with entries below this are not scaled up: there they may be nothing but noise."""


class KktScaling:
    """Factors e (n + m,) for a KKT system of given patterns."""

    def __init__(self, hessian: Pattern, jacobian: Pattern) -> None:
        m, n = jacobian.shape
        self._off = np.flatnonzero(hessian.rows != hessian.columns)
        rows, columns = hessian.rows[self._off], hessian.columns[self._off]
        # Every variable has its diagonal entry in the list and every row its d_i, so that no segment is empty.
        ends = np.concatenate([np.arange(n), rows, columns])
        self._order = np.argsort(ends, kind="stable")
        self._starts = np.searchsorted(ends[self._order], np.arange(n))
        row_ends = np.concatenate([np.arange(m), jacobian.rows])
        self._row_order = np.argsort(row_ends, kind="stable")
        self._row_starts = np.searchsorted(row_ends[self._row_order], np.arange(m))
        self._columns = jacobian.columns
        self._n, self._m = n, m

    def factors(
        self, diagonal: np.ndarray, hessian: np.ndarray, jacobian: np.ndarray, slack: np.ndarray
    ) -> np.ndarray:
        """e for the upper block's whole diagonal (n,), the values of H (nnz,), those of J (nnz,) and d (m,)."""
        scale = np.ones(self._n + self._m)
        if self._n:
            off = np.abs(hessian[self._off])
            entries = np.concatenate([np.abs(diagonal), off, off])[self._order]
            largest = np.maximum.reduceat(entries, self._starts)
            scale[: self._n] = 1.0 / np.sqrt(np.maximum(largest, SMALLEST))
        if self._m:
            entries = np.concatenate([np.sqrt(slack), np.abs(jacobian) * scale[self._columns]])
            largest = np.maximum.reduceat(entries[self._row_order], self._row_starts)
            largest[largest == 0.0] = 1.0
            scale[self._n :] = 1.0 / largest
        return scale
