"""Every function in every role: what CVXPY's rules call convex the verdict calls convex, and the optimum is the same.

The problems are the function of affine arguments, minimized, maximized, and bounded from above, from below and on both
sides, with variables whose bounds give a sign or none. CVXPY's problem is put together from the row's `lowering`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

import optdsl
from optdsl.atoms import ATOMS, Absent, Atom
from optdsl.classify.analyst import analyze
from optdsl.language import parse
from optdsl.model import build

ROWS = tuple(row for row in ATOMS if not isinstance(row.lowering, Absent))
BOXES: dict[str, tuple[float, float]] = {
    "positive": (0.5, 2.0),
    "negative": (-2.0, -0.5),
    "mixed": (-1.0, 2.0),
    "free": (-np.inf, np.inf),
}
ROLES = ("minimize", "maximize", "<=", ">=", "=")

# Affine arguments as written, and as CVXPY has them of x (3,) and S (2, 2).
SCALARS = (
    ("x[1] + 2 * x[2]", lambda x, S: x[0] + 2 * x[1]),
    ("x[2] + x[3]", lambda x, S: x[1] + x[2]),
)
VECTOR = ("[x[1] + 2 * x[2], x[2] + x[3], 3 * x[3]]", lambda x, S: cp.hstack([x[0] + 2 * x[1], x[1] + x[2], 3 * x[2]]))
MATRIX = ("(2 * S + D)", lambda x, S: 2 * S + np.array([[3.0, 1.0], [1.0, 2.0]]))
SQUARE = ("[[x[1], x[2]], [x[2] - x[3], 1]]", lambda x, S: cp.bmat([[x[0], x[1]], [x[1] - x[2], np.ones(())]]))
DATA = np.array([[3.0, 1.0], [1.0, 2.0]])
INDEFINITE = np.array([[1.0, 2.0], [2.0, 1.0]])
PAIR = ("[x[1], x[2] + x[3]]", lambda x, S: cp.hstack([x[0], x[1] + x[2]]))

NUMBERS: dict[tuple[str, str], tuple[float, ...]] = {
    ("pow", "p"): (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, -1.0, -0.5),
    ("elu", "a"): (0.5, 1.0),
    ("leaky_relu", "a"): (0.3, 1.5),
    ("huber", "m"): (1.0, 0.5),
    ("sum_largest", "k"): (1.0, 2.0),
    ("norm", "p"): (1.0, 1.5, 2.0, 3.0),
    ("binary_cross_entropy", "target"): (0.0, 0.3, 1.0),
    ("poisson_nll", "count"): (0.0, 2.0),
}
POSITIVE_ONLY = {"inv", "cbrt", ("pow", 3.0), ("pow", -1.0)}
"""What CVXPY's function says of positive arguments only, and the language of others too. `quad_over_lin` with a divisor
whose sign no bound gives belongs here as well: optdsl does not yet use that the function itself asks for y > 0."""


@dataclass(frozen=True)
class Case:
    """A call as written, the same for CVXPY, and the matrix data it names."""

    row: Atom
    text: str
    lowered: Callable[[Any, Any], Any]
    positive_only: bool = False
    psd: bool = False

    @property
    def of_matrix(self) -> bool:
        return "S" in self.text


def constant(value: Any) -> Callable[[Any, Any], Any]:
    return lambda x, S: value


def by_hand(row: Atom) -> Iterator[Case]:
    """The calls of functions of arrays, each one number."""

    def case(text: str, *arguments: Callable[[Any, Any], Any], psd: bool = False) -> Case:
        return Case(row, text, lambda x, S: row.lowering(cp, *(a(x, S) for a in arguments)), psd=psd)

    def summed(text: str, *arguments: Callable[[Any, Any], Any]) -> Case:
        return Case(row, f"sum({text})", lambda x, S: cp.sum(row.lowering(cp, *(a(x, S) for a in arguments))))

    name, (vector, v), (matrix, m), (square, q), (pair, p) = row.name, VECTOR, MATRIX, SQUARE, PAIR
    weights = constant(np.array([1.0, -2.0, 0.5]))
    match name:
        case "dot":
            yield case(f"dot({vector}, [1, -2, 0.5])", v, weights)
            yield case(f"dot({vector}, x)", v, lambda x, S: x)
        case "outer":
            yield summed(f"outer({vector}, [1, -2, 0.5])", v, weights)
        case "cumsum" | "diff":
            yield summed(f"{name}({vector})", v)
        case "conv":
            yield summed(f"conv([1, -2, 0.5], {vector})", weights, v)
        case "tv":
            yield case(f"tv({vector})", v)
        case "quad_over_lin":
            yield replace(
                case(f"quad_over_lin({vector}, x[1] + x[3])", v, lambda x, S: x[0] + x[2]), positive_only=True
            )
            yield case(f"quad_over_lin({vector}, 2)", v, constant(2.0))
        case "diag":
            yield summed(f"diag({vector})", v)
            yield summed(f"diag({matrix})", m)
        case "concat":
            yield summed(f"concat({vector}, x)", v, lambda x, S: x)
        case "reshape":
            yield Case(row, f"sum(reshape({vector}, 3, 1))", lambda x, S: cp.sum(row.lowering(cp, v(x, S), 3, 1)))
        case "quad_form":
            yield case(f"quad_form({pair}, D)", p, constant(DATA))
            yield case(f"quad_form({pair}, -D)", p, constant(-DATA))
            yield case(f"quad_form({pair}, E)", p, constant(INDEFINITE))
        case "matrix_frac":
            yield case(f"matrix_frac({pair}, {matrix})", p, m, psd=True)
            yield case(f"matrix_frac({pair}, D)", p, constant(DATA))
        case "cross_entropy":
            logits = "[[x[1] + x[2], x[3], 0.5], [x[1], -x[2], x[3]]]"
            yield summed(
                f"cross_entropy({logits}, [3, 1])",
                lambda x, S: cp.bmat([[x[0] + x[1], x[2], 0.5 * np.ones(())], [x[0], -x[1], x[2]]]),
                constant(np.array([2, 0])),
            )
        case _:
            yield case(f"{name}({matrix})", m)
            if not row.needs_symmetric:
                yield case(f"{name}({square})", q)


def cases_of(row: Atom) -> Iterator[Case]:
    if row.acts_on == "arrays":
        yield from by_hand(row)
        return
    (fewest, most), data = row.arity, row.data_arguments
    count = fewest if most is not None else 2
    values = NUMBERS[row.name, data[0]] if data else (None,)
    for value in values:
        texts, parts, moving = [], [], iter(SCALARS)
        for position in range(count):
            if row.is_data(position):
                texts.append(f"{value:g}")
                parts.append(constant(int(value) if row.name == "sum_largest" else value))
            elif row.acts_on == "groups":
                texts.append(VECTOR[0])
                parts.append(lambda x, S: cp.reshape(VECTOR[1](x, S), (1, 3), order="C"))
            else:
                text, part = next(moving)
                texts.append(text)
                parts.append(part)
        yield Case(
            row,
            f"{row.name}({', '.join(texts)})",
            lambda x, S, parts=tuple(parts): cp.sum(row.lowering(cp, *(part(x, S) for part in parts))),
            bool({row.name, (row.name, value)} & POSITIVE_ONLY),
        )


def model_text(case: Case, box: str, role: str, side: float) -> str:
    low, high = BOXES[box]
    lines = [
        "param D[1..2, 1..2] psd = [[3, 1], [1, 2]]",
        "param E[1..2, 1..2] symmetric = [[1, 2], [2, 1]]",
        "var x[1..3]" + ("" if box == "free" else f" in [{low}, {high}]"),
    ]
    if case.of_matrix:
        shape = "psd" if case.psd else "symmetric"
        lines.append(f"var S[1..2, 1..2] {shape}" + ("" if box == "free" else f", >= {low}, <= {high}"))
    if role in ("minimize", "maximize"):
        lines.append(f"{role} f: {case.text}")
    else:
        matrix = " + S[1, 1] + 0.4 * S[1, 2]" if case.of_matrix else ""
        lines += [f"minimize g: x[1] - 0.5 * x[2] + 0.3 * x[3]{matrix}"]
        lines += ["subject to", f"  held: {case.text} {role} {side}"]
    return "\n".join(lines) + "\n"


def cvxpy_problem(case: Case, box: str, role: str) -> tuple[cp.Problem, float]:
    """The same problem, and the side of its constraint: the function's value in the middle of the box."""
    low, high = BOXES[box]
    signs = {"nonneg": box == "positive", "nonpos": box == "negative"}
    x = cp.Variable(3, **signs)
    S = cp.Variable((2, 2), PSD=True) if case.psd else cp.Variable((2, 2), symmetric=True)
    held = [] if box == "free" else [x >= low, x <= high]
    if case.of_matrix and box != "free":
        held += [S - low >= 0, S - high <= 0]
    function = case.lowered(x, S)
    if role in ("minimize", "maximize"):
        return cp.Problem((cp.Minimize if role == "minimize" else cp.Maximize)(function), held), 0.0
    middle = 0.6 if box == "free" else (low + high) / 2
    x.value = np.full(3, middle) + np.array([0.0, 0.1, -0.1])
    S.project_and_assign(np.full((2, 2), middle) + 0.2 * np.eye(2))
    with np.errstate(all="ignore"):
        value = float(np.squeeze(function.value)) if function.value is not None else np.nan
    side = round(value, 6) if np.isfinite(value) else 1.0
    held.append({"<=": function <= side, ">=": function >= side, "=": function == side}[role])
    goal = x[0] - 0.5 * x[1] + 0.3 * x[2]
    if case.of_matrix:
        goal = goal + S[0, 0] + 0.4 * S[0, 1]
    return cp.Problem(cp.Minimize(goal), held), side


def combinations(row: Atom, box: str) -> Iterator[tuple[str, str, cp.Problem]]:
    """What is convex by CVXPY's rules: the role, our text, CVXPY's problem."""
    for case in cases_of(row):
        if case.positive_only and box != "positive":
            continue
        if row.name == "pow" and box == "negative" and not float(case.text.split(", ")[1][:-1]).is_integer():
            continue  # undefined everywhere
        for role in ROLES:
            problem, side = cvxpy_problem(case, box, role)
            if problem.is_dcp():
                yield role, model_text(case, box, role, side), problem


@cache
def convex_by_cvxpy(name: str, number: int) -> bool:
    return any(True for box in BOXES for _ in combinations(ROWS[number], box))


IDS = [f"{row.name}-{row.acts_on}" for row in ROWS]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_what_cvxpy_calls_convex_is_proved(row: Atom, box: str) -> None:
    missed = []
    for _, text, _ in combinations(row, box):
        analysis = analyze(build(parse(text)))
        if analysis.convexity != "convex":
            missed.append((text, analysis.convexity))
    assert not missed, "\n".join(f"{verdict}:\n{text}" for text, verdict in missed)


@pytest.mark.parametrize("box", ["positive", "mixed"])
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_the_optimum_is_that_of_cvxpy(row: Atom, box: str) -> None:
    wrong = []
    for role, text, problem in combinations(row, box):
        if (box == "mixed") == (role in ("minimize", "maximize")):
            continue  # objectives over positive numbers, constraints over mixed ones: half the time
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            problem.solve(solver=cp.CLARABEL)
        solution = optdsl.parse(text).solve()
        agrees = solution.status.word == {"optimal_inaccurate": "optimal"}.get(problem.status, problem.status)
        if agrees and problem.status == "optimal":
            agrees = solution.objective == pytest.approx(problem.value, rel=1e-5, abs=1e-5)
        if not agrees:
            wrong.append(f"{solution.status} {solution.objective}, CVXPY {problem.status} {problem.value}:\n{text}")
    assert not wrong, "\n".join(wrong)


def test_most_functions_are_convex_in_some_role() -> None:
    never = {row.name for number, row in enumerate(ROWS) if not convex_by_cvxpy(row.name, number)}
    assert never <= {"prod", "elu"}
