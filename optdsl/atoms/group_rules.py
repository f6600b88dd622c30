"""Rules that rows of reductions share."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms.atom import Array, Interval, Smoothness
from optdsl.atoms.groups import Groups
from optdsl.atoms.intervals import MARGIN, by_pieces, graded, outward

SMOOTH, NONSMOOTH = Smoothness.SMOOTH, Smoothness.NONSMOOTH


def per_group(groups: Groups, value: Any) -> Array:
    """A data argument, one value for each group."""
    return np.broadcast_to(np.asarray(value, dtype=np.float64), groups.count.shape)


def sum_slack(groups: Groups, x: Interval) -> Array:
    """What rounding may add to a sum of the members: their number times the unit in the last place of the sizes."""
    sizes = np.where(np.isfinite(x.lo), np.abs(x.lo), 0.0) + np.where(np.isfinite(x.hi), np.abs(x.hi), 0.0)
    return MARGIN * groups.count * groups.sum(sizes)


def summed(x: Interval, groups: Groups, floor: float = -np.inf) -> Interval:
    with np.errstate(all="ignore"):
        slack = sum_slack(groups, x)
        return outward(groups.sum(x.lo) - slack, groups.sum(x.hi) + slack, floor=floor)


def all_points(x: Interval, groups: Groups) -> Any:
    return groups.all(x.is_point)


def curved(sign: float) -> Any:
    """The curvature rule of a reduction with one curvature; 0 for groups of numbers."""
    return lambda x, groups, *extra: np.where(all_points(x, groups), 0.0, sign)


def members_rise(x: Interval, groups: Groups, *extra: Interval) -> tuple[Array, ...]:
    unknown = (np.full(np.shape(e.lo), np.nan) for e in extra)
    return (np.where(x.is_point, 0.0, 1.0), *unknown)


def members_by_sign(x: Interval, groups: Groups, *extra: Interval) -> tuple[Array, ...]:
    unknown = (np.full(np.shape(e.lo), np.nan) for e in extra)
    return (by_pieces(x, (0.0,), (-1.0, 1.0)), *unknown)


def level(level: Smoothness) -> Any:
    return lambda x, groups, *extra: np.full(np.shape(groups.any(x.lo < x.hi)), int(level), dtype=np.int64)


def rough_where_any(trouble: Any, level: Smoothness) -> Any:
    return lambda x, groups, *extra: graded(groups.any(trouble(x) & ~x.is_point), level)


def rough_at_zero(x: Interval, groups: Groups, *extra: Interval) -> Any:
    """Nonsmooth where all members can be zero at once."""
    return graded(groups.all((x.lo <= 0) & (x.hi >= 0)) & ~all_points(x, groups), NONSMOOTH)


def one_extreme(F: Any, x: Any, groups: Any, result: Any) -> Any:
    """Equal parts for the members that attain the extreme: one of its subgradients."""
    attains = 1.0 - F.abs(F.sign(x - groups.spread(result)))
    return attains * F.inv(groups.spread(groups.sum(attains)))


def row_by_row(cp: Any, x: Any, function: Any) -> Any:
    return cp.hstack([function(x[i]) for i in range(x.shape[0])])


