"""The unit in which a program's objective is measured: tolerances of methods and checks are absolute."""

from __future__ import annotations

import numpy as np

from optdsl.engine.problem import ArrayProblem

TINY_SLOPES = 1e-4
"""Where no term of the objective's gradient is larger, an absolute tolerance of 1e-8 says little."""
LEAST_UNIT = 2.0**-300
"""The smallest unit: values of f up to 1e200 stay numbers."""


def fitting_unit(problem: ArrayProblem) -> float:
    """The unit, a power of 2, in which the largest term of the objective's gradient is about 1; 1 where it is not tiny.

    Measured at the start and, as slopes may vanish just there (x^2 near 0), a unit or |x| to both sides of it, inside
    the bounds. An objective without slopes, or without values, at all of them stays as it is.
    """
    start = problem.start
    length = np.maximum(1.0, np.abs(start))
    largest = 0.0
    with np.errstate(all="ignore"):
        for step in (0.0, 1.0, -1.0):
            x = np.clip(start + step * length, problem.lower, problem.upper)
            sizes = problem.slope_sizes(x) * abs(problem.sign)
            largest = max(largest, float(sizes[np.isfinite(sizes)].max(initial=0.0)))
            if largest >= TINY_SLOPES:
                return 1.0
    return max(LEAST_UNIT, 2.0 ** float(np.round(np.log2(largest)))) if largest > 0 else 1.0
