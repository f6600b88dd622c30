"""Pictures and traces as files: they are complete, of the asked kind, and never half-written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

import optdsl
from optdsl.answer.pictures import check_picture
from optdsl.errors import OptionError, render

ROOT = Path(__file__).resolve().parent.parent.parent
TWO = "var x init -1.2\nvar y init 1\nminimize 100*(y - x^2)^2 + (1 - x)^2\nsubject to\n  d: x^2 + y^2 <= 1.5\n"
MANY = 'set F = {"a", "b", "c"}\nvar x[F] >= 0\nvar T[1..9] >= 1\nminimize sum(T[i]^2 for i in 1..9) - sum(x)\n'
MANY += "subject to\n  c[f in F]: x[f] <= 2\n"
MODELS = {
    "two variables": TWO,
    "two variables, convex": "var x\nvar y\nminimize x^2 + y^2\nsubject to\n  c: x + y >= 1\n",
    "indexed": MANY,
    "matrix": "var X[1..3, 1..4] >= 1\nminimize sum(X)\n",
    "one number": "var x >= 1\nminimize x\n",
    "no point": "var x >= 1\nminimize x\nsubject to\n  c: x <= 0\n",
}
STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("name", MODELS)
def test_pictures_are_drawn(name: str, tmp_path: Path) -> None:
    solution = optdsl.parse(MODELS[name]).solve()
    for kind, start in STARTS.items():
        path = tmp_path / f"answer{kind}"
        solution.plot(path)
        assert path.read_bytes().startswith(start)
    assert {p.name for p in tmp_path.iterdir()} == {f"answer{kind}" for kind in STARTS}


def test_the_landscape_is_that_of_the_model() -> None:
    solution = optdsl.parse(TWO).solve()
    assert solution.landscape is not None and solution.path is not None
    points = np.random.default_rng(0).normal(size=(50, 2))
    values, violation = solution.landscape(points)
    x, y = points.T
    np.testing.assert_allclose(values, 100 * (y - x**2) ** 2 + (1 - x) ** 2, rtol=1e-12)
    np.testing.assert_allclose(violation, np.maximum(0.0, x**2 + y**2 - 1.5), atol=1e-12)
    np.testing.assert_allclose(solution.path[-1], [float(solution["x"]), float(solution["y"])], atol=1e-6)


def test_traces_are_written(tmp_path: Path) -> None:
    solution = optdsl.parse(TWO).solve()
    solution.trace.save(tmp_path / "run.csv")
    solution.trace.save(tmp_path / "run.parquet")
    for table in (pyarrow.csv.read_csv(tmp_path / "run.csv"), pyarrow.parquet.read_table(tmp_path / "run.parquet")):
        assert tuple(table.column_names) == solution.trace.columns
        np.testing.assert_allclose(table["objective"].to_numpy(), solution.trace["objective"])
    with pytest.raises(OptionError, match="xls"):
        solution.trace.save(tmp_path / "run.xls")


def test_without_matplotlib_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionError) as caught:
        check_picture(Path("a.png"))
    golden = ROOT / "tests" / "golden" / "shell" / "no-plotting.txt"
    assert render(caught.value.diagnostics[0]) + "\n" == golden.read_text()
