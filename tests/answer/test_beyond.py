"""Cone problems whose least value is not reached say so, flat minima do not, and endless falls have rays."""

from __future__ import annotations

import numpy as np
import pytest

import optdsl
from optdsl import Solution

FADING = "ever less"

TAILS = {
    "exponential_beside_a_norm": "var x\nvar y[1..2]\nminimize exp(x) + norm2([y[1] - 1, y[2]])",
    "exponential_with_a_constant": "var x\nvar y\nminimize 5 + exp(-x) + abs(y - 1)",
    "softplus": "var x\nvar y\nminimize log(1 + exp(-x)) + abs(y)",
    "difference_of_exponents": "var x\nvar y\nminimize exp(x - y)\nsubject to\n  c: x + y = 5",
    "logarithm_of_sum": "var x[1..3]\nvar y\nminimize logsumexp([x[1], x[2]]) - x[1] + y^2",
    "row_that_keeps": "var x >= 0\nvar y\nminimize exp(-x) + abs(y)\nsubject to\n  c: x >= 1 + y",
    "maximized": "var x\nvar y\nmaximize 3 - exp(-x) - abs(y)",
    "scaled": "var x\nvar y\nminimize exp(-100 * x) + abs(y)",
    "slow": "var x\nvar y\nminimize exp(-0.01 * x) + abs(y)",
    "moved": "var x\nvar y\nminimize exp(1000 - x) + abs(y)",
}
REACHED = {
    "flat_power": "var x\nvar y\nminimize (x - 30)^8 + abs(y)",
    "hinge": "var x\nvar y\nminimize pos(50 - x) + abs(y)",
    "squared_hinge": "var x\nvar y\nminimize pos(50 - x)^2 + abs(y)",
    "difference_at_a_distance": "var x\nvar y\nminimize abs(x - y) + pos(1000 - x)",
    "bounded": "var x in [0, 40]\nvar y\nminimize exp(-x) + abs(y)",
    "bounded_by_a_row": "var x\nvar y\nminimize exp(-x) + abs(y)\nsubject to\n  c: x + y <= 20",
    "bounded_by_a_norm": "var x[1..2]\nminimize exp(-x[1])\nsubject to\n  c: norm2(x) <= 15",
    "ray_of_minimizers": "var x\nvar y\nminimize sqrt(x^2 + y^2) - x",
    "entropy": "var x[1..4] >= 0\nminimize sum(x[i] * log(x[i]) for i in 1..4)\nsubject to\n  c: sum(x) = 200",
    "huber": "var x[1..3]\nminimize huber(x[1] - 100, 1) + huber(x[2] - x[1], 1) + abs(x[3])",
    "least_product": "var x >= 0\nvar y >= 0\nminimize x + y\nsubject to\n  c: x * y >= 1e4",
}


def solved(text: str) -> Solution:
    return optdsl.parse(text + "\n").solve(method="cvxpy")


@pytest.mark.parametrize("name", TAILS)
def test_a_tail_is_told(name: str) -> None:
    solution = solved(TAILS[name])
    assert solution.status.word == "optimal"
    assert any(FADING in note for note in solution.notes), solution.notes


@pytest.mark.parametrize("name", REACHED)
def test_a_minimum_is_not_called_a_tail(name: str) -> None:
    solution = solved(REACHED[name])
    assert solution.status.word in ("optimal", "feasible")  # of degree 8: not to tolerance
    assert not any(FADING in note for note in solution.notes), solution.notes


ENGINE = {
    "inverse": ("var x >= 1\nminimize 1/x", "`x` grows"),
    "inverse_and_a_row": ("var x >= 1\nvar y\nminimize 1/x + y\nsubject to\n  c: y >= 3", "`x` grows"),
    "hyperbola": ("var x >= 0\nvar y >= 0\nminimize y\nsubject to\n  c: x * y >= 1", "`x` grows"),
    "inverse_beside_an_exponential": ("var x >= 1\nvar y\nminimize 1/x + exp(y) + (y - 2)^2", "`x` grows"),
}


@pytest.mark.parametrize("name", ENGINE)
def test_slopes_that_only_fade_prove_no_optimum(name: str) -> None:
    text, moving = ENGINE[name]
    solution = optdsl.parse(text + "\n").solve()
    assert solution.status.word == "feasible"
    assert any(FADING in note and moving in note for note in solution.notes), solution.notes


FLAT = {
    "power": "var x\nminimize (x - 3)^4",
    "square": "var x\nvar y\nminimize (x - 1e4)^2 + (y + x)^2",
    "exponentials": "var x\nminimize exp(x) + exp(-x)",
    "far": "var x >= 1\nminimize 1/x + 1e-8 * x",
    "barrier": "var x >= 0\nminimize 1e-4 * x - log(x)",
    "hyperbola": "var x >= 0\nvar y >= 0\nminimize y + 1e-4 * x\nsubject to\n  c: x * y >= 1",
}


@pytest.mark.parametrize("method", ["ipm", "trust_region"])
@pytest.mark.parametrize("name", FLAT)
def test_flat_minima_of_the_engine_stay_optimal(name: str, method: str) -> None:
    text = FLAT[name] + "\n"
    if "subject" in text and method != "ipm":
        pytest.skip("for bounds only")
    solution = optdsl.parse(text).solve(method=method)
    assert solution.status.word == "optimal", solution.notes


@pytest.mark.parametrize(
    ("text", "ray"),
    [
        (
            "var x >= 0\nvar y >= 0\nminimize x - log(y)\nsubject to\n  c: x >= 2 - sqrt(y)\n  d: y >= 1",
            {"y": 1.0},
        ),
        ("var x\nvar y\nminimize -log(x)\nsubject to\n  c: x <= y\n  d: y = 2 * x + 1", {"x": 0.5, "y": 1.0}),
        ("var x >= 1\nvar y >= 1\nmaximize log(x) + log(y)\nsubject to\n  c: x + y >= 3", {"x": 1.0}),
        ("var x\nvar y\nmaximize log(x)\nsubject to\n  c: x >= y\n  d: y >= 0", {"x": 1.0}),
    ],
)
def test_an_objective_that_falls_ever_slower_has_a_ray(text: str, ray: dict[str, float]) -> None:
    solution = optdsl.parse(text + "\n").solve()
    assert solution.status.word == "unbounded"
    assert solution.ray is not None and solution.ray.direction is not None
    found = {name: float(np.asarray(value)) for name, value in solution.ray.direction.items()}
    assert found == pytest.approx(ray)
    assert not any("straight" in note for note in solution.notes)


def test_a_curve_has_none_and_the_sentence_keeps_to_the_page() -> None:
    solution = optdsl.parse("var x >= 1\nvar y\nminimize -x\nsubject to\n  c: x^2 <= y\n").solve()
    assert solution.status.word == "unbounded"
    assert solution.ray is not None and solution.ray.direction is None
    shown = str(solution).splitlines()
    assert any("No straight direction" in line for line in shown)
    assert all(len(line) <= 100 for line in shown)
