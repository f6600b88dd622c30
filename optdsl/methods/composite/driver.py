"""The loop around the methods for composite objectives: clock, limits, trace, the best point and the best bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from optdsl.methods.composite.problem import Composite
from optdsl.methods.driver import Ending, Limits

RESIDUAL = 2e-7
"""The largest scaled residual of the first-order conditions at an end."""
COLUMNS = ("iter", "objective", "bound", "gap", "moving", "seconds")


@dataclass(frozen=True, eq=False)
class Iterate:
    """A point x (n,), its rows, multipliers u of the rows with A'u, the objective there, and what u proves.

    moving: how many variables the next step would look at. `done`: no step improves the point any more.
    """

    x: np.ndarray
    rows: tuple[np.ndarray, ...]
    u: tuple[np.ndarray, ...]
    pulled: np.ndarray
    value: float
    bound: float
    moving: int = 0
    done: bool = False
    note: str = ""


def iterate_at(
    problem: Composite,
    x: np.ndarray,
    rows: tuple[np.ndarray, ...] | None = None,
    u: tuple[np.ndarray, ...] | None = None,
    **more: object,
) -> Iterate:
    """The record of a point; u: the multipliers where they are not the slopes of the losses there."""
    rows = problem.rows(x) if rows is None else rows
    u = problem.slopes(rows) if u is None else u
    pulled = problem.pulled(u)
    return Iterate(x, rows, u, pulled, problem.value(x, rows), problem.bound(u, x, pulled), **more)  # type: ignore[arg-type]


class State(Protocol):
    """What a method keeps between steps."""

    @property
    def iterate(self) -> Iterate: ...


S = TypeVar("S", bound=State)


class Method(Protocol[S]):
    """Settings with `start` and `step`."""

    @property
    def tolerance(self) -> float:
        """The relative gap at which it is enough."""

    def start(self, problem: Composite) -> S:
        """The state at the problem's start."""

    def step(self, problem: Composite, state: S) -> S:
        """The state one iteration later."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a run ended: the best point, the best bound with its multipliers, and the trace (iterations + 1, columns)."""

    x: np.ndarray
    u: tuple[np.ndarray, ...]
    value: float
    bound: float
    ending: Ending
    iterations: int
    seconds: float
    trace: np.ndarray
    notes: tuple[str, ...] = field(default_factory=tuple)


def gap_of(value: float, bound: float) -> float:
    """The gap relative to the value, not below 1e-6 in size."""
    return (value - bound) / max(abs(value), 1e-6)


def drive(
    method: Method[S],
    problem: Composite,
    limits: Limits | None = None,
    watch: Callable[[int, float, float, float], None] | None = None,
) -> Outcome:
    """Run a method to its end. `watch` hears iteration, objective, bound and seconds."""
    limits = limits or Limits()
    began = time.perf_counter()
    rows: list[tuple[float, ...]] = []
    notes: dict[str, None] = {}
    bound, iteration = -np.inf, 0
    with np.errstate(all="ignore"):
        state = method.start(problem)
        best = state.iterate
        proof = best.u
        while True:
            now, seconds = state.iterate, time.perf_counter() - began
            if now.bound > bound:
                bound, proof = now.bound, now.u
            if now.value <= best.value or not np.isfinite(best.value):
                best = now
            gap = gap_of(best.value, bound)
            rows.append((iteration, best.value, bound, gap, now.moving, seconds))
            if now.note:
                notes[now.note] = None
            if watch is not None:
                watch(iteration, best.value, bound, seconds)
            ending = _ending(method.tolerance, limits, now, gap, iteration, seconds)
            if ending is Ending.CONVERGED and not now.done and not _settled(problem, now):
                ending = _cut_off(limits, iteration, seconds)
            if ending is not None:
                break
            try:
                state = method.step(problem, state)
            except np.linalg.LinAlgError:  # a matrix that LAPACK gives up on: what was reached so far stands
                ending = Ending.NO_PROGRESS
                break
            iteration += 1
    seconds = time.perf_counter() - began
    table = np.array(rows)
    return Outcome(best.x, proof, best.value, bound, ending, iteration, seconds, table, tuple(notes))


def _ending(
    tolerance: float, limits: Limits, now: Iterate, gap: float, iteration: int, seconds: float
) -> Ending | None:
    if not np.isfinite(now.value):
        return Ending.UNDEFINED
    if gap <= tolerance:
        return Ending.CONVERGED
    if now.done:
        return Ending.NO_PROGRESS
    return _cut_off(limits, iteration, seconds)


def _settled(problem: Composite, now: Iterate) -> bool:
    """Whether the first-order conditions hold too, of losses without kinks (elsewhere the gap alone speaks)."""
    return not problem.smooth or problem.residual(now.x, now.u, now.pulled) <= RESIDUAL


def _cut_off(limits: Limits, iteration: int, seconds: float) -> Ending | None:
    if limits.stop is not None and limits.stop():
        return Ending.INTERRUPTED
    if limits.seconds is not None and seconds >= limits.seconds:
        return Ending.TIME_LIMIT
    return Ending.ITERATION_LIMIT if iteration >= limits.iterations else None
