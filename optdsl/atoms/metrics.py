"""Rows of the metrics: for `show` and evaluation, not for optimizing."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms.atom import Absent, Array, Atom, Domain, Interval, Shapes, Smoothness
from optdsl.atoms.intervals import interval
from optdsl.atoms.rows import EVERYWHERE, whole

FOR_EVALUATION = Absent("a metric, for evaluation only")


def _pair(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    if first != second or not first:
        raise ValueError(f"two arrays of one shape are needed, not {first} and {second}")
    return ()


def _labels(logits: tuple[int, ...], label: tuple[int, ...]) -> tuple[int, ...]:
    if len(logits) != 2 or logits[:1] != label or not logits[1]:
        raise ValueError(f"logits (rows, classes) and labels (rows,) are needed, not {logits} and {label}")
    return logits


def _flat(values: Any, batch: int) -> Any:
    return np.reshape(values, (*values.shape[:batch], -1))


def _metric(*, name: str, formula: str, parameters: tuple[str, ...], shapes: Shapes, raw: Any,
            ends: tuple[float, float], latex: str, source: str, examples: Any, domain: Domain = EVERYWHERE,
            data_arguments: tuple[str, ...] = (), result: Any = lambda boxes, batch: (),
            result_axes: int = 0) -> Atom:
    """A metric's row: its values lie between `ends`; slope and curvature are not asked for."""

    def everywhere(value: Any, *boxes: Interval, batch: int) -> Array:
        return np.full((*boxes[0].lo.shape[:batch], *result(boxes, batch)), value)

    return whole(
        name=name, kind="metric", formula=formula, parameters=parameters, arity=(len(parameters), len(parameters)),
        data_arguments=data_arguments, shapes=shapes, domain=domain, raw=raw, result_axes=result_axes,
        range=lambda *boxes, batch=0: interval(everywhere(ends[0], *boxes, batch=batch),
                                               everywhere(ends[1], *boxes, batch=batch)),
        slope=lambda *boxes, batch=0: tuple(np.full(box.lo.shape, np.nan) for box in boxes),
        curvature=lambda *boxes, batch=0: everywhere(np.nan, *boxes, batch=batch),
        smoothness=lambda *boxes, batch=0: everywhere(int(Smoothness.DISCONTINUOUS), *boxes, batch=batch),
        summary=(_between(*ends), "-", "-", "-"), derivative=FOR_EVALUATION, lowering=FOR_EVALUATION,
        quadratic_form=None, latex=latex, source=source, examples=examples,
    )


def _between(low: float, high: float) -> str:
    return f"{'[' if np.isfinite(low) else '('}{low:g}, {high:g}{']' if np.isfinite(high) else ')'}"


def _in_classes(logits: Any, label: Any, batch: int = 0) -> Any:
    inside = (label >= 0) & (label < np.shape(logits)[-1]) & (np.floor(label) == label)
    return inside.all(axis=-1)


def _confusion(logits: Any, label: Any, batch: int) -> Any:
    """Counts by counting: each row of data becomes the number of its cell, cells of one batch entry lie together."""
    classes = logits.shape[-1]
    known = np.where((label >= 0) & (label < classes), label, 0).astype(np.int64)
    cell = known * classes + logits.argmax(axis=-1)
    lead = cell.shape[:-1]
    entry = np.arange(int(np.prod(lead, dtype=np.int64))).reshape(*lead, 1)
    counts = np.bincount((entry * classes * classes + cell).ravel(), minlength=entry.size * classes * classes)
    return counts.reshape(*lead, classes, classes).astype(np.float64)


def _midranks(values: Any) -> Any:
    """Ranks from 1 along the last axis; equal values share the mean of theirs."""
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    count = values.shape[-1]
    place = np.broadcast_to(np.arange(count), values.shape)
    new = np.concatenate([np.ones((*values.shape[:-1], 1), dtype=bool), ordered[..., 1:] != ordered[..., :-1]], axis=-1)
    first = np.maximum.accumulate(np.where(new, place, 0), axis=-1)
    ends = np.concatenate([new[..., 1:], np.ones((*values.shape[:-1], 1), dtype=bool)], axis=-1)
    last = np.minimum.accumulate(np.where(ends, place, count)[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, 0.5 * (first + last) + 1.0, axis=-1)
    return ranks


def _auc(score: Any, target: Any, batch: int) -> Any:
    """The Mann-Whitney statistic: the share of pairs ordered rightly, ties counting half."""
    positive = target == 1
    count = positive.sum(axis=-1)
    total = np.where(positive, _midranks(score), 0.0).sum(axis=-1)
    return (total - count * (count + 1) / 2) / (count * (target.shape[-1] - count))


def _both_classes(score: Any, target: Any, batch: int = 0) -> Any:
    proper = ((target == 0) | (target == 1)).all(axis=-1) & np.isfinite(score).all(axis=-1)
    return proper & (target == 1).any(axis=-1) & (target == 0).any(axis=-1)


def _r2(prediction: Any, target: Any, batch: int) -> Any:
    prediction, target = _flat(prediction, batch), _flat(target, batch)
    residual = np.square(target - prediction).sum(axis=-1)
    return 1.0 - residual / np.square(target - target.mean(axis=-1, keepdims=True)).sum(axis=-1)


def _varies(prediction: Any, target: Any, batch: int = 0) -> Any:
    target = _flat(target, batch)
    return target.max(axis=-1) > target.min(axis=-1)


def _argmax_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if not shape or shape[-1] == 0:
        raise ValueError(f"an array with entries is needed, not shape {shape}")
    return shape[:-1]


def _vector_pair(score: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    if len(score) != 1 or score != target:
        raise ValueError(f"two vectors of one length are needed, not shapes {score} and {target}")
    return ()


LOGITS = [[2.0, 0.0, 1.0], [0.0, 1.0, 3.0], [0.0, 5.0, 1.0]]
IN_CLASSES = Domain("labels among the classes", _in_classes, None)

METRICS: tuple[Atom, ...] = (
    _metric(
        name="accuracy", formula="the share of rows whose largest logit is the label's", parameters=("logits", "label"),
        data_arguments=("label",),
        shapes=Shapes("logits (rows, classes), label (rows,) to a number", lambda a, b: _labels(a, b)[:0]),
        raw=lambda logits, label, batch: (logits.argmax(axis=-1) == label).mean(axis=-1), domain=IN_CLASSES,
        ends=(0.0, 1.0), latex=r"\operatorname{accuracy}\left(#1, #2\right)",
        source="Hastie, Tibshirani and Friedman 2009, section 9.2", examples=(((LOGITS, [0.0, 1.0, 1.0]), 2 / 3),),
    ),
    _metric(
        name="argmax", parameters=("x",),
        formula="the member of the last axis at its first largest entry; the position from 0 where it has no labels",
        shapes=Shapes("array (..., n) to (...)", _argmax_shape),
        raw=lambda x, batch: x.argmax(axis=-1), ends=(0.0, np.inf),
        result=lambda boxes, batch: boxes[0].lo.shape[batch:-1],
        latex=r"\operatorname{argmax}\left(#1\right)", source="Boyd and Vandenberghe 2004, section 4.1",
        examples=(((LOGITS,), [0.0, 2.0, 1.0]),),
    ),
    _metric(
        name="rmse", formula="the root of the mean squared difference", parameters=("a", "b"),
        shapes=Shapes("two arrays of one shape to a number", _pair),
        raw=lambda a, b, batch: np.sqrt(np.square(_flat(a - b, batch)).mean(axis=-1)), ends=(0.0, np.inf),
        latex=r"\operatorname{rmse}\left(#1, #2\right)", source="Hastie, Tibshirani and Friedman 2009, section 7.2",
        examples=((([1.0, 2.0], [4.0, 6.0]), 3.5355339059327378),),
    ),
    _metric(
        name="mae", formula="the mean size of the difference", parameters=("a", "b"),
        shapes=Shapes("two arrays of one shape to a number", _pair),
        raw=lambda a, b, batch: np.abs(_flat(a - b, batch)).mean(axis=-1), ends=(0.0, np.inf),
        latex=r"\operatorname{mae}\left(#1, #2\right)", source="Hastie, Tibshirani and Friedman 2009, section 7.2",
        examples=((([1.0, 2.0], [4.0, 6.0]), 3.5),),
    ),
    _metric(
        name="r2", formula="1 less the sum of squared residuals over that of the deviations from the mean target",
        parameters=("prediction", "target"), shapes=Shapes("two arrays of one shape to a number", _pair), raw=_r2,
        domain=Domain("targets not all equal", _varies, None), ends=(-np.inf, 1.0),
        latex=r"R^{2}\left(#1, #2\right)", source="Wright 1921",
        examples=((([1.0, 2.0, 4.0], [1.0, 3.0, 5.0]), 0.75),),
    ),
    _metric(
        name="auc", formula="the share of pairs (target 1, target 0) whose first has the higher score; ties half",
        parameters=("score", "target"), data_arguments=("target",),
        shapes=Shapes("two vectors (n,) to a number", _vector_pair), raw=_auc,
        domain=Domain("targets 0 and 1, both present", _both_classes, None), ends=(0.0, 1.0),
        latex=r"\operatorname{auc}\left(#1, #2\right)", source="Hanley and McNeil 1982",
        examples=((([0.1, 0.4, 0.35, 0.8], [0.0, 0.0, 1.0, 1.0]), 0.75), (([1.0, 1.0], [0.0, 1.0]), 0.5)),
    ),
    _metric(
        name="confusion", formula="counts of rows by label (down) and position of the largest logit (across)",
        parameters=("logits", "label"), data_arguments=("label",),
        shapes=Shapes("logits (rows, classes), label (rows,) to (classes, classes)",
                      lambda a, b: _labels(a, b)[1:] * 2),
        raw=_confusion, domain=IN_CLASSES, result_axes=2, ends=(0.0, np.inf),
        result=lambda boxes, batch: boxes[0].lo.shape[-1:] * 2,
        latex=r"\operatorname{confusion}\left(#1, #2\right)", source="Kohavi and Provost 1998",
        examples=(((LOGITS, [0.0, 1.0, 1.0]), [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]),),
    ),
)
