"""Nesterov's accelerated gradient with a line search for the step and a restart where momentum does harm.

Nesterov 1983; Beck and Teboulle 2009 (the backtracking of L, section 4); O'Donoghue and Candes 2015 (restarts).

    x_{k+1} = y_k - g(y_k) / L_k,   L_k grown until f(x_{k+1}) <= f(y_k) - |g(y_k)|^2 / (2 L_k)      (BT 2.6, 4.1)
    t_{k+1} = (1 + sqrt(1 + 4 t_k^2)) / 2                                                            (BT 4.2)
    y_{k+1} = x_{k+1} + (t_k - 1) / t_{k+1} (x_{k+1} - x_k)                                           (BT 4.3)

The momentum is dropped (t = 1, y = x) where f(x_{k+1}) > f(x_k) or g(y_k)'(x_{k+1} - x_k) > 0 (OC eq. 12, 13): then
the next step is one of plain gradient descent, which also makes it safe where f is not convex. Deviation: L is tried
smaller by a tenth at every step, so that it follows the curvature down too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from optdsl.methods.driver import Ending, Record
from optdsl.methods.iterates import FirstOrder, Iterate, norm
from optdsl.methods.searches import noise
from optdsl.nlp import Nlp


@dataclass(frozen=True, slots=True, eq=False)
class NesterovState(Iterate):
    """x holds y_k, where the gradient is known; `last` is x_k with its value; L and t as in the paper."""

    gradient: np.ndarray
    last: np.ndarray
    last_value: float
    L: float
    t: float
    unit: float


@dataclass(frozen=True, slots=True)
class Nesterov:
    """Settings: the tolerance on the gradient."""

    name: ClassVar[str] = "nesterov"
    tol: float = 1e-8

    def start(self, problem: Nlp) -> NesterovState:
        """The state at the problem's start."""
        x = np.array(problem.start, dtype=float)
        f, g = problem.objective(x), problem.gradient(x)
        stopping = FirstOrder(self.tol)
        unit = stopping.unit(g)
        defined = math.isfinite(f) and bool(np.isfinite(g).all())
        return NesterovState(
            x=x,
            row_multipliers=np.zeros(0),
            bound_multipliers=np.zeros(len(x)),
            record=Record(objective=f, primal=0.0, dual=norm(g)),
            ending=stopping.ending(f, norm(g), unit) if defined else Ending.UNDEFINED,
            gradient=g,
            last=x,
            last_value=f,
            L=max(float(np.linalg.norm(g)), 1e-12),
            t=1.0,
            unit=unit,
        )

    def step(self, problem: Nlp, state: NesterovState) -> NesterovState:
        """The state one iteration later."""
        y, g, f_y = state.x, state.gradient, state.record.objective
        gg = float(g @ g)
        slack = noise(f_y)
        # Where the fall drowns in rounding, nothing can be learned about L.
        L = 0.9 * state.L if gg / (2 * state.L) > 100 * slack else state.L
        for _ in range(100):
            x = y - g / L
            f = problem.objective(x)
            if f <= f_y - gg / (2 * L) + slack:
                break
            L *= 2
        else:
            return replace(state, ending=Ending.NO_PROGRESS)
        s = x - state.last
        harmful = f > state.last_value + 10 * slack or float(g @ s) > 0
        t = 1.0 if harmful else 0.5 * (1 + math.sqrt(1 + 4 * state.t**2))
        y_new = x if harmful else x + (state.t - 1) / t * s
        f_new, g_new = (f if harmful else problem.objective(y_new)), problem.gradient(y_new)
        if not (math.isfinite(f_new) and np.isfinite(g_new).all()):
            # Momentum left the domain.
            t, y_new, f_new, g_new = 1.0, x, f, problem.gradient(x)
        if harmful and f > state.last_value + 10 * slack:
            # Back to the better point, from which a plain step goes down.
            x, f = state.last, state.last_value
            y_new, f_new, g_new = x, f, problem.gradient(x)
        residual = norm(g_new)
        ending = FirstOrder(self.tol).ending(f_new, residual, state.unit)
        if ending is None and (not np.isfinite(g_new).all() or np.array_equal(y_new, y)):
            ending = Ending.NO_PROGRESS
        return replace(
            state,
            x=y_new,
            record=Record(objective=f_new, primal=0.0, dual=residual, step=1 / L),
            ending=ending,
            gradient=g_new,
            last=x,
            last_value=f,
            L=L,
            t=t,
        )
