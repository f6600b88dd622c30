"""What kind of problem five statements are, over a set of any size: from the text to the verdict, no solver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from optdsl.classify import analyze
from optdsl.data.supplied import from_python
from optdsl.language import parse
from optdsl.model import build

TEXT = """
param n
set ROW = 1..n
param weight[ROW] >= 0
param slope[ROW]
param size[ROW]
var x[ROW] >= 0.1, <= 10
var y[ROW]
var z[ROW]
minimize spent: sum(weight[i] * (x[i] - y[i])^2 for i in ROW)
subject to
  line[i in ROW]: slope[i] * x[i] + y[i] <= z[i]
  curve[i in ROW]: exp(y[i]) - log(x[i]) <= z[i]
  length[i in ROW]: norm2([x[i], y[i], slope[i]]) <= z[i] + 5
  share[i in ROW]: x[i] / size[i] - y[i] <= 7
"""

ON_DOMAIN = """
param n
set ROW = 1..n
param weight[ROW] >= 0
param slope[ROW] >= 0
param size[ROW]
var x[ROW]
var y[ROW]
var z[ROW]
minimize spent: sum(x[i] * log(x[i]) for i in ROW) - sum(sqrt(x[i] - y[i]) for i in ROW)
subject to
  line[i in ROW]: x[i] - slope[i] * y[i] >= 1
  floor[i in ROW]: y[i] >= weight[i]
  ratio[i in ROW]: 1 / (x[i] + z[i]) <= 7
  share[i in ROW]: x[i] + z[i] >= size[i] / 10
"""
"""The bounds of `x`, `x - y` and `x + z` come from the constraints alone."""


def classification(lanes: int, problem: str | None = None) -> Callable[[], str]:
    """What is timed; `lanes` are those of all five statements together, all of them proved convex."""
    random = np.random.default_rng(6)
    rows = lanes // 5
    values = {
        "n": rows,
        "weight": random.uniform(1, 2, rows),
        "slope": random.uniform(1, 2, rows) if problem else random.uniform(-1, 1, rows),
        "size": random.uniform(1, 2, rows),
    }
    supplied = {name: from_python(name, value) for name, value in values.items()}

    text = ON_DOMAIN if problem == "on_domain" else TEXT

    def verdict() -> str:
        found = analyze(build(parse(text, "five.opt"), folder=Path("."), supplied=supplied))
        if found.convexity != "convex":
            raise SystemExit(f"five statements: {found.convexity}")
        return found.type

    return verdict
