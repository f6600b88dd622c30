"""Sums of squares: Levenberg and Marquardt's method with linear parameters projected out, and Newton's where it crawls.

Three runs, one after the other, each from where the last one ended:

    projected   Levenberg-Marquardt over the parameters that are not linear (variable projection), where some are
    whole       Levenberg-Marquardt over all parameters
    newton      where that makes no headway, because residuals stay large and curved (the part of the Hessian that
                J'J leaves out; Dennis, Gay and Welsch 1981 switch for the same reason): the trust region with
                exact Hessians; afterwards Levenberg-Marquardt again, for the last digits
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from optdsl.methods.driver import Ending
from optdsl.methods.iterates import Iterate
from optdsl.methods.levenberg_marquardt import LeastSquaresState, LevenbergMarquardt
from optdsl.methods.trust_region import TrustRegion, TrustRegionState
from optdsl.methods.variable_projection import Projected, linear_parameters
from optdsl.nlp import Nlp

CRAWL = 1e-3
"""A step that lowers the objective by less than this share makes no headway."""
PATIENCE = 12
"""After so many of them in a row Newton's method takes over."""
POLISH = 20
"""The last digits get so many steps."""

Phase = Literal["projected", "whole", "newton", "polish"]


@dataclass(frozen=True, slots=True, eq=False)
class PhasedState(Iterate):
    """The state of the method that runs inside; `count` is the steps without headway, or those of the polish."""

    phase: Phase
    inner: LeastSquaresState | TrustRegionState
    projected: Projected | None
    count: int


@dataclass(frozen=True, slots=True)
class SumsOfSquares:
    """Settings: those of Levenberg and Marquardt's method, and which of the other runs there are."""

    name: ClassVar[str] = "levenberg_marquardt"
    inner: LevenbergMarquardt = field(default_factory=LevenbergMarquardt)
    projection: bool = True
    newton: bool = True

    def start(self, problem: Nlp) -> PhasedState:
        """The state at the problem's start, moved into the bounds. Raises TypeError without residuals."""
        if self.projection:
            linear = linear_parameters(problem)
            if linear.any() and not linear.all():
                projected = Projected(problem, linear)
                inner = self.inner.start(projected)  # type: ignore[arg-type]
                if inner.ending is not Ending.UNDEFINED:
                    return _seen("projected", inner, projected)
        return _seen("whole", self.inner.start(problem), None)

    def step(self, problem: Nlp, state: PhasedState) -> PhasedState:
        """The state one step later; where a run has ended, the first state of the next."""
        inner = state.inner
        if isinstance(inner, TrustRegionState):
            if inner.ending is None:
                return _seen("newton", TrustRegion(self.inner.tol).step(problem, inner), None)
            return _seen("polish", self.inner.start_at(problem, state.x), None)
        if state.projected is not None:
            if inner.ending is None:
                after = self.inner.step(state.projected, inner)  # type: ignore[arg-type]
                return _seen("projected", after, state.projected)
            start = self.inner.start_at(problem, state.x)
            return _seen("whole", self.inner.start(problem) if start.ending is Ending.UNDEFINED else start, None)
        after = self.inner.step(problem, inner)
        if state.phase == "polish":
            count = state.count + 1
            seen = _seen("polish", after, None, count)
            done = after.ending is not None or count >= POLISH
            return replace(seen, ending=Ending.CONVERGED) if done else seen
        return self._whole(problem, state, inner, after)

    def _whole(
        self, problem: Nlp, state: PhasedState, before: LeastSquaresState, after: LeastSquaresState
    ) -> PhasedState:
        """After a step over all parameters: whether Newton's method takes over."""
        fall = before.record.objective - after.record.objective
        count = state.count + 1 if fall <= CRAWL * abs(after.record.objective) else 0
        has_hessian = problem.hessian_pattern is not None or len(state.x) <= 50
        crawls = after.ending is Ending.NO_PROGRESS or (after.ending is None and count >= PATIENCE)
        if not (self.newton and has_hessian and crawls):
            return _seen("whole", after, None, count)
        newton = TrustRegion(self.inner.tol).start_at(problem, after.x)
        if newton.ending is not None and newton.ending is not Ending.CONVERGED:
            return _seen("whole", after, None, 0)
        return _seen("newton", newton, None)


def _seen(
    phase: Phase, inner: LeastSquaresState | TrustRegionState, projected: Projected | None, count: int = 0
) -> PhasedState:
    """The state as seen from outside: with all parameters, and going on where only a part of the way has ended."""
    x, z, ending = inner.x, inner.bound_multipliers, inner.ending
    if projected is not None:
        x, ending = projected.whole(inner.x), None
        z = np.zeros(len(x))
        z[~projected.linear] = inner.bound_multipliers
    if phase == "newton" and ending is Ending.CONVERGED:
        ending = None
    return PhasedState(x, inner.row_multipliers, z, inner.record, ending, phase, inner, projected, count)
