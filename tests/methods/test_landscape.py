"""Eigenvalues and directions from products, against matrices whose eigenvalues are known."""

from __future__ import annotations

import numpy as np
import pytest

from optdsl.methods.landscape import ACCURACY, DENSE, follow, spectrum


def matrix_of(values: np.ndarray, seed: int = 0) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))
    return (q * values) @ q.T


SPECTRA = {
    "small": np.array([-2.0, 0.0, 0.5, 3.0]),
    "single": np.array([4.0]),
    "zero": np.zeros(5),
    "spread": np.concatenate([np.logspace(-4, 2, 300)]),
    "negative": np.concatenate([[-5.0, -0.1], np.linspace(0.1, 2, 298)]),
    "of low rank": np.concatenate([np.zeros(280), np.linspace(1, 3, 20)]),
    "one value": np.full(200, 7.0),
    "outlier": np.concatenate([np.linspace(0, 1, 299), [1e4]]),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_ends(name):
    values = np.sort(SPECTRA[name])
    matrix = matrix_of(values)
    found = spectrum(matrix.__matmul__, len(values))
    size = max(float(np.abs(values).max()), 1e-300)
    assert abs(found.largest - values[-1]) <= 2 * ACCURACY * size
    assert abs(found.least - values[0]) <= 2 * ACCURACY * size
    assert found.complete == (len(values) <= DENSE)
    # Ritz values are between the ends, and each direction has the curvature that is said of it.
    for direction, value in ((found.lowest, found.least), (found.highest, found.largest)):
        assert np.linalg.norm(direction) == pytest.approx(1.0)
        assert direction @ matrix @ direction == pytest.approx(value, abs=1e-9 * max(size, 1.0))
    assert found.least >= values[0] - 1e-9 * size and found.largest <= values[-1] + 1e-9 * size


def test_counts():
    whole = spectrum(matrix_of(SPECTRA["small"]).__matmul__, 4)
    assert (whole.flat, whole.negative) == (1, 1)
    low = spectrum(matrix_of(SPECTRA["of low rank"]).__matmul__, 300)
    assert 250 <= low.flat <= 300 and low.negative <= 1
    down = spectrum(matrix_of(np.linspace(-1, 3, 400)).__matmul__, 400)
    assert 70 <= down.negative <= 130


def test_error_bounds_the_distance_to_an_eigenvalue():
    values = np.sort(np.random.default_rng(1).standard_normal(500))
    matrix = matrix_of(values)
    for products in (6, 12, 40, 200):
        found = spectrum(matrix.__matmul__, 500, products)
        for end in (found.least, found.largest):
            assert np.abs(values - end).min() <= found.error + 1e-12
        assert found.products <= products


def test_same_again_and_no_more_products_than_asked():
    matrix = matrix_of(SPECTRA["spread"])
    taken = []

    def product(v):
        taken.append(1)
        return matrix @ v

    first, second = (spectrum(product, 300, 60) for _ in range(2))
    assert len(taken) == first.products + second.products <= 120
    assert (first.least, first.largest, first.flat) == (second.least, second.largest, second.flat)


def test_what_is_not_finite_gives_nothing():
    assert spectrum(lambda v: v * np.nan, 3) is None
    assert spectrum(lambda v: v * np.inf, 300) is None
    assert spectrum(lambda v: v, 0) is None


def test_following_a_direction():
    free = np.full(1, np.inf)
    step, gain = follow(lambda x: float((x[0] - 3) ** 2), np.zeros(1), np.ones(1), -free, free)
    assert step > 0 and 0 < gain <= 9
    step, gain = follow(lambda x: float((x[0] + 3) ** 2), np.zeros(1), np.ones(1), -free, free)
    assert step < 0 and gain > 4
    assert follow(lambda x: float(x[0] ** 2), np.zeros(1), np.ones(1), -free, free) == (0.0, 0.0)
    # A bound ends the way.
    _, gain = follow(lambda x: float(-x[0]), np.zeros(1), np.ones(1), -free, np.array([2.0]))
    assert gain == pytest.approx(2.0)
