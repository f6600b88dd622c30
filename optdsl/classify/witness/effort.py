"""How much work a search may do: counted, not timed, so that a model has the same verdict on every machine."""

from __future__ import annotations

from dataclasses import dataclass

PER_UNIT = 1e8
"""Numbers computed for an effort of 1, about a second on an ordinary processor."""
STEP = 1_000
"""What a walk costs for each node that it passes, in numbers, however few these are."""
PRECISE = 3_000
"""What one number costs in exact or higher precision."""
PROGRAM = 200_000
"""What a linear program costs at least."""


@dataclass(eq=False)
class Effort:
    """Work done so far and allowed, both in numbers computed."""

    allowed: float
    done: float = 0.0

    @staticmethod
    def of(units: float) -> Effort:
        """An allowance in units of about a second."""
        return Effort(units * PER_UNIT)

    @property
    def spent(self) -> bool:
        return self.done > self.allowed

    @property
    def left(self) -> float:
        return max(0.0, self.allowed - self.done)

    def add(self, work: float) -> None:
        """Count work that is about to be done, or has been."""
        self.done += work

    def mark(self, share: float) -> float:
        """The count at which a stage with this share of the whole is over."""
        return min(self.allowed, self.done + share * self.allowed)
