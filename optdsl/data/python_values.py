"""Python values of every kind as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import chain
from pathlib import PurePath
from typing import Any

import numpy as np

from optdsl.data.columns import Column, integer_column, transpose
from optdsl.data.forms import (
    DenseValue,
    FrameValue,
    ListValue,
    MappingValue,
    ScalarValue,
    SparseValue,
    Supplied,
    check_complete,
    is_number,
    labels,
    nan_error,
    number_array,
    unsupported,
    value_column,
)
from optdsl.data.frames import from_frame


def from_python(name: str, value: Any, *, shared: bool = False) -> Supplied:
    """The value that a Python caller gives to `name`. shared: whether an array of floats may be used where it lies.

    Without it all is copied: what the caller writes later does not matter.

    Numbers (also of NumPy, Fraction, Decimal), texts, dicts (tuple keys or nested), lists, tuples, sets, ranges,
    NumPy arrays, SciPy sparse matrices, Series and DataFrames of pandas and Polars, Arrow tables. Raises
    DataError: a value of another type, mixed types, or NaN.
    """
    if isinstance(value, str | PurePath):
        return ScalarValue(str(value))
    if isinstance(value, np.ndarray):
        return _from_array(name, value, shared)
    if is_number(value):
        return _scalar(name, value)
    if isinstance(value, Mapping):
        return _from_mapping(name, value)
    if isinstance(value, range):
        return ListValue((integer_column("", np.arange(value.start, value.stop, value.step)),))
    if isinstance(value, list | tuple):
        return _from_list(name, value)
    if isinstance(value, Set):
        return _from_list(name, _in_order(name, value))
    return _from_library(name, value)


def _scalar(name: str, value: Any) -> ScalarValue:
    if isinstance(value, bool | int | np.integer | np.bool_):
        return ScalarValue(int(value))
    number = float(value)
    if number != number:
        raise nan_error(name, None)
    return ScalarValue(number)


def _in_order(name: str, items: Set[Any]) -> list[Any]:
    """The items of a Python set in an order that does not change from run to run: numbers, texts, tuples."""
    try:
        return sorted(items, key=_rank)
    except TypeError:
        wrong = next((item for item in items if not isinstance(item, str | tuple) and not is_number(item)), None)
        raise unsupported(
            name, f"is a set with the item {wrong!r}", "members are texts, integers, or tuples of them"
        ) from None


def _rank(item: Any) -> list[tuple[bool, Any]]:
    parts = item if isinstance(item, tuple) else (item,)
    return [(isinstance(part, str), part) for part in parts]


# ---- dicts


def _from_mapping(name: str, mapping: Mapping[Any, Any]) -> Supplied:
    entries = list(mapping.values())
    if entries and all(isinstance(entry, list | tuple | range | np.ndarray) for entry in entries):
        return _frame_of_lists(name, mapping)
    key_cells, cells = _entries(name, mapping)
    keys = tuple(labels(name, f"key {position}", column) for position, column in enumerate(key_cells, 1))
    values = value_column(name, "value", cells)
    check_complete(name, values, keys)
    return MappingValue(keys, values)


def _entries(name: str, mapping: Mapping[Any, Any]) -> tuple[list[list[Any]], list[Any]]:
    """The parts of the keys, one sequence for each position, and the values; nested dicts add positions."""
    keys, entries = list(mapping), list(mapping.values())
    nested = sum(isinstance(entry, Mapping) for entry in entries)
    if nested == 0:
        return _key_parts(name, keys), entries
    if nested < len(entries):
        raise unsupported(name, "is a dict that holds both dicts and other values", "nest all entries or none")
    inner = [_entries(name, entry) for entry in entries]
    filled = [part for part in inner if part[1]]
    if not filled:
        return [], []
    width = {len(parts) for parts, _ in filled}
    if len(width) > 1:
        raise unsupported(name, "is nested to different depths", "give every entry the same number of keys")
    counts = [len(values) for _, values in inner]
    outer = [[part] * count for part, count in zip(keys, counts, strict=True)]
    outer_parts = _key_parts(name, list(chain.from_iterable(outer)))
    inner_parts = [list(chain.from_iterable(parts[k] for parts, _ in filled)) for k in range(width.pop())]
    return [*outer_parts, *inner_parts], list(chain.from_iterable(values for _, values in filled))


def _key_parts(name: str, keys: list[Any]) -> list[list[Any]]:
    """Tuple keys by position; other keys as the only position."""
    types = {*map(type, keys)}
    if tuple not in types:
        return [keys] if keys else []
    lengths = {*map(len, keys)} if types == {tuple} else set()
    if len(lengths) != 1:
        raise unsupported(name, "has keys of different lengths", "give every entry the same number of keys")
    return transpose(keys, lengths.pop())


def _frame_of_lists(name: str, mapping: Mapping[Any, Any]) -> FrameValue:
    """A dict of lists: columns by name."""
    columns = []
    for key, cells in mapping.items():
        if isinstance(cells, np.ndarray) and cells.ndim == 1 and cells.dtype.kind in "fiub":
            columns.append(number_array(str(key), cells))
        else:
            columns.append(value_column(name, str(key), list(cells)))
    if len({*map(len, columns)}) > 1:
        raise unsupported(name, "has columns of different lengths", "give every column the same number of rows")
    return FrameValue(tuple(columns))


# ---- lists and arrays


def _from_list(name: str, items: Sequence[Any]) -> Supplied:
    """Scalars: one column. Tuples: a column for each position. Lists of lists of numbers: an array."""
    types = {*map(type, items)}
    if not any(issubclass(kind, list | tuple | np.ndarray) for kind in types):
        column = _list_column(name, "", items)
        check_complete(name, column, ())
        return ListValue((column,))
    if not all(issubclass(kind, list | tuple | np.ndarray) for kind in types):
        raise unsupported(name, "is a list that holds both lists and other values")
    if tuple not in types:
        array = _stacked(items)
        if array is not None:
            return _from_array(name, array)
    if len({*map(len, items)}) > 1:
        raise unsupported(name, "is a list whose rows have different lengths", "give every row the same length")
    if any(isinstance(part, list | tuple) for part in items[0]):
        array = _stacked(items)
        if array is None:
            raise unsupported(name, "is a nested list that is not a full array of numbers")
        return _from_array(name, array)
    columns = [_list_column(name, "", cells) for cells in transpose(items, len(items[0]))]
    for column in columns:
        check_complete(name, column, ())
    return ListValue(tuple(columns))


def _list_column(name: str, column: str, cells: Sequence[Any]) -> Column:
    """Numbers, or labels where texts are among the items."""
    if any(issubclass(kind, str) for kind in {*map(type, cells)}):
        return labels(name, column, cells)
    return value_column(name, column, cells)


def _stacked(items: Sequence[Any]) -> np.ndarray | None:
    """Nested lists as an array of numbers; None when they are ragged or hold something else."""
    try:
        array = np.array(items)
        if array.dtype == object:
            array = array.astype(np.float64)
    except (ValueError, TypeError):
        return None
    return array if array.dtype.kind in "fiub" else None


def _from_array(name: str, array: np.ndarray, shared: bool = False) -> Supplied:
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise unsupported(name, "has masked entries", "fill them in: array.filled(0)")
    array = np.asarray(array)
    if array.dtype.names:
        return _frame_of_lists(name, {field: array[field] for field in array.dtype.names})
    if array.ndim == 0:
        return from_python(name, array.item())
    if array.dtype.kind in "fiub":
        if array.dtype.kind == "f":
            kind = np.float32 if array.dtype.itemsize == 4 else np.float64  # large data stays as small as it is
            values = np.array(array, dtype=kind, order="C", copy=None if shared else True)
        else:
            values = number_array("", array.reshape(-1)).values.reshape(array.shape)
        if values.dtype.kind == "f" and values.size and np.isnan(values.max()):  # it is NaN where one is
            position = np.unravel_index(int(np.isnan(values).argmax()), values.shape)
            raise nan_error(name, "position [" + ", ".join(str(int(part) + 1) for part in position) + "]")
        return DenseValue(values)
    if array.dtype.kind == "M":
        array = array.astype(str)
    if array.dtype.kind in "UO" and array.ndim <= 2:
        return _from_list(name, [tuple(row) for row in array.tolist()] if array.ndim == 2 else array.tolist())
    raise unsupported(name, f"is an array of {array.ndim} axes of type {array.dtype}")


# ---- other libraries, known by the module of the type and never imported here


def _from_library(name: str, value: Any) -> Supplied:
    module = type(value).__module__.partition(".")[0]
    if module == "scipy" and hasattr(value, "tocoo"):
        return _from_sparse(name, value)
    if module in ("pandas", "polars", "pyarrow", "duckdb", "_duckdb"):
        supplied = from_frame(name, value)
        if supplied is not None:
            return supplied
    elif hasattr(value, "__array__"):
        return _from_array(name, np.asarray(value))
    raise unsupported(name, f"is of type {type(value).__name__}, which is not read")


def _from_sparse(name: str, matrix: Any) -> Supplied:
    if matrix.ndim != 2:
        return _from_array(name, matrix.toarray())
    entries = matrix.tocoo()
    rows, columns = entries.coords if hasattr(entries, "coords") else (entries.row, entries.col)
    if entries.dtype.kind not in "fiub":
        raise unsupported(name, f"is a matrix of type {entries.dtype}", "give real numbers")
    values = entries.data.astype(np.float64)
    nan = np.isnan(values)
    if nan.any():
        first = int(nan.argmax())
        raise nan_error(name, f"position [{int(rows[first]) + 1}, {int(columns[first]) + 1}]")
    shape = (int(matrix.shape[0]), int(matrix.shape[1]))
    return SparseValue(rows.astype(np.int64), columns.astype(np.int64), values, shape)
