"""Smoothness by RESULT.md, in the relative interior of D: a table of expressions with the right word."""

from __future__ import annotations

import pytest

import optdsl

X, U, P = "var x >= 0, <= 4", "var x >= -4, <= 4", "var x >= 1, <= 4"
XY = "var x >= -4, <= 4\nvar y >= -4, <= 4"
PY = "var x >= -4, <= 4\nvar y >= 1, <= 4"
F = "var x"
V = "set I = 1..3\nvar v[I] >= -4, <= 4"
V1 = "set I = 1..3\nvar v[I] >= 1, <= 4"
V0 = "set I = 1..3\nvar v[I] >= 0, <= 4"
M = "set J = 1..2\nvar Z[J, J] psd"

TABLE: list[tuple[str, str, str]] = [
    # absolute values
    (U, "abs(x)", "nonsmooth"), (X, "abs(x)", "smooth"), ("var x >= -4, <= 0", "abs(x)", "smooth"),
    (P, "abs(x - 1)", "smooth"), (P, "abs(x - 2)", "nonsmooth"), (U, "abs(x)^2", "smooth"),
    (U, "abs(x)^3", "smooth"), (U, "abs(x)^1.5", "C1"), (U, "abs(x)^2.5", "smooth"), (U, "abs(x)^0.5", "nonsmooth"),
    (U, "x * abs(x)", "C1"), (X, "x * abs(x)", "smooth"), (U, "x^2 * abs(x)", "smooth"),
    (U, "x^3 * abs(x)", "smooth"),
    (U, "abs(x)^3 * abs(x)", "smooth"), (PY, "y * abs(x)", "nonsmooth"), (U, "sqrt(x^2)", "nonsmooth"),
    (U, "sqrt(x^2 + 1)", "smooth"), (U, "abs(x^2 + 1)", "smooth"), (U, "abs(exp(x))", "smooth"),
    # positive parts
    (U, "pos(x)", "nonsmooth"), (U, "max(x, 0)", "nonsmooth"), (U, "relu(x)", "nonsmooth"), (U, "pos(x)^2", "C1"),
    (U, "pos(x)^3", "smooth"), (U, "max(x, 0)^2", "C1"), (U, "max(x, 0)^3", "smooth"), (X, "pos(x)", "smooth"),
    (U, "relu(x)^2", "C1"), (U, "x * pos(x)", "C1"), (PY, "y * x * abs(x)", "C1"), (X, "max(x, -1)", "smooth"),
    (X, "max(x, 0)", "smooth"),
    (U, "max(x^2, -1)", "smooth"), (XY, "max(x, y)", "nonsmooth"),
    (U, "min(x, 5)", "smooth"), (U, "min(x, 3)", "nonsmooth"), (U, "max(1 - x, 0)^2", "C1"),
    # losses and steps
    (U, "huber(x, 1)", "C1"), ("var x >= 2, <= 4", "huber(x, 1)", "smooth"),
    ("var x >= -1, <= 1", "huber(x, 1)", "smooth"),
    (U, "floor(x)", "discontinuous"), (U, "ceil(x)", "discontinuous"), (U, "sign(x)", "discontinuous"),
    (X, "sign(x)", "smooth"), ("var x >= 0, <= 1", "floor(x)", "smooth"), (U, "leaky_relu(x, 0.1)", "nonsmooth"),
    (U, "elu(x, 1)", "C1"), (U, "elu(x, 0.5)", "nonsmooth"), (U, "silu(x)", "smooth"), (U, "gelu(x)", "smooth"),
    # powers, roots, poles
    (X, "sqrt(x)", "smooth"), (P, "sqrt(x - 1)", "smooth"), (X, "x^1.5", "smooth"), (X, "x^0.3", "smooth"),
    (U, "x^3", "smooth"), (U, "1 / x", "discontinuous"), (X, "1 / x", "smooth"), (U, "x^(-2)", "discontinuous"),
    (U, "cbrt(x)", "nonsmooth"), (X, "cbrt(x)", "smooth"), (U, "x^(1/3)", "smooth"), (PY, "x / y", "smooth"),
    (XY, "x / y", "discontinuous"), (U, "1 / (x^2 + 1)", "smooth"), (U, "1 / (x - 4)", "smooth"),
    (U, "tan(x)", "discontinuous"),
    (X, "log(x)", "smooth"), (U, "log(x + 4)", "smooth"), (U, "x^2 / (1 + x^2)", "smooth"),
    (X, "x * log(x)", "smooth"),
    (P, "sqrt(x^2 - 1)", "smooth"), (U, "sqrt(16 - x^2)", "smooth"), (X, "entr(x)", "smooth"),
    # ends of intervals that are not reached
    (F, "log(sigmoid(x))", "smooth"), (F, "log(1 - sigmoid(x))", "smooth"), (F, "log(exp(x))", "smooth"),
    (F, "sqrt(exp(x))", "smooth"), (F, "1 / (1 + exp(-x))", "smooth"), (F, "log(1 + x^2)", "smooth"),
    (F, "1 / exp(x)", "smooth"), (F, "log(softplus(x))", "smooth"), (F, "sqrt(sigmoid(x))", "smooth"),
    (F, "log(1 + tanh(x))", "smooth"), (F, "acos(tanh(x))", "smooth"), (F, "log(1 + erf(x))", "smooth"),
    (F, "log(sigmoid(x) * (1 - sigmoid(x)))", "smooth"), (F, "sigmoid(x) / (1 - sigmoid(x))", "smooth"),
    (F, "log(sigmoid(x)^2)", "smooth"), (F, "log(exp(x) + exp(-x))", "smooth"),
    ("set I = 1..3\nvar v[I]", "-log(softmax(v)[2])", "smooth"),
    ("set I = 1..3\nvar v[I]", "log(sum(exp(v[i]) for i in I))", "smooth"),
    ("set I = 1..3\nvar v[I]", "sqrt(sum(exp(v[i]) for i in I))", "smooth"),
    ("set I = 1..3\nvar v[I]", "sum(sqrt(sigmoid(v[i])) for i in I)", "smooth"),
    (F, "sqrt(exp(x) - 1)", "smooth"), (F, "log(exp(x) - 1)", "smooth"), (F, "sqrt(x + exp(x))", "smooth"),
    (F, "log(max(exp(x), sigmoid(x)))", "nonsmooth"),
    # ends that are
    (F, "sqrt(cosh(x) - 1)", "nonsmooth"), (F, "sqrt(x^2 * exp(x))", "nonsmooth"),
    (U, "1 / sinh(x)", "discontinuous"),
    (X, "sqrt(x^2 - 4 * x + 4)", "nonsmooth"), (F, "sqrt(1 + sin(x))", "nonsmooth"),
    (F, "log(pos(x))", "discontinuous"), (F, "1 / (1 - tanh(x)^2 - 1)", "discontinuous"),
    (F, "1 / pos(x)", "discontinuous"),
    (F, "abs(sinh(x))", "nonsmooth"), (F, "abs(sigmoid(x) - 1/2)", "nonsmooth"),
    # norms
    (V, "norm2(v)", "nonsmooth"), (V1, "norm2(v)", "smooth"), (V, "norm2(v)^2", "smooth"),
    (V, "norm2(v)^3", "smooth"),
    (V, "norm2(v)^1.5", "C1"), (V, "norm1(v)", "nonsmooth"), (V0, "norm1(v)", "smooth"),
    (V, "norminf(v)", "nonsmooth"),
    (V, "sumsq(v)", "smooth"), (V, "logsumexp(v)", "smooth"), (V, "max(v)", "nonsmooth"),
    (V, "sqrt(sumsq(v) + 1)", "smooth"),
    (XY, "hypot(x, y)", "nonsmooth"), (PY, "hypot(x, y)", "smooth"), (V0, "geo_mean(v)", "smooth"),
    # matrices
    (M, "eig_max(Z)", "nonsmooth"), (M, "trace(Z)", "smooth"), (M, "log_det(Z)", "smooth"), (M, "det(Z)", "smooth"),
    # by pieces of data
    ("set K = 1..2\nvar x >= -4, <= 4", "sum((x^2 if k = 1 else abs(x)) for k in K)", "nonsmooth"),
    ("set K = 1..2\nvar x >= -4, <= 4", "sum((x^2 if k = 1 else huber(x, 1)) for k in K)", "C1"),
    ("set K = 1..2\nvar x >= -4, <= 4", "sum((x^2 if k <= 2 else floor(x)) for k in K)", "smooth"),
]


@pytest.mark.parametrize(("declared", "text", "word"), TABLE, ids=[f"{t} on {d}" for d, t, _ in TABLE])
def test_smoothness(declared: str, text: str, word: str) -> None:
    for sense in ("minimize", "maximize"):
        found = optdsl.parse(f"{declared}\n{sense} o: {text}").check().problem_class
        assert found.smoothness == word
