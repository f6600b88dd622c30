"""Values of template expressions over all lanes of a frame at once.

`Lanes` never loops over lanes: its cost in Python grows with the expression, its cost in data is NumPy's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy

from optdsl.atoms import ARRAYWISE, ENTRIES, METRICS, REDUCTIONS
from optdsl.atoms.atom import Interval
from optdsl.data.arrays import DenseArray, LabelArray, ParameterValue
from optdsl.data.members import IntegerLabels, TextLabels, find, object_array
from optdsl.terms import nodes
from optdsl.terms.contraction import contracted
from optdsl.terms.fold import Fold
from optdsl.terms.frame import Extension, Frame
from optdsl.terms.joined import is_text, joined
from optdsl.terms.lanes import Family, LaneFault, LaneSets, Members, Value
from optdsl.terms.nodes import Index


@dataclass(eq=False)
class Lanes(LaneSets):
    """Evaluates expressions. `values` (n,) are those of all variables' columns, None while there are none."""

    _memo: dict[tuple[int, sympy.Basic], tuple[Frame, np.ndarray]] = field(default_factory=dict)

    edge: float = 0.0
    """How far outside a function's domain an argument still counts as on its edge."""

    dry: bool = False
    """Whether only look-ups matter: sums of variables come out as 0, at the cost of the template, not of the data."""

    def with_values(self, values: np.ndarray, edge: float = 0.0) -> Lanes:
        """The same lanes at a point (n,); with `edge`, rounding just beyond the end of a domain is forgiven."""
        lanes = Lanes(self.sets, self.parameters, self.variables, values, self._translations, self._ranges)
        lanes.edge = edge
        return lanes

    def with_parameters(self, parameters: Mapping[str, ParameterValue]) -> Lanes:
        """The same lanes with these parameters in addition."""
        known = {**self.parameters, **parameters}
        return Lanes(self.sets, known, self.variables, self.values, self._translations, self._ranges)

    def forget(self) -> None:
        """Drop remembered intermediate values."""
        self._memo.clear()

    def evaluate(self, expression: sympy.Basic, frame: Frame) -> Value:
        """The value over the frame: an array, or `Members` where the expression is an index."""
        rule = _RULES.get(type(expression))
        if rule is None:
            return _scalar(number(expression), frame)
        if type(expression) not in _REMEMBERED and not (type(expression) in _SHARED and frame.size <= FEW):
            return rule(self, expression, frame)
        key = (id(frame), expression)
        if key not in self._memo:
            self._memo[key] = (frame, rule(self, expression, frame))
        return self._memo[key][1]

    def full(self, expression: sympy.Basic, frame: Frame) -> np.ndarray:
        """The value as a full float64 array of the frame's shape."""
        value = self.numbers(expression, frame)
        return np.asarray(np.broadcast_to(value, frame.shape), dtype=np.float64, order="C")

    def looked_up(self, entry: nodes.VariableEntry, frame: Frame) -> np.ndarray:
        """0 for an entry that is there, wherever it is looked up; LaneFault where it is not."""
        self.located(entry, self.variables[entry.name].axes, entry.slots, frame)
        return _nothing(frame)

    def condition(self, expression: sympy.Basic, frame: Frame) -> np.ndarray:
        """A condition over the frame, as bool."""
        return np.asarray(self.numbers(expression, frame), dtype=bool)

    def pick(self, frame: Frame, branches: Sequence[tuple[np.ndarray, sympy.Basic]]) -> Value:
        """The value of the branch whose mask holds at each lane (the masks partition the lanes)."""
        for mask, branch in branches:
            if mask.all():
                return self._plain(branch, frame)
        taken = [(self.filtered(frame, mask), branch) for mask, branch in branches if mask.any()]
        values = [self._plain(branch, extension.child) for extension, branch in taken]
        labels = None
        if any(isinstance(value, Members) for value in values):
            labels, values = joined(values, [branch for _, branch in taken])  # type: ignore[assignment]
        parts = [(extension, np.asarray(value)) for (extension, _), value in zip(taken, values, strict=True)]
        kind = np.float64 if labels is None else np.int64
        result = np.zeros(_spread(frame, [mask for mask, _ in branches], parts), dtype=kind)
        for extension, value in parts:
            extension.scatter(result, value)
        return result if labels is None else Members(labels, result)

    def _plain(self, expression: sympy.Basic, frame: Frame) -> Value:
        """The value as numbers, or as members where a text is among them."""
        value = self.evaluate(expression, frame)
        return value if is_text(value) and frame.size else self.numbers(expression, frame)


def _spread(
    frame: Frame, whole: Sequence[np.ndarray], parts: Sequence[tuple[Extension, np.ndarray]]
) -> tuple[int, ...]:
    """The shape that holds values over the frame and over parts of it: 1 along what none of them depends on."""
    used = {d for value in whole for d, size in enumerate(value.shape) if size != 1}
    used = used.union(*(extension.reach(value) for extension, value in parts))
    return tuple(size if d in used else 1 for d, size in enumerate(frame.shape))


def _scalar(value: float, frame: Frame) -> np.ndarray:
    return np.full((1,) * len(frame.shape), value)


def _nothing(frame: Frame) -> np.ndarray:
    """The value of anything where there are no lanes: nothing is looked up, so that nothing can be missing."""
    return np.zeros(tuple(min(size, 1) for size in frame.shape))


def number(expression: sympy.Basic) -> int | float:
    """A SymPy number as Python's."""
    if isinstance(expression, sympy.Integer):
        return int(expression)
    return float(expression)


# ------------------------------------------------------------------------------------------------- leaves


def _index(lanes: Lanes, index: Index, frame: Frame) -> Members:
    binding = frame.binding(index)
    if binding is None:
        raise KeyError(f"unbound index {index}")
    if binding.codes is None:
        return Members(binding.labels, frame.along(binding.dim, np.arange(frame.shape[binding.dim])), binding.dim)
    return Members(binding.labels, frame.along(binding.dim, binding.codes))


def _label(lanes: Lanes, label: nodes.Label, frame: Frame) -> Members:
    labels = TextLabels(np.zeros(1, dtype=np.int32), object_array([label.name]))
    return Members(labels, np.zeros((1,) * len(frame.shape), dtype=np.int64))


def _parameter(lanes: Lanes, entry: nodes.ParameterEntry, frame: Frame) -> Value:
    value = stored(lanes, entry, frame)
    return value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype == np.float32 else value


def stored(lanes: Lanes, entry: nodes.ParameterEntry, frame: Frame) -> Value:
    """The value of a parameter's entry in the type that it is stored in, float32 for one."""
    array = lanes.parameters[entry.name]
    if not frame.size:
        nothing = _nothing(frame)
        return Members(array.labels, nothing.astype(np.int64)) if isinstance(array, LabelArray) else nothing
    located = lanes.located(entry, array.axes, entry.slots, frame)
    if isinstance(array, LabelArray):
        flat = array.flat(tuple(p.codes for p in located))
        return Members(array.labels, np.broadcast_to(flat, np.broadcast_shapes(flat.shape, (1,) * len(frame.shape))))
    dims = [p.dim for p in located]
    if isinstance(array, DenseArray) and all(d is not None for d in dims) and len(set(dims)) == len(dims):
        # the axes are whole dimensions of the frame: a transposed view, nothing is copied
        shape = [1] * len(frame.shape)
        for size, d in zip(array.values.shape, dims, strict=True):
            shape[d] = size  # type: ignore[index]
        return array.values.transpose(np.argsort(dims)).reshape(shape)  # type: ignore[arg-type]
    value = np.asarray(array.gather(tuple(p.codes for p in located)))
    return value.reshape((1,) * len(frame.shape)) if value.ndim == 0 else value


def _variable(lanes: Lanes, entry: nodes.VariableEntry, frame: Frame) -> np.ndarray:
    if lanes.values is None:
        raise LaneFault("variable-in-data", entry, {})
    if not frame.size:
        return _nothing(frame)
    if lanes.dry:
        return lanes.looked_up(entry, frame)
    return lanes.values[lanes.columns(entry, frame)]


# ------------------------------------------------------------------------------------------------- arithmetic


def _add(lanes: Lanes, expression: sympy.Add, frame: Frame) -> np.ndarray:
    total = lanes.numbers(expression.args[0], frame)
    if total.dtype == bool:
        total = total.astype(np.int64)  # conditions add up as 0 and 1
    for term in expression.args[1:]:
        added = lanes.numbers(term, frame)
        with np.errstate(all="ignore"):  # inf - inf: what is not a number is reported where it is used
            total = total + added
    return total


def _mul(lanes: Lanes, expression: sympy.Mul, frame: Frame) -> np.ndarray:
    product = lanes.numbers(expression.args[0], frame)
    for factor in expression.args[1:]:
        by = lanes.numbers(factor, frame)
        with np.errstate(all="ignore"):  # 0 * inf
            product = product * by
    return product


def _pow(lanes: Lanes, expression: sympy.Pow, frame: Frame) -> np.ndarray:
    base = lanes.numbers(expression.base, frame)
    exponent = lanes.numbers(expression.exp, frame)
    with np.errstate(all="ignore"):
        if exponent.size == 1 and exponent.reshape(-1)[0] == -1:
            return 1.0 / base
        if lanes.edge:
            base = np.where((base < 0) & (base >= -lanes.edge) & (exponent != np.rint(exponent)), 0.0, base)
        return np.power(np.asarray(base, dtype=np.float64), exponent)


def _apply(lanes: Lanes, node: nodes.Apply, frame: Frame) -> np.ndarray:
    row = ENTRIES[node.name]
    arguments = [np.asarray(lanes.numbers(a, frame), dtype=np.float64) for a in node.slots]
    value = np.asarray(row.kernel(*arguments))
    if lanes.edge and row.domain.restrict is not None and np.isnan(value).any():
        boxes = row.domain.restrict(*(Interval(a - lanes.edge, a + lanes.edge) for a in arguments))
        inside = [np.clip(a, box.lo, box.hi) for a, box in zip(arguments, boxes, strict=False)]
        value = np.where(np.isnan(value), row.kernel(*inside, *arguments[len(inside) :]), value)
    return value


# ------------------------------------------------------------------------------------------------- conditions


def _choose(lanes: Lanes, node: nodes.Choose, frame: Frame) -> Value:
    condition, then, otherwise = node.args
    holds = lanes.condition(condition, frame)
    return lanes.pick(frame, [(holds, then), (~holds, otherwise)])


def _pick(lanes: Lanes, node: nodes.Pick, frame: Frame) -> Value:
    position = lanes.numbers(node.args[0], frame)
    return lanes.pick(frame, [(position == k, branch) for k, branch in enumerate(node.args[1:])])


_COMPARE = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "=": np.equal,
    "!=": np.not_equal,
}


def _compare(lanes: Lanes, node: nodes.Compare, frame: Frame) -> np.ndarray:
    operator = node.name
    left, right = (lanes.evaluate(side, frame) for side in node.slots)
    texts = [isinstance(v, Members) and isinstance(v.labels, TextLabels) for v in (left, right)]
    if not any(texts):
        return _COMPARE[operator](*(lanes.numbers(side, frame) for side in node.slots))
    if operator not in ("=", "!="):
        try:
            return _COMPARE[operator](*(lanes.numbers(side, frame) for side in node.slots))
        except LaneFault:
            raise LaneFault("text-order", node, {}, operator=operator) from None
    equal = _equal_members(left, right)
    return equal if operator == "=" else ~equal


_NO_LABEL = -(2**62)  # stands for a number that is no label


def _equal_members(left: Value, right: Value) -> np.ndarray:
    """Entry by entry, whether two values are the same label; a number never equals a text."""
    if not isinstance(left, Members):
        left, right = right, left
    assert isinstance(left, Members)
    if not isinstance(right, Members):
        distinct, inverse = np.unique(right, return_inverse=True)
        whole = np.where(np.isfinite(distinct) & (distinct == np.rint(distinct)), distinct, _NO_LABEL).astype(np.int64)
        right = Members(IntegerLabels(whole), inverse.reshape(right.shape))
    codes, _ = left.labels.distinct
    categories = left.labels.categories if isinstance(left.labels, TextLabels) else None
    if isinstance(right.labels, TextLabels) and right.labels.categories is categories:
        return codes[left.codes] == right.labels.codes[right.codes]
    assert isinstance(left.labels, TextLabels) or isinstance(right.labels, TextLabels)
    base = left if isinstance(left.labels, TextLabels) else right
    other = right if base is left else left
    assert isinstance(base.labels, TextLabels)
    own = TextLabels(np.arange(len(base.labels.categories)), base.labels.categories)
    found = find(own, other.labels)
    return base.labels.codes[base.codes] == found[other.codes]


def _logic(lanes: Lanes, node: nodes.Logic, frame: Frame) -> np.ndarray:
    if node.name == "not":
        return ~lanes.condition(node.slots[0], frame)
    wanted = node.name == "or"  # the value of a part that decides the whole
    result = lanes.condition(node.slots[0], frame)
    for part in node.slots[1:]:
        if (result == wanted).all():
            return result
        if (result != wanted).all():
            result = lanes.condition(part, frame)
            continue
        extension = lanes.filtered(frame, result != wanted)
        value = lanes.condition(part, extension.child)
        result = np.array(np.broadcast_to(result, _spread(frame, [result], [(extension, value)])))
        extension.scatter(result, value)
    return result


# ------------------------------------------------------------------------------------------- sets in expressions


def _contains(lanes: Lanes, node: nodes.Contains, frame: Frame) -> np.ndarray:
    members = lanes.set_value(node.set, frame.bindings or ())
    if members is None:
        low, high, step = (lanes.integer_end(end, frame) for end in node.set.args)
        return lanes.in_range(node.slots[0], low, high, step, frame)
    if isinstance(members, Family):
        lanes.located(node, members.axes, node.slots[: members.index_width], frame)
        members = members.tuples
    return lanes.positions(members, node.slots, frame).codes >= 0


def _position(lanes: Lanes, node: nodes.Position, frame: Frame) -> np.ndarray:
    members = lanes.set_value(node.set, frame.bindings or ())
    if members is None:
        low, _, step = (lanes.integer_end(end, frame) for end in node.set.args)
        return (lanes.numbers(node.slots[0], frame) - low) // step
    if isinstance(members, Family):
        width = members.index_width
        (place,) = lanes.located(node, [members.tuples], node.slots, frame)
        join = members.tuples.join(tuple(range(width)))
        start, _ = lanes.group(node, members, node.slots[:width], frame)
        rank = np.empty(len(join.order), dtype=np.int64)
        rank[join.order] = np.arange(len(join.order))
        return rank[place.codes] - start
    (place,) = lanes.located(node, [members], node.slots, frame)
    return place.codes


def _nth(lanes: Lanes, node: nodes.Nth, frame: Frame) -> Members:
    term, position, part = node.args[:3]
    members = lanes.set_value(term, frame.bindings or ())
    at = np.asarray(lanes.numbers(position, frame))
    if at.dtype.kind == "f":
        at = np.rint(at).astype(np.int64)  # `div` and `mod` of whole numbers
    column = int(part)
    if not frame.size:
        return Members(IntegerLabels(np.zeros(0, dtype=np.int64)), _nothing(frame).astype(np.int64))
    if members is None:
        low, high, step = (lanes.integer_end(end, frame) for end in term.args)
        _inside(lanes, node, at, np.maximum(0, (high - low) // step + 1), frame)
        labels = low + step * at
        return Members(IntegerLabels(labels.reshape(-1)), np.arange(labels.size).reshape(labels.shape))
    if isinstance(members, Family):
        start, count = lanes.group(node, members, node.args[3:], frame)
        _inside(lanes, node, at, count, frame)
        order = members.tuples.join(tuple(range(members.index_width))).order
        return Members(members.tuples.columns[members.index_width + column], order[start + at])
    _inside(lanes, node, at, np.array(len(members)), frame)
    return Members(members.columns[column], at)


def _inside(lanes: Lanes, node: nodes.Nth, at: np.ndarray, count: np.ndarray, frame: Frame) -> None:
    wrong = (at < 0) | (at >= count)
    if wrong.any():
        lane = tuple(np.argwhere(wrong)[0])
        raise LaneFault("no-such-member", node, lanes.lane(frame, lane))


def _size(lanes: Lanes, node: nodes.Size, frame: Frame) -> np.ndarray:
    members = lanes.set_value(node.args[0], frame.bindings or ())
    if members is None:
        low, high, step = (lanes.integer_end(end, frame) for end in node.args[0].args)
        return np.maximum(0, (high - low) // step + 1)
    if isinstance(members, Family):
        return lanes.group(node, members, node.args[1:], frame)[1]
    return _scalar(len(members), frame)


# ------------------------------------------------------------------------------------------------- reductions


def _reduce(lanes: Lanes, node: nodes.Reduce, frame: Frame) -> np.ndarray:
    row = REDUCTIONS[node.name]
    linear = node.name == "sum"
    extension = lanes.extend(frame, node.over, node.body if linear else None)
    kept = extension.kept_dims()
    if linear and extension.new_dims and len(kept) + len(extension.new_dims) == len(extension.child.shape):
        return _contract(lanes, node.body, extension)
    if row.empty is None and (bare := Fold(extension, [])).some_empty:  # told before what the body may not have
        at = bare.empty_lane()
        lane = lanes.lane(frame, tuple(at.get(d, 0) for d in range(len(frame.shape))))
        known = {i: label for i, label in lane.items() if frame.bindings and frame.bindings[i].dim in at}
        raise LaneFault("empty", node, known, function=node.name)
    value = np.asarray(lanes.numbers(node.body, extension.child))
    extra = [float(lanes.numbers(e, frame).reshape(-1)[0]) for e in node.extra]
    fold = Fold(extension, [value])
    return fold.result(row.kernel(fold.members(value), fold.groups, *extra))


def _contract(lanes: Lanes, body: sympy.Basic, extension: Extension) -> np.ndarray:
    """A sum of products over whole dimensions, as a tensor contraction."""
    child = extension.child
    factors = body.args if isinstance(body, sympy.Mul) else (body,)
    kept = [d for d in range(len(child.shape)) if d not in extension.new_dims]
    if lanes.dry and nodes.has_variables(body):
        for factor in factors:
            _operand(lanes, factor, child)
        return np.zeros([min(child.shape[d], 1) for d in kept])
    arrays = [_operand(lanes, f, child) for f in factors]
    scale = 1.0
    for d in extension.new_dims:
        if all(a.shape[d] == 1 for a in arrays):
            scale *= child.shape[d]
    operands: list[Any] = []
    for a in arrays:
        dims = [d for d, size in enumerate(a.shape) if size != 1]
        operands += [a.reshape([a.shape[d] for d in dims]), dims]
    result_dims = [d for d in kept if any(d in dims for dims in operands[1::2])]
    result = contracted(operands, result_dims)
    return scale * np.asarray(result).reshape([child.shape[d] if d in result_dims else 1 for d in kept])


def _operand(lanes: Lanes, factor: sympy.Basic, frame: Frame) -> np.ndarray:
    """A factor as float64; data that is stored as float32 stays so, to be converted block by block."""
    if isinstance(factor, nodes.ParameterEntry):
        value = stored(lanes, factor, frame)
        if isinstance(value, np.ndarray) and value.dtype == np.float32:
            return value
    return np.asarray(lanes.numbers(factor, frame), dtype=np.float64)


def _array_call(lanes: Lanes, node: nodes.ArrayCall, frame: Frame) -> np.ndarray:
    row = ARRAYWISE.get(node.name) or METRICS[node.name]
    depth = len(frame.shape)
    arguments = []
    for argument in node.arguments:
        if isinstance(argument, nodes.Block):
            extension = lanes.extend(frame, nodes.over(argument.axes))
            size = extension.child.shape[depth:]
            if node.name in METRICS and not node.positions and 0 in size:  # one number out of nothing
                raise LaneFault("empty", node, {}, function=node.name, over=argument.axes[size.index(0)])
            value = lanes.numbers(argument.body, extension.child)
            arguments.append(np.broadcast_to(value, extension.child.shape).astype(np.float64))
        else:
            value = lanes.numbers(argument, frame)
            arguments.append(value.reshape(-1)[0] if value.size == 1 else lanes.full(argument, frame))
    result = np.asarray(row.kernel(*arguments, batch=depth)) if depth else np.asarray(row.kernel(*arguments))
    if not node.positions:
        return result.reshape(frame.shape) if depth else result
    at = [np.asarray(lanes.numbers(p, frame)) for p in node.positions]
    if not depth:
        return result[tuple(at)]
    lead = [frame.along(d, np.arange(size)) for d, size in enumerate(frame.shape)]
    return result[(*lead, *at)]


_RULES: dict[type, Any] = {
    Index: _index,
    nodes.Label: _label,
    nodes.ParameterEntry: _parameter,
    nodes.VariableEntry: _variable,
    sympy.Add: _add,
    sympy.Mul: _mul,
    sympy.Pow: _pow,
    nodes.Apply: _apply,
    nodes.Reduce: _reduce,
    nodes.ArrayCall: _array_call,
    nodes.Choose: _choose,
    nodes.Pick: _pick,
    nodes.Compare: _compare,
    nodes.Logic: _logic,
    nodes.Contains: _contains,
    nodes.Position: _position,
    nodes.Nth: _nth,
    nodes.Size: _size,
}
_REMEMBERED = frozenset({nodes.Apply, nodes.Reduce, nodes.ArrayCall})
_SHARED = frozenset({sympy.Add, sympy.Mul, sympy.Pow})
FEW = 4096
"""Lanes up to which arithmetic is remembered too: a `let` that others use many times is then computed once."""
