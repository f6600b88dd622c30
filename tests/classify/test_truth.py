"""Words that must be true: small models on which a false one was once said."""

from __future__ import annotations

import pytest

import optdsl

OPTIMA = [
    ("var x >= 0, <= 3\nmaximize o: asin(x)", 1.5707963267948966),
    ("var x >= 1, <= 5\nmaximize o: acos(x)", 0.0),
    ("var x >= -3, <= -0.5\nminimize o: acos(-1.3 * x - 1.3)", 0.0),
    ("var y\nvar z >= -1, <= 2\nmaximize o: asin(2*y - 0.5*z - 0.5)", 1.5707963267948966),
    # the domain of what is multiplied by 0, cancelled or rewritten holds all the same
    ("var x[1..2] >= -5, <= 5\nminimize o: sum(x) + 0 * geo_mean(x)", 0.0),
    ("var x[1..2] >= -5, <= 5\nminimize o: sum(x) + 0 * harmonic_mean(x)", 0.0),
    ("var x >= -5, <= 5\nminimize o: x + 0 * acos(x)", -1.0),
    ("var x\nminimize o: x + sqrt(x) - sqrt(x)", 0.0),
    ("var x\nmaximize o: x + sqrt(3 - 2*x) - sqrt(3 - 2*x)", 1.5),
    ("var x\nminimize o: x\nsubject to\n  c: asin(x) >= -10", -1.0),
    ("var x\nminimize o: exp(log(x)) + (x + 2)^2\nsubject to\n  c: x >= 0.5", 6.75),
    ("var x[1..3]\nminimize o: sum(x[i] + 0 * sqrt(x[i] - i) for i in 1..3)", 6.0),
    ("param p = 0.5\nvar x\nminimize o: x + x^p - x^p", 0.0),
    ("var x in [-5, 4]\nminimize o: x + max(3, sqrt(x))", 3.0),
    ("var x in [-5, 4]\nminimize o: x + abs(sqrt(x) + 3)", 3.0),
    ("var x in [-5, 0]\nvar y in [0, 1]\nminimize o: y + x\nsubject to\n  c: x^0.5 <= 4", 0.0),
    ("var x\nvar y\nminimize o: x + y\nsubject to\n  c: x + 0 * sqrt(1 - x^2 - y^2) <= 5", -1.4142135623730951),
]

NEVER_OPTIMAL = [
    # outside the domain of what is multiplied by 0
    "var x >= -5, <= 5\nminimize o: x + 0 * log1p(x)",
    # the objective overflows at the point
    "var x >= 0.1, <= 1e6\nmaximize o: log(exp(0.3 * x))",
]

REWRITTEN = [
    "var x >= -1, <= 2\nminimize o: x\nsubject to\n  c: (-2*x)^3 <= 4",
    "var x >= -1, <= 2\nminimize o: x\nsubject to\n  c: sign(x) <= 3",
]


@pytest.mark.parametrize(("text", "optimum"), OPTIMA)
def test_domains_of_inverse_functions_are_no_endless_improvement(text: str, optimum: float) -> None:
    solution = optdsl.parse(text).solve()
    assert solution.status.word == "optimal"
    assert solution.objective == pytest.approx(optimum, abs=1e-6)


@pytest.mark.parametrize("text", NEVER_OPTIMAL)
def test_points_without_a_value_are_not_called_optimal(text: str) -> None:
    assert optdsl.parse(text).solve().status.word not in ("optimal", "feasible", "unbounded")


@pytest.mark.parametrize("text", REWRITTEN)
def test_an_affine_equivalent_does_not_make_what_is_written_affine(text: str) -> None:
    verdict = optdsl.parse(text).check()
    assert verdict.problem_class.convexity == "convex"
    assert [s.curvature for s in verdict.statements if s.name == "c"] == ["unknown"]


def test_an_infimum_that_is_not_reached_is_told_with_its_bound() -> None:
    solution = optdsl.parse("var x >= 1\nvar y >= 0.1\nminimize o: x^0.5 * y^-1").solve()
    assert solution.status.word == "feasible" and solution.bound == pytest.approx(0.0, abs=1e-9)
    assert "without end." not in str(solution)


def test_a_quadratic_that_vanishes_is_no_error_of_optdsl() -> None:
    text = "var x >= -2, <= 0\nminimize o: x\nsubject to\n  c: ((0.5 * x)^0.5)^2 >= 1.7"
    assert optdsl.parse(text).solve().status.word == "infeasible"


LEFT_TO_THE_DOMAIN = [
    ("var x >= 0\nvar y >= 1\nminimize o: x*y + sqrt(x - 1) - sqrt(x - 1)", 1.0),
    ("var x >= 0\nvar y >= 1\nminimize o: x/y + sqrt(x - 1) - sqrt(x - 1)\nsubject to\n  c: y <= 4", 0.25),
    ("var x >= 0\nvar y >= 1\nminimize o: x/y\nsubject to\n  c: y + 0*sqrt(x - 1) <= 4", 0.25),
]


@pytest.mark.parametrize(("text", "optimum"), LEFT_TO_THE_DOMAIN)
def test_special_forms_keep_the_domain_of_what_cancelled(text: str, optimum: float) -> None:
    solution = optdsl.parse(text).solve()
    assert solution.status.word in ("optimal", "locally_optimal")
    assert solution.objective == pytest.approx(optimum, abs=1e-6)
