"""Solves a geometric program: variables at 0 where they may be, then the convex program; what its end means.

Variables are positive on the log scale. Where they may also be 0, the largest set of them that can be 0 together is
held there first (`optdsl.classify.geometric.zeros`): the rest has the same optimum, and is infeasible only with the
whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from optdsl.classify.geometric import Geometric, at_zero, zero_columns
from optdsl.classify.geometric.log_rows import LogProgram, LogRows
from optdsl.convex.geometric import GeometricLowered, lower_geometric
from optdsl.convex.lower import Restored
from optdsl.convex.program import Program, RawAnswer, RawStatus

Solve = Callable[[Program], RawAnswer]

NEAR = 1e-9
"""How near a point comes to a limit that is not reached, relative to max(1, |limit|)."""
LARGEST_LOGARITHM = 300.0
"""No variable of such a point is larger than the exponential of this."""


@dataclass(frozen=True, eq=False)
class GeometricAnswer:
    """The answer to a geometric program: the solver's, the model's, and what optdsl itself finds out about it.

    raw: in the convex program's arrays. restored: in the model's. residual: scaled norm of the Lagrangian's gradient
    on the log scale. scales: for each constraint, max(1, |right-hand side|, largest |derivative x value|) by instance.
    note: what a reader should know, "" for nothing. attained: False where the bound is a limit that no point reaches.
    """

    raw: RawAnswer
    restored: Restored
    lowered: GeometricLowered
    residual: float | None = None
    scales: tuple[np.ndarray, ...] = ()
    note: str = ""
    attained: bool = True


def solve_geometric(geometric: Geometric, solve: Solve, *, zeros: bool = True) -> GeometricAnswer:
    """Solves a geometric program to global optimality; `solve` is how a convex program is solved.

    Without `zeros` all variables stay positive.
    """
    began = time.perf_counter()
    zero = zero_columns(geometric) if zeros else np.zeros(geometric.columns, dtype=bool)
    answer = _with_zeros(geometric, zero, solve) if zero.any() else _solved(geometric, solve)
    if zeros and answer.raw.status is RawStatus.INFEASIBLE and _pushed_up(geometric):
        # no point keeps the objective's term positive; where it is 0 all points are equally good
        wider = zero_columns(geometric, objective_too=True)
        if wider.any() and not np.array_equal(wider, zero):
            answer = _with_zeros(geometric, wider, solve)
    return replace(answer, raw=replace(answer.raw, seconds=time.perf_counter() - began))


def _pushed_up(geometric: Geometric) -> bool:
    return geometric.objective is not None and geometric.objective.tail < 0


def _solved(geometric: Geometric, solve: Solve) -> GeometricAnswer:
    lowered = lower_geometric(geometric)
    raw = lowered.sharpened(solve(lowered.program))
    if raw.status is RawStatus.UNBOUNDED:
        return _endless(lowered, raw)
    return GeometricAnswer(raw, lowered.restore(raw), lowered, lowered.residual(raw), _scales(lowered, raw))


def _with_zeros(geometric: Geometric, zero: np.ndarray, solve: Solve) -> GeometricAnswer:
    answer = _solved(at_zero(geometric, zero), solve)
    reduced = answer.restored.reduced_cost
    if reduced is None:
        return answer
    costs = _edge_costs(geometric, zero, answer)
    return replace(answer, restored=replace(answer.restored, reduced_cost=np.where(np.isnan(costs), reduced, costs)))


def _edge_costs(geometric: Geometric, zero: np.ndarray, answer: GeometricAnswer) -> np.ndarray:
    """Reduced costs of the model's columns at 0 (n,), NaN elsewhere: what their terms cost per unit from there.

    A term of one such column with exponent 1 counts with its rest, with a smaller exponent endlessly, with a greater
    one, or of several such columns, not at all. Infinite also where it is not known.
    """
    lowered, raw = answer.lowered, answer.raw
    assert raw.x is not None and raw.row_dual is not None
    n = len(geometric.used)
    costs = np.where(zero[:n], 0.0, np.nan)
    y = np.where(zero, 0.0, raw.x[: geometric.columns])
    rate = lowered.rate(float(lowered.program.cost @ raw.x) + lowered.program.constant)
    parts: list[tuple[LogRows, np.ndarray]] = []
    objective = geometric.objective
    if objective is not None and objective.tail > 0:
        parts.append((objective.terms, np.full(objective.terms.size, objective.sign)))
    left = {id(family): whole for family, whole in zip(lowered.geometric.families, geometric.families, strict=True)}
    for rows, family in zip(lowered.rows, lowered.families, strict=True):
        if family is not None:
            whole = left[id(family)]
            ours = np.zeros(len(whole.lanes))
            ours[np.searchsorted(whole.lanes, family.lanes)] = raw.row_dual[rows.first : rows.first + rows.count]
            parts.append((whole.terms, -rate * ours[whole.row]))
    for logs, weight in parts:
        _add_slopes(costs, logs, weight, zero, y)
    for logs in _held(geometric.program):  # what an auxiliary column passes on is not followed
        touched = logs.column[logs.column < n]
        costs[touched[zero[touched]]] = np.inf
    return costs


def _held(program: LogProgram) -> list[LogRows]:
    """The arguments of auxiliary columns."""
    return [sums.terms for sums in program.softmax] + program.linear + [a for a, _ in program.exponential]


def _add_slopes(costs: np.ndarray, logs: LogRows, weight: np.ndarray, zero: np.ndarray, y: np.ndarray) -> None:
    """Add weight * (the slope of exp(logs) in its one column at 0, where it has one) to the columns' costs."""
    inside = zero[logs.column] & (logs.exponent != 0)
    at = np.flatnonzero(inside & (np.bincount(logs.row, inside, logs.size) == 1)[logs.row])
    column, exponent, row = logs.column[at], logs.exponent[at], logs.row[at]
    with np.errstate(over="ignore", invalid="ignore"):
        rest = weight[row] * np.exp(logs.values(y)[row])
        slope = np.where(exponent == 1, rest, np.where((exponent < 1) & (rest != 0), np.sign(rest) * np.inf, 0.0))
    ours = column < len(costs)
    np.add.at(costs, column[ours], slope[ours])


def _scales(lowered: GeometricLowered, raw: RawAnswer) -> tuple[np.ndarray, ...]:
    """The size of each constraint instance at the point: its largest term or side."""
    model = lowered.geometric.model
    scales = [np.ones(model.lanes_of(c.over).size) for c in model.constraints]
    if raw.x is None:
        return tuple(scales)
    z = raw.x[: lowered.columns]
    for family in lowered.geometric.families:
        greater = np.exp(family.greater.values(z))
        exponent = np.zeros(family.terms.size)
        np.maximum.at(exponent, family.terms.row, np.abs(family.terms.exponent))
        size = np.exp(family.terms.values(z)) * np.maximum(1.0, exponent)
        largest = np.ones(len(family.lanes))
        np.maximum.at(largest, family.row, size)
        target = scales[family.constraint]
        target[family.lanes] = np.maximum(target[family.lanes], greater * largest)
    return tuple(scales)


# --------------------------------------------------------------------------------------------------- without end


def _endless(lowered: GeometricLowered, raw: RawAnswer) -> GeometricAnswer:
    """A logarithm without end: the objective grows forever, or falls toward its offset and never reaches it."""
    objective = lowered.geometric.objective
    assert objective is not None
    if objective.tail > 0:
        return _approached(lowered, raw, objective.offset)
    moves = f"{'grows' if objective.sign > 0 else 'falls'} without end"
    straight = _straight(lowered, raw)
    note = f"the objective {moves}{_movements(lowered, raw)}"
    if straight is None:
        note += ", but along no straight line that is known"
    return GeometricAnswer(raw, Restored(None, None, None, None, straight), lowered, note=note)


def _approached(lowered: GeometricLowered, raw: RawAnswer, limit: float) -> GeometricAnswer:
    """The objective comes as near to its offset as wanted: a point near it, and the limit as the bound."""
    note = (
        f"the objective comes as near to {limit:g} as wanted without reaching it{_movements(lowered, raw)}: "
        "there is no best point"
    )
    near = replace(raw, status=RawStatus.NUMERICAL_ERROR)
    if raw.x is None or raw.ray is None:
        return GeometricAnswer(near, Restored(None, None, None, limit, None), lowered, note=note, attained=False)
    cost = lowered.program.cost
    size = float(np.abs(raw.ray[: lowered.columns]).max(initial=0.0))
    wanted = float(cost @ raw.x) + lowered.program.constant - np.log(NEAR * max(1.0, abs(limit)))
    room = (LARGEST_LOGARITHM - np.abs(raw.x[: lowered.columns]).max(initial=0.0)) / max(size, 1e-300)
    step = max(0.0, min(wanted / -float(cost @ raw.ray), room))
    z = raw.x + step * raw.ray
    moved = replace(raw, status=RawStatus.INACCURATE, x=z, row_dual=None, reduced_cost=None, ray=None)
    restored = Restored(lowered.point(z), None, None, limit, None)
    return GeometricAnswer(moved, restored, lowered, None, _scales(lowered, moved), note, attained=False)


def _movement(lowered: GeometricLowered, raw: RawAnswer) -> np.ndarray | None:
    """How the logarithms of the model's columns (n,) move along the ray."""
    return None if raw.ray is None else np.where(lowered.geometric.used, raw.ray[: len(lowered.geometric.used)], 0.0)


def _movements(lowered: GeometricLowered, raw: RawAnswer) -> str:
    """Which variables grow and which shrink along the ray, as the end of a sentence."""
    moves = _movement(lowered, raw)
    if moves is None or not moves.any():
        return ""
    variables = lowered.geometric.model.variables.values()
    grows, shrinks = (
        [v.name for v in variables if (sign * moves[v.offset : v.offset + v.width] > 0).any()] for sign in (1, -1)
    )
    words = [_listed(names, verb) for names, verb in ((grows, "grow"), (shrinks, "shrink")) if names]
    return f" as {' and '.join(words)}"


def _listed(names: list[str], verb: str) -> str:
    shown = [f"`{name}`" for name in names[:3]] + (["others"] if len(names) > 3 else [])
    return f"{' and '.join(shown)} {verb}{'s' if len(shown) == 1 else ''}"


def _straight(lowered: GeometricLowered, raw: RawAnswer) -> np.ndarray | None:
    """The direction (n,) in the model's columns, where the ray on the log scale is a straight line there.

    Columns that all grow at one rate are multiplied by one number, while the others stand still.
    """
    moves = _movement(lowered, raw)
    if moves is None or raw.x is None or (moves < 0).any() or not (moves > 0).any():
        return None
    rates = moves[moves > 0]
    if rates.max() - rates.min() > 1e-6 * rates.max():
        return None
    direction = np.where(moves > 0, lowered.point(raw.x), 0.0)
    return direction / np.abs(direction).max()


__all__ = ["GeometricAnswer", "solve_geometric"]
