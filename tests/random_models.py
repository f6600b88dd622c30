"""Random models as texts: sets of every kind, data, variables, and statements with nested sums, joins and conditions.

The sets are drawn first and evaluated plainly; with their members known, statements are drawn so that most look-ups
are inside their sets (some are not, on purpose: both sides must then find a mistake).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from naive import Naive

Member = tuple[Any, ...]


@dataclass(frozen=True)
class Bound:
    """Indices in scope: their names and the tuples that they may stand for (a superset)."""

    names: tuple[str, ...]
    values: frozenset[Member]


Scope = tuple[Bound, ...]


@dataclass
class Entity:
    """A parameter or variable: name and its axes, each a set's name."""

    name: str
    axes: tuple[str, ...]


@dataclass
class Dice:
    """Choices, drawn by Hypothesis."""

    draw: Callable[..., Any]

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def chance(self, percent: int) -> bool:
        return self.number(1, 100) > 100 - percent

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self.number(0, len(options) - 1)]


def quoted(label: Any) -> str:
    return f'"{label}"' if isinstance(label, str) else str(label)


@dataclass
class Writer:
    """Draws one model."""

    dice: Dice
    lines: list[str] = field(default_factory=list)
    members: dict[str, list[Member]] = field(default_factory=dict)
    families: dict[str, dict[Member, list[Member]]] = field(default_factory=dict)
    parameters: list[Entity] = field(default_factory=list)
    labels: list[tuple[Entity, str]] = field(default_factory=list)
    variables: list[Entity] = field(default_factory=list)
    arities: dict[str, int] = field(default_factory=dict)
    count: int = 0
    integers: bool = False
    wild: int = 2  # percent of look-ups that are not checked

    # ------------------------------------------------------------------------------------------------------------ sets

    def sets(self) -> None:
        d = self.dice
        n = d.pick([3, 2, 4, 1, 5, 0])
        texts = {
            "N": f"1..{n}",
            "S": "{" + ", ".join(f'"{c}"' for c in "abcd"[: d.pick([2, 3, 1])]) + "}",
            "R": d.pick(["0..4 by 2", "2..5", "5..1 by -2", "{3, 1, 7}", "-1..1", '{2, "b", "z"}', "N"]),
        }
        texts["U"] = d.pick(
            [
                "{i in N if i >= 2}",
                "N | R",
                "N & R",
                "R - N",
                "{i + 1 for i in N}",
                "{mod(i, 2) for i in N}",
                "{j for i in N, j in 1..i if j != 2}",
                "N - {1}",
                "(N | {9}) - R",
                "{i in N if i in R or i = 1}",
                "{k for k in N if not (k = 1)}",
                "1..size(S)",
            ]
        )
        texts["A"] = d.pick(
            [
                "{(i, s) in N * S if i > 1}",
                "N * S",
                "{(i, j) in N * N if i < j}",
                "{(i, j) for i in N, j in 1..i}",
                "{(i, j) for j in N, i in N if i != j}",
                '{(i, s) in N * S if not (i = 1 and s = "a")}',
                "{(2, 1), (1, 3), (1, 1)}",
                '{("a", 1), ("b", 2), ("a", 3)}',
                "{(i, i + 1) for i in N}",
                "{(i, j) in N * R if i in R}",
            ]
        )
        texts["B"] = d.pick(
            [
                "{(j, i) for (i, j) in A}",
                "{(i, j, k) for (i, j) in A, k in U}",
                "{(i, k) for (i, j) in A, (j, k) in A}",
                "{(i, j, k) for (i, j) in A, (i, k) in A if k != j}",
                "{(i, j) in A if i = first(N)}" if n else "A",
                "{(k, i) for k in S, i in N if i = 2}",
                "A - {(i, j) in A if j = 1}",
                "S * U",
            ]
        )
        self.arities = {**dict.fromkeys("NSRU", 1), "A": 2, "B": 3 if "(i, j, k) for" in texts["B"] else 2}
        families = {
            "F": ("i in N", d.pick(["1..i", "{j for (i, j) in A}", "{j in U if j != i}", "{j for (k, j) in A if k = i}",
                                    "{i, i + 1}", "i..3", "{j for j in N, s in S if j + 1 = i}", "N - {i}"])),
            "G": ("s in S", d.pick(["{i for (i, s) in A}", "{i in N if s != \"a\" or i > 1}", "U", "{s}"])),
        }  # fmt: skip
        self.lines += [f"set {name} = {text}" for name, text in texts.items()]
        self.lines += [f"set {name}[{over}] = {text}" for name, (over, text) in families.items()]
        naive = Naive("\n".join(self.lines), {})
        self.members = {name: naive.set(name) for name in texts}
        self.families = {name: naive.set(name) for name in families}

    @property
    def simple(self) -> list[str]:
        return ["N", "S", "R", "U"]

    @property
    def tuples(self) -> list[str]:
        return ["A", "B"]

    # ------------------------------------------------------------------------------------------- parameters, variables

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def some_axes(self) -> tuple[str, ...]:
        d = self.dice
        return d.pick([("N",), ("S",), ("A",), ("N", "S"), ("R",), ("U",), ("B",), ("N", "N"), ("N", "A"), ()])

    def value(self) -> str:
        return self.dice.pick(["1", "2", "-1", "0.5", "3", "0", "-2.5", "4"])

    def keys(self, axes: Sequence[str]) -> list[Member]:
        return [sum(parts, ()) for parts in itertools.product(*(self.members[a] for a in axes))]

    def parameter(self) -> None:
        d, axes, name = self.dice, self.some_axes(), self.fresh("p")
        if not axes:
            self.lines.append(f"param {name} = {self.value()}")
        elif len(axes) == 1 and axes[0] in self.simple and d.chance(25):
            self.lines.append(self.recursive(name, axes[0]))
        elif d.chance(30):
            where, scope = self.domain(axes)
            self.lines.append(f"param {name}[{where}] = {self.data(scope, 2)}")
        elif d.chance(40) and len(axes) <= 2 and all(a in self.simple and self.members[a] for a in axes):
            sizes = [len(self.members[a]) for a in axes]
            self.lines.append(f"param {name}[{', '.join(axes)}] = {self.nested(sizes)}")
        else:
            keys = [k for k in self.keys(axes) if d.chance(70)]
            items = [f"{self.key(k)}: {self.value()}" for k in keys]
            self.lines.append(f"param {name}[{', '.join(axes)}] default 1.5 = {{{', '.join(items)}}}")
        self.parameters.append(Entity(name, axes))

    @staticmethod
    def key(member: Member) -> str:
        return quoted(member[0]) if len(member) == 1 else "(" + ", ".join(map(quoted, member)) + ")"

    def nested(self, sizes: Sequence[int]) -> str:
        if not sizes:
            return self.value()
        return "[" + ", ".join(self.nested(sizes[1:]) for _ in range(sizes[0])) + "]"

    def recursive(self, name: str, axis: str) -> str:
        step = self.dice.pick(
            [f"2 * {name}[prev(i, {axis})] + 1", f"{name}[prev(i, {axis})] - ord(i, {axis})",
             f"sum({name}[j] for j in {axis} if ord(j, {axis}) < ord(i, {axis})) + 1"]
        )  # fmt: skip
        return f"param {name}[i in {axis}] = 1 if ord(i, {axis}) = 1 else {step}"

    def label_parameter(self) -> None:
        d = self.dice
        axis, target = d.pick(["N", "S", "U", "A"]), d.pick(["N", "S", "R"])
        if not self.members[target]:
            return
        name = self.fresh("m")
        items = [f"{self.key(k)}: {quoted(d.pick(self.members[target])[0])}" for k in self.members[axis]]
        if not items:
            return
        self.lines.append(f"param {name}[{axis}] in {target} = {{{', '.join(items)}}}")
        self.labels.append((Entity(name, (axis,)), target))

    def variable(self, bounds: bool) -> None:
        d, axes, name = self.dice, self.some_axes(), self.fresh("x")
        text = f"[{', '.join(axes)}]" if axes else ""
        extra = ""
        if len(axes) == 1 and axes[0] in self.simple and d.chance(15):
            where, scope = self.domain(axes)
            text = f"[{where}]"
            extra = f" >= {self.data(scope, 1)}"
        if axes == ("N", "N") and d.chance(40):
            extra = " symmetric"
        if bounds:
            extra = extra.partition(">=")[0] + d.pick([" >= 0, <= 4", " in [-2, 3]", " >= -1, <= 5", " binary"])
            extra += " integer" if "binary" not in extra and self.integers and d.chance(50) else ""
            extra = extra if self.integers else extra.replace("binary", ">= 0, <= 1")
            extra = extra.replace("symmetric", "symmetric,").replace(" integer", ", integer")
        self.lines.append(f"var {name}{text}{extra}")
        self.variables.append(Entity(name, axes))

    # ----------------------------------------------------------------------------------------------------- iterators

    def names(self, scope: Scope) -> set[str]:
        return {name for bound in scope for name in bound.names}

    def new(self, scope: Scope, count: int = 1) -> list[str]:
        free = [c for c in "ijklmnqrtuvwabcdefgh" if c not in self.names(scope)]
        return free[:count]

    def domain(self, axes: Sequence[str]) -> tuple[str, Scope]:
        """Iterators over whole sets."""
        scope: Scope = ()
        texts = []
        for axis in axes:
            text, bound = self.over_set(axis, scope)
            texts.append(text)
            scope = (*scope, bound)
        return ", ".join(texts), scope

    def over_set(self, name: str, scope: Scope) -> tuple[str, Bound]:
        arity = self.arities[name]
        names = self.new(scope, arity)
        bound = Bound(tuple(names), frozenset(self.members[name]))
        if arity == 1:
            return f"{names[0]} in {name}", bound
        return f"({', '.join(names)}) in {name}", bound

    def iterator(self, scope: Scope) -> tuple[str, Scope]:
        """One iterator, and the scope inside it."""
        d = self.dice
        kind = d.pick(["set", "set", "tuples", "join", "join", "family", "range", "product", "inline", "fixed"])
        if kind == "tuples":
            name = d.pick(self.tuples)
            if self.members[name]:
                text, bound = self.over_set(name, scope)
                return text, (*scope, bound)
        if kind == "join":
            found = self.joined(scope)
            if found is not None:
                return found
        if kind == "fixed":
            name = d.pick(self.tuples)
            if self.members[name]:
                member = d.pick(self.members[name])
                (new,) = self.new(scope)
                at = d.number(0, len(member) - 1)
                slots = [new if k == at else quoted(part) for k, part in enumerate(member)]
                values = frozenset((m[at],) for m in self.members[name])
                return f"({', '.join(slots)}) in {name}", (*scope, Bound((new,), values))
        if kind == "family":
            name = d.pick(list(self.families))
            index = self.index(scope, {"F": "N", "G": "S"}[name])
            members = {m for part in self.families[name].values() for m in part}
            if index is not None:
                (new,) = self.new(scope)
                return f"{new} in {name}[{index}]", (*scope, Bound((new,), frozenset(members)))
        if kind == "range":
            index = self.integer_index(scope)
            (new,) = self.new(scope)
            if index is not None:
                text = d.pick([f"1..{index}", f"{index}..3", f"{index} - 1..{index} + 1", f"3..{index} by -1"])
                return f"{new} in {text}", (*scope, Bound((new,), frozenset((k,) for k in range(-3, 12))))
            return f"{new} in 1..2", (*scope, Bound((new,), frozenset([(1,), (2,)])))
        if kind == "product":
            one, two = self.new(scope, 2)
            left, right = d.pick(self.simple), d.pick(self.simple)
            values = frozenset(a + b for a in self.members[left] for b in self.members[right])
            return f"({one}, {two}) in {left} * {right}", (*scope, Bound((one, two), values))
        if kind == "inline":
            new, other = self.new(scope, 2)
            name = d.pick(self.simple)
            inner = (*scope, Bound((other,), frozenset(self.members[name])))
            text = f"{{{other} in {name} if {self.condition(inner, 1)}}}"
            return f"{new} in {text}", (*scope, Bound((new,), frozenset(self.members[name])))
        text, bound = self.over_set(d.pick(self.simple), scope)
        return text, (*scope, bound)

    def joined(self, scope: Scope) -> tuple[str, Scope] | None:
        d = self.dice
        name = d.pick(self.tuples)
        bound = sorted(self.names(scope))
        if not self.members[name] or not bound:
            return None
        arity = len(self.members[name][0])
        at = d.number(0, arity - 1)
        column = {type(m[at]) for m in self.members[name]}
        bound = [name for name in bound if self.types(scope, name) == column]
        if not bound:
            return None
        names = self.new(scope, arity)
        names[at] = d.pick(bound)
        new = [n for k, n in enumerate(names) if k != at]
        values = frozenset(m[:at] + m[at + 1 :] for m in self.members[name])
        inner = (*scope, Bound(tuple(new), values), Bound(tuple(names), frozenset(self.members[name])))
        return f"({', '.join(names)}) in {name}", inner

    @staticmethod
    def types(scope: Scope, name: str) -> set[type]:
        """What an index may be: integers, texts or both."""
        return {type(v[b.names.index(name)]) for b in scope if name in b.names for v in b.values}

    def iterators(self, scope: Scope, most: int = 2) -> tuple[str, Scope]:
        texts = []
        for _ in range(self.dice.number(1, most)):
            text, scope = self.iterator(scope)
            texts.append(text)
        condition = f" if {self.condition(scope, 2)}" if self.dice.chance(40) else ""
        return ", ".join(texts) + condition, scope

    # ----------------------------------------------------------------------------------------------------- indices

    def index(self, scope: Scope, axis: str, wild: bool = True) -> str | None:
        """An index expression (of all parts of a tuple) that is inside a set."""
        members = set(self.members[axis])
        options: list[str] = []
        arity = self.arities[axis]
        for bound in scope:
            if len(bound.names) == arity and (bound.values <= members or (wild and self.dice.chance(self.wild))):
                options.append(", ".join(bound.names))
            for shift in (-1, 1, 2):
                if len(bound.names) == 1 and bound.values and all(isinstance(v[0], int) for v in bound.values):
                    moved = {(v[0] + shift,) for v in bound.values}
                    if moved <= members:
                        options.append(f"{bound.names[0]} {'+' if shift > 0 else '-'} {abs(shift)}")
            for k, name in enumerate(bound.names):
                if len(bound.names) > 1 and arity == 1 and bound.values and {(v[k],) for v in bound.values} <= members:
                    options.append(name)
        for entity, target in self.labels:
            if set(self.members[target]) <= members and self.dice.chance(40):
                inner = self.plain_index(scope, entity.axes[0])
                if inner is not None:
                    options.append(f"{entity.name}[{inner}]")
        if members and (not options or self.dice.chance(15)):
            options.append(", ".join(quoted(part) for part in self.dice.pick(sorted(members, key=str))))
        return self.dice.pick(options) if options else None

    def plain_index(self, scope: Scope, axis: str) -> str | None:
        members = set(self.members[axis])
        options = [", ".join(b.names) for b in scope if b.values <= members and len(b.names) == self.arities[axis]]
        return self.dice.pick(options) if options else None

    def integer_index(self, scope: Scope) -> str | None:
        names = [
            name
            for bound in scope
            for k, name in enumerate(bound.names)
            if bound.values and all(isinstance(v[k], int) for v in bound.values)
        ]
        return self.dice.pick(names) if names else None

    def text_index(self, scope: Scope) -> str | None:
        names = [
            name
            for bound in scope
            for k, name in enumerate(bound.names)
            if bound.values and all(isinstance(v[k], str) for v in bound.values)
        ]
        return self.dice.pick(names) if names else None

    def entry(self, entities: Sequence[Entity], scope: Scope) -> str | None:
        """An entry of one of the entities; where no index fits, the sum of all its entries."""
        if not entities:
            return None
        entity = self.dice.pick(entities)
        if not entity.axes:
            return entity.name
        indices = [self.index(scope, axis, wild=entity.name[0] != "l") for axis in entity.axes]
        if all(i is not None for i in indices):
            return f"{entity.name}[{', '.join(i for i in indices if i is not None)}]"
        return None

    # -------------------------------------------------------------------------------------------- conditions, data

    def condition(self, scope: Scope, depth: int) -> str:
        d = self.dice
        if depth > 0 and d.chance(30):
            one, two = self.condition(scope, depth - 1), self.condition(scope, depth - 1)
            return d.pick([f"{one} and {two}", f"({one}) or ({two})", f"not ({one})", f"{one} and ({two})"])
        kind = d.pick(["compare", "compare", "equal", "text", "member", "tuple", "data", "size"])
        integer, text = self.integer_index(scope), self.text_index(scope)
        if kind == "compare" and integer is not None:
            other = d.pick([self.integer_index(scope), "2", "1"])
            return f"{integer} {d.pick(['<', '<=', '>', '>=', '!='])} {other}"
        if kind == "equal" and self.names(scope):
            one, two = d.pick(sorted(self.names(scope))), d.pick(sorted(self.names(scope)))
            if integer is not None and d.chance(40):
                return d.pick([f"{one} = {integer} + 1", f"{one} = 2", f"2 = {integer}", f"{one} = {integer}"])
            for entity, _ in self.labels:
                index = self.plain_index(scope, entity.axes[0])
                if index is not None and d.chance(50):
                    return f"{one} = {entity.name}[{index}]"
            return f"{one} {d.pick(['=', '=', '!='])} {two}"
        if kind == "text" and text is not None:
            return f"{text} {d.pick(['=', '!='])} {d.pick([self.text_index(scope), quoted('a'), quoted('b')])}"
        if kind == "member" and self.names(scope):
            name = d.pick(sorted(self.names(scope)))
            options = [f"{name} in {d.pick(self.simple)}"]
            if integer is not None:
                options += [f"{integer} + 1 in {d.pick(self.simple)}", f"{name} in 1..{integer}"]
            return d.pick(options)
        if kind == "tuple" and len(self.names(scope)) > 1:
            one, two = d.pick(sorted(self.names(scope))), d.pick(sorted(self.names(scope)))
            return f"({one}, {two}) in A" if not self.members["A"] or len(self.members["A"][0]) == 2 else "1 = 1"
        if kind == "data":
            return f"{self.data(scope, 1)} {d.pick(['>=', '<', '!='])} {self.value()}"
        return f"size({d.pick(self.simple + self.tuples)}) {d.pick(['>', '<='])} 2"

    def data(self, scope: Scope, depth: int) -> str:
        d = self.dice
        kind = d.pick(["entry", "number", "index", "order", "sum", "sum", "binary", "choose", "max", "size"])
        if depth <= 0 and kind in ("sum", "binary", "choose", "max"):
            kind = "entry"
        if kind == "index":
            integer = self.integer_index(scope)
            if integer is not None:
                return integer
        if kind == "order":
            axis = d.pick(self.simple)
            index = self.plain_index(scope, axis)
            if index is not None:
                return f"ord({index}, {axis})"
        if kind == "sum":
            over, inner = self.iterators(scope)
            return f"sum({self.data(inner, depth - 1)} for {over})"
        if kind == "binary":
            left, right = self.data(scope, depth - 1), self.data(scope, depth - 1)
            # a difference of equals is 0 before anything in it is looked up
            return f"({left} {d.pick(['+', '-', '*']) if left != right else '+'} {right})"
        if kind == "choose":
            return self.choose(scope, lambda: self.data(scope, depth - 1))
        if kind == "max":
            return f"{d.pick(['max', 'min'])}({self.data(scope, depth - 1)}, {self.data(scope, depth - 1)})"
        if kind == "size":
            return f"size({d.pick(self.simple + self.tuples)})"
        if kind == "entry":
            found = self.entry(self.parameters, scope)
            if found is not None:
                return found
        return self.value()

    def choose(self, scope: Scope, draw: Callable[[], str]) -> str:
        return f"({draw()} if {self.condition(scope, 1)} else {draw()})"

    # ----------------------------------------------------------------------------------------------------- expressions

    def linear(self, scope: Scope, depth: int) -> str:
        """An expression that is linear in the variables."""
        d = self.dice
        kind = d.pick(["entry", "entry", "scaled", "sum", "sum", "add", "choose", "guard", "mean", "data", "nested"])
        if depth <= 0 and kind not in ("data", "scaled"):
            kind = "entry"
        if kind == "scaled":
            inner = self.linear(scope, depth - 1) if depth > 0 else self.linear(scope, 0)
            return f"{self.data(scope, 1)} * {inner}" if d.chance(80) else f"({inner}) / 2"
        if kind == "sum":
            over, inner = self.iterators(scope)
            return f"sum({self.linear(inner, depth - 1)} for {over})"
        if kind == "nested":
            over, inner = self.iterators(scope, 1)
            deeper, inmost = self.iterators(inner, 1)
            return f"sum({self.data(inner, 1)} * sum({self.linear(inmost, depth - 2)} for {deeper}) for {over})"
        if kind == "add":
            return f"({self.linear(scope, depth - 1)} {d.pick(['+', '-'])} {self.linear(scope, depth - 1)})"
        if kind == "choose":
            return self.choose(scope, lambda: self.linear(scope, depth - 1))
        if kind == "guard":
            found = self.guarded(scope)
            if found is not None:
                return found
        if kind == "mean":
            name = d.pick(self.simple)
            if self.members[name]:
                text, bound = self.over_set(name, scope)
                return f"mean({self.linear((*scope, bound), depth - 1)} for {text})"
        if kind == "data":
            return self.data(scope, 1)
        found = self.entry(self.variables, scope)
        if found is not None:
            return found
        entity = d.pick(self.variables)
        if not entity.axes:
            return entity.name
        text, inner = self.domain_in(entity.axes, scope)
        return f"sum({self.entry([entity], inner) or '1'} for {text})"

    def domain_in(self, axes: Sequence[str], scope: Scope) -> tuple[str, Scope]:
        texts = []
        for axis in axes:
            text, bound = self.over_set(axis, scope)
            texts.append(text)
            scope = (*scope, bound)
        return ", ".join(texts), scope

    def guarded(self, scope: Scope) -> str | None:
        """`x[i - 1] if i - 1 in N else 0`, `x[prev(i, N)] if ord(i, N) > 1 else 0`."""
        d = self.dice
        entities = [e for e in self.variables if len(e.axes) == 1 and e.axes[0] in self.simple]
        if not entities:
            return None
        entity = d.pick(entities)
        axis = entity.axes[0]
        inside = self.plain_index(scope, axis)
        if inside is not None and d.chance(50):
            return d.pick(
                [f"({entity.name}[prev({inside}, {axis})] if ord({inside}, {axis}) > 1 else 0)",
                 f"({entity.name}[next({inside}, {axis})] if ord({inside}, {axis}) < size({axis}) else 1)",
                 f"({entity.name}[prev({inside}, {axis})] if {inside} != first({axis}) "
                 f"else {entity.name}[last({axis})])"]
            )  # fmt: skip
        integer = self.integer_index(scope)
        if integer is None:
            return None
        shift = d.pick(["+ 1", "- 1", "+ 2", "* 2"])
        return f"({entity.name}[{integer} {shift}] if {integer} {shift} in {axis} else 0)"

    def bent(self, scope: Scope, depth: int) -> str:
        """A convex piecewise-linear expression."""
        d = self.dice
        a, b = self.linear(scope, 1), self.linear(scope, 1)
        over, inner = self.iterators(scope, 1)
        return d.pick(
            [f"abs({a})", f"max({a}, {b})", f"max({a}, {b}, 0)", f"pos({a})",
             f"sum(abs({self.linear(inner, 1)}) for {over})",
             f"norm1({self.linear(inner, 1)} for {over})", f"sum(max({self.linear(inner, 1)}, 0) for {over})",
             f"2 * abs({a}) + max({b}, 1)", f"hinge({a})", f"leaky_relu({a}, 0.5)", f"-min({a}, {b})",
             f"sum(pos({self.linear(inner, 1)}) + abs({self.linear(inner, 0)}) for {over})"]
        )  # fmt: skip

    def quadratic(self, scope: Scope) -> str:
        d = self.dice
        over, inner = self.iterators(scope)
        a = self.linear(scope, 1)
        return d.pick(
            [f"({a})^2", f"sum(({self.linear(inner, 1)})^2 for {over})", f"square({a})",
             f"sumsq({self.linear(inner, 1)} for {over})", f"({a}) * ({self.linear(scope, 1)})",
             f"sum(({self.linear(inner, 1)}) * ({self.linear(inner, 0)}) for {over})",
             f"squared_error({a}, {self.linear(scope, 0)})",
             f"sum({self.data(inner, 1)} * ({self.linear(inner, 1)})^2 for {over})"]
        )  # fmt: skip

    # ----------------------------------------------------------------------------------------------------- whole arrays

    def arrays(self, pool: Sequence[Entity], axes: tuple[str, ...]) -> list[str]:
        return [e.name for e in pool if e.axes == axes]

    def array(self, axes: tuple[str, ...], depth: int, linear: bool) -> str:
        """An array expression over whole sets; linear in the variables, or of data."""
        d = self.dice
        pool = self.arrays(self.variables, axes) * 2 if linear else self.arrays(self.parameters, axes)
        kind = d.pick(
            ["name", "name", "scaled", "add", "each", "product", "over", "slice", "broadcast", "negative", "transpose"]
        )
        if depth <= 0:
            kind = "name"
        other = d.pick(["N", "S", "U"])
        if kind == "scaled":
            return f"{self.array(axes, 0, False)} * {self.array(axes, depth - 1, linear)}"
        if kind == "add":
            return f"({self.array(axes, depth - 1, linear)} {d.pick(['+', '-'])} {self.array(axes, depth - 1, linear)})"
        if kind == "negative":
            return f"-{self.array(axes, 0, linear)}"
        if kind == "product" and len(axes) <= 2:
            if len(axes) == 1:
                turned = d.chance(50)
                matrix = (other, axes[0]) if turned else (axes[0], other)
                text = self.array(matrix, 0, False)
                vector = self.array((other,), depth - 1, linear)
                return f"({text}).T @ ({vector})" if turned else f"({text}) @ ({vector})"
            return f"({self.array((axes[0], other), 0, False)}) @ ({self.array((other, axes[1]), depth - 1, linear)})"
        if kind == "over" and self.members[other] not in [self.members[a] for a in axes]:
            wide = (*axes, other) if d.chance(50) else (other, *axes)
            return f"{d.pick(['sum', 'sum', 'mean'])}({self.array(wide, depth - 1, linear)}, over = {other})"
        if kind == "slice" and self.members[other]:
            member = quoted(d.pick(self.members[other])[0])
            wide, text = ((*axes, other), ":, " * len(axes) + member)
            names = self.arrays(self.variables if linear else self.parameters, wide)
            if names:
                return f"{d.pick(names)}[{text}]"
        if kind == "broadcast" and len(axes) == 2:
            return f"({self.array(axes, depth - 1, linear)} + {self.array(axes[1:], 0, linear)})"
        if kind == "transpose" and len(axes) == 2:
            return f"({self.array(axes[::-1], depth - 1, linear)}).T"
        if pool and kind in ("name", "slice"):
            return d.pick(pool)
        where, scope = self.domain(axes)
        return f"[{self.linear(scope, 1) if linear else self.data(scope, 1)} for {where}]"

    def array_scalar(self) -> str:
        """A number made of whole arrays."""
        d = self.dice
        axis, other = d.pick(["N", "S", "U"]), d.pick(["N", "S"])
        vector = self.array((axis,), 1, True)
        data = self.array((axis,), 0, False)
        return d.pick(
            [f"sum({self.array((axis, other), 1, True)})", f"({data}) @ ({vector})", f"dot({vector}, {data})",
             f"trace({self.array(('N', 'N'), 1, True)})", f"sum({data} * {vector})", f"sum(cumsum({vector}))",
             f"sum(diff({vector}) * 2)", f"sum(outer({data}, {vector}))", f"sum(diag({vector}) @ ({data}))",
             f"sum(stack({vector}, {data})[1, :])", f"sum(concat({vector}, {data}) * 3)"]
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------------------ statements

    def objective(self, kind: str) -> None:
        d = self.dice
        text = self.linear((), 3)
        if d.chance(25):
            text += f" + {self.array_scalar()}"
        if kind == "quadratic":
            text += f" + {self.quadratic(())}"
        if kind == "bent":
            text += f" + {self.bent((), 2)}"
        if kind in ("linear", "bounded", "integer"):
            sense = d.pick(["minimize", "maximize"])
        else:
            sense = "minimize"
        self.lines.append(f"{sense} goal: {text}")

    def constraint(self, kind: str) -> str:
        d = self.dice
        name = self.fresh("c")
        if d.chance(25):
            axes = d.pick([("N",), ("S",), ("U",), ("N", "S"), ("N", "N")])
            right = d.pick(
                [
                    self.array(axes, 0, False),
                    self.value(),
                    self.array(axes, 1, True),
                    self.array(axes[1:], 0, False) if len(axes) > 1 else "1",
                ]
            )
            return f"  {name}: {self.array(axes, 2, True)} {d.pick(['<=', '>=', '='])} {right}"
        over, scope = ("", ())
        if d.chance(80):
            text, scope = self.iterators(())
            over = f"[{text}]"
        body = self.linear(scope, 2)
        if kind == "bent" and d.chance(50):
            return f"  {name}{over}: {self.bent(scope, 1)} <= {d.pick([self.value(), self.linear(scope, 1)])}"
        if d.chance(15):
            return f"  {name}{over}: {self.data(scope, 1)} <= {body} <= {self.data(scope, 1)}"
        right = d.pick([self.data(scope, 2), self.value(), self.linear(scope, 1)])
        return f"  {name}{over}: {body} {d.pick(['<=', '>=', '='])} {right}"

    def lets(self) -> None:
        if self.dice.chance(50):
            axes = self.dice.pick([("N",), ("S",), ("N", "S"), ("A",)])
            where, scope = self.domain(axes)
            name = self.fresh("l")
            self.lines.append(f"let {name}[{where}] = {self.linear(scope, 2)}")
            self.variables.append(Entity(name, axes))

    def model(self, kind: str) -> str:
        d = self.dice
        self.integers = kind == "integer"
        self.sets()
        for _ in range(d.number(1, 4)):
            self.parameter()
        for _ in range(d.number(0, 2)):
            self.label_parameter()
        for _ in range(d.number(1, 3)):
            self.variable(bounds=kind in ("bounded", "integer", "bent"))
        self.lets()
        self.objective(kind)
        self.lines.append("subject to")
        self.lines += [self.constraint(kind) for _ in range(d.number(1, 3))]
        return "\n".join(self.lines) + "\n"


@st.composite
def texts(draw: Callable[..., Any], kind: str = "linear") -> str:
    """A model's text.

    `kind`: linear; quadratic (in the objective); with all variables bounded: bounded (linear), integer (the same with
    integers), bent (piecewise linear).
    """
    return Writer(Dice(draw)).model(kind)
