"""Searches along a direction: backtracking, non-monotone too, and strong Wolfe; all cut back from nan and infinity.

Notation: phi(a) = f(x + a d), with slope phi'(a) = f'(x + a d)'d; c1 and c2 are the constants of sufficient decrease
and of curvature. Values that are nan or infinite count as too high, which cuts the step back into the domain.

Sources: Nocedal and Wright 2006, algorithms 3.1, 3.5 and 3.6; Grippo, Lampariello and Lucidi 1986 (reference values);
Hager and Zhang 2005, eq. 4.1 (acceptance by slopes where differences of values are rounding).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from optdsl.methods.iterates import FALLEN
from optdsl.nlp import Nlp


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A point along a ray: its step length, value, gradient where it was needed, and slope (nan where it was not)."""

    step: float
    x: np.ndarray
    value: float
    gradient: np.ndarray | None = None
    slope: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Ray:
    """f along x + a d from a known point; `reference` >= f(x) is what non-monotone searches compare with.

    No trial is longer than `longest`; a search that still falls there may stop there.
    """

    problem: Nlp
    x: np.ndarray
    direction: np.ndarray
    value: float
    slope: float
    reference: float
    longest: float = math.inf

    def at(self, step: float) -> Trial:
        """The point at a step length, without its gradient."""
        x = self.x + step * self.direction
        value = self.problem.objective(x)
        return Trial(step, x, value if math.isfinite(value) or value == -math.inf else math.inf)

    def with_slope(self, trial: Trial) -> Trial:
        """The same with gradient and slope; one whose gradient is not finite counts as outside the domain."""
        if trial.gradient is not None:
            return trial
        gradient = self.problem.gradient(trial.x)
        slope = float(gradient @ self.direction)
        if not math.isfinite(slope) or not np.isfinite(gradient).all():
            return Trial(trial.step, trial.x, math.inf)
        return Trial(trial.step, trial.x, trial.value, gradient, slope)


class Search(Protocol):
    """A rule that finds a step length along a ray; `window` is how many values the reference is the largest of."""

    @property
    def window(self) -> int: ...

    def along(self, ray: Ray, first: float) -> Trial | None:
        """An acceptable point with its gradient, tried from step `first` on; None where there is none."""


@dataclass(frozen=True, slots=True)
class Armijo:
    """Backtracking with safeguarded quadratic interpolation until f falls enough (NW algorithm 3.1).

    With `window` > 1 it compares with the largest of so many last values (Grippo, Lampariello and Lucidi 1986, eq. 3).
    """

    decrease: float = 1e-4
    most: int = 60
    window: int = 1

    def along(self, ray: Ray, first: float) -> Trial | None:
        """An acceptable point with its gradient, tried from step `first` on; None where there is none."""
        found = self.below(ray.at, ray.reference, ray.value, ray.slope, first)
        for _ in range(self.most):
            if found is None:
                return None
            known = ray.with_slope(found)
            if known.gradient is not None:
                return known
            found = self.below(ray.at, ray.reference, ray.value, ray.slope, 0.2 * found.step)
        return None

    def below(
        self,
        at: Callable[[float], Trial],
        reference: float,
        value: float,
        slope: float,
        first: float,
    ) -> Trial | None:
        """The first trial with phi(a) <= reference + c1 a phi'(0); `reference` > phi(0) makes it non-monotone."""
        a = first
        slack = noise(value)
        for _ in range(self.most):
            trial = at(a)
            if trial.value <= reference + self.decrease * a * slope + slack:
                return trial
            a = shortened(a, value, slope, trial.value)
            if a * abs(slope) < 1e-3 * slack and trial.value < math.inf:
                return None
        return None


def shortened(a: float, value: float, slope: float, tried: float) -> float:
    """The minimizer of the parabola through phi(0), phi'(0), phi(a), kept within [0.1, 0.5] a; outside 0.2 a."""
    if not math.isfinite(tried):
        return 0.2 * a
    curvature = tried - value - a * slope
    best = -0.5 * slope * a * a / curvature if curvature > 0 else 0.5 * a
    return min(max(best, 0.1 * a), 0.5 * a)


def noise(value: float) -> float:
    """How far two values of about this size may differ by rounding alone."""
    return 4 * np.finfo(float).eps * abs(value)


@dataclass(frozen=True, slots=True)
class StrongWolfe:
    """A step with enough decrease and a slope small enough (NW algorithms 3.5 and 3.6, eq. 3.7).

    Deviations: a trial outside the domain becomes the upper end of the bracket; where phi(a) and phi(0) differ by
    rounding only, the step is accepted by its slope (Hager and Zhang 2005, eq. 4.1); when the bracket is spent, the
    best point with enough decrease is taken, although its slope is too steep.
    """

    decrease: float = 1e-4
    curvature: float = 0.9
    most: int = 40

    @property
    def window(self) -> int:
        """It compares with the last value only."""
        return 1

    def along(self, ray: Ray, first: float) -> Trial | None:
        """An acceptable point with its gradient, tried from step `first` on; None where there is none."""
        slack = 100 * noise(ray.value)
        low = Trial(0.0, ray.x, ray.value, slope=ray.slope)
        a, wall = min(first, ray.longest), math.inf
        for count in range(self.most):
            trial = ray.at(a)
            if trial.value < math.inf:
                trial = self._judged(ray, trial, low, slack)
            if trial.value == math.inf:
                # Outside the domain: between here and `low` there is still room to go.
                wall = a
                a = low.step + 0.2 * (wall - low.step)
                if wall - low.step <= 1e-16 * max(wall, 1e-300) or (low.step == 0 and a < 1e-30 * first):
                    break
                continue
            if trial.value < FALLEN:
                return ray.with_slope(trial)
            if self._too_high(ray, trial, low, slack):
                return self._zoom(ray, low, trial, slack, self.most - count)
            if self._is_flat(ray, trial) or (trial.slope < 0 and a >= ray.longest):
                return trial
            if trial.slope >= 0:
                return self._zoom(ray, trial, low, slack, self.most - count)
            grown = _cubic(low, trial)
            low = trial
            longest = 10 * a if wall == math.inf else a + 0.9 * (wall - a)
            a = min(max(grown, 2 * a if wall == math.inf else a + 0.2 * (wall - a)), longest, ray.longest)
        return low if low.step > 0 else None

    def _judged(self, ray: Ray, trial: Trial, low: Trial, slack: float) -> Trial:
        """The trial with its slope where that will be needed."""
        return trial if self._too_high(ray, trial, low, slack) else ray.with_slope(trial)

    def _too_high(self, ray: Ray, trial: Trial, low: Trial, slack: float) -> bool:
        if trial.value > ray.value + self.decrease * trial.step * ray.slope + slack:
            return True
        return low.step > 0 and trial.value > low.value + slack

    def _is_flat(self, ray: Ray, trial: Trial) -> bool:
        return abs(trial.slope) <= -self.curvature * ray.slope

    def _zoom(self, ray: Ray, low: Trial, high: Trial, slack: float, most: int) -> Trial | None:
        """NW algorithm 3.6: `low` is the best end with enough decrease, and its slope points towards `high`."""
        width = abs(high.step - low.step)
        for _ in range(most):
            a = _cubic(low, high)
            here = abs(high.step - low.step)
            near, far = min(low.step, high.step), max(low.step, high.step)
            margin = 0.1 * here
            # Bisection whenever two interpolations together have not halved the bracket.
            slow = here > 0.66 * width and most < self.most
            a = 0.5 * (near + far) if slow else min(max(a, near + margin), far - margin)
            width = here
            most -= 1
            if here <= 1e-15 * max(far, 1e-300) or here * abs(ray.slope) < 1e-3 * slack:
                break
            trial = ray.at(a)
            if trial.value < math.inf:
                trial = self._judged(ray, trial, low, slack)
            if trial.value == math.inf or self._too_high(ray, trial, low, slack):
                high = trial
                continue
            if self._is_flat(ray, trial):
                return trial
            if trial.slope * (high.step - low.step) >= 0:
                high = low
            low = trial
        return low if low.step > 0 else None


def _cubic(one: Trial, other: Trial) -> float:
    """The minimizer of the cubic through two values and slopes (NW eq. 3.59); a parabola where one slope is unknown."""
    d = other.step - one.step
    if not math.isfinite(other.value):
        return one.step + 0.2 * d
    if math.isnan(other.slope):
        if math.isnan(one.slope):
            return one.step + 0.5 * d
        bend = other.value - one.value - one.slope * d
        return one.step - 0.5 * one.slope * d * d / bend if bend > 0 else one.step + 0.5 * d
    d1 = one.slope + other.slope - 3 * (one.value - other.value) / (one.step - other.step)
    inner = d1 * d1 - one.slope * other.slope
    if inner < 0:
        return one.step + 0.5 * d
    d2 = math.copysign(math.sqrt(inner), d)
    bottom = other.slope - one.slope + 2 * d2
    return other.step - d * (other.slope + d2 - d1) / bottom if bottom != 0 else one.step + 0.5 * d
