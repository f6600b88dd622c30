"""Rows of the exponential and logarithmic family, with the entropies."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms import graphs
from optdsl.atoms.atom import Absent, Array, Atom, Domain, Interval, Smoothness
from optdsl.atoms.intervals import (
    always,
    graded,
    hull,
    increasing,
    intersect,
    outward,
    rough_up_to,
    signs,
    slopes,
    turning,
    whole_where,
)
from optdsl.atoms.rows import EVERYWHERE, NO_PIECES, above, constant_sign, constant_slope, entries

SMOOTH, C1, NONSMOOTH, DISCONTINUOUS = (
    Smoothness.SMOOTH, Smoothness.C1, Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS,
)
LN2, LN10 = float(np.log(2)), float(np.log(10))
HANDBOOK = "Abramowitz and Stegun 1964, chapter 4"
BOYD = "Boyd and Vandenberghe 2004, section 3.1.5"


def x_log_x(x: Any) -> Any:
    """x log x with 0 log 0 = 0 (limits at both ends)."""
    return np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)), np.where(x == 0, 0.0, np.nan))


def log_ratio(x: Any, y: Any) -> Any:
    """log(x / y), also when the quotient overflows or underflows."""
    ratio = x / y
    fine = (ratio > 1e-300) & (ratio < 1e300)
    return np.where(fine, np.log(np.where(fine, ratio, 1.0)), np.log(x) - np.log(y))


def relative_entropy(x: Any, y: Any) -> Any:
    """x log(x / y), 0 where x = 0."""
    return np.where(x == 0, 0.0, x * log_ratio(x, y))


def divergence(x: Any, y: Any) -> Any:
    """x log(x / y) - x + y without cancellation near x = y; y where x = 0.

    With d = (y - x) / x it is x (d - log(1 + d)); for small d the series d^2/2 - d^3/3 + ... is summed.
    """
    d = (y - x) / x
    close = np.abs(d) < 0.1
    small = np.where(close, d, 0.0)
    series = np.zeros_like(small)
    for power in range(19, 1, -1):
        series = small * series + (-1.0) ** power / power
    near = np.abs(d) < 0.9
    far = np.where(near, x * (d - np.log1p(np.where(near, d, 0.0))), relative_entropy(x, y) - x + y)
    return np.where(x == 0, y, np.where(close, x * small * small * series, far))


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x), accurate in both tails."""
    small = np.exp(-np.abs(x))
    return np.where(np.isnan(x), x, np.where(x >= 0, 1.0, small) / (1.0 + small))


PAIR = Domain(
    "x >= 0 and y > 0, or x = 0 and y = 0",
    lambda x, y: (x >= 0) & (y >= 0) & ((y > 0) | (x == 0)),
    lambda x, y: (intersect(x, 0.0, np.inf), intersect(y, 0.0, np.inf)),
)


def _pair_smoothness(x: Interval, y: Interval) -> Any:
    """Singular at x = 0 and at y = 0; a point of data at x = 0 makes the function linear in y > 0."""
    fixed = x.is_point & (x.lo == 0)
    return graded((x.lo <= 0) & ~fixed | (y.lo <= 0), NONSMOOTH)


def _rel_entr_range(x: Interval, y: Interval) -> Interval:
    """Decreasing in y; for fixed y a valley at x = y / e with the value -y / e."""
    x, y = PAIR.restrict(x, y) if PAIR.restrict else (x, y)
    with np.errstate(all="ignore"):
        turn = np.clip(y.hi / np.e, x.lo, x.hi)
        low = relative_entropy(turn, y.hi)
        high = np.maximum(relative_entropy(x.lo, y.lo), relative_entropy(x.hi, y.lo))
        # With y = 0 the function grows without bound as soon as x > 0.
        high = np.where((y.lo <= 0) & (x.hi > 0), np.inf, high)
    return whole_where((x.lo > x.hi) | (y.lo > y.hi), outward(low, high))


def _kl_div_range(x: Interval, y: Interval) -> Interval:
    """Convex with the least value 0 on x = y: the largest is at a corner, the least at the closest pair."""
    x, y = PAIR.restrict(x, y) if PAIR.restrict else (x, y)
    with np.errstate(all="ignore"):
        apart = (x.lo > y.hi) | (y.lo > x.hi)
        near = np.where(x.lo > y.hi, divergence(x.lo, y.hi), divergence(x.hi, y.lo))
        corners = [divergence(a, b) for a in x for b in y]
        high = hull(*corners).hi
        high = np.where((y.lo <= 0) & (x.hi > 0), np.inf, high)
    missed = (x.lo > x.hi) | (y.lo > y.hi)
    return whole_where(missed, outward(np.where(apart, near, 0.0), high, floor=0.0))


def _rel_entr_slope(x: Interval, y: Interval) -> tuple[Array, ...]:
    """The slope in x is log(x / y) + 1: its sign is that of e x - y."""
    with np.errstate(all="ignore"):
        in_x = np.where(np.e * x.lo >= y.hi, 1.0, np.where(np.e * x.hi <= y.lo, -1.0, np.nan))
    return np.where(x.is_point, 0.0, in_x), np.where(y.is_point, 0.0, -1.0)


def _kl_div_slope(x: Interval, y: Interval) -> tuple[Array, ...]:
    sign = np.where(x.lo >= y.hi, 1.0, np.where(x.hi <= y.lo, -1.0, np.nan))
    return np.where(x.is_point, 0.0, sign), np.where(y.is_point, 0.0, -sign)


EXPONENTIALS: tuple[Atom, ...] = (
    entries(
        name="exp", graph=graphs.exp,
        formula="e^x", parameters=("x",), arity=(1, 1), raw=np.exp, domain=EVERYWHERE,
        range=increasing(np.exp, floor=0.0), slope=constant_slope(1.0), curvature=constant_sign(1.0),
        smoothness=always(SMOOTH), summary=("(0, inf)", "increasing", "convex", "smooth"),
        derivative=lambda F, x: (F.exp(x),), lowering=lambda cp, x: cp.exp(x), **NO_PIECES,
        latex=r"e^{#1}", source=BOYD, examples=(((1.0,), 2.718281828459045), ((-745.0,), 5e-324)),
    ),
    entries(
        name="log", graph=graphs.log,
        formula="natural logarithm of x", parameters=("x",), arity=(1, 1), raw=np.log,
        domain=above(0, strict=True), range=increasing(np.log, low=0.0), slope=constant_slope(1.0),
        curvature=constant_sign(-1.0), smoothness=rough_up_to(0.0, DISCONTINUOUS),
        summary=("all numbers", "increasing", "concave", "smooth"),
        derivative=lambda F, x: (F.inv(x),), lowering=lambda cp, x: cp.log(x), **NO_PIECES,
        latex=r"\log\left(#1\right)", source=BOYD, examples=(((2.0,), 0.6931471805599453),),
    ),
    entries(
        name="log10", graph=graphs.log10,
        formula="logarithm of x to base 10", parameters=("x",), arity=(1, 1), raw=np.log10,
        domain=above(0, strict=True), range=increasing(np.log10, low=0.0), slope=constant_slope(1.0),
        curvature=constant_sign(-1.0), smoothness=rough_up_to(0.0, DISCONTINUOUS),
        summary=("all numbers", "increasing", "concave", "smooth"),
        derivative=lambda F, x: (F.inv(x) / LN10,), lowering=lambda cp, x: cp.log(x) / LN10, **NO_PIECES,
        latex=r"\log_{10}\left(#1\right)", source=HANDBOOK, examples=(((1000.0,), 3.0),),
    ),
    entries(
        name="log2", graph=graphs.log2,
        formula="logarithm of x to base 2", parameters=("x",), arity=(1, 1), raw=np.log2,
        domain=above(0, strict=True), range=increasing(np.log2, low=0.0), slope=constant_slope(1.0),
        curvature=constant_sign(-1.0), smoothness=rough_up_to(0.0, DISCONTINUOUS),
        summary=("all numbers", "increasing", "concave", "smooth"),
        derivative=lambda F, x: (F.inv(x) / LN2,), lowering=lambda cp, x: cp.log(x) / LN2, **NO_PIECES,
        latex=r"\log_{2}\left(#1\right)", source=HANDBOOK, examples=(((8.0,), 3.0),),
    ),
    entries(
        name="log1p", graph=graphs.log1p,
        formula="log(1 + x), accurate near 0", parameters=("x",), arity=(1, 1), raw=np.log1p,
        domain=above(-1, strict=True), range=increasing(np.log1p, low=-1.0), slope=constant_slope(1.0),
        curvature=constant_sign(-1.0), smoothness=rough_up_to(-1.0, DISCONTINUOUS),
        summary=("all numbers", "increasing", "concave", "smooth"),
        derivative=lambda F, x: (F.inv(1.0 + x),), lowering=lambda cp, x: cp.log1p(x), **NO_PIECES,
        latex=r"\log\left(1 + #1\right)", source=HANDBOOK, examples=(((1e-20,), 1e-20),),
    ),
    entries(
        name="expm1", graph=graphs.expm1,
        formula="e^x - 1, accurate near 0", parameters=("x",), arity=(1, 1), raw=np.expm1,
        domain=EVERYWHERE, range=increasing(np.expm1, floor=-1.0), slope=constant_slope(1.0),
        curvature=constant_sign(1.0), smoothness=always(SMOOTH),
        summary=("(-1, inf)", "increasing", "convex", "smooth"),
        derivative=lambda F, x: (F.exp(x),), lowering=lambda cp, x: cp.exp(x) - 1, **NO_PIECES,
        latex=r"\left(e^{#1} - 1\right)", source=HANDBOOK, examples=(((1e-20,), 1e-20),),
    ),
    entries(
        name="sigmoid", formula="1 / (1 + e^-x)", parameters=("x",), arity=(1, 1), raw=sigmoid,
        domain=EVERYWHERE, range=increasing(sigmoid, floor=0.0, ceiling=1.0), slope=constant_slope(1.0),
        curvature=signs((0.0,), (1.0, -1.0)), smoothness=always(SMOOTH),
        summary=("(0, 1)", "increasing", "convex for x <= 0, concave for x >= 0", "smooth"),
        derivative=lambda F, x: (F.sigmoid(x) * F.sigmoid(-x),),
        lowering=Absent("neither convex nor concave; CVXPY has no such atom"), **NO_PIECES,
        latex=r"\sigma\left(#1\right)", source="Verhulst 1838",
        examples=(((0.0,), 0.5), ((-40.0,), 4.248354255291589e-18)),
    ),
    entries(
        name="softplus", graph=graphs.softplus,
        formula="log(1 + e^x)", parameters=("x",), arity=(1, 1),
        raw=lambda x: np.logaddexp(0.0, x), domain=EVERYWHERE,
        range=increasing(lambda x: np.logaddexp(0.0, x), floor=0.0), slope=constant_slope(1.0),
        curvature=constant_sign(1.0), smoothness=always(SMOOTH),
        summary=("(0, inf)", "increasing", "convex", "smooth"),
        derivative=lambda F, x: (F.sigmoid(x),), lowering=lambda cp, x: cp.logistic(x), **NO_PIECES,
        latex=r"\log\left(1 + e^{#1}\right)", source="Dugas et al. 2001",
        examples=(((0.0,), 0.6931471805599453), ((-40.0,), 4.248354255291589e-18), ((1000.0,), 1000.0)),
    ),
    entries(
        name="entr", graph=graphs.entr,
        formula="-x log x, 0 at x = 0", parameters=("x",), arity=(1, 1), raw=lambda x: -x_log_x(x),
        domain=above(0, strict=False),
        range=turning(lambda x: -x_log_x(x), at=float(np.exp(-1)), valley=False, low=0.0),
        slope=slopes((float(np.exp(-1)),), (1.0, -1.0)), curvature=constant_sign(-1.0),
        smoothness=rough_up_to(0.0, NONSMOOTH),
        summary=("(-inf, 1/e]", "increasing up to 1/e, then decreasing", "concave", "smooth for x > 0"),
        derivative=lambda F, x: (-1.0 - F.log(x),), lowering=lambda cp, x: cp.entr(x), **NO_PIECES,
        latex=r"\left(-#1 \log #1\right)", source=BOYD, examples=(((0.0,), 0.0), ((2.0,), -1.3862943611198906)),
    ),
    entries(
        name="xlogx", graph=graphs.xlogx,
        formula="x log x, 0 at x = 0", parameters=("x",), arity=(1, 1), raw=x_log_x,
        domain=above(0, strict=False), range=turning(x_log_x, at=float(np.exp(-1)), valley=True, low=0.0),
        slope=slopes((float(np.exp(-1)),), (-1.0, 1.0)), curvature=constant_sign(1.0),
        smoothness=rough_up_to(0.0, NONSMOOTH),
        summary=("[-1/e, inf)", "decreasing up to 1/e, then increasing", "convex", "smooth for x > 0"),
        derivative=lambda F, x: (F.log(x) + 1.0,), lowering=lambda cp, x: -cp.entr(x), **NO_PIECES,
        latex=r"\left(#1 \log #1\right)", source=BOYD, examples=(((0.0,), 0.0), ((2.0,), 1.3862943611198906)),
    ),
    entries(
        name="rel_entr", graph=graphs.rel_entr,
        formula="x log(x / y), 0 at x = 0", parameters=("x", "y"), arity=(2, 2),
        raw=relative_entropy, domain=PAIR, range=_rel_entr_range, slope=_rel_entr_slope,
        curvature=constant_sign(1.0), smoothness=_pair_smoothness,
        summary=("all numbers", "x: increasing for e x >= y, decreasing for e x <= y; y: decreasing", "convex",
                 "smooth for x, y > 0"),
        derivative=lambda F, x, y: (F.log(x * F.inv(y)) + 1.0, -x * F.inv(y)),
        lowering=lambda cp, x, y: cp.rel_entr(x, y), **NO_PIECES,
        latex=r"#1 \log\left(#1 / #2\right)", source="Boyd and Vandenberghe 2004, example 3.19",
        examples=(((2.0, 1.0), 1.3862943611198906), ((0.0, 3.0), 0.0)),
    ),
    entries(
        name="kl_div", graph=graphs.kl_div,
        formula="x log(x / y) - x + y, y at x = 0", parameters=("x", "y"), arity=(2, 2),
        raw=divergence, domain=PAIR, range=_kl_div_range, slope=_kl_div_slope,
        curvature=constant_sign(1.0), smoothness=_pair_smoothness,
        summary=("[0, inf)", "x: increasing for x >= y, decreasing for x <= y; y: the reverse", "convex",
                 "smooth for x, y > 0"),
        derivative=lambda F, x, y: (F.log(x * F.inv(y)), (y - x) * F.inv(y)),
        lowering=lambda cp, x, y: cp.kl_div(x, y), **NO_PIECES,
        latex=r"\left(#1 \log\left(#1 / #2\right) - #1 + #2\right)", source="Kullback and Leibler 1951",
        examples=(((2.0, 1.0), 0.3862943611198906), ((0.0, 3.0), 3.0), ((1.0, 1.0), 0.0)),
    ),
    entries(
        name="sinh", formula="(e^x - e^-x) / 2", parameters=("x",), arity=(1, 1), raw=np.sinh,
        domain=EVERYWHERE, range=increasing(np.sinh), slope=constant_slope(1.0),
        curvature=signs((0.0,), (-1.0, 1.0)), smoothness=always(SMOOTH),
        summary=("all numbers", "increasing", "concave for x <= 0, convex for x >= 0", "smooth"),
        derivative=lambda F, x: (F.cosh(x),), lowering=Absent("convex on one side of 0 only; CVXPY has no such atom"),
        **NO_PIECES, latex=r"\sinh\left(#1\right)", source=HANDBOOK, examples=(((1.0,), 1.1752011936438014),),
    ),
    entries(
        name="cosh", graph=graphs.cosh,
        formula="(e^x + e^-x) / 2", parameters=("x",), arity=(1, 1), raw=np.cosh,
        domain=EVERYWHERE, range=turning(np.cosh, at=0.0, valley=True, floor=1.0), slope=slopes((0.0,), (-1.0, 1.0)),
        curvature=constant_sign(1.0), smoothness=always(SMOOTH),
        summary=("[1, inf)", "decreasing for x <= 0, increasing for x >= 0", "convex", "smooth"),
        derivative=lambda F, x: (F.sinh(x),), lowering=lambda cp, x: (cp.exp(x) + cp.exp(-x)) / 2, **NO_PIECES,
        latex=r"\cosh\left(#1\right)", source=HANDBOOK, examples=(((1.0,), 1.5430806348152437),),
    ),
    entries(
        name="tanh", formula="(e^x - e^-x) / (e^x + e^-x)", parameters=("x",), arity=(1, 1), raw=np.tanh,
        domain=EVERYWHERE, range=increasing(np.tanh, floor=-1.0, ceiling=1.0), slope=constant_slope(1.0),
        curvature=signs((0.0,), (1.0, -1.0)), smoothness=always(SMOOTH),
        summary=("(-1, 1)", "increasing", "convex for x <= 0, concave for x >= 0", "smooth"),
        derivative=lambda F, x: (F.square(F.inv(F.cosh(x))),),
        lowering=Absent("convex on one side of 0 only; CVXPY has no such atom"), **NO_PIECES,
        latex=r"\tanh\left(#1\right)", source=HANDBOOK, examples=(((1.0,), 0.7615941559557649),),
    ),
)
