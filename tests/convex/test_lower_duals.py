"""Duals and reduced costs in the model's terms, against the program solved again with a side moved.

The optimal value is convex in a right-hand side (concave for a maximum): a dual, unique or not, must lie between the
slopes to the left and to the right.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from agreement import model_of
from hypothesis import HealthCheck, Phase, given, settings
from random_models import texts

import optdsl
from optdsl.classify import analyze
from optdsl.convex.choose import choose
from optdsl.convex.lower import Lowered, lower
from optdsl.convex.program import Program, RawStatus
from optdsl.errors import OptError

STEP = 1e-4


def optimum(program: Program) -> float | None:
    """The minimum of a program, None where it has none."""
    raw = choose(program).solve(program)
    if raw.status is not RawStatus.OPTIMAL or raw.x is None:
        return None
    value = program.cost @ raw.x + program.constant
    if program.hessian is not None:
        value += 0.5 * raw.x @ (program.hessian @ raw.x)
    if program.squares is not None:
        inner = program.squares.matrix @ raw.x + program.squares.offset
        value += program.squares.weights @ inner**2
    return float(value)


def check(lowered: Lowered) -> int:
    """Every dual and every reduced cost is between the slopes; returns how many sides moved the optimum."""
    program, sign = lowered.program, lowered.sign
    raw = choose(program).solve(program)
    best = optimum(program)
    if best is None or raw.row_dual is None:
        return 0
    restored = lowered.restore(raw)
    assert restored.duals is not None and restored.reduced_cost is not None
    room = 1e-7 * max(1.0, abs(best))
    moved = 0

    def between(dual: float, changed: Program, step: float, what: str) -> None:
        nonlocal moved
        new = optimum(changed)
        if new is None:
            return
        # in the program's sense: the value is convex in the side
        excess = new - best - sign * dual * step
        assert excess >= -room - 1e-4 * abs(dual * step), f"{what}: dual {dual}, step {step}, {sign * (new - best)}"
        moved += abs(new - best) > room

    for number, duals in enumerate(restored.duals):
        starts = [s for s, b in zip(lowered.rows, lowered.analysis.blocks, strict=True) if b.constraint == number]
        for instance, dual in enumerate(duals):
            shift = np.zeros(len(program.row_lower))
            shift[[start + instance for start in starts]] = STEP
            for step in (1.0, -1.0):
                changed = replace(
                    program, row_lower=program.row_lower + step * shift, row_upper=program.row_upper + step * shift
                )
                between(float(dual), changed, step * STEP, f"constraint {number}, instance {instance}")
    for column, cost in enumerate(restored.reduced_cost):
        shift = np.zeros(len(program.lower))
        shift[column] = STEP
        for step in (1.0, -1.0):
            changed = replace(program, lower=program.lower + step * shift, upper=program.upper + step * shift)
            between(float(cost), changed, step * STEP, f"column {column}")
    return moved


CASES = {
    "inequalities": """
        var x >= 0
        var y >= 0
        maximize 3*x + 5*y
        subject to
          a: x <= 4
          b: 2*y <= 12
          c: 3*x + 2*y <= 18
        """,
    "greater or equal": """
        var x[1..3] >= 0
        minimize 2*x[1] + 3*x[2] + x[3]
        subject to
          a: x[1] + x[2] >= 4
          b: x[3] - x[1] >= -2
          c: 5 <= x[2] + x[3]
        """,
    "a side on either hand": """
        var x in [0, 10]
        var y in [0, 10]
        maximize x + 2*y
        subject to
          a: x + y <= 2*x + 4
          b: 3 - x >= y - 5
        """,
    "equalities": """
        var x[1..3] in [-5, 5]
        minimize x[1] - 2*x[2] + 3*x[3]
        subject to
          a: x[1] + x[2] + x[3] = 1
          b: x[1] - x[2] = 2
        """,
    "two sides, the lower holds": """
        var x in [-9, 9]
        var y in [-9, 9]
        minimize x + y
        subject to
          a: -2 <= x + y <= 5
          b: 1 <= x - y <= 3
        """,
    "two sides, the upper holds": """
        var x in [-9, 9]
        var y in [-9, 9]
        maximize x + y
        subject to
          a: -2 <= x + y <= 5
          b: 5 >= x - y >= 1
        """,
    "bounds as constraints": """
        var x[1..4]
        maximize sum(i * x[i] for i in 1..4)
        subject to
          most[i in 1..4]: x[i] <= i + 1
          all: sum(x) <= 9
          least[i in 1..4]: x[i] >= 0
        """,
    "upper and lower bounds": """
        var x[1..4] >= -1, <= 2
        minimize x[1] - x[2] + 2*x[3] - 3*x[4]
        subject to
          a: sum(x) = 1
        """,
    "a fixed variable": """
        var x in [2, 2]
        var y in [0, 8]
        maximize 3*y - x
        subject to
          a: y + 2*x <= 7
        """,
    "degenerate": """
        var x in [0, 5]
        var y in [0, 5]
        maximize x + y
        subject to
          a: x + y <= 4
          b: 2*x + 2*y <= 8
          c: x <= 2
        """,
    "quadratic": """
        var x[1..3] in [-4, 4]
        minimize sum((x[i] - i)^2 for i in 1..3) + x[1]*x[2]
        subject to
          a: sum(x) <= 3
          b: x[1] - x[3] >= -1
          c[i in 2..3]: x[i] <= 1
        """,
    "quadratic, maximized": """
        var x[1..3] in [0, 4]
        maximize 6*sum(x) - sumsq(x) - (x[1] + x[2])^2
        subject to
          a: x[1] + x[2] + x[3] <= 3
          b: x[1] = 0.25
        """,
    "least squares with long rows": """
        var x[1..10] in [-1, 1]
        minimize sumsq([sum(mod(3*i + 5*j, 7) * x[j] for j in 1..10) - mod(i, 3) for i in 1..14])
        subject to
          a: sum(x) = 0.5
          b: x[1] - x[2] >= 0.4
        """,
    "piecewise": """
        var x[1..3] in [-4, 4]
        minimize sum(abs(x[i] - i) for i in 1..3) + max(x[1], 2*x[2])
        subject to
          a: sum(x) <= 3
          b: max(x[1], x[2]) <= 1.5
          c: abs(x[3]) <= 2
          d: min(x[1], x[2]) >= -1
        """,
    "sums of the largest": """
        var x[1..4] in [0, 4]
        minimize sum_largest(x, 2) - 0.3*sum(x)
        subject to
          a: sum(x) >= 5
          b: x[1] <= 1
        """,
    "huber": """
        var x[1..3] in [-9, 9]
        minimize sum(huber(x[i] - 3*i, 1) for i in 1..3)
        subject to
          a: sum(x) <= 4
        """,
}


def text_of(title: str) -> str:
    lines = CASES[title].splitlines()
    return "\n".join(line[8:] for line in lines) + "\n"


@pytest.mark.parametrize("title", CASES)
def test_duals_are_rates(title: str) -> None:
    lowered = lower(analyze(model_of(text_of(title))))
    assert check(lowered) > 0, "no side matters: nothing was tested"


@pytest.mark.parametrize("kind", ["bounded", "bent"])
def test_duals_of_random_models(kind: str) -> None:
    moved = [0]

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(texts(kind))
    def each(text: str) -> None:
        try:
            lowered = lower(analyze(model_of(text)))
        except OptError:
            return
        if lowered.analysis.refusal or lowered.program.matrix.shape[0] + lowered.program.matrix.shape[1] > 60:
            return
        moved[0] += check(lowered)

    each()
    assert moved[0] > 3


# ------------------------------------------------------------------------------------------------- through the text


@pytest.mark.parametrize("title", [title for title, text in CASES.items() if " a: " in text])
def test_duals_through_the_text(title: str) -> None:
    """The same with a parameter added to the right-hand side of the constraint named `a`."""
    head, tail = text_of(title).split("  a: ")
    relation, rest = tail.split("\n", 1)
    moved = f"{relation} + shift"
    if sum(part in ("<=", ">=") for part in relation.split()) == 2:  # both sides move: the middle moves the other way
        first, middle, last = relation.split(" <= ")
        moved = f"{first} <= {middle} - shift <= {last}"
    model = optdsl.parse(f"param shift default 0\n{head}  a: {moved}\n{rest}")
    solution = model.solve()
    dual = float(np.asarray(solution.dual("a")))
    sign = 1 if solution.sense == "minimize" else -1
    assert solution.objective is not None
    for step in (STEP, -STEP):
        new = model.solve(shift=step).objective
        assert new is not None
        assert sign * (new - solution.objective - dual * step) >= -1e-6 * max(1.0, abs(new))


def test_duals_with_integers_fixed() -> None:
    """With integers, the duals are those of the problem in which they are fixed."""
    text = """
var n in [0, 9] integer
var x in [0, 9]
maximize 4*n + 3*x
subject to
  a: 2*n + 3*x <= 16
  b: n + x <= 6
"""
    solution = optdsl.parse(text).solve()
    assert solution.to_json().count("integers fixed") == 1
    fixed = text.replace("var n in [0, 9] integer", f"var n in [{solution['n']}, {solution['n']}]")
    again = optdsl.parse(fixed).solve()
    for name in ("a", "b"):
        assert float(np.asarray(solution.dual(name))) == pytest.approx(float(np.asarray(again.dual(name))), abs=1e-7)
