"""What the stages found, put together as the records that users get: verdicts and solutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from optdsl.answer.checks import judge, walk_from
from optdsl.answer.diagnosis_solver import diagnose_solver
from optdsl.answer.labelled import LabelledArray
from optdsl.answer.landscape import landscape_of
from optdsl.answer.names import entry_of, indexed, labels_at
from optdsl.answer.numbers import number_text
from optdsl.answer.solution import (
    ConflictAnswer,
    ConflictMember,
    ConstraintAnswer,
    ProblemClass,
    Ray,
    Route,
    Solution,
    TraceTable,
    VariableAnswer,
)
from optdsl.answer.status import Status
from optdsl.answer.values import let_values, shown_values, variable_arrays
from optdsl.answer.verdict import Size, StatementVerdict, Verdict
from optdsl.answer.witness_points import points_text
from optdsl.classify import Analysis
from optdsl.classify.analysis import StatementFact
from optdsl.convex.lower import Lowered, NamedPart
from optdsl.convex.program import RawAnswer
from optdsl.errors import Diagnostic, render
from optdsl.model.model import Model


def class_of(analysis: Analysis) -> ProblemClass:
    """The kind of problem, as answers name it."""
    return ProblemClass(analysis.type, analysis.convexity, analysis.smoothness)


def verdict_of(analysis: Analysis, route: Route | None, *refusals: Diagnostic) -> Verdict:
    """The verdict of `check`; `route` is how `solve` would go about it, None where it refuses, also for `refusals`."""
    return Verdict(
        model=analysis.model.name,
        problem_class=class_of(analysis),
        size=Size(**analysis.size),
        statements=tuple(_statement(fact, _form(fact, analysis)) for fact in analysis.statements),
        route=route,
        witness=None if analysis.witness is None else analysis.witness.to_json(),
        witness_points=None if analysis.witness is None else points_text(analysis.model, analysis.witness),
        refusal=tuple(_remark(diagnostic) for diagnostic in (*analysis.refusal, *refusals)),
        warnings=analysis.model.warnings,
    )


def _form(fact: StatementFact, analysis: Analysis) -> str | None:
    """How a statement that is not convex as written is convex otherwise, in types that are solved all the same."""
    objective = analysis.model.objective
    if fact.ok or analysis.type not in ("GP", "QUASICONVEX"):
        return None
    if analysis.type == "QUASICONVEX":
        return "convex levels"
    maximized = fact.role == "objective" and objective is not None and objective.sense == "maximize"
    return "log-log concave" if maximized else "log-log convex"


def _statement(fact: StatementFact, form: str | None) -> StatementVerdict:
    return StatementVerdict(
        name=fact.name,
        line=fact.line,
        role=fact.role,
        curvature=fact.curvature,
        smoothness=fact.smoothness,
        ok=fact.ok,
        sign=fact.sign,
        proof=tuple(step.record() for step in fact.steps),
        blame=None if fact.blame is None else _blame(fact.blame),
        remark=None if fact.blame is None else _remark(fact.blame),
        form=form,
    )


def _blame(diagnostic: Diagnostic) -> dict[str, object]:
    """The part that a diagnostic points at, in RESULT's words."""
    span, source = diagnostic.span, diagnostic.source
    part = source.text[span.start : span.end] if span is not None and source is not None else None
    return {
        "expr": part,
        "line": span.line if span is not None else None,
        "column": span.column if span is not None else None,
        "why": diagnostic.message,
        "rewrite": diagnostic.hint,
    }


def _remark(diagnostic: Diagnostic) -> str:
    """A diagnostic as a remark: drawn with its place, without the word error."""
    return render(diagnostic).removeprefix(f"error[{diagnostic.code}]: ")


# ---------------------------------------------------------------------------------------------------- solutions


def solution_of(
    lowered: Lowered,
    raw: RawAnswer,
    route: Route,
    *,
    options: Mapping[str, object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Solution:
    """The checked answer by the user's names, in the user's sense; `options` are the method's.

    `stop` is asked while the conflict of an infeasible model is narrowed down. Raises ModelError when an item of
    `show` has no value at the point.
    """
    model = lowered.analysis.model
    restored = lowered.restore(raw)
    judged = judge(model, lowered.analysis, lowered, raw, restored, options)
    infeasible, unbounded = judged.status is Status.INFEASIBLE, judged.status is Status.UNBOUNDED
    if unbounded and restored.ray is None and restored.x is not None:
        endless = walk_from(model, lowered, raw, restored).endless()
        if endless is not None:  # the solver knows of none, and says so
            restored, raw = replace(restored, ray=endless), replace(raw, message="")
    why = unbounded and restored.ray is None  # the ray's place tells it
    point = None if infeasible or unbounded else restored.x
    variables = {} if point is None else variable_answers(model, point, restored.reduced_cost)
    constraints = {} if point is None else constraint_answers(model, judged.slacks, restored.duals)
    objective = model.objective
    reached = None if point is None else judged.objective
    trace = trace_of(raw, lowered.sign)
    return Solution(
        model=model.name,
        status=judged.status,
        guarantee=judged.guarantee,
        problem_class=class_of(lowered.analysis),
        route=route,
        objective=reached,
        objective_name=None if objective is None else objective.name,
        sense=None if objective is None else objective.sense,
        bound=judged.bound,
        variables=variables,
        constraints=constraints,
        show=shown_values(model, point, variables, constraints),
        checks=judged.checks,
        trace=trace,
        conflict=convex_conflict(lowered, stop) if infeasible else None,
        ray=ray_answer(model, restored.ray, raw.message or None) if unbounded else None,
        diagnosis=diagnose_solver(lowered, judged.status, reached, judged.bound, trace),
        notes=tuple(filter(None, (*model.warnings, *judged.notes, "" if why else raw.message))),
        duals_with_integers_fixed=raw.duals_with_integers_fixed,
        expressions={} if point is None else let_values(model, point),
        landscape=None if point is None else landscape_of(model),
    )


def variable_answers(model: Model, point: np.ndarray, reduced_cost: np.ndarray | None) -> dict[str, VariableAnswer]:
    """Each variable's values and reduced costs out of all columns' (n,)."""
    costs = {} if reduced_cost is None else variable_arrays(model, reduced_cost)
    return {name: VariableAnswer(value, costs.get(name)) for name, value in variable_arrays(model, point).items()}


def constraint_answers(
    model: Model, slacks: tuple[np.ndarray, ...], duals: tuple[np.ndarray, ...] | None
) -> dict[str, ConstraintAnswer]:
    answers = {}
    for number, (constraint, slack) in enumerate(zip(model.constraints, slacks, strict=True)):
        dual = None if duals is None else LabelledArray(duals[number], constraint.axes, constraint.name)
        answers[constraint.name] = ConstraintAnswer(dual, LabelledArray(slack, constraint.axes, constraint.name))
    return answers


def trace_of(raw: RawAnswer, sign: float) -> TraceTable:
    """The run's iterations, objective and bound in the user's sense."""
    rows = raw.trace.rows.copy()
    for name in ("objective", "bound"):
        if name in raw.trace.columns:
            rows[:, raw.trace.columns.index(name)] *= sign
    return TraceTable(raw.trace.columns, rows)


def ray_answer(model: Model, direction: np.ndarray | None, why: str | None = None) -> Ray:
    """A direction of all columns (n,) by variable; `why` there is none where it is None."""
    if direction is None:
        return Ray(None, why or "the solver proved that the objective is unbounded, but gave no direction")
    # Only what moves: variables that stand still say nothing.
    moving = {name: array for name, array in variable_arrays(model, direction).items() if np.asarray(array).any()}
    return Ray(moving)


# ---------------------------------------------------------------------------------------------------- conflicts


def convex_conflict(lowered: Lowered, stop: Callable[[], bool] | None) -> ConflictAnswer:
    """What cannot hold together in an infeasible convex model."""
    # Imported here: only infeasible models need it.
    from optdsl.convex.conflict import find_conflict

    conflict = find_conflict(lowered.program, stop=stop)
    return conflict_answer(lowered.analysis.model, lowered.name_conflict(conflict), conflict.irreducible)


def conflict_answer(model: Model, parts: tuple[NamedPart, ...], irreducible: bool) -> ConflictAnswer:
    """A conflict by the user's names."""
    members = tuple(dict.fromkeys(_member(model, part) for part in parts))
    return ConflictAnswer(members, irreducible and bool(members))


def _member(model: Model, part: NamedPart) -> ConflictMember:
    if part.constraint is not None:
        constraint = model.constraints[part.constraint]
        index = labels_at(constraint.axes, part.position)
        if constraint.kind == "matrix":  # the last two axes are the matrix's own
            index = index[: sum(axis.arity for axis in constraint.axes[:-2])]
        return ConflictMember(
            part.kind,
            constraint.name,
            index,
            part.side,
            _text_of(model, constraint.span.line),
            constraint.span.line,
        )
    variable, entry = entry_of(model, part.position)
    if part.kind == "attribute":
        matrix = next(a for a in ("psd", "nsd") if a in variable.attributes)
        return ConflictMember(part.kind, variable.name, text=f"{variable.name} {matrix}")
    index = labels_at(variable.axes, entry)
    name = indexed(variable.name, index)
    text = None
    if part.side is not None:
        bound = (variable.lower if part.side == "lower" else variable.upper)[part.position - variable.offset]
        text = f"{name} {'>=' if part.side == 'lower' else '<='} {number_text(float(bound))}"
    return ConflictMember(part.kind, variable.name, index, part.side, text)


def _text_of(model: Model, line: int) -> str | None:
    """The line of the text where a constraint begins."""
    lines = model.source.text.splitlines()
    return lines[line - 1].strip() if line <= len(lines) else None
