"""The logarithm of an expression in positive variables, at every lane at once.

The logarithm of a monomial is affine in y = log x. A function that is convex in y (log-log convex: a posynomial, a
maximum, a positive power of these ...) is replaced from above by an auxiliary column and rows that hold it; one that
is log-log concave from below (Agrawal, Diamond and Boyd, 2019, "Disciplined geometric programming"). Which of the two
is asked for follows from the place of the expression; elsewhere only monomials pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy

from optdsl.classify.facts import Facts
from optdsl.classify.geometric.log_rows import LogProgram, LogRows, SumRows
from optdsl.classify.geometric.terms import EXACT, LOWER, UPPER, Sum
from optdsl.data.members import Label
from optdsl.model.model import Model
from optdsl.terms import nodes
from optdsl.terms.frame import Extension, Frame
from optdsl.terms.nodes import Index, has_variables


class NotLogConvex(Exception):
    """A part cannot stand in a geometric program: the part, why in words, what to do, and the lane."""

    def __init__(
        self, node: sympy.Basic, reason: str, hint: str | None = None, lane: dict[Index, Label] | None = None
    ) -> None:
        super().__init__(reason)
        self.node, self.reason, self.hint, self.lane = node, reason, hint, lane


@dataclass(eq=False)
class Walker:
    """Reads expressions. `facts` give the bounds that prove expressions positive; `used` (n,) marks columns met."""

    model: Model
    facts: Facts
    program: LogProgram
    used: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.lanes = self.model.lanes
        self.used = np.zeros(self.model.columns, dtype=bool)

    # --------------------------------------------------------------------------------------------------- sums

    def collect(self, expression: sympy.Basic, frame: Frame, into: Sum) -> None:
        """Add an expression over the lanes of `frame` to a sum."""
        self._terms(expression, frame, np.ones((1,) * len(frame.shape)), None, into)

    def _terms(
        self, expression: sympy.Basic, frame: Frame, multiplier: np.ndarray, prefix: LogRows | None, into: Sum
    ) -> None:
        """Add multiplier * exp(prefix) * expression; `prefix` has a row for every lane of the frame (C order)."""
        if frame.size == 0:
            return
        if not has_variables(expression):
            multiplier = multiplier * self._numbers(expression, frame)
            self._emit(expression, frame, multiplier, prefix, into)
        elif isinstance(expression, sympy.Add):
            for term in expression.args:
                self._terms(term, frame, multiplier, prefix, into)
        elif isinstance(expression, sympy.Mul):
            self._product(expression, frame, multiplier, prefix, into)
        elif isinstance(expression, nodes.Reduce) and expression.name in ("sum", "mean"):
            if expression.name == "mean":
                multiplier = multiplier / self._counts(expression, frame)
            # lanes where a sparse factor is 0 add nothing
            extension = self.lanes.extend(frame, expression.over, expression.body)
            self._within(expression.body, extension, multiplier, prefix, into)
        elif isinstance(expression, (nodes.Choose, nodes.Pick)):
            for mask, branch in self._branches(expression, frame):
                self._within(branch, self.lanes.filtered(frame, mask), multiplier, prefix, into)
        else:
            self._leaf(expression, frame, multiplier, prefix, into)

    def _within(
        self, body: sympy.Basic, extension: Extension, multiplier: np.ndarray, prefix: LogRows | None, into: Sum
    ) -> None:
        child = extension.child
        if prefix is not None and child.size:
            prefix = prefix.take(_lifted_lanes(extension))
        self._terms(body, child, extension.lift(multiplier), prefix, into)

    def _product(
        self, node: sympy.Mul, frame: Frame, multiplier: np.ndarray, prefix: LogRows | None, into: Sum
    ) -> None:
        """A product: one sum among its factors is multiplied out where the others are monomials."""
        for factor in node.args:
            if not has_variables(factor):
                multiplier = multiplier * self._numbers(factor, frame)
        moving = [f for f in node.args if has_variables(f)]
        sums = [f for f in moving if _is_sum(f)]
        if len(moving) == 1:
            self._terms(moving[0], frame, multiplier, prefix, into)
            return
        if len(sums) == 1:
            others = [f for f in moving if f is not sums[0]]
            try:
                logs = self._all(others, frame, EXACT)
            except NotLogConvex:
                pass
            else:
                self._terms(sums[0], frame, multiplier, logs if prefix is None else prefix.plus(logs), into)
                return
        self._leaf(sympy.Mul(*moving), frame, multiplier, prefix, into)

    def _leaf(
        self, node: sympy.Basic, frame: Frame, multiplier: np.ndarray, prefix: LogRows | None, into: Sum
    ) -> None:
        """A term that is no sum: its logarithm, from the side that its sign allows."""
        negative = np.asarray(multiplier < 0)
        if into.direction != EXACT and negative.any() and not negative.all():
            for mask in (negative, ~negative):
                self._within(node, self.lanes.filtered(frame, mask), multiplier, prefix, into)
            return
        direction = -into.direction if negative.all() else into.direction
        # a product that got here cannot be multiplied out
        factors = node.args if isinstance(node, sympy.Mul) else (node,)
        logs = self._all(factors, frame, direction)
        self._emit(node, frame, multiplier, logs if prefix is None else prefix.plus(logs), into)

    def _emit(
        self, node: sympy.Basic, frame: Frame, coefficient: np.ndarray, logs: LogRows | None, into: Sum
    ) -> None:
        full = np.broadcast_to(coefficient, frame.shape).reshape(-1).astype(float)
        if not np.isfinite(full).all():
            lane = self.lane_of(~np.isfinite(full), frame)
            raise NotLogConvex(node, "a coefficient is not a finite number", None, lane)
        into.emit(node, frame, full, logs)

    # ----------------------------------------------------------------------------------------------- logarithms

    def logs(self, expression: sympy.Basic, frame: Frame, direction: int) -> LogRows:
        """The logarithm at every lane (C order), from above, from below or exactly."""
        if not has_variables(expression):
            return self._data(expression, frame)
        if frame.size == 0:
            return LogRows.of_constants(np.zeros(0))
        rule = _RULES.get(type(expression))
        if rule is None:
            raise NotLogConvex(expression, "this part is neither a monomial nor a sum of monomials")
        found: LogRows = rule(self, expression, frame, direction)
        return found

    def _data(self, expression: sympy.Basic, frame: Frame) -> LogRows:
        value = np.broadcast_to(self._numbers(expression, frame), frame.shape).reshape(-1).astype(float)
        wrong = ~(value >= 0) | ~np.isfinite(value)
        if wrong.any():
            what = "negative" if (value[wrong] < 0).any() else "not a finite number"
            raise NotLogConvex(expression, f"a factor is {what}", None, self.lane_of(wrong, frame))
        with np.errstate(divide="ignore"):
            return LogRows.of_constants(np.log(value))

    def _entry(self, node: nodes.VariableEntry, frame: Frame, direction: int) -> LogRows:
        columns = np.broadcast_to(self.lanes.columns(node, frame), frame.shape).reshape(-1)
        for wrong, what in (
            (~(self.facts.lower[columns] >= 0), "may be negative: no lower bound of 0 or more is known"),
            (self.facts.upper[columns] <= 0, "is never positive"),
        ):
            if wrong.any():
                hint = f"in a geometric program all variables are positive: declare `{node.name}` with `>= 0`"
                raise NotLogConvex(node, f"`{node.name}` {what}", hint, self.lane_of(wrong, frame))
        self.used[columns] = True
        return LogRows.of_columns(columns)

    def _sum(
        self, node: sympy.Basic, frame: Frame, direction: int, blamed: sympy.Basic | None = None
    ) -> LogRows:
        """A sum: a monomial where one term is left, else log Σ exp from above, or a difference from below.

        `blamed` is the part of the text that the sum stands for, where it is not one itself.
        """
        root = frame.as_root()
        into = Sum(root, direction)
        self.collect(node, root, into)
        terms = into.total(self.program.columns)
        positive, negative = terms.counts(1, root.size), terms.counts(-1, root.size)
        if not negative.any() and positive.max(initial=0) <= 1:
            logs = terms.logs.take(np.argsort(terms.row, kind="stable"))
            return logs if len(terms.row) == root.size else _zeros_between(logs, terms.row, root.size)
        if direction == UPPER and not negative.any():
            return self._above(terms.row, terms.logs, root.size)
        if direction == LOWER and (positive == 1).all():
            return self._difference(node, terms, root)
        self._refuse_sum(blamed or node, root, direction, positive, negative)
        raise AssertionError

    def _refuse_sum(
        self, node: sympy.Basic, root: Frame, direction: int, positive: np.ndarray, negative: np.ndarray
    ) -> None:
        if direction != LOWER and negative.any():
            raise NotLogConvex(node, "a term with a minus sign", None, self.lane_of(negative > 0, root))
        count = int(positive.max(initial=0))
        greater = "may not be on the greater side of an inequality"
        where = "where a single term is needed" if direction == EXACT else greater
        wrong = positive != 1 if direction == LOWER else positive > 1
        raise NotLogConvex(node, f"a sum of {count} terms {where}", None, self.lane_of(wrong, root))

    def _above(self, row: np.ndarray, logs: LogRows, count: int) -> LogRows:
        """u >= log Σ exp(logs) in each of `count` rows, as Σ exp(logs - u) <= 1; -inf where there is no term."""
        filled = np.unique(row)
        columns = np.zeros(count, dtype=np.int64)
        columns[filled] = self.program.add(len(filled))
        number = np.searchsorted(filled, row)
        held = LogRows.of_columns(columns[filled])
        self.program.softmax.append(_divided(logs, number, held))
        return _zeros_between(held, filled, count)

    def _difference(self, node: sympy.Basic, terms: Any, root: Frame) -> LogRows:
        """w <= log(m - p) for a monomial m and a posynomial p, as exp(w) + p <= m; m - p must be known positive."""
        low = np.broadcast_to(self.facts.find(node, root).lo, root.shape).reshape(-1)
        if not (low >= 0).all():
            reason = "a difference that is not known to be positive"
            raise NotLogConvex(node, reason, None, self.lane_of(~(low >= 0), root))
        first = terms.where(terms.sign > 0)
        monomial = first.logs.take(np.argsort(first.row, kind="stable"))
        rest = terms.where(terms.sign < 0)
        columns = self.program.add(root.size)
        lanes = np.concatenate([np.arange(root.size), rest.row])
        parts = LogRows.joined([LogRows.of_columns(columns), rest.logs])
        self.program.softmax.append(_divided(parts, lanes, monomial))
        return LogRows.of_columns(columns)

    def _mul(self, node: sympy.Mul, frame: Frame, direction: int) -> LogRows:
        moving = [f for f in node.args if has_variables(f)]
        if sum(map(_is_sum, moving)) == 1:
            return self._sum(node, frame, direction)
        data = [f for f in node.args if not has_variables(f)]
        logs = self._all(moving, frame, direction)
        return logs.plus(self._data(sympy.Mul(*data), frame)) if data else logs

    def _all(self, factors: Sequence[sympy.Basic], frame: Frame, direction: int) -> LogRows:
        logs = self.logs(factors[0], frame, direction)
        for factor in factors[1:]:
            logs = logs.plus(self.logs(factor, frame, direction))
        return logs

    def _pow(self, node: sympy.Pow, frame: Frame, direction: int) -> LogRows:
        return self._power(node, node.base, node.exp, frame, direction)

    def _power(
        self, node: sympy.Basic, base: sympy.Basic, exponent: sympy.Basic, frame: Frame, direction: int
    ) -> LogRows:
        """A power with data in the exponent: the logarithm scaled; a negative one turns above and below around."""
        if has_variables(exponent):
            raise NotLogConvex(node, "a power with a variable in the exponent")
        power = np.broadcast_to(self._numbers(exponent, frame), frame.shape).reshape(-1).astype(float)
        negative = power < 0
        if direction != EXACT and negative.any() and not negative.all():
            masks = [m.reshape(frame.shape) for m in (negative, ~negative)]
            return self._scattered([(m, node) for m in masks], frame, direction)
        logs = self.logs(base, frame, -direction if negative.all() else direction)
        zero = (logs.constant == -np.inf) & (power <= 0)
        if zero.any() or not np.isfinite(power).all():
            raise NotLogConvex(node, "a power that has no value", None, self.lane_of(zero | ~np.isfinite(power), frame))
        return logs.times(power)

    def _scattered(
        self, branches: list[tuple[np.ndarray, sympy.Basic]], frame: Frame, direction: int
    ) -> LogRows:
        """Each branch where its mask (frame's shape) holds, put together."""
        parts, at = [], []
        for mask, branch in branches:
            if mask.all():
                return self.logs(branch, frame, direction)
            if mask.any():
                extension = self.lanes.filtered(frame, mask)
                parts.append(self.logs(branch, extension.child, direction))
                at.append(_lifted_lanes(extension))
        place = np.empty(frame.size, dtype=np.int64)
        place[np.concatenate(at)] = np.arange(frame.size)
        return LogRows.joined(parts).take(place)

    def _choose(self, node: sympy.Basic, frame: Frame, direction: int) -> LogRows:
        return self._scattered(self._branches(node, frame), frame, direction)

    def _branches(self, node: sympy.Basic, frame: Frame) -> list[tuple[np.ndarray, sympy.Basic]]:
        if isinstance(node, nodes.Choose):
            condition, then, otherwise = node.args
            holds = np.broadcast_to(self.lanes.condition(condition, frame), frame.shape)
            return [(holds, then), (~holds, otherwise)]
        position = np.broadcast_to(self.lanes.numbers(node.args[0], frame), frame.shape)
        return [(position == k, branch) for k, branch in enumerate(node.args[1:])]

    # ------------------------------------------------------------------------------------------------ functions

    def _apply(self, node: nodes.Apply, frame: Frame, direction: int) -> LogRows:
        name, arguments = node.name, node.slots
        if name in _POWERS:
            inner = self.logs(arguments[0], frame, -direction if name == "inv" else direction)
            return inner.times(np.full(frame.size, _POWERS[name]))
        if name == "pow":
            return self._power(node, arguments[0], arguments[1], frame, direction)
        if name in ("abs", "pos", "relu"):  # of something positive: itself
            return self.logs(arguments[0], frame, direction)
        if name in ("max", "min"):
            parts = [self.logs(a, frame, _wanted(node, name, direction)) for a in arguments]
            lanes = np.tile(np.arange(frame.size), len(parts))
            return self._extreme(node, name, LogRows.joined(parts), lanes, frame)
        if name == "hypot":
            squares = sympy.Add(*(sympy.Pow(a, 2) for a in arguments), evaluate=False)
            return self._sum(squares, frame, direction, node).times(np.full(frame.size, 0.5))
        if name == "exp" and direction == UPPER:
            return self._exponential(arguments[0], frame)
        if name == "log" and direction == LOWER:
            return self._logarithm(node, frame)
        raise NotLogConvex(node, f"`{name}` of variables is not convex on the log scale here")

    def _exponential(self, argument: sympy.Basic, frame: Frame) -> LogRows:
        """log exp(e) = e: u >= exp(log e)."""
        held = LogRows.of_columns(self.program.add(frame.size))
        self.program.exponential.append((self.logs(argument, frame, UPPER), held))
        return held

    def _logarithm(self, node: nodes.Apply, frame: Frame) -> LogRows:
        """w <= log(log e), as exp(w) <= log e; e must be known to be 1 or more."""
        low = np.broadcast_to(self.facts.find(node, frame).lo, frame.shape).reshape(-1)
        if not (low >= 0).all():
            reason = "a logarithm that is not known to be positive"
            raise NotLogConvex(node, reason, None, self.lane_of(~(low >= 0), frame))
        held = LogRows.of_columns(self.program.add(frame.size))
        self.program.exponential.append((held, self.logs(node.slots[0], frame, LOWER)))
        return held

    def _extreme(self, node: sympy.Basic, name: str, logs: LogRows, lane: np.ndarray, frame: Frame) -> LogRows:
        """The largest or smallest of rows by lane (R,), held from above or below by an auxiliary column per lane."""
        zero = logs.constant == -np.inf
        zeros = np.bincount(lane, zero, frame.size)
        lost = zeros == np.bincount(lane, minlength=frame.size) if name == "max" else zeros > 0
        if lost.any():
            raise NotLogConvex(node, f"a {name}imum that is 0", None, self.lane_of(lost, frame))
        columns = self.program.add(frame.size)
        held = LogRows.of_columns(columns[lane])
        sign = 1.0 if name == "max" else -1.0
        rows = logs.plus(held.times(-np.ones(logs.size))).times(np.full(logs.size, sign))
        self.program.linear.append(rows.take(np.flatnonzero(rows.constant > -np.inf)))
        return LogRows.of_columns(columns)

    def _reduce(self, node: nodes.Reduce, frame: Frame, direction: int) -> LogRows:
        name = node.name
        if name in ("sum", "mean", "norm1"):
            inner = nodes.Reduce("sum", node.body, node.over) if name == "norm1" else node
            return self._sum(inner, frame, direction, node)
        if name in ("sumsq", "norm2", "norm"):
            power = 2.0 if name != "norm" else float(self.lanes.numbers(node.extra[0], frame).reshape(-1)[0])
            if np.isinf(power):
                return self._members("max", node, frame, _wanted(node, "max", direction))
            body = nodes.Apply("pow", node.body, sympy.Float(power))
            total = self._sum(nodes.Reduce("sum", body, node.over), frame, direction, node)
            return total if name == "sumsq" else total.times(np.full(frame.size, 1.0 / power))
        if name in ("max", "min", "norminf"):
            extreme = "min" if name == "min" else "max"
            return self._members(extreme, node, frame, _wanted(node, extreme, direction))
        if name in ("prod", "geo_mean"):
            logs = self._members("prod", node, frame, direction)
            return logs if name == "prod" else logs.times(1.0 / self._full_counts(node, frame))
        if name == "harmonic_mean":
            inverses = nodes.Reduce("sum", sympy.Pow(node.body, -1), node.over)
            total = self._sum(inverses, frame, -direction, node)
            return total.times(-np.ones(frame.size)).shifted(np.log(self._full_counts(node, frame)))
        raise NotLogConvex(node, f"`{name}` of variables is not convex on the log scale")

    def _members(self, fold: str, node: nodes.Reduce, frame: Frame, direction: int) -> LogRows:
        """Rows of all members, multiplied or compared within each lane of the frame."""
        root = frame.as_root()
        child = self.lanes.extend(root, node.over).child
        if fold != "prod":
            self._full_counts(node, frame)
        logs = self.logs(node.body, child, direction)
        lane = np.broadcast_to(child.root_rows(), child.shape).reshape(-1)
        if fold == "prod":
            return logs.folded(lane, root.size)
        return self._extreme(node, fold, logs, lane, root)

    # -------------------------------------------------------------------------------------------------- helpers

    def _numbers(self, expression: sympy.Basic, frame: Frame) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(self.lanes.numbers(expression, frame), dtype=float)

    def _counts(self, node: nodes.Reduce, frame: Frame) -> np.ndarray:
        counts = np.asarray(self.lanes.numbers(nodes.Reduce("sum", sympy.Integer(1), node.over), frame), dtype=float)
        if (counts == 0).any():
            raise NotLogConvex(node, f"`{node.name}` over an empty set has no value")
        return counts

    def _full_counts(self, node: nodes.Reduce, frame: Frame) -> np.ndarray:
        return np.broadcast_to(self._counts(node, frame), frame.shape).reshape(-1)

    def lane_of(self, wrong: np.ndarray, frame: Frame) -> dict[Index, Label]:
        """The indices at the first lane of the frame that is marked."""
        first = int(np.flatnonzero(wrong)[0])
        return self.lanes.lane(frame, np.unravel_index(first, frame.shape) if frame.shape else ())  # type: ignore[arg-type]


_POWERS = {"sqrt": 0.5, "cbrt": 1.0 / 3.0, "square": 2.0, "inv": -1.0}


def _is_sum(node: sympy.Basic) -> bool:
    if isinstance(node, nodes.Reduce):
        return node.name in ("sum", "mean")
    return isinstance(node, (sympy.Add, nodes.Choose, nodes.Pick))


def _wanted(node: sympy.Basic, extreme: str, direction: int) -> int:
    """The direction, where a maximum or minimum may stand there."""
    if direction == EXACT:
        raise NotLogConvex(node, f"a {extreme}imum where a single term is needed")
    if direction != (UPPER if extreme == "max" else LOWER):
        side = "greater" if extreme == "max" else "smaller"
        raise NotLogConvex(node, f"a {extreme}imum may not stand on the {side} side of an inequality")
    return direction


def _lifted_lanes(extension: Extension) -> np.ndarray:
    """For each lane of the child (C order) the C-order position of its parent's lane."""
    parent, child = extension.parent, extension.child
    numbers = np.arange(parent.size).reshape(parent.shape)
    return np.asarray(np.broadcast_to(extension.lift(numbers), child.shape)).reshape(-1)


def _divided(logs: LogRows, row: np.ndarray, greater: LogRows) -> SumRows:
    """Σ exp(logs) <= exp(greater) in each row."""
    return SumRows(logs.plus(greater.take(row).times(-np.ones(len(row)))), row, greater)


def _zeros_between(logs: LogRows, row: np.ndarray, count: int) -> LogRows:
    """Rows at their places among `count`, the others standing for 0; `logs` are sorted by `row`."""
    row = np.sort(row)
    constant = np.full(count, -np.inf)
    constant[row] = logs.constant
    return LogRows(row[logs.row], logs.column, logs.exponent, constant)


Rule = Callable[..., LogRows]
_RULES: dict[type, Rule] = {
    nodes.VariableEntry: Walker._entry,
    sympy.Add: Walker._sum,
    sympy.Mul: Walker._mul,
    sympy.Pow: Walker._pow,
    nodes.Apply: Walker._apply,
    nodes.Reduce: Walker._reduce,
    nodes.Choose: Walker._choose,
    nodes.Pick: Walker._choose,
}
