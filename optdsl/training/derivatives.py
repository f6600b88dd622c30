"""Derivatives of a graph of operations on whole arrays, as more of its operations: reverse and forward.

Adjoints may be of length 1 along an axis, or a number, where they are the same along it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optdsl.atoms import ENTRIES
from optdsl.atoms.atom import Absent
from optdsl.training.graph import ELEMENTWISE, Op, TensorGraph


class Derivatives:
    """Differentiates nodes of one graph."""

    def __init__(self, graph: TensorGraph) -> None:
        self.graph = graph

    def _reduced(self, share: int, node: int, argument: int) -> int:
        """What an elementwise node's argument gets: summed over the axes along which it was stretched.

        Adjoints may be of length 1, or a number, where they are the same along an axis.
        """
        shape, whole = self.graph.shapes[argument], self.graph.shapes[node]
        if shape == whole:
            return share
        share = self.graph.whole(share, whole)
        if not shape:
            return self.graph.sum(share, range(len(whole)))
        axes = [k for k, (n, m) in enumerate(zip(whole, shape, strict=True)) if n != m]
        kept = [k for k in range(len(shape)) if k not in axes]
        return self.graph.expand(self.graph.sum(share, axes), kept, len(shape))

    def partials(self, node: int) -> list[tuple[int, int]]:
        """Of an elementwise node: (argument, derivative) for each argument that has one."""
        op = self.graph.ops[node]
        kind = op[0]
        one = self.graph.const(1.0)
        if kind == "add":
            return [(op[1], one), (op[2], one)]
        if kind == "sub":
            return [(op[1], one), (op[2], self.graph.const(-1.0))]
        if kind == "neg":
            return [(op[1], self.graph.const(-1.0))]
        if kind == "mul":
            if op[1] == op[2]:
                return [(op[1], self.graph.mul(self.graph.const(2.0), op[1]))]
            return [(op[1], op[2]), (op[2], op[1])]
        if kind == "div":
            return [(op[1], self.graph.div(one, op[2])), (op[2], self.graph.neg(self.graph.div(node, op[2])))]
        if kind == "select":
            zero = self.graph.const(0.0)
            return [(op[2], self.graph.select(op[1], one, zero)), (op[3], self.graph.select(op[1], zero, one))]
        name, arguments = op[1], op[2:]
        if name == "pow" and self.graph.value(arguments[1]) is not None:
            exponent = float(self.graph.value(arguments[1]))  # type: ignore[arg-type]
            falling = self.graph.power(arguments[0], self.graph.const(exponent - 1.0))
            slope = self.graph.mul(self.graph.const(exponent), falling)
            return [(arguments[0], slope)]
        rule = ENTRIES[name].derivative
        if isinstance(rule, Absent):
            raise NotImplementedError(f"{name} has no derivative: {rule.reason}")
        slopes = rule(TensorFunctions(self.graph), *(Tensor(self.graph, a) for a in arguments))
        found = []
        for argument, slope in zip(arguments, slopes, strict=True):
            if slope is not None:
                found.append((argument, slope.node if isinstance(slope, Tensor) else self.graph.const(float(slope))))
        return found

    def _chosen(self, node: int) -> int:
        """1 where an entry is the largest of its row, shared where several are: a slope of `largest`."""
        (a,) = self.graph.arguments(node)
        count = len(self.graph.shapes[a])
        top = self.graph.expand(node, range(count - 1), count)
        ones = self.graph.apply("sign", self.graph.sub(a, top))  # 0 at the largest, -1 elsewhere
        mask = self.graph.add(ones, self.graph.const(1.0))
        return self.graph.div(mask, self.graph.expand(self.graph.sum(mask, [count - 1]), range(count - 1), count))

    def _softmax(self, node: int) -> int:
        (a,) = self.graph.arguments(node)
        count = len(self.graph.shapes[a])
        return self.graph.apply("exp", self.graph.sub(a, self.graph.expand(node, range(count - 1), count)))

    def pullback(self, node: int, seed: int, reaches: set[int]) -> list[tuple[int, int]]:
        """What a node's adjoint adds to those of its arguments (only of those in `reaches`)."""
        op = self.graph.ops[node]
        kind = op[0]
        if kind in ELEMENTWISE:
            slopes = [(a, self.graph.mul(seed, slope)) for a, slope in self.partials(node) if a in reaches]
            return [(a, self._reduced(share, node, a)) for a, share in slopes]
        a = op[1]
        shape = self.graph.shapes[a]
        if kind != "sum":
            seed = self.graph.whole(seed, self.graph.shapes[node])
        if kind == "dot":
            return self._dot_pullback(op, seed, reaches)
        if kind == "sum":
            kept = [k for k in range(len(shape)) if k not in op[2]]
            return [(a, self.graph.expand(seed, kept, len(shape)))]
        if kind == "expand":
            others = [k for k in range(op[3]) if k not in op[2]]
            return [(a, self.graph.squeeze(seed, others))]
        if kind == "squeeze":
            kept = [k for k in range(len(shape)) if k not in op[2]]
            return [(a, self.graph.expand(seed, kept, len(shape)))]
        if kind == "transpose":
            back = [0] * len(op[2])
            for k, axis in enumerate(op[2]):
                back[axis] = k
            return [(a, self.graph.transpose(seed, back))]
        if kind == "take":
            return [(a, self.graph.put(seed, op[2], op[3], shape[op[2]]))]
        if kind == "put":
            return [(a, self.graph.take(seed, op[2], op[3]))]
        if kind == "pick":
            return [(a, self.graph.unpick(seed, op[2], shape[-1]))]
        if kind == "unpick":
            return [(a, self.graph.pick(seed, op[2]))]
        if kind == "gather":
            return [(a, self.graph.scatter(seed, op[2], shape))]
        if kind == "scatter":
            return [(a, self.graph.gather(seed, op[2]))]
        if kind == "whole":
            return [(a, self._reduced(seed, node, a))]
        count = len(shape)
        share = self._softmax(node) if kind == "logsumexp" else self._chosen(node)
        return [(a, self.graph.mul(self.graph.expand(seed, range(count - 1), count), share))]

    def _dot_pullback(self, op: Op, seed: int, reaches: set[int]) -> list[tuple[int, int]]:
        _, a, b, count = op
        left, right = len(self.graph.shapes[a]) - count, len(self.graph.shapes[b]) - count
        found = []
        if a in reaches:  # seed times b turned
            order = [*range(count, count + right), *range(count)]
            found.append((a, self._product(seed, self.graph.transpose(b, order), left, count, right)))
        if b in reaches:  # a turned times seed
            order = [*range(left, left + count), *range(left)]
            found.append((b, self._product(self.graph.transpose(a, order), seed, count, right, left)))
        return found

    def _product(self, a: int, b: int, left: int, right: int, count: int) -> int:
        """`dot`, which without common axes is a product of every entry with every other."""
        if count:
            return self.graph.dot(a, b, count)
        whole = left + right
        return self.graph.mul(self.graph.expand(a, range(left), whole), self.graph.expand(b, range(left, whole), whole))

    def gradient(self, output: int, leaves: Sequence[int], seed: int | None = None) -> dict[int, int]:
        """The derivatives of an output (a number, unless its seed is given) by leaves; those that are 0 are missing."""
        order = self.graph.below([output])
        reaches = self.graph.depends(order, leaves)
        wanted = set(leaves)
        adjoint: dict[int, int] = {output: self.graph.const(1.0) if seed is None else seed}
        found: dict[int, int] = {}
        for node in reversed(order):
            own = adjoint.pop(node, None)
            if own is None or node not in reaches or self.graph.value(own) == 0:
                continue
            if node in wanted:
                found[node] = self.graph.whole(own, self.graph.shapes[node])
                continue
            for argument, share in self.pullback(node, own, reaches):
                old = adjoint.get(argument)
                adjoint[argument] = share if old is None else self.graph.add(old, share)
        return found

    def tangents(self, outputs: Sequence[int], directions: Mapping[int, int]) -> list[int]:
        """The derivatives of outputs along directions of leaves (forward mode)."""
        order = self.graph.below(outputs)
        reaches = self.graph.depends(order, directions)
        found: dict[int, int] = dict(directions)
        zero = self.graph.const(0.0)
        for node in order:
            if node in found or node not in reaches:
                continue
            found[node] = self._tangent(node, found)
        return [self.graph.whole(found.get(o, zero), self.graph.shapes[o]) for o in outputs]

    def _tangent(self, node: int, known: Mapping[int, int]) -> int:
        op = self.graph.ops[node]
        kind = op[0]
        if kind in ELEMENTWISE:
            total = self.graph.const(0.0)
            for argument, slope in self.partials(node):
                if argument in known:
                    total = self.graph.add(total, self.graph.mul(slope, known[argument]))
            return total if not self.graph.shapes[node] else self.graph.whole(total, self.graph.shapes[node])
        if kind == "dot":
            total = self.graph.const(0.0)
            for k in (1, 2):
                if op[k] in known:
                    moved = self.graph.whole(known[op[k]], self.graph.shapes[op[k]])
                    left, right = (moved, op[2]) if k == 1 else (op[1], moved)
                    total = self.graph.add(total, self.graph.dot(left, right, op[3]))
            return total
        a = self.graph.whole(known[op[1]], self.graph.shapes[op[1]])
        if kind in ("logsumexp", "largest"):
            share = self._softmax(node) if kind == "logsumexp" else self._chosen(node)
            return self.graph.sum(self.graph.mul(share, a), [len(self.graph.shapes[a]) - 1])
        found: int = getattr(self.graph, kind)(a, *op[2:])  # all others are linear: the same of the tangent
        return found


class Tensor:
    """A node as an operand, so that the derivative rules of rows read as formulas."""

    __slots__ = ("graph", "node")

    def __init__(self, graph: TensorGraph, node: int) -> None:
        self.graph, self.node = graph, node

    def _other(self, other: Tensor | float) -> int:
        return other.node if isinstance(other, Tensor) else self.graph.const(float(other))

    def __add__(self, other: Tensor | float) -> Tensor:
        return Tensor(self.graph, self.graph.add(self.node, self._other(other)))

    __radd__ = __add__

    def __sub__(self, other: Tensor | float) -> Tensor:
        return Tensor(self.graph, self.graph.sub(self.node, self._other(other)))

    def __rsub__(self, other: Tensor | float) -> Tensor:
        return Tensor(self.graph, self.graph.sub(self._other(other), self.node))

    def __mul__(self, other: Tensor | float) -> Tensor:
        return Tensor(self.graph, self.graph.mul(self.node, self._other(other)))

    __rmul__ = __mul__

    def __truediv__(self, other: Tensor | float) -> Tensor:
        return Tensor(self.graph, self.graph.div(self.node, self._other(other)))

    def __rtruediv__(self, other: Tensor | float) -> Tensor:
        return Tensor(self.graph, self.graph.div(self._other(other), self.node))

    def __neg__(self) -> Tensor:
        return Tensor(self.graph, self.graph.neg(self.node))

    def __pow__(self, other: Tensor | float) -> Tensor:
        return Tensor(self.graph, self.graph.power(self.node, self._other(other)))


class TensorFunctions:
    """The namespace `F` of derivative rules, answering with nodes (see `optdsl.atoms.functions`)."""

    def __init__(self, graph: TensorGraph) -> None:
        self._graph = graph

    def _node(self, value: Tensor | float) -> int:
        return value.node if isinstance(value, Tensor) else self._graph.const(float(value))

    def select(self, t: Tensor | float, a: Tensor | float, b: Tensor | float) -> Tensor:
        return Tensor(self._graph, self._graph.select(self._node(t), self._node(a), self._node(b)))

    def __getattr__(self, name: str) -> Any:
        if name not in ENTRIES:
            raise AttributeError(f"the namespace of derivatives has no {name!r}")
        graph = self._graph
        return lambda *arguments: Tensor(graph, graph.apply(name, *(self._node(a) for a in arguments)))
