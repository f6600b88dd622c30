"""Directions of endless improvement, multipliers that prove infeasibility, and the checks of both."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from optdsl.convex.program import Program, RawAnswer, RawStatus

RAY_TOLERANCE = 1e-7
"""How far a ray of size 1 may leave the recession cone, relative to the largest term of each row."""


def ray_program(program: Program) -> Program:
    """The LP whose best point is a ray of `program`, if it has one: over -1 <= d <= 1, minimize c'd.

    d lies in the recession cone of rows and bounds and is flat for the quadratic (P d = 0, F d = 0).
    Integrality is left out: for rational data a multiple of d is an integer direction.
    """
    flat = [part for part in _flat_rows(program) if part.shape[0]]
    matrix = sp.csr_array(sp.vstack([program.matrix, *flat], format="csr"))
    zeros = np.zeros(matrix.shape[0] - program.matrix.shape[0])
    cost_size = float(np.abs(program.cost).max(initial=0.0))
    return Program(
        cost=program.cost / (cost_size if cost_size > 0 else 1.0),
        constant=0.0,
        matrix=matrix,
        row_lower=np.concatenate([_recession(program.row_lower), zeros]),
        row_upper=np.concatenate([_recession(program.row_upper), zeros]),
        lower=np.maximum(_recession(program.lower), -1.0),
        upper=np.minimum(_recession(program.upper), 1.0),
        integer=np.zeros(len(program.cost), bool),
    )


def ray_from(program: Program, answer: RawAnswer) -> np.ndarray | None:
    """The ray, scaled to max|d| = 1, in an answer to `ray_program(program)`; None if it proves nothing."""
    if answer.status is not RawStatus.OPTIMAL or answer.x is None:
        return None
    ray = np.where(np.abs(answer.x) < 1e-11, 0.0, answer.x)
    size = float(np.abs(ray).max(initial=0.0))
    if size == 0:
        return None
    ray = ray / size
    return ray if proves_unbounded(program, ray) else None


def proves_unbounded(program: Program, ray: np.ndarray) -> bool:
    """Whether a direction of size 1 keeps to rows and bounds, is flat for the quadratic, and improves."""
    cost_size = float(np.abs(program.cost).max(initial=0.0))
    if not np.isfinite(ray).all() or float(program.cost @ ray) >= -1e-9 * max(cost_size, 1e-300):
        return False
    if _leaves(ray, program.lower, program.upper, 1.0):
        return False
    size = np.maximum(1e-300, abs(program.matrix) @ np.abs(ray))
    if _leaves(program.matrix @ ray, program.row_lower, program.row_upper, size):
        return False
    for part in _flat_rows(program):
        if (np.abs(part @ ray) > RAY_TOLERANCE * (abs(part) @ np.abs(ray))).any():
            return False
    return True


def proves_infeasible(program: Program, multipliers: np.ndarray) -> bool:
    """Whether y proves that no x meets rows and bounds: y'A x cannot reach what the rows ask of it.

    y > 0 uses a row's lower side, y < 0 its upper one.
    """
    size = float(np.abs(multipliers).max(initial=0.0))
    if size == 0 or not np.isfinite(multipliers).all():
        return False
    y = np.where(np.abs(multipliers) < 1e-12 * size, 0.0, multipliers / size)
    sides = np.where(y > 0, program.row_lower, program.row_upper)
    if not np.isfinite(sides[y != 0]).all():
        return False
    asked = float(y[y != 0] @ sides[y != 0])
    combined = program.matrix.T @ y
    terms = abs(program.matrix).T @ np.abs(y)
    combined = np.where(np.abs(combined) <= 1e-10 * terms, 0.0, combined)
    bounds = np.where(combined > 0, program.upper, program.lower)[combined != 0]
    if not np.isfinite(bounds).all():
        return False
    reached = combined[combined != 0] * bounds
    scale = np.abs(y[y != 0] * sides[y != 0]).sum() + np.abs(reached).sum()
    return bool(asked - reached.sum() > 1e-9 * max(scale, 1e-300))


def _flat_rows(program: Program) -> list[sp.csr_array]:
    """Rows that a ray must map to 0 for the quadratic to stay flat."""
    rows = []
    if program.hessian is not None:
        rows.append(sp.csr_array(program.hessian))
    if program.squares is not None:
        used = np.flatnonzero(program.squares.weights > 0)
        rows.append(sp.csr_array(program.squares.matrix[used]))
    return rows


def _recession(side: np.ndarray) -> np.ndarray:
    """0 where a side is finite: the direction may not cross it; the infinite sides stay."""
    return np.where(np.isfinite(side), 0.0, side)


def _leaves(values: np.ndarray, lower: np.ndarray, upper: np.ndarray, size: np.ndarray | float) -> bool:
    below = np.isfinite(lower) & (values < -RAY_TOLERANCE * size)
    above = np.isfinite(upper) & (values > RAY_TOLERANCE * size)
    return bool((below | above).any())
