"""One run of one HiGHS instance: silent, interruptible, with live news and a trace.

Each run has a thread of its own and with it a HiGHS scheduler of its own: HiGHS refuses a run whose `threads` option
differs from that with which the scheduler of its thread was started.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from highspy import _core as core

from optdsl.convex.program import Progress, Trace
from optdsl.convex.watch import Controls, Watch, attend

SIMPLEX_COLUMNS = ("iter", "objective", "primal", "dual", "seconds")
MIP_COLUMNS = ("nodes", "objective", "bound", "gap", "seconds")

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|inf|nan)"
_SIMPLEX_LINE = re.compile(
    rf"^\s*(\d+)\s+({_NUMBER})\s+(?:Pr|Ph1): \d+\(({_NUMBER})\)"
    rf"(?:; Du: \d+\(({_NUMBER})\))?\s+({_NUMBER})s?\s*$"
)
_SIX_NUMBERS = rf"\s+({_NUMBER})" * 6
_IPM_LINE = re.compile(rf"^\s*(\d+)\*?{_SIX_NUMBERS}s?\s*$")
_NODE_LINE = re.compile(
    rf"^\s*[A-Za-z]?\s*(\d+\.?\d*[kmg]?)\s+\S+\s+\S+\s+\S+%\s+({_NUMBER})\s+({_NUMBER})\s+({_NUMBER}|Large)%?"
    rf"(?:\s+\S+){{4}}\s+({_NUMBER})s\s*$"
)
_QP_LINE = re.compile(rf"^\s*(\d+)\s+({_NUMBER})\s+\d+\s+({_NUMBER})s?\s*$")

Highs: TypeAlias = Any
"""A HiGHS instance (`highspy._core._Highs`, whose published types lack several of its methods)."""

Callbacks = core.cb.HighsCallbackType
_WATCHED = (
    Callbacks.kCallbackLogging,
    Callbacks.kCallbackSimplexInterrupt,
    Callbacks.kCallbackIpmInterrupt,
    Callbacks.kCallbackMipInterrupt,
    Callbacks.kCallbackMipLogging,
    Callbacks.kCallbackMipImprovingSolution,
)


@dataclass(frozen=True, slots=True)
class HighsRun:
    """How a run ended: HiGHS's status, whether we stopped it, seconds, its trace and its complaints."""

    status: core.HighsModelStatus
    stopped: bool
    seconds: float
    trace: Trace
    complaints: tuple[str, ...]


@dataclass(slots=True)
class _Listener(Watch):
    """What the callbacks write and the waiting thread reads; nothing in it can raise."""

    log: list[str] = field(default_factory=list)
    nodes: list[tuple[float, ...]] = field(default_factory=list)

    def hear(self, kind: int, message: str, out: Any, answer: Any, _data: Any) -> None:
        if kind == _LOGGING:
            self.log.append(message)
            self._read_line(message)
            return
        if kind in _MIP_NEWS:
            self._read_nodes(out, from_log=kind == _MIP_LOGGING)
        if self.stopping and answer is not None:
            answer.user_interrupt = True

    def _read_line(self, message: str) -> None:
        row = _iteration(message)
        if row is not None:
            self.news = Progress(int(row[0]), row[1], None, self.seconds())

    def _read_nodes(self, out: Any, from_log: bool) -> None:
        objective, bound = float(out.mip_primal_bound), float(out.mip_dual_bound)
        gap = float(out.mip_gap)
        seconds = self.seconds()
        nodes = int(out.mip_node_count)
        self.news = Progress(nodes, _known(objective), _known(gap), seconds, _known(bound))
        if from_log:
            self.nodes.append((float(nodes), _or_nan(objective), _or_nan(bound), _or_nan(gap), seconds))


_LOGGING = int(Callbacks.kCallbackLogging)
_MIP_LOGGING = int(Callbacks.kCallbackMipLogging)
_MIP_NEWS = frozenset({_MIP_LOGGING, int(Callbacks.kCallbackMipImprovingSolution)})


def run_highs(
    highs: Highs,
    controls: Controls,
    *,
    mixed_integer: bool = False,
    action: Callable[[], Any] | None = None,
) -> HighsRun:
    """Runs HiGHS on the model it holds, or another `action` on it.

    Ctrl-C and `stop()` end it with what it has; `stopped` then says so.

    An exception raised by `stop` or `progress` ends the run, too, and is raised again.
    """
    listener = _Listener()
    _prepare(highs, listener, controls.time_limit)
    try:
        attend(action or highs.run, listener, controls)
    finally:
        highs.setCallback(None, None)
    return HighsRun(
        status=highs.getModelStatus(),
        stopped=listener.stopping,
        seconds=listener.seconds(),
        trace=_trace(listener, mixed_integer),
        complaints=_complaints(listener.log),
    )


def new_highs() -> Highs:
    """An empty HiGHS instance that writes nothing anywhere."""
    highs = core._Highs()
    highs.setOptionValue("log_to_console", False)
    highs.setOptionValue("output_flag", False)
    return highs


def _prepare(highs: Highs, listener: _Listener, time_limit: float | None) -> None:
    highs.setOptionValue("log_to_console", False)
    # cuPDLP-C writes to standard output whenever HiGHS's log is on; without the log it has no trace.
    highs.setOptionValue("output_flag", highs.getOptionValue("solver")[1] != "pdlp")
    # HiGHS counts the seconds of all runs of one instance together.
    limit = np.inf if time_limit is None else highs.getRunTime() + max(0.0, time_limit)
    highs.setOptionValue("time_limit", float(limit))
    highs.setCallback(listener.hear, None)
    for kind in _WATCHED:
        highs.startCallback(kind)


def _trace(listener: _Listener, mixed_integer: bool) -> Trace:
    if mixed_integer:
        return Trace(MIP_COLUMNS, np.array(listener.nodes, dtype=float).reshape(-1, len(MIP_COLUMNS)))
    rows = [row for line in "".join(listener.log).splitlines() if (row := _iteration(line)) is not None]
    return Trace(SIMPLEX_COLUMNS, np.array(rows, dtype=float).reshape(-1, len(SIMPLEX_COLUMNS)))


def _iteration(line: str) -> tuple[float, float, float, float, float] | None:
    """Iteration, objective, primal and dual infeasibility, seconds, as read from a line of HiGHS's log."""
    nan = float("nan")
    if found := _SIMPLEX_LINE.match(line):
        count, objective, primal, dual, seconds = found.groups()
        return float(count), float(objective), float(primal), float(dual) if dual else nan, float(seconds)
    if found := _IPM_LINE.match(line):
        count, objective, _, primal, dual, _, seconds = found.groups()
        return float(count), float(objective), float(primal), float(dual), float(seconds)
    if found := _QP_LINE.match(line):
        count, objective, seconds = found.groups()
        return float(count), float(objective), nan, nan, float(seconds)
    return None


def trace_of_log(log: str, mixed_integer: bool, constant: float) -> Trace:
    """The iterations that HiGHS wrote into a log; `constant` is what its objective lacks."""
    lines = log.splitlines()
    if mixed_integer:
        nodes = [row for line in lines if (row := _node(line)) is not None]
        table = np.array(nodes, dtype=float).reshape(-1, len(MIP_COLUMNS))
        table[:, 1:3] += constant
        return Trace(MIP_COLUMNS, table)
    rows = [row for line in lines if (row := _iteration(line)) is not None]
    table = np.array(rows, dtype=float).reshape(-1, len(SIMPLEX_COLUMNS))
    table[:, 1] += constant
    return Trace(SIMPLEX_COLUMNS, table)


def _node(line: str) -> tuple[float, float, float, float, float] | None:
    """Nodes, best objective, bound, relative gap and seconds, as read from a line of branch and bound."""
    found = _NODE_LINE.match(line)
    if not found:
        return None
    nodes, bound, objective, gap, seconds = found.groups()
    factor = {"k": 1e3, "m": 1e6, "g": 1e9}.get(nodes[-1])
    count = float(nodes[:-1]) * factor if factor else float(nodes)
    part = float("nan") if gap == "Large" else _or_nan(float(gap)) / 100.0
    return count, _or_nan(float(objective)), _or_nan(float(bound)), part, float(seconds)


def _complaints(log: list[str]) -> tuple[str, ...]:
    lines = "".join(log).splitlines()
    return tuple(line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:"))


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _or_nan(value: float) -> float:
    return value if np.isfinite(value) else float("nan")
