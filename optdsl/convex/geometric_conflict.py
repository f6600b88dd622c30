"""Why a geometric program has no feasible point: constraints and bounds by the model's own names."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from optdsl.classify.geometric import Geometric, bounded_away, with_rows, zero_columns
from optdsl.convex.conflict import find_conflict
from optdsl.convex.geometric import GeometricLowered
from optdsl.convex.lower import NamedPart
from optdsl.convex.program import Conflict, ConflictPart

GUARD_SECONDS = 5.0
"""How long it is tried to have fewer of the rows that keep variables from 0."""


def geometric_conflict(
    geometric: Geometric, lowered: GeometricLowered, stop: Callable[[], bool] | None = None
) -> tuple[tuple[NamedPart, ...], bool]:
    """The members of a conflict, and whether it is irreducible. `lowered` is what was solved of `geometric`.

    The conflict of the logarithms holds for positive variables. Where it would not with some of them at 0, the rows and
    bounds that keep these from 0 belong to it.
    """
    if geometric.impossible:
        number, lane = geometric.impossible[0]
        return (NamedPart("constraint", number, lane, None),), True
    conflict = find_conflict(lowered.program, stop=stop)
    members = tuple(dict.fromkeys(_named(lowered, conflict)))
    if not members:
        return (), False
    guards = _Guards.of(geometric, members).needed(stop)
    return tuple(dict.fromkeys((*members, *guards))), conflict.irreducible


def _named(lowered: GeometricLowered, conflict: Conflict) -> list[NamedPart]:
    """Rows by constraint and instance, columns by bound; what holds auxiliary columns is left out."""
    found = []
    firsts = [(rows.first, rows.count, family) for rows, family in zip(lowered.rows, lowered.families, strict=True)]
    for part, index in conflict.members:
        if part in (ConflictPart.ROW_LOWER, ConflictPart.ROW_UPPER):
            for first, count, family in firsts:
                if family is not None and first <= index < first + count:
                    upper = (part is ConflictPart.ROW_UPPER) == (family.orientation > 0 or family.equal)
                    lane = int(family.lanes[index - first])
                    found.append(NamedPart("constraint", family.constraint, lane, "upper" if upper else "lower"))
        elif part in (ConflictPart.LOWER, ConflictPart.UPPER) and index < len(lowered.geometric.used):
            found.append(NamedPart("bound", None, index, "lower" if part is ConflictPart.LOWER else "upper"))
    return found


@dataclass(frozen=True, eq=False)
class _Guards:
    """Rows (a mask for each family) and bounds (n,) in the conflict, and the columns that must not be 0 in it."""

    geometric: Geometric
    rows: tuple[np.ndarray, ...]
    bounds: np.ndarray
    columns: np.ndarray

    @classmethod
    def of(cls, geometric: Geometric, members: tuple[NamedPart, ...]) -> _Guards:
        rows, touched = [], np.zeros(geometric.columns, dtype=bool)
        for family in geometric.families:
            side = "lower" if family.orientation < 0 and not family.equal else "upper"
            lanes = [
                m.position
                for m in members
                if m.constraint == family.constraint and (family.equal or m.side == side)
            ]
            mask = np.isin(family.lanes, lanes)
            inside = mask[family.row][family.terms.row]
            touched[family.terms.column[inside]] = True
            rows.append(mask)
        bounds = np.zeros(len(geometric.used), dtype=bool)
        for member in members:
            if member.constraint is None and member.side == "lower":
                bounds[member.position] = True
        return cls(geometric, tuple(rows), bounds & bounded_away(geometric), touched)

    def holds(self, rows: tuple[np.ndarray, ...], bounds: np.ndarray) -> bool:
        """Whether these keep the conflict's columns from 0."""
        some = with_rows(self.geometric, rows)
        return not (zero_columns(some, objective_too=True, positive=bounds) & self.columns).any()

    def needed(self, stop: Callable[[], bool] | None) -> tuple[NamedPart, ...]:
        """The fewest further rows and bounds that do, by dropping runs of them that are not needed."""
        if self.holds(self.rows, self.bounds):
            return ()
        sizes = [len(mask) for mask in self.rows]
        starts = np.cumsum([0, *sizes])
        base = np.concatenate([*self.rows, self.bounds])
        kept = np.concatenate([*(np.ones(size, dtype=bool) for size in sizes), bounded_away(self.geometric)])
        if not self._holds(kept, starts):
            return ()
        run, end = max(1, len(kept) // 2), time.perf_counter() + GUARD_SECONDS
        while run:
            for first in range(0, len(kept), run):
                fewer = kept.copy()
                fewer[first : first + run] = base[first : first + run]
                if not np.array_equal(fewer, kept) and self._holds(fewer, starts):
                    kept = fewer
                if time.perf_counter() > end or (stop is not None and stop()):
                    return tuple(self._name(int(at), starts) for at in np.flatnonzero(kept & ~base))
            run //= 2
        return tuple(self._name(int(at), starts) for at in np.flatnonzero(kept & ~base))

    def _holds(self, kept: np.ndarray, starts: np.ndarray) -> bool:
        rows = tuple(kept[a:b] for a, b in pairwise(starts))
        return self.holds(rows, kept[starts[-1] :])

    def _name(self, at: int, starts: np.ndarray) -> NamedPart:
        if at >= starts[-1]:
            return NamedPart("bound", None, at - int(starts[-1]), "lower")
        number = int(np.searchsorted(starts, at, side="right") - 1)
        family = self.geometric.families[number]
        side = "lower" if family.orientation < 0 and not family.equal else "upper"
        return NamedPart("constraint", family.constraint, int(family.lanes[at - int(starts[number])]), side)


__all__ = ["geometric_conflict"]
