"""Values by key become arrays over axes: duplicates, unknown and missing keys are found here, for every source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optdsl.data.arrays import DenseArray, LabelArray, ParameterValue, SparseArray
from optdsl.data.columns import Column
from optdsl.data.members import (
    IntegerLabels,
    Label,
    Labels,
    SetValue,
    TextLabels,
    column_list,
    integer_labels,
    label_text,
)
from optdsl.errors import DataError, DataPlace, Diagnostic, Source, Span, closest

SPARSE_FROM = 2_000_000  # entries; below this a dense array is always the faster and simpler choice


@dataclass(frozen=True, eq=False)
class Origin:
    """Where values come from, for messages: the declared name, its place in the text, and the place of each row.

    `place(row, column)` is a row's place in a file, `row_span(row)` its place in the text (a dictionary's key).
    """

    name: str
    span: Span
    source: Source
    place: Callable[[int, int | None], DataPlace | None] = lambda row, column: None
    row_span: Callable[[int], Span | None] = lambda row: None

    def fail(
        self,
        code: str,
        message: str,
        hint: str | None = None,
        *,
        row: int | None = None,
        column: int | None = None,
        span: Span | None = None,
        place: DataPlace | None = None,
    ) -> DataError:
        """The error, at a row of the data where one is given (-1: at the data as a whole)."""
        if row is not None:
            place = self.place(row, column)
            span = span or self.row_span(row)
        return DataError(Diagnostic(code, message, span or self.span, hint, self.source, place))


def labels_from(column: Column) -> Labels:
    """The labels of a column of members."""
    if column.categories is not None:
        return TextLabels(column.values, column.categories)
    return integer_labels(column.values)


def entry_name(name: str, member: tuple[Label, ...]) -> str:
    """`cost["bread", 3]`."""
    if not member:
        return name
    return f"{name}[{', '.join(label_text(part) for part in member)}]"


def key_positions(axes: Sequence[SetValue], keys: Sequence[Labels], origin: Origin) -> np.ndarray:
    """The C-order position of each key over the axes; unknown and repeated keys are errors."""
    flat = np.zeros(len(keys[0]), dtype=np.int64)
    at = 0
    for axis in axes:
        columns = keys[at : at + axis.arity]
        positions = axis.positions(columns)
        if len(positions) and positions.min() < 0:
            row = int(np.flatnonzero(positions < 0)[0])
            _unknown_key(axis, tuple(c.at(row) for c in columns), row, at, int((positions < 0).sum()), origin)
        flat = flat * len(axis) + positions
        at += axis.arity
    _refuse_duplicates(flat, keys, origin)
    return flat


def _unknown_key(axis: SetValue, member: tuple[Label, ...], row: int, column: int, count: int, origin: Origin) -> None:
    more = f" (and {count - 1} more)" if count > 1 else ""
    hint = _known_members(axis, member[0] if axis.arity == 1 else None)
    raise origin.fail(
        "unknown-key",
        f"`{origin.name}` has a value for {label_text(member)}, which is not in `{axis.name}`{more}",
        hint,
        row=row,
        column=column,
    )


def _known_members(members: SetValue, label: Label | None) -> str:
    """What to write instead of a label that is not in a set: the nearest member, or the first ones."""
    if isinstance(label, str):
        known = column_list(members.labels)[:5000]
        if label.lstrip("-").isdigit() and int(label) in known:
            return f"did you mean {int(label)}, without quotes?"
        guess = closest(label, [k for k in known if isinstance(k, str)])
        if guess is not None:
            return f'did you mean "{guess}"?'
    elif label is not None and str(label) in column_list(members.labels)[:5000]:
        return f'did you mean "{label}", as text?'
    return f"`{members.name}` has {members.preview()}"


def _refuse_duplicates(flat: np.ndarray, keys: Sequence[Labels], origin: Origin) -> None:
    order = np.argsort(flat, kind="stable")
    same = np.flatnonzero(flat[order][1:] == flat[order][:-1])
    if not len(same):
        return
    first, second = int(order[same[0]]), int(order[same[0] + 1])
    member = tuple(k.at(second) for k in keys)
    earlier = origin.place(first, None)
    where = f" (first on {earlier})" if earlier is not None else ""
    raise origin.fail(
        "duplicate-key",
        f"`{entry_name(origin.name, member)}` is given twice{where}",
        "each key may appear once; remove or aggregate the repeated rows",
        row=second,
    )


def keyed_array(
    axes: tuple[SetValue, ...], keys: Sequence[Labels], values: np.ndarray, default: float | None, origin: Origin
) -> ParameterValue:
    """An array from values (n,) by key; without a default every key must be given."""
    if not axes:
        return DenseArray((), np.asarray(values, dtype=float).reshape(()))
    size = int(np.prod([len(axis) for axis in axes], dtype=np.int64))
    whole = len(values) == size and all(len(axis) for axis in axes)
    if whole and _in_order(axes, keys):
        return DenseArray(axes, values.reshape([len(axis) for axis in axes]))
    flat = key_positions(axes, keys, origin)
    if default is None and len(flat) < size:
        _missing_keys(axes, flat, size, origin)
    if default is not None and size > SPARSE_FROM and len(flat) < 0.2 * size:
        order = np.argsort(flat, kind="stable")
        return SparseArray(axes, flat[order], np.asarray(values, dtype=float)[order], float(default))
    dense = np.full(size, np.nan if default is None else default, dtype=float)
    dense[flat] = values
    return DenseArray(axes, dense.reshape([len(axis) for axis in axes]))


def _in_order(axes: tuple[SetValue, ...], keys: Sequence[Labels]) -> bool:
    """Whether the keys are those of one axis, in its order: the common case of one row per member."""
    return len(axes) == 1 and all(
        isinstance(k, TextLabels)
        and isinstance(c, TextLabels)
        and k.categories is c.categories
        and (k.codes is c.codes or np.array_equal(k.codes, c.codes))
        for k, c in zip(keys, axes[0].columns, strict=True)
    )


def _missing_keys(axes: tuple[SetValue, ...], flat: np.ndarray, size: int, origin: Origin) -> None:
    given = np.zeros(size, dtype=bool)
    given[flat] = True
    missing = np.flatnonzero(~given)
    first = member_at(axes, int(missing[0]))
    count = len(missing)
    rest = f" ({count} entries of {size} are missing)" if count > 1 else ""
    raise origin.fail(
        "missing-key",
        f"no value for `{entry_name(origin.name, first)}`{rest}",
        f"give it, or declare a default: `param {origin.name}[...] default 0 ...`",
        row=-1,
    )


def member_at(axes: Sequence[SetValue], flat: int) -> tuple[Label, ...]:
    """The labels of one entry by its C-order position."""
    positions = np.unravel_index(flat, [len(axis) for axis in axes]) if axes else ()
    return tuple(label for axis, p in zip(axes, positions, strict=True) for label in axis.member(int(p)))


def keyed_labels(
    axes: tuple[SetValue, ...], keys: Sequence[Labels], values: Labels, members: SetValue | None, origin: Origin
) -> LabelArray:
    """An array of labels (n,) by key; every key must be given."""
    size = int(np.prod([len(axis) for axis in axes], dtype=np.int64))
    flat = key_positions(axes, keys, origin) if axes else np.zeros(1, dtype=np.int64)
    if len(flat) < size:
        _missing_keys(axes, flat, size, origin)
    order = np.empty(size, dtype=np.int64)
    order[flat] = np.arange(len(flat))
    return label_array(axes, values.take(order), members, origin, order)


def label_array(
    axes: tuple[SetValue, ...],
    labels: Labels,
    members: SetValue | None,
    origin: Origin,
    rows: np.ndarray | None = None,
) -> LabelArray:
    """An array of labels in C order; each must be a member of `members` where given."""
    if members is None:
        return LabelArray(axes, labels)
    positions = members.positions([labels])
    if len(positions) and positions.min() < 0:
        k = int(np.flatnonzero(positions < 0)[0])
        row = k if rows is None else int(rows[k])
        raise origin.fail(
            "value-not-member",
            f"`{entry_name(origin.name, member_at(axes, k))}` is {label_text(labels.at(k))}, "
            f"which is not in `{members.name}`",
            _known_members(members, labels.at(k)),
            row=row,
        )
    # stored as members of the declared set, so that every look-up afterwards is by position
    return LabelArray(axes, members.labels.take(positions), members)


def as_integers(values: np.ndarray) -> IntegerLabels | None:
    """Whole numbers as labels, None where one is not whole."""
    whole = np.rint(values)
    if not np.isfinite(values).all() or not (whole == values).all():
        return None
    return IntegerLabels(whole.astype(np.int64))
