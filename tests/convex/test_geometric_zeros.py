"""Geometric programs whose variables may be 0: optima there, conflicts by name, what grows without end."""

from __future__ import annotations

import numpy as np
import pytest

import optdsl
from optdsl.answer.status import Guarantee, Status
from optdsl.model.model import Model
from optdsl.terms.frame import Frame
from tests.convex.geometric_models import model_of


@pytest.mark.parametrize(
    ("text", "optimum", "point"),
    [
        ("var x >= 0\nvar y >= 1\nminimize x * y", 0.0, {"x": 0.0}),
        ("var x >= 0\nvar y >= 1\nminimize x * y + y", 1.0, {"x": 0.0, "y": 1.0}),
        ("var x >= 0\nvar y >= 0, <= 3\nminimize x * y^0.5 + 2 / y", 2 / 3, {"x": 0.0, "y": 3.0}),
        ("var x >= 0\nvar y >= 1\nminimize max(x * y, x) + y", 1.0, {"x": 0.0, "y": 1.0}),
        # only 0 satisfies c
        ("var x >= 0\nvar y >= 0, <= 1\nminimize x^2 * y\nsubject to\n  c: 2 * x <= x * y", 0.0, {"x": 0.0}),
        ("var x >= 0\nvar y >= 0, <= 1\nmaximize x * y^2\nsubject to\n  c: 2 * x <= x * y", 0.0, {"x": 0.0}),
        # a power of 0 in a row whose greater side falls with it
        ("var x >= 0\nvar y >= 0\nminimize x * y + 3\nsubject to\n  c: x^3 <= y^2\n  d: y <= 2", 3.0, {"x": 0.0}),
    ],
)
def test_optima_at_zero(text: str, optimum: float, point: dict[str, float]) -> None:
    solution = optdsl.parse(text).solve()
    assert solution.status is Status.OPTIMAL and solution.guarantee is Guarantee.GLOBAL
    assert solution.objective == pytest.approx(optimum, abs=1e-9)
    assert solution.bound == pytest.approx(optimum, abs=1e-7)
    for name, value in point.items():
        assert float(solution[name]) == pytest.approx(value, abs=1e-7)


def test_reduced_costs_at_zero() -> None:
    """What a unit of x costs: its terms' slopes there, through the multipliers where it stands in rows."""
    text = """
    var x >= 0
    var y >= 1
    var z >= 0
    minimize x * y + y + 1 / z
    subject to
      c: z + 3 * x <= 4 * y
    """
    solution = optdsl.parse(text).solve()
    ahead = optdsl.parse(text.replace("var x >= 0", "var x >= 1e-4")).solve()
    assert float(solution.variables["x"].reduced_cost) == pytest.approx(
        (ahead.objective - solution.objective) / 1e-4, rel=1e-3
    )


def test_a_limit_that_is_not_reached_is_no_optimum() -> None:
    solution = optdsl.parse("var x >= 1\nvar y >= 0\nminimize x^0.5 / y").solve()
    assert solution.status is Status.FEASIBLE and solution.bound == 0
    assert any("without reaching it as `y` grows" in note for note in solution.notes)


# ------------------------------------------------------------------------------------------------- without end


def test_a_straight_ray() -> None:
    solution = optdsl.parse("var x >= 0\nvar y >= 0\nmaximize x * y\nsubject to\n  c: x / y <= 2").solve()
    assert solution.status is Status.UNBOUNDED and solution.ray is not None
    direction = solution.ray.direction
    assert direction is not None
    x, y = float(direction["x"]), float(direction["y"])
    assert x > 0 and x <= 2 * y + 1e-9


def test_no_straight_ray() -> None:
    solution = optdsl.parse("var x >= 0\nvar y >= 0\nmaximize x * y\nsubject to\n  c: x^2 * y <= 2").solve()
    assert solution.status is Status.UNBOUNDED and solution.ray is not None
    assert solution.ray.direction is None
    assert solution.ray.why is not None and "`y` grows and `x` shrinks" in solution.ray.why


# --------------------------------------------------------------------------------------------------- conflicts


def _members(text: str) -> tuple[set[tuple[str, str, tuple[object, ...], str | None]], bool]:
    solution = optdsl.parse(text).solve()
    assert solution.status is Status.INFEASIBLE and solution.guarantee is Guarantee.GLOBAL
    assert solution.conflict is not None
    return {(m.kind, m.name, m.index, m.side) for m in solution.conflict.members}, solution.conflict.irreducible


def test_conflict_of_rows_and_bounds() -> None:
    found, irreducible = _members(
        "var x >= 0, <= 1\nvar y >= 0, <= 1\nvar z >= 0\nminimize x * y / z\nsubject to\n"
        "  c: x * y >= 2\n  d: z * x <= 7"
    )
    assert found == {
        ("constraint", "c", (), "lower"), ("bound", "x", (), "upper"), ("bound", "y", (), "upper")
    }
    assert irreducible


def test_conflict_names_what_keeps_variables_from_zero() -> None:
    """2 x <= x y with y <= 1 holds at x = 0; d forbids that."""
    found, irreducible = _members(
        "var x >= 0\nvar y >= 0, <= 1\nvar z >= 0\nminimize x^2 * y * z\nsubject to\n"
        "  c: 2 * x <= x * y\n  d: x * z >= 4\n  e: z <= 9"
    )
    assert found == {
        ("constraint", "c", (), "upper"), ("constraint", "d", (), "lower"), ("bound", "y", (), "upper")
    }
    assert irreducible


def test_conflict_by_index_with_sums_and_maxima() -> None:
    found, irreducible = _members(
        """
        set I = 1..4
        param least[I] = [1, 1, 3, 1]
        var x[I] >= 0.1
        var top >= 0
        minimize top
        subject to
          grow[i in I]: x[i]^2 >= least[i]
          room: sum(x[i] for i in I) <= 3
          above: max(x[i] for i in I) <= top
        """
    )
    assert ("constraint", "room", (), "upper") in found and ("constraint", "grow", (3,), "lower") in found
    assert irreducible


def test_conflict_of_an_equality() -> None:
    found, _ = _members("var x >= 0\nvar y >= 0, <= 2\nminimize x / y\nsubject to\n  c: x * y^2 = 9\n  d: x <= 2")
    assert {name for _, name, _, _ in found} == {"c", "d", "y"}


# ------------------------------------------------------------------------------------------------ random models


def _random_text(rng: np.random.Generator) -> str:
    """Posynomials over three variables in [0, 2], with like factors on both sides of the rows."""
    names = ("x", "y", "z")

    def monomial(*, negative: bool = False) -> str:
        powers = rng.choice([0, 0, 1, 0.5, 2], 3)
        if negative and rng.random() < 0.3:
            powers[rng.integers(3)] = -1
        parts = [f"{n}^{p:g}" if p != 1 else n for n, p in zip(names, powers, strict=True) if p]
        return " * ".join([f"{rng.uniform(0.3, 3):.3f}", *parts])

    def posynomial(*, negative: bool = False) -> str:
        return " + ".join(monomial(negative=negative) for _ in range(rng.integers(1, 4)))

    rows = [f"  c{k}: {posynomial()} <= {monomial()}" for k in range(rng.integers(1, 4))]
    bounds = [rng.choice([0.0, 0.0, 0.1]) for _ in names]
    variables = [f"var {n} >= {b:g}, <= 2" for n, b in zip(names, bounds, strict=True)]
    return "\n".join([*variables, f"minimize {posynomial(negative=True)}", "subject to", *rows])


def _solution(text: str) -> optdsl.Solution:
    try:
        return optdsl.parse(text).solve()
    except optdsl.OptError:
        pytest.skip("no geometric program: a row asks positive terms to be 0")


@pytest.mark.parametrize("seed", range(40))
def test_no_point_beats_the_bound(seed: int) -> None:
    """Feasible points of a grid that holds the zeros: none is better than the bound, none refutes `infeasible`."""
    rng = np.random.default_rng(seed)
    text = _random_text(rng)
    solution = _solution(text)
    model = model_of(text)
    axis = np.concatenate([[0.0], np.geomspace(1e-3, 2.0, 7)])
    values = _grid_values(model, axis)
    best = values.min(initial=np.inf)
    if solution.guarantee is not Guarantee.GLOBAL and solution.problem_class.type != "GP":
        return  # a row asks positive terms to be 0: no geometric program
    if solution.problem_class.type == "GP":
        limit = any("without reaching" in note for note in solution.notes)
        assert solution.status in (Status.FEASIBLE if limit else Status.OPTIMAL, Status.INFEASIBLE), text
    if solution.status is Status.INFEASIBLE:
        assert best == np.inf, text
    else:
        assert solution.bound is not None and best >= solution.bound - 1e-6 * max(1.0, abs(solution.bound)), text


def _grid_values(model: Model, axis: np.ndarray) -> np.ndarray:
    """The objective at all feasible points of a grid."""
    root = Frame().as_root()
    found = []
    for point in np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3):
        lower = np.concatenate([v.lower for v in model.variables.values()])
        if (point < lower).any():
            continue
        lanes = model.lanes.with_values(point)
        with np.errstate(all="ignore"):
            rows = [
                (lanes.full(r.body, root).reshape(-1)[0], r.upper, r.lower)
                for c in model.constraints
                for r in c.relations
            ]
            feasible = all(
                (u is None or b <= float(u)) and (low is None or b >= float(low)) for b, u, low in rows
            )
            value = float(lanes.full(model.objective.body, root).reshape(-1)[0])
        if feasible and np.isfinite(value):
            found.append(value)
    return np.array(found)
