"""Definiteness by factorization: what is semidefinite passes, one negative eigenvalue is found with its direction."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from optdsl.classify.definite import direction_within, is_semidefinite

SEEDS = range(8)


def judged(matrix: np.ndarray | sp.sparray) -> bool:
    """The verdict; a direction that comes with a `no` must prove it."""
    given = sp.csc_array(matrix)
    good, direction = is_semidefinite(given)
    if good:
        assert direction is None
        return True
    assert direction is not None
    assert direction @ (given @ direction) < 0
    return False


def with_eigenvalues(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(generator.normal(size=(len(values), len(values))))
    matrix = (q * values) @ q.T
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("smallest", [1.0, 1e-6, 0.0, -1e-6, -1e-3, -1.0])
def test_planted_eigenvalue(seed: int, smallest: float) -> None:
    generator = np.random.default_rng(seed)
    values = generator.uniform(0.5, 4, generator.integers(2, 40))
    values[0] = smallest
    assert judged(with_eigenvalues(values, generator)) == (smallest >= 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_scales_do_not_matter(seed: int) -> None:
    generator = np.random.default_rng(seed)
    n = int(generator.integers(2, 30))
    scale = 10.0 ** generator.integers(-6, 7, n)
    factor = generator.normal(size=(max(1, n // 3), n))
    gram = factor.T @ factor
    assert judged(scale[:, None] * gram * scale)
    broken = gram - 1e-4 * np.trace(gram) * np.eye(n)
    assert not judged(scale[:, None] * broken * scale)


@pytest.mark.parametrize("rank", [1, 3, 10])
@pytest.mark.parametrize("n", [20, 900])
def test_gram_matrices_of_low_rank(n: int, rank: int) -> None:
    generator = np.random.default_rng(rank)
    factor = sp.random_array((rank, n), density=min(1.0, 30 / n), rng=generator, format="csr")
    assert judged(factor.T @ factor)


def second_differences(n: int) -> sp.csc_array:
    """The matrix of sum (x[k+1] - x[k])^2: singular, its null vector is constant."""
    steps = sp.diags_array([np.full(n - 1, -1.0), np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n))
    return sp.csc_array(steps.T @ steps)


@pytest.mark.parametrize("n", [5, 150, 700, 3000])
@pytest.mark.parametrize("shift", [0.0, 1e-6, -1e-8, -1e-6, -1e-3])
def test_singular_chains(n: int, shift: float) -> None:
    assert judged(second_differences(n) + shift * sp.eye_array(n)) == (shift >= 0)


@pytest.mark.parametrize("n", [700, 2000])
@pytest.mark.parametrize("size", [1e-2, 1e-6, 1e-8])
def test_one_negative_direction_in_a_large_matrix(n: int, size: float) -> None:
    """A pair of variables somewhere has x^2 + y^2 - 2 (1 + size) x y; the rest is positive definite."""
    matrix = sp.lil_array((n, n))
    matrix.setdiag(1.0)
    matrix[n // 2, n // 3] = matrix[n // 3, n // 2] = -(1 + size)
    assert not judged(matrix)
    matrix[n // 2, n // 3] = matrix[n // 3, n // 2] = -1.0
    assert judged(matrix)


def test_nothing_and_zeros() -> None:
    assert judged(np.zeros((3, 3)))
    assert judged(sp.csc_array((np.zeros(3), ([0, 1, 2], [1, 0, 2])), shape=(3, 3)))  # stored zeros
    assert judged(np.diag([0.0, 2.0, 0.0]))
    assert not judged(np.diag([0.0, 2.0, -1e-12]))
    assert not judged(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert not judged(np.array([[0.0, 1e-3], [1e-3, 5.0]]))


def test_a_direction_of_negative_curvature_keeps_the_equalities() -> None:
    matrix = sp.csc_array(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    same = direction_within(matrix, sp.csr_array(np.array([[1.0, 1.0, 0.0]])))
    assert same is not None and abs(same[0] + same[1]) < 1e-12 and same @ (matrix @ same) < -0.5
    assert direction_within(matrix, sp.csr_array(np.array([[1.0, -1.0, 0.0]]))) is None
    assert direction_within(matrix, sp.csr_array(np.eye(3))) is None
