"""Pictures of an answer: how the run went, the landscape of two variables, and variables over their index."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optdsl.answer.labelled import LabelledArray, index_labels
from optdsl.errors import Diagnostic, OptionError

if TYPE_CHECKING:
    from optdsl.answer.solution import Solution

FORMATS = (".png", ".svg", ".pdf")
MOST_VARIABLES = 4
MOST_TICKS = 12
GRID = 121
"""Points along each axis of a landscape."""
DARK, LIGHT, WARM = "#1f4e79", "#9dc3e6", "#c55a11"

Landscape = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Objective (k,) and largest violation (k,) at points (k, 2)."""


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
    from matplotlib.figure import Figure

    panels = _panels(solution) or [lambda axes: _words(axes, solution)]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.9 * rows), layout="constrained")
    for number, panel in enumerate(panels):
        panel(figure.add_subplot(rows, columns, number + 1))
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(beside, format=path.suffix[1:].lower(), dpi=150)
        os.replace(beside, path)
    except OSError as error:
        raise OptionError(
            Diagnostic("cannot-write", f"cannot write {path}: {error.strerror or error}", hint="name another file")
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def _panels(solution: Solution) -> list[Callable[[Any], None]]:
    panels: list[Callable[[Any], None]] = []
    if solution.landscape is not None:
        panels.append(lambda axes: _landscape(axes, solution))
    else:
        values = [(name, answer.value) for name, answer in solution.variables.items()]
        drawable = [(name, value) for name, value in values if len(value.axes) in (1, 2) and value.size > 1]
        for name, value in drawable[:MOST_VARIABLES]:
            panels.append(lambda axes, n=name, v=value: _variable(axes, n, v))  # type: ignore[misc]
    if len(solution.trace) > 1:
        panels.append(lambda axes: _objective(axes, solution))
        panels.append(lambda axes: _residuals(axes, solution))
    return panels


def _words(axes: Any, solution: Solution) -> None:
    """The status, where there is nothing else to show."""
    axes.axis("off")
    axes.text(0.5, 0.5, f"{solution.model}: {solution.status.sentence}", ha="center", va="center", wrap=True)


# ---------------------------------------------------------------------------------------------------- the run


def _steps(solution: Solution) -> np.ndarray:
    trace = solution.trace
    return trace["iter"] if "iter" in trace.columns else np.arange(float(len(trace)))


def _objective(axes: Any, solution: Solution) -> None:
    trace = solution.trace
    for column, color in (("objective", DARK), ("bound", WARM)):
        if column in trace.columns and np.isfinite(trace[column]).any():
            axes.plot(_steps(solution), trace[column], ".-", color=color, label=column, markersize=4)
    axes.set_title("objective over iterations", fontsize=10)
    axes.set_xlabel("iteration")
    axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.3)


def _residuals(axes: Any, solution: Solution) -> None:
    trace = solution.trace
    for column, color in (("primal", DARK), ("dual", WARM), ("gap", "#548235"), ("penalty", LIGHT)):
        if column in trace.columns:
            values = np.abs(trace[column])
            if np.isfinite(values).any() and (values > 0).any():
                shown = np.where(values > 0, values, np.nan)
                axes.semilogy(_steps(solution), shown, ".-", color=color, label=column, markersize=4)
    axes.set_title("residuals over iterations", fontsize=10)
    axes.set_xlabel("iteration")
    if axes.lines:
        axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.3)


# ------------------------------------------------------------------------------------------------ the answer


def _landscape(axes: Any, solution: Solution) -> None:
    """Contours of the objective of two variables, what is not feasible in gray, the path and where it ended."""
    assert solution.landscape is not None
    entries = np.concatenate([np.asarray(a.value, dtype=float).ravel() for a in solution.variables.values()])
    path = solution.path if solution.path is not None and len(solution.path) else entries[None]
    seen = np.vstack([path, entries])
    low, high = seen.min(axis=0), seen.max(axis=0)
    room = np.maximum(0.35 * (high - low).max(), 0.1 * np.maximum(1.0, np.abs(seen).max(axis=0)))
    low, high = low - room, high + room
    first, second = (np.linspace(low[k], high[k], GRID) for k in (0, 1))
    grid = np.stack(np.meshgrid(first, second), axis=-1)
    values, violation = (part.reshape(GRID, GRID) for part in solution.landscape(grid.reshape(-1, 2)))
    finite = np.isfinite(values)
    if finite.any():
        levels = np.unique(np.quantile(values[finite], np.linspace(0.01, 0.99, 22)))
        if len(levels) > 1:
            axes.contour(first, second, np.where(finite, values, np.nan), levels=levels, cmap="Blues_r", linewidths=0.8)
    outside = np.where(np.isfinite(violation), violation, 1.0) > 1e-6
    if outside.any():
        axes.contourf(first, second, outside.astype(float), levels=[0.5, 1.5], colors=["#000000"], alpha=0.12)
    if len(path) > 1:
        axes.plot(path[:, 0], path[:, 1], ".-", color=WARM, markersize=4, linewidth=1, label="path")
        axes.plot(*path[0], "o", color=WARM, markersize=6, fillstyle="none", label="start")
    axes.plot(*entries, "*", color=DARK, markersize=12, label="end")
    names = _column_names(solution)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    axes.set_title(f"{solution.objective_name or 'feasible points'}; gray: not feasible", fontsize=10)
    axes.legend(frameon=False, fontsize=8)


def _column_names(solution: Solution) -> list[str]:
    names = []
    for name, answer in solution.variables.items():
        count = int(np.asarray(answer.value).size)
        if not answer.value.axes:
            names.append(name)
        else:
            names += [f"{name}[{', '.join(map(str, label))}]" for label in _labels(answer.value)[:count]]
    return names


def _labels(array: LabelledArray) -> list[tuple[Any, ...]]:
    return list(zip(*([labels.at(k) for k in range(array.size)] for labels in index_labels(array.axes)), strict=True))


def _variable(axes: Any, name: str, array: LabelledArray) -> None:
    """A variable over one index as a line, bars where the index is text; over two as an image."""
    values = np.asarray(array, dtype=float)
    if values.ndim == 2:
        image = axes.imshow(values, aspect="auto", cmap="Blues", origin="upper")
        axes.figure.colorbar(image, ax=axes, shrink=0.8)
        axes.set_title(name, fontsize=10)
        return
    labels = [label[0] if len(label) == 1 else str(label) for label in _labels(array)]
    if all(isinstance(label, int) for label in labels):
        axes.plot(labels, values, ".-" if len(values) <= 60 else "-", color=DARK, markersize=4, linewidth=1)
        axes.grid(alpha=0.3)
    else:
        place = np.arange(len(values))
        axes.bar(place, values, color=LIGHT, edgecolor=DARK)
        every = max(1, len(values) // MOST_TICKS)
        axes.set_xticks(place[::every], [str(label) for label in labels[::every]], rotation=40, ha="right", fontsize=8)
    axes.set_title(name, fontsize=10)
