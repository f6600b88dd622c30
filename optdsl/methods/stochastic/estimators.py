"""Estimators of the gradient: plain batches, and two that reduce their variance by what they remember.

Notation: est_k(x) is the gradient of the estimate from batch k, p_k the share of the members in it, so that the full
gradient is sum_k p_k est_k(x); K the number of batches. Weighted rows (weights'c) are part of every gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from optdsl.methods.stochastic.batches import Batches, parts
from optdsl.methods.stochastic.updates import Update
from optdsl.nlp import FiniteSum

Kind = Literal["plain", "svrg", "saga"]


@dataclass(frozen=True, slots=True)
class StochasticMethod:
    """A method: its name, how gradients are estimated, how a step uses them."""

    name: str
    update: Update
    estimator: Kind = "plain"


class Estimator(Protocol):
    """What is remembered (`arrays`, saved with a run), and an estimate of the gradient at each step."""

    arrays: dict[str, np.ndarray]

    def begin(self, x: np.ndarray, weights: np.ndarray | None) -> None:
        """Called as an epoch begins."""

    def estimate(self, x: np.ndarray, number: int, gradient: np.ndarray, weights: np.ndarray | None) -> float:
        """The estimate of f from a batch; the gradient's is written."""


def estimator_of(kind: Kind, problem: FiniteSum, batches: Batches) -> Estimator:
    """A fresh estimator."""
    made: dict[Kind, type[Plain] | type[SVRG] | type[SAGA]] = {"plain": Plain, "svrg": SVRG, "saga": SAGA}
    return made[kind](problem, batches)


class Plain:
    """The batch's own gradient."""

    def __init__(self, problem: FiniteSum, batches: Batches) -> None:
        self.problem, self.batches = problem, batches
        self.arrays: dict[str, np.ndarray] = {}

    def begin(self, x: np.ndarray, weights: np.ndarray | None) -> None:
        """Nothing."""

    def estimate(self, x: np.ndarray, number: int, gradient: np.ndarray, weights: np.ndarray | None) -> float:
        """est_k(x)."""
        return self.problem.estimate(x, self.batches.members_of(number), gradient, weights)


class SVRG:
    """est_k(x) - est_k(z) + mu, where mu is the full gradient at z, the point at which the epoch began.

    Johnson and Zhang 2013, figure 1, option I, with one epoch between two full gradients. Memory: 3 n numbers.
    """

    def __init__(self, problem: FiniteSum, batches: Batches) -> None:
        self.problem, self.batches = problem, batches
        n = len(problem.start)
        self.arrays = {
            "point": np.zeros(n, problem.dtype),
            "full": np.zeros(n, problem.dtype),
            "weights": np.zeros(len(problem.row_lower)),
        }
        self._other = np.zeros(n, problem.dtype)

    def begin(self, x: np.ndarray, weights: np.ndarray | None) -> None:
        """The full gradient at the epoch's first point."""
        self.arrays["point"][...] = x
        if weights is not None:
            self.arrays["weights"][...] = weights
        self.arrays["full"][...] = full_gradient(self.problem, x, self.batches.size, weights)

    def estimate(self, x: np.ndarray, number: int, gradient: np.ndarray, weights: np.ndarray | None) -> float:
        """The corrected gradient."""
        members = self.batches.members_of(number)
        then = None if weights is None else self.arrays["weights"]
        self.problem.estimate(self.arrays["point"], members, self._other, then)
        value = self.problem.estimate(x, members, gradient, weights)
        np.subtract(gradient, self._other, out=gradient)
        np.add(gradient, self.arrays["full"], out=gradient)
        return value


class SAGA:
    """K p_k (est_k(x) - table_k) + sum_j p_j table_j, after which table_k becomes est_k(x).

    Defazio, Bach and Lacoste-Julien 2014, eqs. 1 and 2, whose functions are here K p_k times a batch's: the batches
    stay the same during the run, and each step draws one. A first pass fills the table. Memory: (K + 3) n numbers.
    """

    def __init__(self, problem: FiniteSum, batches: Batches) -> None:
        self.problem, self.batches = problem, batches
        n = len(problem.start)
        self.arrays = {
            "table": np.zeros((batches.count, n), problem.dtype),
            "mean": np.zeros(n, problem.dtype),
            "filled": np.zeros(1, dtype=bool),
        }
        self._other = np.zeros(n, problem.dtype)

    def begin(self, x: np.ndarray, weights: np.ndarray | None) -> None:
        """The first time the table; the mean anew at every epoch, so that roundings do not add up."""
        table = self.arrays["table"]
        if not self.arrays["filled"][0]:
            for number, row in enumerate(table):
                self.problem.estimate(x, self.batches.members_of(number), row, weights)
            self.arrays["filled"][0] = True
        shares = np.array([self.batches.share(number) for number in range(self.batches.count)])
        self.arrays["mean"][...] = shares.astype(table.dtype) @ table

    def estimate(self, x: np.ndarray, number: int, gradient: np.ndarray, weights: np.ndarray | None) -> float:
        """The corrected gradient; the table learns the new one."""
        row, mean, change = self.arrays["table"][number], self.arrays["mean"], self._other
        share = self.batches.share(number)
        value = self.problem.estimate(x, self.batches.members_of(number), gradient, weights)
        np.subtract(gradient, row, out=change)
        row[...] = gradient
        np.multiply(change, self.batches.count * share, out=gradient)
        np.add(gradient, mean, out=gradient)
        np.multiply(change, share, out=change)
        np.add(mean, change, out=mean)
        return value


def full_gradient(problem: FiniteSum, x: np.ndarray, size: int, weights: np.ndarray | None = None) -> np.ndarray:
    """The gradient of f + weights'c over all members (n,), float64, by estimates from slices of up to `size`."""
    total = np.zeros(len(x))
    part = np.zeros_like(x)
    for members, share in parts(problem.members, max(size, 1024)):
        problem.estimate(x, members, part, weights)
        total += share * part
    return total


def full_rows(problem: FiniteSum, x: np.ndarray, size: int) -> np.ndarray:
    """c(x) over all members (m,)."""
    total = np.zeros(len(problem.row_lower))
    for members, share in parts(problem.members, max(size, 1024)):
        total += share * problem.row_estimates(x, members)
    return total
