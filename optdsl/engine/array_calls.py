"""Functions of whole arrays (determinants, inverses, eigenvalues ...) as local functions of the entries.

First derivatives are the pullbacks of the table's rows. Second derivatives are central differences of these exact
gradients, entry by entry, with steps of the cube root of the precision: about nine digits, which is enough for
Newton's method. A matrix that must be symmetric is read as the mean of itself and its transpose, so that each entry
may move alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.atoms import ARRAYWISE
from optdsl.atoms.atom import Absent, Atom
from optdsl.atoms.table import F

STEP = float(np.cbrt(np.finfo(float).eps))


@dataclass(frozen=True, eq=False)
class Argument:
    """One argument: its slots where it varies (first, shape), else its numbers (L, *shape) or one number."""

    shape: tuple[int, ...]
    first: int | None = None
    numbers: Any = None
    symmetric: bool = False

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


class ArrayFunction:
    """An entry of an array function at each lane, as a `Local` of the entries of its arguments.

    positions: for each axis of the result the position (L,) of the entry; empty for a number.
    """

    constant_slopes = False

    def __init__(self, name: str, arguments: Sequence[Argument], positions: Sequence[np.ndarray], count: int) -> None:
        self.row: Atom = ARRAYWISE[name]
        self.arguments = tuple(arguments)
        self.positions = tuple(positions)
        self.partial_slots = tuple(range(count))
        self.second_pairs = tuple((a, b) for a in range(count) for b in range(a, count))

    @property
    def derivative(self) -> Any:
        """The row's pullback. Raises NotImplementedError where it has none."""
        if isinstance(self.row.derivative, Absent):
            raise NotImplementedError(f"{self.row.name} has no derivative: {self.row.derivative.reason}")
        return self.row.derivative

    def _arrays(self, slots: Sequence[np.ndarray], lanes: int) -> list[Any]:
        arrays: list[Any] = []
        for argument in self.arguments:
            if argument.first is None:
                arrays.append(argument.numbers)
                continue
            entries = [slots[argument.first + k] for k in range(argument.size)]
            stacked = np.stack(entries, axis=-1).reshape(lanes, *argument.shape)
            if argument.symmetric:
                stacked = 0.5 * (stacked + np.swapaxes(stacked, -1, -2))
            arrays.append(stacked)
        return arrays

    def _at(self, lanes: int) -> tuple[Any, ...]:
        return (np.arange(lanes), *self.positions)

    def value(self, slots: Sequence[np.ndarray], lanes: int) -> np.ndarray:
        result = np.asarray(self.row.kernel(*self._arrays(slots, lanes), batch=1))
        return result[self._at(lanes)] if self.positions else result.reshape(lanes)

    def partials(self, slots: Sequence[np.ndarray], lanes: int) -> np.ndarray:
        arrays = self._arrays(slots, lanes)
        with np.errstate(all="ignore"):
            result = np.asarray(self.row.kernel(*arrays, batch=1))
            seed = np.ones(lanes)
            if self.positions:
                seed = np.zeros(result.shape)
                seed[self._at(lanes)] = 1.0
            cotangents = self.derivative(F, seed, result, *arrays, batch=1)
        found = np.zeros((len(self.partial_slots), lanes))
        for argument, cotangent in zip(self.arguments, cotangents, strict=True):
            if argument.first is None:
                continue
            whole = np.broadcast_to(cotangent, (lanes, *argument.shape))
            if argument.symmetric:
                whole = 0.5 * (whole + np.swapaxes(whole, -1, -2))
            found[argument.first : argument.first + argument.size] = whole.reshape(lanes, -1).T
        return found

    def seconds(self, slots: Sequence[np.ndarray], lanes: int) -> np.ndarray:
        count = len(self.partial_slots)
        found = np.empty((len(self.second_pairs), lanes))
        row = 0
        for a in range(count):
            step = STEP * np.maximum(1.0, np.abs(slots[a]))
            ahead, behind = list(slots), list(slots)
            ahead[a], behind[a] = slots[a] + step, slots[a] - step
            turn = (self.partials(ahead, lanes) - self.partials(behind, lanes)) / (2.0 * step)
            found[row : row + count - a] = turn[a:]
            row += count - a
        return found
