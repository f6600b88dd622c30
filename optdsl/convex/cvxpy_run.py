"""Programs through CVXPY: what SCIP and HIGHS are given, and the reference for the solvers that are called directly.

One CVXPY problem with a vector variable, a quadratic form, sums of squares, at most six vector constraints for rows
and bounds, and one vector constraint for each of the program's cones, whatever the number of lanes; semidefinite
matrices of more than two rows are one constraint each. CVXPY compiles; the solver then runs under our watch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cvxpy
import numpy as np
import scipy.sparse as sp

from optdsl.convex.cone_runs import ConeSettings, Iterations, SolverRun
from optdsl.convex.program import AffineRows, Cone, ConeKind, Program, RawStatus, Trace
from optdsl.convex.standard import Multipliers
from optdsl.convex.watch import Controls, attend

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

Part = tuple[Any, float, np.ndarray]
"""A constraint of CVXPY, the sign of its dual in our convention, and the positions it stands for."""


@dataclass(frozen=True, slots=True)
class Built:
    """The CVXPY problem and where its constraints came from; `cones` has a list of constraints for each cone."""

    problem: cvxpy.Problem
    variable: cvxpy.Variable
    rows: tuple[Part, ...]
    bounds: tuple[Part, ...]
    cones: tuple[tuple[Any, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class _Ended:
    """How the solver ended: CVXPY's `Solution` (None when there is none), and what our watch saw."""

    status: RawStatus
    solution: Any = None
    iterations: int = 0
    bound: float | None = None
    message: str = ""
    trace: Trace = field(default_factory=Trace)


def run(program: Program, settings: ConeSettings, controls: Controls) -> SolverRun:
    """Builds the CVXPY problem, runs the solver, and reads the answer without CVXPY's warnings."""
    built = build(program)
    data, chain, inverse = built.problem.get_problem_data(settings.solver, solver_opts={})
    watch = Iterations(constant=program.constant)
    if settings.solver == "CLARABEL":
        ended = _run_clarabel(data, chain, inverse, settings, controls, program.constant)
    elif settings.solver == "SCIP":
        ended = _run_scip(data, chain, inverse, settings, controls, watch)
    elif settings.solver == "HIGHS":
        ended = _run_highs(built, data, chain, inverse, settings, controls, watch)
    else:
        ended = _run_other(built, data, chain, inverse, settings, controls, watch)
    x = _values(ended, "primal_vars", built.variable.id)
    return SolverRun(
        status=ended.status,
        x=None if x is None else np.atleast_1d(x),
        multipliers=_multipliers(ended, built, program),
        iterations=ended.iterations,
        bound=ended.bound,
        message=ended.message,
        trace=ended.trace,
    )


# -------------------------------------------------------------------------------------------------------- building


def build(program: Program) -> Built:
    """The CVXPY problem of a program; the objective's constant is left out."""
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
    cones = tuple(tuple(_constraints(cone, x)) for cone in program.cones)
    constraints = [part[0] for part in (*rows, *bounds)] + [one for group in cones for one in group]
    return Built(cvxpy.Problem(cvxpy.Minimize(objective), constraints), x, rows, bounds, cones)


def _sides(take: Callable[[np.ndarray], Any], lower: np.ndarray, upper: np.ndarray) -> tuple[Part, ...]:
    """Equalities, lower sides and upper sides of `take(positions)`, each with the sign of its dual.

    CVXPY adds multipliers times (left - right) to the Lagrangian, and those of `>=` with the opposite sign.
    """
    equal = lower == upper
    parts: list[Part] = []
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


def _constraints(cone: Cone, variable: cvxpy.Variable) -> list[Any]:
    lanes = cone.lanes
    if not lanes:
        return []
    parts = [_expression(part, variable) for part in cone.parts]
    if cone.kind is ConeKind.NORM:
        width = len(cone.parts[1].offset) // lanes
        if not width:
            return [parts[0] >= 0]
        return [cvxpy.SOC(parts[0], cvxpy.reshape(parts[1], (lanes, width), order="C"), axis=1)]
    if cone.kind is ConeKind.SQUARE:
        u, v, w = parts
        return [cvxpy.SOC(v + w, cvxpy.vstack([2 * u, v - w]), axis=0)]
    if cone.kind is ConeKind.EXPONENTIAL:
        return [cvxpy.ExpCone(*parts)]
    if cone.kind is ConeKind.POWER:
        x, y, z = parts
        return [cvxpy.PowCone3D(x, y, z, np.broadcast_to(np.asarray(cone.exponent), (lanes,)))]
    size = cone.size
    if size == 1:
        return [parts[0] >= 0]
    if size == 2:
        entries = cvxpy.reshape(parts[0], (lanes, 4), order="C")
        u, v, w = (entries[:, 1] + entries[:, 2]) / 2, entries[:, 0], entries[:, 3]
        return [cvxpy.SOC(v + w, cvxpy.vstack([2 * u, v - w]), axis=0)]
    matrices = cvxpy.reshape(parts[0], (lanes, size * size), order="C")
    return [cvxpy.PSD(_symmetric(cvxpy.reshape(matrices[lane], (size, size), order="C"))) for lane in range(lanes)]


def _symmetric(matrix: Any) -> Any:
    return (matrix + matrix.T) / 2


def _expression(part: AffineRows, x: cvxpy.Variable) -> Any:
    return part.matrix @ x + part.offset if part.offset.any() else part.matrix @ x


# ------------------------------------------------------------------------------------------------ reading the answer


def _multipliers(ended: _Ended, built: Built, program: Program) -> Multipliers | None:
    rows = _sums(ended, built.rows, program.matrix.shape[0])
    bounds = _sums(ended, built.bounds, len(program.cost))
    if rows is None or bounds is None:
        return None
    cones = []
    for cone, constraints in zip(program.cones, built.cones, strict=True):
        duals = [_cone_dual(ended, constraint) for constraint in constraints]
        if any(dual is None for dual in duals):
            return None
        cones.append(_in_parts(cone, duals))
    return Multipliers(rows, bounds, tuple(cones))


def _sums(ended: _Ended, parts: tuple[Part, ...], count: int) -> np.ndarray | None:
    """The rate of change of the minimum with each side, summed over both sides; None where the solver gives none."""
    total = np.zeros(count)
    for constraint, sign, at in parts:
        dual = _values(ended, "dual_vars", constraint.id)
        if dual is None:
            return None
        total[at] += sign * np.atleast_1d(dual)
    return total


def _cone_dual(ended: _Ended, constraint: Any) -> Any:
    """The constraint's dual in the shape in which CVXPY shows it."""
    dual = _values(ended, "dual_vars", constraint.id)
    if dual is None:
        return None
    constraint.save_dual_value(dual)
    return constraint.dual_value


def _in_parts(cone: Cone, duals: list[Any]) -> tuple[np.ndarray, ...]:
    """CVXPY's duals of a cone's constraints as multipliers of its parts."""
    lanes = cone.lanes
    if not lanes:
        return tuple(np.zeros(len(part.offset)) for part in cone.parts)
    if cone.kind is ConeKind.SEMIDEFINITE and cone.size > 2:
        return (np.concatenate([np.asarray(dual).reshape(-1) for dual in duals]),)
    dual = duals[0]
    if cone.kind is ConeKind.NORM:
        if not len(cone.parts[1].offset):
            return np.atleast_1d(dual), np.zeros(0)
        return np.reshape(dual[0], (-1,)), np.reshape(dual[1], (-1,))
    if cone.kind is ConeKind.SQUARE or (cone.kind is ConeKind.SEMIDEFINITE and cone.size == 2):
        t, inner = np.reshape(dual[0], (-1,)), np.reshape(dual[1], (2, lanes))
        u, v, w = 2 * inner[0], t + inner[1], t - inner[1]
        if cone.kind is ConeKind.SQUARE:
            return u, v, w
        return (np.stack([v, u / 2, u / 2, w], axis=1).reshape(-1),)
    if cone.kind is ConeKind.SEMIDEFINITE:
        return (np.atleast_1d(dual),)
    return tuple(np.reshape(part, (-1,)) for part in dual)


def _values(ended: _Ended, kind: str, key: int) -> np.ndarray | None:
    found = getattr(ended.solution, kind, None) or {}
    if key not in found or found[key] is None:
        return None
    values = np.asarray(found[key], dtype=float)
    return values if np.isfinite(values).all() else None


# ------------------------------------------------------------------------------------------------------ the solvers


def _run_clarabel(
    data: dict[str, Any], chain: Any, inverse: Any, settings: ConeSettings, controls: Controls, constant: float
) -> _Ended:
    import clarabel
    from cvxpy.reductions.solvers.conic_solvers.clarabel_conif import dims_to_solver_cones

    from optdsl.convex import clarabel_run

    cost = data["c"]
    quadratic = data["P"] if data.get("P") is not None else sp.csc_array((len(cost), len(cost)))
    solver = clarabel.DefaultSolver(
        sp.csc_array(sp.triu(quadratic)),
        cost,
        sp.csc_array(data["A"]),
        data["b"],
        dims_to_solver_cones(data["dims"]),
        clarabel_run.solver_settings(settings, controls),
    )
    raw, watch = clarabel_run.watched(solver, constant, controls)
    return _Ended(
        status=clarabel_run.status_of(raw),
        solution=chain.invert(_with_point(raw), inverse),
        iterations=int(raw.iterations),
        trace=watch.trace(clarabel_run.COLUMNS),
    )


def _with_point(raw: Any) -> Any:
    """CLARABEL's result in a form from which CVXPY reads the last point of a run that was cut short, too."""
    if str(raw.status) not in ("CallbackTerminated", "MaxTime", "MaxIterations", "InsufficientProgress"):
        return raw
    fields = ("x", "z", "s", "obj_val", "obj_val_dual", "solve_time", "iterations", "r_prim", "r_dual")
    return SimpleNamespace(status="AlmostSolved", **{name: getattr(raw, name) for name in fields})


def _run_scip(
    data: dict[str, Any], chain: Any, inverse: Any, settings: ConeSettings, controls: Controls, watch: Iterations
) -> _Ended:
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
    status = _SCIP_STATUS.get(raw["scip_status"], RawStatus.NUMERICAL_ERROR)
    if "primal" in raw:
        raw["status"] = cvxpy.OPTIMAL
        raw["value"] = 0.0
    solution = chain.invert(raw, inverse)
    model = raw["model"]
    bound = float(model.getDualbound())
    known = status is not RawStatus.INFEASIBLE and abs(bound) < model.infinity()
    return _Ended(
        status=status,
        solution=solution if "primal" in raw else None,
        iterations=int(model.getNTotalNodes()),
        bound=bound + watch.constant + float(inverse[-1].get("offset", 0.0)) if known else None,
        trace=watch.trace(SCIP_COLUMNS),
    )


_SCIP_STATUS = {
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


def _run_highs(
    built: Built,
    data: dict[str, Any],
    chain: Any,
    inverse: Any,
    settings: ConeSettings,
    controls: Controls,
    watch: Iterations,
) -> _Ended:
    """HiGHS through CVXPY writes its log into a file of its own, from which the iterations are read."""
    from optdsl.convex.highs_run import trace_of_log

    sharp = max(settings.tolerance or 1e-9, 1e-10)
    keywords: dict[str, Any] = {
        "primal_feasibility_tolerance": sharp,
        "dual_feasibility_tolerance": sharp,
        "small_matrix_value": 1e-12,
        "mip_rel_gap": settings.gap,
        "mip_abs_gap": min(1e-6, settings.gap),
        "qp_regularization_value": 0.0,
    }
    if controls.time_limit is not None:
        keywords["time_limit"] = float(controls.time_limit)
    if settings.iterations is not None:
        keywords |= {"simplex_iteration_limit": settings.iterations, "mip_max_nodes": settings.iterations}
    mixed = built.problem.is_mixed_integer()
    with tempfile.TemporaryDirectory(prefix="optdsl-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "highs.log"
        keywords["log_file"] = str(log)
        ended, raw = _through_cvxpy(built, data, chain, inverse, settings, controls, watch, keywords)
        text = log.read_text(errors="replace") if log.exists() else ""
    bound = _highs_bound(raw) if mixed and raw is not None else None
    return _Ended(
        ended.status,
        ended.solution,
        ended.iterations,
        None if bound is None else bound + watch.constant,
        ended.message,
        trace_of_log(text, mixed, watch.constant),
    )


def _highs_bound(raw: Any) -> float | None:
    info = raw.get("info") if isinstance(raw, dict) else None
    bound = float(getattr(info, "mip_dual_bound", np.inf))
    return bound if np.isfinite(bound) else None


def _run_other(
    built: Built,
    data: dict[str, Any],
    chain: Any,
    inverse: Any,
    settings: ConeSettings,
    controls: Controls,
    watch: Iterations,
) -> _Ended:
    """OSQP and SCS as CVXPY calls them, for comparison; no trace."""
    sharp, limit = settings.tolerance or 1e-9, settings.iterations or 100_000
    keywords: dict[str, Any] = {"eps_abs": sharp, "eps_rel": sharp}
    if settings.solver == "OSQP":
        keywords |= {"polishing": True, "max_iter": limit}
    else:
        keywords |= {"max_iters": limit}
    if controls.time_limit is not None:
        name = "time_limit" if settings.solver == "OSQP" else "time_limit_secs"
        keywords[name] = max(controls.time_limit, 1e-3)
    return _through_cvxpy(built, data, chain, inverse, settings, controls, watch, keywords)[0]


def _through_cvxpy(
    built: Built,
    data: dict[str, Any],
    chain: Any,
    inverse: Any,
    settings: ConeSettings,
    controls: Controls,
    watch: Iterations,
    keywords: dict[str, Any],
) -> tuple[_Ended, Any]:
    raw = attend(
        lambda: chain.solve_via_data(built.problem, data, False, False, keywords), watch, controls, deaf=True
    )
    if raw is None:
        message = f"{settings.solver} cannot be stopped: it was left to end by itself"
        return _Ended(RawStatus.INTERRUPTED, message=message), None
    solution = chain.invert(raw, inverse)
    status = _STATUS.get(solution.status, RawStatus.NUMERICAL_ERROR)
    if solution.status == cvxpy.USER_LIMIT:
        late = controls.time_limit is not None and watch.seconds() >= 0.9 * controls.time_limit
        status = RawStatus.TIME_LIMIT if late else RawStatus.ITERATION_LIMIT
    return _Ended(status, solution, int(solution.attr.get("num_iters") or 0)), raw
