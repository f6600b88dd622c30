"""Models with kinks: lifted into constraints where that fits, rounded off elsewhere, and what the end point has earned.

A lifted program is smooth, so its point has multipliers and a curvature to check. Its local minimum is one of the model
where each auxiliary variable is the value of its function (`optdsl.engine.kinks` says why), which is made sure of here.
Kinks that are not lifted are rounded off less and less. Where the last point is away from all of them, the functions
are smooth around it, and the checks are made on the functions themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optdsl.answer.many_starts import Place
from optdsl.engine.problem import ModelProblem
from optdsl.engine.starts import defined
from optdsl.methods.driver import Ending, Limits, Method
from optdsl.methods.escape import LocalAnswer, solve_locally
from optdsl.methods.interior_point import InteriorPoint
from optdsl.methods.second_order import check

SMOOTHINGS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
"""How far kinks are rounded off, one run after the other, each from the point of the one before."""
AWAY = 1e-5
"""Pieces that are apart by more than this, relative to their size, are no kink."""
HELD = 1e-6
"""A lifted row with a multiplier holds as an equality up to this, relative to the objective's size."""
SPREADS = (0.1, 1.0, 1.0, 3.0, 3.0, 10.0)
"""How far from the start, relative to its size, slopes are looked at to see what is worth lifting."""
ENDED_WELL = (Ending.CONVERGED, Ending.ACCEPTABLE)

Make = Callable[[float, frozenset[int] | None], ModelProblem]
"""`make(smoothing, lift)`: the program with kinks rounded off, those numbered in `lift` (None: all) lifted."""
Starting = Callable[[ModelProblem], None]
"""Gives a program its start."""


@dataclass(frozen=True, eq=False)
class Ended:
    """Where a run on a model with kinks ended; `rough`: empty where the checks may use derivatives there."""

    problem: ModelProblem
    answer: LocalAnswer
    rough: str
    minima: tuple[Place, ...] = ()
    """Where many starts ended."""


def lifted(make: Make, give_start: Starting) -> tuple[ModelProblem, frozenset[int]] | None:
    """The program with the kinks lifted that slopes hold down, and their numbers; None where there are none.

    Slopes are looked at on points around the start. What the other kinks stand in is found out once they are rounded
    off: a kink inside of one that is not lifted may not be held down any more.
    """
    chosen: frozenset[int] | None = None
    while True:
        problem = make(SMOOTHINGS[0], chosen)
        if not problem.kinks.lifted:
            return None
        known = bool(np.isfinite(problem.start[: problem.model.columns]).all())
        if not known:
            give_start(problem)
        problem.start = problem.settled(np.where(np.isfinite(problem.start), problem.start, 0.0))
        pressed = problem.pressed(_around(problem))
        all_ = frozenset(kink.number for kink in problem.kinks.found if kink.columns is not None)
        if pressed == all_:
            if known:
                give_start(problem)
                problem.start = problem.settled(problem.start)
            return problem, pressed
        if not pressed:
            return None
        chosen = pressed


def _around(problem: ModelProblem) -> list[np.ndarray]:
    """Points around the start at which all functions are defined, the same in every run."""
    random = np.random.default_rng(11)
    origin = problem.start
    size = np.maximum(1.0, np.abs(origin))
    found = []
    with np.errstate(all="ignore"):
        for spread in (0.0, *SPREADS):
            moved = origin + spread * size * random.uniform(-1.0, 1.0, len(origin))
            x = problem.settled(np.clip(moved, problem.lower, problem.upper))
            if defined(problem, x):
                found.append(x)
    return found or [origin]


def verified(problem: ModelProblem, answer: LocalAnswer, smoothing: float) -> LocalAnswer | None:
    """The answer with auxiliary variables at the values of their functions, checked there; None: nothing is proved."""
    outcome = answer.outcome
    if outcome.ending not in ENDED_WELL:
        return None
    with np.errstate(all="ignore"):
        x = problem.settled(outcome.x)
        if problem.kinks.nearest(x) <= AWAY or (smoothing and np.isfinite(problem.kinks.nearest(x))):
            return None
        value = problem.objective(x)
        pressing = np.abs(outcome.row_multipliers * problem.constraints(x))[problem.lifted_rows]
        if not np.isfinite(value) or (pressing > HELD * max(1.0, abs(value))).any():
            return None
        moved = replace(outcome, x=x, record=replace(outcome.record, objective=value), last_step=np.nan)
        if problem.convex:
            return replace(answer, outcome=moved, second_order=None)
        found = check(problem, x, outcome.row_multipliers, outcome.bound_multipliers)
    return replace(answer, outcome=moved, second_order=found)


Remake = Callable[[float, frozenset[int] | None], ModelProblem]
"""`remake(smoothing, lift)`: the same program with other roundings, and with other kinks lifted; None: all."""


def sharpened(
    problem: ModelProblem,
    answer: LocalAnswer,
    method: Method[Any],
    remake: Remake,
    lift: frozenset[int],
    limits: Limits,
) -> Ended:
    """The answer after the kinks that are not lifted were rounded off less and less, and then not at all.

    `lift` are those that are lifted. On the way, what the multipliers at the point press is lifted on trial.
    """
    if problem.kinks.lifted and not any(k.columns is None and k.lanes for k in problem.kinks.found):
        exact = verified(problem, answer, 0.0)
        return Ended(problem, answer if exact is None else exact, "kinks" if exact is None else "")
    for number, smoothing in enumerate((*SMOOTHINGS[1:], 0.0)):
        if number in TRIALS and answer.outcome.ending in ENDED_WELL:
            proved = _lifted_there(problem, answer, remake, limits)
            if proved is not None:
                return proved
        if answer.outcome.ending not in (*ENDED_WELL, Ending.NO_PROGRESS):
            return Ended(problem, answer, "kinks")
        if not smoothing and problem.kinks.nearest(answer.outcome.x) <= AWAY:
            return Ended(problem, answer, "kinks")
        sharper = remake(smoothing, lift)
        sharper.start = sharper.settled(answer.outcome.x)
        found = solve_locally(sharper, method, limits)
        if not smoothing:
            proved_answer = verified(sharper, found, 0.0)
            if proved_answer is None:
                break
            return Ended(sharper, replace(proved_answer, notes=(*answer.notes, *proved_answer.notes)), "")
        problem, answer = sharper, replace(found, notes=(*answer.notes, *found.notes))
    return Ended(problem, answer, "kinks")


TRIALS = (0, 2, len(SMOOTHINGS) - 1)
"""Before which of the runs with sharper kinks it is tried to lift what is pressed."""
TRIAL = 200
"""Iterations of such a trial."""


def _lifted_there(problem: ModelProblem, answer: LocalAnswer, remake: Remake, limits: Limits) -> Ended | None:
    """The checked answer after those kinks were lifted that the multipliers at a point press; None where that fails."""
    outcome, own = answer.outcome, problem.model.columns
    with np.errstate(all="ignore"):
        every = remake(0.0, None)
        x = every.settled(np.concatenate([outcome.x[:own], np.zeros(every.width - own)]))
        if not defined(every, x):
            return None
        pressed = every.pressed([x], outcome.row_multipliers[: problem.lifted_rows.start])
        if not pressed:
            return None
        trial = remake(0.0, pressed)
        trial.start = trial.settled(np.concatenate([outcome.x[:own], np.zeros(trial.width - own)]))
    if trial.hessian_pattern is None:
        return None
    short = replace(limits, iterations=min(limits.iterations, TRIAL))
    found = solve_locally(trial, InteriorPoint(), short)
    reached = found.outcome.record.objective
    higher = reached - outcome.record.objective > NOT_WORSE * max(1.0, abs(reached))
    proved = verified(trial, found, 0.0)
    if proved is None or higher:
        return None
    return Ended(trial, replace(proved, notes=(*answer.notes, *proved.notes)), "")


NOT_WORSE = 0.2
"""A trial may end higher than the rounded function by this share: that lies above or below the function itself."""


HAIR, THINNER, LIKE = 1e-5, 1e-7, 0.5
"""Two distances on both sides of a point, relative to its size, and how much of a slope's jump must be left at the
second: a jump stays as it is, and a curve's change goes down a hundredfold."""


def at_tip(problem: ModelProblem, x: np.ndarray) -> bool:
    """Whether the objective has a tip at x (n,), as norm2(x) at 0: its gradient jumps there in every direction."""
    direction = np.cos(np.arange(1.0, len(x) + 1.0))
    jumps = []
    with np.errstate(all="ignore"):
        for distance in (HAIR, THINNER):
            hair = distance * np.maximum(1.0, np.abs(x)) * direction
            one, other = (problem.gradient(np.clip(x + side, problem.lower, problem.upper)) for side in (hair, -hair))
            size = max(float(np.abs(one).max(initial=0.0)), float(np.abs(other).max(initial=0.0)))
            jumps.append(float(np.abs(one - other).max(initial=0.0)) / size if size > 0 else 0.0)
    return bool(jumps[0] > LIKE and jumps[1] > LIKE * jumps[0])


def stuck_at_tip(problem: ModelProblem, answer: LocalAnswer) -> bool:
    """Whether a run found no way on from a feasible point because the objective has a tip there."""
    outcome = answer.outcome
    if problem.convex or outcome.ending is not Ending.NO_PROGRESS or not np.isfinite(outcome.record.objective):
        return False
    return outcome.record.primal <= HELD and at_tip(problem, outcome.x)
