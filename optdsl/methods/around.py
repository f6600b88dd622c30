"""Lower valleys of a function in a box, looked for from the lowest point known (basin hopping along lines).

From the best point lines are drawn through the box: along each axis, to the center of the lowest minima, along
differences of minima, and in random directions. The function is only evaluated on them; the lowest points of the lines
that lie in other valleys are starts of a local method, and where that leads lower it goes on from there. Functions that
are nearly sums of functions of single variables fall to the axes, those with rings of minima to the centers. Nothing is
proved by it. After Wales and Doye (1997) and the line searches of Rinnooy Kan and Timmer (1987), with lines for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optdsl.nlp import Nlp

SAMPLES = 48
"""Points of a line that are evaluated."""
LINES, RUNS = 12, 3
"""Random lines of a round, and the runs that start from the lowest points of its lines."""
PATIENCE = 8
"""Rounds without a lower point that end the search."""
LOWER = 1e-7
KEPT, SAME = 8, 1e-3
"""The lowest minima, whose center is a start and whose differences give lines; apart by a share of the box."""

Run = Callable[[np.ndarray], tuple[np.ndarray, float] | None]
"""`run(start)`: the local minimum that a method finds from there and its value; None where it ends badly."""


@dataclass(frozen=True, eq=False)
class Around:
    """The lowest point (n,) found and its value, the start that led there (None: none was lower), and how many ran."""

    x: np.ndarray
    value: float
    start: np.ndarray | None
    runs: int


def look_around(
    problem: Nlp,
    run: Run,
    x: np.ndarray,
    value: float,
    minima: list[tuple[np.ndarray, float]],
    seconds: float,
    seed: int = 0,
) -> Around:
    """The lowest point that is found around x (n,) in a finite box; `minima` are others known, with their values."""
    random = np.random.default_rng(seed)
    began = time.perf_counter()
    known = [(x, value), *minima]
    lead: np.ndarray | None = None
    runs, idle, fresh = 0, 0, True

    def late() -> bool:
        return time.perf_counter() - began >= seconds

    while idle < PATIENCE and not late():
        lowest = _apart(known, problem.upper - problem.lower)
        directions = _directions(problem, x, lowest, random, axes=fresh)
        found = [_lowest_elsewhere(problem, x, value, direction, random) for direction in directions]
        starts = sorted((pair for pair in found if pair is not None), key=lambda pair: pair[0])
        fresh = False
        for start in (lowest.mean(axis=0), *(start for _, start in starts[:RUNS])):
            if late():
                break
            runs += 1
            ended = run(start)
            if ended is None:
                continue
            known.append(ended)
            if ended[1] < value - LOWER * max(1.0, abs(value)):
                x, value, lead, fresh = ended[0], ended[1], start, True
        idle = 0 if fresh else idle + 1
    return Around(x, value, lead, runs)


def _apart(known: list[tuple[np.ndarray, float]], width: np.ndarray) -> np.ndarray:
    """The lowest minima (k, n), no two of them at the same place."""
    found: list[np.ndarray] = []
    for x, _ in sorted(known, key=lambda pair: pair[1]):
        if all((np.abs(x - other) > SAME * width).any() for other in found):
            found.append(x)
        if len(found) == KEPT:
            break
    return np.array(found)


def _directions(
    problem: Nlp, x: np.ndarray, recent: np.ndarray, random: np.random.Generator, axes: bool
) -> list[np.ndarray]:
    """Directions of lines through x: to minima (k, n) and their center, and at random in the box's own units."""
    width = problem.upper - problem.lower
    n = len(x)
    found = [row * width for row in np.eye(n)] if axes else []
    found.append(recent.mean(axis=0) - x)
    for _ in range(LINES // 3):
        one, other = random.integers(len(recent), size=2)
        found.append(recent[one] - recent[other])
        found.append(recent[one] - x)
    for _ in range(LINES // 3):
        some = random.random(n) < max(0.3, 2.0 / n)
        found.append(random.normal(size=n) * width * some)
        found.append(random.normal(size=n) * width)
    return [d for d in found if np.abs(d).max(initial=0.0) > 1e-9 * np.abs(width).max(initial=0.0)]


def _lowest_elsewhere(
    problem: Nlp, x: np.ndarray, value: float, direction: np.ndarray, random: np.random.Generator
) -> tuple[float, np.ndarray] | None:
    """The lowest of points on a line through x that are not in x's own valley there; None where there are none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(problem.lower - x) / direction, (problem.upper - x) / direction])
    ends = np.where(direction == 0, np.array([[-np.inf], [np.inf]]), ends)
    low, high = float(ends.min(axis=0).max()), float(ends.max(axis=0).min())
    if not high > low:
        return None
    steps = low + (high - low) * (np.arange(SAMPLES) + random.random(SAMPLES)) / SAMPLES
    points = np.clip(x + steps[:, None] * direction, problem.lower, problem.upper)
    with np.errstate(all="ignore"):
        values = np.array([problem.objective(point) for point in points])
    values = np.where(np.isfinite(values), values, np.inf)
    elsewhere = np.ones(SAMPLES, dtype=bool)
    for side in (np.flatnonzero(steps >= 0), np.flatnonzero(steps < 0)[::-1]):
        rising = values[side] >= np.concatenate([[value], values[side][:-1]])
        first_fall = int(np.argmin(rising)) if not rising.all() else len(side)
        elsewhere[side[:first_fall]] = False
    if not elsewhere.any():
        return None
    best = int(np.argmin(np.where(elsewhere, values, np.inf)))
    return None if not np.isfinite(values[best]) else (float(values[best]), points[best])
