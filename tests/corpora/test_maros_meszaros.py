"""Convex quadratic programs of the Maros-Meszaros collection at their published optima, in both spellings."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path

import pytest

import optdsl

HERE = Path(__file__).parent
DATA = HERE / "data" / "qp"


@dataclass(frozen=True)
class Published:
    """The optimal value, and the bounds of the variables that have no row in `lb` or `ub`."""

    objective: float
    least: float = 0
    most: float = inf


# Maros and Meszaros, "A repository of convex quadratic programming problems", Optimization Methods and Software 11
# (1999), table 1.
PUBLISHED = {
    "cvxqp1_s": Published(1.15907181e04, 0.1, 10),
    "cvxqp3_s": Published(1.19434322e04, 0.1, 10),
    "dpklo1": Published(3.70096217e-01, -inf),
    "dual4": Published(7.46090842e-01, 0, 1),
    "dualc1": Published(6.15525083e03, 0, 1),
    "dualc8": Published(1.83093588e04, 0, 1),
    "hs118": Published(6.64820450e02),
    "lotschd": Published(2.39841589e03),
    "primalc1": Published(-6.15525083e03, -inf),
    "qadlittl": Published(4.80318859e05),
    "qafiro": Published(-1.59078179e00),
    "qpcblend": Published(-7.84254307e-03),
    "qsc205": Published(-5.81395e-03),
    "qshare2b": Published(1.17036917e04),
}

# table name of the model -> the end of the file's name, and whether every problem has one
TABLES = {
    "q": ("q", True),
    "c": ("c", False),
    "entries": ("a", True),
    "equations": ("eq", False),
    "lows": ("ge", False),
    "highs": ("le", False),
    "ranges": ("rg", False),
    "lowers": ("lb", False),
    "uppers": ("ub", False),
}


def solve(problem: str, model: str = "maros", **arguments: str) -> optdsl.Solution:
    path = HERE / "models" / f"{model}.opt"
    text = path.read_text(encoding="utf-8")
    tables = {}
    for table, (ending, always) in TABLES.items():
        file = DATA / f"{problem}_{ending}.csv"
        assert file.exists() or not always
        if f"table {table} " in text:
            tables[table] = file if file.exists() else DATA / f"none_{ending}.csv"
    known = PUBLISHED[problem]
    return optdsl.load(path).solve(**tables, least=known.least, most=known.most, **arguments)


def agrees(value: float | None, published: float) -> bool:
    """To the digits that the table prints: six at least, an absolute 5e-9 where the value is near zero."""
    return value == pytest.approx(published, rel=2e-6, abs=5e-9)


def test_every_problem_of_the_folder_is_solved() -> None:
    assert {path.name.removesuffix("_q.csv") for path in DATA.glob("*_q.csv")} == set(PUBLISHED)


@pytest.mark.parametrize("problem", PUBLISHED)
def test_published_optimum(problem: str) -> None:
    solution = solve(problem)
    assert solution.status.word == "optimal" and solution.guarantee.word == "global"
    assert agrees(solution.objective, PUBLISHED[problem].objective), solution.objective
    assert (solution.problem_class.type, solution.problem_class.convexity) == ("QP", "convex")
    assert solution.checks.ok


@pytest.mark.parametrize("problem", ["cvxqp1_s", "dual4", "dualc1", "qafiro", "qadlittl", "qshare2b"])
def test_array_spelling(problem: str) -> None:
    solution = solve(problem, model="maros_array")
    assert agrees(solution.objective, PUBLISHED[problem].objective), solution.objective
