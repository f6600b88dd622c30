"""What kind of problem a model is, and its linear and quadratic parts as arrays.

`analyze` collects every statement over all its lanes. A statement that is neither linear nor convex quadratic gets a
blame: the smallest part that breaks it, with its place in the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import sympy

from optdsl.classify.collect import (
    AFFINE,
    CONCAVE,
    CONVEX,
    Auxiliary,
    Collector,
    NotCollected,
    Sink,
)
from optdsl.classify.infinite import culprit
from optdsl.classify.quadratic import Quadratic, quadratic_objective
from optdsl.classify.smooth import smoothness_of
from optdsl.data.members import Label, label_text
from optdsl.errors import Diagnostic, ModelError, Span
from optdsl.model.faults import in_words, place_of
from optdsl.model.model import Constraint, Marks, Model, Objective, Relation
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import Index
from optdsl.terms.show import index_letter


@dataclass(frozen=True, eq=False)
class RowBlock:
    """Rows lower <= matrix @ x <= upper of one relation, one per lane; `constraint` is its number in the model.

    matrix (R, n + auxiliary) CSR; lower, upper (R,), infinite where there is no side.
    """

    constraint: int
    matrix: sp.csr_array
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True, eq=False)
class ObjectiveArrays:
    """cost (n + auxiliary,) @ x + constant, plus a quadratic; in the user's own sense."""

    sense: str
    cost: np.ndarray
    constant: float
    quadratic: Quadratic | None


@dataclass(frozen=True, slots=True)
class StatementFact:
    """One statement: its curvature as written, smoothness, whether that fits its role, and else what breaks it."""

    name: str
    line: int
    role: str
    curvature: str
    smoothness: str
    ok: bool
    blame: Diagnostic | None = None
    quadratic: bool = False


@dataclass(frozen=True, eq=False)
class Analysis:
    """The verdict on a model and, where `refusal` is empty, the arrays of its linear or quadratic program."""

    model: Model
    type: str
    convexity: str
    smoothness: str
    statements: tuple[StatementFact, ...]
    refusal: tuple[Diagnostic, ...]
    blocks: tuple[RowBlock, ...] = ()
    auxiliary_rows: tuple[tuple[sp.csr_array, np.ndarray, np.ndarray], ...] = ()
    auxiliary_lower: np.ndarray = field(default_factory=lambda: np.zeros(0))
    auxiliary_upper: np.ndarray = field(default_factory=lambda: np.zeros(0))
    objective: ObjectiveArrays | None = None
    direction: np.ndarray | None = None

    @property
    def size(self) -> Mapping[str, int]:
        """Columns, constraint instances, stored coefficients and integer columns of the model as written."""
        rows = sum(block.matrix.shape[0] for block in self.blocks)
        if not self.blocks:
            rows = sum(int(np.prod([len(a) for a in c.axes], dtype=np.int64)) for c in self.model.constraints)
        return {
            "variables": self.model.columns,
            "constraints": rows,
            "nonzeros": sum(block.matrix.nnz for block in self.blocks),
            "integers": self.model.integers,
        }


def analyze(model: Model) -> Analysis:
    """Collect all statements of a model. Raises ModelError for indices outside their sets and the like."""
    return _Analyst(model).run()


class _Analyst:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.auxiliary = Auxiliary(model.columns)
        self.collector = Collector(model.lanes, self.auxiliary)
        self.facts: list[StatementFact] = []
        self.pending: list[tuple[int, Sink, np.ndarray, np.ndarray]] = []
        self.mistakes: list[Diagnostic] = []
        self.quadratic_constraints = False
        self.matrix_parts = self._matrix_variables()

    def run(self) -> Analysis:
        objective = self._objective()
        for number, constraint in enumerate(self.model.constraints):
            with_faults = self._collected(lambda c=constraint, n=number: self._constraint(n, c))
            if with_faults is not None:
                self.facts.append(with_faults)
        if self.mistakes:
            raise ModelError(*self.mistakes)
        return self._conclude(objective)

    def _collected(self, action):  # type: ignore[no-untyped-def]
        try:
            return action()
        except ModelError as error:
            self.mistakes.extend(error.diagnostics)
            return None

    def _matrix_variables(self) -> list[str]:
        return [v.name for v in self.model.variables.values() if v.attributes & {"psd", "nsd"}]

    # ------------------------------------------------------------------------------------------------------ objective

    def _objective(self) -> Sink | None:
        objective = self.model.objective
        if objective is None:
            return None
        sink: Sink | None = None

        def collect() -> StatementFact:
            nonlocal sink
            fact, sink = self._objective_fact(objective)
            return fact

        fact = self._collected(collect)
        if fact is not None:
            self.facts.append(fact)
        return sink

    def _objective_fact(self, objective: Objective) -> tuple[StatementFact, Sink | None]:
        sense = CONVEX if objective.sense == "minimize" else CONCAVE
        root = Frame().as_root()
        with in_words(self.model.source, objective.marks, objective.span, f"the objective `{objective.name}`"):
            smoothness = smoothness_of(self.model, objective.body)
            sink = self.collector.sink(root, sense, quadratic=True)
            try:
                self.collector.collect(objective.body, root, np.ones(()), sink)
            except NotCollected as reason:
                self._validate(objective.body, root)
                blame = self._blame(reason, objective.marks, objective.span, objective.name)
                name = objective.name
                return StatementFact(name, objective.span.line, "objective", "unknown", smoothness, False, blame), None
            self._finite(sink, objective.body, objective.name, objective.span, root, objective.marks)
        curved = sink.bent or bool(sink.squares or sink.products)
        curvature = sense if curved else AFFINE if sink.terms else "constant"
        quadratic = bool(sink.squares or sink.products)
        fact = StatementFact(
            objective.name, objective.span.line, "objective", curvature, smoothness, True, quadratic=quadratic
        )
        return fact, sink

    # ---------------------------------------------------------------------------------------------------- constraints

    def _constraint(self, number: int, constraint: Constraint) -> StatementFact:
        with in_words(self.model.source, constraint.marks, constraint.span, f"constraint `{constraint.name}`"):
            frame = self.model.lanes_of(constraint.over)
            bodies = [r.body for r in constraint.relations]
            smoothness = min((smoothness_of(self.model, b) for b in bodies), key=_ROUGHNESS.index)
            line = constraint.span.line
            try:
                curvatures = [self._relation(number, constraint, r, frame) for r in constraint.relations]
            except NotCollected as reason:
                for body in bodies:
                    self._validate(body, frame)
                quadratic = self._is_quadratic(constraint, frame)
                self.quadratic_constraints |= quadratic
                blame = self._blame(reason, constraint.marks, constraint.span, constraint.name)
                return StatementFact(
                    constraint.name, line, "constraint", "unknown", smoothness, False, blame, quadratic
                )
        if constraint.kind == "matrix":
            blame = self._matrix_blame(constraint)
            return StatementFact(constraint.name, line, "constraint", AFFINE, smoothness, True, blame)
        curvature = next((c for c in curvatures if c in (CONVEX, CONCAVE)), curvatures[0])
        if AFFINE in curvatures and curvature == "constant":
            curvature = AFFINE
        return StatementFact(constraint.name, line, "constraint", curvature, smoothness, True)

    def _relation(self, number: int, constraint: Constraint, relation: Relation, frame: Frame) -> str:
        lower = self._side(relation.lower, -np.inf, frame, constraint)
        upper = self._side(relation.upper, np.inf, frame, constraint)
        equal = (relation.lower is not None and relation.lower == relation.upper) or bool((lower == upper).any())
        if constraint.kind == "matrix":
            sink = self._collect_rows(relation.body, frame, AFFINE, constraint)
            return AFFINE if sink.terms else "constant"
        senses = [AFFINE]
        if not equal:
            senses = [CONVEX] if relation.lower is None else [CONCAVE] if relation.upper is None else [AFFINE]
        try:
            sink = self._collect_rows(relation.body, frame, senses[0], constraint)
        except NotCollected:
            if equal or relation.lower is None or relation.upper is None:
                raise
            # two sides, each with a curvature of its own
            high = self._collect_rows(relation.body, frame, CONVEX, constraint)
            low = self._collect_rows(relation.body, frame, CONCAVE, constraint)
            self._keep(number, high, np.full(frame.size, -np.inf), upper)
            self._keep(number, low, lower, np.full(frame.size, np.inf))
            return CONVEX
        self._keep(number, sink, lower, upper)
        if sink.bent:
            return sink.sense
        return AFFINE if sink.terms else "constant"

    def _collect_rows(self, body: sympy.Expr, frame: Frame, sense: str, constraint: Constraint) -> Sink:
        sink = self.collector.sink(frame, sense)
        self.collector.collect(body, frame, np.ones((1,) * len(frame.shape)), sink)
        self._finite(sink, body, constraint.name, constraint.span, frame, constraint.marks)
        return sink

    def _keep(self, number: int, sink: Sink, lower: np.ndarray, upper: np.ndarray) -> None:
        self.pending.append((number, sink, lower - sink.constant, upper - sink.constant))

    def _side(
        self, side: sympy.Expr | None, missing: float, frame: Frame, constraint: Constraint
    ) -> np.ndarray:
        if side is None:
            return np.full(frame.size, missing)
        values = self.model.lanes.full(side, frame).reshape(-1)
        if np.isnan(values).any():
            self._not_finite(values, side, constraint.name, constraint.span, frame, constraint.marks, "a side")
        return values

    def _is_quadratic(self, constraint: Constraint, frame: Frame) -> bool:
        probe = Collector(self.model.lanes, Auxiliary(self.model.columns))
        try:
            for relation in constraint.relations:
                sense = CONVEX if relation.lower is None else CONCAVE if relation.upper is None else AFFINE
                sink = probe.sink(frame, sense, quadratic=True)
                probe.collect(relation.body, frame, np.ones((1,) * len(frame.shape)), sink)
        except NotCollected:
            return False
        return not probe.auxiliary.count

    def _validate(self, body: sympy.Expr, frame: Frame) -> None:
        """Evaluate a statement that is not collected, so that indices outside their sets are reported all the same."""
        lanes = self.model.lanes.with_values(np.ones(self.model.columns))
        with np.errstate(all="ignore"):
            lanes.evaluate(body, frame)

    # ---------------------------------------------------------------------------------------------------- mistakes

    def _finite(self, sink: Sink, body: sympy.Basic, name: str, span: Span, frame: Frame, marks: Marks) -> None:
        for term in sink.terms:
            if not np.isfinite(term.coefficients).all():
                full = np.broadcast_to(term.coefficients, term.frame.shape).reshape(-1)
                rows = np.broadcast_to(term.frame.root_rows(), term.frame.shape).reshape(-1)
                bad = np.full(frame.size, 0.0)
                bad[rows[~np.isfinite(full)]] = np.nan
                self._not_finite(bad, body, name, span, frame, marks, "a coefficient")
        if not np.isfinite(sink.constant).all():
            bad = np.where(np.isfinite(sink.constant), 0, np.nan)
            self._not_finite(bad, body, name, span, frame, marks, "a constant")

    def _not_finite(
        self, values: np.ndarray, body: sympy.Basic, name: str, span: Span, frame: Frame, marks: Marks, what: str
    ) -> None:
        row = int(np.flatnonzero(np.isnan(values))[0])
        lane = self.model.lanes.lane(frame, np.unravel_index(row, frame.shape) if frame.shape else ())
        message = f"in `{name}`{_lane_text(lane, marks)}, {what} is not a finite number"
        hint = "a logarithm or root of negative data, or a division of data by zero, has no finite value"
        found = culprit(self.model, body)
        if found is not None:
            fact, part = found
            message, span = f"in `{name}`, {fact}", place_of(part, marks, span)
            hint = "`inf` may stand as a bound only; leave infinite entries out with `if`"
            if "divisor" in fact:
                hint = "leave that case out with `if`, or correct the data"
        raise ModelError(Diagnostic("not-finite", message, span, hint, self.model.source))

    def _blame(self, reason: NotCollected, marks: Marks, span: Span, name: str) -> Diagnostic:
        where = place_of(reason.node, marks, span)
        lane = _lane_text(reason.lane, marks) if reason.lane else ""
        return Diagnostic(
            "not-solvable-yet",
            f"`{name}`{lane} is neither linear nor convex quadratic: {reason.reason}",
            where,
            reason.hint,
            self.model.source,
        )

    def _matrix_blame(self, constraint: Constraint) -> Diagnostic:
        return Diagnostic(
            "not-solvable-yet",
            f"`{constraint.name}` is a matrix inequality: semidefinite problems are not solved by this version",
            constraint.span,
            None,
            self.model.source,
        )

    # -------------------------------------------------------------------------------------------------- conclusion

    def _conclude(self, sink: Sink | None) -> Analysis:
        refusal = [fact.blame for fact in self.facts if fact.blame is not None]
        for name in self.matrix_parts:
            variable = self.model.variables[name]
            flag = "psd" if "psd" in variable.attributes else "nsd"
            refusal.append(
                Diagnostic(
                    "not-solvable-yet",
                    f"`{name}` is declared {flag}: semidefinite problems are not solved by this version",
                    variable.span,
                    None,
                    self.model.source,
                )
            )
        columns = self.model.columns + self.auxiliary.count
        quadratic, direction = None, None
        if sink is not None and (sink.squares or sink.products):
            quadratic, direction = quadratic_objective(sink, columns, sink.sense)
            if direction is not None:
                refusal.append(self._nonconvex(sink))
        smoothness = min((f.smoothness for f in self.facts), key=_ROUGHNESS.index, default="smooth")
        kind, convexity = self._type(direction is not None, smoothness)
        if refusal:
            return Analysis(
                self.model, kind, convexity, smoothness, self._facts(direction), tuple(refusal), direction=direction
            )
        lower, upper = self.auxiliary.bounds()
        blocks = tuple(RowBlock(k, s.matrix(columns), low, high) for k, s, low, high in self.pending)
        return Analysis(
            self.model,
            kind,
            convexity,
            smoothness,
            tuple(self.facts),
            (),
            blocks,
            tuple(_auxiliary_rows(held, columns) for held in self.auxiliary.rows),
            lower,
            upper,
            self._objective_arrays(sink, columns, quadratic),
        )

    def _facts(self, direction: np.ndarray | None) -> tuple[StatementFact, ...]:
        if direction is None:
            return tuple(self.facts)
        from dataclasses import replace

        return tuple(
            replace(f, curvature="nonconvex", ok=False) if f.role == "objective" else f for f in self.facts
        )

    def _objective_arrays(self, sink: Sink | None, columns: int, quadratic: Quadratic | None) -> ObjectiveArrays | None:
        if sink is None or self.model.objective is None:
            return None
        cost = np.zeros(columns)
        for term in sink.terms:
            shape = term.frame.shape
            index = np.broadcast_to(term.columns, shape).reshape(-1)
            weight = np.broadcast_to(term.coefficients, shape).reshape(-1)
            cost += np.bincount(index, weights=weight, minlength=columns)
        if quadratic is not None:
            cost = cost + quadratic.cost
        constant = float(sink.constant.sum()) + (quadratic.constant if quadratic is not None else 0.0)
        return ObjectiveArrays(self.model.objective.sense, cost, constant, quadratic)

    def _nonconvex(self, sink: Sink) -> Diagnostic:
        objective = self.model.objective
        assert objective is not None
        worst = next((p.node for p in sink.products), None) or next(s.node for s in sink.squares)
        shape = "convex" if objective.sense == "minimize" else "concave"
        return Diagnostic(
            "not-solvable-yet",
            f"`{objective.name}` is quadratic but not {shape}: non-convex quadratics are not solved by this version",
            place_of(worst, objective.marks, objective.span),
            f"a quadratic can be {objective.sense}d here when it is {shape}; `optdsl check` shows each statement",
            self.model.source,
        )

    def _type(self, nonconvex_objective: bool, smoothness: str) -> tuple[str, str]:
        mixed = "MI" if self.model.integers else ""
        broken = [f for f in self.facts if f.blame is not None and not f.ok]
        matrices = bool(self.matrix_parts) or any(c.kind == "matrix" for c in self.model.constraints)
        quadratic = any(f.quadratic for f in self.facts if f.role == "objective")
        if not broken and not nonconvex_objective:
            if matrices:
                return mixed + "SDP", "convex"
            return mixed + ("QP" if quadratic else "LP"), "convex"
        if all(f.quadratic for f in broken) and not matrices and smoothness == "smooth":
            return mixed + ("QCP" if self.quadratic_constraints else "QP"), "unknown"
        if smoothness in ("smooth", "C1"):
            return mixed + "NLP", "unknown"
        return mixed + "NONSMOOTH", "unknown"


_ROUGHNESS = ["discontinuous", "nonsmooth", "C1", "smooth"]


def _auxiliary_rows(held: Sink, columns: int) -> tuple[sp.csr_array, np.ndarray, np.ndarray]:
    """lower <= matrix @ x <= upper for rows that hold an auxiliary variable."""
    matrix = held.matrix(columns)
    free = np.full(matrix.shape[0], np.inf)
    if held.sense == CONVEX:
        return matrix, -free, -held.constant
    return matrix, -held.constant, free


def _lane_text(lane: Mapping[Index, Label], marks: Marks) -> str:
    parts = [f"{marks.names.get(i) or index_letter(i)} = {label_text(v)}" for i, v in sorted(lane.items(), key=str)]
    return f" at {', '.join(parts)}" if parts else ""


__all__ = ["Analysis", "ObjectiveArrays", "RowBlock", "StatementFact", "analyze", "nodes"]
