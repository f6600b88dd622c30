"""Models that are solved through a convex program in other variables or by levels: geometric and quasi-convex ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from optdsl.answer.assemble import constraint_answers, variable_answers
from optdsl.answer.checks import Judgement, TransformedAnswer, judge_transformed
from optdsl.answer.solution import ProblemClass, Route, Solution, TraceTable
from optdsl.answer.status import Status
from optdsl.answer.values import let_values, shown_values
from optdsl.classify import Analysis
from optdsl.classify.facts import Facts
from optdsl.classify.geometric import Geometric, recognize_geometric
from optdsl.classify.quasi import QuasiProgram, recognize_quasiconvex
from optdsl.classify.words import domain_is_convex
from optdsl.convex.bisection import solve_quasi
from optdsl.convex.geometric import solve_geometric
from optdsl.convex.lower import Restored
from optdsl.convex.program import Program, RawAnswer, RawStatus
from optdsl.model.model import Model
from optdsl.terms import nodes

Solve = Callable[[Program], RawAnswer]
WHY = {
    "GP": "in the logarithms of its variables the problem is convex",
    "QUASICONVEX": "the level sets of the objective are convex: a convex program a level",
}


@dataclass(frozen=True, eq=False)
class Special:
    """A model that is not convex as it stands, but solved to global optimality: its type, and what was recognized."""

    type: str
    problem: Geometric | QuasiProgram


def special_form(analysis: Analysis) -> Special | None:
    """What a model that is not proved convex is recognized as: a geometric program, a quasi-convex problem, or None."""
    model = analysis.model
    if not analysis.refusal or model.integers:
        return None
    geometric = recognize_geometric(model)
    if isinstance(geometric, Geometric):
        return Special("GP", geometric)
    if not _domains_convex(model):
        return None
    quasi = recognize_quasiconvex(model)
    return Special("QUASICONVEX", quasi) if isinstance(quasi, QuasiProgram) else None


def _domains_convex(model: Model) -> bool:
    """Whether every partial function of the text is defined on a convex set."""
    facts = Facts.of(model)
    parts = [(c.over, condition) for c in model.constraints for r in c.relations for condition in r.conditions]
    if model.objective is not None:
        parts += [(nodes.over(()), condition) for condition in model.objective.conditions]
    return all(domain_is_convex(condition, model.lanes_of(over), facts) for over, condition in parts)


def specialized(analysis: Analysis, special: Special | None) -> Analysis:
    """The analysis with the type that a special form has, and nothing to refuse."""
    if special is None:
        return analysis
    return replace(analysis, type=special.type, refusal=())


def solve_special(
    special: Special, analysis: Analysis, solve: Solve, method: str, options: Mapping[str, object] | None
) -> Solution:
    """The checked answer of a special form; `solve` is how a convex program is solved."""
    model = analysis.model
    if isinstance(special.problem, Geometric):
        found = solve_geometric(special.problem, solve)
        raw = _believed(model, found.raw, found.restored, positive=True)
        answer = TransformedAnswer(raw, found.restored, found.residual, found.scales or None)
    else:
        levels = solve_quasi(special.problem, solve)
        raw = _believed(model, levels.raw, levels.restored, positive=False)
        found_note, answer = levels.note, TransformedAnswer(raw, levels.restored, None, None)
        return _solution(model, analysis, special, answer, found_note, method, options)
    return _solution(model, analysis, special, answer, found.note, method, options)


def _believed(model: Model, raw: RawAnswer, restored: Restored, *, positive: bool) -> RawAnswer:
    """The solver's words less those that the transformation does not carry over to the model.

    An objective that approaches a limit is not unbounded; and where variables were taken as positive that may be 0
    (`positive`), a point with zeros may satisfy what no positive one does.
    """
    limit = raw.status is RawStatus.UNBOUNDED and restored.bound is not None
    zeros = positive and any((v.lower <= 0).any() for v in model.variables.values())
    if limit or (zeros and raw.status is RawStatus.INFEASIBLE):
        return replace(raw, status=RawStatus.NUMERICAL_ERROR)
    return raw


def _solution(
    model: Model,
    analysis: Analysis,
    special: Special,
    answer: TransformedAnswer,
    note: str,
    method: str,
    options: Mapping[str, object] | None,
) -> Solution:
    judged = judge_transformed(model, analysis, answer, options)
    raw, restored = answer.raw, answer.restored
    point = None if judged.status in (Status.INFEASIBLE, Status.UNBOUNDED) else restored.x
    variables = {} if point is None else variable_answers(model, point, restored.reduced_cost)
    constraints = {} if point is None else constraint_answers(model, judged.slacks, restored.duals)
    objective = model.objective
    return Solution(
        model=model.name,
        status=judged.status,
        guarantee=judged.guarantee,
        problem_class=ProblemClass(special.type, analysis.convexity, analysis.smoothness),
        route=Route(method, raw.solver, WHY[special.type]),
        objective=None if point is None else judged.objective,
        objective_name=None if objective is None else objective.name,
        sense=None if objective is None else objective.sense,
        bound=judged.bound,
        variables=variables,
        constraints=constraints,
        show=shown_values(model, point, variables, constraints),
        checks=judged.checks,
        trace=TraceTable(raw.trace.columns, raw.trace.rows),
        notes=_notes(model, judged, note, raw),
        expressions={} if point is None else let_values(model, point),
    )


def _notes(model: Model, judged: Judgement, note: str, raw: RawAnswer) -> tuple[str, ...]:
    return tuple(filter(None, (*model.warnings, *judged.notes, note, raw.message)))


__all__ = ["Special", "solve_special", "special_form", "specialized"]
