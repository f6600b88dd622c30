"""Templates to tensor graphs: each node of a template is visited once, whatever the size of its data.

An expression over a frame becomes a `Term`: a node whose axes are some of the frame's dimensions, in increasing order
but for the dimension of the members, which comes first. Sums of products become matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import sympy

from optdsl.data.members import SetValue
from optdsl.model.model import Model
from optdsl.terms import nodes
from optdsl.terms.evaluate import number, stored
from optdsl.terms.frame import Binding, Frame, FrameBuilder
from optdsl.terms.lanes import LaneFault, Positions
from optdsl.training.graph import BATCH, TensorGraph
from optdsl.training.program import Numbers
from optdsl.training.reductions import REDUCERS
from optdsl.training.terms import Activation, Lanes, NotTensor, Part, Term

ACTIVATIONS = frozenset({"relu", "pos", "sigmoid", "tanh", "softplus", "gelu", "silu", "elu", "leaky_relu"})


class Lowering:
    """Lowers the templates of one model into one graph; `data` are its arrays."""

    def __init__(self, model: Model, graph: TensorGraph) -> None:
        self.model, self.graph = model, graph
        self.lanes = model.lanes
        self.data: list[Numbers] = []
        self.variables: dict[str, int] = {}
        self.origins: dict[int, sympy.Basic] = {}
        self.activations: list[Activation] = []
        self._varies: dict[sympy.Basic, bool] = {}
        self._parts: dict[tuple[int, tuple[int, ...], bytes], Part] = {}
        self._done: dict[tuple[sympy.Basic, int], tuple[Lanes, Term]] = {}

    def varies(self, expression: sympy.Basic) -> bool:
        """Whether a decision variable occurs."""
        known = self._varies.get(expression)
        if known is None:
            known = isinstance(expression, nodes.VariableEntry) or any(self.varies(a) for a in expression.args)
            self._varies[expression] = known
        return known

    # ------------------------------------------------------------------------------------------------------- leaves

    def variable(self, name: str) -> int:
        """The node of all entries of a variable (of one whose entries share columns: of its columns)."""
        if name not in self.variables:
            variable = self.model.variables[name]
            shape = variable.shape if variable.columns is None else (variable.width,)
            self.variables[name] = self.graph.variable(name, shape)
        return self.variables[name]

    def numbers(self, values: np.ndarray, lanes: Lanes) -> Term:
        """Data over a frame (broadcastable) as a term."""
        values = np.asarray(values)
        if values.dtype == bool:
            values = values.astype(np.float64)
        dims = lanes.order(d for d, n in enumerate(values.shape) if n != 1)
        if not dims:
            if values.dtype.kind in "iu":
                return Term(self._array(values.reshape(1), lanes, False))
            return Term(self.graph.const(float(values.reshape(-1)[0])))
        moved = values.transpose([*dims, *(d for d in range(values.ndim) if d not in dims)])
        moved = moved.reshape(moved.shape[: len(dims)])
        return Term(self._array(moved, lanes, dims[0] == lanes.batch), dims)

    def floats(self, values: np.ndarray, lanes: Lanes) -> Term:
        """Data to compute with."""
        values = np.asarray(values)
        return self.numbers(values if values.dtype == np.float64 else values.astype(np.float64), lanes)

    def _array(self, values: np.ndarray, lanes: Lanes, batched: bool) -> int:
        lane_of = lanes.lane_of if batched else None
        shape = (BATCH, *values.shape[1:]) if batched else values.shape
        for k, known in enumerate(self.data):
            if known.batched == batched and known.lane_of is lane_of and _same(known.values, values):
                return self.graph.data(k, shape)
        self.data.append(Numbers(values, batched, lane_of))
        return self.graph.data(len(self.data) - 1, shape)

    # -------------------------------------------------------------------------------------------------- expressions

    def term(self, expression: sympy.Basic, lanes: Lanes) -> Term:
        """The term of an expression over a frame."""
        key = (expression, id(lanes))
        found = self._done.get(key)
        if found is None:
            term = self._settled(self._term(expression, lanes))
            found = self._done[key] = (lanes, term)  # the frame is kept, so that its identity stays its own
            self.origins.setdefault(term.node, expression)
        return found[1]

    def _term(self, expression: sympy.Basic, lanes: Lanes) -> Term:
        if expression.is_Number or isinstance(expression, sympy.NumberSymbol):
            return Term(self.graph.const(float(number(expression))))
        if isinstance(expression, nodes.ParameterEntry):
            value = stored(self.lanes, expression, lanes.frame)
            if isinstance(value, np.ndarray) and value.dtype == np.float32:
                return self.numbers(value, lanes)  # batches of it become what the run asks for
        if not self.varies(expression):
            return self.floats(self.lanes.numbers(expression, lanes.frame), lanes)
        rule = _RULES.get(type(expression))
        if rule is None:
            raise NotTensor(expression, "this has no form on whole arrays")
        return rule(self, expression, lanes)

    def align(self, terms: Sequence[Term], lanes: Lanes) -> tuple[list[int], tuple[int, ...]]:
        """The nodes of terms, stretched to the dimensions that any of them has."""
        dims = lanes.order({d for t in terms for d in t.dims})
        return [self._stretch(t, dims) for t in terms], dims

    def _stretch(self, term: Term, dims: tuple[int, ...]) -> int:
        if term.dims == dims or not term.dims:
            return term.node
        return self.graph.expand(term.node, [dims.index(d) for d in term.dims], len(dims))

    def join(self, operation: Callable[[int, int], int], a: Term, b: Term, lanes: Lanes) -> Term:
        """An elementwise operation of two terms."""
        (left, right), dims = self.align([a, b], lanes)
        return self._settled(Term(operation(left, right), dims))

    def _settled(self, term: Term) -> Term:
        """A term that came out as one number (0 times an array is 0) runs over no dimension."""
        return term if self.graph.shapes[term.node] else Term(term.node)

    def _add(self, expression: sympy.Add, lanes: Lanes) -> Term:
        # what picks by a label comes last: it may be picked from what the others computed
        ordered = sorted(expression.args, key=lambda a: (_picks(a), len(self._free(a))))
        data = [a for a in ordered if not self.varies(a)]
        terms = [self.term(sympy.Add(*data), lanes)] if data else []
        terms += [self.term(a, lanes) for a in ordered if self.varies(a)]
        total = terms[-1]
        for term in reversed(terms[:-1]):
            total = self.join(self.graph.add, total, term, lanes)
        return total

    def _free(self, expression: sympy.Basic) -> frozenset[sympy.Basic]:
        return frozenset(expression.atoms(nodes.Index))

    def factors(self, expression: sympy.Basic, lanes: Lanes) -> tuple[list[Term], list[Term]]:
        """The factors of a product above and below the line."""
        above: list[Term] = []
        below: list[Term] = []
        for factor in expression.args if isinstance(expression, sympy.Mul) else (expression,):
            if isinstance(factor, sympy.Pow) and factor.exp.is_Number and factor.exp < 0 and self.varies(factor):
                below.append(self.term(sympy.Pow(factor.base, -factor.exp), lanes))
            else:
                above.append(self.term(factor, lanes))
        return above, below

    def _product(self, terms: Iterable[Term], lanes: Lanes) -> Term:
        result = Term(self.graph.const(1.0))
        for term in sorted(terms, key=lambda t: len(t.dims)):
            result = self.join(self.graph.mul, result, term, lanes)
        return result

    def _mul(self, expression: sympy.Mul, lanes: Lanes) -> Term:
        above, below = self.factors(expression, lanes)
        result = self._product(above, lanes)
        for term in below:
            result = self.join(self.graph.div, result, term, lanes)
        return result

    def _pow(self, expression: sympy.Pow, lanes: Lanes) -> Term:
        return self._power(expression.base, expression.exp, lanes)

    def _power(self, base: sympy.Basic, exponent: sympy.Basic, lanes: Lanes) -> Term:
        one, other = self.term(base, lanes), self.term(exponent, lanes)
        if self.varies(exponent):
            log = Term(self.graph.apply("log", one.node), one.dims)
            product = self.join(self.graph.mul, other, log, lanes)
            return Term(self.graph.apply("exp", product.node), product.dims)
        return self.join(self.graph.power, one, other, lanes)

    def _apply(self, node: nodes.Apply, lanes: Lanes) -> Term:
        if node.name == "pow":
            return self._power(node.slots[0], node.slots[1], lanes)
        arguments, dims = self.align([self.term(a, lanes) for a in node.slots], lanes)
        result = Term(self.graph.apply(node.name, *arguments), dims)
        if node.name in ACTIVATIONS and not any(a.value == result.node for a in self.activations):
            self.activations.append(Activation(node.name, arguments[0], result.node, node))
        return result

    # ---------------------------------------------------------------------------------------------------- variables

    def _entry(self, entry: nodes.VariableEntry, lanes: Lanes) -> Term:
        variable = self.model.variables[entry.name]
        located = self.lanes.located(entry, variable.axes, entry.slots, lanes.frame)
        whole = self.variable(entry.name)
        reach = [_reach(p) for p in located]
        used = [d for dims in reach for d in dims]
        if variable.columns is not None or any(len(dims) > 1 for dims in reach) or len(set(used)) < len(used):
            return self._gathered(whole, variable.axes, variable.columns, located, lanes)
        node = whole
        dims: list[int] = []
        for axis, (positions, dims_here) in enumerate(zip(located, reach, strict=True)):
            at = len(dims)
            if not dims_here:
                position = int(positions.codes.reshape(-1)[0])
                if len(variable.axes[axis]) == 1:
                    node = self.graph.squeeze(node, [at])
                    continue
                codes = self.numbers(np.full((1,) * max(positions.codes.ndim, 1), position), Lanes(Frame()))
                node = self.graph.squeeze(self.graph.take(node, at, codes.node), [at])
                continue
            dims.append(dims_here[0])
            if positions.dim is None or lanes.batch == dims_here[0]:
                codes = self.numbers(positions.codes, lanes)
                node = self.graph.take(node, at, codes.node)
        ordered = lanes.order(dims)
        return Term(self.graph.transpose(node, [dims.index(d) for d in ordered]), ordered)

    def _gathered(
        self,
        whole: int,
        axes: Sequence[SetValue],
        columns: np.ndarray | None,
        located: Sequence[Positions],
        lanes: Lanes,
    ) -> Term:
        places = np.zeros((1,) * max(1, len(lanes.frame.shape)), dtype=np.int64)
        for axis, positions in zip(axes, located, strict=True):
            places = places * len(axis) + positions.codes
        if columns is not None:
            places = columns[places] - columns.min()
        at = self.numbers(places, lanes)
        node = self.graph.gather(whole, at.node)
        return Term(node if at.dims else self.graph.squeeze(node, [0]), at.dims)

    # --------------------------------------------------------------------------------------------------- reductions

    def inner(self, over: nodes.Over, lanes: Lanes, node: sympy.Basic) -> tuple[Lanes, dict[int, int], list[int]]:
        """The lanes of an iteration, its dimensions that are this frame's (child to parent), and the new ones."""
        extension = self.lanes.extend(lanes.frame, over)
        kept = extension.kept_dims()
        new = list(extension.new_dims)
        if len(kept) + len(new) < len(extension.child.shape):
            raise NotTensor(node, "the members of this depend on indices around it")
        batch = next((d for d, parent in kept.items() if parent == lanes.batch), None)
        return Lanes(extension.child, batch, lanes.lane_of if batch is not None else None), kept, new

    def _reduce(self, node: nodes.Reduce, lanes: Lanes) -> Term:
        picked = self._picked(node, lanes)
        if picked is not None:
            return picked
        child, kept, new = self.inner(node.over, lanes, node)
        if not child.frame.size:
            return Term(self.graph.const(1.0 if node.name == "prod" else 0.0))
        rule = REDUCERS.get(node.name)
        if rule is None:
            raise NotTensor(node, f"`{node.name}` of variables has no form on whole arrays", formless=True)
        term = rule(self, node, child, new)
        return self._renamed(term, kept, lanes)

    def _renamed(self, term: Term, kept: dict[int, int], lanes: Lanes) -> Term:
        """A term over a child's dimensions as one over its parent's."""
        dims = [kept[d] for d in term.dims]
        ordered = lanes.order(dims)
        return Term(self.graph.transpose(term.node, [dims.index(d) for d in ordered]), ordered)

    def sum_over(self, body: sympy.Basic, lanes: Lanes, dims: Sequence[int]) -> Term:
        """The sum of an expression along dimensions of the frame."""
        if isinstance(body, sympy.Add) and any(self._contracts(a, lanes, dims) for a in body.args):
            total = Term(self.graph.const(0.0))
            for part in sorted(body.args, key=_picks):
                total = self.join(self.graph.add, total, self.sum_over(part, lanes, dims), lanes)
            return total
        if isinstance(body, sympy.Mul):
            above, below = self.factors(body, lanes)
            one = Term(self.graph.const(1.0))
            return self.contract([*above, *(self.join(self.graph.div, one, b, lanes) for b in below)], lanes, dims)
        return self.contract([self.term(body, lanes)], lanes, dims)

    def _contracts(self, body: sympy.Basic, lanes: Lanes, dims: Sequence[int]) -> bool:
        """Whether a product has two factors that depend on summed dimensions: it may be a matrix product."""
        if not isinstance(body, sympy.Mul):
            return False
        summed = {index for index, binding in (lanes.frame.bindings or {}).items() if binding.dim in dims}
        return sum(bool(self._free(f) & summed) for f in body.args) > 1

    def contract(self, factors: Sequence[Term], lanes: Lanes, dims: Sequence[int]) -> Term:
        """The sum of a product of terms along dimensions."""
        summed = set(dims)
        touched = {d for t in factors for d in t.dims}
        outside = self._product([t for t in factors if not summed & set(t.dims)], lanes)
        for d in summed - touched:  # nothing depends on it: as many times
            if d == lanes.batch:
                ones = self.floats(np.ones(_along(lanes.frame, d)), lanes)
                factors, touched = [*factors, ones], touched | {d}
            else:
                times = Term(self.graph.const(float(lanes.frame.shape[d])))
                outside = self.join(self.graph.mul, outside, times, lanes)
        inside = [t for t in factors if summed & set(t.dims)]
        while len(inside) > 2:  # the two smallest meet
            first, second, *rest = sorted(inside, key=lambda t: self._size(t, lanes))
            inside = [self.join(self.graph.mul, first, second, lanes), *rest]
        if len(inside) == 2:
            a, b = (self._summed(t, summed - set(o.dims), lanes) for t, o in (inside, inside[::-1]))
            inside = [self._dot(a, b, summed, lanes)]
        result = self._summed(inside[0], summed, lanes) if inside else Term(self.graph.const(1.0))
        return self.join(self.graph.mul, outside, result, lanes)

    def _size(self, term: Term, lanes: Lanes) -> int:
        return int(np.prod([lanes.frame.shape[d] for d in term.dims], dtype=np.int64))

    def _summed(self, term: Term, dims: set[int], lanes: Lanes) -> Term:
        axes = [k for k, d in enumerate(term.dims) if d in dims]
        return Term(self.graph.sum(term.node, axes), tuple(d for d in term.dims if d not in dims))

    def _dot(self, a: Term, b: Term, summed: set[int], lanes: Lanes) -> Term:
        shared = set(a.dims) & set(b.dims)
        if shared - summed or not shared:  # a product for each lane of a common dimension, or of two sums
            product = self.join(self.graph.mul, a, b, lanes)
            return self._summed(product, summed, lanes)
        if lanes.batch in b.dims or (lanes.batch not in a.dims and a.dims > b.dims):
            a, b = b, a
        order = lanes.order(shared)
        left, right = [d for d in a.dims if d not in shared], [d for d in b.dims if d not in shared]
        one = self.graph.transpose(a.node, [a.dims.index(d) for d in (*left, *order)])
        other = self.graph.transpose(b.node, [b.dims.index(d) for d in (*order, *right)])
        dims = (*left, *right)
        result = self.graph.dot(one, other, len(order))
        ordered = lanes.order(dims)
        return Term(self.graph.transpose(result, [dims.index(d) for d in ordered]), ordered)

    def _picked(self, node: nodes.Reduce, lanes: Lanes) -> Term | None:
        """A sum that picks by a label (`sum(h[k] * W[k, label[i]])`), out of those for all labels if they are there."""
        if node.name != "sum":
            return None
        slots = _label_slots(node)
        if len(slots) != 1:
            return None
        ((slot, entry, place),) = slots
        axis = self._axis_at(entry, place)
        if axis is None or axis.arity != 1 or len(axis) > 4096:
            return None
        index = nodes.Index("i999")
        dim = len(lanes.frame.shape)
        bindings = {**(lanes.frame.bindings or {}), index: Binding(axis.labels, dim)}
        builder = FrameBuilder(lanes.frame)
        builder.add_dense(len(axis), {index: (axis.labels, None)})
        wide = Lanes(replace(builder.finish().child, bindings=bindings), lanes.batch, lanes.lane_of)
        before = len(self.graph.ops)
        activations = len(self.activations)
        term = self.term(node.xreplace({slot: index}), wide)
        if len(self.graph.ops) != before or not term.dims or term.dims[-1] != dim:
            del self.activations[activations:]
            return None
        codes = self.numbers(self.lanes.positions(axis, (slot,), lanes.frame).codes, lanes)
        if not codes.dims or not set(codes.dims) <= set(term.dims):
            return None
        return Term(self.graph.pick(term.node, self._stretch(codes, term.dims[:-1])), term.dims[:-1])

    def _axis_at(self, entry: nodes.VariableEntry, place: int) -> SetValue | None:
        at = 0
        for axis in self.model.variables[entry.name].axes:
            if at == place:
                return axis
            at += axis.arity
        return None

    # --------------------------------------------------------------------------------------------------- conditions

    def _choose(self, node: nodes.Choose, lanes: Lanes) -> Term:
        condition, then, otherwise = node.args
        if self.varies(condition):
            raise NotTensor(node, "a condition on variables jumps where it changes")
        holds = self.lanes.condition(condition, lanes.frame)
        if holds.all():
            return self.term(then, lanes)
        if not holds.any():
            return self.term(otherwise, lanes)
        branches = [self._branch(then, holds, lanes, node), self._branch(otherwise, ~holds, lanes, node)]
        (test, one, other), dims = self.align([self.floats(holds, lanes), *branches], lanes)
        return Term(self.graph.select(test, one, other), dims)

    def _branch(self, branch: sympy.Basic, holds: np.ndarray, lanes: Lanes, node: sympy.Basic) -> Term:
        """A branch over all lanes; lanes that do not take it and on which it has no value get that of any other."""
        try:
            return self.term(branch, lanes)
        except LaneFault:
            part = self._part(holds, lanes, node)
        term = self.term(branch, part.lanes)
        value, dims = term.node, [part.parents[d] for d in term.dims]
        for axis, d in enumerate(dims):
            if d in part.chosen and d != lanes.batch:
                codes = self.numbers(part.chosen[d], Lanes(Frame((len(part.chosen[d]),))))
                value = self.graph.take(value, axis, codes.node)
        ordered = lanes.order(dims)
        return Term(self.graph.transpose(value, [dims.index(d) for d in ordered]), ordered)

    def _part(self, holds: np.ndarray, lanes: Lanes, node: sympy.Basic) -> Part:
        """The lanes on which a condition of data holds."""
        key = (id(lanes), holds.shape, holds.tobytes())
        if key not in self._parts:
            extension = self.lanes.filtered(lanes.frame, holds)
            if any(len(origins) != 1 for origins in extension.parents):
                raise NotTensor(node, "one of the branches has no value where the other is chosen")
            origins = [origin for (origin,) in extension.parents]
            chosen, lane_of = {}, lanes.lane_of
            for origin in origins:
                if origin.codes is not None:
                    back = np.zeros(lanes.frame.shape[origin.dim], dtype=np.int64)
                    back[origin.codes] = np.arange(len(origin.codes))
                    chosen[origin.dim] = back
                    if origin.dim == lanes.batch:
                        lane_of = back if lane_of is None else back[lane_of]
            batch = next((d for d, origin in enumerate(origins) if origin.dim == lanes.batch), None)
            inner = Lanes(extension.child, batch, lane_of)
            self._parts[key] = Part(lanes, inner, tuple(origin.dim for origin in origins), chosen)
        return self._parts[key]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.__array_interface__["data"] == b.__array_interface__["data"] and a.strides == b.strides:
        return True
    return bool(np.array_equal(a, b))


def _along(frame: Frame, dim: int) -> tuple[int, ...]:
    return tuple(n if d == dim else 1 for d, n in enumerate(frame.shape))


def _reach(positions: Positions) -> list[int]:
    """The frame's dimensions that positions depend on."""
    if positions.dim is not None:
        return [positions.dim]
    return [d for d, n in enumerate(positions.codes.shape) if n != 1]


def _picks(expression: sympy.Basic) -> bool:
    """Whether a variable is indexed by data in it."""
    return any(_is_label(slot) for entry in expression.atoms(nodes.VariableEntry) for slot in entry.slots)


def _is_label(slot: sympy.Basic) -> bool:
    return isinstance(slot, nodes.ParameterEntry)


def _label_slots(node: sympy.Basic) -> set[tuple[sympy.Basic, nodes.VariableEntry, int]]:
    """The data expressions that index variables, each with one entry and place where it stands."""
    found: dict[sympy.Basic, tuple[sympy.Basic, nodes.VariableEntry, int]] = {}
    for entry in sorted(node.atoms(nodes.VariableEntry), key=str):
        for place, slot in enumerate(entry.slots):
            if _is_label(slot):
                found.setdefault(slot, (slot, entry, place))
    return set(found.values())


_RULES: dict[type, Callable[..., Term]] = {
    nodes.VariableEntry: Lowering._entry,
    sympy.Add: Lowering._add,
    sympy.Mul: Lowering._mul,
    sympy.Pow: Lowering._pow,
    nodes.Apply: Lowering._apply,
    nodes.Reduce: Lowering._reduce,
    nodes.Choose: Lowering._choose,
}
