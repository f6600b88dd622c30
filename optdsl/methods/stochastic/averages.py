"""Averages of the parameters over the steps, in float64 whatever the parameters' type.

polyak: their mean over the second half of the steps (Polyak and Juditsky 1992; the suffix of Rakhlin, Shamir and
Sridharan 2012, section 5). ema: weights that fall by `decay` a step, adding up to 1 (Kingma and Ba 2015, section 7.2).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from optdsl.methods.stochastic.updates import BLOCK

Kind = Literal["none", "polyak", "ema"]


class Average:
    """The average so far: `arrays` has it, `numbers` how many points went in."""

    def __init__(self, kind: Kind, size: int, steps: int, decay: float) -> None:
        self.kind, self.decay = kind, decay
        self.first = steps // 2 if kind == "polyak" else 0
        self.arrays: dict[str, np.ndarray] = {} if kind == "none" else {"mean": np.zeros(size)}
        self.numbers: dict[str, float] = {"points": 0}
        self._scratch = np.zeros(BLOCK)

    @property
    def begun(self) -> bool:
        """Whether there is an average."""
        return self.numbers["points"] > 0

    @property
    def value(self) -> np.ndarray:
        """The average (n,)."""
        return self.arrays["mean"]

    def take(self, x: np.ndarray, step: int) -> None:
        """Takes the point after a step, counted from 0."""
        if self.kind == "none" or step < self.first:
            return
        self.numbers["points"] += 1
        points = self.numbers["points"]
        share = 1 / points if self.kind == "polyak" else (1 - self.decay) / (1 - self.decay**points)
        mean = self.arrays["mean"]
        for first in range(0, len(x), BLOCK):
            block = mean[first : first + BLOCK]
            change = self._scratch[: len(block)]
            np.subtract(x[first : first + BLOCK], block, out=change)
            np.multiply(change, share, out=change)
            np.add(block, change, out=block)
