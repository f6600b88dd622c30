"""Values of polynomials and roots in forty digits, one walk over the template for all points.

Most witnesses need no more. What `Precise` gives for them is the same; it takes the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, DecimalException

import numpy as np
import sympy

from optdsl.classify.witness.precise import DIGITS, EPS, Between
from optdsl.model.model import Model
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables

MOST_POWER = 64

Numbers = list[tuple[Decimal, float]]
"""At each point the value, and a bound on the error that the rounding of data causes."""


class _Unknown(Exception):
    """An expression that needs more than decimals."""


def decimal_values(
    model: Model, expression: sympy.Basic, frame: Frame, points: Sequence[np.ndarray | Between]
) -> Numbers | None:
    """An expression's values over a frame of one lane; None where it is not made of sums, products and powers."""
    try:
        return _Walk(model, frame, points).find(expression)
    except (_Unknown, DecimalException, OverflowError):
        return None


class _Walk:
    def __init__(self, model: Model, frame: Frame, points: Sequence[np.ndarray | Between]) -> None:
        self.lanes, self.frame, self.points = model.lanes, frame, points
        self.context = Context(prec=DIGITS, Emax=10**6, Emin=-(10**6))
        self.known: dict[sympy.Basic, Numbers] = {}

    def find(self, expression: sympy.Basic) -> Numbers:
        found = self.known.get(expression)
        if found is None:
            found = self.known[expression] = self._find(expression)
        return found

    def _find(self, expression: sympy.Basic) -> Numbers:
        if isinstance(expression, sympy.Rational):
            value = self.context.divide(Decimal(int(expression.p)), Decimal(int(expression.q)))
            return [(value, 0.0)] * len(self.points)
        if not has_variables(expression):
            number = float(np.asarray(self.lanes.numbers(expression, self.frame)).reshape(-1)[0])
            if not np.isfinite(number):
                raise _Unknown
            error = 0.0 if number == np.rint(number) else EPS * abs(number)
            return [(Decimal(repr(number)), error)] * len(self.points)
        if isinstance(expression, nodes.VariableEntry):
            column = int(self.lanes.columns(expression, self.frame).reshape(-1)[0])
            return [(self._entry(point, column), 0.0) for point in self.points]
        if isinstance(expression, sympy.Add):
            return [self._sum(terms) for terms in zip(*map(self.find, expression.args), strict=True)]
        if isinstance(expression, sympy.Mul):
            return [self._product(factors) for factors in zip(*map(self.find, expression.args), strict=True)]
        if isinstance(expression, sympy.Pow):
            return [self._power(base, expression.exp) for base in self.find(expression.base)]
        raise _Unknown

    def _entry(self, point: np.ndarray | Between, column: int) -> Decimal:
        if not isinstance(point, Between):
            return Decimal(repr(float(point[column])))
        weight = Decimal(repr(point.weight))
        first, second = (Decimal(repr(float(end[column]))) for end in (point.first, point.second))
        context = self.context
        rest = context.multiply(context.subtract(Decimal(1), weight), second)
        return context.add(context.multiply(weight, first), rest)

    def _sum(self, terms: Sequence[tuple[Decimal, float]]) -> tuple[Decimal, float]:
        total, error = terms[0]
        for value, more in terms[1:]:
            total, error = self.context.add(total, value), error + more
        return total, error

    def _product(self, factors: Sequence[tuple[Decimal, float]]) -> tuple[Decimal, float]:
        total, error = factors[0]
        for value, more in factors[1:]:
            if error or more:
                error = abs(float(total)) * more + abs(float(value)) * error + error * more
            total = self.context.multiply(total, value)
        return total, error

    def _power(self, base: tuple[Decimal, float], exponent: sympy.Basic) -> tuple[Decimal, float]:
        value, error = base
        if exponent == sympy.Rational(1, 2) and not error and value >= 0:
            return self.context.sqrt(value), 0.0
        if not isinstance(exponent, sympy.Integer) or abs(exponent) > MOST_POWER or (value == 0 and exponent < 0):
            raise _Unknown
        power = int(exponent)
        found = self.context.power(value, power) if power or value else Decimal(1)
        if error:
            relative = error / abs(float(value)) if value else np.inf
            if not relative * abs(power) < 1e-6:
                raise _Unknown
            error = 4.0 * abs(power) * relative * abs(float(found))  # twice first order, and room
        return found, error
