"""`optdsl solve` and `optdsl check` from end to end: answers, exit codes, JSON, files, pipes, interruption."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.csv
import pytest
from shell import environment, optdsl

DIET = """\
table foods from "foods.csv"
table content from "content.csv"
set FOOD from foods(food)
set NUTR = {"calories", "protein"}
param cost[FOOD] >= 0 from foods(food, cost)
param amount[NUTR, FOOD] from content(nutrient, food, amount)
param need[NUTR] = {"calories": 2000, "protein": 50}
var buy[FOOD] >= 0, <= 10
minimize total_cost: sum(cost[f] * buy[f] for f in FOOD)
subject to
  nutrition[n in NUTR]: sum(amount[n, f] * buy[f] for f in FOOD) >= need[n]
"""

FOODS = "food,cost\nbread,2\nmilk,3\n"
CONTENT = "nutrient,food,amount\ncalories,bread,250\ncalories,milk,100\nprotein,bread,4\nprotein,milk,8\n"

# bread b, milk m: 250 b + 100 m >= 2000, 4 b + 8 m >= 50, 2 b + 3 m least: b = 6.875, m = 2.8125.
COST = 2 * 6.875 + 3 * 2.8125

INFEASIBLE = """\
var x >= 0, <= 10
var y >= 0, <= 10
var unused >= 0
minimize x + y
subject to
  high: x + y >= 30
  fine: x - y <= 5
"""

UNBOUNDED = "var x >= 0\nvar y >= 0\nmaximize gain: x + y\nsubject to\n  near: x - y <= 1\n"

# Equal knapsacks: no solver closes the gap soon.
LONG = """\
set I = 1..70
set K = 1..12
param w[i in I] = 1000 + mod(i * i * 7919, 1009)
var take[I, K] binary
var spread >= 0
minimize spread
subject to
  once[i in I]: sum(take[i, k] for k in K) = 1
  above[k in K]: sum(w[i] * take[i, k] for i in I) - sum(w[i] for i in I) / 12 <= spread
  below[k in K]: sum(w[i] for i in I) / 12 - sum(w[i] * take[i, k] for i in I) <= spread
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    files = {
        "diet.opt": DIET,
        "foods.csv": FOODS,
        "content.csv": CONTENT,
        "infeasible.opt": INFEASIBLE,
        "unbounded.opt": UNBOUNDED,
        "long.opt": LONG,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_a_person_gets_a_page(folder: Path) -> None:
    done = optdsl("solve", "diet.opt", folder=folder)
    assert done.code == 0 and done.err == ""
    assert done.out.startswith("Optimal: no point that satisfies all constraints has a lower total_cost.\n")
    assert "total_cost = 22.1875 (minimized)" in done.out
    assert done.out.endswith("buy [FOOD]\n  bread   6.875\n  milk    2.8125\n")


def test_a_script_gets_one_object(folder: Path) -> None:
    done = optdsl("solve", "diet.opt", "--json", folder=folder)
    assert done.code == 0 and done.err == "" and done.out.count("\n") == 1
    found = json.loads(done.out)
    assert found["status"] == "optimal" and found["guarantee"] == "global" and found["model"] == "diet"
    assert found["class"] == {"type": "LP", "convexity": "convex", "smoothness": "smooth"}
    assert found["objective"]["value"] == pytest.approx(COST)
    assert found["objective"]["bound"] == pytest.approx(COST)
    buy, nutrition = found["variables"]["buy"], found["constraints"]["nutrition"]
    assert buy["sets"] == ["FOOD"] and buy["index"] == [["bread"], ["milk"]]
    assert buy["value"] == pytest.approx([6.875, 2.8125]) and buy["reduced_cost"] == pytest.approx([0, 0])
    assert nutrition["dual"] == pytest.approx([0.0025, 0.34375]) and nutrition["slack"] == pytest.approx([0, 0])
    assert found["checks"]["ok"] is True and found["checks"]["second_order"] == "not_needed"
    assert found["time"]["total"] > 0


def test_quiet_prints_one_line(folder: Path) -> None:
    assert optdsl("solve", "diet.opt", "--quiet", folder=folder).out == "diet: optimal, total_cost = 22.1875\n"


def test_standard_input_is_a_model(folder: Path) -> None:
    done = optdsl("solve", "-", "--quiet", folder=folder, text=DIET)
    assert done.out == "model: optimal, total_cost = 22.1875\n"


def test_data_from_the_command_line(folder: Path, tmp_path: Path) -> None:
    model = 'set S = {"a"}\nparam n = 1\nvar x[S] >= n\nminimize cost: sum(x[s] for s in S)\n'
    (tmp_path / "m.opt").write_text(model)
    done = optdsl("solve", "m.opt", "--set", "n=5", "--set", "S=a,b,c", "--quiet", folder=tmp_path)
    assert done.out == "m: optimal, cost = 15\n"
    (tmp_path / "dear.csv").write_text(FOODS.replace("2", "4").replace("3", "6"))
    done = optdsl("solve", folder / "diet.opt", "--data", "foods=dear.csv", "--quiet", folder=tmp_path)
    assert done.out == "diet: optimal, total_cost = 44.375\n"


def test_infeasible_and_unbounded_end_with_one(folder: Path) -> None:
    done = optdsl("solve", "infeasible.opt", folder=folder)
    assert done.code == 1 and done.out.startswith("Infeasible: no point satisfies all constraints.")
    for sentence in ("high, its lower side (>=)", "the upper bound of x", "the upper bound of y"):
        assert sentence in done.out
    assert "fine" not in done.out
    found = json.loads(optdsl("solve", "infeasible.opt", "--json", folder=folder).out)
    assert found["status"] == "infeasible" and found["conflict"]["irreducible"] is True
    assert len(found["conflict"]["members"]) == 3 and found["objective"]["value"] is None
    done = optdsl("solve", "unbounded.opt", folder=folder)
    assert done.code == 1 and done.out.startswith("Unbounded: gain can be made higher without end.")
    ray = json.loads(optdsl("solve", "unbounded.opt", "--json", folder=folder).out)["ray"]
    assert ray["y"]["value"][0] > 0 and ray["x"]["value"][0] >= 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--method", "cvxpy"], ""),
        (["--method", "cvxpy", "--opt", "solver=OSQP", "--opt", "tol=1e-9"], ""),
        (["--method", "highs", "--opt", "solver=ipm"], ""),
        ([], "\nsolve using highs(tol = 1e-9)\n"),
        (["--method", "auto"], '\nsolve using cvxpy(solver = "SCS")\n'),
    ],
)
def test_every_way_to_choose_a_method(arguments: list[str], text: str, folder: Path) -> None:
    done = optdsl("solve", "-", "--json", *arguments, text=DIET + text, folder=folder)
    found = json.loads(done.out)
    assert found["objective"]["value"] == pytest.approx(COST, rel=1e-5)
    method = arguments[1] if "--method" in arguments and arguments[1] != "auto" else "highs"
    assert found["route"]["method"] == method


@pytest.mark.parametrize(
    ("line", "code", "column"),
    [
        ("solve using higs", "unknown-method", 13),
        ("solve using adam(bach = 3)", "unknown-option", 18),
        ("solve using highs(tolerance = 3)", "unknown-option", 19),
    ],
)
def test_mistakes_in_solve_using_have_a_caret(line: str, code: str, column: int, folder: Path) -> None:
    done = optdsl("solve", "-", "--json", text=DIET + line + "\n", folder=folder)
    (error,) = json.loads(done.out)["errors"]
    assert done.code == 2 and (error["code"], error["line"], error["column"]) == (code, 12, column)
    assert "^^^^" in done.err


def test_a_model_beyond_this_version_is_refused_with_its_place(folder: Path) -> None:
    text = "var x integer, in [1, 9]\nminimize f: sin(x)\n"
    done = optdsl("solve", "-", "--json", text=text, folder=folder)
    found = json.loads(done.out)
    assert done.code == 1 and found["class"]["type"] and found["errors"][0]["line"] == 1
    assert "^" in done.err
    checked = optdsl("check", "-", text=text, folder=folder)
    assert checked.code == 0


def test_results_as_files(folder: Path, tmp_path: Path) -> None:
    done = optdsl("solve", folder / "diet.opt", "--out", tmp_path / "answer", "--quiet")
    assert done.code == 0
    assert sorted(os.listdir(tmp_path / "answer")) == ["buy.csv", "nutrition.csv", "result.json"]
    table = pyarrow.csv.read_csv(tmp_path / "answer" / "buy.csv")
    assert table.column_names == ["FOOD", "value", "reduced_cost"]
    done = optdsl("solve", folder / "diet.opt", "--out", tmp_path / "answer", "--out-format", "parquet")
    assert done.code == 0 and "3 files written" in done.err


def test_missing_data_is_one_report(folder: Path) -> None:
    text = "param a\nset S\nparam b[S]\nvar x[S] >= a\nminimize sum(b[s] * x[s] for s in S)\n"
    for command in ("solve", "check"):
        done = optdsl(command, "-", text=text, folder=folder)
        assert done.code == 2 and all(name in done.err for name in ("`a`", "`S`", "`b`"))


def test_check_says_what_a_model_is(folder: Path) -> None:
    done = optdsl("check", "diet.opt", folder=folder)
    assert done.code == 0 and done.out.startswith("diet: LP (linear)")
    assert "2 variables, 2 constraints, 4 nonzeros" in done.out
    found = json.loads(optdsl("check", "diet.opt", "--json", folder=folder).out)
    assert found["size"] == {"variables": 2, "constraints": 2, "nonzeros": 4, "integers": 0}
    assert [item["name"] for item in found["statements"]] == ["total_cost", "nutrition"]
    assert {item["curvature"] for item in found["statements"]} == {"affine"} and found["route"]["method"] == "highs"


@pytest.mark.parametrize("stage", ["tree", "data", "model", "class", "program"])
def test_explain_prints_each_stage(stage: str, folder: Path) -> None:
    done = optdsl("explain", "diet.opt", "--after", stage, folder=folder)
    assert done.code == 0 and done.out.strip() and done.err == ""


def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m optdsl solve diet.opt --json; echo code $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; ({command}) | true"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.stderr == "code 0\n"


def running(*arguments: str, folder: Path, error: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "optdsl", "solve", "long.opt", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=error,
        env=environment(),
    )


def test_an_interrupted_solve_gives_its_best_point(folder: Path) -> None:
    process = running("--json", folder=folder)
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    found = json.loads(out)
    assert process.returncode == 1 and found["status"] == "interrupted" and err == b""
    assert len(found["variables"]["take"]["value"]) == 840
    assert found["checks"]["primal_residual"] < 1e-6 and found["objective"]["bound"] <= found["objective"]["value"]


def test_a_second_interrupt_kills(folder: Path) -> None:
    process = running(folder=folder)
    time.sleep(4)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.01)
    while process.poll() is None:
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.01)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 1) and b"Traceback" not in err


def test_a_time_limit_gives_the_best_point_too(folder: Path) -> None:
    done = optdsl("solve", "long.opt", "--time-limit", "2", folder=folder)
    assert done.code == 1 and done.out.startswith("Stopped at the time limit: ")


def test_a_terminal_shows_a_live_line_and_colors(folder: Path) -> None:
    ours, theirs = pty.openpty()
    process = running("--time-limit", "3", folder=folder, error=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    process.communicate(timeout=60)
    os.close(ours)
    assert b"solving: " in shown and b"objective" in shown
    assert shown.endswith(b"\r\x1b[2K")


def test_no_color_where_nobody_looks_or_none_is_wanted(folder: Path) -> None:
    for variables in ({}, {"NO_COLOR": "1"}):
        assert "\x1b" not in optdsl("solve", "diet.opt", folder=folder, variables=variables).out
