"""Batches and estimators: that they are unbiased, that orders repeat, that variance goes."""

from __future__ import annotations

import numpy as np
import pytest

from optdsl.methods.stochastic.batches import Batches, parts, raw
from optdsl.methods.stochastic.estimators import Kind, StochasticMethod, estimator_of, full_gradient, full_rows
from optdsl.methods.stochastic.run import TrainingSettings
from optdsl.methods.stochastic.schedules import schedule_of
from optdsl.methods.stochastic.train import train
from optdsl.methods.stochastic.updates import SGD
from tests.methods.stochastic.sums import Sum, least_squares, logistic


def test_an_epoch_goes_through_all_members_once() -> None:
    batches = Batches(103, 10, seed=4)
    assert batches.count == 11
    orders = []
    for epoch in range(3):
        batches.arrange(epoch)
        order = np.concatenate([batches.members_of(number) for number in range(batches.count)])
        assert sorted(order) == list(range(103))
        orders.append(order)
    assert not np.array_equal(orders[0], orders[1])
    batches.arrange(0)
    np.testing.assert_array_equal(np.concatenate([batches.members_of(k) for k in range(11)]), orders[0])
    assert sum(batches.share(number) for number in range(11)) == pytest.approx(1.0)


def test_orders_are_the_same_on_every_machine() -> None:
    """The raw stream of PCG64 is kept by NumPy for good: these numbers must never change."""
    assert raw(0, 0, 0, 2).tolist() == FIRST
    batches = Batches(8, 3, seed=1)
    batches.arrange(2)
    assert np.concatenate([batches.members_of(k) for k in range(3)]).tolist() == ORDER


FIRST = [11749869230777074271, 4976686463289251617]
ORDER = [2, 0, 7, 4, 6, 3, 5, 1]


def test_one_batch_is_a_slice() -> None:
    for size in (0, 50, 99):
        batches = Batches(50, size, 0)
        batches.arrange(0)
        assert (batches.count, batches.members_of(0), batches.share(0)) == (1, slice(0, 50), 1.0)


def test_the_short_batch_is_as_likely_for_each_member() -> None:
    """Over many epochs the mean of the last batch's estimate is the exact gradient."""
    problem = logistic(members=23)
    x, gradient = np.array([0.3, -0.2, 0.1, 0.5]), np.zeros(4)
    batches = Batches(23, 5, seed=0)
    found = []
    for epoch in range(4000):
        batches.arrange(epoch)
        problem.estimate(x, batches.members_of(4), gradient)
        found.append(gradient.copy())
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(np.mean(found, axis=0) - problem.gradient(x)) < 4.5 * error)


@pytest.mark.parametrize("kind", ["plain", "svrg", "saga"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_over_the_batches_is_exact(kind: Kind, weighted: bool) -> None:
    """At a point that differs from the remembered one: the mean over all draws is the full gradient."""
    problem = logistic(members=23)
    terms = problem.terms
    problem.rows = [(lambda x, numbers: (float(len(numbers)) * x[0] ** 2, len(numbers) * 2 * x * [1, 0, 0, 0]), 0, 1)]
    problem.row_lower, problem.row_upper = np.zeros(1), np.ones(1)
    weights = np.array([0.7]) if weighted else None
    then, x = np.array([0.3, -0.2, 0.1, 0.5]), np.array([0.1, 0.2, -0.3, 0.9])
    batches = Batches(23, 5, seed=0, shuffled=kind != "saga")
    batches.arrange(0)
    estimator = estimator_of(kind, problem, batches)
    estimator.begin(then, None if weights is None else 0.5 * weights)
    exact = problem.gradient(x)
    if weights is not None:
        exact = exact + weights * 23 * 2 * x * [1, 0, 0, 0]
    total, loss = np.zeros(4), 0.0
    for number in range(batches.count):
        saved = {name: array.copy() for name, array in estimator.arrays.items()}
        gradient = np.zeros(4)
        value = estimator.estimate(x, number, gradient, weights)
        # saga draws its batches alike; the others meet each in the share of its members.
        share = 1 / batches.count if kind == "saga" else batches.share(number)
        total += share * gradient
        loss += batches.share(number) * value
        for name, array in saved.items():
            estimator.arrays[name][...] = array
    np.testing.assert_allclose(total, exact, rtol=1e-12, atol=1e-14)
    assert loss == pytest.approx(problem.objective(x), rel=1e-12)
    assert terms is problem.terms


def test_all_members_in_slices() -> None:
    problem = logistic(members=2500)
    x = np.array([0.3, -0.2, 0.1, 0.5])
    np.testing.assert_allclose(full_gradient(problem, x, 10), problem.gradient(x), rtol=1e-12)
    assert sum(share for _, share in parts(2500, 1024)) == pytest.approx(1.0)
    problem.rows = [(lambda x, numbers: (float(len(numbers)), 0 * x), 0, 1)]
    problem.row_lower, problem.row_upper = np.zeros(1), np.ones(1)
    assert full_rows(problem, x, 10) == pytest.approx(2500.0)


@pytest.mark.parametrize("kind", ["svrg", "saga"])
@pytest.mark.parametrize("members", [200, 203])
def test_less_variance_converges_with_a_constant_rate(kind: Kind, members: int) -> None:
    """Plain steps of the same rate stay in a ball around the minimum; these go to it, at a linear rate."""
    problem = least_squares(members=members)
    minimum = np.linalg.lstsq(problem.a, problem.b, rcond=None)[0]
    settings = TrainingSettings(schedule_of("0.05"), batch=10, epochs=60)
    apart = {
        name: np.abs(train(problem, StochasticMethod(name, SGD(), name), settings).x - minimum).max()
        for name in ("plain", kind)
    }
    assert apart[kind] < 1e-10 < 1e-5 < apart["plain"]


def test_saga_is_its_papers() -> None:
    """The first steps, with the table written out plainly, one function per batch."""
    problem = logistic(members=20)
    settings = TrainingSettings(schedule_of("0.3"), batch=5, epochs=3, seed=2)
    run = train(problem, StochasticMethod("saga", SGD(), "saga"), settings)
    batches = Batches(20, 5, seed=2, shuffled=False)

    def gradient(x, number):
        found = np.zeros(4)
        problem.estimate(x, batches.members_of(number), found)
        return found

    x = np.zeros(4)
    table = [gradient(x, number) for number in range(4)]
    for epoch in range(3):
        batches.arrange(epoch)
        for place in range(4):
            j = batches.number(place)
            new = gradient(x, j)
            x = x - 0.3 * (new - table[j] + np.mean(table, axis=0))
            table[j] = new
    np.testing.assert_allclose(run.x, x, rtol=1e-12)


def test_svrg_is_its_papers() -> None:
    problem = logistic(members=20)
    settings = TrainingSettings(schedule_of("0.3"), batch=5, epochs=3, seed=2)
    run = train(problem, StochasticMethod("svrg", SGD(), "svrg"), settings)
    batches = Batches(20, 5, seed=2)
    x = np.zeros(4)
    for epoch in range(3):
        batches.arrange(epoch)
        z = x
        mu = problem.gradient(z)
        for place in range(4):
            g, h = np.zeros(4), np.zeros(4)
            problem.estimate(x, batches.members_of(place), g)
            problem.estimate(z, batches.members_of(place), h)
            x = x - 0.3 * (g - h + mu)
    np.testing.assert_allclose(run.x, x, rtol=1e-12)


def test_no_members() -> None:
    """An empty set leaves the rest, which is minimized."""

    def rest(x):
        return 0.5 * float(x @ x), x

    class Empty(Sum):
        def estimate(self, x, batch, gradient, weights=None):
            value, gradient[...] = rest(x)
            return value

    problem = Empty(0, np.ones(2), lambda x, numbers: (0.0, 0 * x), rest)
    run = train(problem, StochasticMethod("sgd", SGD()), TrainingSettings(schedule_of("0.5"), epochs=40))
    assert np.abs(run.x).max() < 1e-10
