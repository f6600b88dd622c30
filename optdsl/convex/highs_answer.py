"""From a run of HiGHS to a `RawAnswer`: retries, infeasible or unbounded, rays, duals with integers fixed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from highspy import _core as core

from optdsl.convex.decide import Solve, decide, fix_integers
from optdsl.convex.highs_run import Highs, HighsRun, run_highs
from optdsl.convex.highs_settings import FALLBACK_TOLERANCE, Settings, apply_settings
from optdsl.convex.program import Program, RawAnswer, RawStatus
from optdsl.convex.rays import proves_infeasible, proves_unbounded, ray_from, ray_program
from optdsl.convex.watch import Controls

_STATUS = core.HighsModelStatus
_ENDS = {
    _STATUS.kOptimal: RawStatus.OPTIMAL,
    _STATUS.kModelEmpty: RawStatus.OPTIMAL,
    _STATUS.kInfeasible: RawStatus.INFEASIBLE,
    _STATUS.kUnbounded: RawStatus.UNBOUNDED,
    _STATUS.kUnboundedOrInfeasible: RawStatus.INFEASIBLE_OR_UNBOUNDED,
    _STATUS.kTimeLimit: RawStatus.TIME_LIMIT,
    _STATUS.kIterationLimit: RawStatus.ITERATION_LIMIT,
    _STATUS.kSolutionLimit: RawStatus.ITERATION_LIMIT,
    _STATUS.kInterrupt: RawStatus.INTERRUPTED,
}

_FAILED = frozenset(
    {
        _STATUS.kNotset,
        _STATUS.kUnknown,
        _STATUS.kSolveError,
        _STATUS.kPresolveError,
        _STATUS.kPostsolveError,
    }
)

CERTIFICATE_SECONDS = 2.0
"""Least time given to work on certificates after the run itself, which may have been shorter."""


@dataclass(frozen=True, slots=True)
class _Deadline:
    end: float | None

    @classmethod
    def after(cls, seconds: float | None) -> _Deadline:
        return cls(None if seconds is None else time.perf_counter() + seconds)

    def left(self) -> float | None:
        return None if self.end is None else max(0.0, self.end - time.perf_counter())


def answer_of(highs: Highs, program: Program, settings: Settings, controls: Controls, solve: Solve) -> RawAnswer:
    """Runs HiGHS, which holds `program`, and reads the answer in the conventions of `RawAnswer`."""
    deadline = _Deadline.after(controls.time_limit)
    apply_settings(highs, program, settings)
    run = run_highs(highs, controls, mixed_integer=program.mixed_integer)
    note = ""
    if run.status in _FAILED and not run.stopped:
        note = f"a second attempt with tolerance {FALLBACK_TOLERANCE:g} and without presolve"
        highs.clearSolver()
        loose = replace(settings, tolerance=FALLBACK_TOLERANCE, presolve=False)
        apply_settings(highs, program, loose)
        run = run_highs(highs, controls.within(deadline.left()), mixed_integer=program.mixed_integer)
    answer = _read(highs, program, run)
    answer = replace(answer, message="; ".join(part for part in (answer.message, note) if part))
    if program.mixed_integer:
        return _finish_mixed(highs, program, settings, answer, controls, deadline, solve)
    return _finish_continuous(highs, program, answer, solve)


def _read(highs: Highs, program: Program, run: HighsRun) -> RawAnswer:
    """The answer as HiGHS tells it, cut to the program's own rows and variables."""
    info, solution = highs.getInfo(), highs.getSolution()
    status = _ENDS.get(run.status, RawStatus.NUMERICAL_ERROR)
    count, rows = len(program.cost), program.matrix.shape[0]
    has_point = solution.value_valid and status is not RawStatus.INFEASIBLE
    if program.mixed_integer:
        has_point = has_point and info.primal_solution_status == int(core.SolutionStatus.kSolutionStatusFeasible)
    has_duals = solution.dual_valid and status is RawStatus.OPTIMAL
    row_dual = np.array(solution.row_dual)[:rows] if has_duals else None
    reduced_cost = np.array(solution.col_dual)[:count] if has_duals else None
    bound: float | None = None
    if program.mixed_integer:
        bound = float(info.mip_dual_bound) if np.isfinite(info.mip_dual_bound) else None
    elif row_dual is not None and reduced_cost is not None and not program.quadratic:
        bound = dual_bound(program, row_dual, reduced_cost)
    return RawAnswer(
        status=status,
        solver="HIGHS",
        x=np.array(solution.col_value)[:count] if has_point else None,
        row_dual=row_dual,
        reduced_cost=reduced_cost,
        bound=bound,
        iterations=_iterations(info, program),
        message="; ".join(run.complaints[:3]) if status is RawStatus.NUMERICAL_ERROR else "",
        trace=run.trace,
    )


def dual_bound(program: Program, row_dual: np.ndarray, reduced_cost: np.ndarray) -> float | None:
    """The objective of the dual LP: each multiplier times its side; None if such a side is infinite.

    Multipliers on an infinite side that are no more than rounding are left out.
    """
    total = float(program.constant)
    sides = (
        (row_dual, program.row_lower, program.row_upper),
        (reduced_cost, program.lower, program.upper),
    )
    noise = 1e-9 * max(1.0, float(np.abs(program.cost).max(initial=0.0)))
    for multipliers, lower, upper in sides:
        side = np.where(multipliers > 0, lower, upper)
        used = multipliers != 0
        infinite = used & ~np.isfinite(side)
        if (np.abs(multipliers[infinite]) > noise).any():
            return None
        total += float(multipliers[used & ~infinite] @ side[used & ~infinite])
    return total


def _iterations(info: core.HighsInfo, program: Program) -> int:
    if program.mixed_integer:
        return max(0, int(info.mip_node_count))
    counts = (
        info.simplex_iteration_count,
        info.ipm_iteration_count,
        info.pdlp_iteration_count,
        info.qp_iteration_count,
    )
    return sum(max(0, int(count)) for count in counts)


def _finish_continuous(highs: Highs, program: Program, answer: RawAnswer, solve: Solve) -> RawAnswer:
    """Tells infeasible from unbounded and adds certificates."""
    if answer.status is RawStatus.INFEASIBLE_OR_UNBOUNDED:
        answer = decide(program, answer, solve)
    if answer.status is RawStatus.INFEASIBLE and not program.quadratic:
        return replace(answer, farkas=_farkas(highs, program))
    if answer.status is RawStatus.UNBOUNDED and answer.ray is None:
        return replace(answer, ray=_ray(highs, program, solve))
    return answer


def _finish_mixed(
    highs: Highs,
    program: Program,
    settings: Settings,
    answer: RawAnswer,
    controls: Controls,
    deadline: _Deadline,
    solve: Solve,
) -> RawAnswer:
    if answer.status in (RawStatus.INFEASIBLE_OR_UNBOUNDED, RawStatus.UNBOUNDED):
        return decide(program, replace(answer, x=None, bound=None), solve)
    if answer.x is None or answer.status in (RawStatus.INFEASIBLE, RawStatus.NUMERICAL_ERROR):
        return answer
    limit = None if answer.status is RawStatus.OPTIMAL else CERTIFICATE_SECONDS
    fixed = fix_integers(program, answer, solve, limit)
    if answer.status is not RawStatus.OPTIMAL or _closed(program, fixed, settings.gap):
        return fixed
    # The point used up the tolerance on integrality: rounded, it is not feasible, or not as good.
    sharp = replace(settings, tolerance=1e-9)
    highs.clearSolver()
    apply_settings(highs, program, sharp)
    run = run_highs(highs, controls.within(deadline.left()), mixed_integer=True)
    again = _read(highs, program, run)
    if again.x is None:
        return replace(fixed, status=RawStatus.INACCURATE)
    again = fix_integers(program, again, solve, limit)
    if again.status is RawStatus.OPTIMAL and not _closed(program, again, settings.gap):
        return replace(again, status=RawStatus.INACCURATE)
    return again


def _closed(program: Program, answer: RawAnswer, gap: float) -> bool:
    """Whether the rounded point is feasible (duals were found for it) and within the gap of the bound."""
    if not answer.duals_with_integers_fixed or answer.x is None or answer.bound is None:
        return False
    value = float(program.cost @ answer.x) + program.constant
    return value - answer.bound <= 1e-6 + 2.0 * gap * max(1.0, abs(value)) + 1e-9 * abs(value)


def _farkas(highs: Highs, program: Program) -> np.ndarray | None:
    found: list[Any] = []
    limit = max(CERTIFICATE_SECONDS, float(highs.getRunTime()))
    run_highs(highs, Controls(limit), action=lambda: found.append(highs.getDualRay()))
    if not found or not found[0][1]:
        return None
    multipliers = np.asarray(found[0][2], dtype=float)
    for candidate in (multipliers, -multipliers):
        if proves_infeasible(program, candidate):
            return candidate
    return None


def _ray(highs: Highs, program: Program, solve: Solve) -> np.ndarray | None:
    if not program.quadratic:
        found: list[Any] = []
        run_highs(highs, Controls(CERTIFICATE_SECONDS), action=lambda: found.append(highs.getPrimalRay()))
        if found and found[0][1]:
            ray = np.asarray(found[0][2], dtype=float)[: len(program.cost)]
            size = np.abs(ray).max(initial=0.0)
            if size > 0 and proves_unbounded(program, ray / size):
                return ray / size
    return ray_from(program, solve(ray_program(program), None))
