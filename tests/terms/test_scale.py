"""The work in Python grows with the text, not with the data: as many calls for 100,000 rows as for 100."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from optdsl.classify import analyze
from optdsl.convex.lower import lower
from optdsl.data.supplied import from_python
from optdsl.language import parse
from optdsl.model import build

FEW, MANY = 100, 100_000

MODELS = {
    "a chain": """
        param n
        set T = 1..n
        param need[t in T] = 1 + mod(t, 7)
        var x[T] >= 0, <= 20
        var s[t in T] >= 0, <= need[t] + 3
        minimize cost: sum(x[t] * (1 + mod(t, 3)) + 0.1 * s[t] for t in T)
        subject to
          balance[t in T]: (s[t - 1] if t > 1 else 0) + x[t] - s[t] = need[t]
          smooth[t in T if t > 1]: -5 <= x[t] - x[t - 1] <= 5
          even[t in T if mod(t, 2) = 0 and t < n]: x[t] + x[next(t, T)] <= 30
        """,
    "a sparse graph": """
        param n
        set V = 1..n
        set ARC = {(i, j) for i in V, j in i + 1..i + 3 if j <= n}
        param cost[(i, j) in ARC] = 1 + mod(i + j, 5)
        var flow[ARC] >= 0, <= 4
        set OUT[i in V] = {j for (i, j) in ARC}
        minimize total: sum(cost[i, j] * flow[i, j] for (i, j) in ARC)
        subject to
          conserve[k in V if k > 1 and k < n]:
            sum(flow[i, k] for (i, k) in ARC) = sum(flow[k, j] for (k, j) in ARC)
          sent: sum(flow[1, j] for j in OUT[1]) = 2
          capped[i in V]: sum(flow[i, j] for j in OUT[i]) <= 6
        """,
    "piecewise": """
        param n
        set R = 1..n
        var a in [-9, 9]
        var b in [-9, 9]
        var e[R] >= 0
        minimize loss: sum(abs(a + mod(i, 11) * b - mod(i, 5)) for i in R) + sum(max(e[i], 2*e[i] - 1) for i in R)
        subject to
          far[i in R if mod(i, 3) = 0]: abs(a - e[i]) <= 12
          most: max(e[i] for i in R) <= 5
        """,
    "least squares": """
        param n
        set R = 1..n
        set P = 1..4
        var beta[P] in [-9, 9]
        let resid[i in R] = mod(i, 9) - sum((mod(i * p, 7) - 3) * beta[p] for p in P)
        minimize loss: sum(resid[i]^2 for i in R) + 0.1 * sumsq(beta)
        """,
    "a subset and its complement": """
        param n
        set A = 1..n
        set B = {a in A if mod(a, 3) = 1}
        set C = (A - B) | {0}
        var x[A | C] >= 0, <= 1
        minimize x[0] + sum(x)
        subject to
          c[b in B]: x[b] + x[b + 1 if b < n else b] >= 0.5
          d[k in C & A]: x[k] <= (1 if k in B else 0.5)
        """,
}


def work(text: str, n: int) -> Counter[str]:
    """Calls of functions of optdsl while a model with data of this size becomes a program, by function."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and "/optdsl/" in frame.f_code.co_filename:
            calls[frame.f_code.co_qualname] += 1

    file = parse(text)
    supplied = {"n": from_python("n", n)}
    counted(lambda: lower(analyze(build(file, supplied=supplied))), note)
    return calls


def counted(action: Callable[[], Any], note: Callable[[FrameType, str, Any], None]) -> None:
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("title", MODELS)
def test_calls_do_not_grow_with_the_data(title: str) -> None:
    lines = MODELS[title].splitlines()
    text = "\n".join(line[8:] for line in lines) + "\n"
    work(text, FEW)  # what is remembered from the first time on does not count
    few, many = work(text, FEW), work(text, MANY)
    grown = {name: (few[name], count) for name, count in many.items() if count > few[name] + 3}
    assert not grown
    assert sum(few.values()) > 100, "the counter counts nothing"


def test_the_counter_sees_loops() -> None:
    """The test of the test: a loop over rows shows."""

    def looped(n: int) -> Counter[str]:
        calls: Counter[str] = Counter()

        def note(frame: FrameType, event: str, argument: Any) -> None:
            if event == "call":
                calls[frame.f_code.co_qualname] += 1

        counted(lambda: [_row(k) for k in np.arange(n)], note)
        return calls

    assert sum(looped(1000).values()) > sum(looped(10).values()) + 900


def _row(k: int) -> int:
    return k
