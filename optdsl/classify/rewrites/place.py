"""Where an expression stands, and what is known there: the questions that rewritings ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import sympy

from optdsl.atoms import Interval
from optdsl.classify.facts import Facts
from optdsl.classify.forms import Forms
from optdsl.classify.proof import Step
from optdsl.model.model import DomainCondition
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import Over


@dataclass(frozen=True, eq=False)
class Place:
    """The lanes of a frame, reached from the statement's own by `path`; every answer holds on all of them."""

    facts: Facts
    frame: Frame
    path: tuple[Over, ...] = ()
    _inner: dict[tuple[int, sympy.Basic], Place] = field(default_factory=dict)
    forms: dict[tuple[int, sympy.Basic], tuple[Frame, Forms | None]] = field(default_factory=dict)
    """The matrices of quadratics that were looked at."""

    def within(self, over: Over) -> Place:
        """The lanes of a reduction's members."""
        key = (id(self.frame), over)
        if key not in self._inner:
            child = self.facts.extended(self.frame, over).child
            self._inner[key] = Place(self.facts, child, (*self.path, over), self._inner, self.forms)
        return self._inner[key]

    def where(self, condition: sympy.Basic, holds: np.ndarray) -> Place:
        """The lanes where a condition on data holds."""
        over = nodes.over((), (condition,))
        key = (id(self.frame), over)
        if key not in self._inner:
            child = self.frame if holds.all() else self.facts.lanes.filtered(self.frame, holds).child
            self._inner[key] = Place(self.facts, child, (*self.path, over), self._inner, self.forms)
        return self._inner[key]

    def box(self, expression: sympy.Basic) -> Interval:
        """Between which numbers the values lie, lane by lane."""
        return self.facts.find(expression, self.frame).interval

    def values(self, data: sympy.Basic) -> np.ndarray:
        """The values of an expression of data."""
        return np.asarray(self.facts.lanes.numbers(data, self.frame), dtype=float)

    def positive(self, expression: sympy.Basic) -> bool:
        return bool((self.box(expression).lo > 0).all())

    def nonnegative(self, expression: sympy.Basic) -> bool:
        return bool((self.box(expression).lo >= 0).all())

    def nonpositive(self, expression: sympy.Basic) -> bool:
        return bool((self.box(expression).hi <= 0).all())

    def finite(self, data: sympy.Basic) -> bool:
        return bool(np.isfinite(self.values(data)).all())

    def proved(self, expression: sympy.Basic) -> bool:
        """Whether the composition rule knows the curvature in every lane."""
        return not bool(np.isnan(self.facts.find(expression, self.frame).curvature).any())

    def affine(self, expression: sympy.Basic) -> bool:
        return bool(self.facts.find(expression, self.frame).affine.all())

    def filled(self, over: Over) -> bool:
        """Whether every lane has a member to reduce over."""
        return bool((self.values(count_of(over)) >= 1).all())


def count_of(over: Over) -> sympy.Expr:
    """The number of members, as an expression of data."""
    return nodes.Reduce("sum", sympy.Integer(1), over)


@dataclass(frozen=True)
class Rewriting:
    """One idea: `rewrite(expression, place)` gives an equal expression, or None where it does not apply.

    `rule` says in words why both are equal; `heads` are the kinds of node that it looks at.
    """

    rule: str
    heads: tuple[type, ...]
    rewrite: Callable[[sympy.Expr, Place], sympy.Expr | None]
    source: str


@dataclass(frozen=True, kw_only=True, eq=False)
class RewriteStep(Step):
    """A step of rewriting: `expression` became `after` over the lanes of `place`.

    `keeps` are the conditions that the old form brings to D and the new one alone would not.
    """

    after: sympy.Expr
    place: Place
    keeps: tuple[DomainCondition, ...] = ()


Terms = Sequence[sympy.Expr]
