"""Why a program has no feasible point (an irreducible conflict), and why it has no best one (a ray)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from optdsl.convex.choose import choose
from optdsl.convex.cone_sets import lane_sizes, shaped, take_lanes
from optdsl.convex.cones import solve_cvxpy
from optdsl.convex.highs import solve_highs
from optdsl.convex.program import Cone, Conflict, ConflictPart, Program, RawAnswer, RawStatus
from optdsl.convex.rays import proves_infeasible, ray_from, ray_program
from optdsl.convex.trivial import single_rows, trivial_conflict, uncross, unreachable_lane

_PARTS = (
    ConflictPart.INTEGRALITY,
    ConflictPart.LOWER,
    ConflictPart.UPPER,
    ConflictPart.CONE,
    ConflictPart.ROW_LOWER,
    ConflictPart.ROW_UPPER,
)
"""The order in which members are tried for removal: what a reader would rather see is tried last and so kept."""


def find_ray(program: Program, *, time_limit: float | None = 30.0) -> np.ndarray | None:
    """A checked direction d with max|d| = 1 along which the objective falls forever, or None where none is straight.

    d keeps to rows, bounds and cones, is flat for the quadratic (P d = 0, F d = 0), and c'd < 0. From a feasible point
    it proves unboundedness; for integer variables of rational data a multiple of it is an integer direction.
    """
    if not program.cost.any():
        return None
    directions = ray_program(program)
    solve = solve_cvxpy if program.cones else solve_highs
    return ray_from(program, solve(directions, time_limit=time_limit))


def find_conflict(program: Program, *, time_budget: float = 10.0, stop: Callable[[], bool] | None = None) -> Conflict:
    """Members of an infeasible program that cannot hold together; `irreducible` when each was shown to be needed.

    First what is plain to see; then Farkas's multipliers (HiGHS's dual ray), whose support is small already;
    then a deletion filter (Chinneck 2008, chapter 6): whatever can go while the rest stays infeasible, goes.
    For LP and QP each test is an LP, with integers a MILP; with cones a feasibility problem over the cones that are in
    it, whose multipliers are checked. Cut short by the budget in seconds or by `stop`,
    what is left is returned with `irreducible` false; no members when infeasibility was not confirmed.
    """
    plain = trivial_conflict(program)
    if plain is not None:
        return Conflict(plain.members, irreducible=True)
    search = _Search(uncross(program), time.perf_counter() + time_budget, stop)
    everything = _all_members(search.program)
    # A conflict that needs no integrality is easier to find and to read.
    start = search.infeasible(everything.without_integrality())
    if start is None and program.mixed_integer:
        start = search.infeasible(everything)
    if start is None:
        return Conflict((), irreducible=False)
    left, complete = _filter(search, start)
    return Conflict(left.pairs(), irreducible=complete)


@dataclass(frozen=True, slots=True)
class _Members:
    """Candidates: part (position in `_PARTS`) and index of the row or variable, each (k,)."""

    part: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.part)

    def keep(self, which: np.ndarray) -> _Members:
        return _Members(self.part[which], self.index[which])

    def of(self, part: ConflictPart) -> np.ndarray:
        return self.index[self.part == _PARTS.index(part)]

    def without_integrality(self) -> _Members:
        return self.keep(self.part != _PARTS.index(ConflictPart.INTEGRALITY))

    def pairs(self) -> tuple[tuple[ConflictPart, int], ...]:
        """Rows first, then bounds, then integrality."""
        order = np.lexsort((self.index, -self.part))
        return tuple((_PARTS[self.part[k]], int(self.index[k])) for k in order)


def _all_members(program: Program) -> _Members:
    present = {
        ConflictPart.INTEGRALITY: program.integer,
        ConflictPart.LOWER: np.isfinite(program.lower),
        ConflictPart.UPPER: np.isfinite(program.upper),
        ConflictPart.ROW_LOWER: np.isfinite(program.row_lower),
        ConflictPart.ROW_UPPER: np.isfinite(program.row_upper),
        ConflictPart.CONE: np.ones(sum(cone.lanes for cone in program.cones), bool),
    }
    indices = [np.flatnonzero(present[part]) for part in _PARTS]
    parts = [np.full(len(found), position) for position, found in enumerate(indices)]
    return _Members(np.concatenate(parts), np.concatenate(indices))


@dataclass(slots=True)
class _Search:
    """Tests of member sets against a clock."""

    program: Program
    deadline: float
    stop: Callable[[], bool] | None
    unsure: bool = False

    def over(self) -> bool:
        return time.perf_counter() >= self.deadline or (self.stop is not None and self.stop())

    def infeasible(self, members: _Members) -> _Members | None:
        """A subset of `members` (smaller where the test shows one) that is infeasible; None if not shown.

        `unsure` is set when the test was not finished.
        """
        self.unsure = False
        sub = _subprogram(self.program, members)
        part = sub.program
        if not len(sub.rows) and not len(sub.lanes):
            return None
        if (lane := unreachable_lane(part)) is not None:
            return _one_lane(sub, members, lane)
        left = self.deadline - time.perf_counter()
        # With integers one test could eat the whole budget.
        limit = max(0.05, left if not part.mixed_integer else left / 4)
        answer = choose(part).solve(part, time_limit=limit, stop=self.stop)
        if answer.status is RawStatus.INTERRUPTED:
            self.deadline = time.perf_counter()
        if answer.status is not RawStatus.INFEASIBLE:
            self.unsure = answer.status is not RawStatus.OPTIMAL
            return None
        return _support(sub, members, answer)


@dataclass(frozen=True, eq=False, slots=True)
class _Subprogram:
    """Some members alone, and the positions in the whole of the columns, rows and lanes that it has."""

    program: Program
    columns: np.ndarray
    rows: np.ndarray
    lanes: np.ndarray


def _subprogram(program: Program, members: _Members) -> _Subprogram:
    """The members alone, without objective: their rows and cones, and the columns of these."""
    row_lower = np.full(len(program.row_lower), -np.inf)
    row_upper = np.full(len(program.row_upper), np.inf)
    lower, upper = np.full(len(program.lower), -np.inf), np.full(len(program.upper), np.inf)
    integer = np.zeros(len(program.integer), bool)
    for array, source, kind in (
        (row_lower, program.row_lower, ConflictPart.ROW_LOWER),
        (row_upper, program.row_upper, ConflictPart.ROW_UPPER),
        (lower, program.lower, ConflictPart.LOWER),
        (upper, program.upper, ConflictPart.UPPER),
        (integer, program.integer, ConflictPart.INTEGRALITY),
    ):
        at = members.of(kind)
        array[at] = source[at]
    rows = np.flatnonzero(np.isfinite(row_lower) | np.isfinite(row_upper))
    chosen = sp.csr_array(program.matrix[rows])
    lanes = np.sort(members.of(ConflictPart.CONE))
    cones = _lanes_of(program, lanes)
    # Columns outside of these rows and cones meet nothing, and their bounds do not cross.
    columns = np.unique(np.concatenate([chosen.indices, *(p.matrix.indices for c in cones for p in c.parts)]))
    part = Program(
        cost=np.zeros(len(columns)),
        constant=0.0,
        matrix=sp.csr_array(sp.csc_array(chosen)[:, columns]),
        row_lower=row_lower[rows],
        row_upper=row_upper[rows],
        lower=lower[columns],
        upper=upper[columns],
        integer=integer[columns],
        cones=tuple(_with_columns(cone, columns) for cone in cones),
    )
    return _Subprogram(part, columns, rows, lanes)


def _lanes_of(program: Program, lanes: np.ndarray) -> list[Cone]:
    """The cones with only the lanes at these positions among all lanes; cones without any are left out."""
    kept, first = [], 0
    for cone in program.cones:
        inside = lanes[(lanes >= first) & (lanes < first + cone.lanes)] - first
        if len(inside):
            kept.append(take_lanes(cone, inside))
        first += cone.lanes
    return kept


def _with_columns(cone: Cone, columns: np.ndarray) -> Cone:
    parts = (replace(part, matrix=sp.csr_array(sp.csc_array(part.matrix)[:, columns])) for part in cone.parts)
    return replace(cone, parts=tuple(parts))


def _one_lane(sub: _Subprogram, members: _Members, lane: int) -> _Members:
    """A lane that bounds keep from holding, and the bounds of its columns; rows of one variable are bounds, too."""
    number, within = sub.program.cone_lane(lane)
    alone = take_lanes(sub.program.cones[number], np.array([within]))
    used = sub.columns[np.unique(np.concatenate([part.matrix.indices for part in alone.parts]))]
    bounds = (members.part == _PARTS.index(ConflictPart.LOWER)) | (members.part == _PARTS.index(ConflictPart.UPPER))
    itself = (members.part == _PARTS.index(ConflictPart.CONE)) & (members.index == sub.lanes[lane])
    rows, at = single_rows(sub.program)
    rows = sub.rows[rows[np.isin(sub.columns[sub.program.matrix.indices[at]], used)]]
    in_rows = (members.part >= _PARTS.index(ConflictPart.ROW_LOWER)) & np.isin(members.index, rows)
    return members.keep((bounds & np.isin(members.index, used)) | itself | in_rows)


def _support(sub: _Subprogram, members: _Members, answer: RawAnswer) -> _Members:
    """The members that Farkas's multipliers use; all that were in the test where there are no multipliers."""
    part, columns, rows = sub.program, sub.columns, sub.rows
    if answer.farkas is None or part.cones:
        smaller = _cone_support(sub, members, answer) if answer.farkas is not None else None
        if smaller is not None:
            return smaller
        about_columns = members.part <= _PARTS.index(ConflictPart.UPPER)
        return members.keep(~about_columns | np.isin(members.index, columns))
    size = float(np.abs(answer.farkas).max())
    multipliers = np.where(np.abs(answer.farkas) < 1e-12 * size, 0.0, answer.farkas)
    combined = part.matrix.T @ multipliers
    terms = abs(part.matrix).T @ np.abs(multipliers)
    combined = np.where(np.abs(combined) <= 1e-10 * terms, 0.0, combined)
    used = {
        ConflictPart.ROW_LOWER: rows[multipliers > 0],
        ConflictPart.ROW_UPPER: rows[multipliers < 0],
        ConflictPart.UPPER: columns[combined > 0],
        ConflictPart.LOWER: columns[combined < 0],
    }
    which = np.zeros(len(members), bool)
    for kind, at in used.items():
        which |= (members.part == _PARTS.index(kind)) & np.isin(members.index, at)
    return members.keep(which)


def _cone_support(sub: _Subprogram, members: _Members, answer: RawAnswer) -> _Members | None:
    """The members whose multipliers are not tiny, if these prove infeasibility alone; None if not.

    An interior-point method gives every row and every cone some multiplier, however little it matters.
    """
    part = sub.program
    assert answer.farkas is not None
    sizes = [lane_sizes(c, shaped(c, duals)) for c, duals in zip(part.cones, answer.farkas_cones, strict=True)]
    largest = max(float(np.abs(values).max(initial=0.0)) for values in (answer.farkas, *sizes))
    for least in (1e-3, 1e-5, 1e-7):
        rows = np.where(np.abs(answer.farkas) < least * largest, 0.0, answer.farkas)
        held = [size >= least * largest for size in sizes]
        cones = tuple(
            tuple(np.where(np.repeat(keep, len(dual) // max(1, len(keep))), dual, 0.0) for dual in duals)
            for keep, duals in zip(held, answer.farkas_cones, strict=True)
        )
        if proves_infeasible(part, rows, cones):
            kept = {
                ConflictPart.ROW_LOWER: sub.rows[rows > 0],
                ConflictPart.ROW_UPPER: sub.rows[rows < 0],
                ConflictPart.CONE: sub.lanes[np.concatenate(held)],
            }
            which = (members.part <= _PARTS.index(ConflictPart.UPPER)) & np.isin(members.index, sub.columns)
            for kind, at in kept.items():
                which |= (members.part == _PARTS.index(kind)) & np.isin(members.index, at)
            return members.keep(which)
    return None


def _filter(search: _Search, members: _Members) -> tuple[_Members, bool]:
    """The deletion filter, in chunks that shrink to single members; and whether every one left is needed."""
    chunk = max(1, len(members) // 4)
    while True:
        members, complete = _sweep(search, members, chunk)
        if search.over() and not (complete and chunk == 1):
            return members, False
        if chunk == 1:
            return members, complete
        chunk = max(1, min(chunk, len(members)) // 4)


def _sweep(search: _Search, members: _Members, chunk: int) -> tuple[_Members, bool]:
    """Tries to drop each run of `chunk` members once; members found needed stay needed in every subset."""
    at, complete = 0, True
    while at < len(members):
        if search.over():
            return members, False
        which = np.ones(len(members), bool)
        which[at : at + chunk] = False
        smaller = search.infeasible(members.keep(which))
        if smaller is None:
            complete = complete and not search.unsure
            at += chunk
            continue
        # Those before `at` were needed, or not shown to be superfluous; count those of them that are still there.
        before = members.keep(np.arange(len(members)) < at)
        at = _shared(before, smaller)
        members = smaller
    return members, complete


def _shared(first: _Members, second: _Members) -> int:
    """How many members both have."""
    base = 1 + max(first.index.max(initial=0), second.index.max(initial=0))
    return int(np.isin(first.part * base + first.index, second.part * base + second.index).sum())
