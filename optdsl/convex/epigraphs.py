"""Takes auxiliary variables out of a conic program that only carry a value from a cone to a row, and answers back.

`norm2(u) + a'x <= b` reaches the solver as norm(u) <= r and r + a'x <= b. Where r stands nowhere else it is replaced by
the most that its row allows: norm(u) <= b - a'x. A cone that allows a value of r allows every larger one, so the
problem stays the same, and is smaller by a variable and a row for each lane (with 1e5 norms a fourth of the time).
A lower bound of 0 that the cone implies is left out as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from optdsl.convex.program import AffineRows, Cone, ConeKind, Program, RawAnswer

WayBack = Callable[[RawAnswer], RawAnswer]

UPWARD: Mapping[ConeKind, tuple[int, ...]] = {
    ConeKind.NORM: (0,),
    ConeKind.SQUARE: (1, 2),
    ConeKind.POWER: (0, 1),
    ConeKind.EXPONENTIAL: (2,),
}
"""The parts of a cone that are nowhere negative in it and may grow: what is in the cone stays in it."""

DOWNWARD: Mapping[ConeKind, tuple[int, ...]] = {ConeKind.EXPONENTIAL: (0,)}
"""The parts that may fall."""

SMALLEST_PIVOT = 1e-6
"""A variable with less than this share of its row's largest coefficient stays."""


@dataclass(frozen=True, eq=False)
class _Entries:
    """Where auxiliary columns stand in one part of a cone: column, row of the part, coefficient; alone in its row?"""

    cone: int
    part: int
    column: np.ndarray
    row: np.ndarray
    value: np.ndarray
    alone: np.ndarray


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Columns to replace, all arrays of one length: x[column] = (side - the rest of the row) / pivot.

    `cone`, `part`, `place` and `value` say where in the cones the column stands.
    """

    column: np.ndarray
    row: np.ndarray
    pivot: np.ndarray
    side: np.ndarray
    cone: np.ndarray
    part: np.ndarray
    place: np.ndarray
    value: np.ndarray


def without_epigraphs(program: Program) -> tuple[Program, WayBack]:
    """The program without auxiliary variables that only carry a value, and the way back for its answers."""
    entries = tuple(_entries(program)) if program.auxiliary else ()
    if not entries:
        return program, lambda answer: answer
    program = replace(program, lower=_needed_bounds(program, entries))
    chosen = _choose(program, entries)
    if not len(chosen.column):
        return program, lambda answer: answer
    return _replaced(program, chosen)


def _entries(program: Program) -> Iterator[_Entries]:
    first = len(program.cost) - program.auxiliary
    for number, cone in enumerate(program.cones):
        for part in (*UPWARD.get(cone.kind, ()), *DOWNWARD.get(cone.kind, ())):
            matrix = cone.parts[part].matrix
            at = np.flatnonzero(matrix.indices >= first)
            width = np.diff(matrix.indptr)
            row = np.repeat(np.arange(matrix.shape[0]), width)[at]
            yield _Entries(number, part, matrix.indices[at], row, matrix.data[at], width[row] == 1)


def _needed_bounds(program: Program, entries: tuple[_Entries, ...]) -> np.ndarray:
    """The lower bounds without those of auxiliary columns that a cone implies."""
    lower = program.lower.copy()
    for found in entries:
        cone = program.cones[found.cone]
        if found.part in UPWARD[cone.kind]:
            offset = cone.parts[found.part].offset[found.row]
            implied = found.alone & (found.value > 0) & (offset <= 0) & (lower[found.column] <= 0)
            lower[found.column[implied]] = -np.inf
    return lower


def _choose(program: Program, entries: tuple[_Entries, ...]) -> _Chosen:
    matrix = program.matrix
    row_of = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    free = _carriers(program)
    at = np.flatnonzero(free[matrix.indices])
    row, pivot = np.zeros(len(free), dtype=np.int64), np.zeros(len(free))
    row[matrix.indices[at]], pivot[matrix.indices[at]] = row_of[at], matrix.data[at]
    largest = np.zeros(matrix.shape[0])
    np.maximum.at(largest, row_of, np.abs(matrix.data))
    parts = []
    for found in entries:
        keep = free[found.column]
        column, place, value = found.column[keep], found.row[keep], found.value[keep]
        i, c = row[column], pivot[column]
        lower, upper = program.row_lower[i], program.row_upper[i]
        up = (value > 0) == (found.part in UPWARD[program.cones[found.cone].kind])
        # the side that keeps the variable from going where the cone lets it
        side = np.where(up == (c > 0), upper, lower)
        other = np.where(up == (c > 0), lower, upper)
        fits = np.isfinite(side) & (np.isinf(other) | (lower == upper)) & (value != 0)
        fits &= np.abs(c) >= SMALLEST_PIVOT * largest[i]
        where = np.full(len(column), found.cone), np.full(len(column), found.part)
        parts.append([a[fits] for a in (column, i, c, side, *where, place, value)])
    fields = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    _, first = np.unique(fields[1], return_index=True)  # one for each row: the others stand in it
    return _Chosen(*(array[first] for array in fields))


def _carriers(program: Program) -> np.ndarray:
    """Which columns are auxiliary, without cost and bounds, and stand in one row and in one place of the cones."""
    count = len(program.cost)
    in_rows = np.bincount(program.matrix.indices, minlength=count)
    in_cones = sum(
        (np.bincount(part.matrix.indices, minlength=count) for cone in program.cones for part in cone.parts),
        np.zeros(count, dtype=np.int64),
    )
    free = (in_rows == 1) & (in_cones == 1) & (program.cost == 0.0) & ~program.integer
    free &= np.isinf(program.lower) & np.isinf(program.upper)
    free[: count - program.auxiliary] = False
    if program.hessian is not None:
        free &= np.diff(program.hessian.indptr) == 0
    if program.squares is not None:
        free &= np.bincount(program.squares.matrix.indices, minlength=count) == 0
    return free


def _replaced(program: Program, chosen: _Chosen) -> tuple[Program, WayBack]:
    count, rows = len(program.cost), program.matrix.shape[0]
    kept = np.ones(count, dtype=bool)
    kept[chosen.column] = False
    kept_rows = np.ones(rows, dtype=bool)
    kept_rows[chosen.row] = False
    number = np.cumsum(kept) - 1  # of each column that is kept
    expand, shift = _expansion(program, chosen, kept, number)
    touched = set(zip(chosen.cone.tolist(), chosen.part.tolist(), strict=True))

    def moved(part: AffineRows, touched: bool) -> AffineRows:
        if touched:
            return AffineRows(sp.csr_array(part.matrix @ expand), part.offset + part.matrix @ shift)
        return AffineRows(_selected(part.matrix, number, int(kept.sum())), part.offset)

    def cone_without(k: int, cone: Cone) -> Cone:
        return replace(cone, parts=tuple(moved(part, (k, p) in touched) for p, part in enumerate(cone.parts)))

    squares, hessian = program.squares, program.hessian
    if squares is not None:
        squares = replace(squares, matrix=_selected(squares.matrix, number, int(kept.sum())))
    smaller = replace(
        program,
        cost=program.cost[kept],
        matrix=_selected(sp.csr_array(program.matrix[kept_rows]), number, int(kept.sum())),
        row_lower=program.row_lower[kept_rows],
        row_upper=program.row_upper[kept_rows],
        lower=program.lower[kept],
        upper=program.upper[kept],
        integer=program.integer[kept],
        hessian=None if hessian is None else sp.csc_array(hessian[:, kept][kept]),
        squares=squares,
        start=None if program.start is None else program.start[kept],
        cones=tuple(cone_without(k, cone) for k, cone in enumerate(program.cones)),
        auxiliary=program.auxiliary - len(chosen.column),
    )

    def row_shares(inner: np.ndarray | None, cones: tuple[tuple[np.ndarray, ...], ...]) -> np.ndarray | None:
        """Multipliers of all rows: a row that went into a cone has the share of the place where it went."""
        if inner is None or not cones:
            return None
        whole = np.zeros(rows)
        whole[kept_rows] = inner
        for k, p in touched:
            own = (chosen.cone == k) & (chosen.part == p)
            # the Lagrangian holds -z value (side - ...) / pivot, whose derivative by the side is the row's dual
            shares = -cones[k][p][chosen.place[own]] * chosen.value[own] / chosen.pivot[own]
            whole[chosen.row[own]] = shares
        return whole

    def way_back(answer: RawAnswer) -> RawAnswer:
        reduced = answer.reduced_cost
        if reduced is not None:
            reduced = np.zeros(count)
            reduced[kept] = answer.reduced_cost
        return replace(
            answer,
            x=None if answer.x is None else expand @ answer.x + shift,
            row_dual=row_shares(answer.row_dual, answer.cone_duals),
            reduced_cost=reduced,
            ray=None if answer.ray is None else expand @ answer.ray,
            farkas=row_shares(answer.farkas, answer.farkas_cones),
        )

    return smaller, way_back


def _expansion(
    program: Program, chosen: _Chosen, kept: np.ndarray, number: np.ndarray
) -> tuple[sp.csr_array, np.ndarray]:
    """x = expand @ (what is kept of it) + shift."""
    rows = sp.csr_array(program.matrix[chosen.row])
    which = np.repeat(np.arange(len(chosen.row)), np.diff(rows.indptr))
    rest = kept[rows.indices]
    at = (chosen.column[which[rest]], number[rows.indices[rest]])
    data = -rows.data[rest] / chosen.pivot[which[rest]]
    same = np.flatnonzero(kept)
    shape = (len(kept), len(same))
    places = (np.concatenate([same, at[0]]), np.concatenate([np.arange(len(same)), at[1]]))
    expand = sp.csr_array(sp.coo_array((np.concatenate([np.ones(len(same)), data]), places), shape=shape))
    shift = np.zeros(len(kept))
    shift[chosen.column] = chosen.side / chosen.pivot
    return expand, shift


def _selected(matrix: sp.csr_array, number: np.ndarray, count: int) -> sp.csr_array:
    """The matrix without columns that it does not use; `number` is the new number of each column."""
    return sp.csr_array((matrix.data, number[matrix.indices], matrix.indptr), shape=(matrix.shape[0], count))
