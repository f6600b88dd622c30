"""Convex QP, MIQP and, on request, LP and MILP by CVXPY, from the program's matrices.

One CVXPY problem with a vector variable, a quadratic form, sums of squares and at most six vector constraints,
whatever the size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import cvxpy
import numpy as np
import scipy.sparse as sp

from optdsl.convex.cone_options import CONE_OPTIONS
from optdsl.convex.cone_runs import ConeSettings, SolverRun, run_solver
from optdsl.convex.decide import decide, fix_integers
from optdsl.convex.highs import solve_highs
from optdsl.convex.options import read_options
from optdsl.convex.program import Program, Progress, RawAnswer, RawStatus
from optdsl.convex.rays import proves_infeasible
from optdsl.convex.scaling import extreme_entries, scale_program
from optdsl.convex.trivial import crossed_sides, trivial_conflict, uncross, unusable_numbers
from optdsl.convex.watch import Controls

__all__ = ["CONE_OPTIONS", "ConeSession", "default_solver", "solve_cvxpy"]

_DOUBTFUL = frozenset({RawStatus.INACCURATE, RawStatus.NUMERICAL_ERROR})
_ENDLESS = frozenset({RawStatus.INFEASIBLE, RawStatus.UNBOUNDED, RawStatus.INFEASIBLE_OR_UNBOUNDED})


def default_solver(program: Program) -> str:
    """The solver that CVXPY is asked for when the user names none."""
    if not program.quadratic:
        return "HIGHS"
    return "SCIP" if program.mixed_integer else "CLARABEL"


def solve_cvxpy(
    program: Program,
    solver: str | None = None,
    *,
    time_limit: float | None = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> RawAnswer:
    """Solves the program through CVXPY with `solver` (`default_solver` if None); options as in `CONE_OPTIONS`.

    When no solver was named and the first ends inaccurately, a second one is tried and the message says so. CLARABEL
    and SCIP obey `stop` and Ctrl-C at their next iteration; the others are left to end by themselves, without a point.
    Raises OptionError for wrong options.
    """
    began = time.perf_counter()
    given = read_options(options or {}, CONE_OPTIONS, "cvxpy")
    named = solver or given["solver"]
    settings = ConeSettings(
        solver=named or default_solver(program),
        tolerance=given["tol"] if given["tol"] is not None else tolerance,
        gap=given["gap"],
        iterations=given["max_iter"],
    )
    limit = time_limit if time_limit is not None else given["time_limit"]
    controls = Controls(limit, progress, stop)
    try:
        answer = _solve(program, settings, controls, second=named is None)
    except KeyboardInterrupt:  # while CVXPY compiles; during the run itself `attend` takes it
        answer = RawAnswer(RawStatus.INTERRUPTED, settings.solver)
    return replace(answer, seconds=time.perf_counter() - began)


class ConeSession:
    """A program whose numbers move, solved through CVXPY; each solve builds the problem again.

    Measured on 400 variables and 200 rows with dense quadratics: 0.81 s to build and solve again, 0.85 s with the sides
    as CVXPY parameters. Nothing is kept but the program, therefore.
    """

    def __init__(
        self,
        program: Program,
        *,
        solver: str | None = None,
        tolerance: float | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.program = program
        self._solver, self._tolerance, self._options = solver, tolerance, dict(options or {})

    def update(self, **arrays: Any) -> None:
        """Replaces fields of the program by name, of the same shapes as before."""
        self.program = replace(self.program, **arrays)

    def solve(
        self,
        *,
        time_limit: float | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> RawAnswer:
        """Solves the program as it is now."""
        return solve_cvxpy(
            self.program,
            self._solver,
            time_limit=time_limit,
            tolerance=self._tolerance,
            options=self._options,
            progress=progress,
            stop=stop,
        )


def _solve(program: Program, settings: ConeSettings, controls: Controls, *, second: bool) -> RawAnswer:
    if (complaint := unusable_numbers(program)) is not None:
        return RawAnswer(RawStatus.NUMERICAL_ERROR, settings.solver, message=complaint)
    plain = trivial_conflict if len(program.cost) == 0 else crossed_sides
    if (conflict := plain(program)) is not None:
        return RawAnswer(RawStatus.INFEASIBLE, settings.solver, message=conflict.sentence)
    program = uncross(program)
    if len(program.cost) == 0:
        return replace(solve_highs(program), solver=settings.solver)
    if extreme_entries(program.matrix):
        scaled, way_back = scale_program(program)
        return way_back(_solve_clean(scaled, settings, controls, second=second))
    return _solve_clean(program, settings, controls, second=second)


def _solve_clean(program: Program, settings: ConeSettings, controls: Controls, *, second: bool) -> RawAnswer:
    began = time.perf_counter()
    answer = _solve_once(program, settings, controls)
    if answer.status in _ENDLESS and not _certain(program, answer):
        answer = decide(program, answer, _by_highs)
    if second and answer.status in _DOUBTFUL and not program.mixed_integer:
        answer = _try_another(program, settings, controls, answer, began)
    if program.mixed_integer and answer.x is not None and answer.status not in _ENDLESS:
        continuous = replace(settings, solver=_continuous_solver(program, settings.solver))

        def solve(fixed: Program, time_limit: float | None) -> RawAnswer:
            return _solve(fixed, continuous, Controls(time_limit), second=True)

        answer = fix_integers(program, answer, solve, None if answer.status is RawStatus.OPTIMAL else 5.0)
    return answer


def _try_another(
    program: Program, settings: ConeSettings, controls: Controls, first: RawAnswer, began: float
) -> RawAnswer:
    left = None if controls.time_limit is None else controls.time_limit - (time.perf_counter() - began)
    if left is not None and left <= 0:
        return first
    for name in ("HIGHS", "OSQP") if settings.solver == "CLARABEL" else ("CLARABEL",):
        if name == "HIGHS":
            other = solve_highs(program, time_limit=left, stop=controls.stop)
        else:
            other = _solve_once(program, replace(settings, solver=name), controls.within(left))
        if other.status is RawStatus.OPTIMAL:
            return replace(other, message=f"{settings.solver} ended inaccurately, so {name} solved it")
    return replace(first, message=f"{settings.solver} ended inaccurately, and no other solver did better")


def _continuous_solver(program: Program, solver: str) -> str:
    """The solver of the problem with integers fixed: SCIP's duals are not to be trusted."""
    if solver != "SCIP":
        return solver
    return "CLARABEL" if program.quadratic else "HIGHS"


def _certain(program: Program, answer: RawAnswer) -> bool:
    """Whether the solver's word on infeasibility comes with a proof, or from an exhausted search."""
    if answer.status is not RawStatus.INFEASIBLE:
        return False
    return program.mixed_integer or answer.farkas is not None


def _by_highs(program: Program, time_limit: float | None) -> RawAnswer:
    return solve_highs(program, time_limit=time_limit)


@dataclass(frozen=True, slots=True)
class _Built:
    """The CVXPY problem and where its constraints came from: (constraint, sign of the dual, positions)."""

    problem: cvxpy.Problem
    variable: cvxpy.Variable
    rows: tuple[tuple[Any, float, np.ndarray], ...]
    bounds: tuple[tuple[Any, float, np.ndarray], ...]


def _build(program: Program) -> _Built:
    count = len(program.cost)
    attributes: dict[str, Any] = {}
    if program.mixed_integer:
        attributes["integer"] = True if program.integer.all() else (np.flatnonzero(program.integer),)
    x = cvxpy.Variable(count, **attributes)
    objective = program.cost @ x
    if program.hessian is not None and program.hessian.nnz:
        objective += 0.5 * cvxpy.quad_form(x, cvxpy.psd_wrap(sp.csc_array(program.hessian)))
    if program.squares is not None and program.squares.matrix.shape[0]:
        root = np.sqrt(program.squares.weights)
        scaled = sp.csr_array(sp.diags_array(root) @ program.squares.matrix)
        objective += cvxpy.sum_squares(scaled @ x + root * program.squares.offset)
    rows = _sides(lambda at: program.matrix[at] @ x, program.row_lower, program.row_upper)
    bounds = _sides(lambda at: x[at] if len(at) < count else x, program.lower, program.upper)
    constraints = [part[0] for part in (*rows, *bounds)]
    return _Built(cvxpy.Problem(cvxpy.Minimize(objective), constraints), x, rows, bounds)


def _sides(
    take: Callable[[np.ndarray], Any], lower: np.ndarray, upper: np.ndarray
) -> tuple[tuple[Any, float, np.ndarray], ...]:
    """Equalities, lower sides and upper sides of `take(positions)`, each with the sign of its dual.

    CVXPY adds multipliers times (left - right) to the Lagrangian, and those of `>=` with the opposite sign.
    """
    equal = lower == upper
    parts = []
    for at, sign in (
        (np.flatnonzero(equal), 0.0),
        (np.flatnonzero(~equal & np.isfinite(lower)), 1.0),
        (np.flatnonzero(~equal & np.isfinite(upper)), -1.0),
    ):
        if not len(at):
            continue
        left = take(at)
        if sign == 0.0:
            parts.append((left == lower[at], -1.0, at))
        elif sign > 0:
            parts.append((left >= lower[at], 1.0, at))
        else:
            parts.append((left <= upper[at], -1.0, at))
    return tuple(parts)


def _solve_once(program: Program, settings: ConeSettings, controls: Controls) -> RawAnswer:
    built = _build(program)
    run = run_solver(built.problem, settings, controls, program.constant)
    x = _values(run, "primal_vars", built.variable.id)
    if x is not None:
        x = _within(np.atleast_1d(x), program)
    row_dual = _multipliers(run, built.rows, program.matrix.shape[0])
    reduced_cost = _multipliers(run, built.bounds, len(program.cost))
    answer = RawAnswer(
        status=run.status,
        solver=settings.solver,
        x=x,
        bound=run.bound,
        iterations=run.iterations,
        message=run.message,
        trace=run.trace,
    )
    if run.status is RawStatus.INFEASIBLE:
        return replace(answer, x=None, farkas=_proved(program, row_dual))
    if x is None or program.mixed_integer or run.status not in (RawStatus.OPTIMAL, RawStatus.INACCURATE):
        return answer
    return replace(answer, row_dual=row_dual, reduced_cost=reduced_cost)


def _proved(program: Program, multipliers: np.ndarray | None) -> np.ndarray | None:
    if multipliers is None:
        return None
    for candidate in (multipliers, -multipliers):
        if proves_infeasible(program, candidate):
            return candidate
    return None


def _multipliers(run: SolverRun, parts: tuple[tuple[Any, float, np.ndarray], ...], count: int) -> np.ndarray | None:
    """The rate of change of the minimum with each side, summed over both sides; None where the solver gives none."""
    total = np.zeros(count)
    for constraint, sign, at in parts:
        dual = _values(run, "dual_vars", constraint.id)
        if dual is None:
            return None
        total[at] += sign * np.atleast_1d(dual)
    return total


def _values(run: SolverRun, kind: str, key: int) -> np.ndarray | None:
    found = getattr(run.solution, kind, None) or {}
    if key not in found or found[key] is None:
        return None
    values = np.asarray(found[key], dtype=float)
    return values if np.isfinite(values).all() else None


def _within(x: np.ndarray, program: Program) -> np.ndarray:
    """x moved onto bounds that it misses by no more than the solver's tolerance."""
    clipped = np.clip(x, program.lower, program.upper)
    return clipped if np.abs(clipped - x).max(initial=0.0) <= 1e-7 else x
