"""Linear programs of the NETLIB collection at their published optima, in both spellings and by both routes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import optdsl

HERE = Path(__file__).parent
DATA = HERE / "data" / "netlib"

# The optimal values of the collection's index (Gay, "Electronic mail distribution of linear programming test
# problems", 1985, with later corrections).
PUBLISHED = {
    "adlittle": 2.2549496316e05,
    "afiro": -4.6475314286e02,
    "blend": -3.0812149846e01,
    "boeing2": -3.1501872802e02,
    "brandy": 1.5185098965e03,
    "israel": -8.9664482186e05,
    "kb2": -1.7499001299e03,
    "lotfi": -2.5264706062e01,
    "recipe": -2.6661600000e02,
    "sc105": -5.2202061212e01,
    "sc50a": -6.4575077059e01,
    "sc50b": -7.0000000000e01,
    "scagr7": -2.3313898243e06,
    "scorpion": 1.8781248227e03,
    "share1b": -7.6589318579e04,
    "share2b": -4.1573224074e02,
    "stocfor1": -4.1131976219e04,
    "vtpbase": 1.2983146246e05,
}

# table name of the model -> the end of the file's name, and whether every problem has one
TABLES = {
    "rows": ("rows", True),
    "cols": ("cols", True),
    "nonzeros": ("nz", True),
    "ranges": ("range", False),
    "lowers": ("lower", False),
    "uppers": ("upper", False),
    "frees": ("free", False),
}


def files(problem: str) -> dict[str, Path]:
    """The file of each table of a problem; those that it does not have are empty tables."""
    found = {}
    for table, (ending, always) in TABLES.items():
        path = DATA / f"{problem}_{ending}.csv"
        assert path.exists() or not always
        found[table] = path if path.exists() else DATA / f"none_{ending}.csv"
    return found


def solve(problem: str, model: str = "netlib", method: str | None = None) -> optdsl.Solution:
    text = (HERE / "models" / f"{model}.opt").read_text(encoding="utf-8")
    loaded = optdsl.load(HERE / "models" / f"{model}.opt")
    tables = {name: path for name, path in files(problem).items() if f"table {name} " in text}
    return loaded.solve(**tables, method=method)


def test_every_problem_of_the_folder_is_solved() -> None:
    assert {path.name.removesuffix("_rows.csv") for path in DATA.glob("*_rows.csv")} == set(PUBLISHED)


@pytest.mark.parametrize("problem", PUBLISHED)
def test_published_optimum(problem: str) -> None:
    solution = solve(problem)
    assert solution.status.word == "optimal" and solution.guarantee.word == "global"
    assert solution.objective == pytest.approx(PUBLISHED[problem], rel=1e-9)
    assert solution.problem_class.type == "LP"
    assert solution.checks.ok


@pytest.mark.parametrize("problem", ["afiro", "adlittle", "boeing2", "kb2", "recipe", "sc50b", "share2b"])
def test_array_spelling(problem: str) -> None:
    solution = solve(problem, model="netlib_array")
    assert solution.objective == pytest.approx(PUBLISHED[problem], rel=1e-9)


@pytest.mark.parametrize("problem", ["afiro", "adlittle", "boeing2", "kb2", "sc50a", "vtpbase"])
def test_through_cvxpy(problem: str) -> None:
    solution = solve(problem, method="cvxpy")
    assert solution.status.word == "optimal"
    assert solution.objective == pytest.approx(PUBLISHED[problem], rel=1e-7)


def test_files_named_on_the_command_line() -> None:
    options = [word for name, path in files("boeing2").items() for word in ("--data", f"{name}={path}")]
    command = [sys.executable, "-m", "optdsl", "solve", str(HERE / "models" / "netlib.opt"), "--json", *options]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    assert answer["objective"]["value"] == pytest.approx(PUBLISHED["boeing2"], rel=1e-9)
    assert len(answer["constraints"]["between"]["dual"]) == len(answer["constraints"]["between"]["index"]) == 19
