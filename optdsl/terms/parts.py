"""Taking products and powers apart."""

from __future__ import annotations

import numpy as np
import sympy

from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables

ONE, HALF = sympy.Integer(1), sympy.Rational(1, 2)


def split(expression: sympy.Expr) -> tuple[sympy.Expr, list[sympy.Expr]]:
    """The factor of data, and the factors with variables."""
    factors = sympy.Mul.make_args(expression)
    moving = [f for f in factors if has_variables(f)]
    return sympy.Mul(*[f for f in factors if not has_variables(f)]), moving


def is_apply(expression: sympy.Basic, *names: str) -> bool:
    return isinstance(expression, nodes.Apply) and expression.name in names


def is_reduce(expression: sympy.Basic, *names: str) -> bool:
    return isinstance(expression, nodes.Reduce) and expression.name in names


def exact(number: sympy.Expr) -> sympy.Expr:
    """A decimal number as the fraction that it was written as; anything else as it is."""
    if number.is_Float and np.isfinite(float(number)):
        return sympy.Rational(repr(float(number)))
    if number.is_number and number.has(sympy.Float):
        return sympy.nsimplify(number, rational=True) if not number.has(nodes.Node) else number
    return number


def power_of(expression: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Base and exponent (data): (x, 2) of x^2, (x, 1/2) of sqrt(x), (x, 1) of x."""
    if isinstance(expression, sympy.Pow):
        return expression.base, expression.exp
    if is_apply(expression, "sqrt"):
        return expression.slots[0], HALF
    if is_apply(expression, "pow") and not has_variables(expression.slots[1]):
        return expression.slots[0], exact(expression.slots[1])
    return expression, ONE
