"""A model at a saved result: values by label on other data, what is left out for want of data, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl.errors import DataError, OptError

CLASSIFIER = """
set ROW
set CLASS = %s
set FEAT = {"u", "v"}
param X[ROW, FEAT]
param label[ROW] in CLASS
var W[FEAT, CLASS]
var b[CLASS]
let logits = X @ W + b
minimize loss: mean(cross_entropy(logits, label)) + 0.01 * sumsq(W) + 0.01 * sumsq(b)
subject to
  level: sum(b) = 0
  small[c in CLASS]: W["u", c] <= 9
show accuracy(logits, label), confusion(logits, label)
"""
ROWS = {"X": [[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], "label": ["cat", "dog", "emu"]}
OTHER = {"X": [[2.0, 0.5], [0.2, 1.5], [-1.0, -2.0], [2.0, 0.0]], "label": ["cat", "dog", "dog", "emu"]}


def classifier(classes: str = '{"cat", "dog", "emu"}') -> optdsl.Model:
    return optdsl.parse(CLASSIFIER % classes)


@pytest.fixture(scope="module")
def solution() -> optdsl.Solution:
    return classifier().solve(ROW=[1, 2, 3], **ROWS)


def by_hand(solution: optdsl.Solution) -> tuple[np.ndarray, float]:
    """Logits and loss on the other data, in plain NumPy."""
    weights, base = np.asarray(solution["W"]), np.asarray(solution["b"])
    logits = np.array(OTHER["X"]) @ weights + base
    right = logits[np.arange(4), [0, 1, 1, 2]]
    losses = np.log(np.exp(logits).sum(axis=1)) - right
    return logits, losses.mean() + 0.01 * (weights**2).sum() + 0.01 * (base**2).sum()


@pytest.mark.parametrize("classes", ['{"cat", "dog", "emu"}', '{"emu", "cat", "dog"}'])
def test_values_on_other_data(classes: str, solution: optdsl.Solution, tmp_path: Path) -> None:
    solution.save(tmp_path / "run.json")
    logits, loss = by_hand(solution)
    for source in (solution, tmp_path / "run.json"):
        found = classifier(classes).evaluate(source, ROW=[1, 2, 3, 4], show=["argmax(logits)"], **OTHER)
        assert found.objective == pytest.approx(loss, rel=1e-9) and float(found["loss"]) == found.objective
        for k in range(4):
            assert found["logits"].at(k + 1, "dog") == pytest.approx(logits[k, 1], rel=1e-9)
        assert float(found["accuracy(logits, label)"]) == 0.5
        confusion = found["confusion(logits, label)"]
        predicted = [["cat", "dog", "emu"][k] for k in logits.argmax(axis=1)]
        for true in ("cat", "dog", "emu"):
            for said in ("cat", "dog", "emu"):
                pairs = zip(OTHER["label"], predicted, strict=True)
                assert confusion[true, said] == sum(pair == (true, said) for pair in pairs)
        assert found.holds and found.violation < 1e-8
        assert found["W"]["u", "cat"] == solution["W"]["u", "cat"]


def test_the_same_data_gives_what_the_solve_gave(solution: optdsl.Solution) -> None:
    found = classifier().evaluate(solution, ROW=[1, 2, 3], **ROWS)
    assert found.objective == pytest.approx(solution.objective, rel=1e-12)
    np.testing.assert_allclose(found.slack("small"), solution.slack("small"), atol=1e-9)


def test_sets_that_differ_are_refused_by_name(solution: optdsl.Solution) -> None:
    with pytest.raises(DataError, match=r'`W` in "the solution" has values for "emu", which is not in `CLASS` here'):
        classifier('{"cat", "dog"}').evaluate(solution, ROW=[1], X=[[1, 2]], label=["cat"])
    with pytest.raises(DataError, match=r'no value for `W\["u", "fox"\]`'):
        classifier('{"cat", "dog", "emu", "fox"}').evaluate(solution, ROW=[1], X=[[1, 2]], label=["cat"])


def test_missing_variables_are_all_told(solution: optdsl.Solution) -> None:
    with pytest.raises(DataError) as caught:
        optdsl.parse("var z\nvar y[1..2]\nlet s = z + sum(y)\nminimize o: s^2").evaluate(solution)
    assert [item.message.split("holds ")[1] for item in caught.value.diagnostics] == [
        "no variable `z`",
        "no variable `y`",
    ]


PARTS = """
set TRAIN
set TEST
param u[TRAIN]
param v[TEST]
var w >= 0, <= 1
let fit[i in TRAIN] = w * u[i]
let predicted[i in TEST] = w * v[i]
minimize loss: sum((fit[i] - 1)^2 for i in TRAIN)
subject to
  cap[i in TRAIN]: fit[i] <= 5
  low: w >= 0.4
show predicted, fit
"""


def test_what_needs_missing_data_is_left_out() -> None:
    solution = optdsl.parse(PARTS).solve(TRAIN=[1, 2], TEST=[1], u=[1, 2], v=[3])
    found = optdsl.parse(PARTS).evaluate(solution, TEST=[7, 8], v=[10, 20])
    assert found.objective is None and found.objective_name is None
    assert found["predicted"].to_dict() == pytest.approx({7: 10 * float(solution["w"]), 8: 20 * float(solution["w"])})
    assert [item.text for item in found.show] == ["predicted"] and list(found.constraints) == ["low"]
    assert "not computed for want of data: `loss`, `cap`, `fit` (`TRAIN` has no data" in found.notes[0]
    with pytest.raises(KeyError, match="predicted"):
        found["predict"]
    with pytest.raises(DataError, match="`TEST` has no data"):
        optdsl.parse(PARTS.replace("show predicted, fit", "")).evaluate(solution)


def test_violations_are_measured_not_clipped() -> None:
    solution = optdsl.parse("var w >= 0, <= 1\nvar k integer\nminimize o: (w - 0.3)^2 + (k - 2.2)^2").solve()
    tighter = optdsl.parse("var w >= 0.5, <= 1\nvar k integer\nminimize o: w^2\nsubject to\n  c: k <= 1")
    found = tighter.evaluate(solution)
    assert not found.holds and found.violation == pytest.approx(0.5)  # 1 in a row of size 2
    assert float(found["w"]) == pytest.approx(0.3, abs=1e-6) and float(found.slack("c")) == pytest.approx(-1)
    assert "violated: c" in str(found)


def test_starts_of_the_text_are_not_asked_for(solution: optdsl.Solution, tmp_path: Path) -> None:
    text = 'set CLASS = {"cat", "dog", "emu"}\nvar b[CLASS] init from "gone.json"\nminimize o: sumsq(b)\n'
    found = optdsl.parse(text, folder=tmp_path).evaluate(solution)
    assert found.objective == pytest.approx(float((np.asarray(solution["b"]) ** 2).sum()))


def test_json_is_strict_and_whole(solution: optdsl.Solution) -> None:
    record = json.loads(classifier().evaluate(solution, ROW=[1, 2, 3, 4], **OTHER).to_json())
    assert list(record) == ["optdsl", "model", "with", "objective", "constraints", "show", "checks"]
    assert record["objective"]["name"] == "loss" and record["checks"]["ok"] is True
    assert record["show"][0] == {"expr": "accuracy(logits, label)", "value": 0.5}
    assert record["show"][1]["sets"] == ["CLASS", "CLASS"]


def test_wrong_expressions_are_told_as_in_the_text(solution: optdsl.Solution) -> None:
    with pytest.raises(OptError, match="`logit` is not declared"):
        classifier().evaluate(solution, ROW=[1, 2, 3], show=["argmax(logit)"], **ROWS)


OF_SOME = """
set ROW = 1..6
set CLASS = {"no", "yes"}
param cut = 3
param u[i in ROW] = i
param y[i in ROW] = 1 if i > 3 else 0
param label[i in ROW] in CLASS = "yes" if i > 3 else "no"
set TEST = {i in ROW if i > cut}
var w[CLASS]
let logits[i in ROW, c in CLASS] = u[i] * w[c]
minimize loss: mean(cross_entropy(logits, label)) + sumsq(w)
"""


LATE = "for i in ROW if i > cut"


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ("accuracy(logits[TEST, :], label[TEST])", "`accuracy` runs over nothing: `TEST` is empty"),
        ('auc(logits[TEST, "yes"], y[TEST])', "`auc` runs over nothing: `TEST` is empty"),
        ('r2(logits[TEST, "yes"], y[TEST])', "`r2` runs over nothing: `TEST` is empty"),
        ("rmse(u[TEST], y[TEST])", "`rmse` runs over nothing: `TEST` is empty"),
        ('mae(logits[TEST, "yes"], y[TEST])', "`mae` runs over nothing: `TEST` is empty"),
        (f"mae([u[i] {LATE}], [y[i] {LATE}])", "`mae` runs over nothing: no member of `ROW` is left"),
    ],
)
def test_a_metric_of_no_rows_is_refused_with_its_place(shown: str, reason: str) -> None:
    model = optdsl.parse(OF_SOME)
    solution = model.solve()
    assert np.isfinite(float(model.evaluate(solution, cut=2, show=[shown])[shown]))
    with pytest.raises(OptError, match=reason.replace("(", r"\(")) as caught:
        model.evaluate(solution, cut=9, show=[shown])
    assert caught.value.diagnostics[0].code == "empty-reduction"
    assert caught.value.diagnostics[0].span is not None
    guarded = f"{shown} if size(TEST) > 0 else -1"
    assert float(model.evaluate(solution, cut=9, show=[guarded])[guarded]) == -1


def test_no_rows_have_no_confusion_and_no_predictions() -> None:
    model = optdsl.parse(OF_SOME)
    shown = ["confusion(logits[TEST, :], label[TEST])", "argmax(logits[TEST, :])", "label[TEST]"]
    found = model.evaluate(model.solve(), cut=9, show=shown)
    assert (np.asarray(found[shown[0]]) == np.zeros((2, 2))).all()
    assert found[shown[1]].size == found[shown[2]].size == 0 and "(no entries)" in str(found)
