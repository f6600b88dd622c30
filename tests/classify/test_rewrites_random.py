"""Random expressions and constraints made of the patterns and of noise: values, sets and proofs stay true."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from optdsl.classify.rewrites import relation_forms
from optdsl.errors import OptError

from .rewriting import (
    Case,
    assert_equal_on,
    assert_replays,
    assert_same_set,
    constraint,
    curvature,
    holds,
    normal_form,
    objective,
    points,
    value,
)

HEADER = """
set I = 1..3
param a[I] = [1, 2, 3]
param mixed[I] = [1, -2, 0]
var x[I] >= 0
var y >= 0
var v >= 1, <= 4
var n <= 0
var s[I]
var z
var u
"""
LEAVES = ("z", "u", "y", "v", "n", "x[1]", "s[2]", "2", "0.5", "1", "-1", "3")
INDEXED = ("s[i]", "x[i]", "a[i]", "mixed[i]", "z", "y", "v", "2")
PATTERNS = (
    "sqrt({0})", "sqrt(1 + ({0})^2)", "sqrt(({0})^2 + ({1})^2)", "({0})^2", "({0})^3", "({0})^-1", "({0})^-2",
    "({0})^0.5", "({0})^1.5", "({0})^-0.5", "({0}) / ({1})", "({0})^2 / ({1})", "({0}) * ({1})", "({0}) * log({0})",
    "({0}) * log(({0}) / ({1}))", "({0}) * (log({0}) - log({1}))", "({0}) * log({0}) - ({0}) * log({1})", "log({0})",
    "log(({0}) * ({1}))", "log(1 + exp({0}))", "log(exp({0}) + exp({1}))", "exp({0})", "exp({0}) * exp({1})",
    "exp(log({0}) + log({1}))", "abs({0})", "sqrt(({0}) * ({1}))", "({0})^0.3 * ({1})^0.7", "1 / (({0}) * ({1}))",
    "({0}) + ({1})", "({0}) - ({1})", "-({0})", "max({0}, {1})", "min({0}, {1})", "({0}) / (1 + ({0}))",
    "({0}) * ({1}) / (({0}) + ({1}))", "1 / (1 / ({0}) + 1 / ({1}))", "({0})^2 + ({0}) * ({1}) + ({1})^2",
    "cosh({0})", "sigmoid({0})", "(({0})^2)^0.75", "sqrt({0}) * ({1})", "(({0}) - ({1})) * (({0}) - ({1}))",
    "cbrt({0})", "expm1({0})", "log1p({0})", "sinh({0})", "softplus({0})", "log2({0})",
)
REDUCED = (
    "sum({0} for i in I)", "sqrt(sum(({0})^2 for i in I))", "log(sum(exp({0}) for i in I))", "prod({0} for i in I)",
    "prod({0} for i in I)^(1/3)", "sum(({0})^2 for i in I) / ({1})", "1 / sum(1 / ({0}) for i in I)",
    "max({0} for i in I)", "norm2({0} for i in I)^2", "exp(sum(log({0}) for i in I) / 3)",
    "(sum(abs({0})^3 for i in I))^(1/3)", "sum({0} if mixed[i] > 0 else ({0})^2 for i in I)",
)


def _expressions(leaves: tuple[str, ...], patterns: tuple[str, ...], deepest: int) -> st.SearchStrategy[str]:
    tree = st.sampled_from(leaves)
    for _ in range(deepest):
        tree = st.sampled_from(leaves) | st.builds(str.format, st.sampled_from(patterns), tree, tree)
    return tree


INNER = _expressions(INDEXED, PATTERNS, 1)
OUTER = _expressions(LEAVES, PATTERNS, 1)
TREES = st.one_of(
    _expressions(LEAVES, PATTERNS, 2),
    _expressions(LEAVES, PATTERNS, 3),
    st.builds(str.format, st.sampled_from(REDUCED), INNER, OUTER),
    st.builds(
        lambda outer, reduced, inner, leaf: outer.format(reduced.format(inner, leaf), leaf),
        st.sampled_from(PATTERNS), st.sampled_from(REDUCED), INNER, st.sampled_from(LEAVES),
    ),
)
RELATIONS = st.builds("{} {} {}".format, TREES, st.sampled_from(("<=", ">=")), _expressions(LEAVES, PATTERNS, 1))
ROUNDING = 1e-7  # random parts cancel: x - x^2 / (x + y) is small where x is large
FEW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=20000)


def made(build, text: str) -> Case | None:
    """The case, or None where the text is refused (a division by zero, data outside a domain)."""
    try:
        return build(text, HEADER)
    except OptError:
        return None


def try_expression(text: str) -> None:
    case = made(objective, text)
    if case is None:
        return
    where = [p for p in points(case, 12, seed=1) if small(case, p)]
    if not where:
        return  # not a number anywhere
    after, steps = normal_form(case)
    assert_equal_on(case, case.body, after, case.frame, where, ROUNDING)
    assert_replays(case, steps, where, ROUNDING)
    sign = float(curvature(case, after))
    if np.isnan(sign):
        return
    for first, second in pairwise(where):
        start, end, between = (at(case, p) for p in (first, second, (first + second) / 2))
        slack = 1e-8 * (1 + abs(start) + abs(end))
        if np.isfinite(between):
            assert sign < 0 or between <= (start + end) / 2 + slack
            assert sign > 0 or between >= (start + end) / 2 - slack


def at(case: Case, point: np.ndarray) -> float:
    return float(value(case.model.lanes.with_values(point), case.body, case.frame))


def small(case: Case, point: np.ndarray) -> bool:
    """Where the numbers are of a size that rounding leaves alone."""
    return abs(at(case, point)) < 1e6 and bool(np.abs(point[point != 0]).min(initial=1.0) > 1e-3)


def try_relation(text: str) -> None:
    case = made(constraint, text)
    if case is None:
        return
    where = [p for p in points(case, 12, seed=1) if small(case, p)]
    sides = [value(case.model.lanes, side, case.frame) for side in (case.lower, case.upper) if side is not None]
    if not where or np.isnan(sides).any():
        return  # not a number anywhere
    original = [(case.body, case.lower, case.upper)]
    for form in relation_forms(case.body, case.lower, case.upper, case.frame, case.facts):
        assert_same_set(case, original, form.relations, where)
        if not form.proved:
            continue
        assert_replays(case, form.steps, where, ROUNDING)
        good = [p for p in where if holds(case, case.model.lanes.with_values(p), original)]
        for first, second in pairwise(good):
            middle = case.model.lanes.with_values((first + second) / 2)
            if np.isfinite(value(middle, case.body, case.frame)).all():
                assert holds(case, middle, original) is not False


@FEW
@given(TREES)
def test_values_and_proofs(text: str) -> None:
    try_expression(text)


@FEW
@given(RELATIONS)
@example("sqrt((prod(mixed[i] for i in I))^2 + (y)^2) >= v")  # data that are 0 hide the sign of their factor
def test_sets_and_proofs(text: str) -> None:
    try_relation(text)


@pytest.mark.nightly
@MANY
@given(TREES)
def test_values_and_proofs_of_many(text: str) -> None:
    try_expression(text)


@pytest.mark.nightly
@MANY
@given(RELATIONS)
def test_sets_and_proofs_of_many(text: str) -> None:
    try_relation(text)
