"""Answers as text for a person: the status in a sentence, what it rests on, and the values in tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from optdsl.answer.labelled import LabelledArray
from optdsl.answer.layout import Page, beside, fact_lines, left, shortened, width_of, wrapped
from optdsl.answer.numbers import number_text, residual_text, seconds_text
from optdsl.answer.solution import Checks, ConflictAnswer, ConflictMember, Finding, Ray, Solution
from optdsl.answer.status import Guarantee, SecondOrder, Status
from optdsl.answer.value_tables import INDENT, Titled, value_blocks
from optdsl.answer.verdict_text import route_text
from optdsl.data.members import label_text

OBJECTIVE_DIGITS = 10
LISTED_NAMES = 12
LISTED_CONFLICTS = 30

_STATUS_COLOR = {
    Status.OPTIMAL: "green",
    Status.LOCALLY_OPTIMAL: "green",
    Status.FEASIBLE: "green",
    Status.INFEASIBLE: "red",
    Status.UNBOUNDED: "red",
    Status.NUMERICAL_ERROR: "red",
}

TITLES = {
    Status.OPTIMAL: "Optimal",
    Status.LOCALLY_OPTIMAL: "Locally optimal",
    Status.FEASIBLE: "Feasible",
    Status.STATIONARY: "Stationary",
    Status.INFEASIBLE: "Infeasible",
    Status.UNBOUNDED: "Unbounded",
    Status.ITERATION_LIMIT: "Stopped at the iteration limit",
    Status.TIME_LIMIT: "Stopped at the time limit",
    Status.NUMERICAL_ERROR: "Not solved",
    Status.INTERRUPTED: "Interrupted",
}


def solution_text(solution: Solution, page: Page | None = None) -> str:
    """The whole answer as `optdsl solve` prints it, without a line end at its end."""
    page = page or Page()
    blocks = [_head(solution, page)]
    if solution.conflict is not None:
        blocks.append(_conflict(solution.conflict, page))
    if solution.ray is not None:
        blocks.extend(_ray(solution, solution.ray, page))
    if solution.checks.escape:
        blocks.append([page.style("A direction in which the point can be left for a better one:", "bold")])
        blocks.extend(value_blocks([Titled(name, array) for name, array in solution.checks.escape.items()], page, True))
    blocks.extend(value_blocks(_shown(solution), page))
    blocks.extend(_remarks(solution, page))
    return "\n\n".join("\n".join(block) for block in blocks)


def solution_line(solution: Solution) -> str:
    """The answer in one line: `diet: optimal, total_cost = 88.2`."""
    text = f"{shortened(solution.model)}: {solution.status.word.replace('_', ' ')}"
    if solution.objective is not None:
        text += f", {solution.objective_name} = {number_text(solution.objective, OBJECTIVE_DIGITS)}"
    return text


def solution_summary(solution: Solution) -> str:
    """The answer in a few lines, for `repr`: each variable and constraint with its size and range."""
    lines = [f"Solution of {solution_line(solution)} (guarantee: {solution.guarantee.word})"]
    rows = [
        *(_range_row(name, answer.value, "") for name, answer in solution.variables.items()),
        *(
            _range_row(name, given, "dual " if answer.dual is not None else "slack ")
            for name, answer in solution.constraints.items()
            if (given := answer.dual if answer.dual is not None else answer.slack) is not None
        ),
    ]
    shown = rows[:LISTED_NAMES]
    if shown:
        lines += [INDENT + line for line in beside([left(column) for column in zip(*shown, strict=True)])]
    if len(rows) > len(shown):
        lines.append(f"{INDENT}... {len(rows) - len(shown)} more")
    return "\n".join(lines)


def _range_row(name: str, values: LabelledArray, aspect: str) -> tuple[str, str]:
    label = f"{shortened(name)}[{', '.join(values.sets)}]" if values.axes else shortened(name)
    array = np.asarray(values)
    if not values.axes:
        return label, f"{aspect}{number_text(float(values))}"
    if not array.size:
        return label, "no entries"
    low, high = number_text(float(array.min())), number_text(float(array.max()))
    span = f"all {low}" if low == high else f"from {low} to {high}"
    return label, f"{array.size:,} {'entry' if array.size == 1 else 'entries'}, {aspect}{span}"


# -------------------------------------------------------------------------------------------------- the head


def _head(solution: Solution, page: Page) -> list[str]:
    color = _STATUS_COLOR.get(solution.status, "yellow")
    title = f"{TITLES[solution.status]}:"
    sentence = wrapped(f"{title} {meaning(solution)}.", page.width, len(INDENT))
    sentence[0] = page.style(title, "bold", color) + sentence[0][len(title) :]
    return [*sentence, "", *fact_lines(list(facts(solution)), page)]


def meaning(solution: Solution) -> str:
    """What the status says of this answer, in words without a full stop."""
    status, better = solution.status, {"minimize": "lower", "maximize": "higher"}.get(solution.sense or "")
    name = solution.objective_name
    if status is Status.OPTIMAL and better:
        return f"no point that satisfies all constraints has a {better} {name}"
    if status is Status.LOCALLY_OPTIMAL and better:
        return f"no point nearby has a {better} {name}, though one further away may"
    if status is Status.FEASIBLE and better is None:
        return "all constraints hold; there is no objective"
    if status is Status.UNBOUNDED and better and solution.bound is not None:
        return f"{name} comes as near to its bound as wanted, and no point is found that reaches it"
    if status is Status.UNBOUNDED and better:
        return f"{name} can be made {better} without end"
    if status is Status.INFEASIBLE and solution.guarantee == "local":
        return "a local search found no point that satisfies all constraints; one may exist elsewhere"
    if status in (Status.ITERATION_LIMIT, Status.TIME_LIMIT, Status.INTERRUPTED):
        if not solution.variables:
            return "no point that satisfies all constraints was found before that"
        return "the values are the best found so far"
    return status.sentence


def facts(solution: Solution) -> Iterator[tuple[str, str]]:
    """What the answer rests on: labels and texts."""
    if solution.sense is not None and solution.objective is not None:
        yield "objective", _objective(solution)
    elif solution.sense is not None and solution.bound is not None:
        yield "bound", f"{solution.objective_name} cannot be {_beyond(solution)} {_number(solution.bound)}"
    if solution.variables and solution.status is not Status.INFEASIBLE:
        yield "guarantee", f"{solution.guarantee.word}: {solution.guarantee.sentence}"
    yield "class", f"{solution.problem_class.type}, {solution.problem_class.convexity}, {_smoothness(solution)}"
    yield "method", route_text(solution.route)
    if solution.variables:
        yield "checks", _checks(solution.checks)
    yield "time", _times(solution)


def _smoothness(solution: Solution) -> str:
    word = solution.problem_class.smoothness
    return "once differentiable" if word == "C1" else word


def _objective(solution: Solution) -> str:
    text = f"{solution.objective_name} = {_number(solution.objective)} ({solution.sense}d)"
    bound, value = solution.bound, solution.objective
    assert value is not None
    if bound is None or not np.isfinite(bound):
        if solution.status in (Status.TIME_LIMIT, Status.ITERATION_LIMIT, Status.INTERRUPTED):
            return f"{text}; no bound is known"
        return text
    distance = abs(value - bound) / max(1.0, abs(value))
    if distance <= 1e-6:
        return text
    return f"{text}; it cannot be {_beyond(solution)} {_number(bound)}, a gap of {100 * distance:.2g}%"


def _beyond(solution: Solution) -> str:
    return "below" if solution.sense == "minimize" else "above"


def _number(value: float | None) -> str:
    return number_text(value, OBJECTIVE_DIGITS)


def _checks(checks: Checks) -> str:
    measures = {
        "constraints": checks.primal_residual,
        "optimality": checks.dual_residual,
        "complementarity": checks.complementarity,
        "gap": checks.gap,
    }
    measured = ", ".join(f"{name} {residual_text(value)}" for name, value in measures.items() if value is not None)
    text = "passed" if checks.ok else "not passed"
    if measured:
        text = f"{text}; residuals: {measured}"
    if checks.second_order in (SecondOrder.SATISFIED, SecondOrder.VIOLATED, SecondOrder.NOT_SMOOTH):
        text += f"; {checks.second_order.sentence}"
    return text


def _times(solution: Solution) -> str:
    time = solution.time
    total = seconds_text(time.total)
    if time.total < 1:
        return total
    parts = {"reading": time.read, "classifying": time.classify, "compiling": time.compile, "solving": time.solve}
    long = [f"{name} {seconds_text(seconds)}" for name, seconds in parts.items() if seconds >= 0.05 * time.total]
    return f"{total} ({', '.join(long)})" if long else total


# -------------------------------------------------------------------------------------- conflicts and rays


def _conflict(conflict: ConflictAnswer, page: Page) -> list[str]:
    if not conflict.members:
        return [page.style("Nothing smaller than the whole model is known to be contradictory.", "bold")]
    if len(conflict.members) == 1:
        head = "This cannot hold:"
    elif conflict.irreducible:
        head = "These cannot hold together, and without any one of them the others can:"
    else:
        head = "These cannot hold together (perhaps not all of them are needed for that):"
    members = conflict.members[:LISTED_CONFLICTS]
    names = left([member_sentence(member) for member in members])
    room = max(page.width - len(INDENT) - width_of(names[0]) - 3, 10)
    texts = [shortened(condition_text(member), room) for member in members]
    lines = [page.style(head, "bold"), *(INDENT + line for line in beside([names, texts]))]
    if len(conflict.members) > len(members):
        lines.append(INDENT + page.style(f"... {len(conflict.members) - len(members)} more; --json lists all", "dim"))
    return lines


def member_sentence(member: ConflictMember) -> str:
    """A condition of a conflict in the user's names: `the upper bound of buy["bread"]`."""
    index = f"[{', '.join(label_text(label) for label in member.index)}]" if member.index else ""
    name = f"{member.name}{index}"
    side = {"lower": "its lower side (>=)", "upper": "its upper side (<=)"}.get(member.side or "")
    if member.kind == "bound":
        return f"the {member.side} bound of {name}" if member.side else f"the bounds of {name}"
    if member.kind == "integrality":
        return f"{name} takes whole numbers only"
    if member.kind == "attribute":
        return f"a declared attribute of {name}"
    return f"{name}, {side}" if side else name


def condition_text(member: ConflictMember) -> str:
    """The condition as it is written, with its line."""
    text = " ".join((member.text or "").split())
    return f"line {member.line}: {text}" if member.line is not None else text


def _ray(solution: Solution, ray: Ray, page: Page) -> list[list[str]]:
    if ray.direction is None:
        told = f"No straight direction of endless improvement is known{f': {ray.why}' if ray.why else ''}."
        return [wrapped(told, page.width, 0)]
    better = {"minimize": "lower", "maximize": "higher"}[solution.sense or "minimize"]
    if solution.guarantee is Guarantee.GLOBAL:
        goal = f"makes {solution.objective_name} {better} forever"
        sentence = f"From any point that satisfies all constraints, this direction {goal}:"
    else:
        goal = f"{solution.objective_name} gets {better} and {better}"
        sentence = f"From where the run ended, {goal} along this direction:"
    head = [page.style(line, "bold") for line in wrapped(sentence, page.width, 0)]
    moving = [Titled(name, array) for name, array in ray.direction.items()]
    return [head, *value_blocks(moving, page, hide_zeros=True)]


# ------------------------------------------------------------------------------------------ values, remarks


def _shown(solution: Solution) -> Sequence[Titled]:
    if solution.show is not None:
        return [Titled(item.text, item.value) for item in solution.show]
    return [Titled(name, answer.value) for name, answer in solution.variables.items()]


def _remarks(solution: Solution, page: Page) -> Iterator[list[str]]:
    if solution.diagnosis:
        yield [line for item in solution.diagnosis for line in _finding(item, page)]
    notes = list(solution.notes)
    if solution.duals_with_integers_fixed and any(_speaks_of_duals(item.text) for item in solution.show or ()):
        notes.append("duals and reduced costs are those of the problem with its integers fixed at these values")
    if notes:
        yield [line for note in notes for line in wrapped(f"note: {note}", page.width, 6)]


def _finding(item: Finding, page: Page) -> Iterator[str]:
    """What was found, then the evidence and the advice below it."""
    yield from (page.style(line, "bold") for line in wrapped(item.finding, page.width, len(INDENT)))
    for text in (item.evidence, item.advice):
        yield from (INDENT + line for line in wrapped(text, page.width - len(INDENT), 0))


def _speaks_of_duals(text: str) -> bool:
    return ".dual" in text or ".reduced_cost" in text
