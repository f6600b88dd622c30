"""The loop: records, endings, what is handed back, averages, news."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from optdsl.methods.stochastic.estimators import StochasticMethod
from optdsl.methods.stochastic.run import COLUMNS, Hooks, Kept, News, TrainingEnding, TrainingSettings
from optdsl.methods.stochastic.schedules import schedule_of
from optdsl.methods.stochastic.train import train
from optdsl.methods.stochastic.updates import SGD, Adam
from tests.methods.stochastic.sums import Sum, least_squares, logistic, network

PLAIN = StochasticMethod("sgd", SGD())
ADAM = StochasticMethod("adam", Adam())


def settings(rate: str = "0.05", **more) -> TrainingSettings:
    return TrainingSettings(schedule_of(rate), **{"batch": 20, "epochs": 5, **more})


def test_records_of_steps_that_do_not_move() -> None:
    """With a rate next to nothing the epoch's loss is the objective at the start, the short batch included."""
    problem = logistic(members=307, start=np.array([0.3, -0.2, 0.1, 0.5]))
    run = train(problem, PLAIN, settings("1e-300", full=True), Hooks(monitor=lambda x: float(x[0])))
    assert run.records.shape == (5, len(COLUMNS))
    np.testing.assert_allclose(run.column("loss"), problem.objective(problem.start), rtol=1e-12)
    np.testing.assert_allclose(run.column("objective"), problem.objective(problem.start), rtol=1e-12)
    np.testing.assert_allclose(run.column("monitored"), 0.3)
    np.testing.assert_array_equal(run.column("epoch"), [1, 2, 3, 4, 5])
    assert np.isnan(run.column("violation")).all()
    assert (np.diff(run.column("seconds")) > 0).all()
    assert (run.column("examples_per_second") > 0).all()
    assert (run.epochs, run.steps) == (5, 5 * 16)


@pytest.mark.parametrize("method", [PLAIN, ADAM, StochasticMethod("saga", SGD(), "saga")])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_runs_repeat(method: StochasticMethod, dtype: type) -> None:
    first, second, other = (
        train(network(dtype=dtype), method, settings(seed=seed, average="ema")) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.column("loss"), second.column("loss"))
    assert not np.array_equal(first.x, other.x)
    assert first.x.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_network_learns(dtype: type) -> None:
    run = train(network(dtype=dtype), ADAM, settings("cosine(0.05)", epochs=80))
    assert run.column("loss")[-1] < 0.2 * run.column("loss")[0]
    assert (run.ending, run.kept, run.kept_epoch) == (TrainingEnding.EPOCHS, Kept.LAST, 80)


# -------------------------------------------------------------------------------------------------------- endings


def test_patience_restores_the_best() -> None:
    """The monitored value is least after the third epoch; two more epochs are waited for."""
    seen = []
    values = iter([9.0, 5.0, 4.0, 3.0, 6.0, 3.0, 1.0, 1.0])  # the first at the start

    def monitor(x: np.ndarray) -> float:
        seen.append(x.copy())
        return next(values)

    run = train(least_squares(), PLAIN, settings(patience=2, epochs=7), Hooks(monitor=monitor))
    assert (run.ending, run.kept, run.kept_epoch, run.epochs) == (TrainingEnding.PATIENCE, Kept.BEST, 3, 5)
    np.testing.assert_array_equal(run.x, seen[3])


def test_a_rising_value() -> None:
    values = iter([0.4, 0.5, 0.9, 0.7, 0.8, 0.6])
    seen = []
    monitor = lambda x: (seen.append(x.copy()), next(values))[1]  # noqa: E731
    run = train(least_squares(), PLAIN, settings(), Hooks(monitor=monitor, rising=True))
    assert (run.ending, run.kept, run.kept_epoch) == (TrainingEnding.EPOCHS, Kept.BEST, 2)
    np.testing.assert_array_equal(run.x, seen[2])


def test_the_start_is_handed_back_where_no_epoch_is_better() -> None:
    problem = least_squares()
    values = iter([1.0, 5.0, 4.0, 3.0])
    run = train(problem, PLAIN, settings(patience=2), Hooks(monitor=lambda x: next(values)))
    assert (run.ending, run.kept, run.kept_epoch, run.epochs) == (TrainingEnding.PATIENCE, Kept.BEST, 0, 2)
    np.testing.assert_array_equal(run.x, problem.start)


def test_a_run_whose_first_epoch_is_worse_already_hands_back_the_start() -> None:
    problem = least_squares()
    run = train(problem, PLAIN, settings("3", epochs=50))
    assert run.ending is TrainingEnding.DIVERGED and run.epochs >= 1
    assert problem.objective(run.x) <= problem.objective(problem.start)


def test_patience_without_a_monitor_looks_at_the_loss() -> None:
    run = train(least_squares(), PLAIN, settings("0.3", patience=3, epochs=400))
    assert run.ending is TrainingEnding.PATIENCE
    assert run.epochs < 400
    assert run.kept_epoch == 1 + np.argmin(run.column("loss"))


def test_a_monitored_value_that_is_undefined() -> None:
    run = train(least_squares(), PLAIN, settings(), Hooks(monitor=lambda x: float("nan")))
    assert "not a finite number" in run.notes[0]
    assert run.kept_epoch == 0


def test_tolerance_on_the_full_gradient() -> None:
    problem = logistic()
    run = train(problem, PLAIN, settings("1", batch=0, epochs=500, tolerance=1e-5))
    assert run.ending is TrainingEnding.CONVERGED
    assert np.abs(problem.gradient(run.x)).max() <= 1e-5
    assert run.epochs < 500
    before = train(problem, PLAIN, settings("1", batch=0, epochs=run.epochs - 1))
    assert np.abs(problem.gradient(before.x)).max() > 1e-5


def test_tolerance_within_bounds_is_of_the_projected_gradient() -> None:
    problem = least_squares(lower=0.0, upper=0.05)
    run = train(problem, PLAIN, settings("0.5", batch=0, epochs=500, tolerance=1e-7))
    assert run.ending is TrainingEnding.CONVERGED
    assert np.abs(problem.gradient(run.x)).max() > 1e-3


def test_a_loss_that_settles() -> None:
    run = train(logistic(), PLAIN, settings("1", batch=0, epochs=500, loss_tolerance=1e-6))
    assert run.ending is TrainingEnding.SETTLED
    losses = run.column("loss")
    changes = np.abs(np.diff(losses)) / losses[1:]
    assert (changes[-2:] <= 1e-6).all()
    assert changes[-3] > 1e-6


def test_the_limit_of_time() -> None:
    run = train(least_squares(), PLAIN, settings(epochs=10**9, seconds=0.2))
    assert run.ending is TrainingEnding.TIME_LIMIT
    assert 0.2 <= run.seconds < 2


def test_an_interruption_keeps_the_last_where_it_is_better() -> None:
    count = itertools.count()
    run = train(least_squares(), PLAIN, settings(), Hooks(stop=lambda: next(count) == 25))
    assert (run.ending, run.kept, run.steps, run.epochs) == (TrainingEnding.INTERRUPTED, Kept.LAST, 25, 2)


def test_an_interruption_keeps_the_best_where_the_last_is_worse() -> None:
    """The rate grows from next to nothing to one that makes the loss rise; then the run is stopped."""
    count = itertools.count()
    problem = least_squares(start=np.full(5, 0.3))
    run = train(problem, PLAIN, settings("constant(3, warmup = 60)"), Hooks(stop=lambda: next(count) == 45))
    assert (run.ending, run.kept) == (TrainingEnding.INTERRUPTED, Kept.BEST)
    assert run.kept_epoch == 1 + np.argmin(run.column("loss"))
    assert run.kept_epoch < run.epochs


def test_nothing_happened_yet() -> None:
    run = train(least_squares(), PLAIN, settings(), Hooks(stop=lambda: True))
    assert (run.ending, run.epochs, run.steps) == (TrainingEnding.INTERRUPTED, 0, 0)
    np.testing.assert_array_equal(run.x, np.zeros(5))


# ------------------------------------------------------------------------------------------------------- divergence


def test_divergence_says_where_and_what_to_try() -> None:
    problem = least_squares()
    run = train(problem, PLAIN, settings("cosine(50)", epochs=100))
    assert run.ending is TrainingEnding.DIVERGED
    assert np.isfinite(run.x).all()
    fault = run.fault
    assert fault is not None
    assert (fault.epoch, fault.batch) == (run.epochs + 1, run.steps - 10 * run.epochs + 1)
    suggested = fault.suggestion.removeprefix("try rate = ").partition("), ")[0] + ")"
    again = train(problem, PLAIN, settings(suggested, epochs=100))
    assert again.ending is TrainingEnding.EPOCHS
    assert again.column("loss")[-1] < 0.1 * again.start_loss


def exploding(x: np.ndarray, numbers: np.ndarray) -> tuple[float, np.ndarray]:
    value = np.exp(x[0]) if len(numbers) else 0.0
    return len(numbers) * float(value - 3 * x[0]), len(numbers) * (value - 3) * np.ones(1)


def test_the_culprit_is_asked_for() -> None:
    problem = Sum(10, [0.0], exploding)
    run = train(problem, PLAIN, settings("1e3", batch=5))
    assert run.ending is TrainingEnding.DIVERGED
    assert run.fault is not None
    assert run.fault.culprit == "the loss"
    assert run.kept is Kept.BEST


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_data_that_are_undefined_are_not_blamed_on_the_rate(bad: float) -> None:
    problem = least_squares()
    problem.b[77] = bad
    run = train(problem, PLAIN, settings("0.01"))
    assert run.ending is TrainingEnding.UNDEFINED
    assert run.fault is not None
    assert "its data" in run.fault.suggestion
    assert (run.fault.epoch, run.fault.culprit) == (1, "the loss")
    assert np.isfinite(run.x).all()


def test_an_objective_without_end() -> None:
    problem = Sum(10, [1.0], lambda x, numbers: (-len(numbers) * float(x[0] ** 2), -2 * len(numbers) * x))
    run = train(problem, PLAIN, settings("0.1", epochs=1000))
    assert run.ending is TrainingEnding.UNBOUNDED
    assert run.fault is not None


def test_float32_diverges_without_a_warning() -> None:
    run = train(least_squares(dtype=np.float32), PLAIN, settings("1e30", epochs=100))
    assert run.ending is TrainingEnding.DIVERGED
    assert np.isfinite(run.x).all()


# --------------------------------------------------------------------------------------------------- options


def test_clip_cuts_the_norm() -> None:
    problem = least_squares()
    run = train(problem, PLAIN, settings("0.1", batch=0, epochs=1, clip=0.5))
    g = problem.gradient(np.zeros(5))
    np.testing.assert_allclose(run.x, -0.1 * 0.5 * g / np.linalg.norm(g), rtol=1e-12)
    assert run.column("gradient_norm")[0] == pytest.approx(np.linalg.norm(g))
    free = train(problem, PLAIN, settings("0.1", batch=0, epochs=1, clip=1e3))
    np.testing.assert_allclose(free.x, -0.1 * g, rtol=1e-12)


def test_averages() -> None:
    """Against the points that a monitor-free run goes through, told by its own steps."""
    problem = least_squares()
    points = []
    for steps in range(1, 9):
        points.append(train(problem, PLAIN, settings("0.1", batch=0, epochs=steps)).x)
    polyak = train(problem, PLAIN, settings("0.1", batch=0, epochs=8, average="polyak"))
    np.testing.assert_allclose(polyak.x, np.mean(points[4:], axis=0), rtol=1e-12)
    assert polyak.kept is Kept.AVERAGED
    ema = train(problem, PLAIN, settings("0.1", batch=0, epochs=8, average="ema", decay=0.7))
    weights = 0.7 ** np.arange(7, -1, -1)
    np.testing.assert_allclose(ema.x, weights @ np.array(points) / weights.sum(), rtol=1e-12)


def test_the_average_is_better_where_steps_are_noisy() -> None:
    problem = least_squares(members=500)
    minimum = np.linalg.lstsq(problem.a, problem.b, rcond=None)[0]
    last, average = (
        train(problem, PLAIN, settings("0.1", batch=1, epochs=20, average=kind)).x for kind in ("none", "polyak")
    )
    assert np.linalg.norm(average - minimum) < 0.3 * np.linalg.norm(last - minimum)


def test_the_monitor_sees_the_average() -> None:
    problem = least_squares()
    seen = []
    monitor = lambda x: (seen.append(x.copy()), 1.0 / len(seen))[1]  # noqa: E731
    run = train(problem, PLAIN, settings(average="ema", decay=0.9), Hooks(monitor=monitor))
    np.testing.assert_array_equal(run.x, seen[-1])
    assert not np.array_equal(seen[-1], train(problem, PLAIN, settings()).x)


def test_news() -> None:
    told: list[News] = []
    values = iter([4.0, 3.0, 2.0, 1.0, 0.5, 0.2])
    hooks = Hooks(news=told.append, news_seconds=0.0, monitor=lambda x: next(values))
    run = train(least_squares(), PLAIN, settings(), hooks)
    assert len(told) == 5 * (10 + 1)
    ends = [news for news in told if news.batch == news.batches][1::2]
    assert [news.epoch for news in ends] == [1, 2, 3, 4, 5]
    assert [news.monitored for news in ends] == [3.0, 2.0, 1.0, 0.5, 0.2]
    np.testing.assert_allclose([news.loss for news in ends], run.column("loss"))
    assert told[-1].seconds_left == 0
    assert all(news.seconds_left > 0 for news in told[:-2])
    assert all(news.examples_per_second > 0 for news in told)
    quiet: list[News] = []
    train(least_squares(), PLAIN, settings(), Hooks(news=quiet.append, news_seconds=1e9))
    assert 5 <= len(quiet) <= 6


def test_errors_of_hooks_pass() -> None:
    def monitor(x: np.ndarray) -> float:
        raise RuntimeError("of the caller")

    with pytest.raises(RuntimeError, match="of the caller"):
        train(least_squares(), PLAIN, settings(), Hooks(monitor=monitor))
