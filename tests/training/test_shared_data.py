"""Arrays of float32 stay as they are given and are not copied for a solve; answers are those of float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optdsl
from optdsl.answer import stages
from optdsl.api import as_supplied
from optdsl.data.arrays import DenseArray
from optdsl.data.supplied import DenseValue
from optdsl.language import parse
from optdsl.model import build
from optdsl.terms.frame import Frame
from optdsl.training.problem import TensorProblem
from optdsl.training.split import candidates, members_of

TEXT = """set ROW
set P
param X[ROW, P]
param y[ROW]
var w[P] init 0.1
minimize loss: mean((y[i] - X[i, :] @ w)^2 for i in ROW) + 0.01 * sumsq(w)
"""


def drawn(rows: int, width: int, dtype: Any) -> dict[str, Any]:
    random = np.random.default_rng(0)
    X = random.standard_normal((rows, width)).astype(np.float32)
    y = (X @ np.arange(width) + random.standard_normal(rows)).astype(np.float32)
    return {"ROW": np.arange(rows), "P": np.arange(width), "X": X.astype(dtype), "y": y.astype(dtype)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_solve_uses_the_arrays_where_they_lie(monkeypatch: pytest.MonkeyPatch, dtype: Any) -> None:
    data = drawn(50, 3, dtype)
    seen: dict[str, Any] = {}
    solve_tree = stages.solve_tree

    def spy(tree: Any, *, supplied: Any, folder: Path, **more: Any) -> Any:
        seen["model"] = build(tree, folder=folder, supplied=supplied, name="m")
        return solve_tree(tree, supplied=supplied, folder=folder, **more)

    monkeypatch.setattr(stages, "solve_tree", spy)
    before = {name: data[name].copy() for name in ("X", "y")}
    optdsl.parse(TEXT).solve(data=data, method="adam", options={"epochs": 2, "rate": 0.01})
    for name in ("X", "y"):
        held = seen["model"].lanes.parameters[name]
        assert isinstance(held, DenseArray)
        assert held.values.dtype == dtype
        assert np.shares_memory(held.values, data[name])
        assert np.array_equal(data[name], before[name])  # and nothing was written into them


def test_what_is_kept_longer_is_copied() -> None:
    data = drawn(50, 3, np.float32)
    for shared in (False, True):
        held = as_supplied(data, {}, shared=shared)["X"]
        assert isinstance(held, DenseValue) and held.values.dtype == np.float32
        assert np.shares_memory(held.values, data["X"]) is shared


@pytest.mark.parametrize("make", [np.asfortranarray, lambda a: np.repeat(a, 2, axis=0)[::2], lambda a: a.astype(">f4")])
def test_arrays_of_other_layouts_have_the_same_values(make: Any) -> None:
    data = drawn(20, 4, np.float32)
    held = as_supplied({**data, "X": make(data["X"])}, {}, shared=True)["X"]
    assert isinstance(held, DenseValue)
    assert np.array_equal(held.values, data["X"]) and held.values.dtype == np.float32


def test_nan_in_float32_is_told_with_its_place() -> None:
    data = drawn(20, 4, np.float32)
    data["X"][2, 1] = np.nan
    with pytest.raises(optdsl.OptError, match=r"position \[3, 2\]"):
        optdsl.parse(TEXT).solve(data=data)


@pytest.mark.parametrize(
    ("method", "options", "digits"),
    [(None, {}, 1e-7), ("proximal_newton", {}, 1e-7), ("lbfgs", {}, 1e-6), ("adam", {"epochs": 3, "rate": 0.05}, 1e-9)],
)
def test_answers_are_those_of_float64(method: str | None, options: dict[str, Any], digits: float) -> None:
    """The data are float32 numbers in both, so the answers differ by rounding in the method only."""
    narrow, wide = (
        optdsl.parse(TEXT).solve(data=drawn(200, 5, dtype), method=method, options=options or None, seed=0)
        for dtype in (np.float32, np.float64)
    )
    assert narrow.status == wide.status
    assert narrow.objective == pytest.approx(wide.objective, rel=digits)
    assert np.asarray(narrow["w"]) == pytest.approx(np.asarray(wide["w"]), rel=1e-5, abs=1e-6)


def test_sums_over_much_float32_data_are_those_of_float64() -> None:
    """Beyond `BLOCK` numbers the sums go block by block: along rows that stay, and along rows that are summed."""
    rows, width = 300_000, 4
    text = """set ROW
set P
param X[ROW, P]
param y[ROW]
var w[P] init 1
let total[j in P] = sum(X[i, j] for i in ROW)
minimize loss: sum((w[j] - total[j])^2 for j in P) + mean((y[i] - X[i, :] @ w)^2 for i in ROW)
"""
    data = drawn(rows, width, np.float32)
    model = build(parse(text, "m.opt"), folder=Path("."), supplied=as_supplied(data, {}, shared=True), name="m")
    X, y = data["X"].astype(float), data["y"].astype(float)
    w = np.arange(4.0)
    total = X.sum(axis=0)
    expected = ((w - total) ** 2).sum() + ((y - X @ w) ** 2).mean()
    assert model.objective is not None
    lanes = model.lanes.with_values(w)
    found = float(lanes.full(model.objective.body, Frame().as_root()).item())
    assert found == pytest.approx(expected, rel=1e-12)


def problem(rows: int) -> TensorProblem:
    supplied = as_supplied(drawn(rows, 3, np.float32), {}, shared=True)
    model = build(parse(TEXT, "m.opt"), folder=Path("."), supplied=supplied, name="m")
    return TensorProblem(model, members_of(model, candidates(model)[0]), np.float32)


def test_a_sample_of_all_members_is_the_whole() -> None:
    whole = problem(60)
    sample = whole.sample(100)
    x, d = np.array([0.3, -0.2, 1.0]), np.array([1.0, 2.0, -1.0])
    assert sample.members == 60
    assert sample.objective(x) == pytest.approx(whole.objective(x), rel=1e-12)
    assert sample.gradient(x) == pytest.approx(whole.gradient(x), rel=1e-12)
    product = whole.hessian_product(x, np.zeros(0), d)
    assert sample.hessian_product(x, np.zeros(0), d) == pytest.approx(product, rel=1e-12)
    assert sample.hessian_product(x, np.zeros(0), d, 2.5) == pytest.approx(2.5 * product, rel=1e-12)


def test_a_sample_stands_for_the_members_that_it_draws() -> None:
    """The mean of the drawn rows' terms plus the penalty, which is there once."""
    whole = problem(60)
    sample = whole.sample(7, seed=3)
    assert sample.members == 7 and len(set(sample.chosen.tolist())) == 7
    assert np.array_equal(sample.chosen, whole.sample(7, seed=3).chosen)
    assert not np.array_equal(sample.chosen, whole.sample(7, seed=4).chosen)
    data = drawn(60, 3, np.float64)
    X, y = data["X"][sample.chosen], data["y"][sample.chosen]
    x, d = np.array([0.3, -0.2, 1.0]), np.array([1.0, 2.0, -1.0])
    left = X @ x - y
    assert sample.objective(x) == pytest.approx((left @ left) / 7 + 0.01 * x @ x, rel=1e-9)
    assert sample.gradient(x) == pytest.approx(2 * X.T @ left / 7 + 0.02 * x, rel=1e-9)
    assert sample.hessian_product(x, np.zeros(0), d) == pytest.approx(2 * X.T @ (X @ d) / 7 + 0.02 * d, rel=1e-9)


def test_samples_estimate_without_bias() -> None:
    whole = problem(40)
    x = np.array([0.3, -0.2, 1.0])
    found = np.array([whole.sample(8, seed).gradient(x) for seed in range(1500)])
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - whole.gradient(x)) <= 4.5 * error).all()
