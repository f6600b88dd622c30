"""The frame of the methods that search along a direction without constraints; the direction is a part of its own.

d_k = direction(memory, g_k);  x_{k+1} = x_k + a_k d_k with a_k from the search;  memory learns s_k, y_k
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from optdsl.methods.driver import Ending, Record
from optdsl.methods.iterates import ROUNDING, FirstOrder, Iterate, norm
from optdsl.methods.searches import Ray, Search
from optdsl.nlp import Nlp

FLAT = 20
"""So many steps in a row, and one a variable, without a change beyond rounding end a run."""


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """A step that was taken: s = x+ - x, y = g+ - g, its length along d, and the gradient before and after."""

    s: np.ndarray
    y: np.ndarray
    step: float
    direction: np.ndarray
    before: np.ndarray
    after: np.ndarray
    fall: float


class Direction(Protocol):
    """What a method goes along, and what it learns from a step; the memory is a value that only it looks into."""

    def fresh(self, gradient: np.ndarray) -> Any:
        """The memory before any step; also what is gone back to where a direction fails."""

    def direction(self, memory: Any, gradient: np.ndarray) -> tuple[np.ndarray, float]:
        """A direction (n,) and the step length to try first."""

    def learned(self, memory: Any, move: Move) -> Any:
        """The memory after a step."""


@dataclass(frozen=True, slots=True, eq=False)
class DescentState(Iterate):
    """`unit` is what the gradient is measured in; `flat` counts steps without progress beyond rounding.

    `least` is the smallest gradient so far, `recent` the last values, which the search compares with.
    """

    gradient: np.ndarray
    memory: Any
    fresh: bool
    unit: float
    flat: int
    least: float
    recent: tuple[float, ...]


def begin(problem: Nlp, direction: Direction, stopping: FirstOrder) -> DescentState:
    """The state at the start."""
    x = np.array(problem.start, dtype=float)
    f, g = problem.objective(x), problem.gradient(x)
    unit = stopping.unit(g)
    ending = stopping.ending(f, norm(g), unit)
    if not (math.isfinite(f) and np.isfinite(g).all()):
        ending = Ending.UNDEFINED
    zeros = np.zeros(len(x))
    record = Record(objective=f, primal=0.0, dual=norm(g))
    return DescentState(
        x=x,
        row_multipliers=np.zeros(0),
        bound_multipliers=zeros,
        record=record,
        ending=ending,
        gradient=g,
        memory=direction.fresh(g),
        fresh=True,
        unit=unit,
        flat=0,
        least=norm(g),
        recent=(f,),
    )


def advance(
    problem: Nlp, state: DescentState, direction: Direction, search: Search, stopping: FirstOrder
) -> DescentState:
    """One step: direction, search, learn. Where the direction fails, the memory is dropped and the run goes on."""
    g = state.gradient
    d, first = direction.direction(state.memory, g)
    slope = float(g @ d)
    if not slope < 0 or not np.isfinite(d).all():
        return _again_or_end(state, direction)
    trial = search.along(Ray(problem, state.x, d, state.record.objective, slope, max(state.recent)), first)
    if trial is None or trial.gradient is None:
        return _again_or_end(state, direction)
    g_new = trial.gradient
    fall = state.record.objective - trial.value
    move = Move(trial.x - state.x, g_new - g, trial.step, d, g, g_new, fall)
    residual = norm(g_new)
    flat = state.flat + 1 if fall <= ROUNDING * abs(trial.value) and residual >= 0.9 * state.least else 0
    ending = stopping.ending(trial.value, residual, state.unit)
    if ending is None and (flat >= FLAT + len(state.x) or not np.any(move.s)):
        ending = Ending.NO_PROGRESS
    return replace(
        state,
        x=trial.x,
        record=Record(objective=trial.value, primal=0.0, dual=residual, step=trial.step),
        ending=ending,
        gradient=g_new,
        memory=direction.learned(state.memory, move),
        fresh=False,
        flat=flat,
        least=min(residual, state.least),
        recent=(*state.recent, trial.value)[-search.window :],
    )


def _again_or_end(state: DescentState, direction: Direction) -> DescentState:
    """The same point with a fresh memory; the end where the memory was fresh already."""
    return replace(
        state,
        record=replace(state.record, step=0.0),
        ending=Ending.NO_PROGRESS if state.fresh else None,
        memory=direction.fresh(state.gradient),
        fresh=True,
    )


@dataclass(frozen=True, slots=True)
class Descent:
    """A method of this frame as settings: subclasses give a name and their direction."""

    tol: float = 1e-8

    @property
    def parts(self) -> tuple[Direction, Search, FirstOrder]:
        """Direction, search and stopping test of these settings."""
        raise NotImplementedError

    def start(self, problem: Nlp) -> DescentState:
        """The state at the problem's start."""
        direction, _, stopping = self.parts
        return begin(problem, direction, stopping)

    def step(self, problem: Nlp, state: DescentState) -> DescentState:
        """The state one iteration later."""
        direction, search, stopping = self.parts
        return advance(problem, state, direction, search, stopping)


def steepest(gradient: np.ndarray) -> tuple[np.ndarray, float]:
    """-g, and a first step that moves the point by at most 1 (NW section 3.5, where nothing is known)."""
    size = float(np.linalg.norm(gradient))
    return -gradient, min(1.0, 1.0 / size) if size > 0 else 1.0
