"""Whether a model is a geometric program, and its parts on the log scale.

Posynomial <= monomial, monomial = monomial, minimize a posynomial, maximize a monomial (Boyd, Kim, Vandenberghe and
Hassibi, 2007, "A tutorial on geometric programming", section 2), with every log-log convex function where a
posynomial may stand and every log-log concave one where a monomial may stand on the greater side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import sympy

from optdsl.classify.facts import Facts
from optdsl.classify.geometric.log_rows import LogProgram, LogRows
from optdsl.classify.geometric.terms import EXACT, LOWER, UPPER, Sum, Terms
from optdsl.classify.geometric.walk import NotLogConvex, Walker
from optdsl.data.members import Label, label_text
from optdsl.errors import Span
from optdsl.model.faults import in_words, place_of
from optdsl.model.model import Constraint, Marks, Model, Objective
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import Index
from optdsl.terms.show import index_letter


@dataclass(frozen=True, slots=True)
class NotGeometric:
    """Why a model is not a geometric program: the first part that breaks it.

    `statement` is its objective's, constraint's or variable's name; `lane` the indices there in words ("" where none);
    `reason` a phrase, `hint` what to do about it; `expression` the part itself.
    """

    statement: str
    reason: str
    span: Span
    hint: str | None = None
    lane: str = ""
    expression: sympy.Basic | None = None


@dataclass(frozen=True, eq=False)
class RowFamily:
    """Rows of one side of one constraint: log Σ exp(terms) <= 0 in each row (= 0 where `equal`).

    terms: K rows, `row` (K,) says in which of the R rows each stands; a family has one term in every row (`linear`) or
    more. `lanes` (R,) are the constraint's instances. `greater` (R,) is the logarithm of the greater side G, by which
    the terms are divided; `orientation` is 1 where the user's right-hand side stands on it, -1 where it stands on the
    smaller side (a lower side of the user's). `factor` (R,) is how fast the row's side moves with the user's.
    """

    constraint: int
    lanes: np.ndarray
    terms: LogRows
    row: np.ndarray
    greater: LogRows
    orientation: float
    equal: bool
    factor: np.ndarray

    @property
    def linear(self) -> bool:
        """Whether every row is a single term."""
        return self.terms.size == len(self.lanes)


@dataclass(frozen=True, eq=False)
class GeometricObjective:
    """offset + sign * F, where log F = `tail` * log Σ exp(terms) and that log-sum is minimized.

    tail: 1 where F is pressed down, -1 where it is pushed up (then there is one term, -log F).
    """

    sense: str
    offset: float
    sign: float
    tail: float
    terms: LogRows


@dataclass(frozen=True, eq=False)
class Geometric:
    """A geometric program in y = log x. Columns: the model's n, then auxiliary ones up to `columns`.

    `used` (n,) marks the columns that occur. `impossible` lists instances that no positive point satisfies, as
    (constraint, instance). `zero` (columns,) marks columns that are held at 0 (see `zeros`), None: none.
    """

    model: Model
    columns: int
    used: np.ndarray
    objective: GeometricObjective | None
    families: tuple[RowFamily, ...]
    program: LogProgram
    impossible: tuple[tuple[int, int], ...] = ()
    zero: np.ndarray | None = None


def recognize_geometric(model: Model, facts: Facts | None = None) -> Geometric | NotGeometric:
    """The geometric program that a model is, or the first reason why it is none.

    `facts` tell the variables' bounds (the declared ones if None): a variable counts as positive when its lower bound
    is 0 or more. Raises ModelError for indices outside their sets and the like.
    """
    reader = _Reader(model, facts or Facts.of(model))
    try:
        return reader.read()
    except _Refused as refused:
        return refused.why


class _Refused(Exception):
    def __init__(self, why: NotGeometric) -> None:
        super().__init__(why.reason)
        self.why = why


class _Reader:
    def __init__(self, model: Model, facts: Facts) -> None:
        self.model = model
        self.program = LogProgram(model.columns)
        self.walker = Walker(model, facts, self.program)
        self.families: list[RowFamily] = []
        self.impossible: list[tuple[int, int]] = []
        self.factor: np.ndarray | None = None

    def read(self) -> Geometric:
        for variable in self.model.variables.values():
            if variable.integer:
                raise _Refused(NotGeometric(variable.name, f"`{variable.name}` is integer", variable.span))
            if variable.attributes & {"psd", "nsd"}:
                reason = f"`{variable.name}` is a semidefinite matrix"
                raise _Refused(NotGeometric(variable.name, reason, variable.span))
        objective = None if self.model.objective is None else self._objective(self.model.objective)
        for number, constraint in enumerate(self.model.constraints):
            self._constraint(number, constraint)
        return Geometric(
            self.model, self.program.columns, self.walker.used, objective, tuple(self.families), self.program,
            tuple(self.impossible),
        )

    # ------------------------------------------------------------------------------------------------ objective

    def _objective(self, objective: Objective) -> GeometricObjective:
        root = Frame().as_root()
        minimized = objective.sense == "minimize"
        into = Sum(root, UPPER if minimized else LOWER)
        with in_words(self.model.source, objective.marks, objective.span, f"the objective `{objective.name}`"):
            try:
                self.walker.collect(objective.body, root, into)
                return self._read_objective(objective, into, minimized)
            except NotLogConvex as reason:
                raise self._refusal(reason, objective.name, objective.span, objective.marks) from None

    def _read_objective(self, objective: Objective, into: Sum, minimized: bool) -> GeometricObjective:
        """Constants go to the offset; the rest is pressed down as a posynomial or pushed up as one term."""
        terms = into.total(self.program.columns)
        fixed = terms.where(terms.constant)
        offset = float(fixed.sign @ np.exp(fixed.logs.constant))
        moving = terms.where(~terms.constant)
        signs = set(moving.sign.tolist())
        if len(signs) < 2:
            sign = float(next(iter(signs), 1))
            if minimized == (sign > 0):
                return GeometricObjective(objective.sense, offset, sign, 1.0, moving.logs)
            if len(moving.row) == 1:
                return GeometricObjective(objective.sense, offset, sign, -1.0, moving.logs.times(-np.ones(1)))
            one = len(set(moving.node.tolist())) == 1
            whole = into.origins[int(moving.node[0])][0] if one else objective.body
            what = "maximized" if sign > 0 else "subtracted from what is minimized"
            raise NotLogConvex(whole, f"a sum of {len(moving.row)} terms is {what}; only a single term can be")
        if not minimized:
            # m - p, where it is known to be positive
            logs = self.walker.logs(objective.body, into.root, LOWER)
            return GeometricObjective(objective.sense, 0.0, 1.0, -1.0, logs.times(-np.ones(1)))
        negative = moving.where(moving.sign < 0)
        raise NotLogConvex(
            into.origins[int(negative.node[0])][0],
            "a term with a minus sign beside positive ones",
            None,
            self._lane_at(into, negative, 0),
        )

    # ---------------------------------------------------------------------------------------------- constraints

    def _constraint(self, number: int, constraint: Constraint) -> None:
        if constraint.kind == "matrix":
            raise _Refused(NotGeometric(constraint.name, "a matrix inequality", constraint.span))
        with in_words(self.model.source, constraint.marks, constraint.span, f"constraint `{constraint.name}`"):
            frame = self.model.lanes_of(constraint.over)
            try:
                for relation in constraint.relations:
                    self._relation(number, relation.body, relation.lower, relation.upper, frame)
            except NotLogConvex as reason:
                raise self._refusal(reason, constraint.name, constraint.span, constraint.marks) from None

    def _relation(
        self, number: int, body: sympy.Expr, lower: sympy.Expr | None, upper: sympy.Expr | None, frame: Frame
    ) -> None:
        low = None if lower is None else self._side(lower, frame)
        high = None if upper is None else self._side(upper, frame)
        body, low, high, self.factor = _without_logarithm(body, low, high)
        if low is not None and high is not None:
            equal = low == high
            self._one_side(number, body, high, EXACT, equal, frame)
            self._one_side(number, body, low, LOWER, ~equal, frame)
            self._one_side(number, body, high, UPPER, ~equal, frame)
        elif high is not None:
            self._one_side(number, body, high, UPPER, high < np.inf, frame)
        elif low is not None:
            self._one_side(number, body, low, LOWER, low > -np.inf, frame)

    def _side(self, side: sympy.Expr, frame: Frame) -> np.ndarray:
        return self.model.lanes.full(side, frame).reshape(-1)

    def _one_side(
        self, number: int, body: sympy.Expr, side: np.ndarray, direction: int, present: np.ndarray, frame: Frame
    ) -> None:
        """body <= side (UPPER), body >= side (LOWER) or body = side (EXACT) where `present`."""
        present = present & np.isfinite(side) if direction != EXACT else present
        if not present.any():
            return
        if not np.isfinite(side[present]).all():
            raise NotLogConvex(body, "a side is not a finite number")
        into = Sum(frame, direction)
        self.walker.collect(body, frame, into)
        into.emit(body, frame, np.where(present, -side, 0.0), None)
        terms = into.total(self.program.columns)
        terms = terms.where(present[terms.row])
        if direction == LOWER:
            terms = replace(terms, sign=-terms.sign)
        self._rows(number, terms, into, direction)

    def _rows(self, number: int, terms: Terms, into: Sum, direction: int) -> None:
        """Rows Σ positive terms <= (or =) the one negative term."""
        rows = into.root.size
        smaller, greater = terms.counts(1, rows), terms.counts(-1, rows)
        self._check_counts(terms, into, direction, smaller, greater)
        never = (smaller > 0) & (greater == 0)
        if direction == EXACT:
            never |= (greater > 0) & (smaller == 0)
        self._never(number, terms, into, never)
        held = (smaller > 0) & (greater == 1)
        for chosen in (held & (smaller == 1), held & (smaller > 1)):
            if chosen.any():
                factor = np.ones(rows) if self.factor is None else self.factor
                self.families.append(_family(number, terms, chosen, direction, factor))

    def _check_counts(
        self, terms: Terms, into: Sum, direction: int, smaller: np.ndarray, greater: np.ndarray
    ) -> None:
        wrong = (greater > 1) & (smaller > 0)
        if direction == EXACT:
            wrong |= (smaller > 1) | (greater > 1)
        if not wrong.any():
            return
        row = int(np.flatnonzero(wrong)[0])
        sign = -1 if direction != EXACT or greater[row] > 1 else 1
        theirs = terms.where((terms.row == row) & (terms.sign == sign))
        # a side that is data makes no mistake
        last = int(np.flatnonzero(~theirs.constant)[-1])
        node = into.origins[int(theirs.node[last])][0]
        lane = self._lane_at(into, theirs, last)
        count = int((greater if sign < 0 else smaller)[row])
        if direction == EXACT:
            reason = f"a sum of {count} terms in an equality; a geometric program takes one term on either side"
            hint = "an inequality may be enough: the optimum often presses it to equality"
            raise NotLogConvex(node, reason, hint, lane)
        reason = f"{count} terms on the greater side of an inequality; only one can stand there"
        raise NotLogConvex(node, reason, None, lane)

    def _never(self, number: int, terms: Terms, into: Sum, never: np.ndarray) -> None:
        """Rows where something positive would have to be 0 or less."""
        if not never.any():
            return
        fixed = np.bincount(terms.row, terms.constant, into.root.size) > 0
        vanishing = never & ~fixed
        if vanishing.any():
            row = int(np.flatnonzero(vanishing)[0])
            node = into.origins[int(terms.node[terms.row == row][0])][0]
            reason = "positive terms would have to be 0, which no positive variables do"
            raise NotLogConvex(node, reason, None, self.walker.lane_of(vanishing, into.root))
        self.impossible.extend((number, int(k)) for k in np.flatnonzero(never))

    # ------------------------------------------------------------------------------------------------- refusals

    def _lane_at(self, into: Sum, terms: Terms, term: int) -> dict[Index, Label]:
        """The indices where a term stands."""
        frame = into.origins[int(terms.node[term])][1]
        mark = np.zeros(frame.size, dtype=bool)
        mark[terms.lane[term]] = True
        return self.walker.lane_of(mark, frame)

    def _refusal(self, reason: NotLogConvex, name: str, span: Span, marks: Marks) -> _Refused:
        where = place_of(reason.node, marks, span)
        lane = _lane_text(reason.lane, marks) if reason.lane else ""
        return _Refused(NotGeometric(name, reason.reason, where, reason.hint, lane, reason.node))


_INVERSE: Mapping[str, tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]] = {
    "log": (np.exp, np.exp),
    "log1p": (np.expm1, np.exp),
    "log2": (np.exp2, lambda side: np.log(2.0) * np.exp2(side)),
    "log10": (lambda side: 10.0**side, lambda side: np.log(10.0) * 10.0**side),
}
"""Logarithms of the language: their inverse and its slope."""


def _without_logarithm(
    body: sympy.Expr, low: np.ndarray | None, high: np.ndarray | None
) -> tuple[sympy.Expr, np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """log(e) between sides as e between their exponentials, and how fast these move (None: as before).

    A domain that asks e > 0 is kept by the lower side, or by e being a posynomial.
    """
    if not isinstance(body, nodes.Apply) or body.name not in _INVERSE:
        return body, low, high, None
    inverse, slope = _INVERSE[body.name]
    with np.errstate(all="ignore"):
        ends = [None if end is None else np.where(np.isfinite(end), inverse(end), end) for end in (low, high)]
        sides = [end for end in (high, low) if end is not None]
        steep = [np.where(np.isfinite(end), slope(end), 0.0) for end in sides]
    if not sides or any((end is not None and (end == 0).any()) for end in ends):
        return body, low, high, None
    factor = steep[0] if len(steep) == 1 or np.array_equal(sides[0], sides[1]) else None
    if factor is None:  # two sides of their own slopes
        return body, low, high, None
    return body.slots[0], ends[0], ends[1], factor


def _family(number: int, terms: Terms, chosen: np.ndarray, direction: int, factor: np.ndarray) -> RowFamily:
    lanes = np.flatnonzero(chosen)
    place = np.full(len(chosen), -1)
    place[lanes] = np.arange(len(lanes))
    ours = terms.where(chosen[terms.row])
    negative = ours.where(ours.sign < 0)
    greater = negative.logs.take(np.argsort(negative.row, kind="stable"))
    positive = ours.where(ours.sign > 0)
    order = np.argsort(positive.row, kind="stable")
    row = place[positive.row[order]]
    divided = positive.logs.take(order).plus(greater.take(row).times(-np.ones(len(row))))
    orientation = -1.0 if direction == LOWER else 1.0
    return RowFamily(number, lanes, divided, row, greater, orientation, direction == EXACT, factor[lanes])


def _lane_text(lane: Mapping[Index, Label], marks: Marks) -> str:
    parts = [f"{marks.names.get(i) or index_letter(i)} = {label_text(v)}" for i, v in sorted(lane.items(), key=str)]
    return f" at {', '.join(parts)}" if parts else ""


__all__ = ["Geometric", "GeometricObjective", "NotGeometric", "RowFamily", "recognize_geometric"]
