"""Quadratic models in a ball: minimize g'p + p'Bp / 2 subject to |p| <= Delta, exactly or by conjugate gradients.

Exact (More and Sorensen 1983): p solves it if and only if, for some sigma >= 0, (B + sigma I) p = -g,
sigma (Delta - |p|) = 0 and B + sigma I is positive semidefinite (theorem 2.4 and lemmas 2.1, 2.3). Deviation: where
the Newton step does not fit, one spectral factorization of B replaces their sequence of Cholesky factorizations; the
iteration for sigma (their 3.2: Newton on 1/Delta - 1/|p|) is the same, and the hard case becomes visible.

Conjugate gradients (Steihaug 1983; Nocedal and Wright 2006, algorithm 7.2) stop at the boundary, at negative
curvature, or at the accuracy asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg


@dataclass(frozen=True, slots=True, eq=False)
class BallStep:
    """A step, the fall of the model it promises, and whether it ends on the boundary."""

    p: np.ndarray
    fall: float
    boundary: bool


def exact_step(B: np.ndarray, g: np.ndarray, delta: float) -> BallStep:
    """The global minimizer of the model in the ball, B dense (k, k). Entries that are not finite count as 0."""
    if not np.isfinite(B).all():  # second derivatives overflow before values do
        B = np.where(np.isfinite(B), B, 0.0)
    p = newton_step(B, g)
    if p is not None and np.linalg.norm(p) <= delta:
        return BallStep(p, _fall(B, g, p), False)
    values, vectors = np.linalg.eigh(B)
    c = vectors.T @ g
    return _spectral_step(values, vectors, c, delta)


def newton_step(B: np.ndarray, g: np.ndarray) -> np.ndarray | None:
    """-B^{-1} g where B is positive definite beyond rounding, else None."""
    try:
        factor = np.linalg.cholesky(B)
    except np.linalg.LinAlgError:
        return None
    pivots = np.diagonal(factor)
    if pivots.size and pivots.min() ** 2 <= 1e-14 * pivots.max() ** 2:
        return None
    return -np.asarray(scipy.linalg.cho_solve((factor, True), g))


def _spectral_step(values: np.ndarray, vectors: np.ndarray, c: np.ndarray, delta: float) -> BallStep:
    """The same from eigenvalues (ascending), eigenvectors, and g in their basis."""
    lowest = float(values[0])
    d = values - lowest
    # mu = sigma + lowest >= max(0, lowest); in the basis, p = -c / (d + mu).
    least = max(lowest, 0.0)
    zero = (d + least == 0) | (c == 0)
    inner = np.where(zero, 0.0, -c / np.where(zero, 1.0, d + least))
    if not np.any((d + least == 0) & (c != 0)) and np.linalg.norm(inner) <= delta:
        if lowest >= 0:
            p = vectors @ inner
            return BallStep(p, float(-(c @ inner) - 0.5 * (values @ inner**2)), False)
        # The hard case: along the lowest eigenvector to the boundary.
        inner[0] += math.copysign(math.sqrt(max(delta**2 - float(inner @ inner), 0.0)), -c[0])
        return BallStep(vectors @ inner, float(-(c @ inner) - 0.5 * (values @ inner**2)), True)
    # From the left, Newton on 1/Delta - 1/|p| climbs to the root without passing it (More and Sorensen, lemma 3.1).
    mu = max(least, float((np.abs(c) / delta - d).max()))
    for _ in range(60):
        bottom = d + mu
        inner = np.where(c == 0, 0.0, -c / np.where(bottom == 0, 1.0, bottom))
        size = float(np.linalg.norm(inner))
        if size <= delta * (1 + 1e-12):
            break
        slope = float((inner**2 / np.where(bottom == 0, 1.0, bottom)).sum())
        mu += (size - delta) / delta * size * size / slope
    return BallStep(vectors @ inner, float(-(c @ inner) - 0.5 * (values @ inner**2)), True)


def _fall(B: np.ndarray, g: np.ndarray, p: np.ndarray) -> float:
    return float(-(g @ p) - 0.5 * (p @ (B @ p)))


def steihaug_step(
    product: Callable[[np.ndarray], np.ndarray], g: np.ndarray, delta: float, accuracy: float, most: int
) -> BallStep:
    """An approximate minimizer (NW algorithm 7.2): until |residual| <= accuracy, or `most` products."""
    p = np.zeros_like(g)
    r = g.copy()
    d = -r
    rr = float(r @ r)
    Bp = np.zeros_like(g)
    boundary = False
    for _ in range(most):
        if math.sqrt(rr) <= accuracy:
            break
        Bd = product(d)
        curvature = float(d @ Bd)
        if not math.isfinite(curvature):
            break
        a = rr / curvature if curvature > 0 else math.inf
        to_boundary = to_sphere(p, d, delta)
        if not a < to_boundary:
            p = p + to_boundary * d
            Bp = Bp + to_boundary * Bd
            boundary = True
            break
        p = p + a * d
        Bp = Bp + a * Bd
        r = r + a * Bd
        rr_new = float(r @ r)
        d = -r + (rr_new / rr) * d
        rr = rr_new
    return BallStep(p, float(-(g @ p) - 0.5 * (p @ Bp)), boundary)


def to_sphere(p: np.ndarray, d: np.ndarray, delta: float) -> float:
    """t >= 0 with |p + t d| = Delta, for |p| <= Delta."""
    a, b, c = float(d @ d), float(p @ d), float(p @ p) - delta * delta
    if a == 0:
        return 0.0
    root = math.sqrt(max(b * b - a * c, 0.0))
    return (root - b) / a if b <= 0 else max(-c, 0.0) / (root + b)
