"""Relations between products of powers: roots of both sides, one of them a geometric mean.

Sources: Boyd and Vandenberghe (2004), section 4.4.2; Lobo, Vandenberghe, Boyd and Lebret (1998), section 2.3
(hyperbolic constraints).
"""

from __future__ import annotations

import sympy

from optdsl.classify.rewrites.conditions import surely_positive
from optdsl.classify.rewrites.norms import leg, size_of
from optdsl.classify.rewrites.parts import ONE, ZERO, apply, as_log, exact, is_reduce, raised, separate, split
from optdsl.classify.rewrites.place import Place, count_of
from optdsl.classify.rewrites.products import Monomial, flatten, geometric_mean
from optdsl.classify.rewrites.relation import Bounded, Side, is_equality, peeled, sides_apart
from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables


def exponentiated(relation: Bounded, place: Place) -> tuple[Bounded, ...] | None:
    """A sum of logarithms is the logarithm of a product of powers; every argument is positive."""
    found = peeled(relation, place)
    if found is None or not isinstance(found[0], sympy.Add):
        return None
    body, lower, upper = found
    powers: dict[sympy.Expr, sympy.Expr] = {}
    for term in body.args:
        data, moving = split(term)
        log = as_log(moving[0]) if len(moving) == 1 else None
        if log is None:
            return None
        powers[log[1]] = powers.get(log[1], ZERO) + exact(data * log[0])
    if is_equality(relation, place):
        return _equal_logs(powers, lower)
    result: list[Bounded] = []
    for side, sign in ((lower, -1), (upper, 1)):
        if side is None:
            continue
        signed = Monomial(ONE, ZERO, {b: sign * p for b, p in powers.items()}, frozenset(powers))
        bound = ONE if side == 0 else apply("exp", sign * side)
        crossed = _crossed(signed, Monomial(bound, ZERO, {}, frozenset()), place)
        if crossed is None:
            return None
        result.append(crossed)
    return tuple(result)


def _equal_logs(powers: dict[sympy.Expr, sympy.Expr], side: Side) -> tuple[Bounded, ...] | None:
    """p log(a) - p log(b) = c where a = exp(c / p) b."""
    if len(powers) != 2 or side is None:
        return None
    (a, p), (b, q) = powers.items()
    if p + q != 0:
        return None
    factor = ONE if side == 0 else apply("exp", side / p)
    return ((a - factor * b, ZERO, ZERO),)


def by_geometric_mean(relation: Bounded, place: Place) -> tuple[Bounded, ...] | None:
    """a <= c x^p y^q with everything positive: the root of order p + q of both sides, the right a geometric mean."""
    apart = sides_apart(relation, place)
    if apart is None:
        return None
    left, right = apart
    if not has_variables(right):
        found = None if right == 0 else _crossed(flatten(left, place), Monomial(right, ZERO, {}, frozenset()), place)
        return None if found is None else (found,)
    constant, moving = separate(right)
    power = flatten(right, place) if constant == 0 and len(moving) == 1 else None
    if power is None or power.exponent != 0 or not power.powers:
        return None
    if all(_positive_power(p, place) for p in power.powers.values()):
        found = _root_of_order(left, power.powers, power.data, power, place)
    else:
        found = None if isinstance(left, sympy.Add) else _crossed(flatten(left, place), power, place)
    return None if found is None else (found,)


def _positive_power(power: sympy.Expr, place: Place) -> bool:
    return bool((place.values(power) > 0).all())


def _crossed(left: Monomial | None, right: Monomial, place: Place) -> Bounded | None:
    """left <= right, both products of powers: negative powers are multiplied away (nothing else is cancelled)."""
    if left is None or left.exponent != 0 or not place.positive(left.data) or not place.finite(left.data):
        return None
    known = Monomial(ONE, ZERO, {**left.powers, **right.powers}, left.natural | right.natural)
    up: dict[sympy.Expr, sympy.Expr] = {}
    down: dict[sympy.Expr, sympy.Expr] = {}
    for powers, same, other in ((left.powers, up, down), (right.powers, down, up)):
        for base, power in powers.items():
            positive = _positive_power(power, place)
            even = power.is_Integer and power % 2 == 0
            if not positive and not (_positive_power(-power, place) and (even or known.never_negative(base, place))):
                return None
            target, share = (same, power) if positive else (other, -power)
            target[base] = target.get(base, ZERO) + share
    if not down:
        return None
    if any(not known.never_negative(b, place) for b in down):
        return None
    top = sympy.Mul(*[raised(b, p) for b, p in up.items()])
    return _root_of_order(top, down, right.data / left.data, known, place)


def _root_of_order(
    left: sympy.Expr, powers: dict[sympy.Expr, sympy.Expr], data: sympy.Expr, known: Monomial, place: Place
) -> Bounded | None:
    """left <= data * product of positive powers, as left^(1/s) <= data^(1/s) * geometric mean, s the sum of powers.

    Where the left side is positive so is the product; a single factor whose sign is not known is then positive too.
    """
    if not (place.positive(data) and place.finite(data)):
        return None
    open_ = [b for b in powers if not known.never_negative(b, place)]
    if open_ and not (len(open_) == 1 and _decides(open_[0], powers[open_[0]]) and surely_positive(left, place)):
        return None
    known = Monomial(known.data, known.exponent, known.powers, known.natural | frozenset(open_))
    if any(is_reduce(b, "prod") for b in powers):
        return _root_of_prod(left, powers, data, place)
    mean, order = geometric_mean(powers, place)
    if mean is None or not order.is_number:
        return None
    scale = ONE / data if order == 1 else raised(ONE / data, exact(ONE / order))
    if not has_variables(left):
        root = left if order == 1 else raised(left, exact(ONE / order))
        return (mean, root * scale, None) if place.nonnegative(left) else None
    found = _convex_root(left, order, known, place)
    return None if found is None else (found * scale - mean, None, ZERO)


def _decides(base: sympy.Expr, power: sympy.Expr) -> bool:
    """Whether the sign of base ^ power is that of the base; that of a product says nothing of its members."""
    return not is_reduce(base, "prod") and bool(power.is_Integer) and power % 2 == 1


def _root_of_prod(
    left: sympy.Expr, powers: dict[sympy.Expr, sympy.Expr], data: sympy.Expr, place: Place
) -> Bounded | None:
    """left <= data * prod(x)^p, left of data: the geometric mean of the members is at least the root."""
    ((base, power), *others) = powers.items()
    over = base.over if is_reduce(base, "prod") else None
    if others or over is None or has_variables(left) or not place.nonnegative(left) or not place.filled(over):
        return None
    mean = nodes.Reduce("geo_mean", base.body, over)
    return mean, apply("pow", left / data, ONE / (power * count_of(over))), None


def _convex_root(left: sympy.Expr, order: sympy.Expr, known: Monomial, place: Place) -> sympy.Expr | None:
    """left^(1/order), convex where the parts of left are affine; left is never negative."""
    found = leg(left, place)
    if found is not None and order <= 2:
        return raised(size_of(found, place), exact(2 / order))
    monomial = flatten(left, place)
    if monomial is None or not monomial.single or not place.positive(monomial.data):
        return None
    ((base, power),) = monomial.powers.items()
    if not power.is_number or power < order or is_reduce(base, "prod"):
        return None
    if not (monomial.never_negative(base, place) or base in known.natural):
        if not (power.is_Integer and power % 2 == 0):
            return None
        base = apply("abs", base)
    scale = ONE if monomial.data == 1 else raised(monomial.data, exact(ONE / order))
    return scale * raised(base, exact(power / order))
