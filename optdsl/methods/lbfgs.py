"""L-BFGS: a quasi-Newton method that keeps the last few steps instead of a matrix.

Liu and Nocedal 1989; Nocedal and Wright 2006, algorithms 7.4 (two loops) and 7.5, with the strong Wolfe search.

    s_k = x_{k+1} - x_k      y_k = g_{k+1} - g_k      rho_k = 1 / y_k's_k
    H_k^0 = gamma_k I,       gamma_k = s_{k-1}'y_{k-1} / y_{k-1}'y_{k-1}      (NW 7.20)
    d_k = -H_k g_k by the two loops over the kept pairs
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optdsl.methods.descent import Descent, Direction, Move, steepest
from optdsl.methods.iterates import FirstOrder
from optdsl.methods.searches import Search, StrongWolfe

Pairs = tuple[tuple[np.ndarray, np.ndarray, float], ...]

CURVED = 1e-15
"""A pair is kept where y's is above this share of |g's|: H stays positive definite (NW, section 7.2)."""


@dataclass(frozen=True, slots=True)
class TwoLoops:
    """The direction of L-BFGS; its memory are the pairs (s, y, rho), oldest first."""

    memory: int

    def fresh(self, gradient: np.ndarray) -> Pairs:
        """No pairs."""
        return ()

    def direction(self, memory: Pairs, gradient: np.ndarray) -> tuple[np.ndarray, float]:
        """-H g (NW algorithm 7.4); before any pair, the steepest descent with a careful first step."""
        if not memory:
            return steepest(gradient)
        q = gradient.copy()
        alphas = []
        for s, y, rho in reversed(memory):
            alpha = rho * float(s @ q)
            alphas.append(alpha)
            q -= alpha * y
        s, y, rho = memory[-1]
        q *= 1.0 / (rho * float(y @ y))
        for (s, y, rho), alpha in zip(memory, reversed(alphas), strict=True):
            q += (alpha - rho * float(y @ q)) * s
        return -q, 1.0

    def learned(self, memory: Pairs, move: Move) -> Pairs:
        """The pairs with this one, where its curvature is positive."""
        curvature = float(move.s @ move.y)
        if not curvature > CURVED * abs(float(move.before @ move.s)):
            return memory
        return (*memory, (move.s, move.y, 1.0 / curvature))[-self.memory :]


@dataclass(frozen=True, slots=True)
class LBFGS(Descent):
    """Settings of L-BFGS: how many pairs are kept, and the tolerance on the gradient."""

    name: ClassVar[str] = "lbfgs"
    memory: int = 10

    @property
    def parts(self) -> tuple[Direction, Search, FirstOrder]:
        """Direction, search and stopping test of these settings."""
        return TwoLoops(self.memory), StrongWolfe(), FirstOrder(self.tol)
