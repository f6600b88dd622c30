"""The methods on public tables, judged by conditions and duals that the tests write down themselves."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from scipy.linalg import solveh_banded

from optdsl.methods.composite.driver import drive
from optdsl.methods.composite.losses import Absolute, Length, Positive
from optdsl.methods.composite.problem import Composite
from optdsl.methods.composite.table import METHODS, Row, row_of, rows_of
from optdsl.methods.driver import Ending, Limits
from tests.methods.composite.problems import DATA, cancer, composite, dense, lasso, logistic, picked, wine

SHARP = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}


def made(row: Row) -> Any:
    return row.factory(**{o.name: o.default for o in row.options})


def minimizer(row: Row, problem: Composite) -> np.ndarray:
    """The point that a method ends at, converged, with its bound below."""
    outcome = drive(made(row), problem, Limits(row.iterations))
    assert outcome.ending is Ending.CONVERGED, (row.name, outcome.ending)
    assert outcome.bound <= outcome.value * (1 + 1e-12) + 1e-12
    return outcome.x


def taking(problem: Composite) -> list[Row]:
    return [row for row in METHODS if not row.refuses(problem)]


every = pytest.mark.parametrize("row", METHODS, ids=lambda row: row.name)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("ridge", [0.0, 5.0], ids=["lasso", "elastic net"])
@every
def test_lasso_and_elastic_net_by_their_conditions(row: Row, share: float, ridge: float) -> None:
    """x_j'(y - X w) - ridge w_j = charge sign(w_j) where w_j is not 0, within [-charge, charge] elsewhere."""
    problem = lasso(share, ridge)
    if row.refuses(problem):
        pytest.skip("not for it")
    X, y = wine()
    charge = problem.absolute[0]
    w = minimizer(row, problem)
    slopes = X.T @ (y - X @ w) - ridge * w
    used = np.abs(w) > 1e-9
    assert 0 < used.sum() < len(w) if share >= 0.1 else used.any()
    assert np.abs(slopes[used] - charge * np.sign(w[used])).max() <= 1e-4 * charge
    assert np.abs(slopes).max() <= charge * (1 + 1e-4)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@every
def test_l1_logistic_regression_by_its_conditions(row: Row, share: float) -> None:
    problem = logistic(share)
    if row.refuses(problem):
        pytest.skip("not for it")
    X, s = cancer()
    charge = problem.absolute[0]
    w = minimizer(row, problem)
    slopes = (X * s[:, None]).T @ (1 / (1 + np.exp(s * (X @ w))))
    used = np.abs(w) > 1e-9
    assert 0 < used.sum() < len(w)
    assert np.abs(slopes[used] - charge * np.sign(w[used])).max() <= 1e-4 * charge
    assert np.abs(slopes).max() <= charge * (1 + 1e-4)


@every
def test_ridge_regression_in_closed_form(row: Row) -> None:
    problem = lasso(0.0, 3.0)
    X, y = wine()
    w = minimizer(row, problem)
    assert w == pytest.approx(np.linalg.solve(X.T @ X + 3.0 * np.eye(X.shape[1]), X.T @ y), abs=1e-4)


@pytest.mark.parametrize("name", ["proximal_newton", "accelerated_proximal_gradient"])
def test_nonnegative_least_squares_by_lawson_and_hanson(name: str) -> None:
    from scipy.optimize import nnls

    X, y = wine()
    problem = composite(dense(X, -y), lower=0.0)
    w = minimizer(row_of(name), problem)
    assert (w >= 0).all()
    assert w == pytest.approx(nnls(X, y)[0], abs=1e-5)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_group_lasso_by_its_conditions(share: float) -> None:
    """X_g'(y - X w) = charge w_g / |w_g| for groups that are used, shorter than charge for the others.

    Yuan and Lin 2006, proposition 1.
    """
    X, y = wine()
    groups = np.arange(12).reshape(4, 3)
    charge = share * float(np.linalg.norm((X.T @ y)[groups], axis=1).max())
    problem = composite(dense(X, -y), picked(np.arange(12), 12, Length(3), charge))
    assert [row.name for row in taking(problem)] == ["augmented_newton"]
    w = minimizer(row_of("augmented_newton"), problem)
    slopes = (X.T @ (y - X @ w))[groups]
    sizes = np.linalg.norm(w[groups], axis=1)
    for slope, part, size in zip(slopes, w[groups], sizes, strict=True):
        if size > 1e-7:
            assert slope == pytest.approx(charge * part / size, abs=1e-3 * charge)
        else:
            assert np.linalg.norm(slope) <= charge * (1 + 1e-4)
    assert (sizes > 1e-7).any()


@pytest.mark.parametrize("charge", [0.05, 0.5, 2.0])
def test_total_variation_by_its_dual(charge: float) -> None:
    """min |y - x|^2 / 2 + charge |D x|_1 has the dual min |y - D'z|^2 / 2, |z| <= charge, and x = y - D'z."""
    y = np.loadtxt(DATA / "denoise" / "signal.csv", delimiter=",", skiprows=1)[:, -1]
    n = len(y)
    D = np.diff(np.eye(n), axis=0)
    problem = composite(dense(np.eye(n), -y), dense(D, 0.0, Absolute(), charge))
    x = minimizer(row_of("augmented_newton"), problem)
    z = _boxed_dual(y, charge)
    assert x == pytest.approx(y - D.T @ z, abs=1e-5)


def _boxed_dual(y: np.ndarray, charge: float) -> np.ndarray:
    """The dual's minimizer (n - 1,) by guessing which z are at their ends (Hintermueller, Ito and Kunisch 2002)."""
    n = len(y)
    D = np.diff(np.eye(n), axis=0)
    Q, q = D @ D.T, D @ y
    z, multiplier = np.zeros(n - 1), np.zeros(n - 1)
    for _ in range(100):
        high, low = multiplier + (z - charge) > 0, multiplier + (z + charge) < 0
        z = np.where(high, charge, np.where(low, -charge, 0.0))
        free = ~(high | low)
        if free.any():
            some = Q[np.ix_(free, free)]
            bands = np.array([np.diag(some), np.append(np.diag(some, -1), 0.0)])
            z[free] = solveh_banded(bands, (q - Q @ z)[free], lower=True)
        multiplier = np.where(free, 0.0, q - Q @ z)
        if ((multiplier + (z - charge) > 0) == high).all() and ((multiplier + (z + charge) < 0) == low).all():
            assert np.abs(z).max() <= charge + 1e-12
            return z
    raise AssertionError("the guesses do not settle")


@pytest.mark.parametrize("ridge", [1.0, 30.0])
def test_support_vector_machine_by_its_quadratic_program(ridge: float) -> None:
    """min 1'a - ... as a cone program of its own: max 1'a - |M'a|^2 / (2 ridge), 0 <= a <= 1, and w = M'a / ridge."""
    X, s = cancer()
    M = s[:, None] * X
    problem = composite(dense(-M, 1.0, Positive()), ridge=ridge)
    row = row_of("augmented_newton")
    outcome = drive(made(row), problem)
    a = cp.Variable(len(s))
    best = cp.Problem(cp.Maximize(cp.sum(a) - cp.sum_squares(M.T @ a) / (2 * ridge)), [a >= 0, a <= 1]).solve(
        solver=cp.CLARABEL, **SHARP
    )
    assert outcome.ending is Ending.CONVERGED
    assert outcome.value == pytest.approx(best, rel=1e-7)
    assert outcome.x == pytest.approx(M.T @ a.value / ridge, abs=1e-4)


def test_every_method_is_tried_somewhere() -> None:
    problems = [lasso(0.1), lasso(0.0, 3.0), logistic(0.1), composite(dense(np.eye(3), 0.0, Positive()), ridge=1.0)]
    assert {row.name for p in problems for row in taking(p)} == {row.name for row in METHODS}
    assert rows_of(problems[0]) == 178
