"""Proofs of quasi-convex statements: their level sets are convex, and why.

Source: Agrawal and Boyd (2020), "Disciplined quasiconvex programming", section 3.
"""

from __future__ import annotations

import sympy

from optdsl.classify.level_sets import LEVEL
from optdsl.classify.proof import ProofStep
from optdsl.classify.proofs.composition import Composition
from optdsl.classify.proofs.statements import curved, whole_span
from optdsl.classify.proofs.writer import Where, Writer
from optdsl.classify.quasi import QuasiProgram
from optdsl.model.model import Constraint
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables


def levels_objective(program: QuasiProgram) -> tuple[ProofStep, ...]:
    """Why the objective of a quasi-convex problem has convex level sets."""
    objective = program.model.objective
    assert objective is not None
    writer = Writer(program.model, objective.marks, program.facts, whole_span(objective))
    where = Where(Frame().as_root(), (), writer.span(objective.body, writer.around))
    minimized = objective.sense == "minimize"
    use = _core(writer, program, where)
    word = "quasiconvex" if minimized else "quasiconcave"
    for layer in reversed(program.layers):
        name = _name(layer)
        node = _filled(program, layer)
        use = writer.add(
            "levels", f"{name} is monotone, so its level sets are those of what it is applied to", node, where,
            word if node == objective.body else "convex level sets", uses=[use],
        )  # fmt: skip
    if not program.layers and program.kind == "convex":
        word = "convex" if minimized else "concave"
    rule = f"a {word} function is {objective.sense}d: convex level sets"
    writer.add("levels objective", rule, objective.body, where, "convex level sets", uses=[use])
    return tuple(writer.steps)


def _core(writer: Writer, program: QuasiProgram, where: Where) -> int | None:
    """What is left when the monotone functions are peeled off."""
    low = program.sense == "minimize"
    if program.kind == "convex":
        return curved(writer, program.core, where, 1.0 if low else -1.0)
    word = "quasiconvex" if low else "quasiconcave"
    if program.ratio is not None:
        ratio, prover = program.ratio, Composition(writer)
        uses = [prover.prove(ratio.numerator, where), prover.prove(ratio.denominator, where)]
        top, bottom = writer.text(ratio.numerator), writer.text(ratio.denominator)
        rule = f"the ratio is at most t where `{top} - t * ({bottom})` is at most 0, which is affine for each t"
        return writer.add("levels", rule, program.core, where, word, uses=uses, needs=(f"{bottom} > 0",))
    uses = [_part(writer, p, where) for p in program.core.args if isinstance(p, sympy.Expr) and has_variables(p)]
    rule = "for each level t a convex constraint: ratios multiplied out, monotone functions undone, maxima split"
    return writer.add("levels", rule, program.core, where, word, uses=uses)


def _part(writer: Writer, part: sympy.Expr, where: Where) -> int | None:
    """A part whose curvature is known; others are left to the rule."""
    fact = writer.facts.find(part, where.frame)
    known = bool((fact.convex | fact.concave).all())
    return Composition(writer).prove(part, where) if known else None


def _filled(program: QuasiProgram, layer: sympy.Expr) -> sympy.Expr:
    """A layer with what it was peeled off put back."""
    inner: sympy.Expr = program.core
    for outer in reversed(program.layers):
        inner = outer.xreplace({nodes.VariableEntry(LEVEL): inner})
        if outer is layer:
            break
    return inner


def _name(layer: sympy.Expr) -> str:
    if isinstance(layer, (sympy.Add, sympy.Mul)):
        return "adding data, or multiplying by it,"
    return f"`{layer.name}`" if isinstance(layer, nodes.Apply) else "the power"


def levels_constraint(program: QuasiProgram, constraint: Constraint) -> tuple[ProofStep, ...]:
    """A constraint whose side is a level of a quasi-convex function."""
    writer = Writer(program.model, constraint.marks, program.facts, whole_span(constraint))
    overs = (constraint.over,) if constraint.over.iterators or constraint.over.conditions else ()
    frame = program.model.lanes_of(constraint.over)
    for relation in constraint.relations:
        where = Where(frame, overs, writer.span(relation.body, writer.around))
        word = "quasiconvex" if relation.lower is None else "quasiconcave"
        use = writer.add(
            "levels", "ratios multiplied out, monotone functions undone, maxima split", relation.body, where, word
        )
        writer.add("levels relation", "a level of it is a convex set", relation.body, where, "convex set", uses=[use])
    return tuple(writer.steps)
