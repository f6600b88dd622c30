"""The unit in which a program's objective is measured: solvers' tolerances are absolute.

Where all coefficients of an objective are tiny (grams counted in tons, 1e-9 and less), every point is within a solver's
tolerance of an optimum. Such a program is solved in a smaller unit, and what comes back is told in the model's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from optdsl.convex.program import Program, Progress, RawAnswer, Squares

TINY = 1e-6
"""Where no coefficient of the objective is larger, tolerances of 1e-7 to 1e-9 say little."""
SMALLEST = 2.0**-200
"""The smallest unit."""
_MEASURED = ("objective", "bound")
"""Columns of a trace that are told in the model's unit; residuals stay as the solver sees them."""


def fitting_unit(program: Program) -> float:
    """The unit, a power of 2, in which the objective's largest coefficient is about 1; 1 where none is tiny."""
    parts = [np.abs(program.cost)]
    if program.hessian is not None:
        parts.append(np.abs(program.hessian.data))
    if program.squares is not None and program.squares.matrix.nnz:
        largest = abs(program.squares.matrix).max(axis=1).toarray().ravel()
        parts.append(program.squares.weights * largest**2)
    most = max((float(part.max(initial=0.0)) for part in parts), default=0.0)
    if not np.isfinite(most) or most == 0 or most >= TINY:
        return 1.0
    return max(SMALLEST, 2.0 ** float(np.round(np.log2(most))))


def measured_in(program: Program, unit: float) -> Program:
    """The program with its objective divided by the unit."""
    squares = program.squares
    return replace(
        program,
        cost=program.cost / unit,
        constant=program.constant / unit,
        hessian=None if program.hessian is None else sp.csc_array(program.hessian / unit),
        squares=None if squares is None else Squares(squares.matrix, squares.offset, squares.weights / unit),
    )


def told_in_ones(answer: RawAnswer, unit: float) -> RawAnswer:
    """An answer to `measured_in(program, unit)` as one to the program: values and multipliers times the unit."""
    rows = answer.trace.rows.copy()
    measured = [k for k, name in enumerate(answer.trace.columns) if name in _MEASURED and k < rows.shape[1]]
    rows[:, measured] *= unit
    return replace(
        answer,
        row_dual=None if answer.row_dual is None else answer.row_dual * unit,
        reduced_cost=None if answer.reduced_cost is None else answer.reduced_cost * unit,
        bound=None if answer.bound is None else answer.bound * unit,
        cone_duals=tuple(tuple(part * unit for part in lane) for lane in answer.cone_duals),
        trace=replace(answer.trace, rows=rows),
    )


def progress_in_ones(progress: Callable[[Progress], None] | None, unit: float) -> Callable[[Progress], None] | None:
    """The watcher of a run in the unit, told of values in the model's."""
    if progress is None or unit == 1.0:
        return progress
    hear = progress

    def tell(news: Progress) -> None:
        objective = None if news.objective is None else news.objective * unit
        hear(replace(news, objective=objective, bound=None if news.bound is None else news.bound * unit))

    return tell
