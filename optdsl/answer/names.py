"""The user's names for columns, rows and instances: `buy["bread"]`, `nutrition["fat"]`."""

from __future__ import annotations

import numpy as np

from optdsl.convex.lower import Lowered
from optdsl.data.members import SetValue, label_text
from optdsl.model.model import Model, Variable


def entry_of(model: Model, column: int) -> tuple[Variable, int]:
    """The variable that a column belongs to, and the first of its entries there."""
    variable = next(v for v in model.variables.values() if v.offset <= column < v.offset + v.width)
    if variable.columns is None:
        return variable, column - variable.offset
    return variable, int(np.flatnonzero(variable.columns == column)[0])


def labels_at(axes: tuple[SetValue, ...], position: int) -> tuple[int | str, ...]:
    positions = np.unravel_index(position, tuple(len(axis) for axis in axes)) if axes else ()
    return tuple(label for axis, k in zip(axes, positions, strict=True) for label in axis.member(int(k)))


def indexed(name: str, index: tuple[int | str, ...]) -> str:
    return f"{name}[{', '.join(label_text(label) for label in index)}]" if index else name


def column_name(lowered: Lowered, column: int) -> str:
    """What a column of the program is: `buy["bread"]`, or an auxiliary variable."""
    model = lowered.analysis.model
    return "(auxiliary)" if column >= model.columns else entry_name(model, column)


def entry_name(model: Model, column: int) -> str:
    """The user's name for a column of the model: `buy["bread"]`."""
    variable, entry = entry_of(model, column)
    return indexed(variable.name, labels_at(variable.axes, entry))


def instance_name(model: Model, constraint: int, position: int) -> str:
    """The user's name for an instance of a constraint: `nutrition["fat"]`."""
    named = model.constraints[constraint]
    return indexed(named.name, labels_at(named.axes, position))


def row_name(lowered: Lowered, row: int) -> str:
    """What a row of the program is: `nutrition["fat"]`, or one that holds auxiliary variables."""
    for block, first in zip(lowered.analysis.blocks, lowered.rows, strict=True):
        if first <= row < first + len(block.lower):
            return instance_name(lowered.analysis.model, block.constraint, row - first)
    return "(auxiliary)"
