"""Sets and parameters from values supplied from outside: Python arguments and the command line."""

from __future__ import annotations

import numpy as np

from optdsl.data.arrays import DenseArray, ParameterValue, SparseArray
from optdsl.data.columns import Column
from optdsl.data.forms import (
    DenseValue,
    FrameValue,
    ListValue,
    MappingValue,
    ScalarValue,
    SparseValue,
)
from optdsl.data.members import (
    RangeLabels,
    SetValue,
    first_duplicate,
    label_text,
    labels_of,
)
from optdsl.data.supplied import Supplied
from optdsl.model.keyed import (
    Origin,
    as_integers,
    key_positions,
    keyed_array,
    keyed_labels,
    label_array,
    labels_from,
)
from optdsl.model.sources import located
from optdsl.model.wanted import Wanted, by_position, check_shape


def supplied_set(name: str, value: Supplied, arity: int | None, origin: Origin) -> SetValue:
    """A set from a value supplied from outside."""
    if isinstance(value, ScalarValue):
        return SetValue(name, (labels_of([_member(value.value, name, origin)]),))
    if isinstance(value, ListValue):
        columns = tuple(labels_from(_label_column(c, origin)) for c in value.columns) or (labels_of([]),)
    elif isinstance(value, FrameValue):
        columns = tuple(labels_from(_label_column(c, origin)) for c in value.columns)
    elif isinstance(value, DenseValue):
        flat = as_integers(np.atleast_2d(value.values.T).T.astype(float).reshape(-1))
        if flat is None or value.values.ndim > 2:
            raise origin.fail(
                "member-not-integer",
                f"the members of `{name}` must be text or integers",
                "pass a list of texts or integers, or of tuples of them",
            )
        table = flat.integers.reshape(len(value.values), -1)
        columns = tuple(labels_of(table[:, k].tolist()) for k in range(table.shape[1]))
    elif isinstance(value, MappingValue):
        chosen = (value.values,) if value.by_position else value.keys
        columns = tuple(labels_from(_label_column(c, origin)) for c in chosen)
    else:
        raise origin.fail(
            "not-a-set-value",
            f"`{name}` is a set, but a matrix was given",
            f"pass a list of its members: `solve({name}=[...])`",
        )
    repeated = first_duplicate(columns) if len(columns[0]) else None
    if repeated is not None:
        member = label_text(tuple(c.at(repeated) for c in columns))
        raise origin.fail(
            "duplicate-member", f"the data for set `{name}` holds {member} twice", "a set holds each member once"
        )
    return SetValue(name, columns)


def _member(value: float | str, name: str, origin: Origin) -> int | str:
    if isinstance(value, float):
        if value != int(value):
            raise origin.fail(
                "member-not-integer",
                f"a member of `{name}` must be text or an integer, not {value:g}",
                f'round it, or make it text: `"{value:g}"`',
            )
        return int(value)
    return value


def supplied_parameter(value: Supplied, wanted: Wanted, origin: Origin) -> ParameterValue:
    """A parameter from a value supplied from outside."""
    if isinstance(value, ScalarValue):
        return _from_scalar(value, wanted, origin)
    if isinstance(value, DenseValue):
        return by_position(value.values, wanted, origin, None)
    if isinstance(value, ListValue):
        return _from_list(value, wanted, origin)
    if isinstance(value, SparseValue):
        return _from_sparse(value, wanted, origin)
    if isinstance(value, MappingValue):
        return _from_mapping(value, wanted, origin)
    return _from_frame(value, wanted, origin)


def _from_scalar(value: ScalarValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    if wanted.axes:
        axes = ", ".join(axis.name for axis in wanted.axes)
        raise origin.fail(
            "single-value",
            f"`{origin.name}` is indexed over {axes}, but a single value was given",
            "pass a list, an array or a dictionary by key",
        )
    if isinstance(value.value, str) or wanted.members is not None:
        item = _member(value.value, origin.name, origin)
        return label_array((), labels_of([item]), wanted.members, origin)
    return DenseArray((), np.array(float(value.value)))


def _from_list(value: ListValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    if len(value.columns) != 1:
        # a list of rows: a matrix by position
        numbers = [np.asarray(c.values, dtype=float) for c in value.columns if c.categories is None]
        if len(numbers) == len(value.columns):
            return by_position(np.column_stack(numbers), wanted, origin, None)
        raise origin.fail(
            "not-numbers",
            f"`{origin.name}` takes numbers, but the list holds tuples with text",
            "pass a dictionary by key: `{key: value}`",
        )
    column = value.columns[0]
    if column.categories is not None or wanted.members is not None:
        check_shape((len(column),), wanted, origin, None)
        return label_array(wanted.axes, labels_from(column), wanted.members, origin)
    return by_position(np.asarray(column.values, dtype=float), wanted, origin, None)


def _from_sparse(value: SparseValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    check_shape(value.shape, wanted, origin, None)
    keys = value.rows * value.shape[1] + value.columns
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], value.values[order]
    if len(keys) and (keys[1:] == keys[:-1]).any():
        keys, start = np.unique(keys, return_index=True)
        values = np.add.reduceat(values, start)
    default = wanted.default if wanted.default is not None else 0.0
    return SparseArray(wanted.axes, keys, np.asarray(values, dtype=float), float(default))


def _from_mapping(value: MappingValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    needed = sum(axis.arity for axis in wanted.axes)
    keys = [labels_from(k) for k in value.keys]
    if value.by_position and len(wanted.axes) == 1 and len(value.values) == len(wanted.axes[0]):
        axis = wanted.axes[0]
        if axis.arity > 1 or (axis.positions(keys) < 0).any():
            return _from_list(ListValue((value.values,)), wanted, origin)
    if len(keys) != needed:
        raise origin.fail(
            "wrong-key-length",
            f"`{origin.name}` has {needed} index position{'' if needed == 1 else 's'}, "
            f"but the keys of its data have {len(keys)}",
            "give one label per index position: a tuple for several",
        )
    if wanted.members is not None or value.values.categories is not None:
        return keyed_labels(wanted.axes, keys, labels_from(value.values), wanted.members, origin)
    return keyed_array(wanted.axes, keys, np.asarray(value.values.values, dtype=float), wanted.default, origin)


def _from_frame(value: FrameValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    needed = sum(axis.arity for axis in wanted.axes)
    columns = [*value.index, *value.columns] if len(value.columns) != needed + 1 else list(value.columns)
    if len(columns) == needed + 1:
        *keys, values = columns
        mapping = MappingValue(tuple(_label_column(k, origin) for k in keys), values)
        return _from_mapping(mapping, wanted, origin)
    numbers = [c for c in value.columns if c.categories is None]
    if len(wanted.axes) == 2 and len(numbers) == len(value.columns):
        return _from_wide_frame(value, wanted, origin)
    raise origin.fail(
        "wrong-columns",
        f"`{origin.name}` needs {needed} key column{'' if needed == 1 else 's'} and a value column, "
        f"but the data has {len(value.columns)} column{'' if len(value.columns) == 1 else 's'}",
        "select the columns in the order of the axes, the value last",
    )


def _from_wide_frame(value: FrameValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    """Rows for the first axis (by index where there is one), columns for the second by name."""
    front, last = wanted.axes
    matrix = np.column_stack([np.asarray(c.values, dtype=float) for c in value.columns])
    order = last.positions([labels_of([_column_label(c.name, last) for c in value.columns])])
    if len(order) != len(last) or (order < 0).any():
        return by_position(matrix, wanted, origin, None)
    if value.index:
        rows = key_positions((front,), [labels_from(_label_column(c, origin)) for c in value.index], origin)
    else:
        rows = np.arange(len(matrix))
    if len(rows) != len(front):
        check_shape(matrix.shape, wanted, origin, None)
    result = np.full((len(front), len(last)), np.nan)
    result[rows[:, None], order[None, :]] = matrix
    return by_position(result, wanted, origin, None)


def _column_label(name: str, axis: SetValue) -> int | str:
    if not isinstance(axis.labels, RangeLabels) and axis.labels.integers is None:
        return name
    return int(name) if name.lstrip("-").isdigit() else name


def _label_column(column: Column, origin: Origin) -> Column:
    from optdsl.data.forms import as_labels

    with located(origin.span, origin.source):
        return as_labels(origin.name, column)
