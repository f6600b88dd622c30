"""Published test sets as models of the language: one folder a set, with its `.opt` files and a table of what is known.

`problems(name)` gives a set. What a problem's `point` is: an optimum, computed with another program from the model's
own functions, so that a test can evaluate the model there and compare with what the source prints.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Problem:
    """One model with one choice of its data, and what is known about its optimum.

    best: the least value known (the greatest where the model maximizes), in more digits than the source has.
    published: the optimum's value as the source prints it, where it prints one. Its last digit may be rounded badly;
    where it is not `best`, `note` says why.
    others: values of other strict local minima that are known: a local method may end at one of them.
    columns, rows: the numbers of variables and of constraints (families counted by their members, bounds not).
    scale: below this size values are compared absolutely: a value is `best` within `tolerance * max(scale, |best|)`.
    data: values by keyword for `optdsl.load(path).solve(**data)`; settings: what the source asks of a run.
    point: an optimum by variable, in C order; empty where none is kept.
    facts: what else the source certifies, by its own names.
    """

    name: str
    path: Path
    best: float
    source: str
    columns: int
    rows: int
    published: str = ""
    others: tuple[float, ...] = ()
    scale: float = 1.0
    data: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    point: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def is_best(self, value: float, tolerance: float = 1e-6) -> bool:
        """Whether a value is the best one known, to this tolerance."""
        return agrees(value, self.best, tolerance, self.scale)

    def is_known(self, value: float, tolerance: float = 1e-6) -> bool:
        """Whether a value is that of the best or of another local minimum known."""
        return any(agrees(value, known, tolerance, self.scale) for known in (self.best, *self.others))


def agrees(value: float, known: float, tolerance: float, scale: float = 1.0) -> bool:
    """Whether two values are the same, relative to the second one where that is larger than `scale`."""
    return abs(value - known) <= tolerance * max(scale, abs(known))


def sets() -> tuple[str, ...]:
    """The names of all sets."""
    return tuple(sorted(table.parent.name for table in HERE.glob("*/table.py")))


def problems(set_name: str) -> tuple[Problem, ...]:
    """All problems of a set, in the order of its source."""
    found: tuple[Problem, ...] = importlib.import_module(f"problems.{set_name}.table").PROBLEMS
    return found


def points(set_name: str) -> Mapping[str, Any]:
    """The optima that are kept for a set, by the problem's name."""
    path = HERE / set_name / "optima.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
