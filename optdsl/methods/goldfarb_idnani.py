"""Small strictly convex quadratic programs by the dual active-set method of Goldfarb and Idnani 1983.

    minimize g'x + x'Gx / 2   subject to   C x = b for the first rows,  C x >= b for the others

The paper's letters: N holds the normals of the active set A, u its multipliers; with G = L L', L^-1 N = Q [R; 0] and

    J = L^-T Q = [J1 J2],   z = J2 J2' n+  (step in x),   r = R^-1 J1' n+  (step in u)      (section 4)

The point is always the minimizer over its active set, so there is no first phase: a problem without a feasible point
shows itself by an unlimited dual step. Deviations: J and R are computed anew by a QR factorization at every change of
the active set instead of being updated (at these sizes one LAPACK call is cheaper than rotations in Python), and the
constraint that enters is the most violated one in units of its normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr
from scipy.linalg.lapack import dtrtrs

ROUNDING = 1e-12
"""A row counts as violated beyond this share of the sizes of its terms."""
DEPENDENT = 1e-9
"""Normals are dependent, and equalities among them consistent, to this accuracy."""
NEARLY = 1e-9
"""A row that cannot be satisfied exactly is given up below this share."""


@dataclass(frozen=True, slots=True, eq=False)
class Quadratic:
    """The minimizer and the multipliers of all rows: >= 0 for inequalities, any sign for equalities."""

    x: np.ndarray
    multipliers: np.ndarray
    active: tuple[int, ...]


def minimize_quadratic(
    L: np.ndarray,
    g: np.ndarray,
    C: np.ndarray,
    b: np.ndarray,
    equalities: int,
    warm: tuple[int, ...] = (),
) -> Quadratic | None:
    """The solution for G = L L' (L lower triangular); None where the rows contradict each other or numbers fail.

    `warm` are inequalities that are likely to be active: where they all are, one factorization is enough.
    """
    k = len(b)
    norms = np.sqrt(np.einsum("ij,ij->i", C, C))
    scales = np.where(norms > 0, norms, 1.0)
    M = dtrtrs(L, C.T, lower=1)[0] if k else np.zeros((len(g), 0))
    h = dtrtrs(L, g, lower=1)[0]
    # In the variables v = L'x: minimize h'v + v'v / 2 subject to M'v >= b.
    sizes = np.abs(M.T)
    # v is a difference of parts as large as h, whose rounding reaches all its entries.
    parts = np.sqrt(np.einsum("ij,ij->i", sizes, sizes)) * float(np.linalg.norm(h))
    for rows in (warm, ()) if warm else ((),):
        state = _start(M, h, b, equalities, rows)
        for _ in range(50 + 10 * (k + len(g))):
            if state is None:
                break
            v, u, active = state
            terms = sizes @ np.abs(v) + np.abs(b)
            slack = (M.T @ v - b + ROUNDING * terms + 1e-15 * parts) / scales
            slack[list(active)] = 0.0
            slack[:equalities] = 0.0
            entering = int(slack.argmin()) if k else -1
            if k == 0 or slack[entering] >= 0:
                off = np.abs(M.T @ v - b) > DEPENDENT * (terms + parts)
                return None if off[:equalities].any() else _finished(L, v, u, active, k)
            state = _enter(M, b, v, u, active, equalities, entering)
            if state is None and slack[entering] * scales[entering] >= -NEARLY * terms[entering]:
                # Rows that meet in one point contradict each other by rounding.
                return _finished(L, v, u, active, k)
    return None


State = tuple[np.ndarray, np.ndarray, tuple[int, ...]]


def _start(M: np.ndarray, h: np.ndarray, b: np.ndarray, equalities: int, warm: tuple[int, ...]) -> State | None:
    """The minimizer over the equalities and, where their multipliers have the right sign, over the warm rows too."""
    first = tuple(range(equalities))
    if warm and len(warm) + equalities <= len(h):
        guess = _over(M, h, b, first + warm)
        if guess is not None and (len(warm) == 0 or guess[1][equalities:].min() >= 0):
            return guess
    if not first:
        return -h, np.zeros(0), ()
    return _over(M, h, b, first) or _over(M, h, b, _independent(M, equalities))


def _independent(M: np.ndarray, equalities: int) -> tuple[int, ...]:
    """Equalities that are independent of each other, as many as there are."""
    sizes = np.maximum(np.sqrt(np.einsum("ij,ij->j", M[:, :equalities], M[:, :equalities])), 1e-300)
    _, R, order = qr(M[:, :equalities] / sizes, mode="economic", pivoting=True)
    rank = int((np.abs(np.diagonal(R)) > DEPENDENT).sum())
    return tuple(sorted(int(j) for j in order[:rank]))


def _over(M: np.ndarray, h: np.ndarray, b: np.ndarray, active: tuple[int, ...]) -> State | None:
    """min h'v + v'v/2 subject to equality in the active rows: v = -h + N u with N'N u = b + N'h."""
    N = M[:, list(active)]
    Q, R = np.linalg.qr(N)
    pivots = np.abs(np.diagonal(R))
    if len(active) > len(h) or (pivots.size and pivots.min() <= 1e-11 * max(pivots.max(), 1e-300)):
        return None
    # v = Q R^-T b - (I - Q Q') h, and u from R u = Q'(v + h).
    w = dtrtrs(R, b[list(active)], trans=1)[0]
    v = Q @ w - (h - Q @ (Q.T @ h))
    u = dtrtrs(R, Q.T @ (v + h))[0]
    return v, u, active


def _enter(
    M: np.ndarray, b: np.ndarray, v: np.ndarray, u: np.ndarray, active: tuple[int, ...], equalities: int, entering: int
) -> State | None:
    """Steps 2 of the algorithm: a row becomes active, and rows whose multipliers would change sign leave."""
    n_plus = M[:, entering]
    u_plus = 0.0
    while True:
        if active:
            Q, R = np.linalg.qr(M[:, list(active)])
            d = Q.T @ n_plus
            z = n_plus - Q @ d
            z -= Q @ (Q.T @ z)
            r = dtrtrs(R, d)[0]
        else:
            z, r = n_plus, np.zeros(0)
        # Longest step in the dual: an inequality's multiplier must stay >= 0.
        fixed = sum(row < equalities for row in active)
        shrinking = np.flatnonzero(r[fixed:] > 0) + fixed
        t1, leaving = math.inf, -1
        if shrinking.size:
            ratios = u[shrinking] / r[shrinking]
            place = int(ratios.argmin())
            t1, leaving = max(float(ratios[place]), 0.0), int(shrinking[place])
        # Step in the primal: to the row itself, where its normal does not depend on the active ones.
        zz = float(z @ z)
        independent = zz > 1e-14 * float(n_plus @ n_plus) and len(active) < len(v)
        t2 = (b[entering] - float(n_plus @ v)) / zz if independent else math.inf
        t = min(t1, t2)
        if t == math.inf or math.isnan(t):
            return None
        if t2 < math.inf:
            v = v + t * z
        u = u - t * r
        u_plus += t
        if t == t2:
            return v, np.append(u, u_plus), (*active, entering)
        active = active[:leaving] + active[leaving + 1 :]
        u = np.delete(u, leaving)


def _finished(L: np.ndarray, v: np.ndarray, u: np.ndarray, active: tuple[int, ...], k: int) -> Quadratic:
    multipliers = np.zeros(k)
    multipliers[list(active)] = u
    return Quadratic(dtrtrs(L, v, lower=1, trans=1)[0], multipliers, active)
