"""The route of training: a model as a sum over the members of a set, a stochastic method, and a checked answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from optdsl.answer import engine_methods
from optdsl.answer.assemble import class_of, constraint_answers, variable_answers
from optdsl.answer.checks import EDGE
from optdsl.answer.marks import marks_of
from optdsl.answer.solution import Route, Solution, TraceTable
from optdsl.answer.status import Guarantee, Status
from optdsl.answer.stochastic_methods import TrainingChoice, choice_of
from optdsl.answer.training_checks import Ended, judge_trained, multipliers_at
from optdsl.answer.training_diagnosis import diagnosis_of, rises
from optdsl.answer.training_route import Checkpointing
from optdsl.answer.values import let_values, shown_values
from optdsl.classify import Analysis
from optdsl.convex.options import read_options
from optdsl.convex.program import Progress
from optdsl.engine.roughness import first_jump, jumping, statements_of
from optdsl.errors import Diagnostic, NotSolvable, OptionError
from optdsl.methods import table
from optdsl.methods.driver import COLUMNS as RUN_COLUMNS
from optdsl.methods.driver import Ending, Limits, Record, drive
from optdsl.methods.stochastic.checkpoint import CheckpointError
from optdsl.methods.stochastic.feasible import Simple
from optdsl.methods.stochastic.run import COLUMNS, Checkpoints, Hooks, Kept, News, TrainingEnding, TrainingRun
from optdsl.methods.stochastic.train import train
from optdsl.model.faults import place_of
from optdsl.model.model import Let, Model
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import Family
from optdsl.training.feasible import feasible_set
from optdsl.training.problem import TensorProblem
from optdsl.training.split import Members, candidates, members_of, summed_anywhere, unnamed_range
from optdsl.training.terms import NotTensor

_ENDED = {
    Ending.ITERATION_LIMIT: Status.ITERATION_LIMIT,
    Ending.TIME_LIMIT: Status.TIME_LIMIT,
    Ending.INTERRUPTED: Status.INTERRUPTED,
    Ending.UNBOUNDED: Status.UNBOUNDED,
    Ending.UNDEFINED: Status.NUMERICAL_ERROR,
}
_STATUS = {
    TrainingEnding.TIME_LIMIT: Status.TIME_LIMIT,
    TrainingEnding.INTERRUPTED: Status.INTERRUPTED,
    TrainingEnding.DIVERGED: Status.NUMERICAL_ERROR,
    TrainingEnding.UNDEFINED: Status.NUMERICAL_ERROR,
    TrainingEnding.UNBOUNDED: Status.UNBOUNDED,
}


@dataclass(frozen=True, eq=False)
class Watching:
    """Limits of a run, who hears of it, and where its state is kept."""

    time_limit: float | None = None
    progress: Callable[[Progress], None] | None = None
    stop: Callable[[], bool] | None = None
    checkpoints: Checkpointing | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model compiled for training: its functions in the type asked for, and the method."""

    analysis: Analysis
    problem: TensorProblem
    choice: TrainingChoice
    feasible: Simple | None
    projected: np.ndarray
    options: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def model(self) -> Model:
        return self.analysis.model


@dataclass(eq=False)
class _Weighed:
    """The problem with the rows that are projected onto left out of what is weighed."""

    inner: TensorProblem
    projected: np.ndarray
    row_lower: np.ndarray = field(init=False)
    row_upper: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.row_lower = np.where(self.projected, -np.inf, self.inner.row_lower)
        self.row_upper = np.where(self.projected, np.inf, self.inner.row_upper)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


# -------------------------------------------------------------------------------------------------------- preparing


def prepare(analysis: Analysis, method: str, options: Mapping[str, object]) -> Prepared:
    """The model compiled for training. Raises NotSolvable for what cannot be, with the place and the reason."""
    model = analysis.model
    _refuse(analysis)
    choice = choice_of(method, options)
    members = _members(model, choice)
    try:
        problem = TensorProblem(model, members, choice.dtype, convex=analysis.convexity == "convex")
    except NotTensor as reason:
        raise _not_solvable(analysis, *_placed(model, reason, members)) from None
    if choice.monitor is not None:
        _monitored(model, choice.monitor)
    feasible, projected = feasible_set(problem)
    return Prepared(analysis, problem, choice, feasible, projected, options)


MANY_MEMBERS = 50
LARGE, LARGE_CONVEX, HUGE, HUGE_MEMBERS = 2e7, 5e5, 5e8, 5_000
"""Multiplications of one pass over all members: beyond the first, lanes of the engine would be too many; beyond the
second, cones would; beyond the third, with so many members, batches get further in the same time than passes."""
WHOLE = ("lbfgs", "lbfgsb", "gradient_descent", "conjugate_gradient", "nesterov")
"""Methods of the engine that need gradients alone."""


def prepare_large(analysis: Analysis, method: str | None, options: Mapping[str, object]) -> Prepared | None:
    """A model with products of matrices over many members, which other methods would write out lane by lane.

    None where the model is small, has constraints or jumps, or is no sum over the members of a set.
    """
    model = analysis.model
    if model.objective is None or jumping([model.objective.body]) is not None:
        return None
    if model.constraints or model.integers or (method is not None and method not in WHOLE):
        return None
    names = [name for name in candidates(model) if len(model.sets[name]) >= MANY_MEMBERS]  # type: ignore[arg-type]
    if not names or any(v.attributes & {"psd", "nsd"} for v in model.variables.values()):
        return None
    members = members_of(model, names[0])
    try:
        problem = TensorProblem(model, members, convex=analysis.convexity == "convex")
    except NotTensor:
        return None
    work = problem.multiplications
    if work < (LARGE_CONVEX if analysis.convexity == "convex" else LARGE):
        return None
    bounded = bool((np.isfinite(problem.lower) | np.isfinite(problem.upper)).any())
    if method is None and work > HUGE and members.count >= HUGE_MEMBERS:
        why = f"one pass over {members.count:,} members takes {work:.1g} multiplications, so steps are taken on batches"
        choice = choice_of("adam", {}, why)
    else:
        name = method or ("lbfgsb" if bounded else "lbfgs")
        why = "asked for" if method is not None else f"products of matrices over {members.count:,} members"
        values = read_options(dict(options), engine_methods.options_of(name), name)
        iterations = values.pop(engine_methods.MOST_ITERATIONS.name)
        choice = TrainingChoice(name, why, values=values, iterations=iterations)
    return Prepared(analysis, problem, choice, None, np.zeros(0, dtype=bool))


def _refuse(analysis: Analysis) -> None:
    """Raises NotSolvable for what no stochastic method can honor."""
    model = analysis.model
    if model.objective is None:
        raise _not_solvable(analysis, "there is no objective to train", None, "add a `minimize` statement")
    if model.integers:
        variable = next(v for v in model.variables.values() if v.integer)
        reason = f"`{variable.name}` must be whole, which no stochastic method takes"
        raise _not_solvable(analysis, reason, variable.span, "make it continuous, or leave the method out")
    for variable in model.variables.values():
        if variable.attributes & {"psd", "nsd"}:
            reason = f"`{variable.name}` must be semidefinite, which no stochastic method takes"
            raise _not_solvable(analysis, reason, variable.span, "write it as a product such as `L @ L.T`")
    for constraint in model.constraints:
        if constraint.kind == "matrix":
            reason = f"`{constraint.name}` is a matrix inequality, which no stochastic method takes"
            raise _not_solvable(analysis, reason, constraint.span, "leave the method out")
    if analysis.smoothness == "discontinuous":
        _refuse_jumps(analysis)


def _refuse_jumps(analysis: Analysis) -> None:
    """Raises NotSolvable for a function that is level between jumps: its slope, 0 everywhere, tells no step the way."""
    for statement in statements_of(analysis.model):
        node = first_jump(statement)
        if node is not None:
            reason = f"`{node.name}` jumps and is level in between: its slope is 0, so no stochastic method can use it"
            hint = (
                "train a smooth surrogate and `show` this after the solve: `sigmoid` or `tanh` for a step, "
                "`hinge`, `softplus` or `binary_cross_entropy` for counted mistakes"
            )
            raise _not_solvable(analysis, reason, place_of(node, statement.marks, statement.span), hint)


def _not_solvable(analysis: Analysis, reason: str, span: Any, hint: str) -> NotSolvable:
    kind = {"type": analysis.type, "convexity": analysis.convexity, "smoothness": analysis.smoothness}
    diagnostic = Diagnostic("not-solvable-yet", reason, span, hint, analysis.model.source)
    return NotSolvable(diagnostic, model=analysis.model.name, problem_class=kind)


def _placed(model: Model, fault: NotTensor, members: Members) -> tuple[str, Any, str]:
    """The reason, place and hint of a model that is no sum over the members."""
    for statement in statements_of(model):
        if any(fault.node == body or body.has(fault.node) for body in statement.bodies):
            span = place_of(fault.node, statement.marks, statement.span)
            reason = f"`{statement.name}` cannot be trained in batches over {members.name}: {fault.reason}"
            way = "" if fault.formless else f"write it as a sum or mean over {members.name}, or "
            return reason, span, f"{way}leave the method out"
    return f"this model cannot be trained in batches: {fault.reason}", None, "leave the method out"


def _members(model: Model, choice: TrainingChoice) -> Members:
    """The set of the batches: the one asked for, else the largest that an outermost sum of the objective runs over."""
    names = candidates(model)
    if choice.over is not None:
        value = model.sets.get(choice.over)
        if value is None or isinstance(value, Family):
            have = ", ".join(names) or "none"
            message = f"`over = {choice.over}` names no set whose members could be looked at in batches"
            raise OptionError(
                Diagnostic("bad-option-value", message, None, f"sets that the objective sums over: {have}")
            )
        return members_of(model, choice.over)
    unnamed = None if names else unnamed_range(model)
    if unnamed is not None:
        message = f"the objective sums over {unnamed}, which has no name, so there is nothing to look at in batches"
        hint = f"declare it, as `set ROW = {unnamed}`, and write `for i in ROW`"
        raise OptionError(Diagnostic("bad-option-value", message, None, hint))
    names = names or summed_anywhere(model)  # what stands in the way is then told with its place
    if not names:
        message = "the objective sums over no declared set, so there is nothing to look at in batches"
        hint = "write it as a sum or mean over a set, or leave the method out"
        raise OptionError(Diagnostic("bad-option-value", message, None, hint))
    return members_of(model, names[0])


def _monitored(model: Model, name: str) -> Let:
    """The named expression that is monitored: a number."""
    let = model.lets.get(name)
    if let is None or let.axes:
        have = ", ".join(n for n, other in model.lets.items() if not other.axes) or "none"
        what = "is an array, not one number" if let is not None else "names no `let` of the model"
        message = f"`monitor = {name}` {what}"
        raise OptionError(Diagnostic("bad-option-value", message, None, f"named expressions that are numbers: {have}"))
    return let


# ---------------------------------------------------------------------------------------------------------- running


def route_of(prepared: Prepared) -> Route:
    """The method and the reason for it."""
    problem, choice = prepared.problem, prepared.choice
    return Route(choice.name, "optdsl", choice.why(problem.set.name, problem.members))


def program_text(prepared: Prepared) -> str:
    """What became of the model: its members, its operations on whole arrays, the method."""
    problem, choice = prepared.problem, prepared.choice
    lines = [
        f"a sum over {problem.members:,} members of {problem.set.name}: minimize f(x) over "
        f"{len(problem.start):,} variables, {len(problem.row_lower):,} rows",
        f"  method: {choice.name}; {choice.why(problem.set.name, problem.members)}; {choice.dtype.name}",
        f"  rows that are projected onto: {int(prepared.projected.sum()):,}",
        f"  multiplications in matrix products, over all members: {problem.multiplications:,.0f}",
    ]
    return "\n".join(lines) + "\n\n" + problem.describe()


def run(prepared: Prepared, watching: Watching) -> Solution:
    """The checked answer of a training run."""
    ended = _in_batches(prepared, watching) if prepared.choice.method is not None else _whole(prepared, watching)
    return _solution(prepared, ended)


def _in_batches(prepared: Prepared, watching: Watching) -> Ended:
    """A run of a stochastic method."""
    problem, choice, model = prepared.problem, prepared.choice, prepared.model
    assert choice.method is not None
    hooks = Hooks(
        monitor=_monitor(model, choice.monitor),
        rising=choice.monitor is not None and rises(model.lets[choice.monitor].body),
        stop=watching.stop,
        news=_teller(problem, watching.progress),
        feasible=prepared.feasible,
        checkpoints=_checkpoints(prepared, watching.checkpoints),
    )
    settings = replace(choice.settings, seconds=watching.time_limit)
    weighed = _Weighed(problem, prepared.projected)
    try:
        result = train(weighed, choice.method, settings, hooks)  # type: ignore[arg-type]
    except CheckpointError as error:
        raise OptionError(Diagnostic("bad-checkpoint", error.message, hint=error.hint)) from None
    rows = result.records.copy()
    for name in ("loss", "objective"):
        rows[:, COLUMNS.index(name)] *= problem.sign
    trace, status = TraceTable(COLUMNS, rows), _STATUS.get(result.ending)
    return Ended(result.x, result.row_multipliers, trace, status, _words(result), result)


def _whole(prepared: Prepared, watching: Watching) -> Ended:
    """A run of a method of the engine, which sees all members in every step."""
    problem, choice = prepared.problem, prepared.choice

    def watch(iteration: int, record: Record, x: np.ndarray) -> None:
        assert watching.progress is not None
        watching.progress(Progress(iteration, problem.sign * record.objective, None, 0.0))

    limits = Limits(choice.iterations, watching.time_limit, watching.stop)
    method = table.row_of(choice.name).factory(**choice.values)
    outcome = drive(method, problem, limits, watch if watching.progress is not None else None)
    rows = outcome.trace.copy()
    rows[:, RUN_COLUMNS.index("objective")] *= problem.sign
    trace = TraceTable(RUN_COLUMNS, rows)
    return Ended(outcome.x, outcome.row_multipliers, trace, _ENDED.get(outcome.ending), ())


def _checkpoints(prepared: Prepared, asked: Checkpointing | None) -> Checkpoints | None:
    if asked is None:
        return None
    marks = marks_of(prepared.model, prepared.choice.name, prepared.options)
    return Checkpoints(asked.folder, marks, asked.seconds, resume=asked.resume)


def _monitor(model: Model, name: str | None) -> Callable[[np.ndarray], float] | None:
    if name is None:
        return None
    let = _monitored(model, name)

    def value(x: np.ndarray) -> float:
        lanes = model.lanes.with_values(np.asarray(x, dtype=np.float64), EDGE)
        return float(np.asarray(lanes.numbers(let.body, Frame())).reshape(-1)[0])

    return value


def _teller(problem: TensorProblem, progress: Callable[[Progress], None] | None) -> Callable[[News], None] | None:
    if progress is None:
        return None

    def tell(news: News) -> None:
        progress(Progress(news.epoch, problem.sign * news.loss, None, news.seconds, line=_line(problem, news)))

    return tell


def _line(problem: TensorProblem, news: News) -> str:
    """`epoch 3 of 20, loss 0.231, validation 0.25, rate 0.001, 52,000 examples/s, 12 s left`."""
    parts = [f"epoch {news.epoch} of {news.epochs}", f"loss {problem.sign * news.loss:.4g}"]
    if np.isfinite(news.monitored):
        parts.append(f"monitored {news.monitored:.4g}")
    parts += [f"rate {news.rate:.3g}", f"{news.examples_per_second:,.0f} examples/s"]
    if np.isfinite(news.seconds_left):
        parts.append(f"{news.seconds_left:.0f} s left")
    return ", ".join(parts)


# ---------------------------------------------------------------------------------------------------------- answers


def _solution(prepared: Prepared, ended: Ended) -> Solution:
    model, analysis, problem = prepared.model, prepared.analysis, prepared.problem
    objective = model.objective
    assert objective is not None
    base = Solution(
        model=model.name,
        status=Status.NUMERICAL_ERROR,
        guarantee=Guarantee.NONE,
        problem_class=class_of(analysis),
        route=route_of(prepared),
        objective_name=objective.name,
        sense=objective.sense,
        trace=ended.trace,
        notes=(*model.warnings, *prepared.notes, *ended.notes),
    )
    if not np.isfinite(ended.x).all() or ended.status is Status.UNBOUNDED:
        status = ended.status or Status.NUMERICAL_ERROR
        return replace(base, status=status, show=shown_values(model, None, {}, {}))
    multipliers = multipliers_at(problem, ended.x, ended.row_multipliers, prepared.feasible, prepared.projected)
    ended = replace(ended, row_multipliers=multipliers)
    judged, restored = judge_trained(analysis, problem, ended, prepared.choice.tolerance)
    variables = variable_answers(model, ended.x, restored.reduced_cost)
    constraints = constraint_answers(model, judged.slacks, restored.duals)
    return replace(
        base,
        status=judged.status,
        guarantee=judged.guarantee,
        objective=judged.objective,
        variables=variables,
        constraints=constraints,
        show=shown_values(model, ended.x, variables, constraints),
        checks=judged.checks,
        notes=(*base.notes, *judged.notes),
        expressions=let_values(model, ended.x),
        diagnosis=() if ended.run is None else diagnosis_of(model, problem, prepared.choice, ended.run, multipliers),
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _words(result: TrainingRun) -> tuple[str, ...]:
    """What a person should hear about a run: how it ended, and which parameters these are."""
    kept = result.kept.value
    if result.kept is Kept.BEST:
        kept += f", those of epoch {result.kept_epoch}" if result.kept_epoch else ", those of the start"
    done = f"{_counted(result.epochs, 'epoch')}, {_counted(result.steps, 'step')}"
    words = [f"{result.ending.value} ({done}); the answer holds {kept}"]
    fault = result.fault
    if fault is not None:
        where = f" in `{fault.culprit}`" if fault.culprit else ""
        words.append(f"it broke off in epoch {fault.epoch}, batch {fault.batch}{where}: {fault.suggestion}")
    return (*words, *result.notes)
