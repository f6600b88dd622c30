"""The steps of a proof, as a reader follows them: from the parts of an expression to the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import sympy

from optdsl.atoms import ENTRIES, REDUCTIONS
from optdsl.classify.facts import Fact, Facts
from optdsl.errors import Span
from optdsl.model.model import Marks
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables


@dataclass(frozen=True)
class Step:
    """One step: by this rule, the expression gives what is said. `span` is its place in the text, where it has one."""

    rule: str
    expression: sympy.Basic
    gives: str
    span: Span | None = None


def steps_of(expression: sympy.Basic, frame: Frame, facts: Facts, marks: Marks) -> tuple[Step, ...]:
    """Why an expression has the curvature that the composition rule finds, innermost parts first."""
    return tuple(dict.fromkeys(_walk(expression, frame, facts, marks)))


def _walk(expression: sympy.Basic, frame: Frame, facts: Facts, marks: Marks) -> Iterator[Step]:
    if not has_variables(expression) or frame.size == 0:
        return
    fact = facts.find(expression, frame)
    if bool(fact.affine.all()):
        yield Step("affine: variables times data, added up", expression, _gives(fact), marks.spans.get(expression))
        return
    for part, inner in _parts(expression, frame, facts):
        yield from _walk(part, inner, facts, marks)
    yield Step(_rule(expression, frame, facts), expression, _gives(fact), marks.spans.get(expression))


def _parts(expression: sympy.Basic, frame: Frame, facts: Facts) -> Iterator[tuple[sympy.Basic, Frame]]:
    if isinstance(expression, nodes.Reduce):
        yield expression.body, facts.lanes.extend(frame, expression.over).child
        return
    if isinstance(expression, nodes.ArrayCall):
        for argument in expression.arguments:
            if isinstance(argument, nodes.Block):
                yield argument.body, facts.lanes.extend(frame, nodes.over(argument.axes)).child
        return
    if isinstance(expression, nodes.Choose):
        condition, then, otherwise = expression.args
        holds = facts.lanes.condition(condition, frame)
        for mask, branch in ((holds, then), (~holds, otherwise)):
            if mask.any():
                yield branch, facts.lanes.filtered(frame, mask).child
        return
    for part in expression.args:
        if has_variables(part):
            yield part, frame


def _rule(expression: sympy.Basic, frame: Frame, facts: Facts) -> str:
    if isinstance(expression, sympy.Add):
        return "a sum of parts of one curvature"
    if isinstance(expression, sympy.Mul):
        moving = [f for f in expression.args if has_variables(f)]
        return "a part times data of one sign" if len(moving) == 1 else "a product of parts with variables"
    if isinstance(expression, nodes.Choose):
        return "the branch taken at each index"
    if isinstance(expression, nodes.Reduce):
        if expression.name in ("sum", "mean"):
            return f"a {expression.name} of parts of one curvature"
        return f"`{expression.name}`: {REDUCTIONS[expression.name].summary[2]}; composition with its members"
    name = "pow" if isinstance(expression, sympy.Pow) else getattr(expression, "name", "")
    row = ENTRIES.get(name)
    if row is None:
        return f"`{name}` of affine arguments"
    shown = f"the power {expression.exp}" if isinstance(expression, sympy.Pow) else f"`{name}`"
    arguments = expression.args if isinstance(expression, sympy.Pow) else expression.slots
    moving = [a for a in arguments if has_variables(a)]
    if all(bool(facts.find(a, frame).affine.all()) for a in moving):
        return f"{shown} of an affine argument"
    return f"{shown} composed: its slope keeps the curvature of its argument"


def _gives(fact: Fact) -> str:
    words = [curvature_word(fact)]
    if fact.lo.size and bool((fact.lo >= 0).all()):
        words.append("nonnegative")
    elif fact.hi.size and bool((fact.hi <= 0).all()):
        words.append("nonpositive")
    return ", ".join(words)


def curvature_word(fact: Fact) -> str:
    """The curvature over all lanes in a word; `mixed` where lanes differ."""
    for word, holds in (("affine", fact.affine), ("convex", fact.convex), ("concave", fact.concave)):
        if bool(holds.all()):
            return word
    return "unknown" if bool(np.isnan(fact.curvature).any()) else "convex or concave by index"
