"""A report: one self-contained page from the model's text to the checked answer, enough to repeat the run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from optdsl.answer.files import make_folder
from optdsl.answer.provenance import Examined, Provenance, described, facts_of, versions
from optdsl.answer.report_plot import trace_figures
from optdsl.answer.report_style import STYLE
from optdsl.answer.report_tables import answer_tables, direction_tables, table
from optdsl.answer.report_text import model_html
from optdsl.answer.solution import Solution
from optdsl.answer.status import Status
from optdsl.answer.terminal import TITLES, condition_text, facts, meaning, member_sentence
from optdsl.answer.verdict import StatementVerdict, Verdict
from optdsl.answer.verdict_text import class_text, witness_text
from optdsl.errors import Diagnostic, OptError, OptionError

MOST_STATEMENTS = 200
MOST_STEPS = 60
MOST_CONFLICTS = 200
_BAD = (Status.INFEASIBLE, Status.UNBOUNDED, Status.NUMERICAL_ERROR)


def check_report(path: Path) -> None:
    """Raises OptionError where no report can be written to such a file."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise OptionError(
            Diagnostic(
                "unknown-report-format",
                f'a report is an HTML page, and "{path.name}" does not end in .html',
                hint=f"name it {path.with_suffix('.html').name}",
            )
        )
    make_folder(path.parent)


def write_report(solution: Solution, path: Path) -> None:
    """Writes the page, beside its place and renamed. Raises OptionError where it cannot."""
    check_report(path)
    page = report_html(solution)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(page, encoding="utf-8", newline="\n")
        os.replace(beside, path)
    except OSError as error:
        raise OptionError(
            Diagnostic("cannot-write", f"cannot write {path}: {error.strerror or error}", hint="name another file")
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def report_html(solution: Solution) -> str:
    """The page."""
    origin = solution.origin
    examined, refusal = _examined(origin)
    sections: list[tuple[str, str, str]] = [
        ("answer", "Answer", _answer(solution)),
        ("diagnosis", "Diagnosis", _diagnosis(solution)),
        ("convergence", "Convergence", _convergence(solution)),
        ("verdict", "Verdict and proof", refusal if examined is None else _verdict(examined.verdict)),
    ]
    if origin is not None:
        sections += [
            ("data", "Data", _data(origin)),
            ("model", "Model", model_html(origin.file.source)),
            ("repeat", "To repeat this run", _repeat(solution, origin, examined)),
        ]
    shown = [section for section in sections if section[2]]
    title = escape(f"{solution.model}: {TITLES[solution.status].lower()}")
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in shown)
    body = "".join(f'<section id="{key}"><h2>{name}</h2>{content}</section>' for key, name, content in shown)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "img-src data:\">"
        '<link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{escape(solution.model)}</h1>{_status(solution)}"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header><main>{body}</main>'
        f"<footer class=\"soft\"><p>{_written(origin)}</p></footer></body></html>\n"
    )


def _examined(origin: Provenance | None) -> tuple[Examined | None, str]:
    """The verdict; or why there is none any more, as HTML."""
    if origin is None:
        return None, ""
    try:
        return origin.examine(), ""
    except OptError as error:  # the data has changed since the run
        message = escape(error.diagnostics[0].message)
        return None, f"<p>The model can no longer be examined with its data: {message}.</p>"


def _written(origin: Provenance | None) -> str:
    began = "" if origin is None else f" The run began {origin.began:%Y-%m-%d %H:%M:%S} UTC."
    return f"Written by optdsl {versions()['optdsl']}.{began}"


def _worded(text: object) -> str:
    """A sentence as HTML; what stands in backticks is code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(str(text)))


def _status(solution: Solution) -> str:
    kind = "good" if solution.status.acceptable else "bad" if solution.status in _BAD else "open"
    sentence = _worded(f"{meaning(solution)}.")
    return f'<p class="status {kind}"><strong>{TITLES[solution.status]}:</strong> {sentence}</p>'


# ----------------------------------------------------------------------------------------------------- the answer


def _answer(solution: Solution) -> str:
    parts = [_definitions((name, _worded(text)) for name, text in facts(solution))]
    if solution.conflict is not None:
        parts.append(_conflict(solution))
    if solution.ray is not None:
        if solution.ray.direction is None:
            why = escape(solution.ray.why or "")
            parts.append(f"<p>No straight direction of endless improvement is known: {why}.</p>")
        else:
            parts.append("<h3>A direction of endless improvement</h3>" + direction_tables(solution.ray.direction))
    if solution.checks.escape:
        parts.append("<h3>A direction that leads to a better point</h3>" + direction_tables(solution.checks.escape))
    parts.append(answer_tables(solution))
    if solution.notes:
        parts.append("<h3>Notes</h3><ul>" + "".join(f"<li>{_worded(note)}</li>" for note in solution.notes) + "</ul>")
    return "".join(parts)


def _definitions(pairs: Iterator[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in pairs) + "</dl>"


def _conflict(solution: Solution) -> str:
    conflict = solution.conflict
    assert conflict is not None
    if not conflict.members:
        return "<p>Nothing smaller than the whole model is known to be contradictory.</p>"
    head = "Conditions that cannot hold together"
    if conflict.irreducible:
        head += "; without any one of them the others can"
    shown = conflict.members[:MOST_CONFLICTS]
    rows = [[escape(member_sentence(member)), f"<code>{escape(condition_text(member))}</code>"] for member in shown]
    left = len(conflict.members) - len(shown)
    more = f"<p class='soft'>... {left:,} more.</p>" if left else ""
    return f"<h3>{head}</h3>{table(['condition', 'as written'], rows)}{more}"


def _diagnosis(solution: Solution) -> str:
    return "".join(
        f'<div class="finding"><p><strong>{_worded(item.finding)}</strong></p><p>{_worded(item.evidence)}</p>'
        f'<p class="advice">{_worded(item.advice)}</p></div>'
        for item in solution.diagnosis
    )


def _convergence(solution: Solution) -> str:
    figures = trace_figures(solution.trace, solution.objective_name or "objective")
    return f'<div class="figures">{"".join(figures)}</div>' if figures else ""


# ---------------------------------------------------------------------------------------------------- the verdict


def _verdict(verdict: Verdict) -> str:
    kind, size = verdict.problem_class, verdict.size
    pairs = [
        ("class", f"{escape(kind.type)} ({escape(class_text(kind.type))})"),
        ("convexity", escape(kind.convexity)),
        ("smoothness", escape(kind.smoothness)),
        ("size", f"{size.variables:,} variables ({size.integers:,} integer), {size.constraints:,} constraints, "
                 f"{size.nonzeros:,} nonzeros"),
    ]  # fmt: skip
    parts = [_definitions(iter(pairs))]
    shown = verdict.statements[:MOST_STATEMENTS]
    rows = [
        [
            _line_link(item.line),
            f"<code>{escape(item.name)}</code>",
            escape(item.role),
            escape(item.form or item.curvature) + ("" if item.ok or item.form else " <strong>does not fit</strong>"),
            escape(item.sign or ""),
            escape(item.smoothness or ""),
        ]
        for item in shown
    ]
    head = ["line", "statement", "role", "curvature", "sign", "smoothness"]
    if rows:
        parts.append(table(head, rows, "Statements"))
    if len(verdict.statements) > len(shown):
        parts.append(f"<p class='soft'>... {len(verdict.statements) - len(shown):,} more statements.</p>")
    parts += [_proof(item) for item in shown if item.proof or item.blame]
    if verdict.witness is not None:
        sentences = "".join(f"<p>{_worded(text)}</p>" for text in witness_text(verdict))
        parts.append(f"<h3>A witness that it is not convex as written</h3>{sentences}")
    parts += [f"<pre>{escape(text)}</pre>" for text in verdict.refusal]
    return "".join(parts)


def _line_link(line: object) -> str:
    return f'<a href="#line-{line}">{line}</a>' if line is not None else ""


def _proof(item: StatementVerdict) -> str:
    """The steps behind one statement, folded; what breaks it, open."""
    parts = []
    if item.blame is not None:
        blame = item.blame
        why = _worded(blame.get("why") or "")
        rewrite = f"<br>Write instead: {_worded(blame['rewrite'])}" if blame.get("rewrite") else ""
        part = f"<code>{escape(str(blame['expr']))}</code>: " if blame.get("expr") else ""
        parts.append(f"<p>Line {_line_link(blame.get('line'))}: {part}{why}.{rewrite}</p>".replace("..", "."))
    steps = item.proof[:MOST_STEPS]
    if steps:
        rows = [
            [
                _line_link(step.get("line")),
                f"<code>{escape(str(step.get('expr', '')))}</code>",
                escape(str(step.get("gives", ""))),
                _worded(step.get("rule", "")),
            ]
            for step in steps
        ]
        parts.append(table(["line", "expression", "is", "by"], rows))
        if len(item.proof) > len(steps):
            parts.append(f"<p class='soft'>... {len(item.proof) - len(steps):,} more steps.</p>")
    open_ = " open" if item.blame is not None else ""
    name = escape(item.name)
    summary = f"What breaks <code>{name}</code>" if item.blame is not None else f"Proof of <code>{name}</code>"
    return f"<details{open_}><summary>{summary}</summary>{''.join(parts)}</details>"


# --------------------------------------------------------------------------------------------- data and repeating


def _data(origin: Provenance) -> str:
    parts = []
    if origin.files:
        rows = []
        for given in origin.files:
            found = facts_of(given)
            named = f"<code>{escape(given.named)}</code>"
            if given.path is None:
                named += " (no file)"
            elif found.changed:
                named += " <strong>changed since the run</strong>"
            size = "" if given.stamp is None else f"{given.stamp[0]:,}"
            count = "" if found.rows is None else f"{found.rows:,}"
            columns = escape(", ".join(found.columns))
            digest = f'<span class="hash">{found.sha256 or "-"}</span>'
            rows.append([escape(given.reader), named, count, columns, size, digest])
        head = ["read as", "file", "rows", "columns", "bytes", "SHA-256"]
        parts.append(table(head, rows, "Files", numbers=(2, 4)))
    if origin.supplied:
        rows = [[f"<code>{escape(name)}</code>", escape(described(value))] for name, value in origin.supplied.items()]
        parts.append(table(["name", "value"], rows, "Values given for this run"))
    return "".join(parts) or "<p>All data is in the model's text.</p>"


def _repeat(solution: Solution, origin: Provenance, examined: Examined | None) -> str:
    command = origin.command
    if command is None:
        lead = "The run was made from Python, with values that are no words: see the data above."
    else:
        lead = f"<pre>{escape(command)}</pre>"
        lead += f"<p class='soft'>In {escape(str(origin.folder))} lie the files that the model names.</p>"
    method = origin.method if examined is None else examined.method
    options = origin.options if examined is None else examined.options
    solver = solution.route.solver
    pairs: list[tuple[str, str]] = [
        ("method", escape(solution.route.method) + (f" with {escape(solver)}" if solver else "")),
        ("asked for", escape(method) if method else "no method: the one that fits was chosen"),
        ("options", escape(", ".join(f"{k} = {v}" for k, v in options.items())) or "none: the method's defaults"),
        ("seed", "none given" if origin.seed is None else str(origin.seed)),
        ("time limit", "none" if origin.time_limit is None else f"{origin.time_limit:g} s"),
        *((escape(name), escape(version)) for name, version in versions().items()),
    ]
    return lead + _definitions(iter(pairs))

