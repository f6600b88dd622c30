"""The nonsmooth set, solved from its own starts: at the published optima, with a word that is earned."""

from __future__ import annotations

import pytest

import optdsl

from . import Problem, problems

# Problems that do not earn a word, each with the reason; the value is right all the same.
WORDLESS = {"osborne2": "the curvature along the pieces that are active there is not that of a minimum, to rounding"}


@pytest.mark.parametrize("problem", problems("nonsmooth"), ids=lambda p: p.name)
def test_ends_at_the_published_optimum_with_a_word(problem: Problem) -> None:
    solution = optdsl.load(problem.path).solve()
    assert solution.objective == pytest.approx(problem.best, rel=2e-6, abs=2e-8)
    if problem.name in WORDLESS:
        assert solution.guarantee == "none"
    else:
        assert solution.status in ("optimal", "locally_optimal")
