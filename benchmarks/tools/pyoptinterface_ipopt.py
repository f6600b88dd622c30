"""PyOptInterface with its derivatives compiled by LLVM, and Ipopt with its defaults: the library in CasADi's wheel."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import casadi
import numpy as np
import pyoptinterface as poi
from pyoptinterface import ipopt, nl

from benchmarks.nonlinear import electrons_start, luksan_vlcek_start

LIBRARY = Path(casadi.__file__).parent / "libipopt.so"
STATUS = poi.ModelAttribute.TerminationStatus


def compiled(problem: str, size: int) -> Any:
    """The model as Ipopt is given it; the derivatives are compiled at the start of a solve, so that is not in here."""
    return _model(problem, size)


def solved(problem: str, size: int) -> tuple[float, int]:
    """The optimum and the iterations."""
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        model = _model(problem, size)
        model.set_raw_parameter("output_file", file.name)
        model.set_raw_parameter("file_print_level", 5)
        model.optimize()
        text = Path(file.name).read_text()
    status = model.get_model_attribute(STATUS)
    if status != poi.TerminationStatusCode.LOCALLY_SOLVED:
        raise SystemExit(f"{problem}: {status}")
    rounds = re.search(r"Number of Iterations\.*: *(\d+)", text)
    assert rounds is not None
    sign = -1.0 if problem == "rocket" else 1.0
    return sign * model.get_model_attribute(poi.ModelAttribute.ObjectiveValue), int(rounds[1])


def evaluations(problem: str, size: int) -> dict[str, float]:
    """Seconds for one evaluation of each kind within a solve, by Ipopt's own clock (processor time)."""
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        model = _model(problem, size)
        for name, value in (("output_file", file.name), ("file_print_level", 5), ("print_timing_statistics", "yes")):
            model.set_raw_parameter(name, value)
        model.optimize()
        text = Path(file.name).read_text()
    found = {}
    for name, counted, timed in (
        ("Hessian", "Lagrangian Hessian evaluations", "Lagrangian Hessian"),
        ("Jacobian", "equality constraint Jacobian evaluations", "Equality constraint Jacobian"),
    ):
        count = re.search(rf"Number of {counted} *= *(\d+)", text)
        seconds = re.search(rf"{timed}\.*: *(\d+\.\d+) \(sys", text)
        assert count is not None and seconds is not None
        found[name] = float(seconds[1]) / int(count[1])
    return found


def _model(problem: str, size: int) -> Any:
    if not ipopt.is_library_loaded():
        ipopt.load_library(str(LIBRARY))
    model = ipopt.Model(jit="LLVM")
    model.set_raw_parameter("print_level", 0)
    model.set_raw_parameter("sb", "yes")
    FORMULATIONS[problem](model, size)
    return model


def _variables(model: Any, start: np.ndarray, lower: float = -np.inf, upper: float = np.inf) -> list[Any]:
    return [model.add_variable(lb=lower, ub=upper, start=float(value)) for value in start]


def luksan_vlcek(model: Any, n: int) -> None:
    x = _variables(model, luksan_vlcek_start(n))
    for a, b in pairwise(x):
        with nl.graph():
            model.add_nl_objective(100 * (a * a - b) * (a * a - b) + (a - 1) * (a - 1))
    for u, v, w in zip(x[:-2], x[1:-1], x[2:], strict=True):
        with nl.graph():
            bend = 3 * v * v * v + 2 * w - 5 + nl.sin(v - w) * nl.sin(v + w) + 4 * v - u * nl.exp(u - v) - 3
            model.add_nl_constraint(bend, poi.Eq, 0.0)


def electrons(model: Any, count: int) -> None:
    axes = [_variables(model, start) for start in electrons_start(count)]
    for i in range(count):
        for j in range(i + 1, count):
            with nl.graph():
                away = [axis[i] - axis[j] for axis in axes]
                model.add_nl_objective(1 / nl.sqrt(away[0] * away[0] + away[1] * away[1] + away[2] * away[2]))
    for x, y, z in zip(*axes, strict=True):
        model.add_quadratic_constraint(x * x + y * y + z * z, poi.Eq, 1.0)


def rocket(model: Any, n: int) -> None:
    """The Goddard rocket of COPS by the trapezoidal rule, in the text's numbers."""
    k = np.arange(n + 1) / n
    h = _variables(model, np.ones(n + 1), lower=1.0)
    v = _variables(model, k * (1 - k), lower=0.0)
    m = _variables(model, 1 - 0.4 * k, lower=0.6, upper=1.0)
    thrust = _variables(model, np.full(n + 1, 1.75), lower=0.0, upper=3.5)
    (step,) = _variables(model, np.array([1 / n]), lower=0.0)
    for variable, value in ((h[0], 1.0), (v[0], 0.0), (m[0], 1.0), (m[n], 0.6)):
        model.set_variable_bounds(variable, value, value)

    def acceleration(j: int) -> Any:
        drag = 310 * v[j] * v[j] * nl.exp(-500 * (h[j] - 1))
        return (thrust[j] - drag - m[j] / (h[j] * h[j])) / m[j]

    for j in range(n):
        with nl.graph():
            model.add_nl_constraint(h[j + 1] - h[j] - 0.5 * step * (v[j + 1] + v[j]), poi.Eq, 0.0)
        with nl.graph():
            rate = acceleration(j + 1) + acceleration(j)
            model.add_nl_constraint(v[j + 1] - v[j] - 0.5 * step * rate, poi.Eq, 0.0)
        with nl.graph():
            burnt = (thrust[j + 1] + thrust[j]) / 0.5
            model.add_nl_constraint(m[j + 1] - m[j] + 0.5 * step * burnt, poi.Eq, 0.0)
    model.set_objective(-1.0 * h[n], poi.ObjectiveSense.Minimize)


FORMULATIONS: Mapping[str, Callable[[Any, int], None]] = {
    "luksan_vlcek": luksan_vlcek,
    "electrons": electrons,
    "rocket": rocket,
}
