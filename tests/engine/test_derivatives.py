"""Gradient, Jacobian, Hessian and products of every function and reduction, and of random trees of them."""

from __future__ import annotations

import numpy as np
import pytest

from optdsl.atoms import ELEMENTWISE, REDUCTIONS
from optdsl.atoms.table import LOSSES
from optdsl.engine.kernel import BLOCK

from .differences import apart, disagreement, problem_of

# Points inside the domains, away from kinks; for functions that are defined there only.
INSIDE = {
    "log": (0.5, 3.0), "log10": (0.5, 3.0), "log2": (0.5, 3.0), "log1p": (-0.5, 3.0), "entr": (0.5, 3.0),
    "xlogx": (0.5, 3.0), "sqrt": (0.5, 3.0), "asin": (-0.8, 0.8), "acos": (-0.8, 0.8), "rel_entr": (0.5, 3.0),
    "kl_div": (0.5, 3.0), "cbrt": (0.5, 3.0), "inv": (0.5, 3.0), "tan": (-1.2, 1.2), "pow": (0.5, 3.0),
}  # fmt: skip
DATA_ARGUMENTS = {"mod", "div"}  # of data alone


def lines_of(name: str) -> str:
    row = ELEMENTWISE.get(name) or LOSSES[name]
    fewest = max(1, row.arity[0])
    arguments = []
    for k in range(fewest):
        arguments.append("0.7" if row.is_data(k) else ("x[i]", "y[i]")[k % 2])
    return f"{name}({', '.join(arguments)})"


@pytest.mark.parametrize("name", sorted(set(ELEMENTWISE) - DATA_ARGUMENTS))
def test_every_elementwise_function(name: str) -> None:
    call = lines_of(name)
    text = (
        "set I = 1..5\nvar x[I]\nvar y[I]\n"
        f"minimize sum(({call})^2 + x[i]*y[i] for i in I)\n"
        f"subject to\n  c[i in I]: {call} * y[i] <= 1\n"
    )
    low, high = INSIDE.get(name, (-2.0, 2.0))
    for seed in range(4):
        x = np.random.default_rng(seed).uniform(low, high, 10)
        assert max(disagreement(problem_of(text), x, seed).values()) < 2e-5


REDUCED = {
    "sum": "", "mean": "", "prod": "", "max": "", "min": "", "logsumexp": "", "geo_mean": "positive",
    "harmonic_mean": "positive", "norm1": "", "norm2": "", "norminf": "", "sumsq": "", "norm": "3", "sum_largest": "2",
}  # fmt: skip


def test_every_reduction_is_tried() -> None:
    assert set(REDUCED) == set(REDUCTIONS) - {"any", "all"}


@pytest.mark.parametrize("name", sorted(REDUCED))
@pytest.mark.parametrize("members", ["j in J", "j in J if j <= i", "j in i..7 by 2"])
def test_every_reduction(name: str, members: str) -> None:
    extra = REDUCED[name]
    array = f"x[i] * exp(y[j]) for {members}" if extra == "positive" else f"sin(x[i]) * y[j] for {members}"
    call = f"{name}({array})"
    if extra and extra != "positive":
        call = f"{name}([x[i] * y[1], x[i] - y[2], x[i] + y[3] * y[1], y[4] - 2 * x[i]], {extra})"
    text = (
        "set I = 1..5\nset J = 1..7\nvar x[I]\nvar y[J]\n"
        f"minimize sum(({call})^2 for i in I)\n"
        f"subject to\n  c[i in I]: {call} * y[i] <= 1\n"
    )
    for seed in range(3):
        x = np.random.default_rng(seed).uniform(0.3, 1.6, 12)
        assert max(disagreement(problem_of(text), x, seed).values()) < 3e-5


@pytest.mark.parametrize(
    "body",
    [
        "sum(tanh(sum(W[i, j] * x[j] for j in J)) * x[i] for i in I)",
        "sum(log(1 + exp(A[r, :] @ x)) for r in R)",
        "x @ W @ x + sum((A @ x - 1)^4)",
        "sum(exp(x[i] - x[i + 1]) if i < 3 else x[i]^3 * x[1] for i in 1..4)",
        "prod(x) + (prod(x[i] for i in I if i > 2))^2 + 1 / (1 + norm2(x)^2)",
        "sum(abs(x[i])^3 / (1 + x[j]^2) for i in I, j in J if i < j)",
        "sum(x[i]^p[i] * p[i]^x[i] for i in I)",
        "max(x[1]^2, x[2] * x[3], x[4]) * min(x[1], 2 * x[2], x[3] + 1, x[5])",
        "atan2(x[1], x[2]) * hypot(x[3], x[4]) - max(x[1] - x[2], 0.1 * x[3])",
        "sum((sum(A[r, j] * x[j]^2 for j in J))^2 for r in R)",
    ],
)
def test_compositions(body: str) -> None:
    random = np.random.default_rng(5)
    text = (
        "set I = 1..5\nset J = 1..5\nset R = 1..8\nparam W[I, J]\nparam A[R, J]\nparam p[I]\nvar x[J]\n"
        f"minimize {body}\nsubject to\n  c: {body} <= 1\n"
    )
    problem = problem_of(text, W=random.normal(size=(5, 5)), A=random.normal(size=(8, 5)), p=random.uniform(1, 3, 5))
    for seed in range(3):
        x = np.random.default_rng(seed).uniform(0.3, 1.5, 5)
        assert max(disagreement(problem, x, seed).values()) < 3e-5


ARRAY_FUNCTIONS = [
    "det(M)", "log_det(S)", "sum(inv_matrix(M))", "eig_max(S)", "eig_min(S)", "norm_nuc(M)", "norm_spec(M)",
    "matrix_frac(x, S)", "quad_form(x, S)", "norm_fro(M)", "trace(M @ M)", "sum(softmax(x)^2)", "tv(x)",
    "quad_over_lin(x, 1 + x[1]^2)", "sum(cumsum(x)^3)", "sum(conv([1, 2], x)^2)", "dot(x, M @ x)",
]  # fmt: skip


@pytest.mark.parametrize("call", ARRAY_FUNCTIONS)
def test_functions_of_whole_arrays(call: str) -> None:
    text = (
        "set I = 1..3\nvar X[I, I]\nvar x[I]\nlet M = X @ X + 4 * eye(I)\nlet S = X @ X.T + 2 * eye(I)\n"
        f"minimize ({call})^2 + sum(x)\nsubject to\n  c: {call} <= 1\n"
    ).replace("eye(I)", "E").replace("var X", "param E[I, I] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\nvar X")
    for seed in range(2):
        x = np.random.default_rng(seed).uniform(-0.5, 1.0, 12)
        assert max(disagreement(problem_of(text), x, seed).values()) < 1e-4


def test_blocks_of_lanes_agree_with_single_ones() -> None:
    """A family longer than a block, against the closed formulas of its derivatives."""
    size = 2 * BLOCK + 17
    text = (
        f"param N = {size}\nvar x[1..N]\nminimize sum(exp(x[i]) * x[i + 1] for i in 1..N - 1)\n"
        "subject to\n  c[i in 1..N - 1]: x[i]^2 * x[i + 1] <= 1\n"
    )
    problem = problem_of(text)
    x = np.random.default_rng(0).normal(size=size)
    gradient = np.append(np.exp(x[:-1]) * x[1:], 0.0)
    gradient[1:] += np.exp(x[:-1])
    assert apart(problem.gradient(x), gradient) < 1e-14
    y = np.random.default_rng(1).normal(size=size - 1)
    assert problem.hessian_pattern is not None
    whole = problem.hessian_pattern.symmetric(problem.hessian(x, y, 1.0))
    diagonal = np.append(np.exp(x[:-1]) * x[1:] + 2 * y * x[1:], 0.0)
    assert apart(whole.diagonal(), diagonal) < 1e-14
    assert apart(whole.diagonal(1), np.exp(x[:-1]) + 2 * y * x[:-1]) < 1e-14
    jacobian = problem.jacobian_pattern.matrix(problem.jacobian(x))
    assert apart(jacobian.diagonal(), 2 * x[:-1] * x[1:]) < 1e-14


def test_dense_rows_become_matrix_products() -> None:
    """A regression of many rows: the Hessian is A' D A whichever way it is computed."""
    random = np.random.default_rng(3)
    a = random.normal(size=(4000, 12))
    text = (
        "set R = 1..4000\nset K = 1..12\nparam A[R, K]\nvar b[K]\n"
        "minimize sum(log(1 + exp(sum(A[r, k] * b[k] for k in K))) for r in R)\n"
    )
    problem = problem_of(text, A=a)
    b = random.normal(size=12) * 0.3
    p = 1 / (1 + np.exp(-a @ b))
    assert problem.hessian_pattern is not None
    whole = problem.hessian_pattern.symmetric(problem.hessian(b, np.zeros(0), 1.0)).toarray()
    assert apart(whole, a.T @ ((p * (1 - p))[:, None] * a)) < 1e-12
    assert apart(problem.gradient(b), a.T @ p) < 1e-12


@pytest.mark.parametrize(
    ("body", "x"),
    [
        ("log(x)", -1.0), ("sqrt(x)", -1.0), ("1 / x", 0.0), ("x^1.5", -2.0), ("asin(x)", 2.0), ("log(x)", 0.0),
        ("x^(-2)", 0.0), ("xlogx(x)", -1.0), ("exp(x)", 1e4),
    ],
)  # fmt: skip
def test_outside_the_domain_nothing_is_finite(body: str, x: float) -> None:
    problem = problem_of(f"var x\nminimize {body}\n")
    point = np.array([x])
    with np.errstate(all="ignore"):
        assert not np.isfinite(problem.objective(point))
        assert not np.isfinite(problem.gradient(point)).all()
