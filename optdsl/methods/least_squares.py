"""Linear algebra of damped least squares: p(lambda) minimizes |J p + r|^2 + lambda |D p|^2, over |D p| <= Delta.

Dense: one QR factorization of [J D^-1, r] and the singular values of its small triangle give p for every lambda.
Sparse: one factorization of [[I, J], [J', -lambda D^2]] a lambda, which avoids J'J.

    phi(lambda) = |D p(lambda)| - Delta,   the root by Newton on 1/Delta - 1/|D p| (More 1978, section 5)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

RANK = 1e-14
"""Singular values below this share of the largest count as 0 in an undamped step."""


class Damped(Protocol):
    """A linear least squares problem that is solved for several dampings."""

    def step(self, damping: float) -> np.ndarray:
        """p(lambda) (n,)."""

    def within(self, delta: float) -> tuple[np.ndarray, float]:
        """p and lambda >= 0 with |D p| <= Delta, on the boundary (to a tenth) where lambda > 0."""


@dataclass(frozen=True, slots=True, eq=False)
class DenseDamped:
    """From the singular values S (k,), right vectors V (k, n) of J D^-1, and c = U'r (k,)."""

    S: np.ndarray
    V: np.ndarray
    c: np.ndarray
    D: np.ndarray

    def step(self, damping: float) -> np.ndarray:
        """p(lambda) (n,); of lambda = 0 the shortest least squares solution."""
        return -(self._inner(damping) @ self.V) / self.D

    def _inner(self, damping: float) -> np.ndarray:
        if damping == 0:
            least = RANK * float(self.S.max(initial=0.0))
            keep = least < self.S
            return np.where(keep, self.c / np.where(keep, self.S, 1.0), 0.0)
        return self.S * self.c / (self.S**2 + damping)

    def within(self, delta: float) -> tuple[np.ndarray, float]:
        """p and lambda >= 0 with |D p| <= Delta, on the boundary where lambda > 0."""
        w = self._inner(0.0)
        if np.linalg.norm(w) <= delta:
            return self.step(0.0), 0.0
        # |w(lambda)| >= |S c| / (S_max^2 + lambda): a damping that is surely too small; Newton climbs from there.
        damping = max(float(np.linalg.norm(self.S * self.c)) / delta - float(self.S[0]) ** 2, 0.0)
        damping = max(damping, 1e-300)
        for _ in range(60):
            w = self._inner(damping)
            size = float(np.linalg.norm(w))
            if size <= delta * (1 + 1e-8):
                break
            slope = float((w**2 / (self.S**2 + damping)).sum())
            damping += (size - delta) / delta * size * size / slope
        return self.step(damping), damping


def dense_damped(J: np.ndarray, r: np.ndarray, D: np.ndarray) -> DenseDamped:
    """The factorizations for J (p, n), r (p,) and the scales D (n,)."""
    scaled = J / D
    p, n = J.shape
    if p > n:
        triangle = np.asarray(np.linalg.qr(np.column_stack([scaled, r]), mode="r"))
        scaled, r = triangle[:, :n], triangle[:, n]
    U, S, V = np.linalg.svd(scaled, full_matrices=False)
    return DenseDamped(S, V, U.T @ r, D)


@dataclass(frozen=True, slots=True, eq=False)
class SparseDamped:
    """J (p, n) sparse, r (p,), the scales D (n,)."""

    J: sp.csr_array
    r: np.ndarray
    D: np.ndarray

    def _solved(self, damping: float) -> tuple[np.ndarray, np.ndarray]:
        """p(lambda), and (J'J + lambda D^2)^{-1} D^2 p, which the slope of phi takes."""
        p, n = self.J.shape
        floor = max(damping, 1e-14 * float((np.abs(self.J.data) ** 2).sum() / max(n, 1) / float((self.D**2).mean())))
        matrix = sp.block_array([[sp.eye_array(p), self.J], [self.J.T, sp.diags_array(-floor * self.D**2)]])
        factor = splu(sp.csc_array(matrix))
        step = factor.solve(np.concatenate([-self.r, np.zeros(n)]))[p:]
        turn = factor.solve(np.concatenate([np.zeros(p), -(self.D**2) * step]))[p:]
        return step, turn

    def step(self, damping: float) -> np.ndarray:
        """p(lambda) (n,)."""
        return self._solved(damping)[0]

    def within(self, delta: float) -> tuple[np.ndarray, float]:
        """p and lambda >= 0 with |D p| <= Delta, on the boundary (to a tenth) where lambda > 0."""
        step, turn = self._solved(0.0)
        size = float(np.linalg.norm(self.D * step))
        if size <= delta:
            return step, 0.0
        low, high, damping = 0.0, math.inf, 0.0
        for _ in range(20):
            slope = float((self.D**2 * step) @ turn)
            grown = damping + (size - delta) / delta * size * size / slope if slope > 0 else 2 * damping
            if not low < grown < high:
                grown = math.sqrt(max(low, 1e-3 * high) * high) if high < math.inf else max(10 * damping, 1e-8)
            damping = grown
            step, turn = self._solved(damping)
            size = float(np.linalg.norm(self.D * step))
            if abs(size - delta) <= 0.1 * delta:
                break
            low, high = (damping, high) if size > delta else (low, damping)
        return step, damping
