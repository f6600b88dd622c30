"""The functions of a model of two variables, for a picture of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optdsl.model.model import Model

Landscape = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def landscape_of(model: Model) -> Landscape | None:
    """Objective in the user's sense (k,) and largest violation (k,) at points (k, 2); None for other models.

    Nothing is computed before it is called.
    """
    if model.columns != 2 or model.integers or any(c.kind == "matrix" for c in model.constraints):
        return None

    def values(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Imported here: only pictures need it where another route solved the model.
        from optdsl.engine.problem import ModelProblem

        problem = ModelProblem(model)
        lower, upper = problem.declared
        found = np.empty((len(points), 2))
        with np.errstate(all="ignore"):
            for k, x in enumerate(points):
                rows = problem.constraints(x)
                outside = [problem.row_lower - rows, rows - problem.row_upper, lower - x, x - upper]
                worst = max(float(np.max(part, initial=0.0)) for part in outside)
                found[k] = problem.sign * problem.objective(x), worst
        return found[:, 0], found[:, 1]

    return values
