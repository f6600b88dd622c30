"""Building rows: what elementwise rows have in common is filled in here, everything else must be said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optdsl.atoms.atom import Array, Atom, Domain, Interval, Kind, Shapes
from optdsl.atoms.intervals import intersect

BROADCAST = Shapes("entry by entry; shapes broadcast", lambda *shapes: np.broadcast_shapes(*shapes))
NO_PIECES: dict[str, Any] = {"pieces": None, "quadratic_form": None}
EVERYWHERE = Domain("all numbers", None, None)


def numbers(*values: Any) -> list[Array]:
    """The values as float arrays."""
    return [np.asarray(value, dtype=np.float64) for value in values]


def total(raw: Callable[..., Any], holds: Callable[..., Any] | None) -> Callable[..., Array]:
    """The kernel made from a bare formula: float arrays in and out, nan outside the domain, no warnings."""

    def kernel(*arguments: Any) -> Array:
        arrays = numbers(*arguments)
        with np.errstate(all="ignore"):
            value = raw(*arrays)
            if holds is not None:
                inside = holds(*arrays)
                if not np.all(inside):
                    value = np.where(inside, value, np.nan)
        return np.asarray(value, dtype=np.float64)

    return kernel


def entries(*, raw: Callable[..., Any], domain: Domain, kind: Kind = "elementwise",
            data_arguments: tuple[str, ...] = (), graph: Callable[..., None] | None = None,
            shown: float | None = None, **fields: Any) -> Atom:
    """A row that works entry by entry, from its bare formula `raw`. A field that is not given is a TypeError."""
    return Atom(
        kind=kind, acts_on="entries", data_arguments=data_arguments, needs_symmetric=(), shapes=BROADCAST,
        domain=domain, kernel=total(raw, domain.holds), reduction_form=None, empty=None, graph=graph, shown=shown,
        **fields,
    )


def above(low: float, *, strict: bool) -> Domain:
    """The domain x > low, or x >= low."""
    return Domain(
        f"x {'>' if strict else '>='} {low:g}",
        (lambda x: x > low) if strict else (lambda x: x >= low),
        lambda x: (intersect(x, low, np.inf),),
    )


def between(low: float, high: float) -> Domain:
    """The domain low <= x <= high."""
    return Domain(
        f"{low:g} <= x <= {high:g}",
        lambda x: (x >= low) & (x <= high),
        lambda x: (intersect(x, low, high),),
    )


def constant_sign(sign: float) -> Callable[..., Array]:
    """The curvature rule of a function with one curvature on its whole domain; 0 where the box is a point."""

    def rule(*boxes: Interval) -> Array:
        at_point = np.logical_and.reduce(np.broadcast_arrays(*(box.is_point for box in boxes)))
        return np.where(at_point, 0.0, sign)

    return rule


def constant_slope(sign: float) -> Callable[..., tuple[Array, ...]]:
    """The slope rule of a monotone function of one argument."""
    return lambda x: (np.where(x.is_point, 0.0, sign),)


MEMBERS = Shapes("any shape; the axes reduced over go away", lambda *shapes: ())


def folds(*, raw: Callable[..., Any], domain: Domain, data_arguments: tuple[str, ...] = (),
          graph: Callable[..., None] | None = None, **fields: Any) -> Atom:
    """A row that reduces groups, from its bare formula `raw(values, groups, *extra)`."""
    holds = domain.holds

    def kernel(values: Any, groups: Any, *extra: Any) -> Array:
        (members,) = numbers(values)
        with np.errstate(all="ignore"):
            result = raw(members, groups, *numbers(*extra))
            if holds is not None:
                result = np.where(holds(members, groups, *extra), result, np.nan)
        return np.asarray(result, dtype=np.float64)

    return Atom(
        kind="reduction", acts_on="groups", data_arguments=data_arguments, needs_symmetric=(), shapes=MEMBERS,
        domain=domain, kernel=kernel, pieces=None, graph=graph, shown=None, **fields,
    )


def whole(*, raw: Callable[..., Any], domain: Domain, kind: Kind = "array", result_axes: int = 0,
          data_arguments: tuple[str, ...] = (), needs_symmetric: tuple[str, ...] = (),
          graph: Callable[..., None] | None = None, **fields: Any) -> Atom:
    """A row that works on whole arrays, from its bare formula `raw(*arrays, batch)`.

    `result_axes`: how many axes the result has beyond the domain rule's answer, which is one value a batch entry.
    """
    holds = domain.holds

    def kernel(*arguments: Any, batch: int = 0) -> Array:
        arrays = numbers(*arguments)
        with np.errstate(all="ignore"):
            value = raw(*arrays, batch=batch)
            if holds is not None:
                inside = np.asarray(holds(*arrays, batch=batch))[(..., *(None,) * result_axes)]
                value = np.where(inside, value, np.nan)
        return np.asarray(value, dtype=np.float64)

    return Atom(
        kind=kind, acts_on="arrays", data_arguments=data_arguments, needs_symmetric=needs_symmetric, domain=domain,
        kernel=kernel, pieces=None, reduction_form=None, empty=None, graph=graph, shown=None, **fields,
    )


def batched(box: Interval, batch: int, value: Any, axes: int = 0) -> Array:
    """One value for each batch entry, with `axes` axes of length 1 after the batch axes."""
    return np.full(box.lo.shape[:batch], value)[(..., *(None,) * axes)]


def rising(*boxes: Interval, batch: int = 0) -> tuple[Array, ...]:
    """The slope rule of a function that no entry lowers."""
    return tuple(np.where(box.is_point, 0.0, 1.0) for box in boxes)
