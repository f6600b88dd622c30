"""Every function of positive arguments in every role: what CVXPY calls a geometric program is solved globally."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest

import optdsl
from optdsl.answer.status import Guarantee
from optdsl.answer.transformed import special_form
from optdsl.classify.analyst import analyze
from optdsl.language import parse
from optdsl.model import build

ROLES = ("minimize", "maximize", "<=", ">=")
X = cp.Variable(3, pos=True)
DATA = np.array([[3.0, 1.0], [1.0, 2.0]])
SCALARS = {
    "x[1] * x[2]": X[0] * X[1],
    "x[1] / x[3]^0.5": X[0] / X[2] ** 0.5,
    "(x[1] + 2 * x[2] * x[3])": X[0] + 2 * X[1] * X[2],
}
VECTORS = {
    "[x[1] * x[2], x[2] + x[3], 3 * x[3]]": cp.hstack([X[0] * X[1], X[1] + X[2], 3 * X[2]]),
    "[x[1] * x[2], x[2] / x[3], 3 * x[3]]": cp.hstack([X[0] * X[1], X[1] / X[2], 3 * X[2]]),
}
MATRIX = ("[[x[1], x[2]], [x[3], x[1] * x[2]]]", cp.bmat([[X[0], X[1]], [X[2], X[0] * X[1]]]))
WEIGHTS = np.array([1.0, 2.0, 0.5])
NOT_YET = {("maximize", "log"), ("maximize", "log1p")}
"""A logarithm that may be negative is maximized: CVXPY takes it as positive."""


def _of_numbers() -> Iterator[tuple[str, cp.Expression]]:
    named = {
        "exp": cp.exp, "log": cp.log, "sqrt": cp.sqrt, "inv": cp.inv_pos, "square": cp.square, "abs": cp.abs,
        "pos": cp.pos, "log1p": cp.log1p, "softplus": cp.logistic,
    }  # fmt: skip
    for text, e in SCALARS.items():
        yield from ((f"{name}({text})", function(e)) for name, function in named.items())
        yield from ((f"pow({text}, {p})", cp.power(e, p)) for p in (0.5, 1.5, 2, 3, -1, -0.5))
        yield f"max({text}, x[2])", cp.maximum(e, X[1])
        yield f"min({text}, x[2])", cp.minimum(e, X[1])
        yield f"hypot({text}, x[2])", cp.norm2(cp.hstack([e, X[1]]))
        yield f"{text} - 0.1 * x[3]", cp.diff_pos(e, 0.1 * X[2])


def _of_arrays() -> Iterator[tuple[str, cp.Expression]]:
    for t, e in VECTORS.items():
        yield from (
            (f"{name}({t})", function(e))
            for name, function in {
                "sum": cp.sum, "prod": cp.prod, "max": cp.max, "min": cp.min, "norm1": cp.norm1, "norm2": cp.norm2,
                "norminf": cp.norm_inf, "sumsq": cp.sum_squares, "geo_mean": cp.geo_mean,
                "harmonic_mean": cp.harmonic_mean, "logsumexp": cp.log_sum_exp, "mean": lambda v: cp.sum(v) / 3,
            }.items()
        )  # fmt: skip
        yield f"norm({t}, 3)", cp.pnorm(e, 3)
        yield f"sum_largest({t}, 2)", cp.sum_largest(e, 2)
        yield f"dot({t}, [1, 2, 0.5])", e @ WEIGHTS
        yield f"dot({t}, x)", cp.sum(cp.multiply(e, X))
        yield f"sum(outer({t}, x))", cp.sum(cp.outer(e, X))
        yield f"max(cumsum({t}))", cp.max(cp.cumsum(e))
        yield f"sum(conv([1, 2, 0.5], {t}))", cp.sum(cp.convolve(WEIGHTS, e))
        yield f"quad_over_lin({t}, x[1])", cp.quad_over_lin(e, X[0])
        yield f"trace(diag({t}))", cp.trace(cp.diag(e))
        yield f"max(concat({t}, x))", cp.max(cp.hstack([e, X]))
        yield f"max(reshape({t}, 3, 1))", cp.max(cp.reshape(e, (3, 1), order="F"))
    text, matrix = MATRIX
    yield f"norm_fro({text})", cp.norm(matrix, "fro")
    yield f"trace({text})", cp.trace(matrix)
    yield f"max({text} @ [x[1], x[2]])", cp.max(matrix @ cp.hstack([X[0], X[1]]))
    yield "quad_form([x[1], x[2]], D)", cp.quad_form(cp.hstack([X[0], X[1]]), DATA)
    yield "sum(stack(x, x))", cp.sum(cp.vstack([X, X]))


FUNCTIONS = dict([*_of_numbers(), *_of_arrays()])


def _problem(role: str, e: cp.Expression) -> cp.Problem:
    box = [X <= 2, X >= 0.5]
    if role in ("minimize", "maximize"):
        return cp.Problem((cp.Minimize if role == "minimize" else cp.Maximize)(e), box)
    return cp.Problem(cp.Minimize(X[0] * X[1] / X[2]), [*box, e <= 3 if role == "<=" else e >= 0.3])


def _text(role: str, text: str) -> str:
    head = "param D[1..2, 1..2] = [[3, 1], [1, 2]]\nvar x[1..3] in [0.5, 2]\n"
    if role in ("minimize", "maximize"):
        return f"{head}{role} {text}"
    return f"{head}minimize x[1] * x[2] / x[3]\nsubject to\n  c: {text} {role} {3 if role == '<=' else 0.3}"


@pytest.mark.parametrize("text", FUNCTIONS)
def test_what_cvxpy_calls_geometric(text: str) -> None:
    for role in ROLES:
        if not _problem(role, FUNCTIONS[text]).is_dgp() or (role, text.split("(")[0]) in NOT_YET:
            continue
        model = build(parse(_text(role, text), "<test>"), folder=Path("."), supplied=None, paths=None, name="test")
        analysis = analyze(model)
        assert not analysis.refusal or special_form(analysis) is not None, role


@pytest.mark.parametrize("text", list(FUNCTIONS)[::3])
def test_optima_against_cvxpy(text: str) -> None:
    for role in ROLES:
        problem = _problem(role, FUNCTIONS[text])
        if not problem.is_dgp() or (role, text.split("(")[0]) in NOT_YET:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                problem.solve(gp=True, solver="CLARABEL")
            except (cp.error.SolverError, cp.error.DGPError, ValueError):
                continue
        solution = optdsl.parse(_text(role, text)).solve()
        if problem.status == "optimal":
            assert solution.objective == pytest.approx(problem.value, rel=1e-5), role
            assert solution.guarantee is Guarantee.GLOBAL, role
        elif problem.status == "infeasible":
            assert solution.status.word == "infeasible", role
