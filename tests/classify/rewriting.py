"""Models for the tests of rewritings, points of their domain D, and an independent look at what was claimed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from optdsl.atoms import INTERNAL
from optdsl.classify.facts import Facts
from optdsl.classify.rewrites import (
    RELATION_REWRITINGS,
    REWRITINGS,
    Form,
    RelationStep,
    RewriteStep,
    normalize,
    relation_forms,
    told,
)
from optdsl.language import parse
from optdsl.model import build
from optdsl.model.model import DomainCondition, Model
from optdsl.terms import nodes
from optdsl.terms.evaluate import Lanes
from optdsl.terms.frame import Frame
from optdsl.terms.show import show

HEADER = """
set I = 1..4
param a[I] = [1, 2, 3, 4]
param mixed[I] = [1, -2, 3, 4]
param w[I] = [0.1, 0.2, 0.3, 0.4]
param none[I] = [0, 1, 2, 3]
param G[I, I] = [[2, -1, 0, 0], [-1, 2, -1, 0], [0, -1, 2, -1], [0, 0, -1, 1]]
param H[I, I] = [[2, -1, 0, 0], [-1, 2, -1, 0], [0, -1, 2, -1], [0, 0, -1, 0.5]]
var x[I] >= 0
var p[I] >= 0.5, <= 3
var y >= 0
var v >= 0
var n <= 0
var s[I]
var z
var u
"""


@dataclass(frozen=True)
class Case:
    """One expression (or relation) of a model over the lanes of its statement."""

    model: Model
    facts: Facts
    frame: Frame
    body: sympy.Expr
    lower: sympy.Expr | None
    upper: sympy.Expr | None
    conditions: tuple[DomainCondition, ...]


def objective(text: str, header: str = HEADER) -> Case:
    """An expression as the objective of a model."""
    model = build(parse(header + f"minimize goal: {text}\n", "test.opt"))
    assert model.objective is not None
    goal = model.objective
    return Case(model, Facts.of(model), Frame().as_root(), goal.body, None, None, goal.conditions)


def constraint(text: str, header: str = HEADER, indexed: str = "") -> Case:
    """A relation as the only constraint of a model."""
    model = build(parse(header + f"minimize y\nsubject to\n  only{indexed}: {text}\n", "test.opt"))
    (only,) = model.constraints
    (relation,) = only.relations
    frame = model.lanes_of(only.over)
    facts = Facts.of(model)
    return Case(model, facts, frame, relation.body, relation.lower, relation.upper, relation.conditions)


def value(lanes: Lanes, expression: sympy.Expr, frame: Frame) -> np.ndarray:
    """The value over the frame, as a full array."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return np.array(np.broadcast_to(np.asarray(lanes.numbers(expression, frame), dtype=float), frame.shape))


def structure(expression: sympy.Basic) -> str:
    """The text of an expression in which functions that the language has no name for show their own."""
    return show(_named(expression))


def _named(expression: sympy.Basic) -> sympy.Basic:
    if not expression.args:
        return expression
    parts = [_named(a) for a in expression.args]
    if isinstance(expression, nodes.Apply) and expression.name in INTERNAL:
        return nodes.ArrayCall(expression.name, sympy.Tuple(), *parts[1:])
    return expression.func(*parts)


def structures(relations: Sequence[Any]) -> str:
    """The same of relations."""
    return told(tuple((_named(b), *(None if s is None else _named(s) for s in sides)) for b, *sides in relations))


def inside(case: Case, lanes: Lanes, frame: Frame, conditions: Sequence[DomainCondition]) -> bool:
    """Whether the conditions hold at a point in all lanes."""
    for condition in conditions:
        child = frame
        for over in condition.overs:
            child = lanes.extend(child, over).child
        found = value(lanes, condition.expression, child)
        holds = {"positive": found > 0, "nonnegative": found >= 0, "nonzero": found != 0}[condition.kind]
        if not holds.all():
            return False
    return True


def points(case: Case, wanted: int = 40, seed: int = 0) -> list[np.ndarray]:
    """Points of D: inside the bounds, the recorded conditions hold, and the expression has a value."""
    random = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    for attempt in range(40 * wanted):
        scale = random.choice([0.3, 1.0, 3.0])
        point = random.normal(size=case.model.columns) * scale
        if attempt % 2:
            point = np.abs(point)
        if attempt % 3 == 0:
            point = np.round(point)
        point = np.where(point < case.facts.lower, 2 * np.maximum(case.facts.lower, -1e9) - point, point)
        point = np.where(point > case.facts.upper, 2 * np.minimum(case.facts.upper, 1e9) - point, point)
        point = np.clip(point, case.facts.lower, case.facts.upper)
        lanes = case.model.lanes.with_values(point)
        if not inside(case, lanes, case.frame, case.conditions):
            continue
        if not np.isfinite(value(lanes, case.body, case.frame)).all():
            continue
        found.append(point)
        if len(found) == wanted:
            break
    return found


def assert_equal_on(
    case: Case, before: sympy.Expr, after: sympy.Expr, frame: Frame, where: list[np.ndarray], rounding: float = 1e-12
) -> None:
    """The same value at all points, up to rounding relative to the larger of 1 and the value."""
    for point in where:
        lanes = case.model.lanes.with_values(point)
        old, new = value(lanes, before, frame), value(lanes, after, frame)
        fine = np.isfinite(old)
        np.testing.assert_allclose(new[fine], old[fine], rtol=rounding, atol=rounding)


def curvature(case: Case, expression: sympy.Expr) -> np.ndarray:
    return np.broadcast_to(case.facts.find(expression, case.frame).curvature, case.frame.shape)


def assert_replays(case: Case, steps: Sequence[Any], where: list[np.ndarray], rounding: float = 1e-12) -> None:
    """Every step's rule, applied again to what it was applied to, gives the same, and it holds at the points."""
    for step in steps:
        if isinstance(step, RewriteStep):
            (rewriting,) = [r for r in REWRITINGS if r.rule == step.rule]
            assert isinstance(step.expression, rewriting.heads)
            assert rewriting.rewrite(step.expression, step.place) == step.after
            assert_equal_on(case, step.expression, step.after, step.place.frame, where, rounding)
        else:
            assert isinstance(step, RelationStep)
            (relation_rewriting,) = [r for r in RELATION_REWRITINGS if r.rule == step.rule]
            assert relation_rewriting.rewrite(step.before, step.place) == step.after
            assert_same_set(case, (step.before,), step.after, where)


def margin(case: Case, lanes: Lanes, relation: Any) -> tuple[float, float]:
    """(least distance inside all sides, size of the numbers): negative where a side is broken; equalities by size."""
    body, lower, upper = relation
    at = value(lanes, body, case.frame)
    distances, size = [np.full(at.shape, np.inf)], 1.0 + np.abs(at)
    if lower is not None:
        low = value(lanes, lower, case.frame)
        distances.append(np.where(at == low, 0.0, at - low))
        size = size + np.where(np.isfinite(low), np.abs(low), 0)
    if upper is not None:
        high = value(lanes, upper, case.frame)
        distances.append(np.where(at == high, 0.0, high - at))
        size = size + np.where(np.isfinite(high), np.abs(high), 0)
    return float(np.min(distances)), float(np.max(size, initial=1.0))


def holds(case: Case, lanes: Lanes, relations: Sequence[Any]) -> bool | None:
    """Whether all relations hold in all lanes; None where rounding could decide."""
    answer: bool | None = True
    for relation in relations:
        least, size = margin(case, lanes, relation)
        if np.isnan(least):
            return False  # outside the domain of a function of this relation
        if least < -1e-9 * size:
            return False
        if least < 1e-9 * size and least != 0.0:
            answer = None
    return answer


def assert_same_set(case: Case, before: Sequence[Any], after: Sequence[Any], where: list[np.ndarray]) -> None:
    """Membership is the same at all points."""
    for point in where:
        lanes = case.model.lanes.with_values(point)
        old, new = holds(case, lanes, before), holds(case, lanes, after)
        if old is not None and new is not None:
            assert old == new, (point, before, after)


def proved_form(case: Case) -> Form | None:
    """The first form that is proved; each form on the way has been compared with the original."""
    where = points(case)
    for form in relation_forms(case.body, case.lower, case.upper, case.frame, case.facts):
        assert_same_set(case, [(case.body, case.lower, case.upper)], form.relations, where)
        if form.proved:
            return form
    return None


def normal_form(case: Case) -> tuple[sympy.Expr, tuple[RewriteStep, ...]]:
    return normalize(case.body, case.frame, case.facts)


