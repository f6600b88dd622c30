"""The last step: what is active is put exactly on its bound, and Newton's method on the equalities that are left.

A barrier keeps every variable a little inside and every multiplier a little above zero. Once it is clear which bounds
are active (multiplier larger than distance), one Newton step on

    grad f + A'y - z = 0,   c(w) = 0,   w_b = bound_b for the active bounds,   z_b = 0 for the others

gives a point that is exact to rounding, on its bounds, with multipliers that are 0 where nothing is active. It is taken
only when it satisfies the optimality conditions within the tolerance, with multipliers of the right sign, be it before
the barrier method gets there or at its end. (Not in the paper.)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optdsl.methods.interior_point.barrier import Point, point
from optdsl.methods.interior_point.form import Slacked
from optdsl.methods.interior_point.newton import POOR, factorized
from optdsl.methods.interior_point.search import Phase, differentiated, evaluated

HELD, FREE_SLACK = 1e16, 1e-8
"""Diagonal entries that hold a variable at its bound, and that leave a slack free."""
LONGEST = 1e-2
"""A step longer than this beside the point leads to another point: it is not taken."""


SHARP, MOST_STEPS = 1e-11, 3
"""Further Newton steps are taken until the error is below the first number or no longer falls tenfold."""


def polished(phase: Phase) -> Phase | None:
    """The phase at the polished point; None where it does not satisfy the conditions within the phase's tolerance."""
    if not len(phase.form.bounds.index) and phase.errors().largest <= 0.1 * phase.tolerance:
        return None
    best = _stepped(phase)
    for _ in range(MOST_STEPS - 1):
        if best is None or best.errors().largest <= SHARP:
            break
        again = _stepped(best)
        if again is None or again.errors().largest > 0.1 * best.errors().largest:
            break
        best = again
    return best


def _stepped(phase: Phase) -> Phase | None:
    """One Newton step, where it leads to a point that satisfies the conditions."""
    form, at = phase.form, phase.at
    assert isinstance(form, Slacked)
    bounds = form.bounds
    active = at.z > at.gaps
    places, values = bounds.index[active], form.exact[active]
    sigma = np.zeros(len(at.w))
    sigma[form.n :] = FREE_SLACK
    sigma[places] = HELD
    hessian = form.hessian(at.w, at.y)
    if not np.isfinite(hessian).all():
        return None
    factors, inertia = factorized(form, phase.kkt, hessian, sigma, at.jacobian, 0.0, 0.0)
    if inertia.singular or inertia.negative != form.m:
        return None
    right = bounds.spread(bounds.sign * at.z)
    right = -(at.dual + right)
    right[places] = HELD * (values - at.w[places])
    dw, dy, ratio = factors.solve(right, -at.c)
    if not ratio <= POOR or not np.isfinite(dw).all() or not np.isfinite(dy).all():
        return None
    if float(np.abs(dw / (1.0 + np.abs(at.w))).max(initial=0.0)) > LONGEST:
        return None
    w = at.w + dw
    w[places] = values
    length = np.nan
    if (sigma[form.n :] == HELD).all():  # what leaves a slack free is stiff beside the curvature far out on a tail
        length = float((np.abs(dw[: form.n]) / np.maximum(1.0, np.abs(w[: form.n]))).max(initial=0.0))
    return _settled(replace(phase, last_step=length), form, w, at.y + dy, active)


def _settled(phase: Phase, form: Slacked, w: np.ndarray, y: np.ndarray, active: np.ndarray) -> Phase | None:
    """The phase at w and y when the conditions hold there within the tolerance; free slacks take their row's value."""
    bounds = form.bounds
    values = evaluated(form, w)
    if values is None:
        return None
    f, c = values
    if len(form.row_of):
        held = np.zeros(len(w), dtype=bool)
        held[bounds.index[active]] = True
        free = np.flatnonzero(~held[form.n :])
        w[form.n + free] += c[form.row_of[free]]
        c[form.row_of[free]] = 0.0
        y[form.row_of[free]] = 0.0
    derivatives = differentiated(form, w)
    if derivatives is None:
        return None
    nothing = np.zeros(len(bounds.index))
    pull = point(form, w, y, nothing, (f, c), derivatives)
    z = np.where(active, (bounds.sign * pull.dual[bounds.index]), 0.0)
    inside = bounds.sign * (w[bounds.index] - form.exact)
    least = float(z.min(initial=0.0))
    if (inside < 0).any() or least < -phase.tolerance * max(1.0, float(np.abs(z).max(initial=0.0))):
        return None
    # Complementarity is judged with the bounds as they are, not as the barrier saw them.
    exact = replace(form, bounds=replace(bounds, bound=form.exact))
    new: Point = point(exact, w, y, np.maximum(z, 0.0), (f, c), derivatives)
    done = replace(phase, form=exact, at=new)
    return done if done.errors().largest <= phase.tolerance else None
