"""A template's value at one point in forty digits, with a bound on what its data's rounding may do to it.

Numbers of points, and of data, count as the decimals that their shortest text is: what a person types into a
calculator. Each value carries the error that one rounding of every datum can cause (first order), so that whoever
compares values knows which digits are facts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import sympy
from mpmath.ctx_mp import MPContext

from optdsl.atoms import ARRAYWISE, ELEMENTWISE, REDUCTIONS, AxisGroups
from optdsl.classify.witness import functions
from optdsl.model.model import DomainCondition, Model
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import Over, has_variables

DIGITS = 40
EPS = float(np.finfo(float).eps)
MOST_MEMBERS = 30_000
SURE = 1e3  # a sign is a fact when the number is this many times larger than its error
KERNEL_ERROR = 1e-11  # of functions that only the table's kernels know, relative to the largest number in sight


class Unsure(Exception):
    """Rounding decides: whether a point lies inside a domain cannot be told."""


class TooLarge(Exception):
    """More members than are worth many digits."""


@dataclass(frozen=True, eq=False, slots=True)
class Approx:
    """Numbers of the context (object array) and bounds on their errors (float array), broadcastable over a frame."""

    value: np.ndarray
    error: np.ndarray

    @staticmethod
    def of(value: Any, error: Any) -> Approx:
        """From what NumPy gives, a number itself where there are no axes."""
        return Approx(np.asarray(value, dtype=object), np.asarray(error, dtype=float))

    @property
    def size(self) -> np.ndarray:
        """Magnitudes as floats."""
        return np.abs(as_floats(self.value))


def as_floats(values: np.ndarray) -> np.ndarray:
    return np.array([float(v) for v in values.reshape(-1)], dtype=float).reshape(values.shape)


@dataclass(frozen=True, eq=False)
class Between:
    """The point weight * first + (1 - weight) * second (n,), in exact decimals."""

    first: np.ndarray
    second: np.ndarray
    weight: float


def digits() -> Any:
    """A context of its own for numbers of forty digits."""
    context = MPContext()
    context.dps = DIGITS
    return context


@dataclass(eq=False)
class Precise:
    """Evaluates templates at a point: floats (n,), or a point between two."""

    model: Model
    point: np.ndarray | Between
    context: Any = field(default_factory=digits)
    members: int = 0

    # --------------------------------------------------------------------------------------------------- entry points

    def at_lane(self, over: Over, body: sympy.Expr, lane: int | None, width: int = 1) -> Approx:
        """The body at one lane of `over` (`width` C-order lanes from lane * width on), or at all; flat."""
        frame = self.lane_frame(over, lane, width)
        found = self.find(body, frame)
        value, error = _full(found, frame.shape)
        return Approx(value.reshape(-1), error.reshape(-1))

    def lane_frame(self, over: Over, lane: int | None, width: int = 1) -> Frame:
        frame = self.model.lanes_of(over)
        if lane is None:
            return frame
        mask = np.zeros(frame.shape, dtype=bool)
        mask.reshape(-1)[lane * width : (lane + 1) * width] = True
        return self.model.lanes.filtered(frame, mask).child.as_root()

    def inside(self, conditions: Sequence[DomainCondition], frame: Frame) -> bool:
        """Whether conditions of partial functions hold; Unsure where rounding decides."""
        for condition in conditions:
            child = frame
            for over in condition.overs:
                child = self.model.lanes.extend(child, over).child
            if not child.size:
                continue
            found = self.find(condition.expression, child)
            for value, error in zip(*(a.reshape(-1) for a in _full(found, child.shape)), strict=True):
                if not self._fulfilled(condition.kind, value, error):
                    return False
        return True

    def _fulfilled(self, kind: str, value: Any, error: float) -> bool:
        if self.context.isnan(value):
            return False
        if value != 0 and abs(value) <= SURE * error:
            raise Unsure
        if kind == "positive":
            return bool(value > 0)
        return bool(value >= 0) if kind == "nonnegative" else bool(value != 0)

    # ------------------------------------------------------------------------------------------------------- the walk

    def find(self, expression: sympy.Basic, frame: Frame) -> Approx:
        """The value over the frame; nan outside domains."""
        self.members += frame.size
        if self.members > MOST_MEMBERS:
            raise TooLarge
        if isinstance(expression, sympy.Rational):
            return Approx(self._filled(frame, self.context.mpf(expression.p) / expression.q), _zeros(frame))
        if not has_variables(expression):
            values = np.asarray(self.model.lanes.numbers(expression, frame), dtype=float)
            return Approx(self._decimals(values), np.where(values == np.rint(values), 0.0, EPS * np.abs(values)))
        return _RULES[type(expression)](self, expression, frame)

    def _filled(self, frame: Frame, value: Any) -> np.ndarray:
        found = np.empty((1,) * len(frame.shape), dtype=object)
        found.fill(value)
        return found

    def _decimals(self, values: np.ndarray) -> np.ndarray:
        distinct, inverse = np.unique(values, return_inverse=True)
        read = self.context.mpf
        exact = np.empty(len(distinct), dtype=object)
        exact[:] = [read(int(v)) if v == np.rint(v) and abs(v) < 2**53 else read(repr(v)) for v in distinct.tolist()]
        return exact[inverse.reshape(-1)].reshape(values.shape)

    def _entry(self, node: nodes.VariableEntry, frame: Frame) -> Approx:
        columns = self.model.lanes.columns(node, frame)
        if isinstance(self.point, Between):
            weight = self.context.mpf(repr(self.point.weight))
            first = self._decimals(self.point.first[columns])
            value = weight * first + (1 - weight) * self._decimals(self.point.second[columns])
        else:
            value = self._decimals(self.point[columns])
        return Approx.of(value, np.zeros(columns.shape))

    def _add(self, node: sympy.Add, frame: Frame) -> Approx:
        parts = [self.find(p, frame) for p in node.args]
        return Approx.of(_sum([p.value for p in parts]), _sum([p.error for p in parts]))

    def _mul(self, node: sympy.Mul, frame: Frame) -> Approx:
        total = self.find(node.args[0], frame)
        for factor in node.args[1:]:
            other = self.find(factor, frame)
            a, b = total.size, other.size
            with np.errstate(all="ignore"):
                error = np.nan_to_num(a * other.error + b * total.error + total.error * other.error, posinf=np.inf)
            total = Approx.of(total.value * other.value, error)
        return total

    def _pow(self, node: sympy.Pow, frame: Frame) -> Approx:
        parts = [self.find(node.base, frame), self.find(node.exp, frame)]
        return self._entrywise(partial(functions.ELEMENTWISE["pow"], self.context), parts)

    def _apply(self, node: nodes.Apply, frame: Frame) -> Approx:
        parts = [self.find(s, frame) for s in node.slots]
        known = functions.ELEMENTWISE.get(node.name)
        if known is not None:
            return self._entrywise(partial(known, self.context), parts)
        kernel = ELEMENTWISE[node.name].kernel
        return self._entrywise(lambda *a: self._by_kernel(kernel, a), parts, KERNEL_ERROR)

    def _by_kernel(self, kernel: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        value = float(kernel(*[np.float64(float(a)) for a in arguments]))
        return None if np.isnan(value) else self.context.mpf(value)

    def _entrywise(self, function: Callable[..., Any], parts: Sequence[Approx], rounding: float = 0.0) -> Approx:
        """A function entry by entry; its error from what it does where its arguments move by theirs."""
        values = np.broadcast_arrays(*[p.value for p in parts])
        errors = np.broadcast_arrays(*[p.error for p in parts])
        shape = values[0].shape
        found, error = np.empty(values[0].size, dtype=object), np.zeros(values[0].size)
        flat_values = list(zip(*(v.reshape(-1) for v in values), strict=True))
        flat_errors = list(zip(*(e.reshape(-1).tolist() for e in errors), strict=True))
        for k, (arguments, moves) in enumerate(zip(flat_values, flat_errors, strict=True)):
            found[k], error[k] = self._perturbed(function, arguments, moves)
            if rounding:
                error[k] += rounding * max(float(abs(a)) for a in (found[k], *arguments))
        return Approx(found.reshape(shape), error.reshape(shape))

    def _perturbed(
        self, function: Callable[..., Any], arguments: Sequence[Any], moves: Sequence[float]
    ) -> tuple[Any, float]:
        """The function's value, and how far it goes where its arguments move by their errors."""
        if any(self.context.isnan(a) for a in arguments):
            return self.context.nan, 0.0
        value = function(*arguments)
        error = 0.0
        for k, move in enumerate(moves):
            for step in (SURE * move, -SURE * move) if move else ():
                moved = function(*arguments[:k], arguments[k] + step, *arguments[k + 1 :])
                if (moved is None) != (value is None):
                    raise Unsure
                if value is not None:
                    error = max(error, float(abs(moved - value)) / SURE)
        return (self.context.nan if value is None else value), error * max(1, len(moves))

    # ------------------------------------------------------------------------------------------------------ reductions

    def _reduce(self, node: nodes.Reduce, frame: Frame) -> Approx:
        root = Frame(frame.shape, frame.bindings).as_root()
        child = self.model.lanes.extend(root, node.over, node.body if node.name == "sum" else None).child
        part = self.find(node.body, child)
        value, error = (a.reshape(-1) for a in _full(part, child.shape))
        rows = np.broadcast_to(child.root_rows(), child.shape).reshape(-1)
        order = np.argsort(rows, kind="stable")
        ends = np.searchsorted(rows[order], np.arange(root.size + 1))
        extra = [self.context.mpf(float(self.model.lanes.numbers(e, frame).reshape(-1)[0])) for e in node.extra]
        found, errors = np.empty(root.size, dtype=object), np.zeros(root.size)
        for k in range(root.size):
            members = order[ends[k] : ends[k + 1]]
            found[k], errors[k] = self._fold(node.name, list(value[members]), error[members], extra)
        return Approx(found.reshape(root.shape), errors.reshape(root.shape))

    def _fold(self, name: str, members: list[Any], errors: np.ndarray, extra: list[Any]) -> tuple[Any, float]:
        if any(self.context.isnan(v) for v in members):
            return self.context.nan, 0.0
        known = functions.REDUCTIONS.get(name)
        if known is None:
            return self._fold_by_kernel(name, members, errors, extra)
        value = known(self.context, members, *extra)
        if not errors.any():
            return (self.context.nan if value is None else value), 0.0
        if value is not None and name in functions.NOT_STEEP:
            return value, float(errors.sum())
        return self._moved(lambda x: known(self.context, x, *extra), members, errors, value)

    def _moved(
        self, function: Callable[[list[Any]], Any], members: list[Any], errors: np.ndarray, value: Any
    ) -> tuple[Any, float]:
        """The error of a function of a list: one member after the other moves by SURE errors."""
        total = 0.0
        for k in np.flatnonzero(errors):
            step = SURE * float(errors[k])
            reached = [function([*members[:k], members[k] + s, *members[k + 1 :]]) for s in (step, -step)]
            if any((r is None) != (value is None) for r in reached):
                raise Unsure
            if value is not None:
                total += max(float(abs(r - value)) for r in reached) / SURE
        return (self.context.nan if value is None else value), total

    def _fold_by_kernel(
        self, name: str, members: list[Any], errors: np.ndarray, extra: list[Any]
    ) -> tuple[Any, float]:
        floats = np.array([float(v) for v in members])
        found = REDUCTIONS[name].kernel(floats, AxisGroups(floats.shape), *[float(e) for e in extra])
        value = float(np.asarray(found).reshape(-1)[0])
        if np.isnan(value):
            return self.context.nan, 0.0
        largest = max(abs(value), float(np.abs(floats).max(initial=0.0)))
        return self.context.mpf(value), KERNEL_ERROR * largest + float(errors.sum()) * 1e3

    # ---------------------------------------------------------------------------------------------------- whole arrays

    def _array_call(self, node: nodes.ArrayCall, frame: Frame) -> Approx:
        arguments = [self._array(a, frame) for a in node.arguments]
        same = all(own for _, _, own in arguments)
        count = 1 if same else frame.size
        results = []
        for k in range(count):
            values = [a[min(k, len(a) - 1)] for a, _, _ in arguments]
            errors = [e[min(k, len(e) - 1)] for _, e, _ in arguments]
            results.append(self._array_value(node.name, values, errors))
        at = [np.broadcast_to(self.model.lanes.numbers(p, frame), frame.shape).reshape(-1) for p in node.positions]
        found, error = np.empty(frame.size, dtype=object), np.zeros(frame.size)
        for k in range(frame.size):
            value, found_error = results[0 if same else k]
            for positions in at:
                value = value if value is None else value[int(positions[k])]
            found[k] = self.context.nan if value is None else value
            error[k] = found_error
        return Approx(found.reshape(frame.shape), error.reshape(frame.shape))

    def _array(self, argument: sympy.Basic, frame: Frame) -> tuple[list[Any], list[np.ndarray], bool]:
        """One array (nested lists) and its errors per lane of the frame, and whether all lanes share it."""
        axes = argument.axes if isinstance(argument, nodes.Block) else ()
        body = argument.body if isinstance(argument, nodes.Block) else argument
        child = self.model.lanes.extend(frame, nodes.over(axes)).child
        found = self.find(body, child)
        depth = len(frame.shape)
        same = all(size == 1 for size in found.value.shape[:depth])
        lead = (1,) * depth if same else frame.shape
        value, error = _full(found, (*lead, *child.shape[depth:]))
        shape = (-1, *child.shape[depth:])
        value, error = value.reshape(shape), error.reshape(shape)
        return [v.tolist() if axes else v for v in value], list(error), same

    def _array_value(self, name: str, values: list[Any], errors: list[np.ndarray]) -> tuple[Any, float]:
        """A function of whole arrays; its data's error by one move of all entries, taken ten times over."""
        if any(self.context.isnan(v) for a in values for v in _entries(a)):
            return None, 0.0
        known = functions.ARRAYS.get(name)
        if known is None:
            return self._array_by_kernel(name, values, errors)
        value = known(self.context, *values)
        if not any(e.any() for e in errors):
            return value, 0.0
        total = 0.0
        for sign in (1.0, -1.0):
            moved = [_plus(v, sign * SURE * e) for v, e in zip(values, errors, strict=True)]
            reached = known(self.context, *moved)
            if (reached is None) != (value is None):
                raise Unsure
            if value is not None:
                apart = [abs(a - b) for a, b in zip(_entries(reached), _entries(value), strict=True)]
                total = max(total, float(max(apart)) / SURE)
        return value, 10.0 * total

    def _array_by_kernel(self, name: str, values: list[Any], errors: list[np.ndarray]) -> tuple[Any, float]:
        flat = [np.array([float(v) for v in _entries(a)]) for a in values]
        floats = [f.reshape(np.shape(e)) for f, e in zip(flat, errors, strict=True)]
        value = np.asarray(ARRAYWISE[name].kernel(*floats), dtype=float)
        if np.isnan(value).any():
            return None, 0.0
        largest = max(float(np.abs(value).max()), *(float(np.abs(f).max()) for f in floats))
        return self._decimals(value).tolist(), KERNEL_ERROR * largest + 1e3 * sum(float(e.sum()) for e in errors)

    # -------------------------------------------------------------------------------------------------------- branches

    def _choose(self, node: nodes.Choose, frame: Frame) -> Approx:
        condition, then, otherwise = node.args
        holds = self.model.lanes.condition(condition, frame)
        return self._branches([(holds, then), (~holds, otherwise)], frame)

    def _pick(self, node: nodes.Pick, frame: Frame) -> Approx:
        position = self.model.lanes.numbers(node.args[0], frame)
        return self._branches([(position == k, b) for k, b in enumerate(node.args[1:])], frame)

    def _branches(self, branches: Sequence[tuple[np.ndarray, sympy.Basic]], frame: Frame) -> Approx:
        value, error = np.empty(frame.shape, dtype=object), np.zeros(frame.shape)
        for mask, branch in branches:
            if mask.all():
                return self.find(branch, frame)
            if mask.any():
                extension = self.model.lanes.filtered(frame, mask)
                part = self.find(branch, extension.child)
                extension.scatter(value, part.value)
                extension.scatter(error, part.error)
        return Approx(value, error)


def _full(found: Approx, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.broadcast_to(found.value, shape), np.broadcast_to(found.error, shape)


def _zeros(frame: Frame) -> np.ndarray:
    return np.zeros((1,) * len(frame.shape))


def _sum(parts: Sequence[np.ndarray]) -> np.ndarray:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _entries(array: Any) -> list[Any]:
    """The numbers in nested lists."""
    return [v for part in array for v in _entries(part)] if isinstance(array, list) else [array]


def _plus(array: Any, moves: Any) -> Any:
    if isinstance(array, list):
        return [_plus(v, m) for v, m in zip(array, moves, strict=True)]
    return array + float(moves)


_RULES: dict[type, Callable[[Precise, Any, Frame], Approx]] = {
    nodes.VariableEntry: Precise._entry,
    sympy.Add: Precise._add,
    sympy.Mul: Precise._mul,
    sympy.Pow: Precise._pow,
    nodes.Apply: Precise._apply,
    nodes.Reduce: Precise._reduce,
    nodes.ArrayCall: Precise._array_call,
    nodes.Choose: Precise._choose,
    nodes.Pick: Precise._pick,
}


__all__ = ["MOST_MEMBERS", "Approx", "Between", "Precise", "TooLarge", "Unsure"]
