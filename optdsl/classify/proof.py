"""The steps of a proof, as a reader follows them: from the parts of an expression to the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import sympy

from optdsl.classify.facts import Fact
from optdsl.errors import Span


@dataclass(frozen=True)
class Step:
    """One step: by this rule, the expression gives what is said. `span` is its place in the text, where it has one."""

    rule: str
    expression: sympy.Basic
    gives: str
    span: Span | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ProofStep(Step):
    """A step of a whole proof, with its place in the tree and everything that is needed to check it by hand.

    number: from 1. kind: which sort of rule. text: the expression in the language's words. over: the indices for
    which it is said (`i in I if i > 1`; empty: one number). uses: the earlier steps it rests on. low, high: its values
    lie between, over all indices. function, arguments, slopes: the function that is composed, its arguments and how it
    moves in those with variables. after: what it is replaced by. needs: conditions that hold on D and were used.
    certificate: how a matrix was shown to be semidefinite.
    """

    number: int
    kind: str
    text: str
    over: str = ""
    uses: tuple[int, ...] = ()
    low: float | None = None
    high: float | None = None
    function: str = ""
    arguments: tuple[str, ...] = ()
    slopes: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    certificate: Mapping[str, object] = field(default_factory=dict)

    def record(self) -> dict[str, object]:
        """The step as `optdsl check --json` prints it."""
        found: dict[str, object] = {
            "step": self.number,
            "kind": self.kind,
            "rule": self.rule,
            "expr": self.text,
            "line": None if self.span is None else self.span.line,
            "column": None if self.span is None else self.span.column,
            "gives": self.gives,
            "uses": list(self.uses),
        }
        if self.low is not None or self.high is not None:
            found["range"] = [self.low, self.high]
        for name, value in (
            ("for", self.over), ("function", self.function), ("arguments", list(self.arguments)),
            ("slopes", list(self.slopes)), ("after", list(self.after)), ("needs", list(self.needs)),
            ("certificate", dict(self.certificate)),
        ):
            if value:
                found[name] = value
        return found


def curvature_word(curvature: np.ndarray) -> str:
    """The curvature over all lanes in a word."""
    values = np.asarray(curvature)
    for word, holds in (("affine", values == 0), ("convex", values >= 0), ("concave", values <= 0)):
        if bool(holds.all()):
            return word
    return "unknown" if bool(np.isnan(values).any()) else "convex or concave by index"


def gives(fact: Fact) -> str:
    """Curvature and sign of an expression: `convex, nonnegative`."""
    words = [curvature_word(fact.curvature)]
    if fact.lo.size and bool((fact.lo >= 0).all()):
        words.append("nonnegative")
    elif fact.hi.size and bool((fact.hi <= 0).all()):
        words.append("nonpositive")
    return ", ".join(words)
