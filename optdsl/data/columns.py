"""One column of data in memory, whatever it was read from: numbers, integers, or coded text.

Text is held as codes into the distinct values in order of first appearance, so that a million rows of keys
cost one small list of strings and one integer array, and every later step works on the integers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal

import numpy as np

Kind = Literal["number", "integer", "text", "boolean", "other"]

# What counts as a number in a text file: Python's own spelling without underscores and without words
# other than inf. "nan" is left out on purpose: it must not slip in as a number.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf(inity)?)", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_LEADING_ZERO = re.compile(r"[+-]?0\d+", re.ASCII)
_LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True, eq=False)
class Column:
    """A column of `n` rows.

    kind        values (n,)                                        categories (k,)
    number      float64; NaN where missing                         None
    integer     int64; 0 where missing                             None
    text        int32 codes into `categories`; -1 where missing    distinct str, by first appearance
    boolean     as text: the categories are the spellings          as text
    other       as text: dates and times in ISO form               as text

    `missing` is a mask of the empty cells, None when no cell is empty. Labels that come from Python may mix
    texts and integers: then the categories hold both.
    """

    name: str
    kind: Kind
    values: np.ndarray
    categories: np.ndarray | None = None
    missing: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        distinct = "" if self.categories is None else f", {len(self.categories)} distinct"
        empty = "" if self.missing is None else f", {int(self.missing.sum())} empty"
        return f"Column({self.name}: {self.kind}, {len(self.values)} rows{distinct}{empty})"

    def cell(self, row: int) -> str | float | int | None:
        """The value at the 0-based `row` as Python holds it; None where the cell is empty."""
        if self.missing is not None and self.missing[row]:
            return None
        if self.categories is not None:
            return self.categories[self.values[row]]
        return self.values[row].item()

    def objects(self) -> np.ndarray:
        """All cells as Python values (n,): str, int or float, None where empty."""
        if self.categories is not None:
            # Code -1 meets the None at the end.
            return np.append(self.categories, np.array([None], dtype=object))[self.values]
        cells = self.values.astype(object)
        if self.missing is not None:
            cells[self.missing] = None
        return cells


def strings(values: Sequence[str]) -> np.ndarray:
    """A one-dimensional object array of the strings (never a two-dimensional one, never fixed width)."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def freeze(array: np.ndarray) -> np.ndarray:
    """The same array, protected against writing: columns are shared between threads and stages."""
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def mask_or_none(missing: np.ndarray | None) -> np.ndarray | None:
    """The mask, or None when it marks nothing."""
    return freeze(missing) if missing is not None and missing.any() else None


def number_column(name: str, values: np.ndarray, missing: np.ndarray | None = None) -> Column:
    """Floats (n,) as a column; where `missing`, the value becomes NaN."""
    values = np.asarray(values, dtype=np.float64)
    missing = mask_or_none(missing)
    if missing is not None:
        values = np.where(missing, np.nan, values)
    return Column(name, "number", freeze(values), None, missing)


def integer_column(name: str, values: np.ndarray, missing: np.ndarray | None = None) -> Column:
    """Integers (n,) as a column; where `missing`, the value becomes 0."""
    values = np.asarray(values, dtype=np.int64)
    missing = mask_or_none(missing)
    if missing is not None:
        values = np.where(missing, 0, values)
    return Column(name, "integer", freeze(values), None, missing)


def coded_column(name: str, codes: np.ndarray, categories: np.ndarray, kind: Kind = "text") -> Column:
    """Codes (n,) into `categories` as a column; the categories are put in order of first appearance.

    Negative codes are empty cells. Categories that no row uses are dropped, equal ones are merged.
    """
    codes, categories = first_appearance(codes, categories)
    missing = mask_or_none(codes < 0)
    return Column(name, kind, freeze(codes), freeze(categories), missing)


def first_appearance(codes: np.ndarray, categories: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same rows with `categories` distinct, used, and in order of first appearance in the rows."""
    codes = np.asarray(codes)
    if len(set(categories.tolist())) < len(categories):
        distinct, relabel = encode(categories.tolist())[1], encode(categories.tolist())[0]
        codes = np.where(codes < 0, -1, relabel[codes])
        categories = distinct
    count = len(codes)
    first = np.full(len(categories) + 1, count, dtype=np.int64)
    # Written from the last row to the first, so that each code's first row stays; -1 writes to the spare.
    first[codes[::-1]] = np.arange(count - 1, -1, -1)
    first = first[:-1]
    order = np.argsort(first, kind="stable")
    used = order[: int((first < count).sum())]
    if len(used) == len(categories) and np.array_equal(used, np.arange(len(used))):
        return codes.astype(np.int32, copy=False), categories
    rank = np.full(len(categories) + 1, -1, dtype=np.int32)
    rank[used] = np.arange(len(used), dtype=np.int32)
    return rank[codes], categories[used]


def encode(values: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n,) int32 and the distinct strings in order of first appearance; None gets the code -1."""
    distinct = dict.fromkeys(values)
    distinct.pop(None, None)
    numbering: dict[str | None, int] = {value: code for code, value in enumerate(distinct)}
    numbering[None] = -1
    codes = np.fromiter(map(numbering.__getitem__, values), dtype=np.int32, count=len(values))
    return codes, strings(list(distinct))  # type: ignore[arg-type]


def transpose(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    """Rows of equal length as `width` columns (for a million rows much faster than `zip(*rows)`)."""
    return [list(map(itemgetter(position), rows)) for position in range(width)]


def parse_numbers(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Values (n,) float64 and a mask of the texts that are numbers; NaN where a text is none."""
    try:
        values = np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
        # float() also takes "1_000", "nan" and digits of other scripts; only then look at each text.
        joined = "".join(texts)
        if joined.isascii() and "_" not in joined and not np.isnan(values).any():
            return values, np.ones(len(texts), dtype=bool)
    except ValueError:
        pass
    good = np.fromiter((NUMBER.fullmatch(t.strip()) is not None for t in texts), dtype=bool, count=len(texts))
    values = np.full(len(texts), np.nan)
    numbers = [t for t, is_number in zip(texts, good.tolist(), strict=True) if is_number]
    values[good] = np.fromiter(map(float, numbers), dtype=np.float64, count=len(numbers))
    return values, good


def parse_booleans(texts: Sequence[str]) -> np.ndarray | None:
    """1.0 for `true`, 0.0 for `false` (any case); None unless every text is one of the two."""
    lowered = [text.lower() for text in texts]
    if not lowered or not set(lowered) <= {"true", "false"}:
        return None
    return np.array([text == "true" for text in lowered], dtype=np.float64)


def column_of_texts(name: str, codes: np.ndarray, categories: np.ndarray) -> Column:
    """The column that coded cells of a text file mean; looks at every distinct cell, never at a sample.

    All integers: `integer`. All numbers: `number`. All true/false: `boolean`. Otherwise, and when integers
    are written with leading zeros ("007") or do not fit 64 bits, the cells are names: `text`.
    """
    texts = categories.tolist()
    if not texts:
        return coded_column(name, codes, categories)
    values, good = parse_numbers(texts)
    if not good.all():
        boolean = parse_booleans(texts) is not None
        return coded_column(name, codes, categories, "boolean" if boolean else "text")
    if any(_LEADING_ZERO.fullmatch(text) for text in texts):
        return coded_column(name, codes, categories)
    missing = codes < 0
    if all(_INTEGER.fullmatch(text) for text in texts):
        integers = [int(text) for text in texts]
        if max(map(abs, integers)) > _LARGEST_INTEGER:
            return coded_column(name, codes, categories)
        return integer_column(name, np.array([*integers, 0], dtype=np.int64)[codes], missing)
    return number_column(name, np.append(values, np.nan)[codes], missing)


def column_of_cells(name: str, cells: Sequence[Any]) -> Column:
    """The column that Python values mean (a spreadsheet, JSON, SQLite): None and blank text are empty cells.

    Only numbers: `integer` or `number`. Only booleans: `boolean`. Only dates: `other`. Anything mixed is
    `text`, with numbers spelled as a person would (`12`, not `12.0`).
    """
    cells = [None if isinstance(cell, str) and not cell.strip() else cell for cell in cells]
    types = {*map(type, cells)} - {type(None)}
    missing = np.fromiter((cell is None for cell in cells), dtype=bool, count=len(cells))
    if types == {int}:
        filled = [0 if cell is None else cell for cell in cells]
        if max(map(abs, filled)) <= _LARGEST_INTEGER:
            return integer_column(name, np.array(filled, dtype=np.int64), missing)
    if types and types <= {int, float}:
        return number_column(name, np.array([np.nan if c is None else c for c in cells], dtype=float), missing)
    codes, categories = encode([None if cell is None else spelled(cell) for cell in cells])
    if types == {bool}:
        return coded_column(name, codes, categories, "boolean")
    if types and not types & {str, bool, int, float}:
        return coded_column(name, codes, categories, "other")
    return coded_column(name, codes, categories)


def spelled(cell: Any) -> str:
    """A value as text: `12.0` as `12`, booleans as in JSON, dates in ISO form."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if hasattr(cell, "isoformat"):
        return str(cell.isoformat())
    return str(cell)
