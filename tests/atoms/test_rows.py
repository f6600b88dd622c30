"""Every row of the table against its own claims, one generic test for each claim."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from optdsl.atoms import ATOMS, INTERNAL, Atom

from .checks import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("row", (*ATOMS, *INTERNAL.values()), ids=lambda row: f"{row.name}-{row.acts_on}")
def test_row(row: Atom, check: Callable[[Atom], None]) -> None:
    check(row)
