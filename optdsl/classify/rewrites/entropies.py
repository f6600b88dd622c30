"""Sums of x log x, x log(x / y) and their like: entropies.

Source: Boyd and Vandenberghe (2004), sections 3.1.5 and 3.2.6 (example 3.19, relative entropy).
"""

from __future__ import annotations

import sympy

from optdsl.classify.rewrites.parts import ZERO, apply, as_log, is_apply, logarithm, split
from optdsl.classify.rewrites.perspectives import cleared, divides
from optdsl.classify.rewrites.place import Place
from optdsl.terms.nodes import has_variables

Piece = tuple[sympy.Expr, sympy.Expr, sympy.Expr]
"""coefficient (data), x, z: the term coefficient * x * log(z)."""


def entropy(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """x (log x - log y) is the relative entropy, x log x the negative entropy."""
    parsed = _pieces(expression, place)
    if parsed is None:
        return None
    pieces, rest = parsed
    return _joined(pieces, rest, place)


def sum_of_entropies(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """x log x - x log y, spread over the terms of a sum, is the relative entropy."""
    if not isinstance(expression, sympy.Add):
        return None
    pieces: list[Piece] = []
    rest = []
    for term in expression.args:
        parsed = None if place.proved(term) and not _is_entropy(term) else _pieces(term, place)
        if parsed is None:
            rest.append(term)
        else:
            pieces += parsed[0]
            rest += parsed[1]
    if len(pieces) < 2:
        return None
    return _joined(pieces, rest, place, partly=True)


def _is_entropy(term: sympy.Expr) -> bool:
    return any(is_apply(f, "xlogx", "entr") for f in sympy.Mul.make_args(term))


def _pieces(term: sympy.Expr, place: Place) -> tuple[list[Piece], list[sympy.Expr]] | None:
    data, moving = split(term)
    if len(moving) == 1 and is_apply(moving[0], "xlogx", "entr"):
        (x,) = moving[0].slots
        return [(data if moving[0].name == "xlogx" else -data, x, x)], []
    for factor in moving:
        x = sympy.Mul(*[f for f in moving if f is not factor])
        logs = _logs(factor)
        if logs is not None and x != 1:
            pieces = [piece for share, z in logs[0] for piece in _undivided(data * share, x, z, place)]
            return pieces, [data * part * x for part in logs[1]]
    return None


def _undivided(coefficient: sympy.Expr, x: sympy.Expr, z: sympy.Expr, place: Place) -> list[Piece]:
    """x log(z) with z = w / x and x >= 0 as x log(w) - x log(x)."""
    if z / x != 1 and divides(z, x) and place.nonnegative(x):
        w = cleared(z, x)
        if w is not None and has_variables(w / x):
            return [(coefficient, x, w), (-coefficient, x, x)]
    return [(coefficient, x, z)]


def _logs(factor: sympy.Expr) -> tuple[list[tuple[sympy.Expr, sympy.Expr]], list[sympy.Expr]] | None:
    """(share, z) with factor = sum of share * log(z), and terms of data; None where there is anything else."""
    logs, rest = [], []
    for term in sympy.Add.make_args(factor):
        data, moving = split(term)
        found = as_log(moving[0]) if len(moving) == 1 else None
        if not moving:
            rest.append(term)
        elif found is None:
            return None
        else:
            logs.append((data * found[0], found[1]))
    return (logs, rest) if logs else None


def _joined(pieces: list[Piece], rest: list[sympy.Expr], place: Place, partly: bool = False) -> sympy.Expr | None:
    """sum over y of b rel_entr(x, y), and what is left of x log x. Every x occurs in a logarithm, so it is positive."""
    own: dict[sympy.Expr, sympy.Expr] = {}
    others: dict[sympy.Expr, dict[sympy.Expr, sympy.Expr]] = {}
    for coefficient, x, z in pieces:
        ratio = z / x
        if has_variables(ratio):
            others.setdefault(x, {})
            others[x][z] = others[x].get(z, ZERO) + coefficient
            continue
        if not (place.positive(ratio) and place.finite(ratio)):
            return None
        own[x] = own.get(x, ZERO) + coefficient
        rest = [*rest, coefficient * logarithm(ratio) * x]
    if not own or (not partly and set(others) - set(own)) or (partly and not set(others) & set(own)):
        return None
    result = list(rest)
    for x in dict.fromkeys([*own, *others]):
        found = others.get(x, {})
        if x not in own:
            result += [coefficient * x * apply("log", z) for z, coefficient in found.items()]
            continue
        result += [-coefficient * apply("rel_entr", x, z) for z, coefficient in found.items()]
        result.append(sympy.Add(own[x], *found.values()) * apply("xlogx", x))
    return sympy.Add(*result)
