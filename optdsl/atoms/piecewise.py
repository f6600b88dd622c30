"""Rows of piecewise-linear functions, of their smooth relatives and of functions with jumps."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms import graphs
from optdsl.atoms.atom import Absent, Array, Atom, Domain, Interval, MaxOf, MinOf, Smoothness
from optdsl.atoms.intervals import (
    absolute,
    broken_at,
    by_pieces,
    graded,
    hull,
    outward,
    signs,
    slopes,
)
from optdsl.atoms.rows import EVERYWHERE, entries

NONSMOOTH, DISCONTINUOUS = Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS


# max and min of two or more arguments ----------------------------------------------------------------------------


def _extreme_curvature(sign: float, *boxes: Interval) -> Array:
    """Of max (sign 1): affine where one argument is always the largest, convex otherwise. min mirrors it."""
    boxes = boxes if sign > 0 else tuple(Interval(-box.hi, -box.lo) for box in boxes)
    spread = np.broadcast_arrays(*(end for box in boxes for end in box))
    lo, hi = np.stack(spread[0::2]), np.stack(spread[1::2])
    largest_lo = lo.max(axis=0)
    contends = hi > largest_lo
    count = contends.sum(axis=0)
    alone = (count == 0) | (count == 1) & (contends & (lo >= largest_lo)).any(axis=0)
    return np.where(alone, 0.0, sign)


def _extreme_smoothness(sign: float, *boxes: Interval) -> Any:
    return graded(_extreme_curvature(sign, *boxes) != 0, NONSMOOTH)


def _extreme_slope(*boxes: Interval) -> tuple[Array, ...]:
    return tuple(np.where(box.is_point, 0.0, 1.0) for box in boxes)


def _max_range(*boxes: Interval) -> Interval:
    lo, hi = boxes[0]
    for box in boxes[1:]:
        lo, hi = np.maximum(lo, box.lo), np.maximum(hi, box.hi)
    return Interval(lo, hi)


def _min_range(*boxes: Interval) -> Interval:
    lo, hi = boxes[0]
    for box in boxes[1:]:
        lo, hi = np.minimum(lo, box.lo), np.minimum(hi, box.hi)
    return Interval(lo, hi)


def _winner(F: Any, sign: float, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """1 for the first argument that attains the extreme, 0 for the others."""
    partials = []
    for i, mine in enumerate(arguments):
        wins: Any = 1.0
        for j, other in enumerate(arguments):
            if j < i:
                wins = wins * F.select(sign * (mine - other), 1.0, 0.0)
            elif j > i:
                wins = wins * F.select(sign * (other - mine), 0.0, 1.0)
        partials.append(wins)
    return tuple(partials)


def _unit_pieces(count: int) -> list[Any]:
    return [(tuple(1.0 if j == i else 0.0 for j in range(count)), 0.0) for i in range(count)]


def _largest(*arguments: Any) -> Any:
    result = arguments[0]
    for other in arguments[1:]:
        result = np.maximum(result, other)
    return result


def _smallest(*arguments: Any) -> Any:
    result = arguments[0]
    for other in arguments[1:]:
        result = np.minimum(result, other)
    return result


# abs, sign, rounding ---------------------------------------------------------------------------------------------


def _steps_range(raw: Any) -> Any:
    return lambda x: Interval(raw(x.lo), raw(x.hi))


def _step_curvature(raw: Any) -> Any:
    """A step function is constant (affine) on a box that no jump touches, otherwise neither."""
    return lambda x: np.where(raw(x.lo) == raw(x.hi), 0.0, np.nan)


def _step_smoothness(raw: Any) -> Any:
    return lambda x: graded(raw(x.lo) != raw(x.hi), DISCONTINUOUS)


def _step_slope(raw: Any) -> Any:
    return lambda x: (np.where(raw(x.lo) == raw(x.hi), 0.0, 1.0),)


# leaky_relu, elu, huber: shape by a data argument ----------------------------------------------------------------


def _one(a: Interval) -> Array:
    """The data argument's value; nan (which makes every rule answer unknown) where it is not known exactly."""
    return np.where(a.is_point, a.lo, np.nan)


def _leaky(x: Any, a: Any) -> Any:
    return np.where(x > 0, x, np.where(np.isinf(x) & (a == 0), 0.0, a * x))


def _leaky_range(x: Interval, a: Interval) -> Interval:
    with np.errstate(all="ignore"):
        ends = hull(*(_leaky(end, _one(a)) for end in x))
    zero = (x.lo <= 0) & (x.hi >= 0)
    lo, hi = np.where(zero, np.minimum(ends.lo, 0.0), ends.lo), np.where(zero, np.maximum(ends.hi, 0.0), ends.hi)
    return outward(lo, hi)


def _leaky_curvature(x: Interval, a: Interval) -> Array:
    bent = (x.lo < 0) & (x.hi > 0)
    bend = np.sign(1.0 - _one(a))
    return np.where(x.is_point, 0.0, np.where(bent | np.isnan(bend), bend, 0.0))


def _leaky_pieces(count: int, a: Any) -> MaxOf | MinOf | None:
    a = np.asarray(a, dtype=np.float64)
    if np.all(a <= 1):
        return MaxOf(((1.0,), 0.0), ((a,), 0.0))
    if np.all(a >= 1):
        return MinOf(((1.0,), 0.0), ((a,), 0.0))
    return None


def _elu(x: Any, a: Any) -> Any:
    return np.where(x > 0, x, a * np.expm1(np.minimum(x, 0.0)))


def _elu_range(x: Interval, a: Interval) -> Interval:
    with np.errstate(all="ignore"):
        ends = hull(*(_elu(end, _one(a)) for end in x))
    zero = (x.lo <= 0) & (x.hi >= 0)
    lo, hi = np.where(zero, np.minimum(ends.lo, 0.0), ends.lo), np.where(zero, np.maximum(ends.hi, 0.0), ends.hi)
    return outward(lo, hi)


def _elu_curvature(x: Interval, a: Interval) -> Array:
    """a (e^x - 1) bends by the sign of a below 0; at 0 the slope goes from a to 1."""
    value = _one(a)
    below = np.sign(value)
    convex = (value >= 0) & (value <= 1)
    both = np.where(convex, 1.0, np.nan)
    return np.where(x.is_point | (x.lo >= 0), np.where(np.isnan(value) & ~x.is_point, np.nan, 0.0),
                    np.where(x.hi <= 0, below, both))


def _elu_smoothness(x: Interval, a: Interval) -> Any:
    bent = (x.lo < 0) & (x.hi > 0)
    level = np.where(_one(a) == 1, int(Smoothness.C1), int(NONSMOOTH))
    return np.where(bent, level, int(Smoothness.SMOOTH))


def _data_slope(x: Interval, a: Interval) -> tuple[Array, ...]:
    """Of a function with slope 1 above 0 and the sign of its data argument below."""
    return by_pieces(x, (0.0,), (np.sign(_one(a)), 1.0)), np.full(np.shape(a.lo), np.nan)


def _huber(x: Any, m: Any) -> Any:
    size = np.abs(x)
    return np.where(size <= m, size * size, m * (2.0 * size - m))


def _huber_range(x: Interval, m: Interval) -> Interval:
    size = absolute(x)
    known = np.where(m.is_point & (m.lo >= 0), m.lo, np.nan)
    with np.errstate(all="ignore"):
        return outward(_huber(size.lo, known), _huber(size.hi, known), floor=0.0)


def _huber_curvature(x: Interval, m: Interval) -> Array:
    known = _one(m)
    sign = np.where(np.isnan(known), np.nan, by_pieces(x, (-known, known), (0.0, 1.0, 0.0)))
    return np.where(x.is_point, 0.0, sign)


def _huber_smoothness(x: Interval, m: Interval) -> Any:
    """The second derivative jumps at -m and m."""
    known = _one(m)
    jumps = ((x.lo < known) & (x.hi > known)) | ((x.lo < -known) & (x.hi > -known)) | np.isnan(known)
    return graded(jumps & (known != 0), Smoothness.C1)


M_NOT_NEGATIVE = Domain("m >= 0", lambda x, m: (m >= 0) & ~np.isnan(x), None)
STEPS = Absent("a step function; CVXPY takes it in quasiconvex problems only")


def _ramp(name: str, source: str) -> Atom:
    """max(x, 0), under two names."""
    return entries(
        name=name, formula="max(x, 0)", parameters=("x",), arity=(1, 1), raw=lambda x: np.maximum(x, 0.0),
        domain=EVERYWHERE, range=lambda x: Interval(np.maximum(x.lo, 0.0), np.maximum(x.hi, 0.0)),
        slope=slopes((0.0,), (0.0, 1.0)), curvature=signs((0.0,), (0.0, 0.0), (1.0,)),
        smoothness=broken_at(0.0, level=NONSMOOTH),
        summary=("[0, inf)", "nondecreasing", "convex", "nonsmooth at 0"),
        derivative=lambda F, x: (F.select(x, 1.0, 0.0),), lowering=lambda cp, x: cp.pos(x),
        pieces=lambda count: MaxOf(((1.0,), 0.0), ((0.0,), 0.0)), quadratic_form=None,
        latex=r"\left(#1\right)_{+}", source=source, examples=(((-2.0,), 0.0), ((3.0,), 3.0)),
    )


PIECEWISE: tuple[Atom, ...] = (
    entries(
        name="abs", formula="|x|", parameters=("x",), arity=(1, 1), raw=np.abs, domain=EVERYWHERE,
        range=absolute, slope=slopes((0.0,), (-1.0, 1.0)), curvature=signs((0.0,), (0.0, 0.0), (1.0,)),
        smoothness=broken_at(0.0, level=NONSMOOTH),
        summary=("[0, inf)", "decreasing for x <= 0, increasing for x >= 0", "convex", "nonsmooth at 0"),
        derivative=lambda F, x: (F.sign(x),), lowering=lambda cp, x: cp.abs(x),
        pieces=lambda count: MaxOf(((1.0,), 0.0), ((-1.0,), 0.0)), quadratic_form=None,
        latex=r"\left|#1\right|", source="Boyd and Vandenberghe 2004, section 3.1.5", examples=(((-3.0,), 3.0),),
    ),
    entries(
        name="sign", formula="-1, 0 or 1, as x is negative, zero or positive", parameters=("x",), arity=(1, 1),
        raw=np.sign, domain=EVERYWHERE, range=_steps_range(np.sign), slope=_step_slope(np.sign),
        curvature=_step_curvature(np.sign), smoothness=_step_smoothness(np.sign),
        summary=("{-1, 0, 1}", "nondecreasing", "neither", "discontinuous at 0"),
        derivative=lambda F, x: (0.0,), lowering=STEPS, pieces=None, quadratic_form=None,
        latex=r"\operatorname{sign}\left(#1\right)", source="Kronecker 1878", examples=(((-3.0,), -1.0), ((0.0,), 0.0)),
    ),
    entries(
        name="floor", formula="the largest integer that is not above x", parameters=("x",), arity=(1, 1),
        raw=np.floor, domain=EVERYWHERE, range=_steps_range(np.floor), slope=_step_slope(np.floor),
        curvature=_step_curvature(np.floor), smoothness=_step_smoothness(np.floor),
        summary=("integers", "nondecreasing", "neither", "discontinuous at integers"),
        derivative=lambda F, x: (0.0,), lowering=STEPS, pieces=None, quadratic_form=None,
        latex=r"\left\lfloor #1 \right\rfloor", source="Iverson 1962", examples=(((-2.5,), -3.0),),
    ),
    entries(
        name="ceil", formula="the smallest integer that is not below x", parameters=("x",), arity=(1, 1),
        raw=np.ceil, domain=EVERYWHERE, range=_steps_range(np.ceil), slope=_step_slope(np.ceil),
        curvature=_step_curvature(np.ceil), smoothness=_step_smoothness(np.ceil),
        summary=("integers", "nondecreasing", "neither", "discontinuous at integers"),
        derivative=lambda F, x: (0.0,), lowering=STEPS, pieces=None, quadratic_form=None,
        latex=r"\left\lceil #1 \right\rceil", source="Iverson 1962", examples=(((-2.5,), -2.0),),
    ),
    entries(
        name="max", formula="the largest argument", parameters=("x",), arity=(2, None), raw=_largest,
        domain=EVERYWHERE, range=_max_range, slope=_extreme_slope,
        curvature=lambda *boxes: _extreme_curvature(1.0, *boxes),
        smoothness=lambda *boxes: _extreme_smoothness(1.0, *boxes),
        summary=("all numbers", "nondecreasing in each", "convex", "nonsmooth where two are equal"),
        derivative=lambda F, *x: _winner(F, 1.0, x), lowering=lambda cp, *x: cp.maximum(*x),
        pieces=lambda count: MaxOf(*_unit_pieces(count)), quadratic_form=None,
        latex=r"\max\left(#*\right)", source="Boyd and Vandenberghe 2004, section 3.2.3",
        examples=(((1.0, 3.0, 2.0), 3.0),),
    ),
    entries(
        name="min", formula="the smallest argument", parameters=("x",), arity=(2, None), raw=_smallest,
        domain=EVERYWHERE, range=_min_range, slope=_extreme_slope,
        curvature=lambda *boxes: _extreme_curvature(-1.0, *boxes),
        smoothness=lambda *boxes: _extreme_smoothness(-1.0, *boxes),
        summary=("all numbers", "nondecreasing in each", "concave", "nonsmooth where two are equal"),
        derivative=lambda F, *x: _winner(F, -1.0, x), lowering=lambda cp, *x: cp.minimum(*x),
        pieces=lambda count: MinOf(*_unit_pieces(count)), quadratic_form=None,
        latex=r"\min\left(#*\right)", source="Boyd and Vandenberghe 2004, section 3.2.3",
        examples=(((3.0, 1.0, 2.0), 1.0),),
    ),
    _ramp("pos", "Boyd and Vandenberghe 2004, section 3.2.3"),
    _ramp("relu", "Nair and Hinton 2010"),
    entries(
        name="elu", formula="x for x > 0, a (e^x - 1) otherwise", parameters=("x", "a"), arity=(2, 2),
        data_arguments=("a",), raw=_elu, domain=EVERYWHERE, range=_elu_range, slope=_data_slope,
        curvature=_elu_curvature, smoothness=_elu_smoothness,
        summary=("(-a, inf) for a >= 0", "increasing for a >= 0", "convex for 0 <= a <= 1",
                 "C1 for a = 1, otherwise nonsmooth at 0"),
        derivative=lambda F, x, a: (F.select(x, 1.0, a * F.exp(F.min(x, 0.0))), None),
        lowering=lambda cp, x, a: (
            cp.pos(x) + cp.multiply(a, cp.exp(-cp.pos(-x)) - 1)
        ),
        pieces=None, quadratic_form=None, latex=r"\operatorname{elu}\left(#1, #2\right)",
        source="Clevert, Unterthiner and Hochreiter 2016",
        examples=(((-1.0, 2.0), -1.2642411176571153), ((3.0, 2.0), 3.0)),
    ),
    entries(
        name="leaky_relu", formula="x for x > 0, a x otherwise", parameters=("x", "a"), arity=(2, 2),
        data_arguments=("a",), raw=_leaky, domain=EVERYWHERE, range=_leaky_range, slope=_data_slope,
        curvature=_leaky_curvature,
        smoothness=lambda x, a: graded((x.lo < 0) & (x.hi > 0) & (_one(a) != 1), NONSMOOTH),
        summary=("all numbers for a > 0", "nondecreasing for a >= 0", "convex for a <= 1, concave for a >= 1",
                 "nonsmooth at 0 unless a = 1"),
        derivative=lambda F, x, a: (F.select(x, 1.0, a), None),
        lowering=lambda cp, x, a: (
            cp.maximum(x, cp.multiply(a, x)) if np.all(np.asarray(a) <= 1) else cp.minimum(x, cp.multiply(a, x))
        ),
        pieces=_leaky_pieces, quadratic_form=None, latex=r"\operatorname{leaky\_relu}\left(#1, #2\right)",
        source="Maas, Hannun and Ng 2013", examples=(((-2.0, 0.1), -0.2), ((3.0, 0.1), 3.0)),
    ),
    entries(
        name="huber", graph=graphs.huber,
        formula="x^2 for |x| <= m, 2 m |x| - m^2 outside", parameters=("x", "m"), arity=(2, 2),
        data_arguments=("m",), raw=_huber, domain=M_NOT_NEGATIVE, range=_huber_range,
        slope=lambda x, m: (by_pieces(x, (0.0,), (-1.0, 1.0)), np.full(np.shape(m.lo), np.nan)),
        curvature=_huber_curvature, smoothness=_huber_smoothness,
        summary=("[0, inf)", "decreasing for x <= 0, increasing for x >= 0", "convex", "C1"),
        derivative=lambda F, x, m: (2.0 * F.max(-m, F.min(x, m)), None),
        lowering=lambda cp, x, m: cp.huber(x, m), pieces=None, quadratic_form="huber",
        latex=r"\operatorname{huber}_{#2}\left(#1\right)", source="Huber 1964",
        examples=(((0.5, 1.0), 0.25), ((-3.0, 1.0), 5.0)),
    ),
)
