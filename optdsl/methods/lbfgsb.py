"""L-BFGS-B: limited-memory BFGS within bounds.

Byrd, Lu, Nocedal and Zhu 1995 (the paper's letters and equations); Morales and Nocedal 2011 (the projection after the
subspace minimization).

    B = theta I - W M W',   W = [Y  theta S],   M = [[-D  L'], [L  theta S'S]]^{-1}          (3.2 - 3.4)
    x(t) = P(x - t g);  the generalized Cauchy point is the first local minimizer of the model along x(t)   (4.1)
    then the model is minimized over the variables that are free there (5.7 - 5.11, the direct primal method)
    d = the projected minimizer - x, and a strong Wolfe search along d

Deviation: algorithm CP walks from break point to break point; here the slopes of all pieces of the path are computed at
once from cumulative sums, which is the same numbers, and the first piece that holds a minimizer is looked up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from optdsl.methods.driver import Ending, Record
from optdsl.methods.iterates import (
    ROUNDING,
    FirstOrder,
    Iterate,
    bound_multipliers,
    inside,
    norm,
    projected_gradient,
)
from optdsl.methods.searches import Ray, StrongWolfe
from optdsl.nlp import Nlp

CURVED = 1e-15
"""A pair is kept where y's is above this share of |g's| (section 3: it keeps B positive definite)."""
FLAT = 20
"""So many steps in a row, and one a variable, without a change beyond rounding end a run."""


@dataclass(frozen=True, slots=True, eq=False)
class Compact:
    """B in compact form: theta, W (n, 2k) and M (2k, 2k); k = 0 where nothing is known."""

    S: np.ndarray
    Y: np.ndarray
    theta: float
    W: np.ndarray
    M: np.ndarray

    def product(self, v: np.ndarray) -> np.ndarray:
        """B v."""
        return self.theta * v - self.W @ (self.M @ (self.W.T @ v))


def compact(S: np.ndarray, Y: np.ndarray) -> Compact | None:
    """The form for the pairs in the columns of S and Y (n, k); None where M does not exist."""
    k = S.shape[1]
    if k == 0:
        return Compact(S, Y, 1.0, np.zeros((len(S), 0)), np.zeros((0, 0)))
    SY = S.T @ Y
    theta = float(Y[:, -1] @ Y[:, -1]) / SY[-1, -1]
    L = np.tril(SY, -1)
    inner = np.block([[-np.diag(np.diagonal(SY)), L.T], [L, theta * (S.T @ S)]])
    try:
        M = np.linalg.inv(inner)
    except np.linalg.LinAlgError:
        return None
    return Compact(S, Y, theta, np.hstack([Y, theta * S]), M) if np.isfinite(M).all() else None


@dataclass(frozen=True, slots=True, eq=False)
class BoxState(Iterate):
    """Gradient and model at x; `unit` measures gradients, `flat` and `least` notice the end of progress."""

    gradient: np.ndarray
    model: Compact
    unit: float
    flat: int
    least: float


@dataclass(frozen=True, slots=True)
class LBFGSB:
    """Settings: the tolerance on the projected gradient, and how many pairs are kept."""

    name: ClassVar[str] = "lbfgsb"
    tol: float = 1e-8
    memory: int = 10

    def start(self, problem: Nlp) -> BoxState:
        """The state at the problem's start, moved into the bounds."""
        x = inside(np.array(problem.start, dtype=float), problem.lower, problem.upper)
        f, g = problem.objective(x), problem.gradient(x)
        stopping = FirstOrder(self.tol)
        pg = projected_gradient(x, g, problem.lower, problem.upper)
        unit = stopping.unit(pg)
        defined = math.isfinite(f) and bool(np.isfinite(g).all())
        empty = np.zeros((len(x), 0))
        return BoxState(
            x=x,
            row_multipliers=np.zeros(0),
            bound_multipliers=bound_multipliers(x, g, problem.lower, problem.upper),
            record=Record(objective=f, primal=0.0, dual=norm(pg)),
            ending=stopping.ending(f, norm(pg), unit) if defined else Ending.UNDEFINED,
            gradient=g,
            model=Compact(empty, empty, 1.0, empty, np.zeros((0, 0))),
            unit=unit,
            flat=0,
            least=norm(pg),
        )

    def step(self, problem: Nlp, state: BoxState) -> BoxState:
        """The state one iteration later."""
        x, g, model = state.x, state.gradient, state.model
        lower, upper = problem.lower - x, problem.upper - x
        z, c = cauchy_point(model, g, lower, upper)
        d = minimized(model, g, z, c, lower, upper)
        if float(g @ d) >= 0:
            d = z
        slope = float(g @ d)
        fresh = model.S.shape[1] == 0
        if not slope < 0 or not np.isfinite(d).all():
            return self._again(state, fresh)
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(d > 0, upper / d, np.where(d < 0, lower / d, math.inf))
        longest = max(float(room.min()), 1.0)
        first = min(1.0, 1.0 / float(np.linalg.norm(d))) if fresh else 1.0
        ray = Ray(problem, x, d, state.record.objective, slope, state.record.objective, longest)
        trial = StrongWolfe().along(ray, first)
        if trial is None or trial.gradient is None:
            return self._again(state, fresh)
        # Rounding may carry a step along d past a bound that it ends on.
        x_new, g_new = inside(trial.x, problem.lower, problem.upper), trial.gradient
        pg = projected_gradient(x_new, g_new, problem.lower, problem.upper)
        residual = norm(pg)
        fall = state.record.objective - trial.value
        flat = state.flat + 1 if fall <= ROUNDING * abs(trial.value) and residual >= 0.9 * state.least else 0
        ending = FirstOrder(self.tol).ending(trial.value, residual, state.unit)
        if ending is None and (flat >= FLAT + len(x) or np.array_equal(x_new, x)):
            ending = Ending.NO_PROGRESS
        return replace(
            state,
            x=x_new,
            bound_multipliers=bound_multipliers(x_new, g_new, problem.lower, problem.upper),
            record=Record(objective=trial.value, primal=0.0, dual=residual, step=trial.step),
            ending=ending,
            gradient=g_new,
            model=self._learned(model, x_new - x, g_new - g, g),
            flat=flat,
            least=min(residual, state.least),
        )

    def _again(self, state: BoxState, fresh: bool) -> BoxState:
        """The same point without a memory; the end where there was none."""
        empty = np.zeros((len(state.x), 0))
        return replace(
            state,
            record=replace(state.record, step=0.0),
            ending=Ending.NO_PROGRESS if fresh else None,
            model=Compact(empty, empty, 1.0, empty, np.zeros((0, 0))),
        )

    def _learned(self, model: Compact, s: np.ndarray, y: np.ndarray, g: np.ndarray) -> Compact:
        if not float(s @ y) > CURVED * abs(float(g @ s)):
            return model
        S = np.column_stack([model.S, s])[:, -self.memory :]
        Y = np.column_stack([model.Y, y])[:, -self.memory :]
        return compact(S, Y) or compact(S[:, -1:], Y[:, -1:]) or model


def cauchy_point(model: Compact, g: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z = x^c - x and c = W'z (section 4), in a box that is given relative to x."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(g < 0, upper / -g, np.where(g > 0, lower / -g, math.inf))
    t = np.where(np.isnan(t), math.inf, t)
    d = np.where(t > 0, -g, 0.0)
    order = np.flatnonzero((t > 0) & (t < math.inf))
    order = order[np.argsort(t[order], kind="stable")]
    # Piece j runs from times[j]; the variables order[:j] rest at their bounds there.
    times = np.concatenate([[0.0], t[order]])
    lengths = np.diff(np.append(times, math.inf))
    gone = np.concatenate([[0.0], np.cumsum(g[order] ** 2)])
    dd = np.maximum(float(d @ d) - gone, 0.0)
    if len(order) and not np.isinf(t[d != 0]).any():
        dd[-1] = 0.0
    p = np.vstack([model.W.T @ d, g[order, None] * model.W[order]])
    p = np.cumsum(p, axis=0)
    walked = np.where(np.isfinite(lengths), lengths, 0.0)[:, None] * p
    c = np.vstack([np.zeros(p.shape[1]), np.cumsum(walked, axis=0)[:-1]])
    first = (-1 + model.theta * times) * dd - np.einsum("ij,ij->i", p @ model.M, c)
    second = model.theta * dd - np.einsum("ij,ij->i", p @ model.M, p)
    second = np.maximum(second, 1e-15 * model.theta * max(float(dd[0]), 1e-300))
    best = -first / second
    stops = np.flatnonzero(~(best >= lengths))
    piece = int(stops[0]) if stops.size else len(times) - 1
    further = max(float(best[piece]), 0.0) if math.isfinite(best[piece]) else 0.0
    end = times[piece] + min(further, float(lengths[piece]))
    z = inside(end * d, lower, upper)
    z[order[:piece]] = np.where(g[order[:piece]] < 0, upper[order[:piece]], lower[order[:piece]])
    return z, model.W.T @ z


def minimized(
    model: Compact, g: np.ndarray, z: np.ndarray, c: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """The step to the model's minimizer over the variables free at the Cauchy point, projected into the box."""
    free = (z > lower) & (z < upper)
    if not free.any():
        return z
    W, M, theta = model.W[free], model.M, model.theta
    r = g[free] + theta * z[free] - W @ (M @ c)
    v = M @ (W.T @ r)
    if len(v):
        N = np.eye(len(v)) - M @ (W.T @ W) / theta
        try:
            v = np.linalg.solve(N, v)
        except np.linalg.LinAlgError:
            return z
    step = -(r + W @ v / theta) / theta
    moved = z.copy()
    moved[free] = inside(z[free] + step, lower[free], upper[free])
    if float(g @ moved) < 0:
        return moved
    # The projection turned it uphill: the straight way instead, as far as it stays inside (5.8).
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(step > 0, (upper[free] - z[free]) / step, (lower[free] - z[free]) / step)
    room = np.where(step == 0, math.inf, room)
    moved[free] = z[free] + min(1.0, float(room.min())) * step
    return inside(moved, lower, upper)
