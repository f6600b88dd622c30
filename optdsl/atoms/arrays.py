"""Rows of products, running sums, differences, total variation and softmax of arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optdsl.atoms.atom import Absent, Array, Atom, Domain, Interval, Shapes, Smoothness
from optdsl.atoms.intervals import MARGIN, absolute, graded, intersect, interval, outward, times
from optdsl.atoms.linear_algebra import interval_matmul
from optdsl.atoms.rows import EVERYWHERE, batched, rising, whole

SMOOTH, NONSMOOTH, DISCONTINUOUS = Smoothness.SMOOTH, Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS
BOYD = "Boyd and Vandenberghe 2004, section 3.1.5"
AFFINE = ("as the entries", "nondecreasing", "affine", "smooth")


def _all_points(box: Interval, batch: int) -> Any:
    return box.is_point.all(axis=tuple(range(batch, box.lo.ndim)))


def _affine_to(axes: int) -> Any:
    """Affine, in the shape of a result with this many axes."""
    return lambda *boxes, batch=0: batched(boxes[0], batch, 0.0, axes)


def _smooth_to(axes: int) -> Any:
    return lambda *boxes, batch=0: batched(boxes[0], batch, int(SMOOTH), axes)


def _vectors(*shapes: tuple[int, ...]) -> None:
    for shape in shapes:
        if len(shape) != 1:
            raise ValueError(f"a vector is needed, not shape {shape}")


# dot and outer ---------------------------------------------------------------------------------------------------


def _dot_shape(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
    _vectors(x, y)
    if x != y:
        raise ValueError(f"vectors of equal length are needed, not {x[0]} and {y[0]}")
    return ()


def _dot_range(x: Interval, y: Interval, batch: int = 0) -> Interval:
    low, high = interval_matmul(x.lo, x.hi, y.lo, y.hi)
    with np.errstate(all="ignore"):
        size = absolute(x).hi * absolute(y).hi
        slack = MARGIN * x.lo.shape[-1] * np.where(np.isfinite(size), size, 0.0).sum(axis=-1)
        return outward(low - slack, high + slack)


def _sign(box: Interval) -> Array:
    return np.where(box.lo >= 0, np.where(box.hi > 0, 1.0, 0.0), np.where(box.hi <= 0, -1.0, np.nan))


def _dot_slope(x: Interval, y: Interval, batch: int = 0) -> tuple[Array, ...]:
    return np.where(x.is_point, 0.0, _sign(y)), np.where(y.is_point, 0.0, _sign(x))


def _dot_curvature(x: Interval, y: Interval, batch: int = 0) -> Array:
    """Affine when in every product at most one factor varies."""
    return np.where((x.is_point | y.is_point).all(axis=-1), 0.0, np.nan)


def _outer_shape(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
    _vectors(x, y)
    return (*x, *y)


def _outer_range(x: Interval, y: Interval, batch: int = 0) -> Interval:
    return times(Interval(*(end[..., :, None] for end in x)), Interval(*(end[..., None, :] for end in y)))


def _outer_slope(x: Interval, y: Interval, batch: int = 0) -> tuple[Array, ...]:
    """Each entry of x meets every entry of y: a slope when these agree in sign."""

    def common(box: Interval) -> Array:
        return _sign(Interval(box.lo.min(axis=-1, keepdims=True), box.hi.max(axis=-1, keepdims=True)))

    return np.where(x.is_point, 0.0, common(y)), np.where(y.is_point, 0.0, common(x))


def _outer_curvature(x: Interval, y: Interval, batch: int = 0) -> Array:
    return np.where(x.is_point[..., :, None] | y.is_point[..., None, :], 0.0, np.nan)


# cumsum, diff, conv ----------------------------------------------------------------------------------------------


def _has_axis(shape: tuple[int, ...]) -> None:
    if not shape:
        raise ValueError("an array is needed, not a number")


def _same_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    _has_axis(shape)
    return shape


def _diff_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    _has_axis(shape)
    return (*shape[:-1], max(shape[-1] - 1, 0))


def _cumsum_range(x: Interval, batch: int = 0) -> Interval:
    with np.errstate(all="ignore"):
        size = absolute(x).hi
        slack = MARGIN * x.lo.shape[-1] * np.cumsum(np.where(np.isfinite(size), size, 0.0), axis=-1)
        return outward(np.cumsum(x.lo, axis=-1) - slack, np.cumsum(x.hi, axis=-1) + slack)


def _diff_range(x: Interval, batch: int = 0) -> Interval:
    with np.errstate(all="ignore"):
        return outward(x.lo[..., 1:] - x.hi[..., :-1], x.hi[..., 1:] - x.lo[..., :-1])


def _diff_slope(x: Interval, batch: int = 0) -> tuple[Array, ...]:
    """An entry raises one difference and lowers the next: only the first and last entries have one slope."""
    count = x.lo.shape[-1]
    sign = np.full(x.lo.shape, np.nan)
    if count == 1:
        sign[...] = 0.0
    elif count:
        sign[..., 0], sign[..., -1] = -1.0, 1.0
    return (np.where(x.is_point, 0.0, sign),)


def _diff_pullback(F: Any, seed: Any, result: Any, x: Any, batch: int = 0) -> Any:
    count = np.shape(x)[-1]
    lower = F.place(seed, (..., slice(1, count)), np.shape(x))
    return (lower - F.place(seed, (..., slice(0, max(count - 1, 0))), np.shape(x)),)


def _axes_like(value: Any) -> Any:
    """A constant answer in the result's number of axes, for functions that keep the argument's."""
    return lambda x, batch=0: batched(x, batch, value, x.lo.ndim - batch)


def _conv(a: Any, x: Any, batch: int) -> Any:
    """Full convolution along the last axis: every overlap, the ends padded with zeros."""
    reach = a.shape[-1] - 1
    padded = np.concatenate([np.zeros((*x.shape[:-1], reach)), x, np.zeros((*x.shape[:-1], reach))], axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, a.shape[-1], axis=-1)
    return (windows @ a[..., ::-1, None])[..., 0]


def _conv_shape(a: tuple[int, ...], x: tuple[int, ...]) -> tuple[int, ...]:
    _vectors(a, x)
    if a[0] == 0 or x[0] == 0:
        raise ValueError("both vectors need entries")
    return (a[0] + x[0] - 1,)


def _conv_range(a: Interval, x: Interval, batch: int = 0) -> Interval:
    """By the four corner products of sign parts; coefficients that are not known exactly give no bound."""
    positive, negative = np.maximum(a.lo, 0.0), np.maximum(-a.lo, 0.0)
    finite = Interval(np.where(np.isfinite(x.lo), x.lo, 0.0), np.where(np.isfinite(x.hi), x.hi, 0.0))
    low = _conv(positive, finite.lo, batch) - _conv(negative, finite.hi, batch)
    high = _conv(positive, finite.hi, batch) - _conv(negative, finite.lo, batch)
    slack = MARGIN * a.lo.shape[-1] * _conv(np.abs(a.lo), absolute(finite).hi, batch)
    no_low = _conv(positive, 1.0 * np.isinf(x.lo), batch) + _conv(negative, 1.0 * np.isinf(x.hi), batch) > 0
    no_high = _conv(positive, 1.0 * np.isinf(x.hi), batch) + _conv(negative, 1.0 * np.isinf(x.lo), batch) > 0
    unknown = ~_all_points(a, batch)[..., None]
    box = outward(low - slack, high + slack)
    return interval(np.where(no_low | unknown, -np.inf, box.lo), np.where(no_high | unknown, np.inf, box.hi))


def _conv_slope(a: Interval, x: Interval, batch: int = 0) -> tuple[Array, ...]:
    sign = _sign(Interval(a.lo.min(axis=-1, keepdims=True), a.hi.max(axis=-1, keepdims=True)))
    return np.full(a.lo.shape, np.nan), np.where(x.is_point, 0.0, sign)


def _conv_pullback(F: Any, seed: Any, result: Any, a: Any, x: Any, batch: int = 0) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(seed), np.shape(a)[-1], axis=-1)
    return None, F.apply(windows, a)


# tv --------------------------------------------------------------------------------------------------------------


def _tv(x: Any, batch: int) -> Any:
    if x.ndim - batch == 1:
        return np.abs(np.diff(x, axis=-1)).sum(axis=-1)
    down, right = np.diff(x, axis=-2)[..., :, :-1], np.diff(x, axis=-1)[..., :-1, :]
    return np.hypot(down, right).sum(axis=(-2, -1))


def _tv_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) not in (1, 2):
        raise ValueError(f"a vector or a matrix is needed, not shape {shape}")
    return ()


def _tv_range(x: Interval, batch: int = 0) -> Interval:
    with np.errstate(all="ignore"):
        if x.lo.ndim - batch == 1:
            steps = absolute(_diff_range(x))
            slack = MARGIN * x.lo.shape[-1]
            return outward(steps.lo.sum(axis=-1) * (1 - slack), steps.hi.sum(axis=-1) * (1 + slack), floor=0.0)
        turned = Interval(np.swapaxes(x.lo, -1, -2), np.swapaxes(x.hi, -1, -2))
        right = absolute(_diff_range(x))
        down = absolute(Interval(*(np.swapaxes(end, -1, -2) for end in _diff_range(turned))))
        slack = MARGIN * math.prod(x.lo.shape[-2:])
        ends = [np.hypot(d[..., :, :-1], r[..., :-1, :]).sum(axis=(-2, -1)) for d, r in zip(down, right, strict=True)]
        return outward(ends[0] * (1 - slack), ends[1] * (1 + slack), floor=0.0)


def _tv_pullback(F: Any, seed: Any, result: Any, x: Any, batch: int = 0) -> Any:
    shape = np.shape(x)
    if len(shape) - batch == 1:
        step = F.sign(np.diff(x, axis=-1)) * F.lift(seed, 1)
        return _diff_pullback(F, step, None, x)
    down, right = np.diff(x, axis=-2)[..., :, :-1], np.diff(x, axis=-1)[..., :-1, :]
    weight = F.lift(seed, 2) * F.inv(F.hypot(down, right))
    first, second = slice(0, -1), slice(1, None)
    gradient = F.place(weight * down, (..., second, first), shape) - F.place(weight * down, (..., first, first), shape)
    gradient = gradient + F.place(weight * right, (..., first, second), shape)
    return (gradient - F.place(weight * right, (..., first, first), shape),)


# quad_over_lin ---------------------------------------------------------------------------------------------------


def _sum_squares(x: Any, batch: int) -> Any:
    return np.square(x).sum(axis=tuple(range(batch, x.ndim)))


def _over_lin_shape(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
    if y != ():
        raise ValueError(f"the denominator is one number, not shape {y}")
    return ()


def _over_lin_range(x: Interval, y: Interval, batch: int = 0) -> Interval:
    size = absolute(x)
    with np.errstate(all="ignore"):
        low, high = _sum_squares(size.lo, batch), _sum_squares(size.hi, batch)
        slack = MARGIN * (math.prod(x.lo.shape[batch:]) + 1)
        lo = low / np.maximum(y.hi, 0.0) * (1 - slack)
        hi = np.where(high == 0, 0.0, high / np.maximum(y.lo, 0.0)) * (1 + slack)
    return outward(np.where(np.isnan(lo), 0.0, lo), hi, floor=0.0)


def _over_lin_slope(x: Interval, y: Interval, batch: int = 0) -> tuple[Array, ...]:
    sign = np.where(x.lo >= 0, 1.0, np.where(x.hi <= 0, -1.0, np.nan))
    return np.where(x.is_point, 0.0, sign), np.where(y.is_point, 0.0, -1.0)


def _over_lin_pullback(F: Any, seed: Any, result: Any, x: Any, y: Any, batch: int = 0) -> Any:
    share = seed * F.inv(y)
    return 2.0 * F.lift(share, np.ndim(x) - batch) * x, -share * result


# softmax ---------------------------------------------------------------------------------------------------------


def _softmax(x: Any, batch: int) -> Any:
    top = x.max(axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(x - np.where(np.isfinite(top), top, 0.0))
    return weights / weights.sum(axis=-1, keepdims=True)


def _softmax_range(x: Interval, batch: int = 0) -> Interval:
    """An entry's share rises with it and falls with the others: the shares at the two opposite corners."""
    with np.errstate(all="ignore"):
        top = np.where(np.isfinite(x.hi), x.hi, 0.0).max(axis=-1, keepdims=True)
        lo, hi = np.exp(x.lo - top), np.exp(x.hi - top)
        others_lo = lo.sum(axis=-1, keepdims=True) - lo
        others_hi = hi.sum(axis=-1, keepdims=True) - hi
        # Subtracting one's own share from the sum may cancel: allow for the rounding of the whole sum.
        slack = MARGIN * x.lo.shape[-1]
        low = lo / (lo + others_hi + slack * hi.sum(axis=-1, keepdims=True))
        high = hi / (hi + np.maximum(others_lo - slack * lo.sum(axis=-1, keepdims=True), 0.0))
    low = np.where(np.isnan(low), 0.0, low * (1 - slack))
    high = np.where(np.isnan(high), 1.0, high * (1 + slack))
    return outward(low, high, floor=0.0, ceiling=1.0)


def _softmax_pullback(F: Any, seed: Any, result: Any, x: Any, batch: int = 0) -> Any:
    return (result * (seed - F.lift(F.total(seed * result, 1), 1)),)


def _softmax_curvature(x: Interval, batch: int = 0) -> Array:
    return np.where(x.is_point.all(axis=-1, keepdims=True), 0.0, np.nan)


VECTOR = [1.0, -2.0, 4.0]

ARRAYS: tuple[Atom, ...] = (
    whole(
        name="dot", formula="the sum of products of entries", parameters=("x", "y"), arity=(2, 2),
        shapes=Shapes("two vectors (n,) to a number", _dot_shape), domain=EVERYWHERE,
        raw=lambda x, y, batch: (x * y).sum(axis=-1), range=_dot_range, slope=_dot_slope, curvature=_dot_curvature,
        smoothness=lambda x, y, batch=0: np.full(np.broadcast_shapes(x.lo.shape[:-1], y.lo.shape[:-1]), int(SMOOTH)),
        summary=("all numbers", "by the sign of the other entry", "affine when one of them is data", "smooth"),
        derivative=lambda F, seed, result, x, y, batch=0: (F.lift(seed, 1) * y, F.lift(seed, 1) * x),
        lowering=lambda cp, x, y: cp.sum(cp.multiply(x, y)), quadratic_form=None, latex=r"#1^{\top} #2",
        source=BOYD, examples=(((VECTOR, [1.0, 1.0, 0.5]), 1.0),),
    ),
    whole(
        name="outer", formula="the matrix of products x[i] y[j]", parameters=("x", "y"), arity=(2, 2),
        shapes=Shapes("vectors (m,), (n,) to (m, n)", _outer_shape), domain=EVERYWHERE,
        raw=lambda x, y, batch: x[..., :, None] * y[..., None, :], range=_outer_range, slope=_outer_slope,
        curvature=_outer_curvature, smoothness=_smooth_to(2),
        summary=("all numbers", "by the sign of the other entries", "affine when one of them is data", "smooth"),
        derivative=lambda F, seed, result, x, y, batch=0: (F.apply(seed, y), F.apply(F.turn(seed), x)),
        lowering=lambda cp, x, y: cp.outer(x, y), quadratic_form=None, latex=r"#1 #2^{\top}", source=BOYD,
        examples=((([1.0, 2.0], [3.0, 4.0]), [[3.0, 4.0], [6.0, 8.0]]),),
    ),
    whole(
        name="cumsum", formula="running sums along the last axis", parameters=("x",), arity=(1, 1),
        shapes=Shapes("array to the same shape", _same_shape), domain=EVERYWHERE,
        raw=lambda x, batch: np.cumsum(x, axis=-1), range=_cumsum_range, slope=rising, curvature=_axes_like(0.0),
        smoothness=_axes_like(int(SMOOTH)), summary=("all numbers", "nondecreasing", "affine", "smooth"),
        derivative=lambda F, seed, result, x, batch=0: (
            np.cumsum(np.asarray(seed)[..., ::-1], axis=-1)[..., ::-1],
        ),
        lowering=lambda cp, x: cp.cumsum(x, axis=len(x.shape) - 1), quadratic_form=None,
        latex=r"\operatorname{cumsum}\left(#1\right)", source=BOYD, examples=(((VECTOR,), [1.0, -1.0, 3.0]),),
    ),
    whole(
        name="diff", formula="differences of neighbors, later less earlier, along the last axis", parameters=("x",),
        arity=(1, 1), shapes=Shapes("array (..., n) to (..., n - 1)", _diff_shape), domain=EVERYWHERE,
        raw=lambda x, batch: np.diff(x, axis=-1), range=_diff_range, slope=_diff_slope, curvature=_axes_like(0.0),
        smoothness=_axes_like(int(SMOOTH)),
        summary=("all numbers", "increasing in the later, decreasing in the earlier entry", "affine", "smooth"),
        derivative=_diff_pullback, lowering=lambda cp, x: cp.diff(x, axis=len(x.shape) - 1), quadratic_form=None,
        latex=r"\operatorname{diff}\left(#1\right)", source=BOYD, examples=(((VECTOR,), [-3.0, 6.0]),),
    ),
    whole(
        name="conv", formula="full convolution: entry k is the sum of a[j] x[k - j]", parameters=("a", "x"),
        arity=(2, 2), data_arguments=("a",), shapes=Shapes("vectors (m,), (n,) to (m + n - 1,)", _conv_shape),
        domain=EVERYWHERE, raw=_conv, range=_conv_range, slope=_conv_slope, curvature=_affine_to(1),
        smoothness=_smooth_to(1), summary=("all numbers", "by the sign of a", "affine", "smooth"),
        derivative=_conv_pullback, lowering=lambda cp, a, x: cp.convolve(a, x), quadratic_form=None,
        latex=r"#1 * #2", source="Oppenheim and Schafer 2009, section 2.3",
        examples=((([1.0, 2.0], [1.0, 0.0, 3.0]), [1.0, 2.0, 3.0, 6.0]),),
    ),
    whole(
        name="tv", formula="of a vector the sum of |differences|, of a matrix the sum of the lengths of its gradients",
        parameters=("x",), arity=(1, 1), shapes=Shapes("vector or matrix to a number", _tv_shape), domain=EVERYWHERE,
        raw=_tv, range=_tv_range,
        slope=lambda x, batch=0: (np.where(x.is_point, 0.0, np.nan),),
        curvature=lambda x, batch=0: np.where(_all_points(x, batch), 0.0, 1.0),
        smoothness=lambda x, batch=0: graded(~_all_points(x, batch), NONSMOOTH),
        summary=("[0, inf)", "unknown", "convex", "nonsmooth where neighbors are equal"), derivative=_tv_pullback,
        lowering=lambda cp, x: cp.tv(x), quadratic_form=None, latex=r"\operatorname{tv}\left(#1\right)",
        source="Rudin, Osher and Fatemi 1992",
        examples=(((VECTOR,), 9.0), (([[0.0, 4.0], [3.0, 1.0]],), 5.0)),
    ),
    whole(
        name="quad_over_lin", formula="the sum of squares of x over y", parameters=("x", "y"), arity=(2, 2),
        shapes=Shapes("array, number to a number", _over_lin_shape),
        domain=Domain(
            "y > 0", lambda x, y, batch=0: y > 0,
            lambda x, y, batch=0: (x, intersect(y, 0.0, np.inf)),
        ),
        raw=lambda x, y, batch: _sum_squares(x, batch) / y, range=_over_lin_range, slope=_over_lin_slope,
        curvature=lambda x, y, batch=0: np.where(_all_points(x, batch) & y.is_point, 0.0, 1.0),
        smoothness=lambda x, y, batch=0: graded(y.lo <= 0, DISCONTINUOUS),
        summary=("[0, inf)", "x: decreasing below 0, increasing above; y: decreasing", "convex", "smooth"),
        derivative=_over_lin_pullback, lowering=lambda cp, x, y: cp.quad_over_lin(x, y), quadratic_form=None,
        latex=r"\frac{\left\|#1\right\|_{2}^{2}}{#2}", source=BOYD, examples=(((VECTOR, 3.0), 7.0),),
    ),
    whole(
        name="softmax", formula="e^x over the sum of e^x along the last axis", parameters=("x",), arity=(1, 1),
        shapes=Shapes("array to the same shape", _same_shape), domain=EVERYWHERE, raw=_softmax, range=_softmax_range,
        slope=lambda x, batch=0: (np.where(x.is_point, 0.0, np.nan),), curvature=_softmax_curvature,
        smoothness=_axes_like(int(SMOOTH)),
        summary=("(0, 1)", "increasing in the entry, decreasing in the others", "neither", "smooth"),
        derivative=_softmax_pullback, lowering=Absent("neither convex nor concave; CVXPY has no such atom"),
        quadratic_form=None, latex=r"\operatorname{softmax}\left(#1\right)", source="Bridle 1990",
        examples=((([0.0, 0.0],), [0.5, 0.5]), (([1000.0, 0.0],), [1.0, 0.0])),
    ),
)
