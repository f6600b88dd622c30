"""Whether a symmetric matrix is positive semidefinite, by a factorization, with a stated tolerance.

The matrix is scaled to a unit diagonal first. It counts as semidefinite when its smallest eigenvalue is at least
`-TOLERANCE` in that scaling: below that, an eigenvalue of the exact matrix cannot be told from the rounding of its
entries (each is right to about 1e-16 relative, and sums of some thousand of them to about 1e-12); above it, a
negative eigenvalue is a fact about the user's numbers and is never overlooked.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

TOLERANCE = 1e-10
DENSE_UP_TO = 600


def is_semidefinite(matrix: sp.csc_array) -> tuple[bool, np.ndarray | None]:
    """(True, None), or (False, direction v (n,) with v'Mv < 0) for a symmetric sparse matrix (n, n)."""
    diagonal = matrix.diagonal()
    if (diagonal < 0).any():
        return False, _unit(len(diagonal), int(np.argmin(diagonal)))
    if not matrix.data.all():
        matrix = sp.csc_array(matrix, copy=True)
        matrix.eliminate_zeros()
    used = np.flatnonzero(np.diff(matrix.indptr) > 0)
    if not len(used):
        return True, None
    block = matrix[used][:, used].tocsc()
    found = _semidefinite_block(block)
    if found is None:
        return True, None
    direction = np.zeros(len(diagonal))
    direction[used] = found
    return False, direction


def certificate(matrix: sp.csc_array) -> tuple[str, float]:
    """What shows a symmetric matrix to be semidefinite, and its value, in the scaling to a unit diagonal.

    The smallest eigenvalue of a matrix of moderate size; of a large one the smallest pivot of L D L' of the matrix
    plus `TOLERANCE` on its diagonal.
    """
    diagonal = matrix.diagonal()
    used = np.flatnonzero(diagonal > 0)
    scale = sp.diags_array(1.0 / np.sqrt(diagonal[used]))
    scaled = sp.csc_array(scale @ matrix[used][:, used] @ scale)
    if len(used) <= DENSE_UP_TO:
        return "smallest eigenvalue", float(np.linalg.eigvalsh(scaled.toarray())[0]) if len(used) else 0.0
    import qdldl

    shifted = sp.csc_array(sp.triu(scaled + TOLERANCE * sp.eye_array(len(used)), format="csc"))
    shifted.sort_indices()
    _, d, _ = qdldl.Solver(sp.csc_matrix(shifted), upper=True).factors()
    return "smallest pivot", float(np.min(d))


def direction_within(matrix: sp.csc_array, equalities: sp.csr_array) -> np.ndarray | None:
    """A direction v (n,) of most negative curvature v'Mv among those with `equalities @ v = 0`.

    None where there is none, and for more than `DENSE_UP_TO` columns, where nothing is said.
    """
    used = np.flatnonzero((np.diff(matrix.indptr) > 0) | (abs(equalities).sum(axis=0) > 0))
    if len(used) > DENSE_UP_TO:
        return None
    block = matrix[used][:, used].toarray()
    rows = equalities[:, used].toarray()
    _, sizes, right = np.linalg.svd(rows)
    free = right[int((sizes > 1e-12 * max(float(sizes.max(initial=0.0)), 1e-300)).sum()) :].T
    if not free.shape[1]:
        return None
    values, vectors = np.linalg.eigh(free.T @ block @ free)
    if values[0] >= -TOLERANCE * np.abs(block).max(initial=0.0):
        return None
    direction = np.zeros(matrix.shape[0])
    direction[used] = free @ vectors[:, 0]
    return direction


def _unit(n: int, k: int) -> np.ndarray:
    direction = np.zeros(n)
    direction[k] = 1.0
    return direction


def _semidefinite_block(block: sp.csc_array) -> np.ndarray | None:
    diagonal = block.diagonal()
    zero = diagonal <= 0
    if zero.any():
        # a zero on the diagonal with anything beside it is a 2 x 2 block with a negative determinant
        k = int(np.flatnonzero(zero)[0])
        column = block[:, [k]].toarray().ravel()
        other = int(np.argmax(np.abs(column)))
        direction = _unit(len(diagonal), other)
        direction[k] = -np.sign(column[other]) * (diagonal[other] / (2 * abs(column[other])) + 1.0)
        return direction
    scale = 1.0 / np.sqrt(diagonal)
    scaled = sp.csc_array(sp.diags_array(scale) @ block @ sp.diags_array(scale))
    found = _dense_direction(scaled) if len(diagonal) <= DENSE_UP_TO else _sparse_direction(scaled)
    return None if found is None else found * scale


def _dense_direction(scaled: sp.csc_array) -> np.ndarray | None:
    """A direction along which the matrix is negative, None where it is semidefinite."""
    full = scaled.toarray()
    try:
        np.linalg.cholesky(full + TOLERANCE * np.eye(len(full)))
        return None
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(full)
    return None if values[0] >= -TOLERANCE else vectors[:, 0]


def _sparse_direction(scaled: sp.csc_array) -> np.ndarray | None:
    """The same for a large matrix, from LDL' of `scaled + TOLERANCE I`.

    The matrix is definite when D > 0 (Sylvester's law of inertia); else L'v = e_k with D_k < 0 gives v'LDL'v = D_k.
    """
    import qdldl
    from scipy.sparse.linalg import eigsh, spsolve_triangular

    n = scaled.shape[0]
    shifted = sp.csc_array(sp.triu(scaled + TOLERANCE * sp.eye_array(n), format="csc"))
    shifted.sort_indices()
    try:
        lower, d, order = qdldl.Solver(sp.csc_matrix(shifted), upper=True).factors()
        if (np.asarray(d) > 0).all():
            return None
        unit = sp.csr_array(sp.csr_array(lower.T) + sp.eye_array(n))
        direction = np.zeros(n)
        direction[order] = spsolve_triangular(unit, _unit(n, int(np.argmin(d))), lower=False, unit_diagonal=True)
        direction /= np.abs(direction).max()
        if direction @ (scaled @ direction) < -TOLERANCE * (direction @ direction):
            return direction
    except (RuntimeError, ValueError):
        pass  # a pivot of exactly 0
    values, vectors = eigsh(scaled, k=1, which="SA", tol=TOLERANCE)
    return None if values[0] >= -TOLERANCE else vectors[:, 0]
