"""The bound is below every objective, whatever the multipliers; and the gap bounds the distance to the optimum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optdsl.methods.composite.driver import drive
from optdsl.methods.composite.losses import (
    Absolute,
    Exponential,
    Huber,
    Length,
    LogSumExp,
    Loss,
    Positive,
    Softplus,
    Square,
    SquaredPositive,
)
from optdsl.methods.composite.problem import Composite
from optdsl.methods.composite.table import METHODS, Row
from optdsl.methods.driver import Limits
from tests.methods.composite.problems import composite, dense

LOSSES: tuple[Loss, ...] = (
    Square(),
    Softplus(),
    Exponential(),
    Huber(0.7),
    SquaredPositive(),
    Positive(),
    Absolute(),
    Length(2),
    LogSumExp(3),
)


def drawn(seed: int) -> Composite:
    """Two losses of small random maps, with random penalties and, half the time, bounds."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 6))
    parts = []
    for loss in random.choice(np.arange(len(LOSSES)), 2):
        rows = 6 * int(random.integers(1, 4))
        A = random.standard_normal((rows, n)) * (random.random((rows, n)) < 0.8)
        parts.append(dense(A, random.standard_normal(rows), LOSSES[loss], float(random.uniform(0.2, 2))))
    boxed = random.random() < 0.5
    return composite(
        *parts,
        absolute=random.uniform(0.1, 2, n) * (random.random(n) < 0.7),
        ridge=random.uniform(0.1, 2, n) * (random.random(n) < 0.7),
        lower=-0.5 if boxed else -np.inf,
        upper=1.5 if boxed else np.inf,
    )


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=300, deadline=None)
@given(seeds)
def test_no_multipliers_prove_more_than_any_point_has(seed: int) -> None:
    """D(u) <= P(x) for multipliers and points that have nothing to do with each other."""
    problem = drawn(seed)
    random = np.random.default_rng(seed + 1)
    for _ in range(10):
        x = np.clip(random.standard_normal(problem.width) * random.choice([0.01, 1, 5]), problem.lower, problem.upper)
        other = np.clip(random.standard_normal(problem.width), problem.lower, problem.upper)
        u = problem.slopes(problem.rows(other))
        if random.random() < 0.5:
            u = tuple(random.uniform(0, 1) * v for v in u)
        value = problem.value(x, problem.rows(x))
        assert problem.bound(u, other) <= value + 1e-10 * max(1.0, abs(value))


@pytest.mark.parametrize("row", METHODS, ids=lambda row: row.name)
@settings(max_examples=40, deadline=None)
@given(seeds)
def test_the_gap_bounds_the_distance_to_the_optimum_at_every_step(row: Row, seed: int) -> None:
    """value - optimum <= value - bound, where the optimum is the best that another method finds in a long run.

    With ridge penalties mu on all variables |x - x*|^2 <= 2 gap / mu too (strong convexity).
    """
    problem = drawn(seed)
    if row.refuses(problem):
        return
    best = min(
        drive(other.factory(**{o.name: o.default for o in other.options}), problem, Limits(2000)).value
        for other in METHODS
        if not other.refuses(problem)
    )
    method = row.factory(**{o.name: o.default for o in row.options})
    outcome = drive(method, problem, Limits(400))
    bounds = outcome.trace[:, 2]
    assert (bounds <= best + 1e-9 * max(1.0, abs(best))).all()
    assert outcome.value >= outcome.bound - 1e-10 * max(1.0, abs(outcome.value))
    if (problem.ridge > 0).all() and np.isfinite(outcome.bound):
        few = drive(method, problem, Limits(2))
        gap = max(few.value - few.bound, 0.0) + max(outcome.value - outcome.bound, 0.0)
        distance = float(problem.ridge @ (few.x - outcome.x) ** 2)
        assert distance <= 4 * gap + 1e-9  # |a + b|^2 <= 2 |a|^2 + 2 |b|^2, once from each end
