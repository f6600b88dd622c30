"""Convex learning beside scikit-learn: `OMP_NUM_THREADS=1 python -m benchmarks.learning`; prints Markdown.

Both sides get the same arrays. optdsl starts from its text each time: reading the data, recognizing the objective,
solving to a relative gap of 1e-9 and checking. scikit-learn is asked for its default tolerance, and for a sharper one.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.svm import LinearSVC

import optdsl

TURNS = 5
HEAD = "set N\nset P\nparam X[N, P]\nparam s[N]\nparam r[N]\nparam c\nvar w[P]\nvar b\nminimize loss: "


def drawn(n: int, p: int) -> dict[str, Any]:
    """Rows of independent normal numbers, a tenth of the weights not 0, labels and numbers with noise."""
    random = np.random.default_rng(0)
    X = random.standard_normal((n, p))
    t = X @ np.where(random.random(p) < 0.1, 2 * random.standard_normal(p), 0.0)
    signs = np.where(t + random.standard_normal(n) > 0, 1.0, -1.0)
    return {"N": np.arange(n), "P": np.arange(p), "X": X, "s": signs, "r": t + random.standard_normal(n)}


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """The median processor time of some turns after a first one, and the last result."""
    found, result = [], run()
    for _ in range(TURNS):
        began = time.process_time()
        result = run()
        found.append(time.process_time() - began)
    return statistics.median(found), result


def row(name: str, objective: str, data: dict[str, Any], value: Callable[[Any], float], **peers: Any) -> None:
    """One line for optdsl, one for each peer: time, and how far above the best bound the objective is."""
    model = optdsl.parse(HEAD + objective)
    spent, solution = seconds(lambda: model.solve(data=data))
    print(
        f"| {name} | optdsl, `{solution.route.method}` | {spent:.3f} | {solution.checks.gap:.1e} | {solution.status} |"
    )
    for peer, make in peers.items():
        spent, fitted = seconds(make)
        above = (value(fitted) - solution.bound) / abs(solution.bound)
        print(f"| | {peer.replace('_', ' ')} | {spent:.3f} | {above:.1e} | |")


def main() -> None:
    """The table."""
    warnings.simplefilter("ignore")
    print("| work | by | processor time, s | gap | answer |\n|---|---|---|---|---|")
    data = drawn(100_000, 100) | {"c": 1.0}
    X, s, r = data["X"], data["s"], data["r"]

    def of_logistic(fit: Any) -> float:
        w, b = fit.coef_.ravel(), fit.intercept_[0]
        return float(np.logaddexp(0, -s * (X @ w + b)).sum() + 0.5 * w @ w)

    row(
        "logistic regression, 100,000 x 100",
        "sum(softplus(-s * (X @ w + b))) + c / 2 * sumsq(w)",
        data,
        of_logistic,
        scikit_learn=lambda: LogisticRegression().fit(X, s),
        scikit_learn_sharp=lambda: LogisticRegression(tol=1e-8, max_iter=1000).fit(X, s),
    )
    data = drawn(2000, 1000)
    X, r = data["X"], data["r"]
    data["c"] = 0.05 * float(np.abs(X.T @ r).max())
    charge = data["c"]

    def of_lasso(fit: Any) -> float:
        left = r - X @ fit.coef_
        return float(0.5 * left @ left + charge * np.abs(fit.coef_).sum())

    row(
        "lasso, 2,000 x 1,000",
        "sumsq(r - X @ w) / 2 + c * norm1(w)",
        data,
        of_lasso,
        scikit_learn=lambda: Lasso(charge / 2000, fit_intercept=False).fit(X, r),
        scikit_learn_sharp=lambda: Lasso(charge / 2000, fit_intercept=False, tol=1e-8, max_iter=100_000).fit(X, r),
    )
    data = drawn(5000, 200) | {"c": 20.0}
    X, s = data["X"], data["s"]

    def of_l1(fit: Any) -> float:
        w = fit.coef_.ravel()
        return float(np.logaddexp(0, -s * (X @ w)).sum() + 20.0 * np.abs(w).sum())

    def liblinear(tol: float) -> Any:
        fit = LogisticRegression(
            penalty="l1", C=1 / 20, solver="liblinear", fit_intercept=False, tol=tol, max_iter=2000
        )
        return fit.fit(X, s)

    row(
        "l1 logistic regression, 5,000 x 200",
        "sum(softplus(-s * (X @ w))) + c * norm1(w)",
        data,
        of_l1,
        liblinear=lambda: liblinear(1e-4),
        liblinear_sharp=lambda: liblinear(1e-8),
    )
    data = drawn(10_000, 50) | {"c": 1.0}
    X, s = data["X"], data["s"]

    def of_svm(fit: Any) -> float:
        w = fit.coef_.ravel()
        return float(np.maximum(0, 1 - s * (X @ w)).sum() + 0.5 * w @ w)

    row(
        "support vector machine, 10,000 x 50",
        "sum(hinge(s * (X @ w))) + c / 2 * sumsq(w)",
        data,
        of_svm,
        liblinear=lambda: LinearSVC(loss="hinge", fit_intercept=False, max_iter=20_000).fit(X, s),
    )


if __name__ == "__main__":
    main()
