"""Which constraints of a model are projected onto during training, and what comes of it."""

from __future__ import annotations

import numpy as np
import pytest

import optdsl
from optdsl.language import parse
from optdsl.model import build
from optdsl.training.feasible import feasible_set
from optdsl.training.problem import TensorProblem
from optdsl.training.split import members_of

TEXT = """
set ROW = 1..60
set P = 1..4
param a[i in ROW, j in P] = sin(i * 12.9898 * j + j)
param y[i in ROW] = sum((j - 3)^2 * a[i, j] for j in P) / 5 + 0.1 * cos(i * 78.233)
var w[P]
var v[P] >= 0
minimize loss: mean(
  (sum(w[j] * a[i, j] for j in P) - y[i])^2 + (sum(v[j] * a[i, j] for j in P) - 3 * y[i])^2 for i in ROW)
subject to
"""
CHAIN = "  monotone[j in 1..3]: w[j] <= w[j + 1]\n"
FALLING = "  falling[j in 1..3]: 2 * w[j] >= 2 * w[j + 1]\n"
SIMPLEX = "  weights: sum(v[j] for j in P) == 1\n"
BALL = "  ball: sum(w[j]^2 for j in P) <= 0.25\n"
OTHER = "  other: w[1] + 2 * v[2] <= 3\n"
AVERAGE = "  average: mean(sum(w[j] * a[i, j] for j in P) for i in ROW) <= 0.5\n"


def problem_of(rows: str) -> TensorProblem:
    model = build(parse(TEXT + rows))
    return TensorProblem(model, members_of(model, "ROW"))


@pytest.mark.parametrize(
    ("rows", "projected"),
    [
        (CHAIN, [1, 1, 1]),
        (FALLING, [1, 1, 1]),
        (SIMPLEX, [1]),
        (BALL, [1]),
        (SIMPLEX + BALL, [1, 1]),
        (OTHER + SIMPLEX + CHAIN, [0, 1, 1, 1, 1]),
        (AVERAGE + CHAIN + SIMPLEX, [0, 1, 1, 1, 1]),
        (CHAIN + BALL, [1, 1, 1, 0]),
        (AVERAGE, [0]),
        (OTHER, [0]),
    ],
)
def test_rows_that_are_projected_onto(rows: str, projected: list[int]) -> None:
    problem = problem_of(rows)
    found, mask = feasible_set(problem)
    assert mask.tolist() == [bool(p) for p in projected]
    if not any(projected):
        assert found is None
        return
    assert found is not None
    x = np.random.default_rng(0).normal(size=8)
    found.project(x)
    c = problem.constraints(x)[mask]
    assert (c >= problem.row_lower[mask] - 1e-12).all()
    assert (c <= problem.row_upper[mask] + 1e-12).all()
    again = x.copy()
    found.project(again)
    np.testing.assert_allclose(again, x, atol=1e-14)


@pytest.mark.parametrize("rows", [CHAIN, FALLING + SIMPLEX, CHAIN + SIMPLEX + OTHER], ids=["chain", "both", "other"])
def test_the_answer_is_the_convex_route_s_with_its_duals(rows: str) -> None:
    convex = optdsl.parse(TEXT + rows).solve()
    method = "\nsolve using sgd(rate = 0.1, momentum = 0.9, batch = 0, epochs = 4000, over = ROW)"
    trained = optdsl.parse(TEXT + rows + method).solve()
    assert trained.objective == pytest.approx(convex.objective, abs=1e-7)
    assert any(np.abs(answer.dual).max() > 0.01 for answer in convex.constraints.values())
    for name, answer in convex.constraints.items():
        np.testing.assert_allclose(trained.constraints[name].dual, answer.dual, atol=1e-4)
