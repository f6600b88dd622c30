"""The options of the method cvxpy; apart from the rest so that listing them does not import CVXPY."""

from __future__ import annotations

from optdsl.convex.options import Option

CONE_OPTIONS: tuple[Option, ...] = (
    Option("solver", "word", None, "the solver CVXPY calls", words=("CLARABEL", "OSQP", "SCS", "HIGHS", "SCIP")),
    Option("tol", "number", None, "tolerance of the solver's own stopping test", least=1e-14, most=1e-2),
    Option("gap", "number", 1e-6, "relative gap at which integers count as solved", least=0, most=1),
    Option("max_iter", "count", None, "limit on iterations, with integers on nodes", least=0, most=2**31 - 1),
    Option("time_limit", "number", None, "limit in seconds", least=0),
)
