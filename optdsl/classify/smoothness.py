"""Where kinks are taken away: powers and products that vanish at them.

Smoothness is judged in the relative interior of D. A kink of |e| or max(e, 0) lies where e = 0; there |e|^p and its
products with e^k vanish to the order p + k, which makes them continuously differentiable for an order above 1 and
twice so for one above 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import sympy

from optdsl.atoms import Smoothness
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables
from optdsl.terms.parts import power_of

C1, SMOOTH = int(Smoothness.C1), int(Smoothness.SMOOTH)
EVEN = ("abs", "hypot")
ONE_SIDED = ("pos", "relu")


class Known(Protocol):
    """What is asked of facts."""

    lanes: Any

    def find(self, expression: sympy.Basic, frame: Frame) -> Any: ...

    def extended(self, frame: Frame, over: nodes.Over) -> Any: ...


def of_power(facts: Known, base: sympy.Expr, exponent: sympy.Expr, frame: Frame) -> np.ndarray | None:
    """The smoothness of a power of |e|, of a norm or of max(e, 0), by lane; None for other bases."""
    inside = _inside(facts, base, frame)
    if inside is None or has_variables(exponent):
        return None
    order = np.asarray(facts.lanes.numbers(exponent, frame), dtype=float)
    even = _is_even(base) & (np.mod(order, 2) == 0) & (order > 0)
    level = np.where(even | (order > 2), SMOOTH, np.where(order > 1, C1, 0))
    return np.minimum(level, inside)


def of_product(facts: Known, factors: Sequence[sympy.Expr], frame: Frame) -> np.ndarray | None:
    """The smoothness of a product of powers of e and of |e| or max(e, 0), by their order together, and of the rest."""
    bent = [f for f in factors if _kink(power_of(f)[0]) is not None]
    kinks = {_kink(power_of(f)[0]) for f in bent}
    if len(kinks) != 1:
        return None
    (e,) = kinks
    order: Any = 0.0
    rest: Any = SMOOTH
    for factor in factors:
        base, power = power_of(factor)
        plain = base == e and power.is_Integer and power.is_positive
        if factor in bent or plain:
            order = order + np.asarray(facts.lanes.numbers(power, frame), dtype=float)
        else:
            rest = np.minimum(rest, facts.find(factor, frame).smooth)
    inner = facts.find(e, frame).smooth
    return np.minimum(np.minimum(np.where(order > 2, SMOOTH, np.where(order > 1, C1, 0)), rest), inner)


def _kink(base: sympy.Expr) -> sympy.Expr | None:
    """e of |e|, max(e, 0)."""
    if not isinstance(base, nodes.Apply):
        return None
    if base.name in ("abs", *ONE_SIDED):
        return base.slots[0]
    if base.name == "max" and len(base.slots) == 2 and sympy.Integer(0) in base.slots:
        return next((s for s in base.slots if has_variables(s)), None)
    return None


def _is_even(base: sympy.Expr) -> bool:
    """Whether the square of a size is a polynomial of its parts: a size, a Euclidean norm."""
    if isinstance(base, nodes.Reduce):
        return base.name == "norm2"
    return isinstance(base, nodes.Apply) and base.name in EVEN


def _inside(facts: Known, base: sympy.Expr, frame: Frame) -> np.ndarray | None:
    """The smoothness of what stands in a function whose only kink is where it is 0."""
    if isinstance(base, nodes.Reduce) and base.name == "norm2":
        members = facts.find(base.body, facts.extended(frame, base.over).child).smooth
        return np.asarray(members.min(initial=SMOOTH))
    if isinstance(base, nodes.Apply) and base.name == "hypot":
        return np.minimum(*(facts.find(s, frame).smooth for s in base.slots))
    e = _kink(base)
    return None if e is None else np.asarray(facts.find(e, frame).smooth)


__all__ = ["of_power", "of_product"]
