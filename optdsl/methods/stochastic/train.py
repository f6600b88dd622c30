"""The one loop around all stochastic methods."""

from __future__ import annotations

from optdsl.methods.stochastic.estimators import StochasticMethod
from optdsl.methods.stochastic.run import Hooks, TrainingRun, TrainingSettings
from optdsl.nlp import FiniteSum


def train(
    problem: FiniteSum, method: StochasticMethod, settings: TrainingSettings, hooks: Hooks | None = None
) -> TrainingRun:
    """Runs a method over the epochs, and says how that ended; see `run` for what goes in and what comes out.

    The order of the members in an epoch depends on the seed and the epoch only, so runs repeat on any machine.
    Raises CheckpointError where a run cannot be resumed. Exceptions of hooks end the run and pass.
    """
    raise NotImplementedError
