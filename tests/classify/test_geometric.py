"""What is a geometric program and what only looks like one: the reason and the place."""

from __future__ import annotations

import pytest

from tests.convex.geometric_models import geometric, model_of, refused

HEAD = """
set I = 1..3
param w[I] = [1, -2, 3]
var x >= 0
var y >= 0
var z[I] >= 0
var f
var g in [-1, 4]
"""

# text, reason, the part, the lane
NEAR_MISSES = [
    ("minimize x * y - x", "a term with a minus sign", "x", ""),
    ("minimize x * y + f", "may be negative", "f", ""),
    ("minimize x * y + g^2", "may be negative", "g", ""),
    ("var n >= 0, integer\nminimize x * y + n", "is integer", None, ""),
    ("maximize x * y + x", "a sum of 2 terms is maximized", "x * y + x", ""),
    ("minimize 3 - x * y - x", "a sum of 2 terms is subtracted", "3 - x * y - x", ""),
    ("minimize sum(w[i] * z[i]^2 for i in I)", "a term with a minus sign", "z[i]^2", " at i = 2"),
    ("minimize x^y", "a variable in the exponent", "x^y", ""),
    ("minimize x * sin(y)", "`sin`", "sin(y)", ""),
    ("minimize x / (1 - y)", "not known to be positive", "1 - y", ""),
    ("minimize 1 / max(x, y)", "a maximum may not stand on the greater side", "max(x, y)", ""),
    ("minimize min(x, y)", "a minimum may not stand on the smaller side", "min(x, y)", ""),
    ("minimize x\nsubject to\n  c: x * y + x = 2", "a sum of 2 terms in an equality", "x", ""),
    ("minimize x\nsubject to\n  c: max(x, y) = 2", "a maximum where a single term is needed", "max(x, y)", ""),
    ("minimize x\nsubject to\n  c: x * y + x >= 2", "2 terms on the greater side", "x", ""),
    ("minimize x\nsubject to\n  c: 1 / (x + y) <= 2", "a sum of 2 terms may not be on the greater side", "x + y", ""),
    ("minimize x\nsubject to\n  c: x * y <= 0", "positive terms would have to be 0", "x * y", ""),
    ("minimize x\nsubject to\n  c: x * y = 0", "positive terms would have to be 0", "x * y", ""),
    ("minimize x\nsubject to\n  c: 2 <= x + x * y <= 5", "2 terms on the greater side", None, ""),
    ("minimize x\nsubject to\n  c[i in I]: w[i] * z[i] * x + z[i] + y <= 3", "2 terms on the greater side",
     "w[i] * z[i] * x", " at i = 2"),
    ("minimize x\nsubject to\n  c[i in I]: w[i] * z[i] + y <= 3 * x", "2 terms on the greater side",
     "z[i]", " at i = 2"),
    ("minimize x\nsubject to\n  c[i in I]: sum(w[j] * z[j] * y for j in I if j >= i) + x^2 <= 3 + y",
     "3 terms on the greater side", "w[j] * z[j] * y", " at i = 1, j = 2"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason", "part", "lane"), NEAR_MISSES)
def test_near_miss(text: str, reason: str, part: str | None, lane: str) -> None:
    found = refused(HEAD + text)
    assert reason in found.reason
    source = HEAD + text
    if part is not None:
        assert part in source[found.span.start : found.span.end]
    assert found.lane.startswith(lane) if lane else found.lane == ""


ROUNDED = """
param a = 0.1
param b = 0.2
param c = 0.3
minimize x
subject to
  d: a * x * y + b * x * y + y >= 2 + c * x * y
"""

TAKEN = [
    "minimize x * y + 3",
    "minimize x * y - 3",
    "minimize x * y - 2 * x * y + 3 * x * y + y",  # like terms, together positive
    "maximize 2 / (x + y)",
    "minimize (x + y)^2 * (x + 1) / y",
    "minimize sum(abs(w[i]) * z[i]^w[i] for i in I)",  # exponents of either sign by data
    "minimize sum((z[i] + 1)^w[i] if i != 2 else z[i] for i in I)",
    "minimize max(z) * y + norm2(z) + norm1(z) + norminf(z) + sumsq(z) + geo_mean(z) + mean(z[i] for i in I)",
    "minimize x\nsubject to\n  c: 3 * x * y + y >= 2 + 3 * x * y",  # like terms cancel
    ROUNDED,
    "minimize x\nsubject to\n  c[i in I]: prod(z[j] for j in I if j != i) >= i",
    "minimize x\nsubject to\n  c[i in I]: w[i] * z[i] <= 3 * x",
    "minimize x\nsubject to\n  c: x * y = 1\n  d: 2 / x = y",
    "minimize x\nsubject to\n  c: x * y >= -3",
    "minimize x\nsubject to\n  c: min(x, y, 3) / (x + y) >= 0.1",
    "minimize pow(x, 2.5) + sqrt(y) + cbrt(x) + square(y) + inv(x + y^-1) * 0 + exp(x * y) + hypot(x, y)",
    "var u in [0, 0.5]\nminimize x / (1 - u) + 1 / (x * u)",
]  # fmt: skip


@pytest.mark.parametrize("text", TAKEN)
def test_taken(text: str) -> None:
    geometric(HEAD + text)


def test_cancelled_terms_are_not_left_behind() -> None:
    found = geometric(HEAD + ROUNDED)
    (family,) = found.families
    assert family.linear and family.terms.size == 1


def test_bounds_from_elsewhere() -> None:
    """A variable counts as positive by what is known of it, not by its declaration alone."""
    from optdsl.classify.facts import Facts
    from optdsl.classify.geometric import Geometric, recognize_geometric

    model = model_of("var x\nvar y >= 0\nminimize x * y + 1 / y\nsubject to\n  a: x >= 2")
    facts = Facts.of(model)
    facts.lower[0] = 2.0
    assert isinstance(recognize_geometric(model, facts), Geometric)


def test_a_matrix_inequality_is_none() -> None:
    assert "matrix" in refused("var P[1..2, 1..2] symmetric, >= 0\nminimize P[1, 2]\nsubject to\n  c: P >> 0").reason


def test_many_lanes_at_once() -> None:
    """The work grows with the text: a hundred thousand monomials within a second or so, on any machine in a few."""
    import time

    model = model_of(
        """
        set I = 1..300
        set J = 1..300
        var x[I] >= 0
        var y[J] >= 0
        minimize sum(x[i] for i in I) + sum(y[j] for j in J)
        subject to
          c[i in I]: sum((1 + mod(i * j, 7)) * x[i]^2 * y[j]^-0.5 / (i + j) for j in J) <= x[i]^3
        """
    )
    from optdsl.classify.geometric import Geometric, recognize_geometric

    began = time.perf_counter()
    found = recognize_geometric(model)
    assert isinstance(found, Geometric) and found.families[0].terms.size == 90_000
    assert time.perf_counter() - began < 60
