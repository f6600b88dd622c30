"""The members of a constraint's own axis are found when they are needed, unless finding them can fail."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from agreement import model_of

import optdsl
from optdsl.errors import ModelError

HEAD = """
set I = 1..4
set C = {"a", "b", "c"}
param p[I] = [3, 1, 2, 5]
param from_city[I] in C = ["a", "b", "a", "c"]
var x[I]
var y[C, C]
minimize sum(x[i]^2 for i in I) + sum(y[c, d]^2 for c in C, d in C)
subject to
"""
FOUND_LATE = {
    "k[i in I if i > 1]: x[i] >= x[i - 1] + 1": [(2,), (3,), (4,)],
    "k[i in I if p[i] >= 2 and i != 3]: x[i] >= 1": [(1,), (4,)],
    "k[i in I, j in I if i + 1 < j or i = 4]: x[i] >= p[j]": [(1, 3), (1, 4), (2, 4), (4, 1), (4, 2), (4, 3), (4, 4)],
    'k[c in C, d in C if c != d and d != "a"]: y[c, d] >= 1': [("a", "b"), ("a", "c"), ("b", "c"), ("c", "b")],
    'k[i in I if from_city[i] != "a"]: x[i] >= 1': [(2,), (4,)],
    "k[i in I if i > 9]: x[i] >= 1": [],
}


@pytest.mark.parametrize("constraint", FOUND_LATE)
def test_members_are_found_when_they_are_needed(constraint: str) -> None:
    (axis,) = model_of(HEAD + "  " + constraint).constraints[0].axes
    assert "columns" not in vars(axis)
    assert axis.arity == len((FOUND_LATE[constraint] or [(1,)])[0])
    assert axis.members() == FOUND_LATE[constraint]


@pytest.mark.parametrize(
    ("constraint", "code"),
    [
        ("k[i in I if p[i - 1] > 1]: x[i] >= 1", "index-outside"),
        ("k[c in C, d in C if c < d]: y[c, d] >= 1", "text-order"),
        ("k[c in C if c > 1]: y[c, c] >= 1", "text-order"),
        ("k[i in I if from_city[i] + 1 > 2]: x[i] >= 1", "text-as-number"),
    ],
)
def test_what_can_fail_fails_at_once(constraint: str, code: str) -> None:
    with pytest.raises(ModelError) as raised:
        model_of(HEAD + "  " + constraint)
    assert [d.code for d in raised.value.diagnostics] == [code]


def test_duals_over_a_late_axis_keep_their_labels() -> None:
    solution = optdsl.parse(HEAD + "  k[i in I if i > 1]: x[i] >= x[i - 1] + 1\n").solve()
    dual = pickle.loads(pickle.dumps(solution.dual("k")))
    assert dual.sets == ("I",)
    assert list(dual.to_dict()) == [2, 3, 4]
    np.testing.assert_allclose(dual, [3, 4, 3], rtol=1e-6)
