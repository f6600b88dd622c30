"""Numbers and literals of the syntax tree, and what parts of it are called in messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy

from optdsl.language import tree


def number(value: float) -> sympy.Expr:
    """A number as SymPy's; a whole one as an Integer, so that `1.0 * x` and `x` are one expression."""
    if isinstance(value, int):
        return sympy.Integer(value)
    if np.isinf(value):
        return sympy.S.Infinity if value > 0 else sympy.S.NegativeInfinity
    if value == int(value) and abs(value) < 2**53:
        return sympy.Integer(int(value))
    return sympy.Float(value)


def literal_values(node: tree.Expr) -> np.ndarray | None:
    """The numbers of a (nested) array literal, or None where it is not one of plain numbers of a regular shape."""

    def plain(item: tree.Expr) -> Any:
        if isinstance(item, tree.Number):
            return item.value
        if isinstance(item, tree.Unary) and item.op == "-" and isinstance(item.operand, tree.Number):
            return -item.operand.value
        if isinstance(item, tree.ArrayLiteral):
            return [plain(part) for part in item.items]
        raise ValueError

    try:
        return np.array(plain(node), dtype=float)
    except (ValueError, OverflowError):
        return None


def chain_of(node: tree.Binary, op: str) -> list[tree.Expr]:
    """The operands of a left-deep chain of one operator."""
    parts: list[tree.Expr] = []
    rest: tree.Expr = node
    while isinstance(rest, tree.Binary) and rest.op == op:
        parts.append(rest.right)
        rest = rest.left
    parts.append(rest)
    return parts[::-1]


def kind_text(node: tree.Expr) -> str:
    kinds = {
        tree.TupleExpr: "a tuple",
        tree.SetLiteral: "a set",
        tree.SetBuilder: "a set",
        tree.DictLiteral: "a dictionary",
        tree.RangeExpr: "a range",
    }
    return kinds.get(type(node), "this")


def hint_for(node: tree.Expr) -> str | None:
    if isinstance(node, tree.DictLiteral):
        return "a dictionary gives the values of a parameter: `param NAME[SET] = {...}`"
    if isinstance(node, tree.SetLiteral | tree.SetBuilder | tree.RangeExpr):
        return "iterate over it: `for i in ...`, or declare it: `set NAME = ...`"
    if isinstance(node, tree.TupleExpr):
        return "a tuple is an index or a member of a set: `x[i, j]`, `(i, j) in ARC`; an array is written `[a, b]`"
    return None
