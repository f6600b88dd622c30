"""What names mean while a text is elaborated, and the faults that elaboration reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import sympy

from optdsl.data.members import SetValue
from optdsl.data.saved import SavedResult
from optdsl.errors import Diagnostic, ModelError, Source, Span, closest
from optdsl.language import tree
from optdsl.model.shapes import Arr, Axis, Marker
from optdsl.terms import nodes
from optdsl.terms.evaluate import Lanes
from optdsl.terms.lanes import Family
from optdsl.terms.nodes import Index


@dataclass(frozen=True, eq=False)
class SetSymbol:
    """A set, or a family of sets (`family_axes` then gives its index)."""

    name: str
    value: SetValue | Family


@dataclass(frozen=True, eq=False)
class EntrySymbol:
    """A parameter or a variable: `role`, its axes, and for a parameter with member values their set."""

    name: str
    role: str
    axes: tuple[Axis, ...]
    attributes: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class LetSymbol:
    """A named expression, elaborated; `metric` names one in it that cannot be optimized."""

    name: str
    array: Arr
    metric: str | None = None


@dataclass(frozen=True, eq=False)
class FunctionSymbol:
    """A function of the user's own."""

    name: str
    declaration: tree.LetDecl


@dataclass(frozen=True, eq=False)
class OtherSymbol:
    """A name that has no value in an expression: a table, a constraint, an objective."""

    name: str
    kind: str


Symbol = SetSymbol | EntrySymbol | LetSymbol | FunctionSymbol | OtherSymbol


@dataclass(frozen=True, eq=False)
class Context:
    """Where an expression stands: the indices bound around it, arguments of functions, and what it may speak of.

    `mode`: `data` (no variables), `model`, `let` (metrics too), or `show` (everything is a number).
    """

    indices: Mapping[str, sympy.Expr] = field(default_factory=dict)
    arguments: Mapping[str, Arr] = field(default_factory=dict)
    mode: str = "model"
    calls: tuple[str, ...] = ()

    @property
    def bound(self) -> frozenset[Index]:
        """The indices bound around the expression."""
        values = [*self.indices.values(), *(a.body for a in self.arguments.values())]
        own = {i for a in self.arguments.values() for i in a.indices}
        return frozenset(i for v in values for i in v.atoms(Index)) - own

    def bind(self, names: Mapping[str, sympy.Expr]) -> Context:
        """With more indices bound."""
        return replace(self, indices={**self.indices, **names})


@dataclass(eq=False)
class Workspace:
    """The symbols known so far, the anonymous sets and arrays that expressions made, and the lanes over them."""

    source: Source
    symbols: dict[str, Symbol]
    lanes: Lanes
    marker: Marker
    folder: Path = Path()
    anonymous: int = 0
    index_names: Collection[str] = ()  # all names that some iteration binds
    declared: Collection[str] = ()  # all names of the text, also those whose symbol is not known (yet)
    seed: int | None = None  # of the starts that are drawn; None: not settled yet
    point: SavedResult | None = None  # the values that all variables have, where a model is only evaluated
    results: dict[Path, SavedResult] = field(default_factory=dict)  # saved results, each read once
    remarks: list[str] = field(default_factory=list)  # what a person should know about the data

    def fresh_name(self, stem: str) -> str:
        """A name that no user can write, for an inline set or array."""
        self.anonymous += 1
        return f"{stem}#{self.anonymous}"

    def add_set(self, value: SetValue, text: str) -> nodes.NamedSet:
        """Register an inline set; the same text gives the same term."""
        name = text
        known = self.lanes.sets.get(name)
        if isinstance(known, SetValue) and known is not value:
            from optdsl.data.members import same_members

            if same_members(known, value):
                return nodes.NamedSet(name)
            name = self.fresh_name(text)
        self.lanes.sets[name] = value  # type: ignore[index]
        return nodes.NamedSet(name)

    def fault(
        self, code: str, span: Span | None, message: str, hint: str | None = None, notes: tuple[str, ...] = ()
    ) -> NoReturn:
        """Raise one mistake of the text."""
        raise ModelError(Diagnostic(code, message, span, hint, self.source, None, notes))

    def lookup(self, name: str, span: Span, context: Context) -> Symbol:
        """The symbol behind a name; an unknown one is an error with the closest known name."""
        symbol = self.symbols.get(name)
        if symbol is None:
            known = [*self.symbols, *self.declared, *context.indices, *context.arguments]
            guess = closest(name, known)
            hint = f"did you mean `{guess}`?" if guess else f"declare it: `param {name}`, `var {name}` or `set {name}`"
            if guess is None and name in self.index_names:
                hint = f"the index `{name}` is known only inside its own iteration, `for {name} in ...`"
            if guess is not None and name == guess.lower() and isinstance(self.symbols.get(guess), SetSymbol):
                hint = f"bind it as an index: `[{name} in {guess}]` or `for {name} in {guess}`"
            self.fault("unknown-name", span, f"`{name}` is not declared", hint)
        return symbol


def kind_of(symbol: Symbol) -> str:
    """`a parameter`, `a table` ..., as messages say it."""
    if isinstance(symbol, EntrySymbol | OtherSymbol):
        kind = symbol.role if isinstance(symbol, EntrySymbol) else symbol.kind
    else:
        kind = {SetSymbol: "set", LetSymbol: "named expression", FunctionSymbol: "function"}[type(symbol)]
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def set_axis(name: str, value: SetValue) -> Axis:
    """An axis over a declared set."""
    return Axis(nodes.NamedSet(name), value.arity, value)


def is_index(expression: sympy.Basic) -> bool:
    return isinstance(expression, Index)
