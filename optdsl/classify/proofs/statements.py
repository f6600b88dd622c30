"""The whole proof of a statement: rewritings, the shape of what they lead to, and what follows for the statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy

from optdsl.classify.facts import Facts
from optdsl.classify.proof import ProofStep, gives
from optdsl.classify.proofs.bounds import written_bounds
from optdsl.classify.proofs.composition import Composition
from optdsl.classify.proofs.quadratics import quadratic_certificate, split_quadratic
from optdsl.classify.proofs.rewriting import relation_text, written_rewritings
from optdsl.classify.proofs.writer import Where, Writer
from optdsl.classify.provers import Attempt, Bounded
from optdsl.errors import Span
from optdsl.model.model import Constraint, Model, Objective
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables


def objective_proof(
    model: Model, objective: Objective, frame: Frame, facts: Facts, attempt: Attempt | None = None
) -> tuple[ProofStep, ...]:
    """Why an objective is convex when minimized, concave when maximized; `attempt` is the form that was proved."""
    around = whole_span(objective)
    writer = Writer(model, objective.marks, facts, around)
    where = Where(frame, (), writer.span(objective.body, around))
    word = "convex" if objective.sense == "minimize" else "concave"
    wanted = 1.0 if word == "convex" else -1.0
    steps = () if attempt is None else attempt.steps
    body = objective.body if attempt is None else attempt.relations[0][0]
    uses = written_rewritings(writer, where, steps)
    if attempt is not None:
        uses = [*written_bounds(writer, objective.body, where), *uses]
    shape = curved(writer, body, where, wanted)
    if attempt is not None:
        fact = facts.find(objective.body, frame)
        shape = writer.add(
            "rewritten", "equal to what the rewritings lead to", objective.body, where,
            f"{word}{_sign(gives(facts.find(body, frame)) or gives(fact))}", uses=[*uses, shape],
            after=(writer.text(body),), needs=_kept(writer, attempt),
        )  # fmt: skip
    kept = "concave" if word == "concave" else "convex"
    writer.add(
        "objective", f"a {kept} function is {'minimized' if wanted > 0 else 'maximized'}", objective.body, where,
        "convex objective", uses=[shape],
    )  # fmt: skip
    return tuple(writer.steps)


def relations_proof(
    model: Model, constraint: Constraint, frame: Frame, facts: Facts, attempts: Sequence[Attempt | None]
) -> tuple[ProofStep, ...]:
    """Why a constraint holds on a convex set; for each of its relations the form that was proved, None: as written."""
    around = whole_span(constraint)
    writer = Writer(model, constraint.marks, facts, around)
    overs = (constraint.over,) if constraint.over.iterators or constraint.over.conditions else ()
    for relation, attempt in zip(constraint.relations, attempts, strict=True):
        where = Where(frame, overs, writer.span(relation.body, around))
        before = (relation.body, relation.lower, relation.upper)
        if attempt is None:
            relation_holds(writer, before, where)
            continue
        uses = [*written_bounds(writer, relation.body, where), *written_rewritings(writer, where, attempt.steps)]
        shapes = [relation_holds(writer, after, where) for after in attempt.relations]
        after = tuple(relation_text(writer, r) for r in attempt.relations)
        told = "convex set" if after else "always holds"
        rule = "the same on D as what the rewritings lead to" if after else "the bounds of D imply it"
        writer.add(
            "conclusion", rule, relation.body, where, told, text=relation_text(writer, before), uses=[*uses, *shapes],
            after=after, needs=_kept(writer, attempt),
        )  # fmt: skip
    return tuple(writer.steps)


def matrix_proof(model: Model, constraint: Constraint, frame: Frame, facts: Facts) -> tuple[ProofStep, ...]:
    """An affine matrix is semidefinite on a convex set."""
    around = whole_span(constraint)
    writer = Writer(model, constraint.marks, facts, around)
    overs = (constraint.over,) if constraint.over.iterators or constraint.over.conditions else ()
    for relation in constraint.relations:
        where = Where(frame, overs, writer.span(relation.body, around))
        shape = Composition(writer).prove(relation.body, where)
        word, order = ("positive", ">>") if relation.lower is not None else ("negative", "<<")
        writer.add(
            "matrix", f"a matrix with affine entries is {word} semidefinite on a convex set", relation.body, where,
            "convex set", uses=[shape], text=f"{writer.text(relation.body)} {order} 0",
        )  # fmt: skip
    return tuple(writer.steps)


def relation_holds(writer: Writer, relation: Bounded, where: Where) -> int:
    """The step that says that a relation, as it stands, holds on a convex set."""
    body, lower, upper = relation
    text = relation_text(writer, relation)
    if not has_variables(body):
        return writer.add("relation", "a relation of data", body, where, "convex set", text=text)
    facts = writer.facts
    fact = (facts.plain or facts).find(body, where.frame)
    fact = fact if bool(fact.affine.all()) else facts.find(body, where.frame)
    equal = lower is not None and upper is not None and (lower == upper)
    if bool(fact.affine.all()):
        shape = Composition(writer).prove(body, where)
        rule = f"an affine function {'equals data' if equal else 'lies on one side of data'} on a convex set"
        return writer.add("relation", rule, body, where, "convex set", text=text, uses=[shape])
    wanted = 1.0 if lower is None else -1.0 if upper is None else 0.0
    shape = curved(writer, body, where, wanted) if wanted else Composition(writer).prove(body, where)
    side = "at most" if wanted > 0 else "at least"
    rule = f"a {'convex' if wanted > 0 else 'concave'} function is {side} a number on a convex set"
    if not wanted:
        rule = "at each index the side that its curvature allows"
    return writer.add("relation", rule, body, where, "convex set", text=text, uses=[shape])


def curved(writer: Writer, body: sympy.Expr, where: Where, wanted: float) -> int | None:
    """The step that says that an expression is convex (`wanted` 1) or concave (-1)."""
    facts = writer.facts
    fact = facts.find(body, where.frame)
    if not has_variables(body) or bool((fact.convex if wanted > 0 else fact.concave).all()):
        return Composition(writer).prove(body, where)
    word = "convex" if wanted > 0 else "concave"
    sign = _sign(gives(fact))
    found = split_quadratic(body, where, wanted, facts)
    evidence = None if found is None else quadratic_certificate(found[0], where, wanted, facts)
    if found is None or evidence is None:
        plain_squares = body.replace(_is_squared_norm, lambda e: nodes.Reduce("sum", e.base.body**2, e.base.over))
        if plain_squares != body:
            rule = "the square of a norm is the sum of the squares"
            step = writer.add("rewriting", rule, body, where, f"equal to {writer.text(plain_squares)}",
                              after=(writer.text(plain_squares),))  # fmt: skip
            return writer.add(
                "rewritten", "equal to what the rewritings lead to", body, where, f"{word}{sign}", fact=fact,
                uses=[step, curved(writer, plain_squares, where, wanted)], after=(writer.text(plain_squares),),
            )  # fmt: skip
        parts = _parts(body, wanted)
        if parts and all(_follows(part, where, wanted, facts) for part in parts):
            uses = [curved(writer, part, where, wanted) for part in parts]
            if isinstance(body, nodes.Apply):
                return writer.add(
                    "function", f"`{body.name}` of {word} parts is {word}", body, where, f"{word}{sign}", fact=fact,
                    uses=uses, function=body.name, arguments=tuple(map(writer.text, body.slots)),
                    slopes=("nondecreasing",) * len(parts),
                )  # fmt: skip
            rule = f"a sum of {word} parts is {word}" if len(uses) > 1 else "adding data changes no curvature"
            return writer.add("sum", rule, body, where, f"{word}{sign}", fact=fact, uses=uses)
        if bool((fact.lo == fact.hi).all()):
            return writer.add("constant", "its bounds leave one value", body, where, f"{word}{sign}", fact=fact)
        rule = f"what its bounds leave of it is {word}"
        return writer.add("collected", rule, body, where, f"{word}{sign}", fact=fact)
    quadratic, rest = found
    plain = evidence.value is None
    rule = f"a sum of squares with weights of one sign is {word}" if plain else (
        f"a quadratic whose matrix is {'positive' if wanted > 0 else 'negative'} semidefinite is {word}"
    )
    if evidence.test.startswith("nothing"):
        rule = "the terms of degree two cancel"
    inner = facts.find(quadratic, where.frame)
    step = writer.add(
        "quadratic", rule, quadratic, where, f"{word}{_sign(gives(inner))}", fact=inner, certificate=evidence.record()
    )
    if not has_variables(rest):
        if quadratic == body:
            return step
        rule = "adding data changes no curvature"
        return writer.add("sum", rule, body, where, f"{word}{sign}", fact=fact, uses=[step])
    uses = [step, *(Composition(writer).prove(part, where) for part in _grouped(rest, where, facts))]
    rule = f"a sum of {word} parts is {word}"
    return writer.add("sum", rule, body, where, f"{word}{sign}", fact=fact, uses=uses)


def _parts(body: sympy.Expr, wanted: float) -> list[sympy.Expr]:
    """Parts that curve as a whole where all of them do: of the larger of some, or of a sum with such in it."""
    largest = "max" if wanted > 0 else "min"
    if isinstance(body, nodes.Apply):
        return [a for a in body.slots if has_variables(a)] if body.name == largest else []
    terms = sympy.Add.make_args(body)
    apart = [t for t in terms if isinstance(t, nodes.Apply) and has_variables(t)]
    rest = sympy.Add(*[t for t in terms if t not in apart])
    return [t for t in (*apart, rest) if has_variables(t)] if apart and len(terms) > 1 else []


def _follows(body: sympy.Expr, where: Where, wanted: float, facts: Facts) -> bool:
    """Whether `curved` can show by its rules that an expression is convex (`wanted` 1) or concave (-1)."""
    fact = facts.find(body, where.frame)
    if bool((fact.convex if wanted > 0 else fact.concave).all()):
        return True
    found = split_quadratic(body, where, wanted, facts)
    if found is not None and quadratic_certificate(found[0], where, wanted, facts) is not None:
        return True
    parts = _parts(body, wanted)
    return bool(parts) and all(_follows(part, where, wanted, facts) for part in parts)


def _is_squared_norm(e: sympy.Basic) -> bool:
    return isinstance(e, sympy.Pow) and e.exp == 2 and isinstance(e.base, nodes.Reduce) and e.base.name == "norm2"


def whole_span(statement: Objective | Constraint) -> Span:
    """From the name of a statement to the last of its parts, as far as they stand in it."""
    tree = statement.span
    spans = [s for s in statement.marks.spans.values() if s.start >= tree.start]
    last = max(spans, key=lambda s: s.end, default=tree)
    return replace(tree, end=max(tree.end, last.end), end_line=last.end_line, end_column=last.end_column)


def _grouped(rest: sympy.Expr, where: Where, facts: Facts) -> list[sympy.Expr]:
    """The terms of a sum, the affine ones together."""
    moving = [t for t in sympy.Add.make_args(rest) if has_variables(t)]
    affine = [t for t in moving if bool(facts.find(t, where.frame).affine.all())]
    others = [t for t in moving if t not in affine]
    return [*others, *([sympy.Add(*affine)] if affine else [])]


def _sign(given: str) -> str:
    """The part of what is given that says the sign."""
    return given[len(given.partition(",")[0]) :]


def _kept(writer: Writer, attempt: Attempt) -> tuple[str, ...]:
    return tuple(dict.fromkeys(writer.condition(k) for k in attempt.keeps))

