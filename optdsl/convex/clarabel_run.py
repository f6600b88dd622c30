"""Clarabel on our own standard form: an interior-point method that calls back after each iteration."""

from __future__ import annotations

from typing import Any

import clarabel
import numpy as np

from optdsl.convex.cone_runs import ConeSettings, Iterations, SolverRun
from optdsl.convex.program import Program, Progress, RawStatus
from optdsl.convex.standard import Dimensions, StandardForm, standard_form
from optdsl.convex.watch import Controls, attend

COLUMNS = ("iter", "objective", "primal", "dual", "gap", "step", "seconds")

SHARP = 1e-10
GOOD = 1e-8
"""A run that stalls short of `SHARP` but within this has done what the user needs."""

STALLED = 1e-7
"""A run without progress that stands within this is left to the checks of the answer."""

_STATUS = {
    "Solved": RawStatus.OPTIMAL,
    "AlmostSolved": RawStatus.OPTIMAL,
    "PrimalInfeasible": RawStatus.INFEASIBLE,
    "AlmostPrimalInfeasible": RawStatus.INFEASIBLE_OR_UNBOUNDED,
    "DualInfeasible": RawStatus.UNBOUNDED,
    "AlmostDualInfeasible": RawStatus.INFEASIBLE_OR_UNBOUNDED,
    "MaxIterations": RawStatus.ITERATION_LIMIT,
    "MaxTime": RawStatus.TIME_LIMIT,
    "CallbackTerminated": RawStatus.INTERRUPTED,
    "InsufficientProgress": RawStatus.INACCURATE,
}


def run(program: Program, settings: ConeSettings, controls: Controls) -> SolverRun:
    """Builds the standard form and solves it; obeys a stop at the next iteration."""
    form = standard_form(program)
    solver = clarabel.DefaultSolver(
        form.quadratic,
        form.cost,
        form.matrix,
        form.right,
        solver_cones(form.dimensions),
        solver_settings(settings, controls),
    )
    raw, watch = watched(solver, program.constant, controls)
    return _read(form, raw, watch, settings)


def watched(solver: Any, constant: float, controls: Controls) -> tuple[Any, Iterations]:
    """Runs a Clarabel solver and writes down its iterations."""
    watch = Iterations(constant=constant)

    def hear(info: Any) -> bool:
        objective, bound = info.cost_primal + constant, info.cost_dual + constant
        row = (info.iterations, objective, info.res_primal, info.res_dual, info.gap_rel, info.step_length)
        watch.rows.append((*map(float, row), watch.seconds()))
        watch.news = Progress(info.iterations, objective, info.gap_rel, watch.seconds(), bound)
        return watch.stopping

    solver.set_termination_callback(hear)
    return attend(solver.solve, watch, controls), watch


def solver_settings(settings: ConeSettings, controls: Controls) -> Any:
    """The options in Clarabel's names."""
    sharp = settings.tolerance or SHARP
    options = clarabel.DefaultSettings()
    options.verbose = False
    for name in ("tol_gap_abs", "tol_gap_rel", "tol_feas"):
        setattr(options, name, sharp)
        setattr(options, f"reduced_{name}", max(sharp, GOOD))
    if settings.iterations is not None:
        options.max_iter = settings.iterations
    if controls.time_limit is not None:
        options.time_limit = controls.time_limit
    return options


def solver_cones(dimensions: Dimensions) -> list[Any]:
    """The list of cones in Clarabel's types; equal cones share one object."""
    cones: list[Any] = []
    if dimensions.zero:
        cones.append(clarabel.ZeroConeT(dimensions.zero))
    if dimensions.nonnegative:
        cones.append(clarabel.NonnegativeConeT(dimensions.nonnegative))
    for size, count in dimensions.second_order:
        cones += [clarabel.SecondOrderConeT(size)] * count
    for size, count in dimensions.semidefinite:
        cones += [clarabel.PSDTriangleConeT(size)] * count
    cones += [clarabel.ExponentialConeT()] * dimensions.exponential
    different, which = np.unique(dimensions.power, return_inverse=True)
    powers = [clarabel.PowerConeT(float(a)) for a in different]
    return cones + [powers[k] for k in which]


def status_of(raw: Any) -> RawStatus:
    """Clarabel's word for how the run ended; a stalled run that stands near an optimum counts as one."""
    status = _STATUS.get(str(raw.status), RawStatus.NUMERICAL_ERROR)
    if str(raw.status) in ("InsufficientProgress", "NumericalError"):
        gap = abs(raw.obj_val - raw.obj_val_dual) / max(1.0, min(abs(raw.obj_val), abs(raw.obj_val_dual)))
        if max(raw.r_prim, raw.r_dual, gap) <= STALLED:
            return RawStatus.OPTIMAL
    return status


def _read(form: StandardForm, raw: Any, watch: Iterations, settings: ConeSettings) -> SolverRun:
    status = status_of(raw)
    x, z = np.array(raw.x), np.array(raw.z)
    usable = bool(np.isfinite(x).all() and np.isfinite(z).all())
    ray = status in (RawStatus.UNBOUNDED, RawStatus.INFEASIBLE_OR_UNBOUNDED) and usable
    proof = status in (RawStatus.INFEASIBLE, RawStatus.INFEASIBLE_OR_UNBOUNDED)
    point = usable and not ray and not proof
    return SolverRun(
        status=status,
        x=x[: form.count] if point else None,
        multipliers=form.multipliers(z) if usable and status is not RawStatus.UNBOUNDED else None,
        ray=x[: form.count] if ray else None,
        iterations=int(raw.iterations),
        message="CLARABEL made no more progress" if status is RawStatus.INACCURATE else "",
        trace=watch.trace(COLUMNS),
    )
