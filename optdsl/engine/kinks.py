"""Kinks: functions that are the largest or smallest of smooth pieces, and how they become constraints.

max(a, b) in a place where less is better is an auxiliary variable t with t >= a and t >= b, |e| one with t >= e and
t >= -e, min(a, b) where more is better one with t <= a and t <= b. Every point x of the model is a point (x, t) of the
lifted program, with t the value of the function, and no worse there: so a local minimum (x, t) of the lifted program
whose t are those values is one of the model. That holds wherever the function stands; where it stands in a place in
which less is not always better, the lifted program ends elsewhere, with a t that is not the value, and proves nothing.
`pressed` finds the places worth lifting.

A lane of a kink is a lane of the space that the function stands in. Lifted rows and variables are over lanes too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from optdsl.engine.graph import Graph
from optdsl.engine.space import Columns, Data, GraphFunction, Space
from optdsl.engine.sweeps import Values

if TYPE_CHECKING:
    from optdsl.engine.lower import Builder

Member = tuple["Builder", int, np.ndarray | None]
"""A piece: the builder and node of its values, and the lane of the kink that each belongs to; None: lane by lane."""


def pieces(graph: Graph, name: str, arguments: Sequence[int]) -> tuple[str, tuple[int, ...]] | None:
    """`max` or `min` and the nodes that a function with kinks is the largest or smallest of; None: of no such ones."""
    if name == "abs":
        return "max", (arguments[0], graph.neg(arguments[0]))
    if name in ("pos", "relu"):
        return "max", (arguments[0], graph.const(0.0))
    if name == "leaky_relu":
        slope = graph.value(arguments[1])
        if slope is None:
            return None
        return "max" if slope <= 1 else "min", (arguments[0], graph.mul(arguments[1], arguments[0]))
    if name in ("max", "min"):
        return name, tuple(arguments)
    return None


@dataclass(frozen=True, eq=False)
class Kink:
    """One function with kinks where it stands: `extreme` of its members, over lanes.

    columns (lanes,): the auxiliary variables where it is lifted, None where it is not; rows: how many it brought.
    """

    number: int
    extreme: str
    lanes: int
    members: tuple[Member, ...]
    columns: np.ndarray | None = None

    def values(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The function's values (lanes,) at x (n,), and how far the next piece is from it, relative to its size."""
        sign = 1.0 if self.extreme == "max" else -1.0
        every, lanes = [], []
        for builder, node, target in self.members:
            space = _values_only(builder, node)
            every.append(sign * np.broadcast_to(Values(space.family, x).value(space), (builder.lanes,)))
            lanes.append(np.arange(self.lanes) if target is None else target)
        found, at = np.concatenate(every), np.concatenate(lanes)
        order = np.lexsort((-found, at))
        found, at = found[order], at[order]
        first = np.searchsorted(at, np.arange(self.lanes))
        best = found[first]
        following = np.minimum(first + 1, len(found) - 1)
        next_ = np.where((following > first) & (at[following] == at[first]), found[following], -np.inf)
        return sign * best, (best - next_) / np.maximum(1.0, np.abs(best))


@dataclass(frozen=True, eq=False)
class LiftedRows:
    """Rows (lanes,) of a lifted kink: its variable minus a piece, >= 0 of a largest one, <= 0 of a smallest."""

    number: int
    space: Space
    lower: bool


@dataclass(eq=False)
class Kinks:
    """The kinks met while a model is lowered, in order, those inside others first.

    lift: the numbers of those to lift; None: all that can be. width: columns, auxiliary ones included.
    """

    width: int
    lift: frozenset[int] | None
    found: list[Kink] = field(default_factory=list)
    rows: list[LiftedRows] = field(default_factory=list)

    def met(self, parent: Builder, extreme: str, members: Sequence[Member], liftable: bool = True) -> int | None:
        """The node of a kink's auxiliary variable in the space that it stands in; None where it is not lifted."""
        number = len(self.found)
        lifts = liftable and parent.lanes > 0 and (self.lift is None or number in self.lift)
        covered = np.zeros(parent.lanes, dtype=bool)
        for _, _, target in members:
            covered[slice(None) if target is None else target] = True
        if not lifts or not covered.all():
            if covered.all() and parent.lanes:
                self.found.append(Kink(number, extreme, parent.lanes, tuple(members)))
            else:  # a lane without members has no kink, nor a piece to hold a variable
                self.found.append(Kink(number, extreme, 0, ()))
            return None
        columns = np.arange(self.width, self.width + parent.lanes)
        self.width += parent.lanes
        self.found.append(Kink(number, extreme, parent.lanes, tuple(members), columns))
        node = parent.slot(("lifted", number), lambda: Columns(columns))
        for builder, piece, target in members:
            at = columns if target is None else columns[target]
            own = builder.slot(("lifted", number), lambda at=at: Columns(at))  # type: ignore[misc]
            space = builder.finish(builder.graph.sub(own, piece))
            self.rows.append(LiftedRows(number, space, extreme == "max"))
        return node

    @property
    def lifted(self) -> bool:
        """Whether any kink is lifted."""
        return any(kink.columns is not None for kink in self.found)

    def settled(self, x: np.ndarray) -> np.ndarray:
        """The point (n,) whose auxiliary variables are the values of their functions."""
        x = np.array(x, dtype=float)
        for kink in self.found:
            if kink.columns is not None:
                x[kink.columns] = kink.values(x)[0]
        return x

    def nearest(self, x: np.ndarray) -> float:
        """How far x is from the nearest kink that is not lifted: the distance of two pieces, relative to their size."""
        kept = (kink for kink in self.found if kink.columns is None and kink.lanes)
        return min((float(kink.values(x)[1].min()) for kink in kept), default=np.inf)


def _values_only(builder: Builder, node: int) -> Space:
    """The space of a node, without derivatives."""
    constant = frozenset(k for k, slot in enumerate(builder.slots) if isinstance(slot, Data))
    return Space(builder.lanes, tuple(builder.slots), GraphFunction(builder.graph, node, frozenset(), constant))
