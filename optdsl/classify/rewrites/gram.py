"""Small polynomials of degree two as sums of squares, exactly, by fractions.

x'Qx with Q = L D L' is the sum of d_k (row k of L' times x)^2. Where every d_k has one sign the form is convex or
concave, and no rounding is involved: the coefficients are taken as the fractions that they are.
"""

from __future__ import annotations

from fractions import Fraction

import sympy

from optdsl.classify.rewrites.parts import exact, separate, split
from optdsl.classify.rewrites.place import Place

LARGEST = 12
Squares = list[tuple[sympy.Expr, sympy.Expr]]
Entries = dict[tuple[sympy.Expr, sympy.Expr], Fraction]


def squares_of(expression: sympy.Expr, place: Place) -> Squares | None:
    """(weight, affine part) of squares that add up to the whole expression, constant and linear terms included."""
    constant, moving = separate(expression)
    if not constant.is_number:
        return None
    entries: Entries = {}
    one: sympy.Expr = sympy.Integer(1)
    if constant != 0:
        _add(entries, one, one, constant)
    for term in moving:
        number, factors = split(term)
        pair = _pair(factors)
        if not number.is_number or pair is None:
            return None
        _add(entries, *pair, number)
    return _factored(entries, place)


def gathered(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """The terms of degree two of a sum as squares of one sign, the others as they are."""
    if not isinstance(expression, sympy.Add):
        return None
    entries: Entries = {}
    rest, crossed = [], False
    for term in expression.args:
        number, factors = split(term)
        pair = _pair(factors)
        if not factors or pair is None or pair[0] == 1 or not number.is_number:
            rest.append(term)
            continue
        crossed |= pair[0] != pair[1]
        _add(entries, *pair, number)
    if not crossed:
        return None
    squares = _factored(entries, place)
    if squares is None or len({weight > 0 for weight, _ in squares}) > 1:
        return None
    return sympy.Add(*rest, *[weight * sympy.Pow(part, 2) for weight, part in squares])


def _pair(factors: list[sympy.Expr]) -> tuple[sympy.Expr, sympy.Expr] | None:
    """The two factors of a term of degree two, (1, x) for a term of degree one."""
    if len(factors) == 1:
        (only,) = factors
        if isinstance(only, sympy.Pow):
            return (only.base, only.base) if only.exp == 2 else None
        return sympy.Integer(1), only
    if len(factors) == 2 and not any(isinstance(f, sympy.Pow) for f in factors):
        first, second = sorted(factors, key=str)
        return first, second
    return None


def _add(entries: Entries, a: sympy.Expr, b: sympy.Expr, number: sympy.Expr) -> None:
    value = exact(number)
    share = Fraction(int(value.p), int(value.q)) if value.is_Rational else Fraction(float(value))
    share = share if a == b else share / 2
    for key in {(a, b), (b, a)}:
        entries[key] = entries.get(key, Fraction(0)) + share


def _factored(entries: Entries, place: Place) -> Squares | None:
    """Squares by elimination, the largest diagonal entry first; None where an entry off a zero diagonal remains."""
    parts = list(dict.fromkeys(a for a, _ in entries))
    if len(parts) > LARGEST or not all(part == 1 or place.affine(part) for part in parts):
        return None
    matrix = [[entries.get((a, b), Fraction(0)) for b in parts] for a in parts]
    squares: Squares = []
    left = list(range(len(parts)))
    while left:
        pivot = max(left, key=lambda k: abs(matrix[k][k]))
        diagonal = matrix[pivot][pivot]
        if diagonal == 0:
            if any(matrix[i][j] != 0 for i in left for j in left):
                return None
            break
        row = {j: matrix[pivot][j] / diagonal for j in left}
        for i in left:
            for j in left:
                matrix[i][j] -= diagonal * row[i] * row[j]
        left.remove(pivot)
        part = sympy.Add(*[_number(share) * parts[j] for j, share in row.items() if share != 0])
        squares.append((_number(diagonal), part))
    return squares


def _number(value: Fraction) -> sympy.Expr:
    return sympy.Rational(value.numerator, value.denominator)
