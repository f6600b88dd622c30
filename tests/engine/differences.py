"""Derivatives of a model's nonlinear program against central differences of its values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from optdsl.api import as_supplied
from optdsl.engine.problem import ModelProblem
from optdsl.language import parse
from optdsl.model import build


def problem_of(text: str, **data: Any) -> ModelProblem:
    """The nonlinear program of a text with values by name."""
    model = build(parse(text, "test.opt"), folder=Path("."), supplied=as_supplied(None, data), paths=None, name="test")
    return ModelProblem(model)


def apart(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest entry."""
    size = max(1.0, float(np.abs(expected).max(initial=0.0)))
    return float(np.abs(found - expected).max(initial=0.0)) / size


def disagreement(problem: ModelProblem, x: np.ndarray, seed: int = 0, step: float = 1e-5) -> dict[str, float]:
    """How far gradient, Jacobian, Hessian and product are from central differences, relative to their size."""
    random = np.random.default_rng(seed)
    n, y, weight = len(x), random.normal(size=problem.count), 1.3

    def lagrangian_gradient(z: np.ndarray) -> np.ndarray:
        jacobian = problem.jacobian_pattern.matrix(problem.jacobian(z))
        return weight * problem.gradient(z) + jacobian.T @ y

    gradient, jacobian, hessian = np.zeros(n), np.zeros((problem.count, n)), np.zeros((n, n))
    for j in range(n):
        e = np.zeros(n)
        e[j] = step * max(1.0, abs(x[j]))
        gradient[j] = (problem.objective(x + e) - problem.objective(x - e)) / (2 * e[j])
        jacobian[:, j] = (problem.constraints(x + e) - problem.constraints(x - e)) / (2 * e[j])
        hessian[:, j] = (lagrangian_gradient(x + e) - lagrangian_gradient(x - e)) / (2 * e[j])
    v = random.normal(size=n)
    assert problem.hessian_pattern is not None
    whole = problem.hessian_pattern.symmetric(problem.hessian(x, y, weight)).toarray()
    return {
        "gradient": apart(problem.gradient(x), gradient),
        "jacobian": apart(problem.jacobian_pattern.matrix(problem.jacobian(x)).toarray(), jacobian),
        "hessian": apart(whole, hessian),
        "product": apart(problem.hessian_product(x, y, v, weight), whole @ v),
    }
