"""Comma, semicolon and tab separated text.

Small files go through Python's own reader, which costs nothing to start; larger ones through Arrow's, which
is faster from about a megabyte on. Both give the same cells: every cell is text first, blanks around it are
dropped, and the type of a column is decided from all of its cells.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optdsl.data.columns import Column, column_of_texts, encode, transpose
from optdsl.data.content import Content, header_names, malformed, unreadable
from optdsl.errors import DataError, DataPlace, Diagnostic

if TYPE_CHECKING:
    import pyarrow as pa

SMALL = 1 << 20  # bytes up to which Python's reader wins against importing Arrow
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_delimited(path: Path, file: str, *, small: int = SMALL) -> Content:
    """Open a `.csv`, `.tsv` or `.txt` file (also with `.gz`); the first line is the header."""
    data = _bytes_of(path, file)
    _check_start(data, file)
    tabs = ".tsv" in [suffix.lower() for suffix in path.suffixes]
    delimiter = "\t" if tabs else _delimiter(data)
    if len(data) <= small:
        _check_encoding(data, file)
        return _read_small(data, file, delimiter)
    return _read_large(path, data, file, delimiter)


def _bytes_of(path: Path, file: str) -> bytes:
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise malformed(file, "gzip", str(error)) from None
    except OSError as error:
        raise unreadable(file, error) from None
    return data.removeprefix(_BYTE_ORDER_MARK)


def _check_start(data: bytes, file: str) -> None:
    """Refuse what is not text with a header."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        _not_utf8(file, 1, "UTF-16")
    if not data or data.isspace():
        raise _empty(file)
    zero = data.find(b"\0")
    if zero >= 0:
        raise malformed(file, "text", "it holds binary data", data.count(b"\n", 0, zero) + 1)


def _empty(file: str) -> DataError:
    return DataError(
        Diagnostic(
            "empty-file",
            f"{file} is empty",
            hint="the first line must be a header with the names of the columns",
            place=DataPlace(file),
        )
    )


def _check_encoding(data: bytes, file: str) -> None:
    """Refuse what is not UTF-8, and say in which line it stops being so."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        _not_utf8(file, _line_at(data, error.start), "another encoding")


def _line_at(data: bytes, offset: int) -> int:
    """The 1-based line of a byte, where a line may end in LF, CRLF or CR."""
    head = data[:offset]
    return 1 + head.count(b"\n") + head.count(b"\r") - head.count(b"\r\n")


def _not_utf8(file: str, line: int, encoding: str) -> None:
    raise DataError(
        Diagnostic(
            "bad-encoding",
            f"{file} is not UTF-8 text: line {line} is in {encoding}",
            hint="save the file as UTF-8 (in a spreadsheet: CSV UTF-8)",
            place=DataPlace(file, line),
        )
    )


def _delimiter(data: bytes) -> str:
    """The separator, decided by the header: comma, else semicolon, else tab."""
    end = min((at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0), default=len(data))
    header = data[:end].decode("utf-8", "replace")
    unquoted = "".join(header.split('"')[::2])
    return next((mark for mark in ",;\t" if mark in unquoted), ",")


# ---------------------------------------------------------------------------------------------- small files


def _records(data: bytes, file: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows with the line each starts in, blank lines left out; DataError where the quoting breaks."""
    reader = csv.reader(io.StringIO(data.decode("utf-8"), newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for row in reader:
            if not _is_blank(row):
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise _bad_quoting(file, start, error) from None


def _is_blank(row: list[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip(" \t"))


def _bad_quoting(file: str, line: int, error: csv.Error) -> DataError:
    if "unexpected end of data" in str(error) or "field larger" in str(error):
        reason = "a quote that is opened in this row is never closed"
    else:
        reason = "a quoted cell ends before the next separator"
    return DataError(
        Diagnostic(
            "bad-quoting",
            f"{file} cannot be split into cells: {reason}",
            hint='a cell is quoted as a whole, and a quote inside it is doubled: "5"" pipe"',
            place=DataPlace(file, line),
        )
    )


def _lines(data: bytes, file: str, delimiter: str) -> np.ndarray:
    """The line of each row (n,); the header is the first record and is left out. Only messages need this."""
    return np.array([line for line, _ in _records(data, file, delimiter)][1:], dtype=np.int64)


def _read_small(data: bytes, file: str, delimiter: str) -> Content:
    text = io.StringIO(data.decode("utf-8"), newline="")
    try:
        records = [row for row in csv.reader(text, delimiter=delimiter, strict=True) if not _is_blank(row)]
    except csv.Error:
        list(_records(data, file, delimiter))  # raises the same error with its line
        raise
    if not records:
        raise _empty(file)
    header, rows = records[0], records[1:]
    if set(map(len, rows)) - {len(header)}:
        raise _ragged(data, file, delimiter)
    names = header_names(header, file, 1)
    cells = transpose(rows, len(names))

    def read(position: int) -> Column:
        trimmed = [cell.strip(" \t") or None for cell in cells[position]]
        return column_of_texts(names[position], *encode(trimmed))

    return Content(names, len(rows), read, lambda: _lines(data, file, delimiter))


def _ragged(data: bytes, file: str, delimiter: str) -> DataError:
    """The rows that have more or fewer cells than the header: how many, and the first."""
    records = _records(data, file, delimiter)
    width = len(next(records)[1])
    ragged = [(line, len(row)) for line, row in records if len(row) != width]
    line, found = ragged[0]
    count = "1 row has" if len(ragged) == 1 else f"{len(ragged)} rows have"
    first = "it" if len(ragged) == 1 else "the first"
    hint = "a cell that contains the separator must be in double quotes" if found > width else None
    return DataError(
        Diagnostic(
            "ragged-row",
            f"{count} not as many cells as the header: {first} has {found} instead of {width}",
            hint=hint or "write an empty cell for a missing value, so that every row has all columns",
            place=DataPlace(file, line),
        )
    )


# ---------------------------------------------------------------------------------------------- large files


def _read_large(path: Path, data: bytes, file: str, delimiter: str) -> Content:
    import pyarrow as pa

    from optdsl.data.arrow import column_of_text_array

    found = _header(data, delimiter)
    names = header_names(found[0], file, 1) if found else ()
    table = None
    if found:
        rows = pa.py_buffer(data).slice(found[1])
        table = _arrow_table(rows, b'"' in data, delimiter, len(names))
    if table is None:
        _check_encoding(data, file)
        return _read_small(data, file, delimiter)

    def read(position: int) -> Column:
        return column_of_text_array(names[position], table.column(position))

    # The file is read once more when a message needs a line: keeping its bytes would double the memory.
    return Content(names, table.num_rows, read, lambda: _lines(_bytes_of(path, file), file, delimiter))


def _header(data: bytes, delimiter: str) -> tuple[list[str], int] | None:
    """The cells of the first record and the offset behind it, without decoding all of a large file."""
    for head in (data[:SMALL], data):
        try:
            text = head[: head.rindex(b"\n") + 1] if len(head) < len(data) else head
            reader = csv.reader(io.StringIO(text.decode("utf-8"), newline=""), delimiter=delimiter, strict=True)
            cells = next(row for row in reader if not _is_blank(row))
            return cells, sum(map(len, text.splitlines(keepends=True)[: reader.line_num]))
        except (ValueError, csv.Error, StopIteration):
            continue  # the header is longer than that, or broken
    return None


def _arrow_table(rows: pa.Buffer, is_quoted: bool, delimiter: str, width: int) -> pa.Table | None:
    """All cells of the rows behind the header as text.

    None where Arrow gives up or a row has another width: Python's reader then says in which line.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow_csv

    ragged = False

    def on_wrong_width(row: arrow_csv.InvalidRow) -> str:
        nonlocal ragged
        ragged = ragged or row.actual_columns > 1 or bool(row.text.strip(" \t"))
        return "skip"

    columns = [str(position) for position in range(width)]
    try:
        table = arrow_csv.read_csv(
            rows,
            read_options=arrow_csv.ReadOptions(column_names=columns),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=is_quoted, invalid_row_handler=on_wrong_width
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )
    except pa.ArrowInvalid:
        return None
    if ragged:
        return None
    if width == 1:  # a blank line is no row
        table = table.filter(pc.match_substring_regex(table.column(0), r"[^ \t]"))
    return table
