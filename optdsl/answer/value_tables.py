"""Labelled values as tables for people: scalars together, equal axes side by side, small matrices as such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optdsl.answer.labelled import LabelledArray, index_labels, index_names
from optdsl.answer.layout import Page, beside, left, right, shortened, width_of
from optdsl.answer.numbers import NOTHING, point_aligned, value_text, without_noise
from optdsl.data.members import Labels, SetValue, TextLabels, column_list

ALL_ROWS = 24
"""A table with no more rows than this is printed whole."""

SOME_ROWS = 12
"""How many rows of a longer one are printed."""

GAP = 3
INDENT = "  "
LABEL_IN_MATRIX = 16
MORE = "--out DIR writes all"


@dataclass(frozen=True, eq=False, slots=True)
class Titled:
    """Values under the title that a person knows them by."""

    title: str
    values: LabelledArray

    @property
    def heading(self) -> str:
        """The title with the sets of the axes: `ship [PLANT, MARKET]`."""
        return f"{self.title} [{', '.join(self.values.sets)}]" if self.values.axes else self.title


def value_blocks(items: Sequence[Titled], page: Page, hide_zeros: bool = False) -> list[list[str]]:
    """Blocks of lines: scalars in one, then a table per item or per group of items over one set.

    With `hide_zeros` only what is not 0 is printed.
    """
    if hide_zeros:
        items = [item for item in items if not _is_zero(np.asarray(item.values)).all()]
        return [*_scalar_blocks(items, page), *(_list([item], page, True) for item in items if item.values.axes)]
    return [*_scalar_blocks(items, page), *_array_blocks(items, page)]


def _is_zero(values: np.ndarray) -> np.ndarray:
    if values.dtype == object:
        return np.zeros(values.shape, dtype=bool)  # texts
    with np.errstate(invalid="ignore"):
        return np.abs(values) <= NOTHING


def _scalar_blocks(items: Sequence[Titled], page: Page) -> list[list[str]]:
    scalars = [item for item in items if not item.values.axes]
    return [_scalars(scalars, page)] if scalars else []


def _array_blocks(items: Sequence[Titled], page: Page) -> list[list[str]]:
    blocks = []
    done: set[int] = set()
    for number, item in enumerate(items):
        if number in done or not item.values.axes:
            continue
        group = [item]
        if len(item.values.axes) == 1 and item.values.size <= ALL_ROWS:
            for later in range(number + 1, len(items)):
                other = items[later]
                if later not in done and _same_axes(item.values, other.values) and _fits([*group, other], page):
                    group.append(other)
                    done.add(later)
        blocks.append(_table(group, page))
    return blocks


def _same_axes(first: LabelledArray, second: LabelledArray) -> bool:
    pairs = zip(first.axes, second.axes, strict=False)
    return len(first.axes) == len(second.axes) and all(one is other for one, other in pairs)


def _fits(group: Sequence[Titled], page: Page) -> bool:
    labels = 12 * len(group[0].values.axes)
    return labels + sum(GAP + max(12, width_of(item.title)) for item in group) <= page.width


def _scalars(items: Sequence[Titled], page: Page) -> list[str]:
    names = left([shortened(item.title, page.width // 2) for item in items])
    numbers = _entry_texts([item.values.item() for item in items])
    names = [page.style(name, "bold") for name in names]
    return beside([names, numbers], GAP)


def _table(group: Sequence[Titled], page: Page) -> list[str]:
    values = group[0].values
    if not values.size:
        return [page.style(item.heading, "bold") + INDENT + page.style("(no entries)", "dim") for item in group]
    if len(group) == 1 and len(values.axes) == 2:
        lines = _matrix(group[0], page)
        if lines is not None:
            return lines
    return _list(group, page)


# ------------------------------------------------------------------------------------------------------- lists


def _list(group: Sequence[Titled], page: Page, hide_zeros: bool = False) -> list[str]:
    """Rows of labels and values; a long list shows its first entries that are not 0."""
    axes = group[0].values.axes
    flat = [without_noise(np.asarray(item.values).ravel()) for item in group]
    rows, remark = _rows_to_show(flat, hide_zeros)
    labels = _label_texts(axes, rows)
    numbers = [_entry_texts(column[rows].tolist()) for column in flat]
    if len(group) == 1:
        head = page.style(group[0].heading, "bold")
        body = beside([*labels, _dim_zeros(numbers[0], page)], GAP)
    else:
        names = index_names(axes)
        pads = [right if _of_integers(column) else left for axis in axes for column in axis.columns]
        label_columns = [pad([name, *texts]) for pad, name, texts in zip(pads, names, labels, strict=True)]
        value_columns = [right([shortened(item.title), *texts]) for item, texts in zip(group, numbers, strict=True)]
        first = beside([[column[0]] for column in (*label_columns, *value_columns)], GAP)[0]
        head = INDENT + page.style(first, "bold")
        rest = [column[1:] for column in label_columns]
        body = beside([*rest, *(_dim_zeros(column[1:], page) for column in value_columns)], GAP)
    lines = [head, *(INDENT + line for line in body)]
    if remark:
        lines.append(INDENT + page.style(remark, "dim"))
    return lines


def _rows_to_show(flat: Sequence[np.ndarray], hide_zeros: bool) -> tuple[np.ndarray, str | None]:
    """Positions of the entries to print, and what to say about the others."""
    size = len(flat[0])
    if size <= ALL_ROWS and not hide_zeros:
        return np.arange(size), None
    nonzero = np.flatnonzero(~np.logical_and.reduce([_is_zero(column) for column in flat]))
    zeros = size - len(nonzero)
    if (not zeros or not len(nonzero)) and size > ALL_ROWS:
        return np.arange(SOME_ROWS), f"... {_count(size - SOME_ROWS)} more; {MORE}"
    if len(nonzero) <= ALL_ROWS:
        return nonzero, None if hide_zeros else f"... the other {_zeros(zeros)}; {MORE}"
    more = len(nonzero) - SOME_ROWS
    return nonzero[:SOME_ROWS], f"... {_count(more)} more that are not 0, and {_zeros(zeros)}; {MORE}"


def _zeros(number: int) -> str:
    return "1 is 0" if number == 1 else f"{_count(number)} are 0"


def _count(number: int) -> str:
    return f"{number:,}"


def _label_texts(axes: Sequence[SetValue], rows: np.ndarray) -> list[list[str]]:
    """Padded labels of the entries at `rows`, a column per index position."""
    positions = np.unravel_index(rows, tuple(len(axis) for axis in axes))
    return [
        _label_column(column_list(column.take(position)))
        for axis, position in zip(axes, positions, strict=True)
        for column in axis.columns
    ]


def _of_integers(labels: Labels) -> bool:
    return not isinstance(labels, TextLabels)


def _label_column(labels: Sequence[int | str]) -> list[str]:
    texts = [shortened(str(label)) for label in labels]
    if all(isinstance(label, int) for label in labels):
        return right(texts)
    return left(texts)


def _entry_texts(values: Sequence[float | str]) -> list[str]:
    """Entries below each other: texts to the left, numbers at their points."""
    texts = [shortened(value_text(value)) for value in values]
    return left(texts) if values and all(isinstance(value, str) for value in values) else point_aligned(texts)


def _dim_zeros(texts: Sequence[str], page: Page) -> list[str]:
    return [page.style(text, "dim") if text.strip() == "0" else text for text in texts]


# ---------------------------------------------------------------------------------------------------- matrices


def _matrix(item: Titled, page: Page) -> list[str] | None:
    """Rows by the first axis, columns by the second; None where that does not fit."""
    rows, columns = item.values.shape
    if rows > ALL_ROWS or columns > ALL_ROWS or min(rows, columns) < 2:
        return None
    row_axis, column_axis = item.values.axes
    row_labels = _member_texts(row_axis)
    column_labels = _member_texts(column_axis)
    table = without_noise(np.asarray(item.values))
    body = []
    for position, label in enumerate(column_labels):
        texts = _entry_texts(table[:, position].tolist())
        body.append(right([label, *texts]))
    heads = left(["", *row_labels])
    width = len(INDENT) + width_of(heads[0]) + sum(GAP + width_of(column[0]) for column in body)
    if width > page.width:
        return None
    first = beside([[heads[0]], *([column[0]] for column in body)], GAP)[0]
    lines = beside([heads[1:], *(_dim_zeros(column[1:], page) for column in body)], GAP)
    return [
        page.style(item.heading, "bold"),
        INDENT + page.style(first, "cyan"),
        *(INDENT + line for line in lines),
    ]


def _member_texts(axis: SetValue) -> list[str]:
    columns = [column_list(labels) for labels in index_labels((axis,))]
    return [shortened(", ".join(map(str, member)), LABEL_IN_MATRIX) for member in zip(*columns, strict=True)]
