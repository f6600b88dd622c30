"""From a text to what is known of it without solving: the verdict of `check`, and what `explain` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optdsl.answer.asked import (
    asked_for,
    by_engine,
    engine_stages,
    model_name,
    of_engine,
    perhaps_large,
    pointing,
    refuse,
    route_of,
    told_route,
)
from optdsl.answer.assemble import verdict_of
from optdsl.answer.composite_route import composite_form
from optdsl.answer.explain import check_stage, program_text
from optdsl.answer.solution import Route
from optdsl.answer.training_route import route_of as training_route
from optdsl.answer.training_route import trained, training_text
from optdsl.answer.transformed import WHY, special_form, specialized
from optdsl.answer.verdict import Verdict
from optdsl.classify import Analysis
from optdsl.classify.eliminate import analyze_eliminating
from optdsl.convex.choose import choose_for
from optdsl.convex.lower import lower
from optdsl.errors import NotSolvable
from optdsl.language import parse, tree
from optdsl.model import build, explain
from optdsl.model.model import Model

if TYPE_CHECKING:
    from optdsl.data.supplied import Supplied


def check_text(text: str, name: str, **keywords: Any) -> Verdict:
    """`check_tree` of a text; `name` is what messages call it."""
    return check_tree(parse(text, name), **keywords)


def check_tree(
    file: tree.File,
    *,
    folder: Path,
    supplied: Mapping[str, Supplied] | None = None,
    paths: Mapping[str, str] | None = None,
) -> Verdict:
    """What kind of problem a model is. Raises OptError for every mistake in the input."""
    model = build(file, folder=folder, supplied=supplied, paths=paths, name=model_name(file.source.name))
    return verdict_on(model, analyze_eliminating(model, explain=True))


def verdict_on(model: Model, analysis: Analysis) -> Verdict:
    """The verdict on an analyzed model, with the way that `solve` would go."""
    asked = asked_for(model, None, None)
    special = None if of_engine(asked) else special_form(analysis)
    if special is not None:
        route = Route("cvxpy", "CLARABEL", WHY[special.type])
        return verdict_of(specialized(analysis, special), route)
    with pointing(asked):
        training = trained(analysis, asked.method, asked.options, perhaps_large(asked, analysis))
    if training is not None:
        return verdict_of(replace(analysis, refusal=()), training_route(training))
    with pointing(asked):
        composite = composite_form(analysis, asked.method, asked.options)
    if composite is not None:
        return verdict_of(replace(analysis, refusal=()), composite.route)
    if by_engine(asked, analysis):
        try:
            with pointing(asked):
                route, nonzeros = engine_stages().route_for(analysis, asked.method)
            verdict = verdict_of(replace(analysis, refusal=()), route)
            return replace(verdict, size=replace(verdict.size, nonzeros=nonzeros))
        except NotSolvable as error:
            return verdict_of(replace(analysis, refusal=()), None, *error.diagnostics)
    if analysis.refusal:
        return verdict_of(analysis, None)
    with pointing(asked):
        choice = choose_for(analysis.type, asked.method, asked.solver)
        return verdict_of(analysis, told_route(route_of(choice), analysis))


def explain_text(
    text: str,
    name: str,
    stage: str | None,
    *,
    folder: Path,
    supplied: Mapping[str, Supplied] | None = None,
    paths: Mapping[str, str] | None = None,
) -> str:
    """What a model looks like after a stage, one of `STAGES`; without one, its data, templates and program.

    Raises OptError for every mistake in the input.
    """
    if stage is not None:
        check_stage(stage)
    file = parse(text, name)
    if stage == "tree":
        return explain(file, stage)
    model = build(file, folder=folder, supplied=supplied, paths=paths, name=model_name(file.source.name))
    if stage in ("data", "model"):
        return explain(model, stage)
    analysis = analyze_eliminating(model, explain=True)
    if stage == "class":
        return str(verdict_on(model, analysis))
    if stage == "program":
        return _program_text(model, analysis)
    parts = (explain(model, "data"), explain(model, "model"), _program_text(model, analysis))
    return "\n\n".join(part for part in parts if part)


def _program_text(model: Model, analysis: Analysis) -> str:
    """The arrays or kernels that the method of a model gets."""
    asked = asked_for(model, None, None)
    special = special_form(analysis)
    training = trained(analysis, asked.method, asked.options, perhaps_large(asked, analysis))
    if training is not None:
        return training_text(training)
    composite = None if special is not None else composite_form(analysis, asked.method, asked.options)
    if composite is not None:
        return str(import_module("optdsl.answer.composite").program_text(composite))
    if special is None and by_engine(asked, analysis):
        return str(engine_stages().program_text(analysis, asked.method))
    refuse(model, analysis)
    return program_text(lower(analysis.solved))
