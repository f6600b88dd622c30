"""LP, MILP and, on request, convex QP by HiGHS (`highs_settings` says with which defaults)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from optdsl.convex.highs_answer import answer_of
from optdsl.convex.highs_pass import pass_program, push_changes
from optdsl.convex.highs_run import Highs, new_highs
from optdsl.convex.highs_settings import HIGHS_OPTIONS, read_settings
from optdsl.convex.program import Program, Progress, RawAnswer, RawStatus
from optdsl.convex.scaling import SMALLEST_ENTRY, extreme_entries, scale_program
from optdsl.convex.trivial import crossed_sides, trivial_conflict, uncross, unusable_numbers
from optdsl.convex.watch import Controls

__all__ = ["HIGHS_OPTIONS", "HighsSession", "solve_highs"]


def solve_highs(
    program: Program,
    *,
    time_limit: float | None = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> RawAnswer:
    """Solves an LP, a MILP or a convex QP without integers; options as in `HIGHS_OPTIONS`.

    `stop` is asked about 20 times a second, `progress` told as often, both in the caller's thread. Ctrl-C
    in the main thread ends the run with the best point so far. Raises OptionError for wrong options.
    """
    if program.cones:
        raise ValueError("HiGHS takes no cones")
    session = HighsSession(program, tolerance=tolerance, options=options)
    return session.solve(time_limit=time_limit, progress=progress, stop=stop)


class HighsSession:
    """A HiGHS instance that holds a program; new numbers are pushed as arrays, solved from the last basis."""

    def __init__(
        self, program: Program, *, tolerance: float | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        self.program = program
        self._settings, self._time_limit = read_settings(options, tolerance)
        self._highs: Highs | None = None
        self._held: Program | None = None
        self._last: np.ndarray | None = None

    def update(
        self,
        *,
        cost: np.ndarray | None = None,
        constant: float | None = None,
        matrix: sp.csr_array | None = None,
        row_lower: np.ndarray | None = None,
        row_upper: np.ndarray | None = None,
        lower: np.ndarray | None = None,
        upper: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> None:
        """Replaces whole arrays, shapes as before; the next `solve` passes on what has changed.

        A matrix is taken as changed when it is another object than before.
        """
        given = {
            "cost": cost,
            "constant": constant,
            "matrix": matrix,
            "row_lower": row_lower,
            "row_upper": row_upper,
            "lower": lower,
            "upper": upper,
            "start": start,
        }
        changed = {name: value for name, value in given.items() if value is not None}
        for name, value in changed.items():
            if np.shape(value) != np.shape(getattr(self.program, name)) and name != "start":
                raise ValueError(f"{name} has another shape than before")
        self.program = replace(self.program, **changed)  # type: ignore[arg-type]

    def solve(
        self,
        *,
        time_limit: float | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> RawAnswer:
        """Solves the program as it is now, from the last basis where there is one."""
        began = time.perf_counter()
        limit = time_limit if time_limit is not None else self._time_limit
        try:
            answer = self._solve(Controls(limit, progress, stop))
        except KeyboardInterrupt:  # before or after the run, which takes it itself
            answer = RawAnswer(RawStatus.INTERRUPTED, "HIGHS")
        except ArithmeticError as error:
            answer = RawAnswer(RawStatus.NUMERICAL_ERROR, "HIGHS", message=str(error))
        self._last = answer.x if answer.x is not None else self._last
        return replace(answer, seconds=time.perf_counter() - began)

    def _solve(self, controls: Controls) -> RawAnswer:
        program = self.program
        if (complaint := unusable_numbers(program)) is not None:
            return RawAnswer(RawStatus.NUMERICAL_ERROR, "HIGHS", message=complaint)
        plain = trivial_conflict if len(program.cost) == 0 else crossed_sides
        if (conflict := plain(program)) is not None:
            return RawAnswer(RawStatus.INFEASIBLE, "HIGHS", message=conflict.sentence)
        program = uncross(program)
        if program.mixed_integer and program.start is None and self._last is not None:
            program = replace(program, start=self._last)
        if len(program.cost) == 0:
            return _without_variables(program)
        if extreme_entries(program.matrix):
            return self._solve_scaled(program, controls)
        self._hold(program)
        return self._run(program, controls)

    def _solve_scaled(self, program: Program, controls: Controls) -> RawAnswer:
        scaled, way_back = scale_program(program)
        self._highs = None
        lost = np.count_nonzero((scaled.matrix.data != 0) & (np.abs(scaled.matrix.data) <= SMALLEST_ENTRY))
        self._hold(scaled)
        answer = way_back(self._run(scaled, controls))
        if not lost:
            return answer
        note = f"{lost} coefficients are too small beside the others of their row and column and counted as zero"
        return replace(answer, message="; ".join(part for part in (answer.message, note) if part))

    def _hold(self, program: Program) -> None:
        """Makes HiGHS hold `program`: only what changed, if it holds one of the same structure."""
        held = self._held
        if self._highs is None or held is None or program.quadratic or program.mixed_integer:
            self._highs = new_highs()
            pass_program(self._highs, program)
        elif held.matrix is not program.matrix:
            basis = self._highs.getBasis()
            pass_program(self._highs, program)
            if basis.valid:
                self._highs.setBasis(basis)
        else:
            push_changes(self._highs, held, program)
        # Copies: the caller may write on its arrays before the next update.
        vectors = ("cost", "row_lower", "row_upper", "lower", "upper")
        self._held = replace(program, **{name: getattr(program, name).copy() for name in vectors})

    def _run(self, program: Program, controls: Controls) -> RawAnswer:
        assert self._highs is not None
        return answer_of(self._highs, program, self._settings, controls, _solve_again)


def _without_variables(program: Program) -> RawAnswer:
    # `trivial_conflict` has found every row of zeros within its sides.
    rows = program.matrix.shape[0]
    return RawAnswer(
        RawStatus.OPTIMAL,
        "HIGHS",
        x=np.zeros(0),
        row_dual=np.zeros(rows),
        reduced_cost=np.zeros(0),
        bound=float(program.constant),
    )


def _solve_again(program: Program, time_limit: float | None) -> RawAnswer:
    return solve_highs(program, time_limit=time_limit)
