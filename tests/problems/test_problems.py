"""Every model of the published sets: it is read, has the known sizes, and is worth at its optimum what is printed."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

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
