"""The parts that methods are combined from: searches, subproblems, programs, projections, many starts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy

from optdsl.methods.driver import Ending, Limits, drive
from optdsl.methods.goldfarb_idnani import minimize_quadratic
from optdsl.methods.lbfgsb import cauchy_point, compact
from optdsl.methods.levenberg_marquardt import LevenbergMarquardt
from optdsl.methods.multistart import multistart, scattered_starts
from optdsl.methods.penalized import Absolute, Multipliers, Penalized
from optdsl.methods.projections import onto_simplices, simple_set
from optdsl.methods.searches import Armijo, Ray, StrongWolfe
from optdsl.methods.subproblems import exact_step, steihaug_step
from optdsl.methods.sums_of_squares import SumsOfSquares
from optdsl.methods.trust_region import TrustRegion
from optdsl.methods.variable_projection import linear_parameters
from tests.methods import problems_catalogue as catalogue
from tests.methods.symbolic import SymbolicNlp, program

seeds = pytest.mark.parametrize("seed", range(40))

# ------------------------------------------------------------------------------------------------------------ searches


@pytest.mark.parametrize("search", [Armijo(), StrongWolfe(), StrongWolfe(curvature=0.1)])
@pytest.mark.parametrize("first", [1e-6, 1e-2, 1.0, 30.0])
def test_searches_end_with_enough_decrease(search: Armijo | StrongWolfe, first: float) -> None:
    problem = program(1, lambda x: -sympy.log(x[0]) + x[0] ** 2 - sympy.log(3 - x[0]), start=(2.9,))
    x = problem.start
    with np.errstate(all="ignore"):
        g = problem.gradient(x)
        slope = float(g @ -g)
        f = problem.objective(x)
        trial = search.along(Ray(problem, x, -g, f, slope, f), first)
    assert trial is not None and trial.gradient is not None
    assert trial.value <= f + 1e-4 * trial.step * slope
    if isinstance(search, StrongWolfe):
        assert abs(trial.slope) <= search.curvature * abs(slope)


# --------------------------------------------------------------------------------------------------------- subproblems


@seeds
def test_exact_steps_are_global_minimizers_in_the_ball(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 7))
    basis = np.linalg.qr(random.normal(size=(n, n)))[0]
    values = random.normal(size=n) * 10.0 ** random.integers(-2, 3)
    if seed % 4 == 0:
        values = np.round(values)
    B = (basis * values) @ basis.T
    B = 0.5 * (B + B.T)
    g = random.normal(size=n)
    if seed % 3 == 0:
        # The hard case: no part of g along the lowest eigenvector.
        lowest = np.linalg.eigh(B)[1][:, 0]
        g -= lowest * (lowest @ g)
    delta = 10.0 ** random.integers(-2, 2)
    step = exact_step(B, g, delta)
    assert np.linalg.norm(step.p) <= delta * (1 + 1e-9)
    fall = -(g @ step.p + 0.5 * step.p @ B @ step.p)
    assert step.fall == pytest.approx(fall, rel=1e-8, abs=1e-10)
    # More and Sorensen, lemma 2.1: (B + sigma I) p = -g with sigma >= 0 and B + sigma I positive semidefinite.
    sigma = float(-(step.p @ (B @ step.p + g)) / max(step.p @ step.p, 1e-300))
    size = max(1.0, float(np.abs(values).max()), float(np.linalg.norm(g)) / delta)
    assert np.abs(B @ step.p + sigma * step.p + g).max() <= 1e-6 * size
    assert sigma >= -1e-9 * size and np.linalg.eigvalsh(B)[0] + sigma >= -1e-7 * size
    other = steihaug_step(B.__matmul__, g, delta, 1e-12, 5 * n)
    assert np.linalg.norm(other.p) <= delta * (1 + 1e-9) and -1e-12 <= other.fall <= step.fall * (1 + 1e-8) + 1e-9


@seeds
def test_the_cauchy_point_is_the_first_minimizer_along_the_projected_gradient(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, k = 12, int(random.integers(0, 5))
    Y = random.normal(size=(n, k))
    A = random.normal(size=(n, n))
    H = A @ A.T / n + 0.1 * np.eye(n)
    model = compact(Y, H @ Y)
    assert model is not None
    g = random.normal(size=n)
    lower, upper = -random.random(n), random.random(n)
    lower[:3], upper[3:6] = -math.inf, math.inf
    lower[6], upper[7] = 0.0, 0.0
    z, c = cauchy_point(model, g, lower, upper)
    assert np.allclose(c, model.W.T @ z)

    def q(t: float) -> float:
        s = np.clip(-t * g, lower, upper)
        return float(g @ s + 0.5 * s @ model.product(s))

    grid = np.linspace(0, 20, 20001)
    values = np.array([q(t) for t in grid])
    rises = np.flatnonzero(np.diff(values) > 0)
    first = int(rises[0]) if len(rises) else len(grid) - 1
    assert float(g @ z + 0.5 * z @ model.product(z)) <= values[first] + 1e-9
    nearest = np.abs(np.clip(-np.outer(grid[max(first - 1, 0) : first + 2], g), lower, upper) - z).max(axis=1).min()
    assert nearest <= 2e-3 * np.abs(g).max()


# ------------------------------------------------------------------------------------------------------------ programs


@seeds
def test_quadratic_programs_satisfy_their_conditions(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 10))
    equalities, inequalities = int(random.integers(0, n)), int(random.integers(0, 20))
    A = random.normal(size=(n, n))
    G = A @ A.T + 10.0 ** random.integers(-5, 1) * np.eye(n)
    g = random.normal(size=n) * 10.0 ** random.integers(-2, 3)
    C = random.normal(size=(equalities + inequalities, n))
    if seed % 2:
        C[equalities:] = np.round(C[equalities:])
    b = C @ random.normal(size=n)
    b[equalities:] -= random.random(inequalities) * (random.random(inequalities) < 0.5)
    if equalities and seed % 3 == 0:
        # Dependent equalities that agree.
        C, b = np.vstack([C[:1] * 2, C]), np.append(2 * b[:1], b)
        equalities += 1
    L = np.linalg.cholesky(G)
    found = minimize_quadratic(L, g, C, b, equalities)
    assert found is not None
    x, u = found.x, found.multipliers
    size = max(1.0, np.abs(g).max(), np.abs(u).max(initial=0.0))
    assert np.abs(G @ x + g - C.T @ u).max() <= 1e-7 * size
    slack = C @ x - b
    assert np.abs(slack[:equalities]).max(initial=0.0) <= 1e-7 * max(1.0, np.abs(x).max())
    assert slack[equalities:].min(initial=0.0) >= -1e-8 * max(1.0, np.abs(x).max())
    assert u[equalities:].min(initial=0.0) >= 0
    assert np.abs(u[equalities:] * slack[equalities:]).max(initial=0.0) <= 1e-6 * size
    warm = minimize_quadratic(L, g, C, b, equalities, tuple(i for i in found.active if i >= equalities))
    assert warm is not None and np.allclose(warm.x, x, atol=1e-6 * max(1.0, np.abs(x).max()))


def test_contradictions_in_a_program_are_seen() -> None:
    L, g = np.eye(2), np.zeros(2)
    assert minimize_quadratic(L, g, np.array([[1.0, 0], [-1, 0]]), np.array([1.0, 1]), 0) is None
    assert minimize_quadratic(L, g, np.array([[1.0, 1], [2, 2]]), np.array([1.0, 3]), 2) is None


# --------------------------------------------------------------------------------------------------------- projections


@seeds
def test_projections_onto_simplices_satisfy_their_conditions(seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = random.integers(0, 4, 30)
    groups[:4] = range(4)
    x = 10.0 ** random.integers(-3, 4) * random.normal(size=30)
    totals = np.array([0.0, 1.0, 5.0, 1e-3])
    p = onto_simplices(x, groups, totals)
    assert (p >= 0).all() and np.bincount(groups, p) == pytest.approx(totals, abs=1e-9 * max(1, np.abs(x).max()))
    for k in range(4):
        inner, theta = (groups == k) & (p > 0), x - p
        if inner.any():
            level = theta[inner].mean()
            assert np.allclose(theta[inner], level, atol=1e-9 * max(1, np.abs(x).max()))
            assert (x[(groups == k) & (p == 0)] <= level + 1e-9 * max(1, np.abs(x).max())).all()


def test_simplices_and_balls_are_found_among_rows() -> None:
    inf = math.inf
    rows = [
        (3, lambda x: 2 * x[0] + 2 * x[1] + 1, 3),
        (-inf, lambda x: 5 * (x[2] - 1) ** 2 + 5 * (x[3] + 2) ** 2, 20),
    ]
    bounds = [(0, inf), (0, 1), (-inf, inf), (-inf, inf)]
    found = simple_set(program(4, lambda x: x[0], rows, bounds, (0, 0, 0, 0)))
    assert found is not None
    assert found.project(np.array([2.0, 0, 4, -2])) == pytest.approx([1, 0, 3, -2])
    shared = [*rows, (-inf, lambda x: x[0] + x[2], 1)]
    skew = [(-inf, lambda x: x[2] ** 2 + 2 * x[3] ** 2, 1)]
    short = [(0, lambda x: x[0] + x[1], 3)]
    for others in (shared, skew, short):
        assert simple_set(program(4, lambda x: x[0], others, bounds, (0, 0, 0, 0))) is None


# ------------------------------------------------------------------------------------------------------------ penalties


@pytest.mark.parametrize("shape", [Multipliers(np.array([0.3, -0.2, 0.5]), 3.0), Absolute(2.0, 0.1)])
def test_derivatives_of_penalized_problems_are_those_of_their_values(shape: Multipliers | Absolute) -> None:
    inf = math.inf
    rows = [
        (1, lambda x: x[0] * x[1], 1),
        (-inf, lambda x: sympy.exp(x[0]) - x[1], 0.5),
        (0.2, lambda x: x[0] ** 2 + x[1] ** 3, 2),
    ]
    inner = program(2, lambda x: x[0] ** 2 * x[1], rows, start=(0.7, 1.2))
    problem = Penalized(inner, shape, np.array([1.0, 0.5, 2.0]), 0.7, inner.start)
    x, h = inner.start, 1e-6
    units = np.eye(2)
    slope = [(problem.objective(x + h * e) - problem.objective(x - h * e)) / (2 * h) for e in units]
    assert problem.gradient(x) == pytest.approx(slope, rel=1e-6, abs=1e-6)
    bend = np.array([(problem.gradient(x + h * e) - problem.gradient(x - h * e)) / (2 * h) for e in units])
    assert problem.hessian_pattern is not None
    none = np.zeros(0)
    assert problem.hessian_pattern.symmetric(problem.hessian(x, none)).toarray() == pytest.approx(bend, rel=1e-5)
    assert problem.hessian_product(x, none, units[1]) == pytest.approx(bend[1], rel=1e-5)


# ------------------------------------------------------------------------------------------------------ least squares


def test_linear_parameters_are_found() -> None:
    assert linear_parameters(catalogue.exponential_fit()).tolist() == [True, False]
    assert linear_parameters(catalogue.sigmoid_fit()).tolist() == [True, False, False]
    # A bounded one is left alone, and of two that multiply each other one.
    assert not linear_parameters(catalogue.held_fit()).any()
    product = catalogue.squares(lambda x: [x[0] * x[1] - 1, x[0] - x[1], x[2] + x[0] - 2], (0.5, 0.5, 0.5))
    assert linear_parameters(product).sum() == 2
    assert not linear_parameters(catalogue.powell_singular())[2]


@pytest.mark.parametrize(
    ("make", "certified"),
    [
        (catalogue.exponential_fit, (2.3894212918, 0.55015643181)),
        (catalogue.sigmoid_fit, (0.72462237576, 2.6180768402, 0.67359200066)),
    ],
)
@pytest.mark.parametrize("method", [LevenbergMarquardt(), SumsOfSquares(), LevenbergMarquardt(geodesic=True)])
def test_fits_have_the_certified_digits(
    make: object, certified: tuple[float, ...], method: LevenbergMarquardt | SumsOfSquares
) -> None:
    outcome = drive(method, make())  # type: ignore[operator]
    assert outcome.ending is Ending.CONVERGED
    assert outcome.x == pytest.approx(certified, rel=1e-9)


def test_evaluations_of_residuals_count() -> None:
    outcome = drive(LevenbergMarquardt(), catalogue.beale())
    assert outcome.evaluations["objective"] > outcome.iterations / 2 and outcome.evaluations["gradient"] > 1
    assert outcome.trace[-1, 6] == outcome.evaluations["objective"]


def test_newton_takes_over_where_residuals_stay_large() -> None:
    def r(x: tuple[sympy.Symbol, ...]) -> list[sympy.Expr]:
        return [2 + 2 * i - sympy.exp(i * x[0]) - sympy.exp(i * x[1]) for i in range(1, 11)]

    # MGH 6, Jennrich and Sampson.
    alone = drive(LevenbergMarquardt(), catalogue.squares(r, (0.3, 0.4)), Limits(300))
    together = drive(SumsOfSquares(), catalogue.squares(r, (0.3, 0.4)), Limits(300))
    assert alone.ending is not Ending.CONVERGED and together.ending is Ending.CONVERGED
    assert together.record.objective == pytest.approx(124.362182, rel=1e-7)


# --------------------------------------------------------------------------------------------------------- many starts


class Waves:
    """x^4 - 8 x^2 + y^2 with its minima at (2, 0) and (-2, 0); a class, so that it can be sent to a process."""

    def __new__(cls) -> SymbolicNlp:  # type: ignore[misc]
        bounds = [(-4, 4), (-math.inf, math.inf)]
        return program(2, lambda x: x[0] ** 4 - 8 * x[0] ** 2 + x[0] + x[1] ** 2, (), bounds, (0.1, 0))


def test_many_starts_find_all_minima_and_count_them() -> None:
    found = multistart(Waves(), TrustRegion(), starts=32, seed=3)  # type: ignore[arg-type]
    assert found.starts == found.feasible == 32
    assert [round(float(c.outcome.x[0]), 2) for c in found.clusters] == [-2.03, 1.97]
    assert sum(c.count for c in found.clusters) == 32 and min(c.count for c in found.clusters) > 5
    assert found.best is found.clusters[0].outcome


def test_many_starts_in_processes_find_the_same() -> None:
    alone = multistart(Waves(), TrustRegion(), starts=8, seed=3)  # type: ignore[arg-type]
    shared = multistart(Waves(), TrustRegion(), starts=8, seed=3, workers=3, worth=0.0)  # type: ignore[arg-type]
    assert [(c.count, c.first) for c in alone.clusters] == [(c.count, c.first) for c in shared.clusters]
    assert np.array_equal(alone.best.x, shared.best.x)


def test_scattered_starts_lie_within_bounds_and_repeat() -> None:
    inf = math.inf
    bounds = [(-1, 2), (0, inf), (-inf, 5), (-inf, inf), (3, 3)]
    problem = program(5, lambda x: x[0], (), bounds, (0, 1, 1, 1, 3))
    one, other = (scattered_starts(problem, 40, 7) for _ in range(2))
    assert np.array_equal(one, other) and not np.array_equal(one, scattered_starts(problem, 40, 8))
    assert one.shape == (40, 5) and np.array_equal(one[0], problem.start)
    assert (one >= problem.lower).all() and (one <= problem.upper).all()
    # Several scales where there is no bound.
    away = np.abs(one[1:, 3] - 1)
    assert (away < 1).any() and (away > 100).any()


def test_a_budget_of_seconds_ends_many_starts() -> None:
    found = multistart(Waves(), TrustRegion(), starts=500, seed=1, seconds=0.0)  # type: ignore[arg-type]
    assert found.starts == 1
