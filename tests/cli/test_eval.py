"""`optdsl solve --save` and `optdsl eval` from the shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell import optdsl

import optdsl as package

FIT = """table rows from "rows.csv"
set ROW from rows
param x[ROW] from rows(x)
param y[ROW] from rows(y)
var slope >= 0, <= 5
var base
let predicted[i in ROW] = base + slope * x[i]
minimize loss: mean((predicted[i] - y[i])^2 for i in ROW)
subject to
  cap[i in ROW]: predicted[i] <= 20
show rmse(predicted, y), r2(predicted, y)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fit.opt").write_text(FIT)
    (tmp_path / "rows.csv").write_text("x,y\n0,1\n1,3\n2,5\n")
    (tmp_path / "other.csv").write_text("x,y\n3,7\n4,9.5\n")
    (tmp_path / "far.csv").write_text("x,y\n30,7\n1,2\n")
    done = optdsl("solve", "fit.opt", "--save", "run.json", folder=tmp_path)
    assert done.code == 0 and "saved to run.json" in done.err
    return tmp_path


def test_values_on_other_data(folder: Path) -> None:
    done = optdsl("eval", "fit.opt", "--with", "run.json", "--data", "rows=other.csv", "--json", folder=folder)
    record = json.loads(done.out)
    assert done.code == 0 and done.err == ""
    assert record["objective"]["value"] == pytest.approx(0.125, abs=1e-6)
    assert record["show"][0]["value"] == pytest.approx(0.125**0.5, abs=1e-6)


def test_a_person_gets_a_page(folder: Path) -> None:
    done = optdsl("eval", "fit.opt", "--with", "run.json", "--show", "predicted - y", folder=folder)
    assert done.code == 0
    assert done.out.startswith("fit at run.json: nothing was solved.\n")
    assert "all hold" in done.out and "predicted - y" in done.out and "r2(predicted, y)" in done.out


def test_a_violated_constraint_ends_with_one(folder: Path) -> None:
    done = optdsl("eval", "fit.opt", "--with", "run.json", "--data", "rows=far.csv", folder=folder)
    assert done.code == 1 and "violated: cap; largest violation" in done.out


def test_a_run_goes_on_from_another(folder: Path) -> None:
    text = FIT.replace("var slope >= 0, <= 5", 'var slope fixed, init from "run.json"')
    (folder / "tune.opt").write_text(text.replace("var base", 'var base init from "run.json"'))
    arguments = ("tune.opt", "--data", "rows=other.csv")
    done = optdsl("solve", *arguments, "--save", "tuned.json", "--json", folder=folder)
    record = json.loads(done.out)
    assert done.code == 0
    assert record["variables"]["slope"]["value"][0] == pytest.approx(2, abs=1e-6)
    assert record["variables"]["base"]["value"][0] == pytest.approx(1.25, abs=1e-6)
    again = json.loads(optdsl("eval", *arguments, "--with", "tuned.json", "--json", folder=folder).out)
    assert again["objective"]["value"] == pytest.approx(record["objective"]["value"], rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["eval", "fit.opt"], "needs --with"),
        (["eval", "fit.opt", "--with", "none.json"], 'there is no file "none.json"'),
        (["eval", "fit.opt", "--with", "rows.csv"], "is not a saved result"),
        (["eval", "other.opt", "--with", "run.json"], "holds no variable `z`"),
        (["solve", "fit.opt", "--save", "run.csv"], "does not end in .json"),
        (["solve", "fit.opt", "--save", "no/run.json"], "its folder is missing"),
    ],
)
def test_mistakes_end_with_two(arguments: list[str], said: str, folder: Path) -> None:
    (folder / "other.opt").write_text("var z\nminimize o: z^2\n")
    done = optdsl(*arguments, folder=folder)
    assert done.code == 2 and said in done.err and "Traceback" not in done.err


def test_no_values_are_not_saved(folder: Path) -> None:
    (folder / "none.opt").write_text("var z >= 1, <= 0\nminimize o: z\n")
    done = optdsl("solve", "none.opt", "--save", "none.json", folder=folder)
    assert done.code == 1 and "not saved to none.json" in done.err and not (folder / "none.json").exists()


DRAWN = "var x fixed, init normal(0, 1)\nminimize o: (x - 1)^2\n"


def drawn(folder: Path, text: str, *arguments: str) -> float:
    (folder / "drawn.opt").write_text(text)
    done = optdsl("solve", "drawn.opt", "--json", *arguments, folder=folder)
    assert done.code == 0, done.err
    return float(json.loads(done.out)["variables"]["x"]["value"][0])


def test_every_way_to_give_a_seed(folder: Path) -> None:
    """`fixed` shows what was drawn."""
    plain, third = drawn(folder, DRAWN), drawn(folder, DRAWN, "--seed", "3")
    assert plain != third and drawn(folder, DRAWN, "--seed", "0") == plain
    assert package.parse(DRAWN).solve(seed=3)["x"] == third
    assert package.parse(DRAWN).compile().solve(seed=3)["x"] == third
    in_text = DRAWN + "solve using multistart(seed = 3)\n"
    for arguments in ([], ["--seed", "0"], ["--opt", "seed=0"]):
        assert drawn(folder, in_text, *arguments) == pytest.approx(plain if arguments else third, abs=1e-12)
    asked = ["--method", "multistart", "--opt", "seed=3"]
    assert drawn(folder, DRAWN, *asked) == pytest.approx(third, abs=1e-12)
