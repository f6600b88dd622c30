"""A set whose members are found when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from optdsl.data.members import Labels, SetValue


class LateSet(SetValue):
    """A set of `arity`-tuples; `find` gives its columns and is called at most once. It must not fail.

    What a constraint with a condition is indexed by is read when its duals are, so a model is known before that.
    """

    def __init__(self, name: str, arity: int, parts: tuple[str, ...], find: Callable[[], tuple[Labels, ...]]) -> None:
        for field, value in (("name", name), ("_arity", arity), ("parts", parts), ("_find", find)):
            object.__setattr__(self, field, value)

    @property
    def arity(self) -> int:
        return self._arity  # type: ignore[attr-defined]

    @cached_property
    def columns(self) -> tuple[Labels, ...]:
        return self._find()  # type: ignore[attr-defined]

    def __reduce__(self) -> tuple[type[SetValue], tuple[str, tuple[Labels, ...], tuple[str, ...]]]:
        return SetValue, (self.name, self.columns, self.parts)
