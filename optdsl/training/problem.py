"""A model as functions on whole arrays: estimates from batches, exact values in chunks, products with Hessians."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from optdsl.model.model import Model
from optdsl.nlp import Pattern
from optdsl.terms.frame import Frame
from optdsl.terms.show import show
from optdsl.training.derivatives import Derivatives
from optdsl.training.graph import BATCH, VIEWS, TensorGraph
from optdsl.training.lower import Lowering
from optdsl.training.program import Inputs, Program
from optdsl.training.split import Members, Splitter
from optdsl.training.terms import Activation

WORK = 2_000_000
"""Numbers in the widest array of a chunk when all members are gone through."""


@dataclass(frozen=True, eq=False)
class Layer:
    """The values of an activation on some members: argument and value, arrays (members, ...)."""

    activation: Activation
    argument: np.ndarray
    value: np.ndarray


class TensorProblem:
    """A model as an `optdsl.nlp.FiniteSum` over the members of a set, always minimized: of a maximum the negative.

    Over all members it is an `optdsl.nlp.Nlp` too, without a sparse Hessian; that holds for models without
    constraints only. Values over all members are float64 whatever `dtype` is. Raises NotTensor, with the place, for
    what has no form on whole arrays or is no sum over the members.
    """

    def __init__(
        self, model: Model, members: Members, dtype: np.dtype | type = np.float64, *, convex: bool = False
    ) -> None:
        self.model, self.set, self.dtype, self.convex = model, members, np.dtype(dtype), convex
        self.members = members.count
        self.graph = TensorGraph()
        self.lowering = Lowering(model, self.graph)
        self.lower, self.upper, self.start = _columns(model)
        objective = model.objective
        self.sign = -1.0 if objective is not None and objective.sense == "maximize" else 1.0
        splitter = Splitter(self.lowering, members)
        share, scale = self.graph.share(), self.graph.scale()

        def whole(rest: int, batched: int) -> int:
            return self.graph.add(self.graph.mul(share, rest), self.graph.mul(scale, batched))

        if objective is None:
            self._objective = self.graph.const(0.0)
        else:
            rest, batched = splitter.split(objective.body, Frame())
            self._objective = self.graph.mul(self.graph.const(self.sign), whole(rest.node, batched.node))
        self._rows: list[int] = []
        self.row_shapes: list[tuple[int, ...]] = []
        lower: list[np.ndarray] = [np.zeros(0)]
        upper: list[np.ndarray] = [np.zeros(0)]
        self.places: list[tuple[int, int]] = []
        self.row_batched: list[bool] = []
        for number, constraint in enumerate(model.constraints):
            frame = model.lanes_of(constraint.over)
            dims = tuple(range(len(frame.shape)))
            for place, relation in enumerate(constraint.relations):
                rest, batched = splitter.split(relation.body, frame)
                parts = [self.lowering._stretch(t, dims) for t in (rest, batched)]
                node = whole(*parts)
                if dims:
                    node = self.graph.whole(node, frame.shape)
                self._rows.append(node)
                self.row_shapes.append(frame.shape)
                self.places.append((number, place))
                self.row_batched.append(self.graph.value(batched.node) != 0)
                lower.append(_side(model, relation.lower, frame, -np.inf))
                upper.append(_side(model, relation.upper, frame, np.inf))
        self.row_lower, self.row_upper = np.concatenate(lower), np.concatenate(upper)
        self._parts = [
            (v.name, slice(v.offset, v.offset + v.width), v.shape if v.columns is None else (v.width,))
            for v in model.variables.values()
        ]
        self._leaves = {name: self.lowering.variable(name) for name, _, _ in self._parts}
        self._programs: dict[tuple[str, np.dtype], tuple[Program, list[str]]] = {}
        self._last: tuple[np.ndarray, float, np.ndarray] | None = None
        self._chunk = self._chunk_size()

    # -------------------------------------------------------------------------------------------------- what it is

    @property
    def linear(self) -> np.ndarray:
        """Which rows are known to be affine (m,): none are looked at."""
        return np.zeros(len(self.row_lower), dtype=bool)

    jacobian_pattern = Pattern(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), (0, 0))
    hessian_pattern = None
    residuals = None

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activations of the model's layers."""
        return tuple(self.lowering.activations)

    def describe(self) -> str:
        """The operations of one value on a batch, in order, each with the shape of its result."""
        lines = []
        for node in self.graph.below([self._objective, *self._rows]):
            op = self.graph.ops[node]
            if op[0] in ("const", "scale", "share", *VIEWS):
                continue
            name = str(op[1]) if op[0] in ("variable", "apply") else op[0]
            shape = " x ".join("batch" if n == BATCH else str(n) for n in self.graph.shapes[node])
            lines.append(f"{name}: {shape or 'a number'}")
        return "\n".join(lines)

    @property
    def multiplications(self) -> float:
        """About how many multiplications the matrix products of one value over all members take."""
        total = 0.0
        for node in self.graph.below([self._objective, *self._rows]):
            op = self.graph.ops[node]
            if op[0] == "dot":
                whole = (*self.graph.shapes[node], *self.graph.shapes[op[2]][: op[3]])
                total += float(np.prod([self.members if n == BATCH else n for n in whole], dtype=np.float64))
        return total

    def columns_of(self, name: str) -> slice:
        """The columns of a variable."""
        return next(part for variable, part, _ in self._parts if variable == name)

    # ---------------------------------------------------------------------------------------------------- programs

    def _lagrangian(self) -> int:
        total = self._objective
        for k, (row, shape) in enumerate(zip(self._rows, self.row_shapes, strict=True)):
            product = self.graph.mul(self.graph.weights(k, shape), row)
            total = self.graph.add(total, self.graph.sum(product, range(len(shape))) if shape else product)
        return total

    def _program(self, kind: str, dtype: np.dtype) -> tuple[Program, list[str]]:
        """A program, and the names of the variables that its last outputs belong to."""
        known = self._programs.get((kind, dtype))
        if known is not None:
            return known
        graph, derivatives = self.graph, Derivatives(self.graph)
        leaves = list(self._leaves.values())
        head: list[int] = []
        found: dict[int, int] = {}
        if kind == "value":
            head = [self._objective]
        elif kind == "rows":
            head = list(self._rows)
        elif kind == "gradient":
            head = [self._objective]
            found = derivatives.gradient(self._objective, leaves)
        elif kind == "weighted":
            head = [self._objective]
            found = derivatives.gradient(self._lagrangian(), leaves)
        elif kind in ("product", "weighted product"):
            slopes = derivatives.gradient(self._objective if kind == "product" else self._lagrangian(), leaves)
            directions = {self._leaves[n]: graph.direction(n, shape) for n, _, shape in self._parts}
            tangents = derivatives.tangents(list(slopes.values()), directions)
            found = dict(zip(slopes, tangents, strict=True))
        else:
            assert kind == "layers"
            head = [n for a in self.activations for n in (a.argument, a.value)]
        by_node = {node: name for name, node in self._leaves.items()}
        names = [by_node[node] for node in found]
        program = Program(graph, [*head, *found.values()], self.lowering.data, dtype)
        self._programs[kind, dtype] = program, names
        return program, names

    def _chunk_size(self) -> int:
        widest = 1
        for node in range(len(self.graph.ops)):
            shape = self.graph.shapes[node]
            if BATCH in shape:
                widest = max(widest, int(np.prod([n for n in shape if n != BATCH], dtype=np.int64)))
        return int(min(max(self.members, 1), max(64, WORK // widest)))

    def _views(self, x: np.ndarray) -> Mapping[str, np.ndarray]:
        return {name: x[part].reshape(shape) for name, part, shape in self._parts}

    def _weights(self, weights: np.ndarray, dtype: np.dtype) -> Sequence[np.ndarray]:
        found, at = [], 0
        for shape in self.row_shapes:
            size = int(np.prod(shape, dtype=np.int64))
            found.append(weights[at : at + size].astype(dtype).reshape(shape))
            at += size
        return found

    # ---------------------------------------------------------------------------------------------------- estimates

    def estimate(
        self, x: np.ndarray, batch: np.ndarray | slice, gradient: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        """The estimate of f; that of the gradient of f + weights'c is written into `gradient`."""
        kind = "gradient" if weights is None or not len(self._rows) else "weighted"
        program, names = self._program(kind, x.dtype)
        size = _size(batch, self.members)
        inputs = Inputs(self._views(x), batch, size, scale=self.members / size if size else 1.0)
        if kind == "weighted" and weights is not None:
            inputs.weights = self._weights(weights, x.dtype)
        parts = self._views(gradient)
        if len(names) < len(self._parts):
            gradient.fill(0.0)
        value, *_ = program(inputs, [None, *(parts[name] for name in names)])
        return float(value)

    def row_estimates(self, x: np.ndarray, batch: np.ndarray | slice) -> np.ndarray:
        """The estimates of c (m,)."""
        program, _ = self._program("rows", x.dtype)
        size = _size(batch, self.members)
        inputs = Inputs(self._views(x), batch, size, scale=self.members / size if size else 1.0)
        return np.concatenate([np.zeros(0), *(np.asarray(v, dtype=np.float64).reshape(-1) for v in program(inputs))])

    # -------------------------------------------------------------------------------------------------- all members

    def _chunks(self, x: np.ndarray, chosen: np.ndarray | None) -> Iterator[Inputs]:
        views = self._views(np.asarray(x, dtype=np.float64))
        count = self.members if chosen is None else len(chosen)
        scale = self.members / count if count else 1.0
        for first in range(0, max(count, 1), self._chunk):
            part = slice(first, min(first + self._chunk, count))
            size = part.stop - part.start
            batch = part if chosen is None else chosen[part]
            yield Inputs(views, batch, size, scale=scale, share=size / count if count else 1.0)

    def _sums(
        self,
        kind: str,
        x: np.ndarray,
        change: Mapping[str, object] | None = None,
        chosen: np.ndarray | None = None,
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """The outputs of a program over all members: its first ones, and the variables' parts as one vector (n,).

        chosen: the members that stand for all of them.
        """
        program, names = self._program(kind, np.dtype(np.float64))
        total = np.zeros(len(self.start))
        parts = self._views(total)
        head = len(program.outputs) - len(names)
        first = [np.zeros(())] * head
        for inputs in self._chunks(x, chosen):
            for key, value in (change or {}).items():
                setattr(inputs, key, value)
            found = program(inputs)
            first = [a + b for a, b in zip(first, found, strict=False)]
            for name, value in zip(names, found[head:], strict=True):
                parts[name] += value
        return first, total

    def objective(self, x: np.ndarray) -> float:
        """f over all members."""
        if self._last is not None and np.array_equal(self._last[0], x):
            return self._last[1]
        return float(self._sums("value", x)[0][0])

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """The gradient of f over all members (n,)."""
        if self._last is None or not np.array_equal(self._last[0], x):
            (value,), found = self._sums("gradient", x)
            self._last = np.array(x), float(value), found
        return self._last[2].copy()

    def sample(self, count: int, seed: int = 0) -> SomeMembers:
        """The problem on so many members, drawn at random."""
        chosen = np.random.default_rng(seed).choice(self.members, min(count, self.members), replace=False)
        return SomeMembers(self, np.sort(chosen))

    def constraints(self, x: np.ndarray) -> np.ndarray:
        """c over all members (m,)."""
        if not self._rows:
            return np.zeros(0)
        return np.concatenate([np.asarray(v).reshape(-1) for v in self._sums("rows", x)[0]])

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """No entries: only models without constraints are an Nlp."""
        return np.zeros(0)

    def lagrangian_gradient(self, x: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
        """The gradient of f + multipliers'c over all members (n,)."""
        if not self._rows:
            return self.gradient(x)
        return self._sums("weighted", x, {"weights": self._weights(multipliers, np.dtype(np.float64))})[1]

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        raise NotImplementedError("the Hessian is known by its products only")

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        """The Hessian of weight * f + multipliers'c over all members, times a direction (n,)."""
        change: dict[str, object] = {"directions": self._views(np.asarray(direction, dtype=np.float64))}
        if not self._rows:
            return weight * self._sums("product", x, change)[1]
        if weight != 1.0:
            alone = (weight - 1.0) * self._sums("product", x, change)[1]
        else:
            alone = np.zeros(len(self.start))
        change["weights"] = self._weights(multipliers, np.dtype(np.float64))
        return alone + self._sums("weighted product", x, change)[1]

    # ------------------------------------------------------------------------------------------------------ questions

    def feeds_product(self, node: int) -> bool:
        """Whether a node is an argument of a product of matrices, as the value of a hidden layer is."""
        order = self.graph.below([self._objective])
        return any(self.graph.ops[n][0] == "dot" and node in self.graph.arguments(n) for n in order)

    def layers(self, x: np.ndarray, batch: np.ndarray | slice) -> tuple[Layer, ...]:
        """The activations of the layers on some members, float64."""
        if not self.activations:
            return ()
        program, _ = self._program("layers", np.dtype(np.float64))
        views = self._views(np.asarray(x, dtype=np.float64))
        found = program(Inputs(views, batch, _size(batch, self.members)))
        pairs = zip(self.activations, found[::2], found[1::2], strict=True)
        return tuple(Layer(a, np.array(argument), np.array(value)) for a, argument, value in pairs)

    def culprit_node(self, x: np.ndarray, batch: np.ndarray | slice) -> sympy.Basic | None:
        """The expression that first has a value that is not finite on a batch."""
        order = [n for n in self.graph.below([self._objective, *self._rows]) if n in self.lowering.origins]
        program = Program(self.graph, order, self.lowering.data, np.dtype(np.float64))
        inputs = Inputs(self._views(np.asarray(x, dtype=np.float64)), batch, _size(batch, self.members))
        for node, value in zip(order, program(inputs), strict=True):
            if not np.isfinite(value).all():
                return self.lowering.origins[node]
        return None

    def culprit(self, x: np.ndarray, batch: np.ndarray | slice) -> str | None:
        """The part of the text that first has a value that is not finite on this batch; None where none has."""
        node = self.culprit_node(x, batch)
        if node is None:
            return None
        return show(node)


@dataclass(frozen=True, eq=False)
class SomeMembers:
    """A problem without rows in which some members, each with the weight of many, stand for all."""

    whole: TensorProblem
    chosen: np.ndarray

    @property
    def members(self) -> int:
        """How many members there are."""
        return len(self.chosen)

    def objective(self, x: np.ndarray) -> float:
        """The estimate of f."""
        return float(self.whole._sums("value", x, None, self.chosen)[0][0])

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """The estimate of the gradient (n,)."""
        return self.whole._sums("gradient", x, None, self.chosen)[1]

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        """The estimate of the Hessian of weight * f times a direction (n,)."""
        change: dict[str, object] = {"directions": self.whole._views(np.asarray(direction, dtype=np.float64))}
        return weight * self.whole._sums("product", x, change, self.chosen)[1]


def _size(batch: np.ndarray | slice, members: int) -> int:
    if isinstance(batch, slice):
        return len(range(*batch.indices(members)))
    return len(batch)


def _columns(model: Model) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds and given starts (0 inside the bounds where none) of all columns (n,)."""
    lower, upper, start = (np.full(model.columns, f) for f in (-np.inf, np.inf, np.nan))
    for v in model.variables.values():
        part = slice(v.offset, v.offset + v.width)
        lower[part], upper[part], start[part] = v.lower, v.upper, v.start
    return lower, upper, np.clip(np.where(np.isnan(start), 0.0, start), lower, upper)


def _side(model: Model, side: sympy.Expr | None, frame: Frame, missing: float) -> np.ndarray:
    if side is None:
        return np.full(frame.size, missing)
    return model.lanes.full(side, frame).reshape(-1)
