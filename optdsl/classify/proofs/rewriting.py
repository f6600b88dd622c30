"""Rewritings as steps of a proof: what became what, by which rule, under which conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import sympy

from optdsl.classify.proof import Step
from optdsl.classify.proofs.writer import Where, Writer
from optdsl.classify.provers import Bounded
from optdsl.classify.rewrites import RELATION_REWRITINGS, REWRITINGS, Place, RelationStep, RewriteStep
from optdsl.terms.nodes import Over, has_variables


def written_rewritings(writer: Writer, where: Where, steps: Sequence[Step]) -> list[int]:
    """Writes the steps of rewriting; their numbers."""
    numbers = []
    for step in steps:
        if isinstance(step, RewriteStep):
            at = Where(step.place.frame, (*where.overs, *step.place.path), where.span)
            span = writer.span(step.expression, where.span)
            writer.origins.setdefault(step.after, span)
            before, after_ = writer.text(step.expression), writer.text(step.after)
            told = "read as one function of its parts" if before == after_ else f"equal to {after_}"
            numbers.append(writer.add(
                "rewriting", step.rule, step.expression, at, told, after=(after_,), needs=needs_of(writer, step)
            ))  # fmt: skip
        elif isinstance(step, RelationStep):
            after = tuple(relation_text(writer, r) for r in step.after)
            for body, *_ in step.after:
                writer.origins.setdefault(body, writer.span(step.before[0], where.span))
            told = "holds where " + " and ".join(after) if after else "always holds on D"
            numbers.append(writer.add(
                "equivalence", step.rule, step.expression, where, told, text=relation_text(writer, step.before),
                after=after, needs=needs_of(writer, step),
            ))  # fmt: skip
    return numbers


def relation_text(writer: Writer, relation: Bounded) -> str:
    """A relation in the language's words: `x * y >= 1`."""
    body, lower, upper = relation
    shown = writer.text(body)
    if lower is not None and upper is not None:
        if lower == upper:
            return f"{shown} = {writer.text(lower)}"
        return f"{writer.text(lower)} <= {shown} <= {writer.text(upper)}"
    return f"{shown} >= {writer.text(lower)}" if lower is not None else f"{shown} <= {writer.text(upper)}"


@dataclass(frozen=True, eq=False)
class _Heard(Place):
    """A place that keeps which signs of parts it was asked for and could confirm."""

    heard: list[tuple[sympy.Expr, str]] = field(default_factory=list)

    def within(self, over: Over) -> Place:
        return self._with(super().within(over))

    def _with(self, inner: Place) -> Place:
        return _Heard(inner.facts, inner.frame, inner.path, {}, inner.forms, heard=self.heard)

    def positive(self, expression: sympy.Basic) -> bool:
        return self._keep(expression, "> 0", super().positive(expression))

    def nonnegative(self, expression: sympy.Basic) -> bool:
        return self._keep(expression, ">= 0", super().nonnegative(expression))

    def nonpositive(self, expression: sympy.Basic) -> bool:
        return self._keep(expression, "<= 0", super().nonpositive(expression))

    def _keep(self, expression: sympy.Basic, sign: str, holds: bool) -> bool:
        if holds and has_variables(expression):
            self.heard.append((expression, sign))
        return holds


def needs_of(writer: Writer, step: RewriteStep | RelationStep) -> tuple[str, ...]:
    """The conditions on parts with variables that a rewriting asked for, and those that it leaves to be kept."""
    place = step.place
    heard = _Heard(place.facts, place.frame, place.path)
    if isinstance(step, RewriteStep):
        rules = [r for r in REWRITINGS if r.rule == step.rule and isinstance(step.expression, r.heads)]
        for rule in rules:
            rule.rewrite(step.expression, heard)
    else:
        for relation_rule in RELATION_REWRITINGS:
            if relation_rule.rule == step.rule:
                relation_rule.rewrite(step.before, heard)
    asked = [f"{writer.text(e)} {sign}" for e, sign in heard.heard]
    return tuple(dict.fromkeys([*asked, *(writer.condition(k) for k in step.keeps)]))

