"""Proofs on the log scale: why a statement is convex in the logarithms of its variables.

A function of positive variables is log-log convex when its logarithm is convex in the logarithms of the variables
(Boyd, Kim, Vandenberghe and Hassibi, 2007, section 2; Agrawal, Diamond and Boyd, 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sympy

from optdsl.classify.facts import Facts
from optdsl.classify.proof import ProofStep
from optdsl.classify.proofs.rewriting import relation_text
from optdsl.classify.proofs.statements import whole_span
from optdsl.classify.proofs.writer import Where, Writer
from optdsl.model.model import Constraint, Model, Objective, Relation
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables

AFFINE, CONVEX, CONCAVE = "log-log affine", "log-log convex", "log-log concave"
FLIPPED = {CONVEX: CONCAVE, CONCAVE: CONVEX}
POWERS = {
    "sqrt": sympy.Rational(1, 2), "cbrt": sympy.Rational(1, 3), "square": sympy.Integer(2), "inv": sympy.Integer(-1),
}  # fmt: skip
KEEPING = ("prod", "geo_mean")


def log_log_objective(model: Model, objective: Objective, facts: Facts) -> tuple[ProofStep, ...]:
    """Why an objective may be minimized (maximized) in the logarithms."""
    writer = Writer(model, objective.marks, facts, whole_span(objective))
    where = Where(Frame().as_root(), (), writer.span(objective.body, writer.around))
    minimized = objective.sense == "minimize"
    terms = [t for t in sympy.Add.make_args(objective.body) if has_variables(t)]
    body = sympy.Add(*terms)
    turned = bool(terms) and all(_sign(t, where, facts) < 0 for t in terms)
    wanted = CONVEX if minimized != turned else CONCAVE
    shape = _LogLog(writer).prove(-body if turned else body, where, wanted)
    rule = f"a {wanted} function is {'minimized' if minimized != turned else 'maximized'}: convex in the logarithms"
    writer.add("logarithmic objective", rule, objective.body, where, "convex in the logarithms", uses=[shape])
    return tuple(writer.steps)


def log_log_constraint(model: Model, constraint: Constraint, facts: Facts) -> tuple[ProofStep, ...]:
    """Why a constraint holds on a convex set of the logarithms."""
    writer = Writer(model, constraint.marks, facts, whole_span(constraint))
    overs = (constraint.over,) if constraint.over.iterators or constraint.over.conditions else ()
    frame = model.lanes_of(constraint.over)
    for relation in constraint.relations:
        where = Where(frame, overs, writer.span(relation.body, writer.around))
        _relation(writer, relation, where)
    return tuple(writer.steps)


def _relation(writer: Writer, relation: Relation, where: Where) -> None:
    facts, prover = writer.facts, _LogLog(writer)
    text = relation_text(writer, (relation.body, relation.lower, relation.upper))
    equal = relation.lower is not None and relation.lower == relation.upper
    uses: list[int | None] = []
    after: list[str] = []
    for side, at_most in ((relation.upper, True), (relation.lower, False)):
        if side is None or (equal and not at_most):
            continue
        terms = [*sympy.Add.make_args(relation.body), *(-t for t in sympy.Add.make_args(side) if t != 0)]
        signs = [_sign(t, where, facts) for t in terms]
        plus = sympy.Add(*[t for t, s in zip(terms, signs, strict=True) if s > 0])
        minus = sympy.Add(*[-t for t, s in zip(terms, signs, strict=True) if s < 0])
        small, great = (plus, minus) if at_most else (minus, plus)
        if equal:
            uses += [prover.prove(small, where, AFFINE), prover.prove(great, where, AFFINE)]
        else:
            uses += [prover.prove(small, where, CONVEX), prover.prove(great, where, CONCAVE)]
        after.append(f"{writer.text(small)} {'=' if equal else '<='} {writer.text(great)}")
    rule = "both sides are log-log affine: an equation of affine functions of the logarithms"
    if not equal:
        rule = "what is log-log convex is at most what is log-log concave: convex in the logarithms"
    writer.add("logarithmic relation", rule, relation.body, where, "convex set of the logarithms", text=text, uses=uses,
               after=tuple(after))  # fmt: skip


class _LogLog:
    """Writes the steps of expressions; what a part is asked for decides where both could be shown."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.facts = writer, writer.facts

    def prove(self, node: sympy.Basic, where: Where, wanted: str) -> int | None:
        """The number of the step for an expression that is not negative; None for data."""
        if not has_variables(node) or not where.frame.size:
            return None
        where = where.around(self.writer.span(node, where.span))
        if self._monomial(node, where):
            rule = "a positive variable" if isinstance(node, nodes.VariableEntry) else "a monomial: data times powers"
            return self._add("monomial", rule, node, where, AFFINE, ())
        if isinstance(node, sympy.Add):
            return self._sum(node, where, wanted)
        if isinstance(node, sympy.Mul):
            uses = [self.prove(f, where, wanted) for f in node.args]
            word = self._joined(uses, wanted)
            return self._add("product", f"a product of factors that are {word}", node, where, word, uses)
        power = self._power(node)
        if power is not None:
            base, exponent = power
            turned = bool((np.asarray(self.facts.lanes.numbers(exponent, where.frame)) < 0).all())
            use = self.prove(base, where, FLIPPED.get(wanted, wanted) if turned else wanted)
            rule = f"a {'negative' if turned else 'positive'} power of what is {self._word(use, wanted)}"
            return self._add("power", rule, node, where, wanted, [use])
        if isinstance(node, nodes.Reduce):
            inner = where.within(node.over, self.facts)
            use = self.prove(node.body, inner, wanted)
            word = wanted if node.name in KEEPING else CONCAVE if node.name in ("min", "harmonic_mean") else CONVEX
            if node.name in ("sum", "mean", "sumsq"):
                return self._add("members", f"a {node.name} of log-log convex members", node, where, CONVEX, [use])
            return self._add("function", f"`{node.name}` of such members", node, where, word, [use])
        if isinstance(node, (nodes.Choose, nodes.Pick)):
            return self._add("function", "the branch that the data takes at each index", node, where, wanted, ())
        arguments = node.slots if isinstance(node, nodes.Apply) else ()
        uses = [self.prove(a, where, wanted) for a in arguments]
        name = getattr(node, "name", type(node).__name__)
        word = {"max": CONVEX, "min": CONCAVE, "exp": CONVEX, "hypot": CONVEX, "log": CONCAVE}.get(name, wanted)
        return self._add("function", f"`{name}` on the log scale", node, where, word, uses)

    def _sum(self, node: sympy.Add, where: Where, wanted: str) -> int:
        negative = [t for t in node.args if _sign(t, where, self.facts) < 0]
        if not negative:
            uses = [self.prove(t, where, CONVEX) for t in node.args]
            rule = "a sum of log-log convex terms (a posynomial, where each is a monomial)"
            return self._add("sum", rule, node, where, CONVEX, uses)
        uses = [self.prove(t, where, CONCAVE) for t in node.args if t not in negative]
        uses += [self.prove(-t, where, CONVEX) for t in negative]
        return self._add("difference", "a monomial minus what is log-log convex, where that is positive", node, where,
                         CONCAVE, uses)  # fmt: skip

    def _monomial(self, node: sympy.Basic, where: Where) -> bool:
        if not has_variables(node) or isinstance(node, nodes.VariableEntry):
            return True
        if isinstance(node, sympy.Mul):
            return all(self._monomial(f, where) for f in node.args)
        power = self._power(node)
        if power is not None:
            return self._monomial(power[0], where)
        if isinstance(node, nodes.Reduce) and node.name == "prod":
            return self._monomial(node.body, where.within(node.over, self.facts))
        return False

    @staticmethod
    def _power(node: sympy.Basic) -> tuple[sympy.Basic, sympy.Basic] | None:
        """Base and exponent (data) of every spelling of a power."""
        if isinstance(node, sympy.Pow) and not has_variables(node.exp):
            return node.base, node.exp
        if isinstance(node, nodes.Apply) and node.name in POWERS:
            return node.slots[0], POWERS[node.name]
        if isinstance(node, nodes.Apply) and node.name == "pow" and not has_variables(node.slots[1]):
            return node.slots[0], node.slots[1]
        return None

    def _word(self, use: int | None, otherwise: str) -> str:
        return otherwise if use is None else self.writer.steps[use - 1].gives

    def _joined(self, uses: Sequence[int | None], wanted: str) -> str:
        words = {self._word(u, AFFINE) for u in uses}
        return AFFINE if words == {AFFINE} else next((w for w in words if w != AFFINE), wanted)

    def _add(
        self, sort: str, rule: str, node: sympy.Basic, where: Where, word: str, uses: Sequence[int | None]
    ) -> int:
        return self.writer.add("logarithmic", rule, node, where, word, uses=uses, function=sort)


def _sign(term: sympy.Basic, where: Where, facts: Facts) -> int:
    """1 where a term is nowhere negative, -1 where it is nowhere positive, 0 where neither is known."""
    fact = facts.find(term, where.frame)
    if bool((fact.lo >= 0).all()):
        return 1
    return -1 if bool((fact.hi <= 0).all()) else 0
