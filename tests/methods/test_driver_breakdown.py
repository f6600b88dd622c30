"""A method whose linear algebra breaks down ends with the best point so far, not with a traceback."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from optdsl.methods.driver import Ending, Record, drive
from tests.engine.differences import problem_of


@dataclass(frozen=True)
class _State:
    x: np.ndarray
    record: Record
    row_multipliers: np.ndarray
    bound_multipliers: np.ndarray
    ending: Ending | None = None


@dataclass(frozen=True)
class _Breaking:
    """Halves the point, and meets a singular matrix at the third step."""

    name: str = "breaking"

    def start(self, problem) -> _State:  # type: ignore[no-untyped-def]
        x = np.ones(1)
        return _State(x, Record(problem.objective(x), 0.0, 1.0), np.zeros(0), np.zeros(1))

    def step(self, problem, state: _State) -> _State:  # type: ignore[no-untyped-def]
        if state.x[0] <= 0.25:
            np.linalg.inv(np.zeros((2, 2)))
        x = state.x / 2
        return replace(state, x=x, record=Record(problem.objective(x), 0.0, 1.0))


def test_a_singular_matrix_ends_the_run() -> None:
    outcome = drive(_Breaking(), problem_of("var x\nminimize x^2\n"))
    assert outcome.ending is Ending.NO_PROGRESS
    assert outcome.x[0] == 0.25 and outcome.iterations == 2
