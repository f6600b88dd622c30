"""Nonlinear problems as texts, solved by the built-in engine with its checks and, for small ones, its other starts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

import optdsl
from benchmarks.nonlinear import NUMBER, Small, text_of
from optdsl.answer.local import prepare
from optdsl.classify import analyze
from optdsl.data.supplied import from_python
from optdsl.engine.problem import ModelProblem
from optdsl.language import parse
from optdsl.model import build


def compiled(problem: str, size: int) -> ModelProblem:
    """What a method is given: the stages of `Model.solve` up to patterns and first derivatives."""
    supplied = {NUMBER[problem]: from_python(NUMBER[problem], size)}
    model = build(parse(text_of(problem)), folder=Path("."), supplied=supplied)
    found = prepare(analyze(model, doubt="quick"), None, {}).problem
    found.hessian(found.start, np.ones(found.count))
    found.jacobian(found.start)
    return found


def solved(problem: str, size: int) -> tuple[float, int]:
    """The optimum, once the answer has passed its checks, and the iterations.

    `stationary` counts: a peer does not check more either. It is said on standard error.
    """
    solution = optdsl.parse(text_of(problem)).solve(**{NUMBER[problem]: size})
    if solution.status == "stationary":
        print(f"{problem} at {size}: {solution.status}", file=sys.stderr)
    elif not solution.status.acceptable or solution.objective is None:
        raise SystemExit(f"{problem}: {solution.status}")
    assert solution.objective is not None
    return solution.objective, len(solution.trace.rows) - 1 if solution.trace is not None else 0


def derivatives(problem: str, size: int) -> Mapping[str, Callable[[int], object]]:
    """The evaluations to time, each at its k-th point: no two points are the same."""
    found = compiled(problem, size)
    ones = np.ones(found.count)
    return {
        "Hessian": lambda k: found.hessian(found.start * (1 + 1e-3 * k), ones),
        "Jacobian": lambda k: found.jacobian(found.start * (1 + 1e-3 * k)),
    }


def small(problem: Small) -> Callable[[], float]:
    """A whole solve of a small problem, from its text to the answer."""
    text = problem.text

    def solve() -> float:
        objective = optdsl.parse(text).solve().objective
        return np.nan if objective is None else objective

    return solve


def iterations(problem: Small) -> int:
    """Those of the interior point method from the problem's start, no other start."""
    trace = optdsl.parse(problem.text).solve(method="ipm").trace
    return 0 if trace is None else len(trace.rows) - 1
