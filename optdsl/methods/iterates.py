"""What the states of all methods hold, the first-order residuals in nlp's signs, and the tests that end a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optdsl.methods.driver import Ending, Record
from optdsl.nlp import Nlp

FALLEN = -1e20
"""An objective below this is taken as falling without end."""

ROUNDING = 500 * np.finfo(float).eps
"""A relative change of the objective below this is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Iterate:
    """A point with its multipliers (nlp's signs), its line of the trace, and how the run ended if it did."""

    x: np.ndarray
    row_multipliers: np.ndarray
    bound_multipliers: np.ndarray
    record: Record
    ending: Ending | None


@dataclass(frozen=True, slots=True)
class FirstOrder:
    """Ends a run where the largest entry of the (projected) gradient is small.

    It is measured after the objective was scaled so that its largest derivative at the start is at most `largest`
    (Waechter and Biegler 2006, section 3.8), but by no more than `loosest`.
    """

    tolerance: float = 1e-8
    largest: float = 100.0
    loosest: float = 100.0

    def unit(self, gradient: np.ndarray) -> float:
        """What the gradient is measured in, from the gradient at the start."""
        size = norm(gradient)
        return min(max(1.0, size / self.largest), self.loosest) if np.isfinite(size) else 1.0

    def ending(self, objective: float, residual: float, unit: float) -> Ending | None:
        """CONVERGED, UNBOUNDED, or None to go on."""
        if objective < FALLEN:
            return Ending.UNBOUNDED
        return Ending.CONVERGED if residual <= self.tolerance * unit else None


def norm(vector: np.ndarray) -> float:
    """The largest entry in absolute value; 0 of none, nan where one is."""
    return float(np.abs(vector).max()) if vector.size else 0.0


def inside(x: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The nearest point of the box."""
    return np.minimum(np.maximum(x, lower), upper)


def projected_gradient(x: np.ndarray, gradient: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """x - P(x - g) with the projection P on the box: 0 exactly at first-order points (Conn, Gould and Toint 1991).

    Where the bounds are far the entry is the gradient's.
    """
    return x - inside(x - gradient, lower, upper)


def bound_multipliers(x: np.ndarray, gradient: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """z with gradient + z = 0 at the bounds that hold x back, else 0 (n,)."""
    held = ((x <= lower) & (gradient > 0)) | ((x >= upper) & (gradient < 0))
    return np.where(held, -gradient, 0.0)


def violation(problem: Nlp, c: np.ndarray) -> float:
    """The largest violation of a row at row values c (m,)."""
    if not c.size:
        return 0.0
    return max(0.0, norm_above(problem.row_lower - c), norm_above(c - problem.row_upper))


def norm_above(vector: np.ndarray) -> float:
    """The largest entry, at least 0; nan where one is."""
    return max(0.0, float(vector.max())) if vector.size else 0.0


def is_free(problem: Nlp) -> bool:
    """Whether no variable has a finite bound."""
    return bool(np.all(np.isneginf(problem.lower)) and np.all(np.isposinf(problem.upper)))
