"""Equivalent forms in which a statement may be proved convex, tried in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy

from optdsl.classify.facts import Facts
from optdsl.classify.proof import Step
from optdsl.model.model import Relation
from optdsl.terms.frame import Frame

Bounded = tuple[sympy.Expr, sympy.Expr | None, sympy.Expr | None]


@dataclass(frozen=True, eq=False)
class Attempt:
    """Relations (body, lower, upper) that together say the same as one of the text, and the steps that lead there.

    `scaled`: whether their duals are those of other right-hand sides than the text's.
    """

    relations: tuple[Bounded, ...]
    steps: tuple[Step, ...]
    scaled: bool = False


def attempts(relation: Relation, frame: Frame, facts: Facts, objective: bool = False) -> Iterator[Attempt]:
    """The forms to try, simplest first; of an objective only its body may change."""
    return iter(())
