"""Signed sums of monomials, row by row: what is left of a sum when like terms are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import sympy

from optdsl.classify.geometric.log_rows import LogRows
from optdsl.terms.frame import Frame

UPPER, LOWER, EXACT = 1, -1, 0
ROUNDING = 16 * np.finfo(float).eps


@dataclass(frozen=True, eq=False, slots=True)
class Terms:
    """K terms: term k is sign[k] * exp(logs[k]) in row row[k].

    It came from the expression with the number node[k] at the lane lane[k] (C order) of that expression's frame.
    """

    row: np.ndarray
    sign: np.ndarray
    logs: LogRows
    node: np.ndarray
    lane: np.ndarray

    def where(self, mask: np.ndarray) -> Terms:
        """The terms where `mask` (K,) holds."""
        at = np.flatnonzero(mask)
        return Terms(self.row[at], self.sign[at], self.logs.take(at), self.node[at], self.lane[at])

    def counts(self, sign: int, rows: int) -> np.ndarray:
        """How many terms of a sign each row has (rows,)."""
        return np.bincount(self.row[self.sign == sign], minlength=rows)

    @property
    def constant(self) -> np.ndarray:
        """Which terms have no variable (K,)."""
        return np.bincount(self.logs.row, self.logs.exponent != 0, self.logs.size) == 0


@dataclass(eq=False)
class Sum:
    """Collects the terms of one expression over the lanes of `root`.

    `direction` says what may stand for a positive term that is no monomial: something above (UPPER), below (LOWER),
    or nothing (EXACT); for a negative term the other way round.
    """

    root: Frame
    direction: int
    parts: list[Terms] = field(default_factory=list)
    origins: list[tuple[sympy.Basic, Frame]] = field(default_factory=list)

    def emit(self, node: sympy.Basic, frame: Frame, coefficient: np.ndarray, logs: LogRows | None) -> None:
        """Add coefficient (L,) * exp(logs) over the frame's lanes; coefficients and values of 0 are left out."""
        present = coefficient != 0
        if logs is not None:
            present &= logs.constant > -np.inf
        at = np.flatnonzero(present)
        size = np.log(np.abs(coefficient[at]))
        kept = LogRows.of_constants(size) if logs is None else logs.take(at).shifted(size)
        number = np.full(len(at), len(self.origins))
        row = np.broadcast_to(frame.root_rows(), frame.shape).reshape(-1)
        self.parts.append(Terms(row[at], np.sign(coefficient[at]).astype(int), kept, number, at))
        self.origins.append((node, frame))

    def total(self, columns: int) -> Terms:
        """All terms; like ones are put together where that can matter."""
        terms = joined(self.parts)
        rows = self.root.size
        positive, negative = terms.counts(1, rows), terms.counts(-1, rows)
        clash = (positive > 0) & (negative > 0)
        if self.direction != UPPER:
            clash |= positive > 1
        if self.direction != LOWER:
            clash |= negative > 1
        if not clash.any():
            return terms
        return merged(terms, columns)


def joined(parts: Sequence[Terms]) -> Terms:
    """The terms of all parts."""
    nothing = np.zeros(0, dtype=np.int64)
    return Terms(
        np.concatenate([nothing, *(p.row for p in parts)]),
        np.concatenate([nothing, *(p.sign for p in parts)]),
        LogRows.joined([p.logs for p in parts]),
        np.concatenate([nothing, *(p.node for p in parts)]),
        np.concatenate([nothing, *(p.lane for p in parts)]),
    )


def merged(terms: Terms, columns: int) -> Terms:
    """Terms with like ones (same row, same exponents) summed; what cancels up to rounding is left out.

    Like terms are found by two random weighted sums of their exponents and then compared entry by entry.
    """
    matrix = terms.logs.matrix(columns)
    weights = np.random.default_rng(20070901).standard_normal((columns, 2))
    hashes = matrix @ weights
    order = np.lexsort((hashes[:, 1], hashes[:, 0], terms.row))
    row, sorted_hashes = terms.row[order], hashes[order]
    like = np.concatenate([[False], (row[1:] == row[:-1]) & (sorted_hashes[1:] == sorted_hashes[:-1]).all(axis=1)])
    if not like.any():
        return terms
    later = np.flatnonzero(like)
    different = np.diff(sp.csr_array(matrix[order[later]] - matrix[order[later - 1]]).indptr)
    like[later[different > 0]] = False
    group = np.cumsum(~like) - 1
    first = order[~like]
    coefficient = terms.sign[order] * np.exp(terms.logs.constant[order] - _largest(terms.logs.constant[order], group))
    total = np.bincount(group, coefficient)
    size = np.bincount(group, np.abs(coefficient))
    at = np.flatnonzero(np.abs(total) > ROUNDING * size)
    constant = np.log(np.abs(total[at])) + _largest(terms.logs.constant[order], group, per_group=True)[at]
    logs = terms.logs.take(first[at])
    logs = LogRows(logs.row, logs.column, logs.exponent, constant)
    kept = first[at]
    return Terms(terms.row[kept], np.sign(total[at]).astype(int), logs, terms.node[kept], terms.lane[kept])


def _largest(values: np.ndarray, group: np.ndarray, *, per_group: bool = False) -> np.ndarray:
    """The largest value of each sorted group: for each member, or per group."""
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    largest = np.maximum.reduceat(values, starts)
    return largest if per_group else largest[group]
