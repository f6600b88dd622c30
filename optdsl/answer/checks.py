"""optdsl's own checks of an answer, on the user's model: what the words `optimal` and `feasible` depend on.

Constraint values and the objective are computed from the templates at the returned point, not from the arrays that
the solver saw; where the two disagree, the answer is not called right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from optdsl.answer.beyond import Walk, fading_words
from optdsl.answer.solution import Checks
from optdsl.answer.status import Guarantee, SecondOrder, Status
from optdsl.classify import Analysis
from optdsl.convex.duality import dual_bound, gradient_of, in_dual_cones, pushed, value_of
from optdsl.convex.lower import Lowered, Restored
from optdsl.convex.program import RawAnswer, RawStatus
from optdsl.model.model import Constraint, DomainCondition, Model
from optdsl.terms.frame import Frame

TOLERANCE = 1e-6
INTEGRALITY = 1e-5
EDGE = 1e-9
"""How far outside a function's domain rounding may leave an argument."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What an answer is worth: the earned words, the checks, the objective and its bound in the user's sense.

    `slacks`: one array per constraint, its instances in C order; empty where there is no point.
    """

    status: Status
    guarantee: Guarantee
    checks: Checks
    objective: float | None = None
    bound: float | None = None
    slacks: tuple[np.ndarray, ...] = ()
    notes: tuple[str, ...] = ()


_ENDED = {
    RawStatus.TIME_LIMIT: Status.TIME_LIMIT,
    RawStatus.ITERATION_LIMIT: Status.ITERATION_LIMIT,
    RawStatus.INTERRUPTED: Status.INTERRUPTED,
    RawStatus.NUMERICAL_ERROR: Status.NUMERICAL_ERROR,
    RawStatus.INFEASIBLE_OR_UNBOUNDED: Status.NUMERICAL_ERROR,
}


def judge(
    model: Model,
    analysis: Analysis,
    lowered: Lowered,
    raw: RawAnswer,
    restored: Restored,
    options: Mapping[str, object] | None = None,
) -> Judgement:
    """The earned status of a raw answer. `options` are the method's: `tol` and `gap` set what is asked for."""
    early = _without_point(raw, restored)
    if early is not None:
        return early
    judged = _Judge(model, analysis, lowered, raw, restored, dict(options or {})).judge()
    if judged.status is not Status.OPTIMAL or not lowered.program.cones:
        return judged  # linear and quadratic problems reach their least value (Frank and Wolfe 1956)
    fading = walk_from(model, lowered, raw, restored).fading()
    return judged if fading is None else replace(judged, notes=(*judged.notes, fading_words(model, fading)))


def walk_from(model: Model, lowered: Lowered, raw: RawAnswer, restored: Restored) -> Walk:
    """What a point is walked away from with: the model's own functions, by what they are checked with."""
    assert restored.x is not None

    def at(x: np.ndarray) -> _Judge:
        return _Judge(model, lowered.analysis, lowered, raw, replace(restored, x=x), {})

    def holds(x: np.ndarray) -> bool:
        judge = at(x)
        return judge._primal()[0] <= TOLERANCE and judge._domains_hold()

    def value(x: np.ndarray) -> float:
        objective = at(x)._objective()
        return np.nan if objective is None else lowered.sign * objective

    blocks = [b for b in lowered.analysis.blocks if b.rewritten is None]
    equations = [_own_rows(b.matrix[b.lower >= b.upper], model.columns) for b in blocks]
    stacked = sp.vstack(equations, format="csr") if equations else sp.csr_array((0, model.columns))
    return Walk(model, restored.x, value, holds, stacked)


def _own_rows(matrix: sp.csr_array, columns: int) -> sp.csr_array:
    """The rows without entries beyond the model's own columns."""
    beyond = np.diff(matrix[:, columns:].indptr)
    return sp.csr_array(matrix[:, :columns][beyond == 0])


def _without_point(raw: RawAnswer, restored: Restored) -> Judgement | None:
    """The judgement where there is no point to check."""
    if raw.status is RawStatus.INFEASIBLE:
        return Judgement(Status.INFEASIBLE, Guarantee.GLOBAL, Checks(second_order=SecondOrder.NOT_NEEDED))
    if raw.status is RawStatus.UNBOUNDED:
        unneeded = Checks(second_order=SecondOrder.NOT_NEEDED)
        return Judgement(Status.UNBOUNDED, Guarantee.GLOBAL, unneeded, bound=finite(restored.bound))
    if restored.x is None:
        status = _ENDED.get(raw.status, Status.NUMERICAL_ERROR)
        return Judgement(status, Guarantee.NONE, Checks(), bound=finite(restored.bound))
    return None


@dataclass(frozen=True, eq=False, slots=True)
class TransformedAnswer:
    """An answer found through another program: the solver's words, and the point and multipliers in the model's terms.

    residual: scaled norm of the Lagrangian's gradient, where the transformation knows it. scales: for each constraint,
    max(1, |right-hand side|, largest |derivative x value|) by instance; None: by its sides alone. attained: False where
    the bound is a limit that no point reaches, so that none is optimal.
    """

    raw: RawAnswer
    restored: Restored
    residual: float | None
    scales: tuple[np.ndarray, ...] | None
    attained: bool = True


def judge_transformed(
    model: Model, analysis: Analysis, answer: TransformedAnswer, options: Mapping[str, object] | None = None
) -> Judgement:
    """The earned status of an answer that was found through another program; as `judge`."""
    raw, restored = answer.raw, answer.restored
    early = _without_point(raw, restored)
    return early if early is not None else TransformedJudge(model, analysis, answer, dict(options or {})).judge()


class _Judge:
    def __init__(
        self,
        model: Model,
        analysis: Analysis,
        lowered: Lowered,
        raw: RawAnswer,
        restored: Restored,
        options: Mapping[str, object],
    ) -> None:
        assert restored.x is not None
        self.model, self.analysis, self.lowered, self.raw, self.restored = model, analysis, lowered, raw, restored
        self.x = restored.x
        self.lanes = model.lanes.with_values(self.x, EDGE)
        self.tolerance = max(TOLERANCE, _number(options.get("tol"), 0.0))
        self.gap_tolerance = max(self.tolerance, 1.01 * _number(options.get("gap"), 0.0))
        self.notes: list[str] = []

    def judge(self) -> Judgement:
        primal, slacks = self._primal()
        objective = self._objective()
        bound = self._bound()
        dual_residual, complementarity = self._dual(slacks, objective)
        gap = None
        if objective is not None and bound is not None and np.isfinite(bound):
            gap = abs(objective - bound) / max(1.0, abs(objective))
        feasible = primal <= self.tolerance and self._domains_hold() and self._arrays_agree(objective)
        if feasible and objective is not None and not np.isfinite(objective):
            self.notes.append(f"the objective is {objective:g} at the point, which is no number to compare")
            feasible = False
        proved = feasible and self._proved(dual_residual, complementarity, gap)
        done = proved or (feasible and self.model.objective is None)
        checks = Checks(primal, dual_residual, complementarity, gap, SecondOrder.NOT_NEEDED, done)
        status, guarantee = self._words(feasible, proved)
        return Judgement(status, guarantee, checks, objective, finite(bound), slacks, tuple(self.notes))

    def _proved(self, dual_residual: float | None, complementarity: float | None, gap: float | None) -> bool:
        """Optimality: a closed gap, or first-order conditions of a convex problem."""
        if gap is None or not gap <= self.gap_tolerance:  # a gap that is no number proves nothing
            return False
        if self.model.integers:
            return True
        return (dual_residual or 0.0) <= self.tolerance and (complementarity or 0.0) <= self.tolerance

    def _words(self, feasible: bool, proved: bool) -> tuple[Status, Guarantee]:
        ended = _ENDED.get(self.raw.status)
        if ended is not None and not (proved and self.model.objective is not None):
            return ended, Guarantee.NONE
        if self.model.objective is None:
            return (Status.FEASIBLE, Guarantee.GLOBAL) if feasible else (Status.NUMERICAL_ERROR, Guarantee.NONE)
        if proved:
            return Status.OPTIMAL, Guarantee.GLOBAL
        if feasible:
            self.notes.append("the point is feasible, but the checks do not prove it optimal")
            return Status.FEASIBLE, Guarantee.NONE
        self.notes.append("the point does not pass the checks")
        return Status.NUMERICAL_ERROR, Guarantee.NONE

    # ---------------------------------------------------------------------------------------------- feasibility

    def _primal(self) -> tuple[float, tuple[np.ndarray, ...]]:
        """The largest scaled violation, and the slack of every constraint instance."""
        worst = 0.0
        scales = self._row_scales()
        slacks = []
        for number, constraint in enumerate(self.model.constraints):
            if constraint.kind == "matrix":
                slack, violation = self._matrix_slack(constraint)
                worst = max(worst, violation)
                slacks.append(slack)
                continue
            lower, upper, value = self._sides(constraint)
            with np.errstate(invalid="ignore"):
                slack = np.minimum(value - lower, upper - value)
            if slack.shape[0] > 1:
                slack = slack.min(axis=0, keepdims=True)
            slack = slack[0]
            scaled = -slack / scales[number]
            worst = max(worst, float(scaled.max(initial=0.0)), float(np.isnan(value).any()) * np.inf or 0.0)
            slacks.append(np.where(np.abs(slack) <= 1e-12 * scales[number], 0.0, slack))
        return max(worst, self._bound_violation()), tuple(slacks)

    def _matrix_slack(self, constraint: Constraint) -> tuple[np.ndarray, float]:
        """The smallest eigenvalue of each matrix, at every entry of it, and the largest scaled violation."""
        relation = constraint.relations[0]
        size = len(constraint.axes[-1])
        value = self._at(relation.body, self.model.lanes_of(constraint.over)).reshape(-1, size, size)
        smallest, violation = _smallest_eigenvalues(value if relation.lower is not None else -value)
        return np.repeat(smallest, size * size), violation

    def _sides(self, constraint: Constraint) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lower side, upper side and value of each relation at each instance, (relations, instances)."""
        frame = self.model.lanes_of(constraint.over)
        lower, upper, value = [], [], []
        for relation in constraint.relations:
            missing = np.full(frame.size, np.inf)
            lower.append(-missing if relation.lower is None else self._at(relation.lower, frame))
            upper.append(missing if relation.upper is None else self._at(relation.upper, frame))
            value.append(self._at(relation.body, frame))
        self.lanes.forget()
        return np.array(lower), np.array(upper), np.array(value)

    def _at(self, expression, frame: Frame) -> np.ndarray:
        with np.errstate(all="ignore"):
            return self.lanes.full(expression, frame).reshape(-1)

    def _row_scales(self) -> list[np.ndarray]:
        """max(1, |right-hand side|, largest |derivative x value|) of each constraint instance."""
        scales: dict[int, np.ndarray] = {}
        x = np.abs(self.raw.x if self.raw.x is not None else self.x)
        for block in self.analysis.blocks:
            size = np.maximum(1.0, largest_entry(block.matrix, x))
            for side in (block.lower, block.upper):
                size = np.maximum(size, np.where(np.isfinite(side), np.abs(side), 0.0))
            old = scales.get(block.constraint)
            scales[block.constraint] = size if old is None else np.maximum(old, size)
        return [scales.get(k, np.ones(c.size)) for k, c in enumerate(self.model.constraints)]

    def _bound_violation(self) -> float:
        worst = 0.0
        for variable in self.model.variables.values():
            x = self.x[variable.offset : variable.offset + variable.width]
            for side, distance in ((variable.lower, variable.lower - x), (variable.upper, x - variable.upper)):
                scale = np.maximum(1.0, np.where(np.isfinite(side), np.abs(side), 1.0))
                worst = max(worst, float((distance / scale).max(initial=0.0)))
            if variable.attributes & {"psd", "nsd"} and variable.width:
                entries = variable.entries(self.x).reshape(1, len(variable.axes[0]), -1)
                _, violation = _smallest_eigenvalues(entries if "psd" in variable.attributes else -entries)
                worst = max(worst, violation)
            if variable.integer:
                away = np.abs(x - np.rint(x))
                # an integer may be off by the solvers' customary tolerance and no more
                worst = max(worst, float((away / INTEGRALITY * self.tolerance).max(initial=0.0)))
        return worst

    def _domains_hold(self) -> bool:
        """Whether every partial function of the text is defined at the point."""
        parts = [(c.over, r.conditions) for c in self.model.constraints for r in c.relations]
        if self.model.objective is not None:
            parts.append((None, self.model.objective.conditions))  # type: ignore[arg-type]
        for over, conditions in parts:
            frame = Frame().as_root() if over is None else self.model.lanes_of(over)
            for condition in conditions:
                if not self._holds(condition, frame):
                    self.notes.append(f"a function is undefined at the point: its argument must be {condition.kind}")
                    return False
        return True

    def _holds(self, condition: DomainCondition, frame: Frame) -> bool:
        for over in condition.overs:
            frame = self.lanes.extend(frame, over).child
        value = self._at(condition.expression, frame)
        rules = {"positive": value > 0, "nonnegative": value >= -EDGE, "nonzero": value != 0}
        return bool(rules[condition.kind].all())

    # -------------------------------------------------------------------------------------------------- optimality

    def _objective(self) -> float | None:
        if self.model.objective is None:
            return None
        return float(self._at(self.model.objective.body, Frame().as_root())[0])

    def _arrays_agree(self, objective: float | None) -> bool:
        """Whether the arrays that were solved say the same as the templates."""
        if objective is None or self.raw.x is None:
            return True
        program = self.lowered.program
        solved = self.lowered.sign * value_of(program, self.raw.x)
        size = max(1.0, abs(objective), float(np.abs(program.cost * self.raw.x).max(initial=0.0)))
        # auxiliary variables may sit above the functions that they replace, by the solver's tolerance
        room = 1e-9 if not len(self.analysis.auxiliary_lower) else 1e-5
        if self.raw.status is RawStatus.OPTIMAL and abs(solved - objective) > max(room, self.tolerance) * size:
            self.notes.append(f"the objective is {objective:.9g} at the point, but the solved arrays give {solved:.9g}")
            return False
        return True

    def _bound(self) -> float | None:
        """The best proved bound: computed here from the duals; with integers the solver's."""
        if self.model.objective is None:
            return None
        if self.model.integers or self.raw.row_dual is None or self.raw.x is None:
            return self.restored.bound
        raw = self.raw
        return self.lowered.sign * dual_bound(self.lowered.program, raw.x, raw.row_dual, raw.cone_duals)  # type: ignore[arg-type]

    def _dual(self, slacks: tuple[np.ndarray, ...], objective: float | None) -> tuple[float | None, float | None]:
        """Scaled norm of the Lagrangian's gradient, and the largest scaled |dual x slack|."""
        if objective is None or self.restored.duals is None or self.restored.reduced_cost is None:
            return None, None
        scale = max(1.0, abs(objective))
        lower, upper, integer = self._column_bounds()
        reduced = self.restored.reduced_cost
        with np.errstate(invalid="ignore"):
            distance = np.minimum(np.abs(self.x - lower), np.abs(upper - self.x))
        reduced = np.where(np.isfinite(distance) & np.isfinite(reduced) & ~integer, reduced, 0.0)
        scalar = [c.kind != "matrix" for c in self.model.constraints]
        pairs = [p for p, keep in zip(zip(self.restored.duals, slacks, strict=True), scalar, strict=True) if keep]
        pairs.append((reduced, distance))
        worst = max(float(_products(dual, slack).max(initial=0.0)) for dual, slack in pairs)
        return self._gradient_residual(), worst / scale

    def _column_bounds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n = self.model.columns
        program = self.lowered.program
        skip = program.integer[:n] if self.raw.duals_with_integers_fixed else np.zeros(n, dtype=bool)
        return program.lower[:n], program.upper[:n], skip

    def _gradient_residual(self) -> float | None:
        if len(self.analysis.auxiliary_lower):
            return None  # replaced functions have kinks
        assert self.raw.x is not None and self.raw.row_dual is not None and self.raw.reduced_cost is not None
        program = self.lowered.program
        gradient = gradient_of(program, self.raw.x)
        pressed, *_ = pushed(program.cones, in_dual_cones(program, self.raw.cone_duals), len(gradient))
        residual = gradient - program.matrix.T @ self.raw.row_dual - pressed - self.raw.reduced_cost
        scale = max(1.0, float(np.abs(gradient).max(initial=0.0)), float(np.abs(self.raw.row_dual).max(initial=0.0)))
        return float(np.abs(residual).max(initial=0.0)) / scale


class TransformedJudge(_Judge):
    """Checks of an answer whose program is in other variables: everything in the model's own terms."""

    def __init__(
        self, model: Model, analysis: Analysis, answer: TransformedAnswer, options: Mapping[str, object]
    ) -> None:
        assert answer.restored.x is not None
        self.model, self.analysis, self.raw, self.restored = model, analysis, answer.raw, answer.restored
        self.answer = answer
        self.x = answer.restored.x
        self.lanes = model.lanes.with_values(self.x, EDGE)
        self.tolerance = max(TOLERANCE, _number(options.get("tol"), 0.0))
        self.gap_tolerance = max(self.tolerance, 1.01 * _number(options.get("gap"), 0.0))
        self.notes = []

    def _row_scales(self) -> list[np.ndarray]:
        if self.answer.scales is not None:
            return list(self.answer.scales)
        scales = []
        for constraint in self.model.constraints:
            lower, upper, value = self._sides(constraint)
            size = np.maximum(1.0, np.abs(value))
            for side in (lower, upper):
                size = np.maximum(size, np.where(np.isfinite(side), np.abs(side), 0.0))
            scales.append(size.max(axis=0))
        return scales

    def _arrays_agree(self, objective: float | None) -> bool:
        return True

    def _proved(self, dual_residual: float | None, complementarity: float | None, gap: float | None) -> bool:
        return self.answer.attained and super()._proved(dual_residual, complementarity, gap)

    def _bound(self) -> float | None:
        return None if self.model.objective is None else self.restored.bound

    def _column_bounds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        variables = list(self.model.variables.values())
        lower = np.concatenate([v.lower for v in variables])
        fixed = self.raw.duals_with_integers_fixed
        whole = [np.full(v.width, fixed and v.integer) for v in variables]
        return lower, np.concatenate([v.upper for v in variables]), np.concatenate(whole)

    def _gradient_residual(self) -> float | None:
        return self.answer.residual


def _smallest_eigenvalues(matrices: np.ndarray) -> tuple[np.ndarray, float]:
    """The smallest eigenvalue of each symmetric matrix (L, d, d), and by how much the worst one is negative, scaled."""
    if not matrices.size or not np.isfinite(matrices).all():
        return np.full(len(matrices), np.nan), np.inf if matrices.size else 0.0
    smallest = np.linalg.eigvalsh((matrices + matrices.transpose(0, 2, 1)) / 2.0)[:, 0]
    scale = np.maximum(1.0, np.abs(matrices).max(axis=(1, 2)))
    return smallest, float((-smallest / scale).max(initial=0.0))


def _products(dual: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """|dual x slack|, 0 where the dual is 0 (a slack may be infinite there)."""
    return np.abs(dual * np.where(dual == 0, 0.0, slack))


def largest_entry(matrix: sp.csr_array, x: np.ndarray) -> np.ndarray:
    """For each row the largest |entry x value|."""
    if not matrix.nnz:
        return np.zeros(matrix.shape[0])
    products = np.abs(matrix.data) * x[matrix.indices]
    result = np.zeros(matrix.shape[0])
    filled = np.flatnonzero(np.diff(matrix.indptr))
    result[filled] = np.maximum.reduceat(products, matrix.indptr[filled])
    return result


def _number(value: object, missing: float) -> float:
    try:
        return missing if value is None else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return missing


def finite(value: float | None) -> float | None:
    """The number, None where it is none or infinite."""
    return value if value is not None and np.isfinite(value) else None
