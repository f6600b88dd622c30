"""Quasi-convex problems of every kind in two variables: against a fine grid, and against CVXPY's qcp=True."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import cvxpy
import numpy as np
import pytest

import optdsl
from optdsl.answer.status import Guarantee, Status

Grid = Callable[[np.ndarray, np.ndarray], np.ndarray]
BOX = "var x in [0.3, 4]\nvar y in [1, 3]\n"
"""Where all problems live; CVXPY's variables get the same bounds."""


def always(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.ones_like(x, dtype=bool)


def log1(x: np.ndarray) -> np.ndarray:
    return np.log(1 + x)


X, Y = cvxpy.Variable(pos=True), cvxpy.Variable(pos=True)
PROBLEMS: dict[str, tuple[str, Grid, Grid, Callable[[], tuple[cvxpy.Expression, list[cvxpy.Constraint]]] | None]] = {
    # ratios
    "linear ratio": (
        "minimize (x + 2 * y + 3) / (y + 1)", lambda x, y: (x + 2 * y + 3) / (y + 1), always,
        lambda: ((X + 2 * Y + 3) / (Y + 1), []),
    ),
    "linear ratio, maximized": (
        "maximize (x - 2 * y) / (y + x)", lambda x, y: -(x - 2 * y) / (y + x), always, None,
    ),
    "negative ratio": (
        "minimize -(x + 1) / (y + 2 * x)", lambda x, y: -(x + 1) / (y + 2 * x), always,
        lambda: (-(X + 1) / (Y + 2 * X), []),
    ),
    "a ratio in an affine expression": (
        "maximize 3 - 2 * (x + 1) / (y + 2 * x)", lambda x, y: -(3 - 2 * (x + 1) / (y + 2 * x)), always, None,
    ),
    "convex over concave": (
        "minimize exp(x) / sqrt(x + y)", lambda x, y: np.exp(x) / np.sqrt(x + y), always,
        lambda: (cvxpy.exp(X) / cvxpy.sqrt(X + Y), []),
    ),
    "concave over convex": (
        "maximize log(1 + x) / (y^2 + x)", lambda x, y: -log1(x) / (y**2 + x), always,
        lambda: (-cvxpy.log(1 + X) / (cvxpy.square(Y) + X), []),
    ),
    "affine over norm": (
        "maximize (x + 2 * y) / norm2([x, 3 * y])",
        lambda x, y: -(x + 2 * y) / np.hypot(x, 3 * y), always, None,
    ),
    "root over exponential": (
        "maximize sqrt(x) / exp(x)", lambda x, y: -np.sqrt(x) / np.exp(x), always,
        lambda: (-cvxpy.sqrt(X) / cvxpy.exp(X), []),
    ),
    "square over affine": (
        "minimize (x^2 + 1) / (y - x + 5)", lambda x, y: (x**2 + 1) / (y - x + 5), always, None,
    ),
    "cube of a ratio": (
        "minimize (x / (x + y))^3", lambda x, y: (x / (x + y)) ** 3, always,
        lambda: (cvxpy.power(X / (X + Y), 3), []),
    ),
    "square of a ratio": (
        "maximize (x / (x + y))^2", lambda x, y: -((x / (x + y)) ** 2), always, None,
    ),
    # monotone functions outside
    "root of a ratio": (
        "minimize sqrt((x + 1) / (y + x))", lambda x, y: np.sqrt((x + 1) / (y + x)), always,
        lambda: (cvxpy.sqrt((X + 1) / (Y + X)), []),
    ),
    "exponential of a ratio": (
        "minimize exp((x - 3) / (y + x))", lambda x, y: np.exp((x - 3) / (y + x)), always, None,
    ),
    "logarithm of a ratio": (
        "maximize log((x + 1) / (y + x + 2))", lambda x, y: -np.log((x + 1) / (y + x + 2)), always, None,
    ),
    "logarithm minimized": (
        "minimize log(x + y)\nsubject to\n  c: x + 2 * y >= 5", lambda x, y: np.log(x + y),
        lambda x, y: x + 2 * y >= 5, lambda: (cvxpy.log(X + Y), [X + 2 * Y >= 5]),
    ),
    "sigmoid": (
        "maximize sigmoid(x - y^2)", lambda x, y: -1 / (1 + np.exp(-(x - y**2))), always, None,
    ),
    "arc tangent": ("minimize atan(x^2 - y)", lambda x, y: np.arctan(x**2 - y), always, None),
    "root of a norm": (
        "minimize sqrt(norm2([x - 2, y]))", lambda x, y: np.sqrt(np.hypot(x - 2, y)), always,
        lambda: (cvxpy.sqrt(cvxpy.norm2(cvxpy.hstack([X - 2, Y]))), []),
    ),
    # steps
    "ceil": ("minimize ceil(x + y)", lambda x, y: np.ceil(x + y), always, lambda: (cvxpy.ceil(X + Y), [])),
    "floor": ("maximize floor(x + y)", lambda x, y: -np.floor(x + y), always, lambda: (-cvxpy.floor(X + Y), [])),
    "ceil of a convex function": (
        "minimize ceil(x^2 + y)", lambda x, y: np.ceil(x**2 + y), always, lambda: (cvxpy.ceil(cvxpy.square(X) + Y), []),
    ),
    "a step scaled and moved": (
        "minimize 3 * ceil(2 * x) - 5", lambda x, y: 3 * np.ceil(2 * x) - 5, always,
        lambda: (3 * cvxpy.ceil(2 * X) - 5, []),
    ),
    "sign": (
        "minimize sign(x - y)", lambda x, y: np.sign(x - y), always, None,
    ),
    # maxima, minima, products
    "maximum of ratios": (
        "minimize max((x + 1) / (y + 2), (5 - x) / (y + 1))",
        lambda x, y: np.maximum((x + 1) / (y + 2), (5 - x) / (y + 1)), always, None,
    ),
    "minimum of ratios": (
        "maximize min((x + 1) / (y + 2), (5 - x) / (y + 1))",
        lambda x, y: -np.minimum((x + 1) / (y + 2), (5 - x) / (y + 1)), always, None,
    ),
    "maximum of a step and a logarithm": (
        "minimize max(ceil(x), log(y + x) * 3)", lambda x, y: np.maximum(np.ceil(x), 3 * np.log(x + y)), always,
        lambda: (cvxpy.maximum(cvxpy.ceil(X), 3 * cvxpy.log(Y + X)), []),
    ),
    "product": (
        "maximize x * y\nsubject to\n  c: x + 2 * y <= 5", lambda x, y: -x * y, lambda x, y: x + 2 * y <= 5,
        lambda: (-X * Y, [X + 2 * Y <= 5]),
    ),
    "product of concave functions": (
        "maximize sqrt(x) * log(1 + y)\nsubject to\n  c: x + 2 * y <= 5", lambda x, y: -np.sqrt(x) * log1(y),
        lambda x, y: x + 2 * y <= 5, None,
    ),
    # levels as constraints
    "ratio as a constraint": (
        "minimize (y + 3) / (y + 1)\nsubject to\n  c: (2 * x + 1) / (y + 1) <= 0.7", lambda x, y: (y + 3) / (y + 1),
        lambda x, y: (2 * x + 1) / (y + 1) <= 0.7, lambda: ((Y + 3) / (Y + 1), [(2 * X + 1) / (Y + 1) <= 0.7]),
    ),
    "logarithm from below": (
        "minimize (x + 1) / (x + y + 2)\nsubject to\n  c: log(x + y) >= 1.3", lambda x, y: (x + 1) / (x + y + 2),
        lambda x, y: np.log(x + y) >= 1.3, None,
    ),
    "logarithm from above": (
        "maximize (x + 1) / (y + 2)\nsubject to\n  c: log(x + y) <= 1.1", lambda x, y: -(x + 1) / (y + 2),
        lambda x, y: np.log(x + y) <= 1.1, None,
    ),
    "step as a constraint": (
        "minimize (y + 1) / (x + 2)\nsubject to\n  c: ceil(x + y) <= 4", lambda x, y: (y + 1) / (x + 2),
        lambda x, y: np.ceil(x + y) <= 4, None,
    ),
    "floor as a constraint": (
        "maximize (x + 1) / (y + 2)\nsubject to\n  c: floor(x) >= 2\n  d: x + y <= 5",
        lambda x, y: -(x + 1) / (y + 2), lambda x, y: (np.floor(x) >= 2) & (x + y <= 5), None,
    ),
    "ratio of curved parts as a constraint": (
        "minimize ceil(y)\nsubject to\n  c: sqrt(x + 1) / (x^2 + y) >= 0.3", lambda x, y: np.ceil(y),
        lambda x, y: np.sqrt(x + 1) / (x**2 + y) >= 0.3,
        lambda: (cvxpy.ceil(Y), [cvxpy.sqrt(X + 1) / (cvxpy.square(X) + Y) >= 0.3]),
    ),
}
_SIDE = 801


def _grid_best(name: str) -> float:
    """The least value on a grid that holds the corners and whole numbers, minimization throughout."""
    _, function, feasible, _ = PROBLEMS[name]
    x, y = np.meshgrid(np.union1d(np.linspace(0.3, 4, _SIDE), np.arange(1, 5) / 1.0), np.linspace(1, 3, _SIDE))
    with np.errstate(all="ignore"):
        return float(np.where(feasible(x, y), function(x, y), np.inf).min())


@pytest.mark.parametrize("name", PROBLEMS)
def test_against_a_grid(name: str) -> None:
    """No point of the grid beats the bound, and the answer is as good as the best of them."""
    text = PROBLEMS[name][0]
    solution = optdsl.parse(BOX + text).solve()
    assert solution.status is Status.OPTIMAL and solution.guarantee is Guarantee.GLOBAL, solution
    sign = -1.0 if text.startswith("maximize") else 1.0
    assert solution.bound is not None and solution.objective is not None
    value, bound, best = sign * solution.objective, sign * solution.bound, _grid_best(name)
    size = max(1.0, abs(value))
    assert best >= bound - 1e-6 * size
    assert value <= best + 1e-6 * size
    assert value - bound <= 2e-6 * size


@pytest.mark.parametrize("name", [n for n, problem in PROBLEMS.items() if problem[3] is not None])
def test_against_cvxpy(name: str) -> None:
    text, _, _, made = PROBLEMS[name]
    assert made is not None
    objective, constraints = made()
    problem = cvxpy.Problem(cvxpy.Minimize(objective), [*constraints, X >= 0.3, X <= 4, Y >= 1, Y <= 3])
    if not problem.is_dqcp():
        pytest.skip("CVXPY does not see that it is quasi-convex")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            problem.solve(qcp=True, solver="CLARABEL")
        except cvxpy.error.SolverError as error:
            pytest.skip(f"CVXPY: {error}")
    solution = optdsl.parse(BOX + text).solve()
    sign = -1.0 if text.startswith("maximize") else 1.0
    assert solution.objective is not None
    assert sign * solution.objective == pytest.approx(problem.value, rel=1e-4, abs=1e-4)


# ------------------------------------------------------------------------------------------------------------ ends


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("minimize (x + 1) / (y + 2)\nsubject to\n  c: x + y >= 9", {"c", "x", "y"}),
        ("minimize max((x + 1) / (y + 2), ceil(x))\nsubject to\n  c: x + y >= 6\n  d: x <= 2", {"c", "d", "y"}),
        ("minimize ceil(y)\nsubject to\n  c: sqrt(x + 1) / (x^2 + y) >= 0.9\n  d: y >= 1.2", {"c", "d"}),
    ],
)
def test_conflicts_by_name(text: str, members: set[str]) -> None:
    solution = optdsl.parse(BOX + text).solve()
    assert solution.status is Status.INFEASIBLE and solution.conflict is not None
    assert {member.name for member in solution.conflict.members} == members


def test_rays_of_the_core() -> None:
    steps = optdsl.parse("var x\nvar y\nminimize ceil(x + y)\nsubject to\n  c: x - y >= 9").solve()
    assert steps.status is Status.UNBOUNDED and steps.ray is not None and steps.ray.direction is not None
    x, y = (float(steps.ray.direction.get(n, 0.0)) for n in ("x", "y"))
    assert x + y < 0 and x - y >= -1e-9
    ratio = optdsl.parse("var x\nvar y >= 1\nminimize (x + y) / (y + 2)\nsubject to\n  c: x - y <= 9").solve()
    assert ratio.status is Status.UNBOUNDED and ratio.ray is not None and ratio.ray.direction is not None
    assert float(ratio.ray.direction["x"]) < 0 and float(ratio.ray.direction.get("y", 0.0)) == 0


def test_a_limit_at_infinity_is_no_optimum() -> None:
    solution = optdsl.parse("var x >= 0\nvar y >= 1\nminimize (y + 1) / (x + y)").solve()
    assert solution.status is Status.FEASIBLE and solution.bound == pytest.approx(0.0, abs=1e-9)
    assert solution.objective is not None and 0 < solution.objective < 1e-3
    assert any("without reaching it" in note for note in solution.notes)
