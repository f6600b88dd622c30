"""Whether slopes vanish at a point only because it lies far out on a tail, where no minimizer is within reach.

exp(-x), 1/x or 1/(1 + x^2) have no least value; a method stops where the slope is below its tolerance. What tells such
a point from a minimum, a flat one too, are the steps that Newton's method would take from it:

    at a minimum they die out: at once, or by (p - 2)/(p - 1) a step where the function is like |x|^p
    on a tail they go on: by 1 a step for exp(-x), by x/(p + 1), longer and longer, for 1/x^p

`fading` takes some of these steps (the march) on the Lagrangian, what is active kept, and looks for variables whose
steps do not die out. The direction that they make is then walked far: beyond the point the objective, all else made
best for it, has to fall still and never to rise. What is left of a fall that rounding hides is judged by the slope.

    H, A   Hessian of the Lagrangian, Jacobian of what is kept: rows and bounds with a side that is active
    D      direction of the march in the variables that go on
    phi(T) the objective at distance T along D, other variables made best by Newton's method with D'x kept
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from optdsl.methods.linear_algebra.kkt import kkt
from optdsl.nlp import Nlp, Pattern

STEPS = 12
"""Newton steps of the march, and of what makes other variables best."""
STILL = 1e-10
"""A step below this, relative to max(1, |x|), is none."""
LASTING = 0.5
"""The share of its first step that a variable must keep to its last to count as one that goes on."""
DISTANCES, NEEDED = (10.0, 100.0, 1e4), 2
"""How far the direction is walked, in steps of the march; so many must be walked, the others where all is defined."""
VISIBLE, LEVEL = 1e-13, 1e-14
"""A fall beyond the first, relative to max(1, |f|), is one; a rise below the second is none."""
ROUNDING = 1e-13
"""Slopes below this share of the terms that they are the sum of are rounding."""
ALONE = 0.1
"""A slope that the steps of other variables change by less than this share is not a remainder of theirs."""
NEAR, PRESSED = 1e-6, 1e-3
"""Closer to a side than the first: kept. Closer than the second: kept where the multiplier exceeds the distance."""
FAR, CLOSE = 1e5, 1e-2
"""A variable beyond the first, relative to its start, is walked out of its own; rows closer to a side than the second
are kept then."""
FLAT = 1e-11
"""Scaled curvature below this is rounding: no step is taken along it."""
SHIFT, SMALL = 1e-12, 300
"""What is added to the scaled Hessian, and rows and variables up to which eigenvalues are computed instead."""
ALLOWED = 1e-6
"""Rows and bounds hold up to this, relative to their size."""

Sizes = Callable[[np.ndarray], np.ndarray]
"""The sums (n,) of the sizes of the terms that make up the objective's gradient at x (n,)."""


@dataclass(frozen=True, eq=False, slots=True)
class Fading:
    """A direction (n,) of the march, at most 1 long in each variable's own size, along which the objective fades."""

    direction: np.ndarray


def fading(
    problem: Nlp,
    x: np.ndarray,
    row_multipliers: np.ndarray,
    bound_multipliers: np.ndarray,
    sizes: Sizes,
    last_step: float = np.nan,
) -> Fading | None:
    """The direction along which a point's slopes fade out without a minimizer; None where there is none.

    None too where the Hessian is not to be had, or anything is undefined: nothing is claimed then. last_step: the
    largest entry, relative to max(1, |x|), of a whole Newton step that led to x; where that was none, those of the
    march are none either, as on a tail no step is longer than the next.
    """
    if problem.hessian_pattern is None or not len(x):
        return None
    with np.errstate(all="ignore"):
        tail = _Tail.at(problem, x, row_multipliers, bound_multipliers)
        direction = None if last_step <= STILL else tail.marched()
        if direction is None or not tail.walks_on(direction, sizes):
            direction = _farthest(problem, x)
            if direction is None or not _Tail.close_to(problem, x, row_multipliers).walks_on(direction, sizes):
                return None
    return Fading(direction / np.abs(direction / np.maximum(1.0, np.abs(x))).max())


def _farthest(problem: Nlp, x: np.ndarray) -> np.ndarray | None:
    """The variable that is farthest from the start, as a direction away from it; None where none is far and free."""
    ahead = np.where(x > 0, problem.upper, problem.lower)
    distance = np.where(np.isfinite(ahead), 0.0, np.abs(x) / np.maximum(1.0, np.abs(problem.start)))
    most = int(np.argmax(distance))
    return np.where(np.arange(len(x)) == most, x, 0.0) if distance[most] > FAR else None


@dataclass(frozen=True, eq=False, slots=True)
class _Place:
    """A point with multipliers of the rows."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class _Tail:
    """A point and what is kept there: variables on bounds (`free` are the others), rows on sides with their values."""

    problem: Nlp
    place: _Place
    free: np.ndarray
    rows: np.ndarray
    targets: np.ndarray
    size: float

    @staticmethod
    def at(problem: Nlp, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> _Tail:
        kept, _ = _kept(x, problem.lower, problem.upper, z)
        values = problem.constraints(x)
        kept_rows, sides = _kept(values, problem.row_lower, problem.row_upper, y)
        rows = np.flatnonzero(kept_rows)
        size = max(1.0, abs(float(problem.objective(x))))
        return _Tail(problem, _Place(x, y), np.flatnonzero(~kept), rows, sides[rows], size)

    @staticmethod
    def close_to(problem: Nlp, x: np.ndarray, y: np.ndarray) -> _Tail:
        """Only variables exactly on bounds kept, but all rows that are close to a side or pull on a variable: z >= 0 of
        x z >= 1, far out, looks active beside its row."""
        values = problem.constraints(x)
        near, sides = _kept(values, problem.row_lower, problem.row_upper, np.zeros_like(y), CLOSE)
        rows = np.flatnonzero((near | _pulling(problem, x, y)) & np.isfinite(sides))
        size = max(1.0, abs(float(problem.objective(x))))
        free = np.flatnonzero((x > problem.lower) & (x < problem.upper))
        return _Tail(problem, _Place(x, y), free, rows, sides[rows], size)

    # ------------------------------------------------------------------------------------------------- the march

    def marched(self) -> np.ndarray | None:
        """The sum of the march's steps in those variables that go on; None where all steps die out."""
        place, start = self.place, self.place
        highest = float(self.problem.objective(start.x)) + LEVEL * self.size
        first = lasting = None
        for _ in range(STEPS):
            step = self._newton(place, None)
            if step is None or not self._open(place.x, step.x).any():
                return None
            lengths = np.abs(step.x) / np.maximum(1.0, np.abs(place.x))
            if first is None:
                first = np.where(self._open(place.x, step.x), step.x, 0.0)
            lasting = (step.x * first > 0) & (np.abs(step.x) >= LASTING * np.abs(first)) & (lengths > STILL)
            if not lasting.any():
                return None
            place = _Place(place.x + step.x, place.y + step.y)
            value = float(self.problem.objective(place.x))
            if not value <= highest or not self._holds(place.x):
                return None
        gone = place.x - start.x
        relative = np.abs(gone) / np.maximum(1.0, np.abs(start.x))
        return np.where(lasting & (relative >= 1e-3 * relative[lasting].max()), gone, 0.0) / STEPS

    def _open(self, x: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Where a step moves a variable toward no finite bound."""
        ahead = np.where(step > 0, self.problem.upper, self.problem.lower)
        return (step != 0) & ~np.isfinite(ahead)

    def _holds(self, x: np.ndarray) -> bool:
        """Whether bounds and rows hold at x."""
        problem = self.problem
        room = ALLOWED * np.maximum(1.0, np.abs(x))
        if not ((x >= problem.lower - room) & (x <= problem.upper + room)).all():
            return False
        values = problem.constraints(x)
        room_of_rows = ALLOWED * np.maximum(1.0, np.abs(values))
        return bool(((values >= problem.row_lower - room_of_rows) & (values <= problem.row_upper + room_of_rows)).all())

    # -------------------------------------------------------------------------------------------------- the walk

    def walks_on(self, direction: np.ndarray, sizes: Sizes) -> bool:
        """Whether phi falls along the direction, at each distance further than at the one before."""
        here = self._best_at(direction, 0.0)
        if here is None or not self._downhill(here, direction, sizes, strictly=True):
            return False
        values = [float(self.problem.objective(here.x))]
        for number, distance in enumerate(DISTANCES):
            there = self._best_at(direction, distance)
            if there is None or not np.isfinite(self.problem.gradient(there.x)).all():
                if number < NEEDED:
                    return False
                break
            values.append(float(self.problem.objective(there.x)))
            if not values[-1] <= values[-2] + LEVEL * self.size:
                return False
            if not self._downhill(there, direction, sizes, strictly=False):
                return False
        return values[0] - values[1] > VISIBLE * self.size or self._alone(direction)

    def _best_at(self, direction: np.ndarray, distance: float) -> _Place | None:
        """The place at a distance along the direction with all else made best; None where anything is undefined."""
        x, y = self.place.x + distance * direction, self.place.y
        place, best, lowest = _Place(x, y), None, np.inf
        for number in range(STEPS + 1):
            value = float(self.problem.objective(place.x))
            # of places that are level the last one: its multipliers are the best
            if np.isfinite(value) and value <= lowest + LEVEL * self.size and self._holds(place.x):
                best, lowest = place, min(value, lowest)
            if number == STEPS:
                break
            step = self._newton(place, direction)
            if step is None:
                return None
            place = _Place(place.x + step.x, place.y + step.y)
        return best

    def _downhill(self, place: _Place, direction: np.ndarray, sizes: Sizes, strictly: bool) -> bool:
        """Whether the Lagrangian's slope along the direction is negative; with `strictly` by more than rounding."""
        slope, terms = self._slope(place, sizes)
        along, rounding = float(slope @ direction), ROUNDING * float(terms @ np.abs(direction))
        return along < -rounding if strictly else along <= rounding

    def _slope(self, place: _Place, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
        """The Lagrangian's gradient (n,) and the sizes of what it is the sum of."""
        problem, pattern = self.problem, self.problem.jacobian_pattern
        terms = problem.jacobian(place.x) * place.y[pattern.rows]
        pressed = np.bincount(pattern.columns, weights=terms, minlength=len(place.x))
        pressing = np.bincount(pattern.columns, weights=np.abs(terms), minlength=len(place.x))
        return problem.gradient(place.x) + pressed, sizes(place.x) + pressing

    def _alone(self, direction: np.ndarray) -> bool:
        """Whether the slope along the direction is its own, and no remainder of what other variables have left."""
        step = self._newton(self.place, None)
        if step is None:
            return False
        others = np.where(direction != 0, 0.0, step.x)
        mixed = self.problem.hessian_product(self.place.x, self.place.y, others)
        own = self.problem.hessian_product(self.place.x, self.place.y, step.x - others)
        return abs(float(mixed @ direction)) <= ALONE * abs(float(own @ direction))

    # ---------------------------------------------------------------------------------------------- Newton's step

    def _newton(self, place: _Place, held: np.ndarray | None) -> _Place | None:
        """The Newton step (dx, dy) of the Lagrangian with all that is kept kept, and held'x too; None: undefined."""
        problem, free, rows = self.problem, self.free, self.rows
        assert problem.hessian_pattern is not None
        x, n = place.x, len(place.x)
        kept = np.zeros(len(problem.row_lower))
        kept[rows] = place.y[rows]
        values = problem.hessian(x, kept)
        pattern = problem.jacobian_pattern
        jacobian = problem.jacobian(x)
        pressed = np.bincount(pattern.columns, weights=jacobian * kept[pattern.rows], minlength=n)
        gradient = problem.gradient(x) + pressed
        missing = self.targets - problem.constraints(x)[rows]
        if not all(np.isfinite(part).all() for part in (values, jacobian, gradient, missing)):
            return None
        system = _System(n, free, rows, problem.hessian_pattern, pattern, held)
        found = system.solved(values, jacobian, gradient, missing, x)
        if found is None:
            return None
        dx, dy = np.zeros(n), np.zeros(len(kept))
        dx[free] = found[0]
        dy[rows] = found[1][: len(rows)]
        dy += kept - place.y
        return _Place(dx, dy)


def _pulling(problem: Nlp, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which rows make up a good part of the pull on one of their variables, however far they are from their sides."""
    pattern = problem.jacobian_pattern
    pulls = np.abs(problem.jacobian(x) * y[pattern.rows])
    total = np.abs(problem.gradient(x)) + np.bincount(pattern.columns, weights=pulls, minlength=len(x))
    strong = np.zeros(len(y), dtype=bool)
    strong[pattern.rows[pulls >= ALONE * np.maximum(total[pattern.columns], ROUNDING)]] = True
    return strong


def _kept(
    values: np.ndarray, lower: np.ndarray, upper: np.ndarray, multipliers: np.ndarray, near: float = NEAR
) -> tuple[np.ndarray, np.ndarray]:
    """Which sides are active, perhaps without a multiplier, and the nearer side of each."""
    below, above = values - lower, upper - values
    side = np.where(below <= above, lower, upper)
    size = np.maximum(1.0, np.abs(np.where(np.isfinite(side), side, 1.0)))
    distance = np.minimum(below, above) / size
    pressed = (distance <= PRESSED) & (np.abs(multipliers) > np.maximum(distance, 0.0))
    return (lower >= upper) | (distance <= near) | pressed, side


@dataclass(frozen=True, eq=False, slots=True)
class _System:
    """The equations of one Newton step, scaled: each row of H has a largest entry of 1, each row of A the length 1."""

    n: int
    free: np.ndarray
    rows: np.ndarray
    hessian: Pattern
    jacobian: Pattern
    held: np.ndarray | None

    def solved(
        self, values: np.ndarray, jacobian: np.ndarray, gradient: np.ndarray, missing: np.ndarray, x: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """dx of the free variables and dy of the kept rows (and of the held direction)."""
        free, rows = self.free, self.rows
        number = np.full(self.n, -1)
        number[free] = np.arange(len(free))
        row_number = np.full(self.jacobian.shape[0], -1)
        row_number[rows] = np.arange(len(rows))
        i, j = number[self.hessian.rows], number[self.hessian.columns]
        inside = (i >= 0) & (j >= 0)
        i, j, h = i[inside], j[inside], values[inside]
        largest = np.zeros(len(free))
        np.maximum.at(largest, i, np.abs(h))
        np.maximum.at(largest, j, np.abs(h))
        scale = np.where(
            largest > 0, 1.0 / np.sqrt(np.where(largest > 0, largest, 1.0)), np.maximum(1.0, np.abs(x[free]))
        )
        h = h * scale[i] * scale[j]
        r, k = row_number[self.jacobian.rows], number[self.jacobian.columns]
        inside = (r >= 0) & (k >= 0)
        r, k, a = r[inside], k[inside], jacobian[inside]
        if self.held is not None:
            at = np.flatnonzero(self.held[free])
            r = np.concatenate([r, np.full(len(at), len(rows))])
            k, a = np.concatenate([k, at]), np.concatenate([a, self.held[free][at]])
            missing = np.append(missing, 0.0)
        a = a * scale[k]
        lengths = np.sqrt(np.bincount(r, weights=a * a, minlength=len(missing)))
        lengths[lengths == 0] = 1.0
        a, missing = a / lengths[r], missing / lengths
        lower = Pattern(i, j, (len(free), len(free)))
        constraint = Pattern(r, k, (len(missing), len(free)))
        solve = _dense if len(free) + len(missing) <= SMALL else _sparse
        found = solve(lower, h, constraint, a, -gradient[free] * scale, missing)
        if found is None or not (np.isfinite(found[0]).all() and np.isfinite(found[1]).all()):
            return None
        return scale * found[0], found[1] / lengths


def _dense(
    lower: Pattern, h: np.ndarray, constraint: Pattern, a: np.ndarray, right: np.ndarray, missing: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """By the eigenvalues on the null space, those of the wrong sign turned, flat ones left out."""
    matrix = np.zeros(lower.shape)
    matrix[lower.rows, lower.columns] = h
    matrix[lower.columns, lower.rows] = h
    rows = np.zeros(constraint.shape)
    rows[constraint.rows, constraint.columns] = a
    if not len(missing):
        basis, step = np.eye(len(right)), np.zeros(len(right))
    else:
        left, singular, whole = np.linalg.svd(rows)
        rank = int(np.count_nonzero(singular > 1e-10))
        step = whole[:rank].T @ ((left.T @ missing)[:rank] / singular[:rank])
        basis = whole[rank:].T
    if basis.shape[1]:
        eigenvalues, vectors = scipy.linalg.eigh(basis.T @ matrix @ basis)
        sizes = np.abs(eigenvalues)
        steps = np.where(sizes > FLAT, vectors.T @ (basis.T @ (right - matrix @ step)), 0.0)
        step = step + basis @ (vectors @ (steps / np.where(sizes > FLAT, sizes, 1.0)))
    if not len(missing):
        return step, np.zeros(0)
    return step, np.linalg.lstsq(rows.T, right - matrix @ step, rcond=1e-10)[0]


def _sparse(
    lower: Pattern, h: np.ndarray, constraint: Pattern, a: np.ndarray, right: np.ndarray, missing: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """By the KKT matrix, where it has the inertia of a minimum."""
    system = kkt(lower, constraint)
    inertia = system.factorize(h, np.full(len(right), SHIFT), a, np.full(len(missing), SHIFT))
    if inertia.singular or inertia.negative != len(missing):
        return None
    solution, ratio = system.solve(np.concatenate([right, missing]))
    return (solution[: len(right)], solution[len(right) :]) if ratio <= 1e-5 else None
