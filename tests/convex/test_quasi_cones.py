"""Quasi-convex problems whose levels need cones, against CVXPY's qcp=True and closed forms."""

from __future__ import annotations

import warnings

import cvxpy
import numpy as np
import pytest

from tests.convex.test_quasi import LOGS, assert_optimal, recognized, solved


def test_sharpe_ratio() -> None:
    """The best ratio of return to risk: w proportional to inverse(covariance) mu where that is positive."""
    mean, root = np.array([0.1, 0.05, 0.12]), np.array([[0.3, 0.0, 0.0], [0.1, 0.2, 0.0], [0.1, 0.05, 0.4]])
    text = """
    set I = 1..3
    param mu[I] = {mean}
    param L[I, I] = {root}
    var w[I] >= 0
    maximize sum(mu[i] * w[i] for i in I) / norm2(sum(L[j, i] * w[j] for j in I) for i in I)
    subject to
      budget: sum(w[i] for i in I) = 1
    """
    direction = np.linalg.solve(root @ root.T, mean)
    assert (direction > 0).all()
    answer = solved(text, mean=mean.tolist(), root=root.tolist())
    assert_optimal(answer, float(np.sqrt(mean @ direction)))
    assert answer.restored.x == pytest.approx(direction / direction.sum(), abs=1e-3)


def test_positive_by_a_constraint() -> None:
    """A numerator of either sign, which a constraint keeps positive."""
    text = """
    var x in [0, 5]
    var y in [0, 5]
    maximize (3*x - y - 1) / hypot(x, y + 1)
    subject to
      positive: 3*x - y >= 1
      cap: x + y <= 4
    """
    # at y = 0 the ratio (3 x - 1) / sqrt(x^2 + 1) has the slope (x + 3) / (x^2 + 1)^1.5 and rises to the cap
    assert_optimal(solved(text), 11 / np.sqrt(17))


CASES = {
    "square over root": (
        "minimize (x^2 + y + 1) / sqrt(x + 2*y)",
        lambda x, y: cvxpy.Minimize((cvxpy.square(x) + y + 1) / cvxpy.sqrt(x + 2 * y)),
    ),
    "root over exponential": (
        "maximize sqrt(x) / exp(x + y)",
        lambda x, y: cvxpy.Maximize(cvxpy.sqrt(x) / cvxpy.exp(x + y)),
    ),
    "product": ("maximize x * y", lambda x, y: cvxpy.Maximize(x * y)),
    "maximum of kinds": (
        "minimize max((x^2 + 1) / (y + 1), ceil(y - x), 1 / (x * y + 1) * 0 + 1 / x)",
        lambda x, y: cvxpy.Minimize(cvxpy.maximum((cvxpy.square(x) + 1) / (y + 1), cvxpy.ceil(y - x), 1 / x)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_against_cvxpy(name: str) -> None:
    text, reference = CASES[name]
    answer = solved(LOGS + text + "\nsubject to\n  a: 2*x + y <= 8\n  b: x + y >= 1")
    x, y = cvxpy.Variable(nonneg=True), cvxpy.Variable(nonneg=True)
    constraints = [2 * x + y <= 8, x + y >= 1, x >= 0.1, x <= 10, y <= 10]
    problem = cvxpy.Problem(reference(x, y), constraints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem.solve(qcp=True, solver="CLARABEL", eps=1e-7)
    assert_optimal(answer, problem.value, rel=1e-5)


def test_reciprocal_of_a_product() -> None:
    text = LOGS + "minimize max(1 / (x * y), (x + y) / (y + 3))\nsubject to\n  a: x <= 8"
    assert recognized(text).kind == "levels"
    x, y = np.meshgrid(np.linspace(0.1, 8, 2001), np.linspace(0.01, 10, 2001))
    best = float(np.maximum(1 / (x * y), (x + y) / (y + 3)).min())
    answer = solved(text)
    assert_optimal(answer, best, rel=2e-3)
    assert answer.objective <= best  # type: ignore[operator]


def test_a_constraint_that_is_a_level() -> None:
    text = LOGS + "minimize x + y\nsubject to\n  a: min(x * y, log(1 + x)) >= 0.9\n"
    text += "  b: max((x + 1) / (y + 1), 1) <= 1.2"
    answer = solved(text)
    x, y = cvxpy.Variable(pos=True), cvxpy.Variable(pos=True)
    product = cvxpy.geo_mean(cvxpy.hstack([x, y]))
    constraints = [cvxpy.log(1 + x) >= 0.9, product >= np.sqrt(0.9), x + 1 <= 1.2 * (y + 1)]
    problem = cvxpy.Problem(cvxpy.Minimize(x + y), constraints)
    problem.solve(solver="CLARABEL")
    assert answer.objective == pytest.approx(problem.value, rel=1e-5)
