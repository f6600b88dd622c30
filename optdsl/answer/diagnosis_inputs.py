"""What a diagnosis of a training run looks at: the problem over all members, its epochs, and its layers."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from optdsl.answer.solution import Finding


class Differentiable(Protocol):
    """A problem over all members, minimized: an `optdsl.nlp.FiniteSum` or `Nlp` has all of this."""

    @property
    def lower(self) -> np.ndarray: ...

    @property
    def upper(self) -> np.ndarray: ...

    @property
    def row_lower(self) -> np.ndarray: ...

    def objective(self, x: np.ndarray) -> float:
        """f(x)."""

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """The gradient of f (n,)."""

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        """The Hessian of weight * f + multipliers'c times a direction (n,)."""


class Course(enum.Enum):
    """How the objective went over the epochs."""

    DIVERGED = "it became no number, or ended worse than it began"
    OSCILLATES = "it goes up and down by more than it falls"
    FALLING = "it still falls"
    STALLED = "it does not fall any more, or never did, yet the gradient is not small"
    CONVERGED = "it falls no further, and the gradient is small as far as it is known"
    UNMOVED = "it never moved, as the gradient was zero where the run began"


class Urgency(enum.IntEnum):
    """How much a finding matters to whoever reads it: what comes first is said first."""

    BROKEN = 0
    """The run came to nothing: it diverged, or its functions have no slope."""
    TRAPPED = 1
    """More of the same leads nowhere: a saddle, a start without a gradient, a network most of whose units are dead."""
    MISLED = 2
    """It improves, but not where it should: over-fitting, a rate that is too high."""
    COURSE = 3
    """How the objective went, where nothing is wrong or time alone is missing."""
    CAUSE = 4
    """What may stand behind it: some dead or saturated units, a gradient that vanishes."""
    NOTE = 5
    """What is good to know."""


class Wish(enum.Enum):
    """What an advice asks for, so that two of them do not contradict each other."""

    NOTHING = "no change"
    MORE = "more epochs"
    FEWER = "fewer epochs"
    DONE = "no more epochs"
    RAISE = "a higher rate"
    LOWER = "a lower rate"
    KEEP = "the same rate"
    RESTART = "another start"


@dataclass(frozen=True, slots=True)
class Note:
    """A finding, how urgent it is and what its advice asks for."""

    urgency: Urgency
    finding: Finding
    wish: Wish = Wish.NOTHING


@dataclass(frozen=True, eq=False, slots=True)
class TrainingTrace:
    """A training run by epochs, arrays (epochs,), NaN where unknown.

    loss: the objective in the user's sense, of batches or of all members. rate: the step length used. gradient_norm:
    of the batches' gradients (None: not recorded). monitored: the value that `monitor` names (None: nothing is).
    """

    epoch: np.ndarray
    loss: np.ndarray
    rate: np.ndarray
    gradient_norm: np.ndarray | None = None
    monitored: np.ndarray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class LayerValues:
    """An elementwise function of the model's text on some or all members.

    function: `relu`, `sigmoid`, `tanh` ...; name: what the user calls it (`h`, or its text); argument and value:
    arrays (members, ...). hidden: something else is computed from it; the last function of a model is not hidden, and
    a confident classifier's is saturated as it should be.
    """

    function: str
    name: str
    line: int | None
    argument: np.ndarray
    value: np.ndarray
    hidden: bool = True


@dataclass(frozen=True, slots=True)
class VariablePart:
    """The columns of a variable in x, in the order of the text."""

    name: str
    columns: slice


@dataclass(frozen=True, eq=False, slots=True)
class TrainingRun:
    """How a training run was made, for the words about it.

    objective, sense: its name and `minimize` or `maximize`. monitor, monitor_sense: the same of the monitored value.
    method: as in `solve using`; momentum: of sgd, or Adam's first decay (beta1); nesterov: of sgd.
    preconditioner (n,): what the method divides the gradient by at the end (Adam: sqrt(v) + eps), None where unknown.
    ahead: of nadam, the share of the mean in its last step. full_batch: every step saw all members. early: the answer
    holds parameters from before the end, the best; patient: the run was ended by its patience. rounds: products with
    the Hessian that may be taken (None: by the size of the work); seconds: about how long they may take (None: no
    limit).
    """

    objective: str = "loss"
    sense: str = "minimize"
    monitor: str | None = None
    monitor_sense: str = "minimize"
    method: str = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    preconditioner: np.ndarray | None = None
    ahead: float = 0.0
    full_batch: bool = False
    early: bool = False
    patient: bool = False
    rounds: int | None = None
    seconds: float | None = None
    multipliers: np.ndarray = field(default_factory=lambda: np.zeros(0))
