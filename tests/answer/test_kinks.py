"""Kinks in models that are not convex: what is lifted, what is rounded off, and that every word claimed is true."""

from __future__ import annotations

import numpy as np
import pytest

import optdsl
from optdsl.answer.kinked import verified
from optdsl.api import as_supplied
from optdsl.engine.problem import ModelProblem
from optdsl.methods.driver import COLUMNS, Ending, Outcome, Record
from optdsl.methods.escape import LocalAnswer
from optdsl.model import build
from optdsl.terms.nodes import over

BOX = "var x in [-3, 3], init 1.2\nvar y in [-3, 3], init 0.4\n"
MODELS = {
    "product in abs": BOX + "minimize f: abs(x*y - 1) + 0.1*(x - 2)^2 + max(0, y - x)",
    "smallest, maximized": BOX + "maximize f: min(x*y, 3 - x^2 - y^2) - abs(x - y)",
    "kinks in kinks": BOX + "minimize f: max(abs(x*y - 1), max(x - y, sin(x)))",
    "power of abs": BOX + "minimize f: abs(x*y - 1)^2 + max(x, y)^3 + x^4",
    "abs against": BOX + "minimize f: 0.1*x^2 + 0.1*y^4 - abs(x) - abs(x*y)",
    "smallest, minimized": BOX + "minimize f: min((x - 1)^2, (x + 2)^2 + 0.5) + abs(y*x)",
    "sign of the factor": BOX + "minimize f: x*abs(y - 1) + x^2*y^2 + (y - 1)^4",
    "signs in the data": "param w[i in 1..4] = (-1)^i\nvar x[1..4] in [-2, 2], init 0.3\n"
    "minimize f: sum(w[i]*abs(x[i]) for i in 1..4) + sum(x[i]^3 for i in 1..4)",
    "many lanes": "param n = 30\nvar x[1..n] in [-2, 2], init 0.3\n"
    "minimize f: sum(abs(x[i]^2 - i/n) for i in 1..n) + 0.01*sum(x[i]^4 for i in 1..n)",
    "largest of many": "param n = 20\nvar x[1..3] in [-2, 2], init 0.3\n"
    "minimize f: max(abs(x[1]*cos(x[2]*i) + x[3] - sin(i/3)) for i in 1..n)",
    "norminf": "param n = 20\nvar x[1..3] in [-2, 2], init 0.3\n"
    "minimize f: norminf(x[1]*cos(x[2]*i) + x[3] - sin(i/3) for i in 1..n)",
    "norm1": "param n = 9\nvar x[1..3] in [-2, 2], init 0.3\n"
    "minimize f: norm1(x[1]*cos(x[2]*i) + x[3] - sin(i/3) for i in 1..n)",
    "sum of the largest": "var x[1..5] in [-2, 2], init 0.5\n"
    "minimize f: sum_largest([x[i]^3 - x[i]*i/2 for i in 1..5], 2)",
    "leaky": BOX + "minimize f: leaky_relu(x*y - 1, 0.1) + x^2 + y^2 + leaky_relu(x - y, 1.5)",
    "saddle at a kink": BOX.replace("1.2", "0").replace("0.4", "0") + "minimize f: abs(x) - y^2 + 0.1*y^4",
    "curved valley": BOX + "minimize f: 2*abs(x - y^2) - y^2 + y^4",
    "network": "var w in [-2, 2], init 0.7\nvar v in [-2, 2], init 0.5\n"
    "minimize f: (w*relu(v - 1) - 1)^2 + (w*relu(v + 1) + 0.5)^2",
}


@pytest.mark.parametrize("name", MODELS)
def test_no_point_near_a_local_optimum_is_better(name: str) -> None:
    """The word is looked at by values: points at many distances around the answer, on the model as written."""
    solution = optdsl.parse(MODELS[name]).solve()
    assert solution.status.acceptable
    model = build(optdsl.parse(MODELS[name]).tree, folder=None, supplied=as_supplied({}, {}))  # type: ignore[arg-type]
    x = np.concatenate([np.ravel(solution[v]) for v in model.variables])
    sign = -1.0 if solution.sense == "maximize" else 1.0
    lanes = model.lanes_of(over(()))

    def value(point: np.ndarray) -> float:
        return sign * float(model.lanes.with_values(point).full(model.objective.body, lanes))  # type: ignore[union-attr]

    reached = value(x)
    assert reached == pytest.approx(sign * solution.objective, abs=1e-9)  # type: ignore[operator]
    if solution.status != "locally_optimal":
        assert solution.guarantee == "none"
        return
    random = np.random.default_rng(4)
    low = np.concatenate([v.lower for v in model.variables.values()])
    high = np.concatenate([v.upper for v in model.variables.values()])
    for distance in (1e-2, 1e-3, 1e-4):
        for _ in range(60):
            near = np.clip(x + distance * random.normal(size=len(x)), low, high)
            assert value(near) >= reached - 1e-7 * max(1.0, abs(reached))


EARNED = set(MODELS) - {"sum of the largest"}


@pytest.mark.parametrize("name", sorted(EARNED))
def test_a_word_is_earned(name: str) -> None:
    solution = optdsl.parse(MODELS[name]).solve()
    assert solution.status == "locally_optimal" and solution.checks.second_order == "satisfied"


def test_a_kink_that_nothing_presses_is_not_called_optimal() -> None:
    """An equality holds on both sides of a kink: rounded off, and at the kink nothing is proved."""
    text = "var x init 1\nvar y init 1\nminimize f: x^2 - x\nsubject to\n  e: abs(y) + sin(x) - x*y^2 = 0\n"
    solution = optdsl.parse(text).solve()
    if solution.status == "locally_optimal":  # then away from the kink
        assert abs(float(solution["y"])) > 1e-5
    else:
        assert solution.guarantee == "none"


def test_a_variable_that_is_not_the_value_of_its_function_proves_nothing() -> None:
    """The lifted program of `-abs(x)` falls forever: x = 0 with t above |x| must not pass as a point of the model."""
    model = build(
        optdsl.parse("var x in [-1, 1]\nminimize f: -abs(x) + x^3").tree, folder=None, supplied=as_supplied({}, {})
    )  # type: ignore[arg-type]
    problem = ModelProblem(model, lift=None)
    problem.start = problem.settled(np.array([0.2, 0.0]))
    assert problem.start.tolist() == [0.2, 0.2]
    assert problem.pressed([problem.start]) == frozenset()
    trace = np.zeros((1, len(COLUMNS)))
    record = Record(objective=0.0, primal=0.0, dual=0.0)
    rows = np.array([-0.5, -0.5])
    outcome = Outcome(
        np.array([0.3, 5.0]), rows, np.zeros(2), record, Ending.CONVERGED, 1, 0.0, evaluations={}, trace=trace
    )
    assert verified(problem, LocalAnswer(outcome, None), 0.0) is None


def test_duals_of_a_lifted_model_are_rates() -> None:
    """The dual of a row is how the optimum moves with its side, though the kinks became rows themselves."""
    text = (
        "var x init 1.4\nvar y init 0.8\nminimize f: max(x^2 + y^2, 2 - x*y) + abs(x - y)\n"
        "subject to\n  s: x + 2*y - 0.1*max(x, x*y^2) >= {side}\n"
    )
    middle, low, high = (optdsl.parse(text.format(side=side)).solve() for side in (4.0, 3.999, 4.001))
    assert middle.status == "locally_optimal"
    assert float(middle.dual("s")) == pytest.approx((high.objective - low.objective) / 0.002, rel=1e-3)


def test_a_search_by_values_sees_the_kinks_themselves() -> None:
    solution = optdsl.parse(BOX + "minimize f: abs(x*y - 1) + abs(x - 2)").solve(method="direct_search")
    assert solution.objective == pytest.approx(0.0, abs=1e-6)
    assert solution.guarantee == "none"


def test_many_starts_on_kinks_end_at_them() -> None:
    solution = optdsl.parse(MODELS["product in abs"]).solve(method="multistart", options={"starts": 8})
    assert solution.status == "locally_optimal" and solution.objective == pytest.approx(0.0, abs=1e-8)
    assert sum(item.reached for item in solution.minima) <= 8
