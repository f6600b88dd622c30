"""Level sets of quasi-convex expressions as convex constraints on templates.

An expression is quasi-convex when `expression <= t` is a family of convex constraints for every number t (Agrawal and
Boyd, 2020, "Disciplined quasiconvex programming", section 3). Ratios are multiplied out, monotone functions turned
around, maxima split; what is convex stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from optdsl.atoms import ENTRIES, Interval
from optdsl.classify.facts import Facts
from optdsl.classify.inverse import extreme_argument
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import Over, has_variables

LEVEL = "(level)"
"""A variable that no text can name: the argument of functions that were peeled off, and the miss of a level."""


class NoLevels(Exception):
    """An expression whose levels are not known to be convex: the part and why."""

    def __init__(self, node: sympy.Basic, reason: str) -> None:
        super().__init__(reason)
        self.node, self.reason = node, reason


@dataclass(frozen=True, eq=False, slots=True)
class LevelRows:
    """body <= 0 over the lanes of `over`; a body without variables is a condition on data."""

    over: Over
    body: sympy.Expr


@dataclass(frozen=True, eq=False)
class Ratio:
    """numerator / denominator with a denominator that is nowhere negative on D."""

    numerator: sympy.Expr
    denominator: sympy.Expr


class Levels:
    """Rules for the levels of expressions. `sign` 1 asks for `expression <= level`, -1 for `>=`.

    `known` are lower bounds that constraints give to whole expressions without indices.
    """

    def __init__(self, facts: Facts, known: Mapping[sympy.Expr, float] | None = None) -> None:
        self.facts = facts
        self.lanes = facts.lanes
        self.known = known or {}

    def levels(
        self, node: sympy.Expr, level: sympy.Expr, sign: float, over: Over, frame: Frame
    ) -> list[LevelRows]:
        """Convex rows that hold exactly where `node` is at most (at least) `level`, a number or data."""
        fact = self.facts.find(node, frame)
        if bool((fact.convex if sign > 0 else fact.concave).all()):
            return [LevelRows(over, node - level if sign > 0 else level - node)]
        extreme = "max" if sign > 0 else "min"
        if isinstance(node, nodes.Apply) and node.name == extreme:
            return [row for part in node.slots for row in self.levels(part, level, sign, over, frame)]
        if isinstance(node, nodes.Reduce) and node.name == extreme:
            child = self.lanes.extend(frame, node.over).child
            wider = nodes.over((*over.iterators, *node.over.iterators), (*over.conditions, *node.over.conditions))
            return self.levels(node.body, level, sign, wider, child)
        shifted = self._shifted(node, level, frame)
        if shifted is not None:
            part, moved, turned = shifted
            return self.levels(part, moved, -sign if turned else sign, over, frame)
        power = self._common_power(node, frame)
        if power is not None:
            return self.levels(power, level, sign, over, frame)
        ratio = self.ratio(node, frame)
        if ratio is not None:
            return self._ratio(node, ratio, level, sign, over, frame)
        factors = self._concave_factors(node, frame)
        if sign < 0 and factors is not None:
            return self._product(factors, self._number(level, frame, node), over)
        increasing = self._monotone(node, frame)
        if increasing is not None:
            return self._turned(node, increasing, level, sign, over, frame)
        raise NoLevels(node, "this part is not known to be quasi" + ("-convex" if sign > 0 else "-concave"))

    def peeled(self, node: sympy.Expr, frame: Frame) -> tuple[sympy.Expr, bool, sympy.Expr] | None:
        """What is inside a monotone outer function, whether that increases, and the function, of `LEVEL`.

        None where nothing can be peeled.
        """
        inner = nodes.VariableEntry(LEVEL)
        shifted = self._shifted(node, sympy.Integer(0), frame)
        if shifted is not None:
            data = (a for a in node.args if not has_variables(a))
            return shifted[0], not shifted[2], node.func(inner, *data)
        node = self._common_power(node, frame) or node
        increasing = self._monotone(node, frame)
        if increasing is None:
            return None
        found = _function(node)
        assert found is not None
        argument = next(a for a in found[1] if has_variables(a))
        return argument, increasing, node.func(*(inner if a is argument else a for a in node.args))

    def _shifted(
        self, node: sympy.Expr, level: sympy.Expr, frame: Frame
    ) -> tuple[sympy.Expr, sympy.Expr, bool] | None:
        """A sum or product with data undone: the part with variables, its level, whether the side turns."""
        if not isinstance(node, (sympy.Add, sympy.Mul)):
            return None
        moving = [a for a in node.args if has_variables(a)]
        data = [a for a in node.args if not has_variables(a)]
        if not data:
            return None
        part = node.func(*moving)
        if isinstance(node, sympy.Add):
            return part, level - node.func(*data), False
        factor = node.func(*data)
        value = self.lanes.numbers(factor, frame)
        if not ((value > 0).all() or (value < 0).all()):
            return None
        return part, level / factor, bool((value < 0).all())

    def _common_power(self, node: sympy.Expr, frame: Frame) -> sympy.Expr | None:
        """x^3 / (x + y)^3 as the power of x / (x + y): SymPy multiplies integer powers of quotients out."""
        if not isinstance(node, sympy.Mul) or not all(isinstance(f, sympy.Pow) and f.exp.is_Integer for f in node.args):
            return None
        sizes = {abs(int(f.exp)) for f in node.args}
        power = sizes.pop()
        if sizes or power == 1:
            return None
        inner = sympy.Mul(*(sympy.Pow(f.base, int(f.exp) // power) for f in node.args))
        if power % 2 == 0 and not bool((self.facts.find(inner, frame).lo >= 0).all()):
            return None
        return nodes.Apply("pow", inner, sympy.Integer(power))

    def ratio(self, node: sympy.Expr, frame: Frame) -> Ratio | None:
        """A quotient with a denominator of known sign."""
        factors = node.args if isinstance(node, sympy.Mul) else (node,)
        below = [f for f in factors if _below(f) is not None and has_variables(f)]
        if not below:
            return None
        above = sympy.Mul(*(f for f in factors if f not in below))
        denominator = sympy.Mul(*(_below(f) for f in below))
        fact = self.facts.find(denominator, frame)
        if bool((fact.lo >= 0).all()) or self._floor(denominator) >= 0:
            return Ratio(above, denominator)
        if bool((fact.hi <= 0).all()):
            return Ratio(-above, -denominator)
        return None

    def _floor(self, node: sympy.Expr) -> float:
        """The lower bound that a constraint gives to an expression, up to a constant; -inf where none does."""
        if node in self.known:
            return self.known[node]
        if not isinstance(node, sympy.Add):
            return -np.inf
        data = sympy.Add(*(a for a in node.args if not has_variables(a)))
        known = self.known.get(node - data, -np.inf)
        return known + float(self.lanes.full(data, Frame()).reshape(-1)[0]) if known > -np.inf else known

    def _ratio(
        self, node: sympy.Expr, ratio: Ratio, level: sympy.Expr, sign: float, over: Over, frame: Frame
    ) -> list[LevelRows]:
        """N / D <= t as N - t D <= 0: convex where N is, and t D is concave."""
        if not has_variables(ratio.numerator) and not bool(self.facts.find(ratio.denominator, frame).affine.all()):
            return self._reciprocal(node, ratio, level, sign, over, frame)
        top = self.facts.find(ratio.numerator, frame)
        bottom = self.facts.find(ratio.denominator, frame)
        if not bool((top.convex if sign > 0 else top.concave).all()):
            side = "convex" if sign > 0 else "concave"
            raise NoLevels(ratio.numerator, f"the numerator of this ratio is not known to be {side}")
        body = ratio.numerator - level * ratio.denominator
        rows = [LevelRows(over, body if sign > 0 else -body)]
        if bool(bottom.affine.all()):
            return rows
        value = np.broadcast_to(np.asarray(self.lanes.numbers(level, frame), dtype=float), frame.shape)
        # the sign of the level for which t D curves the right way; for the other sign the numerator's sign decides
        nonnegative = bool((top.lo >= 0).all()) or self._floor(ratio.numerator) >= 0
        if bool((bottom.concave if sign > 0 else bottom.convex).all()) and nonnegative:
            wanted, otherwise = value >= 0, sympy.Integer(1 if sign > 0 else -1)
        elif bool((bottom.convex if sign > 0 else bottom.concave).all()) and bool((top.hi <= 0).all()):
            wanted, otherwise = value <= 0, sympy.Integer(-1 if sign > 0 else 1)
        else:
            raise NoLevels(node, "neither the signs nor the curvatures of this ratio make it quasi-convex")
        if wanted.all():
            return rows
        if wanted.any():
            raise NoLevels(node, "the sides of this ratio have both signs")
        return [LevelRows(over, otherwise)]

    def _reciprocal(
        self, node: sympy.Expr, ratio: Ratio, level: sympy.Expr, sign: float, over: Over, frame: Frame
    ) -> list[LevelRows]:
        """c / D <= t, D > 0, as D >= c / t where c and t have one sign; the other signs decide themselves."""
        constant, at = self._number(ratio.numerator, frame, node), self._number(level, frame, node)
        if constant == 0 or (constant > 0) != (at > 0):
            holds = sign * at >= 0 if constant == 0 else sign * constant < 0
            return [] if holds else [LevelRows(over, sympy.Integer(1))]
        turned = -sign if constant > 0 else sign
        return self.levels(ratio.denominator, sympy.Float(constant / at), turned, over, frame)

    def _concave_factors(self, node: sympy.Expr, frame: Frame) -> list[sympy.Expr] | None:
        """The factors of a product of nonnegative concave functions."""
        if not isinstance(node, sympy.Mul):
            return None
        facts = [self.facts.find(f, frame) for f in node.args]
        fits = all(bool(f.concave.all()) and bool((f.lo >= 0).all()) for f in facts)
        return list(node.args) if fits else None

    def _product(self, factors: Sequence[sympy.Expr], level: float, over: Over) -> list[LevelRows]:
        """f1 f2 ... >= t > 0 as log f1 + log f2 + ... >= log t."""
        if level <= 0:
            return []
        return [LevelRows(over, sympy.Float(np.log(level)) - sympy.Add(*(nodes.Apply("log", f) for f in factors)))]

    def _monotone(self, node: sympy.Expr, frame: Frame) -> bool | None:
        """Whether an elementwise function of one moving argument increases there; None if that is not known."""
        found = _function(node)
        if found is None:
            return None
        row, arguments = found
        moving = [k for k, a in enumerate(arguments) if has_variables(a)]
        if len(moving) != 1:
            return None
        boxes = [self.facts.find(a, frame).interval for a in arguments]
        if row.domain.restrict is not None:
            boxes = list(row.domain.restrict(*boxes))
        with np.errstate(all="ignore"):
            slope = np.asarray(row.slope(*boxes)[moving[0]])
        if (slope >= 0).all():
            return True
        return False if (slope <= 0).all() else None

    def _turned(
        self, node: sympy.Expr, increasing: bool, level: sympy.Expr, sign: float, over: Over, frame: Frame
    ) -> list[LevelRows]:
        """h(e) <= t as e <= the largest argument with that value."""
        found = _function(node)
        assert found is not None
        row, arguments = found
        moving = next(k for k, a in enumerate(arguments) if has_variables(a))
        fixed = [None if k == moving else self._number(a, frame, node) for k, a in enumerate(arguments)]
        # the function is monotone on its argument's box, and may turn elsewhere
        box = self.facts.find(arguments[moving], frame).interval
        reach = Interval(np.asarray(box.lo.min(initial=np.inf)), np.asarray(box.hi.max(initial=-np.inf)))
        boxes = [reach if v is None else _point(v) for v in fixed]
        if row.domain.restrict is not None:
            boxes = list(row.domain.restrict(*boxes))
        low, high = float(boxes[moving].lo), float(boxes[moving].hi)

        def function(at: float) -> float:
            with np.errstate(all="ignore"):
                return float(row.kernel(*(at if v is None else v for v in fixed)))

        upward = increasing == (sign > 0)  # whether a largest argument is sought
        threshold = extreme_argument(function, self._number(level, frame, node), sign, low, high, largest=upward)
        if threshold is None:
            return [LevelRows(over, sympy.Integer(1))]
        if threshold == (high if upward else low) and np.isinf(threshold):
            return []
        if np.isinf(threshold):
            return [LevelRows(over, sympy.Integer(1))]
        return self.levels(arguments[moving], sympy.Float(threshold), 1.0 if upward else -1.0, over, frame)

    def _number(self, expression: sympy.Expr, frame: Frame, node: sympy.Basic) -> float:
        """The one value of data at all lanes."""
        values = np.unique(np.asarray(self.lanes.numbers(expression, frame), dtype=float))
        if len(values) != 1:
            raise NoLevels(node, "this function is turned around only where its sides and parameters are one number")
        return float(values[0])


def _function(node: sympy.Expr):
    """The row and arguments of an elementwise function or power."""
    if isinstance(node, sympy.Pow):
        return ENTRIES["pow"], list(node.args)
    if isinstance(node, nodes.Apply):
        return ENTRIES[node.name], list(node.slots)
    return None


def _below(factor: sympy.Expr) -> sympy.Expr | None:
    """What a factor divides by: x for `1 / x`, x^2 for `x^-2`."""
    if isinstance(factor, sympy.Pow) and factor.exp.is_number and factor.exp.is_negative:
        return sympy.Pow(factor.base, -factor.exp)
    if isinstance(factor, nodes.Apply) and factor.name == "inv":
        return factor.slots[0]
    return None


def _point(value: float) -> Interval:
    return Interval(np.asarray(value), np.asarray(value))
