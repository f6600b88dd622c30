"""The CVXPY route: values, duals by first-order conditions and differences, against HiGHS, limits, certificates."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from optdsl.convex.cones import ConeSession, solve_cvxpy
from optdsl.convex.highs import solve_highs
from optdsl.convex.program import Program, RawStatus, Squares
from optdsl.convex.rays import proves_infeasible, proves_unbounded
from optdsl.errors import OptionError

from .problems import inf, make, moved, optimality, random_program, scipy_value, value, violation


@pytest.mark.parametrize("solver", [None, "OSQP", "SCS", "HIGHS"])
@pytest.mark.parametrize("seed", [200, 201, 202])
def test_convex_quadratic(solver: str | None, seed: int) -> None:
    program = random_program(seed, quadratic=True)
    answer = solve_cvxpy(program, solver)
    assert answer.status is RawStatus.OPTIMAL
    assert answer.solver == (solver or "CLARABEL")
    assert violation(program, answer.x) < 1e-7
    assert optimality(program, answer.x, answer.row_dual, answer.reduced_cost) < 1e-6
    if solver is None:
        assert len(answer.trace.rows) > 2
        assert answer.trace.rows[-1, 1] == pytest.approx(value(program, answer.x), rel=1e-6)


def test_each_dual_of_a_quadratic_is_the_rate_of_change() -> None:
    program = random_program(203, count=8, rows=6, quadratic=True)
    answer = solve_cvxpy(program)
    step = 1e-4
    parts = [("row", i, answer.row_dual[i]) for i in range(6) if program.row_lower[i] == program.row_upper[i]]
    activity = program.matrix @ answer.x
    for i in range(6):
        for part in ("row_lower", "row_upper"):
            if program.row_lower[i] < program.row_upper[i] and np.isfinite(getattr(program, part)[i]):
                near = abs(activity[i] - getattr(program, part)[i]) < 1e-7
                parts.append((part, i, answer.row_dual[i] if near else 0.0))
    for j in range(8):
        for part in ("lower", "upper"):
            near = abs(answer.x[j] - getattr(program, part)[j]) < 1e-7
            parts.append((part, j, answer.reduced_cost[j] if near else 0.0))
    for part, index, dual in parts:
        up, down = (solve_cvxpy(moved(program, part, index, sign * step)) for sign in (1, -1))
        rate = (value(program, up.x) - value(program, down.x)) / (2 * step)
        assert rate == pytest.approx(dual, abs=1e-4), (part, index)


@pytest.mark.parametrize("solver", [None, "CLARABEL", "SCS", "SCIP"])
@pytest.mark.parametrize("seed", [3, 4])
def test_lp_agrees_with_highs(solver: str | None, seed: int) -> None:
    program = random_program(seed)
    answer, reference = solve_cvxpy(program, solver), solve_highs(program)
    assert answer.status is reference.status is RawStatus.OPTIMAL
    assert value(program, answer.x) == pytest.approx(value(program, reference.x), abs=1e-6)
    if solver != "SCIP":
        assert answer.row_dual == pytest.approx(reference.row_dual, abs=1e-5)
        assert answer.reduced_cost == pytest.approx(reference.reduced_cost, abs=1e-5)


@pytest.mark.parametrize("solver", [None, "SCIP"])
def test_milp_agrees_with_scipy(solver: str | None) -> None:
    program = random_program(104, integers=6)
    answer, reference = solve_cvxpy(program, solver), solve_highs(program)
    assert answer.status is RawStatus.OPTIMAL
    assert value(program, answer.x) == pytest.approx(scipy_value(program), abs=1e-6)
    assert answer.duals_with_integers_fixed
    assert answer.row_dual == pytest.approx(reference.row_dual, abs=1e-6)
    assert answer.bound is None or answer.bound <= value(program, answer.x) + 1e-6


@pytest.mark.parametrize("seed", [300, 301, 302])
def test_quadratic_with_integers_against_enumeration(seed: int) -> None:
    program = random_program(seed, count=6, rows=3, integers=3, quadratic=True)
    answer = solve_cvxpy(program)
    assert answer.status is RawStatus.OPTIMAL
    assert violation(program, answer.x) < 1e-7
    ranges = [np.arange(program.lower[j], program.upper[j] + 1) for j in range(3)]
    best = inf
    for whole in itertools.product(*ranges):
        fixed = np.array([*whole, 0.0, 0.0, 0.0])
        point = solve_highs(
            replace(
                program,
                lower=np.where(program.integer, fixed, program.lower),
                upper=np.where(program.integer, fixed, program.upper),
                integer=np.zeros(6, bool),
            )
        )
        if point.status is RawStatus.OPTIMAL:
            best = min(best, value(program, point.x))
    assert value(program, answer.x) == pytest.approx(best, abs=1e-5)
    assert answer.bound == pytest.approx(best, abs=1e-4)
    assert answer.duals_with_integers_fixed
    fixed_program = replace(
        program,
        lower=np.where(program.integer, answer.x, program.lower),
        upper=np.where(program.integer, answer.x, program.upper),
    )
    assert optimality(fixed_program, answer.x, answer.row_dual, answer.reduced_cost) < 1e-6


@pytest.mark.parametrize("solver", [None, "OSQP", "SCS", "HIGHS"])
def test_unbounded_quadratic_has_a_ray(solver: str | None) -> None:
    program = make([[1, 1]], [-1, 0], [(1, inf)], [(-inf, inf)] * 2, squares=([[1, -1]], [0.0], [1.0]))
    answer = solve_cvxpy(program, solver)
    assert answer.status is RawStatus.UNBOUNDED
    assert proves_unbounded(program, answer.ray)


@pytest.mark.parametrize("solver", [None, "OSQP", "SCS", "HIGHS"])
def test_infeasible_quadratic_has_multipliers(solver: str | None) -> None:
    rows = [(1.5, inf), (-inf, -1.2)]
    program = make([[1, 1], [1, -1]], [-1, 0], rows, [(0, 1), (0, 1)], quadratic=[[2, 0], [0, 4]])
    answer = solve_cvxpy(program, solver)
    assert answer.status is RawStatus.INFEASIBLE
    assert proves_infeasible(program, answer.farkas)


def test_integers_infeasible_and_unbounded() -> None:
    flat = ([[1, -1]], [0.0], [1.0])
    unbounded = make([[1, -1]], [-1, 0], [(0, 0)], integer=[0], squares=flat)
    assert solve_cvxpy(unbounded).status is RawStatus.UNBOUNDED
    infeasible = make([[2, -2]], [1, 0], [(1, 1)], [(0, 5)] * 2, integer=[0, 1], squares=flat)
    assert solve_cvxpy(infeasible).status is RawStatus.INFEASIBLE


@pytest.mark.parametrize(
    ("program", "status"),
    [
        (make([[1, 1]], [1, 1], [(0, 1)], [(2, 1), (0, 1)], quadratic=np.eye(2)), RawStatus.INFEASIBLE),
        (make(np.zeros((1, 0)), [], [(0, 1)]), RawStatus.OPTIMAL),
        (make([], [1, 1], bounds=[(-inf, inf)] * 2, quadratic=np.eye(2)), RawStatus.OPTIMAL),
        (make([[1, np.nan]], [1, 1], [(0, 1)], quadratic=np.eye(2)), RawStatus.NUMERICAL_ERROR),
        (make([[1e-14, 1]], [1, 1], [(1, 1)], quadratic=np.eye(2)), RawStatus.OPTIMAL),
    ],
)
def test_edges(program: Program, status: RawStatus) -> None:
    assert solve_cvxpy(program).status is status


def test_fixed_variables_have_reduced_costs() -> None:
    program = make([[1, 1]], [0, 0], [(1, inf)], [(0.25, 0.25), (0, inf)], quadratic=2 * np.eye(2))
    answer = solve_cvxpy(program)
    assert answer.x == pytest.approx([0.25, 0.75])
    assert answer.row_dual == pytest.approx([1.5])
    assert answer.reduced_cost == pytest.approx([-1.0, 0.0], abs=1e-8)


def test_many_squares_are_not_multiplied_out() -> None:
    rng = np.random.default_rng(0)
    factor, offset = rng.normal(size=(20_000, 10)), rng.normal(size=20_000)
    program = make([], np.zeros(10), bounds=[(-inf, inf)] * 10)
    program = replace(program, squares=Squares(sp.csr_array(factor), offset, np.ones(20_000)))
    answer = solve_cvxpy(program)
    assert answer.x == pytest.approx(np.linalg.lstsq(factor, -offset)[0], abs=1e-7)


def test_session_equals_fresh_solves() -> None:
    program = random_program(205, quadratic=True)
    session = ConeSession(program)
    for shift in (0.0, 0.1):
        session.update(cost=program.cost + shift)
        fresh = solve_cvxpy(replace(program, cost=program.cost + shift))
        assert session.solve().x == pytest.approx(fresh.x, abs=1e-8)


def test_stop_and_limits() -> None:
    program = random_program(206, count=300, rows=200, quadratic=True)
    answer = solve_cvxpy(program, options={"max_iter": 2})
    assert answer.status is RawStatus.ITERATION_LIMIT
    assert answer.x is not None
    hard = random_program(303, count=60, rows=30, integers=60, quadratic=True)
    news = []
    began = time.perf_counter()
    answer = solve_cvxpy(hard, progress=news.append, stop=lambda: time.perf_counter() > began + 2)
    assert answer.status is RawStatus.INTERRUPTED
    assert time.perf_counter() - began < 90
    assert solve_cvxpy(hard, time_limit=0.5).status is RawStatus.TIME_LIMIT


def test_an_inaccurate_end_calls_a_second_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    import optdsl.convex.cones as cones

    genuine = cones.run_solver

    def sloppy(program: Program, settings: cones.ConeSettings, *rest: object) -> object:
        run = genuine(program, settings, *rest)
        return replace(run, status=RawStatus.INACCURATE) if settings.solver == "CLARABEL" else run

    monkeypatch.setattr(cones, "run_solver", sloppy)
    program = random_program(207, quadratic=True)
    answer = solve_cvxpy(program)
    assert answer.status is RawStatus.OPTIMAL
    assert answer.solver == "HIGHS"
    assert "CLARABEL ended inaccurately" in answer.message
    assert solve_cvxpy(program, "CLARABEL").status is RawStatus.INACCURATE


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="did you mean `CLARABEL`"):
        solve_cvxpy(make([[1]], [1], [(1, 2)]), options={"solver": "CLARABLE"})
