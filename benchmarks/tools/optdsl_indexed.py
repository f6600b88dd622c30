"""optdsl, written with indices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highspy
import numpy as np

import optdsl
from benchmarks.instance import Instance
from benchmarks.tools.optdsl_stages import hold

DATA = """
param plants
param cities
set PLANT = 1..plants
set CITY = 1..cities
param cost[PLANT, CITY]
param supply[PLANT]
param demand[CITY]
"""

PARQUET = """
table costs from "costs.parquet"
table plants from "plants.parquet"
table cities from "cities.parquet"
set PLANT from plants(plant)
set CITY from cities(city)
param cost[PLANT, CITY] from costs(plant, city, cost)
param supply[PLANT] from plants(plant, supply)
param demand[CITY] from cities(city, demand)
"""

MODEL = """
var ship[PLANT, CITY] >= 0
minimize total_cost: sum(cost[i, j] * ship[i, j] for i in PLANT, j in CITY)
subject to
  capacity[i in PLANT]: sum(ship[i, j] for j in CITY) <= supply[i]
  need[j in CITY]: sum(ship[i, j] for i in PLANT) >= demand[j]
"""


def build(instance: Instance) -> highspy.Highs:
    return hold(DATA + MODEL, **arrays(instance))


def build_parquet(folder: Path) -> highspy.Highs:
    return hold(PARQUET + MODEL, folder)


def resolve(instance: Instance, scenarios: list[np.ndarray]) -> list[float]:
    compiled = optdsl.parse(DATA + MODEL).compile(**arrays(instance))
    return [compiled.solve(demand=scenario).objective or 0.0 for scenario in scenarios]


def arrays(instance: Instance) -> dict[str, Any]:
    plants, cities = instance.cost.shape
    sides = {"supply": instance.supply, "demand": instance.demand}
    return {"plants": plants, "cities": cities, "cost": instance.cost, **sides}
