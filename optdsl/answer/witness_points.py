"""The two points of a witness in words: short enough to read, whole enough to check with a calculator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optdsl.answer.names import indexed, labels_at
from optdsl.model.model import Model

if TYPE_CHECKING:
    from optdsl.classify.witness.records import Witness

MOST_VALUES = 8


def points_text(model: Model, witness: Witness) -> tuple[str, str]:
    """Both points, variable by variable. Of a long variable, the entries that differ, by name; the rest in common."""
    first, second = ({name: np.ravel(values) for name, values in point.items()} for point in witness.points)
    parts: tuple[list[str], list[str]] = ([], [])
    for name in first:
        pair = (first[name], second[name])
        texts = _listed(model, name, pair) if len(pair[0]) > MOST_VALUES else tuple(_whole(name, v) for v in pair)
        for part, text in zip(parts, texts, strict=True):
            part.append(text)
    return ", ".join(parts[0]), ", ".join(parts[1])


def _whole(name: str, values: np.ndarray) -> str:
    shown = ", ".join(f"{value:.6g}" for value in values)
    return f"{name} = {shown}" if len(values) == 1 else f"{name} = [{shown}]"


def _listed(model: Model, name: str, pair: tuple[np.ndarray, np.ndarray]) -> tuple[str, str]:
    """`x[777777] = 1 and every other entry of x 0`: what tells the points apart, then what they share."""
    differ = np.flatnonzero(pair[0] != pair[1])
    shown = differ[:MOST_VALUES]
    axes = model.variables[name].axes
    names = [indexed(name, labels_at(axes, int(entry))) for entry in shown]
    cut = f", ... ({len(differ) - len(shown):,} more entries differ)" if len(differ) > len(shown) else ""
    shared = np.delete(pair[0], differ)
    if not len(shared):
        rest = ""
    elif np.all(shared == shared[0]):
        rest = (
            f"every other entry of {name} {shared[0]:.6g}" if len(differ) else f"every entry of {name} {shared[0]:.6g}"
        )
    else:
        rest = f"the other entries of {name} the same at both (--json lists them)"
    texts = []
    for values in pair:
        told = ", ".join(f"{label} = {values[entry]:.6g}" for label, entry in zip(names, shown, strict=True)) + cut
        texts.append(" with ".join(part for part in (told, rest) if part))
    return texts[0], texts[1]
