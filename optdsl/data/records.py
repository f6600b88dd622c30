"""Formats whose cells arrive as Python values: JSON, JSON lines, spreadsheets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from optdsl.data.columns import Column, column_of_cells, spelled, transpose
from optdsl.data.content import Content, header_names, malformed, unreadable, unusable
from optdsl.errors import DataError, DataPlace, Diagnostic

SMALL = 1 << 20  # bytes of JSON lines up to which Python's reader wins against importing Arrow


def content_of_cells(
    names: tuple[str, ...], columns: Sequence[Sequence[Any]], file: str, lines: np.ndarray | None = None
) -> Content:
    """Columns of Python values as content; `lines` (n,) are the rows' lines in the file, if it has any."""

    def read(position: int) -> Column:
        cells = columns[position]
        types = {*map(type, cells)}
        for kind, holds in ((list, "lists"), (dict, "records"), (bytes, "bytes")):
            if kind in types:
                raise unusable(file, names[position], holds)
        return column_of_cells(names[position], cells)

    return Content(names, len(columns[0]) if columns else 0, read, None if lines is None else lambda: lines)


# -------------------------------------------------------------------------------------------------------- JSON


def read_json(path: Path, file: str) -> Content:
    """Open JSON lines (one record a line), or a `.json` file that holds a list of records."""
    try:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise unreadable(file, error) from None
    if path.suffix.lower() == ".json":
        return _read_document(data, file)
    if len(data) > SMALL:
        table = _arrow_records(data)
        if table is not None:
            from optdsl.data.arrow import content_of_table

            content = content_of_table(table, file)
            return Content(content.columns, content.rows, content.read, lambda: _record_lines(data)[1])
    return _read_lines(data, file)


def _record_lines(data: bytes) -> tuple[list[bytes], np.ndarray]:
    """The lines that are not blank, and their numbers (n,)."""
    lines = data.split(b"\n")
    filled = [number for number, line in enumerate(lines) if line and not line.isspace()]
    return [lines[number] for number in filled], np.array(filled, dtype=np.int64) + 1


def _read_lines(data: bytes, file: str) -> Content:
    texts, lines = _record_lines(data)
    records = []
    for text, line in zip(texts, lines.tolist(), strict=True):
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise malformed(file, "JSON lines", _reason(error), line) from None
        if not isinstance(record, dict):
            raise malformed(file, "JSON lines", 'a line is not a record like {"food": "bread"}', line)
        records.append(record)
    return _content_of_records(records, file, lines)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[0].lower()}{error.msg[1:]} at character {error.pos + 1}"
    return "it is nested too deeply"


def _read_document(data: bytes, file: str) -> Content:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise malformed(file, "JSON", _reason(error), line) from None
    if isinstance(document, list) and all(isinstance(record, dict) for record in document):
        return _content_of_records(document, file, None)
    raise malformed(file, "JSON", 'a table is a list of records: [{"food": "bread", "cost": 2}, ...]')


def _content_of_records(records: list[dict[str, Any]], file: str, lines: np.ndarray | None) -> Content:
    keys = list(dict.fromkeys(chain.from_iterable(records)))
    names = header_names(keys, file)
    columns = [[record.get(key) for record in records] for key in keys]
    return content_of_cells(names, columns, file, lines)


def _arrow_records(data: bytes) -> Any:
    """The records as an Arrow table; None when Arrow cannot read them as one type per column.

    Arrow turns texts that look like dates into timestamps: those columns are read again as text.
    """
    import pyarrow as pa
    from pyarrow import json as arrow_json

    buffer = pa.py_buffer(data)
    try:
        table = arrow_json.read_json(pa.BufferReader(buffer))
        dates = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
        if dates:
            schema = pa.schema([(name, pa.string()) for name in dates])
            options = arrow_json.ParseOptions(explicit_schema=schema)
            table = arrow_json.read_json(pa.BufferReader(buffer), parse_options=options)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return table


# ------------------------------------------------------------------------------------------------ spreadsheets


def read_spreadsheet(path: Path, file: str) -> Content:
    """Open the first sheet of an Excel or OpenDocument workbook; its first row that is not empty is the header.

    Empty rows are left out. Lines are the sheet's row numbers.
    """
    import python_calamine

    try:
        workbook = python_calamine.CalamineWorkbook.from_path(str(path))
        sheet = workbook.get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=True)
        first = sheet.start[0] + 1 if sheet.start else 1
    except (python_calamine.CalamineError, OSError, IndexError) as error:
        raise malformed(file, "spreadsheet", str(error)) from None
    lines = np.array([line for line, row in enumerate(rows, start=first) if _is_filled(row)], dtype=np.int64)
    filled = [row for row in rows if _is_filled(row)]
    if not filled:
        raise DataError(
            Diagnostic(
                "empty-sheet",
                f"the first sheet of {file} is empty",
                hint="the table must be in the first sheet, with the names of the columns above it",
                place=DataPlace(file),
            )
        )
    columns = [column for column in transpose(filled, len(filled[0])) if _is_filled(column)]
    names = header_names([spelled(column[0]) for column in columns], file, int(lines[0]))
    return content_of_cells(names, [column[1:] for column in columns], file, lines[1:])


def _is_filled(cells: Sequence[Any]) -> bool:
    return any(cell is not None and cell != "" for cell in cells)
