"""The examples that learn from data, computed without optdsl: convex ones by hand in CVXPY, networks in NumPy.

Of a model that is not convex the best of many starts of another optimizer is what the example is held against; where
the optimum is known in closed form, that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cvxpy as cp
import numpy as np
from cone_references import TIGHT
from local_references import Known
from reference_program import Expected, numbers, read_rows
from scipy.optimize import minimize


def _standardized(columns: list[np.ndarray], train: np.ndarray) -> np.ndarray:
    raw = np.stack(columns, axis=1)
    return (raw - raw[train].mean(axis=0)) / raw[train].std(axis=0)


def _softmax_loss(logits: np.ndarray, label: np.ndarray) -> float:
    top = logits.max(axis=1)
    total = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
    return float((total - logits[np.arange(len(label)), label]).mean())


def iris() -> Expected:
    rows = read_rows("iris/iris.csv")
    names = [name for name in rows[0] if name != "species"]
    features = np.stack([numbers(rows, name) for name in names], axis=1)
    classes = list(dict.fromkeys(row["species"] for row in rows))
    label = np.array([classes.index(row["species"]) for row in rows])
    train = np.arange(1, len(rows) + 1) % 5 != 0
    weights, base = cp.Variable((4, 3)), cp.Variable((1, 3))
    logits = features[train] @ weights + np.ones((train.sum(), 1)) @ base
    right = cp.multiply(np.eye(3)[label[train]], logits)
    loss = (cp.sum(cp.log_sum_exp(logits, axis=1)) - cp.sum(right)) / train.sum()
    value = cp.Problem(cp.Minimize(loss + 0.01 * (cp.sum_squares(weights) + cp.sum_squares(base)))).solve(**TIGHT)
    return Expected(value, values={"W": weights.value, "b": base.value[0]})


def fair_credit() -> Expected:
    person = np.arange(1, 25)
    north = person <= 12
    income = 2 + (7 * person % 11) / 4 + north
    debt = (5 * person % 7) / 3
    paid = (income - debt + np.sin(3 * person) > 2.5).astype(float)
    base, slopes = cp.Variable(), cp.Variable(2)
    score = base + income * slopes[0] + debt * slopes[1]
    loss = cp.sum(cp.logistic(score) - cp.multiply(paid, score)) / 24 + 0.01 * cp.sum_squares(slopes)
    gap = cp.sum(score[north]) / 12 - cp.sum(score[~north]) / 12
    held = [gap <= 0.2, gap >= -0.2]
    value = cp.Problem(cp.Minimize(loss), held).solve(**TIGHT)
    dual = np.array(held[1].dual_value - held[0].dual_value)
    values = {"base": base.value, "by_income": slopes.value[0], "by_debt": slopes.value[1]}
    return Expected(value, {"fair": dual}, values)


def poisson() -> Expected:
    day = np.arange(1, 29)
    rain = np.zeros(28)
    rain[np.array([3, 7, 8, 15, 18, 23, 24]) - 1] = 1
    hires = np.array(
        [3, 4, 1, 5, 6, 9, 4, 1, 6, 5, 6, 8, 13, 12, 3, 8, 7, 4, 10, 18, 15, 9, 5, 4, 12, 13, 24, 22], dtype=float
    )
    base, by_day, slopes = cp.Variable(), cp.Variable(7), cp.Variable(2)
    log_rate = base + by_day[(day - 1) % 7] + (day - 14) / 14 * slopes[0] + rain * slopes[1]
    loss = cp.sum(cp.exp(log_rate) - cp.multiply(hires, log_rate)) / 28 + 0.01 * cp.sum_squares(by_day)
    value = cp.Problem(cp.Minimize(loss)).solve(**TIGHT)
    return Expected(value, values={"by_day": by_day.value, "by_warmth": slopes.value[0], "by_rain": slopes.value[1]})


def quantile() -> Expected:
    x = np.arange(1, 41) / 10
    y = 1 + 0.8 * x + (0.2 + 0.3 * x) * np.sin(17 * np.arange(1, 41))
    base, slope = cp.Variable(2), cp.Variable(2)
    lines = [base[k] + slope[k] * x for k in (0, 1)]
    misses = [(share, y - line) for share, line in zip((0.1, 0.9), lines, strict=True)]
    loss = sum(cp.sum(share * cp.pos(miss) + (1 - share) * cp.pos(-miss)) for share, miss in misses)
    value = cp.Problem(cp.Minimize(loss / 80), [lines[0] <= lines[1]]).solve(solver=cp.HIGHS)
    return Expected(value)


def monotone() -> Expected:
    driver = np.arange(1, 61)
    band = 1 + driver % 6
    claim = ((driver**2 + 3 * driver) % 17 < 9 - 1.2 * band + 5 * np.sin(2 * band)).astype(float)
    risk = cp.Variable(6)
    score = risk[band - 1]
    loss = cp.sum(cp.logistic(score) - cp.multiply(claim, score)) / 60 + 0.001 * cp.sum_squares(risk)
    falls = risk[1:] <= risk[:-1]
    value = cp.Problem(cp.Minimize(loss), [falls]).solve(**TIGHT)
    return Expected(value, {"falls": -falls.dual_value}, {"risk": risk.value})


def breast_cancer() -> Expected:
    rows = read_rows("breast_cancer/breast_cancer.csv")
    train = np.arange(1, len(rows) + 1) % 4 != 0
    features = _standardized([numbers(rows, name) for name in rows[0] if name.startswith("worst_")], train)
    sign = np.array([1.0 if row["diagnosis"] == "malignant" else -1.0 for row in rows])
    weights, base = cp.Variable(10), cp.Variable()
    margin = cp.multiply(sign[train], features[train] @ weights + base)
    loss = 0.01 * cp.sum_squares(weights) + cp.sum(cp.pos(1 - margin)) / train.sum()
    value = cp.Problem(cp.Minimize(loss)).solve(**TIGHT)
    return Expected(value, values={"w": weights.value, "b": base.value})


# --------------------------------------------------------------------------------------------- models with many optima


def _best(loss: Callable[..., float], shapes: list[tuple[int, ...]], starts: int, seed: int) -> float:
    """The lowest value that quasi-Newton runs from drawn starts end at, slopes by differences."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    cuts = np.cumsum(sizes)[:-1]

    def flat(values: np.ndarray) -> float:
        return loss(*(part.reshape(shape) for part, shape in zip(np.split(values, cuts), shapes, strict=True)))

    random = np.random.default_rng(seed)
    ends = [minimize(flat, random.normal(0, 0.5, sum(sizes)), method="BFGS", tol=1e-7) for _ in range(starts)]
    return min(float(end.fun) for end in ends)


def wine() -> Known:
    rows = read_rows("wine/wine.csv")
    train = np.arange(1, len(rows) + 1) % 4 != 0
    names = ("alcohol", "malic_acid", "ash", "hue", "flavanoids", "proline")
    features = _standardized([numbers(rows, name) for name in names], train)[train]
    label = numbers(rows, "cultivar").astype(int)[train] - 1

    def loss(first: np.ndarray, one: np.ndarray, second: np.ndarray, two: np.ndarray) -> float:
        logits = np.tanh(features @ first + one) @ second + two
        return _softmax_loss(logits, label) + 0.002 * sum((part**2).sum() for part in (first, one, second, two))

    return Known(_best(loss, [(6, 5), (5,), (5, 3), (3,)], 4, 1), 1e-5)


def ratings() -> Known:
    given = {
        (0, 0): 5, (0, 1): 4, (0, 2): 1, (1, 0): 4, (1, 1): 5, (1, 4): 2, (2, 2): 5, (2, 3): 4, (2, 0): 1,
        (3, 2): 4, (3, 4): 5, (3, 1): 2, (4, 3): 5, (4, 4): 4, (4, 2): 5, (5, 0): 3, (5, 3): 3, (5, 4): 3,
    }  # fmt: skip
    reader, book = np.array(list(given)).T
    rating = np.array(list(given.values()), dtype=float)

    def loss(likes: np.ndarray, has: np.ndarray, usual: np.ndarray) -> float:
        guess = usual + (likes[reader] * has[book]).sum(axis=1)
        return float(((guess - rating) ** 2).sum() + 0.3 * ((likes**2).sum() + (has**2).sum()))

    return Known(_best(loss, [(6, 2), (5, 2), ()], 8, 1), 1e-6)


def autoencoder() -> Known:
    """Baldi and Hornik (1989): the optimum leaves the variance outside of the first principal components."""
    rows = read_rows("iris/iris.csv")
    features = np.stack([numbers(rows, name) for name in rows[0] if name != "species"], axis=1)
    variances = np.linalg.eigvalsh(np.cov(features.T, bias=True))
    return Known(float(variances[:2].sum()), 1e-8)


def words() -> Known:
    text = ["the", "cat", "sat", "on", "the", "mat", "and", "the", "dog", "sat", "on", "the", "log"]
    known = ["the", "cat", "sat", "on", "mat", "and", "dog", "log"]
    word = np.array([known.index(each) for each in text])

    def loss(embedding: np.ndarray, weights: np.ndarray) -> float:
        logits = embedding[word[:-1]] @ weights
        return _softmax_loss(logits, word[1:]) + 0.001 * ((embedding**2).sum() + (weights**2).sum())

    return Known(_best(loss, [(8, 2), (2, 8)], 6, 1), 1e-4)  # slopes by differences stop a little early


def recurrence() -> Known:
    bits = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1], dtype=float)
    goal, total = np.zeros(12), 0.0
    for t, bit in enumerate(bits):
        total = goal[t] = 0.7 * total + bit

    def loss(keep: np.ndarray, take: np.ndarray, out: np.ndarray) -> float:
        state, error = 0.0, 0.0
        for bit, wanted in zip(bits, goal, strict=True):
            state = np.tanh(keep * state + take * bit)
            error += (out * state - wanted) ** 2
        return float(error / 12 + 0.0001 * (take**2 + out**2))

    return Known(_best(loss, [(), (), ()], 8, 1), 1e-5)


def lasso() -> Expected:
    i, j = np.arange(1, 25)[:, None], np.arange(1, 11)[None, :]
    phase = np.array([0.3, 1.1, 1.9, 2.2, 2.9, 3.1, 4.3, 4.8, 5.3, 6.1])
    x = np.cos(j * i / 3 + phase)
    response = 3 * x[:, 1] - 2 * x[:, 6] + 0.2 * np.sin(5 * i[:, 0])
    weight = cp.Variable(10)
    loss = cp.Problem(cp.Minimize(cp.sum_squares(response - x @ weight) / 2 + 2 * cp.norm1(weight)))
    return Expected(loss.solve(**TIGHT))


def sparse_logistic() -> Expected:
    i, j = np.arange(1, 31)[:, None], np.arange(1, 9)[None, :]
    x = np.sin(1.7 * j * i + j**2)
    yes = (2 * x[:, 0] - x[:, 3] + 0.8 * np.cos(3 * i[:, 0]) > 0.2).astype(float)
    weight, base = cp.Variable(8), cp.Variable()
    rows = x @ weight + base
    loss = cp.Problem(cp.Minimize(cp.sum(cp.logistic(rows)) - yes @ rows + cp.norm1(weight)))
    return Expected(loss.solve(**TIGHT))


LEARNED: dict[str, Callable[[], Known]] = {
    function.__name__: function for function in (wine, ratings, autoencoder, words, recurrence)
}


# ------------------------------------------------------------------------------------------------- stochastic training


@dataclass(frozen=True)
class Floor:
    """What every trained model must reach, by the text of an item of `show`: at least, or at most."""

    least: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)


TRAINED: dict[str, Floor] = {
    # scikit-learn's logistic regression has 0.95 to 0.97 on such parts of the table
    "digits": Floor({"accuracy(network(X[TEST, :]), digit[TEST])": 0.95}, {"watched": 0.16}),
    # the ratings vary by 0.89, and nothing was seen of these pairs
    "recommend": Floor(most={"sqrt(mean((guess[r, b] - truth[r, b])^2 for (r, b) in OTHER))": 0.35}),
}
