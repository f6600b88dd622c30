"""Models that are solved through a convex program in other variables or by levels: geometric and quasi-convex ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from optdsl.answer.assemble import conflict_answer, constraint_answers, convex_conflict, ray_answer, variable_answers
from optdsl.answer.checks import Judgement, TransformedAnswer, judge_transformed
from optdsl.answer.solution import ConflictAnswer, ProblemClass, Route, Solution, TraceTable
from optdsl.answer.status import Status
from optdsl.answer.values import let_values, shown_values
from optdsl.classify import Analysis, analyze
from optdsl.classify.analysis import StatementFact
from optdsl.classify.domain import on_domain
from optdsl.classify.facts import Facts
from optdsl.classify.geometric import Geometric, recognize_geometric
from optdsl.classify.held import unbrought
from optdsl.classify.quasi import QuasiProgram, recognize_quasiconvex
from optdsl.classify.words import domain_is_convex
from optdsl.convex.bisection import solve_quasi
from optdsl.convex.geometric_answer import GeometricAnswer, solve_geometric
from optdsl.convex.lower import Restored, lower
from optdsl.convex.program import Program, RawAnswer, RawStatus
from optdsl.model.model import DomainCondition, Model
from optdsl.terms import nodes
from optdsl.terms.frame import Frame

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
    if analysis.on_domain is not None:
        facts = analysis.on_domain()
        plain = facts.plain or facts
    else:
        plain = Facts.of(model)
        facts = on_domain(model, plain) or plain
    if not _of_either_sign(model, facts):
        geometric = recognize_geometric(model, facts)
        if isinstance(geometric, Geometric) and not _loses_domains(model, plain):
            return Special("GP", geometric)
    if not analysis.level_sets or not _domains_convex(model, facts):
        return None
    broken = {fact.name for fact in analysis.statements if fact.role == "constraint" and not fact.ok}
    quasi = recognize_quasiconvex(model, facts, broken)
    return Special("QUASICONVEX", quasi) if isinstance(quasi, QuasiProgram) else None


def _of_either_sign(model: Model, facts: Facts) -> bool:
    """Whether a variable occurs all of whose entries may be negative: then logarithms are out of the question."""
    bodies = [r.body for c in model.constraints for r in c.relations]
    if model.objective is not None:
        bodies.append(model.objective.body)
    names = {entry.name for body in bodies for entry in body.atoms(nodes.VariableEntry)}
    parts = (facts.lower[v.offset : v.offset + v.width] for v in model.variables.values() if v.name in names)
    return any(len(part) and bool((part < 0).all()) for part in parts)


def _loses_domains(model: Model, facts: Facts) -> bool:
    """Whether a function that cancelled has a domain that neither what is left nor the declared bounds keep to."""
    parts = [((r.body,), r.conditions, c.over) for c in model.constraints for r in c.relations]
    if model.objective is not None:
        parts.append(((model.objective.body,), model.objective.conditions, nodes.over(())))
    for bodies, conditions, over in parts:
        asked = [c for c in conditions if c.kind != "nonzero"]
        # in the logarithms of the variables a variable is positive anyway
        asked = [c for c in asked if not isinstance(c.expression, nodes.VariableEntry)]
        if asked and unbrought(asked, bodies, model.lanes_of(over), facts):
            return True
    return False


def _domains_convex(model: Model, facts: Facts) -> bool:
    """Whether every partial function of the text is defined on a convex set."""
    parts = [(c.over, condition) for c in model.constraints for r in c.relations for condition in r.conditions]
    if model.objective is not None:
        parts += [(nodes.over(()), c) for c in model.objective.conditions if not _ends_at_zero(c, facts)]
    return all(domain_is_convex(condition, model.lanes_of(over), facts) for over, condition in parts)


def _ends_at_zero(condition: DomainCondition, facts: Facts) -> bool:
    """Whether an argument must not be 0 and has one sign: levels that hold such points too give bounds all the same."""
    frame = Frame().as_root()
    for over in condition.overs:
        frame = facts.lanes.extend(frame, over).child
    if condition.kind != "nonzero" or not frame.size:
        return False
    fact = facts.find(condition.expression, frame)
    return bool((fact.lo >= 0).all() or (fact.hi <= 0).all())


def specialized(analysis: Analysis, special: Special | None) -> Analysis:
    """The analysis with the type that a special form has, its proofs, and nothing to refuse."""
    if special is None:
        return analysis
    statements = tuple(_with_proof(fact, analysis.model, special.problem) for fact in analysis.statements)
    return replace(analysis, type=special.type, refusal=(), statements=statements)


def _with_proof(fact: StatementFact, model: Model, problem: Geometric | QuasiProgram) -> StatementFact:
    """A statement with the proof that it is convex in the logarithms, or has convex level sets."""
    from optdsl.classify.proofs.levels import levels_constraint, levels_objective
    from optdsl.classify.proofs.log_log import log_log_constraint, log_log_objective

    constraint = next((c for c in model.constraints if c.name == fact.name), None)
    if isinstance(problem, Geometric):
        facts = Facts.of(model)
        if constraint is not None and fact.role == "constraint":
            return replace(fact, steps=log_log_constraint(model, constraint, facts))
        assert model.objective is not None
        return replace(fact, steps=log_log_objective(model, model.objective, facts))
    if fact.ok:
        return fact
    if constraint is not None and fact.role == "constraint":
        return replace(fact, steps=levels_constraint(problem, constraint))
    return replace(fact, steps=levels_objective(problem))


def solve_special(
    special: Special,
    analysis: Analysis,
    solve: Solve,
    method: str,
    options: Mapping[str, object] | None,
    stop: Callable[[], bool] | None = None,
) -> Solution:
    """The checked answer of a special form; `solve` is how a convex program is solved.

    `stop` is asked while the conflict of an infeasible model is narrowed down.
    """
    model = analysis.model
    if isinstance(special.problem, QuasiProgram):
        levels = solve_quasi(special.problem, solve)
        raw = _believed(levels.raw, levels.restored)
        answer = TransformedAnswer(raw, levels.restored, None, None, levels.attained)
        judged = judge_transformed(model, analysis, answer, options)
        conflict = convex_conflict(lower(analyze(special.problem.convex)), stop) if _infeasible(judged) else None
        found = _Found(answer, levels.note, conflict)
    else:
        found, judged = _geometric(special.problem, analysis, solve, options, stop)
    return _solution(model, analysis, special, found, judged, method)


@dataclass(frozen=True, eq=False)
class _Found:
    """An answer in the model's terms, what a reader should know about it, and why there is none."""

    answer: TransformedAnswer
    note: str
    conflict: ConflictAnswer | None = None


def _geometric(
    problem: Geometric,
    analysis: Analysis,
    solve: Solve,
    options: Mapping[str, object] | None,
    stop: Callable[[], bool] | None,
) -> tuple[_Found, Judgement]:
    """The answer to a geometric program, with variables at 0 where that passes the checks, else without."""
    model = analysis.model
    found = solve_geometric(problem, solve)
    judged = judge_transformed(model, analysis, _of_geometric(found), options)
    zero = found.lowered.geometric.zero
    if zero is not None and found.restored.x is not None and not judged.checks.ok and found.attained:
        # a function of the text has no value at 0; the bound holds for positive points all the same
        positive = solve_geometric(problem, solve, zeros=False)
        bound = found.restored.bound if positive.restored.bound is None else positive.restored.bound
        found = replace(positive, restored=replace(positive.restored, bound=bound))
        judged = judge_transformed(model, analysis, _of_geometric(found), options)
    conflict = None
    if _infeasible(judged):
        # Imported here: only infeasible models need it.
        from optdsl.convex.geometric_conflict import geometric_conflict

        conflict = conflict_answer(model, *geometric_conflict(problem, found.lowered, stop))
    return _Found(_of_geometric(found), found.note, conflict), judged


def _infeasible(judged: Judgement) -> bool:
    return judged.status is Status.INFEASIBLE


def _of_geometric(found: GeometricAnswer) -> TransformedAnswer:
    return TransformedAnswer(found.raw, found.restored, found.residual, found.scales or None, found.attained)


def _believed(raw: RawAnswer, restored: Restored) -> RawAnswer:
    """The solver's words: an objective that approaches a limit is not unbounded."""
    limit = raw.status is RawStatus.UNBOUNDED and restored.bound is not None
    return replace(raw, status=RawStatus.NUMERICAL_ERROR) if limit else raw


def _solution(
    model: Model, analysis: Analysis, special: Special, found: _Found, judged: Judgement, method: str
) -> Solution:
    answer = found.answer
    raw, restored = answer.raw, answer.restored
    unbounded = judged.status is Status.UNBOUNDED
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
        conflict=found.conflict,
        ray=ray_answer(model, restored.ray, found.note or None) if unbounded else None,
        notes=_notes(model, judged, "" if unbounded else found.note, raw),
        expressions={} if point is None else let_values(model, point),
    )


def _notes(model: Model, judged: Judgement, note: str, raw: RawAnswer) -> tuple[str, ...]:
    return tuple(filter(None, (*model.warnings, *judged.notes, note, raw.message)))


__all__ = ["Special", "solve_special", "special_form", "specialized"]
