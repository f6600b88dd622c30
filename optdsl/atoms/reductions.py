"""Rows of the reductions: one result for each group of members."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms import graphs
from optdsl.atoms.atom import Absent, Array, Atom, Domain, Interval, Smoothness
from optdsl.atoms.group_rules import (
    all_points,
    curved,
    level,
    members_rise,
    one_extreme,
    per_group,
    rough_where_any,
    row_by_row,
    sum_slack,
    summed,
)
from optdsl.atoms.groups import Groups
from optdsl.atoms.intervals import MARGIN, absolute, graded, interval, outward
from optdsl.atoms.rows import EVERYWHERE, folds

SMOOTH, NONSMOOTH, DISCONTINUOUS = Smoothness.SMOOTH, Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS
BOYD = "Boyd and Vandenberghe 2004, section 3.1.5"
BEYOND_AXES = "one CVXPY atom for each group: CVXPY's has no axis argument"


# prod ------------------------------------------------------------------------------------------------------------


def _prod_range(x: Interval, groups: Groups) -> Interval:
    """Sizes multiply, and so do signs where every member keeps its own."""
    size = absolute(x)
    with np.errstate(all="ignore"):
        low, high = groups.prod(size.lo), groups.prod(size.hi)
    low, high = np.where(np.isnan(low), 0.0, low), np.where(np.isnan(high), np.inf, high)
    slack = MARGIN * groups.count
    with np.errstate(all="ignore"):
        low, high = low * (1 - slack), high * (1 + slack)
    signed = groups.all((x.lo >= 0) | (x.hi <= 0))
    sign = groups.prod(np.where(x.lo >= 0, 1.0, -1.0))
    lo = np.where(signed & (sign > 0), low, -high)
    hi = np.where(signed & (sign < 0), -low, high)
    bounds = outward(lo, hi)
    # rounding outward must not lose a sign
    lo = np.where(signed & (sign > 0), np.maximum(bounds.lo, 0.0), bounds.lo)
    hi = np.where(signed & (sign < 0), np.minimum(bounds.hi, 0.0), bounds.hi)
    return Interval(lo, hi)


def _prod_slope(x: Interval, groups: Groups) -> tuple[Array, ...]:
    """The sign of the product of the other members, where each of them keeps its sign."""
    own = np.where(x.lo >= 0, 1.0, np.where(x.hi <= 0, -1.0, 0.0))
    unclear = own == 0
    clear_signs = groups.spread(groups.prod(np.where(unclear, 1.0, own)))
    others_unclear = groups.spread(groups.sum(unclear.astype(np.int64))) - unclear
    sign = np.where(unclear, clear_signs, clear_signs * own)
    return (np.where(x.is_point, 0.0, np.where(others_unclear > 0, np.nan, sign)),)


def _prod_curvature(x: Interval, groups: Groups) -> Array:
    varying = groups.sum((~x.is_point).astype(np.int64))
    return np.where(varying <= 1, 0.0, np.nan)


def _prod_derivative(F: Any, x: Any, groups: Any, result: Any) -> tuple[Any, ...]:
    """The product of the others, also where members are zero."""
    zero = 1.0 - F.abs(F.sign(x))
    zeros = groups.spread(groups.sum(zero))
    of_nonzero = groups.spread(groups.prod(x + zero))
    at_zero = F.select(zeros - 1.0, 0.0, of_nonzero)
    return (F.select(zero, at_zero, F.select(zeros, 0.0, of_nonzero * F.inv(x + zero))),)



def _mean_range(x: Interval, groups: Groups) -> Interval:
    total = summed(x, groups)
    with np.errstate(all="ignore"):
        return outward(total.lo / groups.count, total.hi / groups.count)


# max and min -----------------------------------------------------------------------------------------------------


def _max_curvature(x: Interval, groups: Groups) -> Array:
    """Affine where one member is always the largest, convex otherwise."""
    largest_low = groups.spread(groups.max(x.lo))
    contends = x.hi > largest_low
    count = groups.sum(contends.astype(np.int64))
    alone = (count == 0) | (count == 1) & groups.any(contends & (x.lo >= largest_low))
    return np.where(alone, 0.0, 1.0)


def _mirrored(x: Interval) -> Interval:
    return Interval(-x.hi, -x.lo)


# logsumexp, means ------------------------------------------------------------------------------------------------


def _log_sum_exp(x: Any, groups: Groups) -> Any:
    largest = groups.max(x)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    total = groups.sum(np.exp(x - groups.spread(shift)))
    return np.where(largest == np.inf, np.inf, np.log(total) + shift)


def _ordered(raw: Any, low: float, wide: float) -> Any:
    """The range rule of a reduction that rises in every member and needs members >= low."""

    def rule(x: Interval, groups: Groups) -> Interval:
        with np.errstate(all="ignore"):
            lo = raw(np.maximum(x.lo, low), groups)
            hi = raw(np.maximum(x.hi, low), groups)
            slack = MARGIN * (groups.count + wide)
            box = outward(lo - slack * np.abs(lo), hi + slack * np.abs(hi), floor=low)
        missed = groups.any(x.hi < low)
        return Interval(np.where(missed, -np.inf, box.lo), np.where(missed, np.inf, box.hi))

    return rule


def _log_sum_exp_range(x: Interval, groups: Groups) -> Interval:
    with np.errstate(all="ignore"):
        lo, hi = _log_sum_exp(x.lo, groups), _log_sum_exp(x.hi, groups)
        slack = MARGIN * (groups.count + np.abs(np.where(np.isfinite(lo), lo, 0.0))
                          + np.abs(np.where(np.isfinite(hi), hi, 0.0)))
        return outward(lo - slack, hi + slack)


def _geometric(x: Any, groups: Groups) -> Any:
    return np.exp(groups.sum(np.log(x)) / groups.count)


def _harmonic(x: Any, groups: Groups) -> Any:
    return groups.count / groups.sum(1.0 / (x + 0.0))


NOT_NEGATIVE = Domain(
    "every member >= 0",
    lambda x, groups: groups.all(x >= 0),
    lambda x, groups: (interval(np.maximum(x.lo, 0.0), x.hi),),
)


# sum_largest -----------------------------------------------------------------------------------------------------


def _sum_largest(x: Any, groups: Groups, k: Any) -> Any:
    chosen = groups.descending_rank(x) < groups.spread(per_group(groups, k))
    return np.where(groups.any(np.isnan(x)), np.nan, groups.sum(np.where(chosen, x, 0.0)))


def _sum_largest_range(x: Interval, groups: Groups, k: Interval) -> Interval:
    if not np.all(k.is_point):
        shape = groups.count.shape
        return Interval(np.full(shape, -np.inf), np.full(shape, np.inf))
    with np.errstate(all="ignore"):
        slack = sum_slack(groups, x)
        return outward(_sum_largest(x.lo, groups, k.lo) - slack, _sum_largest(x.hi, groups, k.hi) + slack)


def _sum_largest_curvature(x: Interval, groups: Groups, k: Interval) -> Array:
    everything = k.is_point & ((k.lo >= groups.count) | (k.lo <= 0))
    return np.where(all_points(x, groups) | everything, 0.0, 1.0)


def _largest_k(F: Any, x: Any, groups: Any, result: Any, k: Any) -> tuple[Any, ...]:
    rank = groups.descending_rank(x)
    return (F.select(groups.spread(np.broadcast_to(k, groups.count.shape)) - rank, 1.0, 0.0), None)


def _sum_largest_lowering(cp: Any, x: Any, k: Any) -> Any:
    counts = np.unique(np.asarray(k, dtype=np.int64))
    if counts.size != 1:
        raise ValueError("the lowering of sum_largest takes one k at a time")
    if counts[0] == 0:
        return cp.Constant(np.zeros(x.shape[0]))
    return row_by_row(cp, x, lambda row: cp.sum_largest(row, int(counts[0])))


WHOLE_NUMBER = Domain(
    "k a whole number from 0 to the number of members",
    lambda x, groups, k: (per_group(groups, k) >= 0) & (per_group(groups, k) <= groups.count)
    & (np.floor(per_group(groups, k)) == k),
    None,
)


def _truth(name: str, formula: str, raw: Any, value: float, latex: str, example: Any) -> Atom:
    """any and all: of data, 1 for true and 0 for false."""
    return folds(
        name=name, formula=formula, parameters=("x",), arity=(1, 1), data_arguments=("x",), raw=raw,
        domain=EVERYWHERE,
        range=lambda x, groups: interval(np.zeros(groups.any(x.lo > 0).shape), np.ones(groups.any(x.lo > 0).shape)),
        slope=lambda x, groups: (np.full(np.shape(x.lo), np.nan),),
        curvature=curved(np.nan), smoothness=level(DISCONTINUOUS),
        summary=("{0, 1}", "none", "neither", "discontinuous"), derivative=Absent("a function of data alone"),
        lowering=Absent("a function of data alone"), reduction_form=None, quadratic_form=None, empty=value,
        latex=latex, source="Iverson 1962", examples=example,
    )


LIST = ([1.0, -3.0, 2.0],)

REDUCTIONS: tuple[Atom, ...] = (
    folds(
        name="sum", formula="the sum of the members", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.sum(x), domain=EVERYWHERE, range=summed, slope=members_rise, curvature=curved(0.0),
        smoothness=level(SMOOTH), summary=("all numbers", "increasing", "affine", "smooth"),
        derivative=lambda F, x, groups, result: (1.0,), lowering=lambda cp, x: cp.sum(x, axis=1),
        reduction_form="sum", quadratic_form=None, empty=0.0, latex=r"\sum #1", source=BOYD,
        examples=((LIST, 0.0),),
    ),
    folds(
        name="prod", formula="the product of the members", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.prod(x), domain=EVERYWHERE, range=_prod_range, slope=_prod_slope,
        curvature=_prod_curvature, smoothness=level(SMOOTH),
        summary=("all numbers", "by the sign of the other members", "affine when one member varies, otherwise neither",
                 "smooth"),
        derivative=_prod_derivative, lowering=lambda cp, x: cp.prod(x, axis=1), reduction_form=None,
        quadratic_form=None, empty=1.0, latex=r"\prod #1", source="Boyd et al. 2007 (geometric programs)",
        examples=((LIST, -6.0),),
    ),
    folds(
        name="mean", formula="the sum of the members over their number", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.sum(x) / groups.count, domain=EVERYWHERE,
        range=_mean_range, slope=members_rise, curvature=curved(0.0),
        smoothness=level(SMOOTH), summary=("all numbers", "increasing", "affine", "smooth"),
        derivative=lambda F, x, groups, result: (1.0 / groups.spread(groups.count),),
        lowering=lambda cp, x: cp.sum(x, axis=1) / x.shape[1], reduction_form="mean", quadratic_form=None, empty=None,
        latex=r"\operatorname{mean}\left(#1\right)", source=BOYD, examples=((LIST, 0.0),),
    ),
    folds(
        name="max", formula="the largest member", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.max(x), domain=EVERYWHERE,
        range=lambda x, groups: interval(groups.max(x.lo), groups.max(x.hi)), slope=members_rise,
        curvature=_max_curvature,
        smoothness=lambda x, groups: graded(_max_curvature(x, groups) != 0, NONSMOOTH),
        summary=("all numbers", "nondecreasing", "convex", "nonsmooth where two are equal"),
        derivative=lambda F, x, groups, result: (one_extreme(F, x, groups, result),),
        lowering=lambda cp, x: cp.max(x, axis=1), reduction_form="max", quadratic_form=None, empty=None,
        latex=r"\max #1", source=BOYD, examples=((LIST, 2.0),),
    ),
    folds(
        name="min", formula="the smallest member", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.min(x), domain=EVERYWHERE,
        range=lambda x, groups: interval(groups.min(x.lo), groups.min(x.hi)), slope=members_rise,
        curvature=lambda x, groups: -_max_curvature(_mirrored(x), groups),
        smoothness=lambda x, groups: graded(_max_curvature(_mirrored(x), groups) != 0, NONSMOOTH),
        summary=("all numbers", "nondecreasing", "concave", "nonsmooth where two are equal"),
        derivative=lambda F, x, groups, result: (one_extreme(F, x, groups, result),),
        lowering=lambda cp, x: cp.min(x, axis=1), reduction_form="min", quadratic_form=None, empty=None,
        latex=r"\min #1", source=BOYD, examples=((LIST, -3.0),),
    ),
    folds(
        name="logsumexp", graph=graphs.logsumexp,
        formula="log of the sum of e^x", parameters=("x",), arity=(1, 1), raw=_log_sum_exp,
        domain=EVERYWHERE, range=_log_sum_exp_range, slope=members_rise, curvature=curved(1.0),
        smoothness=level(SMOOTH), summary=("all numbers", "increasing", "convex", "smooth"),
        derivative=lambda F, x, groups, result: (F.exp(x - groups.spread(result)),),
        lowering=lambda cp, x: cp.log_sum_exp(x, axis=1), reduction_form=None, quadratic_form=None, empty=None,
        latex=r"\log \sum e^{#1}", source=BOYD,
        examples=((([0.0, 0.0],), 0.6931471805599453), (([1000.0, 1000.0],), 1000.6931471805599)),
    ),
    folds(
        name="geo_mean", graph=graphs.geo_mean,
        formula="the n-th root of the product of n members", parameters=("x",), arity=(1, 1),
        raw=_geometric, domain=NOT_NEGATIVE, range=_ordered(_geometric, 0.0, 800.0), slope=members_rise,
        curvature=curved(-1.0), smoothness=rough_where_any(lambda x: x.lo <= 0, NONSMOOTH),
        summary=("[0, inf)", "nondecreasing", "concave", "smooth for positive members"),
        derivative=lambda F, x, groups, result: (groups.spread(result / groups.count) * F.inv(x),),
        lowering=lambda cp, x: row_by_row(cp, x, cp.geo_mean), reduction_form=None, quadratic_form=None, empty=None,
        latex=r"\operatorname{geo\_mean}\left(#1\right)", source=BOYD, examples=((([1.0, 4.0],), 2.0),),
    ),
    folds(
        name="harmonic_mean", graph=graphs.harmonic_mean,
        formula="n over the sum of 1 / x of n members; 0 when one is 0", parameters=("x",),
        arity=(1, 1), raw=_harmonic, domain=NOT_NEGATIVE, range=_ordered(_harmonic, 0.0, 0.0), slope=members_rise,
        curvature=curved(-1.0), smoothness=rough_where_any(lambda x: x.lo <= 0, NONSMOOTH),
        summary=("[0, inf)", "nondecreasing", "concave", "smooth for positive members"),
        derivative=lambda F, x, groups, result: (
            F.square(groups.spread(result) * F.inv(x)) / groups.spread(groups.count),
        ),
        lowering=lambda cp, x: row_by_row(cp, x, cp.harmonic_mean), reduction_form=None,
        quadratic_form=None, empty=None, latex=r"\operatorname{harmonic\_mean}\left(#1\right)",
        source="Boyd and Vandenberghe 2004, section 3.2.4 and exercise 3.17", examples=((([1.0, 3.0],), 1.5),),
    ),
    folds(
        name="sum_largest", formula="the sum of the k largest members", parameters=("x", "k"), arity=(2, 2),
        data_arguments=("k",), raw=_sum_largest, domain=WHOLE_NUMBER, range=_sum_largest_range, slope=members_rise,
        curvature=_sum_largest_curvature,
        smoothness=lambda x, groups, k: graded(_sum_largest_curvature(x, groups, k) != 0, NONSMOOTH),
        summary=("all numbers", "nondecreasing", "convex", "nonsmooth where the k-th and next are equal"),
        derivative=_largest_k, lowering=_sum_largest_lowering,
        reduction_form="sum_largest", quadratic_form=None, empty=0.0,
        latex=r"\operatorname{sum\_largest}_{#2}\left(#1\right)", source="Boyd and Vandenberghe 2004, example 3.6",
        examples=((([1.0, -3.0, 2.0], 2.0), 3.0),),
    ),
    _truth("any", "1 when a member is true (not 0), otherwise 0", lambda x, groups: groups.any(x != 0), 0.0,
           r"\bigvee #1", ((([0.0, 1.0],), 1.0),)),
    _truth("all", "1 when every member is true (not 0), otherwise 0", lambda x, groups: groups.all(x != 0), 1.0,
           r"\bigwedge #1", ((([0.0, 1.0],), 0.0),)),
)
