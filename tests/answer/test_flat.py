"""Points that are flat to second order: left where a term of higher order goes down, kept where none does."""

from __future__ import annotations

import numpy as np
import pytest

import optdsl

XY = "var x init 0\nvar y init 0\n"
LEFT = {
    "cube": (XY + "minimize f: x^3 + y^2", None),
    "cube from above": ("var x init 1\nvar y init 1\nminimize f: x^3 + y^2", None),
    "cube with a bound": ("var x >= -2\nvar y\nminimize f: x^3 + y^2", -8.0),
    "cube and a fourth power": ("var x init 1e-3\nvar y init 1\nminimize f: x^3 + x^4 + y^2", -27 / 256),
    "cube on a constant": (XY + "minimize f: 1000 + x^3 + x^4 + y^2", 1000 - 27 / 256),
    "maximum": (XY + "maximize f: x^3 - x^4 - y^2", 27 / 256),
    "shifted": ("var x init 1\nvar y\nminimize f: (x - 1)^3 * (x + 1) + y^2", -27 / 16),
    "fifth power": (XY + "minimize f: x^5 + x^6 + y^2", -3125 / 46656),
    "below a curve": ("var x init 0.1\nvar y\nminimize f: y\nsubject to\n  c: y >= x^3\n  d: x >= -1", -1.0),
    "on a curve": ("var x init 0.1\nvar y\nminimize f: y\nsubject to\n  c: y = x^3\n  d: x >= -1", -1.0),
    "turned": ("var x init 0.5\nvar y init -0.5\nminimize f: (x + y)^3 + (x + y)^4 + (x - y)^2", -27 / 256),
    "many": ("set I = 1..60\nvar x[I]\nminimize f: sum(x[i]^4 - x[i]^3 for i in I)", -60 * 27 / 256),
    "ripple": (XY + "minimize f: sin(x) - x + x^6 + y^2", -0.006814269816),
}
"""By name: text, and the least value; None: unbounded, or no closed form."""

KEPT = {
    "fourth power": (XY + "minimize f: x^4 + y^4 - 0.1 * y^6 * sin(y)", 0.0),
    "fourth less fifth": (XY + "minimize f: x^4 - x^5 + 1000", 1000.0),
    "valley": ("var x init 2\nvar y init 2\nminimize f: (x * y - 1)^4", 0.0),
    "tenth power": ("var x init 1\nvar y init 1\nminimize f: (x - 2)^10 + y^4 - y^2", -0.25),
    "on a circle": ("var x init 1\nvar y init 0.1\nminimize f: x * y\nsubject to\n  c: x^2 + y^2 = 1", -0.5),
    "flat on a line": ("var x init 1\nvar y init 2\nminimize f: (x + y - 1)^2 + cos(0 * x)", 1.0),
    "up a curve": ("var x init 0.5\nvar y\nminimize f: y\nsubject to\n  c: y = x^4", 0.0),
}


@pytest.mark.parametrize("name", LEFT)
def test_a_flat_point_with_a_way_down_is_left(name: str) -> None:
    text, least = LEFT[name]
    solution = optdsl.parse(text).solve()
    if least is None:
        assert solution.status.word == "unbounded" or (solution.objective is not None and solution.objective < -1e-3)
    else:
        assert solution.status.word == "locally_optimal"
        assert solution.objective == pytest.approx(least, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", KEPT)
def test_a_flat_minimum_is_kept(name: str) -> None:
    text, least = KEPT[name]
    solution = optdsl.parse(text).solve()
    assert solution.status.word in ("locally_optimal", "optimal")
    assert solution.objective == pytest.approx(least, rel=1e-6, abs=1e-6)
    assert all("flat" not in note for note in solution.notes)


@pytest.mark.parametrize("seed", range(8))
def test_no_point_beside_an_answer_is_lower(seed: int) -> None:
    """Random sums of odd and even powers: nothing within reach is clearly below what is called locally optimal."""
    random = np.random.default_rng(seed)
    a, b, c, d = (float(round(v, 2)) for v in random.uniform(-2, 2, 4))

    def value(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return a * x**3 + b * y**3 + c * x**2 * y + d * x * y**3 + x**6 + y**6

    text = f"{XY}minimize f: {a}*x^3 + {b}*y^3 + {c}*x^2*y + {d}*x*y^3 + x^6 + y^6"
    solution = optdsl.parse(text).solve()
    assert solution.status.word == "locally_optimal"
    x, y = (float(np.ravel(solution.variables[name].value)[0]) for name in ("x", "y"))
    for radius in (1e-3, 1e-2):
        around = radius * random.normal(size=(2, 4000))
        assert value(x + around[0], y + around[1]).min() >= value(np.float64(x), np.float64(y)) - 1e-9
