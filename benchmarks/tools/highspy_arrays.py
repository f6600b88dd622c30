"""HiGHS alone, its matrix made by hand with NumPy: the floor under every modelling layer."""

from __future__ import annotations

import highspy
import numpy as np

from benchmarks.instance import Instance


def build(instance: Instance) -> highspy.Highs:
    plants, cities = instance.cost.shape
    size = instance.variables
    index = np.empty((size, 2), dtype=np.int32)
    index[:, 0] = np.repeat(np.arange(plants), cities)
    index[:, 1] = plants + np.tile(np.arange(cities), plants)
    infinite = np.full(plants + cities, highspy.kHighsInf)
    row_lower, row_upper = -infinite, infinite.copy()
    row_upper[:plants] = instance.supply
    row_lower[plants:] = instance.demand
    start = np.arange(0, 2 * size + 1, 2, dtype=np.int32)
    none, no_value = np.zeros(0, np.int32), np.zeros(0)
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    kinds = int(highspy.MatrixFormat.kColwise), int(highspy.HessianFormat.kTriangular), int(highspy.ObjSense.kMinimize)
    columns = instance.cost.ravel(), np.zeros(size), np.full(size, highspy.kHighsInf)
    matrix = start, index.ravel(), np.ones(2 * size)
    highs.passModel(
        size, plants + cities, 2 * size, 0, *kinds, 0.0, *columns, row_lower, row_upper, *matrix,
        none, none, no_value, np.zeros(size, np.int32),
    )  # fmt: skip
    return highs


def resolve(instance: Instance, scenarios: list[np.ndarray]) -> list[float]:
    highs = build(instance)
    plants, cities = instance.cost.shape
    rows = np.arange(plants, plants + cities, dtype=np.int32)
    infinite = np.full(cities, highspy.kHighsInf)
    objectives = []
    for scenario in scenarios:
        highs.changeRowsBounds(cities, rows, scenario, infinite)
        highs.run()
        objectives.append(highs.getInfo().objective_function_value)
    return objectives
