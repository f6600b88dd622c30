"""The same problems as texts, solved by the method that optdsl chooses, with its own tolerances and checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optdsl
from optdsl.classify import analyze
from optdsl.convex.epigraphs import without_epigraphs
from optdsl.convex.lower import lower
from optdsl.convex.standard import standard_form
from optdsl.data.supplied import from_python
from optdsl.language import parse
from optdsl.model import build

PORTFOLIO = """
param n
param k
set ASSET = 1..n
set FACTOR = 1..k
param mean[ASSET]
param own[ASSET] >= 0
param load[ASSET, FACTOR]
var w[ASSET] >= 0
var y[FACTOR]
minimize risk: sum(y[f]^2 for f in FACTOR) + sum(own[a] * w[a]^2 for a in ASSET) - mean @ w
subject to
  budget: sum(w) = 1
  factors[f in FACTOR]: y[f] = sum(load[a, f] * w[a] for a in ASSET)
"""

LASSO = """
param m
param n
set ROW = 1..m
set FEATURE = 1..n
param A[ROW, FEATURE]
param b[ROW]
param charge
var x[FEATURE]
minimize loss: sumsq(A @ x - b) + charge * norm1(x)
"""

LOGISTIC = """
param m
param n
set ROW = 1..m
set FEATURE = 1..n
param A[ROW, FEATURE]
param label[ROW]
param charge
var w[FEATURE]
minimize loss: sum(log(1 + exp(-label[r] * sum(A[r, f] * w[f] for f in FEATURE))) for r in ROW) + charge * norm1(w)
"""

MAX_CUT = """
param n
set NODE = 1..n
param laplacian[NODE, NODE]
var X[NODE, NODE] psd
maximize cut: sum(laplacian * X) / 4
subject to
  unit[i in NODE]: X[i, i] = 1
"""

DISTANCES = """
param n
set POINT = 1..n
param east[POINT]
param north[POINT]
param cost[POINT]
var x[POINT]
var y[POINT]
var t[POINT]
minimize total: cost @ t
subject to
  near[p in POINT]: sqrt((x[p] - east[p])^2 + (y[p] - north[p])^2) <= t[p]
  middle_east: sum(x) = 0
  middle_north: sum(y) = 0
"""

TEXTS = {
    "portfolio": PORTFOLIO,
    "lasso": LASSO,
    "logistic": LOGISTIC,
    "max_cut": MAX_CUT,
    "distances": DISTANCES,
}


def compiled(problem: str, data: Any) -> Any:
    """What the solver is given: the stages of `Model.solve` up to the arrays of its standard form."""
    supplied = {name: from_python(name, value) for name, value in data.items()}
    lowered = lower(analyze(build(parse(TEXTS[problem]), folder=Path("."), supplied=supplied)))
    return standard_form(without_epigraphs(lowered.program)[0])


def solved(problem: str, data: Any) -> float:
    """The optimum, once the answer has passed its checks."""
    solution = optdsl.parse(TEXTS[problem]).solve(**data)
    if solution.status != "optimal" or solution.route.solver != "CLARABEL" or solution.objective is None:
        raise SystemExit(f"{problem}: {solution.status} by {solution.route.solver}")
    return solution.objective
