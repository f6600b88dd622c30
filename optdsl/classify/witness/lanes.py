"""Values of a statement at many points at once, and whether points lie in the domain D.

Points are a dimension of the frame like any other: the first one, along which no index runs. So one walk over a
template gives its values at all points and all lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import sympy

from optdsl.atoms import ARRAYWISE, ELEMENTWISE, REDUCTIONS
from optdsl.classify.witness.effort import STEP
from optdsl.classify.witness.records import AFFINE, CONCAVE, CONVEX, Domain, Statement
from optdsl.model.model import DomainCondition, Model
from optdsl.terms import nodes
from optdsl.terms.evaluate import Lanes
from optdsl.terms.frame import Frame, Origin
from optdsl.terms.lanes import Value
from optdsl.terms.nodes import Over, has_variables

MOST_ENTRIES = 4_000_000  # numbers in one array of intermediate values


@dataclass(eq=False)
class PointLanes(Lanes):
    """Lanes whose `values` are (P, n), one row a point; frames start from `points_frame`.

    `touched` collects the columns that are looked up, where it is a list. `place` (n,), where it is given, tells at
    which of the values a column is found: they may be those of some columns only. `largest` is the size of the
    largest frame met, `walked` how many with variables were, and `computed` the sizes
    of these in all.
    """

    touched: list[np.ndarray] | None = None
    largest: int = 0
    walked: int = 0
    computed: int = 0
    place: np.ndarray | None = None

    @staticmethod
    def at(model: Model, points: np.ndarray) -> PointLanes:
        lanes = model.lanes
        return PointLanes(lanes.sets, lanes.parameters, lanes.variables, points, lanes._translations, lanes._ranges)

    def evaluate(self, expression: sympy.Basic, frame: Frame) -> Value:
        self.largest = max(self.largest, frame.size)
        if has_variables(expression):  # what is data alone is kept from one walk to the next
            self.walked += 1
            self.computed += frame.size
        if not isinstance(expression, nodes.VariableEntry) or not frame.size:
            return super().evaluate(expression, frame)
        assert self.values is not None
        if self.dry:
            return self.looked_up(expression, frame)
        columns = self.columns(expression, frame)[0]
        if self.touched is not None:
            self.touched.append(columns.reshape(-1))
        return self.values[:, columns if self.place is None else self.place[columns]]


def points_frame(count: int) -> Frame:
    """One dimension of points, as the root of extensions."""
    return Frame((count,), {}, ((Origin(0),),), (count,))


@dataclass(eq=False)
class Values:
    """A statement's expression, or a part of it, at points: over all lanes, or those of one instance.

    `lane` (None: all) is the statement's instance, by C-order position. A part is `part` over further iterators
    `inner`. The value of a matrix is the whole matrix. At one point, `work` is the size of the largest frame,
    `numbers` are the sizes of all, and `nodes` are passed.
    """

    model: Model
    statement: Statement
    lane: int | None = None
    part: sympy.Basic | None = None
    inner: tuple[Over, ...] = ()
    batch: int = field(init=False, default=1)
    work: int = field(init=False, default=1)
    nodes: int = field(init=False, default=1)
    numbers: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        self.expression = self.statement.expression if self.part is None else self.part
        lanes = PointLanes.at(self.model, np.zeros((1, self.model.columns)))
        frame = self._frame(lanes, 1)
        lanes.dry = True
        with np.errstate(all="ignore"):
            lanes.evaluate(self.expression, frame)
        self.work = max(frame.size, lanes.largest, 1)
        self.nodes, self.numbers = lanes.walked, max(frame.size, lanes.computed)
        self.batch = int(np.clip(MOST_ENTRIES // max(self.model.columns, self.work), 1, 4096))

    @property
    def matrix(self) -> int:
        """The size of the matrix that a value is; 0 where it is a number."""
        return len(self.statement.axes[-1]) if self.statement.kind == "matrix" and self.part is None else 0

    def size(self, points: int) -> int:
        """How many numbers the values at so many points are, for as many instances as a frame has."""
        return points * self.work

    def cost(self, points: int) -> float:
        """The work of values at so many points."""
        return STEP * self.nodes * (1 + points // self.batch) + points * (self.numbers + self.model.columns)

    def at(self, points: np.ndarray, place: np.ndarray | None = None) -> np.ndarray:
        """Values (P, L), of matrices (P, L, m, m), at points (P, n); nan outside natural domains."""
        parts = [self._at(points[k : k + self.batch], place) for k in range(0, len(points), self.batch)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def moved(self, base: np.ndarray, columns: np.ndarray, local: np.ndarray) -> np.ndarray:
        """The same where these columns have the values `local` (P, k), and all others those of `base` (n,)."""
        used = np.zeros(len(base), dtype=bool)
        used[self.columns] = used[columns] = True
        support = np.flatnonzero(used)
        place = np.zeros(len(base), dtype=np.int64)
        place[support] = np.arange(len(support))
        points = np.repeat(base[support][None], len(local), axis=0)
        points[:, place[columns]] = local
        return self.at(points, place)

    def _at(self, points: np.ndarray, place: np.ndarray | None) -> np.ndarray:
        lanes = PointLanes.at(self.model, points)
        lanes.place = place
        frame = self._frame(lanes, len(points))
        with np.errstate(all="ignore"):
            values = lanes.full(self.expression, frame)
            if self.part is None and self.statement.conditions:
                values = self._where_defined(lanes, frame, values)
        size = self.matrix
        return values.reshape((len(points), -1, size, size) if size else (len(points), -1))

    def _where_defined(self, lanes: PointLanes, frame: Frame, values: np.ndarray) -> np.ndarray:
        """Values with nan where a condition of a partial function fails, also one that has been cancelled."""
        flat = values.reshape(-1).copy()
        for condition in self.statement.conditions:
            child = frame.as_root()
            for over in condition.overs:
                child = lanes.extend(child, over).child
            if child.size:
                holds = fulfilled(condition.kind, lanes.full(condition.expression, child))
                flat[np.broadcast_to(child.root_rows(), child.shape)[~holds]] = np.nan
        return flat.reshape(values.shape)

    @cached_property
    def columns(self) -> np.ndarray:
        """The columns that occur, sorted."""
        return self.support()

    def _frame(self, lanes: Lanes, count: int) -> Frame:
        frame = lanes.extend(points_frame(count), self.statement.over).child
        if self.lane is not None:
            mask = np.zeros(frame.shape[1:], dtype=bool)
            width = self.matrix**2 or 1
            mask.reshape(-1)[self.lane * width : (self.lane + 1) * width] = True
            frame = lanes.filtered(frame, mask[None]).child
        for over in self.inner:
            frame = lanes.extend(frame, over).child
        return frame

    def instances(self) -> np.ndarray:
        """For each lane (L,) of a part the statement's instance that it belongs to."""
        frame = self.model.lanes_of(self.statement.over)
        for over in self.inner:
            frame = self.model.lanes.extend(frame, over).child
        return np.broadcast_to(frame.root_rows(), frame.shape).reshape(-1)

    def of_lane(self, lane: int) -> Values:
        """The same at one instance only."""
        return Values(self.model, self.statement, lane, self.part, self.inner)

    def support(self, lane: int | None = None) -> np.ndarray:
        """The columns that occur, sorted; `lane` picks one lane of a part."""
        lanes = PointLanes.at(self.model, np.zeros((1, self.model.columns)))
        lanes.touched = []
        frame = self._frame(lanes, 1)
        if lane is not None:
            mask = np.zeros(frame.shape[1:], dtype=bool)
            mask.reshape(-1)[lane] = True
            frame = lanes.filtered(frame, mask[None]).child
        with np.errstate(all="ignore"):
            lanes.evaluate(self.expression, frame)
        used = np.zeros(self.model.columns, dtype=bool)
        for columns in lanes.touched:
            used[columns] = True
        return np.flatnonzero(used)


def needs(model: Model, statement: Statement) -> dict[str, np.ndarray]:
    """For `convex` and `concave`, at which instances (L,) it is needed: where a constraint's side is finite."""
    frame = model.lanes_of(statement.over)
    count = frame.size // len(statement.axes[-1]) ** 2 if statement.kind == "matrix" else frame.size
    found = {}
    for needed, side in ((CONVEX, statement.upper), (CONCAVE, statement.lower)):
        mask = np.full(count, statement.wanted in (needed, AFFINE))
        if mask.any() and side is not None and statement.kind != "matrix":
            mask &= np.isfinite(model.lanes.full(side, frame).reshape(-1))
        found[needed] = mask
    return found


# ------------------------------------------------------------------------------------------------- natural domains


@dataclass(frozen=True, eq=False)
class Partial:
    """An expression over lanes that may have no value, and the conditions that it brings."""

    over: Over
    body: sympy.Expr
    conditions: tuple[DomainCondition, ...]


def partials(model: Model) -> tuple[Partial, ...]:
    """The model's expressions that are not defined everywhere."""
    found = []
    if model.objective is not None:
        found.append(Partial(nodes.over(()), model.objective.body, model.objective.conditions))
    for constraint in model.constraints:
        found += [Partial(constraint.over, r.body, r.conditions) for r in constraint.relations]
    return tuple(p for p in found if p.conditions or is_partial(p.body))


def is_partial(expression: sympy.Basic) -> bool:
    """Whether a function of variables in it has a domain smaller than all numbers."""
    for part in sympy.preorder_traversal(expression):
        if isinstance(part, sympy.Pow) and not part.exp.is_nonnegative and has_variables(part):
            return True
        if isinstance(part, nodes.Apply | nodes.Reduce | nodes.ArrayCall):
            table = {nodes.Apply: ELEMENTWISE, nodes.Reduce: REDUCTIONS, nodes.ArrayCall: ARRAYWISE}[type(part)]
            row = table.get(part.name)
            if (row is None or row.domain.holds is not None) and has_variables(part):
                return True
    return False


@dataclass(eq=False)
class Inside:
    """Whether points lie in D, by floating-point numbers."""

    model: Model
    domain: Domain
    partials: Sequence[Partial] = field(init=False)

    def __post_init__(self) -> None:
        self.partials = partials(self.model)
        self.cones = [v for v in self.model.variables.values() if v.attributes & {"psd", "nsd"}]

    def box(self, points: np.ndarray) -> np.ndarray:
        """Within the bounds."""
        return np.asarray(((points >= self.domain.lower) & (points <= self.domain.upper)).all(axis=1))

    def rows(self, points: np.ndarray) -> np.ndarray:
        """Within the affine rows, but for rounding."""
        domain = self.domain
        if not domain.matrix.shape[0]:
            return np.ones(len(points), dtype=bool)
        activity = (domain.matrix @ points.T).T
        slack = 1e-12 * np.maximum(1.0, (abs(domain.matrix) @ np.abs(points).T).T)
        return np.asarray(((activity >= domain.row_lower - slack) & (activity <= domain.row_upper + slack)).all(axis=1))

    def cost(self, points: int) -> float:
        """The work of a look at so many points."""
        return STEP * (10 + self.nodes) + points * self.numbers

    @cached_property
    def nodes(self) -> int:
        """How many nodes the expressions with domains have."""
        return sum(1 for p in self.partials for _ in sympy.preorder_traversal(p.body))

    @cached_property
    def numbers(self) -> float:
        """How many numbers are computed for one point, at most."""
        own = 3 * self.model.columns + 4 * self.domain.matrix.nnz
        lanes = max((self.model.lanes_of(p.over).size for p in self.partials), default=0)
        return float(own + self.nodes * lanes + sum(len(v.axes[0]) ** 3 for v in self.cones))

    def natural(self, points: np.ndarray) -> np.ndarray:
        """Within the natural domains of all functions, and of declared matrices."""
        holds = np.ones(len(points), dtype=bool)
        for variable in self.cones:
            size = len(variable.axes[0])
            matrices = points[:, variable.columns].reshape(-1, size, size)
            sign = 1.0 if "psd" in variable.attributes else -1.0
            values = np.linalg.eigvalsh(sign * matrices)
            holds &= values[:, 0] >= -1e-13 * np.abs(values).max(axis=1)
        for partial in self.partials:
            chosen = np.flatnonzero(holds)
            step = max(1, MOST_ENTRIES // max(self.model.columns, self.model.lanes_of(partial.over).size, 1))
            for k in range(0, len(chosen), step):
                some = chosen[k : k + step]
                holds[some] = self._defined(partial, points[some])
        return holds

    def _defined(self, partial: Partial, points: np.ndarray) -> np.ndarray:
        lanes = PointLanes.at(self.model, points)
        frame = lanes.extend(points_frame(len(points)), partial.over).child
        holds = np.ones(len(points), dtype=bool)
        with np.errstate(all="ignore"):
            for condition in partial.conditions:
                child = frame
                for over in condition.overs:
                    child = lanes.extend(child, over).child
                if child.size:
                    value = lanes.full(condition.expression, child).reshape(len(points), -1)
                    holds &= fulfilled(condition.kind, value).all(axis=1)
            if frame.size:
                holds &= np.isfinite(lanes.full(partial.body, frame).reshape(len(points), -1)).all(axis=1)
        return holds

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Which of the points (P, n) lie in D."""
        holds = self.box(points)
        holds[holds] = self.rows(points[holds])
        holds[holds] = self.natural(points[holds])
        return holds


def fulfilled(kind: str, value: np.ndarray) -> np.ndarray:
    """Whether values are `positive`, `nonnegative` or `nonzero`."""
    if kind == "positive":
        return value > 0
    return value >= 0 if kind == "nonnegative" else (value != 0) & ~np.isnan(value)
