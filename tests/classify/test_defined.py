"""Variables that equalities define: the same verdict, optimum and multipliers as with these put in place by hand."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import optdsl
from optdsl.answer.status import Guarantee, Status

from .defined_models import PAIRS, Pair
from .proof_checker import Tally, Wrong, check_proofs

TOLERANCE = 1e-5
STEP = 1e-3


def test_there_are_many() -> None:
    assert len({pair.name for pair in PAIRS}) == len(PAIRS) >= 30


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_same_answer(pair: Pair) -> None:
    defined, by_hand, data = optdsl.parse(pair.defined), optdsl.parse(pair.by_hand), pair.zeros()
    one, other = defined.check(**data).problem_class, by_hand.check(**data).problem_class
    assert (one.convexity, one.type) == (other.convexity, other.type) == ("convex", other.type)
    found, known = defined.solve(**data), by_hand.solve(**data)
    assert found.status is Status.OPTIMAL and found.guarantee is Guarantee.GLOBAL and found.checks.ok
    assert found.objective == pytest.approx(known.objective, rel=TOLERANCE, abs=TOLERANCE)
    assert found.bound == pytest.approx(known.objective, rel=TOLERANCE, abs=TOLERANCE)
    for name in set(found.constraints) & set(known.constraints):
        assert np.allclose(found.dual(name), known.dual(name), rtol=1e-3, atol=2e-4), name
    if found.checks.dual_residual is not None:
        assert found.checks.dual_residual <= 1e-6


@pytest.mark.parametrize("pair", [p for p in PAIRS if p.shifts], ids=lambda pair: pair.name)
def test_multipliers_are_rates(pair: Pair) -> None:
    """The dual of a definition against the slope of the optimum along a direction of its right-hand side."""
    random, data = np.random.default_rng(3), pair.zeros()
    by_hand, found = optdsl.parse(pair.by_hand), optdsl.parse(pair.defined).solve(**data)
    for constraint, shift in pair.shifts.items():
        direction = random.normal(size=pair.shapes.get(shift, ()))
        ends = []
        for step in (STEP, -STEP):
            moved = step * direction
            ends.append(by_hand.solve(**{**data, shift: moved if moved.shape else float(moved)}).objective)
        slope = (ends[0] - ends[1]) / (2 * STEP)
        assert float(np.sum(np.asarray(found.dual(constraint)) * direction)) == pytest.approx(slope, rel=5e-3, abs=2e-3)


def _with_data(pair: Pair) -> str:
    """The text with its shifts as data, which are not 0."""
    text = pair.defined
    for shift in pair.shifts.values():
        given = " default 0.3 = {}" if shift in pair.shapes else " = 0.3"
        text = re.sub(rf"(?m)^(param {shift}(\[.*\])?)$", rf"\1{given}", text)
    return text


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_proofs_stand(pair: Pair) -> None:
    text = _with_data(pair)
    tally = Tally()
    check_proofs(text, json.loads(optdsl.parse(text).check().to_json()), tally)
    assert tally.steps and not tally.unread and not tally.nowhere, tally.texts
    told = tally.kinds.get("eliminated", 0)
    assert told == tally.kinds.get("definition", 0) and min(1, len(pair.shifts)) <= told <= len(pair.shifts)


def test_broken_proofs_fall() -> None:
    """A definition that is another one, says itself, or lacks a bound is noticed."""
    pair = next(p for p in PAIRS if p.name == "upper_bound_that_binds")
    text = _with_data(pair)
    whole = optdsl.parse(text).check().to_json()
    check_proofs(text, json.loads(whole))
    for old, new in (
        ('"after": ["x[1]^2 + x[2]^2 + e"]', '"after": ["x[1]^2 + x[2]^2 + 2 * e"]'),
        ('"after": ["x[1]^2 + x[2]^2 + e"]', '"after": ["y + x[1]^2 + x[2]^2"]'),
        ("x[1]^2 + x[2]^2 + e <= 4", "x[1]^2 + x[2]^2 + e <= 5"),
    ):
        assert old in whole
        with pytest.raises(Wrong):
            check_proofs(text, json.loads(whole.replace(old, new)))


REFUSED = {
    "cycle": "var x >= 1, <= 2\nvar y\nvar z\nminimize o: y + z\nsubject to\n c: y = exp(z)\n d: z = y^2 - x\n",
    "itself": "var x >= 0, <= 2\nvar y\nminimize o: y\nsubject to\n c: y = exp(y) - x - 3\n",
    "integer": "var x >= 0, <= 2\nvar y integer\nminimize o: y\nsubject to\n c: y = x^2\n",
    "part_of_a_family": "var x >= -1, <= 1\nvar y[1..3]\nminimize o: y[1] + y[2] - y[3]\nsubject to\n"
    " c[i in 1..2]: y[i] = x^2\n d: y[3] + y[1]^2 = x^2\n",
    "twice": "var x >= -1, <= 1\nvar z\nvar y\nminimize o: y\nsubject to\n c: y = x^2\n d: y = z^4 + 1\n",
    "upwards": "var x >= -1, <= 1\nvar y\nmaximize o: y\nsubject to\n c: y = exp(x)\n",
    "lower_bound": "var x >= -3, <= 3\nvar y >= 1\nminimize o: y - x\nsubject to\n c: y = x^2\n",
    "inequality": "var x >= -3, <= 3\nvar y >= 0\nmaximize o: y + x\nsubject to\n c: y <= x^2\n",
    "factor_zero": "param a = 0\nvar x >= -3, <= 3\nvar y in [-1, 1]\nminimize o: y\nsubject to\n c: a * y = x^2 - 1\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_never_called_convex(name: str) -> None:
    assert optdsl.parse(REFUSED[name]).check().problem_class.convexity != "convex"


def test_infeasible_names_the_definition() -> None:
    text = "var x >= 1, <= 3\nvar y <= 0.5\nminimize o: x\nsubject to\n c: y = exp(x)\n"
    found = optdsl.parse(text).solve()
    assert found.status is Status.INFEASIBLE and found.conflict is not None
    names = {(m["kind"], m["name"]) for m in json.loads(found.to_json())["conflict"]["members"]}
    assert {("constraint", "c"), ("bound", "y"), ("bound", "x")} <= names


def test_unbounded_along_a_curve() -> None:
    found = optdsl.parse("var x\nvar y\nmaximize o: x - y\nsubject to\n c: y = exp(x) - 2 * x - exp(x)\n").solve()
    assert found.status is Status.UNBOUNDED
    found = optdsl.parse("var x\nvar z\nvar y\nminimize o: y + 2 * z\nsubject to\n c: y = x^2 + z\n").solve()
    assert found.status is Status.UNBOUNDED


def test_engine_keeps_every_variable() -> None:
    """A method of the engine meets the curved equality: its answer is local, and no conflict is claimed for all."""
    text = "var x >= -2, <= 2\nvar y\nminimize o: y - x\nsubject to\n c: y = exp(x)\n"
    found = optdsl.parse(text).solve(method="ipm")
    assert found.status is Status.LOCALLY_OPTIMAL and found.objective == pytest.approx(1.0, abs=1e-6)


def test_kinked_multipliers_are_believed_only_if_they_fit() -> None:
    """Where f has a kink no multiplier of the definition may fit: the answer still stands on the bound."""
    for coefficient in (0.5, 1.0, 2.0):
        text = f"var x >= -4, <= 4\nvar y\nminimize o: {coefficient} * y + 0.3 * x\nsubject to\n c: y = abs(x)\n"
        found = optdsl.parse(text).solve()
        assert found.status is Status.OPTIMAL
        assert float(found.dual("c")) == pytest.approx(coefficient, abs=1e-6)


def test_a_kink_in_a_defined_variable_leaves_its_multiplier_open() -> None:
    """max(y, 0) has no derivative at y = 0: there one says nothing rather than something wrong (0.2 is right)."""
    text = "var x in [-2, 2]\nvar y\nminimize o: max(y, 0) - {c} * x\nsubject to\n c: y = x^2 - 1\n"
    found = optdsl.parse(text.format(c=0.4)).solve()
    assert found.status is Status.OPTIMAL and found.objective == pytest.approx(-0.4, abs=1e-5)
    dual = float(found.dual("c"))
    assert np.isnan(dual) or dual == pytest.approx(0.2, abs=1e-3)
    smooth = optdsl.parse(text.format(c=3)).solve()
    assert float(smooth.dual("c")) == pytest.approx(1.0, abs=1e-4)
