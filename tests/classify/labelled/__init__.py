"""Models labelled with their type by hand: textbooks, published test sets, near misses of them.

A file of models holds blocks. `== name | convex SOCP,POW | source` opens one; its lines are a model in the language,
until the next. The word is the convexity, then the types of RESULT.md's list that are right: more than one where
the list leaves it open by which cone a function is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Labelled:
    """One model and what is true of it."""

    name: str
    convexity: str
    types: frozenset[str]
    source: str
    text: str


def labelled_models() -> tuple[Labelled, ...]:
    """All models, in the order of the files' names."""
    return tuple(model for path in sorted(FOLDER.glob("*.models")) for model in _read(path))


def _read(path: Path) -> list[Labelled]:
    blocks = path.read_text(encoding="utf-8").split("\n== ")[1:]
    return [_labelled(path.stem, block) for block in blocks]


def _labelled(stem: str, block: str) -> Labelled:
    heading, text = block.split("\n", 1)
    name, label, source = (part.strip() for part in heading.split("|", 2))
    convexity, types = label.split()
    return Labelled(f"{stem}/{name}", convexity, frozenset(types.split(",")), source, text)
