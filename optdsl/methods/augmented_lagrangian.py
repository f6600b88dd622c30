"""The augmented Lagrangian and the penalty methods: problems with rows as a sequence of problems with bounds only.

Conn, Gould and Toint 1991 (algorithm 1; Nocedal and Wright 2006, algorithm 17.4), with the augmented Lagrangian of
Powell, Hestenes and Rockafellar, which needs no slack variables (as Andreani, Birgin, Martinez and Schuverdt 2007):

    inner    minimize F(x) = f + rho/2 dist(c + y/rho, [l, u])^2 within the bounds, to |P(x - F') - x| <= omega
    y+       = rho (c + y/rho - nearest point of [l, u])
    v        = |y+ - y| / rho: how far the rows are from holding, and from complementarity
    if v <= eta:  y = y+,  eta = eta / rho^0.9,  omega = omega / rho
    else:         rho = 10 rho,  eta = 1 / rho^0.1,  omega = 1 / rho

The quadratic penalty method (NW framework 17.1) keeps y = 0. The exact penalty method (NW framework 17.2) takes rho
times the violations themselves, rounded off by an epsilon that goes to 0 with rho fixed, unless rows stay violated.

The inner problems are solved by the trust region of `optdsl.methods.trust_region`, by L-BFGS-B where there are neither
few variables nor a sparse Hessian. Objective and rows are scaled at the start so that no gradient there has an entry
above 100. Deviation: rho grows by 10 (100 in the paper), from a first value that balances f and the violations (as in
Andreani, Birgin, Martinez and Schuverdt 2007, section 5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from optdsl.methods.driver import FEASIBLE, Ending, Record
from optdsl.methods.iterates import Iterate, inside, norm, violation
from optdsl.methods.lbfgsb import LBFGSB
from optdsl.methods.penalized import Absolute, Multipliers, Penalized, Shape
from optdsl.methods.sqp_form import violations
from optdsl.methods.trust_region import TrustRegion
from optdsl.nlp import Nlp

HIGHEST = 1e12
"""A penalty parameter beyond this has failed."""
INNER = 1000
"""An inner problem gets so many iterations at most."""


@dataclass(frozen=True, slots=True, eq=False)
class PenaltyState(Iterate):
    """The inner problem, its state and its iterations; y, rho, epsilon, eta, omega of the outer loop.

    `last` is how far the rows were from their goal, `stalled` counts updates that hardly changed that.
    """

    inner_problem: Penalized
    inner: Any
    y: np.ndarray
    rho: float
    epsilon: float
    eta: float
    omega: float
    inner_count: int
    last: float
    stalled: int


@dataclass(frozen=True, slots=True)
class PenaltyFrame:
    """What the three methods share; `shape` and `outer` are theirs."""

    tol: float = 1e-8
    feasibility: float = 1e-8
    penalty: float = 0.0

    def start(self, problem: Nlp) -> PenaltyState:
        """The first inner problem at the problem's start, moved into the bounds."""
        x = inside(np.array(problem.start, dtype=float), problem.lower, problem.upper)
        f, g, c = problem.objective(x), problem.gradient(x), problem.constraints(x)
        A = problem.jacobian_pattern.matrix(problem.jacobian(x))
        rows = np.asarray(abs(A).max(axis=1).todense()).ravel() if A.shape[0] and A.nnz else np.zeros(len(c))
        defined = math.isfinite(f) and all(np.isfinite(v).all() for v in (g, c, rows))
        scales = 1.0 / np.maximum(1.0, rows / 100) if defined else np.ones(len(c))
        weight = 1.0 / max(1.0, norm(g) / 100) if defined else 1.0
        v = scales * violations(problem, c)
        rho = self.penalty or min(max(10 * weight * abs(f) / max(float(v @ v), 1e-3), 1.0), 100.0)
        y = np.zeros(len(c))
        eta, omega = min(0.1, 1 / rho**0.1), min(0.1, 1 / rho)
        shape = self.shape(y, rho, 1.0)
        wrapped = Penalized(problem, shape, scales, weight, x)
        state = PenaltyState(
            x=x,
            row_multipliers=y,
            bound_multipliers=np.zeros(len(x)),
            record=Record(objective=f, primal=violation(problem, c), dual=norm(g), penalty=rho),
            ending=Ending.UNDEFINED,
            inner_problem=wrapped,
            inner=None,
            y=y,
            rho=rho,
            epsilon=1.0,
            eta=eta,
            omega=omega,
            inner_count=0,
            last=math.inf,
            stalled=0,
        )
        return self._inner_started(problem, replace(state, ending=None), x) if defined else state

    def shape(self, y: np.ndarray, rho: float, epsilon: float) -> Shape:
        """What the rows become."""
        raise NotImplementedError

    def outer(self, state: PenaltyState, distance: float, y_new: np.ndarray) -> PenaltyState:
        """The outer loop's parameters after an inner problem, whose rows are `distance` away from their goal."""
        raise NotImplementedError

    def step(self, problem: Nlp, state: PenaltyState) -> PenaltyState:
        """The state after one iteration on the inner problem, or after the outer loop's update where that has ended."""
        if state.inner.ending is None and state.inner_count < INNER:
            inner = self._solver(problem, state).step(state.inner_problem, state.inner)
            return self._seen(problem, replace(state, inner=inner, inner_count=state.inner_count + 1))
        if state.inner.ending is Ending.UNBOUNDED:
            return self._fallen(problem, state)
        c = problem.constraints(state.x)
        _, slope, _ = state.inner_problem.terms(state.x)
        distance = self.distance(problem, state, c, slope)
        small = max(self.feasibility, 1e-15 * norm(state.inner_problem.scales * np.abs(c)))
        dual = state.inner.record.dual
        holds = violation(problem, c) <= max(self.feasibility, FEASIBLE, 1e-13 * norm(c))
        if holds and distance <= small and dual <= 10 * self.tol * max(1.0, norm(slope) / 100):
            return replace(state, ending=Ending.CONVERGED)
        stalled = state.stalled + 1 if distance > 0.5 * state.last else 0
        after = replace(self.outer(state, distance, slope), last=distance, stalled=stalled)
        if after.rho > HIGHEST or after.epsilon < 1e-14 or stalled > 12:
            return replace(state, ending=self._failure(problem, state, c))
        return self._inner_started(problem, after, state.x)

    def distance(self, problem: Nlp, state: PenaltyState, c: np.ndarray, slope: np.ndarray) -> float:
        """How far the rows are from holding."""
        return norm(state.inner_problem.scales * violations(problem, c))

    def _fallen(self, problem: Nlp, state: PenaltyState) -> PenaltyState:
        """The inner objective fell without end: unbounded where the rows hold there, else the penalty was too low."""
        primal = violation(problem, problem.constraints(state.x))
        if primal <= 1e-6 * max(1.0, norm(state.x)) or state.rho >= 1e8:
            return replace(state, ending=Ending.UNBOUNDED)
        start = inside(np.array(problem.start, dtype=float), problem.lower, problem.upper)
        return self._inner_started(problem, replace(state, rho=100 * state.rho), start)

    def _failure(self, problem: Nlp, state: PenaltyState, c: np.ndarray) -> Ending:
        """Whether the violations have no descent direction at the end of a run that did not get rid of them."""
        v = violations(problem, c)
        if norm(v) <= 1e-6:
            return Ending.NO_PROGRESS
        signed = np.where(c > problem.row_upper, v, -v)
        pattern = problem.jacobian_pattern
        A = problem.jacobian(state.x)
        gradient = np.bincount(pattern.columns, A * signed[pattern.rows], minlength=len(state.x))
        moved = state.x - inside(state.x - gradient, problem.lower, problem.upper)
        stuck = norm(moved) <= 1e-4 * max(1.0, norm(A)) * norm(v)
        return Ending.LOCALLY_INFEASIBLE if stuck else Ending.NO_PROGRESS

    def _solver(self, problem: Nlp, state: PenaltyState) -> Any:
        tol = max(state.omega, self.tol)
        if state.inner_problem.hessian_pattern is not None or problem.hessian_pattern is not None:
            return TrustRegion(tol=tol)
        return LBFGSB(tol=tol)

    def _inner_started(self, problem: Nlp, state: PenaltyState, x: np.ndarray) -> PenaltyState:
        old = state.inner_problem
        shape = self.shape(state.y, state.rho, state.epsilon)
        wrapped = Penalized(problem, shape, old.scales, old.weight, x)
        after = replace(state, inner_problem=wrapped, inner_count=0)
        inner = self._solver(problem, after).start(wrapped)
        return self._seen(problem, replace(after, inner=inner))

    def _seen(self, problem: Nlp, state: PenaltyState) -> PenaltyState:
        """The state as seen from outside, unscaled."""
        wrapped, inner = state.inner_problem, state.inner
        _, slope, _ = wrapped.terms(inner.x)
        record = Record(
            objective=problem.objective(inner.x),
            primal=violation(problem, problem.constraints(inner.x)),
            dual=inner.record.dual / wrapped.weight,
            step=inner.record.step,
            penalty=state.rho,
        )
        ending = None
        if inner.ending in (Ending.UNDEFINED,):
            ending = Ending.NO_PROGRESS
        return replace(
            state,
            x=inner.x,
            row_multipliers=wrapped.scales * slope / wrapped.weight,
            bound_multipliers=inner.bound_multipliers / wrapped.weight,
            record=record,
            ending=ending,
        )


@dataclass(frozen=True, slots=True)
class AugmentedLagrangian(PenaltyFrame):
    """Settings: tolerance, largest violation at the end, first penalty parameter (0: from the start)."""

    name: ClassVar[str] = "augmented_lagrangian"

    def shape(self, y: np.ndarray, rho: float, epsilon: float) -> Shape:
        """The augmented Lagrangian's."""
        return Multipliers(y, rho)

    def distance(self, problem: Nlp, state: PenaltyState, c: np.ndarray, slope: np.ndarray) -> float:
        """How far the rows are from holding and from complementarity."""
        return max(norm(slope - state.y) / state.rho, norm(state.inner_problem.scales * violations(problem, c)))

    def outer(self, state: PenaltyState, distance: float, y_new: np.ndarray) -> PenaltyState:
        """NW algorithm 17.4."""
        if distance <= max(state.eta, self.feasibility):
            rate = max(state.rho, 10.0)
            return replace(state, y=y_new, eta=state.eta / rate**0.9, omega=state.omega / rate)
        rho = 10 * state.rho
        return replace(state, rho=rho, eta=1 / rho**0.1, omega=min(0.1, 1 / rho))


@dataclass(frozen=True, slots=True)
class QuadraticPenalty(PenaltyFrame):
    """Settings: tolerance, largest violation at the end, first penalty parameter (0: from the start)."""

    name: ClassVar[str] = "quadratic_penalty"
    tol: float = 1e-6
    feasibility: float = 1e-6

    def shape(self, y: np.ndarray, rho: float, epsilon: float) -> Shape:
        """The quadratic penalty."""
        return Multipliers(np.zeros_like(y), rho)

    def outer(self, state: PenaltyState, distance: float, y_new: np.ndarray) -> PenaltyState:
        """NW framework 17.1."""
        return replace(state, rho=10 * state.rho, omega=state.omega / 10)


@dataclass(frozen=True, slots=True)
class ExactPenalty(PenaltyFrame):
    """Settings: tolerance, largest violation at the end, first penalty parameter (0: from the start)."""

    name: ClassVar[str] = "exact_penalty"
    tol: float = 1e-6
    feasibility: float = 1e-7

    def shape(self, y: np.ndarray, rho: float, epsilon: float) -> Shape:
        """rho times the violations, rounded off."""
        return Absolute(rho, epsilon)

    def distance(self, problem: Nlp, state: PenaltyState, c: np.ndarray, slope: np.ndarray) -> float:
        """How far the rows are from holding, and those that push from their sides."""
        side = np.where(slope > 0, problem.row_upper, problem.row_lower)
        gap = state.inner_problem.scales * np.abs(c - np.where(np.isfinite(side), side, c))
        return max(norm(np.minimum(np.abs(slope), gap)), norm(state.inner_problem.scales * violations(problem, c)))

    def outer(self, state: PenaltyState, distance: float, y_new: np.ndarray) -> PenaltyState:
        """Sharper, and heavier where rho is not well above all multipliers (NW 17.2 and theorem 17.3)."""
        rho = 4 * state.rho if norm(y_new) > 0.5 * state.rho else state.rho
        return replace(state, rho=rho, epsilon=0.1 * state.epsilon, omega=state.omega / 10)
