"""The verdict on a model that is convex once the variables that its equalities define are put in place."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from optdsl.classify.analysis import Analysis, StatementFact
from optdsl.classify.analyst import analyze
from optdsl.classify.doubt import Doubt
from optdsl.classify.eliminate.definitions import definitions_in, is_linear
from optdsl.classify.eliminate.reduced import Eliminated, Reduction, fixing
from optdsl.classify.eliminate.steps import told_definition, told_substituted
from optdsl.classify.eliminate.substitution import Definition
from optdsl.errors import ModelError
from optdsl.model.model import Model, Variable
from optdsl.terms.lanes import LaneFault
from optdsl.terms.nodes import VariableEntry, has_variables

MOST_CHOICES = 3
"""How many choices of what an equality defines are tried."""


def analyze_eliminating(model: Model, *, explain: bool = False, doubt: Doubt = "plain") -> Analysis:
    """`analyze`, and where that finds no proof: without the variables that equalities define, if this is convex.

    The program of a model that is convex in this way is that of `Analysis.solved`.
    """
    found = analyze(model, explain=explain, doubt=doubt)
    if not found.refusal:
        return found
    with np.errstate(all="ignore"):
        for reduction in _reductions(model, found):
            try:
                bounded = reduction.bounded()
                analysis = analyze(bounded.model, explain=explain, doubt="none")
            except (ModelError, LaneFault):  # a definition has no value somewhere
                continue
            if not analysis.refusal:
                return _convex(found, Eliminated(bounded, analysis), explain)
    return found


# ------------------------------------------------------------------------------------------------------- choices


def _reductions(model: Model, found: Analysis) -> Iterator[Reduction]:
    """The problem without the variables that curved equalities define; then without those of linear ones, too."""
    broken = {fact.name for fact in found.statements if not fact.ok}
    bent = _names_in(model, broken)
    seen: set[frozenset[tuple[str, int | None]]] = {frozenset()}
    for linear in (False, True):
        for choice in range(MOST_CHOICES):
            reduction = _reduced(model, broken, bent, choice, linear)
            key = frozenset((d.variable, d.constraint) for d in reduction.definitions)
            if key not in seen:
                seen.add(key)
                yield reduction


def _reduced(model: Model, broken: Collection[str], bent: Collection[str], choice: int, linear: bool) -> Reduction:
    reduction = Reduction(model, model)
    taken: set[str] = set()
    for variable in model.variables.values():
        if variable.name in bent and _is_fixed(variable):
            reduction = reduction.without(fixing(variable))
            taken.add(variable.name)
    used: set[int] = set()
    going = True
    while going:
        going = False
        for number, constraint in enumerate(model.constraints):
            if number in used or constraint.kind != "scalar" or len(constraint.relations) != 1:
                continue
            definition = _chosen(reduction, number, broken, bent, taken, choice, linear)
            if definition is not None:
                reduction, going = reduction.without(definition), True
                used.add(number)
                taken.add(definition.variable)
    return reduction


def _chosen(
    reduction: Reduction,
    number: int,
    broken: Collection[str],
    bent: Collection[str],
    taken: Collection[str],
    choice: int,
    linear: bool,
) -> Definition | None:
    """What an equality is taken to define: a variable without bounds before others."""
    before, now = reduction.original.constraints[number], reduction.model.constraints[number]
    relation = now.relations[0]
    if relation.lower is None or relation.lower != relation.upper or not has_variables(relation.body):
        return None
    straight = is_linear(relation.body)
    if not straight and now is before and now.name not in broken:
        return None  # convex in another form
    candidates = list(definitions_in(reduction.model, number, taken))
    if straight:
        candidates = [d for d in candidates if d.variable in bent and (linear or not has_variables(d.body))]
    if not candidates:
        return None
    variables = reduction.original.variables
    candidates.sort(key=lambda d: not np.isinf([variables[d.variable].lower, variables[d.variable].upper]).all())
    return candidates[min(choice, len(candidates) - 1)]


def _is_fixed(variable: Variable) -> bool:
    same = variable.lower == variable.upper
    plain = variable.columns is None and not variable.integer and variable.attributes <= {"fixed"}
    return plain and bool(variable.size) and bool(same.all())


def _names_in(model: Model, broken: Collection[str]) -> set[str]:
    """The variables in statements that are not proved."""
    bodies = [r.body for c in model.constraints if c.name in broken for r in c.relations]
    if model.objective is not None and model.objective.name in broken:
        bodies.append(model.objective.body)
    return {e.name for body in bodies for e in body.atoms(VariableEntry)}


# ------------------------------------------------------------------------------------------------------- verdict


def _convex(found: Analysis, eliminated: Eliminated, explain: bool) -> Analysis:
    """What is said of a model that is convex without what was eliminated."""
    model, analysis = found.model, eliminated.analysis
    count = len(found.statements)
    reduced = list(analysis.statements)
    bounds = dict(zip((d.variable for d in eliminated.reduction.bounds), reduced[count:], strict=True))
    offset = count - len(model.constraints)
    defining = {d.constraint: d for d in eliminated.reduction.definitions if d.constraint is not None}
    statements: list[StatementFact] = []
    for at, (written, proved) in enumerate(zip(found.statements, reduced[:count], strict=True)):
        number = at - offset
        told = replace(written, ok=True, blame=None, kinds=proved.kinds, steps=proved.steps)
        if number in defining:
            definition = defining[number]
            if explain:
                told = told_definition(told, eliminated.reduction, definition, bounds.get(definition.variable))
        elif _same(model, eliminated.reduction.model, number):
            told = proved
        elif explain:
            told = told_substituted(told, eliminated.reduction, number if number >= 0 else None)
        statements.append(told)
    return replace(
        found, type=analysis.type, convexity="convex", statements=tuple(statements), refusal=(), witness=None,
        direction=None, proved=None, on_domain=None, eliminated=eliminated,
    )  # fmt: skip


def _same(model: Model, reduced: Model, number: int) -> bool:
    """Whether a statement (-1: the objective) is the same in both."""
    if number >= 0:
        return model.constraints[number] is reduced.constraints[number]
    return (
        model.objective is not None
        and reduced.objective is not None
        and (model.objective.body == reduced.objective.body)
    )


__all__ = ["analyze_eliminating"]
