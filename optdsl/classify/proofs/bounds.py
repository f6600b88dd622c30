"""Steps that say which constraints and natural domains give the bounds of what a function is applied to."""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from optdsl.classify.bound_steps import bound_step
from optdsl.classify.proofs.writer import Where, Writer
from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables


def written_bound(writer: Writer, expression: sympy.Basic, where: Where) -> int | None:
    """The step for an affine expression whose bounds come from more than the declared ones; None where none does."""
    found = bound_step(expression, where.frame, writer.facts)
    if found is None:
        return None
    fact = writer.facts.find(expression, where.frame)
    needs = tuple(source.words for source in found.sources)
    return writer.add("bound", found.rule, expression, where, found.gives, fact=fact, needs=needs)


def written_bounds(writer: Writer, expression: sympy.Basic, where: Where) -> list[int]:
    """The same for every affine argument in an expression that is not affine itself."""
    steps = (written_bound(writer, argument, inner) for argument, inner in _arguments(writer, expression, where))
    return list(dict.fromkeys(step for step in steps if step is not None))


def _arguments(writer: Writer, expression: sympy.Basic, where: Where) -> Iterator[tuple[sympy.Basic, Where]]:
    if writer.facts.plain is None or not has_variables(expression) or not where.frame.size:
        return
    if isinstance(expression, nodes.Choose | nodes.Pick):
        return
    if isinstance(expression, nodes.Block):
        yield from _arguments(writer, expression.body, where.within(nodes.over(expression.axes), writer.facts))
        return
    if bool(writer.facts.find(expression, where.frame).affine.all()):
        yield expression, where
        return
    if isinstance(expression, nodes.Reduce):
        yield from _arguments(writer, expression.body, where.within(expression.over, writer.facts))
        return
    if isinstance(expression, sympy.Add):
        for part in expression.args:
            if not bool(writer.facts.find(part, where.frame).affine.all()):
                yield from _arguments(writer, part, where)
        return
    for part in expression.arguments if isinstance(expression, nodes.ArrayCall) else expression.args:
        yield from _arguments(writer, part, where)
