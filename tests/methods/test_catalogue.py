"""Every method on every problem that its row claims, judged by the first- and second-order conditions alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy

from optdsl.methods.driver import Ending, Limits, Outcome, Record, drive
from optdsl.methods.table import METHODS, Row, attributes_of, choose, refusals, row_of
from optdsl.nlp import Nlp
from tests.methods.judge import residuals
from tests.methods.problems_catalogue import CASES, Case
from tests.methods.symbolic import program

ITERATIONS = 20_000
# What is asked of methods whose steps know no curvature: they get to a flat minimum too slowly to be asked for more.
COARSE = {"gradient_descent": 1e-5, "nesterov": 1e-6, "projected_gradient": 1e-6}
# How well the conditions must hold: 1e-5 unless said otherwise. Methods that see values only, or that pay for precision
# with penalties, give less; the coarse ones what was asked, times the unit that they measure gradients in.
ACCURACY = {
    "direct_search": 1e-3,
    "quadratic_penalty": 2e-3,
    "exact_penalty": 2e-3,
    "gradient_descent": 1e-3,
    "nesterov": 1e-4,
    "projected_gradient": 1e-4,
}


def method_of(row: Row, **given: object) -> Any:
    """The method with the defaults of its row and what is given."""
    values = {option.name: option.default for option in row.options}
    if row.name in COARSE:
        values["tol"] = COARSE[row.name]
    return row.factory(**{**values, **given})


def claimed() -> list[Any]:
    pairs = []
    for case in CASES:
        has = attributes_of(case.make(), case.smooth)
        pairs += [
            pytest.param(row, case, id=f"{row.name}-{case.name}") for row in METHODS if not refusals(row.takes, has)
        ]
    return pairs


@pytest.mark.parametrize(("row", "case"), claimed())
def test_every_claimed_pair_satisfies_the_conditions(row: Row, case: Case) -> None:
    problem = case.make()
    outcome = drive(method_of(row), problem, Limits(ITERATIONS))
    assert outcome.ending in (Ending.CONVERGED, Ending.NO_PROGRESS), outcome.ending
    accuracy = ACCURACY.get(row.name, 1e-5)
    if row.name == "direct_search":
        outcome = with_multipliers(problem, outcome)
    judged = residuals(problem, outcome.x, outcome.row_multipliers, outcome.bound_multipliers)
    assert max(judged.primal, judged.dual, judged.complementarity) <= accuracy, judged
    assert lowest_curvature(problem, outcome) >= -1e-5
    assert np.array_equal(outcome.x, np.clip(outcome.x, problem.lower, problem.upper)) or row.name == "ipm"


def with_multipliers(problem: Nlp, outcome: Outcome) -> Outcome:
    """The outcome with multipliers that fit its point best in the least squares sense, for a method that has none."""
    x = outcome.x
    g = problem.gradient(x)
    J = problem.jacobian_pattern.matrix(problem.jacobian(x)).toarray()
    c = problem.constraints(x)
    rows = np.flatnonzero(np.minimum(np.abs(c - problem.row_lower), np.abs(c - problem.row_upper)) < 1e-4)
    held = np.flatnonzero(np.minimum(np.abs(x - problem.lower), np.abs(x - problem.upper)) < 1e-6)
    normals = np.vstack([J[rows], np.eye(len(x))[held]])
    found = np.linalg.lstsq(normals.T, -g, rcond=None)[0] if len(normals) else np.zeros(0)
    y, z = np.zeros(len(c)), np.zeros(len(x))
    y[rows], z[held] = found[: len(rows)], found[len(rows) :]
    return replace(outcome, row_multipliers=y, bound_multipliers=z)


def lowest_curvature(problem: Nlp, outcome: Outcome) -> float:
    """The lowest eigenvalue of the Lagrangian's Hessian where the active constraints stay so, relatively."""
    x, n = outcome.x, len(outcome.x)
    H = np.array([problem.hessian_product(x, outcome.row_multipliers, unit) for unit in np.eye(n)])
    J = problem.jacobian_pattern.matrix(problem.jacobian(x)).toarray()
    c = problem.constraints(x)
    near = 1e-5 * np.maximum(1.0, np.abs(c))
    rows = (c - problem.row_lower <= near) | (problem.row_upper - c <= near)
    held = (x - problem.lower <= 1e-5) | (problem.upper - x <= 1e-5)
    normals = np.vstack([J[rows], np.eye(n)[held]])
    _, S, V = np.linalg.svd(normals) if len(normals) else (0, np.zeros(0), np.eye(n))
    rank = int((S > 1e-8).sum())
    basis = V[rank:]
    if not len(basis):
        return 0.0
    return float(np.linalg.eigvalsh(basis @ H @ basis.T)[0] / max(1.0, np.abs(H).max()))


# ----------------------------------------------------------------------------------------------- the driver's limits


def sample(row: Row) -> Nlp:
    """A problem that the method takes and that needs some iterations."""
    named = {case.name: case for case in CASES}
    for name in ("rosenbrock", "hs 71", "rosenbrock in a box"):
        problem = named[name].make()
        if not refusals(row.takes, attributes_of(problem)):
            return problem
    raise AssertionError(f"no sample for {row.name}")


# Variable projection solves the sample in two steps.
SLOWER: dict[str, dict[str, object]] = {"levenberg_marquardt": {"projection": False}}
every_method = pytest.mark.parametrize("row", METHODS, ids=lambda row: row.name)


@every_method
def test_the_iteration_limit_keeps_the_best_point(row: Row) -> None:
    problem = sample(row)
    outcome = drive(method_of(row, **SLOWER.get(row.name, {})), problem, Limits(iterations=3))
    assert outcome.ending is Ending.ITERATION_LIMIT and outcome.iterations == 3, outcome.ending
    assert outcome.trace.shape[0] == 4
    feasible = outcome.trace[outcome.trace[:, 2] <= 1e-6]
    if len(feasible):
        assert outcome.record.objective == feasible[:, 1].min()


@every_method
def test_a_stop_ends_the_run_at_once(row: Row) -> None:
    heard: list[int] = []

    def watch(iteration: int, record: Record, x: np.ndarray) -> None:
        assert np.isfinite(record.objective) and len(x) == len(problem.start)
        heard.append(iteration)

    problem = sample(row)
    outcome = drive(method_of(row), problem, Limits(stop=lambda: len(heard) > 2), watch, keep_path=True)
    assert outcome.ending is Ending.INTERRUPTED
    assert heard == [0, 1, 2]
    assert outcome.path is not None and outcome.path.shape == (3, len(problem.start))


@every_method
def test_the_time_limit_ends_the_run(row: Row) -> None:
    assert drive(method_of(row), sample(row), Limits(seconds=0.0)).ending is Ending.TIME_LIMIT


@every_method
def test_what_a_watcher_raises_passes(row: Row) -> None:
    def watch(iteration: int, record: Record, x: np.ndarray) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(method_of(row), sample(row), watch=watch)


@every_method
def test_runs_repeat_themselves(row: Row) -> None:
    one, other = (drive(method_of(row), sample(row)) for _ in range(2))
    assert np.array_equal(one.x, other.x) and one.iterations == other.iterations


@pytest.mark.parametrize("row", [r for r in METHODS if not r.takes.needs_residuals], ids=lambda row: row.name)
def test_an_undefined_start_is_said(row: Row) -> None:
    problem = program(2, lambda x: sympy.log(x[0]) ** 2 + x[1] ** 2, start=(-1, 1))
    outcome = drive(method_of(row), problem, Limits(200))
    # A search by values may find its way into the domain.
    expected = {Ending.UNDEFINED} if row.name != "direct_search" else {Ending.UNDEFINED, Ending.NO_PROGRESS}
    assert outcome.ending in expected


@pytest.mark.parametrize("row", [r for r in METHODS if not r.takes.needs_residuals], ids=lambda row: row.name)
def test_an_objective_without_end_is_unbounded(row: Row) -> None:
    problem = program(2, lambda x: x[0] ** 2 - x[1] ** 2 - x[1] ** 4, start=(1, 1))
    assert drive(method_of(row), problem, Limits(3000)).ending is Ending.UNBOUNDED


# ---------------------------------------------------------------------------------------------------------- the table


@every_method
def test_defaults_of_the_table_are_those_of_the_method(row: Row) -> None:
    assert method_default(row) == repr(row.factory(**{option.name: option.default for option in row.options}))
    for option in row.options:
        assert option.what and not option.what.endswith(".")
        if option.kind == "word":
            assert option.default in option.words
        elif option.kind in ("number", "count"):
            assert option.least <= option.default <= option.most  # type: ignore[operator]


def method_default(row: Row) -> str:
    made = row.factory(**{option.name: option.default for option in row.options})
    return repr(type(made)())


@pytest.mark.parametrize("row", [r for r in METHODS if r.name != "ipm"], ids=lambda row: row.name)
def test_the_page_has_every_method_with_its_options(row: Row) -> None:
    """The interior point method has a page of its own."""
    page = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    section = page.split(f"\n## `{row.name}`\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \| (\S+) \|", section, re.MULTILINE)
    assert [name for name, _ in listed] == [option.name for option in row.options]
    for (_, shown), option in zip(listed, row.options, strict=True):
        default = option.default
        assert shown == str(default).lower() or (not isinstance(default, (bool, str)) and float(shown) == default)


def test_names_are_there_once() -> None:
    names = [row.name for row in METHODS]
    assert len(set(names)) == len(names)
    for row in METHODS:
        assert row_of(row.name) is row
        assert method_of(row).name == row.name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_chosen_takes_the_problem(case: Case) -> None:
    has = attributes_of(case.make(), case.smooth)
    choice = choose(has)
    assert choice.why and not refusals(row_of(choice.name).takes, has)


def test_refusals_say_what_is_wrong() -> None:
    named: dict[str, Callable[[], Nlp]] = {case.name: case.make for case in CASES}
    constrained, boxed = attributes_of(named["hs 71"]()), attributes_of(named["quadratic 80 in a box"]())
    assert refusals(row_of("lbfgs").takes, constrained) == (
        "it takes no constraints, and there are 2",
        "it takes no bounds, and 4 variables have some",
    )
    assert refusals(row_of("levenberg_marquardt").takes, boxed) == ("it needs an objective that is a sum of squares",)
    assert "30 variables" in refusals(row_of("direct_search").takes, boxed)[0]
    assert refusals(row_of("projected_gradient").takes, constrained)
    kinked = attributes_of(named["beale"](), smooth=False)
    assert "kinks" in refusals(row_of("bfgs").takes, kinked)[0] and choose(kinked).name == "direct_search"
