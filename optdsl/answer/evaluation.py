"""A model at known values of its variables: objective, constraints, named expressions and `show`, without a solve."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from optdsl.answer.asked import model_name
from optdsl.answer.assemble import constraint_answers, variable_answers
from optdsl.answer.checks import EDGE, TOLERANCE, TransformedAnswer, TransformedJudge
from optdsl.answer.labelled import LabelledArray, index_labels
from optdsl.answer.layout import Page, fact_lines, wrapped
from optdsl.answer.numbers import number_text, residual_text
from optdsl.answer.solution import ConstraintAnswer, NameMissing, ShownValue, Solution, VariableAnswer
from optdsl.answer.value_tables import Titled, value_blocks
from optdsl.answer.values import let_values, shown_values
from optdsl.convex.lower import Restored
from optdsl.convex.program import RawAnswer, RawStatus
from optdsl.data.saved import SavedArray, SavedFault, SavedResult, read_saved
from optdsl.data.supplied import Supplied
from optdsl.errors import DataError, DataPlace, Diagnostic, closest
from optdsl.language import parse, tree
from optdsl.model import build
from optdsl.model.faults import in_words
from optdsl.model.model import Model
from optdsl.terms.frame import Frame

OBJECTIVE_DIGITS = 10


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's values at a saved result, on the data given. `evaluation["logits"]` are those of any name in it.

    objective: in the user's sense, None where there is none or its data is missing. violation: the largest scaled
    violation of a constraint or bound; `holds` tells whether it is within the tolerance of a solve's checks.
    """

    model: str
    source: str
    objective: float | None
    objective_name: str | None
    sense: str | None
    variables: Mapping[str, VariableAnswer]
    constraints: Mapping[str, ConstraintAnswer]
    show: tuple[ShownValue, ...]
    violation: float
    notes: tuple[str, ...] = ()
    expressions: Mapping[str, Callable[[], LabelledArray]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether all constraints and bounds hold."""
        return self.violation <= TOLERANCE

    def __getitem__(self, name: str) -> LabelledArray:
        """The values of a variable, a named expression, the objective or an item of `show` by its text."""
        if name in self.variables:
            return self.variables[name].value
        if name in self.expressions:
            return self.expressions[name]()
        if name == self.objective_name and self.objective is not None:
            return LabelledArray(self.objective, (), name)
        for item in self.show:
            if item.text == name:
                return item.value
        known = (*self.variables, *self.expressions, *(item.text for item in self.show))
        near = closest(name, known)
        hint = f'did you mean "{near}"?' if near else f"there are {', '.join(known)}"
        raise NameMissing(f'there is no value "{name}"; {hint}')

    value = __getitem__

    def slack(self, constraint: str) -> LabelledArray:
        """The distance of each instance of a constraint to its nearest side, below 0 where it is violated."""
        answer = self.constraints.get(constraint)
        if answer is None or answer.slack is None:
            raise NameMissing(f'there is no constraint "{constraint}"')
        return answer.slack

    def to_json(self) -> str:
        """The object that `optdsl eval --json` prints."""
        from optdsl.answer.json_view import evaluation_json

        return evaluation_json(self)

    def __str__(self) -> str:
        return evaluation_text(self, Page())

    __repr__ = __str__


# ------------------------------------------------------------------------------------------------------ evaluating


def evaluate_tree(
    file: tree.File,
    result: SavedResult,
    *,
    folder: Path,
    supplied: Mapping[str, Supplied] | None = None,
    paths: Mapping[str, str] | None = None,
    show: Sequence[str] = (),
) -> Evaluation:
    """A model's values at a saved result; `show` holds expressions in addition to those of the text.

    Raises OptError for every mistake in the input, for variables that the result does not have, or whose sets differ,
    and where the data that is not there is needed for everything.
    """
    if show:
        text = "\n".join([file.source.text, *(f"show {expression}" for expression in show)])
        file = parse(text, file.source.name)
    name = model_name(file.source.name)
    model = build(file, folder=folder, supplied=supplied, paths=paths, name=name, point=result)
    starts = [variable.start for variable in model.variables.values()]
    point = np.concatenate([np.zeros(0), *starts])
    violation, slacks = _Point(model, point).feasibility()
    variables = variable_answers(model, point, None)
    constraints = constraint_answers(model, slacks, None)
    objective = model.objective
    return Evaluation(
        model=model.name,
        source=result.name,
        objective=_objective(model, point),
        objective_name=None if objective is None else objective.name,
        sense=None if objective is None else objective.sense,
        variables=variables,
        constraints=constraints,
        show=shown_values(model, point, variables, constraints) or (),
        violation=violation,
        notes=model.warnings,
        expressions=let_values(model, point),
    )


def _objective(model: Model, point: np.ndarray) -> float | None:
    if model.objective is None:
        return None
    lanes = model.lanes.with_values(point, EDGE)
    stated = model.objective
    words = in_words(model.source, stated.marks, stated.span, f"the objective `{stated.name}`")
    with words, np.errstate(all="ignore"):
        return float(lanes.full(stated.body, Frame()))


class _Point(TransformedJudge):
    """The checks of constraints and bounds at a point that no solver gave."""

    def __init__(self, model: Model, point: np.ndarray) -> None:
        restored = Restored(point, None, None, None, None)
        answer = TransformedAnswer(RawAnswer(RawStatus.OPTIMAL, "none"), restored, None, None)
        super().__init__(model, None, answer, {})  # type: ignore[arg-type]

    def feasibility(self) -> tuple[float, tuple[np.ndarray, ...]]:
        """The largest scaled violation, and the slack of every constraint's instances."""
        return self._primal()


# --------------------------------------------------------------------------------------------- where values come from


def result_of(given: Solution | str | os.PathLike[str]) -> SavedResult:
    """The values of a solution, or of a saved one. Raises DataError where the file is none."""
    if isinstance(given, Solution):
        variables = {
            name: SavedArray(answer.value.sets, tuple(index_labels(answer.value.axes)), np.array(answer.value).ravel())
            for name, answer in given.variables.items()
        }
        return SavedResult("the solution", given.status.word, variables)
    path = os.fspath(given)
    try:
        return read_saved(Path(path), path)
    except SavedFault as fault:
        raise DataError(Diagnostic("saved-result", fault.message, hint=fault.hint, place=DataPlace(path))) from None


# ---------------------------------------------------------------------------------------------------------- as text


def evaluation_text(evaluation: Evaluation, page: Page) -> str:
    """The values as `optdsl eval` prints them."""
    facts: list[tuple[str, Any]] = []
    if evaluation.objective is not None:
        value = number_text(evaluation.objective, OBJECTIVE_DIGITS)
        facts.append(("objective", f"{evaluation.objective_name} = {value}"))
    if evaluation.constraints:
        holds = "all hold" if evaluation.holds else _violated(evaluation)
        facts.append(("constraints", f"{holds}; largest violation {_size(evaluation.violation)}"))
    elif not evaluation.holds:
        facts.append(("bounds", f"violated, at most by {_size(evaluation.violation)}"))
    title = f"{evaluation.model} at {evaluation.source}:"
    lines = wrapped(f"{title} nothing was solved.", page.width, 2)
    lines[0] = page.style(title, "bold") + lines[0][len(title) :] if lines[0].startswith(title) else lines[0]
    blocks = [[*lines, "", *fact_lines(facts, page)] if facts else lines]
    blocks.extend(value_blocks([Titled(item.text, item.value) for item in evaluation.show], page))
    if evaluation.notes:
        blocks.append([line for note in evaluation.notes for line in wrapped(f"note: {note}", page.width, 6)])
    return "\n\n".join("\n".join(block) for block in blocks)


def _size(violation: float) -> str:
    return number_text(violation, 3) if violation > TOLERANCE else residual_text(violation)


def _violated(evaluation: Evaluation) -> str:
    names = [
        name
        for name, answer in evaluation.constraints.items()
        if answer.slack is not None and (np.asarray(answer.slack) < -TOLERANCE).any()
    ]
    return f"violated: {', '.join(names)}" if names else "violated: bounds"
