"""Factors of KKT systems against dense eigenvalues and solutions."""

from __future__ import annotations

import numpy as np
import pytest

from optdsl.methods.linear_algebra.dense import DenseKkt
from optdsl.methods.linear_algebra.sparse import SparseKkt
from optdsl.nlp import Pattern


def random_system(
    seed: int, n: int, m: int, indefinite: bool
) -> tuple[Pattern, Pattern, tuple[np.ndarray, ...]]:
    random = np.random.default_rng(seed)
    h = np.tril(random.normal(size=(n, n)) * (random.random((n, n)) < 0.4))
    j = random.normal(size=(m, n)) * (random.random((m, n)) < 0.5)
    j[:, :m] += 2 * np.eye(m, n)[:, :m]
    hr, hc = np.nonzero(h)
    jr, jc = np.nonzero(j)
    order = random.permutation(len(hr))
    shift = random.random(n) + (0.0 if indefinite else 10.0)
    shift[0] = 1e12
    slack = np.where(random.random(m) < 0.5, 0.0, random.random(m))
    values = (h[hr, hc][order], shift, j[jr, jc], slack)
    return Pattern(hr[order], hc[order], (n, n)), Pattern(jr, jc, (m, n)), values


def whole(hessian: Pattern, jacobian: Pattern, values: tuple[np.ndarray, ...]) -> np.ndarray:
    h = hessian.symmetric(values[0]).toarray() + np.diag(values[1])
    j = jacobian.matrix(values[2]).toarray()
    return np.block([[h, j.T], [j, -np.diag(values[3])]])


@pytest.mark.parametrize("kind", [DenseKkt, SparseKkt])
@pytest.mark.parametrize("indefinite", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_inertia_and_solution(kind: type, indefinite: bool, seed: int) -> None:
    hessian, jacobian, values = random_system(seed, 9, 4, indefinite)
    system = kind(hessian, jacobian)
    matrix = whole(hessian, jacobian, values)
    # Twice: the second time with the patterns' work done.
    for factor in (3.0, 1.0):
        scaled = (values[0] * factor, *values[1:])
        matrix = whole(hessian, jacobian, scaled)
        inertia = system.factorize(*scaled)
        scale = 1 / np.sqrt(np.maximum(1.0, np.abs(matrix).max(axis=0)))
        assert inertia.negative == int((np.linalg.eigvalsh(matrix * scale * scale[:, None]) < 0).sum())
        assert not inertia.singular
        right = np.cos(np.arange(13.0))
        solution, ratio = system.solve(right)
        assert ratio <= 1e-9
        assert matrix @ solution == pytest.approx(right, abs=1e-6)


@pytest.mark.parametrize("kind", [DenseKkt])
def test_dependent_rows_are_singular(kind: type) -> None:
    hessian = Pattern(np.arange(3), np.arange(3), (3, 3))
    jacobian = Pattern(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), (2, 3))
    system = kind(hessian, jacobian)
    assert system.factorize(np.ones(3), np.zeros(3), np.array([1.0, 2.0, 3.0, 6.0]), np.zeros(2)).singular


@pytest.mark.parametrize("kind", [DenseKkt, SparseKkt])
@pytest.mark.parametrize("barrier", [1e6, 1e12, 1e16])
def test_row_that_meets_a_huge_diagonal_is_not_singular(kind: type, barrier: float) -> None:
    """An equality that holds a variable at its bound: its pivot is -1 / barrier, far from rounding once scaled."""
    hessian = Pattern(np.arange(2), np.arange(2), (2, 2))
    jacobian = Pattern(np.array([0]), np.array([0]), (1, 2))
    inertia = kind(hessian, jacobian).factorize(
        np.ones(2), np.array([barrier, 0.0]), np.array([1.0]), np.zeros(1)
    )
    assert inertia.negative == 1
    assert not inertia.singular


def test_indefinite_with_zero_diagonal_is_solved_by_pivoting() -> None:
    """Variables without curvature: every diagonal entry is zero, where plain LDL' would divide by it."""
    hessian = Pattern(np.array([1]), np.array([0]), (2, 2))
    jacobian = Pattern(np.array([0]), np.array([0]), (1, 2))
    values = (np.array([1.0]), np.zeros(2), np.array([1.0]), np.zeros(1))
    for kind in (DenseKkt, SparseKkt):
        system = kind(hessian, jacobian)
        system.factorize(*values)
        right = np.array([1.0, 2.0, 3.0])
        matrix = whole(hessian, jacobian, values)
        if abs(np.linalg.det(matrix)) > 1e-12:
            assert matrix @ system.solve(right)[0] == pytest.approx(right, abs=1e-6)
