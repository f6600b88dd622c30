"""Geometric programs for tests: from a text to the answer, and a solver of cone programs that shares no code."""

from __future__ import annotations

import warnings
from pathlib import Path

import cvxpy
import numpy as np

from optdsl.classify.geometric import Geometric, NotGeometric, recognize_geometric
from optdsl.convex.geometric import GeometricAnswer, solve_geometric
from optdsl.convex.program import ConeKind, Program, RawAnswer, RawStatus
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
    """A linear program with cones by CVXPY and Clarabel."""
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
    for cone in program.cones:
        assert cone.kind is ConeKind.EXPONENTIAL
        constraints.append(cvxpy.ExpCone(*(p.matrix @ z + p.offset for p in cone.parts)))
    problem = cvxpy.Problem(cvxpy.Minimize(program.cost @ z), constraints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is inaccurate is told by the status
        problem.solve(solver="CLARABEL", **_SHARP)
    status = _STATUS.get(problem.status, RawStatus.NUMERICAL_ERROR)
    if z.value is None:
        return RawAnswer(status, "CLARABEL")
    duals = [np.zeros(program.matrix.shape[0]), np.zeros(len(program.cost))]
    for which, at, sign, made in parts:
        duals[which][at] += sign * np.atleast_1d(made.dual_value)
    return RawAnswer(status, "CLARABEL", z.value, *duals)
