"""optdsl, written with whole arrays."""

from __future__ import annotations

from pathlib import Path

import highspy

from benchmarks.instance import Instance
from benchmarks.tools.optdsl_indexed import DATA, PARQUET, arrays
from benchmarks.tools.optdsl_stages import hold

MODEL = """
var ship[PLANT, CITY] >= 0
minimize total_cost: sum(cost * ship)
subject to
  capacity: sum(ship, over = CITY) <= supply
  need: sum(ship, over = PLANT) >= demand
"""


def build(instance: Instance) -> highspy.Highs:
    return hold(DATA + MODEL, **arrays(instance))


def build_parquet(folder: Path) -> highspy.Highs:
    return hold(PARQUET + MODEL, folder)
