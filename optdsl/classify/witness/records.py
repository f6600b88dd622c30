"""What a search for a witness takes and gives: the statement, the domain D, and the witness itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
import sympy

from optdsl.data.members import Label, SetValue
from optdsl.model.model import Constraint, DomainCondition, Marks, Model, Objective, Relation
from optdsl.terms import nodes
from optdsl.terms.nodes import Over

CONVEX, CONCAVE, AFFINE = "convex", "concave", "affine"


@dataclass(frozen=True, eq=False)
class Statement:
    """An expression over lanes and the curvature that its role needs.

    `lower` and `upper` are the sides of a constraint (None: no such side); at a lane whose side is infinite, that side
    asks for nothing. `axes` are what its index runs over. A `matrix` statement's body is an entry, and the last two
    iterators of `over` are the matrix's rows and columns.
    """

    name: str
    role: str
    over: Over
    body: sympy.Expr
    wanted: str
    axes: tuple[SetValue, ...] = ()
    marks: Marks = field(default_factory=Marks)
    conditions: tuple[DomainCondition, ...] = ()
    lower: sympy.Expr | None = None
    upper: sympy.Expr | None = None
    kind: str = "scalar"

    @staticmethod
    def of_objective(objective: Objective) -> Statement:
        """The objective: convex is needed of what is minimized, concave of what is maximized."""
        wanted = CONVEX if objective.sense == "minimize" else CONCAVE
        return Statement(
            objective.name, "objective", nodes.over(()), objective.body, wanted,
            marks=objective.marks, conditions=objective.conditions,
        )  # fmt: skip

    @staticmethod
    def of_relation(constraint: Constraint, relation: Relation) -> Statement:
        """One relation of a constraint: convex below a side, concave above one, affine between two."""
        wanted = AFFINE
        if relation.lower is None:
            wanted = CONVEX
        elif relation.upper is None:
            wanted = CONCAVE
        return Statement(
            constraint.name, "constraint", constraint.over, relation.body, wanted, constraint.axes, constraint.marks,
            relation.conditions, relation.lower, relation.upper, constraint.kind,
        )  # fmt: skip

    @property
    def expression(self) -> sympy.Expr:
        """The body, less its side where there is one side only: left minus right."""
        if self.kind == "matrix" or (self.lower is not None and self.upper is not None and not self.equality):
            return self.body
        side = self.upper if self.lower is None else self.lower
        return self.body if side is None else self.body - side

    @property
    def equality(self) -> bool:
        """Whether both sides are the same expression."""
        return self.lower is not None and self.lower == self.upper


@dataclass(frozen=True, eq=False)
class Domain:
    """The part of D that bounds and affine rows give; the rest, natural domains, is read from the model.

    lower, upper (n,): bounds of the model's columns. row_lower <= matrix @ x <= row_upper, matrix (R, n) CSR.
    """

    lower: np.ndarray
    upper: np.ndarray
    matrix: sp.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray

    @staticmethod
    def of(
        model: Model,
        matrix: sp.csr_array | None = None,
        row_lower: np.ndarray | None = None,
        row_upper: np.ndarray | None = None,
    ) -> Domain:
        """The declared bounds, and rows where they are given; empty rows and rows without a side are left out."""
        lower, upper = np.full(model.columns, -np.inf), np.full(model.columns, np.inf)
        for variable in model.variables.values():
            columns = slice(variable.offset, variable.offset + variable.width)
            lower[columns], upper[columns] = variable.lower, variable.upper
        if matrix is None or row_lower is None or row_upper is None:
            none = np.zeros(0)
            return Domain(lower, upper, sp.csr_array((0, model.columns)), none, none)
        matrix = sp.csr_array(matrix)
        if matrix.nnz and (matrix.data == 0).any():
            matrix = matrix.copy()
            matrix.eliminate_zeros()
        kept = (np.diff(matrix.indptr) > 0) & (np.isfinite(row_lower) | np.isfinite(row_upper))
        if not kept.all():
            matrix, row_lower, row_upper = sp.csr_array(matrix[kept]), row_lower[kept], row_upper[kept]
        return Domain(lower, upper, matrix, np.asarray(row_lower, dtype=float), np.asarray(row_upper, dtype=float))


@dataclass(frozen=True, eq=False)
class Witness:
    """Two points of D and a weight at which a statement is not as curved as its role needs.

    `needed` is `convex` or `concave`. `points` hold, by variable, its entries in C order; variables that neither occur
    in the statement nor share a row with one that does are left out. `values` are those of the statement's expression
    at both points and at weight * first + (1 - weight) * second (None where it has none: kind `domain`); of a matrix
    v'Mv. `shrinks` tells that both points fulfill the constraint and the point between does not: then no rewriting in
    the same variables makes its feasible set convex.
    """

    statement: str
    index: tuple[Label, ...]
    kind: str
    points: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]
    weight: float
    values: tuple[float, float, float | None]
    needed: str
    vector: np.ndarray | None = None
    shrinks: bool = False

    @property
    def margin(self) -> float | None:
        """By how much the inequality fails; None of kind `domain`."""
        first, second, between = self.values
        if between is None:
            return None
        gap = between - (self.weight * first + (1 - self.weight) * second)
        return gap if self.needed == CONVEX else -gap

    @property
    def peak(self) -> bool:
        """Whether the value between is clearly beyond both others: then no level set in between is convex either."""
        outer, inner = self._sides
        return inner - outer > 0.02 * (self.margin or 0.0) > 0  # the margin is a thousand times its error

    @property
    def cuts(self) -> bool:
        """Whether both values are clearly below 0 and the one between above, or the other way around.

        Of a side less the other: then what is written as `<=`, `>=` or, of a continuous function, `=` is not a convex
        set, and no other form of it is convex.
        """
        outer, inner = self._sides
        return min(-outer, inner) > 0.02 * (self.margin or 0.0) > 0

    @property
    def _sides(self) -> tuple[float, float]:
        """The larger of both values and the one between, of what must be convex; nan where there are none."""
        first, second, between = self.values
        if between is None or self.vector is not None:
            return float("nan"), float("nan")
        sign = 1.0 if self.needed == CONVEX else -1.0
        return max(sign * first, sign * second), sign * between

    def to_json(self) -> dict[str, Any]:
        """The object of the result format."""
        found: dict[str, Any] = {
            "statement": self.statement,
            "index": list(self.index),
            "kind": self.kind,
            "points": [{name: values.tolist() for name, values in point.items()} for point in self.points],
            "weight": self.weight,
            "values": list(self.values),
        }
        if self.vector is not None:
            found["vector"] = self.vector.tolist()
        return found
