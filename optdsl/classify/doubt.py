"""Whether a statement that was not proved convex is shown not to be: the search for a witness on D."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.sparse as sp

from optdsl.classify.definite import direction_within
from optdsl.classify.quadratic import Quadratic
from optdsl.classify.sink import CONVEX
from optdsl.model.model import Model

if TYPE_CHECKING:
    from optdsl.classify.witness import Domain, Statement, Witness

Doubt = Literal["plain", "quick", "none"]
QUICK, PATIENT, IN_ALL = 0.1, 1.0, 4.0
"""Effort, in units of about a second: in all of a quick search; of a patient one for a statement, and in all."""

Affine = tuple[sp.csr_array, np.ndarray, np.ndarray]


def first_witness(
    model: Model,
    broken: Collection[str],
    affine: Sequence[Affine],
    direction: np.ndarray | None,
    doubt: Doubt = "plain",
) -> Witness | None:
    """Two points that show that one of the statements named in `broken` is not convex.

    affine: rows (matrix, lower, upper) over the model's columns that D includes. direction (n,): one along which the
    objective is known to curve the wrong way. doubt: `plain` numbers for people to read, `quick` as they are found,
    `none` for no search.
    """
    if doubt == "none":
        return None
    from optdsl.classify.witness import Effort, Statement, find_witness  # loads much, and most models are convex

    domain = _domain(model, affine)
    found: list[tuple[Statement, list[np.ndarray]]] = []
    objective = model.objective
    if objective is not None and objective.name in broken:
        along = [] if direction is None else [direction[: model.columns]]
        found.append((Statement.of_objective(objective), along))
    for constraint in model.constraints:
        if constraint.name in broken:
            found.extend((Statement.of_relation(constraint, r), []) for r in constraint.relations)
    each, total = (QUICK, Effort.of(QUICK)) if doubt == "quick" else (PATIENT, Effort.of(IN_ALL))
    for statement, along in found:
        effort = Effort.of(each)
        witness = find_witness(model, statement, domain, directions=along, effort=effort, plainly=doubt == "plain")
        total.add(effort.done)
        if witness is not None:
            return witness
        if total.spent:
            return None
    return None


def _domain(model: Model, affine: Sequence[Affine]) -> Domain:
    """D as far as bounds and the affine constraints give it."""
    from optdsl.classify.witness import Domain

    if not affine:
        return Domain.of(model)
    matrix = sp.csr_array(sp.vstack([m for m, _, _ in affine], format="csr"))
    return Domain.of(model, matrix, np.concatenate([a[1] for a in affine]), np.concatenate([a[2] for a in affine]))


def within_equalities(
    n: int, quadratic: Quadratic, sense: str, affine: Sequence[Affine], direction: np.ndarray
) -> np.ndarray:
    """A direction in which the objective curves the wrong way that keeps the affine equalities, if there is one."""
    rows = [matrix[low == high] for matrix, low, high in affine if (low == high).any()]
    if not rows or quadratic.hessian is None:
        return direction
    sign = 1.0 if sense == CONVEX else -1.0
    hessian = sp.csc_array(sign * quadratic.hessian[:n][:, :n])
    found = direction_within(hessian, sp.csr_array(sp.vstack(rows, format="csr")))
    return direction if found is None else found
