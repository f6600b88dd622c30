"""Other starts for small models that are not convex: a local method sees only the valley that it starts in.

A few more runs of a small model cost less than its text took to read, and often find a lower point or a feasible one.
The starts are spread evenly in the box of the bounds, or around the first start where there are none: the same in
every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optdsl.answer.kinked import stuck_at_tip
from optdsl.engine.problem import ModelProblem
from optdsl.engine.starts import defined
from optdsl.methods.around import look_around
from optdsl.methods.driver import FEASIBLE, Ending, Limits, Method, Outcome, Record
from optdsl.methods.escape import LocalAnswer, StartedAt, solve_locally
from optdsl.methods.multistart import multistart, scattered_starts

SMALL = 30
"""Up to so many variables a second look is taken; rows up to twice as many."""
LOOKS, PATIENT_LOOKS = 8, 16
"""Other starts after a run that ended well, and after one that did not."""
REACH = (1.0, 2.0, 5.0, 10.0)
"""Distances from the first start, relative to its size, where there are no bounds."""
POINTS_A_VARIABLE, MOST_POINTS = 128, 1024
"""Points of a box whose values are looked at."""
PROMISING, APART = 24, 0.08
"""How many of them are starts, and how far they are apart, as a share of the box."""
LOWER = 1e-7
SAME = 1e-2
"""Closer to the best point than this, relative to its size, a run will end there: it is not followed to its end."""
AGREEING, MOST_AGREEING = 3, 5
"""So many runs that all led to the first point or its value, one a variable between these numbers, are enough."""
EFFORT, LEAST_EFFORT = 2, 25
"""Other starts take about so many times the iterations of a first run that ended well, at least the second number."""
JUMP_LOOKS, JUMPS = 16, 3.0
"""Other starts of a search by values, and the seconds that they may take."""
AROUND = 2.0
"""Seconds that the look for lower valleys around the best point may take."""
ENDED_WELL = (Ending.CONVERGED, Ending.ACCEPTABLE)


@dataclass(frozen=True, eq=False)
class Look:
    """The best answer of all starts, and what a person should hear of them."""

    answer: LocalAnswer
    note: str = ""


def look_again(
    problem: ModelProblem, method: Method[Any], answer: LocalAnswer, limits: Limits, given: bool = True
) -> Look:
    """The best of the first answer and those from other starts; large or convex problems are left as they are.

    given: whether the model gives a start. Where it does not, and there are bounds alone, the starts are the most
    promising of many points in the box. A method's variants take turns. Kinks make many valleys: where they are lifted,
    no start is spared.
    """
    if problem.convex or problem.width > SMALL or problem.count > 2 * SMALL or not problem.width:
        return Look(answer)
    well = _well(problem, answer)
    if answer.outcome.ending in (Ending.TIME_LIMIT, Ending.INTERRUPTED, Ending.UNBOUNDED):
        return Look(answer)
    if well and _is_least(problem, answer):
        return Look(answer)
    best, tried, lower, agreeing = answer, 0, 0, 0
    minima = [answer]
    spent, effort = 0, max(LEAST_EFFORT, EFFORT * answer.outcome.iterations)
    short = replace(limits, iterations=min(limits.iterations, 500))
    count = LOOKS if well else PATIENT_LOOKS
    scattered = _is_box(problem) and not given
    enough = PROMISING if scattered else min(max(AGREEING, problem.width), MOST_AGREEING)
    variants = getattr(method, "variants", (method,))
    for start in _scattered(problem) if scattered else _starts(problem, count):
        if limits.stop is not None and limits.stop():
            break
        if well and not scattered and not problem.kinks.lifted and spent >= effort:
            break
        found, iterations = _elsewhere(problem, variants[tried % len(variants)], short, start, best)
        spent += iterations
        tried += 1
        if found is None or _is_level(found, best):
            agreeing += 1
            if agreeing == tried == enough:
                break
            continue
        if _well(problem, found):
            minima.append(found)
        if _is_better(problem, found, best):
            best, lower = found, lower + 1
            if not well and problem.count:
                break
    if not tried:
        return Look(answer)
    more = 0
    if scattered and well:
        before = best
        best, more = _around(problem, method, best, minima, short)
        lower += best is not before
    looked = "1 other start was" if tried == 1 else f"{tried} other starts were"
    led = "the best of them is better" if lower else "none led to a better point"
    also = f", and {more} around the best point within {AROUND:g} s" if more else ""
    return Look(best, f"{looked} tried{also}: {led}")


def _around(
    problem: ModelProblem, method: Method[Any], best: LocalAnswer, minima: list[LocalAnswer], limits: Limits
) -> tuple[LocalAnswer, int]:
    """The best answer from lower valleys around the best one, and how many runs looked for them."""
    answers: list[LocalAnswer] = []
    stop = limits.stop

    def run(start: np.ndarray) -> tuple[np.ndarray, float] | None:
        if stop is not None and stop():
            return None
        answers.append(solve_locally(StartedAt(problem, start), method, limits))
        found = answers[-1].outcome
        return (found.x, found.record.objective) if _well(problem, answers[-1]) else None

    outcome = best.outcome
    seconds = AROUND if limits.seconds is None else min(AROUND, limits.seconds)
    known = [(answer.outcome.x, answer.outcome.record.objective) for answer in minima if answer is not best]
    found = look_around(problem, run, outcome.x, outcome.record.objective, known, seconds)
    for answer in answers:
        if _is_better(problem, answer, best):
            best = answer
    return best, found.runs


def look_by_values(problem: ModelProblem, method: Method[Any], outcome: Outcome, limits: Limits) -> tuple[Outcome, str]:
    """The best of the first outcome of a search by values and those from other starts, and a note on them."""
    if outcome.ending in (Ending.TIME_LIMIT, Ending.INTERRUPTED, Ending.UNBOUNDED) or not problem.width:
        return outcome, ""
    seconds = JUMPS if limits.seconds is None else min(JUMPS, limits.seconds)
    points = scattered_starts(problem, JUMP_LOOKS + 1, 0, REACH[-1])[1:]
    found = multistart(problem, method, seconds=seconds, limits=limits, points=points)
    best = found.best
    told = f"{found.starts} other starts were tried within {JUMPS:g} s"
    lower = best.record.objective < outcome.record.objective - LOWER * max(1.0, abs(outcome.record.objective))
    if found.feasible and (lower or outcome.record.primal > FEASIBLE):
        return best, f"{told}: the best of them is better"
    return outcome, f"{told}: none led to a better point"


def _is_least(problem: ModelProblem, answer: LocalAnswer) -> bool:
    """Whether no point can be lower: a sum of squares that is 0, but for what it is above."""
    squares = problem.residuals
    if squares is None:
        return False
    least = squares.constant
    return answer.outcome.record.objective <= least + LOWER * max(1.0, abs(least))


class _Known(Exception):
    """A run is on its way to a point that is known."""


def _elsewhere(
    problem: ModelProblem, method: Method[Any], limits: Limits, start: np.ndarray, best: LocalAnswer
) -> tuple[LocalAnswer | None, int]:
    """The answer from another start, None where the run leads to the best point that is known; the iterations."""
    known = best.outcome
    if known.ending not in ENDED_WELL:
        found = solve_locally(StartedAt(problem, problem.settled(start)), method, limits)
        return found, found.outcome.iterations
    iterations = 0
    size = SAME * np.maximum(1.0, np.abs(known.x))

    def watch(iteration: int, record: Record, x: np.ndarray) -> None:
        nonlocal iterations
        iterations = iteration
        if (np.abs(x - known.x) <= size).all() and record.primal <= SAME:
            raise _Known

    try:
        found = solve_locally(StartedAt(problem, problem.settled(start)), method, limits, watch)
    except _Known:
        return None, iterations
    return found, found.outcome.iterations


def _well(problem: ModelProblem, answer: LocalAnswer) -> bool:
    """Whether a run ended well, or at a tip, from where no method goes on."""
    return answer.outcome.ending in ENDED_WELL or stuck_at_tip(problem, answer)


def _is_better(problem: ModelProblem, new: LocalAnswer, old: LocalAnswer) -> bool:
    """Whether an answer ended well, and lower than an old one that did."""
    if not _well(problem, new):
        return False
    if not _well(problem, old):
        return True
    mine, other = new.outcome.record.objective, old.outcome.record.objective
    return mine < other - LOWER * max(1.0, abs(other))


def _is_level(new: LocalAnswer, old: LocalAnswer) -> bool:
    """Whether two answers that ended well have one value: a model with symmetries has its solutions several times."""
    if new.outcome.ending not in ENDED_WELL or old.outcome.ending not in ENDED_WELL:
        return False
    mine, other = new.outcome.record.objective, old.outcome.record.objective
    return abs(mine - other) <= LOWER * max(1.0, abs(other))


def _spread(width: int, count: int) -> np.ndarray:
    """Points spread evenly over the unit cube (count, width), the same in every run.

    The additive recurrence of the generalized golden ratio: the root of g^(d+1) = g + 1 (Roberts 2018).
    """
    ratio = 2.0
    for _ in range(60):
        ratio = (1.0 + ratio) ** (1.0 / (width + 1))
    steps = ratio ** -np.arange(1.0, width + 1)
    return np.asarray((0.5 + np.arange(1, count + 1)[:, None] * steps) % 1.0)


def _is_box(problem: ModelProblem) -> bool:
    """Whether finite bounds are all that there is."""
    return not problem.count and bool(np.isfinite(problem.lower).all() and np.isfinite(problem.upper).all())


def _scattered(problem: ModelProblem) -> Iterator[np.ndarray]:
    """The lowest of many points in a box, no two of them close to each other."""
    unit = _spread(problem.width, min(MOST_POINTS, POINTS_A_VARIABLE * problem.width))
    width = problem.upper - problem.lower
    with np.errstate(all="ignore"):
        values = np.array([problem.objective(problem.lower + point * width) for point in unit])
    order = np.argsort(np.where(np.isfinite(values), values, np.inf), kind="stable")
    chosen: list[np.ndarray] = []
    for point in unit[order[np.isfinite(values[order])]]:
        if all(np.abs(point - other).max() > APART for other in chosen):
            chosen.append(point)
            yield problem.lower + point * width
        if len(chosen) == PROMISING:
            return


def _starts(problem: ModelProblem, count: int) -> Iterator[np.ndarray]:
    """Other starts at which all functions are defined."""
    origin = np.clip(problem.start, problem.lower, problem.upper)
    points = _spread(problem.width, count + 1)
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
