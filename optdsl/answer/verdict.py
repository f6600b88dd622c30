"""What `check` says about a model: its class, its size, and each statement's part in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optdsl.answer.solution import ProblemClass, Route


@dataclass(frozen=True, slots=True)
class Size:
    """How large the model is: columns, rows, entries of the rows that are not 0, and integer columns."""

    variables: int
    constraints: int
    nonzeros: int
    integers: int


@dataclass(frozen=True, slots=True)
class StatementVerdict:
    """One statement: RESULT's words for its curvature, sign and smoothness, and why.

    `ok`: whether the curvature fits the role. `blame`: where it does not, the smallest part that breaks it, `remark`:
    the same drawn under the text. `form`: in which other way the statement is convex, where that is how it is solved.
    """

    name: str
    line: int | None
    role: str
    curvature: str
    sign: str | None = None
    smoothness: str | None = None
    ok: bool = True
    proof: tuple[Mapping[str, Any], ...] = ()
    blame: Mapping[str, Any] | None = None
    remark: str | None = None
    form: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The kind of problem a model is, as far as it is proved. `route` is how `solve` would solve it, None if it cannot.

    `witness_points`: the two points of the witness in words, with the names of entries.
    `refusal`: why no method of this version takes it, drawn as messages are; empty where one does.
    """

    model: str
    problem_class: ProblemClass
    size: Size
    statements: tuple[StatementVerdict, ...] = ()
    witness: Mapping[str, Any] | None = None
    witness_points: tuple[str, str] | None = None
    route: Route | None = None
    refusal: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def solvable(self) -> bool:
        """Whether `solve` has a method for it."""
        return self.route is not None

    def to_json(self) -> str:
        """The verdict as `optdsl check --json` prints it."""
        from optdsl.answer.json_view import verdict_json

        return verdict_json(self)

    def __str__(self) -> str:
        from optdsl.answer.verdict_text import verdict_text

        return verdict_text(self)

    def __repr__(self) -> str:
        return f"Verdict on {self.model}: {self.problem_class}, {self.size.variables} variables"
