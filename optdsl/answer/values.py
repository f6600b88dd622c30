"""Values at a point, by name: variables, named expressions, and what `show` asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from optdsl.answer.checks import EDGE
from optdsl.answer.labelled import LabelledArray
from optdsl.answer.solution import ConstraintAnswer, ShownValue, VariableAnswer
from optdsl.data.members import SetValue, TextLabels
from optdsl.model.faults import in_words
from optdsl.model.model import Let, Model, Shown
from optdsl.terms.evaluate import Lanes
from optdsl.terms.lanes import Members


def variable_arrays(model: Model, columns: np.ndarray) -> dict[str, LabelledArray]:
    """Each variable's entries out of all columns' values (n,)."""
    return {
        name: LabelledArray(np.array(variable.entries(columns)), variable.axes, name)
        for name, variable in model.variables.items()
    }


def let_values(model: Model, point: np.ndarray) -> dict[str, Callable[[], LabelledArray]]:
    """For each named expression a function that computes its values at a point (n,)."""
    return {name: partial(_let_value, model, let, point) for name, let in model.lets.items()}


def _let_value(model: Model, let: Let, point: np.ndarray) -> LabelledArray:
    return _evaluated(model, model.lanes.with_values(point, EDGE), let, let.name, f"`{let.name}`")


def shown_values(
    model: Model,
    point: np.ndarray | None,
    variables: Mapping[str, VariableAnswer],
    constraints: Mapping[str, ConstraintAnswer],
) -> tuple[ShownValue, ...] | None:
    """The values of the items of `show`; None where the model has no `show`, no items where there is no point.

    Raises ModelError when an item has no value there (an index outside its set).
    """
    if model.shown is None or point is None:
        return None if model.shown is None else ()
    lanes = model.lanes.with_values(point, EDGE)
    return tuple(ShownValue(item.text, _shown(model, lanes, item, variables, constraints)) for item in model.shown)


def _shown(
    model: Model,
    lanes: Lanes,
    item: Shown,
    variables: Mapping[str, VariableAnswer],
    constraints: Mapping[str, ConstraintAnswer],
) -> LabelledArray:
    if item.target is None:
        return _evaluated(model, lanes, item, item.text, "`show`")
    if item.aspect == "reduced_cost":
        whole, axes = variables[item.target].reduced_cost, model.variables[item.target].axes
    else:
        answer = constraints[item.target]
        whole = answer.dual if item.aspect == "dual" else answer.slack
        axes = next(c.axes for c in model.constraints if c.name == item.target)
    if whole is None:
        whole = unknown(axes, item.text)
    return whole if item.member is None else LabelledArray(whole.at(*item.member), (), item.text)


def unknown(axes: tuple[SetValue, ...], name: str) -> LabelledArray:
    """NaN for every entry."""
    return LabelledArray(np.full(tuple(len(axis) for axis in axes), np.nan), axes, name)


def _evaluated(model: Model, lanes: Lanes, item: Let | Shown, name: str, statement: str) -> LabelledArray:
    assert item.over is not None and item.body is not None
    with in_words(model.source, item.marks, item.span, statement), np.errstate(all="ignore"):
        frame = model.lanes_of(item.over)
        value = lanes.evaluate(item.body, frame)
        if isinstance(value, Members) and isinstance(value.labels, TextLabels):
            return LabelledArray(_texts(value.labels, np.broadcast_to(value.codes, frame.shape)), item.axes, name)
        return LabelledArray(lanes.full(item.body, frame), item.axes, name)


def _texts(labels: TextLabels, codes: np.ndarray) -> np.ndarray:
    """The label of each entry, as objects."""
    return np.asarray(labels.categories, dtype=object)[labels.codes[codes]]
