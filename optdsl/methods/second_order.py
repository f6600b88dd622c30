"""Whether a stationary point satisfies the second-order conditions, and a direction of negative curvature when not.

The second-order necessary condition asks for d'Hd >= 0 on the critical cone: d keeps rows and bounds that are active
with a multiplier, and does not leave through those that are active without one. H is the Hessian of the Lagrangian
(Nocedal and Wright 2006, theorem 12.5). What is active without a multiplier is left out first: what holds on the
larger cone holds on the cone. Only where it does not hold there are its faces looked at: the least curvature on a
polyhedral cone is taken inside one of its faces, at the lowest eigenvector of that face's span, so that looking at
all faces decides.

Variables are scaled by the rows of H first, with a floor that comes from the accuracy of multipliers: the sign of a
small curvature beside a large one counts, noise does not.
"""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg

from optdsl.methods.linear_algebra.kkt import kkt
from optdsl.nlp import Nlp, Pattern

ACCURACY = 1e-8
"""How accurate multipliers and points are taken to be, relative to their size."""
ZERO = 1e-5
"""A curvature of the scaled Hessian above minus this counts as not negative."""
NEAR, BOTH_SMALL, STRONG = 1e-6, 1e-3, 1e-4
"""Closer to a side than the first: active. Closer than the second: active with a multiplier of more than the third that
is large beside the distance, perhaps without one where both are small (a barrier keeps their product small)."""
EXACTLY, EXACT_PULL = 1e-11, 1e-7
"""A point this close to a side was put on it: its multiplier is not what a barrier left, and counts from the second."""
SMALLEST_PULL = 1e-4
"""Multipliers are measured by the objective's gradient where that is below 1, but not below this."""
TINY, SMALL = 40, 1500
"""Beyond so many variables the inertia of the KKT matrix is asked first; up to so many a dense basis of the null space
is computed where it says no."""
FLAT = 1e-3
"""A scaled curvature above minus this counts as none where no lower point can be, or was, found along it."""
FEW = 200
"""Up to so many variables single faces are looked at where there are too many for all."""
MOST_FACES = 7
"""Up to so many sides active without a multiplier all faces of the critical cone are looked at."""
MANY_SIDES = 50
NARROW = 12
"""Entries below the diagonal of a Hessian that is factored as a band."""


class Curvature(enum.Enum):
    """What the check found; the value is the sentence that a person reads."""

    SATISFIED = "no direction along the active constraints has negative curvature"
    VIOLATED = "a direction along the active constraints has negative curvature"
    UNKNOWN = "the curvature along the active constraints could not be decided"


@dataclass(frozen=True, eq=False, slots=True)
class SecondOrder:
    """The finding; least: the smallest scaled curvature found, or a bound of it (nan: none was computed).

    direction (n,): of length 1, where violated: the Lagrangian curves down along it and it leaves no active side.
    strict: positive curvature in every direction, so that the point is a strict local minimum.
    """

    curvature: Curvature
    least: float
    direction: np.ndarray | None = None
    strict: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class _Cone:
    """The critical cone in free variables: H, rows E d = 0, rows I d >= 0, as arrays where all is small, else sparse.

    free (k,): places of the variables; scale (k,): what they were multiplied by. Rows are None where H is positive
    definite on the whole space, so that it does not matter what they are.
    """

    free: np.ndarray
    hessian: Any
    equal: Any
    inward: Any
    scale: np.ndarray


def check(
    problem: Nlp, x: np.ndarray, row_multipliers: np.ndarray, bound_multipliers: np.ndarray
) -> SecondOrder:
    """The second-order condition at a point with its multipliers, in nlp's signs."""
    with np.errstate(all="ignore"):
        cone = _critical_cone(problem, x, row_multipliers, bound_multipliers)
    if cone is None:
        return SecondOrder(Curvature.UNKNOWN, np.nan)
    if not len(cone.free):
        return SecondOrder(Curvature.SATISFIED, np.inf, strict=True)
    if cone.equal is None:
        return SecondOrder(Curvature.SATISFIED, ZERO, strict=True)
    if len(cone.free) > TINY:
        convex, strict = _convex_along(cone)
        if convex:
            return SecondOrder(Curvature.SATISFIED, ZERO if strict else -ZERO, strict=strict)
    if len(cone.free) > SMALL:
        return _large(cone, len(x))
    return _small(cone, len(x))


def _critical_cone(
    problem: Nlp, x: np.ndarray, row_multipliers: np.ndarray, bound_multipliers: np.ndarray
) -> _Cone | None:
    """The cone at a point; None where derivatives are undefined."""
    values = problem.constraints(x)
    dense = len(x) <= TINY and len(x) * len(values) <= TINY**2
    hessian, noise = _hessian(problem, x, row_multipliers, dense)
    jacobian = _filled(problem.jacobian_pattern, problem.jacobian(x), dense)
    pull = float(np.nan_to_num(np.abs(problem.gradient(x)), posinf=np.inf).max(initial=0.0))
    unit = min(1.0, max(pull, SMALLEST_PULL)) if np.isfinite(pull) else 1.0
    noise_of_pull = _noise_of_multipliers(problem, x, row_multipliers, bound_multipliers, unit)
    held, maybe, sign = _activity(x, problem.lower, problem.upper, bound_multipliers, unit, noise_of_pull)
    free = np.flatnonzero(~held)
    row_held, row_maybe, row_sign = _activity(
        values, problem.row_lower, problem.row_upper, row_multipliers, unit, noise_of_pull, _row_sizes(jacobian)
    )
    at_bound, at_side = np.flatnonzero(maybe), np.flatnonzero(row_maybe)
    if len(free) < len(x):
        hessian, jacobian = hessian[free][:, free], jacobian[:, free]
    equal, leaving = jacobian[np.flatnonzero(row_held)], jacobian[at_side]
    # What is infinite in held variables alone (the curvature of x^1.5 at its bound 0) does not matter.
    numbers = (values, *(part if dense else part.data for part in (equal, leaving, hessian)))
    if not all(np.isfinite(part).all() for part in numbers):
        return None
    largest = np.maximum(_row_sizes(hessian), noise[free])
    scale = 1.0 / np.sqrt(np.where(largest > 0, largest, 1.0))
    # A direction may go inward only: up from a lower side (sign 1), down from an upper one (sign -1).
    if dense:
        into = np.vstack(
            [row_sign[at_side, None] * leaving, sign[at_bound, None] * np.eye(len(x))[at_bound][:, free]]
        )
        return _Cone(
            free, scale[:, None] * hessian * scale, _normed(equal * scale), _normed(into * scale), scale
        )
    by = sp.diags_array(scale)
    scaled = sp.csr_array(by @ hessian @ by)
    if len(free) > TINY and _positive_band(scaled, ZERO):
        return _Cone(free, scaled, None, None, scale)
    units: Any = sp.csr_array(sp.eye(len(x)))[at_bound][:, free]
    parts: list[Any] = [sp.diags_array(row_sign[at_side]) @ leaving, sp.diags_array(sign[at_bound]) @ units]
    inward = sp.vstack(parts, format="csr")
    return _Cone(
        free,
        scaled,
        _normed(sp.csr_array(equal @ by)),
        _normed(sp.csr_array(inward @ by)),
        scale,
    )


def _filled(pattern: Pattern, values: np.ndarray, dense: bool, symmetric: bool = False) -> Any:
    """The matrix with these values: an array where all is small, as sparse matrices cost more than they save there."""
    if not dense:
        return pattern.symmetric(values) if symmetric else pattern.matrix(values)
    matrix = np.zeros(pattern.shape)
    matrix[pattern.rows, pattern.columns] = values
    if symmetric:
        matrix[pattern.columns, pattern.rows] = values
    return matrix


def _row_sizes(matrix: Any) -> np.ndarray:
    """The largest size of an entry in each row."""
    if not matrix.shape[0]:
        return np.zeros(0)
    sizes = abs(matrix).max(axis=1)
    return sizes if isinstance(sizes, np.ndarray) else sizes.toarray().ravel()


def _noise_of_multipliers(
    problem: Nlp, x: np.ndarray, row_multipliers: np.ndarray, bound_multipliers: np.ndarray, unit: float
) -> float:
    """The pull of a multiplier that is surely more than what the point's own error would leave of none."""
    pattern = problem.jacobian_pattern
    pulled = problem.gradient(x) + bound_multipliers
    pulled += np.bincount(pattern.columns, problem.jacobian(x) * row_multipliers[pattern.rows], len(x))
    left = float(np.abs(pulled).max(initial=0.0))
    return max(EXACT_PULL * unit, 100.0 * left) if np.isfinite(left) else np.inf


def _activity(
    values: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    multipliers: np.ndarray,
    unit: float,
    noise: float,
    sizes: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which sides are active with a multiplier, which perhaps without, and 1 at a lower side, -1 at an upper one.

    unit: what a multiplier is measured by. noise: from what pull on a side is surely more than none where the point
    is exactly on it, as active-set methods leave it; sizes: of the sides' gradients.
    """
    below, above = values - lower, upper - values
    sign = np.where(below <= above, 1.0, -1.0)
    side = np.where(below <= above, lower, upper)
    size = np.maximum(1.0, np.abs(np.where(np.isfinite(side), side, 1.0)))
    distance = np.minimum(below, above) / size
    # A multiplier pushes from its side: negative at a lower one.
    push = np.maximum(0.0, -sign * multipliers)
    equality = lower >= upper
    close = distance <= NEAR
    strong = (distance <= BOTH_SMALL) & (push > STRONG * unit) & (push >= 10.0 * np.maximum(distance, 0.0))
    strong |= (distance <= EXACTLY) & (push * sizes > noise)
    weak = ~strong & (close | ((distance <= BOTH_SMALL) & (push >= 0.01 * np.maximum(distance, 0.0))))
    return equality | strong, weak & ~equality, sign


def _normed(rows: Any) -> Any:
    """Rows of length 1; empty ones stay."""
    if isinstance(rows, np.ndarray):
        lengths = np.sqrt((rows * rows).sum(axis=1))
        return rows / np.where(lengths > 0, lengths, 1.0)[:, None]
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array(1.0 / np.where(lengths > 0, lengths, 1.0)) @ rows)


def _hessian(problem: Nlp, x: np.ndarray, multipliers: np.ndarray, dense: bool) -> tuple[Any, np.ndarray]:
    """The Lagrangian's Hessian (n, n), and for each variable the size below which its entries are noise / ZERO."""
    pattern = problem.hessian_pattern
    ones = np.ones(len(multipliers))
    if pattern is None:
        eye = np.eye(len(x))
        whole = np.array([problem.hessian_product(x, multipliers, direction) for direction in eye])
        return whole if dense else sp.csr_array(whole), np.abs(whole).max(axis=1) * (ACCURACY / ZERO)
    values = problem.hessian(x, multipliers)
    parts = (
        problem.hessian(x, 0.0 * ones, 1.0),
        problem.hessian(x, multipliers, 0.0),
        problem.hessian(x, ones, 0.0),
    )
    entries = np.nan_to_num(np.max([np.abs(part) for part in parts], axis=0), posinf=0.0)
    noise = np.zeros(len(x))
    np.maximum.at(noise, pattern.rows, entries)
    np.maximum.at(noise, pattern.columns, entries)
    return _filled(pattern, values, dense, True), noise * (ACCURACY / ZERO)


# ------------------------------------------------------------------------------------------------ small problems


def _small(cone: _Cone, n: int) -> SecondOrder:
    """By a dense basis of the null space and its lowest eigenvector, face by face where sides may be left."""
    parts = (cone.hessian, cone.equal, cone.inward)
    hessian, equal, inward = (p if isinstance(p, np.ndarray) else p.toarray() for p in parts)
    least, direction = _lowest(hessian, equal)
    if direction is None or least >= -ZERO:
        return SecondOrder(Curvature.SATISFIED, least, strict=least > ZERO)
    found = _inward(direction, inward)
    if found is not None:
        return SecondOrder(Curvature.VIOLATED, least, _whole(cone, found, n))
    count = len(inward)
    all_held = tuple(range(count))
    if count <= MOST_FACES:
        chosen: tuple[int, ...] = tuple(range(1, count + 1))
    else:
        chosen = (1, count - 1, count) if len(cone.free) <= FEW else (count,)
    lowest = least
    for size in chosen:
        kept_faces = (
            itertools.combinations(range(count), size) if count <= MOST_FACES or size == 1 else [all_held]
        )
        for kept in kept_faces:
            value, direction = _lowest(hessian, np.vstack([equal, inward[list(kept)]]))
            lowest = min(lowest, value)
            if direction is None or value >= -ZERO:
                continue
            others = [i for i in all_held if i not in kept]
            found = _inward(direction, inward[others])
            if found is not None:
                return SecondOrder(Curvature.VIOLATED, value, _whole(cone, found, n))
    # The larger cone bounds the curvature on this one: where it is as good as flat, so is this one.
    decided = count <= MOST_FACES or least > -FLAT
    return SecondOrder(Curvature.SATISFIED if decided else Curvature.UNKNOWN, lowest)


def _lowest(hessian: np.ndarray, rows: np.ndarray) -> tuple[float, np.ndarray | None]:
    """The lowest eigenvalue of a symmetric matrix on the null space of rows, and its eigenvector; inf without one."""
    basis = _null_space(rows)
    if basis.shape[1] == 0:
        return np.inf, None
    values, vectors = scipy.linalg.eigh(basis.T @ hessian @ basis, subset_by_index=(0, 0))
    return float(values[0]), basis @ vectors[:, 0]


def _null_space(rows: np.ndarray) -> np.ndarray:
    """An orthonormal basis (k, k - rank) of the directions that rows (., k) map to 0."""
    if not len(rows):
        return np.eye(rows.shape[1])
    q, r, _ = scipy.linalg.qr(rows.T, pivoting=True)
    pivots = np.abs(np.diag(r))
    rank = int(np.count_nonzero(pivots > 1e-9 * max(1.0, pivots.max(initial=0.0))))
    return np.asarray(q[:, rank:])


def _inward(direction: np.ndarray, inward: np.ndarray | sp.csr_array) -> np.ndarray | None:
    """The direction or its opposite, whichever leaves no side outward; None when both do."""
    slopes = inward @ direction
    room = 1e-9
    if (slopes >= -room).all():
        return direction
    return -direction if (slopes <= room).all() else None


def _whole(cone: _Cone, direction: np.ndarray, n: int) -> np.ndarray:
    """A scaled direction of the free variables as one of all variables, of length 1."""
    whole = np.zeros(n)
    whole[cone.free] = cone.scale * direction
    return whole / np.linalg.norm(whole)


# ------------------------------------------------------------------------------------------------ large problems


def _large(cone: _Cone, n: int) -> SecondOrder:
    """Where the inertia says no: a direction by Lanczos on the projected Hessian.

    With many sides that may be left the lowest eigenvector leaves none of them outward only by luck: where the
    curvature with all of them held is right, that is not tried, and nothing is decided.
    """
    if cone.inward.shape[0] > MANY_SIDES:
        held = replace(cone, equal=sp.csr_array(sp.vstack([cone.equal, cone.inward])), inward=cone.inward[:0])
        if _convex_along(held)[0]:
            return SecondOrder(Curvature.UNKNOWN, np.nan)
    for rows in (cone.equal, sp.csr_array(sp.vstack([cone.equal, cone.inward]))):
        least, direction = _lanczos(cone.hessian, rows)
        if direction is None:
            return SecondOrder(Curvature.UNKNOWN, least)
        if least < -ZERO:
            found = _inward(direction, cone.inward) if rows is cone.equal else direction
            if found is not None:
                return SecondOrder(Curvature.VIOLATED, least, _whole(cone, found, n))
        elif rows is cone.equal:
            return SecondOrder(Curvature.SATISFIED, least)
    return SecondOrder(Curvature.UNKNOWN, least)


def _lower(matrix: sp.csr_array) -> tuple[Pattern, np.ndarray]:
    entries = sp.coo_array(sp.tril(matrix))
    return Pattern(entries.row.astype(np.int64), entries.col.astype(np.int64), matrix.shape), entries.data


def _positive_band(matrix: Any, shift: float) -> bool:
    """Whether a matrix is a narrow band, as chains have, and its eigenvalues are above `shift`: by Cholesky."""
    entries = sp.coo_array(matrix)
    below = entries.row - entries.col
    width = int(below.max(initial=0))
    if width > NARROW:
        return False
    band = np.zeros((width + 1, matrix.shape[0]))
    kept = below >= 0
    band[below[kept], entries.col[kept]] = entries.data[kept]
    band[0] -= shift
    try:
        scipy.linalg.cholesky_banded(band, overwrite_ab=True, lower=True)
    except np.linalg.LinAlgError:
        return False
    return True


def _convex_along(cone: _Cone) -> tuple[bool, bool]:
    """Whether H + ZERO I and H - ZERO I are positive definite on the null space of the rows that are held.

    By Sylvester's law: the KKT matrix has as many negative eigenvalues as rows then (Gould 1985).
    """
    m, k = cone.equal.shape
    hessian_pattern, values = _lower(cone.hessian)
    entries = sp.coo_array(cone.equal)
    pattern = Pattern(entries.row.astype(np.int64), entries.col.astype(np.int64), (m, k))
    system = kkt(hessian_pattern, pattern)
    probe = np.sin(1.0 + np.arange(k + m, dtype=float))

    def convex(shift: float) -> bool:
        # Dependent rows: a tiny block in their corner leaves what is asked for as it is, and gives each its pivot.
        inertia = system.factorize(values, np.full(k, shift), entries.data, np.full(m, 1e-10))
        right = not inertia.singular and inertia.negative == m
        return right and bool(system.solve(probe)[1] <= 1e-6)

    strict = convex(-ZERO)  # it implies the other
    return strict or convex(ZERO), strict


def _lanczos(hessian: sp.csr_array, rows: sp.csr_array) -> tuple[float, np.ndarray | None]:
    """The lowest eigenvalue of the Hessian projected on the null space of rows; None where it did not converge."""
    m, k = rows.shape
    entries = sp.coo_array(rows)
    pattern = Pattern(entries.row.astype(np.int64), entries.col.astype(np.int64), (m, k))
    nothing = Pattern(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), (k, k))
    system = kkt(nothing, pattern)
    system.factorize(np.zeros(0), np.ones(k), entries.data, np.full(m, 1e-10))

    def projected(v: np.ndarray) -> np.ndarray:
        return system.solve(np.concatenate([np.ravel(v), np.zeros(m)]))[0][:k]

    # Directions outside the null space are lifted above every eigenvalue inside, so that they are never the lowest.
    lift = float(abs(hessian).sum(axis=1).max()) + 1.0

    def operator(v: np.ndarray) -> np.ndarray:
        inside = projected(v)
        return projected(hessian @ inside) + lift * (np.ravel(v) - inside)

    start = np.cos(1.0 + np.arange(k, dtype=float))
    linear = scipy.sparse.linalg.LinearOperator((k, k), matvec=operator, dtype=float)
    try:
        vectors = np.real(
            scipy.sparse.linalg.eigsh(linear, 1, which="SA", v0=start, tol=1e-4, maxiter=300)[1]
        )
    except scipy.sparse.linalg.ArpackNoConvergence as stopped:
        if not len(stopped.eigenvalues):
            return np.nan, None
        vectors = np.real(stopped.eigenvectors)
    direction = projected(vectors[:, 0])
    along = float(np.linalg.norm(rows @ direction)) / max(float(np.linalg.norm(direction)), 1e-300)
    if np.linalg.norm(direction) < 1e-3 * np.linalg.norm(vectors[:, 0]) or along > 1e-6:
        return np.nan, None  # what is left after the projection is rounding
    return float(direction @ (hessian @ direction) / (direction @ direction)), direction
