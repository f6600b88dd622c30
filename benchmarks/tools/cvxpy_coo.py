"""CVXPY as in `cvxpy_vectorized`, with its COO canonicalization backend, the fastest of its own on this problem."""

from __future__ import annotations

from pathlib import Path

import highspy
import pandas as pd

from benchmarks.instance import Instance
from benchmarks.tools.cvxpy_vectorized import formulate, hand_over


def build(instance: Instance) -> highspy.Highs:
    problem, _ = formulate(instance.cost, instance.supply, instance.demand)
    return hand_over(problem, "COO")


def build_parquet(folder: Path) -> highspy.Highs:
    costs = pd.read_parquet(folder / "costs.parquet")
    supply = pd.read_parquet(folder / "plants.parquet").set_index("plant")["supply"]
    demand = pd.read_parquet(folder / "cities.parquet").set_index("city")["demand"]
    cost = costs.pivot(index="plant", columns="city", values="cost").reindex(index=supply.index, columns=demand.index)
    problem, _ = formulate(cost.to_numpy(), supply.to_numpy(), demand.to_numpy())
    return hand_over(problem, "COO")
