"""The stochastic methods as the language names them: their options, and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optdsl.convex.options import Option, read_options
from optdsl.errors import Diagnostic, OptionError
from optdsl.methods.stochastic import table
from optdsl.methods.stochastic.estimators import StochasticMethod
from optdsl.methods.stochastic.run import TrainingSettings
from optdsl.methods.stochastic.schedules import ScheduleError

NAMES = (
    Option("over", "name", None, "the set whose members are looked at in batches; else the largest summed over"),
    Option("monitor", "name", None, "a named expression, one number, that is looked at after each epoch"),
)
DTYPE = Option("dtype", "word", "float64", "precision of the parameters and of each step", ("float32", "float64"))


@dataclass(frozen=True, eq=False)
class TrainingChoice:
    """A method with its options: a stochastic one, or (`method` None) one of the engine that sees all members."""

    name: str
    reason: str
    method: StochasticMethod | None = None
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    over: str | None = None
    monitor: str | None = None
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float64))
    values: Mapping[str, Any] = field(default_factory=dict)
    iterations: int = 3000

    @property
    def tolerance(self) -> float:
        """What the first-order conditions are asked to hold to; 0: the usual."""
        return self.settings.tolerance if self.method is not None else 0.0

    def why(self, members: str, count: int) -> str:
        """The reason in words, for the answer."""
        if self.method is None:
            return self.reason
        batch = self.settings.batch
        whole = batch <= 0 or batch >= count
        return f"{self.reason}; " + (f"all of {members} at once" if whole else f"batches of {batch} of {members}")


def names() -> tuple[str, ...]:
    """The names of the methods."""
    return tuple(row.name for row in table.METHODS)


def options_of(name: str) -> tuple[Option, ...]:
    """The options of a method, as `optdsl methods` lists them."""
    own = (Option(o.name, o.kind, o.default, o.what, o.words, o.least, o.most) for o in table.row_of(name).options)
    return (*own, *NAMES, DTYPE)


def check_rate(name: str, options: Mapping[str, object]) -> None:
    """Raises OptionError for a rate that is not understood, before any data is read."""
    choice_of(name, {key: value for key, value in options.items() if key == "rate"})


def choice_of(name: str, options: Mapping[str, object], reason: str = "asked for") -> TrainingChoice:
    """The method with its options. Raises OptionError for options that it does not have, or wrong values."""
    values = read_options(dict(options), options_of(name), name)
    try:
        settings = table.settings_of(name, values)
    except ScheduleError as error:
        message = f"{values['rate']!r} is not a value for option `rate` of {name}: {error.message}"
        raise OptionError(Diagnostic("bad-option-value", message, hint=error.hint)) from None
    over, monitor, dtype = (values.pop(option.name) for option in (*NAMES, DTYPE))
    return TrainingChoice(
        name,
        reason,
        table.method_of(name, **values),
        settings,
        over,
        monitor,
        np.dtype(dtype),
        values,
    )
