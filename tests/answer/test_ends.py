"""Infeasible and unbounded convex models of every class: conflicts by name, rays that anyone can check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sympy

import optdsl
from optdsl.answer.status import Guarantee, Status
from optdsl.model import build
from optdsl.terms import nodes
from optdsl.terms.frame import Frame

C = "constraint"
CONFLICTS = {
    "variable that is psd": (
        "var X[1..2, 1..2] psd\nminimize trace(X)\nsubject to\n  c: X[1, 2] >= 2\n"
        "  d: X[1, 1] + X[2, 2] <= 3\n  e: X[1, 1] >= 0.5",
        {(C, "c", (), "lower"), (C, "d", (), "upper"), ("attribute", "X", (), None)},
    ),
    "variable that is nsd": (
        "var X[1..2, 1..2] nsd\nminimize trace(X)\nsubject to\n  c: X[1, 1] + X[2, 2] >= 3",
        {(C, "c", (), "lower"), ("attribute", "X", (), None)},
    ),
    "matrix inequality": (
        "var X[1..2, 1..2] symmetric\nvar t\nminimize t\nsubject to\n  m: X >> 0\n  c: X[1, 2] >= 2\n"
        "  d: X[1, 1] + X[2, 2] <= 3\n  e: t >= 0",
        {(C, "m", (), None), (C, "c", (), "lower"), (C, "d", (), "upper")},
    ),
    "two matrix inequalities": (
        "var X[1..2, 1..2] symmetric\nparam U[1..2, 1..2] = [[1, 0], [0, 1]]\nsubject to\n  m: X >> U\n"
        "  n: X << 0.5 * U",
        {(C, "m", (), None), (C, "n", (), None)},
    ),
    "QCP": (
        "var x\nvar y\nminimize x\nsubject to\n  c: x^2 + y^2 <= 1\n  d: x + y >= 2\n  e: y <= 7",
        {(C, "c", (), "upper"), (C, "d", (), "lower")},
    ),
    "SOCP": (
        "set I = 1..3\nvar x[I]\nvar y\nminimize y\nsubject to\n"
        "  c[i in I]: norm2([x[i], y - i]) <= 0.4\n  e: y >= 2.6",
        {(C, "c", (1,), "upper"), (C, "c", (3,), "upper")},
    ),
    "EXP": (
        "var x\nvar y\nminimize x\nsubject to\n  c: exp(x) <= y\n  d: y <= 2\n  e: x >= 1\n  f: x <= 9",
        {(C, "c", (), "upper"), (C, "d", (), "upper"), (C, "e", (), "lower")},
    ),
    "logarithm": (
        "var x\nvar y >= 0\nminimize x\nsubject to\n  c: log(x) >= y\n  e: x <= 0.5",
        {(C, "c", (), "lower"), (C, "e", (), "upper"), ("bound", "y", (), "lower")},
    ),
    "POW": (
        "var x\nvar y\nminimize x\nsubject to\n  c: abs(x)^1.5 <= y\n  d: y <= 2\n  e: x >= 3",
        {(C, "c", (), "upper"), (C, "d", (), "upper"), (C, "e", (), "lower")},
    ),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_conflicts_by_name(name: str) -> None:
    text, expected = CONFLICTS[name]
    solution = optdsl.parse(text).solve()
    assert solution.status is Status.INFEASIBLE and solution.guarantee is Guarantee.GLOBAL
    assert solution.conflict is not None and solution.conflict.irreducible
    found = {(m.kind, m.name, m.index, m.side) for m in solution.conflict.members}
    if name == "SOCP":  # several pairs will do
        assert len(found) == 2 and {kind for kind, *_ in found} == {C}
    else:
        assert found == expected


def test_an_attribute_is_shown_as_it_was_declared() -> None:
    solution = optdsl.parse(CONFLICTS["variable that is psd"][0]).solve()
    assert solution.conflict is not None
    assert "X psd" in {m.text for m in solution.conflict.members}
    assert "a declared attribute of X" in str(solution)


RAYS = {
    "norm": ("var x\nvar y\nminimize -x\nsubject to\n  c: norm2([x, y]) <= x + 1", -1.0),
    "logarithm": ("var x\nvar y\nmaximize x\nsubject to\n  c: log(x) >= y\n  d: y >= 0", 1.0),
    "geometric mean": ("var x >= 0\nvar y >= 0\nmaximize sqrt(x * y)\nsubject to\n  c: x <= y", 1.0),
    "exponential": ("var x\nvar y\nminimize x - y\nsubject to\n  c: exp(x) <= 1 + y", -1.0),
    "quadratic": ("var x\nvar y\nminimize x^2 + y\nsubject to\n  c: x >= 1", -1.0),
}


@pytest.mark.parametrize("name", RAYS)
def test_rays_lead_on_and_on(name: str) -> None:
    """Far out along the ray from a feasible point everything holds, and the objective is better and better."""
    text, sign = RAYS[name]
    unbounded = optdsl.parse(text).solve()
    assert unbounded.status is Status.UNBOUNDED and unbounded.ray is not None
    direction = unbounded.ray.direction
    assert direction is not None
    begin = optdsl.parse("\n".join(x for x in text.splitlines() if not x.startswith(("minimize", "maximize")))).solve()
    values = []
    for step in (0.0, 1e1, 1e2, 1e3):
        at = {n: float(begin[n]) + step * float(direction.get(n, 0.0)) for n in ("x", "y")}
        held = "\n".join(f"  at_{n}: {n} = {v!r}" for n, v in at.items())
        values.append(optdsl.parse(f"{text}\n{held}").solve().objective)
    assert (sign * np.diff(np.array(values, dtype=float)) > 0).all()


@pytest.mark.parametrize(
    "text",
    [
        "var x\nvar y\nminimize x\nsubject to\n  c: x^2 <= y",
        "var x\nvar y\nmaximize x\nsubject to\n  c: x <= log(y)\n  d: y >= 1",
    ],
)
def test_no_straight_ray_says_why(text: str) -> None:
    solution = optdsl.parse(text).solve()
    assert solution.status is Status.UNBOUNDED and solution.ray is not None
    assert solution.ray.direction is None
    assert solution.ray.why is not None and "along no straight line" in solution.ray.why


@pytest.mark.parametrize(
    "text", ["var x\nvar y\nminimize x\nsubject to\n  c: x^2 <= y", "var x >= 1\nmaximize log(x)"]
)
def test_far_out_small_slopes_are_no_optimum(text: str) -> None:
    """The engine's point is far out, where slopes fade; that is no proof."""
    solution = optdsl.parse(text).solve(method="ipm", time_limit=20)
    assert solution.status is not Status.OPTIMAL and solution.guarantee is not Guarantee.GLOBAL


def test_rounding_beyond_the_edge_of_a_domain_is_forgiven() -> None:
    """The optimum is where the root's argument is 0, and rounding leaves it a hair below."""
    text = "set I = 1..3\nparam P[I, I] = [[1, 1, 0], [1, 1, 0], [0, 0, 1]]\nvar x[I]\n"
    solution = optdsl.parse(text + "minimize sqrt(x @ P @ x)\nshow sqrt(x @ P @ x)\n").solve()
    assert solution.status == "optimal" and solution.objective == pytest.approx(0.0, abs=1e-6)
    lanes = build(optdsl.parse("var x\nminimize x\n").tree, folder=Path(".")).lanes
    x = nodes.VariableEntry("x")
    for outside, forgiven in ((-1e-12, True), (-1e-6, False)):
        at = lanes.with_values(np.array([outside]), 1e-9)
        for partial in (sympy.sqrt(x), nodes.Apply("entr", x), nodes.Apply("sqrt", x)):
            assert np.isfinite(at.full(partial, Frame())).all() == forgiven
