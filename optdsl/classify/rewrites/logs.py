"""Logarithms of products, of powers and of sums of exponentials; exponentials of logarithms.

Source: Boyd and Vandenberghe (2004), sections 3.1.5 (log-sum-exp) and 3.5 (log-concave functions).
"""

from __future__ import annotations

import sympy

from optdsl.classify.rewrites.parts import (
    ONE,
    ZERO,
    apply,
    as_log,
    as_sigmoid,
    is_apply,
    is_reduce,
    logarithm,
    separate,
    split,
)
from optdsl.classify.rewrites.place import Place, count_of
from optdsl.classify.rewrites.products import Monomial, flatten, written
from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables


def log_of_sum(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """The logarithm of a sum of exponentials and positive data, as a convex function; else None."""
    if not has_variables(expression):
        return logarithm(expression) if place.positive(expression) and place.finite(expression) else None
    if isinstance(expression, sympy.Add):
        constant, moving = separate(expression)
        parts = [log_of_sum(term, place) for term in ([*moving] if constant == 0 else [constant, *moving])]
        return None if any(p is None for p in parts) else _added(parts)
    data, factors = split(expression)
    if data != 1 or len(factors) > 1:
        if data != 1 and not (place.positive(data) and place.finite(data)):
            return None
        logs = [log_of_sum(factor, place) for factor in factors]
        return None if any(p is None for p in logs) else sympy.Add(logarithm(data), *logs)
    if is_apply(expression, "exp"):
        return expression.slots[0]
    if is_apply(expression, "cosh"):
        (a,) = expression.slots
        return apply("log_add_exp", a, -a) - apply("log", sympy.Integer(2))
    if isinstance(expression, sympy.Pow) and expression.exp.is_positive:
        inner = log_of_sum(expression.base, place)
        return None if inner is None else expression.exp * inner
    if is_reduce(expression, "sum"):
        over = expression.over
        inner = log_of_sum(expression.body, place.within(over)) if place.filled(over) else None
        return None if inner is None else nodes.Reduce("logsumexp", inner, over)
    return None


def _added(logs: list[sympy.Expr]) -> sympy.Expr:
    """log(e^a + e^b + ...); with a constant first, as softplus."""
    result, *others = logs
    for other in others:
        if not has_variables(result):
            result = result + apply("softplus", other - result)
        else:
            result = apply("log_add_exp", result, other)
    return result


def log_of_exponentials(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """log(e^a + e^b + ...) is log-sum-exp; log(e^a) is a."""
    found = as_log(expression)
    if found is None:
        return None
    scale, argument = found
    inner = log_of_sum(argument, place)
    return None if inner is None else scale * inner


def log_of_product(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """log(a b^p / c) = log a + p log b - log c where every factor is positive."""
    found = as_log(expression)
    if found is None:
        return None
    scale, argument = found
    monomial = flatten(argument, place)
    if monomial is None or (monomial.single and argument in monomial.powers and not _known_log(argument)):
        return None
    if not (place.positive(monomial.data) and place.finite(monomial.data)):
        return None
    if any(as_sigmoid(base) is None and not monomial.never_negative(base, place) for base in monomial.powers):
        return None
    logs = [power * _log(base) for base, power in monomial.powers.items()]
    return scale * sympy.Add(logarithm(monomial.data), monomial.exponent, *logs)


def _known_log(base: sympy.Expr) -> bool:
    return is_reduce(base, "prod") or as_sigmoid(base) is not None


def _log(base: sympy.Expr) -> sympy.Expr:
    share = as_sigmoid(base)
    if share is not None:
        return -apply("softplus", -share)
    if is_reduce(base, "prod"):
        return nodes.Reduce("sum", apply("log", base.body), base.over)
    return apply("log", base)


def exp_of_logs(expression: sympy.Expr, place: Place) -> sympy.Expr | None:
    """exp(p log x + q log y + ...) = x^p y^q ...: the logarithms keep x and y positive."""
    if not is_apply(expression, "exp"):
        return None
    powers: dict[sympy.Expr, sympy.Expr] = {}
    rest, factor = [], ONE
    for term in sympy.Add.make_args(expression.slots[0]):
        data, moving = split(term)
        found = as_log(moving[0]) if len(moving) == 1 else None
        if found is not None:
            scale, argument = found
            powers[argument] = powers.get(argument, ZERO) + data * scale
        elif len(moving) == 1 and is_reduce(moving[0], "sum", "mean") and as_log(moving[0].body) is not None:
            mean = _mean_of_logs(moving[0], data, place)
            if mean is None:
                return None
            factor = factor * mean
        else:
            rest.append(term)
    if not powers and factor == 1:
        return None
    remaining = sympy.Add(*rest)
    if has_variables(remaining) and factor != 1:
        return None
    data, exponent = (ONE, remaining) if has_variables(remaining) else (apply("exp", remaining), ZERO)
    if remaining == 0:
        data = ONE
    monomial = Monomial(data, exponent, powers, frozenset(powers))
    result = written(monomial, place)
    return None if result is None else factor * result


def _mean_of_logs(total: nodes.Reduce, share: sympy.Expr, place: Place) -> sympy.Expr | None:
    """exp(share * sum of log x) with share * count <= 1, as a power of the geometric mean."""
    found = as_log(total.body)
    if found is None or found[0] != 1 or not place.filled(total.over):
        return None
    count = count_of(total.over) if total.name == "sum" else ONE
    mean = nodes.Reduce("geo_mean", found[1], total.over)
    return mean_power(mean, share * count, place)


def mean_power(mean: sympy.Expr, exponent: sympy.Expr, place: Place) -> sympy.Expr | None:
    """mean ^ exponent where one rule covers it: exponents in (0, 1], or below 0."""
    values = place.values(exponent)
    if (abs(values - 1.0) <= 1e-12).all():
        return mean
    if ((values > 0) & (values < 1)).all() or (values < 0).all():
        return apply("pow", mean, exponent)
    return None
