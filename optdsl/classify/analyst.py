"""Collects every statement of a model and concludes what kind of problem it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import sympy

from optdsl.classify.analysis import Analysis, MatrixCone, ObjectiveArrays, Rewritten, RowBlock, StatementFact
from optdsl.classify.arrays import auxiliary_rows, objective_arrays
from optdsl.classify.collect import Collector
from optdsl.classify.cones import Affine, CollectedCone
from optdsl.classify.degrees import is_quadratic, not_convex, of_degree_two
from optdsl.classify.domain import on_domain
from optdsl.classify.doubt import Doubt, first_witness, within_equalities
from optdsl.classify.facts import Facts
from optdsl.classify.held import hold, hold_if_concave, require_convex_domain, unbrought
from optdsl.classify.infinite import culprit, sound, without_divisions_by_zero
from optdsl.classify.kinds import ConeKind, kinds_of, type_of
from optdsl.classify.provers import Attempt, constraint_attempts, objective_attempts
from optdsl.classify.quadratic import quadratic_objective
from optdsl.classify.quadratic_rows import quadratics_to_cones
from optdsl.classify.refute import Refuter
from optdsl.classify.sink import AFFINE, CONCAVE, CONVEX, Auxiliary, NotCollected, Sink
from optdsl.classify.smooth import smooth_on_domain
from optdsl.classify.words import (
    ROUGHNESS,
    lane_text,
    sign_word,
    smoothness_word,
    statement_curvature,
    written_shape,
)
from optdsl.errors import Diagnostic, ModelError, Span
from optdsl.model.faults import in_words, place_of
from optdsl.model.model import Constraint, DomainCondition, Marks, Model, Objective, Relation
from optdsl.terms.frame import Frame

if TYPE_CHECKING:
    from optdsl.classify.witness import Witness

Result = TypeVar("Result")


def analyze(model: Model, *, explain: bool = False, doubt: Doubt = "plain") -> Analysis:
    """The verdict on a model. With `explain`, statements get their signs and proofs, which a solve does without.

    doubt: how a witness is searched for where nothing is proved: `plain` for people to read, `quick` as it is found,
    `none` not at all. Raises ModelError for indices outside their sets and the like.
    """
    with np.errstate(all="ignore"):  # what is not a finite number is reported where it becomes a coefficient
        return _Analyst(model, explain, doubt).run()


class _Analyst:
    def __init__(self, model: Model, explain: bool, doubt: Doubt) -> None:
        self.model = model
        self.doubt = doubt
        self.explain = explain
        self.auxiliary = Auxiliary(model.columns)
        self.facts = Facts.of(model)
        self.collector = Collector(model.lanes, self.auxiliary, self.facts)
        self.refuter = Refuter(model, self.facts, doubt == "quick" and not explain)
        self.sharp = False  # whether the facts are those on D, or D says no more than the declared bounds
        self.statements: list[StatementFact] = []
        self.pending: list[tuple[int, Sink, np.ndarray, np.ndarray, Rewritten | None]] = []
        self.matrix_cones: list[MatrixCone] = []
        self.checked = (0, 0)  # auxiliary rows and cones that are known to be finite
        self.mistakes: list[Diagnostic] = []

    def run(self) -> Analysis:
        sink: Sink | None = None
        self.refuter.equalities()
        objective = self.model.objective
        if objective is not None:
            found = self._kept(lambda: self._objective(objective))
            if found is not None:
                fact, sink = found
                self.statements.append(fact)
        for number, constraint in enumerate(self.model.constraints):
            fact_ = self._kept(lambda c=constraint, n=number: self._constraint(n, c))  # type: ignore[misc]
            if fact_ is not None:
                self.statements.append(fact_)
        if self.mistakes:
            raise ModelError(*self.mistakes)
        self._matrix_variables()
        return self._conclude(sink)

    def _kept(self, action: Callable[[], Result]) -> Result | None:
        """Run a step; the user's mistakes in it are kept for one report."""
        try:
            return action()
        except ModelError as error:
            self.mistakes.extend(error.diagnostics)
            return None

    # ------------------------------------------------------------------------------------------------------ objective

    def _objective(self, objective: Objective) -> tuple[StatementFact, Sink | None]:
        sense = CONVEX if objective.sense == "minimize" else CONCAVE
        root = Frame().as_root()
        name, line = objective.name, objective.span.line
        with in_words(self.model.source, objective.marks, objective.span, f"the objective `{name}`"):
            cones = len(self.auxiliary.cones)
            try:
                sink, attempt = self._on_domain(lambda: self._prove(objective, sense, root))
            except NotCollected as reason:
                self._validate(objective.body, root)
                hold_if_concave(objective.conditions, root, self.collector, self.facts)
                blame = self._blame(reason, objective, root)
                fact = self.facts.find(objective.body, root)
                smoothness = smoothness_word(fact)
                curvature = statement_curvature(fact)
                return (
                    StatementFact(name, line, "objective", curvature, smoothness, False, blame, sign_word(fact)),
                    None,
                )
            self._finite(sink, objective.body, name, objective.span, root, objective.marks)
        curved = sink.bent or bool(sink.squares or sink.products)
        smoothness = smoothness_word(self.facts.find(objective.body, root)) if curved else "smooth"
        curvature = sense if curved else AFFINE if sink.terms else "constant"
        kinds = kinds_of(self.auxiliary.cones[cones:]) | ({"quadratic"} if sink.squares or sink.products else set())
        proved = StatementFact(name, line, "objective", curvature, smoothness, True, kinds=frozenset(kinds))
        if self.explain:
            from optdsl.classify.telling import told_objective

            proved = told_objective(proved, self.model, objective, root, self.facts, attempt)
        return proved, sink

    def _smoothness(self, bodies: Sequence[sympy.Expr], frame: Frame) -> str:
        return min((smoothness_word(self.facts.find(b, frame)) for b in bodies), key=ROUGHNESS.index)

    def _gather(self, body: sympy.Expr, sense: str, root: Frame) -> Sink:
        sink = self.collector.sink(root, sense, quadratic=True)
        self.collector.collect(body, root, np.ones((1,) * len(root.shape)), sink)
        return sink

    # ---------------------------------------------------------------------------------------------------- constraints

    def _constraint(self, number: int, constraint: Constraint) -> StatementFact:
        name, line = constraint.name, constraint.span.line
        with in_words(self.model.source, constraint.marks, constraint.span, f"constraint `{name}`"):
            frame = self.model.lanes_of(constraint.over)
            bodies = [r.body for r in constraint.relations]
            cones = len(self.auxiliary.cones)
            try:
                words, attempts = self._on_domain(lambda: self._relations(number, constraint, frame))
            except NotCollected as reason:
                for relation in constraint.relations:
                    self._validate(relation.body, frame)
                    hold_if_concave(relation.conditions, frame, self.collector, self.facts)
                kinds = frozenset({"quadratic"}) if is_quadratic(self.model, constraint, frame) else frozenset()
                blame = self._blame(reason, constraint, frame)
                smoothness = self._smoothness(bodies, frame)
                curvature, sign = written_shape(constraint, frame, self.facts)
                return StatementFact(name, line, "constraint", curvature, smoothness, False, blame, sign, kinds)
        known = next((c for c in words if c in (CONVEX, CONCAVE)), words[0])
        if AFFINE in words and known == "constant":
            known = AFFINE
        kinds = frozenset(kinds_of(self.auxiliary.cones[cones:]))
        plain = known in (AFFINE, "constant") and not any(attempts)
        smoothness = "smooth" if plain else self._smoothness(bodies, frame)
        proved = StatementFact(name, line, "constraint", known, smoothness, True, kinds=kinds)
        if self.explain:
            from optdsl.classify.telling import told_constraint

            proved = told_constraint(proved, self.model, constraint, frame, self.facts, attempts)
        return proved

    def _relations(
        self, number: int, constraint: Constraint, frame: Frame
    ) -> tuple[list[str], list[Attempt | None]]:
        words, attempts = [], []
        for relation in constraint.relations:
            require_convex_domain(relation.conditions, frame, self.facts)
            word, attempt = self._relation(number, constraint, relation, frame)
            words.append(word)
            attempts.append(attempt)
        return words, attempts

    def _relation(
        self, number: int, constraint: Constraint, relation: Relation, frame: Frame
    ) -> tuple[str, Attempt | None]:
        if constraint.kind == "matrix":
            return self._matrix(number, constraint, relation, frame)
        lower = self._side(relation.lower, -np.inf, frame, constraint)
        upper = self._side(relation.upper, np.inf, frame, constraint)
        equal = (relation.lower is not None and relation.lower == relation.upper) or bool((lower == upper).any())
        one_sided = CONVEX if relation.lower is None else CONCAVE if relation.upper is None else None
        mark = self.auxiliary.mark()
        try:
            sense = AFFINE if equal or one_sided is None else one_sided
            sink = self._rows(relation.body, frame, sense, constraint)
            self._hold(relation.conditions, (relation.body,), frame)
            self._keep(number, sink, lower, upper)
            return (sink.sense if sink.bent else AFFINE if sink.terms else "constant"), None
        except NotCollected as reason:
            self.auxiliary.rollback(mark)
            return self._otherwise(reason, number, constraint, relation, frame, (lower, upper), equal)

    def _otherwise(
        self,
        reason: NotCollected,
        number: int,
        constraint: Constraint,
        relation: Relation,
        frame: Frame,
        sides: tuple[np.ndarray, np.ndarray],
        equal: bool,
    ) -> tuple[str, Attempt | None]:
        """Two sides each with a curvature of its own, or an equivalent form that is convex."""
        mark = self.auxiliary.mark()
        before = len(self.pending)
        if not equal and relation.lower is not None and relation.upper is not None:
            try:
                high = self._rows(relation.body, frame, CONVEX, constraint)
                low = self._rows(relation.body, frame, CONCAVE, constraint)
                self._hold(relation.conditions, (relation.body,), frame)
                self._keep(number, high, np.full(frame.size, -np.inf), sides[1])
                self._keep(number, low, sides[0], np.full(frame.size, np.inf))
                return CONVEX, None
            except NotCollected:
                self.auxiliary.rollback(mark)
        if self.refuter.refutes_relation(constraint, relation):
            raise reason
        for attempt in constraint_attempts(relation, frame, self.facts):
            try:
                return self._attempt(attempt, number, constraint, relation, frame)
            except NotCollected:
                self.auxiliary.rollback(mark)
                del self.pending[before:]
        raise reason

    def _attempt(
        self, attempt: Attempt, number: int, constraint: Constraint, relation: Relation, frame: Frame
    ) -> tuple[str, Attempt | None]:
        words = []
        self._hold((*relation.conditions, *attempt.keeps), [body for body, *_ in attempt.relations], frame)
        for body, lower, upper in attempt.relations:
            low = self._side(lower, -np.inf, frame, constraint)
            high = self._side(upper, np.inf, frame, constraint)
            equal = lower is not None and lower == upper
            sense = AFFINE if equal else CONVEX if lower is None else CONCAVE if upper is None else AFFINE
            sink = self._rows(body, frame, sense, constraint)
            self._keep(number, sink, low, high, Rewritten(relation.body, body))
            words.append(sink.sense if sink.bent else AFFINE)
        return next((w for w in words if w != AFFINE), AFFINE), attempt

    def _rows(self, body: sympy.Expr, frame: Frame, sense: str, constraint: Constraint) -> Sink:
        sink = self.collector.sink(frame, sense, quadratic=sense != AFFINE)
        self.collector.collect(body, frame, np.ones((1,) * len(frame.shape)), sink)
        quadratics_to_cones(self.collector, sink)
        self._finite(sink, body, constraint.name, constraint.span, frame, constraint.marks)
        return sink

    def _prove(self, objective: Objective, sense: str, root: Frame) -> tuple[Sink, Attempt | None]:
        """The objective as it stands, or in an equivalent form."""
        require_convex_domain(objective.conditions, root, self.facts)
        mark = self.auxiliary.mark()
        try:
            self._hold(objective.conditions, (objective.body,), root)
            return self._gather(objective.body, sense, root), None
        except NotCollected as reason:
            self.auxiliary.rollback(mark)
            if self.refuter.refutes_objective(objective):
                raise
            for attempt in objective_attempts(objective.body, root, self.facts):
                body = attempt.relations[0][0]
                try:
                    self._hold((*objective.conditions, *attempt.keeps), (body,), root)
                    return self._gather(body, sense, root), attempt
                except NotCollected:
                    self.auxiliary.rollback(mark)
            raise reason from None

    def _on_domain(self, prove: Callable[[], Result]) -> Result:
        """Prove a statement on the declared bounds; where that fails, on all that D implies."""
        mark, before = self.auxiliary.mark(), len(self.pending)
        self.refuter.settled = False
        try:
            return prove()
        except NotCollected:
            self.auxiliary.rollback(mark)
            del self.pending[before:]
            if self.refuter.settled:
                raise
            sharper = None if self.sharp else on_domain(self.model, self.facts, self.refuter.domain)
            self.sharp = True
            if sharper is None:
                raise
            self.facts = self.collector.facts = sharper
            return prove()

    def _hold(
        self, conditions: Sequence[DomainCondition], solved: Sequence[sympy.Expr], frame: Frame
    ) -> None:
        """Keep conditions of D that what is solved would lose, as rows; one that is not concave fails the attempt."""
        hold(unbrought(conditions, solved, frame, self.facts), frame, self.collector, self.facts)

    def _keep(
        self,
        number: int,
        sink: Sink,
        lower: np.ndarray,
        upper: np.ndarray,
        rewritten: Rewritten | None = None,
    ) -> None:
        self.pending.append((number, sink, lower - sink.constant, upper - sink.constant, rewritten))

    def _side(self, side: sympy.Expr | None, missing: float, frame: Frame, constraint: Constraint) -> np.ndarray:
        if side is None:
            return np.full(frame.size, missing)
        values = self.model.lanes.full(side, frame).reshape(-1)
        values = without_divisions_by_zero(self.model, side, frame, values)
        if np.isnan(values).any():
            self._not_finite(values, side, constraint.name, constraint.span, frame, constraint.marks, "a side")
        return values

    def _validate(self, body: sympy.Expr, frame: Frame) -> None:
        """Evaluate a statement that is not collected, so that indices outside their sets are reported all the same."""
        lanes = self.model.lanes.with_values(np.ones(self.model.columns))
        lanes.dry = True
        with np.errstate(all="ignore"):
            lanes.evaluate(body, frame)

    # ------------------------------------------------------------------------------------------------------- matrices

    def _matrix(
        self, number: int, constraint: Constraint, relation: Relation, frame: Frame
    ) -> tuple[str, Attempt | None]:
        sink = self.collector.sink(frame, AFFINE)
        self.collector.collect(relation.body, frame, np.ones((1,) * len(frame.shape)), sink)
        self._finite(sink, relation.body, constraint.name, constraint.span, frame, constraint.marks)
        sign = 1.0 if relation.lower is not None else -1.0
        self._semidefinite(sink.affine() * sign, len(constraint.axes[-1]), MatrixCone(0, sign, constraint=number))
        return AFFINE, None

    def _matrix_variables(self) -> None:
        for variable in self.model.variables.values():
            if variable.attributes & {"psd", "nsd"} and variable.columns is not None and variable.width:
                sign = 1.0 if "psd" in variable.attributes else -1.0
                entries = Affine.of_columns(variable.columns) * sign
                self._semidefinite(entries, len(variable.axes[0]), MatrixCone(0, sign, variable=variable.name))

    def _semidefinite(self, entries: Affine, size: int, origin: MatrixCone) -> None:
        cone = CollectedCone(ConeKind.SEMIDEFINITE, (entries,), size=size)
        self.matrix_cones.append(MatrixCone(len(self.auxiliary.cones), origin.sign, origin.constraint, origin.variable))
        self.auxiliary.cones.append(cone)

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
        held = (len(self.auxiliary.rows), len(self.auxiliary.cones))
        if not sound(self.auxiliary, *map(min, self.checked, held)):
            self._not_finite(np.full(1, np.nan), body, name, span, Frame().as_root(), marks, "a number")
        self.checked = held

    def _not_finite(
        self, values: np.ndarray, body: sympy.Basic, name: str, span: Span, frame: Frame, marks: Marks, what: str
    ) -> None:
        row = int(np.flatnonzero(np.isnan(values))[0])
        lane = self.model.lanes.lane(frame, np.unravel_index(row, frame.shape) if frame.shape else ())  # type: ignore[arg-type]
        message = f"in `{name}`{lane_text(lane, marks)}, {what} is not a finite number"
        hint = "a logarithm or root of negative data, or a division of data by zero, has no finite value"
        found = culprit(self.model, body)
        if found is not None:
            fact, part = found
            message, span = f"in `{name}`, {fact}", place_of(part, marks, span)
            hint = "leave infinite entries out with `if`, or give a large number that means something"
            if "divisor" in fact:
                hint = "leave that case out with `if`, or correct the data"
        raise ModelError(Diagnostic("not-finite", message, span, hint, self.model.source))

    def _blame(self, reason: NotCollected, statement: Objective | Constraint, frame: Frame) -> Diagnostic:
        if self.explain:
            from optdsl.classify.blame import blame_statement

            found = blame_statement(self.model, statement, frame, self.facts, reason)
            if found is not None:
                return found
        lane = lane_text(reason.lane, statement.marks) if reason.lane else ""
        return Diagnostic(
            "not-solvable-yet",
            f"`{statement.name}`{lane} is not proved convex: {reason.reason}",
            place_of(reason.node, statement.marks, statement.span),
            reason.hint or "write it with convex functions, or approximate it; `optdsl check` shows each statement",
            self.model.source,
        )

    # -------------------------------------------------------------------------------------------------- conclusion

    def _conclude(self, sink: Sink | None) -> Analysis:
        refusal = [fact.blame for fact in self.statements if fact.blame is not None]
        columns = self.model.columns + self.auxiliary.count
        quadratic, direction = None, None
        if sink is not None and (sink.squares or sink.products):
            quadratic, direction = quadratic_objective(sink, columns, sink.sense)
            if direction is not None:
                refusal.append(not_convex(self.model, sink, self.facts, self.explain))
                self._mark_objective_nonconvex(refusal[-1])
        self.statements = smooth_on_domain(self.statements, self.model, self.facts, self.sharp)
        smoothness = min((f.smoothness for f in self.statements), key=ROUGHNESS.index, default="smooth")
        kind, convexity = type_of(
            self.model,
            self.statements,
            self.auxiliary.cones,
            smoothness,
            lambda: of_degree_two(self.model, self.statements),
        )
        if refusal:
            n = self.model.columns
            affine = [(s.matrix(n), low, high) for _, s, low, high, new in self.pending if not s.bent and new is None]
            broken = {fact.name for fact in self.statements if not fact.ok}
            if quadratic is not None and direction is not None and sink is not None:
                direction = within_equalities(n, quadratic, sink.sense, affine, direction)
            witness = self.refuter.witness
            if witness is None:
                witness = first_witness(self.model, broken, affine, direction, self.doubt)
            return Analysis(
                self.model,
                kind,
                "nonconvex" if witness is not None else convexity,
                smoothness,
                self._with_witness(witness),
                tuple(refusal),
                witness=witness,
                direction=direction,
                proved=lambda: self._proved(kind, convexity, smoothness),
                on_domain=self._facts_on_domain,
                level_sets=self.refuter.level_sets,
            )
        return self._program(
            kind, convexity, smoothness, objective_arrays(self.model, sink, columns, quadratic)
        )

    def _facts_on_domain(self) -> Facts:
        if not self.sharp:
            self.sharp, self.facts = True, on_domain(self.model, self.facts, self.refuter.domain) or self.facts
        return self.facts

    def _proved(self, kind: str, convexity: str, smoothness: str) -> Analysis:
        """The program of what is proved, by all provers."""
        if not self.refuter.hopeless:
            return self._program(kind, convexity, smoothness, None)
        patient = analyze(self.model, doubt="none")
        return patient if patient.proved is None else patient.proved()

    def _program(
        self, kind: str, convexity: str, smoothness: str, objective: ObjectiveArrays | None
    ) -> Analysis:
        """The arrays of what is proved."""
        columns = self.model.columns + self.auxiliary.count
        lower, upper = self.auxiliary.bounds()
        return Analysis(
            self.model,
            kind,
            convexity,
            smoothness,
            tuple(self.statements),
            (),
            tuple(RowBlock(k, s.matrix(columns), low, high, new) for k, s, low, high, new in self.pending),
            tuple(auxiliary_rows(held, columns) for held in self.auxiliary.rows),
            lower,
            upper,
            objective,
            tuple(self.auxiliary.cones),
            tuple(self.matrix_cones),
        )

    def _with_witness(self, witness: Witness | None) -> tuple[StatementFact, ...]:
        """The statements; that of the witness is not convex, whatever the composition rule could not tell."""
        return tuple(
            replace(f, curvature="nonconvex")
            if witness is not None and f.name == witness.statement and f.curvature == "unknown"
            else f
            for f in self.statements
        )

    def _mark_objective_nonconvex(self, blame: Diagnostic) -> None:
        self.statements = [
            replace(f, ok=False, blame=blame, curvature="unknown", steps=()) if f.role == "objective" else f
            for f in self.statements
        ]
