"""A local solve: a method's run and what is known about the curvature where it ended."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.methods.driver import Limits, Method, Outcome, Record, drive
from optdsl.nlp import Nlp


class SecondOrder(enum.Enum):
    """The second-order necessary condition at a point."""

    SATISFIED = "no feasible direction has negative curvature"
    VIOLATED = "a feasible direction has negative curvature"
    UNKNOWN = "not decided"


@dataclass(frozen=True, eq=False)
class LocalAnswer:
    """A method's outcome, the curvature there, the direction of negative curvature (n,) where one was found."""

    outcome: Outcome
    second_order: SecondOrder
    escape: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def solve_locally(
    problem: Nlp,
    method: Method[Any],
    limits: Limits | None = None,
    watch: Callable[[int, Record, np.ndarray], None] | None = None,
) -> LocalAnswer:
    """Run a method from the problem's start."""
    return LocalAnswer(drive(method, problem, limits, watch), SecondOrder.UNKNOWN)
