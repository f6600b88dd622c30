"""The engine's methods as the language names them: their options, the choice among them, and how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optdsl.convex.options import Option, read_options
from optdsl.engine.problem import ModelProblem
from optdsl.errors import Diagnostic, OptionError
from optdsl.methods import table
from optdsl.methods.driver import Method

MOST_ITERATIONS = Option("max_iter", "count", 3000, "most iterations", least=1)
MULTISTART = "multistart"
MULTISTART_OPTIONS = (
    Option("starts", "count", 50, "how many starts", least=1, most=1_000_000),
    Option("seed", "count", 0, "seed of the starts", least=0),
    Option("seconds", "number", 0.0, "budget for all of them; 0: none", least=0.0),
    Option("workers", "count", 0, "processes that share them; 0: as many as there are cores", least=0, most=1024),
    MOST_ITERATIONS,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A method of the engine and the reason for it."""

    name: str
    why: str
    inner: str = ""
    """The method of each start, where there are many starts."""


def names() -> tuple[str, ...]:
    """The names of the engine's methods."""
    return (*(row.name for row in table.METHODS), MULTISTART)


def options_of(name: str) -> tuple[Option, ...]:
    """The options of a method, as `optdsl methods` lists them."""
    if name == MULTISTART:
        return MULTISTART_OPTIONS
    row = table.row_of(name)
    own = tuple(Option(o.name, o.kind, o.default, o.what, o.words, o.least, o.most) for o in row.options)
    return (*own, MOST_ITERATIONS)


def choose_method(problem: ModelProblem, asked: str | None, jumps: bool = False) -> Choice:
    """The method for a problem: the one asked for, else the one that fits. jumps: whether functions have some.

    Raises OptionError where the one asked for cannot take it.
    """
    has = table.attributes_of(problem, smooth=not jumps)
    if asked == MULTISTART:
        inner = choose_method(problem, None, jumps)
        return Choice(MULTISTART, f"asked for; from each start {inner.name}: {inner.why}", inner.name)
    if asked is None:
        found = table.choose(has)
        reasons = table.refusals(table.row_of(found.name).takes, has)
        if reasons:
            raise OptionError(Diagnostic("method-cannot-solve", f"no method fits: {'; '.join(reasons)}"))
        if problem.edged and found.name == "trust_region":
            return Choice("ipm", "functions end where bounds are, and it stays inside until the end")
        return Choice(found.name, found.why)
    reasons = table.refusals(table.row_of(asked).takes, has)
    if reasons:
        fits = table.choose(has).name
        message = f"{asked} cannot solve this problem: {'; '.join(reasons)}"
        raise OptionError(Diagnostic("method-cannot-solve", message, hint=f"leave the method out, or use {fits}"))
    return Choice(asked, f"asked for; {table.row_of(asked).choose_when}")


def make_method(choice: Choice, options: Mapping[str, object]) -> Method[Any]:
    """The method with its options. Raises OptionError for options that it does not have."""
    values = read_options(dict(options), options_of(choice.name), choice.name)
    if choice.inner:
        return make_method(Choice(choice.inner, choice.why), {})
    row = table.row_of(choice.name)
    values.pop(MOST_ITERATIONS.name)
    made: Method[Any] = row.factory(**values)
    return made
