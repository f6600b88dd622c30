"""The methods for composite objectives as the language names them: their options, the choice, and how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optdsl.answer.engine_methods import MOST_ITERATIONS
from optdsl.convex.options import Option, read_options
from optdsl.errors import Diagnostic, OptionError
from optdsl.methods.composite import table
from optdsl.methods.composite.driver import Method
from optdsl.methods.composite.problem import Composite
from optdsl.methods.composite.table import Choice


def names() -> tuple[str, ...]:
    """The names of these methods."""
    return tuple(row.name for row in table.METHODS)


def options_of(name: str) -> tuple[Option, ...]:
    """The options of a method, as `optdsl methods` lists them."""
    own = (Option(o.name, o.kind, o.default, o.what, o.words, o.least, o.most) for o in table.row_of(name).options)
    return (*own, replace(MOST_ITERATIONS, default=most_iterations(name)))


def most_iterations(name: str) -> int:
    """The most iterations of a method unless the user says otherwise."""
    return table.row_of(name).iterations


def choose_method(problem: Composite, asked: str | None) -> Choice | None:
    """The method asked for, else the one that fits, None where none does.

    Raises OptionError where the one asked for cannot take the problem.
    """
    fits = table.choose(problem)
    if asked is None:
        return fits
    row = table.row_of(asked)
    reason = row.refuses(problem)
    if reason:
        hint = "leave the method out" + ("" if fits is None else f", or use {fits.name}")
        raise OptionError(Diagnostic("method-cannot-solve", f"{asked} cannot solve this problem: {reason}", hint=hint))
    return Choice(asked, f"asked for; {row.choose_when}")


def make_method(choice: Choice, options: Mapping[str, object]) -> Method[Any]:
    """The method with its options. Raises OptionError for options that it does not have."""
    values = read_options(dict(options), options_of(choice.name), choice.name)
    values.pop(MOST_ITERATIONS.name)
    made: Method[Any] = table.row_of(choice.name).factory(**values)
    return made
