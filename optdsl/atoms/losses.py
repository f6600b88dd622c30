"""Rows of the losses: one value for each row of data."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms.atom import Array, Atom, Domain, Interval, MaxOf, Shapes, Smoothness
from optdsl.atoms.exponentials import sigmoid
from optdsl.atoms.intervals import (
    MARGIN,
    always,
    broken_at,
    hull,
    minus,
    outward,
    signs,
    slopes,
    squared,
)
from optdsl.atoms.rows import EVERYWHERE, NO_PIECES, constant_sign, entries, numbers

SMOOTH, NONSMOOTH = Smoothness.SMOOTH, Smoothness.NONSMOOTH


def _unknown(box: Interval) -> Array:
    return np.full(np.shape(box.lo), np.nan)


# binary_cross_entropy --------------------------------------------------------------------------------------------


def _binary(z: Any, t: Any) -> Any:
    """log(1 + e^z) - t z = max(z, 0) - t z + log(1 + e^-|z|)."""
    small = np.log1p(np.exp(-np.abs(z)))
    linear = np.where(z > 0, np.where(t == 1, 0.0, (1.0 - t) * z), np.where(t == 0, 0.0, -t * z))
    return linear + small


def _binary_range(z: Interval, t: Interval) -> Interval:
    """For data t in (0, 1) a valley at z = log(t / (1 - t)); monotone for t = 0 and t = 1."""
    target = np.where(t.is_point, t.lo, np.nan)
    with np.errstate(all="ignore"):
        ends = hull(*(_binary(end, target) for end in z))
        valley = np.clip(np.log(target) - np.log1p(-target), z.lo, z.hi)
        lo = np.minimum(_binary(valley, target), ends.lo)
    return outward(lo, ends.hi, floor=0.0)


def _binary_slope(z: Interval, t: Interval) -> tuple[Array, ...]:
    """The derivative sigmoid(z) - t rises with z."""
    with np.errstate(all="ignore"):
        falls, rises = sigmoid(z.hi) <= t.lo, sigmoid(z.lo) >= t.hi
    return np.where(z.is_point, 0.0, np.where(rises, 1.0, np.where(falls, -1.0, np.nan))), _unknown(t)


# poisson_nll -----------------------------------------------------------------------------------------------------


def _poisson(r: Any, c: Any) -> Any:
    return np.exp(r) - np.where(c == 0, 0.0, c * r)


def _poisson_range(r: Interval, c: Interval) -> Interval:
    """For data c > 0 a valley at r = log c."""
    count = np.where(c.is_point, c.lo, np.nan)
    with np.errstate(all="ignore"):
        ends = hull(*(_poisson(end, count) for end in r))
        valley = np.clip(np.log(count), r.lo, r.hi)
        at_valley = _poisson(valley, count)
        # e^r and c r may cancel: the widening is that of their sizes.
        slack = MARGIN * (np.exp(np.minimum(valley, 700.0)) + np.abs(count * valley))
        lo = np.minimum(at_valley, ends.lo) - np.where(np.isnan(slack), 0.0, slack)
        far = np.where(np.isfinite(r.hi), np.exp(np.minimum(r.hi, 700.0)) + np.abs(count * r.hi), 0.0)
        near = np.where(np.isfinite(r.lo), np.exp(np.minimum(r.lo, 700.0)) + np.abs(count * r.lo), 0.0)
    return outward(lo, ends.hi + MARGIN * (far + near))


def _poisson_slope(r: Interval, c: Interval) -> tuple[Array, ...]:
    with np.errstate(all="ignore"):
        falls, rises = np.exp(r.hi) <= c.lo, np.exp(r.lo) >= c.hi
    return np.where(r.is_point, 0.0, np.where(rises, 1.0, np.where(falls, -1.0, np.nan))), _unknown(c)


# squared_error ---------------------------------------------------------------------------------------------------


def _squared_error_slope(a: Interval, b: Interval) -> tuple[Array, ...]:
    sign = np.where(a.lo >= b.hi, 1.0, np.where(a.hi <= b.lo, -1.0, np.nan))
    return np.where(a.is_point, 0.0, sign), np.where(b.is_point, 0.0, -sign)


# cross_entropy ---------------------------------------------------------------------------------------------------


def _row_logsumexp(logits: Any) -> Any:
    top = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(top), top, 0.0)
    return (np.log(np.exp(logits - shift).sum(axis=-1, keepdims=True)) + shift)[..., 0]


def _label_inside(logits: Any, label: Any, batch: int = 0) -> Any:
    label = np.asarray(label, dtype=np.float64)
    return (label >= 0) & (label < np.shape(logits)[-1]) & (np.floor(label) == label)


def _pick(logits: Any, label: Any) -> Any:
    """The logit of each row's label; labels outside are answered for the first class, and masked by the caller."""
    position = np.where(_label_inside(logits, label), label, 0).astype(np.int64)
    return np.take_along_axis(logits, position[..., None], axis=-1)[..., 0]


def _cross_entropy(logits: Any, label: Any, batch: int = 0) -> Array:
    logits, label = numbers(logits, label)
    with np.errstate(all="ignore"):
        value = _row_logsumexp(logits) - _pick(logits, label)
        return np.where(_label_inside(logits, label), value, np.nan)


def _cross_entropy_range(logits: Interval, label: Interval, batch: int = 0) -> Interval:
    """The label's own logit lowers the value, every other one raises it."""
    classes = np.arange(logits.lo.shape[-1])
    own = classes == label.lo[..., None]
    with np.errstate(all="ignore"):
        low = _cross_entropy(np.where(own, logits.hi, logits.lo), label.lo)
        high = _cross_entropy(np.where(own, logits.lo, logits.hi), label.lo)
        size = np.maximum(np.abs(logits.lo), np.abs(logits.hi)).max(axis=-1)
        slack = MARGIN * (len(classes) + np.where(np.isfinite(size), size, 0.0))
    known = label.is_point
    return outward(np.where(known, low - slack, 0.0), np.where(known, high + slack, np.inf), floor=0.0)


def _cross_entropy_slope(logits: Interval, label: Interval, batch: int = 0) -> tuple[Array, ...]:
    own = np.arange(logits.lo.shape[-1]) == label.lo[..., None]
    sign = np.where(label.is_point[..., None], np.where(own, -1.0, 1.0), np.nan)
    return np.where(logits.is_point, 0.0, sign), _unknown(label)


def _cross_entropy_pullback(F: Any, seed: Any, result: Any, logits: Any, label: Any, batch: int = 0) -> Any:
    """softmax(logits), less 1 at the label."""
    classes = np.shape(logits)[-1]
    own = np.arange(classes) == np.asarray(label)[..., None]
    share = F.exp(logits - F.lift(F.total(own * logits, 1), 1) - F.lift(result, 1))
    return F.lift(seed, 1) * (share - own), None


def _cross_entropy_lowering(cp: Any, logits: Any, label: Any) -> Any:
    """Logits (classes,) or (rows, classes)."""
    own = (np.arange(logits.shape[-1]) == np.asarray(label)[..., None]).astype(np.float64)
    if len(logits.shape) == 1:
        return cp.log_sum_exp(logits) - own @ logits
    return cp.log_sum_exp(logits, axis=1) - cp.sum(cp.multiply(own, logits), axis=1)


def _rows_and_labels(logits: tuple[int, ...], label: tuple[int, ...]) -> tuple[int, ...]:
    if len(logits) < 1 or logits[:-1] != label:
        raise ValueError(f"the labels have the logits' shape without its last axis: {logits[:-1]}, not {label}")
    if logits[-1] == 0:
        raise ValueError("there is no class")
    return label


LOSSES: tuple[Atom, ...] = (
    Atom(
        name="cross_entropy", kind="loss", acts_on="arrays", graph=None, shown=None,
        formula="log of the sum of e^logits, less the label's logit; label: position of the class, from 0",
        parameters=("logits", "label"), arity=(2, 2), data_arguments=("label",), needs_symmetric=(),
        shapes=Shapes("logits (..., classes), label (...) to (...)", _rows_and_labels),
        domain=Domain("label one of the classes", _label_inside, None), range=_cross_entropy_range,
        slope=_cross_entropy_slope,
        curvature=lambda logits, label, batch=0: np.where(logits.is_point.all(axis=-1), 0.0, 1.0),
        smoothness=lambda logits, label, batch=0: np.full(np.shape(label.lo), int(SMOOTH)),
        summary=("[0, inf)", "decreasing in the label's logit, increasing in the others", "convex", "smooth"),
        derivative=_cross_entropy_pullback, kernel=_cross_entropy, lowering=_cross_entropy_lowering, **NO_PIECES,
        reduction_form=None, empty=None, latex=r"\operatorname{cross\_entropy}\left(#1, #2\right)",
        source="Bridle 1990",
        examples=(
            (([[0.0, 0.0], [1.0, 3.0]], [0.0, 1.0]), [0.6931471805599453, 0.1269280110429725]),
            (([800.0, 0.0, -3.0], 1.0), 800.0),
        ),
    ),
    entries(
        name="binary_cross_entropy", kind="loss", formula="log(1 + e^logit) - target * logit; 0 <= target <= 1",
        parameters=("logit", "target"), arity=(2, 2), data_arguments=("target",), raw=_binary,
        domain=Domain("0 <= target <= 1", lambda z, t: (t >= 0) & (t <= 1) & ~np.isnan(z), None),
        range=_binary_range, slope=_binary_slope,
        curvature=lambda z, t: np.where(z.is_point, 0.0, 1.0), smoothness=always(SMOOTH),
        summary=("[0, inf)", "logit: by the sign of sigmoid(logit) - target", "convex", "smooth"),
        derivative=lambda F, z, t: (F.sigmoid(z) - t, None),
        lowering=lambda cp, z, t: cp.logistic(z) - cp.multiply(t, z), **NO_PIECES,
        latex=r"\operatorname{binary\_cross\_entropy}\left(#1, #2\right)", source="Cox 1958",
        examples=(((0.0, 1.0), 0.6931471805599453), ((50.0, 1.0), 1.9287498479639178e-22)),
    ),
    entries(
        name="squared_error", kind="loss", formula="(a - b)^2", parameters=("a", "b"), arity=(2, 2),
        raw=lambda a, b: np.square(a - b), domain=EVERYWHERE, range=lambda a, b: squared(minus(a, b)),
        slope=_squared_error_slope, curvature=constant_sign(1.0), smoothness=always(SMOOTH),
        summary=("[0, inf)", "a: increasing for a >= b, decreasing for a <= b; b: the reverse", "convex", "smooth"),
        derivative=lambda F, a, b: (2.0 * (a - b), 2.0 * (b - a)), lowering=lambda cp, a, b: cp.square(a - b),
        pieces=None, quadratic_form="squared_difference", latex=r"\left(#1 - #2\right)^{2}", source="Gauss 1809",
        examples=(((1.0, 3.0), 4.0),),
    ),
    entries(
        name="hinge", kind="loss", formula="max(0, 1 - margin)", parameters=("margin",), arity=(1, 1),
        raw=lambda t: np.maximum(0.0, 1.0 - t), domain=EVERYWHERE,
        range=lambda t: outward(np.maximum(0.0, 1.0 - t.hi), np.maximum(0.0, 1.0 - t.lo), floor=0.0),
        slope=slopes((1.0,), (-1.0, 0.0)), curvature=signs((1.0,), (0.0, 0.0), (1.0,)),
        smoothness=broken_at(1.0, level=NONSMOOTH),
        summary=("[0, inf)", "nonincreasing", "convex", "nonsmooth at 1"),
        derivative=lambda F, t: (F.select(1.0 - t, -1.0, 0.0),), lowering=lambda cp, t: cp.pos(1 - t),
        pieces=lambda count: MaxOf(((0.0,), 0.0), ((-1.0,), 1.0)), quadratic_form=None,
        latex=r"\left(1 - #1\right)_{+}", source="Cortes and Vapnik 1995", examples=(((-1.0,), 2.0), ((3.0,), 0.0)),
    ),
    entries(
        name="poisson_nll", kind="loss", formula="e^log_rate - count * log_rate", parameters=("log_rate", "count"),
        arity=(2, 2), data_arguments=("count",), raw=_poisson,
        domain=Domain("count >= 0", lambda r, c: (c >= 0) & ~np.isnan(r), None), range=_poisson_range,
        slope=_poisson_slope, curvature=lambda r, c: np.where(r.is_point, 0.0, 1.0), smoothness=always(SMOOTH),
        summary=("all numbers", "log_rate: by the sign of e^log_rate - count", "convex", "smooth"),
        derivative=lambda F, r, c: (F.exp(r) - c, None),
        lowering=lambda cp, r, c: cp.exp(r) - cp.multiply(c, r), **NO_PIECES,
        latex=r"\operatorname{poisson\_nll}\left(#1, #2\right)", source="Nelder and Wedderburn 1972",
        examples=(((0.0, 2.0), 1.0), ((1.0, 2.0), 0.7182818284590452)),
    ),
)
