"""Runs `optdsl` as a person or a script does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The process's environment with this checkout's package first, and no colors asked for or forbidden."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")
    }
    path = os.pathsep.join([str(ROOT), *filter(None, [inherited.get("PYTHONPATH")])])
    return {**inherited, "PYTHONPATH": path, "PYTHONWARNINGS": "error", **(extra or {})}


def optdsl(
    *arguments: str | Path,
    folder: Path | None = None,
    text: str | bytes = "",
    variables: Mapping[str, str] | None = None,
) -> Outcome:
    """The outcome of `optdsl ARGUMENTS` in a process of its own, with `text` on standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "optdsl", *map(str, arguments)],
        cwd=folder,
        input=text.encode() if isinstance(text, str) else text,
        capture_output=True,
        env=environment(variables),
        timeout=120,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
