"""A named array that is used inside a reduction of itself means what it says: each use has indices of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optdsl.engine.problem import ModelProblem
from optdsl.language import parse
from optdsl.model import build

TEXT = """
set ROW = 1..4
set PART[i in ROW] = {j in ROW if j <= i}
param y[i in ROW] = i
param z[i in ROW] = mod(3 * i, 5)
var w
var b
let s = y * w + b
let center = mean(s)
let grid[i in ROW, j in ROW] = s[i] * z[j]
let ragged[i in ROW, j in PART[i]] = s[i] + j
let share(t) = sum(t * exp(t) / sum(exp(t)))
minimize f: """
W, B = 0.7, -0.2
Y = np.arange(1.0, 5.0)
Z = np.mod(3 * Y, 5)
S = Y * W + B
GRID = np.outer(S, Z)
RAGGED = [S[i] + j + 1 for i in range(4) for j in range(i + 1)]
SHARE = float(S @ np.exp(S) / np.exp(S).sum())

MEANINGS = {
    "mean((s - mean(s) - z)^2)": np.mean((S - S.mean() - Z) ** 2),
    "mean((s - center - z)^2)": np.mean((S - S.mean() - Z) ** 2),
    "sum((s / sum(s) - z)^2)": np.sum((S / S.sum() - Z) ** 2),
    "norm2(s - norm2(s))": np.linalg.norm(S - np.linalg.norm(S)),
    "sum(s * sum(s))": S.sum() ** 2,
    "sum(s * max(s))": S.sum() * S.max(),
    "sum(s * exp(s) / sum(exp(s)))": SHARE,
    "share(s)": SHARE,
    "share(y * w + b)": SHARE,
    "sum((grid - mean(grid))^2)": np.sum((GRID - GRID.mean()) ** 2),
    "sum(sum((grid[i, :] - mean(grid[i, :]))^2) for i in ROW)": np.sum((GRID - GRID.mean(1, keepdims=True)) ** 2),
    "sum((grid - sum(grid[:, 2]))^2)": np.sum((GRID - GRID[:, 1].sum()) ** 2),
    "sum(ragged * sum(ragged))": np.sum(RAGGED) ** 2,
}


@pytest.mark.parametrize("text", MEANINGS)
def test_a_named_array_inside_a_reduction_of_itself(text: str) -> None:
    model = build(parse(TEXT + text, "test.opt"), folder=Path("."), name="test")
    assert ModelProblem(model).objective(np.array([W, B])) == pytest.approx(MEANINGS[text], rel=1e-12)
