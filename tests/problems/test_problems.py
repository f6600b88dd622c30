"""Every model of the published sets: it is read, has the known sizes, and is worth at its optimum what is printed."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy.optimize import nnls

import optdsl
from optdsl.api import as_supplied
from optdsl.model import build
from optdsl.model.model import Model
from optdsl.terms.nodes import over
from problems import Problem, agrees, problems, sets

ALL = [problem for name in sets() for problem in problems(name)]
WORDS = {name: getattr(math, name) for name in ("sqrt", "exp", "log", "pi")}


def names(problem: Problem) -> str:
    return f"{problem.path.parent.name}/{problem.name}"


def model_of(problem: Problem) -> Model:
    loaded = optdsl.load(problem.path)
    return build(loaded.tree, folder=loaded.folder, supplied=as_supplied(problem.data, {}))


def columns_of(model: Model, point: dict[str, object]) -> np.ndarray:
    """The point as one vector (n,) of all columns."""
    values = np.full(model.columns, np.nan)
    for variable in model.variables.values():
        values[variable.offset : variable.offset + variable.width] = np.ravel(point[variable.name])
    return values


def objective_at(model: Model, x: np.ndarray) -> float:
    """The objective's value at a point (n,); 0 where there is none."""
    if model.objective is None:
        return 0.0
    lanes = model.lanes.with_values(x)
    return float(lanes.full(model.objective.body, model.lanes_of(over(()))))


def violation_at(model: Model, x: np.ndarray) -> float:
    """The largest violation of a bound or a row at a point (n,), relative to the row's side where that is above 1."""
    lanes = model.lanes.with_values(x)
    worst = 0.0
    for constraint in model.constraints:
        frame = model.lanes_of(constraint.over)
        for relation in constraint.relations:
            body = lanes.full(relation.body, frame)
            for side, sign in ((relation.lower, 1.0), (relation.upper, -1.0)):
                if side is not None:
                    limit = model.lanes.full(side, frame)
                    gap = sign * (limit - body) / np.maximum(1.0, np.abs(limit))
                    assert not np.isnan(gap).any()
                    worst = max(worst, float(gap.max(initial=0.0)))
    for variable in model.variables.values():
        own = x[variable.offset : variable.offset + variable.width]
        gaps = [variable.lower - own, own - variable.upper]
        worst = max(worst, *(float((gap / np.maximum(1.0, np.abs(own))).max(initial=0.0)) for gap in gaps))
    return worst


def as_printed(text: str) -> tuple[float, float]:
    """The value that a source prints, and the unit of its last digit; formulas have a unit of 1e-12."""
    number = re.fullmatch(r"-?\d+(?:\.(\d*))?(?:[eE]([-+]?\d+))?", text)
    if number is None:
        return float(eval(text, {"__builtins__": {}}, WORDS)), 1e-12
    unit = 10.0 ** (int(number[2] or 0) - len(number[1] or ""))
    return float(text), unit if "." in text else 1e-8


def test_names_are_unique() -> None:
    for name in sets():
        found = [problem.name for problem in problems(name)]
        assert len(found) == len(set(found))


def test_every_file_is_in_a_table() -> None:
    for name in sets():
        listed = {problem.path for problem in problems(name)}
        assert listed == set(problems(name)[0].path.parent.glob("*.opt"))


@pytest.mark.parametrize("problem", ALL, ids=names)
def test_problem(problem: Problem) -> None:
    model = model_of(problem)
    assert model.columns == problem.columns
    assert sum(constraint.size for constraint in model.constraints) == problem.rows
    if problem.published and not problem.note:
        printed, unit = as_printed(problem.published)
        assert abs(printed - problem.best) <= max(1.5 * unit, 2e-6 * abs(printed))
    if problem.point:
        x = columns_of(model, problem.point)
        assert agrees(objective_at(model, x), problem.best, 1e-7, problem.scale)
        assert violation_at(model, x) <= 1e-7


# ------------------------------------------------------------------------------------------ the optima are stationary

# Where there is no gradient at the optimum, or no multipliers exist.
NO_GRADIENT = {"ackley_n2", "ackley_n10", "bukin6", "salomon_n5", "drop_wave"}
NO_MULTIPLIERS = {"hs013"}
# Meyer's problem is curved so much that the digits of its certified parameters leave a slope.
TOO_CURVED = {"mgh10", "mgh10_1", "mgh10_2"}
SMALL = [p for p in ALL if p.point and p.columns <= 60 and p.name not in NO_GRADIENT | NO_MULTIPLIERS | TOO_CURVED]


def bodies_at(model: Model, x: np.ndarray) -> np.ndarray:
    """The bodies of all rows at a point (n,), one after another."""
    lanes = model.lanes.with_values(x)
    parts = [
        lanes.full(relation.body, model.lanes_of(constraint.over)).reshape(-1)
        for constraint in model.constraints
        for relation in constraint.relations
    ]
    return np.concatenate([*parts, np.zeros(0)])


def sides_of(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """The lower and upper sides of all rows."""
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([np.zeros(0)], [np.zeros(0)])
    for constraint in model.constraints:
        frame = model.lanes_of(constraint.over)
        for relation in constraint.relations:
            for found, side, missing in zip(sides, (relation.lower, relation.upper), (-np.inf, np.inf), strict=True):
                full = np.full(frame.size, missing) if side is None else model.lanes.full(side, frame).reshape(-1)
                found.append(full)
    return np.concatenate(sides[0]), np.concatenate(sides[1])


def outward(model: Model, x: np.ndarray, size: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
    """The gradients of what holds with equality at a point, each pointing to where it is violated: (n, active)."""
    variables = model.variables.values()
    body = np.concatenate([bodies_at(model, x), x])
    gradients = np.vstack([jacobian, np.diag(size)])
    lower, upper = sides_of(model)
    lower = np.concatenate([lower, *(v.lower for v in variables)])
    upper = np.concatenate([upper, *(v.upper for v in variables)])
    near = 1e-5 * np.maximum(1.0, np.abs(body))
    return np.vstack([-gradients[body - lower <= near], gradients[upper - body <= near]]).T


@pytest.mark.nightly
@pytest.mark.parametrize("problem", SMALL, ids=names)
def test_optimum_is_stationary(problem: Problem) -> None:
    """The gradient of the objective is a combination of those of active rows and bounds, with the right signs."""
    model = model_of(problem)
    x = columns_of(model, problem.point)
    size = np.where(np.abs(x) > 1e-9, np.abs(x), 1.0)  # slopes are those along variables in units of their own size
    steps = np.diag(1e-6 * size)
    slope = np.array([objective_at(model, x + h) - objective_at(model, x - h) for h in steps])
    rows = np.array([bodies_at(model, x + h) - bodies_at(model, x - h) for h in steps])
    slope, jacobian = slope / 2e-6, (rows / 2e-6).T
    if model.objective is not None and model.objective.sense == "maximize":
        slope = -slope
    active = outward(model, x, size, jacobian)
    _, rest = nnls(active, -slope) if active.size else (None, float(np.linalg.norm(slope)))
    assert rest <= 1e-4 * max(1.0, abs(problem.best))
