"""linopy with labelled arrays: one variable over two coordinates, handed to HiGHS in memory (`to_highspy`)."""

from __future__ import annotations

from pathlib import Path

import highspy
import linopy
import numpy as np
import pandas as pd
import xarray as xr

from benchmarks.instance import Instance


def build(instance: Instance) -> highspy.Highs:
    plants, cities = (
        pd.RangeIndex(n, name=name) for n, name in zip(instance.cost.shape, ("plant", "city"), strict=True)
    )
    cost = xr.DataArray(instance.cost, coords=[plants, cities])
    supply = xr.DataArray(instance.supply, coords=[plants])
    demand = xr.DataArray(instance.demand, coords=[cities])
    return linopy.io.to_highspy(formulate(cost, supply, demand))


def build_parquet(folder: Path) -> highspy.Highs:
    supply = pd.read_parquet(folder / "plants.parquet").set_index("plant")["supply"].to_xarray()
    demand = pd.read_parquet(folder / "cities.parquet").set_index("city")["demand"].to_xarray()
    costs = pd.read_parquet(folder / "costs.parquet")
    cost = costs.pivot(index="plant", columns="city", values="cost").reindex(index=supply.plant, columns=demand.city)
    return linopy.io.to_highspy(formulate(xr.DataArray(cost, dims=("plant", "city")), supply, demand))


def resolve(instance: Instance, scenarios: list[np.ndarray]) -> list[float]:
    """linopy has no re-solve that keeps the solver: a new right-hand side, then a whole new hand-over."""
    plants, cities = (
        pd.RangeIndex(n, name=name) for n, name in zip(instance.cost.shape, ("plant", "city"), strict=True)
    )
    model = formulate(
        xr.DataArray(instance.cost, coords=[plants, cities]),
        xr.DataArray(instance.supply, coords=[plants]),
        xr.DataArray(instance.demand, coords=[cities]),
    )
    objectives = []
    for scenario in scenarios:
        model.constraints["need"].rhs = xr.DataArray(scenario, coords=[cities])
        model.solve(solver_name="highs", io_api="direct", output_flag=False, progress=False)
        objectives.append(float(model.objective.value))
    return objectives


def formulate(cost: xr.DataArray, supply: xr.DataArray, demand: xr.DataArray) -> linopy.Model:
    model = linopy.Model()
    ship = model.add_variables(lower=0, coords=cost.coords, dims=cost.dims, name="ship")
    model.add_constraints(ship.sum("city") <= supply, name="capacity")
    model.add_constraints(ship.sum("plant") >= demand, name="need")
    model.add_objective((cost * ship).sum())
    return model
