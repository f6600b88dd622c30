"""What the epochs of a training run say: converged, still falling, oscillating, stalled, diverging, over-fitting.

The numbers in this file are our choices, except where a source is named; tests hold each to a run that provokes its
sentence and to one that must not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optdsl.answer.diagnosis_inputs import Course, Note, TrainingRun, TrainingTrace, Urgency, Wish
from optdsl.answer.diagnosis_landscape import Place, is_near, last_rate
from optdsl.answer.numbers import number_text, rounded
from optdsl.answer.solution import Finding

GROWN = 0.5
"""Ending so much above the start, relative to its size or to the whole fall, is divergence."""
UNMOVED = 1e-3
"""A loss that never moves by more than this share of its size has not begun to fall."""
TURNS, AMPLITUDE = 0.5, 0.02
"""Oscillation: the share of epochs at which the change turns its sign, and the mean change, relative to the fall."""
FALLING, SINKING, CLEARLY = 0.01, 0.02, 2.0
"""Still falling: the fall from one half of the last third to the other, relative to the whole fall; away from rest also
relative to the value itself; and in standard errors."""
LOW, VERY_LOW = 0.1, 0.02
"""A rate below these shares of the largest stable one is low."""
RISEN = 0.05
"""Over-fitting: the rise of the monitored value above its best, the 5% of Prechelt 1998 (GL_5)."""
BURST = 100.0
"""A gradient norm of so many times the median is a burst (Pascanu, Mikolov and Bengio 2013 clip there)."""


def course_of(trace: TrainingTrace, run: TrainingRun, place: Place) -> Course | None:
    """How the objective went; None where there are fewer than two epochs."""
    if len(trace.loss) < 2:
        return None
    if not np.isfinite(trace.loss).all() or not np.isfinite(place.objective):
        return Course.DIVERGED
    losses = _Losses(-trace.loss if run.sense == "maximize" else trace.loss)
    near = is_near(place, trace, run)
    if losses.all[-1] > losses.first + GROWN * losses.size:
        return Course.DIVERGED
    if np.ptp(losses.all) <= UNMOVED * losses.size:
        return Course.UNMOVED if near else Course.STALLED
    drop, error = losses.drop
    settled = losses.amplitude < AMPLITUDE * losses.fell
    if len(losses.tail) >= 4 and losses.turns >= TURNS and not settled and drop < losses.amplitude:
        return Course.OSCILLATES
    much = drop > FALLING * losses.fell or (not near and drop > SINKING * abs(float(losses.tail.mean())))
    if much and drop > CLEARLY * error:
        return Course.FALLING
    return Course.CONVERGED if near or place.gradient is None else Course.STALLED


def trace_findings(trace: TrainingTrace, run: TrainingRun, place: Place, course: Course | None) -> tuple[Note, ...]:
    """One finding on how the objective went, then over-fitting and bursts of the gradient."""
    found: list[Note | None] = []
    if course is not None:
        found.append(_course(trace, run, place, course))
    if course is not Course.DIVERGED:
        found += [_overfitting(trace, run), _bursts(trace)]
    return tuple(note for note in found if note is not None)


@dataclass(frozen=True, slots=True, eq=False)
class _Losses:
    """The epochs' objectives, to be made small (epochs,)."""

    all: np.ndarray

    @property
    def first(self) -> float:
        return float(self.all[0])

    @property
    def fell(self) -> float:
        """From the first to the best."""
        return float(self.all[0] - self.all.min())

    @property
    def size(self) -> float:
        return max(abs(self.first), self.fell)

    @property
    def tail(self) -> np.ndarray:
        """The last third, at least four epochs."""
        return self.all[-max(4, -(-len(self.all) // 3)) :]

    @property
    def turns(self) -> float:
        """The share of changes within the tail that go against the one before."""
        signs = np.sign(np.diff(self.tail))
        signs = signs[signs != 0]
        return float((signs[1:] != signs[:-1]).mean()) if len(signs) > 2 else 0.0

    @property
    def amplitude(self) -> float:
        """The mean change from one epoch of the tail to the next."""
        return float(np.abs(np.diff(self.tail)).mean()) if len(self.tail) > 1 else 0.0

    @property
    def drop(self) -> tuple[float, float]:
        """From the first half of the tail to its second the mean falls by so much, with this standard error."""
        half = len(self.tail) // 2
        if not half:
            return 0.0, np.inf
        early, late = self.tail[:half], self.tail[len(self.tail) - half :]
        noise = float(np.diff(self.tail).std()) / np.sqrt(2.0) if len(self.tail) > 2 else 0.0
        return float(early.mean() - late.mean()), noise * np.sqrt(2.0 / half)


def _course(trace: TrainingTrace, run: TrainingRun, place: Place, course: Course) -> Note:
    words = _Words(trace, run, place, _Losses(-trace.loss if run.sense == "maximize" else trace.loss))
    return {
        Course.DIVERGED: words.diverged,
        Course.OSCILLATES: words.oscillating,
        Course.FALLING: words.falling,
        Course.STALLED: words.stalled,
        Course.CONVERGED: words.converged,
        Course.UNMOVED: words.unmoved,
    }[course]()


@dataclass(frozen=True, slots=True, eq=False)
class _Words:
    """The findings on a course."""

    trace: TrainingTrace
    run: TrainingRun
    place: Place
    losses: _Losses

    @property
    def rate(self) -> float | None:
        return last_rate(self.trace)

    @property
    def share(self) -> float | None:
        """The rate as a share of the largest stable one; None where the noise of batches may ask for less."""
        if self.rate is None or self.place.stable is None:
            return None
        scaled_noise = self.run.preconditioner is not None and not self.run.full_batch
        return None if scaled_noise else self.rate / self.place.stable

    def _from_to(self) -> str:
        first, last = self.trace.loss[0], self.trace.loss[-1]
        span = f"From epoch {self.trace.epoch[0]:g} to {self.trace.epoch[-1]:g}"
        return f"{span} the {self.run.objective} went from {number_text(first)} to {number_text(last)}"

    def _lower(self, share: float) -> str:
        """A rate that is lower, below the stable one where that is known."""
        if self.rate is None:
            return "a lower rate"
        stable = np.inf if self.place.stable is None else self.place.stable / 2
        return f"a rate of {rounded(min(self.rate * share, stable))}"

    def _fading(self) -> str:
        """A schedule that falls to 0 from the rate that was used."""
        return f"`rate = cosine({'...' if self.rate is None else f'{self.rate:.2g}'})`"

    def diverged(self) -> Note:
        bad = np.flatnonzero(~np.isfinite(self.trace.loss))
        if len(bad) or not np.isfinite(self.place.objective):
            when = f"from epoch {self.trace.epoch[bad[0]]:g} on" if len(bad) else "over all members at the end"
            found = Finding(
                f"The run diverged: the {self.run.objective} became no number.",
                f"It is not finite {when}.",
                f"Train with {self._lower(0.1)}, or clip the gradient: `clip = 1`.",
            )
        else:
            found = Finding(
                f"The run diverges: the {self.run.objective} ended worse than it began.",
                f"{self._from_to()}.",
                f"Train with {self._lower(0.1)}.",
            )
        return Note(Urgency.BROKEN, found, Wish.LOWER)

    def oscillating(self) -> Note:
        losses, rate = self.losses, "" if self.rate is None else f" at a rate of {self.rate:.3g}"
        found = Finding(
            f"The {self.run.objective} oscillates: the rate is too high.",
            f"In the last {len(losses.tail)} epochs it changes by {losses.amplitude:.2g} from one to the next{rate}, "
            f"turning at {100 * losses.turns:.0f}% of them.",
            f"Train with {self._lower(1 / 3)}, or let it fall: {self._fading()}.",
        )
        return Note(Urgency.MISLED, found, Wish.LOWER)

    def falling(self) -> Note:
        drop, _ = self.losses.drop
        evidence = f"{self._from_to()}; by {drop:.2g} in the last {len(self.losses.tail)} epochs alone."
        falling = "rising" if self.run.sense == "maximize" else "falling"
        if self.run.patient and self.run.monitor is not None:
            found = Finding(
                f"The {self.run.objective} is still {falling}, but {self.run.monitor} does not improve any more.",
                evidence,
                f"Raise `patience` where {self.run.monitor} may improve again.",
            )
            return Note(Urgency.COURSE, found)
        if self.share is not None and self.share < LOW:
            assert self.place.stable is not None
            found = Finding(
                f"The {self.run.objective} is still {falling}, slowly: the rate is low.",
                f"{evidence} The rate is {100 * self.share:.2g}% of the largest stable one.",
                f"Raise the rate to {rounded(self._higher())}.",
            )
            return Note(Urgency.COURSE, found, Wish.RAISE)
        found = Finding(f"The {self.run.objective} is still {falling}.", evidence, "Train for more epochs.")
        return Note(Urgency.COURSE, found, Wish.MORE)

    def _higher(self) -> float:
        """A rate that is stable by far, and not more than ten times the one that was used."""
        assert self.place.stable is not None and self.rate is not None
        return min(self.place.stable / 4, 10 * self.rate)

    def stalled(self) -> Note:
        tail = len(self.losses.tail)
        evidence = f"{self._from_to()}, without a clear change in the last {tail}; yet the gradient is not small."
        noisy = self.losses.turns >= TURNS and not self.run.full_batch
        if not noisy and self.share is not None and self.share < VERY_LOW:
            assert self.place.stable is not None
            found = Finding(
                "The run stalled: the rate is too low.",
                f"{evidence} The rate is {100 * self.share:.2g}% of the largest stable one.",
                f"Raise the rate to {rounded(self._higher())}.",
            )
            return Note(Urgency.COURSE, found, Wish.RAISE)
        if noisy:
            found = Finding(
                "The run stalled at the noise of its batches.",
                evidence,
                f"Let the rate fall to 0 at the end: {self._fading()}.",
            )
            return Note(Urgency.COURSE, found, Wish.LOWER)
        found = Finding(
            "The run stalled on a plateau.",
            evidence,
            "Raise the rate for a while, or add momentum; scale the inputs if their sizes differ widely.",
        )
        return Note(Urgency.COURSE, found, Wish.RAISE)

    def unmoved(self) -> Note:
        found = Finding(
            f"The {self.run.objective} never moved: the gradient is zero where the run began.",
            f"{self._from_to()}.",
            "Start from other values (`init normal`, another `seed`), unless the start was meant to be the answer.",
        )
        return Note(Urgency.TRAPPED, found, Wish.RESTART)

    def converged(self) -> Note:
        fell = "rises" if self.run.sense == "maximize" else "falls"
        drop, _ = self.losses.drop
        found = Finding(
            f"The run converged: the {self.run.objective} {fell} no further.",
            f"{self._from_to()}; in the last {len(self.losses.tail)} by {abs(drop):.2g}.",
            "No more epochs are needed.",
        )
        return Note(Urgency.COURSE, found, Wish.DONE)


def _overfitting(trace: TrainingTrace, run: TrainingRun) -> Note | None:
    if trace.monitored is None:
        return None
    values = -trace.monitored if run.monitor_sense == "maximize" else trace.monitored
    losses = -trace.loss if run.sense == "maximize" else trace.loss
    known = np.isfinite(values) & np.isfinite(losses)
    values, losses, epochs = values[known], losses[known], trace.epoch[known]
    if len(values) < 4:
        return None
    best = int(values.argmin())
    after = values[best + 1 :]
    if len(after) < 2:
        return None
    recent = float(after[-max(1, len(after) // 3) :].mean())
    noise = float(np.median(np.abs(np.diff(values))))
    rise = recent - values[best]
    trained_on = losses[best] - losses[-1]
    if rise <= max(RISEN * abs(values[best]), 2.0 * noise) or trained_on <= 0:
        return None
    name = run.monitor or "monitored value"
    worse = "fallen" if run.monitor_sense == "maximize" else "risen"
    sign = -1.0 if run.monitor_sense == "maximize" else 1.0
    improved = "rose" if run.sense == "maximize" else "fell"
    found = Finding(
        f"The model over-fits: {name} gets worse while the {run.objective} still improves.",
        f"{name} was best, {number_text(sign * values[best])}, after epoch {epochs[best]:g}, and has {worse} to "
        f"{number_text(sign * values[-1])}; meanwhile the {run.objective} {improved} by {number_text(trained_on)}.",
        "The best parameters were kept; more data, a smaller model or `weight_decay` may bring better ones."
        if run.early
        else f"Stop near epoch {epochs[best]:g} with `patience`, which restores the best parameters, or add "
        "`weight_decay`.",
    )
    return Note(Urgency.MISLED, found, Wish.FEWER)


def _bursts(trace: TrainingTrace) -> Note | None:
    if trace.gradient_norm is None:
        return None
    known = np.isfinite(trace.gradient_norm)
    norms, epochs = trace.gradient_norm[known], trace.epoch[known]
    if len(norms) < 5:
        return None
    usual, worst = float(np.median(norms)), int(norms.argmax())
    # A large gradient at the start, which then falls, is no burst.
    before = norms[:worst]
    if not len(before) or norms[worst] <= BURST * max(usual, float(np.median(before))):
        return None
    found = Finding(
        "The gradient burst.",
        f"In epoch {epochs[worst]:g} its norm was {norms[worst]:.3g}, {norms[worst] / usual:.2g} times the usual one.",
        f"Clip the gradient: `clip = {rounded(3 * usual)}`.",
    )
    return Note(Urgency.CAUSE, found)
