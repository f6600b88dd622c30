"""Duals of a constraint as it is written, from those of the equivalent form that was solved.

Near an active constraint the solved body is a function of the written one, times a positive factor: their changes
along any direction have one ratio, and the dual of the written form is that of the solved one times this ratio
(the chain rule on the Lagrangian).
"""

from __future__ import annotations

import numpy as np

from optdsl.classify.analysis import Rewritten
from optdsl.model.model import Constraint, Model

STEP = 1e-6
DIRECTIONS = 4


def chain_factor(model: Model, constraint: Constraint, rewritten: Rewritten, x: np.ndarray) -> np.ndarray:
    """d(solved body) / d(written body) at x (n,) for every instance of the constraint; 0 where it cannot be told."""
    frame = model.lanes_of(constraint.over)
    generator = np.random.default_rng(0)
    best = np.zeros(frame.size)
    factor = np.zeros(frame.size)
    size = STEP * np.maximum(1.0, np.abs(x))
    for _ in range(DIRECTIONS):
        step = size * generator.choice([-1.0, 1.0], len(x)) * generator.uniform(0.5, 1.0, len(x))
        changes = []
        for body in (rewritten.written, rewritten.solved):
            ends = []
            for sign in (1.0, -1.0):
                with np.errstate(all="ignore"):
                    ends.append(model.lanes.with_values(x + sign * step).full(body, frame).reshape(-1))
            changes.append(ends[0] - ends[1])
        written, solved = changes
        usable = np.isfinite(written) & np.isfinite(solved) & (np.abs(written) > best)
        factor[usable] = solved[usable] / written[usable]
        best[usable] = np.abs(written[usable])
    return factor
