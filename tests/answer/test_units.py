"""Objectives in tiny units: the run, its words, multipliers and values are those of the same model in usual units."""

from __future__ import annotations

import numpy as np
import pytest

import optdsl

START = "var x init 1\nvar y init 0.5\n"
BODY = "((x - 3)^2 + y^4 - y^2)"
ROWS = "subject to\n  c: x*y >= 3\n  d: x + y^2 >= 1\n"


def solved(factor: str, sense: str = "minimize", rows: str = "", **options: object) -> optdsl.Solution:
    sign = "-" if sense == "maximize" else ""
    return optdsl.parse(f"{START}{sense} f: {sign}{factor}*{BODY}\n{rows}").solve(**options)


@pytest.mark.parametrize("exponent", [5, 8, 9, 12, 20, 60])
@pytest.mark.parametrize("sense", ["minimize", "maximize"])
def test_the_minimum_is_found_in_tiny_units(exponent, sense):
    answer = solved(f"1e-{exponent}", sense)
    assert answer.status.word == "locally_optimal"
    assert answer.variables["x"].value == pytest.approx(3.0, abs=1e-4)
    assert abs(answer.variables["y"].value) == pytest.approx(np.sqrt(0.5), abs=1e-4)
    value = -0.25 * 10.0**-exponent
    assert answer.objective == pytest.approx(value if sense == "minimize" else -value, rel=1e-6)
    assert answer.trace.rows[-1, answer.trace.columns.index("objective")] == pytest.approx(answer.objective, rel=1e-6)


@pytest.mark.parametrize("sense", ["minimize", "maximize"])
def test_multipliers_are_in_the_users_units(sense):
    usual, tiny = solved("1", sense, ROWS), solved("1e-11", sense, ROWS)
    assert usual.status.word == tiny.status.word == "locally_optimal"
    assert abs(usual.constraints["c"].dual) > 0.1
    for name in ("c", "d"):
        ours, theirs = tiny.constraints[name].dual, 1e-11 * usual.constraints[name].dual
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-16)
    assert tiny.variables["x"].value == pytest.approx(usual.variables["x"].value, abs=1e-5)


@pytest.mark.parametrize("method", ["trust_region", "lbfgs", "lbfgsb", "ipm", "sqp", "augmented_lagrangian"])
def test_every_method_moves(method):
    answer = optdsl.parse(f"{START}minimize f: 1e-10*{BODY}\n").solve(method=method)
    assert answer.status.word == "locally_optimal"
    assert answer.variables["x"].value == pytest.approx(3.0, abs=1e-3)


def test_sums_of_squares_in_tiny_units():
    text = f"{START}minimize f: 1e-14*((x*y - 2)^2 + (x - 4)^2)\n"
    answer = optdsl.parse(text).solve(method="levenberg_marquardt")
    assert answer.status.acceptable
    assert answer.variables["x"].value == pytest.approx(4.0, abs=1e-4)
    assert answer.objective <= 1e-20


def test_complementarity_is_measured_in_the_same_unit():
    """A multiplier of 1e-12 beside a slack of 0.5 is no rounding where the objective's slopes are 1e-12."""
    answer = solved("1e-12", rows=ROWS)
    for row in answer.constraints.values():
        assert abs(row.dual * row.slack) <= 1e-18


def test_kinks_in_tiny_units():
    text = f"{START}minimize f: 1e-10*(abs(x - 3) + abs(y - 1) + (x*y - 3)^2)\n"
    answer = optdsl.parse(text).solve()
    assert answer.status.acceptable
    assert (answer.variables["x"].value, answer.variables["y"].value) == pytest.approx((3.0, 1.0), abs=1e-4)


def test_a_start_where_slopes_happen_to_vanish_changes_nothing():
    """x^2 near 0 is no objective in tiny units: its multipliers must not explode."""
    text = "var x init 1e-9\nvar y init 0\nminimize f: x^2 + y^4 - 0*y\nsubject to\n  c: x*(1 + y^2) >= 1\n"
    answer = optdsl.parse(text).solve()
    assert answer.status.acceptable


def test_an_objective_that_is_constant_stays():
    text = "var x init 1\nvar y init 0.5\nminimize f: 0*x\nsubject to\n  c: x*y >= 2\n"
    answer = optdsl.parse(text).solve()
    assert answer.status.acceptable and answer.objective == 0.0


def test_the_next_run_of_a_compiled_model_in_another_unit():
    """Multipliers of the last run are kept in the user's units."""
    model = optdsl.parse(f"param a\n{START}minimize f: a*{BODY}\n{ROWS}").compile(a=1.0)
    first, second, third = (model.solve(a=value) for value in (1.0, 1e-10, 1e-6))
    for answer, a in ((first, 1.0), (second, 1e-10), (third, 1e-6)):
        assert answer.status.word == "locally_optimal"
        assert answer.objective == pytest.approx(a * first.objective, rel=1e-5)
