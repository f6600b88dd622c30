"""Losses plus simple penalties: recognized in any spelling, solved with a gap that is checked by other formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

import optdsl
from optdsl.answer.composite import class_by_parts
from optdsl.api import as_supplied
from optdsl.engine.composite import recognized
from optdsl.engine.composite_rows import NotComposite
from optdsl.language import parse
from optdsl.model import build

HEAD = """set N
set P
param X[N, P]
param y[N]
param s[N]
param r[N]
param c[N]
var w[P]
var b
"""


def drawn(n: int, p: int, seed: int = 0) -> dict[str, Any]:
    """Random data: 0/1 labels y, -1/1 labels s, numbers r, counts c."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, p))
    true = np.where(random.random(p) < 0.5, random.standard_normal(p), 0.0)
    y = (X @ true + random.standard_normal(n) > 0).astype(float)
    r = X @ true + 0.5 * random.standard_normal(n)
    c = random.poisson(np.exp(np.clip(X @ true, -2, 2)))
    return {"N": list(range(n)), "P": list(range(p)), "X": X, "y": y, "s": 2 * y - 1, "r": r, "c": c}


def solve(objective: str, data: dict[str, Any], method: str | None = None, head: str = HEAD, **options: Any) -> Any:
    return optdsl.parse(f"{head}minimize loss: {objective}").solve(method=method, options=options or None, data=data)


def composite_of(objective: str, data: dict[str, Any], head: str = HEAD) -> Any:
    file = parse(f"{head}minimize loss: {objective}", "<text>")
    return recognized(build(file, folder=Path("."), supplied=as_supplied(data, {}), paths=None, name="m"))


def rows(w: cp.Variable, b: cp.Variable, d: dict[str, Any]) -> Any:
    return d["X"] @ w + b


LOSSES = {
    "squares": ("0.5 * sumsq(r - X @ w - b)", lambda m, d: 0.5 * cp.sum_squares(d["r"] - m)),
    "mean squares": (
        "mean((r[i] - X[i, :] @ w - b)^2 for i in N)",
        lambda m, d: cp.sum_squares(d["r"] - m) / len(d["r"]),
    ),
    "logistic": ("sum(log(1 + exp(-s * (X @ w + b))))", lambda m, d: cp.sum(cp.logistic(cp.multiply(-d["s"], m)))),
    "softplus": (
        "sum(softplus(-s[i] * (sum(X[i, j] * w[j] for j in P) + b)) for i in N)",
        lambda m, d: cp.sum(cp.logistic(cp.multiply(-d["s"], m))),
    ),
    "log of sigmoid": (
        "-sum(log(sigmoid(s * (X @ w + b))))",
        lambda m, d: cp.sum(cp.logistic(cp.multiply(-d["s"], m))),
    ),
    "cross entropy": (
        "sum(binary_cross_entropy(X @ w + b, y))",
        lambda m, d: cp.sum(cp.logistic(m)) - d["y"] @ m,
    ),
    "poisson": ("sum(poisson_nll(X @ w + b, c))", lambda m, d: cp.sum(cp.exp(m)) - d["c"] @ m),
    "huber": ("sum(huber(r - X @ w - b, 0.3))", lambda m, d: cp.sum(cp.huber(d["r"] - m, 0.3))),
    "squared hinge": (
        "sum(pos(1 - s * (X @ w + b))^2)",
        lambda m, d: cp.sum_squares(cp.pos(1 - cp.multiply(d["s"], m))),
    ),
}
PENALTIES = {
    "ridge": ("0.3 * sumsq(w)", lambda w: 0.3 * cp.sum_squares(w)),
    "l1": ("2 * norm1(w)", lambda w: 2 * cp.norm1(w)),
    "weighted l1": ("sum(0.5 * (j + 1) * abs(w[j]) for j in P)", lambda w: 0.5 * (np.arange(w.size) + 1) @ cp.abs(w)),
    "elastic net": ("norm1(w) + sum(w[j]^2 for j in P) / 4", lambda w: cp.norm1(w) + cp.sum_squares(w) / 4),
}


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_with_every_penalty_agrees_with_cones(loss: str, penalty: str) -> None:
    data = drawn(40, 6, seed=len(loss) + len(penalty))
    text, formula = LOSSES[loss]
    penalty_text, penalty_formula = PENALTIES[penalty]
    solution = solve(f"{text} + {penalty_text}", data, "proximal_newton")
    assert (solution.status, solution.guarantee) == ("optimal", "global")
    w, b = cp.Variable(6), cp.Variable()
    problem = cp.Problem(cp.Minimize(formula(rows(w, b, data), data) + penalty_formula(w)))
    best = problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10)
    assert solution.objective == pytest.approx(best, abs=1e-6, rel=1e-6)
    assert solution.bound <= solution.objective + 1e-12 * abs(solution.objective)
    assert solution.bound == pytest.approx(solution.objective, rel=1e-8, abs=1e-8)
    assert np.asarray(solution["w"]) == pytest.approx(w.value, abs=2e-3)


@pytest.mark.parametrize("seed", range(6))
def test_the_gap_of_a_lasso_by_its_textbook_dual(seed: int) -> None:
    data = drawn(30 + 20 * (seed % 2), 60, seed)
    X, r = data["X"], data["r"]
    charge = 0.1 * float(np.abs(X.T @ r).max())
    solution = solve(f"0.5 * sumsq(r - X @ w) + {charge!r} * norm1(w)", data, "proximal_newton")
    w = np.asarray(solution["w"])
    left = r - X @ w
    value = 0.5 * left @ left + charge * np.abs(w).sum()
    theta = left * min(1.0, charge / np.abs(X.T @ left).max())  # Kim and others 2007, eq. 9
    dual = 0.5 * r @ r - 0.5 * (r - theta) @ (r - theta)
    assert solution.objective == pytest.approx(value, rel=1e-12)
    assert dual <= value + 1e-12 and value - dual <= 1e-8 * value
    assert solution.bound <= value + 1e-12 * value and value - solution.bound <= 1e-8 * value
    slopes = X.T @ left
    assert np.abs(slopes[w != 0] - charge * np.sign(w[w != 0])).max() <= 1e-6 * charge
    assert np.abs(slopes).max() <= charge * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_gap_of_l1_logistic_regression_by_its_textbook_dual(seed: int) -> None:
    data = drawn(60, 30, seed)
    M = data["X"] * data["s"][:, None]
    charge = 0.1 * float(np.abs(M.sum(axis=0)).max()) / 2
    solution = solve(f"sum(log(1 + exp(-s * (X @ w)))) + {charge!r} * norm1(w)", data, "proximal_newton")
    w = np.asarray(solution["w"])
    value = float(np.logaddexp(0, -M @ w).sum() + charge * np.abs(w).sum())
    theta = 1 / (1 + np.exp(M @ w))
    theta *= min(1.0, charge / np.abs(M.T @ theta).max())
    dual = -float((theta * np.log(theta) + (1 - theta) * np.log(1 - theta)).sum())  # Koh, Kim and Boyd 2007, eq. 9
    assert dual <= value + 1e-12 and value - dual <= 1e-8 * value
    assert solution.objective == pytest.approx(value, rel=1e-12)
    assert solution.bound <= value + 1e-12 * value and value - solution.bound <= 1e-8 * value


def test_a_charge_above_the_largest_slope_leaves_nothing() -> None:
    data = drawn(30, 10)
    charge = 1.0001 * float(np.abs(data["X"].T @ data["r"]).max())
    solution = solve(f"0.5 * sumsq(r - X @ w) + {charge!r} * norm1(w)", data, "proximal_newton")
    assert solution.status == "optimal"
    assert not np.asarray(solution["w"]).any()


def test_columns_of_zeros_and_equal_columns() -> None:
    data = drawn(30, 8)
    data["X"][:, 3] = 0.0
    data["X"][:, 5] = data["X"][:, 4]
    for loss in ("0.5 * sumsq(r - X @ w)", "sum(softplus(-s * (X @ w)))"):
        for penalty in ("0.5 * norm1(w)", "sumsq(w)"):
            solution = solve(f"{loss} + {penalty}", data, "proximal_newton")
            assert solution.status == "optimal", (loss, penalty)
            assert np.asarray(solution["w"])[3] == 0.0


def test_data_that_a_plane_separates_have_no_optimum() -> None:
    data = drawn(40, 3)
    data["s"] = np.sign(data["X"] @ np.array([1.0, -2.0, 0.5]))
    data["y"] = (data["s"] + 1) / 2
    for objective in ("sum(log(1 + exp(-s * (X @ w + b))))", "sum(binary_cross_entropy(X @ w, y))"):
        for method in (None, "proximal_newton"):
            solution = solve(objective, data, method)
            assert solution.status != "optimal", (objective, method)
            assert any("no point reaches" in note for note in solution.notes)


def test_data_that_a_plane_nearly_separates_have_no_optimum() -> None:
    """Only the rows that lie on the plane are mixed: quasi-complete separation (Albert and Anderson 1984)."""
    data = drawn(40, 3)
    X = data["X"]
    X[:8, 0] = 0.0
    data["s"] = np.where(X[:, 0] == 0, np.where(np.arange(40) % 2, 1.0, -1.0), np.sign(X[:, 0]))
    solution = solve("sum(softplus(-s * (X @ w)))", data)
    assert solution.status != "optimal"


def test_one_class_only() -> None:
    data = drawn(20, 3)
    data["s"] = np.ones(20)
    without = solve("sum(softplus(-s * (X @ w + b))) + sumsq(w)", data, "proximal_newton")
    assert without.status != "optimal"  # the intercept runs off
    held = solve("sum(softplus(-s * (X @ w))) + sumsq(w)", data, "proximal_newton")
    assert held.status == "optimal"


def test_bounds_hold() -> None:
    data = drawn(50, 6)
    head = HEAD.replace("var w[P]", "var w[P] >= 0, <= 0.4")
    solution = solve("0.5 * sumsq(r - X @ w - b) + norm1(w)", data, "proximal_newton", head)
    w, b = cp.Variable(6), cp.Variable()
    best = cp.Problem(
        cp.Minimize(0.5 * cp.sum_squares(data["r"] - data["X"] @ w - b) + cp.norm1(w)), [w >= 0, w <= 0.4]
    ).solve(solver=cp.CLARABEL)
    assert solution.status == "optimal"
    assert solution.objective == pytest.approx(best, rel=1e-6)
    assert (np.asarray(solution["w"]) >= 0).all()


def test_a_maximum_is_the_negative_of_a_minimum() -> None:
    data = drawn(30, 4)
    low = solve("sum(softplus(-s * (X @ w))) + norm1(w)", data, "proximal_newton")
    text = f"{HEAD}maximize score: -sum(softplus(-s * (X @ w))) - norm1(w)"
    high = optdsl.parse(text).solve(method="proximal_newton", data=data)
    assert high.status == "optimal"
    assert high.objective == pytest.approx(-low.objective, rel=1e-8)
    assert high.bound >= high.objective - 1e-12


def test_large_models_come_here_by_themselves_and_small_ones_do_not() -> None:
    text = "0.5 * sumsq(r - X @ w) + 3 * norm1(w)"
    assert solve(text, drawn(30, 5)).route.method == "cvxpy"
    large = solve(text, drawn(500, 60))
    assert large.route.method == "proximal_newton"
    assert (large.status, large.guarantee) == ("optimal", "global")


def test_dense_data_is_not_copied() -> None:
    data = drawn(50, 7)
    found = composite_of("sum(softplus(-s * (X @ w + b))) + 0.1 * norm1(w)", data)
    blocks = found.problem.parts[0].operator.blocks
    dense = [b.matrix for b in blocks if b.matrix.shape[1] == 7]
    assert len(dense) == 1 and np.may_share_memory(dense[0], dense[0].base)
    assert len(found.problem.parts) == 1 and dense[0].base is not None


@pytest.mark.parametrize(
    ("objective", "why"),
    [
        ("sumsq(r - X @ w) - norm1(w)", "negative"),
        ("sumsq(r - X @ w) - sum(softplus(X @ w))", "negative"),
        ("sum((r[i] - X[i, :] @ w)^4 for i in N)", "power"),
        ("sumsq(r - X @ w) * w[0]", "product"),
        ("sum(sin(X @ w))", "sin"),
    ],
)
def test_what_is_no_such_sum_is_told(objective: str, why: str) -> None:
    with pytest.raises(NotComposite, match=why):
        composite_of(objective, drawn(5, 3))


def test_a_method_that_cannot_says_why() -> None:
    with pytest.raises(optdsl.OptError, match="a power that is no square"):
        solve("sum((r[i] - X[i, :] @ w)^4 for i in N)", drawn(5, 3), "proximal_newton")


@pytest.mark.parametrize("loss", sorted(set(LOSSES) - {"log of sigmoid"}))  # its smoothness is not seen there
@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_class_by_parts_is_that_of_the_classifier(loss: str, penalty: str) -> None:
    data = drawn(8, 3)
    objective = f"{LOSSES[loss][0]} + {PENALTIES[penalty][0]}"
    verdict = optdsl.parse(f"{HEAD}minimize loss: {objective}").check(data=data)
    kind, smoothness = class_by_parts(composite_of(objective, data).problem)
    assert (verdict.problem_class.type, verdict.problem_class.smoothness) == (kind, smoothness)


@pytest.mark.parametrize("loss", ["squares", "logistic", "poisson", "huber", "squared hinge"])
def test_very_many_rows_are_looked_at_through_a_sample(loss: str) -> None:
    data = drawn(12_000, 6)
    objective = f"{LOSSES[loss][0]} + 0.3 * sumsq(w)"
    one = solve(objective, data, "sampled_newton")
    other = solve(objective, data, "proximal_newton")
    assert one.status == other.status == "optimal"
    assert one.objective == pytest.approx(other.objective, rel=1e-8)
    assert np.asarray(one["w"]) == pytest.approx(np.asarray(other["w"]), abs=1e-3)


def test_many_rows_and_columns_choose_the_sample_and_say_why() -> None:
    solution = solve("sum(softplus(-s * (X @ w + b))) + sumsq(w)", drawn(12_000, 100))
    assert (solution.route.method, solution.status) == ("sampled_newton", "optimal")
    assert "12,000 affine rows" in solution.route.why


KINKED = {
    "hinge": ("sum(hinge(s * (X @ w + b)))", lambda m, d: cp.sum(cp.pos(1 - cp.multiply(d["s"], m)))),
    "hinge by max": (
        "sum(max(0, 1 - s[i] * (sum(X[i, j] * w[j] for j in P) + b)) for i in N)",
        lambda m, d: cp.sum(cp.pos(1 - cp.multiply(d["s"], m))),
    ),
    "absolute": ("sum(abs(r - X @ w - b))", lambda m, d: cp.norm1(d["r"] - m)),
    "quantile": (
        "sum(max(0.3 * (r[i] - X[i, :] @ w - b), -0.7 * (r[i] - X[i, :] @ w - b)) for i in N)",
        lambda m, d: cp.sum(cp.maximum(0.3 * (d["r"] - m), -0.7 * (d["r"] - m))),
    ),
    "squares": LOSSES["squares"],
    "logistic": LOSSES["logistic"],
}
GROUPED = {
    "ridge": ("0.3 * sumsq(w)", lambda w: 0.3 * cp.sum_squares(w)),
    "ridge and l1": ("0.3 * sumsq(w) + norm1(w)", lambda w: 0.3 * cp.sum_squares(w) + cp.norm1(w)),
    "length and ridge": ("2 * norm2(w) + 0.1 * sumsq(w)", lambda w: 2 * cp.norm2(w) + 0.1 * cp.sum_squares(w)),
    "total variation": (
        "sum(abs(w[j + 1] - w[j]) for j in 0..4) + 0.1 * sumsq(w)",
        lambda w: cp.norm1(cp.diff(w)) + 0.1 * cp.sum_squares(w),
    ),
}


@pytest.mark.parametrize("penalty", GROUPED)
@pytest.mark.parametrize("loss", KINKED)
def test_kinked_losses_and_groups_agree_with_cones(loss: str, penalty: str) -> None:
    data = drawn(40, 6, seed=len(loss) + len(penalty))
    text, formula = KINKED[loss]
    penalty_text, penalty_formula = GROUPED[penalty]
    solution = solve(f"{text} + {penalty_text}", data, "augmented_newton")
    assert (solution.status, solution.guarantee) == ("optimal", "global")
    w, b = cp.Variable(6), cp.Variable()
    problem = cp.Problem(cp.Minimize(formula(rows(w, b, data), data) + penalty_formula(w)))
    best = problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10)
    assert solution.objective == pytest.approx(best, abs=1e-6, rel=1e-6)
    assert solution.bound <= solution.objective + 1e-12
    assert solution.bound == pytest.approx(solution.objective, rel=1e-6)


def test_the_gap_of_a_support_vector_machine_by_its_textbook_dual() -> None:
    data = drawn(60, 5)
    solution = solve("sum(hinge(s * (X @ w))) + 0.5 * sumsq(w)", data, "augmented_newton")
    M = data["X"] * data["s"][:, None]
    a = cp.Variable(60)  # max 1'a - |M'a|^2 / 2, 0 <= a <= 1 (Hsieh and others 2008, eq. 4)
    dual = cp.Problem(cp.Maximize(cp.sum(a) - 0.5 * cp.sum_squares(M.T @ a)), [a >= 0, a <= 1]).solve(cp.CLARABEL)
    assert solution.objective == pytest.approx(dual, rel=1e-7)
    assert solution.bound <= dual * (1 + 1e-7)


def test_a_softmax_too_wide_to_be_written_out_goes_to_whole_arrays() -> None:
    random = np.random.default_rng(5)
    features, groups = random.normal(size=(1500, 40)), 10
    chosen = np.eye(groups)[(features @ random.normal(size=(40, groups))).argmax(axis=1)]
    text = """
set I = 1..1500
set J = 1..40
set K = 1..10
param X[I, J]
param Y[I, K]
var W[J, K]
minimize f: mean(logsumexp(sum(X[i, j] * W[j, k] for j in J) for k in K)
    - sum(Y[i, k] * sum(X[i, j] * W[j, k] for j in J) for k in K) for i in I) + 0.01 * sum(W[j, k]^2 for j in J, k in K)
"""
    solution = optdsl.parse(text).solve(X=features, Y=chosen)
    assert solution.status.word == "optimal" and solution.guarantee.word == "global"
    assert solution.route.method == "lbfgs"
    weights = np.asarray(solution["W"])
    scores = features @ weights
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    assert np.abs(features.T @ (shares - chosen) / len(features) + 0.02 * weights).max() < 1e-6
