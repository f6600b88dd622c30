"""What a factored KKT system offers, whatever factors it.

    [ H + diag(s)    J'      ] [ u ]   [ a ]
    [ J            -diag(d)  ] [ v ] = [ b ]          s (n,), d (m,) with d >= 0

H symmetric (n, n) by its lower triangle, J (m, n). Patterns are fixed when the system is made; every factorization only
moves numbers into precomputed places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Inertia:
    """Signs of the eigenvalues: how many are negative; singular when some pivot is zero up to rounding."""

    negative: int
    singular: bool


class Kkt(Protocol):
    """A KKT system that is factored again and again with the same patterns: a workspace, not a value."""

    def factorize(
        self, hessian: np.ndarray, shift: np.ndarray, jacobian: np.ndarray, slack: np.ndarray
    ) -> Inertia:
        """Factor with the values of H (nnz,), s (n,), J (nnz,), d (m,), all finite."""

    def solve(self, right: np.ndarray) -> tuple[np.ndarray, float]:
        """The solution (n + m,), refined, and its residual relative to right-hand side and solution."""


def residual_ratio(residual: np.ndarray, right: np.ndarray, solution: np.ndarray) -> float:
    """How large a residual is beside the numbers that it came from; inf where they are not finite."""
    size = float(np.abs(right).max())
    # A huge solution of a nearly singular system must not excuse a residual that spoils the right-hand side.
    scale = size + min(float(np.abs(solution).max()), 1e6 * size)
    largest = float(np.abs(residual).max())
    if largest == 0.0:
        return 0.0
    return largest / scale if np.isfinite(largest) and scale > 0 else np.inf
