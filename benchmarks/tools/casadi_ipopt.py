"""CasADi with whole arrays (MX) for large problems, scalars (SX) for small ones, and Ipopt with its defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import casadi as ca
import numpy as np

from benchmarks.nonlinear import Small, electrons_start, luksan_vlcek_start

QUIET = {"ipopt.print_level": 0, "print_time": False, "ipopt.sb": "yes"}
Formulated = tuple[dict[str, Any], dict[str, Any]]


def compiled(problem: str, size: int) -> Any:
    """The solver with its derivative functions."""
    return ca.nlpsol("solver", "ipopt", FORMULATIONS[problem](size)[0], QUIET)


def solved(problem: str, size: int) -> tuple[float, int]:
    """The optimum and the iterations."""
    functions, numbers = FORMULATIONS[problem](size)
    solver = ca.nlpsol("solver", "ipopt", functions, QUIET)
    answer = solver(**numbers)
    found = solver.stats()
    if not found["success"]:
        raise SystemExit(f"{problem}: {found['return_status']}")
    sign = -1.0 if problem == "rocket" else 1.0
    return sign * float(answer["f"]), int(found["iter_count"])


def derivatives(problem: str, size: int) -> Mapping[str, Callable[[int], object]]:
    """The evaluations to time, each at its k-th point."""
    functions, numbers = FORMULATIONS[problem](size)
    solver = ca.nlpsol("solver", "ipopt", functions, QUIET)
    hessian, jacobian = solver.get_function("nlp_hess_l"), solver.get_function("nlp_jac_g")
    ones, start = np.ones(functions["g"].shape[0]), np.asarray(numbers["x0"])
    return {
        "Hessian": lambda k: hessian(start * (1 + 1e-3 * k), [], 1.0, ones),
        "Jacobian": lambda k: jacobian(start * (1 + 1e-3 * k), []),
    }


def small(problem: Small) -> Callable[[], float]:
    """A whole solve of a small problem, from its expressions to the answer."""
    return lambda: _small(problem)[0]


def iterations(problem: Small) -> int:
    """Those of Ipopt from the problem's start."""
    return _small(problem)[1]


def _small(problem: Small) -> tuple[float, int]:
    x = ca.SX.sym("x", len(problem.start))
    equal, above = problem.equal(x), problem.above(x)
    functions = {"x": x, "f": problem.objective(x, ca.log), "g": ca.vertcat(*equal, *above)}
    solver = ca.nlpsol("solver", "ipopt", functions, QUIET)
    lower, upper = problem.bounds
    sides = [0.0] * len(equal) + [np.inf] * len(above)
    answer = solver(x0=problem.start, lbx=lower, ubx=upper, lbg=np.zeros(len(sides)), ubg=sides)
    return float(answer["f"]), int(solver.stats()["iter_count"])


# ---------------------------------------------------------------------------------------------------- formulations


def luksan_vlcek(n: int) -> Formulated:
    x = ca.MX.sym("x", n)
    a, b = x[:-1], x[1:]
    objective = ca.sum1(100 * (a**2 - b) ** 2 + (a - 1) ** 2)
    u, v, w = x[:-2], x[1:-1], x[2:]
    rows = 3 * v**3 + 2 * w - 5 + ca.sin(v - w) * ca.sin(v + w) + 4 * v - u * ca.exp(u - v) - 3
    return {"x": x, "f": objective, "g": rows}, {"x0": luksan_vlcek_start(n), "lbg": 0.0, "ubg": 0.0}


def electrons(count: int) -> Formulated:
    x = ca.MX.sym("x", 3 * count)
    i, j = (part.tolist() for part in np.triu_indices(count, 1))
    axes = [x[k * count : (k + 1) * count] for k in range(3)]
    objective = ca.sum1(1 / ca.sqrt(sum((axis[i] - axis[j]) ** 2 for axis in axes)))
    rows = sum(axis**2 for axis in axes)
    return {"x": x, "f": objective, "g": rows}, {"x0": electrons_start(count).ravel(), "lbg": 1.0, "ubg": 1.0}


def rocket(n: int) -> Formulated:
    """The Goddard rocket of COPS by the trapezoidal rule, in the text's numbers."""
    points = n + 1
    x = ca.MX.sym("x", 4 * points + 1)
    h, v, m, thrust = (x[k * points : (k + 1) * points] for k in range(4))
    half = 0.5 * x[4 * points]
    drag = 310 * v**2 * ca.exp(-500 * (h - 1))
    acceleration = (thrust - drag - m / h**2) / m
    steps = [
        (h, v),
        (v, acceleration),
        (m, -thrust / 0.5),
    ]
    rows = ca.vertcat(*(s[1:] - s[:-1] - half * (rate[1:] + rate[:-1]) for s, rate in steps))
    k = np.arange(points) / n
    start = np.concatenate([np.ones(points), k * (1 - k), 1 - 0.4 * k, np.full(points, 1.75), [1 / n]])
    lower = np.concatenate([np.ones(points), np.zeros(points), np.full(points, 0.6), np.zeros(points + 1)])
    upper = np.full(len(start), np.inf)
    upper[2 * points : 4 * points] = np.repeat([1.0, 3.5], points)
    for place, value in ((0, 1.0), (points, 0.0), (2 * points, 1.0), (3 * points - 1, 0.6)):
        lower[place] = upper[place] = value
    return {"x": x, "f": -h[n], "g": rows}, {"x0": start, "lbx": lower, "ubx": upper, "lbg": 0.0, "ubg": 0.0}


FORMULATIONS: Mapping[str, Callable[[int], Formulated]] = {
    "luksan_vlcek": luksan_vlcek,
    "electrons": electrons,
    "rocket": rocket,
}
