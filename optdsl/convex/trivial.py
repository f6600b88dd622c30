"""What can be decided without a solver: crossed bounds, rows and cones without variables, NaN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from optdsl.convex.cone_sets import (
    constant_lanes,
    distance,
    lane_sizes,
    out_of_reach,
    take_lanes,
    values_at,
)
from optdsl.convex.program import ConflictPart, Program, RawAnswer

BOUND_SLACK = 1e-9
"""Sides that cross by no more than this, relative to max(1, |side|), count as equal: mere rounding."""


@dataclass(frozen=True, slots=True)
class Trivial:
    """A conflict that is plain to see: its members, as in `Conflict`."""

    members: tuple[tuple[ConflictPart, int], ...]
    sentence: str


def unusable_numbers(program: Program) -> str | None:
    """A sentence about NaN or misplaced infinite numbers in the program, or None."""
    pairs: list[tuple[str, np.ndarray, Callable[[np.ndarray], np.ndarray]]] = [
        ("cost", program.cost, np.isfinite),
        ("matrix", program.matrix.data, np.isfinite),
        ("row side", program.row_lower, _is_number),
        ("row side", program.row_upper, _is_number),
        ("bound", program.lower, _is_number),
        ("bound", program.upper, _is_number),
    ]
    if program.hessian is not None:
        pairs.append(("quadratic", program.hessian.data, np.isfinite))
    if program.squares is not None:
        pairs += [
            ("square", program.squares.matrix.data, np.isfinite),
            ("square", program.squares.offset, np.isfinite),
        ]
        pairs.append(("weight", program.squares.weights, np.isfinite))
    for cone in program.cones:
        for part in cone.parts:
            pairs += [("cone", part.matrix.data, np.isfinite), ("cone", part.offset, np.isfinite)]
        if cone.exponent is not None and not ((np.asarray(cone.exponent) > 0) & (np.asarray(cone.exponent) < 1)).all():
            return "an exponent of a power cone is not between 0 and 1"
    for name, values, fine in pairs:
        if not fine(values).all():
            return f"a {name} coefficient of the problem is not a finite number"
    if not np.isfinite(program.constant):
        return "the constant of the objective is not a finite number"
    return None


def crossed(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Which pairs of sides exclude every finite number, by more than rounding."""
    with np.errstate(invalid="ignore"):
        scale = np.maximum(1.0, np.where(np.isfinite(lower), np.abs(lower), 1.0))
        beyond = lower > upper + BOUND_SLACK * scale
    return beyond | (lower == np.inf) | (upper == -np.inf)


def trivial_conflict(program: Program) -> Trivial | None:
    """What `crossed_sides` finds, an impossible row, a row against the bounds."""
    return crossed_sides(program) or _row_against_bounds(program)


def crossed_sides(program: Program) -> Trivial | None:
    """Crossed bounds or row sides, integers without room, impossible cones without variables; quick at any size."""
    for lower, upper, parts in (
        (program.lower, program.upper, (ConflictPart.LOWER, ConflictPart.UPPER)),
        (program.row_lower, program.row_upper, (ConflictPart.ROW_LOWER, ConflictPart.ROW_UPPER)),
    ):
        where = np.flatnonzero(crossed(lower, upper))
        if where.size:
            return _crossed_pair(int(where[0]), lower, upper, parts)
    room = _integer_without_room(program) if program.mixed_integer else None
    return room or _impossible_lane(program)


def unreachable_lane(program: Program) -> int | None:
    """The first of the cones' lanes that the bounds alone keep from holding, counted as for `ConflictPart.CONE`.

    Found by the ranges of its parts, so also where no multipliers prove it: u^2 <= v w with u = 1, v = 0 and w free.
    Rows of one variable count as bounds.
    """
    if not program.cones:
        return None
    program = _with_rows_as_bounds(program)
    first = 0
    for cone in program.cones:
        found = np.flatnonzero(out_of_reach(program, cone))
        if found.size:
            return first + int(found[0])
        first += cone.lanes
    return None


def single_rows(program: Program) -> tuple[np.ndarray, np.ndarray]:
    """The rows that hold one variable, and the entries' positions in the matrix."""
    rows = np.flatnonzero(np.diff(program.matrix.indptr) == 1)
    at = program.matrix.indptr[rows]
    used = program.matrix.data[at] != 0
    return rows[used], at[used]


def _with_rows_as_bounds(program: Program) -> Program:
    rows, at = single_rows(program)
    columns, factor = program.matrix.indices[at], program.matrix.data[at]
    first, second = program.row_lower[rows] / factor, program.row_upper[rows] / factor
    lower, upper = program.lower.copy(), program.upper.copy()
    np.maximum.at(lower, columns, np.minimum(first, second))
    np.minimum.at(upper, columns, np.maximum(first, second))
    return replace(program, lower=lower, upper=upper)


def without_constant_lanes(program: Program) -> tuple[Program, Callable[[RawAnswer], RawAnswer]]:
    """The program without the cones' lanes that hold no variable, and the way back; `crossed_sides` was asked before.

    Their multipliers are 0. A solver may stall on them: a constant on the edge of its cone leaves no interior.
    """
    kept = [np.flatnonzero(~constant_lanes(cone)) for cone in program.cones]
    if all(len(lanes) == cone.lanes for lanes, cone in zip(kept, program.cones, strict=True)):
        return program, lambda answer: answer
    cones = program.cones
    smaller = replace(program, cones=tuple(take_lanes(cone, at) for cone, at in zip(cones, kept, strict=True)))

    def spread(duals: tuple[tuple[np.ndarray, ...], ...]) -> tuple[tuple[np.ndarray, ...], ...]:
        if not duals:
            return duals
        whole = []
        for cone, at, parts in zip(cones, kept, duals, strict=True):
            filled = []
            for part, dual in zip(cone.parts, parts, strict=True):
                values = np.zeros((cone.lanes, len(part.offset) // max(1, cone.lanes)))
                values[at] = dual.reshape(len(at), values.shape[1])
                filled.append(values.reshape(-1))
            whole.append(tuple(filled))
        return tuple(whole)

    def way_back(answer: RawAnswer) -> RawAnswer:
        return replace(answer, cone_duals=spread(answer.cone_duals), farkas_cones=spread(answer.farkas_cones))

    return smaller, way_back


def uncross(program: Program) -> Program:
    """The program with sides set equal that cross by rounding only; `crossed_sides` was asked before."""
    bounds = program.lower > program.upper
    rows = program.row_lower > program.row_upper
    if not bounds.any() and not rows.any():
        return program
    return replace(
        program,
        upper=np.where(bounds, program.lower, program.upper),
        row_upper=np.where(rows, program.row_lower, program.row_upper),
    )


def activity_range(program: Program) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least and the greatest value of each row within the bounds, and the size of its terms, all (m,).

    Rows without entries give 0.
    """
    matrix = program.matrix
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    data, columns = matrix.data, matrix.indices
    used = data != 0
    if not used.all():
        rows, data, columns = rows[used], data[used], columns[used]
    lower, upper = data * program.lower[columns], data * program.upper[columns]
    least, greatest = np.minimum(lower, upper), np.maximum(lower, upper)
    size = np.maximum(_finite_size(least), _finite_size(greatest))
    least_sum, greatest_sum, size_sum = (
        np.bincount(rows, weights=values, minlength=matrix.shape[0]) for values in (least, greatest, size)
    )
    return least_sum, greatest_sum, size_sum


def _crossed_pair(
    where: int, lower: np.ndarray, upper: np.ndarray, parts: tuple[ConflictPart, ConflictPart]
) -> Trivial:
    if lower[where] == np.inf:
        return Trivial(((parts[0], where),), "a lower side is infinite")
    if upper[where] == -np.inf:
        return Trivial(((parts[1], where),), "an upper side is minus infinite")
    return Trivial(((parts[0], where), (parts[1], where)), "a lower side lies above the upper side")


def _impossible_lane(program: Program) -> Trivial | None:
    """A cone's lane without variables that lies outside of the cone."""
    first = 0
    for cone in program.cones:
        at = np.flatnonzero(constant_lanes(cone))
        if at.size:
            alone = take_lanes(cone, at)
            values = values_at(alone, np.zeros(len(program.cost)))
            outside = distance(alone, values) > 10 * BOUND_SLACK * np.maximum(1.0, lane_sizes(alone, values))
            if outside.any():
                lane = int(at[np.flatnonzero(outside)[0]])
                return Trivial(((ConflictPart.CONE, first + lane),), "a cone without variables asks for the impossible")
        first += cone.lanes
    return None


def _integer_without_room(program: Program) -> Trivial | None:
    which = np.flatnonzero(program.integer)
    lower, upper = program.lower[which], program.upper[which]
    first = np.ceil(lower - BOUND_SLACK * np.maximum(1.0, _finite_size(lower)))
    last = np.floor(upper + BOUND_SLACK * np.maximum(1.0, _finite_size(upper)))
    empty = np.flatnonzero(first > last)
    if not empty.size:
        return None
    j = int(which[empty[0]])
    members = ((ConflictPart.LOWER, j), (ConflictPart.UPPER, j), (ConflictPart.INTEGRALITY, j))
    return Trivial(members, "no integer lies between the bounds")


def _row_against_bounds(program: Program) -> Trivial | None:
    least, greatest, size = activity_range(program)
    finite_lower, finite_upper = _finite_size(program.row_lower), _finite_size(program.row_upper)
    slack_lower = 10 * BOUND_SLACK * np.maximum(1.0, np.maximum(size, finite_lower))
    slack_upper = 10 * BOUND_SLACK * np.maximum(1.0, np.maximum(size, finite_upper))
    too_low = np.flatnonzero(greatest + slack_lower < program.row_lower)
    too_high = np.flatnonzero(least - slack_upper > program.row_upper)
    if too_low.size:
        return _one_row(program, int(too_low[0]), ConflictPart.ROW_LOWER)
    if too_high.size:
        return _one_row(program, int(too_high[0]), ConflictPart.ROW_UPPER)
    return None


def _one_row(program: Program, row: int, part: ConflictPart) -> Trivial:
    """The row's side and the bounds that keep the row from it."""
    span = slice(program.matrix.indptr[row], program.matrix.indptr[row + 1])
    columns, data = program.matrix.indices[span], program.matrix.data[span]
    columns, data = columns[data != 0], data[data != 0]
    raising = part is ConflictPart.ROW_LOWER
    uses_upper = (data > 0) == raising
    members: list[tuple[ConflictPart, int]] = [(part, row)]
    members += [
        (ConflictPart.UPPER if above else ConflictPart.LOWER, int(column))
        for column, above in zip(columns, uses_upper, strict=True)
    ]
    # Every variable's bound is needed: without it the row's value could move without end.
    sentence = "a row without variables asks for the impossible" if not len(columns) else "bounds forbid a row"
    return Trivial(tuple(members), sentence)


def _is_number(values: np.ndarray) -> np.ndarray:
    return ~np.isnan(values)


def _finite_size(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), np.abs(values), 0.0)
