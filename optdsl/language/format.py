"""From a syntax tree to its one canonical text, with all comments and the blank lines between statements kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optdsl.language import tree
from optdsl.language.layout import INDENT, flat, render
from optdsl.language.parse import parse
from optdsl.language.printer import CONDITIONAL, Printer

WIDTH = 100  # columns, trailing comments not counted


def format_text(text: str, name: str = "<text>") -> str:
    """The canonical layout of a text; raises OptSyntaxError as `parse` does."""
    return format_file(parse(text, name))


def format_file(file: tree.File) -> str:
    """The canonical text of a file, with its comments; parsing it gives an equal file."""
    return _FilePrinter(file).print()


def expression_text(expr: tree.Expr | tree.Slice) -> str:
    """An expression in one line, as messages and tables quote it."""
    return flat(Printer(()).expression(expr, CONDITIONAL))


def domain_text(domain: tree.Domain) -> str:
    """`[i in I, j in J if i < j]` in one line."""
    return flat(Printer(()).domain(domain))


# ------------------------------------------------------------------------------------------------------ files


@dataclass(frozen=True, slots=True)
class _Unit:
    """What starts a line of its own: a statement, a constraint, or the `subject to` above it (no `part`)."""

    part: tree.Statement | tree.Constraint | None
    indent: int
    start: int
    end: int
    line: int
    end_line: int


class _FilePrinter:
    """One run over a file: its statements, the comments between them, and its blank lines."""

    def __init__(self, file: tree.File) -> None:
        self.printer = Printer(file.comments)
        self.units = [unit for statement in file.statements for unit in _units(statement)]
        self.entries: list[tuple[str, str]] = []  # code and trailing comment of each output line
        self.last_line = 0  # of the source
        self.last_trailing: tuple[int, int] | None = None  # line and column of a comment behind code

    def print(self) -> str:
        for at, unit in enumerate(self.units):
            after_block = at > 0 and self.units[at - 1].indent > unit.indent
            self.own_line_comments(unit.start, INDENT if unit.indent or after_block else 0, unit.indent > 0)
            self.unit(unit, self.units[at + 1].start if at + 1 < len(self.units) else None)
        in_block = bool(self.units) and (self.units[-1].indent > 0 or self.units[-1].part is None)
        self.own_line_comments(None, INDENT if in_block else 0, False)
        return "".join(line + "\n" for line in _aligned(self.entries))

    def unit(self, unit: _Unit, next_start: int | None) -> None:
        self.blank_line(unit.line)
        printer = self.printer
        if unit.part is None:
            lines = ["subject to"]
        else:
            lines = render(printer.statement(unit.part), unit.indent, WIDTH)
        behind = [text for text, _ in printer.taken(unit.end)]
        self.last_trailing = None
        if printer.next_comment < len(printer.comments):
            comment = printer.comments[printer.next_comment]
            before_next = next_start is None or comment.span.start < next_start
            if comment.trailing and comment.span.line == unit.end_line and before_next:
                printer.next_comment += 1
                behind.append(comment.text)
                self.last_trailing = (comment.span.line, comment.span.column)
        self.entries += [(line, "") for line in lines[:-1]]
        self.entries.append((lines[-1], behind[0] if behind else ""))
        self.entries += [(" " * unit.indent + text, "") for text in behind[1:]]
        self.last_line = max(unit.end_line, self.last_line)

    def own_line_comments(self, before: int | None, indent: int, inside: bool) -> None:
        """The comments before an offset; those at the left margin end the block above them."""
        printer = self.printer
        while printer.next_comment < len(printer.comments):
            comment = printer.comments[printer.next_comment]
            if before is not None and comment.span.start >= before:
                break
            printer.next_comment += 1
            line, column = comment.span.line, comment.span.column
            if self.last_trailing == (line - 1, column):  # goes on with the comment behind the code above
                self.last_trailing = (line, column)
                self.entries.append(("", comment.text))
                self.last_line = line
                continue
            if column == 1 and not inside:
                indent = 0
            self.blank_line(line)
            self.entries.append((" " * indent + comment.text, ""))
            self.last_line = line

    def blank_line(self, line: int) -> None:
        if self.entries and line > self.last_line + 1:
            self.entries.append(("", ""))


def _units(statement: tree.Statement) -> list[_Unit]:
    span = statement.span
    if not isinstance(statement, tree.SubjectTo):
        return [_Unit(statement, 0, span.start, span.end, span.line, span.end_line)]
    head = _Unit(None, 0, span.start, span.start, span.line, span.line)
    return [
        head,
        *(
            _Unit(part, INDENT, part.span.start, part.span.end, part.span.line, part.span.end_line)
            for part in statement.constraints
        ),
    ]


def _aligned(entries: Sequence[tuple[str, str]]) -> list[str]:
    """The lines, with the trailing comments of neighboring lines in one column."""
    lines: list[str] = []
    at = 0
    while at < len(entries):
        stop = at
        while stop < len(entries) and entries[stop][1]:
            stop += 1
        if stop == at:
            lines.append(entries[at][0])
            at += 1
            continue
        column = max(len(code) for code, _ in entries[at:stop]) + 2
        lines += [code.ljust(column) + comment for code, comment in entries[at:stop]]
        at = stop
    return lines
