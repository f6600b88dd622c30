"""Linear maps A of the variables to the rows of a loss: dense where the data are, sparse elsewhere, no copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

CHUNK = 2048


@dataclass(frozen=True, eq=False)
class Block:
    """matrix (r, k), dense or CSR, on the variables `columns` (k,), no column twice."""

    matrix: np.ndarray | sp.csr_array
    columns: np.ndarray

    @property
    def dense(self) -> bool:
        return isinstance(self.matrix, np.ndarray)

    @cached_property
    def part(self) -> slice | np.ndarray:
        """The columns as a slice where they are in order."""
        columns = self.columns
        if len(columns) and (np.diff(columns) == 1).all():
            return slice(int(columns[0]), int(columns[-1]) + 1)
        return columns

    @cached_property
    def transposed(self) -> sp.csr_array:
        """A' of a sparse matrix."""
        return sp.csr_array(self.matrix.T)

    @cached_property
    def by_columns(self) -> sp.csc_array:
        """A sparse matrix by columns."""
        return sp.csc_array(self.matrix)


@dataclass(frozen=True, eq=False)
class Rows:
    """A (rows, width) as a sum of blocks."""

    blocks: tuple[Block, ...]
    rows: int
    width: int

    def product(self, x: np.ndarray) -> np.ndarray:
        """A x (rows,)."""
        total = np.zeros(self.rows)
        for block in self.blocks:
            total += block.matrix @ x[block.part]
        return total

    def transposed(self, u: np.ndarray) -> np.ndarray:
        """A'u (width,)."""
        total = np.zeros(self.width)
        for block in self.blocks:
            total[block.part] += u @ block.matrix if block.dense else block.transposed @ u
        return total

    def sizes(self, u: np.ndarray) -> np.ndarray:
        """|A|'|u| (width,)."""
        total, u = np.zeros(self.width), np.abs(u)
        for block in self.blocks:
            if not isinstance(block.matrix, np.ndarray):
                total[block.part] += abs(block.transposed) @ u
                continue
            for first in range(0, self.rows, CHUNK):  # small enough to stay in the cache
                rows = slice(first, first + CHUNK)
                total[block.part] += u[rows] @ np.abs(block.matrix[rows])
        return total

    @cached_property
    def dense(self) -> bool:
        """Whether most of the entries are dense data."""
        return any(b.dense and b.matrix.shape[1] > 1 for b in self.blocks) or self.width <= 64

    @property
    def size(self) -> int:
        """Stored entries."""
        return sum(b.matrix.size for b in self.blocks)

    def taken(self, columns: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """The columns (rows, len(columns)) of A as a dense array, of some rows."""
        count = len(range(*rows.indices(self.rows))) if isinstance(rows, slice) else len(rows)
        place = np.full(self.width, -1, dtype=np.int64)
        place[columns] = np.arange(len(columns))
        total: np.ndarray | None = None
        for block in self.blocks:
            there = place[block.columns]
            kept = np.flatnonzero(there >= 0)
            if not len(kept):
                continue
            part = block.matrix if isinstance(rows, slice) and rows == slice(None) else block.matrix[rows]
            whole = len(kept) == len(columns) == len(block.columns) and (there[kept] == np.arange(len(columns))).all()
            if isinstance(part, np.ndarray):
                found = part if whole else part[:, kept]
            else:
                found = part[:, kept].toarray()
            if whole and len(self.blocks) == 1:
                return np.asarray(found)
            if total is None:
                total = np.zeros((count, len(columns)), order="F")
            total[:, there[kept]] += found
        return total if total is not None else np.zeros((count, len(columns)))

    @cached_property
    def sparse(self) -> sp.csr_array:
        """A as one sparse matrix."""
        total = sp.csr_array((self.rows, self.width))
        for block in self.blocks:
            coo = sp.coo_array(block.matrix)
            places = (coo.coords[0], block.columns[coo.coords[1]])
            total = total + sp.csr_array((coo.data, places), shape=(self.rows, self.width))
        return sp.csr_array(total)

    def square_sizes(self, weights: np.ndarray | None = None) -> np.ndarray:
        """sum_i weights_i A_ij^2 for each column (width,), an upper bound where blocks share columns."""
        total = np.zeros(self.width)
        for block in self.blocks:
            if isinstance(block.matrix, np.ndarray):
                scaled = block.matrix if weights is None else block.matrix * weights[:, None]
                size = np.einsum("ij,ij->j", block.matrix, scaled)
            else:
                squared = block.transposed.power(2)
                size = squared @ (np.ones(self.rows) if weights is None else weights)
            total[block.part] += size
        shared = np.bincount(np.concatenate([b.columns for b in self.blocks]), minlength=self.width)
        return np.asarray(total * np.maximum(shared, 1))


def identity(columns: Sequence[int] | np.ndarray, width: int, values: np.ndarray | None = None) -> Rows:
    """The rows that are the variables `columns`, each times its value (1)."""
    columns = np.asarray(columns, dtype=np.int64)
    data = np.ones(len(columns)) if values is None else values
    matrix = sp.csr_array((data, (np.arange(len(columns)), columns)), shape=(len(columns), width))
    return Rows((Block(matrix, np.arange(width)),), len(columns), width)
