"""Which constraints give the bounds that a proof rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy

from optdsl.classify.domain import Domain, Source
from optdsl.classify.facts import Facts
from optdsl.classify.proof import Step
from optdsl.errors import Span
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables


@dataclass(frozen=True, kw_only=True, eq=False)
class BoundStep(Step):
    """lower <= expression <= upper on D over all lanes of `frame`, by the declared bounds and `sources` alone."""

    frame: Frame
    lower: float
    upper: float
    sources: tuple[Source, ...]


def bound_step(argument: sympy.Basic, frame: Frame, facts: Facts, span: Span | None = None) -> BoundStep | None:
    """The step for an affine argument of a function whose bounds come from constraints or natural domains, or None.

    Where a sign comes from there, the step tells the sign's end alone: nearly every rule asks for a sign.
    """
    if facts.plain is None or not isinstance(facts.known, Domain) or not has_variables(argument) or not frame.size:
        return None
    before, after = facts.plain.find(argument, frame), facts.find(argument, frame)
    if not bool(after.affine.all()):
        return None
    low, high = bool((after.lo > before.lo).any()), bool((after.hi < before.hi).any())
    low_sign = bool(((after.lo >= 0) & (before.lo < 0)).any())
    high_sign = bool(((after.hi <= 0) & (before.hi > 0)).any())
    if low_sign or high_sign:
        low, high = low_sign, high_sign
    sources = facts.known.reasons(argument, frame, low=low, high=high) if low or high else ()
    if not sources:
        return None
    lower, upper = float(np.min(after.lo)) if low else -np.inf, float(np.max(after.hi)) if high else np.inf
    *others, last = [source.words for source in sources]
    rule = f"bound: by {' and '.join(filter(None, [', '.join(others), last]))}"
    return BoundStep(
        rule, argument, _gives(lower, upper), span, frame=frame, lower=lower, upper=upper, sources=sources
    )


def _gives(lower: float, upper: float) -> str:
    if upper == np.inf:
        return f"at least {lower:.6g}" if lower != 0 else "nonnegative"
    if lower == -np.inf:
        return f"at most {upper:.6g}" if upper != 0 else "nonpositive"
    return f"between {lower:.6g} and {upper:.6g}"
