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


@dataclass(frozen=True, slots=True)
class Choice:
    """A method of the engine and the reason for it."""

    name: str
    why: str


def names() -> tuple[str, ...]:
    """The names of the engine's methods."""
    return tuple(row.name for row in table.METHODS)


def options_of(name: str) -> tuple[Option, ...]:
    """The options of a method, as `optdsl methods` lists them."""
    row = table.row_of(name)
    own = tuple(Option(o.name, o.kind, o.default, o.what, o.words, o.least, o.most) for o in row.options)
    return (*own, MOST_ITERATIONS)


def choose_method(problem: ModelProblem, asked: str | None) -> Choice:
    """The method for a problem: the one asked for, else the one that fits.

    Raises OptionError where the one asked for cannot take it.
    """
    has = table.attributes_of(problem)
    if asked is None:
        found = table.choose(has)
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
    row = table.row_of(choice.name)
    values = read_options(dict(options), options_of(choice.name), choice.name)
    values.pop(MOST_ITERATIONS.name)
    made: Method[Any] = row.factory(**values)
    return made
