"""Every kind of cone: closed-form optima, problems as one would write them in CVXPY, families of many lanes."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse as sp

from optdsl.convex.cones import solve_cvxpy
from optdsl.convex.program import AffineRows, Cone, Program, RawStatus
from optdsl.convex.standard import standard_form

from .cone_problems import (
    EXPONENTIAL,
    NORM,
    POWER,
    SEMIDEFINITE,
    SQUARE,
    cone,
    cone_optimality,
    free,
    outside,
    random_cones,
    rows,
    unit,
)
from .problems import inf, make, value, violation

KINDS = (NORM, SQUARE, EXPONENTIAL, POWER, SEMIDEFINITE)


def solved(program: Program, solver: str | None = None, **more: object) -> float:
    """The optimum, after the first-order conditions were checked."""
    answer = solve_cvxpy(program, solver, **more)
    assert answer.status is RawStatus.OPTIMAL, answer.message
    assert max(violation(program, answer.x), outside(program, answer.x)) < 1e-7
    assert cone_optimality(program, answer) < 1e-6
    return value(program, answer.x)


def matrix_cone(matrices: np.ndarray, columns: np.ndarray, count: int) -> Cone:
    """matrices[k] - x[columns[k]] * identity, positive semidefinite for every k."""
    lanes, size, _ = matrices.shape
    diagonal = np.arange(size) * (size + 1)
    at = (np.arange(lanes)[:, None] * size * size + diagonal).reshape(-1)
    entries = sp.coo_array((-np.ones(len(at)), (at, np.repeat(columns, size))), shape=(lanes * size * size, count))
    return Cone(SEMIDEFINITE, (AffineRows(sp.csr_array(entries), matrices.reshape(-1)),), None, size)


# ------------------------------------------------------------------------------------------------ closed-form optima


def test_distance_of_a_point_from_a_plane() -> None:
    point, normal = np.array([1.0, -2.0, 0.5]), np.array([2.0, 1.0, -1.0])
    ball = cone(NORM, rows(unit(4, 0)), rows(unit(4, 1, 2, 3), -point))
    program = free([1, 0, 0, 0], ball, matrix=[[0, *normal]], sides=[(4, 4)])
    assert solved(program) == pytest.approx(abs(normal @ point - 4) / np.linalg.norm(normal), abs=1e-8)


def test_norm_of_nothing_is_a_bound() -> None:
    empty = AffineRows(sp.csr_array((0, 1)), np.zeros(0))
    program = free([1], Cone(NORM, (rows([[1]], [-3]), empty)))
    assert solved(program) == pytest.approx(3, abs=1e-8)
    assert solved(program, "SCS") == pytest.approx(3, abs=1e-6)


def test_hyperbola() -> None:
    square = cone(SQUARE, rows([[0, 0]], [1]), rows(unit(2, 0)), rows(unit(2, 1)))
    assert solved(free([1, 9], square)) == pytest.approx(6, abs=1e-7)


def test_entropy_of_the_uniform_distribution() -> None:
    count = 5
    # t <= -x log x is x exp(t / x) <= 1
    x, t = np.eye(2 * count)[:count], np.eye(2 * count)[count:]
    entropy = cone(EXPONENTIAL, rows(t), rows(x), rows(np.zeros((count, 2 * count)), np.ones(count)))
    cost = np.concatenate([np.zeros(count), -np.ones(count)])
    program = free(cost, entropy, matrix=[np.concatenate([np.ones(count), np.zeros(count)])], sides=[(1, 1)])
    assert solved(program) == pytest.approx(-np.log(count), abs=1e-8)


@pytest.mark.parametrize("a", [0.5, 0.1, 0.8])
def test_cobb_douglas(a: float) -> None:
    power = cone(POWER, rows(unit(3, 0)), rows(unit(3, 1)), rows(unit(3, 2)), exponent=[a])
    program = free([0, 0, -1], power, matrix=[[1, 1, 0]], sides=[(-inf, 1)])
    assert solved(program) == pytest.approx(-(a**a) * (1 - a) ** (1 - a), abs=1e-8)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("solver", [None, "SCS"])
def test_smallest_eigenvalue(size: int, solver: str | None) -> None:
    rng = np.random.default_rng(size)
    matrices = rng.normal(size=(4, size, size))
    matrices += matrices.transpose(0, 2, 1)
    program = free(-np.ones(4), matrix_cone(matrices, np.arange(4), 4))
    least = np.linalg.eigvalsh(matrices)[:, 0].sum()
    assert solved(program, solver) == pytest.approx(-least, abs=1e-6)


def test_maximum_cut_of_a_triangle() -> None:
    # X has ones on its diagonal and three variables beside it; the relaxation cuts 9/4 of three edges
    places = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]]).reshape(-1)
    matrix = np.stack([(places == k + 1).astype(float) for k in range(3)], axis=1)
    program = free([0.5, 0.5, 0.5], cone(SEMIDEFINITE, rows(matrix, places == 0), size=3), constant=-1.5)
    assert solved(program) == pytest.approx(-9 / 4, abs=1e-7)


# ----------------------------------------------------------------------------------------- against CVXPY's own words


def test_fermat_weber_against_cvxpy() -> None:
    rng = np.random.default_rng(0)
    points, weights = rng.normal(size=(7, 2)), 1 + rng.random(7)
    x = cp.Variable(2)
    reference = cp.Problem(cp.Minimize(weights @ cp.norm(points - cp.reshape(x, (1, 2), "C"), axis=1)))
    ball = cone(
        NORM,
        rows(np.hstack([np.eye(7), np.zeros((7, 2))])),
        rows(np.hstack([np.zeros((14, 7)), np.tile(np.eye(2), (7, 1))]), -points.reshape(-1)),
    )
    assert solved(free([*weights, 0, 0], ball)) == pytest.approx(reference.solve(cp.CLARABEL), abs=1e-7)


def test_log_sum_of_exponentials_against_cvxpy() -> None:
    rng = np.random.default_rng(1)
    A, b = rng.normal(size=(6, 3)), rng.normal(size=6)
    x = cp.Variable(3)
    reference = cp.Problem(cp.Minimize(cp.log_sum_exp(A @ x + b) + 0.1 * cp.sum_squares(x)))
    # exp(a'x + b - t) <= v, sum v <= 1; variables t, x, v
    inner = np.hstack([-np.ones((6, 1)), A, np.zeros((6, 6))])
    v = np.hstack([np.zeros((6, 4)), np.eye(6)])
    exponentials = cone(EXPONENTIAL, rows(inner, b), rows(np.zeros((6, 10)), np.ones(6)), rows(v))
    program = free(np.eye(10)[0], exponentials, matrix=[v.sum(axis=0)], sides=[(-inf, 1)])
    curvature = np.zeros((10, 10))
    curvature[1:4, 1:4] = 0.2 * np.eye(3)
    program = replace(program, hessian=sp.csc_array(curvature))
    assert solved(program) == pytest.approx(reference.solve(cp.CLARABEL), abs=1e-7)


def test_powers_against_cvxpy() -> None:
    rng = np.random.default_rng(2)
    A, b = rng.normal(size=(5, 2)), rng.normal(size=5)
    x = cp.Variable(2)
    reference = cp.Problem(cp.Minimize(cp.sum(cp.power(cp.abs(A @ x + b), 2.5))))
    # |r|^2.5 <= t is |r| <= t^0.4 1^0.6
    t, inner = np.hstack([np.eye(5), np.zeros((5, 2))]), np.hstack([np.zeros((5, 5)), A])
    one = rows(np.zeros((5, 7)), np.ones(5))
    program = free([1] * 5 + [0] * 2, cone(POWER, rows(t), one, rows(inner, b), exponent=np.full(5, 0.4)))
    assert solved(program) == pytest.approx(reference.solve(cp.CLARABEL), abs=1e-6)


def test_largest_eigenvalue_and_ratio_against_cvxpy() -> None:
    rng = np.random.default_rng(3)
    S = rng.normal(size=(3, 4, 4))
    S += S.transpose(0, 2, 1)
    x = cp.Variable(2)
    ratio = cp.quad_over_lin(x[0] - 3, x[1] + 2)
    reference = cp.Problem(cp.Minimize(cp.lambda_max(S[0] + x[0] * S[1] + x[1] * S[2]) + ratio), [x[1] >= -1])
    # variables x, t, s: t I - S(x) is semidefinite, (x0 - 3)^2 <= s (x1 + 2)
    eye = np.eye(4).reshape(-1)
    matrix = np.stack([-S[1].reshape(-1), -S[2].reshape(-1), eye, 0 * eye], axis=1)
    program = free(
        [0, 0, 1, 1],
        cone(SEMIDEFINITE, rows(matrix, -S[0]), size=4),
        cone(SQUARE, rows(unit(4, 0), [-3]), rows(unit(4, 3)), rows(unit(4, 1), [2])),
        bounds=[(-inf, inf), (-1, inf), (-inf, inf), (-inf, inf)],
    )
    assert solved(program) == pytest.approx(reference.solve(cp.CLARABEL), abs=1e-7)


# ------------------------------------------------------------------------------------ both ways to the same solvers


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
@pytest.mark.parametrize("kinds", [(kind,) for kind in KINDS] + [KINDS], ids=lambda kinds: kinds[-1].name)
def test_own_form_equals_cvxpys(kinds: tuple, solver: str) -> None:
    for seed in (0, 1):
        program = random_cones(seed, kinds, quadratic=seed == 1)
        own, reference = (solve_cvxpy(program, solver, through_cvxpy=way) for way in (False, True))
        assert own.status is reference.status is RawStatus.OPTIMAL
        assert value(program, own.x) == pytest.approx(value(program, reference.x), abs=1e-6)
        for answer in (own, reference):
            assert violation(program, answer.x) < 1e-7
            assert outside(program, answer.x) < 1e-6
            assert cone_optimality(program, answer) < 2e-6


def test_standard_form_holds_the_problem() -> None:
    """Values and multipliers pass through the form unchanged: z's on the form equal those on the program."""
    rng = np.random.default_rng(4)
    program = random_cones(5, KINDS, quadratic=True)
    for triangle in (False, True):
        form = standard_form(program, lower_triangle=triangle)
        z, x = rng.normal(size=len(form.right)), rng.normal(size=len(program.cost))
        back = form.multipliers(z)
        pressed = program.matrix.T @ back.rows + back.bounds
        constant = 0.0
        for one, duals in zip(program.cones, back.cones, strict=True):
            for part, dual in zip(one.parts, duals, strict=True):
                pressed += part.matrix.T @ dual
                constant += dual @ part.offset
        assert pressed == pytest.approx(-(form.matrix.T @ z), abs=1e-12)
        assert form.quadratic.T @ x + sp.triu(form.quadratic, 1) @ x == pytest.approx(program.hessian @ x)


# --------------------------------------------------------------------------------------------------------- families


def identity_rows(columns: np.ndarray, count: int, offset: np.ndarray | float = 0.0) -> AffineRows:
    """The variables `columns`, one a row, plus an offset."""
    matrix = sp.csr_array((np.ones(len(columns)), columns, np.arange(len(columns) + 1)), shape=(len(columns), count))
    return AffineRows(matrix, np.broadcast_to(np.asarray(offset, dtype=float), (len(columns),)).copy())


LANES = 10_000


def family(kind: object, rng: np.random.Generator) -> tuple[Program, float]:
    """A program of many lanes, each with an optimum of its own; and the sum of these."""
    lanes, lane = LANES, np.arange(LANES)
    if kind is NORM:  # distance of points from lines x + s y = 1
        points, slope = rng.normal(size=(lanes, 2)), rng.normal(size=lanes)
        inner = identity_rows(lanes + np.arange(2 * lanes), 3 * lanes, -points.reshape(-1))
        line = sp.csr_array(
            (
                np.stack([np.ones(lanes), slope], axis=1).reshape(-1),
                lanes + np.arange(2 * lanes),
                2 * np.arange(lanes + 1),
            ),
            shape=(lanes, 3 * lanes),
        )
        cones = (Cone(NORM, (identity_rows(lane, 3 * lanes), inner), None, 2),)
        cost = np.concatenate([np.ones(lanes), np.zeros(2 * lanes)])
        best = np.abs(points[:, 0] + slope * points[:, 1] - 1) / np.hypot(1, slope)
        return _many(cost, cones, line, np.ones(lanes)), float(best.sum())
    if kind is SQUARE:  # v + k w with v w >= 1
        weight = 0.1 + rng.random(lanes)
        one = AffineRows(sp.csr_array((lanes, 2 * lanes)), np.ones(lanes))
        cones = (Cone(SQUARE, (one, identity_rows(lane, 2 * lanes), identity_rows(lanes + lane, 2 * lanes))),)
        return _many(np.concatenate([np.ones(lanes), weight]), cones), float(2 * np.sqrt(weight).sum())
    if kind is EXPONENTIAL:  # exp(x) - w x
        weight = 0.1 + rng.random(lanes)
        one = AffineRows(sp.csr_array((lanes, 2 * lanes)), np.ones(lanes))
        cones = (Cone(EXPONENTIAL, (identity_rows(lane, 2 * lanes), one, identity_rows(lanes + lane, 2 * lanes))),)
        return _many(np.concatenate([-weight, np.ones(lanes)]), cones), float((weight - weight * np.log(weight)).sum())
    if kind is POWER:  # x + y with x^a y^(1 - a) >= 1
        a = 0.1 + 0.8 * rng.random(lanes)
        one = AffineRows(sp.csr_array((lanes, 2 * lanes)), np.ones(lanes))
        parts = (identity_rows(lane, 2 * lanes), identity_rows(lanes + lane, 2 * lanes), one)
        return _many(np.ones(2 * lanes), (Cone(POWER, parts, a),)), float((1 / (a**a * (1 - a) ** (1 - a))).sum())
    matrices = rng.normal(size=(lanes, 3, 3))
    matrices += matrices.transpose(0, 2, 1)
    cones = (matrix_cone(matrices, lane, lanes),)
    return _many(-np.ones(lanes), cones), float(-np.linalg.eigvalsh(matrices)[:, 0].sum())


def _many(cost: np.ndarray, cones: tuple[Cone, ...], matrix: object = None, sides: object = None) -> Program:
    count = len(cost)
    free_ = np.full(count, inf)
    rows_ = sp.csr_array((0, count)) if matrix is None else matrix
    side = np.zeros(0) if sides is None else sides
    return Program(cost, 0.0, rows_, side, side, -free_, free_, np.zeros(count, bool), cones=cones)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_families_of_many_lanes(kind: object) -> None:
    program, best = family(kind, np.random.default_rng(7))
    answer = solve_cvxpy(program)
    assert answer.status is RawStatus.OPTIMAL
    assert value(program, answer.x) == pytest.approx(best, rel=1e-7)
    assert outside(program, answer.x) < 1e-6
    pressed = sum(
        part.matrix.T @ dual
        for one, duals in zip(program.cones, answer.cone_duals, strict=True)
        for part, dual in zip(one.parts, duals, strict=True)
    )
    assert np.abs(program.cost - program.matrix.T @ answer.row_dual - pressed).max() < 1e-6


# ------------------------------------------------------------------------------------------------------- odd inputs


def test_no_lanes_and_lanes_without_variables() -> None:
    nothing = AffineRows(sp.csr_array((0, 2)), np.zeros(0))
    edge = cone(NORM, rows(np.zeros((1, 2)), [5]), rows(np.zeros((2, 2)), [3, 4]))
    mixed = cone(NORM, rows([[0, 0], [1, 0]], [5, 0]), rows([[0, 0], [0, 0], [0, 0], [0, 0]], [3, 4, 6, 8]))
    cones = [
        Cone(kind, (nothing,) * 3, np.zeros(0) if kind is POWER else None) for kind in (SQUARE, EXPONENTIAL, POWER)
    ]
    cones += [Cone(NORM, (nothing, nothing), None, 2), Cone(SEMIDEFINITE, (nothing,), None, 3)]
    program = free([1, 1], *cones, edge, mixed, bounds=[(0, inf), (2, inf)])
    answer = solve_cvxpy(program)
    assert answer.x == pytest.approx([10, 2], abs=1e-7)
    assert answer.cone_duals[5][0] == pytest.approx([0.0])
    assert answer.cone_duals[6][0] == pytest.approx([0.0, 1.0], abs=1e-7)
    assert [len(duals) for duals in answer.cone_duals] == [3, 3, 3, 2, 1, 2, 2]
    worse = replace(program, cones=(*program.cones, cone(NORM, rows([[0, 0]], [4.9]), rows([[0, 0]] * 2, [3, 4]))))
    assert solve_cvxpy(worse).status is RawStatus.INFEASIBLE


def test_a_program_without_variables() -> None:
    parts = (AffineRows(sp.csr_array((1, 0)), np.array([5.0])), AffineRows(sp.csr_array((2, 0)), np.array([3.0, 4.0])))
    program = replace(make(np.zeros((0, 0)), [], constant=7.0), cones=(Cone(NORM, parts, None, 2),))
    answer = solve_cvxpy(program)
    assert answer.status is RawStatus.OPTIMAL
    assert answer.bound == 7.0
    assert [dual.tolist() for dual in answer.cone_duals[0]] == [[0.0], [0.0, 0.0]]


def test_crossed_bounds_and_wrong_numbers_beside_cones() -> None:
    ball = cone(NORM, rows(unit(2, 0)), rows(unit(2, 1)))
    assert solve_cvxpy(free([1, 0], ball, bounds=[(1, 0), (0, 1)])).status is RawStatus.INFEASIBLE
    wrong = cone(NORM, rows([[np.nan, 1]]), rows(unit(2, 1)))
    assert "cone coefficient" in solve_cvxpy(free([1, 0], wrong)).message
    power = cone(POWER, rows(unit(2, 0)), rows(unit(2, 0)), rows(unit(2, 1)), exponent=[1.0])
    assert "exponent" in solve_cvxpy(free([1, 0], power)).message


def test_extreme_coefficients_beside_cones() -> None:
    ball = cone(NORM, rows(np.zeros((1, 2)), [2.0]), rows([[1e-3, 0], [0, 1.0]]))
    program = free([-1, 0], ball, matrix=[[1e-14, 1.0]], sides=[(0, 0)])
    answer = solve_cvxpy(program)
    assert answer.status is RawStatus.OPTIMAL
    assert answer.x[0] == pytest.approx(2e3, rel=1e-6)
    assert answer.cone_duals[0][0] == pytest.approx([1e3], rel=1e-5)


# ----------------------------------------------------------------------------------------------------- with integers


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_integers_with_second_order_cones_against_enumeration(seed: int) -> None:
    program = random_cones(seed, (NORM, SQUARE), quadratic=seed == 2)
    integer = np.arange(6) < 2
    lower, upper = (
        np.where(integer, np.floor(program.lower), program.lower),
        np.where(integer, np.ceil(program.upper), program.upper),
    )
    program = replace(program, integer=integer, lower=lower, upper=upper)
    answer = solve_cvxpy(program)
    best = inf
    for first in np.arange(lower[0], upper[0] + 1):
        for second in np.arange(lower[1], upper[1] + 1):
            whole = np.array([first, second, 0, 0, 0, 0])
            fixed = replace(
                program,
                integer=np.zeros(6, bool),
                lower=np.where(integer, whole, lower),
                upper=np.where(integer, whole, upper),
            )
            point = solve_cvxpy(fixed)
            if point.status is RawStatus.OPTIMAL:
                best = min(best, value(program, point.x))
    assert answer.solver == "SCIP"
    if best == inf:
        assert answer.status is RawStatus.INFEASIBLE
        return
    assert answer.status is RawStatus.OPTIMAL
    assert value(program, answer.x) == pytest.approx(best, abs=1e-5)
    assert violation(program, answer.x) < 1e-6
    assert answer.bound <= best + 1e-5
    assert answer.duals_with_integers_fixed
    fixed = replace(
        program,
        lower=np.where(integer, answer.x, lower),
        upper=np.where(integer, answer.x, upper),
        integer=~integer & False,
    )
    assert cone_optimality(fixed, answer) < 1e-5
