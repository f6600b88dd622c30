"""Text laid out for a terminal: its width and colors, and columns that line up."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

PIPED_WIDTH = 100
LONGEST_LABEL = 40

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Page:
    """What is written on: its width in characters and whether it takes colors."""

    width: int = PIPED_WIDTH
    color: bool = False

    def style(self, text: str, *styles: str) -> str:
        """The text in bold, dim or a color, where the page takes them."""
        if not self.color or not text:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"


def page_of(stream: TextIO, environment: Mapping[str, str] | None = None) -> Page:
    """The page that a stream is: a terminal has its width and colors, unless NO_COLOR is set or TERM is dumb."""
    environment = os.environ if environment is None else environment
    if not is_terminal(stream):
        return Page()
    color = not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    return Page(shutil.get_terminal_size((PIPED_WIDTH, 24)).columns, color)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at the stream."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def width_of(text: str) -> int:
    """The columns that a text takes on a terminal: wide characters take two, marks and colors none."""
    plain = _ESCAPE.sub("", text)
    if plain.isascii():
        return len(plain)
    return sum(_character_width(character) for character in plain)


def _character_width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def left(texts: Sequence[str]) -> list[str]:
    """Texts padded on the right to one width."""
    width = max(map(width_of, texts), default=0)
    return [text + " " * (width - width_of(text)) for text in texts]


def right(texts: Sequence[str]) -> list[str]:
    """Texts padded on the left to one width."""
    width = max(map(width_of, texts), default=0)
    return [" " * (width - width_of(text)) + text for text in texts]


def shortened(text: str, limit: int = LONGEST_LABEL) -> str:
    """A label on one line, its end cut off where it is longer than `limit`; control characters are shown escaped."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    if width_of(text) <= limit:
        return text
    room, kept = limit - 1, []
    for character in text:
        room -= _character_width(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + "…"


def beside(columns: Sequence[Sequence[str]], gap: int = 3) -> list[str]:
    """Columns of equally long padded texts as lines, `gap` spaces apart, nothing trailing."""
    return [(" " * gap).join(row).rstrip() for row in zip(*columns, strict=True)]


def wrapped(text: str, width: int, indent: int) -> list[str]:
    """A sentence broken at spaces to `width`; lines after the first are indented."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and width_of(line) + 1 + width_of(word) > width - (indent if lines else 0):
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    return [lines[0], *(" " * indent + rest for rest in lines[1:])]


def fact_lines(facts: Sequence[tuple[str, str]], page: Page, indent: str = "  ", gap: int = 3) -> list[str]:
    """Names and what is said of each, the names aligned and the texts broken to the page."""
    names = left([name for name, _ in facts])
    margin = len(indent) + width_of(names[0]) + gap
    lines = []
    for name, (_, text) in zip(names, facts, strict=True):
        first, *rest = wrapped(text, max(page.width - margin, 20), 0)
        lines.append(f"{indent}{page.style(name, 'dim')}{' ' * gap}{first}")
        lines += [" " * margin + more for more in rest]
    return lines
