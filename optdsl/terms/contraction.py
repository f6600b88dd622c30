"""Tensor contractions in float64 whose large operands may be stored in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

BLOCK = 1_000_000
"""Numbers of data in float32 that are made float64 at once."""


def contracted(operands: list[Any], result_dims: list[int]) -> np.ndarray:
    """einsum in float64 of arrays and their dimensions, in blocks of a dimension where large data is float32."""
    arrays, dims = operands[::2], operands[1::2]
    narrow = [k for k, a in enumerate(arrays) if a.dtype == np.float32]
    largest = max((arrays[k].size for k in narrow), default=0)
    if not narrow or largest <= BLOCK:
        wide: list[Any] = [a.astype(np.float64, copy=False) if isinstance(a, np.ndarray) else a for a in operands]
        # planned by cost: two large operands go to a matrix product
        return np.asarray(np.einsum(*wide, result_dims, optimize=len(arrays) > 1))
    first = next(k for k in narrow if arrays[k].size == largest)
    along = dims[first][0]
    size = arrays[first].shape[0]
    step = max(1, BLOCK * size // largest)
    blocks = []
    for at in range(0, size, step):
        part: list[Any] = []
        for a, own in zip(arrays, dims, strict=True):
            taken = a[tuple(slice(at, at + step) if d == along else slice(None) for d in own)]
            part += [taken.astype(np.float64, copy=False), own]
        blocks.append(np.asarray(np.einsum(*part, result_dims, optimize=len(arrays) > 1)))
    if along in result_dims:
        return np.concatenate(blocks, axis=result_dims.index(along))
    return np.asarray(sum(blocks[1:], start=blocks[0]))
