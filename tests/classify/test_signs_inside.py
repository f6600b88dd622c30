"""Compositions that hold by the signs of parts, member by member: norms, sizes, squares and huber of curved parts."""

from __future__ import annotations

import cvxpy
import numpy as np
import pytest

import optdsl
from optdsl.answer.status import Status

HEAD = "set I = 1..3\nparam c[I] = [1, -2, 3]\nvar x[I] in [-3, 3]\nvar y in [0.5, 2]\n"
C = np.array([1.0, -2.0, 3.0])
X, Y = cvxpy.Variable(3), cvxpy.Variable()
H = cvxpy.hstack
# the text, and a spelling that CVXPY's rules take
FUNCTIONS: dict[str, cvxpy.Expression] = {
    "norm1(max(x[i] - c[i], 0) for i in I)": cvxpy.norm1(cvxpy.pos(X - C)),
    "norm2(max(x[i] - c[i], 0) for i in I)": cvxpy.norm2(cvxpy.pos(X - C)),
    "norminf(abs(x[i]) + i for i in I)": cvxpy.norm_inf(cvxpy.abs(X) + np.arange(1, 4)),
    "norm(abs(x) + 1, 3)": cvxpy.norm(cvxpy.abs(X) + 1, 3),
    "sumsq(pos(x))": cvxpy.sum_squares(cvxpy.pos(X)),
    "sumsq(min(x, 0))": cvxpy.sum_squares(cvxpy.neg(X)),
    "logsumexp(abs(x))": cvxpy.log_sum_exp(cvxpy.abs(X)),
    "quad_over_lin(pos(x), y)": cvxpy.quad_over_lin(cvxpy.pos(X), Y),
    "quad_over_lin(min(x, 0), y)": cvxpy.quad_over_lin(cvxpy.neg(X), Y),
    "hypot(pos(x[1]), abs(x[2]))": cvxpy.norm2(H([cvxpy.pos(X[0]), cvxpy.abs(X[1])])),
    "norm2([exp(x[1]), x[2]])": cvxpy.norm2(H([cvxpy.exp(X[0]), cvxpy.abs(X[1])])),
    "norm2([exp(x[1]), -x[2]^2 - 1, x[3]])": cvxpy.norm2(
        H([cvxpy.exp(X[0]), cvxpy.square(X[1]) + 1, cvxpy.abs(X[2])])
    ),
    "norm2([log(y) - 1, x[1]])": cvxpy.norm2(H([cvxpy.pos(1 - cvxpy.log(Y)), cvxpy.abs(X[0])])),
    "norm1([x[1]^2, x[2]])": cvxpy.square(X[0]) + cvxpy.abs(X[1]),
    "norm1([exp(x[1]), -x[2]^2, x[3]])": cvxpy.exp(X[0]) + cvxpy.square(X[1]) + cvxpy.abs(X[2]),
    "norminf([x[1]^2, x[2]])": cvxpy.maximum(cvxpy.square(X[0]), cvxpy.abs(X[1])),
    "norminf([-exp(x[1]), x[2]])": cvxpy.maximum(cvxpy.exp(X[0]), cvxpy.abs(X[1])),
    "huber(pos(x[1]), 1)": cvxpy.huber(cvxpy.pos(X[0]), 1),
    "huber(x[1]^2 + 1, 0.7)": cvxpy.huber(cvxpy.square(X[0]) + 1, 0.7),
    "huber(-exp(x[1]), 0.7)": cvxpy.huber(cvxpy.exp(X[0]), 0.7),
    "sum(pos(x[i]^2 if i = 1 else x[i] - 1) for i in I)": cvxpy.square(X[0]) + cvxpy.sum(cvxpy.pos(X[1:] - 1)),
    "sum(abs(x[i]^2 if i = 1 else x[i]) for i in I)": cvxpy.square(X[0]) + cvxpy.norm1(X[1:]),
    "abs(min(x[1], 0))": cvxpy.neg(X[0]),
    "min(x[1], 0)^2": cvxpy.square(cvxpy.neg(X[0])),
    "sum(pos(x[i])^1.5 for i in I)": cvxpy.sum(cvxpy.power(cvxpy.pos(X), 1.5)),
    "sqrt(1 + exp(x[1])^2)": cvxpy.norm2(H([1, cvxpy.exp(X[0])])),
}


@pytest.mark.parametrize("text", FUNCTIONS)
def test_minimized(text: str) -> None:
    expression = FUNCTIONS[text]
    tilt = "- 0.7 * x[1] - 0.3 * x[2] + 0.2 * x[3] + 0.1 * y"
    linear = -0.7 * X[0] - 0.3 * X[1] + 0.2 * X[2] + 0.1 * Y
    problem = cvxpy.Problem(cvxpy.Minimize(expression + linear), [X >= -3, X <= 3, Y >= 0.5, Y <= 2])
    problem.solve(solver="CLARABEL")
    solution = optdsl.parse(f"{HEAD}minimize {text} {tilt}").solve()
    assert solution.problem_class.convexity == "convex"
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(problem.value, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("text", FUNCTIONS)
def test_bounded_above(text: str) -> None:
    expression = FUNCTIONS[text]
    problem = cvxpy.Problem(
        cvxpy.Maximize(X[0] + X[1] - X[2] - Y), [X >= -3, X <= 3, Y >= 0.5, Y <= 2, expression <= 5]
    )
    problem.solve(solver="CLARABEL")
    solution = optdsl.parse(f"{HEAD}maximize x[1] + x[2] - x[3] - y\nsubject to\n  c0: {text} <= 5").solve()
    assert solution.problem_class.convexity == "convex"
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(problem.value, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("text", ["norm2([log(y), x[1]])", "norm1([x[1]^2 - 1, x[2]])", "huber(x[1]^2 - 1, 1)"])
def test_without_a_sign_nothing_is_proved(text: str) -> None:
    assert optdsl.parse(f"{HEAD}minimize {text}").check().problem_class.convexity != "convex"
