"""The problem as the interior point method sees it: equalities and bounds only.

    minimize f(w)   subject to   c(w) = 0,   sign_b (w_b - bound_b) >= 0 for every bound b

Notation (Waechter and Biegler 2006, problem (3), with both sides of the bounds in one list):

    w = (x, t)  x (n,): the free variables of the model; t (k,): row variables, each in one row with coefficient +-1
                and without curvature of its own but a diagonal. A slack of an inequality row is one: c_i(x) - t = 0.
    g (b,)      gaps: distances to the bounds, g = sign * (w[index] - bound) > 0 inside
    z (b,)      their multipliers, z >= 0
    y (m,)      multipliers of the rows, the paper's lambda

Fixed variables and rows without sides are left out; objective and rows are scaled; bounds are relaxed a little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from optdsl.nlp import Nlp, Pattern


@dataclass(frozen=True, eq=False, slots=True)
class Bounds:
    """All finite bounds of w (N,), lower ones (sign 1) before upper ones (sign -1)."""

    index: np.ndarray
    sign: np.ndarray
    bound: np.ndarray
    size: int
    damped: np.ndarray
    """Which bounds are the only one of their variable."""

    @staticmethod
    def of(lower: np.ndarray, upper: np.ndarray) -> Bounds:
        """The finite ones among lower and upper bounds (N,)."""
        below, above = np.flatnonzero(np.isfinite(lower)), np.flatnonzero(np.isfinite(upper))
        index = np.concatenate([below, above])
        sign = np.concatenate([np.ones(len(below)), -np.ones(len(above))])
        single = np.isfinite(lower) ^ np.isfinite(upper)
        return Bounds(index, sign, np.concatenate([lower[below], upper[above]]), len(lower), single[index])

    def gaps(self, w: np.ndarray) -> np.ndarray:
        """g (b,); never 0 by rounding alone for a point that was kept inside."""
        gap = self.sign * (w[self.index] - self.bound)
        return np.maximum(gap, ROUNDING * np.maximum(1.0, np.abs(self.bound)))

    def change(self, direction: np.ndarray) -> np.ndarray:
        """How the gaps change along a direction (N,)."""
        return self.sign * direction[self.index]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Sum (N,) over the bounds of each variable."""
        return np.bincount(self.index, weights=values, minlength=self.size)


ROUNDING = 1e-15
RELAXATION, SMALLEST_RELAXATION = 1e-10, 1e-13
"""Bounds are relaxed by the first number relative to their unscaled size, at least by the second of the scaled one."""
PUSH = 1e-2
"""How far the start is moved from its bounds: kappa_1 and kappa_2 of section 3.6."""


class Form(Protocol):
    """A problem with equalities and bounds; see the module's docstring.

    `row_of`, `sign` (k,): the row of each row variable and its coefficient. Patterns are those of x alone.
    """

    @property
    def n(self) -> int: ...

    @property
    def m(self) -> int: ...

    @property
    def row_of(self) -> np.ndarray: ...

    @property
    def sign(self) -> np.ndarray: ...

    @property
    def jacobian_pattern(self) -> Pattern: ...

    @property
    def hessian_pattern(self) -> Pattern: ...

    @property
    def bounds(self) -> Bounds: ...

    def objective(self, w: np.ndarray) -> float:
        """f(w)."""

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """The gradient of f (N,)."""

    def residual(self, w: np.ndarray) -> np.ndarray:
        """c(w) (m,)."""

    def jacobian(self, w: np.ndarray) -> np.ndarray:
        """The values of dc/dx in the order of the pattern."""

    def hessian(self, w: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The values of the lower triangle of the Lagrangian's Hessian in x, without `curvature`."""

    def curvature(self) -> np.ndarray | float:
        """The diagonal (N,) that the objective's Hessian has besides."""

    def at_barrier(self, mu: float) -> Form:
        """The problem for another barrier parameter (only the restoration problem depends on it)."""


def transposed_product(form: Form, jacobian: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A'y (N,) for the whole Jacobian A of c in w."""
    pattern = form.jacobian_pattern
    core = np.bincount(pattern.columns, weights=jacobian * y[pattern.rows], minlength=form.n)
    return np.concatenate([core, form.sign * y[form.row_of]])


def product(form: Form, jacobian: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """A times a direction (N,): (m,)."""
    pattern = form.jacobian_pattern
    core = np.bincount(pattern.rows, weights=jacobian * direction[pattern.columns], minlength=form.m)
    return core + np.bincount(form.row_of, weights=form.sign * direction[form.n :], minlength=form.m)


@dataclass(frozen=True, eq=False, slots=True)
class Slacked:
    """A model with slacks for its inequality rows, scaled, without fixed variables: see `slacked`.

    free (n,): places of x in the model's variables, None when all are free. rows (m,): places of the rows that have
    a side. objective_scale, row_scale: factors of f and of the rows. shift (m,): scaled right-hand sides of equalities.
    exact (b,): the bounds before they were relaxed.
    """

    problem: Nlp
    n: int
    m: int
    row_of: np.ndarray
    sign: np.ndarray
    jacobian_pattern: Pattern
    hessian_pattern: Pattern
    bounds: Bounds
    exact: np.ndarray
    start: np.ndarray
    values_at_start: tuple[float, np.ndarray]
    derivatives_at_start: tuple[np.ndarray, np.ndarray]
    free: np.ndarray | None
    fixed_at: np.ndarray
    rows: np.ndarray | None
    row_scale: np.ndarray
    jacobian_scale: np.ndarray
    objective_scale: float
    shift: np.ndarray
    row_lower: np.ndarray
    row_upper: np.ndarray
    kept_jacobian: np.ndarray | None
    kept_hessian: np.ndarray | None
    dense_hessian: Callable[[np.ndarray, np.ndarray, float], np.ndarray] | None

    def core(self, w: np.ndarray) -> np.ndarray:
        """The model's variables at w."""
        if self.free is None:
            return w[: self.n]
        x = self.fixed_at.copy()
        x[self.free] = w[: self.n]
        return x

    def objective(self, w: np.ndarray) -> float:
        return self.objective_scale * float(self.problem.objective(self.core(w)))

    def gradient(self, w: np.ndarray) -> np.ndarray:
        gradient = self.problem.gradient(self.core(w))
        whole = np.zeros(len(w))
        whole[: self.n] = gradient if self.free is None else gradient[self.free]
        whole *= self.objective_scale
        return whole

    def residual(self, w: np.ndarray) -> np.ndarray:
        values = self.problem.constraints(self.core(w))
        if self.rows is not None:
            values = values[self.rows]
        values = values * self.row_scale - self.shift
        values[self.row_of] -= w[self.n :]
        return values

    def jacobian(self, w: np.ndarray) -> np.ndarray:
        values = self.problem.jacobian(self.core(w))
        if self.kept_jacobian is not None:
            values = values[self.kept_jacobian]
        return values * self.jacobian_scale

    def hessian(self, w: np.ndarray, y: np.ndarray, weight: float = 1.0) -> np.ndarray:
        multipliers = self.model_multipliers(y)
        evaluate = self.dense_hessian or self.problem.hessian
        values = evaluate(self.core(w), multipliers, weight * self.objective_scale)
        return values if self.kept_hessian is None else values[self.kept_hessian]

    def curvature(self) -> np.ndarray | float:
        return 0.0

    def at_barrier(self, mu: float) -> Slacked:
        return self

    def violation(self, w: np.ndarray, c: np.ndarray, relative: bool = False) -> float:
        """The largest violation of a row of the model, unscaled, at a point with c(w) = c.

        relative: to max(1, |side that is violated|).
        """
        if not self.m:
            return 0.0
        values = c + self.shift
        values[self.row_of] += w[self.n :]
        outside = np.maximum(self.row_lower - values, values - self.row_upper) / self.row_scale
        if relative:
            side = np.where(values < self.row_lower, self.row_lower, self.row_upper) / self.row_scale
            outside = outside / np.maximum(1.0, np.abs(side))
        return max(0.0, float(outside.max()))

    def model_multipliers(self, y: np.ndarray) -> np.ndarray:
        """y times the rows' scale, for all rows of the model; not yet divided by the objective's scale."""
        scaled = y * self.row_scale
        if self.rows is None:
            return scaled
        whole = np.zeros(len(self.problem.row_lower))
        whole[self.rows] = scaled
        return whole


def slacked(problem: Nlp, x: np.ndarray, scaling: float, push: float = PUSH) -> Slacked | None:
    """The form of a model, scaled by its derivatives at x; None where they are undefined there.

    scaling: the largest entry that gradients may have at x (Waechter and Biegler 2006, section 3.8); inf for none.
    push: how far slacks start from their bounds.
    """
    lower, upper = np.asarray(problem.lower, float), np.asarray(problem.upper, float)
    is_free = lower < upper
    free = None if is_free.all() else np.flatnonzero(is_free)
    has_side = np.isfinite(problem.row_lower) | np.isfinite(problem.row_upper)
    rows = None if has_side.all() else np.flatnonzero(has_side)
    gradient = problem.gradient(x)
    jacobian = problem.jacobian(x)
    objective = float(problem.objective(x))
    values = np.asarray(problem.constraints(x), float)
    jacobian_pattern, kept_jacobian = _reduced(problem.jacobian_pattern, rows, free)
    pattern = problem.hessian_pattern
    dense = None
    if pattern is None:
        pattern, dense = _by_products(problem, len(lower))
    hessian_pattern, kept_hessian = _reduced(pattern, free, free)
    m, n = jacobian_pattern.shape
    if kept_jacobian is not None:
        jacobian = jacobian[kept_jacobian]
    if free is not None:
        gradient = gradient[free]
    if rows is not None:
        values = values[rows]
    if not all(np.isfinite(part).all() for part in (objective, values, gradient, jacobian)):
        return None
    objective_scale = _scale(np.abs(gradient).max(initial=0.0), scaling)
    largest = np.zeros(m)
    np.maximum.at(largest, jacobian_pattern.rows, np.abs(jacobian))
    row_scale = _scale(largest, scaling)
    row_lower = problem.row_lower if rows is None else problem.row_lower[rows]
    row_upper = problem.row_upper if rows is None else problem.row_upper[rows]
    inequality = np.flatnonzero(row_lower < row_upper)
    shift = np.zeros(m)
    equal = np.flatnonzero(row_lower >= row_upper)
    shift[equal] = row_lower[equal] * row_scale[equal]
    all_lower = np.concatenate([lower if free is None else lower[free], (row_lower * row_scale)[inequality]])
    all_upper = np.concatenate([upper if free is None else upper[free], (row_upper * row_scale)[inequality]])
    x_free = np.asarray(x, float) if free is None else x[free]
    start = np.concatenate([x_free, (values * row_scale)[inequality]])
    slack = slice(n, None)
    start[slack] = pushed_inside(start[slack], all_lower[slack], all_upper[slack], push, push)
    c = values * row_scale - shift
    c[inequality] -= start[slack]
    whole_gradient = np.zeros(len(start))
    whole_gradient[:n] = gradient * objective_scale
    jacobian_scale = row_scale[jacobian_pattern.rows]
    room = RELAXATION * np.concatenate([np.ones(n), row_scale[inequality]])
    return Slacked(
        problem=problem,
        n=n,
        m=m,
        row_of=inequality,
        sign=-np.ones(len(inequality)),
        jacobian_pattern=jacobian_pattern,
        hessian_pattern=hessian_pattern,
        exact=Bounds.of(all_lower, all_upper).bound,
        bounds=Bounds.of(all_lower - _slack(all_lower, room), all_upper + _slack(all_upper, room)),
        start=start,
        values_at_start=(objective * float(objective_scale), c),
        derivatives_at_start=(whole_gradient, jacobian * jacobian_scale),
        free=free,
        fixed_at=np.asarray(x, float).copy(),
        rows=rows,
        row_scale=row_scale,
        jacobian_scale=jacobian_scale,
        objective_scale=float(objective_scale),
        shift=shift,
        row_lower=row_lower * row_scale,
        row_upper=row_upper * row_scale,
        kept_jacobian=kept_jacobian,
        kept_hessian=kept_hessian,
        dense_hessian=dense,
    )


def _slack(bound: np.ndarray, room: np.ndarray) -> np.ndarray:
    """How much a bound is relaxed: `room` is that of a bound of size 1; never so little that rounding hides it."""
    sizes = np.abs(bound)
    return np.maximum(np.maximum(room, RELAXATION * sizes), SMALLEST_RELAXATION * np.maximum(1.0, sizes))


def _scale(largest: np.ndarray, scaling: float) -> np.ndarray:
    return np.maximum(np.minimum(1.0, scaling / np.maximum(largest, 1e-300)), 1e-8)


def _reduced(
    pattern: Pattern, rows: np.ndarray | None, columns: np.ndarray | None
) -> tuple[Pattern, np.ndarray | None]:
    """The pattern of some rows and columns, and the places of its values among the old ones (None: all)."""
    if rows is None and columns is None:
        return pattern, None
    new_row, height = _renumbered(rows, pattern.shape[0])
    new_column, width = _renumbered(columns, pattern.shape[1])
    kept = np.flatnonzero((new_row[pattern.rows] >= 0) & (new_column[pattern.columns] >= 0))
    return Pattern(new_row[pattern.rows[kept]], new_column[pattern.columns[kept]], (height, width)), kept


def _renumbered(kept: np.ndarray | None, size: int) -> tuple[np.ndarray, int]:
    if kept is None:
        return np.arange(size), size
    new = np.full(size, -1, dtype=np.int64)
    new[kept] = np.arange(len(kept))
    return new, len(kept)


def _by_products(
    problem: Nlp, n: int
) -> tuple[Pattern, Callable[[np.ndarray, np.ndarray, float], np.ndarray]]:
    """A dense Hessian out of n products, for problems that offer nothing else."""
    rows, columns = np.tril_indices(n)

    def evaluate(x: np.ndarray, multipliers: np.ndarray, weight: float) -> np.ndarray:
        unit = np.eye(n)
        whole = np.array([problem.hessian_product(x, multipliers, direction, weight) for direction in unit])
        return whole[rows, columns]

    return Pattern(rows, columns, (n, n)), evaluate


def pushed_inside(
    w: np.ndarray, lower: np.ndarray, upper: np.ndarray, absolute: float, relative: float
) -> np.ndarray:
    """w moved away from its bounds (section 3.6): by `absolute` * max(1, |bound|), at most `relative` of the width."""
    width = upper - lower
    above = np.where(
        np.isfinite(lower), np.minimum(absolute * np.maximum(1.0, np.abs(lower)), relative * width), 0.0
    )
    below = np.where(
        np.isfinite(upper), np.minimum(absolute * np.maximum(1.0, np.abs(upper)), relative * width), 0.0
    )
    return np.minimum(np.maximum(w, lower + above), upper - below)
