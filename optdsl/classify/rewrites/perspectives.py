"""Perspectives t f(x / t), and logarithms of differences of exponentials.

Source: Boyd and Vandenberghe (2004), sections 3.2.6 (perspective of a function) and 3.1.5.
"""

from __future__ import annotations

import sympy

from optdsl.classify.rewrites.norms import leg
from optdsl.classify.rewrites.parts import (
    HALF,
    ONE,
    apply,
    as_log,
    exact,
    is_apply,
    is_reduce,
    logarithm,
    power_of,
    raised,
    separate,
    split,
)
from optdsl.classify.rewrites.place import Place
from optdsl.terms.nodes import has_variables

OF_DEGREE_ONE = ("abs", "hypot", "max", "min", "pos", "relu")
GROUPS_OF_DEGREE_ONE = ("norm1", "norm2", "norminf", "max", "min", "norm", "sum_largest")


def cleared(expression: sympy.Expr, t: sympy.Expr, power: sympy.Expr = ONE) -> sympy.Expr | None:
    """expression * t^power multiplied out; None where t is still divided by."""
    result = sympy.expand_mul(expression * t**power)
    return None if divides(result, t) else result


def divides(expression: sympy.Basic, t: sympy.Expr) -> bool:
    """Whether the expression divides by t somewhere."""
    return any(p.base == t and p.exp.is_negative for p in expression.atoms(sympy.Pow))


def perspective(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """t f(x / t) with t >= 0: t exp(x / t), t (x / t)^p, and functions of degree one, whose factor goes inside."""
    data, moving = split(expression)
    for t in moving:
        others = [f for f in moving if f is not t]
        inside = [f for f in others if divides(f, t) and not isinstance(f, sympy.Pow)]
        inside += [f for f in others if isinstance(f, sympy.Pow) and f.base != t and divides(f.base, t)]
        if len(inside) != 1 or not place.nonnegative(t):
            continue
        found = _with_factor_inside(inside[0], t)
        if found is not None:
            return data * found * sympy.Mul(*[f for f in others if f is not inside[0]])
    return None


def _with_factor_inside(function: sympy.Expr, t: sympy.Expr) -> sympy.Expr | None:
    if is_apply(function, "exp"):
        inner = cleared(function.slots[0], t)
        return None if inner is None else apply("exp_perspective", inner, t)
    if is_apply(function, *OF_DEGREE_ONE):
        parts = [cleared(a, t) for a in function.slots]
        return None if any(p is None for p in parts) else apply(function.name, *parts)
    if is_reduce(function, *GROUPS_OF_DEGREE_ONE):
        body = cleared(function.body, t)
        return None if body is None else function.func(function.name, body, *function.args[2:])
    base, power = power_of(function)
    if base is function or not power.is_number or not power.is_positive:
        return None
    order = exact(ONE / power)
    inner = cleared(base, t, order) if order.is_Integer else None
    return None if inner is None else raised(inner, power)


def log_of_difference(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """log(k e^a - e^b - ...) = a + log(k - e^(b - a) - ...): the logarithm of a concave function."""
    found = as_log(expression)
    if found is None or not isinstance(found[1], sympy.Add):
        return None
    scale, argument = found
    constant, moving = separate(argument)
    parts = [split(term) for term in moving]
    if not all(len(f) == 1 and is_apply(f[0], "exp") for _, f in parts):
        return None
    above = [(d, f[0].slots[0]) for d, f in parts if place.positive(d)]
    below = [(d, f[0].slots[0]) for d, f in parts if place.nonpositive(d)]
    if len(above) != 1 or len(above) + len(below) != len(parts) or not place.nonpositive(constant):
        return None
    ((k, a),) = above
    if constant != 0:
        below.append((constant, sympy.Integer(0)))
    rest = sympy.Add(k, *[d * apply("exp", b - a) for d, b in below])
    return scale * (a + apply("log", rest)) if has_variables(rest) else scale * (a + logarithm(rest))


def root_of_difference(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """sqrt(u^2 - v^2 - ...) with u >= 0: concave, a cone in u and the norm of the others."""
    base, power = power_of(expression)
    if not power.is_number or not 0 < power <= HALF or not isinstance(base, sympy.Add):
        return None
    terms = base.args
    above = [t for t in terms if place.nonnegative(split(t)[0]) and _size(t, place) is not None]
    below = [t for t in terms if t not in above]
    if len(above) != 1 or not below:
        return None
    u, v = _size(above[0], place), leg(-sympy.Add(*below), place)
    if u is None or v is None or not place.nonnegative(u):
        return None
    return raised(apply("hyperbolic_root", u, v), exact(2 * power))


def _size(term: sympy.Expr, place: Place) -> sympy.Expr | None:
    """An affine u, not negative, with u^2 the term."""
    if not has_variables(term):
        return leg(term, place)
    found = leg(term, place)
    if found is None or not place.affine(found):
        return None
    return found if place.nonnegative(found) else -found if place.nonpositive(found) else None


__all__ = ["cleared", "divides", "log_of_difference", "perspective", "root_of_difference"]
