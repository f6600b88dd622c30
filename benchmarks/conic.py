"""Convex problems with quadratics and cones, the same numbers for every tool; each in the size of the speed table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import scipy.sparse as sp

Data = Mapping[str, np.ndarray | sp.csr_array | int | float]


def portfolio(assets: int) -> Data:
    """A factor model: one factor for 50 assets, half of the loadings 0 (OSQP's benchmark; Stellato et al., 2020)."""
    random = np.random.default_rng(1)
    factors = max(assets // 50, 1)
    return {
        "n": assets,
        "k": factors,
        "mean": random.normal(size=assets),
        "own": random.uniform(0.0, np.sqrt(factors), assets),
        "load": sp.csr_array(sp.random_array((assets, factors), density=0.5, rng=random, data_sampler=random.normal)),
    }


def lasso(features: int) -> Data:
    """Least squares with a charge on absolute values: 2 observations for each feature, a tenth of them matter."""
    random = np.random.default_rng(2)
    rows = 2 * features
    seen = random.normal(size=(rows, features))
    truth = np.where(random.uniform(size=features) < 0.1, random.normal(size=features), 0.0)
    answers = seen @ truth + 0.1 * random.normal(size=rows)
    return {"m": rows, "n": features, "A": seen, "b": answers, "charge": 0.1 * float(np.abs(seen.T @ answers).max())}


def logistic(features: int) -> Data:
    """Logistic regression with a charge on absolute values: 25 observations for each feature."""
    random = np.random.default_rng(3)
    rows = 25 * features
    seen = random.normal(size=(rows, features)) / np.sqrt(features)
    truth = np.where(random.uniform(size=features) < 0.2, 10.0 * random.normal(size=features), 0.0)
    label = np.where(random.uniform(size=rows) < 1.0 / (1.0 + np.exp(-seen @ truth)), 1.0, -1.0)
    return {"m": rows, "n": features, "A": seen, "label": label, "charge": 0.05 * float(np.abs(seen.T @ label).max())}


def max_cut(nodes: int) -> Data:
    """The Laplacian of a random graph with about six edges at each node, for Goemans and Williamson's bound."""
    random = np.random.default_rng(4)
    edges = np.triu(random.uniform(size=(nodes, nodes)) < 6.0 / nodes, 1)
    weight = edges * random.uniform(1.0, 2.0, edges.shape)
    weight = weight + weight.T
    return {"n": nodes, "laplacian": np.diag(weight.sum(axis=1)) - weight}


def distances(points: int) -> Data:
    """Points of a plane that want to be near their targets: one second-order cone of size 3 for each."""
    random = np.random.default_rng(5)
    east, north = random.uniform(-1, 1, points), random.uniform(-1, 1, points)
    return {"n": points, "east": east, "north": north, "cost": random.uniform(1, 2, points)}


SMALL = {"portfolio": 100, "lasso": 10, "logistic": 5, "max_cut": 8, "distances": 20}
"""Sizes of the small models that are solved before the clock starts."""

PROBLEMS: Mapping[str, Callable[[int], Data]] = {
    "portfolio": portfolio,
    "lasso": lasso,
    "logistic": logistic,
    "max_cut": max_cut,
    "distances": distances,
}
