"""Directions that lead out of every bound from a point of a convex problem: fading tails, and objectives without end.

exp(x) and 1/x have no least value: a solver stops where they are within its tolerance of their limit. -log(y) falls
without end, though no ray of the cones shows it. Both are seen by walking: along a direction that keeps all
constraints, on the model's own functions.

    r      a direction in variables that are large at the point, kept on the equations that touch it
    d_k    f(x + (k - 1) h r) - f(x + k h r), the falls of the objective in equal steps

A convex f that falls along r, its falls shrinking no faster than the powers of one number, reaches no least value there
that these falls foretell: d_2 / d_1 = d_3 / d_2 for exp(-x), d_2 / d_1 < d_3 / d_2 for 1/x. Where f comes to a flat
part, as max(1 - x, 0)^2 does, the ratios fall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from optdsl.model.model import Model

LARGE = 1e-2
"""Entries above this share of the largest one are large."""
TRIES, WORK = 24, 1_000_000
"""So many directions are tried at most; fewer, but two, where they times the variables are more than the second."""
STEPS = (0.1, 0.01, 1e-3)
"""Lengths h of equal steps, in sizes of the point; the first at which three falls are seen counts."""
FAR = (1.0, 10.0, 1e3)
"""How far the direction is walked after them."""
SHRINKING = 0.02
"""By how much of itself the ratio of falls may fall, which rounding and slow tails of sums may do."""
STRAIGHT = 0.999
"""Falls that keep more than this share are those of a straight line: it ends, or the problem is unbounded."""
DRAWS, JITTER, SEEN, DOUBT = 4, 1e-15, 4.0, 0.1
"""Rounding is measured at so many points this close by, relative; what is this many times larger is no rounding, and
may be this share of the last fall."""
ORDERS = 5
"""Over so many powers of ten an objective without end is watched."""
KEPT = 0.9
"""Falls from one power of ten to the next keep this share of the one before."""
DIGITS = 4
"""Digits of a direction that is shown, where these are enough."""
MOVES = 1e-9
"""What moves less than this share of the fastest entry stands still."""


@dataclass(frozen=True, eq=False)
class Walk:
    """A point (n,) of a problem, its objective to be made small, and whether a point keeps all that is asked.

    equations: rows (m, n) of equalities that are linear in the variables.
    """

    model: Model
    x: np.ndarray
    value: Callable[[np.ndarray], float]
    holds: Callable[[np.ndarray], bool]
    equations: sp.csr_array

    def fading(self) -> np.ndarray | None:
        """A direction (n,) along which the objective gets better forever, ever less; None where none is seen."""
        with np.errstate(all="ignore"):
            return next((r for r in self._directions() if self._fades(r)), None)

    def endless(self) -> np.ndarray | None:
        """A direction (n,), at most 1 in each entry, along which the objective falls without end; None: none seen."""
        with np.errstate(all="ignore"):
            simplest = sorted(self._directions(), key=np.count_nonzero)
            found = next((r for r in (r / np.abs(r).max() for r in simplest) if self._falls_on(r)), None)
            if found is None:
                return None
            rounded = np.round(found, DIGITS)  # 1 instead of 0.9999997, where that is as good
            return rounded if self._falls_on(rounded) else found

    def _directions(self) -> Iterator[np.ndarray]:
        """What is large at the point: all, each variable, each entry; toward no finite bound, along the equations."""
        variables = [v for v in self.model.variables.values() if v.width]
        size = np.zeros(len(self.x))
        for v in variables:
            own = slice(v.offset, v.offset + v.width)
            ahead = np.where(self.x[own] > 0, v.upper, v.lower)
            size[own] = np.where(np.isfinite(ahead) | v.integer, 0.0, np.abs(self.x[own]))
        large = size > LARGE * size.max(initial=0.0)
        places = np.arange(len(size))
        groups = [large]
        groups += [large & (places >= v.offset) & (places < v.offset + v.width) for v in variables[:TRIES]]
        groups += [places == k for k in np.argsort(-size, kind="stable")[:TRIES] if large[k]]
        different = {group.tobytes(): group for group in groups if group.any()}
        tries = min(TRIES, max(2, WORK // max(1, len(size))))
        for group in list(different.values())[:tries]:
            direction = self._along(np.where(group, self.x, 0.0))
            if direction is not None:
                yield direction

    def _along(self, direction: np.ndarray) -> np.ndarray | None:
        """The direction without what the equations forbid: its projection; None where nothing is left."""
        rows = self.equations
        if rows.shape[0] and np.abs(rows @ direction).max() > 0:
            from scipy.sparse.linalg import lsqr  # where it is needed: linear models start without it

            found = lsqr(rows, rows @ direction, atol=1e-14, btol=1e-14)[0]
            before = float(np.abs(direction).max())
            direction = direction - found
            direction = np.where(np.abs(direction) > MOVES * before, direction, 0.0)
            if np.abs(direction).max() < LARGE * before:
                return None
        return direction

    def _fades(self, r: np.ndarray) -> bool:
        """Whether the objective falls along r, ever less, as far as it is walked, and all that is asked holds."""
        here = self.value(self.x)
        if not self.value(self.x + FAR[0] * r) < here:
            return False  # cheap, and the end of most directions
        far = [self.value(self.x + t * r) for t in FAR]
        for h in STEPS:
            values = np.array([here, *(self.value(self.x + k * h * r) for k in (1, 2, 3))])
            falls = -np.diff(values)
            if not np.isfinite([*values, *far]).all() or far[0] > values[-1] or np.any(np.diff(far) > 0):
                return False
            noise = SEEN * max(self._noise(self.x, r), self._noise(self.x + 3 * h * r, r))
            doubt = noise / falls[2]
            if not ((falls > noise).all() and doubt < DOUBT):
                continue
            first, second = falls[1] / falls[0], falls[2] / falls[1]
            lasting = first < STRAIGHT and second >= first * (1.0 - SHRINKING - 2.0 * doubt)
            return lasting and all(self.holds(self.x + t * r) for t in FAR)
        return False

    def _noise(self, x: np.ndarray, r: np.ndarray) -> float:
        """How much of the objective's value at x is rounding: by what a rounding of what moves changes, and its own."""
        draw = np.random.default_rng(0)
        value = self.value(x)
        moved = np.where(r != 0, JITTER * x, 0.0)
        near = [self.value(x + moved * draw.uniform(-1.0, 1.0, len(x))) for _ in range(DRAWS)]
        return max(float(np.abs(np.array(near) - value).max()), np.finfo(float).eps * abs(value))

    def _falls_on(self, r: np.ndarray) -> bool:
        """Whether the objective falls by as much from each power of ten to the next, and all that is asked holds."""
        size = max(1.0, float(np.abs(self.x).max(initial=0.0)))
        distances = [size * 10.0**k for k in range(ORDERS)]
        values = np.array([self.value(self.x + t * r) for t in distances])
        falls = -np.diff(values)
        least = 1e-3 * max(1.0, abs(values[0]) * 1e-3)
        if not (np.isfinite(values).all() and (falls > least).all() and (falls[1:] >= KEPT * falls[:-1]).all()):
            return False
        return all(self.holds(self.x + t * r) for t in distances)


def fading_words(model: Model, direction: np.ndarray) -> str:
    """What is said of a direction (n,) along which the objective fades."""
    moves = {name: direction[v.offset : v.offset + v.width] for name, v in model.variables.items()}
    moving = [f"`{name}` {'grows' if (r > 0).any() else 'falls'}" for name, r in moves.items() if r.any()]
    return (
        f"the objective still gets better, ever less, as {' and '.join(moving) or 'the point moves out'}: "
        "no best point was found along the way, the best value may not be attained"
    )
