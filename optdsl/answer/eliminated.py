"""The answer to a model that was solved without the variables that its equalities define.

The eliminated variables get the values of their definitions; the point, its multipliers and the bound are then judged
on the model as written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from optdsl.answer.assemble import (
    class_of,
    conflict_answer,
    constraint_answers,
    ray_answer,
    trace_of,
    variable_answers,
)
from optdsl.answer.checks import Judgement, TransformedAnswer, judge, judge_transformed
from optdsl.answer.defined_duals import Slopes, bent_in, definition_duals, eliminated_rows
from optdsl.answer.diagnosis_solver import diagnose_solver
from optdsl.answer.landscape import landscape_of
from optdsl.answer.solution import ConflictAnswer, Ray, Route, Solution
from optdsl.answer.status import Status
from optdsl.answer.values import let_values, shown_values
from optdsl.classify import Analysis
from optdsl.classify.eliminate import Eliminated, Reduction
from optdsl.convex.lower import Lowered, NamedPart, Restored
from optdsl.convex.program import RawAnswer
from optdsl.model.model import Model

NOT_STRAIGHT = "the objective improves forever, but the variables that equalities define move along no straight line"


def answer_of(
    analysis: Analysis,
    lowered: Lowered,
    raw: RawAnswer,
    route: Route,
    *,
    options: Mapping[str, object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Solution:
    """The checked answer of a convex program, as `solution_of`, in the terms of the model as written."""
    assert analysis.eliminated is not None
    model, reduction = analysis.model, analysis.eliminated.reduction
    inside = lowered.restore(raw)
    within = judge(reduction.model, lowered.analysis, lowered, raw, inside, options)
    x = None if inside.x is None else reduction.complete(inside.x)
    slopes = Slopes.at(model, x) if x is not None and np.isfinite(x).all() else None
    restored = _restored(reduction, inside, x, slopes, within.bound)
    judged = within
    if restored.x is not None and within.slacks:
        believed = within.checks.ok
        scales = None if slopes is None else slopes.scales(model, restored.x)
        known = TransformedAnswer(raw, _numbers(restored), within.checks.dual_residual, scales, believed)
        judged = judge_transformed(model, analysis, known, options)
        notes = tuple(dict.fromkeys((*judged.notes, *within.notes)))
        judged = replace(judged, notes=notes)
    return _solution(analysis, analysis.eliminated, lowered, raw, restored, judged, route, stop)


def _restored(
    reduction: Reduction, inside: Restored, x: np.ndarray | None, slopes: Slopes | None, bound: float | None
) -> Restored:
    """The answer in the terms of the model as written."""
    duals, cost = inside.duals, inside.reduced_cost
    if x is not None and duals is not None and cost is not None:
        if slopes is None:
            duals = _unknown(reduction, duals[: len(reduction.original.constraints)])
        else:
            duals, cost = definition_duals(reduction, slopes, duals, cost, x)
            if bent_in(reduction, slopes, duals, cost):
                duals = _unknown(reduction, duals)
    return Restored(x, duals, cost, bound, inside.ray)


def _unknown(reduction: Reduction, duals: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """The duals with those of definitions not told."""
    numbers = {d.constraint for d in reduction.definitions}
    return tuple(np.full(d.shape, np.nan) if k in numbers else d for k, d in enumerate(duals))


def _numbers(restored: Restored) -> Restored:
    """The answer with multipliers that are not known taken as 0: those of equalities complement anything."""
    if restored.duals is None or restored.reduced_cost is None:
        return restored
    return replace(
        restored,
        duals=tuple(np.nan_to_num(d) for d in restored.duals),
        reduced_cost=np.nan_to_num(restored.reduced_cost),
    )


def _solution(
    analysis: Analysis,
    eliminated: Eliminated,
    lowered: Lowered,
    raw: RawAnswer,
    restored: Restored,
    judged: Judgement,
    route: Route,
    stop: Callable[[], bool] | None,
) -> Solution:
    model, objective = analysis.model, analysis.model.objective
    infeasible, unbounded = judged.status is Status.INFEASIBLE, judged.status is Status.UNBOUNDED
    ray = _ray(eliminated.reduction, restored, raw) if unbounded else None
    why = ray is not None and ray.direction is None  # the ray's place tells it
    point = None if infeasible or unbounded else restored.x
    variables = {} if point is None else variable_answers(model, point, restored.reduced_cost)
    constraints = {} if point is None else constraint_answers(model, judged.slacks, restored.duals)
    reached = None if point is None else judged.objective
    trace = trace_of(raw, lowered.sign)
    return Solution(
        model=model.name,
        status=judged.status,
        guarantee=judged.guarantee,
        problem_class=class_of(analysis),
        route=route,
        objective=reached,
        objective_name=None if objective is None else objective.name,
        sense=None if objective is None else objective.sense,
        bound=judged.bound,
        variables=variables,
        constraints=constraints,
        show=shown_values(model, point, variables, constraints),
        checks=judged.checks,
        trace=trace,
        conflict=_conflict(eliminated.reduction, lowered, stop) if infeasible else None,
        ray=ray,
        diagnosis=diagnose_solver(lowered, judged.status, reached, judged.bound, trace),
        notes=tuple(filter(None, (*model.warnings, *judged.notes, "" if why else raw.message))),
        duals_with_integers_fixed=raw.duals_with_integers_fixed,
        expressions={} if point is None else let_values(model, point),
        landscape=None if point is None else landscape_of(model),
    )


def _ray(reduction: Reduction, restored: Restored, raw: RawAnswer) -> Ray:
    """The direction of all variables, where those that are defined move along a straight line, too."""
    if restored.ray is None:
        return ray_answer(reduction.original, None, raw.message or None)
    base = np.zeros(reduction.original.columns) if restored.x is None else restored.x
    points = [reduction.complete(base + t * restored.ray) for t in (0.0, 1.0, 2.0)]
    one, two = points[1] - points[0], points[2] - points[1]
    straight = np.isfinite(one).all() and np.allclose(one, two, rtol=1e-9, atol=1e-9)
    return ray_answer(reduction.original, one, None) if straight else ray_answer(reduction.original, None, NOT_STRAIGHT)


# ---------------------------------------------------------------------------------------------------- conflicts


def _conflict(reduction: Reduction, lowered: Lowered, stop: Callable[[], bool] | None) -> ConflictAnswer:
    """What cannot hold together in the model as written: the reduced conflict and what defines its parts."""
    # Imported here: only infeasible models need it.
    from optdsl.convex.conflict import find_conflict

    conflict = find_conflict(lowered.program, stop=stop)
    model, count = reduction.original, len(reduction.original.constraints)
    slopes = Slopes.at(model, _middle(model))
    parts: list[NamedPart] = []
    rows: list[tuple[int, int]] = []
    columns: list[int] = []
    for part in lowered.name_conflict(conflict):
        if part.constraint is not None and part.constraint >= count:
            definition = reduction.bounds[part.constraint - count]
            frame = model.lanes_of(definition.over)
            entries = np.broadcast_to(model.lanes.columns(definition.entry, frame), frame.shape).reshape(-1)
            part = NamedPart("bound", None, int(entries[part.position]), part.side)
            columns.append(part.position)
        elif part.constraint is not None and slopes is not None and (part.constraint, 0) in slopes.rows:
            rows.append((part.constraint, part.position))
        parts.append(part)
    if slopes is None:
        return conflict_answer(model, tuple(parts), False)
    defined, once = _defining(reduction, slopes, rows, columns)
    return conflict_answer(model, (*parts, *defined), conflict.irreducible and once)


def _defining(
    reduction: Reduction, slopes: Slopes, rows: list[tuple[int, int]], columns: list[int]
) -> tuple[list[NamedPart], bool]:
    """The instances that define what these rows and columns hold; whether each defines what only one member holds."""
    jacobian = slopes.jacobian
    at, columns_of = eliminated_rows(reduction, slopes)
    row_of = np.full(jacobian.shape[1], -1)
    row_of[columns_of] = at
    places = {first: place for place, (first, _) in slopes.rows.items()}
    firsts = np.array(sorted(places))
    waiting = list(columns)
    for (number, relation), (first, _) in slopes.rows.items():
        held = [jacobian.indices[slice(*jacobian.indptr[first + p : first + p + 2])] for n, p in rows if n == number]
        waiting += [int(c) for part in held for c in part] if relation == 0 else []
    seen: dict[int, int] = {}
    found: list[NamedPart] = []
    while waiting:
        column = waiting.pop()
        row = int(row_of[column])
        if row < 0:
            continue
        seen[column] = seen.get(column, 0) + 1
        if seen[column] > 1:
            continue
        first = int(firsts[np.searchsorted(firsts, row, side="right") - 1])
        found.append(NamedPart("constraint", places[first][0], row - first, None))
        waiting += [int(c) for c in jacobian.indices[slice(*jacobian.indptr[row : row + 2])] if c != column]
    return found, all(times == 1 for times in seen.values())


def _middle(model: Model) -> np.ndarray:
    """A point (n,) inside the bounds, at which patterns of derivatives are looked at."""
    parts = [np.clip(1.0, v.lower, v.upper) for v in model.variables.values()]
    return np.concatenate(parts) if parts else np.zeros(0)
