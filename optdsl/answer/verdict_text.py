"""The verdict of `check` as text for a person."""

from __future__ import annotations

from optdsl.answer.layout import PIPED_WIDTH, Page, beside, fact_lines, left, right, shortened, wrapped
from optdsl.answer.solution import Route
from optdsl.answer.verdict import StatementVerdict, Verdict

INDENT = "  "
LISTED_STATEMENTS = 60

_NAMES = {
    "LP": "linear",
    "QP": "quadratic objective, linear constraints",
    "QCP": "quadratic constraints",
    "SOCP": "second-order cone",
    "POW": "power cone",
    "EXP": "exponential cone",
    "SDP": "semidefinite",
    "CONIC": "cones of several kinds",
    "CONVEX": "convex, without a known cone form",
    "GP": "geometric program",
    "QUASICONVEX": "quasi-convex",
    "NLP": "nonlinear",
    "NONSMOOTH": "not smooth",
}


def verdict_text(verdict: Verdict, page: Page | None = None) -> str:
    """The whole verdict as `optdsl check` prints it, without a line end at its end."""
    page = page or Page()
    blocks = [_head(verdict, page)]
    if verdict.statements:
        blocks.append(_statements(verdict.statements, page))
    blocks.extend([message] for message in _remarks(verdict))
    if verdict.witness is not None:
        blocks.append([line for text in witness_text(verdict) for line in wrapped(text, page.width, 2)])
    if verdict.warnings:
        blocks.append([line for text in verdict.warnings for line in wrapped(f"note: {text}", page.width, 6)])
    return "\n\n".join("\n".join(block) for block in blocks)


MOST_REMARKS = 5

_SOLVED_AS = {
    "GP": "The problem is not convex as it is written, but in the logarithms of its variables it is: it is solved as a "
    "geometric program, to global optimality.",
    "QUASICONVEX": "The problem is not convex as it is written, but its level sets are: it is solved by convex "
    "programs, level by level, to global optimality.",
}


def _remarks(verdict: Verdict) -> list[str]:
    """What breaks convexity, part by part; of a problem that is solved to global optimality all the same, how."""
    solved_as = _SOLVED_AS.get(verdict.problem_class.type)
    if solved_as is not None:
        return ["\n".join(wrapped(solved_as, PIPED_WIDTH, 0)), *verdict.refusal]
    broken = list(dict.fromkeys(item.remark for item in verdict.statements if item.remark is not None))
    shown = broken[:MOST_REMARKS]
    if len(broken) > len(shown):
        shown.append(f"... {len(broken) - len(shown)} more; --json lists all")
    return [*shown, *(message for message in verdict.refusal if message not in broken)]


def witness_text(verdict: Verdict) -> list[str]:
    """The witness against convexity in words, for a reader with a calculator; none where there is none."""
    witness, points = verdict.witness, verdict.witness_points
    if witness is None or points is None:
        return []
    index = f" at [{', '.join(map(str, witness['index']))}]" if witness["index"] else ""
    first, second, between = witness["values"]
    weight = witness["weight"]
    where = "halfway between" if weight == 0.5 else f"at {weight:g} times the first and {1 - weight:g} times the second"
    if between is None:
        fault, value = "not defined on a convex set", "it is undefined"
    else:
        line = weight * first + (1 - weight) * second
        fault = "not convex" if between > line else "not concave"
        value = f"it is {between:.6g}, and the straight line between gives {line:.6g}"
    claim = f"`{witness['statement']}`{index} is {fault}"
    if verdict.problem_class.type in _SOLVED_AS:
        claim = f"As it is written, {claim}"
    elif between is not None:
        claim += ", as its role needs"
    return [f"{claim}: at {points[0]} it is {first:.6g}, at {points[1]} it is {second:.6g}; {where} {value}."]


def class_text(type_name: str) -> str:
    """The name of a class in words: `MILP` is `linear, with integers`."""
    integers = type_name.startswith("MI")
    words = _NAMES.get(type_name.removeprefix("MI"), type_name)
    return f"{words}, with integers" if integers else words


def _head(verdict: Verdict, page: Page) -> list[str]:
    kind = verdict.problem_class
    color = {"convex": "green", "nonconvex": "yellow"}.get(kind.convexity, "yellow")
    title = f"{shortened(verdict.model)}: {page.style(kind.type, 'bold', color)} ({class_text(kind.type)})"
    facts = [("convexity", kind.convexity), ("smoothness", kind.smoothness), ("size", _size(verdict))]
    facts.append(("method", route_text(verdict.route) if verdict.route is not None else "none in this version"))
    return [title, "", *fact_lines(facts, page)]


def route_text(route: Route) -> str:
    """The method, the solver behind it, and why these: `cvxpy with CLARABEL; the objective is ...`."""
    solver = f" with {route.solver}" if route.solver.lower() != route.method.lower() else ""
    return f"{route.method}{solver}; {route.why}" if route.why else f"{route.method}{solver}"


def _size(verdict: Verdict) -> str:
    size = verdict.size
    parts = [
        _counted(size.variables, "variable"),
        _counted(size.constraints, "constraint"),
        _counted(size.nonzeros, "nonzero"),
    ]
    if size.integers:
        parts[0] += f" ({size.integers:,} integer)"
    return ", ".join(parts)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _statements(statements: tuple[StatementVerdict, ...], page: Page) -> list[str]:
    shown = statements[:LISTED_STATEMENTS]
    columns = [
        right(["line", *("" if item.line is None else str(item.line) for item in shown)]),
        left(["statement", *(shortened(item.name) for item in shown)]),
        left(["role", *(item.role for item in shown)]),
        left(["curvature", *map(_shape, shown)]),
    ]
    if any(item.sign not in (None, "unknown") for item in shown):
        columns.append(left(["sign", *(item.sign if item.sign != "unknown" else "" for item in shown)]))  # type: ignore[list-item]
    if any(item.smoothness for item in shown):
        columns.append(left(["smoothness", *(item.smoothness or "" for item in shown)]))
    lines = beside(columns)
    lines = [INDENT + page.style(lines[0], "bold"), *(INDENT + line for line in lines[1:])]
    if len(statements) > len(shown):
        lines.append(INDENT + page.style(f"... {len(statements) - len(shown)} more; --json lists all", "dim"))
    return lines


def _shape(item: StatementVerdict) -> str:
    """How a statement curves: as written, or in which other way it is convex; an arrow where it does not fit."""
    if item.form is not None:
        return item.form
    if item.ok and item.curvature == "unknown":
        return "convex set" if item.role == "constraint" else "convex form"
    return item.curvature if item.ok else f"{item.curvature}  <-"
