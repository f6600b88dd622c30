"""From a text to the tokens that the grammar speaks of.

This step settles what depends on line ends and brackets: where statements end, which brackets match, which names
are labels and keyword arguments. Spellings of other languages (`:=`, `&&`, typographic quotes) are reported and
read as what they mean, so that one such habit does not hide the other mistakes of a file.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from optdsl.errors import Diagnostic, Source, Span
from optdsl.language.foreign import FOREIGN_SPELLINGS, Foreign
from optdsl.language.grammar import Tables, tables
from optdsl.language.tokens import BINARY_OPERATORS, CLOSERS, CONTINUES, MAX_DEPTH, OPENERS, STATEMENT_WORDS, Tokens
from optdsl.language.tree import Comment


@dataclass(slots=True)
class _Bracket:
    """An open bracket: its token, and for those of a call the keyword arguments so far."""

    token: int
    kind: str
    call: bool
    arguments: list[int]
    iterated: bool = False


def lex(source: Source, statements: bool = True) -> Tokens:
    """The tokens of a text, with the mistakes found on the way in `diagnostics`.

    Without `statements` the text is an expression, whose first line may start with an operator.
    """
    lexer = _Lexer(source, tables())
    lexer.line_has_tokens = not statements
    lexer.run()
    return lexer.tokens


@functools.cache
def _pattern(literals: tuple[str, ...], name: str, number: str, string: str, comment: str) -> re.Pattern[str]:
    operators = [text for text in (*literals, *FOREIGN_SPELLINGS) if not text[0].isalpha()]
    operators.sort(key=len, reverse=True)
    return re.compile(
        r"[^\S\r\n]*(?:"
        rf"(?P<number>{number})|(?P<word>{name})|(?P<string>{string})|(?P<comment>{comment})"
        rf"|(?P<newline>\r\n|\r|\n)|(?P<operator>{'|'.join(map(re.escape, operators))})|(?P<other>\S)|\Z)"
    )


class _Lexer:
    """One run over one text."""

    def __init__(self, source: Source, grammar: Tables) -> None:
        self.source = source
        self.literals = grammar.literals
        patterns = grammar.patterns
        self.pattern = _pattern(
            tuple(grammar.literals),
            patterns["NAME"],
            patterns["NUMBER"],
            patterns["STRING"],
            patterns["COMMENT"],
        )
        self.tokens = Tokens(source)
        self.brackets: list[_Bracket] = []
        self.line = 1
        self.line_has_tokens = False
        self.continued: set[int] = set()  # statements already told that a line starts with an operator

    # ------------------------------------------------------------------------------------------- the loop

    def run(self) -> None:
        tokens = self.tokens
        tokens.line_starts.extend((0, 0))
        tokens.firsts.append(0)
        text, position, match = self.source.text, 0, self.pattern.match
        literals, kinds = self.literals, tokens.kinds
        while True:
            found = match(text, position)
            assert found is not None
            group = found.lastgroup
            position = found.end()
            if group == "word":
                word = found[group]
                kind = literals.get(word, "NAME")
                if kind != "NAME":
                    kind = self.keyword(kind, found.start(group))
                self.add(kind, found.start(group), position)
            elif group == "operator":
                operator = found[group]
                if operator in literals:
                    self.operator(literals[operator], found.start(group), position)
                else:
                    position = self.foreign(FOREIGN_SPELLINGS[operator], found.start(group), position)
            elif group == "number":
                start = found.start(group)
                attribute = kinds and kinds[-1] == "DOT" and text[start].isalpha()
                self.add("NAME" if attribute else "NUMBER", start, position)
            elif group == "newline":
                self.newline(found.start(group), position)
            elif group == "string":
                position = self.string(found.start(group), position)
            elif group == "comment":
                self.comment(found.start(group), position)
            elif group is None:
                break
            else:
                position = self.other(found.start(group))
        self.finish(len(text))

    def add(self, kind: str, start: int, end: int) -> None:
        tokens = self.tokens
        if not self.line_has_tokens:
            self.first_of_line(kind, start, end)
        tokens.kinds.append(kind)
        tokens.starts.append(start)
        tokens.ends.append(end)
        tokens.lines.append(self.line)

    # ----------------------------------------------------------------------------------- lines, statements

    def first_of_line(self, kind: str, start: int, end: int) -> None:
        """Look at the first token of a line: does it show that something before it is not finished?"""
        self.line_has_tokens = True
        tokens = self.tokens
        if kind in STATEMENT_WORDS:
            if self.brackets:
                self.unclosed(self.brackets[-1].token)
                self.brackets.clear()
            if len(tokens.kinds) > tokens.firsts[-1]:  # the line before ended in an operator or a comma
                self.end_statement()
        elif kind in BINARY_OPERATORS or kind in ("COMMA", "COLON"):
            if self.brackets or len(tokens.kinds) > tokens.firsts[-1]:
                return
            statement = tokens.firsts[-2] if tokens.kinds else 0
            if statement not in self.continued:
                operator = self.source.text[start:end]
                before = ": the statement before it has already ended" if tokens.kinds else ""
                self.report(
                    "line-starts-with-operator",
                    f"a line cannot start with `{operator}`{before}",
                    start,
                    end,
                    hint=f"end the line before with `{operator}`, or put round brackets around the whole expression",
                )
                self.continued.add(statement)
            if tokens.kinds:  # read on as if it were one statement
                del tokens.kinds[-1], tokens.starts[-1], tokens.ends[-1], tokens.lines[-1], tokens.firsts[-1]

    def newline(self, start: int, end: int) -> None:
        tokens = self.tokens
        self.line += 1
        tokens.line_starts.append(end)
        self.line_has_tokens = False
        ended = self.brackets or len(tokens.kinds) == tokens.firsts[-1] or tokens.kinds[-1] in CONTINUES
        if not ended:
            self.end_statement()

    def end_statement(self) -> None:
        """Add `_NL` right after the last token, on that token's line."""
        tokens = self.tokens
        tokens.kinds.append("_NL")
        tokens.starts.append(tokens.ends[-1])
        tokens.ends.append(tokens.ends[-1])
        tokens.lines.append(tokens.lines[-1])
        tokens.firsts.append(len(tokens.kinds))

    def semicolon(self, start: int, end: int) -> None:
        tokens = self.tokens
        if self.brackets:
            opener = self.brackets[-1].token
            self.report(
                "semicolon-in-brackets",
                f"`;` inside the bracket `{tokens.text(opener)}`: it would end the statement",
                start,
                end,
                hint="separate the parts with `,`; a condition follows after `if`, as in `[i in I, j in J if i < j]`",
            )
            self.add("COMMA", start, end)
        elif len(tokens.kinds) > tokens.firsts[-1]:
            self.end_statement()

    def finish(self, end: int) -> None:
        tokens = self.tokens
        if self.brackets:
            self.unclosed(self.brackets[-1].token)
        if len(tokens.kinds) > tokens.firsts[-1]:
            self.end_statement()
        tokens.firsts.pop()
        tokens.kinds.append("$END")
        tokens.starts.append(end)
        tokens.ends.append(end)
        tokens.lines.append(self.line)
        for first in tokens.firsts:
            if tokens.kinds[first] == "SUBJECT" and tokens.kinds[first + 1] == "TO":
                tokens.mark_label(first + 2)
            elif tokens.kinds[first] in ("MINIMIZE", "MAXIMIZE"):
                tokens.mark_label(first + 1)
            else:
                tokens.mark_label(first)

    def comment(self, start: int, end: int) -> None:
        line_start = self.tokens.line_starts[self.line]
        column, end_column = start - line_start + 1, end - line_start + 1
        span = Span(start, end, self.line, column, self.line, end_column)
        text = self.source.text[start:end].rstrip()
        self.tokens.comments.append(Comment(text, self.line_has_tokens, span=span))

    # -------------------------------------------------------------------------------- words and operators

    def keyword(self, kind: str, start: int) -> str:
        """The kind of a keyword where it stands: after a dot, any word is a name."""
        kinds = self.tokens.kinds
        if kinds and kinds[-1] == "DOT":
            return "NAME"
        if kind == "FOR" and self.brackets:
            self.brackets[-1].iterated = True
        return kind

    def operator(self, kind: str, start: int, end: int) -> None:
        if kind in OPENERS:
            before = self.tokens.kinds[-1] if self.tokens.kinds else ""
            self.add(kind, start, end)
            index = len(self.tokens.kinds) - 1
            self.brackets.append(_Bracket(index, kind, kind == "LPAR" and before == "NAME", []))
            if len(self.brackets) > MAX_DEPTH:
                self.deep(index)
        elif kind in CLOSERS:
            self.add(kind, start, end)
            self.close(kind)
        elif kind == "EQUAL":
            self.add(kind, start, end)
            if self.brackets and self.brackets[-1].call:
                index = len(self.tokens.kinds) - 2
                before = self.tokens.kinds[index - 1]
                opens = self.brackets[-1].token == index - 1
                if self.tokens.kinds[index] == "NAME" and (opens or before == "COMMA"):
                    self.brackets[-1].arguments.append(index)
        elif kind != "DOT" or not self.such_that(start):
            self.add(kind, start, end)

    def close(self, kind: str) -> None:
        """Match the closing bracket just added with its opener."""
        tokens, brackets = self.tokens, self.brackets
        index = len(tokens.kinds) - 1
        if brackets and brackets[-1].kind == CLOSERS[kind]:
            bracket = brackets.pop()
            if not brackets:
                tokens.matches[bracket.token] = index
            if not bracket.iterated:
                for argument in bracket.arguments:
                    tokens.kinds[argument] = "ARGUMENT"
        elif any(bracket.kind == CLOSERS[kind] for bracket in brackets[-20:]):
            self.unclosed(brackets[-1].token, index)
            while brackets.pop().kind != CLOSERS[kind]:
                pass
        else:
            if tokens.firsts[-1] not in tokens.broken:
                self.stray(index)
            tokens.broken.add(tokens.firsts[-1])

    def string(self, start: int, end: int) -> int:
        """Add a string; a quote right after a name or a bracket is a transposition from another language."""
        if self.source.text[start] == "'" and self.follows_value(start):
            self.transposed(start)
            return start + 1
        self.add("STRING", start, end)
        return end

    def follows_value(self, start: int) -> bool:
        kinds, ends = self.tokens.kinds, self.tokens.ends
        return bool(kinds) and ends[-1] == start and kinds[-1] in ("NAME", "LABEL", "RPAR", "RSQB")

    # ----------------------------------------------------------------------------------------- mistakes

    def report(self, code: str, message: str, start: int, end: int, hint: str, notes: tuple[str, ...] = ()) -> None:
        line_start = self.tokens.line_starts[self.line]
        span = Span(start, end, self.line, start - line_start + 1, self.line, end - line_start + 1)
        self.tokens.diagnostics.append(Diagnostic(code, message, span, hint, self.source, notes=notes))

    def bracket_mistake(self, code: str, message: str, token: int, hint: str, notes: tuple[str, ...] = ()) -> None:
        """Report a bracket, once per statement, and leave the statement out of the parse."""
        tokens = self.tokens
        if tokens.firsts[-1] not in tokens.broken:
            tokens.broken.add(tokens.firsts[-1])
            span = tokens.span(token, token)
            tokens.diagnostics.append(Diagnostic(code, message, span, hint, self.source, notes=notes))

    def unclosed(self, opener: int, closer: int | None = None) -> None:
        tokens = self.tokens
        wanted = {"(": ")", "[": "]", "{": "}"}[tokens.text(opener)]
        if closer is None:
            message = f"the bracket `{tokens.text(opener)}` is never closed"
        else:
            place = f"line {tokens.lines[closer]}, column {tokens.span(closer, closer).column}"
            message = f"the bracket `{tokens.text(opener)}` is not closed before the `{tokens.text(closer)}` in {place}"
        self.bracket_mistake("unclosed-bracket", message, opener, hint=f"add the missing `{wanted}`")

    def stray(self, closer: int) -> None:
        text = self.tokens.text(closer)
        if self.brackets:
            opener = self.brackets[-1].token
            place = f"line {self.tokens.lines[opener]}, column {self.tokens.span(opener, opener).column}"
            message = f"`{text}` does not close the bracket `{self.tokens.text(opener)}` opened in {place}"
            hint = f"write `{OPENER_CLOSES[self.tokens.text(opener)]}` here"
        else:
            message = f"`{text}` closes a bracket that was never opened"
            hint = f"remove `{text}`, or open the bracket before it"
        self.bracket_mistake("stray-bracket", message, closer, hint=hint)

    def deep(self, token: int) -> None:
        self.bracket_mistake(
            "nested-too-deeply",
            f"more than {MAX_DEPTH} brackets are open here",
            token,
            hint="name parts of the expression with `let`",
        )

    def transposed(self, start: int) -> None:
        self.report("wrong-operator", "`'` does not transpose here", start, start + 1, hint="write `.T`, as in `A.T`")

    def foreign(self, foreign: Foreign, start: int, end: int) -> int:
        """Report a spelling of another language and add the tokens that it means; the offset where to go on."""
        text = self.source.text[start:end]
        if text == "//" and not self.line_has_tokens:
            return self.slashes(start)
        message = f"`{text}` {foreign.fault}"
        self.report("wrong-operator", message, start, end, hint=foreign.hint)
        for kind in foreign.kinds:
            self.operator(kind, start, end)
        line_end = re.compile(r"[^\S\r\n]*(?:\r\n|\r|\n)").match(self.source.text, end)
        if text == "\\" and line_end:  # meant to go on in the next line: so it is read
            self.line += 1
            self.tokens.line_starts.append(line_end.end())
            return line_end.end()
        return end

    def slashes(self, start: int) -> int:
        """Skip a comment in the manner of C."""
        end = re.compile(r"[^\r\n]*").match(self.source.text, start).end()  # type: ignore[union-attr]
        self.report("wrong-comment", "`//` does not start a comment", start, start + 2, hint="comments start with `#`")
        return end

    def other(self, start: int) -> int:
        """Deal with what is no token at all; the offset where to go on."""
        text = self.source.text
        character = text[start]
        if character == ";":
            self.semicolon(start, start + 1)
            return start + 1
        if character == "'" and self.follows_value(start):
            self.transposed(start)
            return start + 1
        if character in QUOTES:
            return self.quoted(start)
        if character.isascii() and (character.isdigit() or character == "."):
            return self.bad_number(start)
        if character in "²³":
            self.report(
                "wrong-operator",
                f"a raised `{character}` is not a power here",
                start,
                start + 1,
                hint=f"write `^{'2' if character == '²' else '3'}`",
            )
            return start + 1
        self.report(
            "unexpected-character",
            f"the character {describe(character)} has no meaning here",
            start,
            start + 1,
            hint="remove it; only in strings and comments may any character stand",
        )
        while start + 1 < len(text) and text[start + 1] == character:  # one message for a run of it
            start += 1
        return start + 1

    def such_that(self, dot: int) -> bool:
        """Read `s.t.`, of which the first three tokens are there, as `subject to`."""
        tokens = self.tokens
        first = len(tokens.kinds) - 3
        if first != tokens.firsts[-1] or self.source.text[tokens.starts[first] : dot].lower() != "s.t":
            return False
        start = tokens.starts[first]
        self.report("unknown-statement", "`s.t.` is not a keyword", start, dot + 1, hint="write `subject to`")
        for column in (tokens.kinds, tokens.starts, tokens.ends, tokens.lines):
            del column[first:]
        self.add("SUBJECT", start, dot + 1)
        self.add("TO", dot + 1, dot + 1)
        return True

    def quoted(self, start: int) -> int:
        """A string that is not closed on its line, or one in typographic quotes."""
        text = self.source.text
        line = re.compile(r"[^\r\n]*").match(text, start)
        assert line is not None
        opening = text[start]
        if opening in TYPOGRAPHIC:
            end = next((i for i in range(start + 1, line.end()) if text[i] in TYPOGRAPHIC + "\"'"), None)
            stop = line.end() if end is None else end + 1
            self.report(
                "typographic-quote",
                f"strings stand in plain quotes, not in {'backticks' if opening == '`' else f'`{opening}`'}",
                start,
                start + 1,
                hint="write \"...\" or '...' with the plain quotes of the keyboard",
            )
        else:
            stop = line.end()
            self.report(
                "unterminated-string",
                "the string that starts here is not closed on its line",
                start,
                stop,
                hint=f"close it with `{opening}`; inside the string, write `\\{opening}`",
            )
        self.add("STRING", start, stop)
        return stop

    def bad_number(self, start: int) -> int:
        """`1.2.3`, `1e`, `2x`: reported, and read as a number (times a name)."""
        text = self.source.text
        product = re.compile(r"(?!0[xXbB])([0-9]+(?:\.[0-9]+)?)((?![eE][+-]?[0-9])[^\W\d]\w*)(?![.\w])").match(
            text, start
        )
        if product and not re.fullmatch(r"[eE]", product[2]):
            self.report(
                "missing-multiplication",
                f"`{product[0]}` is neither a number nor a name",
                start,
                product.end(),
                hint=f"write the product with `*`: `{product[1]} * {product[2]}`",
            )
            self.add("NUMBER", start, product.end(1))
            self.add("STAR", product.end(1), product.end(1))
            return product.start(2)
        word = re.compile(r"\.?[\w]+(?:\.\w+)*(?:(?<=[eE])[+-]\w*)?|\.+").match(text, start)
        assert word is not None
        if word[0].strip(".") == "":
            self.report("unexpected-character", "a dot without a name after it", start, word.end(), hint="remove it")
            return word.end()
        self.report(
            "malformed-number",
            f"`{word[0]}` is not a number",
            start,
            word.end(),
            hint="numbers are written 12, 0.5 or 1e-3; ranges as 1..10",
        )
        self.add("NUMBER", start, word.end())
        return word.end()


OPENER_CLOSES = {"(": ")", "[": "]", "{": "}"}
TYPOGRAPHIC = "“”„«»‘’‚‹›`´″′"
QUOTES = TYPOGRAPHIC + "\"'"


def describe(character: str) -> str:
    """A character as a message can show it."""
    if character.isprintable() and not "\ud800" <= character <= "\udfff":
        return f"`{character}`"
    return f"U+{ord(character):04X}"
