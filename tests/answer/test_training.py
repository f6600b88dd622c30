"""Training from text to a checked answer: words, constraints, labels of options, checkpoints, refusals."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl.answer import stochastic_methods
from optdsl.answer.training_route import STOCHASTIC
from optdsl.errors import ModelError, NotSolvable, OptionError

REGRESSION = """
param n = 60
set ROW = 1..n
set P = 1..3
set GROUP = {i in ROW if mod(i, 3) = 0}
set OTHER = ROW - GROUP
param X[i in ROW, j in P] = sin(1.3 * i * j)
param y[i in ROW] = 1 if sin(1.3 * i) + 0.5 * cos(0.7 * i) > 0.2 else 0
var w[P]
var b
let score[i in ROW] = sum(X[i, j] * w[j] for j in P) + b
let average_loss = mean(binary_cross_entropy(score, y))
"""
LOGISTIC = REGRESSION + "minimize loss: average_loss + 0.05 * sumsq(w)\n"
NETWORK = """
param n = 80
set ROW = 1..n
set P = 1..2
set H = 1..6
set C = 1..2
param X[i in ROW, j in P] = sin(i * (j + 0.3))
param label[i in ROW] in C = 1 if X[i, 1] * X[i, 2] > 0 else 2
var W1[P, H] init xavier
var b1[H] init 0
var W2[H, C] init xavier
let hidden = tanh(X @ W1 + b1)
let logits = hidden @ W2
minimize loss: mean(cross_entropy(logits, label)) + 0.001 * (sumsq(W1) + sumsq(W2))
show accuracy(logits, label)
"""


def test_the_stochastic_methods_are_those_of_their_table() -> None:
    assert set(STOCHASTIC) == set(stochastic_methods.names())


@pytest.mark.parametrize("method", STOCHASTIC)
def test_each_method_comes_near_the_optimum_of_a_convex_model(method: str) -> None:
    model = optdsl.parse(LOGISTIC)
    best = model.solve().objective
    rate = {"lion": 0.01, "adagrad": 0.3}.get(method, "auto" if method in ("sgd", "svrg", "saga") else 0.03)
    solution = model.solve(method=method, options={"epochs": 150, "batch": 12, "rate": f"cosine({rate})"})
    assert best is not None and solution.objective is not None
    assert solution.objective == pytest.approx(best, rel=5e-3)
    assert solution.objective >= best - 1e-9
    assert solution.status.word in ("feasible", "optimal")


def test_a_convex_model_trained_to_the_end_is_optimal() -> None:
    model = optdsl.parse(LOGISTIC)
    solution = model.solve(method="svrg", options={"epochs": 3000, "batch": 10, "rate": 1.0, "tol": 1e-7})
    assert (solution.status.word, solution.guarantee.name) == ("optimal", "GLOBAL")
    assert solution.objective == pytest.approx(model.solve().objective, rel=1e-9)
    assert solution.trace.rows.shape[0] < 3000


def test_a_network_learns_and_says_what_it_found() -> None:
    solution = optdsl.parse(NETWORK).solve(
        method="adam", options={"rate": "cosine(0.05)", "epochs": 200, "batch": 16, "seed": 1}
    )
    assert solution.status.word == "feasible" and solution.show is not None
    assert float(solution.show[0].value) > 0.9
    assert any("Hessian" in f.evidence or "curvature" in f.evidence for f in solution.diagnosis)
    assert all(f.finding and f.evidence and f.advice for f in solution.diagnosis)


def test_the_same_seed_gives_the_same_answer_and_another_one_another() -> None:
    model = optdsl.parse(NETWORK)
    first, again, other = (
        np.asarray(model.solve(method="adam", options={"epochs": 3, "seed": seed})["W1"]) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_constraint_on_averages_holds_on_the_full_data_with_its_dual() -> None:
    text = LOGISTIC + (
        "subject to\n"
        "  gap: -0.02 <= mean(sigmoid(score[i]) for i in GROUP) - mean(sigmoid(score[i]) for i in OTHER) <= 0.02\n"
    )
    model = optdsl.parse(text)
    exact = model.solve()
    solution = model.solve(method="adam", options={"epochs": 300, "batch": 15, "rate": "cosine(0.05)"})
    assert solution.status.word == "feasible"
    assert solution.objective == pytest.approx(exact.objective, rel=2e-3)
    assert float(solution.dual("gap")) == pytest.approx(float(exact.dual("gap")), rel=0.2, abs=0.02)


def test_simplex_weights_stay_on_the_simplex() -> None:
    text = """
    set ROW = 1..50
    set P = 1..4
    param X[i in ROW, j in P] = cos(i * j)
    param y[i in ROW] = 0.7 * cos(i) + 0.3 * cos(3 * i)
    var w[P] >= 0
    minimize loss: mean(squared_error(X @ w, y))
    subject to
      total: sum(w[j] for j in P) = 1
    """
    solution = optdsl.parse(text).solve(method="sgd", options={"epochs": 60, "batch": 10, "rate": "cosine(0.3)"})
    assert solution.status.acceptable
    np.testing.assert_allclose(np.asarray(solution["w"]), [0.7, 0, 0.3, 0], atol=0.02)


def test_what_is_monitored_ends_the_run_and_the_best_comes_back() -> None:
    half = "let half = mean(cross_entropy(logits[i, :], label[i]) for i in ROW if i <= 20)"
    text = NETWORK.replace("show accuracy(logits, label)", half)
    text = text.replace("minimize", "set REST = {i in ROW if i > 20}\nminimize").replace(
        "mean(cross_entropy(logits, label))", "mean(cross_entropy(logits[i, :], label[i]) for i in REST)"
    )
    text += "solve using adam(rate = 0.1, epochs = 400, batch = 5, over = REST, monitor = half, patience = 15)\n"
    solution = optdsl.parse(text).solve()
    monitored = solution.trace.rows[:, solution.trace.columns.index("monitored")]
    assert len(monitored) < 400
    assert solution.expressions is not None
    assert float(solution.value("half")) == pytest.approx(np.nanmin(monitored), rel=1e-9)


HELD_OUT = NETWORK.replace(
    "minimize",
    "set TEST = {i in ROW if mod(i, 4) = 0}\n"
    "let right = accuracy(logits[TEST, :], label[TEST])\nlet wrong = 1 - right\nminimize",
)


@pytest.mark.parametrize(("monitor", "better"), [("right", np.argmax), ("wrong", np.argmin)])
def test_a_metric_may_be_monitored_and_its_best_parameters_come_back(monitor: str, better: Callable) -> None:
    options = {"epochs": 25, "batch": 16, "rate": 0.05, "monitor": monitor}
    solution = optdsl.parse(HELD_OUT).solve(method="adam", options=options)
    columns = solution.trace.columns
    monitored = solution.trace.rows[:, columns.index("monitored")]
    best = monitored[better(monitored)]
    assert np.ptp(monitored) > 0
    assert float(solution.value(monitor)) == pytest.approx(best)


def test_a_metric_is_not_optimized_under_a_name_either() -> None:
    with pytest.raises(ModelError, match="`wrong` holds the metric `accuracy`"):
        optdsl.parse(HELD_OUT.replace("minimize loss: ", "minimize loss: wrong + ")).check()


@pytest.mark.parametrize("part", ["mean(floor(score[i]) for i in ROW)", "0.1 * sign(b)"])
def test_functions_that_jump_are_refused_with_their_place_and_a_hint(part: str) -> None:
    text = REGRESSION + f"minimize loss: average_loss + {part}\n"
    with pytest.raises(NotSolvable, match="jumps and is level in between") as caught:
        optdsl.parse(text).solve(method="adam", options={"over": "ROW"})
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.span is not None and diagnostic.hint is not None
    shown = text[diagnostic.span.start : diagnostic.span.end]
    assert shown.startswith(("floor(", "sign(")) and "sigmoid" in diagnostic.hint


def test_single_precision_is_an_option() -> None:
    solution = optdsl.parse(LOGISTIC).solve(method="adam", options={"epochs": 100, "rate": 0.02, "dtype": "float32"})
    assert solution.objective == pytest.approx(optdsl.parse(LOGISTIC).solve().objective, rel=1e-2)


def test_a_rate_far_too_high_says_so() -> None:
    text = REGRESSION + "minimize loss: sum((score[i] - y[i])^4 for i in ROW)\n"
    solution = optdsl.parse(text).solve(method="sgd", options={"epochs": 20, "rate": 10})
    assert solution.status.word == "numerical_error"
    assert any("smaller" in note or "rate" in note for note in solution.notes)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (LOGISTIC, {"over": "P"}, "over P"),
        (LOGISTIC, {"over": "NOTHING"}, "names no set"),
        (LOGISTIC, {"monitor": "score"}, "is an array"),
        (LOGISTIC, {"rate": "cosin(0.1)"}, "no schedule `cosin`"),
        (LOGISTIC, {"moment": 1}, "no option `moment`"),
        (REGRESSION + "minimize loss: sqrt(sum(score[i]^2 for i in ROW))", {}, "is no sum over ROW"),
        (REGRESSION + "minimize loss: w[1]^2", {}, "sums over no declared set"),
        (REGRESSION + "minimize loss: sum((score[i] - 1)^2 for i in 1..n)", {}, "sums over 1..n, which has no name"),
        (
            REGRESSION + "set PART[j in P] = {i in ROW if i>j}\nminimize loss: sum(b^2 for j in P, i in PART[j])",
            {},
            "members of P have different numbers of terms",
        ),
        (REGRESSION + "var k integer\nminimize loss: sum((score[i] - k)^2 for i in ROW)", {}, "must be whole"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_with_the_reason(text: str, options: dict, message: str) -> None:
    with pytest.raises((NotSolvable, OptionError), match=message):
        optdsl.parse(text).solve(method="adam", options=options)


@pytest.mark.parametrize("method", ["adam", None])
def test_a_mean_over_an_empty_group_is_told_with_the_group(method: str | None) -> None:
    text = LOGISTIC + "subject to\n  some[g in {0, 7}]: mean(score[i] for i in ROW if y[i] = g) <= 1\n"
    with pytest.raises(ModelError, match="at g = 7 runs over nothing"):
        optdsl.parse(text).solve(method=method)


def test_a_slope_that_is_missing_at_the_start_is_told_as_such() -> None:
    text = REGRESSION + "minimize loss: sum(sqrt(score[i]^2) for i in ROW)\n"
    solution = optdsl.parse(text).solve(method="adam")
    assert solution.status.word == "numerical_error"
    assert any("no finite slope at the start" in note for note in solution.notes)


def test_a_norm_may_start_at_zero_and_one_epoch_is_counted_in_words() -> None:
    text = REGRESSION + "minimize loss: average_loss + 0.1 * norm2(w)\n"
    solution = optdsl.parse(text).solve(method="adam", options={"epochs": 1, "batch": 60})
    assert solution.status.word == "feasible"
    assert any("(1 epoch, 1 step)" in note for note in solution.notes)


def test_fairness_between_many_groups_holds_on_the_full_data() -> None:
    text = LOGISTIC + """
    subject to
      gap[g in 0..2]: mean(sigmoid(score[i]) for i in ROW if mod(i, 3) = g) - mean(sigmoid(score)) <= 0.01
    """
    model = optdsl.parse(text)
    solution = model.solve(method="adam", options={"epochs": 300, "batch": 15, "rate": "cosine(0.05)"})
    assert solution.status.word == "feasible"
    assert solution.objective == pytest.approx(model.solve().objective, rel=5e-3)


def test_the_check_says_how_it_would_be_trained() -> None:
    verdict = optdsl.parse(NETWORK + "solve using adam(epochs = 2)\n").check()
    assert verdict.route is not None and verdict.route.method == "adam"


def test_a_large_network_is_not_written_out_lane_by_lane() -> None:
    text = (
        NETWORK.replace("param n = 80", "param n = 3000")
        .replace("set H = 1..6", "set H = 1..60")
        .replace("set P = 1..2", "set P = 1..120")
    )
    solution = optdsl.parse(text).solve(options={"max_iter": 30}, method="lbfgs")
    assert solution.route.method == "lbfgs" and solution.status.word in ("iteration_limit", "locally_optimal")
    assert solution.trace.rows[-1, 1] < solution.trace.rows[0, 1]


def _command(folder: Path, *more: str) -> list[str]:
    model = folder / "net.opt"
    state = str(folder / "state")
    return [sys.executable, "-m", "optdsl", "solve", str(model), "--checkpoint", state, "--json", *more]


def test_a_run_that_was_killed_goes_on_to_the_same_answer(tmp_path: Path) -> None:
    text = NETWORK + "solve using adam(rate = 0.01, epochs = 1500, batch = 4, seed = 3)\n"
    (tmp_path / "net.opt").write_text(text)
    whole = optdsl.parse(text).solve()
    run = subprocess.Popen(_command(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "state" / "checkpoint.json").exists() and run.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    done = subprocess.run(_command(tmp_path, "--resume", "--save", str(tmp_path / "end.json")), capture_output=True)
    assert done.returncode == 0, done.stderr
    resumed = optdsl.parse(text.replace("init xavier", 'init from "end.json"', 1), folder=tmp_path)
    ended = resumed.solve(method="adam", options={"epochs": 1, "rate": 1e-30})
    np.testing.assert_allclose(np.asarray(ended["W1"]), np.asarray(whole["W1"]), rtol=0, atol=0)


def test_a_run_goes_on_from_its_checkpoint_in_python_too(tmp_path: Path) -> None:
    model = optdsl.parse(NETWORK)
    options = {"epochs": 4, "batch": 16}
    whole = model.solve(method="adam", options=options, checkpoint=tmp_path / "state")
    again = model.solve(method="adam", options=options, checkpoint=tmp_path / "state", resume=True)
    assert np.array_equal(np.asarray(whole["W1"]), np.asarray(again["W1"]))
    with pytest.raises(OptionError, match="belongs to another run"):
        model.solve(method="adam", options={**options, "batch": 8}, checkpoint=tmp_path / "state", resume=True)
