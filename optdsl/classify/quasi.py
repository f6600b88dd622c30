"""Quasi-convex problems: the level sets of the objective are convex, whatever its own shape.

`recognize_quasiconvex` peels monotone functions off an objective until something is left that is convex, a ratio, or
has convex levels (see `level_sets`; Agrawal and Boyd, 2020, "Disciplined quasiconvex programming").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import sympy

from optdsl.classify.analysis import Analysis
from optdsl.classify.analyst import analyze
from optdsl.classify.facts import Facts
from optdsl.classify.level_sets import LEVEL, LevelRows, Levels, NoLevels, Ratio
from optdsl.errors import Span
from optdsl.model.faults import in_words, place_of
from optdsl.model.model import Constraint, Marks, Model, Objective, Relation, Variable
from optdsl.terms import nodes
from optdsl.terms.evaluate import Lanes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import VariableValue


@dataclass(frozen=True, slots=True)
class NotQuasiconvex:
    """Why a model is not quasi-convex: the first part that breaks it."""

    statement: str
    reason: str
    span: Span
    expression: sympy.Basic | None = None


@dataclass(frozen=True, eq=False)
class QuasiProgram:
    """A quasi-convex problem.

    model: the user's. convex: the same without objective, its constraints written as convex ones where they were
    levels. core: what remains of the objective when monotone functions are peeled off; `sense` is how it is optimized.
    kind: `convex` (the core is convex in its sense, `analysis` is its program), `linear ratio` (of two affine
    functions, `ratio`), `levels`. known: lower bounds of whole expressions by constraints. layers: the functions peeled
    off, outermost first, of the variable `LEVEL`. rewritten: whether constraints were changed, so that their
    multipliers are not the user's.
    """

    model: Model
    convex: Model
    core: sympy.Expr
    sense: str
    kind: str
    facts: Facts
    known: Mapping[sympy.Expr, float] = field(default_factory=dict)
    layers: tuple[sympy.Expr, ...] = ()
    analysis: Analysis | None = None
    ratio: Ratio | None = None
    rewritten: bool = False

    @property
    def sign(self) -> float:
        """1 where the core is minimized, -1 where it is maximized."""
        return 1.0 if self.sense == "minimize" else -1.0

    def with_objective(self, body: sympy.Expr, sense: str) -> Model:
        """The convex model with this objective."""
        assert self.model.objective is not None
        return replace(self.convex, objective=replace(self.model.objective, body=body, sense=sense, conditions=()))

    def level_model(self, level: float) -> Model:
        """Minimize by how much `core <= level` (>= for a maximum) is missed: at most 0 where the level can be met.

        The miss is the column after the model's own, not below -1.
        """
        root = Frame().as_root()
        rules = Levels(self.facts, self.known)
        rows = rules.levels(self.core, sympy.Float(level), self.sign, nodes.over(()), root)
        return _with_level(self.convex, self.model.objective, rows)

    def value_of_core(self, x: np.ndarray) -> float:
        """The core at a point (n,)."""
        return self._value(self.core, x)

    def value(self, x: np.ndarray) -> float:
        """The user's objective at a point (n,)."""
        assert self.model.objective is not None
        return self._value(self.model.objective.body, x)

    def value_at_core(self, core: float) -> float:
        """The user's objective where the core has this value (its limit at an infinite one)."""
        lanes = _lanes_with_level(self.model)
        values = np.zeros(self.model.columns + 1)
        values[-1] = core
        for layer in reversed(self.layers):
            with np.errstate(all="ignore"):
                values[-1] = lanes.with_values(values).full(layer, Frame().as_root()).reshape(-1)[0]
        return float(values[-1])

    def _value(self, body: sympy.Expr, x: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            return float(self.model.lanes.with_values(x).full(body, Frame().as_root()).reshape(-1)[0])


def recognize_quasiconvex(
    model: Model, facts: Facts | None = None, broken: Collection[str] | None = None
) -> QuasiProgram | NotQuasiconvex:
    """The quasi-convex problem that a model is, or the first reason why none is recognized.

    For models that are not convex as they stand. `facts` tell the variables' bounds (the declared ones if None).
    broken: names of the constraints that are not proved convex, where the model was analyzed before.
    """
    if model.objective is None:
        return NotQuasiconvex("", "there is no objective", Span(0, 0, 1, 1, 1, 1))
    return _Recognizer(model, model.objective, facts or Facts.of(model), broken).run()


class _Recognizer:
    def __init__(
        self, model: Model, objective: Objective, facts: Facts, broken: Collection[str] | None
    ) -> None:
        self.model, self.objective, self.facts, self.broken = model, objective, facts, broken
        self.known = _known_bounds(model)
        self.rules = Levels(facts, self.known)
        self.rewritten = False

    def run(self) -> QuasiProgram | NotQuasiconvex:
        integer = next((v for v in self.model.variables.values() if v.integer), None)
        if integer is not None:
            return NotQuasiconvex(integer.name, f"`{integer.name}` is integer", integer.span)
        try:
            convex = self._constraints()
            statement, marks, span = self.objective.name, self.objective.marks, self.objective.span
            with in_words(self.model.source, marks, span, f"the objective `{statement}`"):
                return self._objective(convex)
        except _Broken as broken:
            return broken.why

    # ---------------------------------------------------------------------------------------------- constraints

    def _constraints(self) -> Model:
        """The model without objective, constraints that are levels written as convex ones."""
        model = replace(self.model, objective=None)
        broken = self.broken
        if broken is None:
            broken = {s.name for s in analyze(model, doubt="none").statements if not s.ok}
        else:
            self._no_equality(broken)
        if not broken:
            return model
        # what is to be replaced must not prove itself, nor another that is to be replaced
        rules = Levels(self.facts, _known_bounds(replace(
            model, constraints=tuple(c for c in model.constraints if c.name not in broken)
        )))
        constraints: list[Constraint] = []
        for constraint in model.constraints:
            if constraint.name in broken:
                constraints.extend(self._levels_of(constraint, rules))
                self.rewritten = True
            else:
                constraints.append(constraint)
        model = replace(model, constraints=tuple(constraints))
        analysis = analyze(model, doubt="none")
        if analysis.convexity != "convex":
            worst = next((s for s in analysis.statements if not s.ok), None)
            name = worst.name if worst is not None else ""
            where = next((c.span for c in model.constraints if c.name == name), self.objective.span)
            reason = worst.blame.message if worst is not None and worst.blame is not None else "it is not convex"
            raise _Broken(NotQuasiconvex(name, reason, where))
        return model

    def _no_equality(self, broken: Collection[str]) -> None:
        """Raises at the first equality to be written by levels, before anything is worked out."""
        for constraint in self.model.constraints:
            for relation in constraint.relations if constraint.name in broken else ():
                _no_level(constraint, relation)

    def _levels_of(self, constraint: Constraint, rules: Levels) -> list[Constraint]:
        made: list[Constraint] = []
        with in_words(self.model.source, constraint.marks, constraint.span, f"constraint `{constraint.name}`"):
            frame = self.model.lanes_of(constraint.over)
            for relation in constraint.relations:
                _no_level(constraint, relation)
                for side, sign in ((relation.upper, 1.0), (relation.lower, -1.0)):
                    if side is None:
                        continue
                    try:
                        rows = rules.levels(relation.body, side, sign, constraint.over, frame)
                    except NoLevels as reason_:
                        where = place_of(reason_.node, constraint.marks, constraint.span)
                        raise _Broken(
                            NotQuasiconvex(constraint.name, reason_.reason, where, reason_.node)
                        ) from None
                    for r in rows:
                        one = _constraint_of(r, constraint.name, constraint.span, constraint.marks)
                        side = one.relations if sign > 0 else (Relation(-r.body, sympy.Integer(0), None),)
                        axes = constraint.axes if r.over == constraint.over else ()
                        made.append(replace(one, axes=axes, relations=side))
        return made

    # ------------------------------------------------------------------------------------------------ objective

    def _objective(self, convex: Model) -> QuasiProgram:
        root = Frame().as_root()
        extra = self._domain(root)
        convex = replace(convex, constraints=(*convex.constraints, *extra))
        core, sense = self.objective.body, self.objective.sense
        # Where only the objective broke the model that was analyzed before, it breaks it again as it stands.
        same = self.broken is not None and not self.broken and not extra
        layers: list[sympy.Expr] = []
        while True:
            program = QuasiProgram(
                self.model, convex, core, sense, "convex", self.facts, self.known, tuple(layers),
                rewritten=self.rewritten,
            )  # fmt: skip
            fact = self.facts.find(core, root)
            fits = bool((fact.convex if sense == "minimize" else fact.concave).all())
            if (fits or isinstance(core, (sympy.Add, sympy.Mul))) and not (same and not layers):
                analysis = analyze(program.with_objective(core, sense), doubt="none")
                if analysis.convexity == "convex":
                    return replace(program, analysis=analysis)
            peeled = self.rules.peeled(core, root)
            if peeled is None:
                break
            core, increasing, layer = peeled
            layers.append(layer)
            if not increasing:
                sense = "maximize" if sense == "minimize" else "minimize"
        return self._by_levels(replace(program, core=core, sense=sense), root)

    def _by_levels(self, program: QuasiProgram, root: Frame) -> QuasiProgram:
        ratio = self.rules.ratio(program.core, root)
        if ratio is not None:
            parts = (self.facts.find(ratio.numerator, root), self.facts.find(ratio.denominator, root))
            if all(bool(f.affine.all()) for f in parts):
                return replace(program, kind="linear ratio", ratio=ratio)
        try:
            samples = [program.level_model(level) for level in (1.0, -1.0)]
        except NoLevels as reason:
            where = place_of(reason.node, self.objective.marks, self.objective.span)
            why = NotQuasiconvex(self.objective.name, reason.reason, where, reason.node)
            raise _Broken(why) from None
        for sample in samples:
            if analyze(sample, doubt="none").convexity != "convex":
                reason_ = "its levels are not recognized as convex"
                raise _Broken(NotQuasiconvex(self.objective.name, reason_, self.objective.span, program.core))
        return replace(program, kind="levels")

    def _domain(self, root: Frame) -> list[Constraint]:
        """Constraints for the conditions that functions of the objective bring and bounds do not prove."""
        made = []
        for condition in self.objective.conditions:
            frame = root
            iterators: list[nodes.Each] = []
            wheres: list[nodes.Node] = []
            for over in condition.overs:
                frame = self.model.lanes.extend(frame, over).child
                iterators.extend(over.iterators)
                wheres.extend(over.conditions)
            # what D implies may rest on this very condition
            fact = (self.facts.plain or self.facts).find(condition.expression, frame)
            if condition.kind == "nonzero" or bool((fact.lo >= 0).all()):
                continue
            if not bool(fact.concave.all()):
                reason = f"a function needs its argument {condition.kind}, which is no convex condition"
                where = place_of(condition.expression, self.objective.marks, self.objective.span)
                raise _Broken(NotQuasiconvex(self.objective.name, reason, where, condition.expression))
            rows = LevelRows(nodes.over(iterators, wheres), -condition.expression)
            made.append(_constraint_of(rows, self.objective.name, self.objective.span, self.objective.marks))
        return made


class _Broken(Exception):
    def __init__(self, why: NotQuasiconvex) -> None:
        super().__init__(why.reason)
        self.why = why


def _no_level(constraint: Constraint, relation: Relation) -> None:
    """Raises for an equality."""
    if relation.lower is not None and relation.lower == relation.upper:
        reason = "an equality holds no level of a quasi-convex function"
        raise _Broken(NotQuasiconvex(constraint.name, reason, constraint.span, relation.body))


def _known_bounds(model: Model) -> dict[sympy.Expr, float]:
    """Lower bounds that constraints without indices give to their bodies."""
    known: dict[sympy.Expr, float] = {}
    for constraint in model.constraints:
        if constraint.kind == "scalar" and not constraint.over.iterators:
            for relation in constraint.relations:
                if relation.lower is not None:
                    value = float(model.lanes.full(relation.lower, Frame()).reshape(-1)[0])
                    known[relation.body] = max(value, known.get(relation.body, -np.inf))
    return known


def _constraint_of(rows: LevelRows, name: str, span: Span, marks: Marks) -> Constraint:
    relation = Relation(rows.body, None, sympy.Integer(0))
    return Constraint(name, (), rows.over, (relation,), "scalar", span, marks, named=False)


def _lanes_with_level(model: Model) -> Lanes:
    lanes = model.lanes
    return Lanes(lanes.sets, lanes.parameters, {**lanes.variables, LEVEL: VariableValue((), model.columns)})


def _with_level(model: Model, objective: Objective | None, rows: Sequence[LevelRows]) -> Model:
    """Minimize s subject to the model's constraints, body <= s for all rows, s >= -1."""
    assert objective is not None
    miss = nodes.VariableEntry(LEVEL)
    one = np.ones(1)
    variable = Variable(
        LEVEL, (), model.columns, 1, 1, -one, np.inf * one, np.nan * one, False, frozenset(), None, objective.span
    )
    held = tuple(
        _constraint_of(LevelRows(r.over, r.body - miss), objective.name, objective.span, objective.marks) for r in rows
    )
    return replace(
        model,
        variables={**model.variables, LEVEL: variable},
        lanes=_lanes_with_level(model),
        columns=model.columns + 1,
        constraints=(*model.constraints, *held),
        objective=Objective(objective.name, "minimize", miss, objective.span, objective.marks),
    )


__all__ = ["NotQuasiconvex", "QuasiProgram", "recognize_quasiconvex"]
