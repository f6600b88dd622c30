"""Equivalent constraints: the same points of D, proved convex, and every step can be replayed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from optdsl.classify.rewrites import RELATION_REWRITINGS, convex_form
from optdsl.terms.show import show

from .rewriting import HEADER, Case, assert_replays, constraint, holds, points, proved_form, structures, value

RECOGNIZED: list[tuple[str, str]] = [
    # products and squares
    ("x[1] * y >= 2", "geo_mean_of_two(x[1], y) >= sqrt(2)"),
    ("y * u >= 1", "geo_mean_of_two(u, y) >= 1"),
    ("y^2 * u^3 >= 1", "weighted_geo_mean"),
    ("exp(z) <= y * u", "geo_mean_of_two(u, y)"),
    ("1 <= x[1] * y", "geo_mean_of_two(x[1], y) >= 1"),
    ("1 - x[1] * y <= 0", "geo_mean_of_two(x[1], y) >= 1"),
    ("2 * x[1] * y + 3 >= 9", "geo_mean_of_two(x[1], y)"),
    ("x[1] * y * x[2] >= 3", "weighted_geo_mean"),
    ("(y + 1) * (x[1] + 2) >= 5", "geo_mean_of_two(x[1] + 2, y + 1)"),
    ("n * (n - y) >= 2", "geo_mean_of_two(-n, y - n)"),
    ("x[1]^2 * y >= 3", "weighted_geo_mean"),
    ("y * sqrt(v) >= 1", "weighted_geo_mean"),
    ("prod(x) >= 2", "geo_mean(x[i] for i in I)"),
    ("z^2 <= y * v", "abs(z)"),
    ("y * v - z^2 >= 0", "abs(z)"),
    ("z^2 + u^2 + 1 <= y * v", "hypot(hypot(u, z), 1)"),
    ("norm2(s)^2 <= y * v", "norm2(s[i] for i in I)"),
    ("sum(s[i]^2 for i in I) <= 4 * y * v", "norm2(s[i] for i in I)"),
    ("z^2 + u^2 <= y^2", "hypot(u, z) - y <= 0"),
    ("z^4 <= y * x[1] * x[2]", "pow(abs(z), 4/3)"),
    ("y^3 <= x[1] * x[2] * x[3]", "weighted_geo_mean"),
    ("y * y <= x[1] * x[2]", "y - geo_mean_of_two(x[1], x[2]) <= 0"),
    ("(z + u)^2 <= (y + 1) * (v + 2)", "abs(u + z)"),
    ("y >= z^2 / v", "square_over(z, v)"),
    ("v / z^2 >= 3", "abs(z)"),
    ("sqrt(y * v) >= z", "geo_mean_of_two(v, y)"),
    ("sqrt(y * v) >= abs(z)", "geo_mean_of_two(v, y)"),
    ("sqrt(y * v) / x[2] >= 1", "geo_mean_of_two(v, y)"),
    # monotone functions
    ("sqrt(z^2 + u) <= 2", "u + z^2 <= 4"),
    ("sqrt(z^2 + 3) <= 2", "hypot"),
    ("exp(z + u) = 2", "u + z = log(2)"),
    ("exp(z) >= 2", "z >= log(2)"),
    ("2 * exp(z) + 1 >= 4", "z >= "),
    ("1 <= exp(z) <= 4", "0 <= z <= log(4)"),
    ("log(z) <= 3", "z <= exp(3)"),
    ("-1 <= log(z + u) <= 1", "exp(-1) <= u + z <= exp(1)"),
    ("log1p(z) <= 1", "z <= expm1(1)"),
    ("expm1(z) >= 1", "z >= log1p(1)"),
    ("log10(z) <= 2", "z <= exp(2 * log(10))"),
    ("z^3 <= 8", "z <= cbrt(8)"),
    ("z^3 >= -8", "z >= cbrt(-8)"),
    ("z^5 = 3", "z = "),
    ("cbrt(z) <= 2", "z <= 8"),
    ("y^2 >= 4", "y >= 2"),
    ("n^2 >= 4", "n <= -2"),
    ("n^3 <= -8", "n <= "),
    ("1 / y >= 2", "y <= 1/2"),
    ("y^-2 >= 4", "y <= "),
    ("1 / n <= -2", "n >= -1/2"),
    ("sigmoid(z) >= 0.9", "z >= "),
    ("1 / (1 + exp(-z)) >= 0.9", "exp(-z) + 1 <= "),
    ("tanh(z) <= 0.5", "z <= "),
    ("sinh(z) <= 0.5", "z <= "),
    ("softplus(z) >= 0.5", "z >= "),
    ("atan(z) <= 1", "z <= tan(1)"),
    ("sqrt(y) <= 2", "y <= 4"),
    ("y^0.3 <= 2", "y <= pow(2, 10/3)"),
    ("ceil(z) <= 2.5", "z <= floor(2.5)"),
    ("floor(z) >= 1.5", "z >= ceil(1.5)"),
    ("log(z)^2 <= 4", "exp(-2) <= z <= exp(2)"),
    ("abs(log(z)) <= 1", "exp(-1) <= z <= exp(1)"),
    ("abs(z^3) <= 8", "cbrt"),
    ("cosh(z^3) <= 2", "z"),
    # sides that are implied
    ("abs(z) = 0", "abs(z) <= 0"),
    ("norm2(s) = 0", "norm2(s[i] for i in I) <= 0"),
    ("z^2 = 0", "z^2 <= 0"),
    ("x[1] * y >= -1", "always holds"),
    ("-1 <= exp(z) <= 3", "exp(z) <= 3"),
    # quotients
    ("y / v <= 3", "1/3 * y - v <= 0"),
    ("y / v >= 3", "v"),
    ("z / v >= 3", "z - 3 * v >= 0"),
    ("z / n <= 3", "n"),
    ("(z + 1) / (y + v + 1) <= 3", "<= 0"),
    ("norm2(s) / y <= 2", "norm2(s[i] for i in I)"),
    ("y / (y + v) >= 0.3", "<= 0"),
    ("z / v <= 2 + u / v", "<= 0"),
    ("z / u = 2", "z - 2 * u = 0"),
    ("1 <= z / v <= 2", "and"),
    ("1 / y <= 1 / v", "v"),
    # logarithms
    ("log(z) - log(u) <= 1", "z"),
    ("log(z) - log(u) = 1", "= 0"),
    ("2 * log(z) + log(u) - 3 * log(y) >= 1", "weighted_geo_mean(u, z, 1/3)"),
    ("log(z) - log(u) <= 0", "z - u <= 0"),
    ("-1 <= log(y) - log(v) <= 1", "and"),
    # the same function on both sides
    ("exp(z) <= exp(u)", "z - u <= 0"),
    ("2 * exp(z) = 6 * exp(u)", "= 0"),
    ("sqrt(z) <= sqrt(u)", "z - u <= 0"),
    ("sqrt(y) = 2 * sqrt(v)", "= 0"),
    ("z^3 <= u^3", "z - u <= 0"),
    ("exp(z) + exp(u) <= exp(y)", "log_add_exp"),
    ("sum(exp(s[i] - z) for i in I) <= exp(u)", "logsumexp"),
    ("2 * exp(z) + 1 <= 3 * exp(u)", "softplus"),
    # extremes
    ("max(log(z), y / v) <= 2", "and"),
    ("min(exp(z), v / y) >= 2", "and"),
    # normalized only
    ("z^2 / y <= 5", "square_over(z, y) <= 5"),
    ("log(1 + exp(z)) <= 1", "softplus(z) <= 1"),
    ("1 / (y * v) <= 3", "geo_mean_of_two"),
]


@pytest.mark.parametrize(("text", "becomes"), RECOGNIZED, ids=[text for text, _ in RECOGNIZED])
def test_recognized(text: str, becomes: str) -> None:
    case = constraint(text)
    form = proved_form(case)
    assert form is not None
    assert becomes in structures(form.relations)
    where = points(case)
    assert len(where) >= 10
    assert_replays(case, form.steps, where)
    if "=" in text.replace("<=", "").replace(">=", ""):
        assert_equalities_meet(case, form.relations)


def assert_equalities_meet(case: Case, relations: tuple) -> None:
    """Between points on both sides of the original equality, its solution solves the new one (or D has none there)."""
    (relation,) = relations
    where = points(case)

    def gap(point: np.ndarray, which: tuple) -> float:
        lanes = case.model.lanes.with_values(point)
        return float(value(lanes, which[0], case.frame)) - float(value(lanes, which[2], case.frame))

    original = (case.body, case.lower, case.upper)
    tried = 0
    for first in where[:12]:
        for second in where[:12]:
            if not gap(first, original) < 0 < gap(second, original):
                continue
            low, high = first, second
            for _ in range(80):
                middle = (low + high) / 2
                low, high = (middle, high) if gap(middle, original) < 0 else (low, middle)
            if abs(gap(low, original)) < 1e-9:  # not a pole
                assert abs(gap(low, relation)) < 1e-6
                tried += 1
    zero = np.zeros(case.model.columns)
    if not tried:
        assert gap(zero, original) == 0
        assert gap(zero, relation) == 0


@pytest.mark.parametrize("text", [text for text, _ in RECOGNIZED])
def test_what_is_proved_is_a_convex_set(text: str) -> None:
    """Between two points of D that satisfy the constraint as written, the points in between do."""
    case = constraint(text)
    original = [(case.body, case.lower, case.upper)]
    good = [p for p in points(case, 200, seed=5) if holds(case, case.model.lanes.with_values(p), original)]
    for first, second in pairwise(good):
        for weight in (0.5, 0.1, 0.9):
            middle = weight * first + (1 - weight) * second
            lanes = case.model.lanes.with_values(middle)
            if np.isfinite(value(lanes, case.body, case.frame)).all():
                assert holds(case, lanes, original) is not False


NEAR_MISSES = [
    "y * v <= 1", "y * v >= z", "3 <= y * v <= 5", "y * v = 1", "z^2 >= y * v", "y * v * x[1] >= z^2",
    "z * u >= 1", "u * y >= 0", "u^2 * y >= 1", "n * y >= 1",
    "z^2 + u^2 <= z * u * y", "z^2 <= y * u", "y^2 <= x[1] * x[2] * x[3]",
    "z^2 - u^2 <= y^2", "z^2 >= 1", "abs(z) >= 1", "norm2(s) >= 1", "log(y) <= z", "exp(z) >= u", "y >= sqrt(v) * z",
    "z / u <= 2", "z / y <= u", "y / v <= z", "y * v / x[1] >= 2", "exp(z) = u", "z^2 = 1", "abs(z) = 1",
    "log(y * v) = 1", "log(z) + log(u) <= 1", "exp(z) + exp(u) >= 1", "exp(z) + exp(u) = 2", "exp(z) - exp(u) <= 1",
    "max(z, u) >= 1", "min(z, u) <= 1", "1 / z >= 1", "1 / y + 1 / v >= 1", "1 / z <= 1 / u", "y * v >= y * x[1]",
    "sumsq(s) / z >= z", "y / z >= z", "cos(z) >= 0.5", "floor(z) <= 2", "sqrt(z) >= u^2 * y",
    "sigmoid(z) + sigmoid(u) >= 1",    "sqrt(z) + sqrt(u) <= 1", "prod(s) >= 1", "y^0.5 + v^0.5 <= 2",
]


@pytest.mark.parametrize("text", NEAR_MISSES)
def test_near_misses_are_not_proved(text: str) -> None:
    case = constraint(text)
    assert proved_form(case) is None


@pytest.mark.parametrize(("good", "bad"), [
    ("x[i] * y >= a[i]", "x[i] * s[i] >= none[i]"),
    ("s[i]^2 <= a[i] * y * v", "s[i]^2 <= mixed[i] * y * v"),
    ("exp(s[i]) >= a[i]", "exp(s[i]) >= mixed[i]"),
    ("s[i] / y <= mixed[i]", "s[i] / (y - a[i]) <= mixed[i]"),
    ("a[i] * log(s[i]) <= 2", "mixed[i] * log(s[i]) <= 2"),
    ("log(s[i])^2 <= none[i]", "log(s[i])^2 <= mixed[i]"),
])
def test_every_lane_counts(good: str, bad: str) -> None:
    """Families: proved where every index allows it, not where one does not."""
    case = constraint(good, indexed="[i in I]")
    form = proved_form(case)
    assert form is not None
    assert_replays(case, form.steps, points(case))
    assert proved_form(constraint(bad, indexed="[i in I]")) is None


def test_conditions_of_the_original_are_kept() -> None:
    def kept(text: str) -> set[tuple[str, str]]:
        case = constraint(text)
        form = convex_form(case.body, case.lower, case.upper, case.frame, case.facts)
        assert form is not None
        return {(c.kind, show(c.expression)) for c in form.keeps}

    assert kept("log(z) <= 3") == {("positive", "z")}
    assert kept("sqrt(z^2 + u) <= 2") == {("nonnegative", "u + z^2")}
    assert kept("z / u = 2") == {("nonzero", "u")}
    assert kept("exp(z) >= 2") == set()
    assert kept("y * v >= 1") == set()


def test_bounds_decide() -> None:
    wide = HEADER.replace("var y >= 0", "var y").replace("var v >= 0", "var v")
    for text in ("y * v >= 1", "y / v <= 3", "z^2 <= y * v", "y^2 >= 4", "1 / y >= 2", "y * y <= v * v"):
        assert proved_form(constraint(text)) is not None
        assert proved_form(constraint(text, wide)) is None


def test_every_rewriting_is_used_by_a_case() -> None:
    used = set()
    for text, _ in RECOGNIZED:
        case = constraint(text)
        form = convex_form(case.body, case.lower, case.upper, case.frame, case.facts)
        assert form is not None
        used |= {step.rule for step in form.steps}
    assert {rewriting.rule for rewriting in RELATION_REWRITINGS} <= used
