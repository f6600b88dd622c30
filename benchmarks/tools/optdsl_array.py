"""optdsl, written with whole arrays."""

from __future__ import annotations

from pathlib import Path

import highspy

import optdsl
from benchmarks.instance import Instance
from benchmarks.tools.optdsl_indexed import PARQUET, compiled

MODEL = """
var ship[PLANT, CITY] >= 0
minimize total_cost: sum(cost * ship)
subject to
  capacity: sum(ship, over = CITY) <= supply
  need: sum(ship, over = PLANT) >= demand
"""


def build(instance: Instance) -> highspy.Highs:
    return compiled(MODEL, instance).solver()


def build_parquet(folder: Path) -> highspy.Highs:
    return optdsl.parse(PARQUET + MODEL, folder=folder).compile().solver()
