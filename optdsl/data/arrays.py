"""The values of parameters: labelled arrays, dense or sparse."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optdsl.data.members import Labels, SetValue


@dataclass(frozen=True, eq=False)
class DenseArray:
    """Numbers over the product of the axes: `values` (len(axis 0), len(axis 1), ...).

    float64, or float32 where so given: whoever computes with them takes float64 (`optdsl.terms.evaluate`), or what a
    training run asks for.
    """

    axes: tuple[SetValue, ...]
    values: np.ndarray

    def gather(self, positions: tuple[np.ndarray, ...]) -> np.ndarray:
        """Entries at broadcastable positions, one array per axis."""
        return self.values[positions]

    def dense(self) -> np.ndarray:
        return self.values


@dataclass(frozen=True, eq=False)
class SparseArray:
    """Numbers over the product of the axes, `default` where nothing is stored.

    `keys` (n,) int64, strictly increasing: the C-order position of each stored entry; `values` (n,).
    """

    axes: tuple[SetValue, ...]
    keys: np.ndarray
    values: np.ndarray
    default: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis) for axis in self.axes)

    def gather(self, positions: tuple[np.ndarray, ...]) -> np.ndarray:
        """Entries at broadcastable positions, one array per axis."""
        key = np.zeros((), dtype=np.int64)
        for size, position in zip(self.shape, positions, strict=True):
            key = key * size + position
        if not len(self.keys):
            return np.full(key.shape, self.default)
        if self._flat is not None:
            return self._flat[key]
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where(self.keys[place] == key, self.values[place], self.default)

    def dense(self) -> np.ndarray:
        size = int(np.prod(self.shape, dtype=np.int64))
        flat = np.full(size, self.default)
        flat[self.keys] = self.values
        return flat.reshape(self.shape)

    @cached_property
    def _flat(self) -> np.ndarray | None:
        """All entries in C order, where an eighth of them or more is stored: then a look-up is one step."""
        size = int(np.prod([float(n) for n in self.shape]))
        return self.dense().reshape(-1) if size <= 8 * len(self.keys) else None

    @cached_property
    def support(self) -> SetValue:
        """The stored positions as a set of tuples of 0-based integers, one column per axis."""
        from optdsl.data.members import IntegerLabels

        return SetValue("support", tuple(IntegerLabels(p) for p in np.unravel_index(self.keys, self.shape)))


@dataclass(frozen=True, eq=False)
class LabelArray:
    """Labels over the product of the axes (text, or members of a set), stored flat in C order.

    `members` is the set that they belong to where one is declared; the labels are its own, in any order.
    """

    axes: tuple[SetValue, ...]
    labels: Labels
    members: SetValue | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis) for axis in self.axes)

    def flat(self, positions: tuple[np.ndarray, ...]) -> np.ndarray:
        """C-order positions of broadcastable positions, one array per axis."""
        key = np.zeros((), dtype=np.int64)
        for size, position in zip(self.shape, positions, strict=True):
            key = key * size + position
        return key


ParameterValue = DenseArray | SparseArray | LabelArray
