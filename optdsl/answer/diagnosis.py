"""The diagnosis of a training run: what the trace, the landscape at its end and the layers say, with advice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optdsl.answer.diagnosis_inputs import Differentiable, LayerValues, TrainingRun, TrainingTrace, VariablePart
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
        return (
            *trace_findings(trace, run, place, course),
            *landscape_findings(place, trace, parts, run, course),
            *layer_findings(layers, parts, trace, run, place),
        )
