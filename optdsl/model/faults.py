"""A fault at a lane, as a message in the user's words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sympy

from optdsl.data.members import Label, RangeLabels, SetValue, label_text
from optdsl.errors import Diagnostic, ModelError, Source, Span, closest
from optdsl.model.model import Marks
from optdsl.terms import nodes
from optdsl.terms.lanes import LaneFault
from optdsl.terms.nodes import Index
from optdsl.terms.show import show

# an array that is written where it is used, under its generated name
INLINE = re.compile(r"\w+#\d+(\[[^\]]*\])?")


@contextmanager
def in_words(source: Source, marks: Marks, span: Span, statement: str) -> Iterator[None]:
    """Turn a `LaneFault` inside into a `ModelError` that points at the text."""
    try:
        yield
    except LaneFault as fault:
        raise ModelError(describe(fault, source, marks, span, statement)) from None
    except RecursionError:
        raise ModelError(
            Diagnostic(
                "too-deep",
                f"{statement} is nested too deeply",
                span,
                "declare a variable for a part of it, and an equality as its constraint",
                source,
            )
        ) from None
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
    """The diagnostic of a lane's fault; `span` is used where the text around the faulty node is not known."""
    return _DESCRIBE[fault.kind](_Case(fault, source, marks, place_of(fault.node, marks, span), statement))


def place_of(node: sympy.Basic, marks: Marks, span: Span) -> Span:
    """The span of a node, of the smallest marked expression around it, or of the only variable part inside it."""
    if node in marks.spans:
        return marks.spans[node]
    around = [s for e, s in marks.spans.items() if isinstance(e, sympy.Basic) and e.args and e.has(node)]
    if not around:
        inside = [s for e, s in marks.spans.items() if nodes.has_variables(e) and node.has(e)]
        around = inside[:1] if len(inside) == 1 else []
    return min(around, key=lambda s: s.end - s.start, default=span)


class _Case:
    def __init__(self, fault: LaneFault, source: Source, marks: Marks, span: Span, statement: str) -> None:
        self.fault, self.source, self.marks, self.span, self.statement = fault, source, marks, span, statement

    @property
    def text(self) -> str:
        """The faulty part as the user wrote it, or as it is printed."""
        return self.shown(self.fault.node)

    def shown(self, node: sympy.Basic) -> str:
        span = self.marks.spans.get(node)
        if span is not None and span.line == span.end_line:
            return self.source.text[span.start : span.end]
        if isinstance(node, nodes.NamedSet):
            return node.name.partition("#")[0]
        return INLINE.sub("[...]", show(node, self.marks.names))

    def lane(self) -> str:
        """` at i = 1, j = "a"` for the indices that the faulty part mentions and the user named."""
        parts = [f"{self.marks.names[index]} = {label_text(label)}" for index, label in self.named_lane()]
        return f" at {', '.join(parts)}" if parts else ""

    def named_lane(self) -> list[tuple[Index, Label]]:
        mentioned = self.fault.node.atoms(Index)
        lane = sorted(self.fault.lane.items(), key=lambda item: str(item[0]))
        return [(i, label) for i, label in lane if i in mentioned and i in self.marks.names]

    def written(self, each: nodes.Each) -> str:
        """The set of an iterator, as the user wrote it where that is known."""
        span = self.marks.spans.get(each)
        if span is not None and span.line == span.end_line:
            return self.source.text[span.start : span.end]
        return self.shown(each.set)

    def report(self, code: str, message: str, hint: str | None) -> Diagnostic:
        return Diagnostic(code, f"in {self.statement}, {message}", self.span, hint, self.source)


def _outside(case: _Case) -> Diagnostic:
    axis, member = case.fault.facts["axis"], case.fault.facts["member"]
    value = label_text(member if len(member) > 1 else member[0])
    where = f"`{axis.name}`" if not axis.parts else "the set of its indices"
    hint = f"{where} has {axis.preview()}" if not axis.parts else f"it is declared over {axis.preview()}"
    guess = _meant(axis, member)
    if any(isinstance(part, float) for part in member):
        hint = "an index is text or an integer: round it with `floor(...)` or `div(a, b)`"
    elif guess is not None:
        hint = f"did you mean {label_text(guess)}?"
    elif case.named_lane():
        hint = f"leave that case out with a condition: `if {_inside(case, axis)}`; {hint}"
    return case.report(
        "index-outside",
        f"`{case.text}`{case.lane()} refers to {value}, which is not in {where}",
        hint,
    )


def _meant(axis: SetValue, member: tuple[Label, ...]) -> Label | None:
    """The member that a misspelt label most likely means."""
    if axis.arity > 1:
        return None
    (label,) = member
    known = [axis.member(k)[0] for k in range(min(len(axis), 2000))]
    if isinstance(label, str):
        if label.lstrip("-").isdigit() and int(label) in known:
            return int(label)
        return closest(label, [k for k in known if isinstance(k, str)])
    return str(label) if str(label) in known else None


def _inside(case: _Case, axis: SetValue) -> str:
    """A condition under which the index is inside: `i > 1`, `(j, i) in ARC`."""
    slots = case.fault.facts["slots"]
    if len(slots) == 1:
        compared = _compared(case, axis, slots[0])
        if compared is not None:
            return compared
    text = ", ".join(case.shown(slot) for slot in slots)
    name = axis.name if not axis.parts else "..."
    return f"{text if len(slots) == 1 else f'({text})'} in {name}"


def _compared(case: _Case, axis: SetValue, slot: sympy.Expr) -> str | None:
    """`i > 1` for the slot `i - 1` over a range of integers."""
    labels = axis.labels
    if not (isinstance(labels, RangeLabels) and labels.step == 1):
        return None
    if not (isinstance(slot, sympy.Add) and len(slot.args) == 2):
        return None
    shift, index = sorted(slot.args, key=lambda a: not a.is_Integer)
    if not (shift.is_Integer and isinstance(index, Index)):
        return None
    first, last, by = labels.start, labels.start + labels.length - 1, int(shift)
    return f"{case.shown(index)} > {first - by - 1}" if by < 0 else f"{case.shown(index)} < {last - by + 1}"


def _no_such_member(case: _Case) -> Diagnostic:
    term, position = case.fault.node.args[:2]
    prefix = case.fault.node.args[3:]
    inline = isinstance(term, nodes.NamedSet) and "#" in term.name
    index = f"[{', '.join(case.shown(p) for p in prefix)}]" if prefix and not inline else ""
    name = case.shown(term) + index
    positions = [p for p in sympy.Add.make_args(position) if isinstance(p, nodes.Position)]
    if not positions:
        return case.report(
            "no-such-member",
            f"`{case.text}`{case.lane()} has no value: the set is empty",
            f"guard it with a condition: `if size({name}) > 0`",
        )
    back = (position - positions[0]).is_negative
    slots = positions[0].slots[len(prefix) :]
    member = ", ".join(case.shown(slot) for slot in slots)
    member = f"({member})" if len(slots) > 1 else member
    end = "first" if back else "last"
    return case.report(
        "no-such-member",
        f"`{case.text}`{case.lane()} asks for a member {'before the first' if back else 'after the last'} of `{name}`",
        f"leave that case out with a condition: `if {member} != {end}({name})`",
    )


def _empty(case: _Case) -> Diagnostic:
    function = case.fault.facts["function"]
    over = case.fault.node.over if "over" not in case.fault.facts else nodes.over([case.fault.facts["over"]])
    names = [case.written(each) for each in over.iterators]
    if over.conditions:
        conditions = " and ".join(case.shown(c) for c in over.conditions)
        reason, guard = f"no member fulfills `{conditions}`", None
    elif len(names) == 1 and names[0].isidentifier() and "#" in getattr(over.iterators[0].set, "name", ""):
        # members of a set that a condition chose
        reason, guard = f"no member of `{names[0]}` is left", None
    elif len(names) == 1:
        reason, guard = f"`{names[0]}` is empty", names[0]
    else:
        reason, guard = f"one of {', '.join(f'`{name}`' for name in names)} is empty", None
    hint = f"`{function}` over an empty set has no value"
    if guard is not None:
        hint += f"; guard it with `... if size({guard}) > 0 else ...`"
    return case.report("empty-reduction", f"`{function}`{case.lane()} runs over nothing: {reason}", hint)


def _range_end(case: _Case) -> Diagnostic:
    value = case.fault.facts["value"]
    if math.isinf(value):
        return case.report("range-not-integer", f"the range's end `{case.text}`{case.lane()} is infinite",
                           "a set is finite: give the range an end")
    return case.report(
        "range-not-integer",
        f"the range's end `{case.text}`{case.lane()} is {value:g}, not an integer",
        "round it: `floor(...)`, `ceil(...)` or `div(a, b)`",
    )


def _zero_step(case: _Case) -> Diagnostic:
    hint = "count up with 1 or more, down with -1 or less"
    return case.report("zero-step", f"the range `{case.text}` has the step 0", hint)


def _not_a_number(case: _Case) -> Diagnostic:
    node, label = case.fault.node, case.fault.facts["label"]
    if isinstance(node, nodes.Label):
        return case.report("text-as-number", f'"{label}" is text, but a number is needed', "write a number here")
    return case.report(
        "text-as-number",
        f'`{case.text}` is text (such as "{label}"), not a number',
        "text may be compared with `=` and used as an index; `ord(i, S)` gives a member's position in its set",
    )


def _text_order(case: _Case) -> Diagnostic:
    return case.report(
        "text-order",
        f"`{case.text}` compares text by `{case.fault.facts['operator']}`, but text has no order",
        "compare text with `=` or `!=`, or positions in a set with `ord(i, S)`",
    )


def _variable_in_data(case: _Case) -> Diagnostic:
    return case.report(
        "variable-in-data",
        f"`{case.text}` is a variable; its value is not known before the solve",
        "write a `let` for an expression of variables",
    )


def _zero_divisor(case: _Case) -> Diagnostic:
    message = f"the divisor `{case.text}` is 0{case.lane()}"
    return case.report("division-by-zero", message, "leave that case out with `if`, or correct the data")


_DESCRIBE: dict[str, Callable[[_Case], Diagnostic]] = {
    "outside": _outside,
    "no-such-member": _no_such_member,
    "empty": _empty,
    "range-end": _range_end,
    "zero-step": _zero_step,
    "not-a-number": _not_a_number,
    "text-order": _text_order,
    "variable-in-data": _variable_in_data,
    "zero-divisor": _zero_divisor,
}


def lane_label(labels: tuple[Label, ...]) -> str:
    """`[1, "a"]`, or nothing for a statement without index."""
    return f"[{', '.join(label_text(part) for part in labels)}]" if labels else ""
