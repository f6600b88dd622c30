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

ROUNDS = 8
MOST_ENTRIES = 2_000_000  # rows of several entries are left aside beyond that
LARGEST = 1e20  # a bound beyond it says nothing
EPSILON = float(np.finfo(float).eps)
GRID, WIDEST = 2.0**20, 2.0**31  # sums of multiples of 1/GRID below WIDEST are exact
CONTRADICTION = 1e-9  # bounds that cross by more than this, relative, contradict each other


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
    """Sharper bounds; None where the rows and bounds contradict each other."""
    counts = np.diff(rows.matrix.indptr)
    several = counts > 1
    if rows.matrix.nnz > MOST_ENTRIES and several.any():
        chosen = np.flatnonzero(~several)
        matrix = sp.csr_array(rows.matrix[chosen])
        narrow = Rows(matrix, rows.low[chosen], rows.high[chosen], rows.error[chosen], rows.origin[chosen])
        numbers = chosen
    else:
        narrow, numbers = rows, np.arange(len(counts))
    sweep = _Sweep(narrow)
    rounds = ROUNDS if (np.diff(narrow.matrix.indptr) > 1).any() else 1
    updates: list[Update] = []
    for _ in range(rounds):
        if _contradict(lower, upper):
            return None
        lower, upper = np.minimum(lower, upper), np.maximum(lower, upper)
        new_lower, new_upper, update = sweep.round(lower, upper)
        if not len(update.ends):
            break
        lower, upper = new_lower, new_upper
        updates.append(Update(update.ends, numbers[update.rows]))
    if _contradict(lower, upper):
        return None
    return Propagated(np.minimum(lower, upper), np.maximum(lower, upper), tuple(updates))


def _contradict(lower: np.ndarray, upper: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):
        room = CONTRADICTION * (1.0 + np.minimum(np.abs(lower), np.abs(upper)))
        return bool((lower > upper + room).any())


class _Sweep:
    """One round over all rows; what does not depend on the bounds is computed once."""

    def __init__(self, rows: Rows) -> None:
        matrix = rows.matrix
        self.rows, self.count = rows, matrix.shape[0]
        self.value, self.column = matrix.data, matrix.indices
        self.row = np.repeat(np.arange(self.count), np.diff(matrix.indptr))
        self.terms = np.diff(matrix.indptr)
        self.positive = self.value > 0

    def round(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray, Update]:
        """The bounds after it, each from the bounds before it."""
        with np.errstate(all="ignore"):
            low, high = lower[self.column], upper[self.column]
            most = self._limit(self.rows.high, np.where(self.positive, low, high), -1.0)
            least = self._limit(self.rows.low, np.where(self.positive, high, low), 1.0)
            above = _quotient(np.where(self.positive, most, least), self.value, up=True)
            below = _quotient(np.where(self.positive, least, most), self.value, up=False)
        above[~(np.abs(above) < LARGEST)] = np.inf
        below[~(np.abs(below) < LARGEST)] = -np.inf
        new_lower, new_upper = lower.copy(), upper.copy()
        np.maximum.at(new_lower, self.column, below)
        np.minimum.at(new_upper, self.column, above)
        gave_low = np.flatnonzero((below == new_lower[self.column]) & (new_lower > lower)[self.column])
        gave_high = np.flatnonzero((above == new_upper[self.column]) & (new_upper < upper)[self.column])
        ends = np.concatenate([2 * self.column[gave_low], 2 * self.column[gave_high] + 1]).astype(np.int64)
        given, first = np.unique(ends, return_index=True)
        return new_lower, new_upper, Update(given, self.row[np.concatenate([gave_low, gave_high])[first]])

    def _limit(self, side: np.ndarray, bound: np.ndarray, outward: float) -> np.ndarray:
        """side - (the other terms at their `bound`), moved outward: down for a lower side (1), up for an upper (-1)."""
        term, exact = product(self.value, bound)
        finite = np.isfinite(term)
        term = np.where(finite, term, 0.0)
        total = np.bincount(self.row, term, self.count)
        size = np.bincount(self.row, np.abs(term), self.count) + np.abs(side)
        endless = np.bincount(self.row, ~finite, self.count)
        fits = np.bincount(self.row, finite & ~(exact & on_grid(term)), self.count) == 0
        fits &= on_grid(side) & (size < WIDEST)
        margin = np.where(fits | (self.terms == 1), 0.0, (self.terms + 4) * EPSILON * size) + self.rows.error
        others = np.where(
            self.terms[self.row] == 1, 0.0, np.where(finite, total[self.row] - term, total[self.row])
        )
        alone = endless[self.row] == np.where(finite, 0, 1)
        limit = side[self.row] - others - outward * margin[self.row]
        return np.where(alone & np.isfinite(side[self.row]), limit, -outward * np.inf)


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


def _quotient(value: np.ndarray, divisor: np.ndarray, *, up: bool) -> np.ndarray:
    """value / divisor; where that is not exact, the next float up or down."""
    result = value / divisor
    back, exact = product(result, divisor)
    return np.where(exact & (back == value), result, np.nextafter(result, np.inf if up else -np.inf))
