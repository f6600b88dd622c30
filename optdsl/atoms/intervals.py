"""Interval arithmetic for the rows: sound, entry by entry, at ease with infinite ends.

Results of floating-point work are widened outward by `MARGIN` relative (256 units in the last place, above the
error of any kernel used here) and by the smallest normal number, so that no value of a kernel falls outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optdsl.atoms.atom import Array, Interval, Smoothness

MARGIN = 256 * float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)

Raw = Callable[..., Any]


def interval(lo: Any, hi: Any) -> Interval:
    """The interval with these ends, as float arrays."""
    return Interval(np.asarray(lo, dtype=np.float64), np.asarray(hi, dtype=np.float64))


def point(value: Any) -> Interval:
    """The interval that holds one number (entry by entry)."""
    value = np.asarray(value, dtype=np.float64)
    return Interval(value, value)


def interior(box: Interval) -> Interval:
    """The box without its ends: each moved inward to the next number. A point stays as it is."""
    inner = Interval(np.nextafter(box.lo, np.inf), np.nextafter(box.hi, -np.inf))
    keep = box.lo >= box.hi
    return Interval(np.where(keep, box.lo, inner.lo), np.where(keep, box.hi, inner.hi))


def intersect(box: Interval, low: Any, high: Any) -> Interval:
    """The part of the box between `low` and `high`; `lo > hi` where there is none."""
    return Interval(np.maximum(box.lo, low), np.minimum(box.hi, high))


def hull(*values: Any) -> Interval:
    """The smallest interval around all values, exact; the whole line where one is nan."""
    stacked = np.stack(np.broadcast_arrays(*[np.asarray(value, dtype=np.float64) for value in values]))
    lo, hi = stacked.min(axis=0), stacked.max(axis=0)
    return Interval(np.where(np.isnan(lo), -np.inf, lo), np.where(np.isnan(hi), np.inf, hi))


def outward(lo: Any, hi: Any, floor: float = -np.inf, ceiling: float = np.inf) -> Interval:
    """Computed ends, widened against rounding but not beyond the function's own `floor` and `ceiling`."""
    with np.errstate(all="ignore"):
        lo = np.asarray(lo, dtype=np.float64)
        hi = np.asarray(hi, dtype=np.float64)
        # A computed end at +inf (-inf) may stand for a number too large to hold: step back to the largest one.
        lower = np.where(lo == np.inf, np.finfo(np.float64).max, lo - (MARGIN * np.abs(lo) + _TINY))
        upper = np.where(hi == -np.inf, np.finfo(np.float64).min, hi + (MARGIN * np.abs(hi) + _TINY))
        lower = np.where(np.isnan(lower), -np.inf, lower)
        upper = np.where(np.isnan(upper), np.inf, upper)
    return Interval(np.clip(lower, floor, ceiling), np.clip(upper, floor, ceiling))


def whole_where(missed: Any, box: Interval) -> Interval:
    """The whole line where the domain is missed altogether, the box elsewhere."""
    return Interval(np.where(missed, -np.inf, box.lo), np.where(missed, np.inf, box.hi))


def line(*boxes: Interval) -> Interval:
    """The whole line, in the shape the boxes broadcast to."""
    shape = np.broadcast_shapes(*(np.shape(box.lo) for box in boxes))
    return Interval(np.full(shape, -np.inf), np.full(shape, np.inf))


def times(a: Interval, b: Interval) -> Interval:
    """The product; 0 times an infinite end counts as 0, since the ends are limits of numbers."""
    with np.errstate(all="ignore"):
        corners = [x * y for x in a for y in b]
    corners = [np.where(np.isnan(corner), 0.0, corner) for corner in corners]
    bounds = hull(*corners)
    return outward(bounds.lo, bounds.hi)


def plus(a: Interval, b: Interval) -> Interval:
    """The sum; an end that is computed without rounding stays as it is."""
    with np.errstate(all="ignore"):
        lo, hi = a.lo + b.lo, a.hi + b.hi
        box = outward(lo, hi)
        kept = _sums_exactly(a.lo, b.lo, lo), _sums_exactly(a.hi, b.hi, hi)
    return Interval(np.where(kept[0], lo, box.lo), np.where(kept[1], hi, box.hi))


def _sums_exactly(a: Array, b: Array, total: Array) -> Array:
    """Where a + b = total without rounding (Knuth's TwoSum)."""
    share = total - a
    return (a - (total - share)) + (b - share) == 0


def minus(a: Interval, b: Interval) -> Interval:
    """The difference."""
    with np.errstate(all="ignore"):
        return outward(a.lo - b.hi, a.hi - b.lo)


def absolute(a: Interval) -> Interval:
    """Magnitudes, exact."""
    largest = np.maximum(np.abs(a.lo), np.abs(a.hi))
    smallest = np.where((a.lo <= 0) & (a.hi >= 0), 0.0, np.minimum(np.abs(a.lo), np.abs(a.hi)))
    return Interval(smallest, largest)


def squared(a: Interval) -> Interval:
    """Squares."""
    size = absolute(a)
    with np.errstate(all="ignore"):
        return outward(size.lo * size.lo, size.hi * size.hi, floor=0.0)


# Rules for functions of one argument -----------------------------------------------------------------------------


def increasing(raw: Raw, low: float = -np.inf, high: float = np.inf, floor: float = -np.inf,
               ceiling: float = np.inf) -> Callable[..., Interval]:
    """The range rule of an increasing function on [low, high]; `raw` gives limits at the ends."""

    def rule(x: Interval, *data: Interval) -> Interval:
        values = [d.lo for d in data]
        with np.errstate(all="ignore"):
            lo = raw(np.clip(x.lo, low, high), *values)
            hi = raw(np.clip(x.hi, low, high), *values)
        box = outward(lo, hi, floor, ceiling)
        exact = Interval(np.where(_is_root(x.lo, lo), 0.0, box.lo), np.where(_is_root(x.hi, hi), 0.0, box.hi))
        return whole_where((x.hi < low) | (x.lo > high), exact)

    return rule


def _is_root(x: Array, value: Array) -> Array:
    """Where a function is 0 without rounding: the roots of the rows' functions are at 0 or 1 (log 1 = 0)."""
    return (value == 0) & ((x == 0) | (x == 1))


def decreasing(raw: Raw, low: float = -np.inf, high: float = np.inf, floor: float = -np.inf,
               ceiling: float = np.inf) -> Callable[..., Interval]:
    """The range rule of a decreasing function on [low, high]; `raw` gives limits at the ends."""

    def rule(x: Interval) -> Interval:
        with np.errstate(all="ignore"):
            lo = raw(np.clip(x.hi, low, high))
            hi = raw(np.clip(x.lo, low, high))
        return whole_where((x.hi < low) | (x.lo > high), outward(lo, hi, floor, ceiling))

    return rule


def turning(raw: Raw, at: float, valley: bool, low: float = -np.inf, floor: float = -np.inf,
            ceiling: float = np.inf) -> Callable[..., Interval]:
    """The range rule of a function on [low, inf) with one turning point, a valley or a crest."""

    def rule(x: Interval, *data: Interval) -> Interval:
        values = [d.lo for d in data]
        left, right = np.maximum(x.lo, low), np.maximum(x.hi, low)
        with np.errstate(all="ignore"):
            ends = hull(raw(left, *values), raw(right, *values))
            turn = raw(np.asarray(at), *values)
        holds_turn = (left <= at) & (right >= at)
        if valley:
            bounds = outward(np.where(holds_turn, turn, ends.lo), ends.hi, floor, ceiling)
        else:
            bounds = outward(ends.lo, np.where(holds_turn, turn, ends.hi), floor, ceiling)
        return whole_where(x.hi < low, bounds)

    return rule


def by_pieces(x: Interval, breaks: tuple[Any, ...], signs: tuple[Any, ...], kinks: tuple[float, ...] = ()) -> Array:
    """The sign that all pieces met by the box share, 0 pieces aside; nan where they differ.

    `signs[k]` holds between `breaks[k - 1]` and `breaks[k]`; `kinks[k]` is what a box with `breaks[k]` strictly
    inside adds (0: nothing). A box that only touches a break does not meet the piece beyond it.
    """
    shape = np.broadcast_shapes(x.lo.shape, x.hi.shape, *(np.shape(b) for b in breaks), *(np.shape(s) for s in signs))
    up = np.zeros(shape, dtype=bool)
    down = np.zeros(shape, dtype=bool)
    unknown = np.zeros(shape, dtype=bool)
    edges = (-np.inf, *breaks, np.inf)
    for sign, left, right in zip(signs, edges[:-1], edges[1:], strict=True):
        met = (x.hi > left) & (x.lo < right)
        up |= met & np.greater(sign, 0)
        down |= met & np.less(sign, 0)
        unknown |= met & np.isnan(sign)
    for kink, edge in zip(kinks, breaks, strict=False):
        inside = (x.lo < edge) & (x.hi > edge)
        up |= inside & (kink > 0)
        down |= inside & (kink < 0)
    sign = np.where(up, np.where(down, np.nan, 1.0), np.where(down, -1.0, 0.0))
    sign = np.where(unknown, np.nan, sign)
    return np.where(x.is_point, 0.0, sign)


def signs(breaks: tuple[Any, ...], values: tuple[Any, ...], kinks: tuple[float, ...] = ()) -> Callable[..., Array]:
    """`by_pieces` as a curvature rule."""
    return lambda x: by_pieces(x, breaks, values, kinks)


def slopes(breaks: tuple[Any, ...], values: tuple[Any, ...]) -> Callable[..., tuple[Array, ...]]:
    """`by_pieces` as the slope rule of a function of one argument."""
    return lambda x: (by_pieces(x, breaks, values),)


def half_periods(x: Interval, offset: float) -> Array:
    """+1 where the box lies in [offset + k*pi, offset + (k+1)*pi] with k even, -1 with k odd, nan otherwise.

    Ends within 4 units in the last place of such a point count as at it, since pi itself is rounded.
    """
    with np.errstate(all="ignore"):
        number = np.floor((0.5 * x.lo + 0.5 * x.hi - offset) / np.pi)
        slack = 4 * np.finfo(np.float64).eps * np.maximum(1.0, np.maximum(np.abs(x.lo), np.abs(x.hi)))
        inside = (x.lo >= offset + number * np.pi - slack) & (x.hi <= offset + (number + 1) * np.pi + slack)
        sign = np.where(np.mod(number, 2) == 0, 1.0, -1.0)
    return np.where(x.is_point, 0.0, np.where(inside, sign, np.nan))


# Smoothness rules ------------------------------------------------------------------------------------------------


def always(level: Smoothness) -> Callable[..., NDArray[np.int64]]:
    """The smoothness rule of a function that is equally smooth everywhere."""

    def rule(*boxes: Interval) -> NDArray[np.int64]:
        return np.full(np.broadcast_shapes(*(np.shape(box.lo) for box in boxes)), int(level), dtype=np.int64)

    return rule


def graded(trouble: Any, level: Smoothness) -> NDArray[np.int64]:
    """`level` where there is trouble, smooth elsewhere."""
    return np.where(trouble, int(level), int(Smoothness.SMOOTH))


def broken_at(*places: float, level: Smoothness) -> Callable[..., NDArray[np.int64]]:
    """The smoothness rule of a function with kinks (or jumps) at these places: a box strictly around one has it.

    A box on one side sees a smooth function, even when it touches the place.
    """
    return lambda x: graded(np.any([(x.lo < at) & (x.hi > at) for at in places], axis=0), level)


def singular_at(place: float, level: Smoothness) -> Callable[..., NDArray[np.int64]]:
    """The smoothness rule of a function that is singular at a place: a box that reaches it is affected."""
    return lambda x: graded((x.lo <= place) & (x.hi >= place), level)


def rough_up_to(place: float, level: Smoothness) -> Callable[..., NDArray[np.int64]]:
    """The smoothness rule of a function on [place, inf) that is singular at its end."""
    return lambda x: graded(x.lo <= place, level)
