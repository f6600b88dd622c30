"""CVXPY as its own examples write these problems: whole arrays, one atom for each function, its default tolerances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cvxpy as cp

SOLVER = cp.CLARABEL


def compiled(problem: str, data: Any) -> Any:
    """What the solver is given."""
    return FORMULATIONS[problem](**data).get_problem_data(SOLVER)


def solved(problem: str, data: Any) -> float:
    """The optimum."""
    return float(FORMULATIONS[problem](**data).solve(solver=SOLVER))


def portfolio(n, k, mean, own, load):  # type: ignore[no-untyped-def]
    w, y = cp.Variable(n), cp.Variable(k)
    risk = cp.sum_squares(y) + cp.sum_squares(cp.multiply(own**0.5, w))
    return cp.Problem(cp.Minimize(risk - mean @ w), [cp.sum(w) == 1, w >= 0, y == load.T @ w])


def lasso(m, n, A, b, charge):  # type: ignore[no-untyped-def]
    x = cp.Variable(n)
    return cp.Problem(cp.Minimize(cp.sum_squares(A @ x - b) + charge * cp.norm1(x)))


def logistic(m, n, A, label, charge):  # type: ignore[no-untyped-def]
    w = cp.Variable(n)
    loss = cp.sum(cp.logistic(-cp.multiply(label, A @ w)))
    return cp.Problem(cp.Minimize(loss + charge * cp.norm1(w)))


def max_cut(n, laplacian):  # type: ignore[no-untyped-def]
    X = cp.Variable((n, n), PSD=True)
    return cp.Problem(cp.Maximize(cp.sum(cp.multiply(laplacian, X)) / 4), [cp.diag(X) == 1])


def distances(n, east, north, cost):  # type: ignore[no-untyped-def]
    x, y, t = cp.Variable(n), cp.Variable(n), cp.Variable(n)
    near = cp.SOC(t, cp.vstack([x - east, y - north]), axis=0)
    return cp.Problem(cp.Minimize(cost @ t), [near, cp.sum(x) == 0, cp.sum(y) == 0])


FORMULATIONS: Mapping[str, Callable[..., cp.Problem]] = {
    "portfolio": portfolio,
    "lasso": lasso,
    "logistic": logistic,
    "max_cut": max_cut,
    "distances": distances,
}
