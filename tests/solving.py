"""Solves texts with optdsl and, independently, with SciPy or CVXPY on what the plain evaluator makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from agreement import Member, linear_program, point_of
from naive import Functions, Naive
from scipy.optimize import Bounds, LinearConstraint, milp

import optdsl
from optdsl.errors import OptError
from optdsl.model.model import Model


@dataclass(frozen=True)
class Answer:
    """A status (`optimal`, `infeasible`, `unbounded`), the objective's value, and the point by name and label."""

    status: str
    objective: float | None
    point: dict[str, dict[Member, Any]] | None = None


def by_optdsl(text: str) -> Answer | None:
    """The answer of optdsl; None where it refuses the model or finds a mistake."""
    try:
        solution = optdsl.parse(text).solve()
    except OptError:
        return None
    point = None if solution.objective is None else point_of_solution(text, solution)
    return Answer(solution.status.word, solution.objective, point)


def point_of_solution(text: str, solution: optdsl.Solution) -> dict[str, dict[Member, Any]]:
    """The values of all variables, by name and label."""
    declared = Naive(text, {}).declared
    names = [n for n, d in declared.items() if type(d).__name__ == "VarDecl"]
    return {name: dict(_entries(solution[name])) for name in names}


def _entries(array: Any) -> list[tuple[Member, float]]:
    if not array.axes:
        return [((), float(array))]
    return [(key if isinstance(key, tuple) else (key,), value) for key, value in array.to_dict().items()]


def bounds_of(text: str, model: Model) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower and upper bounds and integrality of all columns, by the plain evaluator."""
    naive = Naive(text, {})
    low, high, integer = np.full(model.columns, -np.inf), np.full(model.columns, np.inf), np.zeros(model.columns)
    places = point_of(model, np.arange(model.columns))
    for name, entries in places.items():
        flags = {a.name for a in naive.declared[name].attributes if type(a).__name__ == "Flag"}
        for key, (lower, upper) in naive.bounds(name).items():
            k = int(entries[key])
            low[k], high[k] = max(low[k], lower), min(high[k], upper)
            integer[k] = bool(flags & {"integer", "binary"})
    return low, high, integer


def by_scipy(text: str, model: Model) -> Answer:
    """The optimum of a (mixed-integer) linear text."""
    program = linear_program(text, model)
    low, high, integer = bounds_of(text, model)
    sign = -1.0 if model.objective is not None and model.objective.sense == "maximize" else 1.0
    rows = len(program["lower"])
    held = [LinearConstraint(program["matrix"], program["lower"], program["upper"])] if rows else []
    if model.columns == 0:
        holds = bool((program["lower"] <= 1e-9).all() and (program["upper"] >= -1e-9).all())
        return Answer("optimal", program["constant"]) if holds else Answer("infeasible", None)
    result = milp(sign * program["cost"], constraints=held, bounds=Bounds(low, high), integrality=integer)
    word = {0: "optimal", 2: "infeasible", 3: "unbounded"}.get(result.status, f"scipy says {result.message}")
    return Answer(word, None if result.fun is None else sign * float(result.fun) + program["constant"])


def functions() -> Functions:
    """CVXPY's functions where an argument is an expression of variables, NumPy's elsewhere."""
    plain = Functions()

    def either(of_expressions: Callable[..., Any], of_numbers: Callable[..., Any]) -> Callable[..., Any]:
        def function(*arguments: Any) -> Any:
            parts = arguments[0] if isinstance(arguments[0], list) else arguments
            return (of_expressions if any(isinstance(p, cp.Expression) for p in parts) else of_numbers)(*arguments)

        return function

    return Functions(
        larger=either(cp.maximum, plain.larger),
        smaller=either(cp.minimum, plain.smaller),
        absolute=either(cp.abs, plain.absolute),
        huber=either(cp.huber, plain.huber),
        largest=either(lambda values, k: cp.sum_largest(cp.hstack(values), k), plain.largest),
    )


def by_cvxpy(text: str, model: Model) -> Answer:
    """The optimum of a convex text, its expressions put together by CVXPY."""
    low, high, _ = bounds_of(text, model)
    x = [cp.Variable() for _ in range(model.columns)]
    columns = np.empty(model.columns, dtype=object)
    columns[:] = x
    naive = Naive(text, point_of(model, columns), functions())
    held = []
    for k, variable in enumerate(x):
        if np.isfinite(low[k]):
            held.append(variable >= low[k])
        if np.isfinite(high[k]):
            held.append(variable <= high[k])
    for _, ops, instances in naive.constraints():
        for operands in instances.values():
            sides = [o if isinstance(o, cp.Expression) else cp.Constant(o) for o in operands]
            for op, left, right in zip(ops, sides[:-1], sides[1:], strict=True):
                held.append({"<=": left <= right, ">=": left >= right, "=": left == right}[op])
    goal = naive.objective()
    goal = goal if isinstance(goal, cp.Expression) else cp.Constant(goal)
    sense = cp.Maximize if model.objective is not None and model.objective.sense == "maximize" else cp.Minimize
    problem = cp.Problem(sense(goal), held)
    assert problem.is_dcp(), "the text is not convex"
    value = problem.solve(solver=cp.CLARABEL)
    word = problem.status.replace("optimal_inaccurate", "optimal")
    return Answer(word, float(value) if word == "optimal" else None)
