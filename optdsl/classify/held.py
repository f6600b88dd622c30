"""Conditions of D that a solve must keep itself: natural domains that what is solved does not bring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import sympy

from optdsl.classify.collect import Collector
from optdsl.classify.facts import Facts
from optdsl.classify.quadratic_rows import quadratics_to_cones
from optdsl.classify.rewrites.conditions import STRONGER, Key, brought, implied
from optdsl.classify.rewrites.normal import normalize
from optdsl.classify.rewrites.place import Place
from optdsl.classify.sink import CONCAVE, NotCollected
from optdsl.classify.words import domain_is_convex, signed_part
from optdsl.model.model import DomainCondition
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import Over, has_variables


def require_convex_domain(conditions: Sequence[DomainCondition], frame: Frame, facts: Facts) -> None:
    """Raise where a partial function of the text, cancelled or not, is defined on a set that is not convex."""
    for condition in conditions:
        if not domain_is_convex(condition, frame, facts):
            what = "may be 0" if condition.kind == "nonzero" else "may be negative"
            raise NotCollected(condition.expression, f"this {what}, and where it is not is no convex set")


def unbrought(
    conditions: Iterable[DomainCondition], solved: Sequence[sympy.Basic], frame: Frame, facts: Facts
) -> tuple[DomainCondition, ...]:
    """The conditions that neither the functions in `solved` bring nor the declared bounds imply.

    A function may have been cancelled (`sqrt(x) - sqrt(x)`) or rewritten (`exp(log(x))`); what is solved in its place
    must not leave its domain.
    """
    wanted = [c for c in conditions if has_variables(c.expression)]
    if not wanted:
        return ()
    kept = {_flat(key) for body in solved for key in brought(body)}
    left = []
    for condition in wanted:
        plain = facts.plain or facts
        place = Place(plain, _inside(frame, condition.overs, plain))
        if not _follows(condition.kind, condition.expression, condition.overs, kept, place):
            # what is solved brings it as it was rewritten, and as that it can be kept
            rewritten = replace(condition, expression=normalize(condition.expression, place.frame, plain)[0])
            if not _follows(condition.kind, rewritten.expression, condition.overs, kept, place):
                left.append(rewritten)
    return tuple(left)


def _follows(kind: str, expression: sympy.Expr, overs: tuple[Over, ...], kept: set[_Flat], place: Place) -> bool:
    """Whether a condition is among those kept, or holds by itself; of a product, whether that of every factor does."""
    # an open condition is kept as a closed one: whether the point is inside is checked at the end
    closed = "nonnegative" if kind == "positive" else kind
    keys = [_flat((stronger, expression, overs)) for stronger in STRONGER[closed]]
    if not kept.isdisjoint(keys) or implied(kind, expression, place):
        return True
    if kind == "positive" and place.nonnegative(expression):
        return True
    if isinstance(expression, sympy.Mul):
        return all(_follows(kind, factor, overs, kept, place) for factor in expression.args)
    if isinstance(expression, nodes.Reduce) and expression.name == "prod":
        return _follows(kind, expression.body, (*overs, expression.over), kept, place.within(expression.over))
    return False


_Flat = tuple[str, sympy.Expr, tuple[sympy.Basic, ...], frozenset[sympy.Basic]]


def _flat(key: Key) -> _Flat:
    """The same however the iterations around it are nested."""
    kind, expression, overs = key
    iterators = tuple(each for over in overs for each in over.iterators)
    return kind, expression, iterators, frozenset(c for over in overs for c in over.conditions)


def _inside(frame: Frame, overs: Iterable[Over], facts: Facts) -> Frame:
    for over in overs:
        frame = facts.extended(frame, over).child
    return frame


def hold(conditions: Iterable[DomainCondition], frame: Frame, collector: Collector, facts: Facts) -> None:
    """Keep conditions as rows `expression >= 0`; NotCollected where one is not known to be concave.

    An open condition (`> 0`) is kept as a closed one: whether the point is inside is checked at the end. A divisor
    must have a sign.
    """
    for condition in conditions:
        inner = _inside(frame, condition.overs, facts)
        if not inner.size:
            continue
        if condition.kind == "nonzero":
            fact = facts.find(condition.expression, inner)
            if not ((fact.lo >= 0) | (fact.hi <= 0)).all():
                raise NotCollected(condition.expression, "this divisor may be 0")
            continue
        root = inner.as_root()
        for part in _parts(condition, root, facts):
            sink = collector.sink(root, CONCAVE, quadratic=True)
            collector.collect(part, root, np.ones((1,) * len(root.shape)), sink)
            quadratics_to_cones(collector, sink)
            collector.auxiliary.rows.append(sink)


def hold_if_concave(
    conditions: Iterable[DomainCondition], frame: Frame, collector: Collector, facts: Facts
) -> None:
    """Keep those conditions of a statement that is not proved that are rows: its points are among theirs."""
    for condition in conditions:
        mark = collector.auxiliary.mark()
        if condition.kind != "nonzero" and has_variables(condition.expression):
            try:
                hold((condition,), frame, collector, facts)
            except NotCollected:
                collector.auxiliary.rollback(mark)


def _parts(condition: DomainCondition, frame: Frame, facts: Facts) -> list[sympy.Expr]:
    """Expressions that are not negative together exactly where the condition holds on D, but for its open side."""
    part = signed_part(condition, frame, facts)
    if not isinstance(part, sympy.Mul):
        return [part]
    plain, parts = facts.plain or facts, []
    for factor in part.args:
        fact, before = facts.find(factor, frame), plain.find(factor, frame)
        sign = 1 if bool((fact.lo >= 0).all()) else -1 if bool((fact.hi <= 0).all()) else 0
        if not sign:
            return [part]
        if not bool(((before.lo if sign > 0 else -before.hi) >= 0).all()):
            base = signed_part(DomainCondition("positive", factor), frame, facts)
            parts.append(base if sign > 0 else -base)
    return parts


__all__ = ["hold", "hold_if_concave", "require_convex_domain", "unbrought"]
