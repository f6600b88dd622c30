"""Bounds of affine expressions that a few rows of D and the bounds of the variables imply together.

One row at a time. Over a box, `min e` subject to one row is a linear program whose multiplier k is a quotient e_j / a_j
of coefficients (its dual is concave and piecewise linear with breaks there): for every k of the right sign, e is at
least k times the row's side plus the least of `e - k row` over the box. All these k are tried where they are few, else
one of them; each is a bound whatever k is. What is left, `e - k row`, may be bounded by a further row in turn.
Coefficients that cancel to within `RESIDUE` of their sizes count as cancelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from optdsl.classify.bounds import EPSILON, WIDEST, Rows, on_grid, product
from optdsl.classify.sink import without_residue

DEEPEST = 4
FEW_PAIRS = 20_000  # up to so many all quotients are tried, and further rows after them
MANY_PAIRS = 500_000  # up to so many, one further row
MOST_PAIRS = 2_000_000
MOST_MULTIPLES = 4
MOST_TERMS = 6_000_000


@dataclass(frozen=True, eq=False, slots=True)
class Implied:
    """Lower bounds `value` (L,), with the rows and the ends of columns (2 j lower, 2 j + 1 upper) that gave them.

    Both are empty unless they were asked for.
    """

    value: np.ndarray
    rows: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True, eq=False)
class Catalog:
    """Rows, with what looking for some of them needs, computed once."""

    rows: Rows

    @cached_property
    def several(self) -> np.ndarray:
        """The numbers of the rows of several entries."""
        return np.flatnonzero(np.diff(self.rows.matrix.indptr) > 1)

    @cached_property
    def weights(self) -> np.ndarray:
        """Random numbers for the columns, always the same."""
        return np.random.default_rng(0).normal(size=self.rows.matrix.shape[1])

    @cached_property
    def signatures(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Signatures of the rows of several entries in rising order, their numbers, and their first coefficients."""
        own, first = _signatures(self.rows.matrix, self.weights, self.several)
        order = np.argsort(own)
        return own[order], self.several[order], first[order]

    @cached_property
    def by_column(self) -> sp.csc_array:
        """The rows of several entries by columns."""
        matrix = self.rows.matrix
        return sp.csc_array(matrix if len(self.several) == matrix.shape[0] else matrix[self.several])


def least(
    expressions: sp.csr_array,
    catalog: Catalog,
    lower: np.ndarray,
    upper: np.ndarray,
    enough: np.ndarray | float = np.inf,
    *,
    traced: bool = False,
    deep: int = DEEPEST,
) -> Implied:
    """Lower bounds of affine expressions without constants, matrix (L, n), by up to `deep` rows.

    Where the box alone gives `enough`, nothing more is tried.
    """
    lanes = expressions.shape[0]
    lane = np.repeat(np.arange(lanes), np.diff(expressions.indptr))
    value, endless = _box_sum(lane, expressions.indices, expressions.data, np.zeros(lanes), lower, upper)
    enough = np.broadcast_to(np.asarray(enough, dtype=float), (lanes,))
    tried = _try_rows(expressions, lane, endless, value < enough, catalog, lower, upper)
    if tried is None:
        boxed = np.isfinite(value)[lane] if traced else np.zeros(0, dtype=np.int64)
        return Implied(value, _NOTHING, np.unique(_ends(expressions.indices[boxed], expressions.data[boxed])))
    number, rest, found = tried.lane, tried.rest, tried.found
    again = np.flatnonzero(tried.exact & (found < enough[number]) & (np.diff(rest.indptr) > 1))
    deeper = deep - 1 if len(again) <= FEW_PAIRS else min(deep - 1, 1)
    if deeper > 0 and 0 < len(again) <= MANY_PAIRS:
        aim = enough[number[again]] - tried.start[again]
        further = least(sp.csr_array(rest[again]), catalog, lower, upper, aim, deep=deeper).value
        total = tried.start[again] + further
        size = np.abs(tried.start[again]) + np.abs(further)
        margin = np.where(on_grid(further) & tried.fits[again] & (size < WIDEST), 0.0, 8 * EPSILON * size)
        further = total - margin - tried.error[again]
        again, further = again[further > found[again]], further[further > found[again]]
        found[again] = further
    else:
        again = _NOTHING
    best = value.copy()
    np.maximum.at(best, number, found)
    if not traced:
        return Implied(best, _NOTHING, _NOTHING)
    chosen = np.full(lanes, -1)
    winners = np.flatnonzero((found == best[number]) & (best > value)[number])
    chosen[number[winners]] = winners
    boxed = ((chosen < 0) & np.isfinite(value))[lane]
    winners = chosen[chosen >= 0]
    more = np.intersect1d(winners, again)
    plain = sp.csr_array(rest[np.setdiff1d(winners, more)])
    ends = [_ends(expressions.indices[boxed], expressions.data[boxed]), _ends(plain.indices, plain.data)]
    used = [tried.row[winners]]
    if len(more):
        inner = least(sp.csr_array(rest[more]), catalog, lower, upper, traced=True, deep=deeper)
        ends.append(inner.ends)
        used.append(inner.rows)
    return Implied(best, np.unique(np.concatenate(used)), np.unique(np.concatenate(ends)))


@dataclass(frozen=True, eq=False, slots=True)
class _Tried:
    """For each of P pairs of a lane and a row: lane >= start + rest, and the bound `found` that the box gives then.

    rest: matrix (P, n), `exact` where its coefficients are. start, right to within `error`, is exact where `fits`.
    """

    lane: np.ndarray
    row: np.ndarray
    rest: sp.csr_array
    exact: np.ndarray
    start: np.ndarray
    error: np.ndarray
    fits: np.ndarray
    found: np.ndarray


def _try_rows(
    expressions: sp.csr_array,
    lane: np.ndarray,
    endless: np.ndarray,
    asked: np.ndarray,
    catalog: Catalog,
    lower: np.ndarray,
    upper: np.ndarray,
) -> _Tried | None:
    rows, pairs = catalog.rows, _pairs(expressions, lane, endless, asked, catalog)
    if pairs is None:
        return None
    number, row, factor = pairs
    pair, column, coefficient, size, exact = _remainders(expressions, rows, number, row, factor)
    start, fits = product(factor, np.where(factor > 0, rows.low[row], rows.high[row]))
    fits &= on_grid(start)
    error = np.abs(factor) * rows.error[row]
    blurred = np.where(exact, 0.0, size)
    found, _ = _box_sum(pair, column, coefficient, start, lower, upper, blurred, fits, error)
    kept = coefficient != 0
    starts = np.concatenate([[0], np.cumsum(np.bincount(pair[kept], minlength=len(row)))])
    rest = sp.csr_array((coefficient[kept], column[kept], starts), shape=(len(row), expressions.shape[1]))
    whole = np.bincount(pair[~exact], minlength=len(row)) == 0
    return _Tried(number, row, rest, whole, start, error, fits, found)


_NOTHING = np.zeros(0, dtype=np.int64)
_Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def _ends(column: np.ndarray, coefficient: np.ndarray) -> np.ndarray:
    """The end of each column that is least for its term."""
    return 2 * column.astype(np.int64) + (coefficient < 0)


def _box_sum(
    group: np.ndarray,
    column: np.ndarray,
    coefficient: np.ndarray,
    start: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    blurred: np.ndarray | None = None,
    fits: np.ndarray | None = None,
    error: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """start + the least of each group's terms over the box, moved down by the rounding error; and endless terms.

    blurred: sizes of coefficients that are right to a few ε of them only (0: exact). fits: where the start is exact.
    """
    count = len(start)
    bound = np.where(coefficient > 0, lower[column], upper[column])
    term, exact = product(coefficient, bound)
    term = np.where(coefficient == 0, 0.0, term)
    endless = ~np.isfinite(term)
    term = np.where(endless, 0.0, term)
    exact = (exact | (coefficient == 0)) & on_grid(term)
    sizes = np.abs(term)
    if blurred is not None:
        exact &= blurred == 0
        sizes = sizes + blurred * np.abs(np.where((coefficient == 0) | endless, 0.0, bound))
    total = start + np.bincount(group, term, count)
    size = np.abs(start) + np.bincount(group, sizes, count)
    right = (np.bincount(group, ~(exact | endless), count) == 0) & (size < WIDEST)
    right = right & (on_grid(start) if fits is None else fits)
    terms = np.bincount(group, minlength=count)
    total = total - np.where(right, 0.0, (terms + 8) * EPSILON * size) - error
    return np.where(np.bincount(group, endless, count) > 0, -np.inf, total), endless


def _pairs(
    expressions: sp.csr_array, lane: np.ndarray, endless: np.ndarray, asked: np.ndarray, catalog: Catalog
) -> _Pairs | None:
    """(lane, row, multiplier) to try: rows that are multiples of the lane, and rows that share a column with it."""
    asked = asked & (np.diff(expressions.indptr) > 1)
    if not len(catalog.several) or not asked.any():
        return None
    rows = catalog.rows
    parts = [_multiples(expressions, np.flatnonzero(asked), catalog)]
    sharing = _sharing(expressions, lane, endless, asked, catalog)
    if sharing is not None:
        parts.append(sharing)
    number, row, factor = (np.concatenate(p) for p in zip(*parts, strict=True))
    side = np.where(factor > 0, rows.low[row], rows.high[row])
    keep = np.isfinite(side) & np.isfinite(factor) & (factor != 0)
    return (number[keep], row[keep], factor[keep]) if keep.any() else None


def _multiples(expressions: sp.csr_array, lanes: np.ndarray, catalog: Catalog) -> _Pairs:
    """Rows that are a number times the expression: those with its signature, a random sum of its coefficients over the
    first one. It only finds candidates; what a row gives is computed from its coefficients."""
    own, first = _signatures(expressions, catalog.weights, lanes)
    theirs, numbers, lead = catalog.signatures
    rising = np.argsort(own)  # looking up in order is many times as fast
    lanes, own, first = lanes[rising], own[rising], first[rising]
    room = 1e-9 * (1 + np.abs(own))
    start = np.searchsorted(theirs, own - room)
    count = np.minimum(np.searchsorted(theirs, own + room) - start, MOST_MULTIPLES)
    at = np.repeat(np.arange(len(lanes)), count)
    found = np.repeat(start - (np.cumsum(count) - count), count) + np.arange(len(at))
    return lanes[at], numbers[found], first[at] / lead[found]


def _signatures(matrix: sp.csr_array, weights: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ a_j w_j / a_first of the chosen rows, each with two entries at least, and a_first (of the lowest column)."""
    part = sp.csr_array(matrix if len(chosen) == matrix.shape[0] else matrix[chosen]).sorted_indices()
    first = part.data[part.indptr[:-1]]
    return (part @ weights) / first, first


def _sharing(
    expressions: sp.csr_array, lane: np.ndarray, endless: np.ndarray, asked: np.ndarray, catalog: Catalog
) -> _Pairs | None:
    """Rows that share a column with the lane, by one that has no bound if any has; None where there are too many."""
    rows, several, by_column = catalog.rows, catalog.several, catalog.by_column
    degree = np.diff(by_column.indptr)
    column = expressions.indices
    open_lane = np.bincount(lane, endless, expressions.shape[0]) > 0
    able = np.flatnonzero((degree[column] > 0) & asked[lane])
    entries = able
    if degree[column[able]].sum() > FEW_PAIRS:
        # one column a lane: one without a bound, where there is one, that a row should cancel
        entries = _fewest(able[endless[able] | ~open_lane[lane[able]]], lane, degree[column])
    counts = degree[column[entries]]
    if not 0 < counts.sum() <= MOST_PAIRS:
        return None
    origin = np.repeat(entries, counts)
    within = np.arange(len(origin)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = by_column.indptr[column[origin]] + within
    number, row = lane[origin], several[by_column.indices[place]]
    factor = expressions.data[origin] / by_column.data[place]
    work = np.diff(expressions.indptr)[number] + np.diff(rows.matrix.indptr)[row]
    while work.sum() > MOST_TERMS:  # without the longest rows
        keep = work <= work.mean()
        if keep.all():
            return None
        number, row, factor, work = number[keep], row[keep], factor[keep], work[keep]
    return number, row, factor


def _fewest(entries: np.ndarray, lane: np.ndarray, degree: np.ndarray) -> np.ndarray:
    """Of these entries one a lane, that of the lowest degree."""
    order = entries[np.lexsort((degree[entries], lane[entries]))]
    return order[np.unique(lane[order], return_index=True)[1]] if len(order) else order


def _remainders(
    expressions: sp.csr_array, rows: Rows, number: np.ndarray, row: np.ndarray, factor: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`expression - factor * row` of every pair: pair, column, coefficient, size of its parts, whether it is exact."""
    left, right = expressions[number], rows.matrix[row]
    pair = np.concatenate([np.repeat(np.arange(len(row)), np.diff(m.indptr)) for m in (left, right)])
    column = np.concatenate([left.indices, right.indices]).astype(np.int64)
    taken, fits = product(np.repeat(-factor, np.diff(right.indptr)), right.data)
    part = np.concatenate([left.data, taken])
    fits = np.concatenate([on_grid(left.data), fits & on_grid(taken)]) & (np.abs(part) < WIDEST)
    keys, place = _distinct(pair * expressions.shape[1] + column)
    size = np.bincount(place, np.abs(part), len(keys))
    parts = np.bincount(place, minlength=len(keys))
    coefficient = without_residue(np.bincount(place, part, len(keys)), size)
    alone = np.bincount(place, np.arange(len(part)) < left.nnz, len(keys)) == parts  # the expression's own, untouched
    exact = alone | (np.bincount(place, ~fits, len(keys)) == 0)
    return keys // expressions.shape[1], keys % expressions.shape[1], coefficient, size, exact


def _distinct(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys in rising order, and the place of each key among them."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    new = np.ones(len(keys), dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    place = np.empty(len(keys), dtype=np.int64)
    place[order] = np.cumsum(new) - 1
    return ordered[new], place
