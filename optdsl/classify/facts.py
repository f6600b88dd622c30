"""Facts about every part of a template over all its lanes at once: interval, curvature, smoothness.

One composition rule serves every function (Boyd and Vandenberghe, 2004, section 3.2.4; Grant, Boyd and Ye, 2006): a
convex function of arguments is convex when each argument is affine, or convex where the function does not decrease in
it, or concave where it does not increase. What a function does is told by its row of the table of atoms.

Curvature is a number per lane: 1 convex, -1 concave, 0 affine, nan unknown. Intervals are sound: ends of sums and
products are moved outward by a few units in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import sympy

from optdsl.atoms import ARRAYWISE, ENTRIES, REDUCTIONS, Interval, Smoothness
from optdsl.atoms.intervals import plus
from optdsl.classify.ends import open_box
from optdsl.classify.smoothness import of_power, of_product
from optdsl.model.model import Model
from optdsl.terms import nodes
from optdsl.terms.evaluate import Lanes
from optdsl.terms.fold import Fold
from optdsl.terms.frame import Extension, Frame
from optdsl.terms.nodes import has_variables

SMOOTH = int(Smoothness.SMOOTH)
MARGIN = 4 * np.finfo(float).eps


@dataclass(frozen=True, eq=False, slots=True)
class Fact:
    """What is known of an expression; arrays broadcast over the frame's lanes.

    lo, hi: its values lie between. curvature: 1, -1, 0 or nan. smooth: a number of `Smoothness`. `reason` says in a
    few words by which rule the curvature was found, or why none was.
    """

    lo: np.ndarray
    hi: np.ndarray
    curvature: np.ndarray
    smooth: np.ndarray
    reason: str = ""

    @property
    def interval(self) -> Interval:
        return Interval(self.lo, self.hi)

    @property
    def convex(self) -> np.ndarray:
        """Where it is convex (affine counts)."""
        return self.curvature >= 0

    @property
    def concave(self) -> np.ndarray:
        """Where it is concave (affine counts)."""
        return self.curvature <= 0

    @property
    def affine(self) -> np.ndarray:
        return self.curvature == 0


def _place(frame: Frame) -> int:
    """What tells a frame from others: one lane without indices is always the same one."""
    return id(frame) if frame.shape else 0


def _nothing(frame: Frame) -> Fact:
    """The facts of a variable where there are no lanes: no entry is looked up, so none can be missing."""
    zero = np.zeros(tuple(min(size, 1) for size in frame.shape))
    return Fact(zero, zero, zero, np.full(zero.shape, SMOOTH), "variable")


class Known(Protocol):
    """What is known of D beyond bounds of variables."""

    def interval(self, expression: sympy.Basic, frame: Frame) -> tuple[np.ndarray, np.ndarray] | None:
        """Bounds of an affine expression over the lanes of a frame; None where nothing more is known."""


@dataclass(eq=False)
class Facts:
    """Finds facts. `lower` and `upper` (n,) bound the model's columns on the domain D.

    `known` bounds affine expressions further; `plain` are then the facts on the declared bounds alone.
    """

    lanes: Lanes
    lower: np.ndarray
    upper: np.ndarray
    known: Known | None = None
    plain: Facts | None = None
    _memo: dict[tuple[int, sympy.Basic], tuple[Frame, Fact]] = field(default_factory=dict)
    _sharp: dict[tuple[int, sympy.Basic], tuple[Frame, Fact]] = field(default_factory=dict)
    _extensions: dict[tuple[int, sympy.Basic], Extension] = field(default_factory=dict)

    @staticmethod
    def of(model: Model) -> Facts:
        """Facts on the declared bounds."""
        variables = list(model.variables.values())
        lower = np.concatenate([v.lower for v in variables]) if variables else np.zeros(0)
        upper = np.concatenate([v.upper for v in variables]) if variables else np.zeros(0)
        return Facts(model.lanes, lower, upper)

    def extended(self, frame: Frame, over: nodes.Over) -> Extension:
        """The lanes of an iteration inside a frame; the same ones whenever they are asked for."""
        key = (_place(frame), over)
        if key not in self._extensions:
            self._extensions[key] = self.lanes.extend(frame, over)
        return self._extensions[key]

    def find(self, expression: sympy.Basic, frame: Frame) -> Fact:
        """The facts of an expression over a frame."""
        fact = self._of_parts(expression, frame)
        if self.known is None or type(expression) not in (sympy.Add, nodes.Reduce) or not frame.size:
            return fact
        key = (_place(frame), expression)
        if key not in self._sharp:
            self._sharp[key] = (frame, self._sharpened(expression, frame, fact))
        return self._sharp[key][1]

    def _sharpened(self, expression: sympy.Basic, frame: Frame, fact: Fact) -> Fact:
        """The facts of an affine expression, with what D says of it as a whole."""
        if not bool(fact.affine.all()) or not has_variables(expression):
            return fact
        assert self.known is not None
        found = self.known.interval(expression, frame)
        if found is None:
            return fact
        lo, hi = np.maximum(fact.lo, found[0]), np.minimum(fact.hi, found[1])
        crossed = lo > hi  # by rounding only: D is not empty
        return _short(replace(fact, lo=np.where(crossed, fact.lo, lo), hi=np.where(crossed, fact.hi, hi)))

    def _of_parts(self, expression: sympy.Basic, frame: Frame) -> Fact:
        """The facts that the parts of an expression tell."""
        key = (_place(frame), expression)
        if key not in self._memo:
            self._memo[key] = (frame, _short(self._find(expression, frame)))
        return self._memo[key][1]

    def _find(self, expression: sympy.Basic, frame: Frame) -> Fact:
        if not has_variables(expression):
            value = np.asarray(self.lanes.numbers(expression, frame), dtype=float)
            return Fact(value, value, np.zeros(value.shape), np.full(value.shape, SMOOTH), "constant")
        rule = _RULES.get(type(expression))
        if rule is None:
            return _unknown(frame, f"{type(expression).__name__} of variables")
        return rule(self, expression, frame)

    # ------------------------------------------------------------------------------------------- leaves and sums

    def _entry(self, node: nodes.VariableEntry, frame: Frame) -> Fact:
        if not frame.size:
            return _nothing(frame)
        bounds = self._shared_bounds(node, frame)
        if bounds is not None:
            shape = (1,) * len(frame.shape)
            return Fact(*bounds, np.zeros(shape), np.full(shape, SMOOTH), "variable")
        columns = self.lanes.columns(node, frame)
        shape = columns.shape
        return Fact(self.lower[columns], self.upper[columns], np.zeros(shape), np.full(shape, SMOOTH), "variable")

    def _shared_bounds(self, node: nodes.VariableEntry, frame: Frame) -> tuple[np.ndarray, np.ndarray] | None:
        """The bounds that all entries of a variable have, as one number each: then it is not asked which a lane takes.

        None where they differ, or where there are few lanes. An index outside the variable's sets is a fault all the
        same.
        """
        variable = self.lanes.variables[node.name]
        if variable.columns is not None or frame.size < MANY:
            return None
        size = math.prod(map(len, variable.axes))
        lower = self.lower[variable.offset : variable.offset + size]
        upper = self.upper[variable.offset : variable.offset + size]
        if not size or (lower != lower[0]).any() or (upper != upper[0]).any():
            return None
        self.lanes.located(node, variable.axes, node.slots, frame)
        shape = (1,) * len(frame.shape)
        return np.full(shape, lower[0]), np.full(shape, upper[0])

    def _add(self, node: sympy.Add, frame: Frame) -> Fact:
        parts = [self._of_parts(p, frame) for p in node.args]
        box = parts[0].interval
        for part in parts[1:]:
            box = plus(box, part.interval)
        curvature = _sum_curvature([p.curvature for p in parts])
        return Fact(box.lo, box.hi, curvature, _roughest(parts), "a sum of terms of one curvature")

    def _mul(self, node: sympy.Mul, frame: Frame) -> Fact:
        moving = [f for f in node.args if has_variables(f)]
        data = [part for part in node.args if part not in moving]
        numbers = [np.asarray(self.lanes.numbers(part, frame), dtype=float) for part in data]
        factor = numbers[0] if numbers else np.ones((1,) * len(frame.shape))
        for number in numbers[1:]:
            with np.errstate(invalid="ignore", over="ignore"):
                factor = factor * number
        facts = [self.find(f, frame) for f in moving]
        lo, hi = facts[0].lo, facts[0].hi
        for fact in facts[1:]:
            lo, hi = _times(lo, hi, fact.lo, fact.hi)
        if numbers:
            lo, hi = (np.asarray(end) for end in _scaled(lo, hi, factor))
        if len(facts) == 1:
            curvature = facts[0].curvature
            if not (curvature == 0).all():
                curvature = np.where(factor == 0, 0.0, np.sign(factor) * curvature)
            return Fact(lo, hi, curvature, facts[0].smooth, "a multiple by data")
        curvature = np.where(factor == 0, 0.0, np.full(np.broadcast_shapes(lo.shape, factor.shape), np.nan))
        smooth, mended = _roughest(facts), of_product(self, moving, frame)
        smooth = smooth if mended is None else np.maximum(smooth, mended)
        return Fact(lo, hi, curvature, smooth, "a product of two expressions with variables; neither is constant")

    def _pow(self, node: sympy.Pow, frame: Frame) -> Fact:
        fact = self._composed(ENTRIES["pow"], [node.base, node.exp], frame)
        return self._mended(fact, node.base, node.exp, frame)

    def _mended(self, fact: Fact, base: sympy.Expr, exponent: sympy.Expr, frame: Frame) -> Fact:
        """The facts of a power, whose exponent may take a kink of the base away."""
        mended = of_power(self, base, exponent, frame)
        return fact if mended is None else replace(fact, smooth=np.maximum(fact.smooth, mended))

    def _apply(self, node: nodes.Apply, frame: Frame) -> Fact:
        row = ENTRIES[node.name]
        fact = self._composed(row, list(node.slots), frame)
        if row.name == "pow":
            return self._mended(fact, node.slots[0], node.slots[1], frame)
        if row.shown is None:
            return fact
        return replace(fact, curvature=np.full(fact.curvature.shape, row.shown))

    # ------------------------------------------------------------------------------------- the composition rule

    def _composed(self, row, arguments: Sequence[sympy.Basic], frame: Frame) -> Fact:
        facts = [self.find(a, frame) for a in arguments]
        boxes = [f.interval for f in facts]
        inside: Any = True
        if row.domain.restrict is not None:
            boxes = list(row.domain.restrict(*boxes))
            inside = _convex_domain(facts, boxes)
        nowhere: np.ndarray = np.asarray(False)  # where no argument is in the domain: as good as constant
        for limits in boxes:
            nowhere = nowhere | (limits.lo > limits.hi)
        with np.errstate(all="ignore"):
            box = row.range(*boxes)
            own = np.where(nowhere, 0.0, np.where(inside, row.curvature(*boxes), np.nan))
            slopes = row.slope(*boxes)
            smooth = row.smoothness(*boxes)
            if int(np.min(smooth, initial=SMOOTH)) < SMOOTH:
                smooth = row.smoothness(*[
                    open_box(self, a, f, b, frame) for a, f, b in zip(arguments, facts, boxes, strict=True)
                ])
        moving = [k for k, a in enumerate(arguments) if has_variables(a)]
        curvature = compose(own, [slopes[k] for k in moving], [facts[k].curvature for k in moving])
        smooth = np.minimum(smooth, _roughest([facts[k] for k in moving]))
        lo, hi = (np.where(nowhere, 0.0, end) for end in (box.lo, box.hi))
        return Fact(lo, hi, curvature, smooth, f"`{row.name}`")

    def _reduce(self, node: nodes.Reduce, frame: Frame) -> Fact:
        row = REDUCTIONS[node.name]
        extension = self.extended(frame, node.over)
        if node.name in ("sum", "mean") and extension.child.size > HUGE and _is_linear(node.body):
            shape = (1,) * len(frame.shape)
            ends = np.full(shape, -np.inf), np.full(shape, np.inf)
            return Fact(*ends, np.zeros(shape), np.full(shape, int(SMOOTH)), f"`{node.name}`")
        fact = self.find(node.body, extension.child)
        extra = [self.lanes.numbers(e, frame).reshape(-1)[0] for e in node.extra]
        fold = Fold(extension, [fact.lo, fact.hi, fact.curvature, fact.smooth])
        box = Interval(fold.members(fact.lo), fold.members(fact.hi))
        points = [Interval(np.asarray(e, dtype=float), np.asarray(e, dtype=float)) for e in extra]
        with np.errstate(all="ignore"):
            found = row.range(box, fold.groups, *points)
            own = row.curvature(box, fold.groups, *points)
            slope = row.slope(box, fold.groups, *points)[0]
            smooth = row.smoothness(box, fold.groups, *points)
            if int(np.min(smooth, initial=SMOOTH)) < SMOOTH:
                inside = open_box(self, node.body, fact, fact.interval, extension.child)
                inside = Interval(fold.members(inside.lo), fold.members(inside.hi))
                smooth = row.smoothness(inside, fold.groups, *points)
        if node.name in ("sum", "mean"):
            # rounding outward must not lose a sign
            found = Interval(
                np.where(fold.groups.all(box.lo >= 0), np.maximum(found.lo, 0.0), found.lo),
                np.where(fold.groups.all(box.hi <= 0), np.minimum(found.hi, 0.0), found.hi),
            )
        inner = fold.members(fact.curvature)
        convex = fold.groups.all(_kept_convex(slope, inner))
        concave = fold.groups.all(_kept_concave(slope, inner))
        curvature = _curvature((own >= 0) & convex, (own <= 0) & concave)
        smooth = np.minimum(
            smooth, np.minimum(fold.groups.min(fold.members(fact.smooth).astype(float)), SMOOTH).astype(int)
        )
        return Fact(
            fold.result(_spread_to(found.lo, fold)),
            fold.result(_spread_to(found.hi, fold)),
            fold.result(_spread_to(curvature, fold)),
            fold.result(_spread_to(smooth, fold)),
            f"`{node.name}`",
        )

    def _array_call(self, node: nodes.ArrayCall, frame: Frame) -> Fact:
        row = ARRAYWISE.get(node.name)
        if row is None or node.positions or len(frame.shape):
            return _unknown(frame, f"`{node.name}` of variables")
        facts = [self._block(argument, frame) for argument in node.arguments]
        boxes = [f.interval for f in facts]
        with np.errstate(all="ignore"):
            box, own = row.range(*boxes), row.curvature(*boxes)
            slopes, smooth = row.slope(*boxes), row.smoothness(*boxes)
        moving = [k for k, a in enumerate(node.arguments) if has_variables(a)]
        convex = all(bool(_kept_convex(slopes[k], facts[k].curvature).all()) for k in moving)
        concave = all(bool(_kept_concave(slopes[k], facts[k].curvature).all()) for k in moving)
        curvature = _curvature((own >= 0) & convex, (own <= 0) & concave)
        smooth = np.minimum(smooth, min(int(np.min(facts[k].smooth)) for k in moving))
        return Fact(np.asarray(box.lo), np.asarray(box.hi), np.asarray(curvature), np.asarray(smooth), f"`{node.name}`")

    def _block(self, argument: sympy.Basic, frame: Frame) -> Fact:
        if not isinstance(argument, nodes.Block):
            fact = self.find(argument, frame)
            return Fact(*(np.asarray(v.reshape(-1)[0]) for v in (fact.lo, fact.hi, fact.curvature, fact.smooth)))  # type: ignore[arg-type]
        child = self.extended(frame, nodes.over(argument.axes)).child
        fact = self.find(argument.body, child)
        return Fact(*(np.broadcast_to(v, child.shape) for v in (fact.lo, fact.hi, fact.curvature, fact.smooth)))  # type: ignore[arg-type]

    # ----------------------------------------------------------------------------------------------- branches

    def _choose(self, node: nodes.Choose, frame: Frame) -> Fact:
        condition, then, otherwise = node.args
        holds = self.lanes.condition(condition, frame)
        return self._branches([(holds, then), (~holds, otherwise)], frame)

    def _pick(self, node: nodes.Pick, frame: Frame) -> Fact:
        position = self.lanes.numbers(node.args[0], frame)
        return self._branches([(position == k, b) for k, b in enumerate(node.args[1:])], frame)

    def _branches(self, branches: Sequence[tuple[np.ndarray, sympy.Basic]], frame: Frame) -> Fact:
        for mask, branch in branches:
            if mask.all():
                return self.find(branch, frame)
        whole = [np.zeros(frame.shape) for _ in range(4)]
        for mask, branch in branches:
            if mask.any():
                extension: Extension = self.lanes.filtered(frame, mask)
                fact = self.find(branch, extension.child)
                for target, value in zip(whole, (fact.lo, fact.hi, fact.curvature, fact.smooth), strict=True):
                    extension.scatter(target, value)
        return Fact(whole[0], whole[1], whole[2], whole[3].astype(int), "the branch taken at each index")


def _short(fact: Fact) -> Fact:
    """The same with one number where all lanes agree: most bounds and curvatures do, however many lanes there are."""
    lo, hi, curvature, smooth = (_shortened(v) for v in (fact.lo, fact.hi, fact.curvature, fact.smooth))
    return replace(fact, lo=lo, hi=hi, curvature=curvature, smooth=smooth)


def _shortened(values: np.ndarray) -> np.ndarray:
    if values.size < 2:
        return values
    flat = values.reshape(-1)
    first, last = flat[0], flat[-1]
    if first != last and not np.isnan(first):  # most often seen without a look at all lanes
        return values
    same = np.isnan(values).all() if np.isnan(first) else (values == first).all()
    # a copy: a view would keep all lanes in memory
    return values[(slice(0, 1),) * values.ndim].copy() if same else values


def compose(own: np.ndarray, slopes: Sequence[np.ndarray], inner: Sequence[np.ndarray]) -> np.ndarray:
    """The curvature of a function with curvature `own` and these slopes, of arguments with these curvatures."""
    convex, concave = own >= 0, own <= 0
    for slope, curvature in zip(slopes, inner, strict=True):
        convex = convex & _kept_convex(slope, curvature)
        concave = concave & _kept_concave(slope, curvature)
    return _curvature(convex, concave)


def _convex_domain(facts: Sequence[Fact], boxes: Sequence[Interval]) -> np.ndarray:
    """Where the arguments are in the function's domain on a convex set.

    An argument that may fall below the domain must be concave, one that may rise above it convex: then the set where
    it does not is convex (Boyd and Vandenberghe, 2004, section 3.1.6).
    """
    fits: np.ndarray = np.asarray(True)
    for fact, box in zip(facts, boxes, strict=True):
        fits = fits & ((box.lo <= fact.lo) | fact.concave) & ((box.hi >= fact.hi) | fact.convex)
    return fits


def _kept_convex(slope: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Where an argument keeps an outer convex function convex."""
    return (inner == 0) | ((slope >= 0) & (inner >= 0)) | ((slope <= 0) & (inner <= 0))


def _kept_concave(slope: np.ndarray, inner: np.ndarray) -> np.ndarray:
    return (inner == 0) | ((slope >= 0) & (inner <= 0)) | ((slope <= 0) & (inner >= 0))


def _curvature(convex: np.ndarray, concave: np.ndarray) -> np.ndarray:
    return np.where(convex & concave, 0.0, np.where(convex, 1.0, np.where(concave, -1.0, np.nan)))


def _sum_curvature(parts: Sequence[np.ndarray]) -> np.ndarray:
    convex, concave = parts[0] >= 0, parts[0] <= 0
    for part in parts[1:]:
        convex, concave = convex & (part >= 0), concave & (part <= 0)
    return _curvature(convex, concave)


def _roughest(facts: Sequence[Fact]) -> np.ndarray:
    smooth = facts[0].smooth
    for fact in facts[1:]:
        smooth = np.minimum(smooth, fact.smooth)
    return smooth


def _outward(lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = lo - MARGIN * np.abs(lo), hi + MARGIN * np.abs(hi)
    return np.where(np.isfinite(lo), low, -np.inf), np.where(np.isfinite(hi), high, np.inf)


def _times(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[a, b] x [c, d], with 0 x inf = 0 (an end that is reached times one that is not)."""
    corners = [_product(x, y) for x in (a, b) for y in (c, d)]
    lo, hi = corners[0], corners[0]
    for corner in corners[1:]:
        lo, hi = np.minimum(lo, corner), np.maximum(hi, corner)
    return _outward(lo, hi)


def _scaled(lo: np.ndarray, hi: np.ndarray, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[lo, hi] times a number."""
    if lo.size == hi.size == 1 and lo.item() == -np.inf and hi.item() == np.inf and np.isfinite(factor).all():
        # without bounds the size of the number does not matter
        if factor.all():
            factor = factor[(slice(0, 1),) * factor.ndim]
        return np.where(factor == 0, 0.0, -np.inf), np.where(factor == 0, 0.0, np.inf)
    ends = _product(lo, factor), _product(hi, factor)
    exact = np.minimum(*ends), np.maximum(*ends)
    turned = np.abs(factor) == 1.0  # a change of sign is no rounding
    low, high = _outward(*exact)
    return np.where(turned, exact[0], low), np.where(turned, exact[1], high)


def _product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        product = np.asarray(x * y)
    undefined = np.isnan(product)
    return np.where(undefined, 0.0, product) if undefined.any() else product


def _spread_to(value: np.ndarray, fold: Fold) -> np.ndarray:
    return np.broadcast_to(value, np.shape(fold.groups.count) if np.ndim(value) == 0 else np.shape(value))


MANY = 100_000
"""Lanes from which it is worth a look whether a variable's entries share their bounds."""
HUGE = 30_000_000
"""Lanes of a linear sum beyond which its bounds are not computed: it is affine whatever its data are."""


def _is_linear(expression: sympy.Basic) -> bool:
    """Whether an expression is linear in the variables by its nodes: sums of data times one entry of a variable."""
    if not has_variables(expression) or isinstance(expression, nodes.VariableEntry):
        return True
    if isinstance(expression, sympy.Add):
        return all(_is_linear(a) for a in expression.args)
    if isinstance(expression, sympy.Mul):
        return sum(has_variables(a) for a in expression.args) == 1 and all(_is_linear(a) for a in expression.args)
    return isinstance(expression, nodes.Reduce) and expression.name == "sum" and _is_linear(expression.body)


def _unknown(frame: Frame, reason: str) -> Fact:
    shape = (1,) * len(frame.shape)
    return Fact(np.full(shape, -np.inf), np.full(shape, np.inf), np.full(shape, np.nan), np.full(shape, 0), reason)


Rule = Callable[..., Fact]
_RULES: dict[type, Rule] = {
    nodes.VariableEntry: Facts._entry,
    sympy.Add: Facts._add,
    sympy.Mul: Facts._mul,
    sympy.Pow: Facts._pow,
    nodes.Apply: Facts._apply,
    nodes.Reduce: Facts._reduce,
    nodes.ArrayCall: Facts._array_call,
    nodes.Choose: Facts._choose,
    nodes.Pick: Facts._pick,
}
