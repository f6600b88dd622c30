"""The one loop around all stochastic methods."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np

from optdsl.methods.stochastic import checkpoint
from optdsl.methods.stochastic.averages import Average
from optdsl.methods.stochastic.batches import Batches
from optdsl.methods.stochastic.estimators import StochasticMethod, estimator_of, full_gradient
from optdsl.methods.stochastic.feasible import Box
from optdsl.methods.stochastic.range_test import clipped, find_rate
from optdsl.methods.stochastic.restore import LEAST_PASSES, restored
from optdsl.methods.stochastic.rows import Multipliers
from optdsl.methods.stochastic.run import (
    COLUMNS,
    Fault,
    Hooks,
    Kept,
    News,
    TrainingEnding,
    TrainingRun,
    TrainingSettings,
)
from optdsl.methods.stochastic.schedules import Moment, Schedule
from optdsl.methods.stochastic.updates import Stepper
from optdsl.methods.stochastic.watch import Watch
from optdsl.nlp import FiniteSum

BEYOND = 1e12
"""A loss that many times above (below) the first one, or above 1, has diverged (falls without end)."""


def train(
    problem: FiniteSum, method: StochasticMethod, settings: TrainingSettings, hooks: Hooks | None = None
) -> TrainingRun:
    """Runs a method over the epochs, and says how that ended; see `run` for what goes in and what comes out.

    The order of the members in an epoch depends on the seed and the epoch only, so runs repeat on any machine.
    Raises CheckpointError where a run cannot be resumed. Exceptions of hooks end the run and pass.
    """
    with np.errstate(all="ignore"):
        return _Run(problem, method, settings, hooks or Hooks()).go()


class _Run:
    """The state of a run. What is saved: x, `numbers`, `records`, and the arrays and numbers of its parts."""

    def __init__(self, problem: FiniteSum, method: StochasticMethod, settings: TrainingSettings, hooks: Hooks) -> None:
        self.problem, self.method, self.settings, self.hooks = problem, method, settings, hooks
        self.began = time.perf_counter()
        self.feasible = hooks.feasible or Box(problem.lower, problem.upper)
        self.x = problem.start.astype(problem.dtype)
        self.feasible.project(self.x)
        shuffled = method.estimator != "saga"
        self.batches = Batches(problem.members, settings.batch, settings.seed, shuffled)
        self.steps = settings.epochs * self.batches.count
        n = len(self.x)
        self.gradient = np.zeros_like(self.x)
        self.stepper = Stepper(method.update, n, self.x.dtype, self.feasible.coupled)
        self.estimator = estimator_of(method.estimator, problem, self.batches)
        self.average = Average(settings.average, n, self.steps, settings.decay)
        self.watch = Watch(self.x, hooks.rising and hooks.monitor is not None)
        self.rows: Multipliers | None = None
        if len(problem.row_lower) and np.any(np.isfinite(problem.row_lower) | np.isfinite(problem.row_upper)):
            self.rows = Multipliers(problem, self.steps, self.batches.count, settings.penalty, settings.seed)
        self.schedule: Schedule = settings.rate
        self.notes: list[str] = []
        self.records: list[tuple[float, ...]] = []
        self.numbers: dict[str, Any] = {
            "epoch": 0,
            "batch": 0,
            "loss": 0.0,
            "seen": 0.0,
            "norms": 0.0,
            "rate": math.nan,
            "monitored": math.nan,
            "start_loss": math.nan,
            "ending": None,
            "seconds": 0.0,
            "epoch_seconds": 0.0,
        }
        self.fault: Fault | None = None
        self.saved_at, self.told_at = self.began, -math.inf
        self.lap = self.began

    # ------------------------------------------------------------------------------------------------- the loop

    def go(self) -> TrainingRun:
        """From the start, or from a checkpoint, to the end."""
        ending = self._resume() if self.hooks.checkpoints is not None and self.hooks.checkpoints.resume else None
        if ending is None:
            self._prepare()
            self._clock(in_epoch=False)
            ending = self._epochs()
            self._clock()
            if ending not in (TrainingEnding.TIME_LIMIT, TrainingEnding.INTERRUPTED):
                self.numbers["ending"] = ending.name
            self._save()
        return self._result(ending)

    def _prepare(self) -> None:
        if self.schedule.rate is None:
            self.batches.arrange(0)
            found = find_rate(self.problem, self.method.update, self.batches, self.feasible, self.settings.clip)
            self.schedule = self.schedule.with_rate(found.rate)
            self.notes.append(found.note)
        monitor, watch = self.hooks.monitor, self.watch
        if monitor is not None and self.rows is None and watch.untouched:
            # The start may be the best there is, as where a saved network is trained on.
            value = float(monitor(self.x))
            if math.isfinite(value):
                watch.judge(self.x, value, 0.0, 0)

    def _epochs(self) -> TrainingEnding:
        numbers = self.numbers
        while numbers["epoch"] < self.settings.epochs:
            self.batches.arrange(numbers["epoch"])
            if numbers["batch"] == 0:
                self.estimator.begin(self.x, self.rows.last if self.rows is not None else None)
            while numbers["batch"] < self.batches.count:
                ending = self._cut_off() or self._step()
                if ending is not None:
                    return ending
                self._between()
            ending = self._end_epoch()
            if ending is not None:
                return ending
        return TrainingEnding.EPOCHS

    def _step(self) -> TrainingEnding | None:
        numbers, number = self.numbers, self.batches.number(self.numbers["batch"])
        share, weights, observed = self.batches.share(number), None, np.zeros(0)
        if self.rows is not None:
            observed = self.problem.row_estimates(self.x, self.batches.members_of(number))
            if not np.isfinite(observed).all():
                return self._broken(number, math.nan)
            weights = self.rows.weights(observed)
        loss = self.estimator.estimate(self.x, number, self.gradient, weights)
        norm = clipped(self.gradient, self.settings.clip)
        first = numbers["start_loss"] if math.isfinite(numbers["start_loss"]) else loss
        if not (math.isfinite(loss) and math.isfinite(norm)) or abs(loss - first) > BEYOND * (1 + abs(first)):
            return self._broken(number, loss)
        if math.isnan(numbers["start_loss"]):
            numbers["start_loss"] = loss
        taken = numbers["epoch"] * self.batches.count + numbers["batch"]
        moment = Moment(taken, self.steps, numbers["epoch"])
        rate = self.schedule.at(moment, int(self.watch.numbers["cuts"]))
        if self.rows is not None:
            self.rows.observe(self.problem, self.x, self.batches.members_of(number), observed, share)
        self.stepper.step(self.x, self.gradient, rate)
        self.feasible.project(self.x)
        self.average.take(self.x, taken)
        numbers["loss"] += share * loss
        numbers["seen"] += share
        numbers["norms"] += norm
        numbers["rate"] = rate
        numbers["batch"] += 1
        return None

    def _cut_off(self) -> TrainingEnding | None:
        if self.hooks.stop is not None and self.hooks.stop():
            return TrainingEnding.INTERRUPTED
        limit = self.settings.seconds
        if limit is not None and time.perf_counter() - self.began >= limit:
            return TrainingEnding.TIME_LIMIT
        return None

    def _between(self) -> None:
        """News and checkpoints between batches, where it is time."""
        hooks, now = self.hooks, time.perf_counter()
        if hooks.news is not None and now - self.told_at >= hooks.news_seconds:
            self._tell(now)
        if hooks.checkpoints is not None and now - self.saved_at >= hooks.checkpoints.seconds:
            self._save()

    def _tell(self, now: float) -> None:
        numbers, count = self.numbers, self.batches.count
        self.told_at = now
        spent = numbers["seconds"] + now - self.lap
        done = numbers["epoch"] * count + numbers["batch"]
        in_epoch = numbers["epoch_seconds"] + now - self.lap
        assert self.hooks.news is not None
        self.hooks.news(
            News(
                epoch=numbers["epoch"] + 1,
                epochs=self.settings.epochs,
                batch=numbers["batch"],
                batches=count,
                loss=numbers["loss"] / numbers["seen"] if numbers["seen"] else math.nan,
                monitored=numbers["monitored"],
                rate=numbers["rate"],
                examples_per_second=numbers["seen"] * self.problem.members / in_epoch if in_epoch > 0 else math.nan,
                seconds=spent,
                seconds_left=spent / done * (self.steps - done) if done else math.nan,
            )
        )

    def _clock(self, in_epoch: bool = True) -> None:
        """Books the time since the last call."""
        now = time.perf_counter()
        self.numbers["seconds"] += now - self.lap
        if in_epoch:
            self.numbers["epoch_seconds"] += now - self.lap
        self.lap = now

    # ---------------------------------------------------------------------------------------------- between epochs

    def _candidate(self) -> np.ndarray:
        """The parameters that are judged: the average where there is one."""
        return self.average.value.astype(self.x.dtype) if self.average.begun else self.x

    def _end_epoch(self) -> TrainingEnding | None:
        numbers, settings, watch = self.numbers, self.settings, self.watch
        self._clock()
        per_second = self.problem.members / max(numbers["epoch_seconds"], 1e-12)
        loss = numbers["loss"] / numbers["seen"]
        epoch = numbers["epoch"] + 1
        norm = numbers["norms"] / self.batches.count
        violation = self.rows.end_epoch() if self.rows is not None else math.nan
        candidate = self._candidate()
        monitor = self.hooks.monitor
        numbers["monitored"] = monitored = math.nan if monitor is None else float(monitor(candidate))
        if monitor is not None and not math.isfinite(monitored):
            self._once("the monitored value is not a finite number after an epoch")
        objective = self.problem.objective(candidate) if settings.full else math.nan
        judged = loss if monitor is None else monitored
        watch.judge(candidate, judged, 0.0 if math.isnan(violation) else violation, epoch)
        if self.schedule.shape == "plateau":
            watch.plateau(judged, self.schedule.value("patience"), self.schedule.value("threshold"))
        settled = settings.loss_tolerance > 0 and watch.settled(loss, settings.loss_tolerance)
        converged = settings.tolerance > 0 and self._residual(candidate) <= settings.tolerance
        self._clock()
        rate = numbers["rate"]
        self.records.append((epoch, loss, objective, monitored, rate, norm, violation, per_second, numbers["seconds"]))
        if self.hooks.news is not None:
            self._tell(time.perf_counter())
        numbers.update(epoch=epoch, batch=0, loss=0.0, seen=0.0, norms=0.0, epoch_seconds=0.0)
        places = self.hooks.checkpoints
        if places is not None and places.epochs and epoch % places.epochs == 0:
            self._save()
        if converged:
            return TrainingEnding.CONVERGED
        if settled:
            return TrainingEnding.SETTLED
        return TrainingEnding.PATIENCE if 0 < settings.patience <= watch.numbers["waited"] else None

    def _residual(self, x: np.ndarray) -> float:
        """The largest entry of x - P(x - g), g the gradient of the Lagrangian over all members."""
        weights = None if self.rows is None else self.rows.last
        gradient = self.problem.gradient(x)
        if weights is not None:
            gradient = full_gradient(self.problem, x, self.batches.size, weights)
        moved = x.astype(np.float64) - gradient
        self.feasible.project(moved)
        return float(np.abs(x - moved).max(initial=0.0))

    def _once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    # ------------------------------------------------------------------------------------------------ broken off

    def _broken(self, number: int, loss: float) -> TrainingEnding:
        """Why a step cannot be taken, and what to try."""
        members = self.batches.members_of(number)
        epoch, batch = self.numbers["epoch"] + 1, self.numbers["batch"] + 1
        begin = self.problem.start.astype(self.x.dtype)
        self.feasible.project(begin)
        if math.isfinite(loss) and loss < 0 and loss < self.numbers["start_loss"]:
            text = "bound the variables, or add a penalty on large parameters"
            self.fault = Fault(epoch, batch, None, text)
            return TrainingEnding.UNBOUNDED
        there = self.problem.estimate(begin, members, self.gradient)
        rows = self.problem.row_estimates(begin, members) if self.rows is not None else np.zeros(0)
        if not (math.isfinite(there) and np.isfinite(self.gradient).all() and np.isfinite(rows).all()):
            culprit = self.problem.culprit(begin, members)
            text = "this batch has no finite value at the start either: look at its data, or start elsewhere"
            if math.isfinite(there) and np.isfinite(rows).all():
                text = "this batch has no finite slope at the start, as `sqrt` has none at 0: start elsewhere"
            self.fault = Fault(epoch, batch, culprit, text)
            return TrainingEnding.UNDEFINED
        culprit = self.problem.culprit(self.x, members)
        self.fault = Fault(epoch, batch, culprit, self._suggestion())
        return TrainingEnding.DIVERGED

    def _suggestion(self) -> str:
        """A smaller rate: what a range test finds, where that is less, else a tenth."""
        assert self.schedule.rate is not None
        tenth = float(f"{self.schedule.rate / 10:.2g}")
        if self.hooks.stop is not None and self.hooks.stop():
            return f"try rate = {self.schedule.with_rate(tenth)}"
        self.batches.arrange(0)
        found = find_rate(self.problem, self.method.update, self.batches, self.feasible, self.settings.clip)
        if found.fell and found.rate < self.schedule.rate:
            return f"try rate = {self.schedule.with_rate(found.rate)}, which a range test finds"
        return f"try rate = {self.schedule.with_rate(tenth)}"

    # ----------------------------------------------------------------------------------------------- checkpoints

    def _parts(self) -> dict[str, Any]:
        """The parts of a run that remember something, each with `arrays`, most with `numbers`."""
        parts: dict[str, Any] = {"update": self.stepper.memory, "coupled": self.stepper.apart}
        parts |= {"estimator": self.estimator, "average": self.average, "watch": self.watch}
        return parts if self.rows is None else {**parts, "rows": self.rows}

    def _save(self) -> None:
        places = self.hooks.checkpoints
        if places is None:
            return
        self._clock()
        arrays = {"x": self.x, "records": np.array(self.records).reshape(-1, len(COLUMNS))}
        numbers: dict[str, Any] = {"run": self.numbers, "rate": self.schedule.rate, "notes": self.notes}
        if self.fault is not None:
            numbers["fault"] = [self.fault.epoch, self.fault.batch, self.fault.culprit, self.fault.suggestion]
        for name, part in self._parts().items():
            arrays |= {f"{name}.{key}": array for key, array in part.arrays.items()}
            numbers[name] = getattr(part, "numbers", {})
        taken = self.numbers["epoch"] * self.batches.count + self.numbers["batch"]
        checkpoint.save(places.folder, checkpoint.Saved(arrays, numbers), places.marks, taken)
        self.saved_at = time.perf_counter()

    def _resume(self) -> TrainingEnding | None:
        """Puts the run where its last checkpoint was; the ending, where it had ended."""
        places = self.hooks.checkpoints
        assert places is not None
        found = checkpoint.load(places.folder, places.marks)
        if found is None:
            self.notes.append(f"there is no checkpoint in {places.folder}, so the run begins anew")
            return None
        for name, part in self._parts().items():
            for key, array in part.arrays.items():
                saved = found.arrays.get(f"{name}.{key}")
                if saved is None or saved.shape != array.shape or saved.dtype != array.dtype:
                    hint = "leave --resume out to begin anew"
                    raise checkpoint.CheckpointError("the checkpoint belongs to a run of another size", hint)
                part.arrays[key] = saved
            if hasattr(part, "numbers"):
                part.numbers.update(found.numbers[name])
        self.x = found.arrays["x"]
        self.records = [tuple(row) for row in found.arrays["records"].tolist()]
        self.numbers.update(found.numbers["run"])
        self.schedule = replace(self.schedule, rate=found.numbers["rate"])
        self.notes = list(found.numbers["notes"])
        if "fault" in found.numbers:
            self.fault = Fault(*found.numbers["fault"])
        ending = self.numbers["ending"]
        return None if ending is None else TrainingEnding[ending]

    # ---------------------------------------------------------------------------------------------------- the end

    def _result(self, ending: TrainingEnding) -> TrainingRun:
        x, kept, epoch = self._chosen(ending)
        self.feasible.project(x)
        if self.rows is not None and np.isfinite(x).all():
            x = restored(self.problem, x, self.feasible, self.batches.size, max(LEAST_PASSES, len(self.records)))
        exact = _on_bounds(x, self.problem)
        self.feasible.project(exact)
        m = len(self.problem.row_lower)
        return TrainingRun(
            x=exact,
            kept=kept,
            kept_epoch=epoch,
            ending=ending,
            epochs=len(self.records),
            steps=self.numbers["epoch"] * self.batches.count + self.numbers["batch"],
            seconds=self.numbers["seconds"],
            records=np.array(self.records).reshape(-1, len(COLUMNS)),
            row_multipliers=self.rows.arrays["multipliers"].copy() if self.rows is not None else np.zeros(m),
            rate=self.schedule,
            notes=tuple(self.notes),
            fault=self.fault,
            start_loss=self.numbers["start_loss"],
            scaling=self.stepper.scaling(),
        )

    def _chosen(self, ending: TrainingEnding) -> tuple[np.ndarray, Kept, int]:
        """Which parameters are handed back, and after which epoch they were had."""
        best = self.watch.arrays["best"].copy(), Kept.BEST, int(self.watch.numbers["epoch"])
        broken = (TrainingEnding.DIVERGED, TrainingEnding.UNBOUNDED, TrainingEnding.UNDEFINED)
        if ending is TrainingEnding.DIVERGED and self.hooks.monitor is None and best[2]:
            return self._better_than_start(best)
        if ending in broken or ending is TrainingEnding.PATIENCE or self.hooks.monitor is not None:
            return best
        if ending in (TrainingEnding.TIME_LIMIT, TrainingEnding.INTERRUPTED) and self.numbers["seen"] > 0:
            loss = self.numbers["loss"] / self.numbers["seen"]
            if not self.average.begun and loss > self.watch.numbers["value"]:
                return best
        kept = Kept.AVERAGED if self.average.begun else Kept.LAST
        return self._candidate().copy(), kept, len(self.records)


    def _better_than_start(self, best: tuple[np.ndarray, Kept, int]) -> tuple[np.ndarray, Kept, int]:
        """The best parameters of a run that diverged, or the start where the first epoch was worse already."""
        begin = self.problem.start.astype(self.x.dtype)
        self.feasible.project(begin)
        there, here = (self.problem.objective(x.astype(np.float64)) for x in (begin, best[0]))
        return (begin, Kept.BEST, 0) if math.isfinite(there) and not here <= there else best


def _on_bounds(x: np.ndarray, problem: FiniteSum) -> np.ndarray:
    """x in float64, where float32 parameters that lie at a bound as nearly as they can lie at it exactly."""
    exact = x.astype(np.float64)
    if x.dtype != np.float64:
        for side in (problem.lower, problem.upper):
            near = np.abs(exact - side) <= np.abs(np.spacing(side.astype(x.dtype)))
            exact[near] = side[near]
    return exact
