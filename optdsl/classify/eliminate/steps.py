"""What a proof says of variables that are put in place: what defines them, and where they stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import sympy

from optdsl.classify.analysis import StatementFact
from optdsl.classify.eliminate.reduced import Reduction
from optdsl.classify.eliminate.substitution import Definition
from optdsl.classify.facts import Facts
from optdsl.classify.proof import ProofStep
from optdsl.classify.proofs.composition import Composition
from optdsl.classify.proofs.rewriting import relation_text
from optdsl.classify.proofs.statements import whole_span
from optdsl.classify.proofs.writer import Where, Writer
from optdsl.model.model import Constraint, Objective
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import VariableEntry


def told_definition(
    fact: StatementFact, reduction: Reduction, definition: Definition, bounds: StatementFact | None
) -> StatementFact:
    """The equality that defines a variable, with the proof that it and the variable's bounds may be left out.

    bounds: the statement of those bounds that the definition does not imply.
    """
    assert definition.constraint is not None
    model = reduction.model
    written = reduction.original.constraints[definition.constraint]
    frame = model.lanes_of(written.over)
    body, marks = reduction.whole(definition)
    writer = Writer(model, marks, Facts.of(model), whole_span(written))
    where = _place(writer, written, frame, body)
    before = Writer(reduction.original, written.marks, writer.facts, whole_span(written))
    entry = before.text(definition.entry)
    first = writer.add(
        "definition", f"`{definition.variable}` is defined: what it is equal to does not use it", definition.entry,
        where, f"equal to {writer.text(body)}", text=entry, after=(writer.text(body),),
    )  # fmt: skip
    uses = [first]
    variable = reduction.original.variables[definition.variable]
    if np.isfinite(variable.lower).any() or np.isfinite(variable.upper).any():
        step = Composition(writer).prove(body, where, bounded=True)
        uses += [] if step is None else [step]
    steps = list(writer.steps)
    if bounds is not None:
        moved = shifted(bounds.steps, len(steps))
        used = {u for s in moved for u in s.uses}
        steps += moved
        uses += [s.number for s in moved if s.number not in used]
    relation = written.relations[0]
    text = relation_text(before, (relation.body, relation.lower, relation.upper))
    last = ProofStep(
        "every point without the variable has exactly one with it, and its bounds hold on a convex set",
        relation.body, "eliminated", writer.span(relation.body, where.span), number=len(steps) + 1,
        kind="eliminated", text=text, over=writer.over(where.overs), uses=tuple(uses),
    )  # fmt: skip
    return replace(fact, steps=(*steps, last))


def told_substituted(fact: StatementFact, reduction: Reduction, number: int | None) -> StatementFact:
    """A statement (None: the objective) in which variables were put in place, with the steps that say so first."""
    before, after = _statement(reduction, number, True), _statement(reduction, number, False)
    facts = Facts.of(reduction.model)
    frame = Frame().as_root() if number is None else reduction.model.lanes_of(after.over)  # type: ignore[union-attr]
    old = Writer(reduction.original, before.marks, facts, whole_span(before))
    new = Writer(reduction.model, after.marks, facts, whole_span(before))
    for written, put in zip(_bodies(before), _bodies(after), strict=True):
        if written == put:
            continue
        where = _place(new, before, frame, written)
        new.add(
            "substitution", _told_how(reduction, written), written, where, f"equal to {new.text(put)}",
            text=old.text(written), after=(new.text(put),),
        )  # fmt: skip
    return replace(fact, steps=(*new.steps, *shifted(fact.steps, len(new.steps))))


def shifted(steps: Sequence[ProofStep], by: int) -> list[ProofStep]:
    """Steps with numbers after others."""
    return [replace(s, number=s.number + by, uses=tuple(u + by for u in s.uses)) for s in steps]


def _statement(reduction: Reduction, number: int | None, written: bool) -> Objective | Constraint:
    model = reduction.original if written else reduction.model
    if number is not None:
        return model.constraints[number]
    assert model.objective is not None
    return model.objective


def _bodies(statement: Objective | Constraint) -> list[sympy.Expr]:
    return [statement.body] if isinstance(statement, Objective) else [r.body for r in statement.relations]


def _place(writer: Writer, statement: Objective | Constraint, frame: Frame, body: sympy.Expr) -> Where:
    around = whole_span(statement)
    over = nodes.over(()) if isinstance(statement, Objective) else statement.over
    overs = (over,) if over.iterators or over.conditions else ()
    return Where(frame, overs, writer.span(body, around))


def _told_how(reduction: Reduction, written: sympy.Expr) -> str:
    """What was done to an expression, with the names of the variables that stand in it or in what defines those."""
    names = {e.name for e in written.atoms(VariableEntry)}
    defined: list[str] = []
    fixed: list[str] = []
    for definition in reduction.definitions:
        if definition.variable in names:
            names |= {e.name for e in definition.body.atoms(VariableEntry)}
            (fixed if definition.constraint is None else defined).append(f"`{definition.variable}`")
    told = []
    if defined:
        told.append(f"{', '.join(defined)} put in place by what defines {'it' if len(defined) == 1 else 'them'}")
    if fixed:
        told.append(f"{', '.join(fixed)} {'is' if len(fixed) == 1 else 'are'} fixed by the bounds")
    return "; ".join(told)
