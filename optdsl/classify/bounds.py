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
        self.numbers, self.count = numbers, len(numbers)
        self.low, self.high, self.error = rows.low[numbers], rows.high[numbers], rows.error[numbers]
        self.value, self.column = matrix.data, matrix.indices.astype(np.int64)
        self.terms = np.diff(matrix.indptr)
        self.row = np.repeat(np.arange(self.count), self.terms)
        self.positive = self.value > 0
        self.shifts = bool((np.abs(np.frexp(self.value)[0]) == 0.5).all())  # multiplying by them is exact
        self.single = bool((self.terms == 1).all())

    def round(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray, Update]:
        """The bounds after it, each from the bounds before it."""
        with np.errstate(all="ignore"):
            low, high = lower[self.column], upper[self.column]
            most = self._limit(self.high, np.where(self.positive, low, high), -1.0)
            least = self._limit(self.low, np.where(self.positive, high, low), 1.0)
            above = self._over(np.where(self.positive, most, least), np.inf)
            below = self._over(np.where(self.positive, least, most), -np.inf)
        above[~(np.abs(above) < LARGEST)] = np.inf
        below[~(np.abs(below) < LARGEST)] = -np.inf
        new_lower, new_upper = lower.copy(), upper.copy()
        np.maximum.at(new_lower, self.column, below)
        np.minimum.at(new_upper, self.column, above)
        giver = np.full(2 * len(lower), -1)
        for end, given, new, old in ((0, below, new_lower, lower), (1, above, new_upper, upper)):
            if (new != old).any():
                gave = np.flatnonzero((given == new[self.column]) & (new != old)[self.column])
                giver[2 * self.column[gave] + end] = self.numbers[self.row[gave]]
        ends = np.flatnonzero(giver >= 0)
        return new_lower, new_upper, Update(ends, giver[ends])

    def _limit(self, side: np.ndarray, bound: np.ndarray, outward: float) -> np.ndarray:
        """side - (the other terms at their `bound`), moved outward: down for a lower side (1), up for an upper (-1)."""
        if self.single:
            return np.where(np.isfinite(side), side - outward * self.error, -outward * np.inf)
        term, exact = (self.value * bound, np.True_) if self.shifts else product(self.value, bound)
        finite = np.isfinite(term)
        term = np.where(finite, term, 0.0)
        total = np.bincount(self.row, term, self.count)
        size = np.bincount(self.row, np.abs(term), self.count) + np.abs(side)
        endless = np.bincount(self.row, ~finite, self.count)
        fits = np.bincount(self.row, finite & ~(exact & on_grid(term)), self.count) == 0
        fits &= on_grid(side) & (size < WIDEST)
        margin = np.where(fits, 0.0, (self.terms + 4) * EPSILON * size) + self.error
        alone = endless[self.row] == np.where(finite, 0, 1)
        limit = (side - total - outward * margin)[self.row] + term
        return np.where(alone & np.isfinite(side[self.row]), limit, -outward * np.inf)

    def _over(self, limit: np.ndarray, outward: float) -> np.ndarray:
        """limit / coefficient; where that is not exact, the next float outward."""
        result = limit / self.value
        if self.shifts:
            return result
        back, exact = product(result, self.value)
        return np.where(exact & (back == limit), result, np.nextafter(result, outward))


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
