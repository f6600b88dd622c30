"""Where a message points, what it says, and the one family of exceptions a user sees.

A mistake in the user's input is data: a `Diagnostic`. Checkers collect diagnostics and raise them together
as one `OptError`; `optdsl.cli` and `str(error)` draw them with the same function, `render`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A text that messages can quote: its name as the user typed it, and its content."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source: offsets `start <= end` (end exclusive), and the 1-based line and column of both."""

    start: int
    end: int
    line: int
    column: int
    end_line: int
    end_column: int

    def to(self, other: Span) -> Span:
        """The stretch from the start of this one to the end of `other`."""
        return Span(self.start, other.end, self.line, self.column, other.end_line, other.end_column)


@dataclass(frozen=True, slots=True)
class DataPlace:
    """A place in a data file: the file as the user named it, its line (the header is line 1) and the column.

    Formats without lines name the row instead, counted from 1.
    """

    file: str
    line: int | None = None
    column: str | None = None
    row: int | None = None

    def __str__(self) -> str:
        parts = [self.file]
        if self.line is not None:
            parts.append(f"line {self.line}")
        if self.row is not None:
            parts.append(f"row {self.row}")
        if self.column is not None:
            parts.append(f"column {self.column}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake: a stable code (`unknown-name`), what is wrong in one sentence, where, and how to fix it."""

    code: str
    message: str
    span: Span | None = None
    hint: str | None = None
    source: Source | None = None
    place: DataPlace | None = None
    notes: tuple[str, ...] = ()


class OptError(Exception):
    """What a user did wrong; holds at least one diagnostic.

    `.line`, `.column` and `.hint` are those of the first diagnostic (None where it has none).
    """

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics: tuple[Diagnostic, ...] = diagnostics

    @property
    def line(self) -> int | None:
        span = self.diagnostics[0].span
        return span.line if span else None

    @property
    def column(self) -> int | None:
        span = self.diagnostics[0].span
        return span.column if span else None

    @property
    def hint(self) -> str | None:
        return self.diagnostics[0].hint

    def __str__(self) -> str:
        return "\n\n".join(render(diagnostic) for diagnostic in self.diagnostics)


class OptSyntaxError(OptError):
    """The text is not in the language."""


class ModelError(OptError):
    """Names, shapes, indices or uses in the text do not fit together."""


class DataError(OptError):
    """The data is missing, malformed, or breaks a declared check."""


class OptionError(OptError):
    """A method, an option or a command-line argument is not known or not allowed."""


class NotSolvable(OptError):
    """The model is valid, but no method of this version takes its class; `problem_class` is as far as it is known."""

    def __init__(self, *diagnostics: Diagnostic, model: str, problem_class: Mapping[str, str]) -> None:
        super().__init__(*diagnostics)
        self.model, self.problem_class = model, dict(problem_class)


def render(diagnostic: Diagnostic) -> str:
    """The message as text: headline, place, the quoted line with a caret line, notes and hint."""
    lines = [f"error[{diagnostic.code}]: {diagnostic.message}"]
    span, source = diagnostic.span, diagnostic.source
    if span is not None and source is not None:
        lines.append(f"  --> {source.name}:{span.line}:{span.column}")
        lines.extend(_quote(span, source))
    elif source is not None:
        lines.append(f"  --> {source.name}")
    if diagnostic.place is not None:
        lines.append(f"  data: {diagnostic.place}")
    lines.extend(f"  note: {note}" for note in diagnostic.notes)
    if diagnostic.hint:
        lines.append(f"  hint: {diagnostic.hint}")
    return "\n".join(lines)


WIDEST_QUOTE = 120  # characters of a line that a message shows


def _quote(span: Span, source: Source) -> list[str]:
    """The line on which the span begins, with carets below; of a long line the part around them."""
    line_start = span.start - (span.column - 1)
    line_end = next((i for i in range(span.start, len(source.text)) if source.text[i] in "\r\n"), len(source.text))
    text = source.text[line_start:line_end]
    first = span.column - 1
    last = span.end_column - 1 if span.end_line == span.line else len(text)
    last = max(first + 1, min(last, len(text)))
    before = after = ""
    if len(text) > WIDEST_QUOTE:
        left = max(0, first - WIDEST_QUOTE // 3)
        right = min(len(text), left + WIDEST_QUOTE)
        before, after = "..." if left else "", "..." if right < len(text) else ""
        text, first, last = text[left:right], first - left, min(last, right) - left
    lead = " " * len(before) + "".join("\t" if c == "\t" else " " * _width(c) for c in text[:first])
    carets = "^" * max(1, sum(map(_width, text[first:last])))
    gutter = str(span.line)
    blank = " " * len(gutter)
    shown = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)
    return [f" {blank} |", f" {gutter} | {before}{shown}{after}", f" {blank} | {lead}{carets}"]


def _width(character: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def closest(word: str, known: list[str] | tuple[str, ...]) -> str | None:
    """The known word that `word` most likely means, or None."""
    import difflib

    lowered = {name.lower(): name for name in known}
    if word.lower() in lowered:
        return lowered[word.lower()]
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return found[0] if found else None
