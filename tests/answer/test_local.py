"""The engine's route: words that are earned, duals by moving right-hand sides, starts, conflicts, rays, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl.answer.examining import explain_text
from optdsl.errors import NotSolvable, OptionError


def solved(text: str, **keywords: object) -> optdsl.Solution:
    return optdsl.parse(text).solve(**keywords)


TRAP = "var x >= 0, <= 4 init 1\nvar y >= 0, <= 4 init 1\nminimize x*y\nsubject to\n  s: x + y = 2\n"


@pytest.mark.parametrize("method", [None, "ipm", "sqp", "augmented_lagrangian"])
def test_the_trap_ends_at_the_minimum(method: str | None) -> None:
    """RESULT's classic: the start is the maximum, and a first-order point."""
    solution = solved(TRAP, method=method)
    assert solution.status == "locally_optimal" and solution.guarantee == "local"
    assert abs(solution.objective) < 1e-6
    assert solution.checks.second_order == "satisfied"


def test_a_saddle_without_constraints_is_left() -> None:
    solution = solved("var x >= -2, <= 2 init 0\nvar y >= -2, <= 2 init 0\nminimize x*y + 0.1*x^4\n")
    assert solution.status == "locally_optimal" and solution.objective < -2


def test_hs71_with_its_duals() -> None:
    text = (
        "var x[1..4] >= 1, <= 5\nminimize x[1]*x[4]*(x[1] + x[2] + x[3]) + x[3]\nsubject to\n"
        "  all: x[1]*x[2]*x[3]*x[4] >= {low}\n  ball: sum(x[i]^2 for i in 1..4) = {radius}\n"
    )
    solution = solved(text.format(low=25, radius=40))
    assert solution.objective == pytest.approx(17.0140173, rel=1e-7)  # Hock and Schittkowski 1981
    step = 1e-4
    for name, low, radius in (("all", step, 0.0), ("ball", 0.0, step)):
        up = solved(text.format(low=25 + low, radius=40 + radius)).objective
        down = solved(text.format(low=25 - low, radius=40 - radius)).objective
        assert float(solution.dual(name)) == pytest.approx((up - down) / (2 * step), rel=1e-4)
    assert solution.slack("all") == pytest.approx(0.0, abs=1e-6)
    up = solved(text.format(low=25, radius=40).replace(">= 1,", f">= {1 + step},")).objective
    down = solved(text.format(low=25, radius=40).replace(">= 1,", f">= {1 - step},")).objective
    assert np.asarray(solution.reduced_cost("x")).sum() == pytest.approx((up - down) / (2 * step), rel=1e-4)


def test_duals_of_a_maximum() -> None:
    text = "var x >= 0 init 1\nvar y >= 0 init 1\nmaximize x*y\nsubject to\n  c: x^2 + y^2 <= {r}\n"
    solution = solved(text.format(r=2), method="ipm")
    up, down = (solved(text.format(r=r), method="ipm").objective for r in (2.001, 1.999))
    assert solution.objective == pytest.approx(1.0, rel=1e-6)
    assert float(solution.dual("c")) == pytest.approx((up - down) / 0.002, rel=1e-4)


CONVEX = [
    "var x[1..3] >= 0\nminimize sum((x[i] - i)^2 for i in 1..3)\n"
    "subject to\n  a: sum(x) <= 3\n  b[i in 1..2]: x[i] <= 2*x[i+1]\n",
    "var x >= 0.1\nvar y\nminimize exp(x) - log(x) + y^2\nsubject to\n  a: 3 <= x + y\n  b: x^2 + y^2 <= 16\n",
    "var x[1..3]\nmaximize log(1 + x[1]) + 2*log(2 + x[2]) + log(x[3] + 3)\n"
    "subject to\n  s: sum(x) = 4\n  t: 10 >= sum(x[i]^2 for i in 1..3)\n",
    "var x[1..2] <= 3\nminimize logsumexp([x[1], 2*x[2]]) - x[1]\n"
    "subject to\n  a: -5 <= x[1] - x[2] <= 1\n  b: x[1] >= -4\n",
]


@pytest.mark.parametrize("text", CONVEX)
def test_convex_models_by_either_route(text: str) -> None:
    """Objective, point and duals of the engine are those of the convex solvers, and the proof makes them global."""
    here, there = solved(text, method="ipm"), solved(text)
    assert here.status == there.status == "optimal" and here.guarantee == "global"
    assert here.objective == pytest.approx(there.objective, rel=1e-6, abs=1e-6)
    for name in there.variables:
        np.testing.assert_allclose(here[name], there[name], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(here.reduced_cost(name), there.reduced_cost(name), rtol=1e-3, atol=1e-4)
    for name in there.constraints:
        np.testing.assert_allclose(here.dual(name), there.dual(name), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(here.slack(name), there.slack(name), rtol=1e-3, atol=1e-4)


def test_infeasible_here() -> None:
    solution = solved("var x\nvar y\nminimize x\nsubject to\n  ball: x^2 + y^2 <= 1\n  far: x*y >= 2\n")
    assert solution.status == "infeasible" and solution.guarantee == "local"
    assert solution.conflict is not None and not solution.conflict.irreducible
    assert {m.name for m in solution.conflict.members} <= {"ball", "far"} and solution.conflict.members


def test_explain_counts_lanes_and_derivatives_whatever_the_size() -> None:
    text = "var x[1..{n}] init 0.5\nminimize f: sum((x[i] - sin(x[i + 1]))^2 for i in 1..{n}-1)\n"
    text += "subject to\n  low[i in 1..{n}]: x[i]^3 >= 0.01\n  sum: sum(x) = 3\n"
    for n in (5, 5000):
        shown = explain_text(text.format(n=n), "waves", "program", folder=Path())
        assert f"over {n:,} variables, {n + 1:,} rows" in shown and "affine rows: 1;" in shown
        assert f"f (curved): 1 lane of 1 slot, 1 operation, 0 second derivatives; within it {n - 1:,} lanes of" in shown
        assert f"low (curved): {n:,} lanes of 1 slot, 3 operations, 1 second derivative\n" in shown


@pytest.mark.parametrize("start", ["", " init 1", " init 3"])
def test_unbounded_with_a_ray(start: str) -> None:
    solution = solved(f"var x{start}\nvar y >= 0\nminimize f: x^3 - y\nsubject to\n  c: x*y <= 5\n")
    assert solution.status == "unbounded" and solution.guarantee == "none"
    assert solution.ray is not None and solution.ray.direction is not None
    x, y = (float(solution.ray.direction.get(name, 0.0)) for name in "xy")
    assert x <= 0 <= y and max(-x, y) > 0.1
    assert "From where the run ended, f gets lower and lower" in str(solution)


@pytest.mark.parametrize(
    "body",
    [
        "-log(x - y - 5) + x^4 + sin(y)^2",
        "-sqrt(x - 3) + cos(y) + x",
        "x / (y - 2)^2 + (x - 1)^2 * y^2",
        "(asin(x - 7) - 0.5)^2 + sin(y)",
    ],
)
def test_starts_in_domains_are_found(body: str) -> None:
    solution = solved(f"var x >= -20, <= 20\nvar y >= -20, <= 20\nmaximize -({body}) - 0.001*x^4 - 0.001*y^4\n")
    assert solution.objective is not None and np.isfinite(solution.objective)
    assert solution.status.acceptable


@pytest.mark.parametrize(
    "rows",
    [
        "a: x*y + x = 2\n  b: 2*x*y + 2*x = 4\n  c: y = 1",  # dependent, more equalities than variables
        "a: x + y = 2\n  b: x + y = 2",
        "a: x*y >= 1\n  b: x*y >= 1\n  c: x + y <= 9\n  d: 2*x + 2*y <= 18",
        "a: x = 1\n  b: y = 1",
    ],
)
def test_degenerate_rows_are_solved(rows: str) -> None:
    solution = solved(f"var x init 2\nvar y init 3\nminimize (x - 1)^4 + x*y + (y - 1)^2\nsubject to\n  {rows}\n")
    assert solution.status.acceptable
    assert solution.objective == pytest.approx(1.0, abs=1e-5)


def test_kinks_are_met_without_a_claim() -> None:
    """Nothing tells on which side of the kink derivatives are to be looked at: sum_largest is rounded off only."""
    text = "var x >= -1.5, <= 2\nminimize sum_largest([sin(x)*(-1)^i for i in 1..2], 1) + 0.1*x^4\n"
    solution = solved(text)
    assert solution.status == "feasible" and solution.guarantee == "none"
    assert solution.objective == pytest.approx(0.0, abs=1e-6)
    assert solution.checks.second_order == "not_smooth"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("var x[1..90] >= 0, <= 5\nminimize sum(floor(x[i])*x[i] for i in 1..90)\n", "jumps where `floor` does"),
        ("var x integer >= 0, <= 5\nvar y >= 0, <= 5\nminimize sin(x*y) + x\n", "`x` must be whole"),
        ("var X[1..2, 1..2] psd\nminimize X[1, 1]*X[2, 2] - X[1, 2]^3\n", "`X` must be semidefinite"),
    ],
)
def test_what_no_method_honors_is_refused(text: str, words: str) -> None:
    with pytest.raises(NotSolvable, match=words):
        solved(text)


def test_a_method_that_does_not_fit_is_refused_with_the_reason() -> None:
    with pytest.raises(OptionError, match="it takes no constraints, and there are 1"):
        solved(TRAP, method="lbfgs")
    with pytest.raises(OptionError, match="tol"):
        solved(TRAP, method="ipm", options={"tol": -1.0})


def test_jumps_of_few_variables_are_searched_by_values() -> None:
    solution = solved("var x >= -3, <= 5\nvar y >= -3, <= 5\nminimize floor(x)*x + (x - 1.5)^2 + (y - 2)^2 + sign(y)\n")
    assert solution.status == "feasible" and solution.guarantee == "none"
    assert solution.route.method == "direct_search"
    grid = np.stack(np.meshgrid(np.linspace(-3, 5, 1601), np.linspace(-3, 5, 801)), -1).reshape(-1, 2)
    x, y = grid.T
    assert solution.objective <= (np.floor(x) * x + (x - 1.5) ** 2 + (y - 2) ** 2 + np.sign(y)).min() + 0.5


def test_many_starts_list_the_minima() -> None:
    text = "var x >= -3, <= 3\nminimize x^4 - 3*x^2 + 0.5*x\nsolve using multistart(starts = 30, seed = 1)\n"
    solution = solved(text)
    low, high = sorted(np.roots([4, 0, -6, 0.5]).real[[0, 1]])
    assert float(solution["x"]) == pytest.approx(low, abs=1e-6) and high > 0
    assert solution.status == "locally_optimal"
    (listed,) = [note for note in solution.notes if note.startswith("where the starts ended")]
    assert listed.count("of 30 starts") == 2
    assert solved(text).notes == solution.notes


def test_without_objective_a_point_is_found() -> None:
    solution = solved("var x init 3\nvar y init 1\nsubject to\n  a: sin(x) + y = 1\n  b: x*y = 2\n")
    assert solution.status == "feasible" and solution.objective is None
    x, y = float(solution["x"]), float(solution["y"])
    assert abs(np.sin(x) + y - 1) < 1e-6 and abs(x * y - 2) < 1e-6


def test_the_trace_has_the_iterations() -> None:
    solution = solved(TRAP, method="ipm")
    assert solution.trace.columns[:4] == ("iter", "objective", "primal", "dual")
    assert solution.trace["objective"][-1] == pytest.approx(solution.objective, abs=1e-6)
    assert (np.diff(solution.trace["iter"]) >= 0).all()


def test_an_iteration_limit_is_said() -> None:
    text = "var x init -1.2\nvar y init 1\nminimize 100*(y - x^2)^2 + (1 - x)^2\nsubject to\n  c: x^3 + y <= 9\n"
    solution = solved(text, method="ipm", options={"max_iter": 3})
    assert solution.status == "iteration_limit" and solution.guarantee == "none"


def test_other_starts_end_where_all_lead_to_the_same_point() -> None:
    """Three of one valley are enough in one variable; of two valleys more are taken, and the lower one is found."""
    valley = solved("var x init 3\nminimize x^4 + sin(x)\n")
    assert "3 other starts were tried: none led to a better point" in valley.notes
    wells = solved("var x init 1\nminimize (x^2 - 1)^2 + 0.1 * x\n")
    assert wells.objective == pytest.approx(-0.10062, abs=1e-4)
    assert any("other starts" in note and note.endswith("is better") for note in wells.notes)


def test_small_models_are_started_elsewhere_too() -> None:
    """From its start this one (Hock and Schittkowski 2) ends in the worse of two valleys."""
    text = "var x init -2\nvar y >= 1.5 init 1\nminimize 100*(y - x^2)^2 + (1 - x)^2\n"
    assert solved(text).objective == pytest.approx(0.0504261879, abs=1e-8)
    assert any("other starts were tried" in note for note in solved(text).notes)
    assert solved(text, method="trust_region").objective == pytest.approx(4.9412293, rel=1e-6)


def test_check_says_method_and_size() -> None:
    record = json.loads(optdsl.parse(TRAP).check().to_json())
    assert record["route"]["method"] == "ipm" and record["class"]["convexity"] == "nonconvex"
    assert record["size"] == {"variables": 2, "constraints": 1, "nonzeros": 2, "integers": 0}


def test_a_search_by_values_looks_elsewhere_too() -> None:
    """From the start the first step down is a place to stay; lower ones are further away."""
    text = "var x >= 0, <= 40 init 2\nmaximize p: 9*x - 0.1*x^2 - 35*ceil(x/8)\n"
    solution = solved(text)
    assert solution.objective == pytest.approx(53.4, abs=1e-4) and solution.guarantee == "none"
    assert any("other starts were tried" in note for note in solution.notes)


def test_a_tip_is_an_answer_without_a_claim() -> None:
    """The norm has no derivative at 0, where the minimum is: the point is kept, though nothing is proved of it."""
    body = "sqrt(x^2 + y^2) - 0.3*cos(3*x) - 0.3*cos(4*y)"
    solution = solved(f"var x >= -4, <= 5 init 1\nvar y >= -4, <= 5 init 0.5\nminimize f: {body}\n")
    assert solution.status == "feasible" and solution.guarantee == "none"
    assert solution.objective == pytest.approx(-0.6, abs=1e-9)


def test_minima_of_many_starts_are_listed_whatever_the_number_of_workers() -> None:
    text = "var x >= -3, <= 3\nvar y >= -1, <= 1\nminimize f: x^4 - 3*x^2 + 0.5*x + y^2*x^2 + y^2\n"
    alone, shared = (
        solved(text, method="multistart", options={"starts": 24, "seed": 5, "workers": workers}) for workers in (1, 3)
    )
    assert [(m.reached, round(m.objective, 9)) for m in alone.minima] == [
        (m.reached, round(m.objective, 9)) for m in shared.minima
    ]
    assert sum(m.reached for m in alone.minima) == 24 and len(alone.minima) == 2
    first = alone.minima[0]
    assert first.objective == pytest.approx(alone.objective)
    assert float(first.variables["x"]) == pytest.approx(-1.2647, abs=1e-3)
    listed = json.loads(shared.to_json())["minima"]
    assert [item["reached"] for item in listed] == [m.reached for m in shared.minima]
    assert listed[0]["variables"]["x"]["value"] == [pytest.approx(float(first.variables["x"]))]
