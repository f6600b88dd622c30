"""A large sparse problem in array form: problem 5.1 of Luksan and Vlcek (1999), of any size.

L. Luksan and J. Vlcek, "Sparse and partially separable test problems for unconstrained and equality constrained
optimization", report 767, Academy of Sciences of the Czech Republic: chained Rosenbrock function with trigonometric-
exponential constraints.
"""

from __future__ import annotations

import numpy as np

from optdsl.nlp import Pattern


class ChainedRosenbrock:
    """minimize sum 100 (x_i^2 - x_i+1)^2 + (x_i - 1)^2 subject to n - 2 rows in three neighbors each."""

    residuals = None
    convex = False

    def __init__(self, n: int) -> None:
        self.n = n
        self.start = np.where(np.arange(n) % 2 == 0, -1.2, 1.0)
        self.lower, self.upper = np.full(n, -np.inf), np.full(n, np.inf)
        self.row_lower = self.row_upper = np.zeros(n - 2)
        self.linear = np.zeros(n - 2, bool)
        k = np.arange(n - 2)
        self.jacobian_pattern = Pattern(np.tile(k, 3), np.concatenate([k, k + 1, k + 2]), (n - 2, n))
        i = np.arange(n)
        self.hessian_pattern = Pattern(np.concatenate([i, i[1:]]), np.concatenate([i, i[:-1]]), (n, n))

    def objective(self, x: np.ndarray) -> float:
        return float((100 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1) ** 2).sum())

    def gradient(self, x: np.ndarray) -> np.ndarray:
        gap = x[:-1] ** 2 - x[1:]
        g = np.zeros(self.n)
        g[:-1] = 400 * gap * x[:-1] + 2 * (x[:-1] - 1)
        g[1:] -= 200 * gap
        return g

    def constraints(self, x: np.ndarray) -> np.ndarray:
        a, b, c = x[:-2], x[1:-1], x[2:]
        return 3 * b**3 + 2 * c - 5 + np.sin(b - c) * np.sin(b + c) + 4 * b - a * np.exp(a - b) - 3

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        a, b, c = x[:-2], x[1:-1], x[2:]
        e = np.exp(a - b)
        return np.concatenate([-(1 + a) * e, 9 * b**2 + np.sin(2 * b) + 4 + a * e, 2 - np.sin(2 * c)])

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        a, b, c = x[:-2], x[1:-1], x[2:]
        e = np.exp(a - b)
        diagonal, below = np.zeros(self.n), np.zeros(self.n - 1)
        diagonal[:-1] = weight * (1200 * x[:-1] ** 2 - 400 * x[1:] + 2)
        diagonal[1:] += weight * 200
        below[:] = weight * -400 * x[:-1]
        diagonal[:-2] -= multipliers * (2 + a) * e
        diagonal[1:-1] += multipliers * (18 * b + 2 * np.cos(2 * b) - a * e)
        diagonal[2:] -= multipliers * 2 * np.cos(2 * c)
        below[:-1] += multipliers * (1 + a) * e
        return np.concatenate([diagonal, below])

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        return self.hessian_pattern.symmetric(self.hessian(x, multipliers, weight)) @ direction


class ChainedWells:
    """minimize sum (x_i^2 - 1)^2 / 4 + sum (x_i+1 - x_i)^2 around a ring, subject to sum x_i = 0: a saddle at 0."""

    residuals = None
    convex = False

    def __init__(self, n: int) -> None:
        self.n = n
        # Neighbors pull each other to 0 along this start, where other directions fall.
        self.start = np.where(np.arange(n) % 2 == 0, 0.3, -0.3)
        self.lower, self.upper = np.full(n, -np.inf), np.full(n, np.inf)
        self.row_lower = self.row_upper = np.zeros(1)
        self.linear = np.ones(1, bool)
        i = np.arange(n)
        self.jacobian_pattern = Pattern(np.zeros(n, dtype=np.int64), i, (1, n))
        self.hessian_pattern = Pattern(
            np.concatenate([i, i[1:], [n - 1]]), np.concatenate([i, i[:-1], [0]]), (n, n)
        )

    def objective(self, x: np.ndarray) -> float:
        return float(((x**2 - 1) ** 2).sum() / 4 + ((np.roll(x, -1) - x) ** 2).sum())

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return x * (x**2 - 1) + 2 * (2 * x - np.roll(x, 1) - np.roll(x, -1))

    def constraints(self, x: np.ndarray) -> np.ndarray:
        return np.array([x.sum()])

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        return np.ones(self.n)

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        return weight * np.concatenate([3 * x**2 + 3, np.full(self.n, -2.0)])

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        return self.hessian_pattern.symmetric(self.hessian(x, multipliers, weight)) @ direction
