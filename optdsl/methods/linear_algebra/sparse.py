"""Sparse KKT systems: LDL' without pivoting (QDLDL), on a scaled, regularized matrix, refined against the true one.

Vanderbei (1995): a quasi-definite matrix has an LDL' factorization for every ordering. The system is made nearly that
by adding `REGULARIZATION` to the diagonal above and taking it from the diagonal below; what the factors then solve is
refined against the system without it. As the upper block may be indefinite, the residual
is watched: where refinement stagnates, LU factors with pivoting (SuperLU) solve the true matrix, at several times the
cost; a poor residual of those too tells the caller to treat the factorization as failed. Inertia from the signs of D
(Sylvester).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import qdldl
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg

from optdsl.methods.linear_algebra.scaling import KktScaling
from optdsl.methods.linear_algebra.system import Inertia, residual_ratio
from optdsl.nlp import Pattern

REGULARIZATION = 1e-8
REFINED, REFINEMENTS = 1e-11, 12
STAGNANT = 1e-9
"""A relative residual above this after refinement: the system is solved by LU with pivoting instead."""


class SparseKkt:
    """A KKT system as the upper triangle of one sparse matrix whose numbers are replaced at every factorization."""

    def __init__(self, hessian: Pattern, jacobian: Pattern) -> None:
        m, n = jacobian.shape
        order = n + m
        self._n = n
        self._order = order
        self._on_diagonal = np.flatnonzero(hessian.rows == hessian.columns)
        self._off_diagonal = np.flatnonzero(hessian.rows != hessian.columns)
        self._below = hessian.rows[self._off_diagonal], hessian.columns[self._off_diagonal]
        self._jacobian_rows, self._jacobian_columns = jacobian.rows, jacobian.columns
        self._scaling = KktScaling(hessian, jacobian)
        self._scale = np.ones(0)
        self._matrix, self._places = self._places_of(hessian, jacobian)
        self._hessian_diagonal = hessian.rows[self._on_diagonal]
        # What the matrix counts twice on its diagonal in a product, and the regularization that is not the system's.
        self._excess = np.zeros(0)
        self._solver: qdldl.Solver | None = None
        self._pivoted: sparse_linalg.SuperLU | None = None

    def _places_of(self, hessian: Pattern, jacobian: Pattern) -> tuple[sp.csc_matrix, np.ndarray]:
        """The upper triangle by columns, and where in it values go: the whole diagonal, H beside it, J."""
        order = self._order
        everywhere = np.arange(order, dtype=np.int32)
        # An entry of H below the diagonal stands at (its column, its row) above it.
        rows = np.concatenate([everywhere, self._below[1], jacobian.columns], dtype=np.int32)
        columns = np.concatenate([everywhere, self._below[0], self._n + jacobian.rows], dtype=np.int32)
        # The numbers of the entries as values, moved by two counting sorts: by rows, then by columns.
        numbers = np.arange(len(rows), dtype=np.int32)
        numbered = sp.csr_matrix((numbers, (rows, columns)), shape=(order, order)).tocsc()
        places = np.empty(len(rows), dtype=np.int32)
        places[numbered.data] = numbers
        values = np.zeros(len(rows))
        return sp.csc_matrix((values, numbered.indices, numbered.indptr), shape=(order, order)), places

    def factorize(
        self, hessian: np.ndarray, shift: np.ndarray, jacobian: np.ndarray, slack: np.ndarray
    ) -> Inertia:
        """Factor with these values; see `Kkt`."""
        self._pivoted = None
        n, order = self._n, self._order
        diagonal = np.concatenate([shift, -slack])
        # No place of H's pattern comes twice, so plain indexing adds.
        diagonal[self._hessian_diagonal] += hessian[self._on_diagonal]
        self._scale = scale = self._scaling.factors(diagonal[:n], hessian, jacobian, slack)
        diagonal *= scale
        diagonal *= scale
        _regularize(diagonal, n)
        data, places = self._matrix.data, self._places
        data[places[:order]] = diagonal
        _regularize(diagonal, n)
        self._excess = diagonal
        off = hessian[self._off_diagonal]
        off *= scale[self._below[0]]
        off *= scale[self._below[1]]
        data[places[order : order + len(off)]] = off
        entries = jacobian * scale[self._jacobian_columns]
        entries *= scale[n:][self._jacobian_rows]
        data[places[order + len(off) :]] = entries
        try:
            if self._solver is None:
                self._solver = qdldl.Solver(self._matrix, upper=True)
            else:
                self._solver.update(self._matrix, upper=True)
            pivots = self._solver.factors()[1]
        except RuntimeError:
            self._solver = None
            return Inertia(-1, True)
        if not np.isfinite(pivots).all() or not pivots.all():
            return Inertia(-1, True)
        return Inertia(int(np.count_nonzero(pivots < 0)), False)

    def _product(self, x: np.ndarray) -> np.ndarray:
        """The system without regularization times x: diagonal entries d + r are in it twice, 'excess' is d + 2 r."""
        result = self._matrix @ x
        result += self._matrix.T @ x
        result -= self._excess * x
        return result

    def solve(self, right: np.ndarray) -> tuple[np.ndarray, float]:
        """Solution and relative residual; see `Kkt`."""
        if self._solver is None:
            return np.full(self._order, np.nan), np.inf
        # The scaled system, its residual and the test are in scaled numbers throughout.
        right = self._scale * right
        solution, ratio = self._refined(self._solver.solve, right)
        if ratio > STAGNANT:
            solve = self._pivoted_solve()
            if solve is not None:
                other, better = self._refined(solve, right)
                if better < ratio:
                    solution, ratio = other, better
        return self._scale * solution, ratio

    def _refined(
        self, solve: Callable[[np.ndarray], np.ndarray], right: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Iterative refinement with factors that are those of a nearby matrix."""
        solution = solve(right)
        residual = right - self._product(solution)
        ratio = residual_ratio(residual, right, solution)
        for _ in range(REFINEMENTS):
            if not ratio > REFINED or not np.isfinite(ratio):
                break
            better = solution + solve(residual)
            residual = right - self._product(better)
            new = residual_ratio(residual, right, better)
            if not new < ratio:
                break
            solution, ratio = better, new
        return solution, ratio

    def _pivoted_solve(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """Factors LU of the true matrix with pivoting, made when first needed; None where it is singular."""
        if self._pivoted is None:
            whole = self._matrix + self._matrix.T - sp.diags(self._excess)
            try:
                self._pivoted = sparse_linalg.splu(
                    sp.csc_matrix(whole), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01
                )
            except RuntimeError:
                return None
        return self._pivoted.solve


def _regularize(diagonal: np.ndarray, n: int) -> None:
    """Adds the regularization to the first n entries, takes it from the others, in place."""
    diagonal[:n] += REGULARIZATION
    diagonal[n:] -= REGULARIZATION
