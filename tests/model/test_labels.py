"""Labels as values: conditional expressions of texts, and metrics whose labels are members of any set."""

from __future__ import annotations

import numpy as np
import pytest

import optdsl
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
    assert place.to_dict() == {1: 0, 2: 2, 3: 1, 4: 0}
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
