"""Small problems with exact derivatives, and plain loops that train them: runs to make a diagnosis of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from optdsl.answer.diagnosis_inputs import LayerValues, TrainingTrace, VariablePart


class Problem:
    """A sum over members, minimized, without rows: subclasses have `slope(x, batch)`, right for complex x, too."""

    members = 1

    def __init__(self, width: int) -> None:
        self.lower, self.upper = np.full(width, -np.inf), np.full(width, np.inf)
        self.row_lower = np.zeros(0)

    def gradient(self, x):
        return np.real(self.slope(x, slice(None)))

    def hessian_product(self, x, multipliers, direction, weight=1.0):
        # By a complex step the derivative is exact to rounding (Squire and Trapp 1998).
        return weight * np.imag(self.slope(x + 1e-30j * direction, slice(None))) / 1e-30


class Function(Problem):
    """A function with its gradient."""

    def __init__(self, width: int, value: Callable, slope: Callable) -> None:
        super().__init__(width)
        self.objective, self._slope = value, slope

    def slope(self, x, batch):
        return self._slope(x)


def quadratic(*curvatures: float) -> Function:
    h = np.array(curvatures, dtype=float)
    return Function(len(h), lambda x: float(0.5 * (h * x) @ x), lambda x: h * x)


def saddle() -> Function:
    """x^2 - y^2 + y^4 / 2: a saddle at 0, minima at y = -1 and 1, half below."""
    return Function(
        2,
        lambda x: float(x[0] ** 2 - x[1] ** 2 + 0.5 * x[1] ** 4),
        lambda x: np.array([2 * x[0], -2 * x[1] + 2 * x[1] ** 3]),
    )


def valley() -> Function:
    """(x + y - 2)^2 / 2: one direction is flat."""
    return Function(2, lambda x: float(0.5 * (x.sum() - 2) ** 2), lambda x: np.full(2, x.sum() - 2))


class Logistic(Problem):
    """The mean logistic loss, with a little weight decay."""

    def __init__(self, inputs: np.ndarray, labels: np.ndarray, decay: float = 0.0) -> None:
        super().__init__(inputs.shape[1])
        self.inputs, self.labels, self.decay, self.members = inputs, labels, decay, len(inputs)

    def objective(self, x):
        margin = self.labels * (self.inputs @ x)
        return float(np.logaddexp(0, -margin).mean() + 0.5 * self.decay * x @ x)

    def slope(self, x, batch):
        inputs, labels = self.inputs[batch], self.labels[batch]
        pull = -labels / (1 + np.exp(labels * (inputs @ x)))
        return inputs.T @ pull / len(inputs) + self.decay * x


RISE = {
    "tanh": (np.tanh, lambda a: 1 - a * a),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
    "relu": (lambda z: z * (np.real(z) > 0), lambda a: 1.0 * (np.real(a) > 0)),
}


class Mlp(Problem):
    """Layers of one function and a linear last one; half the mean squared error."""

    def __init__(self, inputs, targets, widths=(8,), function="tanh") -> None:
        self.inputs, self.targets, self.members = inputs, targets.reshape(len(inputs), -1), len(inputs)
        self.function = function
        sizes = [inputs.shape[1], *widths, self.targets.shape[1]]
        self.parts, at = [], 0
        for k, (fan_in, fan_out) in enumerate(pairwise(sizes), 1):
            for name, shape in ((f"W{k}", (fan_in, fan_out)), (f"b{k}", (fan_out,))):
                size = int(np.prod(shape))
                self.parts.append((name, slice(at, at + size), shape))
                at += size
        super().__init__(at)

    def random_start(self, seed: int = 0, scale: float = 1.0) -> np.ndarray:
        random = np.random.default_rng(seed)
        x = np.zeros(len(self.lower))
        for _, part, shape in self.parts:
            if len(shape) == 2:
                x[part] = scale * random.standard_normal(int(np.prod(shape))) / np.sqrt(shape[0])
        return x

    def _forward(self, x, inputs):
        rise, values, arguments = RISE[self.function][0], [inputs], []
        weights = [x[part].reshape(shape) for _, part, shape in self.parts]
        for k in range(0, len(weights), 2):
            z = values[-1] @ weights[k] + weights[k + 1]
            arguments.append(z)
            values.append(rise(z) if k + 2 < len(weights) else z)
        return weights, arguments, values

    def objective(self, x):
        with np.errstate(all="ignore"):
            error = self._forward(x, self.inputs)[2][-1] - self.targets
            return float(0.5 * (error * error).sum() / len(error))

    def slope(self, x, batch):
        fall = RISE[self.function][1]
        weights, _, values = self._forward(x, self.inputs[batch])
        back = (values[-1] - self.targets[batch]) / len(values[0])
        slopes = []
        for k in range(len(weights) - 2, -1, -2):
            below = values[k // 2]
            slopes[:0] = [(below.T @ back).ravel(), back.sum(axis=0)]
            if k:
                back = (back @ weights[k].T) * fall(below)
        return np.concatenate(slopes)

    def layers(self, x) -> list[LayerValues]:
        _, arguments, values = self._forward(x, self.inputs)
        return [
            LayerValues(self.function, f"h{k}", 10 + k, z, a)
            for k, (z, a) in enumerate(zip(arguments[:-1], values[1:-1], strict=True), 1)
        ]

    def variables(self) -> list[VariablePart]:
        return [VariablePart(name, part) for name, part, _ in self.parts]


@dataclass
class Trained:
    """A trained problem, the point, its epochs."""

    problem: Problem
    x: np.ndarray
    trace: TrainingTrace
    layers: list[LayerValues] = field(default_factory=list)
    parts: list[VariablePart] = field(default_factory=list)


def descend(problem, start, rate, epochs, batch=None, momentum=0.0, monitor=None, seed=0, decay=False) -> Trained:
    """Plain (stochastic) gradient descent; `rate` falls to 0 linearly where `decay`."""
    random = np.random.default_rng(seed)
    x, speed = np.array(start, dtype=float), np.zeros(len(start))
    rows = []
    with np.errstate(all="ignore"):
        for epoch in range(epochs + 1):
            slope = np.real(problem.slope(x, slice(None)))
            now = rate * (1 - epoch / (epochs + 1)) if decay else rate
            seen = np.nan if monitor is None else monitor(x)
            rows.append((epoch, problem.objective(x), now, np.linalg.norm(slope), seen))
            if epoch == epochs:
                break
            order = random.permutation(problem.members)
            size = batch or problem.members
            for first in range(0, problem.members, size):
                part = order[first : first + size] if batch else slice(None)
                speed = momentum * speed + np.real(problem.slope(x, part))
                x = x - now * speed
    columns = np.array(rows).T
    trace = TrainingTrace(*columns[:4], None if monitor is None else columns[4])
    layers = problem.layers(x) if isinstance(problem, Mlp) else []
    parts = problem.variables() if isinstance(problem, Mlp) else [VariablePart("x", slice(0, len(x)))]
    return Trained(problem, x, trace, layers, parts)


def blobs(members: int = 200, width: int = 3, noise: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds of points and their labels, -1 and 1."""
    random = np.random.default_rng(seed)
    labels = np.where(np.arange(members) % 2, 1.0, -1.0)
    return labels[:, None] + noise * random.standard_normal((members, width)), labels


def waves(members: int = 60, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs in [-1, 1] and sin(3 x) with noise."""
    random = np.random.default_rng(seed)
    inputs = random.uniform(-1, 1, (members, 1))
    return inputs, np.sin(3 * inputs[:, 0]) + noise * random.standard_normal(members)
