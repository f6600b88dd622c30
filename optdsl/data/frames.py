"""Series and frames of pandas, Polars, Arrow and DuckDB, without importing the library they come from."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.data.columns import Column, coded_column, integer_column, number_column, spelled, strings
from optdsl.data.forms import DenseValue, FrameValue, ListValue, MappingValue, Supplied, as_labels, check_complete


def from_frame(name: str, value: Any) -> Supplied | None:
    """The value of a Series, an Index, a DataFrame or an Arrow table; None when it is something else."""
    module = type(value).__module__.partition(".")[0]
    kind = type(value).__name__
    if module == "pandas":
        return _from_pandas(name, value, kind)
    if module == "polars" and kind in ("DataFrame", "Series"):
        value = value.to_arrow()
    elif module == "polars" and kind == "LazyFrame":
        value = value.collect().to_arrow()
    elif module in ("duckdb", "_duckdb") and hasattr(value, "to_arrow_table"):
        value = value.to_arrow_table()
    return _from_arrow(name, value)


# ---------------------------------------------------------------------------------------------------- Arrow


def _from_arrow(name: str, value: Any) -> Supplied | None:
    import pyarrow as pa

    from optdsl.data.arrow import column_of_array

    source = f"value of {name}"
    if isinstance(value, pa.RecordBatch):
        value = pa.Table.from_batches([value])
    if isinstance(value, pa.Table):
        names = value.column_names
        return FrameValue(tuple(column_of_array(n, value.column(k), source) for k, n in enumerate(names)))
    if isinstance(value, pa.Array):
        value = pa.chunked_array([value])
    if isinstance(value, pa.ChunkedArray):
        return _positional(name, column_of_array("", value, source))
    return None


def _positional(name: str, column: Column) -> Supplied:
    """A Series without keys: by position. Numbers are checked like a list's."""
    check_complete(name, column, ())
    return DenseValue(column.values) if column.categories is None else ListValue((column,))


# --------------------------------------------------------------------------------------------------- pandas


def _from_pandas(name: str, value: Any, kind: str) -> Supplied | None:
    if kind == "DataFrame":
        columns = tuple(_pandas_column(str(label), value.iloc[:, k]) for k, label in enumerate(value.columns))
        return FrameValue(columns, () if _is_default(value.index) else _pandas_index(value.index))
    if kind == "Series":
        values = _pandas_column("value", value)
        keys = tuple(as_labels(name, column) for column in _pandas_index(value.index))
        check_complete(name, values, keys)
        return MappingValue(keys, values, by_position=_is_default(value.index))
    if kind.endswith("Index"):
        return ListValue(_pandas_index(value))
    return None


def _is_default(index: Any) -> bool:
    """Whether the rows are only numbered from 0, without a name: pandas' index where nobody chose one."""
    return type(index).__name__ == "RangeIndex" and index.name is None and index.start == 0 and index.step == 1


def _pandas_index(index: Any) -> tuple[Column, ...]:
    names = ["" if label is None else str(label) for label in index.names]
    return tuple(_pandas_column(label, index.get_level_values(k)) for k, label in enumerate(names))


def _pandas_column(name: str, series: Any) -> Column:
    """A pandas Series or Index as a column; NaN in a plain float column stays NaN, other gaps are empty cells."""
    dtype = series.dtype
    kind = getattr(dtype, "kind", "O")
    if isinstance(dtype, np.dtype) and kind in "fiu":
        values = series.to_numpy()
        return number_column(name, values) if kind == "f" else _integers(name, values)
    if kind in "fiu" and hasattr(dtype, "na_value"):  # nullable numbers
        missing = np.asarray(series.isna(), dtype=bool)
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        if kind == "f":
            return number_column(name, values, missing)
        return _integers(name, series.fillna(0).to_numpy(dtype=np.int64), missing)
    codes, distinct = series.factorize()
    cells = [*distinct]
    types = {*map(type, cells)}
    if kind == "O" and types and all(issubclass(t, int | float | np.number) and t is not bool for t in types):
        return _factored_numbers(name, codes, cells, types)
    spellings = strings([spelled(cell.item() if isinstance(cell, np.generic) else cell) for cell in cells])
    if kind == "b" or types == {bool}:
        return coded_column(name, codes, spellings, "boolean")
    return coded_column(name, codes, spellings, "other" if kind == "M" else "text")


def _integers(name: str, values: np.ndarray, missing: np.ndarray | None = None) -> Column:
    if values.dtype.kind == "u" and len(values) and values.max() >= 2**63:
        return number_column(name, values.astype(np.float64), missing)
    return integer_column(name, values.astype(np.int64), missing)


def _factored_numbers(name: str, codes: np.ndarray, cells: list[Any], types: set[type]) -> Column:
    """Numbers in a column of Python objects (or of categories), from their codes."""
    missing = codes < 0
    if all(issubclass(kind, int | np.integer) for kind in types):
        return integer_column(name, np.array([*cells, 0], dtype=np.int64)[codes], missing)
    return number_column(name, np.array([*cells, np.nan], dtype=np.float64)[codes], missing)
