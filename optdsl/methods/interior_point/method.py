"""Primal-dual interior point with filter line search: the default for smooth problems with constraints.

Waechter and Biegler (2006), "On the implementation of an interior-point filter line-search algorithm for large-scale
nonlinear programming", Mathematical Programming 106. The problem's form with slacks is made in `form`; one iteration is
`search.advance`; when no step is acceptable, `restoration` looks for a point of less violation, by the same iteration.

    state = main phase (the problem), restoration phase or None
    step:   restoration?  advance it; back to the main phase when the filter takes its point;
                          its own solution with violation left: locally infeasible
            else          advance the main phase; blocked: start a restoration
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from optdsl.methods.driver import Ending, Record
from optdsl.methods.interior_point.adaptive import LARGEST, Adaptive, average_product
from optdsl.methods.interior_point.barrier import barrier, point
from optdsl.methods.interior_point.filter import Filter
from optdsl.methods.interior_point.form import Bounds, Slacked, pushed_inside, slacked
from optdsl.methods.interior_point.newton import Regularization, least_squares_multipliers
from optdsl.methods.interior_point.polish import polished
from optdsl.methods.interior_point.restoration import Elastic, resettled, restoration, returned
from optdsl.methods.interior_point.search import Advance, Event, Phase, advance
from optdsl.methods.interior_point.unbounded import BELOW, ray
from optdsl.methods.linear_algebra.kkt import kkt
from optdsl.nlp import Nlp

FAR_DOWN = -1e8
"""A scaled objective below this makes the method look for a ray along which it falls forever."""
POLISHED_FROM = 1e-3
"""From this optimality error on a polished point is tried, once for each barrier parameter."""
PATIENCE = 15
"""After so many iterations without improvement an acceptable point is the answer."""
ACCEPTABLE = 1e-6
LARGEST_MULTIPLIER = 1e3
PUSHES = (1e-2, 1e-4, 1e-8, 0.0)
"""How far the start is pushed from its bounds; the next one is for starts whose push leaves a function's domain."""


@dataclass(frozen=True, eq=False, slots=True)
class Warm:
    """Multipliers of an earlier solve (nlp's signs) and a barrier parameter to go on with."""

    row_multipliers: np.ndarray
    bound_multipliers: np.ndarray
    mu: float = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class Nearly:
    """The best acceptable point so far, and for how many iterations none was better."""

    main: Phase
    record: Record
    error: float
    age: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class InteriorState:
    """The state: main phase and, while it runs, restoration phase; the model's quantities are computed when asked.

    form is None where there was nothing to iterate on. `whole` (n,) is the model's point then.
    """

    problem: Nlp
    main: Phase | None
    record: Record
    ending: Ending | None = None
    restoring: Phase | None = None
    whole: np.ndarray | None = None
    settled: int = 0
    ray: np.ndarray | None = None
    nearly: Nearly | None = None
    drifting: int = 0
    polished_at: float = np.inf
    renewed_at: float = np.inf

    @property
    def x(self) -> np.ndarray:
        """The model's variables (n,), inside their bounds."""
        if self.main is None:
            assert self.whole is not None
            return self.whole
        form = self.main.form
        assert isinstance(form, Slacked)
        w = self.main.at.w if self.restoring is None else self.restoring.at.w
        return np.clip(form.core(w), self.problem.lower, self.problem.upper)

    @property
    def last_step(self) -> float:
        """See `Outcome`: known of a polished point."""
        return np.nan if self.main is None or self.restoring is not None else self.main.last_step

    @property
    def row_multipliers(self) -> np.ndarray:
        """Multipliers of the rows (m,); of a locally infeasible point those of the least violation."""
        if self.main is None:
            return np.zeros(len(self.problem.row_lower))
        form = self.main.form
        assert isinstance(form, Slacked)
        if self.restoring is not None:
            return form.model_multipliers(self.restoring.at.y)
        return form.model_multipliers(self.main.at.y) / form.objective_scale

    @property
    def bound_multipliers(self) -> np.ndarray:
        """Multipliers of the bounds (n,), those of fixed variables too."""
        problem = self.problem
        if self.main is None or self.main.form.n == 0:
            return -self._pull(np.ones(len(problem.lower), dtype=bool))
        form, phase = self.main.form, self.restoring or self.main
        assert isinstance(form, Slacked)
        bounds = phase.form.bounds
        inner = -bounds.spread(bounds.sign * phase.at.z)[: form.n]
        if self.restoring is None:
            inner = inner / form.objective_scale
        if form.free is None:
            return inner
        fixed = np.ones(len(problem.lower), dtype=bool)
        fixed[form.free] = False
        whole = -self._pull(fixed)
        whole[form.free] = inner
        return whole

    def _pull(self, where: np.ndarray) -> np.ndarray:
        """The gradient of f + y'c of the model at some variables, 0 at the others."""
        x, pattern = self.x, self.problem.jacobian_pattern
        values = self.problem.jacobian(x) * self.row_multipliers[pattern.rows]
        pull = np.bincount(pattern.columns, weights=values, minlength=len(x))
        if self.restoring is None:
            pull = pull + self.problem.gradient(x)
        return np.where(where & np.isfinite(pull), pull, 0.0)


@dataclass(frozen=True, slots=True)
class InteriorPoint:
    """Settings of the interior point method; `solve using ipm(...)`.

    tolerance: of the scaled optimality error (5); rows and bounds must also hold within `feasibility`, unscaled.
    barrier: how its parameter falls, `adaptive` or `monotone`; first_barrier: the first one. scaling: largest gradient
    entry at the start that is left as it is.
    """

    tolerance: float = 1e-8
    feasibility: float = 1e-6
    barrier: str = "adaptive"
    first_barrier: float = 0.1
    scaling: float = 100.0
    warm: Warm | None = None
    name: str = "ipm"

    @property
    def variants(self) -> tuple[InteriorPoint, InteriorPoint]:
        """The method and the same with the other rule of the barrier, which may lead into another valley."""
        other = "monotone" if self.barrier == "adaptive" else "adaptive"
        return self, replace(self, barrier=other)

    def start(self, problem: Nlp) -> InteriorState:
        """The state at the problem's start, moved inside its bounds (section 3.6)."""
        lower, upper = problem.lower, problem.upper
        crossed = (lower > upper).any() or (problem.row_lower > problem.row_upper).any()
        origin = np.clip(np.asarray(problem.start, float), lower, upper)
        if crossed:
            return InteriorState(
                problem, None, _unsolved(problem, origin), Ending.LOCALLY_INFEASIBLE, whole=origin
            )
        form = None
        # A warm start is near its bounds on purpose: as near as its barrier parameter says.
        for push in PUSHES if self.warm is None else (min(PUSHES[0], self.warm.mu), *PUSHES):
            x = pushed_inside(origin, lower, upper, push, push)
            form = slacked(problem, x, self.scaling, min(push, PUSHES[0]) or PUSHES[-2])
            if form is not None:
                break
        if form is None:
            return InteriorState(problem, None, _unsolved(problem, origin), Ending.UNDEFINED, whole=origin)
        if form.n == 0:
            record = _unsolved(problem, x)
            feasible = record.primal <= self.feasibility
            ending = Ending.CONVERGED if feasible else Ending.LOCALLY_INFEASIBLE
            return InteriorState(problem, None, replace(record, dual=0.0), ending, whole=x)
        phase = self._first_phase(form)
        return self._judged(InteriorState(problem, phase, _record(phase, None, np.nan)))

    def _first_phase(self, form: Slacked) -> Phase:
        """The main phase at the form's start, with multipliers of least squares or from an earlier solve."""
        system = kkt(form.hessian_pattern, form.jacobian_pattern)
        w = form.start
        if self.warm is not None:
            y, z = _warm_multipliers(form, self.warm)
            mu = self.warm.mu
            z = np.maximum(z, mu / form.bounds.gaps(w))
        else:
            mu = self.first_barrier
            z = np.ones(len(form.bounds.index))
            gradient, jacobian = form.derivatives_at_start
            pulled = gradient - form.bounds.spread(form.bounds.sign * z)
            y = least_squares_multipliers(form, system, pulled, jacobian, LARGEST_MULTIPLIER)
        at = point(form, w, y, z, form.values_at_start, form.derivatives_at_start)
        rule = None
        if self.barrier == "adaptive":
            rule = Adaptive(largest=LARGEST * max(average_product(at), mu))
        return Phase(form, system, at, mu, Filter.at(at.theta), self.tolerance, Regularization(), adaptive=rule)

    def step(self, problem: Nlp, state: InteriorState) -> InteriorState:
        """One iteration, of the problem or of its restoration."""
        if state.restoring is not None:
            return self._restoration_step(state)
        main = state.main
        assert main is not None
        if main.mu < state.polished_at and main.errors().largest <= POLISHED_FROM:
            early = polished(main)
            if early is not None and self._feasible(early):
                return _final(replace(state, main=early, record=_record(early, None, 1.0)), Ending.CONVERGED)
            state = replace(state, polished_at=main.mu)
        done = advance(main)
        if done.event is Event.STEP:
            record = _record(done.phase, None, done.alpha)
            direction = done.direction.dw[: done.phase.form.n] if done.direction is not None else None
            return self._judged(replace(state, main=done.phase, record=record), direction)
        return self._blocked(replace(state, main=done.phase), done)

    def _judged(self, state: InteriorState, direction: np.ndarray | None = None) -> InteriorState:
        """The state with its ending, where the main phase has reached one."""
        main = state.main
        assert main is not None
        found = main.errors()
        feasible = self._feasible(main)
        if found.largest <= self.tolerance and feasible:
            return self._polished(state)
        if main.at.f < FAR_DOWN and feasible:
            kept = _ray(state, direction, self.feasibility) if direction is not None else None
            if kept is not None or main.at.f < BELOW:
                return replace(state, ending=Ending.UNBOUNDED, ray=kept)
        elif main.at.f < FAR_DOWN and direction is not None:
            return self._drifting(state)
        nearly = state.nearly
        if feasible and found.largest <= ACCEPTABLE and (nearly is None or found.largest < nearly.error):
            return replace(state, nearly=Nearly(main, state.record, found.largest))
        if nearly is not None:
            nearly = replace(nearly, age=nearly.age + 1)
            state = replace(state, nearly=nearly)
            if nearly.age >= PATIENCE:
                return _given_up(state)
        return state

    def _polished(self, state: InteriorState) -> InteriorState:
        """The end at the polished point where there is one, else where the state is; see `polish`."""
        main = state.main
        assert main is not None
        done = polished(main)
        if done is not None and self._feasible(done):
            found = done.errors()
            dual = max(found.dual, found.complementarity)
            state = replace(state, main=done, record=replace(state.record, dual=dual))
        return _final(state, Ending.CONVERGED)

    def _drifting(self, state: InteriorState) -> InteriorState:
        """An objective that falls without end at points that violate rows: feasibility comes first."""
        if state.drifting < 3:
            return replace(state, drifting=state.drifting + 1)
        assert state.main is not None
        return self._restored(
            replace(state, drifting=0), state.main, "the objective falls while rows are violated"
        )

    def _feasible(self, main: Phase) -> bool:
        form = main.form
        assert isinstance(form, Slacked)
        return form.violation(main.at.w, main.at.c, relative=True) <= self.feasibility

    def _blocked(self, state: InteriorState, done: Advance) -> InteriorState:
        """When the main phase found no step: the end where there is nothing to restore, else restoration."""
        main = done.phase
        hopeless = main.at.theta <= 1e-2 * self.tolerance * max(1, main.form.m) or main.form.m == 0
        if done.event is Event.CREEPING and main.mu > self.tolerance:
            # Counted as a tiny step, after which the barrier parameter falls whatever the error is.
            return replace(state, main=replace(main, tiny=1))
        if (hopeless or done.event is Event.CREEPING) and main.mu < state.renewed_at:
            note = "no acceptable step: multipliers are started anew"
            return self._judged(_renewed(replace(state, renewed_at=main.mu), note))
        if hopeless or done.event in (Event.STUCK, Event.CREEPING):
            return _given_up(state)
        return self._restored(state, main, "no acceptable step")

    def _restored(self, state: InteriorState, main: Phase, why: str) -> InteriorState:
        """The first iteration of a restoration; the filter keeps later points away from this one."""
        kept = main.filter.with_point(main.at.theta, barrier(main.form, main.at.f, main.at.gaps, main.mu))
        main = replace(main, filter=kept)
        state = replace(state, main=main, restoring=restoration(main), settled=0)
        return self._restoration_step(state, f"{why}: feasibility is restored")

    def _restoration_step(self, state: InteriorState, note: str = "") -> InteriorState:
        """One iteration of the restoration problem, and the way back or the end where it leads there."""
        main, restoring = state.main, state.restoring
        assert main is not None and restoring is not None
        done = advance(restoring)
        if done.event is not Event.STEP:
            return self._restoration_blocked(state, done)
        back = returned(main, done.phase)
        if back is not None:
            record = replace(_record(back, None, done.alpha), note=note)
            return self._judged(replace(state, main=back, restoring=None, record=record))
        record = replace(_record(main, done.phase, done.alpha), note=note)
        state = replace(state, restoring=done.phase, record=record, settled=0)
        if done.phase.errors().largest <= self.tolerance:
            return self._least_violation(state)
        return state

    def _restoration_blocked(self, state: InteriorState, done: Advance) -> InteriorState:
        restoring = done.phase
        if state.settled < 1 and done.event is not Event.STUCK:
            return replace(state, restoring=resettled(restoring), settled=state.settled + 1)
        if restoring.errors().largest <= ACCEPTABLE or done.event is Event.STUCK:
            return self._least_violation(replace(state, restoring=restoring))
        return _given_up(replace(state, restoring=restoring))

    def _least_violation(self, state: InteriorState) -> InteriorState:
        """At a solution of the restoration problem: locally infeasible, or back with the filter emptied."""
        main, restoring = state.main, state.restoring
        assert main is not None and restoring is not None and isinstance(restoring.form, Elastic)
        if state.record.primal > self.feasibility:
            return _final(state, Ending.LOCALLY_INFEASIBLE)
        back = returned(main, restoring, any_point=True)
        if back is None or main.at.theta <= self.tolerance:
            return _given_up(state)
        return self._judged(replace(state, main=back, restoring=None, record=_record(back, None, np.nan)))


def _record(main: Phase, restoring: Phase | None, alpha: float) -> Record:
    """The trace's line: objective and violation of the model, the optimality error of the phase that is worked on."""
    form = main.form
    assert isinstance(form, Slacked)
    if restoring is None:
        found = main.errors()
        dual = max(found.dual, found.complementarity)
        at = main.at
        return Record(at.f / form.objective_scale, form.violation(at.w, at.c), dual, alpha, main.mu)
    inner = restoring.form
    assert isinstance(inner, Elastic)
    w = inner.inner(restoring.at.w)
    m = form.m
    c = restoring.at.c + restoring.at.w[-2 * m : -m] - restoring.at.w[-m:]
    found = restoring.errors()
    dual = max(found.dual, found.complementarity)
    return Record(form.objective(w) / form.objective_scale, form.violation(w, c), dual, alpha, restoring.mu)


def _unsolved(problem: Nlp, x: np.ndarray) -> Record:
    """The record of a point that no iteration starts from."""
    values = problem.constraints(x)
    outside = np.maximum(problem.row_lower - values, values - problem.row_upper).max(initial=0.0)
    bounds = np.maximum(problem.lower - x, x - problem.upper).max(initial=0.0)
    return Record(float(problem.objective(x)), float(np.maximum(outside, bounds)), float("inf"))


def _given_up(state: InteriorState) -> InteriorState:
    """The end without progress: at the acceptable point when there was one."""
    if state.nearly is None:
        return replace(state, ending=Ending.NO_PROGRESS)
    best = state.nearly
    return _final(replace(state, main=best.main, restoring=None, record=best.record), Ending.ACCEPTABLE)


def _renewed(state: InteriorState, note: str) -> InteriorState:
    """The state with multipliers that fit its point and barrier parameter, and an empty filter."""
    main = state.main
    assert main is not None
    form, at = main.form, main.at
    z = np.minimum(main.mu / at.gaps, LARGEST_MULTIPLIER)
    pulled = at.gradient - form.bounds.spread(form.bounds.sign * z)
    y = least_squares_multipliers(form, main.kkt, pulled, at.jacobian, LARGEST_MULTIPLIER)
    new = point(form, at.w, y, z, (at.f, at.c), (at.gradient, at.jacobian))
    main = replace(main, at=new, filter=main.filter.emptied(), tiny=0, slow=0)
    return replace(state, main=main, record=replace(_record(main, None, 0.0), note=note))


def _final(state: InteriorState, ending: Ending) -> InteriorState:
    """The end at a point, whose record speaks of the point inside its bounds that is handed back."""
    problem, x = state.problem, state.x
    here = _unsolved(problem, x)
    if not np.isfinite(here.objective) or not np.isfinite(here.primal):
        return replace(state, ending=ending)
    record = replace(state.record, objective=here.objective, primal=here.primal)
    return replace(state, record=record, ending=ending)


def _ray(state: InteriorState, direction: np.ndarray, feasibility: float) -> np.ndarray | None:
    """A ray of the model along which the objective falls forever, from a direction of the free variables."""
    assert state.main is not None
    form = state.main.form
    assert isinstance(form, Slacked)
    whole = direction
    if form.free is not None:
        whole = np.zeros(len(form.fixed_at))
        whole[form.free] = direction
    return ray(state.problem, state.x, whole, feasibility, form.objective_scale)


def _warm_multipliers(form: Slacked, warm: Warm) -> tuple[np.ndarray, np.ndarray]:
    """y and z of the form for multipliers of the model."""
    rows = warm.row_multipliers if form.rows is None else warm.row_multipliers[form.rows]
    y = rows * form.objective_scale / form.row_scale
    core = warm.bound_multipliers if form.free is None else warm.bound_multipliers[form.free]
    # Stationarity in a slack t with coefficient -1: -y - sign * z = 0; in x: the model's multiplier is -sign * z.
    pull = np.concatenate([core * form.objective_scale, y[form.row_of]])
    bounds: Bounds = form.bounds
    return y, np.maximum(0.0, -bounds.sign * pull[bounds.index])
