"""Quasi-convex problems to global optimality: by one convex program where that is enough, else level by level.

- A convex core under monotone functions: the core's own program.
- A ratio of affine functions: one program in (x t, t) (Charnes and Cooper, 1962).
- Convex levels: minimize by how much a level is missed. A point that meets the level is a better one, and its own value
  the next level (Dinkelbach, 1967; Crouzeix, Ferland and Schaible, 1985); a positive bound of the miss proves that no
  point is as good as the level. Both sides close in on the optimum.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from optdsl.classify.analyst import analyze
from optdsl.classify.quasi import QuasiProgram
from optdsl.convex.duality import dual_bound
from optdsl.convex.lower import Restored, lower
from optdsl.convex.program import AffineRows, Cone, Program, RawAnswer, RawStatus, Trace
from optdsl.terms.frame import Frame

Solve = Callable[[Program], RawAnswer]

GAP = 1e-6
"""How near the two sides must come, relative to max(1, |objective|)."""
LEVELS = 100
"""Most levels that are tried."""
FARTHEST = 1e12
"""Beyond this value of the core the problem counts as unbounded."""
JUMP = 1e-4
"""A step of the objective: what rounding of the point in its last digits does not change a continuous function by."""
FAR_OUT = 1e6
"""How far a point is moved toward a limit at infinity."""
_USABLE = frozenset({RawStatus.OPTIMAL, RawStatus.INACCURATE})


@dataclass(frozen=True, eq=False)
class QuasiAnswer:
    """The answer to a quasi-convex problem.

    raw: the solver's last words, its status that of the whole run, its `x` the model's columns, its trace one row a
    level. restored: in the model's terms; multipliers only where one convex program gave the answer. objective: the
    user's, at the point. note: what a reader should know, "" for nothing. solves: how many programs were solved.
    attained: False where the bound is a limit that no point reaches.
    """

    raw: RawAnswer
    restored: Restored
    objective: float | None = None
    note: str = ""
    solves: int = 1
    attained: bool = True


_NOTHING = Restored(None, None, None, None, None)


def solve_quasi(problem: QuasiProgram, solve: Solve, *, gap: float = GAP) -> QuasiAnswer:
    """The global optimum of a quasi-convex problem; `solve` is how a convex program is solved."""
    began = time.perf_counter()
    if problem.kind == "convex":
        answer = _by_core(problem, solve)
    elif problem.kind == "linear ratio":
        answer = _by_ratio(problem, solve)
    else:
        answer = _Search(problem, solve, gap).run()
    return replace(answer, raw=replace(answer.raw, seconds=time.perf_counter() - began))


# ------------------------------------------------------------------------------------------------ one convex program


def _by_core(problem: QuasiProgram, solve: Solve) -> QuasiAnswer:
    assert problem.analysis is not None
    lowered = lower(problem.analysis)
    raw = solve(lowered.program)
    proved = _proved_minimum(lowered.program, raw)
    if proved is not None:
        raw = replace(raw, bound=proved)
    restored = lowered.restore(raw)
    if raw.status is RawStatus.UNBOUNDED:
        return _endless(problem, raw)
    if restored.x is None:
        return QuasiAnswer(raw, _NOTHING)
    return _outward(problem, raw, restored)


def _outward(problem: QuasiProgram, raw: RawAnswer, core: Restored) -> QuasiAnswer:
    """An answer for the core as one for the objective: bound and multipliers through the outer functions."""
    assert core.x is not None
    assert problem.model.objective is not None
    sense = 1.0 if problem.model.objective.sense == "minimize" else -1.0
    x = _before_a_jump(problem, core.x, problem.value, sense)
    objective, at = problem.value(x), problem.value_of_core(x)
    if not np.isfinite(objective) and np.isnan(problem.value_at_core(at)):
        return _at_the_edge(problem, raw, at)
    bound = None if core.bound is None else problem.value_at_core(core.bound)
    rate = None if problem.rewritten else _rate(problem, at)
    duals = None if core.duals is None or rate is None else _for_the_user(problem, core.duals, rate)
    reduced = None if core.reduced_cost is None or rate is None else rate * core.reduced_cost
    restored = Restored(x, duals, reduced, bound, None)
    return QuasiAnswer(raw, restored, objective)


def _before_a_jump(
    problem: QuasiProgram, x: np.ndarray, value: Callable[[np.ndarray], float], sign: float
) -> np.ndarray:
    """The point, or its entries rounded by less than the checks' tolerance where that takes a step of the value.

    `sign` 1 where smaller values are better.

    A solver's 1 + 1e-10 is 1 to every check, and 2 to `ceil`.
    """
    columns = problem.model.columns
    variables = problem.model.variables.values()
    lower, upper = (np.concatenate([np.zeros(0), *(getattr(v, s) for v in variables)]) for s in ("lower", "upper"))
    best, least = x, sign * value(x)
    for decimals in (9, 8, 7):
        rounded = x.copy()
        rounded[:columns] = np.clip(np.round(x[:columns], decimals), lower, upper)
        found = sign * value(rounded)
        if found < least - JUMP * max(1.0, abs(least)):
            best, least = rounded, found
    return best


def _at_the_edge(problem: QuasiProgram, raw: RawAnswer, core: float) -> QuasiAnswer:
    """The best core is where the outer functions end: the objective runs away there, or has a limit."""
    tiny, small = (1e-30, 1e-60, 1e-120, 1e-240), (1e-6, 1e-8, 1e-10, 1e-12)
    near = [problem.value_at_core(core + problem.sign * step) for step in (tiny if core == 0 else small)]
    moves = np.abs(np.diff(near))
    ended = replace(raw, status=RawStatus.UNBOUNDED, x=None)
    if core != 0 and np.isfinite(near).all() and moves[-1] <= 0.5 * moves[-2] and moves[-2] <= 0.5 * moves[-3]:
        # the steps shrink: a limit, on an edge that the solver's point misses by rounding
        note = f"the objective ends at about {near[-1]:.6g}, where it is not defined at the solver's point"
        return QuasiAnswer(replace(raw, status=RawStatus.NUMERICAL_ERROR, x=None), _NOTHING, note=note)
    if np.isnan(near).any():
        note = "the objective is not defined at the solver's point, nor next to it"
        return QuasiAnswer(replace(raw, status=RawStatus.NUMERICAL_ERROR, x=None), _NOTHING, note=note)
    if not np.isfinite(near).all() or moves[-1] > 1e-9 * max(1.0, abs(near[-1])):
        note = "the objective improves without end toward points where it has no value"
        return QuasiAnswer(ended, _NOTHING, note=note)
    note = f"the objective comes as near to {near[-1]:g} as wanted without reaching it"
    return QuasiAnswer(ended, replace(_NOTHING, bound=near[-1]), note=note)


def _for_the_user(problem: QuasiProgram, duals: tuple[np.ndarray, ...], rate: float) -> tuple[np.ndarray, ...]:
    """Multipliers of the model's own constraints; those of the objective's domain come last and are left out."""
    return tuple(rate * d for d in duals[: len(problem.model.constraints)])


def _rate(problem: QuasiProgram, core: float) -> float | None:
    """The slope of the outer functions at a value of the core; None where they have none."""
    if not problem.layers:
        return 1.0
    found = []
    for step in (1e-3, 5e-4, 2.5e-4):
        width = step * max(1e-3, abs(core))
        high, low = problem.value_at_core(core + width), problem.value_at_core(core - width)
        found.append((high - low) / (2.0 * width))
    if not np.isfinite(found).all():
        return None
    # Richardson's extrapolation, twice
    better = [(4.0 * b - a) / 3.0 for a, b in pairwise(found)]
    best = (16.0 * better[1] - better[0]) / 15.0
    return best if abs(better[1] - better[0]) <= 1e-6 * max(1.0, abs(best)) else None


def _endless(problem: QuasiProgram, raw: RawAnswer) -> QuasiAnswer:
    """The core has no bound: the objective has none either, or a limit that it does not reach."""
    limit = problem.value_at_core(-problem.sign * np.inf)
    if not np.isfinite(limit):
        ray = _straight(problem, raw)
        straight = "" if ray is not None else ", but along no straight line that is known"
        return QuasiAnswer(raw, replace(_NOTHING, ray=ray), note=f"the objective improves without end{straight}")
    note = f"the objective comes as near to {limit:g} as wanted without reaching it"
    return QuasiAnswer(raw, replace(_NOTHING, bound=limit), note=note)


def _straight(problem: QuasiProgram, raw: RawAnswer) -> np.ndarray | None:
    """The core's ray (n,); of a ratio only where the denominator stands still on it."""
    columns = problem.model.columns
    if raw.ray is None or problem.kind == "levels":
        return None
    size = float(np.abs(raw.ray[:columns]).max(initial=0.0))
    if size == 0 or (problem.kind == "linear ratio" and abs(raw.ray[-1]) > 1e-9 * size):
        return None
    return raw.ray[:columns] / size


# ----------------------------------------------------------------------------------------- ratios of affine functions


def _by_ratio(problem: QuasiProgram, solve: Solve) -> QuasiAnswer:
    """N / D in y = x t, t = 1 / D(x): minimize n'y + n0 t subject to d'y + d0 t = 1 and the constraints times t."""
    assert problem.ratio is not None
    top = analyze(problem.with_objective(problem.ratio.numerator, "minimize"))
    bottom = analyze(problem.with_objective(problem.ratio.denominator, "minimize"))
    assert top.objective is not None and bottom.objective is not None
    lowered = lower(top)
    cost = (lowered.program.cost, lowered.program.constant)
    below = (bottom.objective.cost, bottom.objective.constant)
    made = _homogeneous(lowered.program, cost, below, problem.sign)
    raw = solve(made)
    if raw.status is RawStatus.UNBOUNDED:
        return _endless(problem, raw)
    if raw.x is None or raw.status not in _USABLE:
        return QuasiAnswer(raw, _NOTHING)
    scale = float(raw.x[-1])
    if scale <= 1e-9 * max(1.0, float(np.abs(raw.x).max())):
        limit = problem.value_at_core(problem.sign * (made.cost @ raw.x))
        return _far_out(problem, raw, limit, solve)
    proved = _proved_minimum(made, raw)
    back = _from_homogeneous(raw, lowered.program, scale, proved)
    restored, sign = lowered.restore(back), problem.sign  # the ratio was minimized with the sign of its sense
    turned = replace(
        restored,
        duals=None if restored.duals is None else tuple(sign * d for d in restored.duals),
        reduced_cost=None if restored.reduced_cost is None else sign * restored.reduced_cost,
        bound=None if restored.bound is None else sign * restored.bound,
    )
    return _outward(problem, back, turned)


def _far_out(problem: QuasiProgram, raw: RawAnswer, limit: float, solve: Solve) -> QuasiAnswer:
    """The best ratio lies at infinity, in a direction: a point far out in it, and the limit as the bound."""
    assert raw.x is not None
    columns = problem.model.columns
    note = f"the objective comes as near to {limit:g} as wanted without reaching it, as points run to infinity"
    inside = solve(lower(analyze(problem.convex)).program)
    if inside.x is None or inside.status not in _USABLE:
        nothing = replace(_NOTHING, bound=limit)
        return QuasiAnswer(replace(raw, status=RawStatus.UNBOUNDED, x=None), nothing, note=note)
    direction = raw.x[:columns] / np.abs(raw.x[:columns]).max()
    x = inside.x[:columns] + FAR_OUT * np.where(np.abs(direction) > 1e-9, direction, 0.0)
    restored = replace(_NOTHING, x=x, bound=limit)
    ended = replace(raw, status=RawStatus.INACCURATE, x=x, row_dual=None, reduced_cost=None, cone_duals=())
    return QuasiAnswer(ended, restored, problem.value(x), note, 2, attained=False)


def _homogeneous(
    program: Program, top: tuple[np.ndarray, float], bottom: tuple[np.ndarray, float], sign: float
) -> Program:
    """The program in (y, t): sides, bounds and cones times t, and the row d'y + d0 t = 1 at the end."""
    n, matrix = len(program.cost), program.matrix
    unit = sp.eye_array(n, format="csr")
    blocks, lows, highs = [], [], []
    for part, side, which, signs in _sides(program):
        at = np.flatnonzero(which)
        left = (matrix if part == "row" else unit)[at]
        blocks.append(sp.hstack([left, sp.csr_array(-side[at].reshape(-1, 1))], format="csr"))
        lows.append(np.where(signs[at] >= 0, 0.0, -np.inf))
        highs.append(np.where(signs[at] <= 0, 0.0, np.inf))
    last = sp.csr_array(np.append(bottom[0], bottom[1]).reshape(1, -1))
    free = np.full(n, np.inf)
    cones = tuple(
        Cone(cone.kind, tuple(_times_scale(p) for p in cone.parts), cone.exponent, cone.size) for cone in program.cones
    )
    return Program(
        cost=sign * np.append(top[0], top[1]),
        constant=0.0,
        matrix=sp.csr_array(sp.vstack([*blocks, last])),
        row_lower=np.concatenate([*lows, np.ones(1)]),
        row_upper=np.concatenate([*highs, np.ones(1)]),
        lower=np.append(-free, 0.0),
        upper=np.append(free, np.inf),
        integer=np.zeros(n + 1, dtype=bool),
        cones=cones,
    )


def _sides(program: Program) -> list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """What becomes rows: (row or column, the sides, which of them, 1 for >=, -1 for <=, 0 for =)."""
    equal = program.row_lower == program.row_upper
    rows, columns = np.ones(len(equal)), np.ones(len(program.cost))
    return [
        ("row", program.row_upper, np.isfinite(program.row_upper), np.where(equal, 0.0, -rows)),
        ("row", program.row_lower, np.isfinite(program.row_lower) & ~equal, rows),
        ("column", program.upper, np.isfinite(program.upper), -columns),
        ("column", program.lower, np.isfinite(program.lower), columns),
    ]


def _times_scale(part: AffineRows) -> AffineRows:
    matrix = sp.hstack([part.matrix, sp.csr_array(part.offset.reshape(-1, 1))], format="csr")
    return AffineRows(sp.csr_array(matrix), np.zeros(len(part.offset)))


def _from_homogeneous(raw: RawAnswer, program: Program, scale: float, proved: float | None) -> RawAnswer:
    """x = y / t; a side moved by one moves the row's side by t, so multipliers are t times as large."""
    assert raw.x is not None
    x = raw.x[:-1] / scale + 0.0  # no negative zeros
    if raw.row_dual is None:
        return replace(raw, x=x, bound=proved, cone_duals=())
    row_dual, reduced = np.zeros(len(program.row_lower)), np.zeros(len(program.cost))
    at = 0
    for part, _, which, _ in _sides(program):
        target = row_dual if part == "row" else reduced
        count = int(which.sum())
        target[which] += scale * raw.row_dual[at : at + count]
        at += count
    return replace(raw, x=x, row_dual=row_dual, reduced_cost=reduced, bound=proved, cone_duals=())


# ------------------------------------------------------------------------------------------------------------ levels


@dataclass(eq=False)
class _Search:
    """Closes in on the optimal level of the core, from both sides; `best` and `bound` are for a minimum.

    For a maximum everything is turned by `sign`, so that smaller is better.
    """

    problem: QuasiProgram
    solve: Solve
    gap: float
    best: float = np.inf
    bound: float = -np.inf
    x: np.ndarray | None = None
    solves: int = 0
    raw: RawAnswer = field(default_factory=lambda: RawAnswer(RawStatus.NUMERICAL_ERROR, ""))
    rows: list[tuple[float, float, float, float]] = field(default_factory=list)

    def run(self) -> QuasiAnswer:
        sign = self.problem.sign
        started = self._start()
        if started is not None:
            return started
        self.bound = self._known_bound()
        for _ in range(LEVELS):
            if self._closed():
                return self._answer(RawStatus.OPTIMAL)
            if self.best < -FARTHEST:
                return _endless(self.problem, replace(self.raw, status=RawStatus.UNBOUNDED, x=None))
            before = self.best
            if not self._try(self._next_level()):
                return self._answer(RawStatus.INACCURATE, "a level could not be decided; the bound holds as it stands")
            self.rows.append((len(self.rows) + 1, sign * self.best, sign * self.bound, before - self.best))
        return self._answer(RawStatus.ITERATION_LIMIT)

    def _start(self) -> QuasiAnswer | None:
        """A feasible point; where there is none, the answer."""
        analysis = analyze(self.problem.convex)
        lowered = lower(analysis)
        raw = self._solved(lowered.program)
        if raw.x is None or raw.status not in _USABLE:
            return QuasiAnswer(raw, _NOTHING, solves=self.solves)
        self._take(raw.x)
        if self.x is None:
            # the core has no value there: any level to begin with
            self.best = 1.0
        return None

    def _known_bound(self) -> float:
        fact = self.problem.facts.find(self.problem.core, Frame().as_root())
        low = fact.lo if self.problem.sign > 0 else -fact.hi
        return float(np.asarray(low).reshape(-1)[0])

    def _closed(self) -> bool:
        return self.x is not None and self.best - self.bound <= self.gap * max(1.0, abs(self.best))

    def _next_level(self) -> float:
        """A little below the best value: met, it gives a better point; not met, the proof.

        When that is slow, the middle; without a bound, farther and farther down.
        """
        near = self.best - 0.5 * self.gap * max(1.0, abs(self.best))
        slow = len(self.rows) >= 6 and len(self.rows) % 2 == 0
        if self.x is None:
            return self.best
        if not slow:
            return max(near, self.bound)
        if np.isfinite(self.bound):
            return 0.5 * (self.best + self.bound)
        return self.best - 2.0 ** min(len(self.rows), 60)

    def _try(self, level: float) -> bool:
        """Decide a level: a better point, or a better bound; whether either came."""
        sample = analyze(self.problem.level_model(self.problem.sign * level))
        if sample.convexity != "convex":
            return False
        lowered = lower(sample)
        raw = self._solved(lowered.program)
        if raw.status is RawStatus.INFEASIBLE:
            return self._raised(level)
        if raw.x is None or raw.status not in _USABLE:
            return False
        before = self.best if self.x is not None else np.inf
        self._take(raw.x)
        proved = _proved_minimum(lowered.program, raw)
        if proved is not None and proved > 0:
            return self._raised(level)
        if self.x is None:
            self.best *= 4.0
            return self.best < FARTHEST
        return self.best < before

    def _raised(self, level: float) -> bool:
        if self.x is None:
            self.bound = max(self.bound, level)
            self.best = max(4.0 * abs(self.best), 1.0)
            return self.best < FARTHEST
        raised = level > self.bound
        self.bound = max(self.bound, level)
        return raised

    def _take(self, x: np.ndarray) -> None:
        """Keep a feasible point when it is the best so far."""
        point = x[: self.problem.model.columns]
        point = _before_a_jump(self.problem, point, self.problem.value_of_core, self.problem.sign)
        value = self.problem.sign * self.problem.value_of_core(point)
        if np.isfinite(value) and (self.x is None or value < self.best):
            self.best, self.x = value, point

    def _solved(self, program: Program) -> RawAnswer:
        self.solves += 1
        self.raw = self.solve(program)
        return self.raw

    def _answer(self, status: RawStatus, message: str = "") -> QuasiAnswer:
        problem = self.problem
        trace = Trace(("iter", "objective", "bound", "step"), np.array(self.rows, dtype=float).reshape(-1, 4))
        raw = RawAnswer(status, self.raw.solver, self.x, iterations=self.solves, message=message, trace=trace)
        if self.x is None:
            return QuasiAnswer(raw, _NOTHING, solves=self.solves)
        bound = problem.value_at_core(problem.sign * self.bound)
        restored = Restored(self.x, None, None, bound if np.isfinite(bound) else None, None)
        return QuasiAnswer(replace(raw, bound=restored.bound), restored, problem.value(self.x), solves=self.solves)


def _proved_minimum(program: Program, raw: RawAnswer) -> float | None:
    """The bound that the answer's multipliers prove; None where they prove none."""
    if raw.x is None or raw.row_dual is None or len(raw.cone_duals) != len(program.cones):
        return None
    bound = dual_bound(program, raw.x, raw.row_dual, raw.cone_duals)
    return bound if np.isfinite(bound) else None


__all__ = ["QuasiAnswer", "solve_quasi"]
