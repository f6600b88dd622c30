"""CVXPY's interface to SCIP with an event handler: news, a trace, and a way to stop."""

from __future__ import annotations

from typing import Any

import numpy as np
from cvxpy.reductions.solvers.conic_solvers.scip_conif import SCIP
from pyscipopt import SCIP_EVENTTYPE, Eventhdlr

from optdsl.convex.program import Progress

EVENTS = (SCIP_EVENTTYPE.BESTSOLFOUND, SCIP_EVENTTYPE.NODESOLVED, SCIP_EVENTTYPE.FIRSTLPSOLVED)

TRACE_SECONDS = 0.25
"""Least time between two rows of the trace that show no better point."""


class WatchedScip(SCIP):
    """CVXPY's SCIP; each model gets the event handler before it is solved."""

    def __init__(self, watch: Any) -> None:
        super().__init__()
        self._watch = watch

    def _solve(self, model: Any, *rest: Any) -> dict[str, Any]:
        model.includeEventhdlr(_Handler(self._watch), "optdsl", "tells the news and obeys a stop")
        return super()._solve(model, *rest)


class _Handler(Eventhdlr):
    def __init__(self, watch: Any) -> None:
        self._watch = watch
        self._written = -np.inf
        self._best = np.inf

    def eventinit(self) -> None:
        for event in EVENTS:
            self.model.catchEvent(event, self)

    def eventexit(self) -> None:
        for event in EVENTS:
            self.model.dropEvent(event, self)

    def eventexec(self, event: Any) -> None:
        model, watch = self.model, self._watch
        if watch.stopping:
            model.interruptSolve()
            return
        seconds = watch.seconds()
        best, bound = model.getPrimalbound(), model.getDualbound()
        if best >= self._best and seconds < self._written + TRACE_SECONDS:
            return
        self._best, self._written = best, seconds
        infinity = model.infinity()
        constant = watch.constant
        objective = best + constant if abs(best) < infinity else None
        known = bound + constant if abs(bound) < infinity else None
        gap = model.getGap()
        gap = gap if gap < infinity else None
        nodes = int(model.getNTotalNodes())
        watch.news = Progress(nodes, objective, gap, seconds, known)
        row = (nodes, objective, known, gap, seconds)
        watch.rows.append(tuple(float("nan") if value is None else float(value) for value in row))
