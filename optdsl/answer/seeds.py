"""The seed of a solve: of the starts that a model draws, and of a method that takes one."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

from optdsl.answer.methods import options_of
from optdsl.errors import Diagnostic, OptionError


def checked_seed(seed: object) -> int:
    """A seed that a caller gives. Raises OptionError for anything but a whole number from 0 on."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        hint = "give a whole number from 0 on; the same seed gives the same starts"
        raise OptionError(Diagnostic("bad-seed", f"a seed of {seed!r} is not possible", hint=hint))
    return int(seed)


def seed_among(options: Mapping[str, Any] | None) -> int | None:
    """The seed in a caller's options of the method, where it is one; the method itself tells what is wrong with it."""
    given = str((options or {}).get("seed", "")).strip()
    return int(given) if given.isdecimal() else None


def options_with_seed(method: str | None, options: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    """A method's options, with the caller's seed as its own where it takes one."""
    if seed is None or method is None or all(option.name != "seed" for option in options_of(method)):
        return dict(options)
    return {**options, "seed": seed}
