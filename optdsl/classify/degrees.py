"""Statements of degree two: whether they are quadratic as they are written, and the one that is not convex."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optdsl.classify.analysis import StatementFact
from optdsl.classify.collect import Collector
from optdsl.classify.facts import Facts
from optdsl.classify.sink import CONVEX, Auxiliary, NotCollected, Sink
from optdsl.errors import Diagnostic
from optdsl.model.faults import place_of
from optdsl.model.model import Constraint, Model
from optdsl.terms.frame import Frame


def of_degree_two(model: Model, statements: Sequence[StatementFact]) -> bool:
    """Whether every constraint, and an objective that is proved, is a quadratic as it is written."""
    objective = all(f.kinds <= {"quadratic"} for f in statements if f.role == "objective")
    matrices = any(v.attributes & {"psd", "nsd"} for v in model.variables.values())
    return objective and not matrices and all(
        c.kind != "matrix" and is_quadratic(model, c, model.lanes_of(c.over)) for c in model.constraints
    )


def is_quadratic(model: Model, constraint: Constraint, frame: Frame) -> bool:
    """Whether all relations of a constraint are quadratics as they are written."""
    probe = Collector(model.lanes, Auxiliary(model.columns))
    try:
        for relation in constraint.relations:
            sink = probe.sink(frame, CONVEX, quadratic=True)
            probe.collect(relation.body, frame, np.ones((1,) * len(frame.shape)), sink)
    except NotCollected:
        return False
    return not probe.auxiliary.count


def not_convex(model: Model, sink: Sink, facts: Facts, explain: bool) -> Diagnostic:
    """What is said of a quadratic objective that curves the wrong way."""
    objective = model.objective
    assert objective is not None
    if explain:
        from optdsl.classify.blame import blame_statement

        found = blame_statement(model, objective, Frame().as_root(), facts)
        if found is not None:
            return found
    worst = next((p.node for p in sink.products), None) or next(s.node for s in sink.squares)
    shape = "convex" if objective.sense == "minimize" else "concave"
    return Diagnostic(
        "not-solvable-yet",
        f"`{objective.name}` is quadratic but not {shape}",
        place_of(worst, objective.marks, objective.span),
        f"a quadratic can be {objective.sense}d by the convex solvers when it is {shape}",
        model.source,
    )
