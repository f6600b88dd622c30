"""Simplices and chains among affine rows, l <= A x <= u: which rows a projection takes care of.

    simplex   a row with equal entries and equal sides; its variables are >= 0 and not bounded below the total
    chain     rows x_i - x_j <= 0 (or >= 0, or any multiple) that form paths; the variables of a path share their bounds

A row is taken where its variables are in no other such set; all the others stay rows.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from optdsl.methods.projections import Chains, Groups, SimpleSet, no_chains, no_groups


def linear_sets(
    matrix: sp.csr_array, row_lower: np.ndarray, row_upper: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[SimpleSet, np.ndarray]:
    """The set of bounds, simplices and chains, and which of the rows (m,) hold everywhere in it."""
    entries = sp.csr_array(matrix)
    entries.sum_duplicates()
    entries.eliminate_zeros()
    m, n = entries.shape
    sizes = np.diff(entries.indptr)
    row = np.repeat(np.arange(m), sizes)
    column, value = entries.indices, entries.data
    simplices, totals, factors, taken = _simplices(row, column, value, row_lower, row_upper, lower, upper)
    edges = np.flatnonzero(_edges(entries, row_lower, row_upper))
    chains = no_chains()
    if len(edges):
        taken_variables = np.zeros(n, dtype=bool)
        taken_variables[simplices.variables] = True
        chains, of_chains = _chains(entries, edges, row_lower, taken_variables, lower, upper)
        taken[of_chains] = True
    nothing = np.zeros(0)
    found = SimpleSet(lower, upper, simplices, totals, factors, no_groups(), nothing, nothing, nothing, chains)
    return found, taken


def _simplices(
    row: np.ndarray,
    column: np.ndarray,
    value: np.ndarray,
    row_lower: np.ndarray,
    row_upper: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> tuple[Groups, np.ndarray, np.ndarray, np.ndarray]:
    m = len(row_lower)
    counts = np.maximum(np.bincount(row, minlength=m), 1)
    factors = np.bincount(row, value, minlength=m) / counts
    fits = (row_lower == row_upper) & (factors != 0) & (np.bincount(row, minlength=m) > 0)
    totals = np.where(fits, row_lower, 0.0) / np.where(fits, factors, 1.0)
    fits &= totals >= 0
    wrong = (
        (np.abs(value - factors[row]) > 1e-14 * np.abs(factors[row]))
        | (lower[column] != 0)
        | (upper[column] < totals[row])
    )
    fits &= np.bincount(row, wrong, minlength=m) == 0
    uses = np.bincount(column[fits[row]], minlength=len(lower))
    fits &= np.bincount(row, uses[column] > 1, minlength=m) == 0
    kept = fits[row]
    rows = np.flatnonzero(fits)
    number = np.cumsum(fits) - 1
    return Groups(column[kept], number[row[kept]], rows), totals[rows], factors[rows], fits.copy()


def _edges(entries: sp.csr_array, row_lower: np.ndarray, row_upper: np.ndarray) -> np.ndarray:
    """Which rows say that one variable is at most another."""
    sizes = np.diff(entries.indptr)
    first = np.minimum(entries.indptr[:-1], max(entries.nnz - 1, 0))
    second = np.minimum(first + 1, max(entries.nnz - 1, 0))
    if not entries.nnz:
        return np.zeros(len(sizes), dtype=bool)
    opposite = entries.data[first] == -entries.data[second]
    one_sided = ((row_lower == -np.inf) & (row_upper == 0)) | ((row_lower == 0) & (row_upper == np.inf))
    return np.asarray((sizes == 2) & opposite & one_sided)


def _chains(
    entries: sp.csr_array,
    edges: np.ndarray,
    row_lower: np.ndarray,
    elsewhere: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> tuple[Chains, np.ndarray]:
    n = entries.shape[1]
    first = entries.indptr[edges]
    a, b = entries.indices[first], entries.indices[first + 1]
    # k (x_a - x_b) <= 0 with k > 0 says x_a <= x_b; each change of sign or side turns it around.
    forward = (entries.data[first] > 0) != (row_lower[edges] == 0)
    small, large = np.where(forward, a, b), np.where(forward, b, a)
    ins, outs = np.bincount(large, minlength=n), np.bincount(small, minlength=n)
    components, label = connected_components(sp.coo_array((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)
    in_edge = (ins + outs) > 0
    bad = in_edge & ((ins > 1) | (outs > 1) | elsewhere)
    wrong = np.bincount(label, bad, minlength=components) > 0
    # A circle has as many edges as variables; a path one less.
    wrong |= np.bincount(label[small], minlength=components) >= np.bincount(label, minlength=components)
    wrong[label[small[(lower[small] != lower[large]) | (upper[small] != upper[large])]]] = True
    good = ~wrong[label[small]]
    row_after, factor = np.full(n, -1), np.ones(n)
    row_after[small[good]] = edges[good]
    factor[small[good]] = np.where(forward, entries.data[first], entries.data[first + 1])[good]
    small, large = small[good], large[good]
    members = np.flatnonzero(in_edge & ~wrong[label])
    place = _places(small, large, n)
    order = members[np.lexsort((place[members], label[members]))]
    _, groups = np.unique(label[order], return_inverse=True)
    return Chains(order, groups, row_after[order], factor[order]), edges[good]


def _places(small: np.ndarray, large: np.ndarray, n: int) -> np.ndarray:
    """How many variables stand below each in its path, by doubling (Wyllie 1979)."""
    below = np.arange(n)
    below[large] = small
    count = np.zeros(n, dtype=int)
    count[large] = 1
    while True:
        further = below[below]
        if np.array_equal(further, below):
            return count
        count = count + count[below]
        below = further
