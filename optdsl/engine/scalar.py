"""A small problem as straight-line Python over its variables, all lanes written out.

Arrays of a few entries cost a microsecond an operation, Python's floats a twentieth of that. Where every space is a
graph and the operations of all lanes are few, they become one graph over the variables, which is differentiated as a
whole; three functions are made of it when they are first asked for: values, first derivatives, the Lagrangian's second
derivatives. Where Python's floats raise, or a value is not finite, the arrays answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optdsl.engine.graph import Graph
from optdsl.engine.kernel import Scalar, scalar_code
from optdsl.engine.space import Affine, Columns, Data, GraphFunction, Link, Slot, Space
from optdsl.nlp import Pattern

MOST_COLUMNS, MOST_ROWS = 40, 80
MOST_OPERATIONS = 1500
"""Operations of all lanes that are written out at most; their derivatives are some times as many."""


class ScalarProgram:
    """Objective (its own sign) and rows of a problem as functions of x in Python's floats.

    Each method answers None where the arrays have to: outside domains, where numbers overflow.
    """

    def __init__(self, graph: Graph, objective: int | None, rows: Sequence[int], width: int, pattern: Pattern) -> None:
        self._graph, self._objective, self._rows, self._width = graph, objective, tuple(rows), width
        self._jacobian_pattern = pattern
        self._value_code: Scalar | None = None
        self._first_code: Scalar | None = None
        self._second_code: Scalar | None = None
        self._at: list[float] = []
        self._values: tuple[float, ...] | None = None
        self._first: np.ndarray | None = None
        self._second: tuple[Any, np.ndarray] | None = None

    @staticmethod
    def of(objective: Space | None, rows: Sequence[Space], width: int, pattern: Pattern) -> ScalarProgram | None:
        """The program of a problem; None where it is not small or not made of graphs alone."""
        spaces = [*(() if objective is None else (objective,)), *rows]
        if width > MOST_COLUMNS or sum(space.lanes for space in rows) > MOST_ROWS:
            return None
        cost = 0
        for part in {id(part): part for space in spaces for part in space.family}.values():
            if not isinstance(part.local, GraphFunction):
                return None
            cost += part.lanes * (part.local.operations + len(part.slots))
        if cost > MOST_OPERATIONS:
            return None
        writer = _Writer()
        written = [writer.space(space) for space in spaces]
        if any(nodes is None for nodes in written):
            return None
        first = None if objective is None else written[0][0]  # type: ignore[index]
        below = written if objective is None else written[1:]
        return ScalarProgram(writer.graph, first, [node for nodes in below for node in nodes or ()], width, pattern)

    # ------------------------------------------------------------------------------------------------------ values

    def _known(self, x: np.ndarray) -> tuple[float, ...] | None:
        """f and c at x; None where one of them is not finite."""
        at = x.tolist()
        if at != self._at or self._value_code is None:
            if self._value_code is None:
                self._value_code = scalar_code(self._graph, [self._root, *self._rows])
            self._at, self._first, self._second = at, None, None
            try:
                values = self._value_code(at)
                self._values = values if math.isfinite(sum(values)) else None
            except (ArithmeticError, ValueError):
                self._values = None
        return self._values

    @property
    def _root(self) -> int:
        return self._graph.const(0.0) if self._objective is None else self._objective

    def objective(self, x: np.ndarray) -> float | None:
        """f(x)."""
        values = self._known(x)
        return None if values is None else values[0]

    def constraints(self, x: np.ndarray) -> np.ndarray | None:
        """c(x) (m,)."""
        values = self._known(x)
        return None if values is None else np.array(values[1:])

    # ------------------------------------------------------------------------------------------------- derivatives

    def _slopes(self, x: np.ndarray) -> np.ndarray | None:
        """The gradient of f (n,), then the Jacobian's entries in the order of its pattern."""
        if self._known(x) is None:
            return None
        if self._first is None:
            if self._first_code is None:
                self._first_code = scalar_code(self._graph, self._first_outputs())
            try:
                self._first = np.array(self._first_code(self._at))
            except (ArithmeticError, ValueError):
                return None
        return self._first

    def _first_outputs(self) -> list[int]:
        graph, wanted = self._graph, frozenset(range(self._width))
        zero = graph.const(0.0)
        slopes = [graph.gradient(node, wanted) for node in (self._root, *self._rows)]
        places = zip(self._jacobian_pattern.rows.tolist(), self._jacobian_pattern.columns.tolist(), strict=True)
        return [
            *(slopes[0].get(column, zero) for column in range(self._width)),
            *(slopes[row + 1].get(column, zero) for row, column in places),
        ]

    def gradient(self, x: np.ndarray) -> np.ndarray | None:
        """The gradient of f (n,)."""
        slopes = self._slopes(x)
        return None if slopes is None else slopes[: self._width].copy()

    def jacobian(self, x: np.ndarray) -> np.ndarray | None:
        """The values of c's Jacobian, in the order of its pattern."""
        slopes = self._slopes(x)
        return None if slopes is None else slopes[self._width :].copy()

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float, pattern: Pattern) -> np.ndarray | None:
        """The lower triangle of weight * f'' + sum_i multipliers_i c_i'', in the order of its pattern."""
        if self._known(x) is None:
            return None
        key = [weight, *multipliers.tolist()]
        if self._second is None or self._second[0] != key:
            if self._second_code is None:
                self._second_code = scalar_code(self._graph, self._second_outputs(pattern))
            try:
                self._second = key, np.array(self._second_code([*self._at, *key]))
            except (ArithmeticError, ValueError):
                return None
        return self._second[1].copy()

    def _second_outputs(self, pattern: Pattern) -> list[int]:
        """Second derivatives of the sum of f and rows, each times its weight: a slot after the variables."""
        graph, width = self._graph, self._width
        weighted = (
            graph.mul(graph.slot(width + k), node) for k, node in enumerate((self._root, *self._rows))
        )
        slopes = graph.gradient(graph.total(weighted), frozenset(range(width)))
        zero = graph.const(0.0)
        found: dict[int, dict[int, int]] = {}
        for row in set(pattern.rows.tolist()) & set(slopes):
            found[row] = graph.gradient(slopes[row], frozenset(range(row + 1)))
        places = zip(pattern.rows.tolist(), pattern.columns.tolist(), strict=True)
        return [found.get(row, {}).get(column, zero) for row, column in places]


class _Writer:
    """Writes the lanes of spaces into one graph whose slots are the variables."""

    def __init__(self) -> None:
        self.graph = Graph()
        self._done: dict[int, list[int] | None] = {}

    def space(self, space: Space) -> list[int] | None:
        """The node of each lane; None where a slot is not differentiated."""
        if id(space) not in self._done:
            self._done[id(space)] = self._space(space)
        return self._done[id(space)]

    def _space(self, space: Space) -> list[int] | None:
        local = space.local
        assert isinstance(local, GraphFunction)
        slots = [self._slot(slot, space.lanes) for slot in space.slots]
        if any(slot is None for slot in slots):
            return None
        inner = local.graph
        order = inner.below([local.output])
        return [self._lane(inner, order, [slot[lane] for slot in slots], local.output) for lane in range(space.lanes)]  # type: ignore[index]

    def _lane(self, inner: Graph, order: Sequence[int], slots: Sequence[int], output: int) -> int:
        graph, found = self.graph, dict[int, int]()
        for node in order:
            op = inner.ops[node]
            kind = op[0]
            if kind == "slot":
                found[node] = slots[op[1]]
            elif kind == "const":
                found[node] = graph.const(op[1])
            elif kind == "apply":
                found[node] = graph.apply(op[1], *(found[a] for a in op[2:]))
            else:
                found[node] = getattr(graph, kind)(*(found[a] for a in op[1:]))
        return found[output]

    def _slot(self, slot: Slot, lanes: int) -> list[int] | None:
        graph = self.graph
        if isinstance(slot, Columns):
            return [graph.slot(k) for k in slot.columns.tolist()]
        if isinstance(slot, Data):
            return [graph.const(v) for v in slot.values.tolist()]
        if isinstance(slot, Affine):
            matrix = slot.matrix
            ends, columns, values = matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.tolist()
            return [
                graph.add(
                    graph.total(graph.mul(graph.const(values[k]), graph.slot(columns[k])) for k in range(first, last)),
                    graph.const(constant),
                )
                for first, last, constant in zip(ends[:-1], ends[1:], slot.constant.tolist(), strict=True)
            ]
        if isinstance(slot, Link):
            child = self.space(slot.child)
            if child is None:
                return None
            terms: list[list[int]] = [[] for _ in range(lanes)]
            sources = range(len(child)) if slot.source is None else slot.source.tolist()
            for source, target in zip(sources, slot.target.tolist(), strict=True):
                terms[target].append(child[source])
            return [graph.total(part) for part in terms]
        return None  # held constant under differentiation, which the graph does not know
