"""Groups: dense and ragged ones against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optdsl.atoms import REDUCTIONS, AxisGroups, SegmentGroups

PLAIN: dict[str, Any] = {
    "sum": np.sum, "prod": np.prod, "max": lambda v: max(v, default=-np.inf), "min": lambda v: min(v, default=np.inf),
    "any": any, "all": all,
}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(-3, 3)), max_size=12), st.booleans(), st.sampled_from([*PLAIN]),
)
def test_segments_against_loops(members: list[tuple[int, int]], ordered: bool, operation: str) -> None:
    if ordered:
        members = sorted(members, key=lambda member: member[0])
    segment = np.array([s for s, _ in members], dtype=int)
    values = np.array([v for _, v in members], dtype=float)
    groups = SegmentGroups(segment, 6)
    expected = [PLAIN[operation](values[segment == g]) for g in range(6)]
    assert getattr(groups, operation)(values).tolist() == expected
    assert groups.count.tolist() == [int((segment == g).sum()) for g in range(6)]
    assert groups.spread(np.arange(6.0)).tolist() == segment.tolist()
    for g in range(6):
        mine = values[segment == g]
        ranks = groups.descending_rank(values)[segment == g]
        assert sorted(ranks) == list(range(len(mine)))
        assert mine[np.argsort(ranks)].tolist() == sorted(mine, reverse=True)


@pytest.mark.parametrize("axes", [0, 1, 2, (0, 1), (0, 2), (1, 2), (0, 1, 2), (-1,), None])
def test_axes_against_numpy(axes: Any) -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 4))
    groups = AxisGroups(values.shape, axes)
    where = tuple(range(3)) if axes is None else axes
    for operation in ("sum", "prod", "max", "min"):
        np.testing.assert_allclose(getattr(groups, operation)(values), getattr(np, operation)(values, axis=where))
    assert groups.count.shape == groups.sum(values).shape
    assert (groups.spread(groups.max(values)) >= values).all()
    assert ((groups.descending_rank(values) == 0) == (groups.spread(groups.max(values)) == values)).all()


def test_trailing_axes_are_reduced_one_by_one() -> None:
    values = np.arange(12.0).reshape(4, 3) * np.array([1, -1, 1])
    groups = SegmentGroups([2, 0, 2, 0], 3, trailing=1)
    assert groups.sum(values).tolist() == [[12.0, -14.0, 16.0], [0.0, 0.0, 0.0], [6.0, -8.0, 10.0]]
    assert groups.count.tolist() == [[2], [0], [2]]
    assert groups.descending_rank(values).tolist() == [[1, 0, 1], [1, 0, 1], [0, 1, 0], [0, 1, 0]]
    largest = REDUCTIONS["sum_largest"].kernel(values, groups, np.array([[1], [0], [2]]))
    assert largest.tolist() == [[9.0, -4.0, 11.0], [0.0, 0.0, 0.0], [6.0, -8.0, 10.0]]


def test_nothing_at_all() -> None:
    for groups in (SegmentGroups(np.array([], dtype=int), 2), AxisGroups((2, 0), 1)):
        values = np.zeros((2, 0)) if isinstance(groups, AxisGroups) else np.zeros(0)
        assert groups.sum(values).tolist() == [0.0, 0.0]
        assert groups.prod(values).tolist() == [1.0, 1.0]
        assert groups.all(values).tolist() == [True, True]
        assert groups.any(values).tolist() == [False, False]
        assert groups.max(values).tolist() == [-np.inf, -np.inf]
    none = SegmentGroups(np.array([], dtype=int), 0)
    assert none.sum(np.zeros(0)).shape == (0,)
