"""Random models mean the same to optdsl and to the plain evaluator: data, lanes, arrays, Hessians."""

from __future__ import annotations

import pytest
from agreement import Cancelled, assert_agreement
from hypothesis import HealthCheck, Phase, given, settings
from random_models import texts

# Without shrinking: a model takes some hundredths of a second, and a failing one is short enough to read.
QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=4000, derandomize=False)


def run(kind: str, how: settings) -> None:
    """Compares random models; at most one in fifty may have a mistake that optdsl never asks for."""
    count = {"all": 0, "cancelled": 0}

    @how
    @given(texts(kind))
    def each(text: str) -> None:
        count["all"] += 1
        try:
            assert_agreement(text)
        except Cancelled:
            count["cancelled"] += 1

    each()
    assert count["cancelled"] * 50 <= count["all"]


@pytest.mark.parametrize("kind", ["linear", "quadratic"])
def test_models(kind: str) -> None:
    run(kind, QUICK)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["linear", "quadratic"])
def test_many_models(kind: str) -> None:
    run(kind, LONG)
