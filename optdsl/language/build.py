"""From the rules of the grammar to the records of the tree.

`TreeBuilder` has one method for each rule or alias of `grammars/opt.lark`. It gets the values of the rule's parts
(tokens by their number, everything else as built) and the first and last token of the stretch it covers.
Mistakes that the grammar cannot see, such as a strict `<` in a constraint, are added to `diagnostics`.
"""

from __future__ import annotations

import math
import re
from typing import Any

from optdsl.errors import Diagnostic, Span
from optdsl.language import tree
from optdsl.language.grammar import tables
from optdsl.language.tokens import Tokens

SYNONYMS = {"**": "^", "==": "="}
REDUCTIONS = frozenset({"sum", "prod", "mean", "max", "min", "norm1", "norm2", "norminf", "logsumexp"})
RELATIONS = frozenset({"=", "<=", ">=", ">>", "<<"})
LONGEST_INTEGER = 300  # digits; a longer one is read as a float, and refused when it overflows
ESCAPE = re.compile(r"\\([\\\"'])")


class TreeBuilder:
    """Builds the tree of one text; `parts` below are a rule's values, `first` and `last` its tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.span = tokens.span
        self.text = tokens.text
        self.operators = {kind: SYNONYMS.get(text, text) for text, kind in tables().literals.items()}
        self.diagnostics: list[Diagnostic] = []

    def report(self, code: str, message: str, span: Span, hint: str) -> None:
        self.diagnostics.append(Diagnostic(code, message, span, hint, self.tokens.source))

    def quoted(self, token: int) -> str:
        """The value of a string token."""
        text = self.text(token)[1:-1]
        return ESCAPE.sub(r"\1", text) if "\\" in text else text

    # ---------------------------------------------------------------------------------------- statements

    def file(self, parts: list[Any], first: int, last: int) -> tree.File:
        tokens = self.tokens
        return tree.File(tuple(parts), source=tokens.source, comments=tuple(tokens.comments))

    def block(self, parts: list[Any], first: int, last: int) -> tree.SubjectTo:
        while self.tokens.kinds[last] == "_NL":
            last -= 1
        return tree.SubjectTo(tuple(parts), span=self.span(first, last))

    def table_file(self, parts: list[Any], first: int, last: int) -> tree.TableDecl:
        name, path = parts
        return tree.TableDecl(
            self.text(name),
            self.quoted(path),
            name_span=self.span(name, name),
            path_span=self.span(path, path),
            span=self.span(first, last),
        )

    def table_query(self, parts: list[Any], first: int, last: int) -> tree.TableDecl:
        name, query, *path = parts
        return tree.TableDecl(
            self.text(name),
            self.quoted(path[0]) if path else None,
            self.quoted(query),
            name_span=self.span(name, name),
            path_span=self.span(path[0], path[0]) if path else None,
            span=self.span(first, last),
        )

    def set(self, parts: list[Any], first: int, last: int) -> tree.SetDecl:
        name, domain, _, value, source = self.declaration(parts)
        return tree.SetDecl(
            self.text(name),
            domain,
            value,
            source,
            name_span=self.span(name, name),
            span=self.span(first, last),
        )

    def param(self, parts: list[Any], first: int, last: int) -> tree.ParamDecl:
        name, domain, attributes, value, source = self.declaration(parts)
        return tree.ParamDecl(
            self.text(name),
            domain,
            attributes,
            value,
            source,
            name_span=self.span(name, name),
            span=self.span(first, last),
        )

    def var(self, parts: list[Any], first: int, last: int) -> tree.VarDecl:
        name, domain, attributes, _, _ = self.declaration(parts)
        for attribute in attributes:
            if isinstance(attribute, tree.MemberOf):
                self.report(
                    "interval-expected",
                    "the `in` of a variable takes an interval of numbers",
                    attribute.span,
                    hint="write `in [low, high]`; for whole numbers add `integer`",
                )
        return tree.VarDecl(
            self.text(name), domain, attributes, name_span=self.span(name, name), span=self.span(first, last)
        )

    def declaration(
        self, parts: list[Any]
    ) -> tuple[int, tree.Domain | None, tuple[Any, ...], tree.Expr | None, tree.DataSource | None]:
        """The parts of a declaration told apart: name, domain, attributes, value, source."""
        name, *rest = parts
        domain = value = source = None
        attributes = []
        for part in rest:
            if isinstance(part, tree.Domain):
                domain = part
            elif isinstance(part, (tree.FromTable, tree.FromColumns, tree.FromFile)):
                source = part
            elif isinstance(part, (tree.Bound, tree.Interval, tree.MemberOf, tree.Flag, tree.Init, tree.Default)):
                attributes.append(part)
            else:
                value = part
        return name, domain, tuple(attributes), value, source

    def let(self, parts: list[Any], first: int, last: int) -> tree.LetDecl:
        name, domain, _, value, _ = self.declaration(parts)
        assert value is not None
        return tree.LetDecl(
            self.text(name), value, domain, name_span=self.span(name, name), span=self.span(first, last)
        )

    def let_function(self, parts: list[Any], first: int, last: int) -> tree.LetDecl:
        name, parameters, value = parts
        return tree.LetDecl(
            self.text(name),
            value,
            parameters=parameters,
            name_span=self.span(name, name),
            span=self.span(first, last),
        )

    def parameters(self, parts: list[Any], first: int, last: int) -> tuple[str, ...]:
        names: list[str] = []
        for token in parts:
            if self.text(token) in names:
                self.report(
                    "duplicate-parameter",
                    f"the function has two parameters named `{self.text(token)}`",
                    self.span(token, token),
                    hint="give each parameter a name of its own",
                )
            names.append(self.text(token))
        return tuple(names)

    def objective(self, parts: list[Any], first: int, last: int) -> tree.Objective:
        named = len(parts) == 4
        return tree.Objective(
            self.text(parts[0]),
            self.text(parts[1]) if named else None,
            parts[-1],
            name_span=self.span(parts[1], parts[1]) if named else None,
            span=self.span(first, last),
        )

    def show(self, parts: list[Any], first: int, last: int) -> tree.Show:
        return tree.Show(tuple(parts), span=self.span(first, last))

    def solve(self, parts: list[Any], first: int, last: int) -> tree.Solve:
        method, *options = parts
        for option in options:
            if not isinstance(option, tree.Keyword):
                self.report(
                    "option-without-name",
                    "an option of a method needs its name",
                    option.span,
                    hint=f"write `{self.text(method)}(tol = 1e-9)`, with `=` between each name and its value",
                )
        return tree.Solve(
            self.text(method),
            tuple(option for option in options if isinstance(option, tree.Keyword)),
            method_span=self.span(method, method),
            span=self.span(first, last),
        )

    # --------------------------------------------------------------------------------------- constraints

    def named_constraint(self, parts: list[Any], first: int, last: int) -> tree.Constraint:
        label, *domain, relation = parts
        self.check_relation(relation)
        return tree.Constraint(
            self.text(label),
            domain[0] if domain else None,
            relation,
            name_span=self.span(label, label),
            span=self.span(first, last),
        )

    def constraint(self, parts: list[Any], first: int, last: int) -> tree.Constraint:
        self.check_relation(parts[0])
        return tree.Constraint(None, None, parts[0], span=self.span(first, last))

    def check_relation(self, relation: tree.Expr) -> None:
        if not isinstance(relation, tree.Compare):
            if isinstance(relation, tree.IfElse) and isinstance(relation.then, tree.Compare):
                hint = "write the condition into the domain, as in `limit[i in I if i > 1]: x[i] <= 1`"
            elif isinstance(relation, tree.Binary) and relation.op in ("and", "or"):
                hint = "write each constraint in a line of its own; a choice between them needs a binary variable"
            else:
                hint = "compare two sides with `=`, `<=` or `>=`"
            message = "a constraint must be an equation or an inequality"
            self.report("not-a-constraint", message, relation.span, hint=hint)
            return
        for op, span in zip(relation.ops, relation.op_spans, strict=True):
            if op in ("<", ">"):
                message = f"a constraint cannot be strict: `{op}`"
                self.report("strict-inequality", message, span, hint=f"write `{op}=`")
            elif op == "!=":
                self.report(
                    "not-a-constraint",
                    "`!=` cannot be a constraint",
                    span,
                    hint="use a binary variable to choose between `<=` and `>=`",
                )
            elif op not in RELATIONS:
                self.report(
                    "not-a-constraint",
                    f"`{op}` cannot be a constraint",
                    span,
                    hint="membership is a condition: write bounds, or declare the variable `in [low, high]`",
                )

    # ------------------------------------------------------------------------------- attributes, sources

    def bound(self, parts: list[Any], first: int, last: int) -> tree.Bound:
        return tree.Bound(self.operators[self.tokens.kinds[parts[0]]], parts[1], span=self.span(first, last))

    def within(self, parts: list[Any], first: int, last: int) -> tree.Interval | tree.MemberOf:
        (values,) = parts
        span = self.span(first, last)
        if not isinstance(values, tree.ArrayLiteral):
            return tree.MemberOf(values, span=span)
        if len(values.items) != 2:
            self.report(
                "interval-expected",
                f"an interval has two ends, not {len(values.items)}",
                values.span,
                hint="write `in [low, high]`; a set of values stands in braces",
            )
            return tree.Interval(tree.Number(0, "0", span=span), tree.Number(0, "0", span=span), span=span)
        return tree.Interval(*values.items, span=span)

    def flag(self, parts: list[Any], first: int, last: int) -> tree.Flag:
        return tree.Flag(self.text(first), span=self.span(first, last))

    def init(self, parts: list[Any], first: int, last: int) -> tree.Init:
        return tree.Init(parts[0], span=self.span(first, last))

    def default(self, parts: list[Any], first: int, last: int) -> tree.Default:
        return tree.Default(parts[0], span=self.span(first, last))

    def from_rows(self, parts: list[Any], first: int, last: int) -> tree.FromTable:
        (table,) = parts
        return tree.FromTable(self.text(table), None, table_span=self.span(table, table), span=self.span(first, last))

    def from_columns(self, parts: list[Any], first: int, last: int) -> tree.FromTable | tree.FromColumns:
        table, columns = parts
        kinds = self.tokens.kinds
        if self.text(table) == "columns" and [kinds[c] for c in columns] == ["NAME", "STRING"]:
            source, pattern = columns
            return tree.FromColumns(
                self.text(source),
                self.quoted(pattern),
                table_span=self.span(source, source),
                span=self.span(first, last),
            )
        return tree.FromTable(
            self.text(table),
            tuple(self.quoted(c) if kinds[c] == "STRING" else self.text(c) for c in columns),
            tuple(self.span(c, c) for c in columns),
            table_span=self.span(table, table),
            span=self.span(first, last),
        )

    def columns(self, parts: list[Any], first: int, last: int) -> list[int]:
        return parts

    def from_file(self, parts: list[Any], first: int, last: int) -> tree.FromFile:
        return tree.FromFile(self.quoted(parts[0]), span=self.span(first, last))

    # ------------------------------------------------------------------------------------------- domains

    def domain(self, parts: list[Any], first: int, last: int) -> tree.Domain:
        condition = None if isinstance(parts[-1], tree.Iterator) else parts.pop()
        return tree.Domain(tuple(parts), condition, span=self.span(first, last))

    def bare_set(self, parts: list[Any], first: int, last: int) -> tree.Iterator:
        return tree.Iterator(None, parts[0], span=self.span(first, last))

    def iterator(self, parts: list[Any], first: int, last: int) -> tree.Iterator:
        slot, source = parts
        span = self.span(first, last)
        if isinstance(slot, tree.TupleExpr):
            return tree.Iterator(slot.items, source, True, span=span)
        if not isinstance(slot, tree.Name):
            self.report(
                "index-expected",
                "before `in` stands the name of an index, or a tuple of them",
                slot.span,
                hint="write `i in I` or `(i, j) in ARC`; conditions follow after `if`",
            )
        return tree.Iterator((slot,), source, span=span)

    def filtered(self, element: tree.Expr, condition: tree.Expr | None, span: Span) -> tree.SetBuilder:
        """`{t in T if c}`: its `t in T` was read as a comparison."""
        if isinstance(element, tree.Compare) and element.ops == ("in",):
            slot, source = element.operands
            items, tupled = (slot.items, True) if isinstance(slot, tree.TupleExpr) else ((slot,), False)
            if tupled or isinstance(slot, tree.Name):
                iterator = tree.Iterator(items, source, tupled, span=element.span)
                domain_span = element.span.to(condition.span) if condition else element.span
                return tree.SetBuilder(None, tree.Domain((iterator,), condition, span=domain_span), span=span)
        self.report(
            "index-expected",
            "a set with a condition names its index first",
            element.span,
            hint="write `{i in I if i > 1}`, or `{e for i in I if i > 1}` for an expression e of the indices",
        )
        domain = tree.Domain((), condition, span=element.span)
        return tree.SetBuilder(element, domain, span=span)

    # --------------------------------------------------------------------------------------- expressions

    def if_else(self, parts: list[Any], first: int, last: int) -> tree.IfElse:
        then, condition, otherwise = parts
        return tree.IfElse(then, condition, otherwise, span=self.span(first, last))

    def binary(self, parts: list[Any], first: int, last: int) -> tree.Binary:
        left, operator, right = parts
        op = self.operators[self.tokens.kinds[operator]]
        return tree.Binary(op, left, right, span=self.span(first, last))

    def unary(self, parts: list[Any], first: int, last: int) -> tree.Unary:
        return tree.Unary(self.operators[self.tokens.kinds[parts[0]]], parts[1], span=self.span(first, last))

    def compare(self, parts: list[Any], first: int, last: int) -> tree.Compare:
        operators = parts[1::2]
        return tree.Compare(
            tuple(parts[0::2]),
            tuple(self.operators[self.tokens.kinds[operator]] for operator in operators),
            tuple(self.span(operator, operator) for operator in operators),
            span=self.span(first, last),
        )

    def range(self, parts: list[Any], first: int, last: int) -> tree.RangeExpr:
        low, high, *step = parts
        return tree.RangeExpr(low, high, step[0] if step else None, span=self.span(first, last))

    def name(self, parts: list[Any], first: int, last: int) -> tree.Name:
        return tree.Name(self.text(first), span=self.span(first, last))

    def number(self, parts: list[Any], first: int, last: int) -> tree.Number:
        text = self.text(first)
        span = self.span(first, last)
        value: int | float
        if text.isdecimal() and len(text) <= LONGEST_INTEGER:
            return tree.Number(int(text), text, span=span)
        try:
            value = float(text)
        except ValueError:  # reported when it was read
            value = 0.0
        if value == math.inf and text != "inf":
            self.report(
                "malformed-number",
                "the number is too large for a 64-bit float",
                span,
                hint="write `inf` where no bound is meant, or choose other units",
            )
        return tree.Number(value, text, span=span)

    def string(self, parts: list[Any], first: int, last: int) -> tree.String:
        return tree.String(self.quoted(first), span=self.span(first, last))

    def tuple_of(self, parts: list[Any], first: int, last: int) -> tree.TupleExpr:
        return tree.TupleExpr(tuple(parts), span=self.span(first, last))

    def subscript(self, parts: list[Any], first: int, last: int) -> tree.Subscript:
        base, *indices = parts
        return tree.Subscript(base, tuple(indices), span=self.span(first, last))

    def attribute(self, parts: list[Any], first: int, last: int) -> tree.Attribute:
        return tree.Attribute(parts[0], self.text(parts[1]), span=self.span(first, last))

    def slice(self, parts: list[Any], first: int, last: int) -> tree.Slice:
        return tree.Slice(span=self.span(first, last))

    def call(self, parts: list[Any], first: int, last: int) -> tree.Call:
        name, *arguments = parts
        keywords: list[tree.Keyword] = []
        values: list[tree.Expr] = []
        for argument in arguments:
            if isinstance(argument, tree.Keyword):
                keywords.append(argument)
                continue
            values.append(argument)
            if keywords:
                self.report(
                    "positional-after-keyword",
                    "an argument without a name stands after one with a name",
                    argument.span,
                    hint=f"move it before `{keywords[0].name} = ...`",
                )
        if self.text(name) in REDUCTIONS and len(values) > 1 and any(_is_membership(value) for value in values):
            self.report(
                "foreign-iteration",
                f"`{self.text(name)}` iterates with `for`, not with a comma",
                self.span(first, last),
                hint=f"write `{self.text(name)}(x[i] for i in I)`",
            )
        return tree.Call(
            self.text(name),
            tuple(values),
            tuple(keywords),
            name_span=self.span(name, name),
            span=self.span(first, last),
        )

    def keyword(self, parts: list[Any], first: int, last: int) -> tree.Keyword:
        return tree.Keyword(self.text(parts[0]), parts[1], span=self.span(first, last))

    def iterated(self, parts: list[Any], first: int, last: int) -> tree.Call:
        name, body, domain = parts
        return tree.Call(
            self.text(name),
            (body,),
            domain=domain,
            name_span=self.span(name, name),
            span=self.span(first, last),
        )

    def array(self, parts: list[Any], first: int, last: int) -> tree.ArrayLiteral:
        return tree.ArrayLiteral(tuple(parts), span=self.span(first, last))

    def comprehension(self, parts: list[Any], first: int, last: int) -> tree.Comprehension:
        body, domain = parts
        return tree.Comprehension(body, domain, span=self.span(first, last))

    def set_literal(self, parts: list[Any], first: int, last: int) -> tree.SetLiteral | tree.SetBuilder:
        span = self.span(first, last)
        element = parts[0] if len(parts) == 1 else None
        if isinstance(element, tree.Compare) and element.span.start == self.tokens.starts[first + 1]:  # no brackets
            if element.ops == ("in",):
                return self.filtered(element, None, span)
            source = element.operands[1]
            if element.ops[0] == "in" and isinstance(source, tree.Binary) and source.op == "|":
                self.foreign_condition("|", span)
        return tree.SetLiteral(tuple(parts), span=span)

    def dict_literal(self, parts: list[Any], first: int, last: int) -> tree.DictLiteral:
        span = self.span(first, last)
        if _is_membership(parts[0]) and len(parts) == 2:
            self.foreign_condition(":", span)
        elif _is_membership(parts[-1]):
            self.report(
                "foreign-iteration",
                "`:` does not start an iteration in a set",
                span,
                hint="write `for`, as in `{i^2 for i in I}`",
            )
        return tree.DictLiteral(tuple(zip(parts[0::2], parts[1::2], strict=True)), span=span)

    def foreign_condition(self, sign: str, span: Span) -> None:
        hint = "write `if`, as in `{i in I if i > 1}`"
        self.report("foreign-condition", f"`{sign}` does not start a condition in a set", span, hint=hint)

    def filtered_set(self, parts: list[Any], first: int, last: int) -> tree.SetBuilder:
        return self.filtered(parts[0], parts[1], self.span(first, last))

    def built_set(self, parts: list[Any], first: int, last: int) -> tree.SetBuilder:
        element, domain = parts
        return tree.SetBuilder(element, domain, span=self.span(first, last))


def _is_membership(value: Any) -> bool:
    return isinstance(value, tree.Compare) and value.ops == ("in",)
