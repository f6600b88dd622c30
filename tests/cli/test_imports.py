"""What a command imports is part of what it costs: the modules of each, listed."""

import subprocess
import sys
from pathlib import Path

import pytest
from shell import environment

HEAVY = {"cvxpy", "duckdb", "pandas", "polars", "matplotlib", "pyscipopt", "rich"}
LIST = "import sys; from optdsl.cli.main import run; run(sys.argv[1:]); print('\\n' + ' '.join(sys.modules))"

MODEL = """\
set I = 1..3
var x[I] >= 0
minimize cost: sum(x[i] for i in I)
subject to
  enough: sum(i * x[i] for i in I) >= 6
"""


def imported_by(*arguments: str, program: str = LIST, whole: bool = False) -> set[str]:
    """What is loaded after a command: packages, or with `whole` every module by its dotted name."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=environment(), check=True
    )
    names = done.stdout.splitlines()[-1].split()
    return set(names) if whole else {name.split(".")[0] for name in names}


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "m.opt"
    path.write_text(MODEL)
    return str(path)


def test_the_package_itself_imports_nothing() -> None:
    modules = imported_by(program="import sys, optdsl; optdsl.Status; print(' '.join(sys.modules))")
    assert not modules & (HEAVY | {"numpy", "sympy", "lark", "scipy", "click"})


def test_the_version_needs_no_libraries() -> None:
    assert not imported_by("--version") & (HEAVY | {"numpy", "scipy", "sympy", "lark", "pyarrow", "highspy"})


def test_formatting_needs_the_language_only(model: str) -> None:
    assert not imported_by("fmt", model, "--check") & (HEAVY | {"numpy", "scipy", "sympy", "pyarrow", "highspy"})


@pytest.mark.parametrize("command", ["check", "solve"])
def test_a_linear_model_needs_no_other_solver_and_no_database(command: str, model: str) -> None:
    assert not imported_by(command, model) & (HEAVY | {"lark", "pyarrow"})


@pytest.mark.parametrize("command", ["check", "solve"])
def test_a_linear_model_needs_no_witnesses_and_no_engine(command: str, model: str) -> None:
    modules = imported_by(command, model, whole=True)
    assert not modules & {"scipy.optimize", "scipy.sparse.linalg", "scipy.linalg", "scipy.stats"}
    assert not modules & {"optdsl.classify.witness", "optdsl.engine", "optdsl.methods"}


def test_listing_methods_imports_no_solver_through_cvxpy() -> None:
    assert not imported_by("methods") & HEAVY
