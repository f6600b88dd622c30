"""Sequential quadratic programming with an active-set solver, for small dense problems.

Nocedal and Wright 2006, algorithm 18.3; Powell 1978 (damped BFGS, weights of the merit function).

    d_k minimizes g_k'd + d'B_k d / 2  subject to  A_k d + c_k on the right sides             (NW 18.11)
    phi_1(x; w) = f(x) + sum_i w_i |violation_i(x)|,   w_i = max(|y_i|, (w_i + |y_i|) / 2)    (Powell 1978, 4.4)
    x_{k+1} = x_k + a d_k,  a = 1, 1/2, ... until phi_1 falls by 1e-4 a D                     (NW 18.28)
    D = g_k'd_k - sum_i w_i (violation_i - what is left of it in the linearized rows)

B_k is the exact Hessian of the Lagrangian, made positive definite without changing the program's solution where that
can be had: a multiple of the active normals' A'A is added, with the gradient that it has at the solution taken off
(the augmented Lagrangian's Hessian, NW 17.4); else by its eigenvalues. Or it is Powell's damped BFGS matrix:

    r = theta y + (1 - theta) B s,   theta = 1 if s'y >= 0.2 s'Bs else 0.8 s'Bs / (s'Bs - s'y)   (NW 18.14, 18.15)

A full step that raises the merit function gets one second-order correction (NW 18.36). Where the linearized rows
contradict each other, they are relaxed at a quadratic price (elastic mode); where their violation cannot be reduced
from the point, the run ends as locally infeasible. Deviation: with exact Hessians, B_k gets a multiple of the identity
that grows when steps had to be cut hard, and fades when they had not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from optdsl.methods.curvature import dense_symmetric
from optdsl.methods.driver import Ending, Record
from optdsl.methods.goldfarb_idnani import minimize_quadratic
from optdsl.methods.iterates import FALLEN, Iterate, inside, norm
from optdsl.methods.searches import noise
from optdsl.methods.sqp_form import Evaluated, Form, complementarity, evaluated, form_of, violations
from optdsl.nlp import Nlp

ARMIJO = 1e-4
DROWNED = 1e-14
"""Violations below this share of the rows' values are rounding, and no reason to make them dearer."""
HEAVIEST = 1e10
"""Weights of the merit function beyond this say that the rows cannot be satisfied from here."""


@dataclass(frozen=True, slots=True, eq=False)
class SqpState(Iterate):
    """Values and derivatives at x, the matrix B of BFGS, the merit function's weights, the program's active rows.

    The programs are solved in the variables divided by `sizes`, those of the start.
    """

    at: Evaluated
    form: Form
    B: np.ndarray
    shift: float
    weights: np.ndarray
    active: tuple[int, ...]
    unit: float
    row_units: np.ndarray
    sizes: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A step d with the program's multipliers in nlp's signs, what is left of the violations, and the active rows."""

    d: np.ndarray
    y: np.ndarray
    z: np.ndarray
    left: np.ndarray
    active: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SQP:
    """Settings: tolerance, and which second derivatives the programs get."""

    name: ClassVar[str] = "sqp"
    tol: float = 1e-8
    hessian: Literal["exact", "bfgs"] = "exact"

    def start(self, problem: Nlp) -> SqpState:
        """The state at the problem's start, moved into the bounds."""
        x = inside(np.array(problem.start, dtype=float), problem.lower, problem.upper)
        at = evaluated(problem, x, problem.objective(x), problem.constraints(x))
        m, n = at.A.shape
        y, z = np.zeros(m), np.zeros(n)
        rows = np.abs(at.A).max(axis=1, initial=0.0)
        state = SqpState(
            x=x,
            row_multipliers=y,
            bound_multipliers=z,
            record=Record(objective=at.f, primal=norm(violations(problem, at.c)), dual=norm(at.g)),
            ending=None if at.finite else Ending.UNDEFINED,
            at=at,
            form=form_of(problem),
            B=np.eye(n),
            shift=1.0,
            weights=np.zeros(m),
            active=(),
            unit=max(1.0, norm(at.g) / 100),
            row_units=np.maximum(1.0, rows / 100),
            sizes=np.maximum(1.0, np.abs(x)),
        )
        if state.ending is None and self._settled(problem, state, at, y, z):
            return replace(state, ending=Ending.CONVERGED)
        return state

    def step(self, problem: Nlp, state: SqpState) -> SqpState:
        """The state one program and one search later."""
        at = state.at
        step, shift = self._solved(problem, state)
        if step is None:
            return replace(state, ending=Ending.NO_PROGRESS)
        v = violations(problem, at.c)
        gone = v - step.left
        if (
            norm(v / state.row_units) > self.tol
            and float(gone.sum()) <= 1e-6 * float(v.sum())
            and _stuck(problem, at, v)
        ):
            return replace(state, ending=Ending.LOCALLY_INFEASIBLE)
        if self._settled(problem, state, at, step.y, step.z):
            return self._finished(problem, state, step, Ending.CONVERGED)
        weights = np.maximum(np.abs(step.y), 0.5 * (state.weights + np.abs(step.y)))
        slope = float(at.g @ step.d) - float(weights @ gone)
        real = float(gone.sum()) > DROWNED * max(1.0, norm(at.c))
        if slope > -1e-12 * abs(float(at.g @ step.d)) and real:
            weights = weights + (2 * abs(float(at.g @ step.d)) + 1e-8) / float(gone.sum())
            slope = float(at.g @ step.d) - float(weights @ gone)
        if slope < 0 and norm(weights) <= HEAVIEST:
            found = self._searched(problem, state, step, weights, slope)
        else:
            found = self._blind(problem, state, step)
        if found is None:
            if slope < 0 and shift < 1e8 * max(1.0, state.unit) and self.hessian == "exact":
                # The model was too bold; a shorter step from a stiffer one.
                return replace(state, shift=max(10 * shift, 1e-4), record=replace(state.record, step=0.0))
            return self._finished(problem, state, step, Ending.NO_PROGRESS)
        a, after = found
        return self._arrived(problem, state, step, weights, a, after, shift)

    def _arrived(
        self,
        problem: Nlp,
        state: SqpState,
        step: Step,
        weights: np.ndarray,
        a: float,
        after: Evaluated,
        shift: float,
    ) -> SqpState:
        """The state at the new point."""
        B = state.B
        if self.hessian == "bfgs":
            change = after.g - state.at.g + (after.A - state.at.A).T @ step.y
            B = _damped_bfgs(B, (after.x - state.x) / state.sizes, change * state.sizes)
        if a >= 0.9:
            shift = 0.1 * shift if shift > 1e-8 else 0.0
        elif a < 0.2:
            shift = max(4 * shift, 1e-4)
        residual = after.g + after.A.T @ step.y + step.z
        primal = norm(violations(problem, after.c))
        dual = max(norm(residual), complementarity(problem, after.x, after.c, step.y, step.z))
        ending = None
        if after.f < FALLEN and primal <= 1e-6:
            ending = Ending.UNBOUNDED
        elif self._settled(problem, state, after, step.y, step.z):
            ending = Ending.CONVERGED
        elif np.array_equal(after.x, state.x):
            ending = Ending.NO_PROGRESS
        # Multipliers go as far as the variables do (NW algorithm 18.3), but to the end at the end.
        part = 1.0 if ending is Ending.CONVERGED else a
        return replace(
            state,
            x=after.x,
            row_multipliers=state.row_multipliers + part * (step.y - state.row_multipliers),
            bound_multipliers=state.bound_multipliers + part * (step.z - state.bound_multipliers),
            record=Record(objective=after.f, primal=primal, dual=dual, step=a, penalty=norm(weights)),
            ending=ending,
            at=after,
            B=B,
            shift=shift,
            weights=weights,
            active=step.active,
        )

    def _finished(self, problem: Nlp, state: SqpState, step: Step, ending: Ending) -> SqpState:
        """The end at the same point, with the better multipliers of the two."""
        if ending is not Ending.CONVERGED and self._settled(problem, state, state.at, step.y, step.z):
            ending = Ending.CONVERGED
        at = state.at
        residual = norm(at.g + at.A.T @ step.y + step.z)
        dual = max(residual, complementarity(problem, at.x, at.c, step.y, step.z))
        record = replace(state.record, dual=dual, step=0.0)
        return replace(state, row_multipliers=step.y, bound_multipliers=step.z, record=record, ending=ending)

    def _settled(self, problem: Nlp, state: SqpState, at: Evaluated, y: np.ndarray, z: np.ndarray) -> bool:
        """Whether the first-order conditions hold at the point with these multipliers."""
        if norm(violations(problem, at.c) / state.row_units) > self.tol:
            return False
        mean = (np.abs(y).sum() + np.abs(z).sum()) / max(1, np.count_nonzero(y) + np.count_nonzero(z))
        scale = state.unit * min(max(1.0, float(mean) / (100 * state.unit)), 100.0)
        residual = norm(at.g + at.A.T @ y + z)
        return max(residual, complementarity(problem, at.x, at.c, y, z)) <= self.tol * scale

    def _solved(self, problem: Nlp, state: SqpState) -> tuple[Step | None, float]:
        """The step of the program, elastic where its rows contradict each other; and the shift that was used."""
        at, form = state.at, state.form
        C, b = form.program(problem, at)
        sizes, shift = state.sizes, state.shift
        C, g = C * sizes, at.g * sizes
        if self.hessian == "exact":
            W = _hessian(problem, at.x, state.row_multipliers)
            if not np.isfinite(W).all():
                return None, shift
            normals = [*range(form.equalities), *state.active]
            G, g = _convex(W * np.outer(sizes, sizes), g, C[normals], b[normals], shift)
        else:
            G = state.B
        L = _factor(G)
        if L is None:
            return None, shift
        found = minimize_quadratic(L, g, C, b, form.equalities, state.active)
        m, n = at.A.shape
        if found is None:
            return self._elastic(state, L, g, C, b), shift
        y, z = form.multipliers(found.multipliers, m, n)
        active = tuple(i for i in found.active if i >= form.equalities)
        return Step(sizes * found.x, y, z, np.zeros(m), active), shift

    def _elastic(self, state: SqpState, L: np.ndarray, g: np.ndarray, C: np.ndarray, b: np.ndarray) -> Step | None:
        """The step of  g'd + d'Gd/2 + price |t|^2/2  subject to  C d + t on the right side of b, bounds not relaxed."""
        form, at = state.form, state.at
        m, n = at.A.shape
        rows = [*range(len(form.equal)), *range(form.equalities, form.equalities + len(form.low) + len(form.high))]
        k = len(rows)
        price = 1e4 * max(1.0, norm(g), norm(state.weights)) / max(1.0, float(np.abs(b[rows]).max(initial=0.0)))
        wide = np.zeros((n + k, n + k))
        wide[:n, :n] = L
        wide[range(n, n + k), range(n, n + k)] = math.sqrt(price)
        relaxed = np.zeros((len(b), k))
        relaxed[rows, range(k)] = 1.0
        found = minimize_quadratic(
            wide, np.concatenate([g, np.zeros(k)]), np.concatenate([C, relaxed], axis=1), b, form.equalities
        )
        if found is None:
            return None
        y, z = form.multipliers(found.multipliers, m, n)
        left = np.zeros(m)
        places = np.concatenate([form.equal, form.low, form.high])
        np.maximum.at(left, places, np.abs(found.x[n:]))
        return Step(state.sizes * found.x[:n], y, z, left, ())

    def _searched(
        self, problem: Nlp, state: SqpState, step: Step, weights: np.ndarray, slope: float
    ) -> tuple[float, Evaluated] | None:
        """Step length and the point there; None where the merit function does not fall along the step."""
        at = state.at
        merit = at.f + float(weights @ violations(problem, at.c))
        slack = 10 * noise(abs(at.f) + float(weights @ violations(problem, at.c)))
        a = 1.0
        for _ in range(30):
            x = inside(at.x + a * step.d, problem.lower, problem.upper)
            f, c = problem.objective(x), problem.constraints(x)
            value = f + float(weights @ violations(problem, c))
            if value <= merit + ARMIJO * a * slope + slack:
                after = evaluated(problem, x, f, c)
                if after.finite:
                    return a, after
            elif a == 1.0 and math.isfinite(value):
                corrected = self._corrected(problem, state, step, c)
                if corrected is not None:
                    x = corrected
                    f, c = problem.objective(x), problem.constraints(x)
                    if f + float(weights @ violations(problem, c)) <= merit + ARMIJO * slope + slack:
                        after = evaluated(problem, x, f, c)
                        if after.finite:
                            return 1.0, after
            if math.isfinite(value):
                bend = value - merit - a * slope
                a *= min(max(-0.5 * a * slope / bend, 0.1), 0.5) if bend > 0 else 0.5
            else:
                a *= 0.2
        return self._blind(problem, state, step) if -slope <= 1e-9 * max(1.0, abs(merit)) else None

    def _blind(self, problem: Nlp, state: SqpState, step: Step) -> tuple[float, Evaluated] | None:
        """The whole step where the merit function drowns in rounding, if it halves the first-order residual."""
        at = state.at
        x = inside(at.x + step.d, problem.lower, problem.upper)
        after = evaluated(problem, x, problem.objective(x), problem.constraints(x))
        if not after.finite:
            return None
        old, new = (
            max(
                norm(p.g + p.A.T @ step.y + step.z),
                norm(violations(problem, p.c)),
                complementarity(problem, p.x, p.c, step.y, step.z),
            )
            for p in (at, after)
        )
        return (1.0, after) if new <= 0.5 * old else None

    def _corrected(self, problem: Nlp, state: SqpState, step: Step, c: np.ndarray) -> np.ndarray | None:
        """x + d + the shortest step that takes the active rows back onto their sides, as linearized at x (NW 18.36)."""
        form, at = state.form, state.at
        C, _ = form.program(problem, at)
        _, b = form.program(problem, Evaluated(at.x + step.d, at.f, at.g, c, at.A))
        rows = [*range(form.equalities), *step.active]
        if not rows:
            return None
        back = np.linalg.lstsq(C[rows], b[rows], rcond=None)[0]
        if float(np.linalg.norm(back)) > 2 * float(np.linalg.norm(step.d)):
            return None
        return inside(at.x + step.d + back, problem.lower, problem.upper)


def _hessian(problem: Nlp, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The Hessian of the Lagrangian, dense."""
    pattern = problem.hessian_pattern
    if pattern is not None:
        return dense_symmetric(pattern, problem.hessian(x, y))
    whole = np.array([problem.hessian_product(x, y, unit) for unit in np.eye(len(x))]).reshape(len(x), len(x))
    return 0.5 * (whole + whole.T)


def _factor(G: np.ndarray) -> np.ndarray | None:
    """Its Cholesky factor where it is positive definite beyond rounding."""
    try:
        L = np.linalg.cholesky(G)
    except np.linalg.LinAlgError:
        return None
    pivots = np.diagonal(L)
    return L if pivots.min() > 1e-7 * pivots.max() else None


def _convex(W: np.ndarray, g: np.ndarray, A: np.ndarray, b: np.ndarray, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """G positive definite and the gradient that belongs to it, with the solution of W, g where A d = b there."""
    n = len(g)
    size = max(float(np.abs(W).max()), 1e-8)
    G = W + (shift + 1e-10 * size) * np.eye(n)
    if _factor(G) is not None:
        return G, g
    if len(A):
        AA = A.T @ A
        for factor in (1.0, 10.0, 100.0):
            sigma = factor * size / max(float(np.abs(AA).max()), 1e-300)
            if _factor(G + sigma * AA) is not None:
                return G + sigma * AA, g - sigma * (A.T @ b)
    values, vectors = np.linalg.eigh(W)
    values = np.maximum(np.abs(values), 1e-6 * size) + shift
    return (vectors * values) @ vectors.T, g


def _damped_bfgs(B: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:
    """NW procedure 18.2; the matrix stays where the step says nothing."""
    Bs = B @ s
    sBs, sy = float(s @ Bs), float(s @ y)
    if not sBs > 0:
        return B
    theta = 1.0 if sy >= 0.2 * sBs else 0.8 * sBs / (sBs - sy)
    r = theta * y + (1 - theta) * Bs
    sr = float(s @ r)
    if not sr > 1e-300 or not np.isfinite(r).all():
        return B
    B_new = B - np.outer(Bs, Bs / sBs) + np.outer(r, r / sr)
    return B_new if _factor(B_new) is not None else np.eye(len(s)) * max(1e-8, norm(np.diagonal(B)))


def _stuck(problem: Nlp, at: Evaluated, v: np.ndarray) -> bool:
    """Whether the sum of squared violations has no descent direction inside the bounds, to first order."""
    signed = np.where(at.c > problem.row_upper, v, -v)
    gradient = at.A.T @ signed
    moved = at.x - inside(at.x - gradient, problem.lower, problem.upper)
    return norm(moved) <= 1e-6 * max(1.0, norm(at.A)) * norm(v)
