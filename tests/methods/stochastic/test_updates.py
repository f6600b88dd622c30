"""The first steps of each method against its paper's formulas, written out here once more and plainly."""

from __future__ import annotations

import numpy as np
import pytest

from optdsl.methods.stochastic.estimators import StochasticMethod
from optdsl.methods.stochastic.run import TrainingSettings
from optdsl.methods.stochastic.schedules import schedule_of
from optdsl.methods.stochastic.train import train
from optdsl.methods.stochastic.updates import BLOCK, SGD, AdaGrad, Adam, Lion, NAdam, RMSProp, Update, start, step

STEPS = 7
DECAY = 0.03


def sgd(x, gradients, rate, momentum=0.0, nesterov=False, decay=0.0):
    v = np.zeros_like(x)
    for g in gradients:
        g = g + decay * x
        v = momentum * v + g
        x = x - rate * (g + momentum * v if nesterov else v)
    return x


def adagrad(x, gradients, rate, decay=0.0):
    total = np.zeros_like(x)
    for g in gradients:
        g = g + decay * x
        total = total + g**2
        x = x - rate * g / (np.sqrt(total) + 1e-10)
    return x


def rmsprop(x, gradients, rate, r=0.99, momentum=0.0, decay=0.0):
    q, v = np.zeros_like(x), np.zeros_like(x)
    for g in gradients:
        g = g + decay * x
        q = r * q + (1 - r) * g**2
        v = momentum * v + g / (np.sqrt(q) + 1e-8)
        x = x - rate * v
    return x


def adam(x, gradients, rate, b1=0.9, b2=0.999, decay=0.0, decoupled=0.0):
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        g = g + decay * x
        x = x - rate * decoupled * x
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        x = x - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
    return x


def nadam(x, gradients, rate, b1=0.9, b2=0.999, psi=0.004, decay=0.0):
    m, v = np.zeros_like(x), np.zeros_like(x)

    def mu(t):
        return b1 * (1 - 0.5 * 0.96 ** (t * psi))

    for t, g in enumerate(gradients, 1):
        g = g + decay * x
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        until, beyond = (np.prod([mu(i) for i in range(1, last + 1)]) for last in (t, t + 1))
        looked = mu(t + 1) * m / (1 - beyond) + (1 - mu(t)) * g / (1 - until)
        x = x - rate * looked / (np.sqrt(v / (1 - b2**t)) + 1e-8)
    return x


def lion(x, gradients, rate, b1=0.9, b2=0.99, decay=0.0):
    m = np.zeros_like(x)
    for g in gradients:
        c = b1 * m + (1 - b1) * g
        x = x - rate * (np.sign(c) + decay * x)
        m = b2 * m + (1 - b2) * g
    return x


CASES = [
    (SGD(), lambda x, g, a: sgd(x, g, a)),
    (SGD(weight_decay=DECAY), lambda x, g, a: sgd(x, g, a, decay=DECAY)),
    (SGD(momentum=0.9), lambda x, g, a: sgd(x, g, a, 0.9)),
    (SGD(0.9, True, DECAY), lambda x, g, a: sgd(x, g, a, 0.9, True, DECAY)),
    (AdaGrad(), adagrad),
    (AdaGrad(weight_decay=DECAY), lambda x, g, a: adagrad(x, g, a, DECAY)),
    (RMSProp(), rmsprop),
    (RMSProp(smoothing=0.9, momentum=0.5, weight_decay=DECAY), lambda x, g, a: rmsprop(x, g, a, 0.9, 0.5, DECAY)),
    (Adam(), adam),
    (Adam(beta1=0.8, beta2=0.95, weight_decay=DECAY), lambda x, g, a: adam(x, g, a, 0.8, 0.95, DECAY)),
    (Adam(decoupled=True, weight_decay=DECAY), lambda x, g, a: adam(x, g, a, decoupled=DECAY)),
    (NAdam(), nadam),
    (NAdam(beta1=0.8, psi=0.1, weight_decay=DECAY), lambda x, g, a: nadam(x, g, a, 0.8, psi=0.1, decay=DECAY)),
    (Lion(), lion),
    (Lion(beta1=0.95, weight_decay=DECAY), lambda x, g, a: lion(x, g, a, 0.95, decay=DECAY)),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("update", "paper"), CASES, ids=lambda case: repr(case) if not callable(case) else "")
def test_first_steps_are_the_papers(update: Update, paper, dtype: type) -> None:
    random = np.random.default_rng(3)
    size = BLOCK + 37  # more than one block, the last one short
    begin = random.normal(size=size)
    gradients = random.normal(size=(STEPS, size))
    gradients[:, ::11] = 0.0  # an entry that no batch touches
    x, memory = begin.astype(dtype), start(update, size, np.dtype(dtype))
    scratch = np.zeros(BLOCK, dtype)
    for g in gradients:
        step(update, memory, x, g.astype(dtype), 0.05, scratch)
    assert x.dtype == dtype
    expected = paper(begin, gradients, 0.05)
    apart = np.abs(x - expected)
    if dtype is np.float32 and isinstance(update, Lion):
        apart = apart[np.abs(apart) < 0.05]  # a sign of a number that is nearly 0 may turn with the rounding
        assert len(apart) > 0.999 * size
    assert apart.max() <= (1e-12 if dtype is np.float64 else 3e-5)


def test_the_blocks_do_not_matter() -> None:
    """A vector of several blocks moves like its parts alone."""
    random = np.random.default_rng(5)
    x, g = random.normal(size=(2, 2 * BLOCK + 5))
    update, scratch = Adam(weight_decay=0.1), np.zeros(BLOCK)
    whole = x.copy()
    memory = start(update, len(x), x.dtype)
    step(update, memory, whole, g.copy(), 0.1, scratch)
    for part in (slice(0, 7), slice(BLOCK - 3, BLOCK + 3), slice(2 * BLOCK, None)):
        alone = x[part].copy()
        step(update, start(update, len(alone), x.dtype), alone, g[part].copy(), 0.1, scratch)
        np.testing.assert_array_equal(alone, whole[part])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_whole_run_takes_these_steps(dtype: type) -> None:
    """All members at once: the loop's steps are Adam's on the full gradient, with the schedule's rates."""
    from tests.methods.stochastic.sums import logistic

    problem = logistic(dtype=dtype)
    schedule = schedule_of("cosine(0.1, warmup = 3)")
    run = train(problem, StochasticMethod("adam", Adam()), TrainingSettings(schedule, batch=0, epochs=9))
    x, m, v = np.zeros(4), 0.0, 0.0
    for t in range(1, 10):
        rate = 0.1 * t / 3 if t <= 3 else 0.05 * (1 + np.cos(np.pi * (t - 4) / 6))
        g = problem.gradient(x)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = x - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        assert run.column("rate")[t - 1] == pytest.approx(rate)
    assert np.abs(run.x - x).max() < (1e-12 if dtype is np.float64 else 1e-4)
