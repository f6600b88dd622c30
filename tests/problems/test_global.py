"""The set of global test functions, without a start: most end at the best value known, and none is called global."""

from __future__ import annotations

import numpy as np
import pytest

import optdsl

from . import Problem, problems

# Where the best value known is not found, each with the reason.
ELSEWHERE = {
    "salomon_n5": "spheres of minima around the center, each a little lower than the next: the last but one is found",
    "g02": "constraints, and very many local minima",
}


@pytest.mark.parametrize("problem", problems("global_"), ids=lambda p: p.name)
def test_ends_at_the_best_value(problem: Problem) -> None:
    solution = optdsl.load(problem.path).solve(**problem.data)
    assert solution.status.acceptable and np.isfinite(solution.objective)
    assert solution.guarantee in ("local", "none") or problem.is_best(solution.objective, 1e-5)
    assert problem.is_best(solution.objective, 1e-5) == (problem.name not in ELSEWHERE)
