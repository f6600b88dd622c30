"""The entries of a sparse matrix that several parts add up to: their places found once, summed at each evaluation.

Templates give parts that are lines: entry k stands at (row + k * down, column + k * right). Parts on one line, as
those of `x[i]` and `x[i + 1]` on the diagonal of a Hessian, have neighboring places in the pattern, so that each part
is added to a slice. Only what lies on no line is sorted, and added one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optdsl.nlp import Pattern

Part = tuple[np.ndarray, np.ndarray]
"""Rows and columns of a part's entries."""
FEWEST = 2000
"""Entries in all below which they are sorted."""
SHORTEST = 64
"""Entries of a part that may be a line."""


@dataclass(frozen=True, eq=False)
class Assembly:
    """Where the entries of parts go: part k is `raw[first[k] : first[k + 1]]`, `slices[k]` its places in the pattern.

    Parts without a slice are `loose`: `position` has the places of their entries, one part after the other; None: each
    entry of all parts has its own place, in order.
    """

    pattern: Pattern
    first: tuple[int, ...]
    slices: tuple[slice | None, ...]
    position: np.ndarray | None

    def total(self, raw: np.ndarray) -> np.ndarray:
        """The values (nnz,) of the pattern from those of all parts' entries."""
        if self.position is None:
            return raw
        size = self.pattern.size
        loose = [k for k, s in enumerate(self.slices) if s is None]
        if len(loose) == len(self.slices):
            return np.bincount(self.position, weights=raw, minlength=size)
        total = np.zeros(size)
        if len(self.position):
            weights = np.concatenate([raw[self.first[k] : self.first[k + 1]] for k in loose])
            total += np.bincount(self.position, weights=weights, minlength=size)
        for k, places in enumerate(self.slices):
            if places is not None:
                total[places] += raw[self.first[k] : self.first[k + 1]]
        return total


@dataclass(frozen=True)
class _Line:
    """The entries (row + k * down, column + k * right), 0 <= k < size."""

    row: int
    column: int
    down: int
    right: int
    size: int

    @property
    def key(self) -> tuple[int, int, int, int]:
        """The same for lines of which one goes on where the other ends, or that overlap."""
        phase = self.row % self.down if self.down else self.column % self.right
        return self.down, self.right, self.row * self.right - self.column * self.down, phase

    @property
    def start(self) -> int:
        """The number of the first entry on the endless line, whatever the origin."""
        return self.row // self.down if self.down else self.column // self.right

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The smallest and largest row and column."""
        rows = self.row, self.row + (self.size - 1) * self.down
        columns = self.column, self.column + (self.size - 1) * self.right
        return min(rows), max(rows), min(columns), max(columns)

    def part(self) -> Part:
        k = np.arange(self.size)
        return self.row + k * self.down, self.column + k * self.right

    def places(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Which entry of the line entries are; -1: none."""
        away = rows - self.row if self.down else columns - self.column
        k = away // (self.down or self.right)
        on = (k >= 0) & (k < self.size)
        on &= (rows == self.row + k * self.down) & (columns == self.column + k * self.right)
        return np.where(on, k, -1)


def assembled(parts: Sequence[Part], shape: tuple[int, int]) -> Assembly:
    """The places of the parts' entries in one pattern without repetitions."""
    first = tuple(int(k) for k in np.cumsum([0, *(len(rows) for rows, _ in parts)]))
    lines = [_line(*part) if first[-1] > FEWEST else None for part in parts]
    whole = _accepted(_joined([line for line in lines if line is not None]))
    # where each line begins in the pattern, by its key; several stretches may share one
    begins, size = [], 0
    for long in whole:
        begins.append(size)
        size += long.size
    slices: list[slice | None] = []
    for line in lines:
        places = None
        for long, begin in zip(whole, begins, strict=True):
            if line is not None and line.key == long.key and 0 <= line.start - long.start < long.size:
                places = slice(begin + line.start - long.start, begin + line.start - long.start + line.size)
        slices.append(places)
    position, rest = _loose([p for p, s in zip(parts, slices, strict=True) if s is None], whole, begins, size, shape)
    places_of = [*(line.part() for line in whole), rest]
    pattern = Pattern(*_together(places_of), shape)
    if pattern.size == first[-1]:
        return Assembly(Pattern(*_together(parts), shape), first, tuple(slices), None)
    return Assembly(pattern, first, tuple(slices), position)


def _together(parts: Sequence[Part]) -> Part:
    empty = np.zeros(0, dtype=np.int64)
    return np.concatenate([empty, *(p[0] for p in parts)]), np.concatenate([empty, *(p[1] for p in parts)])


def _line(rows: np.ndarray, columns: np.ndarray) -> _Line | None:
    """The line that the entries of a part are, in their order."""
    if len(rows) < SHORTEST:
        return None
    down, right = int(rows[1] - rows[0]), int(columns[1] - columns[0])
    if down < 0 or (down == 0 and right <= 0):
        return None
    line = _Line(int(rows[0]), int(columns[0]), down, right, len(rows))
    there = line.part()
    return line if np.array_equal(rows, there[0]) and np.array_equal(columns, there[1]) else None


def _joined(lines: Sequence[_Line]) -> list[_Line]:
    """Overlapping and adjoining lines made one, the longest first."""
    found: list[_Line] = []
    for line in sorted(lines, key=lambda one: (one.key, one.start)):
        last = found[-1] if found else None
        if last is not None and last.key == line.key and line.start <= last.start + last.size:
            end = max(last.start + last.size, line.start + line.size)
            found[-1] = _Line(last.row, last.column, last.down, last.right, end - last.start)
        else:
            found.append(line)
    return sorted(found, key=lambda one: -one.size)


def _accepted(lines: Sequence[_Line]) -> list[_Line]:
    """Lines that do not cross: parallel ones, or in boxes apart. At most as many as can be looked through."""
    found: list[_Line] = []
    for line in lines[:200]:
        a = line.box
        for other in found:
            b = other.box
            parallel = (line.down, line.right) == (other.down, other.right)
            if not parallel and a[0] <= b[1] and b[0] <= a[1] and a[2] <= b[3] and b[2] <= a[3]:
                break
        else:
            found.append(line)
    return found


def _loose(
    parts: Sequence[Part], lines: Sequence[_Line], begins: Sequence[int], size: int, shape: tuple[int, int]
) -> tuple[np.ndarray, Part]:
    """The places of entries that come one by one, and those of them that are on no line, from place `size` on."""
    rows, columns = _together(parts)
    position = np.full(len(rows), -1, dtype=np.int64)
    for line, begin in zip(lines, begins, strict=True):
        low, high, left, right = line.box
        near = np.flatnonzero((rows >= low) & (rows <= high) & (columns >= left) & (columns <= right))
        k = line.places(rows[near], columns[near])
        position[near[k >= 0]] = begin + k[k >= 0]
    other = np.flatnonzero(position < 0)
    unique, place = np.unique(rows[other] * np.int64(shape[1]) + columns[other], return_inverse=True)
    position[other] = size + place
    return position, (unique // shape[1], unique % shape[1])
