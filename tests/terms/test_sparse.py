"""Parameters that are 0 almost everywhere: sums over them run over the stored entries, and mean the same."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import assert_agreement, model_of

from optdsl.classify import analyze
from optdsl.data.arrays import SparseArray
from optdsl.model import keyed

HEAD = """
set I = 1..12
set J = {"a", "b", "c", "d", "e", "f", "g"}
set E = {(i, j) in I * J if i > 10}
param a[I, J] default 0 = {(1, "a"): 2, (3, "a"): -1, (3, "g"): 4, (12, "d"): 0.5, (7, "c"): 1}
param w[I, I] default 0 = {(1, 2): 2, (2, 1): 3, (5, 5): 1, (12, 3): -2}
param full[I, J] default 1 = {(1, "a"): 5}
param up[I] in I = {1: 2, 2: 3, 3: 3, 4: 1, 5: 5, 6: 6, 7: 1, 8: 2, 9: 3, 10: 4, 11: 5, 12: 12}
var x[I]
var y[J]
var z[I, J]
minimize sum(x) + sum(y)
subject to
"""

SUMS = {
    "both axes": "c: sum(a[i, j] * z[i, j] for i in I, j in J) <= 1",
    "the other order": "c: sum(a[i, j] * z[i, j] for j in J, i in I) <= 1",
    "one axis, the other from the family": "c[i in I]: sum(a[i, j] * y[j] for j in J) <= 1",
    "the first axis": "c[j in J]: sum(a[i, j] * x[i] for i in I) <= j_of",
    "a condition besides": 'c: sum(a[i, j] * z[i, j] for i in I, j in J if i > 2 and j != "d") <= 1',
    "a condition that joins": "c[k in I]: sum(a[i, j] * z[i, j] for i in I, j in J if i = k) <= 1",
    "a third iterator": "c: sum(a[i, j] * z[k, j] for i in I, k in I, j in J if k <= i) <= 1",
    "an iterator that depends": "c: sum(a[i, j] * z[k, j] for i in I, k in 1..i, j in J) <= 1",
    "shifted indices": "c: sum(w[i, k + 1] * x[k] for i in I, k in 1..11) <= 1",
    "a shift of a later index": "c: sum(w[i, k - 1] * x[k] for i in I, k in I if k > 1) <= 1",
    "the diagonal": "c: sum(w[i, i] * x[i] for i in I) <= 1",
    "transposed": "c[i in I]: sum(w[k, i] * x[k] - w[i, k] * x[k] for k in I) <= 1",
    "members as indices": "c: sum(a[up[i], j] * z[i, j] for i in I, j in J) <= 1",
    "two sparse factors": "c: sum(a[i, j] * w[i, k] * z[k, j] for i in I, j in J, k in I) <= 1",
    "alone": "c[i in I]: sum(a[i, j] for j in J) * x[i] <= 1",
    "in arrays": "c: a @ y <= 1",
    "transposed, in arrays": "c: a.T @ x >= 0",
    "a matrix product": "c: w @ z <= 1",
    "not 0 elsewhere": "c: sum(full[i, j] * z[i, j] for i in I, j in J) <= 1",
    "a set of tuples": "c: sum(a[i, j] * z[i, j] for (i, j) in E) <= 1",
    "squares": "c: sum(a[i, j] * z[i, j]^2 for i in I, j in J) <= sum(a[i, j]^2 for i in I, j in J)",
    "largest of the products": "c: sum(max(a[i, j] * z[i, j], 1) for i in I, j in J) <= 99",
    "a mean counts the zeros": "c: mean(a[i, j] * z[i, j] for i in I, j in J) <= 1",
    "a nested sum": "c: sum(x[i] * 0.5 + sum(a[i, j] * z[i, j] for j in J) for i in I) <= 1",
    "guarded": "c[k in I]: sum(w[i, k - 1] * x[i] for i in I if k > 1) <= 1",
    "repeated": "c: sum(w[i, k] * x[i] for i in I, k in I if k = i) <= 1",
    "an entry": "c[i in I, j in J if a[i, j] != 0]: a[i, j] * x[i] <= 1",
}


@pytest.fixture(autouse=True)
def small_arrays_are_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyed, "SPARSE_FROM", 10)


def text_of(title: str) -> str:
    return f"{HEAD}  {SUMS[title]}\n".replace("j_of", "ord(j, J)")


def test_the_arrays_are_sparse() -> None:
    model = model_of(text_of("both axes"))
    assert all(isinstance(model.parameters[name], SparseArray) for name in ("a", "w", "full"))


@pytest.mark.parametrize("title", SUMS)
def test_sums(title: str) -> None:
    assert assert_agreement(text_of(title)) is not None


def test_only_stored_entries_become_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum over two axes of a million entries each is as quick as its five stored entries."""
    text = """
set I = 1..1000000
param a[I, I] default 0 = {(1, 1): 2, (3, 1): -1, (3, 999999): 4}
var x[I]
minimize sum(a[i, j] * x[j] for i in I, j in I)
subject to
  c: a @ x >= 1
"""
    analysis = analyze(model_of(text))
    assert analysis.objective is not None
    assert np.flatnonzero(analysis.objective.cost).tolist() == [0, 999998]
    assert analysis.blocks[0].matrix.nnz == 3


def test_outside_is_outside_in_a_sparse_array_too() -> None:
    assert assert_agreement(f"{HEAD}  c: sum(w[i, k + 1] * x[k] for i in I, k in I) <= 1\n") is None
