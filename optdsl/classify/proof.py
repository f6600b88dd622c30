"""The steps of a proof, as a reader follows them."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from optdsl.errors import Span


@dataclass(frozen=True)
class Step:
    """One step: by this rule, the expression gives what is said. `span` is its place in the text, where it has one."""

    rule: str
    expression: sympy.Basic
    gives: str
    span: Span | None = None
