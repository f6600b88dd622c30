"""Whether the least value is reached at a point at all, or only approached ever further out.

Logistic losses on data that a hyperplane separates fall along it forever. Such losses are self-concordant in the
sense of Bach (2010, section 2): where Newton's step moves all their rows little, a minimizer is near (proposition 3);
along a direction of endless descent each step moves some row by about 1 however far out it starts.
"""

from __future__ import annotations

import numpy as np

from optdsl.methods.composite.problem import Composite

MOVES = 1e-2
"""Rows that Newton's step moves by more have no minimizer nearby."""
BLIND = 1e-13
"""Eigenvalues below this share of the largest are rounding."""


def may_run_off(problem: Composite) -> bool:
    """Whether a loss may fall forever along directions that no penalty and no pair of bounds holds."""
    free = ~problem.held & (problem.absolute == 0)
    return bool(free.any()) and not all(part.loss.attained for part in problem.parts)


def attained(problem: Composite, x: np.ndarray) -> bool:
    """Whether a minimizer exists near x (n,), where the first-order conditions nearly hold.

    Only directions that no penalty and no pair of bounds holds matter: along the others the objective rises.
    """
    fading = [k for k, part in enumerate(problem.parts) if not part.loss.attained]
    free = np.flatnonzero(~problem.held & (problem.absolute == 0) & (x > problem.lower) & (x < problem.upper))
    if not fading or not len(free):
        return True
    rows = problem.rows(x)
    H = np.diag(problem.ridge[free])
    slope = problem.cost[free] + 0.0
    moves = []
    for k, (part, t) in enumerate(zip(problem.parts, rows, strict=True)):
        a = part.operator.taken(free)
        if part.loss.smooth:
            root = a * np.sqrt(part.curvature(t))[:, None]
            H = H + root.T @ root
        slope = slope + part.slope(t) @ a
        if k in fading:
            moves.append(a)
    size = np.sqrt(np.maximum(np.diag(H), 0.0))
    size[size == 0] = 1.0
    values, vectors = np.linalg.eigh(H / np.outer(size, size))
    seen = values > BLIND * max(1.0, float(values.max(initial=0.0)))
    inner = vectors[:, seen]
    step = (inner @ ((inner.T @ (slope / size)) / values[seen])) / size
    return all(float(np.abs(a @ step).max(initial=0.0)) <= MOVES for a in moves)
