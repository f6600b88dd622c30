"""The choice between dense and sparse factors of a KKT system, by order and fill."""

from __future__ import annotations

from optdsl.methods.linear_algebra.dense import DenseKkt
from optdsl.methods.linear_algebra.sparse import SparseKkt
from optdsl.methods.linear_algebra.system import Kkt
from optdsl.nlp import Pattern

SMALL = 200
"""Up to this order LAPACK's exact pivoting costs less than a sparse factorization."""
FULL_SHARE, LARGEST_DENSE = 0.25, 3000
"""A larger system is dense when this share of its triangle is filled and its order stays below the second number."""


def kkt(hessian: Pattern, jacobian: Pattern) -> Kkt:
    """The system for these patterns: dense when small or full, else sparse."""
    m, n = jacobian.shape
    order = n + m
    entries = hessian.size + jacobian.size + order
    full = entries >= FULL_SHARE * order * (order + 1) / 2 and order <= LARGEST_DENSE
    if order <= SMALL or full:
        return DenseKkt(hessian, jacobian)
    return SparseKkt(hessian, jacobian)
