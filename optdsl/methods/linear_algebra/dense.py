"""Dense KKT systems by LAPACK's Bunch-Kaufman factorization: exact pivoting, inertia from its 1x1 and 2x2 blocks.

Bunch and Kaufman (1977): every 2x2 pivot block is indefinite, one eigenvalue of each sign. The matrix is scaled first
(`scaling`), so that "zero up to rounding" means something for a pivot.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dsymv
from scipy.linalg.lapack import dsytrf, dsytrf_lwork, dsytrs

from optdsl.methods.linear_algebra.scaling import KktScaling
from optdsl.methods.linear_algebra.system import Inertia, residual_ratio
from optdsl.nlp import Pattern

ZERO_PIVOT = 1e-14
"""Of a scaled matrix: a pivot below this is taken for zero."""
REFINED, REFINEMENTS = 1e-12, 5


class DenseKkt:
    """A KKT system as one array whose lower triangle is filled and factored."""

    def __init__(self, hessian: Pattern, jacobian: Pattern) -> None:
        m, n = jacobian.shape
        order = n + m
        self._n = n
        self._matrix = np.zeros((order, order), order="F")
        self._flat = self._matrix.reshape(-1, order="F")
        self._diagonal = np.arange(order) * (order + 1)
        self._hessian = hessian.rows.astype(np.int64) + hessian.columns.astype(np.int64) * order
        self._jacobian = n + jacobian.rows.astype(np.int64) + jacobian.columns.astype(np.int64) * order
        self._work = max(1, int(dsytrf_lwork(order, lower=1)[0])) if order else 1
        self._scaling = KktScaling(hessian, jacobian)
        self._scale = np.ones(order)
        self._factors: tuple[np.ndarray, np.ndarray] | None = None

    def factorize(
        self, hessian: np.ndarray, shift: np.ndarray, jacobian: np.ndarray, slack: np.ndarray
    ) -> Inertia:
        """Factor with these values; see `Kkt`."""
        flat, diagonal, n = self._flat, self._diagonal, self._n
        flat[diagonal] = 0.0
        flat[self._hessian] = hessian
        flat[self._jacobian] = jacobian
        flat[diagonal[:n]] += shift
        flat[diagonal[n:]] = -slack
        self._scale = scale = self._scaling.factors(flat[diagonal[:n]], hessian, jacobian, slack)
        scaled = self._matrix * scale
        scaled *= scale[:, None]
        factors, swaps, _ = dsytrf(scaled, lower=1, lwork=self._work, overwrite_a=1)
        self._factors = factors, swaps
        return _inertia(factors, swaps)

    def solve(self, right: np.ndarray) -> tuple[np.ndarray, float]:
        """Solution and relative residual; see `Kkt`."""
        assert self._factors is not None
        factors, swaps = self._factors
        scale = self._scale
        solution = scale * dsytrs(factors, swaps, scale * right, lower=1)[0]
        residual = right - dsymv(1.0, self._matrix, solution, lower=1)
        ratio = residual_ratio(residual, right, solution)
        for _ in range(REFINEMENTS):
            if not ratio > REFINED:
                break
            better = solution + scale * dsytrs(factors, swaps, scale * residual, lower=1)[0]
            residual = right - dsymv(1.0, self._matrix, better, lower=1)
            new = residual_ratio(residual, right, better)
            if not new < ratio:
                break
            solution, ratio = better, new
        return solution, ratio


def _inertia(factors: np.ndarray, swaps: np.ndarray) -> Inertia:
    """Inertia from the blocks of D: a 2x2 block is marked by a pair of negative entries of `swaps`."""
    pivots = factors.diagonal()
    doubles = swaps < 0
    pairs = int(np.count_nonzero(doubles))
    if not pairs:
        negative = int(np.count_nonzero(pivots < 0))
        return Inertia(negative, bool(np.abs(pivots).min(initial=1.0) < ZERO_PIVOT))
    single = pivots[~doubles]
    first = np.flatnonzero(doubles)[::2]
    corner = np.abs(factors[first + 1, first])
    negative = int(np.count_nonzero(single < 0)) + pairs // 2
    smallest = min(np.abs(single).min(initial=1.0), corner.min(initial=1.0))
    return Inertia(negative, bool(smallest < ZERO_PIVOT))
