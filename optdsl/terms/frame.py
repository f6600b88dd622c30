"""Lanes: the index combinations over which a template is evaluated, all at once.

A `Frame` is a grid of dimensions. An iterator over a set that depends on nothing adds a dimension, so that
`sum(c[i, j] * x[i, j] for i in I, j in J)` works on a grid of two. An iterator that depends on outer indices
(`j in OUT[i]`, `(k, j) in ARC`, `j in 1..i`) and a condition merge the dimensions they speak of into one *ragged*
dimension that lists the combinations that exist. Values over a frame are NumPy arrays with one axis per
dimension, of the dimension's length or of length 1 where the value does not depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optdsl.data.members import Labels
from optdsl.terms.nodes import Index


@dataclass(frozen=True, eq=False, slots=True)
class Binding:
    """An index along a dimension: its label at lane k is `labels` at `codes[k]` (at k itself when codes is None)."""

    labels: Labels
    dim: int
    codes: np.ndarray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Origin:
    """Which lane of an ancestor's dimension each lane comes from (`codes` None: the same)."""

    dim: int
    codes: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """A grid of lanes. `root` maps each dimension to the dimensions of the frame it was first extended from."""

    shape: tuple[int, ...] = ()
    bindings: Mapping[Index, Binding] | None = None
    root: tuple[tuple[Origin, ...], ...] = ()
    root_shape: tuple[int, ...] = ()

    @cached_property
    def size(self) -> int:
        """The number of lanes."""
        return math.prod(self.shape)

    def binding(self, index: Index) -> Binding | None:
        return (self.bindings or {}).get(index)

    def along(self, dim: int, values: np.ndarray) -> np.ndarray:
        """A vector along one dimension, shaped to broadcast over the frame."""
        shape = [1] * len(self.shape)
        shape[dim] = len(values)
        return values.reshape(shape)

    def as_root(self) -> Frame:
        """The same lanes, with this frame as the ancestor that later extensions refer to."""
        identity = tuple((Origin(d),) for d in range(len(self.shape)))
        return Frame(self.shape, self.bindings, identity, self.shape)

    def root_rows(self) -> np.ndarray:
        """For each lane the C-order position of the root's lane that it comes from; broadcastable over the frame."""
        strides = _strides(self.root_shape)
        rows = np.zeros((1,) * len(self.shape), dtype=np.int64)
        for dim, origins in enumerate(self.root):
            for origin in origins:
                codes = np.arange(self.shape[dim]) if origin.codes is None else origin.codes
                rows = rows + self.along(dim, codes * strides[origin.dim])
        return rows


@dataclass(frozen=True, eq=False)
class Extension:
    """A frame made from another by iterators and conditions.

    `parents` gives for each dimension of `child` the dimensions of `parent` it holds; empty for a new dimension.
    """

    parent: Frame
    child: Frame
    parents: tuple[tuple[Origin, ...], ...]

    @property
    def new_dims(self) -> tuple[int, ...]:
        return tuple(d for d, origins in enumerate(self.parents) if not origins)

    def kept_dims(self) -> dict[int, int]:
        """Dimensions of the child that are a parent's dimension unchanged: child's number -> parent's number."""
        return {
            d: origins[0].dim
            for d, origins in enumerate(self.parents)
            if len(origins) == 1 and origins[0].codes is None
        }

    def lift(self, value: np.ndarray) -> np.ndarray:
        """A value over the parent, as a value over the child."""
        if value.ndim == 0 or value.size == 1:
            return value.reshape((1,) * len(self.child.shape))
        order: list[int] = []
        for origins in self.parents:
            order.extend(origin.dim for origin in origins)
        moved = value.transpose(order) if order else value
        # now walk the child's dimensions from the left, replacing each group of axes by one
        for dim, origins in enumerate(self.parents):
            if not origins:
                moved = np.expand_dims(moved, dim)
            elif not (len(origins) == 1 and origins[0].codes is None):
                moved = _gather_axes(moved, dim, origins, self.child.shape[dim])
        return moved

    def scatter(self, target: np.ndarray, value: np.ndarray) -> None:
        """Write a child's value into `target`, an array over the parent (the child's lanes are distinct in it).

        `target` may be of length 1 along dimensions that the value does not depend on (see `reach`).
        """
        key: list[np.ndarray] = [np.zeros((1,) * len(self.child.shape), dtype=np.int64)] * len(self.parent.shape)
        for dim, origins in enumerate(self.parents):
            for origin in origins:
                if target.shape[origin.dim] != 1:
                    codes = np.arange(self.child.shape[dim]) if origin.codes is None else origin.codes
                    key[origin.dim] = self.child.along(dim, codes)
        target[tuple(key)] = value

    def reach(self, value: np.ndarray) -> set[int]:
        """The dimensions of the parent that a child's value depends on."""
        return {o.dim for d, size in enumerate(value.shape) if size != 1 for o in self.parents[d]}

    def segments(self) -> tuple[list[int], list[int], np.ndarray, int]:
        """What a reduction to the parent needs where lanes are ragged.

        Returns (dims of the child that are folded, kept dims, segment of each folded lane (C order), number of
        segments); the segments count the lanes of the parent's dimensions that the folded dims hold.
        """
        kept = self.kept_dims()
        folded = [d for d in range(len(self.child.shape)) if d not in kept]
        held = [origin.dim for d in folded for origin in self.parents[d]]
        sizes = [self.parent.shape[d] for d in sorted(held)]
        strides = dict(zip(sorted(held), _strides(sizes), strict=True))
        shape = [self.child.shape[d] for d in folded]
        segment = np.zeros(shape, dtype=np.int64)
        for place, d in enumerate(folded):
            for origin in self.parents[d]:
                codes = np.arange(self.child.shape[d]) if origin.codes is None else origin.codes
                view = [1] * len(folded)
                view[place] = len(codes)
                segment += (codes * strides[origin.dim]).reshape(view)
        return folded, list(kept), segment.reshape(-1), math.prod(sizes)


def _gather_axes(value: np.ndarray, axis: int, origins: Sequence[Origin], length: int) -> np.ndarray:
    count = len(origins)
    sizes = value.shape[axis : axis + count]
    if all(size == 1 for size in sizes):
        return value.reshape((*value.shape[:axis], 1, *value.shape[axis + count :]))
    key = tuple(
        np.zeros(length, dtype=np.int64) if size == 1 else (np.arange(length) if o.codes is None else o.codes)
        for size, o in zip(sizes, origins, strict=True)
    )
    # advanced indices side by side keep their place
    return value[(slice(None),) * axis + key]


def _strides(shape: Sequence[int]) -> list[int]:
    strides = [1] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        strides[d] = strides[d + 1] * shape[d + 1]
    return strides


class FrameBuilder:
    """Grows a frame step by step; `finish` gives the extension."""

    def __init__(self, parent: Frame) -> None:
        self.parent = parent
        self.shape = list(parent.shape)
        self.bindings: dict[Index, Binding] = dict(parent.bindings or {})
        self.parents: list[tuple[Origin, ...]] = [(Origin(d),) for d in range(len(parent.shape))]

    def frame(self) -> Frame:
        """The lanes so far."""
        return self.finish().child

    def add_dense(self, length: int, bound: Mapping[Index, tuple[Labels, np.ndarray | None]]) -> None:
        """A new dimension; `bound` gives labels and codes of the indices that run along it."""
        dim = len(self.shape)
        self.shape.append(length)
        self.parents.append(())
        for index, (labels, codes) in bound.items():
            self.bindings[index] = Binding(labels, dim, codes)

    def merge(
        self,
        dims: Sequence[int],
        lanes: Sequence[np.ndarray],
        bound: Mapping[Index, tuple[Labels, np.ndarray | None]],
        length: int,
    ) -> None:
        """Replace `dims` by one ragged dimension of `length` lanes; `lanes[k]` are their positions along `dims[k]`."""
        if not dims:
            self.add_dense(length, bound)
            return
        target = min(dims)
        chosen = dict(zip(dims, lanes, strict=True))
        new_number: dict[int, int] = {}
        shape: list[int] = []
        parents: list[tuple[Origin, ...]] = []
        for d in range(len(self.shape)):
            if d == target:
                new_number[d] = len(shape)
                shape.append(length)
                parents.append(
                    tuple(
                        Origin(o.dim, chosen[m] if o.codes is None else o.codes[chosen[m]])
                        for m in sorted(chosen)
                        for o in self.parents[m]
                    )
                )
            elif d not in chosen:
                new_number[d] = len(shape)
                shape.append(self.shape[d])
                parents.append(self.parents[d])
        merged: dict[Index, Binding] = {}
        for index, binding in self.bindings.items():
            if binding.dim in chosen:
                picked = chosen[binding.dim]
                codes = picked if binding.codes is None else binding.codes[picked]
                merged[index] = Binding(binding.labels, new_number[target], codes)
            else:
                merged[index] = Binding(binding.labels, new_number[binding.dim], binding.codes)
        for index, (labels, codes) in bound.items():
            merged[index] = Binding(labels, new_number[target], codes)
        self.shape, self.parents, self.bindings = shape, parents, merged

    def filter(self, condition: np.ndarray) -> None:
        """Keep the lanes where `condition` (broadcastable over the lanes so far) holds."""
        dims = [d for d, size in enumerate(condition.shape) if size != 1]
        if not dims:
            if not bool(condition.reshape(-1)[0]):
                self.add_dense(0, {})  # no lanes at all, and every dimension stays what it is
            return
        flat = condition.reshape([condition.shape[d] for d in dims])
        if flat.all():
            return
        lanes = np.nonzero(flat)
        self.merge(dims, lanes, {}, len(lanes[0]))

    def finish(self) -> Extension:
        root = tuple(
            tuple(
                Origin(r.dim, _compose(r.codes, origin.codes))
                for origin in origins
                for r in self.parent.root[origin.dim]
            )
            for origins in self.parents
        )
        child = Frame(tuple(self.shape), self.bindings, root, self.parent.root_shape)
        return Extension(self.parent, child, tuple(self.parents))


def _compose(outer: np.ndarray | None, inner: np.ndarray | None) -> np.ndarray | None:
    if outer is None:
        return inner
    return outer if inner is None else outer[inner]
