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
        off = np.flatnonzero(hessian.rows != hessian.columns)
        self._off = off if len(off) < hessian.size else slice(None)
        self._below, self._right = hessian.rows[off], hessian.columns[off]
        self._rows, self._columns = jacobian.rows, jacobian.columns
        self._m, self._n = jacobian.shape

    def factors(
        self, diagonal: np.ndarray, hessian: np.ndarray, jacobian: np.ndarray, slack: np.ndarray
    ) -> np.ndarray:
        """e for the upper block's whole diagonal (n,), the values of H (nnz,), those of J (nnz,) and d (m,)."""
        scale = np.empty(self._n + self._m)
        upper, lower = scale[: self._n], scale[self._n :]
        np.abs(diagonal, out=upper)
        if len(self._below):
            off = np.abs(hessian[self._off])
            np.maximum.at(upper, self._below, off)
            np.maximum.at(upper, self._right, off)
        np.maximum(upper, SMALLEST, out=upper)
        np.sqrt(upper, out=upper)
        np.divide(1.0, upper, out=upper)
        if self._m:
            np.sqrt(slack, out=lower)
            np.maximum.at(lower, self._rows, np.abs(jacobian) * upper[self._columns])
            lower[lower == 0.0] = 1.0
            np.divide(1.0, lower, out=lower)
        return scale
