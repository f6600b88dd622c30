"""Random models mean the same to optdsl and to the plain evaluator: data, lanes, arrays, Hessians."""

from __future__ import annotations

import pytest
from agreement import assert_agreement
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


@QUICK
@given(texts("linear"))
def test_linear(text: str) -> None:
    assert_agreement(text)


@QUICK
@given(texts("quadratic"))
def test_quadratic(text: str) -> None:
    assert_agreement(text)


@pytest.mark.nightly
@LONG
@given(texts("linear"))
def test_many_linear(text: str) -> None:
    assert_agreement(text)


@pytest.mark.nightly
@LONG
@given(texts("quadratic"))
def test_many_quadratic(text: str) -> None:
    assert_agreement(text)
