"""Convex quadratic and conic programs, with integers where a solver takes them, by the solvers that CVXPY reaches.

The runs themselves are in `cone_runs`: Clarabel, SCS and OSQP are handed the program's arrays in their own standard
form, SCIP and HIGHS what CVXPY compiles. Here: what is decided before a run, and what is made of its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from optdsl.convex.choose import default_solver, second_solvers
from optdsl.convex.cone_options import CONE_OPTIONS
from optdsl.convex.cone_runs import ConeSettings, run_solver
from optdsl.convex.decide import CURVED, Solve, decide, falls_without_end, fix_integers
from optdsl.convex.duality import dual_bound, value_of
from optdsl.convex.epigraphs import without_epigraphs
from optdsl.convex.highs import solve_highs
from optdsl.convex.options import read_options
from optdsl.convex.program import Program, Progress, RawAnswer, RawStatus
from optdsl.convex.rays import checked_ray, proves_infeasible
from optdsl.convex.scaling import extreme_entries, scale_program
from optdsl.convex.standard import Multipliers
from optdsl.convex.trivial import (
    crossed_sides,
    trivial_conflict,
    uncross,
    unreachable_lane,
    unusable_numbers,
    without_constant_lanes,
)
from optdsl.convex.watch import Controls

__all__ = ["CONE_OPTIONS", "ConeSession", "default_solver", "solve_cvxpy"]

_DOUBTFUL = frozenset({RawStatus.INACCURATE, RawStatus.NUMERICAL_ERROR})
_ENDLESS = frozenset({RawStatus.INFEASIBLE, RawStatus.UNBOUNDED, RawStatus.INFEASIBLE_OR_UNBOUNDED})


SECOND_SECONDS = 10.0
"""A second solver is given ten times as long as the first took, and at least this."""


FAR, WIDE = 1e6, 1e-4
"""An optimum where a variable is larger than this is looked at twice, if its relative gap is wider than this."""

ASIDE_SECONDS = 1.0
"""Least time for each program that is solved on the way to tell infeasible from unbounded."""


def solve_cvxpy(
    program: Program,
    solver: str | None = None,
    *,
    time_limit: float | None = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    through_cvxpy: bool = False,
) -> RawAnswer:
    """Solves the program with `solver` (`default_solver` if None); options as in `CONE_OPTIONS`.

    When no solver was named and the first ends inaccurately, a second one is tried and the message says so. All
    obey `stop` and Ctrl-C at their next iterations but HIGHS, which is left to end by itself, without a point.
    `through_cvxpy` has CVXPY compile for every solver (the reference in tests). Raises OptionError for wrong
    options.
    """
    began = time.perf_counter()
    given = read_options(options or {}, CONE_OPTIONS, "cvxpy")
    named = solver or given["solver"]
    settings = ConeSettings(
        solver=named or default_solver(program),
        tolerance=given["tol"] if given["tol"] is not None else tolerance,
        gap=given["gap"],
        iterations=given["max_iter"],
        through_cvxpy=through_cvxpy,
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
        return replace(_without_variables(program), solver=settings.solver)
    if unreachable_lane(program) is not None:
        return RawAnswer(RawStatus.INFEASIBLE, settings.solver, message="bounds keep a cone from holding")
    smaller, all_lanes = without_constant_lanes(program)
    smaller, all_columns = without_epigraphs(smaller)

    def way_back(answer: RawAnswer) -> RawAnswer:
        return all_lanes(all_columns(answer))

    if extreme_entries(smaller.matrix):
        scaled, unscaled = scale_program(smaller)
        return way_back(unscaled(_solve_clean(scaled, settings, controls, second=second)))
    return way_back(_solve_clean(smaller, settings, controls, second=second))


def _without_variables(program: Program) -> RawAnswer:
    # What is constant in cones was found inside of them.
    answer = solve_highs(replace(program, cones=()))
    zeros = tuple(tuple(np.zeros(len(part.offset)) for part in cone.parts) for cone in program.cones)
    return replace(answer, cone_duals=zeros)


def _solve_clean(program: Program, settings: ConeSettings, controls: Controls, *, second: bool) -> RawAnswer:
    began = time.perf_counter()
    answer = _solve_once(program, settings, controls)

    def aside(other: Program, _: float | None) -> RawAnswer:
        limit = controls.time_limit
        left = None if limit is None else max(ASIDE_SECONDS, limit - (time.perf_counter() - began))
        return _by_default(other, left)

    if answer.status in _ENDLESS and not _certain(program, answer):
        answer = decide(program, answer, aside)
        if program.cones and answer.status is RawStatus.INFEASIBLE and not _certain(program, answer):
            message = f"{settings.solver} reports infeasibility, but its multipliers do not prove it"
            answer = replace(answer, status=RawStatus.NUMERICAL_ERROR, message=message)
    far = _suspicious(program, answer, aside) if program.cones else None
    if far is not None:
        answer = replace(answer, status=RawStatus.UNBOUNDED, x=far, message=CURVED, row_dual=None, cone_duals=())
    if second and answer.status in _DOUBTFUL and not program.mixed_integer:
        answer = _try_another(program, settings, controls, answer, began)
    if program.mixed_integer and answer.x is not None and answer.status not in _ENDLESS:
        continuous = replace(settings, solver=_continuous_solver(program, settings.solver))

        def solve(fixed: Program, time_limit: float | None) -> RawAnswer:
            return _solve(fixed, continuous, Controls(time_limit), second=True)

        answer = fix_integers(program, answer, solve, None if answer.status is RawStatus.OPTIMAL else 5.0)
    return answer


def _suspicious(program: Program, answer: RawAnswer, solve: Solve) -> np.ndarray | None:
    """A point farther out where an optimum far out is none: its multipliers leave a gap, and the objective falls on.

    A run that ended near a point far out is doubted without its multipliers.
    """
    if answer.x is None or np.abs(answer.x).max(initial=0.0) < FAR:
        return None
    if answer.status in _DOUBTFUL or answer.status is RawStatus.ITERATION_LIMIT:
        return falls_without_end(program, solve)
    if answer.status is not RawStatus.OPTIMAL or answer.row_dual is None:
        return None
    objective = value_of(program, answer.x)
    bound = dual_bound(program, answer.x, answer.row_dual, answer.cone_duals)
    leaves_a_gap = objective - bound > WIDE * max(1.0, abs(objective))
    return falls_without_end(program, solve) if leaves_a_gap else None


def _try_another(
    program: Program, settings: ConeSettings, controls: Controls, first: RawAnswer, began: float
) -> RawAnswer:
    taken = time.perf_counter() - began
    left = max(SECOND_SECONDS, 10.0 * taken)
    if controls.time_limit is not None:
        left = min(left, controls.time_limit - taken)
    if left <= 0:
        return first
    for name in second_solvers(program, settings.solver):
        if name == "HIGHS":
            other = solve_highs(program, time_limit=left, stop=controls.stop)
        else:
            other = _solve_once(program, replace(settings, solver=name), controls.within(left))
        proved = other.status in (RawStatus.INFEASIBLE, RawStatus.UNBOUNDED) and _certain(program, other)
        if other.status is RawStatus.OPTIMAL or proved:
            return replace(other, message=f"{settings.solver} ended inaccurately, so {name} solved it")
    note = f"{settings.solver} ended inaccurately, and no other solver did better"
    return replace(first, message="; ".join(part for part in (first.message, note) if part))


def _continuous_solver(program: Program, solver: str) -> str:
    """The solver of the problem with integers fixed: SCIP's duals are not to be trusted."""
    if solver != "SCIP":
        return solver
    return default_solver(replace(program, integer=np.zeros_like(program.integer)))


def _certain(program: Program, answer: RawAnswer) -> bool:
    """Whether the solver's word comes with a proof that was checked, or from an exhausted search."""
    if answer.status is RawStatus.INFEASIBLE:
        return program.mixed_integer or answer.farkas is not None
    # A ray proves something only beside a feasible point.
    return False


def _by_default(program: Program, time_limit: float | None) -> RawAnswer:
    """Solves a program that is met on the way; infeasible only with a proof, where it has cones."""
    if not program.cones:
        return solve_highs(program, time_limit=time_limit)
    if program.mixed_integer:
        return _solve_once(program, ConeSettings(default_solver(program)), Controls(time_limit))
    answer = _solve_once(program, ConeSettings("CLARABEL"), Controls(time_limit))
    if answer.status is RawStatus.INFEASIBLE and not _certain(program, answer):
        return replace(answer, status=RawStatus.NUMERICAL_ERROR)
    return answer


def _solve_once(program: Program, settings: ConeSettings, controls: Controls) -> RawAnswer:
    run = run_solver(program, settings, controls)
    x = None if run.x is None else _within(run.x, program)
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
        return replace(answer, x=None, **_proof(program, run.multipliers))
    if run.ray is not None:
        answer = replace(answer, ray=checked_ray(program, run.ray))
    found = run.multipliers
    solved = run.status in (RawStatus.OPTIMAL, RawStatus.INACCURATE)
    if x is None or found is None or program.mixed_integer or not solved:
        return answer
    return replace(answer, row_dual=found.rows, reduced_cost=found.bounds, cone_duals=found.cones)


def _proof(program: Program, found: Multipliers | None) -> dict[str, Any]:
    """The multipliers that prove infeasibility, as fields of an answer; none that do not."""
    if found is None:
        return {}
    for sign in (1.0, -1.0):
        rows = sign * found.rows
        cones = tuple(tuple(sign * dual for dual in duals) for duals in found.cones)
        if proves_infeasible(program, rows, cones):
            return {"farkas": rows, "farkas_cones": cones}
    return {}


def _within(x: np.ndarray, program: Program) -> np.ndarray:
    """x moved onto bounds that it misses by no more than the solver's tolerance."""
    clipped = np.clip(x, program.lower, program.upper)
    return clipped if np.abs(clipped - x).max(initial=0.0) <= 1e-7 else x
