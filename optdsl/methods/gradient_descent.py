"""Gradient descent with a line search: the plainest method there is, to compare with and to teach.

    x_{k+1} = x_k - a_k g_k,   first tried: a_k = s's / s'y   (Barzilai and Borwein 1988, eq. 5)

then cut back until the objective is below the largest of the last `window` values (Raydan 1997, algorithm GBB;
1: until it falls). Without the first trial from the last step, and without the room to rise, it would crawl.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optdsl.methods.descent import Descent, Direction, Move, steepest
from optdsl.methods.iterates import FirstOrder
from optdsl.methods.searches import Armijo, Search


@dataclass(frozen=True, slots=True)
class Steepest:
    """-g; its memory is the next step length to try, nan before any step."""

    def fresh(self, gradient: np.ndarray) -> float:
        """No step length."""
        return math.nan

    def direction(self, memory: float, gradient: np.ndarray) -> tuple[np.ndarray, float]:
        """-g and the first trial."""
        return steepest(gradient) if math.isnan(memory) else (-gradient, memory)

    def learned(self, memory: float, move: Move) -> float:
        """The step of Barzilai and Borwein, or twice the last one where the curvature is not positive."""
        curved, size = float(move.s @ move.y), float(move.s @ move.s)
        return size / curved if curved > 1e-16 * size else 2 * move.step


@dataclass(frozen=True, slots=True)
class GradientDescent(Descent):
    """Settings of gradient descent: the tolerance on the gradient, and how many last values the search looks at."""

    name: ClassVar[str] = "gradient_descent"
    window: int = 10

    @property
    def parts(self) -> tuple[Direction, Search, FirstOrder]:
        """Direction, search and stopping test of these settings."""
        return Steepest(), Armijo(window=self.window), FirstOrder(self.tol)
