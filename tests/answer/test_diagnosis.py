"""Each sentence of a training run's diagnosis by a run that provokes it and by runs that must not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from training_runs import Logistic, Mlp, Trained, blobs, descend, quadratic, saddle, valley, waves

from optdsl.answer.diagnosis import diagnose_training
from optdsl.answer.diagnosis_inputs import LayerValues, TrainingRun, TrainingTrace, VariablePart
from optdsl.answer.diagnosis_landscape import stability_factor
from optdsl.answer.solution import Finding

FULL = TrainingRun(full_batch=True)


def logistic(rate, epochs, **more):
    return descend(Logistic(*blobs(), decay=0.01), np.zeros(3), rate, epochs, **more)


def network(rate, epochs, scale=1.0, start=None, **settings):
    problem = Mlp(*waves(), **settings)
    return descend(problem, problem.random_start(scale=scale) if start is None else start, rate, epochs)


def validated(members, noise, widths, scale, rate, epochs):
    problem = Mlp(*waves(members, noise), widths=widths)
    other = Mlp(*waves(200, noise, seed=1), widths=widths)
    return descend(problem, problem.random_start(scale=scale), rate, epochs, monitor=other.objective)


def killed():
    """A network some of whose units never fire."""
    problem = Mlp(*waves(), function="relu")
    start = problem.random_start()
    start[problem.parts[1][1]][:4] = -50
    return descend(problem, start, 0.1, 200)


def burst():
    norms = np.array([1.0, 1.1, 0.9, 1.0, 500.0, 1.0, 0.9])
    run = descend(quadratic(1, 10), [1, 1], 0.15, 6)
    return Trained(run.problem, run.x, TrainingTrace(run.trace.epoch, run.trace.loss, run.trace.rate, norms))


RUNS: dict[str, tuple[Callable[[], Trained], TrainingRun]] = {
    "bowl": (lambda: descend(quadratic(1, 10), [1, 1], 0.15, 200), FULL),
    "bowl, 6 epochs": (lambda: descend(quadratic(1, 10), [5, 1], 0.05, 6), FULL),
    "bowl, low rate": (lambda: descend(quadratic(1, 10), [5, 1], 0.002, 30), FULL),
    "bowl, tiny rate": (lambda: descend(quadratic(1, 10), [5, 1], 1e-6, 30), FULL),
    "bowl, high rate": (lambda: descend(quadratic(1, 10), [5, 1], 0.25, 30), FULL),
    "bowl, high rate for long": (lambda: descend(quadratic(1, 10), [5, 1], 0.25, 3000), FULL),
    "bowl from its bottom": (lambda: descend(quadratic(1, 10), [0, 0], 0.1, 20), FULL),
    "logistic, jumping": (lambda: logistic(8.0, 40, batch=4), TrainingRun()),
    "logistic, noisy": (lambda: logistic(1.0, 60, batch=4), TrainingRun()),
    "logistic, falling rate": (lambda: logistic(0.3, 60, batch=20, decay=True), TrainingRun()),
    "logistic": (lambda: logistic(2.0, 300), FULL),
    "saddle": (lambda: descend(saddle(), [1, 0], 0.1, 100), FULL),
    "beside the saddle": (lambda: descend(saddle(), [1, 0.1], 0.1, 100), FULL),
    "valley": (lambda: descend(valley(), [1, 0], 0.1, 100), FULL),
    "network from zeros": (lambda: network(0.1, 100, start=np.zeros(25)), FULL),
    "network": (lambda: network(0.1, 3000), FULL),
    "network, 50 epochs": (lambda: network(0.1, 50, widths=(8, 8)), FULL),
    "network, few members": (lambda: validated(12, 0.4, (30,), 4.0, 0.05, 4000), TrainingRun(monitor="validation")),
    "network, many members": (lambda: validated(200, 0.1, (8,), 1.0, 0.1, 500), TrainingRun(monitor="validation")),
    "dead units": (killed, FULL),
    "relu": (lambda: network(0.1, 200, function="relu"), FULL),
    "huge weights": (lambda: network(0.001, 50, scale=100), FULL),
    "deep sigmoids": (lambda: network(0.1, 4, widths=(8,) * 8, function="sigmoid"), FULL),
    "deep, huge weights": (lambda: network(1e-3, 1, scale=6, widths=(8,) * 6, function="relu"), TrainingRun()),
    "burst": (burst, FULL),
}


@cache
def findings(name: str) -> tuple[Finding, ...]:
    make, run = RUNS[name]
    with np.errstate(all="ignore"):
        trained = make()
    return diagnose_training(trained.problem, trained.x, trained.trace, trained.layers, trained.parts, run)


# A sentence, the runs that must provoke it, and runs that must not.
SENTENCES = {
    "The run converged": (
        ["bowl", "logistic", "logistic, falling rate", "saddle", "valley"],
        ["bowl, 6 epochs", "bowl, low rate", "bowl, tiny rate", "logistic, jumping", "network", "deep, huge weights"],
    ),
    "The loss is still falling.": (["bowl, 6 epochs", "network"], ["bowl", "logistic", "bowl, tiny rate"]),
    "The loss is still falling, slowly": (["bowl, low rate"], ["bowl, 6 epochs", "bowl", "logistic, jumping"]),
    "The loss oscillates": (["logistic, jumping"], ["logistic", "logistic, falling rate", "bowl", "bowl, high rate"]),
    "The run stalled: the rate is too low": (["bowl, tiny rate"], ["bowl, low rate", "bowl", "logistic, noisy"]),
    "The run stalled at the noise": (["logistic, noisy"], ["logistic, falling rate", "logistic", "dead units"]),
    "The run stalled on a plateau": (["dead units"], ["bowl, tiny rate", "network", "bowl"]),
    "The run diverges": (["bowl, high rate", "deep, huge weights"], ["bowl", "logistic, jumping", "network"]),
    "The run diverged: the loss became no number": (["bowl, high rate for long"], ["bowl, high rate", "bowl"]),
    "The loss never moved": (["bowl from its bottom"], ["bowl, tiny rate", "bowl"]),
    "The model over-fits": (["network, few members"], ["network, many members", "network"]),
    "The gradient burst": (["burst"], ["bowl", "bowl, high rate", "logistic, jumping"]),
    "The gradient is zero up to accuracy": (["bowl", "saddle"], ["bowl, 6 epochs", "network", "logistic, noisy"]),
    "The gradient is small": (["logistic, falling rate"], ["bowl", "bowl, 6 epochs"]),
    "The gradient is not small": (["bowl, 6 epochs", "network"], ["bowl", "logistic", "bowl, high rate"]),
    "The point is a strict local minimum": (
        ["bowl", "beside the saddle"],
        ["saddle", "valley", "network from zeros", "bowl, 6 epochs", "logistic, falling rate"],
    ),
    "The curvature is that of a strict local minimum": (["logistic, falling rate"], ["bowl", "network", "saddle"]),
    "The run ended at a saddle": (
        ["saddle", "network from zeros"],
        ["beside the saddle", "bowl", "valley", "logistic", "network, 50 epochs"],
    ),
    "The point is no minimum": (["network, 50 epochs"], ["saddle", "bowl", "bowl, 6 epochs", "logistic"]),
    "The point is no saddle that was seen, but flat in 1 of 2": (["valley"], ["bowl", "saddle", "logistic"]),
    "The rate is above the largest stable step": (["bowl, high rate"], ["bowl", "bowl, low rate", "logistic"]),
    "The rate is below the largest stable step": (["bowl", "logistic"], ["bowl, high rate", "deep, huge weights"]),
    "Units are dead: 4 of 8 in `h1` (relu, line 11)": (["dead units"], ["relu", "network"]),
    "Units are saturated": (["huge weights"], ["network", "network, 50 epochs", "relu"]),
    "The gradient vanishes at `b1`": (["deep sigmoids"], []),
    "The gradient vanishes": (["deep sigmoids"], ["network, 50 epochs", "network from zeros", "relu", "dead units"]),
    "The gradient explodes at `W": (["deep, huge weights"], ["network", "relu", "huge weights"]),
}


@pytest.mark.parametrize(
    ("sentence", "name"), [(sentence, name) for sentence, (names, _) in SENTENCES.items() for name in names]
)
def test_sentence_is_provoked(sentence, name):
    found = [finding for finding in findings(name) if finding.finding.startswith(sentence)]
    assert len(found) == 1, [finding.finding for finding in findings(name)]
    assert found[0].evidence.endswith(".") and found[0].advice.endswith(".")
    assert any(character.isdigit() for character in found[0].evidence)


@pytest.mark.parametrize(
    ("sentence", "name"), [(sentence, name) for sentence, (_, names) in SENTENCES.items() for name in names]
)
def test_sentence_is_not_said(sentence, name):
    said = [finding.finding for finding in findings(name)]
    assert not [text for text in said if text.startswith(sentence)]


@pytest.mark.parametrize("name", RUNS)
def test_same_words_again(name):
    findings.cache_clear()
    first = findings(name)
    findings.cache_clear()
    assert findings(name) == first


def said(trained, run, start):
    found = diagnose_training(trained.problem, trained.x, trained.trace, trained.layers, trained.parts, run)
    return next((finding for finding in found if finding.finding.startswith(start)), None)


def test_evidence_of_a_saddle_is_what_following_it_gains():
    found = next(f for f in findings("saddle") if "saddle" in f.finding)
    assert "smallest curvature is -2 (the largest 2)" in found.evidence
    assert "along `x` (100%)" in found.evidence
    after = float(found.evidence.split(" to ")[1].split(";")[0])
    assert -0.5 <= after < -0.45  # the minimum there is -0.5


def test_stable_step_of_each_method():
    trained = descend(quadratic(1, 10), [1, 1], 0.15, 20)
    assert "up to a rate of 0.2;" in said(trained, FULL, "The rate is below").evidence
    assert "up to a rate of 0.38;" in said(trained, TrainingRun(momentum=0.9), "The rate is below").evidence
    assert "up to a rate of 0.136;" in said(trained, TrainingRun(momentum=0.9, nesterov=True), "The rate is").evidence
    # With the inverse curvature as its scale, Adam feels a curvature of 1: 38 / 1, as Cohen et al. 2022 have it.
    adam = TrainingRun(method="adam", momentum=0.9, preconditioner=np.array([1.0, 10.0]))
    assert "up to a rate of 38;" in said(trained, adam, "The rate is below").evidence
    assert said(trained, TrainingRun(method="adam", momentum=0.9), "The rate is") is None
    assert said(trained, TrainingRun(method="adam", momentum=0.9), "The point's sharpness is known") is not None


@pytest.mark.parametrize("share, stable", [(0.97, True), (1.15, False)])
def test_stable_step_is_where_descent_turns_unstable(share, stable):
    trained = descend(quadratic(1, 10), [1, 1], 0.2 * share, 100)
    assert (trained.trace.loss[-1] < trained.trace.loss[0]) == stable
    sentence = "The rate is below" if stable else "The rate is above"
    assert said(trained, FULL, sentence) is not None


def test_nadam_is_unstable_where_its_polynomial_has_a_root_beyond_the_circle():
    beta, ahead, curvature = 0.9, 0.6, 3.0
    run = TrainingRun(method="nadam", momentum=beta, ahead=ahead, preconditioner=np.ones(1))
    stable = stability_factor(run) / curvature
    for share, inside in ((0.99, True), (1.01, False)):
        rate, x, mean = share * stable, 1.0, 0.0
        for _ in range(4000):
            gradient = curvature * x
            mean = beta * mean + (1 - beta) * gradient
            x -= rate * (ahead * mean + (1 - ahead) * gradient)
        assert (abs(x) < 1.0) == inside


def test_what_matters_most_is_said_first_and_advices_agree():
    order = [item.finding for item in findings("saddle")]
    assert order[0].startswith("The run ended at a saddle")
    assert any(text.startswith("The run converged") for text in order[1:])
    converged = next(item for item in findings("saddle") if item.finding.startswith("The run converged"))
    assert converged.advice == "What is said above comes first."
    for name in RUNS:
        advices = " ".join(item.advice for item in findings(name))
        assert not ("Raise the rate" in advices and "Lower the rate" in advices), name
        assert not ("Train for more epochs" in advices and "No more epochs" in advices), name


def test_of_a_maximum_the_words_are_turned():
    trained = descend(quadratic(1, 10), [5, 1], 0.05, 6)
    trace = trained.trace
    turned = TrainingTrace(trace.epoch, -trace.loss, trace.rate)
    run = TrainingRun("score", "maximize", full_batch=True)
    found = diagnose_training(trained.problem, trained.x, turned, run=run)
    assert found[0].finding == "The score is still rising."
    assert "from -17.5 to -6.75572" in found[0].evidence


def test_over_fitting_of_a_value_that_should_be_large():
    epochs = np.arange(10.0)
    trace = TrainingTrace(epochs, 1 / (1 + epochs), np.full(10, 0.1), None, 0.9 - 0.02 * np.abs(epochs - 4))
    trained = descend(quadratic(1), [1], 0.1, 1)
    run = TrainingRun(monitor="accuracy", monitor_sense="maximize")
    found = diagnose_training(trained.problem, trained.x, trace, run=run)
    over = next(f for f in found if "over-fits" in f.finding)
    assert "accuracy was best, 0.9, after epoch 4, and has fallen to 0.8" in over.evidence
    steady = TrainingTrace(epochs, 1 / (1 + epochs), np.full(10, 0.1), None, 0.9 - 0.1 / (1 + epochs))
    assert not any("over-fits" in f.finding for f in diagnose_training(trained.problem, trained.x, steady, run=run))


def test_sigmoid_of_the_output_may_be_saturated():
    z = np.tile([[-20.0, 20.0]], (50, 1))
    layer = LayerValues("sigmoid", "p", 3, z, 1 / (1 + np.exp(-z)))
    trained = descend(quadratic(1), [1], 0.1, 20)

    def texts(layer):
        return [f.finding for f in diagnose_training(trained.problem, trained.x, trained.trace, [layer])]

    assert "Units are saturated: 2 of 2 in `p` (sigmoid, line 3)." in texts(layer)
    output = LayerValues("sigmoid", "p", 3, z, layer.value, hidden=False)
    assert not any("saturated" in text for text in texts(output))


def test_bounds_that_hold_leave_the_landscape():
    """At a bound the gradient need not be 0, and what curves down there is no way."""
    problem = quadratic(-1, 4)
    problem.lower = np.array([1.0, -np.inf])
    problem.upper = np.array([1.0, np.inf])
    trace = descend(quadratic(1, 4), [1, 1], 0.1, 100).trace
    found = [f.finding for f in diagnose_training(problem, np.array([1.0, 0.0]), trace, run=FULL)]
    assert "The point is a strict local minimum." in found
    assert not any("saddle" in text for text in found)


def test_with_constraints_nothing_is_said_of_curvature():
    trained = descend(quadratic(-1, 4), [1, 1], 0.01, 10)
    trained.problem.row_lower = np.zeros(1)
    found = diagnose_training(trained.problem, trained.x, trained.trace, run=FULL)
    assert not any(word in f.finding for f in found for word in ("minimum", "saddle", "flat", "gradient is"))


def test_many_variables():
    """Beyond what is computed whole: the ends are Lanczos', the counts estimates, and a way down is still found."""
    random = np.random.default_rng(3)
    curvatures = np.concatenate([np.zeros(300), random.uniform(0.5, 2.0, 200)])
    trained = descend(quadratic(*curvatures), random.standard_normal(500), 0.5, 300)
    found = [f.finding for f in diagnose_training(trained.problem, trained.x, trained.trace, run=FULL)]
    flat = next(text for text in found if "flat in about" in text)
    assert 240 <= int(flat.split("about ")[1].split(" of")[0]) <= 360
    curvatures[7] = -0.3
    start = random.standard_normal(500)
    start[7] = 0.0
    trained = descend(quadratic(*curvatures), start, 0.5, 300)
    parts = [VariablePart("first", slice(0, 100)), VariablePart("rest", slice(100, 500))]
    found = diagnose_training(trained.problem, trained.x, trained.trace, parts=parts, run=FULL)
    way = next(f for f in found if "saddle" in f.finding)
    assert "curvature is -0.3 " in way.evidence and "along `first` (100%)" in way.evidence
