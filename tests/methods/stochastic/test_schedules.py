"""Schedules against their formulas, and their text form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optdsl.methods.stochastic.estimators import StochasticMethod
from optdsl.methods.stochastic.run import Hooks, TrainingSettings
from optdsl.methods.stochastic.schedules import SHAPES, Moment, Schedule, ScheduleError, schedule_of
from optdsl.methods.stochastic.train import train
from optdsl.methods.stochastic.updates import SGD, Adam
from tests.methods.stochastic.sums import least_squares, network

STEPS, PER_EPOCH = 200, 10


def rates(text: str) -> np.ndarray:
    schedule = schedule_of(text)
    return np.array([schedule.at(Moment(t, STEPS, t // PER_EPOCH)) for t in range(STEPS)])


T = np.arange(STEPS)
E = T // PER_EPOCH

FORMULAS = {
    "0.3": 0.3 + 0 * T,
    "constant(0.3)": 0.3 + 0 * T,
    "constant(0.3, warmup = 20)": 0.3 * np.minimum((T + 1) / 20, 1),
    "constant(0.3, warmup = 0.1)": 0.3 * np.minimum((T + 1) / 20, 1),
    "step(0.3, every = 4, factor = 0.5)": 0.3 * 0.5 ** (E // 4),
    "exponential(0.3, factor = 0.9)": 0.3 * 0.9**E,
    "linear(0.3)": 0.3 * (1 - T / STEPS),
    "linear(0.3, end = 0.1)": 0.3 + (0.03 - 0.3) * T / STEPS,
    "cosine(0.3)": 0.15 * (1 + np.cos(np.pi * T / STEPS)),
    "cosine(0.3, end = 0.1)": 0.03 + 0.5 * 0.27 * (1 + np.cos(np.pi * T / STEPS)),
    "cosine(0.3, warmup = 50)": np.where(
        T < 50, 0.3 * (T + 1) / 50, 0.15 * (1 + np.cos(np.pi * (T - 50) / (STEPS - 50)))
    ),
    "one_cycle(0.3)": np.where(
        T < 60,
        0.3 + (0.012 - 0.3) * 0.5 * (1 + np.cos(np.pi * T / 60)),
        1.2e-6 + (0.3 - 1.2e-6) * 0.5 * (1 + np.cos(np.pi * (T - 60) / 140)),
    ),
    "inverse_sqrt(0.3, warmup = 25)": 0.3 * np.minimum((T + 1) / 25, np.sqrt(25 / (T + 1))),
    "inverse_sqrt(0.3)": 0.3 / np.sqrt(T + 1),
}


@pytest.mark.parametrize("text", FORMULAS)
def test_formula(text: str) -> None:
    np.testing.assert_allclose(rates(text), FORMULAS[text], rtol=1e-12, atol=1e-18)


def test_every_shape_has_a_formula_here() -> None:
    tested = {text.partition("(")[0] for text in FORMULAS} | {"plateau"}
    assert {shape.name for shape in SHAPES} <= tested


def test_a_plateau_cuts_the_rate() -> None:
    schedule = schedule_of("plateau(0.1, factor = 0.5, patience = 2, least = 0.02)")
    assert [schedule.at(Moment(0, 9, 0), cuts) for cuts in range(4)] == [0.1, 0.05, 0.025, 0.02]


def test_a_run_meets_plateaus() -> None:
    """The monitored value falls for three epochs and then stands still: cuts after every three epochs of that."""
    values = iter([4.0, 3.0, 2.0, 1.0] + [1.0] * 20)  # the first at the start
    settings = TrainingSettings(schedule_of("plateau(0.01, factor = 0.1, patience = 2)"), batch=0, epochs=12)
    run = train(least_squares(), StochasticMethod("sgd", SGD()), settings, Hooks(monitor=lambda x: next(values)))
    np.testing.assert_allclose(run.column("rate"), [0.01] * 6 + [0.001] * 3 + [0.0001] * 3)


@pytest.mark.parametrize(
    "text", ["0.1", "auto", "cosine(0.001, warmup = 100)", "plateau(auto, patience = 3)", "0.012345678912345"]
)
def test_text_form(text: str) -> None:
    assert str(schedule_of(text)) == text
    assert schedule_of(schedule_of(text)) == schedule_of(text)


def test_other_spellings() -> None:
    expected = Schedule("cosine", 1e-3, (("warmup", 100.0),))
    assert schedule_of("cosine(1e-3,warmup=100)") == expected
    assert schedule_of(" cosine( rate = 1e-3 , warmup=100 )") == expected
    assert schedule_of(0.1) == Schedule(rate=0.1)
    assert schedule_of(1) == Schedule(rate=1.0)
    assert schedule_of("auto") == Schedule()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("cosin(1e-3)", "there is no schedule `cosin`", "did you mean `cosine`?"),
        ("zigzag(1e-3)", "there is no schedule `zigzag`", "the schedules are constant, step"),
        ("cosine(1e-3, wamup = 3)", "the schedule `cosine` has no argument `wamup`", "did you mean `warmup`?"),
        ("cosine(1e-3, 100)", "`100` in the schedule `cosine` needs a name", "cosine(RATE, end = 0, warmup = 0)"),
        ("cosine(warmup = 100)", "the schedule `cosine` needs a rate first", "cosine(RATE"),
        ("cosine()", "the schedule `cosine` needs a rate first", "cosine(RATE"),
        ("cosine(1e-3, end = 2)", "`end = 2` does not fit", "from 0 to 1"),
        ("cosine(1e-3, end = few)", "`end = few` does not fit", "from 0 to 1"),
        ("cosine(1e-3, end = 0, end = 1)", "`end` is given twice", "keep one"),
        ("cosine(step(1, every = 2))", "is not an argument of the schedule `cosine`", "cosine(RATE"),
        ("cosine(0)", "`0` is not a rate", "positive"),
        ("-0.1", "`-0.1` is not a rate", "positive"),
        ("atuo", "`atuo` is not a rate", "did you mean `auto`?"),
        ("", "`` is not a rate", "a rate is a positive number"),
        (True, "`True` is not a rate", "a rate is a positive number"),
    ],
)
def test_mistakes(text: object, message: str, hint: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        schedule_of(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


# ------------------------------------------------------------------------------------------------- rate = auto


def test_auto_finds_a_rate_that_works() -> None:
    """On least squares the largest stable rate is known, 2 over the largest eigenvalue: auto stays well below it."""
    problem = least_squares(members=400, n=8)
    largest = np.linalg.eigvalsh(problem.a.T @ problem.a / 400)[-1]
    for batch in (0, 32):
        run = train(problem, StochasticMethod("sgd", SGD()), TrainingSettings(batch=batch, epochs=60))
        assert 0.02 / largest < run.rate.rate < 1 / largest
        assert run.column("loss")[-1] < 0.02 * run.start_loss
        assert "range test" in run.notes[0]
        assert f"{run.rate.rate:g}" in run.notes[0]


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e4])
def test_auto_follows_the_scale_of_the_objective(factor: float) -> None:
    problem = least_squares()
    inner = problem.terms
    problem.terms = lambda x, numbers: tuple(factor * part for part in inner(x, numbers))
    run = train(problem, StochasticMethod("sgd", SGD()), TrainingSettings(batch=20, epochs=30))
    assert run.column("loss")[-1] < 0.05 * run.start_loss


def test_auto_inside_a_schedule() -> None:
    settings = TrainingSettings(schedule_of("cosine(auto, warmup = 4)"), batch=32, epochs=5)
    run = train(network(), StochasticMethod("adam", Adam()), settings)
    assert run.rate.shape == "cosine"
    assert run.rate.rate is not None
    assert math.isclose(run.rate.value("warmup"), 4)


def test_auto_says_where_nothing_falls() -> None:
    problem = least_squares()
    problem.terms = lambda x, numbers: (0.0 * len(numbers), 0 * x)
    run = train(problem, StochasticMethod("sgd", SGD()), TrainingSettings(epochs=1))
    assert "no rate made the loss fall" in run.notes[0]
