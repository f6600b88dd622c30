"""Variable projection: least squares where some parameters enter linearly, which are solved for in every step.

Golub and Pereyra 1973, in the form of Kaufman 1975:

    r(a, b) = r_0(a) + Phi(a) b,   b(a) = argmin_b |r(a, b)|^2
    the projected residual r(a) = r(a, b(a)) has (Kaufman's approximation of) the Jacobian (I - Phi Phi^+) dr/da

Levenberg and Marquardt's method then runs on a alone: fewer parameters, no start for b, and far fewer places to get
stuck (`optdsl.methods.sums_of_squares` goes on over all parameters from where that ends, so that the answer never hangs
on the approximation).

Which parameters are linear is found from the Jacobian: those whose columns none of them changes. Deviation: that is
looked at in one point beside the start, so it is checked again in every step, and given up where it fails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optdsl.methods.curvature import dense_matrix
from optdsl.methods.levenberg_marquardt import residuals_of
from optdsl.nlp import Nlp, Pattern, Residuals

MOST = 30
"""Linear parameters are looked for among at most so many: it takes one Jacobian each."""


@dataclass(frozen=True, eq=False)
class Projected:
    """The problem over the parameters that are not linear, as far as least squares ask for it."""

    problem: Nlp
    linear: np.ndarray

    @property
    def start(self) -> np.ndarray:
        """The start of a."""
        return np.array(self.problem.start[~self.linear], dtype=float)

    @property
    def lower(self) -> np.ndarray:
        """Lower bounds of a."""
        return self.problem.lower[~self.linear]

    @property
    def upper(self) -> np.ndarray:
        """Upper bounds of a."""
        return self.problem.upper[~self.linear]

    @property
    def residuals(self) -> Residuals:
        """The projected residuals."""
        return ProjectedResiduals(residuals_of(self.problem), self)

    def whole(self, a: np.ndarray) -> np.ndarray:
        """All parameters: a with b(a) (n,); nan where that is not defined, or where b turns out not to be linear.

        Where several b are equally good, the one nearest to the start.
        """
        x = np.zeros(len(self.linear))
        x[~self.linear] = a
        found, whole = self._solved(x)
        if not whole and np.isfinite(found).all():
            x[self.linear] = self.problem.start[self.linear]
            found, _ = self._solved(x)
        return found

    def _solved(self, x: np.ndarray) -> tuple[np.ndarray, bool]:
        """x with the least change of b that solves the linear problem, and whether that has one solution only."""
        residuals = residuals_of(self.problem)
        undefined = np.full(len(x), np.nan)
        r = residuals.values(x)
        Phi = dense_matrix(residuals.jacobian_pattern, residuals.jacobian(x))[:, self.linear]
        if not (np.isfinite(r).all() and np.isfinite(Phi).all()):
            return undefined, False
        sizes = np.sqrt(np.einsum("ij,ij->j", Phi, Phi))
        sizes[sizes == 0] = 1.0
        change, _, rank, _ = np.linalg.lstsq(Phi / sizes, -r, rcond=1e-13)
        change /= sizes
        solved = x.copy()
        solved[self.linear] += change
        moved = Phi @ change
        error = np.abs(residuals.values(solved) - (r + moved)).max()
        if not error <= 1e-6 * (np.abs(r).max() + np.abs(moved).max()):
            return undefined, False
        return solved, rank == Phi.shape[1]


@dataclass(frozen=True, eq=False)
class ProjectedResiduals:
    """r(a) and its approximate Jacobian, dense."""

    residuals: Residuals
    projected: Projected

    @property
    def scale(self) -> float:
        """The scale of the whole problem."""
        return self.residuals.scale

    @property
    def constant(self) -> float:
        """The constant of the whole problem."""
        return self.residuals.constant

    @property
    def jacobian_pattern(self) -> Pattern:
        """All places of (p, number of a)."""
        shape = (self.residuals.jacobian_pattern.shape[0], int((~self.projected.linear).sum()))
        rows, columns = np.indices(shape)
        return Pattern(rows.ravel(), columns.ravel(), shape)

    def values(self, a: np.ndarray) -> np.ndarray:
        """r(a, b(a)) (p,)."""
        return self.residuals.values(self.projected.whole(a))

    def jacobian(self, a: np.ndarray) -> np.ndarray:
        """(I - Phi Phi^+) dr/da at (a, b(a)), row by row."""
        x = self.projected.whole(a)
        J = dense_matrix(self.residuals.jacobian_pattern, self.residuals.jacobian(x))
        if not np.isfinite(J).all():
            return np.full(J[:, ~self.projected.linear].size, np.nan)
        Phi, J_a = J[:, self.projected.linear], J[:, ~self.projected.linear]
        U, S, _ = np.linalg.svd(Phi / np.maximum(np.abs(Phi).max(axis=0), 1e-300), full_matrices=False)
        U = U[:, 1e-13 * S[0] < S]
        return np.asarray(J_a - U @ (U.T @ J_a)).ravel()


def linear_parameters(problem: Nlp) -> np.ndarray:
    """Which parameters enter the residuals linearly, together, and have no bounds (n,)."""
    residuals, n = residuals_of(problem), len(problem.start)
    found = np.zeros(n, dtype=bool)
    pattern = residuals.jacobian_pattern
    if n > MOST or pattern.shape[0] < n or pattern.shape[0] * n > 1e6:
        return found
    x, J = _beside(problem, residuals)
    if J is None:
        return found
    unbounded = ~(np.isfinite(problem.lower) | np.isfinite(problem.upper))
    sizes = np.abs(J).max(axis=0)
    changes = np.zeros((n, n), dtype=bool)
    for k in range(n):
        moved = x.copy()
        moved[k] += 0.1 * max(abs(x[k]), 1e-3)
        other = dense_matrix(pattern, residuals.jacobian(moved))
        with np.errstate(invalid="ignore"):
            changes[:, k] = ~(np.abs(other - J).max(axis=0) <= 1e-11 * sizes)
    changes |= changes.T
    # Greedily, those that clash with the fewest others first.
    candidates = np.flatnonzero(unbounded & ~np.diagonal(changes) & (sizes > 0))
    for j in sorted(candidates, key=lambda j: (int(changes[j, candidates].sum()), j)):
        found[j] = not changes[j, found].any()
    return found


def _beside(problem: Nlp, residuals: Residuals) -> tuple[np.ndarray, np.ndarray | None]:
    """A point near the start where nothing is 0 by accident, and the Jacobian there where it is defined."""
    wobble = np.random.default_rng(0).uniform(0.5, 1.0, len(problem.start))
    for size in (1e-2, 1e-4, 1e-6):
        x = problem.start + size * wobble * np.where(problem.start == 0, 1.0, problem.start)
        x = np.clip(x, problem.lower, problem.upper)
        J = dense_matrix(residuals.jacobian_pattern, residuals.jacobian(x))
        if np.isfinite(J).all():
            return x, J
    return problem.start, None
