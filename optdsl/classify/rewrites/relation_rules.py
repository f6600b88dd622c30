"""Equivalent forms of one relation lower <= body <= upper on D: one idea each.

Sources: Boyd and Vandenberghe (2004), sections 3.4 (quasi-convex functions), 4.2.4 (equivalent convex problems) and
4.4.2 (second-order cones); Lobo, Vandenberghe, Boyd and Lebret (1998) for hyperbolic constraints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy

from optdsl.classify.rewrites.hyperbolic import by_geometric_mean, exponentiated
from optdsl.classify.rewrites.logs import log_of_sum
from optdsl.classify.rewrites.monotone import Monotone, even_inverse, monotone
from optdsl.classify.rewrites.parts import ZERO, apply, is_apply, logarithm, separate, split
from optdsl.classify.rewrites.place import Place
from optdsl.classify.rewrites.relation import Bounded, Side, is_equality, peeled, sides_apart
from optdsl.terms.nodes import has_variables


@dataclass(frozen=True)
class RelationRewriting:
    """One idea: `rewrite(relation, place)` gives relations that together hold on D exactly where it does, or None."""

    rule: str
    rewrite: Callable[[Bounded, Place], tuple[Bounded, ...] | None]


def implied_sides(relation: Bounded, place: Place) -> tuple[Bounded, ...] | None:
    """A side that the bounds imply is left out; so e = 0 becomes e <= 0 where e is never negative."""
    body, lower, upper = relation
    box = place.box(body)
    keep_lower = lower is not None and not bool((box.lo >= place.values(lower)).all())
    keep_upper = upper is not None and not bool((box.hi <= place.values(upper)).all())
    if keep_lower == (lower is not None) and keep_upper == (upper is not None):
        return None
    if not keep_lower and not keep_upper:
        return ()
    return ((body, lower if keep_lower else None, upper if keep_upper else None),)


def undone(relation: Bounded, place: Place) -> tuple[Bounded, ...] | None:
    """A strictly monotone outermost function is undone on both sides."""
    found = peeled(relation, place)
    if found is None:
        return None
    body, lower, upper = found
    outer = monotone(body, place)
    if outer is None:
        return None
    sides = []
    for side, below in ((lower, True), (upper, False)):
        moved = _undone_side(side, below, outer, place)
        if moved is False:
            return None
        sides.append(moved)
    low, high = sides if outer.rising else sides[::-1]
    if low is None and high is None:
        return ()
    return ((outer.argument, low, high),)


def _undone_side(side: Side, below: bool, outer: Monotone, place: Place) -> Side | bool:
    """g(side); None where the function's range implies the side, False where the side is outside the range."""
    if side is None:
        return None
    values = place.values(side)
    at_least = outer.closed & (values == outer.low)
    if below and outer.low > -np.inf and (values <= outer.low).all() and not at_least.any():
        return None
    if not below and outer.high < np.inf and (values >= outer.high).all():
        return None
    inside = (values > outer.low) | at_least
    if not (inside & (values < outer.high)).all():
        return False
    return outer.inverse(side)


def both_ways(relation: Bounded, place: Place) -> tuple[Bounded, ...] | None:
    """An even function of e is at most c where e is between two numbers."""
    found = peeled(relation, place)
    if found is None:
        return None
    body, lower, upper = found
    even = even_inverse(body, place)
    if even is None or upper is None:
        return None
    argument, least, inverse = even
    if lower is not None and not (place.values(lower) <= least).all():
        return None
    values = place.values(upper)
    if not (np.isfinite(values) & (values >= least)).all():
        return None
    reach = inverse(upper)
    return ((argument, -reach, reach),)


def each_of_extreme(relation: Bounded, place: Place) -> tuple[Bounded, ...] | None:
    """max(a, b) <= c where both are, min(a, b) >= c where both are."""
    found = peeled(relation, place)
    if found is None:
        return None
    body, lower, upper = found
    if is_apply(body, "max") and lower is None:
        return tuple((part, None, upper) for part in body.slots)
    if is_apply(body, "min") and upper is None:
        return tuple((part, lower, None) for part in body.slots)
    return None


def multiplied(relation: Bounded, place: Place) -> tuple[Bounded, ...] | None:
    """Both sides are multiplied by a divisor that has one sign; in an equality it need only not be 0."""
    body, lower, upper = relation
    terms = [t for t in sympy.Add.make_args(body) if has_variables(t)]
    divisors = {f.base: 0 for t in terms for f in split(t)[1] if isinstance(f, sympy.Pow) and f.exp.is_negative
                and f.exp.is_Integer}
    equal = is_equality(relation, place)
    for divisor in divisors:
        sign = 1 if place.nonnegative(divisor) else -1 if place.nonpositive(divisor) else 0
        if not sign and not equal:
            continue
        power = max(-int(f.exp) for t in terms for f in split(t)[1] if isinstance(f, sympy.Pow) and f.base == divisor)
        factor = (sign or 1) ** power * sympy.Pow(divisor, power)
        if any(s is not None and not place.finite(s) for s in (lower, upper)):
            return None
        whole = sympy.Add(*[sympy.expand_mul(t * factor) for t in sympy.Add.make_args(body)])
        if equal:
            return ((whole - lower * factor, ZERO, ZERO),)
        result: list[Bounded] = []
        if lower is not None:
            result.append((whole - lower * factor, ZERO, None))
        if upper is not None:
            result.append((whole - upper * factor, None, ZERO))
        return tuple(result)
    return None


def same_function(relation: Bounded, place: Place) -> tuple[Bounded, ...] | None:
    """f(a) <= f(b) where a <= b, f strictly increasing; k exp(a) <= m exp(b) where a + log k <= b + log m."""
    body, lower, upper = relation
    constant, moving = separate(body)
    if len(moving) != 2 or any(s is not None and s - constant != 0 for s in (lower, upper)):
        return None
    (first, one), (second, other) = (split(t) for t in moving)
    if len(one) != 1 or len(other) != 1:
        return None
    if place.positive(second) and place.positive(-first):
        first, one, second, other = second, other, first, one
    if not (place.positive(first) and place.positive(-second)):
        return None
    left, right = one[0], other[0]
    sides = (None if lower is None else ZERO, None if upper is None else ZERO)
    if is_apply(left, "exp") and is_apply(right, "exp"):
        shift = ZERO if first + second == 0 else apply("log", first / -second)
        return ((left.slots[0] - right.slots[0] + shift, *sides),)
    if is_apply(left, "sqrt") and is_apply(right, "sqrt"):
        return ((first**2 * left.slots[0] - second**2 * right.slots[0], *sides),)
    if first + second != 0 or not _alike(left, right):
        return None
    a, b = monotone(left, place), monotone(right, place)
    if a is None or b is None or (a.rising, a.low, a.high) != (b.rising, b.low, b.high):
        return None
    return ((a.argument - b.argument, *(sides if a.rising else sides[::-1])),)


def _alike(left: sympy.Expr, right: sympy.Expr) -> bool:
    """The same function with the same data arguments."""
    if left.func is not right.func or len(left.args) != len(right.args):
        return False
    if isinstance(left, sympy.Pow):
        return left.exp == right.exp
    return is_apply(left, *(() if not hasattr(right, "name") else (right.name,))) and left.args[2:] == right.args[2:]


def divided_by_exponential(relation: Bounded, place: Place) -> tuple[Bounded, ...] | None:
    """sum of k exp(a) <= m exp(b) where the log-sum-exp of the left, less b, is at most log m."""
    apart = sides_apart(relation, place)
    if apart is None:
        return None
    data, moving = split(apart[1])
    if len(moving) != 1 or not is_apply(moving[0], "exp") or not (place.positive(data) and place.finite(data)):
        return None
    total = log_of_sum(apart[0], place)
    return None if total is None else ((total - moving[0].slots[0], None, logarithm(data)),)


def whole_steps(relation: Bounded, place: Place) -> tuple[Bounded, ...] | None:
    """ceil(e) <= c where e <= floor(c); floor(e) >= c where e >= ceil(c)."""
    found = peeled(relation, place)
    if found is None:
        return None
    body, lower, upper = found
    if is_apply(body, "ceil") and lower is None and upper is not None:
        return ((body.slots[0], None, apply("floor", upper)),)
    if is_apply(body, "floor") and upper is None and lower is not None:
        return ((body.slots[0], apply("ceil", lower), None),)
    return None


RELATION_REWRITINGS: tuple[RelationRewriting, ...] = (
    RelationRewriting("a side that the bounds imply is left out", implied_sides),
    RelationRewriting("the same increasing function stands on both sides and is taken off", same_function),
    RelationRewriting("a strictly monotone function is undone on both sides", undone),
    RelationRewriting("an even function is at most c where its argument is between two numbers", both_ways),
    RelationRewriting("a maximum is at most c where each part is, a minimum at least c where each is", each_of_extreme),
    RelationRewriting("a rounded value is bounded where the value itself is", whole_steps),
    RelationRewriting("positive sides are compared by their roots; a product's root is a geometric mean",
                      by_geometric_mean),
    RelationRewriting("both sides are divided by an exponential, and the logarithm taken", divided_by_exponential),
    RelationRewriting("a sum of logarithms is the logarithm of a product", exponentiated),
    RelationRewriting("both sides are multiplied by a divisor of one sign", multiplied),
)
