"""Values with the labels of their axes: NumPy arrays that can be asked by member."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optdsl.data.members import Label, SetValue, TextLabels, column_list, label_text, labels_of
from optdsl.errors import closest

EDGE = 4
"""How many entries a `repr` shows."""


class LabelError(KeyError):
    """A label, or a number of labels, that an array does not have; prints as the plain sentence."""

    def __str__(self) -> str:
        return str(self.args[0])


class LabelledArray(np.ndarray[Any, np.dtype[Any]]):
    """A read-only NumPy array, one axis per set in `axes`, that also answers to members.

    Its entries are numbers, or texts (as objects) where `show` asks for labels.

    Arithmetic, slices and everything else are NumPy's and give plain arrays. Text in an index means labels:
    `buy["bread"]`, `ship["seattle", "topeka"]`; an index without text is NumPy's, by position from 0. `at` always
    takes labels: `x.at(3)` is the entry of member 3. A set of tuples takes one label for each of its parts.
    """

    axes: tuple[SetValue, ...]
    name: str

    def __new__(cls, values: Any, axes: Sequence[SetValue] = (), name: str = "") -> LabelledArray:
        """values: anything with as many entries as the product of the axes, in C order."""
        array = np.asarray(values)
        labelled = array.reshape(tuple(len(axis) for axis in axes)).view(cls)
        labelled.axes, labelled.name = tuple(axes), name
        labelled.flags.writeable = False
        return labelled

    def __array_finalize__(self, parent: Any) -> None:
        # A view (`x.T`, `x.copy()`) may have other entries: it keeps no labels, and `_labelled` says so.
        self.axes, self.name = (), ""

    @property
    def _labelled(self) -> bool:
        return self.shape == tuple(len(axis) for axis in self.axes)

    def _need_labels(self) -> None:
        if not self._labelled:
            raise TypeError("this array was made from a labelled one and has no labels; ask the original")

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _plain(super().__array_function__(function, types, args, kwargs))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*(_plain(value) for value in inputs), **kwargs)

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if any(isinstance(part, str) for part in parts):
            return self.at(*parts)
        return np.asarray(self)[key]

    def at(self, *labels: Label) -> Any:
        """The entry of the member with these labels. Raises LabelError (a KeyError) with the nearest label."""
        return np.asarray(self)[self._position(labels)].item()

    def _position(self, labels: tuple[Label, ...]) -> tuple[int, ...]:
        self._need_labels()
        wanted = sum(axis.arity for axis in self.axes)
        if len(labels) != wanted:
            sets = ", ".join(axis.name for axis in self.axes)
            raise LabelError(f"{self.name} over [{sets}] takes {wanted} labels, not {len(labels)}")
        place, position = 0, []
        for axis in self.axes:
            part = labels[place : place + axis.arity]
            place += axis.arity
            found = int(axis.positions([labels_of([label]) for label in part])[0])
            if found < 0:
                raise LabelError(_no_member(axis, part))
            position.append(found)
        return tuple(position)

    @property
    def sets(self) -> tuple[str, ...]:
        """The names of the axes' sets; a filtered product of sets gives theirs."""
        return tuple(name for axis in self.axes for name in axis.parts or (axis.name,))

    def label_columns(self) -> tuple[list[Label], ...]:
        """The labels of each entry in C order, a list per index position."""
        self._need_labels()
        return tuple(column_list(labels) for labels in index_labels(self.axes))

    def to_dict(self) -> dict[Any, float]:
        """From labels (a tuple where there is more than one index position) to values; a scalar has the key ()."""
        columns = self.label_columns()
        keys: Any = columns[0] if len(columns) == 1 else zip(*columns, strict=True) if columns else [()]
        return dict(zip(keys, np.asarray(self).ravel().tolist(), strict=True))

    def to_pandas(self) -> Any:
        """A pandas Series whose index has one level per index position; a scalar gives a Series of one entry."""
        import pandas

        values, columns = np.array(self).ravel(), self.label_columns()
        if not columns:
            return pandas.Series(values, name=self.name)
        names = list(index_names(self.axes))
        if len(columns) == 1:
            index: Any = pandas.Index(columns[0], name=names[0])
        else:
            index = pandas.MultiIndex.from_arrays(columns, names=names)
        return pandas.Series(values, index=index, name=self.name)

    def to_polars(self) -> Any:
        """A Polars DataFrame: one column per index position, and `value`."""
        import polars

        columns = dict(zip(index_names(self.axes, taken=("value",)), self.label_columns(), strict=True))
        return polars.DataFrame({**columns, "value": np.array(self).ravel()}, strict=False)

    def __reduce__(self) -> Any:
        return LabelledArray, (np.array(self), self.axes, self.name)

    def __deepcopy__(self, memo: Any) -> LabelledArray:
        return self  # nothing in it can change

    def __repr__(self) -> str:
        values = np.asarray(self)
        if not self._labelled:
            return repr(values)
        sets = f"[{', '.join(self.sets)}]" if self.axes else ""
        if not self.axes or not self.size:
            return f"{self.name}{sets} = {values}"
        shown = min(self.size, EDGE)
        columns = [column_list(labels.take(np.arange(shown))) for labels in index_labels(self.axes, shown)]
        entries = [
            f"{label_text(tuple(label))}: {label_text(value) if isinstance(value, str) else f'{value:g}'}"
            for label, value in zip(zip(*columns, strict=True), values.ravel()[:shown].tolist(), strict=True)
        ]
        more = f", ... ({self.size} entries)" if self.size > shown else ""
        return f"{self.name}{sets} = {{{', '.join(entries)}{more}}}"

    def __str__(self) -> str:
        return str(np.asarray(self))

    def __format__(self, format_spec: str) -> str:
        return format(np.asarray(self)[()], format_spec) if self.ndim == 0 else format(str(self), format_spec)


def index_labels(axes: Sequence[SetValue], count: int | None = None) -> list[Any]:
    """`Labels` of each index position for the first `count` (all: None) entries of the axes' product, in C order."""
    shape = tuple(len(axis) for axis in axes)
    size = int(np.prod(shape, dtype=np.int64))
    flat = np.arange(size if count is None else min(count, size))
    if not flat.size:
        return [column.take(flat) for axis in axes for column in axis.columns]
    positions = np.unravel_index(flat, shape) if axes else ()
    whole = len(axes) == 1 and count is None
    return [
        column if whole else column.take(position)
        for axis, position in zip(axes, positions, strict=True)
        for column in axis.columns
    ]


def index_names(axes: Sequence[SetValue], taken: Sequence[str] = ()) -> tuple[str, ...]:
    """A distinct name per index position: the set's, numbered where it has several or occurs again."""
    names: list[str] = []
    for axis in axes:
        if len(axis.parts) == axis.arity:
            names.extend(axis.parts)
        elif axis.arity == 1:
            names.append(axis.name)
        else:
            names.extend(f"{axis.name}.{k + 1}" for k in range(axis.arity))
    used = set(taken)
    distinct = []
    for name in names:
        candidate, number = name, 2
        while candidate in used:
            candidate, number = f"{name}_{number}", number + 1
        used.add(candidate)
        distinct.append(candidate)
    return tuple(distinct)


def _plain(value: Any) -> Any:
    if isinstance(value, LabelledArray):
        return value.view(np.ndarray)
    if isinstance(value, (tuple, list)):
        return type(value)(map(_plain, value)) if type(value) in (tuple, list) else value
    return value


def _no_member(axis: SetValue, labels: tuple[Label, ...]) -> str:
    text = f"{label_text(labels)} is not a member of {axis.name}"
    column = axis.columns[0]
    if axis.arity == 1 and isinstance(labels[0], str) and isinstance(column, TextLabels):
        near = closest(labels[0], [str(label) for label in column.categories.tolist()])
        if near is not None:
            return f"{text}; did you mean {label_text(near)}?"
    return f"{text} (its members: {axis.preview()})"
