"""Templates to spaces: each node of a template is visited once, whatever the size of its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy

from optdsl.atoms import ARRAYWISE
from optdsl.atoms.atom import Absent, Atom
from optdsl.engine.array_calls import Argument, ArrayFunction
from optdsl.engine.graph import ROUNDED, Graph
from optdsl.engine.kinks import Kinks, pieces
from optdsl.engine.reductions import REDUCERS, Reduction
from optdsl.engine.space import Columns, Data, GraphFunction, Link, Slot, Space
from optdsl.model.model import Model
from optdsl.terms import nodes
from optdsl.terms.evaluate import number
from optdsl.terms.frame import Extension, Frame
from optdsl.terms.nodes import Over

MOST_ENTRIES = 400
"""Entries of the arguments of an array function whose second derivatives are computed."""


class NotLowered(Exception):
    """An expression that the engine has no derivatives for: the node and the reason in a sentence."""

    def __init__(self, node: sympy.Basic, reason: str) -> None:
        super().__init__(reason)
        self.node, self.reason = node, reason


class Lowering:
    """Lowers the templates of one model. With `smoothing` > 0, kinks are rounded off on that scale (see `Graph`).

    `kinks` hears of each, and may lift it instead.
    """

    def __init__(self, model: Model, smoothing: float = 0.0, kinks: Kinks | None = None) -> None:
        self.model = model
        self.smoothing = smoothing
        self.kinks = kinks
        self.lanes = model.lanes
        self._variable: dict[sympy.Basic, bool] = {}

    def varies(self, expression: sympy.Basic) -> bool:
        """Whether a decision variable occurs."""
        known = self._variable.get(expression)
        if known is None:
            known = isinstance(expression, nodes.VariableEntry) or any(self.varies(a) for a in expression.args)
            self._variable[expression] = known
        return known

    def space(self, body: sympy.Expr, frame: Frame) -> Space:
        """The space of a template over the lanes of a frame."""
        builder = Builder(self, frame)
        return builder.finish(builder.lower(body))


class Builder:
    """Grows the space over one frame: its graph and its slots."""

    def __init__(self, lowering: Lowering, frame: Frame) -> None:
        self.lowering, self.frame = lowering, frame.as_root()
        self.lanes = frame.size
        self.graph = Graph(lowering.smoothing)
        self.slots: list[Slot] = []
        self._known: dict[Any, int] = {}
        self._done: dict[sympy.Basic, int] = {}

    def finish(self, output: int) -> Space:
        """The space whose output is this node."""
        wanted = frozenset(k for k, s in enumerate(self.slots) if isinstance(s, Columns | Link))
        constant = frozenset(k for k, s in enumerate(self.slots) if isinstance(s, Data))
        return Space(self.lanes, tuple(self.slots), GraphFunction(self.graph, output, wanted, constant))

    def slot(self, key: Any, make: Callable[[], Slot]) -> int:
        """The node of a slot, made once for each key."""
        if key not in self._known:
            self._known[key] = self.graph.slot(len(self.slots))
            self.slots.append(make())
        return self._known[key]

    def flat(self, values: np.ndarray) -> np.ndarray:
        """Values over the frame as (L,)."""
        return np.broadcast_to(np.asarray(values), self.frame.shape).reshape(-1)

    def data(self, key: Any, values: np.ndarray) -> int:
        """The node of numbers of the data: a constant where they are one number."""
        values = np.asarray(values, dtype=np.float64)
        if values.size == 1:
            return self.graph.const(float(values.reshape(-1)[0]))
        return self.slot(key, lambda: Data(self.flat(values)))

    # ------------------------------------------------------------------------------------------------- expressions

    def lower(self, expression: sympy.Basic) -> int:
        """The node of an expression."""
        found = self._done.get(expression)
        if found is None:
            found = self._done[expression] = self._lower(expression)
        return found

    def _lower(self, expression: sympy.Basic) -> int:
        if expression.is_Number or isinstance(expression, sympy.NumberSymbol):
            return self.graph.const(float(number(expression)))
        if not self.lowering.varies(expression):
            return self.data(expression, self.lowering.lanes.numbers(expression, self.frame))
        rule = _RULES.get(type(expression))
        if rule is None:
            raise NotLowered(expression, "the engine has no rule for this")
        node: int = rule(self, expression)
        return node

    def _variable(self, entry: nodes.VariableEntry) -> int:
        columns = np.asarray(self.lowering.lanes.columns(entry, self.frame))
        return self.slot(entry, lambda: Columns(np.ascontiguousarray(self.flat(columns))))

    def _split(self, expression: sympy.Expr, kind: type[sympy.Expr]) -> tuple[int | None, list[sympy.Basic]]:
        """The arguments that are data, as one node, and the others."""
        data = [a for a in expression.args if not self.lowering.varies(a)]
        others = [a for a in expression.args if self.lowering.varies(a)]
        if not data:
            return None, others
        whole = data[0] if len(data) == 1 else kind(*data)
        return self.lower(whole), others

    def _add(self, expression: sympy.Add) -> int:
        constant, others = self._split(expression, sympy.Add)
        total = self.graph.total(self.lower(a) for a in others)
        return total if constant is None else self.graph.add(total, constant)

    def _mul(self, expression: sympy.Mul) -> int:
        factor, others = self._split(expression, sympy.Mul)
        above = [a for a in others if not _is_inverse(a)]
        below = [a for a in others if _is_inverse(a)]
        result = self.graph.const(1.0) if factor is None else factor
        for a in above:
            result = self.graph.mul(result, self.lower(a))
        for a in below:  # x / y as one division
            result = self.graph.div(result, self.lower(sympy.Pow(a.base, -a.exp)))
        return result

    def _pow(self, expression: sympy.Pow) -> int:
        return self._power(expression.base, expression.exp)

    def _power(self, base: sympy.Basic, exponent: sympy.Basic) -> int:
        """base ^ exponent; with variables in the exponent e^(exponent log base)."""
        if self.lowering.varies(exponent):
            logarithm = self.graph.apply("log", self.lower(base))
            return self.graph.apply("exp", self.graph.mul(self.lower(exponent), logarithm))
        return self.graph.power(self.lower(base), self.lower(exponent))

    def _apply(self, node: nodes.Apply) -> int:
        if node.name == "pow":
            return self._power(*node.slots)
        if node.name in ("max", "min") and self.lowering.kinks is not None:
            return self.kinked(node.name, *self.flattened(node, node.name))
        return self.kinked(node.name, *(self.lower(a) for a in node.slots))

    def flattened(self, expression: sympy.Basic, extreme: str) -> tuple[int, ...]:
        """The nodes that an expression is the largest (smallest) of, those inside others taken out: max(a, abs(b))."""
        if not (isinstance(expression, nodes.Apply) and self.lowering.varies(expression)):
            return (self.lower(expression),)
        if expression.name == extreme:
            return tuple(node for slot in expression.slots for node in self.flattened(slot, extreme))
        if expression.name in ROUNDED - {"max", "min"}:
            known = pieces(self.graph, expression.name, [self.lower(a) for a in expression.slots])
            if known is not None and known[0] == extreme:
                return known[1]
        return (self.lower(expression),)

    def kinked(self, name: str, *arguments: int, liftable: bool = True) -> int:
        """The node of a function of nodes that may have kinks."""
        kinks = self.lowering.kinks
        if kinks is not None and name in ROUNDED:
            known = pieces(self.graph, name, arguments)
            if known is not None:
                lifted = kinks.met(self, known[0], [(self, piece, None) for piece in known[1]], liftable)
                if lifted is not None:
                    return lifted
        return self.graph.apply(name, *arguments)

    def folded(self, extreme: str, child: Builder, members: Sequence[int], target: np.ndarray) -> int | None:
        """The node of the largest or smallest of a child's lanes where it is lifted, else None."""
        kinks = self.lowering.kinks
        return None if kinks is None else kinks.met(self, extreme, [(child, member, target) for member in members])

    # -------------------------------------------------------------------------------------------- other lanes

    def child(self, extension: Extension) -> tuple[Builder, np.ndarray]:
        """A builder for an extension's lanes, and the lane of this space that each of them belongs to."""
        frame = extension.child
        target = np.broadcast_to(frame.root_rows(), frame.shape).reshape(-1)
        return Builder(self.lowering, frame), target

    def summed(self, key: Any, builder: Builder, output: int, target: np.ndarray) -> int:
        """The node of a child's output, summed into these lanes."""
        if not builder.lanes:
            return self.graph.const(0.0)
        return self.slot(key, lambda: Link(builder.finish(output), target, self.lanes))

    def _reduce(self, node: nodes.Reduce) -> int:
        rule = REDUCERS.get(node.name)
        if rule is None:
            raise NotLowered(node, f"`{node.name}` of variables has no derivative")
        linear = node.name == "sum"
        extension = self.lowering.lanes.extend(self.frame, node.over, node.body if linear else None)
        child, target = self.child(extension)
        if not child.lanes:
            parts: tuple[int, ...] = (child.graph.const(0.0),)
        elif node.name in ("max", "min") and self.lowering.kinks is not None:
            parts = child.flattened(node.body, node.name)
        else:
            parts = (child.lower(node.body),)
        body = parts[0] if len(parts) == 1 else child.graph.apply(node.name, *parts)
        extra = [self._single(e) for e in node.extra]
        return rule(Reduction(self, child, target, body, node, parts), *extra)

    def _single(self, expression: sympy.Basic) -> float:
        return float(self.lowering.lanes.numbers(expression, self.frame).reshape(-1)[0])

    def _branches(self, node: sympy.Basic, branches: list[tuple[np.ndarray, sympy.Basic]]) -> int:
        """The branch whose mask holds at each lane: each is computed only where it is chosen."""
        result = self.graph.const(0.0)
        for place, (mask, branch) in enumerate(branches):
            if mask.all():
                return self.lower(branch)
            if not mask.any():
                continue
            child, target = self.child(self.lowering.lanes.filtered(self.frame, mask))
            part = self.summed((node, place), child, child.lower(branch), target)
            result = self.graph.add(result, part)
        return result

    def _choose(self, node: nodes.Choose) -> int:
        condition, then, otherwise = node.args
        if self.lowering.varies(condition):
            raise NotLowered(node, "a condition on variables jumps where it changes")
        holds = self.lowering.lanes.condition(condition, self.frame)
        return self._branches(node, [(holds, then), (~holds, otherwise)])

    def _pick(self, node: nodes.Pick) -> int:
        position = self.lowering.lanes.numbers(node.args[0], self.frame)
        return self._branches(node, [(position == k, branch) for k, branch in enumerate(node.args[1:])])

    def _array_call(self, node: nodes.ArrayCall) -> int:
        row = ARRAYWISE.get(node.name)
        if row is None or isinstance(row.derivative, Absent):
            raise NotLowered(node, f"`{node.name}` of variables has no derivative")
        arguments, slots = self._arguments(node, row)
        if len(slots) > MOST_ENTRIES:
            raise NotLowered(node, f"`{node.name}` of {len(slots)} entries: up to {MOST_ENTRIES} are differentiated")
        positions = [self.flat(np.asarray(self.lowering.lanes.numbers(p, self.frame))) for p in node.positions]
        local = ArrayFunction(node.name, arguments, positions, len(slots))
        space = Space(self.lanes, tuple(slots), local)
        return self.slot(node, lambda: Link(space, np.arange(self.lanes), self.lanes))

    def _arguments(self, node: nodes.ArrayCall, row: Atom) -> tuple[list[Argument], list[Slot]]:
        """The arguments of an array function, and a slot for each of their entries that varies."""
        arguments: list[Argument] = []
        slots: list[Slot] = []
        depth = len(self.frame.shape)
        for number_, argument in enumerate(node.arguments):
            block = argument if isinstance(argument, nodes.Block) else None
            over = nodes.over(() if block is None else block.axes)
            extension = self.lowering.lanes.extend(self.frame, over)
            shape = extension.child.shape[depth:]
            symmetric = row.parameter(number_) in row.needs_symmetric
            child, _ = self.child(extension)
            if not self.lowering.varies(argument):
                arguments.append(Argument(shape, None, self._numbers(argument, child, shape), symmetric))
                continue
            space = child.finish(child.lower(argument if block is None else block.body))
            size = int(np.prod(shape, dtype=np.int64))
            arguments.append(Argument(shape, len(slots), None, symmetric))
            whole = np.arange(self.lanes)
            slots += [Link(space, whole, self.lanes, whole * size + k) for k in range(size)]
        return arguments, slots

    def _numbers(self, argument: sympy.Basic, child: Builder, shape: tuple[int, ...]) -> object:
        """An argument that is data: an array (L, *shape), or one number."""
        if isinstance(argument, nodes.Block):
            value = child.flat(np.asarray(self.lowering.lanes.numbers(argument.body, child.frame)))
            return value.reshape(self.lanes, *shape).astype(np.float64)
        value = np.asarray(self.lowering.lanes.numbers(argument, self.frame))
        return value.reshape(-1)[0] if value.size == 1 else self.flat(value)


def _is_inverse(expression: sympy.Basic) -> bool:
    return isinstance(expression, sympy.Pow) and expression.exp.is_Number and bool(expression.exp < 0)


def lower_over(lowering: Lowering, body: sympy.Expr, over: Over | None) -> Space:
    """The space of a statement's body over its iterators."""
    frame = Frame() if over is None else lowering.model.lanes_of(over)
    return lowering.space(body, frame)


_RULES: dict[type, Callable[..., int]] = {
    nodes.VariableEntry: Builder._variable,
    sympy.Add: Builder._add,
    sympy.Mul: Builder._mul,
    sympy.Pow: Builder._pow,
    nodes.Apply: Builder._apply,
    nodes.Reduce: Builder._reduce,
    nodes.Choose: Builder._choose,
    nodes.Pick: Builder._pick,
    nodes.ArrayCall: Builder._array_call,
}
