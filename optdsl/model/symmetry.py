"""Whether a matrix is symmetric by its entries: literals, sums of an expression and its transpose."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import sympy

from optdsl.model.scope import Context
from optdsl.model.shapes import Arr
from optdsl.terms import nodes
from optdsl.terms.evaluate import Lanes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import Index

LARGEST = 24
SIZES = (1.0, 1e-3, 1e3, 30.0)


def same_when_transposed(array: Arr, context: Context, lanes: Lanes) -> bool:
    """Whether entry (i, j) is entry (j, i): by values where no outer index occurs, else literals entry by entry."""
    if any(axis.value is None for axis in array.axes):
        return False
    if context.bound.isdisjoint(array.body.atoms(Index)):
        return _same_values(array, lanes)
    size = len(array.axes[0].value or ())
    if size > LARGEST:
        return False
    one, two = array.indices
    return all(
        _entry(array.body, {one: i, two: j}) == _entry(array.body, {one: j, two: i})
        for i in range(size)
        for j in range(i)
    )


def _same_values(array: Arr, lanes: Lanes) -> bool:
    """Equal values at points of many sizes and both signs.

    Two polynomials that agree at a point drawn at random agree everywhere, with probability one (Schwartz, 1980).
    """
    ends = [v.offset + int(np.prod([len(a) for a in v.axes], dtype=np.int64)) for v in lanes.variables.values()]
    ends += [int(v.columns.max(initial=-1)) + 1 for v in lanes.variables.values() if v.columns is not None]
    random = np.random.default_rng(0)
    draws = [random.normal(size=max(ends, default=0)) for _ in SIZES]
    points = [size * draw for size, draw in zip(SIZES, draws, strict=True)]
    for point in (*points, *(sign * np.abs(p) for p in points for sign in (1.0, -1.0))):
        at = lanes.with_values(point)
        frame = at.extend(Frame(), nodes.over(array.eaches)).child
        with np.errstate(all="ignore"):
            value = np.asarray(at.full(array.body, frame), dtype=float)
        largest = np.abs(value[np.isfinite(value)]).max(initial=0.0)
        if not np.allclose(value, value.T, rtol=1e-9, atol=1e-12 * largest, equal_nan=True):
            return False
    return True


def _entry(body: sympy.Basic, at: Mapping[Index, int]) -> sympy.Basic:
    """An entry of a literal: what is picked at these positions; indices are left where nothing is picked by them."""
    if isinstance(body, nodes.Pick):
        place = body.args[0]
        if isinstance(place, nodes.Position) and len(place.slots) == 1 and place.slots[0] in at:
            return _entry(body.args[1 + at[place.slots[0]]], at)
    if not body.args or not body.has(Index):
        return body
    return body.func(*(_entry(part, at) for part in body.args))
