"""Signs survive the rounding outward of intervals, where they decide a verdict."""

from __future__ import annotations

import pytest

import optdsl

NEED_A_SIGN = [
    "set I = 1..3\nvar p[I] >= 0.01\nvar q[I] >= 0.01\nminimize o: sum(p[i] * log(p[i] / q[i]) for i in I)",
    "set I = 1..3\nvar p[I] >= 0\nparam q[I] = [0.2, 0.3, 0.5]\nminimize o: sum(q[i] * log(q[i] / p[i]) for i in I)",
    "var x\nminimize o: -log(1 / (1 + exp(-x))) + 0.1 * x",
    "set I = 1..4\nvar x[I] >= -2\nminimize o: sum(abs(x[i])^3 for i in I)^(1/3)",
]


@pytest.mark.parametrize("text", NEED_A_SIGN)
def test_powers_keep_the_sign_of_their_base(text: str) -> None:
    assert optdsl.parse(text).check().problem_class.convexity == "convex"
