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
        below = hessian.rows[self._off_diagonal], hessian.columns[self._off_diagonal]
        everywhere = np.arange(order)
        # The upper triangle by columns: an entry of H below the diagonal stands at (its column, its row) above it.
        rows = np.concatenate([everywhere, below[1], jacobian.columns])
        columns = np.concatenate([everywhere, below[0], n + jacobian.rows])
        self._rows, self._columns = rows, columns
        self._scaling = KktScaling(hessian, jacobian)
        self._scale = np.ones(order)
        # The numbers of the entries as values, moved by two counting sorts: by rows, then by columns.
        numbered = sp.csr_matrix((np.arange(len(rows)), (rows, columns)), shape=(order, order)).tocsc()
        self._matrix = sp.csc_matrix(
            (np.zeros(len(rows)), numbered.indices, numbered.indptr), shape=(order, order)
        )
        self._places = np.empty(len(rows), dtype=np.int64)
        self._places[numbered.data] = np.arange(len(rows))
        self._diagonal_places = self._places[:order]
        self._hessian_diagonal = hessian.rows[self._on_diagonal]
        self._signs = np.where(everywhere < n, 1.0, -1.0)
        self._diagonal = np.zeros(order)
        self._solver: qdldl.Solver | None = None
        self._pivoted: sparse_linalg.SuperLU | None = None

    def factorize(
        self, hessian: np.ndarray, shift: np.ndarray, jacobian: np.ndarray, slack: np.ndarray
    ) -> Inertia:
        """Factor with these values; see `Kkt`."""
        self._pivoted = None
        diagonal = np.concatenate([shift, -slack])
        # No place of H's pattern comes twice, so plain indexing adds.
        diagonal[self._hessian_diagonal] += hessian[self._on_diagonal]
        self._scale = scale = self._scaling.factors(diagonal[: self._n], hessian, jacobian, slack)
        values = np.concatenate([diagonal, hessian[self._off_diagonal], jacobian])
        data = self._matrix.data
        data[self._places] = values * (scale[self._rows] * scale[self._columns])
        self._diagonal = diagonal = diagonal * scale**2
        data[self._diagonal_places] = diagonal + REGULARIZATION * self._signs
        try:
            if self._solver is None:
                self._solver = qdldl.Solver(self._matrix, upper=True)
            else:
                self._solver.update(self._matrix, upper=True)
            pivots = self._solver.factors()[1]
        except RuntimeError:
            self._solver = None
            return Inertia(-1, True)
        finally:
            data[self._diagonal_places] = diagonal
        if not np.isfinite(pivots).all() or not pivots.all():
            return Inertia(-1, True)
        return Inertia(int(np.count_nonzero(pivots < 0)), False)

    def _product(self, x: np.ndarray) -> np.ndarray:
        return self._matrix @ x + self._matrix.T @ x - self._diagonal * x

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
            whole = self._matrix + sp.triu(self._matrix, 1).T
            try:
                self._pivoted = sparse_linalg.splu(
                    sp.csc_matrix(whole), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01
                )
            except RuntimeError:
                return None
        return self._pivoted.solve
