"""Quadratics with kinks: minimize q'(z - x) + (z - x)'H(z - x) / 2 + sum_j lambda_j |z_j| within bounds.

Newton's steps on the orthant that the signs and the steepest descent span (Oztoprak, Nocedal, Rennie and Rinehart
2012): many variables enter and leave at once. Where such a step does not descend, one variable is set to its best.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

STEPS = 200
HALVINGS = 12


def minimized(
    H: np.ndarray,
    q: np.ndarray,
    x: np.ndarray,
    absolute: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """The minimizer z (k,) from x (k,) up to a largest subgradient of `tolerance`."""
    z, r = x.copy(), q.copy()  # r is the quadratic's gradient at z
    for _ in range(STEPS):
        v = _least_subgradient(z, r, absolute, lower, upper)
        if float(np.abs(v).max(initial=0.0)) <= tolerance:
            break
        inside = (z > lower) & (z < upper) & ((z != 0) | (absolute == 0))
        free = np.flatnonzero(inside | (v != 0))
        d = np.zeros(len(z))
        d[free] = -solved(H[np.ix_(free, free)], v[free])
        s = np.where(z != 0, np.sign(z), -np.sign(v))
        low = np.where((absolute > 0) & (s > 0), np.maximum(lower, 0.0), lower)
        high = np.where((absolute > 0) & (s < 0), np.minimum(upper, 0.0), upper)
        moved = _descended(H, r, z, d, absolute, low, high)
        if moved is None:
            moved = _one_moved(H, r, z, v, absolute, lower, upper)
            if moved is None:
                break
        r = r + H @ (moved - z)
        z = moved
    return z


def _least_subgradient(
    z: np.ndarray, r: np.ndarray, absolute: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    right = np.where(z >= upper, np.inf, np.where(z >= 0, r + absolute, r - absolute))
    left = np.where(z <= lower, -np.inf, np.where(z > 0, r + absolute, r - absolute))
    return np.asarray(np.where(right < 0, right, np.where(left > 0, left, 0.0)))


def _descended(
    H: np.ndarray, r: np.ndarray, z: np.ndarray, d: np.ndarray, absolute: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray | None:
    """z + a d, projected onto the orthant, with the first a = 1, 1/2, ... at which the model falls; None: none."""
    a = 1.0
    for _ in range(HALVINGS):
        moved = np.clip(z + a * d, low, high)
        w = moved - z
        fall = float(r @ w + 0.5 * (w @ (H @ w)) + absolute @ (np.abs(moved) - np.abs(z)))
        if fall < 0:
            return moved
        a *= 0.5
    return None


def _one_moved(
    H: np.ndarray,
    r: np.ndarray,
    z: np.ndarray,
    v: np.ndarray,
    absolute: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> np.ndarray | None:
    """The variable from which the most is to be had, at its best."""
    diagonal = np.maximum(np.diag(H), 1e-300)
    j = int(np.argmax(v * v / diagonal))
    h = diagonal[j]
    point = z[j] - r[j] / h
    best = float(np.clip(np.sign(point) * max(abs(point) - absolute[j] / h, 0.0), lower[j], upper[j]))
    if best == z[j]:
        return None
    moved = z.copy()
    moved[j] = best
    return moved


def solved(H: np.ndarray, v: np.ndarray) -> np.ndarray:
    """H^-1 v of a positive semidefinite H, with as little added to its diagonal as makes it definite in rounding."""
    size = float(np.trace(H)) / max(1, len(H))
    shift = 1e-14 * size
    for _ in range(12):
        shifted = H.copy()
        shifted.flat[:: len(H) + 1] += shift
        try:
            return np.asarray(cho_solve(cho_factor(shifted, lower=True, check_finite=False), v, check_finite=False))
        except np.linalg.LinAlgError:
            shift = max(shift * 10.0, 1e-300)
    raise np.linalg.LinAlgError("no diagonal makes it definite")
