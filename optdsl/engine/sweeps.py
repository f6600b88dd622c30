"""Sweeps over the spaces of one template: values upward, adjoints downward, entries of derivatives by the chain rule.

A `Root` is the space of a whole statement. At a point it is read through `Values`, which remembers what it computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from optdsl.engine.space import Affine, Columns, Data, Entries, Link, Slot, Space, entries_of, moving


class Values:
    """The numbers of a root's spaces at a point x (n,)."""

    def __init__(self, spaces: Sequence[Space], x: np.ndarray) -> None:
        self.x = x
        self._slots: dict[int, list[np.ndarray]] = {}
        self._value: dict[int, np.ndarray] = {}
        self._partials: dict[int, np.ndarray] = {}
        self._seconds: dict[int, np.ndarray] = {}
        for space in spaces:
            slots = [self._gather(slot) for slot in space.slots]
            self._slots[id(space)] = slots
            self._value[id(space)] = space.local.value(slots, space.lanes)

    def _gather(self, slot: Slot) -> np.ndarray:
        if isinstance(slot, Columns | Affine):
            return slot.gather(self.x)
        if isinstance(slot, Data):
            return slot.values
        if isinstance(slot, Link):
            return slot.gather(self._value[id(slot.child)])
        return slot.rule(self._value[id(slot.link.child)], slot.link.target, slot.link.lanes)

    def value(self, space: Space) -> np.ndarray:
        """The outputs (L,)."""
        return self._value[id(space)]

    def partials(self, space: Space) -> np.ndarray:
        """The partial derivatives by the local function's `partial_slots` (k, L)."""
        found = self._partials.get(id(space))
        if found is None:
            found = self._defined(space, space.local.partials(self._slots[id(space)], space.lanes))
            self._partials[id(space)] = found
        return found

    def _defined(self, space: Space, derivatives: np.ndarray) -> np.ndarray:
        """The derivatives, nan where the value is none: the derivative of log is finite at -1."""
        value = self._value[id(space)]
        if not np.isfinite(value).all():
            derivatives[:, ~np.isfinite(value)] = np.nan
        return derivatives

    def seconds(self, space: Space) -> np.ndarray:
        """The second derivatives by the local function's `second_pairs` (k, L)."""
        found = self._seconds.get(id(space))
        if found is None:
            found = self._defined(space, space.local.seconds(self._slots[id(space)], space.lanes))
            self._seconds[id(space)] = found
        return found


# ------------------------------------------------------------------------------------------------------ entries


def raw_values(space: Space, values: Values) -> np.ndarray:
    """The derivative of a space's output by the variables: the values of its `entries`, in their order."""
    partials = values.partials(space)
    parts = []
    for partial, k in zip(partials, space.local.partial_slots, strict=True):
        slot = space.slots[k]
        if isinstance(slot, Columns):
            parts.append(partial)
        else:
            parts.append(slot_values(space, slot, values, partial))
    return np.concatenate(parts) if parts else np.zeros(0)


def slot_values(space: Space, slot: Slot, values: Values, weights: np.ndarray | None = None) -> np.ndarray:
    """The values of a slot's `entries`, times weights (L,) of their lanes."""
    if isinstance(slot, Columns):
        return np.ones(space.lanes) if weights is None else weights
    if isinstance(slot, Affine):
        return slot.matrix.data if weights is None else slot.matrix.data * weights[slot.entries.lanes]
    assert isinstance(slot, Link)
    entries = slot.entries
    found = raw_values(slot.child, values)
    if entries.keep is not None:
        found = found[entries.keep]
    return found if weights is None else found * weights[entries.lanes]


# --------------------------------------------------------------------------------------------------------- sweeps


def add_gradient(space: Space, values: Values, weights: np.ndarray, total: np.ndarray) -> None:
    """Add the gradient of weights' @ outputs to `total` (n,), by a reverse sweep."""
    pending = {id(space): weights}
    for part in reversed(space.family):
        seed = pending.pop(id(part), None)
        if seed is None:
            continue
        for partial, k in zip(values.partials(part), part.local.partial_slots, strict=True):
            slot = part.slots[k]
            share = seed * partial
            if isinstance(slot, Columns | Affine):
                slot.scatter(total, share)
            elif isinstance(slot, Link):
                _accumulate(pending, slot, share)


def add_slope_sizes(space: Space, values: Values, weights: np.ndarray, total: np.ndarray) -> None:
    """Add the sum of the sizes of the terms that `add_gradient` adds up: what rounding errors are relative to."""
    pending = {id(space): np.abs(weights)}
    for part in reversed(space.family):
        seed = pending.pop(id(part), None)
        if seed is None:
            continue
        for partial, k in zip(values.partials(part), part.local.partial_slots, strict=True):
            slot = part.slots[k]
            share = seed * np.abs(partial)
            if isinstance(slot, Columns):
                slot.scatter(total, share)
            elif isinstance(slot, Affine):
                entries = slot.entries
                terms = np.abs(slot.matrix.data) * share[entries.lanes]
                total += np.bincount(entries.columns, weights=terms, minlength=len(total))
            elif isinstance(slot, Link):
                _accumulate(pending, slot, share)


def _accumulate(pending: dict[int, np.ndarray], link: Link, share: np.ndarray) -> None:
    spread = link.spread(share)
    old = pending.get(id(link.child))
    pending[id(link.child)] = spread if old is None else old + spread


def tangents(space: Space, values: Values, direction: np.ndarray) -> dict[int, list[np.ndarray | None]]:
    """The derivative of every slot along a direction (n,), by a forward sweep; None: it does not move."""
    moved: dict[int, list[np.ndarray | None]] = {}
    out: dict[int, np.ndarray] = {}
    for part in space.family:
        slots: list[np.ndarray | None] = []
        for slot in part.slots:
            if isinstance(slot, Columns):
                slots.append(slot.gather(direction))
            elif isinstance(slot, Affine):
                slots.append(slot.product(direction))
            elif isinstance(slot, Link):
                slots.append(slot.gather(out[id(slot.child)]))
            else:
                slots.append(None)
        moved[id(part)] = slots
        total = np.zeros(part.lanes)
        for partial, k in zip(values.partials(part), part.local.partial_slots, strict=True):
            tangent = slots[k]
            assert tangent is not None
            total = total + partial * tangent
        out[id(part)] = total
    moved[-1] = [out[id(space)]]
    return moved


def add_hessian_product(
    space: Space, values: Values, weights: np.ndarray, direction: np.ndarray, total: np.ndarray
) -> None:
    """Add the Hessian of weights' @ outputs times a direction to `total` (n,): reverse over forward."""
    moved = tangents(space, values, direction)
    pending = {id(space): weights}
    turning: dict[int, np.ndarray] = {}
    for part in reversed(space.family):
        seed = pending.pop(id(part), None)
        if seed is None:
            continue
        turn = turning.pop(id(part), None)
        slots = moved[id(part)]
        shares: dict[int, np.ndarray] = {}
        for second, (a, b) in zip(values.seconds(part), part.local.second_pairs, strict=True):
            weighted = seed * second
            shares[a] = shares.get(a, 0.0) + weighted * slots[b]
            if a != b:
                shares[b] = shares.get(b, 0.0) + weighted * slots[a]
        for partial, k in zip(values.partials(part), part.local.partial_slots, strict=True):
            slot = part.slots[k]
            share = shares.get(k)
            if turn is not None:
                share = turn * partial if share is None else share + turn * partial
            if isinstance(slot, Link):
                _accumulate(pending, slot, seed * partial)
                if share is not None:
                    _accumulate(turning, slot, share)
            elif share is not None:
                assert isinstance(slot, Columns | Affine)
                slot.scatter(total, share)


# -------------------------------------------------------------------------------------------------------- Hessians


@dataclass(frozen=True, eq=False)
class PairBlock:
    """Entries of a Hessian that one pair of slots gives: `rows >= columns` (size,), one for each pair of entries.

    The values are weights * second at lane `lanes`, times the values of entries `left` of slot a and `right` of slot
    b (None: 1), times `factor` (None: 1).
    """

    rows: np.ndarray
    columns: np.ndarray
    lanes: np.ndarray | None
    left: np.ndarray | None
    right: np.ndarray | None
    factor: np.ndarray | None
    size: int


@dataclass(frozen=True, eq=False)
class DenseBlock:
    """Entries of a Hessian that one pair of slots gives as a matrix product: Ja' diag Jb over few columns.

    `left_columns` (ka,), `right_columns` (kb,) are the distinct columns; `left_places`, `right_places` say where the
    slots' entries stand in their dense matrices (L, k).
    """

    rows: np.ndarray
    columns: np.ndarray
    left_width: int
    right_width: int
    left_places: np.ndarray
    right_places: np.ndarray
    keep: np.ndarray
    symmetric: bool
    factor: np.ndarray | None
    size: int


class TooManyPairs(Exception):
    """The Hessian would have more contributions than it is worth."""


PAIRS = 30_000_000
"""Most contributions of one pair of slots."""


@dataclass(frozen=True, eq=False)
class SpaceHessian:
    """What the second derivatives of one space's local function give: a block for each of its pairs."""

    space: Space
    entries: dict[int, Entries]
    blocks: tuple[PairBlock | DenseBlock, ...]

    @cached_property
    def size(self) -> int:
        """The number of contributions."""
        return sum(b.size for b in self.blocks)

    def without_places(self) -> SpaceHessian:
        """The same for evaluating only: once the entries have found their places, rows and columns are not kept."""
        none = np.zeros(0, dtype=np.int64)
        return replace(self, blocks=tuple(replace(b, rows=none, columns=none) for b in self.blocks))

    def values(self, values: Values, weights: np.ndarray, out: np.ndarray) -> None:
        """The contributions with weights (L,) of the lanes, in the order of the blocks, into `out` (size,)."""
        space = self.space
        inner = {
            k: e.fold(slot_values(space, space.slots[k], values))
            for k, e in self.entries.items()
            if not isinstance(space.slots[k], Columns)
        }
        first = 0
        for block, second, (a, b) in zip(
            self.blocks, values.seconds(space), space.local.second_pairs, strict=True
        ):
            target = out[first : first + block.size]
            first += block.size
            weighted = weights * second
            if isinstance(block, DenseBlock):
                target[...] = _dense_values(block, weighted, space.lanes, inner.get(a), inner.get(b))
                continue
            found = weighted if block.lanes is None else weighted[block.lanes]
            if block.left is not None and a in inner:
                found = found * inner[a][block.left]
            if block.right is not None and b in inner:
                found = found * inner[b][block.right]
            np.multiply(found, 1.0 if block.factor is None else block.factor, out=target)


def _dense_values(
    block: DenseBlock, weights: np.ndarray, lanes: int, left: np.ndarray | None, right: np.ndarray | None
) -> np.ndarray:
    matrix = np.zeros(lanes * block.left_width)
    matrix[block.left_places] = 1.0 if left is None else left
    first = matrix.reshape(lanes, block.left_width)
    second = first
    if not block.symmetric:
        other = np.zeros(lanes * block.right_width)
        other[block.right_places] = 1.0 if right is None else right
        second = other.reshape(lanes, block.right_width)
    product = first.T @ (weights[:, None] * second)
    found = product.reshape(-1)[block.keep]
    return found if block.factor is None else found * block.factor


def hessian_of(space: Space, width: int) -> list[SpaceHessian]:
    """The structure of a root's Hessian, for each of its spaces that has one. Raises TooManyPairs."""
    found = []
    for part in moving(space):
        pairs = part.local.second_pairs
        if not pairs or not part.lanes:
            continue
        entries = {k: _compact(part, k, width) for k in {k for pair in pairs for k in pair}}
        blocks = tuple(_block(part, a, b, entries[a], entries[b], width) for a, b in pairs)
        found.append(SpaceHessian(part, entries, blocks))
    return found


def _compact(space: Space, k: int, width: int) -> Entries:
    entries = entries_of(space.slots[k])
    return entries if isinstance(space.slots[k], Columns) else entries.distinct(width)


def _block(space: Space, a: int, b: int, left: Entries, right: Entries, width: int) -> PairBlock | DenseBlock:
    if isinstance(space.slots[a], Columns) and isinstance(space.slots[b], Columns):
        first, second = left.columns, right.columns
        same = first == second
        factor = np.where(same, 2.0, 1.0) if a != b and same.any() else None
        rows, columns = np.maximum(first, second), np.minimum(first, second)
        return PairBlock(rows, columns, None, None, None, factor, len(rows))
    counts_left = np.bincount(left.lanes, minlength=space.lanes)
    counts_right = np.bincount(right.lanes, minlength=space.lanes)
    pairs = int((counts_left.astype(np.float64) * counts_right).sum())
    dense = _dense_block(space, a == b, left, right, pairs)
    if dense is not None:
        return dense
    if pairs > PAIRS:
        raise TooManyPairs
    one, other = _join(left.lanes, right.lanes, counts_left, counts_right)
    first, second = left.columns[one], right.columns[other]
    factor = None
    if a == b:
        keep = first >= second  # no column stands twice in a lane
        one, other, first, second = one[keep], other[keep], first[keep], second[keep]
    else:
        same = first == second
        factor = np.where(same, 2.0, 1.0) if same.any() else None
    rows, columns = np.maximum(first, second), np.minimum(first, second)
    return PairBlock(rows, columns, left.lanes[one], one, other, factor, len(rows))


def _join(
    left: np.ndarray, right: np.ndarray, counts_left: np.ndarray, counts_right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of entries of the same lane: their numbers on either side."""
    order_left, order_right = np.argsort(left, kind="stable"), np.argsort(right, kind="stable")
    first_right = np.cumsum(counts_right) - counts_right
    repeats = counts_right[left[order_left]]
    one = np.repeat(order_left, repeats)
    lanes = left[one]
    within = np.arange(len(one)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return one, order_right[first_right[lanes] + within]


def _dense_block(space: Space, same: bool, left: Entries, right: Entries, pairs: int) -> DenseBlock | None:
    """The pair of slots as a matrix product, where that costs less than the pairs one by one; else None."""
    if pairs < 20_000:
        return None
    left_columns, left_codes = np.unique(left.columns, return_inverse=True)
    right_columns, right_codes = (left_columns, left_codes) if same else np.unique(right.columns, return_inverse=True)
    # a multiplication of a matrix product takes a small share of the time of a gathered one
    products = space.lanes * len(left_columns) * len(right_columns)
    if products > 12.0 * pairs or space.lanes * (len(left_columns) + len(right_columns)) > 80_000_000:
        return None
    grid_left, grid_right = np.repeat(left_columns, len(right_columns)), np.tile(right_columns, len(left_columns))
    keep = np.flatnonzero(grid_left >= grid_right) if same else np.arange(len(grid_left))
    factor = None if same else np.where(grid_left == grid_right, 2.0, 1.0)
    return DenseBlock(
        np.maximum(grid_left, grid_right)[keep],
        np.minimum(grid_left, grid_right)[keep],
        len(left_columns),
        len(right_columns),
        left.lanes * len(left_columns) + left_codes,
        right.lanes * len(right_columns) + right_codes,
        keep,
        same,
        factor,
        len(keep),
    )


def spread_weights(space: Space, values: Values, weights: np.ndarray) -> dict[int, np.ndarray]:
    """The weight of every lane of every space below, for weights (L,) of the root's outputs."""
    found = {id(space): weights}
    for part in reversed(space.family):
        seed = found.get(id(part))
        if seed is None:
            continue
        for position, k in enumerate(part.local.partial_slots):
            slot = part.slots[k]
            if isinstance(slot, Link):
                _accumulate(found, slot, seed * values.partials(part)[position])
    return found


def constant_jacobian(space: Space, width: int) -> sp.csr_array:
    """The Jacobian (L, n) of an affine space."""
    values = Values(space.family, np.zeros(width))
    entries = space.entries
    triplets = (raw_values(space, values), (entries.lanes, entries.columns))
    matrix = sp.csr_array(sp.coo_array(triplets, shape=(space.lanes, width)))
    matrix.sum_duplicates()
    return matrix
