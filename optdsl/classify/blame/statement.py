"""The blame of a whole statement, as a message: where, why, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Sequence

import sympy

from optdsl.classify.blame.culprit import Culprit, Search
from optdsl.classify.blame.hints import Case, hint_for
from optdsl.classify.facts import Facts
from optdsl.classify.proofs.statements import whole_span
from optdsl.classify.proofs.writer import Where, Writer
from optdsl.classify.rewrites.parts import split
from optdsl.classify.sink import NotCollected
from optdsl.classify.words import lane_text
from optdsl.errors import Diagnostic, Span
from optdsl.model.faults import place_of
from optdsl.model.model import Constraint, Model, Objective, Relation
from optdsl.terms import nodes
from optdsl.terms.frame import Frame

OTHERWISE = "write it with convex functions, or approximate it; `optdsl check` shows each statement"


def blame_statement(
    model: Model, statement: Objective | Constraint, frame: Frame, facts: Facts, reason: NotCollected | None = None
) -> Diagnostic | None:
    """Why a statement is not proved; `reason` is what was found while it was collected. None: nothing is found."""
    if isinstance(statement, Objective):
        return _objective(model, statement, frame, facts, reason)
    return _constraint(model, statement, frame, facts, reason)


def _objective(
    model: Model, objective: Objective, frame: Frame, facts: Facts, reason: NotCollected | None
) -> Diagnostic | None:
    writer = Writer(model, objective.marks, facts, whole_span(objective))
    where = Where(frame, (), writer.around)
    need = 1 if objective.sense == "minimize" else -1
    search = Search(writer, f"what is {objective.sense}d", need)
    culprit = search.find(objective.body, where, need) or _of_domain(reason, where)
    if culprit is None:
        return None
    return _message(Case(model, objective, None, writer, where, culprit), reason)


def _constraint(
    model: Model, constraint: Constraint, frame: Frame, facts: Facts, reason: NotCollected | None
) -> Diagnostic | None:
    writer = Writer(model, constraint.marks, facts, whole_span(constraint))
    overs = (constraint.over,) if constraint.over.iterators or constraint.over.conditions else ()
    where = Where(frame, overs, writer.around)
    for relation in _doubtful_first(constraint.relations, reason):
        role, need = _role(relation, constraint)
        culprit = Search(writer, role, need).find(relation.body, where, need) or _of_domain(reason, where)
        if culprit is not None:
            return _message(Case(model, constraint, relation, writer, where, culprit), reason)
    return None


def _role(relation: Relation, constraint: Constraint) -> tuple[str, int]:
    if constraint.kind == "matrix":
        return "a matrix in `>>`", 0
    if relation.lower is not None and relation.upper is not None:
        return ("what stands in an equation" if relation.lower == relation.upper else "what lies between two bounds"), 0
    return ("what is bounded above", 1) if relation.lower is None else ("what is bounded below", -1)


def _doubtful_first(relations: Sequence[Relation], reason: NotCollected | None) -> list[Relation]:
    """The relation that holds the part that was not collected, then the others."""
    if reason is None:
        return list(relations)
    return sorted(relations, key=lambda r: not (r.body == reason.node or r.body.has(reason.node)))


def _of_domain(reason: NotCollected | None, where: Where) -> Culprit | None:
    """A function whose domain is not convex, though every part curves as it should."""
    if reason is None or not isinstance(reason.node, sympy.Expr):
        return None
    return Culprit(reason.node, where, 1, "domain", reason.reason)


def _message(case: Case, reason: NotCollected | None) -> Diagnostic:
    culprit, statement = case.culprit, case.statement
    span = _place(case)
    return Diagnostic(
        "not-solvable-yet",
        f"`{statement.name}`{_lane(case)} is not proved convex: {culprit.reason}",
        span,
        hint_for(case) or (reason.hint if reason is not None else None) or OTHERWISE,
        case.model.source,
    )


def _place(case: Case) -> Span:
    node, spans = case.culprit.node, case.writer.marks.spans
    found = spans.get(node) or spans.get(-node)
    if found is not None:
        return found
    if isinstance(node, sympy.Mul):
        # `3 * x * y` is marked as a whole, and the product at fault is `x * y`
        same = [s for e, s in spans.items() if isinstance(e, sympy.Mul) and sympy.Mul(*split(e)[1]) == node]
        if same:
            return same[0]
        written = _written_product(case, node)
        if written is not None:
            return written
    shown = case.writer.span(case.culprit.node, case.writer.around)
    if shown != case.writer.around:
        return shown
    return place_of(case.culprit.node, case.writer.marks, case.statement.span)


def _written_product(case: Case, node: sympy.Mul) -> Span | None:
    """Where the text has the factors of a product beside each other: `b * x` in `x - b * x` is not marked by itself."""
    factors = [f for f in node.args if nodes.has_variables(f)]
    text, around = case.model.source.text, case.writer.around
    if len(factors) != 2:
        return None
    one, two = (re.sub(r"\\? +", r"\\s*", re.escape(case.text(f))) for f in factors)
    pattern = re.compile(rf"(?<!\w)(?:{one}\s*\*\s*{two}|{two}\s*\*\s*{one})(?!\w)")
    found = pattern.search(text, around.start, around.end)
    if found is None:
        return None
    start, end = found.span()
    first = text.rfind("\n", 0, start) + 1
    line = text.count("\n", 0, start) + 1
    return Span(start, end, line, start - first + 1, line, end - first + 1)


def _lane(case: Case) -> str:
    """The index at fault, where data decides: other indices are fine."""
    inner = case.culprit.where.frame
    inside = case.culprit.where.overs[len(case.where.overs) :]
    if inner.size == 0 or not any(over.conditions for over in inside):
        return ""
    lane = case.writer.facts.lanes.lane(inner, tuple(0 for _ in inner.shape))
    return lane_text(lane, case.writer.marks) if lane else ""
