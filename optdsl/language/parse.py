"""From a `.opt` text to its syntax tree, or to all the mistakes in it."""

from __future__ import annotations

import bisect
import functools
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NoReturn

from optdsl.errors import Diagnostic, OptSyntaxError, Source, Span
from optdsl.language import tree
from optdsl.language.build import TreeBuilder
from optdsl.language.failure import Failure
from optdsl.language.grammar import Tables, tables
from optdsl.language.lexer import lex
from optdsl.language.mistakes import explain
from optdsl.language.statements import unknown_statement
from optdsl.language.tokens import STATEMENT_WORDS, Tokens

MAX_MISTAKES = 20
MAX_LEVELS = 120  # of a tree; later stages walk it by recursion
LONG_STATEMENT = MAX_LEVELS  # tokens; no shorter one can be deeper

Builder = Callable[[list[Any], int, int], Any]


def parse(text: str, name: str = "<text>") -> tree.File:
    """The syntax tree of a text; `name` is what messages call it.

    Raises OptSyntaxError with every independent mistake that can be told apart (at most 20).
    """
    if text.startswith("\ufeff"):
        text = text[1:]
    source = Source(name, text)
    _check_unicode(source)
    tokens = lex(source)
    if not tokens.firsts:
        _raise(tokens.diagnostics or [_nothing(source)])
    if not tokens.diagnostics:
        parser = _Parser(tokens)
        file = parser.run("file", 0, len(tokens.kinds) - 1)
        if not isinstance(file, Failure) and not parser.builder.diagnostics:
            deep = _deep_statements(file, tokens)
            if deep:
                _raise(deep)
            return file
    return _raise(_all_mistakes(tokens))


def parse_expression(text: str, name: str = "<text>") -> tree.Expr:
    """The tree of a single expression; raises OptSyntaxError."""
    source = Source(name, text)
    _check_unicode(source)
    tokens = lex(source, statements=False)
    if tokens.diagnostics or not tokens.firsts:
        _raise(tokens.diagnostics or [_nothing(source)])
    parser = _Parser(tokens)
    value = parser.run("expression", 0, len(tokens.kinds) - 2)
    if isinstance(value, Failure):
        _raise([explain(value)])
    diagnostics = parser.builder.diagnostics or _too_deep(value, tokens)
    if diagnostics:
        _raise(diagnostics)
    return value


def _raise(diagnostics: list[Diagnostic]) -> NoReturn:
    ordered = sorted(diagnostics, key=lambda d: (d.span.start, d.span.end) if d.span else (0, 0))
    raise OptSyntaxError(*ordered[:MAX_MISTAKES])


def _nothing(source: Source) -> Diagnostic:
    return Diagnostic(
        "nothing-to-solve",
        "nothing to solve: the file has no statement",
        source=source,
        hint="start with a variable and an objective: `var x >= 0`, `minimize x`",
    )


def _check_unicode(source: Source) -> None:
    try:
        source.text.encode("utf-8")
    except UnicodeEncodeError as error:
        before = source.text[: error.start]
        line = before.count("\n") + 1
        column = error.start - (before.rfind("\n") + 1) + 1
        span = Span(error.start, error.start + 1, line, column, line, column + 1)
        code_point = f"U+{ord(source.text[error.start]):04X}"
        raise OptSyntaxError(
            Diagnostic(
                "not-unicode",
                f"the text is not valid Unicode: half a character, {code_point}",
                span,
                "save the file as UTF-8",
                source,
            )
        ) from None


# ------------------------------------------------------------------------------------------- the parsing loop


class _Parser:
    """LALR parses of stretches of the tokens of one text."""

    def __init__(self, tokens: Tokens) -> None:
        self.grammar = tables()
        self.tokens = tokens
        self.builder = TreeBuilder(tokens)
        self.builds = _builds(self.grammar, self.builder)

    def run(self, start: str, first: int, end: int) -> Any:
        """What the grammar's rule `start` builds from the tokens from `first` up to `end`, or the Failure met there."""
        grammar, tokens, builds = self.grammar, self.tokens, self.builds
        actions, leap = grammar.actions, _leaps(grammar)
        kinds, final = tokens.kinds, grammar.ends[start]
        index = first
        kind = kinds[index] if index < end else "$END"
        states = [grammar.starts[start]]
        values: list[Any] = []
        firsts: list[int] = []
        state = states[0]
        while True:
            action = actions[state].get(kind)
            if action is None:
                return Failure(grammar, tokens, start, first, end, index, states)
            if action >= 0:
                states.append(action)
                values.append(index)
                firsts.append(index)
                state = action
                index += 1
                kind = kinds[index] if index < end else "$END"
                continue
            size, origin, build = builds[~action]
            if size == 1:
                if build is not None:
                    values[-1] = build([values[-1]], firsts[-1], index - 1)
                del states[-1]
            elif size:
                parts = values[-size:]
                del values[-size:], states[-size:]
                begin = firsts[-size]
                del firsts[-size:]
                values.append(build(parts, begin, index - 1))  # type: ignore[misc]
                firsts.append(begin)
            else:
                values.append(build([], index, index - 1))  # type: ignore[misc]
                firsts.append(index)
            state = leap(states[-1], origin, kind)
            states.append(state)
            if state == final and kind == "$END":
                return values[-1]


@functools.cache
def _leaps(grammar: Tables) -> Callable[[int, str, str], int]:
    """The state after a reduction, with all reductions that only hand a value on already done.

    A number in a list is an atom, a postfix, a power, ... up to an expression: eleven steps in one.
    """
    memory: dict[tuple[int, str, str], int] = {}
    actions, gotos, rules = grammar.actions, grammar.gotos, grammar.rules

    def leap(before: int, origin: str, kind: str) -> int:
        key = (before, origin, kind)
        state = memory.get(key)
        if state is None:
            state = gotos[before][origin]
            while True:
                action = actions[state].get(kind)
                if action is None or action >= 0:
                    break
                rule = rules[~action]
                if not rule.passes or len(rule.symbols) != 1:
                    break
                state = gotos[before][rule.origin]
            memory[key] = state
        return state

    return leap


def _builds(grammar: Tables, builder: TreeBuilder) -> list[tuple[int, str, Builder | None]]:
    """For each rule its length, what it makes, and the function that makes it (None: hands its value on)."""
    return [
        (len(r.symbols), r.origin, _build(r.build, r.kept, r.spliced, r.passes, len(r.symbols), builder))
        for r in grammar.rules
    ]


def _build(
    name: str, kept: tuple[int, ...], spliced: tuple[int, ...], passes: bool, size: int, builder: TreeBuilder
) -> Builder | None:
    if passes:
        position = kept[0]
        return None if size == 1 else lambda parts, first, last: parts[position]
    method: Builder | None = getattr(builder, name) if name else None
    whole = len(kept) == size

    def collect(parts: list[Any], first: int, last: int) -> Any:
        if 0 in spliced:  # a list that grows: extended in place
            values = parts[0]
            positions = kept[1:]
        else:
            values = []
            positions = kept
        for position in positions:
            if position in spliced:
                values.extend(parts[position])
            else:
                values.append(parts[position])
        return values if method is None else method(values, first, last)

    if not spliced:
        if method is None:
            return collect
        if whole:
            return method
        return lambda parts, first, last: method([parts[position] for position in kept], first, last)
    return collect


# ------------------------------------------------------------------------------------------- many mistakes


def _all_mistakes(tokens: Tokens) -> list[Diagnostic]:
    """Parse statement by statement, and collect what is wrong in each.

    Where the lexing step has found something in a statement, a parse that stops there is most likely its consequence.
    """
    lines = sorted(d.span.line for d in tokens.diagnostics if d.span is not None)

    def reported(first: int, end: int) -> bool:
        at = bisect.bisect_left(lines, tokens.lines[first])
        return at < len(lines) and lines[at] <= tokens.lines[end]

    found = list(tokens.diagnostics)
    parser = _Parser(tokens)
    for first, end, rule, diagnostic in _statements(tokens):
        if diagnostic is not None and not reported(first, end):
            found.append(diagnostic)
        if len(found) >= MAX_MISTAKES:
            break
        if rule is None:
            continue
        parser.builder.diagnostics.clear()
        result = parser.run(rule, first, end)
        if not isinstance(result, Failure):
            found += parser.builder.diagnostics
            if end - first >= LONG_STATEMENT:
                found += _too_deep(result, tokens)
        elif not reported(first, end):
            found.append(explain(result))
    return found


def _statements(tokens: Tokens) -> Iterator[tuple[int, int, str | None, Diagnostic | None]]:
    """The stretches of tokens to parse on their own: first, end, as what (None: not at all), and what is wrong already.

    A first word that is no keyword but looks like one is reported here, and read as that keyword.
    """
    kinds = tokens.kinds
    in_block = False
    lost = False  # after a line that is no statement, until the next keyword
    for first in tokens.firsts:
        end = kinds.index("_NL", first)
        diagnostic = None
        if kinds[first] not in STATEMENT_WORDS and first not in tokens.broken:
            diagnostic, meant = unknown_statement(tokens, first, end, in_block)
            if lost and meant in (None, "constraint"):
                diagnostic = None
            if meant == "subject to":
                in_block, lost = True, False
                yield first, end, None, diagnostic
                continue
            if meant == "constraint":
                in_block = True
            elif meant is not None:
                kinds[first] = meant.upper()
                tokens.mark_label(first + 1)
            elif not in_block:
                lost = True
                yield first, end, None, diagnostic
                continue
        if kinds[first] in STATEMENT_WORDS and not (in_block and kinds[first + 1] == "COLON"):
            in_block, lost = kinds[first] == "SUBJECT", False
        if first in tokens.broken:
            continue
        if kinds[first] == "SUBJECT" and kinds[first + 1] == "TO":
            yield first + 2, end, "constraint" if first + 2 < end else None, diagnostic
        else:
            constraint = in_block and kinds[first] not in STATEMENT_WORDS
            yield first, end, "constraint" if constraint else "statement", diagnostic


def _deep_statements(file: tree.File, tokens: Tokens) -> list[Diagnostic]:
    """The statements and constraints of a file that are nested too deeply; only long ones can be."""
    if len(tokens.kinds) < LONG_STATEMENT:
        return []
    long = set()
    for first, after in zip(tokens.firsts, [*tokens.firsts[1:], len(tokens.kinds)], strict=True):
        if after - first >= LONG_STATEMENT:
            long |= {tokens.starts[first], tokens.starts[first + 2]}  # a constraint may follow `subject to`
    found = []
    for statement in file.statements:
        parts = statement.constraints if isinstance(statement, tree.SubjectTo) else (statement,)
        for part in parts:
            if part.span.start in long:
                found += _too_deep(part, tokens)
    return found


def _too_deep(part: tree.Statement | tree.Constraint | tree.Expr, tokens: Tokens) -> list[Diagnostic]:
    """What to say if a tree has too many levels; sums, products and the like of any length count as one level."""
    span = _deep_part(part)
    if span is None:
        return []
    message = f"the expression is nested more than {MAX_LEVELS} levels deep here"
    hint = "name parts of the expression with `let`"
    return [Diagnostic("nested-too-deeply", message, span, hint, tokens.source)]


def _deep_part(node: Any) -> Span | None:
    """Where a tree first is deeper than it may be."""
    todo: list[tuple[Any, int]] = [(node, 0)]
    while todo:
        node, level = todo.pop()
        if isinstance(node, tuple):
            todo.extend((part, level) for part in node)
        elif isinstance(node, (tree.Number, tree.Name, tree.String)) or not is_dataclass(node):
            continue
        elif level > MAX_LEVELS:
            return getattr(node, "span", None)
        elif isinstance(node, tree.Binary):
            in_a_row = isinstance(node.left, tree.Binary) and node.op != "^"
            todo += [(node.left, level if in_a_row else level + 1), (node.right, level + 1)]
        else:
            todo.extend((getattr(node, part.name), level + 1) for part in fields(node) if part.compare)
    return None
