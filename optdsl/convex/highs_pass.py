"""Hands a program's arrays to HiGHS: all in one call at first, later only those that changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from highspy import _core as core

from optdsl.convex.highs_run import Highs
from optdsl.convex.program import Program


def pass_program(highs: Highs, program: Program) -> None:
    """Passes all arrays in one call; squares become variables r = F x + g with a diagonal quadratic."""
    if program.squares is not None:
        program = _squares_as_variables(program)
    matrix, count, rows = program.matrix, len(program.cost), program.matrix.shape[0]
    no_index, no_value = np.zeros(0, np.int32), np.zeros(0)
    hessian = None if program.hessian is None else sp.csc_array(sp.tril(program.hessian, format="csc"))
    for name in ("infinite_bound", "infinite_cost", "large_matrix_value"):
        highs.setOptionValue(name, np.inf)
    highs.setOptionValue("small_matrix_value", 1e-12)
    status = highs.passModel(
        count,
        rows,
        matrix.nnz,
        0 if hessian is None else hessian.nnz,
        int(core.MatrixFormat.kRowwise),
        int(core.HessianFormat.kTriangular),
        int(core.ObjSense.kMinimize),
        float(program.constant),
        program.cost,
        program.lower,
        program.upper,
        program.row_lower,
        program.row_upper,
        matrix.indptr,
        matrix.indices,
        matrix.data,
        no_index if hessian is None else hessian.indptr,
        no_index if hessian is None else hessian.indices,
        no_value if hessian is None else hessian.data,
        program.integer.astype(np.int32),
    )
    if status == core.HighsStatus.kError:
        raise ArithmeticError("HiGHS does not accept the problem's numbers")


def push_changes(highs: Highs, held: Program, program: Program) -> None:
    """Tells HiGHS, which holds `held`, the costs, sides and bounds that differ in `program`."""
    moved = _different(held.cost, program.cost)
    if moved.size:
        highs.changeColsCost(moved.size, moved, program.cost[moved])
    moved = _different(held.lower, program.lower, held.upper, program.upper)
    if moved.size:
        highs.changeColsBounds(moved.size, moved, program.lower[moved], program.upper[moved])
    moved = _different(held.row_lower, program.row_lower, held.row_upper, program.row_upper)
    if moved.size:
        highs.changeRowsBounds(moved.size, moved, program.row_lower[moved], program.row_upper[moved])
    if held.constant != program.constant:
        highs.changeObjectiveOffset(float(program.constant))


def _squares_as_variables(program: Program) -> Program:
    squares = program.squares
    assert squares is not None
    count, extra = len(program.cost), len(squares.weights)
    left = sp.vstack([program.matrix, squares.matrix], format="csr")
    right = sp.vstack([sp.csr_array((program.matrix.shape[0], extra)), -sp.eye_array(extra)], format="csr")
    hessian = program.hessian if program.hessian is not None else sp.csc_array((count, count))
    weights = sp.diags_array(2.0 * squares.weights)
    free = np.full(extra, np.inf)
    return replace(
        program,
        cost=np.concatenate([program.cost, np.zeros(extra)]),
        matrix=sp.csr_array(sp.hstack([left, right], format="csr")),
        row_lower=np.concatenate([program.row_lower, -squares.offset]),
        row_upper=np.concatenate([program.row_upper, -squares.offset]),
        lower=np.concatenate([program.lower, -free]),
        upper=np.concatenate([program.upper, free]),
        integer=np.concatenate([program.integer, np.zeros(extra, bool)]),
        hessian=sp.csc_array(sp.block_diag([hessian, weights], format="csc")),
        squares=None,
        start=None,
    )


def _different(*pairs: np.ndarray) -> np.ndarray:
    """Where the first array differs from the second, or the third from the fourth, as HiGHS's index type."""
    unequal = np.zeros(len(pairs[0]), bool)
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        unequal |= old != new
    return np.flatnonzero(unequal).astype(np.int32)
