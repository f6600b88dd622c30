"""Levenberg and Marquardt's method for sums of squares, in More's form: a trust region scaled by the columns of J.

More 1978 (the paper's letters; F is r here, f = |r|^2):

    (J'J + lambda D'D) p = -J'r          (2.4) with |D p| = Delta, or lambda = 0 and |D p| <= Delta
    rho = (|r|^2 - |r(x + p)|^2) / (|J p|^2 + 2 lambda |D p|^2)    (4.4), scaled by |r|^2 there
    D_j = max(D_j, |J e_j|)              (6.3)

Bounds: variables at a bound that the gradient pushes against rest for the step; what would leave the box is put on
its border, and rho compares with the model at that point. With `geodesic` the step is bent by the second derivative
of r along it, from differences (Transtrum and Sethna 2012, eq. 11), where that is small beside it.

Near a minimum the fall of |r|^2 drowns in rounding long before the parameters are exact: undamped steps are then taken
as long as their promise shrinks, so that badly conditioned parameters get all the digits there are.

It ends there, where the undamped step is below the precision asked for (a sum of squares that goes to 0), or where r
is orthogonal to every column of J (More's gtol test); none of them depends on units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from optdsl.methods.curvature import dense_matrix
from optdsl.methods.driver import Ending, Record
from optdsl.methods.iterates import (
    FirstOrder,
    Iterate,
    bound_multipliers,
    inside,
    norm,
    projected_gradient,
)
from optdsl.methods.least_squares import Damped, SparseDamped, dense_damped
from optdsl.nlp import Nlp, Residuals

DENSE = 2e7
"""A Jacobian of at most so many entries (and at most `WIDE` columns) is treated as dense."""
WIDE = 200
ETA = 1e-4
NOTHING = 1e-12
"""A fall of the sum of squares below this share of it is nothing."""
EXACT = 1e-15
"""A cosine below this is 0."""


@dataclass(frozen=True, slots=True, eq=False)
class LeastSquaresState(Iterate):
    """r and J at x, the scales D, the radius Delta, the damping of the last step, and its promise while polishing."""

    r: np.ndarray
    J: np.ndarray
    D: np.ndarray
    radius: float
    damping: float
    unit: float
    promised: float


@dataclass(frozen=True, slots=True)
class LevenbergMarquardt:
    """Settings: `tol` on the gradient, `precision` of the parameters asked for, relative; geodesic acceleration."""

    name: ClassVar[str] = "levenberg_marquardt"
    tol: float = 1e-8
    precision: float = 1e-11
    factor: float = 1.0
    geodesic: bool = False

    def start(self, problem: Nlp) -> LeastSquaresState:
        """The state at the problem's start, moved into the bounds. Raises TypeError without residuals."""
        return self.start_at(problem, problem.start)

    def start_at(self, problem: Nlp, start: np.ndarray) -> LeastSquaresState:
        """The state at another start."""
        residuals = residuals_of(problem)
        x = inside(np.array(start, dtype=float), problem.lower, problem.upper)
        r = residuals.values(x)
        J = residuals.jacobian(x)
        f = _objective(residuals, r)
        state = LeastSquaresState(
            x=x,
            row_multipliers=np.zeros(0),
            bound_multipliers=np.zeros(len(x)),
            record=Record(objective=f, primal=0.0, dual=math.nan),
            ending=Ending.UNDEFINED,
            r=r,
            J=J,
            D=np.ones(len(x)),
            radius=1.0,
            damping=0.0,
            unit=1.0,
            promised=math.inf,
        )
        if not (np.isfinite(r).all() and np.isfinite(J).all()):
            return state
        columns = _column_sizes(residuals, J, len(x))
        D = np.where(columns > 0, columns, 1.0)
        size = float(np.linalg.norm(D * x))
        radius = self.factor * size if size > 0 else self.factor
        unit = FirstOrder(self.tol).unit(_gradient(residuals, r, J, len(x)))
        return self._arrived(problem, residuals, replace(state, D=D, radius=radius, unit=unit), x, r, J, 0.0)

    def step(self, problem: Nlp, state: LeastSquaresState) -> LeastSquaresState:
        """The state one trial step later."""
        residuals = residuals_of(problem)
        x, r, D = state.x, state.r, state.D
        gradient = _gradient(residuals, r, state.J, len(x))
        free = ~(
            ((x <= problem.lower) & (gradient >= 0))
            | ((x >= problem.upper) & (gradient <= 0))
            | (problem.lower == problem.upper)
        )
        damped = _damped(residuals, state.J, r, D, free)
        part, damping = damped.within(state.radius)
        p = np.zeros(len(x))
        p[free] = part
        trial = inside(x + p, problem.lower, problem.upper)
        s = trial - x
        Js = _product(residuals, state.J, s)
        promised = float(-(Js @ Js) - 2 * (r @ Js))
        if self.geodesic and promised > 0:
            # The promise stays that of the straight step: the linear model knows nothing of the bend.
            trial = inside(trial + self._bent(residuals, state, damped, free, p, damping), problem.lower, problem.upper)
            s = trial - x
        if promised <= 0:
            # The border took the fall away: along the scaled gradient it cannot, once the ball is small.
            trial, s, promised = self._along_gradient(problem, residuals, state, gradient, free)
        length = float(np.linalg.norm(D * s))
        rr = float(r @ r)
        if length == 0 or promised <= 0:
            return self._ended(residuals, state, damped, free)
        r_new = residuals.values(trial)
        rr_new = float(r_new @ r_new)
        slack = 1e-15 * rr
        drowned = promised <= 1e-11 * rr
        polishing = drowned and damping == 0.0
        whole = damping == 0.0 and not polishing
        small = whole and length <= self.precision * max(float(np.linalg.norm(D * x)), 1e-300)
        if polishing and (promised >= 0.9 * state.promised or promised <= 1e-30 * rr):
            return self._ended(residuals, state, damped, free)
        rho = (rr - rr_new + slack) / (promised + slack) if math.isfinite(rr_new) else -math.inf
        if rho > ETA or (drowned and abs(rr_new - rr) <= 1e-13 * rr):
            J_new = residuals.jacobian(trial)
            if np.isfinite(J_new).all():
                radius = _new_radius(state.radius, length, 1.0 if drowned else rho, damping)
                left = promised if polishing else math.inf
                after = replace(state, radius=radius, damping=damping, promised=left)
                return self._arrived(problem, residuals, after, trial, r_new, J_new, length, small)
        if small or drowned:
            return self._ended(residuals, state, damped, free)
        return self._refused(state, length, rr, rr_new, float(r @ Js))

    def _ended(
        self, residuals: Residuals, state: LeastSquaresState, damped: Damped, free: np.ndarray
    ) -> LeastSquaresState:
        """No step is left: the linear model promises nothing beyond rounding even without damping, or stuck."""
        p = np.zeros(len(state.x))
        p[free] = damped.step(0.0)
        Jp = _product(residuals, state.J, p)
        promised = float(-(Jp @ Jp) - 2 * (state.r @ Jp))
        settled = state.record.dual <= self.tol * state.unit or promised <= NOTHING * float(state.r @ state.r)
        return replace(state, ending=Ending.CONVERGED if settled else Ending.NO_PROGRESS)

    def _refused(
        self, state: LeastSquaresState, length: float, rr: float, rr_new: float, slope: float
    ) -> LeastSquaresState:
        """The same point with a smaller ball (More 1978, section 4: the minimum of a parabola along the step)."""
        share = 0.1
        if math.isfinite(rr_new):
            bend = rr_new - rr - 2 * slope
            share = min(max(-slope / bend, 0.1), 0.5) if bend > 0 else 0.25
        radius = share * min(state.radius, length)
        spent = radius <= 1e-18 * max(float(np.linalg.norm(state.D * state.x)), 1e-300)
        ending = Ending.NO_PROGRESS if spent else None
        record = replace(state.record, step=0.0, penalty=state.damping)
        return replace(state, radius=radius, record=record, ending=ending)

    def _arrived(
        self,
        problem: Nlp,
        residuals: Residuals,
        state: LeastSquaresState,
        x: np.ndarray,
        r: np.ndarray,
        J: np.ndarray,
        length: float,
        small: bool = False,
    ) -> LeastSquaresState:
        gradient = _gradient(residuals, r, J, len(x))
        shown = projected_gradient(x, gradient, problem.lower, problem.upper)
        columns = _column_sizes(residuals, J, len(x))
        f = _objective(residuals, r)
        bottom = columns * float(np.linalg.norm(r)) * 2 * abs(residuals.scale)
        moving = np.minimum(np.abs(shown), np.abs(gradient))
        cosine = norm(np.where(bottom > 0, moving / np.where(bottom > 0, bottom, 1.0), 0.0))
        ending = None
        if small or cosine <= EXACT or norm(shown) == 0:
            ending = Ending.CONVERGED
        return replace(
            state,
            x=x,
            bound_multipliers=bound_multipliers(x, gradient, problem.lower, problem.upper),
            record=Record(objective=f, primal=0.0, dual=norm(shown), step=length, penalty=state.damping),
            ending=ending,
            r=r,
            J=J,
            D=np.maximum(state.D, columns),
        )

    def _along_gradient(
        self, problem: Nlp, residuals: Residuals, state: LeastSquaresState, gradient: np.ndarray, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """The first of the points P(x - t D^-2 g) whose fall is worth it, |D s| <= Delta: it, s, and the promise."""
        direction = np.where(free, -gradient / state.D**2, 0.0)
        size = float(np.linalg.norm(state.D * direction))
        t = state.radius / size if size > 0 else 0.0
        for _ in range(25):
            trial = inside(state.x + t * direction, problem.lower, problem.upper)
            s = trial - state.x
            Js = _product(residuals, state.J, s)
            promised = float(-(Js @ Js) - 2 * (state.r @ Js))
            if promised >= -0.1 * float(state.r @ Js) and promised > 0:
                return trial, s, promised
            t *= 0.1
        return state.x, np.zeros(len(state.x)), 0.0

    def _bent(
        self,
        residuals: Residuals,
        state: LeastSquaresState,
        damped: Damped,
        free: np.ndarray,
        p: np.ndarray,
        damping: float,
    ) -> np.ndarray:
        """Half the acceleration a, which minimizes |J a + r_pp|^2 + lambda |D a|^2 (eq. 11), if 2|a| <= 0.75 |p|."""
        h = 0.1
        ahead = residuals.values(state.x + h * p)
        if not np.isfinite(ahead).all():
            return np.zeros(len(p))
        second = 2 / h * ((ahead - state.r) / h - _product(residuals, state.J, p))
        again = _damped(residuals, state.J, second, state.D, free)
        a = np.zeros(len(p))
        a[free] = again.step(damping)
        if 2 * np.linalg.norm(state.D * a) > 0.75 * np.linalg.norm(state.D * p):
            return np.zeros(len(p))
        return 0.5 * a


def residuals_of(problem: Nlp) -> Residuals:
    """The residuals of a problem that has them. Raises TypeError of one that has none."""
    if problem.residuals is None:
        raise TypeError("the objective is not a sum of squares of residuals")
    return problem.residuals


def _new_radius(radius: float, length: float, rho: float, damping: float) -> float:
    if rho < 0.25:
        return 0.5 * min(length, radius)
    if rho > 0.75 or damping == 0.0:
        return max(radius, 2 * length) if rho > 0.75 else radius
    return radius


def _is_dense(residuals: Residuals) -> bool:
    p, n = residuals.jacobian_pattern.shape
    return n <= WIDE and p * n <= DENSE


def _damped(residuals: Residuals, J: np.ndarray, r: np.ndarray, D: np.ndarray, free: np.ndarray) -> Damped:
    if _is_dense(residuals):
        whole = dense_matrix(residuals.jacobian_pattern, J)
        return dense_damped(whole, r, D) if free.all() else dense_damped(whole[:, free], r, D[free])
    return SparseDamped(_columns(residuals, J, free), r, D[free])


def _columns(residuals: Residuals, J: np.ndarray, free: np.ndarray) -> sp.csr_array:
    """The free columns of the sparse Jacobian."""
    whole = residuals.jacobian_pattern.matrix(J)
    return whole if free.all() else sp.csr_array(whole[:, np.flatnonzero(free)])


def _product(residuals: Residuals, J: np.ndarray, v: np.ndarray) -> np.ndarray:
    pattern = residuals.jacobian_pattern
    return np.bincount(pattern.rows, J * v[pattern.columns], minlength=pattern.shape[0])


def _gradient(residuals: Residuals, r: np.ndarray, J: np.ndarray, n: int) -> np.ndarray:
    pattern = residuals.jacobian_pattern
    return 2 * residuals.scale * np.bincount(pattern.columns, J * r[pattern.rows], minlength=n)


def _column_sizes(residuals: Residuals, J: np.ndarray, n: int) -> np.ndarray:
    return np.sqrt(np.bincount(residuals.jacobian_pattern.columns, J * J, minlength=n))


def _objective(residuals: Residuals, r: np.ndarray) -> float:
    return residuals.scale * float(r @ r) + residuals.constant
