"""Smoothness judged on D: a kink that constraints keep away from is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optdsl.classify.analysis import StatementFact
from optdsl.classify.domain import on_domain
from optdsl.classify.facts import Facts
from optdsl.classify.words import ROUGHNESS, smoothness_word
from optdsl.model.model import Model
from optdsl.terms.nodes import over

FEW_ROWS = 100_000  # up to so many rows D is built for this alone


def smooth_on_domain(
    statements: Sequence[StatementFact], model: Model, facts: Facts, sharp: bool
) -> list[StatementFact]:
    """The statements, those with kinks judged again on D: `abs(x)` is smooth where a constraint has `x >= 0`.

    sharp: whether the facts are those on D already, or D says no more than the declared bounds.
    """
    rough = {s.name for s in statements if s.smoothness != "smooth"}
    if not rough or (not sharp and sum(c.size for c in model.constraints) > FEW_ROWS):
        return list(statements)
    on_d = facts if sharp else on_domain(model, facts)
    if on_d is None or on_d.plain is None:
        return list(statements)
    parts = [(c.name, [r.body for r in c.relations], c.over) for c in model.constraints if c.name in rough]
    if model.objective is not None and model.objective.name in rough:
        parts.append((model.objective.name, [model.objective.body], over(())))
    found = {}
    for name, bodies, lanes in parts:
        frame = model.lanes_of(lanes)
        found[name] = min((smoothness_word(on_d.find(b, frame)) for b in bodies), key=ROUGHNESS.index)
    return [
        replace(s, smoothness=max(s.smoothness, found.get(s.name, s.smoothness), key=ROUGHNESS.index))
        for s in statements
    ]
