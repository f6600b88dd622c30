"""The route of the built-in engine: a model as a nonlinear program, a method that fits, and a checked answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optdsl.answer.assemble import class_of, conflict_answer, constraint_answers, ray_answer, variable_answers
from optdsl.answer.diagnosis_run import diagnose_run
from optdsl.answer.engine_methods import MULTISTART, Choice, choose_method, make_method
from optdsl.answer.kinked import SMOOTHINGS, Ended, lifted, sharpened, stuck_at_tip
from optdsl.answer.landscape import landscape_of
from optdsl.answer.local_checks import LocalPoint, judge_locally, off_edges, row_scales
from optdsl.answer.many_starts import Place, many_starts, minima_of
from optdsl.answer.second_look import look_again, look_by_values
from optdsl.answer.solution import Checks, Route, Solution, TraceTable
from optdsl.answer.status import Guarantee, SecondOrder, Status
from optdsl.answer.values import let_values, shown_values
from optdsl.classify import Analysis
from optdsl.convex.lower import NamedPart
from optdsl.convex.program import Progress
from optdsl.convex.warm import WarmSolver
from optdsl.engine.lower import NotLowered
from optdsl.engine.native import tiers
from optdsl.engine.problem import ModelProblem
from optdsl.engine.roughness import StatementBodies, jumping, kinked, statements_of
from optdsl.engine.starts import start_of
from optdsl.engine.units import fitting_unit
from optdsl.errors import Diagnostic, NotSolvable, OptionError
from optdsl.methods.driver import COLUMNS, Ending, Limits, Method, Outcome, Record, drive
from optdsl.methods.escape import LocalAnswer, solve_locally
from optdsl.methods.interior_point.method import InteriorPoint, Warm
from optdsl.methods.interior_point.unbounded import ray as endless
from optdsl.methods.second_order import Curvature, check
from optdsl.model.faults import place_of
from optdsl.model.model import Model

FEASIBLE = 1e-6
LIFTING = ("ipm", "sqp", "augmented_lagrangian")
"""Methods that, asked for, take the rows that lifted kinks bring."""
LIFTED = "kinks are lifted into constraints, and everything is smooth"


@dataclass(frozen=True, eq=False)
class Watching:
    """Limits of a run and who hears of it."""

    time_limit: float | None = None
    progress: Callable[[Progress], None] | None = None
    stop: Callable[[], bool] | None = None
    warm: WarmSolver | None = None
    """Keeps where the last run ended, from which the next one starts."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model compiled for the engine: its program with a start, and the method."""

    analysis: Analysis
    problem: ModelProblem
    choice: Choice
    notes: tuple[str, ...]
    options: Mapping[str, object]
    asked: bool = False
    """Whether the method was asked for: then it runs once, from the start given."""
    given: bool = False
    """Whether the model gives a start."""
    lift: frozenset[int] = frozenset()
    """The kinks that are lifted."""

    @property
    def model(self) -> Model:
        return self.analysis.model


def prepare(
    analysis: Analysis, method: str | None, options: Mapping[str, object], lifting: bool = True
) -> Prepared:
    """The compiled model. Raises NotSolvable where the engine cannot take it, with the place and the reason.

    lifting: whether kinks may become constraints.
    """
    model = analysis.model
    _refuse(analysis)
    kinks = _rough(analysis) == "kinks" and method != "direct_search"
    if kinks and lifting and (method is None or method in (*LIFTING, MULTISTART)):
        prepared = _prepared_lifted(analysis, method, options)
        if prepared is not None:
            return prepared
    smoothing = SMOOTHINGS[0] if kinks else 0.0
    problem = _problem(analysis, smoothing)
    if method is None and problem.residuals is None and not problem.domain_rows:  # the method is free to take rows
        problem = _problem(analysis, smoothing, domain_rows=True)
    given = bool(np.isfinite(problem.start).any())
    notes = _give_start(model, problem)
    choice = _chosen(analysis, problem, method)
    return Prepared(analysis, problem, choice, notes, options, method is not None, given)


def _prepared_lifted(analysis: Analysis, method: str | None, options: Mapping[str, object]) -> Prepared | None:
    """The compiled model with kinks lifted into constraints; None where none are worth it."""
    notes: list[str] = []
    given: list[bool] = []

    def make(smoothing: float, lift: frozenset[int] | None) -> ModelProblem:
        return _problem(analysis, smoothing, method is None, lift)

    def give_start(problem: ModelProblem) -> None:
        given.append(bool(np.isfinite(problem.start).any()))
        notes.extend(_give_start(analysis.model, problem))

    found = lifted(make, give_start)
    if found is None:
        return None
    problem, lift = found
    choice = _chosen(analysis, problem, method)
    if method is None and choice.name == "ipm":
        choice = replace(choice, why=LIFTED)
    return Prepared(analysis, problem, choice, tuple(notes[:1]), options, method is not None, given[0], lift)


def takes(analysis: Analysis) -> bool:
    """Whether a model goes to the engine by itself: it is not proved convex, or no solver takes its class."""
    return bool(analysis.refusal) and not (analysis.convexity == "convex" and analysis.model.integers)


def route_for(analysis: Analysis, method: str | None) -> tuple[Route, int]:
    """How the engine would solve a model, and the entries of its constraints' Jacobian.

    Raises NotSolvable where it cannot, OptionError for a method that cannot.
    """
    if _rough(analysis) == "kinks":
        prepared = prepare(analysis, method, {})
        choice, problem = prepared.choice, prepared.problem
    else:
        _refuse(analysis)
        problem = _problem(analysis, 0.0)
        choice = _chosen(analysis, problem, method)
    return Route(choice.name, "optdsl", choice.why), problem.jacobian_pattern.size


def program_text(analysis: Analysis, method: str | None) -> str:
    """What the engine makes of a model: sizes, sparsity, the method, and each statement's lanes and derivatives."""
    prepared = prepare(analysis, method, {})
    problem = prepared.problem
    pattern = problem.hessian_pattern
    second = "products only: whole it would be too large" if pattern is None else f"{pattern.size:,} entries"
    lines = [
        f"a nonlinear program: minimize f(x) over {problem.width:,} variables, {problem.count:,} rows",
        f"  Jacobian: {problem.jacobian_pattern.size:,} entries; Hessian's lower triangle: {second}",
        f"  affine rows: {int(problem.linear.sum()):,}; bounds: {int(np.isfinite(problem.lower).sum()):,} below, "
        f"{int(np.isfinite(problem.upper).sum()):,} above",
        f"  method: {prepared.choice.name}; {prepared.choice.why}",
        f"  kernels: {tiers()}",
        *(f"  {note}" for note in prepared.notes),
    ]
    return "\n".join(lines) + "\n\n" + problem.describe()


def _chosen(analysis: Analysis, problem: ModelProblem, method: str | None) -> Choice:
    """The method. Raises NotSolvable where functions jump and no search by values takes the rest of the model."""
    jump = _jump(analysis)
    if jump is None:
        return choose_method(problem, method)
    try:
        return choose_method(problem, method, jumps=True)
    except OptionError as error:
        if method is not None:
            raise
        statement, name = jump
        reason = f"`{statement.name}` jumps where `{name}` does: there are no derivatives to follow"
        hint = f"write it by a smooth function, or by integers in a convex model ({error.diagnostics[0].message})"
        raise _not_solvable(analysis, reason, statement.span, hint) from None


def _jump(analysis: Analysis) -> tuple[StatementBodies, str] | None:
    """The first statement with a function that jumps, and that function."""
    if analysis.smoothness != "discontinuous":
        return None
    named = ((statement, jumping(statement.bodies)) for statement in statements_of(analysis.model))
    return next(((statement, name) for statement, name in named if name is not None), None)


def _problem(
    analysis: Analysis, smoothing: float, domain_rows: bool = False, lift: frozenset[int] | None = frozenset()
) -> ModelProblem:
    model, convex = analysis.model, analysis.convex_as_written
    try:
        return ModelProblem(model, convex=convex, smoothing=smoothing, domain_rows=domain_rows, lift=lift)
    except NotLowered as reason:
        where = next((place_of(reason.node, s.marks, s.span) for s in statements_of(model)), None)
        hint = "write it with functions that have derivatives; `optdsl check` shows each statement"
        raise _not_solvable(analysis, f"this model is not convex, and {reason.reason}", where, hint) from None


def _give_start(model: Model, problem: ModelProblem) -> tuple[str, ...]:
    start = start_of(model, problem)
    problem.start = start.x
    problem.measured_in(fitting_unit(problem))
    return (start.note,) if start.note else ()


def _kinked(analysis: Analysis) -> bool:
    """Whether functions with kinks occur where they may be met; poles are left to the methods, which step back."""
    if analysis.smoothness in ("smooth", "C1"):
        return False
    return any(kinked(statement.bodies) for statement in statements_of(analysis.model))


def _rough(analysis: Analysis) -> str:
    """`jumps` or `kinks` where functions of the model have them, else empty."""
    return "jumps" if _jump(analysis) is not None else "kinks" if _kinked(analysis) else ""


def _refuse(analysis: Analysis) -> None:
    """Raises NotSolvable for what no local method can honor."""
    model = analysis.model
    if model.integers:
        variable = next(v for v in model.variables.values() if v.integer)
        reason = f"`{variable.name}` must be whole in a model that is not convex, and no method here takes that"
        hint = "make the rest of the model convex, or the variable continuous; `optdsl check` shows what is not convex"
        raise _not_solvable(analysis, reason, variable.span, hint)
    for variable in model.variables.values():
        if variable.attributes & {"psd", "nsd"}:
            reason = f"`{variable.name}` must be semidefinite, which is solved in convex models only"
            raise _not_solvable(analysis, reason, variable.span, "`optdsl check` shows what is not convex")
    for constraint in model.constraints:
        if constraint.kind == "matrix":
            reason = f"`{constraint.name}` is a matrix inequality, which is solved in convex models only"
            raise _not_solvable(analysis, reason, constraint.span, "`optdsl check` shows what is not convex")


def _not_solvable(analysis: Analysis, reason: str, span, hint: str) -> NotSolvable:
    kind = {"type": analysis.type, "convexity": analysis.convexity, "smoothness": analysis.smoothness}
    diagnostic = Diagnostic("not-solvable-yet", reason, span, hint, analysis.model.source)
    return NotSolvable(diagnostic, *analysis.refusal, model=analysis.model.name, problem_class=kind)


# --------------------------------------------------------------------------------------------------------- solving


@np.errstate(all="ignore")
def run(prepared: Prepared, watching: Watching) -> Solution:
    """The checked answer. Infinite and undefined values are answers of functions that all checks know to read."""
    ended = _run(prepared, watching)
    if ended.rough and prepared.lift and ended.answer.outcome.ending not in (Ending.INTERRUPTED, Ending.TIME_LIMIT):
        # what was lifted is not held down where it ended, or nothing was found: the kinks are rounded off instead
        name = prepared.choice.name if prepared.asked else None
        rounded = prepare(prepared.analysis, name, prepared.options, lifting=False)
        other = _run(rounded, watching)
        if not other.rough or not _ended_lower(ended, other):
            prepared, ended = rounded, other
    return _solution(prepared, ended)


def _ended_lower(one: Ended, other: Ended) -> bool:
    """Whether a run ended well, and lower than another one or that did not."""
    if one.answer.outcome.ending not in (Ending.CONVERGED, Ending.ACCEPTABLE):
        return False
    if other.answer.outcome.ending not in (Ending.CONVERGED, Ending.ACCEPTABLE, Ending.NO_PROGRESS):
        return True
    mine, theirs = (
        abs(end.problem.sign) * end.problem.objective(end.problem.settled(end.answer.outcome.x)) for end in (one, other)
    )
    return bool(mine < theirs)


def _run(prepared: Prepared, watching: Watching) -> Ended:
    problem = prepared.problem
    method = make_method(prepared.choice, prepared.options)
    limits = _limits(prepared, watching)
    rough = _rough(prepared.analysis)
    two, given = prepared.model.columns == 2, prepared.given
    minima: tuple[Place, ...] = ()
    if prepared.choice.inner:
        exact = _problem(prepared.analysis, 0.0, problem.domain_rows, prepared.lift) if rough == "kinks" else problem
        exact.measured_in(abs(problem.sign))
        answer, minima = many_starts(problem, exact, method, prepared.options, limits, rough)
        if rough == "jumps":
            return Ended(problem, answer, rough, minima)
    elif prepared.choice.name == "direct_search" or rough == "jumps":
        outcome = drive(method, problem, limits, _watcher(problem, watching), keep_path=two)
        note = ""
        if not prepared.asked:
            outcome, note = look_by_values(problem, method, outcome, limits)
        return Ended(problem, LocalAnswer(outcome, None, (), tuple(filter(None, (note,)))), rough)
    else:
        last = _last(problem, watching)
        warm = method if last is None else _warmed(problem, method, last)
        answer = solve_locally(problem, warm, limits, _watcher(problem, watching), keep_path=two)
        given = given or last is not None
    if not prepared.asked:
        look = look_again(problem, method, answer, limits, given)
        answer = replace(look.answer, notes=(*look.answer.notes, *filter(None, (look.note,))))
    if watching.warm is not None and answer.outcome.ending is Ending.CONVERGED and not rough:
        watching.warm.local = _in_units(answer.outcome, abs(problem.sign))
    if not rough and stuck_at_tip(problem, answer):
        return Ended(problem, answer, "tips", minima)
    if rough != "kinks":
        return Ended(problem, answer, rough, minima)

    def remake(smoothing: float, lift: frozenset[int] | None) -> ModelProblem:
        made = _problem(prepared.analysis, smoothing, problem.domain_rows, lift)
        made.measured_in(abs(problem.sign))
        return made

    return replace(sharpened(problem, answer, method, remake, prepared.lift, limits), minima=minima)


def _last(problem: ModelProblem, watching: Watching) -> Outcome | None:
    """Where the last run with the same columns and rows ended, if there was one."""
    last = None if watching.warm is None else watching.warm.local
    if not isinstance(last, Outcome):
        return None
    fits = len(last.x) == problem.width and len(last.row_multipliers) == problem.count
    return _in_units(last, 1.0 / abs(problem.sign)) if fits else None


def _in_units(outcome: Outcome, unit: float) -> Outcome:
    """The outcome whose multipliers are those of `unit` times the objective."""
    y, z = unit * outcome.row_multipliers, unit * outcome.bound_multipliers
    return replace(outcome, row_multipliers=y, bound_multipliers=z)


def _warmed(problem: ModelProblem, method: Method[Any], last: Outcome) -> Method[Any]:
    """The method with the last multipliers, where it takes any; the problem starts where the last run ended."""
    problem.start = np.clip(last.x, problem.lower, problem.upper)
    if isinstance(method, InteriorPoint):
        return replace(method, warm=Warm(last.row_multipliers, last.bound_multipliers))
    return method


def _limits(prepared: Prepared, watching: Watching) -> Limits:
    iterations = prepared.options.get("max_iter")
    return Limits(3000 if iterations is None else int(iterations), watching.time_limit, watching.stop)  # type: ignore[call-overload]


def _watcher(problem: ModelProblem, watching: Watching) -> Callable[[int, Record, np.ndarray], None] | None:
    progress = watching.progress
    if progress is None:
        return None

    def watch(iteration: int, record: Record, x: np.ndarray) -> None:
        progress(Progress(iteration, problem.sign * record.objective, None, 0.0))

    return watch


# --------------------------------------------------------------------------------------------------------- answers


def _solution(prepared: Prepared, ended: Ended) -> Solution:
    problem, answer = ended.problem, ended.answer
    model, analysis, outcome = prepared.model, prepared.analysis, answer.outcome
    objective = model.objective
    base = Solution(
        model=model.name,
        status=Status.NUMERICAL_ERROR,
        guarantee=Guarantee.NONE,
        problem_class=class_of(analysis),
        route=Route(prepared.choice.name, "optdsl", prepared.choice.why),
        objective_name=None if objective is None else objective.name,
        sense=None if objective is None else objective.sense,
        trace=_trace(problem, outcome),
        notes=(*model.warnings, *prepared.notes, *answer.notes),
    )
    if outcome.ending is Ending.UNDEFINED:
        note = "no point was found at which all functions are defined: give a start with `init`"
        undefined = diagnose_run(model, problem, outcome, base.trace, base.status, base.checks)
        return replace(base, notes=(*base.notes, note), diagnosis=undefined)
    violated = _violated(model, problem, outcome.x)
    if outcome.ending is Ending.LOCALLY_INFEASIBLE and violated:
        convex = analysis.convex_as_written
        return replace(
            base,
            status=Status.INFEASIBLE,
            guarantee=Guarantee.GLOBAL if convex else Guarantee.LOCAL,
            checks=Checks(primal_residual=outcome.record.primal, second_order=SecondOrder.UNKNOWN),
            conflict=conflict_answer(model, violated, False),
            show=shown_values(model, None, {}, {}),
        )
    if outcome.ending is Ending.UNBOUNDED:
        reached = problem.sign * outcome.record.objective
        ray = _ray(problem, outcome)
        why = f"the objective went to {reached:.3g} along the steps, and no end was seen"
        return replace(
            base,
            status=Status.UNBOUNDED,
            guarantee=Guarantee.NONE,
            ray=ray_answer(model, None if ray is None else ray[: model.columns], why),
            show=shown_values(model, None, {}, {}),
        )
    point = LocalPoint(problem, outcome, *_curvature(problem, answer), ended.rough)
    judged, restored = judge_locally(model, analysis, point, prepared.options)
    x = outcome.x[: model.columns]
    variables = variable_answers(model, x, restored.reduced_cost)
    constraints = constraint_answers(model, judged.slacks, restored.duals)
    return replace(
        base,
        status=judged.status,
        guarantee=judged.guarantee,
        objective=judged.objective,
        bound=judged.bound,
        variables=variables,
        constraints=constraints,
        show=shown_values(model, x, variables, constraints),
        checks=judged.checks,
        diagnosis=diagnose_run(model, problem, outcome, base.trace, judged.status, judged.checks),
        notes=(*base.notes, *judged.notes),
        path=None if outcome.path is None else outcome.path[:, : model.columns],
        minima=minima_of(model, ended.minima),
        landscape=landscape_of(model),
        expressions=let_values(model, x),
    )


def _curvature(problem: ModelProblem, answer: LocalAnswer) -> tuple[SecondOrder, np.ndarray | None]:
    """The outcome of the second-order check, and the direction of negative curvature where there is one."""
    found = answer.second_order
    if found is None or found.curvature is Curvature.UNKNOWN:
        outcome = off_edges(problem, answer.outcome)
        if outcome is answer.outcome or problem.convex:
            return SecondOrder.UNKNOWN, None
        found = check(problem, outcome.x, outcome.row_multipliers, outcome.bound_multipliers)
    return SecondOrder[found.curvature.name], found.direction


def _trace(problem: ModelProblem, outcome: Outcome) -> TraceTable:
    """The run's iterations, the objective in the user's sense."""
    rows = outcome.trace.copy()
    rows[:, COLUMNS.index("objective")] *= problem.sign
    return TraceTable(COLUMNS, rows)


def _violated(model: Model, problem: ModelProblem, x: np.ndarray) -> tuple[NamedPart, ...]:
    """The constraints' instances that do not hold at x, most violated first."""
    values = problem.constraints(x)
    scales = row_scales(model, problem, x)
    below, above = problem.row_lower - values, values - problem.row_upper
    found: list[tuple[float, NamedPart]] = []
    for (constraint, _), first, space in zip(
        problem.places, problem.system.first, problem.system.spaces, strict=False
    ):
        part = slice(first, first + space.lanes)
        for side, distance in (("lower", below[part]), ("upper", above[part])):
            scaled = distance / scales[constraint]
            for k in np.flatnonzero(scaled > FEASIBLE)[:MOST_NAMED]:
                found.append((float(scaled[k]), NamedPart("constraint", constraint, int(k), side)))
    found.sort(key=lambda item: -item[0])
    return tuple(part for _, part in found[:MOST_NAMED])


MOST_NAMED = 100
"""Instances that a conflict names at most: more would say nothing more."""


def _ray(problem: ModelProblem, outcome: Outcome) -> np.ndarray | None:
    """The direction of the last step or point, where the model can go along it without end; None where it cannot."""
    if outcome.ray is not None:
        found = endless(problem, outcome.x, outcome.ray, FEASIBLE, 1.0)
        if found is not None:
            return found
    size = float(np.abs(outcome.x).max(initial=0.0))
    if not size > 1e3:
        return None
    direction = outcome.x / size
    direction[np.abs(direction) < 1e-6] = 0.0
    start = np.clip(problem.start, problem.lower, problem.upper)
    last = np.inf
    for length in 10.0 ** np.arange(3, 12):
        x = start + length * direction
        inside = (x >= problem.lower).all() and (x <= problem.upper).all()
        values, objective = problem.constraints(x), problem.objective(x)
        held = (values >= problem.row_lower - FEASIBLE * length) & (values <= problem.row_upper + FEASIBLE * length)
        if not (inside and held.all() and objective < last - 1.0):
            return None
        last = objective
    return direction
