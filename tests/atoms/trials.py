"""Boxes and points to try a row on, the same for every kind of row.

A `Trial` holds one box for each argument with a leading batch axis of N boxes, and calls the row's rules on batches
in one uniform way: entries have core shape (), groups (m,), arrays the shape of the row's own examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.atoms import Atom, AxisGroups, F, Interval

PATTERNS = np.array([
    (-np.inf, np.inf), (-np.inf, -1), (-np.inf, 0), (0, np.inf), (1, np.inf), (-np.inf, 1), (-1, np.inf),
    (-2, -1), (-1, 0), (0, 1), (1, 2), (-1, 1), (-0.5, 3), (-3, 0.5), (0, 0), (1, 1), (-1, -1), (2.5, 2.5),
    (0.1, 0.3), (-1e-3, 1e-3), (1e-3, 1), (-1, -1e-3), (0.3, 0.4), (-0.9, 0.9), (0, np.pi), (np.pi, 2 * np.pi),
    (-np.pi / 2, np.pi / 2), (-np.pi, 0), (-100, 100), (5, 6), (-6, -5), (0, 1e-6), (2, 40), (-40, -2), (-1.4, 1.4),
    (1.5, 4), (-4, -1.5), (-0.7, 5), (-1.2, -0.8), (0.36, 0.37),
])
DATA = np.array([-3, -2, -1, -0.5, 0, 0.1, 0.5, 1, 1.5, 2, 2.5, 3, 4])


@dataclass(frozen=True)
class Trial:
    """A row and N boxes for each of its arguments (N, *core)."""

    row: Atom
    boxes: tuple[Interval, ...]
    plain: tuple[bool, ...]
    """Arguments that are plain numbers without a batch axis (the sizes of `reshape`)."""

    @property
    def size(self) -> int:
        return len(self.boxes[0].lo)

    @property
    def free(self) -> list[int]:
        """Positions of the arguments that are not data."""
        return [i for i in range(len(self.boxes)) if not self.row.is_data(i)]

    def _extra(self, values: Any) -> tuple[Any, ...]:
        if self.row.acts_on == "groups":
            return (values[0], AxisGroups(np.shape(values[0]), 1), *values[1:])
        return tuple(values)

    def _keywords(self) -> dict[str, int]:
        return {"batch": 1} if self.row.acts_on == "arrays" else {}

    def value(self, points: Any) -> np.ndarray:
        """The kernel, result (N, *result core)."""
        return self.row.kernel(*self._extra(points), **self._keywords())

    def inside(self, points: Any) -> np.ndarray:
        """The domain rule, (N, ...)."""
        inside = self.row.inside(*self._extra(points), **self._keywords())
        return inside if inside.ndim else np.broadcast_to(inside, self.size)

    def rule(self, name: str, boxes: tuple[Interval, ...]) -> Any:
        """A rule of the row (`range`, `slope`, `curvature`, `smoothness`) on boxes."""
        if self.row.acts_on == "groups":
            arguments: tuple[Any, ...] = (boxes[0], AxisGroups(boxes[0].lo.shape, 1), *boxes[1:])
        else:
            arguments = boxes
        return getattr(self.row, name)(*arguments, **self._keywords())

    def restricted(self) -> tuple[Interval, ...]:
        """The boxes cut to the domain's closed box."""
        if self.row.domain.restrict is None:
            return self.boxes
        cut = self.row.domain.restrict(*self._extra(self.boxes) if self.row.acts_on != "groups" else (
            self.boxes[0], AxisGroups(self.boxes[0].lo.shape, 1), *self.boxes[1:]), **self._keywords())
        return (*cut, *self.boxes[len(cut):])

    def gradient(self, points: Any, direction: Any) -> np.ndarray:
        """The derivative of the kernel along a direction, (N, *result core), by the row's derivative rule."""
        row = self.row
        with np.errstate(all="ignore"):
            if row.acts_on == "entries":
                partials = row.derivative(F, *points)
                return sum(_along(p, d) for p, d in zip(partials, direction, strict=True) if p is not None)
            result = self.value(points)
            if row.acts_on == "groups":
                values, groups, *extra = self._extra(points)
                (partial, *_) = row.derivative(F, values, groups, result, *extra)
                return groups.sum(_along(partial, direction[0]))
            answer = np.zeros(result.shape)
            flat = answer.reshape(len(result), -1)
            for k in range(flat.shape[1]):
                seed = np.zeros(flat.shape)
                seed[:, k] = 1.0
                bars = row.derivative(F, seed.reshape(result.shape), result, *points, batch=1)
                flat[:, k] = sum(
                    np.reshape(_along(bar, d), (len(result), -1)).sum(axis=1)
                    for bar, d in zip(bars, direction, strict=True) if bar is not None
                )
            return answer

    def take(self, index: Any) -> Trial:
        """The trial of some of the boxes, each as often as named."""
        boxes = tuple(
            box if plain else Interval(box.lo[index], box.hi[index])
            for box, plain in zip(self.boxes, self.plain, strict=True)
        )
        return Trial(self.row, boxes, self.plain)

    def sample(self, random: np.random.Generator) -> tuple[Any, ...]:
        """One point in each box: ends, points near them, and points between."""
        points = []
        for i, (box, plain) in enumerate(zip(self.restricted(), self.plain, strict=True)):
            if plain or self.row.is_data(i):
                points.append(box.lo)
                continue
            reach = random.choice([2.0, 8.0, 40.0, 800.0], size=(self.size, *(1,) * (box.lo.ndim - 1)))
            lo = np.where(np.isneginf(box.lo), np.minimum(box.hi, 0) - reach, box.lo)
            hi = np.where(np.isposinf(box.hi), np.maximum(box.lo, 0) + reach, box.hi)
            lo, hi = np.nan_to_num(lo, neginf=-1e3), np.nan_to_num(hi, posinf=1e3)
            hi = np.maximum(lo, hi)
            share = random.uniform(size=lo.shape)
            share = np.where(random.uniform(size=lo.shape) < 0.2, random.integers(0, 2, lo.shape), share)
            share = np.where(random.uniform(size=lo.shape) < 0.1, share * 1e-6, share)
            point = np.where(share == 1, hi, lo + (hi - lo) * share)
            points.append(symmetric(point) if self.row.parameter(i) in self.row.needs_symmetric else point)
        return tuple(points)


def _along(partial: Any, direction: np.ndarray) -> np.ndarray:
    """The product, 0 where the direction is 0 (an infinite slope across it does not matter)."""
    return np.where(direction == 0, 0.0, partial * direction)


def symmetric(matrix: np.ndarray) -> np.ndarray:
    """The matrix with its upper triangle mirrored below."""
    return np.triu(matrix) + np.swapaxes(np.triu(matrix, 1), -1, -2)


def _free_box(shape: tuple[int, ...], symmetric_argument: bool, random: np.random.Generator) -> Interval:
    """Boxes (N, *core): in half of the trials all entries share one pattern, in the others each has its own."""
    count = shape[0]
    choice = random.integers(0, len(PATTERNS), size=shape)
    common = np.arange(count).reshape(-1, *(1,) * (len(shape) - 1)) % len(PATTERNS)
    choice = np.where((np.arange(count) % 2 == 0).reshape(common.shape) | (len(shape) == 1), common, choice)
    picked = PATTERNS[choice]
    lo, hi = picked[..., 0].copy(), picked[..., 1].copy()
    if len(shape) == 1:
        order = random.permutation(count)
        lo, hi = lo[order], hi[order]
    if symmetric_argument:
        # Half of the boxes get a heavy diagonal, so that positive definite matrices are met.
        heavy = np.where(random.uniform(size=count) < 0.6, 10.0, 0.0)[:, None, None] * np.eye(shape[-1])
        heavy = heavy * random.choice([0.5, 1.0, 40.0], size=(count, 1, 1))
        small = np.where(heavy.any(axis=(1, 2), keepdims=True), 1.0, np.inf)
        lo = symmetric(np.maximum(lo, -small) + heavy)
        hi = symmetric(np.maximum(np.minimum(hi, small), np.maximum(-small, lo - heavy)) + heavy)
        hi = np.maximum(hi, lo)
    return Interval(lo, hi)


def _data_box(example: np.ndarray, count: int, random: np.random.Generator) -> Interval:
    """Data as points: single numbers from a list, arrays from the example's own numbers or from the list."""
    values = random.choice(DATA, size=(count, *example.shape))
    if example.ndim:
        own = random.choice(example.ravel(), size=values.shape)
        values = np.where((random.uniform(size=count) < 0.7).reshape(-1, *(1,) * example.ndim), own, values)
    return Interval(values, values)


def trials(row: Atom, seed: int = 0, boxes: int = 80) -> list[Trial]:
    """The trials of a row: one for each of its examples' shapes, and more members or arguments where it takes many."""
    found = {}
    for arguments, _ in row.examples:
        shapes = tuple(np.shape(a) for a in arguments)
        found.setdefault(shapes, [np.asarray(a, dtype=float) for a in arguments])
    if row.acts_on == "groups":
        # One member, and five.
        first = next(iter(found.values()))
        for members in (1, 5):
            found.setdefault(((members,), *((),) * (len(first) - 1)), [np.ones(members), *first[1:]])
    if row.arity[1] is None and row.acts_on == "entries":
        found.setdefault(((), ()), [np.asarray(1.0)] * 2)
    result = []
    for examples in found.values():
        random = np.random.default_rng(seed)
        parts, plain = [], []
        for i, example in enumerate(examples):
            number = row.acts_on == "arrays" and row.is_data(i) and row.arity[1] is None
            plain.append(number)
            if number:
                parts.append(Interval(example, example))
            elif row.is_data(i):
                parts.append(_data_box(example, boxes, random))
            else:
                parts.append(_free_box((boxes, *example.shape), row.parameter(i) in row.needs_symmetric, random))
        if row.name == "norm":
            parts[1] = Interval(*(np.where(np.arange(boxes) % 7 == 0, np.inf, parts[1].lo),) * 2)
        trial = Trial(row, tuple(parts), tuple(plain))
        # Keep boxes whose data is inside the domain for some point.
        fits = np.zeros(boxes, dtype=bool)
        for _ in range(12):
            fits |= trial.inside(trial.sample(random)).reshape(boxes, -1).any(axis=1)
        if fits.any():
            result.append(trial.take(np.flatnonzero(fits)))
    return result
