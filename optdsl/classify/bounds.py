"""Bounds of the variables that linear rows imply: propagation over all rows at once, a few rounds.

In a row `low <= Σ a x <= high` each term lies between what is left when the others are as large, or as small, as their
bounds allow (Brearley, Mitra and Williams, 1975, section 3). A term without a bound leaves nothing to the others, but
is itself bounded by them.

Sound in floating point: sums are moved outward by a margin of `(terms + 4) ε` times the sum of the sizes, unless every
number is a multiple of 2⁻²⁰ of moderate size, when the sums are exact, so that a sign is not lost: `x - y >= 0`
with `y >= 0` gives `x >= 0`. Coefficients and sides are taken as the numbers that they are, to some units in the last
place where they are sums themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

ROUNDS, MOST_ROUNDS = 8, 200
WORK = 400_000  # entries looked at beyond the first rounds: small systems get more rounds
MOST_ENTRIES = 2_000_000  # rows of several entries are left aside beyond that
LARGEST = 1e20  # a bound beyond it says nothing
EPSILON = float(np.finfo(float).eps)
GRID, WIDEST = 2.0**20, 2.0**31  # sums of multiples of 1/GRID below WIDEST are exact
CONTRADICTION = 1e-6  # bounds that cross by more than this, relative, contradict each other


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """low <= matrix @ x <= high, matrix (R, n) CSR with entries all finite; sides are right to within `error` (R,).

    `origin` (R,) tells which statement each row comes from.
    """

    matrix: sp.csr_array
    low: np.ndarray
    high: np.ndarray
    error: np.ndarray
    origin: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class Update:
    """What one round changed: the ends (2 * column, + 1 for an upper one) and the row that gave each."""

    ends: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class Propagated:
    """Bounds lower, upper (n,) that the rows and the bounds before imply, and how they came about, round by round."""

    lower: np.ndarray
    upper: np.ndarray
    updates: tuple[Update, ...]


def propagate(lower: np.ndarray, upper: np.ndarray, rows: Rows) -> Propagated | None:
    """Sharper bounds; None where the rows and bounds contradict each other.

    Rows of one entry are bounds and taken once; the others are gone through in rounds, from the bounds before each.
    """
    counts = np.diff(rows.matrix.indptr)
    updates: list[Update] = []
    parts = [np.flatnonzero(counts == 1)] + [np.flatnonzero(counts > 1)] * (rows.matrix.nnz <= MOST_ENTRIES)
    rounds_of_others = int(np.clip(WORK // max(rows.matrix.nnz, 1), ROUNDS, MOST_ROUNDS))
    for numbers, rounds in zip(parts, (1, rounds_of_others), strict=False):
        sweep = _Sweep(rows, numbers) if len(numbers) else None
        for _ in range(rounds):
            if _contradict(lower, upper):
                return None
            if sweep is None:
                break
            lower, upper, update = sweep.round(np.minimum(lower, upper), np.maximum(lower, upper))
            if not len(update.ends):
                break
            updates.append(update)
    if _contradict(lower, upper):
        return None
    return Propagated(np.minimum(lower, upper), np.maximum(lower, upper), tuple(updates))


def _contradict(lower: np.ndarray, upper: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):
        room = CONTRADICTION * (1.0 + np.minimum(np.abs(lower), np.abs(upper)))
        return bool((lower > upper + room).any())


class _Sweep:
    """One round over some of the rows; what does not depend on the bounds is computed once."""

    def __init__(self, rows: Rows, numbers: np.ndarray) -> None:
        whole = len(numbers) == rows.matrix.shape[0]
        matrix = rows.matrix if whole else sp.csr_array(rows.matrix[numbers])
        self.sides = [
            _Side(matrix, side[numbers], rows.error[numbers], numbers, outward)
            for side, outward in ((rows.high, -1.0), (rows.low, 1.0))
        ]

    def round(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray, Update]:
        """The bounds after it, each from the bounds before it."""
        new_lower, new_upper = lower.copy(), upper.copy()
        giver = np.full(2 * len(lower), -1)
        with np.errstate(all="ignore"):
            found = [(side, side.limits(lower, upper)) for side in self.sides if len(side.row)]
            for side, limit in found:
                np.maximum.at(new_lower, side.column[side.downward], limit[side.downward])
                np.minimum.at(new_upper, side.column[side.upward], limit[side.upward])
        for end, new, old in ((0, new_lower, lower), (1, new_upper, upper)):
            changed = new != old
            if changed.any():
                for side, limit in found:
                    entries = side.upward if end else side.downward
                    column = side.column[entries]
                    gave = np.flatnonzero(changed[column] & (limit[entries] == new[column]))
                    giver[2 * column[gave] + end] = side.numbers[side.row[entries[gave]]]
        ends = np.flatnonzero(giver >= 0)
        return new_lower, new_upper, Update(ends, giver[ends])


class _Side:
    """The rows that have a side of one kind: upper (outward -1) or lower (1).

    Its entries with a coefficient of the side's sign give bounds of that kind, the others of the other kind.
    """

    def __init__(
        self, matrix: sp.csr_array, side: np.ndarray, error: np.ndarray, numbers: np.ndarray, outward: float
    ) -> None:
        there = np.flatnonzero(np.isfinite(side))
        if len(there) < len(side):
            matrix, side, error, numbers = sp.csr_array(matrix[there]), side[there], error[there], numbers[there]
        self.side, self.error, self.numbers, self.outward = side, error, numbers, outward
        self.value, self.column = matrix.data, matrix.indices.astype(np.int64)
        self.terms = np.diff(matrix.indptr)
        self.row = np.repeat(np.arange(len(side)), self.terms)
        positive = self.value > 0
        self.at_lower = positive if outward < 0 else ~positive  # the bound at which a term leaves most to the others
        self.upward, self.downward = np.flatnonzero(self.at_lower), np.flatnonzero(~self.at_lower)
        self.inexact = np.flatnonzero(np.abs(np.frexp(self.value)[0]) != 0.5)  # multiplying by the others is exact
        self.single = bool((self.terms == 1).all())
        self.side_fits = on_grid(side)

    def limits(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """The bound that each entry's row implies for its column, an infinite one where it implies none."""
        endless = np.where(self.at_lower, np.inf, -np.inf)
        limit = self._rest(np.where(self.at_lower, lower[self.column], upper[self.column]))
        result = limit / self.value
        some = self.inexact
        if len(some):
            back, exact = product(result[some], self.value[some])
            outer = np.nextafter(result[some], endless[some])
            result[some] = np.where(exact & (back == limit[some]), result[some], outer)
        return np.where(np.abs(result) < LARGEST, result, endless)

    def _rest(self, bound: np.ndarray) -> np.ndarray:
        """side - (the other terms at their `bound`) of each entry, moved outward; nan where that has no end."""
        if self.single:
            return (self.side - self.outward * self.error)[self.row]
        count = len(self.side)
        term = self.value * bound
        finite = np.isfinite(term)
        fitting = on_grid(term)
        if len(self.inexact):
            fitting[self.inexact] &= product(self.value[self.inexact], bound[self.inexact])[1]
        all_finite = bool(finite.all())
        if not all_finite:
            term = np.where(finite, term, 0.0)
            fitting |= ~finite
        total = np.bincount(self.row, term, count)
        size = np.bincount(self.row, np.abs(term), count) + np.abs(self.side)
        fits = self.side_fits & (size < WIDEST)
        if not fitting.all():
            fits[self.row[~fitting]] = False
        margin = np.where(fits, 0.0, (self.terms + 4) * EPSILON * size) + self.error
        limit = (self.side - total - self.outward * margin)[self.row] + term
        if all_finite:
            return limit
        endless = np.bincount(self.row[~finite], minlength=count)
        return np.where(endless[self.row] == np.where(finite, 0, 1), limit, np.nan)


def product(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """left * right, and where it is exact (Dekker, 1971: the rounding error of a product is a float)."""
    with np.errstate(all="ignore"):
        result = left * right
        left_high, right_high = _upper_half(left), _upper_half(right)
        left_low, right_low = left - left_high, right - right_high
        rest = left_high * right_high - result + left_high * right_low + left_low * right_high + left_low * right_low
        return result, (rest == 0) & ((np.abs(result) > 1e-280) | (left == 0) | (right == 0))


def _upper_half(value: np.ndarray) -> np.ndarray:
    shifted = 134217729.0 * value  # 2^27 + 1
    return shifted - (shifted - value)


def on_grid(value: np.ndarray) -> np.ndarray:
    """Where a number is a multiple of 1/GRID."""
    with np.errstate(all="ignore"):
        scaled = value * GRID
        return scaled == np.rint(scaled)
