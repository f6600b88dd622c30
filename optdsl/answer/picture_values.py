"""Parts of a picture that show values: over one index as lines or bars, over two as images, and points in the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.answer.labelled import LabelledArray, index_names
from optdsl.data.members import Label, SetValue, TextLabels

MOST_TOGETHER = 4
"""Variables in one part."""
MOST_TICKS = 12
MOST_BARS = 200
"""Beyond so many, bars are thin lines."""
MOST_NAMED = 40
"""Points that are named in the plane."""
FEW = 16
"""Up to so many members of a set of integers are drawn as points: lines between them say nothing."""
LONGEST_LABEL = 16
APART = 0.2
"""Variables share a part where the values of each fill at least this share of it."""
COLORS = ("#1f4e79", "#c55a11", "#548235", "#7f6000")
PLANES = (("x", "y"), (1, 2), (0, 1))
"""Members of a set of two that are read as the coordinates of a point."""


@dataclass(frozen=True, eq=False)
class Together:
    """Variables over the same one index, drawn in one part."""

    values: Mapping[str, LabelledArray]

    @property
    def axis(self) -> SetValue:
        return next(iter(self.values.values())).axes[0]

    def draw(self, axes: Any) -> None:
        """Bars over text and tuples, else points and lines over the integers."""
        (_lines if _counted(self.axis) else _bars)(axes, self.axis, self.values)
        if len(self.values) > 1:
            axes.legend(frameon=False, fontsize=8)
        axes.set_xlabel(_axis_title(self.axis))
        axes.set_title(", ".join(self.values), fontsize=10)


@dataclass(frozen=True, eq=False)
class Plane:
    """Points in the plane, one for each member of a set; `radius` where they are the centers of circles."""

    title: str
    axis: SetValue
    points: np.ndarray
    """(k, 2)."""
    names: tuple[str, str]
    radius: np.ndarray | None = None

    def draw(self, axes: Any) -> None:
        """The points, named where they are few, with their circles."""
        from matplotlib.collections import EllipseCollection

        axes.plot(self.points[:, 0], self.points[:, 1], "o", color=COLORS[0], markersize=4)
        if self.radius is not None:
            radius = np.broadcast_to(np.abs(self.radius), len(self.points))
            place: dict[str, Any] = {"units": "xy", "offsets": self.points, "transOffset": axes.transData}
            style: dict[str, Any] = {"facecolors": "#9dc3e6", "edgecolors": COLORS[0], "alpha": 0.5}
            axes.add_collection(EllipseCollection(2 * radius, 2 * radius, np.zeros(len(radius)), **place, **style))
            axes.update_datalim(np.vstack([self.points - radius[:, None], self.points + radius[:, None]]))
            axes.autoscale_view()
        if len(self.points) <= MOST_NAMED:
            for k, point in enumerate(self.points):
                axes.annotate(_short(self.axis.member(k)), point, xytext=(4, 4), textcoords="offset points", fontsize=8)
        axes.margins(0.1)
        axes.set_aspect("equal", adjustable="box")
        axes.set_xlabel(self.names[0])
        axes.set_ylabel(self.names[1])
        axes.set_title(self.title, fontsize=10)
        axes.grid(alpha=0.3)


@dataclass(frozen=True, eq=False)
class Image:
    """A variable over two indices, darker where it is larger."""

    name: str
    value: LabelledArray

    def draw(self, axes: Any) -> None:
        """An image with the members along its sides."""
        image = axes.imshow(np.asarray(self.value, dtype=float), aspect="auto", cmap="Blues", origin="upper")
        axes.figure.colorbar(image, ax=axes, shrink=0.8)
        rows, columns = self.value.axes
        _name_ticks(axes, "y", rows)
        _name_ticks(axes, "x", columns)
        axes.set_xlabel(_axis_title(columns))
        axes.set_ylabel(_axis_title(rows))
        axes.set_title(self.name, fontsize=10)


Part = Together | Plane | Image


def parts_of(values: Mapping[str, LabelledArray]) -> list[Part]:
    """What is drawn of some variables: planes first, then those over one index together where their sizes allow."""
    found: list[Part] = list(_planes(values))
    used = {name for part in found if isinstance(part, Plane) for name in part.title.split(", ")}
    groups: list[dict[str, LabelledArray]] = []
    for name, value in values.items():
        if name in used or value.size < 2 or not np.isfinite(np.asarray(value, dtype=float)).any():
            continue
        if len(value.axes) == 2:
            found.append(Image(name, value))
        elif len(value.axes) == 1:
            group = next((g for g in groups if _fits(g, value)), None)
            if group is None:
                groups.append({name: value})
            else:
                group[name] = value
    return found + [Together(group) for group in groups]


def _fits(group: Mapping[str, LabelledArray], value: LabelledArray) -> bool:
    """Whether a variable has the index of a group, and all of them can be read in one part."""
    others = list(group.values())
    if others[0].axes[0] is not value.axes[0] or len(others) >= MOST_TOGETHER:
        return False
    # Bars stand on zero.
    floor = np.nan if _counted(value.axes[0]) else 0.0
    ranges = [(np.nanmin(a), np.nanmax(a)) for v in (*others, value) for a in [np.append(np.asarray(v, float), floor)]]
    whole = max(high for _, high in ranges) - min(low for low, _ in ranges)
    return bool(all(high - low >= APART * whole for low, high in ranges))


def _planes(values: Mapping[str, LabelledArray]) -> list[Plane]:
    """Variables whose names differ in x and y only over one set, and those with a second index of two coordinates."""
    found = []
    for name, value in values.items():
        other = name.removesuffix("x") + "y" if name.endswith("x") else ""
        if other in values and len(value.axes) == 1 and value.size > 2 and values[other].axes == value.axes:
            points = np.column_stack([np.asarray(value, dtype=float), np.asarray(values[other], dtype=float)])
            radius = _radius(values, name.removesuffix("x"), value.axes)
            found.append(Plane(f"{name}, {other}", value.axes[0], points, (name, other), radius))
        if len(value.axes) == 2 and len(value.axes[0]) > 2 and _coordinates(value.axes[1]) in PLANES:
            first, second = _coordinates(value.axes[1])
            names = (f"{name}[, {first}]", f"{name}[, {second}]")
            radius = _radius(values, "", value.axes[:1])
            found.append(Plane(name, value.axes[0], np.asarray(value, dtype=float), names, radius))
    return found


def _radius(values: Mapping[str, LabelledArray], stem: str, axes: Sequence[SetValue]) -> np.ndarray | None:
    """The radii of circles around points: a variable `r` or `radius`, one number or one for each point."""
    for name in (f"{stem}r", f"{stem}radius"):
        value = values.get(name)
        if value is not None and value.axes in ((), tuple(axes)):
            return np.asarray(value, dtype=float)
    return None


def _lines(axes: Any, axis: SetValue, values: Mapping[str, LabelledArray]) -> None:
    from matplotlib.ticker import MaxNLocator

    labels = np.asarray(axis.labels.integers)

    style = {"marker": "o", "markersize": 5, "linestyle": ":", "linewidth": 0.7}
    if len(labels) > FEW:
        style = {"marker": "." if len(labels) <= 60 else "", "markersize": 4, "linestyle": "-", "linewidth": 1.2}
    for (name, value), color in zip(values.items(), COLORS, strict=False):
        axes.plot(labels, np.asarray(value, dtype=float), color=color, label=name, **style)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10]))
    axes.grid(alpha=0.3)


def _bars(axes: Any, axis: SetValue, values: Mapping[str, LabelledArray]) -> None:
    place, width = np.arange(len(axis)), 0.8 / len(values)
    for k, ((name, value), color) in enumerate(zip(values.items(), COLORS, strict=False)):
        offset = (k - 0.5 * (len(values) - 1)) * width
        if len(axis) <= MOST_BARS:
            axes.bar(place + offset, np.asarray(value, dtype=float), width, color=color, alpha=0.75, label=name)
        else:
            axes.vlines(place + offset, 0.0, np.asarray(value, dtype=float), color=color, linewidth=0.7, label=name)
    axes.axhline(0.0, color="#000000", linewidth=0.8)
    _name_ticks(axes, "x", axis)
    axes.grid(alpha=0.3, axis="y")


def _name_ticks(axes: Any, side: str, axis: SetValue) -> None:
    """Members along a side: every one where they are few, else every so many."""
    place = np.arange(len(axis))[:: -(-len(axis) // MOST_TICKS)]
    texts = [_short(axis.member(k)) for k in place.tolist()]
    set_ticks = axes.set_xticks if side == "x" else axes.set_yticks
    turned = side == "x" and sum(map(len, texts)) > 50
    set_ticks(place, texts, fontsize=8, **({"rotation": 40, "ha": "right"} if turned else {}))


def _short(member: tuple[Label, ...]) -> str:
    text = ", ".join(map(str, member))
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _counted(axis: SetValue) -> bool:
    """Whether the members of a set are integers."""
    return axis.arity == 1 and not isinstance(axis.labels, TextLabels)


def _coordinates(axis: SetValue) -> tuple[Label, ...]:
    """The members of a set of two; empty for others."""
    return (*axis.member(0), *axis.member(1)) if len(axis) == 2 and axis.arity == 1 else ()


def _axis_title(axis: SetValue) -> str:
    return ", ".join(index_names((axis,))) if axis.parts else axis.name
