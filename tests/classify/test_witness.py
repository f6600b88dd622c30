"""Witnesses that must be found, each re-checked from its JSON alone with formulas written down here."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from naive import Naive

from optdsl.classify.witness import Domain, Statement, Witness, find_witness
from optdsl.language import parse
from optdsl.model import build
from optdsl.model.model import Model

Rows = Sequence[tuple[Sequence[float], float, float]]  # coefficients of all columns, lower, upper
inf = math.inf


def domain_of(model: Model, rows: Rows = ()) -> Domain:
    if not rows:
        return Domain.of(model)
    matrix = sp.csr_array(np.array([r[0] for r in rows], dtype=float))
    return Domain.of(model, matrix, np.array([r[1] for r in rows], float), np.array([r[2] for r in rows], float))


def statement_of(model: Model, name: str | None = None) -> Statement:
    """The objective, or the first relation of a constraint."""
    if name is None:
        assert model.objective is not None
        return Statement.of_objective(model.objective)
    constraint = next(c for c in model.constraints if c.name == name)
    return Statement.of_relation(constraint, constraint.relations[0])


def search(text: str, name: str | None = None, rows: Rows = (), **options: Any) -> Witness | None:
    model = build(parse(text, "test.opt"))
    options.setdefault("effort", 4.0)
    return find_witness(model, statement_of(model, name), domain_of(model, rows), **options)


@dataclass(frozen=True)
class Point:
    """One point of a witness as the JSON gives it, with the bounds of the text left to the caller."""

    values: dict[str, list[float]]

    def __getattr__(self, name: str) -> Any:
        entries = self.values[name]
        return entries[0] if len(entries) == 1 else np.array(entries)


def recheck(witness: Witness, formula: Callable[[Point], float], needed: str, inside: Callable[[Point], bool]) -> None:
    """The inequality fails clearly, by the formula, at the points that the JSON shows."""
    found = json.loads(json.dumps(witness.to_json(), allow_nan=False))
    first, second = (Point(p) for p in found["points"])
    weight = found["weight"]
    assert 0 < weight < 1
    between = Point(
        {
            name: [weight * a + (1 - weight) * b for a, b in zip(first.values[name], second.values[name], strict=True)]
            for name in first.values
        }
    )
    assert inside(first) and inside(second), found
    values = [formula(first), formula(second)]
    assert values == pytest.approx(found["values"][:2], rel=1e-9, abs=1e-12)
    if found["kind"] == "domain":
        assert found["values"][2] is None
        with pytest.raises((ValueError, ZeroDivisionError)):
            formula(between)
        return
    values.append(formula(between))
    assert values == pytest.approx(found["values"], rel=1e-9, abs=1e-12)
    gap = values[2] - (weight * values[0] + (1 - weight) * values[1])
    sign = {"convex": 1, "concave": -1}[needed]
    assert sign * gap > 1e-6 * max(map(abs, values))
    assert witness.margin == pytest.approx(sign * gap, rel=1e-6)


def anywhere(point: Point) -> bool:
    return True


MIN_OF = "var x\nminimize f: {}\n"
MAX_OF = "var x\nmaximize f: {}\n"
PAIR_MIN = "var x\nvar y\nminimize f: {}\n"

# text, statement, formula, needed curvature, membership of points
FOUND: dict[str, tuple[str, str | None, Callable[[Point], float], str, Callable[[Point], bool]]] = {
    "product": (PAIR_MIN.format("x*y"), None, lambda p: p.x * p.y, "convex", anywhere),
    "cube": (MIN_OF.format("x^3"), None, lambda p: p.x**3, "convex", anywhere),
    "cube maximized": (MAX_OF.format("x^3"), None, lambda p: p.x**3, "concave", anywhere),
    "cube on a box": (
        "var x in [-0.01, 1]\nminimize f: x^3\n", None, lambda p: p.x**3, "convex", lambda p: -0.01 <= p.x <= 1,
    ),
    "root": ("var x >= 0\nminimize f: sqrt(x)\n", None, lambda p: math.sqrt(p.x), "convex", lambda p: p.x >= 0),
    "log": (MIN_OF.format("log(x)"), None, lambda p: math.log(p.x), "convex", lambda p: p.x > 0),
    "sine": (MIN_OF.format("sin(x)"), None, lambda p: math.sin(p.x), "convex", anywhere),
    "sine, just beyond": (
        "var x in [0, 3.2]\nmaximize f: sin(x)\n", None, lambda p: math.sin(p.x), "concave",
        lambda p: 0 <= p.x <= 3.2,
    ),
    "minus a square": (MIN_OF.format("-x^2"), None, lambda p: -(p.x**2), "convex", anywhere),
    "square maximized": (MAX_OF.format("(x-1)^2"), None, lambda p: (p.x - 1) ** 2, "concave", anywhere),
    "hyperbola": (
        "var x\nvar y\nminimize f: x\nsubject to\n  c: x*y >= 1\n", "c", lambda p: p.x * p.y - 1, "concave", anywhere,
    ),
    "sphere": (
        "var x[i in 1..3]\nminimize f: x[1]\nsubject to\n  c: norm2(x) = 1\n", "c",
        lambda p: math.sqrt(sum(v * v for v in p.x)) - 1, "convex", anywhere,
    ),
    "differences": (MIN_OF.format("abs(x) - abs(x - 1)"), None, lambda p: abs(p.x) - abs(p.x - 1), "convex", anywhere),
    "exponentials": (
        PAIR_MIN.format("exp(x) - exp(x + y)"), None, lambda p: math.exp(p.x) - math.exp(p.x + p.y), "convex", anywhere,
    ),
    "rosenbrock": (
        PAIR_MIN.format("(1 - x)^2 + 100*(y - x^2)^2"), None,
        lambda p: (1 - p.x) ** 2 + 100 * (p.y - p.x**2) ** 2, "convex", anywhere,
    ),
    "inverse": (MIN_OF.format("1/x"), None, lambda p: 1 / p.x, "convex", lambda p: p.x != 0),
    "gap of a domain": (
        MIN_OF.format("x^2 + 0*log(x^2 - 1)"), None, lambda p: p.x**2 + 0 * math.log(p.x**2 - 1), "convex",
        lambda p: p.x**2 > 1,
    ),
    "cancelled division": (
        MIN_OF.format("x^2 + x/x"), None, lambda p: p.x**2 + p.x / p.x, "convex", lambda p: p.x != 0,
    ),
    "two branches": (
        MAX_OF.format("log(x^2 - 1)"), None, lambda p: math.log(p.x**2 - 1), "concave", lambda p: p.x**2 > 1,
    ),
    "root of a product": (
        "var x\nvar y\nmaximize f: sqrt(x*y)\n", None, lambda p: math.sqrt(p.x * p.y), "concave",
        lambda p: p.x * p.y >= 0,
    ),
    "near a corner": (
        "var x in [-10, 10]\nvar y in [-10, 10]\nminimize f: x^2 + y^2 - 30*exp(-30*((x-10)^2 + (y-10)^2))\n", None,
        lambda p: p.x**2 + p.y**2 - 30 * math.exp(-30 * ((p.x - 10) ** 2 + (p.y - 10) ** 2)), "convex",
        lambda p: max(abs(p.x), abs(p.y)) <= 10,
    ),
    "two sides": (
        "var x\nminimize f: x\nsubject to\n  c: 1 <= x^2 <= 4\n", "c", lambda p: p.x**2, "concave", anywhere,
    ),
    "ratio": (
        "var x >= 0\nvar y >= 1\nminimize f: x / y\n", None, lambda p: p.x / p.y, "convex",
        lambda p: p.x >= 0 and p.y >= 1,
    ),
    "ceil": (MIN_OF.format("ceil(x)"), None, lambda p: math.ceil(p.x), "convex", anywhere),
    "entropy": (
        "var x\nminimize f: entr(x)\n", None, lambda p: -p.x * math.log(p.x) if p.x else 0.0, "convex",
        lambda p: p.x >= 0,
    ),
    "narrow domain": (
        "var x\nvar y\nminimize f: log(y - x^2) + 0*x\n", None, lambda p: math.log(p.y - p.x**2), "convex",
        lambda p: p.y > p.x**2,
    ),
    "largest eigenvalue": (
        "var X[i in 1..2, j in 1..2] symmetric\nmaximize f: eig_max(X)\n", None,
        lambda p: float(np.linalg.eigvalsh(p.X.reshape(2, 2))[-1]), "concave", lambda p: p.X[1] == p.X[2],
    ),
    "determinant": (
        "var X[i in 1..2, j in 1..2] psd\nmaximize f: det(X)\n", None,
        lambda p: float(np.linalg.det(p.X.reshape(2, 2))), "concave",
        lambda p: p.X[1] == p.X[2] and p.X[0] >= 0 and p.X[3] >= 0 and p.X[0] * p.X[3] >= p.X[1] ** 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOUND)
def test_found(case: str) -> None:
    text, name, formula, needed, inside = FOUND[case]
    start = time.perf_counter()
    witness = search(text, name)
    assert witness is not None
    assert time.perf_counter() - start < 60
    assert witness.kind == ("domain" if case in ("gap of a domain", "cancelled division") else "function")
    if case != "sphere":
        assert witness.needed == needed
    recheck(witness, formula, witness.needed, inside)


def test_plain_numbers() -> None:
    """The simplest examples come out in numbers that one can do in the head."""
    for text in ("x*y", "x^3 + y", "-x^2 + y", "(x - y)^3"):
        witness = search(PAIR_MIN.format(text))
        assert witness is not None and witness.weight == 0.5
        numbers = np.concatenate([*witness.points[0].values(), *witness.points[1].values()])
        assert (np.abs(numbers) <= 100).all() and (numbers == np.round(numbers, 2)).all()


def test_feasible_points_with_an_infeasible_point_between() -> None:
    witness = search("var x\nvar y\nminimize f: x\nsubject to\n  c: x*y >= 1\n", "c")
    assert witness is not None and witness.shrinks
    first, second, between = witness.values
    assert between is not None and first >= 0 and second >= 0 and between < 0


# ---------------------------------------------------------------------------------------------------- affine parts of D


def test_affine_rows_make_convex_or_not() -> None:
    product = PAIR_MIN.format("x*y")
    assert search(product, rows=[((1, -1), 0, 0)], effort=0.5) is None  # x = y: a square
    witness = search(product, rows=[((1, 1), 2, 2)])  # x + y = 2: minus a square
    assert witness is not None
    recheck(witness, lambda p: p.x * p.y, "convex", lambda p: abs(p.x + p.y - 2) <= 1e-12)
    assert search("var x\nvar y >= 0\nminimize f: x^3 + y\n", rows=[((1, -1), 0, inf)], effort=0.5) is None
    witness = search("var x\nvar y >= -0.3\nminimize f: x^3 + y\n", rows=[((1, -1), 0, inf)])
    assert witness is not None
    recheck(witness, lambda p: p.x**3 + p.y, "convex", lambda p: p.x >= p.y >= -0.3)


def test_equalities_hold_to_the_last_digit() -> None:
    rows = [((0.3, 0.7, 0.1), 1.1, 1.1), ((1, 0, -3), 0.2, 0.2)]
    text = "var x[i in 1..3]\nvar z\nminimize f: x[1]*x[2]*x[3] + z\n"
    witness = search(text, rows=[((*r[0], 0), *r[1:]) for r in rows])
    assert witness is not None

    def inside(point: Point) -> bool:
        return all(abs(np.dot(r, point.x) - low) <= 1e-12 * (1 + np.abs(point.x).max()) for r, low, _ in rows)

    recheck(witness, lambda p: float(np.prod(p.x)) + p.z, "convex", inside)


def test_variables_of_shared_rows_are_shown() -> None:
    text = "var x\nvar y\nvar z\nminimize f: x^3\nsubject to\n  c: z <= 1\n"
    witness = search(text, rows=[((1, -1, 0), 0, inf)])
    assert witness is not None and set(witness.points[0]) == {"x", "y"}


def test_an_empty_domain_has_no_witness() -> None:
    assert search(MIN_OF.format("-x^2"), rows=[((1,), 1, 0)], effort=0.5) is None
    assert search(PAIR_MIN.format("x*y"), rows=[((1, 1), 1, inf), ((1, 1), -inf, 0)], effort=0.5) is None
    assert search("var x in [2, 2]\nminimize f: -x^2\n", effort=0.5) is None


def test_natural_domains_of_other_statements_count() -> None:
    text = "var x\nminimize f: x^3\nsubject to\n  c: {}\n"
    assert search(text.format("sqrt(x) <= 5"), effort=0.5) is None
    assert search(text.format("1/(x + 1) >= 0.1"), effort=0.5) is not None
    witness = search(text.format("log(x + 0.5) <= 5"))
    assert witness is not None
    recheck(witness, lambda p: p.x**3, "convex", lambda p: p.x > -0.5)


# ------------------------------------------------------------------------------------------------------ data, instances


def test_the_one_negative_weight_by_its_index() -> None:
    text = (
        "set I = 1..100000\nparam w[i in I] = (-1 if i = 77777 else 2)\nvar x[i in I]\nminimize f: {}\n"
        "subject to\n  c[i in I]: w[i]*x[i]^2 <= 1\n"
    )
    model = build(parse(text.format("0"), "test.opt"))
    start = time.perf_counter()
    witness = find_witness(model, statement_of(model, "c"), Domain.of(model))
    assert time.perf_counter() - start < 60
    assert witness is not None and witness.index == (77777,)
    first, second = (p["x"][77776] for p in witness.points)
    assert witness.values[:2] == (-(first**2) - 1, -(second**2) - 1)
    model = build(parse(text.format("sum(w[i]*x[i]^2 for i in I)"), "test.opt"))
    witness = find_witness(model, statement_of(model), Domain.of(model), effort=4)
    assert witness is not None
    apart = witness.points[0]["x"] != witness.points[1]["x"]
    assert apart[77776]
    weights = np.where(np.arange(1, 100001) == 77777, -1.0, 2.0)
    values = [float(weights @ p["x"] ** 2) for p in witness.points]
    assert witness.values[:2] == pytest.approx(values)


def test_labels_and_infinite_sides() -> None:
    text = """
set I = {{"a", "b", "c"}}
param w[i in I] = {{"a": 1, "b": -2, "c": -1}}
param top[i in I] = {{"a": 1, "b": {}, "c": inf}}
var x[i in I]
minimize f: 0
subject to
  c[i in I]: w[i]*x[i]^2 <= top[i]
"""
    witness = search(text.format("4"), "c")
    assert witness is not None and witness.index == ("b",)
    assert search(text.format("inf"), "c", effort=0.5) is None


def test_filtered_families_and_pairs_of_indices() -> None:
    text = """
set I = {"a", "b"}
set J = 1..3
param w[i in I, j in J] = [[1, 2, -1], [3, -4, 5]]
var x[i in I, j in J] in [-1, 1]
minimize f: 0
subject to
  c[i in I, j in J if w[i, j] > -2]: w[i, j]*x[i, j]^2 + sum(x[i, k]^2 for k in J if k < j) <= 1
"""
    witness = search(text, "c")
    assert witness is not None and witness.index == ("a", 3)


def test_a_matrix_inequality() -> None:
    text = "var X[i in 1..2, j in 1..2] symmetric\nminimize f: 0\nsubject to\n  c: X @ X {} 0\n"
    assert search(text.format("<<"), "c", effort=0.5) is None
    witness = search(text.format(">>"), "c")
    assert witness is not None and witness.kind == "matrix" and witness.vector is not None

    def formula(point: Point) -> float:
        matrix = point.X.reshape(2, 2)
        return float(witness.vector @ matrix @ matrix @ witness.vector)

    recheck(witness, formula, "concave", lambda p: p.X[1] == p.X[2])


# -------------------------------------------------------------------------------------------------- nearly semidefinite


@pytest.mark.parametrize("n", [2, 5, 20])
@pytest.mark.parametrize("bounds", ["", " in [-1, 1]"])
def test_an_eigenvalue_just_below_zero(n: int, bounds: str) -> None:
    rng = np.random.default_rng(n)
    basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
    matrix = basis @ np.diag(np.r_[-1e-6, np.linspace(0.1, 1, n - 1)]) @ basis.T
    matrix = np.round((matrix + matrix.T) / 2, 14)
    rows = ", ".join("[" + ", ".join(map(repr, row)) + "]" for row in matrix.tolist())
    text = f"set I = 1..{n}\nparam Q[i in I, j in I] = [{rows}]\nvar x[i in I]{bounds}\nminimize f: x @ Q @ x\n"
    witness = search(text)
    assert witness is not None
    recheck(witness, lambda p: float(p.x @ matrix @ p.x), "convex", lambda p: not bounds or np.abs(p.x).max() <= 1)


def test_a_direction_that_is_known() -> None:
    n = 300
    rng = np.random.default_rng(1)
    factor = rng.normal(size=(n, n))
    direction = rng.normal(size=n)
    direction /= np.linalg.norm(direction)
    matrix = factor @ factor.T / n
    low = direction @ matrix @ direction
    matrix = matrix - (low + 0.001) * np.outer(direction, direction) * 1.0
    values, vectors = np.linalg.eigh(matrix)
    assert values[0] < 0
    text = f"set I = 1..{n}\nparam Q[i in I, j in I]\nvar x[i in I]\nminimize f: x @ Q @ x\n"
    from optdsl.api import as_supplied

    model = build(parse(text, "test.opt"), supplied=as_supplied({"Q": matrix}, {}))
    witness = find_witness(model, statement_of(model), Domain.of(model), directions=[vectors[:, 0]], effort=5)
    assert witness is not None
    recheck(witness, lambda p: float(p.x @ matrix @ p.x), "convex", anywhere)


def test_many_variables_and_one_bad_direction() -> None:
    """150 variables whose second differences are never all computed."""
    text = "set I = 1..150\nvar x[i in I]\nminimize f: sumsq(x) - 0.1*sum(x[i]*sin(i) for i in I)^2\n"
    witness = search(text)
    assert witness is not None
    weights = np.sin(np.arange(1, 151))
    recheck(witness, lambda p: float(p.x @ p.x - 0.1 * (weights @ p.x) ** 2), "convex", anywhere)
    assert search(text.replace("0.1*", "0.013*"), effort=0.5) is None


@pytest.mark.parametrize("n", [200, 3000])
def test_many_affine_rows(n: int) -> None:
    text = f"set I = 1..{n}\nvar x[i in I] in [-2, 2]\nminimize f: sum(x[i]*x[i-1] for i in I if i > 1) - 2*sumsq(x)\n"
    model = build(parse(text, "test.opt"))
    rows = sp.diags_array([np.ones(n), -np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n)).tocsr()
    for width in (0.0, 0.5):
        domain = Domain.of(model, rows, np.full(n - 1, -width), np.full(n - 1, width))
        witness = find_witness(model, statement_of(model), domain, effort=10)
        assert witness is not None
        recheck(
            witness,
            lambda p: float(p.x[1:] @ p.x[:-1] - 2 * p.x @ p.x),
            "convex",
            lambda p, w=width: np.abs(np.diff(p.x)).max() <= w + 1e-12 and np.abs(p.x).max() <= 2,
        )


def test_the_plain_evaluator_agrees() -> None:
    """Whole texts, values by the tests' own evaluator of the language."""
    text = """
set I = {"a", "b", "c"}
param w[i in I] = {"a": 0.5, "b": -1.25, "c": 2}
var x[i in I] >= 0
var y in [-1, 1]
let rest(t) = sqrt(t + 1)
minimize f: sum(w[i]*x[i]^2 for i in I) + max(x["a"], y)^2 - rest(x["b"])*y + sum(exp(x[i]) for i in I)
"""
    witness = search(text)
    assert witness is not None
    model = build(parse(text, "test.opt"))

    def formula(point: Point) -> float:
        keys = {name: [sum(k, ()) for k in _product(model, name)] for name in point.values}
        values = {name: dict(zip(keys[name], point.values[name], strict=True)) for name in keys}
        return float(Naive(text, values).objective())

    recheck(witness, formula, "convex", lambda p: min(p.x) >= 0 and abs(p.y) <= 1)


def _product(model: Model, name: str) -> list[Any]:
    import itertools

    return list(itertools.product(*(axis.members() for axis in model.variables[name].axes)))


def test_the_same_seed_gives_the_same_witness() -> None:
    text = PAIR_MIN.format("sin(x*y) + x^2")
    first, second = (search(text, seed=3) for _ in range(2))
    assert first is not None and second is not None and first.to_json() == second.to_json()
