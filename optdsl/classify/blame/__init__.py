"""Why a statement is not proved convex: the smallest part that breaks it, the reason, and what to write instead."""

from optdsl.classify.blame.statement import blame_statement

__all__ = ["blame_statement"]
