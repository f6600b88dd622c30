"""The route of composite objectives: losses plus simple penalties, a method that fits, and an answer with its gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from optdsl.answer.assemble import class_of, variable_answers
from optdsl.answer.checks import TransformedAnswer, judge_transformed
from optdsl.answer.composite_methods import choose_method, make_method, most_iterations
from optdsl.answer.composite_route import LARGE
from optdsl.answer.landscape import landscape_of
from optdsl.answer.solution import Route, Solution, TraceTable
from optdsl.answer.status import Guarantee, Status
from optdsl.answer.values import let_values, shown_values
from optdsl.classify import Analysis
from optdsl.convex.lower import Restored
from optdsl.convex.program import Progress, RawAnswer, RawStatus
from optdsl.engine.composite import Recognized, recognized
from optdsl.engine.composite_rows import NotComposite
from optdsl.errors import Diagnostic, OptionError
from optdsl.methods.composite import losses
from optdsl.methods.composite.attained import attained, may_run_off
from optdsl.methods.composite.driver import COLUMNS, Outcome, drive
from optdsl.methods.composite.problem import Composite
from optdsl.methods.composite.table import Choice
from optdsl.methods.driver import Ending, Limits
from optdsl.model.model import Model

_RAW = {
    Ending.CONVERGED: RawStatus.OPTIMAL,
    Ending.NO_PROGRESS: RawStatus.INACCURATE,
    Ending.ITERATION_LIMIT: RawStatus.ITERATION_LIMIT,
    Ending.TIME_LIMIT: RawStatus.TIME_LIMIT,
    Ending.INTERRUPTED: RawStatus.INTERRUPTED,
}


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model whose objective is composite, and the method for it."""

    analysis: Analysis
    found: Recognized
    choice: Choice
    options: Mapping[str, object]
    asked: bool

    @property
    def route(self) -> Route:
        return Route(self.choice.name, "optdsl", self.choice.why)


def prepare(analysis: Analysis, method: str | None, options: Mapping[str, object]) -> Prepared | None:
    """The composite form of a model and its method; None where it has none, or a cone program is as good.

    With a method asked for: OptionError where it cannot take the model.
    """
    try:
        found = recognized(analysis.model)
    except NotComposite as reason:
        if method is None:
            return None
        message = f"{method} cannot solve this problem: it takes convex losses of affine functions, and {reason}"
        raise OptionError(Diagnostic("method-cannot-solve", message, hint="leave the method out")) from None
    if method is None and found.problem.size < LARGE and not may_run_off(found.problem):
        return None
    choice = choose_method(found.problem, method)
    return None if choice is None else Prepared(analysis, found, choice, options, method is not None)


def prepare_unanalyzed(model: Model, method: str | None, options: Mapping[str, object]) -> Prepared | None:
    """As `prepare`, for a large model that nothing else has looked at: being in these parts proves it convex."""
    try:
        found = recognized(model)
    except NotComposite:
        return None
    if found.problem.size < LARGE:
        return None
    choice = choose_method(found.problem, method)
    if choice is None:
        return None
    kind, smoothness = class_by_parts(found.problem)
    analysis = Analysis(model, kind, "convex", smoothness, (), ())
    return Prepared(analysis, found, choice, options, method is not None)


_KINDS = {
    losses.Square: ("QP", "smooth"),
    losses.Huber: ("QP", "C1"),
    losses.SquaredPositive: ("QP", "C1"),
    losses.Absolute: ("LP", "nonsmooth"),
    losses.Positive: ("LP", "nonsmooth"),
    losses.Length: ("SOCP", "nonsmooth"),
    losses.Softplus: ("EXP", "smooth"),
    losses.Exponential: ("EXP", "smooth"),
    losses.LogSumExp: ("EXP", "smooth"),
}
"""The type of problem of each loss, and how smooth it is."""


def class_by_parts(problem: Composite) -> tuple[str, str]:
    """The type of problem and its smoothness: those of the part that is worst."""
    found = [_KINDS[type(part.loss)] for part in problem.parts]
    if (problem.absolute > 0).any():
        found.append(("LP", "nonsmooth"))
    if (problem.ridge > 0).any():
        found.append(("QP", "smooth"))
    kinds, rates = ("LP", "QP", "SOCP", "EXP"), ("smooth", "C1", "nonsmooth")
    kind = max((k for k, _ in found), key=kinds.index, default="LP")
    return kind, max((rate for _, rate in found), key=rates.index, default="smooth")


def program_text(prepared: Prepared) -> str:
    """What is minimized: each loss with its rows and entries, the penalties, and the method."""
    problem = prepared.found.problem
    lines = [f"losses plus penalties: minimize P(x) over {problem.width:,} variables"]
    for part in problem.parts:
        operator = part.operator
        kind = "dense" if operator.dense else "sparse"
        name = type(part.loss).__name__
        lines.append(f"  {name}: {operator.rows:,} rows of an affine map, {kind}, {operator.size:,} entries")
    lines += [
        f"  l1 penalty on {int((problem.absolute > 0).sum()):,} variables, "
        f"squared on {int((problem.ridge > 0).sum()):,}",
        f"  method: {prepared.choice.name}; {prepared.choice.why}",
    ]
    return "\n".join(lines)


def run(
    prepared: Prepared,
    time_limit: float | None,
    progress: Callable[[Progress], None] | None,
    stop: Callable[[], bool] | None,
) -> Solution:
    """The checked answer."""
    problem, sign = prepared.found.problem, prepared.found.sign
    iterations = prepared.options.get("max_iter")
    most = most_iterations(prepared.choice.name) if iterations is None else int(iterations)  # type: ignore[call-overload]
    limits = Limits(most, time_limit, stop)

    def watch(iteration: int, value: float, bound: float, seconds: float) -> None:
        if progress is not None:
            known = sign * bound if np.isfinite(bound) else None
            progress(Progress(iteration, sign * value, None, seconds, known))

    outcome = drive(make_method(prepared.choice, prepared.options), problem, limits, watch)
    return _solution(prepared, outcome)


def _solution(prepared: Prepared, outcome: Outcome) -> Solution:
    model, analysis = prepared.analysis.model, prepared.analysis
    problem, sign = prepared.found.problem, prepared.found.sign
    assert model.objective is not None
    base = Solution(
        model=model.name,
        status=Status.NUMERICAL_ERROR,
        guarantee=Guarantee.NONE,
        problem_class=class_of(analysis),
        route=prepared.route,
        objective_name=model.objective.name,
        sense=model.objective.sense,
        trace=_trace(outcome, sign),
        notes=(*model.warnings, *outcome.notes),
    )
    if outcome.ending is Ending.UNDEFINED:
        note = "the objective is not finite at the start: give one with `init`"
        return replace(base, notes=(*base.notes, note))
    slope = problem.cost + problem.pulled(outcome.u) + problem.ridge * outcome.x
    at_bound = (outcome.x <= problem.lower) | (outcome.x >= problem.upper)
    reduced = np.where(at_bound, sign * slope, 0.0)
    reached = attained(problem, outcome.x)
    bound = sign * outcome.bound if np.isfinite(outcome.bound) else None
    raw = RawAnswer(_RAW[outcome.ending], "optdsl", outcome.x, reduced_cost=reduced, bound=bound)
    restored = Restored(outcome.x, (), reduced, bound, None)
    answer = TransformedAnswer(raw, restored, _residual(problem, outcome), None, reached)
    judged = judge_transformed(model, analysis, answer, prepared.options)
    notes = judged.notes
    if not reached:
        notes = (*notes, "the objective falls ever further out: no point reaches its least value")
    variables = variable_answers(model, outcome.x, reduced)
    return replace(
        base,
        status=judged.status,
        guarantee=judged.guarantee,
        objective=judged.objective,
        bound=judged.bound,
        variables=variables,
        show=shown_values(model, outcome.x, variables, {}),
        checks=judged.checks,
        notes=(*base.notes, *notes),
        landscape=landscape_of(model),
        expressions=let_values(model, outcome.x),
    )


def _residual(problem: Composite, outcome: Outcome) -> float | None:
    """The scaled residual of the first-order conditions; None where kinks are in losses.

    There the gap speaks for the multipliers.
    """
    if not problem.smooth:
        return None
    u = problem.slopes(problem.rows(outcome.x))
    return problem.residual(outcome.x, u, problem.pulled(u))


def _trace(outcome: Outcome, sign: float) -> TraceTable:
    """The run's iterations, objective and bound in the user's sense."""
    rows = outcome.trace.copy()
    for name in ("objective", "bound"):
        rows[:, COLUMNS.index(name)] *= sign
    return TraceTable(COLUMNS, rows)
