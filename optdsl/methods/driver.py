"""The one loop around every method: clock, limits, trace, news, interruption, and the best point kept.

A method is settings with `start` and `step`:

    state = method.start(problem)
    while state.ending is None:
        state = method.step(problem, state)

States are frozen records; a step returns a new one.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from optdsl.nlp import Counted, Nlp


class Ending(enum.Enum):
    """How a method's run ended; the value is the sentence that a person reads."""

    CONVERGED = "the first-order conditions hold within the tolerance"
    ACCEPTABLE = "the first-order conditions nearly hold, and no step improves the point any more"
    LOCALLY_INFEASIBLE = "the constraint violation cannot be reduced from here, yet it is not zero"
    UNBOUNDED = "the objective falls below every number along the steps"
    NO_PROGRESS = "no step along the direction improves the point any more"
    UNDEFINED = "the functions are undefined at the start"
    ITERATION_LIMIT = "the iteration limit was reached"
    TIME_LIMIT = "the time limit was reached"
    INTERRUPTED = "the run was interrupted"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the trace.

    objective: f(x). primal: largest violation of a row or bound. dual: largest entry of the Lagrangian's gradient
    (with complementarity, as the method's paper measures optimality). step: length of the step taken, as a share of
    the whole step where there is one. penalty: barrier or penalty parameter, nan where there is none. note: what a
    person should hear about this iteration, else empty.
    """

    objective: float
    primal: float
    dual: float
    step: float = float("nan")
    penalty: float = float("nan")
    note: str = ""


class State(Protocol):
    """What every method's state offers: the point, its multipliers (nlp's signs), the line of the trace, the ending.

    x (n,), row_multipliers (m,), bound_multipliers (n,); `ending` is None while the method goes on.
    """

    @property
    def x(self) -> np.ndarray: ...

    @property
    def row_multipliers(self) -> np.ndarray: ...

    @property
    def bound_multipliers(self) -> np.ndarray: ...

    @property
    def record(self) -> Record: ...

    @property
    def ending(self) -> Ending | None: ...


S = TypeVar("S", bound=State)


class Method(Protocol[S]):
    """Settings with `start` and `step`; `name` is what `solve using` calls it."""

    @property
    def name(self) -> str: ...

    def start(self, problem: Nlp) -> S:
        """The state at the problem's start."""

    def step(self, problem: Nlp, state: S) -> S:
        """The state one iteration later."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run stops that did not end by itself; `stop` is asked at every iteration."""

    iterations: int = 3000
    seconds: float | None = None
    stop: Callable[[], bool] | None = None


COLUMNS = ("iter", "objective", "primal", "dual", "step", "penalty", "evaluations", "seconds")


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """How a run ended and where: the last point, or the best one where the run was cut off.

    trace (iterations + 1, len(COLUMNS)); path (iterations + 1, n) only where it was asked for; notes are those of
    the records, with their iteration. ray (n,): of an unbounded run the direction of its last step, of length 1.
    last_step: the largest entry, relative to max(1, |x|), of the whole Newton step that led to x, everything active
    kept; nan where the last step was another one.
    """

    x: np.ndarray
    row_multipliers: np.ndarray
    bound_multipliers: np.ndarray
    record: Record
    ending: Ending
    iterations: int
    seconds: float
    evaluations: Mapping[str, int]
    trace: np.ndarray
    notes: tuple[tuple[int, str], ...] = ()
    path: np.ndarray | None = None
    ray: np.ndarray | None = None
    last_step: float = float("nan")


def drive(
    method: Method[S],
    problem: Nlp,
    limits: Limits | None = None,
    watch: Callable[[int, Record, np.ndarray], None] | None = None,
    keep_path: bool = False,
) -> Outcome:
    """Run a method to its end. `watch` hears iteration, record and point; its exceptions end the run and pass."""
    limits = limits or Limits()
    counted = Counted(problem)
    began = time.perf_counter()
    with np.errstate(all="ignore"):
        state = method.start(counted)  # type: ignore[arg-type]
        best, iteration = state, 0
        rows: list[tuple[float, ...]] = []
        notes: list[tuple[int, str]] = []
        path: list[np.ndarray] = []
        while True:
            record, seconds = state.record, time.perf_counter() - began
            numbers = (record.objective, record.primal, record.dual, record.step, record.penalty)
            rows.append((iteration, *numbers, counted.counts.get("objective", 0), seconds))
            if record.note:
                notes.append((iteration, record.note))
            if keep_path:
                path.append(state.x)
            if watch is not None:
                watch(iteration, record, state.x)
            best = _better(best, state)
            ending = state.ending or _cut_off(limits, iteration, seconds)
            if ending is not None:
                break
            try:
                state = method.step(counted, state)  # type: ignore[arg-type]
            except np.linalg.LinAlgError:  # a matrix that LAPACK gives up on: what was reached so far stands
                ending = Ending.NO_PROGRESS
                break
            iteration += 1
    # A state may work its multipliers out only here.
    with np.errstate(all="ignore"):
        last = state if state.ending is not None else best
        return Outcome(
            x=last.x,
            row_multipliers=last.row_multipliers,
            bound_multipliers=last.bound_multipliers,
            record=last.record,
            ending=ending,
            iterations=iteration,
            seconds=time.perf_counter() - began,
            evaluations=counted.evaluations,
            trace=np.array(rows),
            notes=tuple(notes),
            path=np.array(path) if keep_path else None,
            ray=getattr(last, "ray", None),
            last_step=getattr(last, "last_step", float("nan")),
        )


def _cut_off(limits: Limits, iteration: int, seconds: float) -> Ending | None:
    if limits.stop is not None and limits.stop():
        return Ending.INTERRUPTED
    if limits.seconds is not None and seconds >= limits.seconds:
        return Ending.TIME_LIMIT
    return Ending.ITERATION_LIMIT if iteration >= limits.iterations else None


FEASIBLE = 1e-6


def _better(best: S, state: S) -> S:
    """The better of two states: a feasible one before the others, then by objective; else by violation."""
    old, new = best.record, state.record
    if not np.isfinite(new.objective):
        return best
    if max(old.primal, new.primal) <= FEASIBLE:
        return state if new.objective <= old.objective else best
    return state if new.primal <= old.primal or not np.isfinite(old.objective) else best
