"""Newton's direction for the primal-dual equations, with the inertia that makes it a descent direction.

Waechter and Biegler (2006), system (13) and Algorithm IC of section 3.1. Row variables t are eliminated before the
factorization: each has a positive diagonal sigma_t and one entry +-1 in its row, so that what remains is

    [ W + Sigma_x + delta_w I    J'                         ] [ dx ]
    [ J                         -(sum 1/sigma_t + delta_c)  ] [ dy ]

which has as many negative eigenvalues as rows exactly when the paper's matrix has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optdsl.methods.interior_point.form import Form
from optdsl.methods.linear_algebra.system import Inertia, Kkt

DELTA_W_FIRST, DELTA_W_SMALLEST, DELTA_W_LARGEST = 1e-4, 1e-20, 1e40
DELTA_C, KAPPA_C = 1e-8, 0.25
KAPPA_SHRINK, KAPPA_GROW, KAPPA_GROW_FIRST = 1 / 3, 8.0, 100.0
CORRECTIONS = 2
POOR = 1e-5
"""A relative residual above this means that the factors are not those of the matrix."""


@dataclass(frozen=True, slots=True)
class Regularization:
    """What Algorithm IC remembers: the last delta_w needed, and in how many directions in a row delta_c was."""

    last: float = 0.0
    degenerate: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Factors:
    """A factored system (13); the workspace holds the factors until its next factorization."""

    form: Form
    kkt: Kkt
    diagonal_t: np.ndarray
    delta_w: float = 0.0
    delta_c: float = 0.0

    def solve(self, right_w: np.ndarray, right_c: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """dw (N,), dy (m,) and the relative residual of the core system.

        Where delta_c stands in for dependent rows, the violation it leaves is solved for again (deviation from the
        paper): consistent rows are then met as if it were not there.
        """
        dw, dy, ratio = self._once(right_w, right_c)
        if self.delta_c > 0 and np.isfinite(dy).all():
            again = dy
            for _ in range(CORRECTIONS):
                more, again, _ = self._once(np.zeros(len(dw)), -self.delta_c * again)
                dw, dy = dw + more, dy + again
        return dw, dy, ratio

    def _once(self, right_w: np.ndarray, right_c: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        form = self.form
        n = form.n
        right_t = right_w[n:]
        reduced = right_c - np.bincount(
            form.row_of, weights=form.sign * right_t / self.diagonal_t, minlength=form.m
        )
        solution, ratio = self.kkt.solve(np.concatenate([right_w[:n], reduced]))
        dy = solution[n:]
        dt = (right_t - form.sign * dy[form.row_of]) / self.diagonal_t
        return np.concatenate([solution[:n], dt]), dy, ratio


def factorized(
    form: Form,
    kkt: Kkt,
    hessian: np.ndarray,
    sigma: np.ndarray,
    jacobian: np.ndarray,
    delta_w: float,
    delta_c: float,
) -> tuple[Factors, Inertia]:
    """Factors of system (13) for a diagonal sigma (N,) and perturbations, and the inertia of its core."""
    shifted = sigma + delta_w
    diagonal_t = np.maximum(shifted[form.n :], 1e-25)
    slack = delta_c + np.bincount(form.row_of, weights=1.0 / diagonal_t, minlength=form.m)
    inertia = kkt.factorize(hessian, shifted[: form.n], jacobian, slack)
    return Factors(form, kkt, diagonal_t, delta_w, delta_c), inertia


@dataclass(frozen=True, eq=False, slots=True)
class Direction:
    """dw (N,), dy (m,), the factors that gave them, and the memory for the next one."""

    dw: np.ndarray
    dy: np.ndarray
    factors: Factors
    memory: Regularization


def direction(
    form: Form,
    kkt: Kkt,
    hessian: np.ndarray,
    sigma: np.ndarray,
    jacobian: np.ndarray,
    right: tuple[np.ndarray, np.ndarray],
    memory: Regularization,
    mu: float,
    least: float = 0.0,
) -> Direction | None:
    """Algorithm IC: the solution of (13) with perturbations that give the right inertia; None where none is found.

    least: the smallest delta_w to begin with. A factorization whose solution leaves a poor residual counts as singular.
    Deviation: delta_c comes first also where there are too few negative eigenvalues, and stays on from the first try
    once it was needed in three directions in a row.
    """
    delta_w, delta_c = least, 0.0
    dual = DELTA_C * mu**KAPPA_C
    if memory.degenerate >= 3:
        delta_c = dual
    grow = KAPPA_GROW_FIRST if memory.last == 0 else KAPPA_GROW
    while delta_w <= DELTA_W_LARGEST:
        factors, inertia = factorized(form, kkt, hessian, sigma, jacobian, delta_w, delta_c)
        lost = inertia.singular or inertia.negative < form.m
        if not lost and inertia.negative == form.m:
            dw, dy, ratio = factors.solve(*right)
            if ratio <= POOR:
                degenerate = memory.degenerate + 1 if delta_c > 0 else 0
                return Direction(dw, dy, factors, Regularization(delta_w or memory.last, degenerate))
            lost = True
        if lost and delta_c == 0 and form.m:
            delta_c = dual
            continue
        if delta_w == 0:
            delta_w = DELTA_W_FIRST if memory.last == 0 else max(DELTA_W_SMALLEST, KAPPA_SHRINK * memory.last)
        else:
            delta_w *= grow
    return None


def least_squares_multipliers(
    form: Form, kkt: Kkt, gradient: np.ndarray, jacobian: np.ndarray, largest: float
) -> np.ndarray:
    """y (m,) that makes gradient + A'y smallest (36); zeros where it is undetermined or larger than `largest`.

    gradient (N,): of f with the bounds' multipliers.
    """
    if not form.m or not form.n:
        return np.zeros(form.m)
    nothing = np.zeros(form.hessian_pattern.size)
    ones = np.ones(len(gradient))
    factors, inertia = factorized(form, kkt, nothing, ones, jacobian, 0.0, 0.0)
    if inertia.singular or inertia.negative != form.m:
        return np.zeros(form.m)
    _, y, ratio = factors.solve(-gradient, np.zeros(form.m))
    trusted = ratio <= POOR and np.isfinite(y).all() and np.abs(y).max() <= largest
    return y if trusted else np.zeros(form.m)
