"""Mixed-integer convex programs by outer approximation, for the cones that no branch-and-bound solver here takes.

A linear master problem with integers, solved by HiGHS, holds cuts of the cones and gives the lower bound; with its
integers fixed a conic program gives points, the upper bound, and multipliers that are the next cuts (Duran and
Grossmann, 1986; Lubin, Yamangil, Bent and Vielma, 2018, algorithm 1). Where the multipliers are exact no assignment of
the integers comes twice, so that with bounded integers the run ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from optdsl.convex.cones import solve_cvxpy
from optdsl.convex.cuts import Cuts, Thin, cuts_of_multipliers, tangents, thin
from optdsl.convex.decide import without_objective
from optdsl.convex.duality import dual_bound, in_dual_cones, value_of
from optdsl.convex.highs import solve_highs
from optdsl.convex.options import read_options
from optdsl.convex.outer_options import OUTER_OPTIONS
from optdsl.convex.program import Program, Progress, RawAnswer, RawStatus, Trace
from optdsl.convex.rays import proves_unbounded
from optdsl.convex.trivial import crossed_sides, uncross, unreachable_lane, unusable_numbers
from optdsl.convex.watch import Controls

SOLVER = "HIGHS+CLARABEL"
COLUMNS = ("iter", "objective", "bound", "gap", "seconds")
ROOM = 1e-8
"""By how much a cut must be missed to be worth having."""
LEAST_SECONDS = 0.2
"""Least time for a conic program with fixed integers."""


def solve_outer(
    program: Program,
    *,
    time_limit: float | None = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> RawAnswer:
    """Solves a mixed-integer convex program; options as in `OUTER_OPTIONS`. Without integers: one conic program.

    Each row of the trace is one master problem: best point so far, bound, gap. Raises OptionError for wrong options.
    """
    began = time.perf_counter()
    given = read_options(options or {}, OUTER_OPTIONS, "outer")
    limit = time_limit if time_limit is not None else given["time_limit"]
    sharp = given["tol"] if given["tol"] is not None else tolerance
    if not program.mixed_integer:
        asked = {} if sharp is None else {"tol": sharp}
        return solve_cvxpy(program, time_limit=limit, options=asked, progress=progress, stop=stop)
    settings = OuterSettings(given["gap"], sharp, given["max_iter"])
    run = _Run(program, settings, Controls(limit, progress, stop), began)
    try:
        answer = run.solve()
    except KeyboardInterrupt:  # between the solvers, which take it themselves
        answer = run.answer(RawStatus.INTERRUPTED)
    return replace(answer, seconds=time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class OuterSettings:
    """Relative gap, the conic solver's tolerance, and the most master problems (None: no limit)."""

    gap: float = 1e-6
    tolerance: float | None = None
    iterations: int | None = None


class _Over(Exception):
    """The run ends with this status."""

    def __init__(self, status: RawStatus, message: str = "") -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(eq=False)
class _Run:
    """`best` is the incumbent, with the multipliers of its conic program; `bound` holds for all points."""

    program: Program
    settings: OuterSettings
    controls: Controls
    began: float
    best: RawAnswer | None = None
    value: float = np.inf
    bound: float = -np.inf
    cuts: list[Cuts] = field(default_factory=list)
    rows: list[tuple[float, ...]] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)

    def solve(self) -> RawAnswer:
        if (complaint := unusable_numbers(self.program)) is not None:
            return self.answer(RawStatus.NUMERICAL_ERROR, complaint)
        if (conflict := crossed_sides(self.program)) is not None:
            return self.answer(RawStatus.INFEASIBLE, conflict.sentence)
        self.program = uncross(self.program)
        if unreachable_lane(self.program) is not None:
            return self.answer(RawStatus.INFEASIBLE, "bounds keep a cone from holding")
        self.thin: Thin = thin(self.program)
        try:
            self._relax()
            while not self._closed():
                self._iterate()
        except _Over as over:
            return self.answer(over.status, over.message)
        return self.answer(RawStatus.OPTIMAL)

    # ------------------------------------------------------------------------------------------------ relaxation

    def _relax(self) -> None:
        """The program without integrality: its bound, and the first cuts."""
        relaxed = replace(self.program, integer=np.zeros_like(self.program.integer), start=None)
        answer = self._conic(relaxed)
        if answer.status is RawStatus.INFEASIBLE:
            raise _Over(RawStatus.INFEASIBLE)
        if answer.status is RawStatus.UNBOUNDED:
            self._endless(answer)
            return
        if answer.x is None:
            return
        self._learn(answer, answer.x)
        if answer.status is RawStatus.OPTIMAL and answer.row_dual is not None:
            self.bound = max(self.bound, dual_bound(relaxed, answer.x, answer.row_dual, answer.cone_duals))

    def _endless(self, relaxed: RawAnswer) -> None:
        """A ray of the relaxation that moves integers by integers, from a feasible point, leads on without end."""
        ray = relaxed.ray
        integer = self.program.integer
        straight = None if ray is None else _integral(ray, integer)
        if straight is None or not proves_unbounded(self.program, straight / np.abs(straight).max()):
            message = "without integrality the objective improves without end; with it no bound is known"
            raise _Over(RawStatus.NUMERICAL_ERROR, message)
        left = self._left()
        point = solve_outer(without_objective(self.program), time_limit=left, stop=self.controls.stop)
        if point.status is RawStatus.OPTIMAL:
            self.best, self.value = replace(point, ray=straight / np.abs(straight).max()), -np.inf
            raise _Over(RawStatus.UNBOUNDED)
        raise _Over(point.status, point.message)

    # ----------------------------------------------------------------------------------------------------- rounds

    def _iterate(self) -> None:
        if self.settings.iterations is not None and len(self.rows) >= self.settings.iterations:
            raise _Over(RawStatus.ITERATION_LIMIT)
        master = self._master()
        if master.status is RawStatus.INFEASIBLE:
            if self.best is None:
                raise _Over(RawStatus.INFEASIBLE)
            self.bound = max(self.bound, self._cutoff())
            self._tell()
            return
        if master.bound is not None:
            self.bound = max(self.bound, min(master.bound, self._cutoff()))
        if master.x is None or master.status in (RawStatus.TIME_LIMIT, RawStatus.INTERRUPTED):
            ended = master.status if master.status is not RawStatus.OPTIMAL else RawStatus.NUMERICAL_ERROR
            raise _Over(ended, master.message)
        progress = self._improve(master.x)
        self._tell()
        if not progress and not self._closed():
            raise _Over(RawStatus.INACCURATE, "the cuts no longer move the bound")

    def _improve(self, at: np.ndarray) -> bool:
        """Fixes the integers of the master's point (all columns); whether anything new was learned."""
        integer = np.flatnonzero(self.program.integer)
        whole = np.round(at[integer]) + 0.0
        new = self._add(tangents(self.thin.program, at).missed(at, ROOM))
        key = whole.tobytes()
        if key in self.seen:
            return new
        self.seen.add(key)
        lower, upper = self.program.lower.copy(), self.program.upper.copy()
        lower[integer] = upper[integer] = whole
        fixed = replace(
            self.program, lower=lower, upper=upper, integer=np.zeros_like(self.program.integer), start=None
        )
        answer = self._conic(fixed)
        if answer.status is RawStatus.UNBOUNDED:
            self.best, self.value = answer, -np.inf
            raise _Over(RawStatus.UNBOUNDED, answer.message)
        if answer.status is RawStatus.INFEASIBLE and answer.farkas is not None:
            self._add(cuts_of_multipliers(self.program, in_dual_cones(self.program, answer.farkas_cones)))
        if answer.x is not None and answer.status in (RawStatus.OPTIMAL, RawStatus.INACCURATE):
            self._learn(answer, at)
            value = value_of(self.program, answer.x)
            if answer.status is RawStatus.OPTIMAL and value < self.value:
                x = answer.x.copy()
                x[integer] = whole
                self.best, self.value = replace(answer, x=x, duals_with_integers_fixed=True), value
        return True

    def _learn(self, answer: RawAnswer, at: np.ndarray) -> None:
        """Cuts from the multipliers and from the tangents at the point, and those that `at` misses."""
        assert answer.x is not None
        if answer.row_dual is not None:
            self._add(cuts_of_multipliers(self.program, in_dual_cones(self.program, answer.cone_duals)))
        point = self.thin.lift(answer.x)
        self._add(tangents(self.thin.program, point))

    def _add(self, cuts: Cuts) -> bool:
        if not len(cuts.lower):
            return False
        wide = len(self.thin.program.cost)
        matrix = cuts.matrix
        if matrix.shape[1] < wide:
            matrix = sp.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], wide))
        self.cuts.append(Cuts(matrix, cuts.lower))
        return True

    # ---------------------------------------------------------------------------------------------- the two solves

    def _master(self) -> RawAnswer:
        """The linear program with integers: rows, bounds, all cuts, and the bounds of the objective."""
        plain = self.thin.program
        cuts = Cuts.joined(self.cuts, len(plain.cost))
        level = sp.csr_array(plain.cost.reshape(1, -1))
        low = self.bound - plain.constant
        high = self._cutoff() - plain.constant
        slack = 1e-9 * max(1.0, abs(low) if np.isfinite(low) else 1.0)
        rows = [plain.matrix, cuts.matrix, *([level] if plain.cost.any() else [])]
        ends = [low - slack] if plain.cost.any() else []
        tops = [high] if plain.cost.any() else []
        master = replace(
            plain,
            matrix=sp.csr_array(sp.vstack(rows, format="csr")),
            row_lower=np.concatenate([plain.row_lower, cuts.lower, ends]),
            row_upper=np.concatenate([plain.row_upper, np.full(len(cuts.lower), np.inf), tops]),
            cones=(),
        )
        gap = 0.1 * self.settings.gap
        answer = solve_highs(master, time_limit=self._left(), options={"gap": gap}, stop=self.controls.stop)
        if answer.status is RawStatus.UNBOUNDED:  # no bound is known yet: the first points far out give cuts
            box = 1e6 * 10.0 ** min(len(self.rows), 6)
            boxed = replace(master, lower=np.maximum(master.lower, -box), upper=np.minimum(master.upper, box))
            answer = replace(solve_highs(boxed, time_limit=self._left(), stop=self.controls.stop), bound=None)
            if answer.status is RawStatus.INFEASIBLE:
                return replace(answer, status=RawStatus.NUMERICAL_ERROR)
        return answer

    def _conic(self, program: Program) -> RawAnswer:
        left = self._left()
        if left is not None and left <= 0 and self.rows:
            raise _Over(RawStatus.TIME_LIMIT)
        options = {} if self.settings.tolerance is None else {"tol": self.settings.tolerance}
        limit = None if left is None else max(LEAST_SECONDS, left)
        if not program.cones and not program.quadratic:
            answer = solve_highs(program, time_limit=limit, stop=self.controls.stop)
        else:
            answer = solve_cvxpy(program, time_limit=limit, options=options, stop=self.controls.stop)
        if answer.status in (RawStatus.TIME_LIMIT, RawStatus.INTERRUPTED):
            raise _Over(answer.status)
        return answer

    # -------------------------------------------------------------------------------------------------- book-keeping

    def _left(self) -> float | None:
        if self.controls.time_limit is None:
            return None
        return max(0.0, self.controls.time_limit - (time.perf_counter() - self.began))

    def _cutoff(self) -> float:
        """Points that are not better than this are as good as the incumbent; plus infinity without one."""
        if self.best is None:
            return np.inf
        return self.value - 0.5 * self.settings.gap * max(1.0, abs(self.value))

    def _closed(self) -> bool:
        if self.best is None:
            return False
        return (not self.program.cost.any() and not self.program.quadratic) or (
            self.value - self.bound <= self.settings.gap * max(1.0, abs(self.value))
        )

    def _tell(self) -> None:
        seconds = time.perf_counter() - self.began
        value, bound = (float(v) if np.isfinite(v) else np.nan for v in (self.value, self.bound))
        gap = (value - bound) / max(1.0, abs(value))
        self.rows.append((float(len(self.rows) + 1), value, bound, gap, seconds))
        if self.controls.progress is not None:
            objective, best = (None if np.isnan(v) else v for v in (value, bound))
            self.controls.progress(
                Progress(len(self.rows), objective, None if np.isnan(gap) else gap, seconds, best)
            )

    def answer(self, status: RawStatus, message: str = "") -> RawAnswer:
        """What is known, as an answer with this status."""
        trace = Trace(COLUMNS, np.array(self.rows, dtype=float).reshape(-1, len(COLUMNS)))
        feasible = not self.program.cost.any() and not self.program.quadratic
        bound = self.program.constant if feasible and self.best is not None else min(self.bound, self.value)
        known = RawAnswer(status, SOLVER) if self.best is None else self.best
        return replace(
            known,
            status=status,
            solver=SOLVER,
            bound=bound if np.isfinite(bound) and status is not RawStatus.UNBOUNDED else None,
            iterations=len(self.rows),
            message=message,
            trace=trace,
        )


def _integral(ray: np.ndarray, integer: np.ndarray) -> np.ndarray | None:
    """A multiple of the ray whose integer entries are integers, for small denominators; None if there is none."""
    entries = ray[integer]
    if not entries.any():
        return ray
    for denominator in range(1, 101):
        scaled = ray * (denominator / np.abs(entries).max())
        if (np.abs(scaled[integer] - np.round(scaled[integer])) <= 1e-6 * denominator).all():
            return np.where(integer, np.round(scaled), scaled)
    return None


__all__ = ["OUTER_OPTIONS", "solve_outer"]
