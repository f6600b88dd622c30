"""Coefficients that cancel but for rounding are 0: an equation `1e-17 x = 0` must not fix x."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import model_of

import optdsl
from optdsl.classify import analyze

TEXTS = {
    "the same mean on both sides": """
set R = 1..3
var x in [-1, 5]
let l = mean(-2.5 * x for j in R)
minimize x
subject to
  c: l = (x if size(R) > 5 else l)
""",
    "thirds": """
param w[1..3] = [0.1, 0.2, 0.3]
var x in [-1, 5]
minimize x
subject to
  c: sum(w[i] * x for i in 1..2) = w[3] * x
""",
    "a long sum": """
param n = 999
var x in [-1, 5]
var y in [0, 1]
minimize x
subject to
  c: sum(x / n for i in 1..n) + y = x
""",
    "in a family": """
param a[1..4] = [0.1, 0.7, 1.1, 1.3]
var x[1..4] in [-1, 5]
minimize sum(x)
subject to
  c[i in 1..4]: sum(a[i] * x[i] / 3 for k in 1..3) - a[i] * x[i] >= 0
""",
}


@pytest.mark.parametrize("title", TEXTS)
def test_rows(title: str) -> None:
    solution = optdsl.parse(TEXTS[title]).solve()
    assert solution.status == "optimal"
    assert np.asarray(solution["x"]) == pytest.approx(-1)


def test_the_objective() -> None:
    """A free variable whose coefficients cancel does not make the objective unbounded."""
    text = """
param w[1..3] = [0.1, 0.2, -0.3]
var x
var y in [0, 1]
minimize sum(w[i] * x for i in 1..3) + y
"""
    solution = optdsl.parse(text).solve()
    assert solution.status == "optimal"
    assert solution.objective == 0


def test_small_coefficients_stay() -> None:
    """Only what is small beside its own parts is rounding error."""
    text = """
param tiny = 1e-13
param huge[1..2] = [1e12, 1]
var x[1..2] in [0, 1]
minimize tiny * x[1]
subject to
  c: tiny * x[1] + 1e9 * x[2] + 2 * tiny * x[1] <= 1
  d: sum(huge[i] * x[1] for i in 1..2) - 1e12 * x[1] <= 1
"""
    analysis = analyze(model_of(text))
    assert analysis.blocks[0].matrix.toarray().ravel() == pytest.approx([3e-13, 1e9])
    assert analysis.blocks[1].matrix.toarray().ravel() == pytest.approx([1.0, 0.0])
    assert analysis.objective is not None
    assert analysis.objective.cost.tolist() == [1e-13, 0]
