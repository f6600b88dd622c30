"""Curves over the iterations of a run as inline SVG, drawn by hand: a report needs no package for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from optdsl.answer.numbers import number_text
from optdsl.answer.solution import TraceTable

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 72, 14, 14, 40
MOST_POINTS = 400
"""Beyond these the smallest and the largest of each stretch are drawn."""
DECADES = 1e3
"""From this ratio on values that are never negative are drawn on a logarithmic axis."""
TEN = 10.0
"""Up to this ratio also residuals are drawn on a plain axis, which has more ticks there."""
MARKS = 30
"""Up to so many points each has a mark."""

COUNTERS = ("epoch", "iter", "nodes", "step")
GROUPS = (
    ("Objective", ("objective", "loss", "monitored", "bound"), False),
    ("Residuals", ("primal", "dual", "gap", "violation", "gradient_norm"), True),
    ("Rate", ("rate",), False),
)
"""Title, columns of the trace, and whether the axis is logarithmic in any case."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Values over positions, both (k,); what is not finite is a gap."""

    name: str
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to pixels: low and high in the axis' own measure, and where those lie."""

    low: float
    high: float
    first: float
    last: float
    logarithmic: bool = False

    def at(self, values: np.ndarray) -> np.ndarray:
        """Pixels (k,)."""
        own = np.log10(values) if self.logarithmic else values
        return np.asarray(self.first + (own - self.low) / (self.high - self.low) * (self.last - self.first))

    def ticks(self) -> list[tuple[float, str]]:
        """Round values within the axis, and how they are written."""
        if self.logarithmic:
            low, high = int(np.ceil(self.low - 1e-9)), int(np.floor(self.high + 1e-9))
            decades = range(low, high + 1, max(1, -(-(high - low) // 6)))
            return [(10.0**k, f"1e{k}" if abs(k) > 3 else f"{10.0**k:g}") for k in decades]
        step = _round_step(self.high - self.low)
        values = np.arange(np.ceil(self.low / step - 1e-9), np.floor(self.high / step + 1e-9) + 1) * step
        return [(float(v), number_text(float(v) if abs(v) > 1e-9 * step else 0.0, 4)) for v in values]


def _round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, for about five steps."""
    rough = span / 5
    power = 10.0 ** float(np.floor(np.log10(rough)))
    return float(power * next(f for f in (1.0, 2.0, 5.0, 10.0) if f * power >= rough * 0.999))


def trace_figures(trace: TraceTable, objective: str) -> list[str]:
    """A figure for each group of columns that has values; none where there are fewer than two rows."""
    if len(trace) < 2:
        return []
    counter = next((name for name in COUNTERS if name in trace.columns), None)
    x = np.arange(float(len(trace)))
    if counter is not None and (np.diff(trace[counter]) > 0).all():
        x = np.asarray(trace[counter], dtype=float)
    figures = []
    for title, names, logarithmic in GROUPS:
        curves = []
        for name in names:
            if name in trace.columns:
                values = np.abs(trace[name]) if logarithmic else trace[name]
                if (np.isfinite(values) & ((values > 0) | (not logarithmic))).sum() > 1:
                    curves.append(Curve(name.replace("_", " "), x, values))
        if curves and not (title == "Rate" and np.ptp(curves[0].y[np.isfinite(curves[0].y)]) == 0):
            label = counter or "iteration"
            shown = objective if title == "Objective" else title
            figures.append(figure(shown, {"iter": "iteration", "nodes": "step"}.get(label, label), curves, logarithmic))
    return figures


def figure(title: str, x_label: str, curves: Sequence[Curve], logarithmic: bool) -> str:
    """A figure with its caption: curves, axes, a legend, and for those who do not see it the same in words."""
    values = np.concatenate([curve.y[np.isfinite(curve.y)] for curve in curves])
    positive = values[values > 0]
    spread = len(positive) and (values >= 0).all() and positive.max() > DECADES * positive.min()
    logarithmic = bool(spread) or (logarithmic and bool(len(positive)) and positive.max() > TEN * positive.min())
    shown = positive if logarithmic else values
    low, high = _range(np.log10(shown) if logarithmic else shown)
    vertical = Axis(low, high, HEIGHT - BOTTOM, TOP, logarithmic)
    ends = _range(np.concatenate([curve.x for curve in curves]), 0.0)
    horizontal = Axis(*ends, LEFT, WIDTH - RIGHT)
    parts = [*_frame(horizontal, vertical, x_label)]
    for number, curve in enumerate(curves, 1):
        parts.append(_line(curve, number, horizontal, vertical))
    words = "; ".join(_in_words(curve) for curve in curves)
    scale = ", logarithmic axis" if logarithmic else ""
    legend = "".join(
        f'<li><span class="key curve-{number}"></span>{escape(curve.name)}</li>'
        for number, curve in enumerate(curves, 1)
    )
    return (
        f'<figure><figcaption>{escape(title)} <small>over {escape(x_label)}s{scale}</small></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}: {words}", quote=True)}">'
        f'{"".join(parts)}</svg><ul class="legend">{legend}</ul></figure>'
    )


def _range(values: np.ndarray, room: float = 0.04) -> tuple[float, float]:
    """From the smallest to the largest value with a little room, never empty."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-12 * max(1.0, abs(low), abs(high)):
        half = 0.5 * abs(low) or 0.5
        return low - half, high + half
    return low - room * (high - low), high + room * (high - low)


def _frame(horizontal: Axis, vertical: Axis, x_label: str) -> list[str]:
    bottom = HEIGHT - BOTTOM
    parts = [f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{bottom - TOP}"/>']
    for value, text in vertical.ticks():
        y = float(vertical.at(np.array([value]))[0])
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in horizontal.ticks():
        if value == round(value):
            x = float(horizontal.at(np.array([value]))[0])
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(text)}</text>'
            )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="tick" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
    return parts


def _line(curve: Curve, number: int, horizontal: Axis, vertical: Axis) -> str:
    x, y = _thinned(curve.x, curve.y)
    known = np.isfinite(y) & ((y > 0) if vertical.logarithmic else True)
    pixels = np.full((len(x), 2), np.nan)
    pixels[known, 0], pixels[known, 1] = horizontal.at(x[known]), vertical.at(y[known])
    breaks = np.flatnonzero(np.diff(known.astype(int), prepend=0, append=0))
    drawn = []
    for first, last in zip(breaks[::2], breaks[1::2], strict=True):
        points = " ".join(f"{px:.1f},{py:.1f}" for px, py in pixels[first:last])
        drawn.append(f'<polyline class="curve curve-{number}" points="{points}"/>')
    if known.sum() <= MARKS:
        drawn += [
            f'<circle class="mark curve-{number}" cx="{px:.1f}" cy="{py:.1f}" r="2.5"/>' for px, py in pixels[known]
        ]
    return "".join(drawn)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same curve with fewer points: of each stretch its lowest and highest."""
    if len(x) <= MOST_POINTS:
        return x, y
    kept = {0, len(x) - 1}
    for part in np.array_split(np.arange(len(x)), MOST_POINTS // 2):
        values = y[part]
        if np.isfinite(values).any():
            kept |= {int(part[np.nanargmin(values)]), int(part[np.nanargmax(values)])}
        else:
            kept.add(int(part[0]))
    order = np.array(sorted(kept))
    return x[order], y[order]


def _in_words(curve: Curve) -> str:
    values = curve.y[np.isfinite(curve.y)]
    return f"{curve.name} from {number_text(float(values[0]))} to {number_text(float(values[-1]))}"
