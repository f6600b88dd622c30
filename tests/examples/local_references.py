"""What is known of the examples that are solved locally: the value, how closely the example has it, and from where.

Values of continuous problems (a chain, a flight) are those of the literature for the same grid where it has them, else
of the limit, which the grid is away from by its own error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import asinh, cosh, sinh

import numpy as np
from numpy.typing import ArrayLike
from reference_program import numbers, read_rows
from scipy.optimize import brentq, least_squares


@dataclass(frozen=True)
class Known:
    """An objective value, the relative error allowed (absolute below 1), and values of variables."""

    objective: float
    within: float = 1e-6
    values: dict[str, ArrayLike] = field(default_factory=dict)


def rosenbrock() -> Known:
    return Known(0.0, values={"x": np.ones(10)})


def hs071() -> Known:
    """Hock and Schittkowski (1981), problem 71."""
    return Known(17.0140173, values={"x": [1, 4.7429994, 3.8211503, 1.3794082]})


def rocket() -> Known:
    """COPS 3.0, table 10.2, for 100 intervals: 1.01283."""
    return Known(1.01283, 5e-6)


def robot_arm() -> Known:
    """COPS 3.0, table 8.2, for 50 intervals."""
    return Known(9.14687, 2e-6)


def hanging_chain() -> Known:
    """The catenary y = a cosh((x - b) / a) + c through both ends, of length 4, and its potential energy."""
    left, right, length = 1.0, 3.0, 4.0
    rise = right - left
    # the length and the rise give a: sqrt(length^2 - rise^2) = 2 a sinh(1 / (2 a))
    a = brentq(lambda a: 2 * a * sinh(1 / (2 * a)) - np.sqrt(length**2 - rise**2), 0.05, 10, xtol=1e-14)
    b = 0.5 - a * asinh(rise / (2 * a * sinh(1 / (2 * a))))
    c = left - a * cosh(b / a)
    # the integral of y sqrt(1 + y'^2) with y = a cosh(u) + c, u = (x - b) / a
    low, high = -b / a, (1 - b) / a
    energy = a * a * ((high - low) / 2 + (sinh(2 * high) - sinh(2 * low)) / 4) + c * a * (sinh(high) - sinh(low))
    return Known(energy, 3e-4)


def pooling() -> Known:
    """Haverly (1978)."""
    return Known(400.0, values={"quality": 1.0, "pooled": [0, 100], "direct": [0, 100]})


def nonconvex() -> Known:
    """Three parts of sour and one of sweet oil are just clean enough, and cost 8.5 of a price of 9."""
    return Known(50.0, values={"quality": 2.5, "pump": [75, 25]})


def circle_packing() -> Known:
    """Schaer (1971): ten points in a square, at a distance m from each other; r = m / (2 (m + 1))."""
    m = 0.421279543983903
    return Known(m / (2 * (m + 1)))


def power_flow() -> Known:
    """PGLib-OPF, case3_lmbd, alternating current: 5812.64."""
    return Known(5812.64, 2e-6)


def growth_curve() -> Known:
    """NIST, Statistical Reference Datasets, Rat43: certified values."""
    certified = {"top": 6.9964151270e02, "delay": 5.2771253025e00, "rate": 7.5962938329e-01, "shape": 1.2792483859e00}
    return Known(8.7864049080e03, 1e-9, certified)


def saddle() -> Known:
    return Known(0.0)


def sensor_localization() -> Known:
    """The same residuals in loops, by SciPy, from many starts."""
    places = read_rows("sensor_localization/anchors.csv")
    anchors = {row["anchor"]: (float(row["x"]), float(row["y"])) for row in places}
    heard, linked = read_rows("sensor_localization/heard.csv"), read_rows("sensor_localization/linked.csv")
    away, apart = numbers(heard, "distance"), numbers(linked, "distance")

    def residuals(flat: np.ndarray) -> np.ndarray:
        place = flat.reshape(8, 2)
        to_anchor = [
            np.sum((place[int(row["sensor"]) - 1] - anchors[row["anchor"]]) ** 2) - d**2
            for row, d in zip(heard, away, strict=True)
        ]
        to_sensor = [
            np.sum((place[int(row["first"]) - 1] - place[int(row["second"]) - 1]) ** 2) - d**2
            for row, d in zip(linked, apart, strict=True)
        ]
        return np.array(to_anchor + to_sensor)

    rng = np.random.default_rng(5)
    fits = [least_squares(residuals, rng.uniform(0, 1, 16), xtol=1e-14, ftol=1e-14, gtol=1e-14) for _ in range(10)]
    best = min(fits, key=lambda fit: float(fit.cost))
    place = best.x.reshape(8, 2)
    return Known(2 * float(best.cost), values={"x": place[:, 0], "y": place[:, 1]})


LOCAL: dict[str, Callable[[], Known]] = {
    function.__name__: function
    for function in (
        rosenbrock,
        hs071,
        rocket,
        robot_arm,
        hanging_chain,
        pooling,
        nonconvex,
        circle_packing,
        power_flow,
        growth_curve,
        saddle,
        sensor_localization,
    )
}
