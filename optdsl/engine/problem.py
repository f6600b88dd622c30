"""A model as a nonlinear program: templates lowered once, patterns computed once, then only numbers move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import sympy

from optdsl.engine.assembly import Assembly, assembled
from optdsl.engine.domains import domains_of, within
from optdsl.engine.kinks import Kinks
from optdsl.engine.lower import Lowering, lower_over
from optdsl.engine.residuals import squares_of
from optdsl.engine.rows import Point, RowSystem, with_affine_slots
from optdsl.engine.scalar import ScalarProgram
from optdsl.engine.space import GraphFunction, Space
from optdsl.engine.sweeps import (
    SpaceHessian,
    TooManyPairs,
    add_gradient,
    add_hessian_product,
    add_slope_sizes,
    hessian_of,
    spread_weights,
)
from optdsl.model.model import Model
from optdsl.nlp import Pattern
from optdsl.terms.frame import Frame


class ArrayProblem:
    """An `optdsl.nlp.Nlp` of spaces: minimize the objective's one lane / sign, subject to rows and bounds.

    Arrays are as in the protocol; the start (n,) may hold NaN where none was given. `sign` takes values of f, and
    multipliers, back to the user's objective: 1 or -1 times the power of 2 that is the unit in which f is measured.
    """

    def __init__(
        self,
        objective: Space | None,
        rows: Sequence[Space],
        sides: tuple[np.ndarray, np.ndarray],
        bounds: tuple[np.ndarray, np.ndarray],
        start: np.ndarray,
        *,
        sign: float = 1.0,
        convex: bool = False,
    ) -> None:
        self.width = len(start)
        self.sign, self.convex = sign, convex
        self.lower, self.upper = bounds
        self.start = start
        self.row_lower, self.row_upper = sides
        self._point = Point()
        self._objective = None if objective is None else with_affine_slots(objective, self.width)
        self.system = RowSystem([with_affine_slots(s, self.width) for s in rows], self.width, self._point)
        self.count = self.system.count
        self.linear = self.system.linear
        self.jacobian_pattern = self.system.pattern
        self.residuals = squares_of(self._objective, self.width, sign)
        self._hessians: list[tuple[int, SpaceHessian]] | None = None
        self._assembly: Assembly | None = None
        self._small = ScalarProgram.of(
            self._objective, self.system.spaces, self.width, self.jacobian_pattern
        )
        """Answers first where the problem is small."""

    @property
    def _weight(self) -> float:
        """What the objective's lane is multiplied by: powers of 2 round nothing."""
        return 1.0 / self.sign

    def measured_in(self, unit: float) -> None:
        """Measure f in a unit (> 0, a power of 2) of the user's objective; the sign stays."""
        factor = abs(self.sign) / unit
        self.sign /= factor
        if self.residuals is not None:
            residuals = self.residuals
            scale, constant = factor * residuals.scale, factor * residuals.constant
            self.residuals = replace(residuals, scale=scale, constant=constant)

    # --------------------------------------------------------------------------------------------------- structure

    @property
    def hessian_pattern(self) -> Pattern | None:
        """The lower triangle of the Lagrangian's Hessian; None where it would be too large."""
        if self._hessians is None:
            self._make_hessian_pattern()
        return None if self._assembly is None else self._assembly.pattern

    def _make_hessian_pattern(self) -> None:
        found: list[tuple[int, SpaceHessian]] = []
        self._hessians = found
        try:
            for at, space in self._curved():
                found.extend((at, part) for part in hessian_of(space, self.width))
        except TooManyPairs:
            return
        places = [(block.rows, block.columns) for _, part in found for block in part.blocks]
        self._assembly = assembled(places, (self.width, self.width))
        self._hessians = [(at, part.without_places()) for at, part in found]

    def _curved(self) -> Iterator[tuple[int, Space]]:
        """The curved spaces with the first of their rows; -1: the objective."""
        if self._objective is not None and not self._objective.affine:
            yield -1, self._objective
        yield from self.system.curved

    # ------------------------------------------------------------------------------------------------------ values

    @np.errstate(all="ignore")  # infinite and undefined values are answers
    def objective(self, x: np.ndarray) -> float:
        """f(x)."""
        if self._objective is None:
            return 0.0
        known = None if self._small is None else self._small.objective(x)
        if known is not None:
            return self._weight * known
        return self._weight * float(self._point.values(self._objective, x).value(self._objective)[0])

    @np.errstate(all="ignore")
    def gradient(self, x: np.ndarray) -> np.ndarray:
        """The gradient of f (n,)."""
        known = None if self._small is None else self._small.gradient(x)
        if known is not None:
            return self._weight * known
        total = np.zeros(self.width)
        if self._objective is not None:
            values = self._point.values(self._objective, x)
            add_gradient(self._objective, values, np.array([self._weight]), total)
        return total

    @np.errstate(all="ignore")
    def slope_sizes(self, x: np.ndarray) -> np.ndarray:
        """The sums of the sizes of the terms that make up the gradient of f (n,)."""
        total = np.zeros(self.width)
        if self._objective is not None:
            add_slope_sizes(self._objective, self._point.values(self._objective, x), np.array([self._weight]), total)
        return total

    @np.errstate(all="ignore")
    def constraints(self, x: np.ndarray) -> np.ndarray:
        """c(x) (m,)."""
        known = None if self._small is None else self._small.constraints(x)
        return self.system.values(x) if known is None else known

    @np.errstate(all="ignore")
    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """The values of c's Jacobian, in the order of its pattern."""
        known = None if self._small is None else self._small.jacobian(x)
        return self.system.jacobian(x) if known is None else known

    @np.errstate(all="ignore")
    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        """The lower triangle of weight * f'' + sum_i multipliers_i c_i'', in the order of its pattern."""
        assert self.hessian_pattern is not None and self._hessians is not None and self._assembly is not None
        if self._small is not None:
            known = self._small.hessian(x, multipliers, self._weight * weight, self._assembly.pattern)
            if known is not None:
                return known
        roots = dict(self._curved())
        total = np.empty(sum(part.size for _, part in self._hessians))
        first, last = 0, -2
        weights: dict[int, np.ndarray] = {}
        for at, part in self._hessians:
            root = roots[at]
            values = self._point.values(root, x)
            if last != at:
                last, weights = at, spread_weights(root, values, self._weights(at, root, multipliers, weight))
            part.values(values, weights[id(part.space)], total[first : first + part.size])
            first += part.size
        return self._assembly.total(total)

    def _weights(self, at: int, root: Space, multipliers: np.ndarray, weight: float) -> np.ndarray:
        return np.array([self._weight * weight]) if at < 0 else multipliers[at : at + root.lanes]

    @np.errstate(all="ignore")
    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        """The Hessian of `hessian` times a direction (n,)."""
        total = np.zeros(self.width)
        for at, space in self._curved():
            values = self._point.values(space, x)
            add_hessian_product(space, values, self._weights(at, space, multipliers, weight), direction, total)
        return total


class ModelProblem(ArrayProblem):
    """A model's continuous part as an `optdsl.nlp.Nlp`, always minimized: of a maximum the negative.

    Columns are the model's; rows are the relations' instances, constraint after constraint; `places` says for each
    relation (constraint's number, relation's number). Domains of functions tighten the bounds and, with
    `domain_rows`, add rows after those of the model. Kinks that are lifted (`lift`: their numbers; None: all) bring
    columns and rows after all others. Raises NotLowered for what the engine has no derivatives for.
    """

    def __init__(
        self,
        model: Model,
        *,
        convex: bool = False,
        smoothing: float = 0.0,
        domain_rows: bool = False,
        lift: frozenset[int] | None = frozenset(),
    ) -> None:
        self.model = model
        self.kinks = Kinks(model.columns, lift)
        lowering = Lowering(model, smoothing, self.kinks)
        objective = model.objective
        self.places: list[tuple[int, int]] = []
        rows: list[Space] = []
        lower: list[np.ndarray] = [np.zeros(0)]
        upper: list[np.ndarray] = [np.zeros(0)]
        for number, constraint in enumerate(model.constraints):
            frame = model.lanes_of(constraint.over)
            for place, relation in enumerate(constraint.relations):
                self.places.append((number, place))
                rows.append(lowering.space(relation.body, frame))
                lower.append(_side(model, relation.lower, frame, -np.inf))
                upper.append(_side(model, relation.upper, frame, np.inf))
        body = None if objective is None else lower_over(lowering, objective.body, None)
        *self.declared, start = _columns(model, self.kinks.width)
        plain = Lowering(model, smoothing)  # rows of domains are not lifted
        *bounds, inside = within(list(domains_of(plain)), *self.declared)
        self.domain_rows = domain_rows or not inside
        for space in inside if domain_rows else ():
            rows.append(space)
            lower.append(np.zeros(space.lanes))
            upper.append(np.full(space.lanes, np.inf))
        self._own_rows = sum(space.lanes for space in rows)
        for lifted in self.kinks.rows:
            rows.append(lifted.space)
            lower.append(np.full(lifted.space.lanes, 0.0 if lifted.lower else -np.inf))
            upper.append(np.full(lifted.space.lanes, np.inf if lifted.lower else 0.0))
        super().__init__(
            body,
            rows,
            (np.concatenate(lower), np.concatenate(upper)),
            (bounds[0], bounds[1]),
            start,
            sign=-1.0 if objective is not None and objective.sense == "maximize" else 1.0,
            convex=convex,
        )

    def settled(self, x: np.ndarray) -> np.ndarray:
        """The point (n,) with the auxiliary variables of lifted kinks at the values of their functions."""
        return self.kinks.settled(x) if self.kinks.lifted else x

    @property
    def lifted_rows(self) -> slice:
        """Which rows are those of lifted kinks."""
        return slice(self._own_rows, self.count)

    def pressed(self, points: Sequence[np.ndarray], multipliers: np.ndarray | None = None) -> frozenset[int]:
        """The lifted kinks that are held down (those of `min` up) by all slopes at all of the points (n,), by number.

        Slopes are those of the objective, of rows with one side, and of the rows of kinks that these stand in; with
        `multipliers` of the model's rows those of the Lagrangian instead.
        """
        columns = np.full(self.width, -1)
        want = np.zeros(self.width)
        for kink in self.kinks.found:
            if kink.columns is not None:
                columns[kink.columns] = kink.number
                want[kink.columns] = 1.0 if kink.extreme == "max" else -1.0
        owner = np.full(self.count, -1)
        first = self._own_rows
        for lifted in self.kinks.rows:
            owner[first : first + lifted.space.lanes] = lifted.number
            first += lifted.space.lanes
        at = self.jacobian_pattern
        foreign = (columns[at.columns] >= 0) & (owner[at.rows] != columns[at.columns])
        weights = np.zeros(self.count)
        if multipliers is not None:
            weights[: self._own_rows] = multipliers
            foreign &= at.rows >= self._own_rows
        above, below = np.isfinite(self.row_upper)[at.rows], np.isfinite(self.row_lower)[at.rows]
        wrong = np.zeros(self.width, dtype=bool)
        for x in points:
            jacobian = self.jacobian(x)
            slopes = want[at.columns] * jacobian
            against = (above & ~(slopes >= 0)) | (below & ~(slopes <= 0))
            wrong[at.columns[foreign & against]] = True
            pressing = np.bincount(at.columns, weights=weights[at.rows] * jacobian, minlength=self.width)
            wrong |= ~(want * (self.gradient(x) + pressing) >= 0)
        return frozenset(np.unique(columns[columns >= 0]).tolist()) - frozenset(columns[wrong].tolist())

    @property
    def edged(self) -> bool:
        """Whether a function's domain ends inside the declared bounds."""
        return bool((self.lower > self.declared[0]).any() or (self.upper < self.declared[1]).any())

    # ------------------------------------------------------------------------------------------------------- words

    def describe(self) -> str:
        """A line for each template: lanes, slots, operations and what its derivatives cost."""
        lines = []
        own = zip(self.places, self.system.spaces, strict=False)  # rows of domains come after those of the model
        named = [(self.model.constraints[k].name, space) for (k, _), space in own]
        if self._objective is not None and self.model.objective is not None:
            named.insert(0, (self.model.objective.name, self._objective))
        for name, space in named:
            parts = []
            for part in reversed(space.family):
                operations = part.local.operations if isinstance(part.local, GraphFunction) else 0
                seconds = len(part.local.second_pairs)
                parts.append(
                    f"{_counted(part.lanes, 'lane')} of {_counted(len(part.slots), 'slot')}, "
                    f"{_counted(operations, 'operation')}, {_counted(seconds, 'second derivative')}"
                )
            kind = "affine" if space.affine else "curved"
            lines.append(f"{name} ({kind}): " + "; within it ".join(parts))
        return "\n".join(lines)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _columns(model: Model, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds and given starts (NaN where none) of all columns (n,), auxiliary ones after the model's."""
    lower, upper, start = (np.full(width, f) for f in (-np.inf, np.inf, np.nan))
    for v in model.variables.values():
        part = slice(v.offset, v.offset + v.width)
        lower[part], upper[part], start[part] = v.lower, v.upper, v.start
    return lower, upper, start


def _side(model: Model, side: sympy.Expr | None, frame: Frame, missing: float) -> np.ndarray:
    if side is None:
        return np.full(frame.size, missing)
    return model.lanes.full(side, frame).reshape(-1)
