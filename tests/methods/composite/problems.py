"""Composite problems from arrays and from the public tables of the examples, made without the language."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optdsl.methods.composite.losses import Loss, Softplus, Square
from optdsl.methods.composite.operators import Block, Rows, identity
from optdsl.methods.composite.problem import Composite, Part

DATA = Path(__file__).parents[3] / "examples" / "data"


def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The columns of a public table, each with mean 0 and length sqrt(rows), and its last column (1: malignant)."""
    text = (DATA / name / f"{name}.csv").read_text(encoding="utf-8")
    text = text.replace("malignant", "1").replace("benign", "0")
    whole = np.loadtxt(text.splitlines()[1:], delimiter=",")
    X = whole[:, :-1] - whole[:, :-1].mean(axis=0)
    return X / X.std(axis=0), whole[:, -1]


def wine() -> tuple[np.ndarray, np.ndarray]:
    """Twelve measurements of 178 wines, and their proline (Aeberhard and Forina 1991), centered and scaled."""
    X, _ = table("wine")
    return X[:, :-1], X[:, -1]


def cancer() -> tuple[np.ndarray, np.ndarray]:
    """Thirty measurements of 569 tumors and their kind, -1 or 1 (Street, Wolberg and Mangasarian 1993)."""
    X, kind = table("breast_cancer")
    return X, np.where(kind > 0, 1.0, -1.0)


def dense(A: np.ndarray, offset: np.ndarray | float = 0.0, loss: Loss | None = None, weight: float = 1.0) -> Part:
    """weight times the loss (squares) of A x + offset."""
    loss = loss or Square()
    operator = Rows((Block(np.ascontiguousarray(A), np.arange(A.shape[1])),), len(A), A.shape[1])
    offsets = np.broadcast_to(np.asarray(offset, dtype=float), (len(A),)).copy()
    return Part(operator, offsets, loss, np.full(len(A) // loss.group, weight))


def picked(columns: np.ndarray, width: int, loss: Loss, weight: float) -> Part:
    """weight times the loss of some variables themselves."""
    return Part(identity(columns, width), np.zeros(len(columns)), loss, np.full(len(columns) // loss.group, weight))


def composite(
    *parts: Part,
    absolute: float | np.ndarray = 0.0,
    ridge: float | np.ndarray = 0.0,
    lower: float = -np.inf,
    upper: float = np.inf,
    start: float = 0.0,
) -> Composite:
    """Parts with the same penalties and bounds on every variable, unless they are given one by one."""
    n = parts[0].operator.width

    def each(value: float | np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, dtype=float), (n,)).copy()

    return Composite(parts, np.zeros(n), 0.0, each(absolute), each(ridge), each(lower), each(upper), each(start))


def lasso(charge: float, ridge: float = 0.0) -> Composite:
    """|y - X w|^2 / 2 + charge |w|_1 + ridge |w|^2 / 2 on the wines; charge is a share of the one that leaves 0."""
    X, y = wine()
    return composite(dense(X, -y), absolute=charge * float(np.abs(X.T @ y).max()), ridge=ridge)


def logistic(charge: float, ridge: float = 0.0) -> Composite:
    """sum log(1 + exp(-s x'w)) + charge |w|_1 + ridge |w|^2 / 2 on the tumors, charge as above."""
    X, s = cancer()
    most = 0.5 * float(np.abs(X.T @ s).max())
    return composite(dense(-s[:, None] * X, 0.0, Softplus()), absolute=charge * most, ridge=ridge)
