"""What goes into a training run and what comes out: settings, hooks, news, records, endings."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from optdsl.methods.stochastic.schedules import Schedule
from optdsl.methods.stochastic.updates import Coupled, Scaling


class TrainingEnding(enum.Enum):
    """How a training run ended; the value is the sentence that a person reads."""

    EPOCHS = "all epochs were done"
    CONVERGED = "the gradient on the full data is within the tolerance"
    SETTLED = "the loss changes by less than its tolerance"
    PATIENCE = "the monitored value did not improve any more"
    DIVERGED = "the loss grew beyond every number"
    UNBOUNDED = "the objective falls below every number along the steps"
    UNDEFINED = "the functions are undefined at the start"
    TIME_LIMIT = "the time limit was reached"
    INTERRUPTED = "the run was interrupted"


class Kept(enum.Enum):
    """Which parameters are handed back; the value is the phrase that a person reads."""

    LAST = "the last parameters"
    AVERAGED = "the average of the parameters"
    BEST = "the best parameters"


class FeasibleSet(Protocol):
    """A closed convex set that is projected onto.

    coupled: the variables that are not simply clipped, by group, which adaptive steps scale alike; None: no such ones.
    """

    @property
    def coupled(self) -> Coupled | None: ...

    def project(self, x: np.ndarray) -> None:
        """Puts x (n,), float32 or float64, at its nearest point of the set, in place."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """What a run is told besides its method.

    rate: over time; `auto` runs a range test first. batch: members per step, 0 or more than there are: all of them.
    clip: largest norm of a gradient, 0: none. average: handed back, and monitored, is an average of the parameters:
    polyak, their mean over the second half of the epochs; ema, with weights that fall by `decay` a step.
    patience: epochs without improvement of the monitored value (else of the loss) before the run ends, 0: never.
    tolerance: the run ends where the gradient on the full data (projected, of the Lagrangian) has no larger entry,
    0: not looked at; it costs one more pass per epoch. loss_tolerance: it ends where the epoch's loss changes
    relatively less, two epochs in a row, 0: not looked at. seconds: a limit on this process's time. full: whether
    the objective over all members is recorded after each epoch. penalty: of violated rows, 0: chosen at the start.
    """

    rate: Schedule = field(default_factory=Schedule)
    batch: int = 64
    epochs: int = 20
    seed: int = 0
    clip: float = 0.0
    average: Literal["none", "polyak", "ema"] = "none"
    decay: float = 0.999
    patience: int = 0
    tolerance: float = 0.0
    loss_tolerance: float = 0.0
    seconds: float | None = None
    full: bool = False
    penalty: float = 0.0


COLUMNS = (
    *("epoch", "loss", "objective", "monitored", "rate", "gradient_norm", "violation"),
    *("examples_per_second", "seconds"),
)
"""The columns of the records.

loss: mean of the batches' estimates during the epoch. objective: over all members after it, monitored: likewise; nan
where not asked for. rate: of the epoch's last step. gradient_norm: mean of the batches' norms, before clipping.
violation: largest violation of a row by the mean of the epoch's estimates; nan without rows.
"""
CLOCK_COLUMNS = ("examples_per_second", "seconds")
"""The columns that a resumed run does not repeat."""


@dataclass(frozen=True, slots=True)
class News:
    """The live line: epoch (from 1), batches done in it, their mean loss, the monitored value of the last epoch."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float
    monitored: float
    rate: float
    examples_per_second: float
    seconds: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Where, how often and under which marks the state is written: see `checkpoint`.

    marks: what must be the same for a run to be resumed, by the name that an error gives it, such as
    {"model": digest, "data": digest, "options": digest}; leave limits of time out of it. resume: go on from the last
    checkpoint in the folder; without one the run begins anew, and a note says so.
    """

    folder: Path
    marks: Mapping[str, str]
    seconds: float = 30.0
    epochs: int = 0
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a run asks of its caller.

    monitor: the monitored value at x, of the problem's type; rising: whether higher is better. stop: asked before
    each batch. news: at most every `news_seconds`, and at each epoch's end. feasible: a set that is projected onto
    after each step; None: the problem's bounds. Rows that the set takes care of should have infinite sides in the
    problem, else they are weighed too.
    """

    monitor: Callable[[np.ndarray], float] | None = None
    rising: bool = False
    stop: Callable[[], bool] | None = None
    news: Callable[[News], None] | None = None
    news_seconds: float = 0.2
    feasible: FeasibleSet | None = None
    checkpoints: Checkpoints | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a run broke off: the epoch and batch, counted from 1, the part of the text, and what to try instead."""

    epoch: int
    batch: int
    culprit: str | None
    suggestion: str


@dataclass(frozen=True, eq=False, slots=True)
class TrainingRun:
    """How a run ended and where.

    x (n,), float64, within bounds and set; `kept` and `kept_epoch` say which parameters these are. records (epochs
    done, len(COLUMNS)). row_multipliers (m,) in nlp's signs. rate: the schedule as it was used. notes: what a person
    should hear. fault: where the run diverged. start_loss: the first batch's estimate at the start. scaling: how the
    last step scaled gradients.
    """

    x: np.ndarray
    kept: Kept
    kept_epoch: int
    ending: TrainingEnding
    epochs: int
    steps: int
    seconds: float
    records: np.ndarray
    row_multipliers: np.ndarray
    rate: Schedule
    notes: tuple[str, ...] = ()
    fault: Fault | None = None
    start_loss: float = float("nan")
    scaling: Scaling | None = None

    def column(self, name: str) -> np.ndarray:
        """A column of the records."""
        return self.records[:, COLUMNS.index(name)]
