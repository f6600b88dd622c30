"""`optdsl fmt`: files in the one canonical layout."""

from __future__ import annotations

import difflib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from optdsl.answer.inputs import STANDARD_INPUT, read_model
from optdsl.cli.console import write_error, write_out
from optdsl.errors import DataError, Diagnostic, OptError, OptionError

CLEAN, WOULD_CHANGE = 0, 1


@dataclass(frozen=True, slots=True)
class Formatted:
    """A file before and after."""

    argument: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after


@click.command("fmt", no_args_is_help=False)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Write nothing; end with code 1 if a file is not in the canonical layout.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
@click.option("--stdout", is_flag=True, help="Print the result instead of writing the file.")
def command(models: tuple[str, ...], check: bool, diff: bool, stdout: bool) -> int:
    """Rewrite model files in the one canonical layout.

    Comments are kept and the meaning never changes. Each file is written beside its place and renamed. With
    - the model is read from standard input and printed.

    \b
    optdsl fmt diet.opt              rewrite the file
    optdsl fmt *.opt --check         for continuous integration
    optdsl fmt diet.opt --diff       see what would change
    cat diet.opt | optdsl fmt -      as a filter, for editors
    """
    mistakes: list[Diagnostic] = []
    results = []
    for model in models:
        try:
            results.append(_formatted(model))
        except OptError as error:
            mistakes += error.diagnostics
    for result in results:
        try:
            _deliver(result, check=check, diff=diff, stdout=stdout)
        except OptError as error:
            mistakes += error.diagnostics
    if mistakes:
        raise OptionError(*mistakes)
    return WOULD_CHANGE if check and any(result.changed for result in results) else CLEAN


def _formatted(argument: str) -> Formatted:
    from optdsl.language import format_text

    given = read_model(argument)
    return Formatted(argument, given.text, format_text(given.text, given.name))


def _deliver(result: Formatted, *, check: bool, diff: bool, stdout: bool) -> None:
    if diff:
        if result.changed:
            write_out(_difference(result))
    elif check:
        if result.changed:
            write_error(f"{result.argument} is not in the canonical layout")
    elif stdout or result.argument == STANDARD_INPUT:
        write_out(result.after.removesuffix("\n"))
    elif result.changed:
        _replace(Path(result.argument), result.after)
        write_error(f"{result.argument} rewritten")


def _difference(result: Formatted) -> str:
    before, after = result.before.splitlines(), result.after.splitlines()
    lines = list(difflib.unified_diff(before, after, result.argument, f"{result.argument} (formatted)", lineterm=""))
    return "\n".join(lines) if lines else f"{result.argument}: only line ends differ"


def _replace(path: Path, text: str) -> None:
    """Writes a file beside its place, with the same permissions, and renames it; a link keeps pointing to it."""
    place = path.resolve()
    beside = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
        beside = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        beside.chmod(place.stat().st_mode & 0o7777)
        os.replace(beside, place)
    except OSError as error:
        if beside is not None:
            beside.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        hint = "check the permissions of the file and its folder, or use --stdout"
        raise DataError(Diagnostic("cannot-write", f"cannot write {path}: {reason}", hint=hint)) from None
