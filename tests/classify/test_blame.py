"""The part that is blamed, where it stands, why, and that what is advised makes the model convex."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest

import optdsl
from optdsl.classify.blame.hints import HINTS

from .blame_table import WRONG, Row

HEADER = """set I = 1..3
param a[I] = [1, -2, 3]
param Q[I, I] symmetric = [[1, 2, 0], [2, 1, 0], [0, 0, 1]]
set J = 1..2
param C[I, J] = [[1, 2], [-2, 1], [3, 0]]
"""


def text_of(line: str) -> str:
    """The model that a line of the table stands for."""
    declarations, _, rest = line.partition(" | ")
    objective, _, constraints = rest.partition(" subject to ")
    variables = "".join(f"var {d.strip()}\n" for d in declarations.split(";"))
    rows = "".join(f"  {c.strip()}\n" for c in constraints.split(";") if c)
    return HEADER + variables + objective + "\n" + (f"subject to\n{rows}" if rows else "")


def check(text: str) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return json.loads(optdsl.parse(text).check().to_json())


@pytest.mark.parametrize("row", WRONG, ids=[row[0] for row in WRONG])
def test_blame(row: Row) -> None:
    line, part, column, why, rewrite, _ = row
    text = text_of(line)
    verdict = check(text)
    assert verdict["class"]["convexity"] != "convex"
    broken = [s for s in verdict["statements"] if not s["ok"]]
    blame = broken[0]["blame"]
    assert blame["expr"] == part
    assert blame["column"] == column
    assert text.splitlines()[blame["line"] - 1][column - 1 :].startswith(part)
    assert blame["why"].endswith(f"is not proved convex: {why}")
    assert blame["rewrite"] == rewrite
    assert bool(broken[0]["proof"]) == ("form" in broken[0])


@pytest.mark.parametrize("row", [r for r in WRONG if r[-1]], ids=[r[0] for r in WRONG if r[-1]])
def test_what_is_advised_is_convex(row: Row) -> None:
    verdict = check(text_of(str(row[-1])))
    assert verdict["class"]["convexity"] == "convex"
    assert all(s["ok"] and s["proof"] for s in verdict["statements"])


def test_the_table_is_long_enough() -> None:
    assert len(WRONG) >= 40
    assert sum(row[-1] is not None for row in WRONG) >= 25
    assert len({row[4] for row in WRONG}) >= 20
    assert len(HINTS) >= 12


def test_the_whole_is_shown_under_the_text() -> None:
    """`check` prints every broken part with a caret below it."""
    text = text_of("x in [-2, 2]; y in [0, 3] | minimize f: x^3 subject to c: x * y = 1; d: abs(x) >= 1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown = str(optdsl.parse(text).check())
    for part in ("x^3", "x * y", "abs(x)"):
        lines = shown.splitlines()
        (at,) = [k for k, line in enumerate(lines) if part in line and "|" in line]
        assert "^" * len(part) in lines[at + 1]
        assert lines[at + 1].index("^") == lines[at].index(part)


def test_a_problem_that_is_solved_otherwise_is_not_drawn_as_wrong() -> None:
    shown = str(optdsl.parse(text_of("x >= 0; y >= 0 | minimize f: x + 1/(x*y) + y subject to c: x*y <= 4")).check())
    assert ("<-" not in shown and "logarithms" in shown) or "convex" in shown
    shown = str(optdsl.parse(text_of("x in [1, 4]; y in [1, 4] | minimize f: x / y + y")).check())
    assert "<-" not in shown
    assert "log-log convex" in shown and "geometric program" in shown
    shown = str(optdsl.parse(text_of("x in [1, 4]; y in [1, 4] | minimize f: (x + 1) / (y - 7)")).check())
    assert "<-" not in shown


@pytest.mark.parametrize(
    ("relation", "curvature", "sign"),
    [
        ("0 <= x", "affine", "nonpositive"),
        ("x >= 0", "affine", "nonnegative"),
        ("1 <= x^2", "concave", "unknown"),
        ("x^2 <= 1", "convex", "unknown"),
        ("0 >= x^2 - x", "concave", "unknown"),
        ("x >= y^2", "concave", "unknown"),
        ("y^2 <= x", "convex", "unknown"),
        ("-1 <= sqrt(x) <= 5", "concave", "nonnegative"),
        ("4 = x + y", "affine", "unknown"),
        ("exp(x) <= -1", "convex", "nonnegative"),
    ],
)
def test_curvature_and_sign_are_of_left_minus_right(relation: str, curvature: str, sign: str) -> None:
    verdict = check(text_of(f"x in [0, 9]; y | minimize f: x subject to c: {relation}"))
    statement = verdict["statements"][1]
    assert (statement["curvature"], statement["sign"]) == (curvature, sign)
