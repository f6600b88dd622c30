"""Runs one solver on one CVXPY problem: status, CVXPY's solution, trace.

CVXPY compiles the problem; the solver then runs under our watch. CLARABEL calls back after each iteration, SCIP through
an event handler, so both have a trace and obey; the others run as CVXPY runs them, silent, and have none: their
iterations exist only as text on standard output, which cannot be captured safely beside other threads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import cvxpy
import numpy as np
import scipy.sparse as sp

from optdsl.convex.program import Progress, RawStatus, Trace
from optdsl.convex.watch import Controls, Watch, attend

CLARABEL_COLUMNS = ("iter", "objective", "primal", "dual", "step", "seconds")
SCIP_COLUMNS = ("nodes", "objective", "bound", "gap", "seconds")

_STATUS = {
    cvxpy.OPTIMAL: RawStatus.OPTIMAL,
    cvxpy.OPTIMAL_INACCURATE: RawStatus.INACCURATE,
    cvxpy.INFEASIBLE: RawStatus.INFEASIBLE,
    cvxpy.INFEASIBLE_INACCURATE: RawStatus.INFEASIBLE_OR_UNBOUNDED,
    cvxpy.UNBOUNDED: RawStatus.UNBOUNDED,
    cvxpy.UNBOUNDED_INACCURATE: RawStatus.INFEASIBLE_OR_UNBOUNDED,
    "infeasible_or_unbounded": RawStatus.INFEASIBLE_OR_UNBOUNDED,
}


@dataclass(frozen=True, slots=True)
class ConeSettings:
    """What to run and how sharply; `iterations` None leaves the solver's own limit."""

    solver: str
    tolerance: float | None = None
    gap: float = 1e-6
    iterations: int | None = None


@dataclass(frozen=True, slots=True)
class SolverRun:
    """How a run ended: status, CVXPY's `Solution` (None when there is none), proved bound, trace."""

    status: RawStatus
    solution: Any = None
    iterations: int = 0
    bound: float | None = None
    message: str = ""
    trace: Trace = field(default_factory=Trace)


@dataclass(slots=True)
class _Iterations(Watch):
    """The rows of a trace, written by a solver's callbacks."""

    constant: float = 0.0
    rows: list[tuple[float, ...]] = field(default_factory=list)


def run_solver(problem: cvxpy.Problem, settings: ConeSettings, controls: Controls, constant: float = 0.0) -> SolverRun:
    """Compiles the problem for the solver, runs it, and reads CVXPY's answer without its warnings.

    `constant` is what the problem's objective lacks; trace, news and bound count it in.
    """
    data, chain, inverse = problem.get_problem_data(settings.solver, solver_opts={})
    watch = _Iterations(constant=constant)
    if settings.solver == "CLARABEL":
        return _run_clarabel(data, chain, inverse, settings, controls, watch)
    if settings.solver == "SCIP":
        return _run_scip(data, chain, inverse, settings, controls, watch)
    keywords = _keywords(settings, controls.time_limit)
    raw = attend(lambda: chain.solve_via_data(problem, data, False, False, keywords), watch, controls, deaf=True)
    if raw is None:
        message = f"{settings.solver} cannot be stopped: it was left to end by itself"
        return SolverRun(RawStatus.INTERRUPTED, message=message)
    solution = chain.invert(raw, inverse)
    status = _STATUS.get(solution.status, RawStatus.NUMERICAL_ERROR)
    if settings.solver == "SCS" and "interrupt" in str(raw.get("info", {}).get("status", "")):
        status = RawStatus.INTERRUPTED  # SCS takes Ctrl-C itself
    if solution.status == cvxpy.USER_LIMIT:
        late = controls.time_limit is not None and watch.seconds() >= 0.9 * controls.time_limit
        status = RawStatus.TIME_LIMIT if late else RawStatus.ITERATION_LIMIT
    bound = _highs_bound(raw) if settings.solver == "HIGHS" and problem.is_mixed_integer() else None
    return SolverRun(
        status,
        solution,
        int(solution.attr.get("num_iters") or 0),
        None if bound is None else bound + constant,
    )


def _highs_bound(raw: Any) -> float | None:
    info = raw.get("info") if isinstance(raw, dict) else None
    bound = float(getattr(info, "mip_dual_bound", np.inf))
    return bound if np.isfinite(bound) else None


def _keywords(settings: ConeSettings, time_limit: float | None) -> dict[str, Any]:
    """The options in the solver's own names."""
    name, tolerance = settings.solver, settings.tolerance
    given: dict[str, Any] = {}
    if name == "OSQP":
        sharp = tolerance or 1e-9
        given = {"eps_abs": sharp, "eps_rel": sharp, "polishing": True, "max_iter": settings.iterations or 100_000}
        given |= {} if time_limit is None else {"time_limit": max(time_limit, 1e-3)}
    elif name == "SCS":
        sharp = tolerance or 1e-9
        given = {"eps_abs": sharp, "eps_rel": sharp, "max_iters": settings.iterations or 100_000}
        given |= {} if time_limit is None else {"time_limit_secs": max(time_limit, 1e-3)}
    elif name == "HIGHS":
        sharp = max(tolerance or 1e-9, 1e-10)
        given = {
            "primal_feasibility_tolerance": sharp,
            "dual_feasibility_tolerance": sharp,
            "small_matrix_value": 1e-12,
            "mip_rel_gap": settings.gap,
            "mip_abs_gap": min(1e-6, settings.gap),
            "qp_regularization_value": 0.0,
        }
        given |= {} if time_limit is None else {"time_limit": float(time_limit)}
        given |= {} if settings.iterations is None else {"simplex_iteration_limit": settings.iterations}
        given |= {} if settings.iterations is None else {"mip_max_nodes": settings.iterations}
    return given


def _run_clarabel(
    data: dict[str, Any], chain: Any, inverse: Any, settings: ConeSettings, controls: Controls, watch: _Iterations
) -> SolverRun:
    import clarabel
    from cvxpy.reductions.solvers.conic_solvers.clarabel_conif import dims_to_solver_cones

    sharp = settings.tolerance or 1e-10
    options = clarabel.DefaultSettings()
    options.verbose = False
    for name in ("tol_gap_abs", "tol_gap_rel", "tol_feas"):
        setattr(options, name, sharp)
        # A run that stalls short of `sharp` but within 1e-8 has done what the user needs.
        setattr(options, f"reduced_{name}", max(sharp, 1e-8))
    if settings.iterations is not None:
        options.max_iter = settings.iterations
    if controls.time_limit is not None:
        options.time_limit = controls.time_limit
    cost = data["c"]
    quadratic = data["P"] if data.get("P") is not None else sp.csc_array((len(cost), len(cost)))
    upper = sp.csc_array(sp.triu(quadratic))
    matrix = sp.csc_array(data["A"])
    solver = clarabel.DefaultSolver(upper, cost, matrix, data["b"], dims_to_solver_cones(data["dims"]), options)

    constant = watch.constant

    def hear(info: Any) -> bool:
        objective, bound = info.cost_primal + constant, info.cost_dual + constant
        row = (info.iterations, objective, info.res_primal, info.res_dual, info.step_length)
        watch.rows.append((*map(float, row), watch.seconds()))
        watch.news = Progress(info.iterations, objective, info.gap_rel, watch.seconds(), bound)
        return watch.stopping

    solver.set_termination_callback(hear)
    raw = attend(solver.solve, watch, controls)
    return SolverRun(
        status=_clarabel_status(clarabel, raw),
        solution=chain.invert(_with_point(raw), inverse),
        iterations=int(raw.iterations),
        message="" if str(raw.status) != "InsufficientProgress" else "CLARABEL made no more progress",
        trace=Trace(CLARABEL_COLUMNS, np.array(watch.rows, dtype=float).reshape(-1, len(CLARABEL_COLUMNS))),
    )


def _with_point(raw: Any) -> Any:
    """CLARABEL's result in a form from which CVXPY reads the last point of a run that was cut short, too."""
    if str(raw.status) not in ("CallbackTerminated", "MaxTime", "MaxIterations", "InsufficientProgress"):
        return raw
    fields = ("x", "z", "s", "obj_val", "obj_val_dual", "solve_time", "iterations", "r_prim", "r_dual")
    return SimpleNamespace(status="AlmostSolved", **{name: getattr(raw, name) for name in fields})


def _clarabel_status(clarabel: Any, raw: Any) -> RawStatus:
    words = {
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
    return words.get(str(raw.status), RawStatus.NUMERICAL_ERROR)


def _run_scip(
    data: dict[str, Any], chain: Any, inverse: Any, settings: ConeSettings, controls: Controls, watch: _Iterations
) -> SolverRun:
    from optdsl.convex.scip_watch import WatchedScip

    parameters: dict[str, Any] = {
        "misc/catchctrlc": False,
        "limits/gap": settings.gap,
        "numerics/feastol": min(max(settings.tolerance or 1e-7, 1e-9), 1e-6),
    }
    if controls.time_limit is not None:
        parameters["limits/time"] = float(controls.time_limit)
    if settings.iterations is not None:
        parameters["limits/totalnodes"] = settings.iterations
    solver = WatchedScip(watch)
    raw = attend(lambda: solver.solve_via_data(data, False, False, {"scip_params": parameters}), watch, controls)
    status = _scip_status(raw)
    if "primal" in raw:
        raw["status"] = cvxpy.OPTIMAL
        raw["value"] = 0.0
    solution = chain.invert(raw, inverse)
    model = raw["model"]
    bound = float(model.getDualbound())
    known = status is not RawStatus.INFEASIBLE and abs(bound) < model.infinity()
    return SolverRun(
        status=status,
        solution=solution if "primal" in raw else None,
        iterations=int(model.getNTotalNodes()),
        bound=bound + watch.constant + float(inverse[-1].get("offset", 0.0)) if known else None,
        trace=Trace(SCIP_COLUMNS, np.array(watch.rows, dtype=float).reshape(-1, len(SCIP_COLUMNS))),
    )


def _scip_status(raw: dict[str, Any]) -> RawStatus:
    words = {
        "optimal": RawStatus.OPTIMAL,
        "gaplimit": RawStatus.OPTIMAL,
        "infeasible": RawStatus.INFEASIBLE,
        "unbounded": RawStatus.UNBOUNDED,
        "inforunbd": RawStatus.INFEASIBLE_OR_UNBOUNDED,
        "timelimit": RawStatus.TIME_LIMIT,
        "nodelimit": RawStatus.ITERATION_LIMIT,
        "totalnodelimit": RawStatus.ITERATION_LIMIT,
        "userinterrupt": RawStatus.INTERRUPTED,
    }
    return words.get(raw["scip_status"], RawStatus.NUMERICAL_ERROR)
