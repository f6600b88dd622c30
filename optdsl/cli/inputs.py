"""Data and options of a method, as given in words on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from optdsl.errors import DataError, Diagnostic, OptionError

if TYPE_CHECKING:
    from optdsl.data.supplied import Supplied


def read_options(given: Sequence[str]) -> dict[str, str]:
    """`--opt name=value` pairs. Raises OptionError for all that have no `=`, or a name twice."""
    options: dict[str, str] = {}
    mistakes = []
    for item in given:
        name, found, value = (part.strip() for part in item.partition("="))
        if not found or not name or not value:
            mistakes.append(
                Diagnostic(
                    "bad-option-form",
                    f"--opt is not of the form name=value: {item!r}",
                    hint="for example --opt tol=1e-9",
                )
            )
        elif name in options:
            mistakes.append(
                Diagnostic("repeated-option", f"--opt {name} is given twice", hint="keep one of the two values")
            )
        options[name] = value.strip("\"'")
    if mistakes:
        raise OptionError(*mistakes)
    return options


def as_given_data(
    set_options: Sequence[str], data_options: Sequence[str]
) -> tuple[dict[str, Supplied], dict[str, str]]:
    """`--set` values and `--data` paths by name. Raises OptError for everything wrong with them at once."""
    if not set_options and not data_options:
        return {}, {}
    from optdsl.data.supplied import from_data_option, from_set_option

    mistakes: list[Diagnostic] = []
    values: dict[str, Supplied] = {}
    paths: dict[str, str] = {}
    for text in set_options:
        try:
            name, value = from_set_option(text)
        except (OptionError, DataError) as error:
            mistakes += error.diagnostics
            continue
        if name in values:
            mistakes.append(_twice("--set", name))
        values[name] = value
    for text in data_options:
        try:
            name, path = from_data_option(text, Path.cwd())
        except (OptionError, DataError) as error:
            mistakes += error.diagnostics
            continue
        if name in paths:
            mistakes.append(_twice("--data", name))
        # Paths on the command line are relative to where it is typed, those in the file to the file.
        paths[name] = str(Path(path).absolute())
    if mistakes:
        raise OptionError(*mistakes)
    return values, paths


def _twice(option: str, name: str) -> Diagnostic:
    return Diagnostic("repeated-option", f"{option} {name} is given twice", hint="keep one of the two values")
