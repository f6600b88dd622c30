"""Where a local method starts: the point given, else one inside bounds and the domains of all functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optdsl.engine.domains import domains_of
from optdsl.engine.lower import Lowering
from optdsl.engine.problem import ArrayProblem, ModelProblem
from optdsl.engine.space import Space
from optdsl.methods.driver import Limits, drive
from optdsl.methods.interior_point import InteriorPoint
from optdsl.model.model import Model
from optdsl.nlp import Pattern

MARGIN = 1e-2
"""How far inside a domain a start is put, where there is room."""


@dataclass(frozen=True, eq=False)
class Start:
    """A start (n,) and what a person should know about it; `defined` tells whether all functions have values there."""

    x: np.ndarray
    defined: bool
    note: str = ""


def start_of(model: Model, problem: ModelProblem) -> Start:
    """The start of a local method for a problem whose `start` may hold NaN."""
    lower, upper = problem.lower, problem.upper
    given = np.isfinite(problem.start)
    with np.errstate(all="ignore"):
        x = np.where(given, np.clip(problem.start, lower, upper), _default(lower, upper))
        if defined(problem, x):
            return Start(x, True)
        for candidate in _candidates(x, lower, upper, ~given):
            if defined(problem, candidate):
                return Start(candidate, True, "the start was moved to where all functions are defined")
        found = _inside_domains(model, problem, x)
        if found is not None:
            return Start(found, True, "a start was searched for at which all functions are defined")
    return Start(x, False)


def defined(problem: ArrayProblem, x: np.ndarray) -> bool:
    """Whether values and first derivatives are finite at a point."""
    return bool(
        np.isfinite(problem.objective(x))
        and np.isfinite(problem.constraints(x)).all()
        and np.isfinite(problem.gradient(x)).all()
        and np.isfinite(problem.jacobian(x)).all()
    )


def _default(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """0 where bounds allow it or there are none; the middle of a box; inside a half-line by a unit or a tenth."""
    middle = 0.5 * (lower + upper)
    above = lower + np.maximum(1.0, 0.1 * np.abs(lower))
    below = upper - np.maximum(1.0, 0.1 * np.abs(upper))
    boxed = np.isfinite(lower) & np.isfinite(upper)
    one_sided = np.where(np.isfinite(lower), np.where(lower < 0, 0.0, above), np.where(upper > 0, 0.0, below))
    free = ~np.isfinite(lower) & ~np.isfinite(upper)
    return np.where(free, 0.0, np.where(boxed, middle, one_sided))


def _candidates(x: np.ndarray, lower: np.ndarray, upper: np.ndarray, open_: np.ndarray) -> Iterator[np.ndarray]:
    """Points to try: the entries that were not given moved first, then all of them; the same for every run."""
    random = np.random.default_rng(20)
    low = np.maximum(lower, x - 3.0)
    high = np.maximum(low, np.minimum(upper, x + 3.0))  # domains may have crossed the bounds
    for free in (open_, np.ones(len(x), dtype=bool)):
        if not free.any():
            continue
        for number in (1.0, 0.5, 2.0, 0.1, 10.0, -1.0):
            yield np.where(free, np.clip(number, lower, upper), x)
        for _ in range(12):
            yield np.where(free, low + (high - low) * random.random(len(x)), x)


# ----------------------------------------------------------------------------------------------- search in domains


class _Nearest(ArrayProblem):
    """The point nearest to `origin` at which the domain conditions hold: ½|x - origin|² over rows and bounds."""

    def __init__(self, origin: np.ndarray, rows: list[Space], sides: tuple[np.ndarray, np.ndarray], near: ModelProblem):
        super().__init__(None, rows, sides, (near.lower, near.upper), origin)
        self.origin = origin

    def objective(self, x: np.ndarray) -> float:
        return 0.5 * float(((x - self.origin) ** 2).sum())

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return x - self.origin

    @property
    def hessian_pattern(self) -> Pattern:
        """The rows' pattern with the diagonal."""
        inner = super().hessian_pattern
        n = np.arange(self.width)
        rows, columns = (n, n) if inner is None else (np.append(inner.rows, n), np.append(inner.columns, n))
        keys, self._spread = np.unique(rows * self.width + columns, return_inverse=True)
        return Pattern(keys // self.width, keys % self.width, (self.width, self.width))

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        pattern = self.hessian_pattern
        inner = super().hessian(x, multipliers, 0.0)
        whole = np.concatenate([inner, np.full(self.width, weight)])
        return np.bincount(self._spread, weights=whole, minlength=pattern.size)

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        return super().hessian_product(x, multipliers, direction, 0.0) + weight * direction


def _inside_domains(model: Model, problem: ModelProblem, x: np.ndarray) -> np.ndarray | None:
    """A point near x inside all domains, by the interior point method on the domains' conditions; None: not found."""
    spaces = [domain.space for domain in domains_of(Lowering(model))]
    if not spaces:
        return None
    lowest = np.full(sum(space.lanes for space in spaces), MARGIN)
    for margin in (1.0, 1e-4):
        near = _Nearest(x, spaces, (lowest * margin, np.full(len(lowest), np.inf)), problem)
        outcome = drive(InteriorPoint(tolerance=1e-4), near, Limits(iterations=200, seconds=10.0))
        if defined(problem, outcome.x):
            return outcome.x
    return None
