"""Many starts of one method: scattered points, their minima in clusters, and how often each was reached.

Starts are a scrambled Sobol sequence (Owen 1998, as SciPy has it). In a variable with two finite bounds they fill the
interval; where a bound is missing they spread around the start, or the bound that is there, on a logarithmic scale: as
many within 1 as between 1 and 10, 10 and 100, and so on up to `reach`. The first start is the problem's own.

The answer does not depend on the number of processes, only on the seed, unless the budget of seconds cuts it off.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optdsl.methods.driver import FEASIBLE, Ending, Limits, Method, Outcome, drive
from optdsl.methods.workers import can_fork, in_processes
from optdsl.nlp import Nlp

WORTH = 0.5
"""Seconds of work that is left, as the first run tells, from which other processes are worth their start."""

Solve = Callable[[Method[Any], Nlp, Limits], Outcome]


@dataclass(frozen=True, eq=False, slots=True)
class Cluster:
    """A minimum: the best outcome there, how many starts reached it, and the number of the first that did."""

    outcome: Outcome
    count: int
    first: int


@dataclass(frozen=True, eq=False, slots=True)
class Scattered:
    """The clusters, best first; how many starts ran, how many of those ended feasible, and the seconds."""

    clusters: tuple[Cluster, ...]
    starts: int
    feasible: int
    seconds: float

    @property
    def best(self) -> Outcome:
        """The outcome of the best cluster."""
        return self.clusters[0].outcome


def scattered_starts(problem: Nlp, count: int, seed: int, reach: float = 1e3) -> np.ndarray:
    """`count` starts (count, n), the problem's own first."""
    n = len(problem.start)
    own = np.clip(problem.start, problem.lower, problem.upper)
    if count <= 1 or n == 0:
        return own[None]
    from scipy.stats import qmc  # loads much

    sequence = qmc.Sobol(n, seed=seed) if n <= qmc.Sobol.MAXDIM else None
    # A power of two keeps the sequence balanced; what is beyond `count` is cut off.
    if sequence is not None:
        unit = sequence.random_base2(max(1, math.ceil(math.log2(count))))[: count - 1]
    else:
        unit = np.random.default_rng(seed).random((count - 1, n))
    return np.vstack([own, placed(unit, own, problem.lower, problem.upper, reach)])


def placed(unit: np.ndarray, own: np.ndarray, lower: np.ndarray, upper: np.ndarray, reach: float) -> np.ndarray:
    """Points of the unit cube (k, n) as points within the bounds."""
    low, high = np.isfinite(lower), np.isfinite(upper)
    with np.errstate(invalid="ignore"):
        within = np.where(low & high, lower + unit * (upper - lower), 0.0)
    # sinh spreads evenly near 0 and evenly in the logarithm beyond 1.
    widest = math.asinh(reach)
    size = np.maximum(1.0, np.abs(own))
    around = own + size * np.sinh((2 * unit - 1) * widest)
    above = np.where(low, lower, 0.0) + np.sinh(unit * widest) * size
    below = np.where(high, upper, 0.0) - np.sinh(unit * widest) * size
    points = np.where(low & high, within, np.where(low, above, np.where(high, below, around)))
    return np.clip(points, lower, upper)


def multistart(
    problem: Nlp,
    method: Method[Any],
    starts: int = 50,
    seed: int = 0,
    seconds: float | None = None,
    limits: Limits | None = None,
    workers: int = 1,
    solve: Solve | None = None,
    watch: Callable[[int, Outcome], None] | None = None,
    points: np.ndarray | None = None,
    worth: float = WORTH,
) -> Scattered:
    """Run the method from every start, within a budget of seconds, and sort where they ended into clusters.

    With `workers` > 1 the starts after the first run in so many processes, where the first one took so long that the
    others are `worth` some seconds. `solve` is `drive` unless given. `watch` hears the number and outcome of each.
    points (starts, n): the starts, where they are not to be scattered.
    """
    began = time.perf_counter()
    if points is None:
        points = scattered_starts(problem, starts, seed)
    outcomes: list[Outcome] = []
    for outcome in _outcomes(problem, method, points, limits or Limits(), workers, solve or _driven, seconds, worth):
        outcomes.append(outcome)
        if watch is not None:
            watch(len(outcomes) - 1, outcome)
        if outcome.ending is Ending.INTERRUPTED:
            break
        if seconds is not None and time.perf_counter() - began >= seconds:
            break
    feasible = sum(_is_point(outcome) for outcome in outcomes)
    clusters = clustered(outcomes)
    return Scattered(clusters, len(outcomes), feasible, time.perf_counter() - began)


def clustered(outcomes: list[Outcome], nearness: float = 1e-4) -> tuple[Cluster, ...]:
    """Outcomes sorted into minima: equal in value and near in the variables, both relative; best first.

    Where none is feasible, the least violated is the one cluster.
    """
    order = [k for k, outcome in enumerate(outcomes) if _is_point(outcome)]
    if not order:
        worth = [(o.record.primal if math.isfinite(o.record.primal) else math.inf) for o in outcomes]
        least = int(np.argmin(worth))
        return (Cluster(outcomes[least], 1, least),)
    order.sort(key=lambda k: (outcomes[k].record.objective, k))
    found: list[Cluster] = []
    for k in order:
        outcome = outcomes[k]
        for place, cluster in enumerate(found):
            if _same(cluster.outcome, outcome, nearness):
                found[place] = Cluster(cluster.outcome, cluster.count + 1, min(cluster.first, k))
                break
        else:
            found.append(Cluster(outcome, 1, k))
    return tuple(found)


def _is_point(outcome: Outcome) -> bool:
    """Whether a run ended at a point worth listing."""
    well = (Ending.CONVERGED, Ending.ACCEPTABLE, Ending.NO_PROGRESS)
    ended = outcome.ending in (*well, Ending.ITERATION_LIMIT, Ending.TIME_LIMIT)
    return ended and outcome.record.primal <= FEASIBLE and math.isfinite(outcome.record.objective)


def _same(one: Outcome, other: Outcome, nearness: float) -> bool:
    f, g = one.record.objective, other.record.objective
    if abs(f - g) > 1e-6 * max(1.0, abs(f)):
        return False
    return bool((np.abs(one.x - other.x) <= nearness * np.maximum(1.0, np.abs(one.x))).all())


def _outcomes(
    problem: Nlp,
    method: Method[Any],
    points: np.ndarray,
    limits: Limits,
    workers: int,
    solve: Solve,
    seconds: float | None,
    worth: float,
) -> Iterator[Outcome]:
    """The outcomes in the order of the starts."""
    began = time.perf_counter()

    def late() -> bool:
        return seconds is not None and time.perf_counter() - began >= seconds

    def run(number: int) -> Outcome:
        """One run, with what is left of the budget."""
        given = limits
        if seconds is not None:
            rest = max(seconds - (time.perf_counter() - began), 1e-3)
            given = Limits(limits.iterations, min(rest, limits.seconds or math.inf), limits.stop)
        return solve(method, _started(problem, points[number]), given)

    def alone(number: int) -> Outcome:
        """One run in another process, which is not asked to stop but ended."""
        return solve(method, _started(problem, points[number]), replace(limits, stop=None))

    def stop() -> bool:
        return late() or (limits.stop is not None and limits.stop())

    yield run(0)
    left = (time.perf_counter() - began) * (len(points) - 1)
    if workers > 1 and left > worth and can_fork():
        yield from in_processes(alone, 1, len(points), min(workers, len(points) - 1), stop)
        return
    for number in range(1, len(points)):
        yield run(number)


@dataclass(frozen=True, eq=False)
class Started:
    """The same problem with another start."""

    inner: Nlp
    start: np.ndarray

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _started(problem: Nlp, start: np.ndarray) -> Nlp:
    other: Any = Started(problem, start)
    return other


def _driven(method: Method[Any], problem: Nlp, limits: Limits) -> Outcome:
    return drive(method, problem, limits)
