"""Arrow arrays to columns, and the formats that Arrow holds: Parquet, Arrow/Feather.

Arrow imports pandas, where it is installed, as soon as a Python value is converted to Arrow (`pa.array`,
`pa.scalar`) or an array to NumPy by `to_numpy`: a tenth of a second for nothing. So buffers are viewed here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optdsl.data.columns import (
    Column,
    coded_column,
    column_of_texts,
    first_appearance,
    integer_column,
    number_column,
    strings,
)
from optdsl.data.content import Content, header_names, malformed, unusable

# ------------------------------------------------------------------------------------------ arrays to columns


def column_of_text_array(name: str, cells: pa.ChunkedArray) -> Column:
    """The column that the text cells of a file mean, as `columns.column_of_texts` decides it.

    The common cases (all plain integers, all numbers) are cast as a whole; anything else is coded first.
    """
    cells = pc.utf8_trim(cells, characters=" \t")
    column = _cast_texts(name, cells)
    if column is not None:
        return column
    codes, categories = _codes(cells.dictionary_encode())
    blank = np.flatnonzero(categories == "")
    if len(blank):
        codes = np.where(codes == blank[0], -1, codes)
    codes, categories = first_appearance(codes, categories)
    return column_of_texts(name, codes, categories)


def _cast_texts(name: str, cells: pa.ChunkedArray) -> Column | None:
    """The whole column cast to numbers; None when that fails or some cell needs a closer look."""
    if cells.null_count == len(cells):
        return None
    try:
        numbers = cells.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    values = _numpy(numbers)
    suspicious = cells.filter(pc.match_substring_regex(cells, "^[+]|^-?0[0-9]|[xX]|^-?[nN]"))
    if len(suspicious):  # a plus, leading zeros, hexadecimal, nan
        return None
    missing = _mask(cells)
    if np.all(np.abs(values) < 2**53) and np.all(values == np.rint(values)):
        try:
            return integer_column(name, _numpy(cells.cast(pa.int64())), missing)
        except pa.ArrowInvalid:  # written with a point or an exponent
            pass
    elif np.any(np.abs(values) >= 2**53):  # maybe integers that need all 64 bits
        return None
    return number_column(name, values, missing)


def column_of_array(name: str, cells: pa.ChunkedArray, file: str) -> Column:
    """A typed Arrow column as a `Column`: types are kept, text is not parsed."""
    kind = cells.type
    if isinstance(kind, pa.BaseExtensionType):
        return column_of_array(
            name, pa.chunked_array([chunk.storage for chunk in cells.chunks], kind.storage_type), file
        )
    if pa.types.is_dictionary(kind):
        if _is_text(kind.value_type):
            return coded_column(name, *_codes(cells))
        return column_of_array(name, cells.cast(kind.value_type), file)
    if pa.types.is_integer(kind):
        return _integers(name, cells)
    if pa.types.is_floating(kind):
        return number_column(name, _numpy(cells.cast(pa.float64())), _mask(cells))
    if pa.types.is_decimal(kind):
        return _decimals(name, cells)
    if pa.types.is_boolean(kind):
        return coded_column(name, *_codes(cells.cast(pa.string()).dictionary_encode()), kind="boolean")
    if _is_text(kind):
        return coded_column(name, *_codes(cells.cast(pa.large_string()).dictionary_encode()))
    if pa.types.is_null(kind):
        return coded_column(name, np.full(len(cells), -1, dtype=np.int32), strings([]))
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return coded_column(name, *_dates(cells), kind="other")
    raise unusable(file, name, _holds(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _integers(name: str, cells: pa.ChunkedArray) -> Column:
    try:
        return integer_column(name, _numpy(cells.cast(pa.int64())), _mask(cells))
    except pa.ArrowInvalid:  # unsigned beyond 63 bits
        return number_column(name, _numpy(cells.cast(pa.float64(), safe=False)), _mask(cells))


def _decimals(name: str, cells: pa.ChunkedArray) -> Column:
    """Decimals without digits after the point are integers (a SUM of integers in SQL is one)."""
    if cells.type.scale <= 0:
        try:
            return integer_column(name, _numpy(cells.cast(pa.int64())), _mask(cells))
        except pa.ArrowInvalid:
            pass
    return number_column(name, _numpy(cells.cast(pa.float64())), _mask(cells))


def _dates(cells: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Codes and ISO texts; a point in time that is midnight throughout the column stays a full timestamp."""
    codes, moments = _codes(cells.dictionary_encode(), texts=False)
    return codes, strings([moment.isoformat() for moment in moments])


def _holds(kind: pa.DataType) -> str:
    """The type in a reader's words."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return "lists"
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        return "records"
    if pa.types.is_duration(kind):
        return "lengths of time"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "bytes"
    return f"values of type {kind}"


def _numpy(cells: pa.ChunkedArray) -> np.ndarray:
    """The numbers (n,) of the array's own type; zero at empty cells."""
    parts = [_chunk(chunk) for chunk in cells.chunks]
    values = parts[0] if len(parts) == 1 else np.concatenate(parts or [np.zeros(0)])
    missing = _mask(cells)
    return values if missing is None else np.where(missing, values.dtype.type(0), values)


def _chunk(chunk: pa.Array) -> np.ndarray:
    """A view of the numbers (n,); anything may stand at empty cells."""
    buffer = chunk.buffers()[1]
    dtype = np.dtype(str(chunk.type).replace("double", "float64"))
    if buffer is None:
        return np.zeros(len(chunk), dtype=dtype)
    return np.frombuffer(buffer, dtype=dtype)[chunk.offset : chunk.offset + len(chunk)]


def _mask(cells: pa.ChunkedArray) -> np.ndarray | None:
    """Where the cells are empty (n,); None when none is."""
    if not cells.null_count:
        return None
    return np.concatenate([_chunk(chunk.is_null().cast(pa.uint8())).view(bool) for chunk in cells.chunks])


def _codes(cells: pa.ChunkedArray, texts: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n,) int32, -1 where empty, and the dictionary as Python values (k,)."""
    cells = cells.unify_dictionaries()
    if cells.num_chunks == 0:
        return np.zeros(0, dtype=np.int32), strings([])
    values = cells.chunk(0).dictionary.to_pylist()
    indices = pa.chunked_array([chunk.indices.cast(pa.int32()) for chunk in cells.chunks])
    missing = _mask(indices)
    codes = _numpy(indices) if missing is None else np.where(missing, -1, _numpy(indices)).astype(np.int32)
    if None in values:  # an empty cell may also be an entry of the dictionary
        at = values.index(None)
        values[at] = "" if texts else values[at - 1]
        codes = np.where(codes == at, -1, codes)
    return codes, strings(values)


# ----------------------------------------------------------------------------------------------- the formats


def content_of_table(table: pa.Table, file: str) -> Content:
    """A table in memory as content."""
    names = header_names(table.column_names, file)
    return Content(names, table.num_rows, lambda at: column_of_array(names[at], table.column(at), file))


def read_parquet(path: Path, file: str) -> Content:
    """Open a Parquet file; each column is read when asked for, text columns as dictionaries."""
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        names = header_names(schema.names, file)
        text = [field.name for field in schema if _is_text(field.type)]
        parquet = pq.ParquetFile(path, memory_map=True, read_dictionary=text)
    except (pa.ArrowInvalid, OSError) as error:
        raise malformed(file, "Parquet", str(error)) from None

    def read(position: int) -> Column:
        try:
            cells = parquet.read(columns=[names[position]]).column(0)
        except (pa.ArrowInvalid, OSError) as error:
            raise malformed(file, "Parquet", str(error)) from None
        return column_of_array(names[position], cells, file)

    return Content(names, parquet.metadata.num_rows, read)


def read_feather(path: Path, file: str) -> Content:
    """Open an Arrow file (also called Feather), or an Arrow stream."""
    try:
        with pa.memory_map(str(path)) as source:
            try:
                table = pa.ipc.open_file(source).read_all()
            except pa.ArrowInvalid:
                source.seek(0)
                table = pa.ipc.open_stream(source).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise malformed(file, "Arrow", str(error)) from None
    return content_of_table(table, file)
