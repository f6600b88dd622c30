"""A model's text as HTML: every character escaped, line numbers to link to, and its parts in colors."""

from __future__ import annotations

from html import escape

from optdsl.errors import Source
from optdsl.language.lexer import lex

_KINDS = {"NUMBER": "number", "STRING": "string", "LABEL": "label"}


def model_html(source: Source) -> str:
    """The text as a list of lines; line 12 has the id `line-12`."""
    lines = highlighted(source).split("\n")
    if lines and not lines[-1].strip():
        lines.pop()
    rows = (f'<li id="line-{number}"><code>{line or " "}</code></li>' for number, line in enumerate(lines, 1))
    return f'<ol class="text">{"".join(rows)}</ol>'


def highlighted(source: Source) -> str:
    """The text with its tokens in `span` elements that never cross a line."""
    text, pieces, place = source.text, [], 0
    for start, end, kind in sorted(_tokens(source)):
        if start < place:
            continue
        pieces.append(escape(text[place:start]))
        pieces.append(f'<span class="{kind}">{escape(text[start:end])}</span>')
        place = end
    pieces.append(escape(text[place:]))
    return "".join(pieces).replace("\r\n", "\n").replace("\r", "\n")


def _tokens(source: Source) -> list[tuple[int, int, str]]:
    """Start, end and kind of what gets a color: comments, numbers, texts, labels, words of the language."""
    tokens = lex(source)
    found = [(comment.span.start, comment.span.end, "comment") for comment in tokens.comments]
    for kind, start, end in zip(tokens.kinds, tokens.starts, tokens.ends, strict=True):
        if kind in _KINDS:
            found.append((start, end, _KINDS[kind]))
        elif kind not in ("NAME", "ARGUMENT") and source.text[start:end].isidentifier():
            found.append((start, end, "word"))
    return [item for item in found if item[0] < item[1]]
