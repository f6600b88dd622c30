"""Refutation first: a solve's verdict is that of all provers, whatever was not tried."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optdsl.answer.transformed import special_form
from optdsl.api import as_supplied
from optdsl.classify import analyze
from optdsl.classify.facts import Facts
from optdsl.classify.refute import Refuter
from optdsl.classify.witness.decimals import decimal_values
from optdsl.classify.witness.precise import Between, Precise
from optdsl.language import parse
from optdsl.model import build

SETS = Path(__file__).parent.parent / "problems"
FILES = [path for name in ("hs", "engineering") for path in sorted((SETS / name).glob("*.opt"))]


def model_of(text: str):
    return build(parse(text, "test.opt"), folder=Path("."), supplied=as_supplied(None, {}), paths=None, name="test")


@pytest.mark.parametrize("path", FILES[::3], ids=lambda path: path.stem)
def test_a_hasty_verdict_is_the_patient_one(path):
    model = model_of(path.read_text())
    hasty, patient = analyze(model, doubt="quick"), analyze(model, doubt="none")
    assert hasty.smoothness == patient.smoothness
    assert bool(hasty.refusal) == bool(patient.refusal)
    if not patient.refusal:
        assert hasty.convexity == patient.convexity == "convex"
        return
    one, other = special_form(hasty), special_form(patient)
    assert (one and one.type) == (other and other.type)
    assert hasty.proved is not None and patient.proved is not None
    assert sum(b.matrix.shape[0] for b in hasty.proved().blocks) == sum(
        b.matrix.shape[0] for b in patient.proved().blocks
    )


@pytest.mark.parametrize(
    "text, special",
    [
        # quasi-convex and geometric models are not convex as they stand, yet solved to the global optimum
        ("var x in [1, 4]\nvar y in [1, 4]\nminimize (x + 2 * y) / (x + y + 1)\n", "QUASICONVEX"),
        ("var x in [0, 9]\nminimize sqrt(abs(x - 3))\n", "QUASICONVEX"),
        ("var x >= 0.1\nvar y >= 0.1\nminimize x / y\nsubject to\n  c: x * y^2 >= 1\n  d: y <= 5\n", "GP"),
        ("var x >= 0.1\nvar y >= 0.1\nmaximize x * y\nsubject to\n  c: x^2 * y + x = 3\n", None),
        ("var x in [-2, 2]\nminimize x^4 - x^2\n", None),
    ],
)
def test_what_has_another_way_to_the_optimum_keeps_it(text, special):
    found = special_form(analyze(model_of(text), doubt="quick"))
    patient = special_form(analyze(model_of(text), doubt="none"))
    assert (found and found.type) == (patient and patient.type) == special


def test_no_prover_runs_on_what_is_refuted(monkeypatch):
    import optdsl.classify.analyst as analyst

    def fail(*_):
        raise AssertionError("a prover was tried")

    monkeypatch.setattr(analyst, "objective_attempts", fail)
    monkeypatch.setattr(analyst, "constraint_attempts", fail)
    text = "var x\nvar y\nminimize 100 * (y - x^2)^2 + (1 - x)^2\nsubject to\n  c: x * y = 1\n  d: x^2 * y <= 4\n"
    analysis = analyze(model_of(text), doubt="quick")
    assert analysis.convexity == "nonconvex" and analysis.witness is not None
    assert {fact.name for fact in analysis.statements if not fact.ok} == {"c", "d", model_of(text).objective.name}
    with pytest.raises(AssertionError, match="prover"):
        analyze(model_of(text), doubt="none")


def test_what_is_convex_in_another_form_is_still_proved():
    text = (
        "var x >= 0\nvar y >= 0\nminimize sqrt(x^2 + y^2)\nsubject to\n"
        "  c: x * y >= 1\n  d: log(exp(x) + exp(y)) <= 4\n"
    )
    assert analyze(model_of(text), doubt="quick").convexity == "convex"


@pytest.mark.parametrize(
    "constraint",
    ["exp(x + y) = 3", "x * y >= 1", "(x - y)^2 = 0", "x^3 = 8", "(x + y)^3 <= 27", "1 / (x + y) = 2", "x / y <= 2"],
)
def test_a_constraint_that_is_convex_in_another_form_is_not_refuted(constraint):
    text = f"var x in [0.1, 9]\nvar y in [0.1, 9]\nminimize x + y\nsubject to\n  c: {constraint}\n"
    model = model_of(text)
    refuter = Refuter(model, Facts.of(model), True)
    refuter.equalities()
    assert not refuter.hopeless
    assert not refuter.refutes_relation(model.constraints[0], model.constraints[0].relations[0])


@pytest.mark.parametrize(
    "constraint", ["x * y = 1", "x^2 + y^2 = 4", "x * y <= 1", "x^2 + y^2 >= 4", "x^3 - x * y = 0.5", "sin(3 * x) = y"]
)
def test_a_constraint_whose_set_is_not_convex_is_refuted(constraint):
    text = f"var x in [-3, 3]\nvar y in [-3, 3]\nminimize x + y\nsubject to\n  c: {constraint}\n"
    model = model_of(text)
    refuter = Refuter(model, Facts.of(model), True)
    assert refuter.refutes_relation(model.constraints[0], model.constraints[0].relations[0])
    assert refuter.witness is not None and refuter.witness.cuts


def test_large_models_are_not_looked_at_first():
    model = model_of("set I = 1..5000\nvar x[I]\nminimize sum(x[i]^3 for i in I)\n")
    assert not Refuter(model, Facts.of(model), True).active


def test_level_sets_that_may_be_convex_are_not_given_up():
    cubic = analyze(model_of("var x\nminimize x^3\n"), doubt="quick")  # not convex, but each level set is
    assert cubic.convexity == "nonconvex" and cubic.level_sets
    double = analyze(model_of("var x in [-2, 2]\nminimize (x^2 - 1)^2\n"), doubt="quick")
    assert double.convexity == "nonconvex" and not double.level_sets


@pytest.mark.parametrize(
    "body",
    ["x^3 * y - 2.7 * x + 1/3", "(x - y)^4 / (1 + x^2)", "(x^2 + 1)^7 * y", "(0.1 * x + y)^-3", "x - x + y^12 * 1e3"],
)
def test_decimals_are_those_of_the_precise_values(body):
    model = model_of(f"var x\nvar y\nminimize {body}\n")
    first, second = np.array([0.3, -1.7]), np.array([12.25, 1e-3])
    points = (first, second, Between(first, second, 0.25))
    expression, frame = model.objective.body, Precise(model, first).lane_frame(_everywhere(), None)
    found = decimal_values(model, expression, frame, points)
    assert found is not None
    for point, (value, error) in zip(points, found, strict=True):
        precise = Precise(model, point)
        wanted = precise.find(expression, frame)
        exact, allowed = wanted.value.reshape(-1)[0], float(wanted.error.reshape(-1)[0])
        assert abs(precise.context.mpf(str(value)) - exact) <= 1e-30 * max(1, abs(exact))
        assert error >= 0.4 * allowed, "the errors of data are not lost"


@pytest.mark.parametrize("body", ["exp(x) * y", "sqrt(x)", "x^0.3", "abs(x)", "1 / (x - x * y)"])
def test_what_decimals_cannot_tell_is_left_to_the_precise_values(body):
    model = model_of(f"var x\nvar y\nminimize {body}\n")
    frame = Precise(model, np.zeros(2)).lane_frame(_everywhere(), None)
    assert decimal_values(model, model.objective.body, frame, (np.array([-1.0, 1.0]),)) is None


def _everywhere():
    from optdsl.terms import nodes

    return nodes.over(())
