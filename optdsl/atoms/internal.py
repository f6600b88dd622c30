"""Rows that no text can name: functions that natural spellings are rewritten into, so that one rule proves them.

They take part in evaluation, facts and cone forms as every other row does; the language does not offer them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms import graphs
from optdsl.atoms.atom import Absent, Array, Atom, Domain, Interval, Smoothness
from optdsl.atoms.intervals import (
    MARGIN,
    absolute,
    always,
    by_pieces,
    graded,
    intersect,
    interval,
    outward,
    whole_where,
)
from optdsl.atoms.rows import EVERYWHERE, NO_PIECES, constant_sign, entries

SMOOTH, C1, NONSMOOTH, DISCONTINUOUS = (
    Smoothness.SMOOTH, Smoothness.C1, Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS,
)
PERSPECTIVE = "Boyd and Vandenberghe 2004, section 3.2.6"
MEANS = "Boyd and Vandenberghe 2004, section 3.1.5 and exercise 3.16"
BY_CONES = Absent("lowered by its graph")


# u^2 / v and |u|^p / v^(p - 1): perspectives of powers ------------------------------------------------------------


def _over_restrict(u: Interval, v: Interval, *p: Interval) -> tuple[Interval, ...]:
    return u, intersect(v, 0.0, np.inf), *p


def _power_over_range(u: Interval, v: Interval, p: Interval) -> Interval:
    size, v, exponent = absolute(u), intersect(v, 0.0, np.inf), np.where(p.is_point, p.lo, np.nan)
    with np.errstate(all="ignore"):
        low = np.power(size.lo / v.hi, exponent - 1.0) * size.lo
        high = np.power(size.hi / v.lo, exponent - 1.0) * size.hi
    low = np.where(np.isnan(low), 0.0, low)
    high = np.where(size.hi == 0, 0.0, np.where(np.isnan(high), np.inf, high))
    return whole_where(v.hi < 0, outward(low, high, floor=0.0))


def _square_over_range(u: Interval, v: Interval) -> Interval:
    two = interval(2.0, 2.0)
    return _power_over_range(u, v, two)


def _over_slope(u: Interval, v: Interval, *p: Interval) -> tuple[Array, ...]:
    falling = np.where(v.is_point, 0.0, -1.0)
    return by_pieces(u, (0.0,), (-1.0, 1.0)), falling, *(np.full(np.shape(q.lo), np.nan) for q in p)


def _square_over_smoothness(u: Interval, v: Interval) -> Any:
    return graded((v.lo <= 0) & (u.lo <= u.hi), DISCONTINUOUS)


def _power_over_smoothness(u: Interval, v: Interval, p: Interval) -> Any:
    """As |u|^p at u = 0, and a pole at v = 0."""
    exponent = np.where(p.is_point, p.lo, np.nan)
    at_zero = np.where(
        exponent == 1, int(NONSMOOTH), np.where(exponent < 2, int(C1), np.where(np.isnan(exponent), 0, int(SMOOTH)))
    )
    level = np.where((u.lo <= 0) & (u.hi >= 0), at_zero, int(SMOOTH))
    return np.where(v.lo <= 0, int(DISCONTINUOUS), level)


def _power_over(u: Any, v: Any, p: Any) -> Any:
    size = np.abs(u)
    return np.where(size == 0, 0.0, np.power(size / v, p - 1.0) * size)


def _power_over_derivative(F: Any, u: Any, v: Any, p: Any) -> tuple[Any, ...]:
    ratio = F.abs(u) * F.inv(v)
    share = F.select(p - 1.0, F.pow(ratio, p - 1.0), 1.0)
    return p * F.sign(u) * share, (1.0 - p) * share * ratio, None


def _power_over_graph(g: Any, t: Any, u: Any, v: Any, p: float) -> None:
    """|u| <= t^(1/p) v^(1 - 1/p)."""
    g.power(t, v, u, 1.0 / p)


# geometric means of two ------------------------------------------------------------------------------------------


def _mean(x: Any, y: Any, p: Any) -> Any:
    return np.power(x, p) * np.power(y, 1.0 - p)


def _mean_restrict(x: Interval, y: Interval, *p: Interval) -> tuple[Interval, ...]:
    return intersect(x, 0.0, np.inf), intersect(y, 0.0, np.inf), *p


def _mean_range(x: Interval, y: Interval, p: Interval) -> Interval:
    x, y, p = _mean_restrict(x, y, p)
    weight = np.where(p.is_point, p.lo, np.nan)
    with np.errstate(all="ignore"):
        low, high = _mean(x.lo, y.lo, weight), _mean(x.hi, y.hi, weight)
    return whole_where((x.hi < 0) | (y.hi < 0), outward(np.where(np.isnan(low), 0.0, low), high, floor=0.0))


def _half(x: Interval, y: Interval) -> Interval:
    return _mean_range(x, y, interval(0.5, 0.5))


def _mean_slope(x: Interval, y: Interval, *p: Interval) -> tuple[Array, ...]:
    rising = (np.where(box.is_point, 0.0, 1.0) for box in (x, y))
    return *rising, *(np.full(np.shape(q.lo), np.nan) for q in p)


def _mean_smoothness(x: Interval, y: Interval, *p: Interval) -> Any:
    return graded((x.lo <= 0) | (y.lo <= 0), NONSMOOTH)


def _weighted_derivative(F: Any, x: Any, y: Any, p: Any) -> tuple[Any, ...]:
    return p * F.pow(y * F.inv(x), 1.0 - p), (1.0 - p) * F.pow(x * F.inv(y), p), None


def _weighted_graph(g: Any, t: Any, x: Any, y: Any, p: float) -> None:
    root = g.new(lower=0.0)
    g.power(x, y, root, p)
    g.at_least(root - t)


# log(e^x + e^y) --------------------------------------------------------------------------------------------------


def _log_add_range(x: Interval, y: Interval) -> Interval:
    with np.errstate(all="ignore"):
        low, high = np.logaddexp(x.lo, y.lo), np.logaddexp(x.hi, y.hi)
        sizes = [np.where(np.isfinite(end), np.abs(end), 0.0) for box in (x, y) for end in box]
        slack = MARGIN * (1.0 + sum(sizes))
        return outward(low - slack, high + slack)


def _log_add_slope(x: Interval, y: Interval) -> tuple[Array, ...]:
    return np.where(x.is_point, 0.0, 1.0), np.where(y.is_point, 0.0, 1.0)


def _log_add_graph(g: Any, t: Any, x: Any, y: Any) -> None:
    """log(e^x + e^y) <= t where e^(x - t) + e^(y - t) <= 1."""
    u, v = g.new(lower=0.0), g.new(lower=0.0)
    g.exponential(x - t, 1.0, u)
    g.exponential(y - t, 1.0, v)
    g.at_least((u + v) * -1.0 + 1.0)


INTERNAL_ROWS: tuple[Atom, ...] = (
    entries(
        name="square_over", formula="u^2 / v", parameters=("u", "v"), arity=(2, 2),
        raw=lambda u, v: (u / v) * u,
        domain=Domain("v > 0", lambda u, v: (v > 0) & ~np.isnan(u), _over_restrict), range=_square_over_range,
        slope=_over_slope, curvature=constant_sign(1.0), smoothness=_square_over_smoothness,
        summary=("[0, inf)", "u: decreasing below 0, increasing above; v: nonincreasing", "convex", "smooth"),
        derivative=lambda F, u, v: (2.0 * u * F.inv(v), -F.square(u * F.inv(v))), lowering=BY_CONES,
        graph=graphs.square_over, **NO_PIECES, latex=r"\frac{\left(#1\right)^{2}}{#2}", source=PERSPECTIVE,
        examples=(((3.0, 2.0), 4.5), ((0.0, 3.0), 0.0)),
    ),
    entries(
        name="power_over", formula="abs(u)^p / v^(p - 1) with p >= 1", parameters=("u", "v", "p"), arity=(3, 3),
        data_arguments=("p",), raw=_power_over,
        domain=Domain("v > 0, p >= 1", lambda u, v, p: (v > 0) & (p >= 1) & ~np.isnan(u), _over_restrict),
        range=_power_over_range, slope=_over_slope, curvature=constant_sign(1.0), smoothness=_power_over_smoothness,
        summary=("[0, inf)", "u: decreasing below 0, increasing above; v: nonincreasing", "convex",
                 "smooth; at u = 0 nonsmooth for p = 1, C1 for p < 2"),
        derivative=_power_over_derivative, lowering=BY_CONES, graph=_power_over_graph, **NO_PIECES,
        latex=r"\frac{\left|#1\right|^{#3}}{#2^{#3 - 1}}", source=PERSPECTIVE,
        examples=(((-2.0, 4.0, 3.0), 0.5), ((0.0, 3.0, 1.5), 0.0)),
    ),
    entries(
        name="geo_mean_of_two", formula="sqrt(x * y)", parameters=("x", "y"), arity=(2, 2),
        raw=lambda x, y: np.sqrt(x) * np.sqrt(y),
        domain=Domain("x >= 0, y >= 0", lambda x, y: (x >= 0) & (y >= 0), _mean_restrict), range=_half,
        slope=_mean_slope, curvature=constant_sign(-1.0), smoothness=_mean_smoothness,
        summary=("[0, inf)", "nondecreasing in each", "concave", "smooth for x, y > 0"),
        derivative=lambda F, x, y: (0.5 * F.sqrt(y * F.inv(x)), 0.5 * F.sqrt(x * F.inv(y))), lowering=BY_CONES,
        graph=graphs.geo_mean_of_two, **NO_PIECES, latex=r"\sqrt{#1 \cdot #2}", source=MEANS,
        examples=(((1.0, 4.0), 2.0), ((0.0, 5.0), 0.0)),
    ),
    entries(
        name="weighted_geo_mean", formula="x^p * y^(1 - p) with 0 < p < 1", parameters=("x", "y", "p"), arity=(3, 3),
        data_arguments=("p",), raw=_mean,
        domain=Domain("x >= 0, y >= 0, 0 < p < 1", lambda x, y, p: (x >= 0) & (y >= 0) & (p > 0) & (p < 1),
                      _mean_restrict),
        range=_mean_range, slope=_mean_slope, curvature=constant_sign(-1.0), smoothness=_mean_smoothness,
        summary=("[0, inf)", "nondecreasing in each", "concave", "smooth for x, y > 0"),
        derivative=_weighted_derivative, lowering=BY_CONES, graph=_weighted_graph, **NO_PIECES,
        latex=r"#1^{#3} #2^{1 - #3}", source=MEANS, examples=(((16.0, 81.0, 0.25), 54.0), ((0.0, 5.0, 0.5), 0.0)),
    ),
    entries(
        name="log_add_exp", formula="log(exp(x) + exp(y))", parameters=("x", "y"), arity=(2, 2), raw=np.logaddexp,
        domain=EVERYWHERE, range=_log_add_range, slope=_log_add_slope, curvature=constant_sign(1.0),
        smoothness=always(SMOOTH), summary=("all numbers", "increasing in each", "convex", "smooth"),
        derivative=lambda F, x, y: (F.sigmoid(x - y), F.sigmoid(y - x)), lowering=BY_CONES, graph=_log_add_graph,
        **NO_PIECES, latex=r"\log\left(e^{#1} + e^{#2}\right)", source="Boyd and Vandenberghe 2004, section 3.1.5",
        examples=(((0.0, 0.0), 0.6931471805599453), ((1000.0, 0.0), 1000.0)),
    ),
)
