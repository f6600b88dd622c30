"""OSQP on rows and bounds as they are: operator splitting for linear and quadratic programs.

OSQP has no callback, but goes on from where it stood when it is called again. It is therefore run for a few hundred
iterations at a time: between two calls its residuals are read for the trace, and a stop is obeyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import osqp
import scipy.sparse as sp

from optdsl.convex.cone_runs import ConeSettings, Iterations, SolverRun
from optdsl.convex.program import Program, Progress, RawStatus
from optdsl.convex.standard import Multipliers
from optdsl.convex.watch import Controls, attend

COLUMNS = ("iter", "objective", "primal", "dual", "seconds")

SHARP = 1e-9
ITERATIONS = 100_000
CHUNK = 200
"""Iterations at a time: a multiple of the 50 after which OSQP weighs its step size, so that it is not disturbed."""

_ONGOING = {"maximum iterations reached", "solved inaccurate"}
_STATUS = {
    "solved": RawStatus.OPTIMAL,
    "solved inaccurate": RawStatus.INACCURATE,
    "primal infeasible": RawStatus.INFEASIBLE,
    "dual infeasible": RawStatus.UNBOUNDED,
    "primal infeasible inaccurate": RawStatus.INFEASIBLE_OR_UNBOUNDED,
    "dual infeasible inaccurate": RawStatus.INFEASIBLE_OR_UNBOUNDED,
    "maximum iterations reached": RawStatus.INACCURATE,
}


def run(program: Program, settings: ConeSettings, controls: Controls) -> SolverRun:
    """Solves a program without integers and cones."""
    problem = _problem(program)
    watch = Iterations(constant=program.constant)
    end: _End = attend(lambda: _iterate(problem, settings, controls, watch), watch, controls)
    x = np.asarray(end.results.x, dtype=float)[: len(program.cost)]
    status = end.status
    y = np.asarray(end.results.y, dtype=float)
    if status is RawStatus.INFEASIBLE:
        y = np.asarray(end.results.prim_inf_cert, dtype=float)
    ray = np.asarray(end.results.dual_inf_cert, dtype=float)[: len(program.cost)]
    point = status not in (RawStatus.INFEASIBLE, RawStatus.UNBOUNDED, RawStatus.INFEASIBLE_OR_UNBOUNDED)
    return SolverRun(
        status=status,
        x=x if point and np.isfinite(x).all() else None,
        multipliers=_multipliers(y, program) if np.isfinite(y).all() else None,
        ray=ray if status is RawStatus.UNBOUNDED and np.isfinite(ray).all() else None,
        iterations=end.iterations,
        trace=watch.trace(COLUMNS),
    )


@dataclass(frozen=True, slots=True)
class _Problem:
    """minimize ½ y'Py + q'y subject to lower <= A y <= upper, y = (x, roots of the squares)."""

    quadratic: sp.csc_matrix
    cost: np.ndarray
    matrix: sp.csc_matrix
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True, slots=True)
class _End:
    status: RawStatus
    results: Any
    iterations: int


def _problem(program: Program) -> _Problem:
    """Rows, then bounds, then the definition of the roots."""
    count = len(program.cost)
    quadratic = sp.csc_array((count, count)) if program.hessian is None else sp.csc_array(sp.triu(program.hessian))
    blocks = [program.matrix, sp.eye_array(count, format="csr")]
    lower, upper = [program.row_lower, program.lower], [program.row_upper, program.upper]
    matrix = sp.csc_array(sp.vstack(blocks, format="csc"))
    cost = program.cost
    if program.squares is not None:
        squares = program.squares
        roots = squares.matrix.shape[0]
        weight = np.sqrt(squares.weights)
        quadratic = sp.csc_array(sp.block_diag([quadratic, 2.0 * sp.eye_array(roots)], format="csc"))
        scaled = sp.diags_array(weight) @ squares.matrix
        matrix = sp.csc_array(sp.block_array([[matrix, None], [-scaled, sp.eye_array(roots)]], format="csc"))
        cost = np.concatenate([cost, np.zeros(roots)])
        lower.append(weight * squares.offset)
        upper.append(weight * squares.offset)
    return _Problem(
        sp.csc_matrix(quadratic), cost, sp.csc_matrix(matrix), np.concatenate(lower), np.concatenate(upper)
    )


def _iterate(problem: _Problem, settings: ConeSettings, controls: Controls, watch: Iterations) -> _End:
    sharp = settings.tolerance or SHARP
    limit = settings.iterations or ITERATIONS
    solver = osqp.OSQP()
    solver.setup(
        problem.quadratic, problem.cost, problem.matrix, problem.lower, problem.upper,
        verbose=False, eps_abs=sharp, eps_rel=sharp, polishing=True, max_iter=min(CHUNK, limit),
    )  # fmt: skip
    done = 0
    while True:
        results = solver.solve(raise_error=False)
        info = results.info
        done += int(info.iter)
        objective = float(info.obj_val) + watch.constant
        watch.rows.append((done, objective, float(info.prim_res), float(info.dual_res), watch.seconds()))
        watch.news = Progress(done, objective, None, watch.seconds())
        status = _STATUS.get(str(info.status), RawStatus.NUMERICAL_ERROR)
        if str(info.status) not in _ONGOING:
            return _End(status, results, done)
        if watch.stopping:
            return _End(RawStatus.INTERRUPTED, results, done)
        if controls.time_limit is not None and watch.seconds() >= controls.time_limit:
            return _End(RawStatus.TIME_LIMIT, results, done)
        if done >= limit:
            own = settings.iterations is None
            return _End(status if own else RawStatus.ITERATION_LIMIT, results, done)
        solver.update_settings(max_iter=min(CHUNK, limit - done))


def _multipliers(y: np.ndarray, program: Program) -> Multipliers:
    """OSQP adds y to the Lagrangian, positive at upper sides."""
    rows = program.matrix.shape[0]
    return Multipliers(-y[:rows], -y[rows : rows + len(program.cost)])
