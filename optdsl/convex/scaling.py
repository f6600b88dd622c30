"""Brings programs with extreme coefficients into the range that solvers can hold, and answers back.

HiGHS removes matrix entries of 1e-12 and less, and refuses entries of 1e15 and more. A coefficient that
vanishes in silence is the worst defect a model can meet, so such programs are scaled by powers of two,
which is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from optdsl.convex.program import AffineRows, Cone, Program, RawAnswer, Squares

SMALLEST_ENTRY = 1e-12
"""Entries up to this size are removed by HiGHS whatever its options say."""

LARGEST_ENTRY = 1e15
"""Entries from this size on are refused by HiGHS under its default options."""

WayBack = Callable[[RawAnswer], RawAnswer]


def extreme_entries(matrix: sp.csr_array) -> int:
    """How many nonzero entries are too small or too large to be passed to HiGHS as they are."""
    size = np.abs(matrix.data)
    return int(np.count_nonzero(((size > 0) & (size <= SMALLEST_ENTRY)) | (size >= LARGEST_ENTRY)))


def scale_program(program: Program) -> tuple[Program, WayBack]:
    """The same program in scaled rows and columns (x = column scale * x'), and the way back for its answers.

    Integer columns keep their scale, and the rows of cones theirs: the multipliers of cones stay as they are.
    Geometric scaling (Fourer 1982): each row and column is divided by the square root of its smallest times its
    largest entry, in a few alternating passes.
    """
    row_scale, column_scale = geometric_scales(program.matrix, fixed=program.integer)
    scaled = replace(
        program,
        cost=program.cost * column_scale,
        matrix=scaled_matrix(program.matrix, row_scale, column_scale),
        row_lower=program.row_lower * row_scale,
        row_upper=program.row_upper * row_scale,
        lower=program.lower / column_scale,
        upper=program.upper / column_scale,
        hessian=_scaled_hessian(program.hessian, column_scale),
        squares=_scaled_squares(program.squares, column_scale),
        start=None if program.start is None else program.start / column_scale,
        cones=tuple(_scaled_cone(cone, column_scale) for cone in program.cones),
    )

    def way_back(answer: RawAnswer) -> RawAnswer:
        return replace(
            answer,
            x=_times(answer.x, column_scale),
            row_dual=_times(answer.row_dual, row_scale),
            reduced_cost=_times(answer.reduced_cost, 1.0 / column_scale),
            ray=_times(answer.ray, column_scale),
            farkas=_times(answer.farkas, row_scale),
        )

    return scaled, way_back


def geometric_scales(matrix: sp.csr_array, fixed: np.ndarray, passes: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Row scales (m,) and column scales (n,), powers of two; columns in `fixed` (n,) bool keep 1."""
    entries = sp.coo_array(matrix)
    present = entries.data != 0
    rows, columns = entries.coords[0][present], entries.coords[1][present]
    size = np.log2(np.abs(entries.data[present]))
    row_log, column_log = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[1])
    for _ in range(passes):
        row_log = -_middle(size + column_log[columns], rows, matrix.shape[0])
        column_log = -_middle(size + row_log[rows], columns, matrix.shape[1])
        column_log[fixed] = 0.0
    return np.exp2(np.round(row_log)), np.exp2(np.round(column_log))


def scaled_matrix(matrix: sp.csr_array, row_scale: np.ndarray, column_scale: np.ndarray) -> sp.csr_array:
    """diag(row_scale) @ matrix @ diag(column_scale), entry by entry."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    data = matrix.data * row_scale[rows] * column_scale[matrix.indices]
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _middle(size: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Half of (smallest + largest) of `size` in each group; 0 for a group without entries."""
    smallest, largest = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(smallest, groups, size)
    np.maximum.at(largest, groups, size)
    found = np.isfinite(smallest)
    return np.where(found, 0.5 * (np.where(found, smallest, 0.0) + np.where(found, largest, 0.0)), 0.0)


def _scaled_hessian(hessian: sp.csc_array | None, scale: np.ndarray) -> sp.csc_array | None:
    if hessian is None:
        return None
    diagonal = sp.diags_array(scale)
    return sp.csc_array(diagonal @ hessian @ diagonal)


def _scaled_squares(squares: Squares | None, scale: np.ndarray) -> Squares | None:
    if squares is None:
        return None
    return replace(squares, matrix=scaled_matrix(squares.matrix, np.ones(squares.matrix.shape[0]), scale))


def _scaled_cone(cone: Cone, scale: np.ndarray) -> Cone:
    parts = (
        AffineRows(scaled_matrix(part.matrix, np.ones(len(part.offset)), scale), part.offset) for part in cone.parts
    )
    return replace(cone, parts=tuple(parts))


def _times(values: np.ndarray | None, factor: np.ndarray) -> np.ndarray | None:
    return None if values is None else values * factor
