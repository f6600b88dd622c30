"""The narrow seam between models and numerical methods: a nonlinear program as functions on arrays, no names.

    minimize    f(x)
    subject to  row_lower <= c(x) <= row_upper,   lower <= x <= upper

with n variables and m rows. An equality has row_lower == row_upper; a side that is missing is infinite; a fixed
variable has lower == upper. The Lagrangian is L(x, y, z) = f(x) + y'c(x) + z'x: at a minimum its gradient is 0 with
y_i, z_j >= 0 where only the upper side is active, <= 0 where only the lower one is, and 0 where none is.

Outside the domain of a function the values are nan or infinite, never a wrong finite number. Methods cut their steps
back from there. A wrapper of a problem is a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where the entries of a sparse matrix stand: rows and columns (nnz,), no place twice; shape (p, q).

    Values come as one array (nnz,) in this order. Of a symmetric matrix only the lower triangle is given.
    """

    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]

    @property
    def size(self) -> int:
        """nnz."""
        return len(self.rows)

    @cached_property
    def _csr(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # The numbers of the entries as values, moved by two counting sorts: by columns, then by rows.
        numbers = np.arange(len(self.rows))
        numbered = sp.csc_array((numbers, (self.rows, self.columns)), shape=self.shape).tocsr()
        return numbered.data, numbered.indices, numbered.indptr

    def matrix(self, values: np.ndarray) -> sp.csr_array:
        """The matrix (p, q) with these values; of a symmetric one its lower triangle."""
        order, columns, pointers = self._csr
        return sp.csr_array((values[order], columns, pointers), shape=self.shape)

    def symmetric(self, values: np.ndarray) -> sp.csr_array:
        """The whole symmetric matrix whose lower triangle has these values."""
        below = self.matrix(values)
        return sp.csr_array(below + sp.tril(below, -1).T)


class Residuals(Protocol):
    """The objective as a sum of squares: f(x) = scale * |r(x)|^2 + constant, r with p entries."""

    @property
    def scale(self) -> float: ...

    @property
    def constant(self) -> float: ...

    @property
    def jacobian_pattern(self) -> Pattern: ...

    def values(self, x: np.ndarray) -> np.ndarray:
        """r(x) (p,)."""

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """The values (nnz,) of r's Jacobian (p, n)."""


class Nlp(Protocol):
    """A nonlinear program; the module's docstring says what the arrays mean.

    `linear` (m,) tells which rows are affine. `hessian_pattern` is None where a sparse Hessian of the Lagrangian is
    not to be had at a sensible price: then there are products only. `residuals` is None where the objective is not
    recognized as a sum of squares. `convex`: whether the whole problem is proved convex.
    """

    @property
    def start(self) -> np.ndarray: ...

    @property
    def lower(self) -> np.ndarray: ...

    @property
    def upper(self) -> np.ndarray: ...

    @property
    def row_lower(self) -> np.ndarray: ...

    @property
    def row_upper(self) -> np.ndarray: ...

    @property
    def linear(self) -> np.ndarray: ...

    @property
    def jacobian_pattern(self) -> Pattern: ...

    @property
    def hessian_pattern(self) -> Pattern | None: ...

    @property
    def residuals(self) -> Residuals | None: ...

    @property
    def convex(self) -> bool: ...

    def objective(self, x: np.ndarray) -> float:
        """f(x)."""

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """The gradient of f (n,)."""

    def constraints(self, x: np.ndarray) -> np.ndarray:
        """c(x) (m,)."""

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """The values of c's Jacobian (m, n), in the order of its pattern."""

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        """The values of the lower triangle of weight * f'' + sum_i multipliers_i c_i''."""

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        """That Hessian times a direction (n,)."""


class FiniteSum(Protocol):
    """A problem whose functions sum over the members of one set, for methods that look at some of them at a time.

        minimize    f(x) = rest(x) + sum_s f_s(x),   s = 0 .. members - 1
        subject to  row_lower <= c(x) <= row_upper,   lower <= x <= upper,   c of the same form as f, with m rows

    x is flat (n,), of type `dtype` (float32 or float64); bounds, sides and start are float64. An estimate from a batch
    of b members is rest(x) + (members / b) * sum over the batch: its mean over all batches of b is the exact value.
    """

    @property
    def members(self) -> int: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def start(self) -> np.ndarray: ...

    @property
    def lower(self) -> np.ndarray: ...

    @property
    def upper(self) -> np.ndarray: ...

    @property
    def row_lower(self) -> np.ndarray: ...

    @property
    def row_upper(self) -> np.ndarray: ...

    def estimate(
        self, x: np.ndarray, batch: np.ndarray | slice, gradient: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        """The estimate of f; that of the gradient of f + weights'c is written into `gradient` (n,), of x's type.

        batch: the numbers of the members, or a slice of all. weights (m,); None: the gradient of f alone.
        """

    def row_estimates(self, x: np.ndarray, batch: np.ndarray | slice) -> np.ndarray:
        """The estimates of c (m,)."""

    def objective(self, x: np.ndarray) -> float:
        """f over all members, summed in float64."""

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """The gradient of f over all members (n,), float64."""

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        """The Hessian of weight * f + multipliers'c over all members, times a direction (n,), float64."""

    def culprit(self, x: np.ndarray, batch: np.ndarray | slice) -> str | None:
        """The part of the text that first gives a value that is not finite on this batch; None where none does."""


@dataclass(eq=False)
class Counted:
    """A problem that counts its evaluations by kind."""

    inner: Nlp
    counts: dict[str, int] = field(default_factory=dict)

    def _count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1

    @property
    def evaluations(self) -> Mapping[str, int]:
        """How often each kind was evaluated so far."""
        return dict(self.counts)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    @property
    def residuals(self) -> Residuals | None:
        """The residuals, whose values count as the objective's and whose Jacobians as gradients."""
        inner = self.inner.residuals
        return None if inner is None else CountedResiduals(inner, self._count)

    def objective(self, x: np.ndarray) -> float:
        self._count("objective")
        return self.inner.objective(x)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        self._count("gradient")
        return self.inner.gradient(x)

    def constraints(self, x: np.ndarray) -> np.ndarray:
        self._count("constraints")
        return self.inner.constraints(x)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        self._count("jacobian")
        return self.inner.jacobian(x)

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        self._count("hessian")
        return self.inner.hessian(x, multipliers, weight)

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        self._count("hessian_product")
        return self.inner.hessian_product(x, multipliers, direction, weight)


@dataclass(frozen=True, eq=False)
class CountedResiduals:
    """Residuals that count their evaluations."""

    inner: Residuals
    count: Callable[[str], None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def values(self, x: np.ndarray) -> np.ndarray:
        self.count("objective")
        return self.inner.values(x)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        self.count("gradient")
        return self.inner.jacobian(x)
