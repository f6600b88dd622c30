"""Cone programs without an optimum: proofs of infeasibility, conflicts, rays, and objectives falling along no line."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest

from optdsl.convex.cone_sets import take_lanes
from optdsl.convex.cones import solve_cvxpy
from optdsl.convex.conflict import find_conflict, find_ray
from optdsl.convex.program import Cone, Conflict, ConflictPart, Program, RawStatus
from optdsl.convex.rays import proves_infeasible, proves_unbounded

from .cone_problems import (
    EXPONENTIAL,
    NORM,
    POWER,
    SEMIDEFINITE,
    SQUARE,
    cone,
    free,
    random_cones,
    rows,
    unit,
)
from .problems import inf

ROW_LOWER, ROW_UPPER, CONE = ConflictPart.ROW_LOWER, ConflictPart.ROW_UPPER, ConflictPart.CONE
LOWER, UPPER, INTEGRALITY = ConflictPart.LOWER, ConflictPart.UPPER, ConflictPart.INTEGRALITY

ONE = rows([[0, 0]], [1])
X, Y = rows(unit(2, 0)), rows(unit(2, 1))
OFF_DIAGONAL = np.array([0, 1, 1, 1, 0, 1, 1, 1, 0.0])
DIAGONAL = np.eye(9)[:, [0, 4, 8]]


INFEASIBLE: dict[str, tuple[Program, set[tuple[ConflictPart, int]]]] = {
    "norm": (
        free(
            [0, 0, 1],
            cone(NORM, rows(np.zeros((2, 3)), [5, 1]), rows(unit(3, 1, 2, 0, 1))),
            matrix=[[1, 1, 0], [1, 0, 1], [0, 1, 1]],
            sides=[(2, inf), (-3, 3), (0, 9)],
        ),
        {(ROW_LOWER, 0), (CONE, 1)},
    ),
    "second cone": (
        free([0, 0], cone(NORM, rows([[0, 0]], [9]), X), cone(NORM, ONE, Y), matrix=[[0, 1]], sides=[(2, 3)]),
        {(ROW_LOWER, 0), (CONE, 1)},
    ),
    "exponential": (
        free([0, 0], cone(EXPONENTIAL, X, ONE, Y), matrix=[[1, -1]], sides=[(0, inf)]),
        {(ROW_LOWER, 0), (CONE, 0)},
    ),
    "power": (
        free(
            [0] * 3,
            cone(POWER, rows(unit(3, 0)), rows(unit(3, 1)), rows(unit(3, 2)), exponent=[0.3]),
            matrix=[[1, 1, 0]],
            sides=[(-inf, 1)],
            bounds=[(0, inf), (0, inf), (2, inf)],
        ),
        {(ROW_UPPER, 0), (CONE, 0), (LOWER, 2)},
    ),
    "small matrix": (
        free(
            [0, 0],
            cone(SEMIDEFINITE, rows([[1, 0], [0, 0], [0, 0], [0, 1]], [0, 2, 2, 0]), size=2),
            matrix=[[1, 1]],
            sides=[(-inf, 3)],
        ),
        {(ROW_UPPER, 0), (CONE, 0)},
    ),
    "matrix": (
        free(
            [0] * 3, cone(SEMIDEFINITE, rows(DIAGONAL, OFF_DIAGONAL), size=3), matrix=[[1, 1, 1]], sides=[(-inf, 2.5)]
        ),
        {(ROW_UPPER, 0), (CONE, 0)},
    ),
    "bounds against a square": (
        free([0, 0], cone(SQUARE, ONE, X, Y), bounds=[(-3, 0), (0, inf)]),
        {(UPPER, 0), (CONE, 0)},
    ),
    "a row against a square": (
        free([0, 0], cone(SQUARE, ONE, X, Y), matrix=[[-2, 0]], sides=[(0, 4)]),
        {(ROW_LOWER, 0), (CONE, 0)},
    ),
    "two cones": (
        free([0, 0], cone(SQUARE, ONE, X, Y), cone(NORM, ONE, rows(unit(2, 0, 1)))),
        {(CONE, 0), (CONE, 1)},
    ),
    "constants": (
        free([0, 0], cone(NORM, rows([[0, 1], [0, 0]], [0, 1]), rows([[1, 0], [0, 0]], [0, 2]))),
        {(CONE, 1)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INFEASIBLE)
def test_infeasible_cones_have_a_proof_and_an_irreducible_conflict(name: str) -> None:
    program, members = INFEASIBLE[name]
    answer = solve_cvxpy(program)
    assert answer.status is RawStatus.INFEASIBLE
    assert answer.x is None
    if answer.farkas is not None:
        assert proves_infeasible(program, answer.farkas, answer.farkas_cones)
        assert not proves_infeasible(program, -answer.farkas, [[-d for d in part] for part in answer.farkas_cones])
    else:
        assert answer.message
    conflict = find_conflict(program)
    assert set(conflict.members) == members
    assert_irreducible(program, conflict)


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
@pytest.mark.parametrize("name", ["norm", "exponential", "power", "small matrix", "matrix", "two cones"])
def test_each_solvers_proof_holds(name: str, solver: str) -> None:
    answer = solve_cvxpy(INFEASIBLE[name][0], solver)
    assert answer.status is RawStatus.INFEASIBLE
    assert proves_infeasible(INFEASIBLE[name][0], answer.farkas, answer.farkas_cones)


def test_wrong_multipliers_prove_nothing() -> None:
    program = random_cones(3, (NORM, EXPONENTIAL, POWER, SEMIDEFINITE))
    rng = np.random.default_rng(0)
    for _ in range(200):
        farkas = rng.normal(size=3)
        cones = [[rng.normal(size=len(part.offset)) for part in one.parts] for one in program.cones]
        assert not proves_infeasible(program, farkas, cones)


@pytest.mark.parametrize("seed", range(4))
def test_random_conflicts_are_irreducible(seed: int) -> None:
    """Feasible cones with a row that their optimum shows to be impossible."""
    program = random_cones(seed, (NORM, SQUARE) if seed % 2 else (EXPONENTIAL, SEMIDEFINITE))
    best = solve_cvxpy(program)
    matrix = np.vstack([program.matrix.toarray(), program.cost])
    least = float(program.cost @ best.x) - 0.1
    infeasible = replace(
        free(program.cost, *program.cones, matrix=matrix, sides=[(-inf, 0)] * 4),
        lower=program.lower,
        upper=program.upper,
        row_lower=np.append(program.row_lower, -inf),
        row_upper=np.append(program.row_upper, least),
    )
    assert solve_cvxpy(infeasible).status is RawStatus.INFEASIBLE
    conflict = find_conflict(infeasible)
    assert (ROW_UPPER, 3) in conflict.members
    assert_irreducible(infeasible, conflict)


def test_conflicts_with_integers_and_budget() -> None:
    ball = cone(NORM, rows([[0, 0]], [0.4]), rows(unit(2, 0, 1), [-0.5, -0.5]))
    program = free([0, 0], ball, bounds=[(-5, 5)] * 2, integer=[0, 1])
    assert solve_cvxpy(program).status is RawStatus.INFEASIBLE
    conflict = find_conflict(program)
    assert conflict.irreducible
    assert (CONE, 0) in conflict.members
    assert {part for part, _ in conflict.members} == {CONE, INTEGRALITY}
    hurried = find_conflict(INFEASIBLE["norm"][0], stop=lambda: True)
    assert not hurried.irreducible


def test_cone_lanes_are_counted_over_all_cones() -> None:
    program = random_cones(0, (NORM, SQUARE, SEMIDEFINITE))
    assert [program.cone_lane(k) for k in (0, 2, 3, 8)] == [(0, 0), (0, 2), (1, 0), (2, 2)]


# ------------------------------------------------------------------------------------------------------- unbounded

UNBOUNDED = {
    "norm": free([-1, 0], cone(NORM, X, Y)),
    "edge of a norm": free([1, -1.1], cone(NORM, X, Y)),
    "exponential": free([1, 0], cone(EXPONENTIAL, X, ONE, Y)),
    "power": free([0, -1], cone(POWER, X, X, Y, exponent=[0.3])),
    "matrix": free([-1, 0], cone(SEMIDEFINITE, rows([[0, 1], [0, 0], [0, 0], [1, 0]]), size=2)),
    "large matrix": free([-1, 0, 0], cone(SEMIDEFINITE, rows(DIAGONAL, OFF_DIAGONAL), size=3)),
}


@pytest.mark.parametrize("solver", [None, "SCS"])
@pytest.mark.parametrize("name", UNBOUNDED)
def test_unbounded_cones_have_a_ray(name: str, solver: str | None) -> None:
    program = UNBOUNDED[name]
    answer = solve_cvxpy(program, solver)
    assert answer.status is RawStatus.UNBOUNDED
    for ray in (answer.ray, find_ray(program)):
        assert proves_unbounded(program, ray)
        assert not proves_unbounded(program, -ray)
        # far along the ray from a feasible point everything still holds
        far = answer.x + 1e3 * ray
        for one in program.cones:
            assert holds(one, far, 1e-3)


@pytest.mark.parametrize("curve", ["logarithm", "root", "matrix"])
def test_falling_along_no_line(curve: str) -> None:
    one = {
        "logarithm": cone(EXPONENTIAL, X, ONE, Y),
        "root": cone(SQUARE, X, Y, ONE),
        "matrix": cone(SEMIDEFINITE, rows([[0, 1], [1, 0], [1, 0], [0, 0]], [0, 0, 0, 1]), size=2),
    }[curve]
    answer = solve_cvxpy(free([-1, 0], one))
    assert answer.status is RawStatus.UNBOUNDED
    assert answer.ray is None
    assert "no straight line" in answer.message
    assert find_ray(free([-1, 0], one)) is None


def test_a_limit_that_is_not_attained_is_not_called_unbounded() -> None:
    for cost, one in (([1, 0], cone(SQUARE, ONE, X, Y)), ([0, 1], cone(EXPONENTIAL, X, ONE, Y))):
        assert solve_cvxpy(free(cost, one)).status is not RawStatus.UNBOUNDED


def test_integers_and_rays() -> None:
    program = free([-1, 0], cone(NORM, X, Y), integer=[0])
    answer = solve_cvxpy(program)
    assert answer.status is RawStatus.UNBOUNDED
    assert proves_unbounded(program, answer.ray)


# -------------------------------------------------------------------------------------------------------- the judge


def assert_irreducible(program: Program, conflict: Conflict) -> None:
    """The members cannot hold together, and can as soon as any one is dropped; decided by CVXPY's own words."""
    assert conflict.irreducible
    assert conflict.members
    assert not together(program, conflict.members)
    for dropped in conflict.members:
        assert together(program, tuple(member for member in conflict.members if member != dropped)), dropped


def together(program: Program, members: tuple[tuple[ConflictPart, int], ...]) -> bool:
    """Whether the members' least common violation is 0, or falls to it."""
    x, room = cp.Variable(len(program.cost)), cp.Variable(nonneg=True)
    constraints = [x <= 1e4, x >= -1e4]
    for part, index in members:
        if part is CONE:
            number, lane = program.cone_lane(index)
            constraints += in_words(take_lanes(program.cones[number], np.array([lane])), x, room)
            continue
        value = x[index] if part in (LOWER, UPPER) else program.matrix[[index]] @ x
        side = getattr(program, part.value)[index]
        constraints.append(value + room >= side if part in (LOWER, ROW_LOWER) else value - room <= side)
    problem = cp.Problem(cp.Minimize(room), constraints)
    problem.solve(cp.CLARABEL)
    return problem.status == cp.OPTIMAL and float(problem.value) < 1e-4


def in_words(one: Cone, x: cp.Variable, room: cp.Variable) -> list:
    parts = [part.matrix @ x + part.offset for part in one.parts]
    if one.kind is NORM:
        return [cp.norm(parts[1]) <= parts[0][0] + room]
    if one.kind is SQUARE:
        return [cp.quad_over_lin(parts[0][0], parts[2][0] + room) <= parts[1][0] + room]
    if one.kind is EXPONENTIAL:
        return [cp.ExpCone(parts[0], parts[1], parts[2] + room)]
    if one.kind is POWER:
        return [cp.PowCone3D(parts[0] + room, parts[1] + room, parts[2], one.exponent)]
    matrix = cp.reshape(parts[0], (one.size, one.size), "C")
    return [(matrix + matrix.T) / 2 + room * np.eye(one.size) >> 0]


def holds(one: Cone, x: np.ndarray, tolerance: float) -> bool:
    from .cone_problems import violation_of

    values = [part.matrix @ x + part.offset for part in one.parts]
    return bool((violation_of(one, values) <= tolerance).all())
