"""What `explain` shows: the stages by name, and the arrays of a program as text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optdsl.answer.layout import beside, left, right, shortened
from optdsl.answer.names import column_name, row_name
from optdsl.answer.numbers import number_text
from optdsl.convex.lower import Lowered
from optdsl.errors import Diagnostic, OptionError, closest

STAGES: Mapping[str, str] = {
    "tree": "the syntax tree of the text",
    "data": "the sets and parameters, bound",
    "model": "the templates in index notation",
    "class": "the class of each statement, and of the whole",
    "program": "the arrays that the solver gets",
}
"""The stages and what each shows, in order."""

LISTED = 40
"""How many columns, rows and entries of a program are printed."""


def check_stage(stage: str) -> None:
    """Raises OptionError for a stage that there is not."""
    if stage in STAGES:
        return
    near = closest(stage, tuple(STAGES))
    hint = f"did you mean {near}?" if near else f"stages are {', '.join(STAGES)}"
    raise OptionError(Diagnostic("unknown-stage", f"there is no stage {stage}", hint=hint))


def program_text(lowered: Lowered) -> str:
    """The program as text: its size, then the first columns, rows and entries."""
    program = lowered.program
    rows, columns = program.matrix.shape
    blocks = [
        f"minimize over columns: {columns:,}, subject to rows: {rows:,}, with entries: {program.matrix.nnz:,}"
        + (f"; constant {number_text(program.constant)}" if program.constant else ""),
        _table(
            "columns",
            columns,
            {
                "column": [str(k) for k in range(min(columns, LISTED))],
                "name": [shortened(column_name(lowered, k)) for k in range(min(columns, LISTED))],
                "cost": _numbers(program.cost),
                "lower": _numbers(program.lower),
                "upper": _numbers(program.upper),
                "kind": ["integer" if whole else "" for whole in program.integer[:LISTED].tolist()],
            },
        ),
        _table(
            "rows",
            rows,
            {
                "row": [str(k) for k in range(min(rows, LISTED))],
                "name": [shortened(row_name(lowered, k)) for k in range(min(rows, LISTED))],
                "lower": _numbers(program.row_lower),
                "upper": _numbers(program.row_upper),
            },
        ),
        _entries("entries", program.matrix),
    ]
    if program.hessian is not None:
        blocks.append(_entries("quadratic, both triangles (half of x'Px is minimized)", program.hessian))
    if program.squares is not None:
        count = len(program.squares.offset)
        blocks.append(f"weighted squares of {count:,} affine expressions are minimized, too")
        blocks.append(_entries("their entries", program.squares.matrix))
    return "\n\n".join(blocks)


def _numbers(values: np.ndarray) -> list[str]:
    return [number_text(value) for value in values[:LISTED].tolist()]


def _entries(title: str, matrix: object) -> str:
    entries = matrix.tocoo()  # type: ignore[attr-defined]
    return _table(
        title,
        entries.nnz,
        {
            "row": [str(k) for k in entries.row[:LISTED].tolist()],
            "column": [str(k) for k in entries.col[:LISTED].tolist()],
            "value": _numbers(entries.data),
        },
    )


def _table(title: str, count: int, columns: Mapping[str, list[str]]) -> str:
    if not count:
        return f"{title}: none"
    padded = [(left if name in ("name", "kind") else right)([name, *texts]) for name, texts in columns.items()]
    lines = [title, *("  " + line for line in beside(padded))]
    if count > LISTED:
        lines.append(f"  ... {count - LISTED:,} more")
    return "\n".join(lines)
