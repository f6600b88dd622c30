"""Programs solved one after another: what stays the same stays in the solver, and each run starts from the last."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import scipy.sparse as sp

from optdsl.convex.choose import Choice
from optdsl.convex.program import Program, Progress, RawAnswer

_ARRAYS = ("cost", "row_lower", "row_upper", "lower", "upper")


@dataclass(eq=False)
class WarmSolver:
    """Keeps the HiGHS instance of the last linear program; other programs are solved afresh. Threads take turns.

    `local` is where the last run of a local method ended, kept for the next one.
    """

    local: Any = None

    _lock: Lock = field(default_factory=Lock)
    _session: Any = None
    _options: Mapping[str, Any] | None = None

    def solve(
        self,
        choice: Choice,
        program: Program,
        *,
        time_limit: float | None = None,
        options: Mapping[str, Any] | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> RawAnswer:
        """Solve `program`, from the last basis where its columns and rows are those of the program before."""
        if choice.method != "highs" or program.quadratic:
            return choice.solve(program, time_limit=time_limit, options=options, progress=progress, stop=stop)
        with self._lock:
            if (
                self._session is None
                or dict(options or {}) != self._options
                or not _alike(self._session.program, program)
            ):
                highs = importlib.import_module("optdsl.convex.highs")
                self._session = highs.HighsSession(program, options=options)
                self._options = dict(options or {})
            else:
                self._session.update(**_changes(self._session.program, program))
            answer: RawAnswer = self._session.solve(time_limit=time_limit, progress=progress, stop=stop)
            return answer


def _alike(old: Program, new: Program) -> bool:
    """Whether columns, rows and integrality are those of the program before."""
    return old.matrix.shape == new.matrix.shape and np.array_equal(old.integer, new.integer)


def _changes(old: Program, new: Program) -> dict[str, Any]:
    changes: dict[str, Any] = {
        name: getattr(new, name)
        for name in _ARRAYS
        if not np.array_equal(getattr(old, name), getattr(new, name), equal_nan=True)
    }
    if old.constant != new.constant:
        changes["constant"] = new.constant
    if not _same_entries(old.matrix, new.matrix):
        changes["matrix"] = new.matrix
    if new.start is not None:
        changes["start"] = new.start
    return changes


def _same_entries(old: sp.csr_array, new: sp.csr_array) -> bool:
    return (
        old.nnz == new.nnz
        and np.array_equal(old.indptr, new.indptr)
        and np.array_equal(old.indices, new.indices)
        and np.array_equal(old.data, new.data)
    )
