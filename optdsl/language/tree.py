"""The syntax tree of a `.opt` file: frozen records, each with the span of the text it came from.

Spans and comments do not take part in equality: two texts mean the same when their trees are equal.
Set expressions and value expressions share one family of nodes; which of the two a place takes is decided
where it is used. `A | B`, `A & B`, `A - B`, `A * B` on sets are `Binary` nodes.
"""

# ruff: noqa: RUF009  (the default of a span is a field, made anew for each record)
from __future__ import annotations

from dataclasses import dataclass, field

from optdsl.errors import Source, Span


def _span() -> Span:
    return field(compare=False, repr=False, kw_only=True)


# ----------------------------------------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Number:
    """`1`, `2.5`, `1e-3`, `inf`; integers keep their type. `text` is the spelling, for the formatter."""

    value: int | float
    text: str = field(compare=False)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class String:
    value: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Name:
    """A name in an expression (`pi` included)."""

    name: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Unary:
    """`op` is `-`, `+` or `not`."""

    op: str
    operand: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Binary:
    """`op` is one of `+ - * / @ ^ | & and or` (`**` is read as `^`)."""

    op: str
    left: Expr
    right: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Compare:
    """A chain `e0 op0 e1 op1 e2 ...`; each op is one of `< <= > >= = != in >> <<` (`==` is read as `=`)."""

    operands: tuple[Expr, ...]
    ops: tuple[str, ...]
    op_spans: tuple[Span, ...] = field(compare=False, repr=False)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class IfElse:
    """`then if condition else otherwise`."""

    then: Expr
    condition: Expr
    otherwise: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Iterator:
    """`i in I`, `(i, j) in ARC`, `(k, "a") in ARC`; in a domain also a bare set (`slots` is None).

    A slot is any expression: a `Name` that is new becomes an index, everything else fixes that part of the tuple.
    `tupled` says whether the slots stood in round brackets.
    """

    slots: tuple[Expr, ...] | None
    set: Expr
    tupled: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Domain:
    """`[i in I, J, (a, b) in ARC if cond]`, or what follows `for` in an iterated expression."""

    iterators: tuple[Iterator, ...]
    condition: Expr | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Keyword:
    """`over = J` in a call."""

    name: str
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Call:
    """`exp(x)`, `sum(X, over = J)`, and with `domain` the iterated `sum(e for i in I if c)`.

    `name_span` covers the function's name only.
    """

    name: str
    args: tuple[Expr, ...]
    keywords: tuple[Keyword, ...] = ()
    domain: Domain | None = None
    name_span: Span = field(compare=False, repr=False, kw_only=True)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Slice:
    """The `:` in `x[i, :]`."""

    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Subscript:
    """`x[i, j - 1]`, `x[i, :]`, `x[SUB]`; `base` is mostly a `Name`."""

    base: Expr
    indices: tuple[Expr | Slice, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Attribute:
    """`A.T`, `nutrition.dual`, `x.reduced_cost`, `c.slack`; `nutrition[i].dual` has a Subscript as base."""

    base: Expr
    name: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class TupleExpr:
    """`(i, j)` with two or more items."""

    items: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class ArrayLiteral:
    """`[1, 2]`, `[[1, 2], [3, 4]]`."""

    items: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Comprehension:
    """`[e for i in I if c]`."""

    body: Expr
    domain: Domain
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class SetLiteral:
    """`{"bread", "milk"}`, `{}`."""

    items: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class SetBuilder:
    """`{t in T if c}` and `{(i, j) in I * J if c}` (then `element` is None), `{(i, k) for (i, j) in ARC, k in HUB}`."""

    element: Expr | None
    domain: Domain
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class DictLiteral:
    """`{"a": 1, ("b", 2): 3}`."""

    items: tuple[tuple[Expr, Expr], ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class RangeExpr:
    """`lo..hi by step`."""

    low: Expr
    high: Expr
    step: Expr | None = None
    span: Span = _span()


Expr = (
    Number | String | Name | Unary | Binary | Compare | IfElse | Call | Subscript | Attribute | TupleExpr
    | ArrayLiteral | Comprehension | SetLiteral | SetBuilder | DictLiteral | RangeExpr
)  # fmt: skip


# ------------------------------------------------------------------------------------------ sources of data


@dataclass(frozen=True, slots=True)
class FromTable:
    """`from foods(food, cost)`; `columns` is None for a bare `from foods`."""

    table: str
    columns: tuple[str, ...] | None
    column_spans: tuple[Span, ...] = field(default=(), compare=False, repr=False)
    table_span: Span = field(compare=False, repr=False, kw_only=True)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class FromColumns:
    """`from columns(digits, "p*")`."""

    table: str
    pattern: str
    table_span: Span = field(compare=False, repr=False, kw_only=True)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class FromFile:
    """`from "w.npy"`, `init from "run.json"`."""

    path: str
    span: Span = _span()


DataSource = FromTable | FromColumns | FromFile


# ------------------------------------------------------------------------------------------------ attributes


@dataclass(frozen=True, slots=True)
class Bound:
    """`>= 0`, `<= cap[i]`, `>> 0`."""

    op: str
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Interval:
    """`in [0, 1]`."""

    low: Expr
    high: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class MemberOf:
    """`in CLASS`: the values are members of a set."""

    set: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Flag:
    """`integer`, `binary`, `symmetric`, `psd`, `nsd`, `fixed`."""

    name: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Init:
    """`init EXPR` (an initializer such as `he` or `normal(0, 1)` is a Name or a Call), `init from "run.json"`."""

    value: Expr | FromFile
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Default:
    """`default 0`."""

    value: Expr
    span: Span = _span()


VarAttribute = Bound | Interval | Flag | Init
ParamAttribute = Bound | Interval | MemberOf | Flag | Default


# ------------------------------------------------------------------------------------------------ statements


@dataclass(frozen=True, slots=True)
class TableDecl:
    """`table foods from "foods.csv"`; or `from sql "select ..." in "file.duckdb"` (`query` set, `path` may be None)."""

    name: str
    path: str | None
    query: str | None = None
    name_span: Span = field(compare=False, repr=False, kw_only=True)
    path_span: Span | None = field(default=None, compare=False, repr=False, kw_only=True)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class SetDecl:
    """`set NAME[domain] = expr | from source`; neither: to be supplied."""

    name: str
    domain: Domain | None = None
    value: Expr | None = None
    source: DataSource | None = None
    name_span: Span = field(compare=False, repr=False, kw_only=True)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class ParamDecl:
    """`param NAME[domain] attributes = expr | from source`; neither: to be supplied."""

    name: str
    domain: Domain | None = None
    attributes: tuple[ParamAttribute, ...] = ()
    value: Expr | None = None
    source: DataSource | None = None
    name_span: Span = field(compare=False, repr=False, kw_only=True)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class VarDecl:
    """`var NAME[domain] attributes`."""

    name: str
    domain: Domain | None = None
    attributes: tuple[VarAttribute, ...] = ()
    name_span: Span = field(compare=False, repr=False, kw_only=True)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class LetDecl:
    """`let NAME[domain] = expr`, or with `parameters` a function `let phi(t) = expr`."""

    name: str
    value: Expr
    domain: Domain | None = None
    parameters: tuple[str, ...] | None = None
    name_span: Span = field(compare=False, repr=False, kw_only=True)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Objective:
    """`minimize NAME: expr` (`sense` is `minimize` or `maximize`; `name` may be None)."""

    sense: str
    name: str | None
    value: Expr
    name_span: Span | None = field(default=None, compare=False, repr=False, kw_only=True)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Constraint:
    """`NAME[domain]: relation` inside a `subject to` block; `name` and `domain` may be None.

    `relation` is a `Compare` whose ops are `= <= >= >> <<` (others are reported by later checks, not by the parser).
    """

    name: str | None
    domain: Domain | None
    relation: Expr
    name_span: Span | None = field(default=None, compare=False, repr=False, kw_only=True)
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class SubjectTo:
    constraints: tuple[Constraint, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Show:
    items: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Solve:
    """`solve using METHOD(option = value, ...)`."""

    method: str
    options: tuple[Keyword, ...] = ()
    method_span: Span = field(compare=False, repr=False, kw_only=True)
    span: Span = _span()


Statement = TableDecl | SetDecl | ParamDecl | VarDecl | LetDecl | Objective | SubjectTo | Show | Solve


@dataclass(frozen=True, slots=True)
class Comment:
    """A `# ...` comment with its text (without the line end) and whether code stands before it on its line."""

    text: str
    trailing: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class File:
    """A whole `.opt` file."""

    statements: tuple[Statement, ...]
    source: Source = field(compare=False, repr=False, kw_only=True)
    comments: tuple[Comment, ...] = field(default=(), compare=False, repr=False, kw_only=True)
