"""What stands in the way of training in batches is told with an advice that fits."""

from __future__ import annotations

import pytest

import optdsl
from optdsl.errors import OptError


@pytest.mark.parametrize(
    ("part", "hint"),
    [("sum_largest(x, 3)", "leave the method out"), ("norm(v, 3)", "write it as a sum or mean over R, or leave the")],
)
def test_the_advice_fits_what_stands_in_the_way(part: str, hint: str) -> None:
    text = (
        "set R = 1..30\nvar x[1..5] init normal(0, 1)\nvar v[R] init 0.1\n"
        f"minimize f: mean((sum(x) * v[i] - 1)^2 for i in R) + {part}\n"
        "solve using adam(rate = 0.01, over = R, batch = 4, epochs = 2)\n"
    )
    with pytest.raises(OptError) as caught:
        optdsl.parse(text).solve()
    (found,) = caught.value.diagnostics
    assert found.code == "not-solvable-yet" and found.hint is not None and found.hint.startswith(hint)
    assert found.span is not None and found.source.text[found.span.start : found.span.end] == part
