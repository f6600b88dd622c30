"""Mistakes in data that cancel before anything is evaluated: they are told all the same."""

from __future__ import annotations

import pytest

import optdsl
from optdsl import OptError

HEAD = "set I = 1..3\nparam p[I] = [0, 1, 2]\nparam q = 0\nvar x[I] in [0, 1]\nvar y in [0, 1]\n"

WRONG = [
    ("minimize o: sum(x) + 0*x[9]", "`x[9]` refers to 9"),
    ("minimize o: sum(x) + x[9] - x[9]", "`x[9]` refers to 9"),
    ("minimize o: y + p[7] - p[7]", "`p[7]` refers to 7"),
    ("minimize o: y + 0*sum(x[i+1] for i in I)", "`x[i+1]` at i = 3 refers to 4"),
    ("minimize o: y\nsubject to\n  c[i in I]: x[i] + 0*x[i+1] >= 0.5", "`x[i+1]` at i = 3 refers to 4"),
    ("minimize o: y*q/q + sum(x)", "the divisor `q` is 0"),
    ("minimize o: y + 0/q", "the divisor `q` is 0"),
    ("minimize o: q*y + y*q/q", "the divisor `q` is 0"),
    ("minimize o: y + sum(x[i]*p[i]/p[i] for i in I)", "the divisor `p[i]` is 0 at i = 1"),
    ("let f(t) = t/t\nminimize o: y + f(q)", "the divisor `q` is 0"),
    ("minimize o: y\nsubject to\n  c: y + 0*y/q >= 0.5", "the divisor `q` is 0"),
    ("minimize o: y\nshow q/q", "the divisor `q` is 0"),
]

LEFT_OUT = [
    "minimize o: y\nsubject to\n  c[i in I if i < 3]: x[i] + 0*x[i+1] >= 0.5",
    "minimize o: y + sum(x[i]*p[i]/p[i] for i in I if p[i] != 0)",
    "minimize o: y + (x[9] - x[9] if q > 1 else x[1])",
    "minimize o: y + (y/q - y/q if q > 1 else x[1])",
    "minimize o: y + sum(x[i] + (x[i+1] - x[i+1] if i < 3 else 0) for i in I)",
    "let z[i in I] = x[i]*p[i]/p[i]\nminimize o: y + z[2]",
    "minimize o: y + sum(x[i]/p[i] - x[i]/p[i] for i in {2, 3})",
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_what_cancels_is_looked_at(text: str, told: str) -> None:
    with pytest.raises(OptError, match=r".*") as caught:
        optdsl.parse(HEAD + text).solve()
    assert told in str(caught.value)


@pytest.mark.parametrize("text", LEFT_OUT)
def test_what_conditions_leave_out_is_not(text: str) -> None:
    assert optdsl.parse(HEAD + text).solve().status.word == "optimal"
