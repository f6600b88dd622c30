"""The iterations of every solver: where they come from may change with its next version, and must not go unnoticed."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from optdsl.convex import clarabel_run, cvxpy_run, highs_run, osqp_run, scs_run
from optdsl.convex.cones import solve_cvxpy
from optdsl.convex.highs import solve_highs
from optdsl.convex.program import AffineRows, Cone, Program, Progress, RawAnswer, RawStatus

from .cone_problems import EXPONENTIAL, NORM, SEMIDEFINITE, random_cones
from .problems import inf, random_program, value


def check(answer: RawAnswer, program: Program, columns: tuple[str, ...], least: int) -> np.ndarray:
    """The trace's rows: as many as wanted, counting up, ending at the optimum."""
    assert answer.status is RawStatus.OPTIMAL
    assert answer.trace.columns == columns
    rows = answer.trace.rows
    assert len(rows) >= least
    assert (np.diff(rows[:, 0]) >= 0).all()
    assert (np.diff(rows[:, -1]) >= 0).all()
    assert rows[-1, 1] == pytest.approx(value(program, answer.x), rel=1e-5, abs=1e-5)
    return rows


@pytest.mark.parametrize("way", [False, True])
def test_clarabel(way: bool) -> None:
    program = replace(random_cones(2, (NORM, EXPONENTIAL, SEMIDEFINITE)), constant=100.0)
    answer = solve_cvxpy(program, "CLARABEL", through_cvxpy=way)
    rows = check(answer, program, clarabel_run.COLUMNS, 5)
    assert rows[-1, 0] == answer.iterations
    assert (rows[-1, 2:5] < 1e-6).all()
    assert rows[0, 4] > 1e-3
    assert (rows[1:, 5] > 0).any()


def test_scs() -> None:
    program = replace(random_program(11, count=150, rows=110), constant=100.0)
    answer = solve_cvxpy(program, "SCS")
    rows = check(answer, program, scs_run.COLUMNS, 2)
    assert rows[-1, 0] == answer.iterations > scs_run.CHUNK
    assert (rows[-1, 2:5] < 1e-6).all()


def test_osqp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(osqp_run, "CHUNK", 50)
    program = replace(random_program(17, count=80, rows=60, quadratic=True), constant=100.0)
    answer = solve_cvxpy(program, "OSQP")
    rows = check(answer, program, osqp_run.COLUMNS, 2)
    assert rows[-1, 0] == answer.iterations > osqp_run.CHUNK
    assert (rows[-1, 2:4] < 1e-6).all()


@pytest.mark.parametrize("direct", [False, True])
def test_highs_simplex(direct: bool) -> None:
    program = replace(random_program(13, count=150, rows=110), constant=100.0)
    answer = solve_highs(program) if direct else solve_cvxpy(program, "HIGHS")
    rows = check(answer, program, highs_run.SIMPLEX_COLUMNS, 2)
    assert rows[-1, 0] > 50
    assert rows[-1, 2] == 0


@pytest.mark.parametrize("direct", [False, True])
def test_highs_quadratic(direct: bool) -> None:
    program = replace(random_program(14, count=40, rows=20, quadratic=True), constant=100.0)
    answer = solve_highs(program) if direct else solve_cvxpy(program, "HIGHS")
    assert answer.status is RawStatus.OPTIMAL
    assert len(answer.trace.rows) >= 1
    assert answer.trace.rows[-1, 1] == pytest.approx(value(program, answer.x), rel=1e-5, abs=1e-3)


@pytest.mark.parametrize("direct", [False, True])
def test_highs_branch_and_bound(direct: bool) -> None:
    program = replace(hard_integers(), constant=100.0)
    answer = solve_highs(program) if direct else solve_cvxpy(program, "HIGHS")
    rows = check(answer, program, highs_run.MIP_COLUMNS, 2)
    assert np.nanmax(rows[:, 2]) <= rows[-1, 1] + 1e-6
    assert rows[-1, 3] < 1e-4


def test_a_line_of_highss_log() -> None:
    log = """
        Nodes      |    B&B Tree     |            Objective Bounds            |  Dynamic Constraints |       Work
Src  Proc. InQueue |  Leaves   Expl. | BestBound       BestSol            Gap |   Cuts   InLp Confl. | LpIters     Time

         0       0         0   0.00%   -162.9631281    inf                inf        0      0      0         0     0.0s
 L       0       0         0   0.00%   -15.5           3.5              Large        0      0      5        29     0.1s
 T   12.3k     621       153  12.50%   -14.25         -14               1.79%      853     20   1667     21633     5.0s
"""
    trace = highs_run.trace_of_log(log, True, 1.0)
    nan = float("nan")
    expected = [[0, nan, -161.9631281, nan, 0], [0, 4.5, -14.5, nan, 0.1], [12300, -13, -13.25, 0.0179, 5]]
    assert trace.rows == pytest.approx(np.array(expected), nan_ok=True)


def test_scip() -> None:
    program = replace(random_cones(0, (NORM,)), constant=100.0)
    integer = np.arange(6) < 3
    program = replace(program, integer=integer, lower=program.lower - 5 * integer, upper=program.upper + 5 * integer)
    answer = solve_cvxpy(program, "SCIP")
    rows = check(answer, program, cvxpy_run.SCIP_COLUMNS, 1)
    assert np.nanmax(rows[:, 2]) <= rows[-1, 1] + 1e-5


def hard_integers() -> Program:
    """A knapsack with several rows that needs more than a root node."""
    rng = np.random.default_rng(5)
    weights = rng.integers(10, 100, (4, 30)).astype(float)
    count = 30
    return Program(
        cost=-(weights.sum(axis=0) / 4 + rng.integers(0, 10, count)),
        constant=0.0,
        matrix=sp.csr_array(weights),
        row_lower=np.full(4, -inf),
        row_upper=weights.sum(axis=1) / 2,
        lower=np.zeros(count),
        upper=np.ones(count),
        integer=np.ones(count, bool),
    )


# ---------------------------------------------------------------------------------------------- stops, limits, news


def large_norms() -> Program:
    """Norms over shared variables: seconds of work for any solver."""
    rng = np.random.default_rng(6)
    lanes, count = 3000, 400
    total = count + lanes
    inner = sp.random_array((3 * lanes, count), density=0.05, rng=rng, format="csr")
    inner = sp.csr_array(sp.hstack([inner, sp.csr_array((3 * lanes, lanes))]))
    outer = sp.csr_array(sp.hstack([sp.csr_array((lanes, count)), sp.eye_array(lanes)]))
    cone = Cone(NORM, (AffineRows(outer, np.zeros(lanes)), AffineRows(inner, rng.normal(size=3 * lanes))), None, 3)
    none = np.zeros(0)
    wide = np.full(total, inf)
    cost = np.concatenate([np.zeros(count), np.ones(lanes)])
    return Program(cost, 0.0, sp.csr_array((0, total)), none, none, -wide, wide, np.zeros(total, bool), cones=(cone,))


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_stops_limits_and_news_with_cones(solver: str) -> None:
    program, news = large_norms(), []
    began = time.perf_counter()
    stopped = solve_cvxpy(program, solver, stop=lambda: bool(news), progress=news.append, tolerance=1e-14)
    assert stopped.status is RawStatus.INTERRUPTED
    assert stopped.x is not None
    assert isinstance(news[0], Progress)
    assert time.perf_counter() - began < 90
    limited = solve_cvxpy(program, solver, time_limit=0.2, tolerance=1e-14)
    assert limited.status is RawStatus.TIME_LIMIT
    few = solve_cvxpy(program, solver, options={"max_iter": 3})
    assert few.status is RawStatus.ITERATION_LIMIT
    assert few.iterations <= 3


def test_osqp_obeys() -> None:
    program = random_program(12, count=80, rows=60)
    few = solve_cvxpy(program, "OSQP", options={"max_iter": 50, "tol": 1e-13})
    assert few.status is RawStatus.ITERATION_LIMIT
    assert few.iterations == 50
    stopped = solve_cvxpy(program, "OSQP", stop=lambda: True, tolerance=1e-14)
    assert stopped.status in (RawStatus.INTERRUPTED, RawStatus.OPTIMAL)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    program = random_cones(2, (NORM, EXPONENTIAL, SEMIDEFINITE))
    for solver in ("CLARABEL", "SCS"):
        solve_cvxpy(program, solver)
    for solver in ("OSQP", "HIGHS", "SCIP"):
        solve_cvxpy(random_program(12), solver)
    solve_cvxpy(hard_integers(), "HIGHS")
    assert capfd.readouterr() == ("", "")
