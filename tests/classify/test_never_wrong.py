"""Functions with kinks and squares in every role: the right optimum or a refusal that points at the reason.

An answer is right when its point satisfies the text as the plain evaluator reads it, has the objective that is said,
and no point of a fine grid that satisfies the text is better. Where the curvature fits the role, a refusal is a
failure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from agreement import naive_slacks
from naive import Naive
from solving import point_of_solution

import optdsl
from optdsl.errors import NotSolvable

CONVEX = """
abs(x[1])
abs(x[1] - x[2] + 0.3)
max(x[1], 2*x[2], 1)
pos(x[1] - 0.5) + relu(-x[2])
norm1(x)
norminf(x)
norm(x, 1)
norm(x, inf)
norm2(x)
sum_largest(x, 1)
sum_largest([x[1], x[2], 0.2], 2)
sum_largest([abs(x[1]), x[2], x[1] - x[2]], 2)
hinge(x[1])
hinge(x[1] * 2 - x[2])
leaky_relu(x[1], 0.3) - x[2]
leaky_relu(x[1] - x[2], -0.5)
tv(x)
tv([x[1], x[2], 2*x[1], 0.5])
max(x)
max(x) - min(x)
sum(abs(x[i] - i/2) for i in 1..2)
max(abs(x[i]) for i in 1..2)
mean(abs(x[i]) + x[i] for i in 1..2)
mean([abs(x[1]), x[2], 1])
max(abs(x[1]), max(x[2], 0) + 1)
abs(x[1]) + 2 * max(x[1], x[2])
max(abs(x[1]) - 1, 0)
sum(max(x[i], x[j]) for i in 1..2, j in 1..2 if i != j)
norminf([x[1], 2*x[2], 1])
huber(x[1], 0.5) + x[2]
huber(x[1] - x[2], 1)
sum(huber(x[i] - 1, 0.5) for i in 1..2)
sumsq(x)
(x[1] - x[2])^2
x[1]^2 + x[1]*x[2] + x[2]^2
(x[1] + x[2]) * (x[1] + x[2] - 1)
pos(x[1])^2 + pos(-x[2])^2
abs(x[1] + x[2])^2
norm1(x)^2
norminf(x)^2
sum(pos(x[i] - 0.5)^2 + abs(x[i]) for i in 1..2)
squared_error(x[1], 2*x[2])
quad_form(x, [[2, 1], [1, 1]])
max(-min(x[1], x[2]), 0.5)
(abs(x[1]) if 1 < 2 else x[2])
2*x[1] - 3*x[2] + 1
""".strip().splitlines()

CONCAVE = """
min(x)
min(x[1], 0) + min(x[2], 1, x[1])
-abs(x[1]) - x[2]
leaky_relu(x[1], 2) - x[2]
mean([min(x[1], x[2]), x[2]])
min(x[1], x[2]) - abs(x[1])
-norm1(x)
-sumsq(x) + x[1]
-(x[1] - x[2])^2
1 - huber(x[1], 0.5)
x[1] - sum_largest(x, 2)
sum(min(x[i], 0) * i for i in 1..2)
""".strip().splitlines()

NEITHER = """
abs(x[1]) - abs(x[2])
max(min(x[1], x[2]), 0)
abs(abs(x[1]) - 1)
x[1] * x[2]
x[1]^2 - x[2]^2
x[1]^2 - 1.0001*x[2]^2 + 2*x[1]*x[2]
pos(x[1]) * x[2]
abs(x[1]) * abs(x[2])
pos(x[1])^2 - pos(x[2])^2
(abs(x[1]) - 1)^2
(max(x[1], x[2]))^2
max(x[1], -x[2]) * x[2]
(pos(x[1]) - 0.5)^2 + x[2]
sum((i - 1.5) * abs(x[i]) for i in 1..2)
sum((i - 1.5) * x[i]^2 for i in 1..2)
huber(abs(x[1]) - 1, 1)
huber(max(x[1], x[2]), 1)
norm1(abs(x[i]) - 1 for i in 1..2)
sum_largest([min(x[1], 0), x[2]], 1)
tv([abs(x[1]), x[2]])
leaky_relu(abs(x[1]) - 1, -0.5)
x[1]^3
norm1(max(x[i], 0) for i in 1..2)
x[1] * abs(x[2])
min(x[1], 1) * min(x[2], 1)
max(x[1]^2 - 1, -x[2]^2)
-min(max(x[1], x[2]), 1)
""".strip().splitlines()

HEAD = "param w[1..2] = [1, 0.5]\nvar x[1..2] in [-2, 2]\n"
ROLES = {
    "minimize": "minimize {f} + 0.1*x[1] - 0.2*x[2]\n",
    "maximize": "maximize {f} + 0.1*x[1] - 0.2*x[2]\n",
    "at most": "maximize x[1] + 1.3*x[2]\nsubject to\n  c: {f} <= 0.7\n",
    "at least": "minimize x[1] - 0.7*x[2]\nsubject to\n  c: {f} >= 0.7\n",
    "minus": "minimize 0.1*x[2] - 1.5*({f})\n",
    "in a sum": "minimize sum(w[k] * ({f}) for k in 1..2) - x[1]\n",
    "in a negative sum": "maximize x[2] - sum(w[k] * ({f}) for k in 1..2)\n",
    "between": "minimize x[1] + x[2]\nsubject to\n  c: -0.3 <= {f} <= 0.7\n",
    "equal": "minimize x[1] + x[2]\nsubject to\n  c: {f} = 0.6\n",
    "more than another": "maximize x[1]\nsubject to\n  c: x[2] - 0.5 >= {f}\n",
    "in a family": "minimize x[2]\nsubject to\n  c[k in 1..2]: w[k] * ({f}) <= k - x[1]\n",
    "negative in a family": "minimize x[2]\nsubject to\n  c[k in 1..2]: k - w[k] * ({f}) <= x[1]\n",
}
FITS = {
    "convex": {"minimize", "at most", "in a sum", "in a negative sum", "more than another", "in a family"},
    "concave": {"maximize", "at least", "minus"},
}
SHAPES = {**dict.fromkeys(CONVEX, "convex"), **dict.fromkeys(CONCAVE, "concave"), **dict.fromkeys(NEITHER, "neither")}
GRID = np.linspace(-2, 2, 81)


@dataclass(frozen=True)
class Judge:
    """A text at all points of the grid."""

    text: str

    def best(self) -> float | None:
        """The best objective on the grid, in the text's sense; None where no point of it satisfies the text."""
        one, two = (g.ravel() for g in np.meshgrid(GRID, GRID))
        naive = Naive(self.text, {"x": {(1,): one, (2,): two}})
        holds = np.ones(one.shape, dtype=bool)
        for _, ops, instances in naive.constraints():
            for operands in instances.values():
                for slack in naive_slacks(ops, operands):
                    holds &= np.broadcast_to(slack, one.shape) >= -1e-9
        values = np.broadcast_to(np.asarray(naive.objective(), dtype=float), one.shape)[holds]
        if not len(values):
            return None
        return float(values.max() if self.maximized else values.min())

    @property
    def maximized(self) -> bool:
        return "maximize" in self.text

    def check(self, solution: optdsl.Solution) -> None:
        best = self.best()
        if solution.status == "infeasible" and solution.guarantee == "global":
            assert best is None
            return
        if not solution.status.acceptable:
            return
        point = point_of_solution(self.text, solution)
        naive = Naive(self.text, point)
        for _, ops, instances in naive.constraints():
            for operands in instances.values():
                assert all(float(slack) >= -1e-5 for slack in naive_slacks(ops, operands))
        assert all(-2 - 1e-6 <= v <= 2 + 1e-6 for v in point["x"].values())
        assert solution.objective == pytest.approx(float(naive.objective()), rel=1e-5, abs=1e-5)
        assert (solution.status == "optimal") == (solution.guarantee == "global")
        if best is not None and solution.guarantee == "global":
            gain = solution.objective - best if self.maximized else best - solution.objective
            assert gain >= -1e-5, f"{solution.objective}, but the grid has {best}"


def tried(function: str, role: str) -> str:
    """`solved` globally, `tried` by a local method, or `refused` with a place at the function."""
    text = HEAD + ROLES[role].format(f=function)
    try:
        solution = optdsl.parse(text).solve()
    except NotSolvable as refusal:
        for diagnostic in refusal.diagnostics:
            assert diagnostic.span is not None
            assert diagnostic.span.line >= 3, "the blame lies on the statement"
        return "refused"
    Judge(text).check(solution)
    return "solved" if solution.guarantee == "global" else "tried"


@pytest.mark.parametrize("function", SHAPES)
def test_right_or_refused(function: str) -> None:
    shape = SHAPES[function]
    for role in ("minimize", "maximize", "at most", "at least"):
        found = tried(function, role)
        assert found == "solved" or role not in FITS.get(shape, ()), role


@pytest.mark.nightly
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("function", SHAPES)
def test_every_role(function: str, role: str) -> None:
    found = tried(function, role)
    assert found == "solved" or role not in FITS.get(SHAPES[function], ())


def test_the_judge_finds_wrong_answers() -> None:
    """The test of the test: a relaxed answer and a poor one do not pass."""
    text = HEAD + ROLES["at least"].format(f="abs(x[1])")
    right = optdsl.parse(HEAD + "minimize x[1] - 0.7*x[2]\n").solve()
    Judge(text).check(right)  # x[1] = -2 satisfies it
    with pytest.raises(AssertionError):
        Judge(HEAD + ROLES["at most"].format(f="abs(x[1])")).check(right)
    with pytest.raises(AssertionError):
        Judge(HEAD + "minimize x[1] - 0.7*x[2] + 0*abs(x[1])\n").check(
            optdsl.parse(HEAD + "minimize x[1]\nsubject to\n  c: x[2] = 0\n").solve()
        )
