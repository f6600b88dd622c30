"""The diagnosis of a training run of a model: its trace, its end and its layers by the user's names."""

from __future__ import annotations

import numpy as np
import sympy

from optdsl.answer.diagnosis import diagnose_training
from optdsl.answer.diagnosis_inputs import LayerValues, TrainingTrace, VariablePart
from optdsl.answer.diagnosis_inputs import TrainingRun as DiagnosedRun
from optdsl.answer.solution import Finding
from optdsl.answer.stochastic_methods import TrainingChoice
from optdsl.atoms import METRICS
from optdsl.methods.stochastic.run import Kept, TrainingEnding, TrainingRun
from optdsl.model.faults import place_of
from optdsl.model.model import Model
from optdsl.terms import nodes
from optdsl.training.problem import TensorProblem

RISING = frozenset({"accuracy", "auc", "r2"})
"""Metrics that are better when they are higher."""
LONGEST, SHARE = 10.0, 0.25
"""Seconds that looking at the landscape may take at most, and as a share of the run's own."""
SHOWN_MEMBERS = 2_000
"""Members whose layers' values the diagnosis looks at."""


def rises(body: sympy.Basic) -> bool:
    """Whether more of a monitored expression is better, as far as its metrics tell; `1 - accuracy(...)` is to fall."""
    return _direction(body) > 0


def _direction(body: sympy.Basic) -> int:
    """+1 where it is better when it is higher, -1 lower, 0 unknown: that of the first part that has one."""
    if isinstance(body, nodes.ArrayCall) and body.name in METRICS:
        return 1 if body.name in RISING else -1
    sign = -1 if isinstance(body, sympy.Mul) and body.could_extract_minus_sign() else 1
    if isinstance(body, sympy.Pow) and body.exp.is_negative:
        sign = -1
    return sign * next(filter(None, map(_direction, body.args)), 0)


def diagnosis_of(
    model: Model, problem: TensorProblem, choice: TrainingChoice, result: TrainingRun, multipliers: np.ndarray
) -> tuple[Finding, ...]:
    """What the run's trace, its end and its layers say."""
    objective = model.objective
    assert objective is not None
    monitored = result.column("monitored")
    upward = choice.monitor is not None and rises(model.lets[choice.monitor].body)
    trace = TrainingTrace(
        epoch=result.column("epoch"),
        loss=problem.sign * result.column("loss"),
        rate=result.column("rate"),
        gradient_norm=result.column("gradient_norm"),
        monitored=None if choice.monitor is None else monitored,
    )
    run_ = DiagnosedRun(
        objective=objective.name,
        sense=objective.sense,
        monitor=choice.monitor,
        monitor_sense="maximize" if upward else "minimize",
        method=choice.name,
        momentum=float(choice.values.get("momentum", choice.values.get("beta1", 0.0))),
        nesterov=bool(choice.values.get("nesterov", False)),
        preconditioner=None if result.scaling is None else result.scaling.divisor,
        ahead=0.0 if result.scaling is None else result.scaling.ahead,
        early=result.kept is Kept.BEST and result.kept_epoch < result.epochs,
        patient=result.ending is TrainingEnding.PATIENCE,
        full_batch=choice.settings.batch <= 0 or choice.settings.batch >= problem.members,
        multipliers=multipliers,
        seconds=min(LONGEST, max(1.0, SHARE * result.seconds)),
    )
    parts = [VariablePart(v.name, slice(v.offset, v.offset + v.width)) for v in model.variables.values()]
    return diagnose_training(problem, result.x, trace, _layers(model, problem, result.x), parts, run_)


def _layers(model: Model, problem: TensorProblem, x: np.ndarray) -> list[LayerValues]:
    objective = model.objective
    assert objective is not None
    some = np.linspace(0, problem.members - 1, min(problem.members, SHOWN_MEMBERS)).astype(np.int64)
    layers = problem.layers(x, some)
    found: list[LayerValues] = []
    seen: set[sympy.Basic] = set()
    for layer in layers:
        activation = layer.activation
        span = place_of(activation.expression, objective.marks, objective.span)
        shape = _renamed(activation.expression)
        if shape in seen:  # the same layer over another part of the members
            continue
        seen.add(shape)
        function = "relu" if activation.name == "pos" else activation.name
        name = next((n for n, let in model.lets.items() if _renamed(let.body) == shape), function)
        hidden = problem.feeds_product(activation.value)
        line = None if span is None else span.line
        found.append(LayerValues(function, name, line, layer.argument, layer.value, hidden))
    return found


def _renamed(expression: sympy.Basic) -> sympy.Basic:
    """An expression with its indices named in the order in which they come, so that only its form counts."""
    found: dict[sympy.Basic, sympy.Basic] = {}
    for node in sympy.preorder_traversal(expression):
        if isinstance(node, nodes.Index) and node not in found:
            found[node] = sympy.Symbol(f"index{len(found)}")
    return expression.xreplace(found)
