"""Weak duality: what the returned multipliers prove about the minimum, or about there being no point at all.

For any y, any lambda_c in the dual cones and any point x0, every feasible x has

    f(x) >= f(x0) + f'(x0)(x - x0)
         >= f(x0) - f'(x0)x0 + y'(side) - sum_c lambda_c'g_c + r'x,    r = f'(x0) - A'y - sum_c B_c'lambda_c

(Boyd and Vandenberghe, 2004, sections 5.1.3 and 5.9.1), and r'x is no less than r times the bounds that it leans on.
Multipliers come from a solver and lie in the dual cones only nearly: they are moved into them first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optdsl.convex.cone_sets import flattened, into_dual, shaped
from optdsl.convex.program import Cone, Program

NOISE = 1e-6
"""A multiplier that points to an infinite side is rounding up to this, relative to the terms it is the sum of."""

ConeDuals = Sequence[Sequence[np.ndarray]]


def value_of(program: Program, x: np.ndarray) -> float:
    """The program's objective at x (n,)."""
    value = program.constant + float(program.cost @ x)
    if program.hessian is not None:
        value += 0.5 * float(x @ (program.hessian @ x))
    if program.squares is not None:
        value += float(program.squares.weights @ (program.squares.matrix @ x + program.squares.offset) ** 2)
    return value


def gradient_of(program: Program, x: np.ndarray) -> np.ndarray:
    """The gradient (n,) of the program's objective at x (n,)."""
    gradient = program.cost.copy()
    if program.hessian is not None:
        gradient += program.hessian @ x
    if program.squares is not None:
        squares = program.squares
        gradient += 2.0 * (squares.matrix.T @ (squares.weights * (squares.matrix @ x + squares.offset)))
    return gradient


def in_dual_cones(program: Program, cone_duals: ConeDuals) -> tuple[tuple[np.ndarray, ...], ...]:
    """Multipliers in the dual cones next to those given; zeros where none are given."""
    if not cone_duals:
        return tuple(tuple(np.zeros(len(part.offset)) for part in cone.parts) for cone in program.cones)
    return tuple(
        flattened(into_dual(cone, shaped(cone, [np.asarray(dual, dtype=float) for dual in duals])))
        for cone, duals in zip(program.cones, cone_duals, strict=True)
    )


def pushed(cones: Sequence[Cone], cone_duals: ConeDuals, count: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """sum B'lambda and the sum of the sizes of its terms (n,), sum lambda'g and the size of its terms."""
    total, size = np.zeros(count), np.zeros(count)
    constant = constant_size = 0.0
    for cone, duals in zip(cones, cone_duals, strict=True):
        for part, dual in zip(cone.parts, duals, strict=True):
            total += part.matrix.T @ dual
            size += abs(part.matrix).T @ np.abs(dual)
            constant += float(dual @ part.offset)
            constant_size += float(np.abs(dual) @ np.abs(part.offset))
    return total, size, constant, constant_size


def dual_bound(program: Program, x: np.ndarray, row_dual: np.ndarray, cone_duals: ConeDuals = ()) -> float:
    """A lower bound of the program's minimum from row duals (m,), cone multipliers and a point x (n,).

    -inf when the multipliers prove nothing. Where a multiplier that is mere rounding (`NOISE`) points to an infinite
    side, what it can cost within twice the point's own size is taken off.
    """
    duals = in_dual_cones(program, cone_duals)
    pressed, pressed_size, constant, _ = pushed(program.cones, duals, len(program.cost))
    gradient = gradient_of(program, x)
    reduced = gradient - program.matrix.T @ row_dual - pressed
    terms = np.abs(gradient) + abs(program.matrix).T @ np.abs(row_dual) + pressed_size
    scale = np.maximum(terms, max(1.0, float(np.abs(program.cost).max(initial=0.0))))
    row_scale = np.full(len(row_dual), max(1.0, float(np.abs(row_dual).max(initial=0.0))))
    bound = (
        value_of(program, x)
        - float(gradient @ x)
        - constant
        + _supported(row_dual, program.row_lower, program.row_upper, program.matrix @ x, row_scale)
        + _supported(reduced, program.lower, program.upper, x, scale)
    )
    return bound if np.isfinite(bound) else -np.inf


def _supported(
    multiplier: np.ndarray, lower: np.ndarray, upper: np.ndarray, at: np.ndarray, scale: np.ndarray
) -> float:
    """Σ of each multiplier times the side it leans on; -inf where one that counts leans on none."""
    side = np.where(multiplier > 0, lower, upper)
    finite = np.isfinite(side)
    loose = ~finite & (multiplier != 0)
    if (np.abs(multiplier[loose]) > NOISE * scale[loose]).any():
        return -np.inf
    total = float(multiplier[finite] @ side[finite])
    size = np.abs(multiplier[loose])
    return total + float(multiplier[loose] @ at[loose]) - float(size @ np.maximum(1.0, np.abs(at[loose])))
