"""Every multiplier of a geometric program against the optimum of the model with that side moved."""

from __future__ import annotations

import numpy as np
import pytest

from tests.convex.geometric_models import optimum, solved

# Each text has a side {r}; the first constraint's first instance (or the variable's bound) is the one that moves.
FRONT = "minimize 1 / (x * y)\nsubject to\n  a: "
CONSTRAINTS = {
    "posynomial <= number": ("minimize x / y\nsubject to\n  a: x * y + 1 / x <= {r}\n  b: x >= 0.3 * y", 2.5),
    "number >= posynomial": ("minimize x / y\nsubject to\n  a: {r} >= x * y + 1 / x\n  b: x >= 0.3 * y", 2.5),
    "posynomial <= monomial": (FRONT + "x + y + {r} <= 3 * x^0.5\n  b: y >= 0.1", 0.2),
    "moved: left - right <= r": (FRONT + "x + y - 3 * x^0.5 <= {r}\n  b: y >= 0.1", -0.2),
    "moved, positive side": (FRONT + "x + y - 3 * x^0.5 <= {r} - 0.5\n  b: y >= 0.1", 0.2),
    "left - right <= r, r on the greater": (FRONT + "x * y - 4 <= {r}\n  b: y + x <= 9", 1.0),
    "monomial >= number": ("minimize x + 2 * y\nsubject to\n  a: x * y^0.7 >= {r}", 1.7),
    "number <= monomial": ("minimize x + 2 * y\nsubject to\n  a: {r} <= 2 * x * y", 1.7),
    "monomial - number >= posynomial": ("minimize x + 2 * y\nsubject to\n  a: x * y - {r} >= x^0.5 + 1", 0.4),
    "monomial - posynomial >= number": ("minimize x + 2 * y\nsubject to\n  a: x * y - x^0.5 >= {r}", 1.4),
    "minus a monomial <= minus a number": ("minimize x + 2 * y\nsubject to\n  a: -x * y <= -{r}", 1.4),
    "equality": ("minimize x + 2 * y\nsubject to\n  a: x * y = {r}", 1.4),
    "equality, turned": ("minimize x + 2 * y\nsubject to\n  a: {r} = 3 * x * y", 1.4),
    "equality, negative": ("minimize x + 2 * y\nsubject to\n  a: 1 - x * y = -{r}", 1.4),
    "equality of monomials": ("minimize x + 1 / y\nsubject to\n  a: {r} * x * y = y^2\n  b: x * y <= 3", 1.4),
    "lower end of a range": ("minimize x + 2 * y\nsubject to\n  a: {r} <= x * y <= 7", 1.4),
    "upper end of a range": ("maximize x * y\nsubject to\n  a: 0.1 <= x * y^0.5 <= {r}\n  b: y <= 2", 1.4),
    "maximize a monomial": ("maximize x * y^2\nsubject to\n  a: x + 2 * y <= {r}", 1.4),
    "maximize minus a posynomial": ("maximize 5 - x - 2 * y\nsubject to\n  a: x * y >= {r}", 1.4),
    "maximize one over a posynomial": ("maximize 3 / (x + 2 * y)\nsubject to\n  a: x * y >= {r}", 1.4),
    "minimize minus a monomial": ("minimize 2 - x * y\nsubject to\n  a: x + y + x * y <= {r}", 1.4),
    "offset": ("minimize x + 2 * y - 10\nsubject to\n  a: x * y >= {r}", 1.4),
    "single variable": ("minimize x + 2 / (x * y)\nsubject to\n  a: y <= {r}", 1.4),
    "maximum": ("minimize x + 2 * y\nsubject to\n  a: max(1 / x, 1 / (x * y)) + 0.5 * x <= {r}", 1.9),
    "minimum": ("minimize x^2 + 2 * y\nsubject to\n  a: min(x, x * y) * y >= {r}", 1.9),
    "power of a posynomial": ("minimize 1 / (x * y^2)\nsubject to\n  a: (x + y)^1.5 * (1 + x) <= {r}", 1.9),
    "tight by chance elsewhere": ("minimize x + 2 * y\nsubject to\n  a: x * y >= {r}\n  b: x * y >= 0.2", 1.4),
    "slack": ("minimize x + 2 * y\nsubject to\n  a: x * y >= {r}\n  b: x * y >= 5", 1.4),
}  # fmt: skip

MOVES = {"posynomial <= monomial": -1, "monomial - number >= posynomial": 1, "equality of monomials": None,
         "equality, negative": -1, "minus a monomial <= minus a number": -1}  # fmt: skip
"""How the side moves with {r}, where not one for one; None: not a move of the side."""

HEAD = "var x >= 0\nvar y >= 0\n"


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraint(name: str) -> None:
    text, at = CONSTRAINTS[name]
    answer = solved(HEAD + text, r=at)
    dual = float(answer.restored.duals[0][0])  # type: ignore[index]
    step = 1e-4 * max(1.0, abs(at))
    rate = (optimum(HEAD + text, r=at + step) - optimum(HEAD + text, r=at - step)) / (2 * step)
    factor = MOVES.get(name, 1)
    if factor is None:
        moved = text.replace("= y^2", "- y^2 = {s}")
        with pytest.raises(AssertionError):  # with a side that is not 0 the equality has three terms
            optimum(HEAD + moved.replace("{r}", str(at)), s=step)
        # r x y = y^2 (1 + s / y^2): as much as r divided by 1 + s / y^2
        y = float(answer.restored.x[1])  # type: ignore[index]
        factor = -at / y**2
        assert dual == pytest.approx(rate * factor, rel=1e-5, abs=1e-7)
        return
    assert dual == pytest.approx(rate * factor, rel=1e-5, abs=1e-7)


BOUNDS = {
    "lower": ("var x >= {r}\nvar y >= 0\nminimize x^2 + 2 * y + 1 / y\nsubject to\n  a: x * y <= 5", 0.8),
    "upper": ("var x >= 0, <= {r}\nvar y >= 0\nminimize 1 / x + y * x^2 + 1 / y\nsubject to\n  a: x * y <= 5", 0.8),
    "upper, maximized": ("var x >= 0, <= {r}\nvar y >= 0\nmaximize x^2 * y\nsubject to\n  a: x * y + y <= 5", 0.8),
    "lower of 0": ("var x >= 0\nvar y >= 0, <= {r}\nminimize x + 1 / (x * y)", 0.8),
    "one that occurs nowhere": ("var x in [-3, -1]\nvar y >= {r}\nminimize y + 1 / (2 * y)", 0.8),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_bound(name: str) -> None:
    text, at = BOUNDS[name]
    answer = solved(text, r=at)
    at_bound = int(np.argmin(np.abs(answer.restored.x - at)))  # type: ignore[operator]
    reduced = answer.restored.reduced_cost
    assert reduced is not None
    step = 1e-4
    rate = (optimum(text, r=at + step) - optimum(text, r=at - step)) / (2 * step)
    assert reduced[at_bound] == pytest.approx(rate, rel=1e-5)
    assert np.delete(reduced, at_bound) == pytest.approx(0)


def test_every_lane_of_a_family() -> None:
    text = """
    set I = 1..4
    param need[I] = {need}
    var x[I] >= 0
    var y >= 0
    maximize z: y / (1 + sum(x[i]^1.5 for i in I))
    subject to
      ratio[i in I if i != 3]: x[i] / y >= need[i] + 0.1 * y
      cap: y^2 <= 4
    """
    need = [1.0, 0.5, 2.0, 0.7]
    answer = solved(text, need=need)
    duals = answer.restored.duals[0]  # type: ignore[index]
    assert len(duals) == 3
    for place, member in enumerate((0, 1, 3)):
        sides = []
        for step in (1e-4, -1e-4):
            moved = list(need)
            moved[member] += step
            sides.append(optimum(text, need=moved))
        assert duals[place] == pytest.approx((sides[0] - sides[1]) / 2e-4, rel=1e-5)


def test_two_sides_add_up() -> None:
    """An equality written as a range has the equality's multiplier."""
    text = "var x >= 0\nvar y >= 0\nminimize x + 2 * y\nsubject to\n  a: {r} <= x * y <= {r}"
    one = solved(text, r=1.4).restored.duals[0][0]  # type: ignore[index]
    two = solved(text.replace("{r} <= x * y <= {r}", "x * y = {r}"), r=1.4).restored.duals[0][0]  # type: ignore[index]
    assert one == pytest.approx(two)
