"""Natural spellings rewritten into forms that the composition rule knows, in the same variables."""

from optdsl.classify.rewrites.normal import REWRITINGS, normalize
from optdsl.classify.rewrites.place import Place, RewriteStep, Rewriting
from optdsl.classify.rewrites.relation_rules import RELATION_REWRITINGS, RelationRewriting
from optdsl.classify.rewrites.relations import Form, RelationStep, convex_form, fits, relation_forms, told

__all__ = [
    "RELATION_REWRITINGS",
    "REWRITINGS",
    "Form",
    "Place",
    "RelationRewriting",
    "RelationStep",
    "RewriteStep",
    "Rewriting",
    "convex_form",
    "fits",
    "normalize",
    "relation_forms",
    "told",
]
