"""The landscape around a point from products with its Hessian: extreme eigenvalues, flat directions, ways down.

Notation (Golub and Van Loan 2013, section 10.1): after k steps from q1 the basis Q (n, k) is orthonormal and
H Q = Q T + beta_k q_{k+1} e_k'. An eigenpair (theta, s) of the tridiagonal T gives the Ritz pair (theta, Q s); within
|beta_k s_k| of theta lies an eigenvalue of H (Parlett 1998, theorem 4.5.1). A negative theta proves negative
curvature, as (Qs)'H(Qs) = theta; that none is negative proves nothing about what the steps did not reach.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

Product = Callable[[np.ndarray], np.ndarray]

DENSE = 120
"""Up to so many variables all eigenvalues are computed, from n products."""
ACCURACY = 1e-3
"""Lanczos stops where both ends are within so much of the largest size."""
FLAT, NEARLY_FLAT = 1e-6, 1e-3
"""An eigenvalue is flat where it is below this share of the largest size: well above rounding where all are computed,
as much as the steps resolve where they are estimated. Both are our choice."""
PROBES = 4
"""Random starts of the quadrature that counts flat directions."""
BREAKDOWN = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """What is known of a Hessian's eigenvalues.

    least, largest: the ends; error: how far the nearest true eigenvalue may be from them. lowest, highest (n,): their
    directions, of length 1. flat: directions whose eigenvalue is 0 within `resolution` times the size; negative: how
    many are below that. complete: all eigenvalues were computed, none estimated; products: what it took.
    """

    least: float
    largest: float
    error: float
    lowest: np.ndarray
    highest: np.ndarray
    flat: float
    negative: float
    resolution: float
    complete: bool
    products: int

    @property
    def size(self) -> float:
        """The largest absolute value."""
        return max(abs(self.least), abs(self.largest))


def spectrum(
    product: Product, n: int, products: int = 200, seed: int = 0, seconds: float | None = None
) -> Spectrum | None:
    """The ends of a symmetric matrix of n columns; None where a product is not finite or there are no columns.

    products: about how many may be taken; seconds: after these Lanczos stops at what it has.
    """
    if n == 0:
        return None
    if n <= min(DENSE, products):
        return _whole(product, n)
    random = np.random.default_rng(seed)
    until = np.inf if seconds is None else time.perf_counter() + seconds
    run = _lanczos(product, random.standard_normal(n), max(products // 2, 2), until)
    if run is None:
        return None
    theta, s = run.pairs
    flat, negative, used = _counted(product, n, run, products - run.steps, random, until)
    return Spectrum(
        least=float(theta[0]),
        largest=float(theta[-1]),
        error=float(max(run.errors(s)[[0, -1]])),
        lowest=run.vector(s[:, 0]),
        highest=run.vector(s[:, -1]),
        flat=flat,
        negative=negative,
        resolution=NEARLY_FLAT,
        complete=False,
        products=run.steps + used,
    )


def _whole(product: Product, n: int) -> Spectrum | None:
    matrix = np.array([product(unit) for unit in np.eye(n)]).reshape(n, n)
    if not np.isfinite(matrix).all():
        return None
    values, vectors = scipy.linalg.eigh(0.5 * (matrix + matrix.T))
    limit = FLAT * float(np.abs(values).max())
    return Spectrum(
        least=float(values[0]),
        largest=float(values[-1]),
        error=float(np.finfo(float).eps * n * np.abs(values).max()),
        lowest=vectors[:, 0],
        highest=vectors[:, -1],
        flat=float((np.abs(values) <= limit).sum()),
        negative=float((values < -limit).sum()),
        resolution=FLAT,
        complete=True,
        products=n,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Lanczos after some steps: T's diagonals, the basis as rows (steps, n), and the last beta."""

    alpha: np.ndarray
    beta: np.ndarray
    basis: np.ndarray
    last: float

    @property
    def steps(self) -> int:
        return len(self.alpha)

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of T, ascending, and its eigenvectors as columns."""
        return scipy.linalg.eigh_tridiagonal(self.alpha, self.beta)

    def errors(self, s: np.ndarray) -> np.ndarray:
        """|beta_k s_k| of each Ritz value."""
        return np.abs(self.last * s[-1])

    def vector(self, s: np.ndarray) -> np.ndarray:
        """The Ritz vector of length 1."""
        found = s @ self.basis
        return np.asarray(found / np.linalg.norm(found))


def _lanczos(product: Product, q: np.ndarray, steps: int, until: float) -> _Run | None:
    """Lanczos with full reorthogonalization, twice (Parlett 1998, section 6.9: twice is enough)."""
    n = len(q)
    steps = min(steps, n)
    basis = np.zeros((steps, n))
    alpha, beta = np.zeros(steps), np.zeros(steps)
    q = q / np.linalg.norm(q)
    size = 0.0
    for k in range(steps):
        basis[k] = q
        r = np.asarray(product(q), dtype=float)
        alpha[k] = q @ r
        if not np.isfinite(r).all():
            return None
        for _ in range(2):
            r = r - basis[: k + 1].T @ (basis[: k + 1] @ r)
        beta[k] = np.linalg.norm(r)
        run = _Run(alpha[: k + 1], beta[:k], basis[: k + 1], float(beta[k]))
        size = max(size, abs(alpha[k]), beta[k])
        if beta[k] <= BREAKDOWN * size or k + 1 == steps or time.perf_counter() > until:
            return run
        if k >= 4:
            theta, s = run.pairs
            if run.errors(s)[[0, -1]].max() <= ACCURACY * np.abs(theta).max():
                return run
        q = r / beta[k]
    return None  # no steps were asked for


def _counted(
    product: Product, n: int, first: _Run, products: int, random: np.random.Generator, until: float
) -> tuple[float, float, int]:
    """About how many eigenvalues are flat and how many negative, by stochastic Lanczos quadrature, and products used.

    The mean over random starts of the weights s_1^2 of the Ritz values in an interval, times n (Ghorbani, Krishnan and
    Xiao 2019, section 2 and appendix A). One start that met both ends is the first of them.
    """
    runs, used = [first], 0
    steps = min(first.steps, n)
    while len(runs) < PROBES and products - used >= steps and time.perf_counter() < until:
        run = _lanczos(product, random.standard_normal(n), steps, until)
        if run is None:
            break
        used += run.steps
        runs.append(replace(run, basis=run.basis[:0]))  # large, and not needed any more
    limit = NEARLY_FLAT * max(float(np.abs(run.pairs[0]).max()) for run in runs)
    flat, negative = [], []
    for run in runs:
        theta, s = run.pairs
        weights = s[0] ** 2
        flat.append(weights[np.abs(theta) <= limit].sum())
        negative.append(weights[theta < -limit].sum())
    return float(n * np.mean(flat)), float(n * np.mean(negative)), used


def follow(
    objective: Callable[[np.ndarray], float],
    x: np.ndarray,
    direction: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> tuple[float, float]:
    """How far to go along a direction, either way (negative: against it), and by how much f falls there; 0, 0: nowhere.

    Steps grow by factors of 2 from a small one as long as f falls, within the bounds; the best is then refined.
    """
    here = float(objective(x))
    best, step_to = 0.0, 0.0
    unit = 1e-3 * max(1.0, float(np.linalg.norm(x)))
    for sign in (1.0, -1.0):
        step, last = unit, 0.0
        for _ in range(40):
            value = float(objective(np.clip(x + sign * step * direction, lower, upper)))
            gain = here - value
            if not np.isfinite(value) or gain < last:
                break
            if gain > best:
                best, step_to = gain, sign * step
            last = max(gain, 0.0)
            step *= 2.0
    for step in step_to * np.linspace(0.5, 2.0, 31):
        gain = here - float(objective(np.clip(x + step * direction, lower, upper)))
        if gain > best:
            best, step_to = gain, float(step)
    rounding = 100.0 * np.finfo(float).eps * max(1.0, abs(here))
    return (step_to, best) if best > rounding else (0.0, 0.0)
