"""The domain D of a verdict: what declared bounds, natural domains of functions and affine constraints imply.

Built only where a statement is not proved on the declared bounds alone. The affine constraints and the conditions on
affine arguments of functions (`log(e)`: e >= 0) are rows; the bounds of the variables are propagated over them, and
affine expressions are bounded by one row and the bounds. A condition may serve the statement that brings it: D holds
only points where the function is defined.

Where the rows contradict each other D is empty, and everything would hold on it: then nothing is concluded from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import sympy

from optdsl.classify.bounds import EPSILON, Propagated, Rows, on_grid, propagate
from optdsl.classify.collect import Collector
from optdsl.classify.facts import Facts
from optdsl.classify.implied import Catalog, Implied, least
from optdsl.classify.sink import AFFINE, Auxiliary, NotCollected, Sink
from optdsl.classify.words import signed_part
from optdsl.model.model import DomainCondition, Model
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import LaneFault
from optdsl.terms.nodes import has_variables

MOST_LANES = 2_000_000  # expressions over more lanes are bounded by their parts alone


Block = tuple[sp.csr_array, np.ndarray, np.ndarray, np.ndarray]
"""Rows of one source: matrix, low, high, error."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a row of D comes from: a constraint, the natural domain of a function in a statement, a variable's `psd`."""

    name: str
    line: int
    natural: bool = False

    @property
    def words(self) -> str:
        """As a proof names it."""
        if self.natural:
            return f"the domain of a function in `{self.name}` (line {self.line})"
        return f"`{self.name}` (line {self.line})"


@dataclass(eq=False)
class Domain:
    """D of a model: its rows, where they come from, and the bounds that they imply (None: contradictory)."""

    facts: Facts
    rows: Rows
    sources: tuple[Source, ...]
    bounds: Propagated | None
    collector: Collector = field(init=False)
    catalog: Catalog = field(init=False)

    def __post_init__(self) -> None:
        self.catalog = Catalog(self.rows)
        self.collector = Collector(self.facts.lanes, Auxiliary(self.rows.matrix.shape[1]))

    @property
    def helps(self) -> bool:
        """Whether it says more than the declared bounds."""
        several = (np.diff(self.rows.matrix.indptr) > 1).any()
        return self.bounds is not None and (bool(self.bounds.updates) or bool(several))

    def interval(self, expression: sympy.Basic, frame: Frame) -> tuple[np.ndarray, np.ndarray] | None:
        """Bounds of an affine expression over a frame's lanes; None where it has no more than its parts tell."""
        found = self._least_and_most(expression, frame)
        if found is None:
            return None
        low, high, constant = found
        return _moved(low.value, constant, -1.0).reshape(frame.shape), _moved(-high.value, constant, 1.0).reshape(
            frame.shape
        )

    def _least_and_most(
        self, expression: sympy.Basic, frame: Frame, *, traced: bool = False
    ) -> tuple[Implied, Implied, np.ndarray] | None:
        if self.bounds is None or not 0 < frame.size <= MOST_LANES:
            return None
        try:
            matrix, constant = self.collector.rows(expression, frame)
        except NotCollected:
            return None
        if not _sound(matrix, constant):
            return None
        lower, upper = self.bounds.lower, self.bounds.upper
        # a sign that the bounds alone give is enough
        return (
            least(matrix, self.catalog, lower, upper, -constant, traced=traced),
            least(-matrix, self.catalog, lower, upper, constant, traced=traced),
            constant,
        )

    def reasons(self, expression: sympy.Basic, frame: Frame, *, low: bool, high: bool) -> tuple[Source, ...]:
        """The constraints and conditions that the bounds of an affine expression rest on."""
        found = self._least_and_most(expression, frame, traced=True)
        if found is None or self.bounds is None:
            return ()
        used = [found[0]] * low + [found[1]] * high
        # of the negative expression too the ends are those that are least for its terms
        ends = np.unique(np.concatenate([u.ends for u in used])) if used else np.zeros(0, dtype=np.int64)
        rows = np.unique(np.concatenate([u.rows for u in used])) if used else ends
        needed = np.zeros(2 * self.rows.matrix.shape[1], dtype=bool)
        needed[ends] = True
        taken = [rows]
        for update in reversed(self.bounds.updates):
            hit = needed[update.ends]
            taken.append(np.unique(update.rows[hit]))
            needed[update.ends[hit]] = False
            needed[self._ends_behind(update.ends[hit], update.rows[hit])] = True
        origins = np.unique(self.rows.origin[np.concatenate(taken).astype(np.int64)])
        return tuple(self.sources[k] for k in origins)

    def _ends_behind(self, ends: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The ends of the other columns of a row that a new end rests on."""
        matrix = self.rows.matrix
        counts = np.diff(matrix.indptr)[rows]
        owner = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        place = matrix.indptr[rows][owner] + within
        column, value = matrix.indices[place].astype(np.int64), matrix.data[place]
        own = column == (ends // 2)[owner]
        sign = np.zeros(len(rows))
        sign[owner[own]] = np.sign(value[own])
        # an upper end of a positive term, or a lower end of a negative one, comes from the row's upper side
        from_high = (ends % 2 == 1) == (sign > 0)
        wants_upper = (value > 0) != from_high[owner]
        return (2 * column + wants_upper)[~own]


def domain_of(model: Model, facts: Facts) -> Domain:
    """D of a model; `facts` are those on the declared bounds.

    A condition on a product (`log(x / y)`) is one on a factor where the signs of the others are known, be it only by
    other rows: then D is built once more with it.
    """
    domain, waiting = _domain_of(model, facts, facts)
    if waiting and domain.bounds is not None:
        signs = Facts(model.lanes, domain.bounds.lower, domain.bounds.upper, known=domain, plain=facts)
        domain, _ = _domain_of(model, facts, signs)
    return domain


def _domain_of(model: Model, facts: Facts, signs: Facts) -> tuple[Domain, bool]:
    """D, and whether a product is left whose factors have no known signs; `signs` are the facts that tell these."""
    collector = Collector(model.lanes, Auxiliary(model.columns))
    definite = list(_definite(model))
    sources = [source for source, _ in definite]
    blocks: list[Block] = [block for _, block in definite]
    waiting: list[sympy.Expr] = []
    for source, sink, low, high in _affine_parts(model, facts, collector, signs, waiting):
        matrix = sink.matrix(model.columns)
        error = np.where(
            (sink.constant == 0) | (on_grid(sink.constant) & _grid_or_endless(low) & _grid_or_endless(high)),
            0.0,
            16 * EPSILON * (np.abs(sink.constant) + _size(low) + _size(high)),
        )
        keep = np.isfinite(low - sink.constant) | np.isfinite(high - sink.constant)
        keep &= _finite_rows(matrix) & np.isfinite(sink.constant)
        blocks.append(
            (sp.csr_array(matrix[keep]), (low - sink.constant)[keep], (high - sink.constant)[keep], error[keep])
        )
        sources.append(source)
    rows = _stacked(blocks, model.columns)
    return Domain(facts, rows, tuple(sources), propagate(facts.lower, facts.upper, rows)), bool(waiting)


def on_domain(model: Model, facts: Facts, domain: Domain | None = None) -> Facts | None:
    """Facts on D; `facts` are those on the declared bounds. None where D says no more than these.

    domain: D where it is known.
    """
    domain = domain or domain_of(model, facts)
    if domain.bounds is None or not domain.helps:
        return None
    return Facts(model.lanes, domain.bounds.lower, domain.bounds.upper, known=domain, plain=facts)


def _affine_parts(
    model: Model, facts: Facts, collector: Collector, signs: Facts, waiting: list[sympy.Expr]
) -> Iterator[tuple[Source, Sink, np.ndarray, np.ndarray]]:
    """Every affine constraint and every affine condition of a function, over its lanes, with its sides."""
    objective = model.objective
    if objective is not None:
        source = Source(objective.name, objective.span.line, natural=True)
        yield from _natural(source, objective.conditions, Frame().as_root(), collector, signs, waiting)
    for constraint in model.constraints:
        frame = model.lanes_of(constraint.over)
        for relation in constraint.relations:
            source = Source(constraint.name, constraint.span.line)
            natural = Source(source.name, source.line, natural=True)
            yield from _natural(natural, relation.conditions, frame, collector, signs, waiting)
            if constraint.kind != "scalar" or not has_variables(relation.body):
                continue
            sink = _affine(relation.body, frame, facts, collector)
            if sink is not None:
                sides = [
                    np.full(frame.size, missing) if side is None else model.lanes.full(side, frame).reshape(-1)
                    for side, missing in ((relation.lower, -np.inf), (relation.upper, np.inf))
                ]
                yield source, sink, sides[0], sides[1]


def _natural(
    source: Source,
    conditions: Sequence[DomainCondition],
    frame: Frame,
    collector: Collector,
    signs: Facts,
    waiting: list[sympy.Expr],
) -> Iterator[tuple[Source, Sink, np.ndarray, np.ndarray]]:
    for condition in conditions:
        if condition.kind not in ("positive", "nonnegative") or not has_variables(condition.expression):
            continue
        inner = frame
        for over in condition.overs:
            inner = signs.extended(inner, over).child
        part = signed_part(condition, inner, signs)
        if isinstance(part, sympy.Mul):
            waiting.append(part)
        sink = _affine(part, inner.as_root(), signs, collector)
        if sink is not None:
            yield source, sink, np.zeros(inner.size), np.full(inner.size, np.inf)


def _affine(expression: sympy.Expr, frame: Frame, facts: Facts, collector: Collector) -> Sink | None:
    """The expression over the lanes where it is affine in all of them."""
    try:
        if not frame.size or not bool(facts.find(expression, frame).affine.all()):
            return None
        sink = collector.sink(frame, AFFINE)
        collector.collect(expression, frame, np.ones((1,) * len(frame.shape)), sink)
    except (NotCollected, LaneFault):
        return None  # mistakes are reported where the statement itself is collected
    return sink


def _definite(model: Model) -> Iterator[tuple[Source, Block]]:
    """The diagonal of a definite matrix has its sign."""
    for variable in model.variables.values():
        if variable.attributes & {"psd", "nsd"} and variable.columns is not None and variable.width:
            diagonal = np.diagonal(variable.columns.reshape(variable.shape))
            count = len(diagonal)
            matrix = sp.csr_array((np.ones(count), diagonal, np.arange(count + 1)), shape=(count, model.columns))
            free = np.full(count, np.inf)
            low, high = (np.zeros(count), free) if "psd" in variable.attributes else (-free, np.zeros(count))
            yield Source(variable.name, variable.span.line), (matrix, low, high, np.zeros(count))


def _stacked(blocks: Sequence[Block], columns: int) -> Rows:
    nothing = np.zeros(0)
    if not blocks:
        return Rows(sp.csr_array((0, columns)), nothing, nothing, nothing, np.zeros(0, dtype=np.int64))
    matrix = sp.csr_array(sp.vstack([b[0] for b in blocks], format="csr"))
    low, high, error = (np.concatenate([b[k] for b in blocks]) for k in (1, 2, 3))
    origin = np.repeat(np.arange(len(blocks)), [b[0].shape[0] for b in blocks])
    return Rows(matrix, low, high, error, origin)


def _moved(value: np.ndarray, constant: np.ndarray, outward: float) -> np.ndarray:
    """value + constant, moved outward by its rounding."""
    total = value + constant
    exact = (constant == 0) | (on_grid(value) & on_grid(constant))
    return np.where(exact, total, total + outward * 8 * EPSILON * (np.abs(value) + np.abs(constant)))


def _grid_or_endless(side: np.ndarray) -> np.ndarray:
    return ~np.isfinite(side) | on_grid(side)


def _size(side: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(side), np.abs(side), 0.0)


def _finite_rows(matrix: sp.csr_array) -> np.ndarray:
    bad = ~np.isfinite(matrix.data)
    if not bad.any():
        return np.ones(matrix.shape[0], dtype=bool)
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.bincount(row, bad, matrix.shape[0]) == 0


def _sound(matrix: sp.csr_array, constant: np.ndarray) -> bool:
    return bool(np.isfinite(matrix.data).all() and np.isfinite(constant).all())
