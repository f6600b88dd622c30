"""Rows during training: an augmented Lagrangian on the batches' estimates of them.

Notation: c rows, l <= c <= u, y multipliers, rho penalty. The gradient of the augmented Lagrangian is that of f + w'c
with

    w = y + rho (c - P(c + y / rho)) = rho (d - P(d)),   d = c + y / rho,   P the projection onto [l, u]

(Rockafellar 1973; both sides at once as in Conn, Gould and Toint 1991). A batch's c is noisy, and noise that passes
through P biases w, so c is there a running mean over the last batches, `period` of them or an epoch, whichever is less.
After each period the multipliers ascend, y = w at the period's mean (Hestenes 1969; Powell 1969): about 50 times a run.
After five ascents without the violation halved the penalty doubles, up to 100 times the first.

The first penalty balances forces: rho = |g| / (|J'z| v), with g the gradient of f and J'z that of a random sum of
the rows, signs z, from the first batch, and v the largest violation, or a tenth of the rows' size if that is more.
"""

from __future__ import annotations

import numpy as np

from optdsl.methods.stochastic.batches import SIGNS, raw
from optdsl.nlp import FiniteSum

ASCENTS = 50
GROWTH = 100.0
PATIENCE = 5


class Multipliers:
    """The multipliers of a run: `observe` the rows of each batch, then take the `weights` of its gradient."""

    def __init__(self, problem: FiniteSum, steps: int, batches: int, penalty: float = 0.0) -> None:
        self.lower, self.upper = problem.row_lower, problem.row_upper
        m = len(self.lower)
        self.period = max(1, round(steps / ASCENTS))
        self.horizon = min(self.period, batches)
        names = ("multipliers", "running", "period_sum", "epoch_sum")
        self.arrays: dict[str, np.ndarray] = {name: np.zeros(m) for name in names}
        self.numbers: dict[str, float] = {
            "penalty": penalty,
            "first": penalty,
            "seen": 0,
            "in_period": 0,
            "in_epoch": 0.0,
            "ascents": 0,
            "violation": np.inf,
        }

    def prepare(self, problem: FiniteSum, x: np.ndarray, members: np.ndarray | slice, seed: int) -> None:
        """Chooses the first penalty, where none was given."""
        if self.numbers["penalty"] > 0:
            return
        m = len(self.lower)
        signs = np.where(raw(seed, SIGNS, 0, m) & np.uint64(1), 1.0, -1.0)
        plain, weighed = np.zeros_like(x), np.zeros_like(x)
        problem.estimate(x, members, plain)
        problem.estimate(x, members, weighed, signs)
        rows = problem.row_estimates(x, members)
        sides = np.where(np.isfinite(self.upper), self.upper, np.where(np.isfinite(self.lower), self.lower, 0.0))
        size = max(violation(rows, self.lower, self.upper), 0.1 * np.abs(rows).max(), 0.1 * np.abs(sides).max())
        force = float(np.linalg.norm(weighed.astype(np.float64) - plain))
        found = float(np.linalg.norm(plain.astype(np.float64))) / (force * size) if force * size > 0 else 1.0
        self.numbers["penalty"] = self.numbers["first"] = found if np.isfinite(found) and found > 0 else 1.0

    def observe(self, rows: np.ndarray, share: float) -> None:
        """Takes the rows' estimates from a batch that holds this share of the members."""
        numbers, arrays = self.numbers, self.arrays
        numbers["seen"] += 1
        arrays["running"] += (rows - arrays["running"]) / min(numbers["seen"], self.horizon)
        arrays["period_sum"] += rows
        arrays["epoch_sum"] += share * rows
        numbers["in_period"] += 1
        numbers["in_epoch"] += share
        if numbers["in_period"] >= self.period:
            self._ascend(arrays["period_sum"] / numbers["in_period"])
            arrays["period_sum"].fill(0.0)
            numbers["in_period"] = 0

    def _ascend(self, rows: np.ndarray) -> None:
        numbers = self.numbers
        self.arrays["multipliers"] = self._at(rows)
        numbers["ascents"] += 1
        if numbers["ascents"] % PATIENCE == 0:
            now = violation(rows, self.lower, self.upper)
            if now > 0.5 * numbers["violation"] and numbers["penalty"] < GROWTH * numbers["first"]:
                numbers["penalty"] *= 2.0
            numbers["violation"] = now

    def _at(self, rows: np.ndarray) -> np.ndarray:
        moved = rows + self.arrays["multipliers"] / self.numbers["penalty"]
        return self.numbers["penalty"] * (moved - np.clip(moved, self.lower, self.upper))

    def weights(self) -> np.ndarray:
        """w (m,)."""
        return self._at(self.arrays["running"])

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
