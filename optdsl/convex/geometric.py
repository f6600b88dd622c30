"""Geometric programs as convex programs in y = log x, and the way back.

A row log Σ exp(a_k'y + b_k) <= 0 becomes Σ v_k <= 1 with exp(a_k'y + b_k) <= v_k, one exponential cone for each
monomial; rows of one monomial are linear (Boyd, Kim, Vandenberghe and Hassibi, 2007, section 2.5). Multipliers come
back by the chain rule: with objective offset + s F and greater side G of a row, a multiplier r on the log scale is
the rate s F r / G of the objective per unit of the user's right-hand side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from optdsl.classify.geometric import Geometric, RowFamily
from optdsl.classify.geometric.log_rows import LogRows
from optdsl.convex.log_sums import ConvexRows, LogPoint, LogProblem, error_at, sharpened
from optdsl.convex.lower import Restored
from optdsl.convex.program import AffineRows, Cone, ConeKind, Program, RawAnswer, RawStatus

SHARP = 1e-9
"""How small the conditions of an optimum must be for a solver's doubtful answer to count."""


@dataclass(frozen=True, eq=False)
class GeometricLowered:
    """The convex program in (log x, auxiliary logarithms, v) and how it maps back."""

    geometric: Geometric
    program: Program
    rows: tuple[ConvexRows, ...]
    families: tuple[RowFamily | None, ...]
    """The user's rows that each of `rows` is, None for those of auxiliary columns."""
    columns: int
    """How many logarithms there are: columns of the program before the v."""

    @property
    def problem(self) -> LogProblem:
        """The program without v, as convex rows."""
        at = slice(self.columns)
        return LogProblem(self.program.cost[at], self.rows, self.program.lower[at], self.program.upper[at])

    def objective_of(self, logarithm: float) -> float:
        """The user's objective where the program's is `logarithm`."""
        objective = self.geometric.objective
        if objective is None:
            return 0.0
        with np.errstate(over="ignore"):
            return objective.offset + objective.sign * float(np.exp(objective.tail * logarithm)) * self._present

    @property
    def _present(self) -> float:
        objective = self.geometric.objective
        return float(objective is not None and objective.terms.size > 0)

    def rate(self, logarithm: float) -> float:
        """How fast the user's objective moves with the program's, there."""
        objective = self.geometric.objective
        if objective is None:
            return 0.0
        return objective.sign * objective.tail * float(np.exp(objective.tail * logarithm)) * self._present

    def point(self, z: np.ndarray) -> np.ndarray:
        """The model's columns (n,) from the program's; columns that occur nowhere take the value nearest 0."""
        geometric = self.geometric
        lower, upper = _bounds(geometric)
        with np.errstate(over="ignore"):
            x = np.exp(z[: len(geometric.used)])
        x = np.clip(x, lower, upper)  # the exponential of a logarithm's bound is off by rounding
        return np.where(geometric.used, x, np.clip(0.0, lower, upper))

    def restore(self, raw: RawAnswer) -> Restored:
        """The answer in the model's columns, constraints and sense."""
        if raw.x is None:
            bound = None if raw.bound is None else self.objective_of(raw.bound)
            return Restored(None, None, None, bound, None)
        z = raw.x
        x = self.point(z)
        logarithm = float(self.program.cost @ z) + self.program.constant
        bound = self.bound(raw)
        duals = None if raw.row_dual is None else self._duals(raw.row_dual, z, self.rate(logarithm))
        reduced = None if raw.reduced_cost is None else self._reduced(raw.reduced_cost, x, self.rate(logarithm))
        return Restored(x, duals, reduced, bound, None)

    def _duals(self, row_dual: np.ndarray, z: np.ndarray, rate: float) -> tuple[np.ndarray, ...]:
        model = self.geometric.model
        duals = [np.zeros(model.lanes_of(c.over).size) for c in model.constraints]
        for rows, family in zip(self.rows, self.families, strict=True):
            if family is not None:
                ours = row_dual[rows.first : rows.first + rows.count]
                greater = np.exp(family.greater.values(z))
                duals[family.constraint][family.lanes] += rate * ours * family.orientation * family.factor / greater
        return tuple(duals)

    def _reduced(self, reduced_cost: np.ndarray, x: np.ndarray, rate: float) -> np.ndarray:
        """Rates per unit of the bound: a bound of 0 has none on the log scale."""
        n = len(x)
        lower, upper = self.program.lower[:n], self.program.upper[:n]
        held = self.geometric.used & (np.isfinite(lower) | np.isfinite(upper))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(held, rate * reduced_cost[:n] / x, 0.0)

    # ------------------------------------------------------------------------------------------------ own proof

    def bound(self, raw: RawAnswer) -> float | None:
        """The best proved bound of the user's objective, from the multipliers by weak duality."""
        logarithm = self._log_bound(raw)
        if logarithm is None or not np.isfinite(logarithm):
            return None
        return self.objective_of(logarithm)

    def _log_bound(self, raw: RawAnswer) -> float | None:
        if raw.x is None or raw.row_dual is None or self.geometric.objective is None:
            return raw.bound
        value, gradient = self._lagrangian(raw.x, raw.row_dual)
        z = raw.x[: self.columns]
        lower, upper = self.program.lower[: self.columns], self.program.upper[: self.columns]
        side = np.where(gradient > 0, lower, upper)
        finite = np.isfinite(side)
        # where no bound holds a column, what its rest of a gradient can cost within the point's own size
        loose = -np.abs(gradient) * np.maximum(1.0, np.abs(z))
        distance = np.where(finite, side, z) - z
        return value + float(np.where(finite, gradient * distance, loose).sum())

    def residual(self, raw: RawAnswer) -> float | None:
        """Scaled norm of the gradient of the Lagrangian on the log scale; None without multipliers."""
        if raw.x is None or raw.row_dual is None or raw.reduced_cost is None:
            return None
        _, gradient = self._lagrangian(raw.x, raw.row_dual)
        left = gradient - raw.reduced_cost[: self.columns]
        sizes = (np.abs(a).max(initial=0.0) for a in (self.program.cost, raw.row_dual))
        return float(np.abs(left).max(initial=0.0)) / max(1.0, *map(float, sizes))

    def _lagrangian(self, x: np.ndarray, row_dual: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient in the logarithms of objective + Σ multiplier * g, at the point.

        Each multiplier of a row `<= 0` is cut to its sign, so that the value at any other point lies above the tangent.
        """
        z = x[: self.columns]
        value = float(self.program.cost[: self.columns] @ z) + self.program.constant
        gradient = self.program.cost[: self.columns].copy()
        for rows in self.rows:
            multiplier = -row_dual[rows.first : rows.first + rows.count]
            multiplier = multiplier if rows.equal else np.maximum(multiplier, 0.0)
            level, share = rows.shares(z)
            value += float(multiplier @ level)
            gradient += rows.jacobian(share, self.columns).T @ multiplier
        return value, gradient

    def sharpened(self, raw: RawAnswer) -> RawAnswer:
        """The answer after Newton's steps on the log scale (see `log_sums`), where they help."""
        if raw.x is None or raw.row_dual is None or raw.reduced_cost is None:
            return raw
        multipliers = [-raw.row_dual[r.first : r.first + r.count] for r in self.rows]
        point = LogPoint(
            raw.x[: self.columns], np.concatenate([np.zeros(0), *multipliers]), raw.reduced_cost[: self.columns]
        )
        found = sharpened(self.problem, point)
        x, row_dual, reduced = raw.x.copy(), raw.row_dual.copy(), raw.reduced_cost.copy()
        if found is not point:
            x[: self.columns], reduced[: self.columns] = found.z, found.bound
            reduced[self.columns :] = 0.0
            at = 0
            for rows in self.rows:
                row_dual[rows.first : rows.first + rows.count] = -found.multiplier[at : at + rows.count]
                at += rows.count
            for cone in self.program.cones:
                first, _, last = cone.parts
                x[last.matrix.indices] = np.exp(first.matrix @ x + first.offset)
        sharp = replace(raw, x=x, row_dual=row_dual, reduced_cost=reduced, cone_duals=())
        near = raw.status in (RawStatus.INACCURATE, RawStatus.NUMERICAL_ERROR, RawStatus.ITERATION_LIMIT)
        if near and error_at(self.problem, found) <= SHARP:
            message = f"{raw.solver} came near, Newton's steps ended it"
            sharp = replace(sharp, status=RawStatus.OPTIMAL, message=message)
        return sharp


def _bounds(geometric: Geometric) -> tuple[np.ndarray, np.ndarray]:
    variables = list(geometric.model.variables.values())
    if not variables:
        return np.zeros(0), np.zeros(0)
    return np.concatenate([v.lower for v in variables]), np.concatenate([v.upper for v in variables])


# ------------------------------------------------------------------------------------------------------- lowering


def lower_geometric(geometric: Geometric) -> GeometricLowered:
    """The convex program of a geometric program."""
    return _Assembly(geometric).lowered()


class _Assembly:
    """Puts the program together: columns are logarithms, then v; rows are linear ones, sums of v, and v <= bounds."""

    def __init__(self, geometric: Geometric) -> None:
        self.geometric = geometric
        self.columns = geometric.columns
        self.top: int | None = None
        self.groups: list[tuple[LogRows, np.ndarray, int, RowFamily | None]] = []
        self.singles: list[tuple[LogRows, RowFamily | None]] = []

    def lowered(self) -> GeometricLowered:
        self._sort()
        exponential = self.geometric.program.exponential
        curved: list[tuple[LogRows, np.ndarray, int, LogRows | None, RowFamily | None]]
        curved = [(terms, group, count, None, f) for terms, group, count, f in self.groups]
        curved += [(a, np.arange(a.size), a.size, held, None) for a, held in exponential]
        total = sum(terms.size for terms, *_ in curved)
        rows, families, first = [], [], 0
        matrices, lows, highs = [], [], []
        for terms, family in self.singles:
            equal = family is not None and family.equal
            rows.append(ConvexRows(terms, np.arange(terms.size), terms.size, first, equal))
            families.append(family)
            matrices.append(_padded(terms.matrix(self.columns), self.columns + total))
            highs.append(-terms.constant)
            lows.append(-terms.constant if equal else np.full(terms.size, -np.inf))
            first += terms.size
        v = 0
        for terms, group, count, held, family in curved:
            rows.append(ConvexRows(terms, group, count, first, False, held))
            families.append(family)
            sums = sp.csr_array((np.ones(terms.size), (group, v + np.arange(terms.size))), shape=(count, total))
            left = sp.csr_array((count, self.columns)) if held is None else -held.matrix(self.columns)
            matrices.append(sp.csr_array(sp.hstack([left, sums])))
            highs.append(np.ones(count) if held is None else held.constant)
            lows.append(np.full(count, -np.inf))
            v += terms.size
            first += count
        program = self._program(matrices, lows, highs, [terms for terms, *_ in curved], total)
        return GeometricLowered(self.geometric, program, tuple(rows), tuple(families), self.columns)

    def _sort(self) -> None:
        """Linear rows and sums; an objective of several terms gets a column that lies above it."""
        geometric = self.geometric
        for family in geometric.families:
            if family.linear:
                self.singles.append((family.terms, family))
            else:
                self.groups.append((family.terms, family.row, len(family.lanes), family))
        self.singles += [(rows, None) for rows in geometric.program.linear]
        self.groups += [(sums.terms, sums.row, sums.count, None) for sums in geometric.program.softmax]
        objective = geometric.objective
        if objective is not None and objective.terms.size > 1:
            self.top = self.columns
            self.columns += 1
            count = objective.terms.size
            level = LogRows.of_columns(np.full(count, self.top))
            above = objective.terms.plus(level.times(-np.ones(count)))
            self.groups.append((above, np.zeros(count, dtype=int), 1, None))

    def _program(
        self, rows: list[Any], lows: list[np.ndarray], highs: list[np.ndarray], arguments: list[LogRows], total: int
    ) -> Program:
        wide = self.columns + total
        cost, constant = self._cost(wide)
        lower, upper, start = self._column_arrays(total)
        cones: tuple[Cone, ...] = ()
        if total:
            joined = LogRows.joined(arguments)
            v = sp.csr_array((np.ones(total), (np.arange(total), self.columns + np.arange(total))), shape=(total, wide))
            one = AffineRows(sp.csr_array((total, wide)), np.ones(total))
            first = AffineRows(_padded(joined.matrix(self.columns), wide), joined.constant)
            cones = (Cone(ConeKind.EXPONENTIAL, (first, one, AffineRows(v, np.zeros(total)))),)
        impossible = len(self.geometric.impossible)
        if impossible:  # 0 <= -1 for each, so that every solver says so
            rows = [*rows, sp.csr_array((impossible, wide))]
            lows, highs = [*lows, np.full(impossible, -np.inf)], [*highs, np.full(impossible, -1.0)]
        return Program(
            cost=cost,
            constant=constant,
            matrix=sp.csr_array(sp.vstack(rows)) if rows else sp.csr_array((0, wide)),
            row_lower=np.concatenate([np.zeros(0), *lows]),
            row_upper=np.concatenate([np.zeros(0), *highs]),
            lower=lower,
            upper=upper,
            integer=np.zeros(wide, dtype=bool),
            start=start,
            cones=cones,
        )

    def _cost(self, wide: int) -> tuple[np.ndarray, float]:
        cost = np.zeros(wide)
        objective = self.geometric.objective
        if objective is None or objective.terms.size == 0:
            return cost, 0.0
        if self.top is not None:
            cost[self.top] = 1.0
            return cost, 0.0
        np.add.at(cost, objective.terms.column, objective.terms.exponent)
        return cost, float(objective.terms.constant[0])

    def _column_arrays(self, total: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Bounds and start of all columns; columns that occur nowhere are held at 0."""
        low, high = _bounds(self.geometric)
        used = self.geometric.used
        variables = self.geometric.model.variables.values()
        begin = np.concatenate([np.zeros(0), *(v.start for v in variables)])
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = np.log(np.maximum(low, 0.0)), np.log(np.maximum(high, 0.0))
            begin = np.log(begin)
        free = np.full(self.columns - len(used) + total, np.inf)
        if self.geometric.zero is not None:
            held = self.geometric.zero[len(used) :]
            free[: len(held)] = np.where(held, 0.0, np.inf)
        lower = np.concatenate([np.where(used, low, 0.0), -free])
        upper = np.concatenate([np.where(used, high, 0.0), free])
        begin = np.where(used & np.isfinite(begin), begin, np.nan)
        start = None if np.isnan(begin).all() else np.concatenate([begin, np.full(len(free), np.nan)])
        return lower, upper, start


def _padded(matrix: sp.csr_array, columns: int) -> sp.csr_array:
    """The matrix with columns of zeros at its end."""
    return sp.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], columns))
