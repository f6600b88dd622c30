"""One linear program with its matrix in every kind of file, solved identically from each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

import optdsl

HERE = Path(__file__).parent
DATA = HERE / "data" / "lp"
MODELS = HERE / "models"
ENDINGS = ("parquet", "feather", "jsonl", "tsv", "xlsx")


@pytest.fixture(scope="module")
def reference() -> tuple[float, np.ndarray, np.ndarray]:
    matrix, gain, rhs = (np.load(DATA / f"{name}.npy") for name in ("matrix", "gain", "rhs"))
    answer = linprog(-gain, A_ub=matrix, b_ub=rhs, method="highs")
    return -answer.fun, answer.x, -answer.ineqlin.marginals


def check(solution: optdsl.Solution, reference: tuple[float, np.ndarray, np.ndarray]) -> None:
    value, point, dual = reference
    assert solution.objective == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(solution["x"], point, atol=1e-10)
    np.testing.assert_allclose(solution.dual("limit"), dual, atol=1e-10)


@pytest.mark.parametrize("ending", ENDINGS)
def test_path_in_the_text(ending: str, tmp_path: Path, reference: tuple[float, np.ndarray, np.ndarray]) -> None:
    text = (MODELS / "matrix_table.opt").read_text(encoding="utf-8")
    model = tmp_path / "model.opt"
    model.write_text(
        text.replace("matrix.parquet", f"matrix.{ending}").replace("../data/lp", DATA.as_posix()), encoding="utf-8"
    )
    check(optdsl.load(model).solve(), reference)


@pytest.mark.parametrize("ending", ENDINGS)
def test_path_from_outside(ending: str, reference: tuple[float, np.ndarray, np.ndarray]) -> None:
    model = optdsl.load(MODELS / "matrix_table.opt")
    check(model.solve(entries=DATA / f"matrix.{ending}"), reference)


def test_numpy_file(reference: tuple[float, np.ndarray, np.ndarray]) -> None:
    check(optdsl.load(MODELS / "matrix_array.opt").solve(), reference)


def test_every_file_of_the_matrix_is_read() -> None:
    assert {path.suffix[1:] for path in DATA.glob("matrix.*")} == {*ENDINGS, "npy"}
