"""Rows of the reductions: one result for each group of members."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms.atom import Absent, Array, Atom, Domain, Interval, Smoothness
from optdsl.atoms.groups import Groups
from optdsl.atoms.intervals import MARGIN, absolute, by_pieces, graded, interval, outward, squared
from optdsl.atoms.rows import EVERYWHERE, folds

SMOOTH, NONSMOOTH, DISCONTINUOUS = Smoothness.SMOOTH, Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS
BOYD = "Boyd and Vandenberghe 2004, section 3.1.5"
BEYOND_AXES = "one CVXPY atom for each group: CVXPY's has no axis argument"


def _number(groups: Groups, value: Any) -> Array:
    """A data argument, one value for each group."""
    return np.broadcast_to(np.asarray(value, dtype=np.float64), groups.count.shape)


def _slack(groups: Groups, x: Interval) -> Array:
    """What rounding may add to a sum of the members: their number times the unit in the last place of the sizes."""
    sizes = np.where(np.isfinite(x.lo), np.abs(x.lo), 0.0) + np.where(np.isfinite(x.hi), np.abs(x.hi), 0.0)
    return MARGIN * groups.count * groups.sum(sizes)


def _summed(x: Interval, groups: Groups, floor: float = -np.inf) -> Interval:
    with np.errstate(all="ignore"):
        slack = _slack(groups, x)
        return outward(groups.sum(x.lo) - slack, groups.sum(x.hi) + slack, floor=floor)


def _all_points(x: Interval, groups: Groups) -> Any:
    return groups.all(x.is_point)


def _curved(sign: float) -> Any:
    """The curvature rule of a reduction with one curvature; 0 for groups of numbers."""
    return lambda x, groups, *extra: np.where(_all_points(x, groups), 0.0, sign)


def _rising(x: Interval, groups: Groups, *extra: Interval) -> tuple[Array, ...]:
    unknown = (np.full(np.shape(e.lo), np.nan) for e in extra)
    return (np.where(x.is_point, 0.0, 1.0), *unknown)


def _by_sign(x: Interval, groups: Groups, *extra: Interval) -> tuple[Array, ...]:
    unknown = (np.full(np.shape(e.lo), np.nan) for e in extra)
    return (by_pieces(x, (0.0,), (-1.0, 1.0)), *unknown)


def _level(level: Smoothness) -> Any:
    return lambda x, groups, *extra: np.full(np.shape(groups.any(x.lo < x.hi)), int(level), dtype=np.int64)


def _rough_where_any(trouble: Any, level: Smoothness) -> Any:
    return lambda x, groups, *extra: graded(groups.any(trouble(x) & ~x.is_point), level)


def _rough_at_zero(x: Interval, groups: Groups, *extra: Interval) -> Any:
    """Nonsmooth where all members can be zero at once."""
    return graded(groups.all((x.lo <= 0) & (x.hi >= 0)) & ~_all_points(x, groups), NONSMOOTH)


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
    return outward(lo, hi)


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


def _one_extreme(F: Any, x: Any, groups: Any, result: Any) -> Any:
    """Equal parts for the members that attain the extreme: one of its subgradients."""
    attains = 1.0 - F.abs(F.sign(x - groups.spread(result)))
    return attains * F.inv(groups.spread(groups.sum(attains)))


# norms -----------------------------------------------------------------------------------------------------------


def _two_norm(x: Any, groups: Groups) -> Any:
    largest = groups.max(np.abs(x))
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    scaled = x / groups.spread(scale)
    return np.where(groups.count == 0, 0.0, scale * np.sqrt(groups.sum(scaled * scaled)))


def _p_norm(x: Any, groups: Groups, p: Any) -> Any:
    p = _number(groups, p)
    size = np.abs(x)
    largest = np.maximum(groups.max(size), 0.0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    finite = np.where(np.isinf(p), 1.0, p)
    total = groups.sum(np.power(size / groups.spread(scale), groups.spread(finite)))
    return np.where(np.isinf(p), largest, scale * np.power(total, 1.0 / finite))


def _p_norm_range(x: Interval, groups: Groups, p: Interval) -> Interval:
    """Between the norms of the smallest and largest sizes; not more than the 1-norm when p is not known."""
    size = absolute(x)
    with np.errstate(all="ignore"):
        lo = _p_norm(size.lo, groups, p.hi)
        hi = _p_norm(size.hi, groups, p.lo)
        wide = MARGIN * (groups.count + 10)
        return outward(lo * (1 - wide), hi * (1 + wide), floor=0.0)


def _p_norm_smoothness(x: Interval, groups: Groups, p: Interval) -> Any:
    value = np.where(p.is_point, p.lo, np.nan)
    polyhedral = (value == 1) | np.isinf(value) | np.isnan(value)
    kinks = groups.any((x.lo < 0) & (x.hi > 0)) & (value == 1) | polyhedral & (value != 1)
    rough = np.where(polyhedral, kinks, _rough_at_zero(x, groups) != int(SMOOTH))
    bends = (value > 1) & (value < 2) & groups.any((x.lo <= 0) & (x.hi >= 0))
    level = np.where(rough, int(NONSMOOTH), np.where(bends, int(Smoothness.C1), int(SMOOTH)))
    return np.where(_all_points(x, groups), int(SMOOTH), level)


def _p_norm_derivative(F: Any, x: Any, groups: Any, result: Any, p: Any) -> tuple[Any, ...]:
    """sign(x) (|x| / norm)^(p - 1); for p = inf equal parts for the largest sizes."""
    share = F.abs(x) * F.inv(groups.spread(result))
    if np.all(np.isinf(p)):
        return (F.sign(x) * _one_extreme(F, F.abs(x), groups, result), None)
    power = groups.spread(np.broadcast_to(p, groups.count.shape)) - 1.0
    return (F.sign(x) * F.select(power, F.pow(share, power), 1.0), None)


def _p_lowering(cp: Any, x: Any, p: Any) -> Any:
    exponents = np.unique(np.asarray(p, dtype=np.float64))
    if exponents.size != 1:
        raise ValueError("the lowering of norm takes one p at a time")
    value = float(exponents[0])
    if value in (1.0, 2.0) or np.isinf(value):
        return cp.norm(x, "inf" if np.isinf(value) else int(value), axis=1)
    return _rows(cp, x, lambda row: cp.pnorm(row, value))


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


def _rows(cp: Any, x: Any, function: Any) -> Any:
    return cp.hstack([function(x[i]) for i in range(x.shape[0])])


NOT_NEGATIVE = Domain(
    "every member >= 0",
    lambda x, groups: groups.all(x >= 0),
    lambda x, groups: (interval(np.maximum(x.lo, 0.0), x.hi),),
)


# sum_largest -----------------------------------------------------------------------------------------------------


def _sum_largest(x: Any, groups: Groups, k: Any) -> Any:
    chosen = groups.descending_rank(x) < groups.spread(_number(groups, k))
    return np.where(groups.any(np.isnan(x)), np.nan, groups.sum(np.where(chosen, x, 0.0)))


def _sum_largest_range(x: Interval, groups: Groups, k: Interval) -> Interval:
    if not np.all(k.is_point):
        shape = groups.count.shape
        return Interval(np.full(shape, -np.inf), np.full(shape, np.inf))
    with np.errstate(all="ignore"):
        slack = _slack(groups, x)
        return outward(_sum_largest(x.lo, groups, k.lo) - slack, _sum_largest(x.hi, groups, k.hi) + slack)


def _sum_largest_curvature(x: Interval, groups: Groups, k: Interval) -> Array:
    everything = k.is_point & ((k.lo >= groups.count) | (k.lo <= 0))
    return np.where(_all_points(x, groups) | everything, 0.0, 1.0)


def _largest_k(F: Any, x: Any, groups: Any, result: Any, k: Any) -> tuple[Any, ...]:
    rank = groups.descending_rank(x)
    return (F.select(groups.spread(np.broadcast_to(k, groups.count.shape)) - rank, 1.0, 0.0), None)


def _sum_largest_lowering(cp: Any, x: Any, k: Any) -> Any:
    counts = np.unique(np.asarray(k, dtype=np.int64))
    if counts.size != 1:
        raise ValueError("the lowering of sum_largest takes one k at a time")
    if counts[0] == 0:
        return cp.Constant(np.zeros(x.shape[0]))
    return _rows(cp, x, lambda row: cp.sum_largest(row, int(counts[0])))


WHOLE_NUMBER = Domain(
    "k a whole number from 0 to the number of members",
    lambda x, groups, k: (_number(groups, k) >= 0) & (_number(groups, k) <= groups.count)
    & (np.floor(_number(groups, k)) == k),
    None,
)
AT_LEAST_ONE = Domain("p >= 1 (inf allowed)", lambda x, groups, p: _number(groups, p) >= 1, None)


def _truth(name: str, formula: str, raw: Any, value: float, latex: str, example: Any) -> Atom:
    """any and all: of data, 1 for true and 0 for false."""
    return folds(
        name=name, formula=formula, parameters=("x",), arity=(1, 1), data_arguments=("x",), raw=raw,
        domain=EVERYWHERE,
        range=lambda x, groups: interval(np.zeros(groups.any(x.lo > 0).shape), np.ones(groups.any(x.lo > 0).shape)),
        slope=lambda x, groups: (np.full(np.shape(x.lo), np.nan),),
        curvature=_curved(np.nan), smoothness=_level(DISCONTINUOUS),
        summary=("{0, 1}", "none", "neither", "discontinuous"), derivative=Absent("a function of data alone"),
        lowering=Absent("a function of data alone"), reduction_form=None, quadratic_form=None, empty=value,
        latex=latex, source="Iverson 1962", examples=example,
    )


LIST = ([1.0, -3.0, 2.0],)

REDUCTIONS: tuple[Atom, ...] = (
    folds(
        name="sum", formula="the sum of the members", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.sum(x), domain=EVERYWHERE, range=_summed, slope=_rising, curvature=_curved(0.0),
        smoothness=_level(SMOOTH), summary=("all numbers", "increasing", "affine", "smooth"),
        derivative=lambda F, x, groups, result: (1.0,), lowering=lambda cp, x: cp.sum(x, axis=1),
        reduction_form="sum", quadratic_form=None, empty=0.0, latex=r"\sum #1", source=BOYD,
        examples=((LIST, 0.0),),
    ),
    folds(
        name="prod", formula="the product of the members", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.prod(x), domain=EVERYWHERE, range=_prod_range, slope=_prod_slope,
        curvature=_prod_curvature, smoothness=_level(SMOOTH),
        summary=("all numbers", "by the sign of the other members", "affine when one member varies, otherwise neither",
                 "smooth"),
        derivative=_prod_derivative, lowering=lambda cp, x: cp.prod(x, axis=1), reduction_form=None,
        quadratic_form=None, empty=1.0, latex=r"\prod #1", source="Boyd et al. 2007 (geometric programs)",
        examples=((LIST, -6.0),),
    ),
    folds(
        name="mean", formula="the sum of the members over their number", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.sum(x) / groups.count, domain=EVERYWHERE,
        range=lambda x, groups: _mean_range(x, groups), slope=_rising, curvature=_curved(0.0),
        smoothness=_level(SMOOTH), summary=("all numbers", "increasing", "affine", "smooth"),
        derivative=lambda F, x, groups, result: (1.0 / groups.spread(groups.count),),
        lowering=lambda cp, x: cp.sum(x, axis=1) / x.shape[1], reduction_form="mean", quadratic_form=None, empty=None,
        latex=r"\operatorname{mean}\left(#1\right)", source=BOYD, examples=((LIST, 0.0),),
    ),
    folds(
        name="max", formula="the largest member", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.max(x), domain=EVERYWHERE,
        range=lambda x, groups: interval(groups.max(x.lo), groups.max(x.hi)), slope=_rising,
        curvature=_max_curvature,
        smoothness=lambda x, groups: graded(_max_curvature(x, groups) != 0, NONSMOOTH),
        summary=("all numbers", "nondecreasing", "convex", "nonsmooth where two are equal"),
        derivative=lambda F, x, groups, result: (_one_extreme(F, x, groups, result),),
        lowering=lambda cp, x: cp.max(x, axis=1), reduction_form="max", quadratic_form=None, empty=None,
        latex=r"\max #1", source=BOYD, examples=((LIST, 2.0),),
    ),
    folds(
        name="min", formula="the smallest member", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.min(x), domain=EVERYWHERE,
        range=lambda x, groups: interval(groups.min(x.lo), groups.min(x.hi)), slope=_rising,
        curvature=lambda x, groups: -_max_curvature(_mirrored(x), groups),
        smoothness=lambda x, groups: graded(_max_curvature(_mirrored(x), groups) != 0, NONSMOOTH),
        summary=("all numbers", "nondecreasing", "concave", "nonsmooth where two are equal"),
        derivative=lambda F, x, groups, result: (_one_extreme(F, x, groups, result),),
        lowering=lambda cp, x: cp.min(x, axis=1), reduction_form="min", quadratic_form=None, empty=None,
        latex=r"\min #1", source=BOYD, examples=((LIST, -3.0),),
    ),
    folds(
        name="norm1", formula="the sum of the members' sizes |x|", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.sum(np.abs(x)), domain=EVERYWHERE,
        range=lambda x, groups: _summed(absolute(x), groups, floor=0.0), slope=_by_sign,
        curvature=lambda x, groups: np.where(groups.any((x.lo < 0) & (x.hi > 0)), 1.0, 0.0),
        smoothness=_rough_where_any(lambda x: (x.lo < 0) & (x.hi > 0), NONSMOOTH),
        summary=("[0, inf)", "each: decreasing below 0, increasing above", "convex", "nonsmooth where a member is 0"),
        derivative=lambda F, x, groups, result: (F.sign(x),), lowering=lambda cp, x: cp.norm(x, 1, axis=1),
        reduction_form="sum_abs", quadratic_form=None, empty=0.0, latex=r"\left\|#1\right\|_{1}", source=BOYD,
        examples=((LIST, 6.0),),
    ),
    folds(
        name="norm2", formula="the square root of the sum of squares", parameters=("x",), arity=(1, 1),
        raw=_two_norm, domain=EVERYWHERE,
        range=lambda x, groups: _p_norm_range(x, groups, interval(2.0, 2.0)), slope=_by_sign, curvature=_curved(1.0),
        smoothness=_rough_at_zero,
        summary=("[0, inf)", "each: decreasing below 0, increasing above", "convex", "nonsmooth where all are 0"),
        derivative=lambda F, x, groups, result: (x * F.inv(groups.spread(result)),),
        lowering=lambda cp, x: cp.norm(x, 2, axis=1), reduction_form=None, quadratic_form=None, empty=0.0,
        latex=r"\left\|#1\right\|_{2}", source=BOYD, examples=((([3.0, 4.0],), 5.0), (([3e200, 4e200],), 5e200)),
    ),
    folds(
        name="norminf", formula="the largest size |x|", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: np.maximum(groups.max(np.abs(x)), 0.0), domain=EVERYWHERE,
        range=lambda x, groups: interval(
            np.maximum(groups.max(absolute(x).lo), 0.0), np.maximum(groups.max(absolute(x).hi), 0.0)
        ),
        slope=_by_sign, curvature=_curved(1.0),
        smoothness=lambda x, groups: graded(~_all_points(x, groups), NONSMOOTH),
        summary=("[0, inf)", "each: nonincreasing below 0, nondecreasing above", "convex",
                 "nonsmooth where two sizes are equal"),
        derivative=lambda F, x, groups, result: (F.sign(x) * _one_extreme(F, F.abs(x), groups, result),),
        lowering=lambda cp, x: cp.norm(x, "inf", axis=1), reduction_form="max_abs", quadratic_form=None, empty=0.0,
        latex=r"\left\|#1\right\|_{\infty}", source=BOYD, examples=((LIST, 3.0),),
    ),
    folds(
        name="norm", formula="(sum of |x|^p)^(1/p); the largest |x| for p = inf", parameters=("x", "p"), arity=(2, 2),
        data_arguments=("p",), raw=_p_norm, domain=AT_LEAST_ONE, range=_p_norm_range, slope=_by_sign,
        curvature=_curved(1.0), smoothness=_p_norm_smoothness,
        summary=("[0, inf)", "each: nonincreasing below 0, nondecreasing above", "convex",
                 "nonsmooth where all are 0; for p = 1 and p = inf as norm1 and norminf"),
        derivative=_p_norm_derivative, lowering=_p_lowering, reduction_form=None, quadratic_form=None, empty=0.0,
        latex=r"\left\|#1\right\|_{#2}", source=BOYD,
        examples=(
            (([3.0, 4.0], 2.0), 5.0), (([1.0, -2.0, 2.0], 3.0), 2.5712815906582355), (([1.0, -2.0], np.inf), 2.0),
        ),
    ),
    folds(
        name="sumsq", formula="the sum of squares", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.sum(x * x), domain=EVERYWHERE,
        range=lambda x, groups: _summed(squared(x), groups, floor=0.0), slope=_by_sign, curvature=_curved(1.0),
        smoothness=_level(SMOOTH),
        summary=("[0, inf)", "each: decreasing below 0, increasing above", "convex", "smooth"),
        derivative=lambda F, x, groups, result: (2.0 * x,), lowering=lambda cp, x: cp.sum(cp.square(x), axis=1),
        reduction_form="sum_squares", quadratic_form="sum_squares", empty=0.0, latex=r"\left\|#1\right\|_{2}^{2}",
        source=BOYD, examples=((LIST, 14.0),),
    ),
    folds(
        name="logsumexp", formula="log of the sum of e^x", parameters=("x",), arity=(1, 1), raw=_log_sum_exp,
        domain=EVERYWHERE, range=_log_sum_exp_range, slope=_rising, curvature=_curved(1.0),
        smoothness=_level(SMOOTH), summary=("all numbers", "increasing", "convex", "smooth"),
        derivative=lambda F, x, groups, result: (F.exp(x - groups.spread(result)),),
        lowering=lambda cp, x: cp.log_sum_exp(x, axis=1), reduction_form=None, quadratic_form=None, empty=None,
        latex=r"\log \sum e^{#1}", source=BOYD,
        examples=((([0.0, 0.0],), 0.6931471805599453), (([1000.0, 1000.0],), 1000.6931471805599)),
    ),
    folds(
        name="geo_mean", formula="the n-th root of the product of n members", parameters=("x",), arity=(1, 1),
        raw=_geometric, domain=NOT_NEGATIVE, range=_ordered(_geometric, 0.0, 800.0), slope=_rising,
        curvature=_curved(-1.0), smoothness=_rough_where_any(lambda x: x.lo <= 0, NONSMOOTH),
        summary=("[0, inf)", "nondecreasing", "concave", "smooth for positive members"),
        derivative=lambda F, x, groups, result: (groups.spread(result / groups.count) * F.inv(x),),
        lowering=lambda cp, x: _rows(cp, x, cp.geo_mean), reduction_form=None, quadratic_form=None, empty=None,
        latex=r"\operatorname{geo\_mean}\left(#1\right)", source=BOYD, examples=((([1.0, 4.0],), 2.0),),
    ),
    folds(
        name="harmonic_mean", formula="n over the sum of 1 / x of n members; 0 when one is 0", parameters=("x",),
        arity=(1, 1), raw=_harmonic, domain=NOT_NEGATIVE, range=_ordered(_harmonic, 0.0, 0.0), slope=_rising,
        curvature=_curved(-1.0), smoothness=_rough_where_any(lambda x: x.lo <= 0, NONSMOOTH),
        summary=("[0, inf)", "nondecreasing", "concave", "smooth for positive members"),
        derivative=lambda F, x, groups, result: (
            F.square(groups.spread(result) * F.inv(x)) / groups.spread(groups.count),
        ),
        lowering=lambda cp, x: _rows(cp, x, cp.harmonic_mean), reduction_form=None, quadratic_form=None, empty=None,
        latex=r"\operatorname{harmonic\_mean}\left(#1\right)",
        source="Boyd and Vandenberghe 2004, section 3.2.4 and exercise 3.17", examples=((([1.0, 3.0],), 1.5),),
    ),
    folds(
        name="sum_largest", formula="the sum of the k largest members", parameters=("x", "k"), arity=(2, 2),
        data_arguments=("k",), raw=_sum_largest, domain=WHOLE_NUMBER, range=_sum_largest_range, slope=_rising,
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


def _mean_range(x: Interval, groups: Groups) -> Interval:
    total = _summed(x, groups)
    with np.errstate(all="ignore"):
        return outward(total.lo / groups.count, total.hi / groups.count)
