"""The options of `solve using METHOD(option = value)` as Python values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optdsl.errors import OptError
from optdsl.language import tree
from optdsl.model.elaborate import Elaborator
from optdsl.model.scope import Context, LetSymbol, SetSymbol
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables


@dataclass(frozen=True, slots=True, repr=False)
class OptionCall:
    """A schedule such as `cosine(1e-3, warmup = 100)`."""

    name: str
    arguments: tuple[object, ...]
    keywords: tuple[tuple[str, object], ...]

    def __repr__(self) -> str:
        parts = [*map(repr, self.arguments), *(f"{name} = {value!r}" for name, value in self.keywords)]
        return f"{self.name}({', '.join(parts)})"


@dataclass(frozen=True, slots=True, repr=False)
class OptionName:
    """A word such as `auto`, or the name of a set (`over = ROW`)."""

    name: str

    def __repr__(self) -> str:
        return self.name


def seed_options(file: tree.File) -> list[tree.Keyword]:
    """The option `seed` of the file's `solve using`, if it is there."""
    found = next((s for s in file.statements if isinstance(s, tree.Solve)), None)
    return [k for k in found.options if k.name == "seed"] if found is not None else []


def seed_of(elaborator: Elaborator, file: tree.File) -> int:
    """The seed in `solve using METHOD(seed = ...)`, else 0; what is wrong with it is told with the options."""
    for keyword in seed_options(file):
        try:
            value = option_values(elaborator, [keyword])["seed"]
        except OptError:
            continue
        if isinstance(value, int | float) and value >= 0 and value == int(value):
            return int(value)
    return 0


def option_values(elaborator: Elaborator, keywords: Sequence[tree.Keyword]) -> dict[str, object]:
    """Each option's value; an option given twice is an error."""
    values: dict[str, object] = {}
    for keyword in keywords:
        if keyword.name in values:
            elaborator.fault(
                "repeated-option", keyword.span, f"the option `{keyword.name}` is given twice", "keep one of the two"
            )
        values[keyword.name] = _value(elaborator, keyword.value)
    return values


def _value(elaborator: Elaborator, node: tree.Expr) -> object:
    if isinstance(node, tree.Number):
        return node.value
    if isinstance(node, tree.String):
        return node.value
    symbols = elaborator.workspace.symbols
    if isinstance(node, tree.Name) and (node.name not in symbols or _is_named(symbols[node.name])):
        return OptionName(node.name)
    if isinstance(node, tree.Call) and node.domain is None and node.name not in symbols:
        return OptionCall(
            node.name,
            tuple(_value(elaborator, a) for a in node.args),
            tuple((k.name, _value(elaborator, k.value)) for k in node.keywords),
        )
    expression = elaborator.scalar(node, Context(mode="data"), "an option")
    value = float(elaborator.workspace.lanes.numbers(expression, Frame()).reshape(-1)[0])
    return int(value) if value == int(value) else value


def _is_named(symbol: object) -> bool:
    """Whether an option means the name itself: of a set, or of an expression whose value is known after the solve."""
    return isinstance(symbol, SetSymbol) or (isinstance(symbol, LetSymbol) and has_variables(symbol.array.body))
