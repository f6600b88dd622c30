"""Where the indices of a template run: sets, positions of members, and the lanes of iterators.

`LaneSets` turns set terms into set values, index expressions into positions, and `Over` into frame extensions.
It evaluates index expressions through `evaluate`, which `optdsl.terms.evaluate.Lanes` provides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy

from optdsl.data.arrays import ParameterValue, SparseArray
from optdsl.data.members import IntegerLabels, Labels, RangeLabels, SetValue, TextLabels, find, labels_of, range_set
from optdsl.data.members import Label as MemberLabel
from optdsl.terms import nodes
from optdsl.terms.frame import Extension, Frame, FrameBuilder
from optdsl.terms.nodes import Each, Index, Over


class LaneFault(Exception):
    """An expression has no value at some lane; `kind` says why, `lane` gives the indices there."""

    def __init__(self, kind: str, node: sympy.Basic, lane: dict[Index, MemberLabel], **facts: Any) -> None:
        super().__init__(kind, node, lane, facts)
        self.kind, self.node, self.lane, self.facts = kind, node, lane, facts


@dataclass(frozen=True, eq=False, slots=True)
class Members:
    """Members as values: the label at a lane is `labels` at `codes` there (codes broadcast over the frame).

    `dim` is set when codes are just the lanes of that dimension, in order.
    """

    labels: Labels
    codes: np.ndarray
    dim: int | None = None

    def label_at(self, lane: tuple[int, ...]) -> MemberLabel:
        clipped = tuple(min(k, size - 1) for k, size in zip(lane, self.codes.shape, strict=True))
        return self.labels.at(int(self.codes[clipped]))


@dataclass(frozen=True, eq=False, slots=True)
class Positions:
    """Positions in a set over a frame; `dim` is set when they are the lanes of that dimension, in order."""

    codes: np.ndarray
    dim: int | None = None


@dataclass(frozen=True, eq=False)
class Family:
    """An indexed family of sets: `tuples` lists (index..., member...) for all; `axes` are the index sets."""

    name: str
    axes: tuple[SetValue, ...]
    tuples: SetValue

    @property
    def index_width(self) -> int:
        return sum(axis.arity for axis in self.axes)


@dataclass(frozen=True, eq=False)
class VariableValue:
    """A variable's axes, the column of each entry (C order; None: 0, 1, ... from `offset`), and all columns' values."""

    axes: tuple[SetValue, ...]
    offset: int
    columns: np.ndarray | None = None


Value = np.ndarray | Members


@dataclass(eq=False)
class LaneSets:
    """Sets, parameters and variables by name, and the lanes over them."""

    sets: Mapping[str, SetValue | Family]
    parameters: Mapping[str, ParameterValue]
    variables: Mapping[str, VariableValue] = field(default_factory=dict)
    values: np.ndarray | None = None
    _translations: dict[tuple[int, int], tuple[Labels, Labels, np.ndarray | None]] = field(default_factory=dict)
    _ranges: dict[tuple[int, int, int], SetValue] = field(default_factory=dict)

    def evaluate(self, expression: sympy.Basic, frame: Frame) -> Value:
        """The value over the frame: an array, or `Members` where the expression is an index."""
        raise NotImplementedError

    def numbers(self, expression: sympy.Basic, frame: Frame) -> np.ndarray:
        """The value as numbers (bool, int64 or float64); a text label has none: LaneFault `not-a-number`."""
        value = self.evaluate(expression, frame)
        if not frame.size and isinstance(value, Members):
            return np.zeros(tuple(min(size, 1) for size in frame.shape), dtype=np.int64)
        return as_numbers(value, expression)

    # ------------------------------------------------------------------------------------- sets and positions

    def set_value(self, term: sympy.Basic, bound: Collection[Index] = ()) -> SetValue | Family | None:
        """The set behind a term, or None where its ends depend on an index of `bound`, those bound around it."""
        if isinstance(term, nodes.NamedSet):
            return self.sets[term.name]
        if any(index in bound for end in term.args for index in end.atoms(Index)):
            return None
        scalar = Frame()
        low, high, step = (self.integer_end(end, scalar) for end in term.args)
        return self.range_value(int(low), int(high), int(step), term)

    def range_value(self, low: int, high: int, step: int, term: sympy.Basic) -> SetValue:
        if step == 0:
            raise LaneFault("zero-step", term, {})
        key = (low, high, step)
        if key not in self._ranges:
            text = f"{low}..{high}" + (f" by {step}" if step != 1 else "")
            self._ranges[key] = range_set(text, low, high, step)
        return self._ranges[key]

    def integer_end(self, end: sympy.Basic, frame: Frame) -> np.ndarray:
        """A range's end or step over the frame as int64; not a whole number: LaneFault `range-end`."""
        value = self.numbers(end, frame)
        if value.dtype.kind in "iu":
            return value
        if not np.isfinite(value).all() or not (value == np.rint(value)).all():
            bad = np.argwhere(~np.isfinite(value) | (value != np.rint(value)))[0]
            raise LaneFault("range-end", end, self.lane(frame, tuple(bad)), value=float(value[tuple(bad)]))
        return value.astype(np.int64)

    def translate(self, target: Labels, labels: Labels) -> np.ndarray | None:
        """Positions in `target` of all `labels`; None when each is at its own position."""
        if target is labels:
            return None
        key = (id(target), id(labels))
        if key not in self._translations:
            positions: np.ndarray | None = find(target, labels)
            assert positions is not None
            if len(target) == len(labels) and np.array_equal(positions, np.arange(len(labels))):
                positions = None
            self._translations[key] = (target, labels, positions)
        return self._translations[key][2]

    def positions(self, members: SetValue, slots: Sequence[sympy.Basic], frame: Frame) -> Positions:
        """Positions in a set of the members given by index expressions; -1 where they are not in it."""
        values = [self.evaluate(slot, frame) for slot in slots]
        if members.arity == 1:
            return self._single_positions(members.labels, values[0], frame)
        first = values[0]
        if isinstance(first, Members) and all(
            isinstance(v, Members) and v.labels is column and v.codes is not None and _same_codes(v, first)
            for v, column in zip(values, members.columns, strict=True)
        ):
            return Positions(first.codes, first.dim)
        codes = [self._column_codes(members, k, value, frame) for k, value in enumerate(values)]
        return Positions(members.find_tuples(codes))

    def _single_positions(self, target: Labels, value: Value, frame: Frame) -> Positions:
        if isinstance(value, Members):
            table = self.translate(target, value.labels)
            if table is None:
                return Positions(value.codes, value.dim)
            return Positions(table[value.codes])
        return Positions(_find_numbers(target, value))

    def _column_codes(self, members: SetValue, k: int, value: Value, frame: Frame) -> np.ndarray:
        if isinstance(value, Members):
            return members.column_codes(k, value.labels)[value.codes]
        distinct, inverse = np.unique(value, return_inverse=True)
        whole = np.rint(distinct)
        found = members.column_codes(k, IntegerLabels(np.where(np.isfinite(whole), whole, 0).astype(np.int64)))
        found = np.where(distinct == whole, found, -1)
        return found[inverse].reshape(value.shape)

    def group(
        self, node: sympy.Basic, family: Family, slots: Sequence[sympy.Basic], frame: Frame
    ) -> tuple[np.ndarray, np.ndarray]:
        """Start and count of the family's set at each lane, within the order of its join by index.

        An index outside the family's own: LaneFault `outside`.
        """
        width = family.index_width
        self.located(node, family.axes, slots[:width], frame)
        codes = [self._column_codes(family.tuples, k, self.evaluate(slots[k], frame), frame) for k in range(width)]
        return family.tuples.join(tuple(range(width))).ranges(codes)

    def located(
        self, node: sympy.Basic, axes: Sequence[SetValue], slots: Sequence[sympy.Basic], frame: Frame
    ) -> list[Positions]:
        """Positions of an entry's slots along each axis; outside an axis: LaneFault `outside`."""
        located, at = [], 0
        for axis in axes:
            part = slots[at : at + axis.arity]
            at += axis.arity
            positions = self.positions(axis, part, frame)
            if positions.dim is None and frame.size and positions.codes.min() < 0:
                lane = tuple(np.argwhere(positions.codes < 0)[0])
                values = tuple(self._label_at(slot, frame, lane) for slot in part)
                raise LaneFault("outside", node, self.lane(frame, lane), axis=axis, member=values, slots=part)
            located.append(positions)
        return located

    def _label_at(self, slot: sympy.Basic, frame: Frame, lane: tuple[int, ...]) -> MemberLabel | float:
        value = self.evaluate(slot, frame)
        if isinstance(value, Members):
            return value.label_at(lane)
        clipped = tuple(min(k, size - 1) for k, size in zip(lane, value.shape, strict=True))
        found = float(value[clipped])
        return int(found) if np.isfinite(found) and found == int(found) else found

    def lane(self, frame: Frame, lane: tuple[int, ...]) -> dict[Index, MemberLabel]:
        """The labels of all bound indices at one lane of the frame (positions along broadcast axes are 0)."""
        labels = {}
        for index, binding in (frame.bindings or {}).items():
            if binding.dim < len(lane) and frame.shape[binding.dim]:
                k = lane[binding.dim]
                labels[index] = binding.labels.at(int(k if binding.codes is None else binding.codes[k]))
        return labels

    def columns(self, entry: nodes.VariableEntry, frame: Frame) -> np.ndarray:
        """The variable columns that an entry names, broadcastable over the frame."""
        variable = self.variables[entry.name]
        located = self.located(entry, variable.axes, entry.slots, frame)
        flat = np.zeros((1,) * len(frame.shape), dtype=np.int64)
        for axis, positions in zip(variable.axes, located, strict=True):
            flat = flat * len(axis) + positions.codes
        if variable.columns is not None:
            return variable.columns[flat]
        return flat + variable.offset

    # ------------------------------------------------------------------------------------------------- lanes

    def extend(self, frame: Frame, over: Over, body: sympy.Basic | None = None) -> Extension:
        """The lanes of an `Over` inside a frame. With `body`, lanes where a sparse factor of it is 0 are left out."""
        builder = FrameBuilder(frame)
        factor = _SparseFactor.of(self, over, body, builder.bindings) if body is not None else None
        for number_, each in enumerate(over.iterators):
            if factor is not None and number_ == factor.first and not factor.join(self, builder):
                factor = None
            if factor is None or number_ not in factor.covered:
                self._iterate(builder, each)
        for condition in over.conditions:
            current = builder.frame()
            builder.filter(np.asarray(self.numbers(condition, current), dtype=bool))
        return builder.finish()

    def _iterate(self, builder: FrameBuilder, each: Each) -> None:
        members = self.set_value(each.set, builder.bindings)
        if members is None:
            self._iterate_range(builder, each)
            return
        tuples = members.tuples if isinstance(members, Family) else members
        fresh = {
            k: slot
            for k, slot in enumerate(each.slots)
            if isinstance(slot, Index) and slot not in builder.bindings and slot not in each.slots[:k]
        }
        fixed = tuple(k for k in range(len(each.slots)) if k not in fresh)
        if not fixed:
            builder.add_dense(len(tuples), {s: (tuples.columns[k], None) for k, s in fresh.items()})
            return
        current = builder.frame()
        if isinstance(members, Family):
            self.located(each, members.axes, each.slots[: members.index_width], current)
        codes = [
            self._column_codes(tuples, k, self.evaluate(each.slots[k], current), current) for k in fixed
        ]
        join = tuples.join(fixed)
        start, count = (np.asarray(a) for a in join.ranges(codes))
        dims, lanes, within = _expand(start, count)
        chosen = join.order[within]
        builder.merge(dims, lanes, {s: (tuples.columns[k], chosen) for k, s in fresh.items()}, len(chosen))

    def _iterate_range(self, builder: FrameBuilder, each: Each) -> None:
        current = builder.frame()
        low, high, step = (self.integer_end(end, current) for end in each.set.args)
        if (step == 0).any():
            raise LaneFault("zero-step", each.set, {})
        slot = each.slots[0]
        if not isinstance(slot, Index) or slot in builder.bindings:
            builder.filter(self.in_range(slot, low, high, step, current))
            return
        low, high, step = np.broadcast_arrays(low, high, step)
        count = np.maximum(0, (high - low) // step + 1)
        dims, lanes, within = _expand(np.zeros_like(count), count)
        key = tuple(lanes)
        base = low.reshape([low.shape[d] for d in dims])[key] if dims else low.reshape(-1)[:1]
        stride = step.reshape([step.shape[d] for d in dims])[key] if dims else step.reshape(-1)[:1]
        labels = IntegerLabels(base + stride * within)
        builder.merge(dims, lanes, {slot: (labels, None)}, len(within))

    def in_range(
        self, slot: sympy.Basic, low: np.ndarray, high: np.ndarray, step: np.ndarray, frame: Frame
    ) -> np.ndarray:
        """Whether an index expression is in a range, over the frame; a text is in none."""
        value = self.evaluate(slot, frame)
        whole: np.ndarray | bool = True
        if isinstance(value, Members) and isinstance(value.labels, TextLabels):
            value, whole = _whole_members(value.labels, value.codes)
        number = as_numbers(value, slot)
        between = np.where(step > 0, (number >= low) & (number <= high), (number <= low) & (number >= high))
        return whole & between & ((number - low) % step == 0)

    def filtered(self, frame: Frame, condition: np.ndarray) -> Extension:
        """The lanes of the frame where a condition holds."""
        builder = FrameBuilder(frame)
        builder.filter(condition)
        return builder.finish()


def as_numbers(value: Value, expression: sympy.Basic) -> np.ndarray:
    """Members as the integers they are; arrays as they are."""
    if not isinstance(value, Members):
        return np.asarray(value)  # NumPy gives a scalar for an array without axes
    labels = value.labels
    if isinstance(labels, TextLabels):
        found, whole = _whole_members(labels, value.codes)
        if not whole.all():
            text = int(value.codes.reshape(-1)[np.flatnonzero(~whole.reshape(-1))[0]])
            raise LaneFault("not-a-number", expression, {}, label=labels.at(text))
        return found
    if isinstance(labels, RangeLabels):
        return labels.start + labels.step * value.codes
    return labels.integers[value.codes]


def _whole_members(labels: TextLabels, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Members of a set that may hold texts: their numbers (0 for a text), and which of them are numbers."""
    categories = labels.categories.tolist()
    whole = np.fromiter((not isinstance(c, str) for c in categories), dtype=bool, count=len(categories))
    numbers = np.zeros(len(categories), dtype=np.int64)
    numbers[whole] = labels.categories[whole].astype(np.int64)
    category = labels.codes[codes]
    return numbers[category], whole[category]


def _expand(start: np.ndarray, count: np.ndarray) -> tuple[list[int], list[np.ndarray], np.ndarray]:
    """List start, start + 1, ... `count` times for each lane: (dims that matter, lanes along them, the numbers)."""
    start, count = np.broadcast_arrays(start, count)
    dims = [d for d, size in enumerate(count.shape) if size != 1]
    shape = [count.shape[d] for d in dims]
    start, count = start.reshape(-1), count.reshape(-1)
    lane = np.repeat(np.arange(len(count)), count)
    first = np.cumsum(count) - count
    within = np.arange(len(lane)) - np.repeat(first - start, count)
    return dims, list(np.unravel_index(lane, shape)) if dims else [], within


def _same_codes(left: Members, right: Members) -> bool:
    return left.codes is right.codes or (left.dim is not None and left.dim == right.dim)


def _find_numbers(target: Labels, value: np.ndarray) -> np.ndarray:
    if isinstance(target, TextLabels):
        distinct, inverse = np.unique(value, return_inverse=True)
        sought = labels_of([int(v) if np.isfinite(v) and v == int(v) else -(2**62) for v in distinct.tolist()])
        return find(target, sought)[inverse].reshape(value.shape)
    if value.dtype.kind == "i":
        return target.find_integers(value)
    whole = np.rint(value)
    finite = np.isfinite(whole)
    positions = target.find_integers(np.where(finite, whole, 0).astype(np.int64))
    return np.where(finite & (whole == value), positions, -1)


@dataclass(frozen=True, eq=False)
class _SparseFactor:
    """A parameter in a product that is 0 almost everywhere: its stored entries replace iterators over whole axes.

    `covered` are the iterators that it replaces, `first` the earliest of them.
    """

    entry: nodes.ParameterEntry
    array: SparseArray
    fresh: dict[int, Index]  # axis number -> the new index along it
    covered: frozenset[int]
    first: int

    @staticmethod
    def of(
        lanes: LaneSets, over: Over, body: sympy.Basic, bound: Collection[Index]
    ) -> _SparseFactor | None:
        """The first factor of `body` that can do so; `bound` are the indices around the iterators."""
        whole: dict[sympy.Basic, tuple[int, nodes.NamedSet]] = {}
        seen = set(bound)
        for k, each in enumerate(over.iterators):
            slot = each.slots[0]
            alone = len(each.slots) == 1 and isinstance(slot, Index) and slot not in seen
            if alone and isinstance(each.set, nodes.NamedSet):
                whole[slot] = (k, each.set)
            seen.update(s for s in each.slots if isinstance(s, Index))
        for factor in body.args if isinstance(body, sympy.Mul) else (body,):
            if not isinstance(factor, nodes.ParameterEntry):
                continue
            array = lanes.parameters.get(factor.name)
            if not isinstance(array, SparseArray) or array.default != 0 or any(a.arity > 1 for a in array.axes):
                continue
            fresh = {
                axis: slot
                for axis, slot in enumerate(factor.slots)
                if slot in whole
                and factor.slots.count(slot) == 1
                and lanes.sets[whole[slot][1].name] is array.axes[axis]
            }
            covered = frozenset(whole[slot][0] for slot in fresh.values())
            fixed = {i for axis, s in enumerate(factor.slots) if axis not in fresh for i in s.atoms(Index)}
            if fresh and fixed.issubset(bound):
                return _SparseFactor(factor, array, fresh, covered, min(covered))
        return None

    def join(self, lanes: LaneSets, builder: FrameBuilder) -> bool:
        """Add the stored entries as lanes, unless a fixed index is outside its set: a condition may leave that out."""
        support = self.array.support
        fixed = tuple(axis for axis in range(len(self.array.axes)) if axis not in self.fresh)
        current = builder.frame()
        codes = []
        for axis in fixed:
            positions = lanes.positions(self.array.axes[axis], self.entry.slots[axis : axis + 1], current).codes
            if (positions < 0).any():
                return False
            codes.append(support.column_codes(axis, IntegerLabels(positions.reshape(-1))).reshape(positions.shape))
        if fixed:
            join = support.join(fixed)
            dims, along, within = _expand(*join.ranges(codes))
            chosen = join.order[within]
        else:
            dims, along, chosen = [], [], np.arange(len(support))
        bound = {
            index: (self.array.axes[axis].labels, np.asarray(support.columns[axis].integers)[chosen])
            for axis, index in self.fresh.items()
        }
        builder.merge(dims, along, bound, len(chosen))
        return True
