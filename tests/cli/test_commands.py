"""The shell without a solver: help, versions, formatting, and every way to be wrong."""

import json
import os
import re
import tomllib
from pathlib import Path

import pytest
from shell import ROOT, optdsl

from optdsl.cli import faults, main
from optdsl.cli.inputs import as_given_data, read_options
from optdsl.cli.live import live_text
from optdsl.convex.program import Progress
from optdsl.errors import OptionError

MESSY = "var  x>=0 # first\nminimize  x\n"
TIDY = "var x >= 0  # first\nminimize x\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "diet.opt").write_text(MESSY)
    return tmp_path


def test_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert optdsl("--version").out == f"optdsl {project['version']}\n"


def test_help_has_examples_and_every_command() -> None:
    for command in main.COMMANDS:
        shown = optdsl(command, "--help")
        assert shown.code == 0 and f"optdsl {command}" in shown.out and not shown.err
    assert optdsl().code == 2
    listed = optdsl("--help").out
    assert all(f"  {command} " in listed for command in main.COMMANDS)


def test_methods_are_listed_for_people_and_machines() -> None:
    page = optdsl("methods").out
    assert "highs" in page and "default for   LP, MILP" in page and "ipm" in page
    listed = json.loads(optdsl("methods", "--json").out)
    assert [method["name"] for method in listed["methods"]][:3] == ["highs", "cvxpy", "outer"]
    assert {option["name"] for option in listed["methods"][0]["options"]} >= {"tol", "gap", "time_limit"}
    own = [method for method in listed["methods"] if method["solvers"] == ["optdsl"]]
    assert len(own) > 10 and all(method["choose_when"] and method["source"] for method in own)
    assert "source        Waechter and Biegler 2006" in page and "default for   \n" not in page
    assert "functions with kinks and jumps, bounds, inequalities, up to 30 variables" in page


def test_fmt_rewrites_in_place_and_keeps_links_and_permissions(folder: Path) -> None:
    path = folder / "diet.opt"
    path.chmod(0o640)
    (folder / "link.opt").symlink_to(path)
    assert optdsl("fmt", "link.opt", folder=folder).code == 0
    assert path.read_text() == TIDY and path.stat().st_mode & 0o777 == 0o640
    assert (folder / "link.opt").is_symlink() and sorted(os.listdir(folder)) == ["diet.opt", "link.opt"]
    again = optdsl("fmt", "diet.opt", folder=folder)
    assert (again.code, again.out, again.err) == (0, "", "")


def test_fmt_checks_and_shows_without_writing(folder: Path) -> None:
    checked = optdsl("fmt", "--check", "diet.opt", folder=folder)
    assert checked.code == 1 and "diet.opt is not in the canonical layout" in checked.err
    shown = optdsl("fmt", "--diff", "diet.opt", folder=folder)
    assert "-var  x>=0 # first" in shown.out and "+var x >= 0  # first" in shown.out and shown.code == 0
    assert optdsl("fmt", "--stdout", "diet.opt", folder=folder).out == TIDY
    assert optdsl("fmt", "-", text=MESSY).out == TIDY
    assert (folder / "diet.opt").read_text() == MESSY


def test_fmt_goes_on_after_a_file_with_mistakes(folder: Path) -> None:
    (folder / "bad.opt").write_text("var = 3\n")
    done = optdsl("fmt", "bad.opt", "none.opt", "diet.opt", folder=folder)
    assert done.code == 2 and "bad.opt:1" in done.err and "there is no file none.opt" in done.err
    assert (folder / "diet.opt").read_text() == TIDY and (folder / "bad.opt").read_text() == "var = 3\n"


WRONG = {
    "unknown-command": (["slove", "diet.opt"], "did you mean solve?"),
    "no-such-file": (["solve", "deit.opt"], "did you mean diet.opt?"),
    "not-a-file": (["check", "."], "latin.opt"),
    "command-line": (["solve", "diet.opt", "--time-limt", "3"], "did you mean --time-limit?"),
    "bad-option-form": (["solve", "diet.opt", "--opt", "tol"], "--opt tol=1e-9"),
    "repeated-option": (["solve", "diet.opt", "--opt", "tol=1", "--opt", "tol=2"], "keep one"),
    "unknown-output-format": (["solve", "diet.opt", "--out", "o", "--out-format", "xls"], "csv and parquet"),
    "bad-encoding": (["fmt", "latin.opt"], "save the file as UTF-8"),
    "unknown-stage": (["explain", "diet.opt", "--after", "modl"], "did you mean model?"),
    "unknown-method": (["solve", "diet.opt", "--method", "higs"], "did you mean highs?"),
    "unknown-picture-format": (["solve", "diet.opt", "--plot", "diet.bmp"], ".svg"),
    "unknown-report-format": (["solve", "diet.opt", "--report", "diet.pdf"], "diet.html"),
    "unknown-option": (["solve", "diet.opt", "--method", "highs", "--opt", "tolerance=1"], "its options are"),
    "bad-option-value": (["solve", "diet.opt", "--method", "cvxpy", "--opt", "tol=small"], "a number from"),
    "unknown-solver": (["solve", "diet.opt", "--opt", "solver=OSPQ"], "did you mean `OSQP`?"),
    "method-cannot-solve": (["solve", "whole.opt", "--method", "highs"], "cvxpy (SCIP)"),
    "cannot-write": (["solve", "diet.opt", "--out", "diet.opt/answer", "--json"], "--out needs a folder"),
    "bad-time-limit": (["solve", "diet.opt", "--time-limit", "-1"], "a number of seconds"),
    "no-checkpoints": (["solve", "diet.opt", "--checkpoint", "state"], "adam"),
    "no-checkpoint-folder": (["solve", "diet.opt", "--resume"], "--checkpoint DIR --resume"),
    "bad-checkpoint": (
        ["solve", "sum.opt", "--method", "adam", "--checkpoint", "state", "--resume"],
        "leave --resume out",
    ),
    "bad-seed": (["solve", "diet.opt", "--seed", "-1"], "a whole number from 0 on"),
}


@pytest.mark.parametrize("code", WRONG)
def test_wrong_input_is_explained_and_ends_with_two(code: str, folder: Path) -> None:
    arguments, hint = WRONG[code]
    (folder / "latin.opt").write_bytes(b"var x\n# caf\xe9\n")
    (folder / "whole.opt").write_text("var k integer, in [0, 9]\nminimize (k - 2.5)^2\n")
    (folder / "sum.opt").write_text("set ROW = 1..3\nvar w\nminimize f: sum((w - i)^2 for i in ROW)\n")
    (folder / "state").mkdir()
    (folder / "state" / "checkpoint.json").write_text('{"cut off')
    done = optdsl(*arguments, folder=folder)
    assert done.code == 2 and (done.out == "" or "--json" in arguments) and "Traceback" not in done.err
    assert done.err.startswith(f"error[{code}]: ") and hint in done.err
    golden = ROOT / "tests" / "golden" / "shell" / f"{code}.txt"
    if os.environ.get("OPTDSL_UPDATE_GOLDEN"):
        golden.write_text(done.err)
    assert done.err == golden.read_text()


@pytest.mark.parametrize("code", ["no-such-file", "unknown-command"])
def test_errors_are_also_json_where_asked(code: str, folder: Path) -> None:
    done = optdsl(*WRONG[code][0], "--json", folder=folder)
    (error,) = json.loads(done.out)["errors"]
    assert error["code"] == code and list(error) == ["code", "file", "line", "column", "message", "hint"]
    assert f"error[{code}]" in done.err


def test_unreadable_files_are_said(folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser reads everything")
    (folder / "diet.opt").chmod(0)
    assert "error[unreadable-file]" in optdsl("solve", "diet.opt", folder=folder).err


def test_all_options_that_are_wrong_are_reported_together() -> None:
    with pytest.raises(OptionError) as caught:
        as_given_data(["=3", "n"], ["foods", "x=nowhere.csv"])
    assert len(caught.value.diagnostics) == 4
    assert read_options(["tol=1e-9", "solver='OSQP'"]) == {"tol": "1e-9", "solver": "OSQP"}


def test_faults_of_ours_end_with_three_and_no_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("optdsl.cli.fmt.read_model", broken)
    assert main.run(["fmt", str(folder / "diet.opt")]) == 3
    err = capsys.readouterr().err
    assert err.startswith("internal error: ZeroDivisionError: a bug") and "Traceback" not in err
    details = Path(re.search(r"Details are in (.*)\.\n", err)[1])  # type: ignore[index]
    assert "Traceback" in details.read_text() and "command: optdsl fmt" in details.read_text()
    details.unlink()
    assert main.run(["--debug", "fmt", str(folder / "diet.opt")]) == 3
    assert "Traceback" in capsys.readouterr().err
    assert "mistake in optdsl" in faults.fault_message(ValueError(), [], True)


def test_interrupts_before_a_solve_end_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("optdsl.cli.fmt.read_model", interrupted)
    assert main.run(["fmt", "x.opt"]) == 1
    assert capsys.readouterr().err.strip() == "optdsl: interrupted before there was an answer"


def test_the_live_line() -> None:
    news = Progress(12345, 88.25, 0.035, 1.0, 85.0)
    assert live_text("solving", news, 12.4) == "solving: iteration 12,345, objective 88.25, bound 85, gap 3.5%, 12 s"
    assert live_text("reading", None, 1.0) == "reading: 1 s"


def test_explain_without_a_stage_shows_data_templates_and_program(tmp_path: Path) -> None:
    model = tmp_path / "plan.opt"
    model.write_text("param c = 3\nvar x >= 0\nminimize cost: c * x\nsubject to\n  least: x >= 2\n")
    shown = optdsl("explain", str(model))
    assert shown.code == 0 and not shown.err
    stages = [optdsl("explain", str(model), "--after", stage).out.strip() for stage in ("data", "model", "program")]
    assert shown.out.strip() == "\n\n".join(stages)
