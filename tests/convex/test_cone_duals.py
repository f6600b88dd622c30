"""Multipliers of cones as rates of change, the dual cones themselves, and the bounds that multipliers prove."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from optdsl.convex.cone_sets import distance, flattened, into_dual, shaped
from optdsl.convex.cones import solve_cvxpy
from optdsl.convex.duality import dual_bound, gradient_of, value_of
from optdsl.convex.program import AffineRows, Cone, Program, RawStatus

from .cone_problems import (
    EXPONENTIAL,
    NORM,
    POWER,
    SEMIDEFINITE,
    SQUARE,
    interior,
    near_edge,
    outside_dual,
    random_cones,
    violation_of,
)
from .problems import gradient, random_program, value

KINDS = (NORM, SQUARE, EXPONENTIAL, POWER, SEMIDEFINITE)


def with_offset(program: Program, number: int, part: int, step: np.ndarray) -> Program:
    """The program with constants added to a part of a cone."""
    one = program.cones[number]
    parts = list(one.parts)
    parts[part] = AffineRows(parts[part].matrix, parts[part].offset + step)
    cones = list(program.cones)
    cones[number] = replace(one, parts=tuple(parts))
    return replace(program, cones=tuple(cones))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_multiplier_is_a_rate_of_change(kind: object) -> None:
    """The minimum falls by the multiplier for each unit that a part is helped by."""
    program = random_cones(11, (kind,), quadratic=True)
    answer = solve_cvxpy(program)
    one = program.cones[0]
    step, rng = 1e-4, np.random.default_rng(0)
    assert max(np.abs(dual).max() for dual in answer.cone_duals[0]) > 0.05, "some cone must bind"
    for part, dual in enumerate(answer.cone_duals[0]):
        direction = rng.normal(size=len(dual))
        if kind is SEMIDEFINITE:
            blocks = direction.reshape(one.lanes, 3, 3)
            direction = (blocks + blocks.transpose(0, 2, 1)).reshape(-1)
        up, down = (
            value(moved, solve_cvxpy(moved).x)
            for moved in (with_offset(program, 0, part, sign * step * direction) for sign in (1, -1))
        )
        assert (up - down) / (2 * step) == pytest.approx(-float(dual @ direction), abs=2e-4)


def test_row_duals_beside_cones_are_rates_of_change() -> None:
    program = random_cones(11, KINDS)
    answer = solve_cvxpy(program)
    step = 1e-4
    up, down = (
        replace(
            program,
            row_lower=program.row_lower + sign * step * np.array([1, 0, 0]),
            row_upper=program.row_upper + sign * step * np.array([1, 0, 0]),
        )
        for sign in (1, -1)
    )
    rate = (value(up, solve_cvxpy(up).x) - value(down, solve_cvxpy(down).x)) / (2 * step)
    assert rate == pytest.approx(answer.row_dual[0], abs=2e-4)
    assert abs(rate) > 1e-3


# ----------------------------------------------------------------------------------------------------- cones as sets


def lanes_of(kind: object, values: tuple[np.ndarray, ...], exponent: np.ndarray) -> Cone:
    """A cone whose parts have no variables; its values are given where they are needed."""
    parts = tuple(AffineRows(sp.csr_array((len(flat), 1)), flat) for flat in values)
    size = {NORM: 2, SEMIDEFINITE: 3}.get(kind, 0)
    return Cone(kind, parts, exponent if kind is POWER else None, size)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_distance_is_nothing_exactly_inside(kind: object) -> None:
    rng = np.random.default_rng(1)
    lanes, exponent = 500, 0.1 + 0.8 * rng.random(500)
    values = interior(kind, rng, lanes, exponent)
    one = lanes_of(kind, values, exponent)
    assert (distance(one, shaped(one, values)) == 0).all()
    edge = near_edge(one, rng, exponent)
    size = sum(np.abs(flat.reshape(lanes, -1)).sum(axis=1) for flat in edge)
    assert (distance(one, shaped(one, edge)) <= 1e-12 * (1 + size)).all()
    anywhere = tuple(3 * rng.normal(size=len(flat)) for flat in values)
    if kind is SEMIDEFINITE:
        blocks = anywhere[0].reshape(lanes, 3, 3)
        anywhere = ((blocks + blocks.transpose(0, 2, 1)).reshape(-1),)
    away, broken = distance(one, shaped(one, anywhere)), violation_of(one, list(anywhere))
    assert ((away > 0) == (broken > 0)).all()
    assert (away > 0).mean() > 0.05


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-3, 1.0, 100.0])
def test_multipliers_are_moved_into_the_dual_cone(kind: object, noise: float) -> None:
    rng = np.random.default_rng(2)
    lanes, exponent = 300, 0.1 + 0.8 * rng.random(300)
    # where the multipliers come from: the dual cone's edge, touched by points on the cone's edge
    one = lanes_of(kind, interior(kind, rng, lanes, exponent), exponent)
    inside = on_the_dual_edge(one, near_edge(one, rng, exponent), exponent)
    given = tuple(flat + noise * rng.normal(size=len(flat)) for flat in inside)
    moved = flattened(into_dual(one, shaped(one, given)))
    assert outside_dual(one, moved, rng) < 1e-13
    again = flattened(into_dual(one, shaped(one, moved)))
    for first, second in zip(moved, again, strict=True):
        assert second == pytest.approx(first, rel=1e-9, abs=1e-9)
    if noise <= 1e-3:
        size = sum(np.abs(flat.reshape(lanes, -1)).sum(axis=1) for flat in inside)
        step = sum(np.abs((a - b).reshape(lanes, -1)).sum(axis=1) for a, b in zip(moved, given, strict=True))
        # no farther than a moderate multiple of the noise: the answer's bound stays tight
        assert np.median(step / (1 + size)) <= 3 * noise + 1e-12
        assert np.quantile(step / (1 + size), 0.95) <= 100 * noise + 1e-10


def on_the_dual_edge(one: Cone, point: tuple[np.ndarray, ...], exponent: np.ndarray) -> tuple[np.ndarray, ...]:
    """The multipliers whose product with a point on the cone's edge is 0: minus the gradient of what is <= 0 there."""
    if one.kind is NORM:
        t, u = shaped(one, point)
        return np.ones(one.lanes), (-u / t[:, None]).reshape(-1)
    if one.kind is SQUARE:
        u, v, w = point
        return -2 * u, w, v
    if one.kind is EXPONENTIAL:
        x, y, _ = point
        grown = np.exp(x / y)
        scale = 1 / (1 + grown * (1 + np.abs(1 - x / y)))
        return -grown * scale, -grown * (1 - x / y) * scale, scale
    if one.kind is POWER:
        x, y, z = point
        reach = x**exponent * y ** (1 - exponent)
        scale = 1 / (1 + reach / x + reach / y)
        return exponent * reach / x * scale, (1 - exponent) * reach / y * scale, -np.sign(z) * scale
    matrices = point[0].reshape(one.lanes, 3, 3)
    vectors = np.linalg.eigh(matrices)[1][:, :, 0]
    return ((vectors[:, :, None] * vectors[:, None, :]).reshape(-1),)


# ------------------------------------------------------------------------------------------------------- the bound


def test_value_and_gradient() -> None:
    program = random_program(3, quadratic=True)
    x = np.random.default_rng(0).normal(size=12)
    assert value_of(program, x) == pytest.approx(value(program, x))
    assert gradient_of(program, x) == pytest.approx(gradient(program, x))


@pytest.mark.parametrize(
    "kinds", [(kind,) for kind in KINDS] + [KINDS, ()], ids=lambda kinds: "-".join(k.name for k in kinds)
)
@pytest.mark.parametrize("seed", range(3))
def test_bound_is_tight_at_the_optimum_and_never_above_it(kinds: tuple, seed: int) -> None:
    program = random_cones(seed, kinds, quadratic=seed == 2)
    answer = solve_cvxpy(program, "CLARABEL")
    assert answer.status is RawStatus.OPTIMAL
    best = value(program, answer.x)
    assert best - 1e-7 <= dual_bound(program, answer.x, answer.row_dual, answer.cone_duals) <= best + 1e-9
    rng = np.random.default_rng(seed)
    for noise in (1e-9, 1e-6, 1e-3, 1e-1, 1.0, 30.0):
        for _ in range(20):
            x = answer.x + noise * rng.normal(size=len(answer.x))
            rows = answer.row_dual + noise * rng.normal(size=3)
            rows[1] = min(rows[1], 0.0)  # this row has no lower side
            cones = [[dual + noise * rng.normal(size=len(dual)) for dual in duals] for duals in answer.cone_duals]
            bound = dual_bound(program, x, rows, cones)
            assert bound <= best + 1e-8 * max(1.0, abs(best)), noise
            if noise <= 1e-6:
                assert bound >= best - 1e4 * noise


def test_multipliers_on_sides_that_are_not_there_prove_nothing() -> None:
    program = random_cones(0, (NORM,))
    answer = solve_cvxpy(program)
    assert dual_bound(program, answer.x, np.array([0.0, 1.0, 0.0]), answer.cone_duals) == -np.inf
    free = replace(program, lower=np.full(6, -np.inf), upper=np.full(6, np.inf))
    assert dual_bound(free, answer.x, answer.row_dual, answer.cone_duals) == -np.inf
    assert np.isfinite(dual_bound(program, answer.x, answer.row_dual))  # without multipliers of cones: weaker, true


@pytest.mark.parametrize("seed", range(4))
def test_bound_of_linear_and_quadratic_programs(seed: int) -> None:
    program = random_program(seed, quadratic=seed % 2 == 1)
    answer = solve_cvxpy(program)
    best = value(program, answer.x)
    assert dual_bound(program, answer.x, answer.row_dual) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("family", ["norms", "entropies"])
def test_bound_with_free_auxiliary_variables(family: str) -> None:
    """Epigraph variables have no bounds: their columns must balance, and what rounding leaves there is charged."""
    from .test_cone_kinds import family as many

    program, best = many(NORM if family == "norms" else EXPONENTIAL, np.random.default_rng(3))
    answer = solve_cvxpy(program)
    bound = dual_bound(program, answer.x, answer.row_dual, answer.cone_duals)
    assert best * (1 - 1e-6) <= bound <= best * (1 + 1e-12) + 1e-9
