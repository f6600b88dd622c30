"""One iteration of the filter line search method on a barrier problem: Algorithm A of Waechter and Biegler (2006).

Equation numbers are theirs. The same iteration serves the problem itself and the restoration problem.

    mu, tau     barrier parameter, share of the way to the bounds that a step may go
    d = (dw, dy, dz)   the primal-dual direction; alpha, alpha_z its step lengths
    theta, phi  violation |c|_1 and barrier objective
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

import numpy as np

from optdsl.methods.interior_point.adaptive import FIXED_SHARE, Adaptive, average_product, predicted
from optdsl.methods.interior_point.barrier import (
    KAPPA_EPSILON,
    TAU_MIN,
    Errors,
    Point,
    barrier,
    barrier_gradient_from_dual,
    barrier_slope,
    errors,
    kept_near_center,
    lowered,
    point,
    tau_of,
    to_boundary,
)
from optdsl.methods.interior_point.filter import Filter, decreases, improves
from optdsl.methods.interior_point.form import Form
from optdsl.methods.interior_point.newton import Direction, Regularization, direction
from optdsl.methods.linear_algebra.system import Kkt

KAPPA_SOC, LARGEST_SOC = 0.99, 4
SHORTEST = 1e-30
SLOW, TIRED = 0.1, 5
"""After so many iterations in a row with steps shorter than SLOW, while rows are violated, the phase asks for a
restoration instead of creeping on (deviation: the paper waits until a step falls below alpha_min)."""
BARRED, LARGEST_RESETS = 5, 5
"""After so many iterations in a row that the filter cut short it is emptied: old corners may block the way (once more,
at most so often). A heuristic of implementations of the method, not in the paper."""
SHORT, CLOSE = 1e-2, 1e-3
TINY_STEP, TINY_VIOLATION = 10 * 2.2e-16, 1e-4


@dataclass(frozen=True, eq=False, slots=True)
class Phase:
    """Where the iteration stands on one form: the point, its barrier parameter, its filter, what is remembered.

    tiny: how many tiny steps came last. tolerance: the one that mu has to fall below. barred: in how many iterations
    in a row the filter was what rejected the last rejected trial; resets: how often it was emptied for that. slow: how
    many short steps came last. last_step: see `Outcome`.
    """

    form: Form
    kkt: Kkt
    at: Point
    mu: float
    filter: Filter
    tolerance: float
    memory: Regularization
    tiny: int = 0
    barred: int = 0
    resets: int = 0
    slow: int = 0
    adaptive: Adaptive | None = None
    last_step: float = float("nan")

    def errors(self) -> Errors:
        """The errors of the problem itself: mu = 0."""
        return errors(self.at, 0.0)


class Event(enum.Enum):
    """What came out of an iteration."""

    STEP = "a step was taken"
    BLOCKED = "no step length was acceptable"
    CREEPING = "steps have been short for long at a point that keeps its rows"
    SINGULAR = "no perturbation gave the system the right inertia"
    STUCK = "steps are too small to change the point, and the barrier parameter cannot fall"


@dataclass(frozen=True, eq=False, slots=True)
class Advance:
    """The phase after an iteration; alpha, the step; the whole direction dw; the phase before where none was taken."""

    event: Event
    phase: Phase
    alpha: float = 0.0
    direction: Direction | None = None
    dz: np.ndarray | None = None


def smallest_barrier(phase: Phase) -> float:
    """The last barrier parameter: small enough for the tolerance."""
    return phase.tolerance / (KAPPA_EPSILON + 1)


def with_barrier_lowered(phase: Phase) -> Phase:
    """The phase with the next barrier problem where the current one is solved well enough (7), its filter emptied."""
    smallest = smallest_barrier(phase)
    tiny = phase.tiny > 0
    while (tiny or errors(phase.at, phase.mu).largest <= KAPPA_EPSILON * phase.mu) and phase.mu > smallest:
        mu = lowered(phase.mu, smallest)
        form = phase.form.at_barrier(mu)
        at = phase.at
        if form is not phase.form:
            at = point(
                form, at.w, at.y, at.z, (form.objective(at.w), at.c), (form.gradient(at.w), at.jacobian)
            )
        phase = replace(phase, form=form, at=at, mu=mu, filter=phase.filter.emptied())
        tiny = False
    return phase


def advance(phase: Phase) -> Advance:
    """One iteration: barrier update, direction, line search."""
    if phase.tiny >= 2 and phase.mu <= smallest_barrier(phase):
        return Advance(Event.STUCK, phase)
    phase = with_barrier_lowered(phase) if phase.adaptive is None else _with_barrier_chosen(phase, phase.adaptive)
    form, at = phase.form, phase.at
    free = phase.adaptive is not None and not phase.adaptive.fixed
    bounds = form.bounds
    hessian = _finite(form.hessian(at.w, at.y))
    ratios = at.z / at.gaps
    sigma = bounds.spread(ratios) + form.curvature()
    aim = 0.0 if free else phase.mu
    right = -barrier_gradient_from_dual(form, at, aim), -at.c
    step = direction(form, phase.kkt, hessian, sigma, at.jacobian, right, phase.memory, phase.mu)
    if step is None:
        return Advance(Event.SINGULAR, phase)
    phase = replace(phase, memory=step.memory)
    if free:
        phase, step = _freely(phase, step, ratios)
    mu = phase.mu
    dg = bounds.change(step.dw)
    dz = mu / at.gaps - at.z - ratios * dg
    tau = max(TAU_MIN, 1.0 - phase.errors().largest) if free else tau_of(mu)
    alpha_z = to_boundary(at.z, dz, tau)
    if phase.barred >= BARRED and phase.resets < LARGEST_RESETS:
        phase = replace(phase, filter=phase.filter.emptied(), barred=0, resets=phase.resets + 1)
    found, barred = _line_search(phase, step, dg, tau)
    slow = phase.slow + 1 if found is None or found.alpha < SLOW else 0
    phase = replace(phase, barred=phase.barred + 1 if barred else 0, slow=slow)
    if slow >= TIRED and at.theta > phase.tolerance * max(1, form.m):
        return Advance(Event.BLOCKED, replace(phase, slow=0), 0.0, step, dz)
    if slow >= 2 * TIRED:
        return Advance(Event.CREEPING, replace(phase, slow=0), 0.0, step, dz)
    if found is None or found.alpha < SHORT:
        better = _whole_step(phase, step, dg, dz, tau)
        if better is not None:
            return better
    if found is None:
        return Advance(Event.BLOCKED, phase, 0.0, step, dz)
    return _taken(phase, found, step, dz, alpha_z)


def _with_barrier_chosen(phase: Phase, rule: Adaptive) -> Phase:
    """The phase after the adaptive rule has looked at its point: mu is free, begins to be fixed, or falls further."""
    new = rule.judged(phase.at)
    if phase.tiny:
        new = replace(new, fixed=True)
    phase = replace(phase, adaptive=new)
    if new.fixed and not rule.fixed:
        mu = FIXED_SHARE * average_product(phase.at)
        mu = min(max(mu, smallest_barrier(phase)), new.largest)
        phase = replace(phase, mu=mu, filter=phase.filter.emptied())
    return with_barrier_lowered(phase) if new.fixed else phase


def _freely(phase: Phase, step: Direction, ratios: np.ndarray) -> tuple[Phase, Direction]:
    """The phase with a parameter chosen by the direction that aims at 0, and the direction that aims at it."""
    form, at = phase.form, phase.at
    rule = phase.adaptive
    assert rule is not None
    if not len(at.z):  # without bounds both are the same
        return replace(phase, mu=smallest_barrier(phase), filter=phase.filter.emptied()), step
    dg = form.bounds.change(step.dw)
    mu = predicted(at, dg, -at.z - ratios * dg)
    mu = min(max(mu, smallest_barrier(phase)), rule.largest)
    dw, dy, _ = step.factors.solve(-barrier_gradient_from_dual(form, at, mu), -at.c)
    if not (np.isfinite(dw).all() and np.isfinite(dy).all()):
        mu, dw, dy = smallest_barrier(phase), step.dw, step.dy
    return replace(phase, mu=mu, filter=phase.filter.emptied()), replace(step, dw=dw, dy=dy)


@dataclass(frozen=True, eq=False, slots=True)
class _Trial:
    """An accepted trial point with its functions; dy: of its direction; augment: the filter keeps the old point."""

    w: np.ndarray
    values: tuple[float, np.ndarray]
    derivatives: tuple[np.ndarray, np.ndarray]
    alpha: float
    dy: np.ndarray
    augment: bool
    tiny: bool = False


def _taken(phase: Phase, found: _Trial, step: Direction, dz: np.ndarray, alpha_z: float) -> Advance:
    """The phase at an accepted trial point."""
    form, at, mu = phase.form, phase.at, phase.mu
    kept = phase.filter
    if found.augment:
        kept = kept.with_point(at.theta, barrier(form, at.f, at.gaps, mu))
    z = kept_near_center(at.z + alpha_z * dz, form.bounds.gaps(found.w), mu)
    new = point(form, found.w, at.y + found.alpha * found.dy, z, found.values, found.derivatives)
    tiny = phase.tiny + 1 if found.tiny else 0
    return Advance(Event.STEP, replace(phase, at=new, filter=kept, tiny=tiny), found.alpha, step, dz)


def _finite(values: np.ndarray) -> np.ndarray:
    """Second derivatives that are infinite at the point (x^1.5 at 0) are left out: descent does not need them."""
    return values if np.isfinite(values).all() else np.where(np.isfinite(values), values, 0.0)


def evaluated(form: Form, w: np.ndarray) -> tuple[float, np.ndarray] | None:
    """f and c at a trial point; None outside the functions' domains."""
    f = form.objective(w)
    if not np.isfinite(f):
        return None
    c = form.residual(w)
    return (f, c) if np.isfinite(c).all() else None


def differentiated(form: Form, w: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Gradient and Jacobian at a trial point; None where they are undefined."""
    gradient, jacobian = form.gradient(w), form.jacobian(w)
    return (gradient, jacobian) if np.isfinite(gradient).all() and np.isfinite(jacobian).all() else None


def _line_search(phase: Phase, step: Direction, dg: np.ndarray, tau: float) -> tuple[_Trial | None, bool]:
    """Steps A-5 to A-10: halve the step until filter and decrease accept it; None when it became too short.

    Also whether the filter was what rejected the last rejected trial.
    """
    form, at, mu, kept = phase.form, phase.at, phase.mu, phase.filter
    phi = barrier(form, at.f, at.gaps, mu)
    slope = barrier_slope(form, at, step.dw, dg, mu)
    alpha = to_boundary(at.gaps, dg, tau)
    if at.theta <= TINY_VIOLATION:
        size = float(np.abs(step.dw / (1.0 + np.abs(at.w))).max(initial=0.0))
        tiny = _tiny(form, at, alpha, step) if size < TINY_STEP else None
        if tiny is not None:
            return tiny, False
    shortest = max(kept.shortest(slope, at.theta), SHORTEST)
    first, barred = True, False
    while alpha >= shortest:
        w = at.w + alpha * step.dw
        values = evaluated(form, w)
        if values is not None:
            theta_new = float(np.abs(values[1]).sum())
            phi_new = barrier(form, values[0], form.bounds.gaps(w), mu)
            found, by_filter = _judged(phase, w, values, theta_new, phi_new, (phi, slope, alpha), step.dy)
            if found is None and first and theta_new >= at.theta and form.m:
                found = _corrected(phase, step, values[1], alpha, (phi, slope), tau)
            if found is not None:
                return found, barred
            barred = by_filter
        first = False
        alpha *= 0.5
    return None, barred


def _whole_step(phase: Phase, step: Direction, dg: np.ndarray, dz: np.ndarray, tau: float) -> Advance | None:
    """The whole step, close to a solution, where it halves the error of the primal-dual equations (5).

    Deviation: there the filter's comparisons drown in rounding, while Newton's method still converges.
    """
    form, at, mu = phase.form, phase.at, phase.mu
    error = errors(at, mu).largest
    if error > CLOSE:
        return None
    alpha, alpha_z = to_boundary(at.gaps, dg, tau), to_boundary(at.z, dz, tau)
    w = at.w + alpha * step.dw
    values = evaluated(form, w)
    derivatives = differentiated(form, w) if values is not None else None
    if values is None or derivatives is None:
        return None
    z = kept_near_center(at.z + alpha_z * dz, form.bounds.gaps(w), mu)
    new = point(form, w, at.y + alpha * step.dy, z, values, derivatives)
    if errors(new, mu).largest > 0.5 * error:
        return None
    return Advance(Event.STEP, replace(phase, at=new, tiny=0), alpha, step, dz)


def _tiny(form: Form, at: Point, alpha: float, step: Direction) -> _Trial | None:
    """A step within rounding of nothing is taken without a search (section 3.9)."""
    w = at.w + alpha * step.dw
    values = evaluated(form, w)
    derivatives = differentiated(form, w) if values is not None else None
    if values is None or derivatives is None:
        return None
    return _Trial(w, values, derivatives, alpha, step.dy, False, True)


def _judged(
    phase: Phase,
    w: np.ndarray,
    values: tuple[float, np.ndarray],
    theta_new: float,
    phi_new: float,
    model: tuple[float, float, float],
    dy: np.ndarray,
) -> tuple[_Trial | None, bool]:
    """The trial when decrease and filter accept it (steps A-5.3, A-5.4) and its derivatives exist.

    Also whether it was the filter alone that did not.
    """
    phi, slope, alpha = model
    at, kept = phase.at, phase.filter
    if not np.isfinite(phi_new) or theta_new > kept.theta_largest:
        return None, False
    switching = kept.switches(alpha, slope, at.theta)
    armijo = decreases(phi_new - phi, phi, alpha, slope)
    if not (armijo if switching else improves(theta_new, phi_new - phi, at.theta, phi)):
        return None, False
    if not kept.accepts(theta_new, phi_new):
        return None, True
    derivatives = differentiated(phase.form, w)
    if derivatives is None:
        return None, False
    return _Trial(w, values, derivatives, alpha, dy, not (switching and armijo)), False


def _corrected(
    phase: Phase,
    step: Direction,
    c_new: np.ndarray,
    alpha: float,
    model: tuple[float, float],
    tau: float,
) -> _Trial | None:
    """Second-order corrections (section 2.4): the same factors against the violation that the full step left."""
    form, at, mu = phase.form, phase.at, phase.mu
    right_w = -barrier_gradient_from_dual(form, at, mu)
    c_soc, theta_old, first = at.c, at.theta, alpha
    for _ in range(LARGEST_SOC):
        c_soc = alpha * c_soc + c_new
        dw, dy, _ = step.factors.solve(right_w, -c_soc)
        if not np.isfinite(dw).all():
            return None
        alpha = to_boundary(at.gaps, form.bounds.change(dw), tau)
        w = at.w + alpha * dw
        values = evaluated(form, w)
        if values is None:
            return None
        theta_soc = float(np.abs(values[1]).sum())
        phi_soc = barrier(form, values[0], form.bounds.gaps(w), mu)
        found, _ = _judged(phase, w, values, theta_soc, phi_soc, (*model, first), dy)
        if found is not None:
            return replace(found, alpha=alpha)
        if theta_soc > KAPPA_SOC * theta_old:
            return None
        theta_old, c_new = theta_soc, values[1]
    return None
