"""The duals of the examples are the rates at which the optimum changes when a right-hand side moves.

For one instance of a constraint at a time, `shift` is added to its right-hand side in the text, and the model is
solved again. The optimal value is a convex function of the right-hand side (concave for a maximum), so an optimal
dual, unique or not, lies between the slopes to the left and to the right.
"""

from __future__ import annotations

import numpy as np
import pytest
from reference_program import EXAMPLES, read_rows

import optdsl
from optdsl.language.parse import parse
from optdsl.language.tree import Compare, Constraint, Name, SubjectTo

CONTINUOUS = (
    "blending",
    "box",
    "cvar",
    "diet",
    "dispatch",
    "fairness",
    "game",
    "gates",
    "max_cut",
    "max_entropy",
    "max_flow",
    "multicommodity",
    "network_flow",
    "newsvendor",
    "portfolio",
    "production",
    "project",
    "robust_lp",
    "transportation",
    "water_filling",
)
# example: the declaration of its integer variable, the variable, its domain
INTEGER = {
    "facility_location": ("var open[SITE] binary\n", "open", "SITE"),
    "scheduling": ("var first_is[PAIR] binary  # 1: the first job of the pair comes first\n", "first_is", "PAIR"),
    "unit_commitment": ("var on[UNIT, HOUR] binary\n", "on", "UNIT, HOUR"),
}
SHIFT = 1e-3
MOST = 12
"""How many instances of one constraint are tried; of more, a fixed sample."""


def constraints(text: str) -> list[Constraint]:
    """The named constraints whose instances can be told apart by index names."""
    blocks = [block for block in parse(text).statements if isinstance(block, SubjectTo)]
    return [constraint for block in blocks for constraint in block.constraints if constraint.name]


def index_names(constraint: Constraint) -> list[str]:
    if constraint.domain is None:
        return []
    slots = [slot for iterator in constraint.domain.iterators for slot in iterator.slots or ()]
    assert all(isinstance(slot, Name) for slot in slots)
    return [slot.name for slot in slots if isinstance(slot, Name)]


def shifted(text: str, constraint: Constraint, labels: tuple[int | str, ...], shift: float) -> str:
    """The text of the model in which one instance's right-hand side is larger by `shift`.

    Of `e1 <= e2` the second expression grows; of `low <= e <= high` both sides do, so the middle shrinks.
    """
    assert isinstance(constraint.relation, Compare)
    operands = constraint.relation.operands
    place = operands[1].span
    quoted = [f'"{label}"' if isinstance(label, str) else str(label) for label in labels]
    here = " and ".join(f"{name} = {label}" for name, label in zip(index_names(constraint), quoted, strict=True))
    amount = f"({shift!r} if {here} else 0)" if here else repr(shift)
    sign = "+" if len(operands) == 2 else "-"
    return f"{text[: place.end]} {sign} {amount}{text[place.end :]}"


def value(text: str, name: str, data: dict[str, np.ndarray]) -> float | None:
    """The optimal value of a model text, read as if it lay with the examples; None when it is infeasible."""
    solution = optdsl.parse(text, name=name, folder=EXAMPLES).solve(**data)
    assert solution.status.word in ("optimal", "infeasible")
    return solution.objective


@pytest.mark.parametrize("example", CONTINUOUS)
def test_every_dual_is_a_rate_of_change(example: str) -> None:
    text = (EXAMPLES / f"{example}.opt").read_text(encoding="utf-8")
    check_duals(text, example, optdsl.load(EXAMPLES / f"{example}.opt").solve())


@pytest.mark.parametrize("example", INTEGER)
def test_duals_with_integers_fixed(example: str) -> None:
    """With integers, the duals are those of the problem in which the integers stay at their values."""
    text = (EXAMPLES / f"{example}.opt").read_text(encoding="utf-8")
    solution = optdsl.load(EXAMPLES / f"{example}.opt").solve()
    assert solution.duals_with_integers_fixed
    declaration, variable, domain = INTEGER[example]
    assert text.count(declaration) == 1
    held = f"param held[{domain}]\nvar {variable}[{domain}] >= held, <= held\n"
    fixed = text.replace(declaration, held)
    check_duals(fixed, example, solution, held=np.rint(np.asarray(solution[variable])))


def check_duals(text: str, name: str, solution: optdsl.Solution, **data: np.ndarray) -> None:
    """Moves one right-hand side of the text at a time and compares the new optimum with what the dual promises."""
    assert solution.objective is not None
    upward = 1 if solution.sense == "minimize" else -1
    generator, moved = np.random.default_rng(1), 0
    for constraint in constraints(text):
        assert constraint.name is not None
        instances = list(solution.dual(constraint.name).to_dict().items())
        picked = generator.permutation(len(instances))[:MOST]
        for labels, dual in (instances[k] for k in picked):
            key = labels if isinstance(labels, tuple) else (labels,)
            for shift in (-SHIFT, SHIFT):
                new = value(shifted(text, constraint, key, shift), name, data)
                if new is None:
                    continue
                excess = upward * (new - solution.objective - dual * shift)
                allowed = 1e-8 * max(1.0, abs(solution.objective)) + 1e-5 * abs(dual * shift)
                assert excess >= -allowed, f"{constraint.name}{list(key)}: dual {dual}, moved by {shift}, {excess}"
                moved += abs(new - solution.objective) > allowed
    assert moved, "no right-hand side of the example matters: the test has tested nothing"


@pytest.mark.parametrize(
    ("example", "table"), [("max_flow", "max_flow/pipes.csv"), ("network_flow", "network_flow/arcs.csv")]
)
def test_every_reduced_cost_is_a_rate_of_change(example: str, table: str) -> None:
    model = optdsl.load(EXAMPLES / f"{example}.opt")
    capacity = {(row["tail"], row["head"]): float(row["capacity"]) for row in read_rows(table)}
    solution = model.solve()
    assert solution.objective is not None
    upward = 1 if solution.sense == "minimize" else -1
    flow, moved = solution["flow"].to_dict(), 0
    for arc, cost in solution.reduced_cost("flow").to_dict().items():
        if flow[arc] < capacity[arc] - 1e-9:
            continue
        for shift in (-SHIFT, SHIFT):
            new = model.solve(capacity={**capacity, arc: capacity[arc] + shift}).objective
            if new is not None:
                assert upward * (new - solution.objective - cost * shift) >= -1e-8 * max(1.0, abs(new))
                moved += abs(new - solution.objective) > 1e-8
    assert moved
