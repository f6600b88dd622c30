"""Which models are trained on whole arrays, and how; the rest of the route is loaded where one of them is met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optdsl.answer.solution import Route, Solution
from optdsl.classify import Analysis

if TYPE_CHECKING:
    from optdsl.answer.stages import Controls

STOCHASTIC = ("sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam", "lion", "svrg", "saga")
"""The stochastic methods by name; a test keeps them those of their table."""
MANY_COLUMNS = 100
"""Models with fewer variables are never large."""


@dataclass(frozen=True, slots=True)
class Checkpointing:
    """Where a training run keeps its state, how often (seconds), and whether it goes on from what is there."""

    folder: Path
    resume: bool = False
    seconds: float = 30.0


def trained(analysis: Analysis, method: str | None, options: Mapping[str, object], large: bool) -> Any:
    """The model compiled for training, where a stochastic method is asked for or it is large; else None.

    large: whether the model would go to the built-in engine otherwise. Raises NotSolvable and OptionError.
    """
    if method in STOCHASTIC:
        return _training().prepare(analysis, method, options)
    if large and analysis.model.columns >= MANY_COLUMNS:
        return _training().prepare_large(analysis, method, options)
    return None


def answer_of(prepared: Any, controls: Controls) -> Solution:
    """The answer of a training run."""
    training = _training()
    watching = training.Watching(controls.time_limit, controls.progress, controls.stop, controls.checkpoints)
    solution: Solution = training.run(prepared, watching)
    return solution


def route_of(prepared: Any) -> Route:
    """The route that a run would take."""
    route: Route = _training().route_of(prepared)
    return route


def training_text(prepared: Any) -> str:
    """What became of the model."""
    return str(_training().program_text(prepared))


def _training() -> Any:
    return import_module("optdsl.answer.training")
