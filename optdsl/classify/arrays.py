"""The arrays of the objective and of auxiliary rows, out of what was collected."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from optdsl.classify.analysis import ObjectiveArrays
from optdsl.classify.cones import HeldRows
from optdsl.classify.quadratic import Quadratic
from optdsl.classify.sink import CONVEX, Sink, without_residue
from optdsl.model.model import Model


def objective_arrays(
    model: Model, sink: Sink | None, columns: int, quadratic: Quadratic | None
) -> ObjectiveArrays | None:
    """The objective's cost, constant and quadratic; None where there is no objective."""
    if sink is None or model.objective is None:
        return None
    cost, parts = np.zeros(columns), np.zeros(columns)
    for term in sink.terms:
        shape = term.frame.shape
        index = np.broadcast_to(term.columns, shape).reshape(-1)
        weight = np.broadcast_to(term.coefficients, shape).reshape(-1)
        cost += np.bincount(index, weights=weight, minlength=columns)
        parts += np.bincount(index, weights=np.abs(weight), minlength=columns)
    cost = without_residue(cost, parts)
    if quadratic is not None:
        cost = cost + quadratic.cost
    constant = float(sink.constant.sum()) + (quadratic.constant if quadratic is not None else 0.0)
    return ObjectiveArrays(model.objective.sense, cost, constant, quadratic)


def auxiliary_rows(held: Sink | HeldRows, columns: int) -> tuple[sp.csr_array, np.ndarray, np.ndarray]:
    """lower <= matrix @ x <= upper for rows that hold an auxiliary variable, or a condition of D."""
    matrix = held.matrix(columns)
    free = np.full(matrix.shape[0], np.inf)
    if held.sense == CONVEX:
        return matrix, -free, -held.constant
    return matrix, -held.constant, free
