"""How numbers are printed for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

DIGITS = 6
NOTHING = 1e-11
"""Magnitudes up to this print as 0: solvers' tolerances are coarser by far."""

PLAIN = (1e-4, 1e12)
"""Magnitudes in this range are printed without an exponent."""


NOISE = 1e-6
FAR_BELOW = 1e-7
"""In a table, magnitudes up to `NOISE` that are this far below its largest are printed as 0, too."""


def without_noise(values: np.ndarray) -> np.ndarray:
    """The values with 0 for what only a solver's tolerance can have left there."""
    if values.dtype == object:
        return values  # texts
    with np.errstate(invalid="ignore"):
        size = np.abs(values)
        largest = float(size[np.isfinite(size)].max(initial=0.0))
        return np.where(size <= max(NOTHING, min(NOISE, FAR_BELOW * largest)), 0.0, values)


def number_text(value: float | None, digits: int = DIGITS) -> str:
    """A number with `digits` significant digits: `0.333333`, `12`, `1234568`, `2.5e-07`, `-` for None and NaN.

    Whole numbers have no decimals, tiny ones are 0; digits before the point are never rounded away.
    """
    if value is None or value != value:
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    if size <= NOTHING:
        return "0"
    if not PLAIN[0] <= size < PLAIN[1]:
        return _scientific(value, digits)
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scientific(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"


def value_text(value: float | str | None) -> str:
    """An entry of what `show` asks for: a number, or a text as it is."""
    return value if isinstance(value, str) else number_text(value)


def residual_text(value: float | None) -> str:
    """A residual or a gap, where only the magnitude matters: `2e-09`, `0`, `-`."""
    if value is None or value != value:
        return "-"
    return "0" if value == 0 else f"{value:.0e}"


def seconds_text(seconds: float) -> str:
    """A duration: `0.12 s`, `3.4 s`, `2 min 05 s`."""
    if seconds < 9.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def point_aligned(texts: Sequence[str]) -> list[str]:
    """The same texts padded to one width, with their decimal points above each other."""
    parts = [_at_point(text) for text in texts]
    left = max((len(head) for head, _ in parts), default=0)
    right = max((len(tail) for _, tail in parts), default=0)
    return [head.rjust(left) + tail.ljust(right) for head, tail in parts]


def _at_point(text: str) -> tuple[str, str]:
    for mark in (".", "e"):
        head, found, tail = text.partition(mark)
        if found and head.lstrip("-").isdigit():
            return head, found + tail
    return text, ""


def rounded(value: float) -> str:
    """One significant digit, as in an advice: `0.05`, `2e-06`."""
    return f"{float(f'{value:.1g}'):g}"
