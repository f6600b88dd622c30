"""Geometric programs: textbook optima, CVXPY's gp=True on the same problems, statuses, proofs of optimality."""

from __future__ import annotations

import time

import cvxpy
import numpy as np
import pytest

from optdsl.convex.choose import choose
from optdsl.convex.geometric_answer import GeometricAnswer, solve_geometric
from optdsl.convex.program import RawStatus
from tests.convex.geometric_models import geometric, model_of, objective_of, optimum, solve_cones, solved

BOX = """
var h >= 0
var w >= 0
var d >= 0
maximize volume: h * w * d
subject to
  walls: 2 * (h * w + h * d) <= 100
  floor: w * d <= 10
  height: 0.5 <= h / w <= 2
  depth: 0.5 <= d / w <= 2
"""


def test_box_of_the_tutorial() -> None:
    """Boyd, Kim, Vandenberghe and Hassibi (2007), section 2.3: h = 2 w by the ratio, so w = sqrt(15)."""
    answer = solved(BOX)
    assert objective_of(answer) == pytest.approx(20 * np.sqrt(15), rel=1e-9)
    assert answer.restored.x == pytest.approx([2 * np.sqrt(15), np.sqrt(15), 10 / np.sqrt(15)], rel=1e-8)
    assert_proved(answer)


def test_gravel_box() -> None:
    """Duffin, Peterson and Zener (1967), the box that ships 400 cubic yards: 100 dollars at (2, 1, 1/2)."""
    answer = solved(
        """
        var t[1..3] >= 0
        minimize 40 / (t[1] * t[2] * t[3]) + 40 * t[2] * t[3] + 20 * t[1] * t[3] + 10 * t[1] * t[2]
        """
    )
    assert objective_of(answer) == pytest.approx(100, rel=1e-10)
    assert answer.restored.x == pytest.approx([2, 1, 0.5], rel=1e-7)
    assert_proved(answer)


def test_spectral_radius() -> None:
    """The Perron-Frobenius eigenvalue as a geometric program (BKVH 2007, section 7.3)."""
    matrix = [[1.0, 2.0, 0.5], [0.3, 1.5, 1.0], [2.0, 0.1, 0.7]]
    text = """
    set I = 1..3
    param A[I, I] = {matrix}
    var v[I] >= 0
    var radius >= 0
    minimize radius
    subject to
      rows[i in I]: sum(A[i, j] * v[j] / v[i] for j in I) / radius <= 1
    """
    assert optimum(text, matrix=matrix) == pytest.approx(max(abs(np.linalg.eigvals(matrix))), rel=1e-9)


def test_power_control() -> None:
    """The least total power for given signal-to-noise ratios solves a linear system."""
    gain = np.array([[1.0, 0.1, 0.2], [0.05, 1.0, 0.1], [0.1, 0.2, 1.0]])
    text = """
    set I = 1..3
    param G[I, I] = {gain}
    var p[I] >= 0
    minimize total: sum(p[i] for i in I)
    subject to
      ratio[i in I]: G[i, i] * p[i] / (0.5 + sum(G[i, j] * p[j] for j in I if j != i)) >= 2
    """
    system = np.diag(np.diag(gain)) - 2 * (gain - np.diag(np.diag(gain)))
    power = np.linalg.solve(system, np.full(3, 1.0))
    answer = solved(text, gain=gain.tolist())
    assert answer.restored.x == pytest.approx(power, rel=1e-8)
    assert_proved(answer)


# ------------------------------------------------------------------------------------------------ against CVXPY


def _gates() -> tuple[str, cvxpy.Problem]:
    """Sizing of a chain and a branch of gates: the longest path is shortened within an area and a power."""
    text = """
    set I = 1..7
    param area[I] = [1, 0.8, 1, 0.7, 0.7, 0.5, 0.5]
    param load[I] = [10, 10, 10, 10, 10, 10, 10]
    param energy[I] = [1, 2, 1, 1.5, 1.5, 1, 2]
    set FEEDS = {(1, 4), (2, 4), (2, 5), (3, 5), (4, 6), (5, 6), (5, 7)}
    var x[I] >= 1
    var T[I] >= 0
    var longest >= 0
    let cin[i in I] = 1 + 2 * x[i]
    let capacity[i in I] = 3 + sum(cin[j] for (i, j) in FEEDS)
    minimize longest
    subject to
      size: sum(area[i] * x[i] for i in I) <= 25
      power: sum(energy[i] * x[i] for i in I) <= 50
      first[i in I]: 2 / x[i] * capacity[i] <= T[i]
      arrival[(i, j) in FEEDS]: T[i] + 2 / x[j] * capacity[j] <= T[j]
      last[i in 6..7]: T[i] <= longest
    """
    x, finish, longest = cvxpy.Variable(7, pos=True), cvxpy.Variable(7, pos=True), cvxpy.Variable(pos=True)
    feeds = [(0, 3), (1, 3), (1, 4), (2, 4), (3, 5), (4, 5), (4, 6)]
    capacity = [3 + sum(1 + 2 * x[j] for i, j in feeds if i == k) for k in range(7)]
    area, energy = np.array([1, 0.8, 1, 0.7, 0.7, 0.5, 0.5]), np.array([1, 2, 1, 1.5, 1.5, 1, 2])
    constraints = [area @ x <= 25, energy @ x <= 50, x >= 1]
    constraints += [2 / x[k] * capacity[k] <= finish[k] for k in range(7)]
    constraints += [finish[i] + 2 / x[j] * capacity[j] <= finish[j] for i, j in feeds]
    constraints += [finish[5] <= longest, finish[6] <= longest]
    return text, cvxpy.Problem(cvxpy.Minimize(longest), constraints)


def _floor() -> tuple[str, cvxpy.Problem]:
    """Four rectangles in a slicing floor plan (BKVH 2007, section 6.1), with maxima of heights and widths."""
    text = """
    set R = 1..4
    param area[R] = [0.2, 0.5, 1.5, 0.5]
    var w[R] >= 0
    var h[R] >= 0
    minimize area_of_box: max(w[1] + w[2], w[3] + w[4]) * (max(h[1], h[2]) + max(h[3], h[4]))
    subject to
      areas[r in R]: h[r] * w[r] = area[r]
      shape[r in R]: 1 / 1.5 <= h[r] / w[r] <= 1.5
    """
    w, h, area = cvxpy.Variable(4, pos=True), cvxpy.Variable(4, pos=True), [0.2, 0.5, 1.5, 0.5]
    wide = cvxpy.maximum(w[0] + w[1], w[2] + w[3])
    high = cvxpy.maximum(h[0], h[1]) + cvxpy.maximum(h[2], h[3])
    constraints = [h[k] * w[k] == area[k] for k in range(4)]
    constraints += [h[k] / w[k] <= 1.5 for k in range(4)] + [h[k] / w[k] >= 1 / 1.5 for k in range(4)]
    return text, cvxpy.Problem(cvxpy.Minimize(wide * high), constraints)


def _generalized() -> tuple[str, cvxpy.Problem]:
    """Powers, roots and maxima of posynomials, minima and exponentials."""
    text = """
    var x >= 0
    var y >= 0
    var z >= 0.1
    minimize (x + y^2 / z)^3 + max(x * y, 2 / z, 1) + sqrt(x + z) * (1 + y)^1.5 + exp(0.1 * x * y)
    subject to
      a: (x + 1 / y)^2.5 * (y + z) <= 30
      b: min(x, y * z) * x >= 0.7
      c: x * y^0.5 * z^-1.3 = 1.4
      d: 1 / (x + y) >= 0.1 * z
    """
    x, y, z = (cvxpy.Variable(pos=True) for _ in range(3))
    objective = (x + y**2 / z) ** 3 + cvxpy.maximum(x * y, 2 / z, 1) + cvxpy.sqrt(x + z) * (1 + y) ** 1.5
    objective += cvxpy.exp(0.1 * x * y)
    constraints = [
        (x + 1 / y) ** 2.5 * (y + z) <= 30, cvxpy.minimum(x, y * z) * x >= 0.7,
        x * y**0.5 * z**-1.3 == 1.4, 1 / (x + y) >= 0.1 * z, z >= 0.1,
    ]  # fmt: skip
    return text, cvxpy.Problem(cvxpy.Minimize(objective), constraints)


def _differences() -> tuple[str, cvxpy.Problem]:
    """1 - x on the greater side of something positive, a logarithm, norms and means."""
    text = """
    set I = 1..3
    var x[I] <= 0.9, >= 0.01
    var t >= 0
    minimize 1 / (1 - x[1]) + t + norm2(x[i] for i in I) / x[2] + 1 / harmonic_mean(x[i] for i in I)
    subject to
      a: geo_mean(x[i] for i in I) >= 0.2
      b: prod(1 + x[i] for i in I) <= t
      c: 1 - x[2] >= 0.4 * x[3]
      d: norm(x, 3) <= 1
    """
    x, t = cvxpy.Variable(3, pos=True), cvxpy.Variable(pos=True)
    objective = 1 / cvxpy.one_minus_pos(x[0]) + t + cvxpy.pnorm(x, 2) / x[1] + cvxpy.sum(x**-1) / 3
    constraints = [
        x <= 0.9, x >= 0.01, cvxpy.geo_mean(x) >= 0.2, (1 + x[0]) * (1 + x[1]) * (1 + x[2]) <= t,
        cvxpy.one_minus_pos(x[1]) >= 0.4 * x[2], cvxpy.pnorm(x, 3) <= 1,
    ]  # fmt: skip
    return text, cvxpy.Problem(cvxpy.Minimize(objective), constraints)


@pytest.mark.parametrize("case", [_gates, _floor, _generalized, _differences])
def test_against_cvxpy(case) -> None:  # type: ignore[no-untyped-def]
    text, problem = case()
    answer = solved(text)
    problem.solve(gp=True, solver="CLARABEL")
    assert objective_of(answer) == pytest.approx(problem.value, rel=1e-6)
    assert_proved(answer)


def test_random_over_sets_against_cvxpy() -> None:
    rng = np.random.default_rng(5)
    for _ in range(5):
        n, m = 6, 12
        exponents, cost = rng.normal(size=(m, n)).round(2), rng.uniform(0.5, 2, n).round(2)
        scale = rng.uniform(0.5, 2, m).round(2)
        text = """
        set I = 1..6
        set K = 1..12
        param a[K, I] = {exponents}
        param c[K] = {scale}
        param w[I] = {cost}
        var x[I] in [0.1, 10]
        minimize sum(w[i] * x[i] for i in I) + sum(c[k] * prod(x[i]^a[k, i] for i in I) for k in K)
        subject to
          limit[k in K if k > 6]: c[k] * prod(x[i]^a[k, i] for i in I) + x[k - 6] <= 12
        """
        answer = solved(text, exponents=exponents.tolist(), scale=scale.tolist(), cost=cost.tolist())
        x = cvxpy.Variable(n, pos=True)
        monomials = [scale[k] * cvxpy.prod(cvxpy.hstack([x[i] ** exponents[k, i] for i in range(n)])) for k in range(m)]
        constraints = [monomials[k] + x[k - 6] <= 12 for k in range(6, m)] + [x >= 0.1, x <= 10]
        problem = cvxpy.Problem(cvxpy.Minimize(cost @ x + sum(monomials)), constraints)
        problem.solve(gp=True, solver="CLARABEL")
        assert objective_of(answer) == pytest.approx(problem.value, rel=1e-6)
        assert_proved(answer)


LARGE = """
set I = 1..1000
param c[i in I] = 1 + mod(i * 37, 11) / 10
param a[i in I] = 0.3 + mod(i * 53, 7) / 5
var x[I] >= 0
var t >= 0.1
minimize total: sum(c[i] * x[i] for i in I) + 100 / t
subject to
  link[i in I if i > 1]: t / (x[i] * x[i - 1]^a[i]) + t^a[i] / x[i] <= 3
  first: x[1] * t >= 0.2
"""


def test_a_thousand_lanes() -> None:
    began = time.perf_counter()
    problem = geometric(LARGE)
    recognized = time.perf_counter() - began
    answer = solve_geometric(problem, solve_cones)
    assert len(answer.restored.duals[0]) == 999  # type: ignore[index]
    assert_proved(answer)
    assert recognized < 2.0


# ------------------------------------------------------------------------------------------------------ statuses


def test_infeasible() -> None:
    answer = solved(
        """
        var x >= 0
        var y >= 0
        minimize x / y
        subject to
          a: x * y <= 1
          b: x >= 2 * y^2
          c: y >= 3
        """
    )
    assert answer.raw.status is RawStatus.INFEASIBLE


def test_a_side_that_nothing_positive_reaches() -> None:
    text = """
    set I = 1..3
    param b[I] = [1, -2, 3]
    var x >= 0
    var y >= 0
    minimize x / y + y
    subject to
      a[i in I]: x * y <= b[i]
    """
    found = geometric(text)
    assert found.impossible == ((0, 1),)
    assert solve_geometric(found, solve_cones).raw.status is RawStatus.INFEASIBLE


def test_unbounded() -> None:
    answer = solved("var x >= 0\nvar y >= 0\nmaximize x * y\nsubject to\n  a: x <= y^2")
    assert answer.raw.status is RawStatus.UNBOUNDED
    assert answer.note.startswith("the objective grows without end")


def test_an_infimum_that_is_not_reached() -> None:
    answer = solve_geometric(
        geometric("var x >= 0\nvar y >= 0\nminimize x / y + 4\nsubject to\n  a: 1 <= x * y"),
        lambda program: choose(program).solve(program),
    )
    assert not answer.attained and answer.restored.x is not None
    assert answer.restored.bound == 4 and "without reaching" in answer.note
    assert 4 <= objective_of(answer) <= 4 + 1e-6


def test_no_objective() -> None:
    answer = solved("var x >= 0\nvar y >= 0\nsubject to\n  a: x * y = 2\n  b: x + y / x <= 5")
    x, y = answer.restored.x  # type: ignore[misc]
    assert x * y == pytest.approx(2) and x + y / x <= 5 + 1e-7


def test_the_wrong_bound_would_show() -> None:
    """The bound comes from the multipliers: with wrong ones it is worse, and never on the wrong side."""
    from dataclasses import replace

    answer = solved(BOX)
    raw = answer.raw
    assert raw.row_dual is not None
    best = objective_of(answer)
    for factor in (0.5, 0.9, 1.1, 2.0):
        bound = answer.lowered.bound(replace(raw, row_dual=raw.row_dual * factor))
        assert bound is None or bound >= best * (1 - 1e-12)
        assert bound is None or bound > best * 1.01


def assert_proved(answer: GeometricAnswer) -> None:
    """Feasible by the templates, first-order conditions and the gap closed far below what is asked for."""
    assert answer.raw.status in (RawStatus.OPTIMAL, RawStatus.INACCURATE)
    assert answer.residual is not None and answer.residual <= 1e-7
    model, x = answer.lowered.geometric.model, answer.restored.x
    assert x is not None
    lanes = model.lanes.with_values(x)
    for number, constraint in enumerate(model.constraints):
        frame = model.lanes_of(constraint.over)
        for relation in constraint.relations:
            value = lanes.full(relation.body, frame).reshape(-1)
            for side, sign in ((relation.upper, 1.0), (relation.lower, -1.0)):
                if side is not None:
                    excess = sign * (value - lanes.full(side, frame).reshape(-1))
                    assert (excess <= 1e-7 * answer.scales[number]).all()
    if model.objective is not None:
        best = objective_of(answer)
        assert answer.restored.bound == pytest.approx(best, rel=1e-7)


def test_model_of_keeps_braces() -> None:
    assert model_of("set I = {1, 2}\nvar x[I] >= 0\nminimize x[1] * x[2]").columns == 2


def test_by_the_solver_of_the_route() -> None:
    """The program as the convex route solves it, with multipliers as sharp."""
    text = BOX.replace("maximize volume: h * w * d", "minimize 1 / (h * w) + d + 1 / d + h / w")
    answer = solve_geometric(geometric(text), lambda program: choose(program).solve(program))
    assert objective_of(answer) == pytest.approx(optimum(text), rel=1e-8)
    assert_proved(answer)
