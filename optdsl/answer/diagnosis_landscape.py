"""Where a training run ended: gradient, minimum or saddle, flat directions, and the rate beside the curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optdsl.answer.diagnosis_inputs import (
    Course,
    Differentiable,
    Note,
    TrainingRun,
    TrainingTrace,
    Urgency,
    VariablePart,
    Wish,
)
from optdsl.answer.numbers import number_text, rounded
from optdsl.answer.solution import Finding
from optdsl.methods.landscape import Spectrum, follow, spectrum

STATIONARY, NEAR, NEAR_WITH_NOISE = 1e-5, 1e-3, 1e-2
"""Of the relative gradient (Dennis and Schnabel 1983, section 7.2, who stop at the cube root of rounding, 6e-6): below
the first it counts as 0, below the second as small, below the third where steps saw batches. The latter two are our
choice."""
WORK = 1e11
"""Members times variables that all products with the Hessian together may take."""
SAMPLED = 6.4e9
"""Members times variables times products from which members are drawn; so many that `ENOUGH` products take as much."""
ENOUGH = 32
FEWEST_DRAWN = 1000
BASIS = 3_000_000
"""Numbers of Lanczos' basis where members are drawn: the diagnosis of a large model takes less memory than its data."""
FEWEST, MOST = 16, 200
"""Products with the Hessian."""
CURVED_DOWN = 1e-6
"""A curvature below minus this share of the largest counts as negative where following it gains."""
WORTH, WORTH_A_WORD = 1e-7, 1e-2
"""A gain below this share of the objective's size is none; away from rest, below the second it is not worth a word.
Both are our choice."""
UNSTABLE = 1.05
"""The rate counts as too large beyond this many times the largest stable step: more than the eigenvalue's error."""
NAMED_PARTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The end of a run. free (n,): what no bound holds; gradient: that of the free ones, of the Lagrangian where there
    are rows, None where it is not known. spectrum: of the Hessian of the free ones, None where it says nothing.

    way: how far to follow the direction of least curvature where it is negative, and what that gains; 0, 0: nowhere.
    sharpness: the largest eigenvalue that the method feels, preconditioned where it is and that is known; stable: the
    largest step at which it is stable there, None where that is not known.

    sample: how many of how many members the curvature is that of, None where it is of all; sharpness_error: how much
    the sharpness of two samples differs, relative.
    """

    x: np.ndarray
    objective: float
    gradient: np.ndarray | None
    free: np.ndarray
    spectrum: Spectrum | None
    way: tuple[float, float] = (0.0, 0.0)
    sharpness: float | None = None
    stable: float | None = None
    sample: tuple[int, int] | None = None
    sharpness_error: float = 0.0

    @property
    def of_members(self) -> str:
        """What the curvature is that of, where members were drawn: a clause that begins with a space."""
        return "" if self.sample is None else f" on {self.sample[0]:,} of {self.sample[1]:,} members, drawn at random"

    def relative_gradient(self, size: float) -> float | None:
        """max |g_i| max(|x_i|, 1) / size, with a size of the objective (Dennis and Schnabel 1983, equation 7.2.5)."""
        if self.gradient is None or not len(self.gradient):
            return None if self.gradient is None else 0.0
        sizes = np.maximum(np.abs(self.x[self.free]), 1.0)
        return float((np.abs(self.gradient) * sizes).max() / size)


def examine(problem: Differentiable, x: np.ndarray, run: TrainingRun) -> Place:
    """The objective, the gradient and the curvature at x."""
    objective, rows = float(problem.objective(x)), len(problem.row_lower)
    gradient = _gradient(problem, x, run)
    if gradient is None or not np.isfinite(objective):
        return Place(x, objective, None, np.ones(len(x), dtype=bool), None)
    reach = 1e-9 * np.maximum(1.0, np.abs(x))
    low, high = x - problem.lower <= reach, problem.upper - x <= reach
    free = ~((low & (gradient > 0)) | (high & (gradient < 0)) | (low & high))
    if rows or not np.isfinite(gradient).all():  # the curvature that counts is along the rows, which are not looked at
        return Place(x, objective, gradient[free], free, None)
    some, other = _drawn(problem, len(x))
    rounds = run.rounds or _rounds(some, len(x), other is not None)
    product, again = _product(some, x, free, rows), None if other is None else _product(other, x, free, rows)
    factor = stability_factor(run)
    scaled = factor is not None and run.preconditioner is not None
    seconds = run.seconds / 2 if scaled and run.seconds is not None else run.seconds
    found = spectrum(product, int(free.sum()), rounds, seconds=seconds)
    if found is not None and again is not None:  # the same directions on other members
        ends = ((found.lowest, found.least), (found.highest, found.largest))
        found = replace(found, error=max(found.error, *(float(abs(v @ again(v) - value)) for v, value in ends)))
    sharpness = None if found is None else found.largest
    differs = 0.0 if found is None or other is None or not found.largest else found.error / abs(found.largest)
    if found is not None and scaled and run.preconditioner is not None:
        # P^-1/2 H P^-1/2 has the eigenvalues of P^-1 H, which the method's steps feel (Cohen et al. 2022, section 3).
        roots = 1.0 / np.sqrt(np.maximum(run.preconditioner[free], np.finfo(float).tiny))
        felt = spectrum(lambda v: roots * product(roots * v), len(roots), rounds, seconds=seconds)
        sharpness = None if felt is None else felt.largest
        if felt is not None and again is not None and felt.largest:
            v = felt.highest
            differs = float(abs((roots * v) @ again(roots * v) - felt.largest)) / abs(felt.largest)
    stable = None
    if factor is not None and sharpness is not None and sharpness > 0:
        stable = factor / sharpness
    way = (0.0, 0.0)
    if found is not None and found.least < -CURVED_DOWN * found.size:
        way = _way(problem, some, x, _whole(found.lowest, free), objective)
    sample = None if other is None else (some.members, problem.members)  # type: ignore[attr-defined]
    return Place(x, objective, gradient[free], free, found, way, sharpness, stable, sample, differs)


def _drawn(problem: Any, n: int) -> tuple[Any, Any]:
    """The problem on some members and on some others, where products with all would take long; else all, and None."""
    members = getattr(problem, "members", 1)
    if members * float(n) * FEWEST <= SAMPLED or not hasattr(problem, "sample"):
        return problem, None
    count = max(FEWEST_DRAWN, int(SAMPLED / (ENOUGH * n)))
    return (problem, None) if 2 * count > members else (problem.sample(count, 0), problem.sample(count, 1))


def _way(problem: Differentiable, some: Any, x: np.ndarray, direction: np.ndarray, here: float) -> tuple[float, float]:
    """How far to follow a direction, and what that gains on all members; 0, 0 where it gains nothing there."""
    step, gain = follow(some.objective, x, direction, problem.lower, problem.upper)
    if some is problem or not step:
        return step, gain
    gain = here - float(problem.objective(np.clip(x + step * direction, problem.lower, problem.upper)))
    return (step, gain) if gain > 100.0 * np.finfo(float).eps * max(1.0, abs(here)) else (0.0, 0.0)


def _whole(part: np.ndarray, free: np.ndarray) -> np.ndarray:
    """A direction of the free variables as one of all."""
    whole = np.zeros(len(free))
    whole[free] = part
    return whole


def _gradient(problem: Any, x: np.ndarray, run: TrainingRun) -> np.ndarray | None:
    """The gradient of f, of the Lagrangian where there are rows; None where their multipliers are not known."""
    if not len(problem.row_lower):
        return np.asarray(problem.gradient(x), dtype=float)
    if len(run.multipliers) != len(problem.row_lower) or not hasattr(problem, "estimate"):
        return None
    gradient = np.empty(len(x))
    problem.estimate(x, slice(None), gradient, run.multipliers)
    return gradient


def _product(problem: Any, x: np.ndarray, free: np.ndarray, rows: int) -> Any:
    none = np.zeros(rows)

    def product(v: np.ndarray) -> np.ndarray:
        return np.asarray(problem.hessian_product(x, none, _whole(v, free)), dtype=float)[free]

    return product


def _rounds(problem: Any, n: int, drawn: bool) -> int:
    members = getattr(problem, "members", 1)
    most = max(FEWEST, min(MOST, 2 * BASIS // n)) if drawn else MOST
    return int(np.clip(WORK / max(1.0, float(members) * n), FEWEST, most))


def stability_factor(run: TrainingRun) -> float | None:
    """c where steps of a rate above c / lambda_max move away along the sharpest direction; None: not known.

    Gradient descent 2, heavy ball 2 + 2 beta, Nesterov (2 + 2 beta) / (1 + 2 beta) (Cohen et al. 2021, equation 1);
    with preconditioner and momentum as a mean, (2 + 2 beta) / (1 - beta) (Cohen et al. 2022, equation 6). Of nadam,
    whose step is ahead * mean + (1 - ahead) * gradient, the polynomial of the step has its root -1 at
    (2 + 2 beta) / (1 + beta - 2 ahead beta).
    """
    beta = run.momentum
    if run.method in ("sgd", "svrg", "saga", "gradient_descent"):
        return (2 + 2 * beta) / (1 + 2 * beta) if run.nesterov else 2 + 2 * beta
    if run.preconditioner is None:
        return None
    if run.method in ("adam", "adamw"):
        return (2 + 2 * beta) / (1 - beta)
    if run.method == "nadam":
        return (2 + 2 * beta) / (1 + beta - 2 * run.ahead * beta)
    return 2 + 2 * beta if run.method in ("adagrad", "rmsprop") else None


def last_rate(trace: TrainingTrace) -> float | None:
    """The largest rate of the last quarter of the epochs: at a schedule's end it may be 0."""
    rates = trace.rate[-max(1, len(trace.rate) // 4) :] if len(trace.rate) else trace.rate
    known = rates[np.isfinite(rates)]
    return float(known.max()) if len(known) and known.max() > 0 else None


def objective_size(place: Place, trace: TrainingTrace) -> float:
    """What gains and gradients are measured by: the objective, or how far it fell if that is more."""
    losses = trace.loss[np.isfinite(trace.loss)]
    fell = float(losses.max() - losses.min()) if len(losses) else 0.0
    value = abs(place.objective) if np.isfinite(place.objective) else 0.0
    return max(value, fell) or 1.0


def is_near(place: Place, trace: TrainingTrace, run: TrainingRun) -> bool:
    """Whether the gradient is known and small."""
    relative = place.relative_gradient(objective_size(place, trace))
    return relative is not None and relative <= (NEAR if run.full_batch else NEAR_WITH_NOISE)


def landscape_findings(
    place: Place,
    trace: TrainingTrace,
    parts: Sequence[VariablePart],
    run: TrainingRun,
    course: Course | None,
) -> tuple[Note, ...]:
    """Gradient, kind of point, and rate, as far as they are known; of a run that diverged only the rate matters."""
    found: list[Note | None] = []
    if course is not Course.DIVERGED:
        found.append(_about_gradient(place, trace, run, course))
    if place.spectrum is not None:
        if course is not Course.DIVERGED:
            found.append(_kind(place, place.spectrum, trace, parts, run))
        found.append(_about_rate(place, trace, run, course))
    return tuple(note for note in found if note is not None)


def _about_gradient(place: Place, trace: TrainingTrace, run: TrainingRun, course: Course | None) -> Note | None:
    relative = place.relative_gradient(objective_size(place, trace))
    if relative is None or place.gradient is None:
        return None
    if not np.isfinite(relative):
        found = Finding(
            "The gradient over all members is not finite at the end.",
            f"{int((~np.isfinite(place.gradient)).sum()):,} of its {len(place.gradient):,} entries are no numbers.",
            "Lower the rate, or clip the gradient: `clip = 1`.",
        )
        return Note(Urgency.BROKEN, found, Wish.LOWER)
    size = float(np.linalg.norm(place.gradient))
    evidence = f"Its norm over all members is {size:.3g}; relative to objective and parameters {relative:.1e}."
    if relative <= STATIONARY:
        found = Finding(
            "The gradient is zero up to accuracy: the point is stationary.", evidence, "More epochs change nothing."
        )
        return Note(Urgency.NOTE, found, Wish.DONE)
    if is_near(place, trace, run):
        found = Finding(
            "The gradient is small: the point is nearly stationary.",
            evidence,
            "Go on only where more digits are wanted, with a rate that falls to 0.",
        )
        return Note(Urgency.NOTE, found)
    if run.early:
        found = Finding(
            "The gradient is not small: the best parameters are not at a stationary point.",
            evidence,
            f"This is as it should be where {run.monitor or 'the best value'} is what counts.",
        )
        return Note(Urgency.NOTE, found)
    found = Finding(
        "The gradient is not small: the run ended before a stationary point.",
        evidence,
        "Lower the rate first."
        if course is Course.OSCILLATES
        else "Go on for more epochs, with a rate that falls to 0.",
    )
    return Note(Urgency.NOTE, found, Wish.LOWER if course is Course.OSCILLATES else Wish.MORE)


def _kind(
    place: Place,
    found: Spectrum,
    trace: TrainingTrace,
    parts: Sequence[VariablePart],
    run: TrainingRun,
) -> Note | None:
    size, near = objective_size(place, trace), is_near(place, trace, run)
    if place.way[1] > (WORTH if near else WORTH_A_WORD) * size:
        at_rest = near and (place.relative_gradient(size) or 0.0) <= STATIONARY
        trapped = near and (at_rest or place.way[1] > WORTH_A_WORD * size)
        return _way_down(place, found, parts, run, trapped, near)
    if not near:
        return None
    several = found_of(found) + place.of_members
    extent = f"the smallest of {several} is {found.least:.3g}, the largest {found.largest:.3g}"
    if found.size <= np.finfo(float).eps * size:
        level = Finding(
            f"The {run.objective} is flat around the point: no direction has curvature.",
            f"Of the Hessian {extent}.",
            "Start from other values: where the run is now no step tells the way.",
        )
        return Note(Urgency.TRAPPED, level, Wish.RESTART)
    flat = round(found.flat)
    below = f"{100 * found.resolution:g}%"
    many = f"{'' if found.complete else 'about '}{flat:,} of {len(found.lowest):,} directions"
    if flat:
        partly = Finding(
            f"The point is no saddle that was seen, but flat in {many}.",
            f"Of the Hessian {extent}; flat are curvatures below {below} of the largest.",
            "If values of single parameters matter, add a small penalty (`weight_decay`) that makes them unique.",
        )
        return Note(Urgency.NOTE, partly)
    other = "Try other seeds, unless the model is convex: a better minimum may lie elsewhere."
    if found.complete:
        strict = Finding(
            "The point is a strict local minimum."
            if (place.relative_gradient(size) or 0.0) <= STATIONARY
            else "The curvature is that of a strict local minimum.",
            f"Of the Hessian {extent}: it curves up in every direction.",
            other,
        )
        return Note(Urgency.NOTE, strict)
    probable = Finding(
        "The point looks like a minimum: no direction of negative curvature was found.",
        f"Of the Hessian {extent}, within {found.error:.1e}, after {found.products} products.",
        other,
    )
    return Note(Urgency.NOTE, probable)


def found_of(found: Spectrum) -> str:
    """What the ends of a spectrum are the ends of."""
    number = len(found.lowest)
    return f"{number:,} eigenvalues" if found.complete else f"{number:,} eigenvalues (Lanczos)"


def _way_down(
    place: Place,
    found: Spectrum,
    parts: Sequence[VariablePart],
    run: TrainingRun,
    trapped: bool,
    near: bool,
) -> Note:
    step, gain = place.way
    direction = _whole(found.lowest, place.free)
    sign = -1.0 if run.sense == "maximize" else 1.0
    better = "raises" if run.sense == "maximize" else "lowers"
    before, after = (number_text(sign * value, 6) for value in (place.objective, place.objective - gain))
    count = round(found.negative)
    number = f"{'' if found.complete else 'about '}{max(count, 1):,} of {len(found.lowest):,} directions curve down"
    evidence = (
        f"The smallest curvature{place.of_members} is {found.least:.3g} (the largest {found.largest:.3g}), along "
        f"{named(direction, parts)}; a step of {abs(step):.3g} there {better} the {run.objective} from {before} to "
        f"{after}; {number}."
    )
    if trapped:
        saddle = Finding(
            "The run ended at a saddle, not at a minimum.",
            evidence,
            "Start from random values (`init normal`, another `seed`), or go on with smaller batches: their noise "
            "leaves saddles.",
        )
        return Note(Urgency.TRAPPED, saddle, Wish.RESTART)
    advice, wish = "Go on for more epochs: descent leaves such points by itself, faster with momentum.", Wish.MORE
    if near:
        advice, wish = "Nothing needs to be done: what it gains is little.", Wish.NOTHING
    elif run.early:
        advice, wish = "This is as it should be where the best parameters are from before the end.", Wish.NOTHING
    passing = Finding("The point is no minimum: there is a direction of negative curvature.", evidence, advice)
    return Note(Urgency.NOTE, passing, wish)


def named(direction: np.ndarray, parts: Sequence[VariablePart]) -> str:
    """The variables that a direction moves, most first: `W1 (83%), b1 (17%)`."""
    total = float(direction @ direction) or 1.0
    shares = [(float(direction[part.columns] @ direction[part.columns]) / total, part.name) for part in parts]
    moved = [(share, name) for share, name in sorted(shares, key=lambda item: -item[0]) if share >= 0.01]
    if not moved:
        return "a mixture of the parameters"
    listed = ", ".join(f"`{name}` ({100 * share:.0f}%)" for share, name in moved[:NAMED_PARTS])
    return listed + (" and others" if len(moved) > NAMED_PARTS else "")


def _about_rate(place: Place, trace: TrainingTrace, run: TrainingRun, course: Course | None) -> Note | None:
    rate, sharpness = last_rate(trace), place.sharpness
    if sharpness is None or sharpness <= 0:
        return None
    through = f" as {run.method} scales it" if run.preconditioner is not None else ""
    evidence = f"The largest curvature{through}{place.of_members} is {sharpness:.3g}"
    if place.sample is not None:
        evidence += f" (other members differ by {100 * place.sharpness_error:.2g}%)"
    if place.stable is None or rate is None:
        unknown = Finding(
            "The point's sharpness is known, the largest stable rate of this method is not.",
            f"{evidence}; plain gradient steps are stable up to 2 / {sharpness:.3g} = {2 / sharpness:.3g}.",
            "Compare the sharpness of runs: flatter points often do better on new data.",
        )
        return Note(Urgency.NOTE, unknown)
    evidence += f", so that steps are stable up to a rate of {place.stable:.3g}; {rate:.3g} was used."
    if rate > UNSTABLE * (1.0 + place.sharpness_error) * place.stable:
        above = Finding(
            "The rate is above the largest stable step.",
            evidence,
            f"Lower the rate to {rounded(place.stable / 2)}.",
        )
        return Note(Urgency.NOTE if course is Course.CONVERGED else Urgency.MISLED, above, Wish.LOWER)
    if course is Course.DIVERGED:
        return None  # the curvature where it ended says nothing of where it was lost
    advice, wish = "Keep the rate, as far as stability goes.", Wish.KEEP
    if course is Course.OSCILLATES:
        advice, wish = "Lower the rate all the same: the noise of batches is not in this bound.", Wish.LOWER
    return Note(Urgency.NOTE, Finding("The rate is below the largest stable step.", evidence, advice), wish)
