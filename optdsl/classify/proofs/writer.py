"""The text, place and number of each step of a proof."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy

from optdsl.classify.facts import Fact, Facts
from optdsl.classify.proof import ProofStep
from optdsl.errors import Span
from optdsl.model.model import DomainCondition, Marks, Model
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import Family
from optdsl.terms.nodes import Index, Over, index_at
from optdsl.terms.show import index_letter, show

DEEPEST = 24
UNSPEAKABLE = re.compile(r"#|\.at\(")
"""What a text cannot say: generated names, and members at computed positions."""
FEW_MARKS = 400


@dataclass(frozen=True, eq=False)
class Where:
    """The lanes for which a step speaks, the iterations that lead to them, and the text around."""

    frame: Frame
    overs: tuple[Over, ...]
    span: Span

    def within(self, over: Over, facts: Facts) -> Where:
        """The lanes of an iteration inside."""
        return Where(facts.extended(self.frame, over).child, (*self.overs, over), self.span)

    def only(self, mask: np.ndarray, condition: sympy.Basic, facts: Facts) -> Where:
        """The lanes where a condition on data holds."""
        if mask.all():
            return self
        frame = facts.lanes.filtered(self.frame, mask).child
        return Where(frame, (*self.overs, nodes.over((), (condition,))), self.span)

    def around(self, span: Span) -> Where:
        return Where(self.frame, self.overs, span)


@dataclass(eq=False)
class Writer:
    """Collects the steps of one statement's proof."""

    model: Model
    marks: Marks
    facts: Facts
    around: Span
    steps: list[ProofStep] = field(default_factory=list)
    origins: dict[sympy.Basic, Span] = field(default_factory=dict)
    """The places of what rewritings made: those of what it was made from."""
    _numbers: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _names: Mapping[Index, str] = field(init=False)
    _families: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._names = _distinct(self.marks.names, self.model)
        self._families = {n: s.index_width for n, s in self.model.sets.items() if isinstance(s, Family)}

    # ---------------------------------------------------------------------------------------------------- steps

    def add(
        self, kind: str, rule: str, expression: sympy.Basic, where: Where, gives: str, *, text: str | None = None,
        fact: Fact | None = None, uses: Sequence[int | None] = (), **more: Any,
    ) -> int:
        """A step's number; the same step is written once."""
        shown = self.text(expression) if text is None else text
        over = self.over(where.overs)
        used = tuple(dict.fromkeys(u for u in uses if u is not None))
        key = (kind, shown, over, gives, used, more.get("after"))
        if key not in self._numbers:
            low, high = (None, None) if fact is None else (_end(fact.lo, np.min), _end(fact.hi, np.max))
            number = len(self.steps) + 1
            self._numbers[key] = number
            span = self.span(expression, where.span)
            self.steps.append(ProofStep(
                rule, expression, gives, span, number=number, kind=kind, text=shown, over=over, uses=used,
                low=low, high=high, **more,
            ))  # fmt: skip
        return self._numbers[key]

    # ----------------------------------------------------------------------------------------------------- text

    def text(self, expression: sympy.Basic) -> str:
        """An expression in the language's words, indices as the user called them."""
        shown = show(expression, self._names, self._families)
        span = self.marks.spans.get(expression)
        if span is None or not UNSPEAKABLE.search(shown) or expression.free_symbols & set(self._names):
            return shown
        return self.model.source.text[span.start : span.end] if self._in_statement(span) else shown

    def _in_statement(self, span: Span) -> bool:
        return self.around.start <= span.start and span.end <= self.around.end

    def over(self, overs: Sequence[Over]) -> str:
        """The indices of some iterations: `i in I, j in J if i > j`."""
        each = ", ".join(self._each(each) for over in overs for each in over.iterators)
        conditions = " and ".join(dict.fromkeys(self.text(c) for over in overs for c in over.conditions))
        return " ".join(filter(None, (each, conditions and f"if {conditions}")))

    def _each(self, each: nodes.Each) -> str:
        text = self.text(each)
        span = self.marks.spans.get(each)
        if "#" in text and span is not None:
            written = self.model.source.text[span.start : span.end]
            text = f"{text.partition(' in ')[0]} in {written.partition(' in ')[2]}"
        return text

    def condition(self, condition: DomainCondition) -> str:
        """A condition on a part: `x + y > 0`."""
        sign = {"positive": "> 0", "nonnegative": ">= 0", "nonzero": "!= 0"}[condition.kind]
        return f"{self.text(condition.expression)} {sign}"

    def bounds(self, expression: sympy.Basic, fact: Fact) -> str:
        """What the bounds say of an expression; empty where they say nothing."""
        low, high = _end(fact.lo, np.min), _end(fact.hi, np.max)
        shown = self.text(expression)
        if low is not None and high is not None:
            return f"{low:.6g} <= {shown} <= {high:.6g}"
        return f"{shown} >= {low:.6g}" if low is not None else f"{shown} <= {high:.6g}" if high is not None else ""

    # ---------------------------------------------------------------------------------------------------- place

    def span(self, expression: sympy.Basic, around: Span) -> Span:
        """The place of an expression: its own, of what it was made from, or of the smallest part around it."""
        found = self.marks.spans.get(expression) or self.origins.get(expression)
        if found is not None:
            return found
        if len(self.marks.spans) > FEW_MARKS:
            return around
        inside: list[Span] = []
        self._marked(expression, inside)
        inside = [s for s in inside if around.start <= s.start and s.end <= around.end]
        if not inside:
            return around
        start, end = min(s.start for s in inside), max(s.end for s in inside)
        spans = [s for e, s in self.marks.spans.items() if not isinstance(e, nodes.Each)]
        holding = [s for s in spans if around.start <= s.start <= start and end <= s.end <= around.end]
        return min(holding, key=lambda s: s.end - s.start, default=around)

    def _marked(self, expression: sympy.Basic, found: list[Span]) -> None:
        span = self.marks.spans.get(expression) or self.origins.get(expression)
        if span is not None:
            found.append(span)
            return
        for part in expression.args:
            if isinstance(part, sympy.Expr) and nodes.has_variables(part):
                self._marked(part, found)


def _end(values: np.ndarray, extreme: Any) -> float | None:
    """The outermost value over all lanes; None where it is infinite."""
    if not np.size(values):
        return None
    value = float(extreme(values))
    return value if math.isfinite(value) else None


def _distinct(names: Mapping[Index, str], model: Model) -> dict[Index, str]:
    """A name for each index: the user's where it is free at its level, else a letter that means nothing else."""
    taken = {*model.sets, *model.parameters, *model.variables, *model.lets, "e"}
    letters = [*string.ascii_lowercase[8:], *string.ascii_lowercase[:8]]
    found: dict[Index, str] = {}
    for level in range(DEEPEST):
        index = index_at(level)
        wished = (names.get(index, ""), index_letter(index), *letters, *(f"{a}{level}" for a in letters))
        found[index] = next(n for n in wished if n and n not in taken and n not in found.values())
    return found
