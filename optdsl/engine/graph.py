"""A hash-consed graph of one template's arithmetic over its few local slots, and its derivatives.

A node is a number: its operation stands in the graph's list, after those of its arguments. Equal operations are one
node, so common subexpressions are shared, also between a function and its derivatives. `select(t, a, b)` is `a` where
t > 0 and `b` elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optdsl.atoms import ENTRIES
from optdsl.atoms.atom import Absent

Op = tuple[Any, ...]
"""("const", value), ("slot", k), ("add" | "sub" | "mul" | "div", a, b), ("neg", a), ("select", t, a, b),
or ("apply", name, a, ...)."""

ROUNDED = frozenset({"abs", "max", "min", "pos", "relu", "leaky_relu"})
"""Functions whose kinks are rounded off where a graph is asked to."""
_LINEAR = frozenset({"add", "sub", "neg"})


class Graph:
    """Operations by number. Grows while expressions are built; equal ones are found again.

    With `smoothing` > 0 the kinks of abs, max, min, pos and relu are rounded off: |x| becomes sqrt(x^2 + smoothing^2),
    which is above it by at most `smoothing`, and the others follow from it.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        self.smoothing = smoothing
        self.ops: list[Op] = []
        self._numbers: dict[Op, int] = {}

    def _node(self, *op: Any) -> int:
        number = self._numbers.get(op)
        if number is None:
            number = self._numbers[op] = len(self.ops)
            self.ops.append(op)
        return number

    # ------------------------------------------------------------------------------------------------- building

    def const(self, value: float) -> int:
        return self._node("const", float(value))

    def slot(self, k: int) -> int:
        return self._node("slot", k)

    def value(self, node: int) -> float | None:
        """The number that a node is, None where it is no constant."""
        op = self.ops[node]
        return op[1] if op[0] == "const" else None

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
        return self._node("add", min(a, b), max(a, b))

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
        return self._node("sub", a, b)

    def neg(self, a: int) -> int:
        number, op = self.value(a), self.ops[a]
        if number is not None:
            return self.const(-number)
        if op[0] == "neg":
            return int(op[1])
        if op[0] == "sub":
            return self._node("sub", op[2], op[1])
        return self._node("neg", a)

    def mul(self, a: int, b: int) -> int:
        left, right = self.value(a), self.value(b)
        if left is not None and right is not None:
            return self.const(left * right)
        if left is None and right is not None:
            a, b, left, right = b, a, right, left
        if left is not None:
            if left == 0:
                return a
            if left == 1:
                return b
            if left == -1:
                return self.neg(b)
            op = self.ops[b]
            if op[0] == "neg":
                return self.mul(self.const(-left), op[1])
            if op[0] == "mul" and self.value(op[1]) is not None:
                return self.mul(self.const(left * self.value(op[1])), op[2])  # type: ignore[operator]
            return self._node("mul", a, b)
        if self.ops[a][0] == "neg":
            return self.neg(self.mul(self.ops[a][1], b))
        if self.ops[b][0] == "neg":
            return self.neg(self.mul(a, self.ops[b][1]))
        # numbers in front, so that they meet
        for one, other in ((a, b), (b, a)):
            op = self.ops[one]
            if op[0] == "mul" and self.value(op[1]) is not None:
                return self.mul(op[1], self.mul(op[2], other))
        return self._node("mul", min(a, b), max(a, b))

    def div(self, a: int, b: int) -> int:
        left, right = self.value(a), self.value(b)
        if right is not None and right != 0:
            return self.mul(self.const(1.0 / right), a) if left is None else self.const(left / right)
        if left == 0:
            return a
        return self._node("div", a, b)

    def select(self, t: int, a: int, b: int) -> int:
        number = self.value(t)
        if number is not None:
            return a if number > 0 else b
        return a if a == b else self._node("select", t, a, b)

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
        if self.smoothing and name in ROUNDED:
            return self._rounded(name, arguments)
        return self._apply(name, *arguments)

    def _rounded(self, name: str, arguments: Sequence[int]) -> int:
        if name == "abs":
            radius = self.const(self.smoothing**2)
            return self._apply("sqrt", self.add(self.mul(arguments[0], arguments[0]), radius))
        if name in ("pos", "relu"):
            return self._rounded("max", (arguments[0], self.const(0.0)))
        if name == "leaky_relu":
            slope = self.value(arguments[1])
            if slope is None or slope > 1:  # else it is the larger of x and slope * x
                return self._apply(name, *arguments)
            return self._rounded("max", (arguments[0], self.mul(arguments[1], arguments[0])))
        a, b = arguments
        apart = self._rounded("abs", (self.sub(a, b),))
        both = self.add(a, b)
        return self.mul(self.const(0.5), self.add(both, apart) if name == "max" else self.sub(both, apart))

    def _apply(self, name: str, *arguments: int) -> int:
        numbers = [self.value(a) for a in arguments]
        if all(n is not None for n in numbers):
            return self.const(float(ENTRIES[name].kernel(*numbers)))
        return self._node("apply", name, *arguments)

    def power(self, base: int, exponent: int) -> int:
        """base ^ exponent: products for small whole exponents, else the row's kernel."""
        number = self.value(exponent)
        if number is not None and number == int(number) and abs(number) <= 8:
            whole = self.whole_power(base, abs(int(number)))
            return whole if number >= 0 else self.div(self.const(1.0), whole)
        if number == 0.5:
            return self._apply("sqrt", base)
        return self._apply("pow", base, exponent)

    def whole_power(self, base: int, exponent: int) -> int:
        if exponent == 0:
            return self.const(1.0)
        half = self.whole_power(base, exponent // 2)
        squared = self.mul(half, half)
        return self.mul(squared, base) if exponent % 2 else squared

    def total(self, terms: Iterable[int]) -> int:
        result = self.const(0.0)
        for term in terms:
            result = self.add(result, term)
        return result

    # ------------------------------------------------------------------------------------------------ structure

    def arguments(self, node: int) -> Sequence[int]:
        """The nodes that a node is computed from."""
        op = self.ops[node]
        if op[0] in ("const", "slot"):
            return ()
        return op[2:] if op[0] == "apply" else op[1:]

    def below(self, outputs: Iterable[int]) -> list[int]:
        """All nodes that outputs are computed from, themselves included, in the order of computation."""
        seen: set[int] = set()
        stack = list(outputs)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(self.arguments(node))
        return sorted(seen)

    def slots(self, node: int) -> frozenset[int]:
        """The slots that a node depends on."""
        return frozenset(self.ops[n][1] for n in self.below([node]) if self.ops[n][0] == "slot")

    def with_slots(self, outputs: Sequence[int], known: Mapping[int, int]) -> list[int]:
        """The outputs computed with some nodes known: `known` says in which slot each of these stands."""
        made = {node: self.slot(k) for node, k in known.items()}
        for node in self.below(outputs):
            if node not in made:
                op = self.ops[node]
                skip = len(op) if op[0] in ("const", "slot") else 2 if op[0] == "apply" else 1
                made[node] = self._node(*op[:skip], *(made[a] for a in op[skip:]))
        return [made[node] for node in outputs]

    # -------------------------------------------------------------------------------------------- differentiation

    def gradient(self, output: int, wanted: frozenset[int]) -> dict[int, int]:
        """The partial derivatives of an output by slots (those that are not 0 everywhere), by reverse accumulation."""
        order = self.below([output])
        reaches: set[int] = set()  # nodes that depend on a wanted slot
        for node in order:
            op = self.ops[node]
            if (op[0] == "slot" and op[1] in wanted) or any(a in reaches for a in self.arguments(node)):
                reaches.add(node)
        adjoint: dict[int, int] = {output: self.const(1.0)}
        found: dict[int, int] = {}
        for node in reversed(order):
            seed = adjoint.pop(node, None)
            if seed is None or node not in reaches:
                continue
            op = self.ops[node]
            if op[0] == "slot":
                if self.value(seed) != 0:
                    found[op[1]] = seed
                continue
            for argument, share in self._pullback(op, node, seed, reaches):
                old = adjoint.get(argument)
                adjoint[argument] = share if old is None else self.add(old, share)
        return found

    def _pullback(self, op: Op, node: int, seed: int, reaches: set[int]) -> list[tuple[int, int]]:
        """What a node's adjoint adds to those of its arguments."""
        kind = op[0]
        shares: list[tuple[int, int]] = []
        if kind in _LINEAR:
            shares.append((op[1], self.neg(seed) if kind == "neg" else seed))
            if kind != "neg":
                shares.append((op[2], seed if kind == "add" else self.neg(seed)))
        elif kind == "mul":
            a, b = op[1], op[2]
            if a == b:
                shares.append((a, self.mul(self.const(2.0), self.mul(seed, a))))
            else:
                shares += [(a, self.mul(seed, b)), (b, self.mul(seed, a))]
        elif kind == "div":
            shares.append((op[1], self.div(seed, op[2])))
            if op[2] in reaches:
                shares.append((op[2], self.neg(self.mul(seed, self.div(node, op[2])))))
        elif kind == "select":
            zero = self.const(0.0)
            shares.append((op[2], self.select(op[1], seed, zero)))
            shares.append((op[3], self.select(op[1], zero, seed)))
        else:
            shares += self._function_pullback(op, seed, reaches)
        return [(argument, share) for argument, share in shares if argument in reaches]

    def _function_pullback(self, op: Op, seed: int, reaches: set[int]) -> list[tuple[int, int]]:
        name, arguments = op[1], op[2:]
        if name == "pow" and self.value(arguments[1]) is not None:
            # x^p by x; the row's rule knows nothing of a constant exponent
            exponent = float(self.value(arguments[1]))  # type: ignore[arg-type]
            slope = self.mul(self.const(exponent), self.power(arguments[0], self.const(exponent - 1.0)))
            return [(arguments[0], self.mul(seed, slope))]
        rule = ENTRIES[name].derivative
        if isinstance(rule, Absent):
            raise NotImplementedError(f"{name} has no derivative: {rule.reason}")
        partials = rule(GraphFunctions(self), *(Ref(self, a) for a in arguments))
        shares = []
        for argument, partial in zip(arguments, partials, strict=True):
            if partial is None or argument not in reaches:
                continue
            node = partial.node if isinstance(partial, Ref) else self.const(float(partial))
            shares.append((argument, self.mul(seed, node)))
        return shares


@dataclass(frozen=True, slots=True)
class Ref:
    """A node as an operand, so that the derivative rules of rows read as formulas."""

    graph: Graph
    node: int

    def _other(self, other: Ref | float) -> int:
        return other.node if isinstance(other, Ref) else self.graph.const(float(other))

    def __add__(self, other: Ref | float) -> Ref:
        return Ref(self.graph, self.graph.add(self.node, self._other(other)))

    __radd__ = __add__

    def __sub__(self, other: Ref | float) -> Ref:
        return Ref(self.graph, self.graph.sub(self.node, self._other(other)))

    def __rsub__(self, other: Ref | float) -> Ref:
        return Ref(self.graph, self.graph.sub(self._other(other), self.node))

    def __mul__(self, other: Ref | float) -> Ref:
        return Ref(self.graph, self.graph.mul(self.node, self._other(other)))

    __rmul__ = __mul__

    def __truediv__(self, other: Ref | float) -> Ref:
        return Ref(self.graph, self.graph.div(self.node, self._other(other)))

    def __rtruediv__(self, other: Ref | float) -> Ref:
        return Ref(self.graph, self.graph.div(self._other(other), self.node))

    def __neg__(self) -> Ref:
        return Ref(self.graph, self.graph.neg(self.node))

    def __pow__(self, other: Ref | float) -> Ref:
        return Ref(self.graph, self.graph.power(self.node, self._other(other)))


class GraphFunctions:
    """The namespace `F` of derivative rules, answering with nodes (see `optdsl.atoms.functions`)."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def _node(self, value: Ref | float) -> int:
        return value.node if isinstance(value, Ref) else self._graph.const(float(value))

    def select(self, t: Ref | float, a: Ref | float, b: Ref | float) -> Ref:
        return Ref(self._graph, self._graph.select(self._node(t), self._node(a), self._node(b)))

    def __getattr__(self, name: str) -> Any:
        if name not in ENTRIES:
            raise AttributeError(f"the namespace of derivatives has no {name!r}")
        graph = self._graph
        return lambda *arguments: Ref(graph, graph.apply(name, *(self._node(a) for a in arguments)))
