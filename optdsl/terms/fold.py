"""Values over an extension arranged as groups, one group per lane of the parent, and results arranged back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optdsl.atoms import AxisGroups, SegmentGroups
from optdsl.terms.frame import Extension


class Fold:
    """The groups of an extension's lanes; kept dimensions that no value depends on stay of length 1."""

    def __init__(self, extension: Extension, values: Sequence[np.ndarray]) -> None:
        self.parent_shape = extension.parent.shape
        folded, kept, segment, count = extension.segments()
        child = extension.child.shape
        self._folded, self._kept = folded, kept
        self._kept_in_parent = [extension.kept_dims()[d] for d in kept]
        self._held = sorted(origin.dim for d in folded for origin in extension.parents[d])
        self._shape = [
            child[d] if d in folded else max((v.shape[d] for v in values), default=1) for d in range(len(child))
        ]
        self.groups: AxisGroups | SegmentGroups
        if self._held:
            self.groups = SegmentGroups(segment, count, len(kept))
        else:
            self.groups = AxisGroups(tuple(self._shape), tuple(folded))

    @property
    def some_empty(self) -> bool:
        """Whether a group has no member (and there is a lane that asks for it)."""
        return bool(np.prod(self.parent_shape)) and bool((np.asarray(self.groups.count) == 0).any())

    def empty_lane(self) -> dict[int, int]:
        """The position along each dimension of the parent that the first empty group depends on."""
        if not self._held:
            return {}
        assert isinstance(self.groups, SegmentGroups)
        sizes = np.bincount(self.groups.segment, minlength=self.groups.groups)
        place = np.unravel_index(int(np.flatnonzero(sizes == 0)[0]), [self.parent_shape[d] for d in self._held])
        return {d: int(k) for d, k in zip(self._held, place, strict=True)}

    def members(self, value: np.ndarray) -> np.ndarray:
        """A value over the child's lanes, as the groups take it."""
        value = np.broadcast_to(value, self._shape)
        if not self._held:
            return value
        lanes = int(np.prod([self._shape[d] for d in self._folded], dtype=np.int64))
        return value.transpose(self._folded + self._kept).reshape(lanes, *[self._shape[d] for d in self._kept])

    def result(self, found: np.ndarray) -> np.ndarray:
        """One value per group, as a value over the parent's lanes."""
        sizes = [self.parent_shape[d] for d in self._held] + [self._shape[d] for d in self._kept]
        return np.asarray(found).reshape(sizes).transpose(np.argsort(self._held + self._kept_in_parent))
