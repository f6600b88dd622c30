"""Parts of a picture that show the run: the objective and residuals over iterations, the landscape of two variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from optdsl.data.members import label_text

if TYPE_CHECKING:
    from optdsl.answer.solution import Solution

GRID = 121
"""Points along each axis of a landscape."""
DARK, LIGHT, WARM, GREEN = "#1f4e79", "#9dc3e6", "#c55a11", "#548235"
MANY_DECADES = 1e3
"""From this ratio of its values on an objective that is never negative is drawn on a logarithmic axis."""
RESIDUALS = (
    ("primal", DARK, "constraints (primal)"),
    ("dual", WARM, "optimality (dual)"),
    ("gap", GREEN, "gap"),
    ("penalty", LIGHT, "barrier or penalty"),
)


def objective_over_iterations(axes: Any, solution: Solution) -> None:
    """The objective, and its bound where there is one, after each iteration."""
    trace = solution.trace
    drawn = [c for c in ("objective", "bound") if c in trace.columns and np.isfinite(trace[c]).any()]
    for column, color in zip(drawn, (DARK, WARM), strict=False):
        axes.plot(_steps(solution), trace[column], ".-", color=color, label=column, markersize=4)
    if drawn and _spans_decades(np.concatenate([trace[column] for column in drawn])):
        axes.set_yscale("log")
    axes.set_title("objective over iterations", fontsize=10)
    _count(axes)
    axes.set_ylabel(solution.objective_name or "objective")
    if len(drawn) > 1:
        axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.3)


def _spans_decades(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    return bool(len(positive) > 1 and (finite >= 0).all() and positive.max() > MANY_DECADES * positive.min())


def residuals_over_iterations(axes: Any, solution: Solution) -> None:
    """The errors that a method makes smaller, on a logarithmic axis."""
    trace = solution.trace
    for column, color, label in RESIDUALS:
        if column in trace.columns:
            values = np.abs(trace[column])
            if np.isfinite(values).any() and (values > 0).any():
                shown = np.where(values > 0, values, np.nan)
                axes.semilogy(_steps(solution), shown, ".-", color=color, label=label, markersize=4)
    axes.set_title("residuals over iterations", fontsize=10)
    _count(axes)
    if axes.lines:
        axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.3)


def _count(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("iteration")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10]))


def _steps(solution: Solution) -> np.ndarray:
    """The number of each iteration; counted on where a run was started anew, so that lines go forward."""
    return np.arange(float(len(solution.trace)))


def landscape(axes: Any, solution: Solution) -> None:
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
    outside = beyond(violation)
    if (outside > 0).any():
        axes.contourf(first, second, outside, levels=[0.0, np.inf], colors=["#000000"], alpha=0.15)
    if len(path) > 1:
        axes.plot(path[:, 0], path[:, 1], ".-", color=WARM, markersize=4, linewidth=1, label="path")
        axes.plot(*path[0], "o", color=WARM, markersize=6, fillstyle="none", label="start")
    axes.plot(*entries, "*", color=DARK, markersize=12, label="end")
    names = _column_names(solution)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    gray = "; gray: not feasible" if (outside > 0).any() else ""
    axes.set_title(f"{solution.objective_name or 'feasible points'}{gray}", fontsize=10)
    axes.legend(fontsize=8, framealpha=0.8, edgecolor="none")


def beyond(violation: np.ndarray) -> np.ndarray:
    """Positive where no point within half a cell of the grid is feasible: a curve of feasible points stays visible."""
    known = np.isfinite(violation)
    filled = np.where(known, violation, 0.0)
    change = np.zeros_like(filled)
    for axis in (0, 1):
        step = np.abs(np.diff(filled, axis=axis))
        first, last = ([(0, 0)] * axis + [side] + [(0, 0)] * (1 - axis) for side in ((1, 0), (0, 1)))
        change += np.maximum(np.pad(step, first, mode="edge"), np.pad(step, last, mode="edge"))
    # A feasible point's own violation is 0, a far one's excess is capped: contours between them stay in place.
    excess = filled - np.maximum(1e-6, 0.5 * change)
    return np.where(known, excess, np.maximum(excess.max(), 1.0))


def _column_names(solution: Solution) -> list[str]:
    names: list[str] = []
    for name, answer in solution.variables.items():
        columns = answer.value.label_columns()
        members = zip(*columns, strict=True) if columns else [()]
        names += [f"{name}[{label_text(tuple(label))}]" if label else name for label in members]
    return names
