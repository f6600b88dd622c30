"""The diagnosis of a run that did not converge: was it on its way, where did it get stuck, and on what.

The thresholds are our choices; tests hold each sentence to a run that provokes it and to one that must not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optdsl.answer.diagnosis_solver import spread_finding
from optdsl.answer.names import entry_name, instance_name
from optdsl.answer.numbers import number_text, rounded
from optdsl.answer.solution import Checks, Finding, TraceTable
from optdsl.answer.status import Status
from optdsl.engine.problem import ModelProblem
from optdsl.methods.driver import Ending, Outcome
from optdsl.methods.landscape import follow
from optdsl.model.model import Model

SHORT = 8
"""Iterations below which nothing is said of stalling."""
HALVED = 0.5
"""A residual that fell to this share within the last third of the run was on its way down."""
IMPROVING = 1e-3
"""As was an objective that improved by this share of its whole improvement."""
TOLERANCE = 1e-8
FEASIBLE = 1e-6
TINY_STEP = 1e-6
PENALTY = 1e6
"""How much a penalty has to grow to be blamed."""
FAR = 1e6
"""A start whose constraints are violated by so much, or so many times further out than the end, is far away."""


def diagnose_run(
    model: Model, problem: ModelProblem, outcome: Outcome, trace: TraceTable, status: Status, checks: Checks
) -> tuple[Finding, ...]:
    """Findings on a run of the engine whose answer is not acceptable; none where it is."""
    if status.acceptable or status in (Status.INFEASIBLE, Status.UNBOUNDED):
        return ()
    run = _Run(model, problem, outcome, trace, status, checks)
    with np.errstate(all="ignore"):
        if outcome.ending is Ending.UNDEFINED:
            return (run.undefined(),)
        found = [
            run.course(),
            run.violated(),
            run.saddle(),
            run.not_finite(),
            run.tiny_steps(),
            run.penalty(),
            run.scaling(),
            run.far_start(),
        ]
    return tuple(finding for finding in found if finding is not None)


@dataclass(frozen=True, eq=False, slots=True)
class _Run:
    """A run of the engine and what it left."""

    model: Model
    problem: ModelProblem
    outcome: Outcome
    trace: TraceTable
    status: Status
    checks: Checks

    # ------------------------------------------------------------------------------------------- how it went

    def course(self) -> Finding | None:
        """Whether it was on its way when it ended."""
        if self.status is Status.STATIONARY:
            return None
        iterations = self.outcome.iterations
        residual = np.fmax(np.abs(self.trace["primal"]), np.abs(self.trace["dual"]))
        third = residual[-max(3, len(residual) // 3) :]
        cut = self.status in (Status.ITERATION_LIMIT, Status.TIME_LIMIT, Status.INTERRUPTED)
        if cut and len(residual) >= 3 and residual[-1] <= HALVED * third[0]:
            return Finding(
                "The run was still converging when it was stopped.",
                f"In the last {len(third) - 1:,} of {iterations:,} iterations its residual fell from {third[0]:.2g} to "
                f"{residual[-1]:.2g}.",
                self._more(residual, third),
            )
        if cut and self._improving():
            values = self.trace["objective"]
            return Finding(
                "The objective was still improving when the run was stopped.",
                f"In {iterations:,} iterations it went from {number_text(values[0])} to {number_text(values[-1])}, and "
                f"was {number_text(values[-max(3, len(values) // 3)])} a third of them before.",
                "Give the run more iterations (`max_iter`) or time, or use a method with second derivatives.",
            )
        if cut and len(residual) < SHORT:
            return Finding(
                "The run was stopped before it could show where it goes.",
                f"It made {iterations} iterations in {self.outcome.seconds:.2g} s.",
                "Give it more iterations (`max_iter`) or time.",
            )
        return Finding(
            "The run made no more progress.",
            f"After {iterations:,} iterations its residual is {residual[-1]:.2g}, and was {third[0]:.2g} "
            f"{len(third) - 1:,} iterations before.",
            "Try another start (`init`) or another method; the other findings say what may be in the way.",
        )

    def _improving(self) -> bool:
        values = self.trace["objective"]
        values = values[np.isfinite(values)]
        if len(values) < 4:
            return False
        whole = abs(values[-1] - values[0])
        return bool(abs(values[-1] - values[-max(3, len(values) // 3)]) > IMPROVING * max(whole, 1e-300) and whole > 0)

    def _more(self, residual: np.ndarray, third: np.ndarray) -> str:
        """How many iterations it may take, at the pace of the last third."""
        pace = np.log(third[0] / residual[-1]) / (len(third) - 1) if residual[-1] > 0 else 0.0
        needed = np.log(residual[-1] / TOLERANCE) / pace if pace > 0 and residual[-1] > TOLERANCE else np.nan
        if self.status is not Status.ITERATION_LIMIT or not np.isfinite(needed):
            return "Give it more time."
        total = rounded(1.2 * (self.outcome.iterations + needed))
        return f"Give it more iterations: at this pace about {total} in all."

    def tiny_steps(self) -> Finding | None:
        """Steps cut down to nothing: a sign of a kink, a pole, or derivatives that do not fit."""
        steps = self.trace["step"][-max(3, len(self.trace) // 4) :]
        steps = steps[np.isfinite(steps) & (steps > 0)]
        if len(steps) < 3 or float(np.median(steps)) > TINY_STEP or self.status is Status.STATIONARY:
            return None
        return Finding(
            "The steps have become tiny.",
            f"In the last {len(steps)} iterations half of them are below {float(np.median(steps)):.1e}.",
            "Look for a kink, a pole or a jump near the point: write it smoother, or bound the variables away from it.",
        )

    def penalty(self) -> Finding | None:
        """A penalty that grew without making the constraints hold."""
        values = self.trace["penalty"][np.isfinite(self.trace["penalty"])]
        if len(values) < 2 or not values[-1] >= PENALTY * max(values[0], 1e-12):
            return None
        if self.outcome.record.primal <= FEASIBLE:
            return None
        return Finding(
            "The penalty on violated constraints has grown out of hand.",
            f"It went from {values[0]:.1e} to {values[-1]:.1e}, and a constraint is still violated by "
            f"{self.outcome.record.primal:.1e}.",
            "See whether the constraints can hold together: drop one after the other, or solve without an objective.",
        )

    def far_start(self) -> Finding | None:
        """A start that is far from where the run went."""
        first = self.trace["primal"][0]
        start = float(np.abs(np.nan_to_num(self.problem.start)).max(initial=0.0))
        end = float(np.abs(self.outcome.x).max(initial=0.0))
        if first > FAR:
            evidence = f"There a constraint is violated by {first:.1e}."
        elif start > FAR * max(1.0, end):
            evidence = f"Its largest value is {start:.1e}; where the run ended, {end:.1e}."
        else:
            return None
        return Finding("The run began far away.", evidence, "Give a start near what you expect, with `init`.")

    # ---------------------------------------------------------------------------------------- where it ended

    def undefined(self) -> Finding:
        """No point at which the functions are defined."""
        start = np.clip(np.nan_to_num(self.problem.start), self.problem.lower, self.problem.upper)
        rows = self.problem.constraints(start)
        names = [self._row(int(k)) for k in np.flatnonzero(~np.isfinite(rows))[:3]]
        if not np.isfinite(self.problem.objective(start)) and self.model.objective is not None:
            names.insert(0, self.model.objective.name)
        named = ", ".join(f"`{name}`" for name in names)
        return Finding(
            "No point was found at which all functions are defined.",
            f"At the start {named} {'is' if len(names) == 1 else 'are'} undefined." if names else "All tries failed.",
            "Give a start inside the domain with `init`, or bounds that keep the arguments there.",
        )

    def violated(self) -> Finding | None:
        """The constraint or bound that is violated most."""
        if not self.outcome.record.primal > FEASIBLE:
            return None
        values = self.problem.constraints(self.outcome.x)
        beyond = np.fmax(self.problem.row_lower - values, values - self.problem.row_upper)
        if not len(beyond) or not np.nanmax(beyond) > FEASIBLE:
            return None
        worst = int(np.nanargmax(beyond))
        count = int((beyond > FEASIBLE).sum())
        return Finding(
            f"`{self._row(worst)}` does not hold where the run ended.",
            f"It is violated by {beyond[worst]:.2g}; {count:,} of {len(beyond):,} constraints are violated.",
            "Start from a point where it holds, or see by `optdsl check` whether it can be written in a convex way.",
        )

    def saddle(self) -> Finding | None:
        """A direction of wrong curvature, and what following it gains."""
        if self.checks.escape is None or self.status is not Status.STATIONARY:
            return None
        moved = [name for name, array in self.checks.escape.items() if np.asarray(array).any()]
        direction = np.zeros(self.problem.width)
        for name, array in self.checks.escape.items():
            variable = self.model.variables[name]
            if variable.columns is not None:
                return None
            direction[variable.offset : variable.offset + variable.width] = np.asarray(array).ravel()
        along = " and ".join(f"`{name}`" for name in moved[:3])
        evidence = f"The objective curves the wrong way along {along}."
        if not len(self.problem.row_lower):
            x, lower, upper = self.outcome.x, self.problem.lower, self.problem.upper
            step, gain = follow(self.problem.objective, x, direction, lower, upper)
            if gain > 0:
                here = self.problem.sign * self.problem.objective(x)
                values = f"from {number_text(here)} to {number_text(here - self.problem.sign * gain)}"
                evidence += f" A step of {abs(step):.3g} there changes it {values}."
        return Finding(
            "The run ended at a saddle or at the wrong kind of extremum.",
            evidence,
            "Leave the method to optdsl, which follows such directions, or start elsewhere with `init`.",
        )

    def not_finite(self) -> Finding | None:
        """Derivatives that are no numbers at the end."""
        gradient = self.problem.gradient(self.outcome.x)
        bad = np.flatnonzero(~np.isfinite(gradient))
        if not len(bad):
            return None
        name = self._column(int(bad[0]))
        return Finding(
            f"The derivative by `{name}` is not finite where the run ended.",
            f"There `{name}` is {number_text(float(self.outcome.x[bad[0]]))}; {len(bad):,} derivatives are not finite.",
            f"Bound `{name}` away from that value.",
        )

    def scaling(self) -> Finding | None:
        """Variables or constraints whose derivatives are of very different sizes."""
        x, pattern = self.outcome.x, self.problem.jacobian_pattern
        values, gradient = np.abs(self.problem.jacobian(x)), np.abs(self.problem.gradient(x))
        if not (np.isfinite(values).all() and np.isfinite(gradient).all()):
            return None
        columns, rows = gradient.copy(), np.zeros(pattern.shape[0])
        np.maximum.at(columns, pattern.columns, values)
        np.maximum.at(rows, pattern.rows, values)
        return spread_finding(columns[: self.model.columns], rows, self._column, self._row)

    # ------------------------------------------------------------------------------------------------- names

    def _column(self, column: int) -> str:
        return entry_name(self.model, column)

    def _row(self, row: int) -> str:
        places = zip(self.problem.places, self.problem.system.first, self.problem.system.spaces, strict=False)
        for (constraint, _), first, space in places:
            if first <= row < first + space.lanes:
                return instance_name(self.model, constraint, row - first)
        return "a constraint that optdsl added"
