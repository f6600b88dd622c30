"""The verdict of `check` as text for a person."""

from __future__ import annotations

from optdsl.answer.layout import Page, beside, left, right, shortened, wrapped
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
    blocks.extend(_blame(item, page) for item in verdict.statements if item.blame)
    blocks.extend([message] for message in verdict.refusal)
    if verdict.warnings:
        blocks.append([line for text in verdict.warnings for line in wrapped(f"note: {text}", page.width, 6)])
    return "\n\n".join("\n".join(block) for block in blocks)


def class_text(type_name: str) -> str:
    """The name of a class in words: `MILP` is `linear, with integers`."""
    integers = type_name.startswith("MI")
    words = _NAMES.get(type_name.removeprefix("MI"), type_name)
    return f"{words}, with integers" if integers else words


def _head(verdict: Verdict, page: Page) -> list[str]:
    kind, size = verdict.problem_class, verdict.size
    color = {"convex": "green", "nonconvex": "yellow"}.get(kind.convexity, "yellow")
    title = f"{shortened(verdict.model)}: {page.style(kind.type, 'bold', color)} ({class_text(kind.type)})"
    facts = [("convexity", kind.convexity), ("smoothness", kind.smoothness), ("size", _size(verdict))]
    if verdict.route is not None:
        solver = f" with {verdict.route.solver}" if verdict.route.solver.lower() != verdict.route.method else ""
        facts.append(("method", f"{verdict.route.method}{solver}: {verdict.route.why}"))
    else:
        facts.append(("method", "none in this version"))
    if size.variables == 0 and size.constraints == 0:
        facts = [fact for fact in facts if fact[0] != "size"]
    names = [page.style(name, "dim") for name in left([name for name, _ in facts])]
    return [title, "", *(INDENT + line for line in beside([names, [text for _, text in facts]]))]


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
        left(["curvature", *(item.curvature + ("" if item.ok else "  <-") for item in shown)]),
    ]
    if any(item.smoothness for item in shown):
        columns.append(left(["smoothness", *(item.smoothness or "" for item in shown)]))
    lines = beside(columns)
    lines = [INDENT + page.style(lines[0], "bold"), *(INDENT + line for line in lines[1:])]
    if len(statements) > len(shown):
        lines.append(INDENT + page.style(f"... {len(statements) - len(shown)} more; --json lists all", "dim"))
    return lines


def _blame(item: StatementVerdict, page: Page) -> list[str]:
    blame = item.blame or {}
    place = f", line {blame['line']}" if blame.get("line") else ""
    lines = [page.style(f"{item.name}{place}: {blame.get('expr', 'this part')}", "bold")]
    for key in ("why", "rewrite"):
        if blame.get(key):
            lead = "" if key == "why" else "instead: "
            lines += [INDENT + line for line in wrapped(f"{lead}{blame[key]}", page.width - len(INDENT), 0)]
    return lines
