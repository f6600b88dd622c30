"""optdsl's own checks of a point that a method of the engine found, on the user's model: the words it has earned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from optdsl.answer.beyond import fading_words
from optdsl.answer.checks import Judgement, TransformedAnswer, TransformedJudge
from optdsl.answer.labelled import LabelledArray
from optdsl.answer.solution import Checks
from optdsl.answer.status import Guarantee, SecondOrder, Status
from optdsl.answer.values import variable_arrays
from optdsl.classify import Analysis
from optdsl.convex.lower import Restored
from optdsl.convex.program import RawAnswer, RawStatus
from optdsl.engine.problem import ModelProblem
from optdsl.methods.driver import Ending, Outcome
from optdsl.methods.fading import fading
from optdsl.model.model import Model

_ENDED = {
    Ending.ITERATION_LIMIT: Status.ITERATION_LIMIT,
    Ending.TIME_LIMIT: Status.TIME_LIMIT,
    Ending.INTERRUPTED: Status.INTERRUPTED,
}


@dataclass(frozen=True, eq=False)
class LocalPoint:
    """Where a method of the engine ended: its outcome, the second-order check there, and whether kinks were met.

    `escape` (n,) is the direction of wrong curvature where `second_order` is violated. `rough` is `kinks` where those
    of the model were rounded off, `tips` where one is at the point, `jumps` where only values were used: then
    derivatives at the point say nothing.
    """

    problem: ModelProblem
    outcome: Outcome
    second_order: SecondOrder
    escape: np.ndarray | None = None
    rough: str = ""

    @property
    def smooth(self) -> bool:
        """Whether derivatives are those of the model."""
        return not self.rough


def judge_locally(
    model: Model, analysis: Analysis, point: LocalPoint, options: Mapping[str, object] | None = None
) -> tuple[Judgement, Restored]:
    """The earned status of a point, and the point with its duals in the user's convention."""
    problem, outcome = point.problem, point.outcome
    sign = problem.sign
    own = slice(0, model.columns)
    restored = Restored(
        outcome.x[own],
        duals_of(model, problem, -sign * outcome.row_multipliers),
        np.where(_at_declared(problem, outcome.x), -sign * outcome.bound_multipliers, 0.0)[own],
        None,
        None,
    )
    residual = stationarity(problem, off_edges(problem, outcome)) if point.smooth else None
    raw = RawAnswer(RawStatus.OPTIMAL, "optdsl", outcome.x[own])
    answer = TransformedAnswer(raw, restored, residual, row_scales(model, problem, outcome.x))
    return _LocalJudge(model, analysis, answer, dict(options or {}), point).judge(), restored


def _at_declared(problem: ModelProblem, x: np.ndarray) -> np.ndarray:
    """Where the bound nearest to a variable is one that was declared, not the end of a function's domain (n,)."""
    lower, upper = problem.declared
    below = (x - problem.lower <= problem.upper - x) & (problem.lower > lower)
    above = (x - problem.lower > problem.upper - x) & (problem.upper < upper)
    return np.asarray(~(below | above))


def duals_of(model: Model, problem: ModelProblem, row_duals: np.ndarray) -> tuple[np.ndarray, ...]:
    """One array per constraint, over its instances: the sum over its relations."""
    found: dict[int, np.ndarray] = {}
    for (constraint, _), first, space in zip(
        problem.places, problem.system.first, problem.system.spaces, strict=False
    ):
        part = row_duals[first : first + space.lanes]
        found[constraint] = found[constraint] + part if constraint in found else part
    return tuple(found.get(k, np.zeros(c.size)) for k, c in enumerate(model.constraints))


def stationarity(problem: ModelProblem, outcome: Outcome) -> float:
    """The largest entry of the Lagrangian's gradient, each relative to the sizes of the terms that it is the sum of.

    The terms of a badly scaled objective are large and cancel where it is stationary (a sum of squares of 1e6
    residuals); what remains of them is rounding. No term's size counts below that of all gradients and multipliers.
    """
    x, y, z = outcome.x, outcome.row_multipliers, outcome.bound_multipliers
    gradient, pattern = problem.gradient(x), problem.jacobian_pattern
    terms = problem.jacobian(x) * y[pattern.rows]
    pressed = np.bincount(pattern.columns, weights=terms, minlength=len(x))
    pressing = np.bincount(pattern.columns, weights=np.abs(terms), minlength=len(x))
    scale = max(1.0, *(float(np.abs(part).max(initial=0.0)) for part in (gradient, y, z)))
    sizes = np.maximum(scale, problem.slope_sizes(x) + pressing)
    return float((np.abs(gradient + pressed + z) / sizes).max(initial=0.0))


MARCHED = 1_000_000
"""Entries of a Hessian up to which Newton steps are taken to see whether a convex problem's point is on a tail."""
LEFT_OVER = 1e-3
"""What is left of the gradient may be worth this within the point's own size, relative to max(1, |objective|)."""


def leftover(problem: ModelProblem, outcome: Outcome) -> float:
    """What the Lagrangian's gradient promises within the point's own distance from 0, relative to the objective.

    Of a convex problem no point there is better by more. Far out, where slopes fade as for log(x) or for x with
    x^2 <= y, small slopes are no sign of an optimum: what they promise stays.
    """
    inside = off_edges(problem, outcome)
    x, y, z = inside.x, inside.row_multipliers, inside.bound_multipliers
    pattern = problem.jacobian_pattern
    pressed = np.bincount(pattern.columns, weights=problem.jacobian(x) * y[pattern.rows], minlength=len(x))
    left = np.abs(problem.gradient(x) + pressed + z)
    return float(left @ np.maximum(1.0, np.abs(x))) / max(1.0, abs(float(problem.objective(x))))


NUDGE = 1e-8


def off_edges(problem: ModelProblem, outcome: Outcome) -> Outcome:
    """The outcome itself; where a derivative is infinite at its point, the point a hair inside the bounds.

    The square root's slope at 0 presses against that end of its domain with any force: the bound's multiplier is
    whatever the slope a hair inside asks for.
    """
    x, y = outcome.x, outcome.row_multipliers
    if np.isfinite(problem.gradient(x)).all() and np.isfinite(problem.jacobian(x)).all():
        return outcome
    hair = NUDGE * np.maximum(1.0, np.abs(x))
    low, high = x - problem.lower <= hair, problem.upper - x <= hair
    inside = np.where(low & ~high, problem.lower + hair, np.where(high & ~low, problem.upper - hair, x))
    pattern = problem.jacobian_pattern
    terms = problem.jacobian(inside) * y[pattern.rows]
    slope = problem.gradient(inside) + np.bincount(pattern.columns, weights=terms, minlength=len(x))
    if not np.isfinite(slope).all():
        return outcome
    z = np.where(low & (slope > 0), -slope, np.where(high & (slope < 0), -slope, outcome.bound_multipliers))
    return replace(outcome, x=inside, bound_multipliers=z, last_step=np.nan)


def row_scales(model: Model, problem: ModelProblem, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """max(1, |right-hand side|, largest |derivative x value|) of each constraint's instances."""
    pattern = problem.jacobian_pattern
    with np.errstate(all="ignore"):
        products = np.nan_to_num(np.abs(problem.jacobian(x) * x[pattern.columns]), nan=0.0, posinf=0.0)
    sizes = np.ones(problem.count)
    np.maximum.at(sizes, pattern.rows, products)
    for side in (problem.row_lower, problem.row_upper):
        sizes = np.maximum(sizes, np.where(np.isfinite(side), np.abs(side), 0.0))
    scales: dict[int, np.ndarray] = {}
    for (constraint, _), first, space in zip(
        problem.places, problem.system.first, problem.system.spaces, strict=False
    ):
        part = sizes[first : first + space.lanes]
        scales[constraint] = np.maximum(scales[constraint], part) if constraint in scales else part
    return tuple(scales.get(k, np.ones(c.size)) for k, c in enumerate(model.constraints))


class _LocalJudge(TransformedJudge):
    """The checks of a transformed answer, with the words that a local method can earn."""

    def __init__(
        self,
        model: Model,
        analysis: Analysis,
        answer: TransformedAnswer,
        options: Mapping[str, object],
        point: LocalPoint,
    ) -> None:
        super().__init__(model, analysis, answer, options)
        self.point = point

    def judge(self) -> Judgement:
        primal, slacks = self._primal()
        objective = self._objective()
        dual_residual, complementarity = self._dual(slacks, objective)
        unit = abs(self.point.problem.sign)
        if complementarity is not None and objective is not None:  # what counts as 1 is the program's unit
            complementarity *= max(1.0, abs(objective)) / max(unit, abs(objective))
        feasible = primal <= self.tolerance and self._domains_hold()
        if feasible and objective is not None and not np.isfinite(objective):
            self.notes.append(f"the objective is {objective:g} at the point, which is no number to compare")
            feasible = False
        first = (
            feasible
            and dual_residual is not None
            and dual_residual <= self.tolerance
            and (complementarity or 0.0) <= self.tolerance
        )
        second = self._second_order(first)
        status, guarantee = self._earned(feasible, first, second)
        checks = Checks(
            primal,
            dual_residual,
            complementarity,
            None,
            second,
            status.acceptable,
            self._escape() if second is SecondOrder.VIOLATED else None,
        )
        return Judgement(status, guarantee, checks, objective, None, slacks, tuple(self.notes))

    def _convex(self) -> bool:
        return self.analysis.convex_as_written

    def _second_order(self, first: bool) -> SecondOrder:
        if self._convex() or self.model.objective is None:
            return SecondOrder.NOT_NEEDED
        if not self.point.smooth:
            return SecondOrder.NOT_SMOOTH
        return self.point.second_order if first else SecondOrder.UNKNOWN

    def _earned(self, feasible: bool, first: bool, second: SecondOrder) -> tuple[Status, Guarantee]:
        ending = self.point.outcome.ending
        if self.model.objective is None and feasible:
            return Status.FEASIBLE, Guarantee.GLOBAL
        if first and second is SecondOrder.NOT_NEEDED:
            tail = self._tail() if self._marches_quickly() else ""
            if not tail and leftover(self.point.problem, self.point.outcome) <= LEFT_OVER:
                return Status.OPTIMAL, Guarantee.GLOBAL
            far = "slopes vanish here only because the point is far out: perhaps there is no best point"
            self.notes.append(tail or far)
            return Status.FEASIBLE, Guarantee.NONE
        if first and second is SecondOrder.SATISFIED:
            tail = self._tail()
            if not tail:
                return Status.LOCALLY_OPTIMAL, Guarantee.LOCAL
            self.notes.append(tail)
            return Status.STATIONARY, Guarantee.NONE
        if ending in _ENDED:
            return _ENDED[ending], Guarantee.NONE
        if first:
            return Status.STATIONARY, Guarantee.NONE
        if feasible and not self.point.smooth:
            self.notes.append(f"the functions have {self.point.rough}: that no better point is nearby is not proved")
            return Status.FEASIBLE, Guarantee.NONE
        self.notes.append(
            "the point is feasible, but first-order conditions do not hold there"
            if feasible
            else "the point does not pass the checks"
        )
        return Status.NUMERICAL_ERROR, Guarantee.NONE

    def _marches_quickly(self) -> bool:
        """Whether a Newton step costs little beside the run: methods without second derivatives take large problems."""
        pattern = self.point.problem.hessian_pattern
        return pattern is not None and len(pattern.rows) <= MARCHED

    def _tail(self) -> str:
        """What is to be said where the objective gets better forever, ever less, as variables go on; else empty."""
        problem, outcome = self.point.problem, self.point.outcome
        x, own = outcome.x, self.model.columns
        multipliers = outcome.row_multipliers, outcome.bound_multipliers
        found = fading(problem, x, *multipliers, problem.slope_sizes, outcome.last_step)
        if found is None:
            return ""
        return fading_words(self.model, found.direction[:own])

    def _escape(self) -> Mapping[str, LabelledArray] | None:
        escape = self.point.escape
        return None if escape is None else variable_arrays(self.model, escape[: self.model.columns])
