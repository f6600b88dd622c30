"""Pictures of an answer: its values, how the run went, and for two variables the landscape and the path in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optdsl.answer.labelled import LabelledArray
from optdsl.answer.picture_run import landscape, objective_over_iterations, residuals_over_iterations
from optdsl.answer.picture_values import parts_of
from optdsl.errors import Diagnostic, OptError, OptionError

if TYPE_CHECKING:
    from optdsl.answer.solution import Solution

FORMATS = (".png", ".svg", ".pdf")
MOST_PARTS = 6
"""Parts of a picture that show values; what is beyond is said below the picture."""
DOTS = 96
"""Dots an inch."""


def check_picture(path: Path) -> None:
    """Raises OptionError where no picture can be written: an unknown format, or matplotlib is missing."""
    if path.suffix.lower() not in FORMATS:
        raise OptionError(
            Diagnostic(
                "unknown-picture-format",
                f'there is no picture format "{path.suffix}"',
                hint=f"end the file's name in {', '.join(FORMATS)}",
            )
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise OptionError(
            Diagnostic(
                "no-plotting",
                "pictures need matplotlib, which is not installed",
                hint="install it with: pip install 'optdsl[plot]'",
            )
        ) from None


def draw(solution: Solution, path: Path) -> None:
    """Writes the picture of an answer, beside its place and renamed. Raises OptionError where it cannot."""
    check_picture(path)
    figure = figure_of(solution)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(beside, format=path.suffix[1:].lower(), dpi=DOTS)
        os.replace(beside, path)
    except OSError as error:
        raise OptionError(
            Diagnostic("cannot-write", f"cannot write {path}: {error.strerror or error}", hint="name another file")
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def figure_of(solution: Solution) -> Any:
    """The picture as a matplotlib figure: what there is to see of the values, then the run."""
    from matplotlib.figure import Figure

    panels, left_out = _panels(solution)
    panels = panels or [lambda axes: _words(axes, solution)]
    columns = len(panels) if len(panels) < 4 else 2 if len(panels) == 4 else 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.0 * columns, 3.8 * rows), layout="constrained")
    for number, panel in enumerate(panels):
        panel(figure.add_subplot(rows, columns, number + 1))
    if left_out:
        figure.supxlabel(f"{left_out} more {'is' if left_out == 1 else 'are'} not drawn", fontsize=8)
    return figure


def _panels(solution: Solution) -> tuple[list[Callable[[Any], None]], int]:
    """What draws each part, and how many parts with values are left out."""
    panels: list[Callable[[Any], None]] = []
    left_out = 0
    if solution.landscape is not None:
        panels.append(lambda axes: landscape(axes, solution))
    else:
        values = {name: answer.value for name, answer in solution.variables.items()}
        parts = parts_of(values) or parts_of(_expressions(solution))
        panels += [part.draw for part in parts[:MOST_PARTS]]
        left_out = max(0, len(parts) - MOST_PARTS)
    if len(solution.trace) > 1:
        panels.append(lambda axes: objective_over_iterations(axes, solution))
        panels.append(lambda axes: residuals_over_iterations(axes, solution))
    return panels, left_out


def _expressions(solution: Solution) -> Mapping[str, LabelledArray]:
    """The values of named expressions, for models whose variables are single numbers."""
    found = {}
    for name, value in solution.expressions.items():
        try:
            array = value()
        except OptError:  # an index outside its set, seen only when it is computed
            continue
        if np.isfinite(np.asarray(array, dtype=float)).any():
            found[name] = array
    return found


def _words(axes: Any, solution: Solution) -> None:
    """The status, where there is nothing else to show."""
    axes.axis("off")
    axes.text(0.5, 0.5, f"{solution.model}: {solution.status.sentence}", ha="center", va="center", wrap=True)
