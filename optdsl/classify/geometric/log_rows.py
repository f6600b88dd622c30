"""Logarithms of positive expressions as affine rows, one per lane.

A monomial c x1^a1 ... xn^an has the logarithm log c + a1 y1 + ... + an yn in y = log x; products add rows, powers
scale them. Columns after the model's own are auxiliary ones, logarithms themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True, eq=False, slots=True)
class LogRows:
    """L rows: constant (L,) plus, for each entry k, exponent[k] * y[column[k]] in row row[k].

    The constant -inf stands for the value 0. Entries may repeat; `canonical` sums them.
    """

    row: np.ndarray
    column: np.ndarray
    exponent: np.ndarray
    constant: np.ndarray

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.constant)

    @staticmethod
    def of_columns(columns: np.ndarray) -> LogRows:
        """One row y[columns[k]] for each k."""
        return LogRows(np.arange(len(columns)), columns, np.ones(len(columns)), np.zeros(len(columns)))

    @staticmethod
    def of_constants(constant: np.ndarray) -> LogRows:
        """Rows without variables."""
        nothing = np.zeros(0, dtype=np.int64)
        return LogRows(nothing, nothing, np.zeros(0), constant)

    @staticmethod
    def joined(parts: Sequence[LogRows]) -> LogRows:
        """The rows of all parts, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        starts = np.cumsum([0, *(p.size for p in parts)])
        return LogRows(
            np.concatenate([np.zeros(0, dtype=np.int64), *(p.row + s for p, s in zip(parts, starts, strict=False))]),
            np.concatenate([np.zeros(0, dtype=np.int64), *(p.column for p in parts)]),
            np.concatenate([np.zeros(0), *(p.exponent for p in parts)]),
            np.concatenate([np.zeros(0), *(p.constant for p in parts)]),
        )

    def plus(self, other: LogRows) -> LogRows:
        """The sums row by row: the logarithms of products."""
        return LogRows(
            np.concatenate([self.row, other.row]),
            np.concatenate([self.column, other.column]),
            np.concatenate([self.exponent, other.exponent]),
            self.constant + other.constant,
        )

    def times(self, factor: np.ndarray) -> LogRows:
        """The rows scaled by `factor` (L,): the logarithms of powers. A factor of 0 gives the power 1."""
        with np.errstate(invalid="ignore"):
            constant = np.where(factor == 0, 0.0, self.constant * factor)
        return LogRows(self.row, self.column, self.exponent * factor[self.row], constant)

    def shifted(self, amount: np.ndarray) -> LogRows:
        """The rows with `amount` (L,) added."""
        return LogRows(self.row, self.column, self.exponent, self.constant + amount)

    def take(self, index: np.ndarray) -> LogRows:
        """The rows at these positions; a position may repeat."""
        if len(index) == self.size and np.array_equal(index, np.arange(self.size)):
            return self
        order = np.argsort(self.row, kind="stable")
        count = np.bincount(self.row, minlength=self.size)
        start = np.cumsum(count) - count
        taken = count[index]
        row = np.repeat(np.arange(len(index)), taken)
        within = np.arange(len(row)) - np.repeat(np.cumsum(taken) - taken, taken)
        entry = order[np.repeat(start[index], taken) + within]
        return LogRows(row, self.column[entry], self.exponent[entry], self.constant[index])

    def folded(self, group: np.ndarray, count: int) -> LogRows:
        """The sums of rows by group (L,): the logarithms of products over members."""
        constant = np.zeros(count)
        np.add.at(constant, group, self.constant)
        return LogRows(group[self.row], self.column, self.exponent, constant)

    def matrix(self, columns: int) -> sp.csr_array:
        """The exponents as one matrix (L, columns), entries summed, zeros left out."""
        matrix = sp.coo_array((self.exponent, (self.row, self.column)), shape=(self.size, columns)).tocsr()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return matrix

    def values(self, y: np.ndarray) -> np.ndarray:
        """The rows' values (L,) at y."""
        return self.constant + np.bincount(self.row, self.exponent * y[self.column], self.size)


@dataclass(frozen=True, eq=False, slots=True)
class SumRows:
    """Σ exp(terms) <= 1 in each row: K terms, already divided by the row's greater side, term k in row row[k]."""

    terms: LogRows
    row: np.ndarray
    greater: LogRows

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.greater.size


@dataclass(eq=False)
class LogProgram:
    """What grows while expressions are read: auxiliary columns and the convex rows that hold them.

    softmax: sums of terms <= 1. linear: rows <= 0. exponential: pairs (argument, bound), exp(argument) <= bound row by
    row.
    """

    first: int
    count: int = 0
    softmax: list[SumRows] = field(default_factory=list)
    linear: list[LogRows] = field(default_factory=list)
    exponential: list[tuple[LogRows, LogRows]] = field(default_factory=list)

    @property
    def columns(self) -> int:
        """How many columns there are so far."""
        return self.first + self.count

    def add(self, count: int) -> np.ndarray:
        """New columns, free of bounds."""
        columns = self.columns + np.arange(count)
        self.count += count
        return columns
