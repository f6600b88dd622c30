"""Linear inequalities that hold on cones: for the master problem of an outer approximation.

A cut is a vector of the dual cone: l in K* gives l'(B x + g) >= 0 wherever B x + g lies in K. Multipliers of solved
programs give such vectors, and so does every tangent of a cone (Lubin, Yamangil, Bent and Vielma, 2018, section 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from optdsl.convex.cone_sets import shaped, values_at
from optdsl.convex.program import AffineRows, Cone, ConeKind, Program

LEAST_ENTRY = 1e-9
"""Entries of a cut smaller than this beside its largest are replaced by what they are worth at most."""
STEEPEST = 30.0
"""Tangents of an exponential are taken where its argument is not larger than this in size."""


@dataclass(frozen=True, eq=False, slots=True)
class Cuts:
    """Rows matrix @ x >= lower: matrix (r, n) CSR, lower (r,), the largest entry of each row 1."""

    matrix: sp.csr_array
    lower: np.ndarray

    @staticmethod
    def joined(parts: Sequence[Cuts], columns: int) -> Cuts:
        """The rows of all parts."""
        if not parts:
            return Cuts(sp.csr_array((0, columns)), np.zeros(0))
        matrix = sp.csr_array(sp.vstack([p.matrix for p in parts], format="csr"))
        return Cuts(matrix, np.concatenate([p.lower for p in parts]))

    def missed(self, x: np.ndarray, room: float) -> Cuts:
        """The rows that x (n,) misses by more than `room`."""
        at = np.flatnonzero(self.matrix @ x < self.lower - room)
        return Cuts(sp.csr_array(self.matrix[at]), self.lower[at])


def cuts_of_multipliers(program: Program, multipliers: Sequence[Sequence[np.ndarray]]) -> Cuts:
    """One cut for each lane from vectors of the dual cones, part by part as in `RawAnswer.cone_duals`."""
    n = len(program.cost)
    made = [
        _rows(program, cone, np.arange(cone.lanes), [dual.reshape(cone.lanes, -1) for dual in duals])
        for cone, duals in zip(program.cones, multipliers, strict=True)
        if cone.lanes
    ]
    return Cuts.joined(made, n)


def tangents(program: Program, x: np.ndarray) -> Cuts:
    """Cuts of all cones near the point x (n,): tangents at points of each cone next to it."""
    n = len(program.cost)
    made = []
    for cone in program.cones:
        if cone.lanes:
            for lanes, duals in _tangents(cone, values_at(cone, x)):
                made.append(_rows(program, cone, lanes, duals))
    return Cuts.joined(made, n)


def _tangents(cone: Cone, values: tuple[np.ndarray, ...]) -> Iterable[tuple[np.ndarray, list[np.ndarray]]]:
    """Vectors of the dual cone: the lanes, and for each part an array (lanes, entries of a lane)."""
    everything = np.arange(cone.lanes)
    with np.errstate(all="ignore"):
        if cone.kind is ConeKind.NORM:
            _, u = values
            size = np.linalg.norm(u, axis=1)
            at = np.flatnonzero(size > 0)
            yield at, [np.ones((len(at), 1)), -u[at] / size[at, None]]
            yield everything, [np.ones((cone.lanes, 1)), np.zeros_like(u)]
        elif cone.kind is ConeKind.SQUARE:
            for slope in _square_slopes(*values):
                yield everything, _columns(-2.0 * slope, slope * slope, np.ones_like(slope))
            yield from _nonnegative(cone.lanes, 3, (1, 2))
        elif cone.kind is ConeKind.EXPONENTIAL:
            for ratio in _exponential_ratios(*values):
                # z >= e^r (x + (1 - r) y), divided by the larger of e^r and 1
                top = np.exp(-np.maximum(ratio, 0.0))
                power = np.exp(np.minimum(ratio, 0.0))
                yield everything, _columns(-power, -(1.0 - ratio) * power, top)
            yield from _nonnegative(cone.lanes, 3, (1, 2))
        elif cone.kind is ConeKind.POWER:
            yield from _power_tangents(cone, *values)
        else:
            yield from _eigenvector_cuts(values[0])


def _columns(*parts: np.ndarray) -> list[np.ndarray]:
    return [part[:, None] for part in parts]


def _nonnegative(lanes: int, parts: int, which: tuple[int, ...]) -> Iterable[tuple[np.ndarray, list[np.ndarray]]]:
    """Parts that are nonnegative in the cone."""
    for number in which:
        yield np.arange(lanes), [np.full((lanes, 1), float(k == number)) for k in range(parts)]


def _square_slopes(u: np.ndarray, v: np.ndarray, w: np.ndarray) -> list[np.ndarray]:
    """Slopes s of w >= 2 s u - s² v, that is of u² / v: at the point's u and v, and at its u and w."""
    sign = np.where(u < 0, -1.0, 1.0)
    size = np.maximum(np.maximum(np.abs(u), np.abs(v)), np.maximum(np.abs(w), 1e-8))
    first = np.where(v > 1e-8 * size, u / v, sign * 1e4)
    second = np.where((np.abs(u) > 1e-8 * size) & (w > 0), w / u, first)
    return [np.clip(slope, -1e6, 1e6) for slope in (first, second)]


def _exponential_ratios(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> list[np.ndarray]:
    """Ratios r = x / y at which the tangent touches: at the point's x and y, and at its y and z."""
    first = np.where(y > 1e-10, x / y, np.where(x > 0, STEEPEST, 0.0))
    second = np.where((y > 1e-10) & (z > 0), np.log(z / y), first)
    return [np.clip(np.nan_to_num(r, nan=0.0), -STEEPEST, STEEPEST) for r in (first, second)]


def _power_tangents(
    cone: Cone, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> Iterable[tuple[np.ndarray, list[np.ndarray]]]:
    """|z| <= a q^(1-a) x + (1-a) q^(-a) y touches where y = q x."""
    a = np.broadcast_to(np.asarray(cone.exponent, dtype=float), (cone.lanes,))
    half = np.maximum(np.abs(z), 1e-8) / 2.0
    on_y = ((1.0 - a) * np.maximum(y, 1e-8) / half) ** (1.0 / a)
    on_x = (a * np.maximum(x, 1e-8) / half) ** (-1.0 / (1.0 - a))
    ratio = np.where((x > 1e-9) & (y > 1e-9), y / x, np.where(x > 1e-9, on_x, np.where(y > 1e-9, on_y, 1.0)))
    ratio = np.clip(np.nan_to_num(ratio, nan=1.0), 1e-6, 1e6)
    everything = np.arange(cone.lanes)
    for sign in (1.0, -1.0):
        yield everything, _columns(
            a * ratio ** (1.0 - a), (1.0 - a) * ratio**-a, np.full(cone.lanes, -sign)
        )
    yield from _nonnegative(cone.lanes, 3, (0, 1))


def _eigenvector_cuts(matrices: np.ndarray) -> Iterable[tuple[np.ndarray, list[np.ndarray]]]:
    """v'Mv >= 0 for all eigenvectors v, one cut of each lane at a time."""
    symmetric = (matrices + np.swapaxes(matrices, 1, 2)) / 2.0
    if not symmetric.size or not np.isfinite(symmetric).all():
        return
    _, vectors = np.linalg.eigh(symmetric)
    lanes, size = len(symmetric), symmetric.shape[1]
    for k in range(size):
        v = vectors[:, :, k]
        yield np.arange(lanes), [(v[:, :, None] * v[:, None, :]).reshape(lanes, size * size)]
    for i in range(size):
        unit = np.zeros((lanes, size, size))
        unit[:, i, i] = 1.0
        yield np.arange(lanes), [unit.reshape(lanes, size * size)]


def _rows(program: Program, cone: Cone, lanes: np.ndarray, duals: Sequence[np.ndarray]) -> Cuts:
    """sum over parts of dual'(B x + g) >= 0 for each of the lanes, scaled; what says nothing is left out."""
    n = len(program.cost)
    count = len(lanes)
    matrix = sp.csr_array((count, n))
    constant = np.zeros(count)
    for part, dual in zip(cone.parts, duals, strict=True):
        width = dual.shape[1]
        rows = (lanes[:, None] * width + np.arange(width)).reshape(-1)
        place = np.repeat(np.arange(count), width)
        weights = sp.csr_array((dual.reshape(-1), (place, rows)), shape=(count, part.matrix.shape[0]))
        matrix = matrix + weights @ part.matrix
        constant += weights @ part.offset
    return _scaled(program, sp.csr_array(matrix), -constant)


def _scaled(program: Program, matrix: sp.csr_array, lower: np.ndarray) -> Cuts:
    """Rows with the largest entry 1; tiny entries are replaced by what they are worth at most within the bounds."""
    matrix.sum_duplicates()
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    size = np.zeros(matrix.shape[0])
    np.maximum.at(size, row, np.abs(matrix.data))
    fine = np.isfinite(size) & (size > 1e-12) & np.isfinite(lower)
    scale = np.where(fine, 1.0 / np.where(size > 0, size, 1.0), 0.0)
    data, lower = matrix.data * scale[row], lower * scale
    tiny = (np.abs(data) < LEAST_ENTRY) & (data != 0)
    with np.errstate(invalid="ignore"):
        most = np.where(data > 0, data * program.upper[matrix.indices], data * program.lower[matrix.indices])
    lower = lower - np.bincount(row[tiny], most[tiny], len(lower))
    matrix = sp.csr_array((np.where(tiny, 0.0, data), matrix.indices, matrix.indptr), shape=matrix.shape)
    at = np.flatnonzero(fine & np.isfinite(lower))
    return Cuts(sp.csr_array(matrix[at]), lower[at])


# ------------------------------------------------------------------------------------- the program with thin cones


@dataclass(frozen=True, eq=False, slots=True)
class Thin:
    """A program with norms written as sums of squares, and its objective linear: better for cuts.

    `count` are the columns of the program before; `lift` gives the new ones at a point of it.
    """

    program: Program
    count: int
    norms: tuple[Cone, ...]
    squares: AffineRows | None
    offset: float

    def lift(self, x: np.ndarray) -> np.ndarray:
        """The point (n,) with its additional columns."""
        new = [x]
        with np.errstate(all="ignore"):
            for cone in self.norms:
                t, u = shaped(cone, [part.matrix @ x + part.offset for part in cone.parts])
                new.append(np.where(t[:, None] > 0, u * u / t[:, None], 0.0).reshape(-1))
            if self.squares is not None:
                new.append((self.squares.matrix @ x + self.squares.offset) ** 2)
        return np.concatenate(new)


def thin(program: Program) -> Thin:
    """|u| <= t as u_k² <= t r_k, sum r_k <= t (Vielma, Dunning, Huchette and Lubin, 2017), squares as columns."""
    n = len(program.cost)
    norms = tuple(c for c in program.cones if c.kind is ConeKind.NORM and c.size > 1 and c.lanes)
    squares = _root_rows(program)
    widths = [cone.lanes * cone.size for cone in norms]
    count = 0 if squares is None else len(squares.offset)
    total = n + sum(widths) + count
    cones = [_wider(c, total) for c in program.cones if not any(c is norm for norm in norms)]
    rows, lows, highs = [_padded(program.matrix, total)], [program.row_lower], [program.row_upper]
    at = n
    for cone, width in zip(norms, widths, strict=True):
        lane = np.repeat(np.arange(cone.lanes), cone.size)
        columns = at + np.arange(width)
        r = sp.csr_array((np.ones(width), (np.arange(width), columns)), shape=(width, total))
        top, inner = (_wider_part(part, total) for part in cone.parts)
        each = AffineRows(sp.csr_array(top.matrix[lane]), top.offset[lane])
        cones.append(Cone(ConeKind.SQUARE, (inner, each, AffineRows(r, np.zeros(width)))))
        sums = sp.csr_array((np.ones(width), (lane, columns)), shape=(cone.lanes, total))
        rows.append(sp.csr_array(sums - top.matrix))
        lows.append(np.full(cone.lanes, -np.inf))
        highs.append(top.offset)
        at += width
    cost = np.concatenate([program.cost, np.zeros(total - n)])
    if squares is not None:
        columns = at + np.arange(count)
        r = sp.csr_array((np.ones(count), (np.arange(count), columns)), shape=(count, total))
        one = AffineRows(sp.csr_array((count, total)), np.ones(count))
        cones.append(Cone(ConeKind.SQUARE, (_wider_part(squares, total), one, AffineRows(r, np.zeros(count)))))
        cost[columns] = 1.0
    extra = total - n
    wide = Program(
        cost=cost,
        constant=program.constant,
        matrix=sp.csr_array(sp.vstack(rows, format="csr")),
        row_lower=np.concatenate(lows),
        row_upper=np.concatenate(highs),
        lower=np.concatenate([program.lower, np.zeros(extra)]),
        upper=np.concatenate([program.upper, np.full(extra, np.inf)]),
        integer=np.concatenate([program.integer, np.zeros(extra, dtype=bool)]),
        cones=tuple(cones),
    )
    return Thin(wide, n, norms, squares, program.constant)


def _root_rows(program: Program) -> AffineRows | None:
    """Rows whose squares sum up to the quadratic part of the objective."""
    n = len(program.cost)
    matrices, offsets = [], []
    if program.squares is not None:
        root = np.sqrt(program.squares.weights)
        matrices.append(sp.csr_array(sp.diags_array(root) @ program.squares.matrix))
        offsets.append(root * program.squares.offset)
    if program.hessian is not None:
        used = np.unique(program.hessian.nonzero()[0])
        values, vectors = np.linalg.eigh(program.hessian.tocsr()[used][:, used].toarray())
        kept = np.flatnonzero(values > 1e-14 * max(1e-300, float(np.abs(values).max(initial=0.0))))
        factor = sp.coo_array(np.sqrt(values[kept] / 2.0)[:, None] * vectors[:, kept].T)
        matrices.append(sp.csr_array((factor.data, (factor.row, used[factor.col])), shape=(len(kept), n)))
        offsets.append(np.zeros(len(kept)))
    if not matrices:
        return None
    return AffineRows(sp.csr_array(sp.vstack(matrices, format="csr")), np.concatenate(offsets))


def _padded(matrix: sp.csr_array, columns: int) -> sp.csr_array:
    return sp.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], columns))


def _wider_part(part: AffineRows, columns: int) -> AffineRows:
    return AffineRows(_padded(part.matrix, columns), part.offset)


def _wider(cone: Cone, columns: int) -> Cone:
    return Cone(cone.kind, tuple(_wider_part(p, columns) for p in cone.parts), cone.exponent, cone.size)
