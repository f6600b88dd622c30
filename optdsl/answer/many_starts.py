"""Many starts of one method, and the list of where they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from optdsl.answer.engine_methods import MULTISTART, MULTISTART_OPTIONS
from optdsl.answer.solution import Minimum
from optdsl.answer.values import variable_arrays
from optdsl.convex.options import read_options
from optdsl.engine.problem import ModelProblem
from optdsl.methods.driver import Ending, Limits, Method, Outcome, drive
from optdsl.methods.escape import LocalAnswer, solve_locally
from optdsl.methods.multistart import Scattered, multistart, scattered_starts
from optdsl.methods.second_order import check
from optdsl.methods.workers import cores
from optdsl.model.model import Model
from optdsl.nlp import Nlp

MOST_LISTED, MOST_KEPT = 5, 1000
"""Minima listed in the text, and in the answer."""


@dataclass(frozen=True, eq=False)
class Place:
    """A point x (n,) where `count` starts ended, with its objective in the user's sense."""

    x: np.ndarray
    objective: float
    count: int


def many_starts(
    problem: ModelProblem,
    exact: ModelProblem,
    method: Method[Any],
    options: Mapping[str, object],
    limits: Limits,
    rough: str,
) -> tuple[LocalAnswer, tuple[Place, ...]]:
    """The best of many starts, and all places where they ended, best first.

    exact: the same program whose kinks are not rounded off, for the values of the places.
    """
    values = read_options(dict(options), MULTISTART_OPTIONS, MULTISTART)

    def solve(method: Method[Any], started: Nlp, limits: Limits) -> Outcome:
        if rough == "jumps":
            return drive(method, started, limits)
        return solve_locally(started, method, limits).outcome

    budget = min(values["seconds"] or np.inf, limits.seconds or np.inf)
    found = multistart(
        problem,
        method,
        seconds=None if np.isinf(budget) else budget,
        limits=limits,
        workers=values["workers"] or cores(),
        solve=solve,
        points=_starts(problem, values["starts"], values["seed"]),
    )
    places = _places(exact, found)
    best = found.best
    notes = (_listed(places, found.starts),) if found.feasible else ()
    if rough or problem.convex or best.ending not in (Ending.CONVERGED, Ending.ACCEPTABLE):
        return LocalAnswer(best, None, (), notes), places
    curvature = check(problem, best.x, best.row_multipliers, best.bound_multipliers)
    return LocalAnswer(best, curvature, (), notes), places


def _starts(problem: ModelProblem, count: int, seed: int) -> np.ndarray:
    """Starts (count, n) scattered over the model's variables; auxiliary ones follow from them."""
    own = problem.model.columns
    view: Any = SimpleNamespace(start=problem.start[:own], lower=problem.lower[:own], upper=problem.upper[:own])
    scattered = scattered_starts(view, count, seed)
    if own == problem.width:
        return scattered
    whole = np.hstack([scattered, np.zeros((len(scattered), problem.width - own))])
    with np.errstate(all="ignore"):
        settled = np.array([problem.settled(x) for x in whole])
    return np.where(np.isfinite(settled), settled, 0.0)


def _places(exact: ModelProblem, found: Scattered) -> tuple[Place, ...]:
    if not found.feasible:
        return ()
    places = []
    for cluster in found.clusters[:MOST_KEPT]:
        x = exact.settled(cluster.outcome.x)
        places.append(Place(x[: exact.model.columns], exact.sign * exact.objective(x), cluster.count))
    return tuple(sorted(places, key=lambda place: exact.sign * place.objective))


def _listed(places: tuple[Place, ...], starts: int) -> str:
    listed = ", ".join(f"{place.objective:.6g} ({place.count} of {starts} starts)" for place in places[:MOST_LISTED])
    more = "" if len(places) <= MOST_LISTED else f", and {len(places) - MOST_LISTED} others"
    return f"where the starts ended: {listed}{more}"


def minima_of(model: Model, places: tuple[Place, ...]) -> tuple[Minimum, ...]:
    """The places in the model's terms."""
    known = model.objective is not None
    return tuple(
        Minimum(place.objective if known else None, place.count, variable_arrays(model, place.x)) for place in places
    )
