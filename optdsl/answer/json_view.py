"""Answers as JSON, version 1, exactly as RESULT describes it: strict, non-finite numbers are null."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optdsl.answer.labelled import LabelledArray, index_labels
from optdsl.answer.solution import (
    Checks,
    ConflictAnswer,
    ConstraintAnswer,
    ProblemClass,
    Ray,
    Route,
    Solution,
    VariableAnswer,
)
from optdsl.answer.verdict import StatementVerdict, Verdict
from optdsl.data.members import Label, SetValue, column_list
from optdsl.errors import DataPlace, Diagnostic

if TYPE_CHECKING:
    from optdsl.answer.evaluation import Evaluation

VERSION = 1


def json_text(record: Mapping[str, Any]) -> str:
    """One JSON object on one line. Raises ValueError for a number that JSON does not have."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def solution_json(solution: Solution) -> str:
    """The object that `optdsl solve --json` prints."""
    return json_text(solution_record(solution))


def solution_record(solution: Solution, without: Collection[str] = ()) -> dict[str, Any]:
    """The answer as dictionaries, lists and numbers; variables in `without` keep their place, empty."""
    record: dict[str, Any] = {
        "optdsl": VERSION,
        "model": solution.model,
        "status": solution.status.word,
        "guarantee": solution.guarantee.word,
        "objective": _objective(solution),
        "class": _class(solution.problem_class),
        "route": _route(solution.route),
        "variables": {
            name: {} if name in without else _variable(answer) for name, answer in solution.variables.items()
        },
        "constraints": {name: _constraint(answer) for name, answer in solution.constraints.items()},
        "show": [{"expr": item.text, **_shown(item.value)} for item in solution.show or ()],
        "checks": _checks(solution.checks),
        "trace": {"columns": list(solution.trace.columns), "rows": numbers(solution.trace.rows)},
        "time": {
            "read": solution.time.read,
            "classify": solution.time.classify,
            "compile": solution.time.compile,
            "solve": solution.time.solve,
            "total": solution.time.total,
        },
    }
    if solution.duals_with_integers_fixed:
        record["duals"] = "integers fixed"
    if solution.conflict is not None:
        record["conflict"] = _conflict(solution.conflict)
    if solution.ray is not None:
        record.update(_ray(solution.ray))
    if solution.diagnosis:
        record["diagnosis"] = [
            {"finding": item.finding, "evidence": item.evidence, "advice": item.advice} for item in solution.diagnosis
        ]
    if solution.minima:
        record["minima"] = [
            {
                "objective": number(item.objective),
                "reached": item.reached,
                "variables": {name: {**_axes(value), "value": _flat(value)} for name, value in item.variables.items()},
            }
            for item in solution.minima
        ]
    if solution.notes:
        record["notes"] = list(solution.notes)
    return record


def evaluation_json(evaluation: Evaluation) -> str:
    """The object that `optdsl eval --json` prints."""
    objective = None
    if evaluation.sense is not None:
        value = number(evaluation.objective)
        objective = {"name": evaluation.objective_name, "sense": evaluation.sense, "value": value}
    record: dict[str, Any] = {
        "optdsl": VERSION,
        "model": evaluation.model,
        "with": evaluation.source,
        "objective": objective,
        "constraints": {name: _constraint(answer) for name, answer in evaluation.constraints.items()},
        "show": [{"expr": item.text, **_shown(item.value)} for item in evaluation.show],
        "checks": {"primal_residual": number(evaluation.violation), "ok": evaluation.holds},
    }
    if evaluation.notes:
        record["notes"] = list(evaluation.notes)
    return json_text(record)


def errors_json(diagnostics: Sequence[Diagnostic], extra: Mapping[str, Any] | None = None) -> str:
    """A user's mistakes as one object; `extra` entries (such as the class of a refused model) come first."""
    return json_text({"optdsl": VERSION, **(extra or {}), "errors": [_error(item) for item in diagnostics]})


def _error(diagnostic: Diagnostic) -> dict[str, Any]:
    span, place = diagnostic.span, diagnostic.place
    file = diagnostic.source.name if diagnostic.source is not None else None
    line: int | None = span.line if span is not None else None
    column: int | str | None = span.column if span is not None else None
    if span is None and place is not None:
        file, line, column = place.file, place.line if place.line is not None else place.row, place.column
    record: dict[str, Any] = {
        "code": diagnostic.code,
        "file": file,
        "line": line,
        "column": column,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
    }
    if place is not None and span is not None:
        record["data"] = _place(place)
    if diagnostic.notes:
        record["notes"] = list(diagnostic.notes)
    return record


def _place(place: DataPlace) -> dict[str, Any]:
    return {"file": place.file, "line": place.line, "row": place.row, "column": place.column}


def number(value: float | None) -> float | None:
    """The number, or None where JSON has none."""
    return None if value is None or not math.isfinite(value) else value


def numbers(values: np.ndarray) -> list[Any]:
    """An array as nested lists; what is not finite is None."""
    if values.dtype.kind != "f":
        return values.tolist()
    finite = np.isfinite(values)
    if finite.all():
        return values.tolist()
    boxed = values.astype(object)
    boxed[~finite] = None
    return boxed.tolist()


def index_lists(axes: Sequence[SetValue]) -> list[tuple[Label, ...]]:
    """The labels of each entry of the product of the axes, in C order; `[()]` for a scalar."""
    if not axes:
        return [()]
    return list(zip(*(column_list(labels) for labels in index_labels(axes)), strict=True))


def _axes(array: LabelledArray) -> dict[str, Any]:
    return {"sets": list(array.sets), "index": index_lists(array.axes)}


def _flat(array: LabelledArray | None) -> list[Any] | None:
    return None if array is None else numbers(np.asarray(array).ravel())


def _objective(solution: Solution) -> dict[str, Any] | None:
    if solution.sense is None:
        return None
    return {
        "name": solution.objective_name,
        "sense": solution.sense,
        "value": number(solution.objective),
        "bound": number(solution.bound),
    }


def _variable(answer: VariableAnswer) -> dict[str, Any]:
    return {**_axes(answer.value), "value": _flat(answer.value), "reduced_cost": _flat(answer.reduced_cost)}


def _constraint(answer: ConstraintAnswer) -> dict[str, Any]:
    given = answer.dual if answer.dual is not None else answer.slack
    axes = {"sets": [], "index": []} if given is None else _axes(given)
    return {**axes, "dual": _flat(answer.dual), "slack": _flat(answer.slack)}


def _shown(value: LabelledArray) -> dict[str, Any]:
    if not value.axes:
        return {"value": _flat(value)[0]}  # type: ignore[index]
    return {**_axes(value), "value": _flat(value)}


def _checks(checks: Checks) -> dict[str, Any]:
    record: dict[str, Any] = {
        "primal_residual": number(checks.primal_residual),
        "dual_residual": number(checks.dual_residual),
        "complementarity": number(checks.complementarity),
        "gap": number(checks.gap),
        "second_order": checks.second_order.word,
        "ok": checks.ok,
    }
    if checks.escape is not None:
        record["escape"] = _direction(checks.escape)
    return record


def _direction(direction: Mapping[str, LabelledArray]) -> dict[str, Any]:
    return {name: {**_axes(array), "value": _flat(array)} for name, array in direction.items()}


def _conflict(conflict: ConflictAnswer) -> dict[str, Any]:
    return {
        "irreducible": conflict.irreducible,
        "members": [
            {"kind": member.kind, "name": member.name, "index": list(member.index), "side": member.side}
            for member in conflict.members
        ],
    }


def _ray(ray: Ray) -> dict[str, Any]:
    if ray.direction is None:
        return {"ray": None, "why": ray.why}
    return {"ray": _direction(ray.direction)}


def verdict_json(verdict: Verdict) -> str:
    """The object that `optdsl check --json` prints."""
    record: dict[str, Any] = {
        "optdsl": VERSION,
        "model": verdict.model,
        "class": _class(verdict.problem_class),
        "size": {
            "variables": verdict.size.variables,
            "constraints": verdict.size.constraints,
            "nonzeros": verdict.size.nonzeros,
            "integers": verdict.size.integers,
        },
        "statements": [_statement(item) for item in verdict.statements],
        "witness": verdict.witness,
        "route": None if verdict.route is None else _route(verdict.route),
    }
    if verdict.warnings:
        record["notes"] = list(verdict.warnings)
    return json_text(record)


def _statement(item: StatementVerdict) -> dict[str, Any]:
    return {
        "name": item.name,
        "line": item.line,
        "role": item.role,
        "curvature": item.curvature,
        "sign": item.sign,
        "smoothness": item.smoothness,
        "ok": item.ok,
        "proof": [dict(step) for step in item.proof],
        "blame": None if item.blame is None else dict(item.blame),
        **({} if item.form is None else {"form": item.form}),
    }


def _class(kind: ProblemClass) -> dict[str, Any]:
    return {"type": kind.type, "convexity": kind.convexity, "smoothness": kind.smoothness}


def _route(route: Route) -> dict[str, Any]:
    return {"method": route.method, "solver": route.solver, "why": route.why}
