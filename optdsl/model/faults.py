"""A fault at a lane, as a message in the user's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sympy

from optdsl.data.members import Label, label_text
from optdsl.errors import Diagnostic, ModelError, Source, Span
from optdsl.model.model import Marks
from optdsl.terms import nodes
from optdsl.terms.lanes import LaneFault
from optdsl.terms.nodes import Index
from optdsl.terms.show import index_letter, show


@contextmanager
def in_words(source: Source, marks: Marks, span: Span, statement: str) -> Iterator[None]:
    """Turn a `LaneFault` inside into a `ModelError` that points at the text."""
    try:
        yield
    except LaneFault as fault:
        raise ModelError(describe(fault, source, marks, span, statement)) from None
    except MemoryError:
        raise ModelError(
            Diagnostic(
                "too-large",
                f"{statement} needs more memory than there is",
                span,
                "iterate over a sparse set of tuples instead of a product of sets",
                source,
            )
        ) from None


def describe(fault: LaneFault, source: Source, marks: Marks, span: Span, statement: str) -> Diagnostic:
    """The diagnostic of a lane's fault; `span` is used where the faulty node has none of its own."""
    where = marks.spans.get(fault.node, span)
    return _DESCRIBE[fault.kind](_Case(fault, source, marks, where, statement))


class _Case:
    def __init__(self, fault: LaneFault, source: Source, marks: Marks, span: Span, statement: str) -> None:
        self.fault, self.source, self.marks, self.span, self.statement = fault, source, marks, span, statement

    @property
    def text(self) -> str:
        """The faulty part as the user wrote it, or as it is printed."""
        span = self.marks.spans.get(self.fault.node)
        if span is not None and span.line == span.end_line:
            return self.source.text[span.start : span.end]
        return show(self.fault.node, self.marks.names)

    def lane(self) -> str:
        """` at i = 1, j = "a"` for the indices that the faulty part mentions."""
        mentioned = self.fault.node.atoms(Index)
        parts = [
            f"{self.name(index)} = {label_text(label)}"
            for index, label in sorted(self.fault.lane.items(), key=lambda item: str(item[0]))
            if index in mentioned
        ]
        return f" at {', '.join(parts)}" if parts else ""

    def name(self, index: Index) -> str:
        return self.marks.names.get(index) or index_letter(index)

    def beyond(self, index: str) -> str:
        """A condition that leaves this lane out: `i > 1`."""
        value = next((v for i, v in self.fault.lane.items() if self.name(i) == index), 0)
        return f"{index} {'>' if isinstance(value, int) else '!='} {label_text(value)}"


def _outside(case: _Case) -> Diagnostic:
    fault = case.fault
    axis, member = fault.facts["axis"], fault.facts["member"]
    value = label_text(member if len(member) > 1 else member[0])
    shifted = [s for s in fault.facts["slots"] if isinstance(s, sympy.Add)]
    hint = f"`{axis.name}` has {axis.preview()}"
    first = next((case.name(i) for i in sorted(fault.lane, key=str) if i in fault.node.atoms(Index)), None)
    if shifted and first is not None:
        hint = f"leave that case out with a condition: `[{first} in ... if {case.beyond(first)}]`, " + hint
    elif first is not None:
        hint += "; restrict the index with `if`"
    return Diagnostic(
        "index-outside",
        f"in {case.statement}, `{case.text}`{case.lane()} refers to {value}, which is not in `{axis.name}`",
        case.span,
        hint,
        case.source,
    )


def _no_such_member(case: _Case) -> Diagnostic:
    return Diagnostic(
        "no-such-member",
        f"in {case.statement}, `{case.text}`{case.lane()} asks for a member beyond the end of the set",
        case.span,
        "leave that case out with `if`, such as `if i != first(S)`",
        case.source,
    )


def _empty(case: _Case) -> Diagnostic:
    function = case.fault.facts["function"]
    over = case.fault.node.over if isinstance(case.fault.node, nodes.Reduce) else None
    sets = show(over, case.marks.names) if over is not None else "an empty set"
    return Diagnostic(
        "empty-reduction",
        f"in {case.statement}, `{function}` has nothing to work on: `{sets}` is empty",
        case.span,
        f"`{function}` over an empty set has no value; guard it with `if size(...) > 0`",
        case.source,
    )


def _range_end(case: _Case) -> Diagnostic:
    return Diagnostic(
        "range-not-integer",
        f"in {case.statement}, a range ends at {case.fault.facts['value']:g}{case.lane()}, which is not an integer",
        case.span,
        "round it: `floor(...)`, `ceil(...)` or `div(a, b)`",
        case.source,
    )


def _zero_step(case: _Case) -> Diagnostic:
    return Diagnostic("zero-step", f"in {case.statement}, a range has the step 0", case.span, None, case.source)


def _not_a_number(case: _Case) -> Diagnostic:
    label = case.fault.facts["label"]
    return Diagnostic(
        "text-as-number",
        f'in {case.statement}, `{case.text}` is text (such as "{label}"), not a number',
        case.span,
        "compare it with `=`, or use it as an index",
        case.source,
    )


def _text_order(case: _Case) -> Diagnostic:
    return Diagnostic(
        "text-order",
        f"in {case.statement}, text has no order: `{case.fault.facts['operator']}` compares numbers",
        case.span,
        "compare texts with `=` or `!=`; use `ord(i, S)` for positions in a set",
        case.source,
    )


def _variable_in_data(case: _Case) -> Diagnostic:
    return Diagnostic(
        "variable-in-data",
        f"in {case.statement}, `{case.text}` is a variable; its value is not known before the solve",
        case.span,
        None,
        case.source,
    )


_DESCRIBE: dict[str, Callable[[_Case], Diagnostic]] = {
    "outside": _outside,
    "no-such-member": _no_such_member,
    "empty": _empty,
    "range-end": _range_end,
    "zero-step": _zero_step,
    "not-a-number": _not_a_number,
    "text-order": _text_order,
    "variable-in-data": _variable_in_data,
}


def lane_label(labels: tuple[Label, ...]) -> str:
    """`[1, "a"]`, or nothing for a statement without index."""
    return f"[{', '.join(label_text(part) for part in labels)}]" if labels else ""
