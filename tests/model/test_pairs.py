"""Two spellings of one model, by index and by array, become one internal model and have one answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from agreement import assert_agreement, keys_of

import optdsl
from optdsl.classify import analyze
from optdsl.language import parse
from optdsl.model import build
from optdsl.model.model import Model

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "pairs"
NAMES = sorted(path.name.removesuffix(".array.opt") for path in FOLDER.glob("*.array.opt"))


def text_of(name: str, spelling: str) -> str:
    return (FOLDER / f"{name}.{spelling}.opt").read_text(encoding="utf-8")


def built(name: str, spelling: str) -> Model:
    return build(parse(text_of(name, spelling), name), folder=FOLDER)


def test_every_model_has_both_spellings() -> None:
    assert len(NAMES) > 20
    assert {path.name for path in FOLDER.glob("*.opt")} == {f"{n}.{s}.opt" for n in NAMES for s in ("array", "indexed")}


@pytest.mark.parametrize("name", NAMES)
def test_one_internal_model(name: str) -> None:
    one, two = built(name, "array"), built(name, "indexed")
    assert (one.objective is None) == (two.objective is None)
    if one.objective is not None and two.objective is not None:
        assert one.objective.body == two.objective.body
    assert len(one.constraints) == len(two.constraints)
    for left, right in zip(one.constraints, two.constraints, strict=True):
        assert left.over == right.over, left.name
        assert [keys_of(left.axes)] == [keys_of(right.axes)], left.name
        mine = [(r.body, r.lower, r.upper) for r in left.relations]
        assert mine == [(r.body, r.lower, r.upper) for r in right.relations], left.name


@pytest.mark.parametrize("name", NAMES)
def test_one_answer(name: str) -> None:
    one, two = (optdsl.parse(text_of(name, s), folder=FOLDER).solve() for s in ("array", "indexed"))
    assert one.status == two.status
    assert one.objective == two.objective or one.objective == pytest.approx(two.objective, rel=1e-9)
    for variable in built(name, "array").variables:
        assert np.array_equal(np.asarray(one[variable]), np.asarray(two[variable])), variable


@pytest.mark.parametrize("spelling", ["array", "indexed"])
@pytest.mark.parametrize("name", NAMES)
def test_the_plain_reading(name: str, spelling: str) -> None:
    assert assert_agreement(text_of(name, spelling)) is not None


PREAMBLE = """
set I = {"a", "b", "c"}
set J = 1..4
set K = 2..4
param A[I, J] = [[1, 2, 0, -1], [3, 0, 1, 2], [0, -2, 1, 1]]
param Q[I, I] = [[2, 1, 0], [1, 3, -1], [0, -1, 4]]
param b[I] = [1, -2, 0.5]
param c[J] = [2, 0, -1, 3]
var x[J] in [-5, 5]
var y[I] in [-5, 5]
var X[J, I] in [-5, 5]
minimize goal: sum(x) + sum(y) + sum(X)
subject to
  r: y["a"] + x[2] >= 1
"""

# array spelling, indexed spelling: the same templates
TEMPLATES = {
    "matrix @ vector": ("A @ x <= b", "c1[i in I]: sum(A[i, j] * x[j] for j in J) <= b[i]"),
    "vector @ matrix": ("y @ A <= c", "c1[j in J]: sum(y[i] * A[i, j] for i in I) <= c[j]"),
    "vector @ vector": ("c @ x <= 5", "c1: sum(c[j] * x[j] for j in J) <= 5"),
    "matrix @ matrix": ("A @ X <= 4", "c1[i in I, k in I]: sum(A[i, j] * X[j, k] for j in J) <= 4"),
    "three factors": ("b @ A @ x <= 5", "c1: sum(sum(b[i] * A[i, j] for i in I) * x[j] for j in J) <= 5"),
    "transpose": ("X.T >= A", "c1[i in I, j in J]: X[j, i] >= A[i, j]"),
    "transposed matrix @ vector": ("A.T @ y <= c", "c1[j in J]: sum(A[i, j] * y[i] for i in I) <= c[j]"),
    "transpose of a product": ("(A @ X).T <= 3", "c1[k in I, i in I]: sum(A[i, j] * X[j, k] for j in J) <= 3"),
    "dot": ("dot(b, y) <= 5", "c1: sum(b[i] * y[i] for i in I) <= 5"),
    "outer": ("outer(c, y) <= 4", "c1[j in J, i in I]: c[j] * y[i] <= 4"),
    "diag of a matrix": ("diag(A @ X) <= 3", "c1[i in I]: sum(A[i, j] * X[j, i] for j in J) <= 3"),
    "trace": ("trace(A @ X) <= 9", "c1: sum(sum(A[i, j] * X[j, i] for j in J) for i in I) <= 9"),
    "sum over the first axis": ("sum(X, over = J) <= b", "c1[i in I]: sum(X[j, i] for j in J) <= b[i]"),
    "sum over the last axis": ("sum(X, over = I) <= c", "c1[j in J]: sum(X[j, i] for i in I) <= c[j]"),
    "mean over an axis": ("mean(X, over = I) <= 1", "c1[j in J]: mean(X[j, i] for i in I) <= 1"),
    "max over an axis": ("max(X, over = I) <= 1", "c1[j in J]: max(X[j, i] for i in I) <= 1"),
    "norm1 of everything": ("norm1(X) <= 7", "c1: norm1(X[j, i] for j in J, i in I) <= 7"),
    "slice of a row": ("X[2, :] <= b", "c1[i in I]: X[2, i] <= b[i]"),
    "slice of a column": ('X[:, "b"] <= c', 'c1[j in J]: X[j, "b"] <= c[j]'),
    "part of an axis": ("x[K] >= 1", "c1[k in K]: x[k] >= 1"),
    "part and slice": ("X[K, :] <= 1", "c1[k in K, i in I]: X[k, i] <= 1"),
    "part of the other axis": ('X[K, "a"] >= c[K]', 'c1[k in K]: X[k, "a"] >= c[k]'),
    "broadcast of a vector": ("X + y <= 4", "c1[j in J, i in I]: X[j, i] + y[i] <= 4"),
    "broadcast of a number": ("2 * X - 1 <= b", "c1[j in J, i in I]: 2 * X[j, i] - 1 <= b[i]"),
    "a comprehension": ("[x[j] - c[j] for j in J] <= 1", "c1[j in J]: x[j] - c[j] <= 1"),
    "a product entry by entry": ("A.T * X <= 2", "c1[j in J, i in I]: A[i, j] * X[j, i] <= 2"),
    "entries of a function": ("abs(A @ x - b) <= 3", "c1[i in I]: abs(sum(A[i, j] * x[j] for j in J) - b[i]) <= 3"),
    "a row of a family": ("c1[j in J]: X[j, :] @ b <= 2", "c1[j in J]: sum(X[j, i] * b[i] for i in I) <= 2"),
    "squares": ("sumsq(y) <= 5", "c1: sum(y[i]^2 for i in I) <= 5"),
    "quad_form": ("quad_form(y, Q) <= 5", "c1: sum(y[i] * sum(Q[i, j] * y[j] for j in I) for i in I) <= 5"),
}

# the same rows, by other templates
ROWS = {
    "diag of a vector": ("diag(y) <= 2", "c1[i in I, k in I]: (y[i] if i = k else 0) <= 2"),
    "diff": ("diff(x) <= 1", "c1[k in 1..3]: x[k + 1] - x[k] <= 1"),
    "cumsum": ("cumsum(x) <= 6", "c1[j in J]: sum(x[k] for k in 1..j) <= 6"),
    "stack": ("stack(x, c) <= 3", "c1[k in 1..2, j in J]: (x[j] if k = 1 else c[j]) <= 3"),
    "concat": ("concat(x, y) <= 2",
               "c1[k in 1..7]: (x[k] if k <= 4 else sum(y[i] for i in I if ord(i, I) = k - 4)) <= 2"),
    "array of numbers": ("[x[1], y[\"b\"] - 1, 2] <= 2",
                         "c1[k in 1..3]: (x[1] if k = 1 else y[\"b\"] - 1 if k = 2 else 2) <= 2"),
    "matrix literal": ("[[1, 2, 0, 1], [0, 1, 1, 1]] @ x <= [4, 5]",
                       "c1[k in 1..2]: sum((j if k = 1 and j <= 2 else 0 if j = 3 and k = 1 else "
                       "0 if k = 2 and j = 1 else 1) * x[j] for j in J) <= 3 + k"),
    "conv": ("conv([1, 2], x) <= 5", "c1[k in 1..5]: (x[k] if k <= 4 else 0) + (2 * x[k - 1] if k >= 2 else 0) <= 5"),
    "reshape": ("reshape(x, 2, 2) <= [[1, 2], [3, 2]]",
                "c1[i in 1..2, j in 1..2]: x[2 * i + j - 2] <= [[1, 2], [3, 2]][i, j]"),
    "numbers by position": ("x <= [3, 1, 2, 2]", "c1[j in J]: x[j] <= [3, 1, 2, 2][j]"),
}  # fmt: skip


def constraint(text: str) -> tuple[Model, str]:
    named = text if text.startswith("c1") else f"c1: {text}"
    whole = f"{PREAMBLE}  {named}\n"
    return build(parse(whole)), whole


@pytest.mark.parametrize("title", TEMPLATES)
def test_one_template(title: str) -> None:
    (one, _), (two, _) = map(constraint, TEMPLATES[title])
    left, right = one.constraints[1], two.constraints[1]
    assert left.over == right.over
    assert keys_of(left.axes) == keys_of(right.axes)
    mine = [(r.body, r.lower, r.upper) for r in left.relations]
    assert mine == [(r.body, r.lower, r.upper) for r in right.relations]


@pytest.mark.parametrize("title", ROWS)
def test_one_matrix(title: str) -> None:
    (one, _), (two, _) = map(constraint, ROWS[title])
    (left,), (right,) = ([b for b in analyze(m).blocks if b.constraint == 1] for m in (one, two))
    assert np.array_equal(left.matrix.toarray(), right.matrix.toarray())
    assert np.array_equal(left.lower, right.lower) and np.array_equal(left.upper, right.upper)


@pytest.mark.parametrize("title", [*TEMPLATES, *ROWS])
def test_one_meaning_and_one_optimum(title: str) -> None:
    texts = [constraint(text)[1] for text in {**TEMPLATES, **ROWS}[title]]
    for text in texts:
        assert assert_agreement(text) is not None
    one, two = (optdsl.parse(text).solve() for text in texts)
    assert one.status == two.status == "optimal"
    assert one.objective == pytest.approx(two.objective, rel=1e-6)
