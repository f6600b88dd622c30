"""Quasi-convex problems: known optima, CVXPY's qcp=True on the same problems, proofs on both sides, statuses."""

from __future__ import annotations

import warnings

import cvxpy
import numpy as np
import pytest

from optdsl.classify import analyze
from optdsl.classify.inverse import extreme_argument
from optdsl.classify.quasi import NotQuasiconvex, QuasiProgram, recognize_quasiconvex
from optdsl.convex.bisection import QuasiAnswer, solve_quasi
from optdsl.convex.program import RawStatus
from tests.convex.geometric_models import model_of, solve_cones


def recognized(text: str, **values: object) -> QuasiProgram:
    found = recognize_quasiconvex(model_of(text, **values))
    assert isinstance(found, QuasiProgram), found
    return found


def solved(text: str, **values: object) -> QuasiAnswer:
    return solve_quasi(recognized(text, **values), solve_cones)


def assert_optimal(answer: QuasiAnswer, value: float, rel: float = 2e-6) -> None:
    assert answer.raw.status is RawStatus.OPTIMAL, (answer.raw.status, answer.raw.message)
    assert answer.objective == pytest.approx(value, rel=rel)
    assert answer.restored.bound == pytest.approx(answer.objective, rel=rel)


BOX = "var x in [0, 10]\nvar y in [0, 10]\n"
LOGS = "var x in [0.1, 10]\nvar y in [0, 10]\n"

# text, kind, CVXPY's problem by x and y
CASES = {
    "linear ratio": (
        BOX + "minimize (2*x + y + 1) / (x + 3*y + 4)\nsubject to\n  a: x + y >= 2\n  b: x - y <= 3",
        "linear ratio",
        lambda x, y: (cvxpy.Minimize((2 * x + y + 1) / (x + 3 * y + 4)), [x + y >= 2, x - y <= 3]),
    ),
    "linear ratio, maximized, negative denominator": (
        BOX + "maximize (1 + x - 2*y) / (-x - 3*y - 4)\nsubject to\n  a: x + y >= 2\n  b: x - y = 1",
        "linear ratio",
        lambda x, y: (cvxpy.Maximize((2 * y - x - 1) / (x + 3 * y + 4)), [x + y >= 2, x - y == 1]),
    ),
    "logarithm": (
        LOGS + "minimize log(x + 2*y)\nsubject to\n  a: x + y >= 3",
        "convex",
        lambda x, y: (cvxpy.Minimize(cvxpy.log(x + 2 * y)), [x + y >= 3]),
    ),
    "root of a maximum": (
        BOX + "minimize 2 - 3 / sqrt(max(x, 2*y, 3 - x - y) + 1)\nsubject to\n  a: y >= 0.3",
        "convex",
        (lambda x, y: 2 - 3 / np.sqrt(np.maximum(np.maximum(x, 2 * y), 3 - x - y) + 1), lambda x, y: y >= 0.3),
    ),
    "ceiling": (
        BOX + "minimize ceil(x + 2*y)\nsubject to\n  a: x + y >= 2.5\n  b: x <= 1.25",
        "convex",
        lambda x, y: (cvxpy.Minimize(cvxpy.ceil(x + 2 * y)), [x + y >= 2.5, x <= 1.25]),
    ),
    "floor, maximized": (
        BOX + "maximize floor(x + 2*y)\nsubject to\n  a: x + y <= 2.6",
        "convex",
        lambda x, y: (cvxpy.Maximize(cvxpy.floor(x + 2 * y)), [x + y <= 2.6]),
    ),
    "sign": (
        "var x in [-5, 5]\nvar y in [-5, 5]\nminimize sign(x + y)\nsubject to\n  a: x + y >= 0.5",
        "convex",
        lambda x, y: (cvxpy.Minimize(cvxpy.sign(x + y)), [x + y >= 0.5, x <= 5, y <= 5]),
    ),
    "ceiling of a ratio": (
        BOX + "minimize ceil(10 * (2*x + y + 1) / (x + 3*y + 4))\nsubject to\n  a: x + y >= 2.2",
        "linear ratio",
        (lambda x, y: np.ceil(10 * (2 * x + y + 1) / (x + 3 * y + 4)), lambda x, y: x + y >= 2.2),
    ),
    "maximum of ratios": (
        LOGS + "minimize max((2*x + 1) / (y + 1), (y + 3) / (x + 2))\nsubject to\n  a: x + y >= 3",
        "levels",
        lambda x, y: (cvxpy.Minimize(cvxpy.maximum((2 * x + 1) / (y + 1), (y + 3) / (x + 2))), [x + y >= 3]),
    ),
    "minimum of ratios, maximized": (
        LOGS + "maximize min((2*x + 1) / (y + 1), (y + 3) / (x + 2))\nsubject to\n  a: x + y <= 3",
        "levels",
        lambda x, y: (cvxpy.Maximize(cvxpy.minimum((2 * x + 1) / (y + 1), (y + 3) / (x + 2))), [x + y <= 3]),
    ),
    "maximum of functions of different kinds": (
        LOGS + "minimize max(ceil(x - 2*y), log(y + 1), (3 + y) / (x + 1))\nsubject to\n  a: x + y >= 3",
        "levels",
        (
            lambda x, y: np.maximum(np.maximum(np.ceil(x - 2 * y), np.log(y + 1)), (3 + y) / (x + 1)),
            lambda x, y: (x + y >= 3) & (x >= 0.1),
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    text, kind, reference = CASES[name]
    problem = recognized(text)
    assert problem.kind == kind
    answer = solve_quasi(problem, solve_cones)
    if callable(reference):
        assert_optimal(answer, _by_cvxpy(text, reference), rel=1e-5)
        return
    best = _by_grid(*reference)
    assert_optimal(answer, best, rel=2e-3)
    assert answer.objective <= best + 1e-6  # type: ignore[operator]


def _by_cvxpy(text: str, reference) -> float:  # type: ignore[no-untyped-def]
    signed = "[-5" in text
    x, y = cvxpy.Variable(nonneg=not signed), cvxpy.Variable(nonneg=not signed)
    objective, constraints = reference(x, y)
    low = -5 if "[-5" in text else 0.1 if text.startswith(LOGS) else 0
    problem = cvxpy.Problem(objective, [*constraints, x >= low, y >= min(low, 0), x <= 10, y <= 10])
    return _bisected(problem)


def _bisected(problem: cvxpy.Problem) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            problem.solve(qcp=True, solver="HIGHS", eps=1e-7)
        except cvxpy.SolverError:
            problem.solve(qcp=True, solver="CLARABEL", eps=1e-7)
    return float(problem.value)


def _by_grid(objective, feasible) -> float:  # type: ignore[no-untyped-def]
    """The best of all points of a fine grid that satisfy the constraints."""
    x, y = np.meshgrid(np.linspace(0.0, 10.0, 3001), np.linspace(0.0, 10.0, 3001))
    with np.errstate(all="ignore"):
        return float(objective(x, y)[feasible(x, y)].min())


def test_maximum_over_members() -> None:
    """The worst of many ratios: the generalized eigenvalue-like problem of Crouzeix, Ferland and Schaible (1985)."""
    rng = np.random.default_rng(3)
    top, bottom = rng.uniform(0, 1, (12, 4)).round(2), rng.uniform(0, 1, (12, 4)).round(2)
    text = """
    set K = 1..12
    set J = 1..4
    param a[K, J] = {top}
    param b[K, J] = {bottom}
    var x[J] in [0, 1]
    minimize max((1 + sum(a[k, j] * x[j] for j in J)) / (2 + sum(b[k, j] * x[j] for j in J)) for k in K)
    subject to
      total: sum(x[j] for j in J) >= 1
    """
    answer = solved(text, top=top.tolist(), bottom=bottom.tolist())
    x = cvxpy.Variable(4, nonneg=True)
    ratios = [(1 + top[k] @ x) / (2 + bottom[k] @ x) for k in range(12)]
    constraints = [x <= 1, cvxpy.sum(x) >= 1]
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.maximum(*ratios)), constraints)
    assert_optimal(answer, _bisected(problem), rel=1e-5)


@pytest.mark.parametrize(("sense", "first", "second"), [("minimize", 1, 0), ("maximize", 0, 1)])
def test_duals_of_a_ratio(sense: str, first: int, second: int) -> None:
    text = """
    var x in [0, 10]
    var y in [0, 10]
    SENSE 3 + 2 * (2*x + y + 1) / (x + 3*y + 4)
    subject to
      a: x + 2 * y >= {a}
      b: x - y <= {b}
      c: 1 <= x + y <= {c}
    """.replace("SENSE", sense)
    at = {"a": 2.5, "b": 1.0, "c": 6.0}
    answer = solved(text, **at)
    for number, name in enumerate(at):
        moved = [solved(text, **{**at, name: at[name] + step}).objective for step in (1e-4, -1e-4)]
        rate = (moved[0] - moved[1]) / 2e-4  # type: ignore[operator]
        assert answer.restored.duals[number][0] == pytest.approx(rate, rel=1e-5, abs=1e-7)  # type: ignore[index]
    assert any(d.any() for d in answer.restored.duals)  # type: ignore[union-attr]


def test_duals_through_outer_functions() -> None:
    text = "var x in [0.1, 10]\nvar y in [{y}, 10]\nminimize log(x + 2*y)^3\nsubject to\n  a: x + y >= {r}"
    answer = solved(text, r=3.0, y=0.5)
    for which, name in ((answer.restored.duals[0][0], "r"), (answer.restored.reduced_cost[1], "y")):  # type: ignore[index]
        at = {"r": 3.0, "y": 0.5}
        moved = [solved(text, **{**at, name: at[name] + step}).objective for step in (1e-4, -1e-4)]
        assert which == pytest.approx((moved[0] - moved[1]) / 2e-4, rel=1e-5)  # type: ignore[operator]


# ------------------------------------------------------------------------------------------------------- statuses


def test_infeasible() -> None:
    for objective in ("(x + 1) / (y + 1)", "max(x / (y + 1), (y + 2) / (x + 1))", "log(1 + x)"):
        text = f"var x in [0, 1]\nvar y in [0, 1]\nminimize {objective}\nsubject to\n  a: x + y >= 3"
        assert solved(text).raw.status is RawStatus.INFEASIBLE


def test_a_logarithm_that_falls_without_end() -> None:
    answer = solved("var x >= 0\nvar y >= 0\nminimize log(x + y)\nsubject to\n  a: x <= 3")
    # the least core is 0, where the logarithm has no value
    assert answer.raw.status is RawStatus.UNBOUNDED
    assert answer.note == "the objective improves without end toward points where it has no value"


def test_a_limit_that_is_not_reached() -> None:
    answer = solved("var x >= 0\nvar y >= 0\nmaximize (2*x + y) / (x + y + 1)")
    assert not answer.attained
    assert answer.restored.bound == pytest.approx(2) and "without reaching" in answer.note


def test_unbounded_core() -> None:
    answer = solved("var x\nminimize atan(x)")
    assert answer.raw.status is RawStatus.UNBOUNDED
    assert answer.restored.bound == pytest.approx(-np.pi / 2) and "without reaching" in answer.note


NEAR_MISSES = [
    ("minimize x * y", "this part is not known to be quasi-convex"),
    ("minimize (x + 1) / (y - 3)", "not known to be quasi-convex"),
    ("minimize (x + 1) / (y + 1) + (y + 2) / (x + 3)", "not known to be quasi-convex"),
    ("minimize log(x + 1) + sqrt(y)", "not known to be quasi-convex"),
    ("minimize min((x + 1) / (y + 1), (y + 2) / (x + 3))", "not known to be quasi-convex"),
    ("minimize sqrt(x + 1) / (y + 1)", "the numerator of this ratio is not known to be convex"),
    ("minimize (x - 3) / sqrt(y + 1)", "neither the signs nor the curvatures"),
    ("minimize ceil(x)\nsubject to\n  a: x * y = 3", ""),
    ("var n in [0, 5], integer\nminimize ceil(n + x)", "integer"),
]


@pytest.mark.parametrize(("text", "reason"), NEAR_MISSES)
def test_near_miss(text: str, reason: str) -> None:
    found = recognize_quasiconvex(model_of(BOX + text))
    assert isinstance(found, NotQuasiconvex) and reason in found.reason


@pytest.mark.parametrize("text", [case[0] for case in CASES.values()] + [BOX + text for text, _ in NEAR_MISSES])
def test_what_is_known_of_constraints_changes_nothing(text: str) -> None:
    """The verdict on the whole model spares an analysis; what is recognized is the same."""
    model = model_of(text)
    broken = {fact.name for fact in analyze(model).statements if fact.role == "constraint" and not fact.ok}
    alone, told = recognize_quasiconvex(model), recognize_quasiconvex(model, broken=broken)
    assert type(alone) is type(told)
    if isinstance(alone, QuasiProgram) and isinstance(told, QuasiProgram):
        assert (alone.kind, alone.core, alone.sense) == (told.kind, told.core, told.sense)


def test_bounds_are_on_the_right_side_at_every_level() -> None:
    answer = solved(CASES["maximum of ratios"][0])
    objective, bound = answer.raw.trace.rows[:, 1], answer.raw.trace.rows[:, 2]
    assert (np.diff(objective) <= 1e-12).all() and (np.diff(bound) >= 0).all()
    assert (bound <= answer.objective + 1e-12).all()


@pytest.mark.parametrize(
    ("function", "level", "sign", "low", "high", "largest", "expected"),
    [
        (np.exp, 2.0, 1, -np.inf, np.inf, True, np.log(2)),
        (np.ceil, 2.5, 1, -np.inf, np.inf, True, 2.0),
        (np.ceil, 2.5, -1, -np.inf, np.inf, False, np.nextafter(2.0, 3)),
        (np.floor, -0.5, -1, -np.inf, np.inf, False, 0.0),
        (np.sign, 0.5, 1, -np.inf, np.inf, True, 0.0),
        (np.exp, -1.0, 1, 0.0, np.inf, True, None),
        (np.tanh, 2.0, 1, -np.inf, np.inf, True, np.inf),
        (lambda v: -(np.float64(v) ** 3), 8.0, 1, -np.inf, np.inf, False, -2.0),
    ],
)
def test_turned_around(function, level, sign, low, high, largest, expected) -> None:  # type: ignore[no-untyped-def]
    with np.errstate(all="ignore"):
        found = extreme_argument(lambda v: float(function(v)), level, sign, low, high, largest=largest)
    assert found == (expected if expected is None else pytest.approx(expected, rel=1e-15, abs=1e-300))
