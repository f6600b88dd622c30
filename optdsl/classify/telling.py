"""What is told of each statement to somebody who asks: curvature and sign as written, proof, or what breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optdsl.classify.analysis import StatementFact
from optdsl.classify.facts import Facts
from optdsl.classify.proofs import matrix_proof, objective_proof, relations_proof
from optdsl.classify.provers import Attempt
from optdsl.classify.words import sign_word, statement_curvature, written_shape
from optdsl.model.model import Constraint, Model, Objective
from optdsl.terms.frame import Frame

OPPOSITE = {"convex": "concave", "concave": "convex"}


def told_objective(
    fact: StatementFact, model: Model, objective: Objective, frame: Frame, facts: Facts, attempt: Attempt | None
) -> StatementFact:
    """A proved objective with its curvature as written, sign and proof."""
    found = facts.find(objective.body, frame)
    steps = objective_proof(model, objective, frame, facts, attempt)
    return replace(fact, curvature=statement_curvature(found, fact.curvature), sign=sign_word(found), steps=steps)


def told_constraint(
    fact: StatementFact, model: Model, constraint: Constraint, frame: Frame, facts: Facts,
    attempts: Sequence[Attempt | None],
) -> StatementFact:
    """A proved constraint with the curvature and sign of left minus right, and its proof."""
    if constraint.kind == "matrix":
        steps = matrix_proof(model, constraint, frame, facts)
        curvature, sign = written_shape(constraint, frame, facts)
        return replace(fact, curvature=curvature, sign=sign, steps=steps)
    steps = relations_proof(model, constraint, frame, facts, attempts)
    # a step between relations proves the constraint, and says nothing of its body's curvature
    known = "unknown" if any(s.kind == "equivalence" for s in steps) else fact.curvature
    if constraint.relations[0].turned:
        known = OPPOSITE.get(known, known)
    curvature, sign = written_shape(constraint, frame, facts, known)
    return replace(fact, curvature=curvature, sign=sign, steps=steps)
