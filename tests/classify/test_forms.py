"""Roots and cones of quadratics with random data, on both sides of the border between convex and not."""

from __future__ import annotations

import numpy as np
import pytest

import optdsl
from optdsl.classify.collect import Collector
from optdsl.classify.forms import forms_of
from optdsl.classify.sink import Auxiliary
from optdsl.language import parse
from optdsl.model import build
from optdsl.terms.frame import Frame

ROOT = """set I = 1..{n}
param P[I, I] = {P}
param q[I] = {q}
param r = {r}
var x[I] >= -9, <= 9
minimize o: sqrt(x @ P @ x + 2 * q @ x + r) + sum(x)
"""


def _data(seed: int, n: int = 4) -> tuple[np.ndarray, np.ndarray, float]:
    """A semidefinite matrix, maybe singular, and the square of a distance to a point as a polynomial."""
    random = np.random.default_rng(seed)
    factor = random.normal(size=(int(random.integers(1, n + 1)), n))
    matrix, center = factor.T @ factor, random.normal(size=n)
    return matrix, -matrix @ center, float(center @ matrix @ center)


def _text(matrix: np.ndarray, q: np.ndarray, r: float) -> str:
    return ROOT.format(n=len(q), P=matrix.tolist(), q=q.tolist(), r=r)


@pytest.mark.parametrize("seed", range(12))
def test_roots_on_both_sides_of_the_border(seed: int) -> None:
    matrix, q, r = _data(seed)
    for shift, convex in ((1e-5, True), (0.5, True), (-1e-5, False), (-0.5, False)):
        found = optdsl.parse(_text(matrix, q, r + shift)).check().problem_class.convexity
        assert (found == "convex") == convex, shift
    values, vectors = np.linalg.eigh(matrix)
    bent = matrix - (values[0] + 1e-5) * np.outer(vectors[:, 0], vectors[:, 0])
    assert optdsl.parse(_text(bent, q, r + 100.0)).check().problem_class.convexity != "convex"


@pytest.mark.parametrize("seed", range(6))
def test_forms_have_the_values_of_their_expressions(seed: int) -> None:
    matrix, q, r = _data(seed)
    model = build(parse(_text(matrix, q, r + 0.1).replace("sqrt(", "(") , "test.opt"))
    assert model.objective is not None
    frame = Frame().as_root()
    forms = forms_of(Collector(model.lanes, Auxiliary(model.columns)), model.objective.body, frame)
    assert forms is not None and forms.curved and forms.is_convex()
    random = np.random.default_rng(seed)
    for _ in range(5):
        x = random.normal(size=model.columns)
        z = np.append(x, 1.0)[forms.codes % (forms.columns + 1)]
        value = float(np.asarray(model.lanes.with_values(x).numbers(model.objective.body, frame)).reshape(-1)[0])
        assert z @ (forms.matrix @ z) == pytest.approx(value, rel=1e-12)


def test_the_root_of_a_form_is_solved() -> None:
    matrix, q, r = _data(3)
    solution = optdsl.parse(_text(matrix + np.eye(4), q, r + 2.0)).solve()
    assert solution.status.word == "optimal"
    x = np.asarray(solution["x"])
    value = np.sqrt(x @ (matrix + np.eye(4)) @ x + 2 * q @ x + r + 2.0) + x.sum()
    assert solution.objective == pytest.approx(value, rel=1e-7)


def test_many_lanes_at_once() -> None:
    """A family of cones with matrices of its own; one that is indefinite is not taken."""
    text = """set K = 1..50
set I = 1..3
param P[k in K, i in I, j in I] = (2 + k / 50 if i = j else -1)
var x[I] >= -3, <= 3
var t[K] >= 0
minimize o: sum(t) - sum(x)
subject to
  c[k in K]: sum(P[k, i, j] * x[i] * x[j] for i in I, j in I) <= t[k]^2
"""
    assert optdsl.parse(text).check().problem_class.type == "SOCP"
    one_bad = text.replace("(2 + k / 50 if i = j", "(2 - (0.1 if k = 7 else 0) if i = j")
    assert optdsl.parse(one_bad).check().problem_class.convexity == "nonconvex"


def test_families_of_quadratics_grow_with_their_entries_only() -> None:
    """20000 rows over 40000 variables: a matrix with a block of all variables for each row could not be held."""
    text = "set I = 1..20000\nvar x[I] >= 0, <= 5\nvar y[I] >= 0, <= 5\nminimize o: sum(x)\n"
    text += "subject to\n  c[i in I]: x[i]^2 + x[i] * y[i] + y[i]^2 - x[i] <= 1"
    assert optdsl.parse(text).check().problem_class.type == "QCP"
