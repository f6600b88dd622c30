"""What is watched from epoch to epoch: the best parameters, patience, plateaus of the rate, the loss that settles."""

from __future__ import annotations

import math

import numpy as np

ALLOWED = 1e-3
"""A violation of the rows up to this does not count against parameters that are compared."""


class Watch:
    """The best parameters so far and how long ago they were; `arrays` and `numbers` are saved with a run.

    Values are compared as falling ones: of a rising monitored value the negative. Epoch 0 is the start.
    """

    def __init__(self, x: np.ndarray, rising: bool) -> None:
        self.sign = -1.0 if rising else 1.0
        self.arrays: dict[str, np.ndarray] = {"best": x.copy()}
        self.numbers: dict[str, float] = {
            "value": math.inf,
            "violation": math.inf,
            "epoch": 0,
            "waited": 0,
            "cuts": 0,
            "plateau_best": math.inf,
            "plateau_waited": 0,
            "last_loss": math.nan,
            "settled": 0,
        }

    @property
    def untouched(self) -> bool:
        """Whether no parameters were judged yet."""
        return math.isinf(self.numbers["violation"])

    def judge(self, x: np.ndarray, value: float, violation: float, epoch: int) -> None:
        """Takes the parameters after an epoch with their value; the first ones are the best so far."""
        numbers = self.numbers
        value = self.sign * value
        beyond = max(violation - ALLOWED, 0.0)
        if math.isfinite(value) and (beyond, value) < (numbers["violation"], numbers["value"]):
            numbers.update(value=value, violation=beyond, epoch=epoch, waited=0)
            self.arrays["best"][...] = x
        else:
            numbers["waited"] += 1

    def plateau(self, value: float, patience: float, threshold: float) -> None:
        """Counts a cut of the rate where the value has not fallen by the relative threshold for `patience` epochs."""
        numbers = self.numbers
        value = self.sign * value
        best = numbers["plateau_best"]
        if value < best - threshold * abs(best) if math.isfinite(best) else value < best:
            numbers.update(plateau_best=value, plateau_waited=0)
            return
        numbers["plateau_waited"] += 1
        if numbers["plateau_waited"] > patience:
            numbers["cuts"] += 1
            numbers["plateau_waited"] = 0

    def settled(self, loss: float, tolerance: float) -> bool:
        """Whether the loss changed by less than the relative tolerance, two epochs in a row."""
        numbers = self.numbers
        small = abs(loss - numbers["last_loss"]) <= tolerance * max(abs(loss), 1e-300)
        numbers["settled"] = numbers["settled"] + 1 if small else 0
        numbers["last_loss"] = loss
        return numbers["settled"] >= 2
