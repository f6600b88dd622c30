"""BFGS: a quasi-Newton method that keeps an approximation of the inverse Hessian as a matrix.

Nocedal and Wright 2006, algorithm 6.1, with the strong Wolfe search (algorithm 3.5).

    d_k = -H_k g_k
    H_{k+1} = (I - rho s y') H_k (I - rho y s') + rho s s',   rho = 1 / y's     (6.17)
    H_0 = (y's / y'y) I, set after the first step                               (6.20)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optdsl.methods.descent import Descent, Direction, Move, steepest
from optdsl.methods.iterates import FirstOrder
from optdsl.methods.searches import Search, StrongWolfe

CURVED = 1e-15
"""A step changes H where y's is above this share of |g's|; the Wolfe search makes it positive but for rounding."""


@dataclass(frozen=True, slots=True)
class InverseHessian:
    """The direction of BFGS; its memory is H (n, n), or None before any step."""

    def fresh(self, gradient: np.ndarray) -> np.ndarray | None:
        """No matrix."""
        return None

    def direction(self, memory: np.ndarray | None, gradient: np.ndarray) -> tuple[np.ndarray, float]:
        """-H g; before any step the steepest descent with a careful first step."""
        return steepest(gradient) if memory is None else (-(memory @ gradient), 1.0)

    def learned(self, memory: np.ndarray | None, move: Move) -> np.ndarray | None:
        """H after (6.17), spelled out so that it costs one product with H."""
        s, y = move.s, move.y
        ys, yy = float(y @ s), float(y @ y)
        if not ys > CURVED * abs(float(move.before @ s)):
            return memory
        H = np.eye(len(s)) * (ys / yy) if memory is None else memory
        Hy = H @ y
        cross = np.outer(s, Hy / ys)
        return H - cross - cross.T + (1 + float(y @ Hy) / ys) * np.outer(s, s / ys)


@dataclass(frozen=True, slots=True)
class BFGS(Descent):
    """Settings of BFGS: the tolerance on the gradient."""

    name: ClassVar[str] = "bfgs"

    @property
    def parts(self) -> tuple[Direction, Search, FirstOrder]:
        """Direction, search and stopping test of these settings."""
        return InverseHessian(), StrongWolfe(), FirstOrder(self.tol)
