"""Quadratics of any spelling, with data of any kind: decided by numbers, in all lanes at once.

Where the exact elimination of `gram` does not reach (a matrix of data, sums over sets, many variables) the symmetric
matrix of the expression is formed and factorized, with the tolerance that `optdsl.classify.definite` states.
Source: Boyd and Vandenberghe (2004), sections 3.1.4, 3.1.5 and A.5.5.
"""

from __future__ import annotations

import math

import numpy as np
import sympy

from optdsl.classify.collect import Collector
from optdsl.classify.forms import Forms, forms_of
from optdsl.classify.rewrites.parts import apply, is_apply
from optdsl.classify.rewrites.place import Place
from optdsl.classify.sink import Auxiliary
from optdsl.terms import nodes
from optdsl.terms.frame import Frame, FrameBuilder
from optdsl.terms.nodes import has_variables


def form(expression: sympy.Expr, place: Place) -> Forms | None:
    """The matrices of an expression of degree two, one in each lane; None for anything else."""
    if not has_variables(expression) or not place.frame.size:
        return None
    key = (id(place.frame), expression)
    if key not in place.forms:
        found = None
        if _degree(expression) == 2 and _may_be_semidefinite(expression, place):
            found = _forms(expression, place, place.frame)
        place.forms[key] = (place.frame, found if found is not None and found.curved else None)
    return place.forms[key][1]


MANY, SOME = 2_000, 5
"""From so many lanes on, a few of them are looked at first: so many along each dimension."""


def _may_be_semidefinite(expression: sympy.Expr, place: Place) -> bool:
    """False where a few lanes out of many show that the matrices are not semidefinite in all lanes, of either sign."""
    if place.frame.size < MANY:
        return True
    builder = FrameBuilder(place.frame)
    for dim in range(len(place.frame.shape)):
        size = builder.frame().shape[dim]
        if size > SOME:
            chosen = np.zeros(size, dtype=bool)
            chosen[np.linspace(0, size - 1, SOME).astype(np.int64)] = True
            builder.filter(builder.frame().along(dim, chosen))
    found = _forms(expression, place, builder.frame().as_root())
    if found is None or not found.curved:
        return True
    return any(found.is_sum_of_squares(sign) or found.is_convex(sign) for sign in (1.0, -1.0))


def _forms(expression: sympy.Expr, place: Place, frame: Frame) -> Forms | None:
    return forms_of(Collector(place.facts.lanes, Auxiliary(len(place.facts.lower))), expression, frame)


def _degree(expression: sympy.Basic) -> float:
    """The degree as a look at the nodes gives it; infinite for what is no polynomial. It spares forming matrices."""
    if not has_variables(expression):
        return 0
    if isinstance(expression, nodes.VariableEntry):
        return 1
    if isinstance(expression, sympy.Pow):
        base = expression.base.slots[0] if is_apply(expression.base, "quadratic_norm") else expression.base
        if base is not expression.base:  # the root of a quadratic, squared
            return _degree(base) if expression.exp == 2 else math.inf
        return 2 * _degree(base) if expression.exp == 2 else math.inf
    if isinstance(expression, nodes.Apply):
        return _degree(expression.slots[0]) if expression.name == "convex_quadratic" else math.inf
    if isinstance(expression, nodes.Reduce):
        times = {"sum": 1, "mean": 1, "sumsq": 2}.get(expression.name, math.inf)
        return times * _degree(expression.body)
    if isinstance(expression, sympy.Mul):
        return sum(_degree(a) for a in expression.args)
    if isinstance(expression, (sympy.Add, nodes.Choose, nodes.Pick)):
        return max(_degree(a) for a in expression.args if isinstance(a, sympy.Expr))
    return math.inf


def norm_of(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """The root of a quadratic that is a sum of squares in every lane."""
    if is_apply(expression, "convex_quadratic"):
        expression = expression.slots[0]
    found = form(expression, place)
    return apply("quadratic_norm", expression) if found is not None and found.is_sum_of_squares() else None


def sign_of(expression: sympy.Expr, place: Place) -> int:
    """1 (-1) for a quadratic that is nowhere negative (positive), 0 where that is not shown."""
    found = form(expression, place)
    if found is None:
        return 0
    return 1 if found.is_sum_of_squares() else -1 if found.is_sum_of_squares(-1.0) else 0


def semidefinite(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """A quadratic as the square of a norm, or as a convex or concave quadratic; of a sum, its quadratic terms."""
    whole = _bent(expression, place)
    if whole is not None or not isinstance(expression, sympy.Add):
        return whole
    parts = [t for t in expression.args if not place.proved(t) and form(t, place) is not None]
    parts += [t for t in expression.args if t not in parts and place.proved(t) and form(t, place) is not None]
    together = _bent(sympy.Add(*parts), place) if 0 < len(parts) < len(expression.args) else None
    return None if together is None else sympy.Add(together, *[t for t in expression.args if t not in parts])


def _bent(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    found = form(expression, place)
    if found is None or place.proved(expression):
        return None
    for sign in (1, -1):
        if found.is_sum_of_squares(sign):
            return sign * sympy.Pow(apply("quadratic_norm", sign * expression), 2)
    for sign in (1, -1):
        if found.is_convex(sign):
            return sign * apply("convex_quadratic", sign * expression)
    return None
