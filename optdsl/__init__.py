"""optdsl: a declarative language for optimization problems, with answers whose worth is checked and said.

    import optdsl
    model = optdsl.load("diet.opt")
    solution = model.solve()
    solution.status, solution.objective, solution["buy"], solution.dual("nutrition")

Names are imported when they are first used, so that `import optdsl` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from optdsl.answer.labelled import LabelledArray as LabelledArray
    from optdsl.answer.solution import Solution as Solution
    from optdsl.answer.status import Guarantee as Guarantee
    from optdsl.answer.status import SecondOrder as SecondOrder
    from optdsl.answer.status import Status as Status
    from optdsl.answer.verdict import Verdict as Verdict
    from optdsl.api import Compiled as Compiled
    from optdsl.api import Model as Model
    from optdsl.api import load as load
    from optdsl.api import parse as parse
    from optdsl.errors import DataError as DataError
    from optdsl.errors import Diagnostic as Diagnostic
    from optdsl.errors import ModelError as ModelError
    from optdsl.errors import NotSolvable as NotSolvable
    from optdsl.errors import OptError as OptError
    from optdsl.errors import OptionError as OptionError
    from optdsl.errors import OptSyntaxError as OptSyntaxError

_HOME = {
    "load": "optdsl.api",
    "parse": "optdsl.api",
    "Model": "optdsl.api",
    "Compiled": "optdsl.api",
    "Solution": "optdsl.answer.solution",
    "Verdict": "optdsl.answer.verdict",
    "LabelledArray": "optdsl.answer.labelled",
    "Status": "optdsl.answer.status",
    "Guarantee": "optdsl.answer.status",
    "SecondOrder": "optdsl.answer.status",
    "OptError": "optdsl.errors",
    "OptSyntaxError": "optdsl.errors",
    "ModelError": "optdsl.errors",
    "DataError": "optdsl.errors",
    "OptionError": "optdsl.errors",
    "NotSolvable": "optdsl.errors",
    "Diagnostic": "optdsl.errors",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
