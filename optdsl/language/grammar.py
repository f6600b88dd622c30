"""The parse tables of `grammars/opt.lark`: read from a file beside the grammar, or made by Lark.

Compiling the grammar takes Lark about 0.15 s, more than a small file needs from parsing to solving. The tables
are therefore kept beside the grammar, in `opt.tables.json`, with the digest of the grammar that they were made
from. A grammar that has been edited since is compiled on the spot, so nothing has to be rebuilt to try a change;
`python -m optdsl.language.compile` writes the tables anew, and a test demands that they are current.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STARTS = ("file", "statement", "constraint", "expression")


@dataclass(frozen=True, slots=True)
class Rule:
    """One production: `origin` is made from `symbols`, by the tree builder's method `build`.

    `kept` are the positions whose values the builder gets; at those in `spliced` the value is a list of values.
    A rule with `passes` hands on its one kept value unchanged.
    """

    origin: str
    symbols: tuple[str, ...]
    build: str
    kept: tuple[int, ...]
    spliced: tuple[int, ...]
    passes: bool


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """What the parsing loop and the lexing step need.

    `actions[state][terminal]` is the next state (>= 0) or `~rule`; `gotos[state][rule name]` is a state;
    `starts` and `ends` give the first and the last state of a parse; `literals` maps the text of keywords and
    operators to terminals, `patterns` names the other terminals' regular expressions.
    """

    rules: tuple[Rule, ...]
    actions: tuple[Mapping[str, int], ...]
    gotos: tuple[Mapping[str, int], ...]
    starts: Mapping[str, int]
    ends: Mapping[str, int]
    literals: Mapping[str, str]
    patterns: Mapping[str, str]


def grammar_path() -> Path:
    """Where `opt.lark` lies: in the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "grammars", package.parent / "grammars"):
        if (folder / "opt.lark").is_file():
            return folder / "opt.lark"
    raise FileNotFoundError("optdsl's grammar, opt.lark, is missing from the installation")


@functools.cache
def tables() -> Tables:
    """The tables of the grammar: from the file beside it when that is current, otherwise compiled."""
    path = grammar_path()
    grammar = path.read_text(encoding="utf-8")
    stored = path.with_name("opt.tables.json")
    if stored.is_file():
        record = json.loads(stored.read_text(encoding="utf-8"))
        if record["digest"] == digest(grammar):
            return from_record(record)
    from optdsl.language.compile import compile_record  # imports Lark, which takes 0.06 s

    return from_record(compile_record(grammar))


def digest(grammar: str) -> str:
    return hashlib.sha256(grammar.encode()).hexdigest()


def from_record(record: Mapping[str, Any]) -> Tables:
    """The tables from their JSON form."""
    rows = [dict(row) for row in record["rows"]]
    return Tables(
        rules=tuple(
            Rule(origin, tuple(symbols), build, tuple(kept), tuple(spliced), passes)
            for origin, symbols, build, kept, spliced, passes in record["rules"]
        ),
        actions=tuple(rows[row] for row, _ in record["states"]),
        gotos=tuple(rows[row] for _, row in record["states"]),
        starts=record["starts"],
        ends=record["ends"],
        literals=record["literals"],
        patterns=record["patterns"],
    )
