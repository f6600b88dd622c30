"""Parse and elaborate five statements over a set of any size, its data given as arrays: no solver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from optdsl.data.supplied import from_python
from optdsl.language import parse
from optdsl.model import build

DECLARATIONS = """
param n
set ROW = 1..n
param cost[ROW]
param need[ROW]
var x[ROW] >= 0
var total
"""

STATEMENTS = """
minimize spent: sum(cost[i] * x[i] for i in ROW)
subject to
  enough[i in ROW]: x[i] >= need[i]
  steady[i in ROW if i > 1]: -1 <= x[i] - x[i - 1] <= 1
  sum_up: total = sum(x[i] for i in ROW)
  balance[i in ROW]: x[i] <= total / 2
"""


def elaboration(size: int, text: str = DECLARATIONS + STATEMENTS) -> Callable[[], object]:
    """What is timed: from the text to templates, the data given as arrays."""
    random = np.random.default_rng(3)
    values = {"n": size, "cost": random.uniform(1, 2, size), "need": random.uniform(0, 1, size)}
    supplied = {name: from_python(name, value) for name, value in values.items()}
    return lambda: build(parse(text, "five.opt"), folder=Path("."), supplied=supplied, paths={}, name="five")
