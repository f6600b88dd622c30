"""One transportation problem of any size, the same for every tool: arrays in memory, or Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Instance:
    """`cost (m, n)` per unit shipped, `supply (m,)` available, `demand (n,)` required; enough supply for all demand."""

    cost: np.ndarray
    supply: np.ndarray
    demand: np.ndarray

    @property
    def variables(self) -> int:
        return self.cost.size

    def scenario(self, number: int) -> np.ndarray:
        """A demand `(n,)` near the instance's own, different for each number."""
        noise = np.random.default_rng(1000 + number).uniform(0.95, 1.0, self.demand.size)
        return self.demand * noise


def transportation(variables: int) -> Instance:
    """A dense problem with about this many variables, as nearly square as divisors allow (1e4: 100 x 100)."""
    plants = int(np.sqrt(variables))
    while variables % plants:
        plants -= 1
    cities = variables // plants
    random = np.random.default_rng(7)
    demand = random.uniform(10, 100, cities)
    supply = random.uniform(0.5, 1.0, plants)
    supply *= 1.3 * demand.sum() / supply.sum()
    return Instance(np.round(random.uniform(1, 50, (plants, cities)), 2), supply, demand)


def write_parquet(instance: Instance, folder: Path) -> None:
    """`costs.parquet` (plant, city, cost; one row a variable), `plants.parquet` (plant, supply), `cities.parquet`.

    Keys are text, rows in random order, as an export from a database would be.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    plants = np.array([f"plant {i:04d}" for i in range(instance.supply.size)])
    cities = np.array([f"city {j:04d}" for j in range(instance.demand.size)])
    order = np.random.default_rng(8).permutation(instance.variables)
    costs = {
        "plant": np.repeat(plants, cities.size)[order],
        "city": np.tile(cities, plants.size)[order],
        "cost": instance.cost.ravel()[order],
    }
    parquet.write_table(pa.table(costs), folder / "costs.parquet")
    parquet.write_table(pa.table({"plant": plants, "supply": instance.supply}), folder / "plants.parquet")
    parquet.write_table(pa.table({"city": cities, "demand": instance.demand}), folder / "cities.parquet")
