"""Ends of ranges that are computed without rounding stay where they are: signs depend on them."""

from __future__ import annotations

import numpy as np
import pytest

from optdsl.atoms import ENTRIES
from optdsl.atoms.intervals import interval, plus

ROOTS = {"log": 1.0, "log2": 1.0, "log10": 1.0}
FUNCTIONS = (*ROOTS, "log1p", "expm1", "atan", "tanh", "erf", "sinh")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_roots_are_exact(name: str) -> None:
    root = ROOTS.get(name, 0.0)
    found = ENTRIES[name].range(interval(root, root + 3.0))
    assert found.lo == 0.0 and found.hi > 0
    below = ENTRIES[name].range(interval(np.nextafter(root, -1.0), root))
    assert below.lo < 0 and below.hi == 0.0


def test_sums_without_rounding_are_exact() -> None:
    assert plus(interval(0.0, 2.0), interval(1.0, 1.0)).lo == 1.0
    rounded = plus(interval(0.1, 0.1), interval(0.2, 0.2))
    assert rounded.lo < 0.3 < rounded.hi  # the real sum lies between
    tiny = plus(interval(1.0, 1.0), interval(1e-30, 1e-30))
    assert tiny.lo <= 1.0 < tiny.hi  # what rounding swallows is kept inside


def test_ends_without_number() -> None:
    found = plus(interval(-np.inf, np.inf), interval(np.inf, np.inf))
    assert found.lo == -np.inf and found.hi == np.inf
