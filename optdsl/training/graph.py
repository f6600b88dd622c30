"""A hash-consed graph of operations on whole arrays, with reverse and forward derivatives.

A node is a number. Its value is an array with as many axes as its shape has; an axis of length BATCH runs over the
members at hand. Elementwise operations broadcast as NumPy does, between arrays of the same number of axes or with a
number (shape ()). Equal operations are one node, so what occurs twice is computed once, also between a function and
its derivatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optdsl.atoms import ENTRIES
from optdsl.atoms.atom import Absent

BATCH = -1
"""The length of the axis of the members at hand."""

Shape = tuple[int, ...]
Op = tuple[Any, ...]

ELEMENTWISE = frozenset({"add", "sub", "mul", "div", "neg", "select", "apply"})
LEAVES = frozenset({"const", "variable", "direction", "data", "weights", "scale", "share"})
VIEWS = frozenset({"transpose", "expand", "squeeze", "whole"})


class TensorGraph:
    """Operations by number; `shapes` gives each one's shape."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.shapes: list[Shape] = []
        self._numbers: dict[Op, int] = {}

    def _node(self, op: Op, shape: Shape) -> int:
        number = self._numbers.get(op)
        if number is None:
            number = self._numbers[op] = len(self.ops)
            self.ops.append(op)
            self.shapes.append(shape)
        return number

    # ------------------------------------------------------------------------------------------------------ leaves

    def const(self, value: float) -> int:
        return self._node(("const", float(value)), ())

    def variable(self, name: str, shape: Shape) -> int:
        """All entries of a variable."""
        return self._node(("variable", name), shape)

    def direction(self, name: str, shape: Shape) -> int:
        """A variable's part of the direction of a Hessian's product."""
        return self._node(("direction", name), shape)

    def data(self, number: int, shape: Shape) -> int:
        """An array of the program's data, by its number there."""
        return self._node(("data", number), shape)

    def weights(self, number: int, shape: Shape) -> int:
        """The weights of a constraint's rows, by its number."""
        return self._node(("weights", number), shape)

    def scale(self) -> int:
        """What multiplies the sums over the members at hand."""
        return self._node(("scale",), ())

    def share(self) -> int:
        """What multiplies that which is no sum over the members."""
        return self._node(("share",), ())

    def value(self, node: int) -> float | None:
        """The number that a node is, None where it is no constant."""
        op = self.ops[node]
        return float(op[1]) if op[0] == "const" else None

    # -------------------------------------------------------------------------------------------------- elementwise

    def _broadcast(self, *arguments: int) -> Shape:
        shapes = [self.shapes[a] for a in arguments if self.shapes[a]]
        if not shapes:
            return ()
        return tuple(next((n for n in lengths if n != 1), 1) for lengths in zip(*shapes, strict=True))

    def add(self, a: int, b: int) -> int:
        left, right = self.value(a), self.value(b)
        if left is not None and right is not None:
            return self.const(left + right)
        if left == 0:
            return b
        if right == 0:
            return a
        if self.ops[b][0] == "neg":
            return self.sub(a, self.ops[b][1])
        if self.ops[a][0] == "neg":
            return self.sub(b, self.ops[a][1])
        return self._node(("add", min(a, b), max(a, b)), self._broadcast(a, b))

    def sub(self, a: int, b: int) -> int:
        left, right = self.value(a), self.value(b)
        if left is not None and right is not None:
            return self.const(left - right)
        if right == 0:
            return a
        if left == 0:
            return self.neg(b)
        if a == b:
            return self.const(0.0)
        if self.ops[b][0] == "neg":
            return self.add(a, self.ops[b][1])
        return self._node(("sub", a, b), self._broadcast(a, b))

    def neg(self, a: int) -> int:
        number, op = self.value(a), self.ops[a]
        if number is not None:
            return self.const(-number)
        if op[0] == "neg":
            return int(op[1])
        if op[0] == "sub":
            return self.sub(op[2], op[1])
        return self._node(("neg", a), self.shapes[a])

    def mul(self, a: int, b: int) -> int:
        left, right = self.value(a), self.value(b)
        if left is not None and right is not None:
            return self.const(left * right)
        if left is None and right is not None:
            a, b, left, right = b, a, right, left
        if left == 0:
            return a
        if left == 1:
            return b
        if left == -1:
            return self.neg(b)
        if self.ops[a][0] == "neg":
            return self.neg(self.mul(self.ops[a][1], b))
        if self.ops[b][0] == "neg":
            return self.neg(self.mul(a, self.ops[b][1]))
        for one, other in ((a, b), (b, a)):  # numbers meet, and small arrays before large ones
            op = self.ops[one]
            if op[0] == "mul" and not self.shapes[op[1]] and self.shapes[op[2]] and not self.shapes[other]:
                return self.mul(self.mul(op[1], other), op[2])
        if self.shapes[a] and not self.shapes[b]:
            a, b = b, a
        elif self.shapes[a] or not self.shapes[b]:
            a, b = min(a, b), max(a, b)
        return self._node(("mul", a, b), self._broadcast(a, b))

    def div(self, a: int, b: int) -> int:
        right = self.value(b)
        if right is not None and right != 0:
            return self.mul(self.const(1.0 / right), a)
        if self.value(a) == 0:
            return a
        return self._node(("div", a, b), self._broadcast(a, b))

    def select(self, t: int, a: int, b: int) -> int:
        """`a` where t > 0, `b` elsewhere."""
        number = self.value(t)
        if number is not None:
            return a if number > 0 else b
        return a if a == b else self._node(("select", t, a, b), self._broadcast(t, a, b))

    def apply(self, name: str, *arguments: int) -> int:
        """A function of the table of atoms; the simplest become arithmetic."""
        if name == "inv":
            return self.div(self.const(1.0), arguments[0])
        if name in ("square", "sq"):
            return self.mul(arguments[0], arguments[0])
        if name == "pow":
            return self.power(*arguments)
        if name in ("max", "min") and len(arguments) > 2:
            return self.apply(name, self.apply(name, *arguments[:-1]), arguments[-1])
        numbers = [self.value(a) for a in arguments]
        if all(n is not None for n in numbers):
            return self.const(float(ENTRIES[name].kernel(*numbers)))
        return self._node(("apply", name, *arguments), self._broadcast(*arguments))

    def power(self, base: int, exponent: int) -> int:
        """base ^ exponent: products for small whole exponents, else the row's kernel."""
        number = self.value(exponent)
        if number is not None and number == int(number) and abs(number) <= 8:
            whole = self._whole_power(base, abs(int(number)))
            return whole if number >= 0 else self.div(self.const(1.0), whole)
        if number == 0.5:
            return self.apply("sqrt", base)
        return self._node(("apply", "pow", base, exponent), self._broadcast(base, exponent))

    def _whole_power(self, base: int, exponent: int) -> int:
        if exponent == 0:
            return self.const(1.0)
        half = self._whole_power(base, exponent // 2)
        squared = self.mul(half, half)
        return self.mul(squared, base) if exponent % 2 else squared

    # --------------------------------------------------------------------------------------------------- structure

    def sum(self, a: int, axes: Iterable[int]) -> int:
        """The sum along axes, which vanish. Not for numbers (shape ())."""
        chosen = tuple(sorted(axes))
        if not chosen:
            return a
        shape = tuple(n for k, n in enumerate(self.shapes[a]) if k not in chosen)
        op = self.ops[a]
        if op[0] == "neg":
            return self.neg(self.sum(op[1], chosen))
        if op[0] == "mul" and not self.shapes[op[1]]:  # a number times an array
            return self.mul(op[1], self.sum(op[2], chosen))
        return self._node(("sum", a, chosen), shape)

    def expand(self, a: int, places: Sequence[int], count: int) -> int:
        """An array with `count` axes, whose axes `places` are those of `a`, the others of length 1."""
        if not self.shapes[a] or tuple(places) == tuple(range(count)):
            return a
        shape = [1] * count
        for place, length in zip(places, self.shapes[a], strict=True):
            shape[place] = length
        return self._node(("expand", a, tuple(places), count), tuple(shape))

    def squeeze(self, a: int, axes: Iterable[int]) -> int:
        """Without these axes, of length 1."""
        chosen = tuple(sorted(axes))
        if not chosen or not self.shapes[a]:
            return a
        return self._node(("squeeze", a, chosen), tuple(n for k, n in enumerate(self.shapes[a]) if k not in chosen))

    def transpose(self, a: int, order: Sequence[int]) -> int:
        if not self.shapes[a] or tuple(order) == tuple(range(len(order))):
            return a
        op = self.ops[a]
        if op[0] == "transpose":
            return self.transpose(op[1], [op[2][k] for k in order])
        return self._node(("transpose", a, tuple(order)), tuple(self.shapes[a][k] for k in order))

    def dot(self, a: int, b: int, count: int) -> int:
        """The sum of products over the last `count` axes of `a` and the first of `b`: one matrix product."""
        shape = self.shapes[a][: len(self.shapes[a]) - count] + self.shapes[b][count:]
        return self._node(("dot", a, b, count), shape)

    def take(self, a: int, axis: int, codes: int) -> int:
        """Entries of an axis by a data array of positions (one axis, which takes the place of the axis)."""
        shape = list(self.shapes[a])
        shape[axis : axis + 1] = self.shapes[codes]
        return self._node(("take", a, axis, codes), tuple(shape))

    def put(self, a: int, axis: int, codes: int, length: int) -> int:
        """The adjoint of `take`: what goes to the same position is summed."""
        shape = list(self.shapes[a])
        shape[axis] = length
        return self._node(("put", a, axis, codes, length), tuple(shape))

    def pick(self, a: int, codes: int) -> int:
        """From each row of the last axis, the entry at the row's position; codes has the shape of the rows."""
        return self._node(("pick", a, codes), self.shapes[a][:-1])

    def unpick(self, a: int, codes: int, length: int) -> int:
        """The adjoint of `pick`: 0 but at the positions."""
        return self._node(("unpick", a, codes, length), (*self.shapes[a], length))

    def gather(self, a: int, places: int) -> int:
        """Entries of the flattened array by a data array of places."""
        return self._node(("gather", a, places), self.shapes[places])

    def scatter(self, a: int, places: int, shape: Shape) -> int:
        """The adjoint of `gather`."""
        return self._node(("scatter", a, places, shape), shape)

    def logsumexp(self, a: int) -> int:
        """log of the sum of e^entries along the last axis."""
        return self._node(("logsumexp", a), self.shapes[a][:-1])

    def largest(self, a: int) -> int:
        """The largest entry along the last axis."""
        return self._node(("largest", a), self.shapes[a][:-1])

    def whole(self, a: int, shape: Shape) -> int:
        """An array (or number) stretched to a shape."""
        return a if self.shapes[a] == shape else self._node(("whole", a, shape), shape)

    # ---------------------------------------------------------------------------------------------------- questions

    def arguments(self, node: int) -> tuple[int, ...]:
        """The nodes that a node is computed from, numbers of data included."""
        op = self.ops[node]
        kind = op[0]
        if kind in LEAVES:
            return ()
        if kind == "apply":
            return tuple(op[2:])
        if kind in ELEMENTWISE:
            return tuple(op[1:])
        if kind == "dot":
            return (op[1], op[2])
        if kind in ("take", "put"):
            return (op[1], op[3])
        if kind in ("pick", "unpick", "gather", "scatter"):
            return (op[1], op[2])
        return (op[1],)

    def below(self, outputs: Iterable[int]) -> list[int]:
        """All nodes that outputs are computed from, in the order of computation."""
        seen: set[int] = set()
        stack = list(outputs)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(self.arguments(node))
        return sorted(seen)

    # ---------------------------------------------------------------------------------------------- differentiation

    def _reduced(self, share: int, node: int, argument: int) -> int:
        """What an elementwise node's argument gets: summed over the axes along which it was stretched.

        Adjoints may be of length 1, or a number, where they are the same along an axis.
        """
        shape, whole = self.shapes[argument], self.shapes[node]
        if shape == whole:
            return share
        share = self.whole(share, whole)
        if not shape:
            return self.sum(share, range(len(whole)))
        axes = [k for k, (n, m) in enumerate(zip(whole, shape, strict=True)) if n != m]
        kept = [k for k in range(len(shape)) if k not in axes]
        return self.expand(self.sum(share, axes), kept, len(shape))

    def partials(self, node: int) -> list[tuple[int, int]]:
        """Of an elementwise node: (argument, derivative) for each argument that has one."""
        op = self.ops[node]
        kind = op[0]
        one = self.const(1.0)
        if kind == "add":
            return [(op[1], one), (op[2], one)]
        if kind == "sub":
            return [(op[1], one), (op[2], self.const(-1.0))]
        if kind == "neg":
            return [(op[1], self.const(-1.0))]
        if kind == "mul":
            if op[1] == op[2]:
                return [(op[1], self.mul(self.const(2.0), op[1]))]
            return [(op[1], op[2]), (op[2], op[1])]
        if kind == "div":
            return [(op[1], self.div(one, op[2])), (op[2], self.neg(self.div(node, op[2])))]
        if kind == "select":
            zero = self.const(0.0)
            return [(op[2], self.select(op[1], one, zero)), (op[3], self.select(op[1], zero, one))]
        name, arguments = op[1], op[2:]
        if name == "pow" and self.value(arguments[1]) is not None:
            exponent = float(self.value(arguments[1]))  # type: ignore[arg-type]
            slope = self.mul(self.const(exponent), self.power(arguments[0], self.const(exponent - 1.0)))
            return [(arguments[0], slope)]
        rule = ENTRIES[name].derivative
        if isinstance(rule, Absent):
            raise NotImplementedError(f"{name} has no derivative: {rule.reason}")
        slopes = rule(TensorFunctions(self), *(Tensor(self, a) for a in arguments))
        found = []
        for argument, slope in zip(arguments, slopes, strict=True):
            if slope is not None:
                found.append((argument, slope.node if isinstance(slope, Tensor) else self.const(float(slope))))
        return found

    def _chosen(self, node: int) -> int:
        """1 where an entry is the largest of its row, shared where several are: a slope of `largest`."""
        (a,) = self.arguments(node)
        count = len(self.shapes[a])
        top = self.expand(node, range(count - 1), count)
        ones = self.apply("sign", self.sub(a, top))  # 0 at the largest, -1 elsewhere
        mask = self.add(ones, self.const(1.0))
        return self.div(mask, self.expand(self.sum(mask, [count - 1]), range(count - 1), count))

    def _softmax(self, node: int) -> int:
        (a,) = self.arguments(node)
        count = len(self.shapes[a])
        return self.apply("exp", self.sub(a, self.expand(node, range(count - 1), count)))

    def pullback(self, node: int, seed: int, reaches: set[int]) -> list[tuple[int, int]]:
        """What a node's adjoint adds to those of its arguments (only of those in `reaches`)."""
        op = self.ops[node]
        kind = op[0]
        if kind in ELEMENTWISE:
            slopes = [(a, self.mul(seed, slope)) for a, slope in self.partials(node) if a in reaches]
            return [(a, self._reduced(share, node, a)) for a, share in slopes]
        a = op[1]
        shape = self.shapes[a]
        if kind != "sum":
            seed = self.whole(seed, self.shapes[node])
        if kind == "dot":
            return self._dot_pullback(op, seed, reaches)
        if kind == "sum":
            kept = [k for k in range(len(shape)) if k not in op[2]]
            return [(a, self.expand(seed, kept, len(shape)))]
        if kind == "expand":
            others = [k for k in range(op[3]) if k not in op[2]]
            return [(a, self.squeeze(seed, others))]
        if kind == "squeeze":
            kept = [k for k in range(len(shape)) if k not in op[2]]
            return [(a, self.expand(seed, kept, len(shape)))]
        if kind == "transpose":
            back = [0] * len(op[2])
            for k, axis in enumerate(op[2]):
                back[axis] = k
            return [(a, self.transpose(seed, back))]
        if kind == "take":
            return [(a, self.put(seed, op[2], op[3], shape[op[2]]))]
        if kind == "put":
            return [(a, self.take(seed, op[2], op[3]))]
        if kind == "pick":
            return [(a, self.unpick(seed, op[2], shape[-1]))]
        if kind == "unpick":
            return [(a, self.pick(seed, op[2]))]
        if kind == "gather":
            return [(a, self.scatter(seed, op[2], shape))]
        if kind == "scatter":
            return [(a, self.gather(seed, op[2]))]
        if kind == "whole":
            return [(a, self._reduced(seed, node, a))]
        count = len(shape)
        share = self._softmax(node) if kind == "logsumexp" else self._chosen(node)
        return [(a, self.mul(self.expand(seed, range(count - 1), count), share))]

    def _dot_pullback(self, op: Op, seed: int, reaches: set[int]) -> list[tuple[int, int]]:
        _, a, b, count = op
        left, right = len(self.shapes[a]) - count, len(self.shapes[b]) - count
        found = []
        if a in reaches:  # seed times b turned
            order = [*range(count, count + right), *range(count)]
            found.append((a, self._product(seed, self.transpose(b, order), left, count, right)))
        if b in reaches:  # a turned times seed
            order = [*range(left, left + count), *range(left)]
            found.append((b, self._product(self.transpose(a, order), seed, count, right, left)))
        return found

    def _product(self, a: int, b: int, left: int, right: int, count: int) -> int:
        """`dot`, which without common axes is a product of every entry with every other."""
        if count:
            return self.dot(a, b, count)
        whole = left + right
        return self.mul(self.expand(a, range(left), whole), self.expand(b, range(left, whole), whole))

    def depends(self, order: Sequence[int], leaves: Iterable[int]) -> set[int]:
        """The nodes of an order of computation that depend on one of the leaves."""
        reaches = set(leaves)
        for node in order:
            if node not in reaches and any(a in reaches for a in self.arguments(node)):
                reaches.add(node)
        return reaches

    def gradient(self, output: int, leaves: Sequence[int], seed: int | None = None) -> dict[int, int]:
        """The derivatives of an output (a number, unless its seed is given) by leaves; those that are 0 are missing."""
        order = self.below([output])
        reaches = self.depends(order, leaves)
        wanted = set(leaves)
        adjoint: dict[int, int] = {output: self.const(1.0) if seed is None else seed}
        found: dict[int, int] = {}
        for node in reversed(order):
            own = adjoint.pop(node, None)
            if own is None or node not in reaches or self.value(own) == 0:
                continue
            if node in wanted:
                found[node] = self.whole(own, self.shapes[node])
                continue
            for argument, share in self.pullback(node, own, reaches):
                old = adjoint.get(argument)
                adjoint[argument] = share if old is None else self.add(old, share)
        return found

    def tangents(self, outputs: Sequence[int], directions: Mapping[int, int]) -> list[int]:
        """The derivatives of outputs along directions of leaves (forward mode)."""
        order = self.below(outputs)
        reaches = self.depends(order, directions)
        found: dict[int, int] = dict(directions)
        zero = self.const(0.0)
        for node in order:
            if node in found or node not in reaches:
                continue
            found[node] = self._tangent(node, found)
        return [self.whole(found.get(o, zero), self.shapes[o]) for o in outputs]

    def _tangent(self, node: int, known: Mapping[int, int]) -> int:
        op = self.ops[node]
        kind = op[0]
        if kind in ELEMENTWISE:
            total = self.const(0.0)
            for argument, slope in self.partials(node):
                if argument in known:
                    total = self.add(total, self.mul(slope, known[argument]))
            return total if not self.shapes[node] else self.whole(total, self.shapes[node])
        if kind == "dot":
            total = self.const(0.0)
            if op[1] in known:
                total = self.dot(self.whole(known[op[1]], self.shapes[op[1]]), op[2], op[3])
            if op[2] in known:
                total = self.add(total, self.dot(op[1], self.whole(known[op[2]], self.shapes[op[2]]), op[3]))
            return total
        a = self.whole(known[op[1]], self.shapes[op[1]])
        if kind in ("logsumexp", "largest"):
            share = self._softmax(node) if kind == "logsumexp" else self._chosen(node)
            return self.sum(self.mul(share, a), [len(self.shapes[a]) - 1])
        make = {
            "sum": self.sum, "expand": self.expand, "squeeze": self.squeeze, "transpose": self.transpose,
            "take": self.take, "put": self.put, "pick": self.pick, "unpick": self.unpick, "gather": self.gather,
            "scatter": self.scatter, "whole": self.whole,
        }  # fmt: skip
        return make[kind](a, *op[2:])  # type: ignore[operator]


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
