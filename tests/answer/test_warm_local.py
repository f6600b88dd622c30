"""A compiled model that is not convex goes on from its last answer, and answers as a cold solve does."""

from __future__ import annotations

import pytest

import optdsl

MODEL = """
param need = 25
var x[1..4] in [1, 5], init 2
minimize cost: x[1] * x[4] * (x[1] + x[2] + x[3]) + x[3]
subject to
  product: x[1] * x[2] * x[3] * x[4] >= need
  sphere: sum(x[i]^2 for i in 1..4) = 40
"""


def test_later_solves_start_where_the_last_one_ended() -> None:
    model = optdsl.parse(MODEL)
    compiled = model.compile()
    first = compiled.solve(need=25)
    for need in (25, 25.1, 24, 26):
        warm, cold = compiled.solve(need=need), model.solve(need=need)
        assert warm.status is cold.status
        assert warm.objective == pytest.approx(cold.objective, rel=1e-9)
        assert float(warm.dual("product")) == pytest.approx(float(cold.dual("product")), rel=1e-6)
        assert 2 * len(warm.trace.rows) < len(first.trace.rows)


def test_another_size_starts_anew() -> None:
    text = "param n = 3\nvar x[1..n] init 2\nminimize f: sum((x[i]^2 - i)^2 for i in 1..n)\n"
    compiled = optdsl.parse(text).compile()
    for n in (3, 5, 3):
        assert compiled.solve(n=n).objective == pytest.approx(0.0, abs=1e-12)
