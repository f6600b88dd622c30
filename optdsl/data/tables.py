"""Tables: files and query results as named columns, and their use as numbers or as members of a set."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from optdsl.data.columns import Column, integer_column, parse_booleans, parse_numbers
from optdsl.data.content import Content, find_file, malformed, unreadable
from optdsl.errors import DataError, DataPlace, Diagnostic, closest

__all__ = ["Column", "Table", "members", "numeric", "open_sql", "open_table", "read_array"]


class Table:
    """An opened table. Columns are read when first asked for and kept; threads may share one table.

    `name` is the table's name in the model, `file` the file as the user named it, `rows` the number of rows,
    `columns` the names of the columns in order.
    """

    def __init__(self, name: str, file: str, content: Content) -> None:
        self.name = name
        self.file = file
        self.rows = content.rows
        self.columns = content.columns
        self._content = content
        self._read: dict[str, Column] = {}
        self._lines: np.ndarray | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Table({self.name} from {self.file}: {self.rows} rows, columns {', '.join(self.columns)})"

    def column(self, name: str) -> Column:
        """The column of that name; DataError `unknown-column` when the table has none."""
        if name not in self.columns:
            raise self._unknown(name)
        with self._lock:
            if name not in self._read:
                self._read[name] = self._content.read(self.columns.index(name))
            return self._read[name]

    def _unknown(self, name: str) -> DataError:
        near = closest(name, self.columns)
        known = ", ".join(self.columns[:12]) + (", ..." if len(self.columns) > 12 else "")
        return DataError(
            Diagnostic(
                "unknown-column",
                f"table {self.name} has no column {name}",
                hint=f"did you mean {near}?" if near else f"the columns of {self.file} are {known}",
                notes=(f"the columns of {self.file} are {known}",) if near else (),
            )
        )

    def matching(self, pattern: str) -> tuple[str, ...]:
        """The columns whose names match a pattern with `*`, `?` and `[...]`, in their order."""
        return tuple(name for name in self.columns if fnmatch.fnmatchcase(name, pattern))

    def line_of(self, row: int) -> int | None:
        """The line of the file in which the 0-based row starts; None where the format has no lines."""
        if self._content.lines is None:
            return None
        with self._lock:
            if self._lines is None:
                self._lines = self._content.lines()
            return int(self._lines[row])

    def place(self, row: int, column: str | None = None) -> DataPlace:
        """Where the 0-based row stands, for a message."""
        line = self.line_of(row)
        return DataPlace(self.file, line, column, row=row + 1 if line is None else None)


# --------------------------------------------------------------------------------------------------- opening


def open_table(path: str, *, folder: Path, name: str) -> Table:
    """Open the file at `path` (relative to `folder`) by its extension.

    Raises DataError: no such file, an extension that is not known, or content that is not in the format.
    """
    found = find_file(path, folder)
    suffixes = [suffix.lower() for suffix in found.suffixes]
    extension = suffixes[-1] if suffixes else ""
    if extension == ".gz" and len(suffixes) > 1:
        extension = suffixes[-2] + ".gz"
    return Table(name, path, _reader(extension, path)(found, path))


def _reader(extension: str, path: str) -> Callable[[Path, str], Content]:
    """The function that opens files of an extension; it imports its library only now."""
    match extension:
        case ".csv" | ".tsv" | ".txt" | ".csv.gz" | ".tsv.gz" | ".txt.gz":
            from optdsl.data.delimited import read_delimited

            return read_delimited
        case ".parquet" | ".pq":
            from optdsl.data.arrow import read_parquet

            return read_parquet
        case ".arrow" | ".feather" | ".ipc":
            from optdsl.data.arrow import read_feather

            return read_feather
        case ".jsonl" | ".ndjson" | ".json":
            from optdsl.data.records import read_json

            return read_json
        case ".xlsx" | ".xls" | ".xlsm" | ".xlsb" | ".ods":
            from optdsl.data.records import read_spreadsheet

            return read_spreadsheet
        case ".npy":
            return _read_matrix
    ending = f"the extension {extension}, which names no format of tables" if extension else "no extension"
    raise DataError(
        Diagnostic(
            "unknown-format",
            f"{path} has {ending}",
            hint="use .csv, .tsv, .parquet, .jsonl, .arrow, .feather, .xlsx, .ods or .npy",
        )
    )


def open_sql(query: str, database: str | None, *, folder: Path, name: str) -> Table:
    """The result of a query: in a DuckDB or SQLite file, or, without one, over files that the query names.

    Raises DataError: the query is not one SELECT, names a file that it may not read, or fails.
    """
    from optdsl.data.queries import run_query

    return Table(name, f"query of {name}", run_query(query, database, folder, name))


def read_array(path: str, *, folder: Path) -> np.ndarray:
    """The numbers of an `.npy` file, float64 of any shape. Never unpickles; DataError for other content."""
    return _load_array(find_file(path, folder), path)


def _load_array(found: Path, path: str) -> np.ndarray:
    try:
        with found.open("rb") as file:
            start = file.read(6)
            file.seek(0)
            if start.startswith(b"PK"):
                raise malformed(path, "NumPy", "it is an archive of arrays; save one array with numpy.save")
            if start != b"\x93NUMPY":  # numpy.load would take anything else for a pickle
                raise malformed(path, "NumPy", "it does not start as one")
            array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        if "allow_pickle" in str(error):
            reason = "it holds Python objects, and only plain numbers are read"
        else:
            reason = "its header or its length is wrong"
        raise malformed(path, "NumPy", reason) from None
    except OSError as error:
        raise unreadable(path, error) from None
    if array.dtype.kind not in "fiub":
        raise malformed(path, "NumPy", f"its entries are of type {array.dtype}, not real numbers")
    return np.ascontiguousarray(array, dtype=np.float64).reshape(array.shape)


def _read_matrix(path: Path, file: str) -> Content:
    """A two-dimensional array as the columns c1, c2, ...; a one-dimensional one as the column c1."""
    array = _load_array(path, file)
    if array.ndim not in (1, 2):
        raise malformed(file, "table", f"the array has {array.ndim} axes, and a table has two")
    matrix = array.reshape(len(array), -1)
    names = tuple(f"c{position}" for position in range(1, matrix.shape[1] + 1))

    def read(position: int) -> Column:
        values = np.ascontiguousarray(matrix[:, position])
        return Column(names[position], "number", values)

    return Content(names, len(matrix), read)


# ------------------------------------------------------------------------------ columns as numbers, members


def numeric(column: Column, table: Table, *, allow_missing: bool = False) -> np.ndarray:
    """The column as numbers (n,) float64.

    Raises DataError with every kind of bad cell, each counted and the first one shown. With `allow_missing`,
    empty cells are NaN instead of an error (`column.missing` marks them).
    """
    values, not_numbers = _values(column)
    missing = np.zeros(len(values), dtype=bool) if column.missing is None else column.missing
    nan = np.isnan(values) & ~not_numbers & ~missing
    mistakes = []
    if not_numbers.any():
        mistakes.append(_not_numbers(column, table, not_numbers))
    if nan.any():
        mistakes.append(_nan(column, table, nan))
    if missing.any() and not allow_missing:
        mistakes.append(_empty(column, table, missing))
    if mistakes:
        raise DataError(*mistakes)
    return values


def _values(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Values (n,), NaN where there is none, and a mask of the cells that hold something else."""
    nothing = np.zeros(len(column), dtype=bool)
    if column.categories is None:
        return column.values.astype(np.float64, copy=False), nothing
    texts = column.categories.tolist()
    booleans = parse_booleans(texts)
    if booleans is not None:
        return np.append(booleans, np.nan)[column.values], nothing
    numbers, good = parse_numbers(texts)
    if column.kind == "other":
        good[:] = False
    # "nan" is spelled like a number that is none: it gets the message about NaN.
    spelled_nan = np.fromiter((text.lower() in ("nan", "-nan", "+nan") for text in texts), dtype=bool, count=len(texts))
    bad = np.append(~good & ~spelled_nan, False)
    return np.append(numbers, np.nan)[column.values], bad[column.values]


def _not_numbers(column: Column, table: Table, bad: np.ndarray) -> Diagnostic:
    first, count = int(bad.argmax()), int(bad.sum())
    text = str(column.cell(first))
    shown = repr(text if len(text) <= 40 else text[:37] + "...")
    if count == 1:
        message = f"1 cell of column {column.name} is not a number: {shown}"
    else:
        message = f"{count} cells of column {column.name} are not numbers; the first is {shown}"
    return Diagnostic("not-a-number", message, hint=_number_hint(text), place=table.place(first, column.name))


def _number_hint(text: str) -> str:
    """How to write what the cell most likely means."""
    digits = any(character.isdigit() for character in text)
    if text.upper() in ("NA", "N/A", "#N/A", "NULL", "NONE", "-", "?", "."):
        return "leave the cell empty where there is no value"
    if digits and "," in text:
        return "write numbers with a decimal point and without separators between thousands: 1234.5"
    if digits and text.rstrip().endswith("%"):
        return "write the share as a number: 0.05 instead of 5%"
    if digits:
        return "keep only the number in the cell, and name the unit in the header"
    return "correct the cell, or name another column"


def _nan(column: Column, table: Table, nan: np.ndarray) -> Diagnostic:
    first, count = int(nan.argmax()), int(nan.sum())
    cells = "1 cell is" if count == 1 else f"{count} cells are"
    return Diagnostic(
        "nan-in-data",
        f"column {column.name} is not complete: {cells} NaN",
        hint="put a number there, or leave the row out",
        place=table.place(first, column.name),
    )


def _empty(column: Column, table: Table, missing: np.ndarray) -> Diagnostic:
    first, count = int(missing.argmax()), int(missing.sum())
    cells = "1 cell of column" if count == 1 else f"{count} cells of column"
    is_sheet = table.file.lower().endswith((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods"))
    failed = " (a formula that failed, such as #DIV/0!, counts as empty)" if is_sheet else ""
    return Diagnostic(
        "empty-cell",
        f"{cells} {column.name} {'is' if count == 1 else 'are'} empty",
        hint=f"fill in the cell, or leave the row out{failed}",
        place=table.place(first, column.name),
    )


def members(column: Column, table: Table) -> Column:
    """The column as members of a set: kind `integer` or `text`, without empty cells.

    Numbers with integer values become integers; other numbers, NaN and empty cells are a DataError that names
    the first of them.
    """
    mistakes = []
    if column.missing is not None:
        mistakes.append(_empty(column, table, column.missing))
    if column.kind == "number":
        present = np.ones(len(column), dtype=bool) if column.missing is None else ~column.missing
        whole = np.isfinite(column.values) & (column.values == np.rint(column.values)) & (np.abs(column.values) < 2**53)
        bad = present & ~whole
        if bad.any():
            mistakes.append(_not_members(column, table, bad))
    if mistakes:
        raise DataError(*mistakes)
    if column.categories is not None:
        return Column(column.name, "text", column.values, column.categories)
    return integer_column(column.name, column.values.astype(np.int64, copy=False))


def _not_members(column: Column, table: Table, bad: np.ndarray) -> Diagnostic:
    first, count = int(bad.argmax()), int(bad.sum())
    value = f"{column.values[first]:.12g}"
    if count == 1:
        message = f"1 cell of column {column.name} cannot be a member of a set: {value} is not an integer"
    else:
        message = (
            f"{count} cells of column {column.name} cannot be members of a set: the first, {value}, is not an integer"
        )
    return Diagnostic(
        "not-a-member",
        message,
        hint="members of sets are text or integers",
        place=table.place(first, column.name),
    )
