"""The wrong models of `tests/golden/model`, and what optdsl says about each.

A model's first comment says what is wrong with it. Comments of two kinds give it data from outside:
`# given: {"n": 2.5}` as Python's keyword arguments would, `# options: --set n=2.5` as a shell would.
"""

import re
import shlex
from pathlib import Path

import pytest
from scipy.sparse import eye_array

from optdsl.answer.stages import solve_text
from optdsl.cli.inputs import as_given_data
from optdsl.data.supplied import from_python
from optdsl.errors import OptError

GOLDEN = Path(__file__).parents[1] / "golden" / "model"
MODELS = sorted(GOLDEN.glob("*.opt"))
GIVEN = re.compile(r"^# given: (.*)$", re.MULTILINE)
OPTIONS = re.compile(r"^# options: (.*)$", re.MULTILINE)


def mistakes(path: Path) -> OptError:
    """The error that solving a wrong model raises; to be called in the folder of the model."""
    text = path.read_text(encoding="utf-8")
    with pytest.raises(OptError) as caught:
        supplied, paths = {}, {}
        for line in OPTIONS.findall(text):
            words = shlex.split(line)
            chosen = {"--set": [], "--data": []}
            for option, value in zip(words[::2], words[1::2], strict=True):
                chosen[option].append(value)
            supplied, paths = as_given_data(chosen["--set"], [])
            paths = dict(value.split("=") for value in chosen["--data"])
        for line in GIVEN.findall(text):
            supplied |= {name: from_python(name, value) for name, value in literal(line).items()}
        solve_text(text, path.name, folder=Path(), supplied=supplied, paths=paths)
    return caught.value


def literal(line: str) -> dict[str, object]:
    """A dictionary in Python's notation; `nan` and `inf` are numbers there, `eye(n)` is a sparse matrix."""
    return eval(line, {"__builtins__": {}}, {"nan": float("nan"), "inf": float("inf"), "eye": eye_array})
