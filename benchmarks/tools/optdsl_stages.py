"""optdsl's stages from a text to a solver that holds the model, which is not solved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highspy

from optdsl.classify import analyze
from optdsl.convex.highs_pass import pass_program
from optdsl.convex.lower import lower
from optdsl.data.supplied import from_python
from optdsl.language import parse
from optdsl.model import build


def hold(text: str, folder: Path = Path("."), **data: Any) -> highspy.Highs:
    """The stages of `Model.solve` up to the solver's run."""
    supplied = {name: from_python(name, value) for name, value in data.items()}
    lowered = lower(analyze(build(parse(text), folder=folder, supplied=supplied)))
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    pass_program(highs, lowered.program)
    return highs
