"""Quotients of polynomials by affine functions, and sums of reciprocals turned over.

Source: Boyd and Vandenberghe (2004), sections 3.1.5 and 3.2.4 (harmonic mean, exercise 3.17).
"""

from __future__ import annotations

import sympy

from optdsl.classify.rewrites.parts import ONE, ZERO, apply, exact, is_reduce, separate, split
from optdsl.classify.rewrites.place import Place, count_of
from optdsl.terms import nodes

LONGEST = 30


def division(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """A polynomial of degree one or two over an affine function: the quotient and the remainder over it."""
    data, moving = split(expression)
    below = [f for f in moving if isinstance(f, sympy.Pow) and f.exp == -1]
    above = [f for f in moving if f not in below]
    if len(below) != 1 or not above or sum(len(sympy.Add.make_args(f)) for f in above) > LONGEST:
        return None
    divisor = below[0].base
    linear = _linear(divisor)
    if linear is None:
        return None
    a, t, b = linear
    numerator = _polynomial(sympy.expand_mul(sympy.Mul(*above)), t)
    if numerator is None or not (place.finite(a) and (place.values(a) != 0).all()):
        return None
    c2, c1, c0 = numerator
    lead = c2 / a
    constant = (c1 - lead * b) / a
    remainder = sympy.expand_mul(c0 - constant * b)
    result = sympy.Add(data * lead * t, data * constant, data * remainder * sympy.Pow(divisor, -1))
    return result if place.proved(result) else None


def _linear(divisor: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr] | None:
    """(a, t, b) with divisor = a t + b; t is one factor, or a sum with numbers as coefficients."""
    b, moving = separate(divisor)
    if len(moving) == 1:
        a, factors = split(moving[0])
        return a, sympy.Mul(*factors), b
    return (ONE, sympy.Add(*moving), b) if moving else None


def _polynomial(numerator: sympy.Expr, t: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr] | None:
    """Coefficients (data) of t^2, t and 1."""
    c0, moving = separate(numerator)
    if isinstance(t, sympy.Add):
        total = sympy.Add(*moving)
        first, _ = split(t.args[0])
        share = total.coeff(sympy.Mul(*split(t.args[0])[1])) / first
        if not share.is_number or sympy.expand_mul(total - exact(share) * t) != 0:
            return None
        return ZERO, exact(share), c0
    found = {1: ZERO, 2: ZERO}
    for term in moving:
        data, factors = split(term)
        rest = sympy.Mul(*factors)
        degree = 1 if rest == t else 2 if rest == t**2 else 0
        if not degree:
            return None
        found[degree] = found[degree] + data
    return found[2], found[1], c0


def reciprocal_of_sum(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """1 / (1/x + 1/y) = x - x^2 / (x + y); 1 / sum(1/x[i]) is the harmonic mean over the count."""
    if not isinstance(expression, sympy.Pow) or expression.exp != -1:
        return None
    base = expression.base
    if is_reduce(base, "sum"):
        over = base.over
        x = _reciprocal(base.body, place.within(over))
        if x is None or not place.filled(over):
            return None
        return nodes.Reduce("harmonic_mean", x, over) / count_of(over)
    if not isinstance(base, sympy.Add) or len(base.args) != 2:
        return None
    x, y = (_reciprocal(term, place) for term in base.args)
    return None if x is None or y is None else _parallel(x, y)


def product_over_sum(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """x y / (x + y) = x - x^2 / (x + y), with x and y not negative."""
    data, moving = split(expression)
    below = [f for f in moving if isinstance(f, sympy.Pow) and f.exp == -1]
    above = [f for f in moving if f not in below]
    if len(below) != 1 or len(above) != 2 or below[0].base != sympy.Add(*above):
        return None
    if not all(place.nonnegative(f) for f in above):
        return None
    return data * _parallel(*above)


def _parallel(x: sympy.Expr, y: sympy.Expr) -> sympy.Expr:
    return x - apply("square_over", x, x + y)


def _reciprocal(term: sympy.Expr, place: Place) -> sympy.Expr | None:
    """x, not negative, with term = 1 / x."""
    data, moving = split(term)
    if len(moving) != 1 or not isinstance(moving[0], sympy.Pow) or moving[0].exp != -1:
        return None
    x = moving[0].base
    positive = place.positive(data) and place.finite(data) and place.nonnegative(x)
    return x / data if positive else None
