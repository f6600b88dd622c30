"""Constraints during training: bounds, simplices, balls and chains by projection, other rows by multipliers."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from optdsl.methods.linear_sets import linear_sets
from optdsl.methods.projections import Chains, Groups, SimpleSet, no_groups, onto_chains
from optdsl.methods.stochastic.estimators import StochasticMethod, full_rows
from optdsl.methods.stochastic.feasible import Box, Simple
from optdsl.methods.stochastic.rows import violation
from optdsl.methods.stochastic.run import Hooks, TrainingSettings
from optdsl.methods.stochastic.schedules import schedule_of
from optdsl.methods.stochastic.train import train
from optdsl.methods.stochastic.updates import SGD, AdaGrad, Adam, Lion, NAdam, RMSProp, Update
from tests.methods.stochastic.sums import Sum, least_squares, logistic

NONE = np.zeros(0)
PLAIN = StochasticMethod("sgd", SGD())
ADAM = StochasticMethod("adam", Adam())


def pooled(x: np.ndarray) -> np.ndarray:
    """Isotonic regression by its min-max formula (Robertson, Wright and Dykstra 1988, theorem 1.4.4)."""
    n = len(x)
    means = np.array([[x[a : b + 1].mean() if b >= a else np.nan for b in range(n)] for a in range(n)])
    return np.array([max(min(means[a, b] for b in range(i, n)) for a in range(i + 1)) for i in range(n)])


@given(
    st.lists(st.lists(st.floats(-1e3, 1e3).map(lambda v: round(v, 3)), min_size=1, max_size=7), min_size=1, max_size=5)
)
@settings(max_examples=150, deadline=None)
def test_chains_are_pooled(chains: list[list[float]]) -> None:
    x = np.concatenate(chains)
    groups = np.repeat(np.arange(len(chains)), [len(chain) for chain in chains])
    found = onto_chains(x, groups)
    expected = np.concatenate([pooled(np.array(chain)) for chain in chains])
    np.testing.assert_allclose(found, expected, atol=1e-9)
    again = onto_chains(expected, groups)
    np.testing.assert_allclose(again, expected, atol=1e-9)


def test_members_that_need_not_move_keep_every_bit() -> None:
    x = np.array([0.1, 0.2, 0.3, 7.0, 1e9 + 0.1, 5.0, 4.0])
    found = onto_chains(x, np.array([0, 0, 0, 0, 0, 1, 1]))
    np.testing.assert_array_equal(found, [0.1, 0.2, 0.3, 7.0, 1e9 + 0.1, 4.5, 4.5])


def chain_set(n: int, lower: float = -np.inf, upper: float = np.inf) -> SimpleSet:
    chain = Chains(np.arange(n), np.zeros(n, dtype=int), np.append(np.arange(n - 1), -1), np.ones(n))
    sides = (np.full(n, lower), np.full(n, upper))
    return SimpleSet(*sides, no_groups(), NONE, NONE, no_groups(), NONE, NONE, NONE, chain)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_projection_on_a_chain_within_bounds_is_the_nearest_point(dtype: type) -> None:
    random = np.random.default_rng(0)
    simple = Simple(chain_set(6, -0.5, 0.7))
    rows = [{"type": "ineq", "fun": lambda x: np.diff(x)}]
    for _ in range(10):
        x = random.normal(size=6)
        nearest = minimize(
            lambda y, x=x: ((y - x) ** 2).sum(),
            np.zeros(6),
            method="SLSQP",
            bounds=[(-0.5, 0.7)] * 6,
            constraints=rows,
            options={"ftol": 1e-14},
        ).x
        found = x.astype(dtype)
        simple.project(found)
        assert np.abs(found - nearest).max() < 1e-5


def test_a_set_of_everything() -> None:
    """A simplex, a ball, a chain and a free variable beside each other, in both types."""
    lower = np.array([0, 0, 0, -np.inf, -np.inf, 0.5, 0.5, -np.inf])
    upper = np.full(8, np.inf)
    integers = np.zeros(2, dtype=int)
    everything = SimpleSet(
        lower,
        upper,
        Groups(np.array([0, 1, 2]), np.zeros(3, dtype=int), np.array([0])),
        np.array([1.0]),
        np.array([1.0]),
        Groups(np.array([3, 4]), integers, np.array([1])),
        np.array([1.0, 1.0]),
        np.array([2.0]),
        np.array([2.0]),
        Chains(np.array([6, 5]), integers, np.array([2, -1]), np.ones(2)),
    )
    x = np.array([0.5, 0.8, -3.0, 7.0, 1.0, 2.0, 3.0, -9.0])
    expected = np.array([0.35, 0.65, 0.0, 3.0, 1.0, 2.5, 2.5, -9.0])
    np.testing.assert_allclose(everything.project(x), expected)
    for dtype in (np.float64, np.float32):
        found = x.astype(dtype)
        Simple(everything).project(found)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert found.dtype == dtype


def test_bounds_hold_in_float32_too() -> None:
    """0.1 and 0.7 are no float32 numbers: the nearest ones lie outside, and must not be used."""
    lower, upper = np.array([0.1, 0.7, -np.inf, 0.3]), np.array([0.1000001, 0.7, 0.7, 0.3])
    for value in (-9.0, 9.0):
        x = np.full(4, value, dtype=np.float32)
        Box(lower, upper).project(x)
        exact = x.astype(np.float64)
        assert (exact[[0, 2]] <= upper[[0, 2]]).all()
        assert exact[0] >= lower[0]
        assert np.abs(exact[[1, 3]] - [0.7, 0.3]).max() < 1e-7
    problem = least_squares(dtype=np.float32, lower=-0.1, upper=0.7)
    run = train(problem, ADAM, TrainingSettings(schedule_of("0.05"), batch=20, epochs=20))
    assert run.x.min() == -0.1 or run.x.max() == 0.7
    assert ((run.x >= -0.1) & (run.x <= 0.7)).all()


# ------------------------------------------------------------------------------------------- recognition of rows


def recognized(matrix, row_lower, row_upper, lower=None, upper=None) -> tuple[SimpleSet, list[bool]]:
    matrix = sp.csr_array(np.array(matrix, dtype=float))
    n = matrix.shape[1]
    lower = np.full(n, -np.inf) if lower is None else np.array(lower, dtype=float)
    upper = np.full(n, np.inf) if upper is None else np.array(upper, dtype=float)
    found, taken = linear_sets(matrix, np.array(row_lower, dtype=float), np.array(row_upper, dtype=float), lower, upper)
    return found, taken.tolist()


INF = np.inf


def test_simplices_are_found() -> None:
    matrix = [[2, 2, 0, 0, 0], [0, 0, -1, -1, 0], [0, 0, 1, 0, 1], [1, 0, 0, 2, 0]]
    found, taken = recognized(matrix, [2, -3, 0, -INF], [2, -3, 1, 5], lower=np.zeros(5))
    assert taken == [True, True, False, False]
    assert found.totals.tolist() == [1, 3]
    np.testing.assert_allclose(found.project(np.array([5.0, 0, 1, 1, -2])), [1, 0, 1.5, 1.5, 0])


@pytest.mark.parametrize(
    ("matrix", "low", "high", "lower", "upper"),
    [
        ([[1, 2]], [1], [1], [0, 0], None),
        ([[1, 1]], [1], [2], [0, 0], None),
        ([[1, 1]], [1], [1], [0, -1], None),
        ([[1, 1]], [1], [1], [0, 0], [0.5, 9]),
        ([[1, 1]], [-1], [-1], [0, 0], None),
        ([[1, 1, 0], [0, 1, 1]], [1, 1], [1, 1], [0, 0, 0], None),
    ],
    ids=["weights", "inequality", "lower", "upper", "negative", "shared"],
)
def test_what_is_no_simplex(matrix, low, high, lower, upper) -> None:
    found, taken = recognized(matrix, low, high, lower, upper)
    assert not any(taken)
    assert len(found.totals) == 0


def test_chains_are_found_whatever_their_rows_look_like() -> None:
    """x3 <= x0 <= x4 by rows with other signs, sides and factors; x1 <= x2 beside it; x5 in no row."""
    matrix = [[-2, 0, 0, 2, 0, 0], [-1, 0, 0, 0, 1, 0], [0, 3, -3, 0, 0, 0]]
    found, taken = recognized(matrix, [-INF, 0, -INF], [0, INF, 0])
    assert taken == [True, True, True]
    chains = [found.chains.variables[found.chains.groups == group].tolist() for group in range(2)]
    assert sorted(chains) == [[1, 2], [3, 0, 4]]
    x = np.array([3.0, 5.0, 1.0, 6.0, 0.0, -8.0])
    np.testing.assert_allclose(found.project(x), [3, 3, 3, 3, 3, -8])


def test_long_chains_are_in_their_order() -> None:
    random = np.random.default_rng(1)
    order = random.permutation(100)
    matrix = np.zeros((98, 100))
    for row, (small, large) in enumerate(itertools.pairwise(order)):
        if row < 98:
            matrix[row, small], matrix[row, large] = 1, -1
    found, taken = recognized(matrix[random.permutation(98)], [-INF] * 98, [0] * 98)
    assert all(taken)
    assert found.chains.variables.tolist() == order[:99].tolist()


@pytest.mark.parametrize(
    ("matrix", "low", "high", "lower"),
    [
        ([[1, -1, 0], [1, 0, -1]], [-INF] * 2, [0] * 2, None),
        ([[1, -1, 0], [0, 1, -1], [-1, 0, 1]], [-INF] * 3, [0] * 3, None),
        ([[1, -1, 0]], [-INF], [1], None),
        ([[1, -1, 0]], [0], [0], None),
        ([[1, -2, 0]], [-INF], [0], None),
        ([[1, -1, 0]], [-INF], [0], [0, 1, 0]),
        ([[1, 1, 0]], [-INF], [0], None),
    ],
    ids=["fork", "circle", "shifted", "equal", "weights", "bounds", "sum"],
)
def test_what_is_no_chain(matrix, low, high, lower) -> None:
    found, taken = recognized(matrix, low, high, lower)
    assert not any(taken)
    assert len(found.chains.variables) == 0


def test_a_simplex_whose_members_are_in_other_rows_is_still_one() -> None:
    found, taken = recognized([[1, 1, 1], [1, -1, 0], [3, 2, 1]], [1, -INF, 0], [1, 0, 2], np.zeros(3))
    assert taken == [True, False, False]
    assert len(found.totals) == 1


def test_no_rows() -> None:
    found, taken = recognized(np.zeros((0, 3)), [], [])
    assert taken == []
    np.testing.assert_array_equal(found.project(np.array([1.0, 2.0, 3.0])), [1, 2, 3])


# --------------------------------------------------------------------------------------- training within sets


def minimum(problem: Sum, **more) -> np.ndarray:
    """The minimum over all members by an independent solver."""
    bounds = list(zip(problem.lower, problem.upper, strict=True))
    options = {"maxiter": 500, "ftol": 1e-15}
    return minimize(
        problem.objective, problem.start, jac=problem.gradient, method="SLSQP", bounds=bounds, options=options, **more
    ).x


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_weights_on_a_simplex(dtype: type) -> None:
    problem = least_squares(dtype=dtype, lower=0.0, start=np.full(5, 0.2))
    simplex, taken = linear_sets(sp.csr_array(np.ones((1, 5))), np.ones(1), np.ones(1), problem.lower, problem.upper)
    assert taken.all()
    run = train(
        problem,
        PLAIN,
        TrainingSettings(schedule_of("cosine(0.3)"), batch=20, epochs=60),
        Hooks(feasible=Simple(simplex)),
    )
    expected = minimum(problem, constraints=[{"type": "eq", "fun": lambda x: x.sum() - 1}])
    assert run.x.sum() == pytest.approx(1.0, abs=1e-12)
    assert run.x.min() >= 0
    assert np.abs(run.x - expected).max() < 0.01


def test_monotone_weights() -> None:
    problem = least_squares(members=400, n=6)
    run = train(
        problem,
        ADAM,
        TrainingSettings(schedule_of("cosine(0.05)"), batch=20, epochs=60),
        Hooks(feasible=Simple(chain_set(6))),
    )
    expected = minimum(problem, constraints=[{"type": "ineq", "fun": lambda x: np.diff(x)}])
    assert (np.diff(run.x) >= 0).all()
    assert np.abs(run.x - expected).max() < 0.02


# ------------------------------------------------------------------------------------------------ rows by multipliers


def with_rows(problem: Sum, rows: list) -> Sum:
    problem.rows = rows
    problem.row_lower = np.array([row[1] for row in rows], dtype=float)
    problem.row_upper = np.array([row[2] for row in rows], dtype=float)
    return problem


def gap(problem: Sum, group: np.ndarray):
    """The difference between the mean scores of two groups, as a sum over the members: a fairness gap."""
    share = np.where(group, 1 / group.sum(), -1 / (~group).sum())

    def terms(x: np.ndarray, numbers: np.ndarray) -> tuple[float, np.ndarray]:
        part = problem.a[numbers]
        return float(share[numbers] @ (part @ x)), part.T @ share[numbers]

    return terms


@pytest.mark.parametrize("method", [PLAIN, StochasticMethod("sgd", SGD(0.9)), ADAM], ids=["sgd", "momentum", "adam"])
@pytest.mark.parametrize("side", ["upper", "both", "equal"])
def test_a_fairness_gap(method: StochasticMethod, side: str) -> None:
    """A gap of the scores is cut to a tenth: the answer is feasible, and nearly the constrained minimum."""
    problem = logistic(members=600, n=4)
    group = problem.a[:, 0] + 0.3 * problem.a[:, 1] > 0.2
    terms = gap(problem, group)
    free = minimum(problem)
    at = terms(free, np.arange(600))[0]
    sides = {"upper": (-np.inf, 0.1), "both": (-0.1, 0.1), "equal": (0.1, 0.1)}[side]
    sign = np.sign(at)
    with_rows(problem, [(lambda x, numbers: tuple(sign * v / abs(at) for v in terms(x, numbers)), *sides)])
    rate = "cosine(0.02)" if method.name == "adam" else "cosine(0.5)" if not method.update.momentum else "cosine(0.05)"
    run = train(problem, method, TrainingSettings(schedule_of(rate), batch=50, epochs=60))
    c = full_rows(problem, run.x, 600)
    assert violation(c, problem.row_lower, problem.row_upper) < 1e-8
    expected = minimum(
        problem, constraints=[{"type": "eq", "fun": lambda x: sign * terms(x, np.arange(600))[0] / abs(at) - 0.1}]
    )
    best, unconstrained = problem.objective(expected), problem.objective(free)
    assert problem.objective(run.x) - best < 0.05 * (best - unconstrained)
    # The sign and size of the multiplier are those of the Lagrangian, in nlp's signs.
    slope, row_slope = problem.gradient(expected), np.zeros(4)
    problem.estimate(expected, slice(None), row_slope, np.ones(1))
    row_slope -= slope
    assert run.row_multipliers[0] == pytest.approx(-(slope @ row_slope) / (row_slope @ row_slope), rel=0.3)


def test_a_row_that_is_not_active_does_nothing() -> None:
    rows = [(lambda x, numbers: (len(numbers) / 300 * float(x @ x), len(numbers) / 300 * 2 * x), -np.inf, 1e4)]
    problem = with_rows(logistic(), rows)
    settings_ = TrainingSettings(schedule_of("0.5"), batch=50, epochs=5)
    run = train(problem, PLAIN, settings_)
    np.testing.assert_array_equal(run.x, train(logistic(), PLAIN, settings_).x)
    assert run.row_multipliers[0] == 0
    assert (run.column("violation") == 0).all()


def test_many_rows_at_once() -> None:
    """A budget on squares, and two averages."""
    problem = least_squares(members=400, n=6)
    means = problem.a.mean(axis=0), problem.b

    def energy(x, numbers):
        part = problem.a[numbers] @ x
        return float(part @ part) / 400, 2 * problem.a[numbers].T @ part / 400

    def linear(row):
        return lambda x, numbers: (len(numbers) / 400 * float(row @ x), len(numbers) / 400 * row)

    first, second = np.array([1.0, 1, 0, 0, 0, 0]), np.array([0, 0, 1.0, -1, 0, 1])
    rows = [(energy, -np.inf, 0.5), (linear(first), 0.2, 0.2), (linear(second), -0.1, 0.3)]
    with_rows(problem, rows)
    run = train(problem, ADAM, TrainingSettings(schedule_of("cosine(0.02)"), batch=40, epochs=80))
    assert violation(full_rows(problem, run.x, 400), problem.row_lower, problem.row_upper) < 1e-8
    everything = np.arange(400)
    expected = minimum(
        problem,
        constraints=[
            {"type": "ineq", "fun": lambda x: 0.5 - energy(x, everything)[0]},
            {"type": "eq", "fun": lambda x: first @ x - 0.2},
            {"type": "ineq", "fun": lambda x: 0.3 - second @ x},
            {"type": "ineq", "fun": lambda x: second @ x + 0.1},
        ],
    )
    free = np.linalg.lstsq(problem.a, problem.b, rcond=None)[0]
    best = problem.objective(expected)
    assert problem.objective(run.x) - best < 0.05 * (best - problem.objective(free))
    assert len(means) == 2


@pytest.mark.parametrize(
    ("update", "rate"),
    [
        (AdaGrad(), "0.3"),
        (RMSProp(), "cosine(0.02)"),
        (Adam(), "cosine(0.02)"),
        (NAdam(), "cosine(0.02)"),
        (Lion(), "cosine(0.01)"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
@pytest.mark.parametrize("kind", ["simplex", "ball", "chain"])
def test_adaptive_steps_rest_at_the_minimum_within_a_set(kind: str, update: Update, rate: str) -> None:
    """Columns of very different size: steps scaled by variable would rest elsewhere (all members in a batch)."""
    problem = least_squares(members=400, n=4, seed=3, start=np.full(4, 0.25))
    problem.a *= np.array([1.0, 3.0, 0.3, 2.0])
    if kind == "simplex":
        problem.lower[:] = 0
    groups = Groups(np.arange(4), np.zeros(4, dtype=int), np.array([0]))
    none, one = no_groups(), np.ones(1)
    sets = {
        "simplex": SimpleSet(problem.lower, problem.upper, groups, one, one, none, NONE, NONE, NONE),
        "ball": SimpleSet(problem.lower, problem.upper, none, NONE, NONE, groups, np.zeros(4), one * 0.4, one),
        "chain": chain_set(4),
    }
    rows = {
        "simplex": {"type": "eq", "fun": lambda x: x.sum() - 1},
        "ball": {"type": "ineq", "fun": lambda x: 0.4**2 - x @ x},
        "chain": {"type": "ineq", "fun": lambda x: np.diff(x)},
    }
    run = train(
        problem,
        StochasticMethod("any", update),
        TrainingSettings(schedule_of(rate), batch=0, epochs=1500),
        Hooks(feasible=Simple(sets[kind])),
    )
    expected = minimum(problem, constraints=[rows[kind]])
    assert np.abs(run.x - expected).max() < 2e-3
    assert np.abs(problem.gradient(expected)).max() > 0.05


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (-0.1, np.inf), (-np.inf, 0.1), (-0.1, 0.1)])
def test_multipliers_of_chains(bounds: tuple[float, float]) -> None:
    """Rows with other factors and sides: at the nearest point of the set the conditions of first order hold."""
    random = np.random.default_rng(7)
    n = 9
    order = random.permutation(n)
    factors = np.array([1.0, -2.0, 3.0, 0.5, -1.0, 1.0, 2.0, -1.0])
    factors[4] = 0  # two chains
    matrix = np.zeros((8, n))
    for row, factor in enumerate(factors):
        matrix[row, order[row]], matrix[row, order[row + 1]] = factor, -factor
    row_lower, row_upper = np.where(factors < 0, 0.0, -INF), np.where(factors < 0, INF, 0.0)
    lower, upper = np.full(n, bounds[0]), np.full(n, bounds[1])
    found, taken = linear_sets(sp.csr_array(matrix), row_lower, row_upper, lower, upper)
    assert taken.tolist() == (factors != 0).tolist()
    for _ in range(20):
        target = random.normal(size=n)
        x = found.project(target)
        y, z = found.multipliers(x, x - target, 8)
        np.testing.assert_allclose(x - target + matrix.T @ y + z, 0, atol=1e-12)
        assert (y * np.sign(factors) >= 0).all()
        assert np.abs(y * (matrix @ x)).max() < 1e-12
        assert ((z <= 0) | (x == upper)).all()
        assert ((z >= 0) | (x == lower)).all()


def test_a_row_that_is_slack_most_of_the_time_does_not_blow_the_penalty_up() -> None:
    """An average over part of the members, at its side only now and then: the run must not be thrown about."""
    import optdsl

    examples = Path(__file__).resolve().parents[3] / "examples"
    text = """
    table digits from "data/digits/digits.csv"
    set ROW from digits
    set PIXEL from columns(digits, "p*")
    set TRAIN = {i in ROW if mod(i, 5) != 0}
    param gray[ROW, PIXEL] from digits
    param digit[ROW] in 0..9 from digits(digit)
    var W1[PIXEL, 1..32] init he
    var b1[1..32] init 0
    var W2[1..32, 0..9] init xavier
    var b2[0..9] init 0
    let logits = relu((gray / 16) @ W1 + b1) @ W2 + b2
    minimize loss: mean(cross_entropy(logits[i, :], digit[i]) for i in TRAIN)
    subject to
      eights: mean(cross_entropy(logits[i, :], digit[i]) for i in TRAIN if digit[i] = 8) <= 0.05
    """
    model = optdsl.parse(text, folder=examples)
    held = model.solve(method="adam", options={"epochs": 40, "batch": 32, "rate": "cosine(0.01)"})
    assert held.status.word == "feasible"
    assert held.objective is not None and held.objective < 1.0
    assert np.nanmax(held.trace.rows[:, held.trace.columns.index("gradient_norm")]) < 1e4
