"""The forms that data from outside takes, and the checks and messages that every source of it shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from optdsl.data.columns import Column, coded_column, encode, integer_column, number_column
from optdsl.data.content import Content
from optdsl.data.tables import Table
from optdsl.errors import DataError, Diagnostic

# ----------------------------------------------------------------------------------------------- the forms


@dataclass(frozen=True)
class ScalarValue:
    """One number or one text. Booleans are 0 and 1."""

    value: int | float | str


@dataclass(frozen=True, eq=False)
class ListValue:
    """Items in order: scalars (one column) or tuples (one column for each position)."""

    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0


@dataclass(frozen=True, eq=False)
class DenseValue:
    """Numbers by position: `values` of any shape with at least one axis, float64, float32 where so given, or int64."""

    values: np.ndarray


@dataclass(frozen=True, eq=False)
class SparseValue:
    """A matrix by position, zero where nothing is stored: `rows`, `columns` (n,) int64, `values` (n,) float64."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class MappingValue:
    """Values by key: one column of n labels for each position of the key, and the n values.

    With `by_position` the keys are only row numbers 0, 1, ... that nobody chose (the default index of pandas):
    the values may as well be meant in the order of the axis.
    """

    keys: tuple[Column, ...]
    values: Column
    by_position: bool = False


@dataclass(frozen=True, eq=False)
class FrameValue:
    """Named columns of n rows; `index` holds the columns that label the rows, where somebody chose them."""

    columns: tuple[Column, ...]
    index: tuple[Column, ...] = ()

    def table(self, name: str) -> Table:
        """The same rows as a table, the index columns that have names first."""
        named = tuple(column for column in self.index if column.name)
        columns = (*named, *self.columns)
        names = tuple(column.name for column in columns)
        rows = len(columns[0]) if columns else 0
        return Table(name, f"value of {name}", Content(names, rows, lambda position: columns[position]))


Supplied: TypeAlias = ScalarValue | ListValue | DenseValue | SparseValue | MappingValue | FrameValue


# ----------------------------------------------------------------------------------- columns of Python values


def is_number(value: Any) -> bool:
    return isinstance(value, Real | Decimal | np.bool_)


def labels(name: str, column: str, cells: Sequence[Any]) -> Column:
    """Keys or members as a column: `integer`, or `text` whose categories may be integers too where both occur."""
    types = {*map(type, cells)}
    if any(issubclass(kind, np.generic) for kind in types):
        cells = [cell.item() if isinstance(cell, np.generic) else cell for cell in cells]
        types = {*map(type, cells)}
    if types <= {int}:
        try:
            return integer_column(column, np.array(cells, dtype=np.int64))
        except OverflowError:
            raise unsupported(name, "has an integer key beyond 64 bits", "use a text instead") from None
    if float in types and types <= {int, float}:
        return _whole(name, column, np.array(cells, dtype=np.float64))
    if not all(issubclass(kind, str | int) and kind is not bool for kind in types):
        wrong = next(cell for cell in cells if not isinstance(cell, str | int) or isinstance(cell, bool))
        raise unsupported(
            name, f"has the key {wrong!r} of type {type(wrong).__name__}", "keys and members are texts or integers"
        )
    codes, categories = encode(cells)
    return coded_column(column, codes, categories)


def as_labels(name: str, column: Column) -> Column:
    """A column of any kind as labels; dates are their ISO texts."""
    if column.missing is not None:
        row = int(column.missing.argmax()) + 1
        raise unsupported(name, f"has no key in its entry {row}", "give every entry a key")
    if column.kind == "number":
        return _whole(name, column.name, column.values)
    if column.categories is not None and column.kind != "text":
        return Column(column.name, "text", column.values, column.categories)
    return column


def _whole(name: str, column: str, values: np.ndarray) -> Column:
    """Floats as integer labels; DataError unless each is an integer."""
    fractional = ~(np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2**53))
    if fractional.any():
        wrong = values[fractional.argmax()].item()
        raise unsupported(name, f"has the key {wrong!r}", "keys and members are texts or integers")
    return integer_column(column, values.astype(np.int64))


def value_column(name: str, column: str, cells: Sequence[Any]) -> Column:
    """Values of entries as a column: all numbers, or all texts."""
    types = {*map(type, cells)}
    if all(issubclass(kind, str) for kind in types) and types:
        return labels(name, column, cells)
    if types and all(issubclass(kind, int | np.integer | np.bool_) for kind in types):
        try:
            return integer_column(column, np.array(cells, dtype=np.int64))
        except OverflowError:
            pass
    if all(issubclass(kind, Real | np.bool_ | Decimal) for kind in types):
        return number_column(column, np.fromiter(map(float, cells), dtype=np.float64, count=len(cells)))
    wrong = next(cell for cell in cells if not is_number(cell))
    kind = type(wrong).__name__
    raise unsupported(name, f"holds {wrong!r} of type {kind} among its entries", "all numbers, or all texts")


def check_complete(name: str, values: Column, keys: tuple[Column, ...]) -> None:
    """DataError at the first value that is NaN or missing, by its key."""
    nan = np.isnan(values.values) if values.kind == "number" else values.missing
    if nan is not None and nan.any():
        first = int(nan.argmax())
        key = tuple(column.cell(first) for column in keys)
        missing = values.missing is not None and bool(values.missing[first])
        raise nan_error(name, f"{key[0] if len(key) == 1 else key!r}" if key else f"position {first + 1}", missing)


def number_array(column: str, values: np.ndarray) -> Column:
    """A one-dimensional array of numbers as a column: integers stay integers when 64 bits hold them."""
    if values.dtype.kind in "ib" or (values.dtype.kind == "u" and (not len(values) or values.max() < 2**63)):
        return integer_column(column, values.astype(np.int64))
    return number_column(column, values.astype(np.float64))


# ------------------------------------------------------------------------------------------------- messages


def nan_error(name: str, where: str | None, missing: bool = False) -> DataError:
    return DataError(
        Diagnostic(
            "nan-supplied",
            f"the value given to {name} is {'missing' if missing else 'NaN'}{'' if where is None else ' at ' + where}",
            hint="give a number there, or leave the entry out where a default is declared",
        )
    )


def unsupported(name: str, what: str, hint: str | None = None) -> DataError:
    usual = "give a number, a text, a dict, a list, a NumPy array, a sparse matrix, or a Series or DataFrame"
    return DataError(Diagnostic("unsupported-value", f"the value given to {name} {what}", hint=hint or usual))
