"""The diagnosis of a training run: what the trace, the landscape at its end and the layers say, with advice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from optdsl.answer.diagnosis_inputs import (
    Differentiable,
    LayerValues,
    Note,
    TrainingRun,
    TrainingTrace,
    VariablePart,
    Wish,
)
from optdsl.answer.diagnosis_landscape import examine, landscape_findings
from optdsl.answer.diagnosis_layers import layer_findings
from optdsl.answer.diagnosis_trace import course_of, trace_findings
from optdsl.answer.solution import Finding


def diagnose_training(
    problem: Differentiable,
    x: np.ndarray,
    trace: TrainingTrace,
    layers: Sequence[LayerValues] = (),
    parts: Sequence[VariablePart] = (),
    run: TrainingRun | None = None,
) -> tuple[Finding, ...]:
    """What a training run that ended at x (n,) found, most urgent first: each with its evidence and one advice.

    Nothing is changed and nothing random is left: the same run gives the same words.
    """
    run = run or TrainingRun()
    with np.errstate(all="ignore"):
        place = examine(problem, np.asarray(x, dtype=float), run)
        course = course_of(trace, run, place)
        return agreed(
            (
                *trace_findings(trace, run, place, course),
                *landscape_findings(place, trace, parts, run, course),
                *layer_findings(layers, parts, trace, run, place),
            )
        )


CONTRADICT = (
    {Wish.MORE, Wish.FEWER},
    {Wish.MORE, Wish.DONE},
    {Wish.MORE, Wish.RESTART},
    {Wish.DONE, Wish.LOWER},
    {Wish.DONE, Wish.RAISE},
    {Wish.DONE, Wish.RESTART},
    {Wish.KEEP, Wish.LOWER},
    {Wish.KEEP, Wish.RAISE},
    {Wish.KEEP, Wish.RESTART},
    {Wish.LOWER, Wish.RAISE},
)
"""Wishes that cannot both be followed."""


def agreed(notes: Sequence[Note]) -> tuple[Finding, ...]:
    """The findings, most urgent first; an advice that contradicts one above it gives way to that one."""
    found: list[Finding] = []
    wishes: set[Wish] = set()
    for note in sorted(notes, key=lambda note: note.urgency):
        against = any(note.wish in pair and pair & wishes - {note.wish} for pair in CONTRADICT)
        advice = "What is said above comes first." if against else note.finding.advice
        found.append(replace(note.finding, advice=advice))
        if not against:
            wishes.add(note.wish)
    return tuple(found)
