"""Geometric programs for tests: from a text to the answer, and a solver of cone programs that shares no code."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import cvxpy
import numpy as np

from optdsl.classify.geometric import Geometric, NotGeometric, recognize_geometric
from optdsl.convex.geometric_answer import GeometricAnswer, solve_geometric
from optdsl.convex.highs import solve_highs
from optdsl.convex.program import Cone, ConeKind, Program, RawAnswer, RawStatus
from optdsl.language import parse
from optdsl.model import build
from optdsl.model.model import Model

_STATUS = {
    "optimal": RawStatus.OPTIMAL,
    "optimal_inaccurate": RawStatus.INACCURATE,
    "infeasible": RawStatus.INFEASIBLE,
    "unbounded": RawStatus.UNBOUNDED,
}
_SHARP = {
    name: value for kind in ("gap_abs", "gap_rel", "feas")
    for name, value in ((f"tol_{kind}", 1e-10), (f"reduced_tol_{kind}", 1e-7))
}


def model_of(text: str, **values: object) -> Model:
    """The model of a text; `{name}` in it stands for a value."""
    for name, value in values.items():
        text = text.replace("{" + name + "}", repr(value))
    return build(parse(text, "<test>"), folder=Path("."), supplied=None, paths=None, name="test")


def geometric(text: str, **values: object) -> Geometric:
    """The geometric program of a text."""
    found = recognize_geometric(model_of(text, **values))
    assert isinstance(found, Geometric), found
    return found


def refused(text: str) -> NotGeometric:
    """Why a text is no geometric program."""
    found = recognize_geometric(model_of(text))
    assert isinstance(found, NotGeometric), "taken for a geometric program"
    return found


def solved(text: str, **values: object) -> GeometricAnswer:
    """The answer to the geometric program of a text."""
    return solve_geometric(geometric(text, **values), solve_cones)


def objective_of(answer: GeometricAnswer) -> float:
    """The objective at the answer's point, from the model's template."""
    model = answer.lowered.geometric.model
    assert model.objective is not None and answer.restored.x is not None
    from optdsl.terms.frame import Frame

    lanes = model.lanes.with_values(answer.restored.x)
    return float(lanes.full(model.objective.body, Frame().as_root()).reshape(-1)[0])


def optimum(text: str, **values: object) -> float:
    """The optimal objective of a text."""
    answer = solved(text, **values)
    assert answer.raw.status is RawStatus.OPTIMAL, answer.raw.status
    return objective_of(answer)


def solve_cones(program: Program) -> RawAnswer:
    """A program with cones by CVXPY and Clarabel; linear ones take the simplex method."""
    if not program.cones and not program.quadratic:
        return solve_highs(program)
    z = cvxpy.Variable(len(program.cost))
    sides = [(program.matrix @ z, program.row_lower, program.row_upper), (z, program.lower, program.upper)]
    constraints, parts = [], []
    for which, (left, lower, upper) in enumerate(sides):
        equal = lower == upper
        for mask, sign in ((equal, 0), (~equal & np.isfinite(lower), 1), (~equal & np.isfinite(upper), -1)):
            at = np.flatnonzero(mask)
            if len(at):
                taken = left[at]
                made = (taken == lower[at]) if sign == 0 else (taken >= lower[at]) if sign > 0 else (taken <= upper[at])
                constraints.append(made)
                parts.append((which, at, float(sign or -1), made))
    cones = [_cone(cone, [p.matrix @ z + p.offset for p in cone.parts]) for cone in program.cones]
    problem = cvxpy.Problem(cvxpy.Minimize(_objective(program, z)), constraints + [c for c, _ in cones])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is inaccurate is told by the status
        problem.solve(solver="CLARABEL", **_SHARP)
    status = _STATUS.get(problem.status, RawStatus.NUMERICAL_ERROR)
    if z.value is None:
        return RawAnswer(status, "CLARABEL")
    duals = [np.zeros(program.matrix.shape[0]), np.zeros(len(program.cost))]
    for which, at, sign, made in parts:
        duals[which][at] += sign * np.atleast_1d(made.dual_value)
    return RawAnswer(status, "CLARABEL", z.value, *duals, cone_duals=tuple(read() for _, read in cones))


def _objective(program: Program, z: cvxpy.Variable) -> cvxpy.Expression:
    objective = program.cost @ z + program.constant
    if program.hessian is not None:
        objective += 0.5 * cvxpy.quad_form(z, cvxpy.psd_wrap(program.hessian))
    if program.squares is not None:
        inner = program.squares.matrix @ z + program.squares.offset
        objective += program.squares.weights @ cvxpy.square(inner)
    return objective


def _cone(cone: Cone, parts: list[cvxpy.Expression]) -> tuple[cvxpy.Constraint, Callable[[], tuple[np.ndarray, ...]]]:
    """A constraint, and what reads its multipliers part by part."""
    if cone.kind is ConeKind.EXPONENTIAL:
        made = cvxpy.ExpCone(*parts)
        return made, lambda: tuple(np.asarray(d).reshape(-1) for d in made.dual_value)
    if cone.kind is ConeKind.POWER:
        made = cvxpy.PowCone3D(*parts, cone.exponent)
        return made, lambda: tuple(np.asarray(d).reshape(-1) for d in made.dual_value)
    lanes = len(cone.parts[0].offset)
    if cone.kind is ConeKind.SQUARE:
        # u^2 <= v w as |(2 u, v - w)| <= v + w
        u, v, w = parts
        made = cvxpy.SOC(v + w, cvxpy.vstack([2 * u, v - w]), axis=0)

        def read() -> tuple[np.ndarray, ...]:
            top, inner = (np.asarray(d) for d in made.dual_value)
            first, second = inner.reshape(2, lanes)
            return 2 * first, top.reshape(-1) + second, top.reshape(-1) - second

        return made, read
    assert cone.kind is ConeKind.NORM
    made = cvxpy.SOC(parts[0], cvxpy.reshape(parts[1], (lanes, len(cone.parts[1].offset) // lanes), order="C"), axis=1)
    return made, lambda: (np.asarray(made.dual_value[0]).reshape(-1), np.asarray(made.dual_value[1]).reshape(-1))
