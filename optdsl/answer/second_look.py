"""Other starts for small models that are not convex: a local method sees only the valley that it starts in.

A few more runs of a small model cost less than its text took to read, and often find a lower point or a feasible one.
The starts are points of a Sobol sequence in the box of the bounds, or around the first start where there are none:
the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import qmc

from optdsl.engine.problem import ModelProblem
from optdsl.engine.starts import defined
from optdsl.methods.driver import Ending, Limits, Method
from optdsl.methods.escape import LocalAnswer, StartedAt, solve_locally

SMALL = 30
"""Up to so many variables a second look is taken; rows up to twice as many."""
LOOKS, PATIENT_LOOKS = 5, 12
"""Other starts after a run that ended well, and after one that did not."""
REACH = (1.0, 10.0)
"""Distances from the first start, relative to its size, where there are no bounds."""
LOWER = 1e-7
ENDED_WELL = (Ending.CONVERGED, Ending.ACCEPTABLE)


@dataclass(frozen=True, eq=False)
class Look:
    """The best answer of all starts, and what a person should hear of them."""

    answer: LocalAnswer
    note: str = ""


def look_again(problem: ModelProblem, method: Method[Any], answer: LocalAnswer, limits: Limits) -> Look:
    """The best of the first answer and those from other starts; large or convex problems are left as they are."""
    if problem.convex or problem.width > SMALL or problem.count > 2 * SMALL or not problem.width:
        return Look(answer)
    well = answer.outcome.ending in ENDED_WELL
    if answer.outcome.ending in (Ending.TIME_LIMIT, Ending.INTERRUPTED, Ending.UNBOUNDED):
        return Look(answer)
    best, tried, lower = answer, 0, 0
    short = replace(limits, iterations=min(limits.iterations, 500))
    for start in _starts(problem, LOOKS if well else PATIENT_LOOKS):
        if limits.stop is not None and limits.stop():
            break
        found = solve_locally(StartedAt(problem, start), method, short)
        tried += 1
        if _is_better(found, best):
            best, lower = found, lower + 1
            if not well:
                break
    if not tried:
        return Look(answer)
    count = "1 other start was" if tried == 1 else f"{tried} other starts were"
    led = "one led to a better point" if lower else "none led to a better point"
    return Look(best, f"{count} tried: {led}")


def _is_better(new: LocalAnswer, old: LocalAnswer) -> bool:
    """Whether an answer ended well, and lower than an old one that did."""
    if new.outcome.ending not in ENDED_WELL:
        return False
    if old.outcome.ending not in ENDED_WELL:
        return True
    mine, other = new.outcome.record.objective, old.outcome.record.objective
    return mine < other - LOWER * max(1.0, abs(other))


def _starts(problem: ModelProblem, count: int) -> Iterator[np.ndarray]:
    """Other starts at which all functions are defined."""
    origin = np.clip(problem.start, problem.lower, problem.upper)
    points = qmc.Sobol(problem.width, seed=7).random(16 if count > 7 else 8)
    given = 0
    for k, point in enumerate(points):
        reach = REACH[k % len(REACH)] * np.maximum(1.0, np.abs(origin))
        low = np.where(np.isfinite(problem.lower), problem.lower, np.minimum(origin, problem.upper) - reach)
        high = np.where(np.isfinite(problem.upper), problem.upper, np.maximum(origin, problem.lower) + reach)
        # a bound that is far away says little about where solutions are
        low, high = np.maximum(low, origin - 100 * reach), np.minimum(high, origin + 100 * reach)
        start = low + point * (high - low)
        with np.errstate(all="ignore"):
            if defined(problem, start):
                yield start
                given += 1
        if given == count:
            return
