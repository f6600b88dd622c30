"""From a model's arrays to a solver's `Program`, and the way back to the model's columns and constraints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from optdsl.classify.analysis import Analysis
from optdsl.classify.cones import CollectedCone
from optdsl.convex.chain import chain_factor
from optdsl.convex.program import AffineRows, Cone, Conflict, ConflictPart, Program, RawAnswer, Squares


@dataclass(frozen=True, eq=False)
class Restored:
    """A raw answer in the model's terms and the user's sense.

    x, reduced_cost (n,): the model's columns. `duals`: one array per constraint (its instances in C order), in the
    user's sense: the rate at which the optimal objective changes when the right-hand side increases. ray (n,).
    """

    x: np.ndarray | None
    duals: tuple[np.ndarray, ...] | None
    reduced_cost: np.ndarray | None
    bound: float | None
    ray: np.ndarray | None


@dataclass(frozen=True, slots=True)
class NamedPart:
    """One member of a conflict: a constraint's instance, a column's bound or integrality, a variable's attribute."""

    kind: str  # constraint, bound, integrality, attribute
    constraint: int | None
    position: int  # instance of the constraint, or column
    side: str | None


@dataclass(frozen=True, eq=False)
class Lowered:
    """The program and how its rows and columns map back. `rows[k]` is the first program row of block k."""

    analysis: Analysis
    program: Program
    rows: tuple[int, ...]

    @property
    def sign(self) -> float:
        """1 when the model minimizes, -1 when it maximizes (the program always minimizes)."""
        objective = self.analysis.objective
        return -1.0 if objective is not None and objective.sense == "maximize" else 1.0

    def restore(self, raw: RawAnswer) -> Restored:
        """The answer in the model's own columns, constraints and sense."""
        n = self.analysis.model.columns
        sign = self.sign
        duals = None
        if raw.row_dual is not None:
            duals = self._duals(sign * raw.row_dual, raw)
        return Restored(
            None if raw.x is None else raw.x[:n],
            duals,
            None if raw.reduced_cost is None else sign * raw.reduced_cost[:n],
            None if raw.bound is None else sign * raw.bound,
            None if raw.ray is None else raw.ray[:n],
        )

    def _duals(self, row_dual: np.ndarray, raw: RawAnswer) -> tuple[np.ndarray, ...]:
        blocks = self.analysis.blocks
        found: dict[int, np.ndarray] = {}
        for block, first in zip(blocks, self.rows, strict=True):
            part = row_dual[first : first + block.matrix.shape[0]]
            if block.rewritten is not None and raw.x is not None and part.any():
                model = self.analysis.model
                constraint = model.constraints[block.constraint]
                part = part * chain_factor(model, constraint, block.rewritten, raw.x[: model.columns])
            found[block.constraint] = found[block.constraint] + part if block.constraint in found else part
        for matrix in self.analysis.matrix_cones:
            if matrix.constraint is not None and raw.cone_duals:
                # more on the right of `M >> R` presses as the cone's multiplier, of `M << R` against it
                found[matrix.constraint] = self.sign * matrix.sign * raw.cone_duals[matrix.cone][0]
        # a constraint without rows holds whatever the variables are: nothing depends on its sides
        return tuple(
            found[k] if k in found else np.zeros(int(np.prod([len(axis) for axis in constraint.axes], dtype=np.int64)))
            for k, constraint in enumerate(self.analysis.model.constraints)
        )

    def name_conflict(self, conflict: Conflict) -> tuple[NamedPart, ...]:
        """The members of a conflict by constraint and column; rows of auxiliary variables are left out."""
        parts: list[NamedPart] = []
        starts = np.array([*self.rows, self._model_rows()])
        for part, index in conflict.members:
            if part in (ConflictPart.ROW_LOWER, ConflictPart.ROW_UPPER):
                if index >= starts[-1]:
                    continue
                block = int(np.searchsorted(starts, index, side="right") - 1)
                side = "lower" if part is ConflictPart.ROW_LOWER else "upper"
                parts.append(
                    NamedPart("constraint", self.analysis.blocks[block].constraint, int(index - starts[block]), side)
                )
            elif part is ConflictPart.CONE:
                parts += self._matrices(index)
            elif index < self.analysis.model.columns:
                kind = "integrality" if part is ConflictPart.INTEGRALITY else "bound"
                side_ = {ConflictPart.LOWER: "lower", ConflictPart.UPPER: "upper"}.get(part)
                parts.append(NamedPart(kind, None, int(index), side_))
        return tuple(parts)

    def _matrices(self, index: int) -> list[NamedPart]:
        """The matrix inequality or variable that a lane of the cones is; other cones hold auxiliary variables."""
        cone, lane = self.program.cone_lane(index)
        variables = self.analysis.model.variables
        parts = []
        for matrix in self.analysis.matrix_cones:
            if matrix.cone == cone and matrix.constraint is not None:
                entries = self.program.cones[cone].size ** 2
                parts.append(NamedPart("constraint", matrix.constraint, lane * entries, None))
            elif matrix.cone == cone and matrix.variable is not None:
                parts.append(NamedPart("attribute", None, variables[matrix.variable].offset, None))
        return parts

    def _model_rows(self) -> int:
        return sum(block.matrix.shape[0] for block in self.analysis.blocks)


def lower(analysis: Analysis) -> Lowered:
    """The program of a model that is linear or convex quadratic (`analysis.refusal` is empty)."""
    model = analysis.model
    n = model.columns
    extra = len(analysis.auxiliary_lower)
    matrices = [block.matrix for block in analysis.blocks] + [rows[0] for rows in analysis.auxiliary_rows]
    lowers = [block.lower for block in analysis.blocks] + [rows[1] for rows in analysis.auxiliary_rows]
    uppers = [block.upper for block in analysis.blocks] + [rows[2] for rows in analysis.auxiliary_rows]
    starts = np.cumsum([0, *(m.shape[0] for m in matrices)])
    variables = list(model.variables.values())
    integer = np.zeros(n + extra, dtype=bool)
    for variable in variables:
        if variable.integer:
            integer[variable.offset : variable.offset + variable.width] = True
    objective = analysis.objective
    sign = -1.0 if objective is not None and objective.sense == "maximize" else 1.0
    quadratic = objective.quadratic if objective is not None else None
    program = Program(
        cost=sign * objective.cost if objective is not None else np.zeros(n + extra),
        constant=sign * objective.constant if objective is not None else 0.0,
        matrix=_stacked(matrices, n + extra),
        row_lower=_joined(lowers),
        row_upper=_joined(uppers),
        lower=_joined([v.lower for v in variables] + [analysis.auxiliary_lower]),
        upper=_joined([v.upper for v in variables] + [analysis.auxiliary_upper]),
        integer=integer,
        hessian=None if quadratic is None or quadratic.hessian is None else sp.csc_array(sign * quadratic.hessian),
        squares=None
        if quadratic is None or quadratic.matrix is None
        else Squares(quadratic.matrix, quadratic.offset, sign * quadratic.weights),
        start=_start(variables, n, extra),
        cones=tuple(_cone(cone, n + extra) for cone in analysis.cones),
        auxiliary=extra,
    )
    return Lowered(analysis, program, tuple(int(s) for s in starts[: len(analysis.blocks)]))


def _cone(cone: CollectedCone, columns: int) -> Cone:
    parts = tuple(AffineRows(part.matrix(columns), part.constant) for part in cone.parts)
    return Cone(cone.kind, parts, cone.exponent, cone.size)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0)


def _stacked(matrices: list[sp.csr_array], columns: int) -> sp.csr_array:
    if not matrices:
        return sp.csr_array((0, columns))
    if len(matrices) == 1:
        return matrices[0]
    data = np.concatenate([m.data for m in matrices])
    indices = np.concatenate([m.indices for m in matrices])
    counts = np.cumsum([0, *(m.nnz for m in matrices)])
    starts = [m.indptr[:-1] + offset for m, offset in zip(matrices, counts[:-1], strict=True)]
    indptr = np.concatenate([*starts, counts[-1:]])
    return sp.csr_array((data, indices, indptr), shape=(len(indptr) - 1, columns))


def _start(variables: list, n: int, extra: int) -> np.ndarray | None:
    start = (
        np.concatenate([v.start for v in variables] + [np.full(extra, np.nan)]) if variables else np.full(extra, np.nan)
    )
    return None if np.isnan(start).all() else start
