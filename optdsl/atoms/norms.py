"""Rows of the norms of groups, and of the sum of squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms import graphs
from optdsl.atoms.atom import Atom, Domain, Interval, Smoothness
from optdsl.atoms.group_rules import (
    all_points,
    curved,
    level,
    members_by_sign,
    one_extreme,
    per_group,
    rough_at_zero,
    rough_where_any,
    row_by_row,
    summed,
)
from optdsl.atoms.groups import Groups
from optdsl.atoms.intervals import MARGIN, absolute, graded, interval, outward, squared
from optdsl.atoms.rows import EVERYWHERE, folds

SMOOTH, NONSMOOTH, DISCONTINUOUS = Smoothness.SMOOTH, Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS
BOYD = "Boyd and Vandenberghe 2004, section 3.1.5"
BEYOND_AXES = "one CVXPY atom for each group: CVXPY's has no axis argument"
LIST = ([1.0, -3.0, 2.0],)


def _two_norm(x: Any, groups: Groups) -> Any:
    largest = groups.max(np.abs(x))
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    scaled = x / groups.spread(scale)
    return np.where(groups.count == 0, 0.0, scale * np.sqrt(groups.sum(scaled * scaled)))


def _p_norm(x: Any, groups: Groups, p: Any) -> Any:
    p = per_group(groups, p)
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
    rough = np.where(polyhedral, kinks, rough_at_zero(x, groups) != int(SMOOTH))
    bends = (value > 1) & (value < 2) & groups.any((x.lo <= 0) & (x.hi >= 0))
    level = np.where(rough, int(NONSMOOTH), np.where(bends, int(Smoothness.C1), int(SMOOTH)))
    return np.where(all_points(x, groups), int(SMOOTH), level)


def _p_norm_derivative(F: Any, x: Any, groups: Any, result: Any, p: Any) -> tuple[Any, ...]:
    """sign(x) (|x| / norm)^(p - 1); for p = inf equal parts for the largest sizes."""
    share = F.abs(x) * F.inv(groups.spread(result))
    if np.all(np.isinf(p)):
        return (F.sign(x) * one_extreme(F, F.abs(x), groups, result), None)
    power = groups.spread(np.broadcast_to(p, groups.count.shape)) - 1.0
    return (F.sign(x) * F.select(power, F.pow(share, power), 1.0), None)


def _p_lowering(cp: Any, x: Any, p: Any) -> Any:
    exponents = np.unique(np.asarray(p, dtype=np.float64))
    if exponents.size != 1:
        raise ValueError("the lowering of norm takes one p at a time")
    value = float(exponents[0])
    if value in (1.0, 2.0) or np.isinf(value):
        return cp.norm(x, "inf" if np.isinf(value) else int(value), axis=1)
    return row_by_row(cp, x, lambda row: cp.pnorm(row, value))



AT_LEAST_ONE = Domain("p >= 1 (inf allowed)", lambda x, groups, p: per_group(groups, p) >= 1, None)

NORMS: tuple[Atom, ...] = (
    folds(
        name="norm1", formula="the sum of the members' sizes |x|", parameters=("x",), arity=(1, 1),
        raw=lambda x, groups: groups.sum(np.abs(x)), domain=EVERYWHERE,
        range=lambda x, groups: summed(absolute(x), groups, floor=0.0), slope=members_by_sign,
        curvature=lambda x, groups: np.where(groups.any((x.lo < 0) & (x.hi > 0)), 1.0, 0.0),
        smoothness=rough_where_any(lambda x: (x.lo < 0) & (x.hi > 0), NONSMOOTH),
        summary=("[0, inf)", "each: decreasing below 0, increasing above", "convex", "nonsmooth where a member is 0"),
        derivative=lambda F, x, groups, result: (F.sign(x),), lowering=lambda cp, x: cp.norm(x, 1, axis=1),
        reduction_form="sum_abs", quadratic_form=None, empty=0.0, latex=r"\left\|#1\right\|_{1}", source=BOYD,
        examples=((LIST, 6.0),),
    ),
    folds(
        name="norm2", graph=graphs.norm2,
        formula="the square root of the sum of squares", parameters=("x",), arity=(1, 1),
        raw=_two_norm, domain=EVERYWHERE,
        range=lambda x, groups: _p_norm_range(x, groups, interval(2.0, 2.0)), slope=members_by_sign,
        curvature=curved(1.0), smoothness=rough_at_zero,
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
        slope=members_by_sign, curvature=curved(1.0),
        smoothness=lambda x, groups: graded(~all_points(x, groups), NONSMOOTH),
        summary=("[0, inf)", "each: nonincreasing below 0, nondecreasing above", "convex",
                 "nonsmooth where two sizes are equal"),
        derivative=lambda F, x, groups, result: (F.sign(x) * one_extreme(F, F.abs(x), groups, result),),
        lowering=lambda cp, x: cp.norm(x, "inf", axis=1), reduction_form="max_abs", quadratic_form=None, empty=0.0,
        latex=r"\left\|#1\right\|_{\infty}", source=BOYD, examples=((LIST, 3.0),),
    ),
    folds(
        name="norm", graph=graphs.p_norm,
        formula="(sum of |x|^p)^(1/p); the largest |x| for p = inf", parameters=("x", "p"), arity=(2, 2),
        data_arguments=("p",), raw=_p_norm, domain=AT_LEAST_ONE, range=_p_norm_range, slope=members_by_sign,
        curvature=curved(1.0), smoothness=_p_norm_smoothness,
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
        range=lambda x, groups: summed(squared(x), groups, floor=0.0), slope=members_by_sign, curvature=curved(1.0),
        smoothness=level(SMOOTH),
        summary=("[0, inf)", "each: decreasing below 0, increasing above", "convex", "smooth"),
        derivative=lambda F, x, groups, result: (2.0 * x,), lowering=lambda cp, x: cp.sum(cp.square(x), axis=1),
        reduction_form="sum_squares", quadratic_form="sum_squares", empty=0.0, latex=r"\left\|#1\right\|_{2}^{2}",
        source=BOYD, examples=((LIST, 14.0),),
    ),
)
