"""Runs one solver on a program: which file runs which solver, and what every run gives back.

CLARABEL and SCS take our own standard form, OSQP the rows as they are, SCIP and HIGHS what CVXPY compiles. The form
that CVXPY compiles is the reference for the first three, too (`through_cvxpy`): the tests hold both side by side.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field

import numpy as np

from optdsl.convex.program import Program, RawStatus, Trace
from optdsl.convex.standard import Multipliers
from optdsl.convex.watch import Controls, Watch

OWN_FORM = {"CLARABEL": "clarabel_run", "SCS": "scs_run", "OSQP": "osqp_run"}
"""Solvers that are called directly, and the module that does it; all others are called through CVXPY."""


@dataclass(frozen=True, slots=True)
class ConeSettings:
    """What to run and how sharply; `iterations` None leaves the solver's own limit."""

    solver: str
    tolerance: float | None = None
    gap: float = 1e-6
    iterations: int | None = None
    through_cvxpy: bool = False


@dataclass(frozen=True, slots=True)
class SolverRun:
    """How a run ended: status, point (n,), multipliers, proved bound, trace.

    Of an infeasible program the multipliers are its proof, if it has one; of an unbounded one `ray` is the direction.
    """

    status: RawStatus
    x: np.ndarray | None = None
    multipliers: Multipliers | None = None
    ray: np.ndarray | None = None
    iterations: int = 0
    bound: float | None = None
    message: str = ""
    trace: Trace = field(default_factory=Trace)


@dataclass(slots=True)
class Iterations(Watch):
    """The rows of a trace, as a solver's callbacks write them; `constant` is what its objective lacks."""

    constant: float = 0.0
    rows: list[tuple[float, ...]] = field(default_factory=list)

    def trace(self, columns: tuple[str, ...]) -> Trace:
        return Trace(columns, np.array(self.rows, dtype=float).reshape(-1, len(columns)))


def run_solver(program: Program, settings: ConeSettings, controls: Controls) -> SolverRun:
    """Compiles the program for the solver and runs it."""
    direct = None if settings.through_cvxpy else OWN_FORM.get(settings.solver)
    # A solver takes up to seconds to import, and CVXPY longer; each is imported when it is used.
    module = importlib.import_module(f"optdsl.convex.{direct or 'cvxpy_run'}")
    run: SolverRun = module.run(program, settings, controls)
    return run
