"""FISTA: its steps by the paper's formulas, its rate, and what restarts and column sizes do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optdsl.methods.composite.accelerated_gradient import AcceleratedProximalGradient, proximal_point
from optdsl.methods.composite.driver import drive
from optdsl.methods.composite.losses import Exponential
from optdsl.methods.driver import Ending, Limits
from tests.methods.composite.problems import composite, dense, lasso, logistic, wine


def test_the_first_steps_are_those_of_the_paper() -> None:
    """With columns of one size, so that D = 1, and without restarts; L as the backtracking left it.

    t_k^2 - t_k = L_k / L_k-1 t_k-1^2, which is eq. 4.2 where L stays.
    """
    X, y = wine()
    problem = lasso(0.1)
    charge = problem.absolute[0]
    method = AcceleratedProximalGradient(restart=False)
    state = method.start(problem)
    assert state.sizes == pytest.approx(np.ones(12))
    old = x = np.zeros(12)
    t, before = 1.0, state.curvature
    for _ in range(8):
        state = method.step(problem, state)
        L = state.curvature
        after = (1 + np.sqrt(1 + 4 * L / before * t * t)) / 2
        z, t, before = x + (t - 1) / after * (x - old), after, L
        v = z - X.T @ (X @ z - y) / L
        old, x = x, np.sign(v) * np.maximum(np.abs(v) - charge / L, 0)
        assert state.iterate.x == pytest.approx(x, abs=1e-12)
        assert state.momentum == pytest.approx(t)
        assert 2 * np.linalg.norm(X, 2) ** 2 >= L


def test_it_converges_as_fast_as_is_proved() -> None:
    """F(x_k) - F* <= 2 alpha L |x_0 - x*|^2 / (k + 1)^2, alpha = 2 (theorem 4.4), without restarts."""
    problem = logistic(0.02)
    best = drive(AcceleratedProximalGradient(1e-12), problem, Limits(50_000))
    method = AcceleratedProximalGradient(restart=False)
    state = method.start(problem)
    distance = float(state.sizes @ (best.x - state.iterate.x) ** 2)
    A = problem.parts[0].operator.blocks[0].matrix
    L = max(state.curvature, 0.25 * np.linalg.norm(A / np.sqrt(state.sizes), 2) ** 2)
    for k in range(1, 300):
        state = method.step(problem, state)
        assert state.iterate.value - best.bound <= 4 * L * distance / (k + 1) ** 2 + 1e-9


def test_restarts_make_it_linear() -> None:
    problem = lasso(0.01, ridge=0.1)
    with_restarts = drive(AcceleratedProximalGradient(1e-10), problem, Limits(20_000))
    without = drive(AcceleratedProximalGradient(1e-10, restart=False), problem, Limits(20_000))
    assert with_restarts.ending is Ending.CONVERGED
    assert with_restarts.iterations < 0.7 * without.iterations


def test_units_of_columns_do_not_matter() -> None:
    X, y = wine()
    units = 10.0 ** np.linspace(-4, 4, 12)
    plain = composite(dense(X, -y), absolute=5.0)
    other = composite(dense(X * units, -y), absolute=5.0 * units)
    a, b = (drive(AcceleratedProximalGradient(), p, Limits(5000)) for p in (plain, other))
    assert a.ending is b.ending is Ending.CONVERGED
    assert b.x * units == pytest.approx(a.x, abs=1e-4)
    assert b.iterations <= 2 * a.iterations + 10


@pytest.mark.parametrize("seed", range(20))
def test_the_proximal_point_is_the_best_of_its_line(seed: int) -> None:
    random = np.random.default_rng(seed)
    low, high = sorted(random.normal(size=2))
    problem = replace(
        composite(dense(np.eye(4))),
        absolute=random.random(4) * (random.random(4) < 0.7),
        ridge=random.random(4) * (random.random(4) < 0.7),
        lower=np.array([-np.inf, low, low, -np.inf]),
        upper=np.array([np.inf, high, np.inf, high]),
    )
    y, slope, steep = random.normal(size=4), 2 * random.normal(size=4), random.uniform(0.1, 3, 4)
    found = proximal_point(problem, y, slope, steep)

    def value(x: np.ndarray) -> np.ndarray:
        bent = 0.5 * steep * (x - y) ** 2 + 0.5 * problem.ridge * x * x
        return slope * (x - y) + bent + problem.absolute * np.abs(x)

    assert ((found >= problem.lower) & (found <= problem.upper)).all()
    for x in np.linspace(-6, 6, 2001):
        tried = np.clip(np.full(4, x), problem.lower, problem.upper)
        assert (value(found) <= value(tried) + 1e-12).all()


def test_curvature_without_limit_is_found_by_backtracking() -> None:
    """Exponentials have no L for all of the line."""
    random = np.random.default_rng(0)
    A = random.standard_normal((40, 5))
    problem = composite(dense(A, 0.0, Exponential()), dense(-A, 0.0, Exponential()), absolute=0.1, start=3.0)
    outcome = drive(AcceleratedProximalGradient(), problem, Limits(20_000))
    assert outcome.ending is Ending.CONVERGED
    assert outcome.x == pytest.approx(np.zeros(5), abs=1e-4)


def test_an_objective_without_a_minimizer_ends_at_a_limit() -> None:
    problem = composite(dense(np.ones((3, 1)), 0.0, Exponential()))
    assert drive(AcceleratedProximalGradient(), problem, Limits(200)).ending in (
        Ending.ITERATION_LIMIT,
        Ending.NO_PROGRESS,
    )
