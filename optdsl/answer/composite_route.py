"""Whether a model goes to the methods for losses plus simple penalties; light, as every solve asks this."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from optdsl.answer.checks import TOLERANCE
from optdsl.answer.methods import SOLVER_METHODS
from optdsl.answer.solution import Solution
from optdsl.answer.status import Status
from optdsl.classify import Analysis
from optdsl.model.model import Model

if TYPE_CHECKING:
    from optdsl.answer.composite import Prepared

LARGE = 20_000
"""Stored entries of all losses from which these methods are taken by themselves: below, cones cost nothing either."""


def composite_form(analysis: Analysis, method: str | None, options: Mapping[str, Any]) -> Prepared | None:
    """The model as losses plus simple penalties, with a method; None where another route takes it.

    Raises OptionError where one of these methods is asked for and cannot take the model.
    """
    if method is None:
        if options or not _worth_a_look(analysis):
            return None
    elif method in SOLVER_METHODS:
        return None
    else:
        from optdsl.answer import composite_methods

        if method not in composite_methods.names():
            return None
    prepared: Prepared | None = import_module("optdsl.answer.composite").prepare(analysis, method, options)
    return prepared


def composite_at_once(model: Model, method: str | None, options: Mapping[str, Any]) -> Prepared | None:
    """The composite form of a model with so much data that looking at it in other ways would cost more than solving."""
    if method in SOLVER_METHODS or (method is None and options):
        return None
    if model.objective is None or model.constraints or model.integers or _entries(model) < LARGE // 4:
        return None
    if method is not None:
        from optdsl.answer import composite_methods

        if method not in composite_methods.names():
            return None
    found: Prepared | None = import_module("optdsl.answer.composite").prepare_unanalyzed(model, method, options)
    return found


def _entries(model: Model) -> int:
    return sum(np.size(getattr(p, "values", ())) for p in model.lanes.parameters.values()) + model.columns


def _worth_a_look(analysis: Analysis) -> bool:
    """Whether a model may be composite: convex, without constraints, and its data not small or its losses fading."""
    model = analysis.model
    if analysis.convexity != "convex" or model.objective is None or model.constraints or model.integers:
        return False
    if analysis.type in ("EXP", "CONVEX"):
        return True
    return analysis.type != "LP" and _entries(model) >= LARGE // 4


def composite_answer(prepared: Prepared, controls: Any) -> Solution | None:
    """The answer; None where the method was not asked for and left the gap open: then another route may close it."""
    solution: Solution = import_module("optdsl.answer.composite").run(
        prepared, controls.time_limit, controls.progress, controls.stop
    )
    open_ = solution.checks.gap is None or not solution.checks.gap <= TOLERANCE
    failed = solution.status in (Status.NUMERICAL_ERROR, Status.FEASIBLE) and open_
    return None if failed and not prepared.asked else solution
