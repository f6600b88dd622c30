"""Conflicts and rays: by hand and at random, each checked by SciPy for irreducibility."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from optdsl.convex.conflict import find_conflict, find_ray
from optdsl.convex.highs import solve_highs
from optdsl.convex.program import ConflictPart, Program, RawStatus
from optdsl.convex.rays import proves_infeasible, proves_unbounded

from .problems import assert_irreducible, inf, make, random_program

ROW_LOWER, ROW_UPPER = ConflictPart.ROW_LOWER, ConflictPart.ROW_UPPER
LOWER, UPPER, INTEGRALITY = ConflictPart.LOWER, ConflictPart.UPPER, ConflictPart.INTEGRALITY


@pytest.mark.parametrize(
    ("program", "members"),
    [
        (make([[1, 1]], [1, 1], [(0, 1)], [(2, 1), (0, 1)]), {(LOWER, 0), (UPPER, 0)}),
        (make([[1, 1]], [1, 1], [(3, 2)]), {(ROW_LOWER, 0), (ROW_UPPER, 0)}),
        (make([[0, 0]], [1, 1], [(1, 2)]), {(ROW_LOWER, 0)}),
        (make([[1]], [1], [(0, 9)], [(inf, inf)]), {(LOWER, 0)}),
        (make([[1]], [1], [(0, 9)], [(0.2, 0.8)], integer=[0]), {(LOWER, 0), (UPPER, 0), (INTEGRALITY, 0)}),
        (make([[1, -2]], [1, 1], [(5, inf)], [(0, 4), (0, 1)]), {(ROW_LOWER, 0), (UPPER, 0), (LOWER, 1)}),
        (
            make([[1, 1], [1, -1], [1, 0]], [1, 1], [(2, 2), (5, 5), (0, 9)]),
            {(ROW_LOWER, 1), (ROW_UPPER, 0), (LOWER, 1)},
        ),
        (
            make([[1, 1], [1, 1], [1, 0]], [1, 1], [(2, 2), (3, 3), (0, 9)], [(-inf, inf)] * 2),
            {(ROW_UPPER, 0), (ROW_LOWER, 1)},
        ),
        (
            make([[2, -2]], [1, 1], [(1, 1)], [(0, 9)] * 2, integer=[0, 1]),
            {(ROW_LOWER, 0), (ROW_UPPER, 0), (INTEGRALITY, 0), (INTEGRALITY, 1)},
        ),
    ],
)
def test_by_hand(program: Program, members: set[tuple[ConflictPart, int]]) -> None:
    conflict = find_conflict(program)
    assert conflict.irreducible
    assert set(conflict.members) == members
    assert_irreducible(program, conflict)


def _contradicted(seed: int, count: int, rows: int, integers: int = 0) -> Program:
    """A random program with a row that contradicts a positive combination of three others."""
    program = random_program(seed, count, rows, integers)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(rows, 3, replace=False)
    weights = 0.5 + rng.random(3)
    lower = program.row_lower.copy()
    lower[chosen] = np.where(np.isfinite(lower[chosen]), lower[chosen], program.row_upper[chosen] - 1)
    lower[chosen] = np.where(np.isfinite(lower[chosen]), lower[chosen], -1)
    combined = sp.csr_array((weights @ program.matrix[chosen].toarray())[None, :])
    return replace(
        program,
        matrix=sp.csr_array(sp.vstack([program.matrix, combined])),
        row_lower=np.append(lower, -inf),
        row_upper=np.append(program.row_upper, weights @ lower[chosen] - 0.5),
    )


@pytest.mark.parametrize("seed", range(10))
def test_random_lp(seed: int) -> None:
    program = _contradicted(seed, 12, 10)
    answer = solve_highs(program)
    assert answer.status is RawStatus.INFEASIBLE
    assert answer.farkas is None or proves_infeasible(program, answer.farkas)
    assert_irreducible(program, find_conflict(program))


def test_a_larger_lp_in_time() -> None:
    program = _contradicted(1, 300, 250)
    conflict = find_conflict(program, time_budget=20.0)
    assert conflict.irreducible
    assert_irreducible(program, conflict)


@pytest.mark.parametrize("seed", range(4))
def test_random_quadratic_is_that_of_its_rows(seed: int) -> None:
    program = _contradicted(20 + seed, 10, 8)
    quadratic = replace(program, hessian=sp.csc_array(np.eye(10)))
    assert_irreducible(program, find_conflict(quadratic))


@pytest.mark.parametrize("seed", range(5))
def test_random_integers(seed: int) -> None:
    # 2 w'x = odd has no integer solution; the rest is random.
    rng = np.random.default_rng(seed)
    base = random_program(40 + seed, count=6, rows=3, integers=6)
    parity = sp.csr_array(2.0 * rng.integers(1, 4, (1, 6)))
    program = replace(
        base,
        matrix=sp.csr_array(sp.vstack([base.matrix, parity])),
        row_lower=np.append(base.row_lower, 3.0),
        row_upper=np.append(base.row_upper, 3.0),
    )
    conflict = find_conflict(program)
    assert_irreducible(program, conflict)
    assert (ROW_LOWER, 3) in conflict.members or not any(part is INTEGRALITY for part, _ in conflict.members)


def test_cut_short_is_said() -> None:
    program = _contradicted(2, 40, 30)
    assert not find_conflict(program, time_budget=0.0).irreducible
    assert not find_conflict(program, stop=lambda: True).irreducible


def test_a_feasible_program_has_no_conflict() -> None:
    conflict = find_conflict(random_program(1))
    assert conflict.members == ()
    assert not conflict.irreducible


def test_rays() -> None:
    program = make([[1, -1]], [-1, 0], [(-1, 1)])
    ray = find_ray(program)
    assert ray == pytest.approx([1, 1])
    assert proves_unbounded(program, ray)
    assert not proves_unbounded(program, np.array([1.0, 0.0]))
    assert not proves_unbounded(program, -ray)
    assert find_ray(make([[1, -1]], [1, 0], [(-1, 1)])) is None
    assert find_ray(make([[1, -1]], [0, 0], [(-1, 1)])) is None
    # The quadratic bends every direction of descent.
    assert find_ray(make([], [-1, 0], bounds=[(0, inf)] * 2, quadratic=np.diag([1.0, 0.0]))) is None
    flat = make([], [-1, -3], bounds=[(0, inf)] * 2, quadratic=np.diag([1.0, 0.0]))
    assert find_ray(flat) == pytest.approx([0, 1])


@pytest.mark.parametrize("seed", range(5))
def test_random_rays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    direction = np.abs(rng.normal(size=6))
    matrix = rng.normal(size=(4, 6))
    matrix -= np.outer(matrix @ direction, direction) / (direction @ direction)
    program = make(matrix, -direction, [(-1, 1)] * 4)
    ray = find_ray(program)
    assert ray is not None
    assert np.abs(ray).max() == pytest.approx(1)
    assert proves_unbounded(program, ray)


def test_false_multipliers_prove_nothing() -> None:
    program = make([[1, 1]], [1, 1], [(1, 2)])
    assert not proves_infeasible(program, np.array([1.0]))
    assert not proves_infeasible(program, np.array([0.0]))
    assert not proves_infeasible(program, np.array([np.nan]))
