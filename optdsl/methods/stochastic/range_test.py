"""`rate = auto`: a short range test that finds a rate (Smith 2017, section 3.3).

From the start, steps are taken with a rate that grows by a tenth of a decade each, until the loss on one fixed batch
is four times as far above its least value as the start was, or is not finite. A tenth of the rate at which that loss
was least is chosen: far enough from where steps become unstable, and most of the fall is there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from optdsl.methods.stochastic.batches import Batches
from optdsl.methods.stochastic.run import FeasibleSet
from optdsl.methods.stochastic.updates import Stepper, Update
from optdsl.nlp import FiniteSum

LEAST, MOST = 1e-10, 1e6
PER_DECADE = 10
JUDGED = 256
FALLBACK = 1e-3


@dataclass(frozen=True, slots=True)
class Found:
    """The rate, whether the loss fell at all, and how many steps were looked at."""

    rate: float
    fell: bool
    steps: int

    @property
    def note(self) -> str:
        """What a person hears."""
        if not self.fell:
            return f"rate = auto: no rate made the loss fall within {self.steps} steps, so it is {self.rate:g}"
        return (
            f"rate = auto: a range test of {self.steps} steps chose {self.rate:g}, "
            "a tenth of the rate at which the loss was least"
        )


def find_rate(problem: FiniteSum, update: Update, batches: Batches, feasible: FeasibleSet, clip: float = 0.0) -> Found:
    """The rate that the range test chooses, rounded to two digits. The batches are those of the first epoch."""
    x = problem.start.astype(problem.dtype)
    feasible.project(x)
    stepper = Stepper(update, len(x), x.dtype, feasible.coupled)
    gradient, unused = np.zeros_like(x), np.zeros_like(x)
    judged = slice(0, problem.members) if problem.members <= JUDGED else _judged(batches)
    first = best = problem.estimate(x, judged, unused)
    best_rate, count = LEAST, 0
    with np.errstate(all="ignore"):
        for count in range(round(PER_DECADE * math.log10(MOST / LEAST)) + 1):
            rate = LEAST * 10 ** (count / PER_DECADE)
            number = batches.number(count % batches.count)
            problem.estimate(x, batches.members_of(number), gradient)
            clipped(gradient, clip)
            stepper.step(x, gradient, rate)
            feasible.project(x)
            loss = problem.estimate(x, judged, unused)
            if not math.isfinite(loss) or loss > best + 4 * max(first - best, 1e-6 * abs(first), 1e-300):
                break
            if loss < best:
                best, best_rate = loss, rate
    fell = math.isfinite(first) and best < first - 1e-9 * abs(first)
    return Found(float(f"{best_rate / 10:.2g}") if fell else FALLBACK, fell, count + 1)


def _judged(batches: Batches) -> np.ndarray | slice:
    if batches.count == 1:
        return batches.members_of(0)
    count = min(batches.count, -(-JUDGED // batches.size))
    return np.concatenate([np.asarray(batches.members_of(number)) for number in range(count)])


def clipped(gradient: np.ndarray, clip: float) -> float:
    """The norm, before a gradient longer than `clip` (0: none) is cut to it: Pascanu and others 2013, algorithm 1."""
    square = float(np.dot(gradient, gradient))
    if not math.isfinite(square) or square < 1e-30:
        square = float(np.square(gradient, dtype=np.float64).sum())
    norm = math.sqrt(square)
    if clip and norm > clip:
        np.multiply(gradient, clip / norm, out=gradient)
    return norm
