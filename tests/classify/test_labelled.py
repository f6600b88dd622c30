"""The labelled models: what is said of them is right, and said quickly; what is not yet said is listed by name."""

from __future__ import annotations

import time

import pytest

import optdsl

from .labelled import Labelled, labelled_models

MODELS = labelled_models()
SECONDS = 10.0  # far above what any of them takes, which is about a tenth of a second

GAPS = {
    # second derivatives on boxes: later
    "exponentials/sigmoid_on_its_convex_side", "exponentials/x_times_exponential_x",
    "powers/polynomial_with_odd_power",
    # equal by pieces
    "pieces/huber_by_max",
    # the entries of a matrix inequality are affine, its functions have forms by name
    "matrices/quadratic_matrix_inequality_convex", "matrices/trace_inverse", "matrices/a_optimal_design",
    # x^2 - 1 is known to be a difference of squares, but not to be bounded by its terms
    "norms/root_of_square_less_one_maximized",
}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_verdict(model: Labelled) -> None:
    start = time.perf_counter()
    found = optdsl.parse(model.text).check().problem_class
    assert time.perf_counter() - start < SECONDS
    if model.name in GAPS:
        assert found.convexity in ("unknown", model.convexity)
        return
    assert (found.convexity, found.type in model.types) == (model.convexity, True), found


def test_most_are_right() -> None:
    names = [model.name for model in MODELS]
    assert len(set(names)) == len(names) >= 450
    assert set(names) >= GAPS
    assert len(GAPS) <= 0.03 * len(names)


def test_every_model_has_a_source() -> None:
    assert all(model.source and model.convexity in ("convex", "nonconvex") for model in MODELS)
