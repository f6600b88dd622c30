"""Degenerate models, each with the word that its answer has earned and its value: no word may be false.

Where no multipliers exist (no constraint qualification holds at the minimum), nothing is claimed: `numerical_error`, at
a
feasible point close to the minimum.
"""

from __future__ import annotations

import pytest

import optdsl

MODELS = {
    "dependent equalities": (
        """
var x init 1
var y init 1
minimize f: x^4 + y^4 + x*y
subject to
  a: x + y = 1
  b: 2*x + 2*y = 2
""",
        "locally_optimal",
        0.375,
    ),
    "dependent nonlinear rows": (
        """
var x init 1
var y init 0.5
minimize f: x*y
subject to
  a: x^2 + y^2 = 1
  b: 3*x^2 + 3*y^2 = 3
""",
        "locally_optimal",
        -0.5,
    ),
    "redundant rows": (
        """
var x >= 0, init 1
var y >= 0, init 1
minimize f: (x-2)^2*(y+1) + y^2
subject to
  a: x + y <= 1
  b: 2*x + 2*y <= 2
  c: x <= 1
  d: x^2 <= 1
""",
        "locally_optimal",
        1.0,
    ),
    "more equalities consistent": (
        """
var x init 2
var y init 2
minimize f: x*y
subject to
  a: x + y = 2
  b: x - y = 0
  c: x*y = 1
""",
        "optimal",
        1.0,
    ),
    "more equalities inconsistent": (
        """
var x init 2
var y init 2
minimize f: x*y
subject to
  a: x + y = 2
  b: x - y = 0
  c: x*y = 3
""",
        "infeasible",
        None,
    ),
    "all fixed": (
        """
var x >= 2, <= 2
var y >= 1, <= 1
minimize f: x*y
subject to
  a: x*y = 2
""",
        "optimal",
        2.0,
    ),
    "all fixed wrong": (
        """
var x >= 2, <= 2
var y >= 1, <= 1
minimize f: x*y
subject to
  a: x*y = 3
""",
        "infeasible",
        None,
    ),
    "one fixed": (
        """
var x >= 2, <= 2
var y init 1
minimize f: x*y + y^4
""",
        "optimal",
        -1.1905507889761497,
    ),
    "complementarity product eq": (
        """
var x >= 0, init 1
var y >= 0, init 1
minimize f: (x-1)^2 + (y-2)^2
subject to
  a: x*y = 0
""",
        "locally_optimal",
        1.0,
    ),
    "complementarity le": (
        """
var x >= 0, init 1
var y >= 0, init 1
minimize f: (x-1)^2 + (y-2)^2
subject to
  a: x*y <= 0
""",
        "locally_optimal",
        1.0,
    ),
    "complementarity corner": (
        """
var x >= 0, init 1
var y >= 0, init 1
minimize f: x + y
subject to
  a: x*y = 0
""",
        "locally_optimal",
        0.0,
    ),
    "mpcc ralph2": (
        """
var x >= 0, init 1
var y >= 0, init 1
minimize f: x^2 + y^2 - 4*x*y
subject to
  a: x*y <= 0
""",
        "locally_optimal",
        0.0,
    ),
    "scholtes kink": (
        """
var z init 1
var x >= 0, init 1
var y >= 0, init 1
minimize f: x + y - z
subject to
  a: -4*x + z <= 0
  b: -4*y + z <= 0
  c: x*y = 0
""",
        "locally_optimal",
        0.0,
    ),
    "empty interior": (
        """
var x init 1
var y init 1
minimize f: x + y^2 + x*y
subject to
  a: x^2 <= 0
""",
        "numerical_error",
        0.0,
    ),
    "empty interior two": (
        """
var x init 1
var y init 1
minimize f: x*y + x
subject to
  a: x^2 + y^2 <= 0
""",
        "numerical_error",
        0.0,
    ),
    "tangent balls": (
        """
var x init 0
var y init 0.5
minimize f: y*x + y
subject to
  a: (x-1)^2 + y^2 <= 1
  b: (x+1)^2 + y^2 <= 1
""",
        "numerical_error",
        0.0,
    ),
    "cusp of hs13": (
        """
var x >= 0, init 0
var y >= 0, init 0
minimize f: (x-2)^2 + y^2
subject to
  a: (1-x)^3 - y >= 0
""",
        "numerical_error",
        1.0,
    ),
    "square equality": (
        """
var x init 1
minimize f: x^3 + x
subject to
  a: (x-2)^2 = 0
""",
        "locally_optimal",
        10.0,
    ),
    "infeasible circle": (
        """
var x init 1
var y init 1
minimize f: x*y
subject to
  a: x^2 + y^2 <= 1
  b: x*y >= 2
""",
        "infeasible",
        None,
    ),
    "infeasible sin": (
        """
var x init 1
minimize f: x
subject to
  a: sin(x) = 2
""",
        "infeasible",
        None,
    ),
    "infeasible square": (
        """
var x init 1
var y init 2
minimize f: x*y
subject to
  a: x^2 + y^4 = -1
""",
        "infeasible",
        None,
    ),
    "unbounded product": (
        """
var x init 1
var y init 1
minimize f: x*y
""",
        "unbounded",
        None,
    ),
    "unbounded cubic": (
        """
var x init 1
minimize f: x^3
""",
        "unbounded",
        None,
    ),
    "unbounded row": (
        """
var x init 1
var y init 1
minimize f: -x*y
subject to
  a: x = y
""",
        "unbounded",
        None,
    ),
    "saddle start": (
        """
var x init 0
var y init 0
minimize f: x^4 - x^2 + y^2
""",
        "locally_optimal",
        -0.25,
    ),
    "saddle bound weak": (
        """
var x >= 0, init 0
var y >= 0, init 0
minimize f: x^2 + y^2 - 3*x*y
subject to
  a: x <= 2
  b: y <= 2
""",
        "locally_optimal",
        -4.0,
    ),
    "flat valley": (
        """
var x init 3
var y init 1
minimize f: (x*y - 1)^2
""",
        "locally_optimal",
        0.0,
    ),
    "maximum bounds": (
        """
var x >= -1, <= 1, init 0
maximize f: x^2*cos(x)
""",
        "locally_optimal",
        0.5403023058681398,
    ),
    "quartic weak": (
        """
var x >= 0, init 1
var y init 1
minimize f: x^4 + y^2 + sin(x*y)^2
""",
        "locally_optimal",
        0.0,
    ),
    "sqrt at 0": (
        """
var x >= 0, init 1
var y init 0
minimize f: sqrt(x) + (y-1)^2*(1+y^2)
""",
        "locally_optimal",
        0.0,
    ),
    "power at 0": (
        """
var x >= 0, init 0.3
var y init 0
minimize f: x^0.5 + x*y + (y-1)^4
""",
        "locally_optimal",
        0.0,
    ),
    "half circle": (
        """
var x >= -1, <= 1, init 0.5
minimize f: sqrt(1 - x^2)
""",
        "locally_optimal",
        0.0,
    ),
    "entr at 0": (
        """
var x >= 0, <= 1, init 0.1
minimize f: entr(x) + x^2
""",
        "locally_optimal",
        0.0,
    ),
    "sqrt difference": (
        """
var x >= 0, <= 4, init 1
minimize f: sqrt(x) - x
""",
        "locally_optimal",
        -2.0,
    ),
    "slope that changes its sign": (
        """
var x >= 0, <= 1, init 0
var y init 0
minimize f: sqrt(x) * y + y^2
""",
        "locally_optimal",
        -0.25,
    ),
    "infinite slope in a row": (
        """
var x >= 0, init 1
var y init 1
minimize f: y + sin(x)^2
subject to
  above: y >= sqrt(x)
""",
        "locally_optimal",
        0.0,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_degenerate_model_gets_its_word(name: str) -> None:
    text, word, value = MODELS[name]
    solution = optdsl.parse(text).solve()
    assert solution.status.word == word
    if value is None:
        assert solution.objective is None
    else:
        assert solution.objective == pytest.approx(value, abs=1e-5 if solution.status.acceptable else 1e-2)
        assert solution.checks.primal_residual is not None and solution.checks.primal_residual <= 1e-6
