"""Reads the blocks of a Markdown page, runs them, and compares what the page says with what really happens.

What a block is, by the words after its fence:

    ```opt file=diet.opt       a whole model; written to the page's folder, so that later blocks can use it
    ```opt                     a whole model that must parse
    ```opt fragment            statements that must parse
    ```opt wrong               a text that optdsl must refuse
    ```csv file=foods.csv      written to the page's folder (any language may carry `file=`)
    ```console                 `$ command` lines and what each prints; run in order in the page's folder
    ```python                  run in order, all blocks of a page in one namespace; a ```output block after one is what
                               it prints
Anything else (```sh, ```json, ```text, and Python of other libraries as ```py) is not run.

In expected output a line `...` stands for any lines, durations and residuals stand for any, and numbers for those that
differ by rounding only. Commands that may run are
`optdsl ...` and `cat FILE`, with `; echo $?` after them. `python tests/documents/pages.py PAGE ...` writes the real
output into pages.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
DURATION = re.compile(r"\b\d+(\.\d+)?(e-\d+)? ?(ms|s|min)\b")
LAPS = re.compile(r"^time <time> \(.*\)$")
MEASURED = re.compile(
    r"(\b(?:constraints|optimality|complementarity|gap) "
    r'|"(?:primal_residual|dual_residual|complementarity|gap|read|classify|compile|solve|total|seconds)": )\d[\d.e-]*'
)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
SHELL = "from optdsl.cli.main import main; main()"


@dataclass(frozen=True)
class Block:
    """A fenced block: its words, its text, and where the text lies in the page."""

    words: tuple[str, ...]
    text: str
    start: int
    end: int
    line: int

    @property
    def language(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def file(self) -> str | None:
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(tuple(m[1].split()), m[2], m.start(2), m.end(2), text.count("\n", 0, m.start()) + 1)
        for m in FENCE.finditer(text)
    ]


@dataclass(frozen=True)
class Outcome:
    """What a block printed, beside what the page says: `expected` and `actual` are the block's whole text."""

    block: Block
    expected: str
    actual: str

    @property
    def agrees(self) -> bool:
        return matches(self.expected, self.actual)


def run_page(page: Path) -> Iterator[Outcome]:
    """Runs the console and Python blocks of a page in a folder of its own, with the examples beside."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "examples", folder / "examples")
        found = blocks(page)
        python = iter(run_python([b for b in found if b.language == "python"], found, folder))
        printed: dict[int, str] | None = None
        for number, block in enumerate(found):
            if block.file is not None:
                (folder / block.file).write_text(block.text, encoding="utf-8")
            elif block.language == "console":
                yield Outcome(block, block.text, run_console(block.text, folder))
            elif block.language == "python":
                if printed is None:
                    printed = next(python)
                after = found[number + 1] if number + 1 < len(found) else None
                if after is not None and after.language == "output":
                    yield Outcome(after, after.text, printed[block.line])
                elif printed[block.line].strip():
                    yield Outcome(block, "", printed[block.line])


def run_console(text: str, folder: Path) -> str:
    """The block with the real output after each `$ command`."""
    lines = []
    for line in text.splitlines():
        if line.startswith("$ "):
            lines += [line, *run_command(line[2:], folder).splitlines()]
    return "\n".join(lines) + "\n"


def run_command(command: str, folder: Path) -> str:
    """Standard output and error of one command, as a terminal of 100 columns without colors shows them."""
    command, _, echo = command.partition("; echo ")
    words = shlex.split(command)
    if words[0] == "cat":
        return "".join((folder / word).read_text(encoding="utf-8") for word in words[1:])
    if words[0] != "optdsl":
        raise AssertionError(f"only optdsl and cat are run: {command}")
    done = subprocess.run(
        [sys.executable, "-c", SHELL, *words[1:]],
        cwd=folder,
        env={**environment(), "COLUMNS": "100", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "Traceback (most recent call last)" not in done.stdout, done.stdout
    return done.stdout + (echo.replace("$?", str(done.returncode)) + "\n" if echo else "")


def run_python(python: list[Block], found: list[Block], folder: Path) -> Iterator[dict[int, str]]:
    """What each Python block prints, by its line; all blocks run in one process, once the files are written."""
    if not python:
        return
    for block in found:
        if block.file is not None:
            (folder / block.file).write_text(block.text, encoding="utf-8")
    program = (
        "import contextlib, io, json, sys\n"
        "namespace, printed = {'__name__': 'page'}, {}\n"
        f"for line, text in {[(block.line, block.text) for block in python]!r}:\n"
        "    output = io.StringIO()\n"
        "    with contextlib.redirect_stdout(output):\n"
        "        exec(compile('\\n' * line + text, 'page', 'exec'), namespace)\n"
        "    printed[line] = output.getvalue()\n"
        "print(json.dumps(printed))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    yield {int(line): text for line, text in json.loads(done.stdout.splitlines()[-1]).items()}


def environment() -> dict[str, str]:
    """The environment, with the checkout importable where optdsl is not installed."""
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def matches(expected: str, actual: str) -> bool:
    """Whether an output is the expected one, up to `...` lines, spaces, durations, and the last digits of numbers."""
    return lines_match(expected.splitlines(), actual.splitlines())


def lines_match(expected: list[str], actual: list[str]) -> bool:
    while expected and expected[0].strip() != "...":
        if not actual or not same_line(expected[0], actual[0]):
            return False
        expected, actual = expected[1:], actual[1:]
    if not expected:
        return not actual
    return any(lines_match(expected[1:], actual[skipped:]) for skipped in range(len(actual) + 1))


def same_line(expected: str, actual: str) -> bool:
    """Numbers may differ by rounding; the words between them may not."""
    left, right = settled(expected), settled(actual)
    if NUMBER.sub("#", left) != NUMBER.sub("#", right):
        return False
    pairs = zip(NUMBER.findall(left), NUMBER.findall(right), strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=1e-5, abs_tol=1e-6) for a, b in pairs)


def settled(line: str) -> str:
    """A line without what differs from run to run and machine to machine."""
    timed = LAPS.sub("time <time>", DURATION.sub("<time>", " ".join(line.split())))
    return MEASURED.sub(r"\1<measured>", timed)


def rewrite(page: Path) -> None:
    """Puts the real output into a page, except into blocks that agree already."""
    text = page.read_text(encoding="utf-8")
    wrong = [outcome for outcome in run_page(page) if not outcome.agrees]
    for outcome in sorted(wrong, key=lambda o: -o.block.start):
        if outcome.block.language == "python":
            print(f"{page.name}:{outcome.block.line}: prints, but no output block follows:\n{outcome.actual}")
            continue
        text = text[: outcome.block.start] + outcome.actual.rstrip("\n") + "\n" + text[outcome.block.end :]
        print(f"{page.name}:{outcome.block.line}: rewritten")
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        rewrite(Path(argument).resolve())
