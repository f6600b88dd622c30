"""Outer approximation against the enumeration of all integer points, each solved as a conic program."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import cvxpy
import numpy as np
import pytest

import optdsl
from optdsl.answer.status import Guarantee, Status
from optdsl.convex.cones import solve_cvxpy
from optdsl.convex.cuts import cuts_of_multipliers, tangents, thin
from optdsl.convex.duality import value_of
from optdsl.convex.outer import solve_outer
from optdsl.convex.program import ConeKind, Program, RawStatus
from optdsl.errors import OptionError

from .cone_problems import (
    EXPONENTIAL,
    NORM,
    POWER,
    SEMIDEFINITE,
    SQUARE,
    cone,
    free,
    interior,
    near_edge,
    outside,
    random_cones,
    rows,
)

inf = np.inf
KINDS: dict[str, tuple[ConeKind, ...]] = {
    "norm": (NORM,),
    "square": (SQUARE,),
    "exponential": (EXPONENTIAL,),
    "power": (POWER,),
    "semidefinite": (SEMIDEFINITE,),
    "exponential and norm": (EXPONENTIAL, NORM),
    "power and square": (POWER, SQUARE),
    "all": (EXPONENTIAL, POWER, SEMIDEFINITE, NORM, SQUARE),
}


def with_integers(program: Program, seed: int, count: int = 3) -> Program:
    """The first columns whole, within bounds that hold some integers; the equality row gets room."""
    rng = np.random.default_rng(seed)
    which = np.arange(len(program.cost)) < count
    middle = np.round((program.lower + program.upper) / 2)
    lower = np.where(which, middle - 1 - rng.integers(0, 2, len(which)), program.lower)
    upper = np.where(which, middle + 1 + rng.integers(0, 2, len(which)), program.upper)
    row_upper = np.where(program.row_lower == program.row_upper, program.row_upper + 2.0, program.row_upper)
    return replace(program, integer=which, lower=lower, upper=upper, row_upper=row_upper)


def enumerated(program: Program) -> float:
    """The least value over all integer points; infinite where none is feasible."""
    which = np.flatnonzero(program.integer)
    choices = [np.arange(program.lower[j], program.upper[j] + 1) for j in which]
    best = inf
    for point in itertools.product(*choices):
        lower, upper = program.lower.copy(), program.upper.copy()
        lower[which] = upper[which] = point
        fixed = replace(program, lower=lower, upper=upper, integer=np.zeros_like(program.integer))
        answer = solve_cvxpy(fixed, "CLARABEL")
        if answer.status is RawStatus.OPTIMAL:
            best = min(best, value_of(program, answer.x))
    return best


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_against_enumeration(name: str, seed: int) -> None:
    program = with_integers(random_cones(seed, KINDS[name], quadratic=seed == 2), seed)
    expected = enumerated(program)
    answer = solve_outer(program)
    if expected == inf:
        assert answer.status is RawStatus.INFEASIBLE
        return
    assert answer.status is RawStatus.OPTIMAL, answer.message
    assert answer.x is not None and answer.bound is not None
    assert value_of(program, answer.x) == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert answer.bound <= expected + 1e-5 * max(1.0, abs(expected))
    assert (answer.x[program.integer] == np.round(answer.x[program.integer])).all()
    assert outside(program, answer.x) <= 1e-6
    assert answer.duals_with_integers_fixed and answer.row_dual is not None


def test_the_trace_has_both_bounds() -> None:
    program = with_integers(random_cones(1, KINDS["exponential and norm"]), 1)
    answer = solve_outer(program)
    objective, bound = (answer.trace.rows[:, answer.trace.columns.index(c)] for c in ("objective", "bound"))
    assert len(objective) == answer.iterations >= 1
    known = ~np.isnan(bound)
    assert (np.diff(bound[known]) >= -1e-9).all()  # the bound never falls
    later = objective[~np.isnan(objective)]
    assert (np.diff(later) <= 1e-9).all()  # the best value never rises
    assert later[-1] - bound[-1] <= 1e-6 * max(1.0, abs(later[-1]))


# --------------------------------------------------------------------------------------------------------- cuts


@pytest.mark.parametrize("name", KINDS)
def test_cuts_hold_on_the_cones(name: str) -> None:
    """Tangents at any point, in or out of the cones, hold at points that are in all of them."""
    rng = np.random.default_rng(7)
    program = random_cones(5, KINDS[name])
    inside = [
        answer.x
        for k in range(12)
        if (answer := solve_cvxpy(replace(program, cost=rng.normal(size=len(program.cost))), "CLARABEL")).x is not None
    ]
    assert len(inside) >= 10
    wide = thin(program)
    for _ in range(20):
        at = rng.normal(scale=3.0, size=len(program.cost))
        cuts = tangents(wide.program, wide.lift(at))
        for x in inside:
            assert (cuts.matrix @ wide.lift(x) >= cuts.lower - 1e-6).all()


@pytest.mark.parametrize("kind", [NORM, SQUARE, EXPONENTIAL, POWER, SEMIDEFINITE])
def test_tangents_cut_off_points_outside(kind: ConeKind) -> None:
    """The point itself misses one of its tangents when it is outside of the cone, and only then."""
    rng = np.random.default_rng(11)
    lanes, exponent = 40, 0.2 + 0.6 * rng.random(40)
    size = 2 if kind is NORM else 3 if kind is SEMIDEFINITE else 0
    for inside in (True, False):
        values = interior(kind, rng, lanes, exponent)
        if not inside:
            flat = [v + rng.normal(scale=3.0, size=len(v)) for v in values]
            if kind is SEMIDEFINITE:
                block = flat[0].reshape(lanes, 3, 3)
                flat = [((block + block.transpose(0, 2, 1)) / 2).reshape(-1)]
            values = tuple(flat)
        for k in range(lanes):
            alone = [v.reshape(lanes, -1)[k] for v in values]
            width = sum(len(v) for v in alone)
            starts = np.cumsum([0, *(len(v) for v in alone)])
            parts = [rows(np.eye(width)[a:b]) for a, b in itertools.pairwise(starts)]
            one = cone(kind, *parts, exponent=[exponent[k]] if kind is POWER else None, size=size)
            program = free(np.zeros(width), one)
            x = np.concatenate(alone)
            missed = tangents(program, x).missed(x, 1e-9)
            assert (len(missed.lower) > 0) == (outside(program, x) > 1e-9)


@pytest.mark.parametrize("kind", [NORM, SQUARE, EXPONENTIAL, POWER, SEMIDEFINITE])
def test_cuts_of_multipliers(kind: ConeKind) -> None:
    """What multipliers of a solved program give holds on the edge of each cone."""
    rng = np.random.default_rng(3)
    program = random_cones(4, (kind,))
    answer = solve_cvxpy(program, "CLARABEL")
    one = program.cones[0]
    for _ in range(30):
        exponent = np.zeros(one.lanes) if one.exponent is None else one.exponent
        values = near_edge(one, rng, exponent)
        products = sum(
            (d.reshape(one.lanes, -1) * v.reshape(one.lanes, -1)).sum(axis=1)
            for d, v in zip(answer.cone_duals[0], values, strict=True)
        )
        assert (products >= -1e-6 * sum(np.abs(v).reshape(one.lanes, -1).sum(axis=1) for v in values)).all()
    cuts = cuts_of_multipliers(program, answer.cone_duals)
    assert (cuts.matrix @ answer.x >= cuts.lower - 1e-6).all()


# --------------------------------------------------------------------------------------------------------- ends


def test_no_integer_point() -> None:
    """exp(x) between 1.2 and 2 leaves x in (0.18, 0.69)."""
    one = cone(EXPONENTIAL, rows([[1.0, 0.0]]), rows([[0.0, 0.0]], [1.0]), rows([[0.0, 1.0]]))
    program = free([1.0, 0.0], one, matrix=[[0.0, 1.0]], sides=[(-inf, 2.0)], bounds=[(0.2, inf), (-inf, inf)])
    program = replace(program, integer=np.array([True, False]))
    assert solve_outer(program).status is RawStatus.INFEASIBLE


def test_integers_without_bounds() -> None:
    """min exp(x) - 10 x over all integers: x = 2 (e² - 20) against x = 3 (e³ - 30)."""
    one = cone(EXPONENTIAL, rows([[1.0, 0.0]]), rows([[0.0, 0.0]], [1.0]), rows([[0.0, 1.0]]))
    program = replace(free([-10.0, 1.0], one), integer=np.array([True, False]))
    answer = solve_outer(program)
    assert answer.status is RawStatus.OPTIMAL and answer.x is not None
    assert answer.x[0] == 2 and value_of(program, answer.x) == pytest.approx(np.exp(2) - 20)


def test_limits_and_interruption() -> None:
    program = replace(random_cones(2, KINDS["exponential and norm"], count=12, lanes=8), row_lower=np.full(3, -inf))
    program = with_integers(replace(program, row_upper=program.row_upper + 5.0), 2, count=9)
    few = solve_outer(program, options={"max_iter": 1})
    assert few.status is RawStatus.ITERATION_LIMIT and few.bound is not None
    began = time.perf_counter()
    stopped = solve_outer(program, stop=lambda: time.perf_counter() - began > 0.0)
    assert stopped.status is RawStatus.INTERRUPTED
    late = solve_outer(program, time_limit=1e-3)
    assert late.status is RawStatus.TIME_LIMIT
    with pytest.raises(OptionError, match="no option"):
        solve_outer(program, options={"sover": "SCIP"})


def test_progress_is_told() -> None:
    heard = []
    solve_outer(with_integers(random_cones(1, KINDS["power"]), 1), progress=heard.append)
    assert heard and heard[-1].bound is not None and heard[-1].objective is not None


def test_without_integers_it_is_a_conic_program() -> None:
    program = random_cones(3, KINDS["exponential"])
    reference = solve_cvxpy(program)
    assert value_of(program, solve_outer(program).x) == pytest.approx(value_of(program, reference.x), rel=1e-7)


# ---------------------------------------------------------------------------------------------------- from texts


def _texts() -> dict[str, tuple[str, list[range], object]]:
    """Texts, the ranges of their integers, and the problem with the integers as numbers, for CVXPY."""
    x = cvxpy.Variable()
    y = cvxpy.Variable(2)
    return {
        "exponential": (
            "var k integer, in [0, 9]\nvar y >= 0\nminimize exp(0.3 * k) + (y - 2.5)^2\n"
            "subject to\n  c: k + y >= 7.3",
            [range(10)],
            lambda k: (cvxpy.Minimize(cvxpy.exp(0.3 * k) + (x - 2.5) ** 2), [x >= 0, k + x >= 7.3]),
        ),
        "logarithms of binaries": (
            "var b[1..4] binary\nvar y >= 0\n"
            "maximize sum(log(1 + y + 2 * b[i]) / i for i in 1..4) - sum(i * b[i] for i in 1..4) / 5 - y\n"
            "subject to\n  c: sum(b[i] for i in 1..4) <= 2",
            [range(2)] * 4,
            lambda *b: (
                cvxpy.Maximize(
                    sum(cvxpy.log(1 + x + 2 * b[i]) / (i + 1) for i in range(4))
                    - sum((i + 1) * b[i] for i in range(4)) / 5 - x
                ),
                [x >= 0, x >= (sum(b) - 2) * 1e6],
            ),
        ),
        "powers": (
            "var k[1..2] integer, in [-4, 4]\nvar y\n"
            "minimize (k[1] - 0.5)^4 + abs(y - k[1])^1.5 + abs(y - k[2])^3\nsubject to\n  c: k[1] + 2 * y >= 3.5",
            [range(-4, 5)] * 2,
            lambda a, b: (
                cvxpy.Minimize((a - 0.5) ** 4 + cvxpy.power(cvxpy.abs(x - a), 1.5) + cvxpy.power(cvxpy.abs(x - b), 3)),
                [a + 2 * x >= 3.5],
            ),
        ),
        "entropy": (
            "var k[1..3] integer, in [0, 6]\nminimize sum(kl_div(k[i], 1.3 * i) for i in 1..3)\n"
            "subject to\n  c: sum(k[i] for i in 1..3) = 7",
            [range(7)] * 3,
            lambda *k: (
                cvxpy.Minimize(sum(cvxpy.kl_div(k[i] + 0 * x, 1.3 * (i + 1)) for i in range(3))),
                [sum(k) + 0 * x == 7],
            ),
        ),
        "largest eigenvalue": (
            "var k[1..2] integer, in [-3, 3]\nvar X[1..2, 1..2] symmetric\n"
            "minimize eig_max(X) + 0.3 * (k[1] - k[2])^2\nsubject to\n"
            "  a: X[1, 1] = k[1] + 0.4\n  b: X[2, 2] = -k[2]\n  c: X[1, 2] >= 1 + 0.2 * k[1]",
            [range(-3, 4)] * 2,
            lambda a, b: (
                cvxpy.Minimize(
                    cvxpy.lambda_max(cvxpy.bmat([[a + 0.4, x], [x, -b]])) + 0.3 * (a - b) ** 2
                ),
                [x >= 1 + 0.2 * a],
            ),
        ),
        "determinant": (
            "var k[1..2] binary\nvar X[1..2, 1..2] psd\nmaximize log_det(X) - 0.7 * k[1] - 0.1 * k[2]\n"
            "subject to\n  a: X[1, 1] <= 1 + k[1]\n  b: X[2, 2] <= 2 + 2 * k[2]\n  c: X[1, 2] >= 0.5",
            [range(2)] * 2,
            lambda a, b: (
                cvxpy.Maximize(cvxpy.log_det(cvxpy.bmat([[y[0], x], [x, y[1]]])) - 0.7 * a - 0.1 * b),
                [y[0] <= 1 + a, y[1] <= 2 + 2 * b, x >= 0.5],
            ),
        ),
        "geometric mean": (
            "var k[1..2] integer, in [1, 6]\nvar y in [0.1, 4]\nmaximize geo_mean([k[1], k[2], y]) - 0.2 * k[2]\n"
            "subject to\n  c: k[1] + k[2] + 2 * y <= 9",
            [range(1, 7)] * 2,
            lambda a, b: (
                cvxpy.Maximize(cvxpy.geo_mean(cvxpy.hstack([a + 0 * x, b + 0 * x, x])) - 0.2 * b),
                [x >= 0.1, x <= 4, a + b + 2 * x <= 9],
            ),
        ),
        "logistic with a choice": (
            "var b[1..3] binary\nvar w[1..2] in [-3, 3]\n"
            "minimize softplus(w[1] - 2 * w[2] + b[1]) + softplus(-w[1] - b[2]) + norm2([w[1], w[2]]) + 0.2 * b[2]\n"
            "subject to\n  one: sum(b[i] for i in 1..3) = 1",
            [range(2)] * 3,
            lambda a, b, c: (
                cvxpy.Minimize(
                    cvxpy.logistic(y[0] - 2 * y[1] + a) + cvxpy.logistic(-y[0] - b) + cvxpy.norm2(y) + 0.2 * b
                ),
                [y >= -3, y <= 3, 0 * x + a + b + c == 1],
            ),
        ),
    }


TEXTS = _texts()


@pytest.mark.parametrize("name", TEXTS)
def test_texts_against_cvxpy_point_by_point(name: str) -> None:
    text, ranges, problem = TEXTS[name]
    best = None
    for point in itertools.product(*ranges):
        objective, constraints = problem(*point)  # type: ignore[operator]
        made = cvxpy.Problem(objective, constraints)
        made.solve(solver="CLARABEL")
        if made.status == "optimal":
            worse = min if isinstance(objective, cvxpy.Minimize) else max
            best = made.value if best is None else worse(best, made.value)
    solution = optdsl.parse(text).solve()
    assert solution.status is Status.OPTIMAL and solution.guarantee is Guarantee.GLOBAL
    assert solution.problem_class.type.startswith("MI") and solution.route.method == "outer"
    assert solution.objective == pytest.approx(best, rel=2e-6, abs=2e-6)
    assert solution.bound == pytest.approx(best, rel=3e-6, abs=3e-6)
    assert solution.checks.ok


def test_an_infeasible_text_names_its_conflict() -> None:
    solution = optdsl.parse(
        "var k integer, in [0, 5]\nvar y\nvar z\nminimize k + y + exp(z)\nsubject to\n"
        "  low: exp(k) >= 1\n  c: exp(k) <= y\n  d: y <= 7\n  e: 2 * k >= 2.5"
        .replace("  low: exp(k) >= 1\n", "")
    ).solve()
    assert solution.status is Status.INFEASIBLE and solution.conflict is not None
    assert {m.name for m in solution.conflict.members} == {"c", "d", "e", "k"}
    assert "integrality" in {m.kind for m in solution.conflict.members}


def test_an_unbounded_text_has_a_ray() -> None:
    solution = optdsl.parse(
        "var k integer, >= 0\nvar y >= 0\nmaximize k\nsubject to\n  c: log(1 + y) >= 1\n  d: y <= 3 + k"
    ).solve()
    assert solution.status is Status.UNBOUNDED and solution.ray is not None
    assert solution.ray.direction is not None and float(solution.ray.direction["k"]) > 0


def test_no_objective() -> None:
    solution = optdsl.parse("var k integer\nvar y\nsubject to\n  c: exp(k) <= y\n  d: y <= 30\n  e: k >= 2.5").solve()
    assert solution.status is Status.FEASIBLE and float(solution["k"]) == 3
