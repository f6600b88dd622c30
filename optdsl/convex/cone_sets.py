"""The cones as sets, over all lanes at once: membership, the dual cone, lanes apart, ranges within bounds.

`values` of a cone are its parts as arrays with one lane a row: (L,) each, but a NORM's second part is (L, k) and a
SEMIDEFINITE's only one (L, d, d). Dual cones: Boyd and Vandenberghe (2004), section 2.6.1, for SQUARE, NORM and
SEMIDEFINITE; Chares (2009), section 4.3, for EXPONENTIAL and POWER.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from optdsl.convex.program import AffineRows, Cone, ConeKind, Program

Values = tuple[np.ndarray, ...]

_ROOM = 4.0 * np.finfo(float).eps
"""Relative step into the dual cone after a closed form, so that rounding does not leave it."""


def shaped(cone: Cone, flat: Sequence[np.ndarray]) -> Values:
    """Arrays with one entry a row of each part, one lane a row."""
    lanes = cone.lanes
    if cone.kind is ConeKind.NORM:
        return flat[0], flat[1].reshape(lanes, len(flat[1]) // lanes if lanes else 0)
    if cone.kind is ConeKind.SEMIDEFINITE:
        return (flat[0].reshape(lanes, cone.size, cone.size),)
    return tuple(flat)


def flattened(values: Values) -> Values:
    """The way back of `shaped`."""
    return tuple(part.reshape(-1) for part in values)


def values_at(cone: Cone, x: np.ndarray, *, homogeneous: bool = False) -> Values:
    """The parts at x (n,), without their constants where `homogeneous`."""
    return shaped(cone, [part.matrix @ x + (0.0 if homogeneous else part.offset) for part in cone.parts])


def sizes_at(cone: Cone, x: np.ndarray, *, homogeneous: bool = False) -> np.ndarray:
    """The largest term of each lane (L,), for scaling what `distance` finds."""
    flat = [
        abs(part.matrix) @ np.abs(x) + (0.0 if homogeneous else np.abs(part.offset)) for part in cone.parts
    ]
    return lane_sizes(cone, shaped(cone, flat))


def lane_sizes(cone: Cone, values: Values) -> np.ndarray:
    """The largest entry of each lane in size (L,)."""
    size = np.zeros(cone.lanes)
    for part in values:
        flat = np.abs(part).reshape(cone.lanes, int(np.prod(part.shape[1:])))
        size = np.maximum(size, flat.max(axis=1, initial=0.0))
    return size


def distance(cone: Cone, values: Values) -> np.ndarray:
    """How far each lane is from its cone (L,): 0 inside, at most the distance along one part outside."""
    with np.errstate(all="ignore"):
        if cone.kind is ConeKind.NORM:
            t, u = values
            return np.maximum(0.0, np.linalg.norm(u, axis=1) - t)
        if cone.kind is ConeKind.SQUARE:
            u, v, w = values
            # u² <= v w is the norm of (2u, v - w) against v + w
            return np.maximum(0.0, np.hypot(2.0 * u, v - w) - (v + w)) / 2.0
        if cone.kind is ConeKind.EXPONENTIAL:
            return _exponential_distance(*values)
        if cone.kind is ConeKind.POWER:
            x, y, z = values
            a = _exponents(cone)
            low = np.maximum(np.maximum(-x, -y), 0.0)
            reach = np.maximum(x, 0.0) ** a * np.maximum(y, 0.0) ** (1.0 - a)
            return np.maximum(low, np.abs(z) - reach)
        matrices = _symmetric(values[0])
        if cone.size == 0:
            return np.zeros(cone.lanes)
        return np.maximum(0.0, -np.linalg.eigvalsh(matrices)[:, 0])


def into_dual(cone: Cone, values: Values) -> Values:
    """Multipliers in the dual cone, near those given and equal to them where these lie well inside.

    NORM, SQUARE and SEMIDEFINITE: the projection. EXPONENTIAL and POWER: the smallest of a few moves along one part.
    """
    with np.errstate(all="ignore"):
        if cone.kind is ConeKind.NORM:
            return _into_ball(*values)
        if cone.kind is ConeKind.SQUARE:
            u, v, w = values
            t, inner = _into_ball(v + w, np.stack([u, v - w], axis=1))
            return inner[:, 0], (t + inner[:, 1]) / 2.0, (t - inner[:, 1]) / 2.0
        if cone.kind is ConeKind.EXPONENTIAL:
            return _into_exponential_dual(*values)
        if cone.kind is ConeKind.POWER:
            u, v, w = values
            return _into_power_dual(u, v, w, _exponents(cone))
        return (_semidefinite(values[0]),)


def take_lanes(cone: Cone, lanes: np.ndarray) -> Cone:
    """The cone's lanes at the positions `lanes`."""
    parts = []
    for part in cone.parts:
        width = len(part.offset) // cone.lanes if cone.lanes else 0
        rows = (lanes[:, None] * width + np.arange(width)).reshape(-1)
        parts.append(AffineRows(sp.csr_array(part.matrix[rows]), part.offset[rows]))
    return replace(cone, parts=tuple(parts), exponent=None if cone.exponent is None else _exponents(cone)[lanes])


def constant_lanes(cone: Cone) -> np.ndarray:
    """Which lanes (L,) hold no variable at all."""
    constant = np.ones(cone.lanes, bool)
    for part in cone.parts:
        empty = np.diff(part.matrix.indptr) == 0
        if part.matrix.nnz and not part.matrix.data.all():
            empty = np.bincount(_rows(part.matrix)[part.matrix.data != 0], minlength=len(empty)) == 0
        constant &= empty.reshape(cone.lanes, len(empty) // max(1, cone.lanes)).all(axis=1)
    return constant


def out_of_reach(program: Program, cone: Cone, slack: float = 1e-8) -> np.ndarray:
    """Which lanes (L,) no point within the bounds can bring into the cone, by the range of each part alone."""
    flat = [_range(part, program) for part in cone.parts]
    low, high = shaped(cone, [r[0] for r in flat]), shaped(cone, [r[1] for r in flat])
    nearest = tuple(np.maximum(np.maximum(a, -b), 0.0) for a, b in zip(low, high, strict=True))
    with np.errstate(all="ignore"):
        if cone.kind is ConeKind.NORM:
            needed, reach = np.linalg.norm(nearest[1], axis=1), high[0]
        elif cone.kind is ConeKind.SQUARE:
            needed, reach = nearest[0], _product_reach(high[1], high[2], 0.5)
        elif cone.kind is ConeKind.POWER:
            needed, reach = nearest[2], _product_reach(high[0], high[1], _exponents(cone))
        elif cone.kind is ConeKind.EXPONENTIAL:
            return _exponential_out_of_reach(low, high, slack)
        else:
            diagonal = np.diagonal(high[0], axis1=1, axis2=2)
            needed, reach = -diagonal.min(axis=1, initial=0.0), np.zeros(cone.lanes)
        beyond: np.ndarray = (reach < np.inf) & (needed > reach + slack * np.maximum(1.0, needed))
        return beyond


# -------------------------------------------------------------------------------------------------- single cones


def _exponential_distance(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Inside where y > 0 and y exp(x/y) <= z, or y = 0, x <= 0, z >= 0."""
    up = np.where(y > 0, y * np.exp(np.minimum(x / y, 700.0)) - z, np.inf)
    left = np.where((y > 0) & (z > 0), x - y * np.log(z / y), np.inf)
    flat = np.maximum(np.maximum(np.abs(y), x), np.maximum(-z, 0.0))  # to the face y = 0
    inside = (y > 0) & (up <= 0)
    nearest = np.maximum(np.minimum(np.minimum(up, left), flat), 0.0)
    return np.where(inside, 0.0, nearest)


def _into_ball(t: np.ndarray, u: np.ndarray) -> Values:
    """The projection onto norm(u) <= t (Parikh and Boyd 2014, section 6.3.2)."""
    size = np.linalg.norm(u, axis=1)
    half = (size + t) / 2.0
    outside = size > t
    polar = size <= -t
    with np.errstate(all="ignore"):
        factor = np.where(outside, np.where(polar, 0.0, half / size), 1.0)
    new_t = np.where(outside, np.where(polar, 0.0, half), t)
    new_u = u * factor[:, None]
    return np.maximum(new_t, np.linalg.norm(new_u, axis=1) * (1.0 + _ROOM)), new_u


def _into_exponential_dual(u: np.ndarray, v: np.ndarray, w: np.ndarray) -> Values:
    """Into u < 0, -u exp(v/u - 1) <= w, or u = 0, v >= 0, w >= 0: raise w, raise v, or flatten to u = 0."""
    below = np.minimum(u, 0.0)
    raised_w = np.where(below < 0, -below * np.exp(np.minimum(v / below - 1.0, 800.0)), np.inf) * (1.0 + 1e3 * _ROOM)
    inside = (u < 0) & (w >= raised_w)
    step_w = np.where(below < 0, np.maximum(raised_w - w, 0.0), np.inf)
    limit_v = below * (1.0 + np.log(w / -below))
    limit_v = np.where((below < 0) & (w > 0), limit_v + 1e3 * _ROOM * (np.abs(limit_v) + np.abs(below)), np.inf)
    step_v = np.maximum(limit_v - v, 0.0)
    step_flat = np.abs(below) + np.maximum(-v, 0.0) + np.maximum(-w, 0.0)
    steps = np.stack([step_w, step_v, step_flat])
    best = np.where(inside, 3, np.argmin(np.where(np.isnan(steps), np.inf, steps), axis=0))
    return (
        np.where(best == 2, 0.0, np.where(best == 3, u, below)),
        np.where(best == 1, np.maximum(limit_v, v), np.where(best == 2, np.maximum(v, 0.0), v)),
        np.where(best == 0, np.maximum(raised_w, w), np.where(best == 2, np.maximum(w, 0.0), w)),
    )


def _into_power_dual(u: np.ndarray, v: np.ndarray, w: np.ndarray, a: np.ndarray) -> Values:
    """Into |w| <= (u/a)^a (v/(1-a))^(1-a), u, v >= 0: shrink w, raise u, or raise v."""
    u, v = np.maximum(u, 0.0), np.maximum(v, 0.0)
    size = np.abs(w)
    reach = (u / a) ** a * (v / (1.0 - a)) ** (1.0 - a) * (1.0 - 1e2 * _ROOM)
    room = 1.0 + 1e3 * _ROOM / np.minimum(a, 1.0 - a)
    new_u = np.where(v > 0, a * (size / (v / (1.0 - a)) ** (1.0 - a)) ** (1.0 / a), np.inf) * room
    new_v = np.where(u > 0, (1.0 - a) * (size / (u / a) ** a) ** (1.0 / (1.0 - a)), np.inf) * room
    steps = np.stack([np.maximum(size - reach, 0.0), np.maximum(new_u - u, 0.0), np.maximum(new_v - v, 0.0)])
    best = np.where(size <= reach, 3, np.argmin(np.where(np.isnan(steps), np.inf, steps), axis=0))
    return (
        np.where(best == 1, np.maximum(new_u, u), u),
        np.where(best == 2, np.maximum(new_v, v), v),
        np.where(best == 0, np.sign(w) * np.minimum(size, reach), w),
    )


def _semidefinite(matrices: np.ndarray) -> np.ndarray:
    """The nearest positive semidefinite matrices (Higham 1988)."""
    symmetric = _symmetric(matrices)
    if not symmetric.size:
        return symmetric
    eigenvalues, vectors = np.linalg.eigh(symmetric)
    if (eigenvalues >= 0).all():
        return symmetric
    return _symmetric((vectors * np.maximum(eigenvalues, 0.0)[:, None, :]) @ np.swapaxes(vectors, 1, 2))


def _symmetric(matrices: np.ndarray) -> np.ndarray:
    return (matrices + np.swapaxes(matrices, 1, 2)) / 2.0


def _exponents(cone: Cone) -> np.ndarray:
    return np.broadcast_to(np.asarray(cone.exponent, dtype=float), (cone.lanes,))


# ------------------------------------------------------------------------------------------- ranges within bounds


def _range(part: AffineRows, program: Program) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest value of each row of a part within the bounds."""
    used = part.matrix.data != 0
    rows, data, columns = _rows(part.matrix)[used], part.matrix.data[used], part.matrix.indices[used]
    first, second = data * program.lower[columns], data * program.upper[columns]
    count = len(part.offset)
    low = np.bincount(rows, weights=np.minimum(first, second), minlength=count) + part.offset
    high = np.bincount(rows, weights=np.maximum(first, second), minlength=count) + part.offset
    return low, high


def _rows(matrix: sp.csr_array) -> np.ndarray:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _product_reach(v: np.ndarray, w: np.ndarray, a: np.ndarray | float) -> np.ndarray:
    """The greatest v^a w^(1-a) for parts up to v and w; minus infinity where one of them cannot be >= 0."""
    reach = np.maximum(v, 0.0) ** a * np.maximum(w, 0.0) ** (1.0 - a)
    reach = np.where((v == 0) | (w == 0), 0.0, reach)
    return np.where((v < -1e-9) | (w < -1e-9), -np.inf, reach)


def _exponential_out_of_reach(low: Values, high: Values, slack: float) -> np.ndarray:
    """z >= 0 and y >= 0 are needed; where y is a number, so is the least of y exp(x/y)."""
    (x, y, _), (_, y_high, z_high) = low, high
    negative = (z_high < -slack) | (y_high < -slack)
    fixed = (y == y_high) & (y > 0)
    least = np.where(fixed, y * np.exp(np.minimum(x / y, 700.0)), 0.0)
    closed = (y_high <= 0) & (x > slack)  # y = 0 asks for x <= 0
    return negative | closed | (np.isfinite(least) & (least > z_high + slack * np.maximum(1.0, least)))
