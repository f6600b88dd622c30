"""Templates as text that a person can read: `sum(cost[i] * buy[i] for i in FOOD)`."""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from optdsl.terms import nodes
from optdsl.terms.nodes import Index

_LETTERS = "ijklmnpqrstuvw"
_SUM, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4


def index_letter(index: Index) -> str:
    """A letter for a canonical index: i0 -> i, i1 -> j ...; a temporary index keeps its name."""
    if not index.name.startswith("i"):
        return index.name
    level = index.level
    return _LETTERS[level] if level < len(_LETTERS) else f"i{level}"


def show(expression: sympy.Basic, names: Mapping[Index, str] | None = None) -> str:
    """The text of an expression; `names` replaces the canonical letters of indices."""
    return _Printer(names or {}).text(expression, 0)


class _Printer:
    def __init__(self, names: Mapping[Index, str]) -> None:
        self.names = names

    def text(self, e: sympy.Basic, level: int = 0) -> str:
        if isinstance(e, Index):
            return self.names.get(e) or index_letter(e)
        if isinstance(e, sympy.Add):
            return self._wrap(self._add(e), _SUM, level)
        if isinstance(e, sympy.Mul):
            return self._wrap(self._mul(e), _PRODUCT, level)
        if isinstance(e, sympy.Pow):
            if e.exp == -1:
                return self._wrap("1 / " + self.text(e.base, _POWER), _PRODUCT, level)
            return self._wrap(f"{self.text(e.base, _ATOM)}^{self.text(e.exp, _ATOM)}", _POWER, level)
        method = getattr(self, "_" + type(e).__name__.lower(), None)
        if method is not None:
            return method(e)
        if e.is_number:
            return self._wrap(_number(e), _SUM if e.could_extract_minus_sign() else _ATOM, level)
        return str(e)

    def _wrap(self, text: str, own: int, level: int) -> str:
        return f"({text})" if own < level else text

    def _add(self, e: sympy.Add) -> str:
        text = ""
        terms = sorted(e.args, key=lambda a: (a.is_number, not nodes.has_variables(a), str(a)))
        for k, term in enumerate(terms):
            negative = term.could_extract_minus_sign()
            part = self.text(-term if negative else term, _PRODUCT)
            text += ("-" if negative else "") + part if k == 0 else f" {'-' if negative else '+'} {part}"
        return text

    def _mul(self, e: sympy.Mul) -> str:
        number, rest = e.as_coeff_mul()
        below = [f for f in rest if isinstance(f, sympy.Pow) and f.exp == -1]
        above = sorted((f for f in rest if f not in below), key=lambda f: (nodes.has_variables(f), str(f)))
        sign = ""
        if number.is_negative:
            sign, number = "-", -number
        parts = [] if number == 1 and above else [_number(number)]
        parts += [self.text(f, _POWER) for f in above]
        text = sign + " * ".join(parts)
        for f in below:
            text += " / " + self.text(f.base, _POWER)
        return text

    def _slots(self, slots: tuple[sympy.Basic, ...]) -> str:
        return ", ".join(self.text(s) for s in slots)

    def _variableentry(self, e: nodes.VariableEntry) -> str:
        return f"{e.name}[{self._slots(e.slots)}]" if e.slots else e.name

    _parameterentry = _variableentry

    def _label(self, e: nodes.Label) -> str:
        return f'"{e.name}"'

    def _namedset(self, e: nodes.NamedSet) -> str:
        return e.name

    def _rangeset(self, e: nodes.RangeSet) -> str:
        low, high, step = e.args
        by = "" if step == 1 else f" by {self.text(step)}"
        return f"{self.text(low)}..{self.text(high)}{by}"

    def _each(self, e: nodes.Each) -> str:
        slots = self._slots(e.slots)
        return f"{slots if len(e.slots) == 1 else f'({slots})'} in {self.text(e.set)}"

    def _over(self, e: nodes.Over) -> str:
        text = ", ".join(self.text(each) for each in e.iterators)
        if e.conditions:
            text += " if " + " and ".join(self.text(c) for c in e.conditions)
        return text

    def _apply(self, e: nodes.Apply) -> str:
        return f"{e.name}({self._slots(e.slots)})"

    def _reduce(self, e: nodes.Reduce) -> str:
        extra = "".join(f", {self.text(x)}" for x in e.extra)
        return f"{e.name}({self.text(e.body)}{extra} for {self.text(e.over)})"

    def _block(self, e: nodes.Block) -> str:
        return f"[{self.text(e.body)} for {', '.join(self.text(a) for a in e.axes)}]"

    def _arraycall(self, e: nodes.ArrayCall) -> str:
        at = f"[{self._slots(e.positions)}]" if e.positions else ""
        return f"{e.name}({self._slots(e.arguments)}){at}"

    def _choose(self, e: nodes.Choose) -> str:
        condition, then, otherwise = e.args
        return f"({self.text(then)} if {self.text(condition)} else {self.text(otherwise)})"

    def _compare(self, e: nodes.Compare) -> str:
        left, right = e.slots
        return f"{self.text(left)} {e.name} {self.text(right)}"

    def _logic(self, e: nodes.Logic) -> str:
        if e.name == "not":
            return f"not ({self.text(e.slots[0])})"
        return "(" + f" {e.name} ".join(self.text(p) for p in e.slots) + ")"

    def _contains(self, e: nodes.Contains) -> str:
        slots = self._slots(e.slots)
        return f"{slots if len(e.slots) == 1 else f'({slots})'} in {self.text(e.set)}"

    def _position(self, e: nodes.Position) -> str:
        return f"(ord({self._slots(e.slots)}, {self.text(e.set)}) - 1)"

    def _nth(self, e: nodes.Nth) -> str:
        return f"{self.text(e.args[0])}({self.text(e.args[1] + 1)})"

    def _size(self, e: nodes.Size) -> str:
        family = f"[{self._slots(e.args[1:])}]" if len(e.args) > 1 else ""
        return f"size({self.text(e.args[0])}{family})"

    def _pick(self, e: nodes.Pick) -> str:
        return f"[{self._slots(e.args[1:])}][{self.text(e.args[0])}]"


def _number(e: sympy.Basic) -> str:
    if e.is_Float:
        return f"{float(e):.15g}"
    if e is sympy.S.Infinity:
        return "inf"
    if e is sympy.S.NegativeInfinity:
        return "-inf"
    return str(e)
