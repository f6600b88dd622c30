"""Functions whose curvature was shown of the very argument that they are written with: what shows it."""

from __future__ import annotations

from typing import Any

from optdsl.atoms import ENTRIES
from optdsl.classify.definite import TOLERANCE, certificate
from optdsl.classify.facts import Fact
from optdsl.classify.proof import gives
from optdsl.classify.proofs.writer import Where, Writer
from optdsl.classify.rewrites.forms import form
from optdsl.classify.rewrites.place import Place
from optdsl.terms import nodes

_RULES = {
    "quadratic_norm": (
        "the root of a quadratic is a norm of affine expressions, and convex, where its matrix, completed by the "
        "linear and constant terms, is positive semidefinite"
    ),
    "convex_quadratic": "a quadratic whose matrix is positive semidefinite is convex",
    "concave_mean": (
        "of nonnegative concave parts x, a product of powers is concave where the exponents are not negative and add "
        "up to at most 1, and the root of order p of a sum of powers x^p where p < 1"
    ),
}


def is_shown(expression: Any) -> bool:
    """Whether an expression is such a function."""
    return isinstance(expression, nodes.Apply) and ENTRIES[expression.name].shown is not None


def shown_step(writer: Writer, node: nodes.Apply, where: Where, fact: Fact) -> int:
    """The step that says how it curves, with the certificate of its matrix."""
    (argument,) = node.slots
    more: dict[str, Any] = {}
    found = form(argument, Place(writer.facts, where.frame))
    if found is not None:
        matrix = found.matrix if node.name == "quadratic_norm" else found.bent
        test, value = certificate(matrix)
        more["certificate"] = {
            "test": f"factorization: {test}", "size": len(found.codes), "value": value, "tolerance": TOLERANCE,
            "scaling": "unit diagonal",
        }
    return writer.add(
        "shown", _RULES[node.name], node, where, gives(fact), fact=fact, function=node.name,
        arguments=(writer.text(argument),), **more,
    )


__all__ = ["is_shown", "shown_step"]
