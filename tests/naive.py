"""A plain evaluator of `.opt` texts, for the tests only: it walks the syntax tree with loops and dictionaries.

Nothing here is shared with `optdsl.terms` or `optdsl.model`; only the parser is. A set is a list of tuples, a
parameter a dictionary, an array a `Grid`. Values of variables are whatever the caller puts in: floats, NumPy vectors
(many points at once), or CVXPY expressions; `Functions` says what `abs`, `max` and the like do with them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from optdsl.language import parse, tree

Member = tuple[Any, ...]
Env = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """The members along one axis; a positional one has no labels of its own and meets any axis of its length."""

    members: tuple[Member, ...]
    positional: bool = False


@dataclass(frozen=True)
class Grid:
    """An array: axes, and the value at each tuple of positions."""

    axes: tuple[Axis, ...]
    at: Mapping[tuple[int, ...], Any]

    def labels(self, positions: tuple[int, ...]) -> Member:
        return tuple(part for axis, p in zip(self.axes, positions, strict=True) for part in axis.members[p])


@dataclass(frozen=True)
class Functions:
    """What functions do with two or one values of variables."""

    larger: Callable[[Any, Any], Any] = np.maximum
    smaller: Callable[[Any, Any], Any] = np.minimum
    absolute: Callable[[Any], Any] = np.abs
    huber: Callable[[Any, float], Any] = lambda x, m: np.where(np.abs(x) <= m, x * x, 2 * m * np.abs(x) - m * m)
    largest: Callable[[list[Any], int], Any] = lambda values, k: np.sort(np.broadcast_arrays(*values), axis=0)[-k:].sum(
        0
    )


class Outside(Exception):
    """An index outside its set, a missing member, a cycle: whatever the language calls an error."""


class Naive:
    """The meaning of one text at one point. `point`: name -> {labels: value}; symmetric entries are given both ways."""

    def __init__(
        self, text: str | tree.File, point: Mapping[str, Mapping[Member, Any]], functions: Functions | None = None
    ):
        self.file = parse(text, "test.opt") if isinstance(text, str) else text
        self.point = point
        self.functions = functions or Functions()
        self.declared: dict[str, Any] = {}
        for statement in self.file.statements:
            if isinstance(statement, tree.SetDecl | tree.ParamDecl | tree.VarDecl | tree.LetDecl):
                self.declared[statement.name] = statement
        self.sets: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}
        self.entries: dict[tuple[str, Member], Any] = {}
        self.lets: dict[str, Any] = {}
        self.axes_memo: dict[str, tuple[Axis, ...]] = {}

    # ------------------------------------------------------------------------------------------------------------ sets

    def set(self, name: str) -> Any:
        """The members of a declared set; of a family a dictionary of them."""
        if name not in self.sets:
            declaration = self.declared[name]
            if declaration.domain is None:
                self.sets[name] = self.members(declaration.value, {})
            else:
                self.sets[name] = {
                    member: self.members(declaration.value, env) for env, member in self.iterate(declaration.domain, {})
                }
        return self.sets[name]

    def is_set(self, node: Any, env: Env) -> bool:
        if isinstance(node, tree.RangeExpr | tree.SetLiteral | tree.SetBuilder):
            return True
        if isinstance(node, tree.Name):
            return node.name not in env and isinstance(self.declared.get(node.name), tree.SetDecl)
        if isinstance(node, tree.Subscript):
            return self.is_set(node.base, env)
        return isinstance(node, tree.Binary) and node.op in "|&-*" and self.is_set(node.left, env)

    def members(self, node: Any, env: Env) -> list[Member]:
        """The members of a set expression, in order."""
        match node:
            case tree.Name():
                return self.set(node.name)
            case tree.Subscript():
                key = tuple(part for index in node.indices for part in self.labels(index, env))
                family = self.set(node.base.name)
                if key not in family:
                    raise Outside(node.base.name, key)
                return family[key]
            case tree.RangeExpr():
                low, high = (whole(self.value(end, env)) for end in (node.low, node.high))
                step = 1 if node.step is None else whole(self.value(node.step, env))
                return [(k,) for k in range(low, high + (1 if step > 0 else -1), step)]
            case tree.SetLiteral():
                return distinct([self.labels(item, env) for item in node.items])
            case tree.SetBuilder():
                if node.element is None:
                    return distinct([member for _, member in self.iterate(node.domain, env)])
                return distinct([self.labels(node.element, inner) for inner, _ in self.iterate(node.domain, env)])
            case tree.Binary():
                left, right = self.members(node.left, env), self.members(node.right, env)
                match node.op:
                    case "|":
                        return distinct(left + right)
                    case "&":
                        return [member for member in left if member in right]
                    case "-":
                        return [member for member in left if member not in right]
                    case "*":
                        return [one + two for one in left for two in right]
        raise AssertionError(node)

    def labels(self, node: Any, env: Env) -> Member:
        """An index expression as labels: a tuple of one for a single one."""
        if isinstance(node, tree.TupleExpr):
            return tuple(part for item in node.items for part in self.labels(item, env))
        value = self.value(node, env)
        return value if isinstance(value, tuple) else (label(value),)

    def iterate(self, domain: tree.Domain | None, env: Env) -> Iterator[tuple[dict[str, Any], Member]]:
        """Each combination of a domain: the indices bound, and the labels of the new ones among them."""
        if domain is None:
            yield dict(env), ()
            return
        yield from self._iterate(domain, 0, dict(env), ())

    def _iterate(
        self, domain: tree.Domain, k: int, env: dict[str, Any], trail: Member
    ) -> Iterator[tuple[dict[str, Any], Member]]:
        if k == len(domain.iterators):
            if domain.condition is None or self.value(domain.condition, env):
                yield env, trail
            return
        iterator = domain.iterators[k]
        for member in self.members(iterator.set, env):
            bound = self._bind(iterator, member, env)
            if bound is not None:
                new = [part for slot, part in zip(iterator.slots or member, member, strict=False) if is_new(slot, env)]
                whole_tuple = len(iterator.slots or member) < len(member)
                yield from self._iterate(domain, k + 1, bound, trail + (member if whole_tuple else tuple(new)))

    def _bind(self, iterator: tree.Iterator, member: Member, env: dict[str, Any]) -> dict[str, Any] | None:
        slots = iterator.slots
        if slots is None:
            return env
        if len(slots) == 1 and len(member) > 1:
            return {**env, slots[0].name: member}  # one name for the whole tuple
        bound = dict(env)
        for slot, part in zip(slots, member, strict=True):
            if isinstance(slot, tree.Name) and slot.name not in bound:
                bound[slot.name] = part
            elif not same_label(self.value(slot, bound), part):
                return None
        return bound

    # ---------------------------------------------------------------------------------------- parameters and variables

    def axes(self, name: str) -> tuple[Axis, ...]:
        """The axes of something declared: one per iterator, or one of all tuples where iterators depend."""
        if name not in self.axes_memo:
            self.axes_memo[name] = self.domain_axes(self.declared[name].domain, {})
        return self.axes_memo[name]

    def domain_axes(self, domain: tree.Domain | None, env: Env) -> tuple[Axis, ...]:
        if domain is None:
            return ()
        own = {s.name for it in domain.iterators for s in it.slots or () if isinstance(s, tree.Name)}
        names = [name for it in domain.iterators for name in names_in(it.set)]
        if domain.condition is None and not own & set(names):
            axes: list[Axis] = []
            for iterator in domain.iterators:
                axes.extend(Axis(tuple(self.members(factor, env))) for factor in self._factors(iterator.set, env))
            return tuple(axes)
        return (Axis(tuple(member for _, member in self.iterate(domain, env))),)

    def _factors(self, node: Any, env: Env) -> list[Any]:
        if isinstance(node, tree.Binary) and node.op == "*" and self.is_set(node, env):
            return [*self._factors(node.left, env), *self._factors(node.right, env)]
        return [node]

    def keys(self, name: str) -> list[Member]:
        return [sum(combination, ()) for combination in itertools.product(*(a.members for a in self.axes(name)))]

    def entry(self, name: str, key: Member) -> Any:
        """One entry of a parameter, variable or let."""
        if name in self.point:
            if key not in self.point[name]:
                raise Outside(name, key)
            return self.point[name][key]
        if (name, key) not in self.entries:
            self.entries[name, key] = Outside  # while it is being computed
            self.entries[name, key] = self._compute(name, key)
        if self.entries[name, key] is Outside:
            raise Outside("cycle", name, key)
        return self.entries[name, key]

    def _compute(self, name: str, key: Member) -> Any:
        declaration = self.declared[name]
        node = declaration.value
        if isinstance(node, tree.DictLiteral) or node == tree.SetLiteral((), span=node.span):
            if key not in self.keys(name):
                raise Outside(name, key)
            for item, value in node.items:
                if self.labels(item, {}) == key:
                    return self.value(value, {})
            default = next(a for a in declaration.attributes if isinstance(a, tree.Default))
            return self.value(default.value, {})
        env = self._env_of(name, key)
        value = self.value(node, env)
        if isinstance(value, Grid):
            return value.at[self._positions(name, key)]
        return value

    def _env_of(self, name: str, key: Member) -> dict[str, Any]:
        for env, member in self.iterate(self.declared[name].domain, {}):
            if member == key:
                return env
        raise Outside(name, key)

    def _positions(self, name: str, key: Member) -> tuple[int, ...]:
        spots = itertools.product(*(range(len(a.members)) for a in self.axes(name)))
        return dict(zip(self.keys(name), spots, strict=True))[key]

    def whole(self, name: str) -> Any:
        """All entries of a parameter or variable, as a Grid or a number."""
        axes = self.axes(name)
        if not axes:
            return self.entry(name, ())
        spots = itertools.product(*(range(len(a.members)) for a in axes))
        return Grid(axes, {s: self.entry(name, key) for s, key in zip(spots, self.keys(name), strict=True)})

    def bounds(self, name: str) -> dict[Member, tuple[Any, Any]]:
        """Lower and upper bound of every entry of a variable."""
        declaration, found = self.declared[name], {}
        for env, key in self.iterate(declaration.domain, {}):
            binary = any(isinstance(a, tree.Flag) and a.name == "binary" for a in declaration.attributes)
            low, high = (0, 1) if binary else (-math.inf, math.inf)
            for attribute in declaration.attributes:
                if isinstance(attribute, tree.Interval):
                    low, high = max(low, self.value(attribute.low, env)), min(high, self.value(attribute.high, env))
                elif isinstance(attribute, tree.Bound) and attribute.op == ">=":
                    low = max(low, self.value(attribute.value, env))
                elif isinstance(attribute, tree.Bound):
                    high = min(high, self.value(attribute.value, env))
            found[key] = low, high
        return found

    def let(self, name: str) -> Any:
        """A named expression, as a Grid over its own axes and those of its body."""
        if name not in self.lets:
            declaration = self.declared[name]
            if declaration.domain is None:
                self.lets[name] = self.value(declaration.value, {})
            else:
                self.lets[name] = self.comprehension(declaration.value, declaration.domain, {})
        return self.lets[name]

    def comprehension(self, body: Any, domain: tree.Domain, env: Env) -> Grid:
        axes = self.domain_axes(domain, env)
        spots = itertools.product(*(range(len(a.members)) for a in axes))
        at: dict[tuple[int, ...], Any] = {}
        inner: tuple[Axis, ...] = ()
        for spot, (bound, _) in zip(spots, self.iterate(domain, env), strict=True):
            value = self.value(body, bound)
            if isinstance(value, Grid):
                inner = value.axes
                at.update({(*spot, *k): v for k, v in value.at.items()})
            else:
                at[spot] = value
        return Grid((*axes, *inner), at)

    # ----------------------------------------------------------------------------------------------------- expressions

    def value(self, node: Any, env: Env) -> Any:
        """A number, a text, a bool, a tuple (an index of a set of tuples) or a Grid."""
        return getattr(self, "_" + type(node).__name__.lower())(node, env)

    def _number(self, node: tree.Number, env: Env) -> Any:
        return node.value

    def _string(self, node: tree.String, env: Env) -> Any:
        return node.value

    def _name(self, node: tree.Name, env: Env) -> Any:
        if node.name in env:
            return env[node.name]
        if node.name == "pi":
            return math.pi
        if isinstance(self.declared[node.name], tree.LetDecl):
            return self.let(node.name)
        return self.whole(node.name)

    def _unary(self, node: tree.Unary, env: Env) -> Any:
        operand = self.value(node.operand, env)
        rules: dict[str, Callable[[Any], Any]] = {"-": lambda a: -a, "+": lambda a: a, "not": lambda a: not a}
        return broadcast(rules[node.op], operand)

    def _binary(self, node: tree.Binary, env: Env) -> Any:
        if node.op == "and":
            return bool(self.value(node.left, env)) and bool(self.value(node.right, env))
        if node.op == "or":
            return bool(self.value(node.left, env)) or bool(self.value(node.right, env))
        left, right = self.value(node.left, env), self.value(node.right, env)
        if node.op == "@":
            return matrix_product(left, right)
        return broadcast(ARITHMETIC[node.op], left, right)

    def _compare(self, node: tree.Compare, env: Env) -> Any:
        for k, op in enumerate(node.ops):
            if op == "in":
                if self.labels(node.operands[k], env) not in self.members(node.operands[k + 1], env):
                    return False
                continue
            left, right = self.value(node.operands[k], env), self.value(node.operands[k + 1], env)
            if op in ("=", "!="):
                if same_label(left, right) != (op == "="):
                    return False
            elif not {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[op]:
                return False
        return True

    def _ifelse(self, node: tree.IfElse, env: Env) -> Any:
        return self.value(node.then if self.value(node.condition, env) else node.otherwise, env)

    def _attribute(self, node: tree.Attribute, env: Env) -> Any:
        base = self.value(node.base, env)
        assert node.name == "T"
        if not isinstance(base, Grid) or len(base.axes) < 2:
            return base
        return Grid(base.axes[::-1], {k[::-1]: v for k, v in base.at.items()})

    def _arrayliteral(self, node: tree.ArrayLiteral, env: Env) -> Any:
        return stack([self.value(item, env) for item in node.items])

    def _comprehension(self, node: tree.Comprehension, env: Env) -> Any:
        return self.comprehension(node.body, node.domain, env)

    def _subscript(self, node: tree.Subscript, env: Env) -> Any:
        plain = not any(isinstance(i, tree.Slice) or self.is_set(i, env) for i in node.indices)
        if plain and isinstance(node.base, tree.Name) and node.base.name not in env:
            indices = [
                self.value(i, env) if not isinstance(i, tree.TupleExpr) else self.labels(i, env) for i in node.indices
            ]
            declaration = self.declared[node.base.name]
            if not any(isinstance(i, Grid) for i in indices) and isinstance(declaration, tree.ParamDecl | tree.VarDecl):
                key = tuple(p for i in indices for p in (i if isinstance(i, tuple) else (label(i),)))
                return self.entry(node.base.name, key)
        return self._pick(self.value(node.base, env), node, env)

    def _pick(self, grid: Grid, node: tree.Subscript, env: Env) -> Any:
        """Fix, keep or restrict axes; an index that is an array picks along its own axes."""
        choices: list[tuple[tuple[Axis, ...], dict[tuple[int, ...], int]]] = []
        items = list(node.indices)
        for axis in grid.axes:
            place = {member: p for p, member in enumerate(axis.members)}
            if axis.positional:
                place = {(p + 1,): p for p in range(len(axis.members))}
            if isinstance(items[0], tree.Slice):
                items.pop(0)
                choices.append(((axis,), {(p,): p for p in range(len(axis.members))}))
                continue
            if self.is_set(items[0], env):
                part = Axis(tuple(self.members(items.pop(0), env)))
                choices.append(((part,), {(p,): self._find(place, m) for p, m in enumerate(part.members)}))
                continue
            width = len(axis.members[0]) if axis.members else 1
            value = (
                self.value(items[0], env) if not isinstance(items[0], tree.TupleExpr) else self.labels(items[0], env)
            )
            if isinstance(value, Grid):
                items.pop(0)
                choices.append((value.axes, {k: self._find(place, (label(v),)) for k, v in value.at.items()}))
                continue
            key: Member = ()
            while len(key) < width:
                key += self.labels(items.pop(0), env)
            choices.append(((), {(): self._find(place, key)}))
        axes = tuple(axis for own, _ in choices for axis in own)
        at = {
            tuple(p for k, _ in picks for p in k): grid.at[tuple(spot for _, spot in picks)]
            for picks in itertools.product(*(spots.items() for _, spots in choices))
        }
        return Grid(axes, at) if axes else at[()]

    @staticmethod
    def _find(place: Mapping[Member, int], key: Member) -> int:
        if key not in place:
            raise Outside(key)
        return place[key]

    # ----------------------------------------------------------------------------------------------------------- calls

    def _call(self, node: tree.Call, env: Env) -> Any:
        name = node.name
        declaration = self.declared.get(name)
        if isinstance(declaration, tree.LetDecl) and declaration.parameters is not None:
            arguments = [self.value(a, env) for a in node.args]
            return self.value(declaration.value, dict(zip(declaration.parameters, arguments, strict=True)))
        if name in ("size", "first", "last", "prev", "next", "ord"):
            return self._of_set(name, node.args, env)
        if node.domain is not None:
            extra = [self.value(a, env) for a in node.args[1:]]
            values = [self.value(node.args[0], inner) for inner, _ in self.iterate(node.domain, env)]
            return self._iterated(name, values, extra)
        arguments = [self.value(a, env) for a in node.args]
        over = next((k.value for k in node.keywords if k.name == "over"), None)
        if over is not None:
            return self._along(name, arguments[0], tuple(self.members(over, env)), arguments[1:])
        if name in REDUCED and len(arguments) == (2 if name in ("sum_largest", "norm") else 1):
            grid = arguments[0]
            return self.reduced(name, [grid.at[k] for k in sorted(grid.at)], arguments[1:])
        if name == "tv":
            values = listed(arguments[0])
            return sum(self.functions.absolute(b - a) for a, b in itertools.pairwise(values))
        if name in GRIDS:
            return GRIDS[name](*arguments)
        return broadcast(lambda *a: self.function(name, *a), *arguments)

    def _iterated(self, name: str, values: list[Any], extra: list[Any]) -> Any:
        grid = next((v for v in values if isinstance(v, Grid)), None)
        if grid is None:
            return self.reduced(name, values, extra)
        return Grid(grid.axes, {k: self.reduced(name, [v.at[k] for v in values], extra) for k in grid.at})

    def _along(self, name: str, grid: Grid, members: tuple[Member, ...], extra: list[Any]) -> Any:
        (axis,) = [k for k, a in enumerate(grid.axes) if a.members == members] or [0]
        meet(Axis(members), grid.axes[axis])
        groups: dict[tuple[int, ...], list[Any]] = {}
        for k in sorted(grid.at):
            groups.setdefault((*k[:axis], *k[axis + 1 :]), []).append(grid.at[k])
        rest = (*grid.axes[:axis], *grid.axes[axis + 1 :])
        for spot in itertools.product(*(range(len(a.members)) for a in rest)):
            groups.setdefault(spot, [])
        at = {k: self.reduced(name, values, extra) for k, values in groups.items()}
        return Grid(rest, at) if rest else at[()]

    def _of_set(self, name: str, args: Sequence[Any], env: Env) -> Any:
        members = self.members(args[-1], env)
        if name == "size":
            return len(members)
        if name in ("first", "last"):
            if not members:
                raise Outside(name)
            return single(members[0 if name == "first" else -1])
        member = self.labels(args[0], env)
        if member not in members:
            raise Outside(name, member)
        place = members.index(member)
        if name == "ord":
            return place + 1
        place += 1 if name == "next" else -1
        if not 0 <= place < len(members):
            raise Outside(name, member)
        return single(members[place])

    def reduced(self, name: str, values: list[Any], extra: list[Any]) -> Any:
        """A reduction of a list of values."""
        if not values and name in ("max", "min", "mean", "norminf"):
            raise Outside(name, "of nothing")
        f = self.functions
        match name:
            case "sum":
                return sum(values)
            case "prod":
                return math.prod(values)
            case "mean":
                return sum(values) / len(values)
            case "max":
                return reduce(f.larger, values)
            case "min":
                return reduce(f.smaller, values)
            case "norm1":
                return sum(f.absolute(v) for v in values)
            case "norminf":
                return reduce(f.larger, [f.absolute(v) for v in values])
            case "sumsq":
                return sum(v**2 for v in values)
            case "norm2":
                return np.sqrt(sum(v**2 for v in values))
            case "norm":
                return self.reduced({1: "norm1", 2: "norm2", math.inf: "norminf"}[extra[0]], values, [])
            case "sum_largest":
                return f.largest(values, int(extra[0]))
            case "any":
                return any(values)
            case "all":
                return all(values)
        raise AssertionError(name)

    def function(self, name: str, *a: Any) -> Any:
        """An elementwise function."""
        f = self.functions
        match name:
            case "abs":
                return f.absolute(a[0])
            case "max":
                return reduce(f.larger, a)
            case "min":
                return reduce(f.smaller, a)
            case "pos" | "relu":
                return f.larger(a[0], 0.0)
            case "hinge":
                return f.larger(1 - a[0], 0.0)
            case "leaky_relu":
                return (f.larger if a[1] <= 1 else f.smaller)(a[0], a[1] * a[0])
            case "huber":
                return f.huber(a[0], a[1])
            case "square":
                return a[0] ** 2
            case "squared_error":
                return (a[0] - a[1]) ** 2
            case "mod":
                return a[0] - a[1] * math.floor(a[0] / a[1])
            case "div":
                return math.floor(a[0] / a[1])
            case "floor" | "ceil" | "sqrt" | "exp" | "log":
                return getattr(math, name)(a[0])
        raise AssertionError(name)

    # ------------------------------------------------------------------------------------------------------ statements

    def objective(self) -> Any:
        """The objective's value."""
        for statement in self.file.statements:
            if isinstance(statement, tree.Objective):
                return self.value(statement.value, {})
        return 0.0

    def constraints(
        self, names: Collection[str] | None = None
    ) -> Iterator[tuple[str | None, tuple[str, ...], dict[Member, list[Any]]]]:
        """Name, operators, and for each instance (by its labels) the values of all operands; of `names` only."""
        for statement in self.file.statements:
            if isinstance(statement, tree.SubjectTo):
                for constraint in statement.constraints:
                    if names is None or constraint.name in names:
                        yield constraint.name, constraint.relation.ops, self.instances(constraint)

    def instances(self, constraint: tree.Constraint) -> dict[Member, list[Any]]:
        found: dict[Member, list[Any]] = {}
        for env, member in self.iterate(constraint.domain, {}):
            operands = [self.value(operand, env) for operand in constraint.relation.operands]
            joined = broadcast(lambda *values: list(values), *operands)
            if isinstance(joined, Grid):
                found.update({member + joined.labels(k): joined.at[k] for k in sorted(joined.at)})
            else:
                found[member] = joined
        return found


# ------------------------------------------------------------------------------------------------------------ helpers

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": lambda a, b: a**b,
}
REDUCED = (
    "sum",
    "prod",
    "mean",
    "max",
    "min",
    "norm1",
    "norminf",
    "norm2",
    "norm",
    "sumsq",
    "sum_largest",
    "any",
    "all",
)


def names_in(node: Any) -> list[str]:
    if isinstance(node, tree.Name):
        return [node.name]
    if isinstance(node, tuple):
        return [name for part in node for name in names_in(part)]
    if hasattr(node, "__dataclass_fields__"):
        return [name for f in node.__dataclass_fields__ if f != "span" for name in names_in(getattr(node, f))]
    return []


def is_new(slot: Any, env: Env) -> bool:
    """Whether a slot of an iterator brings an index of its own: a name that is not bound around it, or none."""
    return slot.name not in env if isinstance(slot, tree.Name) else isinstance(slot, int | str)


def whole(value: Any) -> int:
    if value != int(value):
        raise Outside("not whole", value)
    return int(value)


def label(value: Any) -> Any:
    return value if isinstance(value, str) else whole(value)


def single(member: Member) -> Any:
    return member[0] if len(member) == 1 else member


def same_label(left: Any, right: Any) -> bool:
    return isinstance(left, str) == isinstance(right, str) and bool(left == right)


def distinct(members: Sequence[Member]) -> list[Member]:
    return list(dict.fromkeys(members))


def broadcast(function: Callable[..., Any], *operands: Any) -> Any:
    """Entry by entry along trailing axes."""
    grids = [o for o in operands if isinstance(o, Grid)]
    if not grids:
        return function(*operands)
    depth = max(len(g.axes) for g in grids)
    axes: list[Axis] = []
    for k in range(depth, 0, -1):
        meeting = [g.axes[len(g.axes) - k] for g in grids if len(g.axes) >= k]
        long = [a for a in meeting if not (a.positional and len(a.members) == 1)] or meeting
        named = [a for a in long if not a.positional] or long
        meet(named[0], *long)
        axes.append(named[0])
    at = {}
    for spot in itertools.product(*(range(len(a.members)) for a in axes)):
        values = []
        for operand in operands:
            if isinstance(operand, Grid):
                own = spot[depth - len(operand.axes) :]
                own = tuple(
                    0 if a.positional and len(a.members) == 1 else p for a, p in zip(operand.axes, own, strict=True)
                )
                values.append(operand.at[own])
            else:
                values.append(operand)
        at[spot] = function(*values)
    return Grid(tuple(axes), at)


def meet(*axes: Axis) -> None:
    """Axes that meet have the same members, or at least one of two has no labels of its own and the same length."""
    for one, two in itertools.pairwise(axes):
        same = one.members == two.members or (
            (one.positional or two.positional) and len(one.members) == len(two.members)
        )
        if not same:
            raise Outside("axes differ")


def positional(size: int) -> Axis:
    return Axis(tuple((k + 1,) for k in range(size)), positional=True)


def vector(values: Sequence[Any], axis: Axis | None = None) -> Grid:
    return Grid((axis or positional(len(values)),), {(k,): v for k, v in enumerate(values)})


def listed(grid: Grid) -> list[Any]:
    return [grid.at[k] for k in sorted(grid.at)]


def stack(items: Sequence[Any]) -> Grid:
    joined = broadcast(lambda *values: list(values), *items)
    first = positional(len(items))
    if not isinstance(joined, Grid):
        return vector(joined, first)
    return Grid((first, *joined.axes), {(k, *s): v[k] for s, v in joined.at.items() for k in range(len(items))})


def matrix_product(left: Grid, right: Grid) -> Any:
    meet(left.axes[-1], right.axes[0])
    axes = (*left.axes[:-1], *right.axes[1:])
    at = {}
    for spot in itertools.product(*(range(len(a.members)) for a in axes)):
        mine, theirs = spot[: len(left.axes) - 1], spot[len(left.axes) - 1 :]
        size = len(left.axes[-1].members)
        at[spot] = sum(left.at[(*mine, k)] * right.at[(k, *theirs)] for k in range(size))
    return Grid(axes, at) if axes else at[()]


def _outer(left: Grid, right: Grid) -> Grid:
    return Grid((*left.axes, *right.axes), {k + m: v * w for k, v in left.at.items() for m, w in right.at.items()})


def _diag(x: Grid) -> Grid:
    n = range(len(x.axes[0].members))
    if len(x.axes) == 2:
        return Grid(x.axes[:1], {(k,): x.at[k, k] for k in n})
    return Grid((x.axes[0], x.axes[0]), {(i, j): x.at[i,] if i == j else 0 for i in n for j in n})


def _cumsum(x: Grid) -> Grid:
    return Grid(x.axes, {(k,): sum(listed(x)[: k + 1]) for (k,) in x.at})


def _diff(x: Grid) -> Grid:
    values = listed(x)
    return vector([b - a for a, b in itertools.pairwise(values)])


def _conv(a: Grid, x: Grid) -> Grid:
    one, two = listed(a), listed(x)
    result = [
        sum(one[k] * two[n - k] for k in range(len(one)) if 0 <= n - k < len(two))
        for n in range(len(one) + len(two) - 1)
    ]
    return vector(result)


def _concat(*parts: Grid) -> Grid:
    rest = parts[0].axes[1:]
    at, start = {}, 0
    for part in parts:
        at.update({(k[0] + start, *k[1:]): v for k, v in part.at.items()})
        start += len(part.axes[0].members)
    return Grid((positional(start), *rest), at)


def _reshape(x: Grid, *sizes: int) -> Grid:
    spots = itertools.product(*(range(s) for s in sizes))
    return Grid(tuple(positional(s) for s in sizes), dict(zip(spots, listed(x), strict=True)))


GRIDS: dict[str, Callable[..., Any]] = {
    "dot": lambda x, y: sum(a * b for a, b in zip(listed(x), listed(y), strict=True)),
    "outer": _outer,
    "trace": lambda x: sum(v for (i, j), v in x.at.items() if i == j),
    "diag": _diag,
    "cumsum": _cumsum,
    "diff": _diff,
    "conv": _conv,
    "concat": _concat,
    "stack": lambda *items: stack(items),
    "reshape": _reshape,
    "quad_form": lambda x, p: matrix_product(matrix_product(x, p), x),
}
