"""Several mistakes at once: parts that are independent of each other are all tried, and each mistake is told once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from optdsl.errors import DataError, Diagnostic, ModelError, OptError

MOST = 20  # mistakes that one report shows

Part = TypeVar("Part")
Result = TypeVar("Result")


def each_of(parts: Iterable[Part], action: Callable[[Part], Result]) -> list[Result]:
    """`action` of every part; the mistakes of all of them are raised together."""
    results: list[Result] = []
    errors: list[OptError] = []
    for part in parts:
        try:
            results.append(action(part))
        except OptError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        kind = DataError if all(isinstance(error, DataError) for error in errors) else ModelError
        raise kind(*(diagnostic for error in errors for diagnostic in error.diagnostics))
    return results


def reported(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The mistakes in the order of the text, each once: what is said several times counts its places."""
    ordered = sorted(diagnostics, key=lambda d: d.span.start if d.span is not None else -1)
    places: dict[tuple[object, ...], list[Diagnostic]] = {}
    for diagnostic in ordered:
        alike = places.setdefault((diagnostic.code, diagnostic.message, diagnostic.place), [])
        if all(other.span != diagnostic.span for other in alike):
            alike.append(diagnostic)
    told = [_counted(alike) for alike in places.values()]
    if len(told) > MOST:
        rest = len(told) - MOST
        last = told[MOST - 1]
        note = f"{rest} more mistake{'s are' if rest > 1 else ' is'} not shown"
        told[MOST - 1 :] = [replace(last, notes=(*last.notes, note))]
    return told


def _counted(alike: Sequence[Diagnostic]) -> Diagnostic:
    first, *others = alike
    if not others:
        return first
    lines = sorted({other.span.line for other in others if other.span is not None})
    where = ", ".join(map(str, lines[:5])) + (" ..." if len(lines) > 5 else "")
    note = f"again on line{'s' if len(lines) > 1 else ''} {where}"
    return replace(first, notes=(*first.notes, note))
