"""What kind of problem a model is, and its arrays: the records that `analyze` fills.

`analyze` collects every statement over all its lanes. A statement that is not proved convex gets a blame: the smallest
part that breaks it, with its place in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
import sympy

from optdsl.classify.cones import CollectedCone
from optdsl.classify.proof import ProofStep
from optdsl.classify.quadratic import Quadratic
from optdsl.errors import Diagnostic
from optdsl.model.model import Model

if TYPE_CHECKING:
    from optdsl.classify.eliminate.reduced import Eliminated
    from optdsl.classify.facts import Facts
    from optdsl.classify.witness import Witness


@dataclass(frozen=True, eq=False, slots=True)
class Rewritten:
    """A relation of the text was replaced by an equivalent one: both bodies, over the constraint's lanes."""

    written: sympy.Expr
    solved: sympy.Expr


@dataclass(frozen=True, eq=False)
class RowBlock:
    """Rows lower <= matrix @ x <= upper of one relation, one per lane; `constraint` is its number in the model.

    matrix (R, n + auxiliary) CSR; lower, upper (R,), infinite where there is no side.
    """

    constraint: int
    matrix: sp.csr_array
    lower: np.ndarray
    upper: np.ndarray
    rewritten: Rewritten | None = None


@dataclass(frozen=True, eq=False)
class ObjectiveArrays:
    """cost (n + auxiliary,) @ x + constant, plus a quadratic; in the user's own sense."""

    sense: str
    cost: np.ndarray
    constant: float
    quadratic: Quadratic | None


@dataclass(frozen=True, eq=False, slots=True)
class MatrixCone:
    """A semidefinite cone of the text: of constraint number `constraint`, or of the variable `variable`.

    The cone holds `sign` times the expression; `cone` is its number among the cones.
    """

    cone: int
    sign: float
    constraint: int | None = None
    variable: str | None = None


@dataclass(frozen=True, slots=True)
class StatementFact:
    """One statement: its curvature and sign as written, smoothness, whether it fits its role, else what breaks it.

    `kinds` are the kinds of functions in it: `quadratic`, or names of cones. `steps` is the proof.
    """

    name: str
    line: int
    role: str
    curvature: str
    smoothness: str
    ok: bool
    blame: Diagnostic | None = None
    sign: str | None = None
    kinds: frozenset[str] = frozenset()
    steps: tuple[ProofStep, ...] = ()


@dataclass(frozen=True, eq=False)
class Analysis:
    """The verdict on a model and, where `refusal` is empty, the arrays of its convex program."""

    model: Model
    type: str
    convexity: str
    smoothness: str
    statements: tuple[StatementFact, ...]
    refusal: tuple[Diagnostic, ...]
    blocks: tuple[RowBlock, ...] = ()
    auxiliary_rows: tuple[tuple[sp.csr_array, np.ndarray, np.ndarray], ...] = ()
    auxiliary_lower: np.ndarray = field(default_factory=lambda: np.zeros(0))
    auxiliary_upper: np.ndarray = field(default_factory=lambda: np.zeros(0))
    objective: ObjectiveArrays | None = None
    cones: tuple[CollectedCone, ...] = ()
    matrix_cones: tuple[MatrixCone, ...] = ()
    witness: Witness | None = None
    direction: np.ndarray | None = None
    proved: Callable[[], Analysis] | None = None
    """Of a refused model: the program of the statements that are proved, without objective. Where it has no point, the
    model has none."""
    on_domain: Callable[[], Facts] | None = None
    """Of a refused model: what is known on D."""
    level_sets: bool = True
    """Whether those of the objective may be convex: two points have not shown that they are not."""
    eliminated: Eliminated | None = None
    """How the model is convex without variables that are defined; its program is then that of what is left."""

    @property
    def solved(self) -> Analysis:
        """The analysis whose program is solved."""
        return self if self.eliminated is None else self.eliminated.analysis

    @property
    def convex_as_written(self) -> bool:
        """Whether a method that keeps every variable meets a convex problem."""
        return self.convexity == "convex" and self.eliminated is None

    @property
    def size(self) -> Mapping[str, int]:
        """Columns, constraint instances, stored coefficients and integer columns of the model as written."""
        rows = sum(int(np.prod([len(a) for a in c.axes], dtype=np.int64)) for c in self.model.constraints)
        return {
            "variables": self.model.columns,
            "constraints": rows,
            "nonzeros": sum(int((block.matrix.indices < self.model.columns).sum()) for block in self.solved.blocks),
            "integers": self.model.integers,
        }
