"""Programs on whole arrays answer as the engine's lanes do, which share no code with them but the table of atoms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optdsl.engine.problem import ModelProblem
from optdsl.language import parse
from optdsl.model import build
from optdsl.training.problem import TensorProblem
from optdsl.training.split import candidates, members_of
from optdsl.training.terms import NotTensor

DATA = """
param n = 30
set ROW = 1..n
set P = 1..4
set H = 1..3
set C = 1..5
set TRAIN = {i in ROW if mod(i, 4) != 0}
set GROUP = {i in TRAIN if mod(i, 3) = 0}
set OTHER = TRAIN - GROUP
set U = 1..6
set V = 1..5
set PAIR = {(u, v) in U * V if mod(u + v, 3) != 0}
param X[i in ROW, j in P] = sin(i * j)
param y[i in ROW] = cos(3 * i)
param hit[i in ROW] = 1 if sin(1.7 * i) > 0 else 0
param count[i in ROW] = mod(i, 4)
param label[i in ROW] in C = mod(i, 5) + 1
param r[(u, v) in PAIR] = sin(u * v)
param word[u in U] in V = mod(u, 5) + 1
var w[P]
var b
var A[P, H]
var a[H]
var B[H, C]
var c[C]
var R[P, P] symmetric
var Q[U, H]
var T[V, H]
let score[i in ROW] = sum(X[i, j] * w[j] for j in P) + b
"""

# name: the set of the batches, and the statements
MODELS = {
    "linear": ("ROW", "minimize f: sum((y[i] - score[i])^2 for i in ROW)"),
    "mean of rows": ("ROW", "minimize f: 3 * mean(squared_error(X @ w + b, y)) + 0.1 * sumsq(w)"),
    "logistic": ("ROW", "minimize f: mean(binary_cross_entropy(score, hit)) + 0.3 * norm1(w)"),
    "log of sum": ("ROW", "maximize f: -sum(log(1 + exp(-score[i])) for i in ROW) - norm2(w)"),
    "softmax": ("ROW", "minimize f: mean(cross_entropy(X @ A @ B + c, label))"),
    "network": (
        "ROW",
        "minimize f: mean(cross_entropy(tanh(X @ A + a) @ B + c, label)) + 0.01 * (sumsq(A) + sumsq(B))",
    ),
    "kinks": (
        "ROW",
        "minimize f: sum(abs(y[i] - max(score[i], 0.1)) for i in ROW) + sum(huber(w[j], 0.2) for j in P)",
    ),
    "hinge": ("ROW", "minimize f: sum(hinge((2 * hit[i] - 1) * score[i]) for i in ROW) + 0.5 * sumsq(w)"),
    "poisson": ("ROW", "minimize f: sum(poisson_nll(score[i], count[i]) for i in ROW)"),
    "pairs": (
        "PAIR",
        "minimize f: sum((r[u, v] - sum(Q[u, h] * T[v, h] for h in H))^2 for (u, v) in PAIR) + sumsq(Q)",
    ),
    "embedding": ("U", "minimize f: sum((sum(T[word[u], h] * Q[u, h] for h in H) - u)^2 for u in U) + sumsq(T)"),
    "subset": (
        "ROW",
        "minimize f: mean(score[i]^2 for i in TRAIN) + sum(exp(score[i]) for i in ROW if mod(i, 5) = 1) / 7",
    ),
    "subset as the set": ("TRAIN", "minimize f: mean(score[i]^4 for i in TRAIN) + sumsq(X @ w) / n"),
    "quadratic form": (
        "ROW",
        "minimize f: sum((sum(X[i, j] * R[j, k] * X[i, k] for j in P, k in P) - y[i])^2 for i in ROW)",
    ),
    "norms of rows": ("ROW", "minimize f: sum(norm2(X[i, j] * w[j] + 0.3 for j in P) for i in ROW)"),
    "largest": (
        "ROW",
        "minimize f: sum(max(A[j, h] * X[i, j] for j in P, h in H) - min(w[j] * X[i, j] for j in P) for i in ROW)",
    ),
    "two sums": ("ROW", "minimize f: sum(mean((A[1, h] * X[i, 1] - y[i])^2 for i in ROW) * h + a[h]^2 for h in H)"),
    "inner set first": ("ROW", "minimize f: sum((A[j, h] * X[i, j] - y[i])^2 for j in P, h in H, i in ROW)"),
    "softmax by hand": ("ROW", "minimize f: sum(softmax(X @ A) * outer(y, a))"),
    "factors of variables": (
        "ROW",
        "minimize f: exp(w[1]) * mean(score[i]^2 for i in ROW) + sum(tanh(score[i]) for i in TRAIN) / (1 + b^2)",
    ),
    "two sums apart": ("ROW", "minimize f: sum(tanh(score[i]) * w[j] for i in ROW, j in P)"),
    "square of a norm": ("ROW", "minimize f: norm2(X @ w - y)^2 / n + norm_fro(tanh(X @ A) @ A.T - X)^2"),
    "nothing times something": (
        "ROW",
        "minimize f: sum(mean(sum(X[i, j] * w[j] for j in P if j > 4) * score[i] * a[h] for i in ROW) for h in H)",
    ),
    "means of data": (
        "ROW",
        "minimize f: sum((score[i] - w[1] * mean(y))^2 for i in ROW) + exp(b * mean(y)) + w[2] * mean(hit) * norm2(y)",
    ),
    "groups": (
        "ROW",
        """minimize f: sum(mean(score[i]^2 for i in ROW if label[i] = g)^1 * c[g] for g in C) +
          sum(mean(score[i]^2 for i in ROW if i > j) * w[j] for j in P)
        subject to
          gap[g in C]: mean(sigmoid(score[i]) * c[g] for i in TRAIN if label[i] = g) <= 0.5
          sure[g in C]: mean(log(y[i]) * score[i] for i in ROW if y[i] > 0.1 and label[i] = g) <= 3
          each[g in C, j in P]: sum(X[i, j] * score[i]^2 for i in ROW if label[i] = g or i = j) >= -1""",
    ),
    "equal terms": ("ROW", "minimize f: sum(logsumexp(score[i] + a[h] * 0 for h in H, j in P) for i in ROW)"),
    "branches that end": (
        "ROW",
        """minimize f: sum(((score[i] - score[i - 1] if i > 1 else b) * y[i])^2 for i in ROW) +
          mean((tanh(score[i + 1]) if i + 1 in ROW else 0.5)^2 for i in TRAIN) +
          sum((A[j + 1, h] - A[j, h] if j < 4 else A[j, h]) * score[i] for i in ROW, j in P, h in H)""",
    ),
    "branches": ("ROW", "minimize f: sum((score[i] if hit[i] = 1 else score[i]^2 / 2) for i in ROW)"),
    "power": ("ROW", "minimize f: sum((1 + score[i]^2)^1.5 + 2^score[i] for i in ROW)"),
    "constraints": (
        "ROW",
        """minimize f: mean(binary_cross_entropy(score[i], hit[i]) for i in TRAIN)
        subject to
          fair: -0.1 <= mean(sigmoid(score[i]) for i in GROUP) - mean(sigmoid(score[i]) for i in OTHER) <= 0.1
          each[j in P]: sum(X[i, j] * score[i]^2 for i in TRAIN) + w[j] <= j
          small: sumsq(w) <= 4
          chain[j in P if j > 1]: w[j] >= w[j - 1]""",
    ),
}  # fmt: skip


def problem_of(text: str, over: str, dtype: type = np.float64) -> tuple[TensorProblem, ModelProblem]:
    model = build(parse(DATA + text, "test.opt"), folder=Path("."), name="test")
    return TensorProblem(model, members_of(model, over), dtype), ModelProblem(model)


def point(width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.5, width)


@pytest.mark.parametrize("name", MODELS)
def test_values_and_derivatives_are_those_of_the_lanes(name: str) -> None:
    over, text = MODELS[name]
    tensors, lanes = problem_of(text, over)
    x = point(len(tensors.start))
    direction, multipliers = point(len(x), 1), point(len(tensors.row_lower), 2)
    assert tensors.objective(x) == pytest.approx(lanes.objective(x), rel=1e-12)
    np.testing.assert_allclose(tensors.gradient(x), lanes.gradient(x), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(tensors.constraints(x), lanes.constraints(x), rtol=1e-11, atol=1e-12)
    for weight in (1.0, 0.5):
        ours = tensors.hessian_product(x, multipliers, direction, weight)
        np.testing.assert_allclose(ours, lanes.hessian_product(x, multipliers, direction, weight), rtol=1e-8, atol=1e-9)
    jacobian = lanes.jacobian_pattern.matrix(lanes.jacobian(x))
    whole = lanes.gradient(x) + jacobian.T @ multipliers
    np.testing.assert_allclose(tensors.lagrangian_gradient(x, multipliers), whole, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [1, 4, 7])
def test_the_mean_of_the_estimates_over_all_batches_is_the_exact_value(name: str, size: int) -> None:
    over, text = MODELS[name]
    tensors, _ = problem_of(text, over)
    x, weights = point(len(tensors.start)), point(len(tensors.row_lower), 2)
    members = tensors.members
    order = np.random.default_rng(3).permutation(members)
    value, slope = 0.0, np.zeros(len(x))
    rows, gradient = np.zeros(len(weights)), np.empty(len(x))
    for first in range(0, members, size):
        batch = order[first : first + size]
        share = len(batch) / members
        value += share * tensors.estimate(x, batch, gradient, weights)
        slope += share * gradient
        rows += share * tensors.row_estimates(x, batch)
    assert value == pytest.approx(tensors.objective(x), rel=1e-11)
    np.testing.assert_allclose(slope, tensors.lagrangian_gradient(x, weights), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(rows, tensors.constraints(x), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", MODELS)
def test_single_precision_is_the_same_to_its_rounding(name: str) -> None:
    over, text = MODELS[name]
    tensors, lanes = problem_of(text, over, np.float32)
    x = point(len(tensors.start))
    gradient = np.empty(len(x), np.float32)
    value = tensors.estimate(x.astype(np.float32), slice(None), gradient)
    assert value == pytest.approx(lanes.objective(x), rel=1e-4)
    exact = lanes.gradient(x)
    np.testing.assert_allclose(gradient, exact, rtol=1e-3, atol=1e-4 * np.abs(exact).max())


def test_the_norm_of_zeros_has_a_slope() -> None:
    tensors, _ = problem_of("minimize f: sum(score[i] for i in ROW) + norm2(w)", "ROW")
    plain, _ = problem_of("minimize f: sum(score[i] for i in ROW) + 0 * sum(R) + sumsq(w)", "ROW")
    x, direction = np.zeros(len(tensors.start)), point(len(tensors.start), 1)
    np.testing.assert_allclose(tensors.gradient(x)[:5], plain.gradient(x)[:5], atol=1e-12)
    assert np.isfinite(tensors.hessian_product(x, np.zeros(0), direction)).all()
    x[0] = np.nan
    assert np.isnan(tensors.objective(x))


def test_chunks_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    over, text = MODELS["network"]
    tensors, lanes = problem_of(text, over)
    monkeypatch.setattr(tensors, "_chunk", 7)
    x, direction = point(len(tensors.start)), point(len(tensors.start), 1)
    assert tensors.objective(x) == pytest.approx(lanes.objective(x), rel=1e-12)
    np.testing.assert_allclose(tensors.gradient(x), lanes.gradient(x), atol=1e-12)
    none = np.zeros(0)
    ours = tensors.hessian_product(x, none, direction)
    np.testing.assert_allclose(ours, lanes.hessian_product(x, none, direction), atol=1e-10)


def test_a_batch_of_a_network_picks_its_labels_from_the_logits() -> None:
    tensors, _ = problem_of(MODELS["network"][1], "ROW")
    order = tensors.graph.below([tensors._objective])
    kinds = [tensors.graph.ops[n][0] for n in order]
    assert kinds.count("dot") == 2 and kinds.count("apply") == 1  # each layer once


REFUSED = {
    "minimize f: sqrt(sum(score[i]^2 for i in ROW))": "sqrt of a sum over ROW",
    "minimize f: log(mean(exp(score[i]) for i in ROW))": "log of a sum over ROW",
    "minimize f: sum(score[i] for i in ROW) * sum(score[i] + 1 for i in TRAIN)": "a product of two sums over ROW",
    "minimize f: max(score[i] for i in ROW)": "`max` over ROW",
    "minimize f: sum(score[i] * score[k] for i in ROW, k in ROW)": "twice",
    "minimize f: max(sum(score[i] * j for i in ROW) for j in P)": "`max` of sums over ROW",
    "minimize f: sum(mean(score[i + 1]^2 for i in ROW if i < 30 - j) for j in P)": "no value for the members",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_sum_over_the_set_is_refused(text: str) -> None:
    with pytest.raises(NotTensor, match=REFUSED[text]):
        problem_of(text, "ROW")


def test_the_largest_set_of_the_outermost_sums_is_offered_first() -> None:
    model = build(parse(DATA + MODELS["pairs"][1], "test.opt"), folder=Path("."), name="test")
    assert candidates(model)[0] == "PAIR"


def test_the_part_that_is_not_finite_is_named() -> None:
    tensors, _ = problem_of("minimize f: sum(log(score[i]) for i in ROW)", "ROW")
    x = np.full(len(tensors.start), -1.0)
    assert "log(" in str(tensors.culprit(x, slice(None)))
    over, text = MODELS["linear"]
    assert problem_of(text, over)[0].culprit(x, slice(None)) is None


def test_layers_are_found_with_their_values() -> None:
    tensors, _ = problem_of(MODELS["network"][1], "ROW")
    (layer,) = tensors.layers(point(len(tensors.start)), slice(None))
    assert layer.activation.name == "tanh" and layer.value.shape == (30, 3)
    np.testing.assert_allclose(layer.value, np.tanh(layer.argument))
