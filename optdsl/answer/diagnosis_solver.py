"""The diagnosis of a convex solver's run that did not end with an acceptable answer, and of bad scaling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optdsl.answer.names import entry_name, instance_name
from optdsl.answer.numbers import number_text, rounded
from optdsl.answer.solution import Finding, TraceTable
from optdsl.answer.status import Status
from optdsl.convex.lower import Lowered

SPREAD = 1e7
"""Sizes of derivatives this far apart are bad scaling. Our choice."""


def spread_finding(
    columns: np.ndarray, rows: np.ndarray, column_name: Callable[[int], str], row_name: Callable[[int], str]
) -> Finding | None:
    """Bad scaling, from the largest size in each column and row; the worse of the two."""
    worst: tuple[float, str, str, float, float] | None = None
    for sizes, name, kind in ((columns, column_name, "variables"), (rows, row_name, "constraints")):
        known = np.flatnonzero(sizes > 0)
        if len(known) < 2:
            continue
        low, high = known[sizes[known].argmin()], known[sizes[known].argmax()]
        ratio = float(sizes[high] / sizes[low])
        if ratio > SPREAD and (worst is None or ratio > worst[0]):
            names = f"`{name(int(high))}` and `{name(int(low))}`"
            worst = ratio, names, kind, float(sizes[high]), float(sizes[low])
    if worst is None:
        return None
    _, names, kind, high, low = worst
    return Finding(
        f"The {kind} {names} are scaled very differently.",
        f"Their largest derivatives are {high:.1e} and {low:.1e}.",
        "Change units, so that values and derivatives are between about 0.001 and 1000.",
    )


def diagnose_solver(
    lowered: Lowered, status: Status, objective: float | None, bound: float | None, trace: TraceTable
) -> tuple[Finding, ...]:
    """Findings on a run of a convex solver that did not end with an acceptable answer; none where it did."""
    if status.acceptable or status in (Status.INFEASIBLE, Status.UNBOUNDED):
        return ()
    model, program = lowered.analysis.model, lowered.program
    found: list[Finding | None] = []
    cut = status in (Status.TIME_LIMIT, Status.ITERATION_LIMIT, Status.INTERRUPTED)
    if cut and objective is not None and bound is not None and np.isfinite(bound):
        gap = abs(objective - bound) / max(1.0, abs(objective))
        found.append(
            Finding(
                "The search was stopped before the best possible value was known.",
                f"{number_text(objective)} was found, and no more is proved than the bound {number_text(bound)}: a "
                f"gap of {100 * gap:.2g}%.",
                f"Give it more time, or accept a gap: `gap = {rounded(max(gap, 1e-6))}`.",
            )
        )
    elif cut:
        found.append(
            Finding(
                "The solver was stopped before it had an answer."
                if objective is None
                else "The solver was stopped before it was sure of its answer.",
                f"The last of {len(trace):,} recorded iterations is not within the tolerance."
                if len(trace)
                else f"The problem has {len(program.cost):,} columns and {program.matrix.shape[0]:,} rows.",
                "Give it more time or iterations.",
            )
        )
    elif status is Status.NUMERICAL_ERROR:
        found.append(
            Finding(
                "The solver could not reach the accuracy that the checks ask for.",
                f"The problem has {len(program.cost):,} columns and {program.matrix.shape[0]:,} rows.",
                "Try another solver (`solver = ...`, see `optdsl methods`), or loosen `tol`.",
            )
        )
    matrix = abs(program.matrix)
    columns = np.fmax(np.abs(program.cost), matrix.max(axis=0).toarray().ravel() if matrix.shape[0] else 0.0)
    rows = matrix.max(axis=1).toarray().ravel() if matrix.shape[1] else np.zeros(0)

    def row_name(row: int) -> str:
        for block, first in zip(lowered.analysis.blocks, lowered.rows, strict=True):
            if first <= row < first + len(block.lower):
                return instance_name(model, block.constraint, row - first)
        return "a constraint that optdsl added"

    known = int(lowered.rows[-1] + len(lowered.analysis.blocks[-1].lower)) if lowered.rows else 0
    own = columns[: model.columns]
    found.append(spread_finding(own, rows[:known], lambda column: entry_name(model, column), row_name))
    return tuple(finding for finding in found if finding is not None)
