"""Linear programs of textbooks at their published optima."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import optdsl

MODELS = Path(__file__).parent / "models"

# model -> published optimal value; the source stands in the first line of the model
PUBLISHED = {
    "transport": 153.675,
    "steel_transport": 196200,
    "steel_multi": 199500,
    "steel_multi_sqlite": 199500,
    "net1": 1819,
    "stigler": 0.1086623,
    "bond": 2381.14,
    "factory_planning": 93715.18,
    "food_manufacture": 107842.59,
    "maxflow": 29,
}


@pytest.mark.parametrize("model", PUBLISHED)
def test_published_optimum(model: str) -> None:
    solution = optdsl.load(MODELS / f"{model}.opt").solve()
    assert solution.status.word == "optimal" and solution.checks.ok
    assert solution.objective == pytest.approx(PUBLISHED[model], rel=5e-7, abs=0.005 if PUBLISHED[model] > 1e3 else 0)


def test_transport_prices() -> None:
    solution = optdsl.load(MODELS / "transport.opt").solve()
    np.testing.assert_allclose(solution.dual("need"), [0.225, 0.153, 0.126], rtol=1e-9)


def test_stigler_buys_five_foods() -> None:
    spend = optdsl.load(MODELS / "stigler.opt").solve()["spend"].to_dict()
    bought = {food: 365 * dollars for food, dollars in spend.items() if dollars > 1e-9}
    # Dantzig, Linear Programming and Extensions (1963), section 27.1: dollars in a year.
    expected = {"Wheat": 10.77, "Liver": 0.69, "Cabbage": 4.09, "Spinach": 1.83, "Navy Beans": 22.28}
    plain = {name.lower().replace(" ", "").replace("_", "") for name in bought}
    assert len(plain) == 5 and all(
        any(found.startswith(name.lower().replace(" ", "")[:5]) for found in plain) for name in expected
    )
    assert sum(bought.values()) == pytest.approx(39.66, abs=0.005)
    assert sorted(bought.values()) == pytest.approx(sorted(expected.values()), abs=0.01)


@pytest.mark.parametrize(
    ("model", "degree", "error", "coefficients"),
    [
        ("curve_sum", 1, 11.46625, [0.58125, 0.6375]),
        ("curve_max", 1, 1.725, [-0.4, 0.625]),
        ("curve_max", 2, 1.475, [2.475, -0.625, 0.125]),
    ],
)
def test_curves(model: str, degree: int, error: float, coefficients: list[float]) -> None:
    solution = optdsl.load(MODELS / f"{model}.opt").solve(degree=degree)
    assert solution.objective == pytest.approx(error, abs=1e-6)
    np.testing.assert_allclose(solution["c"], coefficients, atol=1e-6)


def test_parabola_with_least_sum_of_errors() -> None:
    solution = optdsl.load(MODELS / "curve_sum.opt").solve(degree=2)
    assert solution.objective == pytest.approx(10.459, abs=1e-3)
    np.testing.assert_allclose(solution["c"], [0.9823, 0.2945, 0.0337], atol=1e-4)
