"""The declarations of `optdsl_statements` without its statements: what binding the data takes by itself."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.tools import optdsl_statements


def elaboration(size: int) -> Callable[[], object]:
    return optdsl_statements.elaboration(size, optdsl_statements.DECLARATIONS)
