"""Templates as text that a person can read: `sum(cost[i] * buy[i] for i in FOOD)`."""

from __future__ import annotations

import re
from collections.abc import Mapping

import sympy

from optdsl.atoms import ENTRIES, INTERNAL
from optdsl.terms import nodes
from optdsl.terms.nodes import Index

_LETTERS = "ijklmnpqrstuvw"
_RANGE = re.compile(r"(-?\d+)\.\.-?\d+")
_SUM, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4


def index_letter(index: Index) -> str:
    """A letter for a canonical index: i0 -> i, i1 -> j ...; a temporary index keeps its name."""
    if not index.name.startswith("i"):
        return index.name
    level = index.level
    return _LETTERS[level] if level < len(_LETTERS) else f"i{level}"


def show(
    expression: sympy.Basic, names: Mapping[Index, str] | None = None, families: Mapping[str, int] | None = None
) -> str:
    """The text of an expression; `names` replaces the canonical letters of indices.

    `families` tells how many indices the families of sets have: their members are then written `j in OUT[i]`.
    """
    return _Printer(names or {}, families or {}).text(expression, 0)


class _Printer:
    def __init__(self, names: Mapping[Index, str], families: Mapping[str, int]) -> None:
        self.names, self.families = names, families

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
        if isinstance(e, nodes.Apply) and e.name in INTERNAL:
            return self._formula(e, level)
        method = getattr(self, "_" + type(e).__name__.lower(), None)
        if method is not None:
            return method(e)
        if e.is_number:
            own = _SUM if e.could_extract_minus_sign() else _PRODUCT if e.is_Rational and not e.is_Integer else _ATOM
            return self._wrap(_number(e), own, level)
        return str(e)

    def _wrap(self, text: str, own: int, level: int) -> str:
        return f"({text})" if own < level else text

    def _add(self, e: sympy.Add) -> str:
        parts = []
        for term in e.args:
            negative = term.could_extract_minus_sign()
            text = self.text(-term if negative else term, _PRODUCT)
            # variables before data, numbers last, what is subtracted after what is added
            parts.append((bool(term.is_number), not nodes.has_variables(term), negative, text))
        parts.sort()
        first = next((p for p in parts if not p[2]), parts[0])  # `4 - x` rather than `-x + 4`
        parts.remove(first)
        return ("-" if first[2] else "") + first[3] + "".join(f" {'-' if p[2] else '+'} {p[3]}" for p in parts)

    def _mul(self, e: sympy.Mul) -> str:
        number, rest = e.as_coeff_mul()
        below = [f for f in rest if isinstance(f, sympy.Pow) and f.exp == -1]
        above = sorted((nodes.has_variables(f), self.text(f, _POWER)) for f in rest if f not in below)
        sign = ""
        if number.is_negative:
            sign, number = "-", -number
        parts = [] if number == 1 and above else [_number(number)]
        parts += [text for _, text in above]
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
        index = self.families.get(e.set.name, 0) if isinstance(e.set, nodes.NamedSet) else 0
        slots = self._slots(e.slots[index:])
        of = f"[{self._slots(e.slots[:index])}]" if index else ""
        return f"{slots if len(e.slots) - index == 1 else f'({slots})'} in {self.text(e.set)}{of}"

    def _over(self, e: nodes.Over) -> str:
        text = ", ".join(self.text(each) for each in e.iterators)
        if e.conditions:
            text += " if " + " and ".join(self.text(c) for c in e.conditions)
        return text

    def _apply(self, e: nodes.Apply) -> str:
        return f"{e.name}({self._slots(e.slots)})"

    def _formula(self, e: nodes.Apply, level: int) -> str:
        """A function that the language has no name for, as the formula that it stands for: `x^2 / y`."""
        row = ENTRIES[e.name]
        arguments = dict(zip(row.parameters, e.slots, strict=True))
        formula = row.formula.partition(" with ")[0]
        if "p" in arguments:
            other = "(p - 1)" if "(p - 1)" in formula else "(1 - p)"
            arguments["q"] = arguments["p"] - 1 if other == "(p - 1)" else 1 - arguments["p"]
            formula = formula.replace(other, "q")

        def put(found: re.Match[str]) -> str:
            alone = formula[: found.start()][-1:] == "(" and formula[found.end() :][:1] == ")"
            return self.text(arguments[found.group()], 0 if alone else _ATOM)

        text = re.sub(rf"\b({'|'.join(arguments)})\b", put, formula)
        call = re.fullmatch(r"\w+\(.*\)", formula) is not None
        return self._wrap(text, _ATOM if call else _PRODUCT, level)

    def _reduce(self, e: nodes.Reduce) -> str:
        whole = self._literal(e)
        extra = "".join(f", {self.text(x)}" for x in e.extra)
        if whole is not None:
            return f"{e.name}({whole}{extra})"
        if e.extra:
            return f"{e.name}([{self.text(e.body)} for {self.text(e.over)}]{extra})"
        return f"{e.name}({self.text(e.body)} for {self.text(e.over)})"

    def _literal(self, e: nodes.Reduce) -> str | None:
        """`[a, b, c]` where the members of a reduction are those of an array written out."""
        body, over = e.body, e.over
        if not isinstance(body, nodes.Pick) or len(over.iterators) != 1 or over.conditions:
            return None
        (each,) = over.iterators
        if body.args[0] != nodes.Position(each.set, *each.slots):
            return None
        return f"[{self._slots(body.args[1:])}]"

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
        term, position = e.args[:2]
        low = _first(term)
        if low is not None:
            return self.text(low + position.replace(_in_range, lambda p: p.slots[0] - _first(p.set)))
        found = [p for p in sympy.Add.make_args(position) if isinstance(p, nodes.Position)]
        if position == 0:
            return f"first({self.text(term)})"
        if found and found[0].set == term and position - found[0] in (1, -1):
            return f"{'next' if position - found[0] == 1 else 'prev'}({self._slots(found[0].slots)}, {self.text(term)})"
        if position + 1 == nodes.Size(term):
            return f"last({self.text(term)})"
        position = position.replace(_in_range, lambda p: p.slots[0] - _first(p.set))
        return f"{self.text(term)}.at({self.text(position + 1)})"

    def _size(self, e: nodes.Size) -> str:
        family = f"[{self._slots(e.args[1:])}]" if len(e.args) > 1 else ""
        return f"size({self.text(e.args[0])}{family})"

    def _pick(self, e: nodes.Pick) -> str:
        position = e.args[0]
        place = self.text(position + 1)
        if isinstance(position, nodes.Position):
            numbered = _first(position.set) == 1
            slots = self._slots(position.slots)
            place = slots if numbered else f"ord({slots}, {self.text(position.set)})"
        return f"[{self._slots(e.args[1:])}][{place}]"


def _first(term: sympy.Basic) -> sympy.Expr | None:
    """The first of consecutive integers; None for any other set."""
    if isinstance(term, nodes.RangeSet):
        return term.args[0] if term.args[2] == 1 else None
    written = _RANGE.fullmatch(term.name) if isinstance(term, nodes.NamedSet) else None
    return None if written is None else sympy.Integer(int(written.group(1)))


def _in_range(e: sympy.Basic) -> bool:
    """Whether a position is counted in a range of consecutive integers: i is at i - low there."""
    return isinstance(e, nodes.Position) and _first(e.set) is not None


def _number(e: sympy.Basic) -> str:
    if e.is_Float:
        return f"{float(e):.15g}"
    if e is sympy.S.Infinity:
        return "inf"
    if e is sympy.S.NegativeInfinity:
        return "-inf"
    return str(e)
