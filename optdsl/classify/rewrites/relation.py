"""One relation lower <= body <= upper, and the shapes in which rewritings look at it."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import sympy

from optdsl.classify.rewrites.forms import sign_of
from optdsl.classify.rewrites.parts import separate, split
from optdsl.classify.rewrites.place import Place

Side: TypeAlias = "sympy.Expr | None"
Bounded: TypeAlias = "tuple[sympy.Expr, Side, Side]"
"""body, lower, upper: sides of data, None where there is none"""


def is_equality(relation: Bounded, place: Place) -> bool:
    """Whether both sides are equal in every lane."""
    _, lower, upper = relation
    if lower is None or upper is None:
        return False
    return lower == upper or bool((place.values(lower) == place.values(upper)).all())


def peeled(relation: Bounded, place: Place) -> Bounded | None:
    """Constants moved to the sides, a single term's factor divided out; None where its sign differs by lane."""
    body, lower, upper = relation
    constant, moving = separate(body)
    if constant != 0:
        body = sympy.Add(*moving)
        lower, upper = (None if s is None else s - constant for s in (lower, upper))
    if len(moving) != 1:
        return body, lower, upper
    data, factors = split(moving[0])
    if data == 1:
        return body, lower, upper
    values = place.values(data)
    if not np.isfinite(values).all() or not ((values > 0).all() or (values < 0).all()):
        return None
    lower, upper = (None if s is None else s / data for s in (lower, upper))
    return (sympy.Mul(*factors), lower, upper) if (values > 0).all() else (sympy.Mul(*factors), upper, lower)


def sides_apart(relation: Bounded, place: Place) -> tuple[sympy.Expr, sympy.Expr] | None:
    """left <= right with every term on the side where it, or its factor of data, is positive."""
    body, lower, upper = relation
    side = upper if lower is None else lower
    if side is None or (lower is not None and upper is not None) or not place.finite(side):
        return None
    total = body - side if lower is None else side - body
    left: list[sympy.Expr] = []
    right: list[sympy.Expr] = []
    for term in sympy.Add.make_args(total):
        data, _ = split(term)
        sign = next((s for part in (term, data) for s in (_sign_of(part, place),) if s), 0)
        if not sign:
            return None
        (left if sign > 0 else right).append(term if sign > 0 else -term)
    return sympy.Add(*left), sympy.Add(*right)


def _sign_of(part: sympy.Expr, place: Place) -> int:
    return 1 if place.nonnegative(part) else -1 if place.nonpositive(part) else sign_of(part, place)
