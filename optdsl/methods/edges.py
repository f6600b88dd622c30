"""Minima at a bound where a function's slope is infinite, such as sqrt(x) at 0.

No multiplier balances an infinite slope, and a method that keeps inside never gets there. But the slope itself is the
proof that the bound is right: the objective rises from it faster than linearly. So variables that a run left next to
such a bound are put on it, and what remains is solved for the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.methods.driver import Outcome
from optdsl.nlp import Nlp

NEXT_TO = 1e-5
"""A variable closer to its bound than this, relative to the bound's size, may be meant to lie on it."""
STEEP = 1.0
"""The least slope away from the bound, where the run ended, that counts as pressing on it."""


@dataclass(eq=False)
class Held:
    """A problem with some variables fixed, from another start."""

    inner: Nlp
    start: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def held_on_edges(problem: Nlp, outcome: Outcome) -> Held | None:
    """The problem with the variables fixed that press on a bound where a derivative is infinite; None without any.

    Values must be finite there. Whether the point that comes out is a minimum is for its checks to say: they look at
    slopes a hair inside the bound.
    """
    x, lower, upper = outcome.x, problem.lower, problem.upper
    with np.errstate(all="ignore"):
        slope = lagrangian_slope(problem, x, outcome.row_multipliers)
        near_lower = (x - lower <= NEXT_TO * np.maximum(1.0, np.abs(lower))) & ~(slope < STEEP)
        near_upper = (upper - x <= NEXT_TO * np.maximum(1.0, np.abs(upper))) & ~(slope > -STEEP)
        pressed = (near_lower ^ near_upper) & (lower < upper)
        if not pressed.any():
            return None
        edge = np.where(near_lower, lower, upper)
        there = np.where(pressed, edge, x)
        held = pressed & ~np.isfinite(_slope_sizes(problem, there))
        if not (held & (x != edge)).any():
            return None
        start = np.where(held, edge, x)
        if not (np.isfinite(problem.objective(start)) and np.isfinite(problem.constraints(start)).all()):
            return None
    return Held(problem, start, np.where(held, edge, lower), np.where(held, edge, upper))


def lagrangian_slope(problem: Nlp, x: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """The gradient (n,) of f + y'c; infinite or NaN where a derivative is."""
    pattern = problem.jacobian_pattern
    terms = problem.jacobian(x) * multipliers[pattern.rows]
    return problem.gradient(x) + np.bincount(pattern.columns, weights=terms, minlength=len(x))


def _slope_sizes(problem: Nlp, x: np.ndarray) -> np.ndarray:
    """The sizes (n,) of all first derivatives by each variable, added up."""
    pattern = problem.jacobian_pattern
    rows = np.bincount(pattern.columns, weights=np.abs(problem.jacobian(x)), minlength=len(x))
    return np.abs(problem.gradient(x)) + rows
