"""From a text to a checked answer: the list of stages, each called once, with the time that it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optdsl.answer.asked import (
    Asked,
    asked_for,
    by_engine,
    chosen,
    engine_stages,
    model_name,
    of_engine,
    perhaps_large,
    pointing,
    refuse,
    route_of,
    told_route,
)
from optdsl.answer.assemble import solution_of
from optdsl.answer.composite_route import composite_answer, composite_at_once, composite_form
from optdsl.answer.examining import verdict_on
from optdsl.answer.methods import AUTOMATIC, check_method, check_options
from optdsl.answer.provenance import Examined, provenance_of
from optdsl.answer.seeds import checked_seed, options_with_seed, seed_among
from optdsl.answer.solution import Solution, Times
from optdsl.answer.status import Guarantee, Status
from optdsl.answer.training_route import STOCHASTIC, Checkpointing, trained
from optdsl.answer.training_route import answer_of as training_answer
from optdsl.answer.transformed import Special, solve_special, special_form
from optdsl.classify import Analysis
from optdsl.classify.eliminate import analyze_eliminating
from optdsl.convex.choose import Choice
from optdsl.convex.lower import Lowered, lower
from optdsl.convex.program import Program, Progress, RawAnswer, RawStatus
from optdsl.convex.units import fitting_unit, measured_in, progress_in_ones, told_in_ones
from optdsl.convex.warm import WarmSolver
from optdsl.errors import Diagnostic, NotSolvable, OptionError
from optdsl.language import parse, tree
from optdsl.model import build
from optdsl.model.model import Model

if TYPE_CHECKING:
    from optdsl.data.supplied import Supplied


@dataclass(frozen=True, slots=True)
class Controls:
    """What a caller decides and hears while a model is solved.

    `watch` hears the name of each stage; `warm` keeps the solver from one solve to the next; `checkpoints` says where
    a training run keeps its state.
    """

    time_limit: float | None = None
    progress: Callable[[Progress], None] | None = None
    stop: Callable[[], bool] | None = None
    watch: Callable[[str], None] | None = None
    warm: WarmSolver | None = None
    checkpoints: Checkpointing | None = None

    def enter(self, stage: str) -> None:
        """Tells that a stage begins."""
        if self.watch is not None:
            self.watch(stage)


@dataclass(slots=True)
class _Clock:
    """Seconds by stage."""

    began: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def lap(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def times(self) -> Times:
        return Times(**self.seconds, total=time.perf_counter() - self.began)


# ------------------------------------------------------------------------------------------------------- solve


def solve_text(text: str, name: str, **keywords: Any) -> Solution:
    """`solve_tree` of a text; `name` is what messages call it."""
    clock = _Clock()
    with clock.lap("read"):
        file = parse(text, name)
    return _recorded(file, clock, keywords)


def solve_tree(file: tree.File, **keywords: Any) -> Solution:
    """The checked answer to a model.

    folder: what paths in the file are relative to. supplied: values by name; paths: files by name. method and
    options: instead of the file's `solve using`. seed: of starts that are drawn and of the method. Raises OptError
    for every mistake in the input, NotSolvable for a model that no method of this version takes.
    """
    return _recorded(file, _Clock(), keywords)


def _recorded(file: tree.File, clock: _Clock, keywords: Mapping[str, Any]) -> Solution:
    """The answer, with what it was made from."""
    origin = provenance_of(file, lambda: _examined(file, keywords), keywords)
    return replace(_solve(file, clock, **keywords), origin=origin)


def _examined(file: tree.File, keywords: Mapping[str, Any]) -> Examined:
    """The verdict on a model with the data of a solve, and what was asked for."""
    supplied, paths = keywords.get("supplied"), keywords.get("paths")
    name = model_name(file.source.name)
    model = build(file, folder=keywords["folder"], supplied=supplied, paths=paths, name=name)
    asked = asked_for(model, keywords.get("method"), keywords.get("options"))
    return Examined(verdict_on(model, analyze_eliminating(model, explain=True)), asked.method, asked.options)


def _solve(
    file: tree.File,
    clock: _Clock,
    *,
    folder: Path,
    supplied: Mapping[str, Supplied] | None = None,
    paths: Mapping[str, str] | None = None,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    controls: Controls | None = None,
) -> Solution:
    controls = controls or Controls()
    _check_time_limit(controls.time_limit)
    _check_asked(method, options)
    of_starts = checked_seed(seed) if seed is not None else seed_among(options)
    controls.enter("reading")
    with clock.lap("read"):
        name = model_name(file.source.name)
        model = build(file, folder=folder, supplied=supplied, paths=paths, name=name, seed=of_starts)
    asked = asked_for(model, method, options)
    asked = replace(asked, options=options_with_seed(asked.method, asked.options, seed))
    with clock.lap("solve"), pointing(asked):
        composite = composite_at_once(model, asked.method, asked.options)
        answer = None if composite is None else composite_answer(composite, controls)
    if answer is not None:
        return replace(answer, time=clock.times())
    controls.enter("classifying")
    with clock.lap("classify"):
        analysis = analyze_eliminating(model, doubt="quick")
        special = None if of_engine(asked) else special_form(analysis)
    if special is not None:
        solution = _solve_special(special, analysis, asked, controls, clock)
        return replace(_second_try(solution, analysis, asked, controls, clock), time=clock.times())
    if controls.checkpoints is not None and asked.method not in STOCHASTIC:
        raise OptionError(_no_checkpoints(asked.method))
    with clock.lap("compile"), pointing(asked):
        training = trained(analysis, asked.method, asked.options, perhaps_large(asked, analysis))
    if training is not None:
        controls.enter("solving")
        with clock.lap("solve"), pointing(asked):
            solution = training_answer(training, controls)
        return replace(solution, time=clock.times())
    with clock.lap("solve"), pointing(asked):
        composite = composite_form(analysis, asked.method, asked.options)
        answer = None if composite is None else composite_answer(composite, controls)
    if answer is not None:
        return replace(answer, time=clock.times())
    if by_engine(asked, analysis):
        solution = _solve_by_engine(analysis, asked, controls, clock)
        return replace(_surely_infeasible(solution, analysis, controls, clock) or solution, time=clock.times())
    refuse(model, analysis)
    controls.enter("compiling")
    with clock.lap("compile"):
        lowered = lower(analysis.solved)
        choice = chosen(lowered.program, asked)
    controls.enter("solving")
    with clock.lap("solve"):
        raw = _run(choice, lowered.program, asked, model, controls)
    controls.enter("checking")
    solution = _answered(analysis, lowered, raw, choice, asked, controls)
    if _short_of_proof(solution, choice, asked):
        with clock.lap("solve"):
            sharper = replace(asked, options={**asked.options, "tol": SHARPEST})
            raw = _run(choice, lowered.program, sharper, model, replace(controls, warm=None))
        again = _answered(analysis, lowered, raw, choice, asked, controls)
        solution = again if again.guarantee is Guarantee.GLOBAL else solution
    return replace(_second_try(solution, analysis, asked, controls, clock), time=clock.times())


def _answered(
    analysis: Analysis, lowered: Lowered, raw: RawAnswer, choice: Choice, asked: Asked, controls: Controls
) -> Solution:
    """The checked answer in the terms of the model as written."""
    route = told_route(route_of(choice, raw), analysis)
    if analysis.eliminated is None:
        return solution_of(lowered, raw, route, options=asked.options, stop=controls.stop)
    # Imported here: only models with defined variables need it.
    answer_of = import_module("optdsl.answer.eliminated").answer_of
    solution: Solution = answer_of(analysis, lowered, raw, route, options=asked.options, stop=controls.stop)
    return solution


SHARPEST = 1e-12
"""The tolerance that a conic solver is asked for where its usual one left the proof a little open."""
NEARLY = 1e-4


def _short_of_proof(solution: Solution, choice: Choice, asked: Asked) -> bool:
    """Whether a conic solver's point is feasible and its bound almost closed: a little more precision may close it."""
    gap = solution.checks.gap
    open_ = solution.status is Status.FEASIBLE and solution.guarantee is Guarantee.NONE
    return open_ and gap is not None and gap < NEARLY and choice.method == "cvxpy" and "tol" not in asked.options


def _surely_infeasible(solution: Solution, analysis: Analysis, controls: Controls, clock: _Clock) -> Solution | None:
    """Where no point was found: the conflict of the statements that are proved convex, if they alone have none."""
    if solution.status not in (Status.INFEASIBLE, Status.NUMERICAL_ERROR) or analysis.proved is None:
        return None
    asked = Asked(None, {})
    with clock.lap("compile"):
        lowered = lower(analysis.proved())
        choice = chosen(lowered.program, asked)
    with clock.lap("solve"):
        raw = _run(choice, lowered.program, asked, analysis.model, replace(controls, progress=None, warm=None))
    if raw.status is not RawStatus.INFEASIBLE:
        return None
    return solution_of(lowered, raw, route_of(choice, raw), stop=controls.stop)


def _second_try(solution: Solution, analysis: Analysis, asked: Asked, controls: Controls, clock: _Clock) -> Solution:
    """The engine's answer, where nothing was proved about a solver's and the engine's is acceptable and not worse."""
    unproved = solution.guarantee is Guarantee.NONE and solution.objective is not None
    ended = solution.status in (Status.NUMERICAL_ERROR, Status.FEASIBLE)
    if not (unproved and ended and asked.method is None) or analysis.model.integers:
        return solution
    try:
        other = _solve_by_engine(analysis, asked, controls, clock)
    except NotSolvable:
        return solution
    if not other.status.acceptable or other.objective is None:
        return solution
    sign = -1.0 if other.sense == "maximize" else 1.0
    known = solution.status.acceptable and solution.objective is not None
    worse = known and sign * other.objective > sign * solution.objective  # type: ignore[operator]
    return solution if worse else replace(other, bound=solution.bound, problem_class=solution.problem_class)


def _no_checkpoints(method: str | None) -> Diagnostic:
    """What is said where a run that is not training is to keep checkpoints."""
    what = f"{method} keeps no checkpoints" if method else "only training runs keep checkpoints"
    return Diagnostic("no-checkpoints", what, hint=f"ask for a method that does: {', '.join(STOCHASTIC)}")


def _solve_by_engine(analysis: Analysis, asked: Asked, controls: Controls, clock: _Clock) -> Solution:
    """The answer of the built-in engine's methods."""
    controls.enter("compiling")
    with clock.lap("compile"), pointing(asked):
        prepared = engine_stages().prepare(analysis, asked.method, asked.options)
    controls.enter("solving")
    with clock.lap("solve"), pointing(asked):
        watching = engine_stages().Watching(controls.time_limit, controls.progress, controls.stop, controls.warm)
        solution: Solution = engine_stages().run(prepared, watching)
    return solution


def _solve_special(special: Special, analysis: Analysis, asked: Asked, controls: Controls, clock: _Clock) -> Solution:
    """The answer to a model that is solved through convex programs in other variables."""

    def solve(program: Program) -> RawAnswer:
        choice = chosen(program, asked)
        return _run(choice, program, asked, analysis.model, replace(controls, warm=None))

    controls.enter("solving")
    with clock.lap("solve"):
        return solve_special(special, analysis, solve, asked.method or "cvxpy", asked.options, controls.stop)


def _run(choice: Choice, program: Any, asked: Asked, model: Model, controls: Controls) -> RawAnswer:
    options = dict(asked.options)
    if choice.method != "highs":
        options.pop("solver", None)
    unit = fitting_unit(program)
    with pointing(asked):
        answer = (controls.warm or WarmSolver()).solve(
            choice,
            program if unit == 1.0 else measured_in(program, unit),
            time_limit=controls.time_limit,
            options=options,
            progress=progress_in_ones(_in_the_users_sense(controls.progress, model), unit),
            stop=controls.stop,
        )
    return answer if unit == 1.0 else told_in_ones(answer, unit)


def _in_the_users_sense(progress: Callable[[Progress], None] | None, model: Model) -> Callable[[Progress], None] | None:
    """The watcher, told of a maximum where the solver minimizes the negative."""
    if progress is None or model.objective is None or model.objective.sense == "minimize":
        return progress

    def tell(news: Progress) -> None:
        objective = None if news.objective is None else -news.objective
        progress(replace(news, objective=objective, bound=None if news.bound is None else -news.bound))

    return tell


def _check_asked(method: str | None, options: Mapping[str, Any] | None) -> None:
    """Finds a caller's mistake before the model's data is read."""
    if method is not None:
        check_method(method)
        if method != AUTOMATIC:
            check_options(method, options or {})


def _check_time_limit(seconds: float | None) -> None:
    if seconds is not None and not seconds > 0:
        raise OptionError(
            Diagnostic(
                "bad-time-limit",
                f"a time limit of {seconds:g} is not possible",
                hint="give a number of seconds above 0",
            )
        )
