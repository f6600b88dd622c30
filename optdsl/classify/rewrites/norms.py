"""Roots of sums of squares are norms.

Sources: Boyd and Vandenberghe (2004), sections 3.1.5 and 3.2.4; the tutorial on disciplined convex programming of
CVXPY, where `sqrt(1 + square(x))` is the example of a convex function that must be written with `norm2`.
"""

from __future__ import annotations

import sympy

from optdsl.classify.rewrites.forms import norm_of
from optdsl.classify.rewrites.gram import squares_of
from optdsl.classify.rewrites.parts import (
    HALF,
    ONE,
    apply,
    data_root,
    exact,
    hypot,
    is_apply,
    is_reduce,
    power_of,
    raised,
    separate,
    split,
)
from optdsl.classify.rewrites.place import Place
from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables


def leg(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """A function whose square is the expression, and which is convex where its parts are affine; else None."""
    found = _leg(expression, place)
    return norm_of(expression, place) if found is None else found


def _leg(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    if not has_variables(expression):
        return data_root(expression, place.nonnegative) if place.nonnegative(expression) else None
    if isinstance(expression, sympy.Add):
        return _leg_of_sum(expression, place)
    data, moving = split(expression)
    if data != 1:
        inner = leg(sympy.Mul(*moving), place) if place.nonnegative(data) else None
        return None if inner is None else data_root(data, place.nonnegative) * inner
    if len(moving) > 1:
        return None
    if is_reduce(expression, "sum"):
        inner = leg(expression.body, place.within(expression.over))
        return None if inner is None else nodes.Reduce("norm2", inner, expression.over)
    if is_apply(expression, "exp"):
        return apply("exp", expression.slots[0] / 2)
    base, exponent = power_of(expression)
    if exponent.is_Integer and exponent.is_positive and exponent % 2 == 0:
        return raised(base, exponent / 2)
    if exponent.is_number and exponent >= 2 and (not exponent.is_Integer or place.nonnegative(base)):
        return raised(base, exponent / 2)
    return None


def _leg_of_sum(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    constant, moving = separate(expression)
    terms = [*moving] if constant == 0 else [*moving, constant]
    legs = [leg(term, place) for term in terms]
    if all(found is not None for found in legs):
        return hypot(legs)
    squares = squares_of(expression, place)
    if squares is None or any(weight < 0 for weight, _ in squares):
        return None
    return hypot([data_root(weight, place.nonnegative) * part for weight, part in squares])


def size_of(expression: sympy.Expr, place: Place) -> sympy.Expr:
    """|expression|, without the bars where it is never negative."""
    return expression if place.nonnegative(expression) else apply("abs", expression)


def root_of_squares(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """(a^2 + b^2 + ...)^p with p >= 1/2 is the norm of the terms, to the power 2 p."""
    base, exponent = power_of(expression)
    if not exponent.is_number or exponent < HALF or exponent == 1:
        return None
    found = leg(base, place)
    return None if found is None else raised(size_of(found, place), 2 * exponent)


def p_norm(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """(sum of |x|^p)^(1/p) with p >= 1 is the p-norm."""
    total, outer = power_of(expression)
    if not is_reduce(total, "sum") or not outer.is_number or outer == 1:
        return None
    inner = place.within(total.over)
    data, moving = split(total.body)
    if len(moving) != 1 or not inner.nonnegative(data):
        return None
    base, p = power_of(moving[0])
    if not p.is_number or p < 1 or abs(float(p * outer) - 1.0) > 1e-15:
        return None
    even = p.is_Integer and p % 2 == 0
    if not (even or is_apply(base, "abs") or inner.nonnegative(base) or not p.is_Integer):
        return None
    if is_apply(base, "abs"):
        base = base.slots[0]
    scaled = base if data == 1 else raised(data, exact(ONE / p)) * base
    return nodes.Reduce("norm", scaled, total.over, p)
