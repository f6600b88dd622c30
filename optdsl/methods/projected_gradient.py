"""Spectral projected gradients: for sets that are projected onto in closed form (boxes, simplices, balls).

Birgin, Martinez and Raydan 2000, algorithm SPG2:

    d_k = P(x_k - lambda_k g_k) - x_k
    x_{k+1} = x_k + a d_k with f(x_{k+1}) <= max of the last `window` values + gamma a g_k'd_k      (step 2)
    lambda_{k+1} = min(lambda_max, max(lambda_min, s's / s'y)), lambda_max where s'y <= 0            (step 3)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from optdsl.methods.driver import Ending, Record
from optdsl.methods.iterates import ROUNDING, FirstOrder, Iterate, norm, violation
from optdsl.methods.projections import SimpleSet, simple_set
from optdsl.methods.searches import Armijo, Ray
from optdsl.nlp import Nlp

LEAST, MOST = 1e-30, 1e30
"""lambda_min and lambda_max."""
FLAT = 200
"""So many steps in a row, and one a variable, without a change beyond rounding end a run."""


@dataclass(frozen=True, slots=True, eq=False)
class ProjectedGradientState(Iterate):
    """Gradient, the set, lambda, and the last values; `flat` and `least` notice the end of progress."""

    gradient: np.ndarray
    set: SimpleSet
    spectral: float
    recent: tuple[float, ...]
    unit: float
    flat: int
    least: float


@dataclass(frozen=True, slots=True)
class ProjectedGradient:
    """Settings: the tolerance on the projected gradient, and how many last values the search looks at."""

    name: ClassVar[str] = "projected_gradient"
    tol: float = 1e-8
    window: int = 10

    def start(self, problem: Nlp) -> ProjectedGradientState:
        """The state at the projection of the start. Raises TypeError where a row is neither a simplex nor a ball."""
        found = simple_set(problem)
        if found is None:
            raise TypeError("a row is neither a simplex nor a ball")
        x = found.project(np.array(problem.start, dtype=float))
        f, g = problem.objective(x), problem.gradient(x)
        size = norm(found.project(x - g) - x)
        unit = FirstOrder(self.tol).unit(np.array([size]))
        zeros = np.zeros(len(problem.row_lower))
        state = ProjectedGradientState(
            x=x,
            row_multipliers=zeros,
            bound_multipliers=np.zeros(len(x)),
            record=Record(objective=f, primal=0.0, dual=size),
            ending=Ending.UNDEFINED,
            gradient=g,
            set=found,
            spectral=min(MOST, max(LEAST, 1.0 / size)) if size > 0 else 1.0,
            recent=(f,),
            unit=unit,
            flat=0,
            least=size,
        )
        if not (math.isfinite(f) and np.isfinite(g).all()):
            return state
        return self._arrived(problem, state, x, f, g, math.nan)

    def step(self, problem: Nlp, state: ProjectedGradientState) -> ProjectedGradientState:
        """The state one iteration later."""
        x, g = state.x, state.gradient
        d = state.set.project(x - state.spectral * g) - x
        slope = float(g @ d)
        if not slope < 0:
            return replace(state, ending=Ending.NO_PROGRESS)
        ray = Ray(problem, x, d, state.record.objective, slope, max(state.recent))
        trial = Armijo(window=self.window).along(ray, 1.0)
        if trial is None or trial.gradient is None:
            return replace(state, ending=Ending.NO_PROGRESS)
        s, y = trial.x - x, trial.gradient - g
        sy = float(s @ y)
        spectral = min(MOST, max(LEAST, float(s @ s) / sy)) if sy > 0 else min(MOST, 10 * state.spectral)
        recent = (*state.recent, trial.value)[-self.window :]
        fall = max(state.recent) - trial.value
        after = replace(
            state,
            spectral=spectral,
            recent=recent,
            flat=state.flat + 1 if fall <= ROUNDING * abs(trial.value) else 0,
        )
        return self._arrived(problem, after, trial.x, trial.value, trial.gradient, trial.step)

    def _arrived(
        self, problem: Nlp, state: ProjectedGradientState, x: np.ndarray, f: float, g: np.ndarray, step: float
    ) -> ProjectedGradientState:
        residual = norm(state.set.project(x - g) - x)
        ending = FirstOrder(self.tol).ending(f, residual, state.unit)
        better = residual < 0.9 * state.least
        if ending is None and state.flat >= FLAT + len(x) and not better:
            ending = Ending.NO_PROGRESS
        m = len(state.row_multipliers)
        y, z = state.row_multipliers, state.bound_multipliers
        if ending is not None:
            y, z = state.set.multipliers(x, g, m)
        primal = violation(problem, problem.constraints(x)) if m and ending is not None else 0.0
        return replace(
            state,
            x=x,
            row_multipliers=y,
            bound_multipliers=z,
            record=Record(objective=f, primal=primal, dual=residual, step=step),
            ending=ending,
            gradient=g,
            flat=0 if better else state.flat,
            least=min(residual, state.least),
        )
