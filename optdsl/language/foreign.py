"""Spellings that people bring along from other languages, and what they mean here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NO_OPERATOR = "is not an operator of this language"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A foreign spelling: the tokens it stands for, what is wrong with it, and how to write it."""

    kinds: tuple[str, ...]
    fault: str
    hint: str


def _operator(kind: str, plain: str) -> Foreign:
    return Foreign((kind,), NO_OPERATOR, f"write `{plain}`")


def _elementwise(kind: str, plain: str) -> Foreign:
    return Foreign((kind,), NO_OPERATOR, f"write `{plain}`: it already works entry by entry")


# Operators are matched longest first, together with those of the grammar.
FOREIGN_SPELLINGS: Mapping[str, Foreign] = {
    ":=": _operator("EQUAL", "="),
    "===": _operator("EQUAL", "="),
    "=<": _operator("LE", "<="),
    "=>": _operator("GE", ">="),
    "<>": _operator("UNEQUAL", "!="),
    "~=": _operator("UNEQUAL", "!="),
    "/=": _operator("UNEQUAL", "!="),
    "≤": _operator("LE", "<="),
    "≥": _operator("GE", ">="),
    "≠": _operator("UNEQUAL", "!="),
    "⩽": _operator("LE", "<="),
    "⩾": _operator("GE", ">="),
    "⪯": _operator("MATRIX_LE", "<<"),
    "⪰": _operator("MATRIX_GE", ">>"),
    "−": _operator("MINUS", "-"),
    "–": _operator("MINUS", "-"),
    "—": _operator("MINUS", "-"),
    "×": _operator("STAR", "*"),
    "·": _operator("STAR", "*"),
    "⋅": _operator("STAR", "*"),
    "∗": _operator("STAR", "*"),
    "÷": _operator("SLASH", "/"),
    "∈": _operator("IN", "in"),
    "∪": _operator("VBAR", "|"),
    "∩": _operator("AMPERSAND", "&"),
    "∧": _operator("AND", "and"),
    "∨": _operator("OR", "or"),
    "¬": _operator("NOT", "not"),
    "&&": _operator("AND", "and"),
    "||": _operator("OR", "or"),
    "!": Foreign(("NOT",), NO_OPERATOR, "write `not`; a factorial is `prod(k for k in 1..n)`"),
    "∞": _operator("NUMBER", "inf"),
    ".*": _elementwise("STAR", "*"),
    "./": _elementwise("SLASH", "/"),
    ".^": _elementwise("CIRCUMFLEX", "^"),
    "...": _operator("TO_RANGE", ".."),
    "…": _operator("TO_RANGE", ".."),
    "//": Foreign(("SLASH",), NO_OPERATOR, "write `div(a, b)` to divide and round down; comments start with `#`"),
    "%": Foreign(("STAR",), NO_OPERATOR, "write `mod(a, b)` for the remainder"),
    "+=": _operator("PLUS", "+"),
    "?": Foreign(("IF",), NO_OPERATOR, "write `a if condition else b`"),
    "\\": Foreign((), "has no meaning here", "a line that ends in an operator, a comma or a colon goes on by itself"),
    "∑": Foreign(("NAME",), "is not a function here", "write `sum(x[i] for i in I)`"),
    "∀": Foreign(("FOR",), NO_OPERATOR, "write the indices after the name: `limit[i in I]: x[i] <= 1`"),
}  # fmt: skip
