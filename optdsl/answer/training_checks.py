"""optdsl's own checks of where a training run ended, on the full data: the words that it has earned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

from optdsl.answer.checks import Judgement, TransformedAnswer, TransformedJudge
from optdsl.answer.solution import Checks, TraceTable
from optdsl.answer.status import Guarantee, SecondOrder, Status
from optdsl.classify import Analysis
from optdsl.convex.lower import Restored
from optdsl.convex.program import RawAnswer, RawStatus
from optdsl.methods.landscape import ACCURACY, spectrum
from optdsl.methods.stochastic.feasible import Simple
from optdsl.methods.stochastic.run import TrainingRun
from optdsl.training.problem import TensorProblem

CURVATURE = 1e-6
"""A curvature above minus this, relative to the largest, counts as not negative."""


@dataclass(frozen=True, eq=False)
class Ended:
    """Where a run ended: the point, the multipliers of rows, the trace, and the word where the point earns no better.

    run: the epochs of a stochastic run; None for a method that sees all members in every step.
    """

    x: np.ndarray
    row_multipliers: np.ndarray
    trace: TraceTable
    status: Status | None
    notes: tuple[str, ...]
    run: TrainingRun | None = None


def multipliers_at(
    problem: TensorProblem, x: np.ndarray, y: np.ndarray, feasible: Simple | None, projected: np.ndarray
) -> np.ndarray:
    """The rows' multipliers (m,) at a point: those of a run, and of the rows that `feasible` takes care of.

    projected (m,): which rows these are.
    """
    if feasible is not None:
        y = np.where(projected, 0.0, y)
        pressed = problem.lagrangian_gradient(x, y)
        y[projected], _ = feasible.simple.multipliers(x, pressed, int(projected.sum()))
    return _sharpened(problem, x, y) if len(y) else y


def judge_trained(
    analysis: Analysis, problem: TensorProblem, ended: Ended, tolerance: float
) -> tuple[Judgement, Restored]:
    """The earned status of a run's point on the full data, and the point with its duals."""
    model, x, y = analysis.model, ended.x, ended.row_multipliers
    slope = problem.lagrangian_gradient(x, y)
    near = 1e-9 * np.maximum(1.0, np.abs(x))
    low, high = x <= problem.lower + near, x >= problem.upper - near
    z = np.where((low & (slope > 0)) | (high & (slope < 0)) | (low & high), -slope, 0.0)
    scale = max(1.0, float(np.abs(problem.gradient(x)).max(initial=0.0)), float(np.abs(y).max(initial=0.0)))
    residual = float(np.abs(slope + z).max(initial=0.0)) / scale
    at = 0
    by_constraint: dict[int, np.ndarray] = {}
    for (number, _), shape in zip(problem.places, problem.row_shapes, strict=True):
        size = int(np.prod(shape, dtype=np.int64))
        part = -problem.sign * y[at : at + size]
        at += size
        by_constraint[number] = by_constraint.get(number, 0.0) + part
    duals = tuple(by_constraint.get(k, np.zeros(c.size)) for k, c in enumerate(model.constraints))
    restored = Restored(x, duals, -problem.sign * z, None, None)
    answer = TransformedAnswer(RawAnswer(RawStatus.OPTIMAL, "optdsl", x), restored, residual, None)
    judge = _TrainingJudge(model, analysis, answer, {"tol": tolerance})
    judge.problem, judge.ended, judge.free = problem, ended, ~(low | high)
    return judge.judge(), restored


MOST_ROWS = 50
"""Active rows whose multipliers are computed anew: each costs a pass over the data."""
NEAR = 1e-3


def _sharpened(problem: TensorProblem, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Multipliers (m,) by least squares on the gradients over all members, where these press less; else y itself.

    Those of a run are averages over its batches. Signs stay right: of rows at their upper sides >= 0, at their lower
    ones <= 0, of others 0.
    """
    values = problem.constraints(x)
    room = NEAR * np.maximum(1.0, np.abs(values))
    low, high = values - problem.row_lower <= room, problem.row_upper - values <= room
    active = np.flatnonzero(low | high)
    if not 0 < len(active) <= MOST_ROWS:
        return y
    gradient = problem.gradient(x)
    unit = np.zeros(len(y))
    slopes = np.empty((len(x), len(active)))
    for k, row in enumerate(active):
        unit[row] = 1.0
        slopes[:, k] = problem.lagrangian_gradient(x, unit) - gradient
        unit[row] = 0.0
    inner = (x > problem.lower) & (x < problem.upper)
    if not inner.any() or not np.isfinite(slopes).all() or not np.isfinite(gradient).all():
        return y
    below = np.where(low[active], -np.inf, 0.0)
    above = np.where(high[active], np.inf, 0.0)
    found = np.zeros(len(y))
    found[active] = lsq_linear(slopes[inner], -gradient[inner], (below, above)).x
    left = [np.abs(gradient[inner] + slopes[inner] @ m[active]).max() for m in (found, y)]
    return found if left[0] < left[1] or (np.delete(y, active) != 0).any() else y


class _TrainingJudge(TransformedJudge):
    """The checks of a training run on the full data, with the words that it can earn."""

    problem: TensorProblem
    ended: Ended
    free: np.ndarray

    def _objective(self) -> float | None:
        return self.problem.sign * self.problem.objective(self.x)

    def judge(self) -> Judgement:
        primal, slacks = self._primal()
        objective = self._objective()
        dual_residual, complementarity = self._dual(slacks, objective)
        feasible = primal <= self.tolerance and self._domains_hold()
        if objective is not None and not np.isfinite(objective):
            self.notes.append(f"the objective is {objective:g} at the point, which is no number to compare")
            feasible = False
        first = feasible and dual_residual is not None and dual_residual <= self.tolerance
        first = first and (complementarity or 0.0) <= self.tolerance
        second = self._second_order(first)
        status, guarantee = self._earned(feasible, first, second, primal)
        checks = Checks(primal, dual_residual, complementarity, None, second, status.acceptable)
        return Judgement(status, guarantee, checks, objective, None, slacks, tuple(self.notes))

    def _second_order(self, first: bool) -> SecondOrder:
        if self.analysis.convexity == "convex":
            return SecondOrder.NOT_NEEDED
        if self.analysis.smoothness not in ("smooth", "C1"):
            return SecondOrder.NOT_SMOOTH
        if not first or len(self.problem.row_lower):
            return SecondOrder.UNKNOWN
        free = np.flatnonzero(self.free)
        none, direction = np.zeros(0), np.zeros(len(self.x))

        def product(part: np.ndarray) -> np.ndarray:
            direction[free] = part
            return self.problem.hessian_product(self.x, none, direction)[free]

        found = spectrum(product, len(free))
        if found is None:
            return SecondOrder.UNKNOWN if len(free) else SecondOrder.SATISFIED
        if found.least < -CURVATURE * max(1.0, found.size):
            return SecondOrder.VIOLATED
        known = found.complete or found.error <= ACCURACY * found.size
        return SecondOrder.SATISFIED if known else SecondOrder.UNKNOWN

    def _earned(self, feasible: bool, first: bool, second: SecondOrder, primal: float) -> tuple[Status, Guarantee]:
        if first and second is SecondOrder.NOT_NEEDED:
            return Status.OPTIMAL, Guarantee.GLOBAL
        if first and second is SecondOrder.SATISFIED:
            return Status.LOCALLY_OPTIMAL, Guarantee.LOCAL
        if self.ended.status is not None:
            return self.ended.status, Guarantee.NONE
        if first and second is SecondOrder.VIOLATED:
            return Status.STATIONARY, Guarantee.NONE
        if feasible:
            return Status.FEASIBLE, Guarantee.NONE
        self.notes.append(
            f"after all epochs the constraints do not hold on the full data (residual {primal:.2g}): "
            "train longer, or with larger batches"
        )
        return Status.ITERATION_LIMIT, Guarantee.NONE
