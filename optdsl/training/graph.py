"""A hash-consed graph of operations on whole arrays; `optdsl.training.derivatives` differentiates it.

A node is a number. Its value is an array with as many axes as its shape has; an axis of length BATCH runs over the
members at hand. Elementwise operations broadcast as NumPy does, between arrays of the same number of axes or with a
number (shape ()). Equal operations are one node, so what occurs twice is computed once, also between a function and
its derivatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from optdsl.atoms import ENTRIES

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

    def depends(self, order: Sequence[int], leaves: Iterable[int]) -> set[int]:
        """The nodes of an order of computation that depend on one of the leaves."""
        reaches = set(leaves)
        for node in order:
            if node not in reaches and any(a in reaches for a in self.arguments(node)):
                reaches.add(node)
        return reaches
