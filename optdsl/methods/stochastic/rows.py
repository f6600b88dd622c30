"""Rows during training: an augmented Lagrangian on the batches' estimates of them.

Notation: c rows, l <= c <= u, J their Jacobian, y multipliers, rho penalty. The gradient of the augmented Lagrangian is
that of f + w'c with

    w = y + rho (c - P(c + y / rho)) = rho (d - P(d)),   d = c + y / rho,   P the projection onto [l, u]

(Rockafellar 1973; both sides at once as in Conn, Gould and Toint 1991). In it c is the running mean over the last few
batches before this one: it is independent of this batch's J, so their product is unbiased where P does not bend.

After each period (about 50 of them in a run) the multipliers ascend: y = w at the period's mean of c (Hestenes 1969;
Powell 1969). The penalty makes the added curvature rho |J d|^2 that of the Lagrangian itself along d = J'z, z random
signs, or along its gradient where that is more; both by differences on one batch. So a rate that suits the objective
suits the sum, and the pair of steps x' = -a (H x + J'(y + rho c)), y' = rho c / period decays as fast as x alone would
(its characteristic polynomial is s^2 + 2 a h s + a h / period, h the curvature). It is found anew at each ascent, and
after 2, 4, 8, ... batches at first, where J changes most.

Limit: where batches disagree about a row much more than it may be violated, its J by one batch is mostly noise, the
penalty small, and the multipliers need more epochs or larger batches to find their size.
"""

from __future__ import annotations

import numpy as np

from optdsl.methods.stochastic.batches import SIGNS, raw
from optdsl.nlp import FiniteSum

ASCENTS = 50
HORIZON = 4
GROWTH = 4.0


class Multipliers:
    """The multipliers of a run: `weights` of a batch's gradient, then `observe` its rows."""

    def __init__(self, problem: FiniteSum, steps: int, batches: int, penalty: float, seed: int) -> None:
        self.lower, self.upper = problem.row_lower, problem.row_upper
        m = len(self.lower)
        self.period = max(1, round(steps / ASCENTS))
        self.fixed, self.exact = penalty > 0, batches == 1
        self.signs = np.where(raw(seed, SIGNS, 0, m) & np.uint64(1), 1.0, -1.0)
        names = ("multipliers", "running", "period_sum", "epoch_sum")
        self.arrays: dict[str, np.ndarray] = {name: np.zeros(m) for name in names}
        self.numbers: dict[str, float] = {"penalty": penalty, "seen": 0, "in_period": 0, "in_epoch": 0.0}

    def weights(self, rows: np.ndarray) -> np.ndarray:
        """w (m,) for a batch whose rows these are; they count only where all members are in it."""
        return self._at(rows if self.exact or not self.numbers["seen"] else self.arrays["running"])

    @property
    def last(self) -> np.ndarray:
        """w (m,) at the rows' running mean."""
        return self._at(self.arrays["running"])

    def observe(
        self, problem: FiniteSum, x: np.ndarray, members: np.ndarray | slice, rows: np.ndarray, share: float
    ) -> None:
        """Takes the rows' estimates at x from a batch that holds this share of the members."""
        numbers, arrays = self.numbers, self.arrays
        numbers["seen"] += 1
        arrays["running"] += (rows - arrays["running"]) / min(numbers["seen"], 1 if self.exact else HORIZON)
        arrays["period_sum"] += rows
        arrays["epoch_sum"] += share * rows
        numbers["in_period"] += 1
        numbers["in_epoch"] += share
        seen, ascends = int(numbers["seen"]), numbers["in_period"] >= self.period
        if ascends:
            arrays["multipliers"] = self._at(arrays["period_sum"] / numbers["in_period"])
            arrays["period_sum"].fill(0.0)
            numbers["in_period"] = 0
        if not self.fixed and seen > 1 and (ascends or seen & (seen - 1) == 0):
            found = self._balanced(problem, x, members, rows) if self._bends(rows) else 0.0
            if np.isfinite(found) and found > 0:
                before = numbers["penalty"]
                numbers["penalty"] = min(found, GROWTH * before) if before > 0 else found

    def _bends(self, rows: np.ndarray) -> bool:
        """Whether a row counts: only then a penalty adds curvature that could be weighed."""
        if self.numbers["penalty"] <= 0:
            return True
        return bool(self._at(rows).any() and self.last.any())

    def _at(self, rows: np.ndarray) -> np.ndarray:
        penalty = self.numbers["penalty"]
        if penalty <= 0:
            return self.arrays["multipliers"].copy()
        moved = rows + self.arrays["multipliers"] / penalty
        return penalty * (moved - np.clip(moved, self.lower, self.upper))

    def _balanced(self, problem: FiniteSum, x: np.ndarray, members: np.ndarray | slice, rows: np.ndarray) -> float:
        """The penalty that adds as much curvature as there is."""
        y = self.arrays["multipliers"]

        def gradient(at: np.ndarray, weights: np.ndarray) -> np.ndarray:
            found = np.zeros_like(x)
            problem.estimate(at, members, found, weights)
            return found.astype(np.float64)

        here = gradient(x, y)
        step = (1e-2 if x.dtype == np.float32 else 1e-4) * max(1.0, float(np.linalg.norm(x)))
        curvatures = [0.0]
        change = 0.0
        for direction in (gradient(x, y + self.signs) - here, here):
            size = float(np.linalg.norm(direction))
            if size == 0:
                return 0.0
            there = (x + (step / size) * direction).astype(x.dtype)
            curvatures.append(abs(float((gradient(there, y) - here) @ direction)) / (size * step))
            if change == 0:
                change = float(np.square((problem.row_estimates(there, members) - rows) / step).sum())
        curvature = max(curvatures) or float(np.linalg.norm(here)) / max(1.0, float(np.linalg.norm(x)))
        return curvature / change if change > 0 else 0.0

    def end_epoch(self) -> float:
        """The largest violation of a row by its mean over the epoch; the next epoch begins."""
        mean = self.arrays["epoch_sum"] / max(self.numbers["in_epoch"], 1e-300)
        self.arrays["epoch_sum"].fill(0.0)
        self.numbers["in_epoch"] = 0.0
        return violation(mean, self.lower, self.upper)


def violation(rows: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """The largest violation, 0 without rows."""
    if not len(rows):
        return 0.0
    return float(np.maximum(np.maximum(lower - rows, rows - upper), 0.0).max())
