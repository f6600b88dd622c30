"""Monotone functions turned around, to the last bit, jumps included."""

from __future__ import annotations

import struct
from collections.abc import Callable


def extreme_argument(
    function: Callable[[float], float], level: float, sign: float, low: float, high: float, *, largest: bool
) -> float | None:
    """The largest (smallest) argument in [low, high] where a monotone function is <= level (sign 1) or >= (sign -1).

    None where it is so nowhere. The function must be so on a part of the interval that ends at `low` when the largest
    is sought, else at `high`. Halves the floating-point numbers: at most 64 steps, whatever the function's scale.
    """

    def holds(at: float) -> bool:
        return sign * function(at) <= sign * level

    inside, outside = (low, high) if largest else (high, low)
    if holds(outside):
        return outside
    if not holds(inside):
        # an end may be outside the domain, as 0 is of a logarithm
        inside = _number(_order(inside) + (1 if largest else -1))
        if not holds(inside):
            return None
    good, bad = _order(inside), _order(outside)
    while abs(bad - good) > 1:
        middle = (good + bad) // 2
        if holds(_number(middle)):
            good = middle
        else:
            bad = middle
    return _number(good)


def _order(value: float) -> int:
    """The place of a float among all floats in rising order."""
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _number(place: int) -> float:
    """The float at a place."""
    bits = place if place >= 0 else -place | -0x8000_0000_0000_0000
    return float(struct.unpack("<d", struct.pack("<q", bits))[0])
