"""The set-up commands of the README, and that `.ci/run` runs the README's test command."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def commands() -> list[str]:
    """The lines of the README's `sh` blocks that make the environment."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", readme, re.M | re.S) for line in block.splitlines()]
    return [line for line in lines if line.startswith("python3.11 -m venv")]


def test_two_commands_do_all_the_set_up() -> None:
    solve, test = commands()
    assert solve.endswith("optdsl solve examples/diet.opt")
    assert "-m pytest" in test
    for command in (solve, test):
        steps = [shlex.split(step) for step in command.split(" && ")]
        assert steps[0] == ["python3.11", "-m", "venv", ".venv"]
        assert steps[1][:2] == [".venv/bin/pip", "install"]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / "run"), "--print-test-command"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == commands()[1]


def test_ci_can_be_started() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=False).returncode == 0
