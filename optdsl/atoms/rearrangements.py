"""Rows of the functions that only move and join entries: affine, and exact on intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optdsl.atoms.atom import Absent, Array, Atom, Interval, Shapes, Smoothness
from optdsl.atoms.rows import EVERYWHERE, batched, rising, whole

SMOOTH = Smoothness.SMOOTH
BOYD = "Boyd and Vandenberghe 2004, section 3.1.5"
AFFINE = ("as the entries", "nondecreasing", "affine", "smooth")


def _moved(raw: Any) -> Any:
    """The range of a function that only moves entries: exact."""
    return lambda *boxes, batch=0: Interval(
        np.asarray(raw(*(box.lo for box in boxes), batch=batch)),
        np.asarray(raw(*(box.hi for box in boxes), batch=batch)),
    )


def _diag(x: Any, batch: int) -> Any:
    if x.ndim - batch == 1:
        return np.where(np.eye(x.shape[-1], dtype=bool), x[..., None, :], 0.0)
    return np.diagonal(x, axis1=-2, axis2=-1).copy()


def _diag_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) == 1:
        return (shape[0], shape[0])
    if len(shape) == 2 and shape[0] == shape[1]:
        return (shape[0],)
    raise ValueError(f"a vector or a square matrix is needed, not shape {shape}")


def _diag_slope(x: Interval, batch: int = 0) -> tuple[Array, ...]:
    if x.lo.ndim - batch == 1:
        return (np.where(x.is_point, 0.0, 1.0),)
    return (np.where(np.eye(x.lo.shape[-1], dtype=bool) & ~x.is_point, 1.0, 0.0),)


def _result_axes_of_diag(value: Any) -> Any:
    return lambda x, batch=0: batched(x, batch, value, 3 - (x.lo.ndim - batch))


# stack, concat, reshape ------------------------------------------------------------------------------------------


def _stack_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(shapes)) > 1:
        raise ValueError(f"arrays of one shape are needed, not {', '.join(map(str, shapes))}")
    return (len(shapes), *shapes[0])


def _stack_pullback(F: Any, seed: Any, result: Any, *arrays: Any, batch: int = 0) -> Any:
    return tuple(np.moveaxis(np.asarray(seed), batch, 0))


def _concat(*arrays: Any, batch: int) -> Any:
    return np.concatenate([a[..., None] if a.ndim == batch else a for a in arrays], axis=batch)


def _concat_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    filled = [shape or (1,) for shape in shapes]
    if len({shape[1:] for shape in filled}) > 1:
        raise ValueError(f"arrays that agree beyond the first axis are needed, not {', '.join(map(str, shapes))}")
    return (sum(shape[0] for shape in filled), *filled[0][1:])


def _concat_pullback(F: Any, seed: Any, result: Any, *arrays: Any, batch: int = 0) -> Any:
    parts, start = [], 0
    for array in arrays:
        single = np.ndim(array) == batch
        length = 1 if single else np.shape(array)[batch]
        part = np.asarray(seed)[(*(slice(None),) * batch, slice(start, start + length))]
        parts.append(part[..., 0] if single else part)
        start += length
    return tuple(parts)


def _concat_axes(value: Any) -> Any:
    return lambda *boxes, batch=0: batched(boxes[0], batch, value, max(boxes[0].lo.ndim - batch, 1))


def _stack_axes(value: Any) -> Any:
    return lambda *boxes, batch=0: batched(boxes[0], batch, value, boxes[0].lo.ndim - batch + 1)


def _sizes(sizes: Any) -> tuple[int, ...]:
    return tuple(int(np.ravel(size)[0]) for size in sizes)


def _reshape(x: Any, *sizes: Any, batch: int) -> Any:
    return np.reshape(x, (*x.shape[:batch], *_sizes(sizes)))


def _reshape_shape(shape: tuple[int, ...], *sizes: Any) -> tuple[int, ...]:
    wanted = _sizes(sizes)
    if math.prod(wanted) != math.prod(shape):
        raise ValueError(f"shape {shape} holds {math.prod(shape)} entries, shape {wanted} {math.prod(wanted)}")
    return wanted


def _reshape_axes(value: Any) -> Any:
    return lambda x, *sizes, batch=0: batched(x, batch, value, len(sizes))



REARRANGEMENTS: tuple[Atom, ...] = (
    whole(
        name="diag", formula="of a vector the diagonal matrix, of a matrix the vector of its diagonal",
        parameters=("x",), arity=(1, 1), shapes=Shapes("vector (n,) to (n, n), matrix (n, n) to (n,)", _diag_shape),
        domain=EVERYWHERE, raw=_diag, range=_moved(_diag), slope=_diag_slope, curvature=_result_axes_of_diag(0.0),
        smoothness=_result_axes_of_diag(int(SMOOTH)), summary=AFFINE,
        derivative=lambda F, seed, result, x, batch=0: (_diag(np.asarray(seed), batch),),
        lowering=lambda cp, x: cp.diag(x), quadratic_form=None, latex=r"\operatorname{diag}\left(#1\right)",
        source=BOYD, examples=((([1.0, 2.0],), [[1.0, 0.0], [0.0, 2.0]]), (([[1.0, 2.0], [3.0, 4.0]],), [1.0, 4.0])),
    ),
    whole(
        name="stack", formula="the arrays one above the other along a new first axis", parameters=("x",),
        arity=(1, None), shapes=Shapes("k arrays of one shape to (k, ...)", _stack_shape), domain=EVERYWHERE,
        raw=lambda *arrays, batch: np.stack(arrays, axis=batch),
        range=_moved(lambda *arrays, batch: np.stack(arrays, axis=batch)), slope=rising, curvature=_stack_axes(0.0),
        smoothness=_stack_axes(int(SMOOTH)), summary=AFFINE, derivative=_stack_pullback,
        lowering=Absent("an affine rearrangement; the affine route takes it"), quadratic_form=None,
        latex=r"\operatorname{stack}\left(#*\right)", source=BOYD,
        examples=((([1.0, 2.0], [3.0, 4.0]), [[1.0, 2.0], [3.0, 4.0]]),),
    ),
    whole(
        name="concat", formula="the arrays one after the other along the first axis; a number counts as one entry",
        parameters=("x",), arity=(1, None),
        shapes=Shapes("arrays (m, ...), (n, ...) to (m + n, ...)", _concat_shape), domain=EVERYWHERE, raw=_concat,
        range=_moved(_concat), slope=rising, curvature=_concat_axes(0.0), smoothness=_concat_axes(int(SMOOTH)),
        summary=AFFINE, derivative=_concat_pullback, lowering=lambda cp, *x: cp.hstack(x) if all(
            len(item.shape) <= 1 for item in x) else cp.vstack(x),
        quadratic_form=None, latex=r"\operatorname{concat}\left(#*\right)", source=BOYD,
        examples=((([1.0, 2.0], [3.0], 4.0), [1.0, 2.0, 3.0, 4.0]),),
    ),
    whole(
        name="reshape", formula="the same entries in another shape, last axis fastest", parameters=("x", "size"),
        arity=(2, None), data_arguments=("size",),
        shapes=Shapes("array, sizes to (sizes...), as many entries", _reshape_shape), domain=EVERYWHERE,
        raw=_reshape,
        range=lambda x, *sizes, batch=0: Interval(*(_reshape(end, *(s.lo for s in sizes), batch=batch) for end in x)),
        slope=lambda x, *sizes, batch=0: (
            np.where(x.is_point, 0.0, 1.0), *(np.full(s.lo.shape, np.nan) for s in sizes),
        ),
        curvature=_reshape_axes(0.0), smoothness=_reshape_axes(int(SMOOTH)), summary=AFFINE,
        derivative=lambda F, seed, result, x, *sizes, batch=0: (
            np.reshape(seed, np.shape(x)), *(None for _ in sizes),
        ),
        lowering=lambda cp, x, *sizes: cp.reshape(x, _sizes(sizes), order="C"), quadratic_form=None,
        latex=r"\operatorname{reshape}\left(#*\right)", source=BOYD,
        examples=((([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2.0, 3.0), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),),
    ),
)
