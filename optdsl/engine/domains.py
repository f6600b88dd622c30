"""The natural domains of a model's functions, as bounds of variables and as rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optdsl.classify.facts import Facts
from optdsl.engine.lower import Lowering
from optdsl.engine.rows import affine_form
from optdsl.engine.space import Space
from optdsl.model.model import DomainCondition, Model
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import Over


@dataclass(frozen=True, eq=False)
class Inside:
    """A space that must be `positive` or `nonnegative` at every lane."""

    kind: str
    space: Space


def domains_of(lowering: Lowering) -> Iterator[Inside]:
    """What partial functions ask of the variables, where it is the sign of an expression."""
    model = lowering.model
    facts = Facts.of(model)
    for over, condition in _conditions(model):
        if condition.kind == "nonzero" or not lowering.varies(condition.expression):
            continue
        frame = Frame() if over is None else model.lanes_of(over)
        for inner in condition.overs:
            frame = model.lanes.extend(frame, inner).child
        if frame.size and not _always(facts, condition, frame):
            yield Inside(condition.kind, lowering.space(condition.expression, frame))


def _always(facts: Facts, condition: DomainCondition, frame: Frame) -> bool:
    """Whether declared bounds and data alone show that a condition holds: a root of a sum of squares."""
    low = np.asarray(facts.find(condition.expression, frame).lo)
    return bool((low > 0).all() if condition.kind == "positive" else (low >= 0).all())


def _conditions(model: Model) -> Iterator[tuple[Over | None, DomainCondition]]:
    """The domain conditions of all partial functions, with the iterators of their statement."""
    if model.objective is not None:
        for condition in model.objective.conditions:
            yield None, condition
    for constraint in model.constraints:
        for relation in constraint.relations:
            for condition in relation.conditions:
                yield constraint.over, condition


def within(domains: list[Inside], lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[Space]]:
    """Bounds (n,) with those that domains of single variables bring, and the spaces that must be >= 0 besides.

    Functions that are only positive inside repel by themselves, but for single variables a bound costs nothing.
    """
    lower, upper, rows = lower.copy(), upper.copy(), []
    for domain in domains:
        if not domain.space.affine:
            if domain.kind == "nonnegative":
                rows.append(domain.space)
            continue
        matrix, constant = affine_form(domain.space, len(lower))
        counts = np.diff(matrix.indptr)
        alone = counts == 1
        columns, slopes = matrix.indices[matrix.indptr[:-1][alone]], matrix.data[matrix.indptr[:-1][alone]]
        sides = -constant[alone] / slopes
        np.maximum.at(lower, columns[slopes > 0], sides[slopes > 0])
        np.minimum.at(upper, columns[slopes < 0], sides[slopes < 0])
        if domain.kind == "nonnegative" and (counts > 1).any():
            rows.append(domain.space)
    return lower, upper, rows
