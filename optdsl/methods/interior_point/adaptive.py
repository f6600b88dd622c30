"""The barrier parameter chosen anew in every iteration, with a fall-back that keeps the method globally convergent.

Nocedal, Waechter and Waltz (2009), "Adaptive barrier update strategies for nonlinear interior methods", SIAM Journal
on Optimization 19, section 3 and algorithm 4.1:

    free    while the optimality error keeps falling below the largest of its last values: mu = sigma * average of g z,
            sigma by Mehrotra's predictor: (what a step with mu = 0 would leave / what there is)^3
    fixed   else mu = 0.8 * average of g z, which falls by the monotone rule until the error is below those values
            again
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optdsl.methods.interior_point.barrier import Point, errors, to_boundary

REMEMBERED, PROGRESS = 4, 0.9999
"""How many last errors an iterate is compared with, and the share of the largest that it must fall below."""
FIXED_SHARE = 0.8
"""The share of the average product that a fixed parameter begins with."""
LARGEST = 1e3
"""No parameter is larger than this times the average product at the start of the run."""
MOST_LEFT = 10.0
"""A predictor that leaves more than this times the products says no more than that."""


@dataclass(frozen=True, slots=True)
class Adaptive:
    """What the rule remembers: the last errors of iterates that it accepted, whether mu is fixed, the largest mu."""

    recent: tuple[float, ...] = ()
    fixed: bool = False
    largest: float = np.inf

    def judged(self, at: Point) -> Adaptive:
        """After an iterate: free where the error fell enough, else fixed."""
        error = squared_error(at)
        if self.recent and error > PROGRESS * max(self.recent):
            return Adaptive(self.recent, True, self.largest)
        return Adaptive((*self.recent, error)[-REMEMBERED:], False, self.largest)


def squared_error(at: Point) -> float:
    """The merit of an iterate: the squared parts of the optimality error, added up."""
    found = errors(at, 0.0)
    parts = (found.dual, found.primal, found.complementarity)
    return sum(part * part for part in parts)  # a power of a number that is too large raises, a product is infinite


def average_product(at: Point) -> float:
    """The average of g z; 0 without bounds."""
    return float(at.gaps.dot(at.z)) / len(at.z) if len(at.z) else 0.0


def predicted(at: Point, dg: np.ndarray, dz: np.ndarray) -> float:
    """mu by Mehrotra's rule from the direction (dg, dz) that aims at mu = 0."""
    now = average_product(at)
    if now <= 0.0:
        return 0.0
    alpha, alpha_z = to_boundary(at.gaps, dg, 1.0), to_boundary(at.z, dz, 1.0)
    left = float((at.gaps + alpha * dg).dot(at.z + alpha_z * dz)) / len(at.z)
    return float(min(max(left, 0.0) / now, MOST_LEFT) ** 3 * now)
