"""Which variables of a geometric program may be 0, and the program that is left when they are.

On the log scale every variable is positive; a variable declared `>= 0` may also be 0. Put a row as p <= m, p a sum of
monomials, m one. A set Z of columns at 0 fits a row when m stays positive, or every term of p falls to 0 together with
m. Unions of sets that fit every row fit every row, so there is a largest one, and moving a feasible point's columns of
that set to 0 keeps every row and lets no term grow: with the largest set at 0 a problem is feasible exactly when it is
feasible at all, and its minimum is the minimum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from optdsl.classify.geometric.log_rows import LogProgram, LogRows, SumRows
from optdsl.classify.geometric.recognize import Geometric, GeometricObjective, RowFamily

_ROUNDING = 1e-12
"""Exponents no larger than this have cancelled."""


def zero_columns(
    geometric: Geometric, *, objective_too: bool = False, positive: np.ndarray | None = None
) -> np.ndarray:
    """The largest set of columns (columns,) that can be 0 together, as a mask.

    Where a single term is pushed up (a maximum), its columns stay positive unless `objective_too`. `positive` (n,):
    which columns bounds keep from 0 (their declared ones if None).
    """
    may = np.zeros(geometric.columns, dtype=bool)
    n = len(geometric.used)
    may[:n] = geometric.used & ~(bounded_away(geometric) if positive is None else positive)
    if not may.any():
        return may
    may[n:] = True
    objective = geometric.objective
    if objective is not None and objective.terms.size:
        held = _signs(objective.terms, geometric.columns, -1 if objective.tail > 0 else 0)
        if objective.tail > 0 or not objective_too:
            may[held.sum(axis=0) > 0] = False
    for _, bound in geometric.program.exponential:
        may[bound.column[np.abs(bound.exponent) > _ROUNDING]] = False
    for argument, _ in geometric.program.exponential:
        may[argument.column[argument.exponent < -_ROUNDING]] = False
    patterns = list(_patterns(geometric))
    for pattern in patterns:
        may[pattern.never] = False
    while may[:n].any():
        before = int(may.sum())
        for pattern in patterns:
            may[pattern.broken(may)] = False
        if int(may.sum()) == before:
            return may
    return np.zeros(geometric.columns, dtype=bool)


def bounded_away(geometric: Geometric) -> np.ndarray:
    """Which of the model's columns (n,) have bounds that leave 0 out."""
    variables = list(geometric.model.variables.values())
    lower, upper = (np.concatenate([np.zeros(0), *(getattr(v, s) for v in variables)]) for s in ("lower", "upper"))
    return (lower > 0) | (upper < 0)


@dataclass(frozen=True, eq=False, slots=True)
class _Pattern:
    """R rows p <= m: which columns are in each term (K, columns) and in each m (R, columns); `never` can be no 0."""

    terms: sp.csr_array
    row: np.ndarray
    greater: sp.csr_array
    equal: bool
    never: np.ndarray

    def broken(self, zero: np.ndarray) -> np.ndarray:
        """The columns that have to leave the set `zero`, as positions."""
        term, greater = self.terms @ zero > 0, self.greater @ zero > 0
        kept = np.bincount(self.row, ~term, len(greater)) > 0
        found = self.greater[np.flatnonzero(greater & kept)].indices
        if self.equal:
            found = np.concatenate([found, self.terms[np.flatnonzero(term & ~greater[self.row])].indices])
        return found


def _patterns(geometric: Geometric) -> Iterator[_Pattern]:
    columns = geometric.columns
    for family in geometric.families:
        yield _pattern(family.terms, family.row, family.greater, columns, family.equal)
    for rows in geometric.program.softmax:
        yield _pattern(rows.terms, rows.row, rows.greater, columns, False)
    for linear in geometric.program.linear:
        # a column that holds others, against one of them: nothing cancels, what is negative is the greater side
        below, above = _signs(linear, columns, 1), _signs(linear, columns, -1)
        yield _Pattern(below, np.arange(linear.size), above, False, np.zeros(0, dtype=np.int64))


def _pattern(divided: LogRows, row: np.ndarray, greater: LogRows, columns: int, equal: bool) -> _Pattern:
    """The pattern of terms that were divided by `greater`: negative exponents of either side allow no 0."""
    terms = divided.plus(greater.take(row))
    never = [_signs(terms, columns, -1).indices, _signs(greater, columns, -1).indices]
    return _Pattern(
        _signs(terms, columns, 1), row, _signs(greater, columns, 1), equal, np.unique(np.concatenate(never))
    )


def _signs(logs: LogRows, columns: int, sign: int) -> sp.csr_array:
    """1 where an exponent is positive (`sign` 1), negative (-1), or either (0), as a matrix (L, columns)."""
    matrix = logs.matrix(columns)
    data = matrix.data if sign > 0 else -matrix.data if sign < 0 else np.abs(matrix.data)
    matrix.data = (data > _ROUNDING).astype(float)
    matrix.eliminate_zeros()
    return matrix


# ---------------------------------------------------------------------------------------------- what is left then


def with_rows(geometric: Geometric, kept: Sequence[np.ndarray]) -> Geometric:
    """The geometric program with only some rows of its families: a mask for each family."""
    families = []
    for family, mask in zip(geometric.families, kept, strict=True):
        rows, terms = np.flatnonzero(mask), np.flatnonzero(mask[family.row])
        families.append(
            replace(
                family,
                lanes=family.lanes[rows],
                terms=family.terms.take(terms),
                row=(np.cumsum(mask) - 1)[family.row[terms]],
                greater=family.greater.take(rows),
                factor=family.factor[rows],
            )
        )
    return replace(geometric, families=tuple(families))


def at_zero(geometric: Geometric, zero: np.ndarray) -> Geometric:
    """The geometric program with the columns of a set that fits all rows (a mask) at 0."""
    n = len(geometric.used)
    program = geometric.program
    left = LogProgram(program.first, program.count)
    left.softmax = [kept for rows in program.softmax if (kept := _sum_rows(rows, zero)).count]
    left.linear = [rows.take(np.flatnonzero(~_touched(rows, zero))) for rows in program.linear]
    for argument, bound in program.exponential:
        gone = _touched(argument, zero)
        left.exponential.append(tuple(part.take(np.flatnonzero(~gone)) for part in (argument, bound)))  # type: ignore[arg-type]
        # exp(log 0) is 0, and so is what its bound may be
        left.linear.append(bound.take(np.flatnonzero(gone)).times(-np.ones(int(gone.sum()))))
    return replace(
        geometric,
        used=geometric.used & ~zero[:n],
        objective=_objective(geometric.objective, zero),
        families=tuple(_family(f, zero) for f in geometric.families),
        program=left,
        zero=zero,
    )


def _objective(objective: GeometricObjective | None, zero: np.ndarray) -> GeometricObjective | None:
    if objective is None:
        return None
    kept = np.flatnonzero(~_touched(objective.terms, zero))
    return replace(objective, terms=objective.terms.take(kept))


def _touched(logs: LogRows, zero: np.ndarray) -> np.ndarray:
    """Which rows (L,) hold a column of the set."""
    inside = zero[logs.column] & (np.abs(logs.exponent) > 0)
    return np.bincount(logs.row, inside, logs.size) > 0


def _split(
    divided: LogRows, row: np.ndarray, greater: LogRows, zero: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows and terms that are left, and the rows' new numbers, for terms divided by `greater`."""
    term = _signs(divided.plus(greater.take(row)), len(zero), 1) @ zero > 0
    alive = ~term & ~(_signs(greater, len(zero), 1) @ zero > 0)[row]
    kept = np.bincount(row[alive], minlength=greater.size) > 0
    return np.flatnonzero(kept), np.flatnonzero(alive), np.cumsum(kept) - 1


def _family(family: RowFamily, zero: np.ndarray) -> RowFamily:
    rows, terms, number = _split(family.terms, family.row, family.greater, zero)
    return replace(
        family,
        lanes=family.lanes[rows],
        terms=family.terms.take(terms),
        row=number[family.row[terms]],
        greater=family.greater.take(rows),
        factor=family.factor[rows],
    )


def _sum_rows(sums: SumRows, zero: np.ndarray) -> SumRows:
    rows, terms, number = _split(sums.terms, sums.row, sums.greater, zero)
    return SumRows(sums.terms.take(terms), number[sums.row[terms]], sums.greater.take(rows))


__all__ = ["at_zero", "bounded_away", "with_rows", "zero_columns"]
