"""The witness in words: what is told of the two points is enough to check them by hand."""

from __future__ import annotations

import re

import optdsl


def _said(text: str) -> str:
    return " ".join(str(optdsl.parse(text).check()).split()).split("`f` ")[-1]


def test_of_a_long_variable_the_entries_that_differ_are_named() -> None:
    text = """
    set S = {"a", "b"}
    set I = 1..300
    param w[i in I, s in S] = -1 if i == 217 and s == "b" else 1
    var x[I, S] >= -1, <= 1
    minimize f: sum(w[i, s] * x[i, s]^2 for i in I, s in S)
    """
    said = _said(text)
    points = re.findall(r'x\[217, "b"\] = (\S+) with every other entry of x (\S+) it is (\S+?)[,;]', said)
    assert len(points) == 2, said
    assert all(float(value) == -(float(entry) ** 2) and float(rest) == 0 for entry, rest, value in points)
    assert "is not convex, as its role needs" in said


def test_what_many_entries_share_is_not_listed() -> None:
    text = "set I = 1..20\nvar x[I] >= -1, <= 1\nminimize f: -sum((x[i] - i)^4 for i in I)"
    said = _said(text)
    assert said.count("x[") <= 16, said
    assert "more entries differ" in said or "every other entry" in said or "the same at both" in said


def test_a_maximum_needs_what_is_concave() -> None:
    said = _said("var x >= -1, <= 2\nvar y >= -1, <= 2\nmaximize f: x * y")
    assert "is not concave, as its role needs" in said
    numbers = [float(n) for n in re.findall(r"(?:it is|gives) (-?\d+(?:\.\d+)?)", said)]
    assert len(numbers) == 4 and numbers[2] < numbers[3]


def test_a_hole_in_a_domain_is_said() -> None:
    said = _said("var x >= -1, <= 1\nminimize f: log(x^2 - 0.25)")
    assert "is not convex" in said or "not defined on a convex set" in said
