"""Rows of the trigonometric functions, the error function and the smooth activations built on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms.atom import Absent, Array, Atom, Interval, Smoothness
from optdsl.atoms.exponentials import sigmoid
from optdsl.atoms.intervals import (
    always,
    decreasing,
    graded,
    half_periods,
    hull,
    increasing,
    outward,
    signs,
    slopes,
    turning,
)
from optdsl.atoms.rows import EVERYWHERE, NO_PIECES, between, constant_slope, entries

SMOOTH, NONSMOOTH, DISCONTINUOUS = Smoothness.SMOOTH, Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS
HANDBOOK = "Abramowitz and Stegun 1964, chapter 4"
HALF_PI = np.pi / 2
NOT_CONVEX = Absent("neither convex nor concave on its domain; CVXPY has no such atom")


def _wave_range(raw: Any, crest: float) -> Any:
    """The range of sin or cos: the ends, and +-1 where a crest or a trough may lie in the box."""

    def reaches(x: Interval, at: float) -> Any:
        slack = 8 * np.finfo(np.float64).eps * np.maximum(1.0, np.maximum(np.abs(x.lo), np.abs(x.hi)))
        first = np.ceil((x.lo - slack - at) / (2 * np.pi))
        found = at + first * 2 * np.pi <= x.hi + slack
        return found | np.isinf(x.lo) | np.isinf(x.hi)

    def rule(x: Interval) -> Interval:
        with np.errstate(all="ignore"):
            ends = hull(raw(x.lo), raw(x.hi))
            top = np.where(reaches(x, crest), 1.0, ends.hi)
            bottom = np.where(reaches(x, crest + np.pi), -1.0, ends.lo)
        return outward(bottom, top, floor=-1.0, ceiling=1.0)

    return rule


def _one_branch(x: Interval) -> Any:
    """Where the box lies strictly between two poles of the tangent, by a few units in the last place."""
    with np.errstate(all="ignore"):
        slack = 4 * np.finfo(np.float64).eps * np.maximum(1.0, np.maximum(np.abs(x.lo), np.abs(x.hi)))
        number = np.floor((x.lo + slack) / np.pi + 0.5)
        inside = (x.lo > (number - 0.5) * np.pi + slack) & (x.hi < (number + 0.5) * np.pi - slack)
    return inside & np.isfinite(x.lo) & np.isfinite(x.hi)


def _tan_range(x: Interval) -> Interval:
    with np.errstate(all="ignore"):
        bounds = outward(np.tan(x.lo), np.tan(x.hi))
    branch = _one_branch(x)
    return Interval(np.where(branch, bounds.lo, -np.inf), np.where(branch, bounds.hi, np.inf))


def _tan_curvature(x: Interval) -> Array:
    """Concave below the zero of its branch, convex above: where tan has one sign."""
    sign = half_periods(Interval(2 * x.lo, 2 * x.hi), 0.0)
    return np.where(_one_branch(x), sign, np.where(x.is_point, 0.0, np.nan))


def _atan2_same_branch(y: Interval, x: Interval) -> Any:
    """Where the box keeps off the cut (the negative x axis with the origin)."""
    return (y.lo > 0) | (y.hi < 0) | (x.lo > 0)


def _atan2_range(y: Interval, x: Interval) -> Interval:
    """At the corners: in x the function is monotone for each y; then in y, off the cut, for the sign of x."""
    with np.errstate(all="ignore"):
        ends = hull(*(np.arctan2(b + 0.0, a + 0.0) for b in y for a in x))
    bounds = outward(ends.lo, ends.hi, floor=-np.pi, ceiling=np.pi)
    at_corners = (y.lo >= 0) | (y.hi < 0) | (x.lo >= 0)
    return Interval(np.where(at_corners, bounds.lo, -np.pi), np.where(at_corners, bounds.hi, np.pi))


def _atan2_slope(y: Interval, x: Interval) -> tuple[Array, ...]:
    """In y the sign of x, in x that of -y; a box across the cut jumps against it."""
    left = (x.hi < 0) & (y.lo >= 0) | (x.hi <= 0) & (y.lo > 0) | (x.hi <= 0) & (y.hi < 0)
    in_y = np.where(x.lo >= 0, 1.0, np.where(left, -1.0, np.nan))
    in_x = np.where(y.lo >= 0, -1.0, np.where(y.hi < 0, 1.0, np.nan))
    return np.where(y.is_point, 0.0, in_y), np.where(x.is_point, 0.0, in_x)


def _erf(x: Any) -> Any:
    from scipy.special import erf

    return erf(x)


def _gelu(x: Any) -> Any:
    """x times the normal distribution function, by erfc so that the left tail keeps its digits."""
    from scipy.special import erfc

    return np.where(x == -np.inf, 0.0, 0.5 * x * erfc(-x / np.sqrt(2)))


def _silu(x: Any) -> Any:
    return np.where(x == -np.inf, 0.0, x * sigmoid(x))


# Where the derivative of gelu and silu is zero, and where the second derivative of silu is zero (that of gelu: at
# +-sqrt(2)); roots of Phi(x) + x phi(x), of 1 + x sigmoid(-x), and of 2 - x tanh(x / 2), to full precision.
GELU_VALLEY = -0.7517915246935645
SILU_VALLEY = -1.2784645427610738
SILU_BEND = 2.399357280515468
ROOT2 = float(np.sqrt(2))


TRIGONOMETRY: tuple[Atom, ...] = (
    entries(
        name="sin", formula="sine of x (radians)", parameters=("x",), arity=(1, 1), raw=np.sin, domain=EVERYWHERE,
        range=_wave_range(np.sin, HALF_PI), slope=lambda x: (half_periods(x, -HALF_PI),),
        curvature=lambda x: -half_periods(x, 0.0), smoothness=always(SMOOTH),
        summary=("[-1, 1]", "by half period", "concave where sin(x) >= 0, convex where sin(x) <= 0", "smooth"),
        derivative=lambda F, x: (F.cos(x),), lowering=NOT_CONVEX, **NO_PIECES,
        latex=r"\sin\left(#1\right)", source=HANDBOOK, examples=(((1.0,), 0.8414709848078965),),
    ),
    entries(
        name="cos", formula="cosine of x (radians)", parameters=("x",), arity=(1, 1), raw=np.cos, domain=EVERYWHERE,
        range=_wave_range(np.cos, 0.0), slope=lambda x: (-half_periods(x, 0.0),),
        curvature=lambda x: -half_periods(x, -HALF_PI), smoothness=always(SMOOTH),
        summary=("[-1, 1]", "by half period", "concave where cos(x) >= 0, convex where cos(x) <= 0", "smooth"),
        derivative=lambda F, x: (-F.sin(x),), lowering=NOT_CONVEX, **NO_PIECES,
        latex=r"\cos\left(#1\right)", source=HANDBOOK, examples=(((1.0,), 0.5403023058681398),),
    ),
    entries(
        name="tan", formula="tangent of x (radians)", parameters=("x",), arity=(1, 1), raw=np.tan,
        domain=EVERYWHERE, range=_tan_range,
        slope=lambda x: (np.where(x.is_point, 0.0, np.where(_one_branch(x), 1.0, np.nan)),),
        curvature=_tan_curvature, smoothness=lambda x: graded(~_one_branch(x), DISCONTINUOUS),
        summary=("all numbers", "increasing between two poles", "concave where tan(x) <= 0, convex where tan(x) >= 0",
                 "smooth between two poles (pi/2 + k pi)"),
        derivative=lambda F, x: (1.0 + F.square(F.tan(x)),), lowering=NOT_CONVEX, **NO_PIECES,
        latex=r"\tan\left(#1\right)", source=HANDBOOK, examples=(((1.0,), 1.557407724654902),),
    ),
    entries(
        name="asin", formula="angle in [-pi/2, pi/2] whose sine is x", parameters=("x",), arity=(1, 1),
        raw=np.arcsin, domain=between(-1, 1), range=increasing(np.arcsin, -1.0, 1.0), slope=constant_slope(1.0),
        curvature=signs((0.0,), (-1.0, 1.0)), smoothness=lambda x: graded((x.lo <= -1) | (x.hi >= 1), NONSMOOTH),
        summary=("[-pi/2, pi/2]", "increasing", "concave for x <= 0, convex for x >= 0", "smooth for -1 < x < 1"),
        derivative=lambda F, x: (F.inv(F.sqrt((1.0 - x) * (1.0 + x))),), lowering=NOT_CONVEX, **NO_PIECES,
        latex=r"\arcsin\left(#1\right)", source=HANDBOOK, examples=(((1.0,), 1.5707963267948966),),
    ),
    entries(
        name="acos", formula="angle in [0, pi] whose cosine is x", parameters=("x",), arity=(1, 1),
        raw=np.arccos, domain=between(-1, 1), range=decreasing(np.arccos, -1.0, 1.0, floor=0.0),
        slope=constant_slope(-1.0), curvature=signs((0.0,), (1.0, -1.0)),
        smoothness=lambda x: graded((x.lo <= -1) | (x.hi >= 1), NONSMOOTH),
        summary=("[0, pi]", "decreasing", "convex for x <= 0, concave for x >= 0", "smooth for -1 < x < 1"),
        derivative=lambda F, x: (-F.inv(F.sqrt((1.0 - x) * (1.0 + x))),), lowering=NOT_CONVEX, **NO_PIECES,
        latex=r"\arccos\left(#1\right)", source=HANDBOOK, examples=(((0.0,), 1.5707963267948966),),
    ),
    entries(
        name="atan", formula="angle in (-pi/2, pi/2) whose tangent is x", parameters=("x",), arity=(1, 1),
        raw=np.arctan, domain=EVERYWHERE, range=increasing(np.arctan), slope=constant_slope(1.0),
        curvature=signs((0.0,), (1.0, -1.0)), smoothness=always(SMOOTH),
        summary=("(-pi/2, pi/2)", "increasing", "convex for x <= 0, concave for x >= 0", "smooth"),
        derivative=lambda F, x: (F.inv(1.0 + F.square(x)),), lowering=NOT_CONVEX, **NO_PIECES,
        latex=r"\arctan\left(#1\right)", source=HANDBOOK, examples=(((1.0,), 0.7853981633974483),),
    ),
    entries(
        name="atan2", formula="angle of the point (x, y) from the x axis, in (-pi, pi]; 0 at the origin",
        parameters=("y", "x"), arity=(2, 2), raw=lambda y, x: np.arctan2(y + 0.0, x + 0.0), domain=EVERYWHERE,
        range=_atan2_range, slope=_atan2_slope,
        curvature=lambda y, x: np.where(y.is_point & x.is_point, 0.0, np.nan),
        smoothness=lambda y, x: graded(~_atan2_same_branch(y, x), DISCONTINUOUS),
        summary=("(-pi, pi]", "y: increasing for x >= 0; x: decreasing for y >= 0, increasing for y < 0", "neither",
                 "smooth off the negative x axis and the origin"),
        derivative=lambda F, y, x: (
            x * F.inv(F.square(x) + F.square(y)), -y * F.inv(F.square(x) + F.square(y)),
        ),
        lowering=NOT_CONVEX, **NO_PIECES, latex=r"\operatorname{atan2}\left(#1, #2\right)", source=HANDBOOK,
        examples=(((1.0, -1.0), 2.356194490192345), ((0.0, -1.0), 3.141592653589793)),
    ),
    entries(
        name="erf", formula="2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x", parameters=("x",),
        arity=(1, 1), raw=_erf, domain=EVERYWHERE, range=increasing(_erf, floor=-1.0, ceiling=1.0),
        slope=constant_slope(1.0), curvature=signs((0.0,), (1.0, -1.0)), smoothness=always(SMOOTH),
        summary=("(-1, 1)", "increasing", "convex for x <= 0, concave for x >= 0", "smooth"),
        derivative=lambda F, x: (2.0 / np.sqrt(np.pi) * F.exp(-F.square(x)),), lowering=NOT_CONVEX, **NO_PIECES,
        latex=r"\operatorname{erf}\left(#1\right)", source="Abramowitz and Stegun 1964, chapter 7",
        examples=(((1.0,), 0.8427007929497149),),
    ),
    entries(
        name="gelu", formula="x Phi(x), with Phi the normal distribution function: x (1 + erf(x / sqrt 2)) / 2",
        parameters=("x",), arity=(1, 1), raw=_gelu, domain=EVERYWHERE,
        range=turning(_gelu, at=GELU_VALLEY, valley=True), slope=slopes((GELU_VALLEY,), (-1.0, 1.0)),
        curvature=signs((-ROOT2, ROOT2), (-1.0, 1.0, -1.0)), smoothness=always(SMOOTH),
        summary=("[-0.16998, inf)", "decreasing up to x = -0.75179, then increasing",
                 "convex for |x| <= sqrt 2, concave on either side", "smooth"),
        derivative=lambda F, x: (
            0.5 * (1.0 + F.erf(x / ROOT2)) + x * F.exp(-0.5 * F.square(x)) / np.sqrt(2 * np.pi),
        ),
        lowering=NOT_CONVEX, **NO_PIECES, latex=r"\operatorname{gelu}\left(#1\right)",
        source="Hendrycks and Gimpel 2016", examples=(((1.0,), 0.8413447460685429), ((-10.0,), -7.61985302416052e-23)),
    ),
    entries(
        name="silu", formula="x / (1 + e^-x)", parameters=("x",), arity=(1, 1), raw=_silu, domain=EVERYWHERE,
        range=turning(_silu, at=SILU_VALLEY, valley=True), slope=slopes((SILU_VALLEY,), (-1.0, 1.0)),
        curvature=signs((-SILU_BEND, SILU_BEND), (-1.0, 1.0, -1.0)), smoothness=always(SMOOTH),
        summary=("[-0.27846, inf)", "decreasing up to x = -1.27846, then increasing",
                 "convex for |x| <= 2.39936, concave on either side", "smooth"),
        derivative=lambda F, x: (F.sigmoid(x) * (1.0 + x * F.sigmoid(-x)),), lowering=NOT_CONVEX, **NO_PIECES,
        latex=r"\operatorname{silu}\left(#1\right)", source="Elfwing, Uchibe and Doya 2018",
        examples=(((1.0,), 0.7310585786300049),),
    ),
)
