"""A small problem with dense derivatives, its rows and bounds sorted into what a quadratic program wants.

    equalities  c_i(x) = row_lower_i;  inequalities  C(x) >= 0  made of the finite sides of rows, then of bounds

In the program for a step d, the rows are  C d = b  for the equalities and  C d >= b  for the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optdsl.methods.curvature import dense_matrix
from optdsl.methods.iterates import norm
from optdsl.nlp import Nlp


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """Values and first derivatives at a point: f, g (n,), c (m,), A (m, n) dense."""

    x: np.ndarray
    f: float
    g: np.ndarray
    c: np.ndarray
    A: np.ndarray

    @property
    def finite(self) -> bool:
        """Whether all of them are numbers."""
        return bool(
            np.isfinite(self.f)
            and np.isfinite(self.g).all()
            and np.isfinite(self.c).all()
            and np.isfinite(self.A).all()
        )


def evaluated(problem: Nlp, x: np.ndarray, f: float, c: np.ndarray) -> Evaluated:
    """The derivatives where the values are known already."""
    A = dense_matrix(problem.jacobian_pattern, problem.jacobian(x))
    return Evaluated(x, f, problem.gradient(x), c, A)


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """Which rows and variables give equalities and inequalities; computed once a run from the problem's sides."""

    equal: np.ndarray
    low: np.ndarray
    high: np.ndarray
    fixed: np.ndarray
    low_variables: np.ndarray
    high_variables: np.ndarray
    equalities: int

    def program(self, problem: Nlp, at: Evaluated) -> tuple[np.ndarray, np.ndarray]:
        """C and b of the step's program; equalities first."""
        unit = np.eye(len(at.x))
        C = np.concatenate(
            [
                at.A[self.equal],
                unit[self.fixed],
                at.A[self.low],
                -at.A[self.high],
                unit[self.low_variables],
                -unit[self.high_variables],
            ]
        )
        b = np.concatenate(
            [
                problem.row_lower[self.equal] - at.c[self.equal],
                problem.lower[self.fixed] - at.x[self.fixed],
                problem.row_lower[self.low] - at.c[self.low],
                at.c[self.high] - problem.row_upper[self.high],
                problem.lower[self.low_variables] - at.x[self.low_variables],
                at.x[self.high_variables] - problem.upper[self.high_variables],
            ]
        )
        return C, b

    def multipliers(self, u: np.ndarray, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """y (m,) and z (n,) in nlp's signs from those of the program, where g + G d = C'u."""
        parts = np.split(
            u,
            np.cumsum([len(self.equal), len(self.fixed), len(self.low), len(self.high), len(self.low_variables)]),
        )
        y, z = np.zeros(m), np.zeros(n)
        y[self.equal] = -parts[0]
        z[self.fixed] = -parts[1]
        np.subtract.at(y, self.low, parts[2])
        np.add.at(y, self.high, parts[3])
        np.subtract.at(z, self.low_variables, parts[4])
        np.add.at(z, self.high_variables, parts[5])
        return y, z


def form_of(problem: Nlp) -> Form:
    """The form of a problem."""
    equal = problem.row_lower == problem.row_upper
    fixed = problem.lower == problem.upper
    return Form(
        equal=np.flatnonzero(equal),
        low=np.flatnonzero(~equal & np.isfinite(problem.row_lower)),
        high=np.flatnonzero(~equal & np.isfinite(problem.row_upper)),
        fixed=np.flatnonzero(fixed),
        low_variables=np.flatnonzero(~fixed & np.isfinite(problem.lower)),
        high_variables=np.flatnonzero(~fixed & np.isfinite(problem.upper)),
        equalities=int(equal.sum() + fixed.sum()),
    )


def violations(problem: Nlp, c: np.ndarray) -> np.ndarray:
    """How far every row is violated (m,), >= 0."""
    return np.maximum(np.maximum(problem.row_lower - c, c - problem.row_upper), 0.0)


def complementarity(problem: Nlp, x: np.ndarray, c: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """The largest |multiplier x distance to the side it belongs to|; a side that does not exist counts as 1 away."""
    rows = _products(y, c, problem.row_lower, problem.row_upper)
    bounds = _products(z, x, problem.lower, problem.upper)
    return max(norm(rows), norm(bounds))


def _products(multipliers: np.ndarray, values: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    side = np.where(multipliers > 0, upper - values, values - lower)
    side = np.where(lower == upper, 0.0, np.where(np.isfinite(side), side, 1.0))
    return multipliers * side
