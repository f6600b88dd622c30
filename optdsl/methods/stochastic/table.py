"""The table of the stochastic methods: what each is, its options, and how it is made.

Everything that is said about these methods reads these rows. None of them guarantees anything about its answer: what
the answer is worth is found on the full data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from optdsl.methods.stochastic.estimators import Kind, StochasticMethod
from optdsl.methods.stochastic.run import TrainingSettings
from optdsl.methods.stochastic.schedules import SHAPES, schedule_of
from optdsl.methods.stochastic.updates import SGD, AdaGrad, Adam, Lion, NAdam, RMSProp, Update
from optdsl.methods.table import Setting


@dataclass(frozen=True, slots=True)
class Row:
    """Everything about a method: `factory` takes the values of its own options by name, and makes its update."""

    name: str
    what: str
    factory: Callable[..., Update]
    own: tuple[Setting, ...]
    rate: float | str
    """The rate where none is given."""
    source: str
    choose_when: str
    estimator: Kind = "plain"
    memory: str = ""
    """What it remembers besides the parameters and a gradient, in words; n is the number of parameters."""

    @property
    def options(self) -> tuple[Setting, ...]:
        """Its options: the rate, its own, and those of every run."""
        return (replace(RATE, default=self.rate), *self.own, *SHARED)


RATE = Setting("rate", "rate", "auto", f"step length: a number, auto, or {', '.join(shape.name for shape in SHAPES)}")
SHARED = (
    Setting("batch", "count", 64, "members per step; 0: all", least=0),
    Setting("epochs", "count", 20, "how often all members are gone through", least=1),
    Setting("seed", "count", 0, "seed of the order of the members", least=0),
    Setting("clip", "number", 0.0, "largest norm of a gradient; 0: no limit", least=0.0),
    Setting(
        "average",
        "word",
        "none",
        "hand back an average: the mean over the second half of the epochs, or one that forgets",
        words=("none", "polyak", "ema"),
    ),
    Setting("decay", "number", 0.999, "how much of the average ema stays at each step", least=0.0, most=1 - 1e-9),
    Setting(
        "patience", "count", 0, "epochs without a better monitored value (else loss) until it ends; 0: never", least=0
    ),
    Setting("tol", "number", 0.0, "ends where the gradient on all data has no larger entry; 0: never", least=0.0),
    Setting("loss_tol", "number", 0.0, "ends where the loss changes relatively less twice; 0: never", least=0.0),
    Setting("full", "flag", False, "record the objective over all members after each epoch"),
    Setting("penalty", "number", 0.0, "penalty on violated constraints; 0: from the start", least=0.0),
)
"""The options of every run."""

_FIELDS = {"tol": "tolerance", "loss_tol": "loss_tolerance"}
"""Where an option has another name than its field of the settings."""

DECAY = Setting("weight_decay", "number", 0.0, "share of the parameters added to the gradient", least=0.0)
DECOUPLED = replace(DECAY, default=0.01, what="share of the parameters that each step of length 1 takes off")
MOMENTUM = Setting("momentum", "number", 0.0, "how much of the last step goes on", least=0.0, most=1 - 1e-9)
BETA1 = Setting("beta1", "number", 0.9, "how much of the mean gradient stays", least=0.0, most=1 - 1e-9)
BETA2 = Setting("beta2", "number", 0.999, "how much of the mean square stays", least=0.0, most=1 - 1e-9)
EPSILON = Setting("epsilon", "number", 1e-8, "added to the root of the mean square", least=1e-30, most=1.0)

METHODS: tuple[Row, ...] = (
    Row(
        name="adam",
        what="steps of equal size by the moments of the gradients",
        factory=Adam,
        own=(BETA1, BETA2, EPSILON, DECAY),
        rate=1e-3,
        source="Kingma and Ba 2015, algorithm 1",
        choose_when="a network is trained, or parameters of different sizes; a good first choice",
        memory="2 n numbers",
    ),
    Row(
        name="adamw",
        what="adam with weight decay beside the step",
        factory=lambda **values: Adam(**values, decoupled=True),
        own=(BETA1, BETA2, EPSILON, DECOUPLED),
        rate=1e-3,
        source="Loshchilov and Hutter 2019, algorithm 2",
        choose_when="a network needs weight decay against over-fitting",
        memory="2 n numbers",
    ),
    Row(
        name="nadam",
        what="adam with Nesterov momentum",
        factory=NAdam,
        own=(
            BETA1,
            BETA2,
            EPSILON,
            Setting("psi", "number", 0.004, "how fast the momentum warms up", least=0.0, most=10.0),
            DECAY,
        ),
        rate=2e-3,
        source="Dozat 2016, algorithm 2",
        choose_when="adam falls too slowly at first",
        memory="2 n numbers",
    ),
    Row(
        name="sgd",
        what="stochastic gradients, with or without momentum",
        factory=SGD,
        own=(MOMENTUM, Setting("nesterov", "flag", False, "look ahead along the momentum"), DECAY),
        rate="auto",
        source="Robbins and Monro 1951; Polyak 1964; Nesterov 1983; Sutskever and others 2013",
        choose_when="a smooth convex model with parameters of like sizes, or the last percent of a network's accuracy",
        memory="n numbers with momentum, else none",
    ),
    Row(
        name="adagrad",
        what="steps that shrink with the squares of all gradients so far",
        factory=AdaGrad,
        own=(replace(EPSILON, default=1e-10), DECAY),
        rate=0.01,
        source="Duchi, Hazan and Singer 2011, figure 1",
        choose_when="features that are rarely present, as in sparse tables; its steps become small by themselves",
        memory="n numbers",
    ),
    Row(
        name="rmsprop",
        what="steps divided by the root of the mean square of the last gradients",
        factory=RMSProp,
        own=(
            Setting("smoothing", "number", 0.99, "how much of the mean square stays", least=0.0, most=1 - 1e-9),
            MOMENTUM,
            EPSILON,
            DECAY,
        ),
        rate=1e-3,
        source="Tieleman and Hinton 2012, lecture 6e",
        choose_when="recurrences, and where the momentum of adam overshoots",
        memory="n numbers, 2 n with momentum",
    ),
    Row(
        name="lion",
        what="steps by the sign of a mean gradient",
        factory=Lion,
        own=(
            BETA1,
            replace(BETA2, default=0.99, what="how much of the remembered gradient stays"),
            replace(DECOUPLED, default=0.0),
        ),
        rate=1e-4,
        source="Chen and others 2023, algorithm 2",
        choose_when="large networks and large batches, at a rate of a third to a tenth of adam's",
        memory="n numbers",
    ),
    Row(
        name="svrg",
        what="gradients corrected by the full gradient at each epoch's first point",
        factory=SGD,
        own=(DECAY,),
        rate="auto",
        source="Johnson and Zhang 2013, figure 1",
        choose_when="a smooth convex sum to high precision; an epoch costs three passes",
        estimator="svrg",
        memory="3 n numbers",
    ),
    Row(
        name="saga",
        what="gradients corrected by those that each batch last had",
        factory=SGD,
        own=(DECAY,),
        rate="auto",
        source="Defazio, Bach and Lacoste-Julien 2014, eqs. 1 and 2",
        choose_when="a smooth convex sum to high precision, and memory for one gradient per batch",
        estimator="saga",
        memory="n numbers per batch, and 3 n",
    ),
)


def row_of(name: str) -> Row:
    """The row of a method. Raises KeyError for a name that is not there."""
    for row in METHODS:
        if row.name == name:
            return row
    raise KeyError(name)


def method_of(name: str, **values: Any) -> StochasticMethod:
    """The method with values of its own options; those that are not given have their defaults."""
    row = row_of(name)
    own = {setting.name: values.get(setting.name, setting.default) for setting in row.own}
    return StochasticMethod(name, row.factory(**own), row.estimator)


def settings_of(name: str, values: Mapping[str, Any]) -> TrainingSettings:
    """The settings of a run from values of its options. Raises ScheduleError for a rate that is not understood."""
    row = row_of(name)
    found = {_FIELDS.get(s.name, s.name): values.get(s.name, s.default) for s in SHARED}
    return TrainingSettings(rate=schedule_of(values.get("rate", row.rate)), **found)
