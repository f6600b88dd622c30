"""Why a program has no feasible point (an irreducible conflict), and why it has no best one (a ray)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from optdsl.convex.highs import solve_highs
from optdsl.convex.program import Conflict, ConflictPart, Program, RawAnswer, RawStatus
from optdsl.convex.rays import ray_from, ray_program
from optdsl.convex.trivial import trivial_conflict, uncross

_PARTS = (
    ConflictPart.INTEGRALITY,
    ConflictPart.LOWER,
    ConflictPart.UPPER,
    ConflictPart.ROW_LOWER,
    ConflictPart.ROW_UPPER,
)
"""The order in which members are tried for removal: what a reader would rather see is tried last and so kept."""


def find_ray(program: Program, *, time_limit: float | None = 30.0) -> np.ndarray | None:
    """A checked direction d with max|d| = 1 along which the objective falls forever, or None where none is straight.

    d keeps to rows and bounds, is flat for the quadratic (P d = 0, F d = 0), and c'd < 0. From a feasible point it
    proves unboundedness; for integer variables of rational data a multiple of it is an integer direction.
    """
    if not program.cost.any():
        return None
    return ray_from(program, solve_highs(ray_program(program), time_limit=time_limit))


def find_conflict(program: Program, *, time_budget: float = 10.0, stop: Callable[[], bool] | None = None) -> Conflict:
    """Members of an infeasible program that cannot hold together; `irreducible` when each was shown to be needed.

    First what is plain to see; then Farkas's multipliers (HiGHS's dual ray), whose support is small already;
    then a deletion filter (Chinneck 2008, chapter 6): whatever can go while the rest stays infeasible, goes.
    For LP and QP each test is an LP, with integers a MILP. Cut short by the budget in seconds or by `stop`,
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
        part, columns, rows = _subprogram(self.program, members)
        if not len(rows):
            return None
        left = self.deadline - time.perf_counter()
        # With integers one test could eat the whole budget.
        limit = max(0.05, left if not part.mixed_integer else left / 4)
        answer = solve_highs(part, time_limit=limit, stop=self.stop)
        if answer.status is RawStatus.INTERRUPTED:
            self.deadline = time.perf_counter()
        if answer.status is not RawStatus.INFEASIBLE:
            self.unsure = answer.status is not RawStatus.OPTIMAL
            return None
        return _support(part, members, answer, columns, rows)


def _subprogram(program: Program, members: _Members) -> tuple[Program, np.ndarray, np.ndarray]:
    """The members alone, without objective: their rows, and the columns of these; with positions in the whole."""
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
    # Columns outside these rows meet no row, and their bounds do not cross.
    columns = np.unique(chosen.indices)
    part = Program(
        cost=np.zeros(len(columns)),
        constant=0.0,
        matrix=sp.csr_array(sp.csc_array(chosen)[:, columns]),
        row_lower=row_lower[rows],
        row_upper=row_upper[rows],
        lower=lower[columns],
        upper=upper[columns],
        integer=integer[columns],
    )
    return part, columns, rows


def _support(part: Program, members: _Members, answer: RawAnswer, columns: np.ndarray, rows: np.ndarray) -> _Members:
    """The members that Farkas's multipliers use; all that were in the test where there are no multipliers."""
    if answer.farkas is None:
        in_rows = members.part >= _PARTS.index(ConflictPart.ROW_LOWER)
        return members.keep(in_rows | np.isin(members.index, columns))
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
