"""What a power asks of its base where data decide on the exponent."""

from __future__ import annotations

import sympy

from optdsl.model.model import DomainCondition
from optdsl.terms import nodes


def power_conditions(base: sympy.Expr, exponent: sympy.Expr) -> tuple[DomainCondition, ...]:
    """The conditions of base ^ exponent for an exponent of data: not negative where it is no whole number, not 0 where
    it is negative."""
    whole = nodes.Compare("!=", nodes.Apply("floor", exponent), exponent)
    below = nodes.Compare("<", exponent, sympy.Integer(0))
    return (
        DomainCondition("nonnegative", base, (nodes.over((), (whole,)),)),
        DomainCondition("nonzero", base, (nodes.over((), (below,)),)),
    )
