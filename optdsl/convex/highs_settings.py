"""HiGHS's options as a user names them, and how HiGHS is set from them.

Defaults, and why: one thread, so that runs repeat exactly and callers may solve in parallel; feasibility
and optimality to 1e-9, which the simplex method reaches at no cost (HiGHS's own 1e-7 is the fallback when
it does not); a MIP gap of 1e-6, because `optimal` is a promise and HiGHS's own 1e-4 is not one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.convex.highs_run import Highs
from optdsl.convex.options import Option, read_options
from optdsl.convex.program import Program

HIGHS_OPTIONS: tuple[Option, ...] = (
    Option("solver", "word", "choose", "the algorithm for LP", words=("choose", "simplex", "ipm", "pdlp")),
    Option("tol", "number", None, "feasibility and optimality tolerance", least=1e-10, most=1e-2),
    Option(
        "gap",
        "number",
        1e-6,
        "relative gap at which integers count as solved",
        least=0,
        most=1,
    ),
    Option("max_iter", "count", None, "limit on iterations, with integers on nodes", least=0, most=2**31 - 1),
    Option("time_limit", "number", None, "limit in seconds", least=0),
    Option("threads", "count", 1, "how many threads HiGHS may use", least=1, most=1024),
    Option("presolve", "flag", True, "whether the problem is simplified first"),
    Option("seed", "count", 0, "seed of HiGHS's random choices", least=0, most=2**31 - 1),
)

DEFAULT_TOLERANCE = 1e-9
MIP_TOLERANCE = 1e-7
FALLBACK_TOLERANCE = 1e-7


@dataclass(frozen=True, slots=True)
class Settings:
    """HiGHS's options as read from the user's."""

    solver: str = "choose"
    tolerance: float | None = None
    gap: float = 1e-6
    iterations: int | None = None
    threads: int = 1
    presolve: bool = True
    seed: int = 0


def read_settings(options: Mapping[str, Any] | None, tolerance: float | None) -> tuple[Settings, float | None]:
    """The settings and the time limit that are in a user's options."""
    given = read_options(options or {}, HIGHS_OPTIONS, "highs")
    settings = Settings(
        solver=given["solver"],
        tolerance=given["tol"] if given["tol"] is not None else tolerance,
        gap=given["gap"],
        iterations=given["max_iter"],
        threads=given["threads"],
        presolve=given["presolve"],
        seed=given["seed"],
    )
    return settings, given["time_limit"]


def apply_settings(highs: Highs, program: Program, settings: Settings) -> None:
    """Sets HiGHS's options; those that the user left open as the class of the program suggests."""
    mixed = program.mixed_integer
    tolerance = settings.tolerance
    if tolerance is None:
        tolerance = MIP_TOLERANCE if mixed or settings.solver == "pdlp" else DEFAULT_TOLERANCE
    values: dict[str, Any] = {
        "primal_feasibility_tolerance": tolerance,
        "dual_feasibility_tolerance": tolerance,
        "ipm_optimality_tolerance": min(tolerance, 1e-8),
        "pdlp_optimality_tolerance": tolerance,
        "mip_feasibility_tolerance": tolerance,
        "mip_rel_gap": settings.gap,
        "mip_abs_gap": min(1e-6, settings.gap),
        "mip_min_logging_interval": 0.5,
        "threads": settings.threads,
        "parallel": "off" if settings.threads == 1 else "on",
        "presolve": "choose" if settings.presolve else "off",
        "random_seed": settings.seed,
        "qp_regularization_value": 0.0,
        # The algorithm of a quadratic or mixed-integer problem is HiGHS's own choice.
        "solver": "choose" if mixed or program.quadratic else settings.solver,
    }
    if settings.iterations is not None:
        limits = ("simplex", "ipm", "pdlp", "qp")
        values |= {f"{name}_iteration_limit": settings.iterations for name in limits} if not mixed else {}
        values |= {"mip_max_nodes": settings.iterations} if mixed else {}
    for name, value in values.items():
        highs.setOptionValue(name, value)
    if mixed and program.start is not None:
        known = np.flatnonzero(~np.isnan(program.start)).astype(np.int32)
        if known.size:
            highs.setSolution(known.size, known, program.start[known])
