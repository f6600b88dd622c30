"""The type of a problem, from the kinds of its parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optdsl.atoms.kinds import ConeKind
from optdsl.classify.analysis import StatementFact
from optdsl.classify.cones import CollectedCone
from optdsl.model.model import Model

# the types in RESULT.md's order: each may hold the ones before it
_TYPE = {
    "quadratic": "QCP",
    ConeKind.SQUARE.name: "SOCP",
    ConeKind.NORM.name: "SOCP",
    ConeKind.POWER.name: "POW",
    ConeKind.EXPONENTIAL.name: "EXP",
    ConeKind.SEMIDEFINITE.name: "SDP",
}
_ORDER = ("LP", "QP", "QCP", "SOCP", "POW", "EXP", "SDP")


def kinds_of(cones: Sequence[CollectedCone]) -> set[str]:
    """The kinds of functions that some cones stand for: `quadratic`, or names of cones."""
    return {"quadratic" if cone.quadratic else cone.kind.name for cone in cones}


def type_of(
    model: Model, statements: Sequence[StatementFact], cones: Sequence[CollectedCone], smoothness: str,
    as_written: Callable[[], bool],
) -> tuple[str, str]:
    """The type of the problem and its convexity, as far as they are proved.

    `as_written` tells whether every constraint is of degree two as it is written: `x * y >= 1` is, whatever cone it is.
    """
    mixed = "MI" if model.integers else ""
    broken = [f for f in statements if not f.ok]
    objective_is_quadratic = any("quadratic" in f.kinds for f in statements if f.role == "objective")
    if not broken:
        found = {_TYPE[kind] for kind in kinds_of(cones)} | {"QP" if objective_is_quadratic else "LP"}
        return mixed + max(found, key=_ORDER.index), "convex"
    others = all("quadratic" in f.kinds and len(f.kinds) == 1 for f in broken)
    if others and (kinds_of(cones) <= {"quadratic"} or as_written()):
        constraints = any(f.role == "constraint" for f in broken) or bool(cones)
        return mixed + ("QCP" if constraints else "QP"), "unknown"
    return mixed + ("NLP" if smoothness in ("smooth", "C1") else "NONSMOOTH"), "unknown"


__all__ = ["ConeKind", "kinds_of", "type_of"]
