"""Sums over members made by hand with NumPy, as `optdsl.nlp.FiniteSum`: the problems that the methods are tested on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Terms = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
"""x and the members' numbers -> the sum of their f_s, and its gradient; in x's type."""


class Sum:
    """rest(x) + sum of terms; rows likewise, each a pair of functions."""

    def __init__(
        self,
        members: int,
        start: np.ndarray,
        terms: Terms,
        rest: Callable[[np.ndarray], tuple[float, np.ndarray]] | None = None,
        rows: list[tuple[Terms, float, float]] | None = None,
        dtype: type = np.float64,
        lower: float | np.ndarray = -np.inf,
        upper: float | np.ndarray = np.inf,
    ) -> None:
        self.members, self.terms, self.rest, self.rows = members, terms, rest, rows or []
        self.start, self.dtype = np.asarray(start, dtype=np.float64), np.dtype(dtype)
        n = len(self.start)
        self.lower = np.broadcast_to(np.asarray(lower, dtype=np.float64), (n,)).copy()
        self.upper = np.broadcast_to(np.asarray(upper, dtype=np.float64), (n,)).copy()
        self.row_lower = np.array([row[1] for row in self.rows])
        self.row_upper = np.array([row[2] for row in self.rows])
        self.estimates = 0

    def _numbers(self, batch: np.ndarray | slice) -> np.ndarray:
        return np.arange(self.members)[batch]

    def estimate(self, x, batch, gradient, weights=None):
        self.estimates += 1
        numbers = self._numbers(batch)
        scale = self.members / len(numbers)
        value, slope = self.terms(x, numbers)
        value, slope = scale * value, scale * slope
        if self.rest is not None:
            more, more_slope = self.rest(x)
            value, slope = value + more, slope + more_slope
        for weight, (terms, _, _) in zip(weights if weights is not None else (), self.rows, strict=False):
            slope = slope + weight * scale * terms(x, numbers)[1]
        gradient[...] = slope
        return float(value)

    def row_estimates(self, x, batch):
        numbers = self._numbers(batch)
        return np.array([self.members / len(numbers) * terms(x, numbers)[0] for terms, _, _ in self.rows])

    def objective(self, x):
        return self.estimate(np.asarray(x, dtype=np.float64), slice(None), np.zeros(len(x)))

    def gradient(self, x):
        gradient = np.zeros(len(x))
        self.estimate(np.asarray(x, dtype=np.float64), slice(None), gradient)
        return gradient

    def hessian_product(self, x, multipliers, direction, weight=1.0):
        raise NotImplementedError

    def culprit(self, x, batch):
        value, _ = self.terms(x, self._numbers(batch))
        return None if np.isfinite(value) else "the loss"


def data(members: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A table (members, n) and a noisy linear answer."""
    random = np.random.default_rng(seed)
    table = random.normal(size=(members, n))
    return table, table @ random.normal(size=n) + 0.1 * random.normal(size=members)


def least_squares(members: int = 200, n: int = 5, dtype: type = np.float64, seed: int = 0, **more) -> Sum:
    """mean of (a'x - b)^2 / 2."""
    a, b = data(members, n, seed)

    def terms(x, numbers):
        part = a[numbers].astype(x.dtype)
        r = part @ x - b[numbers].astype(x.dtype)
        return 0.5 * float(r @ r) / members, part.T @ r / x.dtype.type(members)

    found = Sum(members, more.pop("start", np.zeros(n)), terms, dtype=dtype, **more)
    found.a, found.b = a, b
    return found


def logistic(
    members: int = 300, n: int = 4, dtype: type = np.float64, penalty: float = 0.01, seed: int = 0, **more
) -> Sum:
    """mean of log(1 + exp(-y a'x)) + penalty |x|^2 / 2; the penalty is the rest."""
    a, b = data(members, n, seed)
    y = np.sign(b)

    def terms(x, numbers):
        part = a[numbers].astype(x.dtype) * y[numbers, None].astype(x.dtype)
        z = part @ x
        value = float(np.logaddexp(0, -z).sum()) / members
        return value, -(part.T @ (1 / (1 + np.exp(z)))) / x.dtype.type(members)

    def rest(x):
        return 0.5 * penalty * float(x @ x), penalty * x

    found = Sum(members, more.pop("start", np.zeros(n)), terms, rest, dtype=dtype, **more)
    found.a, found.y = a, y
    return found


def network(members: int = 256, hidden: int = 8, dtype: type = np.float64, seed: int = 0) -> Sum:
    """A network 2 - hidden - 1 with tanh on a circle, logistic loss, mean."""
    random = np.random.default_rng(seed)
    points = random.uniform(-1, 1, size=(members, 2))
    y = np.where((points**2).sum(axis=1) < 0.5, 1.0, -1.0)
    sizes = (2 * hidden, hidden, hidden, 1)
    ends = np.cumsum(sizes)

    def terms(x, numbers):
        w, b, v, c = (x[end - size : end] for end, size in zip(ends, sizes, strict=True))
        w = w.reshape(2, hidden)
        part, label = points[numbers].astype(x.dtype), y[numbers].astype(x.dtype)
        h = np.tanh(part @ w + b)
        z = label * (h @ v + c[0])
        dz = -label / (1 + np.exp(z)) / x.dtype.type(members)
        dh = dz[:, None] * v * (1 - h * h)
        slope = np.concatenate([(part.T @ dh).ravel(), dh.sum(axis=0), h.T @ dz, [dz.sum()]])
        return float(np.logaddexp(0, -z).sum()) / members, slope

    start = np.random.default_rng(seed + 1).normal(size=ends[-1]) * 0.7
    return Sum(members, start, terms, dtype=dtype)
