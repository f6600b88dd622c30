"""What the solvers of the convex route take, and what they give back: arrays only, no names.

A `Program` is

    minimize    ½ x'Px + Σ_k w_k (F_k x + g_k)² + c'x + c0
    subject to  row_lower <= A x <= row_upper
                lower <= x <= upper,   x_j integer for j in `integer`
                the parts of each of `cones`, affine in x, in the cone

`optdsl.convex.lower` builds it from a model; every solver file here turns it into a `RawAnswer`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from optdsl.atoms.kinds import ConeKind


@dataclass(frozen=True, slots=True)
class Squares:
    """Σ_k weights[k] * (matrix[k] @ x + offset[k])², weights >= 0: matrix (s, n) CSR, offset (s,), weights (s,)."""

    matrix: sp.csr_array
    offset: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, slots=True)
class AffineRows:
    """matrix @ x + offset: matrix (L, n) CSR, offset (L,)."""

    matrix: sp.csr_array
    offset: np.ndarray


@dataclass(frozen=True, slots=True)
class Cone:
    """L cones of one kind: lane k of every part belongs together.

    `exponent` (L,) is the POWER cones' a; `size` the SEMIDEFINITE matrices' d (their one part has L d d rows) or
    the NORM cones' k (their second part has L k rows, the k entries of a lane side by side).
    """

    kind: ConeKind
    parts: tuple[AffineRows, ...]
    exponent: np.ndarray | None = None
    size: int = 0

    @property
    def lanes(self) -> int:
        """L."""
        if self.kind is ConeKind.SEMIDEFINITE:
            return len(self.parts[0].offset) // max(1, self.size * self.size)
        return len(self.parts[0].offset)


@dataclass(frozen=True, slots=True)
class Program:
    """Arrays of one linear, convex quadratic or conic problem with n variables and m rows; always minimized.

    cost (n,), matrix (m, n) CSR without duplicate entries, row_lower and row_upper (m,), lower and upper (n,),
    integer (n,) bool; infinities are NumPy's. `hessian` is P (n, n), symmetric positive semidefinite, both
    triangles stored; None where there is none. `start` (n,) is a first guess, NaN where there is none. The last
    `auxiliary` columns stand for values of functions, not for variables of the user's.
    """

    cost: np.ndarray
    constant: float
    matrix: sp.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    integer: np.ndarray
    hessian: sp.csc_array | None = None
    squares: Squares | None = None
    start: np.ndarray | None = None
    cones: tuple[Cone, ...] = ()
    auxiliary: int = 0

    @property
    def quadratic(self) -> bool:
        return self.hessian is not None or self.squares is not None

    @property
    def mixed_integer(self) -> bool:
        return bool(self.integer.any())

    def cone_lane(self, index: int) -> tuple[int, int]:
        """Which cone, and which of its lanes, the `index`-th of all lanes is: they are counted cone after cone."""
        ends = np.cumsum([cone.lanes for cone in self.cones])
        number = int(np.searchsorted(ends, index, side="right"))
        return number, index - (int(ends[number - 1]) if number else 0)


class RawStatus(enum.Enum):
    """How a solver's run ended; the value is the sentence a person reads."""

    OPTIMAL = "the solver reports an optimum"
    INACCURATE = "the solver stopped near an optimum, short of its tolerance"
    INFEASIBLE = "the solver reports that no point satisfies all constraints"
    UNBOUNDED = "the solver reports that the objective improves without end"
    INFEASIBLE_OR_UNBOUNDED = "the solver reports that the problem is infeasible or unbounded"
    TIME_LIMIT = "the time limit was reached"
    ITERATION_LIMIT = "the iteration limit was reached"
    INTERRUPTED = "the run was interrupted"
    NUMERICAL_ERROR = "the solver ran into numerical difficulties"


@dataclass(frozen=True, slots=True)
class Trace:
    """The iterations of a run: column names and one row of floats each (NaN where the solver gives none)."""

    columns: tuple[str, ...] = ("iter", "objective", "primal", "dual", "seconds")
    rows: np.ndarray = field(default_factory=lambda: np.zeros((0, 5)))


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A solver's answer in the arrays of its `Program`; nothing here is believed before `optdsl.answer` checks it.

    x (n,) is the point (None when there is none). row_dual (m,) is the rate at which the minimal objective changes
    when the row's side moves up (for a two-sided row: the sum over both), reduced_cost (n,) the same for the active
    bound; both None when the solver gives none. For an infeasible problem `farkas` (m,) may hold row multipliers;
    for an unbounded one `ray` (n,) a direction of endless improvement. `bound` is the best proved lower bound of the
    minimum (None where the solver proves none).
    """

    status: RawStatus
    solver: str
    x: np.ndarray | None = None
    row_dual: np.ndarray | None = None
    reduced_cost: np.ndarray | None = None
    bound: float | None = None
    ray: np.ndarray | None = None
    farkas: np.ndarray | None = None
    duals_with_integers_fixed: bool = False
    iterations: int = 0
    seconds: float = 0.0
    message: str = ""
    trace: Trace = field(default_factory=Trace)
    cone_duals: tuple[tuple[np.ndarray, ...], ...] = ()
    """For each cone the multipliers of its parts (one array each), in the dual cone: the Lagrangian is the objective
    minus their products with the parts. Empty where the solver gives none."""
    farkas_cones: tuple[tuple[np.ndarray, ...], ...] = ()
    """The cones' share in the proof of infeasibility whose rows' share is `farkas`; shaped as `cone_duals`."""


class ConflictPart(enum.Enum):
    """What a member of a conflict is."""

    ROW_LOWER = "row_lower"
    ROW_UPPER = "row_upper"
    LOWER = "lower"
    UPPER = "upper"
    INTEGRALITY = "integrality"
    CONE = "cone"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Rows, bounds, integrality and cones that cannot hold together: pairs (part, index of the row or variable).

    A CONE's index counts the lanes of all cones; `Program.cone_lane` says which lane of which cone it is.
    """

    members: tuple[tuple[ConflictPart, int], ...]
    irreducible: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of news from a running solver."""

    iteration: int
    objective: float | None
    gap: float | None
    seconds: float
    bound: float | None = None
    line: str = ""
    """What a training run says of itself instead."""
