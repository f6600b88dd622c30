"""Sets and the labels of their members.

A set's members are stored by column: a set of k-tuples has k `Labels`, each as long as the set. Everywhere
else in optdsl a member is its 0-based position in its set; labels are looked up only where two sets meet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import numpy as np

Label = int | str


@dataclass(frozen=True, eq=False)
class RangeLabels:
    """The integers start, start + step, ..., `length` of them; step is not 0."""

    start: int
    step: int
    length: int

    def __len__(self) -> int:
        return self.length

    @cached_property
    def integers(self) -> np.ndarray:
        """The labels as int64 (n,)."""
        return self.start + self.step * np.arange(self.length, dtype=np.int64)

    def take(self, positions: np.ndarray) -> IntegerLabels:
        return IntegerLabels(self.start + self.step * positions.astype(np.int64))

    def at(self, position: int) -> Label:
        return int(self.start + self.step * position)

    def find_integers(self, values: np.ndarray) -> np.ndarray:
        """Positions of integer `values` (any shape), -1 where there is none."""
        offset = values - self.start
        if self.step == 1:
            positions = offset
            inside = (positions >= 0) & (positions < self.length)
        else:
            positions, remainder = np.divmod(offset, self.step)
            inside = (remainder == 0) & (positions >= 0) & (positions < self.length)
        if inside.all():
            return positions
        return np.where(inside, positions, -1)

    @property
    def distinct(self) -> tuple[np.ndarray, int]:
        return np.arange(self.length, dtype=np.int64), self.length


@dataclass(frozen=True, eq=False)
class IntegerLabels:
    """Integer labels, int64 (n,); not necessarily distinct (a column of a set of tuples)."""

    integers: np.ndarray

    def __len__(self) -> int:
        return len(self.integers)

    def take(self, positions: np.ndarray) -> IntegerLabels:
        return IntegerLabels(self.integers[positions])

    def at(self, position: int) -> Label:
        return int(self.integers[position])

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.integers, kind="stable")
        return self.integers[order], order

    def find_integers(self, values: np.ndarray) -> np.ndarray:
        """Positions of integer `values` (any shape), -1 where there is none; the labels must be distinct."""
        ordered, order = self._sorted
        if not len(ordered):
            return np.full(np.shape(values), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
        return np.where(ordered[place] == values, order[place], -1)

    @cached_property
    def distinct(self) -> tuple[np.ndarray, int]:
        """A code per entry (equal labels, equal codes) and the number of codes."""
        values, codes = np.unique(self.integers, return_inverse=True)
        return codes.astype(np.int64), len(values)


@dataclass(frozen=True, eq=False)
class TextLabels:
    """Text labels (or a mix of text and integers): `codes` (n,) into the distinct `categories` (an object array)."""

    codes: np.ndarray
    categories: np.ndarray

    integers = None

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, positions: np.ndarray) -> TextLabels:
        return TextLabels(self.codes[positions], self.categories)

    def at(self, position: int) -> Label:
        label = self.categories[self.codes[position]]
        return label if isinstance(label, str) else int(label)

    @cached_property
    def lookup(self) -> dict[Label, int]:
        """From category to its code."""
        return dict(zip(self.categories.tolist(), range(len(self.categories)), strict=True))

    @cached_property
    def position_of_code(self) -> np.ndarray:
        """From a category's code to the position of the member that has it, -1 where none has; labels distinct."""
        positions = np.full(len(self.categories), -1, dtype=np.int64)
        positions[self.codes] = np.arange(len(self.codes))
        return positions

    @property
    def distinct(self) -> tuple[np.ndarray, int]:
        return self.codes.astype(np.int64), len(self.categories)


Labels = RangeLabels | IntegerLabels | TextLabels


def labels_of(items: Sequence[Label]) -> Labels:
    """Labels from Python integers and strings, in order."""
    if all(isinstance(item, (int, np.integer)) for item in items):
        return integer_labels(np.array(items, dtype=np.int64))
    categories = list(dict.fromkeys(items))
    code = dict(zip(categories, range(len(categories)), strict=True))
    codes = np.fromiter(map(code.__getitem__, items), dtype=np.int32, count=len(items))
    return TextLabels(codes, object_array(categories))


def object_array(items: Sequence[object]) -> np.ndarray:
    """A one-dimensional object array."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def integer_labels(values: np.ndarray) -> RangeLabels | IntegerLabels:
    """Integer labels in their most compact form."""
    if len(values) and np.array_equal(values, np.arange(values[0], values[0] + len(values))):
        return RangeLabels(int(values[0]), 1, len(values))
    return IntegerLabels(values)


def find(target: Labels, source: Labels) -> np.ndarray:
    """For each entry of `source` (n,) its position in `target`, whose labels are distinct; -1 where there is none."""
    if target is source:
        return np.arange(len(source))
    if isinstance(target, TextLabels):
        if isinstance(source, TextLabels):
            if target.categories is source.categories:
                return target.position_of_code[source.codes]
            sought = source.categories.tolist()
        else:
            values, inverse = np.unique(source.integers, return_inverse=True)
            return _codes(target, values.tolist())[inverse]
        return _codes(target, sought)[source.codes]
    if isinstance(source, TextLabels):
        is_integer = np.fromiter(
            map(isinstance, source.categories.tolist(), repeat(int)), dtype=bool, count=len(source.categories)
        )
        found = np.full(len(source.categories), -1, dtype=np.int64)
        if is_integer.any():
            found[is_integer] = target.find_integers(source.categories[is_integer].astype(np.int64))
        return found[source.codes]
    return target.find_integers(source.integers)


def _codes(target: TextLabels, sought: list[Label]) -> np.ndarray:
    codes = np.fromiter(map(target.lookup.get, sought, repeat(-1)), dtype=np.int64, count=len(sought))
    if not len(target.categories):
        return codes
    return np.where(codes >= 0, target.position_of_code[codes], -1)


@dataclass(frozen=True, eq=False)
class SetValue:
    """The members of a set: `arity` columns of labels of equal length, in the set's order.

    `name` is how messages call it; `parts` names the sets of the columns where several sets were combined.
    Two sets may be compared with `same_members`; `==` is identity.
    """

    name: str
    columns: tuple[Labels, ...]
    parts: tuple[str, ...] = ()

    @property
    def arity(self) -> int:
        return len(self.columns)

    def __len__(self) -> int:
        return len(self.columns[0])

    def __repr__(self) -> str:
        return f"SetValue({self.name}, {len(self)} members: {self.preview()})"

    def preview(self, limit: int = 5) -> str:
        """The first members as text: `"a", "b", ... (12 members)`."""
        shown = [label_text(self.member(k)) for k in range(min(limit, len(self)))]
        if len(self) > limit:
            shown.append(f"... ({len(self)} members)")
        return ", ".join(shown) if shown else "no members"

    def member(self, position: int) -> tuple[Label, ...]:
        """The labels of one member."""
        return tuple(column.at(position) for column in self.columns)

    def members(self) -> list[tuple[Label, ...]]:
        """All members as tuples of labels, for output."""
        columns = [column_list(column) for column in self.columns]
        return list(zip(*columns, strict=True))

    @property
    def labels(self) -> Labels:
        """The labels of a set of single members."""
        return self.columns[0]

    @cached_property
    def _keys(self) -> _TupleIndex:
        return _TupleIndex(self.columns)

    def positions(self, columns: Sequence[Labels]) -> np.ndarray:
        """Positions of the tuples given by `columns` (each (n,)), -1 for those that are not members."""
        if self.arity == 1:
            return find(self.columns[0], columns[0])
        if all(mine is theirs for mine, theirs in zip(self.columns, columns, strict=True)):
            return np.arange(len(self))
        return self._keys.find([self.column_codes(k, column) for k, column in enumerate(columns)])

    def column_codes(self, k: int, labels: Labels) -> np.ndarray:
        """Codes of `labels` among the distinct labels of column k, -1 where the column has none."""
        return self._column_index(k).find(labels)

    def _column_index(self, k: int) -> _ColumnIndex:
        return self._column_indexes[k]

    @cached_property
    def _column_indexes(self) -> tuple[_ColumnIndex, ...]:
        return tuple(_ColumnIndex(column) for column in self.columns)

    def find_tuples(self, codes: Sequence[np.ndarray]) -> np.ndarray:
        """Positions of the tuples whose columns have these codes (see `column_codes`), -1 where there is none."""
        return self._keys.find(codes)

    def join(self, fixed: tuple[int, ...]) -> _Join:
        """The index that lists the members by the labels of the columns in `fixed`."""
        joins = self._joins
        if fixed not in joins:
            joins[fixed] = _Join(self, fixed)
        return joins[fixed]

    @cached_property
    def _joins(self) -> dict[tuple[int, ...], _Join]:
        return {}

    def take(self, positions: np.ndarray, name: str | None = None) -> SetValue:
        """The members at `positions`, in that order."""
        return SetValue(name or self.name, tuple(column.take(positions) for column in self.columns))


def column_list(labels: Labels) -> list[Label]:
    """Labels as a Python list, for output."""
    if isinstance(labels, TextLabels):
        return labels.categories[labels.codes].tolist()
    return labels.integers.tolist()


class _ColumnIndex:
    """The distinct labels of a column, to turn labels into codes."""

    def __init__(self, column: Labels) -> None:
        if isinstance(column, IntegerLabels):
            values, self.codes = _distinct_integers(column.integers)
            self.distinct: Labels = IntegerLabels(values)
        elif isinstance(column, TextLabels):
            # the categories themselves are the distinct labels
            self.distinct = TextLabels(np.arange(len(column.categories)), column.categories)
            self.codes = column.codes.astype(np.int64)
        else:
            self.distinct, self.codes = column, np.arange(len(column))
        self.size = len(self.distinct)

    def find(self, labels: Labels) -> np.ndarray:
        return find(self.distinct, labels)


def _distinct_integers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ones of integer values (n,), ascending, and for each value its position among them."""
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if high - low > 4 * len(values) + 1024:
        distinct, codes = np.unique(values, return_inverse=True)
        return distinct, codes.astype(np.int64)
    present = np.zeros(high - low + 1, dtype=bool)
    present[values - low] = True
    return np.flatnonzero(present) + low, (np.cumsum(present) - 1)[values - low]


def _combine(codes: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """One int64 key per tuple of codes; -1 where any code is -1."""
    key = np.zeros((), dtype=np.int64)
    missing = np.zeros((), dtype=bool)
    for code, size in zip(codes, sizes, strict=True):
        key = key * size + code
        missing = missing | (code < 0)
    return np.where(missing, -1, key)


class _TupleIndex:
    """Positions of tuples by their codes: a dense table where that is small, else a sorted list of keys."""

    def __init__(self, columns: Sequence[Labels]) -> None:
        indexes = [_ColumnIndex(column) for column in columns]
        self.sizes = [index.size for index in indexes]
        keys = _combine([index.codes for index in indexes], self.sizes)
        room = 1
        for size in self.sizes:
            room *= max(size, 1)
        if room > 2**62:
            raise OverflowError("a set of tuples with more than 2^62 possible members")
        self.table: np.ndarray | None = None
        if room <= max(1 << 16, 16 * len(keys)):
            self.table = np.full(room, -1, dtype=np.int64)
            self.table[keys] = np.arange(len(keys))
        else:
            self.order = np.argsort(keys, kind="stable")
            self.sorted = keys[self.order]

    def find(self, codes: Sequence[np.ndarray]) -> np.ndarray:
        keys = _combine(codes, self.sizes)
        if self.table is not None:
            return np.where(keys >= 0, self.table[keys], -1)
        if not len(self.sorted):
            return np.full(keys.shape, -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.sorted, keys), len(self.sorted) - 1)
        return np.where(self.sorted[place] == keys, self.order[place], -1)


class _Join:
    """The members of a set of tuples, listed by the labels of some of its columns.

    `order` (n,) holds member positions sorted by key (stable, so each list keeps the set's order).
    """

    def __init__(self, members: SetValue, fixed: tuple[int, ...]) -> None:
        self.members, self.fixed = members, fixed
        indexes = [members._column_index(k) for k in fixed]
        self.sizes = [index.size for index in indexes]
        keys = _combine([index.codes for index in indexes], self.sizes)
        # NumPy sorts 16-bit numbers without comparing them
        small = math.prod(self.sizes) <= 1 << 16
        self.order = np.argsort(keys.astype(np.uint16) if small else keys, kind="stable")
        ordered = keys[self.order]
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else np.zeros(0, int)
        self.keys = ordered[starts]
        self.starts = np.append(starts, len(keys))

    def ranges(self, codes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Start and count, within `order`, of the members whose fixed columns have these codes."""
        keys = _combine(codes, self.sizes)
        if not len(self.keys):
            return np.zeros(keys.shape, dtype=np.int64), np.zeros(keys.shape, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = self.keys[place] == keys
        start = self.starts[place]
        return start, np.where(found, self.starts[place + 1] - start, 0)


def concatenate(parts: Sequence[Labels]) -> Labels:
    """The labels of several columns, one after the other."""
    if not any(isinstance(part, TextLabels) for part in parts):
        return integer_labels(np.concatenate([part.integers for part in parts]))
    codes, categories = [], {}  # type: ignore[var-annotated]
    for part in parts:
        if isinstance(part, TextLabels):
            own, local = part.categories.tolist(), part.codes
        else:
            values, local = np.unique(part.integers, return_inverse=True)
            own = values.tolist()
        for label in own:
            categories.setdefault(label, len(categories))
        table = np.fromiter(map(categories.__getitem__, own), dtype=np.int64, count=len(own))
        codes.append(table[local] if len(own) else np.empty(0, dtype=np.int64))
    return TextLabels(np.concatenate(codes), object_array(list(categories)))


def range_set(name: str, low: int, high: int, step: int = 1) -> SetValue:
    """The integers low, low + step, ... up to (or down to) high, both ends in where they are hit."""
    length = max(0, (high - low) // step + 1)
    return SetValue(name, (RangeLabels(low, step, length),))


def set_of(name: str, items: Iterable[Label | tuple[Label, ...]]) -> SetValue:
    """A set from Python members; all single labels, or all tuples of one length."""
    rows = list(items)
    if rows and isinstance(rows[0], tuple):
        return SetValue(name, tuple(labels_of(column) for column in zip(*rows, strict=True)))
    return SetValue(name, (labels_of(rows),))  # type: ignore[arg-type]


def first_duplicate(columns: Sequence[Labels]) -> int | None:
    """The position of the first tuple that repeats an earlier one, or None."""
    keys = tuple_keys(columns)
    _, first = np.unique(keys, return_index=True)
    if len(first) == len(keys):
        return None
    repeated = np.ones(len(keys), dtype=bool)
    repeated[first] = False
    return int(np.flatnonzero(repeated)[0])


def tuple_keys(columns: Sequence[Labels]) -> np.ndarray:
    """An int64 per row of `columns`, equal for equal tuples."""
    keys = np.zeros(len(columns[0]), dtype=np.int64)
    room = 1
    for column in columns:
        codes, size = column.distinct
        room *= max(size, 1)
        if room > 2**62:  # compress what has been combined so far
            distinct, keys = np.unique(keys, return_inverse=True)
            room = len(distinct) * max(size, 1)
        keys = keys * size + codes
    return keys


def distinct_positions(columns: Sequence[Labels]) -> np.ndarray:
    """Positions of the first appearance of each distinct tuple, in order."""
    _, first = np.unique(tuple_keys(columns), return_index=True)
    return np.sort(first)


def same_members(left: SetValue, right: SetValue) -> bool:
    """Whether two sets have the same members in the same order."""
    if left is right:
        return True
    if left.arity != right.arity or len(left) != len(right):
        return False
    return bool(np.array_equal(left.positions(right.columns), np.arange(len(left))))


def label_text(member: tuple[Label, ...] | Label) -> str:
    """A member as a user would write it: `"bread"`, `3`, `("a", 1)`."""
    if isinstance(member, tuple):
        if len(member) == 1:
            return label_text(member[0])
        return "(" + ", ".join(label_text(part) for part in member) + ")"
    return f'"{member}"' if isinstance(member, str) else str(member)
