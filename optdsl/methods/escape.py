"""Local solution with the second-order condition checked, and saddles left along negative curvature.

A method stops where the first-order conditions hold: that may be a saddle or a maximum, above all when it started at
one. `solve_locally` runs a method, checks the point, follows a direction of negative curvature downhill as far as the
objective falls with the violation kept small, and starts the method there; again until the check is satisfied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optdsl.methods.driver import Ending, Limits, Method, Outcome, Record, drive
from optdsl.methods.edges import Held, held_on_edges
from optdsl.methods.flat import below_flat
from optdsl.methods.interior_point import InteriorPoint
from optdsl.methods.second_order import FLAT, Curvature, SecondOrder, check
from optdsl.nlp import Nlp

MOST_ESCAPES = 6
"""How often a run goes on from a point of negative curvature."""
LOWER = 1e-9
"""By how much, relative to its size, an objective must fall to count as lower."""
FIRST_STEP, GROWTH, LONGEST = 1e-4, 2.0, 60
"""The first step along a direction relative to the point's size, its growth, and how often it may grow."""
BESIDE = 1e-2
"""How far beside a point a run starts, relative to the point's size, where rows let no straight step go down."""
NUDGE = 1e-2
"""How far a start that is stationary by accident is moved, relative to its size."""
ELSEWHERE, SHORT_RUN = 1.0, 100
"""How far other starts are from their centers, relative to their size; runs from them may take so many iterations, or
twice those of the first run."""
HIGHER = 1e-6
"""By how much an objective may rise where variables are put on edges: rounding beside an infinite slope."""
FURTHER, FEW = 3.0, 1000
"""Of up to so many variables two more starts are tried on the other side, that much further away."""
NOISE, MANY = 1e-4, 60
"""Of more variables than the second, a scaled curvature above minus the first is what long sums leave of none."""
NO_POINT = (Ending.UNBOUNDED, Ending.LOCALLY_INFEASIBLE, Ending.UNDEFINED, Ending.TIME_LIMIT, Ending.INTERRUPTED)
ENDED_WELL = (Ending.CONVERGED, Ending.ACCEPTABLE)
LEFT_FLAT = "a point that is flat to second order was left: the solve went on below it"

Watch = Callable[[int, Record, np.ndarray], None]


@dataclass(frozen=True, eq=False, slots=True)
class Escape:
    """One attempt to leave a point: its objective, the direction (n,), the objective after, whether it is lower."""

    before: float
    direction: np.ndarray
    after: float
    succeeded: bool


@dataclass(frozen=True, eq=False, slots=True)
class LocalAnswer:
    """Where a local solve ended: its outcome (iterations, evaluations and trace of all runs), what the check found.

    second_order is None where the run did not end at a stationary point. notes: what a person should hear.
    """

    outcome: Outcome
    second_order: SecondOrder | None
    escapes: tuple[Escape, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class StartedAt:
    """A problem with another start."""

    inner: Nlp
    start: np.ndarray

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def solve_locally(
    problem: Nlp,
    method: Method[Any],
    limits: Limits | None = None,
    watch: Watch | None = None,
    keep_path: bool = False,
    escapes: int = MOST_ESCAPES,
) -> LocalAnswer:
    """Run a method and leave saddles; the answer says what kind of point it is.

    limits hold for all runs together. `watch` hears iterations numbered through. A convex problem (`problem.convex`)
    needs no check: its second_order is None.
    """
    limits = limits or Limits()
    outcome = drive(method, problem, limits, watch, keep_path)
    notes: list[str] = []
    if outcome.ending is Ending.LOCALLY_INFEASIBLE and not problem.convex:
        outcome, note = _from_elsewhere(problem, method, limits, watch, keep_path, outcome)
        notes.append(note)
    if outcome.ending not in NO_POINT:
        outcome = _on_edges(problem, limits, watch, keep_path, outcome)
    if problem.convex or outcome.ending not in ENDED_WELL:
        return LocalAnswer(outcome, None, (), tuple(notes))
    found: SecondOrder | None = _checked(problem, outcome)
    tried: list[Escape] = []
    stuck = _nudged_start(problem, outcome, found) if found is not None else None
    if stuck is not None:
        again = _run(StartedAt(problem, stuck), method, limits, watch, keep_path, outcome)
        notes.append("the start is stationary by accident: it was moved a little")
        if _is_better(again, outcome):
            outcome = _joined(outcome, again)
            found = _checked(problem, outcome) if outcome.ending in ENDED_WELL else None
        else:
            outcome = _effort(outcome, again)
    while found is not None and len(tried) < escapes:
        if found.direction is None:
            lower = _below_flat(problem, method, limits, watch, keep_path, outcome, found)
            if lower is None:
                break
            tried.extend(lower.attempts)
            outcome = lower.outcome
            if not lower.succeeded:
                break
            if LEFT_FLAT not in notes:
                notes.append(LEFT_FLAT)
            found = _checked(problem, outcome) if outcome.ending in ENDED_WELL else None
            continue
        left = _escaped(problem, method, limits, watch, keep_path, outcome, found.direction)
        tried.extend(left.attempts)
        outcome = left.outcome
        if not left.succeeded:
            if found.least > -FLAT and left.attempts:  # as flat as rounding leaves it, and no lower point either way
                found = replace(found, curvature=Curvature.SATISFIED, direction=None)
            else:
                notes.append("negative curvature was found, but following it led to no lower point")
            break
        notes.append("a point with negative curvature was left: the solve went on below it")
        found = _checked(problem, outcome) if outcome.ending in ENDED_WELL else None
    return LocalAnswer(outcome, found, tuple(tried), tuple(notes))


def _from_elsewhere(
    problem: Nlp,
    method: Method[Any],
    limits: Limits,
    watch: Watch | None,
    keep_path: bool,
    outcome: Outcome,
) -> tuple[Outcome, str]:
    """Runs from other starts where a run found only a least violation: the first that ends well, else the first one.

    What is infeasible from one start may be feasible from another; none of it proves anything.
    """
    first = outcome
    origin = np.clip(problem.start, problem.lower, problem.upper)
    centers = (origin, first.x, np.zeros_like(origin), first.x, origin)[: 5 if len(origin) <= FEW else 3]
    variants = getattr(method, "variants", (method,))
    for number, center in enumerate(centers, start=1):
        far = ELSEWHERE if number <= 3 else -FURTHER
        spread = far * np.maximum(1.0, np.abs(center)) * _pattern(len(center), number)
        start = np.clip(center + spread, problem.lower, problem.upper)
        most = outcome.iterations + max(SHORT_RUN, 2 * first.iterations)
        shorter = replace(limits, iterations=min(limits.iterations, most))
        variant = variants[number % len(variants)]
        again = _run(StartedAt(problem, start), variant, shorter, watch, keep_path, outcome)
        if again.ending in ENDED_WELL or again.ending is Ending.UNBOUNDED:
            return _joined(outcome, again), "the given start led to no feasible point, another one did"
        outcome = _effort(outcome, again)
        if outcome.iterations >= limits.iterations:
            break
    return outcome, "no feasible point was found from the given start nor from others"


def _on_edges(
    problem: Nlp,
    limits: Limits,
    watch: Watch | None,
    keep_path: bool,
    outcome: Outcome,
) -> Outcome:
    """The outcome with variables put on bounds at which slopes are infinite, where that ends well and no higher."""
    held = held_on_edges(problem, outcome)
    if held is None:
        return outcome
    # Only a method that leaves fixed variables out can have infinite slopes beside it.
    again = _run(held, InteriorPoint(), limits, watch, keep_path, outcome)
    size = max(1.0, abs(outcome.record.objective))
    lower = again.record.objective <= outcome.record.objective + HIGHER * size
    return _joined(outcome, again) if again.ending in ENDED_WELL and lower else _effort(outcome, again)


@dataclass(frozen=True, eq=False, slots=True)
class _Left:
    outcome: Outcome
    attempts: tuple[Escape, ...]
    succeeded: bool


def _checked(problem: Nlp, outcome: Outcome) -> SecondOrder:
    with np.errstate(all="ignore"):
        found = check(problem, outcome.x, outcome.row_multipliers, outcome.bound_multipliers)
    if found.curvature is Curvature.VIOLATED and found.least > -NOISE and len(outcome.x) > MANY:
        return replace(found, curvature=Curvature.SATISFIED, direction=None)
    return found


def _escaped(
    problem: Nlp,
    method: Method[Any],
    limits: Limits,
    watch: Watch | None,
    keep_path: bool,
    outcome: Outcome,
    direction: np.ndarray,
) -> _Left:
    """The outcome of the first run from below the point that ends lower, trying both signs, the lower one first."""
    attempts: list[Escape] = []
    starts = [(_downhill(problem, outcome, sign * direction), sign) for sign in (1.0, -1.0)]
    with np.errstate(all="ignore"):
        starts.sort(key=lambda pair: float(problem.objective(pair[0])))
    for start, sign in starts:
        if np.array_equal(start, outcome.x):
            if not len(problem.row_lower):
                continue
            # rows that curve hide the way down: the method finds it from beside the point
            beside = outcome.x + BESIDE * max(1.0, float(np.linalg.norm(outcome.x))) * sign * direction
            start = np.clip(beside, problem.lower, problem.upper)
        again = _run(StartedAt(problem, start), method, limits, watch, keep_path, outcome)
        lower = _is_better(again, outcome)
        attempts.append(Escape(outcome.record.objective, sign * direction, again.record.objective, lower))
        if lower:
            return _Left(_joined(outcome, again), tuple(attempts), True)
        outcome = _effort(outcome, again)
        if outcome.iterations >= limits.iterations:
            break
    return _Left(outcome, tuple(attempts), False)


def _below_flat(
    problem: Nlp,
    method: Method[Any],
    limits: Limits,
    watch: Watch | None,
    keep_path: bool,
    outcome: Outcome,
    found: SecondOrder,
) -> _Left | None:
    """The run from a lower point along a direction that is flat to second order; None where there is no such point."""
    if found.curvature is not Curvature.SATISFIED:
        return None
    start = below_flat(problem, outcome.x, outcome.row_multipliers, outcome.bound_multipliers)
    if start is None:
        return None
    again = _run(StartedAt(problem, start), method, limits, watch, keep_path, outcome)
    lower = _is_better(again, outcome) or _went_on(again, outcome)
    attempt = Escape(outcome.record.objective, start - outcome.x, again.record.objective, lower)
    return _Left(_joined(outcome, again) if lower else _effort(outcome, again), (attempt,), lower)


def _downhill(problem: Nlp, outcome: Outcome, direction: np.ndarray) -> np.ndarray:
    """The point along a direction, kept in the bounds, to which the objective falls without much violation.

    Rows that curve are left by the square of the step; the method that starts there brings them back.
    """
    x = outcome.x
    best, lowest = x, outcome.record.objective
    step = FIRST_STEP * max(1.0, float(np.linalg.norm(x)))
    with np.errstate(all="ignore"):
        allowed = 1e-6 + _violation(problem, x)
        for _ in range(LONGEST):
            trial = np.clip(x + step * direction, problem.lower, problem.upper)
            value = float(problem.objective(trial))
            falls = np.isfinite(value) and value < lowest
            if not falls or _violation(problem, trial) > allowed + 0.1 * step or np.array_equal(trial, best):
                break
            best, lowest = trial, value
            step *= GROWTH
    return best


def _violation(problem: Nlp, x: np.ndarray) -> float:
    values = problem.constraints(x)
    outside = np.maximum(problem.row_lower - values, values - problem.row_upper)
    worst = float(outside.max(initial=0.0))
    return worst if np.isfinite(worst) else np.inf


def _nudged_start(problem: Nlp, outcome: Outcome, found: SecondOrder) -> np.ndarray | None:
    """Another start where variables that matter never moved from a symmetric one; None where none did.

    A variable that the functions know of, whose gradient is exactly 0 at the start and that ends where it started, has
    been kept there by symmetry (zeros in a product). A strict minimum is one all the same.
    """
    if found.strict:
        return None
    lower, upper = problem.lower, problem.upper
    origin = np.clip(problem.start, lower, upper)
    still = (outcome.x == origin) & (lower < upper) & (origin > lower) & (origin < upper)
    if not still.any():
        return None
    moved = origin + NUDGE * np.maximum(1.0, np.abs(origin)) * _pattern(len(origin), 1)
    start = np.where(still, np.clip(moved, lower, upper), outcome.x)
    with np.errstate(all="ignore"):
        slope = np.abs(problem.gradient(start)) + _row_slopes(problem, start)
        matters = still & (slope > 0)
        start = np.where(matters, start, outcome.x)
        defined = np.isfinite(problem.objective(start)) and np.isfinite(problem.constraints(start)).all()
    return start if matters.any() and defined else None


def _pattern(count: int, number: int) -> np.ndarray:
    """Signs and sizes up to 1, equidistributed (multiples of the golden ratio): no two alike, the same in every run."""
    values = 2.0 * np.mod(number * np.arange(1, count + 1) * 0.6180339887498949, 1.0) - 1.0
    return np.where(np.abs(values) < 0.1, 0.5, values)


def _row_slopes(problem: Nlp, x: np.ndarray) -> np.ndarray:
    pattern = problem.jacobian_pattern
    return np.bincount(pattern.columns, weights=np.abs(problem.jacobian(x)), minlength=len(x))


def _run(
    problem: StartedAt | Held,
    method: Method[Any],
    limits: Limits,
    watch: Watch | None,
    keep_path: bool,
    before: Outcome,
) -> Outcome:
    """Another run of the method with what is left of the limits, its iterations numbered on."""
    seconds = None if limits.seconds is None else max(0.0, limits.seconds - before.seconds)
    rest = replace(limits, iterations=max(0, limits.iterations - before.iterations), seconds=seconds)
    heard = None
    if watch is not None:
        tell = watch

        def heard(iteration: int, record: Record, x: np.ndarray) -> None:
            tell(before.iterations + iteration, record, x)

    return drive(method, problem, rest, heard, keep_path)


def _is_better(new: Outcome, old: Outcome) -> bool:
    """Whether a run ended well and lower, or falls forever."""
    if new.ending is Ending.UNBOUNDED:
        return True
    size = max(1.0, abs(old.record.objective), abs(new.record.objective))
    return new.ending in ENDED_WELL and new.record.objective < old.record.objective - LOWER * size


def _went_on(new: Outcome, old: Outcome) -> bool:
    """Whether a run that came to no end is lower by its last point, which fulfills the rows."""
    fulfilled = new.record.primal <= max(HIGHER, old.record.primal)
    return new.ending is Ending.ITERATION_LIMIT and fulfilled and new.record.objective < old.record.objective


def _joined(first: Outcome, last: Outcome) -> Outcome:
    """The last outcome with the effort of both."""
    return _merged(last, first, last)


def _effort(kept: Outcome, again: Outcome) -> Outcome:
    """An outcome that is kept, with the effort of another run after it."""
    return _merged(kept, kept, again)


def _merged(answer: Outcome, first: Outcome, last: Outcome) -> Outcome:
    """An outcome with the iterations, evaluations, trace, notes and path of two runs, one after the other."""
    shift = np.zeros(last.trace.shape[1])
    shift[0], shift[-2], shift[-1] = first.iterations, first.trace[-1, -2], first.seconds
    paths = None
    if first.path is not None and last.path is not None:
        paths = np.vstack([first.path, last.path])
    kinds = {**first.evaluations, **last.evaluations}
    return replace(
        answer,
        iterations=first.iterations + last.iterations,
        seconds=first.seconds + last.seconds,
        evaluations={k: first.evaluations.get(k, 0) + last.evaluations.get(k, 0) for k in kinds},
        trace=np.vstack([first.trace, last.trace + shift]),
        notes=(*first.notes, *((first.iterations + k, note) for k, note in last.notes)),
        path=paths,
    )
