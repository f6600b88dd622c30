"""Refutation first: a statement that two points show not to be convex is not worth the provers' time.

For a solve of a small model only, where nobody reads the proof. A statement that is not convex as it stands is looked
at at a few pairs of points of D before anything is rewritten. What is not convex may still be a convex constraint in
another form, `x y >= 1` for one: there two points that fulfill it must have one between them that does not. Such an
equality leaves no way but a local method, or logarithms, and so does an objective whose level sets are not convex:
then the other statements are taken as they stand too.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from optdsl.classify.domain import Domain, domain_of
from optdsl.classify.facts import Facts
from optdsl.classify.words import smoothness_word
from optdsl.model.model import Constraint, Model, Objective, Relation
from optdsl.terms.lanes import LaneFault
from optdsl.terms.nodes import has_variables

if TYPE_CHECKING:
    from optdsl.classify.witness import Statement, Witness

MOST_COLUMNS, MOST_LANES = 200, 1000
EFFORT = 0.05  # in units of about a second
MOST_EQUALITIES = 3


class Refuter:
    """What is known against the statements of a model so far.

    witness: the first that settled a statement. settled: whether the statement that was asked for last needs no prover.
    hopeless: whether an equality is refuted, or the objective by its level sets too. level_sets: whether these may be
    convex.
    """

    def __init__(self, model: Model, facts: Facts, wanted: bool) -> None:
        lanes = max((c.size for c in model.constraints), default=1)
        self.model, self.facts = model, facts
        self.active = wanted and model.columns <= MOST_COLUMNS and lanes <= MOST_LANES
        self.witness: Witness | None = None
        self.settled = self.hopeless = False
        self.level_sets = True

    @cached_property
    def domain(self) -> Domain:
        """D as the declared bounds and the affine constraints imply it."""
        return domain_of(self.model, self.facts)

    def equalities(self) -> None:
        """Look for a refuted equality."""
        if not self.active:
            return
        tried = 0
        for constraint in self.model.constraints:
            for relation in constraint.relations if constraint.kind == "scalar" else ():
                equal = relation.lower is not None and relation.lower == relation.upper
                if not equal or not has_variables(relation.body) or tried == MOST_EQUALITIES:
                    continue
                if self._bends(constraint, relation):
                    tried += 1
                    self.hopeless = self._is_cut(constraint, relation)
                    if self.hopeless:
                        return

    def _bends(self, constraint: Constraint, relation: Relation) -> bool:
        try:
            frame = self.model.lanes_of(constraint.over)
            return bool(frame.size) and not bool(self.facts.find(relation.body, frame).affine.all())
        except LaneFault:
            return False  # a mistake, which is reported where the statement is collected

    def refutes_objective(self, objective: Objective) -> bool:
        """Whether an objective needs no prover any more: a prover may rewrite it, but must not change its values."""
        if not self.active:
            return False
        self.settled = self.hopeless
        if not self.hopeless:
            from optdsl.classify.witness import Statement  # loads much, and most models are convex

            found = self._sought(Statement.of_objective(objective))
            if found is not None and found.kind == "function":
                self.settled, self.witness = True, self.witness or found
                self.level_sets = not found.peak
                self.hopeless = found.peak
        return self.settled

    def refutes_relation(self, constraint: Constraint, relation: Relation) -> bool:
        """Whether a constraint needs no prover any more: its set is not convex, whatever its form."""
        if not self.active:
            return False
        self.settled = self.hopeless
        if not self.hopeless and self._is_cut(constraint, relation):
            self.settled = True
        return self.settled

    def _is_cut(self, constraint: Constraint, relation: Relation) -> bool:
        from optdsl.classify.witness import Statement

        statement = Statement.of_relation(constraint, relation)
        sided = relation.lower is None or relation.upper is None or statement.equality
        if constraint.kind != "scalar" or not sided or (statement.equality and not self._continuous(statement)):
            return False
        found = self._sought(statement)
        if found is None or not found.cuts:
            return False
        self.witness = self.witness or found
        return True

    def _continuous(self, statement: Statement) -> bool:
        """Whether an expression has a value everywhere and never jumps."""
        from optdsl.classify.witness.lanes import is_partial

        if statement.conditions or is_partial(statement.body):
            return False
        fact = self.facts.find(statement.body, self.model.lanes_of(statement.over))
        return smoothness_word(fact) != "discontinuous"

    def _sought(self, statement: Statement) -> Witness | None:
        from optdsl.classify.witness import Domain as Region
        from optdsl.classify.witness import find_witness

        try:
            rows = self.domain.rows
            region = Region.of(self.model, rows.matrix, rows.low, rows.high)
            return find_witness(self.model, statement, region, effort=EFFORT, plainly=False, hasty=True)
        except LaneFault:
            return None
