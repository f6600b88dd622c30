"""Documents that know where they may be broken, and the search for a layout within a line width.

A document is a text, a `Line` (a place where a line may end), a `Nest` (indented where it is broken) or a `Group`:
its lines are all broken or none, outermost groups first; in a `fill` group each line is broken only when what follows
does not fit. After P. Wadler, "A prettier printer", 1997.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

INDENT = 2
WHOLE = 76  # columns; a wider group is no longer kept together


@dataclass(frozen=True, slots=True)
class Line:
    """A possible line end: `flat` when it is none; with `comments` (text, whether it trails code) it always is one."""

    flat: str = " "
    comments: tuple[tuple[str, bool], ...] = ()


class _Compound:
    """Parts in a row; `width` is that of the whole in one line (None: cannot be), `head` that before the first line."""

    __slots__ = ("head", "parts", "width")

    head: int
    width: int | None

    def __init__(self, parts: Sequence[Doc]) -> None:
        self.parts = tuple(part for part in parts if part != "")
        width: int | None = 0
        head, open_head = 0, True
        for part in self.parts:
            size = _flat_width(part)
            width = None if size is None or width is None else width + size
            if open_head:
                if isinstance(part, Line):
                    open_head = False
                elif isinstance(part, str):
                    head += len(part)
                else:
                    head += part.head
                    open_head = part.width is not None and part.head == part.width
        self.width = width
        self.head = head


class Nest(_Compound):
    """Indented by one step where it is broken."""

    __slots__ = ()


class Group(_Compound):
    """Laid out in one line if it fits, otherwise broken at its lines.

    With `fill` a line is broken only where what follows does not fit; a `whole` group that does not fit in the rest of
    such a line starts in the next one, while a bracket may be opened in the line and broken inside.
    """

    __slots__ = ("fill",)

    def __init__(self, parts: Sequence[Doc], fill: bool = False, whole: bool = False) -> None:
        super().__init__(parts)
        self.fill = fill
        if whole and self.width is not None and self.width <= WHOLE:
            self.head = self.width


Doc = str | Line | Nest | Group


def _flat_width(doc: Doc) -> int | None:
    if isinstance(doc, str):
        return len(doc)
    if isinstance(doc, Line):
        return None if doc.comments else len(doc.flat)
    return doc.width


def flat(doc: Doc) -> str:
    """The document in one line; comments are left out."""
    pieces: list[str] = []
    todo: list[Doc] = [doc]
    while todo:
        part = todo.pop()
        if isinstance(part, str):
            pieces.append(part)
        elif isinstance(part, Line):
            pieces.append(part.flat)
        else:
            todo.extend(reversed(part.parts))
    return "".join(pieces)


# How the lines of a part are laid out.
_FLAT, _BROKEN, _FILL = range(3)


def render(doc: Doc, indent: int, width: int) -> list[str]:
    """The lines of a document, the first of them indented too."""
    lines: list[str] = []
    current = [" " * indent]
    column = indent
    todo: list[tuple[int, int, Doc]] = [(indent, _BROKEN, doc)]
    while todo:
        depth, mode, part = todo.pop()
        if isinstance(part, str):
            current.append(part)
            column += len(part)
        elif isinstance(part, Line):
            if mode == _FLAT or (mode == _FILL and not part.comments and _fits(todo, width - column - len(part.flat))):
                current.append(part.flat)
                column += len(part.flat)
                continue
            for text, trailing in part.comments:
                if trailing:
                    text = f"  {text}"
                else:
                    lines.append("".join(current).rstrip())
                    current = [" " * depth]
                current.append(text)
            lines.append("".join(current).rstrip())
            current, column = [" " * depth], depth
        else:
            if isinstance(part, Group):
                one_line = part.width is not None and _fits(todo, width - column - part.width)
                mode = _FLAT if one_line else _FILL if part.fill else _BROKEN
            inner = depth + INDENT if isinstance(part, Nest) else depth
            todo.extend((inner, mode, piece) for piece in reversed(part.parts))
    lines.append("".join(current).rstrip())
    return [line for line in lines if line]


def _fits(todo: Sequence[tuple[int, int, Doc]], room: int) -> bool:
    """Whether what comes next fits into the rest of the line, up to the next place where the line may end."""
    if room < 0:
        return False
    for _, mode, part in reversed(todo):
        if isinstance(part, str):
            room -= len(part)
        elif isinstance(part, Line):
            if mode != _FLAT:
                return room >= 0
            room -= len(part.flat)
        elif mode == _FLAT:
            room -= part.width or 0
        else:
            room -= part.head
            if part.width is None or part.head != part.width:
                return room >= 0
        if room < 0:
            return False
    return True
