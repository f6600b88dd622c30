"""What a solve gives back: one frozen `Solution` with labelled values, and the records in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optdsl.answer.labelled import LabelledArray
from optdsl.answer.status import Guarantee, SecondOrder, Status
from optdsl.data.members import Label
from optdsl.errors import closest

if TYPE_CHECKING:
    import os

    from optdsl.answer.provenance import Provenance


@dataclass(frozen=True, slots=True)
class ProblemClass:
    """The kind of problem: `type` is `LP`, `MIQP`, ...; `convexity` and `smoothness` are RESULT's words."""

    type: str
    convexity: str
    smoothness: str

    def __str__(self) -> str:
        return f"{self.type} ({self.convexity}, {self.smoothness})"


@dataclass(frozen=True, slots=True)
class Route:
    """How the problem was solved: the method, the solver behind it, and why these."""

    method: str
    solver: str
    why: str


@dataclass(frozen=True, slots=True)
class Checks:
    """optdsl's own checks at the returned point, on the original model; None where one has no meaning.

    `escape` holds, by variable, the direction of wrong curvature where `second_order` is violated.
    """

    primal_residual: float | None = None
    dual_residual: float | None = None
    complementarity: float | None = None
    gap: float | None = None
    second_order: SecondOrder = SecondOrder.UNKNOWN
    ok: bool = False
    escape: Mapping[str, LabelledArray] | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds spent reading text and data, classifying, compiling and solving, and in total."""

    read: float = 0.0
    classify: float = 0.0
    compile: float = 0.0
    solve: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class VariableAnswer:
    """A variable's values and, where there are duals, its reduced costs."""

    value: LabelledArray
    reduced_cost: LabelledArray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class ConstraintAnswer:
    """A constraint's duals and slacks; either may be missing."""

    dual: LabelledArray | None = None
    slack: LabelledArray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class ShownValue:
    """One item of `show`: its text and its value."""

    text: str
    value: LabelledArray


@dataclass(frozen=True, slots=True)
class ConflictMember:
    """One condition of a conflict. `kind`: constraint, bound, integrality or attribute; `side`: lower, upper, None.

    `text` is the condition itself, as far as known: `x <= 10`, or the constraint's text with its `line`.
    """

    kind: str
    name: str
    index: tuple[Label, ...] = ()
    side: str | None = None
    text: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class ConflictAnswer:
    """Conditions that cannot hold together; `irreducible`: without any one of them the others can."""

    members: tuple[ConflictMember, ...]
    irreducible: bool


@dataclass(frozen=True, eq=False, slots=True)
class Ray:
    """A direction, by variable, along which the objective improves forever; else None and `why` there is none."""

    direction: Mapping[str, LabelledArray] | None
    why: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Minimum:
    """A point where some of many starts ended: its objective, how many starts reached it, and its variables."""

    objective: float | None
    reached: int
    variables: Mapping[str, LabelledArray]


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark of a diagnosis: what was found, the evidence, and what to do."""

    finding: str
    evidence: str
    advice: str


@dataclass(frozen=True, eq=False, slots=True)
class TraceTable:
    """The iterations of the run: column names, and a row of numbers each (NaN where unknown)."""

    columns: tuple[str, ...] = ()
    rows: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> np.ndarray:
        return self.rows[:, self.columns.index(column)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the iterations as a table, .csv or .parquet by the file's name, beside its place and renamed."""
        from optdsl.answer.files import write_trace

        write_trace(self, Path(path))

    def to_pandas(self) -> Any:
        """A pandas DataFrame of the iterations."""
        import pandas

        return pandas.DataFrame(self.rows, columns=list(self.columns))


@dataclass(frozen=True, eq=False)
class Solution:
    """The answer to one solve. `solution["buy"]` is a variable's values, a NumPy array with labels.

    objective: in the user's own sense (of a maximum, the maximum); None without a point or without an objective.
    bound: the best proved bound of it. `variables` and `constraints` are empty when there is no point to report.
    Nothing in a solution changes; threads may share it.
    """

    model: str
    status: Status
    guarantee: Guarantee
    problem_class: ProblemClass
    route: Route
    objective: float | None = None
    objective_name: str | None = None
    sense: str | None = None
    bound: float | None = None
    variables: Mapping[str, VariableAnswer] = field(default_factory=dict)
    constraints: Mapping[str, ConstraintAnswer] = field(default_factory=dict)
    show: tuple[ShownValue, ...] | None = None
    checks: Checks = field(default_factory=Checks)
    trace: TraceTable = field(default_factory=TraceTable)
    time: Times = field(default_factory=Times)
    conflict: ConflictAnswer | None = None
    ray: Ray | None = None
    diagnosis: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    duals_with_integers_fixed: bool = False
    minima: tuple[Minimum, ...] = ()
    """Where many starts ended, best first."""
    expressions: Mapping[str, Callable[[], LabelledArray]] = field(default_factory=dict)
    path: np.ndarray | None = None
    """The points of the run (iterations, 2), for models of two variables that the engine solved."""
    landscape: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    """For models of two variables: objective (k,) and largest violation (k,) at points (k, 2)."""
    origin: Provenance | None = None
    """The text, the data and what was asked for, for reports."""

    def __getitem__(self, name: str) -> LabelledArray:
        """A variable's values. Raises KeyError with the nearest name."""
        return self._variable(name).value

    def __contains__(self, name: object) -> bool:
        return name in self.variables

    def _variable(self, name: str) -> VariableAnswer:
        if name in self.variables:
            return self.variables[name]
        raise self._no("variable", name, tuple(self.variables))

    def _constraint(self, name: str) -> ConstraintAnswer:
        if name in self.constraints:
            return self.constraints[name]
        raise self._no("constraint", name, tuple(self.constraints))

    def _no(self, kind: str, name: str, known: tuple[str, ...]) -> KeyError:
        if not known:
            return NameMissing(f"there is no point to report: the status is {self.status.word}")
        if kind == "variable" and name in self.constraints:
            return NameMissing(f'"{name}" is a constraint: see dual("{name}") and slack("{name}")')
        if kind == "variable" and name in self.expressions:
            return NameMissing(f'"{name}" is a named expression: see value("{name}")')
        near = closest(name, known)
        hint = f'did you mean "{near}"?' if near else f"there are {', '.join(known)}"
        return NameMissing(f'there is no {kind} "{name}"; {hint}')

    def value(self, name: str) -> LabelledArray:
        """The values of a variable, a named expression (`let`) or the objective at the returned point."""
        if name in self.variables:
            return self.variables[name].value
        if name in self.expressions:
            return self.expressions[name]()
        if name == self.objective_name and self.objective is not None:
            return LabelledArray(self.objective, (), name)
        known = (*self.variables, *self.expressions)
        raise self._no("variable or named expression", name, known)

    def dual(self, constraint: str) -> LabelledArray:
        """How fast the optimal objective changes when the constraint's right-hand side increases, per instance."""
        dual = self._constraint(constraint).dual
        if dual is None:
            raise NameMissing(f'there are no duals for "{constraint}": the solver gave none')
        return dual

    def slack(self, constraint: str) -> LabelledArray:
        """The distance of each instance of a constraint to its nearest side, >= 0 where it is satisfied."""
        slack = self._constraint(constraint).slack
        if slack is None:
            raise NameMissing(f'there are no slacks for "{constraint}"')
        return slack

    def reduced_cost(self, variable: str) -> LabelledArray:
        """How fast the optimal objective changes when the variable's active bound moves up, per entry."""
        reduced_cost = self._variable(variable).reduced_cost
        if reduced_cost is None:
            raise NameMissing(f'there are no reduced costs for "{variable}": the solver gave none')
        return reduced_cost

    def to_json(self) -> str:
        """The answer as `optdsl solve --json` prints it."""
        from optdsl.answer.json_view import solution_json

        return solution_json(self)

    def save(self, path: str | os.PathLike[str], format: str = "csv") -> tuple[Path, ...]:
        """Writes the result to a `.json` file, or into a folder: result.json and a table per variable and constraint.

        A file is what `init from` and `Model.evaluate` read; large variables lie in a `.npz` beside it. `format` of a
        folder's tables: csv or parquet. Returns the paths. Raises OptionError where they cannot be written.
        """
        from optdsl.answer.files import write_files
        from optdsl.answer.saving import save_result

        place = Path(path)
        if place.suffix.lower() == ".json" and not place.is_dir():
            return save_result(self, place)
        return write_files(self, place, format)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Writes a picture (.png, .svg, .pdf): the run, the landscape of two variables, variables over an index.

        Needs matplotlib (`pip install 'optdsl[plot]'`). Raises OptionError where it is missing.
        """
        from optdsl.answer.pictures import draw

        draw(self, Path(path))

    def report(self, path: str | os.PathLike[str]) -> None:
        """Writes one self-contained HTML page: text, data, verdict, run, answer, checks, and how to repeat it.

        Raises OptionError where it cannot be written.
        """
        from optdsl.answer.report import write_report

        write_report(self, Path(path))

    def __repr__(self) -> str:
        from optdsl.answer.terminal import solution_summary

        return solution_summary(self)

    def __str__(self) -> str:
        from optdsl.answer.terminal import solution_text

        return solution_text(self)


class NameMissing(KeyError):
    """A name that the answer does not have; prints as the plain sentence."""

    def __str__(self) -> str:
        return str(self.args[0])
