"""Defined variables in proofs: their values at points, and that they are defined once, without a cycle."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from naive import Member

from optdsl.language import parse, tree

from .proof_points import Data, Point, readable

Step = Mapping[str, Any]


class Undefined(AssertionError):
    """A definition that does not define."""


@dataclass(frozen=True)
class Definition:
    """`entry = body` for the combinations of `over`, as a step of a proof says."""

    over: str
    entry: str
    body: str

    @property
    def name(self) -> str:
        """The variable."""
        return re.split(r"\W", self.entry, maxsplit=1)[0]


def definitions_of(verdict: Mapping[str, Any]) -> list[Definition]:
    """All definitions in the proofs of a verdict."""
    steps = [step for s in verdict["statements"] for step in s["proof"] if step["kind"] == "definition"]
    return [Definition(step.get("for", ""), step["expr"], step["after"][0]) for step in steps]


def changed(statement: Mapping[str, Any]) -> bool:
    """Whether defined variables stand in a statement."""
    return any(step["kind"] in ("definition", "substitution", "eliminated") for step in statement["proof"])


def mentions(text: str, names: Sequence[str]) -> list[str]:
    """Which of the names stand in a text; a variable's bounds do not count."""
    return [n for n in names if re.search(rf"(?<!\w){re.escape(n)}(?!\w|\.lower|\.upper)", text)]


def require_definitions(text: str, data: Data, definitions: Sequence[Definition]) -> None:
    """Every entry of each variable is defined once, in variables that are not defined. Raises Undefined."""
    names = [d.name for d in definitions]
    if len(set(names)) != len(names):
        raise Undefined(f"defined twice: {names}")
    odd = {"integer", "binary", "symmetric", "psd", "nsd"}
    declared = [d for d in parse(text, "test.opt").statements if isinstance(d, tree.VarDecl)]
    whole = {d.name for d in declared if any(isinstance(a, tree.Flag) and a.name in odd for a in d.attributes)}
    for definition in definitions:
        if definition.name not in data.bounds or definition.name in whole:
            raise Undefined(f"not a real variable: {definition.entry}")
        found = mentions(definition.body, names)
        if found:
            raise Undefined(f"{definition.entry} is defined by {found}, which are defined")


def completed(text: str, data: Data, definitions: Sequence[Definition], point: Point) -> Point:
    """The points with the defined variables at what defines them. Raises Undefined where an entry is not, or twice."""
    found: dict[str, dict[Member, np.ndarray]] = {name: dict(entries) for name, entries in point.items()}
    count = len(next(iter(next(iter(point.values())).values())))
    for number, definition in enumerate(definitions):
        domain = f"[{readable(definition.over)}]" if definition.over else ""
        line = f"  proof_definition_{number}{domain}: {readable(definition.entry)} = {readable(definition.body)}"
        file = parse(f"{text.rstrip()}\nsubject to\n{line}\n", "test.opt")
        values = data.at(file, point)
        held = [c for s in file.statements if isinstance(s, tree.SubjectTo) for c in s.constraints]
        constraint = next(c for c in held if c.name == f"proof_definition_{number}")
        entries: dict[Member, np.ndarray] = {}
        for env, _ in values.iterate(constraint.domain, {}):
            left, right = constraint.relation.operands
            indices = left.indices if isinstance(left, tree.Subscript) else ()
            key = tuple(part for index in indices for part in values.labels(index, env))
            if key in entries:
                raise Undefined(f"{definition.name} is defined twice at {key}")
            entries[key] = np.broadcast_to(np.asarray(values.value(right, env), dtype=float), (count,))
        if set(entries) != set(found[definition.name]):
            raise Undefined(f"{definition.name} is not defined at {set(found[definition.name]) ^ set(entries)}")
        found[definition.name] = entries
    return found
