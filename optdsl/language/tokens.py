"""The tokens of a text, and what kinds of them there are."""

from __future__ import annotations

from dataclasses import dataclass, field

from optdsl.errors import Diagnostic, Source, Span
from optdsl.language.tree import Comment

STATEMENT_WORDS = frozenset({"SET", "PARAM", "VAR", "LET", "TABLE", "MINIMIZE", "MAXIMIZE", "SUBJECT", "SHOW", "SOLVE"})
OPENERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
CLOSERS = {closer: opener for opener, closer in OPENERS.items()}

# A line that ends in one of these goes on in the next; one that starts with one of these is a mistake.
BINARY_OPERATORS = frozenset(
    {
        "PLUS", "MINUS", "STAR", "SLASH", "AT", "CIRCUMFLEX", "POWER", "VBAR", "AMPERSAND", "TO_RANGE", "BY", "IN",
        "LESSTHAN", "LE", "MORETHAN", "GE", "EQUAL", "EQUAL_EQUAL", "UNEQUAL", "MATRIX_GE", "MATRIX_LE", "AND", "OR",
        "IF", "ELSE",
    }
)  # fmt: skip
CONTINUES = BINARY_OPERATORS | {"COMMA", "COLON", "NOT"}

MAX_DEPTH = 64  # open brackets; later stages walk the tree by recursion


@dataclass(slots=True)
class Tokens:
    """The tokens of a text as parallel lists, ending with `$END`; tokens never span lines.

    `kinds`, `starts`, `ends` (offsets) and `lines` (1-based) have one entry per token; `line_starts[line]` is the
    offset of a line. `firsts` are the tokens that begin a statement or a constraint. `matches` gives the closing
    bracket of each outermost opening one. `broken` holds the statements (by first token) whose brackets do not match.
    """

    source: Source
    kinds: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    line_starts: list[int] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)
    matches: dict[int, int] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def text(self, index: int) -> str:
        return self.source.text[self.starts[index] : self.ends[index]]

    def span(self, first: int, last: int) -> Span:
        """The stretch from token `first` to token `last`, both included."""
        start, end = self.starts[first], self.ends[last]
        line, end_line = self.lines[first], self.lines[last]
        line_starts = self.line_starts
        return Span(start, end, line, start - line_starts[line] + 1, end_line, end - line_starts[end_line] + 1)

    def mark_label(self, index: int) -> None:
        """Make the name at `index` a label if `:` or `[...]:` follows."""
        kinds = self.kinds
        if kinds[index] == "NAME":
            after = index + 1
            if kinds[after] == "LSQB" and after in self.matches:
                after = self.matches[after] + 1
            if kinds[after] == "COLON":
                kinds[index] = "LABEL"
