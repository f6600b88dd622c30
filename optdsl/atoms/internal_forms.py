"""Rows that no text can name, and whose curvature was shown of the very argument that they are written with.

`quadratic_norm` and `convex_quadratic` stand around a quadratic whose matrix was found to be semidefinite;
`concave_mean` around a product of powers with exponents of at most 1 together, or a root of a sum of powers below 1.
`exp_perspective` and `hyperbolic_root` are ordinary rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms.atom import Absent, Array, Atom, Domain, Interval, Smoothness
from optdsl.atoms.intervals import (
    absolute,
    always,
    by_pieces,
    graded,
    increasing,
    intersect,
    outward,
    rough_up_to,
    whole_where,
)
from optdsl.atoms.rows import EVERYWHERE, NO_PIECES, above, constant_sign, constant_slope, entries

SMOOTH, NONSMOOTH, DISCONTINUOUS = Smoothness.SMOOTH, Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS
BOYD = "Boyd and Vandenberghe 2004"
BY_CONES = Absent("lowered by its graph")
BY_FORM = Absent("lowered by the factors of its matrix")


# y exp(x / y) ----------------------------------------------------------------------------------------------------


def _perspective_restrict(x: Interval, y: Interval) -> tuple[Interval, ...]:
    return x, intersect(y, 0.0, np.inf)


def _perspective(x: Any, y: Any) -> Any:
    """With its limits at y = 0 and y = inf."""
    value = np.where(np.isposinf(y), np.where(np.isneginf(x), 0.0, np.inf), y * np.exp(x / y))
    return np.where(y == 0, np.where(x > 0, np.inf, 0.0), value)


def _perspective_range(x: Interval, y: Interval) -> Interval:
    """It rises with x; with y it falls up to y = x and rises from there."""
    x, y = _perspective_restrict(x, y)
    with np.errstate(all="ignore"):
        low = _perspective(x.lo, np.clip(x.lo, y.lo, y.hi))
        high = np.maximum(_perspective(x.hi, y.lo), _perspective(x.hi, y.hi))
        bounds = outward(np.where(np.isnan(low), 0.0, low), np.where(np.isnan(high), np.inf, high), floor=0.0)
    return whole_where(y.hi <= 0, bounds)


def _perspective_slope(x: Interval, y: Interval) -> tuple[Array, ...]:
    x, y = _perspective_restrict(x, y)
    slope = np.where(y.lo >= x.hi, 1.0, np.where(y.hi <= x.lo, -1.0, np.nan))
    return np.where(x.is_point, 0.0, 1.0), np.where(y.is_point, 0.0, slope)


def _perspective_derivative(F: Any, x: Any, y: Any) -> tuple[Any, ...]:
    ratio = x * F.inv(y)
    return F.exp(ratio), (1.0 - ratio) * F.exp(ratio)


def _perspective_graph(g: Any, t: Any, x: Any, y: Any) -> None:
    g.exponential(x, y, t)


# sqrt(u^2 - v^2) -------------------------------------------------------------------------------------------------


def _hyperbolic_restrict(u: Interval, v: Interval) -> tuple[Interval, ...]:
    return intersect(u, 0.0, np.inf), v


def _hyperbolic_range(u: Interval, v: Interval) -> Interval:
    u, size = intersect(u, 0.0, np.inf), absolute(v)
    with np.errstate(all="ignore"):
        low = np.where(u.lo > size.hi, np.sqrt(u.lo - size.hi) * np.sqrt(u.lo + size.hi), 0.0)
        high = np.where(np.isposinf(u.hi), np.inf, np.sqrt(u.hi - size.lo) * np.sqrt(u.hi + size.lo))
    return whole_where(u.hi < size.lo, outward(low, high, floor=0.0))


def _hyperbolic_slope(u: Interval, v: Interval) -> tuple[Array, ...]:
    return np.where(u.is_point, 0.0, 1.0), by_pieces(v, (0.0,), (1.0, -1.0))


def _hyperbolic_smoothness(u: Interval, v: Interval) -> Any:
    return graded((u.lo <= absolute(v).hi) & ~(u.is_point & v.is_point), NONSMOOTH)


def _hyperbolic_derivative(F: Any, u: Any, v: Any) -> tuple[Any, ...]:
    root = F.inv(F.sqrt(u - v) * F.sqrt(u + v))
    return u * root, -v * root


def _hyperbolic_graph(g: Any, t: Any, u: Any, v: Any) -> None:
    """sqrt(u^2 - v^2) >= t with u >= 0 where the norm of (r, v) is at most u for some r >= t, r >= 0."""
    root = g.new(lower=0.0)
    g.norm(u, root, v)
    g.at_least(root - t)


FORM_ROWS: tuple[Atom, ...] = (
    entries(
        name="quadratic_norm", formula="sqrt(x) with x a sum of squares", parameters=("x",), arity=(1, 1),
        raw=np.sqrt, domain=above(0, strict=False), range=increasing(np.sqrt, low=0.0, floor=0.0),
        slope=constant_slope(1.0), curvature=constant_sign(-1.0), smoothness=rough_up_to(0.0, NONSMOOTH),
        summary=("[0, inf)", "increasing", "convex, a norm of affine expressions", "smooth for x > 0"),
        derivative=lambda F, x: (0.5 * F.inv(F.sqrt(x)),), lowering=BY_FORM, **NO_PIECES, shown=1.0,
        latex=r"\sqrt{#1}", source=f"{BOYD}, section 3.1.5", examples=(((4.0,), 2.0), ((0.0,), 0.0)),
    ),
    entries(
        name="convex_quadratic", formula="x with a semidefinite matrix", parameters=("x",), arity=(1, 1),
        raw=np.positive, domain=EVERYWHERE, range=lambda x: x, slope=constant_slope(1.0), curvature=constant_sign(0.0),
        smoothness=always(SMOOTH), summary=("all numbers", "increasing", "convex", "smooth"),
        derivative=lambda F, x: (1.0 + 0.0 * x,), lowering=BY_FORM, **NO_PIECES, shown=1.0, latex="#1",
        source=f"{BOYD}, section 3.1.4", examples=(((-2.0,), -2.0),),
    ),
    entries(
        name="concave_mean", formula="x with a concave mean", parameters=("x",), arity=(1, 1),
        raw=np.positive, domain=EVERYWHERE, range=lambda x: x, slope=constant_slope(1.0), curvature=constant_sign(0.0),
        smoothness=always(SMOOTH), summary=("all numbers", "increasing", "concave", "smooth"),
        derivative=lambda F, x: (1.0 + 0.0 * x,), lowering=BY_FORM, **NO_PIECES, shown=-1.0, latex="#1",
        source=f"{BOYD}, section 3.1.5 and exercise 3.18", examples=(((2.0,), 2.0),),
    ),
    entries(
        name="exp_perspective", formula="y * exp(x / y)", parameters=("x", "y"), arity=(2, 2), raw=_perspective,
        domain=Domain("y > 0", lambda x, y: (y > 0) & ~np.isnan(x), _perspective_restrict),
        range=_perspective_range, slope=_perspective_slope, curvature=constant_sign(1.0),
        smoothness=lambda x, y: graded(y.lo <= 0, DISCONTINUOUS),
        summary=("(0, inf)", "x: increasing; y: decreasing below x, increasing above", "convex", "smooth"),
        derivative=_perspective_derivative, lowering=BY_CONES, graph=_perspective_graph, **NO_PIECES,
        latex=r"#2 e^{#1 / #2}", source=f"{BOYD}, section 3.2.6", examples=(((0.0, 2.0), 2.0),),
    ),
    entries(
        name="hyperbolic_root", formula="sqrt(u^2 - v^2) with u >= 0", parameters=("u", "v"), arity=(2, 2),
        raw=lambda u, v: np.sqrt(u - np.abs(v)) * np.sqrt(u + np.abs(v)),
        domain=Domain("u >= abs(v)", lambda u, v: u >= np.abs(v), _hyperbolic_restrict), range=_hyperbolic_range,
        slope=_hyperbolic_slope, curvature=constant_sign(-1.0), smoothness=_hyperbolic_smoothness,
        summary=("[0, inf)", "u: increasing; v: increasing below 0, decreasing above", "concave",
                 "smooth for u > abs(v)"),
        derivative=_hyperbolic_derivative, lowering=BY_CONES, graph=_hyperbolic_graph, **NO_PIECES,
        latex=r"\sqrt{#1^{2} - #2^{2}}", source="Lobo, Vandenberghe, Boyd and Lebret 1998, section 2.3",
        examples=(((5.0, -3.0), 4.0), ((2.0, 2.0), 0.0)),
    ),
)
