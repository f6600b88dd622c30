"""Verdicts do not depend on how fast a machine is: the work of a search is counted, never timed."""

from __future__ import annotations

import time

import pytest

import optdsl
from optdsl.classify.witness.effort import Effort

from .labelled import labelled_models

CLOCKS = ("perf_counter", "monotonic", "process_time", "time")
SOUGHT = [m for m in labelled_models() if m.convexity == "nonconvex"][::4] + [
    m
    for m in labelled_models()
    if m.name
    in ("quadratics/semidefinite_on_a_subspace", "matrices/a_optimal_design", "exponentials/x_times_exponential_x")
]


def _verdict(text: str) -> tuple[object, ...]:
    found = optdsl.parse(text).check()
    return found.problem_class.convexity, found.problem_class.type, str(found)


@pytest.mark.parametrize("model", SOUGHT, ids=lambda model: model.name)
def test_verdicts_on_a_slow_machine(model: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock runs 1000 times as fast, as on a machine that is 1000 times as slow."""
    before = _verdict(model.text)  # type: ignore[attr-defined]
    for name in CLOCKS:
        real = getattr(time, name)
        monkeypatch.setattr(time, name, lambda real=real: 1000.0 * real())
    assert _verdict(model.text) == before  # type: ignore[attr-defined]


def test_large_searches_end() -> None:
    """One long row over many columns: the linear programs for its corners would take minutes."""
    text = (
        "param n = 100000\nvar x[1..n]\nvar y[1..n]\nminimize f: sum(x)\nsubject to\n"
        "  c[i in 1..n]: x[i]*y[i] <= 1\n  d: sum(x) + sum(y) >= 2\n"
    )
    start = time.process_time()
    assert optdsl.parse(text).check().problem_class.convexity in ("unknown", "nonconvex")
    assert time.process_time() - start < 15


def test_an_allowance_is_used_up() -> None:
    effort = Effort.of(1e-6)
    assert not effort.spent
    assert effort.mark(0.5) == 0.5 * effort.allowed
    effort.add(101)
    assert effort.spent
    assert effort.left == 0
