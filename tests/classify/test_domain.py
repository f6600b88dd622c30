"""Verdicts that need D: bounds from affine constraints and natural domains, never more than D gives."""

from __future__ import annotations

import json

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import linprog

import optdsl
from optdsl.classify import analyze
from optdsl.classify.bound_steps import bound_step
from optdsl.classify.domain import Domain, on_domain
from optdsl.classify.facts import Facts
from optdsl.language import parse
from optdsl.model import build
from optdsl.terms.frame import Frame


def cvx(text: str, make) -> tuple[str, object]:  # type: ignore[no-untyped-def]
    return text, make


def _cube() -> cp.Problem:
    x = cp.Variable(nonneg=True)
    return cp.Problem(cp.Minimize(cp.power(x, 3) - 3 * x))


def _inverse() -> cp.Problem:
    x = cp.Variable()
    return cp.Problem(cp.Minimize(x + cp.inv_pos(x)), [x >= 0.3])


def _ratio() -> cp.Problem:
    x, y = cp.Variable(3), cp.Variable()
    return cp.Problem(cp.Minimize(cp.quad_over_lin(x, y) + y), [cp.sum(x) == 3, y >= 0.5])


def _divisor() -> cp.Problem:
    x = cp.Variable(3)
    return cp.Problem(
        cp.Minimize(cp.quad_over_lin(x[1] - 3, x[0] + x[2]) + cp.square(x[0]) + x[2]),
        [x[0] + x[2] >= 1, cp.sum(x) <= 10],
    )


def _own_domain() -> cp.Problem:
    x = cp.Variable(3)
    return cp.Problem(cp.Minimize(cp.quad_over_lin(x - np.array([1, 2, 3]), x[0] + x[2]) + x[0]), [x <= 2])


def _entropy() -> cp.Problem:
    x, y = cp.Variable(), cp.Variable()
    return cp.Problem(cp.Minimize(cp.rel_entr(x, y) + cp.square(x - 2)), [x + y == 3, y >= 0.1])


def _difference() -> cp.Problem:
    x, y, z = cp.Variable(), cp.Variable(), cp.Variable()
    return cp.Problem(cp.Minimize(cp.inv_pos(z - x) + (z - x)), [y - x >= 1, z - y >= 1])


def _product() -> cp.Problem:
    x, y = cp.Variable(), cp.Variable()
    return cp.Problem(cp.Minimize(2 * x + y), [cp.geo_mean(cp.hstack([x, y])) >= 1, x >= 0, y >= x])


def _chain() -> cp.Problem:
    x = cp.Variable(5)
    return cp.Problem(
        cp.Minimize(cp.power(x[4], 3) + cp.inv_pos(x[2] + x[1]) - 5 * x[0]), [x[0] >= 1, cp.diff(x) >= 0, x[0] <= 4]
    )


def _weighted() -> cp.Problem:
    x = cp.Variable(4)
    a = np.array([0.1, 0.3, 0.7, 1.3])
    return cp.Problem(cp.Minimize(cp.inv_pos(a @ x) + cp.sum_squares(x)), [a @ x >= 0.2])


def _families() -> cp.Problem:
    x, y = cp.Variable(3), cp.Variable(3)
    rows = [x[k] - y[k] >= 0.1 * (k + 1) for k in range(3)]
    return cp.Problem(cp.Minimize(cp.sum(cp.inv_pos(x - y)) + cp.sum_squares(x) + cp.sum_squares(y)), rows)


def _both_signs() -> cp.Problem:
    x, y = cp.Variable(), cp.Variable()
    return cp.Problem(cp.Minimize(cp.power(x, 3) + cp.power(-y, 3) - 2 * x + 3 * y), [x >= 0, y <= 0])


def _from_power() -> cp.Problem:
    x = cp.Variable(3)
    return cp.Problem(cp.Minimize(cp.sum(cp.power(x, 1.5)) + cp.sum(cp.power(x, 3))), [cp.sum(x) == 3, x[0] >= 2])


def _by_data() -> cp.Problem:
    x = cp.Variable(3)
    cost = cp.power(x[0], 1.5) + cp.power(x[1], 3) + x[2] + cp.power(x[0], 3)
    return cp.Problem(cp.Minimize(cost), [cp.sum(x) == 3, x[1] >= 0.5, x[2] >= -2])


def _definite() -> cp.Problem:
    x = cp.Variable((2, 2), PSD=True)
    return cp.Problem(cp.Minimize(cp.power(x[0, 0], 3) + cp.trace(x)), [x[0, 1] == 1])


NEEDS_D = {
    "cube": cvx("var x\nminimize o: x^3 - 3*x\nsubject to\n  c: x >= 0", _cube),
    "cube, turned": cvx("var x\nminimize o: x^3 - 3*x\nsubject to\n  c: -2*x <= 0", _cube),
    "inverse": cvx("var x\nminimize o: x + 1/x\nsubject to\n  c: x >= 0.3", _inverse),
    "ratio": cvx(
        "set I = 1..3\nvar x[I]\nvar y\nminimize o: sum(x[i]^2/y for i in I) + y\nsubject to\n"
        "  s: sum(x[i] for i in I) = 3\n  p: y >= 0.5",
        _ratio,
    ),
    "divisor": cvx(
        "var x[1..3]\nminimize o: (x[2]-3)^2/(x[1]+x[3]) + x[1]^2 + x[3]\nsubject to\n  c: x[1]+x[3] >= 1\n"
        "  d: sum(x) <= 10",
        _divisor,
    ),
    "own domain": cvx(
        "var x[1..3]\nminimize o: quad_over_lin([x[i] - i for i in 1..3], x[1]+x[3]) + x[1]\nsubject to\n"
        "  c[i in 1..3]: x[i] <= 2",
        _own_domain,
    ),
    "domain of a quotient": cvx(
        "var x\nvar y\nminimize o: x*log(x/y) + (x-2)^2\nsubject to\n  a: x + y = 3\n  b: y >= 0.1", _entropy
    ),
    "sum of two rows": cvx(
        "var x\nvar y\nvar z\nminimize o: 1/(z-x) + (z-x)\nsubject to\n  a: y - x >= 1\n  b: z - y >= 1", _difference
    ),
    "product": cvx(
        "var x\nvar y\nminimize o: 2*x + y\nsubject to\n  p: x*y >= 1\n  c: x >= 0\n  d: y >= x", _product
    ),
    "chain": cvx(
        "var x[1..5]\nminimize o: x[5]^3 + 1/(x[3]+x[2]) - 5*x[1]\nsubject to\n  a: x[1] >= 1\n"
        "  b[i in 1..4]: x[i+1] >= x[i]\n  c: x[1] <= 4",
        _chain,
    ),
    "weighted sum": cvx(
        "set I = 1..4\nparam a[I] = [0.1, 0.3, 0.7, 1.3]\nvar x[I]\n"
        "minimize o: 1/sum(a[i]*x[i] for i in I) + sum(x[i]^2 for i in I)\nsubject to\n"
        "  c: sum(a[i]*x[i] for i in I) >= 0.2",
        _weighted,
    ),
    "families": cvx(
        "set I = 1..3\nvar x[I]\nvar y[I]\nminimize o: sum(1/(x[i]-y[i]) + x[i]^2 + y[i]^2 for i in I)\nsubject to\n"
        "  c[i in I]: x[i] - y[i] >= 0.1*i",
        _families,
    ),
    "both signs": cvx(
        "var x\nvar y\nminimize o: x^3 - y^3 - 2*x + 3*y\nsubject to\n  a: x >= 0\n  b: y <= 0", _both_signs
    ),
    "domain of a power": cvx(
        "var x[1..3]\nminimize o: sum(x[i]^1.5 for i in 1..3) + sum(x[i]^3 for i in 1..3)\nsubject to\n"
        "  s: sum(x) = 3\n  t: x[1] >= 2",
        _from_power,
    ),
    "domain of a power by data": cvx(
        "set I = 1..3\nparam p[I] = [1.5, 3, 1]\nvar x[I]\nminimize o: sum(x[i]^p[i] for i in I) + x[1]^3\nsubject to\n"
        "  s: sum(x) = 3\n  t: x[2] >= 0.5\n  u: x[3] >= -2",
        _by_data,
    ),
    "definite": cvx(
        "var X[1..2, 1..2] psd\nminimize o: X[1,1]^3 + trace(X)\nsubject to\n  c: X[1,2] = 1", _definite
    ),
}

BEYOND = [
    # an end just beyond the point of inflection
    "var x\nminimize o: x^3 - 3*x\nsubject to\n  c: x >= -1e-6\n  d: x <= 10",
    "var x\nminimize o: x^3 + x\nsubject to\n  c: x >= -1e-12\n  d: x <= 10",
    "var x\nvar y\nminimize o: (x - y)^3\nsubject to\n  c: x - y >= -1e-9\n  d: x - y <= 10",
    "var x\nvar y\nminimize o: (x - y)^3\nsubject to\n  c: x - 0.999*y >= 0\n  d: x - y <= 10",
    "var x\nvar y\nminimize o: x + y\nsubject to\n  p: x*y >= 1\n  c: x >= -1e-9\n  d: y >= -5\n  e: x + y <= 9",
    # two terms without a bound leave nothing to each other
    "var x\nvar y\nminimize o: x^3\nsubject to\n  c: x + y >= 0\n  d: x - y <= 4",
    # one row of several is the other way round
    "var x[1..3]\nminimize o: sum(x[i]^3 for i in 1..3)\nsubject to\n  c[i in 1..3]: x[i]*(-1)^i >= -3",
    # constraints that contradict each other prove nothing
    "var x\nminimize o: x^3*sin(x)\nsubject to\n  c: x >= 1\n  d: x <= -1",
]


@pytest.mark.parametrize("name", NEEDS_D)
def test_what_d_makes_convex_is_solved(name: str) -> None:
    text, make = NEEDS_D[name]
    problem = make()  # type: ignore[operator]
    problem.solve(solver="CLARABEL")
    model = optdsl.parse(text)
    assert model.check().problem_class.convexity == "convex"
    solution = model.solve()
    assert solution.status.word == "optimal"
    assert solution.objective == pytest.approx(problem.value, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("text", BEYOND)
def test_what_d_does_not_make_convex_is_not_called_so(text: str) -> None:
    assert optdsl.parse(text).check().problem_class.convexity != "convex"


def model_of(text: str):  # type: ignore[no-untyped-def]
    from pathlib import Path

    return build(parse(text, "test.opt"), folder=Path(), supplied=None, paths=None, name="test")


@pytest.mark.parametrize("name", NEEDS_D)
def test_a_proof_names_constraints_that_give_its_bounds(name: str) -> None:
    """The named rows alone, with the declared bounds, imply what the step says (by a linear program)."""
    text = NEEDS_D[name][0]
    verdict = json.loads(optdsl.parse(text).check().to_json())
    lines = {f"`{s['name']}` (line {s['line']})" for s in verdict["statements"]} | {"`X` (line 1)"}
    steps = [step for s in verdict["statements"] for step in s["proof"] if step["kind"] == "bound"]
    assert steps
    for step in steps:
        assert step["needs"] and all(n in lines or n.startswith("the domain of a function in") for n in step["needs"])


def test_named_rows_imply_the_bound() -> None:
    checked = 0
    for text, _ in NEEDS_D.values():
        model = model_of(text)
        sharp = on_domain(model, Facts.of(model))
        assert sharp is not None and isinstance(sharp.known, Domain)
        rows = sharp.known.rows
        for column in range(model.columns):
            for low in (True, False):
                value = sharp.lower[column] if low else sharp.upper[column]
                checked += _implied_by_its_sources(model, sharp, rows, column, low, float(value))
    assert checked > 20


def _implied_by_its_sources(model, sharp, rows, column, low, value) -> bool:  # type: ignore[no-untyped-def]
    entry = _entry_of(model, column)
    if entry is None or not np.isfinite(value):
        return False
    sources = sharp.known.reasons(entry, Frame().as_root(), low=low, high=not low)
    named = np.array([sharp.known.sources[k] in sources for k in rows.origin], dtype=bool)
    matrix = rows.matrix.toarray()[named]
    high_side, low_side = rows.high[named], rows.low[named]
    some = {"A_ub": None, "b_ub": None}
    upper, lower = np.isfinite(high_side), np.isfinite(low_side)
    if upper.any() or lower.any():
        some = {
            "A_ub": np.vstack([matrix[upper], -matrix[lower]]),
            "b_ub": np.concatenate([high_side[upper], -low_side[lower]]),
        }
    plain = sharp.plain
    cost = np.zeros(model.columns)
    cost[column] = 1.0 if low else -1.0
    answer = linprog(cost, **some, bounds=np.column_stack([plain.lower, plain.upper]), method="highs")
    assert answer.status == 0
    assert (value <= answer.fun + 1e-9) if low else (value >= -answer.fun - 1e-9)
    return True


def _entry_of(model, column: int):  # type: ignore[no-untyped-def]
    """The variable's entry that is this column, as an expression."""
    import sympy

    from optdsl.terms import nodes

    for variable in model.variables.values():
        if variable.offset <= column < variable.offset + variable.width and len(variable.axes) < 2:
            slots = [] if not variable.axes else [sympy.Integer(variable.axes[0].member(column - variable.offset)[0])]
            return nodes.VariableEntry(variable.name, *slots)
    return None


def test_a_step_of_a_bound_tells_the_end_that_matters() -> None:
    model = model_of("var x in [-9, 9]\nvar y\nminimize o: (x - y)^3\nsubject to\n  c: x - y >= 0\n  d: x - y <= 4")
    sharp = on_domain(model, Facts.of(model))
    assert sharp is not None and model.objective is not None
    step = bound_step(model.objective.body.args[0], Frame().as_root(), sharp)
    assert step is not None and (step.lower, step.upper) == (0.0, np.inf)
    assert [s.name for s in step.sources] == ["c"] and step.gives == "nonnegative"
    assert step.rule == "bound: by `c` (line 5)"


def test_nothing_is_propagated_where_nothing_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from optdsl.classify import analyst

    def never(*_: object) -> None:
        raise AssertionError("D was built")

    monkeypatch.setattr(analyst, "on_domain", never)
    text = "var x[1..4] in [0, 1]\nvar y\nminimize o: sum(x[i]*log(x[i]) for i in 1..4) + y^2 + abs(y)\nsubject to\n"
    assert analyze(model_of(text + "  c[i in 1..4]: x[i] + y >= 1\n  d: sum(x) >= 2")).convexity == "convex"


CONTRADICTIONS = [
    ("var x\nvar y\nminimize o: x*sin(x)*y\nsubject to\n  c: x >= 1\n  d: x <= -1", {"c", "d"}),
    (
        "var x\nvar y in [0,1]\nminimize o: x^3*sin(y)\nsubject to\n  c: x + y >= 1\n  d: x + y^2 <= -1\n  e: x*y <= 1",
        {"c", "d"},
    ),
    ("var x in [-3, -2]\nminimize o: quad_over_lin([x], x)", {"x"}),
    ("var x in [-5, -1]\nvar y in [0, 1]\nminimize o: y + sqrt(x)", {"x"}),
    ("var x in [-5, -1]\nvar y in [0, 1]\nminimize o: y\nsubject to\n  c: pow(x, 0.5) <= 4", {"x"}),
]


@pytest.mark.parametrize(("text", "names"), CONTRADICTIONS)
def test_an_empty_domain_is_infeasible_by_name(text: str, names: set[str]) -> None:
    solution = optdsl.parse(text).solve()
    assert (solution.status.word, solution.guarantee.name.lower()) == ("infeasible", "global")
    assert solution.conflict is not None and {m.name for m in solution.conflict.members} == names


SMOOTH_ON_D = [
    ("var x\nminimize o: abs(x) + (x - 3)^2\nsubject to\n  c: x >= 1", "smooth"),
    ("var x\nminimize o: abs(x) + (x - 3)^2\nsubject to\n  c: x >= -1", "nonsmooth"),
    ("var x\nvar y\nminimize o: x\nsubject to\n  c: abs(x - y) + x^2 <= 4\n  d: x >= y", "smooth"),
    ("var x[1..3]\nminimize o: sum(pos(x[i] - i) for i in 1..3)\nsubject to\n  c[i in 1..3]: x[i] >= i", "smooth"),
]


@pytest.mark.parametrize(("text", "word"), SMOOTH_ON_D)
def test_a_kink_that_constraints_keep_away_from_is_none(text: str, word: str) -> None:
    model = optdsl.parse(text)
    assert model.check().problem_class.smoothness == word
    assert model.solve().problem_class.smoothness == word


ONE_PIECE = [
    ("var x\nvar y in [0, 9]\nminimize o: (x-1)^2 + y\nsubject to\n  c: abs(x) = y\n  d: x >= 0", 0.75),
    (
        "var x[1..3]\nmaximize o: sum(abs(x[i]) - x[i]^2 for i in 1..3)\nsubject to\n  d: x[1] >= 0.1\n"
        "  e: x[2] <= -1\n  f: x[3] >= 2",
        -1.75,
    ),
    ("var x\nvar y\nmaximize o: max(x, y, 3) - x^2 - y^2\nsubject to\n  d: x <= 1\n  e: y <= -1", 2.0),
    (
        "var x in [-3, 3]\nvar y in [-9, 9]\nminimize o: y\nsubject to\n  c: min(x, y) = y\n  d: y <= -4\n"
        "  e: x + y >= -6",
        -9.0,
    ),
]


@pytest.mark.parametrize(("text", "optimum"), ONE_PIECE)
def test_one_piece_alone_is_affine(text: str, optimum: float) -> None:
    model = optdsl.parse(text)
    assert model.check().problem_class.convexity == "convex"
    solution = model.solve()
    assert solution.status.word == "optimal" and solution.objective == pytest.approx(optimum, abs=1e-6)


LARGE = [
    "var x[I]\nvar y[I]\nvar z[I]\nminimize o: sum(1/(x[i]-y[i]) for i in I)\nsubject to\n  a[i in I]: x[i]-z[i] >= 1\n"
    "  b[i in I]: z[i]-y[i] >= 0\n  d: sum(x[i] for i in I) >= 5",
    "var x[I]\nvar y[I]\nminimize o: sum(x[i]^3 + 1/(x[i]+y[i]) for i in I)\nsubject to\n  a[i in I]: x[i]+y[i] >= 1\n"
    "  b[i in I]: x[i] >= 0\n  d: sum(x[i] for i in I) >= 5",
    "set J = 1..60\nparam a[J, I] = [[sin(i*j) for i in I] for j in J]\nvar x[I]\n"
    "minimize o: sum(1/sum(a[j, i]*x[i] for i in I) for j in J)\nsubject to\n"
    "  c[j in J]: 3*sum(a[j, i]*x[i] for i in I) >= 1\n  e[j in J]: sum(a[j, i]*x[i] for i in I) <= 9",
]


@pytest.mark.parametrize("text", LARGE)
def test_families_with_many_members(text: str) -> None:
    assert analyze(model_of(f"set I = 1..3000\n{text}")).convexity == "convex"


def test_one_member_that_is_not_bounded_is_found_among_many() -> None:
    text = (
        "set I = 1..3000\nparam low[i in I] = -1 if i = 1234 else 0\nvar x[I]\n"
        "minimize o: sum(x[i]^3 + x[i]^2 for i in I)\nsubject to\n  c[i in I]: x[i] >= low[i]\n  d[i in I]: x[i] <= 9"
    )
    analysis = analyze(model_of(text))
    assert analysis.convexity != "convex"
    assert "at i = 1234" in analysis.refusal[0].message


def test_a_constraint_does_not_give_its_own_sign() -> None:
    verdict = optdsl.parse("var x\nvar y\nminimize o: x^3 + y^2\nsubject to\n  c: x + y <= 4\n  d: x >= 0").check()
    assert [s.sign for s in verdict.statements if s.role == "constraint"] == ["unknown", "unknown"]


BRINGS_ITS_DOMAIN = [
    "var x[I]\nminimize o: sum(sum(x[i]*log(x[i]) for i in I if i > j) for j in I)",
    "var x[I]\nmaximize o: sum(log(x[i]) + sqrt(x[i]) + x[i]^p[i] for i in I) - sum(x)",
    "var x[I]\nminimize o: sum(sqrt(1 + x[i]^2) + log(1 + exp(x[i])) for i in I)\nsubject to\n  c: geo_mean(x) >= 1",
    "var x[I]\nvar y[I]\nminimize o: sum(quad_over_lin([x[j] for j in I], y[i]) + y[i] for i in I)",
]


@pytest.mark.parametrize("text", BRINGS_ITS_DOMAIN)
def test_what_a_cone_keeps_is_not_kept_again(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from optdsl.classify import analyst

    kept: list[object] = []

    def hold(conditions, *_):  # type: ignore[no-untyped-def]
        kept[:] = conditions

    monkeypatch.setattr(analyst, "hold", hold)
    head = "set I = 1..4\nparam p[I] = [0.5, 0.2, 0.9, 1]\n"
    assert analyze(model_of(head + text)).convexity == "convex"
    assert not kept
