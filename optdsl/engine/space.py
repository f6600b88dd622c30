"""Spaces: lanes that share one graph, and how the values of one space reach another.

A template becomes a tree of spaces. Each space has lanes, slots of one number a lane, and one output node over its
slots. A slot is an entry of a variable, a number of the data, or the output of another space summed into these lanes
(a `Link`). Long inner sums are thus lanes of their own, never unrolled, and derivatives go through links by the
chain rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from optdsl.engine.graph import Graph
from optdsl.engine.kernel import Kernel

CHEAP = frozenset({"sqrt", "abs", "max", "min", "floor", "ceil", "sign", "pos", "relu", "leaky_relu"})
"""Functions that are computed again rather than kept for the derivatives."""


@dataclass(frozen=True, eq=False)
class Entries:
    """Places of a Jacobian's entries: lanes (E,), columns (E,), in the order in which their values are computed.

    `keep` picks these from the values computed below, None: all. `position` maps those onto entries that are summed.
    """

    lanes: np.ndarray
    columns: np.ndarray
    keep: np.ndarray | None = None
    position: np.ndarray | None = None

    def fold(self, values: np.ndarray) -> np.ndarray:
        """The values, those of equal places summed."""
        if self.position is None:
            return values
        return np.bincount(self.position, weights=values, minlength=len(self.lanes))

    def distinct(self, width: int) -> Entries:
        """The entries with equal places summed; width: the number of columns."""
        keys = self.lanes * np.int64(width) + self.columns
        unique, position = np.unique(keys, return_inverse=True)
        if len(unique) == len(keys):
            return self
        return Entries(unique // width, unique % width, self.keep, position)


@dataclass(frozen=True, eq=False)
class Columns:
    """A slot that holds an entry of a variable: the model's column at each lane (L,)."""

    columns: np.ndarray

    @cached_property
    def run(self) -> slice | None:
        """The columns as a slice where they go up in equal steps."""
        columns = self.columns
        if len(columns) < 2:
            return slice(int(columns[0]), int(columns[0]) + 1) if len(columns) else slice(0, 0)
        step = int(columns[1] - columns[0])
        if step <= 0 or (np.diff(columns) != step).any():
            return None
        return slice(int(columns[0]), int(columns[-1]) + 1, step)

    @cached_property
    def entries(self) -> Entries:
        """One entry a lane."""
        return Entries(np.arange(len(self.columns)), self.columns)

    def gather(self, x: np.ndarray) -> np.ndarray:
        """The entries of x (n,) at each lane."""
        return x[self.run] if self.run is not None else x[self.columns]

    def scatter(self, total: np.ndarray, values: np.ndarray) -> None:
        """Add the lanes' values into `total` (n,)."""
        if self.run is not None:
            total[self.run] += values
        else:
            total += np.bincount(self.columns, weights=values, minlength=len(total))


@dataclass(frozen=True, eq=False)
class Data:
    """A slot that holds numbers of the data (L,)."""

    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Link:
    """A slot that holds another space's output, summed: its lane `source[k]` goes to lane `target[k]`.

    `source` None: all of its lanes in order. No lane of the child stands twice in `source`.
    """

    child: Space
    target: np.ndarray
    lanes: int
    source: np.ndarray | None = None

    @cached_property
    def block(self) -> int | None:
        """How many lanes in a row go to each lane, where it is the same number for all; None elsewhere."""
        if not self.lanes or not len(self.target) or len(self.target) % self.lanes:
            return None
        size = len(self.target) // self.lanes
        regular = self.target.reshape(self.lanes, size) == np.arange(self.lanes)[:, None]
        return size if regular.all() else None

    def gather(self, values: np.ndarray) -> np.ndarray:
        """The child's values (its lanes,), summed into these lanes."""
        if self.source is not None:
            values = values[self.source]
        if self.block == 1:
            return values
        if self.block is not None:
            return values.reshape(self.lanes, self.block).sum(axis=1)
        return np.bincount(self.target, weights=values, minlength=self.lanes)

    @cached_property
    def entries(self) -> Entries:
        """Where the value depends on the variables: the child's entries, at these lanes."""
        inner = self.child.entries
        if self.source is None:
            return Entries(self.target[inner.lanes], inner.columns)
        target = np.full(self.child.lanes, -1, dtype=np.int64)
        target[self.source] = self.target
        lanes = target[inner.lanes]
        keep = np.flatnonzero(lanes >= 0)
        return Entries(lanes[keep], inner.columns[keep], keep)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """These lanes' values (lanes,), at the child's lanes; 0 at those that go nowhere."""
        if self.block is not None:
            spread = values if self.block == 1 else np.repeat(values, self.block)
        else:
            spread = values[self.target]
        if self.source is None:
            return spread
        result = np.zeros(self.child.lanes)
        result[self.source] = spread
        return result


@dataclass(frozen=True, eq=False)
class Affine:
    """A slot that is affine in the variables: matrix (L, n) @ x + constant (L,)."""

    matrix: sp.csr_array
    constant: np.ndarray

    @cached_property
    def dense(self) -> np.ndarray | None:
        """The matrix (L, n) where most of its entries are there: products are faster then."""
        filled = self.matrix.nnz > 0.4 * max(1, self.matrix.shape[0] * self.matrix.shape[1])
        return self.matrix.toarray() if filled and self.matrix.nnz > 64 else None

    @cached_property
    def entries(self) -> Entries:
        """The stored entries."""
        lanes = np.repeat(np.arange(self.matrix.shape[0]), np.diff(self.matrix.indptr))
        return Entries(lanes, self.matrix.indices.astype(np.int64))

    def gather(self, x: np.ndarray) -> np.ndarray:
        return self.product(x) + self.constant

    def product(self, v: np.ndarray) -> np.ndarray:
        """matrix @ v."""
        return np.asarray((self.matrix if self.dense is None else self.dense) @ v)

    def scatter(self, total: np.ndarray, values: np.ndarray) -> None:
        """Add matrix' @ values into `total` (n,)."""
        total += values @ self.dense if self.dense is not None else self._transposed @ values

    @cached_property
    def _transposed(self) -> sp.csr_array:
        return sp.csr_array(self.matrix.T)


@dataclass(frozen=True, eq=False)
class Held:
    """A slot computed from a link's values by a rule, and held constant under differentiation.

    It stands where the result does not depend on it, as the shift of a logarithm of a sum of exponentials.
    """

    link: Link
    rule: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    """`rule(values, target, lanes)` gives (lanes,)."""


Slot = Columns | Data | Link | Affine | Held


class Local(Protocol):
    """The function of a space over its slots, with derivatives; arrays are (count, L)."""

    partial_slots: tuple[int, ...]
    """The slots by which the partial derivative is not 0 everywhere."""
    second_pairs: tuple[tuple[int, int], ...]
    """The pairs a <= b of slots whose second derivative is not 0 everywhere."""
    constant_slopes: bool
    """Whether all partial derivatives depend on the data alone."""

    def value(self, slots: list[np.ndarray], lanes: int) -> np.ndarray:
        """The outputs (L,). What the derivatives use again is appended to the slots, which they are given next."""

    def partials(self, slots: Sequence[np.ndarray], lanes: int) -> np.ndarray:
        """(len(partial_slots), L)."""

    def seconds(self, slots: Sequence[np.ndarray], lanes: int) -> np.ndarray:
        """(len(second_pairs), L)."""


class GraphFunction:
    """A local function given by a graph; `data` are the slots that hold numbers of the data."""

    def __init__(self, graph: Graph, output: int, wanted: frozenset[int], constant: frozenset[int]) -> None:
        self.graph, self.output = graph, output
        gradient = graph.gradient(output, wanted)
        self.partial_slots = tuple(sorted(gradient))
        self._partials = [gradient[k] for k in self.partial_slots]
        self.constant_slopes = all(graph.slots(node) <= constant for node in self._partials)
        self.second_pairs, self._seconds = self._second(wanted)
        self._kernels: dict[str, Kernel] = {}

    @cached_property
    def _kept(self) -> tuple[int, ...]:
        """Functions that the derivatives use again and that cost more than to keep their values."""
        again = set(self.graph.below([*self._partials, *self._seconds]))
        ops = ((node, self.graph.ops[node]) for node in self.graph.below([self.output]))
        return tuple(n for n, op in ops if n in again and op[0] == "apply" and op[1] not in CHEAP)

    def _second(self, wanted: frozenset[int]) -> tuple[tuple[tuple[int, int], ...], list[int]]:
        pairs: list[tuple[int, int]] = []
        found: list[int] = []
        for a, partial in zip(self.partial_slots, self._partials, strict=True):
            if self.constant_slopes:
                break
            rows = self.graph.gradient(partial, frozenset(b for b in wanted if b >= a))
            for b in sorted(rows):
                pairs.append((a, b))
                found.append(rows[b])
        return tuple(pairs), found

    @property
    def operations(self) -> int:
        """The number of operations of the value."""
        return len(self.graph.below([self.output]))

    @property
    def single_slot(self) -> int | None:
        """The slot that the output is, None where it is a formula."""
        op = self.graph.ops[self.output]
        return op[1] if op[0] == "slot" else None

    def _run(self, kind: str, outputs: list[int], slots: Sequence[np.ndarray], lanes: int) -> np.ndarray:
        kernel = self._kernels.get(kind)
        if kernel is None:
            if kind != "value" and self._kept:
                kept = {node: k for k, node in enumerate(self._kept, len(slots) - len(self._kept))}
                outputs = self.graph.with_slots(outputs, kept)
            kernel = self._kernels[kind] = Kernel(self.graph, outputs)
        with np.errstate(all="ignore"):  # infinite and undefined values are answers
            return kernel(slots, lanes)

    def value(self, slots: list[np.ndarray], lanes: int) -> np.ndarray:
        if self.single_slot is not None:
            return slots[self.single_slot]
        found = self._run("value", [self.output, *self._kept], slots, lanes)
        slots.extend(found[1:])
        return found[0]

    def partials(self, slots: Sequence[np.ndarray], lanes: int) -> np.ndarray:
        return self._run("partials", self._partials, slots, lanes)

    def seconds(self, slots: Sequence[np.ndarray], lanes: int) -> np.ndarray:
        return self._run("seconds", self._seconds, slots, lanes)


@dataclass(frozen=True, eq=False)
class Space:
    """Lanes with slots and a function of them. Children stand in links; a space is never its own descendant."""

    lanes: int
    slots: tuple[Slot, ...]
    local: Local
    names: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def affine(self) -> bool:
        """Whether the output is affine in the variables."""
        return self.local.constant_slopes and all(
            not isinstance(self.slots[k], Link) or self.slots[k].child.affine  # type: ignore[union-attr]
            for k in self.local.partial_slots
        )

    @cached_property
    def entries(self) -> Entries:
        """Where the output may depend on the variables, slot after slot."""
        parts = [entries_of(self.slots[k]) for k in self.local.partial_slots]
        if not parts:
            return Entries(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        return Entries(np.concatenate([p.lanes for p in parts]), np.concatenate([p.columns for p in parts]))

    @cached_property
    def family(self) -> tuple[Space, ...]:
        """This space and all below it, children first, each once."""
        found: dict[int, Space] = {}

        def visit(space: Space) -> None:
            if id(space) in found:
                return
            for slot in space.slots:
                if isinstance(slot, Link):
                    visit(slot.child)
                elif isinstance(slot, Held):
                    visit(slot.link.child)
            found[id(space)] = space

        visit(self)
        return tuple(found.values())


def moving(space: Space) -> list[Space]:
    """The spaces that a derivative passes through: the root first, no space before one that it is linked to."""
    reached = {id(space)}
    found = []
    for part in reversed(space.family):
        if id(part) in reached:
            found.append(part)
            links = [part.slots[k] for k in part.local.partial_slots]
            reached.update(id(link.child) for link in links if isinstance(link, Link))
    return found


def entries_of(slot: Slot) -> Entries:
    """Where a slot depends on the variables."""
    assert isinstance(slot, Columns | Affine | Link)
    return slot.entries
