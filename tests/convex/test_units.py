"""Objectives in tiny units: the answer is that of the same model with its objective in ones."""

from __future__ import annotations

import pytest

import optdsl

BOX = "var x in [0, 10]\nvar y in [0, 10]\n"
WHOLE = "var x integer in [0, 10]\nvar y in [0, 10]\n"
MODELS = {
    "linear": (BOX, "minimize", "x + 2*y", "c: x + y >= 1"),
    "linear maximized": (BOX, "maximize", "x + 2*y", "c: x + y <= 1"),
    "integers": (WHOLE, "maximize", "x + 2*y", "c: x + 3*y <= 1.5"),
    "quadratic": (BOX, "minimize", "(x - 3)^2 + 100*(y - 2)^2 + x", "c: x + y >= 6"),
    "integers in a quadratic": (WHOLE, "minimize", "(x - 3.4)^2 + (y - 2)^2", "c: x + y >= 6"),
    "piecewise": (BOX, "minimize", "(x - 3)^2 + abs(y - x)", "c: x + y >= 1"),
    "norm": (BOX, "minimize", "norm2([x - 3, y - 4]) + 0.1*exp(x)", "c: x + y >= 1"),
    "logarithms": (BOX, "maximize", "log(x) + log(y)", "c: x + 2*y <= 6"),
}
"""By name: variables, sense, objective, constraint."""
UNITS = (1e-7, 2.0**-40, 1e-12, 1e-30)


def _solved(name: str, unit: float) -> optdsl.Solution:
    variables, sense, objective, row = MODELS[name]
    return optdsl.parse(f"{variables}{sense} f: {unit:.17g} * ({objective})\nsubject to\n  {row}\n").solve()


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", MODELS)
def test_the_unit_changes_no_answer(name: str, unit: float) -> None:
    plain, tiny = _solved(name, 1.0), _solved(name, unit)
    assert tiny.status.word == plain.status.word == "optimal"
    close = {"rel": 2e-4, "abs": 2e-4}
    for variable in ("x", "y"):
        assert float(tiny[variable]) == pytest.approx(float(plain[variable]), **close)
    assert tiny.objective is not None and plain.objective is not None
    assert tiny.objective / unit == pytest.approx(plain.objective, rel=1e-5, abs=1e-5)
    assert tiny.bound is not None and plain.bound is not None
    assert tiny.bound / unit == pytest.approx(plain.bound, rel=1e-5, abs=1e-5)
    if "integers" not in name:
        dual, reference = tiny.constraints["c"].dual, plain.constraints["c"].dual
        assert float(dual) / unit == pytest.approx(float(reference), rel=1e-4, abs=1e-4)


def test_the_trace_is_in_the_models_unit() -> None:
    trace = _solved("quadratic", 1e-12).trace.to_pandas()
    assert abs(trace["objective"].iloc[-1]) < 1e-8
