"""Concave means: products of powers whose exponents add up to at most 1, and roots of sums of powers below 1.

Of nonnegative x: prod(x_i ^ a_i) with a_i >= 0 adding up to at most 1 (Boyd and Vandenberghe, 2004, section 3.1.5),
and (sum of w_i x_i ^ p) ^ (1 / p) with p < 1, p != 0 (exercise 3.18; Arrow, Chenery, Minhas and Solow, 1961).
"""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from optdsl.classify.rewrites.parts import ONE, apply, exact, is_apply, is_reduce, power_of, raised, split
from optdsl.classify.rewrites.place import Place
from optdsl.terms import nodes

CLOSE = 1e-12


def weighted_product(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """A product of powers, some of them over a set, with exponents of data that add up to at most 1."""
    base, power = power_of(expression)
    data, factors = split(base)
    factors = [f.slots[0] if is_apply(f, "concave_mean") else f for f in factors]
    if power != 1 and data != 1:
        return None
    if not any(is_reduce(power_of(f)[0], "prod") for f in factors):
        return None
    exponents = sympy.Integer(0)
    for factor in factors:
        found = _exponents(factor, place)
        if found is None:
            return None
        exponents = exponents + power * found
    if not (place.values(exponents) <= 1 + CLOSE).all():
        return None
    core = sympy.Mul(*factors)
    return data * apply("concave_mean", core if power == 1 else raised(core, power))


def _exponents(factor: sympy.Expr, place: Place) -> sympy.Expr | None:
    """The sum of the exponents of a factor's bases, all concave and not negative; None where that is not known."""
    base, power = power_of(factor)
    if not (place.values(power) >= 0).all():
        return None
    if is_reduce(base, "prod"):
        inner = place.within(base.over)
        data, members = split(base.body)
        shares = [_exponents(m, inner) for m in members]
        if data != 1 or any(s is None for s in shares):
            return None
        return power * nodes.Reduce("sum", sympy.Add(*shares), base.over)
    return power if _fits(base, place) else None


def _fits(base: sympy.Expr, place: Place) -> bool:
    fact = place.facts.find(base, place.frame)
    return bool((fact.concave & (fact.lo >= 0)).all())


def power_mean(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """(sum of w x^p)^q with 0 < p < 1 <= q or p, q < 0, and p q <= 1: a power of a concave mean."""
    total, q = power_of(expression)
    if not q.is_number or not (q > 1 or q < 0) or not isinstance(total, (sympy.Add, nodes.Reduce)):
        return None
    powers = set()
    for weight, base, power, inner in terms_of(total, place):
        if base is None or not power.is_number or not (inner.positive(weight) and inner.finite(weight)):
            return None
        if not _fits(base, inner):
            return None
        powers.add(exact(power))
    if len(powers) != 1:
        return None
    (p,) = powers
    order = exact(p * exact(q))
    if not (p < 1 and p != 0 and 0 < order <= 1 + CLOSE):
        return None
    mean = apply("concave_mean", raised(total, exact(ONE / p)))
    return mean if abs(float(order) - 1.0) <= CLOSE else raised(mean, order)


def terms_of(
    total: sympy.Expr, place: Place
) -> Iterator[tuple[sympy.Expr, sympy.Expr | None, sympy.Expr, Place]]:
    """(weight, base, power, where) of the terms of a sum of powers; base None for anything else."""
    for term in sympy.Add.make_args(total):
        data, moving = split(term)
        if len(moving) != 1:
            yield data, None, ONE, place
        elif is_reduce(moving[0], "sum"):
            inner = place.within(moving[0].over)
            for weight, base, power, where in terms_of(moving[0].body, inner):
                yield data * weight, base, power, where
        else:
            base, power = power_of(moving[0])
            yield data, base, power, place


__all__ = ["power_mean", "terms_of", "weighted_product"]
