"""What the layers of a trained model say: dead and saturated units, gradients that vanish or explode by variable."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from optdsl.answer.diagnosis_inputs import LayerValues, Note, TrainingRun, TrainingTrace, Urgency, VariablePart, Wish
from optdsl.answer.diagnosis_landscape import (
    WORTH_A_WORD,
    Place,
    is_near,
    last_rate,
    objective_size,
)
from optdsl.answer.numbers import rounded
from optdsl.answer.solution import Finding

DEAD_SHARE = 0.05
"""From this share of dead units on they are worth a word. Our choice."""
MOSTLY_DEAD = 0.5
"""From this share on they come first: what is left of the layer says little. Our choice."""
TAIL = 0.05
"""A value lies in a tail where the slope is below this share of the steepest. Our choice."""
SATURATED, SATURATED_SHARE = 0.95, 0.25
"""A unit is saturated with this share of the members in its tails; a layer with this share of such units."""
VANISHED = 1e-4
"""A gradient of so little beside the largest one has vanished. Our choice."""
EXPLODED = 10.0
"""A plain step of so many times the variable's own size is an explosion. Our choice."""

SLOPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "sigmoid": lambda z, a: 4.0 * a * (1.0 - a),
    "logistic": lambda z, a: 4.0 * a * (1.0 - a),
    "tanh": lambda z, a: 1.0 - a * a,
}
"""The slope of functions that saturate, relative to the steepest, at arguments and values (Glorot and Bengio 2010)."""


def layer_findings(
    layers: Sequence[LayerValues],
    parts: Sequence[VariablePart],
    trace: TrainingTrace,
    run: TrainingRun,
    place: Place,
) -> tuple[Note, ...]:
    """Dead units and saturated ones by layer, then gradients by variable; nothing where numbers are no more finite."""
    if not all(np.isfinite(layer.argument).all() for layer in layers):
        return ()
    dead = [_dead(layer) for layer in layers]
    found = [*dead, *(_saturated(layer) for layer in layers)]
    if place.gradient is not None:
        gradient = np.zeros(len(place.x))
        gradient[place.free] = place.gradient
        found.append(_exploding(gradient, place, parts, trace, run))
        left = not is_near(place, trace, run) or place.way[1] > WORTH_A_WORD * objective_size(place, trace)
        moved = all(size > 0 for _, size, _ in _sizes(gradient, place, parts))  # what is still 0 has its own cause
        if layers and left and moved and not any(dead):
            found.append(_vanishing(gradient, place, parts))
    return tuple(note for note in found if note is not None)


def _where(layer: LayerValues) -> str:
    line = "" if layer.line is None else f", line {layer.line}"
    return f"`{layer.name}` ({layer.function}{line})"


def _units(values: np.ndarray) -> np.ndarray:
    """Members by units."""
    return np.asarray(values).reshape(len(values), -1) if np.ndim(values) else np.asarray(values).reshape(1, 1)


def _dead(layer: LayerValues) -> Note | None:
    """Units of `relu` that give 0 for every member: no gradient comes through any more (Maas et al. 2013)."""
    if layer.function != "relu" or not np.size(layer.argument):
        return None
    argument = _units(layer.argument)
    dead = np.asarray((argument <= 0).all(axis=0))
    if dead.mean() < DEAD_SHARE or len(argument) < 2:
        return None
    found = Finding(
        f"Units are dead: {int(dead.sum()):,} of {len(dead):,} in {_where(layer)}.",
        f"Their argument is negative or 0 for all {len(argument):,} members, so that no gradient reaches them.",
        "Start again with a lower rate or `init he`; a leaky function, max(z, 0.01*z), keeps units alive.",
    )
    return Note(Urgency.TRAPPED if dead.mean() >= MOSTLY_DEAD else Urgency.CAUSE, found, Wish.RESTART)


def _saturated(layer: LayerValues) -> Note | None:
    slope = SLOPES.get(layer.function)
    if slope is None or not layer.hidden or not np.size(layer.argument):
        return None
    flat = slope(_units(layer.argument), _units(layer.value)) < TAIL
    units = flat.mean(axis=0) >= SATURATED
    if units.mean() < SATURATED_SHARE:
        return None
    found = Finding(
        f"Units are saturated: {int(units.sum()):,} of {len(units):,} in {_where(layer)}.",
        f"For {100 * flat.mean():.0f}% of the values the slope is below {100 * TAIL:g}% of the steepest.",
        "Start from smaller weights (`init xavier`) and scale the inputs to about 1.",
    )
    return Note(Urgency.TRAPPED if units.mean() >= MOSTLY_DEAD else Urgency.CAUSE, found, Wish.RESTART)


def _sizes(gradient: np.ndarray, place: Place, parts: Sequence[VariablePart]) -> list[tuple[float, float, str]]:
    """Of each variable that no bound holds: the norm of its gradient, its own norm, its name."""
    return [
        (float(np.linalg.norm(gradient[p.columns])), float(np.linalg.norm(place.x[p.columns])), p.name)
        for p in parts
        if place.free[p.columns].any()
    ]


def _vanishing(gradient: np.ndarray, place: Place, parts: Sequence[VariablePart]) -> Note | None:
    """The gradient of one variable far below another's, though there is a way down (Glorot and Bengio 2010)."""
    slopes = [(slope, name) for slope, _, name in _sizes(gradient, place, parts)]
    half = len(slopes) // 2  # a bias of the output may be fitted already; what is declared first is near the inputs
    if not half:
        return None
    (least, name), (most, other) = min(slopes[:half]), max(slopes[half:])
    if least > VANISHED * most:
        return None
    found = Finding(
        f"The gradient vanishes at `{name}`.",
        f"Its norm there is {least:.2g}, beside {most:.2g} at `{other}`.",
        "Use `relu` or residual connections in place of functions that saturate, with `init he` or `init xavier`.",
    )
    return Note(Urgency.CAUSE, found)


def _exploding(
    gradient: np.ndarray, place: Place, parts: Sequence[VariablePart], trace: TrainingTrace, run: TrainingRun
) -> Note | None:
    rate = last_rate(trace)
    if rate is None or run.method not in ("sgd", "svrg", "saga"):
        return None
    steps = [(rate * slope / size, slope, name) for slope, size, name in _sizes(gradient, place, parts) if size > 0]
    if not steps or max(steps)[0] <= EXPLODED:
        return None
    step, slope, name = max(steps)
    found = Finding(
        f"The gradient explodes at `{name}`.",
        f"Its norm there is {slope:.2g}: a step of rate {rate:.3g} moves `{name}` by {step:.2g} times its own size.",
        f"Clip the gradient (`clip = 1`) or train with a rate of {rounded(rate / step)}.",
    )
    return Note(Urgency.BROKEN, found, Wish.LOWER)
