"""The conditions that an expression's own functions bring, and those that a rewriting would lose."""

from __future__ import annotations

from collections.abc import Iterator

import sympy

from optdsl.classify.rewrites.forms import sign_of
from optdsl.classify.rewrites.parts import as_sigmoid
from optdsl.classify.rewrites.place import Place
from optdsl.model.model import DomainCondition
from optdsl.model.powers import power_conditions
from optdsl.terms import nodes
from optdsl.terms.nodes import Over, has_variables

BRINGS: dict[str, tuple[tuple[int, str], ...]] = {
    "log": ((0, "positive"),), "log2": ((0, "positive"),), "log10": ((0, "positive"),),
    "sqrt": ((0, "nonnegative"),), "entr": ((0, "nonnegative"),), "xlogx": ((0, "nonnegative"),),
    "rel_entr": ((0, "nonnegative"), (1, "nonnegative")), "kl_div": ((0, "nonnegative"), (1, "nonnegative")),
    "exp_perspective": ((1, "positive"),), "square_over": ((1, "positive"),), "power_over": ((1, "positive"),),
    "geo_mean_of_two": ((0, "nonnegative"), (1, "nonnegative")),
    "weighted_geo_mean": ((0, "nonnegative"), (1, "nonnegative")),
}
STRONGER = {"positive": ("positive",), "nonnegative": ("nonnegative", "positive"), "nonzero": ("nonzero", "positive")}

Key = tuple[str, sympy.Expr, tuple[Over, ...]]


def brought(expression: sympy.Basic, overs: tuple[Over, ...] = ()) -> Iterator[Key]:
    """(kind, expression, iterations around it) of every condition that a part of the expression brings."""
    if not has_variables(expression):
        return
    if isinstance(expression, sympy.Pow) and expression.exp.is_negative:
        yield "nonzero", expression.base, overs
    elif isinstance(expression, nodes.Apply):
        for position, kind in BRINGS.get(expression.name, ()):
            yield kind, expression.slots[position], overs
        if expression.name == "hyperbolic_root":
            yield "nonnegative", expression.slots[0] ** 2 - expression.slots[1] ** 2, overs
        if expression.name == "log1p":
            yield "positive", 1 + expression.slots[0], overs
        if expression.name == "pow" and not expression.slots[1].is_number and not has_variables(expression.slots[1]):
            for condition in power_conditions(*expression.slots):
                yield condition.kind, condition.expression, (*overs, *condition.overs)
        elif expression.name == "pow" and not expression.slots[1].is_Integer:
            yield "positive" if expression.slots[1].is_negative else "nonnegative", expression.slots[0], overs
    elif isinstance(expression, nodes.Reduce):
        inner = (*overs, expression.over)
        if expression.name in ("geo_mean", "harmonic_mean"):
            yield "nonnegative", expression.body, inner
        yield from brought(expression.body, inner)
        return
    elif isinstance(expression, nodes.Choose):
        condition, then, otherwise = expression.args
        yield from brought(then, (*overs, nodes.over((), (condition,))))
        yield from brought(otherwise, (*overs, nodes.over((), (nodes.Logic("not", condition),))))
        return
    for argument in expression.args:
        yield from brought(argument, overs)


def lost(before: sympy.Expr, after: sympy.Expr, place: Place) -> tuple[DomainCondition, ...]:
    """The conditions of `before` that neither `after` brings nor the bounds imply."""
    kept = set(brought(after))
    found = []
    for kind, expression, overs in dict.fromkeys(brought(before)):
        if any((stronger, expression, overs) in kept for stronger in STRONGER[kind]):
            continue
        if not overs and implied(kind, expression, place):
            continue
        if has_variables(expression):
            found.append(DomainCondition(kind, expression, (*place.path, *overs)))
    return tuple(found)


def implied(kind: str, expression: sympy.Expr, place: Place) -> bool:
    """Whether a condition holds everywhere on D, by the expression's form or bounds."""
    if surely_positive(expression, place):
        return True
    if kind == "nonnegative":
        return place.nonnegative(expression) or sign_of(expression, place) > 0
    box = place.box(expression)
    return bool((box.lo > 0).all()) or (kind == "nonzero" and bool((box.hi < 0).all()))


def surely_positive(expression: sympy.Expr, place: Place) -> bool:
    """Whether the form alone says that the expression is positive where it is defined."""
    if not has_variables(expression):
        return place.positive(expression)
    if as_sigmoid(expression) is not None:
        return True
    if isinstance(expression, nodes.Apply):
        return expression.name in ("exp", "cosh", "softplus", "sigmoid")
    if isinstance(expression, sympy.Pow):
        return surely_positive(expression.base, place)
    if isinstance(expression, sympy.Mul):
        return all(surely_positive(f, place) for f in expression.args)
    if isinstance(expression, sympy.Add):
        positive = [surely_positive(t, place) for t in expression.args]
        return any(positive) and all(
            p or place.nonnegative(t) for p, t in zip(positive, expression.args, strict=True)
        )
    if isinstance(expression, nodes.Reduce):
        inner = place.within(expression.over)
        filled = expression.name == "prod" or place.filled(expression.over)
        keeps_sign = expression.name in ("sum", "prod", "mean", "max", "min")
        return keeps_sign and filled and surely_positive(expression.body, inner)
    return False


def holds_on_convex_set(kind: str, expression: sympy.Expr, place: Place) -> bool:
    """Whether the points of D where a condition holds are a convex set, by the expression's sign, form or curvature.

    A concave expression is nonnegative, and positive, on a convex set. Where it is nowhere negative, it is positive
    where it is not 0, which need not be convex: x^2 is so on two half-lines.
    """
    fact = place.facts.find(expression, place.frame)
    if kind == "nonnegative":
        return bool(((fact.lo >= 0) | fact.concave).all()) or sign_of(expression, place) > 0
    if kind == "positive":
        return _positive_on_convex_set(expression, place)
    falling = bool((fact.hi <= 0).all())
    signed = falling or place.nonnegative(expression)
    return signed and _positive_on_convex_set(-expression if falling else expression, place)


def _positive_on_convex_set(expression: sympy.Expr, place: Place) -> bool:
    fact = place.facts.find(expression, place.frame)
    if bool(((fact.lo > 0) | fact.concave).all()) or surely_positive(expression, place):
        return True
    if isinstance(expression, sympy.Pow):
        return place.nonnegative(expression.base) and _positive_on_convex_set(expression.base, place)
    if isinstance(expression, sympy.Mul):
        return all(place.nonnegative(f) and _positive_on_convex_set(f, place) for f in expression.args)
    if isinstance(expression, nodes.Reduce) and expression.name in ("prod", "min"):
        inner = place.within(expression.over)
        return inner.nonnegative(expression.body) and _positive_on_convex_set(expression.body, inner)
    if isinstance(expression, nodes.Apply) and expression.name in ("sqrt", "pow", "cbrt", "sinh", "tanh", "expm1"):
        base = expression.slots[0]
        return place.nonnegative(base) and _positive_on_convex_set(base, place)
    return False
