"""What the stages found, put together as the records that users get: verdicts and solutions."""

from __future__ import annotations

from optdsl.answer.solution import ProblemClass, Route
from optdsl.answer.verdict import Size, StatementVerdict, Verdict
from optdsl.classify import Analysis
from optdsl.classify.analysis import StatementFact
from optdsl.errors import Diagnostic, render


def class_of(analysis: Analysis) -> ProblemClass:
    """The kind of problem, as answers name it."""
    return ProblemClass(analysis.type, analysis.convexity, analysis.smoothness)


def verdict_of(analysis: Analysis, route: Route | None) -> Verdict:
    """The verdict of `check`; `route` is how `solve` would go about it, None where it refuses."""
    return Verdict(
        model=analysis.model.name,
        problem_class=class_of(analysis),
        size=Size(**analysis.size),
        statements=tuple(_statement(fact) for fact in analysis.statements),
        route=route,
        refusal=tuple(_remark(diagnostic) for diagnostic in analysis.refusal),
        warnings=analysis.model.warnings,
    )


def _statement(fact: StatementFact) -> StatementVerdict:
    return StatementVerdict(
        name=fact.name,
        line=fact.line,
        role=fact.role,
        curvature=fact.curvature,
        smoothness=fact.smoothness,
        ok=fact.ok,
        blame=None if fact.blame is None else _blame(fact.blame),
    )


def _blame(diagnostic: Diagnostic) -> dict[str, object]:
    """The part that a diagnostic points at, in RESULT's words."""
    span, source = diagnostic.span, diagnostic.source
    part = source.text[span.start : span.end] if span is not None and source is not None else None
    return {
        "expr": part,
        "line": span.line if span is not None else None,
        "column": span.column if span is not None else None,
        "why": diagnostic.message,
        "rewrite": diagnostic.hint,
    }


def _remark(diagnostic: Diagnostic) -> str:
    """A diagnostic as a remark: drawn with its place, without the word error."""
    return render(diagnostic).removeprefix(f"error[{diagnostic.code}]: ")
