"""Products of powers: geometric means, their negative powers, and perspectives.

Of positive x and y: x^p y^q is concave for p, q > 0 with p + q <= 1 and convex for p, q < 0; x^p / y^q is convex for
p >= 1 + q. Each is written as a power of a (weighted) geometric mean or as |u|^s / v^(s - 1), so that the composition
rule proves it. Sources: Boyd and Vandenberghe (2004), sections 3.1.5, 3.2.6, exercises 3.16 and 3.30 of the additional
exercises; Agrawal, Diamond and Boyd (2019) for the spellings that people use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from optdsl.classify.rewrites.norms import leg, size_of
from optdsl.classify.rewrites.parts import (
    HALF,
    ONE,
    ZERO,
    apply,
    as_log,
    exact,
    is_apply,
    is_reduce,
    plain,
    power_of,
    raised,
)
from optdsl.classify.rewrites.place import Place, count_of
from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables

CLOSE = 1e-12


@dataclass(frozen=True, eq=False)
class Monomial:
    """data * exp(exponent) * product of base ^ power; `natural` bases are never negative by their own domain."""

    data: sympy.Expr
    exponent: sympy.Expr
    powers: dict[sympy.Expr, sympy.Expr]
    natural: frozenset[sympy.Expr]

    @property
    def single(self) -> bool:
        return len(self.powers) == 1 and self.exponent == 0

    def never_negative(self, base: sympy.Expr, place: Place) -> bool:
        if is_reduce(base, "prod"):
            # that the product is not negative says nothing about its members
            return place.within(base.over).nonnegative(base.body)
        return base in self.natural or place.nonnegative(base)


class _Flat:
    """Gathers factors; `failed` where a power cannot be taken apart without changing the domain."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.data: sympy.Expr = ONE
        self.exponent: sympy.Expr = ZERO
        self.powers: dict[sympy.Expr, sympy.Expr] = {}
        self.natural: set[sympy.Expr] = set()
        self.failed = False

    def take(self, expression: sympy.Expr, power: sympy.Expr) -> None:
        if not has_variables(expression):
            self._data(expression, power)
            return
        whole = bool(power.is_Integer)
        if isinstance(expression, sympy.Mul):
            if whole:
                for factor in expression.args:
                    self.take(factor, power)
            else:
                self._under_root(expression.args, power)
            return
        if is_apply(expression, "exp"):
            self.exponent = self.exponent + power * expression.slots[0]
            return
        base, inner = power_of(expression)
        if base is expression or inner == 1:
            self._base(expression, power)
            return
        self._power(base, inner, power)

    def _under_root(self, factors: Sequence[sympy.Expr], power: sympy.Expr) -> None:
        """Factors under a root: those that are never positive turn their sign; fails where signs are unknown."""
        turned = [f for f in factors if not self._signed(f)]
        if len(turned) % 2 or not all(self.place.nonpositive(f) for f in turned):
            self.failed = True
            return
        for factor in factors:
            if factor not in turned:
                self.take(factor, power)
            elif has_variables(factor):
                self._base(-factor, power)
            else:
                self._data(-factor, power)

    def _signed(self, factor: sympy.Expr) -> bool:
        """Whether a factor under a root is never negative."""
        base, inner = power_of(factor)
        natural = has_variables(factor) and base is not factor and not self._whole(inner)
        return natural or self.place.nonnegative(factor)

    def _whole(self, exponent: sympy.Expr) -> bool:
        if exponent.is_number:
            return bool(exponent.is_Integer)
        values = self.place.values(exponent)
        return bool((values == np.round(values)).any())

    def _data(self, data: sympy.Expr, power: sympy.Expr) -> None:
        if not power.is_Integer and not self.place.nonnegative(data):
            self.failed = True
            return
        self.data = self.data * raised(data, power)

    def _power(self, base: sympy.Expr, inner: sympy.Expr, power: sympy.Expr) -> None:
        """(base ^ inner) ^ power."""
        if not self._whole(inner):
            self.natural.add(base)  # a root of it is taken, so it is not negative on the domain
        elif power.is_Integer and inner.is_Integer:
            pass
        elif inner.is_Integer and inner % 2 == 0:
            base = size_of(base, self.place)
        elif inner.is_Integer:
            self.natural.add(base)  # an odd power under a root has the sign of its base
        elif not self.place.nonnegative(base):
            self.failed = True
            return
        if isinstance(base, sympy.Mul) or is_apply(base, "exp", "sqrt", "pow") or isinstance(base, sympy.Pow):
            self.take(base, inner * power)
        else:
            self._base(base, inner * power)

    def _base(self, base: sympy.Expr, power: sympy.Expr) -> None:
        if not power.is_Integer and power.is_number:
            self.natural.add(base)
        if power.is_Integer and base not in self.natural and self.place.nonpositive(base):
            # the language's power of a negative number: signs come out
            self.data = self.data * (-1) ** power
            base = -base
        self.powers[base] = self.powers.get(base, ZERO) + power


def flatten(expression: sympy.Expr, place: Place) -> Monomial | None:
    """The expression as one product of powers; None where a root of factors of unknown sign cannot be split."""
    flat = _Flat(place)
    flat.take(expression, ONE)
    if flat.failed:
        return None
    powers = {base: exact(power) for base, power in flat.powers.items() if power != 0}
    return Monomial(flat.data, flat.exponent, powers, frozenset(flat.natural))


def product_of_powers(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """x^p y^q ... as a form with known curvature, where its exponents have one."""
    if isinstance(expression, sympy.Mul) and any(_entropic(f) for f in expression.args):
        return None
    monomial = flatten(expression, place)
    if monomial is None:
        return None
    result = written(monomial, place)
    return None if result == expression else result


def _entropic(factor: sympy.Expr) -> bool:
    return as_log(factor) is not None or (isinstance(factor, sympy.Add) and factor.has(nodes.Apply) and any(
        as_log(part) is not None for term in factor.args for part in sympy.Mul.make_args(term)
    ))


def written(monomial: Monomial, place: Place) -> sympy.Expr | None:
    """The product in a form that the composition rule knows; None where its exponents fit none."""
    powers = monomial.powers
    if any(not monomial.never_negative(b, place) for b in powers) and not _one_signed_numerator(monomial, place):
        return None
    signs = {base: _sign(power, place) for base, power in powers.items()}
    if any(sign is None for sign in signs.values()):
        return None
    if monomial.exponent != 0:
        if any(sign == 1 for sign in signs.values()):
            return None
        logs = [power * apply("log", base) for base, power in powers.items()]
        return monomial.data * apply("exp", sympy.Add(monomial.exponent, *logs))
    if not powers:
        return monomial.data
    core = _one_base(monomial, place) if len(powers) == 1 else _several(monomial, signs, place)  # type: ignore[arg-type]
    return None if core is None else monomial.data * core


def _one_signed_numerator(monomial: Monomial, place: Place) -> bool:
    """Only one factor has no known sign; it stands above, with an even whole power, so that its size will do."""
    unsigned = [b for b in monomial.powers if not monomial.never_negative(b, place)]
    (power, *others) = (monomial.powers[b] for b in unsigned)
    if others or _sign(power, place) != 1:
        return False
    even = power.is_Integer and power % 2 == 0
    return bool(even or (len(monomial.powers) > 1 and power == 1 and leg(unsigned[0], place) is not None))


def _sign(power: sympy.Expr, place: Place) -> int | None:
    values = place.values(power)
    return 1 if (values > 0).all() else -1 if (values < 0).all() else None


def _one_base(monomial: Monomial, place: Place) -> sympy.Expr | None:
    ((base, power),) = monomial.powers.items()
    if is_reduce(base, "prod"):
        return _power_of_prod(base, power, place)
    if place.nonnegative(base) or base in monomial.natural or power.is_Integer:
        return raised(base, power)
    return None


def _power_of_prod(base: sympy.Expr, power: sympy.Expr, place: Place) -> sympy.Expr | None:
    over = base.over
    if not place.filled(over):
        return None
    total = power * count_of(over)
    values = place.values(total)
    mean = nodes.Reduce("geo_mean", base.body, over)
    if (np.abs(values - 1.0) <= CLOSE).all():
        return mean
    if ((values > 0) & (values < 1)).all() or (values < 0).all():
        return apply("pow", mean, total)
    return None


def _several(monomial: Monomial, signs: dict[sympy.Expr, int], place: Place) -> sympy.Expr | None:
    powers = monomial.powers
    above = {b: p for b, p in powers.items() if signs[b] > 0}
    below = {b: -p for b, p in powers.items() if signs[b] < 0}
    if any(is_reduce(base, "prod") for base in powers):
        return None
    if not below:
        mean, total = geometric_mean(above, place)
        values = place.values(total)
        if mean is None or (values > 1 + CLOSE).any():
            return None
        return mean if (np.abs(values - 1.0) <= CLOSE).all() else raised(mean, total)
    mean, total = geometric_mean(below, place)
    if mean is None:
        return None
    if not above:
        return raised(mean, -total)
    if len(above) > 1:
        return None
    ((numerator, power),) = above.items()
    return _over(numerator, power, mean, total, monomial, place)


def _over(
    numerator: sympy.Expr, power: sympy.Expr, mean: sympy.Expr, total: sympy.Expr, monomial: Monomial, place: Place
) -> sympy.Expr | None:
    """numerator^power / mean^total with power >= 1 + total: |u|^s / v^(s - 1) with s = 1 + total."""
    wanted = exact(1 + total)
    if (place.values(power - wanted) < -CLOSE).any():
        root = leg(numerator, place)
        if root is None or (place.values(2 * power - wanted) < -CLOSE).any():
            return None
        numerator, power = root, 2 * power
    ratio = exact(power / wanted)
    if ratio.is_number and abs(float(ratio) - 1.0) <= CLOSE:
        top = numerator
    elif ratio.is_number:
        signed = numerator in monomial.natural or place.nonnegative(numerator)
        top = raised(numerator if signed else apply("abs", numerator), ratio)
    else:
        return None
    return apply("square_over", top, mean) if wanted == 2 else apply("power_over", top, mean, plain(wanted))


def geometric_mean(
    powers: dict[sympy.Expr, sympy.Expr], place: Place
) -> tuple[sympy.Expr | None, sympy.Expr]:
    """(weighted geometric mean, sum of the powers) of positive powers."""
    (mean, total), *others = sorted(powers.items(), key=lambda item: str(item[0]))
    for base, power in others:
        weight = exact(total / (total + power))
        total = exact(total + power)
        if weight == HALF:
            mean = apply("geo_mean_of_two", mean, base)
            continue
        if not ((place.values(weight) > 0) & (place.values(weight) < 1)).all():
            return None, total
        mean = apply("weighted_geo_mean", mean, base, plain(weight))
    return mean, total
