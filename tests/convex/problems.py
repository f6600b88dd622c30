"""Small programs for the tests, by hand and at random, and judges that use no code of `optdsl.convex`'s solvers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from optdsl.convex.program import Conflict, ConflictPart, Program, Squares

inf = np.inf


def make(
    matrix: Any,
    cost: Any,
    rows: Any = (),
    bounds: Any = (),
    integer: Any = (),
    constant: float = 0.0,
    quadratic: Any = None,
    squares: Any = None,
) -> Program:
    """A program from nested lists: rows and bounds as pairs, bounds 0..inf if not given, squares as (F, g, w)."""
    dense = np.asarray(matrix, dtype=float).reshape(len(rows), len(cost))
    sides = np.asarray(rows, dtype=float).reshape(-1, 2)
    count = len(cost)
    limits = np.asarray(bounds, dtype=float).reshape(-1, 2) if len(bounds) else np.tile([0.0, inf], (count, 1))
    return Program(
        cost=np.asarray(cost, dtype=float),
        constant=constant,
        matrix=sp.csr_array(dense),
        row_lower=sides[:, 0].copy(),
        row_upper=sides[:, 1].copy(),
        lower=limits[:, 0].copy(),
        upper=limits[:, 1].copy(),
        integer=np.isin(np.arange(count), integer),
        hessian=None if quadratic is None else sp.csc_array(np.asarray(quadratic, dtype=float)),
        squares=None
        if squares is None
        else Squares(sp.csr_array(np.array(squares[0], float)), *map(np.array, squares[1:])),
    )


def random_program(seed: int, count: int = 12, rows: int = 9, integers: int = 0, quadratic: bool = False) -> Program:
    """A feasible, bounded program with equalities, ranges, one-sided and free rows, and free variables."""
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((rows, count)) < 0.6, rng.normal(size=(rows, count)), 0.0)
    point = rng.normal(size=count)
    if integers:
        point[:integers] = np.round(3 * point[:integers])
    activity = dense @ point
    lower = activity - rng.random(rows)
    upper = activity + rng.random(rows)
    kind = rng.integers(0, 5, rows)
    lower[kind == 1], upper[kind == 2] = -inf, inf
    lower[kind == 3], upper[kind == 3] = -inf, inf
    if not integers:
        lower[kind == 4] = upper[kind == 4] = activity[kind == 4]
    reach = 1 + 3 * rng.random(count)
    bounds = np.stack([np.floor(point - reach), np.ceil(point + reach)], axis=1)
    program = make(
        dense,
        rng.normal(size=count),
        np.stack([lower, upper], axis=1),
        bounds,
        integer=np.arange(integers),
        constant=float(rng.normal()),
    )
    if not quadratic:
        return program
    half = rng.normal(size=(count // 2, count))
    factor = sp.csr_array(rng.normal(size=(count, count)) / 3)
    return replace(
        program,
        hessian=sp.csc_array(half.T @ half),
        squares=Squares(factor, rng.normal(size=count), rng.random(count)),
    )


def value(program: Program, x: np.ndarray) -> float:
    """The objective at x."""
    total = float(program.cost @ x) + program.constant
    if program.hessian is not None:
        total += 0.5 * float(x @ (program.hessian @ x))
    if program.squares is not None:
        residual = program.squares.matrix @ x + program.squares.offset
        total += float(program.squares.weights @ residual**2)
    return total


def violation(program: Program, x: np.ndarray) -> float:
    """The largest violation of rows, bounds and integrality."""
    activity = program.matrix @ x
    parts = (
        program.row_lower - activity,
        activity - program.row_upper,
        program.lower - x,
        x - program.upper,
        np.where(program.integer, np.abs(x - np.round(x)), 0.0),
    )
    return max(float(part.max(initial=0.0)) for part in parts)


def gradient(program: Program, x: np.ndarray) -> np.ndarray:
    """The objective's gradient."""
    total = program.cost.copy()
    if program.hessian is not None:
        total += program.hessian @ x
    if program.squares is not None:
        squares = program.squares
        total += 2 * squares.matrix.T @ (squares.weights * (squares.matrix @ x + squares.offset))
    return total


def optimality(program: Program, x: np.ndarray, row_dual: np.ndarray, reduced_cost: np.ndarray) -> float:
    """The largest violation of the first-order conditions of a problem without integers, signs included."""
    stationarity = gradient(program, x) - program.matrix.T @ row_dual - reduced_cost
    worst = float(np.abs(stationarity).max(initial=0.0))
    for values, lower, upper, dual in (
        (program.matrix @ x, program.row_lower, program.row_upper, row_dual),
        (x, program.lower, program.upper, reduced_cost),
    ):
        off_lower = np.where(np.isfinite(lower), np.abs(values - lower), inf)
        off_upper = np.where(np.isfinite(upper), np.abs(values - upper), inf)
        raising = np.maximum(dual, 0.0)
        falling = np.maximum(-dual, 0.0)
        worst = max(worst, float(np.minimum(raising, off_lower).max(initial=0.0)))
        worst = max(worst, float(np.minimum(falling, off_upper).max(initial=0.0)))
    return worst


def scipy_value(program: Program) -> float | None:
    """The optimum of an LP or MILP by SciPy; None if there is none."""
    found = milp(
        program.cost,
        constraints=LinearConstraint(program.matrix, program.row_lower, program.row_upper),
        bounds=Bounds(program.lower, program.upper),
        integrality=program.integer.astype(int),
        options={"mip_rel_gap": 1e-9},
    )
    return None if found.x is None else float(found.fun) + program.constant


def feasible(program: Program, members: tuple[tuple[ConflictPart, int], ...]) -> bool:
    """Whether the members alone can hold together, by SciPy."""
    arrays = {
        ConflictPart.ROW_LOWER: np.full(len(program.row_lower), -inf),
        ConflictPart.ROW_UPPER: np.full(len(program.row_upper), inf),
        ConflictPart.LOWER: np.full(len(program.lower), -inf),
        ConflictPart.UPPER: np.full(len(program.upper), inf),
        ConflictPart.INTEGRALITY: np.zeros(len(program.integer)),
    }
    for part, index in members:
        arrays[part][index] = getattr(program, part.value if part is not ConflictPart.INTEGRALITY else "integer")[index]
    lower, upper = arrays[ConflictPart.LOWER], arrays[ConflictPart.UPPER]
    row_lower, row_upper = arrays[ConflictPart.ROW_LOWER], arrays[ConflictPart.ROW_UPPER]
    if (lower > upper).any() or (row_lower > row_upper).any() or (lower == inf).any():
        return False
    found = milp(
        np.zeros(len(program.cost)),
        constraints=LinearConstraint(program.matrix, row_lower, row_upper),
        bounds=Bounds(lower, upper),
        integrality=arrays[ConflictPart.INTEGRALITY],
    )
    return found.status == 0


def assert_irreducible(program: Program, conflict: Conflict) -> None:
    """The members cannot hold together, and can as soon as any one is dropped."""
    assert conflict.irreducible
    assert conflict.members
    assert not feasible(program, conflict.members)
    for dropped in conflict.members:
        rest = tuple(member for member in conflict.members if member != dropped)
        assert feasible(program, rest), dropped


def moved(program: Program, part: str, index: int, step: float) -> Program:
    """The program with one side moved by `step`: part is row_lower, row_upper, row (both), lower or upper."""
    names = ("row_lower", "row_upper") if part == "row" else ("lower", "upper") if part == "both" else (part,)
    changed = {}
    for name in names:
        changed[name] = getattr(program, name).copy()
        changed[name][index] += step
    return replace(program, **changed)
