"""The options of the method outer; apart from the rest so that listing them imports no solver."""

from __future__ import annotations

from optdsl.convex.options import Option

OUTER_OPTIONS: tuple[Option, ...] = (
    Option("gap", "number", 1e-6, "relative gap at which integers count as solved", least=0, most=1),
    Option("tol", "number", None, "tolerance of the conic solver's own stopping test", least=1e-14, most=1e-2),
    Option("max_iter", "count", None, "limit on master problems", least=0, most=2**31 - 1),
    Option("time_limit", "number", None, "limit in seconds", least=0),
)
