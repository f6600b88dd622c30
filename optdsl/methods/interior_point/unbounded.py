"""Whether the objective falls forever along a ray from a point, all rows and bounds kept."""

from __future__ import annotations

import numpy as np

from optdsl.nlp import Nlp

BELOW = -1e20
"""An objective below this counts as one without a lower end."""
ROUNDING, CLEAN = 1e-9, 1e-7


def ray(
    problem: Nlp, x: np.ndarray, direction: np.ndarray, feasibility: float, scale: float
) -> np.ndarray | None:
    """The direction (n,), of length 1, when the objective times `scale` falls below `BELOW` along it; else None.

    Steps are multiplied by ten until it has fallen that far; at each the objective must have fallen further and rows
    must hold within `feasibility` and the rounding of numbers of that size. Entries that are noise beside the largest
    are dropped first, as are those that lead out of the bounds.
    """
    largest = float(np.abs(direction).max(initial=0.0))
    if not np.isfinite(largest) or largest == 0.0:
        return None
    r = np.where(np.abs(direction) > CLEAN * largest, direction, 0.0) / largest
    r[(r > 0) & np.isfinite(problem.upper)] = 0.0
    r[(r < 0) & np.isfinite(problem.lower)] = 0.0
    if not r.any():
        return None
    pattern = problem.jacobian_pattern
    rows = len(problem.row_lower)
    # How much a row's value is worth beside its terms: the sum of |derivative| over the variables that move.
    slope = np.bincount(
        pattern.rows, weights=np.abs(problem.jacobian(x) * r[pattern.columns]), minlength=rows
    )
    last = float(problem.objective(x))
    step = max(1.0, float(np.abs(x).max()))
    for _ in range(45):
        w = x + step * r
        value = float(problem.objective(w))
        if np.isnan(value) or not value < last:
            return None
        values = problem.constraints(w)
        outside = np.maximum(problem.row_lower - values, values - problem.row_upper)
        room = feasibility * np.maximum(1.0, np.abs(values)) + ROUNDING * step * slope
        if not (outside <= room).all():
            return None
        if value * scale < BELOW:
            return np.asarray(r / np.linalg.norm(r))
        last, step = value, 10.0 * step
    return None
