"""Values in forty digits against the table's kernels, their error bounds, and exact membership in D."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

from optdsl.atoms import ARRAYWISE, ELEMENTWISE, REDUCTIONS, AxisGroups
from optdsl.classify.witness import Domain, Statement, functions
from optdsl.classify.witness.lanes import Inside, Values
from optdsl.classify.witness.precise import Between, Precise, TooLarge, Unsure, digits
from optdsl.classify.witness.search import summands
from optdsl.classify.witness.verify import Candidate, Judge, is_exactly_semidefinite
from optdsl.language import parse
from optdsl.model import build
from optdsl.terms.frame import Frame

NUMBERS = (-3.25, -1.0, -0.5, -1e-3, 0.0, 1e-3, 0.25, 1.0, 1.75, 8.0)


def test_every_elementwise_function_of_the_language_is_known_in_many_digits() -> None:
    context = digits()
    compared = 0
    for name, function in functions.ELEMENTWISE.items():
        row = ELEMENTWISE[name]
        count = row.arity[0] if row.arity[1] == row.arity[0] else 2
        for arguments in np.stack(np.meshgrid(*[NUMBERS] * count), axis=-1).reshape(-1, count):
            if name in ("huber", "elu", "leaky_relu") and arguments[1] <= 0:
                continue
            expected = float(row.kernel(*arguments))
            found = function(context, *[context.mpf(float(a)) for a in arguments])
            if found is None:
                assert not np.isfinite(expected), (name, arguments)
            else:
                compared += 1
                assert float(found) == pytest.approx(expected, rel=1e-11, abs=1e-14), (name, arguments)
    assert compared > 900
    told = {name for name in ELEMENTWISE if not name.startswith("_")} - {"mod", "div"}
    assert len(told & set(functions.ELEMENTWISE)) >= 40


def test_reductions_and_matrix_functions() -> None:
    context = digits()
    rng = np.random.default_rng(0)
    for name, function in functions.REDUCTIONS.items():
        for size in (1, 2, 7):
            values = rng.normal(size=size)
            values = np.abs(values) if name in ("geo_mean", "harmonic_mean") else values
            extra = {"norm": [2.5], "sum_largest": [1.0]}.get(name, [])
            expected = float(np.asarray(REDUCTIONS[name].kernel(values, AxisGroups(values.shape), *extra)))
            found = function(context, [context.mpf(v) for v in values.tolist()], *map(context.mpf, extra))
            assert float(found) == pytest.approx(expected, rel=1e-12), name
    for name, function in functions.ARRAYS.items():
        factor = rng.normal(size=(3, 3))
        matrix = factor @ factor.T + 0.1 * np.eye(3)
        arrays = [rng.normal(size=3), matrix] if name == "matrix_frac" else [matrix]
        expected = np.asarray(ARRAYWISE[name].kernel(*arrays))
        given = [np.vectorize(context.mpf, otypes=[object])(a).tolist() for a in arrays]
        found = np.asarray(function(context, *given), dtype=float)
        np.testing.assert_allclose(found, expected, rtol=1e-10, err_msg=name)


TEXT = """
set I = {"a", "b", "c"}
set ARC = {("a", "b"), ("b", "c"), ("c", "a")}
param w[i in I] = {"a": 0.1, "b": -2, "c": 1/3}
param Q[i in I, j in I] = [[2, 0.5, 0], [0.5, 1, 0.25], [0, 0.25, 3]]
var x[i in I]
var y
let fold(t) = max(t, 0)^2
minimize f: sum(w[i]*x[i]^3 for i in I) + x @ Q @ x + y/(1 + y^2)
subject to
  c[i in I if w[i] > 0]: sum(exp(x[j])*w[j] for (i, j) in ARC) + fold(y) - (x[i] if w[i] > 0.2 else y) <= 4
  d[(i, j) in ARC]: norm2([x[i], x[j], 1]) + log(2 + sin(y)) + logsumexp(x) <= 9
  e: geo_mean([1 + x[i]^2 for i in I]) + sum_largest(x, 2) + huber(y, 0.5) + cbrt(y) <= 9
  g: sum(max(x[i], x[j]) for (i, j) in ARC) + prod(x[i] + 2 for i in I) + norm(x, 3) + mean(x) >= 0
"""


def test_values_are_those_of_the_lanes() -> None:
    model = build(parse(TEXT, "test.opt"))
    rng = np.random.default_rng(1)
    statements = [Statement.of_objective(model.objective)]  # type: ignore[arg-type]
    statements += [Statement.of_relation(c, r) for c in model.constraints for r in c.relations]
    for statement in statements:
        values = Values(model, statement)
        points = np.round(rng.normal(size=(3, model.columns)), 3)
        plain = values.at(points)
        assert plain.shape[1] == model.lanes_of(statement.over).size
        for lane in range(plain.shape[1]):
            alone = values.of_lane(lane)
            np.testing.assert_allclose(alone.at(points)[:, 0], plain[:, lane], rtol=1e-13, atol=1e-13)
            moved = alone.moved(points[0], np.array([0, 3]), points[1:, [0, 3]])
            base = np.repeat(points[:1], 2, axis=0)
            base[:, [0, 3]] = points[1:, [0, 3]]
            np.testing.assert_allclose(moved, alone.at(base))
            for k, point in enumerate(points):
                found = Precise(model, point).at_lane(statement.over, statement.expression, lane)
                assert float(found.value[0]) == pytest.approx(plain[k, lane], rel=1e-12, abs=1e-12)
                assert float(found.error[0]) < 1e-13
            between = Between(points[0], points[1], 0.3)
            found = Precise(model, between).at_lane(statement.over, statement.expression, lane)
            expected = alone.at((0.3 * points[0] + 0.7 * points[1])[None])[0, 0]
            assert float(found.value[0]) == pytest.approx(expected, rel=1e-11, abs=1e-12)


def test_decimals_count_as_written() -> None:
    model = build(parse("param a = 0.1\nparam b = 0.2\nvar x\nminimize f: (a + b*x - 0.3)*1e20\n", "test.opt"))
    assert model.objective is not None
    found = Precise(model, np.array([1.0])).find(model.objective.body, Frame())
    assert found.value.item() == 0  # 0.1 + 0.2 - 0.3 in decimals
    assert 1e3 < float(found.error) < 1e5  # and what a rounding of the data would do


def test_errors_follow_data_through_functions() -> None:
    model = build(parse("param a = 0.1\nvar x >= 0\nminimize f: exp(100*a*x) + sqrt(x + a - 0.1)\n", "test.opt"))
    assert model.objective is not None
    with pytest.raises(Unsure):  # whether the root's argument is negative, rounding decides
        Precise(model, np.array([0.0])).find(model.objective.body, Frame())
    found = Precise(model, np.array([3.0])).find(model.objective.body, Frame())
    assert 1e-2 < float(found.error) / (float(found.value.item()) * 30 * np.finfo(float).eps) < 10


def test_many_members_are_refused() -> None:
    model = build(parse("set I = 1..50000\nvar x[i in I]\nminimize f: sum(x[i]^2 for i in I)\n", "test.opt"))
    assert model.objective is not None
    with pytest.raises(TooLarge):
        Precise(model, np.zeros(model.columns)).find(model.objective.body, Frame())


def test_membership_is_exact() -> None:
    model = build(parse("var x in [0, 0.3]\nvar y\nminimize f: -x^2 - y^2\n", "test.opt"))
    inf = math.inf
    rows = sp.csr_array(np.array([[1.0, 1.0], [0.1, -0.1]]))
    domain = Domain.of(model, rows, np.array([-inf, 0.01]), np.array([0.3, 0.01]))
    judge = Judge(model, Statement.of_objective(model.objective), domain, Inside(model, domain))  # type: ignore[arg-type]
    assert judge.contains(np.array([0.2, 0.1]))  # 0.1 + 0.2 <= 0.3 holds in decimals, not in floats
    assert not judge.contains(np.array([0.2000001, 0.1000001]))
    assert not judge.contains(np.array([0.2, 0.1 + 1e-9]))
    assert not judge.contains(np.array([-1e-12, -0.1]))


def test_false_candidates_are_refused() -> None:
    """Whatever the search may propose, a pair that does not fail, or fails by rounding only, is no witness."""
    model = build(parse("param a = 0.1\nvar x\nvar y\nminimize f: (x - y)^2 + 1e-18*x*y\n", "test.opt"))
    domain = Domain.of(model)
    judge = Judge(model, Statement.of_objective(model.objective), domain, Inside(model, domain))  # type: ignore[arg-type]

    def accepted(first: tuple[float, float], second: tuple[float, float], kind: str = "function") -> bool:
        candidate = Candidate(np.array(first), np.array(second), 0.5, 0, "convex", kind, 1.0)
        return judge.accept(candidate) is not None

    assert not accepted((0.0, 0.0), (1.0, 2.0))
    assert not accepted((1.0, 1.0), (-1.0, -1.0))
    assert not accepted((0.0, 0.0), (1.0, 2.0), "domain")
    assert not accepted((1e8, 1e8 + 1e-8), (-1e8, -1e8))
    assert not accepted((0.0, 0.0), (math.inf, 0.0))
    other = build(parse("var x\nvar y\nminimize f: x*y\n", "test.opt"))
    domain = Domain.of(other)
    judge = Judge(other, Statement.of_objective(other.objective), domain, Inside(other, domain))  # type: ignore[arg-type]
    assert accepted((1.0, 0.0), (0.0, 1.0))
    assert not accepted((1.0, 1.0), (0.0, 0.0))


def test_semidefinite_in_fractions() -> None:
    assert is_exactly_semidefinite(np.zeros((3, 3)))
    assert is_exactly_semidefinite(np.array([[1.0, 2.0], [2.0, 4.0]]))
    assert not is_exactly_semidefinite(np.array([[1.0, 2.0], [2.0, 4.0 - 1e-15]]))
    assert is_exactly_semidefinite(np.array([[0.1, 0.3], [0.3, 0.9]]))
    assert not is_exactly_semidefinite(np.array([[0.0, 1.0], [1.0, 5.0]]))
    rng = np.random.default_rng(0)
    for _ in range(200):
        matrix = rng.integers(-3, 4, (3, 3)).astype(float)
        matrix = matrix + matrix.T
        lowest = np.linalg.eigvalsh(matrix)[0]
        if abs(lowest) > 1e-9:
            assert is_exactly_semidefinite(matrix) == (lowest > 0)


def test_summands_of_nested_sums() -> None:
    text = "set I = 1..3\nvar x[i in I]\nminimize f: 2*sum(x[i]^2 + sum(3*x[i]*x[j] for j in I) for i in I) - x[1]^4\n"
    model = build(parse(text, "test.opt"))
    assert model.objective is not None
    found = summands(model.objective.body)
    assert sorted(len(inner) for inner, _ in found) == [0, 1, 2]
    statement = Statement.of_objective(model.objective)
    point = np.array([[1.0, -2.0, 0.5]])
    total = sum(Values(model, statement, None, part, inner).at(point).sum() for inner, part in found)
    assert total == pytest.approx(Values(model, statement).at(point).item())
