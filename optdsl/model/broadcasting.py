"""NumPy's broadcasting over trailing axes, in index notation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy

from optdsl.errors import Span
from optdsl.model import shapes
from optdsl.model.scope import (
    Workspace,
)
from optdsl.model.shapes import Arr, Axis

Combine = Callable[..., sympy.Expr]


class Broadcasting:
    """Aligns the axes of arrays."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.marker = workspace.marker
        self.fault = workspace.fault

    def elementwise(
        self, arrays: Sequence[Arr], combine: Combine, span: Span, spans: Sequence[Span] | None = None
    ) -> Arr:
        """`combine` applied entry by entry, with NumPy's broadcasting over trailing axes."""
        if all(not a.axes for a in arrays):
            conditions = shapes.merge_conditions(a.conditions for a in arrays)
            return Arr(combine(*[a.body for a in arrays]), (), (), conditions)
        axes, indices = self._common_axes(arrays, span)
        bodies, conditions_ = [], []
        for array in arrays:
            mapping = self._alignment(array, axes, indices)
            body, conditions = shapes.replace_in(self.marker, array, mapping)
            bodies.append(body)
            conditions_.append(conditions)
        return Arr(combine(*bodies), axes, indices, shapes.merge_conditions(conditions_))

    def _common_axes(self, arrays: Sequence[Arr], span: Span) -> tuple[tuple[Axis, ...], tuple[Any, ...]]:
        depth = max(len(a.axes) for a in arrays)
        axes: list[Axis] = []
        indices: list[Any] = []
        for k in range(depth, 0, -1):
            candidates = [(a, len(a.axes) - k) for a in arrays if len(a.axes) >= k]
            chosen, place = candidates[0]
            for array, p in candidates[1:]:
                mine, theirs = chosen.axes[place], array.axes[p]
                if mine.is_single or (mine.positional and not theirs.positional and mine.same_as(theirs)):
                    if not theirs.is_single:
                        chosen, place = array, p
                elif not theirs.is_single and not mine.same_as(theirs):
                    self._axes_differ(chosen, array, mine, theirs, span)
            axes.append(chosen.axes[place])
            indices.extend(chosen.indices_of(place))
        return tuple(axes), tuple(indices)

    def _axes_differ(self, left: Arr, right: Arr, mine: Axis, theirs: Axis, span: Span) -> None:
        def shape(array: Arr) -> str:
            return "[" + ", ".join(axis.text for axis in array.axes) + "]"

        notes = tuple(
            f"{axis.text} has {_members_text(axis)}"
            for axis in (mine, theirs)
            if axis.value is not None and not axis.positional
        )
        self.fault(
            "axes-differ",
            span,
            f"the axes do not meet: {shape(left)} with {shape(right)}; {mine.text} and {theirs.text} differ",
            "axes are matched from the last one backwards, as in NumPy; `.T` transposes a matrix",
            notes,
        )

    def _alignment(self, array: Arr, axes: Sequence[Axis], indices: Sequence[Any]) -> dict[sympy.Basic, sympy.Basic]:
        """How the array's indices are replaced to run along the last of `axes`."""
        mapping: dict[sympy.Basic, sympy.Basic] = {}
        shift = len(axes) - len(array.axes)
        starts = np.cumsum([0, *(axis.arity for axis in axes)])
        for k, own in enumerate(array.axes):
            target = axes[k + shift]
            slots = indices[starts[k + shift] : starts[k + shift + 1]]
            if own.is_single and not target.is_single:
                slots = shapes.nth(own, sympy.Integer(0))
            else:
                slots = shapes.convert(slots, target, own)
            mapping.update({i: s for i, s in zip(array.indices_of(k), slots, strict=True) if i != s})
        return mapping

    def along(self, array: Arr, target: Arr, span: Span) -> Arr:
        """The array along the axes of another, which must be its own: nothing is broadcast."""
        for mine, theirs in zip(target.axes, array.axes, strict=True):
            if not mine.same_as(theirs):
                self._axes_differ(target, array, mine, theirs, span)
        mapping = self._alignment(array, target.axes, target.indices)
        body, conditions = shapes.replace_in(self.marker, array, mapping)
        return Arr(body, target.axes, target.indices, conditions)

    def align(self, array: Arr, axes: Sequence[Axis], indices: Sequence[Any]) -> sympy.Expr:
        """The body of an array along the last of `axes`."""
        return shapes.replace_in(self.marker, array, self._alignment(array, axes, indices))[0]


def _members_text(axis: Axis) -> str:
    assert axis.value is not None
    return f"the members {axis.value.preview()}" if len(axis.value) else "no members"


def _shape_text(array: Arr) -> str:
    if not array.axes:
        return "a single value"
    if all(axis.positional and axis.value is not None for axis in array.axes):
        return " x ".join(str(len(axis.value)) for axis in array.axes if axis.value is not None) + " values"
    return "an array over " + ", ".join(axis.text for axis in array.axes)
