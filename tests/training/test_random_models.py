"""Random learning models have the values and derivatives of the engine's lanes, from all members and from batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optdsl.engine.problem import ModelProblem
from optdsl.language import parse
from optdsl.model import build
from optdsl.training.problem import TensorProblem
from optdsl.training.split import members_of

from .learning_models import model_text

GROUPS, SIZE = 12, 5


def near(ours: np.ndarray | float, theirs: np.ndarray | float, digits: float) -> None:
    """Numbers agree relative to the largest of them."""
    size = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    np.testing.assert_allclose(ours, theirs, rtol=digits, atol=digits * size)


def compare(seed: int) -> None:
    text = model_text(seed)
    print(text)  # pytest shows it where a comparison fails
    model = build(parse(text, "random.opt"), folder=Path("."), name="random")
    tensors, lanes = TensorProblem(model, members_of(model, "ROW")), ModelProblem(model)
    random = np.random.default_rng(seed)
    x, direction = random.normal(0.0, 0.6, (2, len(tensors.start)))
    multipliers = random.normal(0.0, 1.0, len(tensors.row_lower))
    assert len(lanes.start) == len(x), "the lanes have columns of their own"
    value, gradient, rows = lanes.objective(x), lanes.gradient(x), lanes.constraints(x)
    whole = gradient + lanes.jacobian_pattern.matrix(lanes.jacobian(x)).T @ multipliers
    assert np.isfinite(value) and np.isfinite(whole).all()
    near(tensors.objective(x), value, 1e-11)
    near(tensors.gradient(x), gradient, 1e-9)
    near(tensors.constraints(x), rows, 1e-10)
    near(tensors.lagrangian_gradient(x, multipliers), whole, 1e-9)
    product = lanes.hessian_product(x, multipliers, direction)
    near(tensors.hessian_product(x, multipliers, direction), product, 1e-7)
    from_batches(tensors, x, multipliers, (value, whole, rows), int(random.integers(1, 9)))


def from_batches(
    tensors: TensorProblem,
    x: np.ndarray,
    multipliers: np.ndarray,
    exact: tuple[float, np.ndarray, np.ndarray],
    size: int,
) -> None:
    """The mean of the estimates over all batches, in both types, is the exact value."""
    order = np.random.default_rng(size).permutation(tensors.members)
    for dtype, digits in ((np.float64, 1e-9), (np.float32, 2e-3)):
        value, slope, rows = 0.0, np.zeros(len(x)), np.zeros(len(multipliers))
        gradient, point = np.empty(len(x), dtype), x.astype(dtype)
        for first in range(0, tensors.members, size):
            batch = order[first : first + size]
            share = len(batch) / tensors.members
            value += share * tensors.estimate(point, batch, gradient, multipliers)
            slope += share * gradient
            rows += share * tensors.row_estimates(point, batch)
        for ours, theirs in zip((value, slope, rows), exact, strict=True):
            near(ours, theirs, digits)


@pytest.mark.parametrize("group", range(GROUPS))
def test_random_models(group: int) -> None:
    for seed in range(group * SIZE, (group + 1) * SIZE):
        compare(seed)


@pytest.mark.nightly
@pytest.mark.parametrize("group", range(200))
def test_many_random_models(group: int) -> None:
    for seed in range(1000 + group * 20, 1000 + (group + 1) * 20):
        compare(seed)
