"""What a caller or a file asks for, and which of the routes that means: asked of solves, checks and explanations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from optdsl.answer.methods import AUTOMATIC, SOLVER_METHODS, check_method, check_options
from optdsl.answer.solution import Route
from optdsl.answer.training_route import STOCHASTIC
from optdsl.classify import Analysis
from optdsl.convex.choose import Choice, choose
from optdsl.convex.program import RawAnswer
from optdsl.errors import Diagnostic, NotSolvable, OptionError, Source, Span
from optdsl.model.model import Model


@dataclass(frozen=True, slots=True)
class Asked:
    """The method that the caller or the file asks for, and where in the file; None: the one that fits."""

    method: str | None
    options: Mapping[str, Any]
    span: Span | None = None
    source: Source | None = None
    option_spans: Mapping[str, Span] = field(default_factory=dict)

    def place(self, mistake: Diagnostic) -> Span | None:
        """Where a mistake in the method or its options stands: at the option that it names, else at the method."""
        named = (span for name, span in self.option_spans.items() if f"`{name}`" in mistake.message)
        return mistake.span or next(named, self.span)

    @property
    def solver(self) -> str | None:
        """The solver named in the options."""
        solver = self.options.get("solver")
        return None if solver is None else str(solver)


def asked_for(model: Model, method: str | None, options: Mapping[str, Any] | None) -> Asked:
    """What the caller asks for, else the file; a caller's options add to the file's where the method is the file's.

    Raises OptionError for wrong names.
    """
    in_file = model.method
    if method is not None or in_file is None:
        named = None if method == AUTOMATIC else method
        asked = Asked(named, dict(options or {}))
    else:
        given = options or {}
        spans = {name: span for name, span in in_file.option_spans.items() if name not in given}
        asked = Asked(in_file.method, {**in_file.options, **given}, in_file.span, model.source, spans)
    if asked.method is not None:
        check_method(asked.method, asked.span, asked.source)
        with pointing(asked):
            check_options(asked.method, asked.options)
    return asked


def chosen(program: Any, asked: Asked) -> Choice:
    """The solver for the program. Raises OptionError where the one asked for cannot take it."""
    with pointing(asked):
        return choose(program, asked.method, asked.solver)


@contextmanager
def pointing(asked: Asked) -> Iterator[None]:
    """Gives mistakes in a file's `solve using` their place in the file."""
    try:
        yield
    except OptionError as error:
        if asked.span is None:
            raise
        placed = (replace(item, span=asked.place(item), source=asked.source) for item in error.diagnostics)
        raise OptionError(*placed) from None


def of_engine(asked: Asked) -> bool:
    """Whether a method of the built-in engine is asked for."""
    if asked.method is None or asked.method in SOLVER_METHODS:
        return False
    from optdsl.answer import composite_methods, engine_methods

    names = (*engine_methods.names(), *composite_methods.names())
    return asked.method in names or asked.method in STOCHASTIC


def by_engine(asked: Asked, analysis: Analysis) -> bool:
    """Whether the built-in engine solves the model: it is asked for, or nothing is and no other method fits."""
    if asked.method is not None:
        return of_engine(asked)
    return bool(analysis.refusal) and engine_stages().takes(analysis)


def perhaps_large(asked: Asked, analysis: Analysis) -> bool:
    """Whether a model may be too large for any method that writes it out: by the engine, or smooth and convex."""
    if by_engine(asked, analysis):
        return True
    smooth = analysis.convexity == "convex" and analysis.smoothness in ("smooth", "C1")
    return smooth and asked.method is None and not asked.options and not analysis.model.constraints


def engine_stages() -> Any:
    """The stages of the engine's route, loaded for the models that take it."""
    return import_module("optdsl.answer.local")


def refuse(model: Model, analysis: Analysis) -> None:
    """Raises NotSolvable for a model that no method of this version takes."""
    if analysis.refusal:
        kind = {"type": analysis.type, "convexity": analysis.convexity, "smoothness": analysis.smoothness}
        raise NotSolvable(*analysis.refusal, model=model.name, problem_class=kind)


def route_of(choice: Choice, raw: RawAnswer | None = None) -> Route:
    """The choice as the answer names it; the solver is the one that gave the answer."""
    return Route(choice.method, raw.solver if raw is not None else choice.solver, choice.why)


def told_route(route: Route, analysis: Analysis) -> Route:
    """A route with what is done before the solver's turn."""
    if analysis.eliminated is None:
        return route
    names = [d.variable for d in analysis.eliminated.reduction.definitions if d.constraint is not None]
    if not names:
        return route
    one = len(names) == 1
    listed = ", ".join(f"`{n}`" for n in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return replace(route, why=f"{route.why}; {listed} {'is' if one else 'are'} put in place by what defines "
                              f"{'it' if one else 'them'}")  # fmt: skip


def model_name(source_name: str) -> str:
    """What the answer calls the model: `diet` for `plans/diet.opt`, `model` for a text without a file."""
    if source_name.startswith("<"):
        return "model"
    return Path(source_name).stem or source_name
