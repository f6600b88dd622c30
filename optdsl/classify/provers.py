"""Equivalent forms in which a statement may be proved convex, tried in order.

`PROVERS` is open at its end: each takes a relation over the lanes of a frame and yields attempts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sympy

from optdsl.classify.facts import Facts
from optdsl.classify.proof import Step
from optdsl.classify.rewrites import normalize, relation_forms
from optdsl.model.model import DomainCondition, Relation
from optdsl.terms.frame import Frame

Bounded = tuple[sympy.Expr, sympy.Expr | None, sympy.Expr | None]


@dataclass(frozen=True, eq=False)
class Attempt:
    """Relations (body, lower, upper) that together say the same as one of the text, and the steps that lead there.

    `keeps` are conditions that the text's form brings and these relations alone do not.
    """

    relations: tuple[Bounded, ...]
    steps: tuple[Step, ...]
    keeps: tuple[DomainCondition, ...] = ()


def rewritten_relations(relation: Relation, frame: Frame, facts: Facts) -> Iterator[Attempt]:
    """Forms of a constraint by rewriting its parts and both of its sides."""
    for form in relation_forms(relation.body, relation.lower, relation.upper, frame, facts):
        if form.steps:
            yield Attempt(form.relations, form.steps, form.keeps)


PROVERS: tuple[Callable[[Relation, Frame, Facts], Iterator[Attempt]], ...] = (rewritten_relations,)


def constraint_attempts(relation: Relation, frame: Frame, facts: Facts) -> Iterator[Attempt]:
    """The forms of a constraint to try, simplest first."""
    for prover in PROVERS:
        yield from prover(relation, frame, facts)


def objective_attempts(body: sympy.Expr, frame: Frame, facts: Facts) -> Iterator[Attempt]:
    """The forms of an objective to try: only its parts may be rewritten."""
    normal, steps = normalize(body, frame, facts)
    if steps:
        keeps = tuple(k for step in steps for k in step.keeps)
        yield Attempt(((normal, None, None),), steps, keeps)
