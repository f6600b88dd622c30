"""Convex piecewise-linear and quadratic expressions: optdsl's reductions against CVXPY's own atoms, on random data.

Each expression is minimized, and used as a limit on a linear objective. The reference writes the same problem by hand
with CVXPY and never sees optdsl.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

import optdsl

ROWS, COLUMNS = 7, 4
DATA = """
set ROW = 1..7
set COL = 1..4
param A[ROW, COL]
param b[ROW]
param c[COL]
param P[COL, COL] psd
var x[COL] in [-2, 2]
let r = A @ x - b
"""

Build = Callable[[Any, Any, np.ndarray], Any]

# The expression in the language, the same with CVXPY (of r = A x - b, x and P), and whether it is piecewise linear.
EXPRESSIONS: dict[str, tuple[Build, bool]] = {
    "norm1(r)": (lambda r, x, P: cp.norm1(r), True),
    "sum(abs(r[i]) for i in ROW)": (lambda r, x, P: cp.sum(cp.abs(r)), True),
    "norminf(r)": (lambda r, x, P: cp.norm_inf(r), True),
    "max(r)": (lambda r, x, P: cp.max(r), True),
    "-min(r)": (lambda r, x, P: -cp.min(r), True),
    "max(r) - min(r)": (lambda r, x, P: cp.max(r) - cp.min(r), True),
    "sum(pos(r))": (lambda r, x, P: cp.sum(cp.pos(r)), True),
    "sum(relu(-r))": (lambda r, x, P: cp.sum(cp.pos(-r)), True),
    "sum_largest(r, 3)": (lambda r, x, P: cp.sum_largest(r, 3), True),
    "sum_largest(abs(r), 2)": (lambda r, x, P: cp.sum_largest(cp.abs(r), 2), True),
    "tv(r)": (lambda r, x, P: cp.tv(r), True),
    "sum(abs(diff(r)))": (lambda r, x, P: cp.sum(cp.abs(cp.diff(r))), True),
    "sum(hinge(r))": (lambda r, x, P: cp.sum(cp.pos(1 - r)), True),
    "sum(max(2 * r[i], -r[i], 0.5) for i in ROW)": (
        lambda r, x, P: cp.sum(cp.maximum(2 * r, -r, 0.5)),
        True,
    ),
    "max(abs(r[i]) + abs(x[1]) for i in ROW)": (lambda r, x, P: cp.max(cp.abs(r) + cp.abs(x[0])), True),
    "max(max(r), norm1(x), 0)": (lambda r, x, P: cp.maximum(cp.max(r), cp.norm1(x), 0), True),
    "sum(leaky_relu(r, 0.1))": (lambda r, x, P: cp.sum(cp.maximum(r, 0.1 * r)), True),
    "mean(abs(r))": (lambda r, x, P: cp.mean(cp.abs(r)), True),
    "sumsq(r)": (lambda r, x, P: cp.sum_squares(r), False),
    "sum(r^2)": (lambda r, x, P: cp.sum_squares(r), False),
    "sum(square(r[i]) for i in ROW) / 2 + norm1(x)": (
        lambda r, x, P: cp.sum_squares(r) / 2 + cp.norm1(x),
        False,
    ),
    "sum(huber(r, 0.5))": (lambda r, x, P: cp.sum(cp.huber(r, 0.5)), False),
    "sum(pos(r)^2)": (lambda r, x, P: cp.sum(cp.square(cp.pos(r))), False),
    "sum(square(pos(r)))": (lambda r, x, P: cp.sum(cp.square(cp.pos(r))), False),
    "quad_form(x, P)": (lambda r, x, P: cp.quad_form(x, cp.psd_wrap(P)), False),
    "x @ P @ x + max(r)": (lambda r, x, P: cp.quad_form(x, cp.psd_wrap(P)) + cp.max(r), False),
    "quad_over_lin(r, 2)": (lambda r, x, P: cp.quad_over_lin(r, 2), False),
    "sum(squared_error(r, 1))": (lambda r, x, P: cp.sum_squares(r - 1), False),
    "norm_fro([[x[1], x[2]], [x[3], x[4]]])^2": (lambda r, x, P: cp.sum_squares(x), False),
    "norm2(r)^2": (lambda r, x, P: cp.sum_squares(r), False),
}
PIECEWISE = {text: made for text, made in EXPRESSIONS.items() if made[1]}


def data(seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(COLUMNS, COLUMNS))
    return {
        "A": generator.normal(size=(ROWS, COLUMNS)),
        "b": generator.normal(size=ROWS),
        "c": generator.normal(size=COLUMNS),
        "P": factor @ factor.T,
    }


def reference(given: dict[str, np.ndarray]) -> tuple[cp.Variable, Any, list[Any]]:
    x = cp.Variable(COLUMNS)
    return x, given["A"] @ x - given["b"], [x >= -2, x <= 2]


@pytest.mark.parametrize("text", EXPRESSIONS)
@pytest.mark.parametrize("seed", [1, 2])
def test_minimized(text: str, seed: int) -> None:
    build, piecewise = EXPRESSIONS[text]
    given = data(seed)
    x, r, box = reference(given)
    problem = cp.Problem(cp.Minimize(build(r, x, given["P"])), box)
    problem.solve(solver="CLARABEL")
    solution = optdsl.parse(f"{DATA}minimize value: {text}\n").solve(**given)
    assert solution.status.word == "optimal" and solution.checks.ok
    assert solution.objective == pytest.approx(problem.value, rel=1e-6, abs=1e-6)
    assert solution.problem_class.type == ("LP" if piecewise else "QP")


@pytest.mark.parametrize("text", PIECEWISE)
def test_as_a_limit(text: str) -> None:
    build, _ = PIECEWISE[text]
    given = data(3)
    x, r, box = reference(given)
    least = cp.Problem(cp.Minimize(build(r, x, given["P"])), box)
    least.solve(solver="CLARABEL")
    limit = float(least.value) + 0.7
    problem = cp.Problem(cp.Maximize(given["c"] @ x), [*box, build(r, x, given["P"]) <= limit])
    problem.solve(solver="CLARABEL")
    model = f"{DATA}param most\nmaximize value: c @ x\nsubject to\n  limit: {text} <= most\n"
    solution = optdsl.parse(model).solve(**given, most=limit)
    assert solution.problem_class.type == "LP" and solution.checks.ok
    assert solution.objective == pytest.approx(problem.value, rel=1e-6, abs=1e-6)
    # The dual of the limit is the slope of the optimum in its right-hand side.
    assert float(solution.dual("limit")) == pytest.approx(problem.constraints[-1].dual_value, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("text", ["abs(max(r) + 3)", "norm1(r) * norm1(x)", "min(r)", "-sumsq(r)", "max(r) * x[1]"])
def test_what_is_not_convex_is_refused(text: str) -> None:
    with pytest.raises(optdsl.OptError) as caught:
        optdsl.parse(f"{DATA}minimize value: {text}\n").solve(method="cvxpy", **data(4))
    assert caught.value.line == 10


@pytest.mark.parametrize("text", ["abs(max(r) + 3)", "norm1(r) * norm1(x)", "min(r)", "-sumsq(r)", "max(r) * x[1]"])
def test_what_is_not_convex_is_never_called_global(text: str) -> None:
    solution = optdsl.parse(f"{DATA}minimize value: {text}\n").solve(**data(4))
    assert solution.status != "optimal" and solution.guarantee != "global"
