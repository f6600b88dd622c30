"""Directions of endless improvement, multipliers that prove infeasibility, and the checks of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from optdsl.convex.cone_sets import distance, sizes_at, values_at
from optdsl.convex.duality import in_dual_cones, pushed
from optdsl.convex.program import AffineRows, Program, RawAnswer, RawStatus

RAY_TOLERANCE = 1e-7
"""How far a ray of size 1 may leave the recession cone, relative to the largest term of each row."""

PROOF_NOISE = 1e-7
"""With cones, proofs come from interior-point methods: what a proof leaves on variables without a bound counts as
rounding up to this, relative to its terms, and the proof must be clear by more than ten times as much."""


def ray_program(program: Program) -> Program:
    """The program whose best point is a ray of `program`, if it has one: over -1 <= d <= 1, minimize c'd.

    d lies in the recession cone of rows, bounds and cones (the cones without their constants: Rockafellar 1970,
    corollary 8.3.3) and is flat for the quadratic (P d = 0, F d = 0).
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
        cones=tuple(
            replace(cone, parts=tuple(AffineRows(part.matrix, np.zeros(len(part.offset))) for part in cone.parts))
            for cone in program.cones
        ),
    )


def ray_from(program: Program, answer: RawAnswer) -> np.ndarray | None:
    """The ray, scaled to max|d| = 1, in an answer to `ray_program(program)`; None if it proves nothing."""
    if answer.status is not RawStatus.OPTIMAL or answer.x is None:
        return None
    return checked_ray(program, answer.x)


def checked_ray(program: Program, direction: np.ndarray) -> np.ndarray | None:
    """The direction scaled to max|d| = 1, without its rounding; None if it proves nothing."""
    size = float(np.abs(direction).max(initial=0.0))
    if size == 0 or not np.isfinite(size):
        return None
    ray = direction / size
    for noise in (1e-7, 1e-9, 1e-11) if program.cones else (1e-11,):
        cleaned = np.where(np.abs(ray) < noise, 0.0, ray)
        if proves_unbounded(program, cleaned):
            return cleaned
    return None


def proves_unbounded(program: Program, ray: np.ndarray) -> bool:
    """Whether a direction of size 1 keeps to rows, bounds and cones, is flat for the quadratic, and improves."""
    cost_size = float(np.abs(program.cost).max(initial=0.0))
    least = 1e-9 if not program.cones else 1e-5  # near the edge of a cone, rounding of 1e-7 buys 1e-7 of descent
    if not np.isfinite(ray).all() or float(program.cost @ ray) >= -least * max(cost_size, 1e-300):
        return False
    if _leaves(ray, program.lower, program.upper, 1.0):
        return False
    size = np.maximum(1e-300, abs(program.matrix) @ np.abs(ray))
    if _leaves(program.matrix @ ray, program.row_lower, program.row_upper, size):
        return False
    for part in _flat_rows(program):
        if (np.abs(part @ ray) > RAY_TOLERANCE * (abs(part) @ np.abs(ray))).any():
            return False
    for cone in program.cones:
        away = distance(cone, values_at(cone, ray, homogeneous=True))
        if (away > RAY_TOLERANCE * sizes_at(cone, ray, homogeneous=True)).any():
            return False
    return True


def proves_infeasible(
    program: Program, multipliers: np.ndarray, cone_multipliers: Sequence[Sequence[np.ndarray]] = ()
) -> bool:
    """Whether y proves that no x meets rows, bounds and cones: y'A x cannot reach what the rows ask of it.

    y > 0 uses a row's lower side, y < 0 its upper one. Cones ask lambda'(B x + g) >= 0 for lambda in the dual cone.
    """
    given = [dual for duals in cone_multipliers for dual in duals]
    size = max((float(np.abs(part).max(initial=0.0)) for part in (multipliers, *given)), default=0.0)
    if size == 0 or not all(np.isfinite(part).all() for part in (multipliers, *given)):
        return False
    noise, clear = (1e-10, 1e-9) if not program.cones else (PROOF_NOISE, 10 * PROOF_NOISE)
    y = np.where(np.abs(multipliers) < 1e-12 * size, 0.0, multipliers / size)
    if program.cones:
        y = np.where(np.isfinite(np.where(y > 0, program.row_lower, program.row_upper)) | (np.abs(y) > noise), y, 0.0)
    duals = in_dual_cones(program, [[dual / size for dual in part] for part in cone_multipliers])
    pressed, pressed_size, constant, constant_size = pushed(program.cones, duals, len(program.cost))
    sides = np.where(y > 0, program.row_lower, program.row_upper)
    if not np.isfinite(sides[y != 0]).all():
        return False
    asked = float(y[y != 0] @ sides[y != 0]) - constant
    combined = program.matrix.T @ y + pressed
    terms = abs(program.matrix).T @ np.abs(y) + pressed_size
    free = ~np.isfinite(np.where(combined > 0, program.upper, program.lower))
    # with cones, what is left where a bound holds it is counted, however little it is
    small = np.abs(combined) <= noise * np.maximum(terms, 1.0 if program.cones else 0.0)
    combined = np.where(small & (free | (not program.cones)), 0.0, combined)
    bounds = np.where(combined > 0, program.upper, program.lower)[combined != 0]
    if not np.isfinite(bounds).all():
        return False
    reached = combined[combined != 0] * bounds
    scale = np.abs(y[y != 0] * sides[y != 0]).sum() + np.abs(reached).sum() + constant_size
    return bool(asked - reached.sum() > clear * max(scale, 1e-300 if not program.cones else 1.0))


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
