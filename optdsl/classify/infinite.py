"""Which number of the data makes a coefficient infinite: an infinite entry, or a zero in a divisor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import sympy

from optdsl.classify.sink import CONVEX, Auxiliary, Sink
from optdsl.data.arrays import DenseArray, ParameterValue, SparseArray
from optdsl.model.keyed import entry_name, member_at
from optdsl.model.model import Model
from optdsl.terms import nodes
from optdsl.terms.frame import Frame


def culprit(model: Model, body: sympy.Basic) -> tuple[str, sympy.Basic] | None:
    """What is said of the first such number, and the part of the body that it stands in; None where none is found."""
    for entry in _entries(body):
        found = _first(model.parameters.get(entry.name), infinite=True)
        if found is not None:
            return f"`{entry_name(entry.name, found[0])}` is {found[1]:g}, which may stand as a bound only", entry
    return divided_by_zero(model, body)


def divided_by_zero(model: Model, body: sympy.Basic) -> tuple[str, sympy.Basic] | None:
    """A parameter with an entry of 0 that stands as a divisor: what is said of it, and the part."""
    for power in sorted(body.atoms(sympy.Pow), key=str):
        if power.exp.is_negative and isinstance(power.base, nodes.ParameterEntry):
            found = _first(model.parameters.get(power.base.name), infinite=False)
            if found is not None:
                return f"`{entry_name(power.base.name, found[0])}` is 0 and stands as a divisor", power.base
    return None


def without_divisions_by_zero(model: Model, side: sympy.Basic, frame: Frame, values: np.ndarray) -> np.ndarray:
    """The values (lanes,) of a side of data, nan where something was divided by zero; `inf` itself may be a side."""
    if not _divides(side):
        return values
    for inner in (node for node in _outermost(side) if _divides(node.body)):
        child = model.lanes.extend(frame, inner.over, inner.body).child
        if np.isinf(np.asarray(model.lanes.numbers(inner.body, child), dtype=float)).any():
            return np.full_like(values, np.nan)
    return np.where(np.isinf(values), np.nan, values)


def _outermost(expression: sympy.Basic) -> Iterator[nodes.Reduce]:
    """Reductions that are taken in every case: in none of another one, and in no branch of a choice."""
    if isinstance(expression, nodes.Reduce):
        yield expression
    elif isinstance(expression, sympy.Add | sympy.Mul | sympy.Pow | nodes.Apply):
        for part in expression.args:
            yield from _outermost(part)


def _divides(expression: sympy.Basic) -> bool:
    return any(power.exp.is_negative for power in expression.atoms(sympy.Pow))


def sound(auxiliary: Auxiliary, rows: int, cones: int) -> bool:
    """Whether the rows and cones from these numbers on have finite coefficients and sides.

    A row may be infinite on the side where it says nothing: `min(x, inf)` is x.
    """
    for held in auxiliary.rows[rows:]:
        wrong = np.inf if held.sense == CONVEX else -np.inf
        parts = [t.coefficients for t in held.terms] if isinstance(held, Sink) else [held.expression.values]
        if np.isnan(held.constant).any() or (held.constant == wrong).any() or not _finite(parts):
            return False
    return all(_finite([part.values, part.constant]) for cone in auxiliary.cones[cones:] for part in cone.parts)


def _finite(arrays: Sequence[np.ndarray]) -> bool:
    return all(bool(np.isfinite(values).all()) for values in arrays)


def _entries(body: sympy.Basic) -> Iterator[nodes.ParameterEntry]:
    yield from sorted(body.atoms(nodes.ParameterEntry), key=str)


def _first(value: ParameterValue | None, *, infinite: bool) -> tuple[tuple[int | str, ...], float] | None:
    """Labels and value of the first entry that is infinite (or zero)."""
    if not isinstance(value, DenseArray | SparseArray):
        return None
    flat = value.values.reshape(-1)
    bad = np.flatnonzero(~np.isfinite(flat) if infinite else flat == 0)
    if not len(bad):
        return None
    k = int(bad[0])
    place = k if isinstance(value, DenseArray) else int(value.keys[k])
    return member_at(value.axes, place), float(flat[k])
