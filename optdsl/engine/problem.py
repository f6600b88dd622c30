"""A model as a nonlinear program: templates lowered once, patterns computed once, then only numbers move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from optdsl.engine.lower import Lowering, lower_over
from optdsl.engine.space import Affine, GraphFunction, Held, Link, Slot, Space
from optdsl.engine.sweeps import (
    SpaceHessian,
    TooManyPairs,
    Values,
    add_gradient,
    add_hessian_product,
    constant_jacobian,
    hessian_of,
    raw_values,
    spread_weights,
)
from optdsl.model.model import Model
from optdsl.nlp import Pattern, Residuals
from optdsl.terms.frame import Frame


@dataclass(frozen=True, eq=False)
class Rows:
    """One relation of a constraint: its space, and the first of its rows in c(x)."""

    constraint: int
    relation: int
    space: Space
    first: int
    lower: np.ndarray
    upper: np.ndarray


def with_affine_slots(space: Space, width: int) -> Space:
    """The space with its affine children turned into matrices, from below."""
    done: dict[int, Space] = {}

    def visit(part: Space) -> Space:
        if id(part) not in done:
            slots = tuple(_slot(s) for s in part.slots)
            done[id(part)] = replace(part, slots=slots) if any(a is not b for a, b in zip(slots, part.slots, strict=True)) else part
        return done[id(part)]

    def _slot(slot: Slot) -> Slot:
        if isinstance(slot, Held):
            seen = visit(slot.link.child)
            return slot if seen is slot.link.child else replace(slot, link=replace(slot.link, child=seen))
        return _linked(slot) if isinstance(slot, Link) else slot

    def _linked(link: Link) -> Link | Affine:
        child = visit(link.child)
        if not child.affine:
            return link if child is link.child else replace(link, child=child)
        matrix, constant = affine_form(child, width)
        source = np.arange(child.lanes) if link.source is None else link.source
        gather = sp.csr_array((np.ones(len(source)), (link.target, source)), shape=(link.lanes, child.lanes))
        summed = sp.csr_array(gather @ matrix)
        summed.sort_indices()
        return Affine(summed, link.gather(constant))

    return visit(space)


def affine_form(space: Space, width: int) -> tuple[sp.csr_array, np.ndarray]:
    """Matrix (L, n) and constant (L,) of an affine space."""
    matrix = constant_jacobian(space, width)
    return matrix, np.array(Values(space.family, np.zeros(width)).value(space))


class ModelProblem:
    """A model's continuous part as an `optdsl.nlp.Nlp`, always minimized: of a maximum the negative.

    Columns are the model's; rows are the relations' instances, constraint after constraint. Raises NotLowered for
    what the engine has no derivatives for.
    """

    residuals: Residuals | None = None

    def __init__(self, model: Model, convex: bool = False) -> None:
        self.model, self.convex = model, convex
        self.width = n = model.columns
        lowering = Lowering(model)
        self.sign = -1.0 if model.objective is not None and model.objective.sense == "maximize" else 1.0
        self.lower, self.upper, self.start = _columns(model)
        self._objective = (
            None
            if model.objective is None
            else with_affine_slots(lower_over(lowering, model.objective.body, None), n)
        )
        self.rows = tuple(_relations(model, lowering))
        self.count = sum(r.space.lanes for r in self.rows)
        self.row_lower = _joined([r.lower for r in self.rows])
        self.row_upper = _joined([r.upper for r in self.rows])
        self.linear = _joined([np.full(r.space.lanes, r.space.affine) for r in self.rows], bool)
        self._curved = [r for r in self.rows if not r.space.affine]
        self._constant, self._constant_matrix, self._offset = self._affine_part()
        self._make_jacobian_pattern()
        self._hessians: list[tuple[Rows | None, SpaceHessian]] | None = None
        self._position: np.ndarray | None = None
        self._pattern: Pattern | None = None
        self._at: tuple[np.ndarray, dict[int, Values]] | None = None

    # --------------------------------------------------------------------------------------------------- structure

    def _affine_part(self) -> tuple[np.ndarray, sp.csr_array, np.ndarray]:
        """The values of the affine rows' Jacobian entries, that part of the Jacobian (m, n), and its constants (m,)."""
        offset = np.zeros(self.count)
        values, rows, columns = [np.zeros(0)], [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for r in self.rows:
            if r.space.affine:
                matrix, constant = affine_form(r.space, self.width)
                coo = matrix.tocoo()
                values.append(coo.data)
                rows.append(coo.coords[0].astype(np.int64) + r.first)
                columns.append(coo.coords[1].astype(np.int64))
                offset[r.first : r.first + r.space.lanes] = constant
        whole = (np.concatenate(values), np.concatenate(rows), np.concatenate(columns))
        self._affine_places = whole[1], whole[2]
        matrix = sp.csr_array((whole[0], (whole[1], whole[2])), shape=(self.count, self.width))
        return whole[0], matrix, offset

    def _make_jacobian_pattern(self) -> None:
        rows = [self._affine_places[0]] + [r.space.entries.lanes + r.first for r in self._curved]
        columns = [self._affine_places[1]] + [r.space.entries.columns for r in self._curved]
        self._jacobian_position, self.jacobian_pattern = _pattern(
            np.concatenate(rows), np.concatenate(columns), (self.count, self.width)
        )

    @property
    def hessian_pattern(self) -> Pattern | None:
        """The lower triangle of the Lagrangian's Hessian; None where it would be too large."""
        if self._hessians is None:
            self._make_hessian_pattern()
        return self._pattern

    def _make_hessian_pattern(self) -> None:
        found: list[tuple[Rows | None, SpaceHessian]] = []
        self._hessians = found
        try:
            for r, space in self._spaces():
                found.extend((r, part) for part in hessian_of(space, self.width))
        except TooManyPairs:
            return
        blocks = [block for _, part in found for block in part.blocks]
        empty = np.zeros(0, dtype=np.int64)
        rows = np.concatenate([empty, *(b.rows for b in blocks)])
        columns = np.concatenate([empty, *(b.columns for b in blocks)])
        self._position, self._pattern = _pattern(rows, columns, (self.width, self.width))

    def _spaces(self) -> Iterator[tuple[Rows | None, Space]]:
        """The curved spaces with their rows; None: the objective."""
        if self._objective is not None:
            yield None, self._objective
        for r in self._curved:
            yield r, r.space

    # ------------------------------------------------------------------------------------------------------ values

    def _values(self, space: Space, x: np.ndarray) -> Values:
        """The numbers of a space at x; those of the last point are kept."""
        if self._at is None or not np.array_equal(self._at[0], x):
            self._at = (x.copy(), {})
        known = self._at[1]
        if id(space) not in known:
            known[id(space)] = Values(space.family, self._at[0])
        return known[id(space)]

    def objective(self, x: np.ndarray) -> float:
        """f(x)."""
        if self._objective is None:
            return 0.0
        return self.sign * float(self._values(self._objective, x).value(self._objective)[0])

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """The gradient of f (n,)."""
        total = np.zeros(self.width)
        if self._objective is not None:
            values = self._values(self._objective, x)
            add_gradient(self._objective, values, np.array([self.sign]), total)
        return total

    def constraints(self, x: np.ndarray) -> np.ndarray:
        """c(x) (m,)."""
        found = self._constant_matrix @ x + self._offset
        for r in self._curved:
            found[r.first : r.first + r.space.lanes] = self._values(r.space, x).value(r.space)
        return np.asarray(found)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """The values of c's Jacobian, in the order of its pattern."""
        parts = [self._constant, *(raw_values(r.space, self._values(r.space, x)) for r in self._curved)]
        raw = np.concatenate(parts)
        if self._jacobian_position is None:
            return raw
        return np.bincount(self._jacobian_position, weights=raw, minlength=self.jacobian_pattern.size)

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        """The lower triangle of weight * f'' + sum_i multipliers_i c_i'', in the order of its pattern."""
        pattern = self.hessian_pattern
        assert pattern is not None and self._hessians is not None
        total = np.empty(sum(part.size for _, part in self._hessians))
        first, last, weights = 0, object(), {}
        for r, part in self._hessians:
            root = self._objective if r is None else r.space
            assert root is not None
            values = self._values(root, x)
            if last is not root:
                last, weights = root, spread_weights(root, values, self._weights(r, multipliers, weight))
            part.values(values, weights[id(part.space)], total[first : first + part.size])
            first += part.size
        if self._position is None:
            return total
        return np.bincount(self._position, weights=total, minlength=pattern.size)

    def _weights(self, r: Rows | None, multipliers: np.ndarray, weight: float) -> np.ndarray:
        if r is None:
            return np.array([self.sign * weight])
        return multipliers[r.first : r.first + r.space.lanes]

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        """The Hessian of `hessian` times a direction (n,)."""
        total = np.zeros(self.width)
        for r, space in self._spaces():
            if not space.affine:
                values = self._values(space, x)
                add_hessian_product(space, values, self._weights(r, multipliers, weight), direction, total)
        return total

    # ------------------------------------------------------------------------------------------------------- words

    def describe(self) -> str:
        """A line for each template: lanes, slots, operations and what its derivatives cost."""
        lines = []
        for r, space in [(None, self._objective), *((r, r.space) for r in self.rows)]:
            if space is None:
                continue
            name = "objective" if r is None else self.model.constraints[r.constraint].name
            parts = []
            for part in reversed(space.family):
                operations = part.local.operations if isinstance(part.local, GraphFunction) else 0
                parts.append(
                    f"{part.lanes} lanes of {len(part.slots)} slots, {operations} operations, "
                    f"{len(part.local.second_pairs)} second derivatives"
                )
            kind = "affine" if space.affine else "curved"
            lines.append(f"{name} ({kind}): " + "; within it ".join(parts))
        return "\n".join(lines)


def _columns(model: Model) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds and given starts (NaN where none) of all columns (n,)."""
    lower, upper, start = (np.full(model.columns, f) for f in (-np.inf, np.inf, np.nan))
    for v in model.variables.values():
        part = slice(v.offset, v.offset + v.width)
        lower[part], upper[part], start[part] = v.lower, v.upper, v.start
    return lower, upper, start


def _relations(model: Model, lowering: Lowering) -> Iterator[Rows]:
    first = 0
    for number, constraint in enumerate(model.constraints):
        frame = model.lanes_of(constraint.over)
        for place, relation in enumerate(constraint.relations):
            space = with_affine_slots(lowering.space(relation.body, frame), model.columns)
            sides = [_side(model, side, frame, missing) for side, missing in _sides(relation)]
            yield Rows(number, place, space, first, *sides)
            first += space.lanes


def _sides(relation: object) -> list[tuple[object, float]]:
    return [(relation.lower, -np.inf), (relation.upper, np.inf)]  # type: ignore[attr-defined]


def _side(model: Model, side: object, frame: Frame, missing: float) -> np.ndarray:
    if side is None:
        return np.full(frame.size, missing)
    return model.lanes.full(side, frame).reshape(-1)  # type: ignore[arg-type]


def _joined(parts: Sequence[np.ndarray], dtype: type = float) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype=dtype), *parts]).astype(dtype)


def _pattern(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray | None, Pattern]:
    """The distinct places of entries, and which of them each entry goes to (None: each to its own)."""
    keys = rows * np.int64(shape[1]) + columns
    unique, position = np.unique(keys, return_inverse=True)
    if len(unique) == len(keys):
        return None, Pattern(rows, columns, shape)
    return position, Pattern(unique // shape[1], unique % shape[1], shape)
