"""The methods of the language: which of them this version has, and what is said about the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optdsl.convex.choose import SOLVERS, options_of
from optdsl.convex.options import Option, read_options
from optdsl.errors import Diagnostic, OptionError, Source, Span, closest

AUTOMATIC = "auto"
"""The word for no method in particular: the one that fits is chosen."""

LATER: Mapping[str, str] = {
    "ipm": "a primal-dual interior-point method for smooth problems",
    "lbfgs": "a limited-memory quasi-Newton method",
    "adam": "a stochastic gradient method for training",
    "sgd": "a stochastic gradient method for training",
    "multistart": "a local method started from many points",
}
"""Methods that the language names and that come with the built-in engine."""

_WHAT = {
    "highs": "HiGHS, called directly: simplex, interior point, branch and bound",
    "cvxpy": "the solvers that CVXPY reaches",
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


def methods() -> tuple[Method, ...]:
    """The methods of this version, in the order of the solver table."""
    names = tuple(dict.fromkeys(entry.method for entry in SOLVERS))
    return tuple(_method(name) for name in names)


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
    return tuple(dict.fromkeys(entry.method for entry in SOLVERS))


def check_method(name: str, span: Span | None = None, source: Source | None = None) -> None:
    """Raises OptionError for a name that the language does not have, or whose method is not in this version."""
    have = available()
    if name in have or name == AUTOMATIC:
        return
    if name in LATER:
        raise OptionError(later_method(name, span, source))
    raise OptionError(unknown_method(name, span, source))


def later_method(name: str, span: Span | None = None, source: Source | None = None) -> Diagnostic:
    """What is said about a method that the language has and this version has not."""
    return Diagnostic(
        "method-not-available",
        f"the method {name} ({LATER[name]}) arrives with the built-in engine and is not in this version",
        span,
        f"leave the method out, or use one of {', '.join(available())}; `optdsl methods` says what each takes",
        source,
    )


def unknown_method(name: str, span: Span | None = None, source: Source | None = None) -> Diagnostic:
    """What is said about a name that no method has."""
    have = available()
    near = closest(name, (AUTOMATIC, *have, *LATER))
    hint = f"did you mean {near}?" if near else f"there are {', '.join(have)}; `optdsl methods` says what each takes"
    return Diagnostic("unknown-method", f"there is no method {name}", span, hint, source)


def check_options(method: str, options: Mapping[str, object]) -> None:
    """Raises OptionError for options that a method of this version does not have, or values they cannot take."""
    read_options(options, options_of(method), method)
