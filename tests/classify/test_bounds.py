"""Bounds that rows imply: they never cut off a point, and find what is there to find."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from optdsl.classify.bounds import Propagated, Rows, product, propagate
from optdsl.classify.implied import Catalog, least

ENDS = st.sampled_from([-np.inf, -7.3, -2.0, -1.0, -0.1, 0.0, 0.0, 0.1, 1.0, 3.0, 1e3, np.inf])
COEFFICIENTS = st.sampled_from([-3.0, -1.0, -1.0, -0.1, 0.3, 1.0, 1.0, 1.0, 2.0, 1e4])


def rows_of(matrix: np.ndarray, low: np.ndarray, high: np.ndarray) -> Rows:
    count = len(matrix)
    return Rows(sp.csr_array(matrix), low, high, np.zeros(count), np.arange(count))


@st.composite
def systems(draw) -> tuple[np.ndarray, np.ndarray, Rows]:  # type: ignore[no-untyped-def]
    n, count = draw(st.integers(1, 5)), draw(st.integers(0, 6))
    ends = np.array(draw(st.lists(st.tuples(ENDS, ENDS), min_size=n, max_size=n)))
    lower, upper = np.minimum(ends[:, 0], ends[:, 1]), np.maximum(ends[:, 0], ends[:, 1])
    lower[lower == np.inf] = -np.inf
    upper[upper == -np.inf] = np.inf
    matrix = np.zeros((count, n))
    sides = np.zeros((count, 2))
    for k in range(count):
        for j in draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=3)):
            matrix[k, j] = draw(COEFFICIENTS)
        kind = draw(st.sampled_from(["<=", ">=", "=", "both"]))
        a, b = sorted(draw(st.tuples(ENDS, ENDS)))
        a, b = (0.0 if not np.isfinite(v) else v for v in (a, b))
        sides[k] = {"<=": (-np.inf, b), ">=": (a, np.inf), "=": (a, a), "both": (a, b)}[kind]
    return lower, upper, rows_of(matrix, sides[:, 0], sides[:, 1])


def extreme(cost: np.ndarray, lower: np.ndarray, upper: np.ndarray, rows: Rows) -> float | None:
    """The least value of cost @ x on D by HiGHS; None where D is empty."""
    matrix = rows.matrix.toarray()
    has_high, has_low = np.isfinite(rows.high), np.isfinite(rows.low)
    bounds = np.column_stack([lower, upper])
    whole = {"bounds": bounds, "method": "highs"}
    if has_high.any() or has_low.any():
        whole["A_ub"] = np.vstack([matrix[has_high], -matrix[has_low]])
        whole["b_ub"] = np.concatenate([rows.high[has_high], -rows.low[has_low]])
    if linprog(np.zeros(len(cost)), **whole).status == 2:
        return None
    answer = linprog(cost, **whole)
    return answer.fun if answer.status == 0 else -np.inf


@settings(max_examples=400, deadline=None)
@given(systems())
def test_propagation_cuts_off_no_point(system: tuple[np.ndarray, np.ndarray, Rows]) -> None:
    lower, upper, rows = system
    found = propagate(lower, upper, rows)
    for j in range(len(lower)):
        unit = np.eye(len(lower))[j]
        least_value = extreme(unit, lower, upper, rows)
        if least_value is None:
            return
        assert found is not None, "a contradiction is claimed, but there is a point"
        largest = -extreme(-unit, lower, upper, rows)  # type: ignore[operator]
        room = 1e-6 * (1 + abs(least_value if np.isfinite(least_value) else 0))
        assert found.lower[j] <= least_value + room
        assert found.upper[j] >= largest - 1e-6 * (1 + abs(largest if np.isfinite(largest) else 0))
        assert found.lower[j] >= lower[j] and found.upper[j] <= upper[j]


@settings(max_examples=300, deadline=None)
@given(systems(), st.lists(COEFFICIENTS, min_size=5, max_size=5))
def test_bounds_of_expressions_cut_off_no_point(
    system: tuple[np.ndarray, np.ndarray, Rows], coefficients: list[float]
) -> None:
    lower, upper, rows = system
    cost = np.array(coefficients[: len(lower)])
    value = least(sp.csr_array(cost[None, :]), Catalog(rows), lower, upper).value[0]
    exact = extreme(cost, lower, upper, rows)
    if exact is not None:
        assert value <= exact + 1e-6 * (1 + abs(exact if np.isfinite(exact) else 0))


@settings(max_examples=200, deadline=None)
@given(systems(), st.lists(COEFFICIENTS, min_size=5, max_size=5))
def test_one_row_and_a_box_give_the_best_bound(
    system: tuple[np.ndarray, np.ndarray, Rows], coefficients: list[float]
) -> None:
    lower, upper, rows = system
    if not rows.matrix.shape[0]:
        return
    one = Rows(sp.csr_array(rows.matrix[[0]]), rows.low[:1], rows.high[:1], rows.error[:1], rows.origin[:1])
    cost = np.array(coefficients[: len(lower)])
    exact = extreme(cost, lower, upper, one)
    box = propagate(lower, upper, one)
    if exact is None or box is None or np.count_nonzero(cost) < 2 or one.matrix.nnz < 2:
        return
    value = least(sp.csr_array(cost[None, :]), Catalog(one), box.lower, box.upper).value[0]
    if np.isfinite(exact):
        assert value >= exact - 1e-6 * (1 + abs(exact))


def chain(count: int) -> Propagated:
    """x[0] >= 1, x[k + 1] >= x[k]."""
    matrix = np.eye(count) - np.eye(count, k=-1)
    low = np.zeros(count)
    low[0] = 1.0
    found = propagate(
        np.full(count, -np.inf), np.full(count, np.inf), rows_of(matrix, low, np.full(count, np.inf))
    )
    assert found is not None
    return found


def test_a_sign_is_exact_after_several_rounds() -> None:
    assert (chain(8).lower == 1.0).all()


def test_rounds_are_few() -> None:
    assert chain(150).lower[-1] == 1.0
    assert chain(1000).lower[-1] == -np.inf


def test_one_endless_term_is_bounded_by_the_others() -> None:
    rows = rows_of(np.array([[1.0, 2.0, -1.0]]), np.array([-np.inf]), np.array([4.0]))
    found = propagate(np.array([0.0, -np.inf, 0.0]), np.array([1.0, np.inf, 3.0]), rows)
    assert found is not None
    assert found.upper.tolist() == [1.0, 3.5, 3.0] and found.lower[1] == -np.inf


def test_two_endless_terms_bound_nothing() -> None:
    rows = rows_of(np.array([[1.0, 1.0]]), np.array([0.0]), np.array([1.0]))
    found = propagate(np.full(2, -np.inf), np.full(2, np.inf), rows)
    assert found is not None and not np.isfinite(np.concatenate([found.lower, found.upper])).any()


def test_contradictory_rows_are_told() -> None:
    rows = rows_of(np.array([[1.0], [1.0]]), np.array([1.0, -np.inf]), np.array([np.inf, -1.0]))
    assert propagate(np.array([-np.inf]), np.array([np.inf]), rows) is None


@pytest.mark.parametrize("scale", [0.1, 1 / 3, 1e-7, 1e9])
def test_rounding_is_outward(scale: float) -> None:
    """3 scale x >= scale: the bound may not exceed a third, whatever the rounding of the data."""
    rows = rows_of(np.array([[3 * scale]]), np.array([scale]), np.array([np.inf]))
    found = propagate(np.array([-np.inf]), np.array([np.inf]), rows)
    assert found is not None
    # exactly: found * (3 scale) <= scale in rational arithmetic
    assert Fraction(float(found.lower[0])) * Fraction(3 * scale) <= Fraction(scale)
    assert found.lower[0] == pytest.approx(1 / 3, rel=1e-14)


@given(st.floats(-1e10, 1e10), st.floats(-1e10, 1e10))
def test_exact_products_are_exact(left: float, right: float) -> None:
    result, exact = product(np.array([left]), np.array([right]))
    if exact[0]:
        assert Fraction(left) * Fraction(right) == Fraction(float(result[0]))
