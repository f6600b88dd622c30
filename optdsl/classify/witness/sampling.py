"""Points of the domain D: of its box, of the polyhedron of its affine rows, and of the functions' natural domains."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from optdsl.classify.witness.effort import PROGRAM, STEP, Effort
from optdsl.classify.witness.lanes import Inside
from optdsl.classify.witness.records import Domain
from optdsl.model.model import Model

STYLES = 6
FAR = 1e3  # how far a walk goes along a direction without end
MOST_POINTS = 1_200_000  # numbers in a pool of points
LEAST_PIVOTS = 200  # that a linear program may take
DENSE_EQUALITIES = 4_000_000  # entries up to which equalities are solved for some of their columns


def box_points(lower: np.ndarray, upper: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Points (count, n) of a box whose ends may be infinite: whole numbers, corners, and spreads of many sizes."""
    below, above = np.isfinite(lower), np.isfinite(upper)
    low, high = np.where(below, lower, 0.0), np.where(above, upper, 0.0)
    width = np.where(below & above, high - low, 1.0)
    points = np.empty((count, len(lower)))
    for style in range(STYLES):
        shape = points[style::STYLES].shape
        scale = 10.0 ** rng.integers(-1, 3, (shape[0], 1))
        signed = rng.normal(size=shape)
        if style in (0, 5):  # whole numbers, and quarters of a box
            steps = np.abs(np.rint(3 * signed))
            drawn = np.where(above, np.floor(high) - steps, steps * np.sign(signed) if style == 0 else steps)
            drawn = np.where(below, np.ceil(low) + steps, drawn)
            drawn = np.where(below & above, low + width * rng.integers(0, 5, shape) / 4, drawn)
        elif style in (1, 4):  # spreads of several sizes; on the positive side
            drawn = scale * signed if style == 1 else np.abs(scale * signed) + 1e-3
            drawn = np.where(below, low + np.abs(drawn), np.where(above, high - np.abs(drawn), drawn))
            drawn = np.where(below & above, low + width * rng.random(shape), drawn)
        elif style == 2:  # at corners and near them
            near = rng.choice([0.0, 1e-1, 1e-2, 1e-3, 1e-4], (shape[0], 1)) * rng.random(shape)
            inward = np.where(below & above, width, scale) * near
            drawn = np.where(below & ((rng.random(shape) < 0.5) | ~above), low + inward, high - inward)
            drawn = np.where(below | above, drawn, scale * signed)
        else:  # magnitudes from tiny to far
            drawn = np.clip(0.0, low, np.maximum(low, high)) + np.sign(signed) * 10.0 ** rng.uniform(-3, 3, shape)
            drawn = np.where(below & above, low + width * rng.random(shape), drawn)
        points[style::STYLES] = drawn
    return np.clip(points, lower, upper)


@dataclass(eq=False)
class Affine:
    """The affine rows of D in fewer columns.

    Rows of one entry are bounds. Equalities are solved for some columns: x[solved] = constant - rest @ x[free]. What
    is left is slack >= 0 with `slack = limit - walls @ x[free]`, over the columns `active` that rows speak of.
    """

    domain: Domain
    lower: np.ndarray = field(init=False)
    upper: np.ndarray = field(init=False)
    active: np.ndarray = field(init=False)
    free: np.ndarray = field(init=False)
    solved: np.ndarray = field(init=False)
    walls: sp.csr_array | np.ndarray = field(init=False)
    dense: bool = True

    def __post_init__(self) -> None:
        domain = self.domain
        self.lower, self.upper = domain.lower.copy(), domain.upper.copy()
        if not domain.matrix.shape[0]:
            self._without_rows()
            return
        single = np.diff(domain.matrix.indptr) == 1
        self._tighten(np.flatnonzero(single))
        rows = np.flatnonzero(~single)
        self.matrix = sp.csr_array(domain.matrix[rows])
        self.row_lower, self.row_upper = domain.row_lower[rows], domain.row_upper[rows]
        self.active = np.unique(self.matrix.indices)
        equal = self.row_lower == self.row_upper
        self.free, self.solved = self.active, np.zeros(0, dtype=np.int64)
        self.constant, self.rest = np.zeros(0), np.zeros((0, len(self.active)))
        self.dense = int(equal.sum()) * len(self.active) <= DENSE_EQUALITIES
        if equal.any() and self.dense:
            self._solve(self.matrix[equal][:, self.active].toarray(), self.row_lower[equal])
        if self.dense:
            self._build_walls(~equal)

    def _without_rows(self) -> None:
        nothing = np.zeros(0)
        self.matrix, self.row_lower, self.row_upper = self.domain.matrix, nothing, nothing
        self.active = self.free = self.solved = np.zeros(0, dtype=np.int64)
        self.constant, self.rest = nothing, np.zeros((0, 0))
        self.limit, self.walls = nothing, np.zeros((0, 0))

    def _tighten(self, rows: np.ndarray) -> None:
        matrix = self.domain.matrix
        at = matrix.indptr[rows]
        columns, values = matrix.indices[at], matrix.data[at]
        with np.errstate(all="ignore"):
            ends = np.column_stack([self.domain.row_lower[rows] / values, self.domain.row_upper[rows] / values])
        ends = np.where(values[:, None] < 0, ends[:, ::-1], ends)
        np.maximum.at(self.lower, columns, ends[:, 0])
        np.minimum.at(self.upper, columns, ends[:, 1])

    def _solve(self, matrix: np.ndarray, right: np.ndarray) -> None:
        """Gauss and Jordan: each equality is solved for a column with a large coefficient, free ones first."""
        work = np.column_stack([matrix, right])
        pivots: list[int] = []
        kept = []
        wide = np.isinf(self.lower[self.active]) & np.isinf(self.upper[self.active])
        for k in range(len(work)):
            weights = np.abs(work[k, :-1])
            largest = weights.max(initial=0.0)
            if largest <= 1e-9 * np.abs(matrix[k]).max():
                continue
            choice = int(np.argmax((weights >= 0.5 * largest) * (1.0 + wide) + 1e-3 * weights / largest))
            work[k] /= work[k, choice]
            others = np.arange(len(work)) != k
            work[others] -= np.outer(work[others, choice], work[k])
            work[np.abs(work) < 1e-13] = 0.0
            pivots.append(choice)
            kept.append(k)
        rest = np.setdiff1d(np.arange(len(self.active)), pivots)
        self.solved, self.free = self.active[pivots], self.active[rest]
        self.constant, self.rest = work[kept, -1], work[kept][:, rest]

    def _build_walls(self, inequality: np.ndarray) -> None:
        """Bounds of active columns and inequality rows as walls @ z <= limit over the free columns z."""
        rows, limits = [], []
        part = self.matrix[inequality]
        for sign, side in ((1.0, self.row_upper[inequality]), (-1.0, -self.row_lower[inequality])):
            chosen = np.flatnonzero(np.isfinite(side))
            block = sign * part[chosen]
            shift = block[:, self.solved] @ self.constant if len(self.solved) else 0.0
            kept = block[:, self.free]
            if len(self.solved):
                kept = kept.toarray() - block[:, self.solved] @ self.rest  # type: ignore[assignment]
            rows.append(sp.csr_array(kept))
            limits.append(side[chosen] - shift)
        for sign, bound in ((1.0, self.upper), (-1.0, -self.lower)):
            chosen = np.flatnonzero(np.isfinite(bound[self.free]))
            entries = (np.full(len(chosen), sign), (np.arange(len(chosen)), chosen))
            rows.append(sp.csr_array(entries, (len(chosen), len(self.free))))
            limits.append(bound[self.free][chosen])
            chosen = np.flatnonzero(np.isfinite(bound[self.solved]))
            rows.append(sp.csr_array(-sign * self.rest[chosen]))
            limits.append(bound[self.solved][chosen] - sign * self.constant[chosen])
        walls = sp.csr_array(sp.vstack(rows, format="csr"))
        self.limit = np.concatenate(limits)
        self.walls = walls.toarray() if walls.shape[0] * walls.shape[1] <= 200_000 else walls

    def repaired(self, points: np.ndarray) -> np.ndarray:
        """Points with the solved columns computed from the free ones, to twelve decimals."""
        if not len(self.solved):
            return points
        points = points.copy()
        points[:, self.solved] = np.round(self.constant - points[:, self.free] @ self.rest.T, 12) + 0.0
        return points

    def moves(self, columns: np.ndarray) -> np.ndarray:
        """Directions (k, n) that keep the equalities, one for each of these columns that can move."""
        place = {int(c): k for k, c in enumerate(self.free)}
        solved = {int(c): k for k, c in enumerate(self.solved)}
        chosen = {int(c) for c in columns if int(c) not in solved}
        for column in columns:
            if int(column) in solved:
                chosen |= {int(self.free[k]) for k in np.flatnonzero(self.rest[solved[int(column)]])}
        ordered = sorted(chosen)
        found = np.zeros((len(ordered), len(self.lower)))
        for k, column in enumerate(ordered):
            found[k, column] = 1.0
            if column in place:
                found[k, self.solved] = -self.rest[:, place[column]]
        return found

    def chord(self, points: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far (low <= 0 <= high, (P,)) one may go from points (P, n) along directions within bounds and rows."""
        low, high = np.full(len(points), -np.inf), np.full(len(points), np.inf)
        slacks = [(self.upper - points, directions), (points - self.lower, -directions)]
        if self.matrix.shape[0]:
            activity, rate = (self.matrix @ points.T).T, (self.matrix @ directions.T).T
            equal = self.row_lower == self.row_upper
            slacks.append(((self.row_upper - activity)[:, ~equal], rate[:, ~equal]))
            slacks.append(((activity - self.row_lower)[:, ~equal], -rate[:, ~equal]))
        with np.errstate(all="ignore"):
            for slack, rate in slacks:
                ratio = np.maximum(slack, 0.0) / np.abs(rate)
                high = np.minimum(high, np.where(rate > 1e-14, ratio, np.inf).min(axis=1, initial=np.inf))
                low = np.maximum(low, -np.where(rate < -1e-14, ratio, np.inf).min(axis=1, initial=np.inf))
        return low, high


@dataclass(eq=False)
class Sampler:
    """Draws points of D."""

    model: Model
    domain: Domain
    rng: np.random.Generator
    effort: Effort

    def __post_init__(self) -> None:
        self.affine = Affine(self.domain)
        self.inside = Inside(self.model, self.domain)
        self.simple = not len(self.affine.active)
        self.outside = np.zeros((0, self.model.columns))  # points of box and rows outside natural domains
        solved = len(self.affine.solved)
        self.effort.add(10 * (self.model.columns + self.domain.matrix.nnz) + solved**2 * len(self.affine.active) / 8)

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which of the points lie in D."""
        self.effort.add(self.inside.cost(len(points)))
        return self.inside(points)

    def pool(self, count: int) -> np.ndarray:
        """Up to `count` points of D (P, n), distinct; none where none was found."""
        n = self.model.columns
        count = int(np.clip(MOST_POINTS // max(n, 1), 8, count))
        points = self._raw(count)
        if not len(points):
            return points
        points = np.concatenate([self._starts(), points])
        holds = self.holds(points)
        if not holds.any():
            points = np.concatenate([self._raw(count) for _ in range(4)])
            holds = self.holds(points)
            if not holds.any():
                return points[:0]
        good, bad = points[holds], points[~holds]
        bad = bad[self.inside.box(bad) & self.inside.rows(bad)] if len(bad) else bad
        self.outside = bad
        pulled = self._pulled(good, bad[: 2 * count])
        return np.unique(np.concatenate([good, pulled]), axis=0)[: 4 * count] if n < 1000 else good

    def _starts(self) -> np.ndarray:
        """Zero, or the bound next to it, and the first guess that the model gives."""
        start = np.concatenate([v.start for v in self.model.variables.values()])
        anchor = np.clip(0.0, self.affine.lower, self.affine.upper)
        points = np.array([anchor, np.where(np.isnan(start), anchor, start)])
        return self.affine.repaired(points if (points[0] != points[1]).any() else points[:1])

    def _pulled(self, good: np.ndarray, bad: np.ndarray) -> np.ndarray:
        """Points outside natural domains, pulled towards points inside until they are inside."""
        if not len(bad) or len(good) > 4 * len(bad):
            return bad[:0]
        centers = good[self.rng.integers(0, len(good), len(bad))]
        found, waiting = [], np.arange(len(bad))
        for k in range(1, 9):
            trial = centers[waiting] + 0.5**k * (bad[waiting] - centers[waiting])
            holds = self.holds(trial)
            found.append(trial[holds])
            waiting = waiting[~holds]
            if not len(waiting) or self.effort.spent:
                break
        return np.concatenate(found)

    def _raw(self, count: int) -> np.ndarray:
        """Points of the box and the affine rows."""
        affine = self.affine
        if (affine.lower > affine.upper).any():
            return np.zeros((0, self.model.columns))
        self.effort.add(10 * STEP + 4 * count * self.model.columns)
        points = box_points(affine.lower, affine.upper, self.rng, count)
        for variable in self.model.variables.values():
            if variable.attributes & {"psd", "nsd"}:
                self._definite(variable, points)
        if self.simple:
            return points
        corners = self._corners(min(12, count))
        if not len(corners):
            return corners
        if not affine.dense:
            walked = self._mixed(corners, count)
        else:
            walked = np.concatenate([corners, self._walk(corners, count)])
        points = np.resize(points, (len(walked), points.shape[1]))
        points[:, affine.active] = walked[:, affine.active]
        return np.clip(affine.repaired(points), affine.lower, affine.upper)

    def _definite(self, variable, points: np.ndarray) -> None:
        """Replace the entries of a matrix that must be definite by products G G'."""
        size = len(variable.axes[0])
        factor = self.rng.integers(-2, 3, (len(points), size, size)).astype(float)
        factor *= np.where(np.arange(len(points)) % 2, 1.0, self.rng.random(len(points)))[:, None, None]
        product = factor @ factor.transpose(0, 2, 1) + np.eye(size) * self.rng.integers(0, 2, (len(points), 1, 1))
        sign = 1.0 if "psd" in variable.attributes else -1.0
        points[:, variable.columns] = sign * product.reshape(len(points), -1)

    def _mixed(self, corners: np.ndarray, count: int) -> np.ndarray:
        weights = self.rng.exponential(size=(count, len(corners))) ** 3
        return np.concatenate([corners, (weights / weights.sum(axis=1, keepdims=True)) @ corners])

    def _corners(self, count: int) -> np.ndarray:
        """Corners of the polyhedron by linear programs (free directions cut at some distance), and one point within."""
        affine = self.affine
        columns = affine.active
        matrix = affine.matrix[:, columns]
        equal = affine.row_lower == affine.row_upper
        blocks, sides = [], []
        for sign, side in ((1.0, affine.row_upper), (-1.0, -affine.row_lower)):
            chosen = ~equal & np.isfinite(side)
            blocks.append(sign * matrix[chosen])
            sides.append(side[chosen])
        program = {
            "A_ub": sp.csr_array(sp.vstack(blocks, format="csr")) if sum(b.shape[0] for b in blocks) else None,
            "A_eq": matrix[equal] if equal.any() else None,
            "b_eq": affine.row_lower[equal] if equal.any() else None,
        }
        program["b_ub"] = np.concatenate(sides) if program["A_ub"] is not None else None
        found: list[np.ndarray] = []
        size = max(1, matrix.nnz + sum(matrix.shape))
        for k in range(count):
            least = PROGRAM + size**2 / 50  # a long row alone takes that, whatever the pivots
            if self.effort.left < least:
                break
            reach = 10.0 ** (k % 3)
            lower, upper = affine.lower[columns], affine.upper[columns]
            center = np.clip(0.0, lower, upper)
            low = np.where(np.isfinite(lower), lower, center - reach)
            high = np.where(np.isfinite(upper), upper, center + reach)
            near = np.column_stack([low, high])
            cost = self.rng.normal(size=len(columns))
            options = {"maxiter": int(max(LEAST_PIVOTS, self.effort.left / size))}
            answer = linprog(cost, **program, bounds=near, method="highs", options=options)  # type: ignore[call-overload]
            self.effort.add(least + answer.nit * size)
            if answer.status == 2 and k == 0:
                whole = np.column_stack([lower, upper])
                answer = linprog(0 * cost, **program, bounds=whole, method="highs", options=options)  # type: ignore[call-overload]
                self.effort.add(least + answer.nit * size)
                if answer.status != 0:
                    break
            if answer.status == 0:
                found.append(np.round(answer.x, 12))
        if not found:
            return np.zeros((0, self.model.columns))
        points = np.zeros((len(found) + 1, self.model.columns))
        points[:, columns] = np.array([*found, np.mean(found, axis=0)])
        return points

    def _walk(self, corners: np.ndarray, count: int) -> np.ndarray:
        """Hit and run (Smith, 1984) from within, all walks at once; some steps go to the end, towards other corners."""
        affine, rng = self.affine, self.rng
        walks = min(32, count)
        z = np.repeat(corners[-1:, affine.free], walks, axis=0)
        walls = affine.walls
        visited: list[np.ndarray] = []
        for _ in range(max(4, count // walks)):
            self.effort.add(10 * STEP + 10 * z.size + 2 * walks * walls.size)
            direction = rng.normal(size=z.shape) * (rng.random(z.shape) < rng.choice([1.0, 0.5, 0.1]))
            slack = np.maximum(affine.limit - (walls @ z.T).T, 0.0)
            rate = (walls @ direction.T).T
            with np.errstate(all="ignore"):
                ratio = slack / np.abs(rate)
            high = np.minimum(np.where(rate > 1e-12, ratio, np.inf).min(axis=1, initial=np.inf), FAR)
            low = np.maximum(-np.where(rate < -1e-12, ratio, np.inf).min(axis=1, initial=np.inf), -FAR)
            at = rng.choice([0.0, 1.0, -1.0], walks, p=[0.1, 0.1, 0.8])
            at = np.where(at < 0, rng.random(walks), at)
            shrunk = 10.0 ** -rng.integers(0, 3, walks)
            step = low + at * (high - low)
            z = z + (np.where((low <= -FAR) | (high >= FAR), shrunk, 1.0) * step)[:, None] * direction
            visited.append(z)
            if self.effort.spent:
                break
        points = np.zeros((walks * len(visited), self.model.columns))
        points[:, affine.free] = np.concatenate(visited)
        return affine.repaired(points)[:count]
