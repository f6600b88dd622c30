"""The table of solvers: defaults, refusals, and that every row works."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from optdsl.convex.choose import CLASSES, SOLVERS, attributes_of, choose, choose_for, class_of, options_of
from optdsl.convex.options import Option, allowed, read_options
from optdsl.convex.program import Program, RawStatus
from optdsl.errors import OptionError

from .cone_problems import EXPONENTIAL, NORM, POWER, SEMIDEFINITE, SQUARE, random_cones
from .problems import random_program


def with_integers(program: Program) -> Program:
    """The program with a whole variable within wide bounds."""
    integer = np.arange(len(program.cost)) == 0
    return replace(program, integer=integer, lower=program.lower - 3 * integer, upper=program.upper + 3 * integer)


PROGRAMS = {
    "LP": random_program(5),
    "MILP": random_program(105, integers=4),
    "QP": random_program(205, quadratic=True),
    "MIQP": random_program(305, count=6, rows=3, integers=3, quadratic=True),
    "SOCP": random_cones(1, (NORM, SQUARE)),
    "MISOCP": with_integers(random_cones(1, (NORM, SQUARE))),
    "POW": random_cones(2, (POWER, SQUARE)),
    "EXP": random_cones(3, (EXPONENTIAL, NORM)),
    "SDP": random_cones(4, (SEMIDEFINITE, EXPONENTIAL)),
    "MIEXP": with_integers(random_cones(3, (EXPONENTIAL, NORM))),
    "MISDP": with_integers(random_cones(4, (SEMIDEFINITE, EXPONENTIAL))),
}


def test_every_class_has_one_default() -> None:
    for kind, needs in CLASSES.items():
        assert sum(kind in entry.default_for for entry in SOLVERS) == 1, kind
        if kind in PROGRAMS:
            assert class_of(PROGRAMS[kind]) == kind
            assert attributes_of(PROGRAMS[kind]) <= needs


@pytest.mark.parametrize(
    ("entry", "kind"),
    [(entry, kind) for entry in SOLVERS for kind in entry.classes if kind in PROGRAMS],
    ids=lambda row: row if isinstance(row, str) else f"{row.method}-{row.solver}",
)
def test_every_row_solves_what_it_claims(entry: object, kind: str) -> None:
    choice = choose(PROGRAMS[kind], entry.method, entry.solver if entry.method == "cvxpy" else None)
    if entry.method == "cvxpy":
        assert choice.solver == entry.solver
    answer = choice.solve(PROGRAMS[kind], time_limit=20.0)
    assert answer.status in (RawStatus.OPTIMAL, RawStatus.INACCURATE)
    assert (answer.status is RawStatus.OPTIMAL) or entry.solver == "OSQP"


@pytest.mark.parametrize("kind", ["MIPOW", "MIEXP", "MISDP", "MICONIC"])
def test_integers_with_other_cones(kind: str) -> None:
    choice = choose_for(kind)
    assert choice.method == "outer" and "cuts of the cones" in choice.why
    program = with_integers(random_cones(3, (EXPONENTIAL,)))
    with pytest.raises(OptionError, match=r"SCIP cannot solve.*MIEXP.*takes .*MISOCP only"):
        choose(program, "cvxpy", "SCIP")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("LP", "HIGHS"),
        ("MILP", "HIGHS"),
        ("QP", "CLARABEL"),
        ("MIQP", "SCIP"),
        ("SOCP", "CLARABEL"),
        ("MISOCP", "SCIP"),
        ("SDP", "CLARABEL"),
    ],
)
def test_through_cvxpy_without_a_solver(kind: str, expected: str) -> None:
    choice = choose(PROGRAMS[kind], "cvxpy")
    assert (choice.method, choice.solver) == ("cvxpy", expected)


def test_refusals_give_reasons() -> None:
    with pytest.raises(OptionError, match=r"CLARABEL cannot solve.*MIQP.*takes LP, QP, .*SDP, CONIC only"):
        choose(PROGRAMS["MIQP"], "cvxpy", "CLARABEL")
    with pytest.raises(OptionError, match=r"OSQP cannot solve.*EXP.*takes LP, QP only"):
        choose(PROGRAMS["EXP"], "cvxpy", "OSQP")
    with pytest.raises(OptionError, match="leave the method out"):
        choose(PROGRAMS["MIQP"], "highs")
    with pytest.raises(OptionError, match="did you mean `highs`"):
        choose(PROGRAMS["LP"], "higs")
    with pytest.raises(OptionError, match="did you mean `OSQP`"):
        choose(PROGRAMS["QP"], "cvxpy", "OSPQ")


def test_options() -> None:
    known = (
        Option("tol", "number", 1e-9, "a tolerance", least=0, most=1),
        Option("count", "count", 3, "a count", least=1),
        Option("on", "flag", True, "a flag"),
        Option("way", "word", "up", "a way", words=("up", "down")),
    )
    assert read_options({"tol": "1e-3", "on": "false", "way": "DOWN"}, known, "it") == {
        "tol": 1e-3,
        "count": 3,
        "on": False,
        "way": "down",
    }
    for name, value in (("tol", 2), ("tol", "x"), ("count", 1.5), ("count", True), ("on", 3), ("way", "left")):
        with pytest.raises(OptionError, match=name):
            read_options({name: value}, known, "it")
    assert [allowed(option) for option in known] == [
        "a number from 0 to 1",
        "a whole number of at least 1",
        "true or false",
        "one of up, down",
    ]


def test_listing_does_not_import_cvxpy() -> None:
    script = (
        "import sys\nfrom optdsl.convex.choose import SOLVERS, options_of\n"
        "[options_of(entry.method) for entry in SOLVERS]\nassert 'cvxpy' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    assert {option.name for option in options_of("cvxpy")} >= {"solver", "tol", "time_limit"}
