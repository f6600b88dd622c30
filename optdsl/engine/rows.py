"""Several spaces as the rows of one vector function c(x), with a sparse Jacobian whose places are found once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from optdsl.engine.assembly import Assembly, assembled
from optdsl.engine.space import Affine, Held, Link, Slot, Space, entries_of
from optdsl.engine.sweeps import Values, constant_jacobian, raw_values
from optdsl.nlp import Pattern


def with_affine_slots(space: Space, width: int) -> Space:
    """The space with its affine children turned into matrices, from below."""
    done: dict[int, Space] = {}

    def visit(part: Space) -> Space:
        if id(part) not in done:
            slots = tuple(_slot(s) for s in part.slots)
            same = all(a is b for a, b in zip(slots, part.slots, strict=True))
            done[id(part)] = part if same else replace(part, slots=slots)
        return done[id(part)]

    def _slot(slot: Slot) -> Slot:
        if isinstance(slot, Held):
            seen = visit(slot.link.child)
            return slot if seen is slot.link.child else replace(slot, link=replace(slot.link, child=seen))
        return _linked(slot) if isinstance(slot, Link) else slot

    def _linked(link: Link) -> Link | Affine:
        child = visit(link.child)
        if not child.affine:
            return link if child is link.child else replace(link, child=child)
        matrix, constant = affine_form(child, width)
        source = np.arange(child.lanes) if link.source is None else link.source
        gather = sp.csr_array((np.ones(len(source)), (link.target, source)), shape=(link.lanes, child.lanes))
        summed = sp.csr_array(gather @ matrix)
        summed.sort_indices()
        return Affine(summed, link.gather(constant))

    return visit(space)


def affine_form(space: Space, width: int) -> tuple[sp.csr_array, np.ndarray]:
    """Matrix (L, n) and constant (L,) of an affine space."""
    matrix = constant_jacobian(space, width)
    return matrix, np.array(Values(space.family, np.zeros(width)).value(space))


class Point:
    """Remembers the numbers of spaces at the last point asked for."""

    def __init__(self) -> None:
        self._x = np.zeros(0)
        self._known: dict[int, Values] = {}

    def values(self, space: Space, x: np.ndarray) -> Values:
        """The numbers of a space at x (n,)."""
        if not np.array_equal(self._x, x):
            self._x, self._known = np.array(x, dtype=np.float64), {}
        found = self._known.get(id(space))
        if found is None:
            found = self._known[id(space)] = Values(space.family, self._x)
        return found


class RowSystem:
    """c(x) (m,): the outputs of spaces, one after the other. Affine ones are one constant sparse matrix.

    `first` (spaces + 1,) says where each begins; `linear` (m,) which rows are affine.
    """

    def __init__(self, spaces: Sequence[Space], width: int, point: Point | None = None) -> None:
        self.spaces, self.width = tuple(spaces), width
        self.first = np.cumsum([0, *(s.lanes for s in spaces)])
        self.count = int(self.first[-1])
        self.linear = np.concatenate([np.zeros(0, dtype=bool), *(np.full(s.lanes, s.affine) for s in spaces)])
        self.point = point or Point()
        self.curved = [(int(at), s) for at, s in zip(self.first, self.spaces, strict=False) if not s.affine]
        self._affine()

    @cached_property
    def _assembly(self) -> Assembly:
        parts = [self._places]
        for at, space in self.curved:
            slots = (entries_of(space.slots[k]) for k in space.local.partial_slots)
            parts.extend((e.lanes + at, e.columns) for e in slots)
        return assembled(parts, (self.count, self.width))

    @property
    def pattern(self) -> Pattern:
        """Where the Jacobian's entries stand."""
        return self._assembly.pattern

    def _affine(self) -> None:
        """The affine rows' entries, their places, the matrix (m, n) of them, and their constants (m,)."""
        empty = np.zeros(0, dtype=np.int64)
        values, rows, columns = [np.zeros(0)], [empty], [empty]
        self._offset = np.zeros(self.count)
        for at, space in zip(self.first, self.spaces, strict=False):
            if space.affine:
                matrix, constant = affine_form(space, self.width)
                coo = matrix.tocoo()
                values.append(coo.data)
                rows.append(coo.coords[0].astype(np.int64) + at)
                columns.append(coo.coords[1].astype(np.int64))
                self._offset[at : at + space.lanes] = constant
        self._places = np.concatenate(rows), np.concatenate(columns)
        self._entries = np.concatenate(values)
        self._matrix = sp.csr_array((self._entries, self._places), shape=(self.count, self.width))

    def values(self, x: np.ndarray) -> np.ndarray:
        """c(x)."""
        found = self._matrix @ x + self._offset if len(self._entries) else self._offset.copy()
        for at, space in self.curved:
            found[at : at + space.lanes] = self.point.values(space, x).value(space)
        return np.asarray(found)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """The values of the Jacobian, in the order of its pattern."""
        if not self.curved:
            return self._assembly.total(self._entries)
        raw = [self._entries, *(raw_values(s, self.point.values(s, x)) for _, s in self.curved)]
        return self._assembly.total(np.concatenate(raw))
