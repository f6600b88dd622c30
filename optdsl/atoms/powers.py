"""Rows of powers and roots, with hypot and the integer divisions."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms import graphs
from optdsl.atoms.atom import Absent, Array, Atom, Domain, Interval, Smoothness
from optdsl.atoms.intervals import (
    absolute,
    always,
    by_pieces,
    graded,
    hull,
    increasing,
    outward,
    rough_up_to,
    signs,
    singular_at,
    slopes,
    squared,
    whole_where,
)
from optdsl.atoms.rows import EVERYWHERE, NO_PIECES, above, constant_sign, constant_slope, entries

SMOOTH, C1, NONSMOOTH, DISCONTINUOUS = (
    Smoothness.SMOOTH, Smoothness.C1, Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS,
)
BOYD = "Boyd and Vandenberghe 2004, section 3.1.5"


# pow(x, p): data p; an integer p is the ordinary power on all reals, another needs x >= 0 (x > 0 when negative) ---


def _is_integer(p: Any) -> Any:
    return np.floor(p) == p


def _pow_holds(x: Any, p: Any) -> Any:
    return np.where(_is_integer(p), (p >= 0) | (x != 0), (x > 0) | ((x == 0) & (p > 0))) & ~np.isnan(x + p)


def _pow_restrict(x: Interval, p: Interval) -> tuple[Interval, ...]:
    fractional = p.is_point & ~_is_integer(p.lo)
    return Interval(np.where(fractional, np.maximum(x.lo, 0.0), x.lo), x.hi), p


def _pow_range(x: Interval, p: Interval) -> Interval:
    x, p = _pow_restrict(x, p)
    exponent = np.where(p.is_point, p.lo, np.nan)
    integer, odd = _is_integer(exponent), np.mod(exponent, 2) == 1
    size = absolute(x)
    with np.errstate(all="ignore"):
        near, far = np.power(size.lo, exponent), np.power(size.hi, exponent)
        even = hull(near, far)
        # An odd power has the sign of x; a negative one has a pole at 0, whose two sides are its two limits.
        left = np.where((x.lo == 0) & (exponent < 0), np.inf, np.power(x.lo, exponent))
        right = np.where((x.hi == 0) & (exponent < 0), -np.inf, np.power(x.hi, exponent))
        both = hull(left, right)
    across = odd & (exponent < 0) & (x.lo < 0) & (x.hi > 0)
    signed = integer & odd
    lo = np.where(signed, np.where(across, -np.inf, both.lo), even.lo)
    hi = np.where(signed, np.where(across, np.inf, both.hi), even.hi)
    bounds = outward(lo, hi)
    # rounding outward must not lose a sign
    lo = np.where((signed & (x.lo < 0)) | (bounds.lo > 0), bounds.lo, 0.0)
    hi = np.where(signed & (x.hi <= 0), np.minimum(bounds.hi, 0.0), bounds.hi)
    return whole_where(np.isnan(exponent) | (x.lo > x.hi), Interval(lo, hi))


def _pow_slope(x: Interval, p: Interval) -> tuple[Array, ...]:
    x, p = _pow_restrict(x, p)
    exponent = np.where(p.is_point, p.lo, np.nan)
    odd = np.mod(exponent, 2) == 1
    right = np.sign(exponent)
    left = np.where(odd, right, -right)
    sign = by_pieces(x, (np.zeros(()),), (left, right))
    # Across the pole of an odd negative power the function falls on both sides and jumps up between them.
    across = (exponent < 0) & (x.lo < 0) & (x.hi > 0)
    sign = np.where(across & ~x.is_point, np.nan, sign)
    return np.where(np.isnan(exponent), np.nan, sign), np.full(np.shape(p.lo), np.nan)


def _pow_curvature(x: Interval, p: Interval) -> Array:
    x, p = _pow_restrict(x, p)
    exponent = np.where(p.is_point, p.lo, np.nan)
    odd = np.mod(exponent, 2) == 1
    right = np.sign(exponent * (exponent - 1.0))
    left = np.where(odd, -right, right)
    sign = by_pieces(x, (np.zeros(()),), (left, right))
    across = (exponent < 0) & (x.lo < 0) & (x.hi > 0)
    return np.where(x.is_point, 0.0, np.where(np.isnan(exponent) | across, np.nan, sign))


def _pow_smoothness(x: Interval, p: Interval) -> Any:
    exponent = np.where(p.is_point, p.lo, np.nan)
    integer = _is_integer(exponent)
    at_zero = np.where(
        exponent < 0, int(DISCONTINUOUS),
        np.where(integer, int(SMOOTH),
                 np.where(exponent < 1, int(NONSMOOTH), np.where(exponent < 2, int(C1), int(SMOOTH)))),
    )
    reached = np.where(integer, (x.lo <= 0) & (x.hi >= 0), x.lo <= 0)
    level = np.where(reached, at_zero, int(SMOOTH))
    return np.where(np.isnan(exponent), int(DISCONTINUOUS), level)


def _pow_derivative(F: Any, x: Any, p: Any) -> tuple[Any, ...]:
    return F.select(F.abs(p), p * F.pow(x, p - 1.0), 0.0), None


def _pow_quadratic(cp: Any, x: Any, p: Any) -> Any:
    """CVXPY's power: x >= 0 is understood there unless p is 0, 1 or an even integer."""
    exponents = np.unique(np.asarray(p, dtype=np.float64))
    if exponents.size != 1:
        raise ValueError("the lowering of pow takes one exponent at a time")
    return cp.power(x, float(exponents[0]))


# inv -------------------------------------------------------------------------------------------------------------


def _inv_range(x: Interval) -> Interval:
    with np.errstate(all="ignore"):
        lo = np.where(x.hi == 0, -np.inf, 1.0 / x.hi)
        hi = np.where(x.lo == 0, np.inf, 1.0 / x.lo)
    bounds = outward(lo, hi)
    bounds = Interval(np.where(x.lo >= 0, np.maximum(bounds.lo, 0.0), bounds.lo),
                      np.where(x.hi <= 0, np.minimum(bounds.hi, 0.0), bounds.hi))
    return whole_where((x.lo < 0) & (x.hi > 0) | (x.lo == 0) & (x.hi == 0), bounds)


def _inv_sign(x: Interval, right: float, left: float) -> Array:
    sign = np.where(x.lo >= 0, right, np.where(x.hi <= 0, left, np.nan))
    return np.where(x.is_point, 0.0, sign)


# hypot -----------------------------------------------------------------------------------------------------------


def _hypot_range(x: Interval, y: Interval) -> Interval:
    a, b = absolute(x), absolute(y)
    with np.errstate(all="ignore"):
        return outward(np.hypot(a.lo, b.lo), np.hypot(a.hi, b.hi), floor=0.0)


def _hypot_curvature(x: Interval, y: Interval) -> Array:
    return np.where(x.is_point & y.is_point, 0.0, 1.0)


def _at_origin(x: Interval, y: Interval) -> Any:
    return graded((x.lo <= 0) & (x.hi >= 0) & (y.lo <= 0) & (y.hi >= 0) & ~(x.is_point & y.is_point), NONSMOOTH)


def _hypot_lowering(cp: Any, x: Any, y: Any) -> Any:
    x, y = cp.Constant(x) if np.isscalar(x) else x, cp.Constant(y) if np.isscalar(y) else y
    pair = cp.vstack([cp.reshape(x, (1, x.size), order="C"), cp.reshape(y, (1, y.size), order="C")])
    return cp.reshape(cp.norm(pair, 2, axis=0), x.shape, order="C")


# mod and div -----------------------------------------------------------------------------------------------------


def _div_range(a: Interval, b: Interval) -> Interval:
    with np.errstate(all="ignore"):
        quotients = hull(*(x / y for x in a for y in b))
        bounds = outward(quotients.lo, quotients.hi)
        bounds = Interval(np.floor(bounds.lo), np.floor(bounds.hi))
    return whole_where((b.lo <= 0) & (b.hi >= 0), bounds)


def _mod_range(a: Interval, b: Interval) -> Interval:
    """Between 0 and b, on b's side."""
    return outward(np.where(b.lo >= 0, 0.0, b.lo), np.where(b.hi <= 0, 0.0, b.hi))


def _data_only(a: Interval, b: Interval) -> tuple[Array, ...]:
    return np.full(np.shape(a.lo), np.nan), np.full(np.shape(b.lo), np.nan)


def _data_curvature(a: Interval, b: Interval) -> Array:
    return np.where(a.is_point & b.is_point, 0.0, np.nan)


def _data_smoothness(a: Interval, b: Interval) -> Any:
    return graded(~(a.is_point & b.is_point), DISCONTINUOUS)


NOT_ZERO = Domain("b != 0", lambda a, b: (b != 0) & ~np.isnan(a + b), None)
DATA_ONLY = Absent("a function of data alone")


POWERS: tuple[Atom, ...] = (
    entries(
        name="sqrt", graph=graphs.sqrt,
        formula="square root of x", parameters=("x",), arity=(1, 1), raw=np.sqrt,
        domain=above(0, strict=False), range=increasing(np.sqrt, low=0.0, floor=0.0), slope=constant_slope(1.0),
        curvature=constant_sign(-1.0), smoothness=rough_up_to(0.0, NONSMOOTH),
        summary=("[0, inf)", "increasing", "concave", "smooth for x > 0"),
        derivative=lambda F, x: (0.5 * F.inv(F.sqrt(x)),), lowering=lambda cp, x: cp.sqrt(x), **NO_PIECES,
        latex=r"\sqrt{#1}", source=BOYD, examples=(((2.0,), 1.4142135623730951),),
    ),
    entries(
        name="cbrt", graph=graphs.cbrt,
        formula="cube root of x, negative for x < 0", parameters=("x",), arity=(1, 1), raw=np.cbrt,
        domain=EVERYWHERE, range=increasing(np.cbrt), slope=constant_slope(1.0),
        curvature=signs((0.0,), (1.0, -1.0)), smoothness=singular_at(0.0, NONSMOOTH),
        summary=("all numbers", "increasing", "convex for x <= 0, concave for x >= 0", "nonsmooth at 0"),
        derivative=lambda F, x: (F.inv(3.0 * F.square(F.cbrt(x))),),
        lowering=lambda cp, x: cp.power(x, 1 / 3), **NO_PIECES, latex=r"\sqrt[3]{#1}", source=BOYD,
        examples=(((-8.0,), -2.0),),
    ),
    entries(
        name="square", graph=graphs.square,
        formula="x^2", parameters=("x",), arity=(1, 1), raw=np.square, domain=EVERYWHERE,
        range=squared, slope=slopes((0.0,), (-1.0, 1.0)), curvature=constant_sign(1.0), smoothness=always(SMOOTH),
        summary=("[0, inf)", "decreasing for x <= 0, increasing for x >= 0", "convex", "smooth"),
        derivative=lambda F, x: (2.0 * x,), lowering=lambda cp, x: cp.square(x), pieces=None,
        quadratic_form="square", latex=r"\left(#1\right)^{2}", source=BOYD, examples=(((-3.0,), 9.0),),
    ),
    entries(
        name="inv", formula="1 / x", parameters=("x",), arity=(1, 1), raw=lambda x: 1.0 / x,
        domain=Domain("x != 0", lambda x: (x != 0) & ~np.isnan(x), None), range=_inv_range,
        slope=lambda x: (_inv_sign(x, -1.0, -1.0),), curvature=lambda x: _inv_sign(x, 1.0, -1.0),
        smoothness=singular_at(0.0, DISCONTINUOUS),
        summary=("all numbers but 0", "decreasing on either side of 0", "convex for x > 0, concave for x < 0",
                 "smooth off 0"),
        derivative=lambda F, x: (-F.square(F.inv(x)),), lowering=lambda cp, x: cp.inv_pos(x), **NO_PIECES,
        latex=r"\frac{1}{#1}", source=BOYD, examples=(((-4.0,), -0.25),),
    ),
    entries(
        name="pow", graph=graphs.pow,
        formula="x^p; for integer p on all numbers, for other p on x >= 0", parameters=("x", "p"),
        arity=(2, 2), data_arguments=("p",), raw=np.power,
        domain=Domain("p integer: x != 0 when p < 0; p not an integer: x >= 0, x > 0 when p < 0", _pow_holds,
                      _pow_restrict),
        range=_pow_range, slope=_pow_slope, curvature=_pow_curvature, smoothness=_pow_smoothness,
        summary=("[0, inf); all numbers for odd p", "x >= 0: by the sign of p; x <= 0: mirrored, for odd p the same",
                 "x >= 0: convex for p >= 1 or p <= 0, concave for 0 <= p <= 1; x <= 0: mirrored",
                 "smooth; at 0 nonsmooth for 0 < p < 1, C1 for 1 < p < 2, a pole for p < 0"),
        derivative=_pow_derivative, lowering=_pow_quadratic, **NO_PIECES, latex=r"\left(#1\right)^{#2}", source=BOYD,
        examples=(((-2.0, 3.0), -8.0), ((4.0, 0.5), 2.0), ((0.0, 0.0), 1.0)),
    ),
    entries(
        name="hypot", graph=graphs.hypot,
        formula="sqrt(x^2 + y^2) without overflow", parameters=("x", "y"), arity=(2, 2), raw=np.hypot,
        domain=EVERYWHERE, range=_hypot_range,
        slope=lambda x, y: (by_pieces(x, (0.0,), (-1.0, 1.0)), by_pieces(y, (0.0,), (-1.0, 1.0))),
        curvature=_hypot_curvature, smoothness=_at_origin,
        summary=("[0, inf)", "each: decreasing below 0, increasing above", "convex", "nonsmooth at (0, 0)"),
        derivative=lambda F, x, y: (x * F.inv(F.hypot(x, y)), y * F.inv(F.hypot(x, y))), lowering=_hypot_lowering,
        **NO_PIECES, latex=r"\sqrt{#1^{2} + #2^{2}}", source=BOYD, examples=(((3.0, 4.0), 5.0),),
    ),
    entries(
        name="mod", formula="a - b floor(a / b); has the sign of b", parameters=("a", "b"), arity=(2, 2),
        data_arguments=("a", "b"), raw=np.mod, domain=NOT_ZERO, range=_mod_range, slope=_data_only,
        curvature=_data_curvature, smoothness=_data_smoothness,
        summary=("from 0 to b", "none", "neither", "discontinuous at multiples of b"),
        derivative=DATA_ONLY, lowering=DATA_ONLY, **NO_PIECES, latex=r"#1 \bmod #2",
        source="Knuth 1997, section 1.2.4", examples=(((-7.0, 3.0), 2.0), ((7.0, -3.0), -2.0)),
    ),
    entries(
        name="div", formula="floor(a / b)", parameters=("a", "b"), arity=(2, 2), data_arguments=("a", "b"),
        raw=np.floor_divide, domain=NOT_ZERO, range=_div_range, slope=_data_only, curvature=_data_curvature,
        smoothness=_data_smoothness, summary=("integers", "none", "neither", "discontinuous at multiples of b"),
        derivative=DATA_ONLY, lowering=DATA_ONLY, **NO_PIECES, latex=r"\left\lfloor #1 / #2 \right\rfloor",
        source="Knuth 1997, section 1.2.4", examples=(((-7.0, 3.0), -3.0),),
    ),
)
