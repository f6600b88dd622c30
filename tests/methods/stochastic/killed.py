"""A run in a process of its own, to be killed: python -m tests.methods.stochastic.killed CASE FOLDER RESULT.

It writes a checkpoint every few milliseconds, resumes from one where there is one, and leaves its result in a file.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from optdsl.methods.stochastic.estimators import StochasticMethod
from optdsl.methods.stochastic.run import CLOCK_COLUMNS, COLUMNS, Checkpoints, Hooks, TrainingRun, TrainingSettings
from optdsl.methods.stochastic.schedules import schedule_of
from optdsl.methods.stochastic.train import train
from optdsl.methods.stochastic.updates import SGD, Adam, NAdam
from tests.methods.stochastic.sums import Sum, network

CASES = {
    "adam": (StochasticMethod("adam", Adam()), {"rate": "plateau(0.02, patience = 1)", "average": "ema"}, np.float32),
    "nadam": (
        StochasticMethod("nadam", NAdam()),
        {"rate": "cosine(auto, warmup = 9)", "average": "polyak"},
        np.float64,
    ),
    "svrg": (StochasticMethod("svrg", SGD(), "svrg"), {"rate": "0.05", "clip": 1.0}, np.float64),
    "saga": (StochasticMethod("saga", SGD(), "saga"), {"rate": "auto"}, np.float32),
    "rows": (StochasticMethod("sgd", SGD(0.9)), {"rate": "0.02"}, np.float64),
}


def problem_of(case: str, dtype: type, slow: bool) -> Sum:
    problem = network(members=120, dtype=dtype)
    if case == "rows":
        one = np.zeros(len(problem.start))
        one[0] = 1.0
        problem.rows = [(lambda x, numbers: (len(numbers) / 120 * float(x[0]), len(numbers) / 120 * one), -0.1, 0.1)]
        problem.row_lower, problem.row_upper = np.array([-0.1]), np.array([0.1])
    if slow:
        terms = problem.terms

        def slowly(x: np.ndarray, numbers: np.ndarray) -> tuple[float, np.ndarray]:
            time.sleep(0.002)
            return terms(x, numbers)

        problem.terms = slowly
    return problem


def run(case: str, folder: Path | None, slow: bool = False) -> TrainingRun:
    method, options, dtype = CASES[case]
    settings = TrainingSettings(
        **{"batch": 11, "epochs": 8, "seed": 5, **options, "rate": schedule_of(options["rate"])}
    )
    problem = problem_of(case, dtype, slow)
    hooks = Hooks(monitor=lambda x: problem.objective(x))
    if folder is not None:
        hooks = Hooks(monitor=hooks.monitor, checkpoints=Checkpoints(folder, {"model": case}, 0.005, resume=True))
    return train(problem, method, settings, hooks)


def lasting(found: TrainingRun) -> dict[str, np.ndarray]:
    """What a resumed run must repeat: everything but the clock."""
    columns = [name for name in COLUMNS if name not in CLOCK_COLUMNS]
    return {
        "x": found.x,
        "records": np.column_stack([found.column(name) for name in columns]),
        "multipliers": found.row_multipliers,
        "words": np.array([found.ending.name, found.kept.name, str(found.kept_epoch), str(found.rate)]),
    }


if __name__ == "__main__":
    np.savez(sys.argv[3], **lasting(run(sys.argv[1], Path(sys.argv[2]), slow=True)))
