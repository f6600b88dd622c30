"""Labels as values: conditional expressions of texts, and metrics whose labels are members of any set."""

from __future__ import annotations

import json

import numpy as np
import pytest

import optdsl
from optdsl.answer.report import report_html
from optdsl.errors import OptError

CLASSES = """
set ROW = 1..4
set CLASS = {%s}
param score[ROW, CLASS] = [[3, 1, 2], [0, 1, 5], [0, 4, 1], [2, 1, 0]]
param label[ROW] in CLASS = [%s]
var w in [1, 1]
"""


def metrics(classes: str, labels: str, shown: str) -> list[np.ndarray]:
    text = CLASSES % (classes, labels)
    solution = optdsl.parse(f"{text}minimize nothing: w\nshow {shown}\n").solve()
    assert solution.show is not None
    return [np.asarray(item.value) for item in solution.show]


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        ('"a", "b", "c"', '"a", "c", "c", "b"'),
        ("0, 1, 2", "0, 2, 2, 1"),
        ("1, 2, 3", "1, 3, 3, 2"),
        ("30, 10, 20", "30, 20, 20, 10"),
        ('"a", 7, "c"', '"a", "c", "c", 7'),
    ],
)
def test_labels_of_metrics_are_members(classes: str, labels: str) -> None:
    if "a" in classes and "7" in classes:  # a list holds texts or numbers; keys may mix them
        labels = '"a" if i = 1 else 7 if i = 4 else "c" for i in ROW'
        text = CLASSES.replace("param label[ROW] in CLASS = [%s]", "") % classes
        text += 'param label[i in ROW] in CLASS = "a" if i = 1 else 7 if i = 4 else "c"\n'
        solution = optdsl.parse(
            f"{text}minimize nothing: w\nshow accuracy(w * score, label), confusion(w * score, label)\n"
        ).solve()
        assert solution.show is not None
        accuracy, confusion = (np.asarray(item.value) for item in solution.show)
    else:
        accuracy, confusion = metrics(classes, labels, "accuracy(w * score, label), confusion(w * score, label)")
        fixed, _ = metrics(classes, labels, "accuracy(score, label), confusion(score, label)")
        assert fixed == accuracy
    assert accuracy == 0.5
    np.testing.assert_array_equal(confusion, [[1, 0, 0], [1, 0, 0], [0, 1, 1]])


def test_metrics_over_a_part_of_the_rows_have_the_axes_of_the_classes() -> None:
    text = CLASSES % ('"a", "b", "c"', '"a", "c", "c", "b"') + (
        "set PART = {i in ROW if i > 1}\n"
        "minimize loss: (w - 1)^2\n"
        "show accuracy(w * score[PART, :], label[PART]), confusion(w * score[PART, :], label[PART]), "
        "argmax(w * score), rmse(w * score, score), mae(w * score[PART, :], score[PART, :])\n"
    )
    solution = optdsl.parse(text.replace("var w in [1, 1]", "var w")).solve()
    assert solution.show is not None
    accuracy, confusion, place, root, mean = (item.value for item in solution.show)
    assert float(accuracy) == pytest.approx(1 / 3)
    assert confusion.sets == ("CLASS", "CLASS")
    assert confusion["b", "a"] == 1 and confusion["c", "c"] == 1 and confusion["a", "a"] == 0
    assert place.to_dict() == {1: "a", 2: "c", 3: "b", 4: "a"}
    assert float(root) == pytest.approx(0, abs=1e-6) and float(mean) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "use",
    [
        "minimize loss: w^2\nshow accuracy(w * score[ONE, :], label[TWO])\n",
        "minimize loss: w^2\nshow rmse(w * score[ONE, :], score[TWO, :])\n",
        "minimize loss: mean(cross_entropy(w * score[ONE, :], label[TWO]))\n",
    ],
)
def test_rows_that_do_not_match_are_refused(use: str) -> None:
    text = CLASSES % ('"a", "b", "c"', '"a", "c", "c", "b"') + f"set ONE = {{1, 2}}\nset TWO = {{3, 4}}\n{use}"
    with pytest.raises(OptError) as caught:
        optdsl.parse(text.replace("var w in [1, 1]", "var w")).solve()
    assert caught.value.diagnostics[0].code == "axes-differ"


CHOSEN = """
set ROW = 1..6
set C = {"a", "b"}
param other[ROW] in C = ["a", "a", "a", "b", "b", "b"]
param label[i in ROW] in C = %s
var x[C]
minimize loss: sum((x[label[i]] - i)^2 for i in ROW)
"""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('"a" if mod(i, 3) = 0 else "b"', "bbabba"),
        ('other[i] if i != 2 else "b"', "ababbb"),
        ('"a"', "aaaaaa"),
        ('"b" if i > 0 else "a"', "bbbbbb"),
        ('"a" if i = 1 else other[i - 1] if i > 2 else "b"', "abaabb"),
    ],
)
def test_a_conditional_expression_of_labels(expression: str, expected: str) -> None:
    solution = optdsl.parse(CHOSEN % expression).solve()
    for label in set(expected):
        mean = np.mean([i + 1 for i, c in enumerate(expected) if c == label])
        assert solution["x"][label] == pytest.approx(mean, abs=1e-6)


def test_a_chosen_label_may_be_compared_and_used_as_an_index() -> None:
    text = CHOSEN % '"a" if i < 4 else "b"' + 'show sum(1 for i in ROW if ("a" if i < 3 else "b") = label[i]), x\n'
    text = text.replace("x[label[i]]", 'x["a" if label[i] = "b" else "b"]')
    solution = optdsl.parse(text).solve()
    assert solution.show is not None
    assert float(solution.show[0].value) == 5
    assert solution["x"]["b"] == pytest.approx(2, abs=1e-6)


@pytest.mark.parametrize("expression", ['"a" if i < 4 else "z"', '"a" if i < 4 else 2.5', '"a" if i < 4 else 2'])
def test_a_chosen_value_must_be_a_member(expression: str) -> None:
    with pytest.raises(OptError) as caught:
        optdsl.parse(CHOSEN % expression).solve()
    code = "text-as-number" if "2.5" in expression else "value-not-member"
    assert caught.value.diagnostics[0].code == code


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("classes", ['"ant", "bee", "cow"', "30, 10, 20"])
def test_the_largest_entry_is_told_by_its_member(classes: str, named: bool) -> None:
    names = [part.strip(' "') if '"' in part else int(part) for part in classes.split(",")]
    parts = classes.split(", ")
    labels = f"{parts[0]}, {parts[2]}, {parts[2]}, {parts[1]}"
    place = "guess" if named else "argmax(w * score)"
    text = CLASSES % (classes, labels) + (
        f"let guess = argmax(w * score)\nminimize nothing: w\n"
        f"show {place}, argmax(score), label, {place}[2], sum(1 for i in ROW if {place}[i] = label[i]), "
        f"argmax([w, 3, 2]), argmax(score[2, :])\n"
    )
    solution = optdsl.parse(text).solve()
    assert solution.show is not None
    guess, of_data, label, second, right, bare, row = (item.value for item in solution.show)
    assert guess.to_dict() == of_data.to_dict() == {1: names[0], 2: names[2], 3: names[1], 4: names[0]}
    assert label.to_dict() == {1: names[0], 2: names[2], 3: names[2], 4: names[1]}
    assert second.item() == row.item() == names[2]
    assert float(right) == 2 and float(bare) == 1
    record = json.loads(solution.to_json())["show"]
    assert record[0]["value"] == [names[0], names[2], names[1], names[0]] and record[3]["value"] == names[2]
    page = report_html(solution)
    for said in (str(solution), page):
        assert all(str(name) in said for name in names)


def test_texts_are_shown_whole_and_numbers_beside_them() -> None:
    text = 'set I = {"a", "b"}\nset KIND = {"<i>", "long"}\nparam kind[I] in KIND = ["long", "<i>"]\nvar x[I] >= 1\n'
    solution = optdsl.parse(f"{text}minimize f: sum(x)\nshow kind, x, kind[\"b\"]\n").solve()
    lines = str(solution).splitlines()
    assert [line.split() for line in lines[-3:]] == [["I", "kind", "x"], ["a", "long", "1"], ["b", "<i>", "1"]]
    assert any(line.split() == ['kind["b"]', "<i>"] for line in lines)
    page = report_html(solution)
    assert "<td>b</td><td>&lt;i&gt;</td>" in page and '<td>b</td><td class="n">1</td>' in page
    assert repr(solution.show[0].value) == 'kind[I] = {"a": "long", "b": "<i>"}'


def test_a_text_is_still_no_number() -> None:
    text = CLASSES % ('"a", "b", "c"', '"a", "c", "c", "b"')
    with pytest.raises(OptError, match="is text"):
        optdsl.parse(f"{text}minimize nothing: w\nshow argmax(w * score) + 1\n").solve()
