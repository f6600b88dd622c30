"""Types of problems that are not convex, where some constraints are."""

from __future__ import annotations

import pytest

import optdsl

WRITTEN = [
    ("var x >= -1, <= 5\nvar y >= 0, <= 5\nminimize o: x + y\nsubject to\n  c: x * y >= 6\n  d: x * y <= 20", "QCP"),
    ("var x >= 0, <= 5\nvar y >= 0, <= 5\nminimize o: x^2 - y^2\nsubject to\n  c: x * y >= 6", "QCP"),
    ("var x >= -5, <= 5\nvar y >= 0, <= 5\nminimize o: x * y + x\nsubject to\n  c: hypot(x, y) <= 3", "NLP"),
    ("var x >= -5, <= 5\nvar y >= -5, <= 5\nminimize o: x * y\nsubject to\n  c: abs(x) <= 3", "QP"),
    ("var x >= 0, <= 5\nvar y >= 0, <= 5\nminimize o: exp(x) - y^2\nsubject to\n  c: x * y >= 6", "NLP"),
]


@pytest.mark.parametrize(("text", "kind"), WRITTEN)
def test_quadratics_stay_quadratics_whatever_cones_prove_them(text: str, kind: str) -> None:
    found = optdsl.parse(text).check().problem_class
    assert found.convexity == "nonconvex"
    assert found.type == kind
