"""CVXPY with whole arrays: one matrix variable, three expressions."""

from __future__ import annotations

from pathlib import Path

import cvxpy as cp
import highspy
import numpy as np
import pandas as pd

from benchmarks.instance import Instance

BACKEND: str | None = None  # CVXPY's own choice


def build(instance: Instance) -> highspy.Highs:
    problem, _ = formulate(instance.cost, instance.supply, instance.demand)
    return hand_over(problem, BACKEND)


def build_parquet(folder: Path) -> highspy.Highs:
    costs = pd.read_parquet(folder / "costs.parquet")
    supply = pd.read_parquet(folder / "plants.parquet").set_index("plant")["supply"]
    demand = pd.read_parquet(folder / "cities.parquet").set_index("city")["demand"]
    cost = costs.pivot(index="plant", columns="city", values="cost").reindex(index=supply.index, columns=demand.index)
    problem, _ = formulate(cost.to_numpy(), supply.to_numpy(), demand.to_numpy())
    return hand_over(problem, BACKEND)


def resolve(instance: Instance, scenarios: list[np.ndarray]) -> list[float]:
    demand = cp.Parameter(instance.demand.size)
    problem, _ = formulate(instance.cost, instance.supply, demand)
    objectives = []
    for scenario in scenarios:
        demand.value = scenario
        objectives.append(problem.solve(solver=cp.HIGHS, warm_start=True))
    return objectives


def formulate(cost, supply, demand) -> tuple[cp.Problem, cp.Variable]:
    ship = cp.Variable(cost.shape, nonneg=True)
    objective = cp.Minimize(cp.sum(cp.multiply(cost, ship)))
    return cp.Problem(objective, [cp.sum(ship, axis=1) <= supply, cp.sum(ship, axis=0) >= demand]), ship


def hand_over(problem: cp.Problem, backend: str | None) -> highspy.Highs:
    """Compile and pass to HiGHS as CVXPY's HiGHS interface does, up to the call of `run`."""
    data, _, _ = problem.get_problem_data(cp.HIGHS, canon_backend=backend)
    matrix = data["A"].tocsc()
    equalities = data["dims"].zero
    row_lower = np.full(matrix.shape[0], -highspy.kHighsInf)
    row_lower[:equalities] = data["b"][:equalities]
    lower, upper = data["lower_bounds"], data["upper_bounds"]
    model = highspy.HighsModel()
    lp = model.lp_
    lp.num_row_, lp.num_col_ = matrix.shape
    lp.col_cost_ = data["c"]
    lp.row_lower_ = row_lower
    lp.row_upper_ = data["b"]
    lp.col_lower_ = np.full(lp.num_col_, -highspy.kHighsInf) if lower is None else lower
    lp.col_upper_ = np.full(lp.num_col_, highspy.kHighsInf) if upper is None else upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = matrix.indptr
    lp.a_matrix_.index_ = matrix.indices
    lp.a_matrix_.value_ = matrix.data
    highs = highspy.Highs()
    highs.setOptionValue("log_to_console", False)
    highs.passModel(model)
    return highs
