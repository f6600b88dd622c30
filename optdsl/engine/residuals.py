"""The objective recognized as a sum of squares, for methods that see the residuals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optdsl.engine.graph import Graph
from optdsl.engine.rows import RowSystem
from optdsl.engine.space import Affine, Columns, Data, GraphFunction, Link, Space
from optdsl.nlp import Pattern


@dataclass(frozen=True, eq=False)
class SquaredRows:
    """f(x) = scale * |r(x)|^2 + constant, as `optdsl.nlp.Residuals`."""

    spaces: tuple[Space, ...]
    width: int
    scale: float
    constant: float

    @cached_property
    def system(self) -> RowSystem:
        """The residuals as rows, made when a method asks for them."""
        return RowSystem(self.spaces, self.width)

    @property
    def jacobian_pattern(self) -> Pattern:
        return self.system.pattern

    def values(self, x: np.ndarray) -> np.ndarray:
        """r(x) (p,)."""
        return self.system.values(x)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """The values of r's Jacobian, in the order of its pattern."""
        return self.system.jacobian(x)


def squares_of(objective: Space | None, width: int, sign: float) -> SquaredRows | None:
    """The residuals of a minimized objective that is a sum of squares with weights >= 0; None where it is not one."""
    if objective is None or sign < 0:
        return None
    rows: list[Space] = []
    constant = _gather(objective, np.ones(objective.lanes), rows)
    if constant is None or not rows:
        return None
    return SquaredRows(tuple(rows), width, 1.0, constant)


def _gather(space: Space, weights: np.ndarray, rows: list[Space]) -> float | None:
    """Collect residuals of weights' @ outputs into `rows`; the constant that remains, None where it is no such sum."""
    local = space.local
    if not isinstance(local, GraphFunction):
        return None
    constant = 0.0
    for coefficient, node in _terms(local.graph, local.output):
        number = local.graph.value(node)
        if number is not None:
            constant += coefficient * number * float(weights.sum())
            continue
        factor = coefficient
        lanes = weights
        data, node = _weighted(space, local.graph, node)
        if data is not None:
            lanes = weights * data
        op = local.graph.ops[node]
        if op[0] == "mul" and op[1] == op[2]:
            if not (factor * lanes >= 0).all():
                return None
            rows.append(_residual(space, local.graph, op[1], np.sqrt(factor * lanes)))
        elif op[0] == "slot" and isinstance(space.slots[op[1]], Link):
            link = space.slots[op[1]]
            assert isinstance(link, Link)
            inner = _gather(link.child, link.spread(factor * lanes), rows)
            if inner is None:
                return None
            constant += inner
        elif op[0] == "slot" and isinstance(space.slots[op[1]], Data):
            slot = space.slots[op[1]]
            assert isinstance(slot, Data)
            constant += float((factor * lanes * slot.values).sum())
        else:
            return None
    return constant


def _terms(graph: Graph, node: int, sign: float = 1.0) -> list[tuple[float, int]]:
    """The terms of a sum with their numeric coefficients."""
    op = graph.ops[node]
    if op[0] == "add":
        return _terms(graph, op[1], sign) + _terms(graph, op[2], sign)
    if op[0] == "sub":
        return _terms(graph, op[1], sign) + _terms(graph, op[2], -sign)
    if op[0] == "neg":
        return _terms(graph, op[1], -sign)
    if op[0] == "mul":
        number = graph.value(op[1])
        if number is not None:
            return _terms(graph, op[2], sign * number)
    return [(sign, node)]


def _weighted(space: Space, graph: Graph, node: int) -> tuple[np.ndarray | None, int]:
    """A factor of data in front of a term, and the rest."""
    op = graph.ops[node]
    if op[0] in ("mul", "div") and op[1] != op[2]:
        for one, other in ((op[1], op[2]), (op[2], op[1])) if op[0] == "mul" else ((op[2], op[1]),):
            inner = graph.ops[one]
            slot = space.slots[inner[1]] if inner[0] == "slot" else None
            if isinstance(slot, Data):
                return (slot.values if op[0] == "mul" else 1.0 / slot.values), other
    return None, node


def _residual(space: Space, graph: Graph, node: int, weights: np.ndarray) -> Space:
    """The space of weights * node."""
    wanted = frozenset(k for k, s in enumerate(space.slots) if isinstance(s, Columns | Affine | Link))
    constant = frozenset(k for k, s in enumerate(space.slots) if isinstance(s, Data))
    if (weights == 1.0).all():
        return Space(space.lanes, space.slots, GraphFunction(graph, node, wanted, constant))
    place = len(space.slots)
    slots = (*space.slots, Data(weights))
    weighted = graph.mul(graph.slot(place), node)
    return Space(space.lanes, slots, GraphFunction(graph, weighted, wanted, constant | {place}))

