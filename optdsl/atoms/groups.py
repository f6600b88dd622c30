"""Groups of values that a reduction works on: an axis of a dense array, or segments of ragged data.

Both kinds answer the same questions, each for all groups at once; rows of the table never know which one they got.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Groups(Protocol):
    """What a reduction may ask. `count` has the result's number of axes and broadcasts with every result."""

    @property
    def count(self) -> NDArray[np.int64]: ...
    def sum(self, values: Any) -> NDArray[Any]: ...
    def prod(self, values: Any) -> NDArray[Any]: ...
    def max(self, values: Any) -> NDArray[Any]: ...
    def min(self, values: Any) -> NDArray[Any]: ...
    def any(self, values: Any) -> NDArray[np.bool_]: ...
    def all(self, values: Any) -> NDArray[np.bool_]: ...
    def spread(self, results: Any) -> NDArray[Any]: ...
    def descending_rank(self, values: Any) -> NDArray[np.int64]: ...


class AxisGroups:
    """Groups along some axes of a dense array; results have the array's shape without these axes.

    Members `shape`, results `shape` less `axes`. Over no members: sum 0, prod 1, max -inf, min inf.
    """

    def __init__(self, shape: tuple[int, ...], axes: tuple[int, ...] | int | None = None) -> None:
        if axes is None:
            axes = tuple(range(len(shape)))
        elif isinstance(axes, int):
            axes = (axes,)
        self.shape = tuple(shape)
        self.axes = tuple(sorted(axis % len(shape) for axis in axes))
        self.kept = tuple(axis for axis in range(len(shape)) if axis not in self.axes)
        self.result_shape = tuple(shape[axis] for axis in self.kept)
        self._with_ones = tuple(1 if axis in self.axes else size for axis, size in enumerate(shape))

    def _full(self, values: Any) -> NDArray[Any]:
        return np.broadcast_to(values, self.shape)

    @cached_property
    def count(self) -> NDArray[np.int64]:
        """Members of each group, in the result's shape."""
        size = math.prod(self.shape[axis] for axis in self.axes)
        return np.full(self.result_shape, size, dtype=np.int64)

    def sum(self, values: Any) -> NDArray[Any]:
        """Each group's sum."""
        return np.asarray(np.sum(self._full(values), axis=self.axes))

    def prod(self, values: Any) -> NDArray[Any]:
        """Each group's product."""
        return np.asarray(np.prod(self._full(values), axis=self.axes))

    def max(self, values: Any) -> NDArray[Any]:
        """Each group's largest value."""
        return np.asarray(np.max(self._full(values), axis=self.axes, initial=-np.inf))

    def min(self, values: Any) -> NDArray[Any]:
        """Each group's smallest value."""
        return np.asarray(np.min(self._full(values), axis=self.axes, initial=np.inf))

    def any(self, values: Any) -> NDArray[np.bool_]:
        """Whether a member is true."""
        return np.asarray(np.any(self._full(values), axis=self.axes))

    def all(self, values: Any) -> NDArray[np.bool_]:
        """Whether every member is true."""
        return np.asarray(np.all(self._full(values), axis=self.axes))

    def spread(self, results: Any) -> NDArray[Any]:
        """Each group's result, given back to its members."""
        results = np.broadcast_to(results, self.result_shape)
        return np.broadcast_to(results.reshape(self._with_ones), self.shape)

    def descending_rank(self, values: Any) -> NDArray[np.int64]:
        """Place of each member in its group, 0 for the largest; equal members in order of appearance."""
        moved = self._full(values).transpose(*self.kept, *self.axes)
        size = math.prod(self.shape[axis] for axis in self.axes)
        flat = moved.reshape(*self.result_shape, size)
        order = np.argsort(-flat, axis=-1, kind="stable")
        ranks = np.empty(flat.shape, dtype=np.int64)
        np.put_along_axis(ranks, order, np.broadcast_to(np.arange(flat.shape[-1]), flat.shape), axis=-1)
        return ranks.reshape(moved.shape).transpose(*np.argsort(self.kept + self.axes))


class SegmentGroups:
    """Groups of ragged data: member m, along axis 0, belongs to group `segment[m]`.

    Members (n, ...), results (groups, ...); `trailing` is the number of axes after the first, each entry of which
    is reduced on its own. Over no members: sum 0, prod 1, max -inf, min inf.
    """

    def __init__(self, segment_of_member: Any, count_of_groups: int, trailing: int = 0) -> None:
        self.segment = np.asarray(segment_of_member, dtype=np.int64)
        self.groups = int(count_of_groups)
        self.trailing = trailing

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return np.bincount(self.segment, minlength=self.groups)

    @cached_property
    def _order(self) -> NDArray[np.int64] | None:
        """A permutation that brings the members into group order; None when they are in it."""
        if self.segment.size < 2 or bool(np.all(self.segment[1:] >= self.segment[:-1])):
            return None
        return np.argsort(self.segment, kind="stable")

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Position of each group's first member in group order."""
        return np.cumsum(self._sizes) - self._sizes

    @cached_property
    def count(self) -> NDArray[np.int64]:
        """Members of each group, shape (groups, 1, ...)."""
        return self._sizes.reshape(self.groups, *(1,) * self.trailing)

    def _members(self, values: Any) -> NDArray[Any]:
        values = np.asarray(values)
        if values.ndim != 1 + self.trailing or values.shape[0] != self.segment.size:
            values = np.broadcast_to(values, (self.segment.size, *np.shape(values)[1 : 1 + self.trailing]))
        return values

    def _reduce(self, operation: np.ufunc, values: Any, empty: Any) -> NDArray[Any]:
        values = self._members(values)
        if self._order is not None:
            values = values[self._order]
        filled = self._sizes > 0
        if filled.all() and self.groups:
            return operation.reduceat(values, self._starts, axis=0)
        kind = np.result_type(values.dtype, type(empty))
        result = np.full((self.groups, *values.shape[1:]), empty, dtype=kind)
        if filled.any():
            result[filled] = operation.reduceat(values, self._starts[filled], axis=0)
        return result

    def sum(self, values: Any) -> NDArray[Any]:
        """Each group's sum."""
        values = self._members(values)
        if values.dtype == np.bool_:
            values = values.astype(np.int64)
        if self._order is not None and values.ndim == 1 and values.dtype == np.float64:
            return np.bincount(self.segment, weights=values, minlength=self.groups)
        return self._reduce(np.add, values, 0)

    def prod(self, values: Any) -> NDArray[Any]:
        """Each group's product."""
        return self._reduce(np.multiply, values, 1)

    def max(self, values: Any) -> NDArray[Any]:
        """Each group's largest value."""
        return self._reduce(np.maximum, values, -np.inf)

    def min(self, values: Any) -> NDArray[Any]:
        """Each group's smallest value."""
        return self._reduce(np.minimum, values, np.inf)

    def any(self, values: Any) -> NDArray[np.bool_]:
        """Whether a member is true."""
        return self._reduce(np.logical_or, np.asarray(values).astype(bool), False)

    def all(self, values: Any) -> NDArray[np.bool_]:
        """Whether every member is true."""
        return self._reduce(np.logical_and, np.asarray(values).astype(bool), True)

    def spread(self, results: Any) -> NDArray[Any]:
        """Each group's result, given back to its members."""
        results = np.asarray(results)
        if results.ndim == 0:
            results = np.broadcast_to(results, self.count.shape)
        return results[self.segment]

    def descending_rank(self, values: Any) -> NDArray[np.int64]:
        """Place of each member in its group, 0 for the largest; equal members in order of appearance."""
        values = self._members(values)
        by_value = np.argsort(-values, axis=0, kind="stable")
        segment = self.segment[by_value]
        by_group = np.argsort(segment, axis=0, kind="stable")
        order = np.take_along_axis(by_value, by_group, axis=0)
        in_group_order = self.segment if self._order is None else self.segment[self._order]
        place = np.arange(self.segment.size) - self._starts[in_group_order]
        ranks = np.empty(values.shape, dtype=np.int64)
        place = np.broadcast_to(place.reshape(-1, *(1,) * self.trailing), values.shape)
        np.put_along_axis(ranks, order, place, axis=0)
        return ranks
