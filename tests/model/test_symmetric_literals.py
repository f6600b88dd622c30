"""Matrices that are symmetric by their entries: literals, an expression and its transpose, for each outer index."""

from __future__ import annotations

import pytest

import optdsl
from optdsl.errors import OptError

SYMMETRIC = [
    "var x\nvar t\nminimize o: t - x\nsubject to\n  c: [[t, x], [x, 1]] >> 0",
    "set K = 1..3\nvar x[K]\nvar t\nminimize o: t - sum(x)\nsubject to\n  c[k in K]: [[t, x[k]], [x[k], k]] >> 0",
    "set I = 1..2\nparam A[I, I] = [[-1, 2], [0, -3]]\nvar P[I, I] psd\nminimize o: trace(P)\n"
    "subject to\n  c: A.T @ P + P @ A + [[1, 0], [0, 1]] << 0",
    "set I = 1..2\nvar x[I]\nminimize o: eig_max([[x[1], x[2] - 1], [x[2] - 1, 3]])",
]
NOT_SYMMETRIC = [
    "var x\nvar t\nminimize o: t - x\nsubject to\n  c: [[t, x], [x + 1, 1]] >> 0",
    "set K = 1..3\nvar x[K]\nvar t\nminimize o: t - sum(x)\nsubject to\n  c[k in K]: [[t, x[k]], [x[k] + 1, k]] >> 0",
    "set I = 1..2\nparam A[I, I] = [[-1, 2], [0, -3]]\nvar P[I, I] psd\nminimize o: trace(P)\n"
    "subject to\n  c: A.T @ P + P @ A.T << 0",
    "var x >= 0\nminimize o: eig_max([[x, max(x, -50)], [x, 1]])",
]


@pytest.mark.parametrize("text", SYMMETRIC)
def test_symmetric_by_entries(text: str) -> None:
    assert optdsl.parse(text).check().problem_class.type == "SDP"


@pytest.mark.parametrize("text", NOT_SYMMETRIC)
def test_not_symmetric(text: str) -> None:
    with pytest.raises(OptError, match="symmetric"):
        optdsl.parse(text).check()
