"""Witnesses: two points of D that show that a statement is not as curved as its role needs."""

from optdsl.classify.witness.effort import Effort
from optdsl.classify.witness.records import Domain, Statement, Witness
from optdsl.classify.witness.search import find_witness

__all__ = ["Domain", "Effort", "Statement", "Witness", "find_witness"]
