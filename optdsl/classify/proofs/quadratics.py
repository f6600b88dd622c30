"""Polynomials of degree two: what of an expression is one, and the certificate that it is convex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import sympy

from optdsl.classify.collect import Collector
from optdsl.classify.definite import TOLERANCE, certificate
from optdsl.classify.facts import Facts
from optdsl.classify.proofs.writer import Where
from optdsl.classify.quadratic import quadratic_objective
from optdsl.classify.quadratic_rows import joint_matrix
from optdsl.classify.sink import Auxiliary, NotCollected
from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables

Parts = tuple[sympy.Expr, sympy.Expr]


def degree(expression: sympy.Basic) -> int | None:
    """The degree of a polynomial of degree two or less in the variables; None for anything else."""
    if not has_variables(expression):
        return 0
    found = _degree(expression)
    return found if found is not None and found <= 2 else None


def _degree(e: sympy.Basic) -> int | None:
    if isinstance(e, nodes.VariableEntry):
        return 1
    if isinstance(e, (sympy.Add, sympy.Mul)):
        parts = [degree(p) for p in e.args]
        if any(p is None for p in parts):
            return None
        return max(parts) if isinstance(e, sympy.Add) else sum(parts)  # type: ignore[type-var, arg-type]
    if isinstance(e, nodes.Reduce) and e.name in ("sum", "mean", "sumsq"):
        inner = degree(e.body)
        return None if inner is None else inner * (2 if e.name == "sumsq" else 1)
    if isinstance(e, nodes.Choose):
        parts = [degree(p) for p in e.args[1:]]
        return None if any(p is None for p in parts) else max(parts)  # type: ignore[type-var]
    base = _square_of(e)
    inner = None if base is None else degree(base)
    return None if inner is None else 2 * inner


def _square_of(e: sympy.Basic) -> sympy.Basic | None:
    """b where e = b^2, the square of a norm or of a size taken for what it is."""
    if isinstance(e, sympy.Pow) and e.exp == 2:
        base = e.base
        if isinstance(base, nodes.Apply) and base.name == "abs":
            return base.slots[0]
        return base.body if isinstance(base, nodes.Reduce) and base.name == "norm2" else base
    return e.slots[0] if isinstance(e, nodes.Apply) and e.name == "square" else None


def split_quadratic(expression: sympy.Expr, where: Where, wanted: float, facts: Facts) -> Parts | None:
    """(q, rest) with q + rest the expression, q of degree two and rest made of parts that curve the wanted way.

    None where some part is neither.
    """
    quadratic, rest = [], []
    for term in sympy.Add.make_args(expression):
        fact = facts.find(term, where.frame)
        if degree(term) == 2 and not bool(fact.affine.all()):
            quadratic.append(term)
        elif bool((fact.convex if wanted > 0 else fact.concave).all()):
            rest.append(term)
        else:
            inner = _split_inside(term, where, wanted, facts)
            if inner is None:
                return None
            quadratic.append(inner[0])
            rest.append(inner[1])
    return sympy.Add(*quadratic), sympy.Add(*rest)


def _split_inside(term: sympy.Expr, where: Where, wanted: float, facts: Facts) -> Parts | None:
    if isinstance(term, sympy.Mul):
        moving = [f for f in term.args if has_variables(f)]
        factor = sympy.Mul(*[f for f in term.args if not has_variables(f)])
        values = facts.lanes.numbers(factor, where.frame)
        if len(moving) != 1 or not ((values >= 0).all() or (values <= 0).all()):
            return None
        found = split_quadratic(moving[0], where, wanted if (values >= 0).all() else -wanted, facts)
        return None if found is None else (factor * found[0], factor * found[1])
    if isinstance(term, nodes.Reduce) and term.name in ("sum", "mean"):
        found = split_quadratic(term.body, where.within(term.over, facts), wanted, facts)
        if found is None:
            return None
        return tuple(nodes.Reduce(term.name, part, term.over) for part in found)  # type: ignore[return-value]
    return None


@dataclass(frozen=True)
class Certificate:
    """Why a quadratic is convex (concave): `test` in words, `value` of it, over so many variables."""

    test: str
    value: float | None
    size: int

    def record(self) -> dict[str, object]:
        found: dict[str, object] = {"test": self.test, "size": self.size}
        if self.value is not None:
            found |= {"value": self.value, "tolerance": TOLERANCE, "scaling": "unit diagonal"}
        return found


def quadratic_certificate(expression: sympy.Expr, where: Where, wanted: float, facts: Facts) -> Certificate | None:
    """The certificate that a polynomial of degree two is convex (`wanted` 1) or concave (-1) at every lane."""
    columns = len(facts.lower)
    collector = Collector(facts.lanes, Auxiliary(columns))
    root = where.frame.as_root()
    sink = collector.sink(root, "convex" if wanted > 0 else "concave", quadratic=True)
    try:
        collector.collect(expression, root, np.ones((1,) * len(root.shape)), sink)
    except NotCollected:
        return None
    if not (sink.squares or sink.products):
        return Certificate("nothing of degree two is left", None, 0)
    if not sink.products and all((wanted * s.weight >= 0).all() for s in sink.squares):
        return Certificate("squares with weights of one sign", None, 0)
    if root.size == 1:
        quadratic, direction = quadratic_objective(sink, columns, sink.sense)
        if direction is not None:
            return None
        matrix = quadratic.hessian if quadratic.hessian is not None else sp.csc_array((columns, columns))
        matrix = sp.csc_array(wanted * matrix)
    else:
        matrix, _, _ = joint_matrix(sink, columns, wanted)
    test, value = certificate(matrix)
    if not value >= -TOLERANCE:
        return None
    return Certificate(f"factorization: {test}", value, int(np.count_nonzero(matrix.diagonal())))


def quadratic_matrix(expression: sympy.Expr, where: Where, facts: Facts) -> sp.csc_array | None:
    """The matrix M of a polynomial x'Mx + ... of degree two over its own variables; None where it has indices."""
    root = where.frame.as_root()
    if root.size != 1:
        return None
    collector = Collector(facts.lanes, Auxiliary(len(facts.lower)))
    sink = collector.sink(root, "convex", quadratic=True)
    try:
        collector.collect(expression, root, np.ones((1,) * len(root.shape)), sink)
    except NotCollected:
        return None
    matrix, _, _ = joint_matrix(sink, len(facts.lower), 1.0)
    used = np.flatnonzero(np.diff(matrix.indptr))
    return sp.csc_array(matrix[used][:, used]) if len(used) else None
