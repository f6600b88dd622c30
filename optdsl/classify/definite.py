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
    if len(diagonal) <= DENSE_UP_TO:
        values, vectors = np.linalg.eigh(scaled.toarray())
        return None if values[0] >= -TOLERANCE else vectors[:, 0] * scale
    if _factorizes(scaled):
        return None
    from scipy.sparse.linalg import eigsh

    values, vectors = eigsh(scaled, k=1, which="SA", tol=1e-6)
    return None if values[0] >= -TOLERANCE else vectors[:, 0] * scale


def _factorizes(scaled: sp.csc_array) -> bool:
    """Whether `scaled + TOLERANCE I` has an LDL' factorization with D > 0 (Sylvester's law of inertia)."""
    import qdldl

    n = scaled.shape[0]
    shifted = sp.csc_array(sp.triu(scaled + TOLERANCE * sp.eye_array(n), format="csc"))
    shifted.sort_indices()
    try:
        solver = qdldl.Solver(sp.csc_matrix(shifted), upper=True)
    except (RuntimeError, ValueError):
        return False
    _, d, _ = solver.factors()
    return bool((np.asarray(d) > 0).all())
