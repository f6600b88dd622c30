"""A point that Newton's method has settled at is no tail: the step that led there is known, and spares the march."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import sympy

from optdsl.methods.driver import Limits, drive
from optdsl.methods.fading import STILL, fading
from optdsl.methods.interior_point import InteriorPoint
from optdsl.nlp import Counted
from tests.methods.symbolic import program

Function = Callable[[list[sympy.Symbol]], sympy.Expr]

TAILS: dict[str, tuple[Function, float]] = {
    "exponential": (lambda x: sympy.exp(-x[0]) + (x[1] - x[0] / 10) ** 2, 1.0),
    "fast": (lambda x: sympy.exp(-100 * x[0]) + x[1] ** 4 - x[1] ** 2, 0.5),
    "slow": (lambda x: sympy.exp(-x[0] / 100) + (x[1] - 1) ** 2, 1.0),
    "reciprocal": (lambda x: 1 / (1 + x[0] ** 2) + x[1] ** 4 - x[1] ** 2, 1.0),
    "square root": (lambda x: (1 + x[0] ** 2) ** -0.5 + (x[1] - 2) ** 2, 1.0),
}


def _bowl(x: list[sympy.Symbol]) -> sympy.Expr:
    return sympy.exp(x[0]) - 2 * x[0] + sympy.exp(x[1] - x[0]) - x[1] + x[1] ** 2


@pytest.mark.parametrize("side", [None, "slack", "curve"])
@pytest.mark.parametrize("name", TAILS)
def test_the_last_step_on_a_tail_is_never_none(name: str, side: str | None) -> None:
    """Rows with slack are stiff in the system of the step: they must not make it look short."""
    function, start = TAILS[name]
    slack = (1.0, lambda x: x[0] ** 2 + x[1] ** 2 + 1, np.inf)
    curve = (0.0, lambda x: x[2] - x[0] ** 2, 0.0)
    rows = {None: (), "slack": (slack,), "curve": (curve,)}[side]
    outcome = drive(InteriorPoint(), program(3, function, rows, start=(start, 0.5, 0.5)))
    assert not outcome.last_step <= 1e3 * STILL


def test_where_the_last_step_was_none_no_march_is_made() -> None:
    problem = program(2, _bowl, start=(-1, -1))
    outcome = drive(InteriorPoint(), problem)
    assert outcome.last_step <= STILL
    for last_step, made in ((outcome.last_step, False), (np.nan, True)):
        counted = Counted(problem)
        multipliers = outcome.row_multipliers, outcome.bound_multipliers
        assert fading(counted, outcome.x, *multipliers, np.abs, last_step) is None  # type: ignore[arg-type]
        assert ("hessian" in counted.evaluations) == made


def test_of_a_run_that_does_not_end_at_a_polished_point_no_step_is_known() -> None:
    problem = program(2, _bowl, start=(-1, -1))
    assert np.isnan(drive(InteriorPoint(), problem, Limits(iterations=2)).last_step)
