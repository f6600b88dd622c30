"""Functions that can be undone on both sides of a relation: f(e) <= c where e <= g(c)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy

from optdsl.classify.rewrites.parts import ONE, apply, data_root, exact, logarithm, power_of, raised
from optdsl.classify.rewrites.place import Place
from optdsl.terms import nodes

Inverse = Callable[[sympy.Expr], sympy.Expr]


@dataclass(frozen=True)
class Monotone:
    """An argument under a strictly monotone function with values from `low` to `high`; `closed`: low is a value."""

    argument: sympy.Expr
    rising: bool
    low: float
    high: float
    closed: bool
    inverse: Inverse


def _two(number: int) -> Inverse:
    return lambda c: apply("exp", c * apply("log", sympy.Integer(number)))


def _logit(c: sympy.Expr) -> sympy.Expr:
    return apply("log", c / (1 - c))


def _log_of(c: sympy.Expr) -> sympy.Expr:
    return logarithm(c)


INVERSES: dict[str, tuple[float, float, bool, Inverse]] = {
    "exp": (0.0, np.inf, False, _log_of),
    "expm1": (-1.0, np.inf, False, lambda c: apply("log1p", c)),
    "log": (-np.inf, np.inf, False, lambda c: ONE if c == 0 else apply("exp", c)),
    "log2": (-np.inf, np.inf, False, _two(2)),
    "log10": (-np.inf, np.inf, False, _two(10)),
    "log1p": (-np.inf, np.inf, False, lambda c: apply("expm1", c)),
    "sqrt": (0.0, np.inf, True, lambda c: c**2),
    "cbrt": (-np.inf, np.inf, False, lambda c: c**3),
    "sinh": (-np.inf, np.inf, False, lambda c: apply("log", c + apply("hypot", c, ONE))),
    "tanh": (-1.0, 1.0, False, lambda c: apply("log", (1 + c) / (1 - c)) / 2),
    "sigmoid": (0.0, 1.0, False, _logit),
    "softplus": (0.0, np.inf, False, lambda c: apply("log", apply("expm1", c))),
    "atan": (-np.pi / 2, np.pi / 2, False, lambda c: apply("tan", c)),
}


def monotone(expression: sympy.Expr, place: Place) -> Monotone | None:
    """The outermost function, where it is strictly monotone on D and its inverse is known."""
    if isinstance(expression, nodes.Apply) and expression.name in INVERSES:
        low, high, closed, inverse = INVERSES[expression.name]
        return Monotone(expression.slots[0], True, low, high, closed, inverse)
    if isinstance(expression, nodes.Apply) and expression.name == "abs" and place.nonnegative(expression.slots[0]):
        return Monotone(expression.slots[0], True, 0.0, np.inf, True, lambda c: c)
    base, power = power_of(expression)
    if base is expression or power == 1:
        return None
    return _power(base, power, place)


def _power(base: sympy.Expr, power: sympy.Expr, place: Place) -> Monotone | None:
    values = place.values(power)
    if place.nonnegative(base) or (power.is_number and not power.is_Integer):
        if (values > 0).all():
            return Monotone(base, True, 0.0, np.inf, True, lambda c: _root(c, power))
        if (values < 0).all():
            return Monotone(base, False, 0.0, np.inf, False, lambda c: _root(c, power))
        return None
    if not power.is_Integer:
        return None
    if place.nonpositive(base):
        even, rising = power % 2 == 0, bool((power % 2 == 1) == power.is_positive)
        if even:
            return Monotone(base, rising, 0.0, np.inf, bool(power.is_positive), lambda c: -_root(c, power))
        return Monotone(base, rising, -np.inf, 0.0, False, lambda c: -_root(-c, power))
    if power.is_positive and power % 2 == 1:
        return Monotone(base, True, -np.inf, np.inf, False, lambda c: _odd_root(c, power))
    return None


def _root(c: sympy.Expr, power: sympy.Expr) -> sympy.Expr:
    """c ^ (1 / power) for c that is not negative."""
    if power == 2:
        return data_root(c)
    return c if c == 0 else raised(c, exact(ONE / power))


def _odd_root(c: sympy.Expr, power: sympy.Expr) -> sympy.Expr:
    if power == 3:
        return apply("cbrt", c)
    return apply("sign", c) * apply("pow", apply("abs", c), ONE / power)


def even_inverse(expression: sympy.Expr, place: Place) -> tuple[sympy.Expr, float, Inverse] | None:
    """(e, least value, g) of an even function with f(e) <= c where |e| <= g(c): abs, even powers, cosh."""
    if isinstance(expression, nodes.Apply) and expression.name == "abs":
        return expression.slots[0], 0.0, lambda c: c
    if isinstance(expression, nodes.Apply) and expression.name == "cosh":
        return expression.slots[0], 1.0, lambda c: apply("log", c + apply("sqrt", c**2 - 1))
    base, power = power_of(expression)
    if base is not expression and power.is_Integer and power.is_positive and power % 2 == 0:
        return base, 0.0, lambda c: _root(c, power)
    return None
