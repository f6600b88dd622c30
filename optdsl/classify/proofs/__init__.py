"""Proofs that a reader can follow by hand, from the statement as written to variables and data."""

from optdsl.classify.proofs.statements import matrix_proof, objective_proof, relations_proof

__all__ = ["matrix_proof", "objective_proof", "relations_proof"]
