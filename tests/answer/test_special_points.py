"""Points at which derivatives are infinite or undefined, every warning an error: a user never sees one of NumPy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import optdsl
from tests.engine.differences import problem_of

BODIES = (
    *("norm2([x, y])", "norm2([x, y]) * x", "log(norm2([x, y]))", "norm1([x, y]) * x", "norminf([x, y]) * y"),
    *("x * log(x) + y^2 * x", "entr(x) * y", "log(x) * x * y", "x^y", "x * exp(1 / x)", "log2(x) * y"),
    *("sqrt(x) * y", "x^0.5 + y * x", "x^1.5 + x * y", "(x^2 + y^2)^0.25", "x^(1/3) * y", "sqrt(x^2 + y^2) * x"),
    *("x * y / (x^2 + y^2)", "x / y", "atan(y / x)", "asin(x + 1) * y", "acos(x) * x * y", "tan(x) * y"),
    *("max(x, y) * x", "abs(x) * y", "sign(x) * y", "pos(x) * y", "sum_largest([x, y], 1) * x"),
    *("logsumexp([x, y]) * x", "logsumexp([-1e308 * x - 1e308, y]) * y", "rel_entr(x, y) * x"),
    *("sinh(x) * y", "log1p(x - 1) * y", "exp(1000 * x) * y"),
)
PLACES = {
    "free": "var x init 0\nvar y init 0\n",
    "fixed": "var x in [0, 0]\nvar y in [0, 2] init 0\n",
    "half": "var x >= 0 init 0\nvar y >= 0 init 0\n",
    "equal": "var x in [0, 2] init 1\nvar y in [0, 2] init 1\n",
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("place", PLACES)
def test_no_warning_reaches_a_user(body: str, place: str) -> None:
    for rows, method in ((f"subject to\n  c: x*y + {body} <= 5\n", "ipm"), ("", "trust_region")):
        model = optdsl.parse(f"{PLACES[place]}minimize f: {body} + x^4 - x*y\n{rows}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                answer = model.solve(method=method, time_limit=2)
            except optdsl.OptError:
                continue  # a refusal in words
        if answer.status.acceptable:
            assert np.isfinite(answer.objective)


@pytest.mark.parametrize("body", BODIES)
def test_derivatives_at_special_points_are_numbers_or_none(body: str) -> None:
    text = f"{PLACES['free']}minimize f: {body}\nsubject to\n  c: {body} <= 5\n"
    problem = problem_of(text)
    multipliers = np.ones(problem.count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0], [1.0, 1.0], [1e300, 1e300]]):
            value = problem.objective(x)
            assert problem.gradient(x).shape == problem.slope_sizes(x).shape == (2,)
            problem.jacobian(x)
            problem.hessian_product(x, multipliers, np.ones(2))
            if problem.hessian_pattern is not None:
                problem.hessian(x, multipliers)
            assert np.isnan(value) == np.isnan(problem.constraints(x)[0])
            if np.isnan(value):  # outside of the domain nothing is claimed
                assert not np.isfinite(problem.gradient(x)).all()


def test_an_upper_end_of_a_domain_at_a_lower_bound() -> None:
    answer = optdsl.parse("var x >= 0 init 0\nvar y >= 0\nminimize f: asin(x + 1) * y + x^4 - x*y\n").solve()
    assert not answer.status.acceptable or answer.variables["x"].value == pytest.approx(0.0, abs=1e-6)
