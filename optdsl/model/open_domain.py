"""The iterators and conditions of a domain, opened."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from optdsl.model.scope import Context
from optdsl.model.shapes import Axis
from optdsl.terms import nodes
from optdsl.terms.nodes import Each, Index


@dataclass(frozen=True, eq=False)
class Part:
    """One iterator: its axis (None where it was split or joined), and the indices that are new in it.

    `slots` are what its new indices stand for: themselves, or what a condition fixed them to.
    """

    axis: Axis | None
    fresh: tuple[Index, ...]
    slots: tuple[sympy.Basic, ...]


@dataclass(frozen=True, eq=False)
class OpenDomain:
    """Iterators and conditions, and the context inside them."""

    eaches: tuple[Each, ...]
    conditions: tuple[sympy.Basic, ...]
    context: Context
    parts: tuple[Part, ...]

    @property
    def over(self) -> nodes.Over:
        return nodes.over(self.eaches, self.conditions)

    @property
    def fresh(self) -> tuple[Index, ...]:
        return tuple(index for part in self.parts for index in part.fresh)

    @property
    def slots(self) -> tuple[sympy.Basic, ...]:
        """What the indices of all iterators stand for, in order; those that were fixed included."""
        return tuple(slot for part in self.parts for slot in part.slots)


def tuples_text(arity: int) -> str:
    return {1: "single members", 2: "pairs", 3: "triples"}.get(arity, f"tuples of {arity} parts")
