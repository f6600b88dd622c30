"""optdsl, written with indices."""

from __future__ import annotations

from pathlib import Path

import highspy
import numpy as np

import optdsl
from benchmarks.instance import Instance

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
    return compiled(MODEL, instance).solver()


def build_parquet(folder: Path) -> highspy.Highs:
    return optdsl.parse(PARQUET + MODEL, folder=folder).compile().solver()


def resolve(instance: Instance, scenarios: list[np.ndarray]) -> list[float]:
    held = compiled(MODEL, instance)
    return [held.solve(demand=scenario).objective for scenario in scenarios]


def compiled(model: str, instance: Instance):
    plants, cities = instance.cost.shape
    data = {"cost": instance.cost, "supply": instance.supply, "demand": instance.demand}
    return optdsl.parse(DATA + model).compile(plants=plants, cities=cities, **data)
