"""Pictures and traces as files: they are complete, of the asked kind, and never half-written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from matplotlib.axes import Axes

import optdsl
from optdsl.answer.picture_run import beyond
from optdsl.answer.pictures import check_picture, figure_of
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


def drawn(text: str) -> dict[str, Axes]:
    """The parts of a model's picture by their titles."""
    return {axes.get_title(): axes for axes in figure_of(optdsl.parse(text).solve()).axes if axes.get_title()}


def test_variables_of_one_index_and_size_share_a_part() -> None:
    parts = drawn(
        "set T = 1..30\nvar a[T] in [0, 1]\nvar b[T] in [0, 1]\nvar big[T] in [0, 1000]\n"
        "minimize sum(abs(a[t] - t / 30) + abs(b[t] - 1 + t / 30) + abs(big[t] - 30 * t) for t in T)\n"
    )
    assert {"a, b", "big"} <= parts.keys()
    assert [text.get_text() for text in parts["a, b"].get_legend().get_texts()] == ["a", "b"]
    first, second = parts["a, b"].lines
    np.testing.assert_allclose(first.get_ydata(), np.arange(1, 31) / 30, atol=1e-6)
    np.testing.assert_allclose(second.get_ydata(), 1 - np.arange(1, 31) / 30, atol=1e-6)
    assert parts["big"].get_xlabel() == "T"


PLACES = "param p[1..4] = [0, 1, 2, 3]\nvar r in [1, 1]\n"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (
            PLACES + "var at_x[1..4]\nvar at_y[1..4]\n"
            "minimize sum((at_x[i] - p[i])^2 + (at_y[i] - p[i] / 2)^2 for i in 1..4) + r\n",
            "at_x, at_y",
        ),
        (
            PLACES + "var place[1..4, 1..2]\n"
            "minimize sum((place[i, 1] - p[i])^2 + (place[i, 2] - p[i] / 2)^2 for i in 1..4) + r\n",
            "place",
        ),
    ],
)
def test_coordinates_are_points_in_the_plane(text: str, title: str) -> None:
    part = drawn(text)[title]
    (points,) = part.lines
    np.testing.assert_allclose(points.get_xdata(), [0, 1, 2, 3], atol=1e-5)
    np.testing.assert_allclose(points.get_ydata(), [0, 0.5, 1, 1.5], atol=1e-5)
    assert [note.get_text() for note in part.texts] == ["1", "2", "3", "4"]
    # `r` is the radius of circles around places, not of points called at_x and at_y.
    assert len(part.collections) == (title == "place")
    if title == "place":
        np.testing.assert_allclose(part.collections[0].get_offsets(), np.column_stack(points.get_data()))
        np.testing.assert_allclose(part.collections[0].get_widths(), 2.0)
        assert part.get_xlim()[0] <= -1 and part.get_ylim()[1] >= 2.5


def test_long_lists_of_members_name_some() -> None:
    members = ", ".join(f'"a_very_long_name_{k}"' for k in range(50))
    part = drawn(f"set S = {{{members}}}\nvar x[S] >= 1\nminimize sum(x)\n")["x"]
    texts = [text.get_text() for text in part.get_xticklabels()]
    assert 5 <= len(texts) <= 12 and all(len(text) <= 16 for text in texts)
    assert len(part.patches) == 50


def test_many_members_are_drawn_as_arrays() -> None:
    part = drawn("set S = {(i, j) for i in 1..60, j in 1..60}\nvar x[S] >= 1\nminimize sum(x)\n")["x"]
    assert not part.patches and len(part.collections[0].get_segments()) == 3600


def test_parts_that_are_left_out_are_counted() -> None:
    text = "".join(f"var x{k}[1..3] in [{10**k}, {10**k} + {10**k}]\n" for k in range(9))
    text += "minimize " + " + ".join(f"sum(x{k}[i] * (2 - i) for i in 1..3)" for k in range(9)) + "\n"
    figure = figure_of(optdsl.parse(text).solve())
    assert figure.get_supxlabel() == "3 more are not drawn"


def test_a_curve_of_feasible_points_stays_visible() -> None:
    solution = optdsl.parse("var x init 1\nvar y init 1\nminimize x * y\nsubject to\n  c: x^2 + y^2 = 2\n").solve()
    assert solution.landscape is not None
    first, second = np.meshgrid(np.linspace(-2, 2, 121), np.linspace(-2, 2, 121))
    violation = solution.landscape(np.column_stack([first.ravel(), second.ravel()]))[1].reshape(121, 121)
    away = np.abs(np.hypot(first, second) - np.sqrt(2))
    white = beyond(violation) <= 0
    assert white[away < 0.004].all() and not white[away > 0.08].any()


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
