"""Auxiliary variables that only carry a value leave the program before it is solved, and nobody notices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optdsl.classify import analyze
from optdsl.convex.cone_sets import distance, values_at
from optdsl.convex.cones import solve_cvxpy
from optdsl.convex.duality import dual_bound, gradient_of, in_dual_cones, pushed, value_of
from optdsl.convex.epigraphs import without_epigraphs
from optdsl.convex.lower import lower
from optdsl.convex.program import Program, RawAnswer, RawStatus
from optdsl.convex.rays import checked_ray, proves_infeasible
from optdsl.language import parse
from optdsl.model import build

HEAD = """
set I = 1..3
param a[I] = [1, -2, 0.5]
var x[I]
var s >= 0
"""
# statement -> how many variables and rows it saves
SOLVED = {
    "minimize s subject to\n  k: norm2(x) <= s\n  l: sum(x) = 2": 1,
    "minimize sum(a[i] * x[i] for i in I) subject to\n"
    "  k[i in I]: 2 * sqrt(1 + x[i]^2) - 3 * s <= a[i] + 4\n  s <= 1": 3,
    "minimize s subject to\n  k: norm2(x) + 3 * norm2(x - a) <= s + 1\n  l: x[1] = 4": 1,
    "maximize sum(x) subject to\n  k: exp(x[1]) + exp(x[2]) + exp(x[3]) <= 5": 1,
    "maximize sum(a[i] * x[i] for i in I) subject to\n  k: logsumexp(x) <= 1\n  x >= -2": 1,
    "minimize sum(x[i]^2 for i in I) subject to\n  k[i in I]: -log(x[i]) <= a[i] - 1": 3,
    "minimize x[1] + s subject to\n  k: 1 <= geo_mean([x[1], x[2], x[3]])\n  l: x[2] <= s\n  x[3] <= 2": 1,
    "minimize sum(x) subject to\n  k[i in I]: x[i]^(-1.5) <= 2 + s\n  s <= 3": 3,
    "minimize sum(x) + 2 * s subject to\n  k: quad_over_lin(x - a, s) <= 4\n  s <= 10": 2,
}


def program_of(statements: str) -> Program:
    text = HEAD + statements.replace(" subject to", "\nsubject to") + "\n"
    return lower(analyze(build(parse(text, "test.opt")))).program


@pytest.mark.parametrize("statements", SOLVED)
def test_the_answer_is_that_of_the_whole_program(statements: str) -> None:
    program = program_of(statements)
    smaller, _ = without_epigraphs(program)
    saved = len(program.cost) - len(smaller.cost), program.matrix.shape[0] - smaller.matrix.shape[0]
    assert saved == (SOLVED[statements],) * 2
    answer, reference = solve_cvxpy(program), solve_cvxpy(replace(program, auxiliary=0))
    assert answer.status is reference.status is RawStatus.OPTIMAL
    assert answer.x is not None and reference.x is not None
    assert value_of(program, answer.x) == pytest.approx(value_of(program, reference.x), rel=1e-7)
    assert_optimal(program, answer)


def assert_optimal(program: Program, answer: RawAnswer) -> None:
    """Feasible, multipliers in the dual cones and with the sign of their side, no gap, no gradient left."""
    x, dual = answer.x, answer.row_dual
    assert x is not None and dual is not None and answer.reduced_cost is not None
    activity = program.matrix @ x
    assert (activity <= program.row_upper + 1e-7).all() and (activity >= program.row_lower - 1e-7).all()
    assert max(distance(cone, values_at(cone, x)).max(initial=0.0) for cone in program.cones) < 1e-6
    assert (dual[np.isinf(program.row_lower)] <= 1e-8).all() and (dual[np.isinf(program.row_upper)] >= -1e-8).all()
    pressed = pushed(program.cones, in_dual_cones(program, answer.cone_duals), len(x))[0]
    left = gradient_of(program, x) - program.matrix.T @ dual - answer.reduced_cost - pressed
    np.testing.assert_allclose(left, 0.0, atol=1e-6)
    bound = dual_bound(program, x, dual, answer.cone_duals)
    assert bound == pytest.approx(value_of(program, x), rel=1e-6, abs=1e-6)


def test_a_variable_that_stands_elsewhere_stays() -> None:
    kept = [
        "minimize norm2(x - a)",
        "minimize s subject to\n  k: -1 <= a[1] * x[1] <= 2\n  l: x[2]^2 <= s",
        "minimize s subject to\n  k: s >= 1",
        "minimize s subject to\n  k: norm_spec([[x[1], x[2]], [x[2], x[3]]]) <= s\n  l: x[1] + x[2] = 1",
    ]
    for statements in kept:
        program = program_of(statements)
        assert without_epigraphs(program)[0].matrix.shape == program.matrix.shape


def test_a_proof_of_infeasibility_holds_for_the_whole_program() -> None:
    program = program_of("minimize s subject to\n  k: norm2(x) + s <= 1\n  l: x[1] + x[2] >= 4")
    assert without_epigraphs(program)[0].matrix.shape[0] < program.matrix.shape[0]
    answer = solve_cvxpy(program)
    assert answer.status is RawStatus.INFEASIBLE
    assert answer.farkas is not None
    assert proves_infeasible(program, answer.farkas, answer.farkas_cones)


def test_a_ray_leads_the_whole_program_down() -> None:
    program = program_of("minimize x[1] subject to\n  k: norm2(x) <= 2 * s + 1\n  l: x[2] = 1")
    assert without_epigraphs(program)[0].matrix.shape[0] < program.matrix.shape[0]
    answer = solve_cvxpy(program)
    assert answer.status is RawStatus.UNBOUNDED
    assert answer.ray is not None
    assert checked_ray(program, answer.ray) is not None
