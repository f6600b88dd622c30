"""Where a training run ended: gradient, minimum or saddle, flat directions, and the rate beside the curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.answer.diagnosis_inputs import Course, Differentiable, TrainingRun, TrainingTrace, VariablePart
from optdsl.answer.numbers import number_text, rounded
from optdsl.answer.solution import Finding
from optdsl.methods.landscape import Spectrum, follow, spectrum

STATIONARY, NEAR, NEAR_WITH_NOISE = 1e-5, 1e-3, 1e-2
"""Of the relative gradient (Dennis and Schnabel 1983, section 7.2, who stop at the cube root of rounding, 6e-6): below
the first it counts as 0, below the second as small, below the third where steps saw batches. The latter two are our
choice."""
WORK = 1e11
"""Members times variables that all products with the Hessian together may take."""
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
    """

    x: np.ndarray
    objective: float
    gradient: np.ndarray | None
    free: np.ndarray
    spectrum: Spectrum | None
    way: tuple[float, float] = (0.0, 0.0)
    sharpness: float | None = None
    stable: float | None = None

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
    rounds = run.rounds or _rounds(problem, len(x))
    product = _product(problem, x, free)
    found = spectrum(product, int(free.sum()), rounds, seconds=run.seconds)
    sharpness = None if found is None else found.largest
    factor = stability_factor(run)
    if found is not None and factor is not None and run.preconditioner is not None:
        roots = 1.0 / np.sqrt(np.maximum(run.preconditioner[free], np.finfo(float).tiny))
        felt = spectrum(lambda v: roots * product(roots * v), len(roots), rounds, seconds=run.seconds)
        sharpness = None if felt is None else felt.largest
    stable = None
    if factor is not None and sharpness is not None and sharpness > 0:
        stable = factor / sharpness
    way = (0.0, 0.0)
    if found is not None and found.least < -CURVED_DOWN * found.size:
        way = follow(problem.objective, x, _whole(found.lowest, free), problem.lower, problem.upper)
    return Place(x, objective, gradient[free], free, found, way, sharpness, stable)


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


def _product(problem: Differentiable, x: np.ndarray, free: np.ndarray) -> Any:
    none = np.zeros(len(problem.row_lower))

    def product(v: np.ndarray) -> np.ndarray:
        return np.asarray(problem.hessian_product(x, none, _whole(v, free)), dtype=float)[free]

    return product


def _rounds(problem: Differentiable, n: int) -> int:
    members = getattr(problem, "members", 1)
    return int(np.clip(WORK / max(1.0, float(members) * n), FEWEST, MOST))


def stability_factor(run: TrainingRun) -> float | None:
    """c where steps of a rate above c / lambda_max move away along the sharpest direction; None: not known.

    Gradient descent 2, heavy ball 2 + 2 beta, Nesterov (2 + 2 beta) / (1 + 2 beta) (Cohen et al. 2021, equation 1);
    with preconditioner and momentum as a mean, (2 + 2 beta) / (1 - beta) (Cohen et al. 2022, equation 6).
    """
    beta = run.momentum
    if run.method in ("sgd", "svrg", "saga", "gradient_descent"):
        return (2 + 2 * beta) / (1 + 2 * beta) if run.nesterov else 2 + 2 * beta
    if run.preconditioner is None:
        return None
    if run.method in ("adam", "adamw"):
        return (2 + 2 * beta) / (1 - beta)
    return 2.0 if run.method in ("adagrad", "rmsprop") and beta == 0 else None


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
) -> tuple[Finding, ...]:
    """Gradient, kind of point, and rate, as far as they are known; of a run that diverged only the rate matters."""
    found: list[Finding | None] = []
    if course is not Course.DIVERGED:
        found.append(_about_gradient(place, trace, run, course))
    if place.spectrum is not None:
        if course is not Course.DIVERGED:
            found.append(_kind(place, place.spectrum, trace, parts, run))
        found.append(_about_rate(place, trace, run, course))
    return tuple(finding for finding in found if finding is not None)


def _about_gradient(place: Place, trace: TrainingTrace, run: TrainingRun, course: Course | None) -> Finding | None:
    relative = place.relative_gradient(objective_size(place, trace))
    if relative is None or place.gradient is None:
        return None
    if not np.isfinite(relative):
        return Finding(
            "The gradient over all members is not finite at the end.",
            f"{int((~np.isfinite(place.gradient)).sum()):,} of its {len(place.gradient):,} entries are no numbers.",
            "Lower the rate, or clip the gradient: `clip = 1`.",
        )
    size = float(np.linalg.norm(place.gradient))
    evidence = f"Its norm over all members is {size:.3g}; relative to objective and parameters {relative:.1e}."
    if relative <= STATIONARY:
        return Finding(
            "The gradient is zero up to accuracy: the point is stationary.", evidence, "More epochs change nothing."
        )
    if is_near(place, trace, run):
        return Finding(
            "The gradient is small: the point is nearly stationary.",
            evidence,
            "Go on only where more digits are wanted, with a rate that falls to 0.",
        )
    return Finding(
        "The gradient is not small: the run ended before a stationary point.",
        evidence,
        "Lower the rate first."
        if course is Course.OSCILLATES
        else "Go on for more epochs, with a rate that falls to 0.",
    )


def _kind(
    place: Place,
    found: Spectrum,
    trace: TrainingTrace,
    parts: Sequence[VariablePart],
    run: TrainingRun,
) -> Finding | None:
    size, near = objective_size(place, trace), is_near(place, trace, run)
    if place.way[1] > (WORTH if near else WORTH_A_WORD) * size:
        return _way_down(place, found, parts, run, near)
    if not near:
        return None
    extent = f"the smallest of {found_of(found)} is {found.least:.3g}, the largest {found.largest:.3g}"
    if found.size <= np.finfo(float).eps * size:
        return Finding(
            f"The {run.objective} is flat around the point: no direction has curvature.",
            f"Of the Hessian over all members {extent}.",
            "Start from other values: where the run is now no step tells the way.",
        )
    flat = round(found.flat)
    below = f"{100 * found.resolution:g}%"
    many = f"{'' if found.complete else 'about '}{flat:,} of {len(found.lowest):,} directions"
    if flat:
        return Finding(
            f"The point is no saddle that was seen, but flat in {many}.",
            f"Of the Hessian {extent}; flat are curvatures below {below} of the largest.",
            "If values of single parameters matter, add a small penalty (`weight_decay`) that makes them unique.",
        )
    if found.complete:
        return Finding(
            "The point is a strict local minimum."
            if (place.relative_gradient(size) or 0.0) <= STATIONARY
            else "The curvature is that of a strict local minimum.",
            f"Of the Hessian {extent}: it curves up in every direction.",
            "Try other seeds, unless the model is convex: a better minimum may lie elsewhere.",
        )
    return Finding(
        "The point looks like a minimum: no direction of negative curvature was found.",
        f"Of the Hessian {extent}, within {found.error:.1e}, after {found.products} products.",
        "Try other seeds, unless the model is convex: a better minimum may lie elsewhere.",
    )


def found_of(found: Spectrum) -> str:
    """What the ends of a spectrum are the ends of."""
    number = len(found.lowest)
    return f"{number:,} eigenvalues" if found.complete else f"{number:,} eigenvalues (Lanczos)"


def _way_down(
    place: Place,
    found: Spectrum,
    parts: Sequence[VariablePart],
    run: TrainingRun,
    near: bool,
) -> Finding:
    step, gain = place.way
    direction = _whole(found.lowest, place.free)
    sign = -1.0 if run.sense == "maximize" else 1.0
    better = "raises" if run.sense == "maximize" else "lowers"
    before, after = (number_text(sign * value, 6) for value in (place.objective, place.objective - gain))
    count = round(found.negative)
    number = f"{'' if found.complete else 'about '}{max(count, 1):,} of {len(found.lowest):,} directions curve down"
    evidence = (
        f"The smallest curvature is {found.least:.3g} (the largest {found.largest:.3g}), along "
        f"{named(direction, parts)}; a step of {abs(step):.3g} there {better} the {run.objective} from {before} to "
        f"{after}; {number}."
    )
    if near:
        return Finding(
            "The run ended at a saddle, not at a minimum.",
            evidence,
            "Start from random values (`init normal`, another `seed`), or go on with smaller batches: their noise "
            "leaves saddles.",
        )
    return Finding(
        "The point is no minimum: there is a direction of negative curvature.",
        evidence,
        "Go on for more epochs: descent leaves such points by itself, faster with momentum.",
    )


def named(direction: np.ndarray, parts: Sequence[VariablePart]) -> str:
    """The variables that a direction moves, most first: `W1 (83%), b1 (17%)`."""
    total = float(direction @ direction) or 1.0
    shares = [(float(direction[part.columns] @ direction[part.columns]) / total, part.name) for part in parts]
    moved = [(share, name) for share, name in sorted(shares, key=lambda item: -item[0]) if share >= 0.01]
    if not moved:
        return "a mixture of the parameters"
    listed = ", ".join(f"`{name}` ({100 * share:.0f}%)" for share, name in moved[:NAMED_PARTS])
    return listed + (" and others" if len(moved) > NAMED_PARTS else "")


def _about_rate(place: Place, trace: TrainingTrace, run: TrainingRun, course: Course | None) -> Finding | None:
    rate, sharpness = last_rate(trace), place.sharpness
    if sharpness is None or sharpness <= 0:
        return None
    through = " through the method's own scaling" if run.preconditioner is not None else ""
    evidence = f"The largest curvature{through} is {sharpness:.3g}"
    if place.stable is None or rate is None:
        plain = f"{evidence}; plain gradient steps are stable up to 2 / {sharpness:.3g} = {2 / sharpness:.3g}."
        return Finding(
            "The point's sharpness is known, the largest stable rate of this method is not.",
            plain,
            "Compare the sharpness of runs: flatter points often do better on new data.",
        )
    evidence += f", so that steps are stable up to a rate of {place.stable:.3g}; {rate:.3g} was used."
    if rate > UNSTABLE * place.stable:
        return Finding(
            "The rate is above the largest stable step.",
            evidence,
            f"Lower the rate to {rounded(place.stable / 2)}.",
        )
    if course is Course.DIVERGED:
        return None  # the curvature where it ended says nothing of where it was lost
    advice = "Keep the rate, as far as stability goes."
    if course is Course.OSCILLATES:
        advice = "Lower the rate all the same: the noise of batches is not in this bound."
    return Finding("The rate is below the largest stable step.", evidence, advice)
