"""Taking expressions apart and putting them together; nothing here looks at bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import sympy

from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables
from optdsl.terms.parts import HALF, exact, is_apply, is_reduce, power_of, split

ONE, ZERO = sympy.Integer(1), sympy.Integer(0)



def separate(expression: sympy.Expr) -> tuple[sympy.Expr, list[sympy.Expr]]:
    """The term of data, and the terms with variables."""
    terms = sympy.Add.make_args(expression)
    moving = [t for t in terms if has_variables(t)]
    return sympy.Add(*[t for t in terms if not has_variables(t)]), moving


def apply(name: str, *arguments: sympy.Expr) -> sympy.Expr:
    return nodes.Apply(name, *arguments)





def plain(number: sympy.Expr) -> sympy.Expr:
    """A fraction as a decimal number where it is none of the short ones."""
    if number.is_Rational and not number.is_Integer and number.q > 64:
        return sympy.Float(float(number))
    return number



def raised(base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    """base ^ exponent in the language's form: SymPy's power for whole numbers, `sqrt`, else `pow`."""
    if exponent == 0:
        return ONE
    if exponent.is_Integer:
        return sympy.Pow(base, exponent)
    if base == 1:
        return ONE
    return apply("sqrt", base) if exponent == HALF else apply("pow", base, plain(exponent))


def data_root(data: sympy.Expr, never_negative: Callable[[sympy.Expr], bool] | None = None) -> sympy.Expr:
    """A square root of data that is not negative; of p^2 it may be p itself.

    Of c p^2 it may be p sqrt(c) where c is not negative: where p is 0, c may have any sign. `never_negative` tells.
    """
    if data.is_Rational:
        root = sympy.sqrt(data)
        return root if root.is_Rational else apply("sqrt", data)
    if isinstance(data, sympy.Pow) and data.exp.is_Integer and data.exp % 2 == 0:
        return raised(data.base, data.exp / 2)
    if isinstance(data, sympy.Mul):
        squares = [f for f in data.args if isinstance(f, sympy.Pow) and f.exp.is_Integer and f.exp % 2 == 0]
        rest = sympy.Mul(*[f for f in data.args if f not in squares])
        fits = rest >= 0 if rest.is_number else never_negative is not None and never_negative(rest)
        if squares and fits:
            return sympy.Mul(data_root(rest), *[data_root(f) for f in squares])
    return apply("sqrt", data)


def logarithm(data: sympy.Expr) -> sympy.Expr:
    """The logarithm of data."""
    if data == 1:
        return ZERO
    return data.slots[0] if is_apply(data, "exp") else apply("log", data)


def as_log(expression: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr] | None:
    """(scale, argument) with expression = scale * log(argument), for every spelling of the logarithm."""
    if not isinstance(expression, nodes.Apply):
        return None
    (argument, *_) = expression.slots
    if expression.name == "log":
        return ONE, argument
    if expression.name == "log1p":
        return ONE, 1 + argument
    if expression.name in ("log2", "log10"):
        return 1 / apply("log", sympy.Integer(int(expression.name[3:]))), argument
    return None


def as_sigmoid(expression: sympy.Expr) -> sympy.Expr | None:
    """a with expression = 1 / (1 + e^-a), however that is written; None for anything else."""
    if is_apply(expression, "sigmoid"):
        return expression.slots[0]
    if isinstance(expression, sympy.Pow):
        inner = _one_and_exponential(expression.base) if expression.exp == -1 else None
        return None if inner is None else -inner
    if isinstance(expression, sympy.Mul) and len(expression.args) == 2:
        below = [f for f in expression.args if isinstance(f, sympy.Pow) and f.exp == -1]
        above = [f for f in expression.args if is_apply(f, "exp")]
        inner = _one_and_exponential(below[0].base) if below and above else None
        return inner if inner is not None and inner == above[0].slots[0] else None
    constant, moving = separate(expression)
    if constant == 1 and len(moving) == 1:
        inner = as_sigmoid(-moving[0])
        return None if inner is None else -inner
    return None


def _one_and_exponential(expression: sympy.Expr) -> sympy.Expr | None:
    """b of 1 + e^b."""
    constant, moving = separate(expression)
    return moving[0].slots[0] if constant == 1 and len(moving) == 1 and is_apply(moving[0], "exp") else None


def hypot(legs: Iterable[sympy.Expr]) -> sympy.Expr:
    """sqrt(a^2 + b^2 + ...) of any number of legs."""
    first, *others = legs
    result = first
    for leg in others:
        result = apply("hypot", result, leg)
    return result


__all__ = [
    "HALF", "ONE", "ZERO", "apply", "as_log", "as_sigmoid", "data_root", "exact", "hypot", "is_apply", "is_reduce",
    "logarithm", "plain", "power_of", "raised", "separate", "split",
]
