"""The methods of the language: what each takes, its options, and what is said about a name that is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optdsl.convex.choose import SOLVERS
from optdsl.convex.choose import options_of as solver_options
from optdsl.convex.options import Option, read_options
from optdsl.errors import Diagnostic, OptionError, Source, Span, closest

if TYPE_CHECKING:
    from optdsl.methods import table

SOLVER_METHODS = tuple(dict.fromkeys(entry.method for entry in SOLVERS))
"""The methods that hand a model to solvers; all others are the engine's, which is loaded where one of them is meant."""

AUTOMATIC = "auto"
"""The word for no method in particular: the one that fits is chosen."""

_WHAT = {
    "highs": "HiGHS, called directly: simplex, interior point, branch and bound",
    "cvxpy": "the solvers that CVXPY reaches",
    "outer": "outer approximation: HiGHS on linear programs with integers and cuts, Clarabel on cones in between",
}


@dataclass(frozen=True, slots=True)
class Method:
    """A method of this version: what it is, its solvers, the classes it takes, its guarantee, its options."""

    name: str
    what: str
    solvers: tuple[str, ...]
    classes: tuple[str, ...]
    default_for: tuple[str, ...]
    guarantee: str
    options: tuple[Option, ...]
    source: str = ""
    choose_when: str = ""


def methods() -> tuple[Method, ...]:
    """The methods of this version: those of the solvers, then the engine's own."""
    return (
        *(_method(name) for name in SOLVER_METHODS),
        *(_engine_method(name) for name in _engine_methods()),
        *(_composite_method(name) for name in _composite_methods()),
        *(_stochastic_method(name) for name in _stochastic_methods()),
    )


def _composite_methods() -> tuple[str, ...]:
    from optdsl.answer import composite_methods

    return composite_methods.names()


def _stochastic_methods() -> tuple[str, ...]:
    from optdsl.answer import stochastic_methods

    return stochastic_methods.names()


def _stochastic_method(name: str) -> Method:
    from optdsl.methods.stochastic import table

    row = table.row_of(name)
    return Method(
        name=name,
        what=row.what,
        solvers=("optdsl",),
        classes=("sums over the members of a set", "bounds", "constraints"),
        default_for=(),
        guarantee="none",
        options=options_of(name),
        source=row.source,
        choose_when=row.choose_when,
    )


def _composite_method(name: str) -> Method:
    from optdsl.methods.composite import table

    row = table.row_of(name)
    return Method(
        name=name,
        what=row.what,
        solvers=("optdsl",),
        classes=row.takes,
        default_for=(),
        guarantee="global",
        options=options_of(name),
        source=row.source,
        choose_when=row.choose_when,
    )


def _engine_methods() -> tuple[str, ...]:
    from optdsl.answer import engine_methods

    return engine_methods.names()


def _engine_method(name: str) -> Method:
    from optdsl.methods import table

    if name == "multistart":
        return Method(
            name=name,
            what="a method that fits, from many starts",
            solvers=("optdsl",),
            classes=("whatever the method that fits takes",),
            default_for=(),
            guarantee="local",
            options=options_of(name),
            source="Sobol 1967; Owen 1998",
            choose_when="there are many valleys, and the best of several is wanted",
        )
    row = table.row_of(name)
    return Method(
        name=name,
        what=row.what,
        solvers=("optdsl",),
        classes=_taken(row.takes),
        default_for=(),
        guarantee=row.guarantee,
        options=options_of(name),
        source=row.source,
        choose_when=row.choose_when,
    )


def _taken(takes: table.Takes) -> tuple[str, ...]:
    """What a method of the engine copes with, in words."""
    words = (
        (True, "functions with kinks and jumps" if takes.kinks else "smooth functions"),
        (takes.bounds, "bounds"),
        (takes.rows, "constraints" if takes.equalities else "inequalities"),
        (takes.simple_rows, "sums to a total and distances to a center"),
        (takes.needs_residuals, "sums of squares only"),
        (takes.needs_hessian, "second derivatives needed"),
        (takes.most_variables < math.inf, f"up to {takes.most_variables:g} variables"),
    )
    return tuple(word for holds, word in words if holds)


def options_of(name: str) -> tuple[Option, ...]:
    """The options of a method."""
    if name in SOLVER_METHODS:
        return solver_options(name)
    from optdsl.answer import composite_methods, engine_methods, stochastic_methods

    if name in composite_methods.names():
        return composite_methods.options_of(name)
    if name in stochastic_methods.names():
        return stochastic_methods.options_of(name)
    return engine_methods.options_of(name)


def _method(name: str) -> Method:
    entries = [entry for entry in SOLVERS if entry.method == name]
    return Method(
        name=name,
        what=_WHAT[name],
        solvers=tuple(entry.solver for entry in entries),
        classes=tuple(dict.fromkeys(kind for entry in entries for kind in entry.classes)),
        default_for=tuple(dict.fromkeys(kind for entry in entries for kind in entry.default_for)),
        guarantee="global",
        options=options_of(name),
    )


def available() -> tuple[str, ...]:
    """The names of the methods of this version."""
    return (*SOLVER_METHODS, *_engine_methods(), *_composite_methods(), *_stochastic_methods())


def check_method(name: str, span: Span | None = None, source: Source | None = None) -> None:
    """Raises OptionError for a name that is no method's."""
    if name in SOLVER_METHODS or name == AUTOMATIC or name in available():
        return
    raise OptionError(unknown_method(name, span, source))


def unknown_method(name: str, span: Span | None = None, source: Source | None = None) -> Diagnostic:
    """What is said about a name that no method has."""
    have = available()
    near = closest(name, (AUTOMATIC, *have))
    hint = f"did you mean {near}?" if near else "`optdsl methods` lists all methods, and says what each takes"
    return Diagnostic("unknown-method", f"there is no method {name}", span, hint, source)


def check_options(method: str, options: Mapping[str, object]) -> None:
    """Raises OptionError for options that a method of this version does not have, or values they cannot take."""
    read_options(options, options_of(method), method)
    if "rate" in options and method in _stochastic_methods():
        from optdsl.answer import stochastic_methods

        stochastic_methods.check_rate(method, options)
