"""Equivalent forms of a constraint on D, in the same variables, searched breadth first until one is convex."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import sympy

from optdsl.classify.facts import Facts
from optdsl.classify.proof import Step
from optdsl.classify.rewrites.conditions import lost
from optdsl.classify.rewrites.normal import normalized
from optdsl.classify.rewrites.place import Place
from optdsl.classify.rewrites.relation import Bounded, Side
from optdsl.classify.rewrites.relation_rules import RELATION_REWRITINGS
from optdsl.model.model import DomainCondition
from optdsl.terms.frame import Frame
from optdsl.terms.show import show

DEEPEST, FEWEST, MOST = 5, 2, 40
EFFORT, LONG = 4000, 150
"""Nodes of all forms together: of a long expression fewer forms are tried, of a very long one none."""
LATER = ""
"""What a step gives is put into words where a proof is written: forms are tried by the dozen."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RelationStep(Step):
    """A step between relations: `before` holds on D, over the lanes of `place`, exactly where all of `after` do."""

    before: Bounded
    after: tuple[Bounded, ...]
    place: Place
    keeps: tuple[DomainCondition, ...] = ()


@dataclass(frozen=True, eq=False)
class Form:
    """Relations (body, lower, upper), sides of data, that hold together on D exactly where the original does.

    proved: every `<=` has a convex body, every `>=` a concave one, every `=` an affine one. No relation is left where
    D implies the constraint. `keeps`: conditions of D that the original brings and these relations alone do not.
    """

    relations: tuple[Bounded, ...]
    steps: tuple[Step, ...]
    proved: bool
    keeps: tuple[DomainCondition, ...] = ()


def relation_forms(
    body: sympy.Expr, lower: Side, upper: Side, frame: Frame, facts: Facts
) -> Iterator[Form]:
    """Forms of lower <= body <= upper, first as written, then normalized, then by ever more steps."""
    place = Place(facts, frame)
    start: _State = ((body, lower, upper),), (), ()
    seen, queue = {start[0]}, [start]
    length = _length(body)
    if length >= LONG:  # what is that long is no function that somebody recognizes
        yield Form((start[0][0],), (), fits(start[0][0], place))
        return
    most = max(FEWEST, min(MOST, EFFORT // length))
    for _ in range(DEEPEST + 1):
        following: list[_State] = []
        for state in queue:
            form = _form(state, place)
            yield form
            if form.proved:
                return
            for relations, steps, keeps in _next(state, place):
                if relations not in seen and len(seen) < most:
                    seen.add(relations)
                    following.append((relations, steps, keeps))
        queue = following


def _length(body: sympy.Expr) -> int:
    """The number of nodes, as far as it matters."""
    return sum(1 for _ in islice(sympy.preorder_traversal(body), LONG))


def convex_form(body: sympy.Expr, lower: Side, upper: Side, frame: Frame, facts: Facts) -> Form | None:
    """The first form that is proved convex, or None."""
    return next((form for form in relation_forms(body, lower, upper, frame, facts) if form.proved), None)


def fits(relation: Bounded, place: Place) -> bool:
    """Whether the composition rule shows that the relation holds on a convex set, in every lane."""
    body, lower, upper = relation
    curvature = place.facts.find(body, place.frame).curvature
    above = False if upper is None else place.values(upper) < np.inf
    below = False if lower is None else place.values(lower) > -np.inf
    return bool(((~np.asarray(above) | (curvature >= 0)) & (~np.asarray(below) | (curvature <= 0))).all())


_State = tuple[tuple[Bounded, ...], tuple[Step, ...], tuple[DomainCondition, ...]]


def _form(state: _State, place: Place) -> Form:
    """The state with those bodies normalized that do not fit as they are."""
    relations, steps, keeps = [], list(state[1]), list(state[2])
    for relation in state[0]:
        if not fits(relation, place):
            body, more = normalized(relation[0], place)
            relation = (body, *relation[1:])
            steps += more
            keeps += [k for step in more for k in step.keeps]
        relations.append(relation)
    return Form(tuple(relations), tuple(steps), all(fits(r, place) for r in relations), tuple(keeps))


def _next(state: _State, place: Place) -> Iterator[_State]:
    """The states one rewriting further: the first relation that does not fit is rewritten, as it is and normalized."""
    relations, steps, keeps = state
    for number, relation in enumerate(relations):
        body, more = normalized(relation[0], place)
        if fits(relation, place) or fits((body, *relation[1:]), place):
            continue
        variants: list[tuple[Bounded, tuple[Step, ...]]] = [(relation, ())]
        if body != relation[0]:
            variants.append(((body, *relation[1:]), more))
        for variant, before in variants:
            for rewriting in RELATION_REWRITINGS:
                after = rewriting.rewrite(variant, place)
                if after is None or after == (variant,):
                    continue
                kept = _lost(variant, after, place)
                step = RelationStep(
                    rewriting.rule, variant[0], LATER, before=variant, after=after, place=place, keeps=kept
                )
                others = relations[:number], relations[number + 1 :]
                inner = [k for s in before for k in getattr(s, "keeps", ())]
                yield (*others[0], *after, *others[1]), (*steps, *before, step), (*keeps, *inner, *kept)
        return


def _lost(before: Bounded, after: tuple[Bounded, ...], place: Place) -> tuple[DomainCondition, ...]:
    return lost(before[0], sympy.Tuple(*[body for body, *_ in after]), place)


def told(relations: tuple[Bounded, ...]) -> str:
    """Relations as text."""
    if not relations:
        return "nothing: it always holds"
    return " and ".join(_told(*relation) for relation in relations)


def _told(body: sympy.Expr, lower: Side, upper: Side) -> str:
    if lower is not None and lower == upper:
        return f"{show(body)} = {show(lower)}"
    low = "" if lower is None else f"{show(lower)} <= "
    high = "" if upper is None else f" <= {show(upper)}"
    return f"{show(body)} >= {show(lower)}" if lower is not None and upper is None else f"{low}{show(body)}{high}"
