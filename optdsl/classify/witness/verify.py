"""The last word on a candidate: re-evaluation in many digits, and exact membership in D."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from optdsl.classify.witness.decimals import decimal_values
from optdsl.classify.witness.effort import PRECISE
from optdsl.classify.witness.lanes import Inside, Values
from optdsl.classify.witness.precise import EPS, MOST_MEMBERS, SURE, Between, Precise, TooLarge, Unsure, digits
from optdsl.classify.witness.records import CONVEX, Domain, Statement, Witness
from optdsl.data.members import Label
from optdsl.model.model import Model, Variable

CLEAR = 1e-6  # the least failure, relative to the largest of the three values
CLEARER = 1e-4  # the same where the values are not known to many digits
EQUAL = 1e-12  # how exactly equalities hold, relative to their terms
MOST_EXACT = 100_000  # row entries that are added up as fractions


@dataclass(frozen=True, eq=False)
class Candidate:
    """Two points (n,), a weight, the instance, what is needed there, the kind; `clarity` is the relative failure."""

    first: np.ndarray
    second: np.ndarray
    weight: float
    lane: int
    needed: str
    kind: str
    clarity: float
    vector: np.ndarray | None = None
    shrinks: bool = False

    @property
    def between(self) -> np.ndarray:
        return self.weight * self.first + (1 - self.weight) * self.second


@dataclass(eq=False)
class Judge:
    """Re-evaluates candidates for one statement."""

    model: Model
    statement: Statement
    domain: Domain
    inside: Inside
    _lanes: dict[int, Values] = field(default_factory=dict)

    def cost(self, lane: int) -> float:
        """The work of a look at a candidate at an instance."""
        return 3 * self.inside.cost(1) + 3 * PRECISE * min(self._values_of(lane).numbers, MOST_MEMBERS)

    def accept(self, candidate: Candidate) -> Witness | None:
        """The candidate as a witness, where it is one beyond doubt."""
        if not (self.contains(candidate.first) and self.contains(candidate.second)):
            return None
        if candidate.kind != "domain" and not self.inside.natural(candidate.between[None])[0]:
            return None
        try:
            values = self._values(candidate)
        except Unsure:
            return None
        except TooLarge:
            values = self._plain_values(candidate)
        return None if values is None else self._witness(candidate, values)

    # ------------------------------------------------------------------------------------------------------- the values

    def _values(self, candidate: Candidate) -> tuple[float, float, float | None] | None:
        """The three values, None where the failure is not clear."""
        between = Between(candidate.first, candidate.second, candidate.weight)
        points: tuple[np.ndarray | Between, ...] = (candidate.first, candidate.second, between)
        if candidate.vector is None and candidate.kind != "domain" and not self.statement.conditions:
            frame = Precise(self.model, candidate.first, None).lane_frame(self.statement.over, candidate.lane)
            plain = decimal_values(self.model, self.statement.expression, frame, points)
            if plain is not None:
                return self._clear(candidate, plain, Decimal)
        context = self.context
        found: list[tuple[Any, float]] = []
        for k, point in enumerate(points):
            precise = Precise(self.model, point, context)
            value, error, defined = self._one(precise, candidate)
            if k == 2 and candidate.kind == "domain":
                return None if defined else (*(float(v) for v, _ in found), None)  # type: ignore[return-value]
            if not defined:
                return None
            found.append((value, error))
        return self._clear(candidate, found, context.mpf)

    def _clear(
        self, candidate: Candidate, found: Sequence[tuple[Any, float]], read: Callable[[Any], Any]
    ) -> tuple[float, float, float] | None:
        """The three values as floats, None where the failure is not clear; `read` makes numbers of their kind."""
        (first, one), (second, two), (middle, three) = found
        weight = read(repr(candidate.weight))
        gap = middle - (weight * first + (1 - weight) * second)
        gap = gap if candidate.needed == CONVEX else -gap
        scale = max(abs(first), abs(second), abs(middle))
        error = one + two + three + self._rounding(candidate, found, read) + EPS * float(scale)
        if not (gap > read(repr(CLEAR)) * scale and np.isfinite(error) and gap > read(repr(SURE * error))):
            return None
        return float(first), float(second), float(middle)

    def _rounding(
        self, candidate: Candidate, found: Sequence[tuple[Any, float]], read: Callable[[Any], Any]
    ) -> float:
        """How far floating-point values are from the many digits: what a reader's own computer may get."""
        points = np.array([candidate.first, candidate.second, candidate.between])
        values = self._scalar(self._values_of(candidate.lane).at(points), candidate)
        if not np.isfinite(values).all():
            return float("inf")
        return max(float(abs(many - read(float(few)))) for (many, _), few in zip(found, values, strict=True))

    def _values_of(self, lane: int) -> Values:
        """The statement at one instance."""
        if lane not in self._lanes:
            self._lanes[lane] = Values(self.model, self.statement, lane)
        return self._lanes[lane]

    @cached_property
    def context(self) -> Any:
        """One context of many digits for all candidates."""
        return digits()

    def _one(self, precise: Precise, candidate: Candidate) -> tuple[Any, float, bool]:
        """The statement's value at one instance, its error, and whether it is defined there."""
        statement = self.statement
        width = self._width
        frame = precise.lane_frame(statement.over, candidate.lane, width)
        if not precise.inside(statement.conditions, frame):
            return precise.context.nan, 0.0, False
        found = precise.at_lane(statement.over, statement.expression, candidate.lane, width)
        if any(precise.context.isnan(v) for v in found.value):
            return precise.context.nan, 0.0, False
        if candidate.vector is None:
            return found.value[0], float(found.error[0]), True
        size = len(candidate.vector)
        vector = precise._decimals(candidate.vector)
        value = vector @ found.value.reshape(size, size) @ vector
        error = np.abs(candidate.vector) @ found.error.reshape(size, size) @ np.abs(candidate.vector)
        return value, float(error), True

    @property
    def _width(self) -> int:
        return len(self.statement.axes[-1]) ** 2 if self.statement.kind == "matrix" else 1

    def _plain_values(self, candidate: Candidate) -> tuple[float, float, float | None] | None:
        """The same in floating-point numbers: rounding is judged by what a slight move of the points does."""
        if candidate.kind == "domain":
            return None
        values = self._values_of(candidate.lane)
        points = np.array([candidate.first, candidate.second, candidate.between])
        jitter = 1e-10 * np.random.default_rng(0).normal(size=points.shape)
        found, moved = (self._scalar(values.at(p), candidate) for p in (points, points * (1 + jitter)))
        gap = self._gap(found, candidate)
        rounding = 1e-5 * abs(gap - self._gap(moved, candidate)) + EPS * float(np.abs(found).max())
        if not (gap > CLEARER * np.abs(found).max() and gap > 1e2 * SURE * rounding):
            return None
        return float(found[0]), float(found[1]), float(found[2])

    @staticmethod
    def _scalar(values: np.ndarray, candidate: Candidate) -> np.ndarray:
        one = values[:, 0]
        return one if candidate.vector is None else candidate.vector @ one @ candidate.vector

    @staticmethod
    def _gap(values: np.ndarray, candidate: Candidate) -> float:
        gap = values[2] - (candidate.weight * values[0] + (1 - candidate.weight) * values[1])
        return float(gap if candidate.needed == CONVEX else -gap)

    # ------------------------------------------------------------------------------------------------------- membership

    def contains(self, point: np.ndarray) -> bool:
        """Whether a point (n,), read as decimals, lies in D."""
        domain = self.domain
        if (point < domain.lower).any() or (point > domain.upper).any() or not np.isfinite(point).all():
            return False
        return self._rows_hold(point) and self._matrices_hold(point) and self._defined(point)

    def _rows_hold(self, point: np.ndarray) -> bool:
        domain = self.domain
        if not domain.matrix.shape[0]:
            return True
        activity, terms = domain.matrix @ point, np.maximum(1.0, abs(domain.matrix) @ np.abs(point))
        over = np.maximum(domain.row_lower - activity, activity - domain.row_upper)
        equal = domain.row_lower == domain.row_upper
        if (over[equal] > EQUAL * terms[equal]).any() or (over[~equal] > 1e-9 * terms[~equal]).any():
            return False
        close = np.flatnonzero(~equal & (over > -1e-9 * terms))
        if int(np.diff(domain.matrix.indptr)[close].sum()) > MOST_EXACT:
            return bool((over[close] <= 0).all())
        return all(self._row_holds(int(row), point) for row in close)

    def _row_holds(self, row: int, point: np.ndarray) -> bool:
        matrix = self.domain.matrix
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        terms = zip(matrix.data[part], point[matrix.indices[part]], strict=True)
        activity = sum((exact(a) * exact(x) for a, x in terms), Fraction(0))
        low, high = self.domain.row_lower[row], self.domain.row_upper[row]
        return not (np.isfinite(low) and activity < exact(low)) and not (np.isfinite(high) and activity > exact(high))

    def _matrices_hold(self, point: np.ndarray) -> bool:
        for variable in self.inside.cones:
            size = len(variable.axes[0])
            sign = 1 if "psd" in variable.attributes else -1
            matrix = sign * point[variable.columns].reshape(size, size)
            if not is_exactly_semidefinite(matrix):
                return False
        return True

    def _defined(self, point: np.ndarray) -> bool:
        """Whether all functions of the model are defined there: many digits where there are few, else floats."""
        if not self.inside.natural(point[None])[0]:
            return False
        try:
            for partial in self.inside.partials:
                precise = Precise(self.model, point, self.context)
                frame = precise.lane_frame(partial.over, None)
                if not precise.inside(partial.conditions, frame):
                    return False
                if frame.size:
                    found = precise.find(partial.body, frame)
                    if any(precise.context.isnan(v) for v in found.value.reshape(-1)):
                        return False
        except TooLarge:
            return True
        except Unsure:
            return False
        return True

    # ------------------------------------------------------------------------------------------------------- the record

    def _witness(self, candidate: Candidate, values: tuple[float, float, float | None]) -> Witness:
        shown = self._shown(candidate)
        points = tuple(
            {v.name: v.entries(point) + 0.0 for v in shown} for point in (candidate.first, candidate.second)
        )
        return Witness(
            self.statement.name, self.index(candidate.lane), candidate.kind, points, candidate.weight,  # type: ignore[arg-type]
            values, candidate.needed, candidate.vector, candidate.shrinks,
        )  # fmt: skip

    def _shown(self, candidate: Candidate) -> list[Variable]:
        """The variables that occur, and those that share an affine row with one of them."""
        occurs = np.zeros(self.model.columns, dtype=bool)
        occurs[self._values_of(candidate.lane).columns] = True
        matrix = abs(self.domain.matrix)
        variables = list(self.model.variables.values())
        while True:
            shown = [v for v in variables if occurs[v.offset : v.offset + v.width].any()]
            before = occurs.sum()
            for variable in shown:
                occurs[variable.offset : variable.offset + variable.width] = True
            if matrix.shape[0]:
                occurs |= (matrix.T @ ((matrix @ occurs.astype(float)) > 0).astype(float)) > 0
            if occurs.sum() == before:
                return shown

    def index(self, lane: int) -> tuple[Label, ...]:
        """The labels of an instance."""
        axes = self.statement.axes[:-2] if self.statement.kind == "matrix" else self.statement.axes
        if not axes:
            return ()
        places = np.unravel_index(lane, [len(axis) for axis in axes])
        return tuple(label for axis, place in zip(axes, places, strict=True) for label in axis.member(int(place)))


def exact(value: float) -> Fraction:
    """The decimal that a float's shortest text is."""
    return Fraction(repr(float(value)))


def is_exactly_semidefinite(matrix: np.ndarray) -> bool:
    """Whether a symmetric matrix (m, m), read as decimals, is positive semidefinite: elimination in fractions."""
    size = len(matrix)
    if size > 24:
        values = np.linalg.eigvalsh(matrix)
        return bool(values[0] > 1e-12 * np.abs(values).max())
    work = [[exact(v) for v in row] for row in matrix]
    for k in range(size):
        pivot = work[k][k]
        if pivot < 0 or (pivot == 0 and any(work[k][j] for j in range(k + 1, size))):
            return False
        for i in range(k + 1, size) if pivot else ():
            factor = work[i][k] / pivot
            for j in range(k + 1, size):
                work[i][j] -= factor * work[k][j]
    return True
