"""Nonlinear conjugate gradients: directions from the last one only, no matrix and hardly any memory.

    d_0 = -g_0,   d_{k+1} = -g_{k+1} + beta_k d_k,   y_k = g_{k+1} - g_k

    Polak and Ribiere, kept nonnegative (Nocedal and Wright 2006, eq. 5.45):
        beta_k = max(0, g_{k+1}'y_k / g_k'g_k)
    Hager and Zhang 2005 (eq. 1.3, 1.5, 1.6):
        beta_k = max((y_k - 2 d_k y_k'y_k / d_k'y_k)'g_{k+1} / d_k'y_k, eta_k)
        eta_k  = -1 / (|d_k| min(0.01, |g_k|))

Deviation: the strong Wolfe search with c2 = 0.1 stands in for Hager and Zhang's own (it takes over their acceptance
by slopes); a direction that is no descent direction is replaced by -g.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from optdsl.methods.descent import Descent, Direction, Move, steepest
from optdsl.methods.iterates import FirstOrder
from optdsl.methods.searches import Search, StrongWolfe

Rule = Literal["hager_zhang", "polak_ribiere"]


@dataclass(frozen=True, slots=True, eq=False)
class Conjugate:
    """The next direction and the step length to try."""

    d: np.ndarray
    first: float


@dataclass(frozen=True, slots=True)
class ConjugateDirections:
    """The direction of conjugate gradients; its memory is the next direction, or None before any step."""

    rule: Rule

    def fresh(self, gradient: np.ndarray) -> Conjugate | None:
        """No direction."""
        return None

    def direction(self, memory: Conjugate | None, gradient: np.ndarray) -> tuple[np.ndarray, float]:
        """The conjugate direction; before any step the steepest descent."""
        return steepest(gradient) if memory is None else (memory.d, memory.first)

    def learned(self, memory: Conjugate | None, move: Move) -> Conjugate | None:
        """d_{k+1}, and a first step that promises the fall of the last one (NW section 3.5)."""
        g, y, d = move.after, move.y, move.direction
        beta = self._beta(move)
        if beta is None:
            return None
        d_new = -g + beta * d
        slope_old, slope = float(move.before @ d), float(g @ d_new)
        if not slope < -1e-10 * float(np.linalg.norm(g) * np.linalg.norm(d_new)):
            d_new, slope = -g, -float(g @ g)
        curved = float(d @ y)
        first = move.step * slope_old / slope
        if curved > 0:
            # The minimizer of a parabola with the curvature just met, if d_new were as curved as d.
            first = -slope / (curved / move.step * float(d_new @ d_new) / float(d @ d))
        return Conjugate(d_new, float(first))

    def _beta(self, move: Move) -> float | None:
        g, y, d = move.after, move.y, move.direction
        if self.rule == "polak_ribiere":
            return max(0.0, float(g @ y) / float(move.before @ move.before))
        dy = float(d @ y)
        if dy == 0:
            return None
        beta = (float(y @ g) - 2 * float(d @ g) * float(y @ y) / dy) / dy
        least = -1.0 / (float(np.linalg.norm(d)) * min(0.01, float(np.linalg.norm(move.before))))
        return max(beta, least)


@dataclass(frozen=True, slots=True)
class ConjugateGradient(Descent):
    """Settings of conjugate gradients: the rule for beta, and the tolerance on the gradient."""

    name: ClassVar[str] = "conjugate_gradient"
    rule: Rule = "hager_zhang"

    @property
    def parts(self) -> tuple[Direction, Search, FirstOrder]:
        """Direction, search and stopping test of these settings."""
        return ConjugateDirections(self.rule), StrongWolfe(curvature=0.4), FirstOrder(self.tol)
