"""Rows of the functions of whole matrices: determinants, eigenvalues, matrix norms, quadratic forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.atoms.atom import Absent, Array, Atom, Domain, Interval, Shapes, Smoothness
from optdsl.atoms.intervals import MARGIN, absolute, by_pieces, graded, interval, outward, squared
from optdsl.atoms.linear_algebra import (
    determinant,
    eigenvalues,
    interval_matmul,
    inverse,
    is_positive_definite,
    is_symmetric,
    quadratic,
    singular_values,
)
from optdsl.atoms.rows import EVERYWHERE, whole

SMOOTH, NONSMOOTH, DISCONTINUOUS = Smoothness.SMOOTH, Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS
BOYD = "Boyd and Vandenberghe 2004, section 3.1.5"
MATRIX_CONVEX = Absent("convex only in the matrix order; CVXPY has no such atom")


def square_matrix(shape: tuple[int, ...]) -> int:
    """The size of a square matrix; ValueError for another shape."""
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"a square matrix is needed, not shape {shape}")
    if shape[0] == 0:
        raise ValueError("the matrix is empty")
    return shape[0]


def _square_to_number(shape: tuple[int, ...]) -> tuple[int, ...]:
    square_matrix(shape)
    return ()


def _matrix_to_number(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"a matrix with entries is needed, not shape {shape}")
    return ()


def _vector_and_square(x: tuple[int, ...], matrix: tuple[int, ...]) -> tuple[int, ...]:
    size = square_matrix(matrix)
    if x != (size,):
        raise ValueError(f"a vector of length {size} is needed beside the matrix, not shape {x}")
    return ()


SQUARE = Shapes("square matrix (n, n) to a number", _square_to_number)
MATRIX = Shapes("matrix (m, n) to a number", _matrix_to_number)
FORM = Shapes("vector (n,), square matrix (n, n) to a number", _vector_and_square)
SYMMETRIC = Domain("X symmetric", lambda x, batch=0: is_symmetric(x), None)


def _points(box: Interval, axes: int = 2) -> Any:
    """Where a whole array is known exactly."""
    return box.is_point.all(axis=tuple(range(-axes, 0)))


def _unknown_slope(*boxes: Interval, batch: int = 0) -> tuple[Array, ...]:
    return tuple(np.where(box.is_point, 0.0, np.nan) for box in boxes)


def _sign_slope(x: Interval, batch: int = 0) -> tuple[Array, ...]:
    return (by_pieces(x, (0.0,), (-1.0, 1.0)),)


def _curved(sign: float) -> Any:
    return lambda x, batch=0: np.where(_points(x), 0.0, sign)


def _level(level: Smoothness) -> Any:
    return lambda x, batch=0: graded(~_points(x), level)


# determinants ----------------------------------------------------------------------------------------------------


def _det_range(x: Interval, batch: int = 0) -> Interval:
    """Hadamard's inequality: at most the product of the rows' lengths."""
    with np.errstate(all="ignore"):
        bound = np.prod(np.sqrt((absolute(x).hi ** 2).sum(axis=-1)), axis=-1) * (1 + MARGIN * x.lo.shape[-1])
    return outward(-bound, bound)


def _log_det(x: Any, batch: int) -> Any:
    return np.linalg.slogdet(np.where(np.isfinite(x).all(axis=(-2, -1))[..., None, None], x, np.eye(x.shape[-1])))[1]


def _log_det_range(x: Interval, batch: int = 0) -> Interval:
    """Hadamard: the determinant of a positive definite matrix is at most the product of its diagonal."""
    with np.errstate(all="ignore"):
        diagonal = np.log(np.maximum(np.diagonal(x.hi, axis1=-2, axis2=-1), 0.0))
        high = diagonal.sum(axis=-1) + MARGIN * np.abs(diagonal).sum(axis=-1)
    return outward(np.full(high.shape, -np.inf), np.where(np.isneginf(high) | np.isnan(high), np.inf, high))


def _inverse_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    square_matrix(shape)
    return shape


def _matrix_range(x: Interval, batch: int = 0) -> Interval:
    return interval(np.full(x.lo.shape, -np.inf), np.full(x.lo.shape, np.inf))


def _inverse_curvature(x: Interval, batch: int = 0) -> Array:
    return np.where(_points(x), 0.0, np.nan)[..., None, None]


def _inverse_pullback(F: Any, seed: Any, result: Any, x: Any, batch: int = 0) -> Any:
    return (-(F.turn(result) @ seed @ F.turn(result)),)


# eigenvalues and singular values ---------------------------------------------------------------------------------


def _gershgorin(x: Interval) -> tuple[Array, Array]:
    """Every eigenvalue of every symmetric matrix in the box lies between these (Gershgorin 1931)."""
    eye = np.eye(x.lo.shape[-1], dtype=bool)
    radius = np.where(eye, 0.0, absolute(x).hi).sum(axis=-1)
    diagonal_lo, diagonal_hi = (np.diagonal(end, axis1=-2, axis2=-1) for end in x)
    return (diagonal_lo - radius).min(axis=-1), (diagonal_hi + radius).max(axis=-1)


def _eigen_slack(x: Interval) -> Array:
    """The backward error of the eigenvalue kernel: a multiple of the matrix's size."""
    size = absolute(x).hi
    return MARGIN * x.lo.shape[-1] * np.where(np.isfinite(size), size, 0.0).sum(axis=(-2, -1))


def _eig_max_range(x: Interval, batch: int = 0) -> Interval:
    """At least the largest diagonal entry (a Rayleigh quotient)."""
    slack = _eigen_slack(x)
    low = np.diagonal(x.lo, axis1=-2, axis2=-1).max(axis=-1)
    with np.errstate(all="ignore"):
        return outward(low - slack, _gershgorin(x)[1] + slack)


def _eig_min_range(x: Interval, batch: int = 0) -> Interval:
    slack = _eigen_slack(x)
    high = np.diagonal(x.hi, axis1=-2, axis2=-1).min(axis=-1)
    with np.errstate(all="ignore"):
        return outward(_gershgorin(x)[0] - slack, high + slack)


def _eigen_pullback(place: int) -> Any:
    def pullback(F: Any, seed: Any, result: Any, x: Any, batch: int = 0) -> Any:
        vector = F.eigenvector(x, place)
        return (F.lift(seed, 2) * F.outer(vector, vector),)

    return pullback


def _nuclear_pullback(F: Any, seed: Any, result: Any, x: Any, batch: int = 0) -> Any:
    left, _, right = F.singular_vectors(x)
    return (F.lift(seed, 2) * (left @ right),)


def _spectral_pullback(F: Any, seed: Any, result: Any, x: Any, batch: int = 0) -> Any:
    left, _, right = F.singular_vectors(x)
    return (F.lift(seed, 2) * F.outer(left[..., :, 0], right[..., 0, :]),)


def _norm_range(scale: Any) -> Any:
    """Between the largest entry's size and the Frobenius norm times `scale(m, n)`."""

    def rule(x: Interval, batch: int = 0) -> Interval:
        size = absolute(x)
        wide = MARGIN * sum(x.lo.shape[-2:]) * 4
        with np.errstate(all="ignore"):
            low = size.lo.max(axis=(-2, -1)) * (1 - wide)
            high = _frobenius(size.hi) * scale(*x.lo.shape[-2:]) * (1 + wide)
        return outward(low, high, floor=0.0)

    return rule


def _frobenius(x: Any) -> Any:
    """The root of the sum of squares, scaled against overflow."""
    largest = np.abs(x).max(axis=(-2, -1), initial=0.0)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    scaled = x / scale[..., None, None]
    return scale * np.sqrt((scaled * scaled).sum(axis=(-2, -1)))


def _frobenius_range(x: Interval, batch: int = 0) -> Interval:
    size = absolute(x)
    wide = MARGIN * sum(x.lo.shape[-2:])
    with np.errstate(all="ignore"):
        return outward(_frobenius(size.lo) * (1 - wide), _frobenius(size.hi) * (1 + wide), floor=0.0)


def _zero_inside(x: Interval, batch: int = 0) -> Any:
    reached = ((x.lo <= 0) & (x.hi >= 0)).all(axis=(-2, -1))
    return graded(reached & ~_points(x), NONSMOOTH)


# quadratic forms -------------------------------------------------------------------------------------------------


def _product_interval(x: Interval, y: Interval) -> Interval:
    """Entrywise products x_i y_j, exact corners; squares on the diagonal are not below 0."""
    with np.errstate(all="ignore"):
        corners = np.stack([a[..., :, None] * b[..., None, :] for a in x for b in y])
    corners = np.where(np.isnan(corners), 0.0, corners)
    return interval(corners.min(axis=0), corners.max(axis=0))


def _form_range(x: Interval, p: Interval, batch: int = 0) -> Interval:
    products = _product_interval(x, x)
    eye = np.eye(x.lo.shape[-1], dtype=bool)
    squares = squared(x)
    lo = np.where(eye, squares.lo[..., None], products.lo)
    hi = np.where(eye, squares.hi[..., None], products.hi)
    flat = [np.reshape(end, (*end.shape[:-2], -1)) for end in np.broadcast_arrays(lo, hi, p.lo, p.hi)]
    low, high = interval_matmul(*flat)
    with np.errstate(all="ignore"):
        size = (np.maximum(np.abs(flat[0]), np.abs(flat[1])) * np.maximum(np.abs(flat[2]), np.abs(flat[3])))
        slack = MARGIN * flat[0].shape[-1] * np.where(np.isfinite(size), size, 0.0).sum(axis=-1)
        definite = _form_sign(p)
        box = outward(low - slack, high + slack)
    # A form with a semidefinite matrix keeps its sign; the slack covers the kernel's rounding.
    return interval(np.where(definite > 0, np.maximum(box.lo, -slack), box.lo),
                    np.where(definite < 0, np.minimum(box.hi, slack), box.hi))


def _form_sign(p: Interval) -> Array:
    """+1 where P is known and positive semidefinite, -1 negative, 0 zero, nan otherwise.

    Eigenvalues within n eps of the largest size count as zero, as the eigenvalue kernel's own error does.
    """
    known = _points(p)
    values = eigenvalues(np.where(known[..., None, None], p.lo, 0.0))
    size = np.abs(values).max(axis=-1)
    slack = p.lo.shape[-1] * np.finfo(np.float64).eps * size
    positive, negative = values.min(axis=-1) >= -slack, values.max(axis=-1) <= slack
    sign = np.where(size == 0, 0.0, np.where(positive, 1.0, np.where(negative, -1.0, np.nan)))
    return np.where(known, sign, np.nan)


def _form_curvature(x: Interval, p: Interval, batch: int = 0) -> Array:
    """With x known the form is linear in P; with P known the eigenvalues decide."""
    return np.where(_points(x, 1), 0.0, _form_sign(p))


def _form_pullback(F: Any, seed: Any, result: Any, x: Any, p: Any, batch: int = 0) -> Any:
    return F.lift(seed, 1) * (F.apply(p, x) + F.apply(F.turn(p), x)), F.lift(seed, 2) * F.outer(x, x)


FORM_DOMAIN = Domain("P symmetric", lambda x, p, batch=0: is_symmetric(p), None)


def _fraction(x: Any, p: Any, batch: int) -> Any:
    return quadratic(x, inverse(p))


def _fraction_range(x: Interval, p: Interval, batch: int = 0) -> Interval:
    shape = np.broadcast_shapes(x.lo.shape[:-1], p.lo.shape[:-2])
    return interval(np.zeros(shape), np.full(shape, np.inf))


def _fraction_pullback(F: Any, seed: Any, result: Any, x: Any, p: Any, batch: int = 0) -> Any:
    solved = F.apply(F.inverse(p), x)
    return 2.0 * F.lift(seed, 1) * solved, -F.lift(seed, 2) * F.outer(solved, solved)


def _smooth_form(x: Interval, p: Interval, batch: int = 0) -> Any:
    return np.full(np.broadcast_shapes(x.lo.shape[:-1], p.lo.shape[:-2]), int(SMOOTH))


DEFINITE = Domain(
    "P symmetric positive definite",
    lambda x, p, batch=0: (
        is_positive_definite(p) & np.isfinite(x).all(axis=-1) & ~np.isnan(inverse(p)).any(axis=(-2, -1))
    ),
    None,
)


MATRICES: tuple[Atom, ...] = (
    whole(
        name="trace", formula="the sum of the diagonal", parameters=("X",), arity=(1, 1), shapes=SQUARE,
        domain=EVERYWHERE, raw=lambda x, batch: np.trace(x, axis1=-2, axis2=-1),
        range=lambda x, batch=0: _trace_range(x),
        slope=lambda x, batch=0: (np.broadcast_to(np.eye(x.lo.shape[-1]), x.lo.shape) * ~x.is_point,),
        curvature=_curved(0.0), smoothness=_level(SMOOTH),
        summary=("all numbers", "increasing in the diagonal", "affine", "smooth"),
        derivative=lambda F, seed, result, x, batch=0: (F.lift(seed, 2) * np.eye(np.shape(x)[-1]),),
        lowering=lambda cp, x: cp.trace(x), quadratic_form=None, latex=r"\operatorname{tr}\left(#1\right)",
        source=BOYD, examples=((([[1.0, 2.0], [3.0, 4.0]],), 5.0),),
    ),
    whole(
        name="det", formula="the determinant", parameters=("X",), arity=(1, 1), shapes=SQUARE, domain=EVERYWHERE,
        raw=lambda x, batch: determinant(x), range=_det_range, slope=_unknown_slope,
        curvature=lambda x, batch=0: np.where(_points(x), 0.0, 0.0 if x.lo.shape[-1] == 1 else np.nan),
        smoothness=_level(SMOOTH), summary=("all numbers", "unknown", "neither", "smooth"),
        derivative=lambda F, seed, result, x, batch=0: (F.lift(seed, 2) * F.cofactors(x),),
        lowering=Absent("neither convex nor concave; write log_det(X) where X is positive definite"),
        quadratic_form=None, latex=r"\det\left(#1\right)", source="Horn and Johnson 2013, section 0.3",
        examples=((([[1.0, 2.0], [3.0, 4.0]],), -2.0),),
    ),
    whole(
        name="log_det", formula="log of the determinant", parameters=("X",), arity=(1, 1), needs_symmetric=("X",),
        shapes=SQUARE,
        domain=Domain("X symmetric positive definite", lambda x, batch=0: is_positive_definite(x), None),
        raw=_log_det, range=_log_det_range, slope=_unknown_slope, curvature=_curved(-1.0), smoothness=_level(SMOOTH),
        summary=("all numbers", "increasing in the matrix order", "concave", "smooth"),
        derivative=lambda F, seed, result, x, batch=0: (F.lift(seed, 2) * F.turn(F.inverse(x)),),
        lowering=lambda cp, x: cp.log_det(x), quadratic_form=None, latex=r"\log\det\left(#1\right)", source=BOYD,
        examples=((([[2.0, 1.0], [1.0, 2.0]],), 1.0986122886681098),),
    ),
    whole(
        name="inv_matrix", formula="the inverse matrix", parameters=("X",), arity=(1, 1),
        shapes=Shapes("square matrix (n, n) to (n, n)", _inverse_shape),
        domain=Domain("X not singular", lambda x, batch=0: ~np.isnan(inverse(x)).any(axis=(-2, -1)), None),
        raw=lambda x, batch: inverse(x), result_axes=2, range=_matrix_range, slope=_unknown_slope,
        curvature=_inverse_curvature, smoothness=lambda x, batch=0: _level(DISCONTINUOUS)(x)[..., None, None],
        summary=("all numbers", "unknown", "neither entry by entry", "smooth off singular matrices"),
        derivative=_inverse_pullback, lowering=MATRIX_CONVEX, quadratic_form=None, latex=r"\left(#1\right)^{-1}",
        source="Horn and Johnson 2013, section 0.5",
        examples=((([[2.0, 0.0], [1.0, 4.0]],), [[0.5, 0.0], [-0.125, 0.25]]),),
    ),
    whole(
        name="eig_max", formula="the largest eigenvalue", parameters=("X",), arity=(1, 1), needs_symmetric=("X",),
        shapes=SQUARE, domain=SYMMETRIC, raw=lambda x, batch: eigenvalues(x)[..., -1], range=_eig_max_range,
        slope=_unknown_slope, curvature=_curved(1.0), smoothness=_level(NONSMOOTH),
        summary=("all numbers", "increasing in the matrix order", "convex", "nonsmooth where it is a double one"),
        derivative=_eigen_pullback(-1), lowering=lambda cp, x: cp.lambda_max(x), quadratic_form=None,
        latex=r"\lambda_{\max}\left(#1\right)", source=BOYD, examples=((([[2.0, 1.0], [1.0, 2.0]],), 3.0),),
    ),
    whole(
        name="eig_min", formula="the smallest eigenvalue", parameters=("X",), arity=(1, 1), needs_symmetric=("X",),
        shapes=SQUARE, domain=SYMMETRIC, raw=lambda x, batch: eigenvalues(x)[..., 0], range=_eig_min_range,
        slope=_unknown_slope, curvature=_curved(-1.0), smoothness=_level(NONSMOOTH),
        summary=("all numbers", "increasing in the matrix order", "concave", "nonsmooth where it is a double one"),
        derivative=_eigen_pullback(0), lowering=lambda cp, x: cp.lambda_min(x), quadratic_form=None,
        latex=r"\lambda_{\min}\left(#1\right)", source=BOYD, examples=((([[2.0, 1.0], [1.0, 2.0]],), 1.0),),
    ),
    whole(
        name="norm_nuc", formula="the sum of the singular values", parameters=("X",), arity=(1, 1), shapes=MATRIX,
        domain=EVERYWHERE, raw=lambda x, batch: singular_values(x).sum(axis=-1),
        range=_norm_range(lambda m, n: np.sqrt(min(m, n))), slope=_unknown_slope, curvature=_curved(1.0),
        smoothness=_level(NONSMOOTH),
        summary=("[0, inf)", "unknown", "convex", "nonsmooth where X is not of full rank"),
        derivative=_nuclear_pullback, lowering=lambda cp, x: cp.normNuc(x), quadratic_form=None,
        latex=r"\left\|#1\right\|_{*}", source="Fazel 2002", examples=((([[3.0, 0.0], [0.0, -4.0]],), 7.0),),
    ),
    whole(
        name="norm_spec", formula="the largest singular value", parameters=("X",), arity=(1, 1), shapes=MATRIX,
        domain=EVERYWHERE, raw=lambda x, batch: singular_values(x)[..., 0], range=_norm_range(lambda m, n: 1.0),
        slope=_unknown_slope, curvature=_curved(1.0), smoothness=_level(NONSMOOTH),
        summary=("[0, inf)", "unknown", "convex", "nonsmooth where it is a double one"),
        derivative=_spectral_pullback, lowering=lambda cp, x: cp.sigma_max(x), quadratic_form=None,
        latex=r"\left\|#1\right\|_{2}", source=BOYD, examples=((([[3.0, 0.0], [0.0, -4.0]],), 4.0),),
    ),
    whole(
        name="norm_fro", formula="the square root of the sum of squares of the entries", parameters=("X",),
        arity=(1, 1), shapes=MATRIX, domain=EVERYWHERE, raw=lambda x, batch: _frobenius(x), range=_frobenius_range,
        slope=_sign_slope, curvature=_curved(1.0), smoothness=_zero_inside,
        summary=("[0, inf)", "each entry: decreasing below 0, increasing above", "convex", "nonsmooth at 0"),
        derivative=lambda F, seed, result, x, batch=0: (F.lift(seed * F.inv(result), 2) * x,),
        lowering=lambda cp, x: cp.norm(x, "fro"), quadratic_form=None, latex=r"\left\|#1\right\|_{F}", source=BOYD,
        examples=((([[3.0, 0.0], [0.0, -4.0]],), 5.0),),
    ),
    whole(
        name="quad_form", formula="x' P x", parameters=("x", "P"), arity=(2, 2), needs_symmetric=("P",), shapes=FORM,
        domain=FORM_DOMAIN, raw=lambda x, p, batch: quadratic(x, p), range=_form_range, slope=_unknown_slope,
        curvature=_form_curvature,
        smoothness=_smooth_form,
        summary=("[0, inf) for P psd", "unknown", "convex for P psd, concave for P nsd (P data)", "smooth"),
        derivative=_form_pullback, lowering=lambda cp, x, p: cp.quad_form(x, p), quadratic_form="quad_form",
        latex=r"#1^{\top} #2 #1", source=BOYD, examples=((([1.0, 2.0], [[2.0, 1.0], [1.0, 2.0]]), 14.0),),
    ),
    whole(
        name="matrix_frac", formula="x' P^-1 x", parameters=("x", "P"), arity=(2, 2), needs_symmetric=("P",),
        shapes=FORM, domain=DEFINITE, raw=_fraction, range=_fraction_range, slope=_unknown_slope,
        curvature=lambda x, p, batch=0: np.where(_points(x, 1) & _points(p), 0.0, 1.0),
        smoothness=_smooth_form, summary=("[0, inf)", "unknown", "convex", "smooth"),
        derivative=_fraction_pullback, lowering=lambda cp, x, p: cp.matrix_frac(x, p), quadratic_form=None,
        latex=r"#1^{\top} #2^{-1} #1", source="Boyd and Vandenberghe 2004, example 3.4",
        examples=((([1.0, 2.0], [[2.0, 0.0], [0.0, 4.0]]), 1.5),),
    ),
)


def _trace_range(x: Interval) -> Interval:
    lo, hi = (np.diagonal(end, axis1=-2, axis2=-1) for end in x)
    with np.errstate(all="ignore"):
        size = np.where(np.isfinite(lo), np.abs(lo), 0.0) + np.where(np.isfinite(hi), np.abs(hi), 0.0)
        slack = MARGIN * lo.shape[-1] * size.sum(axis=-1)
        return outward(lo.sum(axis=-1) - slack, hi.sum(axis=-1) + slack)
