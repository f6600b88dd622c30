"""Do the stochastic methods walk as PyTorch's do? One network, the same start and batches, both in float64 and float32.

    python -m benchmarks.learning_trajectories

needs the extra `trajectories`. For each optimizer the largest difference of a parameter at the end is printed, relative
to how far the parameters moved; one above ALLOWED ends with code 1. PyTorch has no lion, svrg and saga. It differs in
two places: it cuts a gradient to clip / (norm + 1e-6) of itself, and keeps nadam's product of momenta in float32.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from optdsl.methods.stochastic.batches import Batches
from optdsl.methods.stochastic.estimators import StochasticMethod
from optdsl.methods.stochastic.run import Hooks, TrainingSettings
from optdsl.methods.stochastic.schedules import Moment, schedule_of
from optdsl.methods.stochastic.table import method_of
from optdsl.methods.stochastic.train import train

MEMBERS, INPUTS, HIDDEN, CLASSES = 500, 8, 16, 3
BATCH, EPOCHS, SEED = 32, 6, 3
SHAPES = ((INPUTS, HIDDEN), (HIDDEN,), (HIDDEN, CLASSES), (CLASSES,))
SIZES = [int(np.prod(shape)) for shape in SHAPES]
ENDS = np.cumsum(SIZES)

ALLOWED = {"float64": 1e-10, "clip": 1e-5, "nadam": 1e-8, "float32": 1e-4}
"""Largest relative differences: in float64, where gradients are cut, of nadam, and in float32."""

OptimizerOf = Callable[[list[torch.Tensor], float], torch.optim.Optimizer]
CASES: list[tuple[str, dict[str, Any], float, OptimizerOf]] = [
    ("sgd", {}, 0.1, lambda p, a: torch.optim.SGD(p, a)),
    ("sgd", {"weight_decay": 0.01}, 0.1, lambda p, a: torch.optim.SGD(p, a, weight_decay=0.01)),
    ("sgd", {"momentum": 0.9}, 0.02, lambda p, a: torch.optim.SGD(p, a, momentum=0.9)),
    (
        "sgd",
        {"momentum": 0.9, "nesterov": True},
        0.02,
        lambda p, a: torch.optim.SGD(p, a, momentum=0.9, nesterov=True),
    ),
    ("adagrad", {}, 0.05, lambda p, a: torch.optim.Adagrad(p, a)),
    ("rmsprop", {}, 0.002, lambda p, a: torch.optim.RMSprop(p, a)),
    ("rmsprop", {"momentum": 0.5}, 0.002, lambda p, a: torch.optim.RMSprop(p, a, momentum=0.5)),
    ("adam", {}, 0.003, lambda p, a: torch.optim.Adam(p, a)),
    ("adam", {"weight_decay": 0.01}, 0.003, lambda p, a: torch.optim.Adam(p, a, weight_decay=0.01)),
    ("adamw", {}, 0.003, lambda p, a: torch.optim.AdamW(p, a)),
    ("nadam", {}, 0.003, lambda p, a: torch.optim.NAdam(p, a)),
]


class Network:
    """A classifier with one hidden layer, written with NumPy, as an `optdsl.nlp.FiniteSum`."""

    def __init__(self, dtype: type) -> None:
        random = np.random.default_rng(0)
        self.dtype, self.members = np.dtype(dtype), MEMBERS
        self.table = random.normal(size=(MEMBERS, INPUTS)).astype(dtype)
        score = self.table @ random.normal(size=(INPUTS, CLASSES)) + random.normal(size=(MEMBERS, CLASSES))
        self.labels = score.argmax(axis=1)
        self.start = random.normal(size=ENDS[-1]) * 0.3
        self.lower, self.upper = np.full(ENDS[-1], -np.inf), np.full(ENDS[-1], np.inf)
        self.row_lower = self.row_upper = np.zeros(0)

    def parts(self, x: np.ndarray) -> list[np.ndarray]:
        """The layers' weights as views of x."""
        return [x[end - size : end].reshape(s) for end, size, s in zip(ENDS, SIZES, SHAPES, strict=True)]

    def estimate(self, x, batch, gradient, weights=None):  # type: ignore[no-untyped-def]
        """Mean cross entropy of the batch, and its gradient."""
        w, b, v, c = self.parts(x)
        a, label = self.table[batch], self.labels[batch]
        h = np.tanh(a @ w + b)
        z = h @ v + c
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        p /= p.sum(axis=1, keepdims=True)
        rows = np.arange(len(label))
        loss = -np.log(p[rows, label]).mean()
        p[rows, label] -= 1
        p /= x.dtype.type(len(label))
        dh = (p @ v.T) * (1 - h * h)
        slopes = (a.T @ dh, dh.sum(axis=0), h.T @ p, p.sum(axis=0))
        for part, slope in zip(self.parts(gradient), slopes, strict=True):
            part[...] = slope
        return float(loss)

    def culprit(self, x: np.ndarray, batch: np.ndarray | slice) -> str | None:
        """Nothing here is undefined."""
        return None


def in_torch(problem: Network, optimizer_of: OptimizerOf, schedule: str, clip: float) -> np.ndarray:
    """The parameters after all epochs, by PyTorch's autograd and optimizer."""
    parameters = [torch.tensor(part.astype(problem.dtype), requires_grad=True) for part in problem.parts(problem.start)]
    rates, optimizer = schedule_of(schedule), optimizer_of(parameters, 1.0)
    table, labels = torch.tensor(problem.table), torch.tensor(problem.labels)
    batches = Batches(MEMBERS, BATCH, SEED)
    taken = 0
    for epoch in range(EPOCHS):
        batches.arrange(epoch)
        for number in range(batches.count):
            members = np.asarray(batches.members_of(number))
            w, b, v, c = parameters
            loss = torch.nn.functional.cross_entropy(torch.tanh(table[members] @ w + b) @ v + c, labels[members])
            optimizer.zero_grad()
            loss.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(parameters, clip)
            for group in optimizer.param_groups:
                group["lr"] = rates.at(Moment(taken, EPOCHS * batches.count, epoch))
            optimizer.step()
            taken += 1
    return np.concatenate([p.detach().numpy().reshape(-1) for p in parameters]).astype(np.float64)


def apart(
    method: StochasticMethod, optimizer_of: OptimizerOf, schedule: str, dtype: type, clip: float = 0.0
) -> tuple[float, float]:
    """The largest difference relative to the largest move, and the last epoch's loss."""
    problem = Network(dtype)
    settings = TrainingSettings(schedule_of(schedule), batch=BATCH, epochs=EPOCHS, seed=SEED, clip=clip)
    run = train(problem, method, settings, Hooks())  # type: ignore[arg-type]
    other = in_torch(problem, optimizer_of, schedule, clip)
    move = np.abs(other - problem.start).max()
    return float(np.abs(run.x - other).max() / move), float(run.column("loss")[-1])


def main() -> int:
    """Prints the table; 1 where a difference is too large."""
    torch.set_num_threads(1)
    worst = 0.0
    print(f"torch {torch.__version__}; {EPOCHS} epochs of {-(-MEMBERS // BATCH)} steps")
    print(f"{'method':48} {'rate':24} {'float64':>9} {'float32':>9} {'loss':>7}")
    for name, options, rate, optimizer_of in CASES:
        for schedule, clip in ((f"{rate:g}", 0.0), (f"cosine({rate:g}, warmup = 20)", 0.5)):
            method = method_of(name, **options)
            double, loss = apart(method, optimizer_of, schedule, np.float64, clip)
            single, _ = apart(method, optimizer_of, schedule, np.float32, clip)
            allowed = ALLOWED["clip"] if clip else ALLOWED.get(name, ALLOWED["float64"])
            worst = max(worst, double / allowed, single / ALLOWED["float32"])
            words = ", ".join([name, *(f"{key} = {value}" for key, value in options.items())])
            print(
                f"{words + (', clip = 0.5' if clip else ''):48} {schedule:24} {double:9.1e} {single:9.1e} {loss:7.4f}"
            )
    return int(worst > 1)


if __name__ == "__main__":
    sys.exit(main())
