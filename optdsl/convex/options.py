"""The options of a solver as data, and the reading of what a user gave for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from optdsl.errors import Diagnostic, OptionError, closest

Kind = Literal["number", "count", "word", "flag", "name", "rate"]
"""`name`: of a set or a named expression; `rate`: a number over time, as its text: `auto`, `cosine(1e-3)`."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its name, kind, value when not given, one sentence, and what values are allowed."""

    name: str
    kind: Kind
    default: float | int | str | bool | None
    what: str
    words: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf


def read_options(given: Mapping[str, Any], known: tuple[Option, ...], owner: str) -> dict[str, Any]:
    """Values of all `known` options, defaults filled in. Raises OptionError with all mistakes together."""
    values: dict[str, Any] = {option.name: option.default for option in known}
    by_name = {option.name: option for option in known}
    mistakes: list[Diagnostic] = []
    for name, value in given.items():
        if name not in by_name:
            mistakes.append(_unknown(name, known, owner))
            continue
        read = _read(value, by_name[name])
        if read is None:
            mistakes.append(_unreadable(name, value, by_name[name], owner))
        else:
            values[name] = read
    if mistakes:
        raise OptionError(*mistakes)
    return values


def allowed(option: Option) -> str:
    """The values of an option in words."""
    if option.kind == "word":
        return "one of " + ", ".join(option.words)
    if option.kind == "flag":
        return "true or false"
    if option.kind == "name":
        return "a name"
    if option.kind == "rate":
        return "a number, auto, or a schedule such as cosine(1e-3, warmup = 100)"
    noun = "a number" if option.kind == "number" else "a whole number"
    if math.isfinite(option.least) and math.isfinite(option.most):
        return f"{noun} from {option.least:g} to {option.most:g}"
    if math.isfinite(option.least):
        return f"{noun} of at least {option.least:g}"
    return noun


def _read(value: Any, option: Option) -> float | int | str | bool | None:
    if option.kind == "word":
        found = {word.lower(): word for word in option.words}
        return found.get(str(value).lower())
    if option.kind == "name":
        return str(getattr(value, "name", value)) or None
    if option.kind == "rate":
        return value if isinstance(value, str) else repr(value)
    if option.kind == "flag":
        return {"true": True, "false": False, "on": True, "off": False}.get(str(value).lower())
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if not option.least <= number <= option.most:
        return None
    if option.kind == "number":
        return number
    return int(number) if number == math.floor(number) and math.isfinite(number) else None


def _unknown(name: str, known: tuple[Option, ...], owner: str) -> Diagnostic:
    names = [option.name for option in known]
    near = closest(name, names)
    hint = f"did you mean `{near}`?" if near else f"its options are {', '.join(names)}"
    return Diagnostic("unknown-option", f"{owner} has no option `{name}`", hint=hint)


def _unreadable(name: str, value: Any, option: Option, owner: str) -> Diagnostic:
    hint = f"`{name}` is {allowed(option)}: {option.what}"
    if option.kind == "word" and (near := closest(str(value), option.words)):
        hint = f"did you mean `{near}`? " + hint
    return Diagnostic("bad-option-value", f"{value!r} is not a value for option `{name}` of {owner}", hint=hint)
