"""Updates: how a step uses a gradient. Each is settings, the names of its memory, and one block of arithmetic.

Notation: x parameters, g gradient, a rate, lambda weight decay, s scratch; all arrays of one block have equal length.
Updates go over the vector in blocks that stay in the cache, so that a step costs one pass over memory; numbers that
change by step (a count, a product) are the memory's `numbers`.

Variables that a projection couples (a simplex, a ball, a chain) share one scale by group: a step that stretched them
apart, followed by the nearest point, would rest where the gradient is not normal to the set. So the square of a
gradient is there the mean over its group, and the sign of a number that number over its group's root mean square.

Weight decay adds lambda x to the gradient, except in adamw and lion, where it shrinks x by a lambda beside the step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

BLOCK = 32768


@dataclass(slots=True)
class Memory:
    """What an update remembers between steps: arrays (n,) and numbers by name."""

    arrays: dict[str, np.ndarray]
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Coupled:
    """Variables that share a scale by group: their places (k,) and groups (k,), numbered from 0."""

    places: np.ndarray
    groups: np.ndarray

    def means(self, values: np.ndarray) -> np.ndarray:
        """The mean over its group, for each (k,)."""
        sizes = np.bincount(self.groups)
        return (np.bincount(self.groups, values) / sizes)[self.groups].astype(values.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """How the last step of an adaptive update scaled gradients: divisor (n,), float64.

    ahead: the share of the mean of gradients in a step that takes one of mean and gradient together (nadam).
    """

    divisor: np.ndarray
    ahead: float = 0.0


class Update(Protocol):
    """Settings of an update; `keeps` names its arrays, `begins` its numbers with their first values."""

    @property
    def keeps(self) -> tuple[str, ...]: ...

    @property
    def begins(self) -> Mapping[str, float]: ...

    def advance(self, numbers: dict[str, float], rate: float) -> tuple[float, ...]:
        """The step's coefficients; `numbers` move on by one step."""

    def block(
        self, x: np.ndarray, g: np.ndarray, s: np.ndarray, c: Any, memory: list[np.ndarray], coupled: Coupled | None
    ) -> None:
        """One step on a block, in place; g and s may be overwritten. memory: the block of each array kept."""

    def scaling(self, memory: Memory) -> Scaling | None:
        """How the last step scaled gradients; None where there was none, or it takes them as they are or their sign."""


def start(update: Update, size: int, dtype: np.dtype) -> Memory:
    """The memory before the first step."""
    return Memory({name: np.zeros(size, dtype) for name in update.keeps}, dict(update.begins))


def step(update: Update, memory: Memory, x: np.ndarray, gradient: np.ndarray, rate: float, scratch: np.ndarray) -> None:
    """One step, in place; the gradient is used up. scratch (BLOCK,), of x's type."""
    coefficients = update.advance(memory.numbers, rate)
    arrays = [memory.arrays[name] for name in update.keeps]
    for first in range(0, len(x), BLOCK):
        part = slice(first, first + BLOCK)
        block = x[part]
        update.block(
            block, gradient[part], scratch[: len(block)], coefficients, [array[part] for array in arrays], None
        )


def step_coupled(
    update: Update, memory: Memory, x: np.ndarray, gradient: np.ndarray, rate: float, coupled: Coupled
) -> None:
    """One step of coupled variables (k,), in place; x, gradient and memory are theirs alone."""
    coefficients = update.advance(memory.numbers, rate)
    arrays = [memory.arrays[name] for name in update.keeps]
    update.block(x, gradient, np.zeros_like(x), coefficients, arrays, coupled)


class Stepper:
    """The steps of a run: `memory` of all variables, and `apart` of those that a projection couples."""

    def __init__(self, update: Update, size: int, dtype: np.dtype, coupled: Coupled | None) -> None:
        self.update, self.coupled = update, coupled
        self.memory = start(update, size, dtype)
        self.apart = Memory({}) if coupled is None else start(update, len(coupled.places), dtype)
        self._scratch = np.zeros(BLOCK, dtype)

    def step(self, x: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        """One step, in place; the gradient is used up."""
        if self.coupled is None:
            step(self.update, self.memory, x, gradient, rate, self._scratch)
            return
        places = self.coupled.places
        part, part_gradient = x[places], gradient[places]
        step(self.update, self.memory, x, gradient, rate, self._scratch)
        step_coupled(self.update, self.apart, part, part_gradient, rate, self.coupled)
        x[places] = part

    def scaling(self) -> Scaling | None:
        """How the last step scaled the gradient."""
        found = self.update.scaling(self.memory)
        if found is not None and self.coupled is not None:
            apart = self.update.scaling(self.apart)
            assert apart is not None
            found.divisor[self.coupled.places] = apart.divisor
        return found


def _scaled(memory: Memory, factor: float, epsilon: float, ahead: float = 0.0) -> Scaling:
    """sqrt(factor * squares) + epsilon, of the array of squares kept under whichever name."""
    squares = memory.arrays["second" if "second" in memory.arrays else "squares"]
    return Scaling(np.sqrt(factor * squares.astype(np.float64)) + epsilon, ahead)


def _squared(g: np.ndarray, out: np.ndarray, coupled: Coupled | None) -> None:
    np.multiply(g, g, out=out)
    if coupled is not None:
        out[...] = coupled.means(out)


def _decayed(g: np.ndarray, x: np.ndarray, s: np.ndarray, weight_decay: float) -> None:
    if weight_decay:
        np.multiply(x, weight_decay, out=s)
        np.add(g, s, out=g)


@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradients with heavy-ball or Nesterov momentum.

    v = mu v + g;  x -= a v,  or with Nesterov  x -= a (g + mu v). Robbins and Monro 1951; Polyak 1964;
    Sutskever and others 2013, eqs. 1 to 4, with the rate taken out of v.
    """

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    begins: ClassVar[Mapping[str, float]] = {}

    @property
    def keeps(self) -> tuple[str, ...]:
        """The velocity, where there is momentum."""
        return ("velocity",) if self.momentum else ()

    def advance(self, numbers: dict[str, float], rate: float) -> tuple[float, ...]:
        """The rate."""
        return (rate,)

    def block(
        self, x: np.ndarray, g: np.ndarray, s: np.ndarray, c: Any, memory: list[np.ndarray], coupled: Coupled | None
    ) -> None:
        """One step on a block."""
        _decayed(g, x, s, self.weight_decay)
        if self.momentum:
            v = memory[0]
            np.multiply(v, self.momentum, out=v)
            np.add(v, g, out=v)
            if self.nesterov:
                np.multiply(v, self.momentum, out=s)
                np.add(g, s, out=g)
            else:
                g = v
        np.multiply(g, c[0], out=s)
        np.subtract(x, s, out=x)

    def scaling(self, memory: Memory) -> None:
        """None: gradients are taken as they are."""
        return


@dataclass(frozen=True, slots=True)
class AdaGrad:
    """q += g^2;  x -= a g / (sqrt(q) + epsilon). Duchi, Hazan and Singer 2011, figure 1, the diagonal form."""

    epsilon: float = 1e-10
    weight_decay: float = 0.0
    keeps: ClassVar[tuple[str, ...]] = ("squares",)
    begins: ClassVar[Mapping[str, float]] = {}

    def advance(self, numbers: dict[str, float], rate: float) -> tuple[float, ...]:
        """The rate."""
        return (rate,)

    def block(
        self, x: np.ndarray, g: np.ndarray, s: np.ndarray, c: Any, memory: list[np.ndarray], coupled: Coupled | None
    ) -> None:
        """One step on a block."""
        (q,) = memory
        _decayed(g, x, s, self.weight_decay)
        _squared(g, s, coupled)
        np.add(q, s, out=q)
        np.sqrt(q, out=s)
        np.add(s, self.epsilon, out=s)
        np.divide(g, s, out=s)
        np.multiply(s, c[0], out=s)
        np.subtract(x, s, out=x)

    def scaling(self, memory: Memory) -> Scaling:
        """sqrt(q) + epsilon."""
        return _scaled(memory, 1.0, self.epsilon)


@dataclass(frozen=True, slots=True)
class RMSProp:
    """q = r q + (1 - r) g^2;  v = mu v + g / (sqrt(q) + epsilon);  x -= a v. Tieleman and Hinton 2012, lecture 6e."""

    smoothing: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    begins: ClassVar[Mapping[str, float]] = {}

    @property
    def keeps(self) -> tuple[str, ...]:
        """The mean of squares, and the velocity where there is momentum."""
        return ("squares", "velocity") if self.momentum else ("squares",)

    def advance(self, numbers: dict[str, float], rate: float) -> tuple[float, ...]:
        """The rate."""
        return (rate,)

    def block(
        self, x: np.ndarray, g: np.ndarray, s: np.ndarray, c: Any, memory: list[np.ndarray], coupled: Coupled | None
    ) -> None:
        """One step on a block."""
        q = memory[0]
        _decayed(g, x, s, self.weight_decay)
        np.multiply(q, self.smoothing, out=q)
        _squared(g, s, coupled)
        np.multiply(s, 1 - self.smoothing, out=s)
        np.add(q, s, out=q)
        np.sqrt(q, out=s)
        np.add(s, self.epsilon, out=s)
        np.divide(g, s, out=s)
        if self.momentum:
            v = memory[1]
            np.multiply(v, self.momentum, out=v)
            np.add(v, s, out=v)
            np.multiply(v, c[0], out=s)
        else:
            np.multiply(s, c[0], out=s)
        np.subtract(x, s, out=x)

    def scaling(self, memory: Memory) -> Scaling:
        """sqrt(q) + epsilon."""
        return _scaled(memory, 1.0, self.epsilon)


@dataclass(frozen=True, slots=True)
class Adam:
    """Kingma and Ba 2015, algorithm 1; decoupled: adamw (Loshchilov and Hutter 2019, algorithm 2).

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  x -= a (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon).
    Deviation: the decay of adamw is multiplied by the rate, as everywhere by now.
    Kept are m / (1 - b1) and v / (1 - b2), which saves two passes; the factors go into the coefficients.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False
    keeps: ClassVar[tuple[str, ...]] = ("first", "second")
    begins: ClassVar[Mapping[str, float]] = {"step": 0}

    def advance(self, numbers: dict[str, float], rate: float) -> tuple[float, ...]:
        """The factor of m / (sqrt(v) + e), this e, and the factor of x."""
        numbers["step"] += 1
        t = numbers["step"]
        scale = (1 - self.beta2) / (1 - self.beta2**t)
        factor = rate * (1 - self.beta1) / (1 - self.beta1**t) / math.sqrt(scale)
        return factor, self.epsilon / math.sqrt(scale), 1 - rate * self.weight_decay

    def block(
        self, x: np.ndarray, g: np.ndarray, s: np.ndarray, c: Any, memory: list[np.ndarray], coupled: Coupled | None
    ) -> None:
        """One step on a block."""
        m, v = memory
        factor, epsilon, shrink = c
        if not self.decoupled:
            _decayed(g, x, s, self.weight_decay)
        elif self.weight_decay:
            np.multiply(x, shrink, out=x)
        np.multiply(m, self.beta1, out=m)
        np.add(m, g, out=m)
        np.multiply(v, self.beta2, out=v)
        _squared(g, g, coupled)
        np.add(v, g, out=v)
        np.sqrt(v, out=s)
        np.add(s, epsilon, out=s)
        np.divide(m, s, out=s)
        np.multiply(s, factor, out=s)
        np.subtract(x, s, out=x)

    def scaling(self, memory: Memory) -> Scaling | None:
        """sqrt(v / (1 - b2^t)) + epsilon."""
        t = memory.numbers["step"]
        return _scaled(memory, (1 - self.beta2) / (1 - self.beta2**t), self.epsilon) if t else None


@dataclass(frozen=True, slots=True)
class NAdam:
    """Adam with Nesterov momentum: Dozat 2016, algorithm 2, with mu_t = b1 (1 - 0.96^(t psi) / 2).

    x -= a (mu_{t+1} m / (1 - p_{t+1}) + (1 - mu_t) g / (1 - p_t)) / (sqrt(v / (1 - b2^t)) + epsilon), where
    p_t = mu_1 mu_2 .. mu_t.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    psi: float = 0.004
    weight_decay: float = 0.0
    keeps: ClassVar[tuple[str, ...]] = ("first", "second")
    begins: ClassVar[Mapping[str, float]] = {"step": 0, "product": 1.0}

    def advance(self, numbers: dict[str, float], rate: float) -> tuple[float, ...]:
        """The factors of m and of g over sqrt(v) + e, and this e."""
        numbers["step"] += 1
        t = numbers["step"]
        here = self.beta1 * (1 - 0.5 * 0.96 ** (t * self.psi))
        there = self.beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * self.psi))
        numbers["product"] *= here
        product = numbers["product"]
        scale = 1 / math.sqrt(1 - self.beta2**t)
        of_m, of_g = there / (1 - product * there), (1 - here) / (1 - product)
        return rate * of_m / scale, rate * of_g / scale, self.epsilon / scale

    def block(
        self, x: np.ndarray, g: np.ndarray, s: np.ndarray, c: Any, memory: list[np.ndarray], coupled: Coupled | None
    ) -> None:
        """One step on a block."""
        m, v = memory
        of_m, of_g, epsilon = c
        _decayed(g, x, s, self.weight_decay)
        np.multiply(m, self.beta1, out=m)
        np.multiply(g, 1 - self.beta1, out=s)
        np.add(m, s, out=m)
        np.multiply(v, self.beta2, out=v)
        _squared(g, s, coupled)
        np.multiply(s, 1 - self.beta2, out=s)
        np.add(v, s, out=v)
        np.multiply(g, of_g, out=g)
        np.multiply(m, of_m, out=s)
        np.add(g, s, out=g)
        np.sqrt(v, out=s)
        np.add(s, epsilon, out=s)
        np.divide(g, s, out=g)
        np.subtract(x, g, out=x)

    def scaling(self, memory: Memory) -> Scaling | None:
        """sqrt(v / (1 - b2^t)) + epsilon."""
        t = memory.numbers["step"]
        if not t:
            return None
        return _scaled(memory, 1 / (1 - self.beta2**t), self.epsilon, self.beta1 * (1 - 0.5 * 0.96 ** (t * self.psi)))


@dataclass(frozen=True, slots=True)
class Lion:
    """Chen and others 2023, algorithm 2, with decoupled weight decay.

    x -= a (sign(b1 m + (1 - b1) g) + lambda x);  m = b2 m + (1 - b2) g.
    """

    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    keeps: ClassVar[tuple[str, ...]] = ("first",)
    begins: ClassVar[Mapping[str, float]] = {}

    def advance(self, numbers: dict[str, float], rate: float) -> tuple[float, ...]:
        """The rate, and the factor of x."""
        return rate, 1 - rate * self.weight_decay

    def block(
        self, x: np.ndarray, g: np.ndarray, s: np.ndarray, c: Any, memory: list[np.ndarray], coupled: Coupled | None
    ) -> None:
        """One step on a block."""
        (m,) = memory
        rate, shrink = c
        if self.weight_decay:
            np.multiply(x, shrink, out=x)
        # b1 m + (1 - b1) g = b1 (m - g) + g, likewise with b2: one difference serves both.
        np.subtract(m, g, out=m)
        np.multiply(m, self.beta1, out=s)
        np.add(s, g, out=s)
        if coupled is None:
            # The sign in two vectorized passes: np.sign is ten times as slow.
            np.multiply(s, np.finfo(s.dtype).max, out=s)
            np.clip(s, -1, 1, out=s)
        else:
            size = np.sqrt(coupled.means(np.square(s)))
            np.divide(s, size, out=s, where=size > 0)
        np.multiply(s, rate, out=s)
        np.subtract(x, s, out=x)
        np.multiply(m, self.beta2, out=m)
        np.add(m, g, out=m)

    def scaling(self, memory: Memory) -> None:
        """None: a step knows signs only."""
        return
