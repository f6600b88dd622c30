"""What is told of a statement in RESULT.md's words, and where its parts are defined."""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from optdsl.atoms import Smoothness
from optdsl.classify.facts import Fact, Facts
from optdsl.classify.rewrites.conditions import holds_on_convex_set
from optdsl.classify.rewrites.normal import normalize
from optdsl.classify.rewrites.place import Place
from optdsl.classify.sink import AFFINE, CONCAVE, CONVEX
from optdsl.data.members import Label, label_text
from optdsl.model.model import Constraint, DomainCondition, Marks
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import Index
from optdsl.terms.show import index_letter

ROUGHNESS = ("discontinuous", "nonsmooth", "C1", "smooth")


def domain_is_convex(condition: DomainCondition, frame: Frame, facts: Facts) -> bool:
    """Whether the condition holds on a convex set."""
    for over in condition.overs:
        frame = facts.lanes.extend(frame, over).child
    if frame.size == 0 or holds_on_convex_set(condition.kind, condition.expression, Place(facts, frame)):
        return True
    # equal on the declared bounds where the functions inside are defined, whose own conditions are looked at as well
    rewritten = normalize(condition.expression, frame, facts.plain or facts)[0]
    changed = rewritten != condition.expression
    return changed and holds_on_convex_set(condition.kind, rewritten, Place(facts, frame))


def signed_part(condition: DomainCondition, frame: Frame, facts: Facts) -> sympy.Expr:
    """A part that is not negative where the condition (positive or nonnegative) holds over the lanes of `frame`.

    Odd powers have the sign of their base, products that of the one factor whose sign is not known. A product that may
    be 0 because of the others tells nothing of it.
    """
    expression: sympy.Expr = condition.expression
    sign = 1
    while isinstance(expression, sympy.Mul | sympy.Pow):
        if isinstance(expression, sympy.Pow):
            if not (expression.exp.is_Integer and int(expression.exp) % 2):
                break
            expression = expression.base
            continue
        left, turns = [], 0
        for factor in expression.args:
            fact = facts.find(factor, frame)
            never = condition.kind == "positive" or (isinstance(factor, sympy.Pow) and factor.exp.is_negative)
            if bool((fact.lo >= 0).all() if never else (fact.lo > 0).all()):
                continue
            if bool((fact.hi <= 0).all() if never else (fact.hi < 0).all()):
                turns += 1
                continue
            left.append(factor)
        if len(left) != 1:
            break
        sign *= (-1) ** turns
        (expression,) = left
    return expression if sign > 0 else -expression


def statement_curvature(fact: Fact, proved: str = "unknown") -> str:
    """The curvature as written: that of the composition rule, else what was proved of it otherwise."""
    if fact.reason == "constant":
        return "constant"
    for word, holds in ((AFFINE, fact.affine), (CONVEX, fact.convex), (CONCAVE, fact.concave)):
        if holds.size and holds.all():
            return word
    return proved


def written_shape(
    constraint: Constraint, frame: Frame, facts: Facts, proved: str = "unknown"
) -> tuple[str, str]:
    """Curvature and sign of left minus right as the text has it (of a double inequality, of the middle)."""
    relation = constraint.relations[0]
    body = relation.body if constraint.kind == "matrix" else relation.written
    fact = (facts.plain or facts).find(body, frame)
    if not bool(fact.affine.all()):  # that an affine constraint holds on D says nothing of its sign
        fact = facts.find(body, frame)
    return statement_curvature(fact, proved), sign_word(fact)


def smoothness_word(fact: Fact) -> str:
    """The smoothness of the roughest lane."""
    return Smoothness(int(fact.smooth.min())).word if fact.smooth.size else "smooth"


def sign_word(fact: Fact) -> str:
    if fact.lo.size and (fact.lo >= 0).all():
        return "zero" if (fact.hi <= 0).all() else "nonnegative"
    if fact.hi.size and (fact.hi <= 0).all():
        return "nonpositive"
    return "unknown"


def lane_text(lane: Mapping[Index, Label], marks: Marks) -> str:
    parts = [f"{marks.names.get(i) or index_letter(i)} = {label_text(v)}" for i, v in sorted(lane.items(), key=str)]
    return f" at {', '.join(parts)}" if parts else ""
