"""From the records of the tree to documents that `layout` can break into lines, with the comments inside statements.

Every place where the output may end a line (`Line`) asks for the comments that stood before what follows it, so a
comment inside a statement ends up after the bracket, comma or operator next to it, and stays there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from optdsl.errors import Span
from optdsl.language import tree
from optdsl.language.grammar import tables
from optdsl.language.layout import Doc, Group, Line, Nest, flat

# Binding strength, loosest first: the levels of the grammar.
(
    CONDITIONAL, OR, AND, NOT, COMPARISON, RANGE, SUM, MEET, PRODUCT, SIGNED, POWER, POSTFIX, ATOM,
) = range(13)  # fmt: skip

BINARY_LEVELS = {
    "or": OR, "and": AND, "+": SUM, "-": SUM, "|": SUM, "&": MEET, "*": PRODUCT, "/": PRODUCT, "@": PRODUCT, "^": POWER,
}  # fmt: skip


def level(expr: tree.Expr | tree.Slice) -> int:
    """How tightly an expression binds."""
    if isinstance(expr, tree.Binary):
        return BINARY_LEVELS[expr.op]
    if isinstance(expr, tree.Unary):
        return NOT if expr.op == "not" else SIGNED
    if isinstance(expr, tree.Number):
        return SIGNED if expr.text.startswith("-") else ATOM
    for kind, value in (
        (tree.IfElse, CONDITIONAL),
        (tree.Compare, COMPARISON),
        (tree.RangeExpr, RANGE),
        (tree.Subscript, POSTFIX),
        (tree.Attribute, POSTFIX),
    ):
        if isinstance(expr, kind):
            return value
    return ATOM


# ------------------------------------------------------------------------------------------------ expressions


class Printer:
    """Documents for the parts of a statement; must be asked in the order of the text, because comments are used up."""

    def __init__(self, comments: Sequence[tree.Comment]) -> None:
        self.comments = comments
        self.next_comment = 0

    def taken(self, offset: int) -> tuple[tuple[str, bool], ...]:
        """The comments before an offset that have not been printed yet."""
        begin = self.next_comment
        while self.next_comment < len(self.comments) and self.comments[self.next_comment].span.start < offset:
            self.next_comment += 1
        found = self.comments[begin : self.next_comment]
        # Only the first can stand behind code; the others follow in lines of their own.
        return tuple((comment.text, comment.trailing and at == 0) for at, comment in enumerate(found))

    def line(self, offset: int, between: str = " ") -> Line:
        """A place where the line may end, before what stands at an offset of the source."""
        return Line(between, self.taken(offset))

    def expression(self, expr: tree.Expr | tree.Slice, least: int) -> Doc:
        """An expression where one that binds less tightly than `least` needs round brackets."""
        if level(expr) < least:
            return Group(["(", self.bare(expr), ")"])
        return self.bare(expr)

    def whole(self, expr: tree.Expr | tree.Slice, least: int) -> Doc:
        """An expression that is kept in one line if it can."""
        return Group([self.expression(expr, least)], whole=True)

    def bare(self, expr: tree.Expr | tree.Slice) -> Doc:
        """An expression without brackets around it."""
        match expr:
            case tree.Name():
                return expr.name
            case tree.Number():
                return _number(expr)
            case tree.String():
                return quoted(expr.value)
            case tree.Slice():
                return ":"
            case tree.Binary(op="^"):
                return Group([self.expression(expr.left, POSTFIX), "^", self.expression(expr.right, SIGNED)])
            case tree.Binary():
                return self.chain(expr)
            case tree.Unary():
                least = NOT if expr.op == "not" else SIGNED
                return Group(["not " if expr.op == "not" else expr.op, self.expression(expr.operand, least)])
            case tree.Compare():
                return self.compare(expr)
            case tree.IfElse():
                return self.conditional(expr, OR)
            case tree.RangeExpr():
                step = [] if expr.step is None else [" by ", self.expression(expr.step, SUM)]
                return Group([self.range_end(expr.low), "..", self.range_end(expr.high), *step])
            case tree.Subscript():
                base = self.postfix_base(expr.base)
                return Group([base, self.listing("[", expr.indices, "]", expr.span)])
            case tree.Attribute():
                return Group([self.postfix_base(expr.base), ".", expr.name])
            case tree.Call():
                return self.call(expr)
            case tree.TupleExpr():
                return self.listing("(", expr.items, ")", expr.span)
            case tree.ArrayLiteral():
                return self.listing("[", expr.items, "]", expr.span)
            case tree.SetLiteral():
                return self.set_literal(expr)
            case tree.DictLiteral():
                return self.dictionary(expr)
            case tree.Comprehension():
                return self.iteration("[", expr.body, expr.domain, "]", expr.span)
            case tree.SetBuilder():
                return self.iteration("{", expr.element, expr.domain, "}", expr.span)
        raise TypeError(f"not an expression: {expr!r}")

    def postfix_base(self, base: tree.Expr) -> Doc:
        if isinstance(base, tree.Number):  # `1.T` would read badly
            return Group(["(", self.bare(base), ")"])
        return self.expression(base, POSTFIX)

    def chain(self, expr: tree.Binary) -> Doc:
        """`a + b - c`: operators of one level in a row, walked without recursion, broken after the operators."""
        strength = BINARY_LEVELS[expr.op]
        rest: list[tuple[str, tree.Expr]] = []
        node: tree.Expr = expr
        while isinstance(node, tree.Binary) and BINARY_LEVELS[node.op] == strength:
            rest.append((node.op, node.right))
            node = node.left
        parts: list[Doc] = [self.expression(node, strength)]
        for op, operand in reversed(rest):
            parts += [" " + op, self.line(operand.span.start), self.whole(operand, strength + 1)]
        return Group([parts[0], Nest(parts[1:])], fill=True, whole=True)

    def compare(self, expr: tree.Compare) -> Doc:
        parts: list[Doc] = [self.expression(expr.operands[0], RANGE)]
        for op, operand in zip(expr.ops, expr.operands[1:], strict=True):
            parts += [" " + op, self.line(operand.span.start), self.whole(operand, RANGE)]
        return Group([parts[0], Nest(parts[1:])], fill=True, whole=True)

    def conditional(self, expr: tree.IfElse, least: int) -> Doc:
        """`a if c else b if d else e`, broken after each `else`."""
        parts: list[Doc] = []
        node: tree.Expr = expr
        while isinstance(node, tree.IfElse):
            parts += [self.expression(node.then, least), " if ", self.expression(node.condition, OR), " else"]
            node = node.otherwise
            parts.append(self.line(node.then.span.start if isinstance(node, tree.IfElse) else node.span.start))
        parts.append(self.expression(node, RANGE if least == RANGE else CONDITIONAL))
        return Group([parts[0], Nest(parts[1:])], whole=True)

    def range_end(self, expr: tree.Expr) -> Doc:
        """`i+1` in `i+1..n`: without spaces, which would suggest that `..` binds more tightly."""
        if isinstance(expr, tree.Binary) and expr.op in "+-*/" and _simple(expr.left) and _simple(expr.right):
            return Group([self.bare(expr.left), expr.op, self.bare(expr.right)])
        return self.expression(expr, SUM)

    def call(self, expr: tree.Call) -> Doc:
        if expr.domain is not None:
            return Group([expr.name, self.iteration("(", expr.args[0], expr.domain, ")", expr.span)])
        return Group([expr.name, self.items("(", [*expr.args, *expr.keywords], ")", expr.span)])

    def listing(self, opening: str, items: Sequence[tree.Expr | tree.Slice], closing: str, span: Span) -> Doc:
        return self.items(opening, items, closing, span, fill=len(items) > 1 and all(map(_short, items)))

    def items(
        self,
        opening: str,
        items: Sequence[tree.Expr | tree.Slice | tree.Keyword],
        closing: str,
        span: Span,
        fill: bool = False,
    ) -> Doc:
        """A list in brackets: one item a line when it does not fit, or as many as fit with `fill`."""
        if not items:
            return opening + closing
        parts: list[Doc] = []
        for at, item in enumerate(items):
            parts.append(self.line(item.span.start, " " if at else ""))
            if isinstance(item, tree.Keyword):
                parts += [item.name, " = ", self.expression(item.value, CONDITIONAL)]
            elif opening == "(" and _reads_as_keyword(item):
                parts.append(Group(["(", self.bare(item), ")"]))
            else:
                parts.append(self.whole(item, CONDITIONAL))
            if at < len(items) - 1:
                parts.append(",")
        return _bracketed(opening, parts, self.line(span.end, ""), closing, fill)

    def set_literal(self, expr: tree.SetLiteral) -> Doc:
        if len(expr.items) == 1 and isinstance(expr.items[0], tree.Compare):  # not to be read as a builder
            return Group(["{", "(", self.bare(expr.items[0]), ")", "}"])
        return self.listing("{", expr.items, "}", expr.span)

    def dictionary(self, expr: tree.DictLiteral) -> Doc:
        parts: list[Doc] = []
        for at, (key, value) in enumerate(expr.items):
            parts.append(self.line(key.span.start, " " if at else ""))
            parts.append(
                Group([self.expression(key, CONDITIONAL), ": ", self.expression(value, CONDITIONAL)], whole=True)
            )
            if at < len(expr.items) - 1:
                parts.append(",")
        fill = all(_short(key) and _short(value) for key, value in expr.items)
        return _bracketed("{", parts, self.line(expr.span.end, ""), "}", fill)

    def iteration(self, opening: str, body: tree.Expr | None, domain: tree.Domain, closing: str, span: Span) -> Doc:
        """`(e for i in I if c)`, `{i in I if c}`."""
        parts: list[Doc] = []
        if body is not None:
            parts += [self.line(body.span.start, ""), self.expression(body, CONDITIONAL)]
        first, *rest = domain.iterators or (None,)
        if first is not None:
            parts.append(self.line(first.span.start, "" if body is None else " "))
            loop: list[Doc] = ["" if body is None else "for ", self.iterator(first)]
            for iterator in rest:
                loop += [",", self.line(iterator.span.start), self.iterator(iterator)]
            parts.append(Group(loop) if len(loop) == 2 else Group([loop[0], loop[1], Nest(loop[2:])]))
        parts += self.condition(domain)
        return _bracketed(opening, parts, self.line(span.end, ""), closing)

    def domain(self, domain: tree.Domain) -> Doc:
        """`[i in I, J if c]`"""
        parts: list[Doc] = []
        for at, iterator in enumerate(domain.iterators):
            parts.append(self.line(iterator.span.start, " " if at else ""))
            parts.append(self.iterator(iterator))
            if at < len(domain.iterators) - 1:
                parts.append(",")
        parts += self.condition(domain)
        return _bracketed("[", parts, self.line(domain.span.end, ""), "]")

    def condition(self, domain: tree.Domain) -> list[Doc]:
        if domain.condition is None:
            return []
        return [self.line(domain.condition.span.start), "if ", self.expression(domain.condition, OR)]

    def iterator(self, iterator: tree.Iterator) -> Doc:
        parts: list[Doc] = []
        if iterator.slots is not None:
            slots = [self.expression(slot, CONDITIONAL if iterator.tupled else RANGE) for slot in iterator.slots]
            names: list[Doc] = [slots[0]]
            for slot in slots[1:]:
                names += [", ", slot]
            parts += ["(", *names, ")"] if iterator.tupled else names
            parts.append(" in ")
        return Group([*parts, self.expression(iterator.set, RANGE)])

    # -------------------------------------------------------------------------------------------- statements

    def statement(self, statement: tree.Statement | tree.Constraint) -> Doc:
        match statement:
            case tree.TableDecl():
                return _table(statement)
            case tree.SetDecl():
                head = ["set ", statement.name, self.domain_of(statement)]
                return Group([*head, self.definition(statement.value, statement.source)])
            case tree.ParamDecl():
                head = ["param ", statement.name, self.domain_of(statement), self.attributes(statement.attributes)]
                return Group([*head, self.definition(statement.value, statement.source)])
            case tree.VarDecl():
                head = ["var ", statement.name, self.domain_of(statement)]
                return Group([*head, self.attributes(statement.attributes)])
            case tree.LetDecl():
                parameters = "" if statement.parameters is None else f"({', '.join(statement.parameters)})"
                head = ["let ", statement.name, parameters, self.domain_of(statement)]
                return Group([*head, self.definition(statement.value, None)])
            case tree.Objective():
                head = [statement.sense + " ", statement.name or ""]
                return self.labelled(head, statement.name, statement.value)
            case tree.Constraint():
                head = [] if statement.name is None else [statement.name, self.domain_of(statement)]
                return self.labelled(head, statement.name, statement.relation)
            case tree.Show():
                return self.comma_separated("show ", [(item.span, item) for item in statement.items])
            case tree.Solve():
                options = self.items("(", statement.options, ")", statement.span) if statement.options else ""
                return Group(["solve using ", statement.method, options])
        raise TypeError(f"not a statement: {statement!r}")

    def domain_of(
        self, statement: tree.SetDecl | tree.ParamDecl | tree.VarDecl | tree.LetDecl | tree.Constraint
    ) -> Doc:
        return "" if statement.domain is None else self.domain(statement.domain)

    def labelled(self, head: list[Doc], name: str | None, value: tree.Expr) -> Doc:
        """`NAME: expr`, or the expression alone, which must not start its line with an operator."""
        if name is not None:
            return Group([*head, ":", Nest([self.line(value.span.start), self.expression(value, CONDITIONAL)])])
        if not head and flat(Printer(()).bare(value)).startswith(("-", "+")):
            return self.guarded(value)
        return Group([*head, self.expression(value, CONDITIONAL)])

    def guarded(self, value: tree.Expr) -> Doc:
        """An unnamed constraint with its first operand in round brackets."""
        if not isinstance(value, tree.Compare):
            return Group(["(", self.bare(value), ")"])
        parts: list[Doc] = [Group(["(", self.bare(value.operands[0]), ")"])]
        for op, operand in zip(value.ops, value.operands[1:], strict=True):
            parts += [" " + op, self.line(operand.span.start), self.whole(operand, RANGE)]
        return Group([parts[0], Nest(parts[1:])], fill=True, whole=True)

    def definition(self, value: tree.Expr | None, source: tree.DataSource | None) -> Doc:
        if value is not None:
            return Group([" = ", self.expression(value, CONDITIONAL)])
        if isinstance(source, tree.FromFile):
            return " from " + quoted(source.path)
        if isinstance(source, tree.FromColumns):
            return f" from columns({source.table}, {quoted(source.pattern)})"
        if isinstance(source, tree.FromTable):
            return Group([" from ", source.table, self.columns(source)])
        return ""

    def columns(self, source: tree.FromTable) -> Doc:
        if source.columns is None:
            return ""
        parts: list[Doc] = []
        for at, name in enumerate(source.columns):
            span = source.column_spans[at] if source.column_spans else source.span
            parts += ["," if at else "", self.line(span.start, " " if at else ""), column_text(name)]
        return _bracketed("(", [part for part in parts if part != ""], self.line(source.span.end, ""), ")")

    def attributes(self, attributes: Sequence[tree.VarAttribute | tree.ParamAttribute]) -> Doc:
        return self.comma_separated(" ", [(attribute.span, attribute) for attribute in attributes])

    def comma_separated(
        self, lead: str, items: Sequence[tuple[Span, tree.Expr | tree.VarAttribute | tree.ParamAttribute]]
    ) -> Doc:
        """Parts after `lead`, broken after commas."""
        parts: list[Doc] = []
        for at, (span, item) in enumerate(items):
            parts += [",", self.line(span.start)] if at else []
            parts.append(self.attribute(item))
        return Group([lead, parts[0], Nest(parts[1:])]) if parts else ""

    def attribute(self, attribute: tree.Expr | tree.VarAttribute | tree.ParamAttribute) -> Doc:
        match attribute:
            case tree.Flag():
                return attribute.name
            case tree.Bound():
                return Group([attribute.op, " ", self.attribute_value(attribute.value)])
            case tree.Interval():
                low = self.expression(attribute.low, CONDITIONAL)
                return Group(["in [", low, ", ", self.expression(attribute.high, CONDITIONAL), "]"])
            case tree.MemberOf():
                return Group(["in ", self.expression(attribute.set, RANGE)])
            case tree.Default():
                return Group(["default ", self.attribute_value(attribute.value)])
            case tree.Init():
                if isinstance(attribute.value, tree.FromFile):
                    return f"init from {quoted(attribute.value.path)}"
                return Group(["init ", self.attribute_value(attribute.value)])
        return self.expression(attribute, CONDITIONAL)

    def attribute_value(self, value: tree.Expr) -> Doc:
        """A value without a bare comparison: the next attribute may start with one."""
        if isinstance(value, tree.IfElse):
            return self.conditional(value, RANGE)
        return self.expression(value, RANGE)


def _table(statement: tree.TableDecl) -> Doc:
    if statement.query is None:
        return f"table {statement.name} from {quoted(statement.path or '')}"
    where = "" if statement.path is None else f" in {quoted(statement.path)}"
    return f"table {statement.name} from sql {quoted(statement.query)}{where}"


def _bracketed(opening: str, inside: list[Doc], end: Line, closing: str, fill: bool = False) -> Doc:
    """Parts in brackets, the first of them a line; with `fill` as many in a line as fit."""
    content = [inside[0], Group(inside[1:], fill=True)] if fill else inside
    if end.comments:  # they belong to what is inside
        content = [*content, end]
        end = Line("")
    return Group([opening, Nest(content), end, closing])


def _simple(expr: tree.Expr) -> bool:
    return isinstance(expr, (tree.Name, tree.Number))


def _short(item: tree.Expr | tree.Slice) -> bool:
    """Whether several such items may share a line of a long list."""
    if isinstance(item, tree.Unary):
        return _short(item.operand)
    if isinstance(item, tree.TupleExpr):
        return all(map(_short, item.items))
    return isinstance(item, (tree.Number, tree.String, tree.Name, tree.Slice))


def _reads_as_keyword(expr: tree.Expr | tree.Slice) -> bool:
    """Whether an argument would start with `NAME =`."""
    while True:
        if isinstance(expr, tree.Compare):
            return isinstance(expr.operands[0], tree.Name) and expr.ops[0] == "="
        if isinstance(expr, tree.IfElse):
            expr = expr.then
        elif isinstance(expr, tree.Binary) and expr.op in ("or", "and"):
            expr = expr.left
        else:
            return False


def _number(number: tree.Number) -> str:
    """The number as it was written, with digits on both sides of the point."""
    text = number.text.lower()
    text = re.sub(r"^(-?)\.", r"\g<1>0.", text)
    return re.sub(r"\.(?=e|$)", ".0", text)


def quoted(value: str) -> str:
    """A string in double quotes, or in single ones if that saves escapes."""
    quote = "'" if '"' in value and "'" not in value else '"'
    text = re.sub(r"\\(?=[\\\"']|$)", r"\\\\", value)
    return quote + text.replace(quote, "\\" + quote) + quote


def column_text(name: str) -> str:
    """A column's name, in quotes where it is no single word or a keyword."""
    plain = re.fullmatch(tables().patterns["NAME"], name) and name not in tables().literals and name != "inf"
    return name if plain else quoted(name)
